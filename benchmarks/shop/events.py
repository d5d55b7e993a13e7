"""A made-up log of events in; what it costs to clean and to profile at three moments out.

    python benchmarks/shop/events.py [--quick] [--rows N] [--log receipts|clicks|journey] [--format csv|parquet]
                                [--base CHECKOUT] [--keep FOLDER]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Each step runs as the product runs it, in a
process of its own; CPU is user and system seconds of it and its children after the imports, memory its peak. The peer
is the same step of another checkout (`--base`), and then the largest difference between the tables that both keep, too;
without one, a plain DuckDB query that does less.

`receipts`: a grocer's 20,000 products in 300 categories, N / 60 customers, two years, about six lines a receipt, half
of them from the customer's own list, weekly discounts, campaigns, refunds. `clicks`: an online shop without a catalogue,
N / 100 customers, a year, three views of every five rows. `journey`: the Complete Journey (1.5 million rows). Rows come
from hashes, so every run has the same ones; 1 % have no customer, 0.5 % no readable time, 1 % are duplicates, 0.2 %
impossible prices.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb

CLICKS = """
    with made as (
        select i, hash(i) as h, hash(i, 'b') as g from range($rows) t(i)),
    same as (  -- one row in a hundred repeats the row before it
        select if(h % 100 = 0 and i > 0, i - 1, i) as i from made),
    drawn as (
        select i, hash(i) as h, hash(i, 'b') as g, hash(i, 'c') as k from same)
    select
        if(g % 100 = 1, null, 'u' || cast(floor(power((h % 1000003) / 1000003.0, 2) * $customers) as bigint))
            as user_id,
        if(g % 200 = 2, 'n/a', strftime(
            timestamp '2023-01-01' + to_seconds(cast((k % 31536000) as bigint)), '%Y-%m-%d %H:%M:%S')) as event_time,
        case when k % 10 < 6 then 'view' when k % 10 < 8 then 'cart' else 'purchase' end as event_type,
        'p' || cast(floor(power((g % 1000003) / 1000003.0, 3) * 50000) as bigint) as product_id,
        if(k % 10 < 8, null, 'o' || (h % 100000000)) as order_id,
        1 + (h % 4) as quantity,
        printf('%.2f', if(g % 500 = 3, -5.0, 0.5 + (k % 20000) / 100.0)) as price,
        printf('%.2f', if(h % 3 = 0, 0.3, 0.0)) as discount
    from drawn
"""
RECEIPTS = """
    with made as (
        select if(hash(i) % 100 = 0 and i > 0, i - 1, i) as i from range($rows) t(i)),
    bought as (  -- a receipt r has about six lines; its customer, hour and store are drawn once
        select i, hash(i, 'a') as h, hash(i, 'b') as g, hash(r, 'c') as c, hash(r, 'd') as d, r,
            floor(power((c % 1000003) / 1000003.0, 1.5) * $customers)::bigint as who,
            d % 730 as day
        from (select i, (i + hash(i // 6, 'r') % 3) // 6 as r from made)),
    chosen as (
        select *, if(h % 2 = 0, hash(who, 'own', g % 30), hash(g, 'any')) as pick from bought),
    priced as (
        select *, floor(power((pick % 1000003) / 1000003.0, 2) * 20000)::bigint as product from chosen),
    cut as (
        select *, (99 + hash(product, 'price') % 1500)::int as cents, (1 + (g // 64) % 8 // 6)::int as units,
            if(hash(product, day // 7, 'deal') % 8 = 0, 10 + 10 * (hash(product, day // 7, 'deep') % 3), 0)::int as percent
        from priced)
    select
        if(g % 100 = 1, null, 'C' || lpad(who::varchar, 8, '0')) as customer,
        if(g % 200 = 2, 'n/a', strftime(timestamp '2023-01-01' + to_days(day::int) + to_minutes((480 + (d // 730) % 780)::int),
            '%Y-%m-%d %H:%M:%S')) as sold_at,
        'R' || lpad(r::varchar, 10, '0') as receipt,
        'SKU' || lpad(product::varchar, 6, '0') as sku,
        if(g % 300 = 7, -units, units) as quantity,
        printf('%.2f', if(g % 300 = 7, -1, 1) * if(g % 500 = 3, -5.0, units * cents * (100 - percent) / 10000.0)) as paid,
        printf('%.2f', units * cents * percent / 10000.0) as discount,
        if(h % 50 = 1 and cents > 200, '1.00', '0.00') as coupon,
        'S' || (c // 7 % 40) as store, if(d % 9 = 0, 'web', 'store') as channel
    from cut
"""
PRODUCTS = """
    select 'SKU' || lpad(i::varchar, 6, '0') as sku, 'Product ' || i as name, 'Category ' || (i % 300) as category,
        'Type ' || (i % 2000) as kind, if(hash(i, 'brand') % 4 = 0, 'Private', 'Brand ' || hash(i, 'brand') % 500) as brand,
        printf('%.2f', (99 + hash(i, 'price') % 1500) / 100.0) as price
    from range(20000) t(i)
"""
PROMOTIONS = """
    select 'C' || lpad(who::varchar, 8, '0') as customer, 'K' || k as campaign,
        strftime(timestamp '2023-03-01' + to_days((k * 60)::int), '%Y-%m-%d') as starts,
        strftime(timestamp '2023-03-29' + to_days((k * 60)::int), '%Y-%m-%d') as ends,
        if(hash(who, k) % 15 = 0, strftime(timestamp '2023-03-10' + to_days((k * 60)::int), '%Y-%m-%d'), null) as used
    from range($customers) t(who), range(10) c(k) where hash(who, k) % 3 = 0
"""
LOGS = {"clicks": CLICKS, "receipts": RECEIPTS}
PER = {"clicks": 100, "receipts": 60}  # rows to a customer
CLICK_ROLES = {"customer_id": "user_id", "time": "event_time", "kind": "event_type", "product_id": "product_id",
    "order_id": "order_id", "quantity": "quantity", "unit_price": "price", "shelf_discount": "discount"}  # fmt: skip
RECEIPT_ROLES = {"customer_id": "customer", "time": "sold_at", "order_id": "receipt", "product_id": "sku",
    "quantity": "quantity", "amount": "paid", "shelf_discount": "discount", "coupon_discount": "coupon",
    "store_id": "store", "channel": "channel"}  # fmt: skip
PRODUCT_ROLES = {"product_id": "sku", "name": "name", "category": "category", "type": "kind", "brand": "brand",
    "price": "price"}  # fmt: skip
PROMOTION_ROLES = {"customer_id": "customer", "campaign_id": "campaign", "start": "starts", "end": "ends",
    "redeemed_at": "used"}  # fmt: skip
STEPS = {
    "ingest": "cleaning",
    "profile": "profiling at three moments, forecasts included",
    "effect": "discount response and redemption",
}
TABLES = ("events", "rejected", "profiles", "affinities", "interests")


def make(folder: Path, log: str, rows: int, form: str) -> dict[str, Any]:
    """Write the made-up files; returns promolift.toml's part [data]."""
    if log == "journey":
        return {"source": "complete-journey"}
    connection, events = duckdb.connect(config={"threads": 2}), folder / f"events.{form}"
    customers = max(rows // PER[log], 1)

    def write(query: str, path: Path) -> str:
        query = query.replace("$rows", str(rows)).replace("$customers", str(customers))
        connection.execute(f"copy ({query}) to '{path}'")
        return str(path)

    roles = CLICK_ROLES if log == "clicks" else RECEIPT_ROLES
    found: dict[str, Any] = {
        "events": {"path": write(LOGS[log], events), "mapping": {"columns": roles}},
        "rules": {"now_ms": 1_750_000_000_000},
    }
    if log == "receipts":
        small = (("products", PRODUCTS, PRODUCT_ROLES), ("promotions", PROMOTIONS, PROMOTION_ROLES))
        for name, query, columns in small:
            path = write(query, folder / f"{name}.csv")
            found[name] = {"path": path, "mapping": {"columns": columns}}
    return found


def step(name: str, folder: Path, root: Path) -> None:
    """One step in this process, as the product runs it, on the store in `root`."""
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.configuration.configuration import Config
    from promolift.shop.results.work_folder.run_context import Job

    for library in ("lightgbm", "numba", "scipy.optimize", "sklearn.isotonic", "sklearn.linear_model"):
        import_module(library)  # imported by a step when it first needs it, in one checkout more than in another

    config = Config.parse({"data": json.loads((folder / "data.json").read_text())}, str(folder))
    start, before = time.perf_counter(), cpu()
    with Store(root, memory=config.data.memory, threads=config.data.threads) as store:
        job = Job(config, store, lambda *told, **more: None)
        import_module(f"promolift.shop.pipeline.steps.{name}").run(job)
    print(json.dumps(cost(start, before)))


def cpu() -> float:
    """User and system seconds of this process and its children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def cost(start: float, before: float) -> dict[str, float]:
    """CPU and wall seconds since then, and the peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"CPU seconds": cpu() - before, "seconds": time.perf_counter() - start, "peak MiB": peak}


def bare(path: Path, root: Path) -> None:
    """One raw DuckDB query that reads the file with types and drops what has no customer or time."""
    start, before = time.perf_counter(), cpu()
    connection = plain(path)
    columns = [name for name, *_ in connection.execute(f"describe from '{path}'").fetchall()]
    who, when = ("user_id", "event_time") if "user_id" in columns else ("customer", "sold_at")
    connection.execute(
        f"""copy (select *, try_cast({when} as timestamp) as ts from '{path}'
            where {who} is not null and try_cast({when} as timestamp) is not null) to '{root.parent / "bare.parquet"}'"""
    )
    print(json.dumps(cost(start, before)))


QUERY = """
with days as (
    select customer_id, ts_ms // 86400000 as day, count(*) as lines, sum(revenue_cents) as money from events
    where kind = 'purchase' group by all
), gaps as (
    select *, day - lag(day) over (partition by customer_id order by day) as gap from days
), cadence as (
    select customer_id, count(*) as shopping_days, max(day) as last_day, median(gap) as cadence, stddev(gap) as sd,
        median(money) as basket, quantile_cont(money, [0.25, 0.75, 0.9]) as spread from gaps group by customer_id
), behaviour as (
    select customer_id, count(distinct order_id) as orders, count(distinct product_id) as products,
        sum(revenue_cents) as revenue, count(*) filter (kind = 'view') as views, count(*) filter (shelf_cents > 0) as deals,
        mode(ts_ms // 3600000 % 24) as hour, count(distinct order_id) filter (ts_ms >= $last - 28 * 86400000) as orders_4w,
        sum(revenue_cents) filter (ts_ms >= $last - 28 * 86400000) as revenue_4w,
        sum(revenue_cents) filter (ts_ms >= $last - 112 * 86400000::bigint) as revenue_16w from events group by customer_id
), tastes as (
    select customer_id, product_id, count(*) as lines, sum(list_cents) as list_cents, max(ts_ms) as last_ms from events
    where kind = 'purchase' group by all
)
select * from behaviour left join cadence using (customer_id)
    left join (select customer_id, max_by(product_id, lines) as favourite, count(*) as tried from tastes group by all)
    using (customer_id)
"""


def queried(path: Path, root: Path) -> None:
    """The plain ones of the same attributes, at one moment, in one DuckDB query over the same clean events."""
    start, before = time.perf_counter(), cpu()
    connection = plain(path)
    connection.execute(f"create view events as from read_parquet('{root}/tables/events/*.parquet')")
    last = connection.execute("select max(ts_ms) from events").fetchall()[0][0]
    query = QUERY.replace("$last", f"{last}::bigint").replace("28 * 86400000", "28 * 86400000::bigint")
    connection.execute(f"copy ({query}) to '{root.parent / 'queried.parquet'}'")
    print(json.dumps(cost(start, before)))


def plain(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the memory and threads of a store."""
    connection = duckdb.connect()
    connection.execute("set threads = 2; set memory_limit = '1GB'; set preserve_insertion_order = false")
    connection.execute(f"set temp_directory = '{path.parent / 'spill'}'")
    return connection


PEERS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "ingest": ("bare DuckDB read, filter and write", bare),
    "profile": ("plain attributes at one moment, one DuckDB query", queried),
}


def measure(name: str, folder: Path, root: Path, source: Path) -> dict[str, float]:
    """A step, or a peer's, in a process of its own that imports promolift from `source`."""
    command = [sys.executable, __file__, "--only", name, "--keep", str(folder), "--store", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(source)})
    if done.returncode:
        raise SystemExit(f"{name} failed on {source}:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def difference(name: str, one: Path, other: Path) -> float:
    """The largest relative difference of two stores' tables of that name: 0 where all is equal, inf where rows differ."""
    connection = duckdb.connect(config={"threads": 2})
    for view, root in (("a", one), ("b", other)):
        whole = root / "tables" / f"{name}.parquet"
        path = whole if whole.is_file() else root / "tables" / name / "*.parquet"
        connection.execute(f"create view {view} as from read_parquet('{path}')")
    described = connection.execute("describe a").fetchall()
    reals = [f'"{column}"' for column, kind, *_ in described if kind == "DOUBLE"]
    exact = ", ".join(f'"{column}"' for column, kind, *_ in described if kind != "DOUBLE")
    if not reals:
        left = "select count(*) from (from a except all from b)"
        return math.inf if connection.execute(f"{left} union all {left}").fetchall() != [(0,), (0,)] else 0.0
    worst = ", ".join(f"max(abs(a.{c} - b.{c}) / greatest(1, abs(a.{c})))" for c in reals)
    nulls = " or ".join(f"(a.{c} is null) <> (b.{c} is null)" for c in reals)
    numbered = f"select *, row_number() over (partition by {exact} order by {', '.join(reals)}) as place from"
    same = " and ".join(f"a.{c.strip()} is not distinct from b.{c.strip()}" for c in f"{exact}, place".split(","))
    row = connection.execute(
        f"""select count(*) filter (a.place is null or b.place is null or {nulls}), {worst}
            from ({numbered} a) a full join ({numbered} b) b on {same}"""
    ).fetchall()[0]
    return math.inf if row[0] else max((value for value in row[1:] if value is not None), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 rows")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--log", choices=(*LOGS, "journey"), default="receipts")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--steps", nargs="*", choices=tuple(STEPS), default=tuple(STEPS))
    parser.add_argument("--base", type=Path, help="another checkout, whose same steps are measured beside")
    parser.add_argument("--keep", type=Path, help="where files and stores stay; those that are there are used again")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        peers = {f"peer of {name}": peer for name, (_, peer) in PEERS.items()}
        if asked.only in peers:
            peers[asked.only](next(asked.keep.glob("events.*")), asked.store)
        else:
            step(asked.only, asked.keep, asked.store)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(asked, asked.keep or Path(folder))


def compare(asked: argparse.Namespace, folder: Path) -> None:
    """Make the log, run the steps here and there, and print what they cost."""
    rows = 100_000 if asked.quick else asked.rows
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data.json").exists():
        (folder / "data.json").write_text(json.dumps(make(folder, asked.log, rows, asked.format)))
    mine, theirs, own = folder / "store", folder / "store_base", Path(__file__).parents[2] / "src"
    size = sum(path.stat().st_size for path in folder.glob("events.*")) / 1e6
    about = {"n": rows, "data": f"{asked.log}, {asked.format}, {size:.0f} MB" if size else "Complete Journey"}
    for name in asked.steps:
        ours, peer, peer_name = measure(name, folder, mine, own), None, None
        if asked.base:
            peer_name, peer = "the same step at --base", measure(name, folder, theirs, asked.base / "src")
        elif name in PEERS and size:
            peer_name, peer = PEERS[name][0], measure(f"peer of {name}", folder, mine, own)
        for figure, unit in (("CPU seconds", "s"), ("seconds", "s"), ("peak MiB", "MiB")):
            line = {
                "figure": f"events, {STEPS[name]}, {figure}",
                "value": round(ours[figure], 2),
                "se": None,
                "unit": unit,
            }
            line |= {"peer": peer_name, "peer_value": peer and round(peer[figure], 2), **about}
            print(json.dumps(line), flush=True)
    for table in TABLES if asked.base else ():
        if any((theirs / "tables" / each).exists() for each in (table, f"{table}.parquet")):
            line = {"figure": f"events, largest difference of {table}", "value": difference(table, mine, theirs)}
            line |= {"se": None, "unit": "ratio", "peer": "the same steps at --base", "peer_value": None, **about}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.path.pop(0)  # beside this script lie others whose names are modules of the standard library
    main()
