"""Proposals become ordinary menu lines, candidates and offers; the grid keeps exactly what an allocation can choose."""

from collections.abc import Iterable
from datetime import datetime
from itertools import combinations
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.offers import MenuItem, OfferRules, make_offer
from promolift.core.offers.proposals import (
    PROPOSALS,
    OfferInputs,
    best_rows_per_line,
    grid_lines,
    propose_candidates,
    proposed_menu_items,
    select_lines,
    with_menu_ids,
)
from promolift.core.offers.settings import OfferProposalSettings
from promolift.core.offers.terms import Benefit
from promolift.foundation.localized_text import LocalizedText
from promolift.foundation.tables.schemas import CANDIDATES

MENU = (
    MenuItem(id="cat-20", benefit=Benefit(type="percent_off", percent=20), scope="category", supplier_share=0.5,
             send_cost_cents=2, activation="code"),
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
        "amount_cents": 0, "min_spend_cents": 0,
    } | terms  # fmt: skip


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return PROPOSALS.conform(pl.DataFrame(list(rows)))


def test_a_proposal_is_funded_as_the_menu_line_of_its_scope_and_by_nobody_else() -> None:
    tea, everything = proposed_menu_items(table(proposal(), proposal(scope="all", target=None)), MENU, 14)[::-1]
    assert (tea.id, tea.supplier_share, tea.send_cost_cents, tea.activation) == ("pr-category-15-14d", 0.5, 2, "code")
    assert (everything.scope, everything.supplier_share, everything.send_cost_cents) == ("all", 0.0, 2)


def test_a_benefit_that_the_shop_does_not_give_is_refused() -> None:
    with raises_code("benefit_unknown", "free_shipping"):
        proposed_menu_items(table(proposal(scope="all", target=None, benefit="free_shipping", percent=0)), MENU, 14)


def test_candidates_are_those_proposed_and_closed_by_the_same_rules() -> None:
    asked = table(
        proposal(),
        proposal(target="fuel"),
        proposal(customer_id="B", percent=25),
        proposal(percent=20),
        proposal(scope="all", target=None, percent=5),
    )
    people = OfferInputs(PROFILES, TARGETS, NO_REST)
    rows, items, _ = propose_candidates(asked, MENU, people, OfferRules(margin_floor=0.1), 14)
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
        {}, {"percent": 25}, {"scope": "product"}, {"scope": "all", "target": None},
        amount | {"amount_cents": 500, "min_spend_cents": 4000},
        amount | {"amount_cents": 400, "min_spend_cents": 5000},
    )  # fmt: skip
    asked = table(*(proposal(**change) for change in changes))
    ids = pl.concat([with_menu_ids(asked, days)["menu_id"] for days in (7, 14)])
    assert ids.n_unique() == 2 * asked.height


def test_a_proposal_prints_as_an_offer() -> None:
    (item,) = proposed_menu_items(table(proposal()), MENU, 14)
    starts = datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    offer = make_offer(item, "tea", "category", LocalizedText(zh="茶", en="tea"), starts, "CNY")
    assert (offer.benefit.percent, offer.menu_id, offer.expires.day) == (15, "pr-category-15-14d", 14)


def test_the_grid_is_every_printable_percent_on_every_scope() -> None:
    made = grid_lines(OfferProposalSettings(), MENU, ("category", "all"))
    assert sorted((i.scope, i.benefit.percent) for i in made) == sorted(
        (s, p) for s in ("category", "all") for p in range(5, 55, 5)
    )


def valued(*rows: tuple[str, str, float | None, float]) -> pl.DataFrame:
    """Customer, line, gain, cost; the offer's id tells the rows of a line apart."""
    return pl.DataFrame(
        [
            {"customer_id": who, "menu_id": line, "offer_id": f"{line}{n}", "eligible": True, "gain_cents": gain,
             "cost_cents": cost}
            for n, (who, line, gain, cost) in enumerate(rows)
        ]
    )  # fmt: skip


MENU_ROWS = valued(("A", "m", 10.0, 0.0), ("B", "m", 10.0, 0.0), ("C", "m", -1.0, 0.0))


def test_lines_are_chosen_one_after_the_other_by_what_they_add_to_those_there_already() -> None:
    # x adds 8 + 6, y adds 9 to A, z adds 5 to C; after x, y adds 1 more to A and z still 5
    rows = valued(
        ("A", "x", 18.0, 0.0), ("B", "x", 16.0, 0.0), ("A", "y", 19.0, 0.0), ("C", "z", 5.0, 0.0), ("B", "w", 9.0, 0.0)
    )
    assert select_lines(MENU_ROWS, rows, 0.0, 9, 0.0) == ["x", "z", "y"]
    assert select_lines(MENU_ROWS, rows, 0.0, 2, 0.0) == ["x", "z"]
    assert select_lines(MENU_ROWS, rows, 0.0, 9, 0.1) == ["x", "z"]  # a tenth of the menu's 20 is 2
    assert select_lines(MENU_ROWS, rows, 0.0, 0, 0.0) == []


def test_a_line_is_judged_after_its_cost_at_the_price() -> None:
    rows = valued(("A", "dear", 30.0, 15.0), ("A", "cheap", 24.0, 4.0))
    assert select_lines(MENU_ROWS, rows, 0.0, 1, 0.0) == ["dear"]
    assert select_lines(MENU_ROWS, rows, 1.0, 1, 0.0) == ["cheap"]
    assert select_lines(MENU_ROWS, rows, 4.0, 1, 0.0) == []


def test_closed_and_unknown_offers_choose_no_line() -> None:
    rows = valued(("A", "x", 90.0, 0.0), ("A", "y", None, 0.0), ("B", "z", 11.0, 0.0))
    closed = rows.with_columns(pl.col("menu_id") != "x").with_columns(
        eligible=pl.col("menu_id"), menu_id=rows["menu_id"]
    )
    assert select_lines(MENU_ROWS, closed, 0.0, 9, 0.0) == ["z"]
    assert select_lines(MENU_ROWS, rows.clear(), 0.0, 9, 0.0) == []


def test_the_best_of_each_line_are_kept_for_each_customer() -> None:
    rows = valued(
        ("A", "x", 5.0, 0.0), ("A", "x", 9.0, 8.0), ("A", "x", 7.0, 0.0), ("A", "y", -3.0, 0.0), ("B", "x", 1.0, 0.0),
        ("B", "x", None, 0.0),
    )  # fmt: skip
    assert best_rows_per_line(rows, 1.0, 1)["offer_id"].to_list() == ["x2", "y3", "x4"]
    assert best_rows_per_line(rows, 1.0, 2)["offer_id"].to_list() == ["x0", "x2", "y3", "x4"]
    assert best_rows_per_line(rows.with_columns(eligible=False), 1.0, 2).is_empty()
    assert best_rows_per_line(rows.reverse(), 1.0, 2).equals(best_rows_per_line(rows, 1.0, 2))


cells = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from("uvwxyz"), st.integers(-5, 30)), min_size=1, max_size=18
)


@cases(30)
@given(cells)
def test_the_chosen_lines_are_worth_nearly_as_much_as_any_others_of_their_number(
    cells: list[tuple[str, str, int]],
) -> None:
    rows = valued(*((who, line, float(gain), 0.0) for who, line, gain in cells))

    def worth(lines: Iterable[str]) -> float:
        both = pl.concat([MENU_ROWS, rows.filter(pl.col("menu_id").is_in(list(lines)))])
        return float(both.group_by("customer_id").agg(pl.col("gain_cents").max().clip(0))["gain_cents"].sum())

    best = max(worth(some) for some in combinations("uvwxyz", 2))
    found = select_lines(MENU_ROWS, rows, 0.0, 2, 0.0)
    assert len(found) <= 2
    assert worth(found) - worth(()) >= (1 - 1 / np.e) * (best - worth(())) - 1e-9
