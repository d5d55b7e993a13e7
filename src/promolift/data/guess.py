"""Column names and sample rows in, a Mapping out: by the names of the trade first, then by how the values look."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

import polars as pl

from promolift.currency import CURRENCY_DIGITS
from promolift.data import evidence
from promolift.data.mapping import NEEDED, WELCOME, Mapping, RawTable
from promolift.data.names import (
    GONE_STATUS,
    KEPT_STATUS,
    KIND_OF_WORD,
    MINOR_ENDINGS,
    NAMES_OF,
    PREFIXES,
    UNCLEAR_INSIDE,
    kind_word,
)
from promolift.data.sql import NOTHING
from promolift.data.times import TimeGuess, guess_time
from promolift.errors import InputError

TIME_ROLES = {"events": "time", "promotions": "start", "redemptions": "redeemed_at", "shelf": "start"}
MONEY = ("amount", "unit_price", "list_amount", "list_unit_price", "price", "cost")
STRONG_KIND = ("event", "behavio", "action", "interaction", "行为", "事件")
NOT_THE_TIME = re.compile(
    r"birth|dob|ship|deliver|estimat|updat|modif|expir|regist|signup|join|receiv|end|生日|注册|发货"
)


def guess_mapping(
    table: RawTable,
    sample: pl.DataFrame,
    *,
    zone: str = "UTC",
    currency: str | None = None,
    leave: Collection[str] = (),
) -> Mapping:
    """How the columns of `sample` become ours. What is doubtful stands in the mapping's `notes`.

    `leave` names columns that are not to be used: those the events take, where customers or products are sought inside
    the events file; names that could mean either are then left alone. Raises InputError if a column that is needed
    cannot be found: it lists the columns and says what to write in promolift.toml.
    """
    return _Guess(table, sample, zone, currency, leave).mapping()


class _Guess:
    """One guess in the making: columns still free, roles found, notes."""

    def __init__(
        self, table: RawTable, sample: pl.DataFrame, zone: str, currency: str | None, leave: Collection[str]
    ) -> None:
        self.table, self.sample, self.zone, self.currency = table, sample, zone, currency
        self.inside = bool(leave)
        self.free = [name for name in sample.columns if name not in leave]
        self.columns: dict[str, str | tuple[str, ...]] = {}
        self.settings: dict[str, object] = {}
        self.notes: list[str] = []

    def mapping(self) -> Mapping:
        self._find_time()
        for role in (*NEEDED[self.table], *WELCOME[self.table]):
            if role not in self.columns and role not in ("clock", TIME_ROLES.get(self.table)):
                self._find(role)
        if self.table == "events":
            self._settle_events()
        if self.table == "customers":
            self._settle_names()
        if self.table == "products":
            self._settle_category()
        self._settle_money()
        self._must_have_all()
        values = {
            "table": self.table,
            "columns": self.columns,
            "zone": self.zone,
            "notes": tuple(self.notes),
            **self.settings,
        }
        return Mapping.parse(values, self.table)

    # columns

    def _find(self, role: str) -> None:
        """Give the role the free column whose name stands first in its list."""
        known = NAMES_OF.get(f"{self.table}.{role}", NAMES_OF.get(role, ()))
        if role in ("customer_id", "product_id") and self.table == f"{role.removesuffix('_id')}s":
            known += ("id", "code", "key", "编号", "编码")
        if self.inside:
            known = tuple(name for name in known if name not in UNCLEAR_INSIDE)
        ranked = [
            (rank, place, name) for place, name in enumerate(self.free) if (rank := _rank(name, known)) is not None
        ]
        for _, _, name in sorted(ranked):
            if self._looks_right(role, name):
                self.columns[role] = name
                self.free.remove(name)
                return

    def _looks_right(self, role: str, name: str) -> bool:
        values = self.values(name)
        if not values:
            return role in NEEDED[self.table]
        if role in ("quantity", *MONEY, "valid_days", "shelf_discount", "coupon_discount"):
            return evidence.looks_numeric(values)
        if role in ("received", "end", "redeemed_at"):
            return guess_time(values, name) is not None
        if role == "kind" and self.table == "events":
            known = sum(_is_kind(value) for value in values)
            return known > 0.5 * len(values) or (
                any(word in name.lower() for word in STRONG_KIND) and len(set(values)) <= 60
            )
        if role == "status":
            words = {value.lower() for value in values}
            return len(words) <= 40 and any(re.search(f"{GONE_STATUS}|{KEPT_STATUS}", word) for word in words)
        if role == "event_id":
            # A message or event id repeats only where a row was sent twice; other ids may be those of an order.
            sure = any(word in _compact(name) for word in ("message", "event", "事件"))
            return len(set(values)) >= (0.5 if sure else 0.98) * len(values)
        return True

    def _find_time(self) -> None:
        role = TIME_ROLES.get(self.table)
        if role is None:
            return
        best: tuple[tuple[float, ...], str, TimeGuess] | None = None
        for place, name in enumerate(self.free):
            guess = self._time_of(name)
            if guess is None:
                continue
            rank = _rank(name, NAMES_OF[role])
            if rank is None:
                rank = 500 if _compact(name) not in _other_names(role) else 800
            # A column with the time of day tells more than one with the day, and a count of days tells least.
            poor = 300 if guess.format in ("days", "weeks") else 40 if guess.day_only else 0
            penalty = 600 if NOT_THE_TIME.search(name.lower()) and role in ("time", "start") else 0
            key = (rank + poor + penalty, -guess.share, place)
            if best is None or key < best[0]:
                best = (key, name, guess)
        if best is None or best[0][0] >= 800:
            return
        _, name, guess = best
        self.columns[role] = name
        self.free.remove(name)
        self.notes += guess.notes
        if guess.format != "iso":
            self.settings["time_format"] = guess.format
        if guess.format in ("days", "weeks"):
            self.settings["time_origin"] = "2000-01-01"
        if guess.day_only and self.table == "events":
            self._find("clock")

    def _time_of(self, name: str) -> TimeGuess | None:
        dtype = self.sample.schema[name]
        if isinstance(dtype, pl.Datetime):
            return TimeGuess("iso", 1.0)
        if dtype == pl.Date:
            return TimeGuess("iso", 1.0, day_only=True)
        return guess_time(self.values(name), name)

    # what the values say

    def _settle_events(self) -> None:
        if "customer_id" not in self.columns and "session_id" in self.columns:
            self.columns["customer_id"] = self.columns["session_id"]
            self.notes.append(
                f"no customer column: {self.columns['session_id']!r} stands for the customer, so nobody is known twice"
            )
        if "product_id" not in self.columns:
            for role in ("category", "products.name"):
                self._find(role)
                if role in self.columns:
                    self.columns["product_id"] = self.columns.pop(role)
                    self.notes.append(f"no product column: {self.columns['product_id']!r} stands for the product")
                    break
        self._settle_kind()
        self._settle_order()
        if "coupon_discount" in self.columns:
            more = [name for name in self.free if _compact(name) == "couponmatchdisc"]
            self.columns["coupon_discount"] = (str(self.columns["coupon_discount"]), *more)
        if not self._naive_zone_is_known():
            self.notes.append(f"times carry no zone: read as {self.zone} (set zone if the shop's clock is another)")

    def _settle_kind(self) -> None:
        if "kind" in self.columns:
            name = str(self.columns["kind"])
            counted = Counter(kind_word(value) for value in self.values(name))
            unknown = [word for word, _ in counted.most_common() if word not in KIND_OF_WORD]
            if set(counted) <= {"1", "2", "3", "4"} and len(counted) > 1:
                kinds = {"1": "view", "2": "other", "3": "add_to_cart", "4": "purchase"}
                self.settings["kinds"] = kinds
                self.notes.append(
                    f"{name} has the codes 1 to 4: read as view, favourite, cart and purchase (set kinds)"
                )
            elif unknown:
                self.notes.append(
                    f"{name}: {', '.join(map(repr, unknown[:5]))} are not known kinds; they become 'other' (set kinds)"
                )
            return
        bought = [role for role in (*MONEY, "quantity", "order_id") if role in self.columns]
        self.settings["constants"] = {"kind": "purchase" if bought else "view"}
        if not bought:
            self.notes.append(
                "no kind, price, quantity or order column: every row is read as a product view (set constants.kind)"
            )

    def _settle_order(self) -> None:
        if "order_id" not in self.columns:
            instead = (
                "the session stands for it"
                if "session_id" in self.columns
                else "one order is made per customer and local day"
            )
            if self.settings.get("constants") != {"kind": "view"}:
                self.notes.append(f"no order column: {instead}")
            return
        values = self.values(str(self.columns["order_id"]))
        plain = sum(value.isdigit() for value in values)
        cancelled = sum(bool(re.fullmatch(r"[Cc]\d+", value)) for value in values)
        if 0 < cancelled <= plain:
            self.settings["cancel_prefix"] = "C"

    def _settle_names(self) -> None:
        if "name" not in self.columns:
            first = next(
                (name for name in self.free if _compact(name) in ("first", "firstname", "givenname", "forename")), None
            )
            last = next(
                (name for name in self.free if _compact(name) in ("last", "lastname", "surname", "familyname")), None
            )
            if first and last:
                self.columns["name"] = (first, last)
            elif first:
                self.columns["name"] = first

    def _settle_category(self) -> None:
        if "category" in self.columns and "type" not in self.columns and "department" not in self.columns:
            self.settings["category_path"] = evidence.path_separator(self.values(str(self.columns["category"])))

    def _settle_money(self) -> None:
        self._settle_list_price()
        columns = [str(self.columns[role]) for role in MONEY if role in self.columns]
        values = [value for name in columns for value in self.values(name)]
        if evidence.decimal_comma(values):
            self.settings["decimal"] = ","
        if columns and all(name.lower().endswith(MINOR_ENDINGS) for name in columns):
            self.settings["money"] = "minor"
        self._settle_currency(columns, values)
        if self.table == "events":
            self._settle_signs()
            self._settle_totals()
            self._say_if_there_is_no_money()

    def _say_if_there_is_no_money(self) -> None:
        if self.settings.get("constants") != {"kind": "view"} and not any(role in self.columns for role in MONEY):
            self.notes.append("no price or amount column: what was paid is unknown and stands as 0 (add a price)")

    def _settle_list_price(self) -> None:
        discount = "shelf_discount" in self.columns or "coupon_discount" in self.columns
        listed = "list_amount" in self.columns or "list_unit_price" in self.columns
        if discount and "unit_price" in self.columns and "amount" not in self.columns and not listed:
            name = self.columns["list_unit_price"] = self.columns.pop("unit_price")
            self.notes.append(f"{name!r} is read as the price before the discount (name it unit_price if it is after)")

    def _settle_currency(self, columns: list[str], values: list[str]) -> None:
        found, unclear = evidence.currency_of(columns, values)
        if "currency" in self.columns:
            told = Counter(value.upper() for value in self.values(str(self.columns["currency"])))
            found = next((code for code, _ in told.most_common() if code in CURRENCY_DIGITS), found)
            if len(told) > 1:
                self.notes.append(f"{len(told)} currencies: only rows in the shop's own are taken")
        if self.currency or found:
            self.settings["currency"] = self.currency or found
        if unclear and not self.currency:
            self.notes.append(f"the sign {unclear} is read as {found} (set currency)")

    def _settle_signs(self) -> None:
        if "shelf_discount" in self.columns:
            name = str(self.columns["shelf_discount"])
            kind = evidence.discount_kind(name, self.values(name))
            if kind != "positive":
                self.settings["discount"] = kind
            if kind == "rate":
                self.notes.append(f"{name!r} is between 0 and 1: read as a share of the price (set discount)")
        paid = next((str(self.columns[role]) for role in ("amount", "unit_price") if role in self.columns), None)
        if paid and "quantity" not in self.columns and evidence.mostly_negative(self.values(paid)):
            self.settings["spending"] = "negative"
            self.notes.append(f"most of {paid!r} is negative: negative amounts are read as spending (set spending)")

    def _settle_totals(self) -> None:
        roles = ("order_id", "amount", "product_id")
        if not all(role in self.columns for role in roles):
            return
        order, amount, product = (str(self.columns[role]) for role in roles)
        if not evidence.repeats_by_order(self.sample, order, amount, product):
            return
        if any(role in self.columns for role in ("unit_price", "list_amount", "list_unit_price")):
            del self.columns["amount"]
            self.notes.append(f"{amount!r} repeats the order's total on each line and is left out; prices are used")
        else:
            self.notes.append(
                f"{amount!r} seems to repeat the order's total on each line: revenue is then counted too often"
            )

    def _naive_zone_is_known(self) -> bool:
        if self.zone != "UTC" or self.settings.get("time_format") == "epoch" or "time" not in self.columns:
            return True
        dtype = self.sample.schema[str(self.columns["time"])]
        if isinstance(dtype, pl.Datetime):
            return dtype.time_zone is not None
        values = self.values(str(self.columns["time"]))
        return sum(bool(re.search(r"\d\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)$", value)) for value in values) > 0.5 * len(values)

    def _must_have_all(self) -> None:
        for role in NEEDED[self.table]:
            if role not in self.columns:
                what = {"time": "no column holds a time that can be read"}.get(role, f"no column looks like {role}")
                raise InputError(
                    f"{self.table}: {what}; it has {', '.join(self.sample.columns)}. "
                    f'Write {role} = "<your column>" under [{self.table}.columns] in promolift.toml'
                )

    def values(self, name: str) -> list[str]:
        """The column's sample values as text, without those that say nothing."""
        column = self.sample.get_column(name)
        if column.dtype.is_nested():
            return []
        return [
            value
            for value in column.cast(pl.String, strict=False).drop_nulls().str.strip_chars()
            if value.lower() not in NOTHING
        ]


def _compact(name: str) -> str:
    """'Customer ID', 'customerId' and 'CUSTOMER_ID' are 'customerid'; what stands in brackets is left out."""
    return re.sub(r"[\W_]+", "", re.sub(r"[(\[（].*?[)\]）]", "", name)).lower()


def _rank(name: str, known: Sequence[str]) -> int | None:
    """Place of a column's name in a list of names; later if only a part of it stands there."""
    compact = _compact(name)
    if compact in known:
        return known.index(compact)
    for prefix in PREFIXES:
        rest = compact.removeprefix(prefix)
        if rest != compact and rest in known:
            return 100 + known.index(rest)
    return None


def _other_names(role: str) -> frozenset[str]:
    return frozenset(name for other, names in NAMES_OF.items() if other != role for name in names)


def _is_kind(value: str) -> bool:
    return kind_word(value) in KIND_OF_WORD
