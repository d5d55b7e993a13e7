"""The model finds the truth of a made-up world, is honest about new campaigns, and refuses what it cannot know."""

from functools import cache

import duckdb
import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.effects.offer_value import coupon_redemption as room
from promolift.core.effects.offer_value.campaign_exposure import (
    CampaignHistory,
    exposure_features,
    offer_features,
    target_covers,
)
from promolift.core.effects.offer_value.coupon_redemption import RedemptionModel, fit_redemption, redemption_outcomes
from promolift.foundation.errors import SupportError
from promolift.foundation.hashing import hash_units
from promolift.foundation.tables.schemas import COUPONS, EVENTS, EXPOSURE_FEATURES, EXPOSURES, PRODUCTS, REDEMPTIONS
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

KEY = ["campaign_id", "customer_id"]
EFFECT = {"mail": 0.8, "app": -0.8}  # log odds of the kind
SPREAD = 0.4  # of single campaigns around their kind


def normal(seed: str, keys: list[str]) -> np.ndarray:
    """Standard normal numbers fixed by seed and key (Box and Muller 1958)."""
    u, v = hash_units(f"{seed}u", keys), hash_units(f"{seed}v", keys)
    return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)


@cache
def world(campaigns: int = 12, people: int = 400) -> pl.DataFrame:
    """Exposures with `truth`, the probability given the campaign, and `redeemed`; nothing but coupon_lines matters.

    A campaign starts every 10 weeks and runs 4; kinds take turns.
    """
    parts = []
    for number in range(campaigns):
        name, kind = f"c{number:02}", list(EFFECT)[number % 2]
        keys = [f"{name} u{person}" for person in range(people)]
        rate = np.exp(normal("habit", [f"u{person}" for person in range(people)]) - 1.0)
        eta = -2 + np.log(rate + 0.05) + EFFECT[kind] + SPREAD * normal("campaign", [name])[0]
        truth = 1 / (1 + np.exp(-eta))
        start = (20 + 10 * number) * WEEK_MS
        parts.append(
            pl.DataFrame({
                "campaign_id": name, "customer_id": [f"u{person}" for person in range(people)], "kind": kind,
                "start_ms": start, "end_ms": start + 4 * WEEK_MS, "history_weeks": 20.0 + 10 * number,
                "faded_weeks": 12.0, "window_weeks": 12.0,
                "orders_recent": 1 + (20 * hash_units("orders", keys)).astype(int),
                "recency_days": 30 * hash_units("recency", keys), "coupon_lines": 12.0 * rate, "told_us": None,
                "earlier_campaigns": number, "earlier_redeemed": 0, "earlier_expected": 0.0, "earlier_coupons": 0,
                "earlier_coupons_expected": 0.0, "covered_recent": (5 * hash_units("fit", keys)).astype(int),
                "covered_orders": 3, "covered_couponed": None, "covered_types": 5, "types_bought": 2,
                "truth": truth, "redeemed": hash_units("redeemed", keys) < truth,
            })
        )  # fmt: skip
    return pl.concat([EXPOSURE_FEATURES.conform(part) for part in parts])


def answers(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(*KEY, "redeemed")


@cache
def model() -> RedemptionModel:
    return fit_redemption(world(), answers(world()))


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    better = score[truth][:, None] - score[~truth][None, :]
    return float((better > 0).mean() + (better == 0).mean() / 2)


def test_the_prediction_ranks_almost_as_well_as_the_truth() -> None:
    frame = world()
    y, prob = frame["redeemed"].to_numpy(), model().predict(frame)
    within_kind = frame["kind"].to_numpy() == "mail"
    assert auc(y[within_kind], prob[within_kind]) > auc(y[within_kind], frame["truth"].to_numpy()[within_kind]) - 0.03
    assert auc(y, prob) > 0.72


def test_a_new_campaign_is_promised_what_campaigns_of_its_kind_bring_on_average() -> None:
    frame = world()
    mean = model().predict(frame).mean()
    assert mean == pytest.approx(frame["redeemed"].mean(), rel=0.05)
    by_kind = frame.with_columns(prob=model().predict(frame)).group_by("kind").agg(pl.col("redeemed", "prob").mean())
    for row in by_kind.iter_rows(named=True):
        assert row["prob"] == pytest.approx(row["redeemed"], rel=0.12)


def test_kinds_of_campaigns_are_found() -> None:
    got = dict(zip(model().kinds, model().coef_P[-2:], strict=True))
    assert got["mail"] - got["app"] == pytest.approx(1.6, abs=0.8)  # six campaigns each: error about 0.25


def test_what_does_not_matter_gets_a_slope_near_zero_and_what_matters_does_not() -> None:
    found = dict(zip(model().terms, model().coef_P, strict=False))
    for name in ("orders", "recency", "fits_recently"):
        assert abs(found[name]) < 0.15
    assert found["habit"] > 0.5
    assert "told_us" not in found  # never known in these data
    assert "answers" not in found  # the same for everybody in these data


def test_a_newcomer_is_shrunk_to_the_population_and_a_known_non_user_is_not() -> None:
    assert model().rates["habit"] == pytest.approx(world()["coupon_lines"].sum() / world()["faded_weeks"].sum())
    rows = world().head(3).with_columns(
        coupon_lines=pl.Series([0.0, 0.0, 12 * model().rates["habit"]]), faded_weeks=pl.Series([0.0, 12.0, 12.0]),
        orders_recent=pl.lit(5, pl.Int64), recency_days=10.0, covered_recent=pl.lit(1, pl.Int64),
    )  # fmt: skip
    newcomer, abstainer, typical = model().predict(rows)
    assert newcomer == pytest.approx(typical)
    assert abstainer < newcomer / 2


def test_an_unknown_or_missing_kind_lies_between_the_known_ones() -> None:
    frame = world().filter(pl.col("campaign_id") == "c00")
    mean = {
        kind: model().predict(frame.with_columns(kind=pl.lit(kind, pl.String))).mean()
        for kind in ("mail", "app", "post", None)
    }
    assert mean["app"] < mean["post"] < mean["mail"]
    assert mean["post"] == mean[None]


def test_what_a_kind_may_be_is_doubt_for_unknown_kinds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    known = world().head(50)
    unknown = known.with_columns(kind=pl.lit("post"))
    before = [model().predict(each) for each in (known, unknown)]
    monkeypatch.setattr(room, "KIND_SD", 1.4)
    after = [model().predict(each) for each in (known, unknown)]
    assert np.array_equal(after[0], before[0])
    assert (np.abs(after[1] - 0.5) < np.abs(before[1] - 0.5)).all()


def test_a_missing_value_counts_as_average() -> None:
    row = world().head(1)
    typical = np.exp(model().mean_T[model().terms.index("fits_recently")]) - 1
    assert model().predict(row.with_columns(covered_recent=pl.lit(None, pl.Int64))) == pytest.approx(
        model().predict(row.with_columns(covered_recent=pl.lit(float(typical))))
    )


def test_row_order_changes_nothing_and_predictions_keep_their_rows() -> None:
    shuffled = world().sample(fraction=1.0, shuffle=True, seed=3)
    again = fit_redemption(shuffled, answers(world().reverse()))
    assert np.array_equal(again.coef_P, model().coef_P)
    assert np.array_equal(model().predict(shuffled), shuffled.join(
        world().select(*KEY).with_columns(p=model().predict(world())), on=KEY, maintain_order="left"
    )["p"].to_numpy())  # fmt: skip


def test_too_few_redeemers_or_none_is_an_error_that_says_how_many_are_missing() -> None:
    frame = world()
    few = frame.filter(pl.col("redeemed")).head(29)
    enough = pl.concat([few, frame.filter(~pl.col("redeemed")).head(500)])
    with raises_code("too_few_outcomes", "29", "500", "30", kind=SupportError):
        fit_redemption(enough, answers(enough))
    just = pl.concat([frame.filter(pl.col("redeemed")).head(30), frame.filter(~pl.col("redeemed")).head(30)])
    assert fit_redemption(just, answers(just)).rows == 60
    with raises_code("too_few_outcomes", "0 redeemed", "0 did not"):
        fit_redemption(frame, answers(frame).with_columns(redeemed=pl.lit(None, pl.Boolean)))
    everybody = frame.filter(pl.col("redeemed"))
    with raises_code("too_few_outcomes", f"{everybody.height} redeemed", "0 did not"):
        fit_redemption(everybody, answers(everybody))
    young = frame.with_columns(history_weeks=pl.lit(3.9))
    with raises_code("too_few_outcomes", "0 redeemed", "0 did not", "4800"):
        fit_redemption(young, answers(young))


def test_doubled_or_incomplete_rows_are_refused() -> None:
    with raises_code("rows_duplicate", *KEY):
        fit_redemption(pl.concat([world(), world().head(1)]), answers(world()))
    with raises_code("rows_duplicate", "redeemed"):
        fit_redemption(world(), pl.concat([answers(world()), answers(world()).head(1)]))
    with raises_code("column_missing", "['coupon_lines', 'kind']"):
        model().predict(world().drop("kind", "coupon_lines"))


def test_a_world_without_kinds_coupons_or_variation_still_has_its_rate() -> None:
    empty = world().with_columns(
        kind=pl.lit(None, pl.String), coupon_lines=0.0, orders_recent=pl.lit(1, pl.Int64), recency_days=2.0,
        covered_recent=pl.lit(None, pl.Int64), covered_orders=pl.lit(None, pl.Int64),
        covered_types=pl.lit(None, pl.Int64), types_bought=pl.lit(None, pl.Int64),
    ).with_columns(history_weeks=20.0)  # fmt: skip
    flat = fit_redemption(empty, answers(empty))
    assert flat.terms == flat.kinds == ()
    assert flat.predict(empty.head(5)) == pytest.approx([empty["redeemed"].mean()] * 5, rel=0.05)
    assert flat.predict(empty.head(0)).shape == (0,)


def test_a_large_shop_is_fitted_on_a_sample_of_whole_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_ROWS", 2400)
    monkeypatch.setattr(room, "MAX_CAMPAIGNS", 5)
    sampled = fit_redemption(world(), answers(world()))
    assert 1800 < sampled.rows < 3000
    assert sampled.rows % 12 == 0  # every customer was sent all 12 campaigns
    assert sampled.predict(world()).mean() == pytest.approx(world()["redeemed"].mean(), rel=0.15)


def test_an_outcome_is_known_only_when_the_campaign_or_its_days_are_over() -> None:
    connection = duckdb.connect()

    def table(rows: list[dict[str, object]], like: object) -> duckdb.DuckDBPyRelation:
        return connection.from_arrow(like.conform(pl.DataFrame(rows)).to_arrow())  # type: ignore[attr-defined]

    def sent(campaign: str, who: str, first: int, last: int) -> dict[str, object]:
        return {"campaign_id": campaign, "customer_id": who, "start_ms": first * DAY_MS, "end_ms": last * DAY_MS - 1}

    exposures = [
        sent("short", "a", 0, 10),
        sent("short", "b", 0, 10),
        sent("long", "a", 0, 90),
        sent("open", "a", 50, 70),
    ]
    uses = [
        {"campaign_id": "short", "customer_id": "a", "ts_ms": 0},
        {"campaign_id": "long", "customer_id": "a", "ts_ms": 56 * DAY_MS},
        {"campaign_id": "open", "customer_id": "a", "ts_ms": 51 * DAY_MS},
    ]

    def at(day: int) -> dict[tuple[str, str], bool | None]:
        frame = redemption_outcomes(table(exposures, EXPOSURES), table(uses, REDEMPTIONS), day * DAY_MS)
        return {(row["campaign_id"], row["customer_id"]): row["redeemed"] for row in frame.iter_rows(named=True)}

    expected = {("short", "a"): True, ("short", "b"): False, ("long", "a"): False, ("open", "a"): None}
    assert at(60) == expected  # long: 56 days are over and day 56 is one too late; open: not over, though redeemed
    assert at(70) == {**expected, ("open", "a"): True}
    assert at(9)["short", "a"] is None


def test_from_logs_to_offers_coupon_lovers_redeem_and_most_so_what_they_buy(monkeypatch: pytest.MonkeyPatch) -> None:
    c = duckdb.connect()
    people = [f"u{person:03}" for person in range(120)]
    lovers, drinkers = people[::2], people[::3]
    events, exposures, uses = [], [], []
    for who in people:
        for week in range(30):
            item = "cola" if who in drinkers else "milk"
            events.append({
                "customer_id": who, "ts_ms": week * WEEK_MS, "kind": "purchase", "product_id": item,
                "order_id": f"{who}{week}", "revenue_cents": 100, "list_cents": 100, "shelf_cents": 0,
                "coupon_cents": 10 if who in lovers and week % 4 == 0 else 0,
            })  # fmt: skip
        for number, (week, product) in enumerate([(8, "cola"), (14, "milk"), (20, "cola"), (24, "milk")]):
            start = week * WEEK_MS
            exposures.append(
                {"campaign_id": f"c{number}", "customer_id": who, "start_ms": start, "end_ms": start + WEEK_MS}
            )
            buys = (product == "cola") == (who in drinkers)
            if hash_units("use", [who + str(number)])[0] < (0.7 if who in lovers and buys else 0.1):
                uses.append({"campaign_id": f"c{number}", "customer_id": who, "ts_ms": start + DAY_MS})
    coupons = [{"campaign_id": f"c{n}", "coupon_id": f"k{n}", "product_id": ["cola", "milk"][n % 2]} for n in range(4)]
    products = [{"product_id": "cola", "category": "drinks"}, {"product_id": "milk", "category": "dairy"}]
    tables = [(EVENTS, events), (EXPOSURES, exposures), (REDEMPTIONS, uses), (PRODUCTS, products), (COUPONS, coupons)]
    history = CampaignHistory(*(c.from_arrow(table.conform(pl.DataFrame(rows)).to_arrow()) for table, rows in tables))
    asof = 28 * WEEK_MS
    monkeypatch.setattr(room, "SLOPE_SD", 1.0)
    fitted = fit_redemption(
        exposure_features(history),
        redemption_outcomes(history.exposures, history.redemptions, asof),
    )
    offers = offer_features(history, asof, target_covers(history.products, ["drinks", "dairy"]))  # type: ignore[arg-type]
    prob = offers.select(*KEY, prob=pl.Series(fitted.predict(offers))).sort(KEY)

    def mean(target: str, who: list[str]) -> float:
        return float(prob.filter((pl.col("campaign_id") == target) & pl.col("customer_id").is_in(who))["prob"].mean())  # type: ignore[arg-type]

    love_and_drink = [who for who in lovers if who in drinkers]
    assert mean("drinks", love_and_drink) > 0.5
    assert mean("dairy", love_and_drink) < mean("drinks", love_and_drink) - 0.2
    assert mean("drinks", [who for who in drinkers if who not in lovers]) < 0.3
