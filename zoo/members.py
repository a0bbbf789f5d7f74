"""The members by name: a member is a config at the top of ``configs/``, and there is no other list.

Nothing here imports torch, so that listing the zoo takes no time.
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zoo.errors import unknown_name


@cache
def root() -> Path:
    """The folder that holds ``configs/`` and ``checkpoints/``: the package in a wheel, its parent in a checkout."""
    package = Path(__file__).resolve().parent
    return package if (package / "configs").is_dir() else package.parent


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a member without loading it."""

    name: str
    description: str
    """The first line of its config."""
    config: Path
    checkpoint: Path
    """Where its trained network lies, if it ships one."""
    figures: dict[str, Any] | None
    """Its entry in ``checkpoints/index.json``; None when no trained network ships."""

    @property
    def test_accuracy(self) -> float | None:
        """The shipped network's accuracy on the official 10,000 test images."""
        return None if self.figures is None else 1 - self.figures["test_errors"] / self.figures["test_images"]


@cache
def read_index() -> dict[str, Any]:
    """Return ``checkpoints/index.json``: figures of the shipped networks by member name."""
    path = root() / "checkpoints" / "index.json"
    if not path.is_file():
        return {}
    index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return index


def list_models(filter: str = "*", pretrained: bool = False) -> list[str]:
    """Return the members' names in alphabetical order.

    Args:
        filter: Keep the names that match this shell pattern, for example ``"deep*"``.
        pretrained: Keep the members that ship a trained network.
    """
    names = sorted(path.stem for path in (root() / "configs").glob("*.yaml"))
    return [name for name in names if fnmatch.fnmatchcase(name, filter) and (not pretrained or name in read_index())]


def model_info(name: str) -> ModelInfo:
    """Return what is known of a member.

    Raises:
        UsageError: A `ValueError`: there is no such member; close matches are named.
    """
    names = list_models()
    if name not in names:
        raise unknown_name("member", name, names)
    config = root() / "configs" / f"{name}.yaml"
    with config.open(encoding="utf-8") as file:
        description = file.readline().removeprefix("#").strip()
    checkpoint = root() / "checkpoints" / f"{name}.ckpt"
    return ModelInfo(name, description, config, checkpoint, read_index().get(name))
