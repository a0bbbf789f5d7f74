"""What the demo's server allows a client: seconds, bytes, connections, and places in a queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the server. Times are in seconds.

    Args:
        header_timeout: From a connection, or a request's first byte, until the request's headers are complete.
        upload_timeout: For a request's body.
        answer_timeout: For a whole request, from its headers until the client has read the response.
        keep_alive: How long a connection stays open after a response.
        shutdown_timeout: How long requests may go on after Ctrl-C or SIGTERM.
        max_connections: Connections at a time. For a further one, the one that has waited longest for its client is
            closed, if that is longer than ``grace``.
        grace: How long a connection may wait for its client before it can be closed in favor of another.
        max_body: Bytes of a picture.
        max_uploading: Bytes in memory of all pictures that have not arrived completely.
        max_small: Bytes of a picture that waits with the small ones.
        max_small_pixels: Pixels of a picture that waits with the small ones.
        max_pending: Requests with a small picture that wait at a time. Further ones get status 429.
        max_pending_large: Requests with a large picture that wait at a time. Further ones get status 429.
        max_pending_panels: Requests of the panels that wait at a time. Further ones get status 429.
    """

    header_timeout: float = 5
    upload_timeout: float = 20
    answer_timeout: float = 60
    keep_alive: int = 5
    shutdown_timeout: float = 1
    max_connections: int = 2000
    grace: float = 1
    max_body: int = 10 * 2**20
    max_uploading: int = 64 * 2**20
    max_small: int = 2**18
    max_small_pixels: int = 2_000_000
    max_pending: int = 8
    max_pending_large: int = 4
    max_pending_panels: int = 6
