"""A study's folder: what it is a study of, its trials, and its table.

::

    study.json                       what the study is of; written once
    trials.jsonl, trials.csv         the table of all trials that have ended
    study.png                        its picture
    optuna.log                       what Optuna knows of them, where settings are sampled
    trials/00007/proposal.json       what the trial trains; written once
    trials/00007/claim-N.json        who trains it (`zoo.studies.claims`)
    trials/00007/attempt-N/          the run of that claim: its output, metrics and checkpoints
    trials/00007/result.json         how it ended; written once
    workers/                         a file of each worker
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.runs.recipe import first_difference
from zoo.studies.plan import Proposal
from zoo.studies.table import CSV_TABLE, format_csv
from zoo.studies.trial import TABLE, Trial, format_table
from zoo.utils.errors import UsageError
from zoo.utils.files import create_exclusively, open_file, write_bytes

RECORD = "study.json"
_COMPARED = {
    "name": "the recipe",
    "zoo": "zoo",
    "threads": "--threads",
    "first_seed": "--first_seed",
    "sampler": "--sampler",
    "pruning": "pruning",
}
"""What a study has in common with the one in its folder, and what it is called in an error."""
_ADDED_LATER = {"first_seed": 0}
"""What studies of older versions do not say, and have in common."""
FORMAT = 1
"""The version of the layout of the folder."""


class Storage:
    """A study's folder.

    Args:
        folder: The folder, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results: dict[int, Trial] = {}

    def record(self) -> dict[str, Any] | None:
        """Return what the study is of, or None if there is no study in the folder.

        Raises:
            UsageError: The folder or its record cannot be read.
        """
        content = _read(self.folder / RECORD)
        if content is not None and content.get("format") != FORMAT:
            raise UsageError(f"{self.folder / RECORD} is of another version of zoo: name another --storage.")
        if content is not None and not {"name", "settings", "config"} <= content.keys():
            raise _damaged_record(self.folder / RECORD)
        return content

    def check(self, expected: Mapping[str, Any]) -> bool:
        """Check that a study can be begun in the folder, or that the one there is the expected one.

        Args:
            expected: ``name``, ``config``, ``zoo``, ``threads``, ``settings``, ``sampler``, ``pruning``
                and ``first_seed``.

        Returns:
            Whether there is a study in the folder.

        Raises:
            UsageError: The folder holds another study or other files, or cannot be written to.
        """
        found = self.record()
        if found is not None:
            _check_same(self.folder, found, expected)
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise UsageError(f"{self.folder} holds other files and no study: name another --storage.")
        existing = next(path for path in (self.folder, *self.folder.absolute().parents) if os.path.lexists(path))
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise UsageError(f"Cannot write to {existing}: name another --storage.")
        return found is not None

    def begin(self, expected: Mapping[str, Any]) -> None:
        """Begin the study, or join the one that is in the folder.

        Args:
            expected: As for `check`.

        Raises:
            UsageError: As for `check`.
        """
        if not self.check(expected):
            content = json.dumps({"format": FORMAT, **expected}, indent=1, ensure_ascii=False)
            if not create_exclusively(self.folder / RECORD, content.encode()):
                self.check(expected)  # another worker has begun a study at the same moment

    def trial_folder(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / "trials" / f"{number:05}"

    def proposal(self, number: int) -> Proposal | None:
        """Return what a trial trains, or None if that is not stored yet."""
        path = self.trial_folder(number) / "proposal.json"
        content = _read(path)
        try:
            return None if content is None else Proposal(**content)
        except TypeError as error:
            raise UsageError(f"{path} is damaged: remove the folder of this trial.") from error

    def store_proposal(self, number: int, proposal: Proposal) -> Proposal:
        """Store what a trial trains, unless that is stored, and return what is stored."""
        path = self.trial_folder(number) / "proposal.json"
        if create_exclusively(path, json.dumps(asdict(proposal)).encode()):
            return proposal
        return self.proposal(number) or proposal

    def result(self, number: int) -> Trial | None:
        """Return how a trial ended, or None if it has not ended.

        Raises:
            UsageError: The result is damaged.
        """
        if number not in self._results:
            path = self.trial_folder(number) / "result.json"
            try:
                with open_file(path) as file:
                    text = file.read().decode()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise _cannot_read(path, error) from error
            try:
                self._results[number] = Trial.from_json(text)
            except (ValueError, TypeError) as error:
                raise UsageError(f"{path} is damaged: remove the folder of this trial.") from error
        return self._results[number]

    def results(self) -> list[Trial]:
        """Return all trials that have ended, by number."""
        try:
            names = os.listdir(self.folder / "trials")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _cannot_read(self.folder, error) from error
        numbers = sorted(int(name) for name in names if re.fullmatch(r"\d{5,}", name))
        return [result for number in numbers if (result := self.result(number)) is not None]

    def store_result(self, trial: Trial) -> bool:
        """Store how a trial ended, and return whether it had no result before. The first result stays."""
        return create_exclusively(self.trial_folder(trial.number) / "result.json", trial.to_json().encode())

    def write_table(self) -> list[Trial]:
        """Write the table of all trials that have ended, and return them.

        Raises:
            UsageError: The folder cannot be written to.
        """
        written: list[Trial] | None = None
        # Another worker may store a result and write its table while this one still has an older list. Its table would
        # then be replaced by the older one.
        while (trials := self.results()) != written:
            write_bytes(self.folder / TABLE, format_table(trials).encode(), replace=True)
            write_bytes(self.folder / CSV_TABLE, format_csv(trials).encode(), replace=True)
            written = trials
        return trials


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, or None if there is no such file."""
    try:
        with open_file(path) as file:
            content = json.loads(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot_read(path, error) from error
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        if path.name == RECORD:
            raise _damaged_record(path)
        raise UsageError(f"{path} is damaged: remove the folder of this trial.")
    return content


def _damaged_record(path: Path) -> UsageError:
    return UsageError(
        f"{path} is damaged: name another --storage. What has ended can still be read in {path.parent / CSV_TABLE}."
    )


def _cannot_read(path: Path, error: OSError) -> UsageError:
    return UsageError(f"Cannot read {path}: {error.strerror or error}; name another --storage.")


def _check_same(folder: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise an error if a study is not the expected one."""
    if found.get("settings") != expected.get("settings"):
        raise UsageError(f"The study in {folder} was begun with another --set: name another --storage.")
    for name, description in _COMPARED.items():
        before, now = ({**_ADDED_LATER, **study}.get(name) for study in (found, expected))
        if before != now:
            raise UsageError(
                f"The study in {folder} was begun with {description} {before}, and this is {now}: name another "
                "--storage."
            )
    if difference := first_difference(dict(found.get("config") or {}), dict(expected["config"])):
        setting, before, now = difference
        raise UsageError(
            f"The study in {folder} was begun with {setting} {before!r}, and this recipe has {now!r}: name another "
            "--storage."
        )
