"""Few learners in tests of trials: what is tried here is what is done with them."""

from collections.abc import Iterator

import pytest
from few_learners import few_learners


@pytest.fixture(autouse=True, scope="package")
def _lean() -> Iterator[None]:
    with few_learners():
        yield
