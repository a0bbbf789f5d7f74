"""The step engines: eager, and captured as a CUDA graph where that is possible."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import SGD, Adagrad, Optimizer

from zoo.training.cuda_graph import CudaGraphEngine
from zoo.training.fused_update import has_step_hooks
from zoo.training.manual_backward import is_hooked
from zoo.training.optimizers import OPTIMIZERS
from zoo.training.steps import FetchBatches, Step, StepEngine, StepResult, stack_results
from zoo.utils.console import print_rank_zero

CUDA_GRAPHS = "ZOO_CUDA_GRAPHS"
"""Environment variable: 0 turns CUDA graphs off."""


IMAGES_FETCHED_AT_ONCE = 2000
"""By one call, which takes half as long as one call for each of twenty batches; not more, for the memory they take."""


class EagerEngine:
    """Calls the step again and again.

    Args:
        fetch: Returns the batches at some rows.
        step: Makes one step.
        after_step: Called after each step, to move a schedule of the learning rate for example.
        should_stop: Called after each step; returns whether to return early.
    """

    def __init__(
        self, fetch: FetchBatches, step: Step, after_step: Callable[[], None], should_stop: Callable[[], bool]
    ) -> None:
        self.fetch = fetch
        self.step = step
        self.after_step = after_step
        self.should_stop = should_stop

    def run(self, rows: Tensor) -> StepResult:
        """Make a step for each batch of rows ``(K, B)``, as in `StepEngine`."""
        results = []
        batches_at_once = max(1, IMAGES_FETCHED_AT_ONCE // rows.shape[1])
        for batch in (batch for part in rows.split(batches_at_once) for batch in self.fetch(part)):
            results.append(self.step(batch))
            self.after_step()
            if self.should_stop():
                break
        return stack_results(results)


def make_engine(
    module: Any,
    fetch: FetchBatches,
    step: Step,
    optimizer: Optimizer,
    after_step: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    images: Tensor | None = None,
) -> StepEngine:
    """Return the engine that suits a module's device.

    Args:
        module: The network.
        fetch: Returns the batches at some rows.
        step: Its step.
        optimizer: Its optimizer.
        after_step: Called once for each step, to move a schedule of the learning rate for example.
        should_stop: Returns whether to return early.
        images: Those that ``fetch`` reads, if they may be elsewhere than the network.
    """
    if module.device.type == "cuda":
        reason = reason_against_capture(module, optimizer, images)
        if reason is None:
            return CudaGraphEngine(fetch, step, module, optimizer, after_step, should_stop)
        print_rank_zero(f"Steps are not captured as a CUDA graph, because {reason}.")
    return EagerEngine(fetch, step, after_step, should_stop)


def reason_against_capture(module: Any, optimizer: Optimizer, images: Tensor | None = None) -> str | None:
    """Say why a network's step is not captured as a CUDA graph, or None where it is.

    A graph repeats kernels and nothing of Python, so a part that this package and torch do not know may mean something
    else than what it did when it was captured.

    Args:
        module: The network, on a GPU.
        optimizer: Its optimizer.
        images: The training images, if they may be elsewhere.
    """
    if os.environ.get(CUDA_GRAPHS) == "0":
        return f"{CUDA_GRAPHS} is 0"
    if images is not None and images.device != module.device:
        return "the training images are not on the GPU, where a data module of the zoo would put them"
    for part in {*module.modules(), *module.parts()}:
        if not type(part).__module__.startswith(("zoo.", "torch.nn.", "torchmetrics.")):
            return f"{type(part).__name__} is not a part that the zoo or torch.nn defines"
    if is_hooked(module) or has_step_hooks(optimizer):
        return "something is called in every step"
    if type(optimizer) not in OPTIMIZERS.values():
        return f"{type(optimizer).__name__} is not an optimizer of the zoo's"
    if isinstance(optimizer, SGD | Adagrad) and not all(group["fused"] for group in optimizer.param_groups):
        return f"{type(optimizer).__name__} reads numbers on the host where it has no fused step"
    return None
