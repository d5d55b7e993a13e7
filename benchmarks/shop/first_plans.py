"""What the first plan of a shop sends, on exports in the layouts of other people's systems.

    python benchmarks/shop/first_plans.py            # every layout that holds prices
    python benchmarks/shop/first_plans.py --quick    # two of them

Each layout of tests/support/layouts.py is written with 500 customers over a year; `promolift init` and `promolift run` read it
as a stranger would, with `--consent yes` where the file does not say who agreed. Prints JSON lines: how many plays the plan
draws (a benefit for one audience), and how many of its messages name no product and give no reason.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
import layouts
from layouts import FIRST, LAYOUTS, Line

CUSTOMERS, DAYS = 500, 365
COMMAND = str(Path(sys.executable).with_name("promolift"))
# the first two hold no price, so that no plan can say what an offer costs; of the third 25 customers have an answer
LEFT_OUT = ("O2O coupons", "Instacart", "Shopify with customers")
EMPTY = re.compile(r"(Dear [^,]+, |尊敬的[^，]+，)?(you are welcome any time\.|欢迎您随时再来。)", re.IGNORECASE)


def year_of_orders(_orders: int = 0, seed: int = 7) -> Iterator[Line]:
    """The lines of a year, in the order of time: each customer by a rhythm of their own, and many stay away."""
    draw, events = Random(seed), list[tuple[float, int]]()
    for who in range(CUSTOMERS):
        day, gap = draw.random() * 200, draw.choice([9, 21, 35, 60, 120])
        for _ in range(max(1, int(draw.expovariate(1 / 5)))):
            if day > DAYS:
                break
            events.append((day, who))
            day += gap * draw.uniform(0.7, 1.4)
    for order, (day, who) in enumerate(sorted(events), 1):
        when = FIRST + timedelta(days=int(day), minutes=draw.randrange(600))
        for place in range(draw.choice([1, 1, 2, 3])):
            item = draw.randrange(13) + 13 * place
            listed = 199 + item * 137
            cents = listed if draw.random() < 0.6 else listed * draw.choice([70, 80, 90]) // 100
            yield Line(order, place == 0, who, when, item, draw.choice([1, 1, 2, 3]), cents, listed)


def run(folder: Path, *arguments: str) -> None:
    """Run a command of promolift, or end with what it said."""
    done = subprocess.run([COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"promolift {' '.join(arguments)}\n{done.stderr}")


def planned(name: str) -> pl.DataFrame:
    """The customers who get something in the first plan of a layout."""
    layout = LAYOUTS[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        layout.write(folder)
        given = [part for each in layout.answers for part in ("--map", each)]
        given += [part for each in layout.given if "=" in each for part in ("--map", each)]
        given += [part for table, file in layout.others.items() for part in (f"--{table}", file)]
        if "consent" not in layout.inside.get("customers", {}):
            given += ["--consent", "yes"]
        header = "".join(f":{each}" for each in layout.given if "=" not in each)  # of a file that has none
        run(folder, "init", "--events", layout.events + header, *given)
        run(folder, "run", "--work", "work", "--out", "out")
        return pl.read_parquet(folder / "out" / "plan.parquet").filter(pl.col("status") == "offer")


def main() -> None:
    """Print a line for each layout, and their sums."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    quick = options.parse_args().quick
    layouts.lines = year_of_orders
    names = [name for name in LAYOUTS if name not in LEFT_OUT][: 2 if quick else None]
    enough = empty = messages = 0
    for name in names:
        rows = planned(name)
        plays = rows.select("arm", "group").n_unique()
        texts = [text for column in ("message_zh", "message_en") for text in rows[column].drop_nulls()]
        bare = sum(EMPTY.fullmatch(text) is not None for text in texts)
        enough, empty, messages = enough + (plays >= 3), empty + bare, messages + len(texts)
        print(json.dumps({"figure": "plays of the first plan", "value": plays, "se": None, "unit": "plays", "n": rows.height,
                          "messages_without_content": bare, "data": name}), flush=True)  # fmt: skip
    print(json.dumps({"figure": "layouts whose plan draws at least three plays", "value": enough, "se": None, "unit": "layouts",
                      "n": len(names), "data": "tests/support/layouts.py"}))  # fmt: skip
    print(json.dumps({"figure": "messages without content", "value": empty, "se": None, "unit": "messages", "n": messages,
                      "data": "tests/support/layouts.py"}))  # fmt: skip


if __name__ == "__main__":
    main()
