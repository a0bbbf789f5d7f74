"""Hostile pickles in a well-formed archive are refused at once, and what Lightning and torch write is read."""

from __future__ import annotations

import collections
import functools
import io
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.archives import content_or_refusal, fingerprint, pickle_of, write_archive
from tests.helpers import SOURCE
from zoo.runs.checkpoint import read_checkpoint
from zoo.utils.errors import UsageError

FILE = Path("hostile.ckpt")
EMPTY = b"ccollections\nOrderedDict\n)R"


class Memory:
    """A reference to a record, as torch writes it, but with any claim."""

    def __init__(self, count: Any, key: Any = "0", kind: Any = torch.FloatStorage, word: str = "storage") -> None:
        self.claim = (word, kind, key, "cpu", count)


class Tensor:
    """A tensor with any claim about its shape."""

    def __init__(
        self, memory: Any, shape: Any, strides: Any = None, offset: Any = 0, gradient: Any = False, hooks: Any = None
    ) -> None:
        strides = (1,) * len(shape) if strides is None else strides
        hooks = collections.OrderedDict() if hooks is None else hooks
        self.arguments = (memory, offset, shape, strides, gradient, hooks)

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, self.arguments


class Call:
    """A call of any function."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


class Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.claim if isinstance(value, Memory) else None


def pickled(value: Any, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, protocol).dump(value)
    return buffer.getvalue()


def in_checkpoint(value: Any) -> bytes:
    """Pickle a checkpoint whose weights are plain and one of whose other values is given."""
    return pickled({"state_dict": {"weight": Tensor(Memory(4), (4,))}, "hyper_parameters": {}, "value": value})


def raw(value: bytes) -> bytes:
    """Return the pickle of a checkpoint one of whose values is given as opcodes."""
    return in_checkpoint("VALUE").replace(pickled("VALUE")[2:-3], value)


def laughs(levels: int) -> list[Any]:
    value: list[Any] = ["ha"]
    for _ in range(levels):
        value = [value, value]
    return value


def with_attributes(attributes: dict[str, Any]) -> Any:
    return Call(collections.OrderedDict, state=attributes)


CLAIMS: dict[str, Any] = {
    "a larger memory": Tensor(Memory(400), (400,)),
    "a smaller memory": Tensor(Memory(3), (3,)),
    "a memory of 2**62 elements": Memory(2**62),
    "a negative memory": Memory(-4),
    "a memory of true elements": Memory(True),
    "a record that is missing": Tensor(Memory(4, "1"), (4,)),
    "a record by its number": Tensor(Memory(4, 0), (4,)),
    "another record": Tensor(Memory(4, "../version"), (1,)),
    "a record of two types": Tensor(Memory(2, kind=torch.DoubleStorage), (2,)),
    "a memory of no known type": Memory(4, kind=collections.Counter),
    "a reference of another kind": Memory(4, word="module"),
    "a reference that is no tuple": Call(torch.Size, (Memory(4), "x")),
    "more elements": Tensor(Memory(4), (5,)),
    "more elements behind an offset": Tensor(Memory(4), (4,), offset=1),
    "an offset of its size": Tensor(Memory(4), (1,), offset=4),
    "a negative offset": Tensor(Memory(4), (1,), offset=-1),
    "a negative stride": Tensor(Memory(4), (2,), (-1,)),
    "a negative length": Tensor(Memory(4), (-2,)),
    "a stride of 0": Tensor(Memory(4), (10**12,), (0,)),
    "many strides of 0": Tensor(Memory(4), (2,) * 60, (0,) * 60),
    "a shape that overflows": Tensor(Memory(4), (2**33, 2**33), (0, 0)),
    "a large stride": Tensor(Memory(4), (2,), (2**62,)),
    "lengths that are no numbers": Tensor(Memory(4), ("4",)),
    "another number of strides": Tensor(Memory(4), (4,), (1, 1)),
    "a tensor of no memory": Tensor("memory", (4,)),
    "hooks": Tensor(Memory(4), (4,), hooks={"hook": 1}),
    "an array of bytes": Call(bytearray, 10**11),
    "bytes": b"\xff" * 10,
    "code": Call(eval, "print('evil')"),
    "a sparse tensor": torch.eye(2).to_sparse(),
    "a meta tensor": torch.empty(10**12, device="meta"),
    "a quantized tensor": Call(torch._utils._rebuild_qtensor, 1),
    "an unusual device": Call(torch.device, 10**6),
    "attributes of a dict": with_attributes({"items": 3}),
    "metadata that is no dict": with_attributes({"_metadata": 3}),
    "metadata with other names": with_attributes(
        {"_metadata": collections.OrderedDict(a={"assign_to_params_buffers": True})}
    ),
    "a counter of tuples": Call(collections.Counter, {"a": (1, 2)}),
    "a set of tuples": Call(set, [(1, 2)]),
    "a key that is a tuple": {(1, 2): 3},
    "the laughs of billions": laughs(60),
    "many references to one tensor": [Tensor(Memory(4), (4,)), laughs(19)],
}
OPCODES: dict[str, Callable[[], bytes]] = {
    "a list in itself": lambda: raw(b"]q\xc8h\xc8a"),
    "a dict in itself": lambda: raw(b"}q\xc8X\x01\x00\x00\x00ah\xc8s"),
    "an ordered dict in itself": lambda: raw(EMPTY + b"q\xc8X\x01\x00\x00\x00ah\xc8s"),
    "a list that grows in a tuple": lambda: raw(b"]q\xc8\x85h\xc8K\x01a\x86"),
    "lists in lists": lambda: raw(b"]" * 100_000 + b"a" * 99_999),
    "tuples in tuples": lambda: raw(b")" + b"\x85" * 100_000),
    "a key of tuples in tuples": lambda: raw(b"})" + b"\x85" * 100_000 + b"K\x01s"),
    "a key of the laughs": lambda: raw(b"}" + b"K\x01" + b"q\xc8h\xc8\x86" * 80 + b"K\x01s"),
    "a million references": lambda: raw(b"".join(b"r" + n.to_bytes(4, "little") for n in range(10**6)) + b"N"),
    "a million references in a list": lambda: raw(
        b"](" + b"".join(b"Nr" + n.to_bytes(4, "little") for n in range(10**6)) + b"e"
    ),
    "marks without end": lambda: raw(b"(" * 10**6),
    "a reference to nothing": lambda: raw(b"h\xfe"),
    "an empty stack": lambda: b"\x80\x02" + b"a" * 10 + b".",
    "no end": lambda: in_checkpoint(1)[:-1],
    "bytes behind the end": lambda: in_checkpoint(1) + b"x",
    "two values": lambda: b"\x80\x02N" + in_checkpoint(1)[2:],
    "an array of 2**40 bytes": lambda: raw(b"\x96" + (2**40).to_bytes(8, "little")),
    "a string of 2**32 bytes": lambda: raw(b"X\xff\xff\xff\xff"),
    "no valid UTF-8": lambda: raw(b"X\x01\x00\x00\x00\xff"),
    "an instance": lambda: raw(b"(ios\nsystem\n"),
    "a persistent name": lambda: raw(b"P0\n"),
    "protocol 4": lambda: pickled({"state_dict": {}}, 4),
    "nothing": lambda: b"",
    "zeros": lambda: bytes(1000),
}
HOSTILE: dict[str, Callable[[], bytes]] = {
    **{name: functools.partial(in_checkpoint, value) for name, value in CLAIMS.items()},
    **OPCODES,
}


def test_the_harmless_checkpoint_of_these_tests_is_read() -> None:
    write_archive(FILE, in_checkpoint({"a": 1}), bytes(16))
    assert torch.equal(read_checkpoint(FILE).state_dict["weight"], torch.zeros(4))
    write_archive(FILE, raw(b"]q\xc8(K\x01K\x02e"), bytes(16))
    assert read_checkpoint(FILE).content["value"] == [1, 2]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_quickly(name: str) -> None:
    content = HOSTILE[name]()
    write_archive(FILE, content, bytes(16))
    began = time.process_time()
    with pytest.raises(UsageError, match=r"is damaged|is refused"):
        read_checkpoint(FILE)
    assert time.process_time() - began < 5  # below 1 on an idle machine
    assert content_or_refusal(FILE) is None


def test_a_record_without_a_tensor_is_refused() -> None:
    write_archive(FILE, in_checkpoint(1), bytes(16), bytes(16))
    assert content_or_refusal(FILE) is None


@pytest.mark.slow
def test_hostile_pickles_take_no_memory_of_the_process() -> None:
    """All of them, in a process that may take 300 MB more than it has once torch is imported."""
    for number, name in enumerate(HOSTILE):
        write_archive(Path(f"{number}.ckpt"), HOSTILE[name](), bytes(16))
    program = (
        "import glob, resource, zoo.runs.checkpoint as c\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + 300_000_000, -1))\n"
        "for path in glob.glob('*.ckpt'):\n"
        "    try: c.read_checkpoint(path)\n"
        "    except c.UsageError as error: assert not isinstance(error.__cause__, MemoryError), path\n"
        "    else: raise SystemExit(path + ' was read')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": SOURCE})


def test_exchanged_sizes_of_two_memories_are_refused() -> None:
    tensors = [Tensor(Memory(4), (4,)), Tensor(Memory(8, "1"), (8,))]
    write_archive(FILE, pickled({"state_dict": dict(zip("ab", tensors, strict=True))}), bytes(16), bytes(32))
    assert read_checkpoint(FILE).state_dict["b"].shape == (8,)
    write_archive(FILE, pickled({"state_dict": dict(zip("ab", tensors, strict=True))}), bytes(32), bytes(16))
    assert content_or_refusal(FILE) is None


def plain_values() -> dict[str, Any]:
    shared = [0.1, 0.2]
    return {
        "numbers": [0, -1, 255, 256, 2**31, -(2**40), 2**200, 0.5, float("inf"), True, False, None],
        "strings": ["", "ä", "x" * 300, "\udcff"],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "shared": {"one": shared, "other": shared, "third": (shared, shared)},
        "counter": collections.Counter([3, 3, 5]),
        "ordered": collections.OrderedDict(a=1, b={"c": []}),
        "set": {1, 2, 3},
        "size": torch.Size([2, 3]),
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "module": nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict(),
        "parameter": nn.Parameter(torch.ones(3)),
        "views": list(torch.arange(12.0).reshape(3, 4).unbind(1)),
        "empty": torch.zeros(0, 5),
        "scalar": torch.tensor(3),
        "transposed": torch.arange(6).reshape(2, 3).t(),
        "types": [torch.ones(3).to(getattr(torch, each)) for each in ("float64", "float16", "bfloat16", "int8", "uint8",
                  "int16", "int32", "int64", "bool", "complex64", "complex128")],
    }  # fmt: skip


def test_plain_values_are_read_as_torch_reads_them() -> None:
    content = {"state_dict": {"weight": torch.ones(3)}, **plain_values()}
    torch.save(content, FILE)
    found = read_checkpoint(FILE).content
    assert fingerprint(found) == fingerprint(torch.load(FILE, weights_only=True))
    assert found["module"]._metadata == content["module"]._metadata
    assert found["shared"]["one"] is found["shared"]["other"]


def test_a_tensor_that_is_larger_than_its_memory_is_refused() -> None:
    torch.save({"state_dict": {"weight": torch.zeros(1).expand(10)}}, FILE)
    with pytest.raises(UsageError, match=r"hostile\.ckpt is damaged"):
        read_checkpoint(FILE)


def test_the_pickle_of_a_run_is_small_against_the_limits(small_run: Path) -> None:
    assert len(pickle_of(small_run)) < 30_000
