"""Data augmentation: small random deformations, computed for a whole batch on the device of its images.

Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document analysis",
ICDAR 2003: the class of an image does not change when the image is slightly translated, rotated or bent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.data.batches import Batch, ImageBatches
from zoo.utils.checks import check_not_negative
from zoo.utils.errors import unknown_name

AUGMENTATIONS = ("none", "affine", "elastic", "affine_elastic")

IMAGE_SIZE = 28
MAX_ROTATION = math.radians(15)
MAX_LOG_SCALE = math.log(1.15)
MAX_SHEAR = 0.15
MAX_TRANSLATION = 1.5
"""Ranges at strength 1: rotation in radians, log of the scale factor along each axis, shear, and translation in pixels.
Each parameter is drawn uniformly between minus and plus its maximum."""

ELASTIC_SIGMA = 4.0
ELASTIC_STD = 1.4
"""Elastic displacements are white noise smoothed by a Gaussian with a standard deviation of 4 pixels. The smoothed
displacements have a standard deviation of 1.4 pixels, which corresponds to α = 34 in Simard, Steinkraus and Platt."""
NUM_COMPONENTS = 8
"""Singular vectors of the smoothing that are kept along each axis, of 28. They hold all but 0.002 % of the variance."""


def check_augment(name: str, strength: float) -> None:
    """Raise `UsageError` unless ``name`` is a known augmentation and ``strength`` is finite and 0 or more."""
    if name not in AUGMENTATIONS:
        raise unknown_name("augment", name, AUGMENTATIONS)
    check_not_negative(augment_strength=strength)


class AugmentedBatches(ImageBatches):
    """A data set whose images are augmented differently in every epoch.

    After `set_epoch`, which the zoo's loader calls, the random parameters of an image are a function of the seed, the
    epoch and the image's position in the data set. They do not depend on the device, the batch size or the number of
    processes, and are the same in a resumed training. Before, as in a `DataLoader` of one's own, each access draws them
    from torch's global generator, as the random transforms of torchvision do.

    Args:
        source: The unaugmented images.
        kind: One of `AUGMENTATIONS`.
        strength: Factor applied to all ranges, 0 or more.
        seed: Random seed, 0 or more.
    """

    def __init__(self, source: ImageBatches, kind: str, strength: float, seed: int) -> None:
        super().__init__(source.images, source.labels, source.rows, with_indices=source.with_indices)
        self.unaugmented = source
        self.kind = kind
        self.strength = strength
        self.seed = seed
        self._affine: Tensor | None = None
        self._elastic: Tensor | None = None
        self._basis = smoothing_basis().to(source.images.device)
        self._pixels = pixel_grid().to(source.images.device)

    def set_epoch(self, epoch: int) -> None:
        """Draw the random parameters of an epoch."""
        mixed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0])
        # Drawn on the CPU, whose random numbers are the same on every machine.
        generator = torch.Generator().manual_seed(mixed & (2**63 - 1))
        device = self.images.device
        affine, elastic = self._draw(len(self), generator)
        if affine is not None:
            self._affine = _in_place(self._affine, affine, device)
        if elastic is not None:
            self._elastic = _in_place(self._elastic, elastic, device)

    def get_batch(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return a batch as `ImageBatches` does, with augmented images."""
        images, *rest = super().get_batch(indices)
        affine, elastic = self._parameters_of(indices)
        grid = self._pixels.expand(len(images), -1, -1, -1)  # (B, 28, 28, 2): x and y in pixels from the image center
        if affine is not None:
            grid = affine_grid(grid, affine * self.strength)
        if elastic is not None:
            fields = self._basis @ elastic @ self._basis.T  # (B, 2, 28, 28)
            grid = grid + self.strength * ELASTIC_STD * fields.movedim(1, 3)
        return sample_bilinear(images, grid), *rest

    def _parameters_of(self, indices: Sequence[int] | Tensor) -> tuple[Tensor | None, Tensor | None]:
        device = self.images.device
        if self._affine is None and self._elastic is None:
            affine, elastic = self._draw(len(indices), None)
            return None if affine is None else affine.to(device), None if elastic is None else elastic.to(device)
        chosen = torch.as_tensor(indices, dtype=torch.int64, device=device)
        return (
            None if self._affine is None else self._affine[chosen],
            None if self._elastic is None else self._elastic[chosen],
        )

    def _draw(self, count: int, generator: torch.Generator | None) -> tuple[Tensor | None, Tensor | None]:
        """Draw the parameters of this many images: ``(N, 6)`` and ``(N, 2, 8, 8)``, None where a kind needs none."""
        affine = elastic = None
        if "affine" in self.kind:
            affine = torch.empty(count, 6).uniform_(-1, 1, generator=generator)
        if "elastic" in self.kind:
            elastic = torch.randn(count, 2, NUM_COMPONENTS, NUM_COMPONENTS, generator=generator)
        return affine, elastic

    def get_batches(self, rows: Tensor) -> list[Batch]:
        """Return the batches at the positions ``rows``, int64 ``(K, B)``.

        One by one, because products of matrices may be rounded differently for another number of them.
        """
        return [self.get_batch(batch) for batch in rows]


def _in_place(before: Tensor | None, values: Tensor, device: torch.device) -> Tensor:
    """Return values on a device, in the memory of the epoch before: a captured step reads them from there."""
    return values.to(device) if before is None else before.copy_(values)


def affine_grid(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Return the sampling grid that rotates, scales, shears and translates images.

    Args:
        pixels: x and y of each pixel, in pixels from the image center, ``(B, 28, 28, 2)``.
        drawn: Parameters of each image as fractions of their maxima: rotation, scale of x, scale of y, shear,
            translation of x and translation of y, ``(B, 6)``.

    Returns:
        The position in the original image from which each pixel is sampled, in the format of ``pixels``.
    """
    angle, shear = drawn[:, 0] * MAX_ROTATION, drawn[:, 3] * MAX_SHEAR
    scale_x, scale_y = (drawn[:, 1:3] * MAX_LOG_SCALE).exp().unbind(dim=1)
    cosine, sine = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    zero = torch.zeros_like(shear)
    scaling = torch.stack([torch.stack([scale_x, shear], 1), torch.stack([zero, scale_y], 1)], 1)
    transformed = pixels.flatten(1, 2) @ (rotation @ scaling).transpose(1, 2) + MAX_TRANSLATION * drawn[:, None, 4:]
    return transformed.view_as(pixels)


def sample_bilinear(images: Tensor, grid: Tensor) -> Tensor:
    """Sample images at the given positions by bilinear interpolation. Positions outside an image give 0.

    Args:
        images: ``(B, 1, 28, 28)``.
        grid: x and y of each sampling position, in pixels from the image center, ``(B, 28, 28, 2)``.

    Returns:
        ``(B, 1, 28, 28)``.
    """
    return F.grid_sample(images, grid * (2 / IMAGE_SIZE), mode="bilinear", padding_mode="zeros", align_corners=False)


def pixel_grid() -> Tensor:
    """Return x and y of each pixel's center, in pixels from the image center, ``(28, 28, 2)``."""
    along = torch.arange(IMAGE_SIZE) - (IMAGE_SIZE - 1) / 2
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y], dim=2)


def smoothing_basis() -> Tensor:
    """Return M ``(28, NUM_COMPONENTS)`` such that M Z Mᵀ of white noise Z is smoothed white noise of mean variance 1.

    Smoothing along one axis is multiplication by a matrix G of Gaussians. Let M hold the left singular vectors of G,
    each scaled by its singular value. Then M Z Mᵀ has the same distribution as G Z Gᵀ. The first few singular values
    account for nearly all of the variance.
    """
    positions = torch.arange(IMAGE_SIZE, dtype=torch.float64)
    gaussians = torch.exp(-((positions[:, None] - positions) ** 2) / (2 * ELASTIC_SIGMA**2))
    left, values, _ = torch.linalg.svd(gaussians)
    basis = (left * values)[:, :NUM_COMPONENTS]
    scaled: Tensor = basis / basis.square().sum(dim=1).mean().sqrt()
    return scaled.float()
