"""A committee as one network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.data.mnist import load_test_data
from zoo.inference.ensemble import Committee
from zoo.models import BaggedEnsemble
from zoo.pretrained.registry import best_members, read_index
from zoo.runs.checkpoint import write_weights
from zoo.utils.errors import UsageError

NAMES = ["dropout_batchnorm", "softmax"]


def make_trainer() -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", enable_checkpointing=False, max_epochs=1, **quiet)  # type: ignore[arg-type]


def test_logits_are_the_log_of_the_mean_of_the_members_calibrated_probabilities() -> None:
    committee, images = zoo.create_committee(NAMES), torch.rand(7, 1, 28, 28)
    members = [zoo.load_pretrained(name, calibrated=True) for name in NAMES]
    with torch.inference_mode():
        expected = torch.stack([member(images).double().softmax(1) for member in members]).mean(0)
        torch.testing.assert_close(committee(images).double().exp(), expected, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(committee.predict(images).mean, committee(images).exp())
        torch.testing.assert_close(committee.predict_step(images, 0), committee(images).exp())


def test_the_test_images_are_counted_by_lightning() -> None:
    committee, data = zoo.create_committee(NAMES), load_test_data()
    (metrics,) = make_trainer().test(committee, datamodule=data, verbose=False)
    images, labels = (torch.cat([batch[part] for batch in data.test_dataloader()]) for part in (0, 1))
    assert metrics["test_errors"] == int((committee.predict(images).mean.argmax(1) != labels).sum())


def test_it_is_never_trained() -> None:
    committee = zoo.create_committee(["softmax"])
    assert not any(module.training for module in committee.train().modules())
    assert not any(parameter.requires_grad for parameter in committee.parameters())
    with pytest.raises(UsageError, match="not trained"):
        make_trainer().fit(committee, datamodule=zoo.MNISTDataModule(num_train=100))
    with pytest.raises(UsageError, match="no output layer"):
        committee.reset_classifier(3)
    with pytest.raises(UsageError):
        BaggedEnsemble(member="Committee")


def test_its_checkpoint_has_names_and_no_weights() -> None:
    model = zoo.create_model("softmax")
    write_weights(model, dict(model.hparams), Path("mine.ckpt"))
    committee, images = zoo.create_committee(["deep_relu", Path("mine.ckpt")]), torch.rand(3, 1, 28, 28)
    trainer = make_trainer()
    trainer.predict(committee, images.unsqueeze(0))
    trainer.save_checkpoint("committee.ckpt")
    assert Path("committee.ckpt").stat().st_size < 10_000
    content = torch.load("committee.ckpt", weights_only=True)
    assert content["hyper_parameters"]["members"] == ["deep_relu", "mine.ckpt"]
    loaded = Committee.load_from_checkpoint("committee.ckpt")
    assert torch.equal(loaded(images), committee(images))
    same = Committee.load_from_checkpoint("committee.ckpt", strict=True, weights_only=True)
    assert list(same.members) == list(committee.members)
    with pytest.raises(UsageError, match="whole and without code"):
        Committee.load_from_checkpoint("committee.ckpt", weights_only=False)
    with pytest.raises(UsageError, match=r"holds a zoo\.models\.softmax\.SoftmaxRegression, not a committee"):
        Committee.load_from_checkpoint("mine.ckpt")


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["onnx", "torch_export"])
def test_it_is_exported_as_one_graph(format_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from zoo.inference import export

    for package in export.FORMATS[format_name].packages:
        pytest.importorskip(package, reason=f"{format_name} needs {package}, which is in .[export]")
    assert main(["export", *NAMES, "--format", format_name]) == 0
    path = Path("committee" + export.FORMATS[format_name].suffix)
    assert capsys.readouterr().out.startswith(f"{path}: ")
    committee, images = zoo.create_committee(NAMES), torch.rand(5, 1, 28, 28)
    found = export.FORMATS[format_name].read(committee, path)(images)
    torch.testing.assert_close(found, committee(images), rtol=1e-4, atol=1e-4)
    if format_name == "onnx":
        metadata = {each.key: each.value for each in pytest.importorskip("onnx").load(str(path)).metadata_props}
        assert json.loads(metadata["members"]) == NAMES
        assert metadata["temperature"] == "1.0"


def test_the_best_are_chosen_by_the_validation_images(capsys: pytest.CaptureFixture[str]) -> None:
    best = best_members(3)
    accuracies = {name: entry["val_accuracy"] or 0 for name, entry in read_index().items()}
    assert [accuracies[name] for name in best] == sorted(accuracies.values(), reverse=True)[:3]
    with pytest.raises(UsageError, match="The best 99 were asked for"):
        best_members(99)


@pytest.mark.slow
def test_the_best_are_counted_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--best", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == best_members(5)
    assert lines[6].startswith("committee, mean probability")
    (metrics,) = make_trainer().test(zoo.create_committee(best_members(5)), datamodule=load_test_data(), verbose=False)
    assert int(lines[6].split()[3]) == metrics["test_errors"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["export", "--format", "onnx"], "Name a member"),
        (["export", "softmax", "--best", "2", "--format", "onnx"], "Name a member"),
        (["export", "softmax", "softmax", "--format", "torch_export"], "softmax is named twice"),
        (["export", "softmax", "droput", "--format", "onnx"], "did you mean dropout"),
        (["export", "softmax", "dropout", "--format", "safetensors"], "no weights of its own"),
        (["compare", "softmax", "--best", "2"], "--best chooses the members itself"),
        (["compare", "--best", "1"], "--best is 1, but two members or more are needed"),
    ],
)
def test_mistakes_are_named(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in error_output(words, capsys)


def test_a_run_is_a_member() -> None:
    run = zoo.fit("softmax", max_epochs=1, num_train=200, accelerator="cpu", progress=False)
    assert list(zoo.create_committee([run, "softmax"]).members) == [str(run.checkpoint), "softmax"]
    with pytest.raises(UsageError, match="list of members"):
        zoo.create_committee(run)  # type: ignore[arg-type]


def test_a_name_alone_is_no_list() -> None:
    with pytest.raises(UsageError, match="takes a list of members"):
        zoo.create_committee("softmax")
