from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo.browser import MEMBERS, demo_server, opened_page

if TYPE_CHECKING:
    from zoo.demo.inference import Predictor


@pytest.fixture(scope="package")
def softmax() -> Predictor:
    """A predictor of one small member."""
    from zoo.demo.inference import Predictor

    return Predictor(["softmax"])


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A predictor of two small members."""
    from zoo.demo.inference import Predictor

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_DATA", str(tmp_path_factory.mktemp("data")))
        yield Predictor(("softmax", "deep_relu_xavier"))


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page of three members."""
    with demo_server(tmp_path_factory.mktemp("data"), *MEMBERS) as address:
        yield address


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """The open page on a desk. On teardown, checks that no other host was contacted and that no script failed."""
    with opened_page(address) as page:
        yield page


@pytest.fixture
def phone(address: str) -> Iterator[Any]:
    """The open page on a phone, in the same way."""
    with opened_page(address, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as page:
        yield page
