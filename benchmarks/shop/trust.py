"""Simulated shops and customers in; what fairness and privacy promise and what they cost, out.

    python benchmarks/shop/trust.py [--quick] [--part fairness|privacy|private-shop|members] [--demo WORK]

Prints JSON lines: figure, value, low, high, n, unit, data. Shops: candidates of 5,000 customers (age, sex, income, loyal or
new), whose groups gain differently; limits on offers in a band of 20 %, loyal never worse. Power: customers of whom a
feature that four in five women have costs 2 points of discount; false alarms: the same without, where women have smaller
baskets and these get less off. WORK is a work folder of `promolift demo`, planned; its plan is made again with and
without limits and the CPU of both told. Intervals are Wilson's. CPU seconds are of one thread.

Privacy, delta 1e-6: trials of 4,000 customers, a tenth held out, amounts that most do not spend; releases attacked by whoever
knows all but who is in them, against planted ones without noise; and a simulated shop with an encoder planned
at each epsilon: next baskets, spend of the next 28 days, and the plan's gain, by the exact run's effects, against the
exact plan at the same cost. Its gains rest on the stated prior in every run. Members: simulated shops, learned under
epsilon 3 from half of its customers by a coin, attacked as `promolift privacy --attack` does; and, planted, trees without
limits that learn noise from half of as many customers by heart. A smaller shop trains encoders.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from sklearn.tree import DecisionTreeRegressor

from promolift.core import allocation
from promolift.core.allocation.settings import FairnessSettings
from promolift.core.experiments.group_gaps import find_proxies, group_gaps
from promolift.core.experiments.prediction_metrics import wilson_interval
from promolift.extensions.encoder.pipeline_step import limit_threads
from promolift.extensions.encoder.results import ForecastNote
from promolift.extensions.privacy.mechanisms.membership_inference import (
    MembershipResult,
    likelihood_ratios,
    score_membership,
)
from promolift.extensions.privacy.mechanisms.noise import EFFECT_CLIP, add_noise, effect_rows, private_difference
from promolift.extensions.privacy.mechanisms.privacy_budget import PrivacyBudget
from promolift.extensions.privacy.privacy_audit import AuditSize, attack_encoder, attack_sums, attack_synthetic
from promolift.extensions.privacy.synthetic_step import save_synthetic_customers
from promolift.extensions.simulation.worlds.simulated_shop import simulate
from promolift.extensions.simulation.worlds.world import SimulationSettings
from promolift.foundation.evidence import Z95
from promolift.foundation.release_policy import clip_rows
from promolift.foundation.sql import fetch_frame
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.pipeline.pipeline import demo_config
from promolift.shop.pipeline.shop import Shop
from promolift.shop.pipeline.steps import plan
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job, moments
from promolift.shop.results.work_folder.work_tables import ALL_CUSTOMERS

DELTA = 1e-6
ALIKE = ("basket_mean_cents", "orders_16w", "basket_lines_mean")
FAIR = {"band": 0.2, "loyal_never_worse": True}


def tell(figure: str, value: float, **rest: object) -> None:
    line = {"figure": figure, "value": value, "se": None, "unit": "", "peer": None, "peer_value": None, "n": None}
    print(json.dumps(line | {"data": "simulated", "low": None, "high": None} | rest, default=float), flush=True)


def told_share(figure: str, hits: int, n: int, **rest: object) -> None:
    low, high = wilson_interval(hits, n)
    tell(figure, hits / n, low=low, high=high, n=n, **rest)


def shop(seed: int, customers: int = 5000) -> pl.DataFrame:
    """Candidates on three lines; each group gains more or less from them by a draw of its own."""
    rng = np.random.default_rng(seed)
    groups = {
        "sex": rng.choice(["F", "M"], customers, p=[0.45, 0.55]),
        "age": rng.choice(["18-24", "25-44", "45-64", "65+", "not given"], customers, p=[0.1, 0.3, 0.25, 0.1, 0.25]),
        "income": rng.choice(["low", "middle", "high"], customers, p=[0.3, 0.5, 0.2]),
        "loyalty": rng.choice(["loyal", "new"], customers, p=[0.8, 0.2]),
    }
    worth = np.exp(0.6 * rng.standard_normal(customers))
    for values in groups.values():
        kinds, at = np.unique(values, return_inverse=True)
        worth *= np.exp(0.4 * rng.standard_normal(len(kinds)))[at]
    cost = rng.integers(20, 200, (customers, 3))
    gain = cost * worth[:, None] * rng.gamma(2.0, 0.6, (customers, 3)) - 30
    named = [[f"{name}={values[i]}" for name, values in groups.items()] for i in range(customers)]
    return pl.DataFrame({
        "customer_id": np.repeat([f"c{i:05d}" for i in range(customers)], 3),
        "offer_id": np.tile(["a", "b", "c"], customers), "gain_cents": gain.ravel(),
        "cost_cents": cost.ravel().astype(float), "groups": [each for each in named for _ in range(3)],
    })  # fmt: skip


def limits_hold(shops: int) -> None:
    """Violations, gap and price of the limits in simulated shops."""
    broken, gaps, prices, before = 0, list[float](), list[float](), 0
    for seed in range(shops):
        rows = shop(seed)
        people = rows.unique("customer_id", maintain_order=True).select("customer_id", "groups")
        fair = [each.limit for each in allocation.make_fairness_limits(people, FairnessSettings.model_validate(FAIR))]
        free = allocation.plan(rows, 100_000.0, seed=seed)
        found = allocation.plan(rows, 100_000.0, fair, seed=seed)
        before += bool(allocation.find_violations(free.chosen, fair))
        broken += bool(allocation.find_violations(found.chosen, fair)) or found.cost_cents > 100_000
        gaps.append(found.allocation.gap)
        prices.append(1 - found.gain_cents / free.gain_cents)
    tell("shops whose plan breaks a limit", broken, n=shops, unit="shops")
    tell("shops whose plan without limits breaks one", before, n=shops, unit="shops")
    tell("gap, the largest", max(gaps), n=shops, low=min(gaps), high=max(gaps))
    tell("gain given up, mean", np.mean(prices), n=shops, low=min(prices), high=max(prices))


def customers(seed: int, n: int, planted: float) -> pl.DataFrame:
    """Women have smaller baskets, and these get less off; a device that four in five of them have costs `planted`."""
    rng = np.random.default_rng(seed)
    woman = rng.random(n) < 0.45
    device = np.where(rng.random(n) < np.where(woman, 0.8, 0.2), "a", "b")
    basket = np.exp(rng.normal(np.where(woman, 7.6, 8.0), 0.5))
    rate = 0.08 + 0.02 * np.log(basket / 3000) + 0.1 * rng.standard_normal(n) - planted * (device == "a")
    return pl.DataFrame({
        "sex": np.where(woman, "F", "M"), "region": rng.choice(["north", "south", "east", "west"], n),
        "age": rng.choice(["18-24", "25-44", "45-64", "65+"], n), "device": device, "basket_mean_cents": basket,
        "orders_16w": rng.poisson(3 + 2 * woman), "basket_lines_mean": basket / 400 * np.exp(0.3 * rng.normal(size=n)),
        "top_hour": rng.integers(0, 24, n), "store": rng.choice([f"s{k}" for k in range(12)], n),
        "discount": rate, "offers": (rng.random(n) < 0.2).astype(float),
    })  # fmt: skip


def discrimination(runs: int, n: int) -> None:
    """How often a price discrimination of 2 points through a feature is found and named, and one that is not there."""
    found, named, alarms, through = 0, 0, 0, 0
    for seed in range(runs):
        for planted in (0.02, 0.0):
            rows = customers(seed, n, planted)
            gaps = group_gaps(rows, ["sex", "region", "age"], ["discount", "offers"], ALIKE)
            proxies = find_proxies(rows, gaps, ["device", "top_hour", "store"], ALIKE)
            hit = any(gap.shown and gap.group == "sex=F" and gap.measure == "discount" and gap.worse for gap in gaps)
            runs_through = any(each.feature == "device" and each.through for each in proxies)
            if planted:
                found, named = found + hit, named + (hit and runs_through)
            else:
                alarms += any(gap.shown for gap in gaps)
                through += any(each.through for each in proxies)
    data = f"{n:,} customers"
    told_share("discrimination of 2 points found", found, runs, data=data)
    told_share("found, and the feature named", named, runs, data=data)
    told_share("false alarms: any gap shown where there is none", alarms, runs, data=data)
    told_share("false alarms: any feature a gap runs through", through, runs, data=data)


def demo(work: Path) -> None:
    """CPU of the plan with limits over that without, violations, gap and price on the demo's work folder."""
    plain, seconds = demo_config(), dict[str, float]()
    fair = plain.model_copy(update={"fairness": FairnessSettings.model_validate(FAIR)})
    with Store(work) as store:
        for name, config in (("warm", plain), ("without", plain), ("with", fair)):
            start = time.process_time()
            plan.run(Job(config, store, lambda *_: None))
            seconds[name] = time.process_time() - start
        made = Plan.load(store)
        note = made.note.fairness
        assert note is not None
        tell("limits broken", len(note.broken(made.chosen)), n=len(note.uses), unit="limits", data="demo")
    tell("gap", made.note.gap, n=made.note.customers, data="demo")
    tell("expected gain given up", (note.cost_cents or 0.0) / (made.note.planned_cents + (note.cost_cents or 0.0)),
         n=made.note.treated, data="demo")  # fmt: skip
    tell("CPU of the plan with limits over that without", seconds["with"] / seconds["without"], unit="ratio", data="demo",
         low=seconds["without"], high=seconds["with"])  # fmt: skip


def private_effects(trials: int) -> None:
    """How often the interval of a private effect holds the true one, and how much wider it is than one without noise."""
    rng = np.random.default_rng(1)
    spent = rng.gamma(0.4, 4000, 1_000_000)
    cap = float(np.quantile(spent, 0.99))
    truth = float(np.clip(1.1 * spent, 0, cap).mean() - np.clip(spent, 0, cap).mean())
    for epsilon in (1.0, 3.0, 8.0):
        noise, inside, wider = PrivacyBudget(epsilon=epsilon, delta=DELTA).noise("effect"), 0, list[float]()
        for _ in range(trials):
            treated = rng.random(4000) < 0.9
            value = rng.choice(spent, 4000) * np.where(treated, 1.1, 1.0)
            rows = clip_rows(effect_rows(value, treated, cap), EFFECT_CLIP)
            found = private_difference(add_noise(rows.sum(axis=0), EFFECT_CLIP, noise), cap, noise)
            x = np.clip(value, 0, cap)
            plain = (x[treated].var() / treated.sum() + x[~treated].var() / (~treated).sum()) ** 0.5
            inside, wider = inside + (found.low <= truth <= found.high), [*wider, found.se / plain]
        told_share("private effect: interval holds the truth", inside, trials, epsilon=epsilon)
        tell("private effect: its width over that without noise", np.median(wider), n=trials, epsilon=epsilon,
             low=np.quantile(wider, 0.05), high=np.quantile(wider, 0.95), unit="ratio")  # fmt: skip


def attacked_sums(customers: int) -> None:
    """Who knows all but the coins attacks a release: of shares that many have in common, and, as a table of rare rows
    gives them, of cells with one customer each; advantage, and the bound of epsilon beside the ledger's.
    """
    rng = np.random.default_rng(2)
    rows = rng.dirichlet(np.full(40, 0.1), customers)
    for epsilon in (1.0, 3.0, 8.0, None):
        noise = PrivacyBudget(epsilon=epsilon, delta=DELTA).noise("profiles") if epsilon else 1e-3
        member = rng.random(customers) < 0.5
        common = rows @ (add_noise(rows[member].sum(axis=0), 1.0, noise) - rows.sum(axis=0) / 2)
        for name, score in (("shares in common", common), ("rare rows", add_noise(member.astype(float), 1.0, noise))):
            told_members(name, score_membership(score, member, DELTA if epsilon else 0.0), epsilon=epsilon)


def told_members(name: str, found: MembershipResult, **rest: Any) -> None:
    """One attack in three lines."""
    told: dict[str, Any] = {"n": found.auc.n, "attack": name, **rest}
    tell("membership: AUC", found.auc.value, low=found.auc.low, high=found.auc.high, **told)
    rate = f"{found.false_rate:.1%}"
    tell(f"membership: advantage at {rate} false positives", found.advantage, low=found.low, high=found.high, **told)
    tell("membership: epsilon is at least", found.epsilon_low, **told)


def planted_members(customers: int, data: str, shadows: int = 5) -> None:
    """Trees without limits learn noise from half of the customers, by heart."""
    rng, models = np.random.default_rng(6), shadows + 1
    x_MF, y_M = rng.normal(size=(customers, 8)), rng.normal(size=customers)
    in_SM, loss_SM = rng.random((models, customers)) < 0.5, np.zeros((models, customers))
    for s in range(models):
        model = DecisionTreeRegressor(random_state=s).fit(x_MF[in_SM[s]], y_M[in_SM[s]])
        loss_SM[s] = np.abs(model.predict(x_MF) - y_M)
    for name, score in (("planted, by its loss", -loss_SM[0]), ("planted, LiRA", likelihood_ratios(loss_SM, in_SM, 0))):
        told_members(name, score_membership(score, in_SM[0]), data=data)


def attacked_shop(customers: int, weeks: int, shadows: int = 0) -> None:
    """What half of a private shop's customers leave in its releases and, with shadow models, in its encoder."""
    made = simulate(SimulationSettings(customers=customers, weeks=weeks, categories=12))
    goods, data = made.products.drop("cost_cents", strict=False), f"{customers:,} simulated customers"
    with TemporaryDirectory() as folder, Shop(made.events, products=goods, work=folder) as opened:
        encoder = {"depth": 1, "epochs": 1, "customers": customers}
        shop = opened.with_settings(privacy={"epsilon": 3.0, "delta": DELTA}, encoder=encoder)
        shop.step("ingest")
        job = Job(shop.config, shop.store, lambda *_: None)
        save_synthetic_customers(job)
        told_members("nearest", attack_synthetic(job, customers, DELTA), data=data, epsilon=3.0)
        if not shadows:
            return
        told_members("noisy sums", attack_sums(job, customers, DELTA), data=data, epsilon=3.0)
        with limit_threads(job):
            for name, each in attack_encoder(job, AuditSize(customers, shadows), DELTA).items():
                told_members(name, each, data=data, epsilon=3.0)


def private_shop(customers: int, epochs: int) -> None:
    """A shop at each epsilon and without: next baskets against counts, spend error, plan value at equal cost."""
    made = simulate(SimulationSettings(customers=customers, weeks=40, categories=12))
    goods, exact = made.products.drop("cost_cents", strict=False), dict[str, pl.DataFrame]()
    base: dict[str, Any] = {
        "plan": {"test_share": 0.0}, "value": {"margin_rate": 0.6}, "encoder": {"depth": 1, "epochs": epochs},
        "discount": {"prior_response": 2.0, "min_cells": 10**9}, "offer": {"proposals": "none"}, "consent": {"default": True},
    }  # fmt: skip
    for epsilon in (None, 8.0, 3.0, 1.0):
        with TemporaryDirectory() as folder, Shop(made.events, products=goods, work=folder) as opened:
            shop = opened.with_settings(**base, privacy={"epsilon": epsilon, "delta": DELTA})
            shop.step("ingest", "profile", "effect", "plan")
            told: dict[str, Any] = {"epsilon": epsilon, "data": f"{customers:,} simulated customers"}
            checked = ForecastNote.load(shop.store).checked
            if checked is None:
                print(json.dumps({"skipped": ForecastNote.load(shop.store).missing, "epsilon": epsilon}), flush=True)
            else:
                ndcg, lead = checked.ndcg, checked.lead
                tell("next basket NDCG@10", ndcg.value, low=ndcg.low, high=ndcg.high, n=ndcg.n, **told)
                tell("its lead over personal counts", lead.value, low=lead.low, high=lead.high, n=ndcg.n, **told)
            wrong = spend_error(shop)
            half = Z95 * wrong.std() / len(wrong) ** 0.5
            tell("error of the next 28 days' spend", wrong.mean(), low=wrong.mean() - half, high=wrong.mean() + half,
                 n=len(wrong), unit="minor units", **told)  # fmt: skip
            plan = Plan.load(shop.store)
            if epsilon is None:
                keep = pl.col("eligible") | (pl.col("why_not") == "settled when the budget was filled up")
                exact["rows"] = plan.candidates.filter(keep, pl.col("offer_id") != "none")
                continue
            offers = plan.chosen.filter(pl.col("offer_id") != "none").select("customer_id", "offer_id")
            valued = offers.join(exact["rows"], on=["customer_id", "offer_id"])
            able = exact["rows"].filter(
                pl.col("customer_id").is_in(plan.open_to(ALL_CUSTOMERS)["customer_id"].implode())
            )
            cost, gain = float(valued["cost_cents"].sum()), float(valued["gain_cents"].sum())
            best = allocation.plan(able, cost).gain_cents if cost > 0 else 0.0
            tell("plan value at equal cost", gain / best if best else 0.0, n=offers.height, unit="share", **told)
            tell(
                "planned cost over the budget",
                plan.note.cost_cents / max(plan.note.budget_cents, 1),
                unit="share",
                **told,
            )


def spend_error(shop: Shop) -> np.ndarray:
    """How far each customer's expected spend on what they bought before was off in the window before the plan's moment
    that begins at the check's.
    """
    job = Job(shop.config, shop.store, lambda *_: None)
    start, window = moments(job).check, shop.config.plan.window_days * DAY_MS
    expected = job.profiled.affinities(start).group_by("customer_id").agg(pl.col("expected_cents").sum())
    came = fetch_frame(
        job.clean.events().filter(f"kind = 'purchase' and ts_ms >= {start} and ts_ms < {start + window}")
    )
    spent = came.group_by("customer_id").agg(pl.col("list_cents").sum().alias("spent"))
    both = expected.join(spent, on="customer_id", how="left").fill_null(0)
    return (both["expected_cents"] - both["spent"]).abs().to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=["fairness", "privacy", "private-shop", "members"])
    parser.add_argument("--customers", type=int, default=50_000, help="of the shop whose members are attacked")
    parser.add_argument("--encoder", type=int, default=2_000, help="of the one whose encoder is")
    parser.add_argument("--shadows", type=int, default=2)
    parser.add_argument("--demo", type=Path)
    asked = parser.parse_args()
    if asked.part in (None, "fairness"):
        limits_hold(5 if asked.quick else 20)
        discrimination(40 if asked.quick else 200, 20_000)
    if asked.part in (None, "privacy"):
        private_effects(100 if asked.quick else 500)
        attacked_sums(2_000 if asked.quick else 50_000)
    if asked.part == "private-shop" or (asked.part is None and not asked.quick):
        private_shop(1_200, 3)
    if asked.part == "members":
        planted_members(asked.customers, f"{asked.customers:,} simulated customers")
        attacked_shop(asked.encoder, 28, asked.shadows)
        attacked_shop(asked.customers, 12)
    if asked.demo:
        demo(asked.demo)


if __name__ == "__main__":
    main()
