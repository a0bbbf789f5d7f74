"""Checks that a checkpoint matches the config that it is used with."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version as installed_version
from typing import Any

from packaging.version import InvalidVersion, Version
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from torch import Tensor, nn

from zoo.callbacks.exact_resume import ExactResume
from zoo.pretrained.registry import list_models, model_info, read_demonstrations
from zoo.runs.checkpoint import Checkpoint, check_class, check_fits, read_checkpoint
from zoo.runs.recipe import (
    NON_RECIPE_SETTINGS,
    first_difference,
    foreign_callbacks,
    resume_settings,
    with_defaults,
)
from zoo.runs.record import RUN_RECORD, read_run_record
from zoo.runs.training_state import StateMismatch, compare_states, is_count, is_position
from zoo.utils.class_paths import class_path_of, import_class
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError

OTHER_SETTINGS = ", or start from its weights with other settings by --model.init_from FILE.ckpt"
LIGHTNING = installed_version("pytorch-lightning")


def read_named_checkpoint(name: str) -> Checkpoint:
    """Read a checkpoint by its path, or that of a member by the member's name.

    Raises:
        UsageError: It is missing or damaged.
    """
    is_member = name in [*list_models(pretrained=True), *read_demonstrations()]
    return read_checkpoint(model_info(name).checkpoint if is_member else name)


def check_same_config(config: Any, resolved: dict[str, Any], checkpoint: Checkpoint, *, resuming: bool) -> None:
    """Check that a checkpoint belongs to a config; see `check_same_network` and `check_same_training_settings`.

    Args:
        config: The parsed config of the verb.
        resolved: The same as plain values.
        checkpoint: The checkpoint.
        resuming: Whether training is resumed from it.

    Raises:
        UsageError: It does not.
    """
    check_same_network(config.model, checkpoint, resuming=resuming)
    if resuming:
        check_same_training_settings(resolved, checkpoint)


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
                f"{value!r}: name the config that it was trained with{OTHER_SETTINGS * resuming}."
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
    if record is None and RUN_RECORD not in checkpoint.content["callbacks"]:
        return
    if record is None:
        raise _damaged(checkpoint, "record of its run is incomplete")
    original = with_defaults(record["config"], config)
    if difference := first_difference(resume_settings(original), resume_settings(config)):
        name, before, now = difference
        raise UsageError(
            f"{checkpoint.path} was trained with {name} {before!r}, but the config says {now!r}: a training goes on as "
            f"it began, so name the same config, or start anew{OTHER_SETTINGS}."
        )
    earlier, later = foreign_callbacks(original), foreign_callbacks(config)
    if earlier != later:
        print_rank_zero(
            f"{checkpoint.path} was trained with the callbacks {', '.join(earlier) or 'none'} of your own, and this "
            f"training goes on with {', '.join(later) or 'none'}."
        )


def check_restorable(
    trainer: Trainer, model: nn.Module, datamodule: LightningDataModule, checkpoint: Checkpoint
) -> None:
    """Check that a checkpoint fits the model and what a Trainer restores before its optimizers exist.

    This is the progress of its loops, the states of its callbacks and of its data module, and the scale of a loss. The
    rest is checked by `zoo.callbacks.exact_resume.ExactResume`, which has a state of its own.

    Raises:
        UsageError: A part of the checkpoint does not fit.
    """
    check_fits(model, checkpoint)
    content = checkpoint.content
    try:
        version = content.get("pytorch-lightning_version", LIGHTNING)
        compare_states("pytorch-lightning_version", "", version)
        _check_loops(trainer, content.get("loops"), Version(version))
        _check_callbacks(trainer, content.get("callbacks"))
        if any(isinstance(each, WeightAveraging) for each in trainer.callbacks):  # type: ignore[attr-defined]
            _check_averaged_weights(model, checkpoint)
        for part, state in ((datamodule, {}), (trainer.precision_plugin, trainer.precision_plugin.state_dict())):
            if (name := type(part).__qualname__) in content:
                compare_states(name, state, content[name])
    except InvalidVersion as error:
        raise _damaged(checkpoint, "pytorch-lightning_version is no version") from error
    except StateMismatch as error:
        raise _damaged(checkpoint, str(error)) from error


def _check_loops(trainer: Trainer, states: Any, version: Version) -> None:
    if states is None:
        return
    loops = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
    compare_states("loops", dict.fromkeys(loops), states, exact=True)
    same_release = version.release[:2] == Version(LIGHTNING).release[:2]
    for loop in loops:
        name, found, expected = f"loops.{loop}", states[loop], getattr(trainer, loop).state_dict()
        compare_states(name, {}, found)
        if not same_release:  # Lightning takes up what both have
            expected = {key: value for key, value in expected.items() if key in found}
            found = {key: value for key, value in found.items() if key in expected}
        compare_states(name, expected, found, exact=True)
    positions = states["fit_loop"].get("state_dict", {}).get("combined_loader", [])
    if not isinstance(positions, list) or not all(map(is_position, positions)):
        raise StateMismatch("loops.fit_loop.state_dict.combined_loader is no list of positions")


def _check_callbacks(trainer: Trainer, states: Any) -> None:
    if states is None:
        return
    compare_states("callbacks", {}, states)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        # Both check their states themselves: theirs have names and lengths that differ from run to run.
        if callback.state_key not in states or isinstance(callback, ExactResume | ModelCheckpoint):
            compare_states(callback.state_key, {}, states.get(callback.state_key, {}))
            continue
        expected = callback.state_dict()
        if callback.state_key == RUN_RECORD:  # the only part that is loaded
            expected = {"time_elapsed": expected["time_elapsed"]}
        compare_states(callback.state_key, expected, states[callback.state_key])


def _check_averaged_weights(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Check the weights that a training goes on with, which are no average, and how many were averaged."""
    weights = checkpoint.content.get("current_model_state")
    if weights is None:  # of a network that is evaluated
        return
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise StateMismatch("current_model_state holds no weights")
    check_fits(model, replace(checkpoint, state_dict=weights))
    averaging = checkpoint.content.get("averaging_state")
    count = averaging.get("n_averaged") if isinstance(averaging, dict) else None
    if len(averaging or ()) != 1 or not isinstance(count, Tensor) or count.shape or count.is_floating_point():
        raise StateMismatch("averaging_state has no n_averaged, a count, or more than that")


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
        value = content.get(name)
        if not isinstance(value, expected_type) or (expected_type is int and not is_count(value)):
            raise _damaged(checkpoint, f"{name} is no {'count' if expected_type is int else expected_type.__name__}")


def _damaged(checkpoint: Checkpoint, reason: str) -> UsageError:
    return UsageError(f"{checkpoint.path} is damaged: its {reason}, so take another copy of it.")


def _tuples_to_lists(value: Any) -> Any:
    """Convert tuples to lists, recursively: a config has no tuples, so both are equal as arguments."""
    return [_tuples_to_lists(item) for item in value] if isinstance(value, list | tuple) else value
