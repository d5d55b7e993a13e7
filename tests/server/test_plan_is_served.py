"""The law of one plan: what was planned is what is served, with its gains, costs, probabilities and reasons."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from planned_shop import CAMPAIGN, planned_shop, shop_config, varied
from serve_helpers import Api, released, serving

from promolift.core.allocation import Limit, satisfies_limits
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.plan_note import PlanNote

SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 20))]
COMPARED = ("offer_id", "propensity", "holdout", "reason")


def options(reply: Any) -> dict[str, Any]:
    """A record's list by offer; a plan's may be structs, which name what their offers do not have. An answer has the
    recorded reason as `rule`, too."""
    rows = json.loads(reply) if isinstance(reply, str) else reply
    return {
        row["offer"]: {k: v for k, v in row.items() if k not in ("offer", "rule") and v is not None} for row in rows
    }


def same(planned: dict[str, Any], served: dict[str, Any]) -> bool:
    """Whether a live record says what the plan's says: decision, propensities, reason, gains, costs, closed offers."""
    lists = all(options(planned[name]) == options(served[name]) for name in ("candidates", "ineligible"))
    return lists and all(planned[name] == served[name] for name in COMPARED)


def differing(folder: Path, config: Config) -> list[str]:
    """Customers who are served otherwise than planned."""
    with Store(folder) as store:
        planned = {row["customer_id"]: row for row in store.frame("decisions").iter_rows(named=True)}
    with serving(folder, config) as api:
        released(api)
        served = {who: ask(api, who) for who in planned}
    return [who for who in planned if not same(planned[who], served[who])]


def ask(api: Api, who: str) -> dict[str, Any]:
    found: dict[str, Any] = api("POST", "/v1/decisions", {"customer_id": who, "campaign_id": CAMPAIGN, "explain": True})
    return found


def offered(folder: Path) -> pl.DataFrame:
    with Store(folder) as store:
        rows = store.frame("decisions").filter(pl.col("offer_id") != "none").select("customer_id", "offer_id")
        return rows.join(store.frame("candidates"), on=["customer_id", "offer_id"])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_with_all_it_can_hold_is_served_as_it_was_planned(seed: int, tmp_path: Path) -> None:
    config = planned_shop(tmp_path, seed, varied(seed))
    assert offered(tmp_path).height >= 5
    assert differing(tmp_path, config) == []


@pytest.mark.slow
def test_the_shops_of_these_laws_hold_what_leaked(tmp_path: Path) -> None:
    """Pairs, basket offers, coupons and filled limits are among the offers that are given."""
    given = pl.concat(
        [offered(planned_at(tmp_path / str(seed), seed)).select("menu_id", "target", "scope") for seed in range(6)]
    )
    assert given["target"].str.contains(" ++ ", literal=True).any()
    assert (given["scope"] == "all").any()
    assert (given["menu_id"] == "coupon-25").any()


def planned_at(folder: Path, seed: int) -> Path:
    planned_shop(folder, seed, varied(seed))
    return folder


def test_a_plan_from_an_approved_release_is_served_as_it_was_planned_draws_included(tmp_path: Path) -> None:
    config = planned_shop(tmp_path, 3, varied(3), explore=0.2)
    with Store(tmp_path) as store:
        reasons = store.frame("decisions")["reason"].to_list()
    assert "exploration: drawn by hash to learn from it" in reasons
    assert differing(tmp_path, config) == []


@pytest.mark.parametrize("limit", ["count[target=tea] <= 6", "count[target=bread] >= 4"])
def test_what_is_drawn_at_random_keeps_the_budget_and_the_limits(limit: str, tmp_path: Path) -> None:
    plan = {"limits": (limit,), "budget_cents": 4000, "min_evidence": "assumed", "category_share": 0.4}
    planned_shop(tmp_path, 5, shop_config(plan=plan), explore=0.3)
    given = offered(tmp_path)
    assert given["cost_cents"].sum() <= 4000
    assert satisfies_limits(given, [Limit.read(limit)])
    with Store(tmp_path) as store:
        note = PlanNote.load(store)
    assert 0 < note.terms.explore <= 0.3
    assert "exploration" in "".join(given.join(decided(tmp_path), on="customer_id")["reason"].to_list())


def decided(folder: Path) -> pl.DataFrame:
    with Store(folder) as store:
        return store.frame("decisions").select("customer_id", "reason")


def test_a_randomised_trial_is_served_as_it_was_drawn(tmp_path: Path) -> None:
    config = planned_shop(tmp_path, 1, shop_config(plan={"test_share": 0.1, "budget_cents": 40_000, "seed": 5}))
    assert offered(tmp_path).height >= 5
    assert differing(tmp_path, config) == []


def test_the_gain_in_a_live_record_is_the_planned_gain(tmp_path: Path) -> None:
    config = planned_shop(tmp_path, 8, varied(8))  # a rule of risk: its caution is a charge, not a smaller gain
    with Store(tmp_path) as store:
        gains = {
            row[:2]: row[2]
            for row in store.frame("candidates").select("customer_id", "offer_id", "gain_cents").iter_rows()
        }
    chosen = offered(tmp_path)
    with serving(tmp_path, config) as api:
        released(api)
        for who, offer in chosen.select("customer_id", "offer_id").iter_rows():
            record = ask(api, who)
            (mine,) = [each for each in record["candidates"] if each["offer"] == offer]
            assert (record["offer_id"], mine["gain_cents"]) == (offer, gains[who, offer])
