"""Column names and sample rows in, a Mapping out: by the names of the trade first, then by how the values look."""

import re
from collections import Counter
from collections.abc import Collection
from collections.abc import Mapping as Dict

import polars as pl

from promolift.currency import CURRENCY_DIGITS
from promolift.data import evidence
from promolift.data.find import MONEY, TIME_ROLES, Columns, compact
from promolift.data.mapping import NEEDED, WELCOME, Kind, Mapping, RawTable
from promolift.data.names import (
    KIND_OF_WORD,
    MINOR_ENDINGS,
    kind_word,
)
from promolift.errors import InputError

KIND_CODES: tuple[dict[str, Kind], ...] = (
    {"1": "view", "2": "other", "3": "add_to_cart", "4": "purchase"},
    {"0": "view", "1": "add_to_cart", "2": "purchase", "3": "other"},
)  # of public click logs; 'other' is a favourite
VIEWS = {"kind": "view"}
VALID_DAYS = "30"
CAME_OF_IT = ("click", "clicked", "isclick", "clk", "conversion", "converted", "label", "purchased")
MOST_SHOWN = 20  # columns named in an error


def guess_mapping(
    table: RawTable,
    sample: pl.DataFrame,
    *,
    zone: str = "UTC",
    currency: str | None = None,
    leave: Collection[str] = (),
    keys: Dict[str, str] | None = None,
) -> Mapping:
    """How the columns of `sample` become ours. What is doubtful stands in the mapping's `notes`.

    `leave` names columns that are not to be used: those the events take, where customers or products are sought inside
    the events file; names that could mean either are then left alone. `keys` names the events' own column of a role: a
    column called the same is taken before any other, so that the tables meet. Raises InputError if a column that is
    needed cannot be found: it lists the columns and says what to do.
    """
    return _Guess(table, sample, zone, currency, leave, keys or {}).mapping()


class _Guess(Columns):
    """One guess in the making: columns still free, roles found, notes."""

    def mapping(self) -> Mapping:
        self.find_time()
        for role in (*NEEDED[self.table], *WELCOME[self.table]):
            if role not in self.columns and role not in ("clock", "sequence", TIME_ROLES.get(self.table)):
                self.find(role)
        if self.table == "events":
            self._settle_events()
        if self.table == "customers":
            self._settle_names()
        if self.table == "products":
            self._settle_category()
        if self.table == "promotions":
            self._settle_promotions()
        self._settle_money()
        self._say_what_lies_in_records()
        self._must_have_all()
        values = {
            "table": self.table,
            "columns": self.columns,
            "zone": self.zone,
            "notes": tuple(self.notes),
            **self.settings,
        }
        return Mapping.parse(values, self.table)

    # what the values say

    def _say_what_lies_in_records(self) -> None:
        cells = {name: self.sample.get_column(name).drop_nulls() for name in self.free if not self.inside}
        text = {name: column for name, column in cells.items() if column.dtype == pl.String and len(column)}
        hidden = [name for name, column in text.items() if _records(column) > 0.5 * len(column)]
        if hidden:
            self.notes.append(
                f"{', '.join(map(repr, hidden))}: each cell holds a record, which is not read; give the file as JSON "
                "lines, or a column for each key"
            )

    def _settle_events(self) -> None:
        self._settle_who()
        if "customer_id" not in self.columns and "session_id" in self.columns:
            self.columns["customer_id"] = self.columns["session_id"]
            self.notes.append(
                f"no customer column: {self.columns['session_id']!r} stands for the customer, so nobody is known twice"
            )
        if "product_id" not in self.columns:
            for role in ("coupon_id", "products.name", "category"):
                self.find(role)
                if role in self.columns:
                    self.columns["product_id"] = self.columns.pop(role)
                    self.notes.append(f"no product column: {self.columns['product_id']!r} stands for the product")
                    break
        self._settle_lines()
        self._settle_kind()
        self._settle_order()
        if "coupon_discount" in self.columns:
            more = [name for name in self.free if compact(name) == "couponmatchdisc"]
            self.columns["coupon_discount"] = (str(self.columns["coupon_discount"]), *more)
        if not self._naive_zone_is_known():
            self.notes.append(f"times carry no zone: read as {self.zone} (set zone if the shop's clock is another)")

    def _settle_who(self) -> None:
        """An 'id' that comes again is not the row's: it says who."""
        name = next((name for name in self.free if compact(name) == "id"), None)
        values = self.values(name) if name else []
        if name and "customer_id" not in self.columns and len(set(values)) < 0.9 * len(values):
            self.columns["customer_id"] = name
            self.free.remove(name)
            self.notes.append(f"{name!r} comes again, so it stands for the customer (set columns.customer_id)")

    def _settle_lines(self) -> None:
        """Where lines have money of their own, the order's is left out: it stands on the first line, or on each."""
        if not _of_line(self.columns.get("quantity", "")):
            return
        roles = ("amount", "list_amount", "shelf_discount", "coupon_discount")
        whole = {role: self.columns.pop(role) for role in roles if not _of_line(self.columns.get(role, "line"))}
        others = [name for name in self.free if not _of_line(name)]
        self.free = [name for name in self.free if _of_line(name)]
        for role in whole:
            self.find(role)
        self.free += others
        if not any(_of_line(self.columns.get(role, "")) for role in ("unit_price", "amount")):
            self.columns |= whole
            return
        if whole:
            names = ", ".join(repr(name) for name in whole.values())
            self.notes.append(f"{names}: of the whole order, left out, since each line has money of its own")
        number = next((name for name in self.free if compact(name) == "name"), None)
        if "order_id" not in self.columns and number and all(re.search(r"\d", value) for value in self.values(number)):
            self.columns["order_id"] = number
            self.free.remove(number)

    def _settle_kind(self) -> None:
        if "kind" not in self.columns:
            name = next((name for name in self.free if _tells_kinds(self.values(name))), None)
            if name:
                self.columns["kind"] = name
                self.free.remove(name)
        if "kind" in self.columns:
            name = str(self.columns["kind"])
            counted = Counter(kind_word(value) for value in self.values(name))
            unknown = [word for word, _ in counted.most_common() if word not in KIND_OF_WORD]
            codes = next((codes for codes in KIND_CODES if len(counted) > 1 and set(counted) <= codes.keys()), None)
            if codes:
                self.settings["kinds"] = codes
                meanings = ", ".join(f"{code} {kind}" for code, kind in codes.items())
                self.notes.append(f"{name} has codes, read as {meanings} (set kinds)")
            elif unknown:
                self.notes.append(
                    f"{name}: {', '.join(map(repr, unknown[:5]))} are not known kinds; they become 'other' (set kinds)"
                )
            return
        bought = [role for role in (*MONEY, "quantity", "order_id") if role in self.columns]
        # A log that keeps the day alone is no click log.
        shown = [name for name in self.free if compact(name) in CAME_OF_IT and set(self.values(name)) <= {"0", "1"}]
        sold = "quantity" in self.columns or "order_id" in self.columns
        kind = "purchase" if sold or (not shown and (bought or self.day_only)) else "view"
        self.settings["constants"] = {"kind": kind}
        if shown and kind == "view":
            self.notes.append(
                f"{', '.join(map(repr, shown))} of 0 or 1: rows are read as what was shown, so no purchase is known "
                "(keep the rows that were bought and set constants.kind; for a trial or a log of decisions: "
                "promolift effect fit, promolift evaluate --log)"
            )
            return
        if not bought:
            self.notes.append(
                f"no kind, price, quantity or order column: every row is read as a product {kind} (set constants.kind)"
            )

    def _settle_order(self) -> None:
        if "order_id" not in self.columns:
            instead = (
                "the session stands for it"
                if "session_id" in self.columns
                else "one order is made per customer and local day"
            )
            if self.settings.get("constants") != VIEWS:
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
                (name for name in self.free if compact(name) in ("first", "firstname", "givenname", "forename")), None
            )
            last = next(
                (name for name in self.free if compact(name) in ("last", "lastname", "surname", "familyname")), None
            )
            if first and last:
                self.columns["name"] = (first, last)
            elif first:
                self.columns["name"] = first

    def _settle_promotions(self) -> None:
        if "campaign_id" not in self.columns and "coupon_id" in self.columns:
            self.columns["campaign_id"] = self.columns["coupon_id"]
        if "end" not in self.columns and "valid_days" not in self.columns:
            self.settings["constants"] = {"valid_days": VALID_DAYS}
            self.notes.append(f"no end: offers are taken to hold for {VALID_DAYS} days (set constants.valid_days)")

    def _settle_category(self) -> None:
        if "category" not in self.columns and "product_id" in self.columns:
            # 'PROD_CODE_10' beside 'PROD_CODE' is a level above it.
            levels = re.compile(re.escape(str(self.columns["product_id"])) + r"[_ ]\d+")
            level = next((name for name in self.free if levels.fullmatch(name)), None)
            if level:
                self.columns["category"] = level
        if "category" in self.columns and "type" not in self.columns and "department" not in self.columns:
            self.settings["category_path"] = evidence.path_separator(self.values(str(self.columns["category"])))

    def _settle_money(self) -> None:
        if compact(str(self.columns.get("amount", ""))) == "cost" and "unit_price" in self.columns:
            self.free.append(str(self.columns.pop("amount")))  # beside a price it is what the shop paid
        self._settle_count()
        self._settle_list_price()
        columns = [str(self.columns[role]) for role in MONEY if role in self.columns]
        values = [value for name in columns for value in self.values(name)]
        if evidence.decimal_comma(values):
            self.settings["decimal"] = ","
        if columns and all(name.lower().endswith(MINOR_ENDINGS) for name in columns):
            self.settings["money"] = "minor"
        self._settle_currency(columns, values)
        self._settle_scale(columns, values)
        if self.table == "events":
            self._settle_repeats()
            self._settle_signs()
            self._settle_totals()
            self._say_if_there_is_no_money()

    def _settle_count(self) -> None:
        """An 'amount' of 1, 2 or 3 beside a price says how many."""
        if self.table != "events" or "amount" not in self.columns or "quantity" in self.columns:
            return
        name = str(self.columns["amount"])
        if not evidence.few_units(self.values(name)):
            return
        del self.columns["amount"]
        self.find("amount")
        if "amount" not in self.columns and "unit_price" not in self.columns:
            self.columns["amount"] = name
            return
        self.columns["quantity"] = name
        paid = self.columns.get("amount", self.columns.get("unit_price"))
        self.notes.append(f"{name!r} holds small whole numbers: read as the quantity, and {paid!r} as what was paid")

    def _settle_scale(self, columns: list[str], values: list[str]) -> None:
        scale = evidence.scale_of(values) if "money" not in self.settings else 1
        if scale != 1 and columns:
            self.settings["scale"] = scale
            self.notes.append(
                f"{columns[0]}: most values are below 0.1, as where prices were scaled down: read times {scale}, so "
                "all money is in made-up units (set scale; 1 if they are real)"
            )

    def _settle_repeats(self) -> None:
        """With neither quantity, order nor time of day, equal rows are units of one purchase."""
        finer = ("quantity", "order_id", "event_id", "clock")
        if self.day_only and "product_id" in self.columns and not any(role in self.columns for role in finer):
            self.settings["repeats"] = "units"
            self.notes.append("equal rows are read as several units, since no column counts them (set repeats)")

    def _say_if_there_is_no_money(self) -> None:
        if self.settings.get("constants") != VIEWS and not any(role in self.columns for role in MONEY):
            self.notes.append(
                "no price or amount column: the products' price is taken if they have one, else 0 stands for it"
            )

    def _settle_list_price(self) -> None:
        discount = "shelf_discount" in self.columns or "coupon_discount" in self.columns
        listed = "list_amount" in self.columns or "list_unit_price" in self.columns
        if discount and "unit_price" in self.columns and "amount" not in self.columns and not listed:
            name = self.columns["list_unit_price"] = self.columns.pop("unit_price")
            self.notes.append(f"{name!r} is read as the price before the discount (name it unit_price if it is after)")

    def _settle_currency(self, columns: list[str], values: list[str]) -> None:
        found, unclear = evidence.currency_of(columns, values)
        if "currency" in self.columns:
            codes = Counter(value.upper() for value in self.values(str(self.columns["currency"])))
            found = next((code for code, _ in codes.most_common() if code in CURRENCY_DIGITS), found)
            if len(codes) > 1:
                self.notes.append(f"{len(codes)} currencies: only rows in the shop's own are taken")
        if self.currency or found:
            self.settings["currency"] = self.currency or found
        if self.table == "events" and not (self.currency or found) and self.settings.get("constants") != VIEWS:
            self.notes.append("no currency is named: amounts are taken for USD (set currency, here and under [shop])")
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
        if isinstance(self.columns["time"], tuple):
            return False
        dtype = self.sample.schema[str(self.columns["time"])]
        if isinstance(dtype, pl.Datetime):
            return dtype.time_zone is not None
        values = self.values(str(self.columns["time"]))
        return sum(bool(re.search(r"\d\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)$", value)) for value in values) > 0.5 * len(values)

    def _must_have_all(self) -> None:
        for role in NEEDED[self.table]:
            if role not in self.columns:
                what = {"time": "no column holds a time that can be read"}.get(role, f"no column looks like {role}")
                names = self.sample.columns
                shown = ", ".join(names[:MOST_SHOWN])
                shown += f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
                raise InputError(
                    f"{self.table}: {what}; it has {shown}. If one of them says it, call it "
                    f"{role} in the file's first line; if another file does, give both: --events this.csv+other.csv"
                )


def _records(column: pl.Series) -> int:
    """How many cells hold a record such as {'amount': 3.5}."""
    return int(column.str.contains(r"^\s*\{.*:.*\}\s*$").sum())


def _of_line(name: str | tuple[str, ...]) -> bool:
    return str(name).lower().startswith("line")


def _tells_kinds(values: list[str]) -> bool:
    """Whether a column holds words for what was done, looking or putting in the cart among them."""
    kinds = [KIND_OF_WORD.get(kind_word(value)) for value in values]
    return {"view", "add_to_cart"} & {*kinds} != set() and None not in kinds and len({*kinds}) > 1
