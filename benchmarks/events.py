"""Ten million made-up raw events in, the cost of cleaning them out: time, CPU, peak memory, with a bare read beside it.

    python benchmarks/events.py [--quick] [--rows N] [--format csv|parquet]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. The rows are made by DuckDB from hashes, so every
run has the same ones: 1 % have no customer, 0.5 % no readable time, 1 % are duplicates, 0.2 % impossible prices.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROWS = """
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


def make(path: Path, rows: int) -> None:
    """Write the made-up events; the ending of `path` chooses CSV or Parquet."""
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    query = ROWS.replace("$rows", str(rows)).replace("$customers", str(max(rows // 100, 1)))
    connection.execute(f"copy ({query}) to '{path}'")


def clean(path: Path, root: Path) -> dict[str, float]:
    """Run the way in as promolift does, in this process, and say what it cost."""
    from promolift import data
    from promolift.sources.files import open_file
    from promolift.store import Store, shards_for

    start, cpu = time.perf_counter(), time.process_time()
    with Store(root) as store:
        raw = open_file(store.connection, path, root / "tmp")
        mapping = data.guess_mapping("events", raw.sample())
        guessed = time.perf_counter() - start
        store.write_shards(data.key_rows(raw.rows, mapping), "raw_events", shards_for(raw.about), by="_customer")
        written = time.perf_counter() - start
        counts = data.Counts("events")
        with store.sharded("events") as put, store.sharded("rejected") as put_bad:
            for shard in store.shards("raw_events"):
                raw_shard = store.table("raw_events", shard)
                with data.clean_events(raw_shard, mapping, data.CleanRules()).staged(store.staged) as cleaned:
                    put(shard, cleaned.accepted())
                    put_bad(shard, cleaned.rejected(raw.source))
                    counts = counts + cleaned.counts()
        store.remove("raw_events")
        summary = data.summarise(store.events(shard) for shard in store.shards("events"))
    assert counts.accepted + counts.rejected_rows == counts.read
    assert summary.rows == counts.accepted
    return {
        "seconds": time.perf_counter() - start,
        "guess seconds": guessed,
        "shard seconds": written - guessed,
        "CPU seconds": time.process_time() - cpu,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "read": counts.read,
        "accepted": counts.accepted,
    }


def profiled(path: Path, root: Path) -> dict[str, float]:
    """Profile every customer of the cleaned store at the story's three moments, as promolift does, in this process."""
    from promolift import run
    from promolift.config import Config
    from promolift.steps import profile
    from promolift.store import Store
    from promolift.tables import CUSTOMERS, PRODUCTS

    start, cpu = time.perf_counter(), time.process_time()
    with Store(root) as store:
        span = store.events().aggregate("min(ts_ms) as first_ms, max(ts_ms) as last_ms").pl().row(0, named=True)
        store.save_json("span", span | {"customers": 0})
        for name, table in (("products", PRODUCTS), ("customers", CUSTOMERS)):
            store.save(name, table.empty())
        profile.run(
            run.Job(Config.parse({"data": {"source": "complete-journey"}}, str(path)), store, lambda *told: None)
        )
        rows = store.table("profiles").aggregate("count(*)").fetchall()[0][0]
    return cost(start, cpu) | {"profiles": rows}


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


def queried(path: Path, root: Path) -> dict[str, float]:
    """The peer: the plain ones of the same attributes, at one moment, in one DuckDB query over the same clean events."""
    start, cpu = time.perf_counter(), time.process_time()
    connection = duckdb.connect()
    connection.execute("set threads = 2; set memory_limit = '1GB'; set preserve_insertion_order = false")
    connection.execute(f"set temp_directory = '{path.parent / 'spill'}'")
    events = f"create view events as from read_parquet('{root}/tables/events/*.parquet')"
    connection.execute(events)
    last = connection.execute("select max(ts_ms) from events").fetchall()[0][0]
    query = QUERY.replace("$last", f"{last}::bigint").replace("28 * 86400000", "28 * 86400000::bigint")
    connection.execute(f"copy ({query}) to '{path.parent / 'queried.parquet'}'")
    return cost(start, cpu)


def cost(start: float, cpu: float) -> dict[str, float]:
    """Wall and CPU seconds since then, and the peak memory of this process."""
    return {
        "seconds": time.perf_counter() - start,
        "CPU seconds": time.process_time() - cpu,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def bare(path: Path) -> dict[str, float]:
    """The peer: one raw DuckDB query that reads the file with types and drops what has no customer or time."""
    start, cpu = time.perf_counter(), time.process_time()
    connection = duckdb.connect()
    connection.execute("set threads = 2; set memory_limit = '1GB'; set preserve_insertion_order = false")
    connection.execute(
        f"""copy (select user_id, try_cast(event_time as timestamp) as ts, event_type, product_id, order_id,
            try_cast(quantity as double) as quantity, try_cast(price as double) as price from '{path}'
            where user_id is not null and try_cast(event_time as timestamp) is not null)
            to '{path.parent / "bare.parquet"}'"""
    )
    return cost(start, cpu)


PAIRS = (
    ("cleaning", "clean", "bare DuckDB read, filter and write", "bare"),
    (
        "profiling at three moments, forecasts included",
        "profiled",
        "plain attributes at one moment, one DuckDB query",
        "queried",
    ),
)
RUNS = {"clean": clean, "profiled": profiled, "queried": queried}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200,000 rows")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--only", choices=(*RUNS, "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        root = arguments.path.parent / "store"
        done = bare(arguments.path) if arguments.only == "bare" else RUNS[arguments.only](arguments.path, root)
        print(json.dumps(done))
        return
    rows = 200_000 if arguments.quick else arguments.rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"events.{arguments.format}"
        make(path, rows)
        for what, mine, peer_name, theirs in PAIRS:
            ours, peer = measure(mine, path), measure(theirs, path)
            for figure, unit in (("seconds", "s"), ("CPU seconds", "s"), ("peak MiB", "MiB")):
                line = {
                    "figure": f"events {what}, {figure}", "value": round(ours[figure], 2), "se": None, "unit": unit,
                    "peer": peer_name, "peer_value": round(peer[figure], 2), "n": rows,
                    "data": f"made-up events, {arguments.format}, {path.stat().st_size / 1e6:.0f} MB",
                }  # fmt: skip
                print(json.dumps(line), flush=True)


def measure(only: str, path: Path) -> dict[str, float]:
    """Each in a process of its own, so that peak memory is its own."""
    command = [sys.executable, __file__, "--only", only, "--path", str(path)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
