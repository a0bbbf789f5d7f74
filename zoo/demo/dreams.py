"""What a restricted Boltzmann machine makes of a drawing, Gibbs step by Gibbs step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.demo.encoding import unsigned_bytes
from zoo.models import RBM
from zoo.pretrained.loading import load_pretrained
from zoo.rbm.bernoulli_rbm import sample

MAX_STEPS = 50
"""In one request."""


class Dreamer:
    """Runs chains of the RBM that ships. A chain's state travels with the requests, so the server keeps none."""

    def __init__(self) -> None:
        model = load_pretrained("rbm")
        assert isinstance(model, RBM)
        self._rbm = model.rbm

    @torch.no_grad()
    def dream(self, image: Tensor, steps: int) -> dict[str, Any]:
        """Make Gibbs steps.

        Args:
            image: The chain's state, ``(1, 28, 28)`` in [0, 1]. Grey levels are the probabilities of its pixels.
            steps: Number of steps, 1 to `MAX_STEPS`.

        Returns:
            ``frames``, the probabilities of the pixels after each step, and the ``state``, as base64 of 784 bytes each;
            and the ``free_energies`` of the states after each step, in nats.
        """
        with torch.random.fork_rng(devices=[]):  # a training that goes on in this process keeps its random numbers
            torch.seed()
            state = sample(image.view(1, -1))
            frames, energies = [], []
            for _ in range(steps):
                probabilities = self._rbm.gibbs(state, 1, sample_visible=False)
                state = sample(probabilities)
                frames.append(unsigned_bytes(probabilities))
                energies.append(round(float(self._rbm.free_energy(state)), 1))
        return {"frames": frames, "state": unsigned_bytes(state), "free_energies": energies}
