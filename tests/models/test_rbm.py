from __future__ import annotations

import csv
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import run_zoo, weights
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data.binarization import sample_binary_pixels
from zoo.models import RBM
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import (
    ContrastiveDivergence,
    center_gradients,
    make_rbm_optimizer,
    set_momentum,
    sparsity_loss,
)
from zoo.rbm.likelihood import Likelihood, measure_likelihood
from zoo.rbm.monitoring import RBMTotals, summarize
from zoo.rbm.partition_function import exact_log_partition
from zoo.utils.errors import UsageError

SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "2"]
FIT = ["fit", "--config", "demos/rbm", "--model.num_hidden", "8", *SHORT]
LAST = "logs/rbm/version_0/checkpoints/last.ckpt"
TRAINED = ["--config", "logs/rbm/version_0/config.yaml", "--ckpt_path", LAST]


def load_checkpoint(version: int = 0, name: str = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(f"logs/rbm/version_{version}/checkpoints/{name}.ckpt", weights_only=True)
    return content


def contrastive_gradients(rbm: BernoulliRBM, data: torch.Tensor, model: torch.Tensor) -> tuple[torch.Tensor, ...]:
    rbm.zero_grad()
    rbm.contrastive_loss(data, model).backward()
    gradients = (rbm.weight.grad, rbm.visible_bias.grad, rbm.hidden_bias.grad)
    return tuple(gradient.clone() for gradient in gradients if gradient is not None)


def test_visible_biases_are_initialized_to_finite_log_odds() -> None:
    rbm = BernoulliRBM(3, 2)
    ContrastiveDivergence(3, 2).initialize(rbm, torch.tensor([0.0, 0.5, 1.0]))
    assert rbm.visible_bias.isfinite().all()
    assert rbm.visible_bias[1] == 0
    torch.testing.assert_close(rbm.visible_bias[0], torch.tensor(1e-4).logit())


def test_update_has_momentum_and_weight_decay_on_the_weights_only() -> None:
    """The momentum multiplies the previous step, without another factor of the learning rate."""
    rbm = BernoulliRBM(5, 4, weight_std=1.0)
    weight, bias = rbm.weight.detach().clone(), rbm.hidden_bias.detach().clone()
    optimizer = make_rbm_optimizer([rbm], lr=0.1, weight_cost=0.01)
    set_momentum(optimizer, 0.9)
    weight_step, bias_step = torch.zeros_like(weight), torch.zeros_like(bias)
    for _ in range(3):
        data, model = torch.rand(6, 5), torch.rand(6, 5).round()
        weight_gradient, _, bias_gradient = contrastive_gradients(rbm, data, model)
        optimizer.step()
        weight_step = 0.9 * weight_step - 0.1 * (weight_gradient + 0.01 * weight)
        bias_step = 0.9 * bias_step - 0.1 * bias_gradient
        weight, bias = weight + weight_step, bias + bias_step
        torch.testing.assert_close(rbm.weight.detach(), weight)
        torch.testing.assert_close(rbm.hidden_bias.detach(), bias)


def test_sparsity_gradient_is_the_cost_times_mean_activation_minus_target() -> None:
    """The gradient is averaged over the batch, so it does not depend on the batch size."""
    rbm = BernoulliRBM(5, 4, weight_std=1.0)
    data, hidden_mean = torch.rand(10, 5), torch.tensor([0.0, 0.1, 0.5, 1.0])
    sparsity_loss(rbm.hidden_inputs(data), hidden_mean, target=0.1, sparsity_cost=2.0).backward()
    expected = 2.0 * (hidden_mean - 0.1)
    torch.testing.assert_close(rbm.hidden_bias.grad, expected)
    torch.testing.assert_close(rbm.weight.grad, torch.outer(data.mean(dim=0), expected))
    assert rbm.visible_bias.grad is None


def test_centered_gradients_match_the_centered_model() -> None:
    rbm = BernoulliRBM(5, 4, weight_std=1.0)
    data, model = torch.rand(6, 5), torch.rand(6, 5).round()
    mu, lam = torch.rand(5), torch.rand(4)
    contrastive_gradients(rbm, data, model)
    center_gradients(rbm, mu, lam)
    h_data, h_model = (rbm.hidden_probabilities(states).detach() for states in (data, model))
    weight = -((data - mu).T @ (h_data - lam) - (model - mu).T @ (h_model - lam)) / 6
    torch.testing.assert_close(rbm.weight.grad, weight)
    torch.testing.assert_close(rbm.visible_bias.grad, -(data - model).mean(dim=0) - weight @ lam)
    torch.testing.assert_close(rbm.hidden_bias.grad, -(h_data - h_model).mean(dim=0) - mu @ weight)


def test_sampled_pixels_depend_only_on_the_image() -> None:
    images = torch.rand(50, 784)
    pixels = sample_binary_pixels(images)
    assert set(pixels.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(sample_binary_pixels(images.flip(0)[:7]), pixels.flip(0)[:7])
    assert not torch.equal(sample_binary_pixels(images, seed=1), pixels)
    assert abs(float((pixels - images).mean())) < 0.01
    assert torch.equal(sample_binary_pixels(images.double()), pixels.double())
    black = torch.zeros(1, 784)
    assert torch.equal(sample_binary_pixels(black), black)
    assert torch.equal(sample_binary_pixels(1 - black), 1 - black)


@pytest.mark.usefixtures("quick_annealing")
def test_training_logs_the_monitored_metrics_and_improves_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FIT) == 0
    output = capsys.readouterr().out
    assert "reconstruction error" in output
    assert "free-energy gap" in output
    with Path("logs/rbm/version_0/metrics.csv").open() as file:
        first, *_, last = (row for row in csv.DictReader(file) if row["val_pseudo_log_likelihood"])
    assert float(last["val_pseudo_log_likelihood"]) > float(first["val_pseudo_log_likelihood"])
    assert float(last["val_reconstruction_error"]) < float(first["val_reconstruction_error"])
    assert abs(float(last["free_energy_gap"])) < 20
    assert "Test set:   log-likelihood -" in output
    main(
        [
            "validate",
            "--config",
            "logs/rbm/version_0/config.yaml",
            "--ckpt_path",
            "logs/rbm/version_0/checkpoints/last.ckpt",
        ]
    )
    assert f"pseudo-log-likelihood {float(last['val_pseudo_log_likelihood']):.2f} nats" in capsys.readouterr().out


def test_estimated_partition_function_matches_the_exact_one() -> None:
    """With eight hidden units log Z can be computed exactly; both directions of annealing estimate it."""
    main([*FIT, "--trainer.limit_test_batches", "0"])
    model = RBM.load_from_checkpoint("logs/rbm/version_0/checkpoints/last.ckpt")
    data = MNISTDataModule()
    data.setup("test")
    images = data.test_dataloader().dataset.get_batch(range(100))[0].flatten(1)  # type: ignore[attr-defined]
    energies = model.rbm.free_energy(sample_binary_pixels(images)).detach()
    likelihood = measure_likelihood(
        model.rbm, model.divergence.visible_mean, energies, images, chains=100, temperatures=500
    )
    exact = exact_log_partition(model.rbm)
    assert likelihood.warning is None
    assert abs(likelihood.log_partition - exact) < 0.2
    assert abs(likelihood.log_partition_reverse - exact) < 0.2
    mean = -float(energies.mean()) - exact
    assert likelihood.log_likelihood_low < mean < likelihood.log_likelihood_high
    again = measure_likelihood(model.rbm, model.divergence.visible_mean, energies, images, chains=100, temperatures=500)
    assert again == likelihood


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"log_partition_reverse": 104.0}, "forward and reverse annealing differ by 4.0 nats"),
        ({"log_partition": float("nan")}, "differ by nan nats"),
        ({"effective_chains": 3.0}, "worth 3.0 independent ones only"),
        ({"log_likelihood_high": float("inf")}, "no end"),
    ],
)
def test_an_unreliable_likelihood_states_the_reason(changed: dict[str, float], reason: str) -> None:
    reliable = Likelihood(-90.0, -91.0, -89.0, 100.0, 100.5, 150.0)
    assert "trust" not in str(reliable)
    unreliable = Likelihood(**{**reliable.metrics(), **changed})
    assert f"Do not trust it: {unreliable.warning}" in str(unreliable)
    assert reason in str(unreliable)


@pytest.mark.parametrize(
    "variant", ["persistent", *(pytest.param(variant, marks=pytest.mark.slow) for variant in ("cd", "centred"))]
)
def test_interrupted_training_resumes_exactly(variant: str) -> None:
    arguments = {
        "persistent": [],
        "cd": ["--model.persistent", "false", "--model.gibbs_steps", "2"],
        "centred": ["--model.centred", "true", "--model.sparsity_target", "0.1"],
    }[variant]
    fit = [*FIT, "--trainer.limit_test_batches", "0", "--model.initial_epochs", "1", *arguments]
    assert main(fit) == 0
    at = f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": 14, "signal": {int(signal.SIGTERM)}}}}}'
    assert main([*fit, "--trainer.callbacks", at]) == 143
    (interrupted,) = Path("logs/rbm/version_1/checkpoints").glob("interrupted*")
    content = torch.load(interrupted, weights_only=True)
    assert content["optimizer_states"][0]["param_groups"][0]["momentum"] == 0.9
    assert content["optimizer_states"][0]["state"][0]["momentum_buffer"].any()
    (process,) = content["callbacks"]["ExactResume"]["processes"]
    assert set(process["module"]) == (set() if variant == "cd" else {"chains"})
    torch.manual_seed(12345)
    assert main([*fit, "--ckpt_path", "last"]) == 0
    last = "logs/rbm/version_{}/checkpoints/last.ckpt"
    assert weights(last.format(2)) == weights(last.format(0))


def test_training_resumes_exactly_from_the_last_step_of_an_epoch() -> None:
    fit = [*FIT, "--trainer.limit_test_batches", "0", "--model.initial_epochs", "1"]
    fit += ["--checkpoint.every_n_train_steps", "10", "--checkpoint.save_top_k", "-1"]
    fit += ["--checkpoint.save_on_train_epoch_end", "false"]
    assert main(fit) == 0
    (path,) = Path("logs/rbm/version_0/checkpoints").glob("*step=10.ckpt")
    assert main([*fit, "--ckpt_path", str(path)]) == 0
    assert weights("logs/rbm/version_1/checkpoints/last.ckpt") == weights(LAST)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_annealing")
@pytest.mark.parametrize("precision", ["64-true", pytest.param("bf16-mixed", marks=pytest.mark.slow)])
def test_every_precision_gives_about_the_same_likelihood(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also mixed precision, although an RBM's metrics are small differences of large sums."""
    likelihoods = []
    for trainer_precision in ("32-true", precision):
        assert main([*FIT, "--trainer.precision", trainer_precision]) == 0
        likelihoods += re.findall(r"log-likelihood (-[\d.]+) nats", capsys.readouterr().out)
    assert float(likelihoods[0]) == pytest.approx(float(likelihoods[1]), abs=0.5)


def test_pseudo_likelihood_does_not_depend_on_the_batch_size(capsys: pytest.CaptureFixture[str]) -> None:
    main([*FIT, "--trainer.limit_test_batches", "0"])
    capsys.readouterr()
    outputs = set()
    for size in ("1000", "77"):
        assert main(["validate", *TRAINED, "--data.eval_batch_size", size]) == 0
        outputs.add(capsys.readouterr().out)
    assert len(outputs) == 1


def test_free_energy_gap_uses_as_many_training_as_validation_images_of_all_processes() -> None:
    requested = []
    rbm, totals = BernoulliRBM(784, 3), RBMTotals()
    totals.update(rbm, torch.rand(7, 784))
    totals.dist_sync_fn = lambda tensor, group: [tensor, tensor]
    totals.distributed_available_fn = lambda: True

    def reference(count: int) -> list[torch.Tensor]:
        requested.append(count)
        return [torch.rand(count, 784)]

    assert "free_energy_gap" in summarize(totals, rbm, reference)
    assert requested == [14]


@pytest.mark.slow
def test_two_processes_share_the_parameters_but_not_the_chains() -> None:
    ddp = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.limit_test_batches", "0"]
    run_zoo(*FIT, *ddp, "--trainer.callbacks", "tests.helpers.WriteWeights")
    one, two = (Path(f"weights-{rank}.txt").read_text() for rank in (0, 1))
    assert one == two
    first, second = (
        process["module"]["chains"] for process in load_checkpoint()["callbacks"]["ExactResume"]["processes"]
    )
    assert first.shape == second.shape == (50, 784)
    assert not torch.equal(first, second)


def test_chains_are_distributed_over_the_current_processes() -> None:
    class FakeTrainer:
        world_size, global_rank = 2, 1

    model = RBM(num_hidden=4)
    model._trainer = FakeTrainer()  # type: ignore[assignment]
    chains = torch.rand(6, 784).round()
    model.load_process_states([{"chains": chains[:2]}, {"chains": chains[2:4]}, {"chains": chains[4:]}])
    assert torch.equal(model.process_state()["chains"], chains[3:])
    with pytest.raises(UsageError, match="chains are damaged"):
        model.load_process_states([{"chains": torch.zeros(3)}])


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("num_hidden", 0, "num_hidden is 0"),
        ("gibbs_steps", 0, "gibbs_steps is 0"),
        ("lr", -1.0, "lr is -1.0"),
        ("momentum", 1.0, "momentum is 1.0"),
        ("weight_cost", -0.1, "weight_cost is -0.1"),
        ("sparsity_target", 1.5, "sparsity_target is 1.5"),
        ("lr_schedule", "cosin", "did you mean cosine"),
    ],
)
def test_wrong_arguments_raise(argument: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RBM(**{argument: value})


def test_predict_raises_for_an_rbm(capsys: pytest.CaptureFixture[str]) -> None:
    main([*FIT, "--trainer.limit_test_batches", "0"])
    capsys.readouterr()
    assert main(["predict", *TRAINED]) == 2
    assert "RBM is no classifier" in capsys.readouterr().err
