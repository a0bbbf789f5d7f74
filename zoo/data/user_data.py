"""Data of the user's own, in the forms in which people have handwritten digits, found by a file or a folder.

MNIST is never put in its place: what cannot be read is named in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from zoo.data.archives import has_official_file
from zoo.data.base import DIGITS
from zoo.data.csv_tables import read_csv
from zoo.data.examples import Examples
from zoo.data.idx_files import find_idx_files, is_idx_name, read_idx_files
from zoo.data.npz import parts_of_npz, read_npz
from zoo.data.part_names import part_of
from zoo.data.picture_folders import SUFFIXES as PICTURE_SUFFIXES
from zoo.data.picture_folders import find_picture_folders, read_picture_folder
from zoo.data.reading_errors import read_reported, reported
from zoo.data.signatures import kind_of
from zoo.utils.checks import join_names
from zoo.utils.errors import UsageError

Readers = Mapping[str, Callable[[], Examples]]
"""By part: ``train`` and ``test``, or ``only`` where nothing says which part it is."""

KINDS = "a Keras npz, CSV with 784 pixels a line, idx or Parquet files, or folders 0 to 9 of pictures"
SUFFIXES = {"npz": (".npz",), "CSV": (".csv", ".csv.gz"), "Parquet": (".parquet",)}
NAMED_SETS = frozenset({"FashionMNIST", "KMNIST", "QMNIST"})
"""Folders of data sets that are chosen by their names."""
MAX_DEPTH = 3
MAX_FOLDERS = 50
"""Folders that are searched, and how deep."""


@dataclass(frozen=True)
class UserData:
    """Data that was found.

    Args:
        path: The file, or the folder that holds the files.
        readers: What reads each part.
        passed_over: Names in the folder that belong to no part.
    """

    path: Path
    readers: Readers
    passed_over: Sequence[str] = ()

    def part(self, *, train: bool) -> str | None:
        """Return the name of the training or the test part, or None if there is none.

        Data of which nothing says what it is for is what it is asked for.
        """
        return next((part for part in ("train" if train else "test", "only") if part in self.readers), None)


def find_data_beside_mnist(data_dir: Path) -> UserData | None:
    """Return the data in a folder, or None if it is a place for MNIST's official files and named data sets only.

    Raises:
        UsageError: As for `find_user_data`, or the folder holds MNIST and other data.
    """
    if not has_official_file(data_dir):
        return find_user_data(data_dir)
    with reported(data_dir):
        if _in_folder(data_dir) is not None:
            raise ValueError("it holds MNIST's official files and other data: name a file or folder of the other data")
    return None


def find_user_data(path: Path) -> UserData | None:
    """Find data at a path. Nothing but the beginnings of files and the directories of archives is read.

    Returns:
        The data. None if there is nothing, an empty folder, or one of named data sets only.

    Raises:
        UsageError: What is there is no such data, or more than one data set.
    """
    with reported(path):
        if not _exists(path):
            if path.suffix.lower() in (".npz", ".csv", ".gz", ".parquet"):
                raise UsageError(f"There is no file {path}: name the data's file or folder as data_dir.")
            return None
        if not path.is_dir():
            return UserData(path, _in_file(path))
        folders, seen = [path], 1
        for _ in range(MAX_DEPTH):
            found = [data for folder in folders if (data := _in_folder(folder)) is not None]
            if len(found) > 1:
                places = join_names([str(data.path.relative_to(path)) for data in found])
                raise ValueError(f"several folders in it hold data, {places}: name one of them")
            if found:
                return found[0]
            inner = [each for folder in folders for each in _visible(folder) if each.name not in NAMED_SETS]
            folders = [each for each in inner if each.is_dir()]
            seen += len(folders)
            if seen > MAX_FOLDERS:
                break
        others = [each.name for each in _visible(path) if each.name not in {"MNIST", *NAMED_SETS}]
        if others:
            has_pictures = any(Path(name).suffix.lower() in PICTURE_SUFFIXES for name in others)
            hint = "; `zoo classify` says what single pictures show" if has_pictures else ""
            raise UsageError(
                f"{path} holds {join_names(others)}, and nothing that is read as data: name {KINDS}{hint}."
            )
        return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, or a folder that may not be read: reported by who reads it
        return False


def _in_file(path: Path) -> Readers:
    """Return the readers of a file that the user named."""
    kind = kind_of(path)
    if kind == "npz":
        return {part: partial(read_reported, path, read_npz, path, part) for part in parts_of_npz(path)}
    if kind == "parquet":
        return {"only": partial(read_reported, path, _read_parquet, [path])}
    if kind == "csv":
        return {"only": partial(read_reported, path, read_csv, path)}
    if kind == "idx":
        if not is_idx_name(path.name):
            raise ValueError("an idx file is known by its name, for example t10k-images-idx3-ubyte, so rename it")
        return _idx_readers(_idx_files(path.parent), path)
    raise ValueError(f"it is {kind}, and what is read is {KINDS}")


def _in_folder(folder: Path) -> UserData | None:
    """Return the data that lies in a folder itself, or None if there is none."""
    found: dict[str, tuple[Readers, Sequence[Path]]] = {}
    for kind, suffixes in SUFFIXES.items():
        files = [path for path in _visible(folder) if path.name.lower().endswith(suffixes) and path.is_file()]
        if files:
            found[kind] = _table_readers(kind, files)
    if readers := _idx_readers(_idx_files(folder)):
        found["idx"] = readers, [path for path in _visible(folder) if is_idx_name(path.name)]
    if pictures := find_picture_folders(folder):
        places = [folder / digit for digit in DIGITS] if "only" in pictures else list(pictures.values())
        readers = {part: partial(read_reported, path, read_picture_folder, path) for part, path in pictures.items()}
        found["pictures"] = readers, [each for path in places for each in (path, path.parent)]
    if len(found) > 1:
        raise ValueError(f"{folder} holds data of several kinds, {', '.join(found)}: name one file or folder of them")
    for readers, used in found.values():
        known = {path.name for path in used} | NAMED_SETS
        return UserData(folder, readers, [path.name for path in _visible(folder) if path.name not in known])
    return None


def _table_readers(kind: str, paths: Sequence[Path]) -> tuple[Readers, Sequence[Path]]:
    """Return the readers of files of one kind by the parts that their names say, and the files that they read."""
    parts: dict[str, list[Path]] = {}
    for path in paths:
        if part := part_of(path.name):
            parts.setdefault(part, []).append(path)
    parts = parts or {"only": list(paths)}
    readers: dict[str, Callable[[], Examples]] = {}
    for part, files in parts.items():
        if kind == "Parquet" and part != "only":  # a part may lie in several files
            path = files[0] if len(files) == 1 else files[0].parent
            readers[part] = partial(read_reported, path, _read_parquet, files)
            continue
        if len(files) > 1:
            raise ValueError(f"it holds {join_names([path.name for path in files])}: name one of them")
        with reported(files[0]):
            inside = _in_file(files[0])
        readers |= {part: inside["only"]} if "only" in inside else inside
    return readers, [path for files in parts.values() for path in files]


def _idx_readers(files: Sequence[Path], beside: Path | None = None) -> Readers:
    parts = find_idx_files(files, beside)
    return {part: partial(read_reported, each.images, read_idx_files, each) for part, each in parts.items()}


def _idx_files(folder: Path) -> list[Path]:
    """Return what has the name of an idx file, also a link to nothing or a pipe, which is named when it is read."""
    found = [path for path in _visible(folder) if is_idx_name(path.name)]
    # Some programs unpack a file into a folder of the same name.
    return [path / path.name if (path / path.name).is_file() else path for path in found]


def _read_parquet(paths: Sequence[Path]) -> Examples:
    from zoo.data.parquet import read_parquet  # pyarrow takes a while to import

    return read_parquet(paths)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
