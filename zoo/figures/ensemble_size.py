"""Test error of an ensemble against the number of its networks."""

from __future__ import annotations

from functools import partial

import torch

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import Run, progress, train
from zoo.figures.writing import FigureWriter
from zoo.models import BaggedEnsemble
from zoo.utils.pictures import COLORS

MAX_NETWORKS = 20
IMAGES = 10_000
EPOCHS = 10
KINDS = {"each on a bootstrap of its own": True, "all on the same images": False}


def draw(writer: FigureWriter) -> None:
    """Draw the test error of ensembles of 1 to 20 networks.

    One ensemble of 20 is trained per setting and seed. An ensemble of K averages the probabilities of its first K
    networks.
    """
    errors: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    rows = []
    for kind, seed in progress([(kind, seed) for kind in KINDS for seed in writer.seeds], "Ensemble size"):
        run = train(
            partial(BaggedEnsemble, "MLP", {"hidden_sizes": [100]}, MAX_NETWORKS, bootstrap=KINDS[kind]),
            *(seed, EPOCHS, False),
            num_train=IMAGES,
            with_indices=True,
        )
        errors_of_run = errors_by_size(run)
        errors[kind].append(errors_of_run)
        rows += [[kind, seed, size, error] for size, error in enumerate(errors_of_run, start=1)]
    figure, axes = panels(1, 1, size=(5.5, 3.6))
    for color, kind in zip(COLORS, KINDS, strict=False):
        plot_runs(axes[0, 0], range(1, MAX_NETWORKS + 1), errors[kind], kind, color, marker="o", markersize=3)
    axes[0, 0].set(xlabel="networks in the ensemble", ylabel="test error in %", xticks=[1, 5, 10, 15, 20])
    axes[0, 0].legend(frameon=False)
    axes[0, 0].set_title(f"784-100-10, {IMAGES:,} images\n{describe_seeds(len(writer.seeds))}", fontsize=9)
    writer.write(figure, ["kind", "seed", "networks", "test_error_percent"], rows, "ensemble_size")


@torch.no_grad()
def errors_by_size(run: Run) -> list[float]:
    """Return the test error in percent of the ensembles of the first 1, 2, … networks."""
    ensemble = run.model.eval()
    assert isinstance(ensemble, BaggedEnsemble)
    run.data.setup("test")
    num_errors, num_images = torch.zeros(MAX_NETWORKS), 0
    sizes = torch.arange(1, MAX_NETWORKS + 1).view(-1, 1, 1)
    for images, labels, *_ in run.data.test_dataloader():
        probabilities = ensemble.member_logits(images).softmax(dim=2).cumsum(dim=0) / sizes
        num_errors += (probabilities.argmax(dim=2) != labels).sum(dim=1)
        num_images += len(labels)
    return [float(error) for error in 100 * num_errors / num_images]
