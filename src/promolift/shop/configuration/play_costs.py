"""Which lines of a menu an audience tries first, and what they cost at most: everybody who draws one uses it once."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from promolift.core.experiments.arm_shares import SMALL_SHARE, first_shares
from promolift.core.experiments.audiences import ACTIVE, DUE, LEFT_CART, LONG_ABSENT, NOT_DUE
from promolift.core.offers.menu import MenuItem

USUAL_DEPTH, LONG_ABSENT_DEPTH = 0.10, 0.15  # share off of the first discount


def use_cost_cents(item: MenuItem, basket_cents: float, delivery_cents: float) -> float:
    """Return what one use of an offer costs on an order of this size, its message included."""
    benefit, order = item.benefit, max(basket_cents, float(item.min_spend_cents))
    if benefit.type == "reminder":
        cost = 0.0
    elif item.benefit_cost_cents is not None:
        cost = item.benefit_cost_cents
    elif benefit.type == "free_shipping":
        cost = delivery_cents
    else:
        cost = benefit.most_off_cents(round(order), item.min_spend_cents, max(1, len(item.covers)))
    return cost * (1 - item.supplier_share) + item.send_cost_cents


def share_off(item: MenuItem) -> float | None:
    """What a line takes off an order, as a share; None for gifts, free delivery and the like."""
    if item.benefit.type == "amount_off":
        return (item.benefit.amount_cents or 0) / item.min_spend_cents
    return item.depth


def rank_discounts(menu: Sequence[MenuItem], lines: pl.DataFrame, group: str) -> list[str]:
    """The discounts of an audience, the first to be tried first: open to most of it, on the whole order, near the usual
    share off. `lines`: menu_id and customers of the audience."""
    near = LONG_ABSENT_DEPTH if group == LONG_ABSENT else USUAL_DEPTH
    open_to, places = dict(lines.select("menu_id", "customers").iter_rows()), list[tuple[object, ...]]()
    most = max(open_to.values(), default=0)
    for item in menu:
        depth = share_off(item)
        if depth is not None and item.id in open_to:
            few = 2 * open_to[item.id] < most
            places.append((few, item.scope != "all", abs(depth - near), depth, item.id))
    return [str(place[-1]) for place in sorted(places)]


def audience_lines(group: str, menu: Sequence[MenuItem]) -> list[MenuItem]:
    """The lines of the menu that an audience of every plan begins with, as far as they are open to all customers."""
    open_to = {item.id: item for item in menu if not item.segments}
    lines = pl.DataFrame({"menu_id": list(open_to), "customers": [1] * len(open_to)})
    reminders = [item.id for item in open_to.values() if item.benefit.type == "reminder"][: group != NOT_DUE]
    none = group in (LEFT_CART, DUE, NOT_DUE) or (group == ACTIVE and reminders)  # whose discount comes last
    return [open_to[each] for each in (*([] if none else rank_discounts(menu, lines, group)[:1]), *reminders)]


def worst_cost_cents(
    group: str, items: Sequence[MenuItem], customers: int, basket_cents: float, delivery_cents: float
) -> float:
    """Return what the first window of an audience costs at most: `items` are what it tries, a discount before a
    reminder, and the first discount is drawn first."""
    discounts = [item for item in items if item.benefit.type != "reminder"][:1]
    tried = [*discounts, *(item for item in items if item.benefit.type == "reminder")][: len(discounts) + 1]
    shares = first_shares(np.array([item.benefit.type != "reminder" for item in tried], dtype=np.bool_))
    if group == ACTIVE:
        shares = np.full(len(tried), SMALL_SHARE)
    costs = [use_cost_cents(item, basket_cents, delivery_cents) for item in tried]
    return customers * float(sum(share * cost for share, cost in zip(shares, costs, strict=True)))
