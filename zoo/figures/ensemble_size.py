"""Ask several experts: the test error of an ensemble against how many networks it has."""

from __future__ import annotations

from functools import partial

import torch

from zoo.figures.drawing import curve, of_seeds, panels
from zoo.figures.training import Run, progress, train
from zoo.figures.writing import COLOURS, Sheet
from zoo.models import BaggedEnsemble

LARGEST = 20
IMAGES = 10_000
EPOCHS = 10
KINDS = {"each on a bootstrap of its own": True, "all on the same images": False}


def draw(sheet: Sheet) -> None:
    """Draw the error of the mean probability of the first K networks of twenty, for K from 1 to 20."""
    errors: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    rows = []
    for kind, seed in progress([(kind, seed) for kind in KINDS for seed in sheet.seeds], "Ensemble size"):
        run = train(
            partial(BaggedEnsemble, "MLP", {"hidden_sizes": [100]}, LARGEST, bootstrap=KINDS[kind]),
            *(seed, EPOCHS, False),
            num_train=IMAGES,
            with_indices=True,
        )
        found = errors_by_size(run)
        errors[kind].append(found)
        rows += [[kind, seed, size, error] for size, error in enumerate(found, start=1)]
    figure, axes = panels(1, 1, size=(5.5, 3.6))
    for color, kind in zip(COLOURS, KINDS, strict=False):
        curve(axes[0, 0], range(1, LARGEST + 1), errors[kind], kind, color, marker="o", markersize=3)
    axes[0, 0].set(xlabel="networks that answer together", ylabel="test error in %", xticks=[1, 5, 10, 15, 20])
    axes[0, 0].legend(frameon=False)
    axes[0, 0].set_title(f"784-100-10, {IMAGES:,} images\n{of_seeds(len(sheet.seeds))}", fontsize=9)
    sheet.write(figure, ["kind", "seed", "networks", "test_error_percent"], rows, "ensemble_size")


@torch.no_grad()
def errors_by_size(run: Run) -> list[float]:
    """Return the test error in per cent of the first 1, 2, … networks."""
    ensemble = run.model.eval()
    assert isinstance(ensemble, BaggedEnsemble)
    run.data.setup("test")
    wrong, images_seen = torch.zeros(LARGEST), 0
    sizes = torch.arange(1, LARGEST + 1).view(-1, 1, 1)
    for images, labels, *_ in run.data.test_dataloader():
        mean = ensemble.member_logits(images).softmax(dim=2).cumsum(dim=0) / sizes
        wrong += (mean.argmax(dim=2) != labels).sum(dim=1)
        images_seen += len(labels)
    return [float(error) for error in 100 * wrong / images_seen]
