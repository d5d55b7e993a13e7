"""How many first drafts of a local model pass the strict checks, how fast they come, and how few 1,000 customers need.

Prints one JSON object per line: figure, value, se, unit, peer, peer_value, n, data; with `--samples` also 30 texts per
language as they would be delivered. The peer is the same model without grammar: as asked, the answer taken as it is.
The model is a GGUF file named by PROMOLIFT_LLM_GGUF (extra `llm`); without one only the counts are printed. Run:

    PROMOLIFT_LLM_GGUF=model.gguf python benchmarks/message_writers.py [--quick] [--samples FILE]

The forms of sentence in the prompt files were made with one half of the categories at hand (`--half tuned`); what is
printed is the other half.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from datetime import datetime
from math import sqrt
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from promolift.hashing import hash_int
from promolift.message import Brief, Draft, Recipient, briefs, reviewer, write
from promolift.message.drafts import ANGLES, Entry, fill_pool, question
from promolift.message.names import table
from promolift.terms import Benefit, Language, Offer

LANGUAGES: tuple[Language, ...] = ("zh", "en")
COUPONABLE = sorted(
    key for (kind, key), row in table().items() if kind == "category" and row.couponable and not row.sensitive
)
SEEDS = 3
LOOSE = 8  # prompts of the peer
HALVES = ("tuned", "held")


def offer_on(key: str) -> Offer:
    """20 % off a category of the grocery table, through June 30, 2026."""
    zone = ZoneInfo("Asia/Shanghai")
    return Offer(
        id=f"off_{key}", menu_id="m", benefit=Benefit(type="percent_off", percent=20), scope="category", covers=key,
        label=table()["category", key].words, starts=datetime(2026, 6, 1, tzinfo=zone),
        expires=datetime(2026, 6, 30, 23, 59, 59, tzinfo=zone), currency="CNY",
    )  # fmt: skip


def tell(figure: str, value: float, unit: str, n: int, **more: object) -> None:
    line = {"figure": figure, "value": value, "se": None, "unit": unit, "peer": None, "peer_value": None, "n": n}
    print(json.dumps({**line, "data": "categories of the grocery table", **more}, ensure_ascii=False))


def count_generations(customers: int = 1000) -> None:
    """Distinct briefs of a plan of 1,000 customers over 60 category offers, and of 1,000,000."""
    offers = {f"o{i}": offer_on(COUPONABLE[hash_int("o", i) % len(COUPONABLE)]) for i in range(60)}
    for n in (customers, 100 * customers):
        plan = pl.DataFrame({
            "customer_id": [f"c{i}" for i in range(n)], "offer_id": [f"o{hash_int('p', i) % 60}" for i in range(n)],
        })  # fmt: skip
        needed = len(briefs(plan, offers))
        more = {"peer": "one generation per customer and language", "peer_value": 2 * n, "data": "60 category offers"}
        tell(f"generations for {n:,} customers in two languages", needed, "generations", n, **more)


def share(hits: int, n: int) -> tuple[float, float]:
    p = hits / n
    return round(p, 4), round(sqrt(max(p * (1 - p), 1 / n) / n), 4)


def wanted(language: Language, prompts: int, half: str) -> dict[Brief, Offer]:
    """One brief for each of so many categories of that half, the angles in turn."""
    ours = [key for key in COUPONABLE if HALVES[hash_int("half", key) % 2] == half]
    keys = sorted(ours, key=lambda key: hash_int("sample", key))[:prompts]
    angles = (ANGLES[i % len(ANGLES)] for i in range(len(keys)))
    return {
        Brief(offer_on(key).label, angle, "percent_off", language): offer_on(key)  # type: ignore[arg-type]
        for key, angle in zip(keys, angles, strict=True)
    }


def measure(language: Language, needed: dict[Brief, Offer], samples: list[str], records: Path | None) -> None:
    """First drafts, at least one of three seeds, messages per CPU minute; the peer writes without grammar."""
    from promolift.llm import LlmSettings, Recorder, writer_of

    writer = Recorder(writer_of("local", LlmSettings()))
    review = reviewer(needed)
    start, asked = time.process_time(), 0

    def once(asks: list) -> list:
        nonlocal asked
        asked += len(asks)
        return writer(asks)

    first = first_drafts(list(needed), once, review, 0)
    passed, left = first, [entry.brief for entry in first if entry.draft is None]
    good = {entry.brief: entry.draft for entry in passed if entry.draft}
    for seed in range(1, SEEDS):
        later = first_drafts(left, once, review, seed)
        good |= {entry.brief: entry.draft for entry in later if entry.draft}
        left = [entry.brief for entry in later if entry.draft is None]
    minutes = (time.process_time() - start) / 60
    value, se = share(sum(entry.draft is not None for entry in first), len(first))
    loose = [replace(question(brief, 0), grammar="") for brief in list(needed)[:LOOSE]]
    answers = writer(loose)
    peer = first_drafts(list(needed)[: len(loose)], lambda asks: answers, review, 0)
    peer_share = share(sum(entry.draft is not None for entry in peer), len(peer))[0]
    more = {"peer": f"JSON schema alone, {len(peer)} prompts", "peer_value": peer_share, "se": se}
    tell(f"first drafts that pass every check, {language}", value, "share", len(first), **more)
    value, se = share(len(good), len(first))
    tell(f"prompts with a passing draft among three seeds, {language}", value, "share", len(first), se=se)
    lines = [entry.draft.line for entry in first if entry.draft]
    tell(f"distinct lines among the first drafts that pass, {language}", len(set(lines)), "lines", len(lines))
    tell(f"drafts, {language}", round(asked / minutes, 1), "per CPU minute", asked)
    if records:
        writer.save(records.with_suffix(f".{language}.jsonl"))
    for entry in first:
        if entry.draft is None:
            samples.append(f"- failed ({language}): {'; '.join(entry.reasons)}")
    for brief, draft in list(good.items())[:30]:
        message = write(needed[brief], Recipient(), language, drafts=Everywhere(draft))
        samples.append(f"- **{message.title}** {message.text}")


class Everywhere(dict):  # type: ignore[type-arg]
    """One draft for whatever brief."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft

    def __bool__(self) -> bool:
        return True

    def get(self, key: object, default: object = None) -> Draft:
        return self.draft


def first_drafts(wanted: list[Brief], writer, review, seed: int) -> list[Entry]:  # type: ignore[no-untyped-def]
    """Entries of one attempt each: the rewrite gets no answer."""
    calls = 0

    def once(asks: list) -> list:
        nonlocal calls
        calls += 1
        return writer(asks) if calls == 1 else [Nothing()] * len(asks)

    return fill_pool(wanted, once, review, seed) if wanted else []


class Nothing:
    """No answer."""

    text, model, fault, cost_cents = "", "", "not asked again", 0.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 prompts per language, not 50")
    parser.add_argument("--half", choices=HALVES, default="held", help="which half of the categories")
    parser.add_argument("--samples", type=Path, help="write 30 messages per language there")
    parser.add_argument("--records", type=Path, help="keep every answer of the model there")
    arguments = parser.parse_args()
    count_generations()
    texts: list[str] = []
    if os.environ.get("PROMOLIFT_LLM_GGUF"):
        for each in LANGUAGES:
            measure(each, wanted(each, 4 if arguments.quick else 50, arguments.half), texts, arguments.records)
    else:
        print(json.dumps({"figure": "drafts of a local model", "skipped": "PROMOLIFT_LLM_GGUF names no model"}))
    if arguments.samples:
        arguments.samples.write_text("\n".join(texts) + "\n", encoding="utf-8")
