"""Networks compiled by torch.compile, whole or in part, are trained as others are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from zoo import MNISTDataModule
from zoo.cli import main
from zoo.models import DBN, MLP, RBM, ZooModule
from zoo.models.bagging import BaggedEnsemble
from zoo.training.onednn import ONEDNN


@pytest.fixture(autouse=True)
def forget_compiled_code() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def compile_network(module: ZooModule) -> Any:
    return torch.compile(module, backend="eager")


def compile_in_place(module: ZooModule) -> Any:
    module.compile(backend="eager")
    return module


def compile_part(module: Any) -> Any:
    module.net = torch.compile(module.net, backend="eager")
    return module


def compile_part_in_place(module: Any) -> Any:
    module.net.compile(backend="eager")
    return module


WAYS = (compile_network, compile_in_place, compile_part, compile_part_in_place)


def make_trainer(epochs: int) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    return Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, **quiet)  # type: ignore[arg-type]


def make_data() -> MNISTDataModule:
    return MNISTDataModule(num_train=200, val_size=100, with_indices=True)


@pytest.mark.parametrize("way", WAYS)
def test_weights_and_their_names_are_those_of_a_training_without_the_compiler(
    way: Callable[[ZooModule], Any],
) -> None:
    def train(prepare: Callable[[ZooModule], Any], name: str) -> dict[str, Any]:
        torch.manual_seed(0)
        trainer = make_trainer(2)
        trainer.fit(prepare(MLP([8], batch_norm=True, steps_per_call=1)), datamodule=make_data())
        trainer.save_checkpoint(name)
        content: dict[str, Any] = torch.load(name, weights_only=True)
        return content["state_dict"]  # type: ignore[no-any-return]

    plain, compiled = train(lambda module: module, "plain.ckpt"), train(way, "compiled.ckpt")
    assert list(plain) == list(compiled)
    torch.testing.assert_close(plain, compiled)
    # A compiled network goes on from either file, and is evaluated with its weights.
    module = way(MLP([8], batch_norm=True))
    make_trainer(3).fit(module, datamodule=make_data(), ckpt_path="compiled.ckpt", weights_only=True)
    (metrics,) = make_trainer(1).test(module, make_data(), "plain.ckpt", verbose=False, weights_only=True)
    loaded = MLP.load_from_checkpoint("plain.ckpt")
    assert make_trainer(1).test(loaded, make_data(), verbose=False) == [metrics]
    probabilities = make_trainer(1).predict(module, make_data(), ckpt_path="plain.ckpt", weights_only=True)
    assert probabilities is not None
    assert len(probabilities) == 10


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize(
    "make",
    [
        lambda: DBN([8], pretrain_epochs=1),
        lambda: RBM(num_hidden=4),
        lambda: BaggedEnsemble(member_args={"hidden_sizes": [4]}, num_members=2),
    ],
)
def test_every_kind_of_network_can_be_compiled(make: Callable[[], ZooModule], way: Callable[[ZooModule], Any]) -> None:
    trainer = make_trainer(2)
    trainer.fit(way(make()), datamodule=make_data())
    assert trainer.global_step == 4


def test_a_compiled_part_is_no_obstacle_to_finding_the_output_layer() -> None:
    module = compile_part(MLP([8], batch_norm=True))
    plain = MLP([8], batch_norm=True).feature_names()
    assert [name.replace("_orig_mod.", "") for name in module.feature_names()] == plain


@pytest.mark.parametrize("model", [MLP, BaggedEnsemble])
def test_the_argument_compiles_the_layers_and_no_checkpoint_stores_it(
    model: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(compiled: bool) -> Any:
        torch.manual_seed(0)
        module = model(compile=compiled)
        trainer = make_trainer(1)
        trainer.fit(module, datamodule=make_data())
        return trainer, module

    in_place, backends = nn.Module.compile, []

    def compile_eagerly(part: nn.Module) -> None:
        backends.append(type(part).__name__)
        in_place(part, backend="eager")  # without a C++ compiler's minute

    monkeypatch.setattr(nn.Module, "compile", compile_eagerly)
    monkeypatch.setenv(ONEDNN, "0")  # it rounds otherwise, and is not for compiled networks
    trainer, module = fit(compiled=True)
    assert backends
    assert "compile" not in module.hparams
    trainer.save_checkpoint("compiled.ckpt", weights_only=True)
    loaded = model.load_from_checkpoint("compiled.ckpt", weights_only=True)
    count = len(backends)
    _, plain = fit(compiled=False)
    assert len(backends) == count
    assert loaded.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_with_the_compiler_is_tested_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--data.num_train", "1000", "--data.val_size", "1000", "--trainer.max_epochs", "1"]
    assert main(["fit", "--config", "deep_relu_xavier", "--model.compile", "true", *short]) == 0
    trained = capsys.readouterr().out
    checkpoint = "logs/deep_relu_xavier/version_0/checkpoints/last.ckpt"
    assert main(["test", "--config", "deep_relu_xavier", "--ckpt_path", checkpoint]) == 0
    tested = capsys.readouterr().out
    assert tested.splitlines()[-1] in trained
