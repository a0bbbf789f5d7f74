"""Back-propagation written out gives autograd's gradients to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD

import zoo
from zoo.layers.activations import ACTIVATIONS
from zoo.models import MLP, Classifier
from zoo.training.dropout_noise import bernoulli_noise
from zoo.training.layerwise_adam import make_update
from zoo.training.manual_backward import Chain
from zoo.training.multi_step import AutogradSteps, ChainSteps
from zoo.training.optimizers import OPTIMIZERS, make_optimizer


def chain_of(model: Classifier) -> Chain:
    layers = model.layers_in_order()
    assert layers is not None
    chain = Chain.of(layers)
    assert chain is not None
    return chain


def batch(dtype: torch.dtype = torch.float32, size: int = 100) -> tuple[Tensor, Tensor]:
    return torch.rand(size, 1, 28, 28, dtype=dtype), torch.randint(10, (size,))


@pytest.mark.parametrize(
    "arguments",
    [
        *({"activation": name} for name in ACTIVATIONS if name != "maxout"),
        {"hidden_sizes": []},
        {"dropout": 0.3},
        {"batch_norm": True, "dropout": 0.3, "hidden_sizes": [64, 32]},
        {"activation": "selu", "alpha_dropout": True, "dropout": 0.05},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_costs_and_logits_are_those_of_autograd(arguments: dict[str, Any], dtype: torch.dtype) -> None:
    model = MLP(**{"hidden_sizes": [64, 48], **arguments}).to(dtype)
    other = MLP(**{"hidden_sizes": [64, 48], **arguments}).to(dtype)
    other.load_state_dict(model.state_dict())
    chain = chain_of(model)
    update = make_update(SGD(model.parameters(), lr=0.0))
    for size in (100, 100, 37):
        images, labels = batch(dtype, size)
        torch.manual_seed(size)
        cost, logits = chain.step(images, labels, update)
        state = torch.get_rng_state()
        torch.manual_seed(size)
        other.zero_grad()
        expected_logits = other(images)
        expected = F.cross_entropy(expected_logits, labels)
        expected.backward()
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(cost, expected)
        assert torch.equal(logits, expected_logits)
        for found, wanted in zip(model.parameters(), other.parameters(), strict=True):
            assert (found.grad is None) == (wanted.grad is None)
            assert found.grad is None or torch.equal(found.grad, wanted.grad)  # type: ignore[arg-type]
        assert all(map(torch.equal, model.buffers(), other.buffers()))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_weights_that_change_layer_by_layer_are_those_of_whole_steps(name: str, l2: float) -> None:
    arguments: dict[str, Any] = {"hidden_sizes": [64, 48, 32], "batch_norm": True, "dropout": 0.2, "l2": l2}
    model, other = (MLP(**arguments) for _ in range(2))
    other.load_state_dict(model.state_dict())
    ours, theirs = (make_optimizer(name, each.parameters(), 0.01, 0.9, 0.001) for each in (model, other))
    update, steps = make_update(ours), ChainSteps(chain_of(model), model.hparams["l2"], model.train_totals.update)
    for seed in range(5):
        images, labels = batch()
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] *= 0.9  # as a schedule does
        torch.manual_seed(seed)
        steps.step((images, labels), update)
        torch.manual_seed(seed)
        theirs.zero_grad()
        other.training_loss(images, labels).backward()
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
        update, steps = (
            make_update(each.make_optimizer()),
            ChainSteps(chain_of(each), each.hparams["l2"], each.train_totals.update),
        )
        for seed in range(4):
            torch.manual_seed(seed)
            steps.step(batch(), update)
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
    chain_of(model).step(images, labels, make_update(SGD(model.parameters(), lr=0.1)))
    other.training_loss(images, labels).backward()
    SGD(other.parameters(), lr=0.1).step()
    assert all(map(torch.equal, model.parameters(), other.parameters()))


@pytest.mark.parametrize("probability", [0.5, 0.7, 1 / 3, 0.95, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_noise_is_torch_s_own_and_uses_up_as_much(probability: float, dtype: torch.dtype) -> None:
    like = torch.empty(100, 300, dtype=dtype)
    torch.manual_seed(0)
    found, state = bernoulli_noise(like, probability), torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(found, torch.empty_like(like).bernoulli_(probability))
    assert torch.equal(state, torch.get_rng_state())


class Doubled(MLP):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


class Weighted(MLP):
    def training_loss(self, images: Tensor, labels: Tensor, *_: Tensor) -> Tensor:
        return 2 * super().training_loss(images, labels)


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
        *(Doubled, Weighted, frozen, hooked, hooked_weight, tied, untracked, squared, Scaled, OwnPenalty, evaluated),
        reshaped,
    ],
)
def test_a_network_that_is_not_just_known_layers_in_order_is_left_to_autograd(make: Any) -> None:
    assert isinstance(make().steps(), AutogradSteps)
    assert isinstance(MLP(dropout=0.3, batch_norm=True).steps(), ChainSteps)


@pytest.mark.parametrize("name", ["softmax", "deep_relu_xavier", "dropout_batchnorm", "selu", "mlp_augmented"])
def test_the_lecture_s_nets_go_without_autograd(name: str) -> None:
    assert isinstance(zoo.create_model(name).steps(), ChainSteps)
