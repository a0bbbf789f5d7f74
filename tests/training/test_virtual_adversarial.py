"""Virtual adversarial training against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer, seed_everything
from torch import Tensor, nn

import zoo
from tests.helpers import error_output, weights
from zoo.cli import main
from zoo.models import DBN, MLP, BaggedEnsemble, Classifier, RecurrentNet, ResidualCNN
from zoo.training.steps import AutogradStep
from zoo.training.virtual_adversarial import VirtualAdversarialTraining


def tiny_net(pixels: int) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def divergence(net: nn.Module, image: Tensor, perturbation: Tensor) -> Tensor:
    """KL(p(x) ‖ p(x + r)) of one image, by its definition."""
    log_p, log_q = (net(each.unsqueeze(0)).log_softmax(1)[0] for each in (image, image + perturbation))
    total: Tensor = (log_p.detach().exp() * (log_p.detach() - log_q)).sum()
    return total


def finite_difference_hessian(net: nn.Module, image: Tensor, step: float = 1e-4) -> Tensor:
    """The Hessian of the divergence with respect to r at r = 0, ``(P, P)``, by central differences of its values."""
    units = torch.eye(image.numel(), dtype=torch.float64).view(-1, *image.shape) * step

    def entry(one: Tensor, other: Tensor) -> Tensor:
        signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
        return torch.stack([s * t * divergence(net, image, s * one + t * other) for s, t in signs]).sum() / (
            4 * step**2
        )

    with torch.no_grad():
        return torch.stack([torch.stack([entry(one, other) for other in units]) for one in units])


def exact_hessian(net: nn.Module, image: Tensor) -> Tensor:
    """The same by autograd, ``(P, P)``."""
    hessian: Tensor = torch.autograd.functional.hessian(lambda r: divergence(net, image, r), torch.zeros_like(image))
    return hessian.reshape(image.numel(), image.numel())


def test_the_perturbation_is_the_dominant_eigenvector_of_the_hessian() -> None:
    net, images = tiny_net(9), torch.rand(3, 1, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        logits = net(images)
    vat = VirtualAdversarialTraining(1.0, epsilon=2.1, xi=1e-5, power_iterations=100)
    perturbations = vat.perturbation(net, images, logits).flatten(1)
    torch.testing.assert_close(perturbations.norm(dim=1), torch.full((3,), 2.1, dtype=torch.float64))
    for image, found in zip(images, perturbations, strict=True):
        hessian = finite_difference_hessian(net, image)
        torch.testing.assert_close(hessian, exact_hessian(net, image), atol=1e-6, rtol=1e-4)
        eigenvector = torch.linalg.eigh(hessian).eigenvectors[:, -1]
        assert abs(float(found / 2.1 @ eigenvector)) == pytest.approx(1, abs=1e-4)


def test_one_power_iteration_is_the_product_with_the_hessian() -> None:
    net, images = tiny_net(9), torch.rand(2, 1, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        logits = net(images)
    torch.manual_seed(5)
    directions = torch.randn_like(images).flatten(1)
    torch.manual_seed(5)
    found = VirtualAdversarialTraining(1.0, epsilon=1.0, xi=1e-5).perturbation(net, images, logits).flatten(1)
    for image, direction, one in zip(images, directions, found, strict=True):
        torch.testing.assert_close(one, F.normalize(exact_hessian(net, image) @ direction, dim=0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["dropout", "dbn"])
def test_in_single_precision_the_direction_of_a_trained_network_is_the_exact_one(name: str) -> None:
    model = zoo.load_pretrained(name)
    assert isinstance(model, Classifier)
    data = zoo.MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    images = data.splits["test"].get_batch(range(50))[0]
    with torch.no_grad():
        logits = model(images)
    torch.manual_seed(0)
    found = model.vat.perturbation(model, images, logits).flatten(1)
    torch.manual_seed(0)
    direction, images = torch.randn_like(images).double(), images.double()
    direction /= torch.linalg.vector_norm(direction, dim=(1, 2, 3), keepdim=True)
    model.double()
    _, change = torch.autograd.functional.jvp(model, images, direction)
    images.requires_grad_()
    logits = model(images)
    p = logits.softmax(1).detach()
    (exact,) = torch.autograd.grad(logits, images, p * (change - (p * change).sum(1, keepdim=True)))
    exact = exact.flatten(1) / exact.flatten(1).abs().amax(1, keepdim=True)
    assert F.cosine_similarity(found.double(), exact).quantile(0.1) > 0.999


def test_the_gradient_of_the_loss_is_that_of_its_definition() -> None:
    seed_everything(0, verbose=False)
    model = MLP([12, 8], vat_weight=0.7, vat_epsilon=1.5, l2=0.01).double()
    images, labels = torch.rand(6, 1, 28, 28, dtype=torch.float64), torch.arange(6)
    torch.manual_seed(1)
    loss, measured = model.step((images, labels))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        p = model(images).softmax(1)
    torch.manual_seed(1)
    r = model.vat.perturbation(model, images, p.log())
    logits, moved = model(images), model(images + r)
    penalty = (p * (p.log() - moved.log_softmax(1))).sum(1).mean()
    weights_squared = sum(w.square().sum() for w in model.parameters() if w.dim() == 2)
    expected = F.cross_entropy(logits, labels) + 0.7 * penalty + 0.01 * weights_squared
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(measured["cross_entropy"], F.cross_entropy(logits, labels))
    for one, other in zip(gradients, torch.autograd.grad(expected, list(model.parameters())), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP([12], batch_norm=True, dropout=0.5, vat_weight=1.0),
        lambda: DBN([12], pretrain_epochs=0, dropout=0.5, input_dropout=0.5, vat_weight=1.0),
        lambda: RecurrentNet(hidden_size=8, num_layers=2, dropout=0.5, vat_weight=1.0),
        lambda: ResidualCNN([4], dropout=0.5, vat_weight=1.0),
        lambda: BaggedEnsemble(
            member_args={"hidden_sizes": [8], "batch_norm": True, "dropout": 0.5}, bootstrap=False, vat_weight=1.0
        ),
    ],
)
def test_the_passes_have_no_dropout_and_leave_running_averages_alone(make: Any) -> None:
    seed_everything(0, verbose=False)
    model: Classifier = make().train()
    images, labels = torch.rand(20, 1, 28, 28), torch.arange(20) % 10
    before = {name: value.clone() for name, value in model.named_buffers()}
    forward: Any = model
    shape = images.shape
    if isinstance(model, BaggedEnsemble):
        forward, shape = model.member_logits, torch.Size((5, *images.shape))
    torch.manual_seed(1)
    logits = forward(images)
    once = {name: value.clone() for name, value in model.named_buffers()}
    model.load_state_dict({name: before.get(name, value) for name, value in model.state_dict().items()})
    torch.manual_seed(2)
    penalties = [model.vat.penalty(model.parts(), forward, images.expand(shape), logits)]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    torch.randn(shape)  # the first directions, and nothing for dropout
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    penalties.append(model.vat.penalty(model.parts(), forward, images.expand(shape), logits))
    assert torch.equal(*penalties)
    assert penalties[0] > 0
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name])
    torch.manual_seed(1)
    model.step((images, labels))
    for name, value in model.named_buffers():  # one pass of the step counts, not those of the penalty
        torch.testing.assert_close(value, once[name])


def test_members_of_an_ensemble_have_the_penalty_that_they_have_alone() -> None:
    seed_everything(0, verbose=False)
    model = BaggedEnsemble(member_args={"hidden_sizes": [8]}, num_members=2, bootstrap=False, vat_weight=1.0).double()
    images, labels = torch.rand(5, 1, 28, 28, dtype=torch.float64), torch.arange(5)
    torch.manual_seed(1)
    loss, _ = model.step((images, labels))
    torch.manual_seed(1)
    directions = torch.randn(2, *images.shape, dtype=torch.float64)
    expected = torch.zeros((), dtype=torch.float64)
    for member, direction in zip(model.members(), directions, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "randn_like", lambda _, direction=direction: direction)
            penalty = model.vat.penalty([], member, images, member(images))
        expected = expected + F.cross_entropy(member(images), labels) + penalty
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("as_float", [False, True])
def test_in_mixed_precision_the_penalty_is_that_of_full_precision(as_float: bool) -> None:
    seed_everything(0, verbose=False)
    model, images = MLP([64, 32], batch_norm=True, vat_weight=1.0).train(), torch.rand(20, 1, 28, 28)
    penalties = []
    for mixed in (False, True):
        with torch.autocast("cpu", enabled=mixed):
            logits = model(images)
            logits = logits.float() if as_float else logits
            torch.manual_seed(1)
            penalties.append(model.vat.penalty(model.parts(), model, images, logits))
    torch.testing.assert_close(*penalties, rtol=1e-5, atol=0)


def test_no_backward_pass_by_hand_is_chosen() -> None:
    model = MLP([8], vat_weight=1.0).train()
    assert isinstance(model.make_step(model.make_optimizer()), AutogradStep)


def test_an_answer_that_does_not_depend_on_the_image_is_not_perturbed() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 3))
    nn.init.zeros_(net.get_parameter("1.weight"))
    images = torch.rand(4, 1, 3, 3)
    assert not VirtualAdversarialTraining(1.0).perturbation(net, images, net(images).detach()).any()


def fit(model: Classifier, **data: Any) -> dict[str, Tensor]:
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=30, accelerator="cpu", enable_model_summary=False, num_sanity_val_steps=0, **quiet)
    trainer.fit(model, datamodule=zoo.MNISTDataModule(**data))
    return dict(trainer.callback_metrics)


@pytest.mark.slow
def test_with_few_labels_it_makes_a_quarter_fewer_errors() -> None:
    errors = []
    for weight in (0.0, 1.0):
        seed_everything(0, verbose=False)
        metrics = fit(MLP([200, 200], vat_weight=weight), num_train=1000)
        errors.append(1 - float(metrics["val_acc"]))
    assert errors[1] < errors[0] * 3 / 4


FIT = ["fit", "--model", "MLP", "--model.hidden_sizes", "[16]", "--model.batch_norm", "true", "--model.dropout", "0.2"]
FIT += ["--model.vat_weight", "1", "--model.max_norm", "1.5", "--model.refit_batch_norm", "true"]
FIT += ["--trainer.accelerator", "cpu", "--data.num_train", "600", "--trainer.max_epochs", "2"]


@pytest.mark.slow
def test_it_resumes_exactly_and_several_steps_in_a_call_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    signal_at = '{"class_path": "tests.helpers.SignalAt", "init_args": {"step": 9, "signal": 15}}'
    assert main(FIT) == 0
    assert main([*FIT, "--model.steps_per_call", "1"]) == 0
    assert main([*FIT, "--trainer.callbacks", signal_at]) == 143
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    digests = [weights(Path(f"logs/MLP/version_{run}/checkpoints/last.ckpt")) for run in (0, 1, 3)]
    assert len(set(digests)) == 1


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("vat_weight", "-1", "vat_weight is -1.0"),
        ("vat_epsilon", "0", "vat_epsilon is 0.0"),
        ("max_norm", "0", "max_norm is 0.0"),
        ("refit_batch_norm", "true", "has no batch norm"),
        ("dropout", "[0.5, 0.2]", "dropout has 2 numbers, but there are 1 hidden layers"),
        ("dropout", "[1.0]", "dropout is 1.0"),
    ],
)
def test_mistakes_are_named(flag: str, value: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fit", "--model", "MLP", "--model.hidden_sizes", "[8]", f"--model.{flag}", value]
    assert message in error_output([*arguments, "--trainer.accelerator", "cpu", "--data.num_train", "100"], capsys)
