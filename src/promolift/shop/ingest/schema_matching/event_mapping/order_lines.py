"""Solve jointly what the lines of an order share: totals, discounts, baskets, repeated rows, first lines.

In: a draft with customers, orders, products and columns of money. Out: the draft, in which each amount is of
a line or is shared out among the lines of its order, so that no sum counts twice.
"""

import re

from promolift.foundation.files.column_names import normalise_column_name
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.configuration.column_mapping import ORDER_ROLES, SUMMED_ROLES
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MONEY, MappingDraft
from promolift.shop.ingest.schema_matching.role_matching.role_scores import LIKELY, find


def settle_lines(draft: MappingDraft) -> None:
    """Where lines have money of their own, the order's is left out: it stands on the first line, or on each."""
    if draft.basket:
        _settle_basket(draft)
    if not is_of_line(draft.columns.get("quantity", "")):
        return
    roles = ("amount", "list_amount", "unit_price", "list_unit_price", "shelf_discount", "coupon_discount")
    whole = {role: draft.columns.pop(role) for role in roles if not is_of_line(draft.columns.get(role, "line"))}
    others = [name for name in draft.free if not is_of_line(name)]
    draft.free = [name for name in draft.free if is_of_line(name)]
    for role in roles:
        if role not in draft.columns:
            find(draft, role)
    draft.free += others
    if not any(is_of_line(draft.columns.get(role, "")) for role in ("unit_price", "amount")):
        draft.columns = whole | draft.columns
        return
    _settle_number(draft)
    discount = str(whole.get("coupon_discount", whole.get("shelf_discount", "")))
    if discount and is_off_the_lines(draft, discount):
        draft.columns["coupon_discount"] = discount
        draft.settings |= {"shared": ("coupon_discount",), "amounts_before": ("coupon_discount",)}
        draft.notes.append(
            gettext_lazy(
                "{name} is the whole order's: shared out among its lines and taken off their prices",
                name=repr(discount),
            )
        )
        whole = {role: name for role, name in whole.items() if name != discount}
    if whole:
        names = ", ".join(repr(name) for name in whole.values())
        draft.notes.append(
            gettext_lazy("{names}: of the whole order, left out, since each line has money of its own", names=names)
        )


def _settle_basket(draft: MappingDraft) -> None:
    """Amounts beside a basket are of the whole of it."""
    inside = {role for role in MONEY[:4] if str(draft.columns.get(role, "")).startswith(f"{draft.basket}.")}
    beside = [role for role in (*MONEY[:4], "shelf_discount", "coupon_discount") if role in draft.columns]
    beside = [role for role in beside if not str(draft.columns[role]).startswith(f"{draft.basket}.")]
    if inside:
        left = [draft.columns.pop(role) for role in beside if role in MONEY]
        if left:
            names = ", ".join(map(repr, left))
            draft.notes.append(
                gettext_lazy("{names}: of the whole row, left out, since each item has money of its own", names=names)
            )
        return
    if "unit_price" in beside:
        draft.columns.setdefault("amount", draft.columns["unit_price"])
        del draft.columns["unit_price"]
        beside = [role for role in beside if role != "unit_price"] + ["amount"]
    if shared := tuple(role for role in dict.fromkeys(beside) if role in SUMMED_ROLES):
        draft.settings["shared"] = shared
        names = ", ".join(repr(draft.columns[role]) for role in shared)
        draft.notes.append(
            gettext_lazy(
                "{names}: of the whole basket, whose items carry no price: shared out by units, so what "
                "one product earned is not known",
                names=names,
            )
        )


def _settle_number(draft: MappingDraft) -> None:
    number = next((name for name in draft.free if normalise_column_name(name) == "name"), None)
    if "order_id" not in draft.columns and number and all(re.search(r"\d", value) for value in draft.values(number)):
        draft.take("order_id", number, LIKELY)


def settle_first_lines(draft: MappingDraft) -> None:
    """What stands on an order's first line alone is of all its lines."""
    if "order_id" not in draft.columns:
        return
    order = str(draft.columns["order_id"])
    first = tuple(
        role
        for role in ORDER_ROLES
        if isinstance(name := draft.columns.get(role), str)
        and column_patterns.is_on_first_line_only(draft.sample, order, name)
    )
    if first:
        draft.settings["inherit"] = first
        names = ", ".join(repr(draft.columns[role]) for role in first)
        draft.notes.append(
            gettext_lazy(
                "{names}: on the first line of an order alone, so its later lines take it from there", names=names
            )
        )


def settle_order_discount(draft: MappingDraft) -> None:
    """A discount on an order's first line alone is the whole order's: shared out, and off the prices if a total
    says so.
    """
    role = next((each for each in ("shelf_discount", "coupon_discount") if each in draft.columns), "")
    name, order = draft.columns.get(role), draft.columns.get("order_id")
    if not isinstance(name, str) or not isinstance(order, str) or "shared" in draft.settings or draft.basket:
        return
    if draft.settings.get("discount") in ("rate", "percent"):  # a share is of each line, and no money to share out
        return
    # Where few lines have a discount of their own, it stands first in half of the orders by chance.
    if not column_patterns.is_on_first_line_only(draft.sample, order, name, least=20, share=0.95):
        return
    role = role if role in draft.fixed else "coupon_discount"
    draft.columns = {each: said for each, said in draft.columns.items() if said != name} | {role: name}
    draft.settings["shared"] = (role,)
    off = is_off_the_lines(draft, name)
    if off:
        draft.settings["amounts_before"] = (role,)
    meaning = gettext_noop("{name} is the whole order's: shared out among its lines")
    if off:
        meaning = gettext_noop("{name} is the whole order's: shared out among its lines and taken off their prices")
    draft.notes.append(gettext_lazy(meaning, name=repr(name)))


def settle_totals(draft: MappingDraft) -> None:
    """Leave out a total that each line of its order repeats, or share it out among them."""
    listed = draft.columns.get("list_amount")
    by_line = "unit_price" in draft.columns and "list_amount" not in draft.fixed and not draft.basket
    if by_line and isinstance(listed, str) and is_of_the_order(draft, listed):
        del draft.columns["list_amount"]
        draft.notes.append(
            gettext_lazy(
                "{listed} is of the whole order, left out, since each line has a price of its own", listed=repr(listed)
            )
        )
    roles = ("order_id", "amount", "product_id")
    if not all(role in draft.columns for role in roles):
        return
    order, amount, product = (str(draft.columns[role]) for role in roles)
    if isinstance(draft.columns["amount"], tuple):
        return
    first = column_patterns.is_on_first_line_only(draft.sample, order, amount)
    if draft.basket or not (first or column_patterns.repeats_by_order(draft.sample, order, amount, product)):
        return
    units = draft.columns.get("quantity")
    if isinstance(units, str) and "unit_price" not in draft.columns:
        of_lines = [name for name in draft.free if column_patterns.looks_numeric(draft.values(name))]
        priced = column_patterns.find_price_by_total(draft.sample, order, units, of_lines, amount)
        if priced:
            draft.take("unit_price", priced, LIKELY)
            draft.notes.append(
                gettext_lazy(
                    "{priced} times {units} comes to {amount} over an order: read as the price",
                    priced=repr(priced),
                    units=repr(units),
                    amount=repr(amount),
                )
            )
    if any(role in draft.columns for role in ("unit_price", "list_amount", "list_unit_price")):
        del draft.columns["amount"]
        draft.notes.append(
            gettext_lazy(
                "{amount} repeats the order's total on each line and is left out; prices are used", amount=repr(amount)
            )
        )
    else:
        draft.settings["shared"] = ("amount",)
        draft.notes.append(
            gettext_lazy(
                "{amount} is the order's total: shared out among its lines by units (set shared)", amount=repr(amount)
            )
        )


def settle_repeats(draft: MappingDraft) -> None:
    """Equal rows: with neither quantity, order nor time of day units of one purchase; lines of one receipt scans of
    one product, unless each has a time of its own or all lines of receipts come as often.
    """
    finer = ("quantity", "order_id", "event_id", "clock")
    if draft.day_only and not any(role in draft.columns for role in finer):
        draft.settings["repeats"] = "units"
        draft.notes.append(
            gettext_noop("equal rows are read as several purchases, since no column counts them (set repeats)")
        )
    order = ("order_id",) if "order_id" in draft.columns else ("customer_id", "time")
    names = [draft.columns.get(role) for role in (*order, "time", "product_id")]
    known = "event_id" in draft.columns or draft.basket or not all(isinstance(name, str) for name in names)
    sold = "order_id" in draft.columns or draft.settings.get("constants") == {"kind": "purchase"}
    if "repeats" in draft.settings or known or not sold:
        return
    *receipt, time, product = map(str, names)
    found = column_patterns.equal_lines(draft.sample, receipt, time, product)
    if found.own_times > 0.5:
        return
    if found.whole > max(found.part, 2):
        draft.notes.append(
            gettext_lazy(
                "every line of {whole} of {orders} sampled orders stands several times: read once (set repeats)",
                whole=f"{found.whole:,}",
                orders=f"{found.orders:,}",
            )
        )
        return
    draft.settings["repeats"] = "lines"
    if found.rows:
        quantity = draft.columns.get("quantity")
        units = column_patterns.numbers(draft.values(quantity)) if isinstance(quantity, str) else []
        counted = sum(value > 1 for value in units) > 0.05 * draft.sample.height
        note = gettext_lazy(
            "{rows} of {height} sampled rows equal an earlier line of their order: read as the product bought again "
            "(else set repeats to duplicates)",
            rows=f"{found.rows:,}",
            height=f"{draft.sample.height:,}",
        )
        draft.notes.append(gettext_lazy("NOT SURE: {note}", note=note) if counted else note)


def is_off_the_lines(draft: MappingDraft, discount: str) -> bool:
    """Whether the order's discount still has to be taken off its lines: some total in the file says so."""
    lines = {"order": "order_id", "price": "unit_price", "quantity": "quantity"}
    if not all(role in draft.columns for role in lines.values()):
        return False
    totals = [name for name in draft.sample.columns if re.search(r"total|summe|合计", name.lower())]
    named = {name: str(draft.columns[role]) for name, role in lines.items()}
    return column_patterns.is_order_discount(
        draft.sample, named, discount, [name for name in totals if not is_of_line(name)]
    )


def is_of_the_order(draft: MappingDraft, name: str) -> bool:
    """Whether each line of an order says the same, as it does of its total."""
    order, product = draft.columns.get("order_id"), draft.columns.get("product_id")
    known = isinstance(order, str) and isinstance(product, str)
    return known and column_patterns.repeats_by_order(draft.sample, str(order), name, str(product))


def is_of_line(name: str | tuple[str, ...]) -> bool:
    """Whether a column is by its name of a line, not of the whole order."""
    return str(name).lower().startswith("line")
