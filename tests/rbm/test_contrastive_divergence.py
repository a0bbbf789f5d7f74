from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from zoo.models import DBN, MLP, RBM
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence
from zoo.utils.errors import UsageError


def rbm_with_gradients() -> BernoulliRBM:
    torch.manual_seed(0)
    rbm = BernoulliRBM(20, 8)
    for parameter in rbm.parameters():
        parameter.grad = torch.randn_like(parameter)
    return rbm


def test_gradients_are_centered_in_single_precision_within_autocast() -> None:
    """Centering computes small differences of large sums, for which bfloat16 is not precise enough."""
    plain, mixed = rbm_with_gradients(), rbm_with_gradients()
    divergence = ContrastiveDivergence(20, 8, centred=True)
    divergence.finish_gradients(plain)
    with torch.autocast("cpu", torch.bfloat16):
        divergence.finish_gradients(mixed)
    for expected, parameter in zip(plain.parameters(), mixed.parameters(), strict=True):
        assert expected.grad is not None
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, expected.grad)


def test_centering_raises_for_a_partially_frozen_rbm() -> None:
    rbm = rbm_with_gradients()
    rbm.visible_bias.grad = None
    with pytest.raises(UsageError, match="freeze none of it, or set centred false"):
        ContrastiveDivergence(20, 8, centred=True).finish_gradients(rbm)


def test_chains_are_converted_to_the_model_precision() -> None:
    rbm = BernoulliRBM(20, 8)
    divergence = ContrastiveDivergence(20, 8, persistent=True)
    divergence.set_gradients(rbm, torch.rand(5, 20), lambda mean: mean)
    divergence.double()
    divergence.set_gradients(rbm.double(), torch.rand(5, 20).double(), lambda mean: mean)
    assert divergence.chains is not None
    assert divergence.chains.dtype == torch.float64


@pytest.mark.parametrize(("precision", "fused"), [("32-true", True), ("16-mixed", False)])
def test_optimizers_are_not_fused_with_a_gradient_scaler(precision: str, fused: bool) -> None:
    """With a scaler, Lightning does not clip gradients of fused optimizers; a skipped first step breaks momentum."""
    trainer = SimpleNamespace(precision=precision, estimated_stepping_batches=10)
    for model in (MLP([5], optimizer="sgd", momentum=0.9), RBM(num_hidden=5), DBN([5])):
        model._trainer = trainer  # type: ignore[assignment]
        configured = model.configure_optimizers()
        for entry in configured if isinstance(configured, tuple) else (configured,):
            optimizer = entry["optimizer"] if isinstance(entry, dict) else entry
            assert all(bool(group["fused"]) == fused for group in optimizer.param_groups)
