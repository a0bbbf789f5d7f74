"""The config of a training as plain values, for its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser


def resolved_config(parser: LightningArgumentParser, config: Namespace) -> dict[str, Any]:
    """Return the seed, the model and the data with all arguments, and the other settings that differ from defaults.

    Args:
        parser: The parser of the verb.
        config: The verb's parsed config.
    """
    all_settings, changed_settings = (
        yaml.safe_load(parser.dump(config, skip_default=skip, skip_validation=True)) for skip in (False, True)
    )
    precision = changed_settings.get("float32_matmul_precision")
    return {
        "seed_everything": all_settings["seed_everything"],
        "model": all_settings["model"],
        "data": all_settings["data"],
        "trainer": changed_settings.get("trainer", {}),
        **({"float32_matmul_precision": precision} if precision else {}),
    }


def name_of_run(config: Namespace) -> str:
    """Return the name of a run: the file name of its first config, or the name of the network's class."""
    configs = config.get("config") or []
    stem = Path(str(configs[0])).stem if configs else ""
    return stem if stem not in ("", "config") else str(config.model.class_path).rpartition(".")[2]
