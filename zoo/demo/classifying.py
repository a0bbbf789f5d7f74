"""Request handlers that classify: pictures, test images, and what the members are."""

from __future__ import annotations

import io
import secrets
import warnings
from collections.abc import Sequence
from typing import Any

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from torch import Tensor

from zoo.data.preprocessing import Digit
from zoo.demo.inference import Predictor, steps_as_json
from zoo.demo.limits import Limits
from zoo.demo.queries import check_parameters, requested_names, requested_number
from zoo.demo.uploads import Uploads
from zoo.demo.workers import Workers

MEASURED = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA")
"""Formats, by Pillow's names, of which a file of a few kilobytes may hold millions of pixels."""


class ClassifyEndpoints:
    """Request handlers that classify.

    Pictures wait in two queues, so that a drawing does not wait for the decoding of large photographs.

    Args:
        predictor: The networks.
        limits: The limits of the server.
        uploads: Reads the bodies of requests.
        workers: The threads.
    """

    def __init__(self, predictor: Predictor, limits: Limits, uploads: Uploads, workers: Workers) -> None:
        self.predictor = predictor
        self._limits = limits
        self._uploads = uploads
        self._workers = workers

    async def members(self, request: Request) -> Response:
        """``GET /api/members``: what the networks are, in the order of the lecture."""
        return JSONResponse(self.predictor.describe_members())

    async def classify(self, request: Request) -> Response:
        """``POST /api/classify?members=a,b&steps=1``: predictions for the picture in the body, and the 784 pixels.

        With ``steps=1`` also the steps from the picture to these pixels, as images.
        """
        check_parameters(request, "members=A,B", "steps=1")
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise HTTPException(415, "Send the picture itself as the body, and no form: curl --data-binary @FILE.")
        names = requested_names(request, self.predictor.names)
        with_steps = bool(requested_number(request, "steps", 0, 1, default=0))
        content = await self._uploads.read(request)  # before a place in a queue is taken, as it may take long
        response = None
        if len(content) <= self._limits.max_small:
            async with self._workers.small.turn(request):
                response = await self._workers.with_networks(self._classify_small, content, names, with_steps)
        if response is None:
            async with self._workers.large.turn(request):
                digit = await self._workers.decode(self.predictor.read_picture, content, with_steps)
                response = await self._workers.with_networks(self._classify_digit, digit, names)
        return JSONResponse(response)

    async def random(self, request: Request) -> Response:
        """``GET /api/random?members=a,b``: a random official test image, its label, and the predictions for it."""
        check_parameters(request, "members=A,B")
        return await self._classify_test_image(request, secrets.randbelow(self.predictor.num_test_images))

    async def test_image(self, request: Request) -> Response:
        """``GET /api/test_image?row=8&members=a,b``: an official test image, its label, and the predictions for it."""
        check_parameters(request, "members=A,B", "row=N")
        return await self._classify_test_image(
            request, requested_number(request, "row", 0, self.predictor.num_test_images - 1)
        )

    async def _classify_test_image(self, request: Request, row: int) -> Response:
        names = requested_names(request, self.predictor.names)
        async with self._workers.small.turn(request):
            return JSONResponse(await self._workers.with_networks(self._classify_row, row, names))

    def _classify_row(self, row: int, names: Sequence[str]) -> dict[str, Any]:
        pixels, label = self.predictor.test_image(row)
        return {**self._classify_digit(Digit(pixels), names), "row": row, "label": label}

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
