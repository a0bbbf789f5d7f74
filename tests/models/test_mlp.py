from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import zoo
from zoo.models import MLP


def test_batch_norm_settings_match_the_lecture() -> None:
    model = zoo.create_model("dropout_batchnorm")
    assert isinstance(model, MLP)
    linear = [layer for layer in model.net if isinstance(layer, nn.Linear)]
    norms = [layer for layer in model.net if isinstance(layer, nn.BatchNorm1d)]
    assert all(layer.bias is None for layer in linear)
    assert len(norms) == len(linear) == 5  # the output layer too
    assert {norm.eps for norm in norms} == {0.001}
    assert {norm.momentum for norm in norms} == {0.1}  # TensorFlow's decay 0.9
    assert not any(norm.weight.requires_grad for norm in norms)
    assert all(norm.bias.requires_grad for norm in norms)
    order = [type(layer).__name__ for layer in model.net][1:5]
    assert order == ["Linear", "BatchNorm1d", "ReLU", "Dropout"]


def test_dropout_follows_every_hidden_layer_and_is_off_in_eval_mode() -> None:
    model = zoo.create_model("dropout")
    assert isinstance(model, MLP)
    drops = [layer for layer in model.net if isinstance(layer, nn.Dropout)]
    assert [drop.p for drop in drops] == [0.3] * 4
    images = torch.rand(5, 1, 28, 28)
    model.train()
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_forward_matches_the_formula() -> None:
    model = MLP([6, 5], bias_init="normal").eval()
    images = torch.rand(3, 1, 28, 28)
    first, second, last = (layer for layer in model.net if isinstance(layer, nn.Linear))
    x = images.reshape(3, 784)
    h1 = (x @ first.weight.T + first.bias).clamp(min=0)
    h2 = (h1 @ second.weight.T + second.bias).clamp(min=0)
    torch.testing.assert_close(model(images), h2 @ last.weight.T + last.bias)


def test_mlp_without_hidden_layers_is_softmax_regression() -> None:
    assert [type(layer).__name__ for layer in MLP([]).net] == ["Flatten", "Linear"]


def test_each_hidden_layer_may_have_a_rate_of_dropout_of_its_own() -> None:
    model = MLP([4, 5, 6], dropout=[0.1, 0.0, 0.3], input_dropout=0.2)
    kinds = [type(layer).__name__ for layer in model.net]
    assert kinds == ["Flatten", "Dropout", *["Linear", "ReLU", "Dropout"], *["Linear", "ReLU"],
                     *["Linear", "ReLU", "Dropout"], "Linear"]  # fmt: skip
    assert [layer.p for layer in model.net if isinstance(layer, nn.Dropout)] == [0.2, 0.1, 0.3]
    equal = MLP([4, 5, 6], dropout=[0.1, 0.1, 0.1])
    assert [str(layer) for layer in equal.net] == [str(layer) for layer in MLP([4, 5, 6], dropout=0.1).net]


@pytest.mark.parametrize("scale", [False, True])
def test_the_scale_of_batch_norm_is_learned_if_it_is_asked_for(scale: bool) -> None:
    model = MLP([4], batch_norm=True, batch_norm_scale=scale)
    norms = [layer for layer in model.net if isinstance(layer, nn.BatchNorm1d)]
    assert [norm.weight.requires_grad for norm in norms] == [scale, scale]


def test_alpha_dropout_preserves_mean_and_variance_of_a_self_normalizing_network() -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"activation": "selu", "weight_init": "lecun_normal", "dropout": 0.2}
    for alpha_dropout, is_preserved in ((True, True), (False, False)):
        model = MLP([1000] * 8, alpha_dropout=alpha_dropout, **settings).train()
        activations = model.net[2:-1](torch.randn(500, 1000)).detach()
        is_normalized = abs(float(activations.mean())) < 0.1 and 0.8 < float(activations.var()) < 1.25
        assert is_normalized is is_preserved
