"""Connections to the demo's server, with deadlines and a limited number.

uvicorn has no time limit for headers, for a client that does not read its response, and for a connection that sends
nothing. Its limit of connections counts only those that have sent their headers.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from zoo.demo.limits import Limits

BODY = b'{"error": "Too many connections: try again in a second."}'
TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\nRetry-After: 1\r\n"
    b"Connection: close\r\n\r\n%b" % (len(BODY), BODY)
)


class LimitedConnection(H11Protocol):
    """A connection that is closed when its client keeps it waiting for longer than `Limits` allows."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._phase: object = None
        """``"headers"`` while they arrive, ``"idle"`` after a response, else the request that is being answered."""
        self._phase_began = 0.0
        self._ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit, and close another connection or this one if there are too many."""
        super().connection_made(transport)
        self._enter("headers", self.limits.header_timeout)
        if len(self.connections) > self.limits.max_connections and not self._close_longest_waiting():
            transport.write(TOO_MANY)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Handle received bytes."""
        if self.transport.is_closing():
            return
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # bytes that are not HTTP, after a response has begun
            self.transport.abort()
            return
        if self._is_answering():
            self._enter(self.cycle, self.limits.answer_timeout)
        elif self.conn.their_state is h11.IDLE:
            self._enter("headers", self.limits.header_timeout)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self._is_answering():  # a request that was received with the one before
            self._enter(self.cycle, self.limits.answer_timeout)
        else:
            # uvicorn closes the connection after `keep_alive`, unless the client goes on to send or reads nothing.
            self._enter("idle", self.limits.keep_alive + 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP. A request that is being answered gets no response any more."""
        if self._is_answering():
            self.cycle.disconnected = True
        super().send_400_response(msg)

    def shutdown(self) -> None:
        """Close the connection, after its response if that is ready soon."""
        self._enter("ending", self.limits.shutdown_timeout)
        self._ending = True
        super().shutdown()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _enter(self, phase: object, seconds: float) -> None:
        """Note what the connection waits for, and abort it if that takes longer than ``seconds``."""
        if phase is self._phase or self._ending:
            return
        self._phase, self._phase_began = phase, self.loop.time()
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _waits_for_client(self) -> bool:
        return not self._is_answering() or self.cycle.more_body

    def _close_longest_waiting(self) -> bool:
        """Abort the connection that has waited longest for its client, and return whether there is one."""
        latest = self.loop.time() - self.limits.grace
        waiting = [
            connection
            for connection in self.connections
            if isinstance(connection, LimitedConnection)
            and connection._phase_began < latest
            and connection._waits_for_client()
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda connection: connection._phase_began)
        self.connections.discard(oldest)  # it is lost only in the event loop's next iteration
        oldest.transport.abort()
        return True
