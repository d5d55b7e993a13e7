"""Laws of the shares of a bandit: they follow the best of each context, and doubt where little was shown."""

import numpy as np
from error_checks import raises_code

from promolift.extensions.ads.bandit import thompson_shares


def test_shares_find_the_best_of_each_context_and_add_to_one() -> None:
    shown = np.full((2, 3), 5000.0)
    clicks = np.array([[100.0, 200.0, 100.0], [50.0, 20.0, 20.0]])
    shares = thompson_shares(shown, clicks)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert min(shares[0, 1], shares[1, 0]) > 0.95


def test_who_was_shown_at_good_places_is_not_taken_for_better() -> None:
    """The same factor everywhere; the first creative ran nearly always where everybody clicks."""
    shown = np.array([[9000.0, 1000.0], [1000.0, 9000.0]])
    clicks = np.array([[900.0, 120.0], [10.0, 108.0]])  # 10 and 1 %; the second creative is a fifth better in both
    assert (thompson_shares(shown, clicks)[:, 1] > 0.9).all()


def test_few_clicks_leave_doubt_and_a_new_creative_is_tried() -> None:
    assert thompson_shares(np.full((1, 4), 50.0), np.array([[1.0, 2.0, 1.0, 1.0]])).min() > 0.05
    shares = thompson_shares(np.array([[1000.0, 1000.0, 0.0]]), np.array([[20.0, 60.0, 0.0]]))
    assert shares[0, 2] > shares[0, 0]


def test_a_context_with_little_of_its_own_learns_from_the_others() -> None:
    shown = np.array([[4000.0, 4000.0]] * 6 + [[20.0, 20.0]])
    clicks = np.array([[200.0, 100.0]] * 6 + [[0.0, 1.0]])
    assert thompson_shares(shown, clicks)[-1, 0] > 0.8


def test_the_same_counts_give_the_same_shares_and_wrong_ones_are_refused() -> None:
    shown, clicks = np.full((2, 2), 10.0), np.ones((2, 2))
    assert (thompson_shares(shown, clicks, seed=3) == thompson_shares(shown, clicks, seed=3)).all()
    for wrong, code in (
        (clicks * 11, "value_invalid"),
        (clicks * 0, "too_few_outcomes"),
        (clicks - 2, "value_invalid"),
    ):
        with raises_code(code, "bandit"):
            thompson_shares(shown, wrong)
