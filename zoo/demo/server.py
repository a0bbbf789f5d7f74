"""The demo page and its HTTP API as a Starlette application.

Frameworks for machine-learning demos load fonts and scripts from other servers, and have no canvas that is read while
the user draws. This application serves everything from ``static``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from zoo.demo.classifying import ClassifyEndpoints
from zoo.demo.guard import Guard
from zoo.demo.inference import Predictor
from zoo.demo.limits import Limits
from zoo.demo.panels import PanelEndpoints
from zoo.demo.training_panel import TrainingEndpoints
from zoo.demo.uploads import Uploads
from zoo.demo.workers import Workers
from zoo.utils.errors import UsageError


def make_application(predictor: Predictor, hosts: Sequence[str] = (), limits: Limits | None = None) -> Starlette:
    """Create the application.

    Args:
        predictor: The networks.
        hosts: Names and addresses under which the server is reached, besides those of this machine for itself.
        limits: The limits of the server. By default, those of `Limits`.
    """
    limits = limits or Limits()
    workers = Workers(limits)
    uploads = Uploads(limits)
    classifying = ClassifyEndpoints(predictor, limits, uploads, workers)
    panels = PanelEndpoints(predictor, uploads, workers)
    static = StaticFiles(directory=Path(__file__).parent / "static", html=True)
    return Starlette(
        routes=[
            Route("/api/members", classifying.members),
            Route("/api/classify", classifying.classify, methods=["POST"]),
            Route("/api/random", classifying.random),
            Route("/api/test_image", classifying.test_image),
            *panels.routes(),
            *TrainingEndpoints(uploads, workers).routes(),
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
