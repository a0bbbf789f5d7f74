"""The step engine of NVIDIA GPUs: steps are captured once as a CUDA graph and replayed for the batches that follow.

A step of a small network is some thirty kernels of a few microseconds each, and launching them one by one from Python
takes several times as long as they run. A graph launches all of them at once.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.training.max_norm import max_norm_of
from zoo.training.steps import FetchBatches, Step, StepResult, stack_results

WARM_UP_STEPS = 3
"""Steps of each batch size that are made eagerly first: libraries load their kernels, and the optimizer makes its
state."""
GRAPH_LENGTHS = (10, 1)
"""Steps in a graph, the longest first. Between two replays Python copies rows and results, which takes as long as a
step of a small network."""


class CudaGraphEngine:
    """Captures steps as CUDA graphs and replays them.

    The network and the optimizer are looked at before every call: where a callback has changed one of them (frozen a
    layer, replaced a tensor, set another momentum or dropout) the steps are captured anew: see `describe_state`. A
    learning rate may change at every step. torch's default generator advances in a replay as it does in an eager step,
    so dropout noise is the same.

    Args:
        fetch: Returns the batches at some rows.
        step: Makes one step. It reads its parameters and the optimizer's state from the same tensors every time, copies
            nothing to the host and waits for nothing.
        module: The network.
        optimizer: Its optimizer.
        after_step: Called once for each step, to move a schedule of the learning rate for example.
        should_stop: Called between replays; returns whether to return early.
    """

    def __init__(
        self,
        fetch: FetchBatches,
        step: Step,
        module: nn.Module,
        optimizer: Optimizer,
        after_step: Callable[[], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.fetch = fetch
        self.step = step
        self.module = module
        self.optimizer = optimizer
        self.after_step = after_step
        self.should_stop = should_stop
        self.stream = torch.cuda.Stream()
        self.rates = _LearningRates(optimizer, self.stream.device)
        self.graphs: dict[torch.Size, _CapturedSteps] = {}
        self.eager_steps: dict[int, int] = {}
        self.captured_state: object = None

    def run(self, rows: Tensor) -> StepResult:
        """Make a step for each batch of rows ``(K, B)``, as in `zoo.training.steps.StepEngine`."""
        # All on one stream of our own: autograd remembers a parameter's stream, and the default one is not captured.
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            results = self._run(rows)
        torch.cuda.current_stream().wait_stream(self.stream)
        return results

    def _run(self, rows: Tensor) -> StepResult:
        if self.graphs and self.captured_state != describe_state(self.module, self.optimizer):
            self.graphs.clear()
            self.eager_steps.clear()
        parts: list[StepResult] = []
        while len(rows) and not (parts and self.should_stop()):
            warm = self.eager_steps.get(rows.shape[1], 0) >= WARM_UP_STEPS
            length = next(each for each in GRAPH_LENGTHS if each <= len(rows)) if warm else 1
            part, rows = rows[:length], rows[length:]
            parts.append(self._replay(part) if warm else self._make_eager_step(part))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _make_eager_step(self, rows: Tensor) -> StepResult:
        self.eager_steps[rows.shape[1]] = self.eager_steps.get(rows.shape[1], 0) + 1
        self.rates.take(1)
        with self.rates.on_device(0):
            result = stack_results([self.step(batch) for batch in self.fetch(rows)])
        self.after_step()
        return result

    def _replay(self, rows: Tensor) -> StepResult:
        self.rates.take(len(rows), self.after_step)
        if rows.shape not in self.graphs:
            self.graphs[rows.shape] = _CapturedSteps(
                self.fetch, self.step, rows, self.optimizer, self.rates, self.stream
            )
            self.captured_state = describe_state(self.module, self.optimizer)
        return self.graphs[rows.shape].replay(rows)


def describe_state(module: Any, optimizer: Optimizer) -> tuple[object, ...]:
    """Return what captured steps take for granted, and a callback may change between them, as values to compare.

    That is where the tensors are, which of them are trained, and the numbers, strings and Boolean values among the
    attributes of the network's parts, such as ``nn.Dropout.p``, among ``hparams``, in the optimizer's groups and in its
    max-norm.

    Args:
        module: The network.
        optimizer: Its optimizer, whose learning rates may change at every step and are left out.
    """
    moments = [value for state in optimizer.state.values() for value in state.values()]
    max_norm = max_norm_of(optimizer)
    parts = dict.fromkeys([*module.modules(), *module.parts()])
    # Such as the settings of virtual adversarial training and of contrastive divergence.
    others = [value for part in parts for name, value in _public(part) if type(value).__module__.startswith("zoo.")]
    return (
        [(tensor.data_ptr(), tensor.requires_grad) for tensor in (*module.parameters(), *module.buffers())],
        [value.data_ptr() for value in moments if isinstance(value, Tensor)],
        [
            {name: value for name, value in _public(each) if isinstance(value, bool | int | float | str | None)}
            for each in (*parts, *others)
        ],
        copy.deepcopy(dict(module.hparams)),
        [
            {name: value for name, value in group.items() if name not in ("params", "lr", "initial_lr")}
            for group in optimizer.param_groups
        ],
        max_norm and max_norm.bound,
    )


def _public(part: object) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(part).items() if not name.startswith("_"))


class _CapturedSteps:
    """Some steps as one graph, with the tensors that it reads and writes.

    Args:
        fetch: Returns the batches at some rows.
        step: The step.
        rows: The rows of each batch, ``(L, B)``.
        optimizer: Whose parameters the steps change.
        rates: Its learning rates.
        stream: For capturing.
    """

    def __init__(
        self,
        fetch: FetchBatches,
        step: Step,
        rows: Tensor,
        optimizer: Optimizer,
        rates: _LearningRates,
        stream: torch.cuda.Stream,
    ) -> None:
        self.rows = rows.clone()
        self.graph = torch.cuda.CUDAGraph()
        # Only what this thread does must not disturb the capture; other threads may copy their tensors meanwhile.
        graph = torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local")
        with _no_garbage_collection(), graph:
            results = []
            for number, batch in enumerate(fetch(self.rows)):
                with rates.on_device(number):
                    results.append(step(batch))
            self.results = stack_results(results)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.gradients = [(parameter, parameter.grad) for parameter in parameters]

    def replay(self, rows: Tensor) -> StepResult:
        """Make the steps on other rows."""
        self.rows.copy_(rows)
        self.graph.replay()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient  # for callbacks that look at it
        return {name: value.clone() for name, value in self.results.items()}


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Destroy no graph of an earlier training during a capture, which CUDA would then refuse to end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _LearningRates:
    """The learning rates of the next steps, on the device, where captured steps read them.

    Args:
        optimizer: The optimizer, whose groups hold the rate of the next step as a float.
        device: A GPU.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self.optimizer = optimizer
        # In single precision, as the optimizers' kernels read them, whatever the default is.
        shape = (max(GRAPH_LENGTHS), len(optimizer.param_groups))
        self.values = torch.zeros(shape, dtype=torch.float32, device=device)
        self.taken: list[list[float]] = []

    def take(self, count: int, after_step: Callable[[], None] = lambda: None) -> None:
        """Take the rates of ``count`` steps from the optimizer; ``after_step`` lets a schedule change them."""
        taken = []
        for _ in range(count):
            taken.append([float(group["lr"]) for group in self.optimizer.param_groups])
            after_step()
        if taken != self.taken[:count]:
            self.values[:count].copy_(torch.tensor(taken, dtype=torch.float32))
            self.taken = taken

    @contextmanager
    def on_device(self, number: int) -> Iterator[None]:
        """Let the optimizer read its rates from the device, and count its steps there, for a step's time.

        The groups' own numbers come back afterwards, so that schedules, checkpoints and callbacks see floats.

        Args:
            number: Of the step among those taken, from 0.
        """
        before: list[dict[str, Any]] = []
        for place, group in enumerate(self.optimizer.param_groups):
            before.append({name: group[name] for name in ("lr", "capturable") if name in group})
            changed = {"lr": self.values[number, place], "capturable": True}
            group.update({name: value for name, value in changed.items() if name in group})
        for state in self.optimizer.state.values():
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(self.values.device)
        try:
            yield
        finally:
            for group, settings in zip(self.optimizer.param_groups, before, strict=True):
                group.update(settings)
