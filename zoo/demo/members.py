"""What the members are: their slides, in the order of the lecture, and what their cards on the page say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zoo.pretrained.registry import model_info

SLIDES = {
    "dbn": "Deep belief nets",
    "generative_dbn": "Deep belief nets that draw",
    "deep_relu_he": "He initial values",
    "mlp_augmented": "Overfitting, more training data, L2",
    "bagging": "Ensembles",
    "residual": "Fast forward",
    "residual_cnn": "Fast forward over filters",
    "split_merge": "Split & merge",
    "split_merge_cnn": "Split & merge over filters",
    "recurrent": "Recurrent network",
    "softmax": "No layer, 0.9183",
    "deep_relu": "Deep layer & ReLU, 0.9468",
    "deep_relu_xavier": "Deep layer & ReLU & Xavier, 0.9795",
    "deeper_relu_xavier": "Deeper layer & ReLU & Xavier, 0.9811",
    "dropout": "… & dropout, 0.9803",
    "dropout_batchnorm": "… & batch norm, short code, 0.9843",
    "selu": "Others: SELU",
    "fast_cnn": "Others: a convolutional net in one epoch",
    "accurate_cnn": "Others: averaged weights",
    "vat": "Others: virtual adversarial training",
}
"""The slide of each member, as in ``docs/teach.md``: the last one that is about it. In the order of the slides."""


def in_lecture_order(names: Iterable[str]) -> list[str]:
    """Return names in the order of the lecture. Those without a slide come last, in their own order."""
    places = {name: place for place, name in enumerate(SLIDES)}
    return sorted(names, key=lambda name: places.get(name, len(places)))


def describe(name: str) -> dict[str, Any]:
    """Return what a member's card says.

    Returns:
        ``name``, ``description``, ``own`` (whether it is the user's), ``slide`` (None if it has none), ``test_errors``
        of the network that ships, ``accuracy_mean``, ``accuracy_sd`` and number of ``runs`` of its recipe,
        ``lecture_accuracy`` (None if the lecture gives none), ``parameters``, ``papers``, and ``commands`` to go on
        with.
    """
    info = model_info(name)
    described = {
        "name": name,
        "description": info.description,
        "own": False,
        "slide": SLIDES.get(name),
        "test_errors": None,
        "lecture_accuracy": info.lecture_accuracy,
        "papers": list(info.papers),
        "commands": [f"zoo info {name}", f"zoo fit --config {name}", f"zoo figures layers --model {name}"],
    }
    if info.metrics is not None:
        images, deviation = info.metrics["test_images"], info.metrics["errors_sd"]
        described |= {
            "test_errors": info.metrics["test_errors"],
            "accuracy_mean": 1 - info.metrics["errors_mean"] / images,
            "accuracy_sd": None if deviation is None else deviation / images,
            "runs": len(info.metrics["runs"]),
            "parameters": info.metrics["parameters"],
        }
    return described
