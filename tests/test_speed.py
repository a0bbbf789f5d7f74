"""Speed tests: the zoo against baselines, measured in one process in interleaved rounds."""

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
    """An MLP that is trained by autograd, not by the zoo's own backward pass for chains of layers."""

    def layers_in_order(self) -> None:
        return None


class EpochClock(Callback):
    """Measures the seconds of each training epoch, from its first to its last step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def training_data(**arguments: Any) -> MNISTDataModule:
    """Load the training data, and use two threads from now on."""
    torch.set_num_threads(2)
    data = MNISTDataModule(**arguments)
    data.prepare_data()
    data.setup("fit")
    return data


def epoch_by_hand(data: MNISTDataModule) -> float:
    """Train an epoch with a plain PyTorch loop and return its seconds."""
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
    """Train an epoch of an RBM without Lightning and return its seconds."""
    dataset = data.train_dataloader().dataset
    model = RBM(num_hidden=500, persistent=False, sample_pixels=False)
    optimizer = make_rbm_optimizer([model.rbm], 0.05, 0.0001)
    started = time.perf_counter()
    for batch in torch.randperm(len(dataset)).split(100):  # type: ignore[arg-type]
        images = dataset.get_batch(batch)[0].flatten(1)  # type: ignore[attr-defined]
        optimizer.zero_grad()
        model.divergence.loss(model.rbm, images, lambda mean: mean).backward()
        optimizer.step()
    return time.perf_counter() - started


def epoch_by_lightning(data: MNISTDataModule, model: ZooModule | None = None) -> float:
    """Train an epoch with Lightning and return its seconds."""
    clock = EpochClock()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        # The callbacks of `zoo fit` that act in each step.
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
def test_lightning_epoch_takes_at_most_1_6_times_a_plain_pytorch_loop(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_ten_networks_at_once_take_no_longer_than_one_after_another(
    bootstrap: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten networks of 784-256-256-10, batches of 100 from 11,000 images, trained with Lightning.

    The baseline that must be met trains each network like the ensemble, by autograd and with several steps per call.
    Two more baselines are printed for comparison: the default of `zoo fit`, whose own backward pass for chains of
    layers does not exist for ensembles, and one step per call.
    """
    data = training_data(num_train=11_000, with_indices=True)
    arguments = {"hidden_sizes": [256, 256], "weight_init": "xavier_uniform"}
    baselines: dict[str, Callable[..., MLP]] = {
        "by autograd": ByAutograd,
        "without autograd": MLP,
        "step by step": partial(MLP, steps_per_call=1),
    }
    one_by_one: dict[str, list[float]] = {baseline: [] for baseline in baselines}
    at_once = []
    for _ in range(ROUNDS):
        for baseline, make_model in baselines.items():
            singles = (make_model(**arguments) for _ in range(10))
            one_by_one[baseline].append(sum(epoch_by_lightning(data, single) for single in singles))
        at_once.append(epoch_by_lightning(data, BaggedEnsemble("MLP", arguments, 10, bootstrap)))
    ratios = {
        baseline: statistics.median(at_once) / statistics.median(seconds) for baseline, seconds in one_by_one.items()
    }
    with capsys.disabled():
        print(f"\nat once {statistics.median(at_once):.2f} s, bootstrap {bootstrap} (medians of {ROUNDS})")
        for baseline, seconds in one_by_one.items():
            print(f"one by one {baseline} {statistics.median(seconds):.2f} s, ratio {ratios[baseline]:.2f}")
    assert ratios["by autograd"] <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("augment", ["elastic", "affine_elastic"])
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_an_epoch_of_augmented_images_takes_at_most_1_5_times_one_without(
    augment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """784-512×4-10, batches of 100 of the 55,000 training images."""
    plain, augmented = (training_data(augment=name) for name in ("none", augment))
    without_augmentation, with_augmentation = [], []
    for _ in range(ROUNDS):
        without_augmentation.append(epoch_by_lightning(plain, zoo.create_model("deeper_relu_xavier")))
        with_augmentation.append(epoch_by_lightning(augmented, zoo.create_model("deeper_relu_xavier")))
    ratio = statistics.median(with_augmentation) / statistics.median(without_augmentation)
    with capsys.disabled():
        print(
            f"\nunaugmented {statistics.median(without_augmentation):.2f} s, "
            f"{augment} {statistics.median(with_augmentation):.2f} s "
            f"an epoch, ratio {ratio:.2f} (medians of {ROUNDS})"
        )
    assert ratio <= 1.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_an_epoch_of_the_rbm_is_faster_than_in_scikit_learn(capsys: pytest.CaptureFixture[str]) -> None:
    """784-500, CD-1, batches of 100, on the 55,000 training images.

    scikit-learn uses persistent chains. Both compute five matrix products per update.
    """
    neural_network = pytest.importorskip("sklearn.neural_network", reason="needs scikit-learn, which is in .[dev]")
    data = training_data()
    pixels = data.train_dataloader().dataset.images.flatten(1).float().div(255).numpy()  # type: ignore[attr-defined]
    without_lightning, zoo_seconds, sklearn_seconds = [], [], []
    for _ in range(ROUNDS):
        sklearn_rbm = neural_network.BernoulliRBM(n_components=500, learning_rate=0.05, batch_size=100, n_iter=1)
        started = time.perf_counter()
        sklearn_rbm.fit(pixels)
        sklearn_seconds.append(time.perf_counter() - started)
        zoo_seconds.append(epoch_by_lightning(data, RBM(num_hidden=500, persistent=False, sample_pixels=False)))
        without_lightning.append(rbm_epoch_by_hand(data))
    ratio = statistics.median(zoo_seconds) / statistics.median(sklearn_seconds)
    with capsys.disabled():
        print(
            f"\nscikit-learn {statistics.median(sklearn_seconds):.2f} s, "
            f"zoo {statistics.median(zoo_seconds):.2f} s an epoch, "
            f"ratio {ratio:.2f}, without Lightning {statistics.median(without_lightning):.2f} s (medians of {ROUNDS})"
        )
    assert ratio < 1.0


@pytest.mark.slow
def test_a_picture_is_classified_in_six_seconds_and_ten_thousand_in_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measures whole processes, including the start of Python: one picture by all members, 10,000 by one member."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    for index, image in enumerate(data.splits["test"].images.numpy()):
        Image.fromarray(image).save(tmp_path / f"{index:05}.png")
    single = [seconds_of("classify", str(tmp_path / "00000.png")) for _ in range(ROUNDS)]
    many = seconds_of("classify", str(tmp_path), "--model", "dropout_batchnorm")
    with capsys.disabled():
        print(f"\none picture {statistics.median(single):.2f} s (median of {ROUNDS}), 10,000 in {many:.1f} s")
    assert statistics.median(single) < 6
    assert many < 60


def seconds_of(*arguments: str) -> float:
    """Return the seconds that a `zoo` command takes in a subprocess."""
    started = time.perf_counter()
    run_zoo(*arguments)
    return time.perf_counter() - started
