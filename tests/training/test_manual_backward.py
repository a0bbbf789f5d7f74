"""Back-propagation written out gives autograd's gradients to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

import zoo
from zoo.layers.activations import ACTIVATIONS
from zoo.models import MLP, Classifier
from zoo.training.manual_backward import Chain, ManualStep
from zoo.training.onednn import ONEDNN
from zoo.training.optimizers import OPTIMIZERS, make_optimizer
from zoo.training.steps import AutogradStep, Batch, LossAndMetrics


def chain_of(model: Classifier) -> Chain:
    layers = model.layers_in_order()
    assert layers is not None
    chain = Chain.of(layers)
    assert chain is not None
    return chain


def step_of(model: Any) -> Any:
    return model.make_step(model.make_optimizer())


def batch(dtype: torch.dtype = torch.float32, size: int = 100) -> tuple[Tensor, Tensor]:
    return torch.rand(size, 1, 28, 28, dtype=dtype), torch.randint(10, (size,))


@pytest.mark.parametrize(
    "arguments",
    [
        *({"activation": name} for name in ACTIVATIONS),
        {"hidden_sizes": []},
        {"dropout": 0.3},
        {"batch_norm": True, "dropout": 0.3, "hidden_sizes": [64, 32]},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("onednn", ["0", "1"])
def test_gradients_losses_and_logits_are_those_of_autograd(
    arguments: dict[str, Any], dtype: torch.dtype, onednn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ONEDNN, onednn)
    model = MLP(**{"hidden_sizes": [64, 48], **arguments}).to(dtype)
    other = MLP(**{"hidden_sizes": [64, 48], **arguments}).to(dtype)
    other.load_state_dict(model.state_dict())
    chain = chain_of(model)
    for size in (100, 100, 37):
        images, labels = batch(dtype, size)
        torch.manual_seed(size)
        with torch.no_grad():
            loss, logits = chain.compute_gradients(images, labels)
        state = torch.get_rng_state()
        torch.manual_seed(size)
        other.zero_grad()
        expected, measured = other.step((images, labels))
        expected_logits = measured["logits"]
        expected.backward()
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(loss, expected)
        assert torch.equal(logits, expected_logits)
        for found, wanted in zip(model.parameters(), other.parameters(), strict=True):
            assert (found.grad is None) == (wanted.grad is None)
            assert found.grad is None or torch.equal(found.grad, wanted.grad)  # type: ignore[arg-type]
        assert all(map(torch.equal, model.buffers(), other.buffers()))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("onednn", ["0", "1"])
def test_steps_without_autograd_give_the_weights_of_steps_with_it(
    name: str, l2: float, onednn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ONEDNN, onednn)
    arguments: dict[str, Any] = {"hidden_sizes": [64, 48, 32], "batch_norm": True, "dropout": 0.2, "l2": l2}
    model, other = (MLP(**arguments) for _ in range(2))
    other.load_state_dict(model.state_dict())
    ours, theirs = (make_optimizer(name, each.parameters(), 0.01, 0.9, 0.001) for each in (model, other))
    step = model.make_step(ours)
    assert isinstance(step, ManualStep)
    for seed in range(5):
        images, labels = batch()
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] *= 0.9  # as a schedule does
        torch.manual_seed(seed)
        step((images, labels))
        torch.manual_seed(seed)
        theirs.zero_grad()
        other.step((images, labels)).loss.backward()
        theirs.step()
    assert all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))
    for found, wanted in zip(ours.state_dict()["state"].values(), theirs.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(found[part], wanted[part]) for part in wanted if isinstance(wanted[part], Tensor))


@pytest.mark.parametrize("place", [1, 3])
def test_weights_stored_column_by_column_are_trained_as_others(place: int) -> None:
    model, other = (MLP(hidden_sizes=[64, 48]) for _ in range(2))
    other.load_state_dict(model.state_dict())
    stored = model.get_parameter(f"net.{place}.weight").detach().t().contiguous().t()
    model.net[place].register_parameter("weight", nn.Parameter(stored))
    for each in (model, other):
        step = each.make_step(each.make_optimizer())
        for seed in range(4):
            torch.manual_seed(seed)
            step(batch())
    for found, wanted in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kind", [nn.ELU, nn.SELU, nn.LeakyReLU, nn.ReLU])
def test_an_activation_that_overwrites_its_inputs_is_no_other(kind: type[nn.Module]) -> None:
    model, other = (MLP(hidden_sizes=[64, 48]) for _ in range(2))
    other.load_state_dict(model.state_dict())
    for place in (2, 4):
        model.net[place] = kind(inplace=True)
        other.net[place] = kind()
    images, labels = batch()
    model.make_step(SGD(model.parameters(), lr=0.1))((images, labels))
    other.step((images, labels)).loss.backward()
    SGD(other.parameters(), lr=0.1).step()
    assert all(map(torch.equal, model.parameters(), other.parameters()))


@pytest.mark.parametrize("probability", [0.5, 0.3, 1 / 3, 0.05, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dropout_s_noise_is_torch_s_own_and_uses_up_as_much(probability: float, dtype: torch.dtype) -> None:
    model = MLP(hidden_sizes=[300], dropout=probability).to(dtype)
    images, labels = batch(dtype)
    torch.manual_seed(0)
    with torch.no_grad():
        _, logits = chain_of(model).compute_gradients(images, labels)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(logits, model.step((images, labels)).measured["logits"])
    assert torch.equal(state, torch.get_rng_state())


class Doubled(MLP):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


class Weighted(MLP):
    def step(self, batch: Batch) -> LossAndMetrics:
        loss, measured = super().step(batch)
        return LossAndMetrics(2 * loss, measured)


def frozen() -> MLP:
    model = MLP()
    model.net[1].requires_grad_(False)
    return model


def hooked() -> MLP:
    model = MLP()
    model.net[1].register_forward_hook(lambda *_: None)
    return model


def hooked_weight() -> MLP:
    model = MLP()
    model.get_parameter("net.1.weight").register_hook(lambda gradient: gradient.clamp(-1, 1))
    return model


def tied() -> MLP:
    model = MLP(hidden_sizes=[64, 64])
    model.net[3].register_parameter("bias", model.get_parameter("net.1.bias"))
    return model


def untracked() -> MLP:
    model = MLP(batch_norm=True)
    layer = model.net[2]
    assert isinstance(layer, nn.BatchNorm1d)
    layer.track_running_stats = False
    return model


class Squared(nn.ReLU):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) ** 2


def squared() -> MLP:
    model = MLP()
    model.net[2] = Squared()
    return model


class Scaled(MLP):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 2))


class OwnPenalty(MLP):
    def l2_penalty(self) -> Tensor:
        return 2 * super().l2_penalty()


class OwnLoss(MLP):
    def smoothed_loss(self, logits: Tensor, labels: Tensor, cross_entropy: Tensor) -> Tensor:
        return 2 * cross_entropy


class FirstPenalized(MLP):
    def incoming_dimensions(self) -> dict[nn.Parameter, tuple[int, ...]]:
        return dict(list(super().incoming_dimensions().items())[:1])


def evaluated() -> MLP:
    model = MLP(batch_norm=True)
    model.net[2].eval()
    return model


def reshaped() -> MLP:
    model = MLP()
    model.net[2] = nn.GELU()
    return model


@pytest.mark.parametrize(
    "make",
    [
        *(Doubled, Weighted, frozen, hooked, hooked_weight, tied, untracked, squared, Scaled, OwnPenalty, OwnLoss),
        *(evaluated, reshaped),
    ],
)
def test_a_network_that_is_not_just_known_layers_in_order_is_left_to_autograd(make: Any) -> None:
    assert isinstance(step_of(make()), AutogradStep)
    assert isinstance(step_of(MLP(dropout=0.3, batch_norm=True)), ManualStep)


def test_the_penalty_is_that_of_the_weights_that_a_subclass_names() -> None:
    model, other = (FirstPenalized(hidden_sizes=[64, 48], l2=0.1) for _ in range(2))
    other.load_state_dict(model.state_dict())
    images, labels = batch()
    step_of(model)((images, labels))
    other.step((images, labels)).loss.backward()
    for found, wanted in zip(model.parameters(), other.parameters(), strict=True):
        assert found.grad is not None
        assert wanted.grad is not None
        torch.testing.assert_close(found.grad, wanted.grad)


@pytest.mark.parametrize("name", ["softmax", "deep_relu_xavier", "dropout_batchnorm", "mlp_augmented"])
def test_the_lecture_s_nets_go_without_autograd(name: str) -> None:
    assert isinstance(step_of(zoo.create_model(name)), ManualStep)
