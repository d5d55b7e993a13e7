"""A made-up log of receipts in; what a plan costs by several processes of this machine and on a Ray cluster out.

    python benchmarks/shop/engine.py [--quick] [--rows N] [--arms processes ray url one] [--pairs N] [--keep FOLDER]
        [--kills] [--server MOTO_SERVER]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. The log is that of events.py. Each run is
ingest, profile, effect and plan as `promolift run` does them, in a process of its own with an empty work folder: by two
worker processes, or on a Ray cluster of two raylets of a core each, started for it on the loopback. CPU is user and
system seconds of that process and of all below it, the raylets and the cluster's own services among
them (those as last seen, twice a second). Of the run by processes also what each step takes in the process that was started, which no further machine takes
off it, and in the workers. Tables are compared to the bit. --kills: on the cluster alone, one run for each of LOST, where
the second raylet is killed while results come back; the choice by rounds, however few customers there are. --arms url:
two raylets with caches of their own, and the work folder on a server that speaks S3 (moto_server of the package
moto[server]), whose CPU does not count; what goes there and comes from there is counted on the way.
"""

import argparse
import ctypes
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import events
import polars as pl

STEPS = ("ingest", "profile", "effect", "plan")
LOST = (*STEPS, "rounds")  # the step, or the third round of the choice, in which a raylet is killed
SUPPLIERS = 0.9  # of each benefit is paid by suppliers: deals move nobody in this log, and else no offer pays
SUBREAPER = 36  # prctl: processes whose parent has ended become children of this one, which then knows their CPU
FEW = 100_000  # rows up to which customers are parted in four shards, and asked in rounds, all the same
ROWS = {"one": "this process alone", "processes": "2 worker processes", "ray": "Ray, 2 raylets of a core"}
ROWS["url"] = "Ray, 2 raylets that share no folder, and a URL"


def arm(kind: str, folder: Path, root: Path, few: bool = False, lost: str | None = None) -> None:
    """One run in this process; prints what it took. `few` customers are parted and asked in rounds all the same."""
    from promolift.foundation.executors.executor import ExecutorSettings
    from promolift.foundation.storage.local_store import Store
    from promolift.foundation.storage.remote_storage import brought
    from promolift.shop.configuration.configuration import Config
    from promolift.shop.pipeline.pipeline import run_steps
    from promolift.shop.results.work_folder.run_context import Job

    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    cluster: Any = None
    engine = ExecutorSettings(workers=2 if kind == "processes" else 1)
    if kind in ("ray", "url"):
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "memory": 2 * 10**9, "object_store_memory": 200 * 2**20}
        own = [{"env_vars": {"PROMOLIFT_CACHE": f"{root}.{name}"}} if kind == "url" else {} for name in ("a", "b")]
        cluster = Cluster(initialize_head=True, head_node_args=node | own[0])
        other = cluster.add_node(**node, **own[1])
        engine = ExecutorSettings(kind="ray", address=cluster.address, task_memory="2GB")
    stated = {"data": json.loads((folder / "data.json").read_text()), "consent": {"default": True}}
    config = Config.parse(stated, str(folder))
    menu = tuple(item.model_copy(update={"supplier_share": SUPPLIERS}) for item in config.menu)
    config = config.model_copy(update={"engine": engine, "menu": menu})
    if few:
        config = config.model_copy(update={"data": config.data.model_copy(update={"shards": 4})})
        for_few_customers()
    moment = Moment(lost, partial(cluster.remove_node, other, allow_graceful=False) if lost else None)
    found: dict[str, dict[str, float]] = {}
    written = writing()
    peak = Watch(root / "tmp")
    start = time.perf_counter()
    place = "s3://shops/shop" if kind == "url" else root
    with Store(place, memory=config.data.memory, threads=config.data.threads) as store:
        for name in STEPS:
            moment.step = name
            began, mine, theirs = time.perf_counter(), used(resource.RUSAGE_SELF), used(resource.RUSAGE_CHILDREN)
            run_steps(Job(config, store, lambda *_: None), [name])
            found[name] = {
                "driver": used(resource.RUSAGE_SELF) - mine,
                "workers": used(resource.RUSAGE_CHILDREN) - theirs,
                "seconds": time.perf_counter() - began,
            }
        if kind == "url":  # what the run left there, to be compared
            shutil.copytree(brought(store.root / "tables"), root / "tables")
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
        "killed": moment.killed,
        "written": written,
        "treated": pl.read_parquet(root / "tables" / "chosen.parquet").height,
    }
    print(json.dumps(line))


def writing() -> dict[str, float]:
    """CPU seconds of this process for each table that it writes in one file, from now on."""
    from promolift.foundation.storage.local_store import Store

    spent, save = dict[str, float](), Store.save

    def timed(store: Store, name: str, rows: Any) -> None:
        began = time.process_time()
        save(store, name, rows)
        spent[name] = time.process_time() - began

    Store.save = timed  # type: ignore[method-assign]
    return spent


def for_few_customers() -> None:
    """What is asked of many customers is asked of few: parts on disk, and rounds over them."""
    from promolift.core.allocation import solver
    from promolift.core.allocation.algorithms import lagrangian
    from promolift.shop.pipeline.steps import plan

    plan.CUSTOMERS_IN_MEMORY = 20
    for module in (lagrangian, solver):
        module.GATHER = 0  # type: ignore[attr-defined]


class Moment:
    """When a raylet is killed: as the second result of a step, or of the third round, has come."""

    def __init__(self, lost: str | None, kill: Callable[[], object] | None) -> None:
        from promolift.extensions.cluster.ray_executor import RayExecutor
        from promolift.shop.pipeline.planning.partitions import StoredRounds

        self.step, self.rounds, self.seen, self.killed, got, each = "", 0, 0, False, RayExecutor._got, StoredRounds.each

        def counted(engine: RayExecutor, *asked: Any) -> Any:
            found = got(engine, *asked)
            self.seen += lost in (self.step, "rounds" if self.rounds == 3 else None)
            if kill and self.seen == 2 and not self.killed:
                self.killed = True
                kill()
            return found

        def round_of(rounds: StoredRounds, *asked: Any, **named: Any) -> Iterator[Any]:
            self.rounds += 1
            return each(rounds, *asked, **named)

        RayExecutor._got, StoredRounds.each = counted, round_of  # type: ignore[method-assign]


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


def measured(kind: str, folder: Path, root: Path, *more: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", kind, "--keep", str(folder), "--store", str(root), *more]
    source = str(Path(__file__).parents[2] / "src")
    environment = os.environ | {"PYTHONPATH": source, "PROMOLIFT_CACHE": f"{root}.cache"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{kind} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def counted(program: str) -> Iterator[list[int]]:
    """A server that speaks S3, which the environment names, and the bytes that went up there and came down."""
    import storage

    bytes_of = [0, 0]

    def pump(source: socket.socket, sink: socket.socket, which: int) -> None:
        with suppress(OSError):
            while some := source.recv(1 << 16):
                bytes_of[which] += len(some)
                sink.sendall(some)
            sink.shutdown(socket.SHUT_WR)

    def serve(door: socket.socket, port: int) -> None:
        with suppress(OSError):
            while True:
                client, server = door.accept()[0], socket.create_connection(("127.0.0.1", port))
                for which, pair in enumerate([(client, server), (server, client)]):
                    threading.Thread(target=pump, args=(*pair, which), daemon=True).start()

    with storage.served(program) as address, socket.create_server(("127.0.0.1", 0)) as door:
        bucket = urllib.request.Request(f"{address}/shops", method="PUT")
        urllib.request.urlopen(bucket, timeout=30).close()
        threading.Thread(target=serve, args=(door, int(address.rpartition(":")[2])), daemon=True).start()
        values = {"ACCESS_KEY_ID": "clerk", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1"}
        os.environ |= {f"AWS_{name}": value for name, value in values.items()}
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{door.getsockname()[1]}"
        yield bytes_of


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
    parser.add_argument(
        "--quick", action="store_true", help="20,000 rows in four shards, the choice by rounds, one pair, without Ray"
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--arms", nargs="*", choices=tuple(ROWS))
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--server", help="of --arms url: the program moto_server")
    parser.add_argument("--keep", type=Path, help="where the log stays; one that is there is used again")
    parser.add_argument("--kills", action="store_true", help=f"30,000 rows; a raylet lost in each of {', '.join(LOST)}")
    parser.add_argument("--lost", choices=LOST, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=tuple(ROWS), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        arm(asked.only, asked.keep, asked.store, asked.kills, asked.lost)
        return
    if asked.arms is None and asked.quick:
        print(json.dumps({"skipped": "Ray: ask with --arms processes ray"}))
    asked.arms = asked.arms or (["processes"] if asked.quick else ["processes", "ray"])
    with tempfile.TemporaryDirectory() as folder:
        (kills if asked.kills else compare)(asked, asked.keep or Path(folder))


def kills(asked: argparse.Namespace, folder: Path) -> None:
    """Whether a run by processes and those that lose a raylet leave the same tables."""
    log(folder, 30_000)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        whole = Path(place) / "processes"
        show(
            "customers with an offer",
            measured("processes", folder, whole, "--kills")["treated"],
            "customers",
            "processes",
            30_000,
        )
        for lost in LOST:
            found = measured("ray", folder, Path(place) / lost, "--kills", "--lost", lost)
            wrong = unequal(whole, Path(place) / lost)
            show(f"a raylet killed in {lost}", float(found["killed"]), "raylets", "ray", 30_000)
            show(f"a raylet killed in {lost}: tables that differ", len(wrong), "files", "ray", 30_000)


def log(folder: Path, rows: int) -> None:
    """Make the log, if none is there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data.json").exists():
        (folder / "data.json").write_text(json.dumps(events.make(folder, "receipts", rows, "csv")))


def compare(asked: argparse.Namespace, folder: Path) -> None:
    """Make the log, run the arms by turns, print what they cost."""
    rows, pairs = (20_000, 1) if asked.quick else (asked.rows, asked.pairs)
    few = ["--kills"] if rows <= FEW else []
    log(folder, rows)
    for number in range(pairs):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            roots = {kind: Path(place) / kind for kind in (asked.arms if number % 2 == 0 else asked.arms[::-1])}
            took = {}
            for kind, root in roots.items():
                with counted(asked.server) if kind == "url" else nullcontext([0, 0]) as bytes_of:
                    took[kind] = measured(kind, folder, root, *few) | {"up": bytes_of[0], "down": bytes_of[1]}
            say(took, rows)
            for kind in asked.arms[1:]:
                wrong = unequal(roots[asked.arms[0]], roots[kind])
                show(f"tables that differ from those by {ROWS[asked.arms[0]]}", len(wrong), "files", kind, rows)


def say(took: dict[str, dict[str, Any]], rows: int) -> None:
    """The figures of one pair."""
    for kind, found in took.items():
        peer = "processes" if kind in ("ray", "url") and "processes" in took else None
        of_peer = took[peer]["cpu"] if peer else None
        show("CPU seconds", found["cpu"], "s", kind, rows, peer, of_peer)
        show("seconds", found["seconds"], "s", kind, rows, peer, took[peer]["seconds"] if peer else None)
        show("customers with an offer", found["treated"], "customers", kind, rows)
        show("tables on disk", found["tables"] / 1e6, "MB", kind, rows)
        show("most scratch on disk", found["scratch"] / 1e6, "MB", kind, rows)
        for way in ("up", "down") if kind == "url" else ():
            show(f"sent {way}", found[way] / 1e6, "MB", kind, rows)
        for who, size in found["peak"].items():
            show(f"peak memory, {who}", size, "MiB", kind, rows)
        for name, one in found["steps"].items() if kind == "processes" else ():
            show(f"{name}, CPU seconds of the process that was started", one["driver"], "s", kind, rows)
            show(f"{name}, CPU seconds of the workers", one["workers"], "s", kind, rows)
        for name in ("candidates", "decisions") if kind == "processes" else ():
            show(f"table {name} written, CPU seconds", found["written"].get(name, 0.0), "s", kind, rows)


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
