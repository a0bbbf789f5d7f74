"""The demo page and its HTTP API as a Starlette application.

Frameworks for machine-learning demos load fonts and scripts from other servers, and have no canvas that is read while
the user draws. This application serves everything from ``static``.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from torch import Tensor

from zoo.data.preprocessing import Digit
from zoo.demo.guard import Guard
from zoo.demo.inference import Predictor, steps_as_json
from zoo.demo.limits import Limits
from zoo.demo.queues import RequestQueue
from zoo.demo.uploads import Uploads
from zoo.utils.errors import UsageError

T = TypeVar("T")

MEASURED = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA")
"""Formats, by Pillow's names, of which a file of a few kilobytes may hold millions of pixels."""


class DemoEndpoints:
    """Request handlers of the demo's HTTP API.

    Pictures wait in two queues, so that a drawing does not wait for the decoding of large photographs.

    Args:
        predictor: The networks.
        limits: The limits of the server.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor = predictor
        self._limits = limits
        self._uploads = Uploads(limits)
        self._queue = RequestQueue(limits.max_pending)
        self._large = RequestQueue(limits.max_pending_large)
        # One thread for the networks: a forward pass uses all cores, and every thread that makes one has OpenMP threads
        # of its own.
        self._networks = ThreadPoolExecutor(1)
        self._decoder = ThreadPoolExecutor(1)

    async def members(self, request: Request) -> Response:
        """``GET /api/members``: the networks' names, descriptions and numbers of test errors."""
        return JSONResponse(self.predictor.describe_members())

    async def classify(self, request: Request) -> Response:
        """``POST /api/classify?members=a,b&steps=1``: predictions for the picture in the body, and the 784 pixels.

        With ``steps=1`` also the steps from the picture to these pixels, as images.
        """
        names = self._requested_names(request)
        with_steps = request.query_params.get("steps") == "1"
        content = await self._uploads.read(request)  # before a place in a queue is taken, as it may take long
        response = None
        if len(content) <= self._limits.max_small:
            async with self._queue.turn(request):
                response = await _run(self._networks, self._classify_small, content, names, with_steps)
        if response is None:
            async with self._large.turn(request):
                digit = await _run(self._decoder, self.predictor.read_picture, content, with_steps)
                response = await _run(self._networks, self._classify_digit, digit, names)
        return JSONResponse(response)

    async def random(self, request: Request) -> Response:
        """``GET /api/random?members=a,b``: a random official test image, its label, and the predictions for it."""
        names = self._requested_names(request)
        row = secrets.randbelow(self.predictor.num_test_images)
        async with self._queue.turn(request):
            pixels, label = self.predictor.test_image(row)
            response = await _run(self._networks, self._classify_digit, Digit(pixels), names)
        return JSONResponse({**response, "row": row, "label": label})

    def _classify_small(self, content: bytes, names: Sequence[str], with_steps: bool) -> dict[str, Any] | None:
        """Return the response for a picture, or None if it waits with the large ones."""
        if _is_large(content, self._limits.max_small_pixels):
            return None
        return self._classify_digit(self.predictor.read_picture(content, with_steps), names)

    def _classify_digit(self, digit: Digit, names: Sequence[str]) -> dict[str, Any]:
        return {
            **self.predictor.predict(digit.pixels, names),
            "notes": list(digit.notes),
            "seen": _grey_levels(digit.pixels),
            "steps": steps_as_json(digit),
        }

    def _requested_names(self, request: Request) -> list[str]:
        if unknown_parameters := set(request.query_params) - {"members", "steps"}:
            raise HTTPException(
                400, f"Unknown parameter {min(unknown_parameters)!r}: only members=A,B and steps=1 are known."
            )
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise HTTPException(415, "Send the picture itself as the body, and no form: curl --data-binary @FILE.")
        value = request.query_params.get("members")
        names = self.predictor.names if value is None else [name for name in value.split(",") if name]
        unknown = [name for name in names if name not in self.predictor.names]
        if unknown or not names:
            raise HTTPException(
                400,
                f"members names {', '.join(unknown) or 'none'}, but the members here are: "
                f"{', '.join(self.predictor.names)}.",
            )
        return list(dict.fromkeys(names))


def make_application(predictor: Predictor, hosts: Sequence[str] = (), limits: Limits | None = None) -> Starlette:
    """Create the application.

    Args:
        predictor: The networks.
        hosts: Names and addresses under which the server is reached, besides those of this machine for itself.
        limits: The limits of the server. By default, those of `Limits`.
    """
    endpoints = DemoEndpoints(predictor, limits or Limits())
    static = StaticFiles(directory=Path(__file__).parent / "static", html=True)
    return Starlette(
        routes=[
            Route("/api/members", endpoints.members),
            Route("/api/classify", endpoints.classify, methods=["POST"]),
            Route("/api/random", endpoints.random),
            Mount("/", static),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={
            HTTPException: _error_response,
            UsageError: _error_response,
            ClientDisconnect: _no_response,
        },
    )


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    return JSONResponse({"error": str(error)}, 422)


async def _no_response(request: Request, error: Exception) -> Response:
    """Return something for a client that has left. It is not sent."""
    return Response(status_code=400)


async def _run(thread: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
    """Run a function in another thread, without blocking the event loop."""
    return await asyncio.get_running_loop().run_in_executor(thread, partial(function, *arguments))


def _is_large(content: bytes, max_pixels: int) -> bool:
    """Return whether a picture waits with the large ones, without decoding it. False if it is no picture."""
    if content[4:8] == b"ftyp":  # HEIC and AVIF, whose decoders are slow
        return True
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=[name for name in MEASURED if name in Image.OPEN]) as image:
                # One TIFF at a time: libtiff writes to standard error, which cannot be silenced in two threads at once.
                return image.format == "TIFF" or image.size[0] * image.size[1] > max_pixels
    except Exception:  # the error is reported when it is decoded
        return False


def _grey_levels(pixels: Tensor) -> list[int]:
    levels: list[int] = (pixels * 255).round().int().flatten().tolist()
    return levels
