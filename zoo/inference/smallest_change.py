"""The smallest change of an image that makes a network take it for another digit."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.models import Classifier

STEPS = 30
OVERSHOOT = 0.1
"""By which share each step is longer than the linear model says, to cross the border."""
LONGEST_STEP = 0.5
"""Euclidean length, of pixels in [0, 1]."""
HALVINGS = 6


@dataclass(frozen=True)
class Changes:
    """Changed images, one for each other class.

    Args:
        classes: The classes, int64 ``(C − 1,)``.
        images: ``(C − 1, 1, 28, 28)`` in [0, 1], in steps of 1/255.
        found: Which of them the network takes for the class, bool ``(C − 1,)``.
        distances: Euclidean length of each change, ``(C − 1,)``.
    """

    classes: Tensor
    images: Tensor
    found: Tensor
    distances: Tensor


def smallest_changes(model: Classifier, image: Tensor, seconds: float = 1.0) -> Changes:
    """Change an image as little as possible, in the Euclidean norm, so that a network answers another class, for each.

    Each step goes to the border between the answer and the wanted class as a linear model of the network sees it.
    Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool: a simple and accurate method to fool deep neural networks", CVPR
    2016, with a wanted class and with pixels kept in [0, 1]. Then the change is shortened as long as the network is
    fooled. It is an upper bound of the smallest change.

    Args:
        model: The network, in eval mode.
        image: ``(1, 28, 28)`` in [0, 1].
        seconds: No step is begun after this time.
    """
    deadline = time.monotonic() + seconds
    with torch.no_grad():
        logits = model(image[None])[0]
    answer = int(logits.argmax())
    classes = torch.tensor([digit for digit in range(len(logits)) if digit != answer])
    images = image.repeat(len(classes), 1, 1, 1)
    found = torch.zeros(len(classes), dtype=torch.bool)
    for _ in range(STEPS):
        if bool(found.all()) or time.monotonic() > deadline:
            break
        active = ~found
        images[active] = _step(model, images[active], classes[active])
        with torch.no_grad():
            found[active] = model(images[active]).argmax(dim=1) == classes[active]
    images = _shortened(model, image, images, classes, found, deadline)
    with torch.no_grad():
        found = model(images).argmax(dim=1) == classes
    return Changes(classes, images, found, (images - image).flatten(1).norm(dim=1))


def _step(model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """Go to the border between each image's wanted class and all others, ``(B, 1, 28, 28)``.

    Where several others are about as strong, the strongest would change from step to step, so their soft maximum is
    taken.
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(images)
        wanted = logits.gather(1, classes[:, None])[:, 0]
        margin = logits.scatter(1, classes[:, None], -torch.inf).logsumexp(dim=1) - wanted
        gradient = torch.autograd.grad(margin.sum(), images)[0]
    # A pixel that is at its limit already can not move further, so the others must do it.
    movable = ((gradient < 0) & (images < 1)) | ((gradient > 0) & (images > 0))
    gradient = gradient * movable
    square = gradient.flatten(1).square().sum(dim=1).clamp(min=1e-12)
    # At least a little, as a step that ends at the border does not cross it.
    length = (margin.clamp(min=0) + 1e-3) * (1 + OVERSHOOT) / square
    # Where the network is flat, the linear model would go far beyond where it holds.
    length = length.minimum(LONGEST_STEP / square.sqrt())
    changed: Tensor = (images - length[:, None, None, None] * gradient).clamp(0, 1).detach()
    return changed


def _shortened(
    model: Classifier, image: Tensor, images: Tensor, classes: Tensor, found: Tensor, deadline: float
) -> Tensor:
    """Shorten the changes that fool the network, by halving intervals, and round the images to grey levels."""
    best = _rounded(images)
    low, high = torch.zeros(len(images)), torch.ones(len(images))
    for _ in range(HALVINGS):
        if not bool(found.any()) or time.monotonic() > deadline:
            break
        middle = (low + high) / 2
        shorter = _rounded(image + middle[:, None, None, None] * (images - image))
        with torch.no_grad():
            fools = (model(shorter).argmax(dim=1) == classes) & found
        high, low = torch.where(fools, middle, high), torch.where(fools, low, middle)
        best[fools] = shorter[fools]
    # Rounding may have taken back what was needed: go a little further where it did.
    for factor in (1.02, 1.05, 1.1):
        with torch.no_grad():
            lost = (model(best).argmax(dim=1) != classes) & found
        if not bool(lost.any()):
            break
        best[lost] = _rounded(image + factor * (images[lost] - image))
    return best


def _rounded(images: Tensor) -> Tensor:
    return (images * 255).round().clamp(0, 255) / 255
