"""Pace a campaign's budget over its days: read what is spent, price a cent, count what decisions cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl
from sqlalchemy import Connection

from promolift.core.allocation.budget_pacing import DayForecast, Pace, PacedPrice
from promolift.server.decisions.live_release import LiveRelease, ReleaseRows, Slate
from promolift.server.ledger.audit_log import get_record, put_record
from promolift.server.ledger.policy import Pacing


@dataclass
class BudgetMeter:
    """The pace of a campaign's budget within one transaction: read, used, written back."""

    campaign_id: str
    starts_ms: int
    forecast: DayForecast
    pace: Pace
    now: PacedPrice

    @property
    def price(self) -> float:
        """Of a cent at this moment."""
        return self.now.price

    @staticmethod
    def of(
        db: Connection, campaign_id: str, pacing: Pacing | None, release: LiveRelease, now_ms: int
    ) -> "BudgetMeter | None":
        """The meter at this moment, None for a campaign without pacing or outside its time."""
        if pacing is None or not pacing.starts_ms <= now_ms <= pacing.ends_ms:
            return None
        pace = load_pace(db, campaign_id, pacing.starts_ms)
        by = "choice_price" if "choice_price" in release.frontier.columns else "price"  # with what rules add
        curve = release.frontier.select(pl.col("cost_cents").alias("cost"), pl.col(by).alias("price"))
        budget, able = float(release.plan.budget_cents), max(1, release.plan.able)
        forecast = DayForecast.of(curve, able, budget, pacing.arrivals)
        moment = (now_ms - pacing.starts_ms) / (pacing.ends_ms - pacing.starts_ms)
        return BudgetMeter(campaign_id, pacing.starts_ms, forecast, pace, pace.reprice(forecast, moment))

    def close(self, rows: ReleaseRows, slates: Sequence[Slate], together: int) -> list[Slate]:
        """Close what costs more than each of so many customers may take of what is left: it is never passed."""
        most, why = (self.forecast.budget - self.pace.spent) / together, "the budget of the paced time is spent"
        return [
            rows.close(each, lambda at: why if rows.cost_O[at] > most else None)
            if (rows.cost_O[each.at_O] > most).any()
            else each
            for each in slates
        ]

    def count(self, db: Connection, cost: float, seen: int, now_ms: int) -> None:
        """Add what `seen` decisions cost, and keep it with them."""
        pace = load_pace(db, self.campaign_id, self.starts_ms).after(cost, seen, self.now)  # other arms counted, too
        put_record(db, "pace", self.campaign_id, {"pace": asdict(pace), "starts_ms": self.starts_ms}, now_ms)


def load_pace(db: Connection, campaign_id: str, starts_ms: int) -> Pace:
    """Load where the paced time that began then stands."""
    kept = get_record(db, "pace", campaign_id) or {}
    return Pace(**kept["pace"]) if kept.get("starts_ms") == starts_ms else Pace()
