"""Max-norm against its definition, in every way in which a step is made."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer, seed_everything
from torch import Tensor, nn

import zoo
from zoo.models import DBN, MLP, BaggedEnsemble, Classifier, ResidualCNN
from zoo.training.fused_update import has_step_hooks, make_update
from zoo.training.manual_backward import ManualStep
from zoo.training.max_norm import MaxNorm
from zoo.training.multi_step import MultiStepTraining
from zoo.training.optimizer_state import check_optimizer_states


def projected(units: Tensor, bound: float) -> Tensor:
    """Each row scaled to the length c if it is longer, by the definition."""
    return torch.stack([unit * min(1.0, bound / float(unit.norm())) for unit in units])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_a_step_is_the_optimizer_s_step_and_then_the_projection(optimizer: str) -> None:
    bound = 0.6
    torch.manual_seed(0)
    plain = MLP([5], optimizer=optimizer, lr=0.1).double()
    bounded = MLP([5], optimizer=optimizer, lr=0.1, max_norm=bound).double()
    bounded.load_state_dict(plain.state_dict())
    optimizers = plain.make_optimizer(), bounded.make_optimizer()
    updates = [make_update(each) for each in optimizers]
    for _ in range(4):
        for model, update in zip((plain, bounded), updates, strict=True):
            for number, parameter in enumerate(model.parameters()):
                parameter.grad = torch.full_like(parameter, 0.1 * (number + 1))
            update()
        for expected, found in zip(plain.parameters(), bounded.parameters(), strict=True):
            if expected.dim() == 2:
                with torch.no_grad():
                    expected.copy_(projected(expected, bound))
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
        assert any((w.norm(dim=1) - bound).abs().min() < 1e-12 for w in bounded.parameters() if w.dim() == 2)


def units_of(model: Classifier) -> list[Tensor]:
    """The incoming weights of each unit, a row for each, as the layers have them."""
    if isinstance(model, DBN):
        return [rbm.weight.T for rbm in model.rbms] + [model.output.weight]
    if isinstance(model, BaggedEnsemble):
        return [units for member in model.members() for units in units_of(member)]
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    return [layer.weight.flatten(start_dim=1) for layer in layers]


@pytest.mark.parametrize(
    "make",
    [
        lambda **more: MLP([16], **more),
        lambda **more: DBN([16], pretrain_epochs=1, **more),
        lambda **more: ResidualCNN([4], **more),
        lambda **more: BaggedEnsemble(member_args={"hidden_sizes": [8]}, bootstrap=False, **more),
    ],
)
def test_no_unit_of_any_class_is_longer(make: Callable[..., Classifier]) -> None:
    seed_everything(0, verbose=False)
    bounded = train(make(max_norm=0.3, lr=0.01))
    lengths = [units.detach().norm(dim=1) for units in units_of(bounded)]
    assert max(float(each.max()) for each in lengths) == pytest.approx(0.3, rel=1e-5)


def train(model: Classifier, **settings: Any) -> Classifier:
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "limit_val_batches": 0}
    trainer = Trainer(max_epochs=2, accelerator="cpu", **{**quiet, **settings})
    trainer.fit(model, datamodule=zoo.MNISTDataModule(num_train=500))
    return model


def test_every_way_to_make_a_step_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[type] = []
    original = MultiStepTraining.run

    def note(self: MultiStepTraining, chunk: Any) -> Any:
        result = original(self, chunk)
        kinds.append(type(getattr(self.engine, "step", None)))
        return result

    monkeypatch.setattr(MultiStepTraining, "run", note)

    def weights(**arguments: Any) -> dict[str, Tensor]:
        seed_everything(0, verbose=False)
        return train(MLP([16], max_norm=0.5, lr=0.01, **arguments)).state_dict()

    by_lightning, by_hand = weights(steps_per_call=1), weights()
    assert set(kinds) == {ManualStep}
    monkeypatch.setattr(Classifier, "_chain", lambda self: None)
    by_autograd = weights()
    for name, value in by_lightning.items():
        assert torch.equal(value, by_hand[name])
        assert torch.equal(value, by_autograd[name])


def test_a_step_tried_on_a_copy_of_the_optimizer_changes_no_weight() -> None:
    model, other = MLP([5], max_norm=0.1), MLP([5])
    optimizer, trained = model.make_optimizer(), other.make_optimizer()
    for parameter in other.parameters():
        parameter.grad = torch.ones_like(parameter)
    trained.step()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = copy.deepcopy(model.state_dict())
    check_optimizer_states([optimizer], [trained.state_dict()])  # tries one to learn what state it makes
    assert all(map(torch.equal, before.values(), model.state_dict().values()))
    assert not has_step_hooks(optimizer)


def test_units_without_weights_and_frozen_layers_stay() -> None:
    weight, frozen = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.ones(2, 3))
    with torch.no_grad():
        weight[1] = 3.0
    weight.grad = torch.zeros_like(weight)
    optimizer = torch.optim.SGD([weight, frozen], lr=0.1)
    optimizer.register_step_post_hook(MaxNorm(1.0, {weight: (1,), frozen: (1,)}))
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([[0.0] * 3, [3**-0.5] * 3]))
    assert torch.equal(frozen, torch.ones(2, 3))
