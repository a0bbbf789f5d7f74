"""Tracing of a network into a graph that takes any number of images."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch.export import Dim

from zoo.models import Classifier

TRACING_BATCH_SIZE = 3
"""Batch size for tracing. The exported network accepts any batch size."""


class quiet:
    """Suppress the exporters' warnings and log messages."""

    def __enter__(self) -> None:
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("ignore")
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)
        self._caught.__exit__(None, None, None)


def traced(model: Classifier) -> Any:
    """Return the exported program of a network, from ``images`` ``(B, 1, 28, 28)`` to logits."""
    images = torch.rand(TRACING_BATCH_SIZE, *model.input_shape)
    # Inference mode must be off: a network that is trained by autograd cannot be traced in it.
    with torch.inference_mode(mode=False), torch.no_grad():
        return torch.export.export(model, (images.clone(),), dynamic_shapes={"images": {0: Dim("batch", min=1)}})
