"""A plan of creatives and who looks at a page in; the creative they see with its propensity, kept in a log, out.

The plan is a file of `promolift run` (creatives.parquet), named by its hash; the log is a SQLite file that several
processes may share. Each request is one transaction: frequency cap, budget and pace are read and counted in it.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from time import time
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.allocate.pace import DayForecast, Pace
from promolift.errors import BudgetError, InputError
from promolift.hashing import hash_unit, sha256_of_file
from promolift.sql import DAY_MS

NONE = "none"
COLUMNS = ("placement", "audience", "creative", "share", "impressions", "cap_a_day")
WAIT_S = 5.0  # for another process that writes
TABLES = """
create table if not exists impressions (
  decision_id text primary key, timestamp integer not null, customer_id text not null, placement text not null,
  audience text not null, creative text not null, propensity real not null, plan text not null,
  click integer not null default 0) without rowid;
create index if not exists seen on impressions (customer_id, timestamp);
create table if not exists pace (plan text primary key, state text not null) without rowid;
"""


class Impression(NamedTuple):
    """What a request got. `creative` is "none" where nothing is shown, and `why` says why; else `propensity` is the
    probability of the creative among those that were open, given that one was shown."""

    decision_id: str | None
    creative: str
    propensity: float | None
    why: str


class CreativeServer:
    """Serves one plan. The budget is the sum of its impressions, spent evenly from `starts_ms` to `ends_ms` (UTC) if
    `arrivals` requests come in that time (left out: as many as the budget has). One request more or less is corrected
    for as it comes (`allocate.pace`). Consent is not asked here: ask for those alone who agreed to personal choices.
    """

    def __init__(
        self, plan: Path, log: Path, *, starts_ms: int, ends_ms: int, arrivals: float | None = None, seed: int = 0
    ) -> None:
        """InputError for a file that is no such plan, BudgetError for a plan of no impressions."""
        try:
            rows = pl.read_parquet(plan)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{plan}: cannot be read as a plan ({error}); name creatives.parquet") from None
        if missing := [name for name in COLUMNS if name not in rows.columns]:
            raise InputError(f"{plan}: no column {missing[0]!r}; serve a plan learned from impressions")
        if ends_ms <= starts_ms:
            raise InputError(f"ends_ms {ends_ms} must be later than starts_ms {starts_ms}")
        self.plan_id, self.seed, self._log = f"ads_{sha256_of_file(plan)[:32]}", seed, log
        self.starts_ms, self.ends_ms, self.cap = starts_ms, ends_ms, int(rows["cap_a_day"].max() or 0)  # type: ignore[arg-type]
        budget = int(rows["impressions"].sum())
        if budget < 1:
            raise BudgetError(f"{plan}: no impression is planned; raise the budget")
        # the price of an impression is how many of those who ask see none
        even, spend = np.array([0.0, 1.0]), np.array([0.0, 1.0])
        self._forecast = DayForecast(float(budget), float(arrivals or budget), even, spend, 1 - spend)
        self._shares: dict[tuple[str, ...], dict[str, float]] = {}
        for place, audience, creative, share in rows.select(COLUMNS[:4]).iter_rows():
            for cell in ((place, audience), (place,)):  # the placement alone is for audiences that the plan never saw
                mine = self._shares.setdefault(cell, {})
                mine[creative] = mine.get(creative, 0.0) + share
        with self._writing() as db:
            db.executescript(TABLES)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._log, timeout=WAIT_S, isolation_level=None)
        try:
            db.execute("begin immediate")
            yield db
            if db.in_transaction:
                db.execute("commit")
        except sqlite3.Error as error:
            raise InputError(f"{self._log}: the log cannot be read or written ({error}); nothing was shown") from None
        finally:
            db.close()  # what was not committed is taken back

    def choose(self, customer_id: str, placement: str, audience: str = "all", now_ms: int | None = None) -> Impression:
        """The creative for a customer or visitor at a placement; `audience` as in the plan (values joined by "|")."""
        at_ms = round(time() * 1000) if now_ms is None else now_ms
        shares = self._shares.get((placement, audience)) or self._shares.get((placement,))
        if shares is None:
            return Impression(None, NONE, None, f"placement: {placement!r} is not in the plan")
        if not self.starts_ms <= at_ms < self.ends_ms:
            return Impression(None, NONE, None, "time: the plan has not begun, or is over")
        with self._writing() as db:
            kept = db.execute("select state from pace where plan = ?", (self.plan_id,)).fetchone()
            pace = Pace(**json.loads(kept[0])) if kept else Pace()
            if pace.spent >= self._forecast.budget:
                return Impression(None, NONE, None, "budget: all impressions of the plan were shown")
            now = pace.reprice(self._forecast, (at_ms - self.starts_ms) / (self.ends_ms - self.starts_ms))
            found = self._drawn(db, customer_id, shares, at_ms, pace.seen, now.expected)
            after = pace.after(float(found.creative != NONE), 1, now)
            db.execute("insert or replace into pace values (?, ?)", (self.plan_id, json.dumps(asdict(after))))
            if found.creative != NONE:
                row = (found.decision_id, at_ms, customer_id, placement, audience, found.creative, found.propensity)
                db.execute("insert into impressions values (?, ?, ?, ?, ?, ?, ?, ?, 0)", (*row, self.plan_id))
        return found

    def _drawn(
        self, db: sqlite3.Connection, who: str, shares: dict[str, float], at_ms: int, seen: int, rate: float
    ) -> Impression:
        day_ms = at_ms - at_ms % DAY_MS
        counts = dict(db.execute(
            "select creative, count(*) from impressions where customer_id = ? and timestamp >= ? and timestamp < ? "
            "group by creative", (who, day_ms, day_ms + DAY_MS),
        ).fetchall())  # fmt: skip
        free = {name: share for name, share in sorted(shares.items()) if share and counts.get(name, 0) < self.cap}
        if not free:
            return Impression(None, NONE, None, f"frequency cap: {self.cap} of each creative a day")
        key = (self.seed, self.plan_id, seen)
        if hash_unit("pace", *key) >= rate:
            return Impression(None, NONE, None, "pace: kept for those who come later")
        prob = np.array(list(free.values())) / sum(free.values())
        at = int(np.searchsorted(prob.cumsum(), hash_unit("creative", *key), side="right").clip(0, len(prob) - 1))
        return Impression(f"{self.plan_id}_{seen}", list(free)[at], float(prob[at]), "drawn by the plan's shares")

    def click(self, decision_id: str) -> None:
        """Note a click; a second one counts for nothing. InputError for a decision that was never made."""
        with self._writing() as db:
            if not db.execute("update impressions set click = 1 where decision_id = ?", (decision_id,)).rowcount:
                raise InputError(f"decision {decision_id!r}: no such impression in {self._log}")

    def forget(self, customer_id: str) -> int:
        """Put a name that leads to nobody in place of a customer's id; how many impressions had it."""
        change, nobody = "update impressions set customer_id = ? where customer_id = ?", f"gone_{token_hex(8)}"
        with self._writing() as db:
            return db.execute(change, (nobody, customer_id)).rowcount

    def impressions(self) -> pl.DataFrame:
        """All impressions of the log, of earlier plans too, as `promolift init --trade ads` reads them; in order."""
        with self._writing() as db:
            asked = db.execute("select * from impressions order by timestamp, decision_id")
            names = [each[0] for each in asked.description]
            return pl.DataFrame(asked.fetchall(), schema=names, orient="row", infer_schema_length=None)
