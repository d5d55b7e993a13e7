"""Chapter 2. Who the customers are: how recently, how much, how often, what, when, and how they answer prices."""

import math

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.pages.story import Story
from promolift.results.customers import Customers, Dot, Placed
from promolift.results.figures import Histogram
from promolift.words import clip, count, day_count, days, number, plural, share, upper_first

TICK_DAYS = (0, 1, 3, 7, 14, 30, 90, 180, 365, 730, 1460, 3650)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def tell(story: Story) -> Chapter:
    """The customers."""
    people = story.customers
    if people is None:
        lead = "No customer profiles were given."
        blocks: list[Figure | Block] = [gap("who the customers are", story.missing.get("customers"))]
    else:
        lead = f"{plural(people.customers, 'customer')}, each described by what they did before the plan was made."
        blocks = [_strip(people, story), _scatter(people, story), _cadence(people, story), _discounts(people, story)]
    blocks += [_categories(story), _week(story)]
    return Chapter("customers", "Customers", "Who are the customers?", lead, blocks)


def _strip(people: Customers, story: Story) -> Block:
    middle, cash = people.middle, story.cash
    typical = [
        ("since the last order", days(middle.recency_days)),
        ("between two orders", days(middle.cadence_days)),
        ("per basket", cash(middle.basket_cents)),
        ("saved by discounts", share(middle.discount_share)),
        ("expected in the coming window", cash(middle.spend_next_cents)),
    ]
    return Block("strip", {"rows": [row for row in typical if row[1] != "—"]}, "The customer in the middle")


def _scatter(people: Customers, story: Story) -> Figure | Block:
    placed = people.placed
    if placed is None:
        return gap("recency and spend together", "no customer has both a last order and a spend")
    points = [
        [_warp(d.recency_days), d.spend_cents, d.price_sensitivity, clip(d.customer_id, 24), d.recency_days]
        for d in placed.dots
    ]
    last = max(placed.longest_days, 1.0)
    spec = {
        "kind": "scatter",
        "ticks": [[_warp(d), str(d)] for d in TICK_DAYS if d <= last],
        "x": {"name": "days since the last order", "max": _warp(last) * 1.02},
        "y": {"name": _spend_name(story), "fmt": "money"},
        "points": points,
        "color": _colours(placed),
        "marks": _marks(placed, story),
    }
    how = "Each dot is a customer; both scales are stretched towards small values so that everybody can be seen."
    if placed.customers > placed.drawn:
        how += f" {plural(placed.drawn, 'customer')} drawn of {count(placed.customers)}."
    if placed.left_out:
        how += f" {plural(placed.left_out, 'customer')} without a known order or spend left out."
    how += " Lettered: the customers whose stories are told below." if spec["marks"] else ""
    return Figure(
        "customers-map",
        "Every customer at a glance",
        _scatter_finding(placed),
        spec,
        _deciles(placed, story),
        how,
        plural(people.customers, "customer"),
        wide=True,
    )


def _warp(day: float) -> float:
    return round(math.log2(1 + max(day, 0.0)), 4)


def _spend_name(story: Story) -> str:
    return f"spend in the last {days(story.history_days)}"


def _colours(placed: Placed) -> dict[str, object] | None:
    low, high = placed.sensitivity_low, placed.sensitivity_high
    if low is None:
        return None
    return {"min": low, "max": high, "low": "answers prices less", "high": "answers prices more"}


def _marks(placed: Placed, story: Story) -> list[list[object]]:
    found: dict[str, Dot] = {dot.customer_id: dot for dot in placed.lettered}
    lettered = [(chr(65 + i), found.get(card.given.customer_id)) for i, card in enumerate(story.cards)]
    return [[_warp(dot.recency_days), dot.spend_cents, letter] for letter, dot in lettered if dot]


def _scatter_finding(placed: Placed) -> str:
    parts = [f"Half of the customers bought within the last {days(placed.middle.recency_days)}."]
    if placed.top_tenth_share is not None:
        parts.append(f"The tenth that spends most brings {share(placed.top_tenth_share)} of all spend.")
    if placed.apart_share is None:
        known = placed.middle.price_sensitivity is not None
        parts.append(f"How customers answer prices is {'shown without its error' if known else 'not known'}.")
        return " ".join(parts)
    parts.append(
        f"For {share(placed.apart_share)} of them the answer to prices lies more than two standard errors "
        "from the middle; for the others the colour is a tendency, not a finding."
    )
    return " ".join(parts)


def _deciles(placed: Placed, story: Story) -> Grid:
    rows = [
        [
            f"{share(q.part)} of customers are at or below",
            number(q.recency_days),
            story.cash(q.spend_cents),
            number(q.orders),
            number(q.price_sensitivity),
        ]
        for q in placed.quantiles
    ]
    return Grid(["", "days since last order", _spend_name(story), "orders", "price sensitivity"], rows)


def _histogram(found: Histogram, ident: str, title: str, axis: str, fmt: str, finding: str) -> Figure:
    text = share if fmt == "share" else day_count
    spec = {
        "kind": "columns",
        "bins": [[bar.low, bar.high, bar.customers] for bar in found.bars],
        "x": {"name": axis, "fmt": fmt},
        "y": {"name": "customers", "fmt": "count"},
        "mark": [found.middle, "median"],
    }
    rows = [[f"{text(bar.low)} to {text(bar.high)}", count(bar.customers)] for bar in found.bars if bar.customers]
    how = f"{plural(found.above, 'customer')} above {text(found.cap)} not drawn." if found.above else ""
    grid = Grid([axis, "customers"], rows)
    return Figure(ident, title, finding, spec, grid, how, plural(found.customers, "customer"))


def _cadence(people: Customers, story: Story) -> Figure | Block:
    gaps = people.cadence_days
    if gaps is None:
        return gap("how often customers come", story.missing.get("cadence_days"))
    half = f"half of all customers come every {day_count(gaps.lower)} to {days(gaps.upper)}"
    finding = f"The customer in the middle comes every {days(gaps.middle)}; {half}."
    return _histogram(gaps, "cadence", "How often they come", "typical days between orders", "days", finding)


def _discounts(people: Customers, story: Story) -> Figure | Block:
    part = people.discount_share
    if part is None:
        return gap("how much is bought on discount", story.missing.get("discount_share"))
    middle = f"The customer in the middle saves {share(part.middle)} of the full price"
    finding = f"{middle}; {share(people.heavy_share)} of customers save a fifth or more."
    title, axis = "How much of it is discounted", "share of the full price saved"
    return _histogram(part, "discount-share", title, axis, "share", finding)


def _categories(story: Story) -> Figure | Block:
    tastes = story.tastes
    if tastes is None:
        return gap("what they like to buy", story.missing.get("tastes"))
    first = tastes.top[0]
    finding = (
        f"{upper_first(clip(first.target, 40))}: {share(first.spend_share)} of the average customer's spend; "
        f"the first {tastes.shown} of {plural(tastes.categories, 'category', 'categories')} together "
        f"{share(tastes.together_share)}."
    )
    spec = {
        "kind": "bars",
        "x": {"name": "share of the average customer's spend", "fmt": "share"},
        "rows": [
            {"name": clip(each.target, 44), "value": each.spend_share, "text": f"{count(each.customers)} buyers"}
            for each in tastes.top
        ],
    }
    grid = Grid(
        ["category", "share of spend", "customers who buy it"],
        [[clip(each.target, 60), share(each.spend_share), count(each.customers)] for each in tastes.top],
    )
    return Figure("categories", "What they like", finding, spec, grid, "", plural(tastes.customers, "customer"))


def _week(story: Story) -> Figure | Block:
    week = story.week
    if week is None:
        return gap("when they buy", story.missing.get("week"))
    best, day = week.busiest, week.busiest_day
    finding = (
        f"The busiest hour is {WEEKDAYS[best.weekday]}, {best.hour}:00 to {best.hour + 1}:00, "
        f"with {share(best.orders_share)} of the week's orders; the busiest day is {WEEKDAYS[day]} with "
        f"{share(week.days_share[day])}."
    )
    spec = {
        "kind": "heat",
        "days": [d[:3] for d in WEEKDAYS],
        "max": best.orders_share,
        "cells": [[each.hour, each.weekday, each.orders_share] for each in week.hours],
    }
    rows = [
        [f"{hour}:00", *(share(each.orders_share) for each in week.hours if each.hour == hour)] for hour in range(24)
    ]
    return Figure(
        "week",
        "When they buy",
        finding,
        spec,
        Grid(["hour", *(d[:3] for d in WEEKDAYS)], rows),
        f"Share of the week's orders by local hour ({story.plan.shop.zone}).",
        plural(week.orders, "order"),
    )
