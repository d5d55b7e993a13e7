"""Infer a Mapping from column names and sample rows: first by known names, then by the values."""

import re
from collections import Counter
from collections.abc import Collection
from collections.abc import Mapping as Dict
from typing import NamedTuple

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import (
    CANCELLED_STATUS,
    COLUMN_SYNONYMS,
    KIND_BY_EVENT_NAME,
    MINOR_UNIT_SUFFIXES,
    PARTIAL_STATUS,
    ZONE_BY_CURRENCY,
    currency_code,
    guess_region,
    normalise_column_name,
    normalise_event_name,
)
from promolift.foundation.files.time_formats import guess_time
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.configuration.column_mapping import (
    OPTIONAL_ROLES,
    ORDER_ROLES,
    REQUIRED_ROLES,
    SUMMED_ROLES,
    Kind,
    Mapping,
    RawTable,
)
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.role_matching import (
    BY_VALUES,
    LIKELY,
    MONEY,
    TIME_ROLES,
    ColumnAssignment,
    RoleGuess,
    name_rank,
)

KIND_CODES: tuple[dict[str, Kind], ...] = (
    {"1": "view", "2": "other", "3": "add_to_cart", "4": "purchase"},
    {"0": "view", "1": "add_to_cart", "2": "purchase", "3": "other"},
)  # of public click logs; 'other' is a favourite
RETURN_WORDS = re.compile(r"refund|return|退款|退货|售后|返品|返金")
# What sounds like it and is not: a customer who comes again, and what may be given back, until when and why it was.
NOT_RETURN_WORDS = re.compile(r"returning|polic|window|able|reason|eligib")
INSTALMENTS = re.compile(r"parcel|instal|cuota|mensual|month|期|分割|taksit|rate[nr]")
NET = re.compile(r"netto|税抜|(?<![^\W_])(net|ht|ohne|exc?k?l)(?![^\W_])")
GROSS = re.compile(r"brutto|税込|(?<![^\W_])(gross|ttc|in[ck]l)(?![^\W_])")
VIEWS = {"kind": "view"}
VALID_DAYS = "30"
RESPONSE_COLUMNS = ("click", "clicked", "isclick", "clk", "conversion", "converted", "label", "purchased")
# Parts of names that sound like money in many languages. Short words must be the whole part: 'net' stands in
# 'network', 'pris' in 'enterprise', 'цен' in 'оценка'.
MONEY_NAMED = re.compile(
    r"\w*(price|preis|prezz|betrag|bedrag|amount|tutar|fiyat|bedel|harga|bayar|сумм)\w*"
    r"|\w*(total|summ[ae]|pris|prix|netto|brutto)|(total|kwot|częśc|wart|částk|betal|стоим)\w*"
    r"|(order|item|sales?|face)?value|net|gross|ttc|fees?|charges?|spend|paid|mrp|rrp|preci?os?|preços?|import[eo]"
    r"|montos?|valore?|denom(ination)?|cen[ay]?|цен[аыу]?|giá|tiền"
    r"|.*(价|金额|価格|単価|定価|料金|額|円|금액|가격|ราคา|ยอด|مبلغ).*"
)
NOT_MONEY = re.compile(r"(weight|page|view|time|count|id|type|qty|quantity|score)s?")
NO_PRICE = re.compile(
    r"cost|einkauf|purchaseprice|buying|tax|ship|fee|freight|discount|balance|refund|成本|进价|税|运费"
)
PERSONAL = re.compile(
    r"e-?mail|phone|mobile|telef|\btel\b|address|street|\bzip|postal|postcode|\bcep\b|birth|\bdob\b|doctor|patient"
    r"|recipient|(customer|client|buyer|member|cardholder|student|user|guest)s?[ _-]?(full)?[ _-]?name|firma|company"
    r"|手机|电话|地址|收货|姓名|昵称|氏名|住所|ニックネーム|điện thoại|địa chỉ|müşteri ad|adres"
)
SUBSCRIPTION_COLUMNS = (
    *("membership", "membershiptype", "membershipplan", "plan", "plantype", "subscription", "subscriptiontype"),
    *("subscriptionname", "course", "coursename", "package", "packagename", "programme", "program"),
    *("课程", "课程名称", "会员卡类型", "コース", "abo", "tarif"),
)
MAX_NUMERIC_COLUMNS = 14  # columns of numbers that are tried against each other
MAX_VALUES_SHOWN = 20  # columns named in an error
FIRST_NAME_COLUMNS = ("first", "firstname", "givenname", "forename", "vorname", "prenom", "primernombre", "imie", "имя")
LAST_NAME_COLUMNS = (
    "last",
    "lastname",
    "surname",
    "familyname",
    "nachname",
    "apellido",
    "apellidos",
    "cognome",
    "nazwisko",
)


def guess_mapping(
    table: RawTable,
    sample: pl.DataFrame,
    *,
    zone: str = "UTC",
    currency: str | None = None,
    leave: Collection[str] = (),
    keys: Dict[str, str] | None = None,
    fixed: Dict[str, str] | None = None,
) -> Mapping:
    """How the columns of `sample` become ours. What is doubtful stands in the mapping's `notes`.

    `leave` names columns that are not to be used: those the events take, where customers or products are sought inside
    the events file; names that could mean either are then left alone. `keys` names the events' own column of a role: a
    column called the same is taken before any other, so that the tables meet. Raises InputError if a column that is
    needed cannot be found: it lists the columns and says what to do. `fixed` are roles that a person has settled.
    """
    return guess_mapping_with_reasons(table, sample, zone, currency, leave, keys or {}, fixed or {}).mapping


class MappingGuess(NamedTuple):
    """A mapping, and for each of its roles how sure it is, what came next and what stands in the column."""

    mapping: Mapping
    roles: dict[str, RoleGuess]


def guess_mapping_with_reasons(
    table: RawTable,
    sample: pl.DataFrame,
    zone: str,
    currency: str | None,
    leave: Collection[str],
    keys: Dict[str, str],
    fixed: Dict[str, str],
) -> MappingGuess:
    """As `guess_mapping`, with what speaks for it."""
    guess = _Guess(table, sample, zone, currency, leave, keys, fixed)
    return MappingGuess(guess.mapping(), guess.guesses())


class _Guess(ColumnAssignment):
    """One guess in the making: columns still free, roles found, notes."""

    def mapping(self) -> Mapping:
        self.find_time()
        for role in (*REQUIRED_ROLES[self.table], *OPTIONAL_ROLES[self.table]):
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
        if self.table == "events":
            self._settle_zone()
            self._settle_views()
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
        self._find_product_by_name()
        self._find_by_values()
        self._find_order_by_values()
        self._find_multiplied()
        self._find_money_by_values()
        self._find_money_by_name()
        if "customer_id" not in self.columns and "session_id" in self.columns:
            self.columns["customer_id"] = self.columns["session_id"]
            self.notes.append(
                f"no customer column: {self.columns['session_id']!r} stands for the customer, so nobody is known twice"
            )
        if "product_id" not in self.columns:
            for role in ("coupon_id", "products.name", "category"):
                if role != "products.name":
                    self.find(role)
                elif name := self._product_name():
                    self.columns[role] = name
                if role == "coupon_id" and role in self.columns and self._coupons_are_sent():
                    self.free.append(str(self.columns.pop(role)))
                if role in self.columns:
                    self.columns["product_id"] = self.columns.pop(role)
                    self.notes.append(f"no product column: {self.columns['product_id']!r} stands for the product")
                    break
            else:
                called = [name for name in self.free if normalise_column_name(name) in COLUMN_SYNONYMS["products.name"]]
                self.notes += [
                    f"{name!r} may say who bought, so it is no product (else --map product_id={name})"
                    for name in called
                    if self._is_of_the_customer(name)
                ]
        self._settle_lines()
        self._settle_kind()
        self._settle_order()
        self._settle_returns()
        self._settle_first_lines()
        if "coupon_discount" in self.columns:
            more = [name for name in self.free if normalise_column_name(name) == "couponmatchdisc"]
            self.columns["coupon_discount"] = (str(self.columns["coupon_discount"]), *more)

    def _settle_who(self) -> None:
        """An 'id' that comes again is not the row's: it says who."""
        name = next((name for name in self.free if normalise_column_name(name) == "id"), None)
        values = self.values(name) if name else []
        if name and "customer_id" not in self.columns and len(set(values)) < 0.9 * len(values):
            self.columns["customer_id"] = name
            self.free.remove(name)
            self.notes.append(f"{name!r} comes again, so it stands for the customer (set columns.customer_id)")

    def _coupons_are_sent(self) -> bool:
        """Whether coupons are received on one day and used on another, if at all: then they are no products."""
        other = [name for name in self.free if re.search(r"receiv|issue|sent|领|发放", name.lower())]
        return any(guess_time(self.values(name), name) for name in other)

    def _find_product_by_name(self) -> None:
        """A product's name, or what is subscribed to, where no id of products is known by name."""
        if "product_id" in self.columns or self.basket or not any(map(_sounds_like_money, self.sample.columns)):
            return
        name = self._product_name()
        name = name or next((each for each in self.free if normalise_column_name(each) in SUBSCRIPTION_COLUMNS), None)
        if name:
            self.take("product_id", name, LIKELY)
            self.notes.append(f"no product column: {name!r} stands for the product")

    def _product_name(self) -> str | None:
        """Take the first column that is called as products' names are and does not say who bought."""
        persons = []
        while True:
            self.find("products.name")
            name = self.columns.pop("products.name", None)
            self.sure.pop("products.name", None)
            if not isinstance(name, str) or not self._is_of_the_customer(name):
                break
            persons.append(name)
        self.free += persons
        return name if isinstance(name, str) else None

    def _is_of_the_customer(self, name: str) -> bool:
        """Whether a column says who the customer is, so that no message may take it for a product."""
        if PERSONAL.search(name.lower()) or normalise_column_name(name) in COLUMN_SYNONYMS["customers.name"]:
            return True
        if normalise_column_name(name) == "title" and _are_salutations(self.values(name)):
            return True
        who = self.columns.get("customer_id")
        known = isinstance(who, str) and column_patterns.is_constant_per_customer(self.sample, name, who)
        return known or column_patterns.are_email_addresses(self.values(name))

    def _find_by_values(self) -> None:
        """Who and what, where no name of the trade says it: by what stays the same within one moment, and what not."""
        if "time" not in self.columns or isinstance(self.columns["time"], tuple):
            return
        time = str(self.columns["time"])
        moment = [str(self.columns[role]) for role in ("time", "clock") if role in self.columns]
        if "order_id" in self.columns:
            moment = [str(self.columns["order_id"])]
        like = {
            name: column_patterns.id_behaviour(self.sample, name, time, moment)
            for name in self.free
            if self._time_of(name) is None and not _is_nested(self.sample, name)
        }
        for role, fits in (
            ("customer_id", column_patterns.IdBehaviour.is_customer),
            ("product_id", column_patterns.IdBehaviour.is_product),
        ):
            if role in self.columns or (role == "customer_id" and "session_id" in self.columns):
                continue
            found = sorted(((each.distinct, name) for name, each in like.items() if each and fits(each)), reverse=True)
            if role == "customer_id":
                found = [pair for pair in found if not self._is_money(pair[1])]
                mail = [pair for pair in found if column_patterns.are_email_addresses(self.values(pair[1]))]
                coded = [pair for pair in found if column_patterns.are_codes(self.values(pair[1])) and pair not in mail]
                found = mail + coded + [pair for pair in found if pair not in mail + coded]
            else:
                found = [
                    pair for pair in found if not self._is_of_the_customer(pair[1]) and not self._is_money(pair[1])
                ]
            if not found or (role == "product_id" and not self._is_sales_log()):
                continue
            name = found[0][1]
            self.take(role, name, BY_VALUES, *[other for _, other in found[1:2]])
            like.pop(name)
            who = "customer" if role == "customer_id" else "product"
            self.notes.append(f"NOT SURE: by its values {name!r} stands for the {who} (--map {role}=COLUMN says which)")

    def _find_order_by_values(self) -> None:
        """What ties the lines of one purchase, where no name of the trade says it."""
        who, time = self.columns.get("customer_id"), self.columns.get("time")
        if "order_id" in self.columns or not isinstance(who, str) or not isinstance(time, str):
            return
        if self.basket:
            row = next((name for name in self.free if normalise_column_name(name) == "id"), None)
            if row and column_patterns.is_constant_per_key(self.sample, row, [who, time]) and self.filled(row) > 0.95:
                self.take("order_id", row, LIKELY)
            return
        found = [name for name in self.free if column_patterns.groups_order_lines(self.sample, name, who, time)]
        if found:
            known = normalise_column_name(found[0]) == "name"  # as Shopify calls it
            self.take("order_id", found[0], LIKELY if known else BY_VALUES, *found[1:2])
        if found and not known:
            self.notes.append(
                f"NOT SURE: by its values {found[0]!r} is the order (--map order_id=COLUMN says which is)"
            )

    def _is_money(self, name: str) -> bool:
        return _sounds_like_money(name) and column_patterns.looks_numeric(self.values(name))

    def _numeric(self) -> list[str]:
        """Free columns of numbers that are no times and say more than one thing."""
        return [
            name
            for name in self.free
            if not _is_nested(self.sample, name)
            and column_patterns.looks_numeric(values := self.values(name))
            and len({*values}) > 1
            and not NO_PRICE.search(name.lower())
            and self._time_of(name) is None
        ]

    def _find_multiplied(self) -> None:
        """Which columns are the number of units, the price of one and what a line comes to: the first two multiply."""
        known = {role: str(self.columns[role]) for role in ("quantity", "amount") if role in self.columns}
        tagged = {"list_unit_price", "list_amount", "shelf_discount"} & self.columns.keys()
        settled = len(known) == 2 and ("unit_price" not in self.columns or tagged)
        if self.basket or settled or self.fixed.keys() & {"amount", "quantity", "unit_price"}:
            return
        free = self._numeric()[:MAX_NUMERIC_COLUMNS]
        units = [name for name in free if not INSTALMENTS.search(name.lower())]
        counts = [name for name in units if column_patterns.counts_pieces(self.values(name))]
        prices = [str(self.columns[role]) for role in ("unit_price", "list_unit_price") if role in self.columns]
        lines = [str(self.columns[role]) for role in ("amount", "list_amount") if role in self.columns]
        counts = [known["quantity"]] if "quantity" in known else counts
        free = [] if len(known) == 2 else free
        found = column_patterns.find_line_total(
            self.sample, counts, [*prices, *free], lines[:1] if "amount" in known else lines + free
        )
        if found is None or (len(known) == 2 and not found.reduced):
            return
        self.columns = {role: name for role, name in self.columns.items() if role in known or name != found.line}
        if "quantity" not in known:
            self.take("quantity", found.quantity, LIKELY)
        if "amount" not in known:
            self.take("amount", found.line, LIKELY)
        listed = {"list_unit_price", "list_amount"} & self.columns.keys()
        if found.price in self.free:
            self.take("list_unit_price" if found.reduced and not listed else "unit_price", found.price, LIKELY)
        elif found.price == self.columns.get("unit_price") and found.reduced and not listed:
            self.take("list_unit_price", str(self.columns.pop("unit_price")), LIKELY)
        self.notes.append(
            f"{found.quantity!r} times {found.price!r} is {found.line!r}"
            + (", or more where something was taken off" if found.reduced else "")
            + ": read as quantity, price of one and what was paid"
        )

    def _find_money_by_name(self) -> None:
        """What was paid, where a name only sounds like money: too little to turn a log of views into purchases."""
        kind = self.columns.get("kind")
        kinds = (
            {KIND_BY_EVENT_NAME.get(normalise_event_name(value)) for value in self.values(kind)}
            if isinstance(kind, str)
            else set()
        )
        sold = self.day_only or "purchase" in kinds or {"order_id", "quantity"} & self.columns.keys()
        if not sold or any(role in self.columns for role in MONEY):
            return
        found = [name for name in self._numeric() if self._is_money(name)]
        if found:
            self.take("amount", found[0], BY_VALUES, *found[1:2])
            self.notes.append(
                f"NOT SURE: by its name {found[0]!r} is what was paid (--map amount=COLUMN says which is)"
            )

    def _find_money_by_values(self) -> None:
        """What was paid, where no name of the trade says it: a product's price hardly changes from row to row."""
        product = self.columns.get("product_id")
        if not isinstance(product, str) or any(role in self.columns for role in MONEY):
            return
        quantity = self.columns.get("quantity")
        spread: dict[tuple[str, str], float] = {}
        for name in self.free:
            if self._time_of(name) is None and column_patterns.looks_like_money(self.values(name)):
                spread["unit_price", name] = column_patterns.relative_spread(self.sample, name, product)
                if isinstance(quantity, str):
                    spread["amount", name] = column_patterns.relative_spread(self.sample, name, product, per=quantity)
        found = sorted((wide, name, role) for (role, name), wide in spread.items() if wide < column_patterns.SAME_PRICE)
        if not found:
            return
        _, name, role = found[0]
        self.take(role, name, BY_VALUES, *[other for _, other, _ in found[1:] if other != name][:1])
        self.notes.append(f"NOT SURE: by its values {name!r} is the {role} (--map {role}=COLUMN says which is)")

    def _is_sales_log(self) -> bool:
        """Whether there is money or a count, so that what was bought may be sought by values."""
        return any(role in self.columns for role in (*MONEY, "quantity"))

    def _settle_lines(self) -> None:
        """Where lines have money of their own, the order's is left out: it stands on the first line, or on each."""
        if self.basket:
            self._settle_basket()
        if not _of_line(self.columns.get("quantity", "")):
            return
        roles = ("amount", "list_amount", "unit_price", "list_unit_price", "shelf_discount", "coupon_discount")
        whole = {role: self.columns.pop(role) for role in roles if not _of_line(self.columns.get(role, "line"))}
        others = [name for name in self.free if not _of_line(name)]
        self.free = [name for name in self.free if _of_line(name)]
        for role in roles:
            if role not in self.columns:
                self.find(role)
        self.free += others
        if not any(_of_line(self.columns.get(role, "")) for role in ("unit_price", "amount")):
            self.columns = whole | self.columns
            return
        self._settle_number()
        discount = str(whole.get("coupon_discount", whole.get("shelf_discount", "")))
        if discount and self._is_off_the_lines(discount):
            self.columns["coupon_discount"] = discount
            self.settings |= {"shared": ("coupon_discount",), "amounts_before": ("coupon_discount",)}
            self.notes.append(
                f"{discount!r} is the whole order's: shared out among its lines and taken off their prices"
            )
            whole = {role: name for role, name in whole.items() if name != discount}
        if whole:
            names = ", ".join(repr(name) for name in whole.values())
            self.notes.append(f"{names}: of the whole order, left out, since each line has money of its own")

    def _settle_basket(self) -> None:
        """Amounts beside a basket are of the whole of it."""
        inside = {role for role in MONEY[:4] if str(self.columns.get(role, "")).startswith(f"{self.basket}.")}
        beside = [role for role in (*MONEY[:4], "shelf_discount", "coupon_discount") if role in self.columns]
        beside = [role for role in beside if not str(self.columns[role]).startswith(f"{self.basket}.")]
        if inside:
            left = [self.columns.pop(role) for role in beside if role in MONEY]
            if left:
                names = ", ".join(map(repr, left))
                self.notes.append(f"{names}: of the whole row, left out, since each item has money of its own")
            return
        if "unit_price" in beside:
            self.columns.setdefault("amount", self.columns["unit_price"])
            del self.columns["unit_price"]
            beside = [role for role in beside if role != "unit_price"] + ["amount"]
        if shared := tuple(role for role in dict.fromkeys(beside) if role in SUMMED_ROLES):
            self.settings["shared"] = shared
            names = ", ".join(repr(self.columns[role]) for role in shared)
            self.notes.append(
                f"{names}: of the whole basket, whose items carry no price: shared out by units, so what one product "
                "earned is not known"
            )

    def _settle_number(self) -> None:
        number = next((name for name in self.free if normalise_column_name(name) == "name"), None)
        if "order_id" not in self.columns and number and all(re.search(r"\d", value) for value in self.values(number)):
            self.take("order_id", number, LIKELY)

    def _is_off_the_lines(self, discount: str) -> bool:
        """Whether the order's discount still has to be taken off its lines: some total in the file says so."""
        lines = {"order": "order_id", "price": "unit_price", "quantity": "quantity"}
        if not all(role in self.columns for role in lines.values()):
            return False
        totals = [name for name in self.sample.columns if re.search(r"total|summe|合计", name.lower())]
        named = {name: str(self.columns[role]) for name, role in lines.items()}
        return column_patterns.is_order_discount(
            self.sample, named, discount, [name for name in totals if not _of_line(name)]
        )

    def _settle_first_lines(self) -> None:
        """What stands on an order's first line alone is of all its lines."""
        if "order_id" not in self.columns:
            return
        order = str(self.columns["order_id"])
        first = tuple(
            role
            for role in ORDER_ROLES
            if isinstance(name := self.columns.get(role), str)
            and column_patterns.is_on_first_line_only(self.sample, order, name)
        )
        if first:
            self.settings["inherit"] = first
            names = ", ".join(repr(self.columns[role]) for role in first)
            self.notes.append(f"{names}: on the first line of an order alone, so its later lines take it from there")

    def _settle_kind(self) -> None:
        if "kind" not in self.columns:
            name = next((name for name in self.free if _tells_kinds(self.values(name))), None)
            if name:
                self.take("kind", name, LIKELY)
        if "kind" in self.columns:
            name = str(self.columns["kind"])
            counted = Counter(normalise_event_name(value) for value in self.values(name))
            unknown = [word for word, _ in counted.most_common() if word not in KIND_BY_EVENT_NAME]
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
        shown = [
            name
            for name in self.free
            if normalise_column_name(name) in RESPONSE_COLUMNS and set(self.values(name)) <= {"0", "1"}
        ]
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

    def _settle_returns(self) -> None:
        """A column of its own for what was given back is read beside the order's state."""
        state = self.columns.get("status")
        if not isinstance(state, str) or "status" in self.fixed:
            return
        for name in self.free:
            if not RETURN_WORDS.search(name.lower()) or NOT_RETURN_WORDS.search(name.lower()):
                continue
            states = [re.sub(PARTIAL_STATUS, "", value.lower()) for value in self.values(name)]
            gone = sum(bool(re.search(CANCELLED_STATUS, word)) for word in states)
            # Hardly a shop takes back half of what it sells: such a column speaks of something else.
            if self._looks_right("status", name) and gone < 0.5 * self.sample.height:
                self.columns["status"] = (state, name)
                self.free.remove(name)
                self.notes.append(
                    f"{name!r} is read with {state!r} as the order's state: by it {gone:,} of {self.sample.height:,} "
                    f"sampled rows were given back and are no purchases (--map status={state} leaves it out)"
                )
                return

    def _settle_names(self) -> None:
        if "name" not in self.columns:
            first = next((name for name in self.free if _last(name) in FIRST_NAME_COLUMNS), None)
            last = next((name for name in self.free if _last(name) in LAST_NAME_COLUMNS), None)
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
            self.settings["category_path"] = column_patterns.path_separator(self.values(str(self.columns["category"])))

    def _settle_money(self) -> None:
        if normalise_column_name(str(self.columns.get("amount", ""))) == "cost" and "unit_price" in self.columns:
            self.free.append(str(self.columns.pop("amount")))  # beside a price it is what the shop paid
        self._settle_count()
        if self.table == "events":
            self._settle_converted()
            self._settle_tags()
        self._settle_list_price()
        columns = [str(self.columns[role]) for role in MONEY if role in self.columns]
        values = [value for name in columns for value in self.values(name)]
        if column_patterns.decimal_comma(values):
            self.settings["decimal"] = ","
        if columns and all(name.lower().endswith(MINOR_UNIT_SUFFIXES) for name in columns):
            self.settings["money"] = "minor"
        self._settle_currency(columns, values)
        self._settle_scale(columns, values)
        if self.table == "events":
            self._settle_repeats()
            self._settle_signs()
            self._settle_order_discount()
            self._settle_totals()
            self._say_if_there_is_no_money()

    def _settle_count(self) -> None:
        """An 'amount' of 1, 2 or 3 beside a price says how many."""
        if self.table != "events" or "amount" not in self.columns or "quantity" in self.columns:
            return
        name = str(self.columns["amount"])
        if not column_patterns.few_units(self.values(name)):
            return
        del self.columns["amount"]
        self.find("amount")
        if "amount" not in self.columns and "unit_price" not in self.columns:
            self.columns["amount"] = name
            return
        self.columns["quantity"] = name
        paid = self.columns.get("amount", self.columns.get("unit_price"))
        self.notes.append(f"{name!r} holds small whole numbers: read as the quantity, and {paid!r} as what was paid")

    def _settle_tags(self) -> None:
        """Of two prices of one thing, of which one is never the lower and often the higher, that is on the tag."""
        for paid_role, tag_role in (("unit_price", "list_unit_price"), ("amount", "list_amount")):
            if paid_role not in self.columns or isinstance(self.columns[paid_role], tuple):
                continue
            if {"list_unit_price", "list_amount"} & self.columns.keys():
                self._turn_tags(paid_role)
                continue
            paid = str(self.columns[paid_role])
            for name in self.free:
                if NO_PRICE.search(name.lower()) or not self._is_money(name) or self._is_of_the_order(name):
                    continue
                if _is_tax_apart(name, paid) or INSTALMENTS.search(name.lower()):
                    continue
                found = column_patterns.compare_amounts(self.sample, name, paid)
                if found.rows < 0.5 * self.sample.height or found.equal < 0.02:
                    continue
                if 0.01 < found.above >= 0.995 - found.equal:
                    self.take(tag_role, name, BY_VALUES + 0.15)
                elif found.above == 0 and found.equal < 0.99:
                    self.take(tag_role, paid, BY_VALUES + 0.15)
                    self.take(paid_role, name, BY_VALUES + 0.15, paid)
                else:
                    continue
                self.notes.append(
                    f"{self.columns[tag_role]!r} is never below {self.columns[paid_role]!r}: read as the price without "
                    f"a discount (--map {paid_role}=COLUMN says what was paid)"
                )
                break

    def _is_of_the_order(self, name: str) -> bool:
        """Whether each line of an order says the same, as it does of its total."""
        order, product = self.columns.get("order_id"), self.columns.get("product_id")
        known = isinstance(order, str) and isinstance(product, str)
        return known and column_patterns.repeats_by_order(self.sample, str(order), name, str(product))

    def _turn_tags(self, paid: str) -> None:
        """A tag that is always below what was paid is none: the two change places."""
        tag = {"unit_price": "list_unit_price", "amount": "list_amount"}[paid]
        if tag not in self.columns or {paid, tag} & self.fixed.keys():
            return
        found = column_patterns.compare_amounts(self.sample, str(self.columns[tag]), str(self.columns[paid]))
        if found.rows and found.above < 0.01 and found.equal < 0.9:
            self.columns[paid], self.columns[tag] = self.columns[tag], self.columns[paid]

    def _settle_scale(self, columns: list[str], values: list[str]) -> None:
        scale = column_patterns.scale_of(values) if "money" not in self.settings else 1
        if scale != 1 and columns:
            self.settings["scale"] = scale
            self.notes.append(
                f"{columns[0]}: most values are below 0.1, as where prices were scaled down: read times {scale}, so "
                "all money is in made-up units (set scale; 1 if they are real)"
            )

    def _settle_repeats(self) -> None:
        """Equal rows: with neither quantity, order nor time of day units of one purchase; lines of one receipt scans of
        one product, unless each has a time of its own or all lines of receipts come as often.
        """
        finer = ("quantity", "order_id", "event_id", "clock")
        if self.day_only and not any(role in self.columns for role in finer):
            self.settings["repeats"] = "units"
            self.notes.append("equal rows are read as several purchases, since no column counts them (set repeats)")
        order = ("order_id",) if "order_id" in self.columns else ("customer_id", "time")
        names = [self.columns.get(role) for role in (*order, "time", "product_id")]
        known = "event_id" in self.columns or self.basket or not all(isinstance(name, str) for name in names)
        sold = "order_id" in self.columns or self.settings.get("constants") == {"kind": "purchase"}
        if "repeats" in self.settings or known or not sold:
            return
        *receipt, time, product = map(str, names)
        found = column_patterns.equal_lines(self.sample, receipt, time, product)
        if found.own_times > 0.5:
            return
        if found.whole > max(found.part, 2):
            self.notes.append(
                f"every line of {found.whole:,} of {found.orders:,} sampled orders stands several times: read once "
                "(set repeats)"
            )
            return
        self.settings["repeats"] = "lines"
        if found.rows:
            quantity = self.columns.get("quantity")
            units = column_patterns.numbers(self.values(quantity)) if isinstance(quantity, str) else []
            counted = sum(value > 1 for value in units) > 0.05 * self.sample.height
            self.notes.append(
                f"{'NOT SURE: ' if counted else ''}{found.rows:,} of {self.sample.height:,} sampled rows equal an "
                "earlier line of their order: read as the product bought again (else set repeats to duplicates)"
            )

    def _say_if_there_is_no_money(self) -> None:
        if self.settings.get("constants") != VIEWS and not any(role in self.columns for role in MONEY):
            may = [repr(name) for name in self._numeric()[:4]]
            self.notes.append(
                "no price or amount column: the products' price is taken if they have one, else 0 stands for it"
                + (f"; if {' or '.join(may)} says what was paid: --map amount=COLUMN" if may else "")
            )

    def _settle_list_price(self) -> None:
        discount = "shelf_discount" in self.columns or "coupon_discount" in self.columns
        listed = "list_amount" in self.columns or "list_unit_price" in self.columns
        if discount and "unit_price" in self.columns and "amount" not in self.columns and not listed:
            name = self.columns["list_unit_price"] = self.columns.pop("unit_price")
            self.notes.append(f"{name!r} is read as the price before the discount (name it unit_price if it is after)")

    def _settle_converted(self) -> None:
        """Of amounts in several currencies beside the same in one, 'line_total_eur', those in one are taken."""
        name = self.columns.get("currency")
        codes = Counter(map(currency_code, self.values(name))) if isinstance(name, str) else Counter[str]()
        if (
            len(codes) < 2
            or codes.most_common(1)[0][1] > 0.99 * codes.total()
            or self.fixed.keys() & {*MONEY, "currency"}
        ):
            return
        for place in [*self.free, *(str(self.columns[role]) for role in MONEY if role in self.columns)]:
            word = currency_code((re.findall(r"[^\W_]+", place) or [""])[-1])
            whole = word in CURRENCY_DIGITS and self.currency in (None, word) and self.filled(place) > 0.95
            if not whole or not self._is_money(place):
                continue
            own = [role for role in (*MONEY, "shelf_discount", "coupon_discount", "currency") if role in self.columns]
            left = [str(self.columns.pop(role)) for role in own]
            role = "unit_price" if re.search(r"unit|each|item_?price|per_", place.lower()) else "amount"
            self.take(role, place, LIKELY)
            self.currency = word
            rest = ", ".join(repr(each) for each in left if each != place)
            self.notes.append(f"{place!r} is in {word} on each row, so it is taken, and {rest} in several is not")
            return

    def _settle_currency(self, columns: list[str], values: list[str]) -> None:
        found, unclear = column_patterns.guess_currency(columns, values)
        if self.table == "events" and "currency" not in self.columns:
            coded = next((name for name in self.free if column_patterns.are_currencies(self.values(name))), None)
            if coded:
                self.take("currency", coded, LIKELY)
        if "currency" in self.columns:
            name = str(self.columns["currency"])
            codes = Counter(currency_code(value) for value in self.values(name))
            found = next((code for code, _ in codes.most_common() if code in CURRENCY_DIGITS), found)
            several = [code for code, rows in codes.most_common() if rows >= 0.01 * codes.total()]
            if len(several) > 1 and not self.currency:
                shares = " and ".join(f"{code} ({codes[code] / codes.total():.0%})" for code in several[:4])
                raise InputError(
                    "currency_mixed",
                    f"{self.table}: column {name!r} holds {shares}, whose amounts cannot be added: say which one to "
                    f"plan for with --currency {several[0]} (rows in others are set aside and counted), or convert "
                    "them",
                )
            if len(codes) > 1:
                self.notes.append(f"{len(codes)} currencies: only rows in the shop's own are taken")
        if self.currency or found:
            self.settings["currency"] = self.currency or found
        if self.table == "events" and not (self.currency or found) and self.settings.get("constants") != VIEWS:
            home = guess_region(self.sample.columns)
            likely = self.settings["currency"] = home.currency if home else "USD"
            names = f" and names are {home.language_name}" if home else ""
            said = "set currency, here and under [shop]"
            self.notes.append(f"no currency is named{names}: amounts are taken for {likely} ({said})")
        if unclear and not self.currency:
            self.notes.append(f"the sign {unclear} is read as {found} (set currency)")

    def _settle_signs(self) -> None:
        if "shelf_discount" in self.columns:
            name = str(self.columns["shelf_discount"])
            kind = column_patterns.discount_kind(name, self.values(name))
            if kind != "positive":
                self.settings["discount"] = kind
            if kind == "rate":
                self.notes.append(f"{name!r} is between 0 and 1: read as a share of the price (set discount)")
        paid = next((str(self.columns[role]) for role in ("amount", "unit_price") if role in self.columns), None)
        if paid and "quantity" not in self.columns and column_patterns.mostly_negative(self.values(paid)):
            self.settings["spending"] = "negative"
            self.notes.append(f"most of {paid!r} is negative: negative amounts are read as spending (set spending)")

    def _settle_order_discount(self) -> None:
        """A discount on an order's first line alone is the whole order's: shared out, and off the prices if a total
        says so.
        """
        role = next((each for each in ("shelf_discount", "coupon_discount") if each in self.columns), "")
        name, order = self.columns.get(role), self.columns.get("order_id")
        if not isinstance(name, str) or not isinstance(order, str) or "shared" in self.settings or self.basket:
            return
        if self.settings.get("discount") in ("rate", "percent"):  # a share is of each line, and no money to share out
            return
        # Where few lines have a discount of their own, it stands first in half of the orders by chance.
        if not column_patterns.is_on_first_line_only(self.sample, order, name, least=20, share=0.95):
            return
        role = role if role in self.fixed else "coupon_discount"
        self.columns = {each: said for each, said in self.columns.items() if said != name} | {role: name}
        self.settings["shared"] = (role,)
        off = self._is_off_the_lines(name)
        if off:
            self.settings["amounts_before"] = (role,)
        self.notes.append(
            f"{name!r} is the whole order's: shared out among its lines"
            + (" and taken off their prices" if off else "")
        )

    def _settle_totals(self) -> None:
        roles = ("order_id", "amount", "product_id")
        if not all(role in self.columns for role in roles):
            return
        order, amount, product = (str(self.columns[role]) for role in roles)
        if isinstance(self.columns["amount"], tuple):
            return
        first = column_patterns.is_on_first_line_only(self.sample, order, amount)
        if self.basket or not (first or column_patterns.repeats_by_order(self.sample, order, amount, product)):
            return
        if any(role in self.columns for role in ("unit_price", "list_amount", "list_unit_price")):
            del self.columns["amount"]
            self.notes.append(f"{amount!r} repeats the order's total on each line and is left out; prices are used")
        else:
            self.settings["shared"] = ("amount",)
            self.notes.append(f"{amount!r} is the order's total: shared out among its lines by units (set shared)")

    def _settle_zone(self) -> None:
        """The shop's clock, where times carry no zone: by the language of the columns' names, else by the currency."""
        time = self.columns.get("time")
        named = isinstance(time, str) and re.search(r"(?<![a-z])(utc|gmt)(?![a-z])", time.lower())
        if named or self.zone != "UTC":
            return
        home, why = guess_region(self.sample.columns), ""
        currency = str(self.settings.get("currency", ""))
        if home:
            self.zone, why = home.zone, f"names are {home.language_name}, and "
        elif currency in ZONE_BY_CURRENCY:
            self.zone, why = ZONE_BY_CURRENCY[currency], f"money is {currency}, and "
        if self._has_zones():  # then only a customer's days are of the shop's zone
            return
        self.notes.append(f"{why}times carry no zone: read as {self.zone} (set zone if the clock is another)")

    def _settle_views(self) -> None:
        """Where baskets name what was bought and the row itself what was looked at, the product is either."""
        product = self.columns.get("product_id")
        if not self.basket or not isinstance(product, str) or "product_id" in self.fixed:
            return
        inside = product.startswith(f"{self.basket}.")
        others = [name for name in self.free if name.startswith(f"{self.basket}.") != inside]
        ranked = sorted(
            (fit, name) for name in others if (fit := name_rank(name, COLUMN_SYNONYMS["product_id"])) is not None
        )
        if ranked and self.values(ranked[0][1]):
            other = ranked[0][1]
            self.columns["product_id"] = (product, other) if inside else (other, product)
            self.free.remove(other)

    def _has_zones(self) -> bool:
        if self.settings.get("time_format") == "epoch" or "time" not in self.columns:
            return True
        if isinstance(self.columns["time"], tuple):
            return False
        dtype = self.sample.schema[str(self.columns["time"])]
        if isinstance(dtype, pl.Datetime):
            return dtype.time_zone is not None
        values = self.values(str(self.columns["time"]))
        return sum(bool(re.search(r"\d\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)$", value)) for value in values) > 0.5 * len(values)

    def _must_have_all(self) -> None:
        for role in REQUIRED_ROLES[self.table]:
            if role not in self.columns:
                what = {"time": "no column holds a time that can be read"}.get(role, f"no column looks like {role}")
                names = self.sample.columns
                shown = ", ".join(names[:MAX_VALUES_SHOWN])
                shown += f" and {len(names) - MAX_VALUES_SHOWN} more" if len(names) > MAX_VALUES_SHOWN else ""
                empty = [
                    name
                    for name in names
                    if not self.values(name) and name_rank(name, COLUMN_SYNONYMS.get(role, ())) is not None
                ]
                shown += f" ({', '.join(map(repr, empty))} is empty)" if empty else ""
                raise InputError(
                    "column_unrecognized",
                    f"{self.table}: {what}; it has {shown}. If one of them says it: --map {role}=COLUMN; if another "
                    "file does, give both: --events this.csv+other.csv",
                )
        if self.table == "words" and "text" not in self.columns and "audio" not in self.columns:
            raise InputError(
                "column_unrecognized",
                "words: no column looks like what customers wrote, or names recordings; it has "
                f"{', '.join(self.sample.columns[:MAX_VALUES_SHOWN])}. If one of them does: --map words.text=COLUMN, "
                "or --map words.audio=COLUMN",
            )


def _last(name: str) -> str:
    """The last part of a nested record's name, as it is looked up."""
    return normalise_column_name(name.rpartition(".")[2])


def _sounds_like_money(name: str) -> bool:
    """Whether a whole part of a name is a word for money, and none says that it is something else: 'net_weight'."""
    parts = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower())
    return any(map(MONEY_NAMED.fullmatch, parts)) and not any(map(NOT_MONEY.fullmatch, parts))


def _are_salutations(values: list[str]) -> bool:
    """Few short words, as 'Mr', 'Frau' and 'Prof. Dr.'; the titles of products are more or longer."""
    return len({*values}) < 10 and all(len(word) <= 6 for value in values for word in value.split())


def _is_tax_apart(one: str, other: str) -> bool:
    """Whether of two names one says before and the other with tax, so that what lies between them is no discount."""
    pairs = ((one.lower(), other.lower()), (other.lower(), one.lower()))
    return any(NET.search(net) and GROSS.search(gross) for net, gross in pairs)


def _is_nested(sample: pl.DataFrame, name: str) -> bool:
    return sample.schema[name].is_nested()


def _records(column: pl.Series) -> int:
    """How many cells hold a record such as {'amount': 3.5}."""
    return int(column.str.contains(r"^\s*\{.*:.*\}\s*$").sum())


def _of_line(name: str | tuple[str, ...]) -> bool:
    return str(name).lower().startswith("line")


def _tells_kinds(values: list[str]) -> bool:
    """Whether a column holds words for what was done, looking or putting in the cart among them."""
    kinds = [KIND_BY_EVENT_NAME.get(normalise_event_name(value)) for value in values]
    return {"view", "add_to_cart"} & {*kinds} != set() and None not in kinds and len({*kinds}) > 1
