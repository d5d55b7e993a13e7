"""A reading and a context in; every 'you bought' checked against what was bought."""

import re

from promolift.message.names import any_of
from promolift.message.reading import claim_cues_en, claim_cues_zh
from promolift.message.reading.text import BOUGHT, OFFERED, Context, Reading
from promolift.terms import Language

_BUY_ZH = "(?:购买|订购|下单|选购|购入|入手|买)"
_OBJECT = "(?=(?P<object>.*))"  # looked at, not taken: a sentence may hold several claims
_LATELY = "新|已经?|刚刚|刚才|刚|最近|近期|此前|之前|上次|曾经?|昨[天日]|前[天几日]|上[周月]"
_JUST = "(?:just |recently |already |now |previously |only |last )*"
_CLAIMS = [
    re.compile(pattern + _OBJECT, re.IGNORECASE)
    for pattern in (
        rf"(?<![没未不])(?:{_LATELY})\s*[您你]?(?:已经?)?(?:在[^，。]{{1,8}}?)?{_BUY_ZH}(?:了|过|的|到了)?",
        rf"(?<![没未不])(?<!还没){_BUY_ZH}(?:了|过|到了)",
        rf"(?:感谢|谢谢|多谢)[您你]?(?:的)?(?:本次)?{_BUY_ZH}",
        rf"\byou(?:'ve| have)?\s+{_JUST}(?:bought|purchased|ordered|picked up|added)\b",
        r"\b(?:thanks|thank you) for (?:buying|purchasing|ordering|choosing"
        r"|(?:your|the) (?:recent |latest |last )?(?:purchase|order)(?: of)?)\b",
        r"\byour (?:recent|latest|last|previous|new|earlier)(?:ly bought| purchase(?: of)?| order(?: of)?)?\b",
        r"\b(?:having|after|since|for) (?:just |recently )?(?:bought|purchased|buying|purchasing|ordering)\b",
        r"(?:^|[.!?,]\s*)(?:just |recently )?(?:bought|purchased|ordered)\b",
    )
]
_FILLER = re.compile(r"^\s*(?:了|过|的|到|一[件份个]|我们的|the |an? |our |some |your |of |with )*\s*", re.IGNORECASE)
_NO_OBJECT = re.compile(r"^\s*(?:[,.!，。！]|$)")
_OBJECT_BEFORE = re.compile(rf"{BOUGHT}[\s,，]*(?:that |which )?$")
_TARGET = any_of(
    rf"\boff|\bon|\bfor|\bdiscount(?:ed)?|\bbuy|\bspend \S+ on|%|折|优惠|减|{_BUY_ZH}",
    tail=r"(?:\s+(?:the|our|your|all|any))?\s*$",
)
_MORE = re.compile(  # 'you bought the rug and a lamp'
    rf"(?<={BOUGHT})(?P<more>\s*"
    rf"(?:(?:and|plus|as well as|,)\s+(?:an?|the|some|two|three|your)\s+(?![{BOUGHT}{OFFERED}])\w+"
    rf"|(?:和|与|及|以及|、)(?![{BOUGHT}{OFFERED}])\w+))",
    re.IGNORECASE,
)
_BENEFIT = any_of(r"\d|折|优惠|减|\boff\b|\bhalf\b|\bfree\b")
_AND = r"\s*(?:and|or|plus|&|,|、|和|与|及|或)\s*(?:the |our )?"
_JOINED_BEFORE = re.compile(f"{OFFERED}{_AND}$", re.IGNORECASE)
_JOINED_AFTER = re.compile(f"^{_AND}{OFFERED}", re.IGNORECASE)


def check_claims(reading: Reading, context: Context) -> None:
    """A text says 'you bought' only of what the context says was bought, and offers no discount on that."""
    backed = {
        place
        for pattern in _CLAIMS
        for claim in pattern.finditer(reading.text)
        for place in _backed(reading, claim, context)
    }
    for match in re.finditer(f"{BOUGHT}+", reading.text):
        if match.start() not in backed and _is_offered(reading, *match.span()):
            reading.flag("other_name", *match.span(), "the offer does not cover what was bought")


def _is_offered(reading: Reading, start: int, end: int) -> bool:
    """'20% off the rug', 'Product 1 and Product 2 are 20% off'; but not 'they go well together'."""
    before, after = reading.text[:start], reading.text[end:]
    joined = _JOINED_BEFORE.search(before) or _JOINED_AFTER.match(after)
    return bool(_TARGET.search(before) or (joined and _BENEFIT.search("".join(reading.clause(start, end)))))


def _backed(reading: Reading, claim: re.Match[str], context: Context) -> list[int]:
    """Where the claim's object stands, if it is what was bought; otherwise the claim is flagged."""
    filler = _FILLER.match(claim["object"])
    assert filler  # it matches the empty string
    start = claim.start("object") + filler.end()
    if reading.text.startswith(BOUGHT, start):
        more = _MORE.search(reading.text, start)
        if more:
            reading.flag("unknown_purchase", *more.span("more"), "no such purchase is known")
        return [start]
    earlier = _OBJECT_BEFORE.search(reading.text[: claim.start()])
    if earlier:  # 'Product 1 that you bought'
        name = re.search(f"{BOUGHT}+[^{BOUGHT}]*$", reading.text[: claim.start()])
        return [name.start()] if name else []
    if not (context.bought and _NO_OBJECT.match(claim["object"])):
        end = claim.end() + min(len(claim["object"]), 20)
        reading.flag("unknown_purchase", claim.start(), end, "no such purchase is known")
    return []


CUES: dict[Language, tuple[re.Pattern[str], ...]] = {"en": claim_cues_en.CUES, "zh": claim_cues_zh.CUES}
# What a clause says of the product when it only follows the terms: 'they get softer with every wash', 戴着睡觉也不疼.
REMARKS: dict[Language, re.Pattern[str]] = {
    "en": any_of(
        r"""
        (?:they|they're|they've|they'll|these|each one|every one|its|it (?!all|ends|runs|is|was|might|may|could|can
            |would|will be|won't|counts|works|applies|starts|takes|adds|covers
            |includes|expires|closes|lasts|stays open|stops
            |really|couldn't|doesn't (?:matter|get))[a-z]+)\b
        """,
        head=r"^\W*(?:(?:and|because|as|but|so|since|even)\W+)?",
    ),
    "zh": any_of(r"""
        也(?:不(?!用|必|错|迟|晚|是|急|贵)|没(?!关系)|能(?!用|享|买)|看不)|都(?:不(?!用|必|是|贵)|没)|一?整天|管(?:饱
            |用|够)|[好香软暖舒爽][^，。！]{0,3}得(?:很|不|像)
        不(?:疼|痛|累|困|犯困|闷|扎|湿|掉|滑|腻|晃|刺|痒|干|紧|卡|断|漏|坏|愁|烫|臭|腥|苦|粘|塌|皱|透|冷场|酸|涩)
            |[一二两三四五六七八九十几]+(?:年|天|个?小时)(?:不|内|都)|像[^，。！]{1,6}一样|站得住|扛得住|顶得住
    """),
}
