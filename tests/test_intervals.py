from __future__ import annotations

import math

import pytest
import torch

from zoo.intervals import T_975, Z_975, reproduction_interval, wilson_interval


@pytest.mark.parametrize("errors", [1, 187, 5000, 9999])
def test_wilson_s_bounds_solve_the_score_equation(errors: int) -> None:
    images = 10_000
    for bound in wilson_interval(errors, images):
        p = bound / images
        assert (errors / images - p) ** 2 == pytest.approx(Z_975**2 * p * (1 - p) / images)


def test_wilson_at_the_ends() -> None:
    low, high = wilson_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(10 * Z_975**2 / (10 + Z_975**2))
    assert wilson_interval(10, 10)[1] == pytest.approx(10)


@pytest.mark.parametrize(("freedom", "point"), list(enumerate(T_975, start=1)))
def test_student_s_points_leave_2_5_percent_above(freedom: int, point: float) -> None:
    # With t = √ν·tan θ the upper tail is ∫ cos^(ν−1) θ dθ from the point's angle to π/2, over the same from −π/2.
    def integral(start: float) -> float:
        theta = torch.linspace(start, math.pi / 2, 1_000_001, dtype=torch.float64)
        return float(torch.trapezoid(theta.cos().clamp(min=0) ** (freedom - 1), theta))

    tail = integral(math.atan(point / math.sqrt(freedom))) / integral(-math.pi / 2)
    assert tail == pytest.approx(0.025, abs=2e-5)


def test_a_reproduction_may_vary_as_the_seeds_do_and_as_a_test_set_does() -> None:
    # Far apart: Student's interval is the wider one.
    assert reproduction_interval([100, 200], 10_000) == (0, math.ceil(150 + 12.706 * math.sqrt(5000) * math.sqrt(1.5)))
    # Close together by luck, or a single run: the interval of a count.
    low, high = wilson_interval(187, 10_000)
    assert reproduction_interval([187, 187, 187], 10_000) == (math.floor(low), math.ceil(high))
    assert reproduction_interval([187], 10_000) == (math.floor(low), math.ceil(high))
    for wrong in ([], [1] * 11):
        with pytest.raises(ValueError, match="known for 1 to 10"):
            reproduction_interval(wrong, 10_000)
