"""The table of a study's trials as CSV, with a column for each setting."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from zoo.studies.trial import Trial

CSV_TABLE = "trials.csv"
"""The table in a study's folder, for spreadsheets."""
_COLUMNS = ("val_loss", "val_accuracy", "test_loss", "test_accuracy", "test_errors", "test_images", "seconds")


def format_csv(trials: Sequence[Trial]) -> str:
    """Return the trials as CSV, by number. Lists and empty values are written as JSON has them.

    The columns are ``number``, ``seed`` and ``state``, the settings, the metrics, those of an RBM's likelihood, the
    machine as ``machine.processor``, the versions as ``versions.torch``, and ``message``.
    """
    settings = _names(trial.settings for trial in trials)
    machine = _names(trial.machine for trial in trials)
    versions = _names(trial.versions for trial in trials)
    likelihood = _names(trial.likelihood for trial in trials)
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    prefixed = [*(f"machine.{name}" for name in machine), *(f"versions.{name}" for name in versions)]
    writer.writerow(["number", "seed", "state", *settings, *_COLUMNS, *likelihood, *prefixed, "message"])
    for trial in sorted(trials, key=lambda trial: trial.number):
        row: list[Any] = [trial.number, trial.seed, trial.state]
        row += [_cell(trial.settings[name]) if name in trial.settings else "" for name in settings]
        row += ["" if (value := getattr(trial, name)) is None else value for name in _COLUMNS]
        row += [trial.likelihood.get(name, "") for name in likelihood]
        row += [trial.machine.get(name, "") for name in machine]
        row += [trial.versions.get(name, "") for name in versions]
        writer.writerow([*row, trial.message])
    return output.getvalue()


def _names(mappings: Any) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _cell(value: Any) -> Any:
    return value if isinstance(value, str) else json.dumps(value)
