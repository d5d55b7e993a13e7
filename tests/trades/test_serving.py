"""Laws of a served plan of creatives: cap, budget, pace and propensities hold; what it logged teaches the next plan."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from promolift.errors import BudgetError, InputError
from promolift.sql import DAY_MS
from promolift.trades.creatives import run_creatives
from promolift.trades.serving import CreativeServer
from promolift.trades.start import TradeAnswers, start, trade_of


def plan(folder: Path, budget: int = 1000, cap: int = 2, shares: tuple[float, float] = (0.75, 0.25)) -> Path:
    pl.DataFrame({
        "placement": "top", "audience": "all", "creative": ["a", "b"], "share": shares,
        "impressions": [round(budget * share) for share in shares], "daily": 1, "cap_a_day": cap,
    }).write_parquet(folder / "creatives.parquet")  # fmt: skip
    return folder / "creatives.parquet"


def server(folder: Path, days: int = 1, **more: Any) -> CreativeServer:
    made = {name: more.pop(name) for name in ("budget", "cap", "shares") if name in more}
    return CreativeServer(plan(folder, **made), folder / "log.db", starts_ms=0, ends_ms=days * DAY_MS, **more)


def test_a_visitor_sees_each_creative_no_more_than_the_cap_a_day(tmp_path: Path) -> None:
    some = server(tmp_path, days=2)
    first = [some.choose("v", "top", now_ms=60_000 * minute).creative for minute in range(12)]
    assert sorted(each for each in first if each != "none") == ["a", "a", "b", "b"]
    assert some.choose("v", "top", now_ms=DAY_MS - 1).why == "frequency cap: 2 of each creative a day"
    assert some.choose("v", "top", now_ms=DAY_MS).creative != "none"


def test_the_budget_lasts_the_time_and_is_never_passed(tmp_path: Path) -> None:
    some = server(tmp_path, budget=200, arrivals=1000)
    moments = np.linspace(0, DAY_MS - 1, 1200).astype(int)  # more come than was expected
    shown = [some.choose(f"v{at}", "top", now_ms=int(ms)).creative != "none" for at, ms in enumerate(moments)]
    assert sum(shown) <= 200
    assert sum(shown) >= 190
    assert 75 <= sum(shown[:600]) <= 125
    assert some.choose("late", "top", now_ms=DAY_MS).why.startswith("time")


def test_creatives_are_drawn_by_their_shares_and_the_log_says_so(tmp_path: Path) -> None:
    some = server(tmp_path, budget=600)
    for at in range(600):
        some.choose(f"v{at}", "top", "an audience the plan never saw", now_ms=at)
    log = some.impressions()
    rates = dict(log.group_by("creative").agg(pl.len() / log.height).iter_rows())
    assert rates["a"] == pytest.approx(0.75, abs=0.06)
    assert set(log.select("creative", "propensity").unique().iter_rows()) == {("a", 0.75), ("b", 0.25)}


def test_another_process_goes_on_where_the_first_one_was(tmp_path: Path) -> None:
    one, two = server(tmp_path, budget=40), server(tmp_path, budget=40)
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda at: (one, two)[at % 2].choose(f"v{at}", "top", now_ms=at * 1000), range(200)))
    shown = [each.decision_id for each in given if each.creative != "none"]
    assert len(shown) == len(set(shown)) <= 40
    assert one.impressions().height == len(shown)


@pytest.mark.slow
def test_what_was_served_teaches_the_next_plan(tmp_path: Path) -> None:
    some, rng = server(tmp_path, budget=4000, shares=(0.5, 0.5)), np.random.default_rng(0)
    for at in range(4000):
        made = some.choose(f"v{at}", "top", now_ms=at * 20_000)
        if made.decision_id and rng.random() < {"a": 0.05, "b": 0.15}[made.creative]:
            some.click(made.decision_id)
            some.click(made.decision_id)
    some.impressions().write_parquet(tmp_path / "log.parquet")
    start("ads", [tmp_path / "log.parquet"], tmp_path / "promolift.toml", False, TradeAnswers({"audience": "audience"}))
    settings = trade_of(tmp_path / "promolift.toml")
    assert settings is not None
    found = run_creatives(settings.model_copy(update={"policy": "bandit"}), tmp_path)  # type: ignore[arg-type]
    assert found.plan.sort("share")["creative"].to_list()[-1] == "b"
    assert found.values["next shares"].high > 0.1
    found.plan.write_parquet(tmp_path / "creatives.parquet")
    then = CreativeServer(tmp_path / "creatives.parquet", tmp_path / "log.db", starts_ms=DAY_MS, ends_ms=2 * DAY_MS)
    assert then.plan_id != some.plan_id
    assert then.choose("v", "top", now_ms=DAY_MS).creative in "ab"


def test_a_customer_is_forgotten_and_wrong_files_are_refused(tmp_path: Path) -> None:
    some = server(tmp_path)
    some.choose("v", "top", now_ms=0)
    assert some.forget("v") == 1
    assert some.impressions()["customer_id"].str.starts_with("gone_").all()
    assert some.choose("v", "elsewhere", now_ms=0).why.startswith("placement")
    with pytest.raises(InputError, match="no such impression"):
        some.click("dec")
    with pytest.raises(BudgetError, match="no impression"):
        server(tmp_path, budget=0)
    pl.DataFrame({"test": ["1"], "text": ["x"]}).write_parquet(tmp_path / "creatives.parquet")
    with pytest.raises(InputError, match="placement"):
        CreativeServer(tmp_path / "creatives.parquet", tmp_path / "log.db", starts_ms=0, ends_ms=1)
    (tmp_path / "creatives.parquet").write_text("no")
    with pytest.raises(InputError, match="cannot be read"):
        CreativeServer(tmp_path / "creatives.parquet", tmp_path / "log.db", starts_ms=0, ends_ms=1)
