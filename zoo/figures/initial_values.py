"""Comparison of weight initializations: training loss, and the output of each hidden layer before training."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import fit, progress, train
from zoo.figures.writing import FigureWriter, Row
from zoo.models import DBN, MLP
from zoo.utils.pictures import COLORS

HIDDEN_LAYERS = 5
UNITS = 100
IMAGES = 10_000
EPOCHS = 10
PRETRAIN_EPOCHS = 5
INITIALIZATIONS = {"zeros": "zeros", "N(0, 1)": "normal", "Xavier": "xavier_uniform", "He": "he_normal"}
ACTIVATIONS = {"ReLU": "relu", "sigmoid": "sigmoid"}
PRETRAINED = "RBM"
HISTOGRAM_SETTINGS = (*(("ReLU", init) for init in INITIALIZATIONS), ("sigmoid", "Xavier"), ("sigmoid", PRETRAINED))
"""Activation and weight initialization of each row of histograms."""


def draw(writer: FigureWriter) -> None:
    """Draw the training loss of each setting, and the histograms of the hidden layers' outputs."""
    settings = [(activation, init) for activation in ACTIVATIONS for init in INITIALIZATIONS]
    settings.append(("sigmoid", PRETRAINED))
    losses: dict[tuple[str, str], list[list[float]]] = {}
    rows: list[Row] = []
    runs = [(*setting, seed) for setting in settings for seed in writer.seeds]
    for activation, init, seed in progress(runs, "Weight initialization"):
        run = train(partial(make_net, activation, init, seed), seed, EPOCHS, False, num_train=IMAGES)
        losses_of_run = [metrics["train_loss"] for metrics in run.epoch_metrics]
        losses.setdefault((activation, init), []).append(losses_of_run)
        rows += [[activation, init, seed, epoch, loss] for epoch, loss in enumerate(losses_of_run, start=1)]
    figure, axes = panels(1, 2)
    for ax, activation in zip(axes.flat, ACTIVATIONS, strict=True):
        for color, init in zip(COLORS, [*INITIALIZATIONS, PRETRAINED], strict=False):
            if (activation, init) in losses:
                note = f", {HIDDEN_LAYERS} × {PRETRAIN_EPOCHS} pretraining epochs" if init == PRETRAINED else ""
                plot_runs(ax, range(1, EPOCHS + 1), losses[activation, init], init + note, color)
        ax.set(yscale="log", xlabel="epoch", ylabel="training loss in nats")
        ax.set_title(f"{activation}, 784-{UNITS}×{HIDDEN_LAYERS}-10", fontsize=10)
    lines, names = axes[0, -1].get_legend_handles_labels()  # the sigmoid panel has all lines
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=8)
    figure.suptitle(f"{IMAGES:,} images, Adam 0.001, {describe_seeds(len(writer.seeds))}", fontsize=10)
    writer.write(figure, ["activation", "weight_init", "seed", "epoch", "train_loss"], rows, "initial_values")
    draw_histograms(writer)


def make_net(activation: str, init: str, seed: int) -> MLP:
    """Return an untrained net with the given weight initialization.

    Args:
        activation: A key of `ACTIVATIONS`.
        init: A key of `INITIALIZATIONS`, or `PRETRAINED`: the hidden layers then start from the weights of a DBN that
            is pretrained on the same images.
        seed: Seed of the DBN's training.
    """
    model = MLP([UNITS] * HIDDEN_LAYERS, ACTIVATIONS[activation], INITIALIZATIONS.get(init, "xavier_uniform"))
    if init != PRETRAINED:
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


def draw_histograms(writer: FigureWriter) -> None:
    """Draw a histogram of each hidden layer's outputs before training."""
    seed = writer.seeds[0]
    figure, axes = panels(len(HISTOGRAM_SETTINGS), HIDDEN_LAYERS, size=(1.9, 1.5))
    rows: list[Row] = []
    for row_axes, (activation, init) in zip(axes, HISTOGRAM_SETTINGS, strict=True):
        run = train(partial(make_net, activation, init, seed), seed, 0, num_train=IMAGES)
        images, _ = run.data.training_set().get_batch(range(1000))
        layer_outputs = hidden_activations(run.model, images)
        for layer, (ax, outputs) in enumerate(zip(row_axes, layer_outputs, strict=True), start=1):
            top = max(float(outputs.max()), 1e-3)
            counts, edges = torch.histogram(outputs.flatten(), bins=40, range=(0.0, top))
            shares = counts / counts.sum()
            ax.stairs(shares.numpy(), edges.numpy(), fill=True, color=COLORS[0])
            ax.set(yscale="log", ylim=(1e-4, 2), xlim=(0, top), xticks=[0, top], yticks=[])
            ax.set_xticklabels(["0", f"{top:.3g}"], fontsize=7)
            ax.set_title(f"layer {layer}: sd {float(outputs.std()):.2g}", fontsize=8)
            bins = zip(edges[:-1].tolist(), shares.tolist(), strict=True)
            rows += [[activation, init, layer, edge, share] for edge, share in bins]
        row_axes[0].set_ylabel(f"{activation}\n{init}")
    figure.suptitle(
        f"Outputs of each hidden layer before training, 784-{UNITS}×{HIDDEN_LAYERS}-10, 1,000 images, seed {seed}: "
        "share of the outputs, log scale",
        fontsize=9,
    )
    columns = ["activation", "weight_init", "layer", "from", "share"]
    FigureWriter(writer.folder, writer.command, [seed]).write(figure, columns, rows, "initial_values_activity")


@torch.no_grad()
def hidden_activations(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return the output of each activation function of a net, first layer first."""
    outputs: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _, __, output: outputs.append(output))
        for module in model.modules()
        if isinstance(module, nn.ReLU | nn.Sigmoid)
    ]
    model.eval()(images)
    for hook in hooks:
        hook.remove()
    return outputs
