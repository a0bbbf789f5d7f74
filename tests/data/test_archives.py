from __future__ import annotations

import gzip
import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from torchvision.datasets import MNIST

from zoo.data.archives import ARCHIVES, default_data_dir, stage
from zoo.utils.errors import UsageError


def test_torchvision_accepts_the_staged_files(tmp_path: Path) -> None:
    stage(tmp_path)
    assert len(MNIST(str(tmp_path), train=True, download=False)) == 60_000
    assert len(MNIST(str(tmp_path), train=False, download=False)) == 10_000
    resources = {name: md5 for name, md5 in MNIST.resources}
    assert resources == {archive.name: archive.md5 for archive in ARCHIVES}


@pytest.mark.parametrize("damaged", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"])
def test_damaged_file_is_reported_and_replaced(tmp_path: Path, damaged: str) -> None:
    stage(tmp_path)
    path = tmp_path / "MNIST" / "raw" / damaged
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=f"{damaged} was damaged and has been replaced"):
        stage(tmp_path)
    assert path.read_bytes() == content


def test_single_flipped_bit_is_detected(tmp_path: Path) -> None:
    stage(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[123_456] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="was damaged"):
        stage(tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == ARCHIVES[2].content_sha256


def test_intact_files_are_not_rewritten(tmp_path: Path) -> None:
    stage(tmp_path)
    raw = tmp_path / "MNIST" / "raw"
    before = {path.name: path.stat().st_mtime_ns for path in raw.iterdir()}
    stage(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in raw.iterdir()} == before
    assert len(before) == 8  # four archives, four contents, no temporary file


@pytest.mark.slow
def test_concurrent_staging_by_several_processes_is_safe(tmp_path: Path) -> None:
    program = f"from pathlib import Path; from zoo.data.archives import stage; stage(Path({str(tmp_path)!r}))"
    processes = [subprocess.Popen([sys.executable, "-W", "error", "-c", program]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    for archive in ARCHIVES:
        content = (tmp_path / "MNIST" / "raw" / archive.content_name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == archive.content_sha256
    assert len(list((tmp_path / "MNIST" / "raw").iterdir())) == 8


def test_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"Cannot (read|write)"):
        stage(tmp_path / "file")


def test_full_disk_leaves_no_partial_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, hard))
    try:
        with pytest.raises(UsageError, match=r"Cannot write .*train-images-idx3-ubyte\.gz: File too large"):
            stage(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    stage(tmp_path)


def test_environment_variables_set_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", "/some/where")
    assert default_data_dir() == Path("/some/where")
    monkeypatch.delenv("ZOO_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_data_dir() == Path("/cache/zoo")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_data_dir() == Path(os.path.expanduser("~/.cache/zoo"))


def test_digests_match_the_packaged_archives() -> None:
    import zoo.data

    folder = Path(zoo.data.__file__).parent / "archives"
    for archive in ARCHIVES:
        content = gzip.decompress((folder / archive.name).read_bytes())
        assert hashlib.sha256(content).hexdigest() == archive.content_sha256
