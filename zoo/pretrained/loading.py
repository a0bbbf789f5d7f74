"""Creating networks by name: untrained ones from a member's config, or the trained ones that ship."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from zoo.data.base import CLASS_NAMES, DIGITS, PREPROCESS
from zoo.models import Classifier, ZooModule
from zoo.models.calibrated import Calibrated
from zoo.pretrained.entries import Published
from zoo.pretrained.registry import ModelInfo, list_models, model_info, read_demonstrations, read_index
from zoo.pretrained.sources import check_source, is_checkpoint, on_hub
from zoo.pretrained.trained_classifier import TrainedClassifier
from zoo.runs.checkpoint import Checkpoint, check_class, load_into, read_checkpoint
from zoo.utils.class_paths import class_path_of, import_class
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.wording import with_article


def create_model(name: str, **overrides: Any) -> Classifier:
    """Create an untrained network from a member's config.

    Args:
        name: A member, one of ``zoo.list_models()``.
        **overrides: Arguments of the member's class that replace the config's, for example ``dropout=0.5``.

    Raises:
        UsageError: The member is unknown, or the value of an argument is invalid. It is a `ValueError`.
        TypeError: The class takes no such argument.
    """
    info = model_info(name)
    cls = member_class(info)
    if not issubclass(cls, Classifier):
        raise UsageError(
            f"{name} is {with_article(cls.__name__)} and no classifier: make one with zoo.models.{cls.__name__}(…)."
        )
    model = cls(**{**model_config(info).get("init_args", {}), **overrides})
    if model.init_from:
        initialize_from(model, model.init_from)
    return model


def initialize_from(model: Classifier, source: str) -> None:
    """Initialize a network with the weights of a trained one, for fine-tuning.

    Args:
        model: The network. Its output layer is not changed if the trained network has another number of classes.
        source: A member that ships trained, or the path of a checkpoint.

    Raises:
        UsageError: The source does not exist, or it is of another class or architecture.
    """
    if source in list_models():
        info = model_info(source)
        check_file(info.checkpoint, published_entry(info))
        source = str(info.checkpoint)
    elif not Path(source).exists():
        raise unknown_name("init_from", source, list_models(pretrained=True))
    checkpoint = read_checkpoint(source)
    class_path = class_path_of(type(model))
    check_class(checkpoint, (None, class_path), class_path)
    trained = checkpoint.make(type(model), **({} if checkpoint.arguments else model.hparams))
    load_into(trained, checkpoint)
    state, weights = model.state_dict(), trained.state_dict()
    same_classes = trained.hparams["num_classes"] == model.hparams["num_classes"]
    names, trained_names = (
        list(each.state_dict()) if same_classes else each.feature_names() for each in (model, trained)
    )
    if names != trained_names or any(state[name].shape != weights[name].shape for name in names):
        raise UsageError(f"{source} is of another architecture than this {type(model).__name__}.")
    inherited = {name: weights[name] for name in names if name not in model.not_inherited}
    model.load_state_dict({**state, **inherited})


@contextmanager
def _apart() -> Iterator[None]:
    """Make networks on the CPU with random numbers of their own: trained weights replace the initial ones at once."""
    with torch.random.fork_rng([]), torch.device("cpu"):
        yield


@_apart()
def load_pretrained(name: str | os.PathLike[str], *, calibrated: bool = False) -> ZooModule:
    """Load a trained network, on the CPU and in eval mode.

    A member's checkpoint is a part of the package. Its SHA-256 is compared with the index before it is read.

    Args:
        name: A member, one of ``zoo.list_models(pretrained=True)``; the demonstration ``rbm``; the path of a
            classifier's checkpoint; or a network on the Hugging Face hub, ``hf:OWNER/REPO@REVISION``, which needs the
            extra `hub` (see `zoo.pretrained.hub`).
        calibrated: Whether a member's logits are divided by its temperature, which was fitted on the validation images.
            Its predictions stay the same, and its probabilities agree better with how often they are right.

    Returns:
        A `LightningModule`. A member's ``model(images)`` maps float32 images ``(B, 1, 28, 28)`` in [0, 1] to logits
        ``(B, 10)``. The RBM maps them to the probabilities of its hidden units.

    Raises:
        UsageError: The member is unknown or ships no trained network, its file is not the published one, or what is to
            be calibrated has no temperature. It is a `ValueError`.
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(
            f"load_pretrained takes a name or the path of a checkpoint, and not {with_article(type(name).__name__)}."
        )
    name = os.fspath(name)
    check_source(name)
    if is_checkpoint(name):
        if calibrated:
            raise UsageError(f"{name} has no temperature, which published members have: load it without calibrated.")
        return load_classifier(name).model
    if on_hub(name):
        trained = load_classifier(name)
        if calibrated:
            trained.model.register_forward_hook(Calibrated(trained.temperature))
        return trained.model
    info = model_info(name)
    check_file(info.checkpoint, published_entry(info))
    model = build(info, read_checkpoint(info.checkpoint))
    if calibrated:
        if info.metrics is None:
            raise UsageError(f"{name} is no classifier, so it has no probabilities of classes to calibrate.")
        model.register_forward_hook(Calibrated(info.metrics["temperature"]))
    return model


@_apart()
def load_classifier(source: str) -> TrainedClassifier:
    """Load a trained classifier with its class names.

    Args:
        source: A member that ships trained, the path of a checkpoint of one of the classes in `zoo.models`, or
            ``hf:OWNER/REPO@REVISION``.

    Raises:
        UsageError: The source does not exist, or it is not such a classifier.
    """
    if on_hub(source):
        from zoo.pretrained.hub import load_from_hub

        return load_from_hub(source)
    if is_checkpoint(source):
        checkpoint = read_checkpoint(source)
        model = _load_zoo_classifier(checkpoint)
        # The class names are in the data module's state, whose key depends on the class of the data module.
        states = [value for value in checkpoint.content.values() if isinstance(value, dict)]
        data_state: dict[str, Any] = next((state for state in states if isinstance(state.get(CLASS_NAMES), list)), {})
        count = model.hparams["num_classes"]
        names = data_state.get(CLASS_NAMES, [])
        names = tuple(map(str, names if len(names) == count else range(count)))
        return TrainedClassifier(
            model,
            names,
            data_state.get(PREPROCESS) is not False,
            file_name=Path(source).name,
            sha256=hashlib.sha256(Path(source).read_bytes()).hexdigest(),
        )
    known = list_models(pretrained=True)
    if source not in [*list_models(), *read_demonstrations()]:
        raise unknown_name("member or checkpoint", source, known)
    member = load_pretrained(source)
    if not isinstance(member, Classifier):
        raise UsageError(f"{source} is no classifier, so it has no predictions: choose among the members.")
    info = model_info(source)
    return TrainedClassifier(
        member,
        DIGITS,
        temperature=info.metrics["temperature"] if info.metrics else 1.0,
        file_name=info.checkpoint.name,
        sha256=published_entry(info)["sha256"],
    )


def _load_zoo_classifier(checkpoint: Checkpoint) -> Classifier:
    """Load a checkpoint of a class below `zoo.models`, or of one that the program has imported itself."""
    classifiers = zoo_classifiers()
    if own := _known_classifier(checkpoint.class_path or ""):
        classifiers[checkpoint.class_path] = own
    hint = "`zoo test` and `zoo predict` read it with its config, and a program that has imported its class loads it"
    check_class(checkpoint, classifiers, "classifier of the zoo", hint)
    return classifiers[checkpoint.class_path].load_from_checkpoint(checkpoint.path).float().eval()


def _known_classifier(class_path: str) -> type[Classifier] | None:
    """Return a class that a checkpoint names without importing anything but modules of `zoo.models`."""
    module, _, name = class_path.rpartition(".")
    if re.fullmatch(r"zoo\.models\.\w+", module, re.ASCII):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            return None
    cls = getattr(sys.modules.get(module), name, None)
    is_it = isinstance(cls, type) and issubclass(cls, Classifier) and class_path_of(cls) == class_path
    return cls if is_it else None


def zoo_classifiers() -> dict[str | None, type[Classifier]]:
    """Return the classifiers in `zoo.models` by their class paths."""
    import zoo.models

    classes = [cls for name in zoo.models.__all__ if isinstance(cls := getattr(zoo.models, name), type)]
    return {class_path_of(cls): cls for cls in classes if issubclass(cls, Classifier)}


def published_entry(info: ModelInfo) -> Published:
    """Return the index entry of a member or demonstration that ships trained.

    Raises:
        UsageError: The member ships no trained network.
    """
    entry = info.metrics or info.demonstration
    if entry is None:
        raise UsageError(
            f"{info.name} ships no trained network; these do: {', '.join(list_models(pretrained=True)) or 'none'}. "
            f"Train it with `zoo fit --config {info.name}`."
        )
    return entry


def check_file(path: Path, entry: Published) -> None:
    """Check that a file has the published SHA-256.

    Raises:
        UsageError: The file is missing or differs from the published one.
    """
    if not path.is_file():
        raise UsageError(f"{path} is missing: install the package again.")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found == entry["sha256"]:
        return
    published = {**read_index(), **read_demonstrations()}
    others = [name for name, other in published.items() if other["sha256"] == found]
    raise UsageError(
        f"{path} is {others[0]}'s file under another name: install the package again."
        if others
        else f"{path} is not the file that was published: its sha256 differs from the index, so use another copy."
    )


def build(info: ModelInfo, checkpoint: Checkpoint) -> ZooModule:
    """Build a member's network from a checkpoint, in eval mode.

    The class is the one that the member's config names. The checkpoint must name the same class.

    Raises:
        UsageError: The checkpoint is of another class, or its arguments or weights do not fit.
    """
    cls = member_class(info)
    class_path = class_path_of(cls)
    check_class(checkpoint, (class_path,), class_path)
    model = checkpoint.make(cls)
    load_into(model, checkpoint)
    return model.float().eval()  # whatever the program's default is


def member_class(info: ModelInfo) -> type[ZooModule]:
    """Import the class that the config of a member or demonstration names.

    Raises:
        UsageError: The class does not exist, or it is not a `Classifier` (member) or `ZooModule` (demonstration).
    """
    class_path = str(model_config(info).get("class_path"))
    try:
        cls = import_class(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{info.config} names the class {class_path}, which does not exist ({error}).") from error
    base = ZooModule if info.config.parent.name == "demos" else Classifier
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UsageError(f"{info.config} names {class_path}, which is no zoo.models.{base.__name__}.")
    return cls


def model_config(info: ModelInfo) -> dict[str, Any]:
    """Return the ``model`` section of a config: ``class_path`` and ``init_args``.

    Raises:
        UsageError: The config has no such section.
    """
    content = yaml.safe_load(info.config.read_text(encoding="utf-8"))
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise UsageError(f"{info.config} has no `model:` with a class_path.")
    return model
