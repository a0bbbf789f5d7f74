"""A run's own account of itself, kept inside its checkpoints."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Timer
from torch.distributed import all_gather_object

from zoo.runs.recipe import first_difference, recipe
from zoo.utils.environment import device_name, machine, versions
from zoo.utils.errors import UsageError


class RunRecord(Callback):
    """Put into every checkpoint what the run was: its resolved config, versions, machine and seconds of training.

    A checkpoint so describes itself, wherever it is copied; `recorded_run` reads it back. The seconds go on counting
    when a training is resumed.

    Args:
        config: The resolved config: ``seed_everything``, ``model``, ``data`` and the Trainer's settings that are
            not its defaults, as plain values.
        checkpoint: Where the training goes on; None when it begins.
    """

    def __init__(self, config: dict[str, Any], checkpoint: Path | None = None) -> None:
        self.config = config
        self.checkpoint = checkpoint
        # Lightning's clock, held and not registered: a Trainer that finds one ignores its own max_time.
        self._timer = Timer()
        self._machine: dict[str, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note what the run is trained on, and see that all processes are of one mind.

        Raises:
            UsageError: Another process was started with another config, other data, another checkpoint or other
                versions.
        """
        if stage != "fit":
            return
        device = device_name(trainer.strategy.root_device)
        self._machine = {**machine(), "device": device, "processes": trainer.world_size}
        if trainer.world_size > 1:
            fingerprints: list[dict[str, Any]] = [{}] * trainer.world_size
            all_gather_object(fingerprints, self._fingerprint(trainer))
            for rank, fingerprint in enumerate(fingerprints):
                if difference := first_difference(fingerprints[0], fingerprint):
                    name, first, here = difference
                    raise UsageError(
                        f"Process {rank} has {name} {here!r} and process 0 has {first!r}: start all of them with the "
                        "same command, the same files and the same versions."
                    )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._timer.on_train_start(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._timer.on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return what goes into a checkpoint."""
        return {
            **self._timer.state_dict(),
            "config": self.config,
            "versions": versions(),
            "machine": self._machine,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting the seconds."""
        self._timer.load_state_dict(state_dict)

    def _fingerprint(self, trainer: Trainer) -> dict[str, Any]:
        digest = getattr(trainer.datamodule, "digest", None)  # type: ignore[attr-defined]
        resumed = hashlib.sha256(self.checkpoint.read_bytes()).hexdigest() if self.checkpoint else None
        return {
            **recipe(self.config),
            "versions": versions(),
            "digest of the training images": digest() if digest else None,
            "digest of the checkpoint": resumed,
        }
