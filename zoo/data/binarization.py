"""Black or white: pixels sampled from their grey values, once and for ever."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import torch
from torch import Tensor


def sampled_pixels(images: Tensor, seed: int = 0) -> Tensor:
    """Return binary pixels, each on with the probability that its grey value is; the same image always the same ones.

    An image's noise comes from a generator seeded with its own bytes' CRC-32, begun at the seed, so that neither
    batches nor processes change it. Likelihoods of images binarized by a threshold, or not at all, cannot be compared
    with these. Salakhutdinov and Murray, ICML 2008, sample the pixels too.

    Args:
        images: ``(B, V)`` in [0, 1].
        seed: Chooses the noise, 0 to 2³² − 1.
    """
    # As single precision, in which MNIST's pixels are made: the same image has the same bytes then.
    pixels = images.detach().float().cpu()
    noise = torch.empty_like(pixels)
    for row, generator in zip(noise, _generators(pixels, seed), strict=True):
        torch.rand(row.shape, out=row, generator=generator)
    return (noise < pixels).to(images)


def chosen_pixels(images: Tensor, count: int, seed: int = 0) -> Tensor:
    """Choose pixels of each image, with replacement; the same image always the same ones.

    Args:
        images: ``(B, V)``.
        count: How many of each.
        seed: Chooses others, 0 to 2³² − 1.

    Returns:
        int64 ``(B, count)``, on the images' device.
    """
    pixels = images.detach().float().cpu()
    drawn = [torch.randint(images.shape[1], (count,), generator=each) for each in _generators(pixels, seed)]
    return torch.stack(drawn).to(images.device)


def _generators(pixels: Tensor, seed: int) -> Iterator[torch.Generator]:
    """For each image a generator, in turn the same one, seeded with the image's own bytes."""
    generator = torch.Generator()
    for image in pixels:
        yield generator.manual_seed(zlib.crc32(image.contiguous().numpy().tobytes(), seed))
