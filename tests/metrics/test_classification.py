from __future__ import annotations

import torch
import torch.nn.functional as F

from zoo.metrics.classification import ClassificationTotals


def test_totals_over_uneven_batches_equal_those_of_one_batch() -> None:
    logits, labels = torch.randn(103, 10), torch.randint(10, (103,))
    totals = ClassificationTotals()
    for start in range(0, 103, 20):
        batch_logits, batch_labels = logits[start : start + 20], labels[start : start + 20]
        totals.update(F.cross_entropy(batch_logits, batch_labels), batch_logits.argmax(1) != batch_labels)
    metrics = totals.compute()
    errors = int((logits.argmax(1) != labels).sum())
    assert int(metrics["errors"]) == errors
    assert float(metrics["acc"]) == torch.tensor((103 - errors) / 103).item()
    torch.testing.assert_close(metrics["loss"], F.cross_entropy(logits, labels))
