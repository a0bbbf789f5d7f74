"""``zoo fit | validate | test | predict``: the verbs of Lightning's Trainer."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
import yaml
from jsonargparse._deprecated import JsonargparseDeprecationWarning
from jsonargparse._util import import_object

from zoo.cli.hints import check_no_bare_words
from zoo.cli.library_errors import as_usage_error
from zoo.cli.lightning_cli import ZooCLI
from zoo.cli.parser import find_values, replace_value
from zoo.cli.trainer_help import EVERYTHING, trainer_help
from zoo.cli.value_types import lightning_by_any_name
from zoo.pretrained.registry import list_models, packaged_config
from zoo.utils.class_paths import import_class
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.float32_precision import kept_float32_precision
from zoo.utils.lightning_logging import quieten_lightning
from zoo.utils.local_modules import local_modules
from zoo.utils.yaml_text import Loader, read_yaml, read_yaml_text

CLI = TypeVar("CLI", bound=ZooCLI)
TRAINER_VERBS = ("fit", "validate", "test", "predict")
OF_A_CLASS = ("class_path", "init_args", "dict_kwargs")
"""The keys of a class and its arguments in a config."""


def run(verb: str, arguments: list[str]) -> int:
    """Run a verb of the Trainer and return the exit status."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(trainer_help(verb))
        return 0
    run_cli(ZooCLI, verb, ["--help" if argument == EVERYTHING else argument for argument in arguments])
    return 0


def fit(arguments: list[str]) -> dict[str, float]:
    """Run ``zoo fit`` with these arguments and return its final metrics, including ``test_errors``."""
    return {name: float(value) for name, value in run_cli(ZooCLI, "fit", arguments).trainer.callback_metrics.items()}


@atexit.register
def _leave_process_group() -> None:
    # Threads of the process group that still run at exit sometimes abort the process.
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def run_cli(cli: type[CLI], verb: str, arguments: list[str]) -> CLI:
    """Make a command-line interface for a verb of the Trainer, which runs it.

    Args:
        cli: The class of the interface.
        verb: The verb.
        arguments: Its arguments. Names of configs are replaced by their paths in place.

    Raises:
        UsageError: An argument or a config is not valid.
    """
    quieten_lightning()
    warnings.filterwarnings("ignore", category=JsonargparseDeprecationWarning)  # of what Lightning calls
    flush_denormals()
    check_no_bare_words(verb, arguments)
    _check_encoding(arguments)
    _resolve_configs(arguments)
    try:
        # A config may name a class in a module of the current folder.
        found_locally = local_modules(_current_folder(), (import_object, import_class))
        with kept_float32_precision(), lightning_by_any_name(), found_locally:
            return cli([verb, *arguments])
    except Exception as error:
        if usage := as_usage_error(error):
            raise usage from error
        raise


def _check_encoding(arguments: list[str]) -> None:
    """Check that the arguments are UTF-8, because configs, records and logs, which repeat them, are.

    Raises:
        UsageError: An argument, such as the name of a file, is not.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{argument} is not UTF-8, as everything in a config is: rename it.") from error


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise UsageError(f"The current folder cannot be used ({error.strerror}): change to another one.") from error


def _resolve_configs(arguments: list[str]) -> None:
    """Replace names of packaged configs, such as ``dropout`` or ``trainer/gpu``, by their paths.

    Args:
        arguments: Command-line arguments, changed in place.

    Raises:
        UsageError: A config does not exist, cannot be read as YAML, or has an invalid structure.
    """
    for position, value in find_values(arguments, "--config", "-c"):
        # Files of the current folder do not take the place of configs that ship: ./dropout is a file.
        if packaged := packaged_config(value):
            value = str(packaged)
            replace_value(arguments, position, value)
        try:
            content = read_yaml(Path(value))
            text = read_yaml_text(Path(value))
        except FileNotFoundError:
            raise unknown_name("config", value, list_models()) from None
        if not isinstance(content, dict):
            raise UsageError(f"The config {value} is no config: it needs model, data and trainer (see configs/).")
        if verbs := [verb for verb in TRAINER_VERBS if isinstance(content.get(verb), dict)]:
            raise UsageError(
                f"The config {value} has its settings below {verbs[0]}: move them to the top level, beside each other: "
                "model, data, trainer."
            )
        for node in _mappings(yaml.compose(text, Loader), set()):
            _check_mapping(value, node)


def _mappings(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.MappingNode]:
    """Yield every mapping below a node once, even if aliases refer to it several times."""
    if node is None or isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
    for item in node.value:
        for child in item if isinstance(item, tuple) else (item,):
            yield from _mappings(child, seen)


def _check_mapping(config: str, mapping: yaml.MappingNode) -> None:
    """Raise an error for duplicate keys, a ``class_path`` that is no text, and ``init_args`` that are no mapping.

    PyYAML accepts duplicate keys silently and keeps the last.
    """
    seen: set[str] = set()
    keys = {key.value for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)}
    for key, content in mapping.value:
        line = key.start_mark.line + 1
        if "class_path" in keys and isinstance(key, yaml.ScalarNode) and key.value not in OF_A_CLASS:
            raise UsageError(
                f"The config {config} has {key.value} beside class_path in line {line}: the arguments of a class stand "
                "below init_args, indented once more."
            )
        if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
            continue
        if any(each.isspace() and each != " " for each in key.value):
            raise UsageError(
                f"The config {config} has a space in line {line} that is none of YAML's, as in text from a web page: "
                "write it with the space bar."
            )
        if key.value in seen:
            raise UsageError(f"The config {config} has {key.value} again in line {line}: keep one of them.")
        seen.add(key.value)
        if key.value == "class_path" and not content.tag.endswith(":str"):
            raise UsageError(f"The config {config} has no name of a class under class_path in line {line}: give one.")
        if key.value == "init_args" and not isinstance(content, yaml.MappingNode):
            raise UsageError(
                f"The config {config} has no arguments by name under init_args in line {line}: indent "
                "those that follow, or leave the line out."
            )
