"""Few learners in tests of trials: what is tried here is what is done with them."""

from collections.abc import Iterator
from functools import partial

import pytest

from promolift.effect import core


@pytest.fixture(autouse=True, scope="package")
def _lean() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "EffectSettings", partial(core.EffectSettings, rich=("additive",), folds=2))
        yield
