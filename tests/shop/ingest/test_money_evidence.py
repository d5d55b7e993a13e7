"""Money is read in its own currency and unit, or a person is asked: nothing is summed, invented or scaled unseen."""

from random import Random

import polars as pl
import pytest
from data_helpers import RULES, raw
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import (
    MappingGuess,
    guess_mapping_with_reasons,
)
from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW

SIGNS = {"€": "EUR", "£": "GBP", "$": "USD", "₹": "INR"}


def log(prices: list[str], **more: list[str]) -> pl.DataFrame:
    rows = range(len(prices))
    columns = {
        "order_id": [str(1000 + row // 2) for row in rows],
        "customer_id": [f"C{row // 2 % 17}" for row in rows],
        "date": [f"2025-{1 + row // 56:02d}-{1 + row // 2 % 28:02d}" for row in rows],
        "sku": [f"P{row % 7}" for row in rows],
        "quantity": [str(1 + row % 3) for row in rows],
        "price": prices,
    }
    return pl.DataFrame(columns | more)


def guess(rows: pl.DataFrame, currency: str | None = None, **fixed: str) -> MappingGuess:
    return guess_mapping_with_reasons("events", rows, "UTC", currency, (), {}, fixed)


def test_signs_of_several_currencies_in_one_column_are_refused():
    with raises_code("currency_mixed", "'price'", "EUR", "USD"):
        guess(log([f"{'€€$£'[row % 4]}{row}.50" for row in range(200)]))


@given(
    signs=st.lists(st.sampled_from(list(SIGNS)), min_size=60, max_size=120), currency=st.sampled_from(["EUR", "GBP"])
)
def test_no_amount_in_another_currency_is_ever_counted(signs: list[str], currency: str):
    """The law: what is accepted is in the shop's currency, and each other row is set aside for that reason."""
    rows = log([f"{sign} {10 + row}.50" for row, sign in enumerate(signs)])
    cleaned = clean_events(raw(rows), guess(rows, currency).mapping, RULES)
    counts = cleaned.counts()
    assert counts.accepted == sum(SIGNS[sign] == currency for sign in signs)
    assert counts.accepted + sum(counts.rejected.values()) == len(signs)
    if len(set(signs)) > 1:
        assert set(counts.rejected) <= {"other currency"}


@pytest.mark.parametrize(
    ("columns", "likely"),
    [({"country": ["India"] * 200}, "INR"), ({"Land": ["Deutschland"] * 200}, "EUR"), ({}, "USD")],
)
def test_a_currency_that_no_cell_names_is_a_question(columns: dict[str, list[str]], likely: str):
    found = guess(log([f"{20 + row % 50}.90" for row in range(200)], **columns))
    assert (found.assumed["currency"], found.mapping.currency) == (likely, likely)
    assert "currency" not in guess(log([f"{row}.90" for row in range(200)], **columns), "GBP").assumed


def test_portuguese_names_speak_for_reais():
    names = ["pedido_id", "cliente_id", "data_compra", "produto_id", "quantidade", "preco"]
    rows = log([f"{20 + row % 50}.90" for row in range(200)])
    assert guess(rows.rename(dict(zip(rows.columns, names, strict=True)))).assumed["currency"] == "BRL"


@pytest.mark.parametrize(("prices", "asked"), [("{}99", True), ("{}50", True), ("{}00", False), ("{}99.00", False)])
def test_whole_amounts_as_large_as_cents_are_a_question(prices: str, asked: bool):
    found = guess(log([prices.format(10 + row % 60) for row in range(200)]), "EUR")
    assert ("money" in found.assumed) is asked
    assert found.mapping.money == "major"


def test_a_recommended_price_that_nobody_paid_invents_no_discount():
    draw = Random(4)
    paid = [round(draw.uniform(20, 90), 2) for _ in range(200)]
    tags = [f"{price * draw.uniform(0.8, 1.7):.0f}" for price in paid]
    found = guess(log([f"{price:.2f}" for price in paid], MSRP=tags), "USD")
    assert not {"list_unit_price", "list_amount"} & found.mapping.columns.keys()
    rows = log([f"{price:.2f}" for price in paid], MSRP=tags)
    events = clean_events(raw(rows), found.mapping, RULES).accepted().pl()
    assert events["list_cents"].sum() == events["revenue_cents"].sum()
    assert guess(rows, "USD", list_unit_price="MSRP").mapping.columns["list_unit_price"] == "MSRP"


def test_a_recommended_price_that_is_often_paid_is_the_shops():
    tags = [f"{20 + row % 50}.00" for row in range(200)]
    paid = [f"{20 + row % 50 - (row % 4 == 0) * 3}.00" for row in range(200)]
    assert guess(log(paid, MRP=tags), "INR").mapping.columns["list_unit_price"] == "MRP"


@pytest.mark.parametrize("name", ["standard_cost", "StandardCost", "avg_cost", "Std Cost"])
def test_a_standard_cost_is_a_cost(name: str):
    rows = pl.DataFrame({"sku": ["A", "B"], "name": ["Tea", "Cup"], name: ["1.50", "2.50"]})
    found = guess_mapping_with_reasons("products", rows, "UTC", "EUR", (), {}, {})
    assert found.mapping.columns["cost"] == name


DIGITS = {
    "arabic": "٠١٢٣٤٥٦٧٨٩٫",
    "persian": "۰۱۲۳۴۵۶۷۸۹٫",
    "full width": "０１２３４５６７８９．",
    "hindi": "०१२३४५६७८९.",
}


@given(cents=st.lists(st.integers(1000, 10**7), min_size=30, max_size=60), script=st.sampled_from(sorted(DIGITS)))
def test_digits_of_any_script_are_read_as_what_they_are(cents: list[int], script: str):
    own = str.maketrans("0123456789.", DIGITS[script])
    rows = log([f"{each / 100:.2f}".translate(own) for each in cents])
    rows = rows.with_columns(pl.Series("date", [day.translate(own) for day in rows["date"]]))
    found = guess(rows, "USD", quantity="quantity", unit_price="price").mapping
    events = clean_events(raw(rows), found, RULES).accepted().pl()
    assert events["revenue_cents"].sum() == sum(each * (1 + row % 3) for row, each in enumerate(cents))
    assert events.height == len(cents)


@given(minutes=st.lists(st.integers(42_000 * 1440, 45_000 * 1440), min_size=30, max_size=60))
def test_excel_days_keep_their_time_of_day(minutes: list[int]):
    rows = log([f"{row}.50" for row in range(len(minutes))])
    rows = rows.with_columns(pl.Series("date", [f"{each / 1440:.8f}" for each in sorted(minutes)]))
    found = guess(rows, "USD").mapping
    events = clean_events(raw(rows), found, RULES).accepted().pl()
    epoch = 25_569 * 1440  # days from 1899-12-30 to 1970-01-01
    assert sorted(events["ts_ms"].to_list()) == [(each - epoch) * 60_000 for each in sorted(minutes)]


@given(seed=st.integers(0, 999), of_line=st.booleans())
def test_money_is_of_a_unit_or_of_the_line_as_prices_of_one_product_say(seed: int, of_line: bool):
    """The law: whatever its column is called, revenue is what was paid."""
    draw = Random(seed)
    tags = [round(draw.uniform(2, 90), 2) for _ in range(7)]
    units = [draw.choice([1, 1, 2, 3, 5]) for _ in range(200)]
    paid = [tags[row % 7] * (units[row] if of_line else 1) for row in range(200)]
    name = "item_price" if of_line else "amount_paid"
    rows = log([f"{each:.2f}" for each in paid]).rename({"price": name})
    rows = rows.with_columns(pl.Series("quantity", [str(each) for each in units]))
    events = clean_events(raw(rows), guess(rows, "USD").mapping, RULES).accepted().pl()
    truth = sum(round(each * 100) * (1 if of_line else number) for each, number in zip(paid, units, strict=True))
    assert events["revenue_cents"].sum() == truth


@pytest.mark.parametrize(
    ("code", "name"),
    [("producto_id", "nombre_producto"), ("Codice prodotto", "Prodotto"), ("Código artículo", "Descripción"),
     ("Código do produto", "Produto"), ("Référence produit", "Désignation")],
)  # fmt: skip
def test_a_products_code_goes_before_its_name(code: str, name: str):
    rows = log([f"{row}.50" for row in range(200)]).rename({"sku": code})
    rows = rows.with_columns(pl.Series(name, [f"Espresso {row % 7}" for row in range(200)]))
    assert guess(rows, "EUR").mapping.columns["product_id"] == code


def test_a_price_beside_a_discount_is_a_question_where_no_total_tells_whether_it_is_off():
    rows = log([f"{20 + row % 7}.50" for row in range(200)], discount=[f"{row % 3}.00" for row in range(200)])
    found = guess(rows, "EUR")
    assert found.roles["list_unit_price"].sure < CONFIRM_BELOW


def totals(rows: pl.DataFrame) -> list[str]:
    """What each row's whole order comes to."""
    line = pl.col("price").cast(pl.Float64) * pl.col("quantity").cast(pl.Float64)
    return [f"{total:.2f}" for total in rows.select(line.sum().over("order_id")).to_series()]


PRICES = [f"{3.5 + row % 7 * 1.25:.2f}" for row in range(200)]


def test_the_subtotal_of_an_order_is_no_line_without_a_discount():
    rows = log(PRICES)
    found = guess(rows.with_columns(subtotal=pl.Series(totals(rows)))).mapping
    assert "list_amount" not in found.columns
    assert found.columns["unit_price"] == "price"


def test_a_column_whose_lines_come_to_the_order_s_total_is_the_price_whatever_it_is_called():
    rows = log(PRICES)
    found = guess(rows.with_columns(order_total=pl.Series(totals(rows))).rename({"price": "item_cost"})).mapping
    assert found.columns["unit_price"] == "item_cost"
    assert "amount" not in found.columns


def test_the_price_of_one_is_not_what_was_paid_for_a_line():
    units = [1 + row % 3 for row in range(200)]
    tag = [float(price) * n for price, n in zip(PRICES, units, strict=True)]
    paid = [each * (0.9 if row % 4 == 0 else 1) for row, each in enumerate(tag)]
    rows = log(PRICES, sales=[f"{each:.2f}" for each in tag], item_total=[f"{each:.2f}" for each in paid])
    found = guess(rows.rename({"price": "order_item_product_price"})).mapping
    assert found.columns.get("amount") != "order_item_product_price"
