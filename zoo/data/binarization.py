"""Stochastic binarization of images, with noise that depends on the image and a seed only."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import torch
from torch import Tensor


def sample_binary_pixels(images: Tensor, seed: int = 0) -> Tensor:
    """Sample binary pixels, each 1 with a probability equal to its grey value. Equal images give equal samples.

    The noise of an image comes from a generator that is seeded with the CRC-32 of the image's bytes, started at
    ``seed``. It therefore does not depend on the batches or the number of processes. Likelihoods of images binarized
    by a threshold, or not binarized, are not comparable with likelihoods of these images. Salakhutdinov and Murray,
    ICML 2008, also sample the pixels.

    Args:
        images: ``(B, V)`` in [0, 1].
        seed: Seed of the noise, 0 to 2³² − 1.

    Returns:
        0 or 1 for each pixel, with the shape, dtype and device of ``images``.
    """
    # In single precision, as MNIST's pixels are computed, so that equal images have equal bytes.
    pixels = images.detach().float().cpu()
    noise = torch.empty_like(pixels)
    for row, generator in zip(noise, _generators(pixels, seed), strict=True):
        torch.rand(row.shape, out=row, generator=generator)
    return (noise < pixels).to(images)


def sample_pixel_indices(images: Tensor, count: int, seed: int = 0) -> Tensor:
    """Sample pixel indices for each image, with replacement. Equal images give equal indices.

    Args:
        images: ``(B, V)``.
        count: Number of indices per image.
        seed: Random seed, 0 to 2³² − 1.

    Returns:
        int64 ``(B, count)``, on the images' device.
    """
    pixels = images.detach().float().cpu()
    drawn = [torch.randint(images.shape[1], (count,), generator=each) for each in _generators(pixels, seed)]
    return torch.stack(drawn).to(images.device)


def _generators(pixels: Tensor, seed: int) -> Iterator[torch.Generator]:
    """Yield a generator for each image, seeded with the image's bytes. It is the same object every time."""
    generator = torch.Generator()
    for image in pixels:
        yield generator.manual_seed(zlib.crc32(image.contiguous().numpy().tobytes(), seed))
