"""Solve jointly which columns are units, prices and amounts: by names, and by which of them multiply to which.

In: a draft with the roles that names alone have settled. Out: the draft with the roles of money, before and after
discounts, and notes on what the numbers showed.
"""

import re
from collections import Counter

import polars as pl

from promolift.foundation.files.column_names import (
    KIND_BY_EVENT_NAME,
    currency_code,
    normalise_column_name,
    normalise_event_name,
)
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.event_mapping.order_lines import is_of_line, is_of_the_order
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MONEY, MappingDraft, RoleGuess, is_nested
from promolift.shop.ingest.schema_matching.role_matching.role_scores import BY_VALUES, LIKELY, find

INSTALMENTS = re.compile(r"parcel|instal|cuota|mensual|month|期|分割|taksit|rate[nr]")
NET = re.compile(r"netto|税抜|(?<![^\W_])(net|ht|ohne|exc?k?l)(?![^\W_])")
GROSS = re.compile(r"brutto|税込|(?<![^\W_])(gross|ttc|in[ck]l)(?![^\W_])")
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
CLEARLY_LESS = 0.5  # how far prices of one product lie apart under the better reading, as a share of the other's
EVER_PAID, ONE_CENT = 0.02, 0.006  # share of rows in which a shop's own tag is paid in full
MAX_NUMERIC_COLUMNS = 14  # columns of numbers that are tried against each other


def is_money(draft: MappingDraft, name: str) -> bool:
    """Whether a column is called as money is and holds numbers."""
    return sounds_like_money(name) and column_patterns.looks_numeric(draft.values(name))


def numeric_columns(draft: MappingDraft) -> list[str]:
    """Free columns of numbers that are no times and say more than one thing."""
    return [
        name
        for name in draft.free
        if not is_nested(draft.sample, name)
        and column_patterns.looks_numeric(values := draft.values(name))
        and len({*values}) > 1
        and not NO_PRICE.search(name.lower())
        and draft.time_of(name) is None
    ]


def find_multiplied(draft: MappingDraft) -> None:
    """Which columns are the number of units, the price of one and what a line comes to: the first two multiply."""
    known = {role: str(draft.columns[role]) for role in ("quantity", "amount") if role in draft.columns}
    tagged = {"list_unit_price", "list_amount", "shelf_discount"} & draft.columns.keys()
    settled = len(known) == 2 and ("unit_price" not in draft.columns or tagged)
    if draft.basket or settled or draft.fixed.keys() & {"amount", "quantity", "unit_price"}:
        return
    free = numeric_columns(draft)[:MAX_NUMERIC_COLUMNS]
    units = [name for name in free if not INSTALMENTS.search(name.lower())]
    counts = [name for name in units if column_patterns.counts_pieces(draft.values(name))]
    prices = [str(draft.columns[role]) for role in ("unit_price", "list_unit_price") if role in draft.columns]
    lines = [str(draft.columns[role]) for role in ("amount", "list_amount") if role in draft.columns]
    counts = [known["quantity"]] if "quantity" in known else counts
    free = [] if len(known) == 2 else free
    found = column_patterns.find_line_total(
        draft.sample, counts, [*prices, *free], lines[:1] if "amount" in known else lines + free
    )
    if found is None or (len(known) == 2 and not found.reduced):
        return
    draft.columns = {role: name for role, name in draft.columns.items() if role in known or name != found.line}
    if "quantity" not in known:
        draft.take("quantity", found.quantity, LIKELY)
    if "amount" not in known:
        draft.take("amount", found.line, LIKELY)
    listed = {"list_unit_price", "list_amount"} & draft.columns.keys()
    if found.price in draft.free:
        draft.take("list_unit_price" if found.reduced and not listed else "unit_price", found.price, LIKELY)
    elif found.price == draft.columns.get("unit_price") and found.reduced and not listed:
        draft.take("list_unit_price", str(draft.columns.pop("unit_price")), LIKELY)
    meaning = gettext_noop("{quantity} times {price} is {line}: read as quantity, price of one and what was paid")
    if found.reduced:
        meaning = gettext_noop(
            "{quantity} times {price} is {line}, or more where something was taken off: read as quantity, price of one "
            "and what was paid"
        )
    columns = {"quantity": repr(found.quantity), "price": repr(found.price), "line": repr(found.line)}
    draft.notes.append(gettext_lazy(meaning, **columns))


def find_money_by_name(draft: MappingDraft) -> None:
    """What was paid, where a name only sounds like money: too little to turn a log of views into purchases."""
    kind = draft.columns.get("kind")
    kinds = (
        {KIND_BY_EVENT_NAME.get(normalise_event_name(value)) for value in draft.values(kind)}
        if isinstance(kind, str)
        else set()
    )
    sold = draft.day_only or "purchase" in kinds or {"order_id", "quantity"} & draft.columns.keys()
    if not sold or any(role in draft.columns for role in MONEY):
        return
    found = [name for name in numeric_columns(draft) if is_money(draft, name)]
    if found:
        draft.take("amount", found[0], BY_VALUES, *found[1:2])
        draft.notes.append(
            gettext_lazy(
                "NOT SURE: by its name {found} is what was paid (--map amount=COLUMN says which is)",
                found=repr(found[0]),
            )
        )


def find_money_by_values(draft: MappingDraft) -> None:
    """What was paid, where no name of the trade says it: a product's price hardly changes from row to row."""
    product = draft.columns.get("product_id")
    if not isinstance(product, str) or any(role in draft.columns for role in MONEY):
        return
    quantity = draft.columns.get("quantity")
    spread: dict[tuple[str, str], float] = {}
    for name in draft.free:
        if draft.time_of(name) is None and column_patterns.looks_like_money(draft.values(name)):
            spread["unit_price", name] = column_patterns.relative_spread(draft.sample, name, product)
            if isinstance(quantity, str):
                spread["amount", name] = column_patterns.relative_spread(draft.sample, name, product, per=quantity)
    found = sorted((wide, name, role) for (role, name), wide in spread.items() if wide < column_patterns.SAME_PRICE)
    if not found:
        return
    _, name, role = found[0]
    draft.take(role, name, BY_VALUES, *[other for _, other, _ in found[1:] if other != name][:1])
    draft.notes.append(
        gettext_lazy(
            "NOT SURE: by its values {name} is the {role} (--map {role}=COLUMN says which is)",
            name=repr(name),
            role=role,
        )
    )


def settle_count(draft: MappingDraft) -> None:
    """An 'amount' of 1, 2 or 3 beside a price says how many."""
    if draft.table != "events" or "amount" not in draft.columns or "quantity" in draft.columns:
        return
    name = str(draft.columns["amount"])
    if not column_patterns.few_units(draft.values(name)):
        return
    del draft.columns["amount"]
    find(draft, "amount")
    if "amount" not in draft.columns and "unit_price" not in draft.columns:
        draft.columns["amount"] = name
        return
    draft.columns["quantity"] = name
    paid = draft.columns.get("amount", draft.columns.get("unit_price"))
    draft.notes.append(
        gettext_lazy(
            "{name} holds small whole numbers: read as the quantity, and {paid} as what was paid",
            name=repr(name),
            paid=repr(paid),
        )
    )


def settle_converted(draft: MappingDraft) -> None:
    """Of amounts in several currencies beside the same in one, 'line_total_eur', those in one are taken."""
    name = draft.columns.get("currency")
    codes = Counter(map(currency_code, draft.values(name))) if isinstance(name, str) else Counter[str]()
    if len(codes) < 2 or codes.most_common(1)[0][1] > 0.99 * codes.total() or draft.fixed.keys() & {*MONEY, "currency"}:
        return
    for place in [*draft.free, *(str(draft.columns[role]) for role in MONEY if role in draft.columns)]:
        word = currency_code((re.findall(r"[^\W_]+", place) or [""])[-1])
        whole = word in CURRENCY_DIGITS and draft.currency in (None, word) and draft.filled(place) > 0.95
        if not whole or not is_money(draft, place):
            continue
        own = [role for role in (*MONEY, "shelf_discount", "coupon_discount", "currency") if role in draft.columns]
        left = [str(draft.columns.pop(role)) for role in own]
        role = "unit_price" if re.search(r"unit|each|item_?price|per_", place.lower()) else "amount"
        draft.take(role, place, LIKELY)
        draft.currency = word
        rest = ", ".join(repr(each) for each in left if each != place)
        draft.notes.append(
            gettext_lazy(
                "{place} is in {word} on each row, so it is taken, and {rest} in several is not",
                place=repr(place),
                word=word,
                rest=rest,
            )
        )
        return


def settle_unit_or_line(draft: MappingDraft) -> None:
    """Money beside a number of units is of one unit or of the line: of the two, a product's price varies less."""
    product, units = draft.columns.get("product_id"), draft.columns.get("quantity")
    both = "unit_price" in draft.columns and "amount" in draft.columns
    if both or draft.basket or not isinstance(product, str) or not isinstance(units, str):
        return
    for role, other in (("unit_price", "amount"), ("amount", "unit_price")):
        name = draft.columns.get(role)
        if not isinstance(name, str) or role in draft.fixed or is_of_the_order(draft, name) or is_of_line(name):
            continue
        whole = column_patterns.relative_spread(draft.sample, name, product)
        each = column_patterns.relative_spread(draft.sample, name, product, per=units)
        own, turned = (whole, each) if role == "unit_price" else (each, whole)
        if turned >= min(column_patterns.SAME_PRICE, CLEARLY_LESS * own):
            continue
        del draft.columns[role]
        draft.take(other, name, LIKELY)
        meaning = gettext_noop(
            "{column} is read as the price of one unit: so the prices of one product hardly vary "
            "(else --map {role}={name})"
        )
        if other == "amount":
            meaning = gettext_noop(
                "{column} is read as what a line comes to: so the prices of one product hardly vary (else --map "
                "{role}={name})"
            )
        draft.notes.append(gettext_lazy(meaning, column=repr(name), role=role, name=name))
        return


def settle_recommended(draft: MappingDraft) -> None:
    """A maker's recommended price that nobody ever paid is no price of the shop's: it shows no discount."""
    for role in ("list_unit_price", "list_amount"):
        name, paid = draft.columns.get(role), draft.columns.get("unit_price", draft.columns.get("amount"))
        if not isinstance(name, str) or not isinstance(paid, str) or role in draft.fixed:
            continue
        if not RECOMMENDED.search(normalise_column_name(name)):
            continue
        each = column_patterns.floats(draft.sample, paid)
        if "unit_price" not in draft.columns and isinstance(units := draft.columns.get("quantity"), str):
            each = each / column_patterns.floats(draft.sample, units)
        pairs = pl.DataFrame({"paid": each, "tag": column_patterns.floats(draft.sample, name)}).drop_nulls()
        equal = pairs.filter((pl.col("paid") - pl.col("tag")).abs() < ONE_CENT)
        if pairs.height < 20 or equal.height >= EVER_PAID * pairs.height:
            continue
        del draft.columns[role]
        draft.recommended.add(name)
        draft.notes.append(
            gettext_lazy(
                "{name} is hardly ever what was paid: left out as a recommended price, since a discount "
                "from it would be invented (--map {role}={name_2} reads it as the price without a "
                "discount)",
                name=repr(name),
                role=role,
                name_2=name,
            )
        )


def settle_tags(draft: MappingDraft) -> None:
    """Of two prices of one thing, of which one is never the lower and often the higher, that is on the tag."""
    for paid_role, tag_role in (("unit_price", "list_unit_price"), ("amount", "list_amount")):
        if paid_role not in draft.columns or isinstance(draft.columns[paid_role], tuple):
            continue
        if {"list_unit_price", "list_amount"} & draft.columns.keys():
            _turn_tags(draft, paid_role)
            continue
        paid = str(draft.columns[paid_role])
        for name in draft.free:
            if (
                name in draft.recommended
                or NO_PRICE.search(name.lower())
                or not is_money(draft, name)
                or is_of_the_order(draft, name)
            ):
                continue
            if _is_tax_apart(name, paid) or INSTALMENTS.search(name.lower()):
                continue
            if paid_role == "amount" and _is_price_of(draft, name, paid):
                continue
            found = column_patterns.compare_amounts(draft.sample, name, paid)
            if found.rows < 0.5 * draft.sample.height or found.equal < 0.02:
                continue
            if 0.01 < found.above >= 0.995 - found.equal:
                draft.take(tag_role, name, BY_VALUES + 0.15)
            elif found.above == 0 and found.equal < 0.99:
                draft.take(tag_role, paid, BY_VALUES + 0.15)
                draft.take(paid_role, name, BY_VALUES + 0.15, paid)
            else:
                continue
            draft.notes.append(
                gettext_lazy(
                    "{columns} is never below {columns_2}: read as the price without a discount (--map "
                    "{paid_role}=COLUMN says what was paid)",
                    columns=repr(draft.columns[tag_role]),
                    columns_2=repr(draft.columns[paid_role]),
                    paid_role=paid_role,
                )
            )
            break


def _turn_tags(draft: MappingDraft, paid: str) -> None:
    """A tag that is always below what was paid is none: the two change places."""
    tag = {"unit_price": "list_unit_price", "amount": "list_amount"}[paid]
    if tag not in draft.columns or {paid, tag} & draft.fixed.keys():
        return
    found = column_patterns.compare_amounts(draft.sample, str(draft.columns[tag]), str(draft.columns[paid]))
    if found.rows and found.above < 0.01 and found.equal < 0.9:
        draft.columns[paid], draft.columns[tag] = draft.columns[tag], draft.columns[paid]


def _is_price_of(draft: MappingDraft, name: str, line: str) -> bool:
    """Whether a column times the units is what a line comes to, so that it is a price of one."""
    units = draft.columns.get("quantity")
    return isinstance(units, str) and bool(column_patterns.find_line_total(draft.sample, [units], [name], [line]))


def settle_list_price(draft: MappingDraft) -> None:
    """Read the only price beside a discount as the price before it."""
    discount = "shelf_discount" in draft.columns or "coupon_discount" in draft.columns
    listed = "list_amount" in draft.columns or "list_unit_price" in draft.columns
    if discount and "unit_price" in draft.columns and "amount" not in draft.columns and not listed:
        name = draft.columns["list_unit_price"] = draft.columns.pop("unit_price")
        if "unit_price" not in draft.fixed:  # nothing in the file says whether the discount is off already
            draft.sure["list_unit_price"] = RoleGuess(str(name), BY_VALUES, "", ())
        draft.notes.append(
            gettext_lazy(
                "{name} is read as the price before the discount (name it unit_price if it is after)", name=repr(name)
            )
        )


def sounds_like_money(name: str) -> bool:
    """Whether a whole part of a name is a word for money, and none says that it is something else: 'net_weight'."""
    parts = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower())
    return any(map(MONEY_NAMED.fullmatch, parts)) and not any(map(NOT_MONEY.fullmatch, parts))


def _is_tax_apart(one: str, other: str) -> bool:
    """Whether of two names one says before and the other with tax, so that what lies between them is no discount."""
    pairs = ((one.lower(), other.lower()), (other.lower(), one.lower()))
    return any(NET.search(net) and GROSS.search(gross) for net, gross in pairs)
