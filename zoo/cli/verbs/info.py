"""``zoo info NAME``: a member's model card, without importing torch."""

from __future__ import annotations

import json
import textwrap

from zoo.cli.arguments import ShortErrorParser
from zoo.cli.verbs.list import as_json, interval, seconds_per_epoch, training_time
from zoo.pretrained.registry import Entry, LikelihoodEntry, ModelInfo, Published, model_info

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
    if member.demonstration is not None:
        facts += _likelihood(member, member.demonstration)
    elif member.figures is None:
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
    images, runs = figures["test_images"], figures["runs"]
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
        (
            "training",
            f"{training_time(figures)}, {seconds_per_epoch(figures)} s per epoch: the least disturbed of "
            f"{len(runs)} runs",
        ),
        ("speed", f"classifies {figures['images_per_second']:,.0f} images a second in batches of 1,000"),
        ("use", "handwritten digits centred as in MNIST, 28 × 28 pixels in [0, 1], white on black; nothing else"),
        *_provenance(member, figures),
    ]


def _likelihood(member: ModelInfo, figures: LikelihoodEntry) -> list[tuple[str, str]]:
    each = ", ".join(f"{run['seed']}: {run['log_likelihood']:.2f}" for run in figures["runs"])
    return [
        (
            "likelihood",
            f"{figures['log_likelihood']:.2f} nats, {figures['log_likelihood_low']:.2f} to "
            f"{figures['log_likelihood_high']:.2f} (95 % for the choice of images, three standard errors of log Z): "
            f"mean over the official {figures['test_images']:,} test images, by which nothing was chosen, their pixels "
            "sampled from the grey values with seed 0",
        ),
        (
            "log Z",
            f"{figures['log_partition']:.2f} by annealed importance sampling, {figures['log_partition_reverse']:.2f} "
            f"in reverse; the chains are worth {figures['effective_chains']:.1f} independent ones",
        ),
        ("the recipe", f"log-likelihoods by seed, n = {len(figures['runs'])}: {each}"),
        (
            "training",
            f"{training_time(figures)}, {seconds_per_epoch(figures)} s per epoch: the least disturbed of "
            f"{len(figures['runs'])} runs",
        ),
        ("use", "a model of the images: features, samples, likelihoods; it tells no classes apart"),
        *_provenance(member, figures),
    ]


def _provenance(member: ModelInfo, figures: Published) -> list[tuple[str, str]]:
    machine = figures["machine"]
    return [
        ("parameters", f"{figures['parameters']:,} trained"),
        ("file", f"{member.checkpoint.name}, {figures['bytes']:,} bytes, sha256 {figures['sha256']}"),
        ("command", figures["command"]),
        ("machine", f"{machine['cores']} cores of {machine['processor']}, {machine['device']}"),
        ("versions", ", ".join(f"{package} {number}" for package, number in figures["versions"].items())),
        (
            "data",
            "MNIST, its official archives; © Yann LeCun and Corinna Cortes, CC BY-SA 3.0; `zoo verify` checks the MD5",
        ),
        ("licence", figures["licence"]),
        ("load", f'zoo.load_pretrained("{member.name}")'),
    ]


def _seeds(figures: Entry) -> str:
    runs = figures["runs"]
    each = ", ".join(f"{run['seed']}: {run['test_errors']}" for run in runs)
    return f"n = {len(runs)} seed{'s' * (len(runs) > 1)} ({each})"
