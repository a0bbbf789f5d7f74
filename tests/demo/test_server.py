"""Tests of the demo's HTTP API: predictions, limits, and errors for invalid input."""

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
from tests.helpers import error_output

httpx = pytest.importorskip("httpx", reason="needs httpx, which is in .[test]")
testclient = pytest.importorskip("starlette.testclient", reason="needs Starlette, which is in .[test]")

from zoo.demo import server  # noqa: E402
from zoo.demo.inference import Predictor  # noqa: E402
from zoo.demo.limits import Limits  # noqa: E402

MEMBERS = ("softmax", "deep_relu_xavier")


@pytest.fixture
def client(predictor: Predictor) -> Any:
    return testclient.TestClient(server.make_application(predictor, ["testserver"]))


def picture(**options: Any) -> bytes:
    """A picture of a thick 1, dark on light."""
    pixels = np.full((120, 100), 255, np.uint8)
    pixels[20:100, 45:57] = 0
    return encode(Image.fromarray(pixels), **options)


def encode(image: Image.Image, image_format: str = "png") -> bytes:
    file = io.BytesIO()
    image.save(file, format=image_format)
    return file.getvalue()


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_classify_returns_the_prediction_of_every_member(client: Any, image_format: str) -> None:
    result = client.post("/api/classify", content=picture(image_format=image_format)).raise_for_status().json()
    assert result["answer"] == 1
    assert result["votes"][1] == 2
    assert list(result["members"]) == list(MEMBERS)
    seen = torch.tensor(result["seen"]).view(1, 1, 28, 28) / 255
    for name, member in result["members"].items():
        expected = zoo.load_pretrained(name)(seen).softmax(1)[0]
        assert member["probabilities"] == pytest.approx(expected.tolist(), abs=0.01)
        assert member["answer"] == 1
        assert member["milliseconds"] >= 0
    mean = torch.tensor([member["probabilities"] for member in result["members"].values()]).mean(0)
    assert result["probabilities"] == pytest.approx(mean.tolist(), abs=1e-3)


def test_classify_uses_only_the_requested_members(client: Any) -> None:
    result = client.post("/api/classify?members=softmax", content=picture()).json()
    assert list(result["members"]) == ["softmax"]
    for members in ("sofmax", ""):
        response = client.post(f"/api/classify?members={members}", content=picture())
        assert response.status_code == 400
        assert "softmax, deep_relu_xavier" in response.json()["error"]


def test_random_returns_a_test_image_and_its_label(client: Any, predictor: Predictor) -> None:
    result = client.get("/api/random").json()
    pixels, label = predictor.test_image(result["row"])
    assert result["label"] == label
    assert result["seen"] == (pixels * 255).round().int().flatten().tolist()


def test_members_describes_each_member(client: Any) -> None:
    result = client.get("/api/members").json()
    assert [member["name"] for member in result] == list(MEMBERS)
    assert result[0]["test_errors"] == 834
    assert "784-10" in result[0]["description"]


TOO_MANY_PIXELS = encode(Image.new("1", (10_000, 10_001)))


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 400, "The body is empty"),
        (b"hello", 422, "it is no picture, or damaged"),
        (picture()[:50], 422, "it is no picture, or damaged"),
        (TOO_MANY_PIXELS, 422, "at most 50 megapixels"),
        (encode(Image.new("L", (280, 280))), 422, "nothing in this picture that stands out"),
        (b"\x89PNG" + bytes(Limits().max_body), 413, "10 MiB at most"),
    ],
)
def test_invalid_input_returns_an_error_message(client: Any, content: bytes, status: int, sentence: str) -> None:
    response = client.post("/api/classify", content=content)
    assert response.status_code == status
    assert sentence in response.json()["error"]
    assert client.post("/api/classify", content=picture()).json()["answer"] == 1  # the server continues to work


def test_a_body_without_content_length_is_limited(client: Any) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 2**20
            yield bytes(2**20)

    assert client.post("/api/classify", content=endless()).status_code == 413


def test_unknown_paths_methods_and_hosts_are_rejected(client: Any) -> None:
    assert client.get("/api/classify").status_code in (404, 405)
    assert client.get("/../pyproject.toml").status_code == 404
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400


def test_a_thousand_simultaneous_requests_get_a_prediction_or_status_429(predictor: Predictor) -> None:
    application = server.make_application(predictor, ["testserver"])

    async def send_all() -> list[Any]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=60) as client:
            return await asyncio.gather(*(client.post("/api/classify", content=picture()) for _ in range(1000)))

    responses = asyncio.run(send_all())
    statuses = [response.status_code for response in responses]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= Limits().max_pending
    assert all(response.json()["answer"] == 1 for response in responses if response.status_code == 200)
    assert all(response.headers["retry-after"] == "1" for response in responses if response.status_code == 429)


def test_the_page_loads_nothing_from_other_servers(client: Any) -> None:
    page = client.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    static = Path(server.__file__).parent / "static"
    paths = [path.relative_to(static).as_posix() for path in static.rglob("*.*") if path.is_file()]
    assert len(paths) > 15
    for path in ("", *paths):
        text = client.get(f"/{path}").raise_for_status().text
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
def test_usage_errors_print_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in error_output(["demo", *words], capsys)


@pytest.mark.parametrize(
    ("query", "headers", "status", "message"),
    [
        ("member=softmax", {}, 400, "Unknown parameter 'member'"),
        ("members=nope", {}, 400, "members names nope, but the members here are: "),
        ("", {"content-type": "multipart/form-data; boundary=x"}, 415, "--data-binary"),
    ],
)
def test_a_request_of_another_form_is_told_what_to_send(
    client: Any, query: str, headers: dict[str, str], status: int, message: str
) -> None:
    response = client.post(f"/api/classify?{query}", content=picture(), headers=headers)
    assert response.status_code == status
    assert message in response.json()["error"]


def test_steps_are_sent_when_asked_for(client: Any) -> None:
    assert client.post("/api/classify", content=picture()).json()["steps"] == []
    steps = client.post("/api/classify?steps=1", content=picture()).json()["steps"]
    assert [step["name"] for step in steps][-1] == "what the networks see"
    assert all(step["image"].startswith("data:image/png;base64,") for step in steps)
