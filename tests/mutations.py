"""Damaged files: honest ones of every format with bits flipped, parts cut or repeated, and numbers made extreme."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from tests.helpers import idx_bytes
from tests.user_files import csv_text, make_part, parquet_table

EXTREMES = (0, 1, 127, 128, 255, 0x7FFF, 0xFFFF, 30_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def honest_pictures() -> dict[str, bytes]:
    """Return a file of each format and mode that is read, all with the same black seven on white."""
    page = np.full((60, 50), 255, np.uint8)
    page[10:16, 10:40] = page[10:50, 30:36] = 0
    grey = Image.fromarray(page)
    color, several = grey.convert("RGB"), {"save_all": True, "append_images": [grey.rotate(90)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    deep, real = Image.fromarray(page.astype(np.uint16) * 257), Image.fromarray(page.astype(np.float32))
    made = [
        *((grey.convert(mode), "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        *((image, "PNG", options) for image, options in ((deep, {}), (grey, several))),
        *((color, "JPEG", options) for options in ({}, {"progressive": True}, {"exif": exif})),
        (grey.convert("CMYK"), "JPEG", {}),
        *((grey, "GIF", options) for options in ({}, several)),
        *((image, "BMP", {}) for image in (color, grey.convert("P"), grey.convert("1"))),
        *((color, "TIFF", {"compression": name}) for name in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg")),
        *((image, "TIFF", {"compression": name}) for image, name in ((grey.convert("1"), "group4"), (real, None))),
        *((color, "WEBP", {"lossless": lossless}) for lossless in (True, False)),
        (color, "PPM", {}),
        (color, "TGA", {"compression": "tga_rle"}),
        *([(color, "AVIF", {})] if features.check("avif") else []),
    ]
    found = {"text.pgm": b"P2 10 10 255\n" + b"0 " * 50 + b"255 " * 50}
    for number, (image, kind, options) in enumerate(made):
        file = io.BytesIO()
        image.save(file, kind, **options)
        found[f"{number:02}.{kind.lower()}"] = file.getvalue()
    return found


def honest_archives() -> dict[str, bytes]:
    """Return idx files of several shapes and types, compressed and not."""
    generator = np.random.default_rng(0)
    arrays: list[np.ndarray[Any, np.dtype[Any]]] = [
        generator.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        generator.integers(0, 10, 200, dtype=np.uint8),
        generator.integers(0, 10, (50, 8), dtype=np.int32),
    ]
    plain = {f"{number}.idx": idx_bytes(numbers) for number, numbers in enumerate(arrays)}
    return plain | {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in plain.items()}


def honest_data() -> dict[str, bytes]:
    """Return an npz, CSV and Parquet files as far as they can be written, and an idx file under a usual name."""
    part = make_part(30)
    floats = (part[0] / 255).astype(np.float32)
    found = {"plain.csv": csv_text(part).encode(), "headless.csv": csv_text(part, heading=False).encode()}
    found["packed.csv.gz"] = gzip.compress(found["plain.csv"], mtime=0)
    for name, save in (("stored", np.savez), ("packed", np.savez_compressed)):
        file = io.BytesIO()
        save(file, x_train=part[0] if name == "packed" else floats, y_train=part[1])
        found[f"{name}.npz"] = file.getvalue()
    if find_spec("pyarrow"):
        import pyarrow.parquet

        file = io.BytesIO()
        pyarrow.parquet.write_table(parquet_table(part), file)
        found["hub.parquet"] = file.getvalue()
    return found


def write_mutated(folder: Path, honest: dict[str, bytes], count: int, seed: int) -> None:
    """Write so many damaged files to a new folder, each kind equally often."""
    folder.mkdir()
    generator = random.Random(seed)
    names = list(honest)
    for number in range(count):
        name = names[number % len(names)]
        folder.joinpath(f"{seed}-{number:05}-{name}").write_bytes(mutated(honest[name], generator))


def mutated(content: bytes, generator: random.Random) -> bytes:
    """Return a file with one kind of damage."""
    changed = bytearray(content)
    kind = generator.choice(["flip", "cut", "extreme", "repeat", "delete", "noise"])
    start = generator.randrange(len(content))
    if kind == "flip":
        for _ in range(generator.choice([1, 1, 4, 20])):
            changed[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    elif kind == "cut":
        del changed[start:]
    elif kind == "extreme":
        for _ in range(generator.randint(1, 3)):
            size, at = generator.choice([1, 2, 4]), generator.randrange(min(300, len(content)))
            value = generator.choice(EXTREMES) % 256**size
            changed[at : at + size] = value.to_bytes(size, generator.choice(["big", "little"]))
    elif kind == "repeat":
        changed[start:start] = changed[start : start + generator.randint(1, 200)] * generator.choice([1, 10, 100])
    elif kind == "delete":
        del changed[start : start + generator.randint(1, 100)]
    else:
        for _ in range(3):
            changed[generator.randrange(min(100, len(content)))] = generator.randrange(256)
    return with_checksums(changed) if generator.random() < 0.8 else bytes(changed)


def with_checksums(content: bytearray) -> bytes:
    """Return a PNG with the checksums of its parts made right, so that more than the checksum is looked at."""
    position = 8
    while content.startswith(b"\x89PNG") and position + 12 <= len(content):
        end = position + 8 + int.from_bytes(content[position : position + 4], "big")
        if end + 4 > len(content):
            break
        content[end : end + 4] = zlib.crc32(content[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return bytes(content)
