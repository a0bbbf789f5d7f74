"""Claims: which worker trains which trial, by files that all machines of a study see.

A claim is a file ``claim-N.json`` in the trial's folder, N = 1, 2, … It holds as long as its worker renews it, that is,
sets its time of change, and no claim with a higher number exists. The next claim may be created as soon as the newest
one has not been renewed for its lease, or its worker is a process of this machine that has ended. It is created
exclusively, and no claim is ever removed or replaced. So there is no moment at which two workers could take the same
claim, or one could remove the claim of the other.

Times are those that the storage gives to files. The clocks of the machines are not used.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import uuid
from pathlib import Path
from types import TracebackType

from zoo.utils.files import create_exclusively

DEFAULT_LEASE = 120.0
"""Seconds. File systems over a network may show a change half a minute or a minute late."""
RENEWALS = 5
"""How often a claim is renewed within its lease."""
RELEASED = 0
"""The time of change of a claim that its worker has given up, in seconds since 1970."""


class Claim:
    """A worker's claim to a trial.

    Args:
        folder: The trial's folder.
        generation: The number of the claim, from 1.
    """

    def __init__(self, folder: Path, generation: int) -> None:
        self.folder = folder
        self.generation = generation
        self.is_lost = False
        """Whether another worker was found to have taken the trial."""

    @property
    def path(self) -> Path:
        """The file of the claim."""
        return claim_path(self.folder, self.generation)

    def renew(self) -> None:
        """Renew the claim, unless another worker has taken the trial.

        Raises:
            OSError: The storage cannot be reached.
        """
        if self.check():
            try:
                os.utime(self.path)
            except FileNotFoundError:
                self.is_lost = True

    def check(self) -> bool:
        """Return whether the claim still holds, by looking at the storage.

        Raises:
            OSError: The storage cannot be reached.
        """
        self.is_lost = self.is_lost or newest_generation(self.folder) != self.generation
        return not self.is_lost

    def release(self) -> None:
        """Give the claim up, so that another worker can take the trial at once. Does nothing if it is lost."""
        with contextlib.suppress(OSError):  # then the lease runs out
            os.utime(self.path, (RELEASED, RELEASED))


class Claims:
    """The claims of one worker, and the thread that renews them. Use it as a context manager.

    Args:
        workers: A folder on the storage for a file whose time of change tells the storage's time.
        lease: The seconds after which others may take a trial whose claim was not renewed, more than 0.

    Raises:
        UsageError: The folder cannot be written to.
    """

    def __init__(self, workers: Path, lease: float = DEFAULT_LEASE) -> None:
        self.lease = lease
        self._held: dict[Path, Claim] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_ended, name="claims", daemon=True)
        worker = uuid.uuid4().hex[:12]
        self._machine = _this_machine()
        owner = {
            **{"host": socket.gethostname(), "machine": self._machine, "pid": os.getpid()},
            **{"worker": worker, "lease": lease},
        }
        self._content = json.dumps(owner).encode()
        self._clock = workers / f"{worker}.json"
        create_exclusively(self._clock, self._content)

    def __enter__(self) -> Claims:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for claim in list(self._held.values()):
            self.release(claim)
        with contextlib.suppress(OSError):
            self._clock.unlink()

    def take(self, folder: Path) -> Claim | None:
        """Claim a trial.

        Args:
            folder: The trial's folder, which is created if it does not exist.

        Returns:
            The claim; None if another worker holds one, or was faster.

        Raises:
            UsageError: The claim cannot be written.
            OSError: The storage cannot be reached.
        """
        generation = newest_generation(folder)
        if generation and not self._has_expired(claim_path(folder, generation)):
            return None
        if not create_exclusively(claim_path(folder, generation + 1), self._content):
            return None
        claim = Claim(folder, generation + 1)
        with self._lock:
            self._held[folder] = claim
        return claim

    def drop(self, claim: Claim) -> None:
        """Stop renewing a claim whose trial has ended, or that is lost."""
        with self._lock:
            self._held.pop(claim.folder, None)

    def release(self, claim: Claim) -> None:
        """Give up a claim whose trial has not ended."""
        self.drop(claim)
        claim.release()

    def _has_expired(self, path: Path) -> bool:
        # The present first: a claim that is renewed in between then looks even younger.
        os.utime(self._clock)
        now = _time_of_change(self._clock)
        try:
            owner = json.loads(path.read_bytes())
            lease = float(owner["lease"])
            if self._machine and owner.get("machine") == self._machine and not _is_alive(int(owner["pid"])):
                return True
        except (ValueError, KeyError, TypeError):
            lease = self.lease
        # Far in the future means that the storage's clock was set back.
        return abs(now - _time_of_change(path)) > lease

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self.lease / RENEWALS):
            with self._lock:
                held = list(self._held.values())
            for claim in held:
                # Held for each claim, so that none is renewed after it was released.
                with self._lock, contextlib.suppress(OSError):  # the storage may come back
                    if claim.folder in self._held:
                        claim.renew()


def _this_machine() -> str | None:
    """Return a name of what numbers its processes: this machine, or a container on it. None if it is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {uuid.getnode():x} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def claim_path(folder: Path, generation: int) -> Path:
    """Return the file of a claim."""
    return folder / f"claim-{generation}.json"


def newest_generation(folder: Path) -> int:
    """Return the number of the newest claim to a trial; 0 if there is none."""
    try:
        # A folder's list is read anew by file systems over a network, when a single file may be remembered as missing.
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    return max((int(found[1]) for name in names if (found := re.fullmatch(r"claim-(\d+)\.json", name))), default=0)


def _time_of_change(path: Path) -> float:
    """Return a file's time of change. Opening the file makes file systems over a network ask the server."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_mtime
