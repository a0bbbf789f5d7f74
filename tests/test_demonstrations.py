"""Demonstrations: a trained RBM can be published, verified, described and loaded, although it is not a member."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import write_pictures
from zoo.cli import main
from zoo.models import RBM
from zoo.pretrained import entries, registry

CONFIG = """# A small restricted Boltzmann machine
# Paper: Nobody, "Nothing", 1900
seed_everything: 0
model:
  class_path: zoo.models.RBM
  init_args:
    num_hidden: 8
data:
  class_path: zoo.data.MNISTDataModule
  init_args:
    num_train: 1000
trainer:
  max_epochs: 2
"""

CPU = ("--trainer.accelerator", "cpu")

pytestmark = pytest.mark.usefixtures("quick_annealing")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, quick_annealing: None) -> Path:
    """The logs of two training runs, seeds 0 and 1, shared by all tests of this file."""
    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    (folder / "tiny.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZOO_DATA", str(folder / "no-data"))
        patch.setattr("sys.argv", ["zoo"])
        for seed in ("0", "1"):
            assert main(["fit", "--config", "tiny.yaml", "--seed_everything", seed, *CPU]) == 0
    return folder / "logs"


@pytest.fixture
def published(runs: Path, copied_zoo: Path) -> Path:
    """A copy of the zoo in which the RBM is published."""
    (copied_zoo / "configs/demos/tiny.yaml").write_text(CONFIG)
    shutil.copytree(runs, "logs")
    assert main(["publish", "tiny", *(f"logs/tiny/version_{seed}/checkpoints/last.ckpt" for seed in (0, 1))]) == 0
    return copied_zoo


def test_published_rbm_is_verified_and_listed_but_is_not_a_member(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = json.loads((published / "checkpoints/demonstrations.json").read_text())["tiny"]
    assert set(entry) == set(entries.LikelihoodEntry.__annotations__)
    assert [run["seed"] for run in entry["runs"]] == [0, 1]
    assert entry["log_likelihood"] == entry["runs"][0]["log_likelihood"]
    assert entry["command"] == "zoo fit --config configs/demos/tiny.yaml --seed_everything 0"
    assert "tiny" not in zoo.list_models()
    assert main(["verify", "tiny"]) == 0
    assert f"log-likelihood {entry['log_likelihood']:.2f} nats" in capsys.readouterr().out
    assert main(["list"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("Demonstrations that ship trained: ")
    assert "tiny" in last
    assert main(["info", "tiny"]) == 0
    card = capsys.readouterr().out
    assert f"{entry['log_likelihood']:.2f} nats" in card
    assert "pixels" in card
    assert max(map(len, card.splitlines())) <= 100


def test_published_rbm_is_loaded_and_tested_by_name(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = zoo.load_pretrained("tiny")
    assert isinstance(model, RBM)
    assert not model.training
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 8)
    capsys.readouterr()
    assert main(["test", "--config", "demos/tiny", "--ckpt_path", "tiny", *CPU]) == 0
    log_likelihood = registry.read_demonstrations()["tiny"]["log_likelihood"]
    assert f"log-likelihood {log_likelihood:.2f} nats" in capsys.readouterr().out


def test_verify_finds_differences_from_the_published_values(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = published / "checkpoints/demonstrations.json"
    index = json.loads(path.read_text())
    for key, value in {"log_likelihood": -1.0, "golden_free_energies": [0.0] * 10, "parameters": 1}.items():
        path.write_text(json.dumps({**index, "tiny": {**index["tiny"], key: value}}))
        registry.read_demonstrations.cache_clear()
        assert main(["verify", "tiny"]) == 1
        assert "zoo: tiny: " in capsys.readouterr().err
    content = bytearray((published / "checkpoints/tiny.ckpt").read_bytes())
    content[len(content) // 2] ^= 1
    (published / "checkpoints/tiny.ckpt").write_bytes(content)
    path.write_text(json.dumps(index))
    registry.read_demonstrations.cache_clear()
    assert main(["verify", "tiny"]) == 1
    assert "not the file that was published" in capsys.readouterr().err


def test_commands_for_classifiers_refuse_an_rbm(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "tiny"]) == 2
    assert "is no classifier" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no classifier"):
        zoo.create_model("tiny")


@pytest.mark.parametrize("name", sorted(path.stem for path in (registry.root() / "configs/demos").glob("*.yaml")))
def test_every_demonstration_runs_from_its_config(
    name: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "--config", f"demos/{name}", "--trainer.fast_dev_run", "true", *CPU]
    if name == "image_folder":
        fit += ["--data.data_dir", str(write_pictures(Path("own"), [str(digit) for digit in range(10)], 2))]
    if name == "fashion_mnist":
        # MNIST's files stand in for Fashion-MNIST's, which have the same format, so that nothing is downloaded.
        shutil.copytree(data_dir / "MNIST", "data/FashionMNIST", copy_function=os.link)
        fit += ["--data.data_dir", "data"]
    assert main(fit) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")
    assert (registry.root() / f"configs/demos/{name}.yaml").read_text(encoding="utf-8").startswith("# ")
