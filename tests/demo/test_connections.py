"""Tests of connections whose clients are slow, silent, too many, or leave."""

from __future__ import annotations

import json
import signal
import socket
import struct
import time
from contextlib import ExitStack, suppress

import pytest

from tests.helpers import start_zoo

pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")

from tests.demo.clients import (
    ask,
    connect,
    get,
    picture,
    post,
    read_all,
    read_response,
    seconds_until_closed,
    serve,
    status_of,
)
from zoo.demo.inference import Predictor
from zoo.demo.limits import Limits

HALF = b"GET / HTTP/1.1\r\nHost: local"


@pytest.mark.parametrize("sent", [b"", b"G", HALF, get("/api/members") + HALF], ids=["none", "one", "half", "second"])
def test_a_connection_without_complete_headers_is_closed(softmax: Predictor, sent: bytes) -> None:
    with serve(softmax, Limits(header_timeout=0.4, keep_alive=5)) as port, connect(port) as client:
        if sent.startswith(b"GET /api"):
            client.sendall(get("/api/members"))
            assert status_of(read_response(client)) == 200
            sent = HALF
        client.sendall(sent)
        assert seconds_until_closed(client) < 2


def test_headers_that_arrive_byte_by_byte_are_not_waited_for(softmax: Predictor) -> None:
    with serve(softmax, Limits(header_timeout=0.4)) as port, connect(port, HALF) as client:
        assert seconds_until_closed(client, drip=b"x" * 1000) < 2


def test_a_client_that_reads_no_response_is_disconnected(softmax: Predictor) -> None:
    limits = Limits(answer_timeout=0.5, keep_alive=0)
    with serve(softmax, limits) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.settimeout(10)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.sendall(get("/js/main.js") * 5_000_000)  # more than the system buffers


def test_a_connection_is_kept_between_requests_and_then_closed(softmax: Predictor) -> None:
    with serve(softmax, Limits(header_timeout=0.3, keep_alive=1)) as port, connect(port) as client:
        for _ in range(3):
            client.sendall(get("/api/members"))
            assert status_of(read_response(client)) == 200
            time.sleep(0.5)
        assert seconds_until_closed(client) < 3


def test_silent_connections_make_way_for_others(softmax: Predictor) -> None:
    limits = Limits(max_connections=5, grace=0.2, header_timeout=30, upload_timeout=30)
    with serve(softmax, limits) as port, ExitStack() as stack:
        for sent in (b"", HALF, post(b"\x89PNG", 1000), get("/api/members"), HALF):
            stack.enter_context(connect(port, sent))
        time.sleep(0.4)
        for _ in range(3):
            assert status_of(ask(port, post(picture()))) == 200


def test_too_many_connections_at_once_are_refused(softmax: Predictor) -> None:
    limits = Limits(max_connections=3, grace=30)
    with serve(softmax, limits) as port, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(port, HALF))
        head, _, body = read_all(stack.enter_context(connect(port))).partition(b"\r\n\r\n")
        assert status_of(head) == 503
        assert "Too many connections" in json.loads(body)["error"]


LATER = b"<later>"
"""What follows is sent after a moment, when the response may have been sent."""
LEAVING = [
    b"",
    HALF,
    b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
    b"\0" * 1000,
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000,
    get("/"),
    get("/") * 100,
    get("/") + b"no HTTP\r\n\r\n",
    post(picture()) + b"no HTTP\r\n\r\n",
    post(b"\x89PNG", 1000),
    post(b"", 10**30),
    post(picture(), headers="Expect: 100-continue\r\n"),
    post(picture()),
    post(picture()) * 40,
    b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFF\r\nabc",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%bZZ\r\n" % LATER,
    b"GET /api/random HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%bZZ\r\n" % LATER,
    b"GET /api/random HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    get("/%00"),
    get("/" + "a/" * 5000),
    get("/%ed%b2%80/..%2f..%2fpyproject.toml"),
    get("/api/random?members=%00%ff"),
    get("/", headers="Host: \xff\r\n"),
    get("/", headers=""),
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


@pytest.mark.parametrize("reset", [pytest.param(False, marks=pytest.mark.slow), True], ids=["end", "reset"])
def test_no_client_leaves_a_traceback(
    softmax: Predictor, reset: bool, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Clients that send little or nonsense, and that leave before, during or after the response."""
    with serve(softmax, Limits(header_timeout=0.3, upload_timeout=0.3, keep_alive=1)) as port:
        for wait in (0.0, 0.01, 0.1):
            for sent in LEAVING:
                now, _, later = sent.partition(LATER)
                with connect(port, now) as client:
                    time.sleep(wait)
                    with suppress(ConnectionError):
                        client.sendall(later)
                    time.sleep(wait / 2)
                    if reset:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert status_of(ask(port, post(picture()))) == 200
    assert capfd.readouterr().err == ""
    assert caplog.text == ""  # asyncio's


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_the_server_quickly_with_open_connections(number: signal.Signals) -> None:
    process = start_zoo("demo", "softmax", "--port", "0")
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[2].rstrip("/").rpartition(":")[2])
        with ExitStack() as stack:
            for sent in (b"", HALF, get("/"), post(b"\x89PNG", 1000), post(picture()) * 20):
                stack.enter_context(connect(port, sent))
            time.sleep(0.2)
            started = time.monotonic()
            process.send_signal(number)
            _, error_output = process.communicate(timeout=20)
            assert time.monotonic() - started < 5
    finally:
        process.kill()
    assert process.returncode == 128 + number
    last = "zoo: interrupted" if number == signal.SIGINT else "zoo: stopped by SIGTERM"
    assert error_output.splitlines() == ["Loading the networks …", last]
