"""Writing of the indexes of members and demonstrations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.pretrained.entries import Entry, LikelihoodEntry
from zoo.pretrained.registry import demonstrations_path, index_path, read_demonstrations, read_index
from zoo.utils.files import write_bytes


def write_index(index: Mapping[str, Entry]) -> None:
    """Write the index of the members."""
    _write(index_path(), index)
    read_index.cache_clear()


def write_demonstrations(index: Mapping[str, LikelihoodEntry]) -> None:
    """Write the index of the demonstrations."""
    _write(demonstrations_path(), index)
    read_demonstrations.cache_clear()


def _write(path: Path, index: Mapping[str, Any]) -> None:
    """Write an index as JSON that is readable and gives small diffs."""
    text = json.dumps(dict(sorted(index.items())), indent=1, ensure_ascii=False) + "\n"
    # Each row of numbers, and each run, is a line.
    text = re.sub(r"\[([-+.\de,\s]+)\]", lambda row: "[" + " ".join(row[1].split()) + "]", text)
    text = re.sub(r'\{(\s+"seed": \d+,\s+"(?:test_errors|log_likelihood)"[^{}]+)\}', _on_one_line, text)
    write_bytes(path, text.encode(), replace=True)


def _on_one_line(found: re.Match[str]) -> str:
    return "{" + " ".join(found[1].split()) + "}"
