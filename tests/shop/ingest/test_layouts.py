"""Logs as shops and public data sets have them: their columns are understood and their sums are right to the cent."""

import json
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from layouts import LAYOUTS, Layout

from promolift.cli.application import main

SUMS = """
    select count(*) filter (kind = 'purchase'), coalesce(sum(revenue_cents) filter (kind = 'purchase'), 0)::bigint,
        coalesce(sum(list_cents) filter (kind = 'purchase'), 0)::bigint,
        coalesce(sum(shelf_cents) filter (kind = 'purchase'), 0)::bigint,
        coalesce(sum(coupon_cents) filter (kind = 'purchase'), 0)::bigint
    from read_parquet('{}/tables/events/*.parquet')
"""


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


def taken_in(layout: Layout, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `init` guessed and what `health` counted, as they are printed."""
    layout.write(folder)
    events = "+".join(str(folder / name) for name in layout.events.split("+"))
    files = ["--events", ":".join((events, *layout.given))]
    files += [part for name, file in layout.others.items() for part in (f"--{name}", str(folder / file))]
    files += [part for answer in layout.answers for part in ("--map", answer)]
    config = ["--config", str(folder / "promolift.toml")]
    assert call("init", *files, *config, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert call("health", *config, "--work", str(folder / "work"), "--json") == 0
    return found, json.loads(capsys.readouterr().out)


def truth(layout: Layout, folder: Path) -> tuple[int, ...]:
    """The same sums by plain DuckDB over the files as they were written."""
    if layout.sums:
        return duckdb.connect().execute(layout.sums.format(folder)).fetchall()[0]
    rows = pl.read_csv((folder / layout.events).read_bytes().decode("gbk").encode())
    paid, listed = ((rows[name] * 100).round().cast(pl.Int64) for name in ("实付金额", "吊牌价"))
    whole = (listed * rows["数量"]).sum()
    return (rows.height, paid.sum(), whole, whole - paid.sum(), 0)


@pytest.mark.parametrize("name", LAYOUTS)
def test_columns_are_understood_and_sums_are_exact(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    layout = LAYOUTS[name]
    found, health = taken_in(layout, tmp_path, capsys)
    tables = {table["table"]: table for table in found["tables"]}
    for table, roles in ({"events": layout.roles} | layout.inside).items():
        assert table in tables, found
        columns = tables[table]["columns"]
        assert {role: columns.get(role) for role in roles} == {role: [column] for role, column in roles.items()}
    for counts in health["tables"]:
        assert counts["accepted"] + sum(counts["rejected"].values()) == counts["read"]
    assert duckdb.connect().execute(SUMS.format(tmp_path / "work")).fetchall()[0] == truth(layout, tmp_path)
