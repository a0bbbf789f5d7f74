"""``zoo figures NAME``: draw the lecture's figures from real runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.sources import check_source
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from zoo.figures.writing import FigureWriter


class FigureSpec(NamedTuple):
    """Description of a figure that can be drawn by name."""

    description: str
    """What the figure shows, in one line."""
    seeds: int
    """Number of seeds per setting: 0 if nothing is trained, 1 if ``--seed`` sets the only seed."""
    draw: Callable[[FigureWriter, argparse.Namespace], None]
    files: tuple[str, ...] = ()
    """Names of the files, without extension. Empty if the only one has the name of the figure."""
    in_all: bool = True
    """Whether ``zoo figures all`` draws the figure: it needs no further option and takes only minutes."""


def _draw_function(module: str, function: str = "draw") -> Callable[[FigureWriter, argparse.Namespace], None]:
    """Return a function that imports a module of ``zoo.figures`` when called, and draws with it."""
    return lambda writer, _: getattr(import_module(f"zoo.figures.{module}"), function)(writer)


def _of_model(module: str) -> Callable[[FigureWriter, argparse.Namespace], None]:
    """Return a function that loads the network of ``--model``, and draws it with a module of ``zoo.figures``."""

    def draw(writer: FigureWriter, options: argparse.Namespace) -> None:
        from zoo.pretrained.loading import load_classifier

        trained = load_classifier(options.model)
        if module == "confusion":
            trained.check_digits(options.model, "the confusion matrix of MNIST's test images")
        import_module(f"zoo.figures.{module}").draw(writer, Path(options.model).stem, trained.model)

    return draw


def _layers(writer: FigureWriter, options: argparse.Namespace) -> None:
    from zoo.data.mnist import load_test_data
    from zoo.data.preprocessing import preprocess
    from zoo.figures import layers
    from zoo.pretrained.evaluation import golden_images
    from zoo.pretrained.loading import load_classifier

    trained = load_classifier(options.model)
    image = golden_images(load_test_data())[7] if options.picture is None else preprocess(options.picture)
    layers.draw(writer, Path(options.model).stem, trained, image)


def _curves(writer: FigureWriter, options: argparse.Namespace) -> None:
    from zoo.figures import curves

    if options.run is None:
        raise UsageError("The curves of which run? Give --run logs/NAME/version_N.")
    curves.draw(writer, options.run)


def _rbm(writer: FigureWriter, options: argparse.Namespace) -> None:
    from zoo.figures import rbm
    from zoo.models import RBM
    from zoo.pretrained.loading import load_pretrained

    model = RBM.load_from_checkpoint(options.checkpoint) if options.checkpoint else load_pretrained("rbm")
    assert isinstance(model, RBM)
    rbm.draw(writer, model)


FIGURES = {
    "xor": FigureSpec("exclusive or, learned with and without hidden layers", 1, _draw_function("xor")),
    "activations": FigureSpec("each activation function and its derivative", 0, _draw_function("activations")),
    "vanishing_gradient": FigureSpec(
        "the gradient in each of ten layers, sigmoid against ReLU", 3, _draw_function("vanishing_gradient")
    ),
    "initial_values": FigureSpec(
        "loss curves and activity from zeros, N(0, 1) … RBM", 3, _draw_function("initial_values")
    ),
    "overfitting": FigureSpec("training against validation accuracy, and what helps", 3, _draw_function("overfitting")),
    "dropout": FigureSpec("training and validation error with and without dropout", 10, _draw_function("dropout")),
    "ensemble_size": FigureSpec("test error against the number of networks", 3, _draw_function("ensemble_size")),
    "depth": FigureSpec("plain against residual nets of 2 to 50 layers", 3, _draw_function("depth")),
    "activations_compared": FigureSpec(
        "the same net with each activation", 3, _draw_function("comparisons", "draw_activations")
    ),
    "optimizers_compared": FigureSpec(
        "the same net with each optimizer", 3, _draw_function("comparisons", "draw_optimizers")
    ),
    "weights": FigureSpec("what the units of the first layer look for (--model)", 0, _of_model("weights")),
    "layers": FigureSpec("one image's way through a network, layer by layer (--model, --picture)", 0, _layers),
    "saliency": FigureSpec("the pixels that a network's answers depend on (--model)", 0, _of_model("saliency")),
    "dead_units": FigureSpec("the hidden units that answer every image alike (--model)", 0, _of_model("dead_units")),
    "confusion": FigureSpec(
        "what a member takes for what, and its most confident errors (--model)",
        0,
        _of_model("confusion"),
        ("confusion", "confident_mistakes"),
    ),
    "rbm": FigureSpec(
        "filters, reconstructions and samples of an RBM; digits a DBN makes up",
        1,
        _rbm,
        ("rbm_filters", "rbm_reconstructions", "rbm_samples", "dbn_samples"),
    ),
    "members": FigureSpec("the test errors of all published runs of every member", 0, _draw_function("members")),
    "curves": FigureSpec("the logged curves of one run or several (--run)", 0, _curves, in_all=False),
    "few_labels": FigureSpec(
        "test error against the number of labels, with and without pretraining (hours)",
        10,
        _draw_function("few_labels"),
        in_all=False,
    ),
}


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

    check_source(options.model)  # report a misspelled name before the slow imports

    from zoo.figures.writing import FigureWriter

    flush_denormals()
    if options.seeds is not None and "few_labels" in names:
        raise UsageError("few_labels has seeds of its own, ten for few labels and three for many: leave --seeds out.")
    for name in names:
        FigureWriter(options.output_dir, "", ()).check(FIGURES[name].files or (name,))
    for name in names:
        figure = FIGURES[name]
        count = options.seeds or figure.seeds
        seeds = [options.seed] if figure.seeds == 1 else list(range(count if figure.seeds else 0))
        figure.draw(FigureWriter(options.output_dir, _command(name, options), seeds), options)
    return 0


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
    parser.add_argument("--seeds", type=int, metavar="N", help="train each setting with seeds 0 to N−1 (default: 3)")
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
