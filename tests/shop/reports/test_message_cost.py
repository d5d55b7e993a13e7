"""What a message costs is asked once, counts for every line that states nothing else, and is named as an assumption."""

import tomllib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.core import effects
from promolift.foundation.i18n.formatting import MoneyFormat
from promolift.shop.configuration.configuration import Config
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.shop import Shop
from promolift.shop.reports.assumptions import list_assumptions
from promolift.shop.reports.chapters.summary import assumption_row
from promolift.shop.results.plan import assumption_text
from promolift.shop.results.plan_note import Assumption, fragile_first

MENU = [
    {"id": "own", "benefit": {"type": "percent_off", "percent": 10}, "send_cost_cents": 0},
    {"id": "other", "benefit": {"type": "percent_off", "percent": 15}},
]


def test_a_line_takes_what_a_message_costs_unless_it_states_its_own() -> None:
    stated = {"data": {"source": "complete-journey"}, "menu": MENU, "value": {"send_cost_cents": 60},
              "plays": [{"id": "tea", "audience": "absent", "benefits": ["5 %"]}]}  # fmt: skip
    config = Config.parse(stated, "test")
    assert [line.send_cost_cents for line in config.menu] == [0, 60]
    costs = {line.id: line.send_cost_cents for line in config.lines}
    assert costs.pop("own") == 0
    assert set(costs.values()) == {60}
    assert len(costs) == 2
    assert Config.parse({"data": stated["data"]}, "test").menu[0].send_cost_cents == 0


def test_another_cost_holds_for_every_line_that_states_none(tmp_path: Path) -> None:
    stated = {"data": {"source": "complete-journey"}, "menu": MENU, "value": {"send_cost_cents": 60}}
    with Shop.of(Config.parse(stated, "test"), tmp_path) as shop:
        again = shop.with_settings(value={"send_cost_cents": 7})
        assert [line.send_cost_cents for line in again.config.menu] == [0, 7]


@given(st.lists(st.floats(1, 500), min_size=1, max_size=30), st.floats(0, 90))
def test_at_the_cost_that_is_named_the_plan_earns_nothing(gains: list[float], send: float) -> None:
    size = len(gains)
    chosen = pl.DataFrame({
        "gain_cents": gains, "send_cost_cents": [send] * size, "added_cents": [600.0] * size,
        "cost_cents": [50.0] * size, "subsidy_cents": [50.0 - send / 2] * size,
        "supplier_share": [0.0] * size, "activation": ["automatic"] * size,
        "coupon_prob": pl.Series([None] * size, dtype=pl.Float64), "benefit": ["fixed_price"] * size,
    })  # fmt: skip
    response = effects.assumed_response("made up", effects.DiscountSettings())
    found = {each.name: each for each in list_assumptions(chosen, response, effects.ValueSettings(), True, 0.5)}
    flips = found["send_cost"].flips_at
    assert flips is not None
    assert sum(gains) - 0.5 - size * (flips - send) == pytest.approx(0.0, abs=1e-6)
    assert ("value.send_cost_cents" in assumption_text(found["send_cost"], "USD")) == (send == 0)  # to state it by


def test_init_asks_for_it_and_writes_the_answer(tmp_path: Path) -> None:
    rows = [(f"c{n % 12}", f"2024-0{1 + n % 6}-1{n % 9} 10:00:00", f"o{n}", "tea", 9.5 + n % 3) for n in range(90)]
    pl.DataFrame(rows, ["customer_id", "time", "order_id", "product_id", "amount"], orient="row").write_csv(
        tmp_path / "log.csv"
    )
    asked = []

    def answer(question: str, default: str) -> str:
        asked.append(question)
        return (
            {1: "a few", 2: "-1", 3: "0,08"}[sum("EUR" in each for each in asked)]
            if "EUR" in question  # else it is no question of money
            else default
        )

    init({"events": tmp_path / "log.csv"}, tmp_path / "p.toml", False, (),
         SetupAnswers(currency="EUR", consent=True, languages=("en",), ask=answer))  # fmt: skip
    assert sum("EUR" in each for each in asked) == 3
    assert tomllib.loads((tmp_path / "p.toml").read_text(encoding="utf-8"))["value"]["send_cost_cents"] == 8


def test_it_is_shown_as_money_and_the_least_certain_comes_first() -> None:
    margin = Assumption(name="margin", value=0.3, flips_at=0.2)
    sending = Assumption(name="send_cost", unit="money", value=0.0, flips_at=781.0)
    assert fragile_first([sending, margin]) == (margin, sending)
    shown = assumption_row(sending, MoneyFormat("USD"))
    assert (shown.value, shown.flips_at) == ("$0", "$7.81")
