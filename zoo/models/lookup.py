"""Look up classifiers by name, for ensembles whose arguments name the class of their members."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from zoo.models.classifier import Classifier
from zoo.utils.class_paths import class_path_of, default_arguments, import_class, parameters_of, where_it_was_looked_for
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.local_modules import is_retired


def find_classifier(name: str, exclude: type[Classifier]) -> type[Classifier]:
    """Return a classifier by its name or path, without importing anything.

    The name may come from a checkpoint, and a checkpoint must not cause imports.

    Args:
        name: ``MLP``, ``zoo.models.MLP``, or the path of a user's class that is already imported.
        exclude: A class that is not allowed.

    Raises:
        UsageError: No imported classifier has this name.
    """
    zoo_classes: dict[str, type[Classifier]] = {}
    user_classes: dict[str, type[Classifier]] = {}
    pending = Classifier.__subclasses__()
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        path = class_path_of(cls)
        if cls is exclude or inspect.isabstract(cls) or is_retired(cls) or path.startswith("zoo.inference."):
            continue
        if path.startswith("zoo.models."):
            zoo_classes |= {cls.__name__: cls, path: cls, f"zoo.models.{cls.__name__}": cls}
        else:
            user_classes |= {cls.__name__: cls, path: cls}
    known = {**user_classes, **zoo_classes}  # a user's class cannot shadow a zoo class
    if name not in known:
        raise unknown_name("member class", name, [known_name for known_name in known if "." not in known_name])
    return known[name]


def make_member(cls: type[Classifier], member_args: Mapping[str, Any], num_classes: int) -> Classifier:
    """Return a new, untrained ensemble member.

    Args:
        cls: The member's class.
        member_args: Its arguments.
        num_classes: The ensemble's number of classes.

    Raises:
        UsageError: The arguments do not fit the class, or contain another number of classes.
    """
    arguments = dict(member_args)
    if arguments.get("num_classes", num_classes) != num_classes:
        raise UsageError(
            f"member_args have num_classes {arguments['num_classes']}, but the ensemble has {num_classes}: "
            "set num_classes beside them and not among them."
        )
    if num_classes != 10:
        arguments["num_classes"] = num_classes
    try:
        return cls(**arguments)
    except TypeError as error:
        known = parameters_of(cls)
        if unknown := [name for name in arguments if name not in known]:
            raise UsageError(
                f"member_args: {unknown_name(f'argument of {cls.__name__}', unknown[0], known)}"
            ) from error
        raise UsageError(f"member_args do not suit {cls.__name__}: {error}.") from error


def check_no_training_arguments(cls: type[Classifier], member_args: Mapping[str, Any]) -> None:
    """Check that an ensemble's members are given nothing about their training, which is the ensemble's.

    Raises:
        UsageError: They are, and it would have no effect.
    """
    defaults = default_arguments(Classifier)
    ignored = [
        name for name in cls.training_arguments if name in member_args and member_args[name] != defaults.get(name)
    ]
    if ignored:
        raise UsageError(
            f"member_args have {ignored[0]}, but all members are trained by the ensemble: set model.{ignored[0]}."
        )


def import_member_class(class_path: str) -> None:
    """Import the class of an ensemble's members, which the config names.

    The ensemble itself never imports it, because an ensemble may also be created from a checkpoint.

    Raises:
        UsageError: The class does not exist.
    """
    try:
        import_class(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"model.member: {where_it_was_looked_for(str(error))}.") from error
