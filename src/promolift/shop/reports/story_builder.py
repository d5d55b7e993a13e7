"""A shop's work folder in; the Story that its report tells out: no figure is made here, they are gathered and named."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from promolift.core import messages as message
from promolift.core.allocation.solver import LIMIT
from promolift.core.customers.disclosure_control import with_rest
from promolift.core.offers.product_names import is_couponable, is_sensitive, label
from promolift.extensions.encoder.results import ForecastNote
from promolift.foundation.i18n.formatting import count, day_count, pick, share, speaking, spoken
from promolift.foundation.i18n.text import AND, Words
from promolift.foundation.i18n.translation import kept
from promolift.foundation.money import currency_digits
from promolift.foundation.time.units import DAY_MS
from promolift.shop.reports.next_step import standing
from promolift.shop.reports.story import Card, OpenQuestion, ReadFact, Story
from promolift.shop.results import effects
from promolift.shop.results.customers import Customers, Given, Person, Tastes
from promolift.shop.results.evaluation import Evaluation, Worth
from promolift.shop.results.fairness import FairnessNote
from promolift.shop.results.ingest import Health, Span, Unknown
from promolift.shop.results.messages import LANGUAGES, Messages, Offers, PoolWords
from promolift.shop.results.plan import Plan, PlanNote, Point
from promolift.shop.results.predictions import PurchaseMembers, Unchecked
from promolift.shop.results.segments import segment_table
from promolift.shop.results.work_folder.run_context import Job, Moments, moments

UNREDUCED = (
    "the log holds no prices before discounts; name their column under [data.events.mapping] "
    "(columns.list_unit_price or columns.shelf_discount)"
)
TYPICAL = 12  # customers whose messages are shown
CARDS = 5  # customers whose stories are told
SMALL = 1  # unit of money below which an offer's gain is called small
TOLD = {
    "age": "age {}",
    "sex": "{}",
    "occupation": "{}",
    "income": "income {}",
    "tier": "membership {}",
    "household_comp": "{}",
    "home_ownership": "{}",
}


def tell_story(job: Job) -> Story:
    """Everything the report shows, from what the steps kept, in the language of the report."""
    with speaking(job.config.report_language):
        return _tell_story(job)


def tell_plan(job: Job) -> Story:
    """The plan's part of the story, in the language that is spoken: what it costs and brings, who gets what, the same
    money spent otherwise. Where it was not evaluated yet, what only that tells is missing, with the reason.
    """
    plan, note, store = Plan.load(job.store), PlanNote.load(job.store), job.store
    found = Evaluation.load(store) if plan.luck is not None or Unchecked.has(store) else None
    names = {target: words.in_(spoken()) for target, words in labels(job, plan).items()}
    written = Offers.has(store)
    offers = offer_words(job) if written else {}
    nobody = next(iter(note.why_zh if spoken() == "zh" else note.why), kept("nobody gets an offer"))
    unjudged = kept("the plan was not evaluated yet: `promolift evaluate`")
    small = SMALL * 10.0 ** currency_digits(note.shop.currency)
    every, least = plan.offers, job.config.privacy.least_cell
    return Story(
        plan=note, next=standing(job.config, store).text, language=spoken(),
        head=None if job.clean.moneyless else plan.headline, luck=plan.luck,
        half=plan.curve.at(note.budget_cents / 2), twice=plan.curve.at(2.0 * note.budget_cents),
        like_everybody=like_everybody(plan, found) if found else None, binding=binding(note.limits, names),
        believed=plan.assumptions, worth=None if job.clean.moneyless else Worth.of(plan.chosen, small),
        motives=Messages.load(store).motives if Messages.has(store) and written else (),
        segments=segment_table(job, plan.chosen),
        frontier=plan.frontier, asof_ms=moments(job).asof, window_days=job.config.plan.window_days,
        health=Health.load(store), response=effects.ResponseFigures.of(effects.response(store), names),
        policies=found.judged if found else None, lead=found.lead if found else None,
        offers=with_rest(every, "treated", least).with_columns(
            pl.col("offer_id").replace_strict(offers, default=None, return_dtype=pl.String).alias("offer")
        ),
        different=every.height, least=least,
        missing={"offers": nobody, "frontier": nobody, "policies": unjudged}
        | {name: kept(why) for name, why in (found.unchecked if found else {}).items()},
    )  # fmt: skip


def tell_customers(job: Job) -> Story:
    """The plan's part of the story, and who the shop's customers are."""
    at, plan = moments(job), Plan.load(job.store)
    names = {target: words.in_(spoken()) for target, words in labels(job, plan).items()}
    of_plan, spend = tell_plan(job), list[pl.DataFrame]()

    def bought() -> Iterator[pl.DataFrame]:
        for part in job.profiled.parts:  # all at once they are as long as the candidates
            rows = job.profiled.affinities(at.asof, among=part)
            spend.append(rows.group_by("customer_id").agg(pl.col("expected_cents").sum()))
            yield named(job, rows, names)

    tastes = Tastes.of(bought())
    missing = {"discount_share": kept(UNREDUCED), "tastes": kept("the log names no amounts to take shares of")}
    people = Customers.of(job.profiled.profiles(at.asof), pl.concat(spend))
    return replace(of_plan, customers=people, tastes=tastes, missing=dict(of_plan.missing) | missing)


def _tell_story(job: Job) -> Story:
    at, store, plan = moments(job), job.store, Plan.load(job.store)
    found, forecast, said = Evaluation.load(store), ForecastNote.load(store), Messages.load(store)
    unforecast, of_customers = forecast.missing, tell_customers(job)
    unchecked = {name: kept(why) for name, why in found.unchecked.items()}
    return replace(
        of_customers,
        forecast=forecast.checked,
        predictions=found.predictions,
        typical=typical(job, said, offer_words(job)),
        angles=list(said.angles.items()),
        wording=PoolWords.load(store) if PoolWords.has(store) else None,
        written=said.written,
        silent=said.silent,
        cards=cards(job, at),
        segments=segment_table(job, plan.chosen),
        fairness=FairnessNote.load(store) if FairnessNote.has(store) else None,
        unknowns=unknowns(job, plan),
        attributes=not_known(job, unchecked, unforecast),
        members=PurchaseMembers.load(job.store),
        missing={name: of_customers.missing[name] for name in ("offers", "discount_share", "tastes")}
        | {
            "cards": of_customers.missing["offers"],
            "predictions": unchecked.get("purchases", kept("there is too little to check")),
        }
        | ({"forecast": kept(unforecast)} if unforecast and job.config.encoder.depth else {})
        | unchecked,
    )


def like_everybody(plan: Plan, found: Evaluation) -> Point | None:
    """The best plan for what one coupon for everybody costs, where that earns more by spending more; else None."""
    judged = found.judged
    if judged is None:
        return None
    rows = {row["policy"]: row for row in judged.iter_rows(named=True)}
    ours, every = rows.get("plan"), rows.get("everybody")
    if ours is None or every is None or every["expected_profit_cents"] <= ours["expected_profit_cents"]:
        return None
    return plan.curve.at(every["spend_cents"])


def typical(job: Job, said: Messages, offers: Mapping[str, str]) -> list[Card]:
    """Customers of every reason and the most frequent offers, with the facts that are read in what they read."""
    printed = Offers.load(job.store).by_id
    cards = []
    for row in said.typical(TYPICAL).iter_rows(named=True):
        found = []
        for language in LANGUAGES:
            bought = (label(row["bought_name"], "product"),) if row.get("bought_name") else ()
            known = message.Known(name=row.get("name"), bought=bought)
            text = row[f"message_{language}"]
            read = message.facts(text, printed[row["offer_id"]], language, known=known) if text else []
            found += [ReadFact(language, fact.said, fact.kind, fact.holds) for fact in read]
        cards.append(Card(Given.of(row), offers[row["offer_id"]], read=found))
    return cards


def labels(job: Job, plan: Plan) -> dict[str, Words]:
    """The readable name of every target of the candidates."""
    printed = job.clean.printed_names(plan.targets.filter(pl.col("kind") == "product")["target"])
    return {target: label(printed.get(target, target), kind) for target, kind in plan.targets.iter_rows()}


def named(job: Job, affinities: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """customer_id, target and spend_share of what was bought and may be told, the target as it is printed."""
    rows = affinities.filter(pl.col("bought") & (pl.col("spend_share") > 0))
    kinds = rows.select("target", "target_kind").unique().sort("target")
    printed = job.clean.printed_names(kinds.filter(pl.col("target_kind") == "product")["target"])
    printable = {
        t: names.get(t) or label(printed.get(t, t), kind).in_(spoken())
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
    return name.title() if name.isascii() and spoken() == "en" else name


def binding(limits: Sequence[str], names: Mapping[str, str]) -> str:
    """Which limits hold gain back, the dearest first, in words."""
    said = [name.removeprefix(LIMIT) for name in limits]
    words = [kept(f"at most so much of the budget on {names[name]}") if name in names else name for name in said[:5]]
    if not words:
        return ""
    return pick(
        f"Loosening these limits would pay, the first one most: {'; '.join(words)}.",
        f"放宽以下限制会多赚，第一条最明显：{'；'.join(words)}。",
    )


def offer_words(job: Job) -> dict[str, str]:
    """The words of every planned offer, by its id."""
    return {offer.id: message.offer_words(offer, spoken()) for offer in Offers.load(job.store).offers}


def not_known(job: Job, unchecked: Mapping[str, str], unforecast: str | None) -> list[OpenQuestion]:
    """What could not be modelled, checked or told of anybody, by its name, and why."""
    gaps = {pick(f"model: {name}", f"模型：{name}"): why for name, why in effects.NoModel.load(job.store) if why}
    gaps |= {pick(f"check: {name}", f"检验：{name}"): why for name, why in unchecked.items()}
    gaps |= Unknown.load(job.store).reasons
    gaps |= {pick("encoder", "编码器"): unforecast} if unforecast else {}
    return [OpenQuestion(what, kept(why)) for what, why in sorted(gaps.items())]


def unknowns(job: Job, plan: Plan) -> list[OpenQuestion]:
    """What nobody knows from this data, why it matters, and what would tell."""
    value, held = job.config.value, share(job.config.plan.holdout_share)
    told_by = kept(
        f"Send the plan: {held} of the customers, picked at random, get nothing, and the difference to them will tell."
    )
    if not job.config.plan.holdout_share:
        told_by = kept("Set plan.holdout_share, so that some customers are held out and the difference can tell.")
    notes = [
        OpenQuestion(
            kept("Whether this plan earns what is expected."),
            kept("Nothing in the data was randomised, so every effect here is an estimate."),
            told_by,
        ),
        OpenQuestion(
            kept("Whether a personal offer works like a price cut on the shelf."),
            kept("The response was read from prices open to everybody; a message may be missed, or noticed more."),
            kept("The customers left out answer this, too."),
        ),
    ]
    if not job.clean.catalogue["cost_cents"].drop_nulls().len():
        rate, own = share(value.margin_rate), "margin_rate" in value.model_fields_set
        what = kept(f"The margin: {rate} is a usual value, not yours.")
        if own:
            what = kept(f"The margin of each product: {rate} is stated for all.")
        why = kept("Profit is proportional to it.")
        ask = kept("Give the products their cost (column cost).")
        notes.append(OpenQuestion(what, why, ask))
    if lines := unmeasured(job, plan):
        notes.append(
            OpenQuestion(
                pick(
                    f"What these offers add where it was never measured: {'; '.join(lines)}.",
                    f"以下优惠在从未测量过的地方能带来多少：{'；'.join(lines)}。",
                ),
                kept("There they are listed with an assumed effect and not planned."),
                kept("Try them on a small share of customers picked at random (plan.trial)."),
            )
        )
    return notes


def unmeasured(job: Job, plan: Plan) -> list[str]:
    """The menu lines that somewhere were left out because their effect is but assumed, in words."""
    one, currency, said = Words(zh="一个品类", en="one category"), job.config.shop.currency, list[str]()
    ids = set(plan.unmeasured)
    for item in (each for each in plan.note.menu if each.id in ids):
        on = one if item.scope == "category" else None
        if item.covers:
            on = label(AND.join(item.covers), "product" if item.scope == "product" else "category")
        said.append(message.line_words(item.benefit, item.min_spend_cents, currency, spoken(), on))
    return said


def cards(job: Job, at: Moments) -> list[Card]:
    """Five different plans: the largest expected gain of five menu lines or categories, described customers first."""
    offers, described = offer_words(job), job.clean.people
    picked = varied(Messages.load(job.store).rows, described)
    profiles = job.profiled.profiles(at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
    if (ahead := job.profiled.outlook) is not None:
        profiles = profiles.join(ahead.select("customer_id", "churn_prob"), on="customer_id", how="left")
    about = {row["customer_id"]: Person.of(row) for row in profiles.iter_rows(named=True)}
    details = {row["customer_id"]: row for row in described.iter_rows(named=True)}
    tastes = top_tastes(job, at, picked)
    found, days = [], log_days(job, at)
    for row in picked.iter_rows(named=True):
        given = Given.of(row)
        person = about.get(given.customer_id, Person())
        said = who(person, details.get(given.customer_id, {}), tastes.get(given.customer_id, []))
        found.append(Card(given, offers[given.offer_id], said, facts(person, days)))
    return found


def varied(messages: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """At most one customer per target, spread from high to low gain, those who told us something first."""
    known = messages.with_columns(pl.col("customer_id").is_in(described["customer_id"].implode()).alias("known"))
    best = known.sort(["known", "gain_cents", "customer_id"], descending=[True, True, False])
    distinct = best.unique("target", keep="first", maintain_order=True).sort(
        "gain_cents", "customer_id", descending=[True, False]
    )
    step = max(1, distinct.height // CARDS)
    return distinct.gather_every(step).head(CARDS)


def top_tastes(job: Job, at: Moments, picked: pl.DataFrame) -> dict[str, list[str]]:
    """The three categories each picked customer buys most often, by their names; private ones left out."""
    rows = job.profiled.affinities(at.asof, picked["customer_id"])
    often = rows.filter(pl.col("bought")).sort("orders", "target", descending=[True, False])
    printed = job.clean.printed_names(often.filter(pl.col("target_kind") == "product")["target"])
    found: dict[str, list[str]] = {}
    for who, target, kind in often.select("customer_id", "target", "target_kind").iter_rows():
        names = found.setdefault(who, [])
        name = printed.get(target, target)
        if len(names) < 3 and not is_sensitive(name, kind) and is_couponable(name, kind):
            names.append(label(name, kind).in_(spoken()))
    return found


def who(person: Person, said: dict[str, Any], tastes: list[str]) -> str:
    """One or two sentences on the customer."""
    known = [kept(text.format(said[name])) for name, text in TOLD.items() if said.get(name)]
    parts = [pick(f"Told the shop: {', '.join(known)}.", f"自述：{'，'.join(known)}。")] if known else []
    cadence = person.cadence_days
    if cadence is not None:
        every = day_count(round(cadence))
        often = kept(f"Shops about every {every} days.")
        parts.append(often if cadence >= 1.5 else kept("Shops nearly every day."))
    if tastes:
        parts.append(pick(f"Buys {', '.join(tastes)} most often.", f"最常买{'、'.join(tastes)}。"))
    return pick(" ", "").join(parts)


def log_days(job: Job, at: Moments) -> int:
    """How many days the log goes back."""
    first_ms = Span.load(job.store).first_ms
    return 0 if first_ms is None else -((first_ms - at.asof) // DAY_MS)


def orders_words(days: int | None = None) -> str:
    """What a number of orders counts: those of a year, or of all `days` of a younger log."""
    return kept("orders in a year") if days is None else pick(f"orders in {count(days)} days", f"{count(days)}天订单数")


def facts(person: Person, days: int) -> dict[str, str]:
    """Figures of the profile, as far as they are known; `days` is how far the log goes back."""
    young = person.orders_52w is None
    shown = [
        (orders_words(days if young else None), count, person.orders_total if young else person.orders_52w),
        (kept("last order, days ago"), count, person.recency_days),
        (kept("paid less than list price"), share, person.discount_share),
        (kept("bought on a shelf deal"), share, person.deal_share),
        (kept("stays away for two months"), share, person.churn_prob),
    ]
    return {name: say(value) for name, say, value in shown if value is not None}
