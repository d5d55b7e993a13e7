"""Offers by predicted gains in a plan that also draws: how earlier predictions came out, and whose offer stands.

Where evidence says what a customer's offer adds, it is given to them rather than drawn. The rest of the budget, and all
other customers, are for the draws of `line_tests`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.audiences import NOT_DUE, PREDICTED
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.shop.pipeline.planning.arms_in_play import CELLS, LineTestPopulation
from promolift.shop.pipeline.planning.partitions import DecisionRecords
from promolift.shop.results.line_tests import load_cells, targeted_ratios
from promolift.shop.results.work_folder.run_context import Job, Moments

MOSTLY = 0.5  # share that draws a line, above which all get it where nothing can be drawn
PRIOR_SD = 0.5  # s.d. of what comes of gains that were predicted, as a share of them
MOST_OF_PLAN = 0.01  # of the gain of a plan, which one customer is believed to bring at most
MOST_CARRIED = 2.0  # times the mean gain, which a customer of a small plan may bring
NOT_PAID = gettext_noop("what came of such offers did not pay")
DRAWN_COLUMNS = (
    "customer_id", "offer_id", "menu_id", "scope", "gain_cents", "gain_se_cents", "cost_cents", "gain_ratio",
    "cost_ratio", "line_share",
)  # fmt: skip


def move_predictions(rows: pl.DataFrame, effects: Sequence[LineEffect], draws: bool = True) -> pl.DataFrame:
    """Candidates with each prediction moved by what came of earlier ones of its line, of a line without draws as all
    others together; `line_share` of those who would get a line draw it, and what did not pay is closed. In a plan that
    cannot draw all get a line that most would draw, and nobody any other."""
    aimed = [each for each in effects if each.aimed]
    all_ = targeted_ratios(aimed)
    came = []
    for arm in sorted({each.arm for each in aimed}):
        mine = [each for each in aimed if each.arm == arm]
        ratios = targeted_ratios(mine) or all_
        share = max(1.0 if each.prob is None else each.prob for each in mine)
        share = share if draws else float(share > MOSTLY)
        doubt = sum(each.net_se_cents for each in mine) / len(mine)
        came.append((arm, ratios and ratios.gain, ratios and ratios.cost, share, doubt, mine[0].evidence))
    schema = {"menu_id": pl.String, "gain_ratio": pl.Float64, "cost_ratio": pl.Float64, "line_share": pl.Float64,
              "doubt": pl.Float64, "level": pl.String}  # fmt: skip
    rows = rows.join(pl.DataFrame(came, schema, orient="row"), on="menu_id", how="left", maintain_order="left")
    rows = rows.with_columns(
        gain_ratio=pl.col("gain_ratio").fill_null(all_.gain if all_ else 1.0),
        cost_ratio=pl.col("cost_ratio").fill_null(all_.cost if all_ else 1.0),
        line_share=pl.col("line_share").fill_null(1.0),
    ).with_columns(
        gain_cents=pl.col("gain_ratio") * pl.col("gain_cents"), cost_cents=pl.col("cost_ratio") * pl.col("cost_cents"),
        gain_se_cents=pl.coalesce("doubt", "gain_se_cents"), evidence=pl.coalesce("level", "evidence"),
    )  # fmt: skip
    lost = pl.col("eligible") & (pl.col("line_share") == 0)
    moved = pl.col("gain_ratio").ne(1.0) | pl.col("cost_ratio").ne(1.0)
    return rows.with_columns(
        added_cents=pl.when(moved).then(pl.col("gain_cents") + pl.col("cost_cents")).otherwise("added_cents"),
        why_not=pl.when(lost).then(pl.lit(NOT_PAID)).otherwise("why_not"), eligible=pl.col("eligible") & ~lost,
    ).drop("doubt", "level")  # fmt: skip


class PredictedOffers(NamedTuple):
    """Everybody's records by predicted gains, and in `offers` whose offer stands: DRAWN_COLUMNS and `gain_now`, the
    gain that is believed. The held out stand there with what they would get."""

    records: DecisionRecords
    offers: pl.DataFrame

    def cost_cents(self) -> float:
        """What the offers are expected to cost of those who are not held out."""
        sent = self.records.assignments.filter(pl.col("offer_id") != "none").select("customer_id")
        mine = self.offers.join(sent, on="customer_id", how="semi", maintain_order="left")
        return float(mine["cost_cents"].sum())


def predicted_offers(records: DecisionRecords, people: LineTestPopulation) -> PredictedOffers:
    """Whose predicted offer stands: nobody's who is in a play of the shop's own, and no discount on a whole order for
    who is not due yet, since that order comes without it. One customer is believed to bring a hundredth of the plan's
    gain at most, of a small plan twice the mean."""
    gives = (pl.col("prob") > 0) & (pl.col("offer_id") != "none")
    offers = records.rows.collect(lambda part: part.filter(gives).select(DRAWN_COLUMNS))
    offers = (
        offers.sort("customer_id")
        .join(people.groups.select("customer_id", "group"), on="customer_id", maintain_order="left")
        .filter(
            ~pl.col("group").is_in(list(people.plays)), ~((pl.col("group") == NOT_DUE) & (pl.col("scope") == "all"))
        )
    )
    gain = pl.col("gain_cents")
    most = pl.max_horizontal(MOST_OF_PLAN * gain.sum(), MOST_CARRIED * gain.mean())
    return PredictedOffers(records, offers.drop("group").with_columns(gain_now=pl.min_horizontal(gain, most)))


def predicted_cells(offers: pl.DataFrame) -> pl.DataFrame:
    """CELLS of what is given by predicted gains: before any draw comes 1 +/- PRIOR_SD times what is predicted."""
    gain, cost = pl.col("gain_cents") / pl.col("gain_ratio"), pl.col("cost_cents") / pl.col("cost_ratio").clip(1e-9)
    by = offers.with_columns(gain_cents=gain, cost_cents=cost).group_by("menu_id").agg(
        pl.col("gain_cents", "cost_cents", "gain_se_cents").mean(), pl.col("customer_id").n_unique()
    )  # fmt: skip
    return by.sort("menu_id").select(
        pl.col("menu_id").alias("arm"), pl.lit(PREDICTED).alias("group"), pl.col("gain_cents").alias("prior"),
        ((PRIOR_SD * pl.col("gain_cents")) ** 2 + pl.col("gain_se_cents").fill_null(0.0) ** 2 + 1e-6).sqrt()
        .alias("prior_se"), cost=pl.col("cost_cents").clip(lower_bound=0.0),
        customers=pl.col("customer_id").cast(pl.Int64), monthly=pl.lit(0.0), aimed=pl.lit(True),
    )  # fmt: skip


def with_earlier_cells(job: Job, cells: pl.DataFrame) -> pl.DataFrame:
    """CELLS with those of earlier plans whose lines the menu still has, so that what was drawn stays known of audiences
    and predictions that this plan does not have."""
    if (before := load_cells(job.store)) is None:
        return cells
    lines = [item.id for item in job.config.lines]
    earlier = before.join(cells, on=["arm", "group"], how="anti").filter(pl.col("arm").is_in(lines) | pl.col("aimed"))
    return pl.concat([cells, earlier.with_columns(customers=pl.lit(0, pl.Int64)).select(list(CELLS))])


def predicted_draws(offers: pl.DataFrame) -> pl.DataFrame:
    """What draws each offer: of those who would get its line, `line_share` do."""
    return offers.select(
        "customer_id", "offer_id", "menu_id", "gain_now", group=pl.lit(PREDICTED), prob="line_share",
        draw_start=pl.lit(0.0), draw_share="line_share",
    )  # fmt: skip


def draw_rows(job: Job, at: Moments, shares: pl.DataFrame, arms: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
    """Rows of the table of draws: `shares` have customer_id, group, send_ms, arms and none_prob; `arms` the menu line
    of every offer that could be drawn. Who got another offer than an arm counts as one who got none."""
    got = assigned.select("customer_id", "offer_id").join(
        arms.select("customer_id", "offer_id", arm="menu_id"), on=["customer_id", "offer_id"], how="left"
    )
    return shares.join(got, on="customer_id").with_columns(
        pl.col("arm").fill_null("none"), campaign_id=pl.lit(job.config.plan.campaign), ts_ms=pl.lit(at.asof),
        window_days=pl.lit(job.config.plan.window_days, pl.Int64), aimed=pl.col("group") == PREDICTED,
    )  # fmt: skip
