"""What the plan expects of its customers stands beside everyone's, equals its candidates, and is explained."""

from math import expm1
from typing import Any

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st
from small_story import read, small_story
from told_shop import told_shop

from promolift.foundation.i18n.formatting import percent
from promolift.foundation.pages.blocks import Block
from promolift.foundation.storage.local_store import Store
from promolift.shop.reports.chapters import discount
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.evaluation import DepthUplift, depth_uplift
from promolift.shop.results.plan import Plan


def oracle(rows: list[dict[str, Any]]) -> dict[float, float]:
    """The uplift of chosen candidates by depth, customer by customer."""
    sums: dict[float, list[float]] = {}
    for row in rows:
        for part in row.get("parts") or [row]:
            if row["benefit"] == "percent_off" and (base := part["base_cents"] * part["reach"]) > 0:
                both = sums.setdefault(row["depth"], [0.0, 0.0])
                both[0] += base * expm1(part["response_now"] * row["depth"])
                both[1] += base
    return {depth: more / base for depth, (more, base) in sums.items()}


def printed(blocks: list[Any]) -> tuple[list[list[str]], list[str]]:
    """The rows of the table of depths, and the notes."""
    kinds = [each for each in blocks if isinstance(each, Block)]
    (grid,) = (each.data["grid"] for each in kinds if each.kind == "grid")
    return [list(row) for row in grid.rows], [each.data["text"] for each in kinds if each.kind == "note"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_page_prints_what_the_chosen_candidates_hold(tmp_path: Any, seed: int) -> None:
    with Store(tmp_path) as store:
        story = build_story(told_shop(store, seed, plan={"budget_cents": 9000}))
        wanted = oracle(Plan.load(store).chosen.to_dicts())
    rows, notes = printed(list(discount.build_chapter(story).blocks))
    found = {each.depth: each for each in story.uplift}
    assert {depth: each.lift for depth, each in found.items()} == pytest.approx(wanted)
    assert {row[0]: row[2].removeprefix("+") for row in rows} == {percent(d): percent(x) for d, x in wanted.items()}
    assert all(each.checked is not None and each.checked <= each.lift for each in found.values())
    large = [each.lift / story.response.lift_at(each.depth) > discount.LARGE_RATIO for each in found.values()]
    assert len(notes) == any(large)


@given(st.floats(0.05, 2.0), st.floats(0.2, 4.0), st.sampled_from([0.1, 0.25, 0.4]), st.booleans())
@cases(60)
def test_a_ratio_above_one_and_a_half_is_explained_and_no_other(
    beta: float, times: float, depth: float, checked: bool
) -> None:
    lift = times * expm1(beta * depth)
    uplift = (DepthUplift(depth=depth, customers=40, lift=lift, checked=lift / 2 if checked else None),)
    (row,), notes = printed(discount._chosen(small_story(response=read(beta=beta), uplift=uplift)))
    assert len(notes) == (lift / expm1(beta * depth) > discount.LARGE_RATIO)
    assert len(row) == 4 + checked
    assert not discount._chosen(small_story(response=read(beta=beta), uplift=uplift, least=41))


@given(st.integers(0, 2**32))
@cases(40)
def test_cross_fitting_only_takes_off_and_takes_off_what_the_other_half_does_not_see(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, draw = 300, rng.uniform
    chosen = pl.DataFrame({
        "customer_id": [f"c{n}" for n in range(count)], "benefit": "percent_off", "base_cents": draw(1, 9, count),
        "reach": 1.0, "depth": rng.choice([0.1, 0.2, 0.3], count), "response_now": draw(0.5, 3, count),
    })  # fmt: skip
    bare = {each.depth: each for each in depth_uplift(chosen, None)}
    assert all(each.checked is None for each in bare.values())
    check = pl.DataFrame({
        "depth": [0.1, 0.2], "customers": [100, 3], "lift": [0.4, 0.4], "checked": [rng.uniform(0, 0.8), 0.1]
    })  # fmt: skip
    left = min(1.0, check["checked"][0] / 0.4)
    whole = min(1.0, float(check["checked"].dot(check["customers"])) / (0.4 * 103))
    for each in depth_uplift(chosen, check):
        assert each.lift == bare[each.depth].lift
        assert each.checked == pytest.approx(each.lift * (left if each.depth == 0.1 else whole))
