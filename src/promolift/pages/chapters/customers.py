"""Who the customers are: how recently, how much, how often, what, and how they answer prices."""

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.pages.figures import people_n
from promolift.pages.story import Story
from promolift.results.customers import Customers
from promolift.results.figures import Histogram
from promolift.words import DASH, clip, count, day_count, days, ends, pick, plural, share, upper_first


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
        blocks = [_strip(people, story), _cadence(people, story), _discounts(people, story)]
    blocks.append(_categories(story))
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
