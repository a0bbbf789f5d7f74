"""Confidence and prediction intervals for a number of errors."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Z_975 = 1.959964
"""The 97.5 % quantile of the standard normal distribution."""


def t_975(degrees_of_freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution with 1 or more degrees of freedom."""
    from scipy.special import stdtrit  # takes 0.25 s to import, and most verbs do not need it

    return float(stdtrit(degrees_of_freedom, 0.975))


def wilson_interval(errors: float, images: int) -> tuple[float, float]:
    """Return the lower and upper bound of the 95 % Wilson score interval of an error count, in images.

    The interval accounts for the random choice of the test images. Wilson, "Probable inference, the law of succession,
    and statistical inference", JASA 1927.

    Args:
        errors: The number of misclassified images, 0 to ``images``.
        images: The number of test images, at least 1.
    """
    rate, z2 = errors / images, Z_975**2
    center = (rate + z2 / (2 * images)) / (1 + z2 / images)
    half_width = Z_975 / (1 + z2 / images) * math.sqrt(rate * (1 - rate) / images + z2 / (4 * images**2))
    return max(0.0, center - half_width) * images, min(1.0, center + half_width) * images


def reproduction_interval(errors: Sequence[int], images: int) -> tuple[int, int]:
    """Return the smallest and largest number of errors that are expected from one more run of the recipe.

    On each side the bound is the wider one of two 95 % intervals around the mean of the runs: Student's prediction
    interval for one more run, mean ± t·s·√(1 + 1/n), and `wilson_interval` of the mean. The second one is included
    because a few runs can be close together by chance. Moreover, rounding on another processor changes a training as
    another seed does.

    Args:
        errors: The test errors of 1 or more runs with different seeds. For a single run only the second interval is
            used.
        images: The number of test images.

    Raises:
        statistics.StatisticsError: There are no runs.
    """
    count = len(errors)
    mean = statistics.fmean(errors)
    low, high = wilson_interval(mean, images)
    if count > 1:
        half_width = t_975(count - 1) * statistics.stdev(errors) * math.sqrt(1 + 1 / count)
        low, high = min(low, mean - half_width), max(high, mean + half_width)
    return max(0, math.floor(low)), min(images, math.ceil(high))
