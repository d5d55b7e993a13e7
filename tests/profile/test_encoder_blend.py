"""The stacker and the forecast: right answers and their worth, no future, refusals, sentences that can be checked."""

from dataclasses import replace
from functools import cache

import lightgbm as lgb
import numpy as np
import pytest
from encoder_shop import FIRST, ITEMS, shop

from promolift.errors import SupportError
from promolift.profile import blend
from promolift.profile.blend import BlendSettings, Rows, candidates, fit_blend, gains, look, training
from promolift.profile.ease import fit_ease, incidence
from promolift.profile.encoder_data import IDEAL, popularity

END = FIRST + 168.0
FAST = BlendSettings(candidates=12, keep=20, trees=60, min_leaf=20, leaves=7, moments=8, share=1.0)


@cache
def fitted() -> blend.Blend:
    return fit_blend(shop(), END, FAST)


def everything(customers: np.ndarray) -> Rows:
    I = len(ITEMS)  # noqa: E741
    point_R = np.repeat(np.arange(len(customers)), I)
    return Rows(point_R, np.tile(np.arange(I), len(customers)), np.zeros((len(point_R), 0), np.float32))


def test_an_item_of_the_next_basket_is_worth_one_over_the_ideal():
    h, customers, day = shop(), np.array([0, 1, 2, 3]), FIRST + 100.0
    gain = gains(h, day, END, customers, everything(customers), FAST).reshape(4, -1)
    for c in range(4):
        basket = h.items_of(int(h.before(np.array([c]), np.array([day]))[0]))
        assert np.flatnonzero(gain[c]).tolist() == sorted(basket)
        assert gain[c].max() == pytest.approx(1 / IDEAL[len(basket) - 1])


def test_new_items_are_only_those_never_bought_before():
    h, customers, day = shop(), np.arange(8), FIRST + 50.0
    new = FAST.model_copy(update={"new": True})
    gain = gains(h, day, END, customers, everything(customers), new).reshape(8, -1)
    bought = incidence(h.until(day))[:8].toarray() > 0
    later = incidence(h)[:8].toarray() > 0
    assert ((gain > 0) == (later & ~bought)).all()
    rows = candidates(look(h, day, fit_ease(incidence(h.until(day)))), h, customers, 5, new)
    open_C = (~bought).sum(axis=1)
    assert not (bought[rows.point_R, rows.item_R] & (open_C >= 5)[rows.point_R]).any()


def test_candidates_of_a_customer_need_no_other_customer_asked_for():
    h, day = shop(), FIRST + 120.0
    moment = look(h, day, fit_ease(incidence(h.until(day))))
    whole, one = (candidates(moment, h, np.array(who), 10, FAST) for who in (range(90), [17]))
    mine = whole.point_R == 17
    assert np.array_equal(whole.item_R[mine], one.item_R)
    assert whole.x_RX[mine] == pytest.approx(one.x_RX, nan_ok=True, abs=1e-5)


def test_nothing_after_a_moment_enters_a_feature():
    h, day = shop(), FIRST + 120.0
    ease = fit_ease(incidence(h.until(day)))
    known, cheat = (candidates(look(x, day, ease), x, np.arange(90), 10, FAST) for x in (h.until(day), h))
    assert np.array_equal(known.item_R, cheat.item_R)
    assert np.array_equal(known.x_RX, cheat.x_RX, equal_nan=True)


def test_a_training_row_knows_only_what_came_before_its_moment():
    h = shop()
    one = FAST.model_copy(update={"moments": 1, "others": 1.0})
    day = END - 7
    x, y, weight, size = training(h, END, one)
    past = h.until(day)
    ease = blend.ease_of(past, day, one)
    asked = blend._asked(h, day, END, one)
    rows = candidates(look(past, day, ease), past, asked, one.candidates, one)
    assert np.array_equal(x, rows.x_RX, equal_nan=True)
    assert np.array_equal(y, gains(h, day, END, asked, rows, one))
    assert (weight == 1).all()
    assert (size == one.candidates).all()
    assert size.sum() == len(y)


def test_rows_left_out_of_training_are_weighed_for():
    whole, some = (training(shop(), END, FAST.model_copy(update={"others": share})) for share in (1.0, 0.25))
    assert some[1].sum() == pytest.approx(whole[1].sum())  # no gain is lost
    assert len(some[1]) < 0.5 * len(whole[1])
    assert some[2].sum() == pytest.approx(whole[2].sum(), rel=0.05)


def test_it_ranks_favourites_first_and_its_gains_are_calibrated():
    train, test = shop(), shop(days=200)
    rows, gain = fitted().rank(test, END, np.arange(90))
    truth = gains(test, END, END + 32, np.arange(90), rows, FAST)
    assert gain.sum() == pytest.approx(truth.sum(), rel=0.2)
    best = rows.item_R.reshape(90, -1)[np.arange(90), gain.reshape(90, -1).argmax(axis=1)]
    own = incidence(train).toarray()[np.arange(90), best]
    assert own.mean() > 0.95
    assert truth.reshape(90, -1)[np.arange(90), gain.reshape(90, -1).argmax(axis=1)].mean() > 0.5


def test_an_encoder_moves_the_order_by_its_weight_and_too_little_is_an_error():
    h, customers = shop(), np.arange(3)
    loves_last = lambda c, day: np.log(np.tile(np.linspace(1e-6, 1, len(ITEMS)), (len(c), 1)))  # noqa: E731
    rows, plain = fitted().rank(h, END, customers)
    _, mixed = fitted().rank(h, END, customers, loves_last)
    share = np.linspace(1e-6, 1, len(ITEMS))[rows.item_R]
    assert mixed == pytest.approx((plain + 1e-6) ** 0.8 * share**0.2, rel=1e-4)
    with pytest.raises(SupportError, match="at least 1000000"):
        fit_blend(h, END, FAST.model_copy(update={"min_rows": 1_000_000}))


def test_new_items_are_ordered_by_trees_and_ease_together():
    new = FAST.model_copy(update={"new": True, "weeks": 4, "moments": 2, "epochs": 0, "min_rows": 100})
    fit = fit_blend(shop(), END, new)
    assert fit.net is None
    tell = {
        w: replace(fit, settings=new.model_copy(update={"ease_weight": w})).rank(shop(), END, np.arange(90))
        for w in (0.0, 0.25, 1.0)
    }
    rows = tell[0.0][0]
    ease = fit.ease.score(incidence(shop()))[rows.point_R, rows.item_R]
    assert tell[1.0][1] == pytest.approx(np.maximum(ease, blend.LEAST_EASE), rel=1e-4)
    assert tell[0.25][1] == pytest.approx(tell[0.0][1] ** 0.75 * tell[1.0][1] ** 0.25, rel=1e-4)


def test_a_ranker_moves_the_order_of_new_items_by_its_weight():
    new = FAST.model_copy(
        update={"new": True, "weeks": 4, "moments": 2, "epochs": 0, "min_rows": 100, "rank_weight": 0.5}
    )
    fit = fit_blend(shop(), END, new)
    rows, both = fit.rank(shop(), END, np.arange(90))
    _, without = replace(fit, ranker=None).rank(shop(), END, np.arange(90))
    score = lgb.Booster(model_str=fit.ranker).predict(rows.x_RX)
    assert score.std() > 0.1
    assert both == pytest.approx(without * np.exp(0.5 * score), rel=1e-4)
    _, y, _, size = training(shop(), END, new)
    assert size.sum() == len(y)
    assert (size <= new.candidates).all()
    assert fit_blend(shop(), END, new.model_copy(update={"rank_weight": 0.0})).ranker is None


def test_the_seed_fixes_the_trees():
    again = fit_blend(shop(), END, FAST)
    assert again.text == fitted().text
    assert all(np.array_equal(a, b) for a, b in zip(again.net.weights, fitted().net.weights, strict=True))


def test_outlook_is_calibrated_speaks_plainly_and_gives_reasons():
    pytest.importorskip("torch")
    from test_encoder import trained

    from promolift.profile import encoder_forecast

    model, _ = trained()
    h = shop()
    shared = popularity(h, END)
    with pytest.raises(SupportError, match="50 needed"):
        encoder_forecast.calibrate(model, h, shared, END - 28)
    line = encoder_forecast.calibrate(model, h, shared, END - 56)
    money = "${:.2f}".format
    told = next(encoder_forecast.forecast_rows(model, line, h, shared, np.arange(90), END - 56, money))
    later = (h.day_V >= END - 56) & (h.day_V < END)
    assert told["spend_cents"].sum() == pytest.approx(h.spend_V[later].sum(), rel=1e-4)
    assert told["orders"].sum() == pytest.approx(later.sum(), rel=1e-4)
    assert told["churn_prob"].is_between(0, 1).all()
    words = told["sentences"][0].to_list()
    assert words[-2].startswith("Stays away for 8 weeks with a probability of")
    assert told["items"][0][0] in words[-4]
    reasons = encoder_forecast.drivers(model, h, shared, 0, END, told["items"][0][0])
    assert reasons["effect"].abs().is_sorted(descending=True)
    assert told["items"][0][0] in reasons["items"][0]  # the visit that counts most had it in the basket
    state = next(model.forecast(h, shared, np.arange(90), END)).state_PD
    assert 7 not in encoder_forecast.nearest(state, 7)
    assert encoder_forecast.flat_map(state).std(axis=0) == pytest.approx([1, 1], abs=1e-3)


def test_a_rhythm_is_told_with_what_is_due():
    from test_encoder_data import SHELF, small

    from promolift.profile.encoder_data import histories
    from promolift.profile.encoder_forecast import rhythms

    nappies = [("ann", str(k), 100.0 + 9 * k, "soap", 1, False) for k in range(5)]
    h = histories(small([*nappies, ("bob", "1", 100.0, "milk", 1, False)]), SHELF)
    who, ends = np.array([0, 0, 0, 1]), np.array([143.0, 145.0, 148.0, 148.0])
    assert rhythms(h, who, h.before(who, ends), ends) == [
        "Buys soap every 9 days, due in 2.",
        "Buys soap every 9 days, due today.",
        "Buys soap every 9 days, overdue by 3.",
        None,
    ]
