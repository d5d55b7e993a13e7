"""Chapter 7. Who gets what and why: the mix of offers, and five customers' stories."""

import polars as pl

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.pages.frames import tidy
from promolift.pages.planned import MIX, TYPICAL, Chosen, Household
from promolift.pages.story import Story
from promolift.words import clip, count, interval, known, money, plural, share, upper_first

MOST_OFFERS = 12
MOST_STORIES = 5


def tell(story: Story) -> Chapter:
    """The plan."""
    mix = tidy(story.mix, MIX)
    blocks: list[Figure | Block] = [
        _mix(mix, story) if mix.height else gap("who gets which offer", story.missing.get("mix"))
    ]
    stories = list(story.households or ())[:MOST_STORIES]
    if stories:
        cards = {"rows": [_card(h, i, story) for i, h in enumerate(stories)]}
        blocks.append(Block("households", cards, "Some customers, and why"))
    else:
        blocks.append(gap("the stories of single customers", story.missing.get("households")))
        blocks += _rows(story)
    return Chapter("people", "Who gets what", "Who gets what, and why?", _lead(story), blocks)


def _lead(story: Story) -> str:
    """How many get an offer, and what becomes of the others."""
    chosen = story.chosen
    treated = known(chosen.treated) if chosen else None
    if chosen is None or treated is None:
        return "No plan was given."
    if not treated:
        return "Nobody would get an offer."
    if not known(chosen.customers):
        return f"{plural(treated, 'customer')} would get an offer."
    text = f"{count(treated)} of {plural(chosen.customers, 'customer')} would get an offer."
    if known(chosen.held_out):
        text += (
            f" {plural(chosen.held_out, 'customer')} drawn by hash get none, so that the difference can be measured."
        )
    if known(chosen.barred):
        text += f" {plural(chosen.barred, 'customer')} may not be written to."
    return text


def _mix(mix: pl.DataFrame, story: Story) -> Figure:
    currency, chosen = story.shop.currency, story.chosen or Chosen()
    shown = mix.head(MOST_OFFERS).with_columns(pl.coalesce("offer", "offer_id").alias("offer"))
    top = shown.row(0, named=True)
    uses = f"The plan uses {plural(chosen.offers, 'offer')}. " if known(chosen.offers) else ""
    part = f", {share(top['share'])} of those treated" if known(top["share"]) is not None else ""
    finding = f"{uses}Most frequent is “{clip(top['offer'], 60)}”: {plural(top['treated'], 'customer')}{part}."
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
    rarer = ["Only the most frequent are drawn."] if mix.height > shown.height else []
    lucky = ["Luck in the choice is not taken off single offers."] if known(chosen.promised_cents) is not None else []
    return Figure(
        "mix",
        "The mix of offers",
        finding,
        spec,
        Grid(["offer", "customers", "expected gain", "expected cost"], rows, frozenset({1, 2, 3})),
        " ".join(rarer + lucky),
        plural(chosen.treated, "offer") if known(chosen.treated) else "",
        chosen.evidence or "unstated",
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
        "evidence": who.evidence,
    }


def _rows(story: Story) -> list[Block]:
    """Without stories, some rows of the plan."""
    rows = tidy(story.typical, TYPICAL).head(MOST_STORIES).to_dicts()
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
