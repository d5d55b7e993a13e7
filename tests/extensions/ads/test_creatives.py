"""Laws of the trade `ads`: later rows judge, few clicks carry no claim, the plan keeps budget, shares and cap."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from trade_files import logged

from promolift.extensions.ads.creatives import estimate_policy_values, read_creatives, run_creatives
from promolift.extensions.ads.results import CreativeResults, CreativeSettings
from promolift.shop.configuration.extension_sections import read_project
from promolift.shop.ingest.setup.extension_setup import TradeAnswers, start_project


def settings(path: Path, **more: Any) -> CreativeSettings:
    stated = {"path": path.name, "creative": "banner", "clicked": "click", "propensity": "pscore", "placement": "slot",
              "period": "ts", "customer": "user_id", "budget": 10_000}  # fmt: skip
    return CreativeSettings.parse(stated | more, "test")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> CreativeResults:
    folder = tmp_path_factory.mktemp("ads")
    return run_creatives(settings(logged(folder, 20_000)), folder)


def test_a_policy_is_valued_by_later_rows_at_each_place(found: CreativeResults) -> None:
    best = found.values["learned policy, placement top"]
    assert best.low < 0.3 < best.high
    assert found.values["learned policy over what ran"].low > 0
    assert found.verdict.startswith("the learned policy beats")


def test_the_plan_keeps_budget_shares_and_cap(found: CreativeResults) -> None:
    plan = found.plan
    assert plan["share"].sum() == pytest.approx(1)
    assert plan["impressions"].sum() <= 10_000
    assert (plan["daily"] * 7 <= plan["impressions"]).all()
    top = plan.filter(pl.col("placement") == "top").sort("share")["creative"].to_list()
    assert top[-1] == "c"
    assert plan["share"].min() > 0  # every creative is drawn now and then, so that the next log can teach


def test_fatigue_counts_what_a_viewer_had_seen_before(found: CreativeResults) -> None:
    assert found.fatigue["exposure"].to_list()[0] == 1
    assert found.fatigue["impressions"].sum() == 20_000


def test_few_clicks_carry_no_claim(tmp_path: Path) -> None:
    found = run_creatives(settings(logged(tmp_path, 3000, 0.005)), tmp_path)
    assert found.verdict.startswith("nothing is claimed")
    shares = found.plan.filter(pl.col("placement") == "top").sort("creative")["share"] / 0.5
    np.testing.assert_allclose(shares, 0.9 * np.array([0.5, 0.3, 0.2]) + 0.1 / 3, atol=0.05)  # as it ran


def test_no_click_leaves_no_interval_of_no_width(tmp_path: Path) -> None:
    path = logged(tmp_path, 1500, 0.002)
    value = run_creatives(settings(path), tmp_path).values["learned policy"]
    assert value.high > 0


def headlines(folder: Path, tests: int = 100) -> Path:
    """Tests of two headlines each; those with a question are clicked more."""
    rng, rows = np.random.default_rng(1), []
    for test in range(tests):
        for ask in (True, False):
            noun = rng.choice(["garden", "river", "school", "market", "window"])
            text = f"Why is the {noun} {test} open?" if ask else f"The {noun} {test} is open today"
            rows.append((f"t{test}", test // 5, text, 4000, rng.binomial(4000, 0.03 if ask else 0.02)))
    schema = ["test_id", "week", "headline", "impressions", "clicks"]
    pl.DataFrame(rows, schema=schema, orient="row").write_csv(folder / "tests.csv")
    return folder / "tests.csv"


def test_new_creatives_are_ranked_before_any_impression(tmp_path: Path) -> None:
    path = headlines(tmp_path)
    (tmp_path / "new.txt").write_text("The lake is open today\n\nWhy is the lake open?\n", encoding="utf-8")
    config = tmp_path / "promolift.toml"
    start_project("ads", [path], config, False, TradeAnswers({}))
    made = read_project(config).settings
    assert isinstance(made, CreativeSettings)
    assert (made.test, made.shown, made.period) == (("test_id",), "impressions", "week")
    found = run_creatives(made.model_copy(update={"new": "new.txt"}), tmp_path)
    assert found.values["better of two, share right"].low > 0.5
    assert found.plan["text"].to_list()[0] == "Why is the lake open?"
    assert found.plan["share"].to_list() == pytest.approx([0.95, 0.05])


@pytest.mark.parametrize(
    ("more", "code", "fact"),
    [
        ({"creative": "baner"}, "column_unknown", "'banner'"),
        ({"propensity": None}, "propensity_missing", "log.csv"),
        ({"propensity": "ts"}, "propensity_invalid", "'ts'"),
        ({"clicked": "slot"}, "column_type_wrong", "'slot'"),
        ({"clicked": "ts"}, "value_invalid", "log.csv"),
    ],
)
def test_bad_input_is_named(more: dict[str, Any], code: str, fact: str, tmp_path: Path) -> None:
    with raises_code(code, fact):
        run_creatives(settings(logged(tmp_path, 300), **more), tmp_path)


def test_a_log_without_clicks_teaches_nothing(tmp_path: Path) -> None:
    with raises_code("too_few_outcomes", "300"):
        run_creatives(settings(logged(tmp_path, 300, 0.0)), tmp_path)


def test_two_files_are_refused(tmp_path: Path) -> None:
    with raises_code("too_many_files", "ads", "2"):
        start_project("ads", [tmp_path, tmp_path], tmp_path / "x.toml", False, TradeAnswers({}))


def test_a_bandit_gives_each_creative_as_often_as_it_is_probably_best(tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("brand new\n", encoding="utf-8")
    found = run_creatives(settings(logged(tmp_path, 20_000), policy="bandit", new="new.txt", text="banner"), tmp_path)
    plan = found.plan
    assert plan["share"].sum() == pytest.approx(1)
    shares = plan.with_columns(part=pl.col("share") / pl.col("share").sum().over("placement"))
    top = dict(shares.filter(pl.col("placement") == "top").select("creative", "part").iter_rows())
    assert top["c"] > 0.85
    assert min(top.values()) >= 0.1 / 4 - 1e-9  # the floor of what is explored
    side = dict(shares.filter(pl.col("placement") == "side").select("creative", "part").iter_rows())
    assert side["brand new"] > top["brand new"]  # where no creative leads, a new one is worth more trials
    worth = found.values["next shares"]
    assert worth.low < (0.9 + 0.1 / 3) * 0.2 + 0.1 * 0.1 < worth.high  # 0.3 at the top, 0.1 beside, evenly seen
    assert found.verdict.startswith("shares learned from the earlier rows earn")


def test_a_policy_of_shares_is_valued_at_its_own_propensities(tmp_path: Path) -> None:
    rows = read_creatives(logged(tmp_path, 20_000), settings(tmp_path / "log.csv"))
    even = pl.DataFrame(
        {"placement": ["top"] * 3 + ["side"] * 3, "creative": ["a", "b", "c"] * 2, "share": [1 / 3] * 6}
    )
    value = estimate_policy_values(rows, {"even": even}).values["even"]
    assert value.low < (0.1 + 0.1 + 0.3) / 6 + 0.1 / 2 < value.high
