"""promolift's own policy in the daily worlds: the functions by which `promolift plan` and `promolift learn` decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.audiences import (
    ACTIVE,
    DUE,
    EARLY_DAYS,
    assign_audiences,
    fit_return_curve,
)
from promolift.core.experiments.surrogate import Spans, SurrogateModel, features, fit_surrogate
from promolift.core.offers.menu import MenuItem
from promolift.extensions.simulation.worlds.daily_shop import DAY_MS, START_MS, SentOffers
from promolift.shop.feedback.next_release import draw_outcomes, learned_effects
from promolift.shop.feedback.opt_outs import date_refusals
from promolift.shop.pipeline.planning.arms_in_play import (
    LineTestPopulation,
    choose_arms,
    limit_waste,
    play_cells,
    with_new_arms,
)

if TYPE_CHECKING:
    from daily_policies import SeenShop

MENU = [
    MenuItem.model_validate({"id": "reminder", "benefit": {"type": "reminder"}}),
    *(MenuItem.model_validate({"id": f"all-{percent}", "benefit": {"type": "percent_off", "percent": percent}})
      for percent in (10, 15, 20)),
]  # fmt: skip
DEPTHS: Mapping[str, float] = {item.id: item.depth or 0.0 for item in MENU}
SPANS = Spans(28, 84)
SURE, COST_ROOM = 0.8, 1.3


def sales_by_day(log: pl.DataFrame, margin: float) -> pl.DataFrame:
    """Sales as `daily_sales` reads them from a work folder; day 0 is the first of the log."""
    stays = 1 - pl.col("returned_cents") / pl.col("paid_cents").clip(lower_bound=1)
    value = (pl.col("paid_cents") - (1 - margin) * pl.col("list_cents")) * stays
    day = (pl.col("ts_ms") - START_MS) // DAY_MS
    rows = log.select("customer_id", day=day, value_cents=value, coupon_cents=pl.col("coupon_cents") * stays)
    return rows.group_by("customer_id", "day").agg(pl.all().sum()).sort("customer_id", "day")


@dataclass
class ProductPolicy:
    """Plans and learns as the product does, a window after the other."""

    seed: int
    name: str = "promolift"
    draws: list[pl.DataFrame] = field(default_factory=list)
    effects: tuple[LineEffect, ...] = ()
    cells: pl.DataFrame = field(default_factory=pl.DataFrame)
    ahead: SurrogateModel | None = None
    given: list[tuple[LineEffect, ...]] = field(default_factory=list)  # by window: what was believed, and the shares
    send_day_N: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # of the window, if anything

    def plan(self, seen: "SeenShop") -> SentOffers:
        """Draw the arms of every audience."""
        sales = sales_by_day(seen.log, seen.margin)
        if self.ahead is None:
            self.ahead = fit_surrogate(sales.filter(pl.col("day") < seen.day), seen.day, SPANS)
        self.effects = self.learned(seen)
        audience = assign_audiences(sales, seen.day, SPANS.window, fit_return_curve(sales, seen.day, SPANS.window))
        people, worth = self._population(seen, sales, audience)
        lines = pl.DataFrame(
            [(item.id, group, DEPTHS[item.id] * worth[group] / seen.margin, count)
             for group, count in people.sizes.items() for item in MENU],
            schema={"menu_id": pl.String, "group": pl.String, "cost": pl.Float64, "customers": pl.Int64}, orient="row",
        )  # fmt: skip
        known = [each for each in self.effects if each.group in people.sizes]
        begins = choose_arms(MENU, lines, people, known)
        self.cells = play_cells(lines, people, known, begins)
        effects = limit_waste(with_new_arms(self.cells, known, begins, "assumed"), people)
        effects = self._affordable(effects, people.sizes, seen.budget_cents)
        return self._drawn(seen, people, effects, audience)

    def learned(self, seen: "SeenShop") -> tuple[LineEffect, ...]:
        """What the windows that are over say."""
        if not self.draws or self.ahead is None:
            return ()
        sales = sales_by_day(seen.log, seen.margin)
        refused = pl.Series(seen.customer_ids).filter(pl.Series(~seen.may_write_N))
        refusals = date_refusals(pl.concat(self.draws), refused, START_MS + seen.day * DAY_MS)
        rows = pl.concat([draw_outcomes(mine, sales, self.ahead, START_MS, refusals) for mine in self.draws])
        return learned_effects(self.cells, rows, SURE, "assumed")

    def _population(
        self, seen: "SeenShop", sales: pl.DataFrame, audience: pl.DataFrame
    ) -> tuple[LineTestPopulation, dict[str, float]]:
        assert self.ahead is not None
        known = features(sales, seen.day)
        expected = self.ahead.predict(known)
        rows = known.select("customer_id").with_columns(
            worth=pl.Series(np.maximum(expected.window_N, 0.0)), horizon=pl.Series(expected.horizon_N)
        ).join(audience.select("customer_id", "audience"), on="customer_id").rename({"audience": "group"})  # fmt: skip
        reached = pl.DataFrame({"customer_id": seen.customer_ids}).filter(pl.Series(seen.may_write_N))
        rows = rows.join(reached, on="customer_id", how="semi").sort("customer_id")
        by = rows.group_by("group").agg(pl.len(), pl.col("worth", "horizon").mean())
        shop = max(
            float(sales.filter(pl.col("day") >= seen.day - 84)["value_cents"].sum()) / 3 / max(known.height, 1), 0.0
        )
        monthly = {
            group: horizon / 3 if group in (ACTIVE, DUE) else shop
            for group, horizon in by.select("group", "horizon").iter_rows()
        }
        sizes = dict(by.select("group", "len").iter_rows())
        people = LineTestPopulation(rows, sizes, monthly, dict.fromkeys(sizes, 1.0), len(self.draws))
        return people, dict(by.select("group", "worth").iter_rows())

    @staticmethod
    def _affordable(effects: tuple[LineEffect, ...], sizes: Mapping[str, int], budget: float) -> tuple[LineEffect, ...]:
        cost = sum((each.prob or 0.0) * each.cost_cents * sizes.get(each.group, 0) for each in effects)
        part = min(1.0, budget / COST_ROOM / cost) if cost > 0 else 1.0
        return tuple(
            each.model_copy(update={"prob": part * (each.prob or 0.0)}) if each.cost_cents else each for each in effects
        )

    def _drawn(
        self, seen: "SeenShop", people: LineTestPopulation, effects: tuple[LineEffect, ...], audience: pl.DataFrame
    ) -> SentOffers:
        rng = np.random.default_rng([self.seed, len(self.draws)])
        place = {who: at for at, who in enumerate(seen.customer_ids)}
        due = dict(audience.filter(audience=DUE).select("customer_id", "due_day").iter_rows())
        send_N, depth_N = np.full(len(place), -1), np.zeros(len(place))
        self.send_day_N = np.zeros(len(place), np.int64)
        shares: dict[str, list[tuple[str, float]]] = {}
        for each in effects:
            shares.setdefault(each.group, []).append((each.arm, each.prob or 0.0))
        kept = []
        for who, group in people.groups.select("customer_id", "group").iter_rows():
            mine = [(arm, prob) for arm, prob in shares.get(group, []) if prob > 0]
            unit, got = float(rng.random()), "none"
            if group == DUE:
                self.send_day_N[place[who]] = min(max(due[who] - EARLY_DAYS - seen.day, 0), seen.window_days - 1)
            for arm, prob in mine:
                if unit < prob:
                    got = arm
                    break
                unit -= prob
            if got != "none":
                send_N[place[who]], depth_N[place[who]] = self.send_day_N[place[who]], DEPTHS[got]
            arms = [{"arm": arm, "prob": prob} for arm, prob in mine]
            kept.append((who, group, got, 1 - sum(prob for _, prob in mine), arms))
        schema = {"customer_id": pl.String, "group": pl.String, "arm": pl.String, "none_prob": pl.Float64,
                  "arms": pl.List(pl.Struct({"arm": pl.String, "prob": pl.Float64}))}  # fmt: skip
        self.draws.append(
            pl.DataFrame(kept, schema=schema, orient="row").with_columns(
                ts_ms=pl.lit(START_MS + seen.day * DAY_MS), window_days=pl.lit(seen.window_days, pl.Int64)
            )
        )
        self.given.append(effects)
        return replace(SentOffers.nobody(len(place)), send_N=send_N, depth_N=depth_N)


def make(seed: int) -> ProductPolicy:
    """A policy for one shop."""
    return ProductPolicy(seed)
