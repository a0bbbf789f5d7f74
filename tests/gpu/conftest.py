from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    """Skip where there is no GPU, and leave nothing behind on it."""
    if not torch.cuda.is_available():
        pytest.skip("there is no NVIDIA GPU here, or pytest was not asked for -m gpu")
    yield
    torch.cuda.empty_cache()
