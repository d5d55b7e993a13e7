"""A drawn shop in; how long the console's screens take on the server, and whether decisions feel people who click, out.

    python benchmarks/server/console.py [--customers 110,200000] [--quick] [--only screens,clicks]

The shop is that of the tests (tests/support/told_shop.py), drawn at any size, its plan made by the house's own steps.
Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data.
`screens`: server time of each screen from request to answer, in one process with nothing between: the first time after
the start, and the median of five more; bytes of HTML; bytes of all scripts as they are sent.
`clicks`: one process serves; a second asks for decisions one after the other on two connections; ten people in a third
open a screen each every three seconds or so. Rounds with and without them alternate; the 99th percentile of each
round, and the ratio with its 95 % interval over pairs of rounds. Rounds are short and in either order, so that what
else the machine does meanwhile falls on both alike.
"""

import argparse
import gzip
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))

PEOPLE, THINKS_S = 10, 3.0
PATHS = ("/", "/data", "/plan", "/plan/what-if?budget=3000", "/words", "/customers", "/customers?q=u00",
         "/customers/all", "/customers/one?id=u001", "/offers", "/offers/edit?line=save-5", "/tests", "/tests/new", "/live",
         "/live?part=now", "/results", "/trials", "/developer", "/people", "/account")  # fmt: skip
ASKS = """
import http.client, json, sys, threading, time
port, key, seconds, people = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
taken = []
def ask(first):
    call, number, until = http.client.HTTPConnection("127.0.0.1", port, timeout=60), first, time.perf_counter() + seconds
    while time.perf_counter() < until:
        number = (number + 7919) % people
        began = time.perf_counter()
        call.request("POST", "/v1/decisions", json.dumps({"customer_id": "u%03d" % number}),
                     {"authorization": "Bearer " + key, "content-type": "application/json"})
        call.getresponse().read()
        taken.append((time.perf_counter() - began) * 1000)
threads = [threading.Thread(target=ask, args=(n,)) for n in range(2)]
[each.start() for each in threads]
[each.join() for each in threads]
print(json.dumps(taken))
"""


def show(figure: str, value: float, unit: str, n: int, data: str, **more: Any) -> None:
    """One JSON line."""
    line = {"figure": figure, "value": round(value, 3), "se": None, "unit": unit, "peer": None, "peer_value": None}
    print(json.dumps(line | {"n": n, "data": data} | more), flush=True)


def drawn(root: Path, customers: int) -> None:
    """A work folder with all that the screens show."""
    import told_shop
    from planned_shop import drawn_shop

    from promolift.foundation.storage.local_store import Store
    from promolift.shop.pipeline.steps import evaluate, message, plan
    from promolift.shop.results.work_folder.run_context import Job

    with Store(root) as store:
        job = Job(told_shop.shop_config(**told_shop.SHOPS["dollars"]), store, lambda *_: None)
        drawn_shop(store, 1, customers)
        told_shop.describe(store, 1)
        told_shop.forecast(store, 1)
        for step in (plan, message, evaluate):
            step.run(job)
        told_shop.check(store, 1)


def screens(root: Path, customers: int) -> None:
    """Server time and size of every screen."""
    from console_helpers import Person, opened

    from promolift.server.console.pages.view import assets

    data = f"drawn shop, {customers:,} customers"
    with opened(root, demo=True) as shop:
        person: Person = shop.person()
        for path in PATHS:
            times, size = [], 0
            for _ in range(6):
                began = time.perf_counter()
                text = person.get(path)
                times.append((time.perf_counter() - began) * 1000)
                size = len(text.encode())
            show(f"server time of {path}", median(times[1:]), "ms", 5, data, first=round(times[0], 1), html_bytes=size)
    sent = sum(len(gzip.compress(content)) for name, content in assets().items() if name.endswith(".js"))
    show("all scripts, gzipped", sent / 1024, "kB", 1, data)


def serve(root: Path, port: int) -> None:
    """A process that serves until it is ended; its first line is a key and the cookie of a person."""
    from console_helpers import CONFIG, HASHED

    from promolift.server.api.api_keys import create_key
    from promolift.server.api.app import create, run_uvicorn
    from promolift.server.console.console_app import with_console
    from promolift.server.console.state.users import add_person, start_session
    from promolift.server.settings import ServeSettings

    made = with_console(create(ServeSettings.parse({"work": root, "deadline_ms": 20_000}, "benchmark"), CONFIG), True)
    server = made.app.server

    def session(db: Any, some: list[None]) -> list[str]:
        add_person(db, 1, "benchmark", "clicker", "admin", HASHED)
        cookie = start_session(db, server.clock.now_ms(), "clicker", "benchmark").cookie
        key = create_key(db, "decide", "benchmark", server.clock.now_ms(), "benchmark").secret
        return [json.dumps([key, cookie]) for _ in some]

    print(server.ledger.write(session), flush=True)
    run_uvicorn(made.app, "127.0.0.1", port)


def clicks(root: Path, customers: int, rounds: int, seconds: float) -> None:
    """Decisions with and without people who click."""
    from serve_helpers import free_port

    port, data = free_port(), f"drawn shop, {customers:,} customers, {PEOPLE} people"
    command = [sys.executable, __file__, "--serve", str(root), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        key, cookie = json.loads(server.stdout.readline())
        while True:
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
                break
            except OSError:
                time.sleep(0.05)
        try:
            warm = [click(port, cookie, path) for path in PATHS]
            asked(port, key, 2.0, customers)
            found: dict[str, list[float]] = {"without": [], "with": []}
            opened: list[float] = []
            for place in range(rounds):
                for kind in ("without", "with") if place % 2 else ("with", "without"):
                    stop = threading.Event()
                    people = [
                        threading.Thread(target=clicking, args=(port, cookie, stop, opened))
                        for _ in range(PEOPLE if kind == "with" else 0)
                    ]
                    for each in people:
                        each.start()
                    found[kind].append(p99(asked(port, key, seconds, customers)))
                    stop.set()
                    for each in people:
                        each.join()
        finally:
            server.terminate()
    ratio = np.log(np.array(found["with"]) / np.array(found["without"]))
    for name, values in found.items():
        show(f"p99 of decisions {name} clicks", float(np.mean(values)), "ms", rounds, data)
    half = 1.96 * float(ratio.std(ddof=1) / len(ratio) ** 0.5)
    low, middle, high = (round(float(np.exp(ratio.mean() + end)), 3) for end in (-half, 0.0, half))
    show("p99 with / without", middle, "ratio", rounds, data, low=low, high=high)
    show("a screen meanwhile", median(opened), "ms", len(opened), data, slowest_warm=round(max(warm), 1))


def asked(port: int, key: str, seconds: float, customers: int) -> list[float]:
    """Latencies of decisions, in ms, from a process of their own."""
    given = [sys.executable, "-c", ASKS, str(port), key, str(seconds), str(customers)]
    return list(json.loads(subprocess.run(given, capture_output=True, text=True, check=True).stdout))


def p99(taken: list[float]) -> float:
    """The 99th percentile."""
    return float(np.quantile(taken, 0.99))


def clicking(port: int, cookie: str, stop: threading.Event, opened: list[float]) -> None:
    """One person."""
    while not stop.wait(random.uniform(0.5, 1.5) * THINKS_S):
        opened.append(click(port, cookie, random.choice(PATHS)))


def click(port: int, cookie: str, path: str) -> float:
    """Open a screen; how long it took in ms."""
    began, call = time.perf_counter(), http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    call.request("GET", f"/console{path}", headers={"cookie": f"promolift_console={cookie}"})
    reply = call.getresponse()
    reply.read()
    assert reply.status == 200, (path, reply.status)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """What was asked for."""
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", default="110")
    parser.add_argument("--only", default="screens,clicks")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    parts: dict[str, Callable[[Path, int], None]] = {
        "screens": screens,
        "clicks": lambda root, size: clicks(root, size, 4 if given.quick else 40, 3.0),
    }
    for size in map(int, given.customers.split(",")):
        with tempfile.TemporaryDirectory() as root:
            drawn(Path(root), size)
            for name in given.only.split(","):
                parts[name](Path(root), size)


if __name__ == "__main__":
    main()
