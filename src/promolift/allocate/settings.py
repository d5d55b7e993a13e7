"""What a person states about a plan: limits as they write them, and how the errors of gains enter the choice."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from promolift.errors import ConfigError
from promolift.settings import Settings

Measure = Literal["gain", "cost", "count", "units", "return", "count_share", "cost_share"]
_TEXT = re.compile(
    r"^(?:(?P<name>[^:\[\]]+):)?\s*(?P<measure>\w+)\s*(?:\[(?P<where>[^\]]*)\])?\s*(?P<sense><=|>=)\s*(?P<bound>\S+)$"
)


class Limit(Settings):
    """At most or at least so much of `measure` over some customers and offers.

    `count` is the number of offers given, `cost` and `gain` their expected sums, `units` a further amount per pair
    (such as expected redemptions), `return` gain divided by cost; `count_share` and `cost_share` are the part of all
    offers or of all cost that falls on these customers and offers. On arrays customers are named by `labels` and
    offers by `offers` (numbers); on a table `where` gives the values a column may have. Empty means all.
    """

    name: str = Field(min_length=1)
    measure: Measure
    at_most: float | None = None
    at_least: float | None = None
    labels: tuple[int, ...] = ()
    offers: tuple[int | str, ...] = ()
    where: dict[str, tuple[str | int | float | bool, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("give at_most, at_least or both")
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}")
        if self.measure == "return" and self.at_most is not None:
            raise ValueError("a return has at_least only")
        return self

    @staticmethod
    def read(text: str) -> "Limit":
        """A limit from `name: measure[column=a|b, offer_id=c] <= bound`; name and brackets may be left out."""
        found = _TEXT.match(text.strip())
        if not found:
            raise ConfigError(f"limit {text!r}: write it like 'stock: count[offer_id=c10|c20] <= 500' or 'return >= 2'")
        where = {}
        for part in filter(None, (found["where"] or "").split(",")):
            column, equals, values = part.partition("=")
            if not equals:
                raise ConfigError(f"limit {text!r}: {part.strip()!r} should read column=value or column=value|value")
            where[column.strip()] = tuple(value.strip() for value in values.split("|"))
        try:
            bound = float(found["bound"].rstrip("%")) / (100 if found["bound"].endswith("%") else 1)
        except ValueError:
            raise ConfigError(f"limit {text!r}: {found['bound']!r} is not a number") from None
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
            raise ValueError("boost_cents belongs to the rule boost alone, and must be above 0 there")
        if (self.rule == "at_least") != (self.share > 0):
            raise ValueError("share belongs to the rule at_least alone, and must be above 0 there")
        if not (self.menu or self.segments):
            raise ValueError("name menu lines, segments or both: a rule on all offers for everybody says nothing")
        return self


class Risk(Settings):
    """How the errors of gains enter the choice."""

    rule: Literal["none", "lower"] = Field(
        default="none",
        description="`none`: gains are taken as estimated. `lower`: by the estimate less `z` standard errors.",
        examples=["lower"],
    )
    z: float = Field(default=1.0, ge=0, le=5, description="For `lower` alone: standard errors that are taken off.")
