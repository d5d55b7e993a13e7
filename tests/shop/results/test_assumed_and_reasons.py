"""What a plan stands on is told of its headline, luck taken off; and customers share a reason only with its facts."""

import re
from itertools import product
from math import exp
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest

from promolift.core.effects import DiscountResponse, ValueSettings
from promolift.foundation.i18n.formatting import Locale, use_locale
from promolift.shop.pipeline.planning.plan_limits import close_small
from promolift.shop.reports.assumptions import list_assumptions
from promolift.shop.reports.offer_reasons import (
    MOTIVES,
    OfferReason,
    load_habits,
    offer_reason,
    reason_facts,
    reason_text,
)
from promolift.shop.results.evaluation import Worth
from promolift.shop.results.plan import assumption_text
from promolift.shop.results.plan_note import Assumption, AssumptionName, AssumptionSource

READ = DiscountResponse("adjusted", "read", 1.5, 0.1, targets=pl.DataFrame(
    {"target": ["tea"], "response": [1.5], "response_se": [0.1], "cells": [99]}
))  # fmt: skip


def chosen(supplier: float = 0.5) -> pl.DataFrame:
    """20 % off $100 of tea at a margin of 40 %: demand times exp(1.5 x 0.2), nothing pulled forward, telling free."""
    grow = exp(0.3)
    added, paid = 0.4 * 10_000 * (grow - 1), (1 - supplier) * 0.2 * 10_000 * grow
    return pl.DataFrame([{
        "customer_id": "a", "offer_id": "x", "scope": "category", "kind": "category", "target": "tea",
        "benefit": "percent_off", "depth": 0.2, "activation": "automatic", "coupon_prob": None, "bought": True,
        "supplier_share": supplier, "send_cost_cents": 0.0, "base_cents": 10_000.0, "margin_rate": 0.4, "reach": 1.0,
        "response_now": 1.5, "response_net": 1.5, "added_cents": added, "subsidy_cents": paid, "cost_cents": paid,
        "gain_cents": added - paid, "parts": None,
    }]).drop("parts")  # fmt: skip


def found(luck: float = 0.0, stated: ValueSettings | None = None) -> dict[str, Assumption]:
    each = list_assumptions(chosen(), READ, stated or ValueSettings(margin_rate=0.4), False, luck)
    return {one.name: one for one in each}


@pytest.mark.parametrize("name", get_args(AssumptionName))
@pytest.mark.parametrize("locale", ["en", "zh"])
def test_no_sentence_about_an_assumption_has_an_empty_end(name: AssumptionName, locale: Locale) -> None:
    for source, flips in product(get_args(AssumptionSource), (None, 0.0, 0.3, 0.9)):
        each = Assumption(name=name, value=0.5, flips_at=flips, source=source)
        with use_locale(locale):
            told = assumption_text(each, "USD")
        assert not re.search(r"[:：,，;；(（]\s*[.。)）]", told), (source, flips, told)


def test_the_value_that_turns_the_plan_turns_the_headline_and_not_the_promise() -> None:
    """By hand: added 1399, paid 1350; with luck of 40, what is added is 1359 and the plan is nearer to its end."""
    plain, lucky = found(), found(20.0)
    added, paid = chosen()["added_cents"][0], chosen()["cost_cents"][0]
    assert plain["margin"].flips_at == pytest.approx(0.4 * paid / added)
    assert lucky["margin"].flips_at == pytest.approx(0.4 * paid / (added - 20))
    whole = paid / 0.5
    assert lucky["supplier_share"].flips_at == pytest.approx(1 - (added - 20) / whole)
    assert lucky["response"].flips_at > plain["response"].flips_at  # type: ignore[operator]
    assert found(1e6) == {}


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_of_draws_stands_on_its_margin_on_suppliers_and_on_what_a_message_costs(seed: int) -> None:
    """Drawn gains, costs and margins of each customer: at the value named, the plan computed anew earns nothing."""
    rng = np.random.default_rng(seed)
    margin, size = rng.uniform(0.2, 0.6), 9
    shelf = rng.uniform(0, 0.15, size)
    revenue, paid, send = rng.uniform(500, 900, size), rng.uniform(10, 40, size), rng.uniform(0, 4)

    def gain(margin: float, send: float, supplier: float = 0.5) -> float:
        return float(((margin - shelf) * revenue - paid * (1 - supplier) / 0.5 - send).sum())

    rows = pl.concat([chosen()] * size).with_columns(
        added_cents=pl.Series((margin - shelf) * revenue), margin_rate=pl.Series(margin - shelf),
        gain_cents=pl.Series((margin - shelf) * revenue - paid - send), cost_cents=pl.Series(paid + send),
        send_cost_cents=pl.lit(send),
    )  # fmt: skip
    stated = ValueSettings(margin_rate=margin)
    each = {one.name: one for one in list_assumptions(rows, READ, stated, False, drawn=True)}
    assert set(each) == {"margin", "send_cost", "supplier_share"}
    least = each["supplier_share"].flips_at
    assert gain(margin, send, 0.0 if least is None else least) >= -1e-6
    assert least is None or gain(margin, send, least) == pytest.approx(0.0, abs=1e-6)
    assert gain(each["margin"].flips_at or 0.0, send) == pytest.approx(0.0, abs=1e-6)
    assert gain(margin, each["send_cost"].flips_at or 0.0) == pytest.approx(0.0, abs=1e-6)
    known = list_assumptions(rows, READ, stated, True, drawn=True)
    assert set(known) == {each["send_cost"], each["supplier_share"]}


def test_a_test_that_is_expected_to_lose_stands_on_what_a_drawn_message_adds() -> None:
    rows = pl.concat([chosen()] * 4).with_columns(
        customer_id=pl.Series(["a", "b", "c", "d"]), gain_cents=pl.lit(-50.0), cost_cents=pl.lit(100.0)
    )
    (one,) = list_assumptions(rows, READ, ValueSettings(), False, drawn=True)
    assert (one.name, one.value, one.flips_at) == ("message_effect", 50.0, pytest.approx(100.0))
    assert list_assumptions(rows, READ, ValueSettings(), False) == ()
    mixed = rows.with_columns(gain_cents=pl.Series([-50.0, -50.0, 300.0, 300.0]))
    found = {each.name: each for each in list_assumptions(mixed, READ, ValueSettings(), True, 20.0, False, "ab")}
    assert found["message_effect"].flips_at == pytest.approx(50.0 - 480.0 / 2)  # the whole headline, draws included
    assert found["send_cost"].flips_at == pytest.approx(480.0 / 4)


def test_a_stated_margin_is_not_called_assumed() -> None:
    def said(stated: ValueSettings | None = None) -> str:
        return assumption_text(found(stated=stated)["margin"], "USD")

    assert "as promolift.toml states" in said()
    assert "as promolift.toml states" in said(ValueSettings(margin_rate=0.3))  # also the default
    assert "a usual value, since no product has a cost" in said(ValueSettings())
    with use_locale("zh"):
        assert "按promolift.toml中的设置" in said()


def test_how_the_gain_comes_about_adds_up() -> None:
    worth = Worth.of(chosen(), 1e9)
    assert worth is not None
    assert worth.anyway_cents == 10_000.0
    assert worth.more_cents is not None
    assert worth.margin_cents == pytest.approx(0.4 * worth.more_cents)
    assert worth.margin_cents - worth.discount_cents - worth.send_cents == pytest.approx(worth.gain_cents)
    assert worth.small == 1
    assert Worth.of(chosen().clear(), 1.0) is None


def test_a_floor_closes_what_brings_less_and_none_changes_nothing() -> None:
    rows = pl.DataFrame({
        "offer_id": ["none", "x", "y", "z"], "gain_cents": [0.0, 50.0, 150.0, None],
        "eligible": [True, True, True, False], "why_not": [None, None, None, "closed"],
    })  # fmt: skip
    closed = close_small(rows, 100.0)
    assert closed["eligible"].to_list() == [True, False, True, False]
    assert closed["why_not"].to_list() == [None, "its expected gain is below rules.least_gain_cents", None, "closed"]
    assert close_small(rows, 0.0) is rows


def told(person: dict[str, Any], habit: dict[str, Any], crowd: int = 9, **row: Any) -> OfferReason:
    """The reason of one customer among ten, of whom the others are alike."""
    base = {
        "recency_days": 3.0, "cadence_days": 5.0, "price_sensitivity": 0.0, "price_sensitivity_se": 0.1,
        "revenue_52w_cents": 1000,
    }  # fmt: skip
    others = [{"customer_id": f"o{k}", **base, "revenue_52w_cents": 2000} for k in range(crowd)]
    profiles = pl.DataFrame([{"customer_id": "a", **base, **person}, *others], strict=False)
    usual = {"bought": True, "orders": 9, "gap_days": 9.0, "due_in_days": 2.0, "deal_share": 0.2}
    affinities = pl.DataFrame([{"customer_id": "a", "target": "tea", **usual, **habit}])
    whole = {**chosen().row(0, named=True), **row}
    known = load_habits(profiles, affinities, READ, "USD", {}, profiles)
    said = offer_reason(whole, known)
    assert reason_text(reason_facts(whole, known)) == said.text  # what is stored gives the sentence again
    return said


def test_what_sets_a_customer_apart_decides_the_reason() -> None:
    motives = [
        told({"recency_days": 40.0}, {}), told({}, {"deal_share": 0.9}), told({"price_sensitivity": 2.0}, {}),
        told({"revenue_52w_cents": 9000}, {}), told({}, {}),
    ]  # fmt: skip
    assert [each.motive for each in motives] == ["away", "deals", "prices", "spend", "habit"]
    assert len({each.text for each in motives}) == len(motives)
    assert set(MOTIVES) >= {each.motive for each in motives}


def test_nobody_is_ahead_of_all_customers_of_whom_they_are_one() -> None:
    assert (
        "answers prices more than 99\N{NO-BREAK SPACE}% of customers" in told({"price_sensitivity": 2.0}, {}, 400).text
    )
    assert "spends more than 99\N{NO-BREAK SPACE}% of customers" in told({"revenue_52w_cents": 9000}, {}, 400).text


def test_a_reason_says_what_would_be_bought_anyway_and_what_more() -> None:
    text = told({}, {}).text
    assert text.startswith("buys tea about every 9 days (next in about 2 days)")
    assert (
        "would buy $100.00 of it anyway and is expected to buy $34.99 more: $13.99 of margin for $13.50 of cost" in text
    )
    assert "9 days and is 30 days late" in told({}, {"due_in_days": -30.0}).text
    assert told({}, {}, angle="cart_left").text.startswith("left tea in the cart; buys tea")


def test_a_reason_in_chinese_holds_no_english() -> None:
    with use_locale("zh"):
        text = told({"recency_days": 40.0}, {"deal_share": 0.9}, angle="cart_left").text
    assert text == (
        "把tea留在了购物车；大约每9天买一次tea（约2天后再买）；已40天没来，平时每5天来一次；"
        "本来就会买$100.00，预计会多买$34.99：多得毛利$13.99，花费$13.50"
    )


def test_where_an_offer_is_on_everything_the_reason_says_when_they_come() -> None:
    everything = {"kind": None, "target": "", "scope": "all", "benefit": "reminder"}
    common = {"revenue_52w_cents": 2000, "price_sensitivity": None, "price_sensitivity_se": None}
    assert told(common, {}, **everything) == OfferReason("comes about every 5 days, last 3 days ago", "visits")
    assert (
        told(common | {"recency_days": 0.2, "cadence_days": 1.0}, {}, **everything).text
        == "comes every day, last today"
    )
    with use_locale("zh"):
        assert told(common, {}, **everything).text == "大约每5天来一次，上次是3天前"
        assert told(common | {"cadence_days": None}, {}, **everything).text == "上次来是3天前"
