"""The help of the Trainer's verbs: the settings that are mostly used, with their choices."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from inspect import isabstract

from docstring_parser import parse

import zoo.models
from zoo.cli.trainer_flags import OF_THE_TRAINER, OF_THE_VERB
from zoo.data.mnist import MNISTDataModule
from zoo.layers.activations import ACTIVATIONS
from zoo.layers.initializers import INITIALIZERS
from zoo.models import MLP, ZooModule
from zoo.models.classifier import Classifier
from zoo.pretrained.registry import list_models
from zoo.utils.class_paths import default_arguments

EVERYTHING = "--help_all"
"""The flag that shows Lightning's own help, of some hundred settings."""
PURPOSES = {
    "fit": "Train a network, and test it at the end.",
    "validate": "Evaluate a checkpoint on the validation images.",
    "test": "Evaluate a checkpoint on the official 10,000 test images.",
    "predict": "Write a checkpoint's probabilities for the test images as CSV, and draw some of them.",
}
NAMES = {"zoo.layers.activations": ", ".join(ACTIVATIONS), "zoo.layers.initializers": ", ".join(INITIALIZERS)}
"""The names that docstrings leave to a module."""
SELDOM = frozenset(
    {"alpha_dropout", "batch_norm_scale", "compile", "refit_batch_norm", "steps_per_call", "vat_epsilon"}
    | {"vat_power_iterations", "eval_batch_size", "subset_seed", "unlabelled_epochs", "with_indices"}
)
"""Arguments of the network and the images that are seldom set, and that the short help leaves out."""


def trainer_help(verb: str) -> str:
    """Return the help of ``fit``, ``validate``, ``test`` or ``predict``."""
    return "\n".join(_lines(verb, min(shutil.get_terminal_size((100, 24)).columns, 120)))


def _lines(verb: str, width: int) -> Iterator[str]:
    yield f"usage: zoo {verb} --config NAME [--SETTING VALUE ...]"
    yield ""
    yield PURPOSES[verb]
    members = ", ".join(list_models())
    yield from _settings(
        "",
        {
            "config NAME|FILE": "a member, or a YAML file; several are merged, and a later one takes "
            f"precedence. Members: {members}",
            "seed_everything N": "the seed of everything that is random (default: 0)",
            **OF_THE_VERB[verb],
        },
        width,
    )
    if verb == "fit":
        yield from _settings("The network: those of an MLP, and of every classifier", _of_the_network(), width)
    yield from _settings("The images", _documented(MNISTDataModule, "data."), width)
    if verb == "fit":
        trainer = {f"trainer.{name}": text for name, text in OF_THE_TRAINER.items()}
        yield from _settings("The training: the most used of Lightning's settings", trainer, width)
        yield from _settings(
            "The checkpoints",
            {
                "checkpoint.every_n_train_steps N": "save one every N steps, in place of one after each epoch",
                "checkpoint.save_top_k N": "how many are kept (default: 2)",
                "checkpoint.monitor NAME": "keep the best by a metric, such as val_acc, and not the last",
            },
            width,
        )
    yield ""
    yield f"  zoo {verb} {EVERYTHING}  every setting, Lightning's included"
    yield f"  zoo {verb} --model.help CLASS  those of another network:"
    indent = " " * 6
    yield from textwrap.wrap(", ".join(_network_classes()), width, initial_indent=indent, subsequent_indent=indent)
    yield f"  zoo {verb} --config NAME --print_config  the whole config, without running it"


def _network_classes() -> list[str]:
    classes = {name: getattr(zoo.models, name) for name in zoo.models.__all__}
    return [
        name
        for name, cls in classes.items()
        if isinstance(cls, type) and issubclass(cls, ZooModule) and not isabstract(cls)
    ]


def _of_the_network() -> dict[str, str]:
    return _documented(MLP, "model.") | _documented(Classifier, "model.")


def _documented(cls: type, prefix: str) -> dict[str, str]:
    """Return the first sentence on each argument of a class, from its docstring, and the argument's default."""
    arguments = parse(cls.__doc__ or "").params
    defaults = default_arguments(cls)
    return {
        f"{prefix}{argument.arg_name}": _first_sentence(argument.description or "")
        + _as_default(defaults.get(argument.arg_name))
        for argument in arguments
        if not argument.arg_name.startswith("*") and argument.arg_name not in SELDOM
    }


def _as_default(value: object) -> str:
    """Return a default value as it is written in a config, or an empty string where it says nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return f" (default: {str(value).lower()})"
    return f" (default: {list(value) if isinstance(value, tuple) else value})"


def _first_sentence(text: str) -> str:
    sentence = re.split(r"(?<=[^.])\.\s", " ".join(text.split()), maxsplit=1)[0]
    for place, names in NAMES.items():
        sentence = sentence.replace(f"a name in `{place}`", names).replace(f"A name in `{place}`", names)
    return sentence.replace("`", "").rstrip(".")


def _settings(title: str, settings: dict[str, str], width: int) -> Iterable[str]:
    """Yield the title and the lines of a group of settings."""
    yield ""
    if title:
        yield f"{title}:"
    for name, text in settings.items():
        flag = f"  --{name}"
        indent = " " * 28
        beginning = f"{flag:<28}" if len(flag) < 27 else f"{flag}  "
        yield from textwrap.wrap(beginning + text, width, subsequent_indent=indent, break_on_hyphens=False)
