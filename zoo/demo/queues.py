"""A queue of requests that are served one at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request


class RequestQueue:
    """Serves one request at a time, in the order of arrival.

    Args:
        max_pending: Maximum number of requests that wait or are served.
    """

    def __init__(self, max_pending: int) -> None:
        self._max_pending = max_pending
        self._num_pending = 0
        self._lock = anyio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether a request waits or is served."""
        return self._num_pending > 0

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Wait for a request's turn, and hold it.

        Raises:
            HTTPException: Too many requests are waiting (429).
            ClientDisconnect: The client has left while it waited.
        """
        if self._num_pending >= self._max_pending:
            raise HTTPException(429, "Too many pictures at once: ask again in a second.", {"Retry-After": "1"})
        self._num_pending += 1
        try:
            async with self._lock:
                if await request.is_disconnected():
                    raise ClientDisconnect
                yield
        finally:
            self._num_pending -= 1
