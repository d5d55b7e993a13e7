"""Chapter 7. Who gets what and why: the mix of offers, and five customers' stories."""

from promolift.report.blocks import Block, Chapter, Figure, Grid, gap
from promolift.report.plans import Totals, samples, totals
from promolift.report.story import Household, Story
from promolift.report.words import clip, count, interval, money, plural, share, upper_first

MOST_OFFERS = 12
MOST_STORIES = 5


def tell(story: Story) -> Chapter:
    """The plan."""
    plan = totals(story.plan)
    blocks: list[Figure | Block] = [
        _mix(plan, story) if plan else gap("who gets which offer", story.missing.get("plan"))
    ]
    stories = list(story.households or ())[:MOST_STORIES]
    if stories:
        blocks.append(
            Block(
                "households",
                {"rows": [_card(h, i, story) for i, h in enumerate(stories)]},
                f"{plural(len(stories), 'customer')}, and why",
            )
        )
    else:
        blocks.append(gap("the stories of single customers", story.missing.get("households")))
        blocks += _rows(story)
    lead = "Nobody would get an offer." if story.chosen and story.chosen.why else "No plan was given."
    if plan:
        lead = f"{plural(plan.treated, 'customer')} would get an offer."
        if plan.treated < plan.customers:
            among = f"{count(plan.treated)} of {plural(plan.customers, 'customer')}"
            lead = f"{among} would get an offer; the others get none."
    return Chapter("people", "Who gets what", "Who gets what, and why?", lead, blocks)


def _mix(plan: Totals, story: Story) -> Figure | Block:
    if plan.offers.is_empty():
        return gap("a mix of offers", "the plan gives nobody an offer")
    currency = story.shop.currency
    shown = plan.offers.head(MOST_OFFERS).with_columns(
        plan.offers["offer"].head(MOST_OFFERS).fill_null(plan.offers["offer_id"].head(MOST_OFFERS))
    )
    top = shown.row(0, named=True)
    finding = (
        f"The plan uses {plural(plan.offers.height, 'offer')}. Most frequent is “{clip(top['offer'], 60)}”: "
        f"{plural(top['treated'], 'customer')}, {share(top['treated'] / plan.treated)} of those treated."
    )
    spec = {
        "kind": "bars",
        "x": {"name": "customers", "fmt": "count"},
        "rows": [
            {
                "name": clip(r["offer"], 56),
                "value": r["treated"],
                "text": f"gain {money(r['gain_cents'], currency)}, cost {money(r['cost_cents'], currency)}",
            }
            for r in shown.iter_rows(named=True)
        ],
    }
    rows = [
        [clip(r["offer"], 80), count(r["treated"]), money(r["gain_cents"], currency), money(r["cost_cents"], currency)]
        for r in shown.iter_rows(named=True)
    ]
    left = plan.offers.height - shown.height
    how = f"{plural(left, 'rarer offer')} not drawn." if left else ""
    evidence = (story.chosen.evidence if story.chosen else None) or "unstated"
    return Figure(
        "mix",
        "The mix of offers",
        finding,
        spec,
        Grid(["offer", "customers", "expected gain", "expected cost"], rows, frozenset({1, 2, 3})),
        how,
        plural(plan.treated, "offer"),
        evidence,
        wide=True,
    )


def _card(who: Household, place: int, story: Story) -> dict[str, object]:
    currency = story.shop.currency
    return {
        "letter": chr(65 + place),
        "id": clip(who.customer_id, 40),
        "who": clip(who.who, 600) if who.who else "Nothing is known about this customer.",
        "facts": [(clip(name, 40), clip(value, 60)) for name, value in who.facts],
        "offer": clip(who.offer, 140) if who.offer else "No offer",
        "why": upper_first(clip(who.why, 600)) if who.why else "",
        "gain": money(who.gain_cents, currency, sign=True),
        "interval": interval(who.low_cents, who.high_cents, lambda x: money(x, currency), story.interval_percent),
        "cost": money(who.cost_cents, currency),
        "zh": clip(who.message_zh, 400) if who.message_zh else "",
        "en": clip(who.message_en, 400) if who.message_en else "",
        "checks": [
            {"fact": clip(c.fact, 60), "value": clip(c.value, 80) if c.value else "", "ok": c.ok} for c in who.checks
        ],
        "evidence": who.evidence,
    }


def _rows(story: Story) -> list[Block]:
    """Without stories, some rows of the plan."""
    rows = samples(story.plan, MOST_STORIES)
    if not rows:
        return []
    currency = story.shop.currency
    cells = [
        [
            clip(r["customer_id"], 40),
            clip(r["offer"] or r["offer_id"], 60),
            money(r["gain_cents"], currency),
            money(r["cost_cents"], currency),
            clip(r["reason"], 160),
        ]
        for r in rows
    ]
    grid = Grid(["customer", "offer", "expected gain", "expected cost", "reason"], cells, frozenset({2, 3}))
    return [
        Block(
            "grid",
            {"grid": grid, "text": "One typical customer for each of the most frequent offers."},
            "From the plan",
        )
    ]
