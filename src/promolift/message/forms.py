"""A language in, its prompt file out: what a model is asked, and the forms of sentence that its answer may take.

A form is a text with `<lists>` of words in it. The model says first what a product is for (food, cleaning, clothes),
then chooses the words of the forms of that use. What it can write is therefore known before it writes: every sentence
of the forms passes the strict reading, and a small model cannot wander off ("wash your feet with toilet paper").
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from promolift.hashing import hash_int
from promolift.terms import Language

PROMPT_VERSION = 2
LABEL = "{label}"
OFFERED = 3
_REFERENCE = re.compile(r"<(\w+)>")

Lists = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Forms:
    """One prompt file. `uses` maps what a model says a product is for, after `purpose`, to the lists of that use."""

    system: str
    shots: str
    purpose: str
    request: str
    gap: str
    angles: Mapping[str, str]
    openers: Lists
    uses: Mapping[str, Lists]

    def lists(self, use: str, angle: str, number: int) -> Lists:
        """The lists of one answer by name: `title`, `line`, all they refer to, and the one `opener` chosen."""
        own = self.uses[use]
        openers = own.get(f"opener {angle}", self.openers[angle])
        return {**own, "moods": own[f"mood {angle}"], "opener": (openers[number % len(openers)],)}


@cache
def forms(language: Language) -> Forms:
    """The prompt file of the language, read once."""
    path = files("promolift.message").joinpath(f"prompts/{language}-{PROMPT_VERSION}.toml")
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    shared = _tuples(raw["words"]) | {f"mood {angle}": tuple(words) for angle, words in raw["moods"].items()}
    uses = {}
    for use in raw["uses"].values():
        says, openers = use.pop("says"), use.pop("openers", {})
        own = {f"opener {angle}": tuple(texts) for angle, texts in openers.items()}
        uses[says] = {**shared, **_tuples(use), **own}
    texts = {key: raw[key].strip("\n") for key in ("system", "shots", "purpose", "request", "gap")}
    return Forms(**texts, angles=raw["angles"], openers=_tuples(raw["openers"]), uses=uses)


def _tuples(lists: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(texts) for name, texts in lists.items()}


def some(lists: Lists, number: int) -> Lists:
    """At most `OFFERED` texts of each list, another choice for another `number`.

    A small model likes one word of each list and takes it nearly always; what it cannot take makes its lines differ.
    """
    kept = {}
    for name, texts in lists.items():
        start = hash_int("some", name, number) % len(texts)
        kept[name] = (texts[start:] + texts[:start])[:OFFERED]
    return kept


class FormPart(NamedTuple):
    """A fixed text, or the name of a list."""

    text: str
    is_list: bool


def parts(form: str) -> list[FormPart]:
    """A form cut into its fixed texts and the names of its lists, in order."""
    cut = _REFERENCE.split(form)
    return [FormPart(text, i % 2 == 1) for i, text in enumerate(cut) if text]


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


def forbidden(text: str, language: Language) -> list[str]:
    """The forbidden characters or words of a text, and its digits."""
    digits = re.findall(r"\d+", text)
    if language == "zh":
        return digits + sorted(set(text) & set(_HAN)) + re.findall(r"[A-Za-z]+", text)
    words = re.findall(r"[a-z']+", text.lower())
    whole = {stem[:-1] for stem in _SAID if stem.endswith("$")}
    stems = tuple(stem for stem in _SAID if not stem.endswith("$"))
    return digits + [word for word in words if word in whole or word.startswith(stems)]


def answer_grammar(language: Language, angle: str, label: str, number: int) -> str:
    """The grammar (GBNF) of {"use": ..., "title": ..., "line": ...} about `label`; `number` chooses how lines begin.

    It writes the sentences of the forms and no other: the verifier would refuse most others.
    """
    form = forms(language)
    rules = [f"root ::= {' | '.join(f'use{i}' for i in range(len(form.uses)))}"]
    for i, use in enumerate(form.uses):
        name, lists = f"use{i}", some(form.lists(use, angle, number), number)
        said = form.purpose.replace(LABEL, _json(label)) + use
        begin, middle, end = f'{{"use":"{said}","title":"', f'","line":"{lists["opener"][0]}{form.gap}', '"}'
        rules.append(f"{name} ::= {_quoted(begin)} {name}-title {_quoted(middle)} {name}-line {_quoted(end)}")
        rules += [_rule(name, listed, lists, label) for listed in _reached(lists)]
    return "\n".join(rules)


def _reached(lists: Lists) -> list[str]:
    """The lists that titles and lines lead to."""
    found = ["title", "line"]
    for name in found:  # grows while it is read
        texts = [text for form in lists[name] for text, named in parts(form) if named]
        found += [text for text in dict.fromkeys(texts) if text not in found]
    return found


def _rule(use: str, name: str, lists: Lists, label: str) -> str:
    said = _json(label)
    options = [
        " ".join(f"{use}-{text}" if named else _quoted(text.replace(LABEL, said)) for text, named in parts(form))
        for form in lists[name]
    ]
    return f"{use}-{name} ::= {' | '.join(options)}"


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
