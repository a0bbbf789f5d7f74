"""What a resolved config says of the training, and what it says only of a machine or a screen."""

from __future__ import annotations

from typing import Any

from zoo.utils.class_paths import default_arguments, import_class

# Settings of the Trainer and the data that say where a run happened or what it printed, and not what was trained.
NO_PART_OF_A_RECIPE = frozenset(
    {"accelerator", "devices", "num_nodes", "logger", "default_root_dir", "enable_progress_bar", "log_every_n_steps"}
    | {"data_dir", "eval_batch_size", "steps_per_call"}
)
# The Trainer's settings by which every step is made; the others say how many steps, or what is looked at in between.
SETTINGS_OF_A_STEP = (
    "precision",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "accumulate_grad_batches",
    "limit_train_batches",
    "overfit_batches",
)


def recipe(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config less what is no part of a recipe, at every depth."""
    return {
        name: recipe(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in NO_PART_OF_A_RECIPE
    }


def settings_of_steps(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved config that a training must keep while it goes on: all but its length."""
    trainer = config.get("trainer") or {}
    return recipe(
        {
            **{part: config.get(part) for part in ("seed_everything", "model", "data")},
            "trainer": {name: trainer[name] for name in SETTINGS_OF_A_STEP if name in trainer},
        }
    )


def completed(older: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    """Return an older config with the arguments that it does not know, at their defaults.

    An argument that a class got after a network was trained has a default that leaves the network as it was; so the
    older config says the same as a newer one that names it.

    Args:
        older: A config as a checkpoint has it.
        newer: The user's; nothing but the classes that it names is ever imported.
    """
    found = dict(older)
    for part in ("model", "data"):
        ours, theirs = older.get(part), newer.get(part)
        if isinstance(ours, dict) and isinstance(theirs, dict) and ours.get("class_path") == theirs.get("class_path"):
            known = ours.get("init_args") or {}
            defaults = default_arguments(import_class(theirs["class_path"]))
            added = {name: defaults[name] for name in theirs.get("init_args") or {} if name in defaults}
            found[part] = {**ours, "init_args": {**added, **known}}
    return found


def first_difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return a setting's dotted name and both values, or None when the configs say the same; absent means None."""
    left, right = _flat(one), _flat(other)
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            return name, left.get(name), right.get(name)
    return None


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
