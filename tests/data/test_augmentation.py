from __future__ import annotations

import math
import signal
from typing import Any

import pytest
import torch

from tests.helpers import error_output, weights
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data.augmentation import (
    ELASTIC_SIGMA,
    NUM_COMPONENTS,
    AugmentedBatches,
    affine_grid,
    pixel_grid,
    sample_bilinear,
    smoothing_basis,
)

FIT = ["fit", "--config", "deep_relu_xavier", "--trainer.accelerator", "cpu", "--data.num_train", "1000"]


def batches(kind: str, strength: float = 1.0, seed: int = 0) -> AugmentedBatches:
    data = MNISTDataModule(num_train=200)
    data.setup("fit")
    return AugmentedBatches(data.training_set(), kind, strength, seed)


def test_augmentation_is_a_function_of_seed_epoch_and_position() -> None:
    one, same, other = batches("affine_elastic"), batches("affine_elastic"), batches("affine_elastic", seed=1)
    for each in (one, same, other):
        each.set_epoch(3)
    positions = torch.arange(0, 200, 7)
    images, labels = one.get_batch(positions)
    assert images.shape == (29, 1, 28, 28)
    assert torch.equal(labels, one.labels[positions])
    # The result does not depend on the batches or on the previous epochs.
    same.set_epoch(2)
    assert not torch.allclose(same.get_batch(positions)[0], images, atol=0.1)
    same.set_epoch(3)
    torch.testing.assert_close(torch.cat([same.get_batch([int(position)])[0] for position in positions]), images)
    assert not torch.allclose(other.get_batch(positions)[0], images, atol=0.1)


@pytest.mark.parametrize("kind", ["affine", "elastic", "affine_elastic"])
def test_zero_strength_leaves_images_unchanged(kind: str) -> None:
    still = batches(kind, strength=0)
    plain = still.get_batch(range(50))[0]  # before the first epoch, images are not augmented
    still.set_epoch(0)
    torch.testing.assert_close(still.get_batch(range(50))[0], plain, atol=1e-5, rtol=0)


def test_affine_grid_rotates_scales_and_translates() -> None:
    """Exact results: a translation by whole pixels, a rotation by 90° (six times 15°), and scaling by two."""
    images = torch.rand(4, 1, 28, 28)
    pixels = pixel_grid().expand(4, -1, -1, -1)

    def drawn(**parts: float) -> torch.Tensor:
        names = ("angle", "scale_x", "scale_y", "shear", "shift_x", "shift_y")
        return torch.tensor([parts.get(name, 0.0) for name in names]).expand(4, -1)

    moved = sample_bilinear(images, affine_grid(pixels, drawn(shift_x=2 / 1.5, shift_y=1 / 1.5)))
    torch.testing.assert_close(moved[:, :, :-1, :-2], images[:, :, 1:, 2:], atol=1e-5, rtol=0)
    assert not moved[:, :, -1].any()
    turned = sample_bilinear(images, affine_grid(pixels, drawn(angle=6)))
    torch.testing.assert_close(turned, images.rot90(1, dims=(2, 3)), atol=1e-4, rtol=0)
    half = math.log(0.5) / math.log(1.15)
    twice = affine_grid(pixels, drawn(scale_x=half, scale_y=half))
    torch.testing.assert_close(twice, pixels / 2, atol=1e-5, rtol=0)


def test_elastic_displacements_are_smoothed_white_noise() -> None:
    """The covariance along an axis equals that of the smoothing itself: M Mᵀ = G Gᵀ up to a factor."""
    basis = smoothing_basis().double()
    positions = torch.arange(28, dtype=torch.float64)
    gaussians = torch.exp(-((positions[:, None] - positions) ** 2) / (2 * ELASTIC_SIGMA**2))
    expected = gaussians @ gaussians.T
    torch.testing.assert_close(basis @ basis.T, expected * 28 / expected.trace(), atol=2e-3, rtol=0)
    torch.manual_seed(0)
    fields = basis @ torch.randn(2000, NUM_COMPONENTS, NUM_COMPONENTS, dtype=torch.float64) @ basis.T
    assert abs(float(fields.square().mean()) - 1) < 0.03


def test_only_training_images_are_augmented() -> None:
    plain, augmented = MNISTDataModule(num_train=300), MNISTDataModule(num_train=300, augment="elastic")
    for data in (plain, augmented):
        data.setup()
    for name in ("val_dataloader", "test_dataloader", "predict_dataloader"):
        ours, theirs = (next(iter(getattr(data, name)())) for data in (augmented, plain))
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    (images, labels), (unaugmented, same_labels) = (next(iter(data.train_dataloader())) for data in (augmented, plain))
    assert torch.equal(labels, same_labels)
    assert not torch.allclose(images, unaugmented, atol=0.1)
    assert torch.equal(augmented.training_set().images, plain.training_set().images)


def test_augmented_training_resumes_exactly() -> None:
    fit = [*FIT, "--data.augment", "affine_elastic", "--trainer.max_epochs", "3", "--trainer.limit_test_batches", "0"]
    assert main(fit) == 0
    at = f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": 14, "signal": {int(signal.SIGTERM)}}}}}'
    assert main([*fit, "--trainer.callbacks", at]) == 143
    assert main([*fit, "--ckpt_path", "last"]) == 0
    ends: list[Any] = [weights(f"logs/deep_relu_xavier/version_{n}/checkpoints/last.ckpt") for n in (0, 2)]
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--data.augment", "elastc"], "did you mean elastic"),
        (["--data.augment", "affine", "--data.augment_strength", "-1"], "augment_strength is -1"),
    ],
)
def test_invalid_arguments_give_a_one_sentence_error(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in error_output([*FIT, *words], capsys)
