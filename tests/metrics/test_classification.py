from __future__ import annotations

import torch
import torch.nn.functional as F

from zoo.metrics.classification import ClassificationTotals


def test_totals_over_uneven_batches_equal_those_of_one_batch() -> None:
    logits, labels = torch.randn(103, 10), torch.randint(10, (103,))
    totals = ClassificationTotals()
    for start in range(0, 103, 20):
        part, true = logits[start : start + 20], labels[start : start + 20]
        totals.update(F.cross_entropy(part, true), part, true)
    figures = totals.compute()
    wrong = int((logits.argmax(1) != labels).sum())
    assert int(figures["errors"]) == wrong
    assert float(figures["acc"]) == torch.tensor((103 - wrong) / 103).item()
    torch.testing.assert_close(figures["loss"], F.cross_entropy(logits, labels))
