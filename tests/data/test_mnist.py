from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.datasets import MNIST

from zoo import MNISTDataModule
from zoo.data.base import _batch_size_for_equal_counts
from zoo.data.batches import balanced_subset
from zoo.utils.errors import UsageError


def make_data(**arguments: Any) -> MNISTDataModule:
    data = MNISTDataModule(**arguments)
    data.prepare_data()
    data.setup()
    return data


def test_batches_match_torchvision(data_dir: Path) -> None:
    reference = MNIST(str(data_dir), train=False)
    images, labels = next(iter(make_data(eval_batch_size=7).test_dataloader()))
    assert (images.shape, images.dtype, labels.dtype) == ((7, 1, 28, 28), torch.float32, torch.int64)
    assert torch.equal(images[:, 0], reference.data[:7] / 255)
    assert torch.equal(labels, reference.targets[:7])


def test_first_5000_images_are_for_validation_and_the_others_for_training() -> None:
    data = make_data(with_indices=True)
    rows = torch.cat([batch[2] for batch in data.train_dataloader()])
    assert torch.equal(rows.sort().values, torch.arange(5000, 60_000))
    validation = data.val_dataloader()
    assert not isinstance(validation, list)
    assert torch.equal(torch.cat([batch[2] for batch in validation]), torch.arange(5000))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 833, 1000])
def test_unequal_shares_are_split_into_equally_many_batches(batch_size: int) -> None:
    """With batch norm, processes synchronize in every batch."""
    for share in [2, 3, 4, 5, 8, 9, 715, 1667, 3334]:
        size = _batch_size_for_equal_counts(batch_size, share)
        assert batch_size <= size
        assert -(-share // size) == -(-(share - 1) // size)


def test_indices_are_archive_rows(data_dir: Path) -> None:
    reference = MNIST(str(data_dir), train=True)
    images, labels, rows = next(iter(make_data(with_indices=True, num_train=100).train_dataloader()))
    assert torch.equal(images[:, 0], reference.data[rows] / 255)
    assert torch.equal(labels, reference.targets[rows])


def test_without_validation_all_60000_images_are_for_training() -> None:
    data = make_data(val_size=0)
    assert len(data.train_dataloader().dataset) == 60_000  # type: ignore[arg-type]
    assert data.val_dataloader() == []


@pytest.mark.parametrize("size", [10, 100, 1000, 1003])
def test_subset_is_balanced_and_seeded(size: int) -> None:
    def labels(**arguments: int) -> tuple[torch.Tensor, torch.Tensor]:
        loader = make_data(num_train=size, with_indices=True, **arguments).train_dataloader()
        batches = list(loader)
        return torch.cat([b[1] for b in batches]), torch.cat([b[2] for b in batches]).sort().values

    found, rows = labels()
    counts = found.bincount(minlength=10)
    assert int(counts.sum()) == size
    assert int(counts.max() - counts.min()) == (1 if size % 10 else 0)
    assert torch.equal(rows, labels()[1])
    assert not torch.equal(rows, labels(subset_seed=1)[1])


def test_class_with_too_few_examples_contributes_all_of_them() -> None:
    labels = torch.tensor([0] * 8 + [1] * 2 + [2] * 8)
    chosen = balanced_subset(labels, 12, seed=0)
    assert labels[chosen].bincount().tolist() == [5, 2, 5]
    assert torch.equal(balanced_subset(labels, 18, seed=0), torch.arange(18))
    with pytest.raises(ValueError, match="19 examples are wanted, but there are 18"):
        balanced_subset(labels, 19, seed=0)


def test_num_train_can_be_all_training_images() -> None:
    assert len(make_data(num_train=55_000).train_dataloader().dataset) == 55_000  # type: ignore[arg-type]


def test_order_depends_on_epoch_and_seed_only() -> None:
    def first_labels(epoch: int, **arguments: int) -> list[int]:
        loader = make_data(**arguments).train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        return next(iter(loader))[1].tolist()  # type: ignore[no-any-return]

    assert first_labels(0) == first_labels(0)
    assert first_labels(0) != first_labels(1)
    assert first_labels(0) != first_labels(0, seed=1)


def epochs_of_own_loop(count: int, *, new_loader: bool, **arguments: Any) -> list[list[torch.Tensor]]:
    """Return the images and the labels of some epochs of a loop without a Trainer."""
    data = make_data(num_train=300, **arguments)
    loader = data.train_dataloader()
    epochs = []
    for _ in range(count):
        batches = list(data.train_dataloader() if new_loader else loader)
        epochs.append([torch.cat([batch[part] for batch in batches]) for part in (0, 1)])
    return epochs


@pytest.mark.parametrize(("augment", "new_loader"), [("none", True), ("affine", False)])
def test_epochs_of_a_loop_of_ones_own_differ_and_depend_on_the_seed_only(augment: str, new_loader: bool) -> None:
    first, second, third = epochs_of_own_loop(3, new_loader=new_loader, augment=augment)
    orders = [labels.tolist() for _, labels in (first, second, third)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert sorted(orders[0]) == sorted(orders[1])
    torch.manual_seed(99)
    again = epochs_of_own_loop(2, new_loader=not new_loader, augment=augment)
    for (images, labels), (same, same_labels) in zip((first, second), again, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, same_labels)
    assert epochs_of_own_loop(1, new_loader=new_loader, augment=augment, seed=1)[0][1].tolist() != orders[0]


def test_epochs_of_a_loop_of_ones_own_are_those_of_a_trainer() -> None:
    """A Trainer names the epochs with `set_epoch`."""
    augment = "affine_elastic"
    own = epochs_of_own_loop(3, new_loader=False, augment=augment)
    loader = make_data(num_train=300, augment=augment).train_dataloader()
    for epoch in (2, 0, 0):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for _ in range(2):  # a callback may look at an epoch again
            images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
            assert torch.equal(images, own[epoch][0])
            assert torch.equal(labels, own[epoch][1])


def test_a_loop_of_ones_own_goes_on_from_a_saved_position() -> None:
    loader = make_data(num_train=300).train_dataloader()
    list(loader)
    second = list(loader)
    resumed = make_data(num_train=300).train_dataloader()
    resumed.load_state_dict({"epoch": 1, "batches": 2})  # type: ignore[attr-defined]
    (rest,), third = list(resumed), list(resumed)
    assert torch.equal(rest[0], second[2][0])
    assert torch.equal(third[0][0], next(iter(loader))[0])


@pytest.mark.parametrize("split", ["train", "val", "test", "predict"])
def test_loaders_before_setup_say_what_to_call(split: str) -> None:
    with pytest.raises(UsageError, match=r"not in memory yet: call prepare_data\(\) and setup\(\) first"):
        getattr(MNISTDataModule(), f"{split}_dataloader")()


def test_seed_defaults_to_the_global_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MNISTDataModule().seed == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert MNISTDataModule().seed == 7
    assert MNISTDataModule(seed=3).seed == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"eval_batch_size": -1}, "eval_batch_size is -1"),
        ({"val_size": 60_000}, "val_size is 60000"),
        ({"val_size": -1}, "val_size is -1"),
        ({"num_train": 0}, "num_train is 0"),
        ({"num_train": 55_001}, "1 to 55000"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_out_of_range_sizes_are_rejected(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        MNISTDataModule(**arguments)  # type: ignore[arg-type]


def test_mnist_needs_no_folder_and_no_preparation(tmp_path: Path) -> None:
    data = MNISTDataModule(str(tmp_path / "missing"))
    data.setup("test")
    assert len(data.splits["test"]) == 10_000
    assert list(tmp_path.iterdir()) == []


def test_single_example_can_be_indexed() -> None:
    dataset = make_data().test_dataloader().dataset
    image, label = dataset[0]
    assert image.shape == (1, 28, 28)
    assert int(label) == 7
