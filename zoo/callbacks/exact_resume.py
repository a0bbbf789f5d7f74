"""The state that exact resumption needs and that Lightning's checkpoints do not contain."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.distributed import all_gather_object
from torch.optim import Optimizer
from torchmetrics import Metric

from zoo.models.base import ZooModule
from zoo.training.lightning_loop import EpochPosition, batches_trained_on, set_position
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
        self._position: EpochPosition | None = None  # where a resumed training goes on
        self._epoch_ended = False
        self._validated_at = -1  # the number of batches trained on when the network was validated
        self._metrics_at_end: dict[str, dict[str, Tensor]] | None = None  # of an epoch that was cut short

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the Trainer and the module, and seed each process differently."""
        self._trainer, self._module = trainer, pl_module
        if stage == "fit" and trainer.global_rank > 0:
            seed = np.random.SeedSequence([torch.initial_seed(), trainer.global_rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(seed[0]))

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes; a collective call that every process must make."""
        if self._trainer is None:  # something saves before the training is set up, because of an error for example
            return {}
        own = self._own_state()
        states = [own]
        if self._trainer.world_size > 1:
            states = [{}] * self._trainer.world_size
            all_gather_object(states, own)
        validated = self._validated_at == batches_trained_on(self._trainer)
        position = EpochPosition.of(self._trainer, ended=self._epoch_ended, validated=validated)
        return {"processes": states, "position": asdict(position)}

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

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Tell Lightning where the training goes on, before it takes up its counters.

        Raises:
            UsageError: The position does not have the form that `state_dict` returns.
        """
        for callback in trainer.early_stopping_callbacks:
            # The length of a training may change, and Lightning would take the patience from the checkpoint.
            if earlier := checkpoint["callbacks"].get(callback.state_key):
                earlier["patience"] = callback.patience
        state = checkpoint["callbacks"].get(self.state_key, {})
        if trainer.state.fn != TrainerFn.FITTING or "position" not in state:  # absent before version 0.2
            return
        self._position = position = _read_position(state["position"])
        self._epoch_ended = position.ended
        loops = checkpoint["loops"]["fit_loop"]
        set_position(loops, position, trainer)
        if position.validation == "done":
            self._validated_at = loops["epoch_loop.batch_progress"]["total"]["processed"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the position of the data loader, the module's tensors and the metrics.

        Lightning restores the loader too, but not if it was created before the checkpoint was read. This is the case
        when a learning rate schedule asks for the number of steps.
        """
        if trainer.ckpt_path is None:
            return
        for optimizer in trainer.optimizers:
            _check_optimizer(optimizer)
        # Lightning would train on after it has stopped early, until the next validation.
        if any(callback.wait_count >= callback.patience for callback in trainer.early_stopping_callbacks):
            trainer.should_stop = True
        states = self._states_to_restore
        if states is None:
            print_rank_zero(
                "The checkpoint holds no RNG state, so this training goes on with other noise than it would have had."
            )
            return
        loader: Any = trainer.train_dataloader
        loaded = states[0].get("loader")
        epoch_finished = loaded is not None and loaded.get("batches") == len(loader)
        if self._position is not None:
            epoch_finished = self._position.is_complete
            loaded = {"epoch": self._position.epoch, "batches": self._position.batches}
        if loaded is not None and hasattr(loader, "load_state_dict"):
            loader.load_state_dict(loaded)
        if isinstance(pl_module, ZooModule):
            pl_module.load_process_states([state.get("module", {}) for state in states])
        # The next epoch must start with empty metrics.
        if len(states) == trainer.world_size and not epoch_finished:
            for name, metric in _metrics(pl_module):
                _restore_metric(metric, states[trainer.global_rank]["metrics"].get(name, {}))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the RNG states when training resumes between two epochs."""
        self._restore_rng(trainer)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Restore the RNG states when training resumes within an epoch."""
        self._epoch_ended, self._metrics_at_end = False, None
        self._restore_rng(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this network was validated."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._validated_at = batches_trained_on(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the epoch ended, and keep its metrics in case it goes on later: the module resets them."""
        self._epoch_ended = True
        self._metrics_at_end = {name: _metric_state(metric) for name, metric in _metrics(pl_module)}

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
            "metrics": self._metrics_at_end or {name: _metric_state(metric) for name, metric in _metrics(self._module)},
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


def _read_position(value: object) -> EpochPosition:
    fields = EpochPosition.__dataclass_fields__
    if not isinstance(value, dict) or value.keys() != fields.keys():
        raise UsageError("The checkpoint's position in the training is damaged: take another copy of it.")
    return EpochPosition(**value)


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
        setattr(metric, name, value.to(current.device))
        if value.any():
            # After the last batch of an epoch, the metric is computed without another update.
            metric._update_count = max(1, metric._update_count)


def _to_tuples(value: Any) -> Any:
    """Convert nested lists to tuples: checkpoints store lists and `random.setstate` requires tuples."""
    return tuple(map(_to_tuples, value)) if isinstance(value, list | tuple) else value
