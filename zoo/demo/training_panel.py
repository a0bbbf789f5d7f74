"""Request handlers of the panel that trains a network live."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zoo.demo.encoding import image_of
from zoo.demo.live_training import (
    DROPOUTS,
    LEARNING_RATES,
    MAX_STEPS,
    NETWORKS,
    WEIGHT_INITS,
    Choices,
    LiveTrainings,
)
from zoo.demo.queries import check_parameters, requested_choice, requested_number
from zoo.demo.uploads import Uploads
from zoo.demo.workers import Workers

MAX_SEED = 999


class TrainingEndpoints:
    """Request handlers of live trainings.

    Args:
        uploads: Reads the bodies of requests.
        workers: The threads.
    """

    def __init__(self, uploads: Uploads, workers: Workers) -> None:
        self._uploads = uploads
        self._workers = workers
        self._trainings = LiveTrainings()

    def routes(self) -> list[Route]:
        """Return the addresses of the handlers."""
        return [
            Route("/api/train", self.start, methods=["POST"]),
            Route("/api/train/steps", self.go_on, methods=["POST"]),
        ]

    async def start(self, request: Request) -> Response:
        """``POST /api/train?network=small&weight_init=zeros&lr=0.01&dropout=0.3&seed=1``: begin a training.

        See `zoo.demo.live_training.LiveTraining.look`. The body is an image that the network reads, as 784 bytes.
        """
        check_parameters(request, "network=NAME", "weight_init=NAME", "lr=NUMBER", "dropout=NUMBER", "seed=N")
        usual = Choices()
        choices = Choices(
            requested_choice(request, "network", NETWORKS, usual.network),
            requested_choice(request, "weight_init", WEIGHT_INITS, usual.weight_init),
            requested_choice(request, "lr", LEARNING_RATES, usual.lr),
            requested_choice(request, "dropout", DROPOUTS, usual.dropout),
            requested_number(request, "seed", 0, MAX_SEED, default=usual.seed),
        )
        image = image_of(await self._uploads.read(request))
        await self._workers.decode(self._trainings.prepare)  # meanwhile, drawings are classified
        return JSONResponse(await self._workers.for_panel(request, self._trainings.start, choices, image))

    async def go_on(self, request: Request) -> Response:
        """``POST /api/train/steps?name=…&steps=10``: make steps, see `zoo.demo.live_training.LiveTraining.run`.

        Raises:
            HTTPException: The server knows no such training any more (404).
        """
        check_parameters(request, "name=NAME", "steps=N")
        steps = requested_number(request, "steps", 1, MAX_STEPS, default=1)
        name = request.query_params.get("name", "")
        image = image_of(await self._uploads.read(request))
        told = await self._workers.for_panel(request, self._trainings.go_on, name, steps, image)
        if told is None:
            raise HTTPException(404, "The server has given up this training: begin it again.")
        return JSONResponse(told)
