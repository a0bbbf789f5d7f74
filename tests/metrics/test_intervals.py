from __future__ import annotations

import math

import pytest

from zoo.metrics.intervals import Z_975, reproduction_interval, t_975, wilson_interval


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


@pytest.mark.parametrize(("freedom", "point"), [(1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042)])
def test_student_s_points_are_the_printed_tables(freedom: int, point: float) -> None:
    assert t_975(freedom) == pytest.approx(point, abs=5e-4)


def test_a_reproduction_may_vary_as_the_seeds_do_and_as_a_test_set_does() -> None:
    # Far apart: Student's interval is the wider one.
    assert reproduction_interval([100, 200], 10_000) == (0, math.ceil(150 + 12.7062 * math.sqrt(5000) * math.sqrt(1.5)))
    # Close together by luck, or a single run: the interval of a count.
    low, high = wilson_interval(187, 10_000)
    assert reproduction_interval([187, 187, 187], 10_000) == (math.floor(low), math.ceil(high))
    assert reproduction_interval([187], 10_000) == (math.floor(low), math.ceil(high))
    assert reproduction_interval([187] * 20, 10_000) == (math.floor(low), math.ceil(high))
