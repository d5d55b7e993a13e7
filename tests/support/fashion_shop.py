"""A small made-up clothes shop: pictures are drawn here, and new products are bought like their elders."""

from pathlib import Path

import numpy as np
import polars as pl

from promolift.foundation.hashing import hash_units

KINDS = {"Tshirts": "round neck tee", "Jeans": "denim jeans", "Watches": "steel watch", "Sandals": "leather sandal"}
COLOURS = {"black": (20, 20, 20), "red": (200, 20, 30), "blue": (30, 60, 200), "green": (30, 150, 60)}
WEEK_S = 7 * 86_400


def draw(kind: str, colour: str, turn: int) -> np.ndarray:
    """A thing of the kind on white, 64 x 64: a square, two legs, a ring, stripes; shifted a little by `turn`."""
    x = np.full((64, 64, 3), 255, np.uint8)
    y, a = np.mgrid[:64, :64]
    a = a - turn % 4
    middle = (np.abs(y - 32) < 20) & (np.abs(a - 32) < 20)
    shape = {
        "Tshirts": middle, "Jeans": (np.abs(y - 32) < 26) & ((np.abs(a - 20) < 7) | (np.abs(a - 44) < 7)),
        "Watches": (np.hypot(y - 32, a - 32) < 24) & (np.hypot(y - 32, a - 32) > 14), "Sandals": middle & (y % 10 < 5),
    }[kind]  # fmt: skip
    x[shape] = COLOURS[colour]
    return x


def goods(number: int = 30) -> pl.DataFrame:
    """So many products of each kind; of every tenth the category is not said, of others the colour."""
    rows = []
    for k, (kind, words) in enumerate(KINDS.items()):
        for n in range(number):
            colour = list(COLOURS)[n % 4]
            rows.append({"product_id": f"{k}-{n:02}", "product_name": f"Brand {n % 5} {words} {n}", "category": kind,
                         "image": f"images/{k}-{n:02}.png", "colour": colour, "price": 20.0 + k})  # fmt: skip
    table = pl.DataFrame(rows)
    every = pl.int_range(pl.len())
    return table.with_columns(
        category=pl.when(every % 10 != 3).then("category"),
        colour=pl.when(every % 10 != 5).then("colour"),
        true_category="category", true_colour="colour",
    )  # fmt: skip


def write(folder: Path, customers: int = 160, weeks: int = 30, pictures: bool = True, words: bool = True) -> Path:
    """events.csv, products.csv and images: each customer buys one kind, on most weeks. Of each kind three products come
    in the last four weeks, and three nobody has bought yet. Without `pictures` and `words` the catalogue has categories
    and prices."""
    from PIL import Image

    (folder / "images").mkdir(parents=True, exist_ok=True)
    table = goods()
    if pictures:
        for row in table.iter_rows(named=True):
            turn = int(row["product_id"][2:])
            Image.fromarray(draw(row["true_category"], row["true_colour"], turn)).save(folder / row["image"])
    columns = ["product_id", "category", "price"]
    columns += ["product_name"] * words + ["image", "colour"] * pictures
    table.select(columns).write_csv(folder / "products.csv")
    rows = []
    for c in range(customers):
        for week in range(weeks):
            draws = hash_units(("fashion", c), range(3 * week, 3 * week + 3))
            if draws[0] > 0.6:
                continue
            late = week >= weeks - 4 and draws[2] < 0.25
            n = 24 + int(draws[1] * 3) if late else int(draws[1] * 24)
            rows.append((f"c{c}", f"{c % 4}-{n:02}", f"{c}-{week}", 1_767_225_600 + week * WEEK_S + c * 60))
    log = pl.DataFrame(rows, schema=["customer", "product_id", "order_id", "s"], orient="row")
    log.select(
        "customer", "product_id", "order_id",
        time=pl.from_epoch("s").dt.strftime("%Y-%m-%d %H:%M:%S"), amount=20.0, discount=0.0,
    ).write_csv(folder / "events.csv")  # fmt: skip
    return folder
