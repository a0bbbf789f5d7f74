from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule

import zoo
from zoo import members
from zoo.publishing import count_errors

SHIPPED = zoo.list_models(pretrained=True)


@pytest.fixture
def copied_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configs and checkpoints in a folder where a test may do them harm."""
    home = tmp_path / "zoo"
    for folder in ("configs", "checkpoints"):
        shutil.copytree(members.root() / folder, home / folder)
    monkeypatch.setattr(members, "root", lambda: home)
    members.read_index.cache_clear()
    monkeypatch.setattr(members, "read_index", members.read_index.__wrapped__)
    return home


def test_the_lecture_s_members_ship() -> None:
    assert {
        "softmax",
        "deep_relu",
        "deep_relu_xavier",
        "deep_relu_he",
        "deeper_relu_xavier",
        "dropout",
        "dropout_batchnorm",
    } <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_makes_exactly_its_published_errors(name: str) -> None:
    model = zoo.load_pretrained(name)
    assert isinstance(model, LightningModule)
    assert not model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert count_errors(model) == members.read_index()[name]["test_errors"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_holds_weights_class_and_primitives_only(name: str) -> None:
    info = zoo.model_info(name)
    assert info.figures is not None
    content = info.checkpoint.read_bytes()
    assert hashlib.sha256(content).hexdigest() == info.figures["sha256"]
    assert len(content) == info.figures["bytes"]
    checkpoint = torch.load(info.checkpoint, weights_only=True)
    assert set(checkpoint) == {"state_dict", "hyper_parameters", "pytorch-lightning_version"}
    arguments = checkpoint["hyper_parameters"]
    assert arguments.pop("_class_path").startswith("zoo.models.")
    assert "_instantiator" not in arguments
    assert json.loads(json.dumps(arguments)) == arguments
    assert arguments == dict(zoo.create_model(name).hparams)
    trainable = [p for p in zoo.create_model(name).parameters() if p.requires_grad]
    assert sum(p.numel() for p in trainable) == info.figures["parameters"]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_seed_is_0_and_all_seeds_are_reported(name: str) -> None:
    entry = members.read_index()[name]
    assert entry["seed"] == 0
    assert [run["seed"] for run in entry["runs"]] == [0, 1, 2]
    assert entry["runs"][0]["test_errors"] == entry["test_errors"]


def test_shipped_networks_stay_small() -> None:
    assert sum(path.stat().st_size for path in (members.root() / "checkpoints").iterdir()) < 45 * 2**20


def test_a_flipped_byte_is_refused(copied_zoo: Path) -> None:
    path = copied_zoo / "checkpoints" / "softmax.ckpt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(zoo.UsageError, match="is not the file that was published"):
        zoo.load_pretrained("softmax")


def test_a_missing_file_is_said_so(copied_zoo: Path) -> None:
    (copied_zoo / "checkpoints" / "softmax.ckpt").unlink()
    with pytest.raises(zoo.UsageError, match=r"softmax\.ckpt is missing"):
        zoo.load_pretrained("softmax")


def test_unknown_names_come_with_the_close_matches() -> None:
    for function in (zoo.load_pretrained, zoo.create_model, zoo.model_info):
        with pytest.raises(ValueError, match="Unknown member 'sofmax': did you mean softmax"):
            function("sofmax")


def test_a_member_without_a_trained_network_says_how_to_get_one(copied_zoo: Path) -> None:
    shutil.copy(copied_zoo / "configs" / "softmax.yaml", copied_zoo / "configs" / "mine.yaml")
    assert "mine" in zoo.list_models()
    assert "mine" not in zoo.list_models(pretrained=True)
    with pytest.raises(zoo.UsageError, match="zoo fit --config mine"):
        zoo.load_pretrained("mine")


def test_create_model_takes_overrides() -> None:
    model = zoo.create_model("deep_relu_xavier", hidden_sizes=[3], activation="tanh")
    assert sum(p.numel() for p in model.parameters()) == 784 * 3 + 3 + 3 * 10 + 10
    with pytest.raises(TypeError, match="hidden_size"):
        zoo.create_model("deep_relu_xavier", hidden_size=[3])


def test_list_models_filters() -> None:
    assert zoo.list_models("deep*relu_x*") == ["deep_relu_xavier", "deeper_relu_xavier"]
    assert zoo.list_models("nothing*") == []


def test_import_costs_nothing() -> None:
    program = "import time; t = time.perf_counter(); import zoo; s = time.perf_counter() - t; import sys"
    check = f"{program}; assert 'torch' not in sys.modules; assert s < 0.1, s"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_public_names_are_there() -> None:
    for name in zoo.__all__:
        assert getattr(zoo, name) is not None
    assert set(zoo.__all__) <= set(dir(zoo))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zoo.nothing  # noqa: B018


def readme() -> str:
    return (Path(zoo.__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_readme_s_figures_are_the_index_s(name: str) -> None:
    entry: dict[str, Any] = members.read_index()[name]
    (row,) = (line for line in readme().splitlines() if line.startswith(f"| `{name}` |"))
    accuracies = [1 - run["test_errors"] / 10_000 for run in entry["runs"]]
    mean = sum(accuracies) / 3
    deviation = (sum((a - mean) ** 2 for a in accuracies) / 2) ** 0.5
    assert f"{mean:.4f} ± {deviation:.4f}" in row
    assert " ".join(f"{a:.4f}" for a in accuracies) in row


def test_ci_runs_the_readme_s_test_command() -> None:
    (command,) = re.findall(r"^python3 -m venv .*pytest$", readme(), flags=re.MULTILINE)
    assert command in (Path(zoo.__file__).parent.parent / ".ci" / "run").read_text(encoding="utf-8")
