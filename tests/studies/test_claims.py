from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from zoo.studies.claims import Claim, Claims, _this_machine, claim_path, newest_generation

LEASE = 0.4


def expire(claim: Claim) -> None:
    """Let a claim look as if it had not been renewed for an hour."""
    status = claim.path.stat()
    os.utime(claim.path, (status.st_atime - 3600, status.st_mtime - 3600))


def wins_of(folder: Path, workers: int) -> int:
    """Let workers in threads claim one trial at the same moment, and return how many had it."""
    barrier = threading.Barrier(workers)
    claimers = [Claims(folder / "workers") for _ in range(workers)]

    def take(claims: Claims) -> bool:
        barrier.wait()
        return claims.take(folder / "trial") is not None

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(take, claimers))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("expired", [False, True], ids=["free", "expired"])
def test_one_of_twenty_workers_that_claim_a_trial_at_once_has_it(tmp_path: Path, expired: bool) -> None:
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        if expired:
            claim = Claims(folder / "workers").take(folder / "trial")
            assert claim is not None
            expire(claim)
        assert wins_of(folder, 20) == 1


def test_one_of_twenty_workers_in_four_processes_has_a_trial(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        for attempt in range(5):
            folder = tmp_path / str(attempt)
            assert sum(pool.map(wins_of, [folder] * 4, [5] * 4)) == 1


def test_a_claim_that_is_renewed_stays_and_one_that_is_not_is_taken_over(tmp_path: Path) -> None:
    other = Claims(tmp_path / "workers", LEASE)
    with Claims(tmp_path / "workers", LEASE) as claims:
        claim = claims.take(tmp_path / "trial")
        assert claim is not None
        end = time.monotonic() + 3 * LEASE
        while time.monotonic() < end:
            assert other.take(tmp_path / "trial") is None
            time.sleep(0.05)
        claims.drop(claim)  # from here on as if the machine had vanished
        began = time.monotonic()
        wait_until(lambda: other.take(tmp_path / "trial") is not None)
        assert time.monotonic() - began > LEASE / 2


def test_the_lease_of_a_claim_is_that_of_its_worker(tmp_path: Path) -> None:
    patient, hasty = Claims(tmp_path / "workers", 3000), Claims(tmp_path / "workers", 0.001)
    assert patient.take(tmp_path / "trial") is not None
    time.sleep(0.05)
    assert hasty.take(tmp_path / "trial") is None


def take_and_vanish(folder: Path) -> None:
    assert Claims(folder / "workers").take(folder / "trial") is not None
    os._exit(0)


@pytest.mark.skipif(_this_machine() is None, reason="processes of this machine cannot be told from others'")
def test_the_claim_of_a_process_of_this_machine_that_has_ended_is_taken_over_at_once(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=take_and_vanish, args=(tmp_path,))
    process.start()
    process.join()
    taken = Claims(tmp_path / "workers").take(tmp_path / "trial")
    assert taken is not None
    assert taken.generation == 2
    assert Claims(tmp_path / "workers").take(tmp_path / "trial") is None  # this process has not ended


def test_the_clock_of_the_machine_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Claims(tmp_path / "workers").take(tmp_path / "trial") is not None
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert Claims(tmp_path / "workers").take(tmp_path / "trial") is None


def test_a_worker_that_was_stopped_finds_that_its_claim_is_gone(tmp_path: Path) -> None:
    stopped, other = Claims(tmp_path / "workers"), Claims(tmp_path / "workers")
    claim = stopped.take(tmp_path / "trial")
    assert claim is not None
    assert claim.check()
    expire(claim)
    taken = other.take(tmp_path / "trial")
    assert taken is not None
    claim.renew()
    assert claim.is_lost
    assert not claim.check()
    stopped.release(claim)  # must not free the trial of the other
    assert taken.check()
    assert stopped.take(tmp_path / "trial") is None


def test_the_thread_notices_that_a_claim_is_lost(tmp_path: Path) -> None:
    with Claims(tmp_path / "workers", LEASE) as claims:
        claim = claims.take(tmp_path / "trial")
        assert claim is not None
        claim_path(tmp_path / "trial", 2).touch()
        wait_until(lambda: claim.is_lost)


def test_what_is_released_can_be_taken_at_once(tmp_path: Path) -> None:
    with Claims(tmp_path / "workers") as claims:
        first, second = claims.take(tmp_path / "1"), claims.take(tmp_path / "2")
        assert first is not None
        assert second is not None
        claims.release(first)
        assert Claims(tmp_path / "workers").take(tmp_path / "1") is not None
        assert Claims(tmp_path / "workers").take(tmp_path / "2") is None
    assert Claims(tmp_path / "workers").take(tmp_path / "2") is not None
    assert newest_generation(tmp_path / "2") == 2


def test_a_claim_from_the_future_does_not_hold_for_ever(tmp_path: Path) -> None:
    claim = Claims(tmp_path / "workers").take(tmp_path / "trial")
    assert claim is not None
    os.utime(claim.path, (2**32, 2**32))  # written before the storage's clock was set back
    assert Claims(tmp_path / "workers").take(tmp_path / "trial") is not None


def test_a_damaged_claim_expires_too(tmp_path: Path) -> None:
    claim = Claims(tmp_path / "workers").take(tmp_path / "trial")
    assert claim is not None
    claim.path.write_bytes(b"")
    assert Claims(tmp_path / "workers").take(tmp_path / "trial") is None
    expire(claim)
    assert Claims(tmp_path / "workers").take(tmp_path / "trial") is not None
