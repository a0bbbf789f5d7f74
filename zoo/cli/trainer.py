"""``zoo fit | validate | test | predict``."""

from __future__ import annotations

from pathlib import Path

import yaml
from lightning_fabric.utilities.exceptions import MisconfigurationException

from zoo.cli.lightning import ZooCLI
from zoo.cli.parser import find_values, replace_value
from zoo.cli.quiet import quieten_lightning
from zoo.errors import UsageError, unknown_name
from zoo.members import list_models, model_info


def run(verb: str, arguments: list[str]) -> int:
    """Run a Trainer's verb and return the exit status."""
    quieten_lightning()
    _resolve_configs(arguments)
    try:
        ZooCLI([verb, *arguments])
    except MisconfigurationException as error:
        raise UsageError(" ".join(str(error).split())) from error
    return 0


def _resolve_configs(words: list[str]) -> None:
    """Replace a member's name by its config's path, and refuse a config that cannot be read."""
    for position, value in find_values(words, "--config", "-c"):
        if not Path(value).exists() and value in list_models():
            value = str(model_info(value).config)
            replace_value(words, position, value)
        try:
            content = yaml.safe_load(Path(value).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise unknown_name("config", value, list_models()) from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"The config {value} cannot be read as YAML: {' '.join(str(error).split())}.") from error
        if not isinstance(content, dict):
            raise UsageError(f"The config {value} is no config: it needs model, data and trainer (see configs/).")
