"""A closed loop in; all that its page tells of it, as numbers typed and frozen, out.

Money is in minor units, intervals are of 95 %. What begins with `true_` or `best_` only a simulation can know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.results.job import StepSummary
from promolift.results.learned import Coverage, Quintile, Weights
from promolift.steps.loop import LAG, Day, Loop, Release, over_holdout
from promolift.steps.loop_settings import LoopSettings
from promolift.steps.loop_words import against, tally
from promolift.tables import Z95
from promolift.words import money, share

CURRENCY = "CNY"
LEAST = 30  # decisions in a quintile, below which its mean is not told
WEIGHTS = (1.0, 1.5, 2.0, 5.0, 10.0, 20.0, 50.0)  # where classes of weights begin
WEEK = 7  # days


@dataclass(frozen=True)
class Stretch:
    """A stretch of days, per decision: what was added, what could have been, and what the holdout says of it."""

    first_day: int
    last_day: int
    decisions: int
    true_gain_per_decision: float
    best_gain_per_decision: float
    share_of_best: float | None
    holdout_gain_per_decision: float
    holdout_low: float
    holdout_high: float


@dataclass(frozen=True)
class Promised:
    """What the logs said of a release before it went live, what it changed, and when it would be taken back."""

    expected_per_decision: float
    expected_low: float
    expected_high: float
    lead: float
    changes: tuple[str, ...]
    rule: str
    rollback: str


@dataclass(frozen=True)
class InForce:
    """A release while it was in force; nothing was promised of the first one."""

    version: int
    day: int
    kind: str
    promised: Promised | None
    got: Stretch

    def to_json(self) -> dict[str, object]:
        """All in one object."""
        promised = asdict(self.promised) if self.promised else {}
        return {"version": self.version, "day": self.day, "kind": self.kind, **promised, **asdict(self.got)}


@dataclass(frozen=True)
class RefusedRelease:
    """A proposal that the guardrails refused."""

    day: int
    why: str


@dataclass(frozen=True)
class Alarm:
    """A drift that was seen: answers are `scale` times as strong as before."""

    day: int
    scale: float
    se: float
    action: str = "new release from the days since; more left to chance"


@dataclass(frozen=True)
class SoFar:
    """What all decisions up to the end of a day have added: by the holdout, with its interval, and in truth."""

    day: int
    decisions: int
    gain_cents: float
    low_cents: float
    high_cents: float
    true_gain_cents: float

    @property
    def inside(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low_cents <= self.true_gain_cents <= self.high_cents


@dataclass(frozen=True)
class Strength:
    """How strongly customers answer discounts by a release, with its interval; the history's answer is 1."""

    version: int
    day: int
    kind: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Wording:
    """Messages sent in a wording, the rate of clicks with its interval, its chance on the last day, its true rate."""

    name: str
    sent: int
    rate: float
    low: float
    high: float
    last_chance: float
    true_rate: float


@dataclass(frozen=True)
class LoopNumbers:
    """The run: whole, by week, per release in force, proposals refused, alarms, wordings, and how far to trust it.

    `total` is what the whole run added, `looks` the same at the end of every week. `released` counts the releases
    after the first. `regret_cents`: what full knowledge would have added more. `known_after_days`: until a week's sales
    are known. `quintiles` are those of the predicted gain, over the learned releases.
    """

    settings: LoopSettings
    known_after_days: int
    whole: Stretch
    total: SoFar
    held_out: int
    released: int
    regret_cents: float
    weeks: tuple[Stretch, ...]
    looks: tuple[SoFar, ...]
    releases: tuple[InForce, ...]
    refused: tuple[RefusedRelease, ...]
    alarms: tuple[Alarm, ...]
    strengths: tuple[Strength, ...]
    words: Mapping[str, float]
    wordings: tuple[Wording, ...]
    quintiles: tuple[Quintile, ...]
    weights: Weights

    @property
    def n_refused(self) -> int:
        """Proposals that the guardrails refused."""
        return len(self.refused)

    @property
    def looks_held(self) -> Coverage:
        """At how many of the looks the interval held the truth."""
        return Coverage.of(each.inside for each in self.looks)

    @property
    def promises_held(self) -> Coverage:
        """For how many of the releases promised the interval held what they added in truth."""
        return Coverage.of(
            each.promised.expected_low <= each.got.true_gain_per_decision <= each.promised.expected_high
            for each in self.releases
            if each.promised
        )

    def summary(self) -> StepSummary:
        """For a terminal and for loop.json."""
        lines = ["Simulated shop: every number is made up by a known truth."]
        for each in self.releases:
            got, gain = each.got, money(each.got.true_gain_per_decision, CURRENCY)
            lines.append(
                f"  day {got.first_day:>2} to {got.last_day:>2}  release {each.version} ({each.kind}): "
                f"{gain} per decision, {share(got.share_of_best)} of the best possible"
            )
        figures = {
            "simulated": True,
            "whole": asdict(self.whole),
            "releases": [each.to_json() for each in self.releases],
            "refused": [asdict(each) for each in self.refused],
            "alarms": [asdict(each) for each in self.alarms],
            "words": self.words,
        }
        return StepSummary("\n".join(lines), figures)


def day_table(loop: Loop) -> pl.DataFrame:
    """One row per day: what the shop saw and, in the columns named `true_`, what it could not."""
    return pl.DataFrame(
        [
            {
                "day": d.day,
                "version": d.version,
                "decisions": len(d.action_N),
                "held_out": int(d.held_N.sum()),
                "offers": int((d.action_N < d.gain_NK.shape[1]).sum()),
                "budget_cents": d.budget,
                "discount_cents": d.discount,
                "true_gain_cents": d.true_gain,
                "true_best_cents": d.best_gain,
                "true_spend_cents": d.true_spend,
            }
            for d in loop.days
        ]
    )


def stretch(days: Sequence[Day]) -> Stretch:
    """What some days came to."""
    decisions = sum(len(d.action_N) for d in days)
    gain, error = over_holdout(days)
    best = sum(d.best_gain for d in days)
    true = sum(d.true_gain for d in days)
    return Stretch(
        first_day=days[0].day,
        last_day=days[-1].day,
        decisions=decisions,
        true_gain_per_decision=true / decisions,
        best_gain_per_decision=best / decisions,
        share_of_best=true / best if best > 0 else None,
        holdout_gain_per_decision=gain,
        holdout_low=gain - Z95 * error,
        holdout_high=gain + Z95 * error,
    )


def numbers(loop: Loop) -> LoopNumbers:
    """The run in numbers."""
    served = [(release, [d for d in loop.days if d.version == release.version]) for release in loop.releases]
    ends_at = range(WEEK, len(loop.days) + 1, WEEK)
    return LoopNumbers(
        settings=loop.settings,
        known_after_days=LAG,
        whole=stretch(loop.days),
        total=so_far(loop.days),
        held_out=sum(int(d.held_N.sum()) for d in loop.days),
        released=len(loop.releases) - 1,
        regret_cents=sum(d.best_gain - d.true_gain for d in loop.days),
        weeks=tuple(stretch(loop.days[end - WEEK : end]) for end in ends_at),
        looks=tuple(so_far(loop.days[:end]) for end in ends_at),
        releases=tuple(InForce(r.version, r.day, r.kind, _promised(r), stretch(days)) for r, days in served if days),
        refused=tuple(RefusedRelease(r.day, r.proposal.why) for r in loop.refused if r.proposal),
        alarms=tuple(Alarm(*alarm) for alarm in loop.alarms),
        strengths=tuple(_strength(release) for release in loop.releases if release.proposal),
        words=against(loop.told),
        wordings=_wordings(loop),
        quintiles=quintiles([d for d in loop.days if d.version > 0]),
        weights=Weights.of(np.concatenate([1 / d.logged_N for d in loop.days]), WEIGHTS),
    )


def so_far(days: Sequence[Day]) -> SoFar:
    """What the days from the first on added together."""
    size, (gain, error) = sum(len(d.action_N) for d in days), over_holdout(days)
    low, high = size * (gain - Z95 * error), size * (gain + Z95 * error)
    return SoFar(days[-1].day, size, size * gain, low, high, sum(d.true_gain for d in days))


def _strength(release: Release) -> Strength:
    scale, reach = release.believed.scale, Z95 * release.believed.scale_se
    return Strength(release.version, release.day, release.kind, scale, scale - reach, scale + reach)


def _wordings(loop: Loop) -> tuple[Wording, ...]:
    """How often each wording was clicked; intervals of a proportion, normal."""
    found, last = [], loop.told[-1]
    for at, (name, (sent, clicked)) in enumerate(tally(loop.told, loop.wordings).items()):
        rate = clicked / max(sent, 1)
        reach = Z95 * sqrt(rate * (1 - rate) / max(sent, 1))
        chance, true = float(last.share_V[at]), float(last.true_V[at])
        found.append(Wording(name, sent, rate, rate - reach, rate + reach, chance, true))
    return tuple(found)


def quintiles(days: Sequence[Day]) -> tuple[Quintile, ...]:
    """Predicted gain of what was given against the gain over the holdout, by quintiles of the prediction."""
    if not days:
        return ()
    predicted = np.concatenate([_given(d) for d in days])
    realised = np.concatenate([d.reward_N[~d.held_N] - d.base_N for d in days])
    held = np.concatenate([d.reward_N[d.held_N] - d.held_base_N for d in days])
    got = predicted > 0
    if not got.any():
        return ()
    place = np.searchsorted(np.quantile(predicted[got], [0.2, 0.4, 0.6, 0.8]), predicted, side="right")
    found = []
    for k in range(5):
        mine = got & (place == k)
        n = int(mine.sum())
        if n < LEAST:
            continue
        gain = float(realised[mine].mean() - held.mean())
        reach = Z95 * sqrt(realised[mine].var(ddof=1) / n + held.var(ddof=1) / held.size)
        found.append(Quintile(float(predicted[mine].mean()), gain, gain - reach, gain + reach, n))
    return tuple(found)


def _given(day: Day) -> NDArray[np.float64]:
    """The believed gain of what each customer got, 0 for no offer."""
    padded = np.hstack([day.gain_NK, np.zeros((len(day.gain_NK), 1))])
    gains: NDArray[np.float64] = padded[np.arange(len(padded)), day.action_N]
    return gains


def _promised(release: Release) -> Promised | None:
    proposal = release.proposal
    if proposal is None:
        return None
    low, high = proposal.value.interval
    return Promised(
        proposal.value.value, low, high, proposal.lead.value, tuple(proposal.changes), proposal.why, proposal.rollback
    )
