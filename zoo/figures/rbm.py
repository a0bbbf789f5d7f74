"""Filters, reconstructions and samples of an RBM, and samples of a deep belief net (DBN)."""

from __future__ import annotations

from pathlib import Path

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
from zoo.runs.checkpoint import CLASS_PATH, load_into, read_checkpoint, write_weights
from zoo.utils.console import is_interactive
from zoo.utils.files import check_output, display_path

STEPS = (0, 1, 10, 100, 1000, 10_000)
PRETRAIN_EPOCHS = 10
DBN_STEPS = 100


def draw(writer: FigureWriter, model: RBM) -> None:
    """Draw filters, reconstructions and Gibbs chains of an RBM, and samples of a DBN that is pretrained for the figure.

    Args:
        writer: Writes the files ``rbm_filters``, ``rbm_reconstructions``, ``rbm_samples`` and ``dbn_samples``. Its
            first seed is used for all sampling and for the DBN's training.
        model: The trained RBM.
    """
    seed = writer.seeds[0]
    kept = writer.folder / "rbm" / f"dbn-seed-{seed}.ckpt"
    check_output(kept, CLASS_PATH)
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
    dbn = trained_dbn(kept, data)
    torch.manual_seed(seed)  # the samples are the same whether the net was trained just now or kept
    training = data.training_set()
    ten_of_each = torch.cat([(training.labels == digit).nonzero()[:10, 0] for digit in range(10)])
    images, *_ = training.get_batch(ten_of_each)
    writer.write_images(
        sample_dbn(dbn, images, DBN_STEPS).view(10, 10, 784),
        f"A DBN, pretrained for {PRETRAIN_EPOCHS} epochs per layer without labels: {DBN_STEPS} steps of Gibbs\n"
        "sampling in its top layer from ten training images of each digit, then down to the pixels",
        [f"from a {digit}" for digit in range(10)],
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


def trained_dbn(path: Path, data: MNISTDataModule) -> DBN:
    """Return the pretrained DBN of a file, or pretrain one and write it to the file for the next time.

    Args:
        path: The file. A network of the zoo with other settings is replaced.
        data: The images. Their seed is that of the DBN.

    Raises:
        UsageError: The file is damaged, was not written by the zoo, or cannot be written.
    """
    dbn = make_dbn()
    if path.is_file() and (checkpoint := read_checkpoint(path)).arguments == dict(dbn.hparams):
        load_into(dbn, checkpoint)
        return dbn
    epochs = dbn.unlabelled_epochs()
    print(
        f"Training a deep belief net for the last picture: {epochs} epochs, some minutes. "
        f"It is kept in {display_path(path)} for the next time.",
        flush=True,
    )
    fit(dbn, data, epochs, EpochProgressBar())
    write_weights(dbn, dict(dbn.hparams), path)
    return dbn


def make_dbn() -> DBN:
    """Return an untrained DBN for pretraining without fine-tuning, which would degrade it as a generative model.

    Like the published RBM, its layers are trained with persistent chains and centred gradients. A DBN trained with
    CD-1 is a good initialization for a classifier, but the most probable states of its top RBM are not digits.
    """
    return DBN(
        pretrain_epochs=PRETRAIN_EPOCHS,
        pretrain_lr=0.02,
        persistent=True,
        sample_visible=True,
        centred=True,
    )


@torch.no_grad()
def sample_dbn(dbn: DBN, images: Tensor, steps: int) -> Tensor:
    """Sample images from a DBN: Gibbs sampling in the top RBM, then one downward pass through the other layers.

    Long chains all end in the digit that the top RBM finds most probable, mostly zeros. Chains that start at images
    stay with their digits for some hundred steps.

    Args:
        dbn: A pretrained DBN that was not fine-tuned.
        images: Where the chains start, ``(C, 1, 28, 28)``.
        steps: Steps of Gibbs sampling.

    Returns:
        The pixel probabilities, ``(C, 784)``.
    """
    *lower, top = dbn.rbms
    states = sample(dbn.input_of(len(lower), images))
    for _ in trange(steps, desc="Sampling the top RBM", leave=False, disable=not is_interactive()):
        states = top.gibbs(states, 1)
    for rbm in reversed(lower):
        states = rbm.visible_probabilities(states)
    return states
