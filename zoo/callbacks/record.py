"""A run's own account of itself, kept inside its checkpoints."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer
from torch.distributed import all_gather_object

from zoo.errors import UsageError
from zoo.machine import device_name, machine, versions

# Settings of the Trainer and the data that say where a run happened or what it printed, and not what was trained.
NO_PART_OF_A_RECIPE = frozenset(
    {"accelerator", "devices", "num_nodes", "logger", "default_root_dir", "enable_progress_bar", "log_every_n_steps"}
    | {"data_dir", "eval_batch_size"}
)


class RunRecord(Timer):
    """Put into every checkpoint what the run was: its resolved config, versions, machine and seconds of training.

    A checkpoint so describes itself, wherever it is copied; `recorded_run` reads it back. The clock is Lightning's
    `Timer`, which goes on counting when a training is resumed.

    Args:
        config: The resolved config: ``seed_everything``, ``model``, ``data`` and the Trainer's settings that are
            not its defaults, as plain values.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self._machine: dict[str, Any] = {}

    def setup(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Note what the run runs on, and see that all processes are of one mind.

        Raises:
            UsageError: Another process was started with another config, on other data or with other versions.
        """
        device = device_name(trainer.strategy.root_device)
        self._machine = {**machine(), "device": device, "processes": trainer.world_size}
        if trainer.world_size > 1:
            digest = getattr(trainer.datamodule, "digest", lambda: None)()  # type: ignore[attr-defined]
            own = {**_flat(recipe(self.config)), "data": digest, **versions()}
            minds: list[dict[str, Any]] = [{}] * trainer.world_size
            all_gather_object(minds, own)
            _check_agreement(minds)

    def state_dict(self) -> dict[str, Any]:
        """Return what goes into a checkpoint."""
        return {
            **super().state_dict(),
            "config": self.config,
            "versions": versions(),
            "machine": self._machine,
        }


def recipe(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config less what is no part of a recipe, at every depth."""
    return {
        name: recipe(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in NO_PART_OF_A_RECIPE
    }


def same_training(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two resolved configs train the same network on the same data from the same seed, for however long."""
    return all(recipe(one)[part] == recipe(other)[part] for part in ("seed_everything", "model", "data"))


def recorded_run(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return what `RunRecord` put into a checkpoint: ``config``, ``versions``, ``machine`` and ``seconds``.

    Args:
        content: A whole checkpoint, as Lightning wrote it.

    Returns:
        The record, or None when there is none: weights alone, or a run that was not started by ``zoo fit``.
    """
    callbacks = content.get("callbacks")
    state = callbacks.get(RunRecord.__name__) if isinstance(callbacks, dict) else None
    if not isinstance(state, dict) or not isinstance(state.get("config"), dict):
        return None
    return {
        "config": state["config"],
        "versions": state["versions"],
        "machine": state["machine"],
        "seconds": state["time_elapsed"]["train"],
    }


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _check_agreement(minds: list[dict[str, Any]]) -> None:
    for rank, mind in enumerate(minds):
        for name in sorted(minds[0].keys() | mind.keys()):
            first, here = minds[0].get(name), mind.get(name)
            if first != here:
                raise UsageError(
                    f"Process {rank} has {name} {here!r} and process 0 has {first!r}: start all of them with the "
                    "same command, the same data and the same versions."
                )
