"""The load test of the demo: honest clients beside slow and hostile ones, on a server of its own.

Usage::

    python -m tests.demo.load --minutes 8

The exit status is 0 if every honest request was answered within two seconds, the memory stayed flat, and the server
wrote nothing to standard error. Memory that is taken once for the largest pictures is not growth.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.demo.clients import ask, get, picture, post, status_of
from tests.demo.hostile import attack, large_pictures
from tests.helpers import start_zoo

LONGEST_ANSWER = 2.0
"""Seconds in which an honest request must be answered, with repetitions after status 429 and 503."""
MAX_GROWTH = 256
"""How much more memory in MiB the server may take at most than for the largest pictures, one after the other. The
pictures that are arriving may take 64."""


@dataclass(frozen=True)
class Result:
    """What the test has measured.

    Args:
        seconds: Of each honest request, the time until it was answered.
        repeated: How many of them were asked again.
        first_peak: The server's highest memory in MiB, after each of the largest pictures was sent once.
        peak: The highest memory in MiB of all.
        error_output: What the server wrote to standard error, without its first line.
    """

    seconds: Sequence[float]
    repeated: int
    first_peak: int
    peak: int
    error_output: str

    def problems(self, longest: float = LONGEST_ANSWER) -> list[str]:
        """Return what is wrong, a sentence each."""
        found = []
        if not self.seconds or max(self.seconds) > longest:
            late = sum(seconds > longest for seconds in self.seconds)
            found.append(f"{late} of {len(self.seconds)} honest requests took longer than {longest:g} s.")
        if self.peak > self.first_peak + MAX_GROWTH:
            found.append(f"The memory grew from {self.first_peak} to {self.peak} MiB.")
        if self.error_output:
            found.append(f"The server wrote to standard error: {self.error_output[:2000]}")
        return found

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        median, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        return (
            f"{len(ordered)} honest requests, {self.repeated} of them asked again: median {1000 * median:.0f} ms, "
            f"99 % within {late:.2f} s, all within {ordered[-1]:.2f} s; at most {self.peak} MiB of "
            f"memory, {self.first_peak} before"
        )


def run(seconds: float, names: Sequence[str] = ()) -> Result:
    """Start a server and the clients, and measure for a time."""
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryFile("w+") as errors:
        server = start_zoo("demo", *names, "--port", "0", stderr=errors, ZOO_DATA=data)
        hostile = None
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().split()[2].rstrip("/").rpartition(":")[2])
            # In a process of their own, so that hostile clients do not delay the measurement.
            context = multiprocessing.get_context("spawn")
            ready, begin = context.Event(), context.Event()
            hostile = context.Process(target=attack, args=(port, seconds, ready, begin), daemon=True)
            hostile.start()
            for content in large_pictures():
                ask(port, post(content))
            first_peak = _peak(server.pid)
            assert ready.wait(120)
            begin.set()
            times, repeated = asyncio.run(_measure(port, seconds))
            peak = _peak(server.pid)
            hostile.join(30)
        finally:
            server.terminate()
            server.wait(20)
            if server.stdout is not None:
                server.stdout.close()
            if hostile is not None:
                hostile.kill()
        errors.seek(0)
        lines = errors.read().splitlines()
    expected = ("Loading the networks …", "zoo: stopped by SIGTERM")
    return Result(times, repeated, first_peak, peak, "\n".join(line for line in lines if line not in expected))


def _peak(process: int) -> int:
    """Return the highest memory of a process so far, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


async def _measure(port: int, seconds: float) -> tuple[list[float], int]:
    end = time.monotonic() + seconds
    times: list[float] = []
    repeated = 0

    async def honest(requests: Sequence[bytes]) -> None:
        nonlocal repeated
        while time.monotonic() < end:
            for request in requests:
                started, tries = time.monotonic(), 0
                while await _status(port, request) != 200 and time.monotonic() < end + 30:
                    tries += 1
                    await asyncio.sleep(0.25)
                times.append(time.monotonic() - started)
                repeated += tries > 0
                await asyncio.sleep(0.2)

    drawing = picture(280)
    await asyncio.gather(
        honest([post(drawing)]),
        honest([get("/"), get("/js/main.js"), get("/api/members"), post(drawing)]),
        honest([get("/api/random"), post(picture(1000))]),
    )
    return times, repeated


async def _status(port: int, request: bytes) -> int:
    """Send a request on a connection of its own and return the response's status, or 0 if there is none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0
    try:
        writer.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        response = await reader.read()
        return status_of(response) if response else 0
    except OSError:
        return 0
    finally:
        writer.close()


def main() -> int:
    """Run the test and print what it has measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="members (default: all that ship)")
    parser.add_argument("--minutes", type=float, default=8)
    options = parser.parse_args()
    result = run(60 * options.minutes, options.names)
    print(result)
    problems = result.problems()
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
