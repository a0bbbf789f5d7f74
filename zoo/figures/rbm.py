"""Filters, reconstructions and samples of an RBM, and samples of a deep belief net (DBN)."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import trange

from zoo.callbacks.progress import EpochProgressBar
from zoo.data import MNISTDataModule
from zoo.figures.training import fit
from zoo.figures.writing import FigureWriter
from zoo.models import DBN, RBM
from zoo.pretrained.evaluation import golden_images
from zoo.rbm.bernoulli_rbm import sample
from zoo.utils.console import is_interactive

STEPS = (0, 1, 10, 100, 1000, 10_000)
PRETRAIN_EPOCHS = 10


def draw(writer: FigureWriter, model: RBM) -> None:
    """Draw filters, reconstructions and Gibbs chains of an RBM, and samples of a DBN that is pretrained for the figure.

    Args:
        writer: Writes the files ``rbm_filters``, ``rbm_reconstructions``, ``rbm_samples`` and ``dbn_samples``. Its
            first seed is used for all sampling and for the DBN's training.
        model: The trained RBM.
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
            [f"{steps:,} step{'s'[: steps != 1]}" for steps in STEPS],
            names,
            "rbm_samples",
        )
    dbn = pretrain_dbn(data)
    writer.write_images(
        sample_dbn(dbn, 100).view(10, 10, 784),
        f"100 samples from a DBN, pretrained for {PRETRAIN_EPOCHS} epochs per layer without labels",
        [],
        [],
        "dbn_samples",
    )


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


def pretrain_dbn(data: MNISTDataModule) -> DBN:
    """Pretrain a DBN without fine-tuning, which would degrade it as a generative model. This takes a few minutes.

    Like the published RBM, its layers are trained with persistent chains and centred gradients. A DBN trained with
    CD-1 is a good initialization for a classifier, but the most probable states of its top RBM are not digits.
    """
    dbn = DBN(
        pretrain_epochs=PRETRAIN_EPOCHS,
        pretrain_lr=0.02,
        persistent=True,
        sample_visible=True,
        centred=True,
    )
    fit(dbn, data, dbn.unlabelled_epochs(), EpochProgressBar())
    return dbn


@torch.no_grad()
def sample_dbn(dbn: DBN, count: int, steps: int = 2000) -> Tensor:
    """Sample images from a DBN: Gibbs sampling in the top RBM, then one downward pass through the other layers.

    Args:
        dbn: A pretrained DBN that was not fine-tuned.
        count: Number of images.
        steps: Steps of Gibbs sampling. The chains start from samples of the top RBM's visible biases.

    Returns:
        The pixel probabilities, ``(count, 784)``.
    """
    *lower, top = dbn.rbms
    states = sample(torch.sigmoid(top.visible_bias).expand(count, -1))
    for _ in trange(steps, desc="Sampling the top RBM", leave=False, disable=not is_interactive()):
        states = top.gibbs(states, 1)
    for rbm in reversed(lower):
        states = rbm.visible_probabilities(states)
    return states
