"""Twenty seconds of `tests.demo.load`."""

from __future__ import annotations

import pytest

pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")

from tests.demo.load import run


@pytest.mark.slow
def test_honest_clients_are_answered_beside_slow_and_hostile_ones() -> None:
    result = run(20)
    print(result)
    assert result.problems() == []
