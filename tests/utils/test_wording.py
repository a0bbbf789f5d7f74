from __future__ import annotations

import pytest

from zoo.utils.wording import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 errors"), (1, "1 error"), (2, "2 errors"), (1234.0, "1,234 errors")]
)
def test_one_of_something_is_singular(number: float, words: str) -> None:
    assert counted(number, "error") == words
