"""One training of a study as a record, and the table of a study's trainings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from zoo.utils.errors import UsageError
from zoo.utils.files import open_file

TABLE = "trials.jsonl"
"""The table in a study's folder: one trial a line, as JSON."""
State = Literal["finished", "pruned", "failed"]
STATES = ("finished", "pruned", "failed")


@dataclass(frozen=True)
class Trial:
    """A training that has ended.

    Args:
        number: Its place in the study, from 0.
        seed: The seed of the training.
        settings: The settings that the study changed, by their names on the command line (``model.lr``).
        state: How it ended. One that was pruned was stopped early because its validation loss was among the worse half.
        val_losses: The validation loss after each epoch, as far as it was trained.
        val_loss: Of the network at the end; None unless it finished. So are the metrics that follow.
        val_accuracy: From 0 to 1.
        test_loss: Recorded, and never used to choose a setting.
        test_accuracy: From 0 to 1.
        test_errors: Misclassified test images.
        test_images: All test images.
        likelihood: Of an RBM, the metrics of its `zoo.rbm.likelihood.Likelihood` on the test images; empty otherwise.
        seconds: Of training.
        machine: The processor, the number of threads and the device, as `zoo.utils.environment.machine` gives them.
        versions: Of the zoo, Python and the libraries.
        message: Why it failed; empty otherwise.
    """

    number: int
    seed: int
    settings: Mapping[str, Any]
    state: State
    val_losses: tuple[float, ...] = ()
    val_loss: float | None = None
    val_accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_errors: int | None = None
    test_images: int | None = None
    likelihood: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    message: str = ""

    def to_json(self) -> str:
        """Return the trial as a line of JSON."""
        return json.dumps(asdict(self), sort_keys=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Trial:
        """Return the trial that a line of JSON describes.

        Raises:
            ValueError: The line is not a trial.
        """
        values = json.loads(text)
        names = {each.name for each in fields(cls)}
        if not isinstance(values, dict) or not {"number", "seed", "settings", "state"} <= values.keys() <= names:
            raise ValueError("not a trial")
        if values["state"] not in STATES or not isinstance(values["settings"], dict):
            raise ValueError("not a trial")
        return cls(**{**values, "val_losses": tuple(values.get("val_losses", ()))})


def read_trials(path: Path) -> list[Trial]:
    """Read a study's table.

    Args:
        path: The table, or the folder of the study.

    Returns:
        The trials, by number.

    Raises:
        UsageError: There is no table, or a line of it is not a trial, or a trial that was there before.
    """
    table = path / TABLE if path.is_dir() else path
    remedy = (
        "`zoo study NAME --report` writes it anew" if path.is_dir() else f"name the folder of a study, or its {TABLE}"
    )
    try:
        with open_file(table) as file:
            lines = file.read().decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"There is no table of a study in {path}: name the folder of a study.") from error
    try:
        trials = [Trial.from_json(line) for line in lines if line.strip()]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{table} is no table of a study: {remedy}.") from error
    if twice := [number for number, count in Counter(trial.number for trial in trials).items() if count > 1]:
        raise UsageError(f"{table} has trial {twice[0]} twice: {remedy}.")
    return sorted(trials, key=lambda trial: trial.number)


def format_table(trials: Iterable[Trial]) -> str:
    """Return the content of a table, by number."""
    return "".join(trial.to_json() + "\n" for trial in sorted(trials, key=lambda trial: trial.number))
