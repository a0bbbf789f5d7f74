"""The page's interface for programs: answers, limits, and what it says to bad input."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.helpers import complaint
from zoo.data.archives import stage

httpx = pytest.importorskip("httpx", reason="needs httpx, which is in .[test]")
testclient = pytest.importorskip("starlette.testclient", reason="needs Starlette, which is in .[test]")

from zoo.demo import server  # noqa: E402
from zoo.demo.inference import Predictor  # noqa: E402

ASKED = ("softmax", "deep_relu_xavier")


@pytest.fixture(scope="module")
def respondent(data_dir: Path) -> Iterator[Predictor]:
    stage(data_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_DATA", str(data_dir))
        yield Predictor(ASKED)


@pytest.fixture
def client(respondent: Predictor) -> Any:
    return testclient.TestClient(server.make_application(respondent, ["testserver"]))


def picture(**how: Any) -> bytes:
    """A thick one, dark on light."""
    pixels = np.full((120, 100), 255, np.uint8)
    pixels[20:100, 45:57] = 0
    return as_png(Image.fromarray(pixels), **how)


def as_png(image: Image.Image, form: str = "png") -> bytes:
    file = io.BytesIO()
    image.save(file, format=form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_a_picture_gets_every_member_s_answer(client: Any, form: str) -> None:
    told = client.post("/api/classify", content=picture(form=form)).raise_for_status().json()
    assert told["answer"] == 1
    assert told["votes"][1] == 2
    assert list(told["members"]) == list(ASKED)
    seen = torch.tensor(told["seen"]).view(1, 1, 28, 28) / 255
    for name, member in told["members"].items():
        wanted = zoo.load_pretrained(name)(seen).softmax(1)[0]
        assert member["probabilities"] == pytest.approx(wanted.tolist(), abs=0.01)
        assert member["answer"] == 1
        assert member["milliseconds"] >= 0
    mean = torch.tensor([member["probabilities"] for member in told["members"].values()]).mean(0)
    assert told["probabilities"] == pytest.approx(mean.tolist(), abs=1e-3)


def test_only_the_members_that_are_named_answer(client: Any) -> None:
    told = client.post("/api/classify?members=softmax", content=picture()).json()
    assert list(told["members"]) == ["softmax"]
    for named in ("sofmax", ""):
        refused = client.post(f"/api/classify?members={named}", content=picture())
        assert refused.status_code == 400
        assert "softmax, deep_relu_xavier" in refused.json()["error"]


def test_a_test_image_comes_with_its_label(client: Any, respondent: Predictor) -> None:
    told = client.get("/api/random").json()
    pixels, label = respondent.test_image(told["row"])
    assert told["label"] == label
    assert told["seen"] == (pixels * 255).round().int().flatten().tolist()


def test_the_members_are_told_of(client: Any) -> None:
    told = client.get("/api/members").json()
    assert [member["name"] for member in told] == list(ASKED)
    assert told[0]["test_errors"] == 834
    assert "784-10" in told[0]["description"]


HUGE = as_png(Image.new("1", (10_000, 10_001)))


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 400, "The body is empty"),
        (b"hello", 422, "it is no picture, or damaged"),
        (picture()[:50], 422, "it is no picture, or damaged"),
        (HUGE, 422, "at most 50 megapixels"),
        (as_png(Image.new("L", (280, 280))), 422, "nothing in this picture that stands out"),
        (b"\x89PNG" + bytes(server.LARGEST_BODY), 413, "10 MiB at most"),
    ],
)
def test_bad_input_gets_a_sentence(client: Any, content: bytes, status: int, sentence: str) -> None:
    refused = client.post("/api/classify", content=content)
    assert refused.status_code == status
    assert sentence in refused.json()["error"]
    assert client.post("/api/classify", content=picture()).json()["answer"] == 1  # it goes on


def test_a_body_that_says_nothing_of_its_length_is_cut_off(client: Any) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 2**20
            yield bytes(2**20)

    assert client.post("/api/classify", content=endless()).status_code == 413


def test_other_paths_methods_and_hosts_are_refused(client: Any) -> None:
    assert client.get("/api/classify").status_code in (404, 405)
    assert client.get("/../pyproject.toml").status_code == 404
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400


def test_a_thousand_requests_at_once_are_answered_or_told_to_come_again(respondent: Predictor) -> None:
    application = server.make_application(respondent, ["testserver"])

    async def ask_all() -> list[Any]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=60) as client:
            return await asyncio.gather(*(client.post("/api/classify", content=picture()) for _ in range(1000)))

    answers = asyncio.run(ask_all())
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= server.MOST_WAITING
    assert all(answer.json()["answer"] == 1 for answer in answers if answer.status_code == 200)
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 429)


def test_nothing_is_loaded_from_elsewhere(client: Any) -> None:
    page = client.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in ("/", "/style.css", "/script.js"):
        text = client.get(path).raise_for_status().text
        assert "http" not in text
        assert "//" not in "".join(line.partition("// ")[0] for line in text.splitlines())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sofmax"], "did you mean softmax"),
        (["--port", "70000"], "--port is 70000"),
        (["--host", "no.such.host.invalid"], "Cannot listen on no.such.host.invalid"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in complaint(["demo", *words], capsys)
