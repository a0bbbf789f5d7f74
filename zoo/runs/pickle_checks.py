"""Checks of a checkpoint's pickle before torch reads it: plain values, and tensors that lie within their records.

The pickle is followed opcode by opcode, as `torch.load` would, but nothing is made of it beyond lists, dicts and
tuples. So whatever it claims, neither time nor memory exceeds a multiple of its length.
"""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from zoo.runs.pickle_values import (
    DEVICE,
    GLOBALS,
    MAX_DEPTH,
    ORDERED_DICT,
    STORAGES,
    Storage,
    Value,
    add_items,
    call,
    is_atom,
    kind_of,
    make_tuple,
    require,
    size_of,
)

MAX_REFERENCES = 200_000
"""How many values a pickle may keep for later reference; each tensor of a checkpoint takes about ten."""
MAX_OPCODES = 5_000_000
MAX_REPETITION = 10
"""How many times the size of the file its content may have, when it is written out without references."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS_AND_STRINGS = {"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(slots=True)
class _Machine:
    """The stack, the marks and the memo of a pickle that is being read."""

    records: Mapping[str, int]
    stack: list[Any] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    claims: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def step(self, opcode: str, argument: Any) -> None:
        """Follow an opcode."""
        if opcode in _NUMBERS_AND_STRINGS:
            self.stack.append(argument)
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
            require(len(self.memo) <= MAX_REFERENCES, "too many references")
        elif opcode in ("BINGET", "LONG_BINGET"):
            self.stack.append(self._remembered(argument))
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode == "MARK":
            self.below.append(self.stack)
            require(len(self.below) <= MAX_DEPTH, "values lie too deep in each other")
            self.stack = []
        elif opcode in _TUPLES:
            items = [self.stack.pop() for _ in range(_TUPLES[opcode])][::-1]
            self.stack.append(make_tuple(items))
        elif opcode == "TUPLE":
            items = self._marked()  # it exchanges the stack
            self.stack.append(make_tuple(items))
        elif opcode in ("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT"):
            content: Any = {"EMPTY_TUPLE": (), "EMPTY_LIST": [], "EMPTY_DICT": {}}[opcode]
            self.stack.append(Value(opcode.removeprefix("EMPTY_").lower(), content))
        elif opcode in ("APPEND", "APPENDS"):
            self._append(self._marked() if opcode == "APPENDS" else [self.stack.pop()])
        elif opcode in ("SETITEM", "SETITEMS"):
            self._set_items(self._marked() if opcode == "SETITEMS" else [self.stack.pop() for _ in range(2)][::-1])
        elif opcode == "GLOBAL":
            if argument not in GLOBALS:
                raise UnpicklingError(f"{argument} is no plain value")
            self.stack.append(Value(argument, is_complete=True))
        elif opcode == "BINPERSID":
            self.stack.append(self._storage(self.stack.pop()))
        elif opcode == "REDUCE":
            arguments, function = self.stack.pop(), self.stack.pop()
            require(kind_of(arguments) == "tuple", "arguments are no tuple")
            self.stack.append(call(kind_of(function), arguments))
        elif opcode == "BUILD":
            self._set_metadata(self.stack.pop())
        elif opcode not in ("PROTO", "STOP"):
            raise UnpicklingError(f"torch does not write {opcode}")

    def result(self) -> Any:
        """Return what is left on the stack at the end."""
        require(len(self.stack) == 1 and not self.below, "values are left over")
        return self.stack[0]

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def _remembered(self, index: int) -> Any:
        value = self.memo[index]
        if isinstance(value, Value):
            value.is_complete = True  # otherwise it could become a part of itself
        return value

    def _append(self, items: list[Any]) -> None:
        target = self._open("list")
        target.content.extend(items)
        add_items(target, items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._open("dict", ORDERED_DICT)
        keys, values = items[::2], items[1::2]
        require(len(keys) == len(values) and all(map(is_atom, keys)), "a key is no plain value")
        target.content.update(zip(keys, values, strict=True))
        add_items(target, items)

    def _open(self, *kinds: str) -> Any:
        target = self.stack[-1]
        require(kind_of(target) in kinds and not target.is_complete, "items are added to another value")
        return target

    def _set_metadata(self, state: Any) -> None:
        """Follow BUILD, which gives a module's ``state_dict`` the version numbers of the modules."""
        self._open(ORDERED_DICT)
        metadata = state.content.get("_metadata") if kind_of(state) == "dict" and len(state.content) == 1 else None
        require(kind_of(metadata) == ORDERED_DICT, "a dict has unknown attributes")
        assert metadata is not None
        for entry in metadata.content.values():
            is_version = kind_of(entry) == "dict" and entry.content.keys() <= {"version"}
            require(is_version and all(type(n) in (int, type(None)) for n in entry.content.values()), "a version")
        add_items(self.stack[-1], [state])

    def _storage(self, identifier: Any) -> Value:
        """Check a reference to a record, and that it claims the record as it is."""
        require(kind_of(identifier) == "tuple" and len(identifier.content) == 5, "a reference has another form")
        word, storage_type, key, location, count = identifier.content
        dtype = STORAGES.get(kind_of(storage_type))
        is_valid = word == "storage" and isinstance(key, str) and type(count) is int and isinstance(location, str)
        require(is_valid and dtype is not None and bool(DEVICE.fullmatch(location)), "a reference has another form")
        assert dtype is not None
        require(self.records.get(key) == count * dtype.itemsize, "a tensor's memory is not as large as its record")
        claim = (dtype, count)
        require(self.claims.setdefault(key, claim) == claim, "a record is of two types")
        return Value("storage", Storage(dtype, count), is_complete=True)


def check_pickle(data: bytes, records: Mapping[str, int]) -> None:
    """Check that a pickle holds plain values and tensors, each of which lies within a record of the file.

    Args:
        data: The pickle.
        records: The number of each record of tensor data to its size in bytes. The pickle must refer to all of them.

    Raises:
        UnpicklingError: It holds something else than plain values and tensors.
        ValueError: It is malformed, or it claims more than there is. Malformed pickles cause other types, too.
    """
    require(data.startswith(b"\x80\x02"), "no pickle of protocol 2")
    machine = _Machine(records)
    position: int | None = 0  # of the last opcode
    for number, (opcode, argument, position) in enumerate(pickletools.genops(data)):  # noqa: B007
        require(number < MAX_OPCODES and (opcode.name != "PROTO" or number == 0), "too many opcodes")
        machine.step(opcode.name, argument)
    require(position == len(data) - 1, "bytes follow the pickle")
    result = machine.result()
    require(
        size_of(result) <= MAX_REPETITION * (len(data) + sum(records.values())) + 1_000_000,
        "values are repeated too often",
    )
    require(machine.claims.keys() == records.keys(), "a record belongs to no tensor")


def check_tensors(content: Any) -> None:
    """Check that all tensors in loaded values are plain: in main memory, strided, and no larger than their memory.

    Raises:
        ValueError: A tensor or the type of a value is unusual.
    """
    pending, seen = [content], set[int]()
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            plain = type(value) in (Tensor, nn.Parameter) and value.layout == torch.strided
            plain = plain and value.device.type == "cpu" and not value.is_quantized
            require(plain and value.nbytes <= value.untyped_storage().nbytes(), "a tensor is unusual")
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending += value.values() if isinstance(value, dict) else value
