"""No number is made on the page of learning: what it prints and draws is held by what was judged and proposed."""

from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl
import pytest
from judged_shop import START, case, claimed, judged, losing
from page_figures import Figures, add, strays, undrawn, unseen

from promolift.core.decisions import LineEffect
from promolift.core.messages import PoolText
from promolift.core.messages.text_choice import WantedDraft
from promolift.core.messages.text_value import TextValue
from promolift.foundation.evidence import Z95, IntervalEstimate
from promolift.foundation.i18n.formatting import MoneyFormat, count, date, days, money, number, percent
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.feedback.next_release import LearnedEffects, propose_release
from promolift.shop.feedback.policy_verdict import JudgedEvidence
from promolift.shop.reports.earnings import GAIN
from promolift.shop.reports.learning_page import learning_next_steps, page_of
from promolift.shop.reports.text_values import texts_chapter
from promolift.shop.results.learned_policy import LearnedPolicy, NextRelease, TextEarnings
from promolift.shop.results.line_tests import refusals_per_thousand

CURRENCY = "USD"
cash = partial(money, currency=CURRENCY)
MONEY = (
    "Verdict.total", "Verdict.total_low", "Verdict.total_high", "Verdict.low", "Verdict.high", "Lift.lift",
    "Lift.control", "CumulativeGain.total", "CumulativeGain.low", "CumulativeGain.high",
    "IntervalEstimate.value", "IntervalEstimate.low", "IntervalEstimate.high",
    "Quintile.predicted", "Quintile.realised", "Quintile.low", "Quintile.high", "LineEffect.cost_cents",
    "LineEffect.net_cents", "LineEffect.window_cents", "predicted", "shown",
    "TextValue.value", "TextValue.low", "TextValue.high",
)  # fmt: skip
FORMS = dict.fromkeys(MONEY, (cash,)) | {
    "net_cents": (cash,), "drawn_cents": (cash,), "again_cents": (cash,),
    "cost_cents": (cash,), "window_cents": (cash,), "pays": (percent,),
    "refusal_cents": (cash,),
    "share": (percent,), "explore": (percent,), "holdout_share": (percent,), "window_days": (days,),
    "CumulativeGain.days": (number, days), "effective": (count,),
}  # fmt: skip
PLAIN = dict.fromkeys(("Verdict.low", "Verdict.high", "Lift.lift", "Lift.control"), (number,))  # of orders
CHANCE = "1 / logged propensity"  # words of the page
OF_THOUSAND = 1000  # customers


def gathered(learned: LearnedPolicy) -> dict[str, Figures]:
    """The typed results behind the first screen and each chapter."""
    found, then = learned.judged, learned.next
    verdict = found.verdict
    predicted, gain = {"predicted": found.predicted}, verdict.lift.lift if verdict.lift else None
    shares = {"explore": found.release.explore, "holdout_share": found.release.holdout_share}
    window = {"window_days": found.window_days}
    whole = {"Verdict.total": verdict.total, "Verdict.low": verdict.total_low, "Verdict.high": verdict.total_high}
    said_gains = (float(part) for each in found.drifts for pair in GAIN.findall(each.what) for part in pair)
    gains = [{"Lift.lift": value} for value in said_gains]  # of each period, in the text of what was looked at
    results: dict[str, list[Any]] = {
        "first screen": [
            whole, predicted, {"Lift.lift": gain}, found.discount, found.compared, verdict.n_arm, verdict.n_control,
            window, found.release.policy_version, date(found.last_ms, None), found.release.campaign_id,
        ],
        "verdict": [found.main, found.why],
        "days": [found.looks, verdict.n_arm],
        "calibration": [found.quintiles, found.calibration],
        "words": [learned.texts],
        "trust": [
            found.weights, found.outcome_counts, found.decision_counts, found.changed_arm, shares,
            CHANCE,
        ],
        "drift": [found.drifts, found.unseen_drifts, *gains],
        "next": [then, OF_THOUSAND, *(said(each) for each in (then.release.effects if then else ()))],
        "todo": [
            {"Lift.lift": gain, "shown": found.shown}, predicted, shares, verdict.why, found.drifts,
            then and [then.expected, then.why, then.release.policy_version], found.outcome_counts.get("open window"),
        ],
    }  # fmt: skip
    held = {name: Figures(CURRENCY, FORMS, some) for name, some in results.items()}
    held["verdict"] |= Figures(CURRENCY, FORMS | PLAIN, [found.orders])
    return held


def said(effect: LineEffect) -> dict[str, object]:
    """What stands on the page of one line and group beside its own fields: the ends of its intervals, and what it adds
    before its cost."""
    ends = {f"{name}_cents": f"{name}_se_cents" for name in ("net", "window", "drawn", "again")}
    ends |= {"visits": "visits_se"}
    return {
        f"{side}.{name}": getattr(effect, name) + Z95 * side * getattr(effect, se)
        for name, se in ends.items()
        for side in (-1, 1)
    } | {
        f"{who}.{end}": getattr(rate, end)
        for who, rate in zip(("arm", "none"), refusals_per_thousand(effect) or (), strict=False)
        for end in ("value", "low", "high")
    } | {"LineEffect.net_cents": effect.net_cents + effect.cost_cents}  # fmt: skip


TEXTS = tuple(
    TextEarnings(TextValue(name, "generic", "en", *values), f"{{deal}} / Hook {name}")  # type: ignore[arg-type]
    for name, values in (("a", (821, 433, 61.0, 17.0, 105.0, None)), ("b", (219, 433, -13.0, -77.0, 51.0, 2741)),
                         ("c", (7, 433, None, None, None, None)))
)  # fmt: skip


def told(found: JudgedEvidence) -> LearnedPolicy:
    return LearnedPolicy(found, following(found), CURRENCY, "Shop", False, False, TEXTS)


def following(found: JudgedEvidence) -> NextRelease | None:
    """What draws might have taught here; where nothing was explored there are none."""
    if not found.release.explore:
        return None
    effects = tuple(
        LineEffect(
            arm=arm, group="all customers", net_cents=net, net_se_cents=23.0, window_cents=net / 3,
            window_se_cents=11.0,
            cost_cents=17.0, pays=0.87, state=state, share=0.5, n_arm=123, n_none=456, visits=0.21, visits_se=0.07,
            drawn_cents=29.0, drawn_se_cents=27.0, refused=4, refused_none=1, refusal_cents=1.3,
            again_cents=9.0, again_se_cents=8.0, n_again=61,
            evidence="randomised",
        )
        for arm, net, state in (("cut-10", 31.0, "give"), ("cut-20", -7.0, "test"))
    )  # fmt: skip
    learned = LearnedEffects(effects, IntervalEstimate(19.0, 3.0, 35.0), 2, 84, 987)
    return propose_release(found, learned, cash)


def two_weeks() -> JudgedEvidence:
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
def plain() -> LearnedPolicy:
    return told(judged(case()))


PLANTED = [
    ("money", ("first screen", "verdict", "days", "calibration", "words", "next", "todo")),
    ("count", ("first screen", "verdict", "days", "calibration", "words", "trust", "next")),
    ("percent", ("trust", "todo")),
    ("number", ("verdict", "days", "trust", "next")),
]


@pytest.mark.parametrize(("form", "where"), PLANTED, ids=lambda x: x if isinstance(x, str) else "")
def test_a_chapter_that_adds_to_a_number_is_found(
    plain: LearnedPolicy, monkeypatch: pytest.MonkeyPatch, form: str, where: tuple[str, ...]
) -> None:
    held = gathered(plain)
    add(monkeypatch, form)
    assert set(where) <= set(strays(page_of(plain), held))
    monkeypatch.undo()
    missed, numbers = unseen(form, lambda: page_of(plain), held)
    assert missed <= 0.05 * numbers, f"{missed} of {numbers}"


def test_a_chart_that_draws_a_wrong_number_is_found(plain: LearnedPolicy) -> None:
    missed, numbers = undrawn(page_of(plain), gathered(plain))
    assert numbers > 20
    assert missed <= 0.05 * numbers, f"{missed} of {numbers}"


def test_the_page_and_the_next_steps_name_the_drafts_that_are_asked_for(plain: LearnedPolicy) -> None:
    def text(name: str) -> PoolText:
        return PoolText(text_id=name, angle="generic", language="en", title="{deal}", hook=f"Hook {name}.")

    wanted = (WantedDraft("generic", "en", (text("lost"),), (text("won"),)),)
    for texts in (TEXTS, ()):
        chapter = str(texts_chapter(texts, wanted, MoneyFormat(CURRENCY)))
        assert "Hook lost." in chapter
        assert "Hook won." in chapter
    learned = replace(plain, wanted=wanted)
    assert sum("Hook won." in each for each in learning_next_steps(learned)) == 1
