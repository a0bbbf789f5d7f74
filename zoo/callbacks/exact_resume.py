"""The state that exact resumption needs and that Lightning's checkpoints do not contain."""

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
    """Save and restore the RNG states, partial metrics and own tensors of every process.

    Together with the position of the data loader (`zoo.data.loader`) and Lightning's own state, a training that is
    resumed from any checkpoint ends with the weights of an uninterrupted one. The weights are bitwise equal on one CPU,
    and elsewhere as far as the hardware is deterministic.

    The callback also gives each process a different seed. `seed_everything` gives all processes the same one, so that
    they would draw the same dropout masks.
    """

    def __init__(self) -> None:
        self._trainer: Trainer | None = None
        self._module: LightningModule | None = None
        self._states_to_restore: list[dict[str, Any]] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the Trainer and the module, and seed each process differently."""
        self._trainer, self._module = trainer, pl_module
        if stage == "fit" and trainer.global_rank > 0:
            seed = np.random.SeedSequence([torch.initial_seed(), trainer.global_rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(seed[0]))

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes; a collective call that every process must make."""
        assert self._trainer is not None
        own = self._own_state()
        states = [own]
        if self._trainer.world_size > 1:
            states = [{}] * self._trainer.world_size
            all_gather_object(states, own)
        return {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts, because the setup in between draws random numbers.

        Raises:
            UsageError: The state does not have the form that `state_dict` returns.
        """
        states = state_dict.get("processes")
        required = {"torch": Tensor, "python": list | tuple, "numpy": list, "metrics": dict}
        is_valid = isinstance(states, list) and all(
            isinstance(state, dict) and all(isinstance(state.get(name), kind) for name, kind in required.items())
            for state in states
        )
        if not states or not is_valid:
            raise UsageError("The checkpoint's RNG state is damaged: take another copy of it, or the one before.")
        self._states_to_restore = states

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the position of the data loader, the module's tensors and the metrics.

        Lightning restores the loader too, but not if it was created before the checkpoint was read. This is the case
        when a learning rate schedule asks for the number of steps.
        """
        if trainer.ckpt_path is None:
            return
        for optimizer in trainer.optimizers:
            _check_optimizer(optimizer)
        states = self._states_to_restore
        if states is None:
            print_rank_zero(
                "The checkpoint holds no RNG state, so this training goes on with other noise than it would have had."
            )
            return
        loader: Any = trainer.train_dataloader
        position = states[0].get("loader")
        if position is not None and hasattr(loader, "load_state_dict"):
            loader.load_state_dict(position)
        if isinstance(pl_module, ZooModule):
            pl_module.load_process_states([state.get("module", {}) for state in states])
        # After the last step of an epoch Lightning resumes with the next epoch, which must start with empty metrics.
        epoch_finished = position is not None and position.get("batches") == len(loader)
        if len(states) == trainer.world_size and not epoch_finished:
            for name, metric in _metrics(pl_module):
                _restore_metric(metric, states[trainer.global_rank]["metrics"].get(name, {}))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the RNG states when training resumes between two epochs."""
        self._restore_rng(trainer)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Restore the RNG states when training resumes within an epoch."""
        self._restore_rng(trainer)

    def _own_state(self) -> dict[str, Any]:
        assert self._module is not None
        assert self._trainer is not None
        loader: Any = self._trainer.train_dataloader
        numpy_state: Any = np.random.get_state()
        state: dict[str, Any] = {
            "torch": torch.get_rng_state(),
            "python": random.getstate(),
            # Plain values, because checkpoints are read without unpickling objects.
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

    def _restore_rng(self, trainer: Trainer) -> None:
        states, self._states_to_restore = self._states_to_restore, None
        if states is None:
            return
        if len(states) != trainer.world_size:
            print_rank_zero(
                f"The checkpoint is of {len(states)} processes and this run has {trainer.world_size}: it goes on with "
                "the same images in the same order, but with other dropout noise than an uninterrupted run, and the "
                "loss of the epoch under way counts only what follows."
            )
            return
        state = states[trainer.global_rank]
        torch.set_rng_state(state["torch"])
        random.setstate(_to_tuples(state["python"]))
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
    """Check that the optimizer's state has the shapes and strides of its parameters.

    Fused kernels do not check this and would write out of bounds.

    Raises:
        UsageError: A tensor of the state has another shape or memory layout.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if not isinstance(value, Tensor):
                continue
            expected_shape = torch.Size() if name == "step" else parameter.shape
            # The parameters of a convolution need not be contiguous, so their strides are compared.
            same_layout = name == "step" or (value.layout == torch.strided and value.stride() == parameter.stride())
            if value.shape != expected_shape or not same_layout:
                raise UsageError(
                    f"The checkpoint's optimizer state does not fit its network: {name} is {tuple(value.shape)} for a "
                    f"parameter of {tuple(parameter.shape)}, so take another copy of the file."
                )


def _restore_metric(metric: Metric, state: dict[str, Tensor]) -> None:
    for name, current in metric.metric_state.items():
        value = state.get(name)
        if not isinstance(value, Tensor) or not isinstance(current, Tensor) or value.shape != current.shape:
            continue
        setattr(metric, name, value.to(current.device, current.dtype))
        if value.any():
            # After the last batch of an epoch, the metric is computed without another update.
            metric._update_count = max(1, metric._update_count)


def _to_tuples(value: Any) -> Any:
    """Convert nested lists to tuples: checkpoints store lists and `random.setstate` requires tuples."""
    return tuple(map(_to_tuples, value)) if isinstance(value, list | tuple) else value
