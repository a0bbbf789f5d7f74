"""Lightning's comfort must not cost much: measured against a loop written by hand, in one process, interleaved."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_lightning import Callback, Trainer

import zoo
from tests.helpers import run_zoo
from zoo import MNISTDataModule
from zoo.callbacks.exact_resume import ExactResume
from zoo.callbacks.graceful_stop import GracefulStop
from zoo.callbacks.run_record import RunRecord
from zoo.models import MLP, RBM, BaggedEnsemble, ZooModule
from zoo.rbm.contrastive_divergence import make_rbm_optimizer

ROUNDS = 5


class ByAutograd(MLP):
    """An MLP that the zoo does not know for a chain of layers."""

    def layers_in_order(self) -> None:
        return None


class EpochClock(Callback):
    """Seconds that each training epoch took, everything between its first and last step included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def training_data(**arguments: Any) -> MNISTDataModule:
    """The data, read; and both cores for what follows."""
    torch.set_num_threads(2)
    data = MNISTDataModule(**arguments)
    data.prepare_data()
    data.setup("fit")
    return data


def epoch_by_hand(data: MNISTDataModule) -> float:
    dataset = data.train_dataloader().dataset
    pixels, labels = dataset.images, dataset.labels  # type: ignore[attr-defined]
    network = zoo.create_model("deep_relu_xavier").net
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)  # type: ignore[union-attr]
    started = time.perf_counter()
    for batch in torch.randperm(len(labels)).split(100):
        images = pixels[batch].unsqueeze(1).float().div_(255)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels[batch]).backward()  # type: ignore[operator]
        optimizer.step()
    return time.perf_counter() - started


def rbm_epoch_by_hand(data: MNISTDataModule) -> float:
    dataset = data.train_dataloader().dataset
    model = RBM(num_hidden=500, persistent=False, sample_pixels=False)
    optimizer = make_rbm_optimizer([model.rbm], 0.05, 0.0001)
    started = time.perf_counter()
    for batch in torch.randperm(len(dataset)).split(100):  # type: ignore[arg-type]
        images = dataset.__getitems__(batch)[0].flatten(1)  # type: ignore[attr-defined]
        optimizer.zero_grad()
        model.divergence.loss(model.rbm, images, lambda mean: mean).backward()
        optimizer.step()
    return time.perf_counter() - started


def epoch_by_lightning(data: MNISTDataModule, model: ZooModule | None = None) -> float:
    clock = EpochClock()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        # Those of `zoo fit` that do something in a step.
        callbacks=[clock, RunRecord({}), ExactResume(), GracefulStop()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(model or zoo.create_model("deep_relu_xavier"), datamodule=data)
    return clock.seconds[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_an_epoch_through_lightning_costs_at_most_1_6_times_one_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    data = training_data()
    epoch_by_hand(data)
    by_hand, by_lightning = [], []
    for _ in range(ROUNDS):
        by_hand.append(epoch_by_hand(data))
        by_lightning.append(epoch_by_lightning(data))
    ratio = statistics.median(by_lightning) / statistics.median(by_hand)
    with capsys.disabled():
        print(
            f"\nby hand {statistics.median(by_hand):.2f} s, by Lightning {statistics.median(by_lightning):.2f} s "
            f"an epoch, ratio {ratio:.2f} (medians of {ROUNDS})"
        )
    assert ratio <= 1.6


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_ten_networks_at_once_cost_no_more_than_one_after_the_other(
    bootstrap: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """784-256-256-10, ten of them, batches of 100 of 11,000 images, both through Lightning.

    Held against the same program style: torch's own backward pass, steps in blocks. Beside it, and only told, the ten
    as `zoo fit` trains them, by a chain that an ensemble has no counterpart of, and one step at a time.
    """
    data = training_data(num_train=11_000, with_indices=True)
    arguments = {"hidden_sizes": [256, 256], "weight_init": "xavier_uniform"}
    forms: dict[str, Callable[..., MLP]] = {
        "autograd in blocks": ByAutograd,
        "by the chain": MLP,
        "step by step": partial(MLP, steps_per_call=1),
    }
    one_by_one: dict[str, list[float]] = {form: [] for form in forms}
    at_once = []
    for _ in range(ROUNDS):
        for form, make_model in forms.items():
            singles = (make_model(**arguments) for _ in range(10))
            one_by_one[form].append(sum(epoch_by_lightning(data, single) for single in singles))
        at_once.append(epoch_by_lightning(data, BaggedEnsemble("MLP", arguments, 10, bootstrap)))
    ratios = {form: statistics.median(at_once) / statistics.median(found) for form, found in one_by_one.items()}
    with capsys.disabled():
        print(f"\nat once {statistics.median(at_once):.2f} s, bootstrap {bootstrap} (medians of {ROUNDS})")
        for form, found in one_by_one.items():
            print(f"one by one {form} {statistics.median(found):.2f} s, ratio {ratios[form]:.2f}")
    assert ratios["autograd in blocks"] <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("augment", ["elastic", "affine_elastic"])
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_an_epoch_of_bent_images_costs_at_most_1_5_times_one_of_still_ones(
    augment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """784-512×4-10, batches of 100 of the 55,000 training images."""
    plain, bent = (training_data(augment=name) for name in ("none", augment))
    without, with_distortion = [], []
    for _ in range(ROUNDS):
        without.append(epoch_by_lightning(plain, zoo.create_model("deeper_relu_xavier")))
        with_distortion.append(epoch_by_lightning(bent, zoo.create_model("deeper_relu_xavier")))
    ratio = statistics.median(with_distortion) / statistics.median(without)
    with capsys.disabled():
        print(
            f"\nstill {statistics.median(without):.2f} s, {augment} {statistics.median(with_distortion):.2f} s "
            f"an epoch, ratio {ratio:.2f} (medians of {ROUNDS})"
        )
    assert ratio <= 1.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_an_epoch_of_the_rbm_is_faster_than_scikit_learn_s(capsys: pytest.CaptureFixture[str]) -> None:
    """784-500, CD-1, batches of 100, on the 55,000 training images.

    scikit-learn's chains go on from update to update; both make five matrix products in each.
    """
    neural_network = pytest.importorskip("sklearn.neural_network", reason="needs scikit-learn, which is in .[dev]")
    data = training_data()
    pixels = data.train_dataloader().dataset.images.flatten(1).float().div(255).numpy()  # type: ignore[attr-defined]
    alone, ours, theirs = [], [], []
    for _ in range(ROUNDS):
        other = neural_network.BernoulliRBM(n_components=500, learning_rate=0.05, batch_size=100, n_iter=1)
        started = time.perf_counter()
        other.fit(pixels)
        theirs.append(time.perf_counter() - started)
        ours.append(epoch_by_lightning(data, RBM(num_hidden=500, persistent=False, sample_pixels=False)))
        alone.append(rbm_epoch_by_hand(data))
    ratio = statistics.median(ours) / statistics.median(theirs)
    with capsys.disabled():
        print(
            f"\nscikit-learn {statistics.median(theirs):.2f} s, zoo {statistics.median(ours):.2f} s an epoch, "
            f"ratio {ratio:.2f}, without Lightning {statistics.median(alone):.2f} s (medians of {ROUNDS})"
        )
    assert ratio < 1.0


@pytest.mark.slow
def test_a_picture_is_classified_in_six_seconds_and_ten_thousand_in_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole processes, the start of Python included: one picture by all members, 10,000 by one."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    for place, image in enumerate(data.splits["test"].images.numpy()):
        Image.fromarray(image).save(tmp_path / f"{place:05}.png")
    one = [seconds_of("classify", str(tmp_path / "00000.png")) for _ in range(ROUNDS)]
    many = seconds_of("classify", str(tmp_path), "--model", "dropout_batchnorm")
    with capsys.disabled():
        print(f"\none picture {statistics.median(one):.2f} s (median of {ROUNDS}), 10,000 in {many:.1f} s")
    assert statistics.median(one) < 6
    assert many < 60


def seconds_of(*words: str) -> float:
    started = time.perf_counter()
    run_zoo(*words)
    return time.perf_counter() - started
