"""How far a measured number of errors may lie from the true one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Z_975 = 1.959964
"""The normal distribution's 97.5 % point."""


def t_975(degrees_of_freedom: int) -> float:
    """Return the 97.5 % point of Student's t distribution with 1 or more degrees of freedom."""
    from scipy.special import stdtrit  # a quarter of a second that most verbs have no use for

    return float(stdtrit(degrees_of_freedom, 0.975))


def wilson_interval(errors: float, images: int) -> tuple[float, float]:
    """Return the 95 % score interval of an error count, in images.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. It says how much the
    count could differ on another test set of the same size drawn in the same way.

    Args:
        errors: Images that were wrong, 0 to ``images``.
        images: Images that were tested, at least 1.
    """
    rate, z2 = errors / images, Z_975**2
    centre = (rate + z2 / (2 * images)) / (1 + z2 / images)
    half = Z_975 / (1 + z2 / images) * math.sqrt(rate * (1 - rate) / images + z2 / (4 * images**2))
    return max(0.0, centre - half) * images, min(1.0, centre + half) * images


def reproduction_interval(errors: Sequence[int], images: int) -> tuple[int, int]:
    """Return the whole numbers of errors between which one more run of the recipe should fall.

    The wider, on each side, of two 95 % intervals around the mean of the runs: Student's prediction interval for
    one more run, mean ± t·s·√(1 + 1/n), and `wilson_interval` of the mean. The second is there because a few runs can
    lie close together by luck, and another processor's rounding leads a training elsewhere as another seed does.

    Args:
        errors: Test errors of 1 or more runs with different seeds; a single run has only the second interval.
        images: Images that were tested.

    Raises:
        statistics.StatisticsError: There are no runs.
    """
    count = len(errors)
    mean = statistics.fmean(errors)
    low, high = wilson_interval(mean, images)
    if count > 1:
        half = t_975(count - 1) * statistics.stdev(errors) * math.sqrt(1 + 1 / count)
        low, high = min(low, mean - half), max(high, mean + half)
    return max(0, math.floor(low)), min(images, math.ceil(high))
