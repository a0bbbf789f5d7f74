"""Trainings of small networks, a few steps at a time, while someone watches.

The steps are those of ``zoo fit``: the same step engine, order of the images and random numbers, so the weights are the
same to the last bit.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.data import MNISTDataModule
from zoo.data.sampler import ExactSampler
from zoo.demo.encoding import signed_bytes
from zoo.inference.hidden_layers import first_weights
from zoo.models import MLP, Classifier, SoftmaxRegression
from zoo.training.engines import make_engine

BATCH_SIZE = 100
HIDDEN_UNITS = 32
WEIGHT_INITS = ("xavier_uniform", "he_normal", "normal", "zeros")
LEARNING_RATES = ("0.0001", "0.001", "0.01", "0.1")
DROPOUTS = ("0", "0.3")
NETWORKS = ("softmax", "small")
MAX_STEPS = 100
"""In one request."""
STEPS_AT_ONCE = 10
"""Between two looks at the clock."""
SECONDS = 0.15
"""After this time a request makes no further steps."""
VALIDATION_IMAGES = 500
MAX_TRAININGS = 64
"""The one that was not used for the longest time is given up for a further one. Each takes half a megabyte."""


@dataclass(frozen=True)
class Choices:
    """What is trained.

    Args:
        network: One of `NETWORKS`: ``softmax``, or ``small`` with one hidden layer of `HIDDEN_UNITS` ReLU units.
        weight_init: One of `WEIGHT_INITS`. The biases are 0 at first.
        lr: One of `LEARNING_RATES`, for Adam.
        dropout: One of `DROPOUTS`; it has no effect on softmax regression.
        seed: 0 or more.
    """

    network: str = "softmax"
    weight_init: str = "xavier_uniform"
    lr: str = "0.001"
    dropout: str = "0"
    seed: int = 0

    def make(self) -> Classifier:
        """Make the network, with random numbers of the global generator."""
        arguments: dict[str, Any] = {"weight_init": self.weight_init, "bias_init": "zeros", "lr": float(self.lr)}
        if self.network == "softmax":
            return SoftmaxRegression(**arguments)
        return MLP(hidden_sizes=[HIDDEN_UNITS], dropout=float(self.dropout), **arguments)

    def command(self, steps: int) -> str:
        """Return the command that trains the same network for a number of steps."""
        words = ["zoo fit --model", "SoftmaxRegression" if self.network == "softmax" else "MLP"]
        if self.network == "small":
            words.append(f'--model.hidden_sizes "[{HIDDEN_UNITS}]" --model.dropout {self.dropout}')
        words.append(f"--model.weight_init {self.weight_init} --model.bias_init zeros --model.lr {self.lr}")
        return " ".join([*words, f"--seed_everything {self.seed} --trainer.max_steps {steps}"])


class LiveTraining:
    """A training, step by step.

    Args:
        choices: What is trained.
        data: The images, set up for training.
    """

    def __init__(self, choices: Choices, data: MNISTDataModule) -> None:
        self.choices = choices
        self.steps = 0
        self._images = data.training_set()
        self._validation = data.splits["validation"]
        self._sampler = ExactSampler(len(self._images), shuffle=True, seed=choices.seed)
        self._steps_per_epoch = len(self._images) // BATCH_SIZE
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(choices.seed)
            self.model = choices.make()
            self._generator_state = torch.random.get_rng_state()
        optimizer = self.model.make_optimizer()
        self._engine = make_engine(self.model, self._images.get_batches, self.model.make_step(optimizer), optimizer)

    def run(self, steps: int) -> dict[str, list[float]]:
        """Make steps, fewer if they take longer than `SECONDS`.

        Args:
            steps: 1 to `MAX_STEPS`.

        Returns:
            ``losses``, in nats, and ``accuracies`` of the batches, one for each step that was made.
        """
        deadline = time.monotonic() + SECONDS
        losses: list[float] = []
        accuracies: list[float] = []
        self.model.train()
        while len(losses) < steps and (not losses or time.monotonic() < deadline):
            results = self._make_steps(min(STEPS_AT_ONCE, steps - len(losses)))
            losses += results["loss"].tolist()
            right = results["logits"].argmax(dim=2) == results["labels"]
            accuracies += right.float().mean(dim=1).tolist()
        return {"losses": losses, "accuracies": accuracies}

    def _make_steps(self, steps: int) -> dict[str, Tensor]:
        epoch, begun = divmod(self.steps, self._steps_per_epoch)
        self._sampler.set_epoch(epoch)
        rows = self._sampler.order()[: self._steps_per_epoch * BATCH_SIZE].view(-1, BATCH_SIZE)[begun:][:steps]
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(self._generator_state)
            results = self._engine.run(rows)
            self._generator_state = torch.random.get_rng_state()
        self.steps += len(rows)
        return results

    @torch.no_grad()
    def look(self, image: Tensor) -> dict[str, Any]:
        """Return how far the training is.

        Args:
            image: An image that the network reads, ``(1, 28, 28)`` in [0, 1].

        Returns:
            The number of ``steps``, the ``epoch`` from 1, the ``validation_accuracy`` on the first `VALIDATION_IMAGES`
            validation images, the ``probabilities`` of the image, the ``weights`` of the first layer as base64 of
            signed bytes with the ``limit`` that 127 stands for, the number of ``units`` that they belong to, and the
            ``command`` that trains the same network.
        """
        self.model.eval()
        images, labels, *_ = self._validation.get_batch(range(VALIDATION_IMAGES))
        accuracy = (self.model(images).argmax(dim=1) == labels).float().mean().item()
        weights, limit = signed_bytes(first_weights(self.model))
        return {
            "steps": self.steps,
            "epoch": self.steps // self._steps_per_epoch + 1,
            "validation_accuracy": round(accuracy, 4),
            "probabilities": [round(value, 4) for value in self.model(image[None])[0].softmax(dim=0).tolist()],
            "weights": weights,
            "limit": limit,
            "units": len(first_weights(self.model)),
            "command": self.choices.command(self.steps),
        }


class LiveTrainings:
    """The trainings that are going on, by their names. Each makes steps only when it is asked to."""

    def __init__(self) -> None:
        self._data: MNISTDataModule | None = None
        self._trainings: OrderedDict[str, LiveTraining] = OrderedDict()

    def prepare(self) -> None:
        """Read the training images, unless that is done. It takes a second, so it is left until someone trains."""
        if self._data is None:
            data = MNISTDataModule(batch_size=BATCH_SIZE)
            data.prepare_data()
            data.setup("fit")
            self._data = data

    def start(self, choices: Choices, image: Tensor) -> dict[str, Any]:
        """Begin a training, and return its ``name`` and how far it is."""
        self.prepare()
        assert self._data is not None
        while len(self._trainings) >= MAX_TRAININGS:
            self._trainings.popitem(last=False)
        name = secrets.token_urlsafe(12)
        training = LiveTraining(choices, self._data)
        self._trainings[name] = training
        return {"name": name, **training.look(image)}

    def go_on(self, name: str, steps: int, image: Tensor) -> dict[str, Any] | None:
        """Make steps, and return what they measured and how far it is; None if there is no such training."""
        training = self._trainings.get(name)
        if training is None:
            return None
        self._trainings.move_to_end(name)
        return {**training.run(steps), **training.look(image)}
