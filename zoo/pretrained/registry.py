"""The registry of members. Every config directly in ``configs/`` is a member; there is no other list.

This module does not import torch, so that listing the members is fast.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from zoo.pretrained.entries import Entry, LikelihoodEntry
from zoo.utils.errors import UsageError, unknown_name

DEFAULT_DATA = "zoo.data.MNISTDataModule"
"""The class of the data if a config does not name one."""


@cache
def root() -> Path:
    """Return the folder of ``configs/`` and ``checkpoints/``: the package in a wheel, its parent in a checkout."""
    package = Path(__file__).resolve().parent.parent
    return package if (package / "configs").is_dir() else package.parent


@dataclass(frozen=True)
class ModelInfo:
    """Information on a member or demonstration that is available without loading its network."""

    name: str
    description: str
    """The first line of the config."""
    lecture_accuracy: float | None
    """The test accuracy that the lecture reports; None if the lecture does not have this network."""
    papers: tuple[str, ...]
    """The papers that describe the network and its recipe."""
    config: Path
    checkpoint: Path
    """The path of the trained network, which exists only if the network ships."""
    metrics: Entry | None = None
    """The entry in ``checkpoints/index.json``; None if no trained network ships."""
    demonstration: LikelihoodEntry | None = None
    """The entry in ``checkpoints/demonstrations.json``; None for members and demonstrations that do not ship."""

    @property
    def one_more_run(self) -> tuple[int, int] | None:
        """The 95 % interval for the test errors of one more run of the recipe; None if no network ships.

        See `zoo.metrics.intervals.prediction_interval`.
        """
        if self.metrics is None:
            return None
        low, high = self.metrics["one_more_run"]
        return low, high

    @property
    def test_accuracy(self) -> float | None:
        """The accuracy of the shipped network on the official 10,000 test images; None if no network ships."""
        return None if self.metrics is None else 1 - self.metrics["test_errors"] / self.metrics["test_images"]


def index_path() -> Path:
    """Return the path of the index with the metrics of the shipped members."""
    return root() / "checkpoints" / "index.json"


def demonstrations_path() -> Path:
    """Return the path of the index with the metrics of the shipped demonstrations."""
    return root() / "checkpoints" / "demonstrations.json"


def table_path(name: str) -> Path:
    """Return the path of the table of the published runs of a member or demonstration."""
    return root() / "checkpoints" / "studies" / f"{name}.csv"


@cache
def read_index() -> dict[str, Entry]:
    """Read ``checkpoints/index.json``, the entries of the shipped members by name.

    Raises:
        UsageError: The file is not valid JSON, or a field of an entry is missing.
    """
    index: dict[str, Entry] = _read(index_path(), Entry)
    return index


@cache
def read_demonstrations() -> dict[str, LikelihoodEntry]:
    """Read ``checkpoints/demonstrations.json``, the entries of the shipped demonstrations by name.

    Raises:
        UsageError: The file is not valid JSON, or a field of an entry is missing.
    """
    index: dict[str, LikelihoodEntry] = _read(demonstrations_path(), LikelihoodEntry)
    return index


def _read(path: Path, entry_type: type) -> Any:
    if not path.is_file():
        return {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}): install the package again.") from error
    for name, entry in index.items() if isinstance(index, dict) else [("it", None)]:
        missing = _required_fields(entry_type) - (entry.keys() if isinstance(entry, dict) else set())
        if missing:
            raise UsageError(f"{path} is damaged ({name} lacks {', '.join(sorted(missing))}): install it again.")
    return index


def _required_fields(entry_type: Any) -> frozenset[str]:
    return frozenset(entry_type.__required_keys__)


def list_models(filter: str = "*", pretrained: bool = False) -> list[str]:
    """Return the names of the members in alphabetical order.

    Args:
        filter: A shell pattern that the names must match, for example ``"deep*"``.
        pretrained: Whether to return only the members that ship a trained network.
    """
    names = sorted(path.stem for path in (root() / "configs").glob("*.yaml"))
    return [name for name in names if fnmatch.fnmatchcase(name, filter) and (not pretrained or name in read_index())]


def best_members(count: int) -> list[str]:
    """Return the members that ship trained with the highest accuracy on the validation images, best first.

    Test images are for counting and choose nothing. Where several are equal, the earlier name comes first.

    Args:
        count: How many, at least 1.

    Raises:
        UsageError: There are not so many.
    """
    accuracies = {name: accuracy for name, entry in read_index().items() if (accuracy := entry["val_accuracy"])}
    known = [name for name in list_models(pretrained=True) if name in accuracies]
    if not 1 <= count <= len(known):
        raise UsageError(f"The best {count} were asked for, but {len(known)} members have a validation accuracy.")
    return sorted(known, key=lambda name: -accuracies[name])[:count]


def packaged_config(name: str) -> Path | None:
    """Return the path of a config that ships, for example ``dropout`` or ``trainer/gpu``; None if there is none."""
    path = root() / "configs" / f"{name}.yaml"
    # Not Path.is_file, which raises an error for a name that is too long.
    return path if re.fullmatch(r"\w+(/\w+)?", name) and os.path.isfile(path) else None


def packaged_configs() -> list[str]:
    """Return the names of all configs that ship: members, demonstrations and fragments such as ``trainer/gpu``."""
    configs = root() / "configs"
    return sorted(path.relative_to(configs).with_suffix("").as_posix() for path in configs.rglob("*.yaml"))


def model_info(name: str) -> ModelInfo:
    """Return the information on a member, or on a demonstration that ships trained.

    Raises:
        UsageError: The name is unknown; the message suggests close matches. It is a `ValueError`.
    """
    if name in read_demonstrations():
        return demonstration_info(name)
    names = list_models()
    if name not in names:
        raise unknown_name("member", name, [*names, *read_demonstrations()])
    return replace(_info_from_config(name, root() / "configs" / f"{name}.yaml"), metrics=read_index().get(name))


def demonstration_info(name: str) -> ModelInfo:
    """Return the information on a demonstration, whether it ships trained or not.

    Raises:
        UsageError: The name is unknown; the message suggests close matches. It is a `ValueError`.
    """
    config = root() / "configs" / "demos" / f"{name}.yaml"
    if not config.is_file():
        raise unknown_name("member", name, [*list_models(), *read_demonstrations()])
    return replace(_info_from_config(name, config), demonstration=read_demonstrations().get(name))


def _info_from_config(name: str, config: Path) -> ModelInfo:
    description, *rest = _header_lines(config) or [""]
    lecture = [float(line.removeprefix("Lecture:")) for line in rest if line.startswith("Lecture:")]
    return ModelInfo(
        name=name,
        description=description,
        lecture_accuracy=lecture[0] if lecture else None,
        papers=tuple(line.removeprefix("Paper:").strip() for line in rest if line.startswith("Paper:")),
        config=config,
        checkpoint=root() / "checkpoints" / f"{name}.ckpt",
    )


def _header_lines(config: Path) -> list[str]:
    """Return the comment lines at the top of a config: the description and any ``Lecture:`` and ``Paper:`` lines."""
    lines = []
    with config.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                break
            lines.append(line.removeprefix("#").strip())
    return lines
