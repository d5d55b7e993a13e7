"""Which arms begin in which audience, and how little of the margin they may waste."""

import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.arm_shares import SMALL_SHARE
from promolift.core.experiments.audiences import ABSENT, ACTIVE, DUE, LONG_ABSENT
from promolift.core.offers.menu import MenuItem
from promolift.shop.pipeline.planning.arms_in_play import (
    ACTIVE_FROM,
    LIKELY,
    WASTE,
    Arm,
    LineTestPopulation,
    choose_arms,
    limit_waste,
)

MENU = [
    MenuItem.model_validate({"id": "reminder", "benefit": {"type": "reminder"}}),
    *(MenuItem.model_validate({"id": f"all-{percent}", "benefit": {"type": "percent_off", "percent": percent}})
      for percent in (10, 15, 20)),
]  # fmt: skip
SIZES = {ACTIVE: 600, DUE: 200, ABSENT: 300, LONG_ABSENT: 400}
LINES = pl.DataFrame(
    [(item.id, group, 1.0, count) for group, count in SIZES.items() for item in MENU],
    ["menu_id", "group", "cost", "customers"], orient="row",
)  # fmt: skip


ARMS = st.tuples(st.sampled_from(sorted(SIZES)), st.floats(0, 0.9), st.floats(0, 500), st.floats(0, 1))


def population(windows: int = 0, worth: float = 100.0) -> LineTestPopulation:
    rows = [(f"{group}{n}", group, worth) for group, count in SIZES.items() for n in range(count)]
    groups = pl.DataFrame(rows, ["customer_id", "group", "worth"], orient="row")
    one = dict.fromkeys(SIZES, 100.0)
    return LineTestPopulation(groups, SIZES, one, one, windows)


def effect(arm: str, group: str, prob: float, cost: float = 0.0, pays: float = 0.5) -> LineEffect:
    return LineEffect(arm=arm, group=group, net_cents=0, net_se_cents=1, window_cents=0, window_se_cents=1,
                      cost_cents=cost, cost_se_cents=0, pays=pays, prob=prob, state="test", n_arm=9,
                      evidence="assumed")  # fmt: skip


def test_the_long_absent_try_a_deeper_discount_and_few_of_the_active_a_reminder() -> None:
    begins = choose_arms(MENU, LINES, population(), ())
    assert begins == {
        Arm("reminder", DUE): 0.5,
        Arm("all-10", ABSENT): 0.5, Arm("reminder", ABSENT): 0.25,
        Arm("all-15", LONG_ABSENT): 0.5, Arm("reminder", LONG_ABSENT): 0.25,
        Arm("reminder", ACTIVE): SMALL_SHARE,
    }  # fmt: skip


@pytest.mark.parametrize(("windows", "begun"), [(1, []), (ACTIVE_FROM, [Arm("all-10", ACTIVE)])])
def test_the_active_get_a_discount_after_three_windows_beside_their_reminder(windows: int, begun: list[Arm]) -> None:
    known = [effect("reminder", group, 0.5) for group in SIZES]
    assert [arm for arm in choose_arms(MENU, LINES, population(windows), known) if arm.group == ACTIVE] == begun
    known.append(effect("all-10", ACTIVE, 0.1, 5.0))
    assert not any(arm.group == ACTIVE for arm in choose_arms(MENU, LINES, population(windows), known))


@pytest.mark.parametrize(("pays", "n_arm", "begun"), [
    (LIKELY, 9, [Arm("all-15", ABSENT)]), (LIKELY - 0.1, 9, []), (LIKELY, 0, []),
])  # fmt: skip
def test_a_deeper_discount_begins_once_the_first_was_drawn_and_is_likely_to_pay(
    pays: float, n_arm: int, begun: list[Arm]
) -> None:
    known = [effect("all-10", ABSENT, 0.5, 5.0, pays).model_copy(update={"n_arm": n_arm})]
    assert [arm for arm in choose_arms(MENU, LINES, population(1), known) if arm.group == ABSENT] == begun


def test_where_no_other_test_can_begin_the_active_get_both_at_once() -> None:
    alone = population()._replace(sizes={ACTIVE: 600})
    assert choose_arms(MENU, LINES, alone, ()) == dict.fromkeys(
        (Arm("all-10", ACTIVE), Arm("reminder", ACTIVE)), SMALL_SHARE
    )


@cases(50)
@given(st.lists(ARMS, max_size=8), st.floats(0, 1000))
def test_arms_cost_a_small_part_of_the_margin_where_they_do_not_pay(
    drawn: list[tuple[str, float, float, float]], worth: float
) -> None:
    people = population(worth=worth)
    before = tuple(effect(f"arm-{n}", group, prob, cost, pays) for n, (group, prob, cost, pays) in enumerate(drawn))

    def waste(effects: tuple[LineEffect, ...]) -> float:
        return sum((e.prob or 0.0) * SIZES[e.group] * e.cost_cents * (1 - e.pays) for e in effects)

    after, most = limit_waste(before, people), WASTE * worth * sum(SIZES.values())
    assert waste(after) <= most * (1 + 1e-9) + 1e-9
    assert waste(after) == pytest.approx(min(waste(before), most))
    for old, new in zip(before, after, strict=True):
        assert new.model_copy(update={"prob": old.prob}) == old
        assert (new.prob == old.prob) if not old.cost_cents else new.prob <= old.prob  # type: ignore[operator]
