from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from zoo.pretrained.distributions import error_distribution, likelihood_distribution, mean_interval
from zoo.pretrained.run_tables import (
    LIKELIHOOD_METRICS,
    PublishedRun,
    format_table,
    hardware_of,
    merge_runs,
    read_table,
)
from zoo.utils.errors import UsageError

XEON: dict[str, str | int] = {
    "processor": 'A, quoted "Xeon"',
    "cores": 2,
    "threads": 1,
    "device": "CPU with 1 thread",
    "processes": 1,
}
EPYC: dict[str, str | int] = {**XEON, "processor": "EPYC"}
GPU: dict[str, str | int] = {**XEON, "device": "NVIDIA H200"}
VERSIONS = {"zoo": "1", "torch": "2"}


def runs_of(errors: list[int], machine: dict[str, str | int] = XEON) -> list[PublishedRun]:
    return [
        PublishedRun(seed, {"test_errors": count, "val_accuracy": 0.9}, 1.5, machine, VERSIONS)
        for seed, count in enumerate(errors)
    ]


def test_the_fields_are_those_of_the_runs_on_the_hardware_that_has_most() -> None:
    errors = np.random.default_rng(0).integers(150, 250, 30).tolist()
    fields = error_distribution(runs_of([200, 205, 190], EPYC) + runs_of(errors), 10_000)
    assert fields["runs_on"] == XEON["processor"]
    assert [run["test_errors"] for run in fields["runs"]] == errors
    assert fields["errors_mean"] == pytest.approx(np.mean(errors), abs=0.006)
    assert fields["errors_sd"] == pytest.approx(np.std(errors, ddof=1), abs=0.006)
    expected = stats.t.interval(0.95, 29, np.mean(errors), stats.sem(errors))
    assert fields["errors_mean_ci95"] == pytest.approx(expected, abs=0.006)
    percentiles = np.percentile(errors, [2.5, 25, 50, 75, 97.5])
    assert list(fields["errors_percentiles"].values()) == pytest.approx(percentiles, abs=0.006)
    assert list(fields["errors_percentiles"]) == ["2.5", "25", "50", "75", "97.5"]
    (elsewhere,) = fields["elsewhere"]
    assert elsewhere["runs_on"] == "EPYC"
    assert elsewhere["errors_percentiles"] is None
    assert elsewhere["p_value"] == pytest.approx(stats.ttest_ind(errors, [200, 205, 190]).pvalue, rel=0.01)


def test_a_single_run_has_no_deviation_and_no_interval() -> None:
    fields = error_distribution(runs_of([200]) + runs_of([210], EPYC), 10_000)
    assert (fields["errors_sd"], fields["errors_mean_ci95"], fields["errors_percentiles"]) == (None, None, None)
    assert fields["elsewhere"][0]["p_value"] is None
    assert mean_interval([3.0]) is None


def test_runs_that_are_all_equal_have_no_p_value() -> None:
    fields = error_distribution(runs_of([200, 200]) + runs_of([210, 210], EPYC), 10_000)
    assert fields["elsewhere"][0]["p_value"] is None


def test_log_likelihoods_are_described_too() -> None:
    values = [-87.3, -87.6, -87.9]
    runs = [
        PublishedRun(seed, dict.fromkeys(LIKELIHOOD_METRICS, value), 2.0, XEON, VERSIONS)
        for seed, value in enumerate(values)
    ]
    fields = likelihood_distribution(runs)
    assert fields["log_likelihood_mean"] == pytest.approx(statistics.fmean(values), abs=0.006)
    assert fields["log_likelihood_sd"] == pytest.approx(0.3, abs=0.006)
    assert [run["log_likelihood"] for run in fields["runs"]] == values
    assert fields["elsewhere"] == []


@pytest.mark.parametrize("val_accuracy", [0.9856, None])
def test_a_table_is_read_as_it_was_written(val_accuracy: float | None, tmp_path: Path) -> None:
    runs = [PublishedRun(0, {"test_errors": 5, "val_accuracy": val_accuracy}, 1.5, XEON, VERSIONS), *runs_of([7], GPU)]
    (tmp_path / "table.csv").write_text(format_table(reversed(runs)), encoding="utf-8")
    assert read_table(tmp_path / "table.csv") == runs
    assert read_table(tmp_path / "missing.csv") == []
    assert [hardware_of(run.machine) for run in runs] == [XEON["processor"], "NVIDIA H200"]


@pytest.mark.parametrize("text", ["seed\nzero\n", "\x00", "a,b\n1,2\n", "seed,test_errors,val_accuracy\n0,1\n"])
def test_a_damaged_table_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="is no table of published runs"):
        read_table(tmp_path / "table.csv")


def test_further_runs_are_added_and_published_ones_stay() -> None:
    published = runs_of([5, 6])
    assert merge_runs("m", published, runs_of([5, 6, 7])) == runs_of([5, 6, 7])
    assert merge_runs("m", published, runs_of([8], EPYC)) == [*published, *runs_of([8], EPYC)]
    with pytest.raises(UsageError, match=r"with seed 1 on .* was published with test_errors 6, and this one has 9"):
        merge_runs("m", published, runs_of([5, 9]))
    with pytest.raises(UsageError, match=r"have the seeds \[0, 1, 3\]"):
        merge_runs("m", published, runs_of([5, 6, 7, 8])[3:])
