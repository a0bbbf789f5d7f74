"""A program that reads every file of a folder, and prints what came of it, with the time and the memory it took.

It runs as ``python -m tests.read_files pictures FOLDER`` or ``archives``, in a process of its own: the most memory that
a process had is known of the whole process only.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from tests.helpers import SOURCE, snapshot

MAX_SECONDS = 2.0
"""Of processor time, for one file."""
MAX_BYTES = 2 * 2**30
"""Of memory, for the whole process."""


def read_files(kind: str, folder: Path) -> list[dict[str, Any]]:
    """Read every file of a folder.

    Returns:
        For each, ``name``, ``message`` (None if it could be read; a traceback's last line begins with ``BUG``),
        ``seconds`` of processor time, and ``bytes``, the most memory that the process had so far.
    """
    from zoo.data.idx import read_idx
    from zoo.data.preprocessing import read_digit
    from zoo.data.user_data import find_user_data
    from zoo.utils.errors import UsageError

    def read_data(path: Path) -> None:
        found = find_user_data(path)
        assert found is not None
        for reader in found.readers.values():
            reader()

    read: Any = {"pictures": read_digit, "archives": read_idx, "data": read_data}[kind]
    results = []
    for path in sorted(folder.iterdir()):
        message: str | None = None
        started = time.process_time()
        try:
            read(path)
        except UsageError as error:
            message = str(error)
        except BaseException as error:
            message = f"BUG {error!r}"
        seconds = time.process_time() - started
        results.append({"name": path.name, "message": message, "seconds": seconds, "bytes": _peak_memory()})
    return results


def _peak_memory() -> int:
    """Return the most memory that this program had, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Unlike the resource usage, this does not begin with the peak of the process that started this one.
        return int(re.findall(r"^VmHWM:\s*(\d+) kB", status.read_text(), flags=re.MULTILINE)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def read_in_a_process(kind: str, folder: str) -> list[dict[str, Any]]:
    """Read the files of a folder in a process, and check the limits, that nothing changed and that nothing is said."""
    before = snapshot(Path())
    completed = subprocess.run(
        [sys.executable, "-m", "tests.read_files", kind, folder],
        env={**os.environ, "PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr == ""
    assert snapshot(Path()) == before
    results: list[dict[str, Any]] = json.loads(completed.stdout)
    for result in results:
        assert result["seconds"] < MAX_SECONDS, result
        assert result["bytes"] < MAX_BYTES, result
        assert "\n" not in (result["message"] or ""), result
        assert not (result["message"] or "").startswith("BUG"), result
    return results


if __name__ == "__main__":
    warnings.simplefilter("error")
    print(json.dumps(read_files(sys.argv[1], Path(sys.argv[2]))))
