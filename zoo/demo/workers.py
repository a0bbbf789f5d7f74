"""The threads that do the server's work, and the queues in front of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from zoo.demo.limits import Limits
from zoo.demo.queues import RequestQueue

T = TypeVar("T")


class Workers:
    """One thread for the networks, one for the decoding of large pictures, and a queue for each kind of request.

    A forward pass uses all cores, and every thread that makes one has OpenMP threads of its own, so one thread makes
    them all. Requests of the page's panels wait in a queue of their own, which lets one of them through at a time, so a
    drawing waits for one of them at most.

    Args:
        limits: The limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.small = RequestQueue(limits.max_pending)
        self.large = RequestQueue(limits.max_pending_large)
        self.panels = RequestQueue(limits.max_pending_panels)
        self._networks = ThreadPoolExecutor(1)
        self._decoder = ThreadPoolExecutor(1)

    async def with_networks(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the thread of the networks, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._networks, partial(function, *arguments))

    async def decode(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the thread that decodes large pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._decoder, partial(function, *arguments))
