from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zoo.demo.inference import Predictor


@pytest.fixture(scope="package")
def softmax() -> Predictor:
    """A predictor of one small member."""
    from zoo.demo.inference import Predictor

    return Predictor(["softmax"])
