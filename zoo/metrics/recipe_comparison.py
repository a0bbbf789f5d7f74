"""Comparison of two recipes by the errors of their runs, and the correction of several p-values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

RESAMPLES = 9_999
"""How often the runs are resampled for the bootstrap interval."""


@dataclass(frozen=True)
class RecipeDifference:
    """How the mean numbers of errors of two recipes differ, first minus second.

    Args:
        mean: The difference of the means.
        p_value: Of Welch's t-test that both recipes have the same mean.
        welch: Its 95 % confidence interval of the difference.
        bootstrap: The 95 % bootstrap interval of the difference.
    """

    mean: float
    p_value: float
    welch: tuple[float, float]
    bootstrap: tuple[float, float]


def compare_recipes(first: Sequence[int], second: Sequence[int]) -> RecipeDifference:
    """Compare the mean numbers of errors of two recipes.

    Welch's t-test takes the runs of each recipe to be normally distributed, with a variance of its own. For the
    bootstrap interval the runs of each recipe are drawn with replacement, as many as there are, 9,999 times with seed
    0; the interval is from the 2.5 % to the 97.5 % quantile of the differences of the means (the percentile method).
    It takes no distribution for granted, but of fewer than some ten runs it is too narrow. Welch, "The generalization
    of 'Student's' problem when several different population variances are involved", Biometrika 1947.

    Args:
        first: The test errors of 2 or more runs.
        second: The same of the other recipe, not all equal if all of the first are.

    Raises:
        ValueError: A recipe has a single run, or neither has runs that differ.
    """
    import numpy as np
    from scipy.stats import bootstrap, ttest_ind

    if min(len(first), len(second)) < 2 or len(set(first)) == len(set(second)) == 1:
        raise ValueError("without runs that differ, nothing is known of their spread")
    samples = tuple(np.array(errors, dtype=np.float64) for errors in (first, second))
    with warnings.catch_warnings():
        # Of one recipe all runs may be equal: its variance is 0, exactly.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        test = ttest_ind(*samples, equal_var=False)
    welch = test.confidence_interval(0.95)
    resampled = bootstrap(
        samples,
        lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return RecipeDifference(
        mean=float(samples[0].mean() - samples[1].mean()),
        p_value=float(test.pvalue),
        welch=(float(welch.low), float(welch.high)),
        bootstrap=(float(resampled.low), float(resampled.high)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of several tests by Holm's method.

    Of m p-values in ascending order, the i-th becomes the largest of (m − j + 1) · p_j over j = 1 … i, and at most 1.
    If all with a corrected p-value of at most α are called significant, the probability that any of them is so by
    chance is at most α. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 1979.

    Args:
        p_values: From 0 to 1, in any order.

    Returns:
        The corrected p-values, in the same order.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
