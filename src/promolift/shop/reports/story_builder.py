"""Collect the stored results of a work folder into the Story that the report shows. It computes no new figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from promolift.core import messages as message
from promolift.core.allocation.solver import CATEGORY_LIMIT_PREFIX
from promolift.core.customers.disclosure_control import merge_small_cells
from promolift.core.offers.product_names import is_couponable, is_sensitive, readable_name
from promolift.extensions.encoder.results import ForecastNote
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import count, current_locale, day_count, join_sentences, percent, use_locale
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.localized_text import LocalizedText
from promolift.foundation.money import currency_digits
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.reports.next_step import shop_status
from promolift.shop.reports.story import CustomerCard, OpenQuestion, ReadFact, Story
from promolift.shop.results import effects
from promolift.shop.results.customers import Customers, Person, PlannedOffer, Tastes
from promolift.shop.results.evaluation import Evaluation, Worth, depth_uplift
from promolift.shop.results.fairness import FairnessNote
from promolift.shop.results.ingest import Health, Span, UnknownAttributes
from promolift.shop.results.line_tests import describe_line
from promolift.shop.results.messages import Messages, Offers, PoolWords
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import BudgetPoint, PlanNote
from promolift.shop.results.predictions import PurchaseMembers, UncheckedPredictions
from promolift.shop.results.promotion_history import PromotionHistory
from promolift.shop.results.segments import segment_table
from promolift.shop.results.work_folder.run_context import Job, Moments, moments

UNREDUCED = gettext_noop(
    "the log holds no prices before discounts; name their column under [data.events.mapping] "
    "(columns.list_unit_price or columns.shelf_discount)"
)
MESSAGES_SHOWN = 12  # customers whose messages are shown
CUSTOMERS_SHOWN = 5  # customers whose stories are told
SMALL = 1  # unit of money below which an offer's gain is called small
PROFILE_PHRASES = {
    "age": gettext_noop("age {value}"),
    "sex": "{value}",
    "occupation": "{value}",
    "income": gettext_noop("income {value}"),
    "tier": gettext_noop("membership {value}"),
    "household_comp": "{value}",
    "home_ownership": "{value}",
}


def build_story(job: Job) -> Story:
    """Build the story of the report from the stored results, in the language of the report."""
    with use_locale(job.config.report_language):
        return _tell_story(job)


def build_plan_story(job: Job) -> Story:
    """The plan's part of the story, in the language that is spoken: what it costs and brings, who gets what, the same
    money spent otherwise. Where it was not evaluated yet, what only that tells is missing, with the reason.
    """
    plan, note, store = Plan.load(job.store), PlanNote.load(job.store), job.store
    found = Evaluation.load(store) if plan.luck is not None or UncheckedPredictions.has(store) else None
    names = {target: words.text_in(current_locale()) for target, words in labels(job, plan).items()}
    written = Offers.has(store)
    offers = offer_words(job) if written else {}
    why = plan.why
    nobody = next(iter(why), gettext("nobody gets an offer"))
    unjudged = gettext("the plan was not evaluated yet: `promolift evaluate`")
    small = SMALL * 10.0 ** currency_digits(note.shop.currency)
    every, least = plan.offers, job.config.privacy.printed_cell
    response = effects.ResponseFigures.of(effects.load_response(store), names)
    return Story(
        plan=note, why=why, next=shop_status(job.config, store).text, language=current_locale(),
        summary=plan.summary, luck=plan.luck,
        half=plan.curve.at(note.budget_cents / 2), twice=plan.curve.at(2.0 * note.budget_cents),
        like_everybody=like_everybody(plan, found) if found else None, binding=binding_limits(note.limits, names),
        worth=None if job.clean.lacks_amounts else Worth.of(plan.chosen, small),
        motives=Messages.load(store).motives if Messages.has(store) and written else (),
        segments=segment_table(job, plan.chosen),
        frontier=plan.frontier, asof_ms=moments(job).asof if note.asof_ms is None else note.asof_ms,
        health=Health.load(store), response=response,
        policies=found.judged if found else None, lead=found.lead if found else None,
        offers=merge_small_cells(every, "treated", least).with_columns(
            pl.col("offer_id").replace_strict(offers, default=None, return_dtype=pl.String).alias("offer")
        ),
        different=every.height, least=least,
        uplift=depth_uplift(plan.chosen, found.uplift_check if found else None, response),
        missing={"offers": nobody, "frontier": nobody, "policies": unjudged}
        | {name: render_message(why) for name, why in (found.unchecked if found else {}).items()},
    )  # fmt: skip


def build_customer_story(job: Job) -> Story:
    """Build the plan's part of the story with the shop's customers."""
    at, plan = moments(job), Plan.load(job.store)
    names = {target: words.text_in(current_locale()) for target, words in labels(job, plan).items()}
    of_plan, spend = build_plan_story(job), list[pl.DataFrame]()

    def bought() -> Iterator[pl.DataFrame]:
        for part in job.profiled.parts:  # all at once they are as long as the candidates
            rows = job.profiled.affinities(at.asof, among=part)
            spend.append(rows.group_by("customer_id").agg(pl.col("expected_cents").sum()))
            yield printed_affinities(job, rows, names)

    tastes = Tastes.of(bought())
    missing = {
        "discount_share": gettext(UNREDUCED),
        "tastes": gettext("the log names no amounts to take shares of"),
    }
    people = Customers.of(job.profiled.profiles(at.asof), pl.concat(spend))
    return replace(of_plan, customers=people, tastes=tastes, missing=dict(of_plan.missing) | missing)


def _tell_story(job: Job) -> Story:
    at, store, plan = moments(job), job.store, Plan.load(job.store)
    found, forecast, said = Evaluation.load(store), ForecastNote.load(store), Messages.load(store)
    unforecast, of_customers = forecast.missing, build_customer_story(job)
    unchecked = {name: render_message(why) for name, why in found.unchecked.items()}
    return replace(
        of_customers,
        forecast=forecast.checked,
        predictions=found.predictions,
        typical=typical_messages(job, said, offer_words(job)),
        angles=list(said.angles.items()),
        wording=PoolWords.load(store) if PoolWords.has(store) else None,
        written=said.written,
        silent=said.silent,
        cards=customer_cards(job, at),
        segments=segment_table(job, plan.chosen),
        fairness=FairnessNote.load(store) if FairnessNote.has(store) else None,
        unknowns=open_questions(job, plan),
        history=PromotionHistory.load(store) if PromotionHistory.has(store) else None,
        attributes=missing_models(job, unchecked, unforecast),
        members=PurchaseMembers.load(job.store),
        missing={name: of_customers.missing[name] for name in ("offers", "discount_share", "tastes")}
        | {
            "cards": of_customers.missing["offers"],
            "predictions": unchecked.get("purchases", gettext("there is too little to check")),
        }
        | ({"forecast": render_message(unforecast)} if unforecast and job.config.encoder.depth else {})
        | unchecked,
    )


def like_everybody(plan: Plan, found: Evaluation) -> BudgetPoint | None:
    """The best plan for what one coupon for everybody costs, where that earns more by spending more; else None."""
    judged = found.judged
    if judged is None:
        return None
    rows = {row["policy"]: row for row in judged.iter_rows(named=True)}
    ours, every = rows.get("plan"), rows.get("everybody")
    if ours is None or every is None or every["expected_profit_cents"] <= ours["expected_profit_cents"]:
        return None
    return plan.curve.at(every["spend_cents"])


def typical_messages(job: Job, said: Messages, offers: Mapping[str, str]) -> list[CustomerCard]:
    """Customers of every reason and the most frequent offers, with the facts that are read in what they read."""
    printed = Offers.load(job.store).by_id
    cards = []
    for row in said.typical(MESSAGES_SHOWN).iter_rows(named=True):
        found = []
        for language in said.languages:
            bought = (readable_name(row["bought_name"], "product"),) if row.get("bought_name") else ()
            known = message.AngleFacts(name=row.get("name"), bought=bought)
            text = row[f"message_{language}"]
            read = message.extract_facts(text, printed[row["offer_id"]], language, known=known) if text else []
            found += [ReadFact(language, fact.text, fact.kind, fact.holds) for fact in read]
        cards.append(CustomerCard(PlannedOffer.of(row), offers[row["offer_id"]], read=found))
    return cards


def labels(job: Job, plan: Plan) -> dict[str, LocalizedText]:
    """The readable name of every target of the candidates."""
    printed = job.clean.printed_names(plan.targets.filter(pl.col("kind") == "product")["target"])
    return {target: readable_name(printed.get(target, target), kind) for target, kind in plan.targets.iter_rows()}


def printed_affinities(job: Job, affinities: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Return customer_id, target as printed and spend_share of purchases that may be shown."""
    rows = affinities.filter(pl.col("bought") & (pl.col("spend_share") > 0))
    kinds = rows.select("target", "target_kind").unique().sort("target")
    printed = job.clean.printed_names(kinds.filter(pl.col("target_kind") == "product")["target"])
    printable = {
        t: names.get(t) or readable_name(printed.get(t, t), kind).text_in(current_locale())
        for t, kind in kinds.iter_rows()
        if is_couponable(printed.get(t, t), kind)
    }
    return rows.filter(pl.col("target").is_in(list(printable))).select(
        "customer_id",
        pl.col("target").replace_strict({t: title(name) for t, name in printable.items()}, return_dtype=pl.String),
        "spend_share",
    )


def title(name: str) -> str:
    """A name as a chart prints it; Chinese has no capitals."""
    return name.title() if name.isascii() and current_locale() == "en" else name


def binding_limits(limits: Sequence[str], names: Mapping[str, str]) -> str:
    """Describe the limits that cost gain, the most expensive first."""
    said = [name.removeprefix(CATEGORY_LIMIT_PREFIX) for name in limits]
    words = [
        gettext("at most so much of the budget on {names}", names=names[name]) if name in names else name
        for name in said[:5]
    ]
    if not words:
        return ""
    return gettext(
        "Loosening these limits would pay, the first one most: {words}.",
        words="; ".join(words),
        words_2="；".join(words),
    )


def offer_words(job: Job) -> dict[str, str]:
    """The words of every planned offer, by its id."""
    return {offer.id: message.describe_offer(offer, current_locale()) for offer in Offers.load(job.store).offers}


def missing_models(job: Job, unchecked: Mapping[str, str], unforecast: str | None) -> list[OpenQuestion]:
    """List what could not be modelled or checked, by name, with the reason."""
    gaps = {gettext("model: {name}", name=name): why for name, why in effects.MissingModels.load(job.store) if why}
    gaps |= {gettext("check: {name}", name=name): why for name, why in unchecked.items()}
    gaps |= UnknownAttributes.load(job.store).reasons
    gaps |= {gettext("encoder"): unforecast} if unforecast else {}
    return [OpenQuestion(what, render_message(why)) for what, why in sorted(gaps.items())]


def open_questions(job: Job, plan: Plan) -> list[OpenQuestion]:
    """List what this data cannot answer, why it matters, and what would answer it."""
    value, held = job.config.value, percent(job.config.plan.holdout_share)
    told_by = gettext(
        "Send the plan: {held} of the customers, picked at random, get nothing, and are compared with the others.",
        held=held,
    )
    if not job.config.plan.holdout_share:
        told_by = gettext("Set plan.holdout_share, so that some customers are held out and the difference can tell.")
    notes = [
        OpenQuestion(
            gettext("Whether this plan earns what is expected."),
            gettext("Nothing in the data was randomised, so every effect here is an estimate."),
            told_by,
        ),
        OpenQuestion(
            gettext("Whether a personal offer works like a price cut on the shelf."),
            gettext("The response was read from prices open to everybody; a message may be missed, or noticed more."),
            gettext("The customers left out answer this, too."),
        ),
    ]
    if not job.clean.catalogue["cost_cents"].drop_nulls().len():
        rate, own = percent(value.margin_rate), "margin_rate" in value.model_fields_set
        what = gettext("The margin: {rate} is a usual value, not yours.", rate=rate)
        if own:
            what = gettext("The margin of each product: {rate} is stated for all.", rate=rate)
        why = gettext("Profit is proportional to it.")
        ask = gettext("Give the products their cost (column cost).")
        notes.append(OpenQuestion(what, why, ask))
    if lines := unmeasured(job, plan):
        notes.append(
            OpenQuestion(
                gettext(
                    "What these offers add where it was never measured: {lines}.",
                    lines="; ".join(lines),
                    lines_2="；".join(lines),
                ),
                gettext("There they are listed with an assumed effect and not planned."),
                gettext("Try them on a small share of customers picked at random (plan.test_share)."),
            )
        )
    return notes


def unmeasured(job: Job, plan: Plan) -> list[str]:
    """The menu lines that somewhere were left out because their effect is but assumed, in words."""
    ids, currency = set(plan.unmeasured), job.config.shop.currency
    return [describe_line(item, currency) for item in plan.note.menu if item.id in ids]


def customer_cards(job: Job, at: Moments) -> list[CustomerCard]:
    """Five different plans: the largest expected gain of five menu lines or categories, described customers first."""
    offers, described = offer_words(job), job.clean.people
    picked = varied_messages(Messages.load(job.store).rows, described)
    profiles = job.profiled.profiles(at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
    if (ahead := job.profiled.outlook) is not None:
        profiles = profiles.join(ahead.select("customer_id", "churn_prob"), on="customer_id", how="left")
    about = {row["customer_id"]: Person.of(row) for row in profiles.iter_rows(named=True)}
    details = {row["customer_id"]: row for row in described.iter_rows(named=True)}
    tastes = top_tastes(job, at, picked)
    found, days = [], log_days(job, at)
    for row in picked.iter_rows(named=True):
        given = PlannedOffer.of(row)
        person = about.get(given.customer_id, Person())
        said = describe_customer(person, details.get(given.customer_id, {}), tastes.get(given.customer_id, []))
        found.append(CustomerCard(given, offers[given.offer_id], said, profile_figures(person, days)))
    return found


def varied_messages(messages: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """At most one customer per target, spread from high to low gain, those who told us something first."""
    known = messages.with_columns(pl.col("customer_id").is_in(described["customer_id"].implode()).alias("known"))
    best = known.sort(["known", "gain_cents", "customer_id"], descending=[True, True, False])
    distinct = best.unique("target", keep="first", maintain_order=True).sort(
        "gain_cents", "customer_id", descending=[True, False]
    )
    step = max(1, distinct.height // CUSTOMERS_SHOWN)
    return distinct.gather_every(step).head(CUSTOMERS_SHOWN)


def top_tastes(job: Job, at: Moments, picked: pl.DataFrame) -> dict[str, list[str]]:
    """The three categories each picked customer buys most often, by their names; private ones left out."""
    ids = picked["customer_id"]
    rows = job.profiled.affinities(at.asof, ids[0] if ids.len() == 1 else ids)  # of one, by the order of the file
    often = rows.filter(pl.col("bought")).sort("orders", "target", descending=[True, False])
    printed = job.clean.printed_names(often.filter(pl.col("target_kind") == "product")["target"])
    found: dict[str, list[str]] = {}
    for who, target, kind in often.select("customer_id", "target", "target_kind").iter_rows():
        names = found.setdefault(who, [])
        name = printed.get(target, target)
        if len(names) < 3 and not is_sensitive(name, kind) and is_couponable(name, kind):
            names.append(readable_name(name, kind).text_in(current_locale()))
    return found


def describe_customer(person: Person, said: dict[str, Any], tastes: list[str]) -> str:
    """Describe the customer in one or two sentences."""
    known = [gettext(text, value=said[name]) for name, text in PROFILE_PHRASES.items() if said.get(name)]
    parts = [gettext("On file: {known}.", known=", ".join(known), known_2="，".join(known))] if known else []
    cadence = person.cadence_days
    if cadence is not None:
        every = day_count(round(cadence))
        often = gettext("Shops about every {every} days.", every=every)
        parts.append(often if cadence >= 1.5 else gettext("Shops nearly every day."))
    if tastes:
        parts.append(gettext("Buys {tastes} most often.", tastes=", ".join(tastes), tastes_2="、".join(tastes)))
    return join_sentences(*parts)


def log_days(job: Job, at: Moments) -> int:
    """How many days the log goes back."""
    first_ms = Span.load(job.store).first_ms
    return 0 if first_ms is None else -((first_ms - at.asof) // DAY_MS)


def orders_words(days: int | None = None) -> str:
    """What a number of orders counts: those of a year, or of all `days` of a younger log."""
    return gettext("orders in a year") if days is None else gettext("orders in {days} days", days=count(days))


def profile_figures(person: Person, days: int) -> dict[str, str]:
    """Return the known figures of the profile; `days` is the length of the log."""
    young = person.orders_52w is None
    shown = [
        (orders_words(days if young else None), count, person.orders_total if young else person.orders_52w),
        (gettext("last order, days ago"), count, person.recency_days),
        (gettext("paid less than list price"), percent, person.discount_share),
        (gettext("bought on a shelf deal"), percent, person.deal_share),
        (gettext("stays away for two months"), percent, person.churn_prob),
    ]
    return {name: say(value) for name, say, value in shown if value is not None}
