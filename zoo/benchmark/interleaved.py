"""Epochs of ``zoo fit`` and of other programs in turn, in one process, so that a slow minute is everybody's."""

from __future__ import annotations

import contextlib
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
from zoo.models import DBN, RBM, BaggedEnsemble, Classifier, ZooModule
from zoo.utils.errors import UsageError

SETTINGS = ("hidden_sizes", "dropout", "batch_norm", "lr")
"""Of a fully connected net, for JAX."""
STARTED = "ZOO_BENCHMARK_STARTED"
"""Environment variable: when the process was started, in seconds since 1970."""


class Interleaved(Callback):
    """After each epoch of a training, let the other programs train one, and note how long each took.

    An epoch of ``zoo fit`` is all of it: steps, validation, lines, logs, checkpoint.

    Args:
        output: The JSON file for what was measured: seconds of each epoch by program, and seconds of the start.
        config: The member's YAML.
    """

    def __init__(self, output: str, config: str) -> None:
        self.output = Path(output)
        self.config = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        self.seconds: dict[str, list[float]] = {"zoo": []}
        self._others: dict[str, Callable[[], object]] = {}
        self._began: float | None = None
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note how long the start took, and make the others ready."""
        self._start = time.time() - float(os.environ.get(STARTED, time.time()))
        assert isinstance(pl_module, ZooModule)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        loader: Any = trainer.train_dataloader
        generator = torch.get_rng_state()
        self._others = contenders(pl_module, loader.dataset, data.splits["validation"], self.config)
        for name, epoch in self._others.items():
            epoch()  # compiled, and the memory found
            self.seconds[name] = []
        torch.set_rng_state(generator)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the epoch before, and begin one."""
        self._end_epoch()
        self._began = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the last epoch and write."""
        self._end_epoch()
        measured = {"start": self._start, "seconds": self.seconds}
        self.output.write_text(json.dumps(measured), encoding="utf-8")

    def _end_epoch(self) -> None:
        if self._began is None:
            return
        self.seconds["zoo"].append(time.perf_counter() - self._began)
        generator = torch.get_rng_state()
        for name, epoch in self._others.items():
            began = time.perf_counter()
            epoch()
            self.seconds[name].append(time.perf_counter() - began)
        torch.set_rng_state(generator)


def contenders(
    model: ZooModule, training: ImageBatches, validation: ImageBatches, config: dict[str, Any]
) -> dict[str, Callable[[], object]]:
    """Return what a member is measured against: names to functions that train for an epoch and validate.

    Raises:
        UsageError: There is nothing to measure it against.
    """
    batch_size = config.get("data", {}).get("init_args", {}).get("batch_size", 100)
    arguments = config["model"].get("init_args", {})
    if isinstance(model, RBM):
        return _scikit_learn(
            training.images.flatten(1).float().div(255).numpy(), model.hparams["num_hidden"], batch_size
        )
    if not isinstance(model, Classifier) or isinstance(model, DBN):
        raise UsageError(f"There is nothing to measure a {type(model).__name__}'s epochs against.")
    network = eager.described_network(config)
    if isinstance(model, BaggedEnsemble):
        networks: list[nn.Module] = list(model.members())
    else:
        networks = [network or type(model)(**arguments)]
    if isinstance(training, AugmentedBatches):
        fetch = _fetch_distorted(training)
    else:
        fetch = eager.fetch_from(training.images, training.labels)
    optimizers = [
        torch.optim.Adam(each.train().parameters(), lr=arguments.get("lr", 0.001), fused=True) for each in networks
    ]

    def eager_epoch() -> None:
        for each, optimizer in zip(networks, optimizers, strict=True):
            eager.train_epoch(each, optimizer, fetch, len(training), batch_size)
            eager.count_errors(each, validation.images, validation.labels)

    found: dict[str, Callable[[], object]] = {"eager": eager_epoch}
    if network is not None:
        settings = {name: arguments[name] for name in SETTINGS if name in arguments}
        with contextlib.suppress(ImportError):  # an optional extra
            found["jax"] = jax_scan.make_epoch(
                *(training.images.numpy(), training.labels.numpy()),
                (validation.images.numpy(), validation.labels.numpy()),
                batch_size=batch_size,
                **settings,
            )
    return found


def _fetch_distorted(training: AugmentedBatches) -> eager.Fetch:
    def fetch(batch: Tensor) -> tuple[Tensor, Tensor]:
        images, labels, *_ = training.__getitems__(batch)
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
