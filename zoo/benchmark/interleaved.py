"""Alternating epochs of ``zoo fit`` and of baselines in one process, so that a slow minute affects all of them."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from zoo.benchmark import eager, jax_scan
from zoo.data.augmentation import AugmentedBatches
from zoo.data.batches import ImageBatches
from zoo.models import CNN, RBM, BaggedEnsemble, Classifier, ZooModule
from zoo.models.greedy_pretraining import GreedyPretraining
from zoo.training.engines import make_engine
from zoo.utils.denormals import flushes_denormals
from zoo.utils.errors import UsageError

MLP_ARGUMENTS = ("hidden_sizes", "dropout", "batch_norm", "lr")
"""Arguments of a fully connected network that the JAX baseline takes."""
START_TIME_VARIABLE = "ZOO_BENCHMARK_STARTED"
"""Environment variable with the time at which the process was started, in seconds since 1970."""


class InterleavedBenchmark(Callback):
    """After each epoch of a training, train one epoch of each baseline, and measure the time of every epoch.

    An epoch of ``zoo fit`` includes its steps, validation, printed lines, logs and checkpoint.

    Args:
        output: JSON file for the measurements: seconds of each epoch by program, and seconds of the start-up.
        config: The member's YAML file.
    """

    def __init__(self, output: str, config: str) -> None:
        self.output = Path(output)
        self.config = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        self.seconds: dict[str, list[float]] = {"zoo": []}
        self._baselines: dict[str, Callable[[], object]] = {}
        self._began: float | None = None
        self._startup_seconds = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the time of the start-up and prepare the baselines."""
        self._startup_seconds = time.time() - float(os.environ.get(START_TIME_VARIABLE, time.time()))
        assert isinstance(pl_module, ZooModule)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        loader: Any = trainer.train_dataloader
        rng_state = torch.get_rng_state()
        self._baselines = make_baselines(pl_module, loader.dataset, data.splits["validation"], self.config)
        for name, epoch in self._baselines.items():
            epoch()  # warm-up: compiles and allocates
            self.seconds[name] = []
        torch.set_rng_state(rng_state)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the measurement of the previous epoch and start the next."""
        self._end_epoch()
        self._began = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the measurement of the last epoch and write the file."""
        self._end_epoch()
        measured = {"start": self._startup_seconds, "seconds": self.seconds}
        self.output.write_text(json.dumps(measured), encoding="utf-8")

    def _end_epoch(self) -> None:
        if self._began is None:
            return
        _wait_for_gpu()
        self.seconds["zoo"].append(time.perf_counter() - self._began)
        rng_state = torch.get_rng_state()
        for name, epoch in self._baselines.items():
            began = time.perf_counter()
            epoch()
            _wait_for_gpu()
            self.seconds[name].append(time.perf_counter() - began)
        torch.set_rng_state(rng_state)


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def make_baselines(
    model: ZooModule, training: ImageBatches, validation: ImageBatches, config: dict[str, Any]
) -> dict[str, Callable[[], object]]:
    """Return a member's baselines by name: functions that train for one epoch and, except scikit-learn's, validate.

    Raises:
        UsageError: There is no baseline for such a model.
    """
    batch_size = config.get("data", {}).get("init_args", {}).get("batch_size", 100)
    arguments = config["model"].get("init_args", {})
    if isinstance(model, RBM):
        return _scikit_learn(
            training.images.flatten(1).float().div(255).cpu().numpy(), model.hparams["num_hidden"], batch_size
        )
    if not isinstance(model, Classifier) or isinstance(model, GreedyPretraining):
        raise UsageError(f"There is nothing to measure {type(model).__name__}'s epochs against.")
    network = eager.network_from_config(config)
    if isinstance(model, BaggedEnsemble):
        networks: list[nn.Module] = list(model.members())
    else:
        networks = [network or type(model)(**arguments)]
    if isinstance(training, AugmentedBatches):
        fetch = _fetch_augmented(training)
    else:
        fetch = eager.make_fetch(training.images, training.labels)
    lr, smoothing = arguments.get("lr", 0.001), arguments.get("label_smoothing", 0.0)

    def make_eager_epoch(flushed: bool) -> Callable[[], None]:
        own = [copy.deepcopy(each).to(model.device).train() for each in networks]
        optimizers = [torch.optim.Adam(each.parameters(), lr=lr, fused=True) for each in own]

        def epoch() -> None:
            before = flushes_denormals()
            torch.set_flush_denormal(flushed)
            for each, optimizer in zip(own, optimizers, strict=True):
                eager.train_epoch(each, optimizer, fetch, len(training), batch_size, smoothing)
                if len(validation):
                    eager.count_errors(each, validation.images, validation.labels)
            torch.set_flush_denormal(before)

        return epoch

    baselines: dict[str, Callable[[], object]] = {}
    if model.device.type == "cpu" or not isinstance(model, BaggedEnsemble):  # on a GPU these would take minutes
        baselines["eager"] = make_eager_epoch(flushed=False)
    if model.device.type == "cpu":
        baselines["eager, flushed"] = make_eager_epoch(flushed=True)
    if isinstance(model, BaggedEnsemble):
        baselines["single runs"] = _single_runs(model, training, batch_size)
    if network is not None and not isinstance(model, CNN):
        mlp_arguments = {name: arguments[name] for name in MLP_ARGUMENTS if name in arguments}
        with contextlib.suppress(ImportError):  # JAX is an optional dependency
            baselines["jax"] = jax_scan.make_epoch(
                *(training.images.cpu().numpy(), training.labels.cpu().numpy()),
                (validation.images.cpu().numpy(), validation.labels.cpu().numpy()),
                batch_size=batch_size,
                **mlp_arguments,
            )
    return baselines


def _single_runs(ensemble: BaggedEnsemble, training: ImageBatches, batch_size: int) -> Callable[[], None]:
    """Return a function that trains as many single networks for an epoch, by the zoo's own steps, one after the other.

    They are one network that is trained again and again, which takes as long.
    """
    member = ensemble.members()[0].to(ensemble.device).train()
    optimizer = member.make_optimizer()
    engine = make_engine(member, training.get_batches, member.make_step(optimizer), optimizer)

    def epoch() -> None:
        for _ in range(ensemble.hparams["num_members"]):
            order = torch.randperm(len(training)).to(ensemble.device)
            for rows in order[: len(order) - len(order) % batch_size].view(-1, batch_size).split(100):
                member.count(engine.run(rows))

    return epoch


def _fetch_augmented(training: AugmentedBatches) -> eager.FetchBatch:
    def fetch(batch: Tensor) -> tuple[Tensor, Tensor]:
        images, labels, *_ = training.get_batch(batch)
        return images, labels

    return fetch


def _scikit_learn(pixels: NDArray[np.float32], num_hidden: int, batch_size: int) -> dict[str, Callable[[], object]]:
    try:
        from sklearn.neural_network import BernoulliRBM
    except ImportError:
        return {}

    def epoch() -> None:
        BernoulliRBM(num_hidden, learning_rate=0.05, batch_size=batch_size, n_iter=1).fit(pixels)

    return {"scikit-learn": epoch}
