"""Trees of the next basket: nothing later is looked at, who else is asked plays no part, habits come first."""

from functools import cache

import numpy as np
import pytest
from encoder_shop import FIRST, SHELF, items, lines, shop, small
from error_checks import raises_code

from promolift.extensions.encoder.network import basket_ranker
from promolift.extensions.encoder.network.basket_ranker import (
    FEATURES,
    NON_CANDIDATE_GAIN,
    TRAINING_CANDIDATES,
    BasketRanker,
    RankingSnapshot,
    fit_basket_trees,
)
from promolift.extensions.encoder.network.purchase_histories import IDEAL_DCG, LIST_LENGTH, build_histories

END = FIRST + 140.0


@cache
def ranker() -> BasketRanker:
    h = shop(people=240)
    return BasketRanker(fit_basket_trees(h, END), 1.0, RankingSnapshot.of(h, END))


def test_nothing_later_than_the_moment_is_looked_at():
    longer, shorter = shop(people=240), shop(people=240).until(END)
    assert len(longer.day_V) > len(shorter.day_V)
    assert fit_basket_trees(longer, END) == fit_basket_trees(shorter, END)
    looks = (RankingSnapshot.of(h, END) for h in (longer, shorter))
    rows = [look.rows(h, np.arange(240), 10) for look, h in zip(looks, (longer, shorter), strict=True)]
    for one, other in zip(*rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_who_else_is_asked_and_in_what_order_plays_no_part():
    h = shop(people=240)
    asked = np.array([17, 3, 200])
    together = ranker().log_gain(h, asked)
    alone = np.concatenate([ranker().log_gain(h.of(asked[[k]]), np.array([0])) for k in range(3)])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert ranker().log_gain(h, asked[:0]).shape == (0, len(h.catalogue.items))


def test_what_somebody_buys_again_and_again_comes_first_and_nobody_has_a_list():
    h = build_histories(lines(people=240), items(extra=2), customers=["nobody"])
    made = BasketRanker(fit_basket_trees(h, END), 1.0, RankingSnapshot.of(h, END))
    gain = made.log_gain(h, np.arange(len(h.customers)))
    assert np.isfinite(gain).all()
    hits = []
    past = h.until(END)
    for c in range(240):
        known = past.item_L[past.line_V[past.start_C[c]] : past.line_V[past.start_C[c + 1]]]
        favourites = np.argsort(-np.bincount(known, minlength=len(h.catalogue.items)), kind="stable")[:2]
        hits.append(np.isin(np.argsort(-gain[c])[:3], favourites).sum() / 2)
    assert np.mean(hits) > 0.9
    assert len(set(gain[h.customers.index("nobody")].round(3))) > 3  # ranked by what all buy


def test_a_row_is_worth_its_share_of_a_perfect_list():
    h = build_histories(small([("a", "1", 1.0, "milk", 1, False), ("a", "1", 1.0, "soap", 1, False)]), SHELF)
    found = basket_ranker._gains(h, np.array([0, 0]), np.array([SHELF.row_by_item["milk"], SHELF.row_by_item["bread"]]))
    assert found.tolist() == pytest.approx([1 / IDEAL_DCG[1], 0])
    assert len(IDEAL_DCG) == LIST_LENGTH


def test_inputs_are_named_and_what_is_no_candidate_has_the_least_gain():
    h = shop(people=240)
    rows = ranker().snapshot.rows(h, np.array([5]), TRAINING_CANDIDATES)
    assert rows.x_RX.shape == (len(h.catalogue.items), len(FEATURES))
    assert not np.isinf(rows.x_RX).any()
    assert ranker().log_gain(h, np.array([5])).min() >= np.log(NON_CANDIDATE_GAIN) - 1e-6


def test_too_little_to_learn_from_is_said():
    with raises_code("too_few_rows", "next basket", f"{basket_ranker.MIN_TRAINING_ROWS:,}"):
        fit_basket_trees(shop(people=20), END)
