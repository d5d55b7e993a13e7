"""What a customer buys and may buy: facts by hand, forecasts against simulated customers whose future is known."""

import numpy as np
import polars as pl
import pytest
from profile_shop import MONDAY, SETTINGS, Shop, affinities_of, event, product
from scipy.sparse import csr_array

import promolift.core.customers as room
from promolift.core.customers.forecasts.first_purchases import Prospects, find_plausible_targets
from promolift.core.customers.forecasts.repeat_purchases import order_prior, target_prior
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

ASOF = MONDAY + 20 * WEEK_MS
CATALOGUE = [product("milk", category="dairy"), product("soap", category="home"), product("odd")]


def test_facts_of_a_target_by_hand():
    rows = [event("a", d, product_id="milk", order_id=f"{d}", revenue_cents=100) for d in (0, 10, 10.2, 40)]
    rows += [event("a", 130, product_id="milk", order_id="x", revenue_cents=80, shelf_cents=20)]
    rows += [event("a", 130, product_id="soap", order_id="x", revenue_cents=120)]
    rows += [event("a", 130.5, product_id="soap", order_id="x", revenue_cents=0)]  # a later line of the same order
    rows += [event("a", 139, product_id="soap", kind="view", revenue_cents=0), event("a", 5, product_id="odd")]
    frame = affinities_of(Shop(rows, CATALOGUE), ASOF)
    milk = frame.filter(target="dairy").row(0, named=True)
    assert frame.filter("bought")["target"].to_list() == [
        "dairy",
        "home",
    ]  # a product without category is no target here
    assert (milk["target_kind"], milk["orders"], milk["list_cents"], milk["revenue_cents"]) == ("category", 5, 500, 480)
    assert (milk["recent_list_cents"], milk["recent_revenue_cents"]) == (100, 80)
    assert (milk["recency_days"], milk["gap_days"], milk["due_in_days"]) == (10, 30, 20)  # gaps 10, 30, 90
    assert (milk["spend_share"], milk["deal_share"]) == (480 / 600, 1 / 5)
    home = frame.filter(target="home").row(0, named=True)
    assert (home["views"], home["orders"], home["last_ms"]) == (1, 1, MONDAY + int(130.5 * DAY_MS))


def test_a_customer_s_own_spend_counts_as_it_was_and_a_short_past_as_short():
    """`old` came for 20 weeks, `new` for 42 days, each spending 300 on milk in the last twelve weeks."""
    rows = [event("old", d, product_id="milk", order_id=f"{d}") for d in (0, 30, 80, 100, 120)]
    rows += [event("new", d, product_id="milk", order_id=f"{d}") for d in (98, 110, 125)]
    shop, found = Shop(rows, CATALOGUE), dict[float, list[float]]()
    for share in (0.0, 0.5, 1.0):
        frame = affinities_of(shop, ASOF, settings=SETTINGS.model_copy(update={"own_share": share}))
        found[share] = frame.filter("bought").sort("customer_id")["expected_cents"].to_list()
    assert found[1.0] == pytest.approx([300 * 28 / 42, 300 * 28 / 84])
    assert found[0.5] == pytest.approx([(one + other) / 2 for one, other in zip(found[0.0], found[1.0], strict=True)])


@pytest.mark.parametrize(
    ("catalogue", "target", "kind"),
    [
        ([product("p1", category="c", type="t")], "c", "category"),
        ([product("p1", type="t")], "t", "category"),
        ([product("p1")], "p1", "product"),
        ([], "p1", "product"),
    ],
)
def test_the_target_is_the_coarsest_thing_the_catalogue_names(catalogue, target, kind):
    row = affinities_of(Shop([event("a", 1)], catalogue), ASOF).row(0, named=True)
    assert (row["target"], row["target_kind"]) == (target, kind)


def simulated(people: int, seed: int) -> tuple[Shop, pl.DataFrame]:
    """Poisson customers with Gamma rates and shares of 8 categories over 24 weeks; the last 4 are the future."""
    rng = np.random.default_rng(seed)
    rate, popular = rng.gamma(2.0, 0.15, people), rng.uniform(0.05, 0.5, 8)
    share = np.clip(popular * rng.gamma(2.0, 0.5, (people, 8)), 0, 0.95)
    rows, later = [], []
    for who in range(people):
        for order, day in enumerate(np.sort(rng.uniform(0, 168, rng.poisson(rate[who] * 168)))):
            for k in np.flatnonzero(rng.random(8) < share[who]):
                cents = int(rng.gamma(4.0, 50.0 * (k + 1)))
                rows.append(
                    event(f"c{who:03d}", day, product_id=f"p{k}", order_id=f"{who}-{order}", revenue_cents=cents)
                )
                later += [(f"c{who:03d}", f"g{k}", cents)] if day >= 140 else []
    schema = {"customer_id": pl.String, "target": pl.String, "later_cents": pl.Int64}
    future = (
        pl.DataFrame(later, schema=schema, orient="row")
        .group_by("customer_id", "target")
        .agg(pl.col("later_cents").sum())
    )
    return Shop(rows, [product(f"p{k}", category=f"g{k}") for k in range(8)]), future


@pytest.fixture(scope="module")
def forecast() -> pl.DataFrame:
    shop, future = simulated(250, 3)
    frame = affinities_of(shop, ASOF)
    return frame.join(future, on=["customer_id", "target"], how="left").with_columns(pl.col("later_cents").fill_null(0))


def test_expected_value_agrees_with_what_came(forecast):
    bought = forecast.filter("bought")
    assert bought["expected_cents"].sum() == pytest.approx(bought["later_cents"].sum(), rel=0.1)
    for part in (bought.filter(pl.col("expected_cents") < 500), bought.filter(pl.col("expected_cents") >= 500)):
        assert part["expected_cents"].sum() == pytest.approx(part["later_cents"].sum(), rel=0.15)


def test_the_chance_to_buy_is_calibrated_also_for_targets_never_bought(forecast):
    for part in (forecast.filter("bought"), forecast.filter(~pl.col("bought"))):
        came = (part["later_cents"] > 0).cast(pl.Float64)
        assert part.height > 80
        error = (came.mean() * (1 - came.mean()) / part.height) ** 0.5
        assert part["buy_prob"].mean() == pytest.approx(came.mean(), abs=3.5 * error)


def test_more_history_gives_a_smaller_relative_error(forecast):
    bought = forecast.filter("bought").with_columns(
        (pl.col("expected_se_cents") / pl.col("expected_cents")).alias("relative")
    )
    few, many = bought.filter(pl.col("orders") <= 2), bought.filter(pl.col("orders") >= 15)
    assert few["relative"].mean() > 1.5 * many["relative"].mean()


def test_plausible_targets_follow_who_buys_what_together():
    """Half the customers buy g0 and g1, half g2 and g3; one of each half lacks the second."""
    rows = []
    for who in range(40):
        pair = (0, 1) if who % 2 else (2, 3)
        for k in pair if who > 1 else pair[:1]:
            rows += [
                event(f"c{who:02d}", 3 * d + who % 3, product_id=f"p{k}", order_id=f"{who}-{d}") for d in range(40)
            ]
    frame = affinities_of(Shop(rows, [product(f"p{k}", category=f"g{k}") for k in range(4)]), ASOF)
    new = frame.filter(~pl.col("bought")).sort("buy_prob", descending=True)
    assert new.filter(customer_id="c01")["target"][0] == "g1"
    assert new.filter(customer_id="c00")["target"][0] == "g3"


def test_the_priors_are_found_again_from_sums():
    """Gamma rates over the customers' days, Gamma shares over their orders, order values with two known variances."""
    rng = np.random.default_rng(8)
    n = 4000
    days, rate = rng.uniform(20, 120, n), rng.gamma(2.0, 1 / 20, n)
    orders = rng.poisson(rate * days)
    chances, share = rng.uniform(1, 60, n), rng.gamma(3.0, 1 / 15, n)
    chosen = rng.poisson(share * chances)
    worth, size = rng.normal(1000, 300, n), rng.integers(1, 9, n)
    values = [rng.normal(worth[k], 600, size[k]) for k in range(n)]
    sums = {
        "n": orders.sum(),
        "nn": (orders**2).sum(),
        "t": days.sum(),
        "tt": (days**2).sum(),
        "nt": (orders * days).sum(),
    }
    sums |= {"e": chances.sum(), "ee": (chances**2).sum()}
    whole = pl.DataFrame({"asof_ms": [1]} | {name: [float(value)] for name, value in sums.items()})
    of = {"n": chosen.sum(), "nn": (chosen**2).sum(), "ne": (chosen * chances).sum(), "customers": n}
    of |= {"orders": size.sum(), "orders_sq": (size**2).sum(), "list_cents": sum(v.sum() for v in values)}
    of |= {"list_sq": sum((v**2).sum() for v in values), "between_sq": sum(v.sum() ** 2 / len(v) for v in values)}
    target = pl.DataFrame({"asof_ms": [1], "target": ["g"]} | {name: [float(value)] for name, value in of.items()})
    prior, found = order_prior(whole).row(0, named=True), target_prior(target, whole).row(0, named=True)
    assert (prior["alpha"], prior["beta"]) == (pytest.approx(2, rel=0.12), pytest.approx(20, rel=0.12))
    assert (found["a"], found["b"]) == (pytest.approx(3, rel=0.15), pytest.approx(15, rel=0.15))
    assert (found["value_cents"], found["value_strength"]) == (pytest.approx(1000, rel=0.03), pytest.approx(4, rel=0.2))


def test_at_most_so_many_plausible_targets_and_none_that_was_bought():
    rows = [event(f"c{w}", d, product_id=f"p{(w + d) % 15}") for w in range(12) for d in range(3)]
    settings = room.ProfileSettings(plausible_targets=4)
    shop = Shop(rows, [product(f"p{k}", category=f"g{k:02d}") for k in range(15)])
    frame = affinities_of(shop, ASOF, settings=settings)
    assert frame.filter(~pl.col("bought")).group_by("customer_id").len()["len"].to_list() == [4] * 12
    assert not frame.select("customer_id", "target").is_duplicated().any()


def test_the_most_plausible_are_those_that_looking_at_all_would_find():
    """Most targets are passed over unpriced; the scores are those of the formula, the ties in order."""
    rng = np.random.default_rng(4)
    n, k = 60, 40
    bought = csr_array((rng.random((n, k)) < 0.2).astype(float))
    affinity = np.round(rng.random((n, k)), 1) ** 3
    size, rate, chances = rng.uniform(1, 9, n), rng.uniform(0.1, 40, n), rng.uniform(0, 9, n)
    a, b = np.repeat(rng.uniform(0.1, 2, k // 2), 2), np.repeat(rng.uniform(1, 90, k // 2), 2)
    starts = bought.indptr.astype(np.int64), bought.indices.astype(np.int64)
    found = find_plausible_targets(Prospects(*starts, affinity, size, rate, chances, a, b), 7)
    spread = 1 / size[:, None] + 1 / a
    prior = 1 - (1 + rate[:, None] * a / (b + chances[:, None]) * spread) ** (-1 / spread)
    score = np.where(bought.toarray() > 0, -1, np.clip(np.sqrt(np.maximum(affinity, 1e-4) * prior), 1e-4, 1))
    order = np.argsort(-score, axis=1, kind="stable")[:, :7]
    assert (found.column.reshape(n, 7) == order).all()
    assert found.score.reshape(n, 7) == pytest.approx(np.take_along_axis(score, order, 1))
    assert found.prior.reshape(n, 7) == pytest.approx(np.take_along_axis(prior, order, 1))
    assert len(find_plausible_targets(Prospects(*starts, affinity, size, rate, chances, a, b), 0).row) == 0


def test_interests_are_products_looked_at_and_left():
    looks = [event("a", 120, kind="view", product_id=p, revenue_cents=0) for p in ("p1", "p2")]
    looks += [event("a", 121, kind="view", product_id="p2", revenue_cents=0), event("a", 122, product_id="p1")]
    looks += [event("a", 100, kind="view", product_id="p3", revenue_cents=0)]  # before the window of 30 days
    shop = Shop(looks)
    found = room.find_interests(shop.shard(), shop.moments([ASOF]), shop.shared([ASOF]), SETTINGS)
    assert found.drop("buy_rate").rows() == [("a", ASOF, "p2", 2, MONDAY + 121 * DAY_MS)]


def test_the_rate_of_later_purchase_is_shrunk_towards_all_products():
    """One window earlier 10 looked at p1 and left, 4 of them bought later; 10 looked at p2, none bought."""
    then, now = 85, 115  # days in the windows [80, 110) and [110, 140)
    rows = [event(f"c{w}", then, kind="view", product_id=p, revenue_cents=0) for w in range(10) for p in ("p1", "p2")]
    rows += [event(f"c{w}", now, product_id="p1") for w in range(4)]
    rows += [
        event("y", then, kind="view", product_id="p1", revenue_cents=0),
        event("y", then, product_id="p1"),
    ]  # bought
    rows += [event("z", now, kind="view", product_id=p, revenue_cents=0) for p in ("p1", "p2", "p9")]
    shop = Shop(rows)
    found = room.find_interests(shop.shard(), shop.moments([ASOF], ["z"]), shop.shared([ASOF]), SETTINGS)
    assert found["buy_rate"].to_list() == pytest.approx([(4 + 20 * 0.2) / 30, (0 + 20 * 0.2) / 30, 0.2])
