"""Count the named audiences in a log that `init` has just read, and what each would cost at most."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from promolift.core.customers.audience_query import query_audience
from promolift.core.customers.named_audiences import named_audiences
from promolift.core.experiments.arm_shares import LEAST
from promolift.core.experiments.audiences import LEFT_CART, NOT_BOUGHT, assign_audiences, fit_return_curve
from promolift.core.offers.menu import MenuItem
from promolift.foundation.files.raw_table import Relation
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, money, percent
from promolift.foundation.sql import bind, fetch_frame, run_select
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.configuration.play_costs import audience_lines, worst_cost_cents
from promolift.shop.configuration.plays import Play
from promolift.shop.configuration.views import LEFT_CARTS, ORDERS_VIEW, left_since

WINDOW_DAYS = 28
LEAST_BUDGET, MOST_BUDGET = 0.02, 0.05  # of the revenue of a window, which init proposes; a person sets what they like


class AudienceSize(NamedTuple):
    """A named audience, how many customers it has before consent, and their mean order in minor units."""

    name: str
    customers: int
    basket_cents: float


def audience_sizes(events: Relation) -> tuple[AudienceSize, ...]:
    """Count every audience that the log tells of, as of the day after its last event."""
    last = fetch_frame(events.aggregate("max(ts_ms) as last_ms"))["last_ms"][0]
    if last is None:
        return ()
    asof = (last // DAY_MS + 1) * DAY_MS
    everybody = fetch_frame(events.project("customer_id").distinct())
    orders = fetch_frame(run_select(bind(ORDERS_VIEW, asof=asof, day_ms=DAY_MS), events=events, mine=everybody))
    sales = orders.group_by("customer_id", day=-pl.col("days_ago")).agg(value_cents=pl.col("revenue_cents").sum())
    audience = assign_audiences(sales, 0, WINDOW_DAYS, fit_return_curve(sales, 0, WINDOW_DAYS))
    query = bind(LEFT_CARTS, asof=asof, since=left_since(asof))
    carts = fetch_frame(run_select(query, events=events))["customer_id"]
    found = []
    for each in named_audiences().values():
        if each.query is not None:
            mine = query_audience(each.query, {"orders": orders}, each.name)
        elif each.name == LEFT_CART:
            mine = carts
        elif each.name == NOT_BOUGHT:
            mine = everybody["customer_id"].filter(~everybody["customer_id"].is_in(orders["customer_id"].implode()))
        else:
            mine = audience.filter(audience=each.name)["customer_id"]
            mine = mine.filter(~mine.is_in(carts.implode()))
        basket = orders.filter(pl.col("customer_id").is_in(mine.implode()))["list_cents"].mean()
        usual = orders["list_cents"].mean()
        mean = basket if isinstance(basket, float) else usual if isinstance(usual, float) else 0.0
        found.append(AudienceSize(each.name, len(mine), mean))
    return tuple(found)


class SizedPlay(NamedTuple):
    """A named audience that the log can carry: customers, and what a window costs at most, in minor units."""

    name: str
    customers: int
    worst_cost_cents: int


def sized_plays(sizes: Sequence[AudienceSize], config: Config) -> list[SizedPlay]:
    """The audiences that have enough customers to be tested, with the lines of the proposed menu."""
    found = []
    for each in sizes:
        if each.customers < 2 * LEAST:
            continue
        lines: Sequence[MenuItem] = audience_lines(each.name, config.menu)
        if named_audiences()[each.name].query is not None:
            lines = Play(id="proposed", audience=each.name).lines(config.menu, config.shop.currency)
        cost = worst_cost_cents(each.name, lines, each.customers, each.basket_cents, config.value.delivery_cost_cents)
        found.append(SizedPlay(each.name, each.customers, round(cost)))
    return found


def budget_share(plays: Sequence[SizedPlay], recent_cents: int) -> float:
    """The budget to propose, as a share of `recent_cents`, the revenue of the last window: what the plays that a plan
    draws without being asked cost at most, from LEAST_BUDGET to MOST_BUDGET."""
    drawn = sum(each.worst_cost_cents for each in plays if named_audiences()[each.name].query is None)
    return round(min(max(drawn / max(recent_cents, 1), LEAST_BUDGET), MOST_BUDGET), 3)


def plays_text(plays: Sequence[SizedPlay], currency: str, share: float, recent_cents: int) -> str:
    """A paragraph with a line for each play that the log can carry, and the budget that is proposed (see
    `budget_share`); nothing without any."""
    if not plays:
        return ""
    lines = [
        gettext(
            "plays that this log can carry, before consent is asked; a window costs at most, "
            "everybody who draws an offer using it once:"
        )
    ]
    for each in plays:
        audience, most = named_audiences()[each.name], money(each.worst_cost_cents, currency)
        lines.append(
            gettext(
                "  {name} {customers} customers, at most {most}: {who}",
                name=f"{audience.title:<16}",
                customers=count(each.customers),
                most=most,
                title=audience.title,
                who=audience.words,
            )
        )
    budget = gettext(
        "budget of a window, proposed: {share} of the revenue of the last one, {cash} (plan.budget_share)",
        share=percent(share), cash=money(share * recent_cents, currency),
    )  # fmt: skip
    return "\n".join(["", "", *lines, budget])
