"""The recipe of a study: a config that is parsed and checked, and not run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo.cli.lightning_cli import ZooCLI
from zoo.cli.resolved_config import plain_settings, setting_names
from zoo.cli.verbs.trainer import run_cli
from zoo.models import RBM
from zoo.models.counting import CountingModule
from zoo.pretrained.registry import packaged_config
from zoo.runs.recipe import recipe
from zoo.utils.class_paths import import_class
from zoo.utils.errors import UsageError

SET_BY_A_STUDY = ("seed_everything", "config", "ckpt_path")
"""The arguments of ``zoo fit`` that a study gives to each training itself."""


class ParsedCLI(ZooCLI):
    """A `ZooCLI` that parses and checks its arguments, and neither makes nor runs anything."""

    def _set_seed(self) -> None:
        pass

    def before_instantiate_classes(self) -> None:
        """Do nothing."""

    def instantiate_classes(self) -> None:
        """Do nothing."""

    def after_instantiate_classes(self) -> None:
        """Do nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass

    def settings(self) -> dict[str, Any]:
        """Return all settings as plain values, from which the parser makes the same config."""
        return plain_settings(self._parser(self.subcommand), self.config[self.subcommand], skip_default=False)

    def setting_names(self) -> set[str]:
        """Return the names of all settings, see `zoo.cli.resolved_config.setting_names`."""
        return setting_names(self._parser("fit"), self.config["fit"])

    def resolved_config(self) -> dict[str, Any]:
        """Return the config as `zoo.callbacks.run_record.RunRecord` stores it."""
        return self._resolved_config()


@dataclass(frozen=True)
class StudiedRecipe:
    """A recipe whose trainings differ by their seeds and settings.

    Args:
        name: The file name of the config without ``.yaml``.
        settings: All settings of the config, for ``zoo fit``.
        config: The settings that determine the training, without the seed. They are equal for equal recipes.
        is_classifier: Whether it trains a classifier, whose settings can be chosen by the validation loss. Otherwise it
            trains an RBM.
    """

    name: str
    settings: dict[str, Any]
    config: dict[str, Any]
    is_classifier: bool = True

    @property
    def text(self) -> str:
        """The settings as YAML."""
        return yaml.safe_dump(self.settings, sort_keys=False)


def read_recipe(config: str) -> StudiedRecipe:
    """Read and check a config.

    Args:
        config: The name of a config that ships, or the path of a config.

    Raises:
        UsageError: The config is missing or not valid, or its network is neither a classifier nor an RBM.
    """
    cli = run_cli(ParsedCLI, "fit", ["--config", config])
    resolved, settings = cli.resolved_config(), cli.settings()
    model_class = import_class(resolved["model"]["class_path"])
    if not issubclass(model_class, CountingModule | RBM):
        raise UsageError(
            f"{cli.run_name} is neither a classifier nor an RBM, and a study compares test errors or log-likelihoods: "
            "see `zoo fit`."
        )
    for name in SET_BY_A_STUDY:
        settings.pop(name, None)
    del resolved["seed_everything"]
    return StudiedRecipe(recipe_name(config), settings, recipe(resolved), issubclass(model_class, CountingModule))


def recipe_name(config: str) -> str:
    """Return the file name of a config without ``.yaml``."""
    return (packaged_config(config) or Path(config)).stem
