"""Tell which columns of a table are money, units and currency, and how their amounts are meant."""

import re
from collections import Counter

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import (
    COLUMN_SYNONYMS,
    KIND_BY_EVENT_NAME,
    MINOR_UNIT_SUFFIXES,
    currency_code,
    guess_region,
    normalise_column_name,
    normalise_event_name,
)
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.currency_evidence import (
    country_currency,
    currencies_of_cells,
    may_be_cents,
    speaks_portuguese,
)
from promolift.shop.ingest.schema_matching.role_matching import (
    BY_VALUES,
    LIKELY,
    MONEY,
    ColumnAssignment,
    RoleGuess,
    name_rank,
)

INSTALMENTS = re.compile(r"parcel|instal|cuota|mensual|month|期|分割|taksit|rate[nr]")
NET = re.compile(r"netto|税抜|(?<![^\W_])(net|ht|ohne|exc?k?l)(?![^\W_])")
GROSS = re.compile(r"brutto|税込|(?<![^\W_])(gross|ttc|in[ck]l)(?![^\W_])")
VIEWS = {"kind": "view"}
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
RECOMMENDED = re.compile(r"msrp|(?<![a-z])[mr]rp|srp$|uvp|recommended|suggested|indicati|empfohlen|建议|指导价")
MICROS = re.compile(r"(product|transaction|item|total)_?(revenue|price)$|micros$", re.IGNORECASE)
CLEARLY_LESS = 0.5  # how far prices of one product lie apart under the better reading, as a share of the other's
EVER_PAID, ONE_CENT = 0.02, 0.006  # share of rows in which a shop's own tag is paid in full
MAX_NUMERIC_COLUMNS = 14  # columns of numbers that are tried against each other


class MoneyColumns(ColumnAssignment):
    """The roles that hold money, by names and by what the amounts come to."""

    def _is_money(self, name: str) -> bool:
        return sounds_like_money(name) and column_patterns.looks_numeric(self.values(name))

    def _numeric(self) -> list[str]:
        """Free columns of numbers that are no times and say more than one thing."""
        return [
            name
            for name in self.free
            if not is_nested(self.sample, name)
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

    def _is_off_the_lines(self, discount: str) -> bool:
        """Whether the order's discount still has to be taken off its lines: some total in the file says so."""
        lines = {"order": "order_id", "price": "unit_price", "quantity": "quantity"}
        if not all(role in self.columns for role in lines.values()):
            return False
        totals = [name for name in self.sample.columns if re.search(r"total|summe|合计", name.lower())]
        named = {name: str(self.columns[role]) for name, role in lines.items()}
        return column_patterns.is_order_discount(
            self.sample, named, discount, [name for name in totals if not is_of_line(name)]
        )

    def _settle_money(self) -> None:
        if normalise_column_name(str(self.columns.get("amount", ""))) == "cost" and "unit_price" in self.columns:
            self.free.append(str(self.columns.pop("amount")))  # beside a price it is what the shop paid
        self._settle_count()
        if self.table == "events":
            self._settle_converted()
            self._settle_unit_or_line()
            self._settle_recommended()
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
                if (
                    name in self.recommended
                    or NO_PRICE.search(name.lower())
                    or not self._is_money(name)
                    or self._is_of_the_order(name)
                ):
                    continue
                if _is_tax_apart(name, paid) or INSTALMENTS.search(name.lower()):
                    continue
                if paid_role == "amount" and self._is_price_of(name, paid):
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

    def _settle_unit_or_line(self) -> None:
        """Money beside a number of units is of one unit or of the line: of the two, a product's price varies less."""
        product, units = self.columns.get("product_id"), self.columns.get("quantity")
        both = "unit_price" in self.columns and "amount" in self.columns
        if both or self.basket or not isinstance(product, str) or not isinstance(units, str):
            return
        for role, other in (("unit_price", "amount"), ("amount", "unit_price")):
            name = self.columns.get(role)
            if not isinstance(name, str) or role in self.fixed or self._is_of_the_order(name) or is_of_line(name):
                continue
            whole = column_patterns.relative_spread(self.sample, name, product)
            each = column_patterns.relative_spread(self.sample, name, product, per=units)
            own, turned = (whole, each) if role == "unit_price" else (each, whole)
            if turned >= min(column_patterns.SAME_PRICE, CLEARLY_LESS * own):
                continue
            del self.columns[role]
            self.take(other, name, LIKELY)
            meaning = "what a line comes to" if other == "amount" else "the price of one unit"
            self.notes.append(
                f"{name!r} is read as {meaning}: so the prices of one product hardly vary (else --map {role}={name})"
            )
            return

    def _settle_recommended(self) -> None:
        """A maker's recommended price that nobody ever paid is no price of the shop's: it shows no discount."""
        for role in ("list_unit_price", "list_amount"):
            name, paid = self.columns.get(role), self.columns.get("unit_price", self.columns.get("amount"))
            if not isinstance(name, str) or not isinstance(paid, str) or role in self.fixed:
                continue
            if not RECOMMENDED.search(normalise_column_name(name)):
                continue
            each = column_patterns.floats(self.sample, paid)
            if "unit_price" not in self.columns and isinstance(units := self.columns.get("quantity"), str):
                each = each / column_patterns.floats(self.sample, units)
            pairs = pl.DataFrame({"paid": each, "tag": column_patterns.floats(self.sample, name)}).drop_nulls()
            equal = pairs.filter((pl.col("paid") - pl.col("tag")).abs() < ONE_CENT)
            if pairs.height < 20 or equal.height >= EVER_PAID * pairs.height:
                continue
            del self.columns[role]
            self.recommended.add(name)
            self.notes.append(
                f"{name!r} is hardly ever what was paid: left out as a recommended price, since a discount from it "
                f"would be invented (--map {role}={name} reads it as the price without a discount)"
            )

    def _is_of_the_order(self, name: str) -> bool:
        """Whether each line of an order says the same, as it does of its total."""
        order, product = self.columns.get("order_id"), self.columns.get("product_id")
        known = isinstance(order, str) and isinstance(product, str)
        return known and column_patterns.repeats_by_order(self.sample, str(order), name, str(product))

    def _is_price_of(self, name: str, line: str) -> bool:
        """Whether a column times the units is what a line comes to, so that it is a price of one."""
        units = self.columns.get("quantity")
        return isinstance(units, str) and bool(column_patterns.find_line_total(self.sample, [units], [name], [line]))

    def _turn_tags(self, paid: str) -> None:
        """A tag that is always below what was paid is none: the two change places."""
        tag = {"unit_price": "list_unit_price", "amount": "list_amount"}[paid]
        if tag not in self.columns or {paid, tag} & self.fixed.keys():
            return
        found = column_patterns.compare_amounts(self.sample, str(self.columns[tag]), str(self.columns[paid]))
        if found.rows and found.above < 0.01 and found.equal < 0.9:
            self.columns[paid], self.columns[tag] = self.columns[tag], self.columns[paid]

    def _settle_scale(self, columns: list[str], values: list[str]) -> None:
        if columns and any(map(MICROS.search, columns)) and column_patterns.are_micros(values):
            self.settings["scale"] = 1e-6
            self.notes.append(f"{columns[0]!r} counts millionths, as Google Analytics 360 does: read times 0.000001")
            return
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
            named = [
                name
                for name in self.free
                if any(name_rank(name, COLUMN_SYNONYMS[each]) is not None for each in MONEY[:4])
            ]
            for name in (
                each for each in named if self.values(each) and not column_patterns.looks_numeric(self.values(each))
            ):
                self.notes.append(f"NOT SURE: {name!r} is called as amounts are, but most of its values are no numbers")
            self.notes.append(
                "no price or amount column: the products' price is taken if they have one, else 0 stands for it"
                + (f"; if {' or '.join(may)} says what was paid: --map amount=COLUMN" if may else "")
            )

    def _settle_list_price(self) -> None:
        discount = "shelf_discount" in self.columns or "coupon_discount" in self.columns
        listed = "list_amount" in self.columns or "list_unit_price" in self.columns
        if discount and "unit_price" in self.columns and "amount" not in self.columns and not listed:
            name = self.columns["list_unit_price"] = self.columns.pop("unit_price")
            if "unit_price" not in self.fixed:  # nothing in the file says whether the discount is off already
                self.sure["list_unit_price"] = RoleGuess(str(name), BY_VALUES, "", ())
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
        elif self.table == "events" and len(codes := currencies_of_cells(values)) > 1:
            self._settle_signs_of_currencies(columns, codes)
        if self.currency or found:
            self.settings["currency"] = self.currency or found
        if self.table == "events" and not (self.currency or found) and self.settings.get("constants") != VIEWS:
            home = guess_region(self.sample.columns)
            country = country_currency(self.sample)
            spoken = "BRL" if speaks_portuguese(self.sample.columns) else None
            likely = self.settings["currency"] = country or (home.currency if home else spoken) or "USD"
            names = f" and names are {home.language_name}" if home else ""
            names = " and nearly all rows are of one country" if country else names
            if columns:
                self.assumed["currency"] = likely
            sure = "NOT SURE: " if columns else ""
            said = "set currency, here and under [shop]"
            self.notes.append(f"{sure}no currency is named{names}: amounts are taken for {likely} ({said})")
        self._doubt_units(columns, values)
        if unclear and not self.currency:
            self.notes.append(f"the sign {unclear} is read as {found} (set currency)")

    def _settle_signs_of_currencies(self, columns: list[str], codes: Counter[str]) -> None:
        """Amounts whose cells carry signs of several currencies: those in another than the shop's are set aside."""
        several = [code for code, rows in codes.most_common() if rows >= 0.01 * codes.total()]
        name = next(name for name in columns if len(currencies_of_cells(self.values(name))) > 1)
        shares = " and ".join(f"{code} ({codes[code] / codes.total():.0%})" for code in several[:4])
        if len(several) > 1 and not self.currency:
            raise InputError(
                "currency_mixed",
                f"{self.table}: column {name!r} holds {shares}, whose amounts cannot be added: say which one to plan "
                f"for with --currency {several[0]} (rows in others are set aside and counted), or convert them",
            )
        self.columns["currency"] = name
        self.notes.append(f"{name!r} carries signs of {len(codes)} currencies: only rows in the shop's own are taken")

    def _doubt_units(self, columns: list[str], values: list[str]) -> None:
        """Say that whole amounts may be cents."""
        unknown = columns and self.table == "events" and not {"money", "scale"} & self.settings.keys()
        if unknown and may_be_cents(values, str(self.settings.get("currency", "USD"))):
            self.assumed["money"] = "major"
            self.notes.append(
                f"NOT SURE: all amounts of {columns[0]!r} are whole numbers such as {values[0]}: read as "
                f"{self.settings.get('currency')}, not as its cents (--map money=minor says that they are cents)"
            )

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
        listed = self.columns.get("list_amount")
        by_line = "unit_price" in self.columns and "list_amount" not in self.fixed and not self.basket
        if by_line and isinstance(listed, str) and self._is_of_the_order(listed):
            del self.columns["list_amount"]
            self.notes.append(f"{listed!r} is of the whole order, left out, since each line has a price of its own")
        roles = ("order_id", "amount", "product_id")
        if not all(role in self.columns for role in roles):
            return
        order, amount, product = (str(self.columns[role]) for role in roles)
        if isinstance(self.columns["amount"], tuple):
            return
        first = column_patterns.is_on_first_line_only(self.sample, order, amount)
        if self.basket or not (first or column_patterns.repeats_by_order(self.sample, order, amount, product)):
            return
        units = self.columns.get("quantity")
        if isinstance(units, str) and "unit_price" not in self.columns:
            of_lines = [name for name in self.free if column_patterns.looks_numeric(self.values(name))]
            priced = column_patterns.find_price_by_total(self.sample, order, units, of_lines, amount)
            if priced:
                self.take("unit_price", priced, LIKELY)
                self.notes.append(f"{priced!r} times {units!r} comes to {amount!r} over an order: read as the price")
        if any(role in self.columns for role in ("unit_price", "list_amount", "list_unit_price")):
            del self.columns["amount"]
            self.notes.append(f"{amount!r} repeats the order's total on each line and is left out; prices are used")
        else:
            self.settings["shared"] = ("amount",)
            self.notes.append(f"{amount!r} is the order's total: shared out among its lines by units (set shared)")


def sounds_like_money(name: str) -> bool:
    """Whether a whole part of a name is a word for money, and none says that it is something else: 'net_weight'."""
    parts = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower())
    return any(map(MONEY_NAMED.fullmatch, parts)) and not any(map(NOT_MONEY.fullmatch, parts))


def _is_tax_apart(one: str, other: str) -> bool:
    """Whether of two names one says before and the other with tax, so that what lies between them is no discount."""
    pairs = ((one.lower(), other.lower()), (other.lower(), one.lower()))
    return any(NET.search(net) and GROSS.search(gross) for net, gross in pairs)


def is_nested(sample: pl.DataFrame, name: str) -> bool:
    """Whether the cells of a column are lists or records."""
    return sample.schema[name].is_nested()


def is_of_line(name: str | tuple[str, ...]) -> bool:
    """Whether a column is by its name of a line, not of the whole order."""
    return str(name).lower().startswith("line")
