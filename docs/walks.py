"""Trace the four walks of docs/architecture.md on a small shop: the modules that each crosses, and the lines it runs.

python docs/walks.py     from the root of the repository, with the extras of `make test`; about half a minute
"""

import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = str(ROOT / "src" / "promolift") + "/"
sys.path.insert(0, str(ROOT / "tests" / "support"))

import own_shop  # noqa: E402
import polars as pl  # noqa: E402
import serve_helpers  # noqa: E402

from promolift.cli import main  # noqa: E402

DAY_MS = 86_400_000


def run(*arguments: str) -> None:
    """Run a command; raise RuntimeError if it fails."""
    try:
        main(list(arguments))
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"promolift {' '.join(arguments)} ended with {end.code}") from None


def trace(walk: Callable[[], Any]) -> dict[str, int]:
    """Return the lines of the functions that a walk calls, by module."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SOURCE):
            seen.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        walk()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    lines: dict[str, int] = {}
    for code in seen:
        if code.co_name != "<module>":
            module = code.co_filename.removeprefix(SOURCE)
            lines[module] = lines.get(module, 0) + len({line for *_, line in code.co_lines() if line})
    return lines


def later_events() -> None:
    """Write the run's decisions, and its events moved to the 30 days after them, as files that `learn` reads."""
    decisions = pl.read_parquet(".promolift/tables/decisions.parquet")
    events = pl.read_parquet(".promolift/tables/events/*.parquet")
    first, last = decisions["ts_ms"].max(), events["ts_ms"].max()
    assert isinstance(first, int)
    assert isinstance(last, int)
    decisions.write_parquet("decisions.parquet")
    events.with_columns(ts_ms=pl.col("ts_ms") - last + first + 30 * DAY_MS).write_parquet("since.parquet")


def trial() -> None:
    """Write a trial of 600 customers."""
    draw = random.Random(1)
    rows = ["customer,treatment,age,visits,spend"]
    for number in range(600):
        arm = draw.randint(0, 1)
        rows.append(
            f"{number},{('control', 'mail')[arm]},{draw.randint(18, 80)},{draw.randint(0, 9)},{draw.random() + arm}"
        )
    Path("trial.csv").write_text("\n".join(rows), "utf-8")


def walks(folder: Path) -> dict[str, dict[str, int]]:
    """Return the trace of each walk."""
    os.chdir(folder)
    own_shop.write_shop(folder, customers=900)
    trial()
    run("init", "--events", "events.csv", "--products", "products.csv", "--consent", "yes")
    found = {"a CSV row to a profile": trace(lambda: (run("ingest"), run("profile")))}
    config = serve_helpers.planned(folder / "serve")
    with serve_helpers.serving(folder / "serve", config) as api:
        served = trace(lambda: (serve_helpers.released(api), api.decide("u01")))
    found["a plan row to a served decision"] = served
    run("run")
    later_events()
    learn = ("learn", "--decisions", "decisions.parquet", "--events", "since.parquet", "--window-days", "14")
    found["an outcome to the next plan"] = trace(lambda: (run(*learn), run("plan")))
    meaning = ("treatment=treatment", "control=control", "money=spend")
    judged = trace(lambda: (run("effect", "fit", "trial.csv", *meaning), run("effect", "report")))
    return found | {"a trial file to its page": judged}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "serve").mkdir()
        traced = walks(Path(place))
    for name, modules in traced.items():
        print(f"\n{name}: {len(modules)} modules, {sum(modules.values())} lines")
        for module, count in sorted(modules.items(), key=lambda row: (-row[1], row[0])):
            print(f"  {count:4} {module}")
