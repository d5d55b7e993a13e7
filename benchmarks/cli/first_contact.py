"""The command line in; the CPU seconds (user + system) of help and of refusals out, beside what the libraries cost.

    python benchmarks/cli/first_contact.py [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Every call is a fresh process with compiled
bytecode; a figure is the dearest verb or refusal, the mean of its calls.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import typer
from typer.core import TyperGroup

from promolift.cli.application import app

SHOP = '[data.events]\npath = "{}.csv"\n[data.events.mapping.columns]\ncustomer_id = "user"\n'
FILES = {
    "key.toml": "[paln]\n",
    "value.toml": SHOP.format("here") + "[plan]\nbudget_cents = -1\n",
    "gone.toml": SHOP.format("gone"),
    "shop.toml": SHOP.format("here"),
    "here.csv": "user\nu1\n",
}
REFUSALS = (
    "rnu",  # no such verb
    "run",  # no promolift.toml
    "run -c key.toml",
    "run -c value.toml",
    "health -c gone.toml",
    "plan -c shop.toml",  # a step is missing
    "init --events gone.csv",
    "effect fit gone.csv treatment=letter control=no rates=bought",
    "effect evaluate",
    "effect fit here.csv treatment=letter control=no rates=bought",
    "ingest -c shop.toml",
    "learn",
    "learn --decisions gone.parquet",
    "evaluate --log gone.csv --policy logged",
    "serve --settings key.toml",
    "simulate --days 3",
)
PEERS = {
    "help": ("typer alone", "import typer"),
    "refusal": ("its libraries alone", "import typer, pydantic, polars, duckdb"),
}


def verbs(group: TyperGroup, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every verb and every group of verbs as it is typed."""
    found = [before]
    for name, command in group.commands.items():
        found += verbs(command, (*before, name)) if isinstance(command, TyperGroup) else [(*before, name)]
    return found


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    """User and system seconds of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed(arguments: list[str], folder: Path, calls: int) -> tuple[float, float]:
    """Mean and its standard error over `calls`, after one that is not counted."""
    cpu_seconds(arguments, folder)
    taken = [cpu_seconds(arguments, folder) for _ in range(calls)]
    return statistics.mean(taken), statistics.stdev(taken) / calls**0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two calls of every third instead of ten of each")
    calls, step = (2, 3) if parser.parse_args().quick else (10, 1)
    every = verbs(typer.main.get_command(app))  # type: ignore[arg-type]
    lines = {"help": [[*verb, "--help"] for verb in every], "refusal": [line.split() for line in REFUSALS]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in FILES.items():
            (folder / file).write_text(text, encoding="utf-8")
        for kind, many in lines.items():
            taken = {" ".join(line): timed(["-m", "promolift.cli", *line], folder, calls) for line in many[::step]}
            peer, code = PEERS[kind]
            peer_value, _ = timed(["-c", code], folder, calls)
            worst = max(taken, key=lambda line: taken[line][0])
            value, se = taken[worst]
            print(json.dumps({
                "figure": f"{kind}, the dearest of {len(taken)}: promolift {worst}", "value": round(value, 3), "se": round(se, 3),
                "unit": "CPU s", "peer": peer, "peer_value": round(peer_value, 3), "n": calls, "data": "none",
            }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
