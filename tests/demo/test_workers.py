"""Tests of which request is served first."""

from __future__ import annotations

import asyncio
import time

import pytest

pytest.importorskip("starlette", reason="needs Starlette, which is in .[test]")

from starlette.requests import Request
from starlette.types import Message

from zoo.demo import workers
from zoo.demo.limits import Limits
from zoo.demo.workers import Workers


def request() -> Request:
    """A request whose client stays."""

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}, receive)


@pytest.mark.parametrize(("patience", "order"), [(60, ["drawing", "drawing", "panel"]), (0, ["panel", "drawing"])])
def test_a_panel_waits_for_drawings_but_not_for_ever(
    patience: float, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", patience)

    async def serve() -> list[str]:
        pool = Workers(Limits())
        served: list[str] = []

        async def drawing() -> None:
            async with pool.small.turn(request()):
                await asyncio.sleep(0.05)
                served.append("drawing")

        async def panel() -> None:
            await asyncio.sleep(0.01)  # after the drawings have come
            await pool.for_panel(request(), time.sleep, 0)
            served.append("panel")

        await asyncio.gather(drawing(), drawing(), panel())
        return served

    assert asyncio.run(serve())[: len(order)] == order
