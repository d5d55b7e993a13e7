"""No number is made on a trial's page: what it prints and draws is held by what was fitted, judged and planned."""

from functools import partial, reduce
from operator import or_
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from page_figures import Figures, add, strays, undrawn, unseen

from promolift.foundation.i18n.formatting import percent
from promolift.foundation.storage.local_store import Store
from promolift.trials import work_folder
from promolift.trials.analysis.results import TrialResults
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.analysis.trial_story import TrialStory
from promolift.trials.page import build_trial_page

DEPTHS = TrialSettings(
    name="Depths", treatment="depth", control="0", rates=("came",), money="spent", placebos=("before",),
    planned="equal", dose=True, cost=0.25, margin_rate=0.5, days=14,
)  # fmt: skip
DIFFERENCES = ("effect", "net", "net_low", "net_high", "gain", "other", "predicted", "realised", "lead", "lead_low",
               "lead_high")  # fmt: skip
CHOSEN = TrialSettings(
    name="Letters", treatment="letter", control="none", rates=("came",), counts=("visits",),
    features=("old", "score", "before"),
)  # fmt: skip
WORDS = ("0 is no better than at random", "1: nothing is needed", "10 % and 30 % tell about 20 %")  # of the page


def quiet(*_: object) -> None:
    """No progress."""


def customers(rows: int = 800) -> pl.DataFrame:
    """Randomised depths move the old; letters are sent more often to the old."""
    rng = np.random.default_rng(5)
    old, depth = rng.random(rows) < 0.5, rng.choice([0.0, 0.2], rows)
    letter = rng.random(rows) < np.where(old, 0.65, 0.35)
    came = rng.random(rows) < 0.2 + 2.5 * depth * old + 0.2 * letter
    return pl.DataFrame(
        {
            "depth": depth, "letter": np.where(letter, "b", "none"), "old": old.astype(int),
            "score": rng.normal(size=rows).round(3), "before": rng.poisson(3, rows), "came": came.astype(int),
            "visits": came * rng.poisson(2, rows), "spent": np.round(came * rng.gamma(4, 5, rows), 2),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> TrialResults:
    """A trial of depths from file to plan: its page has all chapters."""
    folder = tmp_path_factory.mktemp("depths")
    customers().drop("letter", "visits").write_csv(folder / "t.csv")
    with Store(folder / "w") as kept:
        work_folder.fit(kept, folder / "t.csv", DEPTHS, quiet)
        work_folder.evaluate(kept, quiet)
        work_folder.report(kept, folder / "out", quiet)
        return TrialResults.load(kept)


def gathered(found: TrialResults) -> dict[str, Figures]:
    """The typed results behind the first screen and each chapter, amounts in the unit of their outcome."""
    fit, tables, story = found.fitted.note, found.fitted, TrialStory(found)
    s, judged, planned, dose = fit.settings, found.evaluation, found.plan, tables.dose
    whole = Figures(s.currency, {"shares": (partial(percent, places=2),)}, [fit])

    def of(outcome: str, *some: pl.DataFrame) -> Figures:
        level, more, total = (partial(how, outcome) for how in (story.amount, story.added, story.total))
        said = dict.fromkeys(DIFFERENCES, (more,)) | dict.fromkeys(("control_mean", "value"), (level,))
        said |= dict.fromkeys(("added", "added_low", "added_high"), (total,))
        said |= dict.fromkeys(("treated", "share", "depth"), (percent,))
        held = Figures(s.currency, {}, [story.basis(outcome), story.basis_sentence(outcome)])
        for frame in some:
            mine = frame.filter(pl.col("outcome") == outcome) if "outcome" in frame.columns else frame
            ends = dict.fromkeys(("low", "high"), (level if "value" in frame.columns else more,))  # of a value, or gain
            held |= Figures(s.currency, said | ends, [mine], story.cents(1.0) if outcome == s.money else 1.0)
        return held

    def every(*some: pl.DataFrame) -> Figures:
        return reduce(or_, (of(outcome, *some) for outcome in s.outcomes))

    stated = {"one": 1, "cost": s.cost, "margin_rate": s.margin_rate}
    cash = dict.fromkeys(("budget", "gain", "low", "high", "cost", "price", "one"), (story.cash,))
    plan = Figures(
        s.currency, cash | {"margin_rate": (percent,)},
        [planned.note.model_dump() if planned else {}, stated], story.cents(1.0),
    )  # fmt: skip
    frontier = Figures(s.currency, cash, [planned.frontier] if planned else [], story.cents(1.0))
    names = [fit.arms, f"{s.days} days", s.name]
    plain = Figures(s.currency, {}, names)
    level = every(tables.effects.select("outcome", "effect", "control_mean", "net", "net_low", "net_high"))
    return {
        "first screen": plain | plan | level | Figures(s.currency, {}, [fit.customers, len(fit.arms)]),
        "arms": plain | whole | Figures(s.currency, {}, [tables.balance, tables.placebos, *WORDS]),
        "effects": plain | every(tables.effects, tables.pairs) | Figures(s.currency, {}, [fit.overlap_customers]),
        "depth": plain | of(s.deciding_outcome, *([] if dose is None else [dose])) | Figures(s.currency, {}, [*WORDS]),
        "whom": plain | every(*((judged.curves, judged.deciles) if judged else ()))
        | Figures(s.currency, {}, [*((judged.qini, judged.calibration, judged.note) if judged else ()), *WORDS]),
        "policies": plain | every(*((judged.policies,) if judged else ())),
        "plan": plain | plan | frontier | of(s.deciding_outcome),
        "unknown": plain,
    }  # fmt: skip


def test_every_number_of_the_page_is_held_by_a_typed_result(found: TrialResults) -> None:
    assert strays(build_trial_page(found), gathered(found)) == {}


@pytest.mark.parametrize("money", [None, "spent"])
def test_a_trial_that_was_not_randomised_prints_what_is_held_too(money: str | None, tmp_path: Path) -> None:
    customers().drop("depth", *([] if money else ["spent"])).write_csv(tmp_path / "t.csv")
    with Store(tmp_path / "w") as store:
        work_folder.fit(store, tmp_path / "t.csv", CHOSEN.model_copy(update={"money": money}), quiet)
        fitted = TrialResults.load(store)
    assert strays(build_trial_page(fitted), gathered(fitted)) == {}


PLANTED = [
    ("money", ("first screen", "effects", "depth", "policies", "plan")),
    ("percent", ("first screen", "arms", "effects", "depth", "whom", "policies", "plan")),
    ("count", ("first screen", "arms", "effects", "depth", "whom", "policies", "plan")),
    ("number", ("arms", "effects", "whom", "policies")),
]


@pytest.mark.parametrize(("form", "where"), PLANTED, ids=[form for form, _ in PLANTED])
def test_a_chapter_that_adds_to_a_number_is_found(
    found: TrialResults, monkeypatch: pytest.MonkeyPatch, form: str, where: tuple[str, ...]
) -> None:
    held = gathered(found)
    add(monkeypatch, form)
    assert set(where) <= set(strays(build_trial_page(found), held))
    monkeypatch.undo()
    missed, printed = unseen(form, lambda: build_trial_page(found), held)
    close = 0.4 if form == "count" else 0.15  # gains along the depth lie close; a ranking holds most counts
    assert missed <= max(2, close * printed), f"{missed} of {printed}"


def test_points_that_are_added_to_are_found(found: TrialResults, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, held = TrialStory.added, gathered(found)
    monkeypatch.setattr(TrialStory, "added", lambda self, outcome, x: plain(self, outcome, x + 0.0137))
    assert {"first screen", "effects", "whom", "policies"} <= set(strays(build_trial_page(found), held))


def test_a_chart_that_draws_a_wrong_number_is_found(found: TrialResults) -> None:
    missed, numbers = undrawn(build_trial_page(found), gathered(found))
    assert numbers > 20
    assert missed <= 0.05 * numbers, f"{missed} of {numbers}"
