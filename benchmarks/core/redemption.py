"""The Complete Journey in; how well redemption of later campaigns is predicted, beside four common ways, out.

    python benchmarks/core/redemption.py [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Trained on the campaigns that had ended by
2017-10-16 (1 to 13 and 27), tested on campaigns 17 to 22; every feature is from strictly before a campaign's start; a
row is positive if a coupon is redeemed within 56 days. Standard errors by Poisson bootstrap over households (1,000
times, --quick 100), the same draws for all models, so that differences are paired. The last three campaigns end after
the data do: some of their late redemptions are missing from the truth, for all models alike.
"""

import argparse
import json
import time
from collections.abc import Callable

import duckdb
import lightgbm
import numpy as np
import polars as pl
from scipy.stats import poisson
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from promolift.core.effects.offer_value.campaign_exposure import (
    CampaignHistory,
    exposure_features,
    offer_features,
    target_covers,
)
from promolift.core.effects.offer_value.coupon_redemption import RedemptionModel, fit_redemption, redemption_outcomes
from promolift.extensions.connectors.complete_journey import open_complete_journey
from promolift.foundation.errors import SupportError
from promolift.foundation.hashing import hash_units
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_cleaning import (
    clean_coupons,
    clean_customers,
    clean_exposures,
    clean_products,
    clean_redemptions,
)

KEY = ["campaign_id", "customer_id"]
CUT_MS = 1_508_126_400_000  # 2017-10-16 00:00 in the shop's zone
TEST = [str(number) for number in range(17, 23)]
OURS = "promolift"
DATA = "Complete Journey"
KIND = ["type_a", "type_c"]
RFM = ["orders_84", "orders_all", "spend_84", "spend_all", "recency"]
COUNTS = [
    *RFM, "coupon_orders_84", "coupon_orders_all", "coupon_lines_84", "coupon_lines_all", "coupon_share",
    "coupon_recency", "discount_share", "told_us", "earlier_campaigns", "earlier_redeemed", "earlier_coupons",
    "covered_recent", "covered_orders", "covered_couponed", "covered_types", "types_bought",
]  # fmt: skip
# what one would compute without much thought: totals and last 84 days, as they stand at the campaign's start
PLAIN = """
with lines as (
    select x.campaign_id, x.customer_id, e.*, (x.start_ms - e.ts_ms) / 86400000 as age
    from exposures x join events e on e.customer_id = x.customer_id and e.ts_ms < x.start_ms
)
select campaign_id, customer_id,
    count(distinct order_id) filter (age <= 84) as orders_84, count(distinct order_id) as orders_all,
    coalesce(sum(revenue_cents) filter (age <= 84), 0) / 100 as spend_84, sum(revenue_cents) / 100 as spend_all,
    min(age) as recency,
    count(distinct order_id) filter (age <= 84 and coupon_cents > 0) as coupon_orders_84,
    count(distinct order_id) filter (coupon_cents > 0) as coupon_orders_all,
    count(*) filter (age <= 84 and coupon_cents > 0) as coupon_lines_84,
    count(*) filter (coupon_cents > 0) as coupon_lines_all,
    coupon_orders_all / orders_all as coupon_share,
    coalesce(min(age) filter (coupon_cents > 0), 365) as coupon_recency,
    sum(shelf_cents) / greatest(sum(list_cents), 1) as discount_share
from lines group by campaign_id, customer_id
"""


def clean() -> CampaignHistory:
    """The clean tables, held in memory."""
    connection = duckdb.connect()
    connection.execute("set threads = 2; set TimeZone = 'UTC'")
    raw, rules = open_complete_journey(connection), CleanRules()
    steps = {
        "events": clean_events, "promotions": clean_exposures, "redemptions": clean_redemptions,
        "products": clean_products, "coupons": clean_coupons, "customers": clean_customers,
    }  # fmt: skip
    return CampaignHistory(
        *(
            step(raw[name].rows, Mapping.parse(raw[name].mapping, name), rules).accepted().materialize()
            for name, step in steps.items()
        )
    )


def peers(train: pl.DataFrame, test: pl.DataFrame) -> dict[str, np.ndarray]:
    """Predictions of the peers, each with its library's defaults."""
    y = train["redeemed"].to_numpy()

    def logistic(columns: list[str]) -> np.ndarray:  # logarithms: raw counts would make it much weaker
        x, x_test = (
            frame.select(pl.col([*columns, *KIND]).cast(pl.Float64).log1p()).to_numpy() for frame in (train, test)
        )
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
        return model.predict_proba(x_test)[:, 1]

    def boosted(columns: list[str]) -> np.ndarray:
        x, x_test = (frame.select(pl.col([*columns, *KIND]).cast(pl.Float64)).to_numpy() for frame in (train, test))
        options = {"objective": "binary", "num_threads": 2, "deterministic": True, "seed": 0, "verbose": -1}
        return np.asarray(lightgbm.train(options, lightgbm.Dataset(x, y)).predict(x_test))

    return {
        "past redemption rate and kind": logistic(["past_rate"]),
        "logistic regression on RFM and kind": logistic(RFM),
        "logistic regression on plain counts and kind": logistic(COUNTS),
        "LightGBM on plain counts and kind": boosted(COUNTS),
    }


def plain(exposures: duckdb.DuckDBPyRelation, events: duckdb.DuckDBPyRelation, features: pl.DataFrame) -> pl.DataFrame:
    """What the peers are given: plain totals, the plain past rate, kinds as flags, no missing values."""
    totals = exposures.query("exposures", PLAIN).pl()
    return features.join(totals, on=KEY, how="left").with_columns(
        pl.col("recency", "coupon_recency").fill_null(365),
        pl.col(set(totals.columns) - {*KEY, "recency", "coupon_recency"}).fill_null(0),
        past_rate=pl.col("earlier_redeemed") / pl.max_horizontal("earlier_campaigns", 1),
        type_a=pl.col("kind") == "Type A",
        type_c=pl.col("kind") == "Type C",
    )


def draws(households: pl.Series, times: int) -> np.ndarray:
    """Weights of the rows, times x rows: a household's rows are drawn together, Poisson(1) times."""
    people = households.unique().sort().to_list()
    place = {who: at for at, who in enumerate(people)}
    rows = np.array([place[who] for who in households])
    return np.stack([poisson.ppf(hash_units(f"draw {t}", people), 1)[rows] for t in range(times)])


Figure = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
FIGURES: dict[str, tuple[str, Figure]] = {
    "AUC": ("share", lambda y, p, w: float(roc_auc_score(y, p, sample_weight=w))),
    "log loss": ("nats", lambda y, p, w: float(log_loss(y, p, sample_weight=w))),
    "mean prediction / observed rate": ("ratio", lambda y, p, w: float((w * p).sum() / (w * y).sum())),
}


def say(
    figure: str, value: float, unit: str, n: int, se: float | None = None, peer: tuple[str, float] | None = None
) -> None:
    """One JSON line."""
    name, peer_value = peer or (None, None)
    told = {
        "figure": figure, "value": round(value, 4), "se": None if se is None else round(se, 4), "unit": unit,
        "peer": name, "peer_value": None if peer_value is None else round(peer_value, 4), "n": n, "data": DATA,
    }  # fmt: skip
    print(json.dumps(told), flush=True)


def compare(y: np.ndarray, probs: dict[str, np.ndarray], weights: np.ndarray) -> None:
    """Every figure of every model with its error, and what we have more of than each peer, paired."""
    ones = np.ones(len(y))
    for figure, (unit, rule) in FIGURES.items():
        value = {name: rule(y, p, ones) for name, p in probs.items()}
        drawn = {name: np.array([rule(y, p, w) for w in weights]) for name, p in probs.items()}
        say(f"redemption {figure}", value[OURS], unit, len(y), drawn[OURS].std())
        for name in probs:
            if name == OURS:
                continue
            say(f"redemption {figure} of {name}", value[name], unit, len(y), drawn[name].std())
            more = (drawn[OURS] - drawn[name]).std()
            say(
                f"redemption {figure}, ours minus peer",
                value[OURS] - value[name],
                unit,
                len(y),
                more,
                (name, value[name]),
            )


def ended(features: pl.DataFrame, past: pl.DataFrame, now_ms: int) -> RedemptionModel | None:
    """The model of the campaigns whose answers were known by a moment; None where these are too few."""
    over = pl.min_horizontal(pl.col("end_ms") + 1, pl.col("start_ms") + 56 * DAY_MS) <= now_ms
    try:
        return fit_redemption(features, past.join(features.filter(over).select(KEY), on=KEY))
    except SupportError:
        return None


def main(quick: bool) -> None:
    history = clean()
    start, cpu = time.perf_counter(), time.process_time()
    features = exposure_features(history)
    past = redemption_outcomes(history.exposures, history.redemptions, CUT_MS)
    model = fit_redemption(features, past)
    test = features.filter(pl.col("campaign_id").is_in(TEST))
    prob = model.predict(test)
    say("redemption features, fit and scores, seconds", time.perf_counter() - start, "s", features.height)
    say("redemption features, fit and scores, CPU seconds", time.process_time() - cpu, "s", features.height)
    assert model.rows == 3780

    truth = redemption_outcomes(history.exposures, history.redemptions, CUT_MS + 1000 * DAY_MS)
    given = plain(history.exposures, history.events, features).join(truth, on=KEY)
    tested = test.select(KEY).with_columns(prob=prob).join(given, on=KEY, maintain_order="left")
    trained = given.drop("redeemed").join(past.drop_nulls(), on=KEY).filter(pl.col("history_weeks") > 0)
    y = tested["redeemed"].to_numpy().astype(float)
    assert (len(y), y.sum(), trained.height) == (2050, 275, 3780)
    probs = {OURS: tested["prob"].to_numpy(), **peers(trained, tested)}
    compare(y, probs, draws(tested["customer_id"], 100 if quick else 1000))

    parts = [
        features.filter(pl.col("start_ms") == now).with_columns(prob=pl.Series(found.predict(rows)))
        for now in features.join(past.drop_nulls(), on=KEY)["start_ms"].unique().sort()
        for rows in [features.filter(pl.col("start_ms") == now)]
        if (found := ended(features, past, now)) is not None
    ]
    rolled = pl.concat(parts).join(past.drop_nulls(), on=KEY).filter(pl.col("history_weeks") >= 4)
    seen, promised = rolled["redeemed"].to_numpy().astype(float), rolled["prob"].to_numpy()
    for figure, (unit, rule) in FIGURES.items():
        say(f"rolling origin {figure}, training campaigns", rule(seen, promised, np.ones(len(seen))), unit, len(seen))

    assert history.products is not None
    biggest = history.products.query(
        "p", "select category from p where category is not null group by 1 order by count(*) desc, 1 limit 60"
    )
    start, cpu = time.perf_counter(), time.process_time()
    offers = offer_features(history, CUT_MS, target_covers(history.products, biggest.pl()["category"].to_list()))
    model.predict(offers)
    say(
        "redemption of 60 category coupons by every household, seconds", time.perf_counter() - start, "s", offers.height
    )
    say(
        "redemption of 60 category coupons by every household, CPU seconds",
        time.process_time() - cpu,
        "s",
        offers.height,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 bootstrap draws instead of 1,000")
    main(parser.parse_args().quick)
