"""Damaged pictures and archives are read or refused in a sentence, at once, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations import honest_archives, honest_data, honest_pictures, write_mutated
from tests.read_files import read_in_a_process


def check(kind: str, count: int, seed: int) -> None:
    honest = {"pictures": honest_pictures, "archives": honest_archives, "data": honest_data}[kind]()
    write_mutated(Path("files"), honest, count, seed)
    for name, content in honest.items():
        Path("files", name).write_bytes(content)
    results = {result["name"]: result["message"] for result in read_in_a_process(kind, "files")}
    assert len(results) == count + len(honest)
    assert all(results[name] is None for name in honest)
    refused = [message for message in results.values() if message]
    assert len(refused) > count / 3  # the damage is not mostly without effect
    assert all("cannot be read" in message or "pixels" in message or "picture" in message for message in refused)


@pytest.mark.parametrize(("kind", "count"), [("pictures", 40), ("archives", 10), ("data", 20)])
def test_damaged_files_are_read_or_refused(kind: str, count: int) -> None:
    check(kind, count, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", ["pictures", "archives", "data"])
def test_many_damaged_files_are_read_or_refused(kind: str, seed: int) -> None:
    check(kind, 10_000, seed)
