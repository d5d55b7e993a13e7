"""Map a shop's own columns to promolift's columns.

There is one frozen Mapping per raw table. It is read from promolift.toml and can be written back as TOML.
"""

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from promolift.foundation.errors import InputError, SettingError
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean
from promolift.foundation.money import Currency, currency_digits
from promolift.foundation.settings import SECONDS_PER_UNIT, Settings, Zone, read_tsv, toml_key, toml_value

RawTable = Literal["events", "customers", "products", "promotions", "redemptions", "coupons", "shelf", "words"]
Kind = Literal["purchase", "view", "impression", "add_to_cart", "refund", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# What a source column can be, per raw table: its role, what it says, and the names it is known by, best first.
ROLE_ROWS = read_tsv("foundation/files/column_names.tsv")
ROLES: Dict[str, Dict[str, str]] = {
    table: {role: meaning for name, role, _, meaning, _ in ROLE_ROWS if name == table} for table in get_args(RawTable)
}
REQUIRED_ROLES: Dict[str, tuple[str, ...]] = {
    table: tuple(role for name, role, needed, *_ in ROLE_ROWS if name == table and needed) for table in ROLES
}
OPTIONAL_ROLES: Dict[str, tuple[str, ...]] = {
    table: tuple(role for role in roles if role not in REQUIRED_ROLES[table]) for table, roles in ROLES.items()
}
SUMMED_ROLES = frozenset({"amount", "list_amount", "shelf_discount", "coupon_discount"})  # several columns: their sum
DAYS_SINCE_LAST = "gaps"  # how a column says times: days since the same customer's order before
CONCATENATED_ROLES = frozenset({"name", "status"})  # several columns: joined by a space
FIRST_VALUE_ROLES = frozenset({"product_id"})  # several columns: the first that says something
DATE_PART_ROLES = frozenset({"time"})  # three columns: year, month and day
EVERY_VALUE_ROLES = frozenset({"consent"})  # several columns: a no in any of them counts
MULTI_COLUMN_ROLES = SUMMED_ROLES | CONCATENATED_ROLES | FIRST_VALUE_ROLES | DATE_PART_ROLES | EVERY_VALUE_ROLES
# What may stand on an order's first line alone.
ORDER_ROLES = (
    *("customer_id", "time", "clock", "status", "session_id", "store_id", "channel", "currency", "kind", "coupon_id"),
)


class Mapping(Settings):
    """Where each of our columns comes from, and how times, money and event names are read."""

    table: RawTable = Field(
        description="Which of our tables it makes. In promolift.toml it follows from the part and is left out.",
        examples=["events"],
    )
    columns: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Source column of each role (the [roles](#roles) of the table). Amounts and discounts may name "
        "several columns, which are added; a name or status several, which are joined; a product several, of which "
        "the first that says something counts; consent several, of which each no counts; a time three: year, month and "
        "day.",
        examples=[{"customer_id": "user", "time": "date", "amount": ["goods", "deposit"]}],
    )
    constants: dict[str, str] = Field(
        default_factory=dict,
        description="The same text for a role on every row, where no column says it.",
        examples=[{"kind": "purchase", "channel": "web"}],
    )
    time_format: str = Field(
        default="iso",
        description="How times are written: `iso`, `epoch`, a count since `time_origin` (`weeks`, `days`, `hours`, "
        "`minutes`, `seconds`), `gaps` (days since the customer's order before, in the order of `columns.sequence`), "
        "or strptime formats joined by ' | '.",
        examples=["%d/%m/%Y %H:%M | %d/%m/%Y"],
    )
    time_origin: str | None = Field(
        default=None,
        description="Local day that number 0 of a count stands for; for times without a year a day of the year meant; "
        "for `gaps` the day of everybody's last order.",
        examples=["2025-01-01"],
    )
    zone: Zone = Field(
        default="UTC",
        description="Zone of times that carry none, and of a customer's days.",
        examples=["America/New_York"],
    )
    currency: Currency = Field(
        default="USD",
        description="Currency of this file's amounts; it gives the digits after the point. Rows that name another are "
        "rejected.",
    )
    money: Literal["major", "minor"] = Field(
        default="major", description="Unit of the amounts: `major` as in 12.50, `minor` as in 1250."
    )
    decimal: Literal[".", ","] = Field(
        default=".", description="The decimal point of numbers that are written as text."
    )
    scale: float = Field(
        default=1.0,
        gt=0,
        description="All amounts are multiplied by it, where prices were scaled down.",
        examples=[100.0],
    )
    repeats: Literal["duplicates", "lines", "units"] = Field(
        default="duplicates",
        description="What rows equal in every column are: `duplicates`, the same row again; `lines`, the product "
        "bought once more where they stand in one order (a till that scans it twice), the same row again where each "
        "line of the order stands as often, or where other orders lie between; `units`, bought once more in any case.",
    )
    discount: Literal["positive", "negative", "rate", "percent"] = Field(
        default="positive",
        description="How discounts are written: as an amount above or below 0, or for shelf discounts as a share "
        "(0.2) or a percentage (20) of the price.",
    )
    spending: Literal["positive", "negative"] = Field(
        default="positive", description="Sign of a purchase's amount: negative as on a bank statement."
    )
    kinds: dict[str, Kind] = Field(
        default_factory=dict,
        description="What the shop's own event names mean, beyond those that are known.",
        examples=[{"checkout_done": "purchase", "wishlist": "other"}],
    )
    basket: str = Field(
        default="",
        description="Column whose cell holds a whole basket: a list of records in JSON, or text such as `2 x Tea, "
        "1 x Cup`. Each item becomes a line; its fields are columns such as `items.price` or `items.product`.",
        examples=["items"],
    )
    inherit: tuple[str, ...] = Field(
        default=(),
        description="Roles that stand on the first line of an order alone; its later lines take them from there.",
        examples=[["customer_id", "status"]],
    )
    shared: tuple[str, ...] = Field(
        default=(),
        description="Amounts and discounts that are of the whole order, on its first line or on each: they are shared "
        "out among its lines by what these cost, else by units, to the cent.",
        examples=[["coupon_discount"]],
    )
    amounts_before: tuple[Literal["shelf_discount", "coupon_discount"], ...] = Field(
        default=(),
        description="Discounts that `amount` and `unit_price` do not have off yet, so that they are taken off.",
        examples=[["coupon_discount"]],
    )
    cancel_prefix: str = Field(default="", description="An order id that begins so is a cancellation.", examples=["C"])
    category_path: str = Field(
        default="",
        description="What parts the levels of a category that is written as one path, such as food/tea/green.",
        examples=["/"],
    )
    notes: tuple[LazyMessage, ...] = Field(
        default=(),
        description="What `promolift init` was not sure of; the health report repeats it. Delete a line once it is "
        "checked.",
        examples=[["no column says what kind of event a row is: all are taken for purchases"]],
    )

    @model_validator(mode="after")
    def _roles_fit_the_table(self) -> Self:
        roles = REQUIRED_ROLES[self.table] + OPTIONAL_ROLES[self.table]
        for role in (*self.columns, *self.constants):
            if role not in roles:
                near = get_close_matches(role, roles, n=1)
                raise SettingError(
                    "setting_unknown",
                    (
                        gettext_lazy("unknown role {role}; did you mean {near}?", role=repr(role), near=repr(near[0]))
                        if near
                        else gettext_lazy(
                            "unknown role {role}; roles: {roles}", role=repr(role), roles=", ".join(roles)
                        )
                    ),
                )
        for role, source in self.columns.items():
            if isinstance(source, tuple) and role not in MULTI_COLUMN_ROLES:
                raise ValueError(
                    gettext_lazy(
                        "{role} takes one column; only {multi_column_roles} may name several",
                        role=role,
                        multi_column_roles=", ".join(sorted(MULTI_COLUMN_ROLES)),
                    )
                )
            if isinstance(source, tuple) and role in DATE_PART_ROLES and len(source) != 3:
                raise ValueError(gettext_lazy("{role} takes one column, or three: year, month and day", role=role))
        for role in self.inherit:
            if role not in ORDER_ROLES or not self.has("order_id"):
                raise ValueError(
                    gettext_lazy(
                        "inherit takes {order_roles}, and needs columns.order_id", order_roles=", ".join(ORDER_ROLES)
                    )
                )
        for role in self.shared:
            if role not in SUMMED_ROLES:
                raise ValueError(
                    gettext_lazy(
                        "shared takes {summed_roles}, not {role}",
                        summed_roles=", ".join(sorted(SUMMED_ROLES)),
                        role=role,
                    )
                )
        for role in REQUIRED_ROLES[self.table]:
            if not self.has(role):
                raise SettingError(
                    "setting_missing",
                    gettext_lazy('needs {role}; write {role} = "<your column>" under columns', role=role),
                )
        if self.table == "words" and not (self.has("text") or self.has("audio")):
            raise SettingError(
                "setting_missing", gettext_lazy('needs text or audio; write text = "<your column>" under columns')
            )
        if self.time_format == DAYS_SINCE_LAST and not self.has("sequence"):
            raise SettingError(
                "setting_missing",
                gettext_lazy("time_format gaps needs columns.sequence, which numbers the orders of each customer"),
            )
        if (self.time_format in (*SECONDS_PER_UNIT, DAYS_SINCE_LAST) or self.yearless) and not self.time_origin:
            raise SettingError(
                "setting_missing",
                gettext_lazy(
                    "time_format {time_format} needs time_origin, the local day that number 0 stands for or a "
                    "day of the year that is meant",
                    time_format=self.time_format,
                ),
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

    def of_basket(self, source: str) -> str:
        """The field of a basket's items that a column names; '' for a column of the file itself."""
        return source.removeprefix(f"{self.basket}.") if self.basket and source.startswith(f"{self.basket}.") else ""

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
                if source not in columns and not (self.of_basket(source) and self.basket in columns):
                    hint = did_you_mean(source, columns, gettext_lazy("correct it in promolift.toml."))
                    raise InputError(
                        "column_unknown",
                        gettext_lazy(
                            "{where}: no column {source} for {role}; {hint} It has {columns}",
                            where=where,
                            source=repr(source),
                            role=role,
                            hint=hint,
                            columns=", ".join(columns),
                        ),
                    )

    def to_toml(self) -> str:
        """The body of a TOML table, one key a line, that `Mapping.parse` reads back; the table's name is not in it."""
        lines = []
        for key, value in self.model_dump(exclude_defaults=True, exclude={"table"}).items():
            if isinstance(value, dict):
                lines += [f"{key}.{toml_key(name)} = {toml_value(each)}" for name, each in value.items()]
            else:
                lines.append(f"{key} = {toml_value(value)}")
        return "\n".join(lines) + "\n"
