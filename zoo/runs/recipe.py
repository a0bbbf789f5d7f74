"""Comparison of resolved configs by the settings that determine a training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.utils.class_paths import default_arguments, import_class

# Settings of the Trainer and the data that affect where a run happens or what it prints, but not what is trained.
NON_RECIPE_SETTINGS = frozenset(
    {"accelerator", "devices", "num_nodes", "logger", "default_root_dir", "enable_progress_bar", "log_every_n_steps"}
    | {"data_dir", "eval_batch_size", "steps_per_call"}
)
# Settings of the Trainer that affect every step. The others set the number of steps or what happens between them.
STEP_SETTINGS = (
    "precision",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "accumulate_grad_batches",
    "limit_train_batches",
    "overfit_batches",
)
# Callbacks of Lightning's that look at a training, save it or end it, but do not change its steps.
_WATCHING_CALLBACKS = frozenset(
    {"DeviceStatsMonitor", "EarlyStopping", "LearningRateMonitor", "ModelCheckpoint", "ModelSummary"}
    | {"OnExceptionCheckpoint", "RichModelSummary", "RichProgressBar", "TQDMProgressBar", "ThroughputMonitor", "Timer"}
)


def recipe(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config without the settings that do not affect training, at every depth."""
    return {
        name: recipe(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in NON_RECIPE_SETTINGS
    }


def resume_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a resolved config that must not change when training is resumed: all but its length."""
    trainer = config.get("trainer") or {}
    parts = ("seed_everything", "float32_matmul_precision", "model", "data")
    return recipe(
        {
            **{part: config.get(part) for part in parts},
            "trainer": {name: trainer[name] for name in STEP_SETTINGS if name in trainer},
            "callbacks": shaping_callbacks(config),
        }
    )


def shaping_callbacks(config: dict[str, Any]) -> dict[str, Any]:
    """Return Lightning's own callbacks in a resolved config that change what is trained, with their arguments by name.

    What a callback of the user's own does is unknown. See `foreign_callbacks`.
    """
    return {
        name: callback.get("init_args") or {}
        for callback in _callbacks(config)
        if (name := _lightning_name(callback)) and name not in _WATCHING_CALLBACKS
    }


def with_callbacks_by_number(config: dict[str, Any], *, defaults: bool) -> dict[str, Any]:
    """Return a config whose list of callbacks is a mapping by their numbers, so that their arguments can be compared.

    Args:
        config: A config.
        defaults: Whether to fill in the default values of arguments that it leaves out. The callbacks' classes are then
            imported, so the config must be the user's or the package's.
    """
    callbacks = {
        str(number): {
            "class_path": each["class_path"],
            "init_args": {
                **(default_arguments(import_class(each["class_path"])) if defaults else {}),
                **(each.get("init_args") or {}),
            },
        }
        for number, each in enumerate(_callbacks(config))
    }
    trainer = {name: value for name, value in (config.get("trainer") or {}).items() if name != "callbacks"}
    return {**config, "trainer": {**trainer, "callbacks": callbacks} if callbacks else trainer}


def callback_classes(config: dict[str, Any]) -> list[str]:
    """Return the class paths of the callbacks in a config."""
    return [str(callback["class_path"]) for callback in _callbacks(config)]


def foreign_callbacks(config: dict[str, Any]) -> list[str]:
    """Return the class paths of the callbacks in a resolved config that are neither Lightning's nor the zoo's."""
    paths = [str(callback["class_path"]) for callback in _callbacks(config) if not _lightning_name(callback)]
    return sorted(path for path in paths if not path.startswith("zoo."))


def _callbacks(config: dict[str, Any]) -> list[dict[str, Any]]:
    found = (config.get("trainer") or {}).get("callbacks") or []
    listed = found if isinstance(found, list) else [found]
    return [each for each in listed if isinstance(each, dict) and "class_path" in each]


def _lightning_name(callback: dict[str, Any]) -> str:
    package, _, name = str(callback["class_path"]).rpartition(".")
    return name if package.startswith(("pytorch_lightning.", "lightning.")) else ""


def with_defaults(older: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    """Fill an older config with the default values of arguments that were added to a class later.

    The default value of a new argument keeps the previous behavior. The older config is therefore equivalent to one
    that sets the new argument to its default.

    Args:
        older: The config that is stored in a checkpoint.
        newer: The user's config. Only classes that it names are imported.
    """
    filled = dict(older)
    for part in ("model", "data"):
        old, new = older.get(part), newer.get(part)
        if isinstance(old, dict) and isinstance(new, dict) and old.get("class_path") == new.get("class_path"):
            known = old.get("init_args") or {}
            defaults = default_arguments(import_class(new["class_path"]))
            added = {name: defaults[name] for name in new.get("init_args") or {} if name in defaults}
            filled[part] = {**old, "init_args": {**added, **known}}
    return filled


def first_difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Compare two configs.

    Returns:
        The dotted name and both values of the first setting that differs, or None if none does. A missing setting
        equals None.
    """
    left, right = _flatten(one), _flatten(other)
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            return name, left.get(name), right.get(name)
    return None


def differing_settings(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Return the dotted names of the settings that have not the same value in all configs, in order."""
    flat = [_flatten(config) for config in configs]
    names = sorted({name for settings in flat for name in settings})
    return [name for name in names if any(settings.get(name) != flat[0].get(name) for settings in flat)]


def setting(config: dict[str, Any], name: str) -> Any:
    """Return the value of a setting by its dotted name, or None."""
    return _flatten(config).get(name)


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
