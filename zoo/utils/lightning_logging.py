"""Filters for log messages and warnings of Lightning that users cannot act on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Imported because this creates the log handlers that are filtered below.
import pytorch_lightning  # noqa: F401

from zoo.utils.printable import printable

# The beginnings of advertisements, and of messages on hardware and processes, which the zoo prints in its own line.
_DROPPED_PREFIXES = (
    "💡",
    "GPU available",
    "You are using a CUDA device",  # and its tensor cores: --float32_matmul_precision decides
    "LOCAL_RANK:",
    "Using bfloat16 Automatic Mixed Precision",
    "Using 16bit Automatic Mixed Precision",
    "TPU available",
    "HPU available",
    "`Trainer.fit` stopped",
    "Restor",
    "Found current_model_state",  # of averaged weights
    "\nDetected KeyboardInterrupt",
    "Loading `train_dataloader`",
    "Loaded model",
    "`weights_only` was not set",
    "Initializing distributed",
    "---",
)


_LOGGERS = ("pytorch_lightning", "lightning_fabric")


def quieten_lightning() -> None:
    """Drop the messages and warnings of Lightning that users cannot act on. May be called repeatedly."""
    # Metrics are logged once an epoch, so an epoch may be shorter than the logging interval.
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
    # Lightning 2.6 uses a deprecated torch feature internally.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # Both loggers write to the same folder, so it is not empty for the second one.
    warnings.filterwarnings("ignore", message="(?s)Experiment logs directory .* exists and is not empty")
    # Lightning gives checkpoints other names than those that are there.
    warnings.filterwarnings("ignore", message="(?s)Checkpoint directory .* exists and is not empty")
    # The first line of a training says what it runs on.
    warnings.filterwarnings("ignore", message="GPU available but not used")
    # Checkpoints are saved after complete steps in manual optimization too.
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    # Evaluation has no checkpoint callback, and a resumed training has its own folder.
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks used")
    warnings.filterwarnings("ignore", message="The dirpath has changed from")
    # A training begins anew unless a checkpoint is named, whatever callbacks there are.
    warnings.filterwarnings("ignore", message=r"`\.fit\(ckpt_path=None\)` was called without a model")
    # A network's own class reads its arguments, whichever version of Lightning wrote the file.
    warnings.filterwarnings("ignore", message="The loaded checkpoint was produced with Lightning")
    # Whose weights are in the checkpoint.
    warnings.filterwarnings("ignore", message="You're using the WeightAveraging callback, but loading a checkpoint")
    # Whether there are validation data is the user's choice.
    warnings.filterwarnings("ignore", message="You defined a `validation_step` but have no `val_dataloader`")
    # A training that `max_steps` ends before its first validation. The metric's name was checked before.
    warnings.filterwarnings("ignore", message="Early stopping conditioned on metric")
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            # A logger's filters do not apply to the records of its child loggers, so the handlers get the filter.
            handler.addFilter(_filter)


@contextmanager
def lightning_given_back() -> Iterator[None]:
    """Undo at the end of a block what `quieten_lightning` did within it."""
    handlers = [handler for name in _LOGGERS for handler in logging.getLogger(name).handlers]
    unfiltered = [handler for handler in handlers if _filter not in handler.filters]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for handler in unfiltered:
            handler.removeFilter(_filter)


def _filter(record: logging.LogRecord) -> bool:
    """Return whether a record is to be printed, and make the names in its lines printable."""
    message = record.getMessage()
    record.msg, record.args = "\n".join(printable(line) for line in message.split("\n")), ()
    return not message.startswith(_DROPPED_PREFIXES)
