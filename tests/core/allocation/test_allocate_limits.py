"""Budget and limits: every limit kept, the bound true, a conflict named; the order of rows changes nothing."""

import numpy as np
import pytest
from allocate_helpers import best, shops, used, worth
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.allocation import Limit, solve
from promolift.foundation.errors import BudgetError, ConfigError

BUDGETS = st.integers(0, 40)


@st.composite
def limits(draw, most=3):
    out = []
    for number in range(draw(st.integers(1, most))):
        measure = draw(st.sampled_from(["count", "cost", "gain", "return", "count_share", "cost_share"]))
        share = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
        high = {"count": st.integers(0, 5), "return": st.integers(0, 3)}.get(measure, st.integers(0, 25))
        value = draw(share if measure.endswith("share") else high)
        side = "at_least" if measure == "return" else draw(st.sampled_from(["at_most", "at_least", "at_most"]))
        spots = {
            "labels": draw(st.sampled_from([(), (0,), (1,)])) if not measure.startswith("ret") else (),
            "offers": draw(st.sampled_from([(), (0,)])),
        }
        out.append(Limit(name=f"limit {number}", measure=measure, **{side: float(value)}, **spots))
    return out


@given(shops(), BUDGETS, limits())
def test_every_limit_is_kept_and_no_plan_is_better(shop, budget, rules):
    rules = [rule for rule in rules if all(label <= shop.label.max() for label in rule.labels)]
    truth = best(shop, budget, rules)
    if truth is None:
        with raises_code("limits_infeasible", kind=BudgetError):
            shop.solve(budget, rules)
        return
    plan = shop.solve(budget, rules)
    gain, cost = worth(shop, plan.choice_N)
    assert cost <= budget
    assert all(used(shop, plan.choice_N, rule)[1] for rule in rules)
    assert gain == pytest.approx(plan.gain, abs=1e-9)
    assert plan.bound >= truth * (1 - 1e-9)
    assert truth - gain <= plan.gap * plan.bound + 1e-9
    assert gain == pytest.approx(truth)


@given(shops(most=15), BUDGETS, limits(), st.data())
def test_the_order_of_rows_changes_nothing(shop, budget, rules, data):
    rules = [
        rule for rule in rules if rule.at_least is None and all(label <= shop.label.max() for label in rule.labels)
    ]
    order = np.array(data.draw(st.permutations(range(len(shop.gain)))))
    plain, mixed = shop.solve(budget, rules, seed=3), shop.solve(budget, rules, order=order, seed=3)
    assert (mixed.choice_N == plain.choice_N[order]).all()
    assert (mixed.gain, mixed.bound, mixed.uses) == (plain.gain, plain.bound, plain.uses)


def large(n, seed=0):
    rng = np.random.default_rng(seed)
    size, depth = rng.lognormal(3, 1, (n, 1)), np.arange(1, 7) / 6
    gain = size * (rng.lognormal(0, 0.7, (n, 1)) * (1 - np.exp(-3 * depth)) - 0.4 * depth)
    cost = size * depth * rng.uniform(0.2, 0.5, (n, 1))
    return gain, cost, rng.integers(0, 5, n).astype(np.int32), rng.permutation(n).astype(np.uint64)


def many(n, budget):
    return [
        *(Limit(name=f"stock {j}", measure="count", offers=(j,), at_most=n * 0.03 * (j + 1)) for j in range(4)),
        *(Limit(name=f"part {s}", measure="cost", labels=(s,), at_most=budget * (0.12 + 0.06 * s)) for s in range(5)),
        Limit(name="served", measure="count", labels=(3, 4), at_least=n * 0.11),
        Limit(name="fair", measure="cost_share", labels=(0, 1), at_least=0.25),
        Limit(name="pays", measure="return", at_least=2.0),
    ]


@pytest.mark.parametrize("n", [2_000, 60_000])
def test_a_large_plan_keeps_every_limit_within_a_small_gap(n):
    gain, cost, label, key = large(n)
    budget = 0.2 * n
    plan = solve(gain, cost, budget, many(n, budget), label_N=label, key_N=key)
    rows = np.flatnonzero(plan.choice_N >= 0)
    slot, who = plan.choice_N[rows], label[rows]
    spent, earned = cost[rows, slot], gain[rows, slot]
    assert spent.sum() <= budget
    assert all((slot == j).sum() <= n * 0.03 * (j + 1) for j in range(4))
    assert all(spent[who == s].sum() <= budget * (0.12 + 0.06 * s) for s in range(5))
    assert (who >= 3).sum() >= n * 0.11
    assert spent[who <= 1].sum() >= 0.25 * spent.sum() * (1 - 1e-12)
    assert earned.sum() >= 2.0 * spent.sum()
    assert (earned >= 0).all()
    assert earned.sum() == pytest.approx(plan.gain)
    assert plan.gap < (1e-2 if n < 10_000 else 1e-4)


def test_the_order_of_rows_changes_nothing_in_a_large_shop():
    gain, cost, label, key = large(30_000)
    rules, order = many(30_000, 6_000.0), np.random.default_rng(5).permutation(30_000)
    plain = solve(gain, cost, 6_000.0, rules, label_N=label, key_N=key)
    mixed = solve(gain[order], cost[order], 6_000.0, rules, label_N=label[order], key_N=key[order])
    assert (mixed.choice_N == plain.choice_N[order]).all()
    assert (mixed.bound, mixed.price, mixed.uses) == (plain.bound, plain.price, plain.uses)
    assert mixed.moved < 0.02 * 30_000  # the prices alone decide nearly everybody


def test_equal_customers_share_a_scarce_offer_by_lot():
    gain, cost = np.tile([5.0, 9.0], (3000, 1)), np.tile([1.0, 2.0], (3000, 1))
    plan = solve(gain, cost, 4000.0, [Limit(name="stock", measure="count", offers=(1,), at_most=700)])
    assert plan.treated == 3000
    assert (plan.choice_N == 1).sum() == 700
    assert plan.gap < 2e-4


def test_expected_units_count_against_stock():
    gain, cost = np.full((4, 1), 5.0), np.zeros((4, 1))
    units = np.array([[0.5], [0.25], [0.5], [0.75]])
    stock = Limit(name="stock", measure="units", at_most=1.25)
    plan = solve(gain, cost, 1.0, [stock], units_NK=units)
    assert plan.choice_N.tolist() == [0, 0, 0, -1]
    assert plan.uses[0].used == 1.25


def test_a_limit_that_binds_has_a_price_and_is_explained():
    gain, cost = np.array([[4.0], [3.0], [2.0]]), np.ones((3, 1))
    loose = solve(gain, cost, 9.0, [Limit(name="cap", measure="count", at_most=3)])
    tight = solve(gain, cost, 9.0, [Limit(name="cap", measure="count", at_most=1)])
    assert loose.binding == ()
    assert "held back by a limit" in loose.explain()
    assert [use.name for use in tight.binding] == ["cap"]
    assert 3.0 <= tight.multipliers["cap"] <= 4.0
    assert "'cap' (at most 1, used 1)" in tight.explain()


@pytest.mark.parametrize(
    ("rules", "budget", "facts"),
    [
        (["young: count[label=1] >= 9"], 100, ["'young' (at least 9)", "at most 4", "5 short"]),
        (
            ["free: count[label=0] <= 2", "young: count[label=1] >= 3"],
            2,
            ["'budget' (at most 2)", "'young' (at least 3)", "'young' reaches at most 2", "1 short"],
        ),
        (
            ["a: cost_share[label=0] >= 0.6", "b: cost_share[label=1] >= 60%", "some: cost >= 2"],
            9,
            ["'a'", "'b'", "'some'"],
        ),
        (["bad: cost <= -1"], 9, ["'bad' (at most -1)"]),
    ],
)
def test_a_conflict_names_the_smallest_set_and_by_how_much(rules, budget, facts):
    gain, cost, label = np.full((8, 2), 5.0), np.tile([1.0, 2.0], (8, 1)), np.tile([0, 1], 4).astype(np.int32)
    parsed = []
    for text in rules:
        rule = Limit.read(text)
        labels = tuple(int(value) for value in rule.where.get("label", ()))
        parsed.append(rule.model_copy(update={"labels": labels, "where": {}}))
    with raises_code("limits_infeasible", *facts) as error:
        solve(gain, cost, budget, parsed, label_N=label)
    assert "'free'" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "code", "facts"),
    [
        ("count 5", "limit_syntax_invalid", ("'count 5'",)),
        ("count <= many", "limit_bound_invalid", ("'many'",)),
        ("count[offer_id] <= 5", "limit_syntax_invalid", ("'offer_id'",)),
        ("cuont <= 5", "setting_invalid", ("measure", "'cuont'")),
        ("return <= 5", "setting_invalid", ("return <= 5", "at_least")),
    ],
)
def test_a_limit_that_cannot_be_read_is_explained(text, code, facts):
    with raises_code(code, *facts, kind=ConfigError):
        Limit.read(text)


def test_a_limit_is_read_as_it_is_written():
    rule = Limit.read("stock: count[offer_id=c10|c20, segment=young] <= 500")
    assert (rule.name, rule.measure, rule.at_most, rule.at_least) == ("stock", "count", 500.0, None)
    assert rule.where == {"offer_id": ("c10", "c20"), "segment": ("young",)}
    assert Limit.read("cost_share >= 30%").at_least == 0.3


def test_impossible_limits_are_named():
    gain, cost = np.ones((2, 1)), np.ones((2, 1))
    for rules, code, facts in (
        ([Limit(name="a", measure="count", at_most=1)] * 2, "name_duplicate", ("'a'",)),
        ([Limit(name="a", measure="count", labels=(7,), at_most=1)], "limit_value_unknown", ("'a'", "labels [7]")),
        ([Limit(name="a", measure="count", where={"x": ("y",)}, at_most=1)], "limit_scope_invalid", ("'a'", "'where'")),
    ):
        with raises_code(code, *facts):
            solve(gain, cost, 1.0, rules)


def test_where_no_slot_is_left_near_the_best_the_plan_stands():
    limits = [Limit(name="gain", measure="gain", at_most=1), Limit(name="stock", measure="count", at_most=1)]
    with np.errstate(over="ignore"):
        assert solve([[1e9], [np.nan]], [[1.0], [0.0]], 3.3, limits).choice_N.tolist() == [-1, -1]
