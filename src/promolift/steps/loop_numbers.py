"""A closed loop in; what its releases promised and added, as numbers typed and frozen, out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from promolift.report.words import money, share
from promolift.steps.job import StepSummary
from promolift.steps.loop import Day, Loop, Release, over_holdout
from promolift.steps.loop_words import against
from promolift.tables import Z95

CURRENCY = "CNY"


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
class LoopNumbers:
    """The run: whole, per release in force, proposals refused, alarms, and how the wordings did."""

    whole: Stretch
    releases: tuple[InForce, ...]
    refused: tuple[RefusedRelease, ...]
    alarms: tuple[Alarm, ...]
    words: Mapping[str, float]

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
    return LoopNumbers(
        whole=stretch(loop.days),
        releases=tuple(InForce(r.version, r.day, r.kind, _promised(r), stretch(days)) for r, days in served if days),
        refused=tuple(RefusedRelease(r.day, r.proposal.why) for r in loop.refused if r.proposal),
        alarms=tuple(Alarm(*alarm) for alarm in loop.alarms),
        words=against(loop.told),
    )


def _promised(release: Release) -> Promised | None:
    proposal = release.proposal
    if proposal is None:
        return None
    low, high = proposal.value.interval
    return Promised(
        proposal.value.value, low, high, proposal.lead.value, tuple(proposal.changes), proposal.why, proposal.rollback
    )
