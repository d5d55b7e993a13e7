"""What leaves the message room, re-read by a reader of its own; what is caught, refused, chosen; how fast.

Prints one JSON object per line: figure, value, se, unit, peer, peer_value, n, data. Offers are drawn by a hash: every
benefit, scope, currency, cap, threshold, way of joining and activating. The reader below shares no code with the room.
Run:

    python benchmarks/core/message.py [--quick] [--work WORK_FOLDER] [--headlines DATA.parquet] [--samples]

`--work`: a work folder of `promolift demo`. `--headlines`: the Upworthy archive of 2014 (Matias et al. 2021, Scientific
Data 8): test_id, headline, eyecatcher_id, impressions, clicks, test_week. `--samples` prints 40 messages a language.
"""

import argparse
import json
import re
import time
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import combinations
from math import sqrt
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from message_judged import drawn

from promolift.core.messages import (
    AngleFacts,
    Draft,
    MessageDelivery,
    Sender,
    check_message,
    find_broken_rules,
    lint_draft,
    write_message,
)
from promolift.core.messages.text_ranker import click_z, fit_ranker
from promolift.core.offers.product_names import load_product_names, readable_name
from promolift.core.offers.terms import BENEFIT_REQUIRED_FIELDS, Benefit, Offer
from promolift.foundation.hashing import hash_int
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, Language, LocalizedText
from promolift.shop.pipeline.pool_file import load_pool

SENDER = Sender(name="Corner Shop", address="1 High Street, Springfield, 12345", unsubscribe="https://x.example/stop")
CATEGORIES = [
    k.key for k, row in load_product_names().items() if k.kind == "category" and row.couponable and not row.sensitive
]
PRODUCTS = (
    LocalizedText(zh="商品2", en="Product 2"), LocalizedText(zh="燕麦奶1L装", en="Oat Drink 1L"), LocalizedText(zh="7号收纳箱", en="Storage Box No. 7"),
    LocalizedText(zh="50%可可巧克力", en="Dark Chocolate 50% Cocoa"), LocalizedText(zh="三折雨伞", en="Folding Umbrella"),
)  # fmt: skip
BOUGHT = (LocalizedText(zh="商品1", en="Product 1"), LocalizedText(zh="轻跑鞋X20", en="Light Runner X20"))
PEOPLE = (None, "李雷", "Anna", "用户A", "O'Neill")
ITEMS = (
    LocalizedText(zh="马克杯", en="coffee mug"),
    LocalizedText(zh="环保袋", en="tote bags"),
    LocalizedText(zh="围裙", en="apron"),
)
KINDS = ("percent_off", "percent_off", "amount_off", "free_shipping", "fixed_price", "buy_x_get_y", "gift", "points",
         "exchange", "reminder")  # fmt: skip
CURRENCIES = {"USD": "$ 美元", "CNY": "¥ 元", "EUR": "€ 欧元", "GBP": "£ 英镑", "JPY": "¥ 日元", "CHF": "CHF 瑞士法郎"}
TEXTS = [text for text in load_pool(None).texts if text.usable("judged")]
DATA = "hash-seeded offers, every text of the shipped pool"


def pick(options, *key):
    return options[hash_int(*key) % len(options)]


def offer_of(i: int) -> Offer:
    """The i-th offer of the benchmark."""
    currency = pick(list(CURRENCIES), "currency", i)
    unit = 100  # minor units: a dollar, 100 yen
    kind = pick(KINDS, "type", i)
    amount = (1 + hash_int("amount", i) % 400) * unit // 4
    spend = (
        amount + (1 + hash_int("spend", i) % 900) * unit // 3
        if kind == "amount_off" or hash_int("s", i) % 3 == 0
        else 0
    )
    cap = amount if kind == "percent_off" and hash_int("cap", i) % 4 == 0 else None
    fields = {
        "percent": pick((100, 1 + hash_int("percent", i) % 100), "free", i), "amount_cents": amount,
        "price_cents": amount, "buy": 1 + hash_int("buy", i) % 4, "get": 1 + hash_int("get", i) % 3,
        "points": 1 + hash_int("points", i) % 5000, "item": pick(ITEMS, "item", i),
    }  # fmt: skip
    if kind == "percent_off":
        fields["percent"] = 1 + hash_int("percent", i) % 100
    also = {"gift": ("item",), "exchange": ("item",), "buy_x_get_y": ("percent",)}.get(kind, ())
    needs = {name: fields[name] for name in (*BENEFIT_REQUIRED_FIELDS.get(kind, ()), *also)}
    benefit, letter = Benefit(type=kind, max_discount_cents=cap, **needs), kind == "reminder"
    spend = 0 if letter else spend
    scope = "all" if letter else pick(("category", "category", "pair", "product", "all"), "scope", i)
    one, two = pick(CATEGORIES, "one", i), pick(CATEGORIES, "two", i)
    pair = scope == "pair" and one != two
    covers = f"{one}{CATEGORY_SEPARATOR}{two}" if pair else {"product": f"p{i}", "all": ""}.get(scope, one)
    words = None if scope == "all" else pick(PRODUCTS, "product", i) if scope == "product" else readable_name(covers)
    start = date(2026, 1, 1) + timedelta(days=hash_int("start", i) % 300)
    end, zone = start + timedelta(days=hash_int("days", i) % 90), ZoneInfo("Asia/Shanghai")
    return Offer(
        id=f"off_{i}", menu_id="m", benefit=benefit, scope="category" if scope == "pair" else scope, covers=covers,
        label=words, joined=pick(("each", "together"), "joined", i) if pair else None, min_spend_cents=spend,
        activation="automatic" if letter else pick(("automatic", "code", "link"), "activation", i), currency=currency,
        members=not letter and hash_int("members", i) % 5 == 0,
        starts=datetime(start.year, start.month, start.day, tzinfo=zone),
        expires=datetime(end.year, end.month, end.day, 23, 59, 59, tzinfo=zone),
    )  # fmt: skip


# --- the reader: what a text says, by rules of its own ----------------------------------------------------------------
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
NUMBER = r"([\d,]+(?:\.\d+)?)"


def money(text: str, currency: str, language: Language) -> int:
    """A printed sum in minor units; -1 for another currency."""
    sign, unit = CURRENCIES[currency].split(" ")
    found = (
        re.fullmatch(rf"{NUMBER}{unit}", text)
        if language == "zh"
        else re.fullmatch(rf"{re.escape(sign)} ?{NUMBER}", text)
    )
    if not found:
        return -1
    value = float(found.group(1).replace(",", ""))
    return round(value if currency == "JPY" else value * 100)


def reread(text: str, offer: Offer, known: AngleFacts, language: Language) -> dict[str, object]:
    """The facts that a text states, names taken out first: they may hold digits."""
    for at, item in enumerate(ITEMS):  # "coffee mug" is no coffee
        text = re.sub(re.escape(item.text_in(language)), chr(0xE001 + at), text, flags=re.IGNORECASE)
    names = [w.text_in(language) for w in (*([offer.label] if offer.label else []), *known.bought)] + [
        known.name or "\0"
    ]
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(re.escape(name), "_", text, flags=re.IGNORECASE)
    cash = (
        rf"{NUMBER}[^\d\s，。！（）打减免可全都换送特享买第加]*" if language == "zh" else rf"(?:[$¥€£]|CHF ?){NUMBER}"
    )

    def money_in(pattern: str) -> int | None:
        found = re.search(pattern.replace("@", f"({cash})"), text)
        return money(next(filter(None, found.groups())), offer.currency, language) if found else None

    found: dict[str, object] = dict.fromkeys(("price", "more", "gift", "points", "exchange"))
    if language == "zh":
        zhe = re.search(r"(?<![\d.])(\d(?:\.\d)?)折", text)
        percent = 100 if "全额减免" in text else round(100 - 10 * float(zhe.group(1))) if zhe else 0
        for pattern in (r"买(\d+)送(\d+)()", r"()第(\d+)件打", r"买(\d+)件，另(\d+)件打"):
            if (more := re.search(pattern, text)) and not found["more"]:
                buy, get = more.group(1), more.group(2)
                found["more"] = (int(buy), int(get)) if buy else (int(get) - 1, 1)
                found["more"] += (100 if "买" in pattern and "送" in pattern else percent,)
                percent = 0
        found["gift"] = next(
            (each.zh for at, each in enumerate(ITEMS) if re.search(f"(?:送|获赠){chr(0xE001 + at)}", text)), None
        )
        found["exchange"] = next((each.zh for at, each in enumerate(ITEMS) if f"换购{chr(0xE001 + at)}" in text), None)
        found["price"] = money_in(r"加@(?=换购)") if found["exchange"] else money_in(r"(?:特价@|享受@(?=特价))")
        points = re.search(r"([\d,]+)积分", text)
        found["points"] = int(points.group(1).replace(",", "")) if points else None
        day = re.search(r"(\d+)月(\d+)日止", text)
        return found | {
            "members": "会员" in text, "percent": percent, "spend": money_in(r"满@"), "cap": money_in(r"最高减@"),
            "amount": money_in(r"(?<!最高)(?:立减|元减|币减|郎减|镑减)@") if offer.benefit.amount_cents else None,
            "ship": "免运费" in text, "end": tuple(map(int, day.groups())) if day else None,
            "joined": "each" if "买哪样都算" in text else "together" if ("一起" in text and "一起买" in text) or "一起购买" in text else None,
            "activation": "code" if "优惠码" in text else "link" if "点消息里的链接" in text else "automatic",
        }  # fmt: skip
    more = re.search(r"buy (\d+), get (\d+) (?:free|at (\d+)% off)", text, re.IGNORECASE)
    if more:
        found["more"] = (int(more.group(1)), int(more.group(2)), int(more.group(3) or 100))
        text = text.replace(more.group(), "")
    found["gift"] = next((each.en for at, each in enumerate(ITEMS) if f"free {chr(0xE001 + at)}" in text), None)
    found["exchange"] = next(
        (each.en for at, each in enumerate(ITEMS) if re.search(f"{chr(0xE001 + at)} for [$¥€£C]", text)), None
    )
    found["price"] = money_in(r"[\ue001-\ue003] for @") if found["exchange"] else money_in(r" at @")
    points = re.search(r"([\d,]+) points", text)
    found["points"] = int(points.group(1).replace(",", "")) if points else None
    cut, day = re.search(r"(\d+)% off", text), re.search(r"[Ee]nds (\w+) (\d+)\.", text)
    return found | {
        "members": "for members" in text, "percent": int(cut.group(1)) if cut else 0, "spend": money_in(r"spend @ or more"), "cap": money_in(r"up to @ off"),
        "amount": money_in(r"(?<!up to )@ off(?!\))") if offer.benefit.amount_cents else None,
        "ship": "free delivery" in text, "end": (MONTHS.index(day.group(1)) + 1, int(day.group(2))) if day else None,
        "joined": "each" if "whichever you buy" in text else "together" if "bought together" in text else None,
        "activation": "code" if "Use your code" in text else "link" if "Open the link" in text else "automatic",
    }  # fmt: skip


def right(text: str, offer: Offer, known: AngleFacts, language: Language) -> bool:
    """Whether a text says the offer's facts, all of them and no others."""
    b, end, read = offer.benefit, offer.expires, reread(text, offer, known, language)
    item = b.item.text_in(language) if b.item else None
    wanted = {
        "price": b.price_cents or None, "more": (b.buy, b.get, b.percent) if b.buy else None,
        "gift": item if b.type == "gift" else None, "exchange": item if b.type == "exchange" else None,
        "points": b.points or None, "members": offer.members,
        "percent": b.percent if b.type == "percent_off" else 0, "spend": offer.min_spend_cents or None, "cap": b.max_discount_cents,
        "amount": b.amount_cents or None, "ship": b.type == "free_shipping", "end": (end.month, end.day),
        "joined": offer.joined, "activation": offer.activation,
    }  # fmt: skip
    if b.type == "reminder":  # it promises nothing, so nothing of it ends or needs a way in
        wanted |= {"end": None}
    named = offer.label is None or offer.label.text_in(language).lower() in text.lower()
    return read == wanted and named


def named(text: str, offer: Offer, known: AngleFacts, language: Language) -> bool:
    """Whether a coupon's name in a WeChat store says the benefit, and the threshold where there is one, and no more.

    The store shows what it holds for and until when beside the name.
    """
    shown = text.removesuffix("券").removesuffix(" coupon")
    only = ("joined", "activation", "end", "cap")
    read = {k: v for k, v in reread(shown, offer, known, language).items() if k not in only}
    b, item = offer.benefit, offer.benefit.item.text_in(language) if offer.benefit.item else None
    whole = "全免" in text
    wanted = {
        "price": b.price_cents or None, "more": (b.buy, b.get, b.percent) if b.buy else None,
        "gift": item if b.type == "gift" else None, "exchange": item if b.type == "exchange" else None,
        "points": b.points or None, "members": offer.members, "amount": b.amount_cents or None,
        "percent": b.percent if b.type == "percent_off" and not whole else 0, "ship": b.type == "free_shipping",
        "spend": offer.min_spend_cents or None,
    }  # fmt: skip
    if language == "en":  # 'when you spend $50' and 'special price $5' are said in a name alone
        spend, price = (
            re.search(r"when you spend (\S+(?: [\d,.]+)?)", shown),
            re.search(r"special price (\S+(?: [\d,.]+)?)", shown),
        )
        read["spend"] = money(spend.group(1), offer.currency, language) if spend else None
        read["price"] = money(price.group(1), offer.currency, language) if price else read["price"]
    return read == wanted and whole == (b.type == "percent_off" and b.percent == 100 and language == "zh")


# --- figures ----------------------------------------------------------------------------------------------------------
def tell(figure: str, value: float, unit: str, n: int, se: float | None = None, **more: object) -> None:
    line = {"figure": figure, "value": value, "se": se, "unit": unit, "peer": None, "peer_value": None, "n": n}
    print(json.dumps({**line, "data": DATA, **more}, ensure_ascii=False))


def wilson(hits: int, n: int) -> list[float]:
    """The 95 % interval of a share."""
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [round(max(0.0, (middle + side * half) / (1 + z * z / n)), 4) for side in (-1, 1)]


def share(figure: str, hits: int, n: int, **more: object) -> None:
    p = hits / n
    tell(figure, round(p, 5), "share", n, round(sqrt(max(p * (1 - p), 1 / n) / n), 5), interval=wilson(hits, n), **more)


def filled(messages: int, offers: int) -> None:
    """Messages over all offers, angles, languages and channels: re-read, timed; then one letter of each is changed."""
    made, spent, good, caught, alarms = [offer_of(i) for i in range(offers)], 0.0, 0, 0, 0
    sent, stopped = Counter(), Counter()
    for n in range(messages):
        offer, text = made[n % offers], TEXTS[hash_int("text", n) % len(TEXTS)]
        channel = pick(("plain", "plain", "push", "sms_cn", "email_en", "wechat_store"), "channel", n)
        channel = "plain" if (channel == "sms_cn" and text.language == "en") else channel
        known, way = (
            AngleFacts(name=pick(PEOPLE, "who", n), bought=(pick(BOUGHT, "b", n),), angle=text.angle),
            MessageDelivery(channel, sender=SENDER),
        )
        start = time.process_time()
        try:
            message = write_message(offer, known, text.language, text.draft, way)
        except Exception as error:  # too long for its channel: stopped, as it should be
            if not re.search("push_length|sms_length|wechat_name|wechat_floor", str(error)):
                raise
            stopped[channel] += 1
            way = MessageDelivery("plain")
            message = write_message(offer, known, text.language, text.draft, way)
        spent += time.process_time() - start
        good += (named if way.channel == "wechat_store" else right)(message.text, offer, known, text.language)
        sent[way.channel] += 1
        draft = text.draft if message.text_id else None
        alarms += bool(check_message(message.title, message.text, offer, known, text.language, draft, way))
        at, digit = hash_int("at", n) % len(message.text), re.search(r"\d", message.text)
        if digit and n % 2:  # half of the changes are to a number
            at = digit.start()
        new = str((int(message.text[at]) + 1) % 10) if message.text[at].isdigit() else "#"
        changed = message.text[:at] + new + message.text[at + 1 :]
        caught += bool(check_message(message.title, changed, offer, known, text.language, draft, way))
    about = {"channels": dict(sent), "stopped_and_said_plainly": dict(stopped)}
    share("filled messages whose facts an independent reader finds right", good, messages, **about)
    share("mutated messages caught by the gate", caught, messages)
    share("finished messages refused by the gate", alarms, messages)
    tell("fill and gate", round(1000 * spent / messages, 4), "ms CPU a message", messages)


def judged() -> None:
    """The kept readings of a large language model on 300 labelled texts, beside what code alone says."""
    lines = (Path(__file__).with_name("message_verdicts.jsonl")).read_text(encoding="utf-8").splitlines()
    meta, fits = json.loads(lines[0]), {row["key"]: row["fits"] for row in map(json.loads, lines[1:])}
    texts = drawn()
    code = {t.key: [r.code for r in find_broken_rules(t.text, t.offer, t.language, known=t.known)] for t in texts}
    about = {"data": f"300 texts of tests/message; {meta['judge']}, {meta['date']}, {meta['votes']} readings"}
    rules = {"one no blocks": min, "majority": lambda votes: sorted(votes)[len(votes) // 2]}
    for label_, holds in (("false texts caught", False), ("true texts refused", True)):
        these = [t for t in texts if t.holds == holds]
        hard = [any(c != "unread" for c in code[t.key]) for t in these]
        peer = {"peer": "code alone (reading)", "peer_value": round(sum(hard) / len(these), 4)}
        for rule, settled in rules.items():
            no = [not settled(fits[t.key]) for t in these]
            both = sum(a or b for a, b in zip(hard, no, strict=True))
            share(f"judge, {rule}: {label_}", sum(no), len(these), **about, **peer)
            share(f"code and judge, {rule}: {label_}", both, len(these), **about, **peer)
        alone = [sum(not fits[t.key][at] for t in these) for at in range(meta["votes"])]
        tell(f"each reading alone: {label_}", alone, "texts", len(these), **about)
        unread = sum("unread" in code[t.key] for t in these)
        share(f"{'true' if holds else 'false'} texts that code calls unread in part", unread, len(these), **about)


def lint_alone() -> None:
    """Drafts written to the brief by a large language model before lint had seen them: none should be refused.

    A lot was written after each change of lint; of the last one nothing was changed afterwards.
    """
    lines = Path(__file__).with_name("message_drafts.tsv").read_text(encoding="utf-8").splitlines()
    lots: dict[str, list[list[str]]] = {}
    for line in lines:
        if not line.startswith("#"):
            lot, *parts = [*line.split("\t"), ""][:6]
            lots.setdefault(lot, []).append(parts)
    for lot, drafts in lots.items():
        told = [
            [words[1], found[0].code, found[0].span]
            for language, angle, *words in drafts
            if (found := lint_draft(Draft(*words), angle, language))
        ]
        share(
            f"good drafts refused by lint alone, lot {lot}",
            len(told),
            len(drafts),
            data="message_drafts.tsv",
            refused=told,
        )


def demo(work: Path, samples: bool) -> None:
    """The demo's planned messages."""
    rows_ = pl.read_parquet(work / "tables" / "messages.parquet")
    texts, data = {t.text_id: t for t in TEXTS}, {"data": "the demo's planned messages"}
    able = rows_.filter(pl.col("angles").list.len() > 0)
    share(
        "planned messages with a reason where one fits",
        able.filter(pl.col("angle") != "generic").height,
        able.height,
        **data,
    )
    never = [(t, f) for t in texts.values() if (f := lint_draft(t.draft, t.angle, t.language))]
    said = set(rows_["text_zh"].drop_nulls()) | set(rows_["text_en"].drop_nulls())
    share(
        "planned messages that say what their angle never may, as lint sees it",
        sum(t.text_id in said for t, _ in never),
        rows_.height,
        **data,
    )
    wrong = rows_.filter(~pl.col("angles").list.contains(pl.col("angle")) & (pl.col("angle") != "generic")).height
    share("planned messages with a reason that the tables do not give", wrong, rows_.height, **data)
    for language in ("zh", "en"):
        ids = rows_[f"text_{language}"].drop_nulls()
        hooks = pl.Series([texts[i].hook for i in ids]).value_counts()["count"]
        tell(f"distinct hooks, {language}", hooks.len(), "hooks", ids.len(), **data)
        tell(f"largest share of one hook, {language}", round(hooks.max() / ids.len(), 4), "share", ids.len(), **data)
        first = 20 if language == "zh" else 40
        deal = r"折|减|免" if language == "zh" else r"off|free"
        early = sum(bool(re.search(deal, t[:first], re.IGNORECASE)) for t in rows_[f"title_{language}"])
        share(f"benefit within the first {first} characters, {language}", early, rows_.height, **data)
        if samples:
            for row in rows_.sample(40, seed=1).iter_rows(named=True):
                print(f"- [{row['angle']}] **{row[f'title_{language}']}** {row[f'message_{language}']}")


WEEKS = 10


def headlines(path: Path, quick: bool) -> None:
    """How often the ranker picks the better of two headlines of later tests (pairs that differ at the 5 % level)."""
    arms = pl.read_parquet(path).drop_nulls(["headline", "eyecatcher_id"]).select(
        pl.concat_str("test_id", "eyecatcher_id").alias("test_id"), pl.col("test_week").alias("week"),
        pl.col("headline").alias("text"), pl.col("impressions").alias("shown"), pl.col("clicks").alias("clicked"),
    )  # fmt: skip
    weeks = sorted(arms["week"].unique())
    earlier, later = (arms.filter(side) for side in (pl.col("week") < weeks[-WEEKS], pl.col("week") >= weeks[-WEEKS]))
    if quick:
        earlier = earlier.filter(pl.col("test_id").is_in(earlier["test_id"].unique().sort().gather_every(3).implode()))
    ranker, pairs = fit_ranker(earlier), []
    for test, group in later.group_by("test_id", maintain_order=True):
        for a, b in combinations(group.iter_rows(named=True), 2):
            z = click_z(*(np.array([arm[key]]) for arm in (a, b) for key in ("shown", "clicked")))[0]
            if a["text"] != b["text"] and abs(z) > 1.96:
                pairs.append((test[0], *((a["text"], b["text"]) if z > 0 else (b["text"], a["text"]))))
    texts = sorted({text for _, *both in pairs for text in both})
    score = dict(zip(texts, ranker.scores(texts), strict=True))
    hits, longer = (np.array([f(a) > f(b) for _, a, b in pairs], float) for f in (score.__getitem__, len))
    tests = np.unique([test for test, *_ in pairs], return_inverse=True)[1]
    sums, counts = np.bincount(tests, hits), np.bincount(tests)
    picked = np.random.default_rng(0).integers(0, len(counts), (500, len(counts)))
    se = float((sums[picked].sum(axis=1) / counts[picked].sum(axis=1)).std())
    tell("better of two headlines", round(hits.mean(), 4), "share right", len(pairs), round(se, 4), peer="the longer one",
         peer_value=round(longer.mean(), 4), data=f"Upworthy 2014, the last {WEEKS} weeks; learned from the weeks before")  # fmt: skip


def pairs_told() -> None:
    """Which of two messages on the same offer was preferred, ours or the template's of before: the key is drawn again."""
    path = Path(__file__).with_name("message_pairs.jsonl")
    meta, *votes = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    for language in ("zh", "en"):
        mine = [v for v in votes if v["language"] == language]
        hits = sum(v["preferred"] == "ab"[hash_int("side", 20261126, language, v["customer"]) % 2] for v in mine)
        share(f"preferred to the template of before, {language}", hits, len(mine), data=meta["by"])


def readings() -> None:
    """How many of sixty messages a reader would send, by reading and language; and why not the others."""
    lines = Path(__file__).with_name("message_readings.tsv").read_text(encoding="utf-8").splitlines()
    read = [line.split("\t") for line in lines if not line.startswith("#")]
    for reading, language in sorted({(row[0], row[1]) for row in read}):
        mine = [row for row in read if row[:2] == [reading, language]]
        why = Counter(row[4] for row in mine if row[3] == "no")
        sent = sum(row[3] == "yes" for row in mine)
        share(f"messages that would be sent, {reading}, {language}", sent, len(mine), data="one reader", refused=why)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3,000 messages over 1,000 offers")
    parser.add_argument("--work", type=Path, help="a work folder of the demo")
    parser.add_argument("--headlines", type=Path, help="the Upworthy archive")
    parser.add_argument("--samples", action="store_true", help="print 40 messages a language")
    given = parser.parse_args()
    filled(*((3_000, 1_000) if given.quick else (100_000, 10_000)))
    judged()
    lint_alone()
    readings()
    if Path(__file__).with_name("message_pairs.jsonl").exists():
        pairs_told()
    if given.work:
        demo(given.work, given.samples)
    if given.headlines:
        headlines(given.headlines, given.quick)
