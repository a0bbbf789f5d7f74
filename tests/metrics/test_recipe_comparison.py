from __future__ import annotations

import math
import random
import statistics

import pytest

from zoo.metrics.recipe_comparison import compare_recipes, holm

XEON = [247, 199, 215, 247, 213, 203, 207, 227]
"""Errors of eight runs of one recipe on another processor."""


def test_holm_s_correction_by_hand() -> None:
    # In order 0.005, 0.01, 0.03, 0.04: 4 · 0.005, 3 · 0.01, 2 · 0.03, and 0.04 is raised to the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([0.04]) == [0.04]
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([]) == []


def test_holm_keeps_the_order_and_never_lowers_a_p_value() -> None:
    generator = random.Random(0)
    for _ in range(100):
        p_values = [generator.random() ** 3 for _ in range(generator.randint(1, 20))]
        corrected = holm(p_values)
        assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))
        pairs = sorted(zip(p_values, corrected, strict=True))
        assert [after for _, after in pairs] == sorted(corrected)
        assert min(corrected) == pytest.approx(min(1, len(p_values) * min(p_values)))


def test_holm_calls_a_chance_significant_in_one_of_twenty_families_at_most() -> None:
    generator = random.Random(1)
    families = [holm([generator.random() for _ in range(15)]) for _ in range(4_000)]
    share = sum(min(family) <= 0.05 for family in families) / len(families)
    assert share == pytest.approx(0.05, abs=0.011)


def test_welch_s_test_by_hand() -> None:
    # Means 2 and 6, variances 1 and 4, 3 runs each: t = −4 / √(1/3 + 4/3) = −3.0984, and the degrees of freedom are
    # (1/3 + 4/3)² / ((1/3)²/2 + (4/3)²/2) = 2.9412.
    difference = compare_recipes([1, 2, 3], [4, 6, 8])
    assert difference.mean == -4
    low, high = difference.welch
    assert low + high == pytest.approx(-8)
    # Student's 97.5 % quantile for 2.9412 degrees of freedom is 3.2185.
    assert (high - low) / 2 == pytest.approx(3.2185 * math.sqrt(5 / 3), rel=1e-3)
    assert 0.05 < difference.p_value < 0.06


def test_the_bootstrap_interval_is_that_of_its_definition() -> None:
    first, second = XEON, [187, 185, 187, 190]
    generator = random.Random(5)
    differences = [
        statistics.fmean(generator.choices(first, k=8)) - statistics.fmean(generator.choices(second, k=4))
        for _ in range(20_000)
    ]
    cuts = statistics.quantiles(differences, n=40)
    assert compare_recipes(first, second).bootstrap == pytest.approx((cuts[0], cuts[-1]), abs=0.7)
    assert compare_recipes(first, second) == compare_recipes(first, second)  # its seed is fixed


def test_exchanged_recipes_differ_by_the_same_with_the_other_sign() -> None:
    one, other = compare_recipes(XEON, [187, 185, 187]), compare_recipes([187, 185, 187], XEON)
    assert one.mean == pytest.approx(-other.mean)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.welch == pytest.approx((-other.welch[1], -other.welch[0]))
    assert one.bootstrap == pytest.approx((-other.bootstrap[1], -other.bootstrap[0]), abs=1.5)


def test_the_runs_of_one_recipe_may_be_equal_but_not_those_of_both() -> None:
    difference = compare_recipes([200, 200, 200], [187, 185, 187])
    assert difference.mean == pytest.approx(41 / 3)
    assert 0 < difference.p_value < 0.01
    with pytest.raises(ValueError, match="spread"):
        compare_recipes([200, 200], [187, 187])
    with pytest.raises(ValueError, match="spread"):
        compare_recipes([200], [187, 188])
