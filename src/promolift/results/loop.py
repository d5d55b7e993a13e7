"""A closed loop's settings, and all that its page and its terminal say of it, as numbers typed and frozen.

Money is in minor units, intervals are of 95 %. What begins with `true_` or `best_` only a simulation can know.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import Field

from promolift.learn.release import Guardrails
from promolift.results.job import StepSummary
from promolift.results.learned import Coverage, Quintile, Weights
from promolift.settings import Settings
from promolift.words import money, share

CURRENCY = "CNY"


class LoopSettings(Settings):
    """Each customer has a weekday: a seventh decides every day, and their offers hold for a week.

    `budget_cents` per decision. For `explore_days` a share `explore_floor` of the offers is drawn evenly from all, none
    included, the rest as the history suggests; afterwards a share `floor` still is, and offers whose scores differ by
    less than `temperature` cents are nearly equally likely. From `drift_day` on
    everybody answers discounts `drift` times as strongly; `alarm` is the number of standard errors that is called a
    drift. None of both: nothing changes.
    """

    days: int = Field(default=60, ge=21, le=720)
    customers: int = Field(default=2000, ge=200, le=100_000)
    history_weeks: int = Field(default=52, ge=12, le=260)
    seed: int = 1
    depths: tuple[float, ...] = (0.1, 0.2, 0.3)
    budget_cents: float = Field(default=300.0, gt=0)
    explore_days: int = Field(default=14, ge=8)
    release_days: int = Field(default=7, ge=1)
    explore_floor: float = Field(default=0.5, gt=0, le=1)
    floor: float = Field(default=0.02, ge=0, lt=1)
    temperature: float = Field(default=5.0, ge=0)
    holdout_share: float = Field(default=0.1, ge=0.02, lt=0.5)
    drift_day: int | None = 36
    drift: float = Field(default=0.75, gt=0)
    alarm: float = Field(default=3.5, gt=1)
    guardrails: Guardrails = Guardrails(max_loss=100.0)


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
    action: str = "new release from the days since; more decided at random"


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
    """Messages sent in a wording, the rate of clicks with its interval, its share on the last day, its true rate."""

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
