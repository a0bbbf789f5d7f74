from __future__ import annotations

import pytest

from zoo.utils.wording import counted, with_article


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 errors"), (1, "1 error"), (2, "2 errors"), (1234.0, "1,234 errors")]
)
def test_one_of_something_is_singular(number: float, words: str) -> None:
    assert counted(number, "error") == words


@pytest.mark.parametrize("words", ["an MLP", "a DBN", "an RBM", "an int", "a float", "a Trainer", "an Adam"])
def test_articles_follow_the_sound(words: str) -> None:
    assert with_article(words.split()[1]) == words
