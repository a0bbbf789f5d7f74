"""The state that exact resumption needs and that Lightning's checkpoints do not contain."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import StochasticWeightAveraging
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.distributed import all_gather_object
from torchmetrics import Metric

from zoo.models.base import ZooModule
from zoo.runs.generator_states import are_generator_states, to_tuples
from zoo.runs.training_state import StateMismatch, compare_states, is_count, is_position
from zoo.training.lightning_loop import EpochPosition, batches_trained_on, set_position
from zoo.training.optimizer_state import check_optimizer_states, check_schedule_states, keep_fused
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
        self._state_counts: list[int] | None = None
        self._checkpoint: dict[str, Any] | None = None

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
        return {
            "processes": states,
            "position": asdict(position),
            "state_counts": [len(each.state) for each in self._trainer.optimizers],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts, because the setup in between draws random numbers.

        Raises:
            UsageError: The state does not have the form that `state_dict` returns.
        """
        states = state_dict.get("processes") if isinstance(state_dict, dict) else None
        if not isinstance(states, list) or not states or not all(map(_is_process_state, states)):
            raise UsageError("The checkpoint's RNG state is damaged: take another copy of it, or the one before.")
        self._states_to_restore = states
        self._state_counts = state_dict.get("state_counts")

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Tell Lightning where the training goes on, before it takes up its counters.

        The checkpoint is kept until the optimizers exist, which it is compared with.

        Raises:
            UsageError: The position does not have the form that `state_dict` returns.
        """
        self._checkpoint = checkpoint
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
        if not position.agrees_with(loops):
            raise UsageError("The checkpoint's position in the training is damaged: take another copy of it.")
        set_position(loops, position, trainer)
        if position.validation == "done":
            self._validated_at = loops["epoch_loop.batch_progress"]["total"]["processed"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the states of the optimizers, the schedules and the metrics, which Lightning restores next.

        Raises:
            UsageError: A state does not fit.
        """
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint is None:
            return
        try:
            check_optimizer_states(trainer.optimizers, checkpoint.get("optimizer_states"), self._state_counts)
            keep_fused(trainer.optimizers, checkpoint.get("optimizer_states", []))
            callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
            # That callback replaces the schedules in the course of a training, and restores its own.
            if not any(isinstance(each, StochasticWeightAveraging) for each in callbacks):
                schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
                check_schedule_states(schedules, checkpoint.get("lr_schedulers"))
            expected = {name: _metric_state(metric) for name, metric in _metrics(pl_module)}
            for state in self._states_to_restore or []:
                compare_states("metrics", expected, state["metrics"])
        except StateMismatch as error:
            raise UsageError(f"{trainer.ckpt_path} is damaged: its {error}, so take another copy of it.") from error

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the position of the data loader, the module's tensors and the metrics.

        Lightning restores the loader too, but not if it was created before the checkpoint was read. This is the case
        when a learning rate schedule asks for the number of steps.
        """
        if trainer.ckpt_path is None:
            return
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
        random.setstate(to_tuples(state["python"]))
        np.random.set_state(tuple(state["numpy"]))
        assert self._module is not None
        if "cuda" in state and self._module.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self._module.device)
        if "mps" in state and self._module.device.type == "mps":
            torch.mps.set_rng_state(state["mps"])


def _read_position(value: object) -> EpochPosition:
    counts = ("epoch", "batches", "length")
    is_valid = (
        isinstance(value, dict)
        and value.keys() == {*counts, "ended", "validation"}
        and all(is_count(value[name]) for name in counts)
        and isinstance(value["ended"], bool)
        and value["validation"] in ("none", "due", "done")
    )
    if not isinstance(value, dict) or not is_valid:
        raise UsageError("The checkpoint's position in the training is damaged: take another copy of it.")
    return EpochPosition(**value)


def _metrics(module: LightningModule) -> list[tuple[str, Metric]]:
    return [(name, metric) for name, metric in module.named_modules() if isinstance(metric, Metric)]


def _metric_state(metric: Metric) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in metric.metric_state.items() if isinstance(value, Tensor)}


def _is_process_state(state: Any) -> bool:
    """Return whether a value has the form of what `ExactResume` stores of a process."""
    if not isinstance(state, dict) or not is_position(state.get("loader")):
        return False
    tensors = [state.get("metrics"), {"module": state.get("module", {})}]
    is_complete = all(
        isinstance(group, dict)
        and all(
            isinstance(each, dict) and all(isinstance(value, Tensor) for value in each.values())
            for each in group.values()
        )
        for group in tensors
    )
    return is_complete and are_generator_states(state)


def _restore_metric(metric: Metric, state: dict[str, Tensor]) -> None:
    for name, current in metric.metric_state.items():
        value = state.get(name)
        if not isinstance(value, Tensor) or not isinstance(current, Tensor):
            continue
        setattr(metric, name, value.to(current.device))
        if value.any():
            # After the last batch of an epoch, the metric is computed without another update.
            metric._update_count = max(1, metric._update_count)
