"""Chapter 2. Who the customers are: how recently, how much, how often, what, when, and how they answer prices."""

import math

import polars as pl

from promolift.report.blocks import Block, Chapter, Figure, Grid, gap
from promolift.report.frames import bin_counts, quantile, sample, tidy
from promolift.report.story import AFFINITIES, HOURS, PROFILES, Story
from promolift.report.words import clip, count, day_count, days, money, number, plural, share, upper_first

MOST_POINTS = 2500
TICK_DAYS = (0, 1, 3, 7, 14, 30, 90, 180, 365, 730, 1460, 3650)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TOP_CATEGORIES = 10


def tell(story: Story) -> Chapter:
    """The customers."""
    people = tidy(story.profiles, PROFILES)
    if people.is_empty():
        blocks: list[Figure | Block | None] = [gap("who the customers are", story.missing.get("profiles"))]
    else:
        blocks = [_strip(people, story), _scatter(people, story), _cadence(people, story), _discounts(people, story)]
    blocks += [_categories(story), _week(story)]
    lead = f"{plural(people.height, 'customer')}, each described by what they did before the plan was made."
    lead = lead if people.height else "No customer profiles were given."
    return Chapter("customers", "Customers", "Who are the customers?", lead, [b for b in blocks if b])


def _strip(people: pl.DataFrame, story: Story) -> Block:
    currency = story.shop.currency
    typical = [
        ("since the last order", days(quantile(people["recency_days"], 0.5))),
        ("between two orders", days(quantile(people["cadence_days"], 0.5))),
        ("per basket", money(quantile(people["basket_cents"], 0.5), currency)),
        ("saved by discounts", share(quantile(people["discount_share"], 0.5))),
        ("expected in the coming window", money(quantile(people["spend_next_cents"], 0.5), currency)),
    ]
    return Block("strip", {"rows": [row for row in typical if row[1] != "—"]}, "The customer in the middle")


def _scatter(people: pl.DataFrame, story: Story) -> Figure | Block:
    placed = people.filter(pl.col("recency_days") >= 0, pl.col("spend_cents") > 0)
    if placed.is_empty():
        return gap("recency and spend together", "no customer has both a last order and a spend")
    shown = sample(placed, "customer_id", MOST_POINTS, "report.scatter")
    points = [
        [
            _warp(r["recency_days"]),
            r["spend_cents"],
            r["price_sensitivity"],
            clip(r["customer_id"], 24),
            r["recency_days"],
        ]
        for r in shown.iter_rows(named=True)
    ]
    last = max(float(placed["recency_days"].max()), 1.0)  # type: ignore[arg-type]
    ticks = [d for d in TICK_DAYS if d <= last]
    spec = {
        "kind": "scatter",
        "ticks": [[_warp(d), str(d)] for d in ticks],
        "x": {"name": "days since the last order", "max": _warp(last) * 1.02},
        "y": {"name": _spend_name(story), "fmt": "money"},
        "points": points,
        "color": _colours(placed["price_sensitivity"]),
        "marks": _marks(placed, story),
    }
    how = "Each dot is a customer; both scales are stretched towards small values so that everybody can be seen."
    left = people.height - placed.height
    how += (
        f" {plural(shown.height, 'customer')} drawn of {count(placed.height)}." if placed.height > shown.height else ""
    )
    how += f" {plural(left, 'customer')} without a known order or spend left out." if left else ""
    how += " Lettered: the customers whose stories are told below." if spec["marks"] else ""
    return Figure(
        "customers-map",
        "Every customer at a glance",
        _scatter_finding(placed),
        spec,
        _deciles(placed, story),
        how,
        plural(people.height, "customer"),
        wide=True,
    )


def _warp(day: float) -> float:
    return round(math.log2(1 + max(day, 0.0)), 4)


def _spend_name(story: Story) -> str:
    return f"spend in the last {days(story.shop.history_days)}" if story.shop.history_days else "spend"


def _colours(sensitivity: pl.Series) -> dict[str, object] | None:
    low, high = quantile(sensitivity, 0.05), quantile(sensitivity, 0.95)
    middle = quantile(sensitivity, 0.5)
    if low is None or high is None or middle is None or low >= high:
        return None
    reach = max(high - middle, middle - low)
    return {"min": middle - reach, "max": middle + reach, "low": "answers prices less", "high": "answers prices more"}


def _marks(placed: pl.DataFrame, story: Story) -> list[list[object]]:
    letters = {h.customer_id: chr(65 + i) for i, h in enumerate((story.households or ())[:5])}
    rows = placed.filter(pl.col("customer_id").is_in(list(letters)))
    marks = {
        letters[r["customer_id"]]: [_warp(r["recency_days"]), r["spend_cents"]]
        for r in rows.sort("recency_days", "spend_cents").iter_rows(named=True)
    }
    return [[*place, letter] for letter, place in sorted(marks.items())]


def _scatter_finding(placed: pl.DataFrame) -> str:
    spend = placed["spend_cents"].sort(descending=True)
    top = spend.head(max(1, round(spend.len() / 10)))
    parts = [f"Half of the customers bought within the last {days(quantile(placed['recency_days'], 0.5))}."]
    if spend.len() >= 10:
        parts.append(f"The tenth that spends most brings {share(float(top.sum()) / float(spend.sum()))} of all spend.")
    known = placed.drop_nulls(["price_sensitivity", "price_sensitivity_se"])
    if known.is_empty():
        parts.append(
            "How customers answer prices is "
            + ("not known." if placed["price_sensitivity"].is_null().all() else "shown without its error.")
        )
        return " ".join(parts)
    middle = quantile(known["price_sensitivity"], 0.5) or 0.0
    apart = known.filter((pl.col("price_sensitivity") - middle).abs() > 2 * pl.col("price_sensitivity_se")).height
    parts.append(
        f"For {share(apart / known.height)} of them the answer to prices lies more than two standard errors "
        "from the middle; for the others the colour is a tendency, not a finding."
    )
    return " ".join(parts)


def _deciles(placed: pl.DataFrame, story: Story) -> Grid:
    currency = story.shop.currency
    rows = [
        [
            f"{q:.0%} of customers are at or below".replace("%", "\N{NO-BREAK SPACE}%"),
            number(quantile(placed["recency_days"], q)),
            money(quantile(placed["spend_cents"], q), currency),
            number(quantile(placed["orders"], q)),
            number(quantile(placed["price_sensitivity"], q)),
        ]
        for q in (0.1, 0.25, 0.5, 0.75, 0.9)
    ]
    return Grid(
        ["", "days since last order", _spend_name(story), "orders", "price sensitivity"], rows, frozenset({1, 2, 3, 4})
    )


def _histogram(values: pl.Series, figure: tuple[str, str, str], fmt: str, finding: str) -> Figure | None:
    ident, title, axis = figure
    cap = quantile(values, 0.98)
    bins = bin_counts(values, 22, cap)
    if not bins or cap is None:
        return None
    above = int((values > cap).sum())
    text = share if fmt == "share" else day_count
    spec = {
        "kind": "columns",
        "bins": [list(b) for b in bins],
        "x": {"name": axis, "fmt": fmt},
        "y": {"name": "customers", "fmt": "count"},
        "mark": [quantile(values, 0.5), "median"],
    }
    grid = Grid([axis, "customers"], [[f"{text(a)} to {text(b)}", count(n)] for a, b, n in bins if n], frozenset({1}))
    how = f"{plural(above, 'customer')} above {text(cap)} not drawn." if above else ""
    return Figure(ident, title, finding, spec, grid, how, plural(values.drop_nulls().len(), "customer"))


def _cadence(people: pl.DataFrame, story: Story) -> Figure | Block:
    gaps = people["cadence_days"]
    low, mid, high = (quantile(gaps, q) for q in (0.25, 0.5, 0.75))
    half = f"half of all customers come every {day_count(low)} to {days(high)}"
    finding = f"The customer in the middle comes every {days(mid)}; {half}."
    figure = _histogram(gaps, ("cadence", "How often they come", "typical days between orders"), "days", finding)
    return figure or gap("how often customers come", story.missing.get("cadence_days"))


def _discounts(people: pl.DataFrame, story: Story) -> Figure | Block:
    part = people["discount_share"]
    heavy = (part.drop_nulls() >= 0.2).mean()
    middle = f"The customer in the middle saves {share(quantile(part, 0.5))} of the full price"
    finding = f"{middle}; {share(heavy)} of customers save a fifth or more."
    figure = _histogram(
        part, ("discount-share", "How much of it is discounted", "share of the full price saved"), "share", finding
    )
    return figure or gap("how much is bought on discount", story.missing.get("discount_share"))


def _categories(story: Story) -> Figure | Block:
    tastes = tidy(story.affinities, AFFINITIES).drop_nulls(["customer_id", "target", "share"])
    if tastes.is_empty():
        return gap("what they like to buy", story.missing.get("affinities"))
    people = tastes["customer_id"].n_unique()
    top = (
        tastes.group_by("target")
        .agg((pl.col("share").sum() / people).alias("mean"), pl.col("customer_id").n_unique().alias("buyers"))
        .sort(["mean", "target"], descending=[True, False])
    )
    shown = top.head(TOP_CATEGORIES)
    first = shown.row(0, named=True)
    finding = (
        f"{upper_first(clip(first['target'], 40))}: {share(first['mean'])} of the average customer's spend; "
        f"the first {shown.height} of {plural(top.height, 'category', 'categories')} together "
        f"{share(shown['mean'].sum())}."
    )
    spec = {
        "kind": "bars",
        "x": {"name": "share of the average customer's spend", "fmt": "share"},
        "rows": [
            {"name": clip(r["target"], 44), "value": r["mean"], "text": f"{count(r['buyers'])} buyers"}
            for r in shown.iter_rows(named=True)
        ],
    }
    grid = Grid(
        ["category", "share of spend", "customers who buy it"],
        [[clip(r["target"], 60), share(r["mean"]), count(r["buyers"])] for r in shown.iter_rows(named=True)],
        frozenset({1, 2}),
    )
    return Figure("categories", "What they like", finding, spec, grid, "", plural(people, "customer"))


def _week(story: Story) -> Figure | Block:
    hours = tidy(story.hours, HOURS).filter(pl.col("weekday").is_between(0, 6), pl.col("hour").is_between(0, 23))
    cells = hours.group_by("weekday", "hour").agg(pl.col("orders").sum()).sort("weekday", "hour")
    total = float(cells["orders"].sum())
    if total <= 0:
        return gap("when they buy", story.missing.get("hours"))
    by = {(r[0], r[1]): float(r[2] or 0.0) / total for r in cells.iter_rows()}
    best = max(sorted(by), key=lambda cell: by[cell])
    by_day = [sum(by.get((d, h), 0.0) for h in range(24)) for d in range(7)]
    day = max(range(7), key=lambda d: by_day[d])
    zone = f" ({story.shop.timezone})" if story.shop.timezone else ""
    finding = (
        f"The busiest hour is {WEEKDAYS[best[0]]}, {best[1]}:00 to {best[1] + 1}:00, "
        f"with {share(by[best])} of the week's orders; the busiest day is {WEEKDAYS[day]} with {share(by_day[day])}."
    )
    spec = {
        "kind": "heat",
        "days": [d[:3] for d in WEEKDAYS],
        "max": max(by.values()),
        "cells": [[h, d, by.get((d, h), 0.0)] for d in range(7) for h in range(24)],
    }
    grid = Grid(
        ["hour", *(d[:3] for d in WEEKDAYS)],
        [[f"{h}:00", *(share(by.get((d, h), 0.0)) for d in range(7))] for h in range(24)],
        frozenset(range(1, 8)),
    )
    return Figure(
        "week",
        "When they buy",
        finding,
        spec,
        grid,
        f"Share of the week's orders by local hour{zone}.",
        plural(total, "order"),
    )
