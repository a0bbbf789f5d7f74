"""``zoo study``: many trainings of one recipe as one study, on one machine or many."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ShortErrorParser
from zoo.cli.signals import raise_if_received
from zoo.utils.checks import MAX_COUNT, check_seeds
from zoo.utils.errors import UsageError
from zoo.utils.files import expand_user
from zoo.utils.wording import counted
from zoo.version import __version__

if TYPE_CHECKING:
    import argparse

    from zoo.cli.recipes import StudiedRecipe
    from zoo.studies.plan import Plan
    from zoo.studies.settings import SearchSpace
    from zoo.studies.storage import Storage
    from zoo.studies.trial import Trial
    from zoo.studies.worker import Progress

DEFAULT_FOLDER = Path("studies")
PICTURE = "study.png"


def run(verb: str, arguments: list[str]) -> int:
    """Work on a study until all its trials have ended, and return the exit status: 1 if a trial has failed."""
    options = _parse(arguments)
    if options.report:
        return _report(options)
    _check_numbers(options)

    from zoo.studies.settings import parse_settings

    space = parse_settings(options.set)
    is_sampled = _is_sampled(options, space)
    if is_sampled:
        from zoo.studies.proposals import import_optuna

        import_optuna()  # which may not be installed

    from zoo.cli.recipes import read_recipe
    from zoo.cli.study_settings import check_settings
    from zoo.studies.storage import Storage
    from zoo.studies.training import Recipe
    from zoo.studies.worker import Interrupted, Worker

    studied = read_recipe(options.config)
    if space.settings and not studied.is_classifier:
        raise UsageError(f"{studied.name} has no validation loss to choose settings by: give --seeds without --set.")
    if space.settings:
        check_settings(studied.settings, space)
    storage = Storage(_folder(options))
    storage.begin(_identity(options, studied, space, is_sampled))
    plan = _plan(options, storage, is_sampled)
    jobs = options.jobs or max(1, _available_cores() // options.threads)
    # Before the config, which may name another number. Lightning's own default is all GPUs.
    command = [sys.executable, "-P", "-m", "zoo", "fit", "--trainer.devices", "1"]
    recipe = Recipe(studied.name, studied.text, command, options.threads)
    worker = Worker(storage, plan, recipe, jobs, options.lease, options.keep_checkpoints, _print_progress)
    print(f"{studied.name}: {counted(plan.trials, 'trial')} in {storage.folder}, {jobs} at a time here", flush=True)
    raise_if_received()
    try:
        trials = worker.run()
    except Interrupted as interrupted:
        ended = worker.progress().ended
        print(
            f"zoo: Stopped. Of {counted(plan.trials, 'trial')} {ended} ended; the same line goes on with the others.",
            file=sys.stderr,
        )
        return 128 + interrupted.signal
    print()
    return _conclude(storage, trials, plan.trials)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = ShortErrorParser(
        prog="zoo study",
        description="Train a recipe many times, each training in a process of its own, and compare the results. The "
        "same line goes on with a study that was interrupted. On several machines with a common --storage it lets them "
        "share the work.",
    )
    parser.add_argument("config", metavar="NAME|CONFIG", help="a member, or the file of a config")
    parser.add_argument("--seeds", type=int, metavar="N", help="train with the seeds 0 to N - 1; more later go on")
    parser.add_argument("--first_seed", type=int, default=0, metavar="K", help="train with the seeds K to K + N - 1")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="train with each of some values of a setting: model.dropout=0.1,0.3,0.5; or, with --trials, with values "
        "from a range: model.lr=log:1e-4:1e-2, model.dropout=uniform:0.1:0.5, model.hidden_size=int:64:512",
    )
    parser.add_argument("--trials", type=int, metavar="M", help="sample so many settings; more later go on")
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe", help="default: %(default)s")
    parser.add_argument(
        "--no_pruning", action="store_true", help="train bad samples to their ends too, and stop none at the median"
    )
    parser.add_argument("--jobs", type=int, help="trainings at a time (default: the cores divided by --threads)")
    parser.add_argument("--threads", type=int, default=1, help="of each training (default: %(default)s)")
    parser.add_argument("--storage", metavar="DIR", help="the study's folder (default: studies/NAME)")
    parser.add_argument("--report", action="store_true", help="only say what the study has found so far")
    parser.add_argument("--keep_checkpoints", action="store_true", help="keep the trained networks")
    parser.add_argument(
        "--lease",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="after which other machines take over the trials of one that has vanished (default: %(default)g)",
    )
    return parser.parse_args(arguments)


def _report(options: argparse.Namespace) -> int:
    """Print the report of a study, write its table anew if that can be done, and return the exit status."""
    from zoo.studies.storage import Storage

    storage = Storage(_folder(options))
    record = storage.record()
    if record is None:
        raise UsageError(f"There is no study in {storage.folder}: name its folder by --storage.")
    if record["name"] != _recipe_name(options):
        raise UsageError(f"The study in {storage.folder} is of {record['name']}: name that, or another --storage.")
    return _conclude(storage, storage.results(), None)


def _conclude(storage: Storage, trials: Sequence[Trial], total: int | None) -> int:
    """Print the report of a study, write its table and picture, and return the exit status."""
    from zoo.studies.pictures import draw_study
    from zoo.studies.report import format_report
    from zoo.studies.settings import SearchSpace
    from zoo.studies.table import CSV_TABLE

    record = storage.record()
    assert record is not None
    print(format_report(str(record["name"]), trials, total), flush=True)
    try:
        storage.write_table()
        draw_study(trials, SearchSpace.from_json(record["settings"]), storage.folder / PICTURE)
        print(f"Table: {storage.folder / CSV_TABLE}\nPicture: {storage.folder / PICTURE}")
    except UsageError as error:  # a report can be read where the folder cannot be written to
        print(f"zoo: {error}", file=sys.stderr)
    return 1 if any(trial.state == "failed" for trial in trials) else 0


def _recipe_name(options: argparse.Namespace) -> str:
    from zoo.pretrained.registry import packaged_config

    return (packaged_config(options.config) or Path(options.config)).stem


def _folder(options: argparse.Namespace) -> Path:
    if options.storage == "":
        raise UsageError("--storage is empty: name a folder, or leave it out.")
    return expand_user(options.storage) if options.storage else DEFAULT_FOLDER / _recipe_name(options)


def _check_numbers(options: argparse.Namespace) -> None:
    for name in ("seeds", "trials", "jobs", "threads"):
        value = getattr(options, name)
        if value is not None and not 1 <= value <= MAX_COUNT:
            raise UsageError(f"--{name} is {value}, but it must be 1 to {MAX_COUNT}.")
    last_seed = options.first_seed + (options.seeds or 1) - 1
    check_seeds(**{"--first_seed": options.first_seed, "The last seed": last_seed})
    if options.first_seed and options.trials is not None:
        raise UsageError("--trials samples settings, each trained with the seed 0: leave out --first_seed.")
    if not 0 < options.lease < float("inf"):
        raise UsageError(f"--lease is {options.lease:g}, but it must be a number of seconds that is more than 0.")


def _is_sampled(options: argparse.Namespace, space: SearchSpace) -> bool:
    """Return whether the study samples settings.

    Raises:
        UsageError: It is not said how many trainings there are, or it is said twice.
    """
    if not space.settings:
        if options.trials is not None:
            raise UsageError("--trials is the number of settings to sample: give --set NAME=VALUES, or --seeds.")
        if options.seeds is None:
            raise UsageError("Say how many trainings there are to be: --seeds 30, for example.")
        return False
    if options.trials is not None and options.seeds is not None:
        raise UsageError("--trials samples settings, each trained with one seed: leave --seeds out, or --trials.")
    if options.trials is None and not space.is_grid:
        raise UsageError("--set has a range: say by --trials how many values are to be sampled.")
    return options.trials is not None


def _identity(
    options: argparse.Namespace, studied: StudiedRecipe, space: SearchSpace, is_sampled: bool
) -> dict[str, Any]:
    """Return what a study is of, as it is after it was written and read as JSON."""
    identity = {
        "name": studied.name,
        "zoo": __version__,
        "threads": options.threads,
        "settings": space.to_json(),
        "sampler": options.sampler if is_sampled else None,
        "pruning": is_sampled and not options.no_pruning,
        "config": studied.config,
        "first_seed": options.first_seed,
    }
    content: dict[str, Any] = json.loads(json.dumps(identity))
    return content


def _plan(options: argparse.Namespace, storage: Storage, is_sampled: bool) -> Plan:
    """Return the trials of a study that has begun."""
    from zoo.studies.plan import SeedsAndGrid
    from zoo.studies.proposals import SampledSettings
    from zoo.studies.settings import SearchSpace

    record = storage.record()
    assert record is not None
    # In the order in which the study was begun, which numbers the cells of a grid.
    space = SearchSpace.from_json(record["settings"])
    if is_sampled:
        pruning = not options.no_pruning
        return SampledSettings(storage.folder, space, options.trials, options.sampler, pruning=pruning)
    return SeedsAndGrid(options.seeds or 1, space.cells(), options.first_seed)


def _available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _print_progress(trial: Trial | None, progress: Progress) -> None:
    """Print a line on a trial that has ended, or on the wait for those of other workers."""
    counts = f"{progress.ended}/{progress.total} ended, {progress.running} running here, {progress.failed} failed"
    if progress.seconds_left is not None and progress.ended < progress.total:
        counts += f", about {_duration(progress.seconds_left)} left"
    print(f"{counts}   {_summary(trial) if trial else 'waiting for trials of other workers'}", flush=True)


def _summary(trial: Trial) -> str:
    settings = "".join(f" {name}={value}" for name, value in trial.settings.items())
    if trial.state == "failed":
        return f"trial {trial.number}, seed {trial.seed}{settings}: failed: {trial.message}"
    if trial.state == "pruned":
        return (
            f"trial {trial.number}, seed {trial.seed}{settings}: pruned after {counted(len(trial.val_losses), 'epoch')}"
        )
    # With settings the test errors are no part of it: a choice by them would come too easily.
    shown: dict[str, float | None] = {"val_loss": trial.val_loss}
    if not settings:
        shown |= {"errors": trial.test_errors, "log_likelihood": trial.likelihood.get("log_likelihood")}
    metrics = [
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value:,}"
        for name, value in shown.items()
        if value is not None
    ]
    return f"trial {trial.number}, seed {trial.seed}{settings}: {', '.join(metrics)}, {trial.seconds:.1f} s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
