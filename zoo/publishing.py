"""From a run's checkpoint to the trained network that ships, with figures that were measured, not told."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

import zoo
from zoo.checkpoint import Checkpoint, load_into, read_checkpoint, write_weights
from zoo.class_paths import class_path_of
from zoo.data import MNISTDataModule
from zoo.errors import UsageError
from zoo.files import write_bytes
from zoo.members import model_info, read_index, root
from zoo.models import Classifier
from zoo.pretrained import create_model


def publish(name: str, run: Path, others: list[Path]) -> dict[str, Any]:
    """Make a member's checkpoint and its entry in the index from finished runs of its config.

    Args:
        name: The member.
        run: The checkpoint to ship: the one with seed 0, so that no one can have picked it by its result.
        others: Checkpoints of the same config with other seeds, whose errors are reported beside it.

    Returns:
        The entry, as it was written.

    Raises:
        UsageError: A checkpoint is not of this member's config, or the one to ship is not of seed 0.
    """
    runs = [_measure(name, path) for path in (run, *others)]
    seeds = [seed for seed, _, _ in runs]
    if seeds[0] != 0:
        raise UsageError(f"{run} is of seed {seeds[0]}, but the network that ships is the one of seed 0.")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"The runs have the seeds {seeds}: each seed is reported once.")
    _, model, errors = runs[0]
    target = model_info(name).checkpoint
    write_weights(model, dict(model.hparams), target)
    content = target.read_bytes()
    entry = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "test_errors": errors,
        "test_images": 10_000,
        "seed": 0,
        "runs": [{"seed": seed, "test_errors": found} for seed, _, found in sorted(runs, key=lambda r: r[0])],
        "command": f"zoo fit --config configs/{name}.yaml --seed_everything 0",
        "versions": {
            "zoo": zoo.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "pytorch-lightning", "torchmetrics")},
        },
        "machine": {"processor": _processor(), "cores": os.cpu_count()},
    }
    index = {**read_index(), name: entry}
    text = json.dumps(dict(sorted(index.items())), indent=2, ensure_ascii=False) + "\n"
    write_bytes(root() / "checkpoints" / "index.json", text.encode())
    return entry


def count_errors(model: Classifier) -> int:
    """Return the number of the official 10,000 test images that the network gets wrong."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    model.eval()
    with torch.inference_mode():
        return sum(int((model(images).argmax(1) != labels).sum()) for images, labels in data.test_dataloader())


def _measure(name: str, path: Path) -> tuple[int, Classifier, int]:
    checkpoint = read_checkpoint(path)
    described = create_model(name)
    _check_recipe(name, checkpoint, described)
    load_into(described, checkpoint)
    config = path.absolute().parent.parent / "config.yaml"
    if not config.is_file():
        raise UsageError(f"{config} is missing: a run's checkpoint is published from the folder that fit made.")
    seed = yaml.safe_load(config.read_text(encoding="utf-8"))["seed_everything"]
    return int(seed), described, count_errors(described)


def _check_recipe(name: str, checkpoint: Checkpoint, described: Classifier) -> None:
    if checkpoint.class_path != class_path_of(type(described)):
        raise UsageError(f"{checkpoint.path} holds a {checkpoint.class_path}, not {name}'s class.")
    for argument, value in dict(described.hparams).items():
        if checkpoint.arguments.get(argument) != value:
            raise UsageError(
                f"{checkpoint.path} was trained with {argument} {checkpoint.arguments.get(argument)!r}, "
                f"but {name}'s config says {value!r}."
            )
    config = yaml.safe_load(model_info(name).config.read_text(encoding="utf-8"))
    epochs = config["trainer"]["max_epochs"]
    if checkpoint.content.get("epoch") != epochs - 1:
        raise UsageError(f"{checkpoint.path} is not of the last of {epochs} epochs: let the training end.")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
