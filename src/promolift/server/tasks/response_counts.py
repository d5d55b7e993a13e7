"""Count how often each text was shown and accepted, choose texts from the counts, and read when sends were answered.

The sums are stored in the ledger with the last event and audit row that they include, so only newer rows are read, one
part at a time. An accepted message is stored by its decision: each counts once, however many processes count.
"""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from sqlalchemy import Column, Connection, bindparam, func, insert, select

from promolift.core.decisions.response_hours import hour_of_week
from promolift.core.messages.text_choice import TextChooser, TextCounts
from promolift.foundation.time.clock import DAY_MS, HOUR_MS
from promolift.server.decisions.live_release import LiveRelease
from promolift.server.ledger.event_rows import MESSAGE_WITHHELD, OFFER_MESSAGE
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.records import StoredModel
from promolift.server.ledger.schema import (
    ACCEPTED_OFFERS,
    AUDIT,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    IS_EMAIL,
    OUTBOX,
    REDEMPTIONS,
    WORDS_READ,
    JsonList,
    Query,
    json_list,
)
from promolift.shop.results.messages import TALLIES_FILE, read_tallies

# what people send about an offer that they did not take up
NOT_A_RESPONSE = frozenset(
    {"Dismiss", "Offer Dismissed", "Unsubscribe", "Promotion Viewed", WORDS_READ, MESSAGE_WITHHELD}
)
COUNT_EVERY_S = 60.0
MAX_SENDS = 100_000  # of which hours are learned
ROWS_PER_ROUND = 20_000  # events, and notes, that are looked at in one round
SUMS_ID = "sums"  # the one thing of its kind
SELECT_DECISION_EVENTS = Query(
    select(EVENTS.c.name, EVENTS.c.decision_id, EVENTS.c.body)
    .where(EVENTS.c.seq > bindparam("after"), EVENTS.c.seq <= bindparam("until"), EVENTS.c.decision_id.is_not(None))
    .order_by(EVENTS.c.seq)
)
SELECT_CONFIRMED = Query(
    select(REDEMPTIONS.c.decision_id).where(
        REDEMPTIONS.c.decision_id.is_not(None),
        REDEMPTIONS.c.redemption_id.in_(
            select(AUDIT.c.subject).where(
                AUDIT.c.seq > bindparam("after"), AUDIT.c.seq <= bindparam("until"),
                AUDIT.c.action == bindparam("action"),
            )
        ),
    )
)  # fmt: skip
SELECT_SHOWN_TEXTS = Query(
    select(EVENTS.c.decision_id, EVENTS.c.body)
    .where(EVENTS.c.decision_id.op("in")(JsonList("decisions")), EVENTS.c.name == bindparam("name"))
    .order_by(EVENTS.c.seq)
)
INSERT_ACCEPTED = Query(insert(ACCEPTED_OFFERS).inline(), then=" on conflict (decision_id) do nothing")


def load_sends(db: Connection, zone: str, now_ms: int) -> pl.DataFrame:
    """Offers that were sent at a moment of their own, as `deliver.fit_hours` takes them: the last MOST_SENDS of those
    that had a day to be answered. The clock is the customer's where it is known, else that of `zone`.
    """
    answer = (EVENTS.c.decision_id == DECISIONS.c.decision_id) & (EVENTS.c.ts_ms >= DECISIONS.c.send_ms)
    both = DECISIONS.outerjoin(EVENTS, answer & EVENTS.c.name.not_in(NOT_A_RESPONSE | {OFFER_MESSAGE}))
    both = both.outerjoin(CUSTOMERS, CUSTOMERS.c.customer_id == DECISIONS.c.customer_id)
    columns = [DECISIONS.c[name] for name in ("decision_id", "customer_id", "channel", "send_ms")] + [CUSTOMERS.c.zone]
    found = select(*columns, func.min(EVENTS.c.ts_ms)).select_from(both).group_by(*columns)
    unsent = select(OUTBOX.c.target).where(IS_EMAIL, OUTBOX.c.status == "expired")
    found = found.where(
        DECISIONS.c.send_ms < now_ms - DAY_MS, DECISIONS.c.unanswered == 0, DECISIONS.c.decision_id.not_in(unsent)
    )
    rows = [
        (row[1], row[2], hour_of_week(row[3], row[4] or zone), None if row[5] is None else (row[5] - row[3]) // HOUR_MS)
        for row in db.execute(found.order_by(columns[0].desc()).limit(MAX_SENDS))
    ]
    schema = {"customer_id": pl.String, "channel": pl.String, "hour": pl.Int64, "answered": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


class TextSums(StoredModel):
    """The counts of each text, up to this event and this row of the audit log."""

    KIND = "texts"
    event: int = 0
    note: int = 0
    counts: tuple[TextCounts, ...] = ()


class _Shown(NamedTuple):
    """A text with a kind of benefit."""

    text_id: str
    benefit: str


class _News(NamedTuple):
    """What came after the sums `since`: up to where, how often texts were shown, and what took up which of them."""

    since: TextSums
    event: int
    note: int
    shown: Counter[_Shown]
    taken: dict[str, _Shown]  # by decision
    now_ms: int


class TextCounter:
    """Counts from the ledger how often each text was shown and accepted, and derives the text choices."""

    def __init__(self, folder: Path) -> None:
        """`folder` keeps the counts, where the next plan reads them."""
        self.folder = folder
        self.tallies = read_tallies(folder)
        self._choices: dict[str, TextChooser] = {}
        self._last_s, self._behind, self._lock = 0.0, False, threading.Lock()

    def choice(self, release: LiveRelease) -> TextChooser:
        """Who chooses among the texts of a release, given the latest counts."""
        if release.release_id not in self._choices:
            self._choices[release.release_id] = release.wording.choice(self.tallies)
        return self._choices[release.release_id]

    def refresh(self, ledger: Ledger, now_ms: int, every_s: float = COUNT_EVERY_S) -> bool:
        """Count a part of what is new, once in `every_s` seconds and at once while more is left; whether it is, or
        anything changed.
        """
        with self._lock:
            if not self._behind and now_ms / 1000 - self._last_s < every_s:
                return False
            self._last_s = now_ms / 1000
            last = ledger.settled(lambda db: _last(db, EVENTS.c.seq))
            with ledger.read() as db:
                sums = TextSums.find(db, SUMS_ID) or TextSums()
                ends = last, _last(db, AUDIT.c.seq)
                news = _since(db, sums, *ends, now_ms) if (sums.event, sums.note) != ends else None
            if news:
                sums = ledger.write(_add, news)
            self._behind = (sums.event, sums.note) < ends
            if self._behind:
                return True
            if sums.counts == self.tallies:
                return False
            self.tallies, self._choices = sums.counts, {}
            half = self.folder / f".{TALLIES_FILE}.part"
            half.write_text(json.dumps(self.tallies), encoding="utf-8")
            half.replace(self.folder / TALLIES_FILE)
            return True


def _last(db: Connection, number: Column[int]) -> int:
    return db.execute(select(func.max(number))).scalar() or 0


def _since(db: Connection, sums: TextSums, last_event: int, last_note: int, now_ms: int) -> _News:
    """A part of the events; of the notes once all events are counted, so that nothing is taken before it is shown."""
    first = db.execute(select(func.min(EVENTS.c.seq))).scalar() or 1  # purged ones are passed over
    event = min(last_event, max(sums.event, first - 1) + ROWS_PER_ROUND)
    note = min(last_note, sums.note + ROWS_PER_ROUND) if event == last_event else sums.note
    shown, taking = Counter[_Shown](), set[str]()
    for name, decision_id, body in SELECT_DECISION_EVENTS.rows(db, after=sums.event, until=event):
        if name != OFFER_MESSAGE:
            taking |= {decision_id} - ({decision_id} if name in NOT_A_RESPONSE else set())
        elif said := _said(body):
            shown[said] += 1
    taking |= {decision for (decision,) in SELECT_CONFIRMED.rows(db, after=sums.note, until=note, action="confirm")}
    known = SELECT_SHOWN_TEXTS.rows(db, decisions=json_list(taking), name=OFFER_MESSAGE) if taking else ()
    taken = {decision: said for decision, body in known if (said := _said(body))}
    return _News(sums, event, note, shown, taken, now_ms)


def _said(body: str) -> _Shown | None:
    """What a message was; None for what another than the server has written, as a page could of old."""
    said = json.loads(body)
    found = said.get("text_id"), said.get("benefit")
    return _Shown(*found) if all(isinstance(each, str) for each in found) else None


def _add(db: Connection, some: Sequence[_News]) -> list[TextSums]:
    """The sums with the news; where another process has counted meanwhile, its sums."""
    return [_added(db, each) for each in some]


def _added(db: Connection, news: _News) -> TextSums:
    sums = TextSums.find(db, SUMS_ID) or TextSums()
    if (sums.event, sums.note) != (news.since.event, news.since.note):
        return sums
    shown = news.shown + Counter({_Shown(text, benefit): times for text, benefit, times, _ in sums.counts})
    taken = Counter({_Shown(text, benefit): times for text, benefit, _, times in sums.counts})
    for said in sorted(set(news.taken.values())):
        mine = [{"decision_id": each, "ts_ms": news.now_ms} for each, what in news.taken.items() if what == said]
        taken[said] += INSERT_ACCEPTED.many(db, mine)
    counts = tuple(TextCounts(*said, times, taken[said]) for said, times in sorted(shown.items()))  # type: ignore[arg-type]
    return TextSums(event=news.event, note=news.note, counts=counts).save(db, SUMS_ID, news.now_ms)
