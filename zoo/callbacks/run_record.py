"""A callback that stores the config, versions, machine and training time of a run in its checkpoints."""

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
    """Store the resolved config, the versions, the machine and the training time of a run in every checkpoint.

    `read_run_record` reads the record. The training time accumulates over resumed runs.

    Args:
        config: The resolved config as plain values: ``seed_everything``, ``model``, ``data`` and the settings of the
            Trainer that differ from their defaults.
        checkpoint: The checkpoint to resume from; None for a new training.
    """

    def __init__(self, config: dict[str, Any], checkpoint: Path | None = None) -> None:
        self.config = config
        self.checkpoint = checkpoint
        self.run_id = ""
        """The id of the run, once it has a folder."""
        # Not registered as a callback: a Trainer that finds a Timer ignores its own max_time.
        self._timer = Timer()
        self._machine: dict[str, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Record the machine, and check that all processes run the same training.

        Raises:
            UsageError: The config, data, checkpoint or versions of a process differ from those of process 0.
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
                    name, first, found = difference
                    raise UsageError(
                        f"Process {rank} has {name} {found!r} and process 0 has {first!r}: start all of them with the "
                        "same command, the same files and the same versions."
                    )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the timer."""
        self._timer.on_train_start(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the timer."""
        self._timer.on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the record."""
        return {
            **self._timer.state_dict(),
            "config": self.config,
            "versions": versions(),
            "machine": self._machine,
            "run": self.run_id,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the training time so far."""
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
