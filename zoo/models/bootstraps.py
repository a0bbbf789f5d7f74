"""The bootstraps of a bagged ensemble: each member's training batches, and out-of-bag accuracy."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.data.batches import ImageBatches
from zoo.data.bootstrap import bootstrap_positions, multiplicities

OUT_OF_BAG_BATCH_SIZE = 1000


def fingerprint(dataset: ImageBatches) -> int:
    """Return a CRC-32 of the archive rows of a data set, which identifies its images and their order."""
    return zlib.crc32(dataset.rows.cpu().numpy().tobytes())


def draw_bootstraps(num_images: int, num_members: int, seed: int) -> Tensor:
    """Return the positions that each member draws, int32 ``(K, n)``."""
    return torch.stack([bootstrap_positions(num_images, member, seed).int() for member in range(num_members)])


class BootstrapSampler:
    """Maps a batch to one batch per member: at each position, the image that the member drew there.

    Args:
        bootstraps: The positions that each member drew, int32 ``(K, n)``.
        rows: The archive row of the image at each position, int64 ``(n,)``.
        device: The device of the batches.
    """

    def __init__(self, bootstraps: Tensor, rows: Tensor, device: torch.device) -> None:
        self._bootstraps = bootstraps.to(device)
        self._position_of_row = torch.zeros(int(rows.max()) + 1, dtype=torch.int64, device=device)
        self._position_of_row[rows] = torch.arange(len(rows), device=device)

    def member_batches(self, dataset: ImageBatches, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return each member's images ``(K, B, 1, 28, 28)`` and labels ``(K, B)``.

        Args:
            dataset: The training images.
            rows: The archive rows of a batch, int64 ``(B,)``.
        """
        drawn = self._bootstraps[:, self._position_of_row[rows]].long()  # (K, B)
        images, labels, *_ = dataset.get_batch(drawn.flatten())
        return images.to(drawn.device).unflatten(0, drawn.shape), labels.to(drawn.device).view(drawn.shape)


def out_of_bag_counts(
    member_logits: Callable[[Tensor], Tensor], dataset: ImageBatches, bootstraps: Tensor, share: Tensor
) -> Tensor:
    """Evaluate an ensemble out-of-bag on a share of the training images.

    An image is classified by the mean probability of the members that did not draw it.

    Args:
        member_logits: Maps images to the logits of all members, ``(K, B, 10)``.
        dataset: The training images, n of them.
        bootstraps: The positions that each member drew, int32 ``(K, n)``.
        share: The positions of the images to evaluate, int64.

    Returns:
        int64 ``(2,)``: the images that at least one member did not draw, and how many of them are classified correctly.
    """
    size = len(dataset)
    not_drawn = torch.stack([multiplicities(positions.long(), size) == 0 for positions in bootstraps])  # (K, n)
    counts = torch.zeros(2, dtype=torch.int64)
    for positions in share.split(OUT_OF_BAG_BATCH_SIZE):
        images, labels, *_ = dataset.get_batch(positions)
        probabilities = member_logits(images).softmax(dim=2)  # (K, B, 10)
        out_of_bag, labels = not_drawn[:, positions].to(probabilities.device), labels.to(probabilities.device)
        predictions = (probabilities * out_of_bag.unsqueeze(2)).sum(dim=0).argmax(dim=1)
        evaluated = out_of_bag.any(dim=0)
        counts += torch.stack([evaluated.sum(), (evaluated & (predictions == labels)).sum()]).cpu()
    return counts
