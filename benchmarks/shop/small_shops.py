"""Small shops through three windows, by the product's own commands: what is sent, what is said, what is known then.

    python benchmarks/shop/small_shops.py                              # 300, 800 and 3,000 customers
    python benchmarks/shop/small_shops.py --customers 300 --world fatigue
    python benchmarks/shop/small_shops.py --customers 20000 --windows 2    # CPU of a month
    python benchmarks/shop/small_shops.py --quick                      # one window of 300 customers

A shop of extensions/simulation/worlds/daily_worlds.py writes its log; `init`, `plan`, `learn` and `learn approve` run on it;
its customers answer by a mechanism that the product does not know. Prints JSON lines: offers sent in each window, with the
sentences of the plan, what is known of each arm (cents per customer over the horizon) when it is over, and the CPU time
of a month: `learn`, `learn approve` and `plan`, child processes included, reading the files too. All is simulated.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from promolift.extensions.simulation.worlds.daily_shop import DailyShop, SentOffers
from promolift.extensions.simulation.worlds.daily_worlds import WORLDS, draw_daily_shop
from promolift.foundation.errors import PromoError
from promolift.foundation.progress import no_progress
from promolift.shop.configuration.configuration import load_config
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.feedback.proposal import ProposalLocation, approve_proposal
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.active_release import load_approved_release

MONTH_DAYS, WINDOWS = 31, 3  # a window of 28 days and a few more, in which a small shop has an order


def write_files(shop: DailyShop, folder: Path) -> None:
    """The shop's log, and who agreed to be written to."""
    lines = shop.log.join(shop.products.select("product_id", "category"), on="product_id", how="left")
    lines.select(
        "order_id", "customer_id", pl.from_epoch("ts_ms", "ms").dt.strftime("%Y-%m-%d %H:%M:%S").alias("time"),
        "product_id", "category", "quantity", amount=pl.col("paid_cents") / 100, list_amount=pl.col("list_cents") / 100,
    ).write_csv(folder / "log.csv")  # fmt: skip
    pl.DataFrame({"customer_id": shop.customer_ids, "consent": ~shop.unsubscribed_N}).write_csv(folder / "people.csv")


def sent_offers(shop: DailyShop, chosen: pl.DataFrame) -> SentOffers:
    """A plan's offers as the shop's customers meet them."""
    size = len(shop.customer_ids)
    place, names = {who: at for at, who in enumerate(shop.customer_ids)}, list(shop.traits.catalogue.names)
    send, category = np.full(size, -1), np.full(size, -1)
    depth, amount, spend, free = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size, np.bool_)
    for row in chosen.iter_rows(named=True):
        at = place[row["customer_id"]]
        send[at], depth[at] = 0, row["depth"] or 0.0
        amount[at], spend[at] = row["amount_cents"] or 0.0, row["min_spend_cents"] or 0.0
        free[at] = row["benefit"] == "free_shipping"
        category[at] = names.index(row["target"]) if row["target"] in names else -1
    return SentOffers(send, depth, amount, spend, free, category)


def learn(folder: Path) -> str:
    """Learn from the last window and approve what follows; what stands against it, if anything."""
    config, work, learned = folder / "promolift.toml", folder / "work", folder / "learned"
    with Shop.open(config, work=work) as shop:
        shop.step("ingest")
    try:
        run_learn(Request(None, None, work, learned, config, LearnSettings()), no_progress)
        approve_proposal(ProposalLocation(load_config(config), work, learned))
    except PromoError as error:
        return f"{error.code}: {error}"
    return ""


def print_arms(folder: Path, campaign: str, window: int, data: str, against: str) -> None:
    """Print what is believed of each arm: cents per customer over the horizon, and how many drew it."""
    with Shop.open(folder / "promolift.toml", work=folder / "work") as shop:
        release = load_approved_release(shop.store, campaign)
    for each in release.effects if release else ():
        line = {"figure": f"{each.arm} for {each.group}, after window {window}", "value": round(each.net_cents),
                "se": round(each.net_se_cents), "unit": "cents per customer", "peer": "nothing sent", "peer_value": 0,
                "n": each.n_arm + each.n_none, "data": data, "drew": each.n_arm, "pays": round(each.pays, 2),
                "next_share": round(each.prob or 0.0, 2), "against": against}  # fmt: skip
        print(json.dumps(line), flush=True)


def cpu_s() -> float:
    """CPU time of this process and its children so far."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def live(world: str, customers: int, seed: int, windows: int) -> None:
    """One shop through its windows."""
    shop = draw_daily_shop(world, seed, customers)  # type: ignore[arg-type]
    data = f"simulated shop '{world}', {customers:,} customers, seed {seed}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "promolift.toml"
        for window in range(1, windows + 1):
            write_files(shop, folder)
            files = {"events": folder / "log.csv", "customers": folder / "people.csv"}
            if window == 1:
                init(files, config, False, (), SetupAnswers(currency="USD", languages=("en",)))
            begin = cpu_s()
            against = learn(folder) if window > 1 else ""
            learned_s = cpu_s() - begin
            if window > 1:
                print_arms(folder, "cmp_1", window - 1, data, against)
            begin = cpu_s()
            with Shop.open(config, work=folder / "work") as mine:
                plan = mine.plan()
                chosen = Plan.load(mine.store).chosen
            planned_s = cpu_s() - begin
            sent = {"figure": f"offers sent in window {window}", "value": chosen.height, "se": 0, "unit": "customers",
                    "peer": None, "peer_value": None, "n": plan.note.customers, "data": data,
                    "lines": dict(chosen["menu_id"].value_counts().iter_rows()),
                    "budget_cents": plan.note.budget_cents, "said": plan.note.why}  # fmt: skip
            print(json.dumps(sent), flush=True)
            cpu = {"figure": f"CPU of month {window}", "value": round(learned_s + planned_s, 1), "se": 0, "unit": "CPU s",
                   "peer": "aim at 20,000 customers", "peer_value": 60, "n": plan.note.customers, "data": data,
                   "learn_s": round(learned_s, 1), "plan_s": round(planned_s, 1)}  # fmt: skip
            print(json.dumps(cpu), flush=True)
            shop.advance(MONTH_DAYS, sent_offers(shop, chosen))
        write_files(shop, folder)
        against = learn(folder)
        print_arms(folder, "cmp_1", windows, data, against)


def main() -> None:
    """Live through every shop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[300, 800, 3000])
    parser.add_argument("--world", choices=WORLDS, default="fashion")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--quick", action="store_true", help="one window of 300 customers")
    asked = parser.parse_args()
    for customers in [300] if asked.quick else asked.customers:
        live(asked.world, customers, asked.seed, 1 if asked.quick else asked.windows)


if __name__ == "__main__":
    main()
