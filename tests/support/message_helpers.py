"""Offers and contexts the message tests speak of, and the texts of `texts_true.tsv` and `texts_false.tsv`."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from promolift.core.messages import AngleFacts
from promolift.core.offers.terms import Benefit, Offer, PairCondition, Scope
from promolift.foundation.localized_text import Language, LocalizedText

NY, SHANGHAI = ZoneInfo("America/New_York"), ZoneInfo("Asia/Shanghai")
MEALS = ("FRZN MEAT/MEAT DINNERS", LocalizedText(zh="冷冻方便餐", en="frozen meals"))
MILK = ("FLUID MILK PRODUCTS", LocalizedText(zh="牛奶", en="milk"))
COFFEE = ("COFFEE", LocalizedText(zh="咖啡", en="coffee"))
GADGETS = ("KITCHEN GADGETS", LocalizedText(zh="厨房小工具", en="kitchen gadgets"))
PETS = ("PET CARE SUPPLIES", LocalizedText(zh="宠物用品", en="pet supplies"))
LAMP = ("p5", LocalizedText(zh='"月光"台灯 T5', en="Moonlight Lamp T5"))
SHEETS = LocalizedText(zh="亚麻床单", en="Linen Sheets")
PRODUCT_1, PRODUCT_2 = LocalizedText(zh="商品1", en="Product 1"), LocalizedText(zh="商品2", en="Product 2")


def percent(value: int, cap: int | None = None) -> Benefit:
    return Benefit(type="percent_off", percent=value, max_discount_cents=cap)


def amount(cents: int) -> Benefit:
    return Benefit(type="amount_off", amount_cents=cents)


SHIPPING = Benefit(type="free_shipping")


def an_offer(
    benefit: Benefit,
    about: tuple[str, LocalizedText] | None = None,
    currency: str = "CNY",
    spend: int = 0,
    scope: Scope | None = None,
    expires: tuple[int, ...] = (2026, 6, 30, 23, 59, 59),
    joined: PairCondition | None = None,
) -> Offer:
    """An offer from June 1, 2026, to the end of June 30, unless told otherwise; on everything if `about` is None."""
    zone = SHANGHAI if currency == "CNY" else NY
    return Offer(
        id="off_1",
        menu_id="menu_1",
        benefit=benefit,
        scope=scope or ("category" if about else "all"),
        covers=about[0] if about else "",
        label=about[1] if about else None,
        min_spend_cents=spend,
        starts=datetime(2026, 6, 1, tzinfo=zone),
        expires=datetime(*expires, tzinfo=zone),  # type: ignore[misc, arg-type]
        currency=currency,
        joined=joined,
    )


AT_SIX, YEAR_END, SEPTEMBER = (2026, 6, 30, 18, 0), (2026, 12, 31, 23, 59, 59), (2026, 9, 15, 23, 59, 59)
GOLDEN = an_offer(percent(20), ("2", PRODUCT_2), scope="product")
AUGUST, OCTOBER, NOVEMBER = (2026, 8, 8, 23, 59, 59), (2026, 10, 1, 23, 59, 59), (2026, 11, 11, 23, 59, 59)
YOGURT = ("YOGURT", LocalizedText(zh="酸奶", en="yogurt"))
VEGETABLES = ("VEGETABLES - ALL OTHERS", LocalizedText(zh="新鲜蔬菜", en="fresh vegetables"))
GRAPES = ("GRAPES", LocalizedText(zh="葡萄", en="grapes"))
BOOKS = ("BOOKSTORE", LocalizedText(zh="图书", en="books"))
JULY = (2026, 7, 15, 23, 59, 59)
PILLOW = ("p9", LocalizedText(zh="云朵枕头", en="Cloud Pillow"))
RUNNER = ("sku1", LocalizedText(zh="轻跑鞋X20", en="Light Runner X20"))
OFFERS = {
    "meals20": an_offer(percent(20), MEALS),
    "meals20$": an_offer(percent(20), MEALS, "USD"),
    "all30/200": an_offer(amount(3000), spend=20000),
    "all30/200$": an_offer(amount(3000), currency="USD", spend=20000),
    "meals30/200": an_offer(amount(3000), MEALS, spend=20000),
    "meals30/200$": an_offer(amount(3000), MEALS, "USD", 20000),
    "ship50": an_offer(SHIPPING, spend=5000),
    "ship50$": an_offer(SHIPPING, currency="USD", spend=5000),
    "meals20cap10": an_offer(percent(20, 1000), MEALS),
    "meals20cap10$": an_offer(percent(20, 1000), MEALS, "USD"),
    "meals20/50": an_offer(percent(20), MEALS, spend=5000),
    "meals20/50$": an_offer(percent(20), MEALS, "USD", 5000),
    "all20": an_offer(percent(20)),
    "all20$": an_offer(percent(20), currency="USD"),
    "meals50": an_offer(percent(50), MEALS),
    "meals50$": an_offer(percent(50), MEALS, "USD"),
    "meals25": an_offer(percent(25), MEALS),
    "meals25$": an_offer(percent(25), MEALS, "USD"),
    "meals15": an_offer(percent(15), MEALS),
    "meals15$": an_offer(percent(15), MEALS, "USD"),
    "meals20dec$": an_offer(percent(20), MEALS, "USD", expires=YEAR_END),
    "meals20dec": an_offer(percent(20), MEALS, expires=YEAR_END),
    "meals5off": an_offer(amount(500), MEALS),
    "meals5off$": an_offer(amount(500), MEALS, "USD"),
    "all5off": an_offer(amount(500)),
    "all10.50/1234.50€": an_offer(amount(1050), currency="EUR", spend=123450),
    "all1000/10000yen": an_offer(amount(1000), currency="JPY", spend=10000),
    "shipmeals": an_offer(SHIPPING, MEALS),
    "shipmeals$": an_offer(SHIPPING, MEALS, "USD"),
    "product2": GOLDEN,
    "meals20@18:00": an_offer(percent(20), MEALS, expires=AT_SIX),
    "meals20@18:00$": an_offer(percent(20), MEALS, "USD", expires=AT_SIX),
    "milk20": an_offer(percent(20), MILK),
    "milk20$": an_offer(percent(20), MILK, "USD"),
    "tea30$": an_offer(percent(30), ("TEAS", LocalizedText(zh="茶叶与茶包", en="tea")), "USD"),
    "runner35$": an_offer(percent(35), RUNNER, "USD", scope="product"),
    "all10/25£": an_offer(percent(10), currency="GBP", spend=2500),
    "all15.50/99": an_offer(amount(1550), spend=9900),
    "coffee30": an_offer(percent(30), COFFEE, expires=SEPTEMBER),
    "coffee30$": an_offer(percent(30), COFFEE, "USD", expires=SEPTEMBER),
    "gadgets20/150$": an_offer(amount(2000), GADGETS, "USD", 15000),
    "gadgets20/150": an_offer(amount(2000), GADGETS, spend=15000),
    "shippets80": an_offer(SHIPPING, PETS, spend=8000),
    "shippets80$": an_offer(SHIPPING, PETS, "USD", 8000),
    "lamp12cap25": an_offer(percent(12, 2500), LAMP, scope="product"),
    "lamp12cap25$": an_offer(percent(12, 2500), LAMP, "USD", scope="product"),
    "yogurt15": an_offer(percent(15), YOGURT, expires=AUGUST),
    "yogurt15$": an_offer(percent(15), YOGURT, "USD", expires=AUGUST),
    "all45/300": an_offer(amount(4500), spend=30000, expires=NOVEMBER),
    "all45/300$": an_offer(amount(4500), currency="USD", spend=30000, expires=NOVEMBER),
    "ship99": an_offer(SHIPPING, spend=9900, expires=OCTOBER),
    "ship99$": an_offer(SHIPPING, currency="USD", spend=9900, expires=OCTOBER),
    "pillow40/120cap60": an_offer(percent(40, 6000), PILLOW, spend=12000, scope="product"),
    "pillow40/120cap60$": an_offer(percent(40, 6000), PILLOW, "USD", 12000, "product"),
    "vegetables10": an_offer(percent(10), VEGETABLES, expires=JULY),
    "vegetables10$": an_offer(percent(10), VEGETABLES, "USD", expires=JULY),
    "grapes8/40": an_offer(amount(800), GRAPES, spend=4000, expires=JULY),
    "grapes8/40$": an_offer(amount(800), GRAPES, "USD", 4000, expires=JULY),
    "shipbooks": an_offer(SHIPPING, BOOKS, expires=JULY),
    "shipbooks$": an_offer(SHIPPING, BOOKS, "USD", expires=JULY),
    "all30/150cap100": an_offer(percent(30, 10000), spend=15000, expires=JULY),
    "all30/150cap100€": an_offer(percent(30, 10000), currency="EUR", spend=15000, expires=JULY),
    "all10off": an_offer(amount(1000), expires=JULY),
    "all10off£": an_offer(amount(1000), currency="GBP", expires=JULY),
}
# Key: benefit, name in both languages with its scope, spend asked for in cents, month, day and time of the end in 2026.
_IN_BOTH: dict[str, tuple[Benefit, tuple[str, str, Scope] | None, int, tuple[int, ...]]] = {
    "pasta25": (percent(25), ("意大利面", "pasta", "category"), 0, (6, 30, 23, 59, 59)),
    "all20/150": (amount(2000), None, 15000, (9, 30, 23, 59, 59)),
    "ship59": (SHIPPING, None, 5900, (8, 31, 23, 59, 59)),
    "ear15cap50": (percent(15, 5000), ("听风耳机", "Aero Headphones", "product"), 0, (7, 12, 23, 59, 59)),
    "shampoo50": (percent(50), ("洗发水", "shampoo", "category"), 0, (7, 20, 23, 59, 59)),
    "snacks5/30": (amount(500), ("零食", "snacks", "category"), 3000, (6, 18, 23, 59, 59)),
    "tea30oct": (percent(30), ("茶叶", "tea", "category"), 0, (10, 8, 23, 59, 59)),
    "all88/500": (amount(8800), None, 50000, (12, 25, 23, 59, 59)),
    "shiptoys": (SHIPPING, ("玩具", "toys", "category"), 0, (6, 21, 23, 59, 59)),
    "vac12": (percent(12), ("小旋风吸尘器V8", "Cyclone Vacuum V8", "product"), 0, (11, 30, 23, 59, 59)),
    "all10/80cap40": (percent(10, 4000), None, 8000, (7, 31, 23, 59, 59)),
    "towels15": (amount(1500), ("毛巾", "towels", "category"), 0, (8, 15, 20, 0)),
    "bread20": (percent(20), ("面包", "bread", "category"), 0, (9, 10, 23, 59, 59)),
    "all6/49": (amount(600), None, 4900, (8, 31, 23, 59, 59)),
    "ship": (SHIPPING, None, 0, (7, 4, 23, 59, 59)),
    "desk40": (percent(40), ("松木书桌", "Pine Desk", "product"), 0, (6, 12, 23, 59, 59)),
    "juice3/20": (amount(300), ("果汁", "juice", "category"), 2000, (7, 19, 23, 59, 59)),
    "all5/60": (percent(5), None, 6000, (10, 31, 23, 59, 59)),
    "sofa100": (amount(10000), ("云栖沙发", "Nest Sofa", "product"), 0, (12, 1, 12, 0)),
    "cheese35": (percent(35), ("奶酪", "cheese", "category"), 0, (9, 5, 23, 59, 59)),
    "all25/199": (amount(2500), None, 19900, (11, 1, 23, 59, 59)),
    "ship29": (SHIPPING, ("文具", "stationery", "category"), 2900, (8, 28, 23, 59, 59)),
    "watch18cap90": (percent(18, 9000), ("海风手表", "Breeze Watch", "product"), 0, (7, 25, 23, 59, 59)),
    "diapers50": (percent(50), ("垃圾袋", "trash bags", "category"), 0, (6, 20, 23, 59, 59)),
    "soup2": (amount(200), ("汤料", "soup", "category"), 0, (12, 31, 23, 59, 59)),
    "rice12": (percent(12), ("大米", "rice", "category"), 0, (10, 20, 23, 59, 59)),
    "all40/260": (amount(4000), None, 26000, (7, 7, 23, 59, 59)),
    "ship35": (SHIPPING, None, 3500, (9, 28, 23, 59, 59)),
    "kettle45": (percent(45), ("暖泉电水壶", "Spring Kettle", "product"), 0, (8, 3, 23, 59, 59)),
    "fish9/70": (amount(900), ("海鲜", "seafood", "category"), 7000, (6, 25, 23, 59, 59)),
    "all7cap30": (percent(30, 3000), None, 5000, (8, 18, 22, 0)),
    "eggs18": (percent(18), ("鸡蛋", "eggs", "category"), 0, (8, 12, 23, 59, 59)),
    "all75/400": (amount(7500), None, 40000, (10, 5, 23, 59, 59)),
    "ship45": (SHIPPING, None, 4500, (6, 28, 23, 59, 59)),
    "lens60": (percent(60), ("晨雾投影仪", "Mist Projector", "product"), 0, (9, 1, 23, 59, 59)),
    "nuts4/25": (amount(400), ("坚果", "nuts", "category"), 2500, (7, 10, 23, 59, 59)),
    "rug10cap70": (percent(10, 7000), ("地毯", "rugs", "category"), 0, (12, 20, 23, 59, 59)),
    "honey22": (percent(22), ("蜂蜜", "honey", "category"), 0, (9, 20, 23, 59, 59)),
    "all15/120": (amount(1500), None, 12000, (8, 5, 23, 59, 59)),
    "ship66": (SHIPPING, None, 6600, (10, 12, 23, 59, 59)),
    "bag10cap80": (percent(10, 8000), ("原野背包", "Field Backpack", "product"), 0, (7, 31, 23, 59, 59)),
    "socks50": (percent(50), ("袜子", "socks", "category"), 0, (6, 14, 23, 59, 59)),
    "ham3/18": (amount(300), ("火腿", "ham", "category"), 1800, (11, 22, 23, 59, 59)),
}
for _key, (_benefit, _name, _spend, _end) in _IN_BOTH.items():
    for _sign, _currency in (("", "CNY"), ("$", "USD")):
        _about = (_name[1], LocalizedText(zh=_name[0], en=_name[1])) if _name else None
        _scope = _name[2] if _name else None
        OFFERS[_key + _sign] = an_offer(_benefit, _about, _currency, _spend, _scope, (2026, *_end))
CONTEXTS = {
    "-": AngleFacts(),
    "李雷": AngleFacts(name="李雷"),
    "Anna": AngleFacts(name="Anna"),
    "Bella": AngleFacts(name="Bella"),
    "June 23": AngleFacts(sent=datetime(2026, 6, 23, 12, tzinfo=SHANGHAI)),
    "June 23 NY": AngleFacts(sent=datetime(2026, 6, 23, 12, tzinfo=NY)),
    "June 30": AngleFacts(sent=datetime(2026, 6, 30, 9, tzinfo=SHANGHAI)),
    "July 2": AngleFacts(sent=datetime(2026, 7, 2, tzinfo=SHANGHAI)),
    "May 2": AngleFacts(sent=datetime(2026, 5, 2, tzinfo=SHANGHAI)),
    "bought 1": AngleFacts(name="用户A", bought=(PRODUCT_1,)),
    "bought 1, no terms": AngleFacts(name="用户A", bought=(PRODUCT_1,)),
    "aged 35": AngleFacts(private=("35",)),
    "engineer": AngleFacts(private=("工程师",)),
    "陈晨's rug": AngleFacts(name="陈晨", bought=(LocalizedText(zh="羊毛地毯", en="Wool Rug"),)),
    "Alice Brown": AngleFacts(name="Alice Brown"),
    "周舟": AngleFacts(name="周舟"),
    "Lena's sheets": AngleFacts(name="Lena", bought=(SHEETS,)),
    "林悦's sheets": AngleFacts(name="林悦", bought=(SHEETS,)),
    "Maria's rug": AngleFacts(name="Maria", bought=(LocalizedText(zh="地毯", en="Wool Rug"),)),
}


@dataclass(frozen=True)
class Said:
    """One text about an offer."""

    offer: Offer
    language: Language
    known: AngleFacts
    text: str


def texts(kind: str) -> list[Said]:
    """The texts of `texts_<kind>.tsv`: offer, context, language, text with escapes for invisible characters."""
    lines = Path(__file__).with_name(f"texts_{kind}.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [
        Said(
            OFFERS[offer],
            language,
            CONTEXTS[context],
            text.encode("latin-1", "backslashreplace").decode("unicode_escape"),
        )
        for offer, context, language, text in rows
    ]
