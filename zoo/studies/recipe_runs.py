"""The runs of one recipe: those that were published with a member, or those of a study."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.pretrained.registry import DEFAULT_DATA, list_models, model_info, read_demonstrations
from zoo.pretrained.run_tables import hardware_of, short_processor
from zoo.runs.recipe import callback_classes, first_difference, recipe, with_callbacks_by_number
from zoo.studies.storage import RECORD
from zoo.studies.trial import Trial, read_trials
from zoo.utils.class_paths import default_arguments, import_class
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.files import open_file


@dataclass(frozen=True)
class RecipeRuns:
    """The test errors of runs of one recipe with different seeds.

    Args:
        name: A member's name, or the folder of a study.
        errors: Misclassified test images of each run.
        images: All test images.
        seeds: The seed of each run.
        hardware: The processor, or the GPU, of these runs; empty if it is not known.
        elsewhere: How many more runs were made on other processors and GPUs. They are other trainings.
        without_result: How many more runs failed or were stopped early.
    """

    name: str
    errors: tuple[int, ...]
    images: int
    seeds: tuple[int, ...] = ()
    hardware: str = ""
    elsewhere: int = 0
    without_result: int = 0

    def __str__(self) -> str:
        """Describe the runs in one line: how many, mean and standard deviation, and where they were made."""
        count, lost = len(self.errors), self.without_result
        spread = f" ± {statistics.stdev(self.errors):.1f}" if count > 1 else ""
        parts = [f"{self.name}: {statistics.fmean(self.errors):,.1f}{spread} errors, n = {count}"]
        parts[0] += f" on {short_processor(self.hardware)}" if self.hardware else ""
        if self.elsewhere:
            parts.append(f"{self.elsewhere} more on other processors, not counted")
        if lost:
            parts.append(f"{lost} more failed or {'were' if lost > 1 else 'was'} stopped early, not counted")
        return "; ".join(parts)


def recipe_runs(name: str) -> RecipeRuns:
    """Return the published runs of a member, or the runs of a study, on the processor or GPU with most of them.

    Args:
        name: A member that ships trained, or the folder of a study. A folder of a member's name is ``./NAME``.

    Raises:
        UsageError: The name is unknown, the member has no published runs, or `study_runs` refuses the study.
    """
    if name not in list_models() and name not in read_demonstrations():
        if Path(name).exists():
            return study_runs(Path(name))
        raise unknown_name("member or study", name, list_models(pretrained=True))
    metrics = model_info(name).metrics
    if metrics is None:
        reason = "is no classifier" if name in read_demonstrations() else "has no published runs"
        raise UsageError(
            f"{name} {reason}: name a member that `zoo list --pretrained` shows, or the folder of a study."
        )
    return RecipeRuns(
        name,
        tuple(run["test_errors"] for run in metrics["runs"]),
        metrics["test_images"],
        tuple(run["seed"] for run in metrics["runs"]),
        metrics["runs_on"],
        sum(len(others["runs"]) for others in metrics["elsewhere"]),
    )


def study_runs(folder: Path) -> RecipeRuns:
    """Return the runs of a study of seeds, on the processor or GPU with most of them; of equally many the first name's.

    Args:
        folder: The folder of the study, or its table.

    Raises:
        UsageError: There is no table of a study, its trials have several settings or test sets, or none has a result.
    """
    trials = read_trials(folder)
    settings = {json.dumps(trial.settings, sort_keys=True) for trial in trials}
    if len(settings) > 1:
        raise UsageError(
            f"{folder} has runs of {len(settings)} settings: name a study of one, made with `--seeds` alone."
        )
    ended = [trial for trial in trials if trial.test_errors is not None]
    if not ended:
        raise UsageError(f"No run in {folder} has a result: `zoo study NAME --report` says why.")
    images = {trial.test_images for trial in ended}
    (first, *others) = images
    if others or not isinstance(first, int) or not all(is_count(trial, first) for trial in ended):
        raise UsageError(
            f"{folder} has no numbers of errors on one test set: `zoo study NAME --report` writes it anew."
        )
    by_hardware: dict[str, list[Trial]] = {}
    for trial in ended:
        by_hardware.setdefault(hardware_of(trial.machine) if trial.machine else "", []).append(trial)
    hardware = min(by_hardware, key=lambda name: (-len(by_hardware[name]), name))
    counted = by_hardware[hardware]
    return RecipeRuns(
        str(folder),
        tuple(trial.test_errors for trial in counted if trial.test_errors is not None),
        first,
        tuple(trial.seed for trial in counted),
        hardware,
        len(ended) - len(counted),
        len(trials) - len(ended),
    )


def is_count(trial: Trial, images: int) -> bool:
    """Return whether a trial has a number of errors that is possible on so many test images."""
    errors: Any = trial.test_errors
    return isinstance(errors, int) and not isinstance(errors, bool) and 0 <= errors <= images


def check_same_test_set(runs: Sequence[RecipeRuns]) -> None:
    """Check that recipes were tested on equally many images.

    Raises:
        UsageError: They were not.
    """
    for other in runs[1:]:
        if other.images != runs[0].images:
            raise UsageError(
                f"{runs[0].name} was tested on {runs[0].images:,} images and {other.name} on {other.images:,}: their "
                "errors cannot be compared."
            )


def check_recipe(folder: Path, published: dict[str, Any]) -> None:
    """Check that a study is of a published recipe, whatever its seeds.

    Args:
        folder: The folder of the study, or its table.
        published: The resolved config of the recipe.

    Raises:
        UsageError: The study changes a setting, is of another recipe, or does not say of which.
    """
    changed = sorted({name for trial in read_trials(folder) for name in trial.settings})
    if changed:
        raise UsageError(f"The study {folder} sets {', '.join(changed)}: name one of the published recipe as it is.")
    path = (folder if folder.is_dir() else folder.parent) / RECORD
    try:
        with open_file(path) as file:
            config = {"data": {"class_path": DEFAULT_DATA}, "trainer": {}, **json.loads(file.read())["config"]}
        if not all(isinstance(config[part], dict) for part in ("model", "data", "trainer")):
            raise ValueError
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"{path} does not say which recipe the study is of: name the whole folder of a study."
        ) from error
    if difference := recipe_difference(published, config):
        setting, there, here = difference
        raise UsageError(
            f"The study {folder} is of another recipe: {setting} is {here!r}, but {there!r} in the published one."
        )


def recipe_difference(published: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the name and both values of the first setting of a training that differs, but for the seed.

    An argument that a config does not set has the default value of its class.

    Args:
        published: A resolved config. Only classes that it names are imported.
        other: A config, resolved or not.
    """
    classes = {part: published[part]["class_path"] for part in ("model", "data")}
    for part, class_path in classes.items():
        if other[part].get("class_path") != class_path:
            return f"{part}.class_path", class_path, other[part].get("class_path")
    callbacks, others = callback_classes(published), callback_classes(other)
    if callbacks != others:
        return "trainer.callbacks", callbacks, others
    return first_difference(_complete(published, classes), _complete(other, classes))


def _complete(config: dict[str, Any], classes: dict[str, str]) -> dict[str, Any]:
    """Return the settings of a training with all arguments, as JSON has them, so that a tuple equals a list."""
    complete: dict[str, Any] = {"trainer": with_callbacks_by_number(config, defaults=True)["trainer"]}
    for part, class_path in classes.items():
        complete[part] = {**default_arguments(import_class(class_path)), **(config[part].get("init_args") or {})}
    settings: dict[str, Any] = json.loads(json.dumps(recipe(complete), default=str))
    return settings
