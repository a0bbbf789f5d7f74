"""An epoch of the RBM beside scikit-learn's, in one process, interleaved."""

from __future__ import annotations

import statistics
import time

import pytest
import torch
from pytorch_lightning import Trainer

from tests.test_speed import EpochClock
from zoo import MNISTDataModule
from zoo.callbacks.guard import Guard
from zoo.callbacks.record import RunRecord
from zoo.callbacks.resume import ExactResume
from zoo.models import RBM

ROUNDS = 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Total length of `CombinedLoader`")
def test_an_epoch_is_faster_than_scikit_learn_s(capsys: pytest.CaptureFixture[str]) -> None:
    """784-500, one step of Gibbs sampling, batches of 100, on the 55,000 training images.

    scikit-learn's chains are persistent, and so are these: the same matrix products.
    """
    neural_network = pytest.importorskip("sklearn.neural_network", reason="needs scikit-learn, which is in .[dev]")
    torch.set_num_threads(2)
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
    pixels = (data._splits["train"].images.flatten(1).float() / 255).numpy()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        other = neural_network.BernoulliRBM(n_components=500, learning_rate=0.05, batch_size=100, n_iter=1)
        started = time.perf_counter()
        other.fit(pixels)
        theirs.append(time.perf_counter() - started)
        clock = EpochClock()
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            callbacks=[clock, RunRecord({}), ExactResume(), Guard()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )
        trainer.fit(RBM(persistent=True, sample_pixels=False), datamodule=data)
        ours.append(clock.seconds[0])
    with capsys.disabled():
        print(
            f"\nscikit-learn {statistics.median(theirs):.2f} s, zoo {statistics.median(ours):.2f} s an epoch, ratio "
            f"{statistics.median(ours) / statistics.median(theirs):.2f} (medians of {ROUNDS})"
        )
    assert statistics.median(ours) < statistics.median(theirs)
