"""Offers by hash in, true texts and single-fact mutations of them out: phrasings written for this benchmark, no template.

A text is an opening, a core (who, what, how much) and an ending (until when). A mutation changes one stated fact, adds
one thing an offer cannot promise, or damages the text; the offer stays, so every mutated text is false or unfit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from promolift.hashing import hash_int
from promolift.message import Context
from promolift.message.currency import exponent
from promolift.message.names import table
from promolift.terms import Benefit, Language, Offer, Words

ZONES = {"CNY": "Asia/Shanghai", "USD": "America/New_York", "EUR": "Europe/Berlin", "GBP": "Europe/London", "JPY": "Asia/Tokyo"}
PRODUCTS = (
    Words(zh="蓝月亮洗衣液3kg", en="Bluemoon Detergent 3 kg"), Words(zh="商品2", en="Product 2"),
    Words(zh="燕麦奶1L装", en="Oat Drink 1L"), Words(zh="7号收纳箱", en="Storage Box No. 7"),
    Words(zh="轻跑鞋X20", en="Light Runner X20"), Words(zh="50%可可巧克力", en="Dark Chocolate 50% Cocoa"),
    Words(zh="第一缕阳光果酱", en="Best Yet Jam"), Words(zh="三折雨伞", en="Folding Umbrella"),
)  # fmt: skip
NAMES = {"zh": ("李雷", "韩梅梅", "欧阳娜", "用户A", "王小明"), "en": ("Anna", "Ben Carter", "Customer A", "Maria Lopez", "O'Neill")}
MONTHS = "January February March April May June July August September October November December".split()
HAN = "零一二三四五六七八九"


@dataclass(frozen=True)
class Facts:
    """What a text states. A true text states the facts of its offer."""

    type: str
    percent: int
    amount: int
    threshold: int
    cap: int
    currency: str
    scope: str
    name: Words | None
    start: date
    end: date


@dataclass(frozen=True)
class Case:
    """One text with the offer it is about; `kind` says what was done to it ('true' if nothing)."""

    text: str
    offer: Offer
    language: Language
    context: Context
    kind: str


def pick(options: Sequence[Any], *key: object) -> Any:
    return options[hash_int(*key) % len(options)]


# --- offers --------------------------------------------------------------------------------------------------------


def offer_of(i: int) -> Offer:
    """The i-th offer of the benchmark: every type, scope and currency, amounts people use."""
    currency = pick(("USD", "CNY", "CNY", "USD", "EUR", "GBP", "JPY"), "currency", i)
    unit = 10 ** exponent(currency)
    factor = 100 if currency == "JPY" else 1
    kind = pick(("percent_off", "percent_off", "amount_off", "free_shipping"), "type", i)
    scope = pick(("category", "category", "product", "all"), "scope", i)
    amount = pick((5, 10, 15, 20, 30, 50), "amount", i) * unit * factor
    wants = kind == "amount_off" or hash_int("thr", i) % 3 == 0
    threshold = pick((60, 80, 100, 150, 200, 250, 1200), "threshold", i) * unit * factor if wants else 0
    capped = kind == "percent_off" and hash_int("cap", i) % 4 == 0
    percent = pick((5, 10, 12, 15, 20, 25, 30, 35, 40, 50), "percent", i)
    benefit = Benefit(
        type=kind,
        percent=percent if kind == "percent_off" else 0,
        amount_cents=amount if kind == "amount_off" else 0,
        max_discount_cents=amount if capped else None,
    )
    keys = [key for (what, key), row in table().items() if what == "category" and row.couponable and not row.sensitive]
    key = pick(keys, "category", i)
    label = table()["category", key].words if scope == "category" else pick(PRODUCTS, "product", i)
    zone = ZoneInfo(ZONES[currency])
    start = date(2026, 1, 1) + timedelta(days=hash_int("start", i) % 300)
    end = start + timedelta(days=6 + hash_int("days", i) % 50)
    return Offer(
        id=f"off_{i}", menu_id="m", benefit=benefit, scope=scope, currency=currency, min_spend_cents=threshold,
        covers={"all": "", "category": key, "product": f"p{i}"}[scope], label=None if scope == "all" else label,
        starts=datetime(start.year, start.month, start.day, tzinfo=zone),
        expires=datetime(end.year, end.month, end.day, 23, 59, 59, tzinfo=zone),
    )  # fmt: skip


def facts_of(offer: Offer) -> Facts:
    b = offer.benefit
    return Facts(
        b.type, b.percent, b.amount_cents, offer.min_spend_cents, b.max_discount_cents or 0, offer.currency, offer.scope,
        offer.label, offer.starts.date(), offer.expires.date(),
    )  # fmt: skip


# --- numbers as people write them --------------------------------------------------------------------------------


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text)


def han(n: int) -> str:
    """Chinese numerals up to 9999, as people say them."""
    if n < 10:
        return HAN[n]
    out, rest, zero = "", n, False
    for unit, word in ((1000, "千"), (100, "百"), (10, "十")):
        digit, rest = divmod(rest, unit)
        if digit:
            lead = "" if unit == 10 and digit == 1 and not out else "两" if digit == 2 and unit > 10 else HAN[digit]
            out, zero = out + ("零" if zero else "") + lead + word, False
        elif out:
            zero = True
    return out + ("零" if zero and rest else "") + (HAN[rest] if rest else "")


ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def words(n: int) -> str:
    if n < 20:
        return ONES[n]
    tens, ones = divmod(n, 10)
    return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


def zhe(percent: int, style: int) -> str:
    tenths, ones = divmod(100 - percent, 10)
    plain = f"{tenths}.{ones}" if ones else str(tenths)
    spoken = HAN[tenths] + (HAN[ones] if ones else "")
    two = f"{tenths}{ones}" if ones else str(tenths)
    return (plain, wide(plain), spoken, two, HAN[tenths] + (f"点{HAN[ones]}" if ones else ""))[style % 5] + "折"


def sum_zh(cents: int, currency: str, style: int) -> str:
    value = Decimal(cents).scaleb(-exponent(currency))
    plain = f"{value:,}" if style % 2 else f"{value}"
    plain = plain.replace(".00", "")
    if currency == "CNY":
        number = int(value)
        return (f"{plain}元", f"¥{plain}", wide(plain.replace(",", "")) + "元", f"{plain}块", plain, f"{han(number)}元")[style % 6]
    unit = {"USD": ("美元", "美金"), "EUR": ("欧元", "欧元"), "GBP": ("英镑", "英镑"), "JPY": ("日元", "日圆")}[currency][style % 2]
    return f"{plain}{unit}"


def sum_en(cents: int, currency: str, style: int) -> str:
    value = f"{Decimal(cents).scaleb(-exponent(currency)):,}".replace(".00", "")
    sign = {"USD": "$", "CNY": "¥", "EUR": "€", "GBP": "£", "JPY": "¥"}[currency]
    word = {"USD": "dollars", "CNY": "yuan", "EUR": "euros", "GBP": "pounds", "JPY": "yen"}[currency]
    money = f"{sign}{value}"
    return (money, f"{currency} {value}", f"{value} {word}", money if "." in value or currency == "JPY" else f"{money}.00")[style % 4]


# --- cores: who, what, how much ------------------------------------------------------------------------------------


def core_zh(f: Facts, s: int) -> str:
    name = f.name.zh if f.name else ""
    thing = name or pick(("全场", "全场商品", "全部商品"), "all", s)
    need = sum_zh(f.threshold, f.currency, s) if f.threshold else ""
    cap = (pick(("（最高减{}）", "，最多优惠{}", "，{}封顶", "，优惠上限{}"), "cap", s).format(sum_zh(f.cap, f.currency, s % 4))) if f.cap else ""
    full = pick(("满{}", "消费满{}", "消费达到{}", "一次购物满{}"), "need", s).format(need) if need else ""
    if f.type == "percent_off":
        z, p = zhe(f.percent, s), f.percent
        forms = (
            f"{thing}{full}打{z}{cap}", f"买{thing}{full}可享{z}优惠{cap}", f"{thing}{full}优惠{p}%{cap}", f"{thing}{full}立减百分之{han(p)}{cap}",
            f"{thing}{full}只需支付原价的{100 - p}%{cap}", f"我们为您准备了{thing}的{z}优惠{'，' + full + '可用' if full else ''}{cap}",
            f"{z}！{thing}{full}都有优惠{cap}" if full else f"{z}优惠，{thing}等您选购{cap}", f"凡选购{thing}{full}，一律{z}{cap}",
            f"{thing}{full}，结账时自动减去{p}%{cap}", f"想买{thing}吗？{full}现在就有{z}{cap}",
        )  # fmt: skip
        return pick(forms, "core", s)
    if f.type == "amount_off":
        a = sum_zh(f.amount, f.currency, s)
        buy = f"购买{name}" if name else ""
        forms = (
            f"{thing}满{need}减{a}{cap}", f"{buy}满{need}立减{a}{cap}", f"{buy}消费满{need}，立省{a}{cap}", f"{thing}单笔达到{need}即可优惠{a}{cap}",
            f"送您一张{a}优惠券，{buy or '购物'}满{need}可用{cap}", f"{buy or '购物'}，{need}以上直降{a}{cap}", f"{thing}满{need}少付{a}{cap}",
            f"减{a}！{buy or '全场购物'}满{need}即可使用{cap}", f"{buy}不低于{need}，抵扣{a}{cap}", f"{a}优惠已为您备好，{buy or '订单'}满{need}使用{cap}",
        )  # fmt: skip
        return pick(forms, "core", s)
    buy = f"购买{name}" if name else pick(("购物", "下单", "全场购物"), "buy", s)
    forms = (
        f"{buy}{full}包邮", f"{buy}{full}免运费", f"{buy}{full}，运费由我们承担", f"{buy}{full}免费配送", f"免邮！{buy}{full}即可享受",
        f"{buy}{full}，运费全免", f"{buy}{full}免费送货上门", f"{buy}{full}，免配送费",
    )  # fmt: skip
    return pick(forms, "core", s)


def core_en(f: Facts, s: int) -> str:
    name = f.name.en if f.name else ""
    thing = name or pick(("everything", "your entire order", "all products", "the whole store"), "all", s)
    of, on = (f" of {name}", f" on {name}") if name else ("", "")
    need = sum_en(f.threshold, f.currency, s) if f.threshold else ""
    when = pick((" when you spend {} or more{}", " if you spend at least {}{}", " once you spend {}{}", " with a minimum spend of {}{}"), "need", s).format(need, on) if need else ""
    cap = pick((" (up to {})", " (maximum discount {})", ", capped at {}", " (max. {})"), "cap", s).format(sum_en(f.cap, f.currency, s)) if f.cap else ""
    if f.type == "percent_off":
        p = pick((f"{f.percent}%", f"{f.percent} percent", f"{words(f.percent)} percent", f"{f.percent} %"), "pct", s)
        target = "" if when and name else f" {thing}"
        forms = (
            f"get {p} off{target}{when}{cap}", f"save {p}{' on' + target if target else ''}{when}{cap}", f"a {p} discount{' on' + target if target else ''} is waiting for you{when}{cap}",
            f"pay only {100 - f.percent}% of the regular price{' for' + target if target else ''}{when}{cap}", f"take {p} off{target}{when}{cap}",
            f"we have knocked {p} off{target} for you{when}{cap}", f"treat your kitchen: {p} off{target}{when}{cap}", f"{thing}: {p} off{when if not name else when.replace(on, '')}{cap}",
            f"{thing} at {p} off{when if not name else when.replace(on, '')}{cap}", f"there's {p} off{target} with your name on it{when}{cap}",
        )  # fmt: skip
        return pick(forms, "core", s)
    if f.type == "amount_off":
        a = sum_en(f.amount, f.currency, s)
        forms = (
            f"spend {need}{on} and save {a}{cap}", f"get {a} off when you spend {need}{on}{cap}", f"{a} off purchases{of} of {need} or more{cap}",
            f"take {a} off any {need}+ order{of}{cap}", f"save {a}{on} when your basket reaches {need}{cap}", f"a {a} discount{on} on orders over {need}{cap}",
            f"buy {need} worth{of or ' of goods'} and we take {a} off{cap}", f"for orders{of} from {need} you save {a}{cap}", f"{a} off{on}, minimum spend {need}{cap}",
            f"enjoy a saving of {a} on {need} or more{of or ' of shopping'}{cap}",
        )  # fmt: skip
        return pick(forms, "core", s)
    target = "" if when and name else on or pick((" on your order", " on everything", ""), "ship", s)
    forms = (
        f"get free shipping{target}{when}", f"free delivery{target}{when}", f"shipping is on us{target}{when}", f"we deliver {name or 'your order'} for free{when.replace(on, '') if name else when}",
        f"pay no shipping fee{target}{when}", f"{name or 'your order'} ships free{when.replace(on, '') if name else when}", f"enjoy shipping at no charge: free shipping{target}{when}",
    )  # fmt: skip
    return pick(forms, "core", s)


# --- endings: until when -------------------------------------------------------------------------------------------

ENDINGS_ZH: tuple[Callable[[Facts], str], ...] = (
    lambda f: f"有效期至{f.end.year}年{f.end.month}月{f.end.day}日。",
    lambda f: f"活动截止{f.end.month}月{f.end.day}日。",
    lambda f: f"{f.end.month}月{f.end.day}日前(含)有效。",
    lambda f: f"请于{f.end.month}月{f.end.day}日（含）之前使用。",
    lambda f: f"{f.end:%Y-%m-%d}到期。",
    lambda f: f"有效期：{f.start.month}月{f.start.day}日至{f.end.month}月{f.end.day}日。",
    lambda f: f"优惠到{f.end.year}/{f.end.month}/{f.end.day}为止。",
    lambda f: f"{wide(str(f.end.month))}月{wide(str(f.end.day))}日结束。",
    lambda f: f"{han(f.end.month)}月{han(f.end.day)}日截止。",
    lambda f: f"{(f.end + timedelta(1)).month}月{(f.end + timedelta(1)).day}日之前下单有效。",
    lambda f: f"截至{f.end.month}月{f.end.day}日24:00。",
    lambda f: f"{f.end.month}月{f.end.day}日（周{'一二三四五六日'[f.end.weekday()]}）后失效。",
    lambda f: f"即日起至{f.end.month}月{f.end.day}日23:59均可使用。",
)
ENDINGS_EN: tuple[Callable[[Facts], str], ...] = (
    lambda f: f"Valid through {MONTHS[f.end.month - 1]} {f.end.day}, {f.end.year}.",
    lambda f: f"Offer ends {MONTHS[f.end.month - 1][:3]} {f.end.day}.",
    lambda f: f"Good until {f.end.day} {MONTHS[f.end.month - 1]} {f.end.year}.",
    lambda f: f"Expires {f.end:%Y-%m-%d}.",
    lambda f: f"Redeem it on or before {MONTHS[f.end.month - 1]} {f.end.day}.",
    lambda f: f"Order before {MONTHS[(f.end + timedelta(1)).month - 1]} {(f.end + timedelta(1)).day}.",
    lambda f: f"Valid from {MONTHS[f.start.month - 1]} {f.start.day} to {MONTHS[f.end.month - 1]} {f.end.day}, {f.end.year}.",
    lambda f: f"Not valid after {MONTHS[f.end.month - 1]} {f.end.day}, {f.end.year}.",
    lambda f: f"You have until {f.end:%A}, {MONTHS[f.end.month - 1]} {f.end.day}.",
    lambda f: f"Available until 11:59 p.m. on {MONTHS[f.end.month - 1]} {f.end.day}.",
    lambda f: f"Use it by the end of {MONTHS[f.end.month - 1]} {f.end.day}.",
    lambda f: f"Last day: {MONTHS[f.end.month - 1]} {f.end.day}, {f.end.year}.",
    lambda f: f"It runs until the {f.end.day}{'th' if 3 < f.end.day % 20 or f.end.day % 10 == 0 else ('', 'st', 'nd', 'rd')[f.end.day % 10]} of {MONTHS[f.end.month - 1]}.",
)
OPENINGS_ZH = ("", "", "{n}您好，", "尊敬的{n}，", "亲爱的{n}：", "{n}，您好！", "您好！", "好消息！", "尊敬的顾客，您好：")
OPENINGS_EN = ("", "", "Dear {n}, ", "Hi {n}, ", "Hello {n}! ", "Hello! ", "Good news: ", "Dear customer, ", "Hi there, ")


def render(f: Facts, language: Language, s: int, name: str) -> str:
    """One text stating `f`; `s` chooses opening, core and ending."""
    opening = pick(OPENINGS_ZH if language == "zh" else OPENINGS_EN, "open", s).format(n=name)
    core = core_zh(f, s) if language == "zh" else core_en(f, s)
    if language == "en" and (not opening or opening.endswith("! ")):
        core = core[0].upper() + core[1:]
    ending = pick(ENDINGS_ZH if language == "zh" else ENDINGS_EN, "end", s)(f)
    mark = "！" if s % 3 else "。"
    if core.endswith(("。", "！")):
        mark = ""
    return f"{opening}{core}{mark}{ending}" if language == "zh" else f"{opening}{core}{'!' if s % 3 else '.'} {ending}"


# --- mutations -----------------------------------------------------------------------------------------------------

ADDED_ZH = (
    ("superlative", "全国最低价。"), ("superlative", "品质第一。"), ("superlative", "最佳选择！"), ("superlative", "国家级品质。"), ("superlative", "独家优惠。"),
    ("superlative", "保证满意。"), ("urgency", "限时抢购！"), ("urgency", "即将结束。"), ("urgency", "仅限今天！"), ("urgency", "手慢无！"), ("urgency", "最后机会。"),
    ("leak", "因为您浏览过它。"), ("leak", "根据您的购买记录推荐。"), ("leak", "我们注意到您怀孕了。"), ("leak", "适合您这个年龄。"), ("leak", "作为一名教师，您会喜欢。"),
    ("slot", "{name}"), ("slot", "None"), ("slot", "nan"), ("slot", "%s"), ("markup", "<b>点击</b>"), ("link", "详见http://t.cn/abc"), ("link", "www.evil.com"),
    ("control", "\u200b"), ("control", "\u202e"), ("condition", "第二件才可用。"), ("condition", "仅限新用户。"), ("condition", "不可与其他优惠同享。"),
    ("benefit", "另送积分100分。"), ("benefit", "买一送一。"), ("benefit", "还有赠品。"), ("negated", "特价商品除外。"), ("purchase", "您刚刚购买了一台冰箱。"),
    ("number", "已有3000人领取。"),
)  # fmt: skip
ADDED_EN = (
    ("superlative", "The best deal in town."), ("superlative", "Lowest prices guaranteed."), ("superlative", "We are No. 1."), ("superlative", "The #1 choice."),
    ("superlative", "Unbeatable!"), ("urgency", "Hurry!"), ("urgency", "Only today!"), ("urgency", "Ends soon."), ("urgency", "Limited time only."), ("urgency", "Last chance!"),
    ("urgency", "While supplies last."), ("leak", "Because you viewed it."), ("leak", "Based on your browsing history."), ("leak", "We noticed you are pregnant."),
    ("leak", "As a teacher, you will love it."), ("leak", "Perfect at your age."), ("slot", "{name}"), ("slot", "None"), ("slot", "nan"), ("slot", "%s"),
    ("markup", "<b>Click</b>"), ("link", "See https://t.co/abc"), ("link", "www.evil.com"), ("control", "\u200b"), ("control", "\u202e"),
    ("condition", "For new customers only."), ("condition", "On your second item."), ("condition", "Cannot be combined with other offers."), ("benefit", "Plus 100 points."),
    ("benefit", "Buy one get one."), ("benefit", "With a free gift."), ("negated", "Excludes sale items."), ("purchase", "You just bought a fridge."),
    ("number", "3,000 people have used it."),
)  # fmt: skip


def changed(f: Facts, kind: str, i: int) -> Facts | None:
    """`f` with one fact changed, or None where the fact does not exist."""
    step = pick((-10, -5, 5, 10, 15), "step", i)
    other = pick(ALL_NAMES, "other", i)
    if kind == "percent":
        percent = f.percent + step if 0 < f.percent + step < 100 else f.percent + 10
        return replace(f, percent=percent) if f.type == "percent_off" else None
    if kind == "inverted":
        return replace(f, percent=100 - f.percent) if f.type == "percent_off" and f.percent != 50 else None
    if kind == "amount":
        return replace(f, amount=f.amount * pick((2, 3, 10), "times", i)) if f.type == "amount_off" else None
    if kind == "threshold":
        return replace(f, threshold=f.threshold * 3 // pick((2, 6), "times", i)) if f.threshold else None
    if kind == "swapped":
        return replace(f, amount=f.threshold, threshold=f.amount) if f.type == "amount_off" else None
    if kind == "no threshold":
        return replace(f, threshold=0) if f.threshold and f.type != "amount_off" else None
    if kind == "new threshold":
        return replace(f, threshold=5000) if not f.threshold else None
    if kind == "cap":
        return replace(f, cap=f.cap * 2) if f.cap else None
    if kind == "no cap":
        return replace(f, cap=0) if f.cap else None
    if kind == "currency":
        return replace(f, currency=pick([c for c in ZONES if c not in (f.currency, "JPY")], "cur", i)) if (f.threshold or f.amount or f.cap) and f.currency != "JPY" else None
    if kind == "day":
        return replace(f, end=f.end + timedelta(days=pick((-1, 1, 2, -3, 7), "day", i)))
    if kind == "month":
        return replace(f, end=f.end + timedelta(days=pick((-31, 31, 61), "month", i)))
    if kind == "name":
        return replace(f, name=other) if f.name and f.name != other else None
    if kind == "everything":
        return replace(f, name=None, scope="all") if f.name else None
    if kind == "narrowed":
        return replace(f, name=other, scope="category") if not f.name else None
    if kind == "type" and f.type != "amount_off":
        return replace(f, type="free_shipping") if f.type == "percent_off" else replace(f, type="percent_off", percent=20)
    return None


ALL_NAMES = [row.words for (what, _), row in table().items() if what == "category" and row.couponable and not row.sensitive]
FACT_KINDS = (
    "percent", "inverted", "amount", "threshold", "swapped", "no threshold", "new threshold", "cap", "no cap", "currency", "day", "month", "name",
    "everything", "narrowed", "type",
)  # fmt: skip
