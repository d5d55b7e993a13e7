"""Who gets what and why: the mix of offers, some customers' cards; and what is said, in Chinese and in English."""

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.pages.story import Card, Story
from promolift.words import clip, count, interval, plural, share, upper_first

MOST_OFFERS = 12
LANGUAGES = {"zh": "Chinese", "en": "English"}


def tell(story: Story) -> Chapter:
    """Who gets what."""
    blocks = [
        gap("who gets which offer", story.missing.get("offers")) if story.offers.is_empty() else _mix(story),
        Block("cards", {"rows": [_card(c, i, story) for i, c in enumerate(story.cards)]}, "Some customers, and why")
        if story.cards
        else gap("the stories of single customers", story.missing.get("cards")),
    ]
    return Chapter("people", "Who gets what", "Who gets what, and why?", _lead(story), blocks)


def _lead(story: Story) -> str:
    """How many get an offer, and what becomes of the others."""
    plan = story.plan
    if not plan.treated:
        return "Nobody would get an offer."
    text = f"{count(plan.treated)} of {plural(plan.customers, 'customer')} would get an offer."
    if plan.held_out:
        text += f" {plural(plan.held_out, 'customer')} drawn by hash get none, so that the difference can be measured."
    if plan.barred:
        text += f" {plural(plan.barred, 'customer')} may not be written to."
    return text


def _mix(story: Story) -> Figure:
    cash, plan = story.cash, story.plan
    shown = [
        row | {"name": clip(row["offer"] or row["offer_id"], 80)}
        for row in story.offers.head(MOST_OFFERS).iter_rows(named=True)
    ]
    top = shown[0]
    rows = [[r["name"], count(r["treated"]), cash(r["gain_cents"]), cash(r["cost_cents"])] for r in shown]
    bars = [
        {"name": name, "value": r["treated"], "text": f"gain {gain}, cost {cost}"}
        for r, (name, _, gain, cost) in zip(shown, rows, strict=True)
    ]
    rarer = ["Only the most frequent are drawn."] if story.offers.height > MOST_OFFERS else []
    lucky = story.head is not None and story.head.promised_cents is not None
    return Figure(
        "mix",
        "The mix of offers",
        f"The plan uses {plural(story.offers.height, 'offer')}. Most frequent is “{clip(top['name'], 60)}”: "
        f"{plural(top['treated'], 'customer')}, {share(top['share'])} of those treated.",
        {"kind": "bars", "x": {"name": "customers", "fmt": "count"}, "rows": bars},
        Grid(["offer", "customers", "expected gain", "expected cost"], rows),
        " ".join([*rarer, *(["Luck in the choice is not taken off single offers."] if lucky else [])]),
        plural(plan.treated, "offer"),
        plan.evidence,
        wide=True,
    )


def _card(card: Card, place: int, story: Story) -> dict[str, object]:
    given, cash = card.given, story.cash
    return {
        "letter": chr(65 + place),
        "id": clip(given.customer_id, 40),
        "who": clip(card.who, 600),
        "facts": {clip(name, 40): clip(value, 60) for name, value in card.facts.items()},
        "offer": clip(card.offer, 140),
        "why": upper_first(clip(given.reason, 600)),
        "gain": cash(given.gain_cents, sign=True),
        "interval": interval(given.low_cents, given.high_cents, cash),
        "cost": cash(given.cost_cents),
        "evidence": given.evidence,
        **_texts(card),
    }


def _texts(card: Card) -> dict[str, str]:
    """What the customer reads in each language."""
    texts = {"zh": card.given.message_zh, "en": card.given.message_en}
    return {language: clip(text, 400) if text else "" for language, text in texts.items()}


def tell_messages(story: Story) -> Chapter:
    """What customers read and why: twelve of them as notifications with a tick per fact; the pool; what was refused."""
    rows = [
        {"offer": clip(c.offer, 80), "customer": clip(c.given.customer_id, 40), **_texts(c), **_notification(c)}
        for c in story.typical
    ]
    lead = "No messages were written."
    if story.written:
        lead = "; ".join(
            f"{plural(each.messages, 'message')} in {LANGUAGES[each.language]}, typically {count(each.characters)} "
            "characters long"
            for each in story.written
        )
        lead += f". {plural(story.silent, 'offer')} without a message." if story.silent else "."
    if not rows:
        shown = [gap("what customers would read", story.missing.get("messages") or story.missing.get("offers"))]
        return Chapter("messages", "Messages", "What do they read?", lead, shown)
    blocks = [Block("messages", {"rows": rows}, "Twelve customers, why they were written to, and what they read")]
    if story.angles:
        told = [[angle.replace("_", " "), count(number)] for angle, number in story.angles]
        reasons = Grid(["reason the message gives", "messages"], told)
        blocks.append(Block("grid", {"grid": reasons, "text": ""}, "Reasons"))
    return Chapter("messages", "Messages", "What do they read?", lead, [*blocks, *_pool(story)])


def _notification(card: Card) -> dict[str, object]:
    """Why, the titles, and each fact that was read in the text, ticked or not."""
    given = card.given
    return {
        "why": clip(given.reason, 300),
        "angle": (given.angle or "").replace("_", " "),
        "title_zh": clip(given.title_zh or "", 80),
        "title_en": clip(given.title_en or "", 80),
        "facts": [(fact.language, clip(fact.said, 60), fact.kind, fact.holds) for fact in card.read],
    }


def _pool(story: Story) -> list[Block]:
    """How many texts stand in each state, and five that were refused, with the reason."""
    found, pool = [], story.pool
    states = [[state, count(number)] for state, number in pool.funnel if number]
    if states:
        text = (
            f"{count(pool.usable)} may be sent, as [message] approve = {pool.approve!r} says. "
            f"{count(pool.by_person)} of {count(pool.size)} texts were approved by a person."
        )
        found.append(Block("grid", {"grid": Grid(["state", "texts"], states), "text": text}, "The pool of texts"))
    if pool.refused:
        rows = [[clip(text, 200), clip(why, 200)] for text, why in pool.refused]
        grid = Grid(["refused text", "why"], rows)
        found.append(Block("grid", {"grid": grid, "text": ""}, "Texts that were refused"))
    return found
