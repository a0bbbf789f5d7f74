"""Networks by name: a new one from a member's config, or the trained one that ships."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo.data.base import CLASS_NAMES, DIGITS, PREPROCESS
from zoo.models import Classifier, ZooModule
from zoo.pretrained.registry import ModelInfo, Published, list_models, model_info, read_demonstrations, read_index
from zoo.runs.checkpoint import Checkpoint, load_into, read_checkpoint
from zoo.utils.class_paths import class_path_of, import_class
from zoo.utils.errors import UsageError, unknown_name


def create_model(name: str, **overrides: Any) -> Classifier:
    """Return a new, untrained network as the member's config describes it.

    Args:
        name: A member, one of ``zoo.list_models()``.
        **overrides: Arguments of the member's class that replace the config's, for example ``dropout=0.5``.

    Raises:
        UsageError: A `ValueError`: the member is unknown, or an argument's value is wrong.
        TypeError: The class takes no such argument.
    """
    info = model_info(name)
    cls = member_class(info)
    if not issubclass(cls, Classifier):
        raise UsageError(f"{name} is a {cls.__name__} and no classifier: make one with zoo.models.{cls.__name__}(…).")
    model = cls(**{**model_config(info).get("init_args", {}), **overrides})
    if model.init_from:
        initialize_from(model, model.init_from)
    return model


def initialize_from(model: Classifier, source: str) -> None:
    """Give a network a trained one's weights, as the beginning of a training of its own.

    Args:
        model: The network. An output layer with another number of classes than the trained one's stays as it is.
        source: A member that ships trained, or the path of a checkpoint.

    Raises:
        UsageError: There is none, or it is of another class or architecture.
    """
    if not Path(source).exists() and source in list_models():
        info = model_info(source)
        check_file(info.checkpoint, published_entry(info))
        source = str(info.checkpoint)
    elif not Path(source).exists():
        raise unknown_name("init_from", source, list_models(pretrained=True))
    checkpoint = read_checkpoint(source)
    if checkpoint.class_path not in (None, class_path_of(type(model))):
        raise UsageError(f"{source} holds a {checkpoint.class_path}, but this is a {class_path_of(type(model))}.")
    trained = checkpoint.make(type(model), **({} if checkpoint.arguments else model.hparams))
    load_into(trained, checkpoint)
    state, weights = model.state_dict(), trained.state_dict()
    same_classes = trained.hparams["num_classes"] == model.hparams["num_classes"]
    ours, theirs = (list(each.state_dict()) if same_classes else each.feature_names() for each in (model, trained))
    if ours != theirs or any(state[name].shape != weights[name].shape for name in ours):
        raise UsageError(f"{source} is of another architecture than this {type(model).__name__}.")
    inherited = {name: weights[name] for name in ours if name not in model.not_inherited}
    model.load_state_dict({**state, **inherited})


def load_pretrained(name: str) -> ZooModule:
    """Return a trained network, on the CPU and in eval mode.

    The file comes with the package; its SHA-256 is compared with the index before anything in it is read.

    Args:
        name: A member, one of ``zoo.list_models(pretrained=True)``, or the demonstration ``rbm``.

    Returns:
        A `LightningModule`: a member's ``model(images)`` maps float32 ``(B, 1, 28, 28)`` in [0, 1] to logits
        ``(B, 10)``, the RBM's to its hidden units' probabilities.

    Raises:
        UsageError: A `ValueError`: the member is unknown or ships no trained network, or its file is not the one
            that was published.
    """
    info = model_info(name)
    check_file(info.checkpoint, published_entry(info))
    return build(info, read_checkpoint(info.checkpoint))


@dataclass(frozen=True)
class Trained:
    """A classifier, in eval mode, and what is known of the pictures that it was trained on."""

    model: Classifier
    class_names: tuple[str, ...]
    mnist_like: bool = True
    """Whether they were of MNIST's form, as `zoo.preprocess` makes them; if not, grey and as bright as they were."""


def load_classifier(source: str) -> Trained:
    """Return a trained classifier and what its classes are called.

    Args:
        source: A member that ships trained, or the path of a checkpoint of one of the zoo's own classes.

    Raises:
        UsageError: There is none of that name, or it is no such classifier.
    """
    if Path(source).is_file() and source not in list_models():
        checkpoint = read_checkpoint(source)
        model = _of_the_zoo(checkpoint)
        # Whichever DataModule it was trained on, that one's part of the checkpoint has them.
        parts = [part for part in checkpoint.content.values() if isinstance(part, dict)]
        told: dict[str, Any] = next((part for part in parts if isinstance(part.get(CLASS_NAMES), list)), {})
        count = model.hparams["num_classes"]
        names = told.get(CLASS_NAMES, [])
        names = tuple(map(str, names if len(names) == count else range(count)))
        return Trained(model, names, told.get(PREPROCESS) is not False)
    known = list_models(pretrained=True)
    if source not in [*list_models(), *read_demonstrations()]:
        raise unknown_name("member or checkpoint", source, known)
    member = load_pretrained(source)
    if not isinstance(member, Classifier):
        raise UsageError(f"{source} is no classifier, so it has no answer: choose among the members.")
    return Trained(member, DIGITS)


def _of_the_zoo(checkpoint: Checkpoint) -> Classifier:
    """Return the network in a checkpoint of one of the zoo's own classes: a file never names what is imported."""
    import zoo.models

    own = {class_path_of(cls): cls for name in zoo.models.__all__ if isinstance(cls := getattr(zoo.models, name), type)}
    cls = own.get(checkpoint.class_path or "")
    if cls is None or not issubclass(cls, Classifier):
        raise UsageError(
            f"{checkpoint.path} holds a {checkpoint.class_path or 'network of unknown class'}, which is no classifier "
            "of the zoo's own: ask it with `zoo predict`."
        )
    return cls.load_from_checkpoint(checkpoint.path).eval()


def published_entry(info: ModelInfo) -> Published:
    """Return what was published of a trained network.

    Raises:
        UsageError: The member ships no trained network.
    """
    entry = info.figures or info.demonstration
    if entry is None:
        raise UsageError(
            f"{info.name} ships no trained network; these do: {', '.join(list_models(pretrained=True)) or 'none'}. "
            f"Train it with `zoo fit --config {info.name}`."
        )
    return entry


def check_file(path: Path, entry: Published) -> None:
    """Raise `UsageError` unless the file is, byte for byte, the one that was published."""
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
    """Return the member's network with a checkpoint's arguments and weights, in eval mode.

    The class is the one that the member's config names; what the checkpoint names is compared, never imported.

    Raises:
        UsageError: The checkpoint is of another class, or its arguments or weights do not fit.
    """
    cls = member_class(info)
    if checkpoint.class_path != class_path_of(cls):
        raise UsageError(
            f"{checkpoint.path} holds a {checkpoint.class_path}, but {info.name} is a {class_path_of(cls)}."
        )
    model = checkpoint.make(cls)
    load_into(model, checkpoint)
    return model.eval()


def member_class(info: ModelInfo) -> type[ZooModule]:
    """Return the class that the member's or demonstration's config names.

    Raises:
        UsageError: It does not exist, or a member's is no classifier.
    """
    class_path = str(model_config(info).get("class_path"))
    try:
        found = import_class(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{info.config} names the class {class_path}, which does not exist ({error}).") from error
    wanted = ZooModule if info.config.parent.name == "demos" else Classifier
    if not (isinstance(found, type) and issubclass(found, wanted)):
        raise UsageError(f"{info.config} names {class_path}, which is no zoo.models.{wanted.__name__}.")
    return found


def model_config(info: ModelInfo) -> dict[str, Any]:
    """Return what a config says of the network: ``class_path`` and ``init_args``."""
    content = yaml.safe_load(info.config.read_text(encoding="utf-8"))
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise UsageError(f"{info.config} has no `model:` with a class_path.")
    return model
