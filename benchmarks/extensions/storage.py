"""A made-up shop in; what a run costs whose work folder is at a URL, beside the same run in a folder, out.

    python benchmarks/extensions/storage.py --server MOTO_SERVER [--quick] [--pairs N]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. MOTO_SERVER is the program of the package
moto[server]: a server that speaks S3, started here on the loopback. Each run is `promolift run` in a process of its own
with an empty work folder and an empty cache, one after the other and the first by turns; CPU is user
and system seconds of that process and its children, the server's not. What differs between the work folders
is counted, and the same between two runs in folders (not with --quick): last bits of sums of floats differ from run to
run. Then a table of 256 MB that nothing compresses is sent and brought.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import polars as pl
from obstore.store import from_url

from promolift.extensions.simulation.worlds.simulated_shop import simulate
from promolift.extensions.simulation.worlds.world import SimulationSettings
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.storage.local_store import Store

TABLES = ("events", "products", "customers", "exposures")
OPTIONS = {"events": "events", "products": "products", "customers": "customers", "exposures": "promotions"}


@contextmanager
def served(program: str) -> Iterator[str]:
    """The server's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with socket.socket() as tried:
                if not tried.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def made(folder: Path, customers: int, weeks: int) -> Path:
    """The settings of the shop, with one thread, so that sums of floats come out the same."""
    shop = simulate(SimulationSettings(customers=customers, weeks=weeks, categories=12))
    for name in TABLES:
        getattr(shop, name).write_parquet(folder / f"{name}.parquet")
    config = folder / "promolift.toml"
    files = [part for name in TABLES for part in (f"--{OPTIONS[name]}", str(folder / f"{name}.parquet"))]
    run(["init", *files, "--config", str(config)], {})
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[data]\n", "[data]\nthreads = 1\nshards = 8\n", 1), encoding="utf-8")
    assert "threads = 1" in config.read_text(encoding="utf-8")
    return config


def run(arguments: list[str], more: dict[str, str]) -> float:
    """CPU seconds of one command."""
    process = subprocess.Popen(
        [sys.executable, "-m", "promolift.cli", *arguments], stderr=subprocess.PIPE, env=os.environ | more
    )
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(said)
    return used.ru_utime + used.ru_stime


def travels(url: str, cache: Path) -> tuple[float, float]:
    """CPU seconds to send 256 MB that nothing compresses, and to bring them to a machine that has none of them."""
    rows = pl.DataFrame({f"c{n}": np.random.default_rng(n).integers(0, 2**63, 4_000_000) for n in range(8)})
    with Store(url) as store:
        store.save("products", rows)
        wrote = time.process_time()
    sent = time.process_time()
    shutil.rmtree(cache)
    with Store(url) as store:
        store.path("products")
    return sent - wrote, time.process_time() - sent


def kept(work: str | Path) -> dict[str, str]:
    """The hash of every table and note of a work folder."""
    with Store(work) as store:
        if (remote := store.remote) is not None:
            return {name: each.sha256 for name, each in remote._files.items() if name.startswith(("tables", "notes"))}  # type: ignore[attr-defined]
        paths = [path for part in ("tables", "notes") for path in (store.root / part).rglob("*") if path.is_file()]
        return {path.relative_to(store.root).as_posix(): sha256_of_file(path) for path in paths}


def line(figure: str, values: list[float], unit: str, peer: str, peers: list[float], data: str) -> None:
    """One figure with its standard error."""
    se = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    said = {"figure": figure, "value": round(statistics.mean(values), 3), "se": se and round(se, 3), "unit": unit,
            "peer": peer, "peer_value": round(statistics.mean(peers), 3) if peers else None, "n": len(values), "data": data}  # fmt: skip
    print(json.dumps(said), flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=shutil.which("moto_server"))
    parser.add_argument("--quick", action="store_true", help="a small shop, one pair")
    parser.add_argument("--pairs", type=int, default=0)
    given = parser.parse_args()
    if given.server is None:
        print(json.dumps({"skipped": "object storage: name the program moto_server with --server"}))
        return
    customers, weeks, pairs = (200, 30, 1) if given.quick else (2000, 60, 2)
    used: dict[str, list[float]] = {name: [] for name in ("local", "remote", "twice", "again", "differ", "noise")}
    with served(given.server) as server, tempfile.TemporaryDirectory() as place:
        os.environ.update(
            AWS_ACCESS_KEY_ID="k", AWS_SECRET_ACCESS_KEY="k", AWS_REGION="us-east-1", AWS_ENDPOINT_URL=server
        )
        os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PROMOLIFT_CACHE": f"{place}/cache"}
        subprocess.run(["curl", "-sf", "-X", "PUT", f"{server}/shops"], check=True, stdout=subprocess.DEVNULL)
        cost = [travels(f"s3://shops/large{n}", Path(place) / "cache") for n in range(1 if given.quick else 3)]
        config = made(Path(place), customers, weeks)
        words: list[Any] = ["run", "--config", config, "--out", f"{place}/out", "--work"]
        for pair in range(given.pairs or pairs):
            works = {"local": f"{place}/work{pair}", "remote": f"s3://shops/{pair}", "twice": f"{place}/twice{pair}"}
            if given.quick:
                del works["twice"]
            for kind in sorted(works, reverse=bool(pair % 2)):
                used[kind].append(run([*map(str, words), works[kind]], {}))
            shutil.rmtree(f"{place}/cache")
            used["again"].append(run([*map(str, words), works["remote"]], {}))
            one = kept(works["local"])
            for figure, kind in [("differ", "remote")] if given.quick else [("differ", "remote"), ("noise", "twice")]:
                other = kept(works[kind])
                unlike = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
                print(figure, *unlike, file=sys.stderr)
                used[figure].append(float(len(unlike)))
            objects = [
                each
                for some in obstore.list(from_url(works["remote"], client_options={"allow_http": True}))
                for each in some
            ]
            sent = sum(each["size"] for each in objects) / 1e6
        data = f"{customers:,} customers, {weeks} weeks, {len(one)} tables and notes, {sent:.1f} MB"
    line("256 MB sent", [sent for sent, _ in cost], "CPU s", "", [], "8 columns of 4,000,000 drawn numbers")
    line("256 MB brought", [brought for _, brought in cost], "CPU s", "", [], "8 columns of 4,000,000 drawn numbers")
    ratios = [there / here for there, here in zip(used["remote"], used["local"], strict=True)]
    line("run at a URL", used["remote"], "CPU s", "the same in a folder", used["local"], data)
    line("ratio", ratios, "", "aim at most", [1.3], data)
    line("run again at the URL, nothing new, empty cache", used["again"], "CPU s", "", [], data)
    line(
        "tables and notes that differ from the folder's",
        used["differ"],
        "",
        "of two runs in folders",
        used["noise"],
        data,
    )


if __name__ == "__main__":
    main()
