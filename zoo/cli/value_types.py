"""How jsonargparse reads values: classes of the package ``lightning``, and whole numbers."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce, wraps
from typing import Any, get_args
from unittest.mock import patch

from jsonargparse import _typehints
from jsonargparse._typehints import ActionTypeHint


@contextmanager
def lightning_by_any_name() -> Iterator[None]:
    """Take classes of the package ``lightning`` as those of ``pytorch_lightning``, which the zoo uses.

    They are the same code under two names, of which only one is installed, and objects of both cannot be mixed.
    """
    import_object: Any = _typehints.import_object  # type: ignore[attr-defined]
    resolve: Any = _typehints.resolve_class_path_by_name

    def import_renamed(name: Any, *arguments: Any, **options: Any) -> Any:
        return import_object(_rename(name), *arguments, **options)

    def resolve_renamed(cls: Any, name: Any) -> Any:
        return resolve(cls, _rename(name))

    with (
        patch.object(_typehints, "import_object", import_renamed),
        patch.object(_typehints, "resolve_class_path_by_name", resolve_renamed),
    ):
        yield


def _rename(class_path: Any) -> Any:
    if not isinstance(class_path, str):
        return class_path
    class_path = re.sub(r"^lightning\.fabric\.", "lightning_fabric.", class_path)
    return re.sub(r"^lightning\.(pytorch\.|(?=[A-Z]))", "pytorch_lightning.", class_path)


@contextmanager
def whole_numbers_kept() -> Iterator[None]:
    """Read 1 as a whole number wherever one is accepted, as in ``--trainer.limit_train_batches 1``: one batch.

    Where a type has ``float`` before ``int``, jsonargparse reads 1.0, which is all batches. The order is that of the
    first such type anywhere in the process, because Python takes types that differ in their order only as the same.
    """
    check_type: Any = ActionTypeHint._check_type

    @wraps(check_type)  # jsonargparse passes the arguments that the signature has
    def check_type_int_first(action: ActionTypeHint, *arguments: Any, **options: Any) -> Any:
        types = get_args(action._typehint)
        if int in types and float in types and types.index(float) < types.index(int):
            action._typehint = reduce(operator.or_, [int, *(each for each in types if each is not int)])
        return check_type(action, *arguments, **options)

    with patch.object(ActionTypeHint, "_check_type", check_type_int_first):
        yield
