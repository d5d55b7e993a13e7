"""True texts in, false ones out: one fact changed, one impossible thing added, or one damage done; the offer stays."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from message_texts import (
    CATEGORIES,
    PLAIN_KEYS,
    WEEKDAYS_ZH,
    ZONES,
    Facts,
    core_en,
    core_zh,
    facts_of,
    md_en,
    md_zh,
    pick,
    render,
)
from promolift.hashing import hash_int
from promolift.message import Context
from promolift.terms import Language, Offer

ADDED: dict[str, tuple[tuple[str, str], ...]] = {
    "zh": (
        ("superlative", "全国最低价。"), ("superlative", "品质第一。"), ("superlative", "最佳选择！"),
        ("superlative", "国家级品质。"), ("superlative", "独家优惠。"), ("superlative", "保证满意。"),
        ("urgency", "限时抢购！"), ("urgency", "即将结束。"), ("urgency", "仅限今天！"), ("urgency", "手慢无！"),
        ("urgency", "最后机会。"), ("urgency", "近期有效。"), ("leak", "因为您浏览过它。"),
        ("leak", "根据您的购买记录推荐。"), ("leak", "我们注意到您怀孕了。"), ("leak", "适合您这个年龄。"),
        ("leak", "作为一名教师，您会喜欢。"), ("slot", "{name}"), ("slot", "None"), ("slot", "nan"), ("slot", "%s"),
        ("markup", "<b>点击</b>"), ("link", "详见http://t.cn/abc"), ("link", "www.evil.com"), ("control", "\u200b"),
        ("control", "\u202e"), ("condition", "第二件才可用。"), ("condition", "仅限新用户。"),
        ("condition", "不可与其他优惠同享。"), ("benefit", "另送积分100分。"), ("benefit", "买一送一。"),
        ("benefit", "还有赠品。"), ("negated", "特价商品除外。"), ("purchase", "您刚刚购买了一台冰箱。"),
        ("number", "已有3000人领取。"),
    ),
    "en": (
        ("superlative", "The best deal in town."), ("superlative", "Lowest prices guaranteed."),
        ("superlative", "We are No. 1."), ("superlative", "The #1 choice."), ("superlative", "Unbeatable!"),
        ("urgency", "Hurry!"), ("urgency", "Only today!"), ("urgency", "Ends soon."), ("urgency", "Limited time only."),
        ("urgency", "Last chance!"), ("urgency", "While supplies last."), ("leak", "Because you viewed it."),
        ("leak", "Based on your browsing history."), ("leak", "We noticed you are pregnant."),
        ("leak", "As a teacher, you will love it."), ("leak", "Perfect at your age."), ("slot", "{name}"),
        ("slot", "None"), ("slot", "nan"), ("slot", "%s"), ("markup", "<b>Click</b>"), ("link", "See https://t.co/abc"),
        ("link", "www.evil.com"), ("control", "\u200b"), ("control", "\u202e"),
        ("condition", "For new customers only."), ("condition", "On your second item."),
        ("condition", "Cannot be combined with other offers."), ("benefit", "Plus 100 points."),
        ("benefit", "Buy one get one."), ("benefit", "With a free gift."), ("negated", "Excludes sale items."),
        ("purchase", "You just bought a fridge."), ("number", "3,000 people have used it."),
    ),
}  # fmt: skip
FACT_KINDS = (
    "percent", "inverted", "amount", "threshold", "swapped", "no threshold", "new threshold", "cap", "no cap",
    "currency", "day", "month", "name", "everything", "narrowed", "type",
)  # fmt: skip
SAYS_CURRENCY = re.compile(r"[¥$€£元块金镑圆]|[A-Z]{3} ?\d|dollars|yuan|euros|pounds|yen")


@dataclass(frozen=True)
class Case:
    """One text with the offer it is about; `kind` says what was done to it ('true' if nothing)."""

    text: str
    offer: Offer
    language: Language
    context: Context
    style: int
    kind: str = "true"

    def become(self, text: str, kind: str) -> "Case":
        return replace(self, text=text, kind=kind)


def mutations(case: Case, i: int) -> Iterator[Case]:
    """One change of a fact, one addition and one damage, as far as they exist for this text."""
    yield from first_that_differs(case, "fact", FACT_KINDS, i)
    kind, words = pick(ADDED[case.language], "added", i)
    gap = "" if case.language == "zh" or kind == "control" else " "
    yield case.become(f"{case.text}{gap}{words}", f"added {kind}")
    yield from first_that_differs(case, "damage", DAMAGES, i)


def first_that_differs(case: Case, group: str, kinds: tuple[str, ...], i: int) -> Iterator[Case]:
    """The first kind, from a hashed one on, that exists for the offer and makes another text."""
    turn = hash_int(group, i) % len(kinds)
    for kind in kinds[turn:] + kinds[:turn]:
        text = changed_fact(case, kind, i) if group == "fact" else damaged(case, kind, i)
        if text and text not in (case.text, ended(case)):
            yield case.become(text, kind)
            return


# --- one fact changed ---------------------------------------------------------------------------------------------


def changed_fact(case: Case, kind: str, i: int) -> str | None:
    other = changed(facts_of(case.offer), kind, i)
    if other is None:
        return None
    text = render(other, case.language, case.style, case.context.name or "")
    return None if kind == "currency" and not SAYS_CURRENCY.search(text) else text


def changed(f: Facts, kind: str, i: int) -> Facts | None:
    """`f` with one fact changed, or None where that fact does not exist."""
    other = CATEGORIES[pick(PLAIN_KEYS, "other", i)].words
    other = other if other != f.name else CATEGORIES["SUSHI"].words
    percent, off = f.type == "percent_off", f.type == "amount_off"
    step = pick((-10, -5, 5, 10, 15), "step", i)
    money = any((f.threshold, f.amount, f.cap)) and f.currency != "JPY"
    foreign = pick([c for c in ZONES if c not in (f.currency, "JPY")], "currency", i)
    options = {
        "percent": percent and replace(f, percent=f.percent + step if 0 < f.percent + step < 100 else f.percent + 10),
        "inverted": percent and f.percent != 50 and replace(f, percent=100 - f.percent),
        "amount": off and replace(f, amount=f.amount * pick((2, 3, 10), "times", i)),
        "threshold": f.threshold and replace(f, threshold=f.threshold * 3 // pick((2, 6), "times", i)),
        "swapped": off and replace(f, amount=f.threshold, threshold=f.amount),
        "no threshold": f.threshold and not off and replace(f, threshold=0),
        "new threshold": not f.threshold and replace(f, threshold=5000),
        "cap": f.cap and replace(f, cap=f.cap * 2),
        "no cap": f.cap and replace(f, cap=0),
        "currency": money and replace(f, currency=foreign),
        "day": replace(f, end=f.end + timedelta(days=pick((-1, 1, 2, -3, 7), "day", i))),
        "month": replace(f, end=f.end + timedelta(days=pick((-31, 31, 61), "month", i))),
        "name": f.name and replace(f, name=other),
        "everything": f.name and replace(f, name=None),
        "narrowed": not f.name and replace(f, name=other),
        "type": not off and replace(f, type="free_shipping" if percent else "percent_off", percent=20),
    }
    return options[kind] or None


# --- one damage done ------------------------------------------------------------------------------------------------


def ended(case: Case) -> str:
    """A plain true text of the same offer, the base of most damages."""
    facts, style = facts_of(case.offer), case.style + 1
    if case.language == "zh":
        return f"{core_zh(facts, style)}，有效期至{md_zh(facts.end)}。"
    return f"{core_en(facts, style)}. Valid through {md_en(facts.end)}."


def damaged(case: Case, kind: str, i: int) -> str:
    facts, zh, style = facts_of(case.offer), case.language == "zh", case.style + 1
    base, end = ended(case), facts.end
    wrong_day = end + timedelta(days=2)
    if kind == "no date":
        return f"{core_zh(facts, style)}。" if zh else f"{core_en(facts, style)}."
    if kind == "before":
        return base.replace("有效期至", "").replace("日。", "日之前有效。") if zh else base.replace("through", "before")
    if kind == "greeting":
        return f"尊敬的赵六，{base}" if zh else f"Dear Zoe, {base}"
    if kind == "language":
        return render(facts, "en" if zh else "zh", style, "")
    if kind == "year":
        return case.text.replace(str(end.year), str(end.year + 1))
    if kind == "weekday":
        said = f"日周{WEEKDAYS_ZH[wrong_day.weekday()]}。" if zh else f"through {wrong_day:%A},"
        return base.replace("日。", said) if zh else base.replace("through", said)
    if kind == "up to":
        number = r"(?=[\d０-９一-九点.]+折)" if zh else r"\b(?=[\w-]+ ?(?:%|percent) off)"
        return re.sub(number, "低至" if zh else "up to ", base, count=1)
    return one_digit(case, i)


DAMAGES = ("no date", "before", "greeting", "language", "year", "weekday", "up to", "digit")


def one_digit(case: Case, i: int) -> str:
    """One digit outside the names replaced by another."""
    hidden = case.text
    for name in (case.offer.label.in_(case.language) if case.offer.label else "", case.context.name or ""):
        if name:
            hidden = re.sub(re.escape(name), lambda m: "#" * len(m.group()), hidden, flags=re.IGNORECASE)
    places = [m.start() for m in re.finditer(r"[1-9]", hidden)]
    if not places:
        return ""
    at = pick(places, "place", i)
    digit = str((int(case.text[at]) + 1 + hash_int("digit", i) % 8) % 10)
    return case.text[:at] + digit + case.text[at + 1 :]
