"""What learning found, in figures: intervals counted."""

from promolift.shop.results.learned_policy import Coverage, Quintile


def test_an_interval_that_ends_at_the_prediction_holds_it() -> None:
    ends = [(1.0, 2.0), (2.0, 3.0), (2.1, 3.0), (0.0, 1.9)]
    found = [Quintile(2.0, 2.0, low, high, 10) for low, high in ends]
    assert Coverage.of(each.inside for each in found) == Coverage(2, 4)
    assert Coverage.of(()) == Coverage(0, 0)
