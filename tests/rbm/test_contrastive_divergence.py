from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from zoo.models import DBN, MLP, RBM
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence
from zoo.utils.errors import UsageError


def with_gradients() -> BernoulliRBM:
    torch.manual_seed(0)
    rbm = BernoulliRBM(20, 8)
    for parameter in rbm.parameters():
        parameter.grad = torch.randn_like(parameter)
    return rbm


def test_gradients_are_centred_in_single_precision_within_mixed_precision() -> None:
    """The small differences of large sums that centring is have too few digits in bfloat16."""
    plain, mixed = with_gradients(), with_gradients()
    contrast = ContrastiveDivergence(20, 8, centred=True)
    contrast.finish_gradients(plain)
    with torch.autocast("cpu", torch.bfloat16):
        contrast.finish_gradients(mixed)
    for one, other in zip(plain.parameters(), mixed.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)


def test_centring_what_is_frozen_in_part_is_refused() -> None:
    rbm = with_gradients()
    rbm.visible_bias.grad = None
    with pytest.raises(UsageError, match="freeze none of it, or set centred false"):
        ContrastiveDivergence(20, 8, centred=True).finish_gradients(rbm)


def test_chains_follow_the_model_to_another_precision() -> None:
    rbm = BernoulliRBM(20, 8)
    contrast = ContrastiveDivergence(20, 8, persistent=True)
    contrast.set_gradients(rbm, torch.rand(5, 20), lambda mean: mean)
    contrast.double()
    contrast.set_gradients(rbm.double(), torch.rand(5, 20).double(), lambda mean: mean)
    assert contrast.chains is not None
    assert contrast.chains.dtype == torch.float64


@pytest.mark.parametrize(("precision", "fused"), [("32-true", True), ("16-mixed", False)])
def test_beside_a_gradient_scaler_no_step_is_fused(precision: str, fused: bool) -> None:
    """Lightning clips no gradients of a fused optimizer there, and a first step left out spoils its momentum."""
    trainer = SimpleNamespace(precision=precision, estimated_stepping_batches=10)
    for model in (MLP([5], optimizer="sgd", momentum=0.9), RBM(num_hidden=5), DBN([5])):
        model._trainer = trainer  # type: ignore[assignment]
        made = model.configure_optimizers()
        found = made if isinstance(made, tuple) else (made,)
        for each in found:
            optimizer = each["optimizer"] if isinstance(each, dict) else each
            assert all(bool(group["fused"]) == fused for group in optimizer.param_groups)
