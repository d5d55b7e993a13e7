"""Solve jointly who, what, which order and what was done in an event log.

In: a draft with the roles that names alone have settled. Out: the draft with customer, product, order and kind, found
by how values repeat within a customer, a moment or an order where no name says it.
"""

import re
from collections import Counter

import polars as pl

from promolift.foundation.files.column_names import (
    CANCELLED_STATUS,
    COLUMN_SYNONYMS,
    KIND_BY_EVENT_NAME,
    PARTIAL_STATUS,
    normalise_column_name,
    normalise_event_name,
)
from promolift.foundation.files.time_formats import guess_time
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.configuration.column_mapping import Kind
from promolift.shop.ingest.cleaning.sql_casts import NULL_TEXTS
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.event_mapping.money_columns import (
    find_money_by_name,
    find_money_by_values,
    find_multiplied,
    is_money,
    sounds_like_money,
)
from promolift.shop.ingest.schema_matching.event_mapping.order_lines import settle_first_lines, settle_lines
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MONEY, VIEWS, MappingDraft, is_nested
from promolift.shop.ingest.schema_matching.role_matching.role_candidates import looks_right, name_rank
from promolift.shop.ingest.schema_matching.role_matching.role_scores import BY_VALUES, LIKELY, find

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


def settle_events(draft: MappingDraft) -> None:
    """Find who, what, order and kind, and between them the columns of money."""
    _settle_who(draft)
    _find_product_by_name(draft)
    _find_who_and_what(draft)
    _find_order(draft)
    find_multiplied(draft)
    find_money_by_values(draft)
    find_money_by_name(draft)
    if "customer_id" not in draft.columns and "session_id" in draft.columns:
        draft.columns["customer_id"] = draft.columns["session_id"]
        draft.notes.append(
            gettext_lazy(
                "no customer column: {session_id} stands for the customer, so nobody is known twice",
                session_id=repr(draft.columns["session_id"]),
            )
        )
    if "product_id" not in draft.columns:
        for role in ("coupon_id", "products.name", "category"):
            if role == "coupon_id" and role in draft.columns:
                pass
            elif role != "products.name":
                find(draft, role)
            elif name := _product_name(draft):
                draft.columns[role] = name
            if role == "coupon_id" and role in draft.columns and _coupons_are_sent(draft):
                draft.free.append(str(draft.columns.pop(role)))
            if role in draft.columns:
                draft.columns["product_id"] = draft.columns.pop(role)
                draft.notes.append(
                    gettext_lazy(
                        "no product column: {product_id} stands for the product",
                        product_id=repr(draft.columns["product_id"]),
                    )
                )
                break
        else:
            called = [name for name in draft.free if normalise_column_name(name) in COLUMN_SYNONYMS["products.name"]]
            draft.notes += [
                f"{name!r} may say who bought, so it is no product (else --map product_id={name})"
                for name in called
                if _is_of_the_customer(draft, name)
            ]
    settle_lines(draft)
    _settle_kind(draft)
    _settle_order(draft)
    _settle_returns(draft)
    settle_first_lines(draft)
    if "coupon_discount" in draft.columns:
        more = [name for name in draft.free if normalise_column_name(name) == "couponmatchdisc"]
        draft.columns["coupon_discount"] = (str(draft.columns["coupon_discount"]), *more)


def _settle_who(draft: MappingDraft) -> None:
    """An 'id' that comes again is not the row's: it says who."""
    name = next((name for name in draft.free if normalise_column_name(name) == "id"), None)
    values = draft.values(name) if name else []
    if name and "customer_id" not in draft.columns and len(set(values)) < 0.9 * len(values):
        draft.columns["customer_id"] = name
        draft.free.remove(name)
        draft.notes.append(
            gettext_lazy("{name} comes again, so it stands for the customer (set columns.customer_id)", name=repr(name))
        )


def _coupons_are_sent(draft: MappingDraft) -> bool:
    """Whether coupons are received on one day and used on another, if at all: then they are no products."""
    other = [name for name in draft.free if re.search(r"receiv|issue|sent|领|发放", name.lower())]
    return any(guess_time(draft.values(name), name) for name in other)


def _find_product_by_name(draft: MappingDraft) -> None:
    """A product's name, or what is subscribed to, where no id of products is known by name."""
    if "product_id" in draft.columns or draft.basket or not any(map(sounds_like_money, draft.sample.columns)):
        return
    name = _product_name(draft)
    name = name or next((each for each in draft.free if normalise_column_name(each) in SUBSCRIPTION_COLUMNS), None)
    if name:
        draft.take("product_id", name, LIKELY)
        draft.notes.append(gettext_lazy("no product column: {name} stands for the product", name=repr(name)))


def _product_name(draft: MappingDraft) -> str | None:
    """Take the first column that is called as products' names are and does not say who bought."""
    persons = []
    while True:
        find(draft, "products.name")
        name = draft.columns.pop("products.name", None)
        draft.sure.pop("products.name", None)
        if not isinstance(name, str) or not _is_of_the_customer(draft, name):
            break
        persons.append(name)
    draft.free += persons
    return name if isinstance(name, str) else None


def _is_of_the_customer(draft: MappingDraft, name: str) -> bool:
    """Whether a column says who the customer is, so that no message may take it for a product."""
    if PERSONAL.search(name.lower()) or normalise_column_name(name) in COLUMN_SYNONYMS["customers.name"]:
        return True
    if normalise_column_name(name) == "title" and _are_salutations(draft.values(name)):
        return True
    who = draft.columns.get("customer_id")
    known = isinstance(who, str) and column_patterns.is_constant_per_customer(draft.sample, name, who)
    return known or column_patterns.are_email_addresses(draft.values(name))


def _find_who_and_what(draft: MappingDraft) -> None:
    """Who and what, where no name of the trade says it: by what stays the same within one moment, and what not."""
    if "time" not in draft.columns or isinstance(draft.columns["time"], tuple):
        return
    time = str(draft.columns["time"])
    moment = [str(draft.columns[role]) for role in ("time", "clock") if role in draft.columns]
    if "order_id" in draft.columns:
        moment = [str(draft.columns["order_id"])]
    like = {
        name: column_patterns.id_behaviour(draft.sample, name, time, moment)
        for name in draft.free
        if draft.time_of(name) is None and not is_nested(draft.sample, name)
    }
    for role, fits in (
        ("customer_id", column_patterns.IdBehaviour.is_customer),
        ("product_id", column_patterns.IdBehaviour.is_product),
    ):
        if role in draft.columns or (role == "customer_id" and "session_id" in draft.columns):
            continue
        found = sorted(((each.distinct, name) for name, each in like.items() if each and fits(each)), reverse=True)
        if role == "customer_id":
            found = [pair for pair in found if not is_money(draft, pair[1])]
            mail = [pair for pair in found if column_patterns.are_email_addresses(draft.values(pair[1]))]
            coded = [pair for pair in found if column_patterns.are_codes(draft.values(pair[1])) and pair not in mail]
            found = mail + coded + [pair for pair in found if pair not in mail + coded]
        else:
            found = [pair for pair in found if not _is_of_the_customer(draft, pair[1]) and not is_money(draft, pair[1])]
        if not found or (role == "product_id" and not _is_sales_log(draft)):
            continue
        name = found[0][1]
        draft.take(role, name, BY_VALUES, *[other for _, other in found[1:2]])
        like.pop(name)
        doubt = gettext_noop(
            "NOT SURE: by its values {name} stands for the product (--map product_id=COLUMN says which)"
        )
        if role == "customer_id":
            doubt = gettext_noop(
                "NOT SURE: by its values {name} stands for the customer (--map customer_id=COLUMN says which)"
            )
        draft.notes.append(gettext_lazy(doubt, name=repr(name)))


def _find_order(draft: MappingDraft) -> None:
    """What ties the lines of one purchase, where no name of the trade says it."""
    who, time = draft.columns.get("customer_id"), draft.columns.get("time")
    if "order_id" in draft.columns or not isinstance(who, str) or not isinstance(time, str):
        return
    if draft.basket:
        row = next((name for name in draft.free if normalise_column_name(name) == "id"), None)
        if row and column_patterns.is_constant_per_key(draft.sample, row, [who, time]) and draft.filled(row) > 0.95:
            draft.take("order_id", row, LIKELY)
        return
    found = [name for name in draft.free if column_patterns.groups_order_lines(draft.sample, name, who, time)]
    if found:
        known = normalise_column_name(found[0]) == "name"  # as Shopify calls it
        draft.take("order_id", found[0], LIKELY if known else BY_VALUES, *found[1:2])
    if found and not known:
        draft.notes.append(
            gettext_lazy(
                "NOT SURE: by its values {found} is the order (--map order_id=COLUMN says which is)",
                found=repr(found[0]),
            )
        )


def _is_sales_log(draft: MappingDraft) -> bool:
    """Whether there is money or a count, so that what was bought may be sought by values."""
    return any(role in draft.columns for role in (*MONEY, "quantity"))


def _settle_kind(draft: MappingDraft) -> None:
    if "kind" not in draft.columns:
        name = next((name for name in draft.free if _tells_kinds(draft.values(name))), None)
        if name:
            draft.take("kind", name, LIKELY)
    if "kind" in draft.columns:
        name = str(draft.columns["kind"])
        counted = Counter(normalise_event_name(value) for value in draft.values(name))
        unknown = [word for word, _ in counted.most_common() if word not in KIND_BY_EVENT_NAME]
        known = (ECOMMERCE_ACTIONS,) if "ecommerceaction" in normalise_column_name(name) else KIND_CODES
        codes = next((codes for codes in known if len(counted) > 1 and set(counted) <= codes.keys()), None)
        if codes:
            draft.settings["kinds"] = codes
            meanings = ", ".join(f"{code} {kind}" for code, kind in codes.items())
            draft.notes.append(
                gettext_lazy("{name} has codes, read as {meanings} (set kinds)", name=name, meanings=meanings)
            )
        elif unknown:
            draft.notes.append(
                gettext_lazy(
                    "{name}: {map} are not known kinds; they become 'other' (set kinds)",
                    name=name,
                    map=", ".join(map(repr, unknown[:5])),
                )
            )
        return
    bought = [role for role in (*MONEY, "quantity", "order_id") if role in draft.columns]
    # A log that keeps the day alone is no click log.
    shown = [
        name
        for name in draft.free
        if normalise_column_name(name) in RESPONSE_COLUMNS and set(draft.values(name)) <= {"0", "1"}
    ]
    sold = "quantity" in draft.columns or "order_id" in draft.columns
    kind = "purchase" if sold or (not shown and (bought or draft.day_only)) else "view"
    draft.settings["constants"] = {"kind": kind}
    if shown and kind == "view":
        draft.notes.append(
            gettext_lazy(
                "{map} of 0 or 1: rows are read as what was shown, so no purchase is known (keep the rows "
                "that were bought and set constants.kind; for a trial or a log of decisions: promolift "
                "effect fit, promolift evaluate --log)",
                map=", ".join(map(repr, shown)),
            )
        )
        return
    if not bought:
        draft.notes.append(
            gettext_lazy(
                "no kind, price, quantity or order column: every row is read as a product {kind} (set constants.kind)",
                kind=kind,
            )
        )


def _settle_order(draft: MappingDraft) -> None:
    if "order_id" not in draft.columns:
        if draft.settings.get("constants") != VIEWS:
            draft.notes.append(
                gettext_noop("no order column: the session stands for it")
                if "session_id" in draft.columns
                else gettext_noop("no order column: one order is made per customer and local day")
            )
        return
    values = draft.values(str(draft.columns["order_id"]))
    plain = sum(value.isdigit() for value in values)
    cancelled = sum(bool(re.fullmatch(r"[Cc]\d+", value)) for value in values)
    if 0 < cancelled <= plain:
        draft.settings["cancel_prefix"] = "C"


def _settle_returns(draft: MappingDraft) -> None:
    """A column of its own for what was given back is read beside the order's state."""
    state = draft.columns.get("status")
    if not isinstance(state, str) or "status" in draft.fixed:
        return
    for name in draft.free:
        if not RETURN_WORDS.search(name.lower()) or NOT_RETURN_WORDS.search(name.lower()):
            continue
        states = [re.sub(PARTIAL_STATUS, "", value.lower()) for value in draft.values(name)]
        gone = sum(bool(re.search(CANCELLED_STATUS, word)) for word in states)
        # Hardly a shop takes back half of what it sells: such a column speaks of something else.
        if looks_right(draft, "status", name) and gone < 0.5 * draft.sample.height:
            draft.columns["status"] = (state, name)
            draft.free.remove(name)
            draft.notes.append(
                gettext_lazy(
                    "{name} is read with {state} as the order's state: by it {gone} of {height} sampled rows "
                    "were given back and are no purchases (--map status={state_2} leaves it out)",
                    name=repr(name),
                    state=repr(state),
                    gone=f"{gone:,}",
                    height=f"{draft.sample.height:,}",
                    state_2=state,
                )
            )
            return


def settle_coupon_code(draft: MappingDraft) -> None:
    """Codes of coupons say whose a discount is, where rows without one have hardly any."""
    code = draft.columns.get("coupon_id")
    if not isinstance(code, str) or "coupon_id" in draft.fixed or "coupon_discount" in draft.columns:
        return
    cells = draft.sample[code].cast(pl.String, strict=False).fill_null("").str.strip_chars().str.to_lowercase()
    said = ~cells.is_in(NULL_TEXTS)
    rows = draft.sample.select(said.alias("said"), _discounted(draft).alias("off"))
    if isinstance(order := draft.columns.get("order_id"), str):
        known = rows.with_columns(order=draft.sample[order])
        rows = known.with_columns(pl.col("said").any().over("order"))
    off = rows.filter(pl.col("off"))
    if off.height and off["said"].sum() < MIN_OF_COUPONS * off.height:
        draft.free.append(str(draft.columns.pop("coupon_id")))
        draft.notes.append(
            gettext_lazy(
                "{code} holds codes of coupons, but rows without one have discounts, too: all are read as "
                "everybody's (--map coupon_id={code_2} reads those beside a code as the coupon's)",
                code=repr(code),
                code_2=code,
            )
        )
    elif off.height:
        draft.notes.append(
            gettext_lazy(
                "{code} names coupons: what was taken off beside a code is read as the coupon's", code=repr(code)
            )
        )
    else:
        draft.notes.append(gettext_lazy("{code} names coupons, and no column says what they took off", code=repr(code)))


def _discounted(draft: MappingDraft) -> pl.Series:
    """Whether each row of the sample has a discount, as far as its columns say."""
    if isinstance(name := draft.columns.get("shelf_discount"), str):
        return column_patterns.floats(draft.sample, name).fill_null(0) != 0
    for paid, listed in (("unit_price", "list_unit_price"), ("amount", "list_amount")):
        names = [draft.columns.get(role) for role in (paid, listed)]
        if all(isinstance(name, str) for name in names):
            one, other = (column_patterns.floats(draft.sample, str(name)) for name in names)
            return (other - one > 0.005).fill_null(False)
    return pl.repeat(False, draft.sample.height, eager=True)


def settle_views(draft: MappingDraft) -> None:
    """Where baskets name what was bought and the row itself what was looked at, the product is either."""
    product = draft.columns.get("product_id")
    if not draft.basket or not isinstance(product, str) or "product_id" in draft.fixed:
        return
    inside = product.startswith(f"{draft.basket}.")
    others = [name for name in draft.free if name.startswith(f"{draft.basket}.") != inside]
    ranked = sorted(
        (fit, name) for name in others if (fit := name_rank(name, COLUMN_SYNONYMS["product_id"])) is not None
    )
    if ranked and draft.values(ranked[0][1]):
        other = ranked[0][1]
        draft.columns["product_id"] = (product, other) if inside else (other, product)
        draft.free.remove(other)


def _are_salutations(values: list[str]) -> bool:
    """Few short words, as 'Mr', 'Frau' and 'Prof. Dr.'; the titles of products are more or longer."""
    return len({*values}) < 10 and all(len(word) <= 6 for value in values for word in value.split())


def _tells_kinds(values: list[str]) -> bool:
    """Whether a column holds words for what was done, looking or putting in the cart among them."""
    kinds = [KIND_BY_EVENT_NAME.get(normalise_event_name(value)) for value in values]
    return {"view", "add_to_cart"} & {*kinds} != set() and None not in kinds and len({*kinds}) > 1
