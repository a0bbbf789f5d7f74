"""Two members on the official test images, tested a few hundred at a time while someone looks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.data.batches import ImageBatches
from zoo.demo.encoding import unsigned_bytes
from zoo.inference.comparison import contingency_table
from zoo.pretrained.trained_classifier import TrainedClassifier

CHUNK = 100
"""Images in one forward pass."""
SECONDS = 0.15
"""After this time no further chunk is begun."""
SHOWN = 60
"""How many images of each kind are named at most."""
MAX_IMAGES = 60
"""How many images one request may ask for."""


class Duel:
    """Tests members on the test images and remembers their answers, a byte for each.

    Args:
        members: The members by name.
        images: The test images.
    """

    def __init__(self, members: dict[str, TrainedClassifier], images: ImageBatches) -> None:
        self._members = members
        self._images = images
        self._answers: dict[str, Tensor] = {}

    def go_on(self, first: str, second: str) -> dict[str, Any]:
        """Test two members for a moment, and compare them as far as both are tested.

        Returns:
            ``tested`` and ``images``, how many are tested and how many there are; ``counts``: of those that ``both``,
            only ``first``, only ``second`` and ``neither`` get right; ``p_value`` of McNemar's test that both are
            equally accurate; and the ``rows`` that only ``first`` and only ``second`` gets right, each ``[row, label,
            answer of the first, answer of the second]``.
        """
        deadline = time.monotonic() + SECONDS
        while True:
            behind = min((first, second), key=self._tested)
            if self._tested(behind) == len(self._images):
                break
            self._test(behind)
            if time.monotonic() > deadline:
                break
        tested = min(self._tested(first), self._tested(second))
        labels = self._images.labels[:tested]
        answers = [self._answers.get(name, torch.zeros(0, dtype=torch.uint8))[:tested] for name in (first, second)]
        right = [answer == labels for answer in answers]
        table = contingency_table(*right)
        return {
            "tested": tested,
            "images": len(self._images),
            "counts": {
                "both": table.both_correct,
                "first": table.only_first_correct,
                "second": table.only_second_correct,
                "neither": table.both_incorrect,
            },
            "p_value": table.p_value,
            "rows": {
                "first": _rows(right[0] & ~right[1], labels, answers),
                "second": _rows(right[1] & ~right[0], labels, answers),
            },
        }

    def levels(self, rows: Sequence[int]) -> list[str]:
        """Return test images as base64 of 784 bytes each."""
        images, *_ = self._images.get_batch(rows)
        return [unsigned_bytes(image) for image in images]

    def _tested(self, name: str) -> int:
        return len(self._answers.get(name, ()))

    @torch.no_grad()
    def _test(self, name: str) -> None:
        start = self._tested(name)
        images, *_ = self._images.get_batch(range(start, min(start + CHUNK, len(self._images))))
        answers = self._members[name].model(images).argmax(dim=1).to(torch.uint8)
        self._answers[name] = torch.cat([self._answers[name], answers]) if start else answers


def _rows(which: Tensor, labels: Tensor, answers: Sequence[Tensor]) -> list[list[int]]:
    rows = which.nonzero()[:SHOWN, 0].tolist()
    return [[row, int(labels[row]), *(int(answer[row]) for answer in answers)] for row in rows]
