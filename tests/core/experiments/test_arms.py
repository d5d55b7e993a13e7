"""Effects of arms from draws: they cover the truth, move from the prior when draws say so, and choices follow them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from promolift.core.experiments.arm_choice import ArmRules, choose_arms
from promolift.core.experiments.line_effects import (
    AGES,
    FADE_HALF_LIFE_DAYS,
    ArmCell,
    ArmValue,
    Draws,
    customers_needed,
    detectable_effect,
    estimate_arm_values,
    find_change_points,
    visit_weight,
)

N = 1200


def cells(prior: float = -50.0, prior_se: float = 100.0, cost: float = 60.0, sd: float = 400.0) -> list[ArmCell]:
    return [ArmCell(arm, group, prior, prior_se, 0.0, cost, N // 2, sd) for arm in range(2) for group in range(2)]


Truth = Callable[[np.ndarray, np.ndarray], np.ndarray]


def draws(truth: Truth, seed: int, months: int = 2, sd: float = 400.0) -> Draws:
    """Two groups with unequal propensities over the months; customers have a level of their own in all of them."""
    rng = np.random.default_rng(seed)
    who = np.tile(np.arange(N), months)
    month, group = np.repeat(np.arange(months), N), who % 2
    prob = np.where(month[:, None] == 0, [0.1, 0.3], [0.4, 0.2])
    unit = rng.random(len(who))
    arm = np.where(unit < prob[:, 0], 0, np.where(unit < prob.sum(axis=1), 1, -1))
    level = rng.normal(0, 0.7 * sd, N)[who] + 300.0 * month  # a better month, in which more get arm 0
    value = level + rng.normal(0, 0.7 * sd, len(who)) + np.where(arm >= 0, truth(arm, group), 0.0)
    cost = np.where(arm >= 0, 60.0, 0.0)
    visits = (value > 0) * 1.0
    return Draws(arm, group, who, prob, 1 - prob.sum(axis=1), value, value, cost, visits, visits, month)


def test_intervals_cover_the_truth_though_customers_stand_in_several_months() -> None:
    """Under a wide prior, 95 % intervals hold the truth in about 95 % of repetitions."""
    inside, repeats = 0, 150
    for seed in range(repeats):
        found = estimate_arm_values(draws(lambda arm, group: 40.0 * arm - 30.0 * group, seed), cells(0.0, 500.0))
        inside += sum(abs(e.net - (40.0 * e.cell.arm - 30.0 * e.cell.group)) < 1.96 * e.net_se for e in found)
    assert 0.92 < inside / (4 * repeats) < 0.98


def test_the_average_that_forgets_propensities_is_fooled_here() -> None:
    """The case above can fail: more of arm 0 fell into the better month."""
    some = draws(lambda arm, group: 0.0 * arm, 1)
    naive = some.value_R[some.arm_R == 0].mean() - some.value_R[some.arm_R < 0].mean()
    assert naive > 50
    assert abs(estimate_arm_values(some, cells(0.0, 500.0))[0].drawn.value) < 3 * (
        estimate_arm_values(some, cells())[0].drawn.se or 0
    )


def test_four_times_as_much_is_believed_and_given_though_a_loss_was_expected() -> None:
    found = estimate_arm_values(draws(lambda arm, group: 3000.0 + 0.0 * arm, 2), cells())
    assert all(e.net > 2000 and e.pays > 0.99 and e.measured for e in found)
    chosen = choose_arms(found, ArmRules(0.8, 6, 0.1, 1e9))
    assert [c.state for c in chosen].count("give") == 2  # one arm for each group
    assert all(c.state != "test" for c in chosen)


def test_without_draws_effects_are_what_was_believed() -> None:
    some = draws(lambda arm, group: 0.0 * arm, 1, months=1)
    nobody = Draws(*(getattr(some, name)[:0] for name in some.__dataclass_fields__))
    assert [(e.net, round(e.net_se)) for e in estimate_arm_values(nobody, cells())] == [(-50.0, 100)] * 4
    assert not any(e.measured for e in estimate_arm_values(nobody, cells()))


def test_one_arm_teaches_of_the_others() -> None:
    """Group 1 never draws; what is seen of group 0 moves it part of the way."""
    some = draws(lambda arm, group: 300.0 + 0.0 * arm, 3)
    here = some.group_R == 0
    half = Draws(*(getattr(some, name)[here] for name in some.__dataclass_fields__))
    found = {(e.cell.arm, e.cell.group): e for e in estimate_arm_values(half, cells())}
    assert found[0, 0].net > found[0, 1].net > -50
    assert found[0, 1].net_se < 100 + 1e-9 or found[0, 1].net_se > found[0, 0].net_se


def test_what_surely_loses_is_closed_and_nothing_is_spent_on_it() -> None:
    found = estimate_arm_values(draws(lambda arm, group: -200.0 + 0.0 * arm, 4, months=4), cells())
    assert [c.state for c in choose_arms(found, ArmRules(0.8, 6, 0.1, 1e9))] == ["closed"] * 4


@pytest.mark.parametrize("budget", [0.0, 10_000.0, 1e9])
def test_choices_keep_the_budget(budget: float) -> None:
    found = estimate_arm_values(draws(lambda arm, group: 40.0 * arm, 5), cells(0.0, 80.0))
    rules = ArmRules(0.99999, 6, 0.1, budget)
    chosen = choose_arms(found, rules)
    spent = 0.0
    for group in range(2):
        mine = [(e, c) for e, c in zip(found, chosen, strict=True) if e.cell.group == group and c.state == "test"]
        spent += sum(0.9 * c.share * e.cell.customers / (len(mine) + 1) * e.cost for e, c in mine)
    assert spent <= budget * (1 + 1e-9)
    assert (spent > 0) == (budget > 0)


def test_the_detectable_effect_is_found_in_four_of_five() -> None:
    rng, sd, n = np.random.default_rng(0), 300.0, 250
    size = detectable_effect(sd, n, n)
    se = sd * (2 / n) ** 0.5
    seen = (np.abs(rng.normal(size, se, 20_000)) > 1.96 * se).mean()
    assert seen == pytest.approx(0.8, abs=0.01)
    assert customers_needed(sd, size) == pytest.approx(n, abs=1)


def test_an_assumed_loss_closes_nothing_before_a_first_test() -> None:
    """With few customers learning is not worth its loss by what is assumed; a test is made all the same, for half."""
    some = draws(lambda arm, group: 0.0 * arm, 1, months=1)
    nobody = Draws(*(getattr(some, name)[:0] for name in some.__dataclass_fields__))
    hopeless = [cell._replace(prior=-900.0, customers=60) for cell in cells()]
    chosen = choose_arms(estimate_arm_values(nobody, hopeless), ArmRules(0.8, 6, 0.1, 4000.0))
    spent = sum(0.9 * c.share * 60 / 2 * 60.0 for c in chosen if c.state == "test")
    assert 0 < spent <= 2000.0 + 1e-9


def test_an_arm_that_is_dear_and_unknown_does_not_keep_a_cheap_one_from_being_tested() -> None:
    """The dear one would take the whole budget for fewer customers than can tell anything."""
    dear = ArmCell(0, 0, -4.0, 600.0, 0.0, 50_000.0, 100, 400.0)
    cheap = ArmCell(1, 0, 30.0, 50.0, 0.0, 10.0, 100, 400.0)
    nobody = np.zeros(0, dtype=np.int64)
    empty = Draws(nobody, nobody, nobody, np.zeros((0, 2)), *(np.zeros(0) for _ in range(6)), nobody)
    chosen = choose_arms(estimate_arm_values(empty, [dear, cheap]), ArmRules(0.8, 6, 0.1, 10_000.0))
    assert [choice.state for choice in chosen] == ["closed", "test"]


def test_what_a_letter_does_by_itself_is_learned_from_every_arm() -> None:
    """Arm 1 of group 0 moves as far as arm 0, which alone was drawn, where both are doubted for being letters; where
    they are doubted for their discounts, less."""
    some = draws(lambda arm, group: 300.0 + 0.0 * arm, 3)
    mine = (some.group_R == 0) & (some.arm_R != 1)
    alone = Draws(*(getattr(some, name)[mine] for name in some.__dataclass_fields__))
    alone.prob_RK[:, 1] = 0.0
    moved = {}
    letters = [cell._replace(prior_se=1.0, contact_se=100.0) for cell in cells()]
    for name, some_cells in (("letters", letters), ("discounts", cells())):
        found = estimate_arm_values(alone, some_cells)
        moved[name] = (found[2].net + 50) / (found[0].net + 50)
    assert moved["letters"] > 0.9 > 0.75 > moved["discounts"] > 0.3


def test_more_visits_are_counted_by_the_draws_alone() -> None:
    """Arm 1 brings a third of a visit more; the prior of the money has no part in it."""
    some = draws(lambda arm, group: 0.0 * arm, 7)
    rng = np.random.default_rng(7)
    visits = rng.poisson(1.0 + np.where(some.arm_R == 1, 1 / 3, 0.0)).astype(float)
    found = estimate_arm_values(replace(some, visits_R=visits), cells(prior_se=1.0))
    for each in found:
        assert each.visits_se is not None
        assert abs(each.visits - each.cell.arm / 3) < 3 * each.visits_se < 0.6


def _everywhere(effect: float, arm: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The same effect of every arm in every group."""
    return np.full(len(arm), effect)


def test_what_was_assumed_pays_for_two_tests_and_no_more() -> None:
    """Nothing is gained by any arm, though much is believed: a third test needs draws that speak for it."""
    hopeful = cells(prior=200.0, prior_se=300.0)
    rules = ArmRules(0.999, 6, 0.1, 1e9)
    for effect, tested in ((-60.0, False), (60.0, True)):
        some = draws(partial(_everywhere, effect), 8)
        found = estimate_arm_values(some, hopeful)
        for tests in (1, 2):
            states = [c.state for c in choose_arms(found, rules._replace(tests=tests))]
            assert any(state != "closed" for state in states) == (tested or tests == 1)


def month_of(visits: float, money: float, seed: int) -> Draws:
    """Two windows of 3,000 customers, half of them with a letter: what it does to visits and to money is small beside
    what customers differ by."""
    rng, n = np.random.default_rng(seed), 6000
    got = rng.random(n) < 0.5
    came = rng.poisson(1.5 * (1 + visits * got)).astype(float)
    value = rng.normal(900.0 + money * got, 1500.0, n)
    nothing = np.zeros(n)
    return Draws(
        np.where(got, 0, -1), np.arange(n) % 2, np.arange(n) % 3000, np.full((n, 1), 0.5), np.full(n, 0.5), value,
        value, nothing, came, came, np.arange(n) // 3000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("visits", "money", "fewest", "most"), [(-0.15, -150.0, 0, 3), (-0.02, -20.0, 1, 15), (0.08, 80.0, 52, 60)]
)
def test_where_nothing_pays_everything_stops_after_two_tests(
    visits: float, money: float, fewest: int, most: int
) -> None:
    """Of 60 shops: where letters cost visits hardly any goes on, where they do next to nothing a quarter at most
    though a gain was assumed; where they bring some, hardly any is stopped."""
    letters = [ArmCell(0, group, 60.0, 1.0, 60.0, 0.0, 1500, 1500.0, contact=60.0) for group in range(2)]
    rules, went_on = ArmRules(0.8, 6, 0.1, 1e6, 2), 0
    for seed in range(60):
        found = estimate_arm_values(month_of(visits, money, seed), letters, tests=2)
        went_on += any(choice.state != "closed" for choice in choose_arms(found, rules))
    assert fewest <= went_on <= most


def test_what_is_assumed_of_letters_pays_for_two_tests_and_shows_nothing() -> None:
    """Where letters do next to nothing, what is believed after two tests holds the truth, in a group that never drew
    too; before that nothing is given, as nothing was shown."""
    letters = [ArmCell(0, group, 60.0, 1e-6, 60.0, 0.0, 1500, 1500.0, contact=60.0) for group in range(3)]
    assert [e.net for e in undrawn(letters)] == [60.0] * 3
    inside, shown = 0, []
    for seed in range(60):
        some = month_of(-0.02, -20.0, seed)  # the third group never drew
        once, twice = (estimate_arm_values(some, letters, tests=tests) for tests in (1, 2))
        inside += sum(abs(e.net + 20.0) < 1.96 * e.net_se for e in twice)
        assert [e.pays for e in once] == pytest.approx([e.pays for e in twice])
        shown += [choice.state == "give" for choice in choose_arms(once, ArmRules(0.8, 6, 0.1, 1e6, 1))]
    assert inside / 180 > 0.92
    assert np.mean(shown) < 0.15


def test_once_all_is_stopped_nothing_new_can_start_it_again() -> None:
    found = estimate_arm_values(
        month_of(0.08, 80.0, 1), [ArmCell(0, g, 60.0, 1.0, 60.0, 0.0, 1500, 1500.0) for g in range(2)]
    )
    rules = ArmRules(0.8, 6, 0.1, 1e6, 2)
    assert {choice.state for choice in choose_arms(found, rules)} != {"closed"}
    assert {choice.state for choice in choose_arms(found, rules._replace(over=True))} == {"closed"}


def test_an_effect_that_fades_is_told_by_sooner_visits_with_less_noise() -> None:
    """On the mean both count the same more visits; one that does not fade counts less by the sooner ones."""
    weight, day = visit_weight(28), np.arange(28)
    fades = 0.5 ** (day / FADE_HALF_LIFE_DAYS)
    assert weight @ fades == pytest.approx(fades.sum())
    assert weight[0] > 1 > weight[-1] > 0
    assert weight.mean() < 0.8
    assert (weight @ weight / 28) ** 0.5 < 0.9


def undrawn(some: list[ArmCell]) -> list[ArmValue]:
    """What is believed of cells of which nothing was drawn."""
    nobody = np.zeros(0, dtype=np.int64)
    arms = 1 + max(cell.arm for cell in some)
    return estimate_arm_values(
        Draws(nobody, nobody, nobody, np.zeros((0, arms)), *(np.zeros(0) for _ in range(6)), nobody), some
    )


def reminders(prior: float, dear: float = -50.0, dear_se: float = 100.0) -> list[ArmCell]:
    """Arm 0 costs nothing, arm 1 does; both are doubted for being letters, two groups."""
    free = [ArmCell(0, group, prior, 1e-6, 80.0, 0.0, 600, 900.0) for group in range(2)]
    return free + [ArmCell(1, group, dear, dear_se, 80.0, 60.0, 600, 900.0) for group in range(2)]


def test_what_costs_nothing_and_is_believed_to_gain_is_given_to_most_and_a_control_is_kept() -> None:
    rules = ArmRules(0.8, 6, 0.1, 10_000.0)
    found = undrawn(reminders(30.0))
    chosen = choose_arms(found, rules)
    for group in range(2):
        mine = [c for e, c in zip(found, chosen, strict=True) if e.cell.group == group]
        tested = [c for c in mine if c.state == "test"]
        (lead,) = [c for c in mine if c.lead]
        assert lead is mine[0]
        each = lead.share / (len(tested) + 1)
        assert each + 1 - lead.share >= 0.6
        assert 8 / 540 <= each <= 0.2
    assert not any(c.lead for c in choose_arms(undrawn(reminders(-10.0)), rules))
    charged = [cell._replace(cost=5.0) for cell in reminders(30.0)]
    assert not any(c.lead for c in choose_arms(undrawn(charged), rules))


def test_few_customers_get_a_lead_too_half_of_them() -> None:
    few = [cell._replace(customers=30) for cell in reminders(30.0)]
    chosen = choose_arms(undrawn(few), ArmRules(0.8, 6, 0.1, 1e6))
    assert [c.share for c in chosen if c.lead] == [1.0, 1.0]


def test_an_arm_that_can_only_be_worse_than_the_lead_is_not_tested() -> None:
    """What it is doubted for it shares with the lead: to learn it is worth nothing, however little is known of both."""
    rules = ArmRules(0.8, 6, 0.1, 1e6)
    worse, better = (choose_arms(undrawn(reminders(60.0, 20.0, se)), rules) for se in (2.0, 200.0))
    assert [c.state for c in worse] == ["test", "test", "closed", "closed"]
    assert [c.state for c in better] == ["test"] * 4


def test_a_window_with_a_small_control_does_not_drown_an_even_one() -> None:
    """Of two windows one is drawn evenly, in the other all but a twentieth get the arm: together they say more than the
    even one alone, and a better second month fools nobody."""
    rng, n = np.random.default_rng(5), 4000
    month = np.repeat([0, 1], n // 2)
    prob = np.where(month == 0, 0.5, 0.95)
    arm = np.where(rng.random(n) < prob, 0, -1)
    value = 100.0 * month + rng.normal(0, 400.0, n) + np.where(arm == 0, 40.0, 0.0)
    some = Draws(arm, np.zeros(n, dtype=np.int64), np.arange(n), prob[:, None], 1 - prob, value, value,
                 *[np.zeros(n)] * 3, month)  # fmt: skip
    (both,) = estimate_arm_values(some, [ArmCell(0, 0, 0.0, 1e-6, 500.0, 0.0, n, 400.0)])
    even = 400.0 * (4 / (n // 2)) ** 0.5
    assert both.drawn.se is not None
    assert 0.8 * even < both.drawn.se < even
    assert abs(both.drawn.value - 40.0) < 3 * both.drawn.se


def test_a_line_that_takes_nothing_off_costs_nothing_whatever_else_is_redeemed() -> None:
    some = draws(lambda arm, group: 0.0 * arm, 1)
    found = estimate_arm_values(some, [cell._replace(cost=0.0) if cell.arm == 0 else cell for cell in cells()])
    assert [(e.cost, e.cost_se) for e in found if e.cell.arm == 0] == [(0.0, 0.0)] * 2
    assert all(e.cost > 0 for e in found if e.cell.arm == 1)


def test_where_more_is_given_than_the_budget_pays_what_is_free_is_tested_all_the_same() -> None:
    some = draws(lambda arm, group: 3000.0 + 0.0 * arm, 2)
    paying = [cell for cell in cells() if cell.group == 0]
    free = ArmCell(0, 1, 60.0, 1e-6, 30.0, 0.0, 600, 900.0)._replace(arm=2)
    wide = replace(some, prob_RK=np.hstack([some.prob_RK, np.zeros((len(some.arm_R), 1))]))
    chosen = choose_arms(estimate_arm_values(wide, [*paying, free]), ArmRules(0.99, 6, 0.1, 1.0))
    assert chosen[-1].state in ("test", "give")


def given(cells: list[ArmCell], budget: float) -> dict[tuple[int, int], str]:
    """What is done with cells that are believed as they are, by arm and group, a few having been drawn."""
    found = [e._replace(drawn=e.drawn._replace(n_arm=30, n_none=30)) for e in undrawn(cells)]
    chosen = choose_arms(found, ArmRules(0.8, 6, 0.1, budget))
    return {(e.cell.arm, e.cell.group): c.state for e, c in zip(found, chosen, strict=True) if c.state != "closed"}


def test_a_dearer_arm_takes_the_place_of_a_free_one_only_where_all_of_a_group_can_have_it() -> None:
    """Arm 1 is worth 200 more and costs 60; of two groups of 600 the budget pays for none, for one, for both."""
    some = [ArmCell(0, group, 300.0, 1.0, 1.0, 0.0, 600, 400.0) for group in range(2)]
    some += [ArmCell(1, group, 500.0 - group, 1.0, 1.0, 60.0, 600, 400.0) for group in range(2)]
    assert given(some, 20_000.0) == {(0, 0): "give", (0, 1): "give"}
    assert given(some, 80_000.0) == {(1, 0): "give", (0, 1): "give"}
    assert given(some, 150_000.0) == {(1, 0): "give", (1, 1): "give"}


def test_where_the_only_sure_arm_is_beyond_the_budget_a_free_one_leads() -> None:
    some = [ArmCell(0, group, 20.0, 1.0, 200.0, 0.0, 600, 900.0) for group in range(2)]
    some += [ArmCell(1, group, 500.0, 1.0, 100.0, 60.0, 600, 900.0) for group in range(2)]
    assert given(some, 2_000.0)[0, 0] == "test"


def lasting(rest: float, seed: int, n: int) -> Draws:
    """Half of n customers get a letter that adds 100 in the window and `rest` after it; what follows is noisier."""
    rng = np.random.default_rng(seed)
    arm = np.where(rng.random(n) < 0.5, 0, -1)
    window = rng.normal(0, 400.0, n) + 100.0 * (arm == 0)
    value = window + rng.normal(0, 800.0, n) + rest * (arm == 0)
    return Draws(arm, np.zeros(n, dtype=np.int64), np.arange(n), np.full((n, 1), 0.5), np.full(n, 0.5), value, window,
                 *[np.zeros(n)] * 3, np.zeros(n, dtype=np.int64))  # fmt: skip


def test_what_the_window_tells_is_believed_to_last_until_the_rest_is_told() -> None:
    letter, discount = (
        ArmCell(0, 0, 0.0, 1e-6, 100.0, 0.0, 800, 900.0),
        ArmCell(0, 0, 0.0, 100.0, 1e-6, 60.0, 800, 900.0),
    )
    (few,), (dear,) = (estimate_arm_values(lasting(0.0, 1, 800), [cell]) for cell in (letter, discount))
    assert few.drawn.se is not None
    alone = (1 / 100.0**2 + 1 / few.drawn.se**2) ** -0.5  # what the horizon by itself would leave in doubt
    assert few.window_se < few.net_se < 0.9 * alone
    assert few.net_se < dear.net_se < alone
    (lost,) = estimate_arm_values(lasting(-100.0, 1, 60_000), [letter])
    assert abs(lost.net) < 3 * lost.net_se < 30
    assert abs(lost.window - 100.0) < 3 * lost.window_se


def months_of(effects_M: list[float], seed: int, n: int = 4000) -> Draws:
    """Windows of n customers of two groups, four in five of them with a letter that adds so many cents, and 0.1 visits
    for every 70 of them."""
    rng, months = np.random.default_rng(seed), len(effects_M)
    who, when = np.tile(np.arange(n), months), np.repeat(np.arange(months), n)
    got = rng.random(n * months) < 0.8
    added = np.array(effects_M)[when] * got
    visits = rng.poisson(1 + added / 700).astype(float)
    value = added + rng.normal(0, 600, n * months) + 200 * (visits - 1 - added / 700)
    zero = np.zeros(n * months)
    return Draws(np.where(got, 0, -1), who % 2, who, np.full((n * months, 1), 0.8), np.full(n * months, 0.2), value,
                 value, zero, visits, visits, when)  # fmt: skip


LETTERS = [ArmCell(0, group, 40.0, 1e-6, 60.0, 0.0, 2000, 600.0) for group in range(2)]


def error(effects_M: list[float], pooled: bool, n: int = 4000) -> float:
    """Root mean square of what is believed of the last month's effect, over 20 repetitions."""
    some = [months_of(effects_M, seed, n) for seed in range(20)]
    found = [estimate_arm_values(each, LETTERS, () if pooled else find_change_points(each, LETTERS)) for each in some]
    return float(np.mean([(e.net - effects_M[-1]) ** 2 for each in found for e in each]) ** 0.5)


def test_where_nothing_changes_nothing_is_lost_by_looking_for_changes() -> None:
    for months in (2, 6):
        same = [70.0] * months
        assert error(same, False) < 1.05 * error(same, True)
        first = [find_change_points(months_of(same, seed), LETTERS)[0] for seed in range(20)]
        assert sum(each.since > 0 for each in first) <= 1
        assert sum(change.prob for change in find_change_points(months_of(same, 0), LETTERS)) == pytest.approx(1.0)


def test_two_months_after_a_change_what_was_drawn_before_counts_no_more() -> None:
    """Letters that brought 70 cents keep customers away from the fifth month on; pooled, they would go on."""
    turned = [70.0] * 4 + [-70.0] * 2
    some = [months_of(turned, seed, 8000) for seed in range(20)]
    pooled = [e.net for each in some for e in estimate_arm_values(each, LETTERS)]
    told = [e.net for each in some for e in estimate_arm_values(each, LETTERS, find_change_points(each, LETTERS))]
    assert sum(net > 0 for net in pooled) >= 38
    assert sum(net < 0 for net in told) >= 38
    assert error(turned, False, 8000) < 0.4 * error(turned, True, 8000)
    assert all(find_change_points(each, LETTERS)[0].since in (3, 4, 5) for each in some)


def test_visits_say_nothing_of_what_is_not_doubted_for_being_a_letter() -> None:
    some = months_of([70.0], 1)
    sure = [cell._replace(contact_se=0.0, prior_se=60.0) for cell in LETTERS]
    many = replace(some, soon_R=some.soon_R * 10)
    assert [e.net for e in estimate_arm_values(some, sure)] == pytest.approx(
        [e.net for e in estimate_arm_values(many, sure)]
    )
    letters, bent = (estimate_arm_values(each, LETTERS)[0].net for each in (some, replace(some, soon_R=-some.soon_R)))
    assert letters > bent


def test_a_change_for_the_better_is_found_too_and_the_draws_before_it_say_nothing_of_costs() -> None:
    better = months_of([-70.0] * 2 + [70.0] * 2, 3, 8000)
    (since, *_) = find_change_points(better, LETTERS)
    assert since.since == 2
    (first, _) = estimate_arm_values(better, LETTERS, find_change_points(better, LETTERS))
    assert first.net > 0
    assert first.drawn.n_arm == int((since.rows_R & (better.group_R == 0) & (better.arm_R == 0)).sum())


def test_without_any_line_nothing_is_said() -> None:
    assert estimate_arm_values(months_of([70.0], 1, 100), []) == []
    assert len(find_change_points(months_of([70.0, 70.0], 1, 100), [])) == 1


def test_many_windows_are_told_apart_by_few_changes() -> None:
    assert len(find_change_points(months_of([70.0] * 30, 1, 200), LETTERS)) == 1 + len(AGES)
