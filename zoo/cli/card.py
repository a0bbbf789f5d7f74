"""``zoo info NAME``: a member's model card, without importing torch."""

from __future__ import annotations

import json
import textwrap

from zoo.cli.arguments import ShortErrorParser
from zoo.cli.listing import as_json, interval, seconds_per_epoch, training_time
from zoo.members import Entry, ModelInfo, model_info

WIDTH = 100


def run(verb: str, arguments: list[str]) -> int:
    """Print the card and return the exit status."""
    parser = ShortErrorParser(prog="zoo info", description="Say everything that is known of a member.")
    parser.add_argument("name", help="the member")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    member = model_info(options.name)
    print(json.dumps(as_json(member), indent=1, ensure_ascii=False) if options.json else card(member))
    return 0


def card(member: ModelInfo) -> str:
    """Return the model card as text."""
    facts = [("what it is", member.description)]
    if member.figures is None:
        facts.append(("trained", f"not shipped; train it with `zoo fit --config {member.name}`"))
    else:
        facts += _figures(member, member.figures)
    facts += [("paper", paper) for paper in member.papers]
    label = max(len(name) for name, _ in facts) + 2
    lines = [
        textwrap.fill(text, WIDTH, initial_indent=f"{name:<{label}}", subsequent_indent=" " * label)
        for name, text in facts
    ]
    return "\n".join([member.name, "", *lines])


def _figures(member: ModelInfo, figures: Entry) -> list[tuple[str, str]]:
    images, machine, versions = figures["test_images"], figures["machine"], figures["versions"]
    runs = figures["runs"]
    spread = "" if figures["errors_sd"] is None else f" ± {figures['errors_sd']:.1f}"
    low, high = figures["reproduction_interval"]
    validation = figures["val_accuracy"]
    lecture = "" if member.lecture_accuracy is None else f" (the lecture reports {member.lecture_accuracy:.4f})"
    return [
        ("test accuracy", f"{member.test_accuracy:.4f}, 95 % interval {interval(member)}{lecture}"),
        (
            "test errors",
            f"{figures['test_errors']:,} of the official {images:,} test images, by which nothing was chosen",
        ),
        ("the recipe", f"{figures['errors_mean']:.1f}{spread} errors, mean ± sd over {_seeds(figures)}"),
        ("another run", f"should make {low:,} to {high:,} errors (95 %); `zoo reproduce {member.name}` tries it"),
        ("validation", "no images were kept" if validation is None else f"accuracy {validation:.4f}"),
        ("likelihood", f"{figures['nll']:.4f} nats per test image (mean negative log-likelihood)"),
        (
            "calibration",
            f"error {figures['calibration_error']:.4f}: mean distance of probability and accuracy over 15 equal bins "
            "of the predicted class's probability, weighted by their images",
        ),
        ("parameters", f"{figures['parameters']:,} trained"),
        ("file", f"{member.checkpoint.name}, {figures['bytes']:,} bytes, sha256 {figures['sha256']}"),
        ("command", figures["command"]),
        (
            "training",
            f"{training_time(member)}, {seconds_per_epoch(figures)} s per epoch: the least disturbed of "
            f"{len(runs)} runs",
        ),
        ("speed", f"classifies {figures['images_per_second']:,.0f} images a second in batches of 1,000"),
        ("machine", f"{machine['cores']} cores of {machine['processor']}, {machine['device']}"),
        ("versions", ", ".join(f"{package} {number}" for package, number in versions.items())),
        (
            "data",
            "MNIST, its official archives; © Yann LeCun and Corinna Cortes, CC BY-SA 3.0; `zoo verify` checks the MD5",
        ),
        ("use", "handwritten digits centred as in MNIST, 28 × 28 pixels in [0, 1], white on black; nothing else"),
        ("licence", figures["licence"]),
        ("load", f'zoo.load_pretrained("{member.name}")'),
    ]


def _seeds(figures: Entry) -> str:
    runs = figures["runs"]
    each = ", ".join(f"{run['seed']}: {run['test_errors']}" for run in runs)
    return f"n = {len(runs)} seed{'s' * (len(runs) > 1)} ({each})"
