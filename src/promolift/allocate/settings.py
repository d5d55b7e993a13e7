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


class Risk(Settings):
    """How the errors of gains enter the choice."""

    rule: Literal["none", "lower"] = Field(
        default="none",
        description="`none`: gains are taken as estimated. `lower`: by the estimate less `z` standard errors.",
        examples=["lower"],
    )
    z: float = Field(default=1.0, ge=0, le=5, description="For `lower` alone: standard errors that are taken off.")
