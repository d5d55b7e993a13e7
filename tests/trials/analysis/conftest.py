"""Few learners in tests of trials: what is tried here is what is done with them."""

from collections.abc import Iterator
from functools import partial

import pytest

from promolift.core.effects.uplift import learner_selection


@pytest.fixture(autouse=True, scope="package")
def _lean() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            learner_selection, "EffectSettings", partial(learner_selection.EffectSettings, rich=("additive",), folds=2)
        )
        yield
