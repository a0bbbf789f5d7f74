"""How far a measured number of errors may lie from the true one: intervals without a statistics library."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Z_975 = 1.959964
"""The normal distribution's 97.5 % point."""

# Student's t, 97.5 % point, by degrees of freedom 1 to 9: up to ten seeds.
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


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
        errors: Test errors of 1 to 10 runs with different seeds; a single run has only the second interval.
        images: Images that were tested.

    Raises:
        ValueError: There are no runs, or more than 10.
    """
    count = len(errors)
    if not 1 <= count <= 10:
        raise ValueError(f"{count} runs, but the interval is known for 1 to 10")
    mean = statistics.fmean(errors)
    low, high = wilson_interval(mean, images)
    if count > 1:
        half = T_975[count - 2] * statistics.stdev(errors) * math.sqrt(1 + 1 / count)
        low, high = min(low, mean - half), max(high, mean + half)
    return max(0, math.floor(low)), min(images, math.ceil(high))
