from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers import complaint, run_zoo, weights
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data.batches import ImageBatches
from zoo.data.bootstrap import bootstrap_positions, multiplicities
from zoo.metrics.ensemble import EnsembleTotals, elected, votes_of
from zoo.models import MLP, BaggedEnsemble, Classifier
from zoo.utils.errors import UsageError

MEMBER = {"hidden_sizes": [12], "weight_init": "xavier_uniform"}
SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "2"]
FIT = [
    "fit",
    "--config",
    "bagging",
    "--model.num_members",
    "3",
    "--model.member_args",
    '{"hidden_sizes": [12]}',
    *SHORT,
]


def alone(member: Classifier, batches: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Train an ordinary network by hand on these batches."""
    member.train()
    optimizer = member.make_optimizer()
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(member(images), labels).backward()
        optimizer.step()
    return member.state_dict()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_an_ensemble_trains_as_its_members_would_alone(batch_norm: bool, bootstrap: bool) -> None:
    """Fifty steps: the same initial values, the same order, each member on the images that it drew."""
    ensemble = BaggedEnsemble("MLP", {**MEMBER, "batch_norm": batch_norm}, 3, bootstrap, bootstrap_seed=4).double()
    data = MNISTDataModule(num_train=5000, batch_size=100, with_indices=True)
    data.setup("fit")
    dataset: Any = data.train_dataloader().dataset
    members = [member.double() for member in ensemble.members()]

    class Of:
        train_dataloader = data.train_dataloader()
        precision = "64-true"

    ensemble._trainer = Of()  # type: ignore[assignment]
    if bootstrap:
        ensemble._draw(dataset)
    optimizer = ensemble.make_optimizer()
    batches: list[list[tuple[Tensor, Tensor]]] = [[], [], []]
    for step in torch.randperm(5000).split(100):
        images, labels, rows = dataset.__getitems__(step)
        optimizer.zero_grad()
        # The images in double precision, because Adam makes whole steps of rounding where a gradient is nearly 0.
        own = ensemble._own_batches(rows) if bootstrap else (images, labels)
        ensemble.loss_of(own[0].double(), own[1]).backward()
        optimizer.step()
        for number in range(3):
            drawn = bootstrap_positions(5000, number, 4)[step] if bootstrap else step
            images, labels, _ = dataset.__getitems__(drawn)
            batches[number].append((images.double(), labels))
    trained = ensemble.members()
    for number, member in enumerate(members):
        expected = alone(member, batches[number])
        for name, value in trained[number].state_dict().items():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-9)


def test_bootstraps_are_n_of_n_with_replacement_and_each_member_s_own() -> None:
    first, second = (bootstrap_positions(55_000, member, seed=0) for member in (0, 1))
    counts = multiplicities(first, 55_000)
    assert int(counts.sum()) == 55_000
    assert abs(float((counts > 0).double().mean()) - 0.632) < 0.005
    assert int(counts.max()) > 3
    assert not torch.equal(first, second)
    assert torch.equal(first, bootstrap_positions(55_000, 0, seed=0))
    assert not torch.equal(first, bootstrap_positions(55_000, 0, seed=1))


def test_members_are_the_networks_that_answer_together() -> None:
    ensemble = BaggedEnsemble("zoo.models.MLP", {**MEMBER, "batch_norm": True}, 3).eval()
    images = torch.rand(6, 1, 28, 28)
    members = ensemble.members()
    assert [type(member) for member in members] == [MLP] * 3
    assert not any(member.training for member in members)
    probabilities = torch.stack([member(images).softmax(dim=1) for member in members])
    torch.testing.assert_close(ensemble(images).softmax(dim=1), probabilities.mean(dim=0))
    torch.testing.assert_close(ensemble.member_logits(images).softmax(dim=2), probabilities)


def test_dropout_and_initial_values_differ_from_member_to_member() -> None:
    ensemble = BaggedEnsemble("MLP", {**MEMBER, "hidden_sizes": [50], "dropout": 0.5}, 2)
    with torch.no_grad():
        for value in ensemble.stacked_parameters.values():
            value[1] = value[0]
    images = torch.rand(4, 1, 28, 28)
    one, two = ensemble.eval().member_logits(images)
    assert torch.equal(one, two)
    one, two = ensemble.train().member_logits(images)
    assert not torch.allclose(one, two)
    one, two = BaggedEnsemble("MLP", MEMBER, 2).eval().member_logits(images)
    assert not torch.allclose(one, two)


def test_votes_mean_probability_and_disagreement() -> None:
    probabilities = torch.tensor(
        [
            [[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]],
            [[0.6, 0.4, 0.0], [0.8, 0.2, 0.0]],
            [[0.0, 1.0, 0.0], [0.3, 0.3, 0.4]],
        ]
    )
    votes = votes_of(probabilities.argmax(dim=2), 3)
    assert votes.tolist() == [[2, 1, 0], [1, 1, 1]]
    # The first by its two votes, against the mean probability; the second, a draw, by the mean probability.
    assert elected(votes, probabilities).tolist() == [0, 1]
    # With as many members as there may be.
    assert elected(torch.tensor([[500, 500]]), torch.tensor([[[0.49999, 0.50001]]])).tolist() == [1]
    totals = EnsembleTotals(3)
    totals.update(probabilities, torch.tensor([0, 1]))
    figures = totals.compute()
    assert figures["member_acc"].tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert float(figures["vote_acc"]) == 1
    assert float(figures["disagreement"]) == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize("batch_norm", ["false", "true"])
def test_out_of_the_bag_no_member_judges_what_it_has_seen(batch_norm: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Against a loop over the members and their bootstraps."""
    args = f'{{"hidden_sizes": [12], "batch_norm": {batch_norm}}}'
    assert main([*FIT, "--model.member_args", args]) == 0
    output = capsys.readouterr().out
    ensemble = BaggedEnsemble.load_from_checkpoint("logs/bagging/version_0/checkpoints/last.ckpt").eval()
    data = MNISTDataModule(num_train=1000)
    data.setup("fit")
    dataset: Any = data.train_dataloader().dataset
    images, labels = dataset.__getitems__(torch.arange(1000))
    judged = right = 0
    answers = [member(images).softmax(dim=1).detach() for member in ensemble.members()]
    seen = [set(bootstrap_positions(1000, number, 0).tolist()) for number in range(3)]
    for position in range(1000):
        judges = [answer[position] for answer, own in zip(answers, seen, strict=True) if position not in own]
        judged += bool(judges)
        right += bool(judges) and int(sum(judges).argmax()) == int(labels[position])
    assert f"out of the bag {right / judged:.4f}" in output
    assert 0.6 < judged / 1000 < 0.85  # 1 − 0.632³ = 0.75
    assert main(["test", "--config", "logs/bagging/version_0/config.yaml", "--ckpt_path", last(0)]) == 0
    assert f"out of the bag {right / judged:.4f}" in capsys.readouterr().out


def test_an_image_leaves_no_trace_in_a_member_that_did_not_draw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in its weights, and not in the statistics of its batch norm."""
    fit = [*FIT, "--model.member_args", '{"hidden_sizes": [12], "batch_norm": true}']
    drew = [7 in bootstrap_positions(1000, member, 0).tolist() for member in range(3)]
    assert main(fit) == 0
    fetch = ImageBatches.__getitems__

    def altered(dataset: ImageBatches, positions: Any) -> Any:
        images, *more = fetch(dataset, positions)
        images[torch.as_tensor(positions) == 7] = 0.5
        return images, *more

    monkeypatch.setattr(ImageBatches, "__getitems__", altered)
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


@pytest.mark.parametrize("batch_norm", ["false", "true"])
def test_an_interrupted_training_goes_on_exactly_with_the_same_bootstraps(batch_norm: str) -> None:
    args = f'{{"hidden_sizes": [12], "dropout": 0.2, "batch_norm": {batch_norm}}}'
    fit = [*FIT, "--model.member_args", args, "--trainer.limit_test_batches", "0"]
    assert main(fit) == 0
    at = f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": 14, "signal": {int(signal.SIGTERM)}}}}}'
    assert main([*fit, "--trainer.callbacks", at]) == 143
    torch.manual_seed(12345)
    assert main([*fit, "--ckpt_path", "last"]) == 0
    assert weights(last(2)) == weights(last(0))


@pytest.mark.slow
def test_two_processes_train_and_test_the_ensemble_that_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    same = ["--trainer.precision", "64-true"]
    both = run_zoo(*FIT, *same, "--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert main([*FIT, *same]) == 0
    summary = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Test set"))
    assert "out of the bag" in summary
    assert summary in both
    two, one = (torch.load(last(version), weights_only=True)["state_dict"] for version in (0, 1))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-7, atol=1e-7)


def test_weights_count_in_the_penalty_and_biases_do_not() -> None:
    ensemble = BaggedEnsemble("MLP", MEMBER, 2, l2=0.5)
    expected = sum(0.5 * p.square().sum() for m in ensemble.members() for p in m.parameters() if p.dim() > 1)
    torch.testing.assert_close(ensemble.l2_penalty().detach(), torch.as_tensor(expected).detach())


@pytest.mark.parametrize(
    ("words", "sentence"),
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
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in complaint([*FIT, *words], capsys)


@pytest.mark.slow
def test_three_processes_test_what_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where they could not share a training batch."""
    assert main(FIT) == 0
    capsys.readouterr()
    test = ["test", "--config", "logs/bagging/version_0/config.yaml", "--ckpt_path", last(0)]
    assert main(test) == 0
    assert capsys.readouterr().out in run_zoo(*test, "--trainer.devices", "3", "--trainer.strategy", "ddp")


def test_a_checkpoint_does_not_choose_what_is_imported(tmp_path: Path) -> None:
    Path("evil_network.py").write_text("raise SystemExit('imported')")
    model = BaggedEnsemble("MLP", MEMBER, 2)
    from zoo.runs.checkpoint import write_weights

    write_weights(model, {**dict(model.hparams), "member": "evil_network.Net"}, Path("evil.ckpt"))
    with pytest.raises(UsageError, match="Unknown member class"):
        BaggedEnsemble.load_from_checkpoint("evil.ckpt")


def test_a_member_of_one_s_own(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_no_class_takes_the_name_of_one_of_the_zoo_s() -> None:
    type("MLP", (MLP,), {"__module__": "elsewhere"})
    assert BaggedEnsemble("MLP", MEMBER, 1)._class is MLP
    assert BaggedEnsemble("zoo.models.MLP", MEMBER, 1)._class is MLP


@pytest.mark.slow
def test_memory_grows_with_the_parameters_and_not_with_the_data() -> None:
    """Twenty members instead of two: their weights, gradients and Adam's two moments, and four bytes for each draw."""
    program = (
        "import resource, sys\n"
        "from zoo.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    peak = {}
    for members in (2, 20):
        words = ["--model.num_members", str(members), "--trainer.max_steps", "50", "--trainer.limit_val_batches", "0"]
        fit = ["fit", "--config", "bagging", *words, "--trainer.limit_test_batches", "0"]
        output = run_zoo(*fit, "--trainer.accelerator", "cpu", "--trainer.logger", "false", program=("-c", program))
        peak[members] = int(output.split()[-1])
    parameters = sum(parameter.numel() for parameter in MLP([256, 256]).parameters())
    each = (peak[20] - peak[2]) / 18
    # Twice the sum, for a step's activations and the checkpoint that is put together before it is written. A copy of
    # the 55,000 images would be 43 MB a member, or 172 MB as float32.
    assert each < 2.5 * (4 * 4 * parameters + 4 * 55_000) < 43e6 / 3
