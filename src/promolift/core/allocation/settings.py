"""Settings of a plan: limits, strategic rules, fairness, and how the errors of gains enter the choice."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

Measure = Literal["gain", "cost", "count", "units", "return", "count_share", "cost_share"]
_TEXT = re.compile(
    r"^(?:(?P<name>[^:\[\]]+):)?\s*(?P<measure>\w+)\s*(?:\[(?P<where>[^\]]*)\])?\s*(?P<sense><=|>=)\s*(?P<bound>\S+)$"
)


class Limit(Settings):
    """At most or at least so much of `measure` over some customers and offers.

    `count` is the number of offers given, `cost` and `gain` their expected sums, `units` a further amount per pair
    (such as expected redemptions), `return` gain divided by cost; `count_share` and `cost_share` are the part of all
    offers or of all cost that falls on these customers and offers. On arrays customers are named by `labels` and
    offers by `offers` (numbers); on a table `where` gives the values a column may have. Empty means all. Offers are
    whole: a `count_share` may miss its bounds by `slack` of them.
    """

    name: str = Field(min_length=1)
    measure: Measure
    at_most: float | None = None
    at_least: float | None = None
    slack: float = Field(default=0.0, ge=0)
    labels: tuple[int, ...] = ()
    offers: tuple[int | str, ...] = ()
    where: dict[str, tuple[str | int | float | bool, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError(gettext_lazy("give at_most, at_least or both"))
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError(
                gettext_lazy(
                    "at_least {at_least} is above at_most {at_most}", at_least=self.at_least, at_most=self.at_most
                )
            )
        if self.slack and self.measure != "count_share":
            raise ValueError(gettext_lazy("slack is a number of offers: it belongs to a count_share"))
        if self.measure == "return" and self.at_most is not None:
            raise ValueError(gettext_lazy("a return has at_least only"))
        return self

    @staticmethod
    def read(text: str) -> "Limit":
        """A limit from `name: measure[column=a|b, offer_id=c] <= bound`; name and brackets may be left out."""
        found = _TEXT.match(text.strip())
        if not found:
            raise ConfigError(
                "limit_syntax_invalid",
                gettext_lazy(
                    "limit {text}: write it like 'stock: count[offer_id=c10|c20] <= 500' or 'return >= 2'",
                    text=repr(text),
                ),
            )
        where = {}
        for part in filter(None, (found["where"] or "").split(",")):
            column, equals, values = part.partition("=")
            if not equals:
                raise ConfigError(
                    "limit_syntax_invalid",
                    gettext_lazy(
                        "limit {text}: {part} should read column=value or column=value|value",
                        text=repr(text),
                        part=repr(part.strip()),
                    ),
                )
            where[column.strip()] = tuple(value.strip() for value in values.split("|"))
        try:
            bound = float(found["bound"].rstrip("%")) / (100 if found["bound"].endswith("%") else 1)
        except ValueError:
            raise ConfigError(
                "limit_bound_invalid",
                gettext_lazy("limit {text}: {bound} is not a number", text=repr(text), bound=repr(found["bound"])),
            ) from None
        side = "at_most" if found["sense"] == "<=" else "at_least"
        name = (found["name"] or text).strip()
        return Limit.parse({"name": name, "measure": found["measure"], side: bound, "where": where}, f"limit {text!r}")


class StrategicRule(Settings):
    """What the shop wants whatever it earns. The plan and the report say what each rule costs: the expected gain of the
    plan without it less that with it. A test keeps `exclude` and `pin` alone.
    """

    name: str = Field(
        min_length=1, max_length=60, description="Name of the rule, as plan and report print it.", examples=["launch"]
    )
    rule: Literal["pin", "boost", "exclude", "at_least"] = Field(
        description="`pin`: who can get such an offer gets it, before any other use of the budget. `boost`: it is "
        "chosen as if it gained `boost_cents` more. `exclude`: it is given to none of them. `at_least`: the share "
        "`share` of all offers are such.",
        examples=["boost"],
    )
    menu: tuple[str, ...] = Field(
        default=(), description="Menu lines that it is about. Left out: all.", examples=[["tea-20"]]
    )
    segments: tuple[str, ...] = Field(
        default=(),
        description="[Segments](#segment) whose customers it is about. Left out: everybody.",
        examples=[["frequent"]],
    )
    boost_cents: float = Field(default=0.0, ge=0, description="For `boost` alone, in minor units.", examples=[50])
    share: float = Field(default=0.0, ge=0, le=1, description="For `at_least` alone.", examples=[0.1])

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if (self.rule == "boost") != (self.boost_cents > 0):
            raise ValueError(gettext_lazy("boost_cents belongs to the rule boost alone, and must be above 0 there"))
        if (self.rule == "at_least") != (self.share > 0):
            raise ValueError(gettext_lazy("share belongs to the rule at_least alone, and must be above 0 there"))
        if not (self.menu or self.segments):
            raise ValueError(
                gettext_lazy("name menu lines, segments or both: a rule on all offers for everybody says nothing")
            )
        return self


class Risk(Settings):
    """How the errors of gains enter the choice."""

    rule: Literal["none", "lower"] = Field(
        default="none",
        description="`none`: gains are taken as estimated. `lower`: by the estimate less `z` standard errors.",
        examples=["lower"],
    )
    z: float = Field(default=1.0, ge=0, le=5, description="For `lower` alone: standard errors that are taken off.")


class FairnessSettings(Settings):
    """Groups of customers whose treatment is compared ([trust.md](trust.md)), how far it may differ, and who gets no
    personal offer at all.
    """

    columns: tuple[str, ...] = Field(
        default=(),
        description="Columns of customers or of [profiles](tables.md#profiles) whose values are the groups; a number "
        "is cut into bands. Left out: age, sex, income and region, as far as the shop knows them.",
        examples=[["age", "sex"]],
    )
    band: float | None = Field(
        default=None,
        ge=0.01,
        lt=1,
        description="How far a group's share of all offers may be from its share of the customers who can be offered "
        "something, as a part of the latter: with 0.2 a group of 40 % of them gets 32 to 48 % of the offers, to "
        "one offer. Left out: groups are compared, not limited.",
        examples=[0.2],
    )
    of: tuple[Literal["offers", "value"], ...] = Field(
        default=("offers",),
        min_length=1,
        description="What `band` and `loyal_never_worse` hold for: how many offers, or their `value` by what they are "
        "expected to cost the shop.",
        examples=[["offers", "value"]],
    )
    least_customers: int = Field(
        default=50, ge=1, description="Smaller groups are neither limited nor shown: too few to tell anything of."
    )
    loyal_never_worse: bool = Field(
        default=False,
        description="Whether loyal customers must get at least as many offers each, on average, as new ones.",
        examples=[True],
    )
    new_days: int = Field(
        default=90, ge=1, description="A customer whose first order is less than so many days ago is new; else loyal."
    )
    excluded: tuple[str, ...] = Field(
        default=(),
        description="[Segments](#segment) of vulnerable customers, who get no personal offer whatever it earns; a "
        "release that holds one for them is refused.",
        examples=[["minors"]],
    )

    @property
    def limited(self) -> bool:
        """Whether allocation is bound by any of it."""
        return self.band is not None or self.loyal_never_worse
