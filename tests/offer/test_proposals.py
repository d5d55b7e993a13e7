"""Proposals become ordinary menu lines, candidates and offers; the grid keeps exactly what an allocation can choose."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.errors import InputError
from promolift.offer import MenuItem, OfferRules, make_offer
from promolift.offer.grid import efficient, grid_lines, keep_efficient
from promolift.offer.proposals import PROPOSALS, OfferProposalSettings, lines, propose_candidates, with_ids
from promolift.tables import CANDIDATES
from promolift.terms import Benefit, Words

MENU = (
    MenuItem(id="cat-20", benefit=Benefit(type="percent_off", percent=20), scope="category", supplier_share=0.5,
             send_cost_cents=2, activation="coupon"),
    MenuItem(id="save-5", benefit=Benefit(type="amount_off", amount_cents=500), min_spend_cents=4000),
)  # fmt: skip
PROFILES = pl.DataFrame(
    {
        "customer_id": ["A", "B"], "price_sensitivity": [0.4, None], "orders_expected": [3.0, 1.0],
        "basket_mean_cents": [4200.0, 900.0], "basket_sd_cents": [900.0, None], "online": [False, True],
    }
)  # fmt: skip
TARGETS = pl.DataFrame(
    {
        "customer_id": ["A", "A", "B"], "target": ["tea", "fuel", "tea"], "scope": ["category"] * 3,
        "base_cents": [900.0, 5000.0, 80.0], "base_se_cents": [10.0, 10.0, 5.0], "buy_prob": [0.5, 0.9, 0.4],
        "bought": [True, True, False], "margin_rate": [0.3, 0.1, 0.3],
    }
)  # fmt: skip
NO_REST = pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})


def proposal(**terms: object) -> dict[str, object]:
    return {
        "customer_id": "A", "scope": "category", "target": "tea", "benefit": "percent_off", "percent": 15,
        "amount_cents": 0, "min_spend_cents": 0, "valid_days": 14,
    } | terms  # fmt: skip


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return PROPOSALS.conform(pl.DataFrame(list(rows)))


def test_a_proposal_is_funded_as_the_menu_line_of_its_scope_and_by_nobody_else() -> None:
    tea, everything = lines(table(proposal(), proposal(scope="all", target=None)), MENU)[::-1]
    assert (tea.id, tea.supplier_share, tea.send_cost_cents, tea.activation) == ("pr-category-15-14d", 0.5, 2, "coupon")
    assert (everything.scope, everything.supplier_share, everything.send_cost_cents) == ("all", 0.0, 2)


def test_a_benefit_that_the_shop_does_not_give_is_refused() -> None:
    with pytest.raises(InputError, match="free_shipping is not on the shop's menu"):
        lines(table(proposal(scope="all", target=None, benefit="free_shipping", percent=0)), MENU)


def test_candidates_are_those_proposed_and_closed_by_the_same_rules() -> None:
    asked = table(
        proposal(),
        proposal(target="fuel"),
        proposal(customer_id="B", percent=25),
        proposal(percent=20),
        proposal(scope="all", target=None, percent=5),
    )
    items, rows = propose_candidates(asked, MENU, (PROFILES, TARGETS, NO_REST), OfferRules(margin_floor=0.1))
    CANDIDATES.check(rows)
    got = {(r["customer_id"], r["menu_id"], r["target"]): r["why_not"] for r in rows.iter_rows(named=True)}
    assert set(got) == {
        ("A", "pr-category-15-14d", "tea"), ("A", "pr-category-15-14d", "fuel"), ("B", "pr-category-25-14d", "tea"),
        ("A", "pr-all-5-14d", None),
    }  # 20 % on a category is on the menu already  # fmt: skip
    assert got[("A", "pr-category-15-14d", "tea")] is None
    assert "margin" in str(got[("A", "pr-category-15-14d", "fuel")])  # 0.1 - 0.15 / 2
    assert [item.id for item in items] == ["pr-all-5-14d", "pr-category-15-14d", "pr-category-25-14d"]


def test_different_terms_never_share_an_id() -> None:
    amount = {"scope": "all", "target": None, "benefit": "amount_off", "percent": 0}
    changes: tuple[dict[str, object], ...] = (
        {}, {"percent": 25}, {"valid_days": 7}, {"scope": "product"}, {"scope": "all", "target": None},
        amount | {"amount_cents": 500, "min_spend_cents": 4000},
        amount | {"amount_cents": 400, "min_spend_cents": 5000},
    )  # fmt: skip
    asked = table(*(proposal(**change) for change in changes))
    assert with_ids(asked)["menu_id"].n_unique() == asked.height


def test_a_proposal_prints_as_an_offer() -> None:
    (item,) = lines(table(proposal()), MENU)
    starts = datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    offer = make_offer(item, "tea", "category", Words(zh="茶", en="tea"), starts, "CNY")
    assert (offer.benefit.percent, offer.menu_id, offer.expires.day) == (15, "pr-category-15-14d", 14)


def test_the_grid_is_every_printable_percent_on_every_scope() -> None:
    made = grid_lines(OfferProposalSettings(), MENU, ("category", "all"))
    assert sorted((i.scope, i.benefit.percent) for i in made) == sorted(
        (s, p) for s in ("category", "all") for p in range(5, 55, 5)
    )


def test_the_hull_by_hand() -> None:
    # slopes from nothing: 2, 1.5, 1, unknown, and a loss; b lies under the line from a to c
    gain, cost = np.array([20.0, 24, 30, np.nan, -5]), np.array([10.0, 16, 20, 1, 1])
    assert efficient(gain, cost, np.zeros(5, int), 9).tolist() == [True, False, True, False, False]
    assert efficient(gain, cost, np.zeros(5, int), 1).tolist() == [True, False, False, False, False]
    assert efficient(gain, cost, np.zeros(5, int), 9, top_price=0.5).tolist() == [False, False, True, False, False]
    assert efficient(gain, cost, np.zeros(5, int), 9, top_price=3.0).tolist() == [True, False, True, False, False]


def test_closed_candidates_are_not_kept() -> None:
    rows = pl.DataFrame(
        {"customer_id": ["A", "A", "B"], "offer_id": ["x", "y", "none"], "eligible": [True, False, True],
         "gain_cents": [5.0, 9.0, 0.0], "cost_cents": [2.0, 1.0, 0.0]}
    )  # fmt: skip
    assert keep_efficient(rows, 4)["offer_id"].to_list() == ["x"]


def test_a_customer_with_losses_alone_keeps_nothing() -> None:
    who = np.array([0, 0, 1])
    assert efficient(np.array([-5.0, np.nan, 1.0]), np.array([1.0, 1.0, 0.0]), who, 3).tolist() == [False, False, True]


points = st.lists(st.tuples(st.integers(0, 2), st.integers(-20, 60), st.integers(0, 40)), min_size=1, max_size=14)


@settings(deadline=None)
@given(points, st.floats(0.01, 5), st.sampled_from([np.inf, 0.7, 2.0]))
def test_no_price_below_the_top_ever_wants_an_offer_outside_the_hull(
    rows: list[tuple[int, int, int]], price: float, top: float
) -> None:
    who, gain, cost = np.array(sorted(rows)).T
    kept = efficient(gain.astype(float), cost.astype(float), who, 14, top)
    for one in np.unique(who):
        mine = who == one
        net = gain[mine] - price * cost[mine]
        if net.max() > 1e-6 and price <= top:
            assert np.max(net[kept[mine]], initial=-np.inf) >= net.max() - 1e-6
