"""The unlisted words of a sentence in, those out which by their shape add to the offer; the fair reading of `rest.py`.

Moods, scenes, questions and calls to the reader may hold any words; where those carry a claim, `claims.py` knows
its kind. What is left is known by where it stands: words before the offered name or said of it, words joined to the
benefit, and a bare remark after the benefit that speaks to nobody, as 'no ironing needed'.
"""

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from promolift.message.names import any_of
from promolift.message.reading.claims import REMARKS
from promolift.message.reading.text import DATE, DONE, OFFERED, PERSON, WORDS

_HAN = re.compile(r"[\u3400-\u9fff]")
_TERMS = any_of(
    rf"[\d%¥$€£您你{DATE}{DONE}]|折|减|省|有效|截止|可用|使用|适用|\b(?:you|your|off|valid|offer|save|count|free|ship)\w*\b"
)
_COMMA = re.compile(r"[,，:：、()（）—…]| [-–] ")
_VERBS = """
    add argue ask bake be book boil breathe brew bring browse build buy call carry catch celebrate chase check cheer
    choose chop clear climb close collect come cook count cover cross cuddle curl cut dance dig dim dip dive draw
    dream dress drink drive drop eat empty enjoy explore feed feel fetch fill find finish fix fold follow forget fry
    gather get give go grab grill grind hang have hear help hike hop hug invite join jump keep kick lace lay lean leave
    let lie lift light listen live look load lounge make march meet melt mind mix move munch nap nibble open order pack
    paddle paint pair park pass pedal phone pick pile pitch plan plant play pop pour press pull put race raise reach
    read refill relax remember rest restock ride rinse roast roll run sail save say scoop scrub see send serve set
    settle shake share shine shop show sing sip sit skip sleep slice slip snack snuggle soak sort spoil spread sprinkle
    stack start stay steep stir stock stop stretch stroll surprise swap sweep swim swing switch tackle take talk taste
    tear tell text thank think throw tidy tie toast top toss travel treat try tuck turn unpack unplug unroll unwind
    use visit wait wake walk wander warm wash watch wave wear whisk whisper wipe wrap write zip
"""
_LEAD_EN = (
    r"^[\W_]*(?:(?:and|so|then|now|just|but|or|please|go on|go ahead|also|simply|maybe|perhaps|first|next|always)\W+)*"
)
_CALL_EN = any_of(
    rf"""
    {_LEAD_EN}(?:do not |don't |never |no need to |time to |let's |here's (?:to
        |hoping) |happy |good |merry |enjoy |cheers
        |thanks? |see |until |ready |why not |how about |what about |whether |may )
    {_LEAD_EN}any (?:aisle|shelf|corner|department|day|hour|size|colou?r|basket|time|reason|way)\b
    ^\W*(?:the|this|that|our) \w+ (?:ends?|closes?|shuts?|stops?|fades?|sets?|sails?|leaves?|departs?|finishes
        |falls|comes down
        |drops|rings|goes out|goes home|bows out)(?: on| after| with| at| by)?\W*$
    {_LEAD_EN}(?:one|a|an|another|two|this|that|some) (?:\w+ )?(?:night|evening|morning|afternoon|day|weekend
        |summer|walk|cup|mug
        |glass|hour|minute|moment|page|chapter|song|lap|nap|breath|trip|hike|journey|picnic|breakfast|lunch|dinner|supper|bath
        |shower|problem|worry|errand|excuse|reason|question)s?\b
    {_LEAD_EN}(?:{"|".join(_VERBS.split())})\b(?! \w+s\b (?:it|them|this))
    {_LEAD_EN}(?!our|your|its|their|this|these|those|that|each|every|some|all)[a-z]+(?<!s)(?<!ed)(?<!ing)(?<!ly)
        (?: up| out)? (?:the|your|a|an|some|it|them|about|yourself)\b
    \b(?:you|you're|you'll|you've|your|yours|yourself|let's|anyone)\b|{PERSON}|\bwelcome\W*$|\b(?:is|are) (?:optional
        |allowed|encouraged|permitted|forgiven|expected|another matter)\b|\bno (?:excuses|rush|pressure|hurry)\b
    """
)
_AFTERTHOUGHT = any_of(
    r"so|then|before|while|when|as|until|till|because|even if|even though|though|if|in case|since",
    head=r"\b",
    tail=r"\b",
)
_CALL_ZH = any_of(
    rf"""
    [你您咱吧啦哦呢吗嘛咯喽呀哟]|{PERSON}|我们(?:请|等|帮|替|出|付|包|来|给[你您])|祝|欢迎|一起|不如|不妨|随时|慢慢
        |记得|也是(?!\ue000)|[就这那也]叫|叫做|算是|等于|好比|俗话|老话|常言|所谓|何必|别(?!家|处|的)|趁|顺[手便路]|正好|刚好|就是|才算|该|等着
    ^\W*(?:就|再|也|先|来|去|给|把|让|带|买|挑|选|逛|图|约|陪|等|尝|试|穿|戴|放|喝|吃|煮|做|看|听|读|睡|走|跑|上|下|回
        |说|想|要|愿|把|备|囤|添|补|换|留|省下|交给|打开|出发|收拾|开)
    ^够|行$|了$
    """
)
_OTHERS_SUBJECT = any_of(r"(?:they|these|it|it's|they're|they've|its|their|our|ours|each|every one)\b", head=_LEAD_EN)
_PARTICIPLE = re.compile(
    rf"{_LEAD_EN}[a-z-]+(?:ed|en|wn|ft|some|less|ful|ish|able|ous)(?: (?:by|in|from|for|to|with|and|at|on|enough)\b|,)",
    re.IGNORECASE,
)
_OUR_NAME = re.compile(rf"^[\s,，:：—-]*(?:and )?(?:our|the|these|this|all|every)?\s*{OFFERED}", re.IGNORECASE)
_AND_BENEFIT = re.compile(
    r"\b(?:and|plus|&)\s+(?:now |just |only |also |still |yours for |at )*(?:an? )?$", re.IGNORECASE
)
_SUBJECT_GETS = re.compile(
    r"^\s+(?:get|gets|save|saves|enjoy|enjoys|pay|pays|receive|receives|take|takes) ", re.IGNORECASE
)
_ALL_OUR = re.compile(r"\b(?:all|any|every|entire|whole)(?: of)? our (?:[a-z-]+ )?$", re.IGNORECASE)
_WHATEVER = any_of(r"\b(?:whatever|whichever|wherever|anything (?:you|that|the|on))\b|什么都|随便")
_LISTED = re.compile(
    rf"{OFFERED}(?:, (?:and )?[a-z-]+(?: [a-z-]+)?){{0,2}}(?:, (?:and )?| and | & | plus )(?:[a-z-]+ )?$", re.IGNORECASE
)
_LIST_ENDS = re.compile(
    r"^(?: [a-z-]+)?(?:,? and (?:an? )?[a-z-]+(?: [a-z-]+)?)?(?:[:,—-]* (?:they|all|both|every one of them|each))?"
    r" (?:all )?(?:are|is|come|cost|ship)\b",
    re.IGNORECASE,
)
_STOP = """
    a an the our your my his her their its this that these those some any every each all no to for of on in at by with
    from into onto over under about around through and or but so if when while as than is are was were be been am has
    have had do does did can could will would may might should must take get need want buy order grab pick off up out
"""
_STOP_WORDS = frozenset(_STOP.split())
_EVERYTHING = any_of(
    r"\b(?:every|any|whatever|whole|entire|all|store|shop|site)\w*\b|全[场店部]|整店|所有|一切|任[选意何]|什么都"
)
_OURS_ZH = re.compile(r"[你您我咱]|孩子|家人|朋友|今[天晚]|周[末一二三四五六日]|明天|想[要买]|喜欢的")
# Words in no list that promise nothing in any sentence about an offer.
_NO_CLAIM = """
    everyone everybody somebody someone anybody nobody people person category categories browsing excuse 公告
"""
_NEUTRAL = frozenset(_NO_CLAIM.split())
# Where the benefit begins; a number of a scene is none.
STATED = any_of(rf"""
    [%¥$€£{DONE}]|折|减|半价|一半|(?:\d|[二两三四五六七八九十百千]|十一)\s?(?:元|块)|百分之|分之|省(?![心事力时得])
        |便宜|\bper ?cent\b
    \b(?:saves?|take|get|half|{WORDS} (?:dollars|euros|pounds|yuan|bucks)) (?:off|price|the price)\b|half-price
    \b(?:half|third|quarter|fifth|sixth|eighth|tenth|twentieth) (?:off|less|cheaper|lower|from|on|of the|is|comes?
        |knocked|taken|price)\b
    {WORDS} (?:dollars|euros|pounds|yuan|bucks)\b
""")


@dataclass(frozen=True)
class Strange:
    """Where words stand that may not stand there: how many (a Chinese character is half a word); `another` product.

    `last` says that the last character of a Chinese run is one of those that are in no list.
    """

    start: int
    end: int
    words: float
    another: bool
    last: bool = False


@dataclass(frozen=True)
class Place:
    """What is known of a sentence: where its benefit begins and ends, whether one was stated before, and the scope."""

    begins: int
    ends: int
    stated: bool
    everything: bool


def adding(sentence: str, strange: list[Strange], place: Place) -> Iterator[Strange]:
    """The unlisted words of a sentence that add to what is offered."""
    cuts = [0, *(m.end() for m in _COMMA.finditer(sentence)), len(sentence)]
    asks = sentence.rstrip().endswith(("?", "？"))
    for at, group in groupby(strange, key=lambda word: bisect(cuts, word.start)):
        words = [word for word in group if sentence[word.start : word.end].lower() not in _NEUTRAL]
        clause = slice(cuts[at - 1], cuts[at] if at < len(cuts) else len(sentence))
        if _adds(sentence, words, clause, place, asks):
            yield from words
    if not asks:
        yield from _remarks(sentence, cuts, place)


def _remarks(sentence: str, cuts: list[int], place: Place) -> Iterator[Strange]:
    """What clauses after the benefit say of the product, in whatever words."""
    for start, stop in pairwise(cuts):
        said = sentence[start:stop]
        pattern = REMARKS["zh" if _HAN.search(said) else "en"]
        match = pattern.search(said)
        if match and (place.stated or place.begins < start) and not _TERMS.search(said):
            yield Strange(start + match.start(), start + match.end(), 1, False)


def _adds(sentence: str, words: list[Strange], clause: slice, place: Place, asks: bool) -> bool:
    """Whether the unlisted words of one clause, `sentence[clause]`, add to the offer."""
    if any(word.another or _names(sentence, word) for word in words):
        return True
    if sum(word.words for word in words) < 1:
        return False
    said = sentence[clause]
    if asks:
        return False
    if place.everything and _WHATEVER.search(sentence, 0, words[0].start):
        return False
    if any(_ALL_OUR.search(sentence, 0, word.start) or _in_list(sentence, word) for word in words):
        return True
    offered = sentence.find(OFFERED, clause.start, words[-1].start)
    if offered >= 0 and not _calls(sentence[offered : clause.stop].lstrip(OFFERED)):
        return True
    if place.begins < words[-1].start or place.stated:
        return not _calls(_after(sentence, words, clause, place))
    return _leads_in(sentence, words, clause, place) or bool(
        _OTHERS_SUBJECT.match(said) and not re.match(r"\W*it", said, re.I)
    )


def _after(sentence: str, words: list[Strange], clause: slice, place: Place) -> str:
    """What of the clause stands after the benefit, from the word on that begins an afterthought."""
    start = max(clause.start, place.ends if place.ends <= words[0].start else clause.start)
    thought = _AFTERTHOUGHT.search(sentence, start, words[0].start)
    if thought is None:
        return sentence[start : clause.stop]
    said = sentence[thought.end() : clause.stop]
    return "" if _OTHERS_SUBJECT.match(said) else f"you {said}"  # read as spoken to the reader


def _calls(said: str) -> bool:
    """Whether a remark speaks to the reader."""
    if _OTHERS_SUBJECT.match(said):
        return False
    return bool((_CALL_ZH if _HAN.search(said) else _CALL_EN).search(said.strip(f" 。.!！,，{DATE}")))


def _names(sentence: str, word: Strange) -> bool:
    """Whether a word is part of the name: 'handpicked frozen meals', 降噪耳机, 防水的登山鞋."""
    rest = sentence[word.end :]
    if rest.startswith(OFFERED):
        said = sentence[word.start : word.end]
        return word.last or (said.endswith(("的", "款", "版", "装", "型")) and not _OURS_ZH.search(said))
    near = re.match(rf"((?:,? (?:and )?[A-Za-z'-]+){{0,2}}) {OFFERED}", rest)
    return bool(near and not set(near[1].replace(",", "").lower().split()) & (_STOP_WORDS - {"and"}))


def _in_list(sentence: str, word: Strange) -> bool:
    """Whether a list goes on from the offered name: 'shampoo, conditioner and combs are 5% off'."""
    return bool(_LISTED.search(sentence[: word.start]) and _LIST_ENDS.match(sentence[word.end :]))


def _leads_in(sentence: str, words: list[Strange], clause: slice, place: Place) -> bool:
    """Whether a clause before the benefit says what the product is, who gets it, or what alone is on offer."""
    said, rest = sentence[clause], sentence[clause.stop :]
    between = sentence[words[-1].end : place.begins]
    if _AND_BENEFIT.search(between) or _SUBJECT_GETS.match(sentence[words[-1].end : clause.stop]):
        return True
    if place.everything and any(re.search(r".全[场店]", sentence[word.start : word.end]) for word in words):
        return True  # 厨具全场九折
    if place.everything and re.match(r"\s*[:：]", sentence[words[-1].end :]):
        return not _EVERYTHING.search(sentence)
    return bool(_PARTICIPLE.match(said) and _OUR_NAME.match(rest))
