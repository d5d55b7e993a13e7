"""What each customer will do next: maps of customers and products, one customer told, how it was learned, how good."""

from collections.abc import Sequence

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap, note, sentences, table
from promolift.pages.figures import Axis, Line, by_x, calibration_figure, lines, people_n, score_block
from promolift.pages.story import Story
from promolift.results.chinese import kept
from promolift.results.forecasts import CustomerForecast, EpochFigures, Forecasts, GoodsMap, PeopleMap, Visit
from promolift.terms import Words
from promolift.words import clip, count, number, pick, plural, share, spoken, upper_first

GROUPS, LABELS = 6, 70  # coloured groups of a map; names tried on the map of products, the most bought first
SHELVES = 12
HOW = Words(
    en="The alike stand near each other; the directions, and distances between far groups, mean nothing.",
    zh="相似的靠在一起；方向以及相距较远的群体之间的距离没有意义。",
)


def tell(story: Story) -> Chapter | None:
    """What is forecast; where an encoder was asked for and none was learned, why; no chapter where nobody asked."""
    ahead, why = story.forecast, story.missing.get("forecast")
    if ahead is None and why is None:
        return None
    if ahead is None:
        lead = pick(
            "No neural network was learned in this run. The plan needs none, and all else is told without it.",
            "这次没有训练神经网络。计划不需要它，其余内容也不依赖它。",
        )
        return _chapter(lead, [gap(pick("what each customer will do next", "每位客户接下来会做什么"), why)])
    blocks = [
        *(_people(ahead.people, _ring(ahead.told), story) if ahead.people else ()),
        *([_goods(ahead.goods)] if ahead.goods else ()),
        *(_customer(ahead.told, story) if ahead.told else ()),
        *_quality(ahead),
    ]
    lead = pick(
        "A small neural network, a transformer, read every visit and learned where each customer stands among all and "
        "what comes next. It forecasts what people do anyway, not what an offer would change.",
        "一个小型神经网络（transformer）读了每一次到店，学会每位客户在所有人中的位置，以及接下来会怎样。它预见的是客户本来会做的"
        "事，不是优惠会改变什么。",
    )
    return _chapter(lead, blocks)


def _chapter(lead: str, blocks: Sequence[Block | Figure]) -> Chapter:
    title = pick("What will each customer do next?", "每位客户接下来会做什么？")
    return Chapter("forecast", pick("What comes next", "接下来"), title, lead, blocks)


def _people(people: PeopleMap, ring: list[str], story: Story) -> list[Figure]:
    """The map of customers twice: by expected spend, and by the shelf they lean to."""
    cash, n, dots, how = story.cash, people_n(people.customers), people.dots, HOW.in_(spoken())
    texts = [pick("expected in 8 weeks: ", "8周内预计：") + cash(dot.spend_cents) for dot in dots]
    scale = {"min": 0, "max": 1, "low": pick("spends little", "消费少"), "high": pick("spends much", "消费多")}
    points = _points(people, [dot.spend_rank for dot in dots], texts)
    spend = {"kind": "map", "points": points, "color": scale, "ring": ring}
    cuts = [[share(each.part), cash(each.spend_cents)] for each in people.spend]
    heads = [pick("share of the customers", "客户比例"), pick("expected in 8 weeks, at most", "8周内预计消费不超过")]
    title = pick("Customers by expected spend", "客户：按预计消费")
    figures = [Figure("map-spend", title, _alike(people), spend, Grid(heads, cuts), how, n)]
    if len(people.leanings) > 1:
        top = [each.leans_to for each in people.leanings[:GROUPS]]
        place = [top.index(dot.leans_to) if dot.leans_to in top else None for dot in dots]
        points = _points(people, place, [pick("leans to ", "偏爱") + clip(dot.leans_to, 40) for dot in dots])
        leaning = {"kind": "map", "points": points, "groups": [clip(name, 26) for name in top], "ring": ring}
        cells = [[clip(each.leans_to, 40), count(each.customers)] for each in people.leanings]
        grid, most = Grid([pick("leans to", "偏爱"), pick("customers", "客户")], cells), clip(top[0], 40)
        finding = pick(
            f"Coloured by what a next basket holds more of than everybody's, most often {most}.",
            f"颜色表示下一单比别人多买什么，最常见的是{most}。",
        )
        title = pick("The same customers by taste", "同样的客户：按口味")
        figures.append(Figure("map-leaning", title, finding, leaning, grid, how, n))
    return figures


def _points(people: PeopleMap, value: Sequence[float | None], texts: Sequence[str]) -> list[list[object]]:
    return [
        [round(dot.x, 3), round(dot.y, 3), None if v is None else round(v, 3), _called(dot.customer_id), text]
        for dot, v, text in zip(people.dots, value, texts, strict=True)
    ]


def _called(customer_id: str) -> str:
    return pick("customer ", "客户") + clip(customer_id, 24)


def _ring(told: CustomerForecast | None) -> list[str]:
    """The customer told of, then those alike."""
    return [_called(who) for who in (told.customer_id, *(each.customer_id for each in told.alike))] if told else []


def _alike(people: PeopleMap) -> str:
    """Whether neighbours are alike in what the map was not made from."""
    if people.spend_agrees is None:
        return pick("Too few customers to say how alike neighbours are.", "客户太少，看不出相邻者有多相似。")
    spend = f"{people.spend_agrees:.2f}"
    text = pick(
        f"Neighbours spend alike: the ten dots around agree with a customer to {spend} of 1.",
        f"相邻者消费相近：周围十个点与这位客户的一致程度为{spend}（最高1）。",
    )
    if people.prices_agree is None:
        return text
    prices = f"{people.prices_agree:.2f}"
    return text + pick(
        f" How they answer prices is another matter ({prices}).", f"对价格的反应则是另一回事（{prices}）。"
    )


def _goods(found: GoodsMap) -> Figure:
    """The map of products, coloured by shelf."""
    top = [each.shelf for each in found.shelves[:GROUPS]]
    points = [
        [
            round(each.x, 3),
            round(each.y, 3),
            top.index(each.shelf) if each.shelf in top else None,
            clip(each.name, 26),
            pick(
                f"{clip(each.shelf, 30)}, {plural(each.visits, 'visit')}",
                f"{clip(each.shelf, 30)}，{count(each.visits)}次",
            ),
        ]
        for each in found.goods
    ]
    spec = {"kind": "map", "points": points, "groups": [clip(name, 34) for name in top], "labels": LABELS}
    finding = pick(
        "What the same people buy stands together, whatever shelf it is on.",
        "同一批人买的东西靠在一起，不管在哪个货架。",
    )
    if found.never:
        never = plural(found.never, "kind")
        finding += pick(
            f" {never} never bought so far: placed by shelf, brand and price.",
            f"有{count(found.never)}种至今没人买过，按货架、品牌和价格放置。",
        )
    cells = [[clip(each.shelf, 40), count(each.kinds), count(each.visits)] for each in found.shelves[:SHELVES]]
    grid = Grid([pick("shelf", "货架"), pick("products on the map", "图上的商品"), pick("visits", "到店次数")], cells)
    how = HOW.in_(spoken()) + pick(
        " Coloured: the shelves bought from most. Named: what is bought most. Private matters are left out.",
        "颜色：购买最多的货架。名称：购买最多的商品。私密商品已略去。",
    )
    n = pick(plural(found.kinds, "kind of product", "kinds of product"), f"{count(found.kinds)}种商品")
    return Figure(
        "map-goods", pick("What the same people buy", "同一批人买什么"), finding, spec, grid, how, n, wide=True
    )


def _customer(told: CustomerForecast, story: Story) -> list[Block | Figure]:
    """One customer: what is expected, why, and who is like them."""
    name = pick("One customer told: ", "以一位客户为例：") + clip(told.customer_id, 24)
    blocks: list[Block | Figure] = [sentences(name, [kept(each, story.names) for each in told.sentences])]
    if told.reasons and told.item:
        blocks.append(_reasons(told.item, told.reasons))
    if told.alike:
        rows = [
            [
                clip(each.customer_id, 24),
                clip(each.next_1, 40),
                story.cash(each.spend_cents),
                clip(each.leans_to, 40),
            ]
            for each in told.alike
        ]
        heads = [
            pick("customer", "客户"),
            pick("likeliest next", "最可能买"),
            pick("expected in 8 weeks", "8周内预计"),
            pick("leans to", "偏爱"),
        ]
        title, text = (
            pick("Most like this customer", "与这位客户最像的人"),
            pick("Ringed on the maps.", "图上画圈的就是他们。"),
        )
        blocks.append(table(title, heads, rows, text, words=(1, 3)))
    return blocks


def _basket(visit: Visit) -> str:
    return pick(", ", "、").join(visit.items) or pick("private matters", "私密商品")


def _reasons(named: str, visits: Sequence[Visit]) -> Figure:
    """What each visit adds to the odds of the likeliest item."""
    item, most = clip(named, 40), max(visits, key=lambda visit: visit.odds_factor)
    lost = share(most.odds_lost_share)
    finding = pick(
        f"{upper_first(item)} again: without the visit of {most.day} its odds would be {lost} lower.",
        f"还是{item}：没有{most.day}那次到店，它的几率会低{lost}。",
    )
    if most.odds_factor <= 1:
        finding = pick(
            f"No single visit makes {item} likelier; the habit does.", f"没有哪次到店单独让{item}更可能，靠的是习惯。"
        )
    rows = [
        {"name": f"{each.day}{pick(': ', '：')}{clip(_basket(each), 60)}", "value": each.odds_change_share}
        for each in visits
    ]
    axis = pick(f"change of the odds of {item} by the visit", f"该次到店使{item}的几率变化")
    spec = {"kind": "bars", "x": {"name": axis, "fmt": "signed"}, "rows": rows}
    cells = [[each.day, clip(_basket(each), 160), share(each.odds_change_share)] for each in visits]
    grid = Grid(
        [pick("visit", "到店"), pick("basket", "购物篮"), pick("change of the odds", "几率变化")], cells, (0, 1)
    )
    how = pick(
        "Each visit was left out in turn and the network asked again; the effects of several need not add up.",
        "逐次去掉一次到店再问网络；几次的作用不一定能相加。",
    )
    n = pick(plural(len(rows), "visit"), f"{count(len(rows))}次到店")
    return Figure("reasons", pick(f"Why {item}?", f"为什么是{item}？"), finding, spec, grid, how, n, wide=True)


def _quality(ahead: Forecasts) -> list[Block | Figure]:
    """Figures beside habit, the training, and calibration."""
    blocks: list[Block | Figure] = []
    if ahead.scores:
        title = pick(
            "How well the next basket is forecast, in weeks never learned from", "对下一单的预见（在没有学过的几周里）"
        )
        blocks.append(score_block(ahead.scores, title))
    if ahead.stays_away is not None:
        said, came = share(ahead.stays_away.predicted), share(ahead.stays_away.observed)
        text = pick(
            f"Of the customers, {said} were expected to stay away for those 8 weeks, and {came} did. "
            "The weeks served to stop the learning in time, which flatters the figures a little; each half of the "
            "customers was calibrated on the other half.",
            f"预计有{said}的客户那8周不来，实际是{came}。这几周也用来决定何时停止学习，所以指标略偏好；每一半客户用另一半来校准。",
        )
        blocks.append(note(text))
    if ahead.kept is not None:
        basket, loss = pick("The next basket (NDCG@10)", "下一单（NDCG@10）"), pick("The loss", "损失")
        blocks.append(_curve(ahead.epochs, ahead.kept, "ndcg", basket, pick("higher is better", "越高越好")))
        blocks.append(_curve(ahead.epochs, ahead.kept, "loss", loss, pick("lower is better", "越低越好")))
    if ahead.reliability is not None:
        blocks.append(calibration_figure(ahead.reliability, "forecast-calibration"))
    return blocks


def _curve(epochs: Sequence[EpochFigures], best: EpochFigures, slug: str, name: str, good: str) -> Figure:
    """A figure epoch by epoch, where it was learned and where it was not."""
    parts = (
        ("train", "blue", pick("learned from", "学过的")),
        ("valid", "orange", pick("not learned from", "没学过的")),
    )
    series = [Line(said, tone, [(e.epoch, getattr(e, f"{part}_{slug}")) for e in epochs]) for part, tone, said in parts]
    first, top = (number(getattr(e, f"valid_{slug}")) for e in (epochs[0], best))
    only = best == epochs[0]
    finding = pick(
        f"{name} of the weeks not learned from: {first} after one pass over the data"
        + (", which is kept." if only else f", {top} after {best.epoch}, which is kept."),
        f"{name}，没学过的几周：一遍之后{first}"
        + ("，保留这一遍。" if only else f"，{best.epoch}遍之后{top}，保留这一遍。"),
    )
    short = f"{name[:1].lower()}{name[1:]}"
    along, upright = Axis(pick("epoch", "遍数"), "count"), Axis(f"{short}{pick(', ', '，')}{good}", "fixed")
    how = pick(
        "An epoch is one pass over the data. Were the lines to part, it would be learning by heart.",
        "一遍即把数据过一次。两条线如果分开，就是在死记硬背。",
    )
    grid = by_x(along.name, series, count, number)
    title = pick("Learning: ", "学习：") + short
    return lines(f"learning-{slug}", title, finding, along, upright, series, grid, how=how, close=True)
