"""What the report is told of the plan: every figure comes in as it was made; chapters print them and add none.

Frames are read as those of `report.story` are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from promolift.contract import Column, Flag, Int, Real, Table, Text
from promolift.results.plan import Assumption, Level, Luck, Point

Evidence = Level

FRONTIER = Table(
    "report.frontier",
    "The best plan at each budget.",
    (),
    (
        Column("budget_cents", Real, "budget", "minor units"),
        Column("gain_cents", Real, "expected incremental profit", "minor units"),
        Column("low_cents", Real, "lower end of its interval", "minor units"),
        Column("high_cents", Real, "upper end", "minor units"),
        Column("cost_cents", Real, "expected cost of the offers", "minor units"),
        Column("price", Real, "gain of one more unit of budget", "units per unit"),
        Column("treated", Int, "customers who get an offer", "customers"),
    ),
)
POLICIES = Table(
    "report.policies",
    "Ways to spend the same budget.",
    (),
    (
        Column("policy", Text, "which way"),
        Column("profit_cents", Real, "expected incremental profit", "minor units"),
        Column("low_cents", Real, "lower end of the interval", "minor units"),
        Column("high_cents", Real, "upper end", "minor units"),
        Column("lead_low_cents", Real, "lower end of how much more our policy earns, draws paired", "minor units"),
        Column("lead_high_cents", Real, "upper end", "minor units"),
        Column("spend_cents", Real, "expected cost", "minor units"),
        Column("treated", Int, "customers who get an offer", "customers"),
        Column("evidence", Text, "randomised, adjusted or assumed"),
        Column("ours", Flag, "true for the plan of this report"),
    ),
)
MIX = Table(
    "report.mix",
    "The offers that are given, each with its sums.",
    (),
    (
        Column("offer_id", Text, "which offer"),
        Column("offer", Text, "the offer in plain English words"),
        Column("treated", Int, "customers who get it", "customers"),
        Column("share", Real, "of all who get an offer", "fraction"),
        Column("gain_cents", Real, "expected incremental profit of all of them", "minor units"),
        Column("cost_cents", Real, "expected cost of all of them", "minor units"),
    ),
)
TYPICAL = Table(
    "report.typical",
    "One typical customer of each frequent offer, the most frequent first.",
    (),
    (
        Column("customer_id", Text, "who"),
        Column("offer_id", Text, "which offer"),
        Column("offer", Text, "the offer in plain English words"),
        Column("message_zh", Text, "what is said in Chinese"),
        Column("message_en", Text, "what is said in English"),
        Column("gain_cents", Real, "expected incremental profit", "minor units"),
        Column("cost_cents", Real, "expected cost", "minor units"),
        Column("reason", Text, "why this offer, in plain words"),
    ),
)


@dataclass(frozen=True)
class Chosen:
    """The plan, and its place on the frontier. `gain_means` says what is counted, e.g. 'margin after the discount'.

    `gain_cents` is the headline, without luck where that is known; `promised_cents` then is what the estimates that
    chose the plan promise. `price` is the gain of one more cent of budget, `next_cents` that of one more unit of money.
    `bound_cents` is a gain that no plan at this budget can exceed by these estimates: the certificate; the plan falls
    short of it by `missing_cents`, the part `gap` of it. `half` and `twice` are the best plans at these parts of the
    budget, `assumptions` what the result stands on, the most fragile first. `explanation` says in
    plain words how the plan was chosen; `why` why it gives (nearly) nobody an offer, and what to do.
    """

    budget_cents: float | None = None
    gain_cents: float | None = None
    low_cents: float | None = None
    high_cents: float | None = None
    cost_cents: float | None = None
    price: float | None = None
    treated: int | None = None
    eligible: int | None = None
    bound_cents: float | None = None
    evidence: Evidence | None = None
    gain_means: str | None = None
    explanation: str | None = None
    promised_cents: float | None = None
    spent_share: float | None = None
    treated_share: float | None = None
    next_cents: float | None = None
    missing_cents: float | None = None
    gap: float | None = None
    customers: int | None = None
    held_out: int | None = None
    barred: int | None = None
    offers: int | None = None
    luck: Luck | None = None
    half: Point | None = None
    twice: Point | None = None
    assumptions: Sequence[Assumption] = ()
    why: Sequence[str] = ()


@dataclass(frozen=True)
class Household:
    """One customer's story: `who` in plain words, what they get and why, and what they read."""

    customer_id: str
    who: str | None = None
    facts: Sequence[tuple[str, str]] = ()
    offer: str | None = None
    why: str | None = None
    gain_cents: float | None = None
    low_cents: float | None = None
    high_cents: float | None = None
    cost_cents: float | None = None
    message_zh: str | None = None
    message_en: str | None = None
    evidence: Evidence | None = None
