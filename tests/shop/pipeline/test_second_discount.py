"""Which arms begin: one benefit at a time, and none that would take the budget of all others."""

import polars as pl
import pytest

from promolift.core.decisions import LineEffect
from promolift.core.offers.menu import MenuItem
from promolift.shop.pipeline.planning.arms_in_play import Arm, LineTestPopulation, choose_arms

MENU = [
    MenuItem.model_validate({"id": "reminder", "benefit": {"type": "reminder"}}),
    *(MenuItem.model_validate({"id": f"all-{n}", "benefit": {"type": "percent_off", "percent": n}}) for n in (10, 20)),
]  # fmt: skip


def people(windows: int, **plays: tuple[str, ...]) -> LineTestPopulation:
    sizes = {"absent": 1000, **dict.fromkeys(plays, 1000)}
    groups = pl.DataFrame(schema={"customer_id": pl.String, "group": pl.String, "worth": pl.Float64})
    return LineTestPopulation(groups, sizes, dict.fromkeys(sizes, 900.0), dict.fromkeys(sizes, 900.0), windows, plays)


def lines(deep_cost: float, *groups: str) -> pl.DataFrame:
    rows = [(item.id, group, cost, 1000) for group in groups or ("absent",)
            for item, cost in zip(MENU, (0.0, 50.0, deep_cost), strict=True)]  # fmt: skip
    return pl.DataFrame(rows, schema=["menu_id", "group", "cost", "customers"], orient="row")


def tried(group: str = "absent") -> list[LineEffect]:
    return [LineEffect(
        arm="all-10", group=group, net_cents=60.0, net_se_cents=20.0, window_cents=9.0, window_se_cents=20.0,
        cost_cents=50.0, pays=0.9, state="test", prob=0.5, n_arm=300, evidence="randomised",
    )]  # fmt: skip


@pytest.mark.parametrize(("cost", "begins"), [(120.0, [Arm("all-20", "absent")]), (260_000.0, [])])
def test_a_deeper_discount_begins_unless_it_costs_more_than_a_customer_brings(cost: float, begins: list[Arm]) -> None:
    assert list(choose_arms(MENU, lines(cost), people(2), tried())) == begins


def test_a_play_tries_what_it_states_in_its_order_and_one_discount_at_a_time() -> None:
    mine = people(2, play=("all-20", "all-10", "reminder"))
    rows = lines(120.0, "play", "absent")
    begins = choose_arms(MENU, rows, mine, tried())
    assert begins[Arm("all-20", "play")] == 0.5
    assert begins[Arm("reminder", "play")] == 0.25
    assert Arm("all-10", "play") not in begins
    later = choose_arms(MENU, rows, mine, [*tried(), *(e.model_copy(update={"arm": "all-20"}) for e in tried("play"))])
    assert Arm("all-10", "play") in later
    silent = choose_arms(MENU, rows, people(2, play=("all-10",)), tried())
    assert Arm("reminder", "play") not in silent
