"""Two strangers' logs from `init` to a page that answers a growth manager, in the language of the shop."""

import re
from pathlib import Path

import layouts
import polars as pl
import pytest
from layouts import LAYOUTS

from promolift.cli.application import main

pytestmark = pytest.mark.slow
ASKED = {
    "UCI Online Retail": ("customers get an offer", "Next:"),
    "Chinese till": ("位客户", "下一步"),
}


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    return said.err


@pytest.mark.parametrize("name", ASKED)
def test_a_strangers_log_becomes_a_page_that_says_what_to_send_and_what_must_be_believed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(layouts.lines, "__defaults__", (900, 7, 25))  # two years instead of four months
    layout, config = LAYOUTS[name], ["--config", str(tmp_path / "promolift.toml")]
    layout.write(tmp_path)
    found = call(capsys, "init", "--events", str(tmp_path / layout.events), "--consent", "yes", *config)
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    said = call(capsys, "run", *config, *places)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.S)
    for word in ASKED[name]:
        assert word in said
    assert 'lang="zh' in page if name == "Chinese till" else 'lang="en' in page
    plan = pl.read_parquet(tmp_path / "out" / "plan.parquet")
    given = plan.filter(pl.col("status") == "offer").height
    assert given <= 25  # of so few customers a draw teaches nothing
    assert f"{given} " in text or f"{given}位" in text
    if name == "Chinese till":
        english = re.compile(r"[A-Za-z]{3,} [A-Za-z]{3,} [A-Za-z]{3,} [A-Za-z]{3,}")
        assert not english.findall(found), english.findall(found)
        assert not english.findall(said), english.findall(said)
