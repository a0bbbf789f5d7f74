"""Networks on the Hugging Face hub, by huggingface_hub itself and a server on this machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import zoo
from tests.helpers import SOURCE, error_output
from tests.hub_server import Hub, serve
from zoo.models import MLP
from zoo.pretrained import hub as hub_module
from zoo.pretrained.hub import parse_address
from zoo.runs.checkpoint import write_weights
from zoo.utils.errors import UsageError

LOAD = """
import sys, torch, zoo
try:
    model = zoo.load_pretrained(sys.argv[1])
except zoo.UsageError as error:
    print("refused:", error)
    sys.exit(0)
own = zoo.load_pretrained("softmax")
images = torch.rand(3, 1, 28, 28)
assert type(model) is type(own) and not model.training
assert torch.equal(model(images), own(images))
calibrated = zoo.load_pretrained(sys.argv[1], calibrated=True)
assert torch.equal(calibrated(images), zoo.load_pretrained("softmax", calibrated=True)(images))
print("equal")
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub, which is in .[hub]")
    with serve() as served:
        yield served


def run(hub: Hub, *arguments: str, program: str | None = None, **environment: str) -> Any:
    """Run the command, or a program, where the hub is the server of the test."""
    settings = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(Path("hf").absolute()),
        "HF_TOKEN": "hf_of_the_test",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": SOURCE,
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
        "HOME": str(Path().absolute()),
        **environment,
    }
    start = ["-c", program] if program else ["-m", "zoo"]
    return subprocess.run(
        [sys.executable, *start, *arguments], env=settings, capture_output=True, text=True, timeout=240
    )


def load(hub: Hub, address: str, **environment: str) -> str:
    """Load a network in a new process, and return what it printed."""
    ended = run(hub, address, program=LOAD, **environment)
    assert ended.returncode == 0, ended.stderr
    return str(ended.stdout)


def pushed(hub: Hub, name: str = "softmax") -> str:
    """Push a network and return the address with its commit."""
    ended = run(hub, "push", name, "hf:someone/digits")
    assert ended.returncode == 0, ended.stderr
    found = re.search(r'zoo\.load_pretrained\("(.+)"\)', ended.stdout)
    assert found is not None
    return found[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_pushed_is_loaded_again_and_works_offline(hub: Hub) -> None:
    address = pushed(hub)
    commit = address.rpartition("@")[2]
    files = hub.repositories["someone/digits"].commits[commit]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
    card = yaml.safe_load(files["README.md"].decode().split("---")[1])
    metrics = zoo.model_info("softmax").metrics
    assert metrics is not None
    results = {each["metrics"][0]["type"]: each["metrics"][0]["value"] for each in card["model-index"][0]["results"]}
    assert results["accuracy"] == round(1 - metrics["test_errors"] / 10_000, 6)
    assert card["model-index"][0]["results"][0]["dataset"]["name"] == "MNIST"
    hub.dropped.append(300)  # in the middle of the first file
    assert load(hub, address) == "equal\n"
    before = len(hub.requests)
    assert load(hub, "hf:someone/digits") == "equal\n"
    assert not any("GET" in each for each in hub.requests[before:])  # both files were in the cache
    assert load(hub, address, HF_ENDPOINT="http://127.0.0.1:9") == "equal\n"
    assert load(hub, address, HF_HUB_OFFLINE="1") == "equal\n"
    unknown = load(hub, "hf:someone/else", HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot be reached, and hf:someone/else is not in this machine's cache" in unknown
    classified = run(hub, "classify", f"{SOURCE}/docs/pictures/seven.png", "--model", address)
    assert "seven.png: 7" in classified.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_not_a_network_of_the_zoo_is_refused(hub: Hub) -> None:
    address = pushed(hub)
    repository = hub.repositories["someone/digits"]
    good = repository.commits[address.rpartition("@")[2]]
    config = json.loads(good["config.json"])
    wrong = {
        "are not those that were pushed": {"model.safetensors": good["model.safetensors"][:-4] + b"\0\0\0\0"},
        "not a classifier of the zoo": {"config.json": json.dumps({**config, "class_path": "evil.Network"}).encode()},
        "is no JSON": {"config.json": b"{"},
        "lacks what a network of the zoo has": {"config.json": b"[]"},
        "names 1 classes": {"config.json": json.dumps({**config, "classes": ["a"]}).encode()},
    }
    for sentence, files in wrong.items():
        commit = repository.commit({**good, **files})
        assert sentence in load(hub, f"hf:someone/digits@{commit}"), sentence
    Path("evil.py").write_text("print('ran')")
    assert "There is no such revision" in load(hub, "hf:someone/digits@v1")
    assert "There is no hf:someone/none on the hub" in load(hub, "hf:someone/none")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_checkpoint_of_ones_own_is_pushed_without_metrics(hub: Hub) -> None:
    model = MLP([8], num_classes=3)
    write_weights(model, dict(model.hparams), Path("own.ckpt"))
    commit = pushed(hub, "own.ckpt").rpartition("@")[2]
    files = hub.repositories["someone/digits"].commits[commit]
    assert "model-index" not in files["README.md"].decode()
    assert json.loads(files["config.json"])["classes"] == ["0", "1", "2"]


def test_addresses() -> None:
    assert parse_address("hf:a/b") == ("a/b", None)
    assert parse_address("hf:a/b-1.2@refs/pr/1") == ("a/b-1.2", "refs/pr/1")
    for wrong in ("hf:", "hf:a", "hf:a/b/c", "hf:a/b@", "hf:a/b c", "hf:../b@x y"):
        with pytest.raises(UsageError, match="is no address on the hub"):
            parse_address(wrong)


@pytest.mark.parametrize("words", [["push", "softmax", "hf:a/b"], ["classify", "seven.png", "--model", "hf:a/b"]])
def test_a_missing_package_is_named(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("seven.png").touch()
    monkeypatch.setattr(hub_module, "find_spec", lambda name: None if name == "huggingface_hub" else find_spec(name))
    message = error_output(words, capsys)
    assert "needs huggingface_hub" in message
    assert ".[hub]" in message


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["push", "sofmax", "hf:a/b"], "did you mean softmax"),
        (["push", "softmax", "a/b"], "is no address on the hub"),
        (["info", "hf:a/b"], "is on the hub"),
    ],
)
def test_wrong_arguments_are_reported(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in error_output(words, capsys)
