"""The check of a study's settings by the parser of ``zoo fit``, before the study begins."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from zoo.cli.library_errors import as_usage_error
from zoo.cli.lightning_cli import ZooCLI
from zoo.cli.resolved_config import setting_names
from zoo.cli.verbs.trainer import run_cli
from zoo.studies.settings import Choices, Range, SearchSpace, Value, as_flags
from zoo.utils.errors import UsageError

OWN_SETTINGS = frozenset(
    {"seed_everything", "ckpt_path", "trainer.default_root_dir", "trainer.enable_checkpointing", "trainer.fast_dev_run"}
    | {"trainer.limit_test_batches", "trainer.logger"}
)
"""Settings that a study sets itself, or without which it has no results."""
VALIDATION_SETTINGS = frozenset(
    {"data.data_dir", "data.dataset", "data.transpose", "data.val_size"} | {"trainer.limit_val_batches"}
)
"""Settings that change the validation images, by which the trials are compared."""


def check_settings(config: Mapping[str, Any], space: SearchSpace) -> None:
    """Check that a recipe has the settings of a study, and that ``zoo fit`` accepts their values.

    Every choice is tried and both bounds of every range, each together with the first values of the other settings: the
    arguments are parsed, and the network and the data are made. Nothing is trained, and nothing is written.

    Args:
        config: The recipe.
        space: The settings of the study.

    Raises:
        UsageError: A setting is unknown or not a study's to change, a value is refused, or the recipe has no validation
            images.
    """
    data, trainer = (dict(config.get(part) or {}) for part in ("data", "trainer"))
    arguments = dict(data.get("init_args") or {})
    if 0 in (arguments.get("val_size"), arguments.get("val_share"), trainer.get("limit_val_batches")):
        raise UsageError(
            "The recipe has no validation images, by which settings are chosen: set data.val_size, or give --seeds "
            "without --set."
        )

    class Check(_SettingsCheck):
        checked = space

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
        run_cli(Check, "fit", ["--config", str(path)])


class _SettingsCheck(ZooCLI):
    """``zoo fit`` as far as its network and data are made, once for the recipe and once for each value."""

    checked: SearchSpace

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        super().__init__(arguments)

    def _parse_ckpt_path(self) -> None:
        pass

    def _set_seed(self) -> None:
        pass

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        return None

    def after_instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        """Check the space, in place of training."""
        names = setting_names(self._parser("fit"), self.config["fit"])
        known = {name for name in names if not name.startswith("checkpoint.")}
        for name in self.checked.settings:
            _check_name(name, known | {"float32_matmul_precision"})
        first = {name: _tried(values)[0] for name, values in self.checked.settings.items()}
        if self._refusal(first):
            for name, value in first.items():
                self._check({}, name, value)
        for name, values in self.checked.settings.items():
            for value in _tried(values):
                self._check(first, name, value)

    def _check(self, others: Mapping[str, Value], name: str, value: Value) -> None:
        if error := self._refusal({**others, name: value}):
            shown = as_flags({name: value})[0].removeprefix("--")
            raise UsageError(f"--set {shown} is refused: {error}") from error

    def _refusal(self, settings: Mapping[str, Value]) -> UsageError | None:
        """Return why ``zoo fit`` refuses settings, or None if it does not."""
        try:
            self.parse_arguments(self.parser, [*self._arguments, *as_flags(settings)])
            self.instantiate_classes()
        except Exception as error:
            if usage := as_usage_error(error):
                return usage
            raise
        return None


def _tried(values: Choices | Range) -> tuple[Value, ...]:
    return values.values if isinstance(values, Choices) else (values.low, values.high)


def _check_name(name: str, known: Iterable[str]) -> None:
    """Check that a recipe has a setting, and that a study may change it.

    Raises:
        UsageError: It has not, or it may not.
    """
    if name in OWN_SETTINGS or name.startswith("checkpoint."):
        instead = "give --seeds" if name == "seed_everything" else "leave it out"
        raise UsageError(f"--set cannot change {name}, which the study sets itself: {instead}.")
    if name in VALIDATION_SETTINGS:
        raise UsageError(
            f"--set cannot change {name}: settings are compared by the same validation images, so write it into the "
            "recipe."
        )
    if not any(name == each or name.startswith(f"{each}.") for each in known):
        last = name.rpartition(".")[2]
        close = [each for each in sorted(known) if each.rpartition(".")[2] == last]
        close = close or difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
        hint = f"did you mean {' or '.join(close)}?" if close else "`zoo fit --config NAME --print_config` shows them."
        raise UsageError(f"--set names {name}, which the recipe does not have: {hint}")
