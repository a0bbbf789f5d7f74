"""Reading of request bodies, within limits of time and memory."""

from __future__ import annotations

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from zoo.demo.limits import Limits


class Uploads:
    """Reads the bodies of requests.

    All bodies that have not arrived completely share `Limits.max_uploading` bytes. Where that is not enough, the one
    that has received nothing for the longest time is refused.

    Args:
        limits: The limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = 0
        self._running: dict[anyio.CancelScope, bytearray] = {}
        """The unfinished bodies, the one that has received nothing for the longest time first."""

    async def read(self, request: Request) -> bytes:
        """Return a request's body.

        Raises:
            HTTPException: The body is too large (413) or empty (400), did not arrive in time (408), or stood still
                while others needed the memory (503).
            ClientDisconnect: The client has left.
        """
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limits.max_body:
            raise self._too_large()
        content = bytearray()
        with anyio.move_on_after(self._limits.upload_timeout) as scope:
            try:
                async for chunk in request.stream():
                    self._running.pop(scope, None)
                    self._running[scope] = content
                    content += chunk
                    self._size += len(chunk)
                    if len(content) > self._limits.max_body:
                        raise self._too_large()
                    self._make_room()
            finally:
                if self._running.pop(scope, None) is not None:
                    self._size -= len(content)
        if scope.cancel_called:
            if scope.deadline > anyio.current_time():
                raise HTTPException(503, "The picture stopped arriving: send it again.", {"Retry-After": "1"})
            raise HTTPException(
                408, f"The picture did not arrive within {self._limits.upload_timeout:g} seconds: send it again."
            )
        if not content:
            raise HTTPException(
                400, "The body is empty: send a picture, a PNG or JPEG, or where 784 bytes are wanted these."
            )
        return bytes(content)

    def _make_room(self) -> None:
        while self._size > self._limits.max_uploading and len(self._running) > 1:
            scope = next(iter(self._running))
            content = self._running.pop(scope)
            self._size -= len(content)
            content.clear()
            scope.cancel()

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"A picture may have {self._limits.max_body // 2**20} MiB at most: make it smaller.")
