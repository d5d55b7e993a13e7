"""Strategic rules change who gets what and no figure: excluded offers are given to nobody, pinned ones first."""

from itertools import product

import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core import allocation
from promolift.core.allocation.candidate_table import InMemoryCandidates
from promolift.core.allocation.settings import StrategicRule
from promolift.core.allocation.solver import ShopLimits
from promolift.core.allocation.strategic_rules import apply_strategic_rules, share_floors, with_decision_gains

LINES = ("a", "b", "c")


@st.composite
def shops(draw: st.DrawFn) -> pl.DataFrame:
    """Candidates of a few customers, some of them members, on three lines; some lose."""
    rows = []
    for n in range(draw(st.integers(2, 4))):
        member = draw(st.booleans())
        for line in LINES:
            gain, cost = draw(st.integers(-50, 200)), draw(st.integers(1, 100))
            rows.append((f"c{n}", f"off_{line}", line, float(gain), float(cost), ["m"] if member else [], True, None))
    names = ["customer_id", "offer_id", "menu_id", "gain_cents", "cost_cents", "segments", "eligible", "why_not"]
    types = {"segments": pl.List(pl.String), "why_not": pl.String}
    return pl.DataFrame(rows, names, orient="row", schema_overrides=types)


def planned(rows: pl.DataFrame, rules: list[StrategicRule], budget: float) -> pl.DataFrame:
    """The plan under rules, as the plan step makes it; its own gains."""
    ruled = apply_strategic_rules(rows, rules).filter("eligible")
    chosen_by = ruled.with_columns(own=pl.col("gain_cents"), gain_cents=pl.col("gain_cents") + pl.col("boost_cents"))
    return allocation.plan(chosen_by, budget, share_floors(rules)).chosen.with_columns(
        pl.col("own").alias("gain_cents")
    )


@given(shops(), st.integers(50, 400))
def test_who_can_get_a_pinned_offer_gets_it_and_first(rows: pl.DataFrame, budget: int) -> None:
    rule = StrategicRule(name="p", rule="pin", menu=("a",), segments=("m",))
    chosen = planned(rows, [rule], budget)
    members = rows.filter(pl.col("segments").list.len() > 0)["customer_id"].unique().to_list()
    mine = chosen.filter(pl.col("customer_id").is_in(members))
    assert set(mine["menu_id"]) <= {"a"}
    asked = rows.filter(pl.col("menu_id") == "a", pl.col("customer_id").is_in(members))
    if asked["cost_cents"].sum() <= budget:
        assert mine.height == asked.height  # also those that lose
    elif mine.height < asked.height:  # the budget is short: nobody else is given what a pinned offer could have had
        left = budget - mine["cost_cents"].sum()
        others = chosen.filter(~pl.col("customer_id").is_in(members))
        cheapest = asked.join(mine, on="customer_id", how="anti")["cost_cents"].min()
        assert others.is_empty() or others["cost_cents"].max() <= left or cheapest > left  # type: ignore[operator]


@given(shops(), st.integers(50, 400))
def test_an_excluded_line_is_given_to_none_of_them_and_the_rest_is_the_best_without(
    rows: pl.DataFrame, budget: int
) -> None:
    rule = StrategicRule(name="x", rule="exclude", menu=("a", "b"), segments=("m",))
    chosen = planned(rows, [rule], budget)
    barred = (pl.col("segments").list.len() > 0) & pl.col("menu_id").is_in(["a", "b"])
    assert chosen.filter(barred).is_empty()
    people = [
        [None, *mine.iter_rows(named=True)]
        for (_,), mine in rows.filter(~barred).partition_by("customer_id", as_dict=True).items()
    ]
    best = max(
        sum(each["gain_cents"] for each in taken if each)
        for taken in product(*people)
        if sum(each["cost_cents"] for each in taken if each) <= budget
    )
    assert chosen["gain_cents"].sum() == pytest.approx(best)


@given(shops(), st.integers(50, 400), st.integers(1, 300))
def test_a_boost_never_gives_less_of_what_it_prefers(rows: pl.DataFrame, budget: int, cents: int) -> None:
    rule = StrategicRule(name="b", rule="boost", menu=("a",), boost_cents=cents)
    figures = rows.select("customer_id", "offer_id", "gain_cents", "cost_cents")
    assert apply_strategic_rules(rows, [rule]).select(figures.columns).equals(figures)

    def worth(chosen: pl.DataFrame) -> float:
        return float(chosen.filter(pl.col("menu_id") == "a").height)

    with_it, without = planned(rows, [rule], budget), allocation.plan(rows, budget).chosen
    assert worth(with_it) >= worth(without)
    assert with_it["gain_cents"].sum() <= without["gain_cents"].sum() + 1e-6


def test_a_least_share_is_a_floor_of_the_lines_and_segments_it_names() -> None:
    rule = StrategicRule(name="s", rule="at_least", menu=("a",), segments=("m",), share=0.25)
    (limit,) = share_floors([rule])
    assert (limit.measure, limit.at_least, limit.where) == (
        "count_share",
        0.25,
        {"menu_id": ("a",), "segments": ("m",)},
    )


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"rule": "boost", "menu": ["a"]}, ("boost_cents",)),
        ({"rule": "pin", "menu": ["a"], "share": 0.5}, ("share", "at_least")),
        ({"rule": "exclude"}, ("menu", "segments")),
        ({"rule": "force", "menu": ["a"]}, ("rule", "'force'", "'pin'", "'boost'", "'exclude'", "'at_least'")),
    ],
)
def test_a_rule_that_says_nothing_is_refused(values: dict[str, object], facts: tuple[str, ...]) -> None:
    with raises_code("setting_invalid", "strategic", *facts):
        StrategicRule.parse({"name": "r", **values}, "strategic")


def test_a_pinned_offer_is_not_left_out_for_one_that_just_fits_without_it() -> None:
    rows = [("c0", "a", 2.0, 47.0, []), ("c1", "a", 0.0, 51.0, ["m"]), ("c2", "a", 0.0, 1.0, ["m"])]
    frame = pl.DataFrame(
        [(who, f"off_{line}", line, gain, cost, of, True, None) for who, line, gain, cost, of in rows],
        ["customer_id", "offer_id", "menu_id", "gain_cents", "cost_cents", "segments", "eligible", "why_not"],
        orient="row",
        schema_overrides={"segments": pl.List(pl.String), "why_not": pl.String},
    )
    chosen = planned(frame, [StrategicRule(name="p", rule="pin", menu=("a",), segments=("m",))], 98)
    assert sorted(chosen["customer_id"]) == ["c1", "c2"]


def many(customers: int = 300) -> pl.DataFrame:
    """Customers who gain less and less from each cent; the first third are members, for whom line a loses a little."""
    rows = [
        (f"c{n:03d}", f"off_{line}", line, gain, cost, ["m"] if n < customers // 3 else [], True, None)
        for n in range(customers)
        for line, gain, cost in (("a", -1.0 if n < customers // 3 else 5.0, 10.0), ("b", 60.0 - n / 10, 20.0))
    ]
    names = ["customer_id", "offer_id", "menu_id", "gain_cents", "cost_cents", "segments", "eligible", "why_not"]
    types = {"segments": pl.List(pl.String), "why_not": pl.String}
    return pl.DataFrame(rows, names, orient="row", schema_overrides=types)


@pytest.mark.parametrize(
    "rule",
    [
        StrategicRule(name="p", rule="pin", menu=("a",), segments=("m",)),
        StrategicRule(name="b", rule="boost", menu=("a",), boost_cents=80.0),
        StrategicRule(name="x", rule="exclude", menu=("b",), segments=("m",)),
    ],
)
def test_the_curve_is_of_the_plans_under_the_rules_and_has_no_gain_that_they_made_up(rule: StrategicRule) -> None:
    ruled = with_decision_gains(
        apply_strategic_rules(many(), [rule]).filter("eligible").with_columns(caution_cents=0.0)
    )
    line = ShopLimits(1.0, ()).curve(InMemoryCandidates.of(ruled), 2000.0, 0)
    for budget, gain, price in line.select("budget_cents", "gain_cents", "price").iter_rows():
        chosen = planned(many(), [rule], budget)
        assert gain == pytest.approx(chosen["gain_cents"].sum(), abs=1.0)
        assert -0.2 <= price <= 3.1  # of own gains: no offer earns more than 60 for its 20
    if rule.rule != "exclude":
        assert line["choice_price"].max() > 3.1  # what decisions are paced by has what the rule adds


def test_the_price_of_a_least_share_is_what_a_percentage_point_more_costs() -> None:
    def best(share: float) -> allocation.AllocatedOffers:
        rule = StrategicRule(name="s", rule="at_least", menu=("a",), share=share)
        return allocation.plan(many(), 3000.0, share_floors([rule]))

    ten_points = best(0.45).gain_cents - best(0.55).gain_cents
    assert best(0.5).allocation.multipliers["s"] / 10 == pytest.approx(ten_points, rel=0.05)
