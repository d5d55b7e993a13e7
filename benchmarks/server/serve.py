"""A planned shop in; how fast and how safely a server answers, beside floors measured in the same run, out.

    python benchmarks/server/serve.py [--quick] [--rounds N] [--wrk wrk] [--only startup,agreement,throughput,plain,payments,carts,mixed,webhooks,words,events,money]
        [--ledger postgresql+psycopg://user@host/a_database_that_is_emptied | --ledger none]

One run makes the whole table: every part on SQLite, and then on PostgreSQL, which `--ledger` names, or the variable
PROMOLIFT_TEST_POSTGRES (`none`: SQLite alone). Prints JSON lines (figure, value, se, unit, peer, peer_value, n, data,
part, ledger), and at the end, on stderr, the table in Markdown.

The load comes from the tool wrk (a second process); where it is missing the figures that need it are skipped with a
line. Rounds of all that is compared alternate, one process each. A figure is the median over rounds and a ratio the
median of the rounds' own ratios, so that another program that wakes up in one of them moves little; standard errors are
by bootstrap over rounds. Floors, all on the same web server with the same settings: a constant answered through
Starlette's routes; a constant answered by a bare function (what the decisions' own path looks like); one row kept per
request through the same group commit; the disk's own fdatasync. `plain` is `throughput` on asyncio and h11. Absolute
figures hang on the machine and its load: compare within one run, and by CPU where it is busy. Servers are forked from a
process that has imported them, so that one starts in no time.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import uvicorn
from pydantic_core import from_json, to_json
from sqlalchemy import create_engine, func, insert, select, text
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from promolift.core import effects
from promolift.core import offers as offer
from promolift.core.allocation import strategic_rules
from promolift.core.offers import MenuItem, OfferRules
from promolift.core.offers.terms import Benefit
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import PRODUCTS
from promolift.server.api import app
from promolift.server.decisions import live_release
from promolift.server.decisions.decisions import INSERT_DECISIONS as DECIDED
from promolift.server.events.events import INSERT_EVENTS
from promolift.server.ledger.event_rows import OFFER_MESSAGE, event_row
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.migrations import open_tables
from promolift.server.ledger.outbox_rows import WebhookEndpoint, WebhookEvent, post_webhook_events
from promolift.server.ledger.schema import CODES, DECISIONS, EVENTS, OUTBOX, Query
from promolift.server.startup import run_server
from promolift.server.tasks.response_counts import TextCounter
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning.offer_candidates import OfferCandidates
from promolift.shop.pipeline.planning.partitions import PartitionedFrame
from promolift.shop.pipeline.release import build_release
from promolift.shop.pipeline.steps import plan
from promolift.shop.results.messages import Offers
from promolift.shop.results.work_folder.run_context import Job, moments

CAMPAIGN = "cmp_bench"
CUSTOMERS, TARGETS, DEPTHS = 2000, 5, (5, 10, 20, 30)
DATA = f"made-up shop, {CUSTOMERS} customers, {TARGETS * len(DEPTHS)} candidate offers each"
FORK = multiprocessing.get_context("forkserver")
LAG = 400  # reservations between one and its confirmation: more than are under way at once
PLAIN: list[bool] = []  # not empty: servers run on asyncio and h11, pure Python
SHARED: list[str] = []  # not empty: the URL of the database that all ledgers are in, in place of SQLite files
SHOWN: list[dict[str, Any]] = []
NOW = {"part": "", "ledger": "SQLite"}  # what is being measured
CART = {"shipping_cents": 499, "lines": [
    {"line_id": str(k), "product_id": f"p{k}", "category": f"c{k % 3}", "quantity": 1 + k % 3, "price_cents": 999 + 100 * k}
    for k in range(5)]}  # fmt: skip
IN_CART = {  # joint with one another, so that every set of them is compared
    "fifth": {"benefit": {"type": "percent_off", "percent": 20}, "scope": "category", "covers": ["c1"]},
    "five": {"benefit": {"type": "amount_off", "amount_cents": 500}, "min_spend_cents": 5000},
    "third": {"benefit": {"type": "buy_x_get_y", "buy": 2, "get": 1}},
}


class Middle(NamedTuple):
    """A median over rounds with its standard error, None for one round."""

    value: float
    se: float | None


CLIENT = """
import http.client, json, sys
port, key, first, last, size = int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
line = '{"type":"track","event":"Product Viewed","messageId":"m%d","userId":"u%05d","properties":{"product_id":"p%d","price":12.5},"timestamp":"2026-01-05T10:00:00.000Z"}'
call, sums = http.client.HTTPConnection("127.0.0.1", port, timeout=60), {"accepted": 0, "duplicates": 0, "rejected_count": 0}
for at in range(first, last):
    rows = ",".join([line % (n, n % CUSTOMERS, n % 500) for n in range(at * size, (at + 1) * size)])
    for _ in range(2 if at % 10 == 0 else 1):
        call.request("POST", "/v1/batch", '{"batch":[' + rows + "]}", {"authorization": f"Bearer {key}"})
        told = json.loads(call.getresponse().read())
        sums = {name: sums[name] + told[name] for name in sums}
print(json.dumps(sums))
""".replace("CUSTOMERS", str(CUSTOMERS))
LUA = (
    """
local at = tonumber(os.getenv("START")) or 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("KEY") or "")
local kind, sent, held, paid = os.getenv("KIND") or "", 0, 0, 1 -- wrk asks for the first request and does not send it
request = function()
  if kind == "payments" then
    if held - paid < LAG then
      held = held + 1
      return wrk.format(nil, "/v1/redemptions:reserve", nil, string.format(
        '{"redemption_id": "rdm_%d", "code": "K%d", "customer_id": "u%05d", "amount_cents": 5}',
        at + held, at + held, held % CUSTOMERS))
    end
    paid = paid + 1
    return wrk.format(nil, "/v1/redemptions:confirm", nil, string.format('{"redemption_id": "rdm_%d"}', at + paid))
  end
  if kind == "reserved" then
    held = held + 1
    return wrk.format(nil, nil, nil, string.format('{"code": "K%d", "customer_id": "u%05d", "amount_cents": 5}',
      at + held, held % CUSTOMERS))
  end
  if kind == "keyed" then
    sent = sent + 1
    wrk.headers["Idempotency-Key"] = string.format("%d %d", os.getenv("START"), sent)
  end
  at = (at + 7919) % CUSTOMERS
  if kind == "carts" then
    return wrk.format(nil, nil, nil, string.format('{"customer_id": "u%05d", LINES}', at))
  end
  if kind == "held" then
    return wrk.format(nil, nil, nil, string.format('{"hold": true, "customer_id": "u%05d", LINES}', at))
  end
  return wrk.format(nil, nil, nil, string.format('{"customer_id": "u%05d", "campaign_id": "CAMPAIGN"}', at))
end
done = function(summary, latency)
  io.write(string.format('\\n{"n": %d, "us": %d, "p50": %d, "p99": %d, "errors": %d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.connect))
end
""".replace("CUSTOMERS", str(CUSTOMERS))
    .replace("CAMPAIGN", CAMPAIGN)
    .replace("LINES", json.dumps(CART)[1:-1])
    .replace("LAG", str(LAG))
)


def middle(rounds: Any) -> Middle:
    """The median over rounds, and its standard error by bootstrap."""
    rounds = np.atleast_1d(np.asarray(rounds, np.float64))
    drawn = np.random.default_rng(1).choice(rounds, (2000, len(rounds)))
    return Middle(float(np.median(rounds)), float(np.median(drawn, axis=1).std()) if len(rounds) > 1 else None)


def show(figure: str, value: Any, unit: str, n: int, **more: Any) -> None:
    """One JSON line; an array is shown as its median with the standard error over its rounds."""
    at, se = value if isinstance(value, Middle) else middle(value)
    line: dict[str, Any] = {"figure": figure, "value": at, "se": se, "unit": unit, "peer": None, "peer_value": None}
    line |= {"n": n, "data": DATA} | more | {"part": NOW["part"], "ledger": NOW["ledger"]}
    SHOWN.append(line)
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def table() -> str:
    """All that was shown, a row for each figure and a column for each ledger."""
    ledgers = list(dict.fromkeys(line["ledger"] for line in SHOWN))
    rows: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for line in SHOWN:
        rows.setdefault((line["part"], line["figure"]), {})[line["ledger"]] = line
    texts = [f"| figure | {' | '.join(ledgers)} | aim |", "| --- |" + " --- |" * (len(ledgers) + 1)]
    for (part, figure), by_ledger in rows.items():
        cells = [rounded(by_ledger[name]) if name in by_ledger else "" for name in ledgers]
        (*_, last) = by_ledger.values()
        aim = f"{last['peer']}: {last['peer_value']:,.4g}" if isinstance(last["peer_value"], float) else ""
        texts.append(f"| {part}: {figure} | {' | '.join(cells)} | {aim} |")
    return "\n".join(texts)


def rounded(line: dict[str, Any]) -> str:
    """A value with its error, to the digits that the error leaves."""
    value, se, unit = line["value"], line["se"], "" if line["unit"] == "ratio" else f" {line['unit']}"
    if not se:
        return f"{value:,.6g}{unit}"
    digits = max(0, 1 - int(np.floor(np.log10(se))))
    return f"{value:,.{digits}f} ({se:,.{digits}f}){unit}"


def planned(folder: Path) -> Config:
    """A work folder with a finished plan and a release of it."""
    menu = tuple(
        MenuItem(id=f"cut-{p}", benefit=Benefit(type="percent_off", percent=p), scope="category") for p in DEPTHS
    )
    config = Config(data={"source": "complete-journey"}, menu=menu, consent={"default": True},
                    plan={"campaign": CAMPAIGN, "budget_cents": 100_000, "asof": "2026-01-05", "test_share": 0})  # fmt: skip
    rng = np.random.default_rng(1)
    who = [f"u{n:05d}" for n in range(CUSTOMERS)]
    people = pl.DataFrame({"customer_id": who, "price_sensitivity": rng.normal(0, 1, CUSTOMERS),
                           "orders_expected": rng.uniform(1, 9, CUSTOMERS), "basket_mean_cents": rng.uniform(2000, 9000, CUSTOMERS),
                           "basket_sd_cents": rng.uniform(500, 2000, CUSTOMERS), "online": [True] * CUSTOMERS})  # fmt: skip
    rows = people.select("customer_id").join(pl.DataFrame({"target": [f"t{k}" for k in range(TARGETS)]}), how="cross")
    n = rows.height
    targets = rows.with_columns(
        pl.lit("category").alias("scope"), pl.lit("category").alias("kind"), pl.lit(True).alias("bought"),
        pl.Series("base_cents", rng.uniform(200, 4000, n)), pl.Series("base_se_cents", rng.uniform(20, 400, n)),
        pl.Series("buy_prob", rng.uniform(0.05, 0.9, n)), pl.Series("margin_rate", rng.uniform(0.4, 0.9, n)),
    )  # fmt: skip
    with Store(folder) as store:
        job = Job(config, store, lambda *_: None)
        store.save_json("span", {"first_ms": 1_700_000_000_000, "last_ms": 1_767_000_000_000})
        response = effects.assumed_response("made up", effects.DiscountSettings(prior_response=3.0))
        store.save_json("response", response.to_dict())
        resting = pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})
        listed = offer.list_candidates(people, targets, config.menu, OfferRules(), resting)
        store.save("products", PRODUCTS.empty())
        rows = strategic_rules.add_caution(effects.add_effects(listed, response, None, config.value), config.plan.risk)
        made = plan.decide(job, moments(job), OfferCandidates(PartitionedFrame.of(rows), "assumed", config.menu))
        chosen = made.chosen.select("customer_id", "offer_id")
        store.save("messages", chosen.with_columns(message_zh=pl.lit(""), message_en=pl.lit("")))
        Offers(offers=()).keep(store)
        (folder / "release").write_text(build_release(store), encoding="ascii")
    return config


def web() -> str:
    """The web server that is measured."""
    if PLAIN:
        return "uvicorn, h11"
    return (
        "uvicorn, " + ("httptools" if find_spec("httptools") else "h11") + (", uvloop" if find_spec("uvloop") else "")
    )


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(plain: bool, target: Callable[..., None], *given: Any) -> None:
    """What a forked process does."""
    if plain:
        uvicorn.Config = partial(uvicorn.Config, loop="asyncio", http="h11")
    target(*given)


class Shop:
    """A running promolift server over a copy of the planned folder."""

    def __init__(self, folder: Path, key: str = "") -> None:
        self.folder, self.port, self.key = folder, free_port(), key
        told = "rate_per_second = 1e9\nburst = 1000000000\ndeadline_ms = 60000\nprivate_webhooks = true\ndrain_s = 0\n"
        told += f"ledger = {json.dumps(SHARED[0])}\n" if SHARED else ""
        (folder / "serve.toml").write_text(told, encoding="ascii")
        self.process = start(serve_shop, self.port, folder)
        if not key:
            said = (folder / "said").read_text(encoding="ascii").split()
            self.key = next(word for word in said if word.startswith("pl_admin_"))
            name = (folder / "release").read_text(encoding="ascii")
            self("POST", f"/v1/releases/{name}:activate")

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        return Caller(self.port, self.key)(method, path, body)

    def stop(self, kill: bool = False) -> None:
        (self.process.kill if kill else self.process.terminate)()
        self.process.join()


def serve_shop(port: int, folder: Path) -> None:
    """What `promolift serve` runs."""
    with (
        (folder / "said").open("w", encoding="ascii") as said,
        Path(os.devnull).open("w", encoding="ascii") as nothing,
        redirect_stdout(said),
        redirect_stderr(nothing),
    ):
        run_server(folder / "none.toml", folder, folder / "serve.toml", "127.0.0.1", port)


def ledger_url(folder: Path, name: str = "serve/ledger.db") -> str:
    """Where a ledger is kept; one that is shared is everybody's."""
    return SHARED[0] if SHARED else f"sqlite:///{folder / name}"


def serve_floors(port: int, url: str) -> None:
    """A constant through Starlette, a constant by a bare function, and a bare durable insert."""
    ledger, number, keep = (
        Ledger(url, open_tables),
        iter(range(10**9)),
        Query(insert(EVENTS).inline()),
    )

    def insert_all(db: Any, rows: Any) -> Any:
        keep.many(db, rows)
        return rows

    async def routed(request: Any) -> JSONResponse:
        json.loads(await request.body())
        return JSONResponse({"offer_id": "none", "reason": "constant"})

    routes = Starlette(routes=[Route("/routed", routed, methods=["POST"])])

    async def floor(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/routed":
            await routes(scope, receive, send)
            return
        asked = from_json((await receive())["body"])
        if scope["path"] == "/bare":
            at = next(number)
            row = {"seq": at, "message_id": str(at), "customer_id": asked["customer_id"], "ts_ms": 0, "received_ms": 0}
            await ledger.call(
                insert_all, row | {"name": "x", "decision_id": None, "body": "{}", "value_cents": None}, brief=True
            )
        text = to_json({"offer_id": "none", "reason": "constant"})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    app.run_uvicorn(floor, "127.0.0.1", port)


class Caller:
    """One kept connection."""

    def __init__(self, port: int, key: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        reply = self.connection.getresponse()
        return json.loads(reply.read()) | {"http": reply.status}

    def raw(self, method: str, path: str) -> bytes:
        self.connection.request(method, path, None, self.headers)
        return self.connection.getresponse().read()


def start(target: Callable[..., None], port: int, *given: Any) -> Any:
    process = FORK.Process(target=launch, args=(bool(PLAIN), target, port, *given))
    process.start()
    while True:
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
            return process
        except OSError:
            assert process.is_alive(), "the server did not start"
            time.sleep(0.01)


def cpu_s(process: Any) -> float:
    """CPU seconds a process has used."""
    parts = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def database_cpu_s() -> float:
    """CPU seconds of the database's own processes, where it is on this machine; SQLite has none."""
    if not SHARED:
        return 0.0
    mine = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    engine = create_engine(SHARED[0])
    with engine.connect() as db:
        found = [
            cpu_s(SimpleNamespace(pid=pid)) for pid in db.execute(text(mine)).scalars() if Path(f"/proc/{pid}").exists()
        ]
    engine.dispose()
    return sum(found)


def load(
    wrk: str, url: str, connections: int, seconds: int, key: str = "", kind: str = "", start_at: int | None = None
) -> dict[str, float]:
    """One round of load: requests, microseconds it took, and the 99th percentile of the latencies in ms."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", script.name, url]
        first = random.randrange(CUSTOMERS) if start_at is None else start_at
        environment = os.environ | {"KEY": key, "START": str(first), "KIND": kind}
        text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    told = json.loads(text.strip().splitlines()[-1])
    assert not told["errors"], (kind, told)
    return told | {"p99": told["p99"] / 1000}


def fdatasync_ms(folder: Path, seconds: float) -> list[float]:
    """What appending 4 KB and waiting for the disk takes, time after time."""
    taken: list[float] = []
    handle = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        os.write(handle, b"x" * 4096)
        began = time.perf_counter()
        os.fdatasync(handle)
        taken.append((time.perf_counter() - began) * 1000)
    os.close(handle)
    return taken


def throughput(folder: Path, wrk: str, rounds: int, seconds: int, plain: bool = False) -> None:
    """Decisions beside the floors at 64 connections, and their 99th percentile at 8 beside the floors' and the disk's."""
    port = free_port()
    PLAIN[:] = [True] if plain else []
    floors, shop = start(serve_floors, port, ledger_url(folder, "floor.db")), Shop(folder)
    home = "http://127.0.0.1"
    runs = {name: (floors, f"{home}:{port}/{name}") for name in ("routed", "constant", "bare")}
    runs["decisions"] = (shop.process, f"{home}:{shop.port}/v1/decisions")
    found: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for name, (process, url) in runs.items():
            before, told = cpu_s(process), load(wrk, url, 64, seconds, shop.key)
            told["cpu"] = (cpu_s(process) - before) / max(told["n"], 1)
            if not turn:  # the first round warms up
                continue
            disk = fdatasync_ms(folder, seconds / 8)
            few = load(wrk, url, 8, max(1, seconds // 2), shop.key)
            told |= {"p99": few["p99"], "p50": few["p50"] / 1000}
            disk += fdatasync_ms(folder, seconds / 8)
            for part in ("n", "us", "cpu", "p50", "p99"):
                found.setdefault(f"{name} {part}", []).append(told[part])
        if turn:  # around the decisions, which come last
            found.setdefault("disk", []).append(float(np.quantile(disk, 0.99)))
    shop.stop()
    floors.terminate()
    floors.join()
    stack = web()
    PLAIN.clear()
    told_throughput({name: np.array(values) for name, values in found.items()}, rounds, stack)


def payments(folder: Path, wrk: str, rounds: int, seconds: int) -> None:
    """Reserve and confirm, and decisions with an Idempotency-Key, beside decisions and bare durable inserts."""
    port, each = free_port(), 20_000 * seconds
    floors, shop = start(serve_floors, port, ledger_url(folder, "floor.db")), Shop(folder)
    limits = [{"limit_id": "all", "metric": "discount_amount", "amount": 10**11},
              {"limit_id": "each", "metric": "redemptions", "amount": 10**6, "per": "customer", "period": "day"}]  # fmt: skip
    assert shop("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"limits": limits})["http"] == 200
    give_codes(folder, CAMPAIGN, (f"K{n}" for n in range(each * (rounds + 2))))
    home = f"http://127.0.0.1:{shop.port}"
    urls = {"bare": (floors, f"http://127.0.0.1:{port}/bare"), "payments": (shop.process, home),
            "decisions": (shop.process, f"{home}/v1/decisions"), "keyed": (shop.process, f"{home}/v1/decisions")}  # fmt: skip
    rate, cost, whole = ({name: list[float]() for name in urls} for _ in range(3))
    for turn in range(rounds + 1):
        for name, (process, url) in urls.items():
            before, stored = cpu_s(process), database_cpu_s()
            told = load(wrk, url, 64, seconds, shop.key, name, each * (turn + 1))
            if turn:  # the first round warms up
                rate[name].append(told["n"] / told["us"] * 1e6)
                cost[name].append((cpu_s(process) - before) / told["n"])
                whole[name].append(cost[name][-1] + (database_cpu_s() - stored) / told["n"])
    shop.stop()
    floors.terminate()
    floors.join()
    at, cpu, all_cpu = ({name: np.array(values) for name, values in part.items()} for part in (rate, cost, whole))
    for name in ("payments", "decisions", "bare"):
        what = {"payments": "reserve and confirm", "decisions": "decisions", "bare": "bare durable inserts"}[name]
        show(f"{what}, requests a second at 64 connections", at[name], "1/s", rounds)
        show(f"{what}, CPU of a request", 1e6 * cpu[name], "us", rounds)
    for peer, goal in (("bare", 0.5), ("decisions", None)):
        figure = f"reserve and confirm over {'a bare durable insert' if peer == 'bare' else peer}"
        for how, value in (
            ("", ratio(at["payments"], at[peer])),
            (", by CPU of the server", ratio(cpu[peer], cpu["payments"])),
            (", by CPU of server and database", ratio(all_cpu[peer], all_cpu["payments"])),
        ):
            show(figure + how, value, "ratio", rounds, peer="goal (at least)", peer_value=goal)
    show("CPU of a decision with an Idempotency-Key over one without", ratio(cpu["keyed"], cpu["decisions"]), "ratio", rounds,
         peer="goal (at most)", peer_value=1.5)  # fmt: skip
    show("decisions with an Idempotency-Key over those without", ratio(at["keyed"], at["decisions"]), "ratio", rounds)


def carts(folder: Path, wrk: str, rounds: int, seconds: int) -> None:
    """Carts of 5 lines under 3 joint promotions, priced and held, beside decisions and reservations, at 64
    connections.
    """
    shop, each = Shop(folder), 20_000 * seconds
    limits = [{"limit_id": "all", "metric": "discount_amount", "amount": 10**12},
              {"limit_id": "each", "metric": "redemptions", "amount": 10**7, "per": "customer", "period": "day"}]  # fmt: skip
    assert shop("PUT", "/v1/campaigns/till", {"limits": limits})["http"] == 200  # no budget of a plan ends there
    for name, body in IN_CART.items():
        kept = body | {"campaign_id": "till", "stacking": {"joint": True}}
        assert shop("PUT", f"/v1/promotions/{name}", kept)["http"] == 200
    give_codes(folder, "till", (f"K{n}" for n in range(each * (rounds + 2))))
    asked = {"customer_id": "u00001"} | CART
    assert len(shop("POST", "/v1/carts:price", asked)["applied"]) == 3
    urls = {"decisions": "/v1/decisions", "carts": "/v1/carts:price", "held": "/v1/carts:price",
            "reserved": "/v1/redemptions:reserve"}  # fmt: skip
    rate: dict[str, list[float]] = {name: [] for name in urls}
    cost: dict[str, list[float]] = {name: [] for name in urls}
    for turn in range(rounds + 1):
        for name, path in urls.items():
            before = cpu_s(shop.process)
            found = load(wrk, f"http://127.0.0.1:{shop.port}{path}", 64, seconds, shop.key, name, each * (turn + 1))
            if turn:  # the first round warms up
                rate[name].append(found["n"] / found["us"] * 1e6)
                cost[name].append((cpu_s(shop.process) - before) / found["n"])
    held = shop("POST", "/v1/carts:price", asked | {"hold": True})
    assert len(held["applied"]) == 3, held["refused"]  # no limit ended meanwhile
    shop.stop()
    at, cpu = ({name: np.array(values) for name, values in part.items()} for part in (rate, cost))
    for name, what in {
        "decisions": "decisions",
        "carts": "carts",
        "held": "held carts",
        "reserved": "reservations",
    }.items():
        show(f"{what}, requests a second at 64 connections", at[name], "1/s", rounds)
        show(f"{what}, CPU of a request", 1e6 * cpu[name], "us", rounds)
    for name, top, bottom in (("carts over decisions", at["carts"], at["decisions"]),
                              ("carts over decisions, by CPU", cpu["decisions"], cpu["carts"])):  # fmt: skip
        show(name, ratio(top, bottom), "ratio", rounds, peer="goal (at least)", peer_value=0.8)
    show("CPU of a held cart of 3 promotions over that of a reservation", ratio(cpu["held"], cpu["reserved"]), "ratio",
         rounds, peer="goal (at most)", peer_value=2.0)  # fmt: skip
    show("the same over that of 3 reservations", ratio(cpu["held"], 3 * cpu["reserved"]), "ratio", rounds)


def mixed(folder: Path, wrk: str, rounds: int, seconds: int) -> None:
    """Latency of decisions at 8 connections while others export, erase, reserve and cancel, webhooks tell of that, and
    1,000 events a second come in."""
    shop, number = Shop(folder), iter(range(10**9))
    for _ in range(40):  # 20,000 events to be exported, of customers to be erased
        assert shop("POST", "/v1/batch", {"batch": [event(next(number)) for _ in range(500)]})["http"] == 202
    give_codes(folder, CAMPAIGN, ["K"])
    stop, done = threading.Event(), {"exports": 0, "erasures": 0, "events": 0, "webhooks": 0}

    def sent(call: Caller, turn: int) -> None:
        call("POST", "/v1/batch", {"batch": [event(next(number)) for _ in range(100)]})
        done["events"] += 100
        time.sleep(0.1)

    def erased(call: Caller, turn: int) -> None:
        call("POST", f"/v1/privacy/v{turn % 200}:erase")
        done["erasures"] += 1

    def exported(call: Caller, turn: int) -> None:
        call.raw("GET", f"/v1/exports/{('events', 'decisions')[turn % 2]}.csv?limit=5000")
        done["exports"] += 1

    def paid(call: Caller, turn: int) -> None:
        held = call("POST", "/v1/redemptions:reserve", {"customer_id": "u00001", "code": "K", "amount_cents": 5})
        call("POST", "/v1/redemptions:rollback", {"redemption_id": held["redemption_id"]})
        time.sleep(0.01)

    def others(job: Callable[[Caller, int], None]) -> None:
        call, turn = Caller(shop.port, shop.key), 0
        while not stop.is_set():
            turn += 1
            job(call, turn)

    found: dict[str, list[float]] = {name: [] for name in ("alone p50", "alone p99", "beside p50", "beside p99")}
    url = f"http://127.0.0.1:{shop.port}/v1/decisions"
    with receiver() as (port, got):
        hook = {"url": f"http://127.0.0.1:{port}/", "events": ["redemption.reserved", "redemption.rolled_back"]}
        assert shop("POST", "/v1/webhooks", hook)["http"] == 201
        for turn in range(rounds + 1):
            for name in ("alone", "beside"):
                stop.clear()
                jobs = (sent, erased, exported, exported, paid) if name == "beside" else ()
                clients = [threading.Thread(target=others, args=(job,)) for job in jobs]
                for each in clients:
                    each.start()
                told = load(wrk, url, 8, seconds, shop.key)
                stop.set()
                for each in clients:
                    each.join()
                if turn:
                    found[f"{name} p50"].append(told["p50"] / 1000)
                    found[f"{name} p99"].append(told["p99"])
        shop.stop()
        done["webhooks"] = got[0]
    at = {name: np.array(values) for name, values in found.items()}
    for name, values in at.items():
        show(f"decisions at 8 connections, {name}", values, "ms", rounds, beside=done)
    show("p99 of decisions beside exports, erasures, money, webhooks and 1,000 events a second over that without", ratio(at["beside p99"], at["alone p99"]),
         "ratio", rounds, peer="goal (at most)", peer_value=2.0)  # fmt: skip


class Taker(asyncio.Protocol):
    """One connection of a receiver that answers at once; `got` counts what came. A task that reads a stream would not
    do: the loop holds it by a weak reference alone, so that one in some thousand was gone before its answer."""

    def __init__(self, got: list[int]) -> None:
        self.got, self.rest = got, b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            head, _, rest = self.rest.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            size = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
            if len(rest) < size:
                return
            self.rest = rest[size:]
            self.got[0] += 1
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@contextmanager
def receiver() -> Iterator[tuple[int, list[int]]]:
    """A port that takes webhooks at once, and how many came."""
    got, port, loop = [0], free_port(), asyncio.new_event_loop()
    loop.run_until_complete(loop.create_server(lambda: Taker(got), "127.0.0.1", port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield port, got
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def event(number: int) -> dict[str, Any]:
    """A view by one of 200 customers."""
    about = {"product_id": f"p{number % 500}", "price": 12.5}
    return {"type": "track", "event": "Product Viewed", "messageId": f"b{number}", "userId": f"v{number % 200}",
            "properties": about, "timestamp": "2026-01-05T10:00:00.000Z"}  # fmt: skip


def webhooks(folder: Path, messages: int) -> None:
    """Messages to one receiver that answers at once, from the outbox to the last answer."""
    from promolift.foundation.time.clock import Clock
    from promolift.server.delivery import outbox
    from promolift.server.settings import ServeSettings

    settings = ServeSettings(work=folder, private_webhooks=True)
    with receiver() as (port, got), Ledger(ledger_url(folder, "hooks.db"), open_tables) as ledger:
        kind, hook = "redemption.reserved", outbox.new_secret()

        def fill(db: Any, some: list[None]) -> list[None]:
            made = WebhookEndpoint(url=f"http://127.0.0.1:{port}/", events=(kind,), secret=hook)
            made.save(db, "whk_1", 1)
            told = ({"redemption_id": f"rdm_{number}", "reserved_cents": 5} for number in range(messages))
            post_webhook_events(db, [WebhookEvent(kind, each) for each in told], 1)
            return some

        ledger.write(fill)
        began = time.perf_counter()
        asyncio.run(outbox.Outbox(ledger, settings, Clock(5000), "key").send_due())
        wall = time.perf_counter() - began
        with ledger.read() as db:
            states = set(db.execute(select(OUTBOX.c.status)).scalars())
    assert (got[0], states) == (messages, {"sent"}), (got, states)
    show(
        "webhooks a second to a fast receiver",
        messages / wall,
        "1/s",
        messages,
        peer="goal (at least)",
        peer_value=500.0,
    )


def startup(folder: Path, decisions: int, times: int) -> None:
    """How long a server takes to answer, and its CPU until all its duties have done a round, with an empty ledger and
    with many decisions in it, an event that says its words and a view for each, and every tenth taken up."""
    shop, took = Shop(folder), dict[str, list[float]]()
    made = shop("POST", "/v1/decisions", {"customer_id": "u00001"})
    shop.stop()
    for kind in ("empty", "full"):
        if kind == "full":
            with Ledger(ledger_url(folder), open_tables) as ledger:
                with ledger.read() as db:
                    row = dict(db.execute(select(DECISIONS)).mappings().one())
                for first in range(0, decisions, 10_000):
                    ledger.write(
                        partial(
                            lived, row=row, numbers=range(first, first + 10_000), until_ms=made["ts_ms"] - decisions
                        )
                    )
                counter = TextCounter(folder / "serve")
                while counter.refresh(ledger, 1, 0.0):
                    pass
        for _ in range(times):
            began = time.perf_counter()
            shop = Shop(folder, shop.key)
            while shop("GET", "/health/ready")["http"] != 200:
                time.sleep(0.01)
            took.setdefault(f"{kind}, wall", []).append(time.perf_counter() - began)
            time.sleep(3)
            took.setdefault(f"{kind}, CPU", []).append(cpu_s(shop.process))
            shop.stop()
    for kind, seconds in took.items():
        show(f"start to ready, {kind}", np.array(seconds), "s", times, decisions=decisions if "full" in kind else 1)
    for clock in ("wall", "CPU"):
        value = float(np.median(took[f"full, {clock}"]) - np.median(took[f"empty, {clock}"]))
        show(f"start with many decisions, seconds more than empty, {clock}", value, "s", times,
             peer="goal (at most)", peer_value=1.0)  # fmt: skip


def lived(db: Any, some: list[None], row: dict[str, Any], numbers: range, until_ms: int) -> list[None]:
    """So many decisions with what came of them."""
    said = json.dumps({"text_id": "t", "benefit": "percent_off"})
    who = [(n, f"dec_{n:012d}", f"u{n % CUSTOMERS:05d}", until_ms + n) for n in numbers]
    DECIDED.many(
        db, [row | {"decision_id": made, "ts_ms": ms, "customer_id": customer} for _, made, customer, ms in who]
    )
    heard = [
        event_row(f"f{n}", customer, ms, ms, OFFER_MESSAGE, said, decision_id=made) for n, made, customer, ms in who
    ]
    heard += [event_row(f"v{n}", customer, ms, ms, "Product Viewed", "{}") for n, _, customer, ms in who]
    heard += [
        event_row(f"c{n}", customer, ms, ms, "Click", "{}", decision_id=made) for n, made, customer, ms in who[::10]
    ]
    INSERT_EVENTS.many(db, heard)
    return some


def words(folder: Path, messages: int) -> None:
    """What the message of a live decision takes beyond the decision: chosen, filled and gated, the first time and again."""
    from dataclasses import replace

    from promolift.server.decisions import message_rendering as spoken
    from promolift.shop.pipeline.pool_file import load_pool
    from promolift.shop.results.messages import PoolWords

    name = (folder / "release").read_text(encoding="ascii")
    wording = PoolWords(texts=load_pool(None).texts, approve="judged")
    live, choice = replace(live_release.load_release(folder, name), wording=wording), wording.choice()
    offers, now_ms = sorted(live.labels), round(time.time() * 1000)
    for turn in ("the first time", "again"):
        took = []
        for n in range(messages):
            who, offer_id, language = f"u{n % CUSTOMERS:05d}", offers[n % len(offers)], ("zh", "en")[n // 7 % 2]
            began = time.perf_counter()
            said = spoken.render_message(live, who, offer_id, now_ms, language, None, choice)
            took.append(1000 * (time.perf_counter() - began))
            assert said["message"], said
        show(f"message of a live decision, {turn}, mean", float(np.mean(took)), "ms", messages, se=float(np.std(took) / messages**0.5),
             peer="goal (at most)", peer_value=1.0)  # fmt: skip
        show(f"message of a live decision, {turn}, median", float(np.median(took)), "ms", messages,
             peer="goal (at most)", peer_value=0.2)  # fmt: skip
        show(f"message of a live decision, {turn}, p99", float(np.quantile(took, 0.99)), "ms", messages)


def give_codes(folder: Path, campaign: str, codes: Iterator[str]) -> None:
    """Codes that anybody may redeem once."""
    rows = [
        {"code": code, "campaign_id": campaign, "offer_id": "o", "status": "issued", "stocked": 0} for code in codes
    ]
    with Ledger(ledger_url(folder), open_tables) as ledger:
        ledger.write(lambda db, some: [db.execute(insert(CODES), rows) and None for _ in some])


def told_throughput(at: dict[str, Any], rounds: int, stack: str) -> None:
    rate = {name: at[f"{name} n"] / at[f"{name} us"] * 1e6 for name in ("routed", "constant", "bare", "decisions")}
    n = int(at["decisions n"].sum())
    show(f"decisions a second at 64 connections, {stack}", rate["decisions"], "1/s", n)
    for peer, what, goal in (
        ("routed", f"a constant through Starlette's routes, {stack}", 1 / 3),
        ("constant", f"a constant by a bare function, {stack}", None),
        ("bare", "a bare durable insert", 0.5),
    ):
        show(f"the same for {what}", rate[peer], "1/s", int(at[f"{peer} n"].sum()))
        show(
            f"decisions over {what}",
            ratio(rate["decisions"], rate[peer]),
            "ratio",
            rounds,
            peer="goal (at least)",
            peer_value=goal,
        )
        show(
            f"decisions over {what}, by CPU",
            ratio(at[f"{peer} cpu"], at["decisions cpu"]),
            "ratio",
            rounds,
            peer="goal (at least)",
            peer_value=goal,
        )
    for name in ("decisions", "bare", "constant"):
        show(f"median at 8 connections, {name}", at[f"{name} p50"], "ms", rounds)
        show(f"p99 at 8 connections, {name}", at[f"{name} p99"], "ms", rounds)
    show("p99 of fdatasync", at["disk"], "ms", rounds)
    show(
        "p99 at 8 over fdatasync p99",
        ratio(at["decisions p99"], at["disk"]),
        "ratio",
        rounds,
        peer="goal (at most)",
        peer_value=5.0,
    )
    show("p99 at 8 over that of a constant", ratio(at["decisions p99"], at["constant p99"]), "ratio", rounds)


def ratio(top: Any, bottom: Any) -> Middle:
    """The median of the rounds' own ratios."""
    return middle(np.asarray(top) / np.asarray(bottom))


def events(folder: Path, number: int, size: int = 500, clients: int = 4) -> None:
    """Events through /v1/batch from `clients` processes, every tenth batch twice: none lost, duplicates counted exactly."""
    shop, batches = Shop(folder), number // size
    share = [batches * k // clients for k in range(clients + 1)]
    before, began = cpu_s(shop.process), time.perf_counter()
    command = [sys.executable, "-c", CLIENT, str(shop.port), shop.key]
    sent_by = [
        subprocess.Popen([*command, str(first), str(last), str(size)], stdout=subprocess.PIPE)
        for first, last in pairwise(share)
    ]
    answers = [json.loads(each.communicate()[0]) for each in sent_by]
    wall, cpu = time.perf_counter() - began, cpu_s(shop.process) - before
    sums = {name: sum(each[name] for each in answers) for name in answers[0]}
    shop.stop(kill=True)  # what was answered is on disk
    Shop(folder, shop.key).stop()
    sent, twice, kept = batches * size, (batches + 9) // 10 * size, count_events(folder)
    rate = (sent + twice) / wall
    show("events a second through /v1/batch", rate, "1/s", sent + twice, peer="goal", peer_value=10_000.0)
    show("events per CPU second of the server", (sent + twice) / cpu, "1/CPU s", sent + twice)
    show("events lost", float(sent - kept), "events", sent, peer="accepted", peer_value=float(sums["accepted"]))
    show("duplicates miscounted", float(abs(twice - sums["duplicates"])), "events", twice)
    show("events rejected", float(sums["rejected_count"]), "events", sent)


def batches_of(source: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    while True:
        with lock:
            at = next(source, None)
        if at is None:
            return
        yield at


def count_events(folder: Path) -> int:
    with Ledger(ledger_url(folder), open_tables) as ledger, ledger.read() as db:
        return int(db.execute(select(func.count()).select_from(EVENTS)).scalar_one())


def run_all(jobs: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def last_units(folder: Path, repetitions: int, first: int = 0, units: int = 1000, most: int = 7) -> None:
    """64 clients on a campaign's last units; the server is killed in the middle and started again. One campaign each."""
    over = under = lost = kept = killed = 0
    shop = Shop(folder)
    for repetition in range(first, first + repetitions):
        campaign = f"cmp_{repetition}"
        limit = {"limit_id": f"last_{repetition}", "metric": "discount_amount", "amount": units}
        assert shop("PUT", f"/v1/campaigns/{campaign}", {"limits": [limit]})["http"] == 200
        told: dict[str, int] = {}
        mine = ((life, me, n) for life in (0, 1) for me in range(64) for n in range(100))
        give_codes(folder, campaign, (f"K{repetition}_{life}_{me}_{n}" for life, me, n in mine))
        killer = threading.Timer(random.Random(repetition).uniform(0.02, 0.4), shop.stop, [True])
        killer.start()
        hammer(shop, campaign, told, (repetition, 0), most)
        killer.join()
        killed += sum(told.values()) <= units - most  # it was not over yet
        shop = Shop(folder, shop.key)
        hammer(shop, campaign, told, (repetition, 1), most)
        (used,) = shop("GET", f"/v1/campaigns/{campaign}")["limits"]
        spent = used["held"] + used["spent"]
        over, under = over + (spent > units), under + (spent <= units - most)
        lost += sum(shop("GET", f"/v1/redemptions/{name}")["http"] != 200 for name in told)
        kept += len(told)
    assert shop("GET", "/v1/audit:verify")["holds"]
    shop.stop()
    data = f"64 clients, offers of 1 to {most} units, the last {units}; kill -9 once in each repetition"
    show("budget passed", float(over), "repetitions", repetitions, data=data)
    show("more than one offer left unspent", float(under), "repetitions", repetitions, data=data)
    show("acknowledged reservations lost", float(lost), "reservations", kept, data=data)
    show("killed before the budget was spent", float(killed), "repetitions", repetitions, data=data)


def hammer(shop: Shop, campaign: str, told: dict[str, int], life: tuple[int, int], most: int) -> None:
    """64 clients reserve until they are refused or the server is gone."""

    def client(me: int) -> None:
        draw, call, used = random.Random(f"{life} {me}"), Caller(shop.port, shop.key), 0
        for number in range(1000):
            name, cents = f"rdm_{life[0]}_{life[1]}_{me}_{number}", draw.randint(1, most)
            code = f"K{life[0]}_{life[1]}_{me}_{used}"
            body = {
                "redemption_id": name,
                "campaign_id": campaign,
                "offer_id": "o",
                "code": code,
                "customer_id": f"u{me}",
            }
            try:
                reply = call("POST", "/v1/redemptions:reserve", body | {"amount_cents": cents})
            except (OSError, http.client.HTTPException, ValueError):
                return
            if reply["http"] == 200:
                told[name], used = cents, used + 1
            elif cents == 1:
                return  # not even one unit is left

    run_all([lambda me=me: client(me) for me in range(64)])


def agreement(folder: Path) -> None:
    """Live decisions for every customer beside those of the plan, at the same price."""
    shop = Shop(folder)
    with Store(folder) as store:
        wanted = dict(store.frame("decisions").select("customer_id", "offer_id").iter_rows())
    found, rest, lock = {}, iter(range(CUSTOMERS)), threading.Lock()
    who = sorted(wanted)

    def client() -> None:
        call = Caller(shop.port, shop.key)
        for at in batches_of(rest, lock):
            found[who[at]] = call("POST", "/v1/decisions", {"customer_id": who[at]})["offer_id"]

    run_all([client] * 16)
    shop.stop()
    same = sum(found[each] == offer_id for each, offer_id in wanted.items())
    treated = sum(offer_id != "none" for offer_id in wanted.values())
    show(
        "live decisions equal to the plan",
        same / len(wanted),
        "share",
        len(wanted),
        peer="offers in the plan",
        peer_value=treated,
    )


@contextmanager
def copy_of(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(folder, Path(place) / "work")
        for url in SHARED:
            engine = create_engine(url)
            with engine.begin() as db:
                db.execute(text("drop schema public cascade"))
                db.execute(text("create schema public"))
            engine.dispose()
        yield Path(place) / "work"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--wrk", default="wrk")
    options.add_argument("--only")
    options.add_argument("--rounds", type=int, help="of each load; 2 of a second if quick, else 10 of two")
    options.add_argument(
        "--ledger", help="a PostgreSQL database beside SQLite: all in it is deleted; none: SQLite alone"
    )
    asked = options.parse_args()
    chosen = (
        asked.only
        or f"startup,agreement,throughput,{'' if asked.quick else 'plain,'}payments,carts,mixed,webhooks,words,events,money"
    )
    named = asked.ledger or os.environ.get("PROMOLIFT_TEST_POSTGRES", "none")
    ledgers = {"SQLite": "", **({} if named == "none" else {"PostgreSQL": named})}
    FORK.set_forkserver_preload(["promolift.server.startup"])
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "work"
        planned(folder)
        rounds, seconds = (asked.rounds or 2, 1) if asked.quick else (asked.rounds or 10, 2)
        parts: dict[str, Callable[[Path], None]] = {
            "agreement": agreement,
            "throughput": lambda place: throughput(place, asked.wrk, rounds, seconds),
            "plain": lambda place: throughput(place, asked.wrk, rounds, seconds, plain=True),
            "payments": lambda place: payments(place, asked.wrk, rounds, seconds),
            "carts": lambda place: carts(place, asked.wrk, rounds, seconds),
            "mixed": lambda place: mixed(place, asked.wrk, rounds, seconds),
            "startup": lambda place: startup(place, *((20_000, 2) if asked.quick else (1_000_000, 5))),
            "webhooks": lambda place: webhooks(place, 2000 if asked.quick else 20_000),
            "words": lambda place: words(place, 2000 if asked.quick else 20_000),
            "events": lambda place: events(place, 20_000 if asked.quick else 1_000_000),
            "money": lambda place: last_units(place, 1 if asked.quick else 50),
        }
        for name in chosen.split(","):
            if name in ("throughput", "plain", "payments", "carts", "mixed") and not shutil.which(asked.wrk):
                print(json.dumps({"skipped": name, "why": f"no {asked.wrk}; install it or name it with --wrk"}))
                continue
            for ledger, url in ledgers.items():
                if url and name in ("plain", "words"):
                    continue  # of the web stack, or of no ledger
                SHARED[:] = [url] if url else []
                NOW.update(part=name, ledger=ledger)
                with copy_of(folder) as place:
                    parts[name](place)
    print(f"\n{table()}\n\n{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
