from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import LightningModule, Trainer

import zoo
from zoo.data.mnist import load_test_data
from zoo.inference.ensemble import Committee
from zoo.metrics.intervals import wilson_interval
from zoo.models import MLP
from zoo.pretrained import entries, registry
from zoo.pretrained.distributions import error_distribution
from zoo.pretrained.evaluation import Evaluation
from zoo.pretrained.loading import _known_classifier
from zoo.pretrained.run_tables import read_table
from zoo.pretrained.verification import verify
from zoo.runs.recipe import first_difference
from zoo.utils.class_paths import default_arguments

SHIPPED = zoo.list_models(pretrained=True)


def test_the_lecture_s_members_ship_trained() -> None:
    assert {
        "softmax",
        "deep_relu",
        "deep_relu_xavier",
        "deep_relu_he",
        "deeper_relu_xavier",
        "dropout",
        "dropout_batchnorm",
    } <= set(SHIPPED)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "cnn" in name else []) for name in SHIPPED]
)
def test_shipped_networks_pass_verification(name: str) -> None:
    model = zoo.load_pretrained(name)
    assert isinstance(model, LightningModule)
    assert not model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    measured = verify(name, load_test_data())
    assert isinstance(measured, Evaluation)
    assert measured.errors == registry.read_index()[name]["test_errors"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_checkpoints_contain_only_weights_class_path_and_plain_values(name: str) -> None:
    info = zoo.model_info(name)
    assert info.metrics is not None
    content = info.checkpoint.read_bytes()
    assert hashlib.sha256(content).hexdigest() == info.metrics["sha256"]
    assert len(content) == info.metrics["bytes"]
    checkpoint = torch.load(info.checkpoint, weights_only=True)
    assert set(checkpoint) == {"state_dict", "hyper_parameters", "pytorch-lightning_version"}
    arguments = checkpoint["hyper_parameters"]
    assert arguments.pop("_class_path").startswith("zoo.models.")
    assert "_instantiator" not in arguments
    assert json.loads(json.dumps(arguments)) == arguments
    # Arguments that were added to the class later have their default values.
    model = zoo.create_model(name)
    not_saved = {"init_from": None, "compile": False}
    assert {**default_arguments(type(model)), **arguments, **not_saved} == {**model.hparams, **not_saved}
    trainable = [p for p in zoo.create_model(name).parameters() if p.requires_grad]
    assert sum(p.numel() for p in trainable) == info.metrics["parameters"]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_metrics_of_an_index_entry_are_consistent(name: str) -> None:
    entry = registry.read_index()[name]
    assert set(entry) == set(entries.Entry.__annotations__)
    assert entry["seed"] == 0
    errors = entry["test_errors"]
    assert entry["test_errors_ci95"] == pytest.approx(wilson_interval(errors, entry["test_images"]), abs=0.06)
    assert entry["papers"] == list(zoo.model_info(name).papers) != []
    assert entry["machine"]["processes"] == 1
    assert f"configs/{name}.yaml --seed_everything 0" in entry["command"]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_runs_of_an_index_entry_are_those_of_the_table(name: str) -> None:
    entry: Mapping[str, Any] = registry.read_index()[name]
    table = read_table(registry.table_path(name))
    assert error_distribution(table, entry["test_images"]).items() <= entry.items()
    assert all(set(run) == set(entries.Run.__annotations__) for run in entry["runs"])
    distributions = (entry, *entry["elsewhere"])
    assert sum(len(each["runs"]) for each in distributions) == len(table)
    for each in distributions:
        assert [run["seed"] for run in each["runs"]] == list(range(len(each["runs"])))
    # The shipped network is a run in the table.
    shipped = [run for run in table if (run.seed, dict(run.machine)) == (entry["seed"], entry["machine"])]
    assert [dict(run.metrics) for run in shipped] == [
        {"test_errors": entry["test_errors"], "val_accuracy": entry["val_accuracy"]}
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_recipe_of_an_index_entry_is_that_of_the_config(name: str) -> None:
    """A changed config requires a new training and publication."""
    recipe = registry.read_index()[name]["config"]
    config = yaml.safe_load(zoo.model_info(name).config.read_text(encoding="utf-8"))
    assert recipe["seed_everything"] == config["seed_everything"] == 0
    assert recipe["trainer"].keys() == config["trainer"].keys()
    assert recipe["trainer"]["max_epochs"] == config["trainer"]["max_epochs"]
    for trained, told in zip(*(each["trainer"].get("callbacks", []) for each in (recipe, config)), strict=True):
        assert trained["class_path"] == told["class_path"]
        assert trained["init_args"].items() >= told["init_args"].items()
    for part in ("model", "data"):
        assert recipe[part]["class_path"] == config[part]["class_path"]
        assert config[part]["init_args"].items() <= recipe[part]["init_args"].items()
    model = zoo.create_model(name)
    arguments = {**default_arguments(type(model)), **recipe["model"]["init_args"]}
    arguments.pop("compile")  # not among the hyperparameters
    # A missing argument equals None.
    assert first_difference(arguments, dict(model.hparams)) is None


def test_the_shipped_networks_take_less_than_45_mib() -> None:
    assert sum(path.stat().st_size for path in (registry.root() / "checkpoints").iterdir()) < 45 * 2**20


def test_the_error_for_an_unknown_name_suggests_close_matches() -> None:
    for function in (zoo.load_pretrained, zoo.create_model, zoo.model_info):
        with pytest.raises(ValueError, match="Unknown member 'sofmax': did you mean softmax"):
            function("sofmax")


def test_the_error_for_a_member_without_a_trained_network_says_how_to_train_it(copied_zoo: Path) -> None:
    shutil.copy(copied_zoo / "configs" / "softmax.yaml", copied_zoo / "configs" / "mine.yaml")
    assert "mine" in zoo.list_models()
    assert "mine" not in zoo.list_models(pretrained=True)
    with pytest.raises(zoo.UsageError, match="zoo fit --config mine"):
        zoo.load_pretrained("mine")


def test_create_model_accepts_overrides() -> None:
    model = zoo.create_model("deep_relu_xavier", hidden_sizes=[3], activation="tanh")
    assert sum(p.numel() for p in model.parameters()) == 784 * 3 + 3 + 3 * 10 + 10
    with pytest.raises(TypeError, match="hidden_size"):
        zoo.create_model("deep_relu_xavier", hidden_size=[3])


def test_list_models_filters_by_pattern() -> None:
    assert zoo.list_models("deep*relu_x*") == ["deep_relu_xavier", "deeper_relu_xavier"]
    assert zoo.list_models("nothing*") == []


def test_importing_zoo_is_fast_and_does_not_import_torch() -> None:
    program = "import time; t = time.perf_counter(); import zoo; s = time.perf_counter() - t; import sys"
    check = f"{program}; assert 'torch' not in sys.modules; assert s < 0.1, s"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_public_names_exist() -> None:
    for name in zoo.__all__:
        assert getattr(zoo, name) is not None
    assert set(zoo.__all__) <= set(dir(zoo))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zoo.nothing  # noqa: B018


def test_calibrated_logits_are_divided_by_the_temperature_of_the_index() -> None:
    images = torch.rand(5, 1, 28, 28)
    temperature = registry.read_index()["dropout_batchnorm"]["temperature"]
    logits = zoo.load_pretrained("dropout_batchnorm")(images)
    calibrated = zoo.load_pretrained("dropout_batchnorm", calibrated=True)
    torch.testing.assert_close(calibrated(images), logits / temperature)
    assert calibrated.state_dict().keys() == zoo.load_pretrained("dropout_batchnorm").state_dict().keys()
    torch.testing.assert_close(
        Committee(["dropout_batchnorm"]).predict(images).mean, calibrated(images).softmax(dim=1).detach()
    )
    with pytest.raises(ValueError, match="no classifier"):
        zoo.load_pretrained("rbm", calibrated=True)


def test_a_calibrated_network_is_not_trained_further(tmp_path: Path) -> None:
    calibrated: Any = zoo.load_pretrained("softmax", calibrated=True)
    with pytest.raises(zoo.UsageError, match="load it without calibrated=True"):
        calibrated.reset_classifier(4)
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(zoo.UsageError, match="load it without calibrated=True"):
        trainer.fit(calibrated, zoo.MNISTDataModule(num_train=100))


def test_a_trained_network_takes_no_random_numbers_and_no_defaults_of_a_program() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        network: Any = zoo.load_pretrained("dropout_batchnorm")
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.rand(3), expected)
    assert network.device.type == "cpu"
    assert network(torch.zeros(1, 1, 28, 28)).dtype == torch.float32


def test_calibration_makes_probabilities_agree_with_the_accuracy_where_they_did_not() -> None:
    entry = registry.read_index()["dropout_batchnorm"]
    assert entry["calibration_error"] > 0.2
    assert entry["calibrated_error"] < 0.01


class OwnNetwork(MLP):
    """A class that no config of the zoo names, and the program has imported."""


def test_a_checkpoint_is_loaded_in_one_line(small_run: Path, tmp_path: Path) -> None:
    for path in (small_run, str(small_run)):
        model = zoo.load_pretrained(path)
        assert isinstance(model, MLP)
        assert not model.training
    with pytest.raises(zoo.UsageError, match="has no temperature"):
        zoo.load_pretrained(small_run, calibrated=True)
    with pytest.raises(zoo.UsageError, match="There is no checkpoint nothing"):
        zoo.load_pretrained("nothing.ckpt")
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, limit_val_batches=0, accelerator="cpu", **quiet)
    trainer.fit(OwnNetwork(hidden_sizes=[4]), datamodule=zoo.MNISTDataModule(num_train=100))
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    assert type(zoo.load_pretrained(tmp_path / "own.ckpt")) is OwnNetwork


def test_a_checkpoint_imports_no_class_but_those_of_the_zoo() -> None:
    assert _known_classifier("zoo.models.mlp.MLP") is MLP
    for path in ("zoo.models.nothing.MLP", "zoo.models.mlp.nn", "zoo.models.base.ZooModule", "os.system", "MLP", ""):
        assert _known_classifier(path) is None
    assert _known_classifier("antigravity.Network") is None
    assert "antigravity" not in sys.modules


def test_sub_packages_are_there_without_importing_them() -> None:
    program = "import zoo; zoo.models.MLP(hidden_sizes=[4]); zoo.data.MNISTDataModule()"
    subprocess.run([sys.executable, "-c", program], check=True)
