"""Settings and results of a lending project (`[finance]`), in which an offer is a rate, a fee and a limit.

Legend: N customers, K terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from promolift.core.allocation.settings import Limit
from promolift.core.customers.segments import Segment
from promolift.core.messages.channels import CreditRulePack
from promolift.foundation.evidence import SampleEstimate
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.foundation.money import Currency
from promolift.foundation.settings import Settings
from promolift.trials.analysis.settings import Names, value_text

Refusal = Literal[
    "vulnerable", "affordability", "unlike", "rate_untried", "loss_expected", "unlikely", "fairness", "budget"
]
RateEvidence = Literal["randomised", "adjusted", "assumed"]
REFUSALS: Mapping[Refusal, str] = {
    "vulnerable": gettext_noop("no personal offer is made to customers who need protection"),
    "affordability": gettext_noop("the payment would take too large a part of the income"),
    "unlike": gettext_noop("too little is known of customers like this one to judge the risk"),
    "rate_untried": gettext_noop("nobody in the records was offered such a rate, so how it is answered is not known"),
    "loss_expected": gettext_noop("the expected loss is larger than what the loan would earn"),
    "unlikely": gettext_noop("the offer is taken up too rarely to pay for itself"),
    "fairness": gettext_noop("the limit on differences between groups gave the offer to others"),
    "budget": gettext_noop("the budget was spent on offers that earn more for the same money"),
}


class CreditTerms(Settings):
    """One line of what may be offered: interest, fee and limit, or for a deposit what it earns the bank."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name of the terms.", examples=["standard"])
    rate: float | None = Field(
        default=None, ge=0, lt=1, description="Interest a year. Left out: each customer's own of the file, if any.",
        examples=[0.09],
    )  # fmt: skip
    fee_cents: int = Field(default=0, ge=0, description="Paid once by who takes the offer.", examples=[5000])
    most_cents: int | None = Field(
        default=None, ge=1, description="The limit: no larger amount is offered. Left out: what was asked for.",
        examples=[1_000_000],
    )  # fmt: skip
    margin_cents: int = Field(
        default=0, ge=0, description="What one that is taken earns beside interest and fee: a deposit's whole margin.",
        examples=[4000],
    )  # fmt: skip


class Exclusion(Segment):
    """Customers who get no offer, whatever it earns: a hard exclusion by a condition on the file's columns."""

    why: Literal["vulnerable", "affordability"] = Field(
        default="vulnerable", description="The reason that is given: need of protection, or what they can afford."
    )


class LendingSettings(Settings):
    """What the columns of a file of a bank's customers mean (a row per customer or application), and what an offer
    earns and may lose. `promolift init --trade finance` writes it.
    """

    ALIASES: ClassVar[dict[str, str]] = {"asked": "applicants"}
    path: str = Field(description="The file, any layout.", examples=["applications.csv"])
    applicants: str | None = Field(
        default=None, description="File of those to decide on, with the same columns. Left out: the latest customers "
        "of `path`, whom the models then do not see, so that the plan is valued by what they did.",
        examples=["new.csv"],
    )  # fmt: skip
    customer: str | None = Field(default=None, description="Column that names customers.", examples=["client_id"])
    taken: str | None = Field(
        default=None, description="Column that says who took the offer. Left out: all did.", examples=["y"]
    )
    taken_yes: Annotated[str, BeforeValidator(value_text)] = Field(
        default="yes", description="Its value for those who did.", examples=["yes"]
    )
    defaulted: str | None = Field(
        default=None, description="Column that says who did not pay back; empty where nothing was lent.",
        examples=["credit_risk"],
    )  # fmt: skip
    defaulted_yes: Annotated[str, BeforeValidator(value_text)] = Field(
        default="yes", description="Its value for those who did not.", examples=["bad"]
    )
    amount: str | None = Field(default=None, description="Column of the amount lent, in units of the currency.",
                               examples=["credit_amount"])  # fmt: skip
    months: str | None = Field(default=None, description="Column of the months it is lent for.", examples=["term"])
    rate: str | None = Field(
        default=None, description="Column of the interest a year that was offered (0.09 or 9 for 9 %).",
        examples=["int_rate"],
    )  # fmt: skip
    income: str | None = Field(default=None, description="Column of the income a month.", examples=["net_income"])
    period: str | None = Field(
        default=None, description="Column of days or months, the file in their order: models learn from earlier "
        "ones. Left out: all rows are of one time.", examples=["month"],
    )  # fmt: skip
    ignore: Names = Field(default=(), description="Columns that are no features.", examples=[["branch_note"]])
    known_before: Names = Field(
        default=(), description="Columns that were known before the offer though they look as if they were not.",
        examples=[["bureau_score"]],
    )  # fmt: skip
    protected: Names = Field(
        default=(), description="Columns that no model may use; groups are compared and limited by them.",
        examples=[["age", "sex"]],
    )  # fmt: skip
    proxy_bound: float = Field(
        default=0.75, gt=0.5, le=1, description="A feature that alone tells a protected group from the others better "
        "than this (AUC) is left out as its proxy.",
    )  # fmt: skip
    band: float | None = Field(
        default=None, gt=0, lt=1, description="How far the shares of those who would pay back, or take up, that get "
        "an offer may lie apart between groups (equal opportunity). Left out: compared, not limited. A limit looks at "
        "the group; where the law forbids that, leave it out.", examples=[0.05],
    )  # fmt: skip
    least_customers: int = Field(default=30, ge=1, description="Smaller groups are neither compared nor limited.")
    exclude: tuple[Exclusion, ...] = ()
    confirmed: Names = Field(
        default=(), description="Rules that somebody has checked and that may refuse more than half of the customers: "
        "names of `exclude`, or `affordability`. Any other such rule stops the run.", examples=[["under-18"]],
    )  # fmt: skip
    payment_share: float = Field(
        default=0.35, gt=0, le=1, description="The most of the `income` that the monthly payment may take."
    )
    terms: tuple[CreditTerms, ...] = Field(min_length=1)
    currency: Currency = Field(default="USD", description="That of all amounts.", examples=["EUR"])
    funding_rate: float = Field(default=0.03, ge=0, lt=1, description="What money costs the bank a year.")
    repaid: Literal["instalments", "end"] = Field(
        default="instalments", description="How: with instalments about half is lent on average."
    )
    usual_months: int = Field(default=24, ge=1, description="Months of a loan where no column says it.")
    loss_share: float = Field(
        default=0.6, ge=0, le=1, description="The part of the amount that is lost when somebody defaults: assumed."
    )
    contact_cents: int = Field(default=0, ge=0, description="What making one offer costs.", examples=[500])
    capital_share: float = Field(
        default=0.08, ge=0, le=1, description="Own capital that an amount lent binds; the budget counts it."
    )
    budget_cents: int | None = Field(
        default=None, ge=0, description="Contacts and capital that all offers together may be expected to take. Left "
        "out: half of what offers to all whom they pay for would take.", examples=[100_000_00],
    )  # fmt: skip
    most_risk: float = Field(
        default=1.0, gt=0, le=1, description="Nobody likelier to default gets an offer.", examples=[0.4]
    )
    rate_randomised: bool = Field(
        default=False, description="Whether the rates of the file were drawn at random; else their effect is adjusted."
    )
    packs: tuple[CreditRulePack, ...] = Field(
        default=(), description="Rule packs whose notices go with offers and refusals.", examples=[["credit_eu"]]
    )
    language: Language = Field(default="en", description="Of the report and the notices: zh or en.")
    seed: int = Field(default=0, description="Settles ties and who is held out.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.taken is None and self.defaulted is None:
            raise ValueError(gettext_lazy("name a column of what happened: taken, defaulted, or both"))
        if self.amount is not None and self.defaulted is None:
            raise ValueError(
                gettext_lazy(
                    "an amount that is lent can be lost, and no column says who defaulted, so the risk is "
                    "not known: name `defaulted`; for a deposit leave `amount` out and give its "
                    "margin_cents"
                )
            )
        ids = [each.id for each in self.terms]
        if twice := [each for each in ids if ids.count(each) > 1]:
            raise ValueError(gettext_lazy("two terms have the id {twice}; they must differ", twice=repr(twice[0])))
        if any(each.rate is not None for each in self.terms) and self.amount is None:
            raise ValueError(gettext_lazy("a rate earns on an amount: name the column `amount`, or give margin_cents"))
        return self


class FinanceFile(Settings):
    """A settings file of the trade `finance`, which has one part."""

    finance: LendingSettings


@dataclass(frozen=True)
class GroupShare:
    """Of those of a group who would pay back, or take up: how many there are, and the share that get an offer,
    expected by the models, and as it was in what happened (None where that is not known)."""

    group: str
    n: int
    good: float
    expected: float
    happened: SampleEstimate | None


@dataclass(frozen=True)
class LendingResults:
    """All that a run found. `plan`: a row per customer with the terms, or none and why. `checks`: figures of the
    models on customers they did not see. `limits`: the fairness limits that held; `price_cents`: what they cost."""

    settings: LendingSettings
    training_rows: int
    decided_rows: int
    held_out: bool
    plan: pl.DataFrame
    left_out: Mapping[str, LazyMessage]
    checks: Mapping[str, SampleEstimate]
    bins: Mapping[str, pl.DataFrame]
    gain_cents: float
    cost_cents: float
    budget_cents: float
    worth: Mapping[str, SampleEstimate]
    groups: tuple[GroupShare, ...]
    gap: float | None
    free_gap: float | None
    price_cents: float
    limits: tuple[Limit, ...]
    evidence: RateEvidence
    unknown: tuple[LazyMessage, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
