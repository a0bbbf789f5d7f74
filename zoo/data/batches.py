"""Images in memory, a whole batch by one indexing call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, ...]


class ImageBatches(Dataset[Batch]):
    """A data set that hands a `DataLoader` whole batches.

    The images stay uint8 in memory, on whichever device they were given, and become float32 in [0, 1] batch by
    batch: fetching 100 images this way costs what indexing the tensor costs, where converting them one by one
    through PIL costs more than training a small network does.

    Args:
        images: uint8 ``(N, 28, 28)``.
        labels: int64 ``(N,)``.
        rows: int64 ``(N,)``, each example's row in its source archive.
        with_indices: Whether batches carry their rows as a third tensor.
    """

    def __init__(self, images: Tensor, labels: Tensor, rows: Tensor, *, with_indices: bool = False) -> None:
        self.images = images
        self.labels = labels
        self.rows = rows
        self.with_indices = with_indices

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Batch:
        return tuple(part[0] for part in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return ``(images, labels)`` or ``(images, labels, rows)`` for the given positions.

        ``images`` is float32 ``(B, 1, 28, 28)`` in [0, 1].
        """
        chosen = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        images = self.images.index_select(0, chosen).unsqueeze(1).to(torch.float32).div_(255)
        labels = self.labels.index_select(0, chosen)
        if self.with_indices:
            return images, labels, self.rows.index_select(0, chosen)
        return images, labels

    def select(self, positions: Tensor) -> ImageBatches:
        """Return the data set of these positions only."""
        return ImageBatches(
            self.images[positions],
            self.labels[positions],
            self.rows[positions],
            with_indices=self.with_indices,
        )

    def without_labels(self) -> ImageBatches:
        """Return the same images, every label −1."""
        unknown = torch.full_like(self.labels, -1)
        return ImageBatches(self.images, unknown, self.rows, with_indices=self.with_indices)

    def to(self, device: torch.device) -> ImageBatches:
        """Return the same data on ``device``."""
        return ImageBatches(
            self.images.to(device),
            self.labels.to(device),
            self.rows.to(device),
            with_indices=self.with_indices,
        )


def images_of(dataset: Any, limit: int | None = None, chunk: int = 1000) -> Iterator[Tensor]:
    """Yield a data set's images in its own order, flattened, ``(B, 784)`` with at most ``chunk`` rows.

    Args:
        dataset: Examples ``(image, label, …)``, by ``__getitems__`` as `ImageBatches` has it, or one by one.
        limit: Stop after so many images; None means all.
        chunk: Images at a time.
    """
    for positions in torch.arange(len(dataset) if limit is None else min(len(dataset), limit)).split(chunk):
        if isinstance(dataset, ImageBatches):
            images = dataset.__getitems__(positions.tolist())[0]
        else:
            images = torch.stack([dataset[int(position)][0] for position in positions])
        yield images.flatten(start_dim=1)


def mean_of(chunks: Iterable[Tensor]) -> Tensor:
    """Return the mean over the rows of all chunks ``(B, V)``, ``(V,)``, summed in double precision."""
    total, rows = torch.zeros((), dtype=torch.float64), 0
    for chunk in chunks:
        total = total + chunk.cpu().double().sum(dim=0)
        rows += len(chunk)
    return (total / rows).float()


def balanced_subset(labels: Tensor, size: int, seed: int) -> Tensor:
    """Choose positions of ``size`` examples, every class as often as every other, or once more if it must be.

    A class that has fewer examples than its share gives all of them, and the others share the rest.

    Args:
        labels: int64 ``(N,)``.
        size: How many examples to choose, 1 to N.
        seed: The same seed chooses the same examples, and a larger size contains each smaller one's
            examples as far as the classes' shares allow.

    Returns:
        int64 ``(size,)``, ascending.

    Raises:
        ValueError: There are fewer examples than ``size``.
    """
    if size > len(labels):
        raise ValueError(f"{size} examples are wanted, but there are {len(labels)}")
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator)
    classes = labels.unique()
    of_class = [shuffled[labels[shuffled] == label] for label in classes]
    order = torch.randperm(len(classes), generator=generator).tolist()
    shares = [0] * len(classes)
    while (left := size - sum(shares)) > 0:
        unfilled = [index for index in order if shares[index] < len(of_class[index])]
        share, extra = divmod(left, len(unfilled))
        for position, index in enumerate(unfilled):
            shares[index] = min(shares[index] + share + (position < extra), len(of_class[index]))
    return torch.cat([rows[:share] for rows, share in zip(of_class, shares, strict=True)]).sort().values
