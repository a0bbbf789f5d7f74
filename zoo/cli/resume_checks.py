"""Checks that a checkpoint matches the config that it is used with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.pretrained.registry import list_models, model_info, read_demonstrations
from zoo.runs.checkpoint import Checkpoint, check_class, read_checkpoint
from zoo.runs.recipe import (
    NON_RECIPE_SETTINGS,
    first_difference,
    foreign_callbacks,
    resume_settings,
    with_defaults,
)
from zoo.runs.record import read_run_record
from zoo.utils.class_paths import class_path_of, import_class
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError


def read_named_checkpoint(name: str) -> Checkpoint:
    """Read a checkpoint by its path, or that of a member by the member's name.

    Raises:
        UsageError: It is missing or damaged.
    """
    is_member = not Path(name).exists() and name in [*list_models(pretrained=True), *read_demonstrations()]
    return read_checkpoint(model_info(name).checkpoint if is_member else name)


def check_same_network(model: Any, checkpoint: Checkpoint, *, resuming: bool) -> None:
    """Check that a checkpoint has the class and the arguments of the config's model.

    The class that the file names is compared with the config's and never imported. A class or an argument that the
    file does not name is not checked here; loading still checks the shapes of the weights.

    Args:
        model: The config's model: ``class_path`` and ``init_args``.
        checkpoint: The checkpoint.
        resuming: Whether training is resumed from the checkpoint. If so, the training arguments are compared too.

    Raises:
        UsageError: The class or an argument differs, or training cannot be resumed from the checkpoint.
    """
    cls = import_class(model.class_path)
    class_path = class_path_of(cls)
    check_class(
        checkpoint,
        (None, class_path, model.class_path),
        class_path,
        hint="name the config that it was trained with",
    )
    if resuming:
        _check_resumable(checkpoint)
    # Training arguments do not change what a trained network computes, so they may differ in an evaluation.
    ignored = NON_RECIPE_SETTINGS if resuming else {*NON_RECIPE_SETTINGS, *getattr(cls, "training_arguments", ())}
    for name, value in model.get("init_args", {}).items():
        if name in ignored or name not in checkpoint.arguments:
            continue
        if _tuples_to_lists(checkpoint.arguments[name]) != _tuples_to_lists(value):
            raise UsageError(
                f"{checkpoint.path} was trained with {name} {checkpoint.arguments[name]!r}, but the config says "
                f"{value!r}: name the config that it was trained with."
            )


def check_same_training_settings(config: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Check that training is resumed with the seed, model, data and step settings that it started with.

    Only the length of training may change.

    Args:
        config: The resolved config.
        checkpoint: The checkpoint to resume from. One that ``zoo fit`` did not write is not checked.

    Raises:
        UsageError: A setting differs.
    """
    record = read_run_record(checkpoint.content)
    if record is None:
        return
    original = with_defaults(record["config"], config)
    if difference := first_difference(resume_settings(original), resume_settings(config)):
        name, before, now = difference
        raise UsageError(
            f"{checkpoint.path} was trained with {name} {before!r}, but the config says {now!r}: a training goes on as "
            "it began, so name the same config or start anew."
        )
    earlier, later = foreign_callbacks(original), foreign_callbacks(config)
    if earlier != later:
        print_rank_zero(
            f"{checkpoint.path} was trained with the callbacks {', '.join(earlier) or 'none'} of your own, and this "
            f"training goes on with {', '.join(later) or 'none'}."
        )


def _check_resumable(checkpoint: Checkpoint) -> None:
    """Raise `UsageError` unless a checkpoint holds the training state that Lightning restores."""
    content = checkpoint.content
    types: dict[str, type] = {"optimizer_states": list, "lr_schedulers": list, "loops": dict}
    if not types.keys() & content.keys():
        raise UsageError(
            f"{checkpoint.path} holds weights only, so a training cannot go on from it: name a run's checkpoint."
        )
    types |= {"callbacks": dict, "epoch": int, "global_step": int, "pytorch-lightning_version": str}
    for name, expected_type in types.items():
        if not isinstance(content.get(name), expected_type):
            raise UsageError(
                f"{checkpoint.path} is damaged: its {name} is no {expected_type.__name__}, so take another copy."
            )


def _tuples_to_lists(value: Any) -> Any:
    """Convert tuples to lists, recursively: a config has no tuples, so both are equal as arguments."""
    return [_tuples_to_lists(item) for item in value] if isinstance(value, list | tuple) else value
