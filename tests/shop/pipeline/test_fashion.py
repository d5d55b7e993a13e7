"""The walk of docs/trades.md on a small made-up clothes shop: what pictures and words give, and what they do not."""

import tomllib
import tracemalloc
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from promolift import Shop
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.order_replay import menu_promotion
from promolift.extensions.media import bundles as step
from promolift.extensions.media import catalogue_step as senses_step
from promolift.extensions.media.product_vectors import PICTURE_WIDTH
from promolift.shop.reports.offer_reasons import reason_text
from promolift.shop.results.work_folder.run_context import moments

pytest.importorskip("PIL")

from fashion_shop import goods, write


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("fashion"))
    (folder / "images" / "0-01.png").write_bytes(b"")
    (folder / "images" / "0-02.png").write_bytes((folder / "images" / "0-02.png").read_bytes()[:60])
    with Shop(folder / "events.csv", products=folder / "products.csv", work=folder / "work") as made:
        shop = made.with_settings(
            consent={"default": True}, senses={"certain": 0.9},
            menu=[{"id": "new-20", "benefit": {"type": "percent_off", "percent": 20}, "scope": "product"}],
        )  # fmt: skip
        shop.step("ingest", "profile")
        yield shop


def test_what_the_catalogue_leaves_out_is_filled_in_where_it_is_certain(shop):
    found = shop.store.frame("products").join(goods(), on="product_id", suffix="_raw")
    hidden = found.filter(pl.col("category_raw").is_null())
    assert hidden["category"].null_count() < hidden.height / 2
    assert (hidden["category"] == hidden["true_category"]).drop_nulls().all()
    seen = shop.store.frame("senses").join(goods(), on="product_id").filter(pl.col("colour_by") == "picture")
    assert seen.height >= 5
    assert (seen["colour"] == seen["true_colour"]).mean() >= 0.9


def test_pictures_that_cannot_be_read_are_named_and_nothing_else_is_lost(shop):
    said = [note for note in shop.health.notes if "not read" in note]
    assert len(said) == 2
    assert "0-01.png: the file is empty" in said[0]
    assert "0-02.png: no whole picture" in said[1]
    assert shop.store.frame("senses").height == goods().height


def test_new_products_are_for_those_who_buy_their_like_at_about_the_rate_that_follows(shop):
    told = shop.store.frame("interests").filter(pl.col("views") == 0)
    told = told.filter(pl.col("asof_ms") == moments(shop._job).asof)
    assert told.height > 50
    kinds = told.select(
        own=pl.col("customer_id").str.tail(-1).cast(pl.Int64) % 4, its=pl.col("product_id").str.head(1).cast(pl.Int64)
    )
    assert (kinds["own"] == kinds["its"]).mean() > 0.9
    assert told["buy_rate"].is_between(0, 1).all()


def test_words_of_an_offer_name_the_colour_and_the_reason(shop):
    every = {"id": "news", "audience": "select customer_id from customers", "benefits": ["new-20"]}
    shop = shop.with_settings(plays=[every])
    shop.plan(budget_cents=100_000, min_evidence="assumed")
    assert shop.messages
    rows = shop.store.frame("messages")
    offers = shop.store.load_json("offers")["offers"]
    assert any(each["label"]["en"].split()[0] in ("black", "red", "blue", "green") for each in offers)
    assert any("is new and like what they buy" in reason_text(facts) for facts in rows["reason_facts"])
    assert shop.release()


def test_a_second_run_reads_no_picture_again(shop, monkeypatch):
    before = shop.store.frame("senses").sort("product_id")
    read = []
    known = senses_step.read_picture
    monkeypatch.setattr(senses_step, "read_picture", lambda *of: read.append(of[1].name) or known(*of))
    shop.step("ingest", again=True)
    assert read == ["0-02.png"]  # the broken one, of which nothing is kept
    assert shop.store.frame("senses").sort("product_id").equals(before)


def test_a_catalogue_without_words_and_pictures_gives_the_same_bits_as_with_senses_off(tmp_path):
    folder = write(tmp_path, customers=60, pictures=False, words=False)
    tables = []
    for name, settings in (("on", {}), ("off", {"words": False, "pictures": False})):
        with Shop(folder / "events.csv", products=folder / "products.csv", work=tmp_path / name) as made:
            shop = made.with_settings(senses=settings)
            shop.step("ingest", "profile")
            assert not shop.store.has("senses")
            tables.append([shop.store.frame(table) for table in ("products", "affinities", "interests", "profiles")])
    for one, other in zip(*tables, strict=True):
        by = [name for name, kind in one.schema.items() if not kind.is_nested()]  # rows are read in any order
        assert one.sort(by).equals(other.sort(by))


def test_bundles_are_menu_lines_that_can_be_pasted_and_hold_for_both_alone(shop):
    found = step.suggest_bundles(shop._job, 3)
    lines = tomllib.loads(found.text)["menu"]
    alike = [row for row in found.figures["bundles"] if row["why"] == "alike"]
    assert 0 < len(alike) <= 3
    table = goods().join(shop.store.frame("senses"), on="product_id")
    colour, kind = (dict(table.select("product_id", name).iter_rows()) for name in ("true_colour", "true_category"))
    for row in alike:
        assert colour[row["product_id"]] == colour[row["other"]]
        assert kind[row["product_id"]] != kind[row["other"]]
    item = MenuItem.parse(lines[0], "pasted")
    assert menu_promotion(item).joined == "together"
    planned = shop.with_settings(menu=[*lines, {"id": "off", "benefit": {"type": "percent_off", "percent": 10}}])
    planned.plan(budget_cents=100_000, min_evidence="assumed")
    assert item.id in planned.store.frame("candidates")["menu_id"].to_list()


def test_many_products_of_one_colour_are_compared_some_at_a_time():
    rng, n = np.random.default_rng(0), 6000
    x = rng.random((n, PICTURE_WIDTH), np.float32) - np.float32(0.5)
    x[1] = x[0]
    ids = [f"p{k:04d}" for k in range(n)]
    vectors = pl.DataFrame({"product_id": ids, "vector": pl.Series(x, dtype=pl.Array(pl.Float32, PICTURE_WIDTH))})
    goods = {"product_id": ids, "category": [f"c{k % 2}" for k in range(n)], "price_cents": [100] * n}
    clean = SimpleNamespace(
        catalogue=pl.DataFrame(goods), vectors=vectors,
        senses=vectors.with_columns(pl.lit("red").alias("colour"), pl.col("vector").arr.to_list()),
    )  # fmt: skip
    tracemalloc.start()
    found = step.similar_looking(SimpleNamespace(clean=clean))
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()
    assert found.select("product_id", "other").rows()[0] == ("p0000", "p0001")


def test_a_name_of_two_lines_writes_no_line_of_the_menu():
    row = {"why": "alike", "product_id": "a", "other": "b", "price_cents": 100, "price_2": 100, "orders": None}
    text = step.format_pair(row | {"name": 'Cap\n[[menu]]\nid = "free"', "name_2": "Hat", "score": 0.5})
    assert len(tomllib.loads(text)["menu"]) == 1
