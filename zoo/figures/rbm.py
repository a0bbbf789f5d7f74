"""What an RBM has learned, and what it and a deep belief net make up themselves."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import trange

from zoo.callbacks.progress import EpochLines
from zoo.data import MNISTDataModule
from zoo.figures.training import fit
from zoo.figures.writing import Sheet
from zoo.models import DBN, RBM
from zoo.pretrained.evaluation import golden_images
from zoo.rbm.bernoulli_rbm import sample
from zoo.utils.console import is_watched

STEPS = (0, 1, 10, 100, 1000, 10_000)
PRETRAIN_EPOCHS = 10


def draw(sheet: Sheet, model: RBM) -> None:
    """Draw filters, reconstructions and a Gibbs chain of an RBM, and digits from a DBN that is pre-trained for it.

    Args:
        sheet: Where the files go: ``rbm_filters``, ``rbm_reconstructions``, ``rbm_samples``, ``dbn_samples``; its first
            seed is that of all sampling and of the DBN's training.
        model: A trained RBM.
    """
    seed = sheet.seeds[0]
    data = MNISTDataModule(seed=seed)
    data.prepare_data()
    data.setup()
    digits = golden_images(data).flatten(start_dim=1)
    torch.manual_seed(seed)
    draw_filters(sheet, model)
    names = [f"digit {digit}" for digit in range(10)]
    with torch.no_grad():
        sheet.write_images(
            torch.stack([digits, model.rbm.reconstruct(digits)]),
            "Test images, and what one step up and down makes of them",
            ["image", "reconstruction"],
            names,
            "rbm_reconstructions",
        )
        sheet.write_images(
            gibbs_chain(model, digits),
            "The same images after steps of Gibbs sampling (probabilities of the pixels)",
            [f"{steps:,} step{'s'[: steps != 1]}" for steps in STEPS],
            names,
            "rbm_samples",
        )
    dbn = pretrained_dbn(data)
    sheet.write_images(
        dream(dbn, 100).view(10, 10, 784),
        f"100 digits from the top RBM of a DBN, {PRETRAIN_EPOCHS} epochs for each layer, no labels",
        [],
        [],
        "dbn_samples",
    )


def draw_filters(sheet: Sheet, model: RBM) -> None:
    """Draw the first 100 hidden units' weights as images."""
    units = min(100, model.rbm.weight.shape[1])
    columns = min(10, units)
    weights = model.rbm.weight.detach().T[: units - units % columns]
    # One scale for all, so that weak filters look weak; its ends are met by one weight in a hundred.
    reach = float(weights.abs().quantile(0.99))
    scaled = (0.5 + weights / (2 * reach)).clamp(0, 1).view(-1, columns, 784)
    sheet.write_images(
        scaled,
        f"Weights of the first {len(scaled) * columns} hidden units: white −{reach:.2f}, grey 0, black {reach:.2f}",
        [],
        [],
        "rbm_filters",
    )


@torch.no_grad()
def gibbs_chain(model: RBM, images: Tensor) -> Tensor:
    """Return the pixels' probabilities along chains that begin at images ``(C, 784)``: ``(len(STEPS), C, 784)``."""
    states, shown = sample(images), [images]
    for step in trange(1, STEPS[-1] + 1, desc="Gibbs sampling", leave=False, disable=not is_watched()):
        probabilities = model.rbm.gibbs(states, 1, sample_visible=False)
        states = sample(probabilities)
        if step in STEPS:
            shown.append(probabilities)
    return torch.stack(shown)


def pretrained_dbn(data: MNISTDataModule) -> DBN:
    """Pre-train a DBN for a few minutes, without fine-tuning: that would spoil it for drawing.

    With persistent chains and centred, as the RBM that ships: what CD-1 learns is a good start for a classifier, but
    the states that its top RBM likes best are no digits.
    """
    dbn = DBN(
        pretrain_epochs=PRETRAIN_EPOCHS,
        pretrain_lr=0.02,
        persistent=True,
        sample_visible=True,
        centred=True,
    )
    fit(dbn, data, dbn.unlabelled_epochs(), EpochLines())
    return dbn


@torch.no_grad()
def dream(dbn: DBN, count: int, steps: int = 2000) -> Tensor:
    """Draw from the DBN: sample its top RBM for long, then go down through the other layers.

    Args:
        dbn: Pre-trained and not fine-tuned.
        count: How many images.
        steps: Steps of Gibbs sampling, beginning at its visible biases alone.

    Returns:
        The pixels' probabilities, ``(count, 784)``.
    """
    *lower, top = dbn.rbms
    states = sample(torch.sigmoid(top.visible_bias).expand(count, -1))
    for _ in trange(steps, desc="Sampling the top RBM", leave=False, disable=not is_watched()):
        states = top.gibbs(states, 1)
    for rbm in reversed(lower):
        states = rbm.visible_probabilities(states)
    return states
