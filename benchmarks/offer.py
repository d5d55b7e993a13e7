"""Offers beyond the menu on simulated shops with known truth, beside the menu alone, random offers and CTGAN.

    python benchmarks/offer.py            # 20 shops of 1,000 customers, fidelity on one of 3,000
    python benchmarks/offer.py --quick    # 3 shops of 500, fidelity on one of 1,000
    python benchmarks/offer.py --part shops --shops 11 20    # or --part fidelity

All is simulated. A shop plans one week from what it can know: its own logs (`offer_beliefs.believe`), its prices, costs and
shelf. Truth only judges. The menu is 10, 20 and 30 % on a category. Proposals are any printable percentage on a
category, two categories, a product or everything; as in a plan, the LINES new kinds of offer that add most by what is
believed at the price where the menu alone is planned are kept (`grid.best_lines`). The menu's plan at the stated budget
spends some true amount; every other plan is scaled to spend exactly that in truth: the customers at its marginal price
are mixed. Interval: t over shops, paired. CTGAN (offer_peers.py) runs in the interpreter that the environment variable
OFFER_PEER names; without it its lines are left out. It gets its own default of 300 epochs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from offer_beliefs import Believed, Cohort, believe, shelf_of
from promolift.hashing import hash_units
from promolift.offer.market import Layout, Market
from promolift.offer.proposals import PROPOSALS, best_lines
from promolift.offer.repair import repair
from promolift.offer.settings import PrintRules
from promolift.simulate import SimulatedShop, SimulationSettings, simulate
from promolift.simulate.truth import expected, means
from promolift.simulate.world import GOODS, cents_off

WEEK, MENU, FLOOR = 52, (10, 20, 30), 0.0
RULES = PrintRules(channels=("store", "app"))
LINES, LEAST, KEEP, DRAWS = 3, 0.01, 8, 32  # new kinds of offer and what each must add; drawn at random; by the network
BUDGETS = (100, 300, 600)  # cents per customer, as believed
PRICES = np.r_[np.linspace(0, 1, 41), np.exp(np.linspace(0, 3.5, 60))[1:]]


@dataclass(frozen=True)
class Case:
    """One shop: what is believed and what is true of every percent on every target, N x T x D; legal ones T x D."""

    shop: SimulatedShop
    believed: Believed
    targets: tuple[tuple[str, str | None], ...]
    member_PT: np.ndarray
    gain: np.ndarray
    cost: np.ndarray
    true_gain: np.ndarray
    true_cost: np.ndarray
    margin_T: np.ndarray
    legal_TD: np.ndarray
    worth_NT: np.ndarray


def case_of(seed: int, customers: int) -> Case:
    shop = simulate(SimulationSettings(customers=customers, seed=seed, weeks=WEEK))
    believed, world, products = believe(shop), shop.world, shop.world.products
    c, number = products["c"].to_numpy(), shop.settings.categories
    own = (c[:, None] == np.arange(number)).astype(float)
    pairs = list(combinations(range(number), 2))
    both = np.stack([own[:, a] + own[:, b] for a, b in pairs], axis=1)
    member = np.c_[own, np.eye(c.size), np.ones((c.size, 1)), both]
    targets = (
        *(("category", goods[0]) for goods in GOODS[:number]), *(("product", p) for p in products["product_id"]), ("all", None),
        *(("pair", f"{GOODS[a][0]} ++ {GOODS[b][0]}") for a, b in pairs),
    )  # fmt: skip
    shelf = shelf_of(world, WEEK)
    units = believed.units(Cohort(world.number_N, WEEK), np.broadcast_to(shelf, (customers, c.size)))
    pull = believed.scale * believed.response_N
    gain, cost = effects((units, pull, believed.take_prob), shop, shelf, member)
    truth = (means(world, np.array([WEEK]), 0.0)[:, :, 0], world.beta_N, world.clip_prob_N)
    true_gain, true_cost = effects(truth, shop, shelf, member)
    every = pl.DataFrame({"customer_id": world.customer_ids})
    for part in ({"category": [goods[0] for goods in GOODS[:number]]}, {"depth": [p / 100 for p in MENU]}):
        every = every.join(pl.DataFrame(part), how="cross", maintain_order="left_right")
    known = expected(world, every, WEEK, 1)["gain_cents"].to_numpy().reshape(customers, number, 3)
    assert np.allclose(known, true_gain[:, :number, [1, 3, 5]])
    price = believed.price_P
    value_NT = (units * price) @ member
    margin = ((units * (price - cents_off(price, shelf) - believed.cost_P)) @ member).sum(0) / value_NT.sum(0)
    percents = np.array(RULES.percents)
    legal = percents / 100 <= np.minimum(margin - FLOOR, RULES.max_share)[:, None] + 1e-9
    for t, (a, b) in enumerate(pairs, len(targets) - len(pairs)):
        legal[t] = legal[a] & legal[b]  # both must keep the floor
    return Case(shop, believed, targets, member, gain, cost, true_gain, true_cost, margin, legal, value_NT)


def effects(view, shop: SimulatedShop, shelf: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gain and cost N x T x D in closed form; `view` is what is believed, or true."""
    units, pull_N, take = view
    price, cost = (shop.world.products[name].to_numpy() for name in ("price_cents", "cost_cents"))
    plain_NT = (units * (price - cents_off(price, shelf) - cost)) @ member
    gains, costs = [], []
    for depth in np.array(RULES.percents) / 100:
        chance, lift = np.reshape(take(depth), (-1, 1)), np.exp(pull_N * depth)[:, None]
        costs.append(chance * lift * ((units * cents_off(price, depth)) @ member))
        gains.append(chance * (lift - 1) * plain_NT - costs[-1])
    return np.stack(gains, axis=2), np.stack(costs, axis=2)


def curve(case: Case, open_NTD: np.ndarray) -> np.ndarray:
    """True spend, true gain, believed spend at falling prices, when each customer gets his best offer at the price."""
    n = len(open_NTD)
    may = (open_NTD & case.legal_TD).reshape(n, -1)
    few = np.argsort(~may, axis=1, kind="stable")[:, : may.sum(1).max()]
    gain, cost, true_gain, true_cost, may = (
        np.take_along_axis(table.reshape(n, -1), few, axis=1)
        for table in (case.gain, case.cost, case.true_gain, case.true_cost, may)
    )
    rows, out = np.arange(n), []
    for price in PRICES[::-1]:
        score = np.where(may, gain - price * cost, -np.inf)
        k = score.argmax(1)
        took = score[rows, k] > 0
        out.append([np.where(took, table[rows, k], 0.0).sum() for table in (true_cost, true_gain, cost)])
    return np.array([[0.0, 0.0, 0.0], *out])


def at(points: np.ndarray, spend: float, axis: int = 0) -> np.ndarray:
    """The curve where column `axis` is `spend`; between two prices their plans are mixed."""
    return np.array([np.interp(spend, points[:, axis], points[:, j]) for j in range(3)])


def among(case: Case, scopes: tuple[str, ...], percents: tuple[int, ...] = RULES.percents) -> np.ndarray:
    """All offers on these scopes at these percents."""
    scope = np.array([name in scopes for name, _ in case.targets])
    return np.broadcast_to(scope[:, None] & np.isin(RULES.percents, percents), case.gain.shape)


def best(case: Case, may: np.ndarray, price: float, most: int = LINES) -> np.ndarray:
    """Of the offers that may be, those of the few lines that add most by what is believed at the menu's price."""
    scope = np.array([name for name, _ in case.targets])
    menu = among(case, ("category",), MENU) & case.legal_TD
    net = case.gain - price * case.cost
    parts = []
    for kind in dict.fromkeys(scope):
        for d, percent in enumerate(RULES.percents):
            if kind == "category" and percent in MENU:
                continue
            of_line = np.where((may & case.legal_TD)[:, scope == kind, d], net[:, scope == kind, d], -np.inf).max(1)
            parts.append(told(case, f"{kind}-{percent}", of_line))
    lines = best_lines(told(case, "menu", np.where(menu, net, -np.inf).max((1, 2))), pl.concat(parts), 0.0, most, LEAST)
    kept = np.array([[f"{name}-{percent}" in lines for percent in RULES.percents] for name in scope])
    return may & kept


def told(case: Case, line: str, net: np.ndarray) -> pl.DataFrame:
    """Each customer's best of a line, as the candidates that `best_lines` reads."""
    return pl.DataFrame(
        {"customer_id": case.shop.world.customer_ids, "offer_id": line, "menu_id": line, "eligible": np.isfinite(net),
         "gain_cents": np.where(np.isfinite(net), net, 0.0), "cost_cents": 0.0}
    )  # fmt: skip


def random_open(case: Case, keep: int) -> np.ndarray:
    """`keep` legal offers for each customer, drawn evenly."""
    score = hash_units((case.shop.settings.seed, "random"), range(case.gain.size)).reshape(len(case.gain), -1)
    score[:, ~case.legal_TD.ravel()] = -1
    may = np.zeros_like(score, dtype=bool)
    np.put_along_axis(may, np.argsort(-score, axis=1)[:, :keep], True, axis=1)
    return may.reshape(case.gain.shape)


def accepted(shop: SimulatedShop) -> pl.DataFrame:
    """What was bought with a coupon: category and percent; because: another category of the same basket."""
    products = shop.products.select("product_id", "category")
    bought = (
        shop.events.filter(pl.col("kind") == "purchase").join(products, on="product_id").sort("order_id", "product_id")
    )
    other = (
        bought.filter(pl.col("coupon_cents") == 0).group_by("order_id").agg(pl.col("category").first().alias("because"))
    )
    rows = (
        bought.filter(pl.col("coupon_cents") > 0)
        .join(other, on="order_id", how="left")
        .unique(["order_id", "category"])
    )
    return PROPOSALS.conform(
        rows.sort("order_id", "category").select(
            "customer_id", pl.lit("category").alias("scope"), pl.col("category").alias("target"), "because",
            pl.lit("percent_off").alias("benefit"),
            ((20 * pl.col("coupon_cents") / pl.col("list_cents")).round().cast(pl.Int64) * 5).alias("percent"),
            pl.lit(0).alias("amount_cents"), pl.lit(0).alias("min_spend_cents"),
            pl.lit(7 * shop.settings.campaign_weeks).alias("valid_days"), "channel",
            pl.from_epoch("ts_ms", "ms").dt.convert_time_zone(shop.settings.timezone).dt.hour().cast(pl.Int64).alias("hour"),
        )
    )  # fmt: skip


def market_of(case: Case, named: bool = False) -> Market:
    """The shop as the generator sees it: beliefs, prices and sums of purchases; `named` also which category it is.

    A slot is a category, a product or everything.
    """
    t = sum(kind != "pair" for kind, _ in case.targets)
    n, worth = len(case.worth_NT), case.worth_NT[:, :t]
    value = np.log1p(worth)
    scope = np.array([["category", "product", "all"].index(s) for s, _ in case.targets[:t]])
    item = np.stack(
        [value, value - value[:, -1:], np.broadcast_to(case.margin_T[:t], (n, t)), *(np.broadcast_to(scope == k, (n, t)) for k in range(3))], axis=2,
    )  # fmt: skip
    cats = case.shop.settings.categories
    if named:
        own = (case.member_PT[:, :t].T @ case.member_PT[:, :cats] > 0) & (scope != 2)[:, None]
        item = np.concatenate([item, np.broadcast_to(own, (n, *own.shape))], axis=2)
    return Market(
        customer_ids=tuple(case.shop.world.customer_ids),
        slots=case.targets[:t],
        slot_NS=np.broadcast_to(np.arange(t), (n, t)).copy(),
        x_NF=np.c_[np.log(case.believed.response_N), value[:, -1], value[:, :cats]],
        item_NSI=item,
        open_NSD=np.broadcast_to(case.legal_TD[:t], (n, t, len(RULES.percents))),
        bought_NS=(worth > 0) & (scope == 0),
        basket_N=np.full(n, np.nan),
        kind_K=np.array([True, False, False]),
    )


def proposed_open(case: Case, proposals: pl.DataFrame) -> np.ndarray:
    """Proposals, made legal, as a mask."""
    place = {target: t for t, target in enumerate(case.targets)}
    number = {who: n for n, who in enumerate(case.shop.world.customer_ids)}
    told = pl.DataFrame(
        {"scope": [s for s, _ in case.targets], "target": pl.Series([t for _, t in case.targets], dtype=pl.String),
         "margin_rate": case.margin_T, "supplier_share": 0.0, "shelf_depth": 0.0}
    )  # fmt: skip
    fine = repair(proposals.join(told, on=["scope", "target"], how="left", nulls_equal=True), RULES, FLOOR)
    may = np.zeros(case.gain.shape, dtype=bool)
    for who, scope, target, percent in fine.select("customer_id", "scope", "target", "percent").iter_rows():
        may[number[who], place[(scope, target)], RULES.percents.index(percent)] = True
    return may


LAYOUT = Layout(RULES.percents, RULES.valid_days, RULES.channels)


def learn(case: Case, named: bool = False, offers: pl.DataFrame | None = None, **settings):
    """A generator trained on the shop's accepted offers, or on some of them."""
    from promolift.offer.generator import GeneratorSettings, fit_generator

    return fit_generator(
        market_of(case, named), accepted(case.shop) if offers is None else offers, LAYOUT, GeneratorSettings(**settings)
    )


def shop_row(seed: int, customers: int, steps: int) -> dict[str, float]:
    """Gain over the menu's, less 1, of every way at every budget, at the menu's true spend; and counts."""
    case = case_of(seed, customers)
    menu = among(case, ("category",), MENU)
    start = cpu()
    made = learn(case, steps=steps, seed=seed)
    row = {"CPU": cpu() - start}
    drafts = made.propose(market_of(case), DRAWS, seed)
    drawn, every = proposed_open(case, drafts), among(case, ("category", "product", "all", "pair"))
    single, drawn_by_lot = among(case, ("category", "product", "all")), random_open(case, DRAWS)
    of_menu = curve(case, menu)
    always = {"random": random_open(case, KEEP), "gan, all that it draws": drawn, "all offers of the grid": every}
    curves = {name: curve(case, menu | way) for name, way in always.items()}
    for budget in BUDGETS:
        price = float(np.interp(budget * customers, of_menu[1:, 2], PRICES[::-1]))  # where the menu alone is planned
        ways = {
            "grid": best(case, every, price),
            "grid, one line": best(case, every, price, 1),
            "grid without pairs": best(case, single, price),
            "gan": best(case, drawn, price),
            "random, lines chosen by the effect model": best(case, drawn_by_lot, price),
        }
        spend, gain, _ = at(of_menu, budget * customers, 2)
        for name, points in (curves | {name: curve(case, menu | way) for name, way in ways.items()}).items():
            row[f"{name} @ {budget}"] = float(at(points, spend)[1] / gain - 1)
        row |= {f"menu @ {budget}": float(gain / customers), f"spend @ {budget}": float(spend / customers)}
    row["distinct drawn"] = drafts.select(pl.struct(pl.exclude("customer_id")).n_unique()).item() * 1000 / customers
    return row


def fidelity(customers: int, steps: int, epochs: int) -> None:
    """How like accepted offers the drawn ones are, for customers held out; CTGAN learns from the same training rows."""
    case = case_of(1, customers)
    market, real = market_of(case, named=True), accepted(case.shop)
    held = hash_units((0, "held out"), market.customer_ids) < 0.2
    who = real["customer_id"].replace_strict(market.customer_ids, range(customers), return_dtype=pl.Int64).to_numpy()
    told = told_rows(real, market, who)
    mine, test = told.filter(~pl.Series(held[who])), told.filter(pl.Series(held[who]))
    start = cpu()
    some = real.filter(~pl.Series(held[who]))
    net = learn(case, named=True, offers=some, steps=steps, critic_steps=2, learning_rate=1e-3)
    line = {"figure": "CPU of promolift", "value": round(cpu() - start, 1), "unit": "CPU s", "n": mine.height}
    print(json.dumps(line))
    number, times = np.unique(who[held[who]], return_counts=True)
    drawn = [net.draw(market, number[times == k], 0, int(k)) for k in np.unique(times)]
    asked = np.concatenate([np.repeat(number[times == k], k) for k in np.unique(times)])
    made = {"promolift": told_rows(pl.concat(drawn), market, asked)}
    peer = ctgan(mine, test.height, epochs)
    if peer is not None:
        made["CTGAN"] = peer
    made["training rows themselves"] = mine.sample(test.height, seed=0)
    for name, rows in made.items():
        judge(name, rows, test, mine)


def told_rows(offers: pl.DataFrame, market: Market, who: np.ndarray) -> pl.DataFrame:
    """An offer and what is known of its customer, as a flat table."""
    return offers.select(
        pl.col("target").fill_null("everything"), pl.col("because").fill_null("nothing"), pl.col("percent").cast(pl.String),
        pl.col("valid_days").cast(pl.String), pl.col("channel").fill_null("none"), "hour",
        response=market.x_NF[who, 0], spend=market.x_NF[who, 1],
    )  # fmt: skip


def ctgan(rows: pl.DataFrame, number: int, epochs: int) -> pl.DataFrame | None:
    """CTGAN's rows, from its own interpreter."""
    python = os.environ.get("OFFER_PEER")
    if not python:
        print("CTGAN left out: set OFFER_PEER to a Python that has the package ctgan", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "rows.csv"), Path(folder, "drawn.csv")
        rows.write_csv(source)
        script = Path(__file__).with_name("offer_peers.py")
        subprocess.run([python, str(script), str(source), str(target), str(number), str(epochs)], check=True)
        types = dict(zip(rows.columns, rows.dtypes, strict=True))
        return pl.read_csv(target, schema_overrides=types)


def judge(name: str, rows: pl.DataFrame, test: pl.DataFrame, mine: pl.DataFrame) -> None:
    """AUC of boosted trees that tell `rows` from held-out ones (5 folds), and coverage of the held-out ones."""
    import lightgbm
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    both = pl.concat([test, rows.select(test.columns)]).to_dummies(
        [c for c, kind in test.schema.items() if kind == pl.String]
    )
    y = np.r_[np.ones(test.height), np.zeros(rows.height)]
    data = "simulated shop, accepted coupons of held-out customers"
    for what, columns in (
        (
            "offer",
            [
                c
                for c in both.columns
                if c.split("_")[0] in ("target", "because", "percent", "valid", "channel", "hour")
            ],
        ),
        ("offer and customer", both.columns),
    ):
        x = both.select(columns).cast(pl.Float64).to_numpy()
        prob = np.zeros(len(y))
        for train, at in StratifiedKFold(5, shuffle=True, random_state=0).split(x, y):
            options = {"objective": "binary", "num_threads": 1, "deterministic": True, "verbose": -1, "num_leaves": 15}
            prob[at] = np.asarray(lightgbm.train(options, lightgbm.Dataset(x[train], y[train]), 60).predict(x[at]))
        auc = float(roc_auc_score(y, prob))
        q1, q2 = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2  # Hanley & McNeil 1982
        spread = auc * (1 - auc) + (test.height - 1) * q1 + (rows.height - 1) * q2
        se = float(np.sqrt(spread / (test.height * rows.height)))
        print(
            json.dumps(
                {
                    "figure": f"real against drawn, AUC by {what}: {name}",
                    "value": round(auc, 4),
                    "se": round(se, 4),
                    "unit": "share",
                    "peer": "cannot be told apart",
                    "peer_value": 0.5,
                    "n": test.height,
                    "data": data,
                }
            ),
            flush=True,
        )
        cover = coverage(x[y == 1], x[y == 0])
        print(
            json.dumps(
                {
                    "figure": f"coverage of real {what}s: {name}",
                    "value": round(cover, 4),
                    "se": round(float(np.sqrt(cover * (1 - cover) / test.height)), 4),
                    "unit": "share",
                    "peer": "",
                    "peer_value": None,
                    "n": test.height,
                    "data": data,
                }
            ),
            flush=True,
        )


def coverage(real: np.ndarray, drawn: np.ndarray, k: int = 5) -> float:
    """Share of real rows with a drawn row within the distance of their k-th real neighbour (Naeem et al. 2020)."""
    from scipy.spatial.distance import cdist

    scale = real.std(0) + 1e-9
    scale[scale < 0.05] = 1.0
    radius = np.partition(cdist(real / scale, real / scale), k, axis=1)[:, k]
    return float((cdist(real / scale, drawn / scale).min(1) <= radius + 1e-9).mean())


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def say(
    figure: str, values: np.ndarray | float, unit: str, n: int, data: str, peer: tuple[str, float] | None = None
) -> None:
    """One JSON line; of several values the mean, its standard error and the 95 % interval over shops."""
    many = np.atleast_1d(np.asarray(values, dtype=float))
    se = float(many.std(ddof=1) / np.sqrt(many.size)) if many.size > 1 else None
    half = se * stats.t.ppf(0.975, many.size - 1) if se is not None else None
    told = {
        "figure": figure, "value": round(float(many.mean()), 4), "se": None if se is None else round(se, 4), "unit": unit,
        "interval": None if half is None else [round(float(many.mean()) - half, 4), round(float(many.mean()) + half, 4)],
        "peer": peer[0] if peer else None, "peer_value": round(peer[1], 4) if peer else None, "n": n, "data": data,
    }  # fmt: skip
    print(json.dumps(told), flush=True)


def report(rows: list[dict[str, float]], customers: int) -> None:
    data, n = f"simulated shops, {customers} customers", len(rows)

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows])

    for budget in BUDGETS:
        menu = ("menu alone, cents a customer", float(column(f"menu @ {budget}").mean()))
        ways = [name.removesuffix(f" @ {budget}") for name in rows[0] if name.endswith(f" @ {budget}")]
        for way in ways:
            if way not in ("menu", "spend"):
                what = f"true gain over the menu at equal true spend, budget {budget} cents a customer: {way}"
                say(what, column(f"{way} @ {budget}"), "share", n, data, menu)
        for one, other in (("gan", "grid without pairs"), ("gan, all that it draws", "grid"), ("grid", "random")):
            gap = column(f"{one} @ {budget}") - column(f"{other} @ {budget}")
            told = (other, float(column(f"{other} @ {budget}").mean()))
            say(f"the same, budget {budget}: {one} minus {other}", gap, "share", n, data, told)
    say(
        "distinct complete offers drawn per 1,000 customers, 32 draws each", column("distinct drawn"), "offers", n, data
    )
    say("training of one generator", column("CPU"), "CPU s", n, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and small shops")
    parser.add_argument("--shops", nargs=2, type=int, default=None, metavar=("FIRST", "LAST"))
    parser.add_argument("--part", nargs="*", default=["shops", "fidelity"], choices=["shops", "fidelity"])
    parser.add_argument("--rows", help="file the shops' rows are kept in, to be added up over parts")
    told = parser.parse_args()
    customers, steps, last = (500, 100, 3) if told.quick else (1000, 300, 20)
    if "shops" in told.part:
        first, last = told.shops or (1, last)
        rows = []
        for seed in range(first, last + 1):
            rows.append(shop_row(seed, customers, steps))
            if told.rows:
                with Path(told.rows).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"seed": seed} | rows[-1]) + "\n")
        report(rows, customers)
    if "fidelity" in told.part:
        fidelity(*((1000, 200, 20) if told.quick else (3000, 1600, 300)))


if __name__ == "__main__":
    sys.path.pop(0)  # torch imports the standard library's `profile`; beside this script lies another
    import torch

    torch.set_num_threads(1)
    main()
