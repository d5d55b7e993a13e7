"""What learning found, in figures: intervals counted, weights sorted into classes."""

import numpy as np
import pytest

from promolift.results.learned import Coverage, Quintile, Weights


def test_an_interval_that_ends_at_the_prediction_holds_it() -> None:
    ends = [(1.0, 2.0), (2.0, 3.0), (2.1, 3.0), (0.0, 1.9)]
    found = [Quintile(2.0, 2.0, low, high, 10) for low, high in ends]
    assert Coverage.of(each.inside for each in found) == Coverage(2, 4)
    assert Coverage.of(()) == Coverage(0, 0)


def test_every_weight_falls_into_one_class_and_the_last_has_no_end() -> None:
    found = Weights.of(np.array([1.0, 1.0, 2.0, 4.0, 80.0]), (1.0, 2.0, 50.0))
    assert [(str(each), each.n, each.share) for each in found.classes] == [
        ("1 to 2", 2, 0.4), ("2 to 50", 2, 0.4), ("over 50", 1, 0.2),
    ]  # fmt: skip
    assert (found.rows, found.largest) == (5, 80.0)
    assert found.effective == pytest.approx(88**2 / (2 + 4 + 16 + 6400))
    assert Weights.of(np.full(7, 3.0), (1.0,)).effective == pytest.approx(7)
