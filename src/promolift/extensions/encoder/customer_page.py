"""Show everything known and forecast about one customer, with reasons and similar customers (`profile --customer`)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from promolift.extensions.encoder.results import ENCODER_MODEL, SHARED_MODEL, BasketTrees
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import money
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy, render_message
from promolift.foundation.progress import StepSummary
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.reports.attribute_text import describe
from promolift.shop.results.work_folder.run_context import Job, local_day, moments

REASONS_SHOWN, SIMILAR_CUSTOMERS_SHOWN = 5, 5


def customer_page(job: Job, customer_id: str) -> StepSummary:
    """Attributes, sentences, reasons and customers alike. InputError if nobody has that id."""
    rows = job.profiled.profile(moments(job).asof, customer_id).to_dicts()
    ahead = job.profiled.outlook_of(customer_id).to_dicts()
    if not rows and not ahead:
        raise InputError(
            "customer_unknown",
            gettext_lazy(
                "no customer '{customer_id}' was seen before the plan's moment; see `promolift health`",
                customer_id=customer_id,
            ),
        )
    currency = job.config.shop.currency
    said = describe(rows[0], lambda cents: money(cents, currency)) if rows else []
    known = {"customer_id": customer_id, "attributes": rows[0] if rows else None}
    lines = [gettext("Customer {customer_id}", customer_id=customer_id), *said]
    if not ahead:
        return StepSummary("\n".join(lines), known | {"outlook": None})
    outlook = {name: value for name, value in ahead[0].items() if name not in ("customer_id", "embedding")}
    found = explain_forecast(job, customer_id)
    sentences = [LazyMessage.from_text(each) for each in ahead[0]["sentences"].splitlines()]
    outlook["sentences"] = "\n".join(sentences)
    lines += ["", *map(render_message, sentences), *found.lines()]
    return StepSummary("\n".join(lines), known | {"outlook": outlook} | asdict(found))


@dataclass(frozen=True)
class VisitReason:
    """A visit that moves the odds of an item: its day, what may be told of its basket, and the factor."""

    day: str
    items: list[str]
    odds_factor: float


@dataclass(frozen=True)
class CustomerForecast:
    """The likeliest item that may be named, the visits that speak for and against it, and the customers most alike."""

    item: str | None
    reasons: list[VisitReason]
    alike: list[str]

    def lines(self) -> Iterator[str]:
        if self.reasons:
            yield gettext("The visits that move the odds of {item} most (each left out in turn):", item=self.item)
        for each in self.reasons:
            basket = ", ".join(each.items[:4]) + (" ..." if len(each.items) > 4 else "")
            yield "  " + gettext(
                "{day}  odds x {factor}  {basket}", day=each.day, factor=f"{each.odds_factor:.2f}", basket=basket
            )
        yield gettext("Most like this customer: {customers}.", customers=", ".join(self.alike))


def explain_forecast(job: Job, customer_id: str) -> CustomerForecast:
    """By the same order of next baskets that was forecast: with the trees, where they have any weight."""
    from promolift.extensions.encoder.network.forecast import nearest_customers, visit_contributions
    from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
    from promolift.extensions.encoder.network.purchase_histories import Popularity
    from promolift.extensions.encoder.training_data import customer_history, load_context, sampled_histories

    kept, scene = job.store.load_files(ENCODER_MODEL), load_context(job)
    kept.pop("made_from", None)
    model = LearnedEncoder.from_files(kept)
    arrays, about = job.store.load_model(SHARED_MODEL)
    shared = Popularity(about["opened"], arrays["log_WI"])
    everyone = job.profiled.required_outlook.select("customer_id", "visits", "next_1", "embedding").sort("customer_id")
    row = everyone["customer_id"].to_list().index(customer_id)
    item, moved = everyone["next_1"][row], list[VisitReason]()
    state_ND = np.stack(everyone["embedding"].to_list()).astype(np.float32)
    if item and everyone["visits"][row]:
        h, order = customer_history(job, scene, customer_id), BasketTrees.load_or_none(job.store)
        if order is not None and order.weight:
            model = model.with_ranker(order.trees, order.weight, sampled_histories(job, scene), scene.day)
        for visit in (
            visit_contributions(model, h, shared, 0, scene.day, item).head(REASONS_SHOWN).iter_rows(named=True)
        ):
            names = sorted(filter(None, map(scene.sentence_format.name, visit["items"])))
            day = local_day(round(visit["day"] * DAY_MS), job.config.shop.zone)
            moved.append(VisitReason(day.isoformat(), names, float(np.exp(visit["effect"]))))
    alike = (
        everyone["customer_id"]
        .gather(nearest_customers(state_ND, row, min(SIMILAR_CUSTOMERS_SHOWN, len(state_ND) - 1)))
        .to_list()
    )
    return CustomerForecast(scene.sentence_format.name(item) if item else None, moved, alike)
