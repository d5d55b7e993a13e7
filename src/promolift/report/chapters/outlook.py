"""What each customer will do next: maps of customers and products, one customer told, how it was learned, how good."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from promolift.report.blocks import Block, Chapter, Figure, Grid, gap, note, table
from promolift.report.chapters.models import calibration_figure, score_block
from promolift.report.frames import quantile, sample
from promolift.report.story import Outlook, Story, Told
from promolift.report.words import clip, count, money, number, plural, share, upper_first

GROUPS, LABELS = 6, 70  # coloured groups of a map; names tried on the map of products, the most bought first
DOTS = 1_200
HOW = "The alike stand near each other; the directions, and distances between far groups, mean nothing."
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def tell(story: Story) -> Chapter | None:
    """The outlook; where an encoder was asked for and none was learned, why; no chapter where nobody asked."""
    ahead, why = story.outlook, story.missing.get("outlook")
    if ahead is None and why is None:
        return None
    if ahead is None:
        lead = "No neural network was learned in this run. The plan needs none, and all else is told without it."
        return _chapter(lead, [gap("what each customer will do next", why)])
    blocks = [*_people(ahead, story), _goods(ahead), *_told(ahead, story), *_quality(ahead)]
    lead = (
        "A small neural network, a transformer, read every visit and learned where each customer stands among all and "
        "what comes next. It foresees what people do anyway; what an offer would change stands in the next chapters."
    )
    return _chapter(lead, [b for b in blocks if b])


def _chapter(lead: str, blocks: list[Block | Figure]) -> Chapter:
    return Chapter("outlook", "What comes next", "What will each customer do next?", lead, blocks)


def _people(ahead: Outlook, story: Story) -> list[Figure]:
    """The map of customers twice: by expected spend, and by the shelf they lean to."""
    if ahead.people is None or ahead.people.is_empty():
        return []
    rows = sample(ahead.people, "customer_id", DOTS, "report.outlook")
    n, ring = plural(rows.height, "customer"), _ring(ahead.told)
    rank = rows["spend_cents"].rank("average") / max(rows["spend_cents"].count(), 1)
    texts = [f"expected in 8 weeks: {money(cents, story.shop.currency)}" for cents in rows["spend_cents"]]
    scale = {"min": 0, "max": 1, "low": "spends little", "high": "spends much"}
    spend = {"kind": "map", "points": _points(rows, rank.to_list(), texts), "color": scale, "ring": ring}
    cuts = [[share(q), money(quantile(rows["spend_cents"], q), story.shop.currency)] for q in QUANTILES]
    grid = Grid(["share of the customers", "expected in 8 weeks, at most"], cuts, frozenset({1}))
    figures = [Figure("map-spend", "Customers by expected spend", _alike(rows), spend, grid, HOW, n)]
    counts = rows.drop_nulls("leans_to").group_by("leans_to").len().sort(["len", "leans_to"], descending=[True, False])
    if counts.height > 1:
        top = counts["leans_to"].to_list()[:GROUPS]
        place = [top.index(name) if name in top else None for name in rows["leans_to"]]
        points = _points(rows, place, [f"leans to {clip(name, 40)}" for name in rows["leans_to"]])
        leaning = {"kind": "map", "points": points, "groups": [clip(name, 26) for name in top], "ring": ring}
        grid = Grid(["leans to", "customers"], [[clip(a, 40), count(b)] for a, b in counts.iter_rows()], frozenset({1}))
        finding = f"Coloured by what a next basket holds more of than everybody's, most often {clip(top[0], 40)}."
        figures.append(Figure("map-leaning", "The same customers by taste", finding, leaning, grid, HOW, n))
    return figures


def _points(rows: pl.DataFrame, value: Sequence[float | None], texts: Sequence[str]) -> list[list[object]]:
    places = zip(rows["x"], rows["y"], value, rows["customer_id"], texts, strict=True)
    return [
        [round(x, 3), round(y, 3), None if v is None else round(v, 3), f"customer {clip(who, 24)}", text]
        for x, y, v, who, text in places
    ]


def _ring(told: Told | None) -> list[str]:
    """The customer told of, then those alike."""
    return [f"customer {clip(who, 24)}" for who in (told.customer_id, *(a[0] for a in told.alike))] if told else []


def _alike(rows: pl.DataFrame) -> str:
    """How much the ten nearest dots tell of a customer's spend and of his answer to prices."""
    spend, prices = (_agreement(rows, column) for column in ("spend_cents", "price_sensitivity"))
    if spend is None:
        return "Too few customers to say how alike neighbours are."
    text = f"Neighbours spend alike: the ten dots around agree with a customer to {spend:.2f} of 1."
    return text if prices is None else f"{text} How they answer prices is another matter ({prices:.2f})."


def _agreement(rows: pl.DataFrame, column: str) -> float | None:
    """Rank correlation of a value with its mean over the ten nearest dots."""
    known = rows.drop_nulls([column])
    if known.height < 30:
        return None
    rank = known[column].rank("average").to_numpy()
    xy = known.select("x", "y").to_numpy()
    near = ((xy[:, None] - xy[None]) ** 2).sum(-1).argsort(axis=1)[:, 1:11]
    return float(pl.DataFrame({"own": rank, "around": rank[near].mean(axis=1)}).select(pl.corr("own", "around")).item())


def _goods(ahead: Outlook) -> Figure | None:
    """The map of products, coloured by shelf."""
    if ahead.goods is None or ahead.goods.is_empty():
        return None
    rows = ahead.goods.sort(["visits", "name"], descending=[True, False])
    sizes = rows.drop_nulls("group").group_by("group").agg(pl.col("visits").sum(), pl.len().alias("n"))
    sizes = sizes.sort(["visits", "group"], descending=[True, False])
    top = sizes["group"].to_list()[:GROUPS]
    points = [
        [
            round(x, 3), round(y, 3), top.index(group) if group in top else None, clip(name, 26),
            f"{clip(group, 30)}, {plural(visits, 'visit')}",
        ]
        for name, x, y, group, visits in rows.select("name", "x", "y", "group", "visits").iter_rows()
    ]  # fmt: skip
    spec = {"kind": "map", "points": points, "groups": [clip(name, 34) for name in top], "labels": LABELS}
    finding = "What the same people buy stands together, whatever shelf it is on."
    never = rows.filter(pl.col("visits") == 0).height
    if never:
        finding += f" {plural(never, 'kind')} never bought so far: placed by shelf, brand and price."
    cells = [[clip(a, 40), count(n), count(v)] for a, v, n in sizes.head(12).iter_rows()]
    grid = Grid(["shelf", "products on the map", "visits"], cells, frozenset({1, 2}))
    how = f"{HOW} Coloured: the shelves bought from most. Named: what is bought most. Private matters are left out."
    n = plural(rows.height, "kind of product", "kinds of product")
    return Figure("map-goods", "What the same people buy", finding, spec, grid, how, n, wide=True)


def _told(ahead: Outlook, story: Story) -> list[Block | Figure]:
    """One customer: what is expected, why, and who is like him."""
    told = ahead.told
    if told is None:
        return []
    name = f"One customer told: {clip(told.customer_id, 24)}"
    blocks: list[Block | Figure] = [Block("sentences", {"rows": list(told.sentences)}, name)]
    if told.visits and told.item:
        blocks.append(_reasons(told))
    if told.alike:
        rows = [
            [clip(who, 24), clip(item, 40), money(cents, story.shop.currency), clip(leans, 40)]
            for who, item, cents, leans in told.alike
        ]
        heads = ["customer", "likeliest next", "expected in 8 weeks", "leans to"]
        blocks.append(table("Most like this customer", heads, rows, "Ringed on the maps.", words=(1, 3)))
    return blocks


def _reasons(told: Told) -> Figure:
    """What each visit adds to the odds of the likeliest item."""
    item = clip(told.item, 40)
    day, _, factor = max(told.visits, key=lambda visit: visit[2])
    finding = f"{upper_first(item)} again: without the visit of {day} its odds would be {share(1 - 1 / factor)} lower."
    if factor <= 1:
        finding = f"No single visit makes {item} likelier; the habit does."
    rows = [{"name": f"{day}: {clip(basket, 60)}", "value": factor - 1} for day, basket, factor in told.visits]
    spec = {"kind": "bars", "x": {"name": f"change of the odds of {item} by the visit", "fmt": "signed"}, "rows": rows}
    cells = [[day, clip(basket, 160), share(factor - 1)] for day, basket, factor in told.visits]
    grid = Grid(["visit", "basket", "change of the odds"], cells, frozenset({2}))
    how = "Each visit was left out in turn and the network asked again; the effects of several need not add up."
    return Figure("reasons", f"Why {item}?", finding, spec, grid, how, plural(len(rows), "visit"), wide=True)


def _quality(ahead: Outlook) -> list[Block | Figure]:
    """Figures beside habit, the training, and calibration."""
    blocks: list[Block | Figure] = []
    if ahead.scores is not None and not ahead.scores.is_empty():
        blocks.append(score_block(ahead.scores, "How well the next basket is foreseen, in weeks never learned from"))
    if ahead.stays_away is not None:
        said, came = ahead.stays_away
        blocks.append(
            note(
                f"Of the customers, {share(said)} were expected to stay away for those 8 weeks, and {share(came)} did. "
                "The weeks served to stop the learning in time, which flatters the figures a little; each half of the "
                "customers was calibrated on the other half."
            )
        )
    blocks += _learning(ahead)
    if ahead.bins is not None and not ahead.bins.is_empty():
        blocks.append(calibration_figure(ahead.bins, "an item in the next basket", "outlook-calibration"))
    return blocks


def _learning(ahead: Outlook) -> list[Figure]:
    """The list of the next basket, epoch by epoch, where it was learned and where it was not."""
    if ahead.record is None or ahead.record.is_empty():
        return []
    best = int(ahead.record["valid_ndcg"].arg_max() or 0)
    return [
        _curve(ahead.record, best, "ndcg", "The next basket (NDCG@10)", "higher"),
        _curve(ahead.record, best, "loss", "The loss", "lower"),
    ]


def _curve(record: pl.DataFrame, best: int, slug: str, name: str, good: str) -> Figure:
    lines = {"blue": ("train", "learned from"), "orange": ("valid", "not learned from")}
    series: list[dict[str, Any]] = [
        {
            "name": said,
            "tone": tone,
            "points": [[e + 1, v, None, None, None] for e, v in enumerate(record[f"{k}_{slug}"])],
        }
        for tone, (k, said) in lines.items()
    ]
    axis = {"name": f"{name[:1].lower() + name[1:]}, {good} is better", "fmt": "fixed"}
    spec = {"kind": "lines", "x": {"name": "epoch", "fmt": "count"}, "y": axis, "series": series, "close": True}
    unseen = record[f"valid_{slug}"]
    finding = f"{name} of the weeks not learned from: {number(unseen[0])} after one pass over the data"
    finding += f", {number(unseen[best])} after {best + 1}, which is kept." if best else ", which is kept."
    cells = [
        [count(e + 1), number(a), number(b)]
        for e, (a, b) in enumerate(zip(record[f"train_{slug}"], unseen, strict=True))
    ]
    grid = Grid(["epoch", "learned from", "not learned from"], cells, frozenset({0, 1, 2}))
    how = "An epoch is one pass over the data. Were the lines to part, it would be learning by heart."
    return Figure(f"learning-{slug}", f"Learning: {name[:1].lower() + name[1:]}", finding, spec, grid, how)
