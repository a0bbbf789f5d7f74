"""Requirements that every member of the zoo meets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from tests.conftest import MEMBERS
from zoo.cli import main
from zoo.models import BaggedEnsemble, GenerativeDBN
from zoo.runs.checkpoint import write_weights
from zoo.utils.class_paths import class_path_of

pytestmark = pytest.mark.parametrize("name", MEMBERS)


def test_logits_are_finite_float32_of_shape_batch_by_10(name: str) -> None:
    model = zoo.create_model(name).eval()
    for size in (1, 2, 7):
        logits = model(torch.rand(size, 1, 28, 28))
        assert logits.shape == (size, 10)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()


def test_loss_has_a_gradient_for_every_trained_parameter(name: str) -> None:
    model = zoo.create_model(name).train()
    F.cross_entropy(model(torch.rand(32, 1, 28, 28)), torch.arange(32) % 10).backward()
    trained = {id(parameter) for group in model.parameter_groups() for parameter in group["params"]}
    with_gradient = {
        id(parameter) for parameter in model.parameters() if parameter.grad is not None and parameter.grad.any()
    }
    assert trained == with_gradient


def test_logits_of_an_image_do_not_depend_on_the_rest_of_the_batch_in_eval_mode(name: str) -> None:
    model = zoo.create_model(name).eval()
    images = torch.rand(4, 1, 28, 28, requires_grad=True)
    model(images)[2].square().sum().backward()
    assert images.grad is not None
    has_gradient = [bool(image.any()) for image in images.grad]
    assert has_gradient == [False, False, True, False]


@pytest.fixture(scope="module")
def logits_of_fresh_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of each member, and its logits as computed in another process."""
    folder = tmp_path_factory.mktemp("checkpoints")
    classes = {}
    for name in MEMBERS:
        model = zoo.create_model(name)
        write_weights(model, dict(model.hparams), folder / f"{name}.ckpt")
        classes[name] = class_path_of(type(model)).rsplit(".", 1)
    program = f"""
import importlib, torch
torch.set_num_threads(1)
images = torch.linspace(0, 1, 5 * 784).reshape(5, 1, 28, 28)
for name, (module, cls) in {classes!r}.items():
    model = getattr(importlib.import_module(module), cls).load_from_checkpoint(f"{{name}}.ckpt", weights_only=True)
    torch.save(model.eval()(images).detach(), f"{{name}}.logits")
"""
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    return folder


def test_checkpoint_gives_equal_logits_in_a_fresh_process(name: str, logits_of_fresh_process: Path) -> None:
    images = torch.linspace(0, 1, 5 * 784).reshape(5, 1, 28, 28)
    model = type(zoo.create_model(name)).load_from_checkpoint(logits_of_fresh_process / f"{name}.ckpt").eval()
    assert torch.equal(torch.load(logits_of_fresh_process / f"{name}.logits", weights_only=True), model(images))


def test_features_are_the_inputs_of_the_output_layer(name: str) -> None:
    model = zoo.create_model(name).eval()
    images = torch.rand(3, 1, 28, 28)
    features = model.forward_features(images)
    assert features.shape[0] == 3
    assert features.dim() == 2
    if isinstance(model, BaggedEnsemble):
        expected = torch.cat([member.forward_features(images) for member in model.members()], dim=1)
        assert torch.equal(features, expected)
    elif isinstance(model, GenerativeDBN):
        assert torch.equal(model.top.logits(features), model(images))
    elif not any(isinstance(module, nn.BatchNorm1d) for module in model.modules()):
        torch.testing.assert_close(model.output_layer(features), model(images))


def test_output_layer_can_be_replaced_for_other_classes(name: str) -> None:
    model = zoo.create_model(name).eval()
    images = torch.rand(3, 1, 28, 28)
    features, num_feature_names = model.forward_features(images), len(model.feature_names())
    model.reset_classifier(7)
    assert model(images).shape == (3, 7)
    assert not model.training
    assert torch.equal(model.forward_features(images), features)
    assert len(model.feature_names()) == num_feature_names
    write_weights(model, dict(model.hparams), Path("seven.ckpt"))
    reloaded = type(model).load_from_checkpoint("seven.ckpt").eval()
    assert torch.equal(reloaded(images), model(images))
    logits = model(images)
    frozen = model.feature_names()
    model.requires_grad_(False)
    model.reset_classifier(7)  # reinitializes also with the same number of classes
    trained = {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert trained.isdisjoint(frozen)
    assert not torch.allclose(model(images), logits)


def test_fit_runs_with_the_config_of_the_member(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"]
    assert main(["fit", "--config", name, *arguments]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")
    assert list(tmp_path.iterdir()) == []


def test_config_states_seed_class_and_hyperparameters(name: str) -> None:
    text = zoo.model_info(name).config.read_text(encoding="utf-8")
    assert text.startswith("# ")
    for key in ("seed_everything:", "class_path: zoo.", "lr:", "batch_size:", "max_epochs:"):
        assert key in text
