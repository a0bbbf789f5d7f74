"""Tests of own checkpoints beside the members."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.demo.browser import SEVEN, draw, opened_page, wait_for_prediction
from tests.helpers import error_output, start_zoo
from zoo.inference.digit_check import DigitCheck
from zoo.models import MLP
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.registry import list_models, model_info
from zoo.runs.checkpoint import write_weights

testclient = pytest.importorskip("starlette.testclient", reason="needs Starlette, which is in .[test]")

from tests.demo.clients import picture  # noqa: E402
from zoo.demo import server  # noqa: E402
from zoo.demo.inference import Predictor  # noqa: E402
from zoo.demo.own_runs import load_own  # noqa: E402

IN_A_RUN = Path("logs/mine/version_3/checkpoints/last.ckpt")


def copy_member(name: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(model_info(name).checkpoint, path)
    return path


def predictor_of(names: list[str], *paths: Path) -> Predictor:
    return Predictor(names, load_own(map(str, paths), names))


def test_own_checkpoints_come_first_and_have_a_vote() -> None:
    paths = [copy_member("deep_relu", IN_A_RUN), copy_member("deep_relu_xavier", Path("a,b.ckpt"))]
    client = testclient.TestClient(server.make_application(predictor_of(["softmax"], *paths), ["testserver"]))
    own, other, member = client.get("/api/members").json()
    assert [own["name"], other["name"], member["name"]] == ["mine/version_3", "a_b", "softmax"]
    assert (own["own"], member["own"]) == (True, False)
    assert own["description"] == f"MLP, {IN_A_RUN}"
    assert (own["parameters"], own["test_errors"]) == (269_322, None)
    told = client.post("/api/classify", content=picture()).json()
    assert list(told["members"]) == ["mine/version_3", "a_b", "softmax"]
    assert sum(told["votes"]) == 3
    image = torch.tensor(told["seen"]).float().view(1, 1, 28, 28) / 255
    expected = load_classifier(str(IN_A_RUN)).probabilities(image)[0].tolist()
    assert told["members"]["mine/version_3"]["probabilities"] == pytest.approx(expected, abs=1e-3)
    alone = client.post("/api/classify?members=mine/version_3", content=picture()).json()
    assert list(alone["members"]) == ["mine/version_3"]
    assert len(client.post("/api/inside?member=mine/version_3", content=bytes(784)).json()["layers"]) == 2


def test_two_checkpoints_of_the_same_name_are_told_apart() -> None:
    paths = [copy_member("softmax", Path(folder) / "dropout.ckpt") for folder in ("one", "two")]
    assert predictor_of(["dropout"], *paths).names == ["dropout (2)", "dropout (3)", "dropout"]


@pytest.mark.slow
def test_the_score_of_no_digit_leaves_out_own_checkpoints() -> None:
    path = copy_member("deep_relu", IN_A_RUN)
    predictor = predictor_of([], path)
    pixels = predictor.test_image(8)[0].clone()
    score = predictor.predict(pixels, predictor.names)["no_digit"]
    members = [load_classifier(name).probabilities(pixels[None]).detach() for name in list_models(pretrained=True)]
    expected = DigitCheck()(pixels[None], torch.stack(members))
    assert score["score"] == pytest.approx(float(expected.scores[0]), abs=2e-3)
    assert sum(score["parts"].values()) == pytest.approx(score["score"], abs=2e-3)
    assert predictor.predict(pixels, predictor.names[:-1])["no_digit"] is None


def test_what_is_no_classifier_of_digits_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    model = MLP([4], num_classes=3)
    write_weights(model, dict(model.hparams), Path("three.ckpt"))
    demo = ["demo", "softmax", "--port", "0", "--model"]
    assert "There is no file nothing.ckpt: name a checkpoint" in error_output([*demo, "nothing.ckpt"], capsys)
    assert "three.ckpt tells 0, 1, 2 apart, and the page is for digits" in error_output([*demo, "three.ckpt"], capsys)
    assert "rbm.ckpt" in error_output([*demo, str(model_info("rbm").checkpoint)], capsys)


@pytest.mark.slow
def test_an_own_run_is_shown_beside_the_members() -> None:
    path = copy_member("deep_relu_xavier", IN_A_RUN)
    process = start_zoo("demo", "softmax", "--model", str(path), "--port", "0")
    try:
        assert process.stdout is not None
        with opened_page(process.stdout.readline().split()[2]) as page:
            draw(page, SEVEN)
            wait_for_prediction(page, 7)
            assert "2 of 2 agree" in page.inner_text("#verdict")
            row: Any = page.locator("#members tr").first
            assert row.get_attribute("data-member") == "mine/version_3"
            assert row.get_attribute("data-answer") == "7"
            assert page.locator("#panel-inside select").input_value() == "mine/version_3"
            row.locator(".name").click()
            assert "a network of your own" in page.inner_text("#card")
    finally:
        process.kill()
        process.communicate()
