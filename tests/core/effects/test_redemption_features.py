"""What is known before a campaign, on tables small enough to check by eye, and never anything later."""

from collections.abc import Sequence

import duckdb
import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from promolift.core.effects.offer_value import campaign_exposure
from promolift.core.effects.offer_value.campaign_exposure import (
    CampaignHistory,
    campaign_totals,
    exposure_features,
    offer_features,
    target_covers,
)
from promolift.foundation.tables.contract import Table
from promolift.foundation.tables.schemas import (
    COUPONS,
    CUSTOMERS,
    EVENTS,
    EXPOSURE_FEATURES,
    EXPOSURES,
    PRODUCTS,
    REDEMPTIONS,
)
from promolift.foundation.time.clock import DAY_MS

Rows = list[dict[str, object]]
START = 100  # the day the campaign "now" begins; the first event is on day 0
WEEKS = START / 7


def line(
    who: str, day: float, product: str | None = "cola", order: str | None = None, coupon: int = 0
) -> dict[str, object]:
    return {
        "customer_id": who, "ts_ms": round(day * DAY_MS), "kind": "purchase", "product_id": product, "order_id": order,
        "revenue_cents": 100, "list_cents": 100, "shelf_cents": 0, "coupon_cents": coupon,
    }  # fmt: skip


def sent(campaign: str, who: str, day: float, kind: str | None = "A", days: int = 30) -> dict[str, object]:
    start = round(day * DAY_MS)
    return {
        "campaign_id": campaign,
        "customer_id": who,
        "kind": kind,
        "start_ms": start,
        "end_ms": start + days * DAY_MS,
    }


def used(campaign: str, who: str, day: float, coupon: str = "c") -> dict[str, object]:
    return {"campaign_id": campaign, "customer_id": who, "coupon_id": coupon, "ts_ms": round(day * DAY_MS)}


def coupon(campaign: str, name: str, *products: str) -> Rows:
    return [{"campaign_id": campaign, "coupon_id": name, "product_id": product} for product in products]


def relation(connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows | None) -> duckdb.DuckDBPyRelation:
    frame = table.conform(pl.DataFrame(rows)) if rows else table.empty()
    return connection.from_arrow(frame.to_arrow())


CATALOGUE: Rows = [
    {"product_id": "cola", "category": "drinks", "type": "soda"},
    {"product_id": "lemonade", "category": "drinks", "type": "soda"},
    {"product_id": "juice", "category": "drinks", "type": "juice"},
    {"product_id": "milk", "category": "dairy", "type": "milk"},
    {"product_id": "salt", "category": "spices"},
    {"product_id": "bag"},
]


def logs(
    events: Rows,
    exposures: Rows,
    redemptions: Rows | None = None,
    coupons: Rows | None = None,
    products: Rows | None = CATALOGUE,
    customers: Rows | None = None,
) -> CampaignHistory:
    """Logs of a shop whose first event is on day 0; None for coupons, products or customers: it has no such table."""
    c = duckdb.connect()
    return CampaignHistory(
        relation(c, EVENTS, events),
        relation(c, EXPOSURES, exposures),
        relation(c, REDEMPTIONS, redemptions),
        None if products is None else relation(c, PRODUCTS, products),
        None if coupons is None else relation(c, COUPONS, coupons),
        None if customers is None else relation(c, CUSTOMERS, customers),
        since_ms=0,
    )


def now(history: CampaignHistory, who: str = "a", campaign: str = "now", **given: float) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setattr(campaign_exposure, name.upper(), value)
        frame = exposure_features(history)
    EXPOSURE_FEATURES.check(frame)
    row = frame.filter((pl.col("campaign_id") == campaign) & (pl.col("customer_id") == who))
    return row.to_dicts()[0]


def test_habits_count_orders_before_the_start_only() -> None:
    events = [line("a", 10, order="1"), line("a", 10, order="1"), line("a", 90, order="2"), line("a", 100, order="3")]
    row = now(logs(events, [sent("now", "a", START)]))
    assert row["history_weeks"] == pytest.approx(WEEKS)
    assert row["window_weeks"] == 12
    assert row["orders_recent"] == 1  # day 90; day 10 is 90 days ago, day 100 is too late
    assert row["recency_days"] == 10


def test_an_order_that_runs_over_the_start_keeps_its_early_lines_alone() -> None:
    events = [line("a", 99.9, order="1", coupon=5), line("a", 100.1, order="1", coupon=5)]
    row = now(logs(events, [sent("now", "a", START)]))
    assert row["coupon_lines"] == pytest.approx(0.5 ** (0.1 / 60))
    assert row["recency_days"] == pytest.approx(0.1)


def test_coupon_lines_fade_by_half_per_half_life_and_count_five_an_order_at_most() -> None:
    events = [line("a", 40, order="1", coupon=5)] * 7 + [line("a", 70, order="2", coupon=5), line("a", 80, order="3")]
    row = now(logs(events, [sent("now", "a", START)]), half_life_days=30)
    assert row["coupon_lines"] == pytest.approx(5 * 0.25 + 0.5)


def test_faded_weeks_is_what_one_coupon_line_a_week_would_have_added_up_to() -> None:
    daily = [line("a", day + 0.5, order=str(day), coupon=5) for day in range(START)]
    row = now(logs(daily, [sent("now", "a", START)]))
    assert row["coupon_lines"] == pytest.approx(7 * row["faded_weeks"], rel=1e-3)  # type: ignore[operator]


def test_a_line_without_an_order_id_is_an_order_of_its_own_and_other_kinds_do_not_count() -> None:
    events = [line("a", 90, order=None), line("a", 91, order=None), {**line("a", 99, order="9"), "kind": "view"}]
    row = now(logs(events, [sent("now", "a", START)]))
    assert (row["orders_recent"], row["recency_days"]) == (2, 9)


def test_a_customer_who_never_bought_has_zero_orders_and_no_recency() -> None:
    row = now(logs([line("b", 0)], [sent("now", "a", START)], coupons=coupon("now", "c", "cola")))
    assert (row["orders_recent"], row["coupon_lines"], row["recency_days"]) == (0, 0, None)
    assert (row["covered_recent"], row["covered_orders"], row["types_bought"]) == (0, 0, 0)


def test_earlier_answers_are_measured_against_all_targets_of_the_same_campaigns() -> None:
    exposures = [sent("now", "a", START)]
    exposures += [sent("may", who, 10) for who in "abcd"] + [sent("june", who, 90) for who in "ab"]
    redemptions = [used("may", "a", 12), used("may", "a", 13, "d"), used("may", "b", 20), used("june", "b", 95)]
    row = now(logs([line("a", 0)], exposures, redemptions))
    assert row["earlier_campaigns"] == 2
    assert (row["earlier_redeemed"], row["earlier_coupons"]) == (1, 2)
    assert row["earlier_expected"] == pytest.approx(2 / 4 + 1 / 2)
    assert row["earlier_coupons_expected"] == pytest.approx(3 / 4 + 1 / 2)


def test_no_later_outcome_of_an_earlier_campaign_leaks_neither_own_nor_others() -> None:
    exposures = [
        sent("now", "a", START),
        *(sent("may", who, 90) for who in "ab"),
        sent("later", "a", 101),
        sent("same day", "a", START),
    ]
    late = [used("may", "a", 100), used("may", "b", 100.5), used("now", "a", 101), used("later", "a", 102)]
    row = now(logs([line("a", 0)], exposures, late))
    assert (row["earlier_campaigns"], row["earlier_redeemed"], row["earlier_coupons"]) == (1, 0, 0)
    assert (row["earlier_expected"], row["earlier_coupons_expected"]) == (0, 0)


def test_campaigns_sent_to_each_customer_on_his_own_day_compare_with_those_sent_before() -> None:
    exposures = [
        sent("birthday", "a", 10),
        sent("birthday", "b", 20),
        sent("birthday", "c", START),
        sent("now", "a", START),
    ]
    history = logs([line("a", 0)], exposures, [used("birthday", "b", 22)])
    assert now(history)["earlier_expected"] == pytest.approx(1 / 2)
    assert now(history, "b", "birthday")["earlier_campaigns"] == 0  # it is not earlier than itself


def test_a_redemption_without_an_exposure_counts_nowhere() -> None:
    row = now(
        logs(
            [line("a", 0)], [sent("now", "a", START), sent("may", "a", 10)], [used("may", "x", 12), used("?", "a", 12)]
        )
    )
    assert (row["earlier_coupons"], row["earlier_expected"], row["earlier_coupons_expected"]) == (0, 0, 0)


def test_what_a_campaign_covers_is_counted_per_coupon_order_and_type() -> None:
    coupons = (
        coupon("now", "x", "cola", "juice") + coupon("now", "y", "cola", "salt") + coupon("now", "z", "juice", "milk")
    )
    events = [
        line("a", 5, "cola", "1", coupon=5), line("a", 95, "cola", "2"), line("a", 95, "juice", "2"),
        line("a", 96, "lemonade", "3", coupon=5), line("a", 6, "salt", "4"), line("a", START, "milk", "5", coupon=5),
    ]  # fmt: skip
    row = now(logs(events, [sent("now", "a", START)], coupons=coupons))
    assert row["covered_recent"] == 3  # order 2, once for each coupon
    assert row["covered_orders"] == 3  # orders 1, 2 and 4; lemonade is not covered, milk too late
    assert row["covered_couponed"] == 2  # cola was once bought with a coupon: x and y cover it, z does not
    assert row["covered_types"] == 4  # soda, juice, milk, and salt by its category
    assert row["types_bought"] == 3  # all but milk


def test_a_coupon_over_many_categories_says_nothing_of_fit() -> None:
    everything = coupon("now", "all", "cola", "milk", "salt")
    events = [line("a", 95, "cola", "1"), line("a", 95, "milk", "2")]
    assert now(logs(events, [sent("now", "a", START)], coupons=everything), broad_categories=3)["covered_orders"] == 2
    broad = now(logs(events, [sent("now", "a", START)], coupons=everything), broad_categories=2)
    assert {broad[c] for c in ("covered_recent", "covered_orders", "covered_couponed", "covered_types")} == {None}
    both = logs(events, [sent("now", "a", START)], coupons=everything + coupon("now", "dairy", "milk"))
    assert now(both, broad_categories=2)["covered_orders"] == 1


def test_without_coupons_products_or_customers_the_columns_that_need_them_are_null_not_zero() -> None:
    events, exposures = [line("a", 95, "cola", "1")], [sent("now", "a", START)]
    bare = now(logs(events, exposures, coupons=None, products=None))
    assert {bare[c] for c in ("covered_recent", "covered_orders", "covered_couponed", "covered_types", "told_us")} == {
        None
    }
    no_catalogue = now(logs(events, exposures, coupons=coupon("now", "x", "cola"), products=None))
    assert (no_catalogue["covered_orders"], no_catalogue["covered_types"], no_catalogue["types_bought"]) == (
        1,
        None,
        None,
    )


def test_told_us_is_true_for_customers_with_a_described_row_and_false_for_the_others() -> None:
    exposures = [sent("now", who, START) for who in "abc"]
    customers: Rows = [{"customer_id": "a", "age": "45-54"}, {"customer_id": "b", "language": "en"}]
    history = logs([line("a", 0)], exposures, customers=customers)
    assert [now(history, who)["told_us"] for who in "abc"] == [True, False, False]


def test_a_campaign_before_the_first_event_has_no_history() -> None:
    row = now(logs([line("a", 0)], [sent("now", "a", -5)]))
    assert (row["history_weeks"], row["faded_weeks"], row["window_weeks"]) == (0, 0, 0)


def test_no_events_is_an_error_that_says_so() -> None:
    history = logs([], [sent("now", "a", START)])
    with raises_code("events_missing", "events"):
        exposure_features(CampaignHistory(history.events, history.exposures, history.redemptions))


def test_an_offer_thought_of_gets_the_features_of_the_same_campaign_had_it_taken_place() -> None:
    events = [line("a", 5, "cola", "1", 5), line("a", 95, "juice", "2"), line("b", 98, "milk", "3", 5), line("z", 120)]
    past = [sent("may", "a", 10), sent("may", "b", 10)]
    real = [sent("drinks", who, START) for who in "ab"] + [sent("dairy", who, START) for who in "ab"]
    drinks, dairy = ("cola", "lemonade", "juice"), ("milk",)
    coupons = coupon("drinks", "drinks", *drinks) + coupon("dairy", "dairy", *dairy)
    took_place = logs(events, past + real, [used("may", "b", 20)], coupons)
    thought_of = logs(events, past, [used("may", "b", 20)], None)
    assert thought_of.products is not None
    covers = target_covers(thought_of.products, ["drinks", "dairy"])
    offers = offer_features(thought_of, START * DAY_MS, covers)
    assert offers["kind"].null_count() == offers.height
    offers = offers.with_columns(kind=pl.lit("A"))
    campaigns = exposure_features(took_place).filter(pl.col("campaign_id").is_in(["drinks", "dairy"]))
    assert_frame_equal(offers.drop("end_ms"), campaigns.drop("end_ms"))
    assert offers["end_ms"].null_count() == offers.height


def test_a_target_is_a_category_else_a_type_else_a_product() -> None:
    products = relation(duckdb.connect(), PRODUCTS, [*CATALOGUE, {"product_id": "tea", "type": "leaves"}])
    got = target_covers(products, ["dairy", "drinks", "leaves", "bag", "unheard of", "drinks"]).rows()
    assert got == [
        ("bag", "bag"), ("dairy", "milk"), ("drinks", "cola"), ("drinks", "juice"), ("drinks", "lemonade"),
        ("leaves", "tea"), ("unheard of", "unheard of"),
    ]  # fmt: skip


def test_nobody_to_ask_or_nothing_to_offer_gives_no_rows() -> None:
    history = logs([line("a", 0)], [])
    nothing = pl.DataFrame(schema={"offer_id": pl.String, "product_id": pl.String})
    something = pl.DataFrame({"offer_id": ["x"], "product_id": ["cola"]})
    assert offer_features(history, START * DAY_MS, nothing).height == 0
    assert offer_features(history, 0, something).height == 0
    assert exposure_features(history).height == 0
    alone = offer_features(history, START * DAY_MS, something).to_dicts()[0]
    assert (alone["earlier_campaigns"], alone["covered_orders"], alone["told_us"]) == (0, 1, None)


PRODUCT = st.sampled_from(["cola", "juice", "milk", "salt"])
WHO = st.sampled_from(["a", "b", "c"])
CAMPAIGN = st.sampled_from(["may", "june", "now"])
PAST_COUPONS = coupon("may", "m", "cola") + coupon("june", "j", "juice", "salt") + coupon("now", "n", "cola", "milk")


def lines_between(low: float, high: float) -> st.SearchStrategy[Rows]:
    day = st.floats(low, high, allow_nan=False)
    order = st.sampled_from(["1", "2", "3", None])
    return st.lists(st.builds(line, WHO, day, PRODUCT, order, st.sampled_from([0, 5])), max_size=8)


def uses_between(low: float, high: float) -> st.SearchStrategy[Rows]:
    return st.lists(st.builds(used, CAMPAIGN, WHO, st.floats(low, high, allow_nan=False)), max_size=5)


TARGETS = [
    *(sent("may", w, 20) for w in "abc"),
    *(sent("june", w, 60) for w in "ab"),
    *(sent("now", w, START) for w in "abc"),
]


@cases(10)
@given(lines_between(0, 99), uses_between(20, 99), lines_between(START, 200), uses_between(START, 200))
def test_nothing_at_or_after_the_start_changes_a_feature(before: Rows, answered: Rows, after: Rows, late: Rows) -> None:
    early = exposure_features(logs(before, TARGETS, answered, PAST_COUPONS))
    sent_later = [*TARGETS, *(sent("autumn", w, 150) for w in "abc")]
    full = exposure_features(logs(before + after, sent_later, answered + late, PAST_COUPONS))
    assert_frame_equal(full.filter(pl.col("campaign_id") != "autumn"), early)


def part(history: CampaignHistory, who: Sequence[str]) -> pl.DataFrame:
    chosen = ", ".join(f"'{w}'" for w in who)
    events = history.events.filter(f"customer_id in ({chosen})")
    sent, used = (rows.filter(f"customer_id in ({chosen})") for rows in (history.exposures, history.redemptions))
    starts = history.exposures.pl()["start_ms"]
    shared = campaign_totals(history.exposures, history.redemptions, starts)
    shard = CampaignHistory(events, sent, used, history.products, history.coupons, since_ms=0, campaigns=shared)
    return exposure_features(shard)


@cases(6)
@given(lines_between(0, 130), uses_between(20, 130), st.integers(0, 3), st.randoms(use_true_random=False))
def test_shards_of_customers_and_shuffled_rows_give_the_same_features(events: Rows, uses: Rows, cut: int, rng) -> None:  # type: ignore[no-untyped-def]
    whole = exposure_features(logs(events, TARGETS, uses, PAST_COUPONS))
    shuffled = logs(
        rng.sample(events, len(events)), rng.sample(TARGETS, len(TARGETS)), rng.sample(uses, len(uses)), PAST_COUPONS
    )
    parts = [part(shuffled, who) for who in ("abc"[:cut], "abc"[cut:]) if who]
    assert_frame_equal(pl.concat(parts).sort("campaign_id", "customer_id"), whole, rel_tol=1e-9)
