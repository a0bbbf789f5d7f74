"""What initial values do: how the cost falls from each, and what every layer makes of the images at the start."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from zoo.figures.drawing import curve, of_seeds, panels
from zoo.figures.training import fit, progress, train
from zoo.figures.writing import COLOURS, Row, Sheet
from zoo.models import DBN, MLP

HIDDEN_LAYERS = 5
UNITS = 100
IMAGES = 10_000
EPOCHS = 10
PRETRAIN_EPOCHS = 5
INITIAL_VALUES = {"zeros": "zeros", "N(0, 1)": "normal", "Xavier": "xavier_uniform", "He": "he_normal"}
ACTIVATIONS = {"ReLU": "relu", "sigmoid": "sigmoid"}
PRETRAINED = "RBM"
SHOWN_ACTIVE = (*(("ReLU", values) for values in INITIAL_VALUES), ("sigmoid", "Xavier"), ("sigmoid", PRETRAINED))
"""What the histograms show: activation and initial values."""


def draw(sheet: Sheet) -> None:
    """Draw the curves of the cost, and the histograms of the activity."""
    settings = [(activation, values) for activation in ACTIVATIONS for values in INITIAL_VALUES]
    settings.append(("sigmoid", PRETRAINED))
    costs: dict[tuple[str, str], list[list[float]]] = {}
    rows: list[Row] = []
    trainings = [(*setting, seed) for setting in settings for seed in sheet.seeds]
    for activation, values, seed in progress(trainings, "Initial values"):
        run = train(partial(make_net, activation, values, seed), seed, EPOCHS, False, num_train=IMAGES)
        found = [figures["train_loss"] for figures in run.curves]
        costs.setdefault((activation, values), []).append(found)
        rows += [[activation, values, seed, epoch, cost] for epoch, cost in enumerate(found, start=1)]
    figure, axes = panels(1, 2)
    for place, activation in zip(axes.flat, ACTIVATIONS, strict=True):
        for color, values in zip(COLOURS, [*INITIAL_VALUES, PRETRAINED], strict=False):
            if (activation, values) in costs:
                before = f", {HIDDEN_LAYERS} × {PRETRAIN_EPOCHS} epochs before" if values == PRETRAINED else ""
                curve(place, range(1, EPOCHS + 1), costs[activation, values], values + before, color)
        place.set(yscale="log", xlabel="epoch", ylabel="training cost in nats")
        place.set_title(f"{activation}, 784-{UNITS}×{HIDDEN_LAYERS}-10", fontsize=10)
    lines, names = axes[0, -1].get_legend_handles_labels()  # the panel that has all of them
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=8)
    figure.suptitle(f"{IMAGES:,} images, Adam 0.001, {of_seeds(len(sheet.seeds))}", fontsize=10)
    sheet.write(figure, ["activation", "initial_values", "seed", "epoch", "train_cost"], rows, "initial_values")
    draw_activity(sheet)


def make_net(activation: str, values: str, seed: int) -> MLP:
    """Return the net from these initial values; for `PRETRAINED`, the layers of a DBN that has seen the same images."""
    model = MLP([UNITS] * HIDDEN_LAYERS, ACTIVATIONS[activation], INITIAL_VALUES.get(values, "xavier_uniform"))
    if values != PRETRAINED:
        return model
    run = train(lambda: DBN([UNITS] * HIDDEN_LAYERS, pretrain_epochs=PRETRAIN_EPOCHS), seed, 0, num_train=IMAGES)
    dbn = run.model
    assert isinstance(dbn, DBN)
    fit(dbn, run.data, dbn.unlabelled_epochs(), limit_val_batches=0)
    linear = (layer for layer in model.net if isinstance(layer, nn.Linear))
    with torch.no_grad():
        for layer, rbm in zip(linear, dbn.rbms, strict=False):
            layer.weight.copy_(rbm.weight.T)
            layer.bias.copy_(rbm.hidden_bias)
    return model


def draw_activity(sheet: Sheet) -> None:
    """Draw a histogram of each hidden layer's outputs before training."""
    seed = sheet.seeds[0]
    figure, axes = panels(len(SHOWN_ACTIVE), HIDDEN_LAYERS, size=(1.9, 1.5))
    rows: list[Row] = []
    for line, (activation, values) in zip(axes, SHOWN_ACTIVE, strict=True):
        run = train(partial(make_net, activation, values, seed), seed, 0, num_train=IMAGES)
        images, _ = run.data.training_set().__getitems__(range(1000))
        for number, (place, activity) in enumerate(zip(line, activities(run.model, images), strict=True), start=1):
            top = max(float(activity.max()), 1e-3)
            counts, edges = torch.histogram(activity.flatten(), bins=40, range=(0.0, top))
            shares = counts / counts.sum()
            place.stairs(shares.numpy(), edges.numpy(), fill=True, color=COLOURS[0])
            place.set(yscale="log", ylim=(1e-4, 2), xlim=(0, top), xticks=[0, top], yticks=[])
            place.set_xticklabels(["0", f"{top:.3g}"], fontsize=7)
            place.set_title(f"layer {number}: sd {float(activity.std()):.2g}", fontsize=8)
            bins = zip(edges[:-1].tolist(), shares.tolist(), strict=True)
            rows += [[activation, values, number, edge, share] for edge, share in bins]
        line[0].set_ylabel(f"{activation}\n{values}")
    figure.suptitle(
        f"Outputs of each hidden layer before training, 784-{UNITS}×{HIDDEN_LAYERS}-10, 1,000 images, seed {seed}: "
        "share of the outputs, log scale",
        fontsize=9,
    )
    columns = ["activation", "initial_values", "layer", "from", "share"]
    Sheet(sheet.folder, sheet.command, [seed]).write(figure, columns, rows, "initial_values_activity")


@torch.no_grad()
def activities(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return what each activation function of a net gives, from the first."""
    found: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _, __, output: found.append(output))
        for module in model.modules()
        if isinstance(module, nn.ReLU | nn.Sigmoid)
    ]
    model.eval()(images)
    for hook in hooks:
        hook.remove()
    return found
