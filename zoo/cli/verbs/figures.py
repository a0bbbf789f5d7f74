"""``zoo figures NAME``: the lecture's pictures, made from real runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.cli.arguments import ShortErrorParser
from zoo.utils.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from zoo.figures.writing import Sheet


class Picture(NamedTuple):
    """A picture that can be asked for by name."""

    what: str
    """What it shows, in a line."""
    seeds: int
    """How many trainings each of its settings gets; 0 where nothing is trained, 1 where ``--seed`` names it."""
    draw: Callable[[Sheet, argparse.Namespace], None]
    in_all: bool = True
    """Whether ``zoo figures all`` draws it: it needs nothing and takes minutes."""


def _from(module: str, function: str = "draw") -> Callable[[Sheet, argparse.Namespace], None]:
    return lambda sheet, _: getattr(import_module(f"zoo.figures.{module}"), function)(sheet)


def _confusion(sheet: Sheet, options: argparse.Namespace) -> None:
    from zoo.figures import confusion
    from zoo.models import Classifier
    from zoo.pretrained.loading import load_pretrained

    model = load_pretrained(options.model)
    if not isinstance(model, Classifier):
        raise UsageError(f"{options.model} is no classifier, so it confuses nothing: name a member.")
    confusion.draw(sheet, options.model, model)


def _curves(sheet: Sheet, options: argparse.Namespace) -> None:
    from zoo.figures import curves

    if options.run is None:
        raise UsageError("The curves of which run? Give --run logs/NAME/version_N.")
    curves.draw(sheet, options.run)


def _rbm(sheet: Sheet, options: argparse.Namespace) -> None:
    from zoo.figures import rbm
    from zoo.models import RBM
    from zoo.pretrained.loading import load_pretrained

    model = RBM.load_from_checkpoint(options.checkpoint) if options.checkpoint else load_pretrained("rbm")
    assert isinstance(model, RBM)
    rbm.draw(sheet, model)


FIGURES = {
    "activations": Picture("each activation function and its derivative", 0, _from("activations")),
    "vanishing_gradient": Picture(
        "the gradient in each of ten layers, sigmoid against ReLU", 3, _from("vanishing_gradient")
    ),
    "initial_values": Picture("cost curves and activity from zeros, N(0, 1) … RBM", 3, _from("initial_values")),
    "overfitting": Picture("training against validation accuracy, and what helps", 3, _from("overfitting")),
    "dropout": Picture("accuracy against the rate of dropout", 3, _from("dropout")),
    "ensemble_size": Picture("test error against the number of networks", 3, _from("ensemble_size")),
    "depth": Picture("plain against residual nets of 2 to 50 layers", 3, _from("depth")),
    "activations_compared": Picture("the same net with each activation", 3, _from("comparisons", "draw_activations")),
    "optimizers_compared": Picture("the same net with each optimizer", 3, _from("comparisons", "draw_optimizers")),
    "confusion": Picture("what a member takes for what, and its surest mistakes (--model)", 0, _confusion),
    "rbm": Picture("filters, reconstructions and samples of an RBM; digits a DBN makes up", 1, _rbm),
    "curves": Picture("the logged curves of a run (--run)", 0, _curves, in_all=False),
    "few_labels": Picture(
        "test error against the number of labels, with and without pre-training (hours)",
        10,
        _from("few_labels"),
        in_all=False,
    ),
}


def run(verb: str, arguments: list[str]) -> int:
    """Draw and return the exit status."""
    options = _parser().parse_args(arguments)
    names = [name for name in FIGURES if FIGURES[name].in_all] if options.names == ["all"] else options.names
    for name in names:
        if name not in FIGURES:
            raise unknown_name("figure", name, [*FIGURES, "all"])
    if not 0 <= options.seed < 2**32:
        raise UsageError(f"--seed is {options.seed}, but a seed is 0 to {2**32 - 1}.")
    if options.seeds is not None and not 1 <= options.seeds <= 100:
        raise UsageError(f"--seeds is {options.seeds}, but it must be 1 to 100.")

    from zoo.figures.writing import Sheet

    if options.seeds is not None and "few_labels" in names:
        raise UsageError("few_labels has seeds of its own, ten for few labels and three for many: leave --seeds out.")
    for name in names:
        picture = FIGURES[name]
        count = options.seeds or picture.seeds
        seeds = [options.seed] if picture.seeds == 1 else list(range(count if picture.seeds else 0))
        picture.draw(Sheet(options.output_dir, _command(name, options), seeds), options)
    return 0


def _command(name: str, options: argparse.Namespace) -> str:
    """Return the command that draws one of the pictures that were asked for."""
    words = ["zoo", "figures", name]
    for setting, value in vars(options).items():
        if setting != "names" and value != _parser().get_default(setting):
            words += [f"--{setting}", str(value)]
    return shlex.join(words)


def _parser() -> ShortErrorParser:
    names = "\n".join(f"  {name:<20}  {picture.what}" for name, picture in FIGURES.items())
    parser = ShortErrorParser(
        prog="zoo figures",
        description="Make pictures from real runs, each as PNG, SVG and CSV.",
        epilog=f"the pictures (all: those that need nothing and take minutes):\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="which pictures, or all")
    parser.add_argument("--output_dir", type=Path, default=Path("figures"), help="folder for the files")
    parser.add_argument("--seeds", type=int, metavar="N", help="train each setting with seeds 0 to N−1 (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="for rbm: of all that is random (default: 0)")
    parser.add_argument("--model", default="dropout_batchnorm", metavar="NAME", help="for confusion: a trained member")
    parser.add_argument("--run", type=Path, help="for curves: the folder of a run, logs/NAME/version_N")
    parser.add_argument("--checkpoint", type=Path, help="for rbm: a checkpoint of `zoo fit`, not the one that ships")
    return parser
