"""What ``zoo fit`` keeps in the folder of its run, wherever loggers and checkpoint callbacks of a config write."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import yaml
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from zoo.callbacks.metrics_file import METRICS_FILE_VARIABLE, MetricsFile
from zoo.callbacks.run_record import RunRecord
from zoo.cli.resolved_config import plain_settings
from zoo.cli.trackers import in_run_folder, log_config
from zoo.runs.checkpoint import Checkpoint
from zoo.runs.folders import clear_abandoned_checkpoints
from zoo.runs.record import read_run_record
from zoo.runs.run import Run
from zoo.utils.files import display_path, write_bytes


class RunConfig(SaveConfigCallback):
    """Saves the config in the folder of the run, and not where the first logger of a config writes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "save_to_log_dir": False})
        self.folder: Path | None = None

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the config; called in the first process only."""
        if self.folder is not None and stage == "fit":
            text = yaml.safe_dump(plain_settings(self.parser, self.config, skip_default=False), sort_keys=False)
            path = self.folder / self.config_filename
            write_bytes(path, text.encode(), replace=True)
            log_config(trainer.loggers, path)


class FitRun:
    """The run of a ``zoo fit``, which has a folder once training begins.

    Args:
        parent: The folder of the runs of this name.
        config: The resolved config.
        checkpoint: What the training is resumed from; None for a new one.
        default_loggers: Whether the config leaves the loggers to the zoo.
    """

    def __init__(
        self, parent: Path, config: dict[str, Any], checkpoint: Checkpoint | None, *, default_loggers: bool
    ) -> None:
        self.parent = parent
        self.config = config
        self.default_loggers = default_loggers
        resumed = read_run_record(checkpoint.content) if checkpoint else None
        self.first_step = checkpoint.content["global_step"] if checkpoint else 0
        self.continues = str(resumed["run"]) if resumed else ""
        self.run: Run | None = None

    def begin(self, trainer: Any) -> None:
        """Claim a folder, and let the Trainer's loggers and callbacks write to it.

        In other processes than the first nothing is claimed: they write nothing, and learn the folder from the first.

        Raises:
            UsageError: The folder cannot be made.
        """
        if getattr(rank_zero_only, "rank", 0) != 0:
            return
        run = self.run = Run.claim(self.parent)
        place: dict[str, Any] = {
            "save_dir": str(self.parent.parent),
            "name": self.parent.name,
            "version": run.folder.name,
        }
        trainer.loggers = in_run_folder(trainer.loggers, place)
        if self.default_loggers:
            trainer.loggers = [TensorBoardLogger(default_hp_metric=False, **place), CSVLogger(**place)]
        folders = []
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(run.folder.absolute() / "checkpoints")
            if path := getattr(callback, "dirpath", None):
                folders.append(Path(path).absolute())
        for callback in trainer.callbacks:
            if isinstance(callback, RunConfig):
                callback.folder = run.folder
            if isinstance(callback, RunRecord):
                callback.run_id = run.id
        if metrics_file := os.environ.get(METRICS_FILE_VARIABLE):
            # First, so that an epoch whose checkpoint is saved has its metrics in the file.
            trainer.callbacks.insert(0, MetricsFile(Path(metrics_file)))
        self.run = run.record(self.config, list(dict.fromkeys(folders)), self.continues)
        clear_abandoned_checkpoints(self.parent)

    def abandon(self, trainer: Trainer) -> None:
        """Remove the folder again where no step was made and no checkpoint saved."""
        if self.run is not None and trainer.is_global_zero and trainer.global_step <= self.first_step:
            self.run.remove_if_empty()


def print_checkpoint(config: Path, checkpoint: Path, verb: str | None) -> None:
    """Print where a trained network is, and the command that tests it or predicts with it.

    Args:
        config: The config of the run.
        checkpoint: Its best or last checkpoint.
        verb: ``test``, ``predict``, or None without test images.
    """
    last = checkpoint.with_name("last.ckpt")
    # Show the link's shorter name if it points to the same file.
    shown = display_path(last if last.exists() and last.samefile(checkpoint) else checkpoint)
    if verb != "test":
        print(f"Test set:   there are no test images{' with labels' if verb else ''}, so the network was not tested")
    print(f"Checkpoint: {shown}")
    if verb:
        command = ["zoo", verb, "--config", display_path(config), "--ckpt_path", shown]
        print(f"{'Test it:' if verb == 'test' else 'Predict:'}    {shlex.join(command)}")
