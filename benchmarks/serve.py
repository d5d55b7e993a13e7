"""A planned shop in; how fast and how safely a server answers, beside floors measured in the same run, out.

    python benchmarks/serve.py [--quick] [--wrk wrk]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. The load comes from the tool wrk (a second process);
where it is missing the figures that need it are skipped with a line. Servers run one at a time, one process each; rounds
of all of them alternate, and standard errors are over rounds. Floors: the same web stack answering a constant; the same
web stack keeping one row per request through the same group commit; the disk's own fdatasync. Absolute figures hang on
the machine and its load: compare within one run. Packages on PYTHONPATH are seen by the servers too: put httptools and
uvloop there to measure that stack.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from promolift import effect, offer
from promolift.config import Config
from promolift.offer import MenuItem, OfferRules
from promolift.serve import release
from promolift.serve.app import free_port
from promolift.steps import plan
from promolift.steps.job import Job, moments
from promolift.store import Store
from promolift.terms import Benefit

CAMPAIGN = "cmp_bench"
CUSTOMERS, TARGETS, DEPTHS = 2000, 5, (5, 10, 20, 30)
DATA = f"made-up shop, {CUSTOMERS} customers, {TARGETS * len(DEPTHS)} candidate offers each"
WEB = "uvicorn, " + ("httptools" if find_spec("httptools") else "h11") + (", uvloop" if find_spec("uvloop") else "")
FLOORS = """
import asyncio, json, sys
import uvicorn
from sqlalchemy import insert
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from promolift.store.ledger import Ledger
from promolift.store.ledger_schema import EVENTS
ledger, number = Ledger(f"sqlite:///{sys.argv[2]}"), iter(range(10**9))
def keep(db, rows):
    db.execute(insert(EVENTS), rows)
    return rows
async def constant(request):
    json.loads(await request.body())
    return JSONResponse({"offer_id": "none", "reason": "constant"})
async def bare(request):
    who = json.loads(await request.body())["customer_id"]
    row = {"message_id": str(next(number)), "customer_id": who, "ts_ms": 0, "received_ms": 0, "name": "x", "body": "{}"}
    await asyncio.wrap_future(ledger.submit(keep, row))
    return JSONResponse({"offer_id": "none", "reason": "kept"})
app = Starlette(routes=[Route("/constant", constant, methods=["POST"]), Route("/bare", bare, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
"""
LUA = """
local at = tonumber(os.getenv("START")) or 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("KEY") or "")
request = function()
  at = (at + 7919) % CUSTOMERS
  return wrk.format(nil, nil, nil, string.format('{"customer_id": "u%05d", "campaign_id": "CAMPAIGN"}', at))
end
done = function(summary, latency)
  io.write(string.format('\\n{"n": %d, "us": %d, "p50": %d, "p99": %d, "errors": %d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.connect))
end
""".replace("CUSTOMERS", str(CUSTOMERS)).replace("CAMPAIGN", CAMPAIGN)


def show(figure: str, value: Any, unit: str, n: int, **more: Any) -> None:
    """One JSON line; an array is shown as its mean with the standard error over its rounds."""
    rounds = np.atleast_1d(np.asarray(value, np.float64))
    se = float(rounds.std(ddof=1) / len(rounds) ** 0.5) if len(rounds) > 1 else None
    line: dict[str, Any] = {
        "figure": figure,
        "value": float(rounds.mean()),
        "se": se,
        "unit": unit,
        "peer": None,
        "peer_value": None,
    }
    line |= {"n": n, "data": DATA} | more
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def planned(folder: Path) -> Config:
    """A work folder with a finished plan and a release of it."""
    menu = tuple(
        MenuItem(id=f"cut-{p}", benefit=Benefit(type="percent_off", percent=p), scope="category") for p in DEPTHS
    )
    config = Config(data={"source": "complete-journey"}, menu=menu, consent={"default": True},
                    plan={"campaign": CAMPAIGN, "budget_cents": 100_000, "asof": "2026-01-05"})  # fmt: skip
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
        response = effect.assumed_response("made up", effect.DiscountSettings(prior_response=3.0))
        store.save_json("response", response.to_dict())
        resting = pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})
        listed = offer.list_candidates(people, targets, config.menu, OfferRules(), resting)
        store.save("candidates", effect.add_effects(listed, response, None, config.value))
        store.save(
            "products", pl.DataFrame(schema=dict.fromkeys(["product_id", "name", "category", "type"], pl.String))
        )
        plan.decide(job, moments(job), "assumed")
        chosen = store.frame("plan").select("customer_id", "offer_id")
        store.save("messages", chosen.with_columns(message_zh=pl.lit(""), message_en=pl.lit("")))
        store.save_json("offers", [])
        (folder / "release").write_text(release.build(store, config), encoding="ascii")
    return config


class Shop:
    """A running promolift server over a copy of the planned folder."""

    def __init__(self, folder: Path, key: str = "") -> None:
        self.folder, self.port, self.key = folder, free_port(), key
        settings = folder / "serve.toml"
        settings.write_text("rate_per_second = 1e9\nburst = 1000000000\ndeadline_ms = 60000\n", encoding="ascii")
        command = [sys.executable, "-m", "promolift.cli", "serve", "--config", str(folder / "no.toml")]
        command += ["--work", str(folder), "--port", str(self.port), "--settings", str(settings)]
        self.process = start(command, self.port)
        if not key:
            assert self.process.stdout
            self.key = self.process.stdout.readline().decode().split()[-1]
            name = (folder / "release").read_text(encoding="ascii")
            self("POST", f"/v1/releases/{name}:activate")

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        return Caller(self.port, self.key)(method, path, body)

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Caller:
    """One kept connection."""

    def __init__(self, port: int, key: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        reply = self.connection.getresponse()
        return json.loads(reply.read()) | {"http": reply.status}


def start(command: list[str], port: int) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while True:
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
            return process
        except OSError:
            assert process.poll() is None, "the server did not start"
            time.sleep(0.05)


def cpu_s(process: "subprocess.Popen[bytes]") -> float:
    """CPU seconds a process has used."""
    parts = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def load(wrk: str, url: str, connections: int, seconds: float, key: str = "") -> dict[str, float]:
    """One round of load: requests, microseconds it took, and the 99th percentile of the latencies in ms."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "60s", "-s", script.name, url]
        environment = os.environ | {"KEY": key, "START": str(random.randrange(CUSTOMERS))}
        text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    told = json.loads(text.strip().splitlines()[-1])
    assert not told["errors"], told
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


def throughput(folder: Path, wrk: str, rounds: int, seconds: float) -> None:
    """Decisions beside the two floors at 64 connections, and their 99th percentile at 8 beside the disk's."""
    port = free_port()
    floors = start([sys.executable, "-c", FLOORS, str(port), str(folder / "floor.db")], port)
    shop = Shop(folder)
    home = "http://127.0.0.1"
    runs = {
        "constant": (floors, f"{home}:{port}/constant"),
        "bare": (floors, f"{home}:{port}/bare"),
        "decisions": (shop.process, f"{home}:{shop.port}/v1/decisions"),
    }
    found: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for name, (process, url) in runs.items():
            before, told = cpu_s(process), load(wrk, url, 64, seconds, shop.key)
            told["cpu"] = (cpu_s(process) - before) / max(told["n"], 1)
            for part in ("n", "us", "cpu") if turn else ():  # the first round warms up
                found.setdefault(f"{name} {part}", []).append(told[part])
        disk = fdatasync_ms(folder, seconds / 2)
        p99 = load(wrk, runs["decisions"][1], 8, seconds, shop.key)["p99"]
        disk += fdatasync_ms(folder, seconds / 2)
        if turn:
            found.setdefault("disk", []).append(float(np.quantile(disk, 0.99)))
            found.setdefault("p99", []).append(p99)
    shop.stop()
    floors.terminate()
    floors.wait()
    at = {name: np.array(values) for name, values in found.items()}
    rate = {name: at[f"{name} n"] / at[f"{name} us"] * 1e6 for name in runs}
    n = int(at["decisions n"].sum())
    told = {name: float(rate[name].mean()) for name in runs}
    show(
        "decisions a second at 64 connections",
        rate["decisions"],
        "1/s",
        n,
        peer=f"a constant, {WEB}",
        peer_value=told["constant"],
    )
    for peer, goal in (("constant", 1 / 3), ("bare", 0.5)):
        what = {"constant": "a constant", "bare": "a bare durable insert"}[peer]
        value, se = ratio(rate["decisions"], rate[peer])
        show(f"throughput over that of {what}", value, "ratio", rounds, se=se, peer="goal (at least)", peer_value=goal)
        value, se = ratio(at[f"{peer} cpu"], at["decisions cpu"])
        show(f"the same by CPU seconds, {what}", value, "ratio", rounds, se=se, peer="goal (at least)", peer_value=goal)
    show("p99 at 8 connections", at["p99"], "ms", rounds, peer="fdatasync p99", peer_value=float(at["disk"].mean()))
    value, se = ratio(at["p99"], at["disk"])
    show("p99 at 8 over fdatasync p99", value, "ratio", rounds, se=se, peer="goal (at most)", peer_value=5.0)


def ratio(top: Any, bottom: Any) -> tuple[float, float | None]:
    """Ratio of two means over the same rounds, with its jackknife error."""
    n = len(top)
    left = np.array([np.delete(top, k).mean() / np.delete(bottom, k).mean() for k in range(n)]) if n > 1 else None
    se = None if left is None else float(((n - 1) / n * ((left - left.mean()) ** 2).sum()) ** 0.5)
    return float(top.mean() / bottom.mean()), se


def events(folder: Path, number: int, size: int = 1000, clients: int = 4) -> None:
    """Events through /v1/batch, every tenth batch sent twice: none lost, duplicates counted exactly."""
    shop, batches, lock = Shop(folder), iter(range(number // size)), threading.Lock()
    sums = {"accepted": 0, "duplicates": 0, "rejected_count": 0}
    line = '{"type":"track","event":"Product Viewed","messageId":"m%d","userId":"u%05d","properties":{"product_id":"p%d","price":12.5},"timestamp":"2026-01-05T10:00:00.000Z"}'

    def client() -> None:
        call = Caller(shop.port, shop.key)
        for at in batches_of(batches, lock):
            rows = ",".join(line % (n, n % CUSTOMERS, n % 500) for n in range(at * size, (at + 1) * size))
            for _ in range(2 if at % 10 == 0 else 1):
                call.connection.request("POST", "/v1/batch", '{"batch":[' + rows + "]}", call.headers)
                told = json.loads(call.connection.getresponse().read())
                with lock:
                    for name in sums:
                        sums[name] += told[name]

    before, began = cpu_s(shop.process), time.perf_counter()
    run_all([client] * clients)
    wall, cpu = time.perf_counter() - began, cpu_s(shop.process) - before
    shop.stop()
    again = Shop(folder, shop.key)
    sent = number // size * size
    twice = sum(size for at in range(number // size) if at % 10 == 0)
    last = again("GET", f"/v1/campaigns/{CAMPAIGN}")
    assert last["http"] == 200
    kept = count_events(folder)
    again.stop()
    show(
        "events a second through /v1/batch",
        (sent + twice) / wall,
        "1/s",
        sent + twice,
        peer="goal",
        peer_value=10_000.0,
    )
    show("events per CPU second of the server", (sent + twice) / cpu, "1/CPU s", sent + twice)
    show(
        "events lost",
        float(sent - kept),
        "events",
        sent,
        peer="accepted by the answers",
        peer_value=float(sums["accepted"]),
    )
    show("duplicates miscounted", float(abs(twice - sums["duplicates"])), "events", twice)


def batches_of(source: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    while True:
        with lock:
            at = next(source, None)
        if at is None:
            return
        yield at


def count_events(folder: Path) -> int:
    import sqlite3

    with sqlite3.connect(folder / "serve" / "ledger.db") as db:
        return int(db.execute("select count(*) from events").fetchone()[0])


def run_all(jobs: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def last_units(folder: Path, repetitions: int, units: int = 1000, most: int = 7) -> None:
    """64 clients on a campaign's last units; the server is killed in the middle and started again."""
    over = under = lost = 0
    for repetition in range(repetitions):
        place = folder.with_name(f"money-{repetition}")
        shutil.copytree(folder, place)
        shop = Shop(place)
        limit = {"limit_id": "last", "metric": "discount_amount", "amount": units}
        shop("PUT", f"/v1/campaigns/{CAMPAIGN}", {"limits": [limit]})
        told: dict[str, int] = {}
        moment = random.Random(repetition).uniform(0.02, 0.4)
        killer = threading.Timer(moment, shop.stop, [signal.SIGKILL])
        killer.start()
        hammer(shop, told, repetition, 0, most)
        killer.join()
        shop = Shop(place, shop.key)
        hammer(shop, told, repetition, 1, most)
        (used,) = shop("GET", f"/v1/campaigns/{CAMPAIGN}")["limits"]
        spent = used["held"] + used["spent"]
        over, under = over + (spent > units), under + (spent <= units - most)
        lost += sum(shop("GET", f"/v1/redemptions/{name}")["http"] != 200 for name in told)
        assert shop("GET", "/v1/audit:verify")["holds"]
        shop.stop()
        shutil.rmtree(place)
    data = f"64 clients, offers of 1 to {most} units, the last {units}; killed once in each repetition"
    show("budget passed", float(over), "repetitions", repetitions, data=data)
    show("more than one offer left unspent", float(under), "repetitions", repetitions, data=data)
    show("acknowledged reservations lost", float(lost), "reservations", repetitions, data=data)


def hammer(shop: Shop, told: dict[str, int], repetition: int, life: int, most: int) -> None:
    """64 clients reserve until they are refused or the server is gone."""

    def client(me: int) -> None:
        draw, call = random.Random(f"{repetition} {life} {me}"), Caller(shop.port, shop.key)
        for number in range(1000):
            name, cents = f"rdm_{life}_{me}_{number}", draw.randint(1, most)
            body = {"redemption_id": name, "campaign_id": CAMPAIGN, "offer_id": "o", "customer_id": f"u{me}"}
            try:
                reply = call("POST", "/v1/redemptions:reserve", body | {"amount_cents": cents})
            except (OSError, http.client.HTTPException, ValueError):
                return
            if reply["http"] == 200:
                told[name] = cents
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
        yield Path(place) / "work"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--wrk", default="wrk")
    options.add_argument("--only", default="agreement,throughput,events,money")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "work"
        planned(folder)
        parts: dict[str, Callable[[Path], None]] = {
            "agreement": agreement,
            "throughput": lambda place: throughput(place, asked.wrk, *((3, 2.0) if asked.quick else (12, 4.0))),
            "events": lambda place: events(place, 40_000 if asked.quick else 1_000_000),
            "money": lambda place: last_units(place, 2 if asked.quick else 50),
        }
        for name in asked.only.split(","):
            if name == "throughput" and not shutil.which(asked.wrk):
                print(json.dumps({"skipped": name, "why": f"no {asked.wrk}; install it or name it with --wrk"}))
                continue
            with copy_of(folder) as place:
                parts[name](place)


if __name__ == "__main__":
    main()
