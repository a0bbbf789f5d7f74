from __future__ import annotations

import itertools
import re
import signal
from pathlib import Path

import pytest
import torch

from tests.helpers import error_output, weights
from zoo.cli import main
from zoo.models import GenerativeDBN
from zoo.rbm.label_rbm import LabelRBM
from zoo.utils.errors import UsageError

# Two layers, two pretraining epochs for each, ten steps per epoch.
SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "4"]
SMALL = ["--model.hidden_sizes", "[12, 9]", "--model.pretrain_epochs", "2", "--model.initial_epochs", "1"]
FIT = ["fit", "--config", "generative_dbn", *SMALL, *SHORT]
LAST = Path("logs/generative_dbn/version_0/checkpoints/last.ckpt")


def small_rbm(num_hidden: int = 4) -> LabelRBM:
    torch.manual_seed(0)
    rbm = LabelRBM(5, 3, num_hidden).double()
    with torch.no_grad():
        for parameter in rbm.parameters():
            parameter.normal_()
    return rbm


def joint_log_probabilities(rbm: LabelRBM, features: torch.Tensor) -> torch.Tensor:
    """Return log Σ_h e^{−E(features, label, h)} for each label, by enumeration of all hidden states."""
    hidden = torch.tensor(list(itertools.product((0.0, 1.0), repeat=rbm.weight.shape[1]))).double()
    scores = []
    for label in torch.eye(3).double():
        visible = torch.cat([features, label])
        energies = -(visible @ rbm.visible_bias) - hidden @ rbm.hidden_bias - hidden @ (visible @ rbm.weight)
        scores.append((-energies).logsumexp(dim=0))
    return torch.stack(scores)


def test_the_logits_are_the_exact_probabilities_of_the_labels() -> None:
    rbm = small_rbm()
    features = torch.bernoulli(torch.full((6, 5), 0.5)).double()
    expected = torch.stack([joint_log_probabilities(rbm, row) for row in features]).softmax(dim=1)
    torch.testing.assert_close(rbm.logits(features).softmax(dim=1), expected)
    states = rbm.with_label(features)
    torch.testing.assert_close(states, torch.cat([features, expected], dim=1))


def test_one_label_is_on_as_often_as_its_probability() -> None:
    rbm = small_rbm()
    hidden = torch.tensor([[1.0, 0.0, 1.0, 1.0]]).double()
    probabilities = rbm.visible_probabilities(hidden)
    inputs = hidden @ rbm.weight.T + rbm.visible_bias
    torch.testing.assert_close(probabilities[:, :5], inputs[:, :5].sigmoid())
    torch.testing.assert_close(probabilities[:, 5:], inputs[:, 5:].softmax(dim=1))
    count = 20_000
    samples = rbm.sample_visible(probabilities.expand(count, -1))
    assert set(samples.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(samples[:, 5:].sum(dim=1), torch.ones(count).double())
    deviation = (probabilities * (1 - probabilities) / count).sqrt()
    assert ((samples.mean(dim=0) - probabilities).abs() < 5 * deviation).all()


def test_sampling_with_the_label_held_reaches_the_conditional_distribution() -> None:
    rbm = small_rbm()
    chains, label = 20_000, 2
    states = rbm.gibbs_given_labels(torch.zeros(chains, 5).double(), torch.full((chains,), label), steps=50)
    features = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5))).double()
    exact = torch.stack([joint_log_probabilities(rbm, row)[label] for row in features]).softmax(dim=0)
    places = (states @ torch.tensor([16.0, 8, 4, 2, 1]).double()).long()
    found = places.bincount(minlength=32) / chains
    assert ((found - exact).abs() < 5 * (exact * (1 - exact) / chains).sqrt() + 1e-9).all()


def test_the_update_is_the_gradient_of_the_free_energies_of_images_with_labels() -> None:
    model = GenerativeDBN([6, 5]).double()
    images, labels = torch.rand(4, 1, 28, 28).double(), torch.tensor([3, 0, 9, 3])
    visible = model.visible_states(1, images, labels)
    assert torch.equal(visible[:, 6:], torch.eye(10).double()[labels])
    torch.testing.assert_close(visible[:, :6], model.rbms[0].hidden_probabilities(images.view(4, 784)).detach())
    top = model.top
    top.set_contrastive_gradients(visible, visible.flip(1), top.hidden_inputs(visible))
    found = [parameter.grad for parameter in top.parameters()]
    expected = torch.autograd.grad(
        top.free_energy(visible).mean() - top.free_energy(visible.flip(1)).mean(), list(top.parameters())
    )
    torch.testing.assert_close(found, list(expected))


def test_training_without_fine_tuning_lowers_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    larger = ["--model.hidden_sizes", "[60, 60]", "--model.pretrain_epochs", "8", "--trainer.max_epochs", "16"]
    assert main([*FIT, *larger, "--model.pretrain_lr", "0.1"]) == 0
    found = re.search(r"Test set:   accuracy (\S+),", capsys.readouterr().out)
    assert found is not None
    assert float(found[1]) > 0.5
    assert GenerativeDBN.load_from_checkpoint(LAST).top.weight.shape == (70, 60)


@pytest.mark.parametrize("step", [25, *(pytest.param(step, marks=pytest.mark.slow) for step in (10, 14, 35, 45))])
def test_interrupted_training_resumes_exactly_in_every_stage(step: int) -> None:
    """Chains of features and labels are part of the state; the last stage is a fine-tuning."""
    fit = [*FIT, "--trainer.max_epochs", "5"]
    assert main(fit) == 0
    at = f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": {step}, "signal": {int(signal.SIGTERM)}}}}}'
    assert main([*fit, "--trainer.callbacks", at]) == 143
    torch.manual_seed(12345)
    assert main([*fit, "--ckpt_path", "last"]) == 0
    assert weights(str(LAST).replace("version_0", "version_2")) == weights(LAST)


def test_a_net_of_one_layer_is_refused() -> None:
    with pytest.raises(UsageError, match="there are at least 2 layers"):
        GenerativeDBN([5])


def test_images_without_labels_train_the_layers_below(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--data.num_train", "100", "--trainer.limit_train_batches", "5"]
    assert main([*FIT, *few, "--data.unlabelled_epochs", "2"]) == 0
    refused = error_output([*FIT, "--data.num_train", "100", "--data.unlabelled_epochs", "4"], capsys)
    assert "set data.unlabelled_epochs to that" in refused


def test_drawings_have_the_shape_of_images() -> None:
    model = GenerativeDBN([6, 5])
    features = model.top.gibbs_given_labels(model.initial_features(4), torch.tensor([1, 2, 3, 4]), steps=2)
    drawings = model.decode(features)
    assert drawings.shape == (4, 1, 28, 28)
    assert drawings.min() >= 0
    assert drawings.max() <= 1
