from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers import error_output, run_zoo, weights
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data.batches import ImageBatches
from zoo.data.bootstrap import bootstrap_positions, multiplicities
from zoo.metrics.ensemble import EnsembleTotals, count_votes, majority_vote
from zoo.models import MLP, BaggedEnsemble, Classifier
from zoo.utils.errors import UsageError

MEMBER = {"hidden_sizes": [12], "weight_init": "xavier_uniform"}
SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "2"]
SMALL = ["--model.num_members", "3", "--model.member_args", '{"hidden_sizes": [12]}']
FIT = ["fit", "--config", "bagging", *SMALL, *SHORT]


def train_alone(member: Classifier, batches: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Train a single network on these batches with a plain loop, and return its state dict."""
    member.train()
    optimizer = member.make_optimizer()
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(member(images), labels).backward()
        optimizer.step()
    return member.state_dict()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_ensemble_training_matches_training_each_member_alone(batch_norm: bool, bootstrap: bool) -> None:
    """Fifty steps from the same initial weights, in the same order, each member on the images that it drew."""
    ensemble = BaggedEnsemble("MLP", {**MEMBER, "batch_norm": batch_norm}, 3, bootstrap, bootstrap_seed=4).double()
    data = MNISTDataModule(num_train=5000, batch_size=100, with_indices=True)
    data.setup("fit")
    dataset: Any = data.train_dataloader().dataset
    members = [member.double() for member in ensemble.members()]

    class FakeTrainer:
        train_dataloader = data.train_dataloader()
        precision = "64-true"

    ensemble._trainer = FakeTrainer()  # type: ignore[assignment]
    if bootstrap:
        ensemble._draw_bootstraps(dataset)
    optimizer = ensemble.make_optimizer()
    batches: list[list[tuple[Tensor, Tensor]]] = [[], [], []]
    for step in torch.randperm(5000).split(100):
        images, labels, rows = dataset.get_batch(step)
        optimizer.zero_grad()
        # Double precision, because Adam turns rounding errors into full steps where a gradient is nearly 0.
        if bootstrap:
            assert ensemble._sampler is not None
            images, labels = ensemble._sampler.member_batches(dataset, rows)
        ensemble.member_losses(images.double(), labels).loss.backward()
        optimizer.step()
        for number in range(3):
            drawn = bootstrap_positions(5000, number, 4)[step] if bootstrap else step
            images, labels, _ = dataset.get_batch(drawn)
            batches[number].append((images.double(), labels))
    trained = ensemble.members()
    for number, member in enumerate(members):
        expected = train_alone(member, batches[number])
        for name, value in trained[number].state_dict().items():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-9)


def test_each_member_draws_its_own_bootstrap_with_replacement() -> None:
    first, second = (bootstrap_positions(55_000, member, seed=0) for member in (0, 1))
    counts = multiplicities(first, 55_000)
    assert int(counts.sum()) == 55_000
    assert abs(float((counts > 0).double().mean()) - 0.632) < 0.005
    assert int(counts.max()) > 3
    assert not torch.equal(first, second)
    assert torch.equal(first, bootstrap_positions(55_000, 0, seed=0))
    assert not torch.equal(first, bootstrap_positions(55_000, 0, seed=1))


def test_ensemble_averages_the_probabilities_of_its_members() -> None:
    ensemble = BaggedEnsemble("zoo.models.MLP", {**MEMBER, "batch_norm": True}, 3).eval()
    images = torch.rand(6, 1, 28, 28)
    members = ensemble.members()
    assert [type(member) for member in members] == [MLP] * 3
    assert not any(member.training for member in members)
    probabilities = torch.stack([member(images).softmax(dim=1) for member in members])
    torch.testing.assert_close(ensemble(images).softmax(dim=1), probabilities.mean(dim=0))
    torch.testing.assert_close(ensemble.member_logits(images).softmax(dim=2), probabilities)


def test_members_differ_in_dropout_masks_and_initial_weights() -> None:
    ensemble = BaggedEnsemble("MLP", {**MEMBER, "hidden_sizes": [50], "dropout": 0.5}, 2)
    with torch.no_grad():
        for value in ensemble.stacked_parameters.values():
            value[1] = value[0]
    images = torch.rand(4, 1, 28, 28)
    first, second = ensemble.eval().member_logits(images)
    assert torch.equal(first, second)
    first, second = ensemble.train().member_logits(images)
    assert not torch.allclose(first, second)
    first, second = BaggedEnsemble("MLP", MEMBER, 2).eval().member_logits(images)
    assert not torch.allclose(first, second)


def test_votes_member_accuracies_and_disagreement() -> None:
    probabilities = torch.tensor(
        [
            [[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]],
            [[0.6, 0.4, 0.0], [0.8, 0.2, 0.0]],
            [[0.0, 1.0, 0.0], [0.3, 0.3, 0.4]],
        ]
    )
    votes = count_votes(probabilities.argmax(dim=2), 3)
    assert votes.tolist() == [[2, 1, 0], [1, 1, 1]]
    # The first image by two votes, against the mean probability; the second, a tie, by the mean probability.
    assert majority_vote(votes, probabilities).tolist() == [0, 1]
    # With the maximum number of members.
    assert majority_vote(torch.tensor([[500, 500]]), torch.tensor([[[0.49999, 0.50001]]])).tolist() == [1]
    totals = EnsembleTotals(3)
    totals.update(probabilities, torch.tensor([0, 1]))
    metrics = totals.compute()
    assert metrics["member_acc"].tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert float(metrics["vote_acc"]) == 1
    assert float(metrics["disagreement"]) == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize("batch_norm", ["true", pytest.param("false", marks=pytest.mark.slow)])
def test_out_of_bag_accuracy_matches_a_loop_over_the_members(
    batch_norm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = f'{{"hidden_sizes": [12], "batch_norm": {batch_norm}}}'
    assert main([*FIT, "--model.member_args", args]) == 0
    output = capsys.readouterr().out
    ensemble = BaggedEnsemble.load_from_checkpoint("logs/bagging/version_0/checkpoints/last.ckpt").eval()
    data = MNISTDataModule(num_train=1000)
    data.setup("fit")
    dataset: Any = data.train_dataloader().dataset
    images, labels = dataset.get_batch(torch.arange(1000))
    evaluated = correct = 0
    probabilities = [member(images).softmax(dim=1).detach() for member in ensemble.members()]
    bootstraps = [set(bootstrap_positions(1000, number, 0).tolist()) for number in range(3)]
    for position in range(1000):
        members = zip(probabilities, bootstraps, strict=True)
        out_of_bag = [member[position] for member, bootstrap in members if position not in bootstrap]
        evaluated += bool(out_of_bag)
        correct += bool(out_of_bag) and int(sum(out_of_bag).argmax()) == int(labels[position])
    assert f"out-of-bag {correct / evaluated:.4f}" in output
    assert 0.6 < evaluated / 1000 < 0.85  # 1 − 0.632³ = 0.75
    assert main(["test", "--config", "logs/bagging/version_0/config.yaml", "--ckpt_path", last(0)]) == 0
    assert f"out-of-bag {correct / evaluated:.4f}" in capsys.readouterr().out


def test_an_image_affects_only_the_members_that_drew_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the weights nor the batch norm statistics of the other members change."""
    fit = [*FIT, "--model.member_args", '{"hidden_sizes": [12], "batch_norm": true}']
    drew = [7 in bootstrap_positions(1000, member, 0).tolist() for member in range(3)]
    assert main(fit) == 0
    original_get_batch = ImageBatches.get_batch

    def altered(dataset: ImageBatches, positions: Any) -> Any:
        images, *more = original_get_batch(dataset, positions)
        images[torch.as_tensor(positions) == 7] = 0.5
        return images, *more

    monkeypatch.setattr(ImageBatches, "get_batch", altered)
    assert main(fit) == 0
    before, after = (torch.load(last(version), weights_only=True)["state_dict"] for version in (0, 1))
    stacked = [name for name in before if name.startswith("stacked_")]
    assert any("running_var" in name for name in stacked)
    for member in range(3):
        same = all(torch.equal(before[name][member], after[name][member]) for name in stacked)
        assert same != drew[member]
    assert True in drew
    assert False in drew


def last(version: int) -> str:
    return f"logs/bagging/version_{version}/checkpoints/last.ckpt"


@pytest.mark.parametrize("batch_norm", ["true", pytest.param("false", marks=pytest.mark.slow)])
def test_interrupted_training_resumes_exactly_with_the_same_bootstraps(batch_norm: str) -> None:
    args = f'{{"hidden_sizes": [12], "dropout": 0.2, "batch_norm": {batch_norm}}}'
    fit = [*FIT, "--model.member_args", args, "--trainer.limit_test_batches", "0"]
    assert main(fit) == 0
    at = f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": 14, "signal": {int(signal.SIGTERM)}}}}}'
    assert main([*fit, "--trainer.callbacks", at]) == 143
    torch.manual_seed(12345)
    assert main([*fit, "--ckpt_path", "last"]) == 0
    assert weights(last(2)) == weights(last(0))


@pytest.mark.slow
def test_two_processes_train_and_test_the_same_ensemble_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    same = ["--trainer.precision", "64-true"]
    both = run_zoo(*FIT, *same, "--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert main([*FIT, *same]) == 0
    summary = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Test set"))
    assert "out-of-bag" in summary
    assert summary in both
    two, one = (torch.load(last(version), weights_only=True)["state_dict"] for version in (0, 1))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-7, atol=1e-7)


def test_one_member_is_an_ensemble_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--model.num_members", "1"]) == 0
    assert re.search(r"errors; out-of-bag 0\.\d{4}\n", capsys.readouterr().out)


def test_l2_penalty_includes_weights_but_not_biases() -> None:
    ensemble = BaggedEnsemble("MLP", MEMBER, 2, l2=0.5)
    expected = sum(0.5 * p.square().sum() for m in ensemble.members() for p in m.parameters() if p.dim() > 1)
    torch.testing.assert_close(ensemble.l2_penalty().detach(), torch.as_tensor(expected).detach())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.with_indices", "false"], "set data.with_indices true"),
        (["--model.num_members", "0"], "num_members is 0"),
        (["--model.bootstrap_seed", "-1"], "bootstrap_seed is -1"),
        (["--model.member", "MPL"], "did you mean MLP"),
        (["--model.member", "torch.nn.Linear"], "Unknown member class"),
        (["--model.member", "nowhere.Net"], "nowhere"),
        (["--model.member_args", '{"strange": 1}'], "strange"),
        (["--model.member", "DBN", "--model.member_args", "{}"], "is trained in stages of its own"),
        (["--model.member_args", '{"num_classes": 5}'], "set num_classes beside them"),
        (["--model.member", "RecurrentNet", "--model.member_args", "{}"], "only feed-forward networks"),
        (["--model.member_args", '{"hidden_sizes": [0]}'], "hidden_sizes is [0]"),
    ],
)
def test_wrong_arguments_give_a_one_line_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_output([*FIT, *arguments], capsys)


@pytest.mark.slow
def test_three_processes_print_the_same_test_metrics_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Also if the training batch size is not divisible by three."""
    assert main(FIT) == 0
    capsys.readouterr()
    test = ["test", "--config", "logs/bagging/version_0/config.yaml", "--ckpt_path", last(0)]
    assert main(test) == 0
    assert capsys.readouterr().out in run_zoo(*test, "--trainer.devices", "3", "--trainer.strategy", "ddp")


def test_loading_a_checkpoint_does_not_import_the_member_class(tmp_path: Path) -> None:
    Path("evil_network.py").write_text("raise SystemExit('imported')")
    model = BaggedEnsemble("MLP", MEMBER, 2)
    from zoo.runs.checkpoint import write_weights

    write_weights(model, {**dict(model.hparams), "member": "evil_network.Net"}, Path("evil.ckpt"))
    with pytest.raises(UsageError, match="Unknown member class"):
        BaggedEnsemble.load_from_checkpoint("evil.ckpt")


def test_members_may_be_of_a_user_s_class(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(
        "from torch import nn\nfrom zoo.models import Classifier\n"
        "class Mine(Classifier):\n"
        "    def __init__(self, units: int = 3, **training):\n"
        "        super().__init__(**training)\n"
        "        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, units), nn.Tanh(), nn.Linear(units, 10))\n"
        "    def forward(self, images):\n"
        "        return self.net(images)\n"
    )
    assert main([*FIT, "--model.member", "mine.Mine", "--model.member_args", '{"units": 4}']) == 0
    assert "its 3 members" in capsys.readouterr().out


def test_a_user_s_class_does_not_shadow_a_zoo_class() -> None:
    type("MLP", (MLP,), {"__module__": "elsewhere"})
    assert BaggedEnsemble("MLP", MEMBER, 1)._member_class is MLP
    assert BaggedEnsemble("zoo.models.MLP", MEMBER, 1)._member_class is MLP


@pytest.mark.slow
def test_memory_per_member_depends_on_its_parameters_not_on_the_images() -> None:
    """Each member needs its weights, gradients, Adam's two moments, and four bytes for each drawn position."""
    program = (
        "import resource, sys\n"
        "from zoo.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    peak = {}
    for members in (2, 20):
        options = ["--model.num_members", str(members), "--trainer.max_steps", "50", "--trainer.limit_val_batches", "0"]
        fit = ["fit", "--config", "bagging", *options, "--trainer.limit_test_batches", "0"]
        output = run_zoo(*fit, "--trainer.accelerator", "cpu", "--trainer.logger", "false", program=("-c", program))
        peak[members] = int(output.split()[-1])
    parameters = sum(parameter.numel() for parameter in MLP([256, 256]).parameters())
    per_member = (peak[20] - peak[2]) / 18
    # The factor 2.5 allows for activations and for the checkpoint, which is built in memory. A copy of the 55,000
    # images would be 43 MB per member, or 172 MB as float32.
    assert per_member < 2.5 * (4 * 4 * parameters + 4 * 55_000) < 43e6 / 3
