"""Idx files by any of the names that are usual for them, such as ``train-images.idx3-ubyte`` and EMNIST's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from zoo.data.examples import MAX_IMAGES, PIXELS, Examples, count_images, to_images, to_labels
from zoo.data.idx import read_idx

_NAME = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test)[-_. ]?(?P<kind>images?|labels?)[-_. ]?"
    r"(?:idx\d?)?[-_. ]?(?:ubyte|int|byte)?(?:\.(?:gz|idx))?",
    re.IGNORECASE,
)
_MARKS = re.compile(r"idx|ubyte", re.IGNORECASE)


@dataclass(frozen=True)
class IdxFiles:
    """The files of one part of a data set.

    Args:
        images: The file of the images.
        labels: The file of the labels. None if there is none.
    """

    images: Path
    labels: Path | None


def is_idx_name(name: str) -> bool:
    """Return whether a file's name is usual for idx files of MNIST's kind."""
    return _NAME.fullmatch(name) is not None and _MARKS.search(name) is not None


def find_idx_files(paths: Iterable[Path], beside: Path | None = None) -> dict[str, IdxFiles]:
    """Find the parts of a data set among files.

    Args:
        paths: The files. Others than idx files are left out.
        beside: One of the files: only the data set that it belongs to is looked for.

    Returns:
        The files of the parts ``train`` and ``test``, as far as there are any.

    Raises:
        ValueError: They belong to several data sets, or one is there twice. The message is a clause.
    """
    found: dict[str, dict[tuple[str, str], Path]] = {}
    # The named file, then files that are not compressed, then those in a folder of the same name.
    for path in sorted(paths, key=lambda path: (path != beside, path.suffix == ".gz", len(path.parts), path.name)):
        match = _NAME.fullmatch(path.name)
        if match is None or not is_idx_name(path.name):
            continue
        part = "train" if match["part"].lower() == "train" else "test"
        files = found.setdefault(match["set"].lower().strip("-_. "), {})
        first = files.setdefault((part, match["kind"].lower().rstrip("s")), path)
        if _letters(first) != _letters(path):
            raise ValueError(f"it holds {first.name} and {path.name}, which are for the same: remove one of them")
    if beside is not None:
        found = {name: files for name, files in found.items() if beside in files.values()}
    if len(found) > 1:
        raise ValueError(
            f"it holds the files of several data sets, {', '.join(sorted(name or 'MNIST' for name in found))}: name "
            "one of the files"
        )
    parts: dict[str, IdxFiles] = {}
    for files in found.values():
        for part in ("train", "test"):
            if images := files.get((part, "image")):
                parts[part] = IdxFiles(images, files.get((part, "label")))
            elif labels := files.get((part, "label")):
                raise ValueError(f"it holds {labels.name}, but no file of the images")
    return parts


def read_idx_files(files: IdxFiles) -> Examples:
    """Read the files of a part.

    Raises:
        UsageError: A file is damaged or no idx file.
        ValueError: They do not hold images and labels that belong together. The message is a clause.
    """
    images = read_idx(files.images, MAX_IMAGES * PIXELS)
    if images.dtype != torch.uint8:
        raise ValueError(f"{files.images.name} holds whole numbers of 4 bytes, but grey levels take one")
    count = count_images(images.shape)
    labels = None
    if files.labels is not None:
        numbers = read_idx(files.labels, MAX_IMAGES * 10)
        labels = to_labels((numbers[:, 0] if numbers.dim() == 2 else numbers).numpy(), count)
    levels = float(images.min()), float(images.max())
    if levels[1] == 1:
        images = images * 255
    return Examples(to_images(images.numpy()), labels, levels)


def _letters(path: Path) -> str:
    """Return a file's name without what differs between the copies that programs make of it."""
    return re.sub(r"\.gz$|[-_. ]", "", path.name.lower())
