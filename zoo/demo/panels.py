"""Request handlers of the page's panels.

Each takes an image as 784 bytes or names test images, is served from a queue of its own, and does a bounded amount of
work: one image, at most a second.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from torch import Tensor

from zoo.demo.dreams import MAX_STEPS
from zoo.demo.duel import MAX_IMAGES
from zoo.demo.encoding import image_of
from zoo.demo.inference import Predictor
from zoo.demo.looks import fooled, inside, saliency
from zoo.demo.queries import check_parameters, requested_name, requested_number
from zoo.demo.uploads import Uploads
from zoo.demo.workers import Workers


class PanelEndpoints:
    """Request handlers of the panels.

    Args:
        predictor: The networks.
        uploads: Reads the bodies of requests.
        workers: The threads.
    """

    def __init__(self, predictor: Predictor, uploads: Uploads, workers: Workers) -> None:
        self._predictor = predictor
        self._uploads = uploads
        self._workers = workers

    def routes(self) -> list[Route]:
        """Return the addresses of the handlers."""
        return [
            Route("/api/inside", self.inside, methods=["POST"]),
            Route("/api/saliency", self.saliency, methods=["POST"]),
            Route("/api/fool", self.fool, methods=["POST"]),
            Route("/api/dream", self.dream, methods=["POST"]),
            Route("/api/duel", self.duel),
            Route("/api/images", self.images),
        ]

    async def inside(self, request: Request) -> Response:
        """``POST /api/inside?member=a``: the outputs of the member's layers, see `zoo.demo.looks.inside`."""
        check_parameters(request, "member=A")
        trained = self._predictor.networks[requested_name(request, self._predictor.names)]
        image = await self._image(request)
        return JSONResponse(await self._workers.for_panel(request, inside, trained, image))

    async def saliency(self, request: Request) -> Response:
        """``POST /api/saliency?member=a&digit=7``: what raises a digit's probability, see `zoo.demo.looks.saliency`."""
        check_parameters(request, "member=A", "digit=N")
        trained = self._predictor.networks[requested_name(request, self._predictor.names)]
        digit = _digit(request)
        image = await self._image(request)
        return JSONResponse(await self._workers.for_panel(request, saliency, trained, image, digit))

    async def fool(self, request: Request) -> Response:
        """``POST /api/fool?member=a&digit=7``: the smallest change into another digit, see `zoo.demo.looks.fooled`."""
        check_parameters(request, "member=A", "digit=N")
        networks = self._predictor.networks
        trained = networks[requested_name(request, self._predictor.names)]
        digit = _digit(request)
        image = await self._image(request)
        return JSONResponse(await self._workers.for_panel(request, fooled, trained, networks, image, digit))

    async def dream(self, request: Request) -> Response:
        """``POST /api/dream?steps=10&digit=7``: Gibbs steps, see `zoo.demo.dreams.Dreamer.dream`."""
        check_parameters(request, "steps=N", "digit=N")
        steps = requested_number(request, "steps", 1, MAX_STEPS, default=1)
        digit = _digit(request)
        content = await self._uploads.read(request)
        return JSONResponse(
            await self._workers.for_panel(request, self._predictor.dreamer.dream, content, digit, steps)
        )

    async def duel(self, request: Request) -> Response:
        """``GET /api/duel?first=a&second=b``: two members on the test images, see `zoo.demo.duel.Duel.go_on`."""
        check_parameters(request, "first=A", "second=B")
        names = [requested_name(request, self._predictor.names, parameter) for parameter in ("first", "second")]
        return JSONResponse(await self._workers.for_panel(request, self._predictor.duel.go_on, *names))

    async def images(self, request: Request) -> Response:
        """``GET /api/images?rows=8,9``: test images, as base64 of 784 bytes each."""
        check_parameters(request, "rows=N,M")
        words = request.query_params.get("rows", "").split(",")
        most = self._predictor.num_test_images
        if len(words) > MAX_IMAGES or not all(
            word.isascii() and word.isdecimal() and len(word) < 6 and int(word) < most for word in words
        ):
            raise HTTPException(400, f"rows must be 1 to {MAX_IMAGES} numbers from 0 to {most - 1}, as in rows=8,9.")
        rows = [int(word) for word in words]
        return JSONResponse(await self._workers.for_panel(request, self._predictor.duel.levels, rows))

    async def _image(self, request: Request) -> Tensor:
        return image_of(await self._uploads.read(request))


def _digit(request: Request) -> int | None:
    """Return the digit that a request names, or None if it names none."""
    return requested_number(request, "digit", 0, 9) if "digit" in request.query_params else None
