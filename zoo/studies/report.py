"""What a study has found, as text."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo.metrics.intervals import prediction_interval
from zoo.pretrained.distributions import mean_interval
from zoo.pretrained.run_tables import hardware_of
from zoo.studies.trial import Trial
from zoo.utils.wording import counted

SHOWN_CELLS = 10
"""How many settings are listed."""
SHOWN_FAILURES = 5
"""How many failed trials are listed."""


def format_report(name: str, trials: Sequence[Trial], total: int | None = None) -> str:
    """Return a report of a study.

    Runs on different kinds of processors, or GPUs, are reported apart, because they are different trainings. Where the
    study changed settings, one is chosen by the mean validation loss, and the test errors of that one alone are shown.

    Args:
        name: The name of the study.
        trials: The trials that have ended.
        total: The number of all trials, if it is known.
    """
    states = {state: sum(trial.state == state for trial in trials) for state in ("finished", "pruned", "failed")}
    ended = ", ".join(f"{count} {state}" for state, count in states.items() if count or state == "finished")
    if total is not None and total < len(trials):
        total = None  # an earlier command has made more
    number = len(trials) if total is None else total
    of_all = "" if total is None else f"{len(trials)} of "
    lines = [f"{name}: {of_all}{counted(number, 'trial')} {'has' if number == 1 else 'have'} ended ({ended})"]
    finished = [trial for trial in trials if trial.state == "finished"]
    if any(trial.settings for trial in trials):
        lines += _settings_lines(trials)
        chosen = chosen_settings(trials)
        if chosen is None:
            lines.append("No setting is chosen, because no trial has a validation loss.")
        else:
            lines.append(f"Chosen by validation: {_format_settings(chosen)}")
            if chosen != dict(min(_cells(trials), key=_mean_loss)[0].settings):
                lines.append("Settings with a trial that failed or was pruned were passed over; train these again.")
            lines += _error_lines([trial for trial in finished if dict(trial.settings) == chosen])
    else:
        lines += _error_lines(finished)
    failed = [trial for trial in trials if trial.state == "failed"]
    for trial in failed[:SHOWN_FAILURES]:
        settings = f" with {_format_settings(trial.settings)}" if trial.settings else ""
        lines.append(f"Trial {trial.number} (seed {trial.seed}{settings}) failed: {trial.message}")
    if len(failed) > SHOWN_FAILURES:
        lines.append(f"{len(failed) - SHOWN_FAILURES} more trials failed.")
    return "\n".join(lines)


def chosen_settings(trials: Iterable[Trial]) -> dict[str, Any] | None:
    """Return the settings with the lowest mean validation loss over their seeds; of equal ones the first.

    Settings with a trial that failed or was pruned are chosen only if there are no others. None if no trial has a
    validation loss.
    """
    best = min(
        (cell for cell in _cells(trials) if math.isfinite(_mean_loss(cell))),
        key=lambda cell: (any(trial.state != "finished" for trial in cell), _mean_loss(cell), cell[0].number),
        default=None,
    )
    return None if best is None else dict(best[0].settings)


def _cells(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Return the trials of each setting."""
    cells: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        cells.setdefault(json.dumps(dict(trial.settings), sort_keys=True), []).append(trial)
    return list(cells.values())


def _mean_loss(cell: Sequence[Trial]) -> float:
    """Return the mean validation loss of the finished trials; infinite without any, or if it is not a number."""
    losses = [trial.val_loss for trial in cell if trial.state == "finished" and trial.val_loss is not None]
    mean = statistics.fmean(losses) if losses else math.inf
    return mean if math.isfinite(mean) else math.inf


def _settings_lines(trials: Sequence[Trial]) -> list[str]:
    cells = sorted(_cells(trials), key=lambda cell: (_mean_loss(cell), cell[0].number))
    lines = ["Validation loss (mean ± standard deviation over the runs) by setting, the lowest first:"]
    for cell in cells[:SHOWN_CELLS]:
        losses = [trial.val_loss for trial in cell if trial.state == "finished" and trial.val_loss is not None]
        loss = "–"
        if losses:
            spread = f" ± {statistics.stdev(losses):.4f}" if len(losses) > 1 else ""
            loss = f"{statistics.fmean(losses):.4f}{spread}"
        others = [
            f", {count} {state}" for state in ("pruned", "failed") if (count := sum(t.state == state for t in cell))
        ]
        lines.append(f"  {loss}   n {len(losses)}{''.join(others)}   {_format_settings(cell[0].settings)}")
    if len(cells) > SHOWN_CELLS:
        lines.append(f"  and {len(cells) - SHOWN_CELLS} more, which the table has")
    return lines


def _error_lines(finished: Sequence[Trial]) -> list[str]:
    """Return a line on the test errors of each kind of processor."""
    machines: dict[str, list[Trial]] = {}
    for trial in finished:
        machines.setdefault(hardware_of(trial.machine), []).append(trial)
    return [line for machine, runs in sorted(machines.items()) for line in _machine_lines(machine, runs)]


def _machine_lines(machine: str, runs: Sequence[Trial]) -> list[str]:
    errors = [trial.test_errors for trial in runs if trial.test_errors is not None]
    if not errors and (likelihoods := log_likelihoods(runs)):
        return [f"On {machine}:", f"  test log-likelihood in nats: {', '.join(_moments(likelihoods, '.2f'))}"]
    if not errors:
        return [f"On {machine}: n {len(runs)}, without a test set"]
    images = max(trial.test_images or 0 for trial in runs) or max(errors)
    low, high = prediction_interval(errors, 1, images)
    parts = [*_moments(errors, ",.1f"), f"one more run {low:,.0f} to {high:,.0f}"]
    return [f"On {machine}:", f"  test errors of {images:,} images: {', '.join(parts)}"]


def _moments(values: Sequence[float], form: str) -> list[str]:
    parts = [f"n {len(values)}", f"mean {statistics.fmean(values):{form}}"]
    if (interval := mean_interval(values)) is not None:
        parts.append(f"standard deviation {statistics.stdev(values):{form}}")
        parts.append(f"95 % interval of the mean {interval[0]:{form}} to {interval[1]:{form}}")
    return parts


def log_likelihoods(trials: Sequence[Trial]) -> list[float]:
    """Return the log-likelihoods of the test images of the trials that have one: trials of an RBM."""
    return [trial.likelihood["log_likelihood"] for trial in trials if "log_likelihood" in trial.likelihood]


def _format_settings(settings: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()
    )
