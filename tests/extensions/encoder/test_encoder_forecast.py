"""What the encoder says of customers: calibrated, in sentences that can be checked, with reasons."""

import numpy as np
import pytest
from encoder_shop import FIRST, shop
from error_checks import raises_code

from promolift.extensions.encoder.network.purchase_histories import weekly_popularity
from promolift.foundation.i18n.lazy_message import LazyMessage

pytest.importorskip("torch")
END = FIRST + 168.0


def test_outlook_is_calibrated_speaks_plainly_and_gives_reasons():
    from test_encoder import trained

    from promolift.extensions.encoder.network import forecast

    model, _ = trained()
    h = shop()
    shared = weekly_popularity(h, END)
    with raises_code("too_few_customers", "50"):
        forecast.collect_backtest_window(model, "", h, shared, END - 28)
    line = forecast.fit_calibration(forecast.collect_backtest_window(model, "", h, shared, END - 56), 0.0)
    money = "${:.2f}".format
    said = next(model.forecast(h, shared, np.arange(90), np.full(90, END - 56)))
    told = forecast.forecast_rows(model, line, h, said, forecast.SentenceFormat(money))
    later = (h.day_V >= END - 56) & (h.day_V < END)
    assert told["spend_cents"].sum() == pytest.approx(h.spend_V[later].sum(), rel=1e-4)
    assert told["orders"].sum() == pytest.approx(later.sum(), rel=1e-4)
    assert told["churn_prob"].is_between(0, 1).all()
    words = [LazyMessage.from_text(each) for each in told["sentences"][0]]
    assert words[-2].startswith("Stays away for 8 weeks with a probability of")
    assert told["items"][0][0] in words[-4]
    reasons = forecast.visit_contributions(model, h, shared, 0, END, told["items"][0][0])
    assert reasons["effect"].abs().is_sorted(descending=True)
    assert told["items"][0][0] in reasons["items"][0]  # the visit that counts most had it in the basket
    state = next(model.forecast(h, shared, np.arange(90), END)).state_PD
    assert 7 not in forecast.nearest_customers(state, 7)


def test_a_rhythm_is_told_with_what_is_due():
    from encoder_shop import SHELF, small

    from promolift.extensions.encoder.network.forecast import describe_rhythms
    from promolift.extensions.encoder.network.purchase_histories import build_histories

    nappies = [("ann", str(k), 100.0 + 9 * k, "soap", 1, False) for k in range(5)]
    h = build_histories(small([*nappies, ("bob", "1", 100.0, "milk", 1, False)]), SHELF)
    who, ends = np.array([0, 0, 0, 1]), np.array([143.0, 145.0, 148.0, 148.0])
    assert describe_rhythms(h, who, h.before(who, ends), ends) == [
        "Buys soap every 9 days, due in 2.",
        "Buys soap every 9 days, due today.",
        "Buys soap every 9 days, overdue by 3.",
        None,
    ]


def test_each_half_is_weighed_and_calibrated_by_the_other():
    """Trees help the first half of the customers and harm the second: neither may choose for itself."""
    from promolift.extensions.encoder.network.forecast import (
        BacktestWindow,
        PopulationMeans,
        choose_tree_weight,
        cross_backtest,
    )

    n, first = 200, np.arange(200) < 100
    rng = np.random.default_rng(3)
    gain = np.where(first[:, None], np.linspace(0.2, 0.6, 5), np.linspace(0.6, 0.2, 5)) + 0.01 * rng.normal(size=(n, 5))
    zero, bought = np.zeros(n), rng.random((n, 5, 3)) < np.where(first, 0.9, 0.1)[:, None, None]
    back = BacktestWindow(
        day=20_000.0, usual=PopulationMeans(1.0, 0.5, 1.0), customer_A=np.arange(n), churn_A=zero, gone_A=zero > 0,
        deal_A=zero, own_A=zero, deals_A=zero, spend_A=zero + 1, spent_A=zero + 1, orders_A=zero + 1, visits_A=zero + 1,
        who_N=np.arange(n), gain_NW=gain, habit_N=zero, size_N=zero, log_NWR=np.zeros((n, 5, 3), np.float32),
        bought_NWR=bought,
    )  # fmt: skip
    found = cross_backtest(back, first)
    assert found.gain_N == pytest.approx(np.r_[gain[first, 0], gain[~first, 4]])
    assert found.prob_R[:300] == pytest.approx(0.1, abs=0.05)  # what the second half bought
    assert found.prob_R[300:] == pytest.approx(0.9, abs=0.05)
    note = choose_tree_weight(back, found, 77)
    assert note.lead == pytest.approx((found.gain_N - found.alone_N).mean())
    assert note.lead_high < 0
    assert (note.n, note.judged_ms, note.log_rows) == (n, 20_000 * 86_400_000, 77)
