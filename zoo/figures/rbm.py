"""Filters, reconstructions and samples of an RBM, and digits drawn by a deep belief net (DBN)."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import trange

from zoo.data import MNISTDataModule
from zoo.figures.writing import FigureWriter
from zoo.models import RBM, GenerativeDBN
from zoo.pretrained.evaluation import golden_images
from zoo.rbm.bernoulli_rbm import sample
from zoo.utils.console import is_interactive

STEPS = (0, 1, 10, 100, 1000, 10_000)
DBN_STEPS = (1, 3, 10, 30, 100, 300, 1000)


def draw(writer: FigureWriter, model: RBM, dbn: GenerativeDBN) -> None:
    """Draw filters, reconstructions and Gibbs chains of an RBM, and digits that a generative DBN draws.

    Args:
        writer: Writes the files ``rbm_filters``, ``rbm_reconstructions``, ``rbm_samples`` and ``dbn_samples``. Its
            first seed is used for all sampling.
        model: The trained RBM.
        dbn: The trained DBN.
    """
    seed = writer.seeds[0]
    data = MNISTDataModule(seed=seed)
    data.prepare_data()
    data.setup()
    digits = golden_images(data).flatten(start_dim=1)
    torch.manual_seed(seed)
    draw_filters(writer, model)
    names = [f"digit {digit}" for digit in range(10)]
    with torch.no_grad():
        writer.write_images(
            torch.stack([digits, model.rbm.reconstruct(digits)]),
            "Test images and their reconstructions",
            ["image", "reconstruction"],
            names,
            "rbm_reconstructions",
        )
        writer.write_images(
            gibbs_chain(model, digits),
            "The same images after steps of Gibbs sampling (probabilities of the pixels)",
            [step_count(steps) for steps in STEPS],
            names,
            "rbm_samples",
        )
    torch.manual_seed(seed)
    draw_digits(writer, dbn)


def draw_filters(writer: FigureWriter, model: RBM) -> None:
    """Draw the weights of the first 100 hidden units as images."""
    units = min(100, model.rbm.weight.shape[1])
    columns = min(10, units)
    weights = model.rbm.weight.detach().T[: units - units % columns]
    # All filters share one scale, so that weak filters look weak. The largest 1 % of the weights are clipped.
    limit = float(weights.abs().quantile(0.99))
    scaled = (0.5 + weights / (2 * limit)).clamp(0, 1).view(-1, columns, 784)
    writer.write_images(
        scaled,
        f"Weights of the first {len(scaled) * columns} hidden units: white −{limit:.2f}, grey 0, black {limit:.2f}",
        [],
        [],
        "rbm_filters",
    )


@torch.no_grad()
def gibbs_chain(model: RBM, images: Tensor) -> Tensor:
    """Run Gibbs chains that start at images.

    Args:
        model: The trained RBM.
        images: Initial states, ``(C, 784)``.

    Returns:
        The images and the pixel probabilities after each of `STEPS`, ``(len(STEPS), C, 784)``.
    """
    states, snapshots = sample(images), [images]
    for step in trange(1, STEPS[-1] + 1, desc="Gibbs sampling", leave=False, disable=not is_interactive()):
        probabilities = model.rbm.gibbs(states, 1, sample_visible=False)
        states = sample(probabilities)
        if step in STEPS:
            snapshots.append(probabilities)
    return torch.stack(snapshots)


@torch.no_grad()
def draw_digits(writer: FigureWriter, dbn: GenerativeDBN) -> None:
    """Draw what a generative DBN draws of each digit: Gibbs chains in its top layer with the label held.

    The chains begin at random features, so the first rows show no digit.
    """
    features = dbn.initial_features(10)
    rows, done = [], 0
    for steps in DBN_STEPS:
        features = dbn.top.gibbs_given_labels(features, torch.arange(10), steps - done)
        rows.append(dbn.decode(features).flatten(start_dim=1))
        done = steps
    writer.write_images(
        torch.stack(rows),
        "Digits that a generative DBN draws: Gibbs sampling in its top layer with the label held,\n"
        "from random features, then down to the pixels",
        [step_count(steps) for steps in DBN_STEPS],
        [f"draw a {digit}" for digit in range(10)],
        "dbn_samples",
    )


def step_count(steps: int) -> str:
    """Return a number of steps with its word."""
    return f"{steps:,} step{'s'[: steps != 1]}"
