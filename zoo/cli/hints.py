"""Where a setting is that has another name or place in other programs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytorch_lightning import Trainer

from zoo.data.mnist import MNISTDataModule
from zoo.models.mlp import MLP
from zoo.utils.class_paths import parameters_of
from zoo.utils.errors import UsageError

PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic"}
"""Endings of pictures' names."""

_SYNONYMS = {
    "learning_rate": "model.lr",
    "schedule": "model.lr_schedule",
    "scheduler": "model.lr_schedule",
    "epochs": "trainer.max_epochs",
    "num_epochs": "trainer.max_epochs",
    "steps": "trainer.max_steps",
    "gpus": "trainer.devices",
    "device": "trainer.accelerator",
    "seed": "seed_everything",
    "output_dir": "trainer.default_root_dir",
    "resume": "ckpt_path",
    "checkpoint_path": "ckpt_path",
}
"""What other programs call a setting, and its place here."""


def own_optimizer(name: str) -> str | None:
    """Return a sentence for LightningCLI's settings ``optimizer`` and ``lr_scheduler``, None for all others."""
    part = name.partition(".")[0]
    if part == "optimizer":
        return "A network makes its own optimizer: set model.optimizer to its name, sgd for example, and model.lr."
    if part == "lr_scheduler":
        return "A network makes its own schedule of the rate: set model.lr_schedule to constant, cosine or one_cycle."
    return None


def check_no_bare_words(verb: str, arguments: Sequence[str]) -> None:
    """Check that the arguments of a verb of the Trainer begin with a flag, as all of them have one.

    Raises:
        UsageError: The first one is a name or a file.
    """
    if not arguments or arguments[0].startswith("-"):
        return
    word = arguments[0]
    suffix = Path(word).suffix.lower()
    if suffix in PICTURES:
        raise UsageError(f"`zoo {verb}` works on sets of images: for a picture of your own, `zoo classify {word}`.")
    if suffix == ".ckpt":
        raise UsageError(f"A checkpoint is named with its flag, beside its config: --config NAME --ckpt_path {word}.")
    raise UsageError(f"A config is named with its flag: `zoo {verb} --config {word}`.")


def exact_place_of(name: str) -> str | None:
    """Return the place of a setting of this name, or of one that other programs call so; None if there is none."""
    return _SYNONYMS.get(name) or _by_last_part().get(name)


def _by_last_part() -> dict[str, str]:
    by_last_part = {each: f"trainer.{each}" for each in parameters_of(Trainer) if each != "self"}
    by_last_part |= {each: f"data.{each}" for each in parameters_of(MNISTDataModule)}
    return by_last_part | {each: f"model.{each}" for each in parameters_of(MLP)}


def place_of(name: str, known: Iterable[str]) -> str | None:
    """Return the place of a setting, for example ``trainer.max_epochs`` for ``epochs``, or None.

    Args:
        name: What the user wrote, without ``--``.
        known: The names of all flags, without ``--``.
    """
    name = re.sub("-", "_", name)
    known = sorted({*known, *_by_last_part().values()})
    found = exact_place_of(name) or (name if name in known else None)
    if not found and name.partition(".")[0] in ("model", "data", "trainer"):
        found = exact_place_of(name.rpartition(".")[2])
    beginnings = [each for each in known if each.startswith(name)]
    return found or next(iter(beginnings or difflib.get_close_matches(name, known, n=1, cutoff=0.6)), None)
