"""Which examples a process sees, in which order: the same on one device and on many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data.distributed import DistributedSampler


class ExactSampler(DistributedSampler[int]):
    """Each process's share of an order that is a function of (seed, epoch) alone.

    It derives from `DistributedSampler` because Lightning leaves such samplers as they are; unlike its parent it
    never repeats an example to make the shares equal. In evaluation every example is seen exactly once, whatever
    the number of processes. In training, where each process must take the same number of steps, up to
    ``num_replicas - 1`` examples of an epoch are left out, other ones in every epoch.

    Process ``r`` of ``R`` takes positions ``r, r + R, r + 2R, …``: with a batch of ``B / R`` on each process, step
    ``t`` of all processes together sees the examples that a single process with batch ``B`` sees at step ``t``.

    Args:
        num_examples: Size of the data set.
        shuffle: Whether the order changes with the epoch; without, it is the data set's own.
        seed: Chooses the orders, 0 or more.
        num_replicas: Number of processes.
        rank: This process, 0 to ``num_replicas - 1``.
        equal_shares: Leave out the remainder, so that all processes have the same number of examples.
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
    ) -> None:
        super().__init__(range(num_examples), num_replicas, rank, shuffle, seed, drop_last=equal_shares)  # type: ignore[arg-type]
        usable = num_examples - num_examples % num_replicas if equal_shares else num_examples
        self.num_examples = num_examples
        self.total_size = usable
        self.num_samples = len(range(rank, usable, num_replicas))
        self._resumed = (0, 0)

    def order(self) -> Tensor:
        """The whole epoch's order over all processes, int64 ``(num_examples,)``."""
        if not self.shuffle:
            return torch.arange(self.num_examples)
        # SeedSequence mixes both numbers, so that (seed 1, epoch 0) has nothing to do with (seed 0, epoch 1).
        mixed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0])
        return torch.randperm(self.num_examples, generator=torch.Generator().manual_seed(mixed & (2**63 - 1)))

    def positions(self) -> Tensor:
        """This process's share of the epoch's order, less what has been seen of it, int64 ``(n,)``."""
        epoch, seen = self._resumed
        own = self.order()[: self.total_size][self.rank :: self.num_replicas]
        return own[seen:] if epoch == self.epoch else own

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions().tolist())

    def __len__(self) -> int:
        return self.num_samples

    def resume(self, epoch: int, seen: int) -> None:
        """Leave out, in this one epoch, the first ``seen`` of this process's examples.

        The length stays the whole epoch's: who resumes has counted the others already.
        """
        self._resumed = (epoch, seen)
