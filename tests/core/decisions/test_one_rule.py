"""Laws of the one rule: no decision depends on other customers, each has its listed probability and can be repeated."""

from typing import Any

import numpy as np
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.decisions import OpenOffers, Option, ReleaseTerms, choose_offers, record_decision, replay_decision
from promolift.core.decisions.decision_rule import EXPLORATION_REASON, NONE, RecordedDraws, offer_probabilities
from promolift.foundation.hashing import hash_unit, hash_units

KINDS: dict[str, dict[str, Any]] = {
    "best": {}, "explored": {"explore": 0.4}, "all drawn": {"explore": 1.0, "explore_where": "nothing pays"},
    "intervals": {"draws": "audience", "draw_ms": 3}, "intervals, explored by the campaign": {
        "draws": "audience", "draw_ms": 3, "explore": 0.4,
    },
    "before intervals": {"draws": "audience"}, "shares": {"draws": "shares", "explore": 0.2},
    "shares of an audience": {"draws": "shares", "audience": "a", "placement": "p"},
}  # fmt: skip


def drawn_market(seed: int, kind: str) -> tuple[OpenOffers, ReleaseTerms]:
    """Twelve customers with up to eleven open offers, two of them refused, and a release."""
    count = 12
    terms = ReleaseTerms(
        campaign_id="c", policy_id="p", policy_version="1", price=hash_unit(seed, "price"), seed=seed,
        holdout_share=(0.0, 0.3)[seed % 2], **KINDS[kind],
    )  # fmt: skip
    refusals = ["the customer said no" if n in (3, 8) else None for n in range(count)]
    sizes = [0 if refusal else int(12 * hash_unit(seed, "size", n)) for n, refusal in enumerate(refusals)]
    names = [(n, k) for n, size in enumerate(sizes) for k in range(size)]
    worth, cost, length = (hash_units((seed, name), names) for name in ("worth", "cost", "length"))
    length /= 12
    start = [length[sum(sizes[:n]) : sum(sizes[:n]) + k].sum() for n, k in names]
    worth = worth if terms.draws == "shares" else np.round(100 * worth - 30)  # rounded, so that some are tied
    draws = np.array([start, length]).reshape(2, -1)
    return OpenOffers([f"c{n}" for n in range(count)], refusals, sizes, worth, np.round(40 * cost), draws), terms


def part(opened: OpenOffers, first: int, end: int) -> OpenOffers:
    """Some of the customers, with their offers."""
    rows = slice(opened.firsts[first], opened.firsts[end])
    assert opened.draw_2O is not None
    return OpenOffers(
        opened.customer_ids[first:end], opened.refusals[first:end], opened.sizes[first:end], opened.worth_O[rows],
        opened.cost_O[rows], opened.draw_2O[:, rows],
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 2**32), st.integers(0, 12))
@cases(25)
def test_a_decision_does_not_depend_on_how_requests_are_batched(kind: str, seed: int, cut: int) -> None:
    opened, terms = drawn_market(seed, kind)
    whole = choose_offers(opened, terms, 7)
    bests = [choice.best for choice in whole]
    prob_O, none_N = offer_probabilities(opened, terms, bests)
    alone = [part(opened, n, n + 1) for n in range(12)]
    assert [choice for one in alone for choice in choose_offers(one, terms, 7)] == whole
    assert choose_offers(part(opened, 0, cut), terms, 7) + choose_offers(part(opened, cut, 12), terms, 7) == whole
    for n, (one, choice) in enumerate(zip(alone, whole, strict=True)):
        mine, none = offer_probabilities(one, terms, [choice.best])
        assert [*mine, *none] == [*prob_O[opened.firsts[n] : opened.firsts[n + 1]], none_N[n]]
        assert choice.propensity == [*mine, *none][choice.slot]  # -1 is the last, none
        assert sum([*mine, *none]) == pytest.approx(1.0)
        assert (choice.holdout is None) == (opened.refusals[n] is not None) == choice.reason.startswith("consent: ")


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 2**32))
@cases(25)
def test_the_replay_of_a_record_is_the_record(kind: str, seed: int) -> None:
    opened, terms = drawn_market(seed, kind)
    for n, choice in enumerate(choose_offers(opened, terms, 7)):
        one = part(opened, n, n + 1)
        assert one.draw_2O is not None
        options = [
            Option(f"o{k:02d}", worth, cost, None, 0.0, start, length)
            for k, (worth, cost, start, length) in enumerate(
                zip(*(column.tolist() for column in (one.worth_O, one.cost_O, *one.draw_2O)), strict=True)
            )
        ]
        options.append(Option("zz", 0.0, 0.0, "resting"))
        record = record_decision(f"c{n}", options[::-1], opened.refusals[n], terms, 7)
        offer = options[choice.slot].offer_id if choice.slot >= 0 else NONE
        known = (record.decision_id, record.offer_id, record.propensity, record.holdout, record.reason)
        assert known == (choice.decision_id, offer, *choice[-3:])
        assert replay_decision(record._asdict(), terms) == record._asdict()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("shares")])
@given(st.integers(0, 2**32))
@cases(25)
def test_an_archive_of_pseudonyms_gives_the_same_from_recorded_draws(kind: str, seed: int) -> None:
    opened, terms = drawn_market(seed, kind)
    whole = choose_offers(opened, terms, 7)
    hidden = OpenOffers(
        [f"cus_{n}" for n in range(12)], opened.refusals, opened.sizes, opened.worth_O, opened.cost_O, opened.draw_2O
    )
    actions = [
        (size if choice.slot < 0 else choice.slot) if terms.by_interval or choice.reason == EXPLORATION_REASON else None
        for choice, size in zip(whole, opened.sizes, strict=True)
    ]
    again = choose_offers(hidden, terms, 7, RecordedDraws([bool(choice.holdout) for choice in whole], actions))
    assert [choice[1:] for choice in again] == [choice[1:] for choice in whole]
