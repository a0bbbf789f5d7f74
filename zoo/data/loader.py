"""A DataLoader that fetches whole batches and knows where it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from zoo.data.augmentation import AugmentedBatches
from zoo.data.batches import Batch, ImageBatches
from zoo.data.sampler import ExactSampler


def _as_it_is(batch: Any) -> Any:
    return batch


class BatchChunk:
    """Several batches that are trained on in one call.

    Args:
        dataset: Where they come from.
        positions: Each batch's places in it, int64 ``(B,)``.
    """

    def __init__(self, dataset: ImageBatches, positions: Sequence[Tensor]) -> None:
        self.dataset = dataset
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[Batch]:
        return (self.dataset.__getitems__(places) for places in self.positions)


class BatchLoader(DataLoader[Batch]):
    """A `DataLoader` with a position that goes into checkpoints; `make_loader` makes one.

    Lightning saves and restores a loader that has ``state_dict`` and ``load_state_dict``: a training that was
    interrupted within an epoch goes on with the batch that comes next.
    """

    block_length: Callable[[], int] | None = None
    """Asked before each fetch how many batches are wanted at once; without it, or for 1, batches come one by one."""

    # Set here and not by a constructor, because Lightning makes some loaders again by the parent's arguments.
    _fetched = 0
    _resumed: ClassVar[dict[str, int]] = {"epoch": -1, "batches": 0}

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        # Runs when the first batch is asked for, and by then Lightning has told the sampler the epoch.
        self._fetched = self._resumed["batches"] if self._resumed["epoch"] == self._epoch else 0
        if isinstance(self.dataset, AugmentedBatches):
            self.dataset.enter_epoch(self._epoch)
        if self.block_length is None or not isinstance(self.sampler, ExactSampler):
            for batch in super().__iter__():
                self._fetched += 1
                yield batch
            return
        batches = self.sampler.positions().split(self.batch_size or 1)
        while batches:
            count = self.block_length()
            self._fetched += count
            yield BatchChunk(self.dataset, batches[:count])  # type: ignore[misc,arg-type]
            batches = batches[count:]

    def give_back(self, count: int) -> None:
        """Note that so many of the batches that were fetched last were not trained on."""
        self._fetched -= count

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches have been fetched."""
        return {"epoch": self._epoch, "batches": self._fetched}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next pass over that epoch begin after those batches."""
        if isinstance(self.sampler, ExactSampler):
            self._resumed = state  # type: ignore[misc]  # this loader's own
            self.sampler.resume(state["epoch"], state["batches"] * (self.batch_size or 1))

    @property
    def _epoch(self) -> int:
        # Lightning's overfit_batches puts another sampler in the place of ours.
        return self.sampler.epoch if isinstance(self.sampler, ExactSampler) else 0


def make_loader(dataset: ImageBatches, sampler: ExactSampler, batch_size: int) -> BatchLoader:
    """Return a loader of whole batches.

    Args:
        dataset: The images.
        sampler: The order.
        batch_size: Images in a batch of this process.
    """
    # A worker process would have to copy to us what already lies in our own memory.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    return BatchLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=0,
        collate_fn=_as_it_is,
        # Every pass over a loader draws a seed for its workers. Drawn from torch's own generator it would shift the
        # dropout noise that follows, and a resumed training would not continue the interrupted one.
        generator=torch.Generator(),
    )
