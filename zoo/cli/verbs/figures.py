"""``zoo figures NAME``: draw the lecture's figures from real runs."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from zoo.cli.arguments import ShortErrorParser
from zoo.cli.signals import raise_if_received
from zoo.figures.catalogue import FIGURES, FigureOptions
from zoo.pretrained.sources import check_source
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError, unknown_name

TAKEN_BY = {
    "model": ("weights", "layers", "saliency", "dead_units", "confusion"),
    "picture": ("layers",),
    "run": ("curves",),
    "checkpoint": ("rbm",),
    "seed": tuple(name for name, figure in FIGURES.items() if figure.seeds == 1),
    "seeds": tuple(name for name, figure in FIGURES.items() if figure.seeds > 1),
}
"""The figures that take a flag."""


def run(verb: str, arguments: list[str]) -> int:
    """Draw the figures and return the exit status."""
    options = _parser().parse_args(arguments)
    names = [name for name in FIGURES if FIGURES[name].in_all] if options.names == ["all"] else options.names
    for name in names:
        if name not in FIGURES:
            raise unknown_name("figure", name, [*FIGURES, "all"])
    if not 0 <= options.seed < 2**32:
        raise UsageError(f"--seed is {options.seed}, but a seed is 0 to {2**32 - 1}.")
    if options.seeds is not None and not 1 <= options.seeds <= 100:
        raise UsageError(f"--seeds is {options.seeds}, but it must be 1 to 100.")

    _check_flags(options, names)
    check_source(options.model)  # report a misspelled name before the slow imports

    from zoo.figures.writing import FigureWriter

    flush_denormals()
    if options.seeds is not None and "few_labels" in names:
        raise UsageError("few_labels has seeds of its own, ten for few labels and three for many: leave --seeds out.")
    for name in names:
        FigureWriter(options.output_dir, "", ()).check(FIGURES[name].files or (name,))
    for name in names:
        raise_if_received()
        figure = FIGURES[name]
        count = options.seeds or figure.seeds
        seeds = [options.seed] if figure.seeds == 1 else list(range(count if figure.seeds else 0))
        figure.draw(
            FigureWriter(options.output_dir, _command(name, options), seeds),
            FigureOptions(options.model, options.picture, options.run, options.checkpoint),
        )
    return 0


def _check_flags(options: argparse.Namespace, names: list[str]) -> None:
    """Check that each flag is one that a figure takes.

    Raises:
        UsageError: None of the figures takes it.
    """
    defaults = _parser()
    for flag, figures in TAKEN_BY.items():
        if getattr(options, flag) != defaults.get_default(flag) and not set(names) & set(figures):
            raise UsageError(f"--{flag} is for {', '.join(figures)}, and not for {', '.join(names)}: leave it out.")


def _command(name: str, options: argparse.Namespace) -> str:
    """Return the command line that draws this figure with the given options."""
    words = ["zoo", "figures", name]
    for setting, value in vars(options).items():
        if setting != "names" and value != _parser().get_default(setting):
            for each in value if isinstance(value, list) else [value]:
                words += [f"--{setting}", str(each)]
    return shlex.join(words)


def _parser() -> ShortErrorParser:
    names = "\n".join(f"  {name:<20}  {figure.description}" for name, figure in FIGURES.items())
    parser = ShortErrorParser(
        prog="zoo figures",
        description="Make pictures from real runs, each as PNG, SVG and CSV.",
        epilog=f"the pictures (all: those that need nothing and take minutes):\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="which pictures, or all")
    parser.add_argument("--output_dir", type=Path, default=Path("figures"), help="folder for the files")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train each setting with seeds 0 to N−1 (default: 3; dropout: 10)"
    )
    parser.add_argument("--seed", type=int, default=0, help="for xor and rbm: of all that is random (default: 0)")
    parser.add_argument(
        "--model",
        default="dropout_batchnorm",
        metavar="NAME",
        help="for weights, layers, saliency, dead_units and confusion: a trained member, or a checkpoint of `zoo fit` "
        "(default: dropout_batchnorm)",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="for layers: a picture of your own (default: a 7)")
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        help="for curves: the folder of a run, logs/NAME/version_N; once for each of the runs to compare",
    )
    parser.add_argument("--checkpoint", type=Path, help="for rbm: a checkpoint of `zoo fit`, not the one that ships")
    return parser
