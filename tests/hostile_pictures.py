"""Small picture files that ask for much work: of every kind one, with what a reader says of it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

SIDE = 7000
"""Of an image of 49 megapixels, just below the limit."""


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a part of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, bits: int = 8, color: int = 0, extra: bytes = b"") -> bytes:
    """Return a PNG file of a black image, with more parts before its pixels.

    Args:
        width: In pixels.
        height: In pixels.
        bits: Bits of a channel.
        color: As the format numbers it: 0 is grey, 6 red, green, blue and alpha.
        extra: The other parts.
    """
    row = bytes(1 + (width * bits * (4 if color == 6 else 1) + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff(frames: int) -> bytes:
    """Return a TIFF file whose frames all show the same 28×28 pixels."""
    pixels = bytes(384) + bytes([255]) * 400
    tags = [(256, 28), (257, 28), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 28), (279, 784)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = bytearray(struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels)
    for frame in range(frames):
        following = len(content) + len(directory) + 4
        content += directory + struct.pack("<I", following if frame < frames - 1 else 0)
    return bytes(content)


def jpeg_of_scans(scans: int, side: int = 4000) -> bytes:
    """Return a JPEG file whose last scan is repeated."""
    content = encoded(Image.new("L", (side, side), 200), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * scans + content[-2:]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the file of an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "pixels.png": (lambda: png(8000, 8000, bits=1), "has 8,000 × 8,000 pixels: make it smaller, at most 50 megapixels"),
    "bits.png": (lambda: png(SIDE, SIDE, bits=16), "nothing in this picture that stands out"),
    "channels.png": (lambda: png(SIDE, SIDE, bits=16, color=6), "nothing in this picture that stands out"),
    "text.png": (lambda: png(9, 9, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8), 9))), "damaged"),
    "profile.png": (lambda: png(9, 9, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8), 9))), "damaged"),
    "parts.png": (lambda: png(9, 9, extra=chunk(b"tEXt", b"a\0b") * 300_000), "consists of too many parts"),
    "real.tif": (
        lambda: encoded(Image.new("F", (SIDE, SIDE)), "TIFF", compression="tiff_adobe_deflate"),
        "nothing in this picture that stands out",
    ),
    "frames.tif": (lambda: tiff(155_000), ""),
    "scans.jpg": (lambda: jpeg_of_scans(200), "is a JPEG of 206 scans: save it again"),
    "progressive.jpg": (
        lambda: encoded(Image.new("L", (9000, 9000)), "JPEG", progressive=True),
        "has 9,000 × 9,000 pixels: make it smaller",
    ),
    "canvas.webp": (lambda: encoded(Image.new("RGB", (5100, 5100)), "WEBP"), "at most 25 megapixels"),
    "letters.ppm": (lambda: b"P3 3000 3000 255\n" + b"200 " * 9, "at most 1 megapixel"),
    "comment.ppm": (lambda: b"P6\n#" + b"a" * 2_000_000 + b"\n9 9 255\n" + bytes(243), "consists of too many parts"),
    "strip.png": (lambda: encoded(Image.fromarray(_strip()), "PNG"), ""),
    "noise.png": (lambda: encoded(_noise(), "PNG"), ""),
    "mesh.png": (lambda: encoded(_mesh(), "PNG"), ""),
    "line.png": (lambda: png(1, 2_000_000), "nothing in this picture that stands out"),
}
"""File name to the content, and what the error says; empty where the picture is read."""


def _noise() -> Image.Image:
    """Return a picture with many short lines by chance, as a bad photograph of a page without a digit."""
    levels = np.random.default_rng(2).normal(130, 50, (200, 160)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(levels).filter(ImageFilter.GaussianBlur(1))


def _mesh() -> Image.Image:
    """Return a picture with many lines in both directions."""
    levels = np.full((800, 800), 255, np.uint8)
    levels[::6] = levels[:, ::6] = 0
    return Image.fromarray(levels)


def _strip() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return an image of 3000×27 pixels with a mark near its lower end."""
    strip = np.full((3000, 27), 255, np.uint8)
    strip[2890:2990, 8:16] = 0
    return strip
