"""The distribution of the results of published runs, as the index has it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from zoo.metrics.intervals import prediction_interval, t_975
from zoo.pretrained.run_tables import PublishedRun

PERCENTILES = (2.5, 25, 50, 75, 97.5)
RUNS_FOR_PERCENTILES = 30
"""With fewer runs the outer percentiles would be little more than the least and the largest number."""


def error_distribution(runs: Sequence[PublishedRun], images: int) -> dict[str, Any]:
    """Return the fields of a `zoo.pretrained.entries.ErrorDistribution`, and the other distributions ``elsewhere``.

    Args:
        runs: The runs on all kinds of hardware, 1 or more.
        images: The number of test images.
    """
    return _with_others(runs, "test_errors", lambda of_hardware: _errors(of_hardware, images))


def likelihood_distribution(runs: Sequence[PublishedRun]) -> dict[str, Any]:
    """Return the fields of a `zoo.pretrained.entries.LikelihoodDistribution`, and the other ones ``elsewhere``.

    Args:
        runs: The runs on all kinds of hardware, 1 or more.
    """
    return _with_others(runs, "log_likelihood", _likelihoods)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of the mean by Student's t distribution; None for a single value."""
    if len(values) < 2:
        return None
    half_width = t_975(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half_width, statistics.fmean(values) + half_width


def _with_others(runs: Sequence[PublishedRun], metric: str, describe: Any) -> dict[str, Any]:
    """Describe the hardware with most runs, and ``elsewhere`` the others by name, each compared with the first."""
    by_hardware: dict[str, list[PublishedRun]] = {}
    for run in sorted(runs, key=lambda run: (run.hardware, run.seed)):
        by_hardware.setdefault(run.hardware, []).append(run)
    # Of equally many runs those of the first name.
    first, *others = sorted(by_hardware, key=lambda name: -len(by_hardware[name]))
    return {
        **{"runs_on": first, **describe(by_hardware[first])},
        "elsewhere": [
            {
                **{"runs_on": other, **describe(by_hardware[other])},
                "p_value": _p_value(*([run.metrics[metric] for run in by_hardware[name]] for name in (first, other))),
            }
            for other in others
        ],
    }


def _errors(runs: Sequence[PublishedRun], images: int) -> dict[str, Any]:
    errors = [int(run.metrics["test_errors"] or 0) for run in runs]
    low, high = prediction_interval(errors, 1, images)
    percentiles = None
    if len(errors) >= RUNS_FOR_PERCENTILES:
        # The 39 cut points at multiples of 2.5 %, interpolated linearly as NumPy does.
        cuts = statistics.quantiles(errors, n=40, method="inclusive")
        percentiles = {f"{percent:g}": round(cuts[round(percent / 2.5) - 1], 6) for percent in PERCENTILES}
    return {
        "runs": [
            {
                "seed": run.seed,
                "test_errors": run.metrics["test_errors"],
                "val_accuracy": run.metrics["val_accuracy"],
                "seconds": run.seconds,
            }
            for run in runs
        ],
        **_moments("errors", errors),
        "errors_percentiles": percentiles,
        "one_more_run": [round(low), round(high)],
    }


def _likelihoods(runs: Sequence[PublishedRun]) -> dict[str, Any]:
    return {
        "runs": [{"seed": run.seed, **run.metrics, "seconds": run.seconds} for run in runs],
        **_moments("log_likelihood", [run.metrics["log_likelihood"] or 0.0 for run in runs]),
    }


def _moments(name: str, values: Sequence[float]) -> dict[str, Any]:
    interval = mean_interval(values)
    return {
        f"{name}_mean": round(statistics.fmean(values), 6),
        f"{name}_sd": round(statistics.stdev(values), 6) if len(values) > 1 else None,
        f"{name}_mean_ci95": None if interval is None else [round(bound, 6) for bound in interval],
    }


def _p_value(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """Return the p-value of Student's t-test with a common variance.

    Welch's test would take the variance of three runs that agree by chance for the variance of the recipe.
    """
    from scipy.stats import ttest_ind

    if len(first) + len(second) < 3 or len({*first}) == len({*second}) == 1:
        return None
    return float(f"{float(ttest_ind(first, second, equal_var=True).pvalue):.3g}")
