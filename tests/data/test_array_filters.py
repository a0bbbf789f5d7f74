from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from zoo.data.array_filters import dilate_grey, dilate_mask, grey_opening, label_components, mean_filter


@pytest.mark.parametrize("seed", range(40))
def test_filters_equal_those_of_scipy_and_opencv(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 60, 2))
    size, radius = int(rng.integers(1, 40)), int(rng.integers(1, 12))
    values = rng.normal(size=(height, width)).astype(np.float32)
    mask = rng.random((height, width)) < rng.random()
    assert np.array_equal(grey_opening(values, size), ndimage.grey_opening(values, size=size, mode="nearest"))
    means = ndimage.uniform_filter(values, size=size, mode="nearest")
    np.testing.assert_allclose(mean_filter(values, size), means, rtol=0, atol=1e-6)
    assert np.array_equal(dilate_mask(mask, radius), ndimage.binary_dilation(mask, iterations=radius))
    offsets = np.arange(-radius, radius + 1)
    disk = np.square(offsets)[:, None] + np.square(offsets) <= radius**2
    assert np.array_equal(dilate_grey(values, radius), cv2.dilate(values, disk.astype(np.uint8)))
    labels, count = label_components(mask)
    expected, expected_count = ndimage.label(mask, structure=np.ones((3, 3)))
    assert count == expected_count
    assert np.array_equal(labels, expected)


def test_a_spiral_is_one_component() -> None:
    spiral = np.zeros((41, 41), bool)
    for ring in range(0, 20, 2):
        spiral[ring, ring : 41 - ring] = spiral[40 - ring, ring : 41 - ring] = True
        spiral[ring : 41 - ring, ring] = spiral[ring : 41 - ring, 40 - ring] = True
        spiral[ring + 1, ring] = False
        spiral[ring + 2, ring : ring + 2] = True
    labels, count = label_components(spiral)
    assert (count, int(labels.max())) == (1, 1)
    assert label_components(np.zeros((3, 4), bool))[1] == 0
