"""How a shop's own columns become ours: one frozen Mapping per raw table, read from and written to TOML."""

import json
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from promolift.currency import Currency, currency_digits
from promolift.data.times import COUNTED, GAPS
from promolift.errors import InputError
from promolift.settings import Settings, Zone

RawTable = Literal["events", "customers", "products", "promotions", "redemptions", "coupons", "shelf"]
Kind = Literal["purchase", "view", "add_to_cart", "refund", "other"]
KINDS: tuple[Kind, ...] = ("purchase", "view", "add_to_cart", "refund", "other")

# What a source column can be, per raw table; the first group is needed, the second is welcome.
NEEDED: Dict[str, tuple[str, ...]] = {
    "events": ("customer_id", "time"),
    "customers": ("customer_id",),
    "products": ("product_id",),
    "promotions": ("customer_id", "campaign_id", "start"),
    "redemptions": ("customer_id", "campaign_id", "redeemed_at"),
    "coupons": ("campaign_id", "coupon_id", "product_id"),
    "shelf": ("product_id", "store_id", "start"),
}
WELCOME: Dict[str, tuple[str, ...]] = {
    "events": (
        *(
            "clock",
            "status",
            "received",
            "event_id",
            "kind",
            "product_id",
            "order_id",
            "sequence",
            "session_id",
            "store_id",
            "channel",
        ),
        *("quantity", "amount", "unit_price", "list_amount", "list_unit_price", "shelf_discount", "coupon_discount"),
        "currency",
    ),
    "customers": ("name", "sex", "age", "occupation", "income", "language", "consent"),
    "products": ("name", "category", "type", "department", "brand", "price", "cost"),
    "promotions": ("kind", "end", "valid_days", "redeemed_at", "coupon_id"),
    "redemptions": ("coupon_id",),
    "coupons": (),
    "shelf": ("display", "mailer"),
}
ADDED_UP = frozenset({"amount", "list_amount", "shelf_discount", "coupon_discount"})  # several columns: their sum
JOINED = frozenset({"name"})  # several columns: joined by a space
DATED = frozenset({"time"})  # three columns: year, month and day


class Mapping(Settings):
    """Where each of our columns comes from, and how times, money and event names are read.

    `columns` names the source column of each role (NEEDED and WELCOME list the roles); amounts may name several
    columns, which are added. `constants` gives a role the same text on every row. `amount` is per row and `unit_price`
    per unit; the `list_` pair is the same before discounts. Money is in major units (12.50) unless `money` says minor
    (1250).
    """

    table: RawTable
    columns: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    constants: dict[str, str] = Field(default_factory=dict)
    time_format: str = Field(
        default="iso",
        description="iso, epoch, weeks, days, hours, minutes, seconds, gaps (days since the customer's order before; "
        "sequence numbers his orders), or strptime formats joined by ' | '",
    )
    time_origin: str | None = Field(
        default=None,
        description="the local day that number 0 of a count stands for; of times without a year, the year",
    )
    zone: Zone = Field(default="UTC", description="zone of times that carry none, and of a customer's days")
    currency: Currency = Field(default="USD", description="ISO 4217; gives the digits after the point")
    money: Literal["major", "minor"] = "major"
    decimal: Literal[".", ","] = "."
    scale: float = Field(default=1.0, gt=0, description="all money is multiplied by it, where prices were scaled down")
    repeats: Literal["duplicates", "units"] = Field(
        default="duplicates", description="rows equal in every column: duplicates, or units of a log without quantities"
    )
    discount: Literal["positive", "negative", "rate", "percent"] = "positive"
    spending: Literal["positive", "negative"] = Field(default="positive", description="sign of a purchase's amount")
    kinds: dict[str, Kind] = Field(default_factory=dict)
    cancel_prefix: str = Field(default="", description="an order id that begins so is a cancellation")
    category_path: str = Field(default="", description="what parts the levels of a category written as one path")
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _roles_fit_the_table(self) -> Self:
        roles = NEEDED[self.table] + WELCOME[self.table]
        for role in (*self.columns, *self.constants):
            if role not in roles:
                near = get_close_matches(role, roles, n=1)
                raise ValueError(
                    f"unknown role {role!r}; "
                    + (f"did you mean {near[0]!r}?" if near else f"roles: {', '.join(roles)}")
                )
        for role, source in self.columns.items():
            if isinstance(source, tuple) and role not in ADDED_UP | JOINED | DATED:
                raise ValueError(
                    f"{role} takes one column; only {', '.join(sorted(ADDED_UP | JOINED | DATED))} may name several"
                )
            if isinstance(source, tuple) and role in DATED and len(source) != 3:
                raise ValueError(f"{role} takes one column, or three: year, month and day")
        for role in NEEDED[self.table]:
            if not self.has(role):
                raise ValueError(f'needs {role}; write {role} = "<your column>" under columns')
        if self.time_format == GAPS and not self.has("sequence"):
            raise ValueError("time_format gaps needs columns.sequence, which numbers the orders of each customer")
        if (self.time_format in (*COUNTED, GAPS) or self.yearless) and not self.time_origin:
            raise ValueError(
                f"time_format {self.time_format} needs time_origin, the local day that number 0 stands for or a day of "
                "the year that is meant"
            )
        return self

    @property
    def yearless(self) -> bool:
        """Whether times say no year, so that `time_origin` gives it."""
        return "%" in self.time_format and not any(each in self.time_format.lower() for each in ("%y", "%c", "%x"))

    def has(self, role: str) -> bool:
        """Whether the role has a column or a constant."""
        return role in self.columns or role in self.constants

    def sources(self, role: str) -> tuple[str, ...]:
        """The source columns of a role, none if it has none."""
        source = self.columns.get(role, ())
        return (source,) if isinstance(source, str) else tuple(source)

    @property
    def digits(self) -> int:
        """Digits of the currency after the point."""
        return currency_digits(self.currency)

    @property
    def minor_factor(self) -> float:
        """What a source amount is multiplied by to give minor units."""
        factor = self.scale * (1 if self.money == "minor" else 10**self.digits)
        return int(factor) if factor == int(factor) else factor

    def check_columns(self, columns: Sequence[str], where: str) -> None:
        """Raise InputError if a named source column is not among `columns`."""
        for role in self.columns:
            for source in self.sources(role):
                if source not in columns:
                    near = get_close_matches(source, columns, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else "correct it in promolift.toml"
                    raise InputError(f"{where}: no column {source!r} for {role}; {hint} It has {', '.join(columns)}")

    def unused(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` that no role takes."""
        used = {source for role in self.columns for source in self.sources(role)}
        return [name for name in columns if name not in used]

    def to_toml(self) -> str:
        """The body of a TOML table, one key a line, that `Mapping.parse` reads back; the table's name is not in it."""
        lines = []
        for key, value in self.model_dump(exclude_defaults=True, exclude={"table"}).items():
            if isinstance(value, dict):
                lines += [f"{key}.{_key(name)} = {_toml(each)}" for name, each in value.items()]
            else:
                lines.append(f"{key} = {_toml(value)}")
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        items = [_toml(each) for each in value]
        return "[" + ", ".join(items) + "]" if len(items) < 3 else "[\n    " + ",\n    ".join(items) + ",\n]"
    # JSON text is TOML text, but for the one control character JSON leaves bare.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _toml(key)
