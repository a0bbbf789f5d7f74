"""Tests of request bodies that are slow, too large, or too many, and of the queues of pictures."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")

from tests.demo.clients import ask, connect, picture, post, read_response, serve, status_of
from zoo.demo.inference import Predictor
from zoo.demo.limits import Limits

LIMITS = Limits()


def error_of(response: bytes) -> str:
    message: str = json.loads(response.partition(b"\r\n\r\n")[2])["error"]
    return message


def test_a_body_that_stalls_gets_an_error_in_time(softmax: Predictor) -> None:
    with serve(softmax, Limits(upload_timeout=0.4)) as port:
        for sent in (post(b"", 1000), post(b"\x89PNG", 1000)):
            started = time.monotonic()
            with connect(port, sent) as client:
                response = read_response(client)
            assert time.monotonic() - started < 2
            assert status_of(response) == 408
            assert "did not arrive within 0.4 seconds" in error_of(response)


def test_stalled_bodies_take_no_place_in_the_queue(softmax: Predictor) -> None:
    with serve(softmax, LIMITS) as port, ExitStack() as stack:
        for _ in range(4 * LIMITS.max_pending):
            stack.enter_context(connect(port, post(picture()[:50], 10_000)))
        time.sleep(0.2)
        started = time.monotonic()
        assert status_of(ask(port, post(picture()))) == 200
        assert time.monotonic() - started < 2


def test_a_body_with_too_large_a_length_is_refused_before_it_is_sent(softmax: Predictor) -> None:
    for length in (LIMITS.max_body + 1, 10**12):
        with serve(softmax, LIMITS) as port, connect(port, post(b"", length)) as client:
            response = read_response(client)
        assert status_of(response) == 413
        assert "10 MiB at most" in error_of(response)


def test_the_body_that_stalls_longest_is_given_up_when_memory_is_short(softmax: Predictor) -> None:
    limits = Limits(max_uploading=300_000)
    with serve(softmax, limits) as port, ExitStack() as stack:
        stalled = []
        for _ in range(3):
            stalled.append(stack.enter_context(connect(port, post(bytes(130_000), 200_000))))
            time.sleep(0.1)
        response = read_response(stalled[0])
        assert status_of(response) == 503
        assert "stopped arriving" in error_of(response)
        # The others go on, and so do new ones.
        assert status_of(ask(port, post(picture()))) == 200
        stalled[2].sendall(bytes(70_000))
        assert status_of(read_response(stalled[2])) == 422


def memory() -> int:
    """Return this process's memory in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_the_memory_of_stalled_bodies_is_bounded(softmax: Predictor) -> None:
    limits = Limits(max_uploading=20 * 2**20)
    with serve(softmax, limits) as port, ExitStack() as stack:
        assert status_of(ask(port, post(picture()))) == 200
        before = memory()
        for _ in range(30):
            client = stack.enter_context(connect(port))
            client.sendall(post(bytes(9 * 2**20), 10 * 2**20))
        assert status_of(ask(port, post(picture()))) == 200
        assert memory() - before < 100 * 2**20


@pytest.mark.parametrize("large", [picture(1500), picture(200, compress_level=0)], ids=["pixels", "bytes"])
def test_small_pictures_do_not_wait_for_large_ones(
    softmax: Predictor, large: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large ones are decoded one at a time, and few of them wait."""
    limits = Limits(max_small_pixels=1_000_000, max_small=20_000)
    running, most = 0, 0
    read = softmax.read_picture

    def slow(content: bytes, with_steps: bool = False) -> object:
        nonlocal running, most
        if content != large:
            return read(content)
        running += 1
        most = max(most, running)
        time.sleep(0.3)
        running -= 1
        return read(content)

    monkeypatch.setattr(softmax, "read_picture", slow)
    with serve(softmax, limits) as port:
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(status_of(ask(port, post(large))))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        for _ in range(5):
            started = time.monotonic()
            assert status_of(ask(port, post(picture()))) == 200
            assert time.monotonic() - started < 0.3
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * limits.max_pending_large + [429] * (8 - limits.max_pending_large)
    assert most == 1


def test_no_work_is_done_for_clients_that_have_left(softmax: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    read, count = softmax.read_picture, 0

    def slow(content: bytes, with_steps: bool = False) -> object:
        nonlocal count
        count += 1
        time.sleep(0.2)
        return read(content)

    monkeypatch.setattr(softmax, "read_picture", slow)
    with serve(softmax, LIMITS) as port:
        for _ in range(LIMITS.max_pending - 1):
            connect(port, post(picture())).close()
        assert status_of(ask(port, post(picture()))) == 200
    assert count <= 3
