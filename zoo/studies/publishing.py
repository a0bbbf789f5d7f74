"""Publishing of a study: its runs become published runs of a member or demonstration."""

from __future__ import annotations

from pathlib import Path

from zoo.pretrained.entries import Entry, LikelihoodEntry
from zoo.pretrained.loading import published_entry
from zoo.pretrained.publishing import publish_runs
from zoo.pretrained.registry import model_info
from zoo.pretrained.run_tables import ERROR_METRICS, LIKELIHOOD_METRICS, PublishedRun
from zoo.studies.recipe_runs import check_recipe, is_count
from zoo.studies.trial import Trial, read_trials
from zoo.utils.errors import UsageError


def publish_study(name: str, folder: Path) -> Entry | LikelihoodEntry:
    """Add the runs of a study to the published runs of a member or demonstration. The network that ships stays.

    Args:
        name: A member or demonstration that ships.
        folder: The folder of a study of seeds, of the published recipe as it is.

    Returns:
        The new index entry.

    Raises:
        UsageError: The study is of another recipe, a trial of it has failed, or `publish_runs` refuses its runs.
    """
    info = model_info(name)
    check_recipe(folder, published_entry(info)["config"])
    metrics = ERROR_METRICS if info.demonstration is None else LIKELIHOOD_METRICS
    return publish_runs(name, [_published_run(folder, trial, metrics) for trial in read_trials(folder)])


def _published_run(folder: Path, trial: Trial, names: tuple[str, ...]) -> PublishedRun:
    if trial.state != "finished":
        raise UsageError(
            f"Trial {trial.number} of {folder} has {trial.state}, and every run of a published study is reported: see "
            "why, and train it again."
        )
    found = {"test_errors": trial.test_errors, "val_accuracy": trial.val_accuracy, **trial.likelihood}
    missing = [name for name in names if name not in found or (name == "test_errors" and found[name] is None)]
    if missing:
        raise UsageError(f"Trial {trial.number} of {folder} has no {missing[0]}: `zoo study NAME --report` says more.")
    has_errors = trial.test_errors is None or is_count(trial, trial.test_images or 0)
    if not has_errors or not 0 <= (trial.val_accuracy or 0) <= 1:
        raise UsageError(f"Trial {trial.number} of {folder} has impossible metrics: its table is damaged.")
    metrics = {name: None if (value := found[name]) is None else _rounded(name, value) for name in names}
    return PublishedRun(trial.seed, metrics, round(trial.seconds, 1), dict(trial.machine), dict(trial.versions))


def _rounded(name: str, value: float) -> float:
    """Round a metric as a published network's is rounded."""
    return value if name == "test_errors" else round(value, 6 if name == "val_accuracy" else 4)
