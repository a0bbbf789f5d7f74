"""Why deep sigmoid nets did not learn: the gradient of each layer's weights, ten hidden layers deep."""

from __future__ import annotations

import statistics
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.figures.drawing import curve, of_seeds, panels
from zoo.figures.training import Run, progress, train
from zoo.figures.writing import COLOURS, Sheet
from zoo.models import MLP

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


def draw(sheet: Sheet) -> None:
    """Draw the mean size of the gradient in each layer, before and after training."""
    gradients: dict[tuple[str, str], list[list[float]]] = {}
    rows = []
    trainings = [(moment, net, seed) for moment in MOMENTS for net in NETS for seed in sheet.seeds]
    for moment, net, seed in progress(trainings, "Vanishing gradient"):
        run = train(partial(make_net, net), seed, MOMENTS[moment], validate=False, num_train=IMAGES)
        sizes = gradient_sizes(run)
        gradients.setdefault((moment, net), []).append(sizes)
        rows += [[moment, net, seed, layer, size] for layer, size in enumerate(sizes, start=1)]
    figure, axes = panels(1, 2, sharey=True)
    layers = range(1, HIDDEN_LAYERS + 2)
    for place, moment in zip(axes.flat, MOMENTS, strict=True):
        for color, net in zip(COLOURS, NETS, strict=False):
            curve(place, layers, gradients[moment, net], net, color, marker="o", markersize=3)
        place.set(yscale="log", xlabel="layer, 1 at the input", xticks=layers)
        place.set_title(moment, fontsize=10)
    axes[0, 0].set_ylabel("mean |∂cost/∂weight|")
    axes[0, 1].legend(frameon=False, loc="lower right")
    figure.suptitle(f"784-{UNITS}×{HIDDEN_LAYERS}-10, {IMAGES:,} images, {of_seeds(len(sheet.seeds))}", fontsize=10)
    sheet.write(figure, ["moment", "net", "seed", "layer", "mean_absolute_gradient"], rows, "vanishing_gradient")
    for moment in MOMENTS:
        print(f"{moment}: first layer's gradient over the last's: {ratios(gradients, moment)}")


def ratios(gradients: dict[tuple[str, str], list[list[float]]], moment: str) -> str:
    """Say for each net how large the first layer's gradient is beside the last's, the geometric mean over seeds."""
    found = {net: statistics.geometric_mean(sizes[0] / sizes[-1] for sizes in gradients[moment, net]) for net in NETS}
    return ", ".join(f"{net} {ratio:.1e}" for net, ratio in found.items())


def make_net(net: str) -> MLP:
    """Return one of `NETS`, untrained."""
    return MLP([UNITS] * HIDDEN_LAYERS, **NETS[net])  # type: ignore[arg-type]


def gradient_sizes(run: Run) -> list[float]:
    """Return the mean absolute gradient of each layer's weights, from the first, on 1,000 training images."""
    images, labels = run.data.training_set().__getitems__(range(1000))
    model = run.model.train()
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    gradients = (layer.weight.grad for layer in model.modules() if isinstance(layer, nn.Linear))
    return [float(gradient.abs().mean()) for gradient in gradients if isinstance(gradient, Tensor)]
