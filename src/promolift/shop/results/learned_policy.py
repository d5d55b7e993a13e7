"""What the outcomes of decisions showed, as frozen figures for the page of learning.

Money is in minor units of the currency; intervals are 95 % intervals.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self

from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.experiments.drift import Drift
from promolift.core.experiments.experiment_design import ALL_CUSTOMERS, Analysis, Verdict
from promolift.core.experiments.off_policy.overlap import PolicySupport
from promolift.core.messages.text_choice import WantedDraft
from promolift.core.messages.text_value import TextValue
from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage


@dataclass(frozen=True)
class Coverage:
    """How many of so many intervals hold what they were put beside."""

    inside: int
    intervals: int

    @classmethod
    def of(cls, held: Iterable[bool]) -> Self:
        each = list(held)
        return cls(sum(each), len(each))


@dataclass(frozen=True)
class CumulativeGain:
    """The gain `days` after the decision of all customers of the policy together, with its interval."""

    days: float
    total: float
    low: float
    high: float


@dataclass(frozen=True)
class Quintile:
    """One quintile of the predicted gain: predicted and, against the holdout, realised gain of its `n`, for each."""

    predicted: float
    realised: float
    low: float
    high: float
    n: int

    @property
    def inside(self) -> bool:
        """Whether the interval of what was realised holds the prediction."""
        return self.low <= self.predicted <= self.high


@dataclass(frozen=True)
class PeriodEarnings:
    """What windows that began in a period added over the holdout, and in all until its end; None where not known.

    `n` customers who could get an offer and `held` who were held out began a window in it.
    """

    first_ms: int
    n: int
    held: int
    alone: IntervalEstimate | None
    so_far: IntervalEstimate | None


@dataclass(frozen=True)
class EarningsDrivers:
    """The gain as a product: customers, customers given an offer, customers who used a coupon, `total`."""

    customers: int
    reached: int
    used: int
    total: float | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON values; earlier versions wrote `reached` as `given`."""
        return cls(**{"reached" if name == "given" else name: value for name, value in values.items()})

    @property
    def per_use(self) -> float | None:
        """What each of those who used a coupon stands for; None where nobody did."""
        return None if self.total is None or not self.used else self.total / self.used


@dataclass(frozen=True)
class PolicyValue:
    """What another policy would have added per customer over no offers; or `why` the log cannot say. `effective`: so
    many even decisions speak for it.
    """

    name: str
    value: IntervalEstimate | None
    effective: float
    why: str


class UnansweredQuestion(NamedTuple):
    """A question that the data could not answer, and the reason."""

    what: str
    why: str


@dataclass(frozen=True, eq=False)
class JudgedPolicy:
    """What the outcomes say of the policy that a `release` put in force; no customer's row is in it.

    `measure` is margin or revenue, `why` how it was counted; events were read up to `asof_ms`. Events and decisions are
    counted by what became of them, `changed_arm` counts decisions that would have moved a customer. `predicted` is the
    gain per customer that was expected, `shown` the smallest that this test shows in 4 of 5 cases.
    """

    release: ReleaseTerms
    measure: str
    why: str
    asof_ms: int
    window_days: float
    outcome_counts: Mapping[str, int]
    decision_counts: Mapping[str, int]
    changed_arm: int
    main: Analysis
    orders: Analysis
    discount: IntervalEstimate | None
    looks: tuple[CumulativeGain, ...]
    weights: PolicySupport
    quintiles: tuple[Quintile, ...]
    predicted: float
    drifts: tuple[Drift, ...]
    unseen_drifts: tuple[UnansweredQuestion, ...]
    shown: float | None

    @property
    def last_ms(self) -> int:
        """The last moment that the events cover."""
        return self.asof_ms - 1

    @property
    def arm(self) -> str:
        """The arm that is judged: those who could get an offer."""
        return self.release.policy_id

    @property
    def verdict(self) -> Verdict:
        """The one comparison that counts: the policy in force against the holdout, all customers."""
        return next(v for v in self.main.verdicts if v.arm == self.arm and v.segment == ALL_CUSTOMERS)

    @property
    def compared(self) -> int:
        return self.verdict.n_arm + self.verdict.n_control

    @property
    def calibration(self) -> Coverage:
        """In how many quintiles the prediction lies within what was realised."""
        return Coverage.of(each.inside for each in self.quintiles)


class TextEarnings(NamedTuple):
    """What a message with a text added over none, and the text's words."""

    value: TextValue
    words: str

    def to_json(self) -> dict[str, Any]:
        """As learn.json has it."""
        return asdict(self.value) | {"answer": self.value.answer, "words": self.words}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON values."""
        return cls(TextValue.of({k: v for k, v in values.items() if k != "words"}), str(values["words"]))


KINDS = {
    "release": gettext_noop("A proposal to release"), "test": gettext_noop("A test, no release,"),
    "stop": gettext_noop("A proposal to stop"),
}  # fmt: skip
NO_DRAWS = gettext_noop(
    "nothing is learned from these decisions for the next plan: the work folder has no "
    "draws of theirs whose window is over (they were made elsewhere, or by an earlier "
    "version that kept none); plan with `promolift run` in the shop's own work folder, "
    "which keeps what every plan draws, and run `promolift learn` there when its window "
    "is over"
)


@dataclass(frozen=True)
class NextRelease:
    """The release that follows. `expected` is what giving and testing by it adds per customer over the horizon by its
    own figures: only what is expected to gain is a `release`; a `test` may be expected to lose, and says what for;
    `stop` gives nobody anything. `accepted` unless something speaks against the draws, for the reason in `why`."""

    release: ReleaseTerms
    kind: Literal["release", "test", "stop"]
    expected: IntervalEstimate
    changes: tuple[LazyMessage, ...]
    accepted: bool
    why: LazyMessage


@dataclass(frozen=True, eq=False)
class LearnedPolicy:
    """A policy that was judged and the release that follows, None without draws; `released`: `auto` was asked for and
    nothing spoke against it; `texts` are what messages with each text added, `wanted` the drafts that are asked for in
    place of texts that are no longer sent."""

    judged: JudgedPolicy
    next: NextRelease | None
    currency: str | None
    shop: str | None
    auto: bool
    released: bool
    texts: tuple[TextEarnings, ...] = ()
    wanted: tuple[WantedDraft, ...] = ()
