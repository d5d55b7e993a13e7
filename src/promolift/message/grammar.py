"""A language in, the form of a model's answer out, as a grammar in which digits, offer words and claims cannot occur.

Chinese forbids characters (折, 优, 最 ...). English forbids words: a grammar cannot say 'no word of this list', so the
words that do not begin with a forbidden stem are spelled out letter by letter, as the tree of the stems turned round.
"""

import re
from functools import cache

from promolift.terms import Language

# Characters of offers, claims, numbers and urgency; 'product' is the only name.
_HAN = (
    "折优惠减免费价钱元块券赠送奖抢购限期效截止满返省降促销特卖最第级独唯冠健康治疗瘦病药医孕婴保证绝极顶尖佳永必"
    "二两三四五六七八九十百千万亿半倍零〇成双仅快急速囤存货退岁龄您浏览搜"
)
# Stems: no word of the free sentence begins with one. A word marked with $ is forbidden only as a whole.
_STEMS = """
    off$ offer sale$ sales save saving discount deal$ deals price pricing cheap free$ bargain coupon voucher code$ codes
    promo percent dollar cent$ cents euro pound$ yuan buck$ bucks cost cash money gift$ gifts bonus reward points win$
    winner prize buy$ buying purchas order spend spent budget afford value$ worth pay$ paying paid checkout
    today tonight tomorrow now$ soon hurry rush limited last$ final expire expir until deadline instant urgent quick
    one$ two three four five six seven eight nine ten$ eleven twelve dozen hundred thousand million half$ double triple
    twice first$ second$ third$ quarter$ number
    best better$ finest greatest perfect ultimate premium top$ leading only$ unique exclusive never$ always guarantee
    proven award favorite favourite most$ ever$ world ideal amazing incredible unbeatable superior luxur
    health heal$ heals healing cure medic doctor diet weight slim$ nutriti vitamin organic natural immun detox clean$
    baby babies pregnan mother mom$ kids kid$ child elder senior$ student single$ alone divorce age$ sick illness
    you've$ we$ i$ my$ me$
"""
_SAID = [stem.replace("'", "") for stem in _STEMS.split()]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def forbidden(text: str, language: Language) -> list[str]:
    """The forbidden characters or words of a text, and its digits."""
    digits = re.findall(r"\d+", text)
    if language == "zh":
        return digits + sorted(set(text) & set(_HAN)) + re.findall(r"[A-Za-z]+", text)
    words = re.findall(r"[a-z']+", text.lower())
    whole = {stem[:-1] for stem in _SAID if stem.endswith("$")}
    stems = tuple(stem for stem in _SAID if not stem.endswith("$"))
    return digits + [word for word in words if word in whole or word.startswith(stems)]


@cache
def answer_grammar(language: Language, opener: str, label: str) -> str:
    """The grammar (GBNF) of {"title": ..., "line": ...}: the line begins with `opener` and names `label`."""
    plain = re.sub(r'["\\\n]', "", label)
    return _chinese(opener, plain) if language == "zh" else _english(opener, plain)


def _chinese(opener: str, label: str) -> str:
    holes = sorted(map(ord, _HAN))
    kept, first = (
        "".join(f"\\u{a:04X}-\\u{b:04X}" for a, b in _gaps(sorted([*holes, *map(ord, more)]), 0x4E00, 0x9FA5))
        for more in ("", "的")
    )
    return "\n".join(
        [
            rf'root ::= "{{\"title\":\"" han{{4,8}} "\",\"line\":\"{opener}" line "\"}}"',
            f'line ::= han{{0,6}} "{label}" first han{{2,10}} ("，" han{{4,12}})? "。"',
            f"han ::= [{kept}]",
            f"first ::= [{first}]",
        ]
    )


def _gaps(holes: list[int], first: int, last: int) -> list[tuple[int, int]]:
    """What is left of [first, last] without the holes."""
    spans, start = [], first
    for hole in dict.fromkeys(holes):
        if first <= hole <= last:
            if hole > start:
                spans.append((start, hole - 1))
            start = hole + 1
    return [*spans, (start, last)] if start <= last else spans


def _english(opener: str, label: str) -> str:
    rules = [
        rf'root ::= "{{\"title\":\"" capital (" " word){{1,5}} "\",\"line\":\"{opener} " line "\"}}"',
        f'line ::= (word gap){{0,5}} "{label}" (gap word){{2,14}} "."',
        'gap ::= " " | ", "',
        "tail ::= [a-z]{0,9}",
    ]
    return "\n".join([*rules, *_words("word", capital=False), *_words("capital", capital=True)])


def _words(name: str, capital: bool) -> list[str]:
    """Rules for words outside the list: at each node of the tree of stems, a letter out of the tree or on in it."""
    tree: dict[str, set[str]] = {}
    for stem in _SAID:
        letters = stem.rstrip("$")
        for i in range(len(letters)):
            tree.setdefault(letters[:i], set()).add(letters[i])
    whole = {stem[:-1] for stem in _SAID if stem.endswith("$")}
    stems = {stem for stem in _SAID if not stem.endswith("$")}
    rules = []
    for node in sorted(tree | {key: set() for key in whole}):
        inner = tree.get(node, set())
        options = [
            f'"{_cased(letter, node, capital)}" {name}{node}{letter}'
            for letter in sorted(inner)
            if node + letter not in stems
        ]
        free = "".join(_cased(letter, node, capital) for letter in _LETTERS if letter not in inner)
        options.append(f"[{free}] tail")
        if node and node not in whole:
            options.append('""')
        rules.append(f"{name}{node or ''} ::= {' | '.join(options)}")
    return rules


def _cased(letter: str, node: str, capital: bool) -> str:
    return letter.upper() if capital and not node else letter
