"""The threads that do the server's work, and the queues in front of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import anyio
from starlette.requests import Request

from zoo.demo.limits import Limits
from zoo.demo.queues import RequestQueue

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds for which a panel's request waits for drawings at most, so that many of them do not stop all panels."""
PAUSE = 0.01
"""Seconds between two looks at whether a drawing waits."""


class Workers:
    """One thread for the networks, one for the decoding of large pictures, and a queue for each kind of request.

    A forward pass uses all cores, and every thread that makes one has OpenMP threads of its own, so one thread makes
    them all. Drawings have precedence: requests of the page's panels wait in a queue of their own until no drawing
    waits, or for `PATIENCE` seconds each.

    Args:
        limits: The limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.small = RequestQueue(limits.max_pending)
        self.large = RequestQueue(limits.max_pending_large)
        self.panels = RequestQueue(limits.max_pending_panels)
        self._networks = ThreadPoolExecutor(1)
        self._decoder = ThreadPoolExecutor(1)

    async def for_panel(self, request: Request, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the thread of the networks when it is the turn of a panel's request."""
        async with self.panels.turn(request):
            with anyio.move_on_after(PATIENCE):
                while self.small.is_busy:
                    await anyio.sleep(PAUSE)
            return await self.with_networks(function, *arguments)

    async def with_networks(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the thread of the networks, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._networks, partial(function, *arguments))

    async def decode(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the thread that decodes large pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._decoder, partial(function, *arguments))
