"""What was learned of the gains changes the plan and the live decision alike."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_helpers import CAMPAIGN, PEOPLE, released, serving, settings, write_words

from promolift.config import Config
from promolift.deliver import Recalibration, recalibrated
from promolift.offer.proposals import MenuCandidates
from promolift.results.approved import approve, approved
from promolift.results.job import Job
from promolift.results.plan import Plan, PlanNote
from promolift.run import fingerprint
from promolift.steps import plan
from promolift.steps.propose import value
from promolift.steps.summary import plan_summary
from promolift.store import Store

FACTOR = st.floats(0.1, 3.0)


def planned_again(folder: Path, learned: Recalibration, **plan_settings: Any) -> dict[str, str]:
    """The plan made anew from the same candidates after `learned` was approved; the offer of every customer."""
    config = settings(**plan_settings)
    with Store(folder) as store:
        job = Job(config, store, lambda *_: None)
        terms = PlanNote.load(store).terms
        approve(store, terms.model_copy(update={"policy_version": "2", "recalibration": learned}))
        listed = store.frame("candidates").select(
            "customer_id", "offer_id", "menu_id", "scope", "target", "kind", "benefit", "depth", "amount_cents",
            "min_spend_cents", "activation", "supplier_share", "send_cost_cents", "base_cents", "base_se_cents",
            "buy_prob", "bought", "margin_rate", "price_sensitivity", "orders_expected", "basket_mean_cents",
            "basket_sd_cents", "eligible", pl.when("eligible").then(None).otherwise("why_not").alias("why_not"),
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "candidates", lambda *_: MenuCandidates(value(job, listed), config.menu))
            plan.run(job)
        write_words(store, Plan.load(store))
        return dict(store.frame("decisions").select("customer_id", "offer_id").iter_rows())


def favourite(decisions: dict[str, str]) -> str:
    offers = [offer for offer in decisions.values() if offer != "none"]
    return max(sorted(set(offers)), key=offers.count)


@pytest.mark.parametrize("risk", [{}, {"risk": {"rule": "lower"}}], ids=["as expected", "cautious"])
def test_live_and_batch_agree_on_what_was_learned_and_it_changes_who_gets_what(
    shop: tuple[Path, Config], folder: Path, risk: dict[str, Any]
) -> None:
    first = planned_again(folder, Recalibration(), **risk)
    barred = favourite(first)
    with Store(folder) as store:
        named = {
            row[:2]: row[2] for row in store.frame("candidates").select("menu_id", "target", "offer_id").iter_rows()
        }
    own = {named["cut-10", "bread"]: 2.5, named["cut-20", "milk"]: 0.2}
    learned = Recalibration(ratio=0.7, low=0.5, high=0.9, offers=own, closed=(barred,))
    wanted = planned_again(folder, learned, **risk)
    assert sum(wanted[who] != first[who] for who in PEOPLE) >= 5
    assert barred not in wanted.values()
    assert set(wanted.values()) - {"none"}
    assert set(wanted.values()) & set(first.values()) == {"none"}
    with serving(folder, shop[1]) as api:
        released(api)
        made = {who: api.decide(who, explain=True) for who in PEOPLE}
        assert {who: each["offer_id"] for who, each in made.items()} == wanted
        assert all(api("GET", f"/v1/decisions/{each['decision_id']}:replay")["same"] for each in made.values())
        why = {each["reason"] for row in made.values() for each in row["ineligible"] if each["offer"] == barred}
        assert "closed by what was learned: its gain may be below 0" in why
        assert {each["policy_version"] for each in made.values()} == {f"{made['u00']['release_id']}.1"}


def test_a_plan_says_what_it_took_over_and_its_gain_follows(folder: Path) -> None:
    planned_again(folder, Recalibration())
    with Store(folder) as store:
        before = PlanNote.load(store)
    planned_again(folder, Recalibration(ratio=0.5, low=0.4, high=0.6))
    with Store(folder) as store:
        after = PlanNote.load(store)
    assert after.terms.policy_version == "2"
    assert after.terms.recalibration is not None
    assert after.terms.recalibration.ratio == 0.5
    assert after.gain_cents < 0.6 * before.gain_cents
    with Store(folder) as store:
        text = plan_summary(Job(settings(), store, lambda *_: None), "plan")["text"]
    assert "predicted gains x 0.50 (0.40 to 0.60)" in text
    assert after.gain_low_cents < after.gain_cents < after.gain_high_cents  # type: ignore[operator]


def test_a_newly_approved_release_makes_the_plan_anew_and_no_step_before_it() -> None:
    config = settings()
    assert fingerprint(config, "effect", "approved") == fingerprint(config, "effect")
    assert len({fingerprint(config, "plan", each) for each in ("", "one", "two")}) == 3


def test_an_approved_release_of_another_campaign_is_not_taken_over(folder: Path) -> None:
    with Store(folder) as store:
        terms = PlanNote.load(store).terms
        approve(store, terms)
        assert approved(store, CAMPAIGN) == terms
        assert approved(store, "cmp_other") is None


def test_what_was_learned_since_is_what_comes_on_top() -> None:
    a = Recalibration(ratio=0.5, low=0.4, high=0.6, offers={"b": 2.0}, closed=("a",))
    b = Recalibration(ratio=3.0, low=2.0, high=4.0, offers={"b": 0.25, "c": 7.0}, closed=("c",))
    both = a.then(b)
    since = both.since(a)
    assert since is not None
    for offer in "abcd":
        assert since.factor(offer) == pytest.approx(b.factor(offer))
    assert since.closed == ("a", "c")
    assert (a.since(None), a.since(a)) == (a, None)
    once, again = recalibrated(rows(), both), recalibrated(recalibrated(rows(), a), since)
    assert once["gain_cents"].to_list() == pytest.approx(again["gain_cents"].to_list())
    nothing = Recalibration(ratio=0.0, low=0.0, high=0.0)
    assert both.since(nothing).factor("x") == 0.0  # type: ignore[union-attr]


def rows() -> pl.DataFrame:
    names = ("customer_id", "offer_id", "gain_cents", "gain_se_cents", "cost_cents", "added_cents", "eligible")
    values = [("u", "a", 100.0, 10.0, 20.0, 120.0, True), ("u", "b", -50.0, 5.0, 30.0, -20.0, True),
              ("u", "c", None, None, None, None, False), ("u", "none", 0.0, 0.0, 0.0, 0.0, True)]  # fmt: skip
    return pl.DataFrame(values, schema=names, orient="row").with_columns(why_not=pl.lit(None, pl.String))


def test_gains_are_multiplied_costs_are_not_and_none_stays_none() -> None:
    found = recalibrated(rows(), Recalibration(ratio=0.5, low=0, high=1, offers={"b": 2.0}, closed=("a", "none")))
    assert found["gain_cents"].to_list() == [50.0, -100.0, None, 0.0]
    assert found["gain_se_cents"].to_list() == [5.0, 10.0, None, 0.0]
    assert found["added_cents"].to_list() == [70.0, -70.0, None, 0.0]
    assert found["cost_cents"].to_list() == [20.0, 30.0, None, 0.0]
    assert found["eligible"].to_list() == [False, True, False, True]
    assert recalibrated(rows(), None).equals(rows())


@given(FACTOR, FACTOR, st.dictionaries(st.sampled_from("abc"), FACTOR), st.dictionaries(st.sampled_from("abc"), FACTOR))
def test_what_is_learned_on_learned_gains_comes_on_top(
    one: float, two: float, first: dict[str, float], later: dict[str, float]
) -> None:
    a = Recalibration(ratio=one, low=one, high=one, offers=first, closed=("a",))
    b = Recalibration(ratio=two, low=two, high=two, offers=later, closed=("b",))
    both = a.then(b)
    again, once = recalibrated(recalibrated(rows(), a), b), recalibrated(rows(), both)
    assert again["eligible"].to_list() == once["eligible"].to_list() == [False, False, False, True]
    assert again["gain_cents"].to_list()[:2] == pytest.approx(once["gain_cents"].to_list()[:2])
