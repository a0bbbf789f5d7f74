"""Whole batches from images in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    RandomSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    random_split,
)

from zoo.data.augmentation import AugmentedBatches
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
                assert all(map(torch.equal, batch, dataset.get_batch(positions)))


def test_labels_stay_when_the_next_batches_are_fetched() -> None:
    dataset = make_dataset(with_indices=True)
    first = dataset.get_batches(torch.arange(40).view(2, 20))
    dataset.get_batches(torch.arange(40, 80).view(2, 20))
    assert torch.equal(torch.cat([labels for _, labels, _ in first]), dataset.labels[:40])
    assert torch.equal(torch.cat([rows for *_, rows in first]), dataset.rows[:40])


@pytest.mark.parametrize("index", [0, 299, -1, -300, np.int64(3), np.uint8(3), torch.tensor(4), torch.tensor(-2)])
def test_one_index_gives_one_example(index: Any) -> None:
    image, label, row = (dataset := make_dataset(with_indices=True))[index]
    assert (image.shape, image.dtype, label.dim()) == ((1, 28, 28), torch.float32, 0)
    assert int(row) == 7 + int(index) % 300
    assert torch.equal(image[0], dataset.data[int(index)] / 255)
    assert int(label) == int(dataset.targets[int(index)])


@pytest.mark.parametrize(
    "index",
    [slice(3), slice(None, None, -50), slice(-5, None), [1, -1], torch.tensor([2]), np.array([4, 4]), range(5, 9)],
)
def test_several_indices_give_a_batch(index: Any) -> None:
    dataset = make_dataset(with_indices=True)
    expected = np.arange(300)[index if isinstance(index, slice) else np.asarray(index)] + 7
    images, labels, rows = dataset[index]
    assert images.shape == (len(expected), 1, 28, 28)
    assert len(labels) == len(expected)
    assert rows.tolist() == expected.tolist()


def test_a_mask_gives_the_chosen_examples_and_iteration_ends() -> None:
    dataset = make_dataset(with_indices=False)
    assert dataset[dataset.targets == 3][1].unique().tolist() == [3]
    assert len(list(iter(dataset))) == len(dataset)  # by indices, until IndexError
    for index in (300, -301):
        with pytest.raises(IndexError):
            dataset[index]


LOADERS: dict[str, Callable[[ImageBatches], dict[str, Any]]] = {
    "shuffle": lambda _: {"shuffle": True, "batch_size": 20},
    "weights": lambda data: {"sampler": WeightedRandomSampler([1.0] * len(data), 60), "batch_size": 20},
    "subset": lambda _: {"sampler": SubsetRandomSampler(range(60)), "batch_size": 20},
    "batches": lambda data: {"batch_sampler": BatchSampler(RandomSampler(data), 20, drop_last=True)},
}


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", LOADERS)
def test_any_loader_of_torch_collates_the_examples(kind: str, workers: int, augment: bool) -> None:
    dataset = make_dataset(with_indices=True)
    given = AugmentedBatches(dataset, "affine", 0.0, seed=0) if augment else dataset
    for images, labels, rows in DataLoader(given, num_workers=workers, **LOADERS[kind](dataset)):
        assert images.shape == (20, 1, 28, 28)
        expected = dataset[rows - 7]
        torch.testing.assert_close(images, expected[0], atol=1e-5, rtol=0)
        assert torch.equal(labels, expected[1])


SPLITS: dict[str, Callable[[ImageBatches], Any]] = {
    "random_split": lambda data: random_split(data, [0.9, 0.1])[0],
    "array": lambda data: Subset(data, np.arange(50)),  # type: ignore[arg-type]  # as scikit-learn returns them
    "negative": lambda data: Subset(data, [-1, -2, -3]),
    "nested": lambda data: Subset(Subset(data, range(100)), range(50)),
    "sum": lambda data: data + data,
    "concatenated": lambda data: ConcatDataset([data, Subset(data, range(3))]),
}


@pytest.mark.parametrize("split", SPLITS)
def test_splits_of_torch_give_the_same_examples(split: str) -> None:
    dataset = make_dataset(with_indices=True)
    for images, labels, rows in DataLoader(SPLITS[split](dataset), batch_size=16, shuffle=True):
        assert all(map(torch.equal, (images, labels), dataset[rows - 7][:2]))


def test_a_stack_of_data_sets_gives_pairs() -> None:
    dataset = make_dataset(with_indices=False)
    (images, labels), (same, _) = next(iter(DataLoader(StackDataset(dataset, dataset), batch_size=5)))
    assert torch.equal(images, same)
    assert torch.equal(labels, dataset.targets[:5])


@pytest.mark.parametrize("kind", ["affine", "elastic", "affine_elastic"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_of_ones_own_augments_differently_in_every_epoch(kind: str, workers: int) -> None:
    dataset = AugmentedBatches(make_dataset(with_indices=False), kind, 1.0, seed=0)

    def two_epochs() -> list[torch.Tensor]:
        torch.manual_seed(1)
        loader = DataLoader(dataset, batch_size=100, num_workers=workers)
        return [torch.cat([images for images, _ in loader]) for _ in range(2)]

    first, second = two_epochs()
    assert not torch.allclose(first, second, atol=0.1)
    assert all(map(torch.equal, (first, second), two_epochs()))
