"""Tests of what the page's panels ask the server for."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import zoo
from zoo.inference.hidden_layers import hidden_outputs, single_network
from zoo.inference.saliency import smooth_gradient
from zoo.pretrained.loading import load_classifier

testclient = pytest.importorskip("starlette.testclient", reason="needs Starlette, which is in .[test]")

from zoo.demo import duel, looks, server  # noqa: E402
from zoo.demo.inference import Predictor  # noqa: E402

MEMBERS = ("softmax", "deep_relu_xavier")


@pytest.fixture
def client(predictor: Predictor) -> Any:
    return testclient.TestClient(server.make_application(predictor, ["testserver"]))


@pytest.fixture
def image(predictor: Predictor) -> Tensor:
    """A 7, in whole grey levels."""
    return predictor.test_image(0)[0].clone()


def as_bytes(image: Tensor) -> bytes:
    return bytes((image * 255).round().int().flatten().tolist())


def signed(text: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), np.int8).astype(float) / 127


def unsigned(text: str) -> Tensor:
    return torch.tensor(list(base64.b64decode(text))).float().view(1, 28, 28) / 255


def test_inside_returns_the_outputs_of_the_layers(client: Any, image: Tensor) -> None:
    told = client.post("/api/inside?member=deep_relu_xavier", content=as_bytes(image)).raise_for_status().json()
    expected = hidden_outputs(load_classifier("deep_relu_xavier").model, image[None])
    assert [layer["name"] for layer in told["layers"]] == list(expected)
    for layer, output in zip(told["layers"], expected.values(), strict=True):
        assert (layer["shape"], layer["units"]) == ([256], 256)
        assert signed(layer["values"]) * layer["limit"] == pytest.approx(output[0].numpy(), abs=layer["limit"] / 250)
    assert told["probabilities"][7] > 0.99


def test_inside_of_softmax_regression_is_the_evidence_for_each_digit(client: Any, image: Tensor) -> None:
    told = client.post("/api/inside?member=softmax", content=as_bytes(image)).json()
    (layer,) = told["layers"]
    assert (layer["name"], layer["shape"]) == ("evidence", [10, 28, 28])
    evidence = signed(layer["values"]).reshape(10, 784).sum(axis=1) * layer["limit"]
    network: Any = zoo.load_pretrained("softmax")
    logits = (network(image[None])[0] - network.net[1].bias).detach()
    assert evidence == pytest.approx(logits.numpy(), abs=layer["limit"] * 784 / 250)
    assert evidence.argmax() == logits.argmax()


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.list_models(pretrained=True))
def test_every_member_has_an_inside(name: str, image: Tensor) -> None:
    trained = load_classifier(name)
    told = looks.inside(trained, image)
    assert all(len(signed(layer["values"])) == np.prod(layer["shape"]) for layer in told["layers"])
    assert told["layers"]
    expected = single_network(trained.model)(image[None])[0] / trained.temperature
    assert told["probabilities"] == pytest.approx(expected.softmax(0).tolist(), abs=1e-4)
    assert told["is_first_of"] == (5 if name == "bagging" else None)


def test_saliency_is_the_smooth_gradient(client: Any, image: Tensor) -> None:
    told = client.post("/api/saliency?member=deep_relu_xavier&digit=3", content=as_bytes(image)).json()
    assert (told["answer"], told["digit"]) == (7, 3)
    model = load_classifier("deep_relu_xavier").model
    gradient = smooth_gradient(model, image[None], torch.tensor([3]), looks.SALIENCY_SAMPLES)[0]
    assert signed(told["gradient"]) == pytest.approx((gradient / gradient.abs().max()).flatten().numpy(), abs=0.005)
    ink = gradient * image[0]
    assert signed(told["ink"]) == pytest.approx((ink / ink.abs().max()).flatten().numpy(), abs=0.005)
    assert client.post("/api/saliency?member=softmax", content=as_bytes(image)).json()["digit"] == 7


@pytest.mark.parametrize("digit", [None, 2])
def test_a_fooled_member_answers_the_other_digit(client: Any, image: Tensor, digit: int | None) -> None:
    query = "" if digit is None else f"&digit={digit}"
    told = client.post(f"/api/fool?member=deep_relu_xavier{query}", content=as_bytes(image)).json()
    assert told["answer"] == 7
    assert told["distances"][7] is None
    known = {other: distance for other, distance in enumerate(told["distances"]) if distance is not None}
    assert len(known) == 9
    assert told["digit"] == (min(known, key=known.__getitem__) if digit is None else digit)
    changed = unsigned(told["changed"])
    for name in MEMBERS:
        network: Any = zoo.load_pretrained(name)
        assert int(network(changed[None]).argmax()) == told["answers"][name]
    assert told["answers"]["deep_relu_xavier"] == told["digit"]
    assert float((changed - image).norm()) == pytest.approx(told["distances"][told["digit"]], abs=2e-3)
    change = signed(told["change"]) * told["limit"]
    assert change == pytest.approx((changed - image).flatten().numpy(), abs=told["limit"] / 250)


def test_a_dream_goes_on_from_its_state(client: Any, image: Tensor) -> None:
    before = torch.random.get_rng_state()
    told = client.post("/api/dream?steps=3", content=as_bytes(image)).json()
    assert len(told["frames"]) == len(told["free_energies"]) == 3
    state = unsigned(told["state"])
    assert set(state.unique().tolist()) == {0, 1}
    assert torch.equal(torch.random.get_rng_state(), before)
    network: Any = zoo.load_pretrained("rbm")
    assert network.rbm.free_energy(state.view(1, -1)).item() == pytest.approx(told["free_energies"][-1], abs=0.06)
    # What it dreams of is near the 7 that it began with, and no noise.
    assert float((unsigned(told["frames"][0]) - image).abs().mean()) < 0.1
    again = client.post("/api/dream?steps=1", content=as_bytes(state)).json()
    assert float((unsigned(again["frames"][0]) - state).abs().mean()) < 0.1


@pytest.mark.parametrize("begins", ["drawing", "blank"])
def test_a_dream_towards_a_digit_ends_in_that_digit_most_of_the_time(client: Any, image: Tensor, begins: str) -> None:
    network: Any = zoo.load_pretrained("generative_dbn")
    judge: Any = zoo.load_pretrained("residual_cnn")
    right = 0
    for digit in range(10):
        content = as_bytes(image) if begins == "drawing" else bytes(784)
        for _ in range(10):
            told = client.post(f"/api/dream?steps=50&digit={digit}", content=content).raise_for_status().json()
            content = base64.b64decode(told["state"])
        features = torch.frombuffer(bytearray(content), dtype=torch.uint8).float().view(1, -1) / 255
        assert set(features.unique().tolist()) <= {0, 1}
        # The last frame and energy are those of the state.
        shown = unsigned(told["frames"][-1])[None]
        torch.testing.assert_close(network.decode(features), shown, atol=1 / 500, rtol=0)
        energy = network.top.free_energy(network.top.with_label(features, torch.tensor([digit]))).detach()
        assert float(energy) == pytest.approx(told["free_energies"][-1], abs=0.06)
        right += int(judge(shown).argmax()) == digit
    assert right >= 5


def test_a_duel_counts_the_images_that_only_one_reads_right(client: Any) -> None:
    tested = 0
    while True:
        told = client.get("/api/duel?first=softmax&second=deep_relu_xavier").raise_for_status().json()
        assert told["tested"] > tested
        tested = told["tested"]
        if tested == told["images"]:
            break
    counts = told["counts"]
    assert sum(counts.values()) == 10_000
    assert counts["second"] + counts["neither"] == 834
    assert counts["first"] + counts["neither"] == 187
    assert told["p_value"] < 1e-6
    assert len(told["rows"]["second"]) == duel.SHOWN
    network: Any = zoo.load_pretrained("softmax")
    for row, label, first, second in told["rows"]["second"][:5]:
        (levels,) = client.get(f"/api/images?rows={row}").json()
        assert int(network(unsigned(levels)[None]).argmax()) == first != label == second
        assert client.get(f"/api/test_image?row={row}").json()["label"] == label


@pytest.mark.parametrize(
    ("method", "path", "sentence"),
    [
        ("post", "/api/inside?member=sofmax", "member names sofmax"),
        ("post", "/api/inside", "member names none"),
        ("post", "/api/saliency?member=softmax&digit=10", "digit is 10, but it must be 0 to 9"),
        ("post", "/api/fool?member=softmax&digit=x", "digit is x"),
        ("post", "/api/dream?steps=51", "steps is 51, but it must be 1 to 50"),
        ("post", "/api/dream?step=1", "Unknown parameter 'step'"),
        ("post", "/api/dream?digit=10", "digit is 10, but it must be 0 to 9"),
        ("get", "/api/duel?first=softmax", "second names none"),
        ("get", "/api/images?rows=", "rows must be 1 to 60 numbers"),
        ("get", "/api/images?rows=10000", "from 0 to 9999"),
        ("get", f"/api/images?rows={','.join(['1'] * 61)}", "rows must be 1 to 60 numbers"),
        ("get", "/api/test_image", "row is missing"),
        ("get", "/api/test_image?row=-1", "row is -1"),
    ],
)
def test_a_wrong_request_is_told_what_to_send(client: Any, method: str, path: str, sentence: str) -> None:
    response = client.request(method, path, content=bytes(784) if method == "post" else None)
    assert response.status_code == 400
    assert sentence in response.json()["error"]


@pytest.mark.parametrize("panel", ["inside?member=softmax", "saliency?member=softmax", "fool?member=softmax", "dream"])
def test_a_body_that_is_no_image_is_refused(client: Any, panel: str) -> None:
    response = client.post(f"/api/{panel}", content=bytes(783))
    assert response.status_code == 400
    assert "783 bytes, but it must have 784" in response.json()["error"]


def test_a_state_of_another_length_is_refused(client: Any) -> None:
    response = client.post("/api/dream?digit=3", content=bytes(501))
    assert response.status_code == 400
    assert "501 bytes, but for a digit it must have 784" in response.json()["error"]


def test_a_blank_image_has_answers_too(client: Any) -> None:
    for panel in ("inside?member=softmax", "saliency?member=softmax", "fool?member=deep_relu_xavier", "dream"):
        client.post(f"/api/{panel}", content=bytes(784)).raise_for_status()


def test_all_panels_together_wait_for_few_requests(predictor: Predictor) -> None:
    """And a drawing is classified all the same."""
    import asyncio

    import httpx

    from tests.demo.clients import picture
    from zoo.demo.limits import Limits

    application = server.make_application(predictor, ["testserver"])

    async def send_all() -> tuple[list[Any], Any]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=60) as client:
            drawing = client.post("/api/classify", content=picture())
            requests = (client.post("/api/inside?member=softmax", content=bytes(784)) for _ in range(200))
            *answers, last = await asyncio.gather(*requests, drawing)
            return answers, last

    answers, drawing = asyncio.run(send_all())
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= Limits().max_pending_panels
    assert drawing.json()["answer"] == 1
