"""Linear layers by oneDNN are linear layers, and are used where they are to be."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import zoo
from zoo.models import MLP
from zoo.training import onednn
from zoo.training.onednn import LEAST_SIZE, ONEDNN, by_onednn, product

pytestmark = pytest.mark.skipif(not onednn._is_available(), reason="torch is built without oneDNN")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The weights whose products oneDNN computed."""
    monkeypatch.setenv(ONEDNN, "1")
    found: list[Tensor] = []

    def note(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        found.append(weight)
        return product(inputs, weight, bias)

    monkeypatch.setattr(onednn, "product", note)
    return found


def batch(size: int = 100) -> tuple[Tensor, Tensor]:
    return torch.rand(size, 1, 28, 28), torch.randint(10, (size,))


def make_inputs(kind: str, size: int) -> Tensor:
    inputs = torch.randn(2 * size, 120)
    return {
        "contiguous": inputs[:size, :60],
        "every other row": inputs[::2, :60],
        "every other column": inputs[:size, ::2],
        "one row repeated": inputs[:1, :60].expand(size, -1),
        "transposed": torch.randn(60, size).t(),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["contiguous", "every other row", "every other column", "one row repeated", "transposed"]
)
@pytest.mark.parametrize("size", [1, 37, 100])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stored", ["row by row", "column by column"])
def test_values_and_gradients_are_those_of_a_linear_layer(
    kind: str, size: int, bias: bool, stored: str, calls: list[Tensor]
) -> None:
    inputs = make_inputs(kind, size).requires_grad_()
    layer = nn.Linear(60, 40, bias=bias)
    if stored == "column by column":
        layer.weight = nn.Parameter(layer.weight.detach().t().contiguous().t())
    tensors = [inputs, *layer.parameters()]
    outer = torch.randn(size, 40)
    expected = layer(inputs)
    expected_gradients = torch.autograd.grad(expected, tensors, outer)
    with by_onednn(MLP([40])):
        found = layer(inputs)
    gradients = torch.autograd.grad(found, tensors, outer)
    assert len(calls) == 3  # one forward, two backward
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", ["a column", "every other number", "one number repeated", "a row", "a number"])
def test_a_bias_of_any_layout_is_added(kind: str, calls: list[Tensor]) -> None:
    numbers = torch.randn(80, 3)
    bias = {
        "a column": numbers[:40, 1],
        "every other number": numbers[::2, 0],
        "one number repeated": numbers[0, :1].expand(40),
        "a row": numbers[:40, 1:2].t().contiguous(),
        "a number": numbers[0, 0],
    }[kind]
    inputs, weight = torch.randn(5, 60), torch.randn(40, 60)
    with by_onednn(MLP([40])):
        torch.testing.assert_close(F.linear(inputs, weight, bias), inputs @ weight.t() + bias, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("reentrant", [False, True])
def test_layers_that_are_computed_again_in_the_backward_pass(reentrant: bool, calls: list[Tensor]) -> None:
    layer = nn.Linear(60, 40)
    inputs = torch.randn(50, 60, requires_grad=True)
    with by_onednn(MLP([40])):
        outputs = checkpoint(layer, inputs, use_reentrant=reentrant)
    outputs.sum().backward()
    torch.testing.assert_close(inputs.grad, layer.weight.sum(0).expand(50, 60), rtol=1e-5, atol=1e-5)


def test_what_no_gradient_needs_may_change_before_the_backward_pass(calls: list[Tensor]) -> None:
    first, frozen = nn.Linear(60, 40), nn.Linear(40, 40).requires_grad_(False)
    inputs = torch.randn(50, 60)
    with by_onednn(MLP([40])):
        hidden = first(inputs)
        outputs = frozen(hidden * 1)
    with torch.no_grad():
        first.weight.zero_()
    outputs.sum().backward()
    assert first.weight.grad is not None


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch makes its rules at first use
def test_derivatives_forward_are_left_to_torch(calls: list[Tensor]) -> None:
    layer, inputs = nn.Linear(60, 40), torch.randn(50, 60)
    with forward_ad.dual_level(), by_onednn(MLP([40])):
        outputs = layer(forward_ad.make_dual(inputs, torch.ones_like(inputs)))
        tangent = forward_ad.unpack_dual(outputs).tangent
    torch.testing.assert_close(tangent, layer.weight.sum(1).expand(50, 40), rtol=1e-5, atol=1e-5)


def test_no_inputs_have_no_outputs(calls: list[Tensor]) -> None:
    with by_onednn(MLP([40])):
        assert nn.Linear(60, 40)(torch.empty(0, 60)).shape == (0, 40)


def test_a_gradient_can_be_differentiated_again(calls: list[Tensor]) -> None:
    layer = nn.Linear(60, 40)
    inputs = torch.randn(50, 60, requires_grad=True)

    def penalty(context: contextlib.AbstractContextManager[object]) -> tuple[Tensor, ...]:
        with context:
            outputs = layer(inputs).tanh().square().sum()
        (gradient,) = torch.autograd.grad(outputs, inputs, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), [inputs, layer.weight])

    torch.testing.assert_close(penalty(by_onednn(MLP([40]))), penalty(contextlib.nullcontext()), rtol=1e-4, atol=1e-4)
    assert calls


def test_transforms_of_a_network_are_left_to_torch(calls: list[Tensor]) -> None:
    model = MLP([40])
    images, labels = batch(5)
    parameters: dict[str, Tensor] = dict(model.named_parameters())

    def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(model, weights, (image.unsqueeze(0),))
        return F.cross_entropy(logits, label.unsqueeze(0))

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    expected = each(parameters, images, labels)
    with by_onednn(model):
        found = each(parameters, images, labels)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert not calls


@pytest.mark.parametrize("name", ["deep_relu_xavier", "residual", "selu", "split_merge", "mlp_augmented", "vat"])
def test_a_step_of_a_member_takes_onednn_for_all_but_its_output_layer(name: str, calls: list[Tensor]) -> None:
    model = zoo.create_model(name).train()
    loss, _ = model.step(batch())
    expected = {each.data_ptr() for each in model.parameters() if each.dim() == 2 and min(each.shape) >= LEAST_SIZE}
    assert expected <= {each.data_ptr() for each in calls}
    assert all(min(each.shape) >= LEAST_SIZE for each in calls)
    loss.backward()
    assert all(each.grad is not None for each in model.parameters())


def test_virtual_adversarial_training_computes_no_weight_gradient_that_it_does_not_use(calls: list[Tensor]) -> None:
    model = MLP([64, 48], vat_weight=1.0)
    loss, _ = model.step(batch())
    # Forward three times; back to the perturbation of the images through both layers.
    assert len(calls) == 3 * 2 + 2
    calls.clear()
    loss.backward()
    # Twice: the gradients of both weights, and that of the upper layer's inputs.
    assert len(calls) == 2 * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.double(),
        lambda model: model.compile(backend="eager"),
    ],
    ids=["double precision", "compiled"],
)
def test_what_it_is_not_for_is_left_to_torch(change: Any, calls: list[Tensor]) -> None:
    model = MLP([64])
    change(model)
    images, labels = batch()
    model.step((images.to(model.parameter_dtype), labels))
    assert not calls


def test_mixed_precision_is_left_to_torch(calls: list[Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = MLP([64]).step(batch()).loss
    loss.backward()
    assert not calls


def test_it_is_for_processors_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ONEDNN, "0")
    assert not onednn.is_chosen()
    monkeypatch.delenv(ONEDNN)
    assert onednn.is_chosen() == onednn._is_faster()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert not onednn._is_faster.__wrapped__()


def test_sizes_that_do_not_fit_are_named_as_torch_names_them() -> None:
    with pytest.raises(RuntimeError, match="100x784 and 783x64"):
        product(torch.rand(100, 784), torch.rand(64, 783), torch.rand(64))
