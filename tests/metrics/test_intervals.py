from __future__ import annotations

import math

import pytest

from zoo.metrics.intervals import Z_975, reproduction_interval, t_975, wilson_interval


@pytest.mark.parametrize("errors", [1, 187, 5000, 9999])
def test_wilson_bounds_solve_the_score_equation(errors: int) -> None:
    images = 10_000
    for bound in wilson_interval(errors, images):
        p = bound / images
        assert (errors / images - p) ** 2 == pytest.approx(Z_975**2 * p * (1 - p) / images)


def test_wilson_interval_for_no_errors_and_for_errors_only() -> None:
    low, high = wilson_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(10 * Z_975**2 / (10 + Z_975**2))
    assert wilson_interval(10, 10)[1] == pytest.approx(10)


@pytest.mark.parametrize(("degrees_of_freedom", "quantile"), [(1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042)])
def test_student_s_quantiles_equal_those_of_printed_tables(degrees_of_freedom: int, quantile: float) -> None:
    assert t_975(degrees_of_freedom) == pytest.approx(quantile, abs=5e-4)


def test_the_reproduction_interval_is_the_wider_of_both_intervals() -> None:
    # Runs that differ much: Student's interval is the wider one.
    assert reproduction_interval([100, 200], 10_000) == (0, math.ceil(150 + 12.7062 * math.sqrt(5000) * math.sqrt(1.5)))
    # Runs that are close together, or a single run: Wilson's interval is the wider one.
    low, high = wilson_interval(187, 10_000)
    assert reproduction_interval([187, 187, 187], 10_000) == (math.floor(low), math.ceil(high))
    assert reproduction_interval([187], 10_000) == (math.floor(low), math.ceil(high))
    assert reproduction_interval([187] * 20, 10_000) == (math.floor(low), math.ceil(high))
