"""What each customer will do next: maps of customers and products, one customer told, how it was learned, how good."""

from collections.abc import Sequence

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap, note, sentences, table
from promolift.pages.chapters.models import calibration_figure, score_block
from promolift.pages.figures import Axis, Line, by_x, lines
from promolift.pages.story import Story
from promolift.results.forecasts import EpochFigures, Forecasts, GoodsMap, PeopleMap
from promolift.results.shop import CustomerForecast, Visit
from promolift.words import clip, count, number, plural, share, upper_first

GROUPS, LABELS = 6, 70  # coloured groups of a map; names tried on the map of products, the most bought first
SHELVES = 12
HOW = "The alike stand near each other; the directions, and distances between far groups, mean nothing."


def tell(story: Story) -> Chapter | None:
    """What is forecast; where an encoder was asked for and none was learned, why; no chapter where nobody asked."""
    ahead, why = story.forecast, story.missing.get("forecast")
    if ahead is None and why is None:
        return None
    if ahead is None:
        lead = "No neural network was learned in this run. The plan needs none, and all else is told without it."
        return _chapter(lead, [gap("what each customer will do next", why)])
    blocks = [
        *(_people(ahead.people, _ring(ahead.told), story) if ahead.people else ()),
        *([_goods(ahead.goods)] if ahead.goods else ()),
        *(_customer(ahead.told, story) if ahead.told else ()),
        *_quality(ahead),
    ]
    lead = (
        "A small neural network, a transformer, read every visit and learned where each customer stands among all and "
        "what comes next. It forecasts what people do anyway; what an offer would change stands in the next chapters."
    )
    return _chapter(lead, blocks)


def _chapter(lead: str, blocks: Sequence[Block | Figure]) -> Chapter:
    return Chapter("forecast", "What comes next", "What will each customer do next?", lead, blocks)


def _people(people: PeopleMap, ring: list[str], story: Story) -> list[Figure]:
    """The map of customers twice: by expected spend, and by the shelf they lean to."""
    cash, n, dots = story.cash, plural(people.customers, "customer"), people.dots
    texts = [f"expected in 8 weeks: {cash(dot.spend_cents)}" for dot in dots]
    scale = {"min": 0, "max": 1, "low": "spends little", "high": "spends much"}
    points = _points(people, [dot.spend_rank for dot in dots], texts)
    spend = {"kind": "map", "points": points, "color": scale, "ring": ring}
    cuts = [[share(each.part), cash(each.spend_cents)] for each in people.spend]
    grid = Grid(["share of the customers", "expected in 8 weeks, at most"], cuts)
    figures = [Figure("map-spend", "Customers by expected spend", _alike(people), spend, grid, HOW, n)]
    if len(people.leanings) > 1:
        top = [each.leans_to for each in people.leanings[:GROUPS]]
        place = [top.index(dot.leans_to) if dot.leans_to in top else None for dot in dots]
        points = _points(people, place, [f"leans to {clip(dot.leans_to, 40)}" for dot in dots])
        leaning = {"kind": "map", "points": points, "groups": [clip(name, 26) for name in top], "ring": ring}
        cells = [[clip(each.leans_to, 40), count(each.customers)] for each in people.leanings]
        grid = Grid(["leans to", "customers"], cells)
        finding = f"Coloured by what a next basket holds more of than everybody's, most often {clip(top[0], 40)}."
        figures.append(Figure("map-leaning", "The same customers by taste", finding, leaning, grid, HOW, n))
    return figures


def _points(people: PeopleMap, value: Sequence[float | None], texts: Sequence[str]) -> list[list[object]]:
    return [
        [
            round(dot.x, 3), round(dot.y, 3), None if v is None else round(v, 3),
            f"customer {clip(dot.customer_id, 24)}", text,
        ]
        for dot, v, text in zip(people.dots, value, texts, strict=True)
    ]  # fmt: skip


def _ring(customer: CustomerForecast | None) -> list[str]:
    """The customer told of, then those alike."""
    who = [customer.customer_id, *(each.customer_id for each in customer.alike)] if customer else []
    return [f"customer {clip(each, 24)}" for each in who]


def _alike(people: PeopleMap) -> str:
    """How much the ten nearest dots tell of a customer's spend and of how they answer prices."""
    if people.spend_agrees is None:
        return "Too few customers to say how alike neighbours are."
    text = f"Neighbours spend alike: the ten dots around agree with a customer to {people.spend_agrees:.2f} of 1."
    if people.prices_agree is None:
        return text
    return f"{text} How they answer prices is another matter ({people.prices_agree:.2f})."


def _goods(found: GoodsMap) -> Figure:
    """The map of products, coloured by shelf."""
    top = [each.shelf for each in found.shelves[:GROUPS]]
    points = [
        [
            round(each.x, 3), round(each.y, 3), top.index(each.shelf) if each.shelf in top else None,
            clip(each.name, 26), f"{clip(each.shelf, 30)}, {plural(each.visits, 'visit')}",
        ]
        for each in found.goods
    ]  # fmt: skip
    spec = {"kind": "map", "points": points, "groups": [clip(name, 34) for name in top], "labels": LABELS}
    finding = "What the same people buy stands together, whatever shelf it is on."
    if found.never:
        finding += f" {plural(found.never, 'kind')} never bought so far: placed by shelf, brand and price."
    cells = [[clip(each.shelf, 40), count(each.kinds), count(each.visits)] for each in found.shelves[:SHELVES]]
    grid = Grid(["shelf", "products on the map", "visits"], cells)
    how = f"{HOW} Coloured: the shelves bought from most. Named: what is bought most. Private matters are left out."
    n = plural(found.kinds, "kind of product", "kinds of product")
    return Figure("map-goods", "What the same people buy", finding, spec, grid, how, n, wide=True)


def _customer(customer: CustomerForecast, story: Story) -> list[Block | Figure]:
    """One customer: what is expected, why, and who is like them."""
    name = f"One customer told: {clip(customer.customer_id, 24)}"
    blocks: list[Block | Figure] = [sentences(name, customer.sentences)]
    if customer.reasons and customer.item:
        blocks.append(_reasons(customer.item, customer.reasons))
    if customer.alike:
        rows = [
            [
                clip(each.customer_id, 24), clip(each.next_1, 40), story.cash(each.spend_cents),
                clip(each.leans_to, 40),
            ]
            for each in customer.alike
        ]  # fmt: skip
        heads = ["customer", "likeliest next", "expected in 8 weeks", "leans to"]
        blocks.append(table("Most like this customer", heads, rows, "Ringed on the maps.", words=(1, 3)))
    return blocks


def _basket(visit: Visit) -> str:
    return ", ".join(visit.items) or "private matters"


def _reasons(named: str, visits: Sequence[Visit]) -> Figure:
    """What each visit adds to the odds of the likeliest item."""
    item, most = clip(named, 40), max(visits, key=lambda visit: visit.odds_factor)
    finding = (
        f"{upper_first(item)} again: without the visit of {most.day} its odds would be {share(most.odds_lost_share)} "
        "lower."
    )
    if most.odds_factor <= 1:
        finding = f"No single visit makes {item} likelier; the habit does."
    rows = [{"name": f"{each.day}: {clip(_basket(each), 60)}", "value": each.odds_change_share} for each in visits]
    spec = {"kind": "bars", "x": {"name": f"change of the odds of {item} by the visit", "fmt": "signed"}, "rows": rows}
    cells = [[each.day, clip(_basket(each), 160), share(each.odds_change_share)] for each in visits]
    grid = Grid(["visit", "basket", "change of the odds"], cells, (0, 1))
    how = "Each visit was left out in turn and the network asked again; the effects of several need not add up."
    return Figure("reasons", f"Why {item}?", finding, spec, grid, how, plural(len(rows), "visit"), wide=True)


def _quality(ahead: Forecasts) -> list[Block | Figure]:
    """Figures beside habit, the training, and calibration."""
    blocks: list[Block | Figure] = []
    if ahead.scores:
        blocks.append(score_block(ahead.scores, "How well the next basket is forecast, in weeks never learned from"))
    if ahead.stays_away is not None:
        said, came = share(ahead.stays_away.predicted), share(ahead.stays_away.observed)
        blocks.append(
            note(
                f"Of the customers, {said} were expected to stay away for those 8 weeks, and {came} did. "
                "The weeks served to stop the learning in time, which flatters the figures a little; each half of the "
                "customers was calibrated on the other half."
            )
        )
    if ahead.kept is not None:
        blocks.append(_curve(ahead.epochs, ahead.kept, "ndcg", "The next basket (NDCG@10)", "higher"))
        blocks.append(_curve(ahead.epochs, ahead.kept, "loss", "The loss", "lower"))
    if ahead.reliability is not None:
        blocks.append(calibration_figure(ahead.reliability, "forecast-calibration"))
    return blocks


def _curve(epochs: Sequence[EpochFigures], kept: EpochFigures, slug: str, name: str, good: str) -> Figure:
    """A figure epoch by epoch, where it was learned and where it was not."""
    parts = (("train", "blue", "learned from"), ("valid", "orange", "not learned from"))
    series = [Line(said, tone, [(e.epoch, getattr(e, f"{part}_{slug}")) for e in epochs]) for part, tone, said in parts]
    first, best = (number(getattr(e, f"valid_{slug}")) for e in (epochs[0], kept))
    finding = f"{name} of the weeks not learned from: {first} after one pass over the data"
    finding += ", which is kept." if kept == epochs[0] else f", {best} after {kept.epoch}, which is kept."
    short = f"{name[:1].lower()}{name[1:]}"
    loss = Axis(f"{short}, {good} is better", "fixed")
    how = "An epoch is one pass over the data. Were the lines to part, it would be learning by heart."
    grid = by_x("epoch", series, count, number)
    title = f"Learning: {short}"
    return lines(f"learning-{slug}", title, finding, Axis("epoch", "count"), loss, series, grid, how=how, close=True)
