"""Find why a plan gives nobody, or nearly nobody, an offer; `results/plan_reason.py` says it in sentences."""

from typing import Any, NamedTuple

import polars as pl

from promolift.core.effects.offer_value.discount_response import DiscountResponse
from promolift.core.effects.settings import ValueSettings
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Benefit
from promolift.shop.results import effects
from promolift.shop.results.plan_reason import (
    ClosedOffers,
    NearestDiscount,
    NearestOffer,
    NeededSales,
    OfferShape,
    PlanReason,
)
from promolift.shop.results.work_folder.run_context import Job

FEW_SHARE = 0.01  # a plan for a smaller share of the customers it may write to says why


class PlanRules(NamedTuple):
    """What a plan stands on: margin and reach as stated, the response, whether products carry their cost."""

    value: ValueSettings
    response: DiscountResponse
    costs_known: bool
    trial: bool = False
    menu: tuple[MenuItem, ...] = ()


def explain_plan(
    job: Job, valued: pl.DataFrame, free: pl.DataFrame, chosen: pl.DataFrame, able: int
) -> PlanReason | None:
    """Find why the plan is empty or nearly so; None if it is not. `able`: eligible customers."""
    if chosen.height >= max(1.0, FEW_SHARE * able):
        return None
    if able == 0:
        return PlanReason(code="no_consent")
    if job.clean.lacks_amounts:
        return PlanReason(code="money_unknown")
    if free.is_empty():
        return exclusion_reasons(valued)
    if free["added_cents"].drop_nulls().is_empty():
        return PlanReason(code="unvalued")
    pays = free.filter(pl.col("gain_cents") > 0)
    if (others := pays["customer_id"].n_unique()) > max(chosen.height, FEW_SHARE * able):
        return PlanReason(code="held_back", customers=others, least_cents=pays["cost_cents"].min())
    rest = free.filter(~pl.col("customer_id").is_in(pays["customer_id"].implode()))
    if not rest["added_cents"].drop_nulls().len():
        return None
    rules = PlanRules(
        job.config.value,
        effects.load_response(job.store),
        job.clean.catalogue["cost_cents"].drop_nulls().len() > 0,
        job.config.plan.test_share > 0,
        job.config.menu,
    )
    return PlanReason(code="none_pays", nearest=find_nearest_offer(rest, rules, chosen.height, able))


def exclusion_reasons(valued: pl.DataFrame) -> PlanReason:
    """Count the most frequent reasons why offers are unavailable."""
    rows = valued.filter(~pl.col("eligible") & (pl.col("offer_id") != "none"))
    most = rows.group_by("why_not").len().sort(["len", "why_not"], descending=[True, False]).head(3)
    closed = tuple(ClosedOffers(why=why, offers=n) for why, n in most.iter_rows())
    return PlanReason(code="closed", closed=closed, offers=rows.height)


def find_nearest_offer(free: pl.DataFrame, rules: PlanRules, treated: int, able: int) -> NearestOffer:
    """Find the offer closest to paying, and what would have to change so that it pays."""
    free = free.filter(pl.col("added_cents").is_not_null())
    worth = pl.col("added_cents") / pl.col("cost_cents").clip(lower_bound=1e-9)
    nearest = free.sort([worth, "customer_id", "offer_id"], descending=[True, False, False], nulls_last=True)
    top = nearest.row(0, named=True)
    line = free.filter(pl.col("menu_id") == top["menu_id"])
    cost, added, margin = (float(line[name].mean()) for name in ("cost_cents", "added_cents", "margin_rate"))  # type: ignore[arg-type]
    stated = "stated" if "margin_rate" in rules.value.model_fields_set else "usual"
    whole = None if rules.costs_known else rules.value.margin_rate
    percentage = top["benefit"] == "percent_off"
    discount = None
    if not percentage and (rows := nearest.filter(pl.col("benefit") == "percent_off").head(1).to_dicts()):
        sales = needed_sales(rows[0])
        discount = NearestDiscount(offer=offer_shape(rows[0], rules), sales=sales) if sales else None
    needed = margins_needed(nearest, whole)
    unseen = top["activation"] != "automatic" and top["coupon_prob"] is None
    return NearestOffer(
        treated=treated, able=able, offer=offer_shape(top, rules), cost_cents=cost, added_cents=added,
        evidence=top["evidence"], margin_share=margin if whole is None else whole,
        own_margin_share=top["margin_rate"] if whole is None else whole,
        margin_source="costs" if rules.costs_known else stated,
        margin_needed=needed and needed.first, margin_half=needed and needed.half,
        sales=needed_sales(top) if percentage else None,
        supplier_share=top["supplier_share"], supplier_needed=supplier_needed(top),
        coupon_reach=rules.value.coupon_reach if unseen else None,
        stretch_share=None if percentage else rules.value.stretch_share,
        response=rules.response.level, response_why=rules.response.why, discount=discount, trial=rules.trial,
    )  # fmt: skip


def offer_shape(row: dict[str, Any], rules: PlanRules) -> OfferShape:
    """A menu line; one that was proposed beyond the menu by its row."""
    line = next((item for item in rules.menu if item.id == row["menu_id"]), None)
    benefit = line.benefit if line else Benefit(type="percent_off", percent=round(100 * row["depth"]))
    kind = None if row["scope"] == "all" else row["kind"]
    label = readable_name(row["target"], row["kind"]) if kind and line and line.covers else None
    return OfferShape(benefit=benefit, min_spend_cents=row["min_spend_cents"] or 0, kind=kind, label=label)


class NeededMargins(NamedTuple):
    """The margins from which an offer pays for one customer, and for half of them, None where that is none."""

    first: float
    half: float | None


def margins_needed(nearest: pl.DataFrame, stated: float | None) -> NeededMargins | None:
    """The margins from which the nearest offers would pay; None where no margin would do.

    What an offer adds is proportional to the customer's own margin, what it costs does not hang on it. Where the shop
    has `stated` a margin, each customer's is that less what their purchases are reduced by on the shelf, and it is the
    stated one that is told.
    """
    own = pl.col("margin_rate")
    needed = own * pl.col("cost_cents") / pl.col("added_cents") + (0.0 if stated is None else stated - own)
    each = nearest.filter(pl.col("added_cents") > 0).group_by("customer_id").agg(needed.min().alias("needed"))["needed"]
    if each.is_empty() or (first := float(each.min())) > 1:  # type: ignore[arg-type]
        return None
    half = float(each.median())  # type: ignore[arg-type]
    return NeededMargins(first, half if half <= 1 else None)


def supplier_needed(top: dict[str, Any]) -> float | None:
    """The suppliers' part of the discount from which the nearest offer would pay; None where no part would do."""
    paid, left = top["subsidy_cents"], top["added_cents"] - top["send_cost_cents"]
    share = 1 - left * (1 - top["supplier_share"]) / paid if paid > 0 else 2.0
    return share if share <= 1 else None


def needed_sales(top: dict[str, Any]) -> NeededSales | None:
    """How much more a percentage off must sell so as to pay at this margin, beside what is expected.

    Of x times the sales V it keeps m - f d of each unit of money: m V (x - 1) = f d V x + send. Demand that is only
    pulled forward counts as sold.
    """
    margin, base = top["margin_rate"], (top["base_cents"] or 0.0) * (top["reach"] or 0.0)
    keeps = margin - (1 - top["supplier_share"]) * top["depth"]
    if keeps <= 0 or base <= 0:
        return None
    needed = (margin + top["send_cost_cents"] / base) / keeps - 1
    return NeededSales(needed=needed, expected=top["added_cents"] / (margin * base))
