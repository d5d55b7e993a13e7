"""No number is made on the page of learning: what it prints and draws is held by what was judged and proposed."""

from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl
import pytest
from page_figures import Figures, add, strays, undrawn, unseen

from judged_shop import START, case, claimed, judged, losing
from promolift.learning import page as learn_page
from promolift.learning.judge import Judged
from promolift.learning.next import next_release
from promolift.learning.page import Told, page_of
from promolift.sql import DAY_MS
from promolift.words import count, date, days, money, number, share

CURRENCY = "USD"
cash = partial(money, currency=CURRENCY)
MONEY = (
    "Verdict.total", "Verdict.total_low", "Verdict.total_high", "Verdict.low", "Verdict.high", "Lift.lift",
    "Lift.control", "Look.total", "Look.low", "Look.high", "Ranged.value", "Ranged.low", "Ranged.high",
    "Quintile.predicted", "Quintile.realised", "Quintile.low", "Quintile.high", "Value.value", "Value.interval",
    "predicted", "shown",
)  # fmt: skip
FORMS = dict.fromkeys(MONEY, (cash,)) | {
    "share": (share,), "explore": (share,), "holdout_share": (share,), "window_days": (days,),
    "Look.days": (number, days), "effective": (count,),
}  # fmt: skip
PLAIN = dict.fromkeys(("Verdict.low", "Verdict.high", "Lift.lift", "Lift.control"), (number,))  # of orders
CHANCE, EVEN, BELOW = "1 / logged chance", "the expectation of 1 ±", "lower bound is below 0"  # words of the page


def gathered(told: Told) -> dict[str, Figures]:
    """The typed results behind the first screen and each chapter."""
    found, then = told.judged, told.next
    seen, verdict, learned = found.evidence, found.verdict, then.recalibration
    predicted, gain = {"predicted": found.predicted}, verdict.lift.lift if verdict.lift else None
    shares = {"explore": seen.release.explore, "holdout_share": seen.release.holdout_share}
    window = {"window_days": seen.settings.window_days}
    whole = {"Verdict.total": verdict.total, "Verdict.low": verdict.total_low, "Verdict.high": verdict.total_high}
    results: dict[str, list[Any]] = {
        "first screen": [
            whole, predicted, {"Lift.lift": gain}, found.discount, found.compared, verdict.n_arm, verdict.n_control,
            window, seen.release.policy_version, date(seen.last_ms, None), seen.release.campaign_id,
        ],
        "verdict": [found.main, seen.why],
        "days": [found.looks, verdict.n_arm],
        "calibration": [
            found.quintiles, found.calibration, learned.whole, learned.measured, learned.measured_se,
            seen.settings.prior_sd, EVEN,
        ],
        "trust": [
            found.weights, seen.joined.outcome_counts, seen.joined.decision_counts, seen.joined.changed_arm, shares,
            CHANCE,
        ],
        "drift": [found.drifts, found.unseen_drifts],
        "next": [then, learned.offers, BELOW],
        "todo": [
            {"Lift.lift": gain, "shown": found.shown}, predicted, shares, verdict.why, then.why, found.drifts,
            then.release.policy_version, seen.joined.outcome_counts.get("open window"),
        ],
    }  # fmt: skip
    held = {name: Figures(CURRENCY, FORMS, some) for name, some in results.items()}
    held["verdict"] |= Figures(CURRENCY, FORMS | PLAIN, [found.orders])
    return held


def told(found: Judged) -> Told:
    return Told(found, next_release(found, cash), CURRENCY, "Shop", False, False)


def two_weeks() -> Judged:
    """Half of the customers decided two weeks later, and their answer half as strong; some windows are still open."""
    shop, later = case(), pl.col("customer_id").str.slice(-1).is_in(list("02468"))
    moved = pl.col("ts_ms") + pl.when(later).then(14 * DAY_MS).otherwise(0)
    decisions, events = (frame.with_columns(ts_ms=moved) for frame in (shop.decisions, shop.events))
    offered = decisions.filter(pl.col("holdout").eq(False) & later)["customer_id"]
    worse = pl.col("customer_id").is_in(offered.implode()) & (pl.col("ts_ms") >= START)
    less = pl.when(worse).then(pl.col("revenue_cents") // 2).otherwise(pl.col("revenue_cents"))
    return judged(replace(shop, decisions=decisions, events=events.with_columns(revenue_cents=less)))


CASES = {
    "gain": lambda: judged(case()),
    "promised too little": lambda: judged(claimed(case(), 0.5)),
    "loss": lambda: judged(losing()),
    "drift": two_weeks,
    "nothing explored": lambda: judged(case(1500, 0.0, 0.3)),
    "revenue alone": lambda: judged(replace(shop := case(), products=shop.products.head(3))),
    "few": lambda: judged(case(400, 0.1, 0.3), least=2),
}


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_the_page_is_held_by_a_typed_result(name: str) -> None:
    page = told(CASES[name]())
    assert strays(page_of(page), gathered(page)) == {}


@pytest.fixture(scope="module")
def plain() -> Told:
    return told(judged(case()))


PLANTED = [
    ("money", ("first screen", "verdict", "days", "calibration", "next", "todo")),
    ("count", ("first screen", "verdict", "days", "calibration", "trust", "next")),
    ("share", ("trust", "todo")),
    ("number", ("verdict", "days", "calibration", "trust", "next")),
]


@pytest.mark.parametrize(("form", "where"), PLANTED, ids=lambda x: x if isinstance(x, str) else "")
def test_a_chapter_that_adds_to_a_number_is_found(
    plain: Told, monkeypatch: pytest.MonkeyPatch, form: str, where: tuple[str, ...]
) -> None:
    held = gathered(plain)
    add(monkeypatch, learn_page, form)
    assert set(where) <= set(strays(page_of(plain), held))
    monkeypatch.undo()
    missed, numbers = unseen(learn_page, form, lambda: page_of(plain), held)
    assert missed <= 0.05 * numbers, f"{missed} of {numbers}"


def test_a_chart_that_draws_a_wrong_number_is_found(plain: Told) -> None:
    missed, numbers = undrawn(page_of(plain), gathered(plain))
    assert numbers > 20
    assert missed <= 0.05 * numbers, f"{missed} of {numbers}"
