"""A file with more columns than any log has is named, and is no reason for a traceback."""

from pathlib import Path

from error_checks import raises_code

from promolift.shop.ingest.setup.initialisation import init


def test_two_thousand_columns_are_named_with_what_to_do(tmp_path: Path):
    names = ["order_id", "customer_id", "date", *(f"feature_{column}" for column in range(1997))]
    rows = [f"{row},C{row % 9},2025-01-{1 + row % 28:02d}," + ",".join("1" * 1997) for row in range(300)]
    (tmp_path / "wide.csv").write_text("\n".join([",".join(names), *rows]))
    with raises_code("columns_too_many", "2,000"):
        init({"events": tmp_path / "wide.csv"}, tmp_path / "promolift.toml", False)
