"""`init` proposes nothing from rows dated after today, says how many there are, and shows products by their names."""

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.shop.ingest.setup.initialisation import SetupAnswers, init

EUR = SetupAnswers(currency="EUR", consent=True, languages=("en",))
HEADER = "order_id,customer_id,date,sku,quantity,price"


def day(ago: int) -> str:
    """The day so many days ago."""
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400 * ago))


def log(path: Path, *more: str) -> Path:
    """Two hundred orders of the last ten months, and further rows."""
    rows = [f"{1000 + n},c{n % 40},{day(2 + n * 3 // 2)},P{n % 7},1,{20 + n % 7}.00" for n in range(200)]
    path.write_text("\n".join([HEADER, *rows, *more]) + "\n")
    return path


def written(folder: Path, events: Path, **files: Path) -> Any:
    """The summary and the settings of `init`."""
    said = init({"events": events, **files}, folder / "p.toml", True, answers=EUR)
    return said, tomllib.loads((folder / "p.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("late", ["9999-12-31", "2099-01-01", day(-40)])
def test_a_date_after_today_changes_no_proposal_and_is_counted(tmp_path: Path, late: str) -> None:
    said, plain = written(tmp_path, log(tmp_path / "e.csv"))
    assert said.figures["future_rows"] == 0
    told, skewed = written(tmp_path, log(tmp_path / "e.csv", f"5000,c1,{late},P1,1,900000.00"))
    assert skewed == plain
    assert told.figures["plays"] == said.figures["plays"]
    assert told.figures["plays"]
    assert told.figures["future_rows"] == 1
    assert told.figures["examples"] == said.figures["examples"]
    assert told.text != said.text  # how many rows there are is said


@settings(max_examples=8, deadline=None)
@given(late=st.lists(st.integers(2, 5000), max_size=12), units=st.integers(1, 90))
def test_no_row_of_the_future_reaches_a_proposal(
    tmp_path_factory: pytest.TempPathFactory, late: list[int], units: int
) -> None:
    """The law: whatever is dated after today, the proposed settings stay the same, and its rows are counted."""
    folder = tmp_path_factory.mktemp("shop")
    _, plain = written(folder, log(folder / "e.csv"))
    rows = [f"{6000 + n},c{n},{day(-ahead)},P{n % 7},{units},8.00" for n, ahead in enumerate(late)]
    told, skewed = written(folder, log(folder / "e.csv", *rows))
    assert skewed == plain
    assert told.figures["future_rows"] == len(late)


def test_products_of_a_separate_file_are_shown_by_their_names(tmp_path: Path) -> None:
    products = tmp_path / "products.csv"
    products.write_text("sku,product_name,category\n" + "".join(f"P{n},Espresso {n},Coffee\n" for n in range(7)))
    said, _ = written(tmp_path, log(tmp_path / "e.csv"), products=products)
    assert len(said.figures["examples"]) == 5
    assert all("x Espresso " in order for order in said.figures["examples"])
    assert not any("x P" in order for order in said.figures["examples"])


def test_a_name_is_found_among_more_products_than_a_sample_holds(tmp_path: Path) -> None:
    products = tmp_path / "products.csv"
    products.write_text("sku,product_name\n" + "".join(f"P{n:05d},Tea {n}\n" for n in range(6000)))
    rows = [f"{n},c{n % 40},{day(2 + n)},P{n * 29:05d},1,{20 + n % 7}.00" for n in range(200)]
    (tmp_path / "e.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    said, _ = written(tmp_path, tmp_path / "e.csv", products=products)
    assert all("x Tea " in order for order in said.figures["examples"])
