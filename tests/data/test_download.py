"""The download of missing files, from a server of the test's own, beside files of the user's."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import SOURCE, error_output, snapshot, write_dataset
from zoo.cli import main
from zoo.data import datasets
from zoo.data.datasets import DATASETS
from zoo.utils.errors import UsageError

RAW = Path("data/KMNIST/raw")
TRAIN_IMAGES, TEST_IMAGES = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
FIT = ["fit", "--config", "softmax", "--data.data_dir", "data", "--trainer.accelerator", "cpu"]


class Handler(SimpleHTTPRequestHandler):
    """Serves the files of a folder. What it is asked for ends up in ``asked``."""

    asked: list[str]
    stalls = False

    def do_GET(self) -> None:
        """Send a file, or, if the server is to stall, half of it and no end."""
        self.asked.append(self.path.strip("/"))
        if self.stalls:
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            time.sleep(60)
            return
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Handler]]:
    """A server that has KMNIST's files, thirty training and twenty test images, at the address that is asked first."""
    folder = write_dataset(tmp_path / "server", "kmnist", 30, 20)
    handler = type("OfThisTest", (Handler,), {"asked": [], "folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("zoo.data.download.RETRY_DELAY", 0.0)
    monkeypatch.setattr(DATASETS["kmnist"], "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    files = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    names = [f"{file}-ubyte.gz" for file in files]
    digests = [hashlib.md5((folder / name).read_bytes()).hexdigest() for name in names]
    monkeypatch.setattr(DATASETS["kmnist"], "resources", list(zip(names, digests, strict=True)))
    yield handler
    server.shutdown()
    server.server_close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def prepare() -> None:
    datasets.prepare("kmnist", Path("data"))


def test_missing_files_are_downloaded_to_a_folder_that_is_made(published: Any) -> None:
    prepare()
    assert names_in(RAW) == names_in(published.folder)
    assert all((RAW / name).read_bytes() == (published.folder / name).read_bytes() for name in names_in(RAW))
    asked = list(published.asked)
    prepare()
    assert published.asked == asked  # nothing is missing now


def test_only_what_is_missing_is_downloaded(published: Any) -> None:
    raw = write_dataset(Path("data"), "kmnist", 50, 40)  # other files than the server's
    (raw / TEST_IMAGES).unlink()
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    (raw / "notes.txt").write_text("mine")
    before = snapshot(raw)
    prepare()
    assert set(published.asked) == {TEST_IMAGES, "t10k-labels-idx1-ubyte.gz"}
    after = snapshot(raw)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == set(published.asked)


def test_second_mirror_is_asked_when_the_first_fails(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors = DATASETS["kmnist"].mirrors
    monkeypatch.setattr(DATASETS["kmnist"], "mirrors", [f"{mirrors[0]}missing/", *mirrors])
    prepare()
    assert len(names_in(RAW)) == 4


def test_damaged_download_is_tried_again_and_not_kept(published: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(Path("data"), "kmnist", 30, 20)
    (RAW / TRAIN_IMAGES).unlink()
    (published.folder / TRAIN_IMAGES).write_bytes(b"changed on the way")
    before = snapshot(Path("data"))
    with pytest.raises(
        UsageError, match=r"could not be downloaded \(.*corrupted.*\): put train-images-idx3-ubyte.gz th"
    ):
        prepare()
    assert set(published.asked) == {TRAIN_IMAGES}
    assert capsys.readouterr().err.count("once more") == 2
    assert {name: entry[2:] for name, entry in snapshot(Path("data")).items() if entry[3]} == {
        name: entry[2:] for name, entry in before.items() if entry[3]
    }
    assert len(names_in(RAW)) == 3


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist", "qmnist"])
def test_failed_download_names_the_files_and_leaves_nothing(
    name: str, no_network: list[float], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*FIT, "--data.dataset", name]) == 2
    said = capsys.readouterr().err.splitlines()
    assert no_network == [2.0, 4.0]
    assert said[-1].startswith(f"zoo: {name} is not in data/{DATASETS[name].__name__}/raw and could not be downloaded")
    assert "images-idx3-ubyte.gz" in said[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("linked", [False, True])
def test_failed_download_leaves_the_user_s_files(linked: bool, no_network: list[float]) -> None:
    raw = write_dataset(Path("elsewhere" if linked else "data"), "kmnist", 30, 20)
    if linked:
        RAW.parent.mkdir(parents=True)
        RAW.symlink_to(raw.absolute())
    (raw / TRAIN_IMAGES).unlink()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    (raw / "notes.txt").write_text("mine")
    before = {name: entry[2:] for name, entry in snapshot(Path()).items() if entry[3]}
    with pytest.raises(UsageError, match=r"put train-images-idx3-ubyte\.gz there"):
        prepare()
    assert {name: entry[2:] for name, entry in snapshot(Path()).items() if entry[3]} == before
    assert bool(no_network) != linked


@pytest.mark.parametrize("link", ["data/KMNIST/raw", "data/KMNIST"])
def test_nothing_is_downloaded_through_a_link_below_the_data_folder(
    link: str, published: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("outside/raw", Path(link).parent):
        Path(folder).mkdir(parents=True)
    Path(link).symlink_to(Path("outside").absolute())
    before = snapshot(Path())
    assert f"{link} is a symbolic link, and nothing is downloaded through it" in error_output(
        [*FIT, "--data.dataset", "kmnist"], capsys
    )
    assert snapshot(Path()) == before
    assert not published.asked


def test_data_folder_may_be_a_link(published: Any) -> None:
    Path("outside").mkdir()
    Path("data").symlink_to("outside")
    prepare()
    assert len(names_in(Path("outside/KMNIST/raw"))) == 4


@pytest.mark.parametrize("blocked", ["data", "data/KMNIST", "data/KMNIST/raw"])
def test_folder_that_cannot_be_made_is_reported_at_once(
    blocked: str, published: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(blocked).parent.mkdir(parents=True, exist_ok=True)
    Path(blocked).write_text("mine")
    message = error_output([*FIT, "--data.dataset", "kmnist"], capsys)
    assert "Cannot write data/KMNIST/raw: " in message
    assert message.endswith("; name another data.data_dir.\n")
    assert not published.asked


def test_unknown_home_folder_is_no_folder_of_that_name(published: Any, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="There is no home folder ~nobody-of-this-name: name another"):
        datasets.prepare("kmnist", Path("~nobody-of-this-name/data"))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("has_hard_links", [True, False])
def test_file_that_appears_meanwhile_is_kept(
    has_hard_links: bool, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_hard_links:
        forbid_hard_links(monkeypatch)
    own = (published.folder / TRAIN_IMAGES).read_bytes() + b"\0"  # padding, so that it can be told apart

    def download_and_meet_another(url: str, root: str, filename: str, md5: str) -> None:
        Path(root, filename).write_bytes((published.folder / filename).read_bytes())
        if filename == TRAIN_IMAGES:
            (RAW / filename).write_bytes(own)

    monkeypatch.setattr("zoo.data.download.download_url", download_and_meet_another)
    prepare()
    assert (RAW / TRAIN_IMAGES).read_bytes() == own
    assert len(names_in(RAW)) == 4


def forbid_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


def test_file_system_without_hard_links_will_do(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_hard_links(monkeypatch)
    prepare()
    assert names_in(RAW) == names_in(published.folder)


def test_failed_move_leaves_no_empty_file(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    forbid_hard_links(monkeypatch)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match="Input/output error"):
        prepare()
    assert not Path("data").exists()


def start(published: Any) -> subprocess.Popen[str]:
    """Start a process that prepares the data set from the test's server."""
    kmnist = DATASETS["kmnist"]
    program = (
        "from pathlib import Path; from zoo.data.datasets import DATASETS, prepare, read; kmnist = DATASETS['kmnist']; "
        f"kmnist.mirrors = {kmnist.mirrors!r}; kmnist.resources = {kmnist.resources!r}; "
        "prepare('kmnist', Path('data')); read('kmnist', Path('data'), train=False)"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGINT, -signal.SIGINT),
    ],
)
@pytest.mark.slow
def test_signal_during_a_download_leaves_no_temporary_folder(number: int, status: int, published: Any) -> None:
    published.stalls = True
    process = start(published)
    deadline = time.monotonic() + 60
    while not list(Path().glob("data/KMNIST/raw/.download-*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert published.asked
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert not Path("data").exists()


@pytest.mark.slow
def test_the_folder_of_a_killed_download_is_cleared_at_the_next_start(published: Any) -> None:
    (RAW / ".download-of-mine").mkdir(parents=True)
    published.stalls = True
    process = start(published)
    deadline = time.monotonic() + 60
    while not list(RAW.glob(".download-*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=30)
    assert len(list(RAW.glob(".download-*"))) == 2
    published.stalls = False
    prepare()
    assert set(names_in(RAW)) == {*names_in(published.folder), ".download-of-mine"}


@pytest.mark.slow
def test_several_processes_may_prepare_at_once(published: Any) -> None:
    processes = [start(published) for _ in range(4)]
    outputs = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert names_in(RAW) == names_in(published.folder)
    prepare()
