"""A page for each member: what it is, its network as a drawing, its runs, its calibration and its config."""

from __future__ import annotations

import json
import re
from pathlib import Path

import zoo
from docs.site.charts import reliability_chart, runs_chart
from docs.site.network_drawing import draw_network
from zoo.cli.member_tables import (
    counts,
    interval,
    mean_and_deviation,
    mean_interval,
    one_more_run,
    training_time,
)
from zoo.pretrained.registry import ModelInfo, list_models, model_info
from zoo.pretrained.run_tables import short_processor

CALIBRATION = Path(__file__).resolve().parent.parent / "data" / "calibration.json"


def names() -> list[str]:
    """Return the members' names in the order of the lecture: that of the slides, then the others."""
    page = (CALIBRATION.parent.parent / "teach.md").read_text(encoding="utf-8")
    slides = list(dict.fromkeys(re.findall(r"`zoo fit --config (\w+)`", page)))
    members = list_models()
    return [*(name for name in slides if name in members), *(name for name in members if name not in slides)]


def overview(page: str) -> str:
    """Return ``members.md`` as the first page of the section: members in its tables link to their cards."""
    page = page.replace("](pictures/", "](../pictures/")
    return re.sub(r"^\| `(\w+)`", r"| [`\1`](\1.md)", page, flags=re.MULTILINE)


def cards() -> dict[str, str]:
    """Return the card of each member as Markdown, by name."""
    calibration = json.loads(CALIBRATION.read_text(encoding="utf-8"))["members"]
    return {name: _card(model_info(name), calibration.get(name)) for name in names()}


def _card(member: ModelInfo, bins: dict[str, list[list[float]]] | None) -> str:
    parts = [f"# {member.name}", f"{member.description}."]
    if member.lecture_accuracy is not None:
        parts.append(f"The lecture reports an accuracy of {member.lecture_accuracy:.4f}.")
    parts += [
        f"```bash\nzoo fit --config {member.name}\n```",
        "## Network",
        draw_network(zoo.create_model(member.name)),
    ]
    if member.metrics is not None:
        metrics = member.metrics
        images = metrics["test_images"]
        rows = [
            ("accuracy of the recipe", f"{1 - metrics['errors_mean'] / images:.4f}"),
            ("test errors, mean ± sd", f"{mean_and_deviation(metrics)}, n = {len(metrics['runs'])}"),
            ("95 % interval of the mean", mean_interval(metrics)),
            ("one more run", f"{one_more_run(member)} (95 %)"),
            ("processor", short_processor(metrics["runs_on"])),
            ("training", f"{training_time(metrics)}, the fastest run"),
            *(
                (f"on {short_processor(each['runs_on'])}", f"{mean_and_deviation(each)}, n = {len(each['runs'])}")
                for each in metrics["elsewhere"]
            ),
        ]
        parts += ["## Runs", runs_chart(metrics), _table(rows)]
        parts.append(f"Test errors by seed: {counts(metrics)}.")
        published = [
            ("test errors", f"{metrics['test_errors']:,} of {images:,}"),
            ("accuracy on another test set", f"{interval(member)} (95 %)"),
            ("negative log-likelihood", f"{metrics['nll']:.4f} nats"),
            ("calibration error", f"{metrics['calibration_error']:.4f}, calibrated {metrics['calibrated_error']:.4f}"),
            ("parameters", f"{metrics['parameters']:,}"),
            ("file", f"{metrics['bytes']:,} bytes"),
            ("sha256", f"`{metrics['sha256']}`"),
            ("license", metrics["licence"]),
        ]
        parts += [
            "## Published network",
            f'```python\nimport zoo\n\nmodel = zoo.load_pretrained("{member.name}")\n```',
            _table(published),
            f"`zoo verify {member.name}` checks it. `zoo reproduce {member.name}` trains it again and compares.",
        ]
        if bins is not None:
            parts += [
                "### Calibration",
                "A bin holds the test images with a similar probability of the predicted class. Bins below the line "
                "are overconfident. The area of a circle is proportional to the number of its images.",
                reliability_chart(bins),
            ]
    parts += ["## Config", f"```yaml\n{member.config.read_text(encoding='utf-8').strip()}\n```"]
    parts += ["## Papers", "\n".join(f"- {paper}" for paper in member.papers) or "–"]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| Metric | Value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])
