"""A closed loop in; all that is said of it, as `results.loop.LoopNumbers`, out."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.results.learned import Quintile, Weights
from promolift.results.loop import (
    InForce,
    LoopNumbers,
    Promised,
    RefusedRelease,
    SoFar,
    Strength,
    Stretch,
    Wording,
)
from promolift.steps.loop import LAG, Day, Loop, Release, over_holdout
from promolift.steps.loop_words import against, tally
from promolift.tables import Z95

LEAST = 30  # decisions in a quintile, below which its mean is not told
WEIGHTS = (1.0, 1.5, 2.0, 5.0, 10.0, 20.0, 50.0)  # where classes of weights begin
WEEK = 7  # days


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
        alarms=loop.alarms,
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
        prob, true = float(last.share_V[at]), float(last.true_V[at])
        found.append(Wording(name, sent, rate, rate - reach, rate + reach, prob, true))
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
