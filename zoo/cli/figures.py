"""``zoo figures NAME``: the lecture's pictures, made from real runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.cli.arguments import ShortErrorParser
from zoo.errors import UsageError, unknown_name


def _rbm(options: argparse.Namespace) -> None:
    from zoo.figures import rbm
    from zoo.models import RBM
    from zoo.pretrained import load_pretrained

    model = RBM.load_from_checkpoint(options.checkpoint) if options.checkpoint else load_pretrained("rbm")
    assert isinstance(model, RBM)
    rbm.draw(model, options.output_dir, options.seed)


def _few_labels(options: argparse.Namespace) -> None:
    from zoo.figures import few_labels

    few_labels.draw(options.output_dir, options.runs)


FIGURES = {
    "rbm": (_rbm, "filters, reconstructions and samples of an RBM, and digits that a DBN makes up (minutes)"),
    "few_labels": (_few_labels, "test error against the number of labels, with and without pre-training (long)"),
}
"""Name to (what draws it, what it shows)."""


def run(verb: str, arguments: list[str]) -> int:
    """Draw and return the exit status."""
    names = "\n".join(f"  {name:<10}  {what}" for name, (_, what) in FIGURES.items())
    parser = ShortErrorParser(
        prog="zoo figures",
        description="Make pictures from real runs, each as PNG, SVG and CSV.",
        epilog=f"the pictures:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="which picture")
    parser.add_argument("--output_dir", type=Path, default=Path("figures"), help="folder for the files")
    parser.add_argument("--seed", type=int, default=0, help="for rbm: of all that is random (default: 0)")
    parser.add_argument("--checkpoint", type=Path, help="for rbm: a checkpoint of `zoo fit`, not the one that ships")
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="*",
        default=[],
        help="for few_labels: checkpoints of runs of dbn and demos/dbn_control",
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)
    if not 0 <= options.seed < 2**32:
        raise UsageError(f"--seed is {options.seed}, but a seed is 0 to {2**32 - 1}.")

    from zoo.cli.quiet import quieten_lightning

    quieten_lightning()
    for name in options.names:
        FIGURES[name][0](options)
    return 0
