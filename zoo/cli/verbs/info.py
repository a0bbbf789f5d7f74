"""``zoo info NAME``: print a member's model card, without importing torch."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.cli.arguments import ShortErrorParser
from zoo.cli.member_tables import (
    counts,
    interval,
    mean_and_deviation,
    mean_interval,
    one_more_run,
    seconds_per_epoch,
    training_time,
)
from zoo.cli.verbs.list import as_json
from zoo.pretrained.entries import Entry, ErrorDistribution, LikelihoodDistribution, LikelihoodEntry, Published
from zoo.pretrained.registry import ModelInfo, model_info
from zoo.pretrained.run_tables import short_processor
from zoo.pretrained.sources import check_source, is_checkpoint, on_hub
from zoo.utils.errors import UsageError
from zoo.utils.printable import printable

WIDTH = 100
"""Maximum number of columns of a line."""


def run(verb: str, arguments: list[str]) -> int:
    """Print the model card and return the exit status."""
    parser = ShortErrorParser(prog="zoo info", description="Say everything that is known of a member or a checkpoint.")
    parser.add_argument("name", help="the member, or a checkpoint of `zoo fit`")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    check_source(options.name)
    if on_hub(options.name):
        raise UsageError(f"The card of {options.name} is on the hub: see its page there.")
    if is_checkpoint(options.name):
        from zoo.cli.checkpoint_card import checkpoint_facts

        facts = checkpoint_facts(options.name)
        print(json.dumps(facts, indent=1) if options.json else _checkpoint_card(options.name, facts))
        return 0
    member = model_info(options.name)
    print(json.dumps(as_json(member), indent=1, ensure_ascii=False) if options.json else card(member))
    return 0


def card(member: ModelInfo) -> str:
    """Return the model card as text."""
    facts = [("what it is", member.description)]
    if member.demonstration is not None:
        facts += _likelihood(member, member.demonstration)
    elif member.metrics is None:
        facts.append(("trained", f"not shipped; train it with `zoo fit --config {member.name}`"))
    else:
        facts += _metrics(member, member.metrics)
    facts += [("paper", paper) for paper in member.papers]
    return _card(member.name, facts)


def _card(title: str, facts: Sequence[tuple[str, str]]) -> str:
    label_width = max(len(name) for name, _ in facts) + 2
    lines = [
        textwrap.fill(text, WIDTH, initial_indent=f"{name:<{label_width}}", subsequent_indent=" " * label_width)
        for name, text in facts
    ]
    return "\n".join([title, "", *lines])


def _checkpoint_card(path: str, facts: Mapping[str, Any]) -> str:
    arguments = ", ".join(f"{name} {value}" for name, value in facts["arguments"].items())
    lines = [
        ("class", facts["class_path"] or "not named in the file"),
        ("arguments", arguments or "none"),
        ("parameters", f"{facts['parameters']:,} in {facts['tensors']} tensors, buffers included"),
    ]
    if facts["step"] is not None:
        lines.append(("trained", f"{facts['step']:,} steps; epoch {facts['epoch']}, counted from 0"))
    if facts["classes"]:
        lines.append(("classes", ", ".join(facts["classes"])))
    lines += [
        ("file", f"{facts['bytes']:,} bytes, sha256 {facts['sha256']}"),
        ("resume", "yes" if facts["resumable"] else "no: it holds the weights alone"),
        ("use", f"zoo test --config CONFIG --ckpt_path {shlex.quote(path)}"),
    ]
    return _card(printable(path), [(name, printable(text)) for name, text in lines])


def _metrics(member: ModelInfo, metrics: Entry) -> list[tuple[str, str]]:
    images, runs = metrics["test_images"], metrics["runs"]
    validation = metrics["val_accuracy"]
    lecture = "" if member.lecture_accuracy is None else f" (the lecture reports {member.lecture_accuracy:.4f})"
    return [
        ("test accuracy", f"{member.test_accuracy:.4f}{lecture}"),
        (
            "test errors",
            f"{metrics['test_errors']:,} of the official {images:,} test images, which were used for no choice; this "
            f"network is one run, that of seed {metrics['seed']}",
        ),
        *(("the recipe" if each is metrics else "elsewhere", _runs(each)) for each in (metrics, *metrics["elsewhere"])),
        (
            "one more run",
            f"{one_more_run(member)} errors are to be expected (95 %, Student's prediction interval); "
            f"`zoo reproduce {member.name}` makes one and compares",
        ),
        (
            "other images",
            f"accuracy {interval(member)} of this network on another test set (95 %, Wilson's interval), which says "
            "nothing about another run",
        ),
        ("validation", "no images were kept" if validation is None else f"accuracy {validation:.4f}"),
        ("likelihood", f"{metrics['nll']:.4f} nats per test image (mean negative log-likelihood)"),
        (
            "calibration",
            f"error {metrics['calibration_error']:.4f}: mean distance of probability and accuracy over 15 equal bins "
            "of the predicted class's probability, weighted by their images; "
            f"{metrics['calibrated_error']:.4f} with the logits divided by {metrics['temperature']:.3f}, fitted on "
            f'the validation images: `zoo.load_pretrained("{member.name}", calibrated=True)`',
        ),
        (
            "training",
            f"{training_time(metrics)}, {seconds_per_epoch(metrics)} s per epoch: the least disturbed of "
            f"{len(runs)} runs on {short_processor(metrics['runs_on'])}",
        ),
        ("speed", f"classifies {metrics['images_per_second']:,.0f} images a second in batches of 1,000"),
        ("use", "handwritten digits centered as in MNIST, 28 × 28 pixels in [0, 1], white on black; nothing else"),
        *_provenance(member, metrics),
    ]


def _likelihood(member: ModelInfo, metrics: LikelihoodEntry) -> list[tuple[str, str]]:
    return [
        (
            "likelihood",
            f"{metrics['log_likelihood']:.2f} nats, {metrics['log_likelihood_low']:.2f} to "
            f"{metrics['log_likelihood_high']:.2f} (95 % for the choice of images, three standard errors of log Z): "
            f"mean over the official {metrics['test_images']:,} test images, which were used for no choice, their "
            "pixels sampled from the grey values with seed 0",
        ),
        (
            "log Z",
            f"{metrics['log_partition']:.2f} by annealed importance sampling, {metrics['log_partition_reverse']:.2f} "
            f"in reverse; the chains are worth {metrics['effective_chains']:.1f} independent ones",
        ),
        *(
            ("the recipe" if each is metrics else "elsewhere", _likelihoods(each))
            for each in (metrics, *metrics["elsewhere"])
        ),
        (
            "training",
            f"{training_time(metrics)}, {seconds_per_epoch(metrics)} s per epoch: the least disturbed of "
            f"{len(metrics['runs'])} runs",
        ),
        ("use", "a model of the images: features, samples, likelihoods; it predicts no classes"),
        *_provenance(member, metrics),
    ]


def _provenance(member: ModelInfo, metrics: Published) -> list[tuple[str, str]]:
    machine = metrics["machine"]
    return [
        ("parameters", f"{metrics['parameters']:,} trained"),
        ("file", f"{member.checkpoint.name}, {metrics['bytes']:,} bytes, sha256 {metrics['sha256']}"),
        ("command", re.sub(r"--config configs/([\w/]+)\.yaml", r"--config \1", metrics["command"])),
        ("machine", f"{machine['cores']} cores of {machine['processor']}, {machine['device']}"),
        ("versions", ", ".join(f"{package} {number}" for package, number in metrics["versions"].items())),
        (
            "data",
            "MNIST, its official archives; © Yann LeCun and Corinna Cortes, CC BY-SA 3.0; `zoo verify` checks the MD5",
        ),
        ("license", metrics["licence"]),
        ("load", f'zoo.load_pretrained("{member.name}")'),
    ]


def _runs(runs: ErrorDistribution) -> str:
    """Describe the distribution of the test errors over the runs of a recipe."""
    text = f"{mean_and_deviation(runs)} errors, n = {len(runs['runs'])} on {short_processor(runs['runs_on'])}"
    if runs["errors_mean_ci95"] is not None:
        text += f", mean ± sd; 95 % interval of the mean {mean_interval(runs)}"
    if (percentiles := runs["errors_percentiles"]) is not None:
        low, median, high = (f"{percentiles[key]:,.0f}" for key in ("2.5", "50", "97.5"))
        text += f"; median {median}, 95 % of the runs {low}–{high}"
    return f"{text}; by seed: {counts(runs)}"


def _likelihoods(runs: LikelihoodDistribution) -> str:
    """Describe the distribution of the log-likelihoods over the runs of an RBM's recipe."""
    spread = "" if runs["log_likelihood_sd"] is None else f" ± {runs['log_likelihood_sd']:.2f}"
    by_seed = " ".join(f"{run['log_likelihood']:.2f}" for run in runs["runs"])
    return (
        f"{runs['log_likelihood_mean']:.2f}{spread} nats, n = {len(runs['runs'])} on "
        f"{short_processor(runs['runs_on'])}; by seed: {by_seed}"
    )
