"""No number is made on the page of the closed loop: what it prints and draws is held by the numbers of the run."""

from functools import partial
from typing import Any

import pytest
from page_figures import Figures, add, strays, undrawn, unseen

from promolift.learn.release import Guardrails
from promolift.pages.loop import page_of
from promolift.results.loop import CURRENCY, LoopNumbers, LoopSettings
from promolift.steps.loop import run_loop
from promolift.steps.loop_numbers import numbers
from promolift.words import count, money, share

pytestmark = pytest.mark.xdist_group("loop_page")  # one worker makes the fixture, which takes long

cash = partial(money, currency=CURRENCY)
SHARES = (
    "share_of_best", "WeightClass.share", "chosen", "even", "best", "floor", "Wording.rate", "Wording.low",
    "Wording.high", "last_chance", "true_rate",
)  # fmt: skip
MONEY = (
    "SoFar.gain_cents", "SoFar.low_cents", "SoFar.high_cents", "SoFar.true_gain_cents", "regret_cents",
    "true_gain_per_decision", "best_gain_per_decision", "holdout_gain_per_decision", "holdout_low", "holdout_high",
    "expected_per_decision", "expected_low", "expected_high", "Quintile.predicted", "Quintile.realised",
    "Quintile.low", "Quintile.high",
)  # fmt: skip
FORMS = dict.fromkeys(MONEY, (cash,)) | dict.fromkeys(SHARES, (share,)) | {"effective": (count,), "seed": (str,)}
CHANCE, ONE, START = "1 / logged propensity", "history = 1", "added since day 0"  # words of the page


def gathered(found: LoopNumbers) -> dict[str, Figures]:
    """The typed results behind the first screen and each chapter."""
    settings = found.settings
    days = {"days": settings.days}
    results: dict[str, list[Any]] = {
        "first screen": [
            found.total, found.held_out, found.released, found.n_refused, [each.got for each in found.releases[:2]],
            days, settings.customers, {"seed": settings.seed},
        ],
        "earned": [{"regret_cents": found.regret_cents}, days, found.weeks, found.looks, found.looks_held, START],
        "releases": [found.releases, found.promises_held, found.refused],
        "drift": [
            found.strengths, found.alarms, settings.drift, settings.drift_day, settings.alarm, found.known_after_days,
            ONE,
        ],
        "words": [found.wordings, found.words],
        "trust": [found.quintiles, found.weights, CHANCE],
        "todo": [found.releases[-1], {"floor": settings.floor}],
    }  # fmt: skip
    return {name: Figures(CURRENCY, FORMS, some) for name, some in results.items()}


RUNS = {
    "drift": LoopSettings(days=50, customers=600, drift_day=30, drift=0.5, guardrails=Guardrails(max_loss=1e9)),
    "calm, refused": LoopSettings(days=38, customers=600, drift_day=None, guardrails=Guardrails(max_loss=0.0)),
}


@pytest.fixture(scope="module")
def found() -> LoopNumbers:
    return numbers(run_loop(RUNS["drift"]))


def test_every_number_of_the_page_is_held_by_a_typed_result(found: LoopNumbers) -> None:
    calm = numbers(run_loop(RUNS["calm, refused"]))
    assert calm.refused
    assert found.alarms
    for each in (found, calm):
        assert strays(page_of(each), gathered(each)) == {}


PLANTED = [
    ("money", ("first screen", "earned", "releases", "trust", "todo")),
    ("count", ("first screen", "earned", "releases", "drift", "words", "trust")),
    ("share", ("first screen", "earned", "releases", "words", "trust", "todo")),
    ("number", ("drift", "trust")),
]


@pytest.mark.parametrize(("form", "where"), PLANTED, ids=lambda x: x if isinstance(x, str) else "")
def test_a_chapter_that_adds_to_a_number_is_found(
    found: LoopNumbers, monkeypatch: pytest.MonkeyPatch, form: str, where: tuple[str, ...]
) -> None:
    held = gathered(found)
    add(monkeypatch, form)
    assert set(where) <= set(strays(page_of(found), held))
    monkeypatch.undo()
    missed, printed = unseen(form, lambda: page_of(found), held)
    assert missed <= 0.05 * printed, f"{missed} of {printed}"


def test_a_chart_that_draws_a_wrong_number_is_found(found: LoopNumbers) -> None:
    missed, places = undrawn(page_of(found), gathered(found))
    assert places > 20
    assert missed <= 0.05 * places, f"{missed} of {places}"
