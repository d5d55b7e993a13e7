"""How many false texts the verifier of `promolift.message` catches, how many true ones it lets pass, and how fast it is.

Prints one JSON object per line: figure, value, se, unit, peer, peer_value, n, data. The peer is the check in common
use: every fact of the offer, formatted once, must occur in the text as a string. Run:

    python benchmarks/message.py [--quick]
"""

import argparse
import json
import re
import time
from collections import Counter
from datetime import timedelta
from math import sqrt

import polars as pl
from message_texts import ADDED_EN, ADDED_ZH, FACT_KINDS, NAMES, Case, changed, core_en, core_zh, facts_of, offer_of, pick, render

from promolift.hashing import hash_int
from promolift.message import Context, Recipient, broken_rules, write, write_all
from promolift.message.currency import money
from promolift.terms import Language, Offer

LANGUAGES: tuple[Language, ...] = ("zh", "en")


def true_cases(n: int, salt: str = "a") -> list[Case]:
    """n true texts about n offers, in turn in both languages."""
    cases = []
    for i in range(n):
        language = LANGUAGES[i % 2]
        offer, name = offer_of(hash_int(salt, i // 2) % 10**6), pick(NAMES[language], "name", i)
        text = render(facts_of(offer), language, hash_int(salt, "style", i) % 10**6, name)
        cases.append(Case(text, offer, language, Context(name=name), "true"))
    return cases


def mutated_cases(true: list[Case], salt: str = "a") -> list[Case]:
    """One single-fact mutation, one addition and one damage of each true text, as far as they exist."""
    cases = []
    for i, case in enumerate(true):
        cases += _changed_fact(case, i, salt) + _added(case, i) + _damaged(case, i)
    return cases


def _changed_fact(case: Case, i: int, salt: str) -> list[Case]:
    facts, style = facts_of(case.offer), hash_int(salt, "style", i) % 10**6
    turn = hash_int("kind", i) % len(FACT_KINDS)
    for kind in FACT_KINDS[turn:] + FACT_KINDS[:turn]:
        other = changed(facts, kind, i)
        if other is None:
            continue
        text = render(other, case.language, style, case.context.name or "")
        says_currency = re.search(r"[¥$€£元块金镑圆]|[A-Z]{3} ?\d|dollars|yuan|euros|pounds|yen", text)
        if text != case.text and (kind != "currency" or says_currency):
            return [Case(text, case.offer, case.language, case.context, kind)]
    return []


def _added(case: Case, i: int) -> list[Case]:
    kind, words = pick(ADDED_ZH if case.language == "zh" else ADDED_EN, "added", i)
    gap = "" if case.language == "zh" or kind == "control" else " "
    return [Case(f"{case.text}{gap}{words}", case.offer, case.language, case.context, f"added {kind}")]


def _damaged(case: Case, i: int) -> list[Case]:
    """No ending, a false 'before', another person's greeting, the other language's text, one digit replaced."""
    facts, style = facts_of(case.offer), hash_int("damage", i) % 10**6
    core = core_zh(facts, style) if case.language == "zh" else core_en(facts, style)
    end = facts.end
    options: list[tuple[str, str]] = [
        ("no date", f"{core}。" if case.language == "zh" else f"{core}."),
        ("before", f"{core}，{end.month}月{end.day}日之前有效。" if case.language == "zh" else f"{core}. Valid before {end:%B} {end.day}."),
        ("greeting", f"尊敬的赵六，{core}，有效期至{end.month}月{end.day}日。" if case.language == "zh" else f"Dear Zoe, {core}, through {end:%B} {end.day}."),
        ("language", render(facts, LANGUAGES[case.language == "zh"], style, "")),
        ("year", case.text.replace(str(end.year), str(end.year + 1))),
        ("weekday", f"{core}，有效期至{end.month}月{end.day}日周{'一二三四五六日'[(end + timedelta(2)).weekday()]}。" if case.language == "zh" else f"{core}. Valid through {end + timedelta(3):%A}, {end:%B} {end.day}."),
        ("up to", re.sub(r"(?=[\d０-９一二三四五六七八九点.]+折)", "低至", core, count=1) + f"，有效期至{end.month}月{end.day}日。" if case.language == "zh" else re.sub(r"\b(?=\w+ ?(?:%|percent) off)", "up to ", core, count=1) + f". Valid through {end:%B} {end.day}."),
        ("digit", _one_digit(case, i)),
    ]  # fmt: skip
    turn = hash_int("damage kind", i) % len(options)
    for kind, text in options[turn:] + options[:turn]:
        plain = f"{core}，有效期至{end.month}月{end.day}日。" if case.language == "zh" else f"{core}. Valid through {end:%B} {end.day}."
        if text not in (case.text, plain, ""):
            return [Case(text, case.offer, case.language, case.context, kind)]
    return []


def _one_digit(case: Case, i: int) -> str:
    """One digit outside the name and the year's first two replaced by another."""
    names = [case.offer.label.in_(case.language)] if case.offer.label else []
    hidden = case.text
    for name in [*names, case.context.name or ""]:
        hidden = re.sub(re.escape(name), lambda m: "#" * len(m.group()), hidden, flags=re.IGNORECASE) if name else hidden
    places = [m.start() for m in re.finditer(r"[1-9]", hidden)]
    if not places:
        return ""
    at = pick(places, "place", i)
    digit = str((int(case.text[at]) + 1 + hash_int("digit", i) % 8) % 10)
    return "" if digit == case.text[at] else case.text[:at] + digit + case.text[at + 1 :]


def strings_missing(text: str, offer: Offer, language: Language) -> bool:
    """The peer: is some fact, in its one usual format, not in the text?"""
    day = offer.expires
    facts = [f"{day.month}月{day.day}日" if language == "zh" else f"{day:%B} {day.day}"]
    if offer.label:
        facts.append(offer.label.in_(language))
    if offer.benefit.percent:
        tenths, ones = divmod(100 - offer.benefit.percent, 10)
        facts.append(f"{tenths}.{ones}折" if ones and language == "zh" else f"{tenths}折" if language == "zh" else f"{offer.benefit.percent}%")
    facts += [money(c, offer.currency, language) for c in (offer.benefit.amount_cents, offer.min_spend_cents) if c]
    return not all(fact.lower() in text.lower() for fact in facts)


def rate(hits: int, n: int) -> tuple[float, float]:
    share = hits / n
    return share, sqrt(max(share * (1 - share), 1 / n / 4) / n)


def tell(figure: str, hits: int, n: int, peer: int, unit: str, data: str) -> None:
    value, se = rate(hits, n)
    line = {
        "figure": figure, "value": round(value, 5), "se": round(se, 5), "unit": unit, "peer": "fact strings occur in the text",
        "peer_value": round(peer / n, 5), "n": n, "data": data,
    }  # fmt: skip
    print(json.dumps(line, ensure_ascii=False))


def check_texts(n: int, show: bool) -> None:
    true = true_cases(n)
    mutated = mutated_cases(true)
    data = "phrasings and mutations of benchmarks/message_texts.py, hash-seeded, zh and en in equal parts"
    start = time.process_time()
    caught = [bool(broken_rules(c.text, c.offer, c.language, context=c.context)) for c in mutated]
    alarms = [bool(broken_rules(c.text, c.offer, c.language, context=c.context)) for c in true]
    seconds = time.process_time() - start
    peer_caught = sum(strings_missing(c.text, c.offer, c.language) for c in mutated)
    peer_alarms = sum(strings_missing(c.text, c.offer, c.language) for c in true)
    tell("mutations caught", sum(caught), len(mutated), peer_caught, "share", data)
    tell("false alarms on true texts", sum(alarms), len(true), peer_alarms, "share", data)
    speed = (len(true) + len(mutated)) / seconds
    print(json.dumps({"figure": "texts verified", "value": round(speed), "se": None, "unit": "per CPU second", "peer": None, "peer_value": None, "n": len(true) + len(mutated), "data": data}))  # fmt: skip
    if show:
        for case, hit in zip(mutated, caught, strict=True):
            if not hit:
                print("MISSED", case.kind, "|", case.text, "|", facts_of(case.offer))
        for case, hit in zip(true, alarms, strict=True):
            if hit:
                rules = broken_rules(case.text, case.offer, case.language, context=case.context)
                print("ALARM", case.text, [(r.code, r.span) for r in rules])
        missed = Counter(c.kind for c, hit in zip(mutated, caught, strict=True) if not hit)
        print(Counter(c.kind for c in mutated), missed)


def check_batch(rows: int) -> None:
    offers = {o.id: o for o in map(offer_of, range(300))}
    ids = list(offers)
    plan = pl.DataFrame({"customer_id": [f"c{i}" for i in range(rows)], "offer_id": [ids[hash_int("row", i) % 300] for i in range(rows)]})
    plan = plan.with_columns(name=pl.when(pl.int_range(rows) % 3 == 0).then(pl.lit("Anna Li")))
    start = time.process_time()
    written = write_all(plan, offers)
    seconds = time.process_time() - start
    some = plan.head(500)
    start = time.process_time()
    for customer, offer, name in some.iter_rows():
        for language in LANGUAGES:
            write(offers[offer], Recipient(customer_id=customer, name=name), language)
    each = some.height / (time.process_time() - start)
    assert written.height == rows
    line = {
        "figure": "plan rows written and verified, two languages", "value": round(rows / seconds), "se": None, "unit": "rows per CPU second",
        "peer": "write() row by row", "peer_value": round(each), "n": rows, "data": "300 offers, hash-seeded plan",
    }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="600 true texts and a plan of 20,000 rows")
    parser.add_argument("--show", action="store_true", help="print every miss and every false alarm")
    arguments = parser.parse_args()
    check_texts(600 if arguments.quick else 4000, arguments.show)
    check_batch(20_000 if arguments.quick else 1_000_000)
