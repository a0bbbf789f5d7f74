"""A distributed sampler whose order does not depend on the number of processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data.distributed import DistributedSampler


class EpochCounter:
    """Counts the epochs of a training loop that names none.

    Samplers that are made one after the other, as by a loop that asks for a new loader in every epoch, share one.
    """

    def __init__(self) -> None:
        self.begun = 0

    def begin(self) -> int:
        """Return the number of the epoch that begins, from 0."""
        self.begun += 1
        return self.begun - 1


class ExactSampler(DistributedSampler[int]):
    """Each process's share of an order that is a function of the seed and the epoch only.

    The class derives from `DistributedSampler` because Lightning does not replace such samplers. Unlike its parent, it
    never repeats an example to make the shares equal. In evaluation, every example is seen exactly once, whatever the
    number of processes. In training, all processes must take the same number of steps. Up to ``num_replicas - 1``
    examples are therefore left out, different ones in every epoch.

    Process ``r`` of ``R`` takes positions ``r, r + R, r + 2R, …``. With batch size ``B / R`` per process, all processes
    together see at step ``t`` the examples that a single process with batch size ``B`` sees at step ``t``.

    Args:
        num_examples: Size of the data set.
        shuffle: Whether the order changes with the epoch. If False, it is the order of the data set.
        seed: Random seed, 0 or more.
        num_replicas: Number of processes.
        rank: Rank of this process, 0 to ``num_replicas - 1``.
        equal_shares: Whether to leave out the remainder, so that all processes have the same number of examples.
        epochs: Counts the epochs as long as `set_epoch`, which a Trainer calls before every epoch, has not been called.
            None means a counter of its own.
    """

    def __init__(
        self,
        num_examples: int,
        *,
        shuffle: bool,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        equal_shares: bool = False,
        epochs: EpochCounter | None = None,
    ) -> None:
        super().__init__(range(num_examples), num_replicas, rank, shuffle, seed, drop_last=equal_shares)  # type: ignore[arg-type]
        usable = num_examples - num_examples % num_replicas if equal_shares else num_examples
        self.num_examples = num_examples
        self.total_size = usable
        self.num_samples = len(range(rank, usable, num_replicas))
        self._resumed = (0, 0)
        self._epochs: EpochCounter | None = epochs or EpochCounter()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch. From now on the caller says which epoch it is."""
        self._epochs = None
        super().set_epoch(epoch)

    def begin_epoch(self) -> None:
        """Go to the next epoch, unless the caller says which epoch it is."""
        if self._epochs is not None:
            self.epoch = self._epochs.begin()

    def order(self) -> Tensor:
        """Return the epoch's order over all processes, int64 ``(num_examples,)``."""
        if not self.shuffle:
            return torch.arange(self.num_examples)
        # SeedSequence mixes both numbers, so that (seed 1, epoch 0) and (seed 0, epoch 1) give unrelated orders.
        mixed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0])
        return torch.randperm(self.num_examples, generator=torch.Generator().manual_seed(mixed & (2**63 - 1)))

    def positions(self) -> Tensor:
        """Return this process's share of the epoch's order, without the skipped examples, int64 ``(n,)``."""
        epoch, seen = self._resumed
        own = self.order()[: self.total_size][self.rank :: self.num_replicas]
        return own[seen:] if epoch == self.epoch else own

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions().tolist())

    def __len__(self) -> int:
        return self.num_samples

    def resume(self, epoch: int, seen: int) -> None:
        """Skip the first ``seen`` of this process's examples in the given epoch.

        The length remains that of the whole epoch, because Lightning has already counted the skipped batches.
        """
        self._resumed = (epoch, seen)
        if self._epochs is not None:
            self._epochs.begun = epoch
