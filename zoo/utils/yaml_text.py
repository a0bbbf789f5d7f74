"""Reading of YAML in bounded time and memory: its size, depth and aliases are checked before anything is made of it.

A few hundred bytes can name the same list so often that the result has billions of parts, or contains itself.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from zoo.utils.errors import UsageError

MAX_BYTES = 256 << 10
"""Of a file. The configs of the zoo have 2 KiB; the largest that it writes, 10."""
MAX_NODES = 20_000
"""Values, keys, lists and mappings, each counted as often as aliases repeat it."""
MAX_DEPTH = 50
"""Lists and mappings in one another."""
MAX_CHARACTERS = 20_000
"""Of a single value. Converting very long numbers takes long."""

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's loader for plain values; the one in C, where it is installed, is ten times as fast."""


def read_yaml_text(path: Path) -> str:
    """Read a YAML file as text and check it with `check_yaml`.

    Raises:
        FileNotFoundError: There is no such file.
        UsageError: It is no regular file, cannot be read, is too large, no UTF-8, no YAML, or asks for much work.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unreadable(path, "it is a folder, a pipe or a device")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, UsageError):
        raise
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise _unreadable(path, str(error)) from error
    if len(content) > MAX_BYTES:
        raise _unreadable(path, f"it has more than {MAX_BYTES >> 10} KiB")
    try:
        text = content.decode("utf-8-sig")
        check_yaml(text)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unreadable(path, f"line {line} is no UTF-8; save it with that encoding") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _unreadable(path, f"line {line} has a control character; remove it") from error
    except yaml.YAMLError as error:
        raise _unreadable(path, str(error)) from error
    return text


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file as plain values.

    Raises:
        FileNotFoundError: There is no such file.
        UsageError: As for `read_yaml_text`.
    """
    text = read_yaml_text(path)
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        raise _unreadable(path, str(error)) from error


def load_yaml(text: str, load: Callable[[str], Any] | None = None) -> Any:
    """Check a text with `check_yaml` and return what it says.

    Args:
        text: The text.
        load: A function that makes values of YAML. None means PyYAML's, for plain values.

    Raises:
        yaml.YAMLError: It is no YAML, asks for much work, or has a value that cannot be made.
    """
    check_yaml(text)
    try:
        return load(text) if load else yaml.load(text, Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:  # PyYAML raises what Python does: for the date 2026-99-99 a ValueError
        raise yaml.YAMLError(f"a value in it cannot be read: {error}") from error


def check_yaml(text: str) -> None:
    """Check that a text is YAML whose values, with all aliases followed, stay within the limits of this module.

    Raises:
        yaml.YAMLError: It is not.
    """
    nodes = 0
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise yaml.YAMLError(f"{event.anchor!r} contains itself")
            nodes += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = nodes - before
        else:
            nodes += 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, nodes - 1))
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_CHARACTERS:
            raise yaml.YAMLError(f"a value has more than {MAX_CHARACTERS:,} characters")
        if len(open_nodes) > MAX_DEPTH:
            raise yaml.YAMLError(f"more than {MAX_DEPTH} lists and mappings lie in one another")
        if nodes > MAX_NODES:
            raise yaml.YAMLError(f"it has more than {MAX_NODES:,} values, counted as often as aliases repeat them")


def _unreadable(path: Path, reason: str) -> UsageError:
    reason = " ".join(reason.split()).replace('in "<unicode string>", line', "in line")
    hint = "; look at the indentation of that line and of those before" if "in line" in reason else ""
    return UsageError(f"The config {path} cannot be read as YAML: {reason}{hint}.")
