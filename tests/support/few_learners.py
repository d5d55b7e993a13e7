"""Few learners in tests of trials: what is tried there is what is done with their results."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from promolift.core.effects.uplift import learner_selection


@contextmanager
def few_learners() -> Iterator[None]:
    """One additive learner beside the simple ones, and two folds."""
    few = partial(learner_selection.EffectSettings, rich=("additive",), folds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner_selection, "EffectSettings", few)
        yield
