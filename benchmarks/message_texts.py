"""Offers by hash in, true texts about them out: phrasings written for this benchmark, none of them a template.

A text is an opening, a core (who, what, how much) and an ending (until when), each chosen by hash.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo

from promolift.currency import CURRENCY_DIGITS
from promolift.hashing import hash_int
from promolift.message.names import table
from promolift.terms import Benefit, Language, Offer, Words

T = TypeVar("T")
ZONES = {
    "CNY": "Asia/Shanghai",
    "USD": "America/New_York",
    "EUR": "Europe/Berlin",
    "GBP": "Europe/London",
    "JPY": "Asia/Tokyo",
}
PRODUCTS = (
    Words(zh="蓝月亮洗衣液3kg", en="Bluemoon Detergent 3 kg"),
    Words(zh="商品2", en="Product 2"),
    Words(zh="燕麦奶1L装", en="Oat Drink 1L"),
    Words(zh="7号收纳箱", en="Storage Box No. 7"),
    Words(zh="轻跑鞋X20", en="Light Runner X20"),
    Words(zh="50%可可巧克力", en="Dark Chocolate 50% Cocoa"),
    Words(zh="第一缕阳光果酱", en="Best Yet Jam"),
    Words(zh="三折雨伞", en="Folding Umbrella"),
)
CATEGORIES = {key: row for (kind, key), row in table().items() if kind == "category"}
PLAIN_KEYS = [key for key, row in CATEGORIES.items() if row.couponable and not row.sensitive]
NAMES = {
    "zh": ("李雷", "韩梅梅", "欧阳娜", "用户A", "王小明"),
    "en": ("Anna", "Ben Carter", "Customer A", "Maria Lopez", "O'Neill"),
}
_MONTHS = "January February March April May June July August September October November December"
MONTHS = _MONTHS.split()
HAN = "零一二三四五六七八九"
WEEKDAYS_ZH = "一二三四五六日"


def pick(options: Sequence[T], *key: object) -> T:
    return options[hash_int(*key) % len(options)]


@dataclass(frozen=True)
class Facts:
    """What a text states. A true text states the facts of its offer."""

    type: str
    percent: int
    amount: int
    threshold: int
    cap: int
    currency: str
    name: Words | None
    start: date
    end: date


# --- offers -------------------------------------------------------------------------------------------------------


def offer_of(i: int) -> Offer:
    """The i-th offer of the benchmark: every type, scope and currency, sums as shops use them."""
    currency = pick(("USD", "CNY", "CNY", "USD", "EUR", "GBP", "JPY"), "currency", i)
    kind = pick(("percent_off", "percent_off", "amount_off", "free_shipping"), "type", i)
    start = date(2026, 1, 1) + timedelta(days=hash_int("start", i) % 300)
    end = start + timedelta(days=6 + hash_int("days", i) % 50)
    zone = ZoneInfo(ZONES[currency])
    benefit, threshold = benefit_of(i, kind, currency)
    scope = pick(("category", "category", "product", "all"), "scope", i)
    key = pick(PLAIN_KEYS, "category", i)
    label = CATEGORIES[key].words if scope == "category" else pick(PRODUCTS, "product", i)
    return Offer(
        id=f"off_{i}",
        menu_id="m",
        benefit=benefit,
        scope=scope,
        covers={"all": "", "category": key, "product": f"p{i}"}[scope],
        label=None if scope == "all" else label,
        min_spend_cents=threshold,
        starts=datetime(start.year, start.month, start.day, tzinfo=zone),
        expires=datetime(end.year, end.month, end.day, 23, 59, 59, tzinfo=zone),
        currency=currency,
    )


def benefit_of(i: int, kind: str, currency: str) -> tuple[Benefit, int]:
    """The i-th benefit and its threshold."""
    unit = 10 ** CURRENCY_DIGITS.get(currency, 2) * (100 if currency == "JPY" else 1)
    amount = pick((5, 10, 15, 20, 30, 50), "amount", i) * unit
    wants = kind == "amount_off" or hash_int("threshold", i) % 3 == 0
    threshold = pick((60, 80, 100, 150, 200, 250, 1200), "threshold", i) * unit if wants else 0
    if kind == "amount_off":
        return Benefit(type="amount_off", amount_cents=amount), threshold
    if kind == "free_shipping":
        return Benefit(type="free_shipping"), threshold
    percent = pick((5, 10, 12, 15, 20, 25, 30, 35, 40, 50), "percent", i)
    cap = amount if hash_int("cap", i) % 4 == 0 else None
    return Benefit(type="percent_off", percent=percent, max_discount_cents=cap), threshold


def facts_of(offer: Offer) -> Facts:
    benefit = offer.benefit
    return Facts(
        benefit.type,
        benefit.percent,
        benefit.amount_cents,
        offer.min_spend_cents,
        benefit.max_discount_cents or 0,
        offer.currency,
        offer.label,
        offer.starts.date(),
        offer.expires.date(),
    )


# --- numbers as people write them -----------------------------------------------------------------------------------


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text)


def han(n: int) -> str:
    """Chinese numerals up to 9999, as people say them."""
    out, rest, zero = "", n, False
    for unit, word in ((1000, "千"), (100, "百"), (10, "十")):
        digit, rest = divmod(rest, unit)
        if digit:
            lead = "" if unit == 10 and digit == 1 and not out else "两" if digit == 2 and unit > 10 else HAN[digit]
            out, zero = out + ("零" if zero else "") + lead + word, False
        elif out:
            zero = True
    return (out + ("零" if zero and rest else "") + (HAN[rest] if rest else "")) or HAN[0]


_ONES = "zero one two three four five six seven eight nine ten eleven twelve"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
ONES, TENS = _ONES.split(), _TENS.split()


def spelled(n: int) -> str:
    """English words for the percents used here: up to twelve, fifteen, and from twenty on."""
    if n <= 12:
        return ONES[n]
    if n == 15:
        return "fifteen"
    tens, ones = divmod(n, 10)
    return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "") if tens >= 2 else f"{n}"


def zhe(percent: int, style: int) -> str:
    tenths, ones = divmod(100 - percent, 10)
    plain = f"{tenths}.{ones}" if ones else str(tenths)
    spoken = HAN[tenths] + (HAN[ones] if ones else "")
    pair = f"{tenths}{ones}" if ones else str(tenths)
    point = HAN[tenths] + (f"点{HAN[ones]}" if ones else "")
    return (plain, wide(plain), spoken, pair, point)[style % 5] + "折"


def plain_sum(cents: int, currency: str, commas: bool) -> str:
    value = Decimal(cents).scaleb(-CURRENCY_DIGITS.get(currency, 2))
    return (f"{value:,}" if commas else f"{value}").replace(".00", "")


def sum_zh(cents: int, currency: str, style: int) -> str:
    plain = plain_sum(cents, currency, commas=bool(style % 2))
    if currency == "CNY":
        whole = int(Decimal(cents).scaleb(-2))
        bare = plain.replace(",", "")
        return (f"{plain}元", f"¥{plain}", wide(bare) + "元", f"{plain}块", plain, f"{han(whole)}元")[style % 6]
    units = {"USD": ("美元", "美金"), "EUR": ("欧元", "欧元"), "GBP": ("英镑", "英镑"), "JPY": ("日元", "日圆")}
    return plain + units[currency][style % 2]


def sum_en(cents: int, currency: str, style: int) -> str:
    value = plain_sum(cents, currency, commas=True)
    sign = {"USD": "$", "CNY": "¥", "EUR": "€", "GBP": "£", "JPY": "¥"}[currency]
    word = {"USD": "dollars", "CNY": "yuan", "EUR": "euros", "GBP": "pounds", "JPY": "yen"}[currency]
    cents_too = f"{sign}{value}" if "." in value or currency == "JPY" else f"{sign}{value}.00"
    return (f"{sign}{value}", f"{currency} {value}", f"{value} {word}", cents_too)[style % 4]


# --- cores: who, what, how much -------------------------------------------------------------------------------------

ALL_ZH = ("全场", "全场商品", "全部商品")
NEED_ZH = ("满{}", "消费满{}", "消费达到{}", "一次购物满{}")
CAP_ZH = ("（最高减{}）", "，最多优惠{}", "，{}封顶", "，优惠上限{}")
PERCENT_ZH = (
    "{thing}{need}打{zhe}{cap}", "买{thing}{need}可享{zhe}优惠{cap}", "{thing}{need}优惠{percent}%{cap}",
    "{thing}{need}立减百分之{han}{cap}", "{thing}{need}只需支付原价的{rest}%{cap}", "{zhe}！{thing}{need}等您选购{cap}",
    "我们为您准备了{zhe}优惠：{thing}{need}即可使用{cap}", "凡选购{thing}{need}，一律{zhe}{cap}",
    "{thing}{need}，结账时自动减去{percent}%{cap}", "想买{thing}吗？{need}现在就有{zhe}{cap}",
)  # fmt: skip
AMOUNT_ZH = (
    "{thing}满{sum}减{off}", "{buy}满{sum}立减{off}", "{buy}消费满{sum}，立省{off}",
    "{thing}单笔达到{sum}即可优惠{off}",
    "送您一张{off}优惠券，{shop}满{sum}可用", "{shop}，{sum}以上直降{off}", "{thing}满{sum}少付{off}",
    "减{off}！{shop}满{sum}即可使用", "{buy}不低于{sum}，抵扣{off}", "{off}优惠已为您备好，{shop}满{sum}使用",
)  # fmt: skip
SHIPPING_ZH = (
    "{shop}{need}包邮", "{shop}{need}免运费", "{shop}{need}，运费由我们承担", "{shop}{need}免费配送",
    "免邮！{shop}{need}即可享受", "{shop}{need}，运费全免", "{shop}{need}免费送货上门", "{shop}{need}，免配送费",
)  # fmt: skip
ALL_EN = ("everything", "your entire order", "all products", "the whole store")
NEED_EN = (
    " when you spend {}{}", " if you spend at least {}{}", " once you spend {}{}", " with a minimum spend of {}{}"
)  # fmt: skip
CAP_EN = (" (up to {})", " (maximum discount {})", ", capped at {}", " (max. {})")
PERCENT_EN = (
    "get {percent} off{thing}{need}{cap}", "save {percent}{on}{need}{cap}", "take {percent} off{thing}{need}{cap}",
    "a {percent} discount{on} is waiting for you{need}{cap}", "we have knocked {percent} off{thing} for you{need}{cap}",
    "pay only {rest}% of the regular price{for_}{need}{cap}", "treat your kitchen: {percent} off{thing}{need}{cap}",
    "there's {percent} off{thing} with your name on it{need}{cap}",
)  # fmt: skip
AMOUNT_EN = (
    "spend {sum}{on} and save {off}", "get {off} off when you spend {sum}{on}",
    "{off} off purchases{of} of {sum} or more",
    "take {off} off any {sum}+ order{of}", "save {off}{on} when your basket reaches {sum}",
    "a {off} discount{on} on orders over {sum}", "buy {sum} worth{of} and we take {off} off",
    "for orders{of} from {sum} you save {off}", "{off} off{on}, minimum spend {sum}",
    "enjoy a saving of {off} on {sum} or more{of}",
)  # fmt: skip
SHIPPING_EN = (
    "get free shipping{on}{need}", "free delivery{on}{need}", "shipping is on us{on}{need}",
    "we deliver {what} for free{need}", "pay no shipping fee{on}{need}", "enjoy free shipping{on}{need}",
    "you pay nothing for delivery: free shipping{on}{need}",
)  # fmt: skip


def core_zh(f: Facts, s: int) -> str:
    name = f.name.zh if f.name else ""
    need, cap = sum_zh(f.threshold, f.currency, s), sum_zh(f.cap, f.currency, s % 4)
    forms = {"percent_off": PERCENT_ZH, "amount_off": AMOUNT_ZH}.get(f.type, SHIPPING_ZH)
    return pick(forms, "core", s).format(
        thing=name or pick(ALL_ZH, "all", s),
        buy=f"购买{name}" if name else "",
        shop=f"购买{name}" if name else "全场购物",
        need=pick(NEED_ZH, "need", s).format(need) if f.threshold else "",
        cap=pick(CAP_ZH, "cap", s).format(cap) if f.cap else "",
        sum=need,
        off=sum_zh(f.amount, f.currency, s),
        zhe=zhe(f.percent, s) if f.percent else "",
        han=han(f.percent),
        percent=f.percent,
        rest=100 - f.percent,
    )


def core_en(f: Facts, s: int) -> str:
    name = f.name.en if f.name else ""
    on = f" on {name}" if name else ""
    need, cap = sum_en(f.threshold, f.currency, s), sum_en(f.cap, f.currency, s)
    later = bool(f.threshold and name)  # the thing is named where the spend is
    thing = "" if later else f" {name or pick(ALL_EN, 'all', s)}"
    percent = (f"{f.percent}%", f"{f.percent} percent", f"{spelled(f.percent)} percent", f"{f.percent} %")
    forms = {"percent_off": PERCENT_EN, "amount_off": AMOUNT_EN}.get(f.type, SHIPPING_EN)
    return pick(forms, "core", s).format(
        thing=thing,
        on="" if later and f.type != "amount_off" else on,
        for_=f" for{thing}" if thing else "",
        of=f" of {name}" if name else "",
        what="your order" if later else name or "your order",
        need=pick(NEED_EN, "need", s).format(need, on) if f.threshold else "",
        cap=pick(CAP_EN, "cap", s).format(cap) if f.cap else "",
        sum=need,
        off=sum_en(f.amount, f.currency, s),
        percent=pick(percent, "percent", s),
        rest=100 - f.percent,
    )


# --- endings: until when --------------------------------------------------------------------------------------------


def md_zh(day: date) -> str:
    return f"{day.month}月{day.day}日"


def md_en(day: date) -> str:
    return f"{MONTHS[day.month - 1]} {day.day}"


def dm_en(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]}"


NEXT = timedelta(days=1)
ENDINGS_ZH: tuple[Callable[[Facts], str], ...] = (
    lambda f: f"有效期至{f.end.year}年{md_zh(f.end)}。",
    lambda f: f"活动截止{md_zh(f.end)}。",
    lambda f: f"{md_zh(f.end)}前(含)有效。",
    lambda f: f"请于{md_zh(f.end)}（含）之前使用。",
    lambda f: f"{f.end:%Y-%m-%d}到期。",
    lambda f: f"有效期：{md_zh(f.start)}至{md_zh(f.end)}。",
    lambda f: f"优惠到{f.end.year}/{f.end.month}/{f.end.day}为止。",
    lambda f: f"{wide(md_zh(f.end))}结束。",
    lambda f: f"{han(f.end.month)}月{han(f.end.day)}日截止。",
    lambda f: f"{md_zh(f.end + NEXT)}之前下单有效。",
    lambda f: f"截至{md_zh(f.end)}24:00。",
    lambda f: f"{md_zh(f.end)}（周{WEEKDAYS_ZH[f.end.weekday()]}）后失效。",
    lambda f: f"即日起至{md_zh(f.end)}23:59均可使用。",
)
ENDINGS_EN: tuple[Callable[[Facts], str], ...] = (
    lambda f: f"Valid through {md_en(f.end)}, {f.end.year}.",
    lambda f: f"Offer ends {MONTHS[f.end.month - 1][:3]} {f.end.day}.",
    lambda f: f"Good until {dm_en(f.end)} {f.end.year}.",
    lambda f: f"Expires {f.end:%Y-%m-%d}.",
    lambda f: f"Redeem it on or before {md_en(f.end)}.",
    lambda f: f"Order before {md_en(f.end + NEXT)}.",
    lambda f: f"Valid from {md_en(f.start)} to {md_en(f.end)}, {f.end.year}.",
    lambda f: f"Not valid after {md_en(f.end)}, {f.end.year}.",
    lambda f: f"You have until {f.end:%A}, {md_en(f.end)}.",
    lambda f: f"Available until 11:59 p.m. on {md_en(f.end)}.",
    lambda f: f"Use it by the end of {md_en(f.end)}.",
    lambda f: f"Last day: {md_en(f.end)}, {f.end.year}.",
)
OPENINGS = {
    "zh": ("", "", "{}您好，", "尊敬的{}，", "亲爱的{}：", "{}，您好！", "您好！", "好消息！", "尊敬的顾客，您好："),
    "en": ("", "", "Dear {}, ", "Hi {}, ", "Hello {}! ", "Hello! ", "Good news: ", "Dear customer, ", "Hi there, "),
}


def render(f: Facts, language: Language, s: int, name: str) -> str:
    """One text stating `f`; `s` chooses opening, core and ending."""
    opening = pick(OPENINGS[language], "open", s).format(name)
    core = core_zh(f, s) if language == "zh" else core_en(f, s)
    if language == "zh":
        return f"{opening}{core}{'！' if s % 3 else '。'}{pick(ENDINGS_ZH, 'end', s)(f)}"
    if not opening or opening.endswith("! "):
        core = core[0].upper() + core[1:]
    return f"{opening}{core}{'!' if s % 3 else '.'} {pick(ENDINGS_EN, 'end', s)(f)}"
