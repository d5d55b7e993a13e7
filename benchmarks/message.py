"""How many false texts the verifier of `promolift.message` catches, how many true ones it refuses, and how fast it is.

Prints one JSON object per line: figure, value, se, unit, peer, peer_value, n, data. The peer is the check in common
use: every fact of the offer, formatted once in the usual way, must occur in the text. Run:

    python benchmarks/message.py [--quick] [--show]
"""

import argparse
import json
import time
from collections import Counter
from math import sqrt

import polars as pl
from message_mutations import Case, mutations
from message_texts import NAMES, facts_of, offer_of, pick, render
from promolift.message.templates import money

from promolift.hashing import hash_int
from promolift.message import Context, Recipient, broken_rules, write, write_all
from promolift.terms import Language, Offer

LANGUAGES: tuple[Language, ...] = ("zh", "en")
DATA = "hash-seeded offers; phrasings of benchmarks/message_texts.py, mutations of benchmarks/message_mutations.py"


def true_cases(n: int) -> list[Case]:
    """n true texts, in turn in both languages, two about each offer."""
    cases = []
    for i in range(n):
        language = LANGUAGES[i % 2]
        offer, name = offer_of(hash_int("offer", i // 2) % 10**6), pick(NAMES[language], "name", i)
        style = hash_int("style", i) % 10**6
        text = render(facts_of(offer), language, style, name)
        cases.append(Case(text, offer, language, Context(name=name), style))
    return cases


def breaks(case: Case, strict: bool = False) -> bool:
    return bool(broken_rules(case.text, case.offer, case.language, context=case.context, strict=strict))


def strings_missing(text: str, offer: Offer, language: Language) -> bool:
    """The peer: is some fact, in its one usual format, not in the text?"""
    day, benefit = offer.expires, offer.benefit
    facts = [f"{day.month}月{day.day}日" if language == "zh" else f"{day:%B} {day.day}"]
    if offer.label:
        facts.append(offer.label.in_(language))
    if benefit.percent:
        tenths, ones = divmod(100 - benefit.percent, 10)
        zhe = f"{tenths}.{ones}折" if ones else f"{tenths}折"
        facts.append(zhe if language == "zh" else f"{benefit.percent}%")
    facts += [money(c, offer.currency, language) for c in (benefit.amount_cents, offer.min_spend_cents) if c]
    return not all(fact.lower() in text.lower() for fact in facts)


def tell(figure: str, value: float, unit: str, n: int, **more: object) -> None:
    line = {"figure": figure, "value": value, "se": None, "unit": unit, "peer": None, "peer_value": None, "n": n}
    print(json.dumps({**line, "data": DATA, **more}, ensure_ascii=False))


def tell_share(figure: str, cases: list[Case], hits: list[bool]) -> None:
    """A share with its standard error, never 0 for lack of misses, and the peer's share on the same texts."""
    n, share = len(cases), sum(hits) / len(cases)
    se = sqrt(max(share * (1 - share), 1 / n) / n)
    peer = sum(strings_missing(c.text, c.offer, c.language) for c in cases) / n
    more = {"se": round(se, 5), "peer": "fact strings occur in the text", "peer_value": round(peer, 4)}
    tell(figure, round(share, 5), "share", n, **more)


def check_texts(n: int, show: bool) -> None:
    true = true_cases(n)
    false = [other for i, case in enumerate(true) for other in mutations(case, i)]
    start = time.process_time()
    caught, alarms = [breaks(case) for case in false], [breaks(case) for case in true]
    seconds = time.process_time() - start
    tell_share("mutated texts caught", false, caught)
    tell_share("true texts refused", true, alarms)
    tell_share("true texts refused, strict", true, [breaks(case, strict=True) for case in true])
    tell("texts verified", round((len(true) + len(false)) / seconds), "per CPU second", len(true) + len(false))
    if show:
        print(Counter(case.kind for case in false))
        for case, hit in [*zip(false, caught, strict=True), *((c, not h) for c, h in zip(true, alarms, strict=True))]:
            if not hit:
                rules = broken_rules(case.text, case.offer, case.language, context=case.context)
                print(case.kind, case.text, [(r.code, r.span) for r in rules], facts_of(case.offer))


def check_batch(rows: int) -> None:
    """A plan written in two languages, against writing its rows one by one."""
    offers = {o.id: o for o in map(offer_of, range(300))}
    ids = list(offers)
    plan = pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(rows)],
            "offer_id": [ids[hash_int("row", i) % 300] for i in range(rows)],
            "name": [f"Anna {chr(65 + i % 26)}ohnson" if i % 3 == 0 else None for i in range(rows)],
        }
    )
    start = time.process_time()
    written = write_all(plan, offers)
    seconds = time.process_time() - start
    assert written.height == rows
    some = plan.head(300)
    start = time.process_time()
    for customer, offer, name in some.iter_rows():
        for language in LANGUAGES:
            write(offers[offer], Recipient(customer_id=customer, name=name), language)
    each = some.height / (time.process_time() - start)
    more = {"peer": "write() row by row", "peer_value": round(each), "data": "300 offers of message_texts.py"}
    tell("plan rows written in two languages", round(rows / seconds), "rows per CPU second", rows, **more)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="600 true texts and a plan of 20,000 rows")
    parser.add_argument("--show", action="store_true", help="print every miss and every false alarm")
    arguments = parser.parse_args()
    check_texts(600 if arguments.quick else 6000, arguments.show)
    check_batch(20_000 if arguments.quick else 1_000_000)
