"""``zoo.classify``: say which digit a picture shows."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoo.api.runs import TrainingRun, labels_of, source_of
from zoo.data.photographs.steps import draw_steps
from zoo.inference.classification import Classification, Classifiers
from zoo.utils.denormals import denormals_given_back, flush_denormals
from zoo.utils.picture import Picture
from zoo.utils.printable import printable
from zoo.utils.table import Table

SCALE = 6
"""Factor by which the image that the networks saw is enlarged."""


class PictureAnswer:
    """What trained networks say about a picture.

    Args:
        result: The predictions.
        names: The networks.
        picture: Its file, or ``the picture``.
    """

    def __init__(self, result: Classification, names: Sequence[str], picture: str) -> None:
        self._result = result
        self._names = list(names)
        self._picture = picture

    @property
    def answer(self) -> str:
        """The class with the highest mean probability: ``"7"``."""
        return self._result.class_names[int(self._result.mean.argmax())]

    @property
    def probability(self) -> float:
        """The mean probability of the answer, from 0 to 1."""
        return float(self._result.mean.max())

    @property
    def agreement(self) -> int:
        """How many of the networks give this answer."""
        return int(self._result.votes[int(self._result.mean.argmax())])

    @property
    def notes(self) -> list[str]:
        """What was noticed about the picture, in sentences; empty for a plain digit."""
        return self._result.notes()

    @property
    def table(self) -> Table:
        """The answer and the probabilities of each network."""
        rows: list[dict[str, str | float]] = []
        for name, probabilities in zip(self._names, self._result.probabilities, strict=True):
            answer = self._result.class_names[int(probabilities.argmax())]
            classes = zip(self._result.class_names, probabilities.tolist(), strict=True)
            rows.append({"network": name, "answer": answer, **dict(classes)})
        return Table(rows, digits=3)

    @property
    def image(self) -> Picture:
        """What the networks saw, enlarged."""
        grey = (self._result.digit.pixels[0] * 255).round().byte().numpy()
        return Picture(_png(Image.fromarray(np.kron(grey, np.ones((SCALE, SCALE), np.uint8)))), "What the networks saw")

    @property
    def steps(self) -> Picture | None:
        """The steps from the picture to the image, or None if there were none."""
        steps = self._result.digit.steps
        return Picture(_png(draw_steps(steps)), "The steps to the image") if steps else None

    def __str__(self) -> str:
        lines = [f"{printable(self._picture)}: {printable(self.answer)}, probability {self.probability:.3f}"]
        if len(self._names) > 1:
            lines[0] += f", {self.agreement} of {len(self._names)} networks agree"
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        content = base64.b64encode((self.steps or self.image).png).decode()
        text = html.escape(str(self)).replace("\n", "<br>")
        return f'<p>{text}</p><img alt="the image" src="data:image/png;base64,{content}">{self.table._repr_html_()}'


def classify(picture: Any, *networks: str | Path | TrainingRun, center: bool = True) -> PictureAnswer:
    """Say which digit a picture shows, as ``zoo classify`` does.

    >>> zoo.classify("seven.png")
    seven.png: 7, probability 0.999, 20 of 20 networks agree

    Args:
        picture: A picture with one digit, painted or photographed, dark on light or light on dark: the path of a file,
            a `PIL.Image.Image`, an array or a tensor.
        *networks: The networks that are asked: members, paths of checkpoints, or runs of `zoo.fit`. None: all members
            that ship trained.
        center: Whether the digit's center of mass is put into the middle, as in MNIST, and not that of its box.

    Raises:
        UsageError: It is no picture, shows nothing that stands out, or a network cannot be loaded. It is a
            `ValueError`.
    """
    with denormals_given_back():
        flush_denormals()
        classifiers = Classifiers([source_of(network) for network in networks])
        digit = classifiers.read(picture, center=center, with_steps=True)
        name = str(picture) if isinstance(picture, str | Path) else "the picture"
        (result,) = classifiers([(Path(name), digit)])
    labels = labels_of(networks) or list(classifiers.committee.members)
    return PictureAnswer(result, labels, name)


def _png(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, format="png")
    return output.getvalue()
