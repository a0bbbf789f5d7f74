"""In-memory image data sets that return a whole batch by one indexing operation."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, ...]


class ImageBatches(Dataset[Batch]):
    """A data set of examples ``(image, label)`` or ``(image, label, row)`` that also returns whole batches.

    Any `DataLoader`, sampler or split of torch can use it. The zoo's own loader fetches each batch by one call of
    `get_batch`: the images stay uint8 in memory, on the device they are given on, and are converted to float32 in
    [0, 1] batch by batch. Fetching 100 images this way takes no longer than indexing the tensor. Converting them one by
    one through PIL takes longer than training a small network.

    Args:
        images: uint8 ``(N, 28, 28)``.
        labels: int64 ``(N,)``, −1 where there is none.
        rows: int64 ``(N,)``, the row of each example in its source archive.
        with_indices: Whether batches include the rows as a third tensor.
    """

    def __init__(self, images: Tensor, labels: Tensor, rows: Tensor, *, with_indices: bool = False) -> None:
        self.images = images
        self.labels = labels
        self.rows = rows
        self.with_indices = with_indices
        self._pixels = torch.empty(0)

    @classmethod
    def empty(cls) -> ImageBatches:
        """Return a data set without images."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls(torch.zeros(0, 28, 28, dtype=torch.uint8), nothing, nothing)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def data(self) -> Tensor:
        """The images under torchvision's name."""
        return self.images

    @property
    def targets(self) -> Tensor:
        """The labels under torchvision's name."""
        return self.labels

    def __getitem__(self, index: Any) -> Batch:
        """Return the example at a position, or the batch that a slice, a list, an array or a mask selects.

        Negative positions count from the end.

        Raises:
            IndexError: There is no such position.
        """
        if not getattr(index, "ndim", 0) and hasattr(index, "__index__"):
            return tuple(part[0] for part in self.get_batch([range(len(self))[operator.index(index)]]))
        positions = np.arange(len(self))[index.numpy(force=True) if isinstance(index, Tensor) else index]
        return self.get_batch(positions.tolist())

    def __getitems__(self, indices: Iterable[Any]) -> list[Batch]:
        """Return the examples at several positions, as a `DataLoader` asks for them before it collates them."""
        positions = [range(len(self))[operator.index(index)] for index in indices]
        return list(zip(*(part.unbind() for part in self.get_batch(positions)), strict=True))

    def get_batch(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return ``(images, labels)`` or ``(images, labels, rows)`` for the given positions, each 0 or more.

        ``images`` is float32 ``(B, 1, 28, 28)`` in [0, 1].
        """
        positions = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        images = self.images.index_select(0, positions).unsqueeze(1).to(torch.float32).div_(255)
        return images, *self._targets(positions)

    def get_batches(self, rows: Tensor) -> list[Batch]:
        """Return the batches at the positions ``rows``, int64 ``(K, B)``, by one call, which is faster than by K.

        On a CPU the next call writes its images to the same memory: new memory for every few megabytes costs more than
        filling it.
        """
        positions = rows.flatten()
        if self.images.device.type != "cpu":
            parts = self.get_batch(positions)
        else:
            grey_levels = self.images.index_select(0, positions).unsqueeze(1)
            if self._pixels.shape != grey_levels.shape:
                self._pixels = torch.empty(grey_levels.shape, dtype=torch.float32)
            parts = self._pixels.copy_(grey_levels).div_(255), *self._targets(positions)
        return list(zip(*(part.split(rows.shape[1]) for part in parts), strict=True))

    def _targets(self, positions: Tensor) -> Batch:
        labels = self.labels.index_select(0, positions)
        return (labels, self.rows.index_select(0, positions)) if self.with_indices else (labels,)

    def select(self, positions: Tensor | slice) -> ImageBatches:
        """Return a data set of the examples at these positions. With a slice, it shares the memory of this one."""
        return ImageBatches(
            self.images[positions],
            self.labels[positions],
            self.rows[positions],
            with_indices=self.with_indices,
        )

    def without_labels(self) -> ImageBatches:
        """Return a data set of the same images in which every label is −1."""
        no_labels = torch.full_like(self.labels, -1)
        return ImageBatches(self.images, no_labels, self.rows, with_indices=self.with_indices)

    def to(self, device: torch.device) -> ImageBatches:
        """Return the data set on ``device``."""
        return ImageBatches(
            self.images.to(device),
            self.labels.to(device),
            self.rows.to(device),
            with_indices=self.with_indices,
        )


def images_of(dataset: Any, limit: int | None = None, chunk: int = 1000, *, shuffled: bool = False) -> Iterator[Tensor]:
    """Yield the images of a data set, flattened, as tensors ``(B, 784)`` with at most ``chunk`` rows.

    Args:
        dataset: A data set of examples ``(image, label, …)``. An `ImageBatches` is read in chunks, any other data set
            example by example.
        limit: Maximum number of images in total. None means all.
        chunk: Maximum number of images per tensor.
        shuffled: Whether they come in a random order, always the same, and in tensors of equal size up to one image.
    """
    count = len(dataset) if limit is None else min(len(dataset), limit)
    order = torch.arange(count).split(chunk)
    if shuffled:
        mixed = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:count]
        order = mixed.tensor_split(max(1, -(-count // chunk)))
    for positions in order:
        if isinstance(dataset, ImageBatches):
            images = dataset.get_batch(positions)[0]
        else:
            images = torch.stack([dataset[int(position)][0] for position in positions])
        yield images.flatten(start_dim=1)


def mean_of(chunks: Iterable[Tensor]) -> Tensor:
    """Return the mean over the rows of all chunks ``(B, V)``, as ``(V,)``. The sum is in double precision."""
    total, rows = torch.zeros((), dtype=torch.float64), 0
    for chunk in chunks:
        total = total + chunk.cpu().double().sum(dim=0)
        rows += len(chunk)
    return (total / rows).float()


def balanced_subset(labels: Tensor, size: int, seed: int) -> Tensor:
    """Choose positions of ``size`` examples such that the numbers of examples per class differ by at most 1.

    A class that has fewer examples than its share contributes all of them, and the other classes share the rest.

    Args:
        labels: int64 ``(N,)``.
        size: Number of examples, 1 to N.
        seed: Random seed. With the same seed, a larger subset contains each smaller one, as far as the shares of the
            classes allow.

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
    by_class = [shuffled[labels[shuffled] == label] for label in classes]
    order = torch.randperm(len(classes), generator=generator).tolist()
    shares = [0] * len(classes)
    while (remaining := size - sum(shares)) > 0:
        unfilled = [index for index in order if shares[index] < len(by_class[index])]
        share, extra = divmod(remaining, len(unfilled))
        for position, index in enumerate(unfilled):
            shares[index] = min(shares[index] + share + (position < extra), len(by_class[index]))
    return torch.cat([rows[:share] for rows, share in zip(by_class, shares, strict=True)]).sort().values
