"""Set texts of the pool beside copy as a shop's own copywriter writes it, for a judge who does not know which is which.

Prints pairs of messages on the same offer and reason, sides and order drawn by a hash of the pass. A pool's text is
filled by code as it leaves, without greeting and terms, which would give the source away. The judge writes a line per
pair, `number<TAB>a|b|=<TAB>sendable a<TAB>sendable b` (y or n), before the key is read. Run:

    python benchmarks/core/message_blind.py [--quick] [--read VERDICTS.tsv]   the shares, by language and pass
    python benchmarks/core/message_blind.py --pass 1 [--language zh]          the pairs

VERDICTS holds `pass`, `language` and the columns above; without it the verdicts of message_blind.tsv are read.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from math import sqrt
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from promolift.core.messages import Angle, AngleFacts
from promolift.core.messages.composition import fill_draft
from promolift.core.messages.text_pool import PoolText
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.hashing import hash_int, hash_unit
from promolift.foundation.localized_text import Language, LocalizedText
from promolift.shop.pipeline.pool_file import shipped_pool

GOODS = {"coffee": ("咖啡", 20), "tea": ("茶叶", 15), "milk": ("牛奶", 10), "chocolate": ("巧克力", 25)}
FIRST, LAST = (datetime(2026, 11, day, tzinfo=ZoneInfo("Asia/Shanghai")) for day in (16, 30))


class BrandCopy(NamedTuple):
    """A line of message_brand.tsv."""

    language: Language
    angle: Angle
    goods: str
    title: str
    text: str


class Pair(NamedTuple):
    """Two messages on one offer and reason; `ours` is the side of the pool's text."""

    number: int
    language: Language
    angle: Angle
    a: str
    b: str
    ours: str


def brand_copy() -> list[BrandCopy]:
    lines = Path(__file__).with_name("message_brand.tsv").read_text(encoding="utf-8").splitlines()
    return [BrandCopy(*line.split("\t")) for line in lines if not line.startswith("#")]  # type: ignore[arg-type]


def offer_of(each: BrandCopy) -> Offer:
    currency = "CNY" if each.language == "zh" else "USD"
    whole = each.goods == "all"
    benefit = (
        Benefit(type="amount_off", amount_cents=3000 if each.language == "zh" else 1000) if whole
        else Benefit(type="percent_off", percent=GOODS[each.goods][1])
    )  # fmt: skip
    return Offer(
        id="o", menu_id="m", benefit=benefit, scope="all" if whole else "category", covers="" if whole else each.goods,
        label=None if whole else LocalizedText(zh=GOODS[each.goods][0], en=each.goods), starts=FIRST, expires=LAST,
        min_spend_cents=0 if not whole else 20000 if each.language == "zh" else 6000, currency=currency,
    )  # fmt: skip


def pairs(number: int) -> Iterator[Pair]:
    """The pairs of a pass, in its order; the pool's texts of an angle are drawn without repetition.

    Passes 1 to 4 draw the same texts, and each turns the sides of the last one; later passes draw texts and sides anew.
    """
    seed = () if number < 5 else (number,)
    pool: dict[tuple[str, str], list[PoolText]] = {}
    for text in sorted(shipped_pool().texts, key=lambda text: hash_int("blind", *seed, text.text_id)):
        if text.state == "judged" and not text.goods:
            pool.setdefault((text.angle, text.language), []).append(text)
    made = []
    for at, each in enumerate(brand_copy(), 1):
        offer, text = offer_of(each), pool[each.angle, each.language].pop()
        message = fill_draft(offer, AngleFacts(angle=each.angle), each.language, text.draft)
        ours, theirs = f"{message.title} | {message.sentence}", f"{each.title} | {each.text}"
        side = "a" if (hash_int("side", *seed, at) + number) % 2 == 0 else "b"
        made.append(Pair(at, each.language, each.angle, *((ours, theirs) if side == "a" else (theirs, ours)), side))
    return iter(sorted(made, key=lambda pair: hash_unit("order", number, pair.number)))


class Verdict(NamedTuple):
    """What the judge said of a pair: the better side, `=` for none, and whether each side would be sent."""

    number: int
    better: str
    sent: dict[str, bool]


def read_verdicts(file: Path) -> dict[tuple[int, str], list[Verdict]]:
    """Verdicts by pass and language."""
    found: dict[tuple[int, str], list[Verdict]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            at, language, number, better, a, b = line.split("\t")
            one = Verdict(int(number), better, {"a": a == "y", "b": b == "y"})
            found.setdefault((int(at), language), []).append(one)
    return found


def share(figure: str, hits: float, n: int) -> None:
    """A share with its 95 % interval (Wilson 1927)."""
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    ends = [round((middle + side * half) / (1 + z * z / n), 3) for side in (-1, 1)]
    print(json.dumps({"figure": figure, "value": round(p, 3), "interval": ends, "unit": "share", "n": n, "hits": hits}))


def main(number: int | None, language: str | None, file: Path) -> None:
    if number is not None:
        for pair in pairs(number):
            if language in (None, pair.language):
                print(f"{pair.number}\t{pair.angle}\n  a: {pair.a}\n  b: {pair.b}")
        return
    for (at, tongue), verdicts in read_verdicts(file).items():
        key = {pair.number: pair.ours for pair in pairs(at)}
        n = len(verdicts)
        better = sum(each.better == key[each.number] for each in verdicts)
        even = sum(each.better == "=" for each in verdicts)
        share(f"pool preferred, a tie as half, {tongue}, pass {at}", better + even / 2, n)
        share(f"pool would be sent, {tongue}, pass {at}", sum(v.sent[key[v.number]] for v in verdicts), n)
        other = {"a": "b", "b": "a"}
        share(f"brand copy would be sent, {tongue}, pass {at}", sum(v.sent[other[key[v.number]]] for v in verdicts), n)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pass", dest="number", type=int, help="print the pairs of a pass, in its order and sides")
    parser.add_argument("--language", choices=("zh", "en"), help="of the pairs")
    parser.add_argument("--read", type=Path, default=Path(__file__).with_suffix(".tsv"), help="the file of verdicts")
    parser.add_argument("--quick", action="store_true", help="the same: nothing here takes long")
    given = parser.parse_args()
    main(given.number, given.language, given.read)
