"""Layouts of shops' files in; how often `init` reads a column as what it is, asks, or is wrong without a word, out.

    python benchmarks/shop/mapping.py [--quick] [--wrong]

Prints JSON lines: figure, value, low, high, n, unit, data. `mapping_layouts.tsv` holds one row per column: its layout,
language, source, name, role and the form of its values. The headers of public layouts are those of the data sets named
there; all values are made up in the same form, and fit together (a product has a price, an order a customer and a
time). Each layout becomes a file of 400 orders and is read by the functions that `init` calls.

Precision and recall by role; columns that carry money, time or identity which are right or asked about, and which are
wrong with no question; the share of right guesses at each level of certainty, and its error when each layout is judged
by the others (leave one layout out); questions per layout. Intervals are Wilson's. `--quick` reads every fourth layout,
`--wrong` prints each column that was read as something else.
"""

import argparse
import json
import random
import statistics
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import polars as pl

from promolift.core.experiments.prediction_metrics import wilson_interval
from promolift.foundation.errors import PromoError
from promolift.foundation.storage.local_store import Store
from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW
from promolift.shop.ingest.setup.initialisation import guess_tables

LAYOUTS = Path(__file__).with_name("mapping_layouts.tsv")
ORDERS, CUSTOMERS, PRODUCTS = 400, 90, 40
MONEY = {"amount", "unit_price", "list_amount", "list_unit_price", "shelf_discount", "coupon_discount", "currency"}
CRITICAL = MONEY | {"customer_id", "time", "order_id"}  # roles whose wrong column spoils money, time or identity
NAMES = ("Anna", "Ben", "Clara", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas")
GOODS = ("Espresso", "Kettle", "Mug", "Filter", "Grinder", "Teapot", "Scale", "Tray", "Spoon", "Jar")


class Column(NamedTuple):
    """A column of a layout: the roles that are right for it (none: no role), and whether it may be left out."""

    name: str
    roles: frozenset[str]
    optional: bool
    form: str


class Guess(NamedTuple):
    """What a column was read as, and how sure that was."""

    column: str
    role: str
    sure: float
    right: bool


class Reading(NamedTuple):
    """What came of one layout: its guesses, the columns that were missed, questions, and the refusal if it was one."""

    layout: str
    guesses: tuple[Guess, ...]
    missed: tuple[Guess, ...]
    questions: int
    refusal: str


def tell(figure: str, value: float, **rest: object) -> None:
    line = {"figure": figure, "value": value, "se": None, "unit": "", "peer": None, "peer_value": None, "n": None}
    print(json.dumps(line | {"data": "layouts", "low": None, "high": None} | rest, default=float), flush=True)


def tell_share(figure: str, hits: int, n: int, **rest: object) -> None:
    if n:
        low, high = wilson_interval(hits, n)
        tell(figure, hits / n, low=low, high=high, n=n, **rest)


def load_layouts() -> dict[str, list[Column]]:
    layouts = defaultdict(list)
    for layout, _, _, name, role, form in read_rows():
        right = frozenset(each.rstrip("?") for each in role.split("/") if each != "-")
        layouts[layout].append(Column(name, right, role == "-" or "?" in role, form))
    return dict(layouts)


def read_rows() -> list[list[str]]:
    lines = LAYOUTS.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


class Line(NamedTuple):
    """One line of an order, from which the values of all columns follow."""

    row: int
    order: int
    customer: int
    at: datetime
    product: int
    number: int
    units: int
    tag: float
    paid: float


def draw_lines(seed: str) -> list[Line]:
    draw = random.Random(seed)
    prices = [round(draw.uniform(3, 90), 2) for _ in range(PRODUCTS)]
    lines, at = list[Line](), datetime(2023, 1, 2, 9, 0)
    for order in range(ORDERS):
        at += timedelta(minutes=draw.randrange(60, 2400))
        at = at.replace(hour=9 + at.hour % 12)
        customer = min(draw.randrange(CUSTOMERS), draw.randrange(CUSTOMERS))
        for number, product in enumerate(draw.sample(range(PRODUCTS), draw.choice([1, 1, 2, 3])), 1):
            paid = round(prices[product] * draw.choice([1, 1, 1, 0.9, 0.8]), 2)
            units = draw.choice([1, 1, 1, 2, 3])
            lines.append(Line(len(lines), order, customer, at, product, number, units, prices[product], paid))
    return lines


def values(form: str, lines: list[Line], layout: str) -> list[str]:
    kind, _, rest = form.partition(":")
    draw = random.Random(f"{layout} {form}")
    totals = defaultdict(float)
    for line in lines:
        totals[line.order] += line.paid * line.units
    return [cell(kind, rest, line, draw, totals) for line in lines]


def cell(kind: str, rest: str, line: Line, draw: random.Random, totals: dict[int, float]) -> str:
    mark = kind[-1] if kind[-1] in ",$0" else ""
    amounts = {
        "paid_each": line.paid, "tag_each": line.tag, "line": line.paid * line.units, "list_line": line.tag * line.units,
        "discount": (line.tag - line.paid) * line.units, "discount_negative": -(line.tag - line.paid) * line.units,
        "order_total": totals[line.order], "tax": line.paid * line.units * 0.19, "net": line.paid * line.units / 1.19,
        "freight": 4.9 + line.order % 3, "cost": line.tag * 0.55, "fee": line.paid * 0.03, "zero": 0.0,
        "profit": (line.paid - line.tag * 0.7) * line.units, "balance": draw.uniform(10, 90_000),
        "line_micros": line.paid * line.units, "line20": line.paid * line.units * 20,
    }  # fmt: skip
    if kind.rstrip(",$0") in amounts or kind in amounts:
        amount = amounts[kind if kind in amounts else kind.rstrip(",$0")]
        if kind == "line_micros":
            return f"{amount * 1e6:.0f}"
        text = f"{amount * 100:.0f}" if mark == "0" and kind != "line20" else f"{amount:.2f}"
        return text.replace(".", ",") if mark == "," else f"${text}" if mark == "$" else text
    key = {"order": line.order + 10_000, "order_hex": line.order, "order_hex2": line.order + 7777}.get(kind)
    stable = random.Random(f"{kind} {rest} {line.customer}")
    match kind:
        case "order" | "customer" | "product":
            number = key or {"customer": line.customer + 1000, "product": line.product + 2000}[kind]
            return rest.format(number)
        case "order_hex" | "order_hex2":
            return f"{random.Random(f'o{key}').getrandbits(128):032x}"
        case "customer_hex" | "product_hex":
            which = line.customer if kind == "customer_hex" else line.product
            return f"{random.Random(f'{kind}{which}').getrandbits(128):032x}"
        case "customer_letters":
            return "".join(stable.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=5))
        case "customer_word":
            return stable.choice(rest.split("|"))
        case "category":
            words = rest.split("|")
            return words[line.product % len(words)]
        case "time":
            return line.at.strftime(rest)
        case "later":
            return (line.at + timedelta(days=2 + line.order % 4)).strftime(rest)
        case "clock":
            return line.at.strftime(rest)
        case "epoch_ms":
            return str(int(line.at.timestamp() * 1000))
        case "day_number":
            return str((line.at - datetime(2023, 1, 1)).days)
        case "birth":
            return (datetime(1960, 1, 1) + timedelta(days=stable.randrange(14_000))).strftime(rest)
        case "product_day":
            return str(33_000 + line.product * 37)
        case "units" | "units20":
            return str(line.units * (20 if kind == "units20" else 1))
        case "paid_each_scaled":
            return f"{line.paid / 3000:.6f}"
        case "rate":
            return f"{1 - line.paid / line.tag:.2f}"
        case "recommended":
            return f"{line.tag * (1.1 + line.product % 7 / 10):.0f}"
        case "email":
            return f"{NAMES[line.customer % 10].lower()}{line.customer}@example.org"
        case "login":
            return f"{NAMES[line.customer % 10].lower()}_{line.customer}"
        case "person":
            return f"{NAMES[line.customer % 10]} {NAMES[line.customer // 10]}son"
        case "first_name" | "last_name":
            return NAMES[line.customer % 10 if kind == "first_name" else line.customer // 10]
        case "company":
            return f"{NAMES[line.customer % 10]} & {NAMES[line.customer // 10]} Ltd."
        case "phone":
            return f"+49 30 {5_550_000 + line.customer}"
        case "product_name":
            return f"{GOODS[line.product % 10]} No. {line.product // 10 + 1}"
        case "session":
            return f"{random.Random(f's{line.order}').getrandbits(64):016x}"
        case "row":
            return str(line.row + 1)
        case "row_id" | "line_id":
            return rest.format(line.row + 500_000)
        case "line_number":
            return str(line.number)
        case "int":
            least, most = map(int, rest.split("-"))
            return str(draw.randint(least, most))
        case "word":
            return draw.choice(rest.split("|"))
    raise ValueError(kind)


def read_layout(layout: str, columns: list[Column]) -> Reading:
    lines = draw_lines(layout)
    cells = {column.name: values(column.form, lines, layout) for column in columns}
    known = {column.name: column for column in columns}
    with TemporaryDirectory() as folder, Store(Path(folder)) as store:
        path = Path(folder) / "events.csv"
        pl.DataFrame(cells).write_csv(path)
        try:
            parts = guess_tables(store, {"events": path})
        except PromoError as error:
            return Reading(layout, (), (), 1, error.code)
    guesses = list[Guess]()
    for part in parts:
        for role in part.mapping.columns:
            label = role if part.name == "events" else f"{part.name}.{role}"
            for name in part.mapping.sources(role):
                same = label.removeprefix(f"{part.name}.") in ("customer_id", "product_id", "price", "quantity")
                if part.name == "events" or not same:
                    sure = part.roles[role].sure if role in part.roles else 0.8
                    guesses.append(Guess(name, label, sure, label in known[name].roles))
    read = {guess.column for guess in guesses if guess.right}
    assumed = parts[0].assumed
    missed = [
        Guess(column.name, min(column.roles), 1.0, False)
        for column in columns
        if column.roles and not column.optional and column.name not in read
    ]
    asked = {guess.column for guess in guesses if guess.sure < CONFIRM_BELOW}
    return Reading(layout, tuple(guesses), tuple(missed), len(asked) + len(assumed), "")


def report(readings: list[Reading], layouts: dict[str, list[Column]], seconds: float) -> None:
    kept = [reading for reading in readings if not reading.refusal]
    guesses = [guess for reading in kept for guess in reading.guesses]
    missed = [guess for reading in kept for guess in reading.missed]
    tell("layouts", len(readings), unit="layouts")
    tell("columns", sum(map(len, layouts.values())), unit="columns")
    for role in sorted({guess.role for guess in [*guesses, *missed]}):
        own = [guess for guess in guesses if guess.role == role]
        right = sum(guess.right for guess in own)
        tell_share(f"precision {role}", right, len(own))
        tell_share(f"recall {role}", right, right + sum(guess.role == role for guess in missed))
    fates = Counter(fate for reading in kept for fate in critical_fates(reading, layouts[reading.layout]))
    for fate in ("right", "asked", "wrong and not asked", "not read"):
        tell_share(f"money, time, identity: {fate}", fates[fate], fates.total())
    tell_share("money, time, identity: right or asked", fates["right"] + fates["asked"], fates.total())
    for sure in sorted({guess.sure for guess in guesses}):
        own = [guess for guess in guesses if guess.sure == sure]
        tell_share(f"right at certainty {sure:.2f}", sum(guess.right for guess in own), len(own))
    tell("Brier score of the certainty that init states", brier(kept, stated=True), n=len(guesses))
    tell("Brier score of shares on the other layouts", brier(kept, stated=False), n=len(guesses))
    asked = [reading.questions for reading in readings]
    tell("questions per layout, median", statistics.median(asked), n=len(asked))
    tell("questions per layout, most", max(asked), n=len(asked))
    tell_share("layouts with a question", sum(map(bool, asked)), len(asked))
    tell_share("layouts refused", sum(bool(reading.refusal) for reading in readings), len(readings))
    tell("seconds", seconds, unit="s")


def critical_fates(reading: Reading, columns: list[Column]) -> list[str]:
    """What became of each column that carries money, time or identity, or was read as if it did."""
    fates = []
    for column in columns:
        own = [guess for guess in reading.guesses if guess.column == column.name]
        needed = bool(column.roles & CRITICAL) and not column.optional
        wrong = [guess for guess in own if not guess.right and (needed or guess.role in CRITICAL)]
        if not needed and not any(guess.role in CRITICAL for guess in own):
            continue
        if own and not wrong:
            fates.append("right")
        elif not own:
            fates.append("not read")
        else:
            fates.append("asked" if any(guess.sure < CONFIRM_BELOW for guess in wrong) else "wrong and not asked")
    return fates


def brier(readings: list[Reading], stated: bool) -> float:
    """The mean squared error of a certainty: the stated one, or the share of right guesses at it on other layouts."""
    errors = []
    for reading in readings:
        others = [guess for other in readings if other is not reading for guess in other.guesses]
        for guess in reading.guesses:
            alike = [other.right for other in others if other.sure == guess.sure]
            share = guess.sure if stated or not alike else (sum(alike) + 1) / (len(alike) + 2)
            errors.append((share - guess.right) ** 2)
    return statistics.mean(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every fourth layout")
    parser.add_argument("--wrong", action="store_true", help="print each column that was read as something else")
    options = parser.parse_args()
    layouts = load_layouts()
    if options.quick:
        layouts = {layout: layouts[layout] for layout in [*layouts][::4]}
    begun = time.perf_counter()
    readings = [read_layout(layout, columns) for layout, columns in layouts.items()]
    if options.wrong:
        for reading in readings:
            for guess in [*reading.guesses, *reading.missed]:
                if not guess.right:
                    kind = "missed" if guess in reading.missed else "wrong"
                    print(json.dumps({"layout": reading.layout, kind: guess.column, "role": guess.role,
                                      "sure": guess.sure}, ensure_ascii=False))  # fmt: skip
            if reading.refusal:
                print(json.dumps({"layout": reading.layout, "refused": reading.refusal}))
    report(readings, layouts, time.perf_counter() - begun)


if __name__ == "__main__":
    main()
