"""Vanishing gradients: the gradient of each layer's weights in nets with ten hidden layers."""

from __future__ import annotations

import statistics
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import Run, progress, train
from zoo.figures.writing import FigureWriter
from zoo.models import MLP
from zoo.utils.pictures import COLORS

HIDDEN_LAYERS = 10
UNITS = 100
IMAGES = 10_000
EPOCHS = 5
NETS = {
    "sigmoid, Xavier": {"activation": "sigmoid", "weight_init": "xavier_uniform"},
    "tanh, Xavier": {"activation": "tanh", "weight_init": "xavier_uniform"},
    "ReLU, He": {"activation": "relu", "weight_init": "he_normal"},
}
MOMENTS = {"at the start": 0, f"after {EPOCHS} epochs": EPOCHS}


def draw(writer: FigureWriter) -> None:
    """Draw the mean absolute gradient of each layer's weights, before and after training."""
    gradients: dict[tuple[str, str], list[list[float]]] = {}
    rows = []
    runs = [(moment, net, seed) for moment in MOMENTS for net in NETS for seed in writer.seeds]
    for moment, net, seed in progress(runs, "Vanishing gradient"):
        run = train(partial(make_net, net), seed, MOMENTS[moment], validate=False, num_train=IMAGES)
        means = mean_absolute_gradients(run)
        gradients.setdefault((moment, net), []).append(means)
        rows += [[moment, net, seed, layer, mean] for layer, mean in enumerate(means, start=1)]
    figure, axes = panels(1, 2, sharey=True)
    layers = range(1, HIDDEN_LAYERS + 2)
    for ax, moment in zip(axes.flat, MOMENTS, strict=True):
        for color, net in zip(COLORS, NETS, strict=False):
            plot_runs(ax, layers, gradients[moment, net], net, color, marker="o", markersize=3)
        ax.set(yscale="log", xlabel="layer, 1 at the input", xticks=layers)
        ax.set_title(moment, fontsize=10)
    axes[0, 0].set_ylabel("mean |∂loss/∂weight|")
    axes[0, 1].legend(frameon=False, loc="lower right")
    figure.suptitle(
        f"784-{UNITS}×{HIDDEN_LAYERS}-10, {IMAGES:,} images, {describe_seeds(len(writer.seeds))}", fontsize=10
    )
    writer.write(figure, ["moment", "net", "seed", "layer", "mean_absolute_gradient"], rows, "vanishing_gradient")
    for moment in MOMENTS:
        print(f"Gradient of the first layer over that of the last, {moment}: {first_to_last_ratios(gradients, moment)}")


def first_to_last_ratios(gradients: dict[tuple[str, str], list[list[float]]], moment: str) -> str:
    """Format the ratio of the first to the last layer's gradient for each net, as a geometric mean over seeds."""
    ratios = {net: statistics.geometric_mean(means[0] / means[-1] for means in gradients[moment, net]) for net in NETS}
    return "; ".join(f"{net}: {ratio:.1e}" for net, ratio in ratios.items())


def make_net(net: str) -> MLP:
    """Return an untrained net, named by a key of `NETS`."""
    return MLP([UNITS] * HIDDEN_LAYERS, **NETS[net])  # type: ignore[arg-type]


def mean_absolute_gradients(run: Run) -> list[float]:
    """Return the mean absolute gradient of each layer's weights, first layer first, on 1,000 training images."""
    images, labels = run.data.training_set().get_batch(range(1000))
    model = run.model.train()
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    gradients = (layer.weight.grad for layer in model.modules() if isinstance(layer, nn.Linear))
    return [float(gradient.abs().mean()) for gradient in gradients if isinstance(gradient, Tensor)]
