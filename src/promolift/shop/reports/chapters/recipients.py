"""Who gets what and why: the mix of offers, what sets customers apart, some of them; and what they read."""

from promolift.core.customers.disclosure_control import small_cells
from promolift.core.messages.angles import RULES
from promolift.foundation.i18n.formatting import clip, count, interval, pick, plural, share, spoken, upper_first
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.shop.reports.offer_reasons import MOTIVES
from promolift.shop.reports.story import Card, ReadFact, Story
from promolift.shop.results.customers import Given
from promolift.shop.results.messages import PoolWords

MOST_OFFERS, MOST_REFUSED = 12, 5


def tell(story: Story) -> Chapter:
    """Who gets what."""
    blocks: list[Figure | Block] = [
        gap("who gets which offer", story.missing.get("offers")) if story.offers.is_empty() else _mix(story)
    ]
    if story.motives and story.plan.treated:
        blocks.append(_motives(story))
    if not story.segments.is_empty():
        blocks.append(_segments(story))
    title = "Some customers, and why"
    if story.cards:
        blocks.append(Block("cards", {"rows": [_card(c, i, story) for i, c in enumerate(story.cards)]}, title))
    else:
        blocks.append(gap("the stories of single customers", story.missing.get("cards")))
    name, title = "Who gets what", "Who gets what, and why?"
    return Chapter("people", name, title, _lead(story), blocks, "The plan")


def _lead(story: Story) -> str:
    """How many get an offer, and what becomes of the others."""
    plan = story.plan
    if not plan.treated:
        return kept("Nobody would get an offer.")
    rest = plan.able - plan.treated
    said = [
        pick(
            f"{count(plan.treated)} of {plural(plan.customers, 'customer')} would get an offer.",
            f"{count(plan.customers)}位客户中，{count(plan.treated)}位会得到优惠。",
        )
    ]
    if rest and not plan.drawn:
        said.append(
            pick(
                f"{plural(rest, 'customer')} get none: no offer is open to them or worth its cost, or others use the "
                "budget better.",
                f"{count(rest)}位不发：没有可以发的优惠，或者不值得花费，或者预算用在别人身上更划算。",
            )
        )
    if plan.held_out:
        said.append(
            pick(
                f"{plural(plan.held_out, 'customer')} picked at random get none, so that the difference can be "
                "measured.",
                f"{count(plan.held_out)}位随机抽出的客户不发，用来衡量差别。",
            )
        )
    if plan.barred:
        said.append(
            pick(f"{plural(plan.barred, 'customer')} may not be written to.", f"{count(plan.barred)}位不允许联系。")
        )
    return pick(" ", "").join(said)


def _mix(story: Story) -> Figure:
    cash, plan = story.cash, story.plan
    shown = [
        row | {"name": clip(row["offer"] or row["offer_id"] or kept("other offers, each to few customers"), 80)}
        for row in story.offers.head(MOST_OFFERS).iter_rows(named=True)
    ]
    top = shown[0]
    rows = [[r["name"], count(r["treated"]), cash(r["gain_cents"]), cash(r["cost_cents"])] for r in shown]
    bars = [
        {"name": name, "value": r["treated"], "text": kept(f"brings {gain}, costs {cost}")}
        for r, (name, _, gain, cost) in zip(shown, rows, strict=True)
    ]
    how = []
    if story.offers.height > MOST_OFFERS:
        how.append(kept("Only the most frequent are drawn."))
    if story.head is not None and story.head.promised_cents is not None:
        how.append(kept("Luck in the choice is not taken off single offers."))
    name = clip(top["name"], 60)
    finding = pick(
        f"{plural(story.different, 'different offer')}. Most frequent is “{name}”: "
        f"{plural(top['treated'], 'customer')}, {share(top['share'])} of those with an offer.",
        f"共{count(story.different)}种不同的优惠。最常见的是“{name}”：{count(top['treated'])}位客户，占得到优惠者的{share(top['share'])}。",
    )
    heads = ["offer", "customers", "expected gain", "expected cost"]
    return Figure(
        "mix",
        "Which offers",
        finding,
        {"kind": "bars", "x": {"name": kept("customers"), "fmt": "count"}, "rows": bars},
        Grid(heads, rows),
        pick(" ", "").join(how),
        plural(plan.treated, "offer") if spoken() == "en" else count(plan.treated),
        plan.evidence,
        wide=True,
    )


def _motives(story: Story) -> Figure:
    """What sets those with an offer apart."""
    rows = [(upper_first(kept(MOTIVES[each.motive])), each.customers) for each in story.motives]
    few = small_cells([n for _, n in rows], story.least)
    rest = sum(n for (_, n), small in zip(rows, few, strict=True) if small)
    rows = [row for row, small in zip(rows, few, strict=True) if not small]
    rows += [(kept("other reasons, each of few customers"), rest)] if rest else []
    finding = pick(
        f"What sets most of them apart: they {MOTIVES[story.motives[0].motive]} ({count(rows[0][1])} of "
        f"{count(story.plan.treated)}).",
        f"他们最常见的特点：{rows[0][0]}（{count(story.plan.treated)}位中的{count(rows[0][1])}位）。",
    )
    how = kept(
        "Of each customer the one that tells most; the reason of each, with their own figures, stands in plan.csv."
    )
    spec = {
        "kind": "bars",
        "x": {"name": kept("customers"), "fmt": "count"},
        "rows": [{"name": name, "value": n, "text": ""} for name, n in rows],
    }
    grid = Grid(["what sets them apart", "customers"], [[name, count(n)] for name, n in rows])
    return Figure("motives", "Why these customers", finding, spec, grid, how, wide=True)


def _segments(story: Story) -> Block:
    """The shop's own groups of customers, and what the plan gives each."""
    rows = [
        [
            clip(pick(row["segment"], row["name_zh"] or row["segment"]), 60),
            cell(row["customers"], story),
            share(row["share"]),
            cell(row["treated"], story),
            story.cash(row["gain_cents"]),
            story.cash(row["cost_cents"]),
        ]
        for row in story.segments.iter_rows(named=True)
    ]
    heads = ["segment", "customers", "of all", "with an offer", "expected gain", "expected cost"]
    how = kept("By the rules of promolift.toml; a customer who belongs to two counts in both.")
    return Block("grid", {"grid": Grid(heads, rows), "text": how}, "Your segments")


def cell(customers: int | None, story: Story) -> str:
    """A number of customers, or that it is not printed: they are too few, or the rest of a whole would be."""
    return kept(f"fewer than {story.least}, or would tell of so few") if customers is None else count(customers)


def _card(card: Card, place: int, story: Story) -> dict[str, object]:
    given, cash = card.given, story.cash
    reason = pick(given.reason, given.reason_zh or given.reason)
    return {
        "letter": chr(65 + place),
        "id": clip(given.customer_id, 40),
        "who": clip(card.who, 600) if card.who else "",
        "facts": {clip(name, 40): clip(value, 60) for name, value in card.facts.items()},
        "offer": clip(card.offer, 140),
        "why": upper_first(clip(reason, 600)) + pick(".", "。") if reason else "",
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
    """What customers read and why: some of them as notifications with a tick per fact; the pool; what was refused."""
    rows = [
        {"offer": clip(c.offer, 80), "customer": clip(c.given.customer_id, 40), **_texts(c), **_notification(c)}
        for c in story.typical
    ]
    lead = "No messages were written."
    if story.written:
        language = {"zh": kept("Chinese"), "en": kept("English")}
        lead = pick("; ", "；").join(
            pick(
                f"{plural(each.messages, 'message')} in {language[each.language]}, typically {count(each.characters)} "
                "characters long",
                f"{language[each.language]}消息{count(each.messages)}条，通常{count(each.characters)}个字符",
            )
            for each in story.written
        )
        silent = pick(f" {plural(story.silent, 'offer')} without a message.", f"{count(story.silent)}个优惠没有消息。")
        lead += pick(".", "。") + (silent if story.silent else "")
    name, title = "Messages", "What do they read?"
    if not rows:
        why = story.missing.get("messages") or story.missing.get("offers")
        return Chapter("messages", name, title, lead, [gap("what customers would read", why)])
    shown = kept("Some customers, why they were written to, and what they read")
    blocks = [Block("messages", {"rows": rows}, shown)]
    if story.angles:
        few = small_cells([number for _, number in story.angles], story.least)
        angles = [
            [angle_name(angle), cell(None if small else number, story)]
            for (angle, number), small in zip(story.angles, few, strict=True)
        ]
        heads = ["reason the message gives", "messages"]
        blocks.append(Block("grid", {"grid": Grid(heads, angles), "text": ""}, "Reasons"))
    return Chapter("messages", name, title, lead, [*blocks, *(_pool(story.wording) if story.wording else [])])


def angle_name(angle: str) -> str:
    """What a message is about, in a few words."""
    return RULES[angle].label.in_(spoken()) if angle in RULES else angle


def _notification(card: Card) -> dict[str, object]:
    """Why, the titles, and each fact that was read in the text, ticked or not."""
    given = card.given
    return {
        "why": clip(pick(given.reason, given.reason_zh or given.reason), 300),
        "angle": angle_name(given.angle) if given.angle else "",
        "title_zh": clip(given.title_zh or "", 80),
        "title_en": clip(given.title_en or "", 80),
        "facts": [(f.language, clip(f.said, 60), kept(f.kind), f.holds) for f in (*_claimed(given), *card.read)],
    }


def _claimed(given: Given) -> list[ReadFact]:
    """The claim of the words, and whether the customer's own rows give it."""
    if not given.angle or given.angle == "generic":
        return []
    kind, holds = kept("reason"), given.angle in (given.angles or ())
    return [ReadFact(spoken(), angle_name(given.angle), kind, holds)]


def _pool(wording: PoolWords) -> list[Block]:
    """How many texts stand in each state, and some that were refused, with the reason."""
    states = [[kept(state), count(number)] for state, number in wording.pool.funnel().items() if number]
    size, usable = len(wording.texts), len(wording.pool.usable(wording.approve).texts)
    approved = sum(text.state == "approved" for text in wording.texts)
    text = pick(
        f"{count(usable)} of {plural(size, 'text')} may be sent; a person approved {count(approved)}.",
        f"{count(size)}条文案中有{count(usable)}条可以发送，其中{count(approved)}条经人审批。",
    )
    if usable > approved:
        text += kept(
            " The others were read and passed by a large language model; whether that is enough is said in "
            "promolift.toml."
        )
    heads = ["state", "texts"]
    found = [Block("grid", {"grid": Grid(heads, states), "text": text}, "The pool of texts")]
    mine = [text for text in wording.texts if text.language == spoken()]
    refused = [text for state in ("rejected", "faulty") for text in mine if text.state == state][:MOST_REFUSED]
    if refused:
        rows = [[clip(f"{text.title} / {text.hook}", 200), clip(kept(text.why), 200)] for text in refused]
        grid = Grid(["text", "why"], rows)
        found.append(Block("grid", {"grid": grid, "text": ""}, "Texts that were refused"))
    return found
