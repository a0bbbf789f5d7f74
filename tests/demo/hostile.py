"""Slow and hostile clients of the demo, many at a time."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from multiprocessing.synchronize import Event

from PIL import Image

from tests.demo.clients import get, picture, post, post_levels

HALF = b"GET / HTTP/1.1\r\nHost: local"
FOREIGN = [
    get("/api/random", "Host: evil.example\r\n"),
    get("/api/random", "Host: localhost\r\nOrigin: http://evil.example\r\n"),
    post(picture(), headers="Origin: http://evil.example\r\n"),
    post(picture(), headers="Origin: null\r\n"),
]
PANELS = [
    post_levels("/api/fool?member=softmax"),
    post_levels("/api/saliency?member=softmax"),
    post_levels("/api/dream?steps=50"),
    post_levels("/api/train?network=small"),
    get("/api/duel?first=softmax&second=softmax"),
]
NONSENSE = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"\0" * 10_000,
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50_000,
    get("/") + b"no HTTP\r\n\r\n",
    post(picture()) + b"no HTTP\r\n\r\n",
    b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    get("/%00"),
    get("/" + "a/" * 3000),
    post(b"no picture"),
    post(b"", 10**9),
]


def attack(port: int, seconds: float, ready: Event, begin: Event) -> None:
    """Set ``ready``, and run all kinds of clients against a server for a time, from when ``begin`` is set."""
    large = [post(content) for content in large_pictures()]
    ready.set()
    begin.wait()
    asyncio.run(_attack(port, time.monotonic() + seconds, large))


async def _attack(port: int, end: float, large: Sequence[bytes]) -> None:
    generator = random.Random(0)

    async def hold(sent: bytes, seconds: float = 20) -> None:
        """Send something, and wait until the server closes the connection, or for a time."""
        await _exchange(port, sent, seconds)

    async def drip(sent: bytes) -> None:
        """Send headers byte by byte."""
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for byte in sent * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.2)
        finally:
            writer.close()

    async def leave() -> None:
        """Leave at any time before, during or after the response."""
        await _exchange(port, generator.choice([post(picture()), post(picture(), 10**6), get("/")]), 0)
        await asyncio.sleep(0.05)

    async def flood(count: int, request: bytes, pause: float) -> None:
        """Send many requests at once."""
        await asyncio.gather(*(_exchange(port, request, 5) for _ in range(count)), return_exceptions=True)
        await asyncio.sleep(pause)

    async def repeat(client: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < end:
            try:
                await client()
            except OSError:
                await asyncio.sleep(0.1)

    async def nonsense() -> None:
        await hold(generator.choice(NONSENSE), 1)
        await asyncio.sleep(0.1)

    async def foreign() -> None:
        await hold(generator.choice(FOREIGN), 1)
        await asyncio.sleep(0.1)

    clients: list[Callable[[], Awaitable[None]]] = [
        *[lambda: hold(HALF)] * 50,
        *[lambda: hold(b"")] * 50,
        *[lambda: drip(HALF)] * 20,
        *[lambda: hold(post(picture()[:50], 10_000))] * 50,
        *[lambda: hold(post(bytes(3_000_000), 9_000_000))] * 8,
        *[lambda: hold(get("/js/main.js") * 500, 2)] * 2,
        *[lambda: hold(generator.choice(large))] * 3,
        *[leave] * 3,
        *[nonsense] * 2,
        *[foreign] * 2,
        lambda: flood(1000, post(picture()), 10),
        lambda: flood(100, generator.choice(PANELS), 2),
        lambda: flood(1500, b"", 15),
    ]
    tasks = [asyncio.create_task(repeat(client)) for client in clients]
    await asyncio.sleep(max(0, end - time.monotonic()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _exchange(port: int, sent: bytes, seconds: float) -> None:
    """Send something, and read until the server closes the connection, or for a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(seconds):
            await writer.drain()
            await reader.read()
    except TimeoutError:
        pass
    finally:
        writer.transport.abort()


def large_pictures() -> Iterator[bytes]:
    """Pictures of at most 10 MiB that are large when decoded."""
    for mode, size in (("I;16", (10_000, 5_000)), ("L", (7_000, 7_000)), ("RGB", (5_000, 5_000))):
        file = io.BytesIO()
        Image.new(mode, size).save(file, "png")
        yield file.getvalue()
    file = io.BytesIO()
    Image.effect_noise((5_000, 4_000), 80).save(file, "jpeg", quality=60)
    yield file.getvalue()
