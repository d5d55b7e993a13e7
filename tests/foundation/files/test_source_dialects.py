"""A law of the way in: whatever the dialect, all rows are taken or set aside, and what is taken is what was written."""

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from drawn import MANY, cases
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from promolift.foundation.errors import InputError
from promolift.foundation.files.table_files import open_file
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_join import order_lines
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping
from promolift.shop.results.ingest import Counts

RULES = CleanRules(now_ms=1_790_000_000_000)
NAMES = ("customer_id", "order_date", "product_name", "note", "amount")
DATES: dict[str, Callable[[datetime], str]] = {
    "iso": lambda when: f"{when:%Y-%m-%d %H:%M:%S}",
    "iso with zone": lambda when: f"{when:%Y-%m-%dT%H:%M:%SZ}",
    "day first": lambda when: f"{when:%d.%m.%Y %H:%M:%S}",
    "month first": lambda when: f"{when:%m/%d/%Y %H:%M:%S}",
    "epoch": lambda when: f"{when.replace(tzinfo=UTC).timestamp():.0f}",
    "ms": lambda when: f"{when.replace(tzinfo=UTC).timestamp() * 1000:.0f}",
    "words": lambda when: f"{when:%d %b %Y %H:%M:%S}",
    "Chinese": lambda when: f"{when:%Y年%m月%d日 %H:%M:%S}",
}
WORDS = {
    "utf-8": ["tea", " ", ";", "é", "客", "🍵", '"', "'", "\n", "|", "\t", "0", "x", ","],
    "utf-8-sig": ["tea", "é", "客", '"', "'", ";", ","],
    "cp1252": ["tea", " ", "é", "ü", "ß", '"', "'", "\n", ",", "£"],
    "gb18030": ["tea", "客户", "苹果", "梨子", '"', "\n", ","],
    "utf-16": ["tea", "é", "客", '"', "\n", ";"],
}
NULLS = ("", "NULL", "NA", "nan", "None", "#N/A", "\\N")


@dataclass(frozen=True)
class Written:
    """A file as somebody's program writes it."""

    encoding: str
    delimiter: str
    quoting: int
    end: str
    decimal: str
    thousands: bool
    date: str
    null: str
    rows: list[tuple[int, datetime, str, str, int | None]]
    stray: int | None = None  # a row in which a quote is opened that nothing closes

    def cents(self, cents: int | None) -> str:
        if cents is None:
            return self.null
        text = f"{cents / 100:,.2f}" if self.thousands else f"{cents / 100:.2f}"
        return text.translate(str.maketrans(".,", ",.")) if self.decimal == "," else text

    def write(self, path: Path) -> None:
        with path.open("w", encoding=self.encoding, newline="") as file:
            writer = csv.writer(file, delimiter=self.delimiter, quoting=self.quoting, lineterminator=self.end)  # type: ignore[arg-type]
            writer.writerow(NAMES)
            for place, (who, when, product, note, cents) in enumerate(self.rows):
                written = [f"c{who}", DATES[self.date](when), product, note, self.cents(cents)]
                if place == self.stray:
                    file.write(self.delimiter.join(f'"{cell}' if at == 3 else cell for at, cell in enumerate(written)))
                    file.write(self.end)
                else:
                    writer.writerow(written)


def encodes(text: str, encoding: str) -> bool:
    """Whether the encoding has these characters."""
    return bool(text.encode(encoding, "ignore"))


@st.composite
def files(draw: st.DrawFn) -> Written:
    encoding = draw(st.sampled_from(list(WORDS)))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    words = [word for word in WORDS[encoding] if end != "\r" or word != "\n"]  # Python writes that without quotes
    text = st.lists(st.sampled_from(words), min_size=1, max_size=5).map("".join)
    start = datetime(2024, 1, 1)
    moments = st.integers(0, 200 * 86_400).map(lambda seconds: start + timedelta(seconds=seconds))
    row = st.tuples(
        st.integers(0, 9), moments, st.sampled_from(("Tea", "Cup", "Pan")), text,
        st.one_of(st.integers(100, 999_999), st.integers(100, 9_999), st.none()),
    )  # fmt: skip
    rows = draw(st.lists(row, min_size=12, max_size=30))
    stray = draw(st.one_of(st.none(), st.none(), st.integers(0, len(rows) - 1)))
    if stray is not None:
        rows[stray] = (*rows[stray][:3], "plain", 500)
    return Written(
        encoding,
        draw(st.sampled_from([",", ";", "\t", "|"])),
        draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        end,
        draw(st.sampled_from([".", ","])),
        draw(st.booleans()),
        draw(st.sampled_from([name for name in DATES if name != "Chinese" or encodes("年", encoding)])),
        draw(st.sampled_from(NULLS)),
        rows,
        stray,
    )


def taken_in(path: Path, folder: Path) -> tuple[Counts, Counter[Any]] | None:
    """The account of the file and its events, None where it is refused or a person is asked."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        try:
            table = open_file(connection, path, folder)
            mapping = guess_mapping("events", table.sample())
        except InputError as error:
            return None if str(error).startswith((str(path), "events:")) else pytest.fail(str(error))
        if any("no value tells day from month" in note for note in mapping.notes):  # said aloud, for a person to decide
            return None
        raw = connection.from_arrow(order_lines(table.rows, mapping).to_arrow_table())
        cleaned = clean_events(raw, mapping, RULES)
        events = Counter(cleaned.accepted().project("customer_id, ts_ms, revenue_cents").fetchall())
        return cleaned.counts().with_unreadable(table.unreadable()), events


def stamp(when: datetime) -> int:
    return round(when.replace(tzinfo=UTC).timestamp() * 1000)


@cases(1000 if MANY else 160, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate])
@given(written=files())
def test_all_rows_are_taken_or_set_aside_and_values_are_those_written(
    written: Written, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("csv")
    written.write(folder / "t.csv")
    found = taken_in(folder / "t.csv", folder)
    if found is None:
        return
    counts, events = found
    assert counts.accepted + counts.rejected_rows == counts.read == len(written.rows)
    said = Counter(
        (f"c{who}", stamp(when), cents or 0)
        for place, (who, when, *_, cents) in enumerate(written.rows)
        if cents is not None and place != written.stray
    )
    known = Counter((f"c{who}", stamp(when), cents or 0) for who, when, *_, cents in written.rows)
    assert not events - known, "a value that nobody wrote"
    # What is missing of those written was set aside, and is counted: duplicates, dates of the other order.
    assert sum((said - events).values()) <= counts.rejected_rows
