"""How jsonargparse reads configs, and values of flags as YAML: in bounded time, and files only by their paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path, PurePath
from typing import Any
from unittest.mock import patch

from jsonargparse import _loaders_dumpers
from jsonargparse._paths import Path as ConfigPath
from jsonargparse._typehints import ActionTypeHint

from zoo.utils.yaml_text import load_yaml, read_yaml_text


@contextmanager
def checked_reading() -> Iterator[None]:
    """Let jsonargparse read YAML within the limits of `zoo.utils.yaml_text`, and only files that look like a path.

    jsonargparse reads any value that is the name of a file. A file ``MLP`` in the current folder would change what
    ``--model MLP`` means. The value of any flag is YAML as well, and can ask for as much work as a file.
    """
    with _sub_configs_by_path(), _bounded_yaml():
        yield


@contextmanager
def _bounded_yaml() -> Iterator[None]:
    unchecked = _loaders_dumpers.yaml_load
    if unchecked.__module__ == __name__:  # a parser inside a parser
        yield
        return

    def load(text: str) -> Any:
        return load_yaml(text, unchecked)

    with (
        patch.object(_loaders_dumpers, "yaml_load", load),
        patch.dict(_loaders_dumpers.loaders, yaml=load),
        patch.object(ConfigPath, "read_text", lambda path: read_yaml_text(Path(path))),
    ):
        yield


@contextmanager
def _sub_configs_by_path() -> Iterator[None]:
    check_type: Any = ActionTypeHint._check_type

    @wraps(check_type)  # jsonargparse passes the arguments that the signature has
    def check_type_by_path(action: ActionTypeHint, value: Any, *arguments: Any, **options: Any) -> Any:
        enabled = action._enable_path
        action._enable_path = enabled and _may_be_path(value)
        try:
            return check_type(action, value, *arguments, **options)
        finally:
            action._enable_path = enabled

    with patch.object(ActionTypeHint, "_check_type", check_type_by_path):
        yield


def _may_be_path(value: Any) -> bool:
    """Return whether a value is a path, or whether all texts in a list are."""
    if isinstance(value, list):
        return all(_may_be_path(item) for item in value if isinstance(item, str))
    return not isinstance(value, str) or os.sep in value or PurePath(value).suffix in (".yaml", ".yml", ".json")
