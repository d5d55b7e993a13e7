"""Download the orders of a WooCommerce shop through its REST API as a CSV file that `promolift init` reads.

Requests go through WooCommerce's own Python client (`pip install woocommerce`). Key and secret come from environment
variables only.
"""

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

KEY_VARIABLE, SECRET_VARIABLE = "PROMOLIFT_WOO_KEY", "PROMOLIFT_WOO_SECRET"
PER_PAGE, MAX_ATTEMPTS, TIMEOUT_S = 100, 4, 30
RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})
ORDER_COLUMNS = (
    "order_id", "customer_id", "time", "status", "product_id", "product_name", "quantity", "amount", "list_amount",
    "coupon", "currency",
)  # fmt: skip


class PulledOrders(NamedTuple):
    """How much was written."""

    orders: int
    lines: int


def pull_orders(
    url: str, to: Path, since: str | None = None, by: str = "email", wait: Callable[[float], object] = sleep
) -> PulledOrders:
    """Write a line per line of every order, oldest first, in place of `to`; with `since` (a day, or ISO 8601 in UTC)
    those changed after it. `by` says what names a customer: `email`, or `id` (guests, who have none, by e-mail).

    ConfigError where key or client are missing, InputError where the shop refuses; `to` then stays as it was.
    """
    named = {name: os.environ.get(name, "") for name in (KEY_VARIABLE, SECRET_VARIABLE)}
    if missing := [name for name, value in named.items() if not value]:
        raise ConfigError(
            "variable_missing",
            gettext_lazy(
                "woocommerce: {missing}: not in the environment; make a key that may read",
                missing=" and ".join(missing),
            ),
        )
    try:
        api = import_module("woocommerce").API(
            url, named[KEY_VARIABLE], named[SECRET_VARIABLE], version="wc/v3", timeout=TIMEOUT_S
        )
    except ImportError:
        raise ConfigError(
            "extra_missing", gettext_lazy("woocommerce: its client is not installed; `pip install woocommerce`")
        ) from None
    asked = {"per_page": PER_PAGE, "orderby": "id", "order": "asc"}
    asked |= (
        {"modified_after": since if "T" in since else f"{since}T00:00:00", "dates_are_gmt": "true"} if since else {}
    )
    orders = lines = 0
    part = to.with_name(f".{to.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, ORDER_COLUMNS)
            rows.writeheader()
            for order in _orders(api, asked, wait):
                orders += 1
                for line in order_lines(order, by):
                    rows.writerow(line)
                    lines += 1
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return PulledOrders(orders, lines)


def _orders(api: Any, asked: Mapping[str, Any], wait: Callable[[float], object]) -> Iterator[dict[str, Any]]:
    """Page by page; an order that moves to a later page meanwhile comes once."""
    seen, page, pages = set[Any](), 1, 1
    while page <= pages:
        reply = _asked(api, {**asked, "page": page}, wait)
        try:
            found = reply.json()
            pages = int(reply.headers.get("X-WP-TotalPages", pages))
            new = [each for each in found if each["id"] not in seen]
        except (ValueError, TypeError, KeyError):
            raise InputError(
                "answer_invalid",
                gettext_lazy(
                    "woocommerce: page {page} is no list of orders; is the address that of the shop?", page=page
                ),
            ) from None
        seen |= {each["id"] for each in new}
        yield from new
        page += 1


def _asked(api: Any, params: Mapping[str, Any], wait: Callable[[float], object]) -> Any:
    why, code = "", "remote_refused"
    for tried in range(MAX_ATTEMPTS):
        if tried:
            wait(2.0**tried)
        try:
            reply = api.get("orders", params=dict(params))
        except OSError as error:  # requests' own errors are such; their text holds the address with its signature
            why, code = type(error).__name__, "connection_failed"
            continue
        if reply.status_code == 200:
            return reply
        why, code = f"status {reply.status_code}", "remote_refused"
        if reply.status_code not in RETRY_STATUSES:
            break
    raise InputError(
        code,
        gettext_lazy(
            "woocommerce: page {page} was refused ({why}); check address, key and its right to read",
            page=params["page"],
            why=why,
        ),
    )


def order_lines(order: Mapping[str, Any], by: str = "email") -> Iterator[dict[str, Any]]:
    """The lines of an order as its JSON has them; `amount` is what a line costs after coupons."""
    email = (order.get("billing") or {}).get("email") or ""
    who = (order.get("customer_id") or email) if by == "id" else (email or order.get("customer_id") or "")
    coupons = ", ".join(str(each.get("code")) for each in order.get("coupon_lines") or ())
    moment = order.get("date_created_gmt")
    whole = {
        "order_id": order.get("number") or order["id"], "customer_id": who, "status": order.get("status"),
        "time": f"{moment}Z" if moment else order.get("date_created"), "coupon": coupons,
        "currency": order.get("currency"),
    }  # fmt: skip
    for line in order.get("line_items") or ():
        yield whole | {
            "product_id": line.get("sku") or line.get("product_id"), "product_name": line.get("name"),
            "quantity": line.get("quantity"), "amount": line.get("total"), "list_amount": line.get("subtotal"),
        }  # fmt: skip
