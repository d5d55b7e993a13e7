"""Rows equal in every column: a product scanned twice is two, a line or a receipt that was sent again is one."""

import random

import polars as pl
import pytest
from data_helpers import SHOP, clean, events, frame, mapping
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping

LINES = SHOP.model_copy(update={"repeats": "lines"})
HEAD = "who,at,item,order,n,price\n"
TEA, NUT, OIL = (f"ann,2024-03-01 10:00:00,{item},7,1,3.50" for item in ("tea", "nut", "oil"))
OTHER = [f"bob,2024-03-01 11:00:00,tea,{order},1,3.50" for order in range(100, 260)]


def set_aside(rows: list[str], how: Mapping = LINES) -> list[int]:
    """The rows that are duplicates, all others being taken."""
    cleaned = clean(HEAD + "\n".join(rows), how)
    counts = cleaned.counts()
    assert counts.accepted + counts.rejected_rows == counts.read == len(rows)
    assert set(counts.rejected) <= {"duplicate"}
    return cleaned.rejected("x").pl()["row"].to_list()


@pytest.mark.parametrize(
    ("rows", "duplicates"),
    [
        ([TEA, TEA, NUT], []),  # scanned twice
        ([TEA, NUT, TEA], []),  # and with another in between
        ([TEA, TEA, TEA, NUT, NUT], []),
        ([TEA, TEA], []),  # the receipt's only product, twice
        ([TEA, NUT, TEA, NUT], [3, 4]),  # the whole receipt twice
        ([TEA, TEA, NUT, NUT, OIL, OIL], [2, 4, 6]),  # each line twice, as where tables were joined by what repeats
        ([TEA, TEA, NUT, TEA, TEA, NUT], [4, 5, 6]),  # a receipt with a line of two, twice
        ([TEA, TEA, NUT, *OTHER, TEA, TEA, NUT], [164, 165, 166]),  # sent again much later
        ([TEA, NUT, *OTHER, TEA, NUT, OIL], [163, 164]),  # cut by the end of the first export
        ([TEA, OTHER[0], TEA], [3]),
        ([TEA, *OTHER, TEA], [162]),
    ],
)
def test_lines_of_one_receipt_are_further_units_and_receipts_sent_again_are_not(rows: list[str], duplicates: list[int]):
    assert set_aside(rows) == duplicates


def test_further_units_are_counted_and_their_money_adds_up():
    text = HEAD + "\n".join([TEA, TEA, NUT])
    assert clean(text, LINES).counts().counted == {"equal line": 1}
    assert sum(event["revenue_cents"] for event in events(text, LINES)) == 1050


def test_without_an_order_the_lines_of_one_moment_are_a_receipt():
    how = mapping(
        "events",
        {"customer_id": "who", "time": "at", "product_id": "item", "quantity": "n", "unit_price": "price"},
        constants={"kind": "purchase"},
        repeats="lines",
    )
    assert set_aside([TEA, TEA, NUT], how) == []
    assert set_aside([TEA, TEA], how) == [2]  # nothing says that it is a receipt


def test_an_id_of_the_event_says_what_a_duplicate_is_whatever_stands_beside():
    columns = {**SHOP.columns, "event_id": "id"}
    how = mapping("events", columns, repeats="lines")
    text = "id," + HEAD + "\n".join(f"{number},{line}" for number, line in ((1, TEA), (1, TEA), (2, TEA), (3, NUT)))
    assert clean(text, how).rejected("x").pl()["row"].to_list() == [2]


@cases(25)
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=12), st.integers(0, 2**32))
def test_a_till_log_without_doubled_receipts_is_taken_whole_and_one_sent_twice_is_taken_once(
    receipts: list[list[int]], seed: int
):
    receipts = [[*items, 9] if len({*items}) == 1 and len(items) > 1 else items for items in receipts]
    receipts = [[*dict.fromkeys(items)] if not _some_once(items) else items for items in receipts]
    log = [
        [f"c{number % 3},2024-03-01 10:{number:02d}:00,p{item},o{number},1,2.00" for item in items]
        for number, items in enumerate(receipts)
    ]
    once = [line for lines in log for line in lines]
    assert set_aside(once) == []
    random.Random(seed).shuffle(log)
    again = [line for lines in log for line in lines]
    assert set_aside(once + OTHER + again) == [len(once) + len(OTHER) + place for place in range(1, len(again) + 1)]


def _some_once(items: list[int]) -> bool:
    return any(items.count(item) == 1 for item in items)


def till(rows: int, twice: float, seed: int, own_times: bool = False, whole: bool = False, units: int = 1) -> str:
    """A till's log of about so many lines, of which a share was scanned twice."""
    draw, lines, order = random.Random(seed), [], 0
    while len(lines) < rows:
        order += 1
        when, who = f"2024-03-{1 + order % 28:02d} {8 + order % 12:02d}:{order % 60:02d}", draw.randrange(90)
        receipt = []
        for place in range(draw.choice([1, 2, 3, 4, 5])):
            stamp = f"{when}:{10 + place if own_times else 0:02d}"
            line = (
                f"T{order},{stamp},c{who},p{draw.randrange(200)},{draw.randint(1, units)},{draw.randrange(100, 900)}.50"
            )
            receipt += [line] * (1 + (draw.random() < twice))
        lines += [line for line in receipt for _ in range(1 + whole * (order % 3 == 0))]
    return "receipt,date,card,sku,qty,price\n" + "\n".join(lines)


def guess(text: str) -> Mapping:
    return guess_mapping("events", frame(text))


def test_init_tells_scans_from_rows_that_were_sent_again():
    scanned = guess(till(1500, 0.08, 1))
    assert scanned.repeats == "lines"
    (note,) = [note for note in scanned.notes if "repeats" in note]
    assert "NOT SURE" not in note
    assert "bought again" in note
    several = guess(till(1500, 0.08, 2, units=3))  # a till that counts, and equal lines all the same
    assert several.repeats == "lines"
    assert any(note.startswith("NOT SURE") and "repeats" in note for note in several.notes)
    assert guess(till(1500, 0.0, 3)).repeats == "lines"
    assert not any("repeats" in note for note in guess(till(1500, 0.0, 3)).notes)
    assert guess(till(1500, 0.05, 4, own_times=True)).repeats == "duplicates"  # a shopper's clicks, sent twice
    doubled = guess(till(1500, 0.0, 5, whole=True))
    assert doubled.repeats == "duplicates"
    assert any("every line" in note and "repeats" in note for note in doubled.notes)


def test_a_till_log_keeps_every_scan():
    text = till(1500, 0.08, 6)
    counts = clean(text, guess(text)).counts()
    pairs = frame(text).filter(pl.struct(pl.all()).is_duplicated()).height
    assert counts.rejected.get("duplicate", 0) <= 0.1 * pairs / 2  # receipts of which each line was scanned twice
    assert counts.accepted >= 0.99 * counts.read
