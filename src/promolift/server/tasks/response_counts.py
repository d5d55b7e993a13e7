"""What a ledger says of shown texts and of sends in; how often each text was shown and taken up, the choices that
follow, and when sends were answered, out.

The sums stand in the ledger, with the last event and the last note of the audit log that they count: only what came
since is read, a part at a time, so that a start asks no more of a ledger that has lived. What took a message up is kept
by its decision: each counts once, whatever follows, and however many processes count on a shared ledger.
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
from promolift.core.messages.text_pool import TextTally, WordChoice
from promolift.foundation.time.units import DAY_MS, HOUR_MS
from promolift.server.decisions.live_release import LiveRelease
from promolift.server.ledger.event_rows import FILLED
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.records import Thing
from promolift.server.ledger.schema import (
    AUDIT,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    MAILS,
    OUTBOX,
    READ,
    REDEMPTIONS,
    TAKEN,
    Members,
    Query,
    members,
)
from promolift.shop.results.messages import TALLIES, read_tallies

# what people send about an offer that they did not take up
NOT_TAKEN = frozenset({"Dismiss", "Offer Dismissed", "Unsubscribe", "Promotion Viewed", READ})
EVERY_S = 60.0
MOST_SENDS = 100_000  # of which hours are learned
SPAN = 20_000  # events, and notes, that are looked at in one round
SUMS = "sums"  # the one thing of its kind
OF_DECISIONS = Query(
    select(EVENTS.c.name, EVENTS.c.decision_id, EVENTS.c.body)
    .where(EVENTS.c.seq > bindparam("after"), EVENTS.c.seq <= bindparam("until"), EVENTS.c.decision_id.is_not(None))
    .order_by(EVENTS.c.seq)
)
CONFIRMED = Query(
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
SHOWN = Query(
    select(EVENTS.c.decision_id, EVENTS.c.body)
    .where(EVENTS.c.decision_id.op("in")(Members("decisions")), EVENTS.c.name == bindparam("name"))
    .order_by(EVENTS.c.seq)
)
TAKE = Query(insert(TAKEN).inline(), then=" on conflict (decision_id) do nothing")


def sends(db: Connection, zone: str, now_ms: int) -> pl.DataFrame:
    """Offers that were sent at a moment of their own, as `deliver.fit_hours` takes them: the last MOST_SENDS of those
    that had a day to be answered. The clock is the customer's where it is known, else that of `zone`.
    """
    answer = (EVENTS.c.decision_id == DECISIONS.c.decision_id) & (EVENTS.c.ts_ms >= DECISIONS.c.send_ms)
    both = DECISIONS.outerjoin(EVENTS, answer & EVENTS.c.name.not_in(NOT_TAKEN | {FILLED}))
    both = both.outerjoin(CUSTOMERS, CUSTOMERS.c.customer_id == DECISIONS.c.customer_id)
    columns = [DECISIONS.c[name] for name in ("decision_id", "customer_id", "channel", "send_ms")] + [CUSTOMERS.c.zone]
    found = select(*columns, func.min(EVENTS.c.ts_ms)).select_from(both).group_by(*columns)
    unsent = select(OUTBOX.c.target).where(MAILS, OUTBOX.c.status == "expired")
    found = found.where(
        DECISIONS.c.send_ms < now_ms - DAY_MS, DECISIONS.c.unanswered == 0, DECISIONS.c.decision_id.not_in(unsent)
    )
    rows = [
        (row[1], row[2], hour_of_week(row[3], row[4] or zone), None if row[5] is None else (row[5] - row[3]) // HOUR_MS)
        for row in db.execute(found.order_by(columns[0].desc()).limit(MOST_SENDS))
    ]
    schema = {"customer_id": pl.String, "channel": pl.String, "hour": pl.Int64, "answered": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


class TextSums(Thing):
    """What was counted of each text, up to this event and this note of the audit log."""

    KIND = "texts"
    event: int = 0
    note: int = 0
    counts: tuple[TextTally, ...] = ()


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
    """Counts, from the ledger, how often each text was shown and taken up; the choices that follow from it."""

    def __init__(self, folder: Path) -> None:
        """`folder` keeps the counts, where the next plan reads them."""
        self.folder = folder
        self.tallies = read_tallies(folder)
        self._choices: dict[str, WordChoice] = {}
        self._last_s, self._behind, self._lock = 0.0, False, threading.Lock()

    def choice(self, release: LiveRelease) -> WordChoice:
        """Who chooses among the texts of a release, given the latest counts."""
        if release.release_id not in self._choices:
            self._choices[release.release_id] = release.wording.choice(self.tallies)
        return self._choices[release.release_id]

    def refresh(self, ledger: Ledger, now_ms: int, every_s: float = EVERY_S) -> bool:
        """Count a part of what is new, once in `every_s` seconds and at once while more is left; whether it is, or
        anything changed.
        """
        with self._lock:
            if not self._behind and now_ms / 1000 - self._last_s < every_s:
                return False
            self._last_s = now_ms / 1000
            last = ledger.settled(lambda db: _last(db, EVENTS.c.seq))
            with ledger.read() as db:
                sums = TextSums.find(db, SUMS) or TextSums()
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
            half = self.folder / f".{TALLIES}.part"
            half.write_text(json.dumps(self.tallies), encoding="utf-8")
            half.replace(self.folder / TALLIES)
            return True


def _last(db: Connection, number: Column[int]) -> int:
    return db.execute(select(func.max(number))).scalar() or 0


def _since(db: Connection, sums: TextSums, last_event: int, last_note: int, now_ms: int) -> _News:
    """A part of the events; of the notes once all events are counted, so that nothing is taken before it is shown."""
    first = db.execute(select(func.min(EVENTS.c.seq))).scalar() or 1  # purged ones are passed over
    event = min(last_event, max(sums.event, first - 1) + SPAN)
    note = min(last_note, sums.note + SPAN) if event == last_event else sums.note
    shown, taking = Counter[_Shown](), set[str]()
    for name, decision_id, body in OF_DECISIONS.rows(db, after=sums.event, until=event):
        if name != FILLED:
            taking |= {decision_id} - ({decision_id} if name in NOT_TAKEN else set())
        elif said := _said(body):
            shown[said] += 1
    taking |= {decision for (decision,) in CONFIRMED.rows(db, after=sums.note, until=note, action="confirm")}
    known = SHOWN.rows(db, decisions=members(taking), name=FILLED) if taking else ()
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
    sums = TextSums.find(db, SUMS) or TextSums()
    if (sums.event, sums.note) != (news.since.event, news.since.note):
        return sums
    shown = news.shown + Counter({_Shown(text, benefit): times for text, benefit, times, _ in sums.counts})
    taken = Counter({_Shown(text, benefit): times for text, benefit, _, times in sums.counts})
    for said in sorted(set(news.taken.values())):
        mine = [{"decision_id": each, "ts_ms": news.now_ms} for each, what in news.taken.items() if what == said]
        taken[said] += TAKE.many(db, mine)
    counts = tuple(TextTally(*said, times, taken[said]) for said, times in sorted(shown.items()))  # type: ignore[arg-type]
    return TextSums(event=news.event, note=news.note, counts=counts).keep(db, SUMS, news.now_ms)
