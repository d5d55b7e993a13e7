"""What a message with a text adds: intervals hold the simulated truth, and nothing is said of too few."""

from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.core.messages.text_value import CELL, LEAST_READERS, TextValue, estimate_text_values

WORLDS = 300


class World:
    """Customers of two cells in which two texts are drawn by other shares; what they spend is skewed."""

    def __init__(self, seed: int, customers: int = 3000, gains: tuple[float, float] = (300.0, 0.0)) -> None:
        rng = np.random.default_rng(seed)
        self.gains = gains
        cell = rng.random(customers) < 0.3
        share = np.where(cell, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))  # of the first text
        held = rng.random(customers) < 0.2
        second = rng.random(customers) >= share
        before = rng.gamma(1.0, 2000, customers)
        value = 0.5 * before + rng.gamma(0.5, 3000, customers) + 4000 * cell
        value = value + np.where(held, 0.0, np.where(second, gains[1], gains[0])) + 10.0 * ~held
        self.rows = pl.DataFrame({
            "angle": "generic", "language": "en", "benefit": "percent_off", "covers": "", "goods": "",
            "scope": np.where(cell, "product", "all"), "held": held, "value": value, "value_before": before,
            "text_id": pl.Series(np.where(second, "b", "a")), "propensity": np.where(second, 1 - share, share),
            "cost": 10.0, "predicted": 200.0,
        }).with_columns(pl.when(~pl.col("held")).then(pl.col("text_id", "propensity", "goods")))  # fmt: skip

    @property
    def values(self) -> dict[str, TextValue]:
        return {each.text_id: each for each in estimate_text_values(self.rows)}


def covered(value: float | None, found: TextValue) -> bool:
    return found.low is not None and found.high is not None and value is not None and found.low <= value <= found.high


def test_intervals_hold_the_truth() -> None:
    """`benchmarks/core/text_value.py` prints the precise figure."""
    found = [World(seed).values for seed in range(WORLDS)]
    for text, truth in (("a", 300.0), ("b", 0.0)):
        assert 0.9 <= np.mean([covered(truth, values[text]) for values in found]) <= 0.99


def test_the_estimate_is_that_of_weights_by_hand() -> None:
    """Two cells: readers stand for everybody whose message could have been the text."""
    world = World(1)
    world.rows = world.rows.with_columns(value_before=pl.lit(0.0))
    got = world.rows.filter(~pl.col("held"))
    mine = got.filter(text_id="a")
    weight = 1 / mine["propensity"].to_numpy()
    by_hand = (weight * (mine["value"].to_numpy() - 10)).sum() / weight.sum() - world.rows.filter("held")[
        "value"
    ].mean()
    assert world.values["a"].value == pytest.approx(by_hand)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(20, 600))
def test_nothing_is_said_of_too_few_and_what_is_said_is_in_order(seed: int, customers: int) -> None:
    for each in World(seed, customers).values.values():
        few = min(each.readers, each.held) < LEAST_READERS
        assert (each.value is None) == (each.low is None) == few
        if each.low is None or each.value is None or each.high is None:
            assert (each.answer, each.needed) == ("cannot say", None)
        else:
            assert each.low < each.value < each.high
            assert (each.needed is None) == (each.answer != "cannot say")
            assert each.needed is None or each.needed > each.readers


def test_the_number_of_readers_needed_is_enough_in_four_of_five_worlds() -> None:
    """The gain that was predicted, at the number that a small world names."""
    needed = World(3, 1200, (200.0, 200.0)).values["a"].needed
    assert needed is not None
    share = World(3, 1200).values["a"].readers / 1200
    shown = [World(seed, round(needed / share), (200.0, 200.0)).values["a"].answer == "earns" for seed in range(60)]
    assert 0.6 <= np.mean(shown) <= 0.95


def test_a_larger_cell_without_the_text_changes_nothing() -> None:
    world = World(5)
    other = world.rows.with_columns(benefit=pl.lit("amount_off"), text_id=pl.when(~pl.col("held")).then(pl.lit("c")))
    both = {each.text_id: each for each in estimate_text_values(pl.concat([world.rows, other]))}
    assert {name: both[name] for name in "ab"} == world.values


def test_a_value_is_read_back_from_json() -> None:
    found = World(1).values["a"]
    assert TextValue.of(asdict(found) | {"answer": found.answer}) == found
    assert set(CELL) <= set(World(1).rows.columns)
