"""The page and its interface for programs, as a Starlette application.

Starlette and not a kit for machine-learning pages: such kits fetch fonts and scripts from elsewhere, and a canvas that
is read while one draws is not among their parts. Here everything that a browser gets lies in ``static``.
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

LARGEST_BODY = 10 * 2**20
"""Bytes of a picture that is sent."""
MOST_WAITING = 16
"""Requests that wait for their turn; others are told to come again."""
LONGEST_BODY = 20.0
"""Seconds in which a picture must have arrived."""

HEADERS = {
    # Nothing is loaded from elsewhere, whatever a picture's name or a browser's extension says.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Demo:
    """What the page can be asked.

    Args:
        respondent: The networks.
    """

    def __init__(self, respondent: Predictor) -> None:
        self.respondent = respondent
        self._turn = anyio.Lock()  # the networks use all cores already
        self._waiting = 0

    async def members(self, request: Request) -> Response:
        """``GET /api/members``: the networks' names, descriptions and errors on the test images."""
        return JSONResponse(self.respondent.members())

    async def classify(self, request: Request) -> Response:
        """``POST /api/classify?members=a,b``: a picture as the body; answers, and the 784 pixels that were seen."""
        names = self._named(request)
        self._enter()
        try:
            with anyio.move_on_after(LONGEST_BODY) as scope:
                content = await _body(request)
            if scope.cancelled_caught:
                raise HTTPException(408, f"The picture did not arrive within {LONGEST_BODY:.0f} seconds.")
            async with self._turn:
                answer = await anyio.to_thread.run_sync(partial(self._classified, content, names))
        finally:
            self._waiting -= 1
        return JSONResponse(answer)

    async def random(self, request: Request) -> Response:
        """``GET /api/random?members=a,b``: one of the official test images, its label, and the answers to it."""
        names = self._named(request)
        row = secrets.randbelow(self.respondent.test_images)
        self._enter()
        try:
            async with self._turn:
                answer = await anyio.to_thread.run_sync(partial(self._tested, row, names))
        finally:
            self._waiting -= 1
        return JSONResponse(answer)

    def _classified(self, content: bytes, names: Sequence[str]) -> dict[str, Any]:
        pixels, notes = self.respondent.look(content)
        return {**self.respondent.ask(pixels, names), "notes": notes, "seen": _levels(pixels)}

    def _tested(self, row: int, names: Sequence[str]) -> dict[str, Any]:
        pixels, label = self.respondent.test_image(row)
        told = {"row": row, "label": label, "notes": [], "seen": _levels(pixels)}
        return {**self.respondent.ask(pixels, names), **told}

    def _named(self, request: Request) -> list[str]:
        named = request.query_params.get("members")
        names = self.respondent.names if named is None else [name for name in named.split(",") if name]
        unknown = [name for name in names if name not in self.respondent.names]
        if unknown or not names:
            raise HTTPException(
                400, f"members names {unknown or 'none'}, but these answer here: {', '.join(self.respondent.names)}."
            )
        return list(dict.fromkeys(names))

    def _enter(self) -> None:
        if self._waiting >= MOST_WAITING:
            raise HTTPException(429, "Too many pictures at once: ask again in a second.", {"Retry-After": "1"})
        self._waiting += 1


def make_application(respondent: Predictor, hosts: Sequence[str]) -> Starlette:
    """Return the application.

    Args:
        respondent: The networks.
        hosts: Names by which browsers may ask for it: a page from elsewhere must not reach it under a name of its own.
    """
    demo = Demo(respondent)
    static = StaticFiles(directory=Path(__file__).parent / "static", html=True)
    return Starlette(
        routes=[
            Route("/api/members", demo.members),
            Route("/api/classify", demo.classify, methods=["POST"]),
            Route("/api/random", demo.random),
            Mount("/", static),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)), Middleware(_Headers)],
        exception_handlers={HTTPException: _complain, UsageError: _complain},
    )


class _Headers:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        await self.app(scope, receive, with_headers)


async def _body(request: Request) -> bytes:
    """Return the body, and never hold more of it than is allowed."""
    too_large = HTTPException(413, f"A picture may have {LARGEST_BODY // 2**20} MiB at most: make it smaller.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LARGEST_BODY:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise too_large
    if not content:
        raise HTTPException(400, "The body is empty: send a picture, a PNG or JPEG, as the body.")
    return bytes(content)


async def _complain(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    return JSONResponse({"error": str(error)}, 422)


def _levels(pixels: Any) -> list[int]:
    levels: list[int] = (pixels * 255).round().int().flatten().tolist()
    return levels
