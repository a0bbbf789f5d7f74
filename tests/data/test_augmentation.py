from __future__ import annotations

import math
import signal
from typing import Any

import pytest
import torch

from tests.helpers import complaint, weights
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data.augmentation import (
    MODES,
    SMOOTHNESS,
    AugmentedBatches,
    affine_sources,
    pixel_grid,
    sample,
    smoothing_modes,
)

FIT = ["fit", "--config", "deep_relu_xavier", "--trainer.accelerator", "cpu", "--data.num_train", "1000"]


def batches(kind: str, strength: float = 1.0, seed: int = 0) -> AugmentedBatches:
    data = MNISTDataModule(num_train=200)
    data.setup("fit")
    return AugmentedBatches(data.training_set(), kind, strength, seed)


def test_a_distortion_is_a_function_of_seed_epoch_and_place() -> None:
    one, same, other = batches("affine_elastic"), batches("affine_elastic"), batches("affine_elastic", seed=1)
    for each in (one, same, other):
        each.enter_epoch(3)
    places = torch.arange(0, 200, 7)
    images, labels = one.__getitems__(places)
    assert images.shape == (29, 1, 28, 28)
    assert torch.equal(labels, one.labels[places])
    # In any batches, and whichever epochs went before.
    same.enter_epoch(2)
    assert not torch.allclose(same.__getitems__(places)[0], images, atol=0.1)
    same.enter_epoch(3)
    torch.testing.assert_close(torch.cat([same.__getitems__([int(place)])[0] for place in places]), images)
    assert not torch.allclose(other.__getitems__(places)[0], images, atol=0.1)


@pytest.mark.parametrize("kind", ["affine", "elastic", "affine_elastic"])
def test_without_strength_images_stay_as_they_are(kind: str) -> None:
    still = batches(kind, strength=0)
    plain = still.__getitems__(range(50))[0]  # no epoch has begun
    still.enter_epoch(0)
    torch.testing.assert_close(still.__getitems__(range(50))[0], plain, atol=1e-5, rtol=0)


def test_the_affine_maps_do_what_they_say() -> None:
    """Exact answers: a move by whole pixels, a quarter turn by six times fifteen degrees, twice the size."""
    images = torch.rand(4, 1, 28, 28)
    pixels = pixel_grid().expand(4, -1, -1, -1)

    def drawn(**parts: float) -> torch.Tensor:
        names = ("turn", "width", "height", "slant", "right", "down")
        return torch.tensor([parts.get(name, 0.0) for name in names]).expand(4, -1)

    moved = sample(images, affine_sources(pixels, drawn(right=2 / 1.5, down=1 / 1.5)))
    torch.testing.assert_close(moved[:, :, :-1, :-2], images[:, :, 1:, 2:], atol=1e-5, rtol=0)
    assert not moved[:, :, -1].any()
    turned = sample(images, affine_sources(pixels, drawn(turn=6)))
    torch.testing.assert_close(turned, images.rot90(1, dims=(2, 3)), atol=1e-4, rtol=0)
    half = math.log(0.5) / math.log(1.15)
    twice = affine_sources(pixels, drawn(width=half, height=half))
    torch.testing.assert_close(twice, pixels / 2, atol=1e-5, rtol=0)


def test_an_elastic_field_is_smoothed_white_noise() -> None:
    """Its covariance along an axis against that of the smoothing itself, M Mᵀ = G Gᵀ but for its size."""
    modes = smoothing_modes().double()
    places = torch.arange(28, dtype=torch.float64)
    gaussians = torch.exp(-((places[:, None] - places) ** 2) / (2 * SMOOTHNESS**2))
    wanted = gaussians @ gaussians.T
    torch.testing.assert_close(modes @ modes.T, wanted * 28 / wanted.trace(), atol=2e-3, rtol=0)
    torch.manual_seed(0)
    fields = modes @ torch.randn(2000, MODES, MODES, dtype=torch.float64) @ modes.T
    assert abs(float(fields.square().mean()) - 1) < 0.03


def test_only_training_images_are_distorted() -> None:
    plain, bent = MNISTDataModule(num_train=300), MNISTDataModule(num_train=300, augment="elastic")
    for data in (plain, bent):
        data.setup()
    for name in ("val_dataloader", "test_dataloader", "predict_dataloader"):
        ours, theirs = (next(iter(getattr(data, name)())) for data in (bent, plain))
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    (images, labels), (unaugmented, same_labels) = (next(iter(data.train_dataloader())) for data in (bent, plain))
    assert torch.equal(labels, same_labels)
    assert not torch.allclose(images, unaugmented, atol=0.1)
    assert torch.equal(bent.training_set().images, plain.training_set().images)


def test_a_training_sees_other_distortions_in_every_epoch_and_goes_on_exactly() -> None:
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
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in complaint([*FIT, *words], capsys)
