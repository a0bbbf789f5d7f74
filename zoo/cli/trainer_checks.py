"""Defaults of the Trainer's settings, and checks of settings that Lightning accepts but fails on later."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from typing import Any

from jsonargparse import Namespace

from zoo.cli.trackers import check_trackers
from zoo.utils.errors import UsageError
from zoo.utils.files import check_local

LOW_PRECISIONS = ("16-true", "bf16-true", "transformer-engine", "transformer-engine-float16")
"""Precisions that store the weights in 16 bits or fewer."""
DEFAULT_MAX_EPOCHS = 15
"""As in most of the lecture. Lightning's own default is 1,000."""

SPLITTING_STRATEGIES = ("fsdp", "deepspeed", "modelparallel")
"""Parts of the names of strategies that give each device only a part of the network."""
PATH_SETTINGS = ("default_root_dir", "dirpath", "save_dir")
"""Settings of the Trainer, its callbacks and loggers that name a folder."""

# The smallest valid value of each setting.
_MINIMUMS = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "num_nodes": 1,
    "log_every_n_steps": 1,
    "limit_train_batches": 0,
    "limit_val_batches": 0,
    "limit_test_batches": 0,
    "limit_predict_batches": 0,
    "min_epochs": 0,
    "min_steps": 0,
    "num_sanity_val_steps": -1,
}


# Environment variables that torchrun, SLURM, LSF and MPI set.
_LAUNCHERS = {"MASTER_ADDR", "SLURM_JOB_ID", "SLURM_NTASKS", "LSB_JOBID", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}


def set_default_max_epochs(trainer: Any) -> None:
    """Set ``max_epochs`` to `DEFAULT_MAX_EPOCHS` unless the length of training is configured.

    Args:
        trainer: The Trainer's settings by name, modified in place.

    Raises:
        UsageError: ``trainer`` is not a mapping of settings by name.
    """
    if not isinstance(trainer, Namespace):
        raise UsageError(f"trainer is {trainer!r}, but it must be settings by name, max_epochs: 15 for example.")
    if trainer.max_epochs is None and trainer.max_steps == -1 and trainer.max_time is None:
        trainer.max_epochs = DEFAULT_MAX_EPOCHS


def set_default_devices(trainer: Any) -> None:
    """Set ``devices`` to the number of processes that torchrun started on this machine, unless it is configured.

    Args:
        trainer: The Trainer's settings by name, modified in place.
    """
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    if trainer.devices == "auto" and processes.isdigit():
        trainer.devices = int(processes)


def complete_settings(verb: str, settings: Namespace) -> None:
    """Set defaults of the Trainer and check its settings, before any object is created.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
        settings: The settings of the verb, modified in place.

    Raises:
        UsageError: As for `check_trainer`, `check_paths` and `check_trackers`.
    """
    set_default_max_epochs(settings.trainer)
    set_default_devices(settings.trainer)
    check_trainer(verb, settings.trainer)
    check_paths(settings)
    check_trackers(settings.trainer.get("logger"))
    checkpoint = settings.get("checkpoint")
    if not isinstance(checkpoint, Namespace):
        raise UsageError(f"checkpoint is {checkpoint!r}, but it must be settings by name, save_top_k: 2 for example.")
    if (interval := checkpoint.get("train_time_interval")) is not None and interval <= timedelta():
        raise UsageError(f"checkpoint.train_time_interval is {interval}, but it must be more than 0.")


def check_seed_everything(seed: int | bool | None) -> int | bool:
    """Return the seed of everything that is random; true draws one, false leaves things unseeded.

    Raises:
        UsageError: It is null, or out of range.
    """
    if seed is None:
        raise UsageError("seed_everything is null: give a number, true to draw one, or false to seed nothing.")
    if not isinstance(seed, bool) and not 0 <= seed < 2**32:
        raise UsageError(f"seed_everything is {seed}, but a seed is 0 to {2**32 - 1}.")
    return seed


def draw_seed() -> int:
    """Return a seed at random, the same on all processes that Lightning starts: Lightning's own default is 0.

    Raises:
        UsageError: Another program started the processes, each of which would draw its own.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0" and (drawn := os.environ.get("PL_GLOBAL_SEED")):
        return int(drawn)
    if any(int(os.environ.get(name) or 1) > 1 for name in ("WORLD_SIZE", "SLURM_NTASKS")):
        raise UsageError("seed_everything is true, and each process would draw a seed of its own: give a number.")
    return secrets.randbelow(2**32)


def use_double_precision(trainer: Any, model: Any) -> None:
    """Convert a network to the precision 64-true if the Trainer has it.

    Lightning does this after it has loaded a checkpoint, whose weights are rounded by then.

    Raises:
        UsageError: The device has no double precision.
    """
    if trainer.precision != "64-true":
        return
    if trainer.strategy.root_device.type == "mps":
        raise UsageError("Apple's GPUs have no precision 64-true: add --trainer.accelerator cpu.")
    model.double()


def _check_durations(trainer: Any) -> None:
    for name in ("max_time", "val_check_interval"):
        value = trainer.get(name)
        if isinstance(value, str | dict | timedelta) and _seconds(name, value) <= 0:
            raise UsageError(f"trainer.{name} is {value}, but it must be more than 0.")


def _seconds(name: str, value: str | dict[str, float] | timedelta) -> float:
    """Return the seconds of a duration in one of the forms that Lightning takes."""
    try:
        if isinstance(value, str):
            days, hours, minutes, seconds = (int(part) for part in value.strip().split(":"))
            value = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        elif isinstance(value, dict):
            value = timedelta(**value)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(
            f"trainer.{name} is {value}, but a duration is days:hours:minutes:seconds, 00:01:30:00 for example."
        ) from error
    return value.total_seconds()


def _check_gradient_clipping(trainer: Any) -> None:
    limit = trainer.get("gradient_clip_val")
    if isinstance(limit, int | float) and not 0 < limit < float("inf"):
        raise UsageError(
            f"trainer.gradient_clip_val is {limit}, which clips nothing: take a number that is more than 0, or leave "
            "it out."
        )
    if limit is None and trainer.get("gradient_clip_algorithm") is not None:
        raise UsageError("trainer.gradient_clip_algorithm is of no effect without trainer.gradient_clip_val: add that.")


def _check_strategy(trainer: Any) -> None:
    """Refuse strategies that split a network over several devices.

    Raises:
        UsageError: The strategy is one of them.
    """
    strategy = trainer.get("strategy")
    name = str(getattr(strategy, "class_path", strategy)).rpartition(".")[2]
    if any(kind in name.lower().replace("_", "") for kind in SPLITTING_STRATEGIES):
        raise UsageError(
            f"The strategy {name} splits a network that is too large for one device, and those of the zoo are small: "
            "take ddp, in which each device has the whole network and a part of each batch."
        )


def check_paths(settings: Any) -> None:
    """Check that the folders in settings of any depth are local ones, before anything writes to them.

    Raises:
        UsageError: A folder is a URL, or no path.
    """
    if isinstance(settings, list):
        for item in settings:
            check_paths(item)
    for name, value in vars(settings).items() if isinstance(settings, Namespace) else ():
        if name in PATH_SETTINGS and isinstance(value, str | os.PathLike):
            check_local(os.fspath(value), name)
        else:
            check_paths(value)


def check_trainer(verb: str, trainer: Any) -> None:
    """Check the Trainer's settings before any object is created.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
        trainer: The Trainer's settings by name.

    Raises:
        UsageError: A setting is out of range, or needs something that the program or the machine does not have.
    """
    for name, minimum in _MINIMUMS.items():
        value = trainer.get(name)
        if isinstance(value, int | float) and not minimum <= value < float("inf"):
            raise UsageError(f"trainer.{name} is {value}, but it must be {minimum} or more.")
    if verb == "fit":
        for name in ("max_epochs", "max_steps", "limit_train_batches"):
            if trainer.get(name) == 0:
                raise UsageError(f"trainer.{name} is 0, which leaves nothing to train.")
    for name in ("min_epochs", "min_steps"):
        least, most = trainer.get(name), trainer.get(name.replace("min", "max"))
        if least and most is not None and 0 <= most < least:
            raise UsageError(f"trainer.{name} is {least}, but training ends after {most}: raise the maximum as well.")
    interval = trainer.get("val_check_interval")
    if isinstance(interval, int | float) and not interval > 0:
        raise UsageError(f"trainer.val_check_interval is {interval}, but it must be more than 0.")
    _check_durations(trainer)
    _check_gradient_clipping(trainer)
    _check_strategy(trainer)
    split = {"validate": "val", "test": "test", "predict": "predict"}.get(verb)
    if split and trainer.get(f"limit_{split}_batches") == 0:
        raise UsageError(f"trainer.limit_{split}_batches is 0, which leaves nothing to {verb}.")
    if verb == "fit" and str(trainer.get("precision")) in LOW_PRECISIONS:
        raise UsageError(
            f"precision {trainer.get('precision')} keeps the weights themselves in 16 bits or less, too coarse for the "
            "small steps of training: choose 32-true, bf16-mixed or 16-mixed."
        )
    if trainer.get("num_nodes", 1) > 1 and not _LAUNCHERS & os.environ.keys():
        raise UsageError(
            f"trainer.num_nodes is {trainer.get('num_nodes')}, so the processes are started by torchrun or srun on "
            "each machine: see configs/trainer/multi_node.yaml and slurm.yaml."
        )
