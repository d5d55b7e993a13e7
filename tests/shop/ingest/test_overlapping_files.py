"""Law: an export split into overlapping files has the orders and the money of the one file."""

from pathlib import Path
from random import Random

import polars as pl
import pytest
from error_checks import raises_code

from promolift.foundation.i18n.formatting import money
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.shop import Shop


def export(seed: int, ids: bool = True, exact: bool = True) -> pl.DataFrame:
    """Order lines of half a year by time; some lines were scanned twice, and some products have two prices."""
    draw, rows = Random(seed), []
    for order in range(90):
        day = f"2025-0{1 + order // 15}-{1 + order % 28:02d}"
        when = f"{day} {8 + order % 12:02d}:{draw.randrange(60):02d}:00" if exact else day
        who = f"c{draw.randrange(30)}"
        for _ in range(draw.choice([1, 2, 3, 5])):
            line = {"order_id": f"o{order}", "customer_id": who, "ordered_at": when, "sku": f"s{draw.randrange(20)}",
                    "store_id": f"m{order % 3}", "price": f"{draw.randrange(3, 30)}.50"}  # fmt: skip
            rows += [line] * (1 + (draw.random() < 0.1))
    return pl.DataFrame(rows) if ids else pl.DataFrame(rows).drop("order_id")


def ingested(parts: list[pl.DataFrame], folder: Path) -> Shop:
    """The shop with these files of events."""
    folder.mkdir()
    paths = [folder / f"e{number}.csv" for number in range(len(parts))]
    for part, path in zip(parts, paths, strict=True):
        part.write_csv(path)
    config = folder / "promolift.toml"
    init({"events": paths[0]}, config, False, paths[1:], SetupAnswers(currency="USD"))
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("repeats = 'duplicates'", "repeats = 'lines'"), encoding="utf-8")
    shop = Shop.open(config, folder / "work")
    assert shop.health.read
    return shop


def orders_and_money(shop: Shop) -> list[tuple[object, ...]]:
    """Each order with its lines and its money."""
    rows = shop.store.frame("events")
    found = rows.group_by("customer_id", "order_id").agg(pl.len(), pl.col("revenue_cents").sum())
    return sorted(found.iter_rows())


def check_split(seed: int, folder: Path) -> None:
    """Cut an export into files that overlap, by rows or by any drawn rows, in any order."""
    draw = Random(seed)
    whole = export(seed, ids=seed % 3 != 2)
    cuts = sorted(draw.sample(range(whole.height), 2))
    if seed % 2:  # January to March, and March to May
        parts = [whole[: cuts[1]], whole[cuts[0] :]]
    else:  # a file of whole orders here and there, and the rest with some of them
        column = "order_id" if "order_id" in whole.columns else "ordered_at"
        own = {each: draw.randrange(3) for each in whole[column].unique().sort()}
        place = whole[column].replace_strict(own)
        parts = [whole.filter(place != 0), whole.filter(place != 1)]
    draw.shuffle(parts)
    folder.mkdir()
    with ingested([whole], folder / "one") as one, ingested(parts, folder / "many") as many:
        assert orders_and_money(many) == orders_and_money(one), seed


@pytest.mark.parametrize("seed", range(2))
def test_overlapping_parts_have_the_orders_and_the_money_of_the_whole(seed: int, tmp_path: Path) -> None:
    check_split(seed, tmp_path / "s")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 40))
def test_many_overlapping_parts_have_the_orders_and_the_money_of_the_whole(seed: int, tmp_path: Path) -> None:
    check_split(seed, tmp_path / "s")


def test_the_same_file_twice_counts_once_and_says_so(tmp_path: Path) -> None:
    whole = export(4)
    with ingested([whole], tmp_path / "one") as one, ingested([whole, whole], tmp_path / "two") as two:
        assert orders_and_money(two) == orders_and_money(one)
        found, taken = two.health, one.health.tables[0].accepted
        assert found.tables[0].accepted == taken
        assert found.tables[0].rejected["in another file of events, too"] == taken
        assert found.accepted + found.rejected == found.read
        whole_money = money(one.store.frame("events")["revenue_cents"].sum(), "USD")
        assert any(f"{taken:,} rows" in each and whole_money in each for each in found.warnings)


@pytest.mark.parametrize("change", ["price", "ordered_at", "sku"])
def test_an_order_of_which_two_files_say_different_things_is_a_question(change: str, tmp_path: Path) -> None:
    whole = export(5).unique(["order_id", "sku"], maintain_order=True)
    other = {
        "price": pl.lit("99.00").alias("price"),
        "ordered_at": (pl.col("ordered_at") + "+01:00").alias("ordered_at"),
        "sku": pl.lit(None, pl.String).alias("sku"),  # the sum of each order, beside its lines
    }[change]
    with raises_code("orders_differ", "e1.csv"):
        ingested([whole, whole.tail(40).with_columns(other)], tmp_path / "s")


def test_orders_of_two_shops_that_share_numbers_are_two(tmp_path: Path) -> None:
    whole = export(6)
    theirs = export(7).with_columns(pl.format("x{}", "customer_id").alias("customer_id"))
    with ingested([whole], tmp_path / "one") as one, ingested([whole, theirs], tmp_path / "two") as two:
        assert len(orders_and_money(two)) == 2 * len(orders_and_money(one))


def test_orders_of_two_files_that_write_the_customers_otherwise_are_a_question(tmp_path: Path) -> None:
    whole = export(8)
    theirs = whole.tail(60).with_columns(pl.format("C-{}", "customer_id").alias("customer_id"))
    with raises_code("orders_differ", "'C-c"):
        ingested([whole, theirs], tmp_path / "s")
