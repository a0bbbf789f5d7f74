"""Configs that are named as the value of a flag, as in ``--model model.yaml``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import PurePath
from typing import Any
from unittest.mock import patch

from jsonargparse._typehints import ActionTypeHint


@contextmanager
def sub_configs_by_path() -> Iterator[None]:
    """Read a value as the path of a config only if it looks like a path.

    jsonargparse reads any value that is the name of a file. A file ``MLP`` in the current folder would change what
    ``--model MLP`` means.
    """
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
