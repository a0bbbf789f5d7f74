"""Folders of small pictures of digits: one folder per digit, in folders for training and test or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from zoo.data.base import DIGITS
from zoo.data.examples import MAX_IMAGES, Examples
from zoo.data.image_folder import PROGRESS_BAR_MIN_IMAGES, LabelledFile, read_files
from zoo.data.part_names import part_of
from zoo.data.pixel_files import read_pixels
from zoo.utils.console import is_interactive

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".tga"})


def find_picture_folders(folder: Path) -> dict[str, Path]:
    """Find the folders of pictures in a folder.

    Returns:
        The folders of the parts ``train`` and ``test``, or the folder itself as ``only``: it has folders 0 to 9.
        Pictures of a test part may lie in its folder directly. Then they have no labels.

    Raises:
        OSError: A folder cannot be read.
        ValueError: Two folders are for the same part. The message is a clause.
    """
    if _digits(folder):
        return {"only": folder}
    parts: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        part = part_of(path.name)
        if part is None or path.name.startswith(".") or not path.is_dir():
            continue
        inner = path / path.name  # as some programs unpack an archive
        found = next((each for each in (path, inner) if each.is_dir() and (_digits(each) or _pictures(each))), None)
        if found is None:
            continue
        if part in parts:
            raise ValueError(f"it holds two folders for {part}, {parts[part].name} and {path.name}")
        parts[part] = found
    return parts


def read_picture_folder(folder: Path) -> Examples:
    """Read the pictures of a folder, which have 28×28 pixels. One that cannot be read is passed over.

    Raises:
        ValueError: There are none, or too many. The message is a clause.
        OSError: The folder cannot be read.
    """
    digits = _digits(folder)
    listed = [(path, digit) for digit in digits for path in _pictures(folder / str(digit))]
    listed = listed or [(path, -1) for path in _pictures(folder)]
    if not 1 <= len(listed) <= MAX_IMAGES:
        raise ValueError(f"there are {len(listed):,} pictures in {folder}, but there must be 1 to {MAX_IMAGES:,}")
    problems: list[str] = []
    read = _read(listed, problems)
    if not read:
        raise ValueError(f"none of the pictures in {folder} is one of 28 × 28 pixels; {problems[0].rstrip('.')}")
    images = torch.stack([image for _, _, image in read])
    return Examples(
        images,
        torch.tensor([label for _, label, _ in read]) if digits else None,
        (float(images.min()), float(images.max())),
        [path for path, _, _ in read],
        problems,
    )


def _read(listed: Sequence[LabelledFile], problems: list[str]) -> list[tuple[Path, int, torch.Tensor]]:
    hidden = len(listed) < PROGRESS_BAR_MIN_IMAGES or not is_interactive()
    with tqdm(total=len(listed), desc="Reading", leave=False, disable=hidden) as bar:
        return list(read_files(list(listed), read_pixels, problems, bar.update))


def _digits(folder: Path) -> list[int]:
    """Return the digits that have a folder."""
    return [int(digit) for digit in DIGITS if (folder / digit).is_dir()]


def _pictures(folder: Path) -> list[Path]:
    """Return the files that are named as pictures, ordered by the numbers in their names."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    return sorted((path for path in found if path.is_file()), key=lambda path: (len(path.stem), path.name))
