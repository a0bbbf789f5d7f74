"""The figures that can be drawn by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.utils.errors import UsageError

if TYPE_CHECKING:
    from zoo.figures.writing import FigureWriter


@dataclass(frozen=True)
class FigureOptions:
    """What some figures need to know.

    Args:
        model: For figures of a trained network: a member, or the path of a checkpoint.
        picture: For ``layers``: the file of a picture; None for a 7 of the test images.
        run: For ``curves``: the folders of runs.
        checkpoint: For ``rbm``: the checkpoint of an RBM; None for the one that ships.
    """

    model: str = "dropout_batchnorm"
    picture: Path | None = None
    run: Sequence[Path] | None = None
    checkpoint: Path | None = None


class FigureSpec(NamedTuple):
    """Description of a figure that can be drawn by name."""

    description: str
    """What the figure shows, in one line."""
    seeds: int
    """Number of seeds per setting: 0 if nothing is trained, 1 if ``--seed`` sets the only seed."""
    draw: Callable[[FigureWriter, FigureOptions], None]
    files: tuple[str, ...] = ()
    """Names of the files, without extension. Empty if the only one has the name of the figure."""
    in_all: bool = True
    """Whether ``zoo figures all`` draws the figure: it needs no further option and takes only minutes."""


def _draw_function(module: str, function: str = "draw") -> Callable[[FigureWriter, FigureOptions], None]:
    """Return a function that imports a module of ``zoo.figures`` when called, and draws with it."""
    return lambda writer, _: getattr(import_module(f"zoo.figures.{module}"), function)(writer)


def _of_model(module: str) -> Callable[[FigureWriter, FigureOptions], None]:
    """Return a function that loads the network of ``--model``, and draws it with a module of ``zoo.figures``."""

    def draw(writer: FigureWriter, options: FigureOptions) -> None:
        from zoo.pretrained.loading import load_classifier

        trained = load_classifier(options.model)
        if module == "confusion":
            trained.check_digits(options.model, "the confusion matrix of MNIST's test images")
        import_module(f"zoo.figures.{module}").draw(writer, Path(options.model).stem, trained.model)

    return draw


def _layers(writer: FigureWriter, options: FigureOptions) -> None:
    from zoo.data.mnist import load_test_data
    from zoo.data.preprocessing import preprocess
    from zoo.figures import layers
    from zoo.pretrained.evaluation import golden_images
    from zoo.pretrained.loading import load_classifier

    trained = load_classifier(options.model)
    image = golden_images(load_test_data())[7] if options.picture is None else preprocess(options.picture)
    layers.draw(writer, Path(options.model).stem, trained, image)


def _curves(writer: FigureWriter, options: FigureOptions) -> None:
    from zoo.figures import curves

    if options.run is None:
        raise UsageError("The curves of which run? Give --run logs/NAME/version_N.")
    curves.draw(writer, options.run)


def _rbm(writer: FigureWriter, options: FigureOptions) -> None:
    from zoo.figures import rbm
    from zoo.models import RBM, GenerativeDBN
    from zoo.pretrained.loading import load_pretrained

    model = RBM.load_from_checkpoint(options.checkpoint) if options.checkpoint else load_pretrained("rbm")
    dbn = load_pretrained("generative_dbn")
    assert isinstance(model, RBM)
    assert isinstance(dbn, GenerativeDBN)
    rbm.draw(writer, model, dbn)


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
        "filters, reconstructions and samples of an RBM; digits drawn by a DBN",
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
