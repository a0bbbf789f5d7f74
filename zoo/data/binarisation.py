"""Black or white: pixels sampled from their grey values, once and for ever."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor


def sampled_pixels(images: Tensor, seed: int = 0) -> Tensor:
    """Return binary pixels, each on with the probability that its grey value is; the same image always the same ones.

    An image's noise comes from a generator seeded with its own bytes' CRC-32, begun at the seed, so that neither
    batches nor processes change it. Likelihoods of images binarised by a threshold, or not at all, cannot be compared
    with these. Salakhutdinov and Murray, ICML 2008, sample the pixels too.

    Args:
        images: ``(B, V)`` in [0, 1].
        seed: Chooses the noise, 0 to 2³² − 1.
    """
    pixels = images.detach().cpu()
    noise = torch.empty_like(pixels)
    generator = torch.Generator()
    for row, image in zip(noise, pixels, strict=True):
        generator.manual_seed(zlib.crc32(image.contiguous().numpy().tobytes(), seed))
        torch.rand(row.shape, out=row, generator=generator)
    return (noise < pixels).to(images)
