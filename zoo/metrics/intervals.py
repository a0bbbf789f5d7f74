"""Intervals for a number of errors: for another test set, and for further runs of a recipe."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache

Z_975 = 1.959964
"""The 97.5 % quantile of the standard normal distribution."""
DETECTION_PROBABILITY = 0.8
"""The probability with which a loss of `detectable_loss` is noticed."""


@cache
def t_975(degrees_of_freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution with 1 or more degrees of freedom.

    SciPy has it too, but takes longer to import than ``zoo info`` may take.
    """
    low, high = 0.0, math.pi / 2  # of the angle arctan(t / √ν), by which the central probability is a finite sum
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _central_probability(angle, degrees_of_freedom) < 0.95 else (low, angle)
    return math.sqrt(degrees_of_freedom) * math.tan(low)


def _central_probability(angle: float, degrees_of_freedom: int) -> float:
    """Return P(|T| < t) for t = √ν · tan(angle): Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    odd = degrees_of_freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(odd, degrees_of_freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total


def wilson_interval(errors: float, images: int) -> tuple[float, float]:
    """Return the lower and upper bound of the 95 % Wilson score interval of an error count, in images.

    The interval is for another test set: it accounts for the random choice of the test images, and not for another
    training, for which `prediction_interval` is. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 1927.

    Args:
        errors: The number of misclassified images, 0 to ``images``.
        images: The number of test images, at least 1.
    """
    rate, z2 = errors / images, Z_975**2
    center = (rate + z2 / (2 * images)) / (1 + z2 / images)
    half_width = Z_975 / (1 + z2 / images) * math.sqrt(rate * (1 - rate) / images + z2 / (4 * images**2))
    return max(0.0, center - half_width) * images, min(1.0, center + half_width) * images


def prediction_interval(errors: Sequence[int], further_runs: int, images: int) -> tuple[float, float]:
    """Return the 95 % prediction interval for the mean number of errors of further runs of a recipe.

    For n runs with mean E and sample standard deviation s, and k further runs, it is E ± t · max(s, √(E/2)) ·
    √(1/k + 1/n), where t is the 97.5 % quantile of Student's t distribution with n − 1 degrees of freedom.

    The floor √(E/2) is there because a few runs can be close together by chance. It is the noise that independent
    mistakes alone make (`independent_noise`); whatever else differs between trainings comes on top.

    A single run has no standard deviation. It is then taken to be 2 · √(E/2), and the quantile is the normal one: in
    studies of 50 and more runs, the standard deviations of the lecture's recipes were 0.8 to 2.2 times √(E/2).

    If errors are normally distributed, the interval contains the mean of further runs with a probability of at least
    95 %. The probability is more where the floor is above the true standard deviation, or may be above s: with a true
    standard deviation of 2 · √(E/2) it is 99 % for n = 3, 96.5 % for n = 5, and 95 % to 96 % from n = 10 on. For
    n = 1 it is at least 94 % up to that standard deviation, and 82 % at 3 · √(E/2).

    Args:
        errors: The test errors of 1 or more runs with different seeds.
        further_runs: The number k of further runs, at least 1.
        images: The number of test images.

    Returns:
        The lower and upper bound, from 0 to ``images``. They are rounded outward to multiples of 1/k, the values that a
        mean of k runs can have, so that for one run they are whole numbers.

    Raises:
        statistics.StatisticsError: There are no runs.
    """
    mean, count = statistics.fmean(errors), len(errors)
    quantile = t_975(count - 1) if count > 1 else Z_975
    half_width = quantile * _standard_deviation(errors) * math.sqrt(1 / further_runs + 1 / count)
    low = math.floor((mean - half_width) * further_runs) / further_runs
    high = math.ceil((mean + half_width) * further_runs) / further_runs
    return max(0.0, low), min(float(images), high)


def detectable_loss(errors: Sequence[int], further_runs: int, images: int) -> float:
    """Return the smallest worsening of a recipe that further runs would have shown.

    It is the smallest d such that the mean of k further runs is above the upper bound of `prediction_interval` with a
    probability of 80 %, if their errors are normally distributed around E + d, where E is the mean of the published
    runs, with the standard deviation of the interval: d = upper bound − E + 0.8416 · max(s, √(E/2)) / √k.

    Args:
        errors: The test errors of 1 or more runs with different seeds.
        further_runs: The number k of further runs, at least 1.
        images: The number of test images.

    Returns:
        The worsening of the mean, in errors.

    Raises:
        statistics.StatisticsError: There are no runs.
    """
    _, high = prediction_interval(errors, further_runs, images)
    z = statistics.NormalDist().inv_cdf(DETECTION_PROBABILITY)
    return high - statistics.fmean(errors) + z * _standard_deviation(errors) / math.sqrt(further_runs)


def independent_noise(errors: Sequence[int]) -> float:
    """Return √(E/2) for a mean of E errors: the standard deviation that independent mistakes alone make.

    Of 2E images that each training gets wrong or right as by the toss of a coin, it gets E wrong, with variance E/2.

    Raises:
        statistics.StatisticsError: There are no runs.
    """
    return math.sqrt(statistics.fmean(errors) / 2)


def _standard_deviation(errors: Sequence[int]) -> float:
    """Return the standard deviation to reckon with, as `prediction_interval` defines it."""
    floor = independent_noise(errors)
    return max(statistics.stdev(errors), floor) if len(errors) > 1 else 2 * floor
