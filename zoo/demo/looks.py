"""What the page's panels show of one member and one image: its layers, its saliency, and how it is fooled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.demo.encoding import signed_bytes, unsigned_bytes
from zoo.inference.hidden_layers import first_weights, hidden_outputs, single_network
from zoo.inference.saliency import smooth_gradient
from zoo.inference.smallest_change import smallest_changes
from zoo.pretrained.trained_classifier import TrainedClassifier

MAPS = 64
"""How many channels of a convolution are sent at most."""
SALIENCY_SAMPLES = 30
"""Noisy copies of the image; fewer than in `zoo figures saliency`, as the page shows them while one draws."""
SECONDS = 0.6
"""Time for the search of the smallest changes, in which no drawing is classified."""


def inside(trained: TrainedClassifier, image: Tensor) -> dict[str, Any]:
    """Return the outputs of a network's hidden layers.

    Args:
        trained: The network; of an ensemble, its first member is shown.
        image: ``(1, 28, 28)`` in [0, 1].

    Returns:
        ``layers`` from input to output, each with its ``name``, its ``shape``, the number of all its ``units`` or maps,
        the ``limit`` that 127 stands for, and its ``values`` as base64 of signed bytes; ``probabilities``; and
        ``is_first_of`` , the size of the ensemble or None. A network without hidden layers has one layer instead, the
        ``evidence``: weights times pixels, ``(10, 28, 28)``.
    """
    network = single_network(trained.model)
    outputs = {name: output[0] for name, output in hidden_outputs(network, image[None]).items()}
    if not outputs:
        outputs = {"evidence": first_weights(network)[: network.hparams["num_classes"]] * image}
    with torch.no_grad():
        probabilities = (network(image[None])[0] / trained.temperature).softmax(dim=0)
    return {
        "layers": [_layer(name, output) for name, output in outputs.items()],
        "probabilities": [round(value, 4) for value in probabilities.tolist()],
        "is_first_of": trained.model.hparams.get("num_members") if network is not trained.model else None,
    }


def _layer(name: str, output: Tensor) -> dict[str, Any]:
    shown = output[:MAPS] if output.dim() == 3 else output
    values, limit = signed_bytes(shown)
    return {"name": name, "shape": list(shown.shape), "units": len(output), "limit": limit, "values": values}


def saliency(trained: TrainedClassifier, image: Tensor, digit: int | None) -> dict[str, Any]:
    """Return which pixels raise and lower the probability of a digit.

    Args:
        trained: The network.
        image: ``(1, 28, 28)`` in [0, 1].
        digit: The digit; None means the network's answer.

    Returns:
        ``answer`` and its ``probabilities``, the ``digit``, and as base64 of signed bytes its ``gradient`` with respect
        to each pixel, and ``ink``, the gradient times the pixel: what the drawn ink has added.
    """
    with torch.no_grad():
        probabilities = trained.probabilities(image[None])[0]
    answer = int(probabilities.argmax())
    digit = answer if digit is None else digit
    gradient = smooth_gradient(trained.model, image[None], torch.tensor([digit]), SALIENCY_SAMPLES)[0]
    return {
        "answer": answer,
        "digit": digit,
        "probabilities": [round(value, 4) for value in probabilities.tolist()],
        "gradient": signed_bytes(gradient)[0],
        "ink": signed_bytes(gradient * image[0])[0],
    }


def fooled(
    trained: TrainedClassifier, others: dict[str, TrainedClassifier], image: Tensor, digit: int | None
) -> dict[str, Any]:
    """Return the smallest change found that turns an image into another digit for a network.

    Args:
        trained: The network.
        others: All members, by name, which see the changed image too.
        image: ``(1, 28, 28)`` in [0, 1].
        digit: The digit that it is to become; None means the nearest.

    Returns:
        The network's ``answer``; ``distances``, the length of the change to each digit (None for the answer, and where
        none was found); and, unless nothing was found, the ``digit``, the ``changed`` image as base64 of bytes, the
        ``change`` as base64 of signed bytes with the ``limit`` that 127 stands for, and the ``answers`` of all members.
    """
    changes = smallest_changes(trained.model, image, SECONDS)
    distances: list[float | None] = [None] * (len(changes.classes) + 1)
    for place, other in enumerate(changes.classes.tolist()):
        if changes.found[place]:
            distances[other] = round(float(changes.distances[place]), 3)
    answer = next(other for other in range(len(distances)) if other not in changes.classes.tolist())
    told: dict[str, Any] = {"answer": answer, "distances": distances}
    known = {other: distance for other, distance in enumerate(distances) if distance is not None}
    wanted = digit if digit in known else min(known, key=known.__getitem__) if digit is None and known else None
    if wanted is None:
        return told
    changed = changes.images[changes.classes.tolist().index(wanted)]
    change, limit = signed_bytes(changed - image)
    with torch.no_grad():
        answers = {name: int(other.model(changed[None]).argmax()) for name, other in others.items()}
    return told | {
        "digit": wanted,
        "changed": unsigned_bytes(changed),
        "change": change,
        "limit": limit,
        "answers": answers,
    }
