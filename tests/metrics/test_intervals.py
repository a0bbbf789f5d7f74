from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy.special import stdtrit

from zoo.metrics.intervals import Z_975, detectable_loss, prediction_interval, t_975, wilson_interval

IMAGES = 10_000


@pytest.mark.parametrize("errors", [1, 187, 5000, 9999])
def test_wilson_bounds_solve_the_score_equation(errors: int) -> None:
    for bound in wilson_interval(errors, IMAGES):
        p = bound / IMAGES
        assert (errors / IMAGES - p) ** 2 == pytest.approx(Z_975**2 * p * (1 - p) / IMAGES)


def test_wilson_interval_for_no_errors_and_for_errors_only() -> None:
    low, high = wilson_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(10 * Z_975**2 / (10 + Z_975**2))
    assert wilson_interval(10, 10)[1] == pytest.approx(10)


@pytest.mark.parametrize(("degrees_of_freedom", "quantile"), [(1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042)])
def test_student_s_quantiles_equal_those_of_printed_tables(degrees_of_freedom: int, quantile: float) -> None:
    assert t_975(degrees_of_freedom) == pytest.approx(quantile, abs=5e-4)


def test_student_s_quantiles_equal_those_of_scipy() -> None:
    for degrees_of_freedom in [*range(1, 60), 99, 100, 999, 1000]:
        expected = pytest.approx(stdtrit(degrees_of_freedom, 0.975), rel=1e-8)  # SciPy 1.11 errs by 4e-9
        assert t_975(degrees_of_freedom) == expected


def test_the_prediction_interval_of_runs_that_differ_much() -> None:
    # n = 2: t = 12.7062, s = 28.2843, above the floor √(420/2) = 14.4914.
    half_width = 12.7062047 * 28.2842712 * math.sqrt(1 / 2 + 1 / 1)
    assert prediction_interval([400, 440], 1, IMAGES) == (0, math.ceil(420 + half_width)) == (0, 861)
    # n = 3: t = 4.302653, s = 20 and the floor √(200/2) = 10; for k = 4 further runs √(1/4 + 1/3) = 0.763763.
    half_width = 4.302653 * 20 * 0.763763
    assert half_width == pytest.approx(65.724, abs=1e-3)
    assert prediction_interval([180, 200, 220], 4, IMAGES) == (134.25, 265.75)


def test_the_prediction_interval_of_runs_that_are_close_together_by_chance() -> None:
    # n = 3: s = 1.1547 is below the floor √(186.333/2) = 9.6523; 4.302653 · 9.6523 · √(4/3) = 47.955.
    assert prediction_interval([187, 185, 187], 1, IMAGES) == (138, 235)
    assert prediction_interval([200, 200, 200], 1, IMAGES) == prediction_interval([195, 200, 205], 1, IMAGES)


def test_the_prediction_interval_of_a_single_run_takes_its_deviation_for_twice_the_floor() -> None:
    # 1.959964 · 2 · √(200/2) · √(1 + 1) = 55.436; for four further runs · √(1/4 + 1) = 43.826.
    assert prediction_interval([200], 1, IMAGES) == (144, 256)
    assert prediction_interval([200], 4, IMAGES) == (156, 244)


def test_bounds_are_rounded_outward_and_stay_within_the_test_set() -> None:
    for runs in (1, 2, 3, 7, 10):
        low, high = prediction_interval([180, 200, 221], runs, IMAGES)
        half_width = 4.302653 * statistics.stdev([180, 200, 221]) * math.sqrt(1 / runs + 1 / 3)
        assert 0 <= (200 + 1 / 3 - half_width) - low < 1 / runs
        assert 0 <= high - (200 + 1 / 3 + half_width) < 1 / runs
        assert low * runs == pytest.approx(round(low * runs))
    assert prediction_interval([2, 9990], 1, IMAGES) == (0, IMAGES)


def test_more_runs_and_more_further_runs_make_the_interval_narrower() -> None:
    def width(published: int, further: int) -> float:
        low, high = prediction_interval([200] * published, further, IMAGES)
        return high - low

    assert width(3, 1) > width(5, 1) > width(10, 1) > width(30, 1)
    assert width(10, 1) > width(10, 3) > width(10, 10)


def test_an_interval_needs_runs() -> None:
    with pytest.raises(statistics.StatisticsError):
        prediction_interval([], 1, IMAGES)


def coverage(published: int, further: int, mean: int, deviation: float, draws: int) -> float:
    """Return how often the interval contains the mean of further runs, as normally distributed whole numbers."""
    generator = np.random.default_rng([published, further, mean, round(deviation * 1000)])
    runs = generator.normal(mean, deviation, (draws, published + further)).round().clip(0).astype(int)
    inside = 0
    for row in runs.tolist():
        low, high = prediction_interval(row[:published], further, IMAGES)
        inside += low <= statistics.fmean(row[published:]) <= high
    return inside / draws


def check_coverage(published: int, further: int, mean: int, multiple: float, draws: int) -> None:
    """Check the coverage for a true standard deviation that is so many times the floor.

    The interval covers too much where few runs may deviate less than the floor although their recipe does not: with
    n = 3 up to any multiple, with n = 5 up to twice the floor.
    """
    found = coverage(published, further, mean, multiple * math.sqrt(mean / 2), draws)
    error = 3 * math.sqrt(0.05 * 0.95 / draws)  # of the simulation
    assert found >= 0.94 - error
    if multiple >= 2 and (published >= 10 or (published == 5 and multiple >= 3)):
        assert abs(found - 0.95) <= 0.01 + error
    if multiple == 2 and published < 10:
        assert found == pytest.approx({3: 0.992, 5: 0.965}[published], abs=0.004 + error)


@pytest.mark.parametrize("published", [3, 5, 10, 30])
@pytest.mark.parametrize("multiple", [0, 1.1, 2, 4])
def test_the_coverage_of_the_interval(published: int, multiple: float) -> None:
    check_coverage(published, {3: 1, 5: 10, 10: 1, 30: 3}[published], 200, multiple, 2_000)


@pytest.mark.slow
@pytest.mark.parametrize("mean", [50, 200, 800])
@pytest.mark.parametrize("further", [1, 3, 10])
@pytest.mark.parametrize("published", [3, 5, 10, 30])
def test_the_coverage_of_the_interval_everywhere(published: int, further: int, mean: int) -> None:
    for multiple in (0, 0.5, 1, 1.1, 1.25, 1.5, 2, 3, 4):
        check_coverage(published, further, mean, multiple, 10_000)


@pytest.mark.parametrize("further", [1, 3, 10])
@pytest.mark.parametrize("mean", [50, 800])
def test_the_coverage_of_a_single_run_s_interval(further: int, mean: int) -> None:
    for multiple, least in {0: 1.0, 1: 0.995, 2: 0.935, 3: 0.79}.items():
        found = coverage(1, further, mean, multiple * math.sqrt(mean / 2), 2_000)
        assert found >= least - 3 * math.sqrt(0.05 * 0.95 / 2_000)
    assert found < 0.9  # what the docstring says of the limits of this assumption


@pytest.mark.parametrize("errors", [[187, 185, 187], [150, 200, 240, 230, 190], [200]])
@pytest.mark.parametrize("further", [1, 3, 10])
def test_a_detectable_loss_is_outside_the_interval_in_80_of_100_cases(errors: list[int], further: int) -> None:
    """By simulation; a loss of a tenth less is noticed more seldom."""
    mean, (_, high) = statistics.fmean(errors), prediction_interval(errors, further, IMAGES)
    floor = math.sqrt(mean / 2)
    deviation = max(statistics.stdev(errors), floor) if len(errors) > 1 else 2 * floor
    loss = detectable_loss(errors, further, IMAGES)
    noise = np.random.default_rng(0).normal(0, deviation, (20_000, further)).mean(axis=1)
    assert (mean + loss + noise > high).mean() == pytest.approx(0.8, abs=0.01)
    assert (mean + 0.9 * loss + noise > high).mean() < 0.78


def test_the_detectable_loss_of_a_small_case_by_hand() -> None:
    # The upper bound is 235; 235 − 186.333 + 0.841621 · 9.6523 = 56.790.
    assert detectable_loss([187, 185, 187], 1, IMAGES) == pytest.approx(56.790, abs=1e-3)
