"""Whole batches from images in memory."""

from __future__ import annotations

import torch

from zoo.data.batches import ImageBatches


def make_dataset(with_indices: bool) -> ImageBatches:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (300, 28, 28), dtype=torch.uint8)
    return ImageBatches(images, torch.randint(0, 10, (300,)), torch.arange(300) + 7, with_indices=with_indices)


def test_many_batches_by_one_call_are_those_of_many_calls() -> None:
    for with_indices in (False, True):
        dataset = make_dataset(with_indices)
        for size in (20, 20, 7):  # the second call finds the memory of the first
            rows = torch.randperm(300)[: 3 * size].view(3, size)
            batches = dataset.get_batches(rows)
            assert len(batches) == 3
            for batch, positions in zip(batches, rows, strict=True):
                assert all(map(torch.equal, batch, dataset.__getitems__(positions)))


def test_labels_stay_when_the_next_batches_are_fetched() -> None:
    dataset = make_dataset(with_indices=True)
    first = dataset.get_batches(torch.arange(40).view(2, 20))
    dataset.get_batches(torch.arange(40, 80).view(2, 20))
    assert torch.equal(torch.cat([labels for _, labels, _ in first]), dataset.labels[:40])
    assert torch.equal(torch.cat([rows for *_, rows in first]), dataset.rows[:40])
