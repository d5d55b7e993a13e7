"""A made-up log of receipts in; what a plan costs by several processes of this machine and on a Ray cluster out.

    python benchmarks/engine.py [--quick] [--rows N] [--arms processes ray one] [--pairs N] [--keep FOLDER]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. The log is that of events.py. Each run is
ingest, profile, effect and plan as `promolift run` does them, in a process of its own with an empty work folder: by two
worker processes, or on a Ray cluster of two raylets of a core each, started for it on the loopback. CPU is user and
system seconds of that process and of all below it, the raylets and the cluster's own services among
them (those as last seen, twice a second). Of the run by processes also what each step takes in the process that was started, which no further machine takes
off it, and in the workers. Tables are compared to the bit.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

import events

STEPS = ("ingest", "profile", "effect", "plan")
SUBREAPER = 36  # prctl: processes whose parent has ended become children of this one, which then knows their CPU
ROWS = {"one": "this process alone", "processes": "2 worker processes", "ray": "Ray, 2 raylets of a core"}


def arm(kind: str, folder: Path, root: Path) -> None:
    """One run in this process; prints what it took."""
    from promolift.config import Config
    from promolift.engine import EngineSettings
    from promolift.results.job import Job
    from promolift.run import run
    from promolift.store import Store

    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    cluster: Any = None
    engine = EngineSettings(workers=2 if kind == "processes" else 1)
    if kind == "ray":
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "memory": 2 * 10**9, "object_store_memory": 200 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        cluster.add_node(**node)
        engine = EngineSettings(kind="ray", address=cluster.address, task_memory="2GB")
    config = Config.parse({"data": json.loads((folder / "data.json").read_text())}, str(folder))
    config = config.model_copy(update={"engine": engine})
    found: dict[str, dict[str, float]] = {}
    peak = Watch(root / "tmp")
    start = time.perf_counter()
    with Store(root, memory=config.data.memory, threads=config.data.threads) as store:
        for name in STEPS:
            began, mine, theirs = time.perf_counter(), used(resource.RUSAGE_SELF), used(resource.RUSAGE_CHILDREN)
            run(Job(config, store, lambda *_: None), [name])
            found[name] = {
                "driver": used(resource.RUSAGE_SELF) - mine,
                "workers": used(resource.RUSAGE_CHILDREN) - theirs,
                "seconds": time.perf_counter() - began,
            }
    seconds = time.perf_counter() - start
    seen = peak.end()
    if cluster:
        cluster.shutdown()
    tables = sum(path.stat().st_size for path in (root / "tables").rglob("*.parquet"))
    whole = used(resource.RUSAGE_SELF) + (seen.cpu_s if cluster else used(resource.RUSAGE_CHILDREN))
    memory = {
        name: resource.getrusage(who).ru_maxrss / 1024
        for name, who in (("driver", resource.RUSAGE_SELF), ("worker", resource.RUSAGE_CHILDREN))
    }
    line = {
        "cpu": whole,
        "seconds": seconds,
        "steps": found,
        "tables": tables,
        "scratch": seen.most_bytes,
        "peak": memory,
    }
    print(json.dumps(line))


class Seen(NamedTuple):
    """The most bytes that lay in the folder, and CPU seconds of all that ran below this process."""

    most_bytes: int
    cpu_s: float


class Watch:
    """Twice a second: the most bytes that lay in a folder, and the CPU seconds of every process below this one as last
    seen. The kernel tells none of workers that a raylet, which does not wait for them, has started.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.most, self.seen, self.stop = folder, 0, dict[int, float](), threading.Event()
        self.thread = threading.Thread(target=self._go_on, daemon=True)
        self.thread.start()

    def _go_on(self) -> None:
        while not self.stop.wait(0.5):
            self.look()

    def look(self) -> None:
        size, parents, spent = 0, dict[int, int](), dict[int, float]()
        for path in self.folder.rglob("*"):
            with suppress(OSError):
                size += path.stat().st_size
        self.most = max(self.most, size)
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                parents[int(path.parent.name)] = int(fields[1])
                spent[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        for pid in spent:
            above = parents[pid]
            while above in parents and above != os.getpid():
                above = parents[above]
            if above == os.getpid():
                self.seen[pid] = spent[pid]

    def end(self) -> "Seen":
        self.stop.set()
        self.thread.join()
        self.look()
        return Seen(self.most, sum(self.seen.values()))


def used(who: int) -> float:
    """User and system seconds."""
    spent = resource.getrusage(who)
    return spent.ru_utime + spent.ru_stime


def measured(kind: str, folder: Path, root: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", kind, "--keep", str(folder), "--store", str(root)]
    source = str(Path(__file__).parent.parent / "src")
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": source})
    if done.returncode:
        raise SystemExit(f"{kind} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def unequal(one: Path, other: Path) -> list[str]:
    """Names of the tables' files that differ."""
    names = {str(path.relative_to(root)) for root in (one, other) for path in (root / "tables").rglob("*.parquet")}
    return sorted(
        name
        for name in names
        if not all((root / name).exists() for root in (one, other))
        or not pl.read_parquet(one / name).equals(pl.read_parquet(other / name))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 rows, one pair")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--arms", nargs="*", choices=tuple(ROWS), default=("processes", "ray"))
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where the log stays; one that is there is used again")
    parser.add_argument("--only", choices=tuple(ROWS), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        arm(asked.only, asked.keep, asked.store)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(asked, asked.keep or Path(folder))


def compare(asked: argparse.Namespace, folder: Path) -> None:
    """Make the log, run the arms by turns, print what they cost."""
    rows, pairs = (100_000, 1) if asked.quick else (asked.rows, asked.pairs)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data.json").exists():
        (folder / "data.json").write_text(json.dumps(events.make(folder, "receipts", rows, "csv")))
    for number in range(pairs):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            roots = {kind: Path(place) / kind for kind in (asked.arms if number % 2 == 0 else asked.arms[::-1])}
            took = {kind: measured(kind, folder, root) for kind, root in roots.items()}
            say(took, rows)
            for kind in asked.arms[1:]:
                wrong = unequal(roots[asked.arms[0]], roots[kind])
                show(f"tables that differ from those by {ROWS[asked.arms[0]]}", len(wrong), "files", kind, rows)


def say(took: dict[str, dict[str, Any]], rows: int) -> None:
    """The figures of one pair."""
    for kind, found in took.items():
        peer = "processes" if kind == "ray" and "processes" in took else None
        of_peer = took[peer]["cpu"] if peer else None
        show("CPU seconds", found["cpu"], "s", kind, rows, peer, of_peer)
        show("seconds", found["seconds"], "s", kind, rows, peer, took[peer]["seconds"] if peer else None)
        show("tables on disk", found["tables"] / 1e6, "MB", kind, rows)
        show("most scratch on disk", found["scratch"] / 1e6, "MB", kind, rows)
        for who, size in found["peak"].items():
            show(f"peak memory, {who}", size, "MiB", kind, rows)
        for name, one in found["steps"].items() if kind == "processes" else ():
            show(f"{name}, CPU seconds of the process that was started", one["driver"], "s", kind, rows)
            show(f"{name}, CPU seconds of the workers", one["workers"], "s", kind, rows)


def show(
    figure: str, value: float, unit: str, kind: str, rows: int, peer: str | None = None, of_peer: float | None = None
) -> None:
    line = {"figure": f"engine, {ROWS[kind]}: {figure}", "value": round(value, 2), "se": None, "unit": unit}
    line |= {
        "peer": peer and ROWS[peer],
        "peer_value": of_peer and round(of_peer, 2),
        "n": rows,
        "data": "receipts, csv",
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
