"""A DataLoader that fetches whole batches and saves its position in checkpoints."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from torch import Tensor
from torch.utils.data import DataLoader

from zoo.data.augmentation import AugmentedBatches
from zoo.data.batches import Batch, ImageBatches
from zoo.data.sampler import ExactSampler
from zoo.runs.training_state import is_count
from zoo.utils.errors import UsageError


class BatchChunk:
    """Several batches of the same size that are trained on in one call.

    Args:
        dataset: The data set of the batches.
        rows: The positions of each batch in the data set, int64 ``(K, B)``.
    """

    def __init__(self, dataset: ImageBatches, rows: Tensor) -> None:
        self.dataset = dataset
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def first(self) -> Batch:
        """Return the first batch."""
        return self.dataset.get_batch(self.rows[0])


class BatchLoader(DataLoader[Batch]):
    """A `DataLoader` that fetches whole batches and saves its position in checkpoints. Create one with `make_loader`.

    Iterated in a loop of one's own, it goes through the epochs of its `ExactSampler`, from 0; a Trainer says itself
    which epoch it is. Lightning saves and restores loaders that have ``state_dict`` and ``load_state_dict``. A training
    that was interrupted within an epoch therefore resumes with the next batch.
    """

    chunk_length: Callable[[], int] | None = None
    """Returns the number of batches to fetch next, as one `BatchChunk`. None means that batches are fetched singly."""

    # Class attributes and not constructor arguments, because Lightning re-creates some loaders from the arguments of
    # the parent class.
    _fetched = 0
    _resumed: ClassVar[dict[str, int]] = {"epoch": -1, "batches": 0}

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        # Runs when the first batch is requested. By then Lightning has set the sampler's epoch.
        if isinstance(self.sampler, ExactSampler):
            self.sampler.begin_epoch()
        self._fetched = self._resumed["batches"] if self._resumed["epoch"] == self._epoch else 0
        if isinstance(self.dataset, AugmentedBatches):
            self.dataset.set_epoch(self._epoch)
        dataset: ImageBatches = self.dataset  # type: ignore[assignment]
        if self.chunk_length is not None and isinstance(self.sampler, ExactSampler):
            yield from self._chunks(dataset, self.sampler.positions())
            return
        for positions in self.batch_sampler:  # type: ignore[union-attr]
            self._fetched += 1
            yield dataset.get_batch(positions)

    def _chunks(self, dataset: ImageBatches, positions: Tensor) -> Iterator[Any]:
        assert self.chunk_length is not None
        size = self.batch_size or 1
        # Where the images are: copied once an epoch, and not at every step.
        positions = positions.to(dataset.images.device)
        whole = len(positions) - len(positions) % size
        parts = [positions[:whole].view(-1, size), positions[whole:].view(1, -1)]
        for rows in (part for part in parts if part.numel()):
            while len(rows):
                count = min(self.chunk_length(), len(rows))
                self._fetched += count
                yield BatchChunk(dataset, rows[:count])
                rows = rows[count:]

    def mark_unused(self, count: int) -> None:
        """Exclude the last ``count`` fetched batches from the position, because they were not trained on."""
        self._fetched -= count

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches that were fetched."""
        return {"epoch": self._epoch, "batches": self._fetched}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration over that epoch start after those batches.

        Raises:
            UsageError: The state is not one that `state_dict` returns.
        """
        if isinstance(self.sampler, ExactSampler):
            counts = [state.get("epoch"), state.get("batches")] if isinstance(state, dict) else [None]
            if not all(map(is_count, counts)) or state["batches"] > len(self):
                raise UsageError(
                    "The checkpoint's position in the data is damaged: take another copy of it, or the one before."
                )
            self._resumed = state  # type: ignore[misc]  # set on the instance
            self.sampler.resume(state["epoch"], state["batches"] * (self.batch_size or 1))

    @property
    def _epoch(self) -> int:
        # Lightning's overfit_batches replaces our sampler by another one.
        return self.sampler.epoch if isinstance(self.sampler, ExactSampler) else 0


def make_loader(dataset: ImageBatches, sampler: ExactSampler, batch_size: int) -> BatchLoader:
    """Return a loader of whole batches.

    Args:
        dataset: The images.
        sampler: Determines the order of the images.
        batch_size: Images per batch of this process.
    """
    # Worker processes would only copy images that are already in this process's memory.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    return BatchLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=0,
    )
