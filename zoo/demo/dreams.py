"""What the generative networks make of a drawing, Gibbs step by Gibbs step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from starlette.exceptions import HTTPException
from torch import Tensor

from zoo.demo.encoding import PIXELS, levels_of, unsigned_bytes
from zoo.models import RBM, GenerativeDBN
from zoo.pretrained.loading import load_pretrained
from zoo.rbm.bernoulli_rbm import sample

MAX_STEPS = 50
"""In one request."""


class Dreamer:
    """Runs chains of the RBM and of the generative DBN that ship.

    A chain's state travels with the requests, so the server keeps none.
    """

    def __init__(self) -> None:
        rbm, dbn = load_pretrained("rbm"), load_pretrained("generative_dbn")
        assert isinstance(rbm, RBM)
        assert isinstance(dbn, GenerativeDBN)
        self._rbm = rbm.rbm
        self._dbn = dbn

    def dream(self, content: bytes, digit: int | None, steps: int) -> dict[str, Any]:
        """Make Gibbs steps, with the RBM, or towards a digit, with the generative DBN.

        Args:
            content: Where the chain begins: the 784 grey levels of an image, or the ``state`` of an earlier answer with
                the same digit. For a digit, a blank image means random features.
            digit: The label, held in all steps; None means the RBM, which knows none.
            steps: Number of steps, 1 to `MAX_STEPS`.

        Returns:
            ``frames``, the probabilities of the pixels after each step, base64 of 784 bytes each; the ``state``, base64
            of a byte, 0 or 255, for each unit; and the ``free_energies`` of the states after each step, in nats.

        Raises:
            HTTPException: The content has another length (400).
        """
        with torch.no_grad(), torch.random.fork_rng(devices=[]):  # a training in this process keeps its random numbers
            torch.seed()
            if digit is None:
                return _run(self._rbm_step, sample(levels_of(content, PIXELS).view(1, -1)), steps)
            label = torch.tensor([digit])
            return _run(lambda state: self._dbn_step(state, label), self._features(content), steps)

    def _rbm_step(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        probabilities = self._rbm.gibbs(state, 1, sample_visible=False)
        state = sample(probabilities)
        return state, probabilities, self._rbm.free_energy(state)

    def _dbn_step(self, state: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        top = self._dbn.top
        state = top.gibbs_given_labels(state, label, 1)
        return state, self._dbn.decode(state), top.free_energy(top.with_label(state, label))

    def _features(self, content: bytes) -> Tensor:
        """Return the state of the DBN's features, ``(1, V)``, at the start or after an earlier answer."""
        size = self._dbn.top.num_features
        if len(content) == size:
            return sample(levels_of(content, size).view(1, -1))
        if len(content) != PIXELS:
            raise HTTPException(
                400,
                f"The body has {len(content)} bytes, but for a digit it must have {PIXELS}, the grey levels of 28×28 "
                f"pixels, or {size}, the state of a chain.",
            )
        if not any(content):
            return self._dbn.initial_features(1)
        image = levels_of(content, PIXELS).view(1, 1, 28, 28)
        return sample(self._dbn.input_of(len(self._dbn.layers) - 1, image))


def _run(step: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], state: Tensor, steps: int) -> dict[str, Any]:
    """Make steps, each of which maps a state to the next, the probabilities of the pixels and the free energy."""
    frames, energies = [], []
    for _ in range(steps):
        state, probabilities, energy = step(state)
        frames.append(unsigned_bytes(probabilities))
        energies.append(round(float(energy), 1))
    return {"frames": frames, "state": unsigned_bytes(state), "free_energies": energies}
