"""A server in this process, and clients that speak to it byte by byte."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from PIL import Image, ImageDraw

from zoo.demo.inference import Predictor
from zoo.demo.limits import Limits
from zoo.demo.server import make_application
from zoo.demo.serving import Server, listen


@contextmanager
def serve(predictor: Predictor, limits: Limits, hosts: Sequence[str] = ()) -> Iterator[int]:
    """Serve the demo in a thread, and yield its port."""
    started = threading.Event()
    with listen("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        server = Server(make_application(predictor, hosts, limits), limits, started.set)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert started.wait(10)
            yield port
        finally:
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """Open a connection and send something."""
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(sent)
    return client


def post(body: bytes, length: int | None = None, headers: str = "") -> bytes:
    """A request to classify a picture, with a Content-Length that may not be that of the body."""
    length = len(body) if length is None else length
    head = f"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n"
    return head.encode() + body


def post_levels(path: str) -> bytes:
    """A request of a panel about an image: a thick 1 as 784 grey levels."""
    levels = b"".join(bytes(12) + b"\xff\xff\xff" + bytes(13) if 4 <= row < 24 else bytes(28) for row in range(28))
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(levels)}\r\n\r\n".encode() + levels


def get(path: str, headers: str = "Host: localhost\r\n") -> bytes:
    """A request for a path."""
    return f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode()


def ask(port: int, request: bytes) -> bytes:
    """Send a request on a connection of its own, and return the response as it arrived."""
    with connect(port, request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)) as client:
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    try:
        while chunk := client.recv(2**16):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def read_response(client: socket.socket) -> bytes:
    """Read one response, which has a Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(2**16)
        assert chunk, received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        chunk = client.recv(2**16)
        assert chunk, received
        body += chunk
    return head + b"\r\n\r\n" + body


def status_of(response: bytes) -> int:
    """The status code of a response."""
    return int(response.split(b" ", 2)[1])


def seconds_until_closed(client: socket.socket, drip: bytes = b"") -> float:
    """Wait until the server closes a connection, while one byte after the other is sent."""
    started = time.monotonic()
    client.settimeout(0.05)
    while time.monotonic() - started < 10:
        try:
            if drip:
                client.sendall(drip[:1])
                drip = drip[1:]
            if not client.recv(2**16):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


def picture(size: int = 120, mode: str = "L", **options: object) -> bytes:
    """A PNG of a thick 1, dark on light."""
    image = Image.new("L", (size, size), 255)
    ImageDraw.Draw(image).line((size // 2, size // 6, size // 2, size * 5 // 6), fill=0, width=size // 9)
    file = io.BytesIO()
    image.convert(mode).save(file, "png", **options)
    return file.getvalue()
