"""Customers with known sensitivity: the interval covers it, shrinking beats the raw estimate, baskets count once."""

import numpy as np
import polars as pl
import pytest
from profile_shop import MONDAY, SETTINGS, Shop, event, product

from promolift.core.customers.profiles.population_sums import as_numbers
from promolift.core.customers.profiles.price_sensitivity import (
    basket_sums,
    deal_sums,
    deal_trials,
    fit_customers,
    population_prior,
    population_sums,
    posterior,
    weekly_lines,
    with_variance,
)
from promolift.core.customers.profiles.purchase_lines import read_lines
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

WEEKS, TYPES, TAU = 24, 12, 0.6
ASOF = MONDAY + WEEKS * WEEK_MS
CATALOGUE = [product(f"t{k}", type=f"t{k}") for k in range(TYPES)]


def simulate(people: int, seed: int, copies: int) -> tuple[Shop, pl.DataFrame]:
    """Each week some types are discounted in part; `copies` lines of a basket always share one decision."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, TAU, people)
    lift = rng.normal(0, 1.2, (WEEKS, TYPES))
    rows = []
    for who in range(people):
        for week in range(WEEKS):
            for kind in rng.choice(TYPES, rng.integers(0, 4), replace=False):
                taken = rng.random() < 1 / (1 + np.exp(-lift[week, kind] - theta[who]))
                day = 7 * week + rng.integers(0, 7)
                basket = {"order_id": f"{who}-{day}-{kind}", "product_id": f"t{kind}", "shelf_cents": 20 * int(taken)}
                rows += [event(f"c{who:03d}", day, **basket)] * copies
    return Shop(rows, CATALOGUE), pl.DataFrame({"customer_id": [f"c{k:03d}" for k in range(people)], "truth": theta})


def trials_of(shop: Shop) -> pl.DataFrame:
    """Everybody's trials against the whole shop's discounts, customers by name."""
    shard = shop.shard()
    rows = weekly_lines(shard, SETTINGS)
    return read_lines(shard, "UTC").texts(deal_trials(rows, deal_sums(rows)))


def estimates(shop: Shop) -> tuple[pl.DataFrame, pl.DataFrame]:
    fit = fit_customers(trials_of(shop), ASOF, "UTC")
    baskets = as_numbers(basket_sums(fit))
    sums = as_numbers(population_sums(with_variance(fit, baskets)))
    known = fit.select("customer_id", "asof_ms", pl.col("asof_ms").alias("shared_ms"))
    found = posterior(fit, known, baskets, sums).join(fit.select("customer_id", raw="theta"), on="customer_id")
    return found, population_prior(sums)


@pytest.mark.parametrize("copies", [1, 3])
def test_the_interval_covers_the_truth_and_shrinking_beats_the_raw_estimate(copies):
    shop, truth = simulate(240, 5, copies)
    found, prior = estimates(shop)
    both = found.join(truth, on="customer_id")
    miss = both["price_sensitivity"] - both["truth"]
    covered = (miss.abs() < 1.96 * both["price_sensitivity_se"]).mean()
    assert both.height == 240
    assert 0.91 < covered < 0.985
    assert (miss**2).mean() < 0.9 * ((both["raw"] - both["truth"]) ** 2).mean()
    assert prior["tau2"][0] == pytest.approx(TAU**2, rel=0.35)
    assert abs(prior["mu"][0]) < 0.12


def test_the_error_does_not_believe_in_copied_lines():
    single, _ = estimates(simulate(60, 9, 1)[0])
    copied, _ = estimates(simulate(60, 9, 4)[0])
    ratio = (copied["price_sensitivity_se"] / single["price_sensitivity_se"]).mean()
    assert 0.9 < ratio < 1.15  # four copies of a decision are one decision


def test_a_customer_whose_every_line_is_discounted_stays_finite_and_shrunk():
    rows = [event(c, d, product_id="t0", shelf_cents=20 * (d % 2)) for c in "bcdefg" for d in range(60)]
    rows += [event("a", d, product_id="t0", shelf_cents=20) for d in range(4)]
    found, _ = estimates(Shop(rows, CATALOGUE))
    mine = found.filter(customer_id="a").row(0, named=True)
    assert 0 < mine["price_sensitivity"] < mine["raw"] < 4


def test_the_others_share_leaves_the_customer_out():
    """Of 8 lines of others 6 were discounted; the type's usual share up to then is (6 + 0.5) / (8 + 1)."""
    rows = [event(f"c{k}", 0, product_id="t0", shelf_cents=20 * (k < 6)) for k in range(8)]
    rows += [event("me", 0, product_id="t0", order_id=f"{k}", shelf_cents=20) for k in range(5)]
    trials = trials_of(Shop(rows, CATALOGUE)).filter(customer_id="me")
    share = (6 + 4 * 6.5 / 9) / (8 + 4)
    assert set(trials["bin"]) == {round(np.log(share / (1 - share)) / 0.25)}
    assert (trials["n"].sum(), trials["y"].sum()) == (5, 5)


def test_the_usual_share_of_a_type_knows_no_later_week():
    first = [event(f"c{k}", 0, product_id="t0", shelf_cents=20 * (k < 2)) for k in range(4)]
    later = [event(f"c{k}", 7 * w, product_id="t0", shelf_cents=20) for k in range(4) for w in range(1, 20)]
    found = []
    for rows in (first, first + later):
        trials = trials_of(Shop(rows, CATALOGUE))
        found.append(trials.filter(week=trials["week"].min()).sort("customer_id")["bin"].to_list())
    assert found[0] == found[1]


def test_a_week_that_is_still_running_and_weeks_without_others_say_nothing():
    rows = [event(c, 0, product_id="t0", shelf_cents=20 * (c > "c")) for c in "abcdef"]
    alone = [event("a", 8, product_id="t1", shelf_cents=20)]
    trials = trials_of(Shop(rows + alone, CATALOGUE))
    assert trials["n"].sum() == 6  # the line of t1 is left out
    assert fit_customers(trials, MONDAY + 3 * DAY_MS, "UTC").height == 0
    assert fit_customers(trials, MONDAY + 7 * DAY_MS, "UTC").height == 6
    # in New York the week ends five or four hours later
    assert fit_customers(trials, MONDAY + 7 * DAY_MS, "America/New_York").height == 0


def test_every_estimate_is_the_root_of_its_score_however_few_the_lines_and_whoever_else_is_there():
    rng = np.random.default_rng(3)
    size = rng.integers(1, 9, 2000)
    who, k = np.repeat(np.arange(2000), size), int(size.sum())
    rows = {"customer_id": who, "week": np.zeros(k, int), "order_id": np.arange(k)}
    trials = pl.DataFrame(rows | {"bin": rng.integers(-14, 8, k), "n": np.ones(k, int), "y": rng.integers(0, 2, k)})
    fit = fit_customers(trials, ASOF, "UTC")
    prob = 1 / (1 + (-(pl.col("bin") * 0.25 + pl.col("theta"))).exp())
    weight = pl.col("n") * prob * (1 - prob)
    sums = trials.join(fit, on="customer_id").group_by("customer_id", maintain_order=True)
    sums = sums.agg(
        score=(pl.col("y") - pl.col("n") * prob).sum(), w=weight.sum(), skew=(weight * (1 - 2 * prob)).sum()
    )
    assert (sums["score"] + 0.5 * sums["skew"] / sums["w"]).abs().max() < 1e-9
    some = fit_customers(trials.filter(pl.col("customer_id") < 50), ASOF, "UTC")
    assert some.equals(fit.head(50))
