"""The folder of a run of ``zoo fit``: ``logs/NAME/version_N``."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from zoo.utils.files import display_path


def logging_arguments(logger: Any, log_folder: str, run_name: str) -> tuple[dict[str, Any], Path | None]:
    """Return the Trainer's arguments for logging to a new folder, and that folder.

    Args:
        logger: The configured logger or loggers, or None, True or False. Configured loggers are left as they are, and
            there are no arguments and no folder.
        log_folder: The folder of all runs.
        run_name: The name of the run.
    """
    if logger not in (None, True, False):
        return {}, None
    tensorboard = TensorBoardLogger(log_folder, name=run_name)
    if logger is False:
        # Without a logger, Lightning would write to the current folder.
        return {"default_root_dir": tensorboard.log_dir}, Path(tensorboard.log_dir)
    csv = CSVLogger(log_folder, name=run_name, version=tensorboard.version)
    return {"logger": [tensorboard, csv]}, Path(tensorboard.log_dir)


def remove_empty_folder(folder: Path | None, trainer: Trainer, first_step: int) -> None:
    """Remove the new folder of a run that completed no step and saved no checkpoint.

    Args:
        folder: The folder; None means that there is no new one.
        trainer: The Trainer of the run.
        first_step: The step at which the run began.
    """
    if folder is None or not trainer.is_global_zero or trainer.global_step > first_step:
        return
    if folder.is_dir() and not list(folder.rglob("*.ckpt")):
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the parent folders are removed only if they are empty
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def print_test_command(config: Path, checkpoint: Path) -> None:
    """Print where a trained network is, and the command that tests it.

    Args:
        config: The config of the run.
        checkpoint: Its best or last checkpoint.
    """
    last = checkpoint.with_name("last.ckpt")
    # Show the link's shorter name if it points to the same file.
    shown = display_path(last if last.exists() and last.samefile(checkpoint) else checkpoint)
    command = ["zoo", "test", "--config", str(display_path(config)), "--ckpt_path", str(shown)]
    print(f"Checkpoint: {shown}\nTest it:    {shlex.join(command)}")
