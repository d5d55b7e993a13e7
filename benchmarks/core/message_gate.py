"""What the gate lets through of texts that people write: 100 untrue or unlawful ones and 100 good ones.

Prints one JSON object per line: figure, value, interval, unit, n, data. `message_gate.tsv` holds the texts; rules were
mended on the half `open` alone, the half `held` is reported beside it. A text leaves if code finds nothing wrong and
nothing unread, or if what is unread passes the judge. The judge here is a fake endpoint that says yes to everything:
the worst one there is, so that its figures are bounds, and no model's merit counts as the gate's. Run:

    python benchmarks/core/message_gate.py [--quick] [--show]

`--quick`: the last set alone; `--show`: the texts that a rule refuses or misses.
"""

import argparse
import json
import os
import sys
from datetime import datetime
from math import sqrt
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
from fake_endpoint import answer, serving

from promolift.core.messages import AngleFacts, find_broken_rules, judge_texts
from promolift.core.messages.text_pool import text_to_judge
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.language_model import RemoteLanguageModel, RemoteSettings
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, Language, LocalizedText

SENT = datetime(2026, 11, 20, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
HALVES = ("open", "held", "second", "third", "fourth", "fifth", "sixth", "seventh")
NAMES = {"zh": "李雷", "en": "Anna"}
TOAST = LocalizedText(zh="烤面包", en="Toast")
COFFEE = ("COFFEE", LocalizedText(zh="咖啡", en="coffee"))
BOTH = (CATEGORY_SEPARATOR.join(("BREAD", "JAM")), LocalizedText(zh="面包、果酱", en="bread and jam"))
# by key: benefit in yuan and in dollars, what it is on, threshold of each, and what else differs
CUT = {"zh": 3000, "en": 1000}
BENEFITS = {
    "coffee20": Benefit(type="percent_off", percent=20),
    "ship": Benefit(type="free_shipping"),
    "tea21": Benefit(type="buy_x_get_y", buy=2, get=1, percent=100),
    "mug": Benefit(type="gift", item=LocalizedText(zh="马克杯", en="coffee mug")),
    "skin15": Benefit(type="percent_off", percent=15),
    "pair25": Benefit(type="percent_off", percent=25),
    "each30": Benefit(type="percent_off", percent=30),
    "points": Benefit(type="points", points=200),
    "hour": Benefit(type="percent_off", percent=30),
    "shoe25": Benefit(type="percent_off", percent=25),
    "vase": Benefit(type="gift", item=LocalizedText(zh="花瓶", en="vase")),
    "guitar12": Benefit(type="percent_off", percent=12),
    "paint30": Benefit(type="percent_off", percent=30),
    "carwash": Benefit(type="points", points=300),
    "sheet21": Benefit(type="buy_x_get_y", buy=1, get=1, percent=50),
    "ship59": Benefit(type="free_shipping"),
}
ON = {
    "coffee20": COFFEE,
    "tea21": ("GREEN TEA", LocalizedText(zh="绿茶", en="green tea")),
    "rice": ("RICE", LocalizedText(zh="大米", en="rice")),
    "skin15": ("SKIN CARE", LocalizedText(zh="护肤品", en="skin care")),
    "pair25": BOTH,
    "each30": BOTH,
    "points": ("PET FOOD", LocalizedText(zh="宠物食品", en="pet food")),
    "hour": ("SNACKS", LocalizedText(zh="零食", en="snacks")),
    "shoe25": ("RUNNING SHOES", LocalizedText(zh="跑鞋", en="running shoes")),
    "bike300": ("BICYCLES", LocalizedText(zh="自行车", en="bicycles")),
    "vase": ("FLOWERS", LocalizedText(zh="鲜花", en="flowers")),
    "guitar12": ("GUITARS", LocalizedText(zh="吉他", en="guitars")),
    "paint30": ("PAINT", LocalizedText(zh="乳胶漆", en="paint")),
    "glasses": ("GLASSES", LocalizedText(zh="眼镜", en="glasses")),
    "carwash": ("CAR CARE", LocalizedText(zh="洗车用品", en="car care products")),
    "sheet21": ("BEDDING", LocalizedText(zh="床品", en="bedding")),
    "book15": ("BOOKS", LocalizedText(zh="图书", en="books")),
}
SPEND = {("cart30", "zh"): 20000, ("cart30", "en"): 6000, ("ship", "zh"): 9900, ("ship", "en"): 4000,
         ("mug", "zh"): 15000, ("mug", "en"): 5000, ("bike300", "zh"): 200000,
         ("bike300", "en"): 30000, ("ship59", "zh"): 5900, ("ship59", "en"): 2500}  # fmt: skip


class GateText(NamedTuple):
    """A line of message_gate.tsv."""

    half: str
    language: Language
    label: str
    offer: str
    context: str
    kind: str
    text: str

    @property
    def known(self) -> AngleFacts:
        name = NAMES[self.language] if self.context == "name" else None
        return AngleFacts(name=name, bought=(TOAST,) if self.context == "bought" else (), sent=SENT)


def texts() -> list[GateText]:
    lines = Path(__file__).with_name("message_gate.tsv").read_text(encoding="utf-8").splitlines()
    return [GateText(*line.split("\t")) for line in lines if not line.startswith("#")]  # type: ignore[arg-type]


def offer_of(key: str, language: Language) -> Offer:
    """The offer of a key, in yuan for Chinese texts and in dollars for English ones."""
    zone = SENT.tzinfo
    covers, label = ON.get(key, ("", None))
    joined = {"pair25": "together", "each30": "each"}.get(key)
    benefits = BENEFITS | {
        "cart30": Benefit(type="amount_off", amount_cents=CUT[language]),
        "bike300": Benefit(type="amount_off", amount_cents={"zh": 30000, "en": 4000}[language]),
        "glasses": Benefit(type="fixed_price", price_cents={"zh": 19900, "en": 3900}[language]),
        "book15": Benefit(type="percent_off", percent=15, max_discount_cents={"zh": 2000, "en": 1000}[language]),
        "rice": Benefit(type="fixed_price", price_cents={"zh": 3990, "en": 990}[language]),
        "all10": Benefit(type="percent_off", percent=10, max_discount_cents={"zh": 5000, "en": 2000}[language]),
    }
    last = (2026, 11, 20, 19, 59, 59) if key == "hour" else (2026, 11, 30, 23, 59, 59)
    return Offer(
        id=key, menu_id="m", benefit=benefits[key], scope="category" if covers else "all", covers=covers, label=label,
        joined=joined, activation="code" if key in ("all10", "paint30") else "automatic",
        members=key in ("skin15", "guitar12"),
        min_spend_cents=SPEND.get((key, language), 0), starts=datetime(2026, 11, 16, tzinfo=zone),
        expires=datetime(*last, tzinfo=zone), currency={"zh": "CNY", "en": "USD"}[language],
    )  # type: ignore[arg-type] # fmt: skip


def share(figure: str, hits: int, n: int, **more: object) -> None:
    """A share with its 95 % interval (Wilson 1927)."""
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    ends = [round(min(1.0, max(0.0, (middle + side * half) / (1 + z * z / n))), 4) for side in (-1, 1)]
    line = {"figure": figure, "value": round(p, 4), "interval": ends, "unit": "share", "n": n, "hits": hits}
    print(json.dumps({**line, "data": "message_gate.tsv", **more}, ensure_ascii=False))


def main(quick: bool, show: bool) -> None:
    every = [each for each in texts() if not quick or each.half == "seventh"]
    codes = [
        {r.code for r in find_broken_rules(t.text, offer_of(t.offer, t.language), t.language, known=t.known)}
        for t in every
    ]
    os.environ["MESSAGE_GATE_KEY"] = "fake"
    with serving(answer(json.dumps({"claims": [], "fit": True, "why": "yes"}))) as (_, url):
        judge = RemoteLanguageModel(RemoteSettings(base_url=url, key_env="MESSAGE_GATE_KEY", cost_cap_cents=1000))
        asked = [at for at, found in enumerate(codes) if found == {"unread"}]
        tasks = [
            text_to_judge(every[at].text, offer_of(every[at].offer, every[at].language), every[at].language, every[at].known)
            for at in asked
        ]  # fmt: skip
        fits = dict(zip(asked, (verdict.fit for verdict in judge_texts(tasks, judge)), strict=True))
    for half in ("seventh",) if quick else HALVES:
        for language in ("zh", "en"):
            at = {
                label: [i for i, t in enumerate(every) if (t.half, t.language, t.label) == (half, language, label)]
                for label in ("untrue", "good")
            }
            where = f"{language}, half {half}"
            for label, several in at.items():
                n = len(several)
                share(f"{label} texts refused by code, {where}", sum(bool(codes[i] - {"unread"}) for i in several), n)
                share(f"{label} texts that leave by code alone, {where}", sum(not codes[i] for i in several), n)
                share(f"{label} texts unread without a judge, {where}", sum(codes[i] == {"unread"} for i in several), n)
                pending = sum(codes[i] == {"unread"} and fits[i] is None for i in several)
                share(f"{label} texts unread with a judge, {where}", pending, n)
                left = sum(not codes[i] or fits.get(i) is True for i in several)
                share(f"{label} texts that leave where the judge says yes to everything, {where}", left, n)
    if show:
        for t, found in zip(every, codes, strict=True):
            hard = found - {"unread"}
            if bool(hard) != (t.label == "untrue"):
                print(f"{t.half} {t.label} {t.language} {t.offer} {t.kind} {sorted(found)} {t.text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the last set alone")
    parser.add_argument("--show", action="store_true", help="print the texts that code refuses or misses wrongly")
    given = parser.parse_args()
    main(given.quick, given.show)
