"""Whether a checkpoint is of the network that a config describes."""

from __future__ import annotations

from typing import Any

from zoo.runs.checkpoint import Checkpoint
from zoo.runs.recipe import NO_PART_OF_A_RECIPE, completed, first_difference, settings_of_steps
from zoo.runs.record import recorded_run
from zoo.utils.class_paths import class_path_of, import_class
from zoo.utils.errors import UsageError


def check_same_network(model: Any, checkpoint: Checkpoint, *, resuming: bool) -> None:
    """Refuse a checkpoint of another class or with other arguments than the config's.

    What the file names is compared, never imported; a file that says nothing is taken at its weights' shapes.

    Args:
        model: The config's model: ``class_path`` and ``init_args``.
        checkpoint: The checkpoint.
        resuming: Whether training goes on from it, so that the arguments of training count too.

    Raises:
        UsageError: They differ.
    """
    cls = import_class(model.class_path)
    described = class_path_of(cls)
    if checkpoint.class_path not in (None, described, model.class_path):
        raise UsageError(
            f"{checkpoint.path} holds a {checkpoint.class_path}, but the config describes a {described}: "
            "name the config that it was trained with."
        )
    if resuming:
        _check_resumable(checkpoint)
    # How a network was trained does not change what it computes, so that may differ when it is only evaluated.
    ignored = NO_PART_OF_A_RECIPE if resuming else {*NO_PART_OF_A_RECIPE, *getattr(cls, "training_arguments", ())}
    for name, value in model.get("init_args", {}).items():
        if name in ignored or name not in checkpoint.arguments:
            continue
        if _plain(checkpoint.arguments[name]) != _plain(value):
            raise UsageError(
                f"{checkpoint.path} was trained with {name} {checkpoint.arguments[name]!r}, but the config says "
                f"{value!r}: name the config that it was trained with."
            )


def check_same_steps(config: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Refuse to go on with other data, another seed or steps of another kind than the training began with.

    Args:
        config: The resolved config.
        checkpoint: Where the training goes on; one that was not written by ``zoo fit`` is taken as it is.

    Raises:
        UsageError: They differ; only the length of a training may.
    """
    record = recorded_run(checkpoint.content)
    if record is None:
        return
    began = completed(record["config"], config)
    if difference := first_difference(settings_of_steps(began), settings_of_steps(config)):
        name, before, now = difference
        raise UsageError(
            f"{checkpoint.path} was trained with {name} {before!r}, but the config says {now!r}: a training goes on as "
            "it began, so name the same config or start anew."
        )


def _check_resumable(checkpoint: Checkpoint) -> None:
    content = checkpoint.content
    kinds: dict[str, type] = {"optimizer_states": list, "lr_schedulers": list, "loops": dict}
    if not kinds.keys() & content.keys():
        raise UsageError(
            f"{checkpoint.path} holds weights only, so a training cannot go on from it: name a run's checkpoint."
        )
    kinds |= {"callbacks": dict, "epoch": int, "global_step": int, "pytorch-lightning_version": str}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise UsageError(f"{checkpoint.path} is damaged: its {name} is no {kind.__name__}, so take another copy.")


def _plain(value: Any) -> Any:
    """Tuples and lists mean the same in an argument."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
