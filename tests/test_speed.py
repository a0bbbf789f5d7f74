"""Lightning's comfort must not cost much: measured against a loop written by hand, in one process, interleaved."""

from __future__ import annotations

import statistics
import time

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, Trainer

import zoo
from zoo import MNISTDataModule
from zoo.callbacks.guard import Guard
from zoo.callbacks.record import RunRecord
from zoo.callbacks.resume import ExactResume

ROUNDS = 5


class EpochClock(Callback):
    """Seconds that each training epoch took, everything between its first and last step included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.started)


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


def epoch_by_lightning(data: MNISTDataModule) -> float:
    clock = EpochClock()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[clock, RunRecord({}), ExactResume(), Guard()],  # those of `zoo fit` that do something in a step
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(zoo.create_model("deep_relu_xavier"), datamodule=data)
    return clock.seconds[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_an_epoch_through_lightning_costs_at_most_1_6_times_one_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(2)
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
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
