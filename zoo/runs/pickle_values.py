"""What a checkpoint's pickle may hold: plain values, and the few globals that torch and Lightning write."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

import torch

MAX_DEPTH = 50
"""How deep values may lie in each other; a Lightning checkpoint has about ten levels."""

STORAGES = {
    "torch DoubleStorage": torch.float64,
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
    "torch ComplexFloatStorage": torch.complex64,
    "torch ComplexDoubleStorage": torch.complex128,
}
_DTYPES = {f"torch {str(dtype).removeprefix('torch.')}" for dtype in STORAGES.values()}
_FUNCTIONS = {
    "collections OrderedDict",
    "collections Counter",
    "__builtin__ set",
    "torch Size",
    "torch device",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
GLOBALS = {*STORAGES, *_DTYPES, *_FUNCTIONS}
ORDERED_DICT = "an OrderedDict"
"""The kind of what calling ``collections OrderedDict`` gives."""
DEVICE = re.compile(r"[a-z]+(:\d+)?")


@dataclass(eq=False, slots=True)
class Value:
    """What an opcode puts on the stack, unless it is a number, a string, a bool or None.

    Attributes:
        kind: ``list``, ``dict``, ``tuple``, ``tensor``, ``storage`` or the name of a global or of its result.
        content: The items of a list, dict or tuple.
        size: The number of values and bytes in it, if it were written out in full.
        depth: How deep values lie in it.
        is_complete: Whether it is a part of another value or referred to, after which it must not change.
    """

    kind: str
    content: Any = None
    size: int = 1
    depth: int = 0
    is_complete: bool = False


@dataclass(slots=True)
class Storage:
    """The memory of a tensor: the content of a value of kind ``storage``."""

    dtype: torch.dtype
    count: int


def call(function: str, arguments: Value) -> Value:
    """Follow REDUCE: check the arguments of a global that `torch.load` calls."""
    items, size, depth = arguments.content, arguments.size, arguments.depth
    if function not in _FUNCTIONS:
        raise UnpicklingError(f"{function} is called")
    if function == "collections OrderedDict":
        require(items == (), "an OrderedDict has arguments")
        return Value(ORDERED_DICT, {})
    if function == "torch._utils _rebuild_tensor_v2":
        return _tensor(*items)
    if function == "torch._utils _rebuild_parameter":
        data, requires_grad, hooks = items
        is_plain = kind_of(data) == "tensor" and type(requires_grad) is bool and _is_empty(hooks)
        require(is_plain, "a parameter is unusual")
        return Value("tensor", size=size, depth=depth, is_complete=True)
    if function == "torch device":
        require(bool(DEVICE.fullmatch(items[0])) and all(map(is_atom, items)), "a device has another name")
    else:
        (values,) = items
        kind = {"collections Counter": "dict", "__builtin__ set": "list", "torch Size": "tuple"}[function]
        require(kind_of(values) == kind, f"arguments of {function}")
        require(kind != "dict" or all(type(n) is int for n in values.content.values()), "a counter does not count")
        require(all(map(_is_index if kind == "tuple" else is_atom, values.content)), f"arguments of {function}")
    return Value("constant", size=size, depth=depth, is_complete=True)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any) -> Value:
    """Check that a tensor lies within its memory, and is no larger than that."""
    is_form = kind_of(storage) == "storage" and kind_of(shape) == kind_of(strides) == "tuple"
    require(is_form, "a tensor has another form")
    numbers = [offset, *shape.content, *strides.content]
    require(all(map(_is_index, numbers)) and len(shape.content) == len(strides.content) <= 64, "a tensor's shape")
    require(type(requires_grad) is bool and _is_empty(hooks), "a tensor has hooks")
    memory: Storage = storage.content
    steps = zip(shape.content, strides.content, strict=True)
    count = math.prod(shape.content)
    needed = offset + (sum((length - 1) * stride for length, stride in steps) + 1 if count else 0)
    require(max(count, needed) <= memory.count, "a tensor is larger than its memory")
    return Value("tensor", size=1 + count * memory.dtype.itemsize, is_complete=True)


def make_tuple(items: list[Any]) -> Value:
    """Return a tuple of items."""
    value = Value("tuple", tuple(items))
    add_items(value, items)
    return value


def add_items(target: Value, items: list[Any]) -> None:
    """Count items as parts of a value; from now on they do not change."""
    for item in items:
        target.size += size_of(item)
        if isinstance(item, Value):
            item.is_complete = True
            target.depth = max(target.depth, item.depth + 1)
    require(target.depth <= MAX_DEPTH, "values lie too deep in each other")


def size_of(value: Any) -> int:
    """Return how many values, characters and bytes there are in a value, when it is written out in full."""
    return value.size if isinstance(value, Value) else 1 + len(value) if isinstance(value, str) else 1


def kind_of(value: Any) -> str:
    """Return the kind of a `Value`; empty for numbers, strings, bools and None."""
    return value.kind if isinstance(value, Value) else ""


def is_atom(value: Any) -> bool:
    """Return whether a value has no parts. Only such values can be keys, whose hash takes no time to compute."""
    return value is None or isinstance(value, bool | int | float | str)


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_empty(hooks: Any) -> bool:
    return kind_of(hooks) == ORDERED_DICT and not hooks.content


def require(condition: bool, reason: str) -> None:
    """Raise `ValueError` unless a condition holds."""
    if not condition:
        raise ValueError(reason)
