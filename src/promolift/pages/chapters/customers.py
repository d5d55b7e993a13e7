"""Who the customers are: how recently, how much, how often, what, when, and how they answer prices."""

import math

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.pages.figures import people_n
from promolift.pages.story import Story
from promolift.results.customers import Customers, Dot, Placed
from promolift.results.figures import Histogram
from promolift.terms import Words
from promolift.words import DASH, clip, count, day_count, days, ends, number, pick, plural, share, spoken, upper_first

TICK_DAYS = (0, 1, 3, 7, 14, 30, 90, 180, 365, 730, 1460, 3650)
WEEKDAYS = tuple(
    Words(en=en, zh=zh)
    for en, zh in zip(
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        ("周一", "周二", "周三", "周四", "周五", "周六", "周日"), strict=True,
    )
)  # fmt: skip


def tell(story: Story) -> Chapter:
    """The customers."""
    people = story.customers
    if people is None:
        lead = pick("No customer profiles were given.", "没有客户画像。")
        why = story.missing.get("customers")
        blocks: list[Figure | Block] = [gap(pick("who the customers are", "客户是谁"), why)]
    else:
        lead = pick(
            f"{plural(people.customers, 'customer')}, each described by what they did before the plan was made.",
            f"{count(people.customers)}位客户，每位都由制定计划之前的行为来描述。",
        )
        blocks = [_strip(people, story), _scatter(people, story), _cadence(people, story), _discounts(people, story)]
    blocks += [_categories(story), _week(story)]
    part = pick("Can it be trusted?", "可信吗？")
    return Chapter(
        "customers", pick("Customers", "客户"), pick("Who are the customers?", "客户是谁？"), lead, blocks, part
    )


def _strip(people: Customers, story: Story) -> Block:
    middle, cash = people.middle, story.cash
    typical = [
        (pick("since the last order", "距上次下单"), days(middle.recency_days)),
        (pick("between two orders", "两次下单间隔"), days(middle.cadence_days)),
        (pick("per basket", "每单金额"), cash(middle.basket_cents)),
        (pick("saved by discounts", "因打折省下"), share(middle.discount_share)),
        (pick("expected in the coming window", "预计活动期内消费"), cash(middle.spend_next_cents)),
    ]
    title = pick("The customer in the middle", "居中的客户（中位数）")
    return Block("strip", {"rows": [row for row in typical if row[1] != DASH]}, title)


def _scatter(people: Customers, story: Story) -> Figure | Block:
    placed = people.placed
    if placed is None:
        return gap(
            pick("recency and spend together", "最近购买与消费的关系"),
            pick("no customer has both a last order and a spend", "没有客户同时有上次下单时间和消费金额"),
        )
    points = [
        [_warp(d.recency_days), d.spend_cents, d.price_sensitivity, clip(d.customer_id, 24), d.recency_days]
        for d in placed.dots
    ]
    last = max(placed.longest_days, 1.0)
    spec = {
        "kind": "scatter",
        "ticks": [[_warp(d), str(d)] for d in TICK_DAYS if d <= last],
        "x": {"name": pick("days since the last order", "距上次下单的天数"), "max": _warp(last) * 1.02},
        "y": {"name": _spend_name(story), "fmt": "money"},
        "points": points,
        "color": _colours(placed),
        "marks": _marks(placed, story),
    }
    how = pick(
        "Each dot is a customer; both scales are stretched towards small values so that everybody can be seen.",
        "每个点是一位客户；两个轴都把小数值拉开，让每个人都看得见。",
    )
    if placed.customers > placed.drawn:
        drawn, of = count(placed.drawn), count(placed.customers)
        how += pick(f" {plural(placed.drawn, 'customer')} drawn of {of}.", f"共{of}位，画出{drawn}位。")
    if placed.left_out:
        out = plural(placed.left_out, "customer")
        how += pick(
            f" {out} without a known order or spend left out.", f"{count(placed.left_out)}位没有下单或消费记录，未画。"
        )
    how += pick(" Lettered: the customers shown above.", "带字母的是前面介绍的客户。") if spec["marks"] else ""
    title, n = pick("Every customer at a glance", "所有客户一览"), people_n(people.customers)
    return Figure("customers-map", title, _scatter_finding(placed), spec, _deciles(placed, story), how, n, wide=True)


def _warp(day: float) -> float:
    return round(math.log2(1 + max(day, 0.0)), 4)


def _spend_name(story: Story) -> str:
    return pick(f"spend in the last {days(story.history_days)}", f"最近{days(story.history_days)}的消费")


def _colours(placed: Placed) -> dict[str, object] | None:
    low, high = placed.sensitivity_low, placed.sensitivity_high
    if low is None:
        return None
    return {"min": low, "max": high, "low": pick("answers prices less", "对价格不敏感"),
            "high": pick("answers prices more", "对价格敏感")}  # fmt: skip


def _marks(placed: Placed, story: Story) -> list[list[object]]:
    found: dict[str, Dot] = {dot.customer_id: dot for dot in placed.lettered}
    lettered = [(chr(65 + i), found.get(card.given.customer_id)) for i, card in enumerate(story.cards)]
    return [[_warp(dot.recency_days), dot.spend_cents, letter] for letter, dot in lettered if dot]


def _scatter_finding(placed: Placed) -> str:
    lately = days(placed.middle.recency_days)
    parts = [pick(f"Half of the customers bought within the last {lately}.", f"一半客户在最近{lately}内买过。")]
    if placed.top_tenth_share is not None:
        top = share(placed.top_tenth_share)
        parts.append(
            pick(f"The tenth that spends most brings {top} of all spend.", f"消费最高的十分之一带来全部消费的{top}。")
        )
    if placed.apart_share is not None:
        apart = share(placed.apart_share)
        parts.append(
            pick(
                f"For {apart} of them it is sure that they answer prices more, or less, than the customer in the "
                "middle; "
                "for the others the colour is a tendency, not a finding.",
                f"其中{apart}可以确定比居中的客户更敏感或更不敏感；其余客户的颜色只是倾向，不是结论。",
            )
        )
    elif placed.middle.price_sensitivity is None:
        parts.append(pick("How customers answer prices is not known.", "客户对价格的反应未知。"))
    else:
        parts.append(pick("How customers answer prices is shown without its error.", "客户对价格的反应没有给出误差。"))
    return pick(" ", "").join(parts)


def _deciles(placed: Placed, story: Story) -> Grid:
    rows = [
        [
            pick(f"{share(q.part)} of customers are at or below", f"{share(q.part)}的客户不超过"),
            number(q.recency_days),
            story.cash(q.spend_cents),
            number(q.orders),
            number(q.price_sensitivity),
        ]
        for q in placed.quantiles
    ]
    heads = [
        "", pick("days since last order", "距上次下单天数"), _spend_name(story), pick("orders", "订单数"),
        pick("price sensitivity", "价格敏感度"),
    ]  # fmt: skip
    return Grid(heads, rows)


def _histogram(found: Histogram, ident: str, title: str, axis: str, fmt: str, finding: str) -> Figure:
    text = share if fmt == "share" else day_count
    spec = {
        "kind": "columns",
        "bins": [[bar.low, bar.high, bar.customers] for bar in found.bars],
        "x": {"name": axis, "fmt": fmt},
        "y": {"name": pick("customers", "客户"), "fmt": "count"},
        "mark": [found.middle, pick("median", "中位数")],
    }
    rows = [[ends(bar.low, bar.high, text), count(bar.customers)] for bar in found.bars if bar.customers]
    how, cap = "", text(found.cap)
    if found.above:
        above = plural(found.above, "customer")
        how = pick(f"{above} above {cap} not drawn.", f"另有{count(found.above)}位高于{cap}，未画。")
    grid = Grid([axis, pick("customers", "客户")], rows)
    return Figure(ident, title, finding, spec, grid, how, people_n(found.customers))


def _cadence(people: Customers, story: Story) -> Figure | Block:
    gaps = people.cadence_days
    if gaps is None:
        return gap(pick("how often customers come", "客户多久来一次"), story.missing.get("cadence_days"))
    middle, low, high = days(gaps.middle), day_count(gaps.lower), days(gaps.upper)
    finding = pick(
        f"The customer in the middle comes every {middle}; half of all customers come every {low} to {high}.",
        f"居中的客户每{middle}来一次；一半客户每{low}至{high}来一次。",
    )
    return _histogram(
        gaps,
        "cadence",
        pick("How often they come", "多久来一次"),
        pick("typical days between orders", "通常的下单间隔（天）"),
        "days",
        finding,
    )


def _discounts(people: Customers, story: Story) -> Figure | Block:
    part = people.discount_share
    if part is None:
        return gap(pick("how much is bought on discount", "有多少是打折时买的"), story.missing.get("discount_share"))
    middle, heavy = share(part.middle), share(people.heavy_share)
    finding = pick(
        f"The customer in the middle saves {middle} of the full price; {heavy} of customers save a fifth or more.",
        f"居中的客户比原价少付{middle}；{heavy}的客户少付五分之一以上。",
    )
    title = pick("How much of it is discounted", "有多少是折扣")
    return _histogram(
        part, "discount-share", title, pick("share of the full price saved", "比原价少付的比例"), "share", finding
    )


def _categories(story: Story) -> Figure | Block:
    tastes = story.tastes
    if tastes is None:
        return gap(pick("what they like to buy", "他们喜欢买什么"), story.missing.get("tastes"))
    first = tastes.top[0]
    name, most, together = upper_first(clip(first.target, 40)), share(first.spend_share), share(tastes.together_share)
    finding = pick(
        f"{name}: {most} of the average customer's spend; the first {tastes.shown} of "
        f"{plural(tastes.categories, 'category', 'categories')} together {together}.",
        f"{name}：占平均每位客户消费的{most}；{count(tastes.categories)}个品类中的前{tastes.shown}个共占{together}。",
    )
    spec = {
        "kind": "bars",
        "x": {"name": pick("share of the average customer's spend", "占平均每位客户消费的比例"), "fmt": "share"},
        "rows": [
            {
                "name": clip(each.target, 44),
                "value": each.spend_share,
                "text": pick(f"{count(each.customers)} buyers", f"{count(each.customers)}位购买者"),
            }
            for each in tastes.top
        ],
    }
    grid = Grid(
        [pick("category", "品类"), pick("share of spend", "消费占比"), pick("customers who buy it", "购买的客户")],
        [[clip(each.target, 60), share(each.spend_share), count(each.customers)] for each in tastes.top],
    )
    title = pick("What they like", "他们喜欢什么")
    return Figure("categories", title, finding, spec, grid, "", people_n(tastes.customers))


def _week(story: Story) -> Figure | Block:
    week = story.week
    if week is None:
        return gap(pick("when they buy", "什么时候买"), story.missing.get("week"))
    names, day = [each.in_(spoken()) for each in WEEKDAYS], week.busiest_day
    busiest = share(week.days_share[day])
    title, n = pick("When they buy", "什么时候买"), pick(plural(week.orders, "order"), f"{count(week.orders)}个订单")
    if not week.timed:
        finding = pick(
            f"The busiest day is {names[day]} with {busiest} of the orders. The log has dates without a time of day.",
            f"最忙的是{names[day]}，占订单的{busiest}。日志只有日期，没有钟点。",
        )
        rows = [{"name": name, "value": part, "text": ""} for name, part in zip(names, week.days_share, strict=True)]
        spec = {"kind": "bars", "x": {"name": pick("share of orders", "订单占比"), "fmt": "share"}, "rows": rows}
        cells = [[name, share(part)] for name, part in zip(names, week.days_share, strict=True)]
        return Figure("week", title, finding, spec, Grid([pick("day", "星期"), pick("orders", "订单")], cells), "", n)
    best = week.busiest
    top, when = share(best.orders_share), f"{best.hour}:00{pick(' to ', '至')}{best.hour + 1}:00"
    finding = pick(
        f"The busiest hour is {names[best.weekday]}, {when}, with {top} of the week's orders; the busiest day is "
        f"{names[day]} with {busiest}.",
        f"最忙的时段是{names[best.weekday]}{when}，占一周订单的{top}；最忙的一天是{names[day]}，占{busiest}。",
    )
    short = [name[:3] for name in names]  # as calendars write them; in Chinese all of it
    heat: dict[str, object] = {
        "kind": "heat",
        "days": short,
        "max": best.orders_share,
        "cells": [[each.hour, each.weekday, each.orders_share] for each in week.hours],
    }
    rows_ = [
        [f"{hour}:00", *(share(each.orders_share) for each in week.hours if each.hour == hour)] for hour in range(24)
    ]
    zone = story.plan.shop.zone
    how = pick(f"Share of the week's orders by local hour ({zone}).", f"一周订单按当地钟点的占比（{zone}）。")
    return Figure("week", title, finding, heat, Grid([pick("hour", "钟点"), *short], rows_), how, n)
