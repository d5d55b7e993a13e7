"""Ask for every planned customer's decision on each day of an offer's life, and compare it with plan.csv.

    python benchmarks/server/served_days.py            # 500 customers, 28 days and 3 days past the end
    python benchmarks/server/served_days.py --quick    # 60 customers, the first and last days

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. The shop is simulated; `promolift` plans it, and
the server's own HTTP interface answers in this process under a clock that is moved from day to day. Compared are the
offer, its benefit, its target, minimum and dates in the decision and in `:explain`; the message on days 1 to 7; and what
is served after an offer's end. On the fourth day every third customer buys the product that they buy most.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))

from serve_helpers import Api, released, serving  # noqa: E402

from promolift.core.experiments.prediction_metrics import wilson_interval  # noqa: E402
from promolift.core.offers.terms import covered_targets  # noqa: E402
from promolift.extensions.simulation.offline import monthly_budget, render_settings  # noqa: E402
from promolift.extensions.simulation.worlds.simulated_worlds import GoodsWorld  # noqa: E402
from promolift.foundation.localized_text import CATEGORY_SEPARATOR  # noqa: E402
from promolift.foundation.time.clock import DAY_MS, HOUR_MS  # noqa: E402
from promolift.shop.pipeline.shop import Shop  # noqa: E402

DAYS, PAST_THE_END, BUYING_DAY = 28, 3, 3
LINES = ((10, "all", 28), (10, "category", 7), (20, "all", 21), (20, "category", 14))  # percent, scope, days
MENU = """[[menu]]
id = "lower-{0}-{1}"
benefit = {{ type = "percent_off", percent = {0} }}
scope = "{1}"
valid_days = {2}
"""
REMINDER = """[[menu]]
id = "reminder"
benefit = { type = "reminder" }
"""


def plan_shop(folder: Path, customers: int) -> list[dict[str, Any]]:
    """Plan a simulated shop until so many customers are planned; return their rows of plan.csv."""
    world = GoodsWorld(11, 10 * customers)
    world.events.write_parquet(folder / "events.parquet")
    world.products.write_csv(folder / "products.csv")
    text = render_settings(world, round(6 * monthly_budget(world)), test_share=0.5).partition("[[menu]]")[0]
    text = text.replace("[plan]\n", f'[plan]\nmin_evidence = "assumed"\nwindow_days = {DAYS}\n')
    text += REMINDER + "".join(MENU.format(*line) for line in LINES)
    (folder / "promolift.toml").write_text(text, encoding="utf-8")
    with Shop.open(folder / "promolift.toml", work=folder / "work") as shop:
        shop.plan()
        shop.step("message", "evaluate", "report", out=folder / "out")
    rows = pl.read_csv(folder / "out" / "plan.csv", try_parse_dates=True).filter(pl.col("status") == "offer")
    bought = world.events.group_by("customer_id").agg(pl.col("product_id").mode().sort().first().alias("favourite"))
    return rows.join(bought, on="customer_id").sort("customer_id").head(customers).to_dicts()


def differences(served: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """Return what an offer as served says otherwise than its row of plan.csv."""
    benefit = served["benefit"]
    said = {
        "offer_id": served["id"],
        "benefit": benefit["type"],
        "percent": benefit.get("percent") or None,
        "scope": served["scope"],
        "min_spend": served["min_spend_cents"] / 100,
        "target_ids": CATEGORY_SEPARATOR.join(covered_targets(served["covers"])) or None,
        "activation": served["activation"],
        **{name: datetime.fromisoformat(served[name]).date() for name in ("starts", "expires")},
    }
    return [f"{name}: {value} for {row[name]}" for name, value in said.items() if value != row[name]]


def ask_daily(api: Api, planned: list[dict[str, Any]], days: list[int]) -> Iterator[tuple[int, dict[str, Any], Any]]:
    """Yield day, row of plan.csv and decision, each planned customer on each day."""
    clock, first = api.server.clock, min(row["starts"] for row in planned)
    begin_ms = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp() * 1000)
    for day in days:
        clock.behind_ms, clock._last_ms = 0, 0
        clock.behind_ms = clock.now_ms() - begin_ms - day * DAY_MS - 9 * HOUR_MS
        if day == days[0]:
            released(api)
        if day == BUYING_DAY:
            for row in planned[::3]:
                line = {"product_id": row["favourite"], "price": 5.0, "quantity": 1}
                said = {"event": "Order Completed", "userId": row["customer_id"], "properties": {"products": [line]}}
                api("POST", "/v1/track", said | {"messageId": f"m-{row['customer_id']}"}, status=None)
        for row in planned:
            asked = {"customer_id": row["customer_id"], "campaign_id": "made-up", "language": "en"}
            yield day, row, api("POST", "/v1/decisions", asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer customers, the first and the last days")
    quick = parser.parse_args().quick
    days = [0, 1, BUYING_DAY, 7, 14, DAYS - 1, DAYS, DAYS + 1] if quick else [*range(DAYS + PAST_THE_END)]
    unlike, late, rested, told, asked = Counter[str](), 0, 0, list[bool](), 0
    with tempfile.TemporaryDirectory() as name:
        planned = plan_shop(Path(name), 100 if quick else 500)
        with serving(Path(name) / "work") as api:
            for day, row, made in ask_daily(api, planned, days):
                asked += 1
                if row["starts"] + timedelta(days=day) > row["expires"]:
                    late += made["offer_id"] != "none"
                    continue
                if made["offer"] is None and day >= BUYING_DAY and row in planned[::3] and row["target_ids"]:
                    rested += 1  # who has just bought it is not asked to buy it
                    continue
                explained = api("GET", f"/v1/decisions/{made['decision_id']}:explain")
                unlike.update(differences(made["offer"], row) if made["offer"] else [f"no offer: {made['reason']}"])
                unlike["explained otherwise"] += any(
                    explained.get(each) != made.get(each) for each in ("offer", "angle")
                )
                told += [made["message"] == row["message_en"]] if 1 <= day <= 7 else []
    print(f"unlike plan.csv: {dict(+unlike)}", file=sys.stderr)
    data = f"simulated shop, {len(planned)} planned customers, {len(days)} days, {asked} decisions"
    tell("decisions unlike plan.csv or explained otherwise", unlike.total(), "decisions", asked, data)
    tell("decisions with an offer after its end", late, "decisions", asked, data)
    tell("decisions without the offer, its goods being bought", rested, "decisions", asked, data)
    low, high = wilson_interval(sum(told), len(told))
    share, se = sum(told) / len(told), (high - low) / 3.92
    tell("planned message still told, days 1 to 7", share, "share", len(told), data, se)


def tell(figure: str, value: float, unit: str, n: int, data: str, se: float | None = None) -> None:
    line = {"figure": figure, "value": round(value, 4), "se": se and round(se, 4), "unit": unit}
    print(json.dumps(line | {"peer": None, "peer_value": None, "n": n, "data": data}), flush=True)


if __name__ == "__main__":
    main()
