"""What a captured step takes for granted is looked at between steps; what a GPU computes is in tests/gpu."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

import zoo
from zoo.models import MLP, RBM, BaggedEnsemble, ZooModule
from zoo.training.cuda_graph import _CapturedSteps, _LearningRates, describe_state
from zoo.training.max_norm import max_norm_of
from zoo.training.steps import Batch, StepResult
from zoo.training.virtual_adversarial import VirtualAdversarialTraining


def drop_less(model: Any) -> None:
    for part in model.parts():
        if isinstance(part, nn.Dropout):
            part.p = 0.1


def set_option(name: str, value: float) -> Callable[[Any], None]:
    return lambda model: model.hparams.update({name: value})


def make_net() -> ZooModule:
    return MLP(hidden_sizes=[16], dropout=0.5, batch_norm=True)


def make_ensemble() -> ZooModule:
    return BaggedEnsemble("zoo.models.MLP", {"hidden_sizes": [16], "dropout": 0.5}, num_members=2)


CHANGES: dict[str, tuple[Callable[[], ZooModule], Callable[[Any], object]]] = {
    "dropout": (make_net, drop_less),
    "dropout of an ensemble": (make_ensemble, drop_less),
    "l2": (make_net, set_option("l2", 0.1)),
    "label smoothing": (make_net, set_option("label_smoothing", 0.1)),
    "vat": (make_net, lambda model: setattr(model, "vat", VirtualAdversarialTraining(1.0))),
    "momentum of batch norm": (make_net, lambda model: setattr(model.net[2], "momentum", 0.3)),
    "mode": (make_net, lambda model: model.net[2].eval()),
    "frozen layer": (make_net, lambda model: model.net[1].requires_grad_(False)),
    "steps of Gibbs sampling": (lambda: RBM(num_hidden=4), lambda model: setattr(model.divergence, "gibbs_steps", 3)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_between_steps_is_noticed(what: str) -> None:
    make, change = CHANGES[what]
    model = make()
    optimizer = torch.optim.Adam(model.parameters())
    before = describe_state(model, optimizer)
    assert describe_state(model, optimizer) == before
    change(model)
    assert describe_state(model, optimizer) != before


def test_an_optimizer_s_settings_are_looked_at_and_its_learning_rate_is_not() -> None:
    model = make_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = describe_state(model, optimizer)
    optimizer.param_groups[0]["lr"] = 0.2
    assert describe_state(model, optimizer) == before
    optimizer.param_groups[0]["momentum"] = 0.9
    assert describe_state(model, optimizer) != before


def test_a_change_of_max_norm_is_noticed() -> None:
    model = MLP(hidden_sizes=[16], max_norm=3.0)
    optimizer = model.make_optimizer()
    before = describe_state(model, optimizer)
    assert describe_state(model, optimizer) == before
    max_norm = max_norm_of(optimizer)
    assert max_norm is not None
    max_norm.bound = 2.0
    assert describe_state(model, optimizer) != before


@pytest.mark.parametrize("name", zoo.list_models())
def test_a_step_changes_nothing_that_is_looked_at(name: str) -> None:
    model = zoo.create_model(name)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = describe_state(model, optimizer)
    images, labels, rows = torch.rand(4, 1, 28, 28), torch.arange(4), torch.arange(4)
    if not isinstance(model, BaggedEnsemble):  # its step takes the rows of each member
        model.train().step((images, labels, rows))
    model.train()
    assert describe_state(model, optimizer) == before


class Looking(Callback):
    def __init__(self) -> None:
        self.at_the_start: dict[int, object] = {}
        self.after_the_last_step: dict[int, object] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.at_the_start[trainer.current_epoch] = self.look(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.after_the_last_step[trainer.current_epoch] = self.look(pl_module)

    def look(self, module: Any) -> object:
        places, _, *settings = describe_state(module, module.step_optimizer())
        return places, settings  # a CPU's steps put the moments elsewhere in every call


@pytest.mark.parametrize("name", zoo.list_models())
def test_an_epoch_and_its_validation_change_nothing_that_is_looked_at(name: str) -> None:
    small = {"pretrain_epochs": 1, "hidden_sizes": [8, 8]} if name in ("dbn", "generative_dbn") else {}
    looking = Looking()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=4, accelerator="cpu", limit_val_batches=1, callbacks=[looking], **quiet)
    data = zoo.MNISTDataModule(num_train=20, batch_size=10, eval_batch_size=10, with_indices=name == "bagging")
    trainer.fit(zoo.create_model(name, **small), datamodule=data)
    assert looking.after_the_last_step[2] == looking.at_the_start[3]  # dbn is pretrained in the first two


class NoGraph(contextlib.AbstractContextManager[None]):
    """In place of torch's classes, which need a GPU."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("fails", [False, True])
def test_no_garbage_is_collected_during_a_capture(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "CUDAGraph", NoGraph)
    monkeypatch.setattr(torch.cuda, "graph", NoGraph)
    optimizer = torch.optim.SGD(make_net().parameters())
    collected: list[bool] = []

    def step(batch: Batch) -> StepResult:
        collected.append(gc.isenabled())
        if fails:
            raise RuntimeError
        return {"loss": torch.zeros(())}

    rates = _LearningRates(optimizer, torch.device("cpu"))
    with pytest.raises(RuntimeError) if fails else contextlib.nullcontext():
        _CapturedSteps(lambda rows: [(rows, rows)], step, torch.zeros(1, 5), optimizer, rates, None)  # type: ignore[arg-type]
    assert collected == [False]
    assert gc.isenabled()
