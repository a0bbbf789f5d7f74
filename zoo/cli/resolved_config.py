"""The config of a training as plain values, for its record."""

from __future__ import annotations

import warnings
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser

_UNSERIALIZED = "Unable to serialize instance"


def resolved_config(parser: LightningArgumentParser, config: Namespace) -> dict[str, Any]:
    """Return the seed, the model and the data with all arguments, and the other settings that differ from defaults.

    Args:
        parser: The parser of the verb.
        config: The verb's parsed config.
    """
    all_settings, changed_settings = (plain_settings(parser, config, skip_default=skip) for skip in (False, True))
    precision = changed_settings.get("float32_matmul_precision")
    return {
        "seed_everything": all_settings["seed_everything"],
        "model": all_settings["model"],
        "data": all_settings["data"],
        "trainer": changed_settings.get("trainer", {}),
        **({"float32_matmul_precision": precision} if precision else {}),
    }


def plain_settings(parser: LightningArgumentParser, config: Namespace, *, skip_default: bool) -> dict[str, Any]:
    """Return the settings of a parsed config as plain values, from which the parser makes the same config.

    Args:
        parser: The parser of the verb.
        config: The verb's parsed config.
        skip_default: Whether to leave out what is as by default.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f"(?s).*{_UNSERIALIZED}")  # which `_restore` mends
        text = parser.dump(
            _without_enums(config.clone()), skip_default=skip_default, skip_unset=False, skip_validation=True
        )
    settings: dict[str, Any] = _restore(yaml.safe_load(text), config)
    return settings


def setting_names(parser: LightningArgumentParser, config: Namespace) -> set[str]:
    """Return the names of the settings that a config has: ``trainer.max_epochs``, ``model.lr``, ….

    Args:
        parser: The parser of the verb.
        config: The verb's parsed config, whose classes have the arguments of the model and the data.
    """
    flags = {flag.removeprefix("--") for action in parser._actions for flag in action.option_strings}
    names = {flag for flag in flags if "." in flag and not flag.endswith((".help", "+"))}
    for part in ("model", "data"):
        arguments = config[part].get("init_args")
        names |= {f"{part}.{name}" for name in (vars(arguments) if arguments else ())}
    return names


def _without_enums(value: Any) -> Any:
    """Return a value with members of enumerations, which are no YAML, replaced by what they stand for."""
    if isinstance(value, Namespace):
        for name, item in vars(value).items():
            setattr(value, name, _without_enums(item))
    if isinstance(value, dict):
        return {name: _without_enums(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_enums(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _restore(dumped: Any, parsed: Any) -> Any:
    """Put back what jsonargparse does not write, for example the name of a function where the type is a callable."""
    if isinstance(dumped, dict):
        return {name: _restore(value, _part(parsed, name)) for name, value in dumped.items()}
    if isinstance(dumped, list):
        return [_restore(value, _part(parsed, place)) for place, value in enumerate(dumped)]
    is_lost = isinstance(dumped, str) and dumped.lower().startswith(_UNSERIALIZED.lower())
    return str(parsed) if is_lost else dumped


def _part(parsed: Any, key: Any) -> Any:
    try:
        return parsed[key]
    except (KeyError, IndexError, TypeError):
        return None


def name_of_run(config: Namespace) -> str:
    """Return the name of a run: the file name of its first config, or the name of the network's class."""
    configs = config.get("config") or []
    stem = Path(str(configs[0])).stem if configs else ""
    return stem if stem not in ("", "config") else str(config.model.class_path).rpartition(".")[2]
