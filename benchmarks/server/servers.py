"""A planned shop in; what a second server process on the same PostgreSQL costs and brings, beside one alone, out.

    PROMOLIFT_TEST_POSTGRES=postgresql+psycopg://user@host/a_database_that_is_emptied
    python benchmarks/server/servers.py [--quick] [--rounds N] [--wrk wrk]

Prints JSON lines like benchmarks/server/serve.py, whose servers and load these are, and at the end the table. One server with 64
connections and two with 32 each take turns within a round; `CPU of a request` is of the servers, and of servers and
database. Two processes of one machine share its processors: the ratio of rates says something where there are more
processors than servers, database and load keep busy. Then what a server needs for a release of many customers (`--customers`), and the database
for a decision. Budgets under kills and a rolling upgrade are counted by tests/server/test_serve_upgrade.py.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import serve
from serve import CAMPAIGN, FORK, NOW, SHARED, Shop, copy_of, cpu_s, database_cpu_s, give_codes, load, planned, show
from sqlalchemy import create_engine, text

CONNECTIONS = 64
PATHS = {"decisions": "/v1/decisions", "keyed": "/v1/decisions", "payments": ""}
SAID = {"decisions": "decisions", "keyed": "decisions with an Idempotency-Key", "payments": "reserve and confirm"}


def loaded(shops: list[Shop], wrk: str, seconds: int, kind: str, start_at: int) -> dict[str, float]:
    """One round of load on all servers at once: requests a second, and CPU of each in microseconds."""
    found: list[dict[str, float]] = []
    each = 10_000 * seconds

    def ask(at: int, shop: Shop) -> None:
        url, mine = f"http://127.0.0.1:{shop.port}{PATHS[kind]}", start_at + at * each
        found.append(load(wrk, url, CONNECTIONS // len(shops), seconds, shop.key, kind, mine))

    before, stored = [cpu_s(shop.process) for shop in shops], database_cpu_s()
    serve.run_all([lambda at=at, shop=shop: ask(at, shop) for at, shop in enumerate(shops)])
    spent = sum(cpu_s(shop.process) for shop in shops) - sum(before)
    asked = sum(one["n"] for one in found)
    rate = sum(one["n"] / one["us"] * 1e6 for one in found)
    return {"rate": rate, "cpu": 1e6 * spent / asked, "whole": 1e6 * (spent + database_cpu_s() - stored) / asked,
            "p99": max(one["p99"] for one in found)}  # fmt: skip


def compare(folder: Path, wrk: str, rounds: int, seconds: int) -> None:
    """One server and two, in turn."""
    first = Shop(folder)
    limits = [{"limit_id": "all", "metric": "discount_amount", "amount": 10**11},
              {"limit_id": "each", "metric": "redemptions", "amount": 10**6, "per": "customer", "period": "day"}]  # fmt: skip
    assert first("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"limits": limits})["http"] == 200
    span = 20_000 * seconds  # of the codes of one load
    give_codes(folder, CAMPAIGN, (f"K{n}" for n in range(span * 2 * (rounds + 1))))
    other = shutil.copytree(folder, folder.with_name("other"))
    shops = {"one": [first], "two": [first, Shop(other, first.key)]}
    while not all(shop("GET", "/health/ready")["http"] == 200 for shop in chain(*shops.values())):
        time.sleep(0.05)
    found: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for kind in PATHS:
            for at, (name, some) in enumerate(shops.items()):
                told = loaded(some, wrk, seconds, kind, span * (2 * turn + at))
                if turn:  # the first round warms up
                    for part, value in told.items():
                        found.setdefault(f"{kind} {name} {part}", []).append(value)
    for shop in shops["two"]:
        shop.stop()
    show("a decision in the database", stored_bytes(), "bytes", rounds)
    told_all({name: np.array(values) for name, values in found.items()}, rounds)


def needs(customers: int) -> None:
    """What a release of so many customers takes: on disk, in memory, and seconds of CPU until it is loaded."""
    serve.CUSTOMERS = customers
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "work"
        planned(folder)
        name = (folder / "release").read_text(encoding="ascii")
        size = sum(path.stat().st_size for path in (folder / "serve" / "releases" / name).iterdir())
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=held, args=(folder, name, theirs))
        process.start()
        memory, took = ours.recv()
        process.join()
    data = f"made-up shop, {customers} customers, {serve.TARGETS * len(serve.DEPTHS)} candidate offers each"
    million = 1e6 / customers
    for figure, value, unit in (("on disk", size / 2**20, "MiB"), ("in memory", memory / 2**20, "MiB"),
                                ("CPU to load it", took, "s")):  # fmt: skip
        show(f"a release of a million customers, {figure}", value * million, unit, customers, data=data)


def held(folder: Path, name: str, to: Any) -> None:
    """Bytes of memory and seconds of CPU that a release takes, by a process of its own."""
    from promolift.server.decisions.live_release import load_release

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, began = resident(), time.process_time()
    kept = load_release(folder, name)
    to.send((resident() - before, time.process_time() - began))
    del kept


def stored_bytes() -> float:
    """What the database keeps for a decision, with indexes and its answers to keys left out."""
    engine = create_engine(SHARED[0])
    with engine.connect() as db:
        size = db.execute(text("select pg_total_relation_size('decisions')")).scalar_one()
        count = db.execute(text("select count(*) from decisions")).scalar_one()
    engine.dispose()
    return float(size / count)


def told_all(at: dict[str, Any], rounds: int) -> None:
    """The figures of each kind of request."""
    for kind, said in SAID.items():
        for name in ("one", "two"):
            servers = f"{name} server{'s' * (name == 'two')}"
            show(f"{said}, {servers}", at[f"{kind} {name} rate"], "1/s", rounds)
            show(f"{said}, {servers}, CPU of a request", at[f"{kind} {name} cpu"], "us", rounds)
            show(f"{said}, {servers}, p99", at[f"{kind} {name} p99"], "ms", rounds)
        for part, of in (("cpu", "servers"), ("whole", "servers and database")):
            goal = 1.15 if (kind, part) == ("decisions", "cpu") else None
            value = serve.ratio(at[f"{kind} two {part}"], at[f"{kind} one {part}"])
            show(f"{said}, CPU of {of}, two over one", value, "ratio", rounds, peer="goal (at most)", peer_value=goal)
        value = serve.ratio(at[f"{kind} two rate"], at[f"{kind} one rate"])
        show(f"{said} a second, two over one", value, "ratio", rounds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--wrk", default="wrk")
    options.add_argument("--customers", type=int, default=50_000, help="of the release whose needs are measured")
    options.add_argument("--rounds", type=int, help="3 of a second if quick, else 10 of two")
    asked = options.parse_args()
    url, wrk = os.environ.get("PROMOLIFT_TEST_POSTGRES"), shutil.which(asked.wrk)
    if not (url and wrk):
        print(json.dumps({"skipped": "servers", "why": "PROMOLIFT_TEST_POSTGRES and wrk are needed"}))
        return
    rounds, seconds = (asked.rounds or 3, 1) if asked.quick else (asked.rounds or 10, 2)
    FORK.set_forkserver_preload(["promolift.server.startup"])
    SHARED[:] = [url]
    NOW.update(part="servers", ledger="PostgreSQL")
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "work"
        planned(folder)
        with copy_of(folder) as place:
            compare(place, wrk, rounds, seconds)
    needs(asked.customers)
    print(f"\n{serve.table()}", flush=True)


if __name__ == "__main__":
    main()
