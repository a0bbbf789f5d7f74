"""The tables of published runs: ``checkpoints/studies/NAME.csv`` has every run of a recipe, on every processor.

A line is a run: its seed, its metrics, the seconds of its training, the machine and the versions of the packages.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.pretrained.registry import table_path
from zoo.utils.errors import UsageError

ERROR_METRICS = ("test_errors", "val_accuracy")
"""The metrics of a classifier in a table."""
LIKELIHOOD_METRICS = (
    *("log_likelihood", "log_likelihood_low", "log_likelihood_high"),
    *("log_partition", "log_partition_reverse", "effective_chains"),
)
"""The metrics of an RBM in a table."""
_MACHINE, _VERSION = "machine.", "versions."
_WHOLE_NUMBERS = ("seed", "test_errors", "machine.cores", "machine.threads", "machine.processes")


@dataclass(frozen=True)
class PublishedRun:
    """A run of a published recipe.

    Args:
        seed: The seed of the training.
        metrics: The metrics of the network at its end: `ERROR_METRICS` or `LIKELIHOOD_METRICS`. An accuracy is None if
            the recipe has no validation images.
        seconds: The duration of training and validation together.
        machine: The machine, as the record of a run has it.
        versions: The versions of Python and the packages.
    """

    seed: int
    metrics: Mapping[str, float | None]
    seconds: float
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]

    @property
    def hardware(self) -> str:
        """The processor, or the GPU, on which the run was trained."""
        return hardware_of(self.machine)


def hardware_of(machine: Mapping[str, object]) -> str:
    """Return the name of the processor, or of the GPU, of a machine as the record of a run has it."""
    device = str(machine.get("device", ""))
    processor = str(machine.get("processor", "an unknown processor"))
    return processor if device.startswith("CPU") or not device else device


def short_processor(name: str) -> str:
    """Return the name of a processor without trademark signs: ``Intel Xeon`` for ``Intel(R) Xeon(R) Processor``."""
    return re.sub(r"\((?:R|TM)\)|\s+Processor$", "", name).strip()


def read_table(path: Path) -> list[PublishedRun]:
    """Read a table.

    Returns:
        The runs by hardware and seed; empty if there is no table.

    Raises:
        UsageError: The file is damaged.
    """
    if not path.is_file():
        return []
    try:
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        if "seed" not in (rows.fieldnames or ()):
            raise ValueError("no column for the seed")
        return _sorted(_run(row) for row in rows)
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UsageError(f"{path} is no table of published runs ({error!r}): install the package again.") from error


def format_table(runs: Iterable[PublishedRun]) -> str:
    """Return a table as text, by hardware and seed."""
    runs = _sorted(runs)
    columns = list(dict.fromkeys(column for run in runs for column in _row(run)))
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(run) for run in runs)
    return output.getvalue()


def merge_runs(name: str, published: Sequence[PublishedRun], further: Sequence[PublishedRun]) -> list[PublishedRun]:
    """Add further runs to those that were published.

    Args:
        name: The member or demonstration, for errors.
        published: The runs in its table.
        further: More runs of the same recipe. One with the same seed and hardware as a published one has its metrics.

    Returns:
        All runs, by hardware and seed.

    Raises:
        UsageError: A run differs from a published one, or the seeds of a kind of hardware are not 0, 1, 2, ….
    """
    runs = {(run.hardware, run.seed): run for run in published}
    for run in further:
        before = runs.setdefault((run.hardware, run.seed), run)
        if dict(before.metrics) != dict(run.metrics):
            (metric, old), (_, new) = next(
                pair for pair in zip(before.metrics.items(), run.metrics.items(), strict=True) if pair[0] != pair[1]
            )
            raise UsageError(
                f"The run of {name} with seed {run.seed} on {run.hardware} was published with {metric} {old}, and this "
                f"one has {new}: a published run stays. Remove {table_path(name)} to publish all runs of a new version."
            )
    for hardware in dict.fromkeys(run.hardware for run in runs.values()):
        seeds = sorted(run.seed for run in runs.values() if run.hardware == hardware)
        if seeds != list(range(len(seeds))):
            raise UsageError(
                f"The runs of {name} on {hardware} have the seeds {seeds}, but those that are published are 0, 1, 2, … "
                "without a gap: every run is reported."
            )
    return _sorted(runs.values())


def _sorted(runs: Iterable[PublishedRun]) -> list[PublishedRun]:
    return sorted(runs, key=lambda run: (run.hardware, run.seed))


def _row(run: PublishedRun) -> dict[str, object]:
    return {
        "seed": run.seed,
        **{name: "" if value is None else value for name, value in run.metrics.items()},
        "seconds": run.seconds,
        **{f"{_MACHINE}{name}": value for name, value in run.machine.items()},
        **{f"{_VERSION}{name}": value for name, value in run.versions.items()},
    }


def _run(row: Mapping[str, str]) -> PublishedRun:
    values = {name: int(text) if name in _WHOLE_NUMBERS else text for name, text in row.items() if text != ""}
    metrics = LIKELIHOOD_METRICS if LIKELIHOOD_METRICS[0] in row else ERROR_METRICS
    return PublishedRun(
        seed=int(row["seed"]),
        metrics={
            name: int(row[name]) if name in _WHOLE_NUMBERS else float(row[name]) if row[name] else None
            for name in metrics
        },
        seconds=float(row["seconds"]),
        machine={name.removeprefix(_MACHINE): values[name] for name in values if name.startswith(_MACHINE)},
        versions={name.removeprefix(_VERSION): row[name] for name in values if name.startswith(_VERSION)},
    )
