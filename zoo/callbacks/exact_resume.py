"""What Lightning's checkpoints lack for a training to go on as if it had never stopped."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed import all_gather_object
from torch.optim import Optimizer
from torchmetrics import Metric

from zoo.models.base import ZooModule
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError


class ExactResume(Callback):
    """Keep every process's generators, half-counted metrics and own tensors in the checkpoint, and put them back.

    With the loader's position (`zoo.data.loader`) and what Lightning keeps itself, a training that is resumed from any
    checkpoint ends with the weights of one that was not interrupted: bit for bit on one CPU, as far as the hardware is
    deterministic elsewhere. It also makes the noise of each process its own: `seed_everything` gives all of them
    the same seed, and with it the same dropout masks.
    """

    def __init__(self) -> None:
        self._trainer: Trainer | None = None
        self._module: LightningModule | None = None
        self._to_restore: list[dict[str, Any]] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember whose state is to be saved, and part the processes' generators."""
        self._trainer, self._module = trainer, pl_module
        if stage == "fit" and trainer.global_rank > 0:
            mixed = np.random.SeedSequence([torch.initial_seed(), trainer.global_rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(mixed[0]))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every process; called on all of them together."""
        assert self._trainer is not None
        own = self._collect()
        states = [own]
        if self._trainer.world_size > 1:
            states = [{}] * self._trainer.world_size
            all_gather_object(states, own)
        return {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the training is about to go on: what happens before would use up random numbers.

        Raises:
            UsageError: The state is not of the form that `state_dict` gives it.
        """
        states = state_dict.get("processes")
        parts = {"torch": Tensor, "python": list | tuple, "numpy": list, "metrics": dict}
        whole = isinstance(states, list) and all(
            isinstance(state, dict) and all(isinstance(state.get(part), kind) for part, kind in parts.items())
            for state in states
        )
        if not states or not whole:
            raise UsageError("The checkpoint's generators are damaged: take another copy of it, or the one before.")
        self._to_restore = states

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the loader where it was, and the metrics.

        Lightning does the first too, but not when the loader was made before the state was read, as it is when a
        schedule asks for the number of steps.
        """
        if trainer.ckpt_path is None:
            return
        for optimizer in trainer.optimizers:
            _check_optimizer(optimizer)
        states = self._to_restore
        if states is None:
            print_rank_zero(
                "The checkpoint holds no generators, so this training goes on with other noise than it would have had."
            )
            return
        loader: Any = trainer.train_dataloader
        position = states[0].get("loader")
        if position is not None and hasattr(loader, "load_state_dict"):
            loader.load_state_dict(position)
        if isinstance(pl_module, ZooModule):
            pl_module.load_process_states([state.get("module", {}) for state in states])
        # Of an epoch whose last step is made, Lightning goes on with the next: what was counted must not be in that.
        finished = position is not None and position.get("batches") == len(loader)
        if len(states) == trainer.world_size and not finished:
            for name, metric in _metrics(pl_module):
                _restore_metric(metric, states[trainer.global_rank]["metrics"].get(name, {}))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from the end of an epoch."""
        self._restore(trainer)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Go on within an epoch."""
        self._restore(trainer)

    def _collect(self) -> dict[str, Any]:
        assert self._module is not None
        assert self._trainer is not None
        loader: Any = self._trainer.train_dataloader
        numpy_state: Any = np.random.get_state()
        state: dict[str, Any] = {
            "torch": torch.get_rng_state(),
            "python": random.getstate(),
            # As plain values, because checkpoints are read without unpickling objects.
            "numpy": [numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]],
            "loader": loader.state_dict() if hasattr(loader, "state_dict") else None,
            "metrics": {name: _metric_state(metric) for name, metric in _metrics(self._module)},
        }
        if isinstance(self._module, ZooModule):
            state["module"] = {name: value.cpu() for name, value in self._module.process_state().items()}
        if self._module.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._module.device)
        if self._module.device.type == "mps":
            state["mps"] = torch.mps.get_rng_state()
        return state

    def _restore(self, trainer: Trainer) -> None:
        states, self._to_restore = self._to_restore, None
        if states is None:
            return
        if len(states) != trainer.world_size:
            print_rank_zero(
                f"The checkpoint is of {len(states)} processes and this run has {trainer.world_size}: it goes on with "
                "the same images in the same order, but with other dropout noise than an uninterrupted run, and the "
                "cost of the epoch under way counts only what follows."
            )
            return
        state = states[trainer.global_rank]
        torch.set_rng_state(state["torch"])
        random.setstate(_tuples(state["python"]))
        np.random.set_state(tuple(state["numpy"]))
        assert self._module is not None
        if "cuda" in state and self._module.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self._module.device)
        if "mps" in state and self._module.device.type == "mps":
            torch.mps.set_rng_state(state["mps"])


def _metrics(module: LightningModule) -> list[tuple[str, Metric]]:
    return [(name, metric) for name, metric in module.named_modules() if isinstance(metric, Metric)]


def _metric_state(metric: Metric) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in metric.metric_state.items() if isinstance(value, Tensor)}


def _check_optimizer(optimizer: Optimizer) -> None:
    """Refuse a state of another form than the parameters': the fused kernels would write where they must not."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if not isinstance(value, Tensor):
                continue
            wanted = torch.Size() if name == "step" else parameter.shape
            # As the parameter lies in memory, which for a convolution need not be row by row.
            lies = name == "step" or (value.layout == torch.strided and value.stride() == parameter.stride())
            if value.shape != wanted or not lies:
                raise UsageError(
                    f"The checkpoint's optimizer state does not fit its network: {name} is {tuple(value.shape)} for a "
                    f"parameter of {tuple(parameter.shape)}, so take another copy of the file."
                )


def _restore_metric(metric: Metric, state: dict[str, Tensor]) -> None:
    for name, now in metric.metric_state.items():
        value = state.get(name)
        if not isinstance(value, Tensor) or not isinstance(now, Tensor) or value.shape != now.shape:
            continue
        setattr(metric, name, value.to(now.device, now.dtype))
        if value.any():
            # An epoch that is resumed after its last batch is computed without another update.
            metric._update_count = max(1, metric._update_count)


def _tuples(value: Any) -> Any:
    """What a checkpoint gives back as lists, as the tuples that Python's generator wants."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
