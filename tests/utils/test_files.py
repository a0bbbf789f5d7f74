from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers import SOURCE
from zoo.utils.errors import UsageError
from zoo.utils.files import MARKER, atomic_path, check_output, create_exclusively, is_abandoned_temporary, write_bytes

OWN = f"some bytes, {MARKER}, and more".encode()


def test_what_the_zoo_wrote_is_replaced_and_other_files_are_not(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "output"
    write_bytes(path, OWN)
    write_bytes(path, b"without the marker")
    assert path.read_bytes() == b"without the marker"
    for content in (b"without the marker", b""):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="exists and was not written by zoo: name another file, or remove it"):
            write_bytes(path, OWN)
        assert path.read_bytes() == content
    path.write_bytes(b"without the marker")
    write_bytes(path, OWN, marker="with")
    path.write_bytes(b"without the marker")
    write_bytes(path, OWN, replace=True)
    assert path.read_bytes() == OWN
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("target", ["own", "other", "nowhere", "folder", "own link"])
def test_links_are_not_written_through(target: str, tmp_path: Path) -> None:
    Path("own").write_bytes(OWN)
    Path("other").write_bytes(b"not the zoo's")
    Path("folder").mkdir()
    Path("own link").symlink_to("own")
    Path("link").symlink_to(target)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match="link is a link"):
        write_bytes(Path("link"), OWN)
    assert sorted(tmp_path.iterdir()) == before
    assert Path("link").readlink() == Path(target)
    assert (Path("own").read_bytes(), Path("other").read_bytes()) == (OWN, b"not the zoo's")


@pytest.mark.parametrize("path", [".", "..", "/", "folder", "folder/"])
def test_a_folder_is_not_replaced(path: str) -> None:
    Path("folder").mkdir()
    with pytest.raises(UsageError, match="is a folder: name a file in it"):
        write_bytes(Path(path), OWN)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "link"])
def test_a_device_is_written_to_and_stays(path: str) -> None:
    Path("link").symlink_to("/dev/null")
    before = os.lstat(path)
    check_output(Path(path))
    write_bytes(Path(path), b"")
    assert os.lstat(path)[:3] == before[:3]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    write_bytes(Path("pipe"), OWN)
    reader.join(timeout=10)
    assert read == [OWN]
    assert list(tmp_path.iterdir()) == [tmp_path / "pipe"]


def test_standard_output_that_is_a_file_is_added_to() -> None:
    program = "from pathlib import Path; from zoo.utils.files import write_bytes\n"
    program += "print('before'); write_bytes(Path('/dev/stdout'), b'content '); print('after')"
    with Path("output").open("w") as output:
        subprocess.run(
            [sys.executable, "-c", program], stdout=output, env={**os.environ, "PYTHONPATH": SOURCE}, check=True
        )
    assert Path("output").read_text() == "before\ncontent after\n"


def test_a_full_device_is_reported() -> None:
    with pytest.raises(UsageError, match="Cannot write /dev/full: No space left on device"):
        write_bytes(Path("/dev/full"), OWN)


def test_a_folder_that_may_not_be_written_to_is_reported_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("no folder")
    for path in ("file/output", "file/below/output"):
        with pytest.raises(UsageError, match="file is no folder"):
            check_output(Path(path))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    for path in ("output", "new/output"):
        with pytest.raises(UsageError, match="may not be written to"):
            check_output(Path(path))


def test_a_failure_leaves_neither_file_nor_folder(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "new" / "folder" / "output")
    assert not list(tmp_path.iterdir())


def test_two_writers_of_one_output_succeed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "output"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_bytes(OWN + b"first")
        second.write_bytes(OWN + b"second")
    assert path.read_bytes() == OWN + b"first"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_appears_during_the_work_is_kept() -> None:
    path = Path("output")

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(OWN)
            path.write_bytes(b"another program's")

    with pytest.raises(UsageError, match="was not written by zoo"):
        write()
    assert path.read_bytes() == b"another program's"


@pytest.mark.parametrize("name", ["output", "a.b.c", "ü" * 120, "line\nbreak"])
def test_temporary_files_of_ended_processes_are_known(name: str, tmp_path: Path) -> None:
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(OWN)
        assert not is_abandoned_temporary(temporary)
    program = "import os, sys; from pathlib import Path; from zoo.utils.files import atomic_path\n"
    program += "with atomic_path(Path(sys.argv[1])) as temporary:\n    temporary.write_bytes(b''); os._exit(0)"
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], env=environment, check=True)
    (left,) = (path for path in tmp_path.iterdir() if path.name != name)
    assert is_abandoned_temporary(left)
    pid = left.name.split(".")[-3]
    assert not is_abandoned_temporary(left.with_name(left.name.replace(f".{pid}.", ".1.")))
    assert not is_abandoned_temporary(left.with_name(left.name.replace(f".{pid}.", f".{10**30}.")))
    assert not is_abandoned_temporary(left.with_name(left.name.replace(f".{pid}.", f"x.{pid}.")))  # of another host


@pytest.mark.parametrize("name", [".output.tmp", "notes.tmp", ".hidden", "x.host.1.abcdef01.tmp"])
def test_other_files_are_no_temporary_ones(name: str) -> None:
    assert not is_abandoned_temporary(Path(name))


@pytest.mark.parametrize("has_links", [True, False])
def test_one_of_many_creates_a_file(has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_links:  # as on FAT

        def refuse(source: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    with ThreadPoolExecutor(20) as pool:
        created = list(
            pool.map(lambda number: create_exclusively(tmp_path / "new" / "file", b"%d" % number), range(20))
        )
    assert created.count(True) == 1
    assert (tmp_path / "new" / "file").read_bytes() == b"%d" % created.index(True)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_link_whose_answer_was_lost_is_known_as_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_and_be_asked_again(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_and_be_asked_again)
    assert create_exclusively(tmp_path / "file", b"")
    assert not create_exclusively(tmp_path / "file", b"")


def test_a_file_that_cannot_be_created_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Cannot write"):
        create_exclusively(tmp_path / "file" / "below", b"")
