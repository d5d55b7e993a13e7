"""Fairness from promolift.toml to a release: shares are kept and priced, and no release passes that breaks them."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code

from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.plan import Plan

MENU = [{"id": "all-10", "benefit": {"type": "percent_off", "percent": 10}, "scope": "category"}]
FAIR = {"columns": ["sex", "basket_mean_cents"], "band": 0.1, "loyal_never_worse": True, "least_customers": 20}


@pytest.fixture(scope="module")
def shop(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    files = {name: own_files / f"{name}.csv" for name in ("events", "products", "customers", "promotions")}
    made = Shop(**files, work=tmp_path_factory.mktemp("work"))
    return made.with_settings(
        menu=MENU, value={"margin_rate": 0.5}, offer={"proposals": "none"},
        segment=[{"name": "fragile", "where": "top_weekday = 1"}],
        plan={"budget_cents": 100_000, "min_evidence": "assumed"},
    )  # fmt: skip


def fair(shop: Shop, **changed: Any) -> Shop:
    return shop.with_settings(fairness={**FAIR, **changed})


def share(plan: Plan, group: str) -> float:
    """Of all that is given."""
    return float(plan.chosen["groups"].list.contains(group).mean())  # type: ignore[arg-type]


def test_each_group_gets_its_share_and_the_plan_says_what_that_costs(shop: Shop) -> None:
    before = shop.plan()
    assert before.note.fairness is None
    assert "groups" not in before.chosen.columns or before.chosen["groups"].null_count() == before.chosen.height
    free_cents = before.note.planned_cents
    plan = fair(shop).plan()
    found = plan.note.fairness
    assert found is not None
    assert found.uses
    for use in found.uses:
        assert use.used == pytest.approx(share(plan, use.group))
        assert use.limit.at_least is not None
        room = use.limit.slack / plan.note.treated + 1e-9
        assert use.limit.at_least <= use.used + room
        assert use.limit.at_most is None or use.used <= use.limit.at_most + room
    assert not found.broken(plan.chosen)
    assert found.cost_cents == pytest.approx(free_cents - plan.note.planned_cents, abs=1e-6)
    assert found.cost_cents > 0
    assert max(each.price for each in found.uses) > 0
    assert "Fairness: " in str(plan)
    assert plan.note.gap < 0.02


def test_a_release_of_a_plan_that_is_not_fair_is_refused(shop: Shop) -> None:
    mine = fair(shop)
    plan = mine.plan()
    mine.messages  # noqa: B018
    assert mine.release()
    assert plan.note.fairness is not None
    group = plan.note.fairness.uses[0].group
    unfair = plan.chosen.filter(pl.col("groups").list.contains(group))
    assert 0 < unfair.height < plan.chosen.height
    mine.store.save("chosen", unfair)
    with raises_code("plan_unfair", group, "100.00%"):
        mine.release()
    mine.step("plan", again=True)


def test_vulnerable_customers_get_nothing_and_a_release_with_something_for_them_is_refused(shop: Shop) -> None:
    mine = fair(shop, excluded=["fragile"])
    plan = mine.plan()
    theirs = plan.candidates.filter(pl.col("segments").list.contains("fragile"))
    assert theirs["customer_id"].n_unique() > 5
    assert not theirs.filter("eligible", pl.col("offer_id") != "none").height
    assert not plan.chosen["segments"].list.contains("fragile").any()
    assert plan.note.fairness is not None
    assert "No personal offer for: fragile." in str(plan)
    marked = plan.chosen.with_columns(segments=pl.lit(["fragile"]))
    assert plan.note.fairness.broken(marked)[-1] == (
        f"fairness.excluded: {marked.height} of the segments fragile get one"
    )


def test_what_cannot_be_is_said_where_it_stands(shop: Shop) -> None:
    with raises_code("setting_invalid", "fairness.excluded", "'fragil'", "'fragile'"):
        fair(shop, excluded=["fragil"])
    with raises_code("column_unknown", "fairness.columns", "'sexe'", "'sex'"):
        fair(shop, columns=["sexe"]).plan()
