"""The store's tables in, the report's Story out: no figure is made here, they are only gathered and named."""

from collections.abc import Sequence

import polars as pl

from promolift import effect, message
from promolift.report import Chosen, Shop, Story, Taken, Unknown
from promolift.results import effects
from promolift.results.evaluation import Evaluation, Lead, Luck, headline
from promolift.results.messages import Messages
from promolift.results.plan import INTERVAL_PERCENT, Plan
from promolift.results.shop import Health, Offers
from promolift.results.shop import Unknown as Unlearned
from promolift.sql import bind, fetch
from promolift.steps.households import households
from promolift.steps.job import Job, Moments, moments
from promolift.steps.message import product_names
from promolift.steps.outlook_story import outlook_told
from promolift.steps.plan import LIMIT
from promolift.steps.profile import at_moment
from promolift.steps.why import moneyless
from promolift.terms import Words

HOURS = """
with local as (
    select order_id, make_timestamp(min(ts_ms) * 1000) at time zone 'UTC' at time zone $zone as t
    from events where kind = 'purchase' group by order_id, customer_id
)
select isodow(t) - 1 as weekday, hour(t) as hour, count(*) as orders from local group by all order by all
"""
TYPICAL = 6  # offers of which a typical customer is shown
POLICIES = {
    "plan": "promolift's plan",
    "nobody": "nobody",
    "everybody": "everybody the same coupon, whatever it costs",
    "same_coupon": "everyone the same coupon",
    "best_customers_same_coupon": "best customers first (RFM), the same coupon",
    "best_customers_own_offer": "best customers first (RFM), each their best offer",
    "best_response": "likeliest to redeem first",
    "random": "random offers",
}


def tell_story(job: Job) -> Story:
    """Everything the report shows, from what the steps kept."""
    at, store = moments(job), job.store
    response, plan, found = effects.response(store), Plan.load(store), Evaluation.load(store)
    unchecked, shop = found.unchecked, job.config.shop
    zh_en = labels(job)
    outlook, no_outlook = outlook_told(job, at)
    words, said, health = offer_table(job), Messages.load(store), Health.load(store)
    return Story(
        shop=Shop(
            name=shop.name, currency=shop.currency, language=shop.language, timezone=shop.zone, asof_ms=at.asof,
            window_days=job.config.plan.window_days, history_days=364, budget_cents=plan.note.budget_cents,
            data_label="real data" if job.config.data.source == "complete-journey" else "the shop's data",
        ),
        interval_percent=INTERVAL_PERCENT,
        taken=Taken(health.read, health.accepted, health.accepted_share),
        **health_frames(health),
        profiles=people(job, at),
        affinities=tastes(job, at, zh_en),
        hours=hours(job),
        outlook=outlook,
        curve=response.curve.rename({"cells": "n"}) if response.curve.height else None,
        elasticities=elasticities(response, zh_en),
        placebos=placebos(response),
        overlap=response.overlap.drop("meaning") if response.overlap.height else None,
        effect_evidence=response.level,
        effect_notes=[*effect_notes(response), *campaign_notes(effects.Targeting.load(store))],
        scores=found.scores,
        calibration=found.calibration,
        recall=found.recall,
        frontier=plan.frontier,
        chosen=chosen(plan, job, zh_en, found.luck),
        policies=policy_rows(found.judged),
        lead=lead(found.lead),
        policies_note=policies_note(found.policies),
        mix=plan.offers().join(words, on="offer_id", how="left", maintain_order="left"),
        typical=said.typical(TYPICAL).join(words, on="offer_id", how="left", maintain_order="left"),
        written=said.written,
        silent=said.silent,
        households=households(job, at),
        unknowns=[*unknowns(job, response, unchecked), *unforeseen(no_outlook)],
        missing=dict.fromkeys(("curve", "elasticities", "placebos", "overlap"), response.why)
        | dict.fromkeys(("mix", "households"), next(iter(plan.note.why), "nobody gets an offer"))
        | dict.fromkeys(("scores", "calibration", "recall"), unchecked.get("purchases", "there is too little to check"))
        | {"affinities": "the log names no amounts to take shares of"}
        | ({"outlook": no_outlook} if no_outlook and job.config.encoder.depth else {})
        | unreduced(job, at)
        | unchecked,
    )  # fmt: skip


def health_frames(health: Health) -> dict[str, pl.DataFrame]:
    """The health report as the three tables of the first chapter."""
    rows, reasons = [], []
    for each in health.tables:
        rows.append(
            {
                "table": each.table, "read": each.read, "accepted": each.accepted, "repaired": each.repaired_rows,
                "rejected": each.rejected_rows,
            }
        )  # fmt: skip
        for fate, found in (("repaired", each.repaired), ("rejected", each.rejected)):
            reasons += [{"table": each.table, "reason": r, "rows": n, "fate": fate} for r, n in found.items()]
    abilities = [{"capability": a.name, "state": a.level, "reason": a.reason, "add": a.add} for a in health.abilities]
    text = {"table": pl.String, "reason": pl.String, "rows": pl.Int64, "fate": pl.String}
    return {
        "health": pl.DataFrame(rows),
        "reasons": pl.DataFrame(reasons, schema=text),
        "abilities": pl.DataFrame(abilities),
    }


def labels(job: Job) -> dict[str, Words]:
    """The readable name of every target of the candidates."""
    pairs = job.store.table("candidates").filter("target is not null").project("target, kind").distinct().pl()
    printed = product_names(job, pairs.filter(pl.col("kind") == "product")["target"])
    rows = pairs.sort("target", "kind").iter_rows()
    return {target: message.label(printed.get(target, target), kind) for target, kind in rows}


def people(job: Job, at: Moments) -> pl.DataFrame:
    """The report's customers, from the profiles; expected spend from the affinities."""
    spend = (
        at_moment(job, "affinities", at.asof)
        .group_by("customer_id")
        .agg(pl.col("expected_cents").sum().alias("spend_next_cents"))
    )
    return (
        at_moment(job, "profiles", at.asof)
        .select(
            "customer_id", "recency_days", "cadence_days", "discount_share", "price_sensitivity",
            "price_sensitivity_se",
            pl.col("orders_52w").alias("orders"),
            pl.col("revenue_52w_cents").alias("spend_cents"),
            pl.col("basket_median_cents").alias("basket_cents"),
        )
        .join(spend, on="customer_id", how="left")
        .sort("customer_id")
    )  # fmt: skip


def tastes(job: Job, at: Moments, names: dict[str, Words]) -> pl.DataFrame:
    """Shares of spend under the categories' readable names."""
    rows = at_moment(job, "affinities", at.asof).filter(pl.col("bought") & (pl.col("spend_share") > 0))
    kinds = rows.select("target", "target_kind").unique().sort("target")
    printed = product_names(job, kinds.filter(pl.col("target_kind") == "product")["target"])
    given = [t for t, kind in kinds.iter_rows() if message.is_couponable(printed.get(t, t), kind)]
    rows, kinds = (frame.filter(pl.col("target").is_in(given)) for frame in (rows, kinds))
    english = {
        t: names[t].en if t in names else message.label(printed.get(t, t), kind).en for t, kind in kinds.iter_rows()
    }
    return rows.select(
        "customer_id",
        pl.col("target").replace_strict(english, return_dtype=pl.String).str.to_titlecase().alias("target"),
        pl.col("spend_share").alias("share"),
    )


def hours(job: Job) -> pl.DataFrame:
    """Orders by hour of the week in the shop's zone."""
    sql = bind(HOURS, zone=job.config.shop.zone)
    parts = [fetch(job.store.events(shard).query("events", sql)) for shard in job.store.shards("events")]
    total = pl.concat(parts).group_by("weekday", "hour").agg(pl.col("orders").sum())
    return total.cast({"weekday": pl.Int64, "hour": pl.Int64, "orders": pl.Float64}).sort("weekday", "hour")


def elasticities(response: effect.DiscountResponse, names: dict[str, Words]) -> pl.DataFrame | None:
    """The response by category, widest evidence first."""
    rows = response.targets.filter(pl.col("target").is_in(list(names))).sort("cells", descending=True)
    if rows.is_empty():
        return None
    half = 1.96 * pl.col("response_se")
    return rows.select(
        pl.col("target").replace_strict({t: n.en for t, n in names.items()}, return_dtype=pl.String).alias("category"),
        pl.col("response").alias("elasticity"),
        (pl.col("response") - half).alias("low"),
        (pl.col("response") + half).alias("high"),
        pl.col("cells").alias("n"),
    )


def placebos(response: effect.DiscountResponse) -> pl.DataFrame | None:
    """The placebo table with the effect itself marked."""
    if response.placebo.is_empty():
        return None
    return response.placebo.with_columns((pl.col("name") == "discount now").alias("main"))


def effect_notes(response: effect.DiscountResponse) -> list[str]:
    """How the response was read, in sentences with its numbers."""
    if response.level == "assumed":
        return [
            f"The response is assumed, not measured: {response.why}.",
            f"A discount d is taken to multiply demand by exp({response.beta:.2f} d), +- {response.beta_se:.2f}.",
        ]
    kept = 1 + response.later / response.beta
    slope = response.beta_z / response.beta_z_se if response.beta_z_se else 0.0
    more = f"One standard deviation more of price sensitivity adds {response.beta_z:.2f} (z = {slope:.1f})."
    return [
        f"Read from {response.cells:,} weeks of {response.customers:,} customers and their usual categories.",
        "Compared are weeks in which the products a customer usually buys were deeper discounted with weeks in which "
        "they were not, after taking out what everybody bought in that category that week and whether they shopped.",
        f"Of the demand a discount brings in its week, {kept:.0%} is new; the rest is only bought earlier and is not "
        "counted as gained.",
        more if response.beta_z_se else "Price sensitivity is not known before the response period.",
        "Discounts were not given by chance. Another campaign of the shop that hit the same customer, category and "
        "week could still be mistaken for the discount.",
    ]


def campaign_notes(targeting: effects.Targeting) -> list[str]:
    """Why past campaigns are not taken for experiments."""
    if targeting.campaigns is None:
        return []
    told = targeting.refusal or "the targeted had spent about as much before as the others, but nobody drew them"
    return [f"No uplift is read from the {targeting.campaigns} past campaigns: {told}."]


def chosen(made: Plan, job: Job, names: dict[str, Words], luck: Luck | None) -> Chosen:
    """The plan's headline, its place on the budget curve, its certificate and what it stands on."""
    plan = made.note
    head = headline(plan, luck)
    return Chosen(
        budget_cents=plan.budget_cents, gain_cents=None if moneyless(job) else head.gain_cents,
        low_cents=head.low_cents, high_cents=head.high_cents, promised_cents=head.promised_cents,
        cost_cents=plan.cost_cents, spent_share=plan.spent_share, price=plan.worth, next_cents=plan.next_cents,
        treated=plan.treated, treated_share=plan.treated_share, eligible=plan.able, customers=plan.customers,
        held_out=plan.held_out, barred=plan.barred, offers=made.offers().height, bound_cents=plan.bound_cents,
        missing_cents=plan.missing_cents, gap=plan.gap, evidence=plan.evidence, why=plan.why,
        luck=None if head.promised_cents is None else luck, assumptions=plan.fragile_first,
        half=made.at(plan.budget_cents / 2), twice=made.at(2.0 * plan.budget_cents),
        gain_means=f"margin added in {job.config.plan.window_days} days, after the shop's part of the discounts",
        explanation=binding(plan.limits, names),
    )  # fmt: skip


def binding(limits: Sequence[str], names: dict[str, Words]) -> str | None:
    """Which limits hold gain back, the dearest first, in words."""
    said = [name.removeprefix(LIMIT) for name in limits]
    if not said:
        return None
    words = [f"at most so much of the budget on {names[name].en}" if name in names else name for name in said]
    return f"Loosening these limits would pay, the first one most: {'; '.join(words[:5])}."


def policy_rows(judged: pl.DataFrame | None) -> pl.DataFrame | None:
    """Policies at equal spend, under the names that the report gives them."""
    if judged is None:
        return None
    return judged.select(
        pl.col("policy").replace(POLICIES),
        pl.col("expected_profit_cents").alias("profit_cents"),
        pl.col("low").alias("low_cents"),
        pl.col("high").alias("high_cents"),
        pl.col("lead_low").alias("lead_low_cents"),
        pl.col("lead_high").alias("lead_high_cents"),
        "spend_cents",
        pl.col("treated").round().cast(pl.Int64),
        "evidence",
        (pl.col("policy") == "plan").alias("ours"),
    )


def lead(found: Lead | None) -> Lead | None:
    """The lead of the plan, its rival by its name in the report."""
    return found and found.model_copy(update={"rival": POLICIES.get(found.rival, found.rival)})


def policies_note(rows: pl.DataFrame | None) -> str | None:
    """How the comparison was made fair."""
    if rows is None:
        return None
    if "check" in rows["valued_by"]:
        return (
            "Customers were split into two halves by hash. Who is offered what was decided with the response of one "
            "half and valued with that of the other, for every policy alike, so that no policy is graded by the "
            "estimate that chose it. The plan shown here is made that way; that of other chapters uses both halves. "
            "Intervals cover the draw of customers, not the error that all policies share in the response; the limit "
            "per category binds the plan alone."
        )
    return (
        "All policies are valued by the same assumed response that chose the plan: this shows consistency, not proof."
    )


def offer_table(job: Job) -> pl.DataFrame:
    """offer_id and offer, its words, of every planned offer."""
    rows = [(offer.id, message.offer_words(offer, "en")) for offer in Offers.load(job.store).offers]
    return pl.DataFrame(rows, schema={"offer_id": pl.String, "offer": pl.String}, orient="row")


def unreduced(job: Job, at: Moments) -> dict[str, str]:
    """Why nobody's share of discounts is known, where it is not."""
    known = at_moment(job, "profiles", at.asof)["discount_share"].drop_nulls().len()
    why = (
        "the log holds no prices before discounts; name their column under [data.events.mapping] "
        "(columns.list_unit_price or columns.shelf_discount)"
    )
    return {} if known else {"discount_share": why}


def unforeseen(why: str | None) -> list[Unknown]:
    """What nobody knows without an encoder."""
    return [] if why is None else [Unknown("What each customer will do next, as a learned encoder would see it.", why)]


def unknowns(job: Job, response: effect.DiscountResponse, unchecked: dict[str, str]) -> list[Unknown]:
    """What nobody knows from this data, why it matters, and what would tell."""
    value, held = job.config.value, job.config.plan.holdout_share
    notes = [
        Unknown(
            "Whether this plan earns what is expected.",
            "Nothing in the data was given by chance, so every effect here is an estimate.",
            f"Send the plan: {held:.0%} of the customers are held out by hash, and the difference to them will tell."
            if held
            else "Set plan.holdout_share, so that some customers are held out and the difference can tell.",
        ),
        Unknown(
            "Whether a personal offer works like a shelf discount.",
            "The response was read from prices open to everybody; a message may be missed, or noticed more.",
            "The held-out customers answer this, too.",
        ),
    ]
    if not job.store.frame("products")["cost_cents"].drop_nulls().len():
        what = f"The margin: {value.margin_rate:.0%} of undiscounted value is assumed for every product."
        notes.append(Unknown(what, "Profit is proportional to it.", "Give the products their cost_cents."))
    assumed = (
        job.store.table("candidates").filter("why_not like 'its effect is only%'").project("menu_id").distinct().pl()
    )
    for menu_id in assumed["menu_id"].sort():
        notes.append(
            Unknown(
                f"What the offer {menu_id!r} adds where it was never measured.",
                "It is listed with an assumed effect and not planned.",
                "Try it on a small share of customers drawn by hash.",
            )
        )
    gaps = {f"No {name} model": reason for name, reason in effects.NoModel.load(job.store) if reason}
    gaps |= {f"Not checked: {name}": reason for name, reason in unchecked.items()}
    gaps |= {f"Not known of anybody: {name}": why for name, why in Unlearned.load(job.store).reasons.items()}
    notes += [Unknown(f"{what}.", reason) for what, reason in sorted(gaps.items())]
    return notes
