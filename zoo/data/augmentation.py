"""More training data: small random distortions of a whole batch at once, on the device where the images lie.

Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document analysis",
ICDAR 2003: what an image says does not change when it is moved, turned or bent a little.
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

SIDE = 28
ROTATION = math.radians(15)
SCALING = math.log(1.15)
SHEAR = 0.15
SHIFT = 1.5
"""The largest turn, the log of the largest factor along each axis, the largest slant, and the largest move in pixels,
with strength 1; each is drawn evenly from its range."""

SMOOTHNESS = 4.0
BEND = 1.4
"""An elastic field's displacements are white noise that is smoothed by a Gaussian of 4 pixels, with a standard
deviation of 1.4 pixels: what Simard, Steinkraus and Platt's α = 34 comes to."""
MODES = 8
"""Of the 28 modes that the smoothing has along each axis, these hold all but 0.002 % of the variance."""


def check_augment(name: str, strength: float) -> None:
    """Raise `UsageError` unless there are distortions of this name and strength."""
    if name not in AUGMENTATIONS:
        raise unknown_name("augment", name, AUGMENTATIONS)
    check_not_negative(augment_strength=strength)


class AugmentedBatches(ImageBatches):
    """A data set whose images are distorted anew in every epoch.

    How an image is distorted is a function of the seed, the epoch and its place in the data set: the same on every
    device, with any batches and any number of processes, and when a training goes on.

    Args:
        source: The images.
        kind: A name in `AUGMENTATIONS`.
        strength: Factor of all ranges, 0 or more.
        seed: 0 or more.
    """

    def __init__(self, source: ImageBatches, kind: str, strength: float, seed: int) -> None:
        super().__init__(source.images, source.labels, source.rows, with_indices=source.with_indices)
        self.unaugmented = source
        self.kind = kind
        self.strength = strength
        self.seed = seed
        self._affine: Tensor | None = None
        self._elastic: Tensor | None = None
        self._modes = smoothing_modes().to(source.images.device)
        self._pixels = pixel_grid().to(source.images.device)

    def enter_epoch(self, epoch: int) -> None:
        """Draw the epoch's distortions; before the first call images are as they are."""
        mixed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0])
        # On the CPU, whose numbers are the same on every machine.
        generator = torch.Generator().manual_seed(mixed & (2**63 - 1))
        device = self.images.device
        if "affine" in self.kind:
            self._affine = torch.empty(len(self), 6).uniform_(-1, 1, generator=generator).to(device)
        if "elastic" in self.kind:
            self._elastic = torch.randn(len(self), 2, MODES, MODES, generator=generator).to(device)

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return a batch as `ImageBatches` does, its images distorted."""
        images, *rest = super().__getitems__(indices)
        if self._affine is None and self._elastic is None:
            return images, *rest
        chosen = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        sources = self._pixels.expand(len(chosen), -1, -1, -1)  # (B, 28, 28, 2): x and y in pixels from the centre
        if self._affine is not None:
            sources = affine_sources(sources, self._affine[chosen] * self.strength)
        if self._elastic is not None:
            fields = self._modes @ self._elastic[chosen] @ self._modes.T  # (B, 2, 28, 28)
            sources = sources + self.strength * BEND * fields.movedim(1, 3)
        return sample(images, sources), *rest


def affine_sources(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Return where each pixel of turned, scaled, slanted and moved images comes from.

    Args:
        pixels: x and y of each pixel from the centre, ``(B, 28, 28, 2)``.
        drawn: For each image the turn, both scalings, the slant and both moves, as parts of their largest: ``(B, 6)``.

    Returns:
        Places in the original images, as ``pixels`` has them.
    """
    turn, slant = drawn[:, 0] * ROTATION, drawn[:, 3] * SHEAR
    width, height = (drawn[:, 1:3] * SCALING).exp().unbind(dim=1)
    cosine, sine = turn.cos(), turn.sin()
    rotation = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    zero = torch.zeros_like(slant)
    stretch = torch.stack([torch.stack([width, slant], 1), torch.stack([zero, height], 1)], 1)
    moved = pixels.flatten(1, 2) @ (rotation @ stretch).transpose(1, 2) + SHIFT * drawn[:, None, 4:]
    return moved.view_as(pixels)


def sample(images: Tensor, sources: Tensor) -> Tensor:
    """Return images whose pixels come, linearly interpolated, from other places; outside there is 0.

    Args:
        images: ``(B, 1, 28, 28)``.
        sources: x and y from the centre in pixels, ``(B, 28, 28, 2)``.
    """
    return F.grid_sample(images, sources * (2 / SIDE), mode="bilinear", padding_mode="zeros", align_corners=False)


def pixel_grid() -> Tensor:
    """Return x and y of each pixel's middle, from the centre of the image, ``(28, 28, 2)``."""
    along = torch.arange(SIDE) - (SIDE - 1) / 2
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y], dim=2)


def smoothing_modes() -> Tensor:
    """Return M ``(28, MODES)`` so that M Z Mᵀ of white noise Z is smoothed white noise of unit mean variance.

    Smoothing along one axis is a product with a matrix of Gaussians, G; G Z Gᵀ has the same distribution as the product
    with G's left singular vectors, scaled by its singular values, of which the first few hold nearly everything.
    """
    places = torch.arange(SIDE, dtype=torch.float64)
    gaussians = torch.exp(-((places[:, None] - places) ** 2) / (2 * SMOOTHNESS**2))
    left, values, _ = torch.linalg.svd(gaussians)
    modes = (left * values)[:, :MODES]
    scaled: Tensor = modes / modes.square().sum(dim=1).mean().sqrt()
    return scaled.float()
