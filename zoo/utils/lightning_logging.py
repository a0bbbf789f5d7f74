"""Keeping what nobody can act on out of the way of what a user wants to read."""

from __future__ import annotations

import logging
import warnings

# For its handlers: there are none to filter before it is imported.
import pytorch_lightning  # noqa: F401

# Lightning's advertisement, and an inventory of hardware and processes that our own first line replaces.
_DROPPED = (
    "💡",
    "GPU available",
    "TPU available",
    "HPU available",
    "`Trainer.fit` stopped",
    "Restor",
    "\nDetected KeyboardInterrupt",
    "Loading `train_dataloader`",
    "Loaded model",
    "Initializing distributed",
    "---",
)


def quieten_lightning() -> None:
    """Drop those of Lightning's lines and warnings that say nothing to do; call as often as you like."""
    # We log once an epoch, so an epoch may well be shorter than the interval between logged steps.
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
    # torch deprecates what Lightning 2.6 uses inside.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # The second logger writes into the first one's folder, which is therefore not empty.
    warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
    # A checkpoint is of what the step has made, whoever made the step.
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    # Evaluation needs no checkpoint callback, and a training that goes on has a folder of its own.
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks used")
    warnings.filterwarnings("ignore", message="The dirpath has changed from")
    for name in ("pytorch_lightning", "lightning_fabric"):
        for handler in logging.getLogger(name).handlers:
            # A handler sees the records of every module below it, and a logger only its own.
            handler.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_DROPPED)
