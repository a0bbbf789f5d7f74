"""A checkpoint with a changed byte is refused, or it has no effect."""

from __future__ import annotations

import functools
import itertools
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.archives import (
    DIRECTORY_FIELDS,
    END_FIELDS,
    LOCAL_FIELDS,
    SMALL,
    content_or_refusal,
    entries_of,
    fingerprint,
    flipped,
    replaced,
)
from tests.helpers import error_output
from zoo.cli import main
from zoo.runs import container
from zoo.runs.checkpoint import AtomicCheckpointIO, read_checkpoint
from zoo.utils.errors import UsageError

CHANGED = Path("changed.ckpt")


@functools.cache
def content_of(path: Path) -> Any:
    return fingerprint(read_checkpoint(path).content)


def is_refused(archive: bytes) -> bool:
    CHANGED.write_bytes(archive)
    return content_or_refusal(CHANGED) is None


def assert_refused_or_equal(archive: bytes, original: Path, change: object) -> None:
    CHANGED.write_bytes(archive)
    found = content_or_refusal(CHANGED)
    assert found is None or found == content_of(original), change


def test_the_run_s_checkpoint_is_read(small_run: Path) -> None:
    assert content_or_refusal(small_run) is not None
    assert AtomicCheckpointIO().load_checkpoint(small_run)["global_step"] == 2


def test_a_file_without_the_records_that_later_versions_of_torch_add_is_read(small_run: Path) -> None:
    records = container.read_records(small_run)
    assert {"byteorder", ".format_version", ".data/serialization_id"} <= records.keys()
    older = {name: record for name, record in records.items() if name[0] != "." and name != "byteorder"}
    CHANGED.write_bytes(container.canonical_archive(older))
    assert content_or_refusal(CHANGED) == content_of(small_run)


@pytest.mark.parametrize("count", [80, pytest.param(6000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_flipped_bit_is_refused_or_has_no_effect(count: int, small_run: Path) -> None:
    seed = 20 + count
    generator = random.Random(seed)
    archive = small_run.read_bytes()
    outside = [at for at in range(len(archive)) if not any(e.data <= at < e.data + e.size for e in entries_of(archive))]
    for number in range(count):
        # Every other flip is in a header: most bytes of a file are data, whose checksum catches all of them.
        position = generator.choice(outside) if number % 2 else generator.randrange(len(archive))
        bit = 8 * position + generator.randrange(8)
        assert_refused_or_equal(flipped(archive, bit), small_run, f"bit {bit}, flip {number} of seed {seed}")


@pytest.mark.slow
@pytest.mark.parametrize("all_entries", [False, True])
def test_a_changed_field_is_refused_or_has_no_effect(all_entries: bool, small_run: Path) -> None:
    archive = small_run.read_bytes()
    entries = entries_of(archive)
    chosen = entries if all_entries else [entries[0], entries[6], entries[-2]]
    fields: dict[tuple[object, ...], tuple[int, int]] = {
        ("end", name): (len(archive) - 22 + at, size) for name, (at, size) in END_FIELDS.items()
    }
    for entry in chosen:
        for table, start in ((LOCAL_FIELDS, entry.header), (DIRECTORY_FIELDS, entry.directory)):
            fields |= {(entry.name, name, start): (start + at, size) for name, (at, size) in table.items()}
    for field, (position, size) in fields.items():
        for value in (0, 1, 256**size - 1):
            changed = replaced(archive, position, value.to_bytes(size, "little"))
            assert_refused_or_equal(changed, small_run, (field, value))


@pytest.mark.parametrize("name", ["external attributes", "internal attributes", "flags", "method", "disk"])
def test_an_entry_with_flags_or_attributes_is_refused(name: str, small_run: Path) -> None:
    archive = small_run.read_bytes()
    at, size = DIRECTORY_FIELDS[name]
    for entry in entries_of(archive):
        changed = replaced(archive, entry.directory + at, (0x10).to_bytes(size, "little"))
        assert is_refused(changed), entry.name


@pytest.mark.parametrize("letter", [b"\xff", b"\x00", b"/", b"\xc3", b"A"])
def test_an_entry_with_another_name_is_refused(letter: bytes, small_run: Path) -> None:
    archive = small_run.read_bytes()
    for entry in entries_of(archive):
        both = replaced(archive, entry.directory + 46 + len(entry.name) - 1, letter)
        assert is_refused(both)
        assert is_refused(replaced(both, entry.header + 30 + len(entry.name) - 1, letter)), entry.name


def test_exchanged_doubled_and_removed_entries_are_refused(small_run: Path) -> None:
    archive = small_run.read_bytes()
    entries = entries_of(archive)
    start = entries[0].directory
    headers = [archive[e.directory : e.directory + 46 + len(e.name)] for e in entries]

    def with_directory(parts: list[bytes]) -> bytes:
        directory = b"".join(parts)
        count = len(parts).to_bytes(2, "little")
        last = replaced(archive[-22:], 8, count + count + len(directory).to_bytes(4, "little"))
        return archive[:start] + directory + last

    CHANGED.write_bytes(with_directory(headers))
    assert content_or_refusal(CHANGED) == content_of(small_run)
    assert_refused_or_equal(with_directory(headers[::-1]), small_run, "another order")
    for index in range(len(headers)):
        assert is_refused(with_directory([*headers, headers[index]]))
        without = with_directory(headers[:index] + headers[index + 1 :])
        assert_refused_or_equal(without, small_run, f"without {entries[index].name}")
        assert not entries[index].name.endswith(("data.pkl", "/version", "data/0")) or is_refused(without)
    memories = [e for e in entries if "/data/" in e.name]
    same_size = [(a, b) for a in memories for b in memories if a.size == b.size and len(a.name) == len(b.name)]
    pairs = [(a, b) for a, b in same_size if a is not b and archive[a.data :][: a.size] != archive[b.data :][: b.size]]
    assert pairs
    for one, other in pairs[:3]:
        for at, size in (DIRECTORY_FIELDS["offset"], (46, len(one.name))):  # where it lies, or what it is called
            changed = replaced(archive, one.directory + at, archive[other.directory + at :][:size])
            changed = replaced(changed, other.directory + at, archive[one.directory + at :][:size])
            assert is_refused(changed)


def test_exchanged_sizes_are_refused(small_run: Path) -> None:
    archive = small_run.read_bytes()
    memories = [entry for entry in entries_of(archive) if "/data/" in entry.name]
    at, _ = DIRECTORY_FIELDS["compressed size"]
    for one, other in itertools.pairwise(memories):
        if one.size != other.size:
            changed = replaced(archive, one.directory + at, archive[other.directory + at :][:8])
            assert is_refused(replaced(changed, other.directory + at, archive[one.directory + at :][:8]))


def test_a_truncated_or_prolonged_file_is_refused(small_run: Path) -> None:
    archive = small_run.read_bytes()
    for part in range(50):
        assert is_refused(archive[: len(archive) * part // 50])
    for tail in (b"\0", b"PK", b"x" * 1000, archive, archive[-22:]):
        assert_refused_or_equal(archive + tail, small_run, tail[:10])
        assert_refused_or_equal(tail + archive, small_run, tail[:10])
    assert is_refused(archive + b"\0")


def test_only_regular_files_of_a_bounded_size_are_opened(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe.ckpt")
    Path("folder.ckpt").mkdir()
    for path in ("pipe.ckpt", "folder.ckpt", "/dev/zero"):
        with pytest.raises(UsageError, match=f"There is no checkpoint {path}|{path} is a folder"):
            read_checkpoint(path)
    monkeypatch.setattr(container, "MAX_BYTES", 2**30)
    with Path("large.ckpt").open("wb") as file:
        file.truncate(2**30 + 1)  # it takes no room on the disk
    with pytest.raises(UsageError, match="has more than 1 GiB"):
        read_checkpoint("large.ckpt")


def test_a_large_file_of_another_kind_is_refused_without_reading_it() -> None:
    with Path("large.ckpt").open("wb") as file:
        file.truncate(3 * 2**30)  # it takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match="damaged, truncated or no checkpoint"):
            read_checkpoint("large.ckpt")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


REGIONS = ["name", "header name", "flags", "external attributes", "size", "crc", "end", "pickle", "memory"]


QUICK = ("crc", "pickle", "memory")


@pytest.mark.parametrize(
    "region", [pytest.param(region, marks=[] if region in QUICK else [pytest.mark.slow]) for region in REGIONS]
)
def test_every_verb_refuses_a_flipped_bit_in_one_sentence(
    region: str, small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = small_run.read_bytes()
    entry = next(each for each in entries_of(archive) if each.name.endswith("data/2"))
    pickle_entry = entries_of(archive)[0]
    positions = {
        "name": entry.directory + 46 + 3,
        "header name": entry.header + 30 + 3,
        "end": len(archive) - 22,
        "pickle": pickle_entry.data + pickle_entry.size // 2,
        "memory": entry.data + 1,
    }
    positions |= {name: entry.directory + at for name, (at, _) in DIRECTORY_FIELDS.items()}
    Path("seven.png").write_bytes(b"")
    # The highest bit makes a name no UTF-8; bit 4 of the attributes says that an entry is a folder.
    CHANGED.write_bytes(flipped(archive, 8 * positions[region] + (4 if region == "external attributes" else 7)))
    for arguments in (
        ["test", *SMALL, "--ckpt_path", str(CHANGED)],
        ["predict", *SMALL, "--ckpt_path", str(CHANGED)],
        ["fit", *SMALL, "--trainer.max_epochs", "2", "--ckpt_path", str(CHANGED)],
        ["fit", *SMALL, "--trainer.max_epochs", "2", "--model.init_from", str(CHANGED)],
        ["classify", "seven.png", "--model", str(CHANGED)],
    ):
        assert "changed.ckpt is damaged" in error_output(arguments, capsys), arguments


def test_a_damaged_file_is_skipped_where_the_last_checkpoint_is_looked_for(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("logs/dropout_batchnorm/version_0/checkpoints")
    folder.mkdir(parents=True)
    archive = small_run.read_bytes()
    entry = entries_of(archive)[6]
    folder.joinpath("older.ckpt").write_bytes(archive)
    folder.joinpath("step=999.ckpt").write_bytes(flipped(archive, 8 * (entry.directory + 50) + 7))
    assert main(["fit", *SMALL, "--trainer.max_epochs", "2", "--ckpt_path", "last"]) == 0
    written = capsys.readouterr()
    assert "step=999.ckpt is damaged" in written.err
    assert "Going on from logs/dropout_batchnorm/version_0/checkpoints/older.ckpt" in written.out
