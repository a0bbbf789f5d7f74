"""Tables of the members in Markdown, as the documentation has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zoo.metrics.intervals import wilson_interval
from zoo.metrics.recipe_comparison import holm
from zoo.pretrained.entries import Entry, ErrorDistribution, LikelihoodEntry
from zoo.pretrained.registry import ModelInfo
from zoo.pretrained.run_tables import hardware_of, short_processor


def runs_table(members: Sequence[ModelInfo]) -> str:
    """Return the distribution of the test errors over all runs of each member's recipe."""
    header = [
        *("member", "network", "lecture", "n", "mean accuracy", "test errors, mean ± sd", "95 % interval of the mean"),
        *("2.5 to 97.5 %", "one more run", "processor", "training", "s per epoch"),
    ]
    rows = []
    for member, metrics in _shipped(members):
        percentiles = metrics["errors_percentiles"]
        rows.append(
            [
                f"`{member.name}`",
                member.description,
                "–" if member.lecture_accuracy is None else f"{member.lecture_accuracy:.4f}",
                str(len(metrics["runs"])),
                f"{1 - metrics['errors_mean'] / metrics['test_images']:.4f}",
                mean_and_deviation(metrics),
                mean_interval(metrics),
                "–" if percentiles is None else f"{percentiles['2.5']:,.0f}–{percentiles['97.5']:,.0f}",
                one_more_run(member),
                short_processor(metrics["runs_on"]),
                training_time(metrics),
                seconds_per_epoch(metrics),
            ]
        )
    return markdown_table(header, rows)


def published_table(members: Sequence[ModelInfo]) -> str:
    """Return the metrics of the networks that ship."""
    header = [
        *("member", "seed", "processor", "test errors", "another test set", "NLL", "ECE", "ECE, calibrated"),
        *("parameters", "images/s"),
    ]
    rows = [
        [
            f"`{member.name}`",
            str(metrics["seed"]),
            short_processor(hardware_of(metrics["machine"])),
            f"{metrics['test_errors']:,}",
            interval(member),
            f"{metrics['nll']:.4f}",
            f"{metrics['calibration_error']:.4f}",
            f"{metrics['calibrated_error']:.4f}",
            f"{metrics['parameters']:,}",
            f"{metrics['images_per_second']:,.0f}",
        ]
        for member, metrics in _shipped(members)
    ]
    return markdown_table(header, rows)


def elsewhere_table(members: Sequence[ModelInfo]) -> str:
    """Return the runs on other processors than most of a member's runs, and whether their mean differs."""
    header = ["member", "processor", "n", "test errors", "n of the table above", "mean ± sd", "p", "p, corrected"]
    others = [(member, metrics, each) for member, metrics in _shipped(members) for each in metrics["elsewhere"]]
    tested = [each["p_value"] for _, _, each in others if each["p_value"] is not None]
    corrected = iter(holm(tested))
    rows = [
        [
            f"`{member.name}`",
            short_processor(each["runs_on"]),
            str(len(each["runs"])),
            counts(each),
            str(len(metrics["runs"])),
            mean_and_deviation(metrics),
            *(("–", "–") if each["p_value"] is None else (f"{each['p_value']:.3f}", f"{next(corrected):.2f}")),
        ]
        for member, metrics, each in others
    ]
    return markdown_table(header, rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def interval(member: ModelInfo) -> str:
    """Return Wilson's 95 % interval of the shipped network's accuracy on another test set, as text."""
    if member.metrics is None:
        return "–"
    images = member.metrics["test_images"]
    low, high = wilson_interval(member.metrics["test_errors"], images)  # in the index they are rounded
    return f"{1 - high / images:.4f}–{1 - low / images:.4f}"


def one_more_run(member: ModelInfo) -> str:
    """Return the 95 % interval for the test errors of one more run of the recipe, as text."""
    return "–" if member.one_more_run is None else "–".join(f"{bound:,}" for bound in member.one_more_run)


def mean_and_deviation(runs: ErrorDistribution) -> str:
    """Return the mean and standard deviation of the test errors, as text."""
    spread = "" if runs["errors_sd"] is None else f" ± {runs['errors_sd']:.1f}"
    return f"{runs['errors_mean']:,.1f}{spread}"


def mean_interval(runs: ErrorDistribution) -> str:
    """Return the 95 % interval of the mean number of test errors, as text."""
    bounds = runs["errors_mean_ci95"]
    return "–" if bounds is None else "–".join(f"{bound:,.1f}" for bound in bounds)


def counts(runs: ErrorDistribution) -> str:
    """Return the test errors of each run by seed, as text."""
    return " ".join(f"{run['test_errors']:,}" for run in runs["runs"])


def training_time(metrics: Entry | LikelihoodEntry) -> str:
    """Return the training time of the fastest run, as text."""
    seconds = round(_fastest_run_seconds(metrics))
    return f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 60 else f"{seconds} s"


def seconds_per_epoch(metrics: Entry | LikelihoodEntry) -> str:
    """Return the seconds per epoch of training and validation in the fastest run, as text."""
    epochs = metrics["config"]["trainer"].get("max_epochs")
    return f"{_fastest_run_seconds(metrics) / epochs:.1f}" if epochs else "–"


def _fastest_run_seconds(metrics: Entry | LikelihoodEntry) -> float:
    return min(run["seconds"] for run in metrics["runs"])


def _shipped(members: Sequence[ModelInfo]) -> list[tuple[ModelInfo, Entry]]:
    return [(member, member.metrics) for member in members if member.metrics is not None]
