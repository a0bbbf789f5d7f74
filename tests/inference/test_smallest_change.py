"""Tests of the smallest change that fools a network."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.inference.smallest_change import smallest_changes
from zoo.models import SoftmaxRegression
from zoo.pretrained.loading import load_classifier


def test_the_change_of_a_linear_network_is_the_distance_to_the_border() -> None:
    model: Any = SoftmaxRegression(weight_init="zeros", bias_init="zeros").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.net[1].weight.copy_(torch.randn(10, 784, generator=generator))
        model.net[1].bias.copy_(torch.randn(10, generator=generator))
    image = torch.full((1, 28, 28), 128 / 255)
    weights, logits = model.net[1].weight.detach(), model(image[None])[0].detach()
    answer = int(logits.argmax())
    distances = (logits[answer] - logits) / (weights[answer] - weights).norm(dim=1)
    distances[answer] = torch.inf
    nearest = int(distances.argmin())
    changes = smallest_changes(model, image, seconds=30)
    assert bool(changes.found.all())
    place = changes.classes.tolist().index(nearest)
    assert int(changes.distances.argmin()) == place
    # No pixel reaches 0 or 1 here, and rounding to 1/255 costs a little.
    assert float(distances[nearest]) <= float(changes.distances[place]) <= 1.1 * float(distances[nearest]) + 0.05


@pytest.mark.parametrize("name", ["deep_relu_xavier", pytest.param("split_merge_cnn", marks=pytest.mark.slow)])
def test_changed_images_are_grey_levels_that_the_network_takes_for_the_digit(name: str) -> None:
    model = load_classifier(name).model
    image = torch.zeros(1, 28, 28)
    image[0, 5:23, 13:15] = 1
    changes = smallest_changes(model, image, seconds=30)
    assert len(changes.classes) == 9
    assert int(changes.found.sum()) >= 7
    answers = model(changes.images).argmax(dim=1)
    assert torch.equal(answers == changes.classes, changes.found)
    assert torch.equal((changes.images * 255).round() / 255, changes.images)
    assert float((changes.images - image).flatten(1).norm(dim=1)[changes.found].max()) < 6


def test_no_step_is_begun_after_the_time() -> None:
    model = load_classifier("softmax").model
    image = torch.zeros(1, 28, 28)
    image[0, 5:23, 13:15] = 1
    changes = smallest_changes(model, image, seconds=-1)
    assert not bool(changes.found.any())
    assert torch.equal(changes.distances, torch.zeros(9))
