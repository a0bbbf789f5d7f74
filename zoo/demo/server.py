"""The demo page and its HTTP API as a Starlette application.

Frameworks for machine-learning demos load fonts and scripts from other servers, and have no canvas that is read while
the user draws. This application serves everything from ``static``.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from zoo.demo.inference import Predictor
from zoo.utils.errors import UsageError

MAX_BODY_BYTES = 10 * 2**20
"""Maximum size of an uploaded picture in bytes."""
MAX_PENDING_REQUESTS = 16
"""Maximum number of pending requests. Further requests get status 429."""
UPLOAD_TIMEOUT = 20.0
"""Maximum duration of an upload in seconds."""

SECURITY_HEADERS = {
    # The page must not load anything from other servers.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class DemoEndpoints:
    """Request handlers of the demo's HTTP API.

    Args:
        predictor: The networks.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._lock = anyio.Lock()  # one request at a time: a forward pass uses all cores
        self._num_pending = 0

    async def members(self, request: Request) -> Response:
        """``GET /api/members``: the networks' names, descriptions and numbers of test errors."""
        return JSONResponse(self.predictor.describe_members())

    async def classify(self, request: Request) -> Response:
        """``POST /api/classify?members=a,b``: predictions for the picture in the body, and the 784 input pixels."""
        names = self._requested_names(request)
        self._add_pending()
        try:
            with anyio.move_on_after(UPLOAD_TIMEOUT) as scope:
                content = await _read_body(request)
            if scope.cancelled_caught:
                raise HTTPException(408, f"The picture did not arrive within {UPLOAD_TIMEOUT:.0f} seconds.")
            async with self._lock:
                response = await anyio.to_thread.run_sync(partial(self._classify_picture, content, names))
        finally:
            self._num_pending -= 1
        return JSONResponse(response)

    async def random(self, request: Request) -> Response:
        """``GET /api/random?members=a,b``: a random official test image, its label, and the predictions for it."""
        names = self._requested_names(request)
        row = secrets.randbelow(self.predictor.num_test_images)
        self._add_pending()
        try:
            async with self._lock:
                response = await anyio.to_thread.run_sync(partial(self._classify_test_image, row, names))
        finally:
            self._num_pending -= 1
        return JSONResponse(response)

    def _classify_picture(self, content: bytes, names: Sequence[str]) -> dict[str, Any]:
        pixels, notes = self.predictor.read_picture(content)
        return {**self.predictor.predict(pixels, names), "notes": notes, "seen": _grey_levels(pixels)}

    def _classify_test_image(self, row: int, names: Sequence[str]) -> dict[str, Any]:
        pixels, label = self.predictor.test_image(row)
        image = {"row": row, "label": label, "notes": [], "seen": _grey_levels(pixels)}
        return {**self.predictor.predict(pixels, names), **image}

    def _requested_names(self, request: Request) -> list[str]:
        value = request.query_params.get("members")
        names = self.predictor.names if value is None else [name for name in value.split(",") if name]
        unknown = [name for name in names if name not in self.predictor.names]
        if unknown or not names:
            raise HTTPException(
                400, f"members names {unknown or 'none'}, but the members here are: {', '.join(self.predictor.names)}."
            )
        return list(dict.fromkeys(names))

    def _add_pending(self) -> None:
        if self._num_pending >= MAX_PENDING_REQUESTS:
            raise HTTPException(429, "Too many pictures at once: ask again in a second.", {"Retry-After": "1"})
        self._num_pending += 1


def make_application(predictor: Predictor, hosts: Sequence[str]) -> Starlette:
    """Create the application.

    Args:
        predictor: The networks.
        hosts: Accepted values of the Host header. The check protects against DNS rebinding.
    """
    endpoints = DemoEndpoints(predictor)
    static = StaticFiles(directory=Path(__file__).parent / "static", html=True)
    return Starlette(
        routes=[
            Route("/api/members", endpoints.members),
            Route("/api/classify", endpoints.classify, methods=["POST"]),
            Route("/api/random", endpoints.random),
            Mount("/", static),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)), Middleware(_SecurityHeaders)],
        exception_handlers={HTTPException: _error_response, UsageError: _error_response},
    )


class _SecurityHeaders:
    """Middleware that adds `SECURITY_HEADERS` to every response."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, with_headers)


async def _read_body(request: Request) -> bytes:
    """Read the body, without holding more than the maximum size in memory.

    Raises:
        HTTPException: The body is too large (413) or empty (400).
    """
    too_large = HTTPException(413, f"A picture may have {MAX_BODY_BYTES // 2**20} MiB at most: make it smaller.")
    content_length = request.headers.get("content-length", "")
    if content_length.isdecimal() and int(content_length) > MAX_BODY_BYTES:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise too_large
    if not content:
        raise HTTPException(400, "The body is empty: send a picture, a PNG or JPEG, as the body.")
    return bytes(content)


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    return JSONResponse({"error": str(error)}, 422)


def _grey_levels(pixels: Any) -> list[int]:
    levels: list[int] = (pixels * 255).round().int().flatten().tolist()
    return levels
