"""MNIST is read from the package; a folder that holds files under its names is compared and left as it is."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import MNIST

from tests.helpers import error_output, idx_bytes, replace_by_folder, replace_by_pipe, run_zoo, snapshot
from tests.user_files import make_part
from zoo import MNISTDataModule
from zoo.data import archives
from zoo.data.archives import ARCHIVES, default_data_dir
from zoo.utils.errors import UsageError

VERIFY = ["verify", "softmax"]
NAMES = [name for archive in ARCHIVES for name in (archive.name, archive.content_name)]


def make_raw(home: Path = Path("own")) -> Path:
    raw = home / "MNIST" / "raw"
    raw.mkdir(parents=True)
    return raw


def write_official(raw: Path) -> None:
    for archive in ARCHIVES:
        packed = (files("zoo.data") / "archives" / archive.name).read_bytes()
        (raw / archive.name).write_bytes(packed)
        (raw / archive.content_name).write_bytes(gzip.decompress(packed))


def load(data_dir: str | None) -> None:
    """Read MNIST as a process does that prepares it, and as one that does not."""
    for prepares in (True, False):
        data = MNISTDataModule(data_dir)
        if prepares:
            data.prepare_data()
        data.setup()
        assert (len(data.splits["train"]), len(data.splits["test"])) == (55_000, 10_000)


def test_published_digests_and_sizes_are_those_of_the_packaged_archives() -> None:
    assert [(archive.name, archive.md5) for archive in ARCHIVES] == MNIST.resources
    for archive in ARCHIVES:
        packed = (files("zoo.data") / "archives" / archive.name).read_bytes()
        content = gzip.decompress(packed)
        assert (len(packed), len(content)) == (archive.size, archive.content_size)
        assert hashlib.md5(packed).hexdigest() == archive.md5
        assert hashlib.sha256(content).hexdigest() == archive.content_sha256


def test_damaged_package_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(str(files("zoo.data") / "archives"), package / "archives")
    monkeypatch.setattr(archives, "files", lambda name: package)
    path = package / "archives" / ARCHIVES[2].name
    path.write_bytes(path.read_bytes()[:-1])
    for _ in ("damaged", "missing"):
        with pytest.raises(UsageError, match=r"own copy of t10k-images-idx3-ubyte\.gz is damaged: install the package"):
            MNISTDataModule().setup("test")
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("names", [NAMES, NAMES[:3], NAMES[5:6], []])
def test_official_files_are_accepted_and_left_as_they_are(names: list[str]) -> None:
    raw = make_raw()
    write_official(raw)
    for path in raw.iterdir():
        if path.name not in names:
            path.unlink()
    (raw / "notes.txt").write_text("mine")
    before = snapshot(Path())
    load("own")
    assert snapshot(Path()) == before


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_link(path: Path) -> None:
    path.unlink()
    Path("elsewhere").write_bytes(b"a file of the user's")
    path.symlink_to(Path("elsewhere").absolute())


def replace_by_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


OTHER = [flip_a_bit, cut, replace_by_folder, replace_by_pipe, replace_by_link, replace_by_device]


@pytest.mark.parametrize("change", OTHER)
@pytest.mark.parametrize(
    "name", ["t10k-labels-idx1-ubyte.gz", pytest.param("train-images-idx3-ubyte", marks=pytest.mark.slow)]
)
def test_other_files_are_refused_by_name_and_left_as_they_are(
    name: str, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    raw = make_raw()
    write_official(raw)
    change(raw / name)
    before = snapshot(Path())
    message = error_output(
        ["fit", "--config", "softmax", "--data.data_dir", "own", "--trainer.accelerator", "cpu"], capsys
    )
    assert f"own/MNIST/raw/{name} is damaged, or not MNIST's official file: remove it, or name another" in message
    with pytest.raises(UsageError, match=name):
        MNISTDataModule("own").setup("fit" if "train" in name else "test")
    assert snapshot(Path()) == before


@pytest.mark.parametrize("name", NAMES[:2])
def test_file_that_would_take_hours_to_read_is_refused_at_once(name: str) -> None:
    raw = make_raw()
    (raw / name).touch()
    os.truncate(raw / name, 2**40)  # takes no place on the disk
    with pytest.raises(UsageError, match=name):
        MNISTDataModule("own").prepare_data()


def test_own_data_in_the_place_of_official_files_is_read_by_asking() -> None:
    raw = make_raw()
    write_official(raw)
    images, labels = make_part(30)
    for archive, numbers in zip(ARCHIVES[2:], (images, labels), strict=True):
        (raw / archive.content_name).write_bytes(idx_bytes(numbers))
    with pytest.raises(UsageError, match=r"or take it as data of your own with --data\.dataset own\.$"):
        load("own")
    data = MNISTDataModule("own", dataset="own")
    data.setup()
    assert np.array_equal(data.splits["test"].images.numpy(), images)
    assert len(data.splits["train"]) == 55_000


def test_file_that_was_changed_after_it_was_accepted_is_refused() -> None:
    raw = make_raw()
    write_official(raw)
    load("own")
    flip_a_bit(raw / "t10k-images-idx3-ubyte")
    with pytest.raises(UsageError, match="t10k-images-idx3-ubyte is damaged"):
        load("own")


@pytest.mark.parametrize(
    ("data_dir", "sentence"),
    [
        ("own", "own cannot be read as data: its first line has 1 columns"),
        ("own/below", r"Cannot read own/.*: Not a directory; choose another data_dir"),
    ],
)
def test_data_dir_that_is_a_file_without_data_is_refused(data_dir: str, sentence: str) -> None:
    Path("own").write_text("mine")
    with pytest.raises(UsageError, match=sentence):
        MNISTDataModule(data_dir).prepare_data()
    assert Path("own").read_text() == "mine"


def hostile_links(cache: Path, outside: Path) -> None:
    """Under all names links to files and folders elsewhere, and links to nothing."""
    raw = make_raw(cache)
    (outside / "file").write_bytes(b"precious")
    for index, name in enumerate(NAMES):
        (raw / name).symlink_to([outside / "file", outside, outside / "nothing"][index % 3])


def hostile_folder_link(cache: Path, outside: Path) -> None:
    (outside / "train-images-idx3-ubyte").write_bytes(b"precious")
    (cache / "MNIST").mkdir(parents=True)
    (cache / "MNIST" / "raw").symlink_to(outside)


def hostile_cache_link(cache: Path, outside: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.symlink_to(outside)


def hostile_directories(cache: Path, outside: Path) -> None:
    raw = make_raw(cache)
    for name in NAMES:
        (raw / name).mkdir()


def hostile_pipes(cache: Path, outside: Path) -> None:
    raw = make_raw(cache)
    for name in NAMES:
        os.mkfifo(raw / name)


def hostile_contents(cache: Path, outside: Path) -> None:
    raw = make_raw(cache)
    for name in NAMES:
        (raw / name).write_bytes(b"precious")


def hostile_file(cache: Path, outside: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"precious")


def hostile_loop(cache: Path, outside: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.symlink_to(cache)


HOSTILE = [
    *((hostile_links, False), (hostile_folder_link, False), (hostile_directories, False), (hostile_pipes, False)),
    *((hostile_contents, False), (hostile_cache_link, True), (hostile_file, True), (hostile_loop, True)),
]


@pytest.mark.parametrize(("make", "works"), HOSTILE)
def test_hostile_cache_folder_is_neither_followed_nor_changed(
    make: Callable[[Path, Path], None],
    works: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    make(tmp_path / "home" / ".cache" / "zoo", outside)
    monkeypatch.delenv("ZOO_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = snapshot(tmp_path)
    if works:
        load(None)
    else:
        assert "remove it, or name another data_dir" in error_output(VERIFY, capsys)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("home", ["/proc", "/dev/null", "/nonexistent", "relative"])
def test_home_that_cannot_be_written_is_no_obstacle(home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ZOO_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    load(None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_verify_works_where_the_home_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_DATA")
    monkeypatch.setenv("HOME", "/proc")
    assert "softmax  ok" in run_zoo(*VERIFY)


def test_user_without_a_home_folder_needs_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ZOO_DATA")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user number that is not in /etc/passwd
    load(None)
    load("~nobody-of-this-name/data")
    assert list(tmp_path.iterdir()) == []


def test_environment_variables_set_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", "/some/where")
    assert default_data_dir() == Path("/some/where")
    monkeypatch.delenv("ZOO_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_data_dir() == Path("/cache/zoo")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_data_dir() == Path(os.path.expanduser("~/.cache/zoo"))
