"""The 300 labelled texts on which lint, reading and judge are measured: drawn by a hash, shown without their labels.

A large language model read them (see `message_verdicts.jsonl`, which keeps prompt, model and date) before anybody looked
the labels up. `python benchmarks/core/message_judged.py` prints them as they were shown.
"""

import sys
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[2] / "tests" / "support"
sys.path.insert(0, str(TESTS))
from message_helpers import CONTEXTS, OFFERS, SHIPPING, amount, an_offer, percent  # noqa: E402

from promolift.core.messages import AngleFacts, describe_offer  # noqa: E402
from promolift.core.offers.terms import Offer  # noqa: E402
from promolift.foundation.hashing import hash_unit  # noqa: E402
from promolift.foundation.localized_text import Language, LocalizedText  # noqa: E402

# how many of each file and label are drawn per language: 75 true and 75 false ones
DRAWN = {("true", True): 60, ("scenes", True): 15, ("false", False): 40, ("scenes", False): 15, ("claims", False): 20}


class Labelled(NamedTuple):
    """A text with the offer and what is known, and whether it is true."""

    key: str
    offer: Offer
    language: Language
    known: AngleFacts
    text: str
    holds: bool


def rows(kind: str) -> list[list[str]]:
    lines = (TESTS / f"texts_{kind}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def labelled() -> list[Labelled]:
    """All texts; a claim stands behind a true text of its language."""
    found = []
    plain = {
        "zh": "现在购买冷冻方便餐可以享受8折优惠！有效期至2026年6月30日。",
        "en": "Enjoy 20% off frozen meals. Valid through June 30, 2026.",
    }
    for kind in ("true", "false"):
        for i, (offer, context, language, text) in enumerate(rows(kind)):
            shown = text.encode("latin-1", "backslashreplace").decode("unicode_escape")
            found.append(Labelled(f"{kind} {i}", OFFERS[offer], language, CONTEXTS[context], shown, kind == "true"))  # type: ignore[arg-type]
    for i, (offer, language, label, text) in enumerate(rows("scenes")):
        found.append(Labelled(f"scenes {i}", SCENES[offer], language, NAMED[language], text, label == "true"))  # type: ignore[arg-type]
    for i, (language, text) in enumerate(rows("claims")):
        found.append(
            Labelled(
                f"claims {i}",
                OFFERS["meals20" + ("" if language == "zh" else "$")],
                language,
                AngleFacts(),
                plain[language] + (" " if language == "en" else "") + text,
                False,
            )
        )  # type: ignore[arg-type]
    return found


SCENES: dict[str, Offer] = {
    "chocolate": an_offer(percent(20), ("chocolate", LocalizedText(zh="巧克力", en="chocolate"))),
    "sunglasses": an_offer(percent(15), ("sunglasses", LocalizedText(zh="太阳镜", en="sunglasses")), "USD", 5000),
    "all": an_offer(percent(10, 3000)),
    "cookbooks": an_offer(amount(1000), ("cookbooks", LocalizedText(zh="食谱书", en="cookbooks")), spend=6000),
    "breaks": an_offer(
        percent(25), ("breaks", LocalizedText(zh="城市周末游", en="city breaks")), "USD", scope="product"
    ),
    "trains": an_offer(amount(500), ("trains", LocalizedText(zh="玩具火车", en="toy trains")), "USD"),
    "ship": an_offer(SHIPPING, currency="USD"),
    "cream": an_offer(percent(30), ("cream", LocalizedText(zh="面霜", en="face cream"))),
    "tablets": an_offer(amount(20000), ("tablets", LocalizedText(zh="平板电脑", en="tablets")), spend=200000),
    "towels": an_offer(percent(50), ("towels", LocalizedText(zh="浴巾", en="bath towels"))),
    "all8": an_offer(amount(800), currency="USD", spend=4000),
}
NAMED = {"zh": AngleFacts(name="小李"), "en": AngleFacts(name="Anna")}


def drawn() -> list[Labelled]:
    """The 300, in an order that says nothing."""
    chosen = []
    for language in ("zh", "en"):
        for (kind, holds), number in DRAWN.items():
            these = [t for t in labelled() if t.key.startswith(kind) and t.language == language and t.holds == holds]
            chosen += sorted(these, key=lambda t: hash_unit("draw", t.key))[:number]
    return sorted(chosen, key=lambda t: hash_unit("order", t.key))


def told(known: AngleFacts) -> str:
    parts = [f"name {known.name}" if known.name else "", *(f"bought {w.en}/{w.zh}" for w in known.bought)]
    parts += [f"now {known.sent:%Y-%m-%d %H:%M}" if known.sent else "", *(f"private: {p}" for p in known.private)]
    return ", ".join(filter(None, parts))


if __name__ == "__main__":
    for number, each in enumerate(drawn()):
        first, last = each.offer.starts, each.offer.expires
        until = f"{last:%m-%d}" + (f" {last:%H:%M}" if (last.hour, last.minute) != (23, 59) else "")
        facts = f"{describe_offer(each.offer, each.language)}; {each.offer.currency} {first:%m-%d}..{until}"
        print(f"{number}|{facts}|{told(each.known)}|{each.text}")
