"""Tell the roles of an event log: who, what, which order, what was done, when, and what is said once per order."""

import re
from collections import Counter

import polars as pl

from promolift.foundation.files.column_names import (
    CANCELLED_STATUS,
    COLUMN_SYNONYMS,
    KIND_BY_EVENT_NAME,
    PARTIAL_STATUS,
    ZONE_BY_CURRENCY,
    guess_region,
    normalise_column_name,
    normalise_event_name,
)
from promolift.foundation.files.time_formats import guess_time
from promolift.shop.configuration.column_mapping import (
    ORDER_ROLES,
    SUMMED_ROLES,
    Kind,
)
from promolift.shop.ingest.cleaning.sql_casts import NULL_TEXTS
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.event_mapping.money_columns import (
    VIEWS,
    MoneyColumns,
    is_nested,
    is_of_line,
    sounds_like_money,
)
from promolift.shop.ingest.schema_matching.role_matching import (
    BY_VALUES,
    LIKELY,
    MONEY,
    name_rank,
)

KIND_CODES: tuple[dict[str, Kind], ...] = (
    {"1": "view", "2": "other", "3": "add_to_cart", "4": "purchase"},
    {"0": "view", "1": "add_to_cart", "2": "purchase", "3": "other"},
)  # of public click logs; 'other' is a favourite
ECOMMERCE_ACTIONS: dict[str, Kind] = {
    **{"0": "other", "1": "other", "2": "view", "3": "add_to_cart", "4": "other", "5": "other", "6": "purchase"},
    **{"7": "refund", "8": "other"},
}  # of `eCommerceAction.action_type` in Google Analytics 360
RETURN_WORDS = re.compile(r"refund|return|退款|退货|售后|返品|返金")
# What sounds like it and is not: a customer who comes again, and what may be given back, until when and why it was.
NOT_RETURN_WORDS = re.compile(r"returning|polic|window|able|reason|eligib")
RESPONSE_COLUMNS = ("click", "clicked", "isclick", "clk", "conversion", "converted", "label", "purchased")
PERSONAL = re.compile(
    r"e-?mail|phone|mobile|telef|\btel\b|address|street|\bzip|postal|postcode|\bcep\b|birth|\bdob\b|doctor|patient"
    r"|recipient|(customer|client|buyer|member|cardholder|student|user|guest)s?[ _-]?(full)?[ _-]?name|firma|company"
    r"|手机|电话|地址|收货|姓名|昵称|氏名|住所|ニックネーム|điện thoại|địa chỉ|müşteri ad|adres"
)
MIN_OF_COUPONS = 0.9  # share of the discounted rows that must name a coupon
SUBSCRIPTION_COLUMNS = (
    *("membership", "membershiptype", "membershipplan", "plan", "plantype", "subscription", "subscriptiontype"),
    *("subscriptionname", "course", "coursename", "package", "packagename", "programme", "program"),
    *("课程", "课程名称", "会员卡类型", "コース", "abo", "tarif"),
)


class EventColumns(MoneyColumns):
    """The roles of an event log, by names of the trade, then by how values repeat within a customer or an order."""

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
                if role == "coupon_id" and role in self.columns:
                    pass
                elif role != "products.name":
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
        if "product_id" in self.columns or self.basket or not any(map(sounds_like_money, self.sample.columns)):
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
            if self._time_of(name) is None and not is_nested(self.sample, name)
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

    def _is_sales_log(self) -> bool:
        """Whether there is money or a count, so that what was bought may be sought by values."""
        return any(role in self.columns for role in (*MONEY, "quantity"))

    def _settle_lines(self) -> None:
        """Where lines have money of their own, the order's is left out: it stands on the first line, or on each."""
        if self.basket:
            self._settle_basket()
        if not is_of_line(self.columns.get("quantity", "")):
            return
        roles = ("amount", "list_amount", "unit_price", "list_unit_price", "shelf_discount", "coupon_discount")
        whole = {role: self.columns.pop(role) for role in roles if not is_of_line(self.columns.get(role, "line"))}
        others = [name for name in self.free if not is_of_line(name)]
        self.free = [name for name in self.free if is_of_line(name)]
        for role in roles:
            if role not in self.columns:
                self.find(role)
        self.free += others
        if not any(is_of_line(self.columns.get(role, "")) for role in ("unit_price", "amount")):
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
            known = (ECOMMERCE_ACTIONS,) if "ecommerceaction" in normalise_column_name(name) else KIND_CODES
            codes = next((codes for codes in known if len(counted) > 1 and set(counted) <= codes.keys()), None)
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

    def _settle_coupon_code(self) -> None:
        """Codes of coupons say whose a discount is, where rows without one have hardly any."""
        code = self.columns.get("coupon_id")
        if not isinstance(code, str) or "coupon_id" in self.fixed or "coupon_discount" in self.columns:
            return
        cells = self.sample[code].cast(pl.String, strict=False).fill_null("").str.strip_chars().str.to_lowercase()
        said = ~cells.is_in(NULL_TEXTS)
        rows = self.sample.select(said.alias("said"), self._discounted().alias("off"))
        if isinstance(order := self.columns.get("order_id"), str):
            known = rows.with_columns(order=self.sample[order])
            rows = known.with_columns(pl.col("said").any().over("order"))
        off = rows.filter(pl.col("off"))
        if off.height and off["said"].sum() < MIN_OF_COUPONS * off.height:
            self.free.append(str(self.columns.pop("coupon_id")))
            self.notes.append(
                f"{code!r} holds codes of coupons, but rows without one have discounts, too: all are read as "
                f"everybody's (--map coupon_id={code} reads those beside a code as the coupon's)"
            )
        elif off.height:
            self.notes.append(f"{code!r} names coupons: what was taken off beside a code is read as the coupon's")
        else:
            self.notes.append(f"{code!r} names coupons, and no column says what they took off")

    def _discounted(self) -> pl.Series:
        """Whether each row of the sample has a discount, as far as its columns say."""
        if isinstance(name := self.columns.get("shelf_discount"), str):
            return column_patterns.floats(self.sample, name).fill_null(0) != 0
        for paid, listed in (("unit_price", "list_unit_price"), ("amount", "list_amount")):
            names = [self.columns.get(role) for role in (paid, listed)]
            if all(isinstance(name, str) for name in names):
                one, other = (column_patterns.floats(self.sample, str(name)) for name in names)
                return (other - one > 0.005).fill_null(False)
        return pl.repeat(False, self.sample.height, eager=True)

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


def _are_salutations(values: list[str]) -> bool:
    """Few short words, as 'Mr', 'Frau' and 'Prof. Dr.'; the titles of products are more or longer."""
    return len({*values}) < 10 and all(len(word) <= 6 for value in values for word in value.split())


def _tells_kinds(values: list[str]) -> bool:
    """Whether a column holds words for what was done, looking or putting in the cart among them."""
    kinds = [KIND_BY_EVENT_NAME.get(normalise_event_name(value)) for value in values]
    return {"view", "add_to_cart"} & {*kinds} != set() and None not in kinds and len({*kinds}) > 1
