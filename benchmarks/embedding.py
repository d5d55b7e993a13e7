"""What the encoder's vector and heads add to redemption, spend and effects, out: with them against without, paired.

    python benchmarks/embedding.py [--quick] [--part redemption spend effect] [--origin 42]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data.

*redemption*: protocol of benchmarks/redemption.py. The encoder is trained on what lies before the train cut
(2017-10-16) with the campaigns that closed before its validation window, and calibrated on those that closed in it. The
shipped model stands beside the head alone, the mean of the two on log odds (0.8 to 0.2), and the shipped model with the
first eight directions of the vector as further terms. Those are fitted on the training campaigns as predicted from
earlier ones (rolling origin), shipped log odds as offset, ridge 100. Standard errors by Poisson bootstrap over
households, the same draws for all.
*spend*: the next 8 weeks after week `origin` (tune on 34 or earlier) from the shipped model, from the encoder's own
head, and from 0.8 of the one and 0.2 of the other.
*effect*: simulated shops whose true effects are known, trials by lot of 20 % off everything for a week; effect of each
customer from plain habits, and from habits and eight directions of the vector: root mean squared error against the
truth. Trials of one shop share its encoder; the standard error is over trials.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from scipy.stats import spearmanr

import encoder as basket
import redemption as coupons
from promolift import profile, run
from promolift.effect.core import fit as fit_effect
from promolift.effect.exposure import History, exposure_features
from promolift.effect.redemption import fit_redemption, redemption_outcomes, rolling_origin
from promolift.profile import encoder_forecast
from promolift.profile.encoder import EncoderSettings
from promolift.profile.encoder_data import Histories, catalogue, histories, popularity, read_purchases
from promolift.profile.encoder_model import LearnedEncoder
from promolift.profile.encoder_train import fit_encoder
from promolift.profile.exposures import AskedExposures, Exposed, expose, offers
from promolift.profile.redeem import calibrate_redemption, redemption_prob
from promolift.simulate import SimulatedShop, SimulationSettings, simulate
from promolift.simulate.truth import means
from promolift.sources.complete_journey import complete_journey_folder
from promolift.sql import DAY_MS, WEEK_MS
from promolift.steps import spend as spend_step
from promolift.store import Store

DIRECTIONS, RIDGE, SHARE = 8, 100.0, 0.2
KEY, OURS = coupons.KEY, coupons.OURS
HEAD, MIX, VECTOR = "the encoder's head alone", "ours mixed with the head (0.8, 0.2)", "ours with the vector as terms"
BROAD = 10  # a coupon on more categories suits everybody


def say(
    figure: str, value: float, unit: str, n: int, se: float | None = None, peer: tuple[str, float] | None = None
) -> None:
    name, peer_value = peer or (None, None)
    line = {"figure": figure, "value": round(value, 4), "se": None if se is None else round(se, 4), "unit": unit}
    line |= {"peer": name, "peer_value": None if peer_value is None else round(peer_value, 4), "n": n}
    print(
        json.dumps(line | {"data": "simulated shops" if figure.startswith("effect") else "Complete Journey"}),
        flush=True,
    )


def exposed(history: History, h: Histories) -> Exposed:
    """The households' histories with campaigns as exposures, narrow coupons as what they cover, and coupon uses."""
    full = pl.concat_str(pl.col("product_category").fill_null(""), pl.lit(" | "), pl.col("product_type"))
    table = pl.read_parquet(complete_journey_folder() / "products.parquet").filter(pl.col("product_type").is_not_null())
    types = table.select(product_id=pl.col("product_id").cast(pl.String), item=full)
    assert history.products is not None
    assert history.coupons is not None
    covered = history.coupons.pl().join(
        history.products.pl().select("product_id", "category"), on="product_id", how="left"
    )
    narrow = covered.filter(pl.col("category").n_unique().over("campaign_id", "coupon_id") <= BROAD)
    covers = narrow.join(types, on="product_id").select("item", offer_id="campaign_id").unique()
    sent, used = history.exposures.pl(), history.redemptions.pl()
    window = pl.col("ts_ms").is_between(pl.col("start_ms"), pl.col("start_ms") + 56 * DAY_MS, closed="left")
    first = sent.join(used, on=KEY).filter(window).group_by(KEY).agg(used_ms=pl.col("ts_ms").min())
    closed = pl.min_horizontal(pl.col("end_ms") + 1, pl.col("start_ms") + 56 * DAY_MS)
    shown = sent.join(first, on=KEY, how="left").select(
        "customer_id", "start_ms", "used_ms", offer_id="campaign_id", closed_ms=closed
    )
    uses = history.events.query(
        "e",
        "select customer_id, ts_ms, count(*) filter (coupon_cents > 0) as lines from e where kind = 'purchase' "
        "group by customer_id, order_id, ts_ms having lines > 0",
    ).pl()
    told = sent.group_by("campaign_id").agg(pl.col("kind").min()).select(offer_id="campaign_id", channel="kind")
    found = expose(h, offers(told, covers, h.catalogue), shown, uses)
    assert isinstance(found, Exposed)
    return found


def vectors(model: LearnedEncoder, h: Histories, customer_P: np.ndarray, day_P: np.ndarray) -> np.ndarray:
    """The embedding of each customer at each moment."""
    shared = popularity(h, float(day_P.max()))
    return np.concatenate([said.state_PD for said in model.forecast(h, shared, customer_P, day_P)]).astype(float)


def directions(state_ND: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """The first directions in which the fitted rows differ, standardised."""
    z_ND = (state_ND - state_ND[fitted].mean(0)) / (state_ND[fitted].std(0) + 1e-6)
    axes = np.linalg.svd(z_ND[fitted], full_matrices=False)[2][:DIRECTIONS]
    return z_ND @ axes.T / z_ND[fitted].std() / 3


def offset_logit(x: np.ndarray, y: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Ridge logistic regression beside fixed log odds: intercept and slopes."""
    x, w = np.c_[np.ones(len(x)), x], np.zeros(x.shape[1] + 1)
    ridge = np.diag([1e-3] + [RIDGE] * (len(w) - 1))
    for _ in range(30):
        p = 1 / (1 + np.exp(-offset - x @ w))
        w += np.linalg.solve((x.T * (p * (1 - p))) @ x + ridge, x.T @ (y - p) - ridge @ w)
    return w


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def redemption(quick: bool) -> None:
    """Test campaigns 17 to 22 from everything known at each campaign's start."""
    history = coupons.clean()
    features = exposure_features(history)
    past = redemption_outcomes(history.exposures, history.redemptions, coupons.CUT_MS)
    shipped, rolled = fit_redemption(features, past), rolling_origin(features, past)
    end, started = basket.end_of(42), time.process_time()
    h = exposed(history, basket.load("type", 42, 1.0, 12)[0])
    model = fit_encoder(h, end, EncoderSettings(epochs=1 if quick else 5))
    say("encoder with exposures, training", time.process_time() - started, "CPU s", len(h.customers))
    shared = popularity(h, end)
    line = calibrate_redemption(model, h, shared, end - model.settings.horizon_days, end)

    place = {who: at for at, who in enumerate(h.customers)}
    named = {name: at for at, name in enumerate(h.exposures.offers.names)}
    rows = features.filter(pl.col("customer_id").is_in(list(place))).sort(KEY)
    who, day = np.array([place[c] for c in rows["customer_id"]]), rows["start_ms"].to_numpy() / DAY_MS
    which, unknown = np.array([named[c] for c in rows["campaign_id"]]), np.full(rows.height, np.nan, np.float32)
    head = redemption_prob(model, line, h, shared, AskedExposures(who, day, which, unknown))
    state_ND = vectors(model, h, who, day)
    truth = redemption_outcomes(history.exposures, history.redemptions, coupons.CUT_MS + 1000 * DAY_MS)
    table = rows.select(*KEY, at=pl.int_range(pl.len())).join(truth, on=KEY, maintain_order="left")
    old = table.drop("redeemed").join(rolled.drop_nulls(), on=KEY).sort("at")
    ours = rows.select(*KEY, prob=pl.Series(shipped.predict(rows)))
    new = table.filter(pl.col("campaign_id").is_in(coupons.TEST)).join(ours, on=KEY).sort("at")
    at = new["at"].to_numpy()
    x = directions(state_ND, old["at"].to_numpy())
    w = offset_logit(x[old["at"].to_numpy()], old["redeemed"].to_numpy().astype(float), logit(old["prob"].to_numpy()))
    base = logit(new["prob"].to_numpy())
    odds = {
        OURS: base,
        HEAD: logit(head[at]),
        MIX: (1 - SHARE) * base + SHARE * logit(head[at]),
        VECTOR: base + w[0] + x[at] @ w[1:],
    }
    y = new["redeemed"].to_numpy().astype(float)
    assert (len(y), y.sum()) == (2050, 275)
    draws = coupons.draws(new["customer_id"], 100 if quick else 1000)
    coupons.compare(y, {name: 1 / (1 + np.exp(-o)) for name, o in odds.items()}, draws)


def snapshots(origin: int) -> pl.DataFrame:
    """Inputs of the spend model at week `origin` and at every second week whose outcome had ended by then."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        job = run.Job(run.demo_config(), store, lambda *told: None)
        run.run(job, ["ingest"])
        cut = coupons.CUT_MS + (origin - basket.CUT_WEEK) * WEEK_MS
        first = store.load_json("span")["first_ms"] + 10 * WEEK_MS
        asofs = [cut, *range(cut - 8 * WEEK_MS, first, -2 * WEEK_MS)]
        told = spend_step.outcomes(job, asofs)
        found = spend_step.features(job, asofs).join(told, on=["customer_id", "asof_ms"], how="left")
        return found.with_columns(pl.col("outcome_cents").fill_null(0))


def spend(quick: bool, origin: int) -> None:
    """Mean absolute error and rank correlation, differences paired by household."""
    table = snapshots(origin)
    cut = table["asof_ms"].max()
    now, past = table.filter(pl.col("asof_ms") == cut), table.filter(pl.col("asof_ms") < cut)
    shipped = profile.fit_spend(past).predict(now).select("customer_id", "typical_cents")
    h, end = basket.load("type", origin, 1.0, 0)[0], basket.end_of(origin)
    model = fit_encoder(h, end, EncoderSettings(epochs=1 if quick else 5))
    everyone, mean = np.arange(len(h.customers)), encoder_forecast.mean_level(h, end)
    said = model.forecast(h, popularity(h, end), everyone, np.full(len(everyone), end))
    head = np.concatenate([s.spend_PK[:, 1] * encoder_forecast.level(h, s, mean) for s in said])
    told = pl.DataFrame({"customer_id": h.customers, "head": head})
    both = (
        now.join(shipped, on="customer_id")
        .join(told, on="customer_id", how="left")
        .with_columns(pl.col("head").fill_null(0))
    )
    actual, ours, own = (both[c].to_numpy() / 100 for c in ("outcome_cents", "typical_cents", "head"))
    figure, n = f"spend of the 8 weeks after week {origin}", both.height
    say(f"{figure}, mean absolute error", float(np.abs(actual - ours).mean()), "$", n)
    say(f"{figure}, Spearman", float(spearmanr(actual, ours).statistic), "", n)
    for name, guess in {"the encoder's head": own, "0.8 ours and 0.2 head": (1 - SHARE) * ours + SHARE * own}.items():
        lead = np.abs(actual - guess) - np.abs(actual - ours)
        peer = (name, float(np.abs(actual - guess).mean()))
        say(f"{figure}, mean absolute error below the peer's by", lead.mean(), "$", n, lead.std() / n**0.5, peer)
        say(f"{figure}, Spearman of {name}", float(spearmanr(actual, guess).statistic), "", n)


def habits(shop: SimulatedShop) -> pl.DataFrame:
    """What anybody would count of each customer: money, orders, share on discount, coupons, days since the last order."""
    bought, end_ms = shop.events.filter(pl.col("kind") == "purchase"), int(shop.events["ts_ms"].max())  # type: ignore[arg-type]
    recent = pl.col("ts_ms") > end_ms - 8 * WEEK_MS
    found = bought.group_by("customer_id").agg(
        spend=pl.col("revenue_cents").sum().log1p(),
        spend_8=pl.col("revenue_cents").filter(recent).sum().log1p(),
        orders=pl.col("order_id").n_unique().log1p(),
        deals=(pl.col("shelf_cents") > 0).mean(),
        coupons=(pl.col("coupon_cents") > 0).mean(),
        recency=((end_ms - pl.col("ts_ms").max()) / DAY_MS).log1p(),
        breadth=pl.col("product_id").n_unique(),
    )
    return pl.DataFrame({"customer_id": shop.world.customer_ids}).join(
        found, on="customer_id", how="left", maintain_order="left"
    )


def embedded(shop: SimulatedShop, epochs: int) -> np.ndarray:
    """The vector of every customer at the end of the shop's history; the encoder knows nothing of the trial."""
    connection = duckdb.connect()
    events, products = (connection.from_arrow(t.to_arrow()) for t in (shop.events, shop.products))
    lines, table = read_purchases(events, products, "product")
    h = histories(lines, catalogue(table), customers=shop.world.customer_ids)
    end = float(h.day_V.max()) + 1e-3
    model = fit_encoder(h, end, EncoderSettings(epochs=epochs))
    place = {who: at for at, who in enumerate(h.customers)}
    who = np.array([place[c] for c in shop.world.customer_ids])
    return vectors(model, h, who, np.full(len(who), end))


def trials(shop: SimulatedShop, vector: np.ndarray, many: int) -> dict[str, list[float]]:
    """Root mean squared error of each customer's effect on a week's sales at list prices, per kind of features."""
    habit, axes = habits(shop).drop("customer_id"), directions(vector, np.arange(len(vector)))
    eight = pl.DataFrame({f"v{k}": axes[:, k] for k in range(DIRECTIONS)})
    features = {"habits": habit, "vector": eight, "habits and vector": pl.concat([habit, eight], how="horizontal")}
    world, week, price = shop.world, np.array([shop.settings.weeks]), shop.products["price_cents"].to_numpy() / 100
    plain, moved = (means(world, week, depth)[:, :, 0] for depth in (0.0, 0.2))
    truth = (moved - plain) @ price
    errors: dict[str, list[float]] = {name: [] for name in ("the mean effect for everybody", *features)}
    for trial in range(many):
        rng = np.random.default_rng([shop.settings.seed, trial])
        arm = (rng.random(len(vector)) < 0.5).astype(int)
        sales = rng.poisson(np.where(arm[:, None] == 1, moved, plain)) @ price
        gain = {name: fit_effect(x, arm, sales).predict(x).gain_NK[:, 0] for name, x in features.items()}
        gain["the mean effect for everybody"] = np.full(len(arm), sales[arm == 1].mean() - sales[arm == 0].mean())
        for name, found in gain.items():
            errors[name].append(float(np.sqrt(((found - truth) ** 2).mean())))
    return errors


def tell(errors: dict[str, list[float]]) -> None:
    """The error with habits, and how much less it is than with other features, over trials."""
    base = np.array(errors["habits"])
    say("effect of a customer, error with habits", base.mean(), "$", len(base), base.std() / len(base) ** 0.5)
    for name, found in errors.items():
        if name != "habits":
            lead, n = np.array(found) - base, len(base)
            peer = (name, float(np.mean(found)))
            say("effect of a customer, error below the peer's by", lead.mean(), "$", n, lead.std() / n**0.5, peer)


def effect(quick: bool) -> None:
    """Trials of several shops together."""
    together: dict[str, list[float]] = {}
    for seed in (1,) if quick else (1, 2, 3):
        shop = simulate(SimulationSettings(customers=1000, seed=seed))
        for name, found in trials(shop, embedded(shop, 1 if quick else 3), 2).items():
            together.setdefault(name, []).extend(found)
    tell(together)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one epoch, fewer draws and trials")
    parser.add_argument(
        "--part", nargs="*", default=["redemption", "spend", "effect"], choices=["redemption", "spend", "effect"]
    )
    parser.add_argument("--origin", type=int, default=42, help="last week known for spend; tune on 34 or earlier")
    args = parser.parse_args()
    if "redemption" in args.part:
        redemption(args.quick)
    if "spend" in args.part:
        spend(args.quick, args.origin)
    if "effect" in args.part:
        effect(args.quick)


if __name__ == "__main__":
    main()
