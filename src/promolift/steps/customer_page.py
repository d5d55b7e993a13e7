"""One customer's id in; all that is known and expected of them, from which visits, and who is like them, out."""

from typing import TYPE_CHECKING

import numpy as np

from promolift import profile
from promolift.errors import InputError
from promolift.results.forecasts import MODEL, SHARED, Alike, CustomerForecast, Ordered, Visit
from promolift.results.job import Job, StepSummary, local_day, moments
from promolift.sql import DAY_MS
from promolift.words import money

if TYPE_CHECKING:
    from promolift.steps.forecast_scene import Scene

REASONS, ALIKE = 5, 5


def customer_page(job: Job, customer_id: str) -> StepSummary:
    """Attributes, sentences, reasons and customers alike. InputError if nobody has that id."""
    rows = job.profiled.profile(moments(job).asof, customer_id).to_dicts()
    ahead = job.profiled.outlook_of(customer_id).to_dicts()
    if not rows and not ahead:
        raise InputError(f"no customer {customer_id!r} was seen before the plan's moment; see `promolift health`")
    currency = job.config.shop.currency
    said = profile.describe(rows[0], lambda cents: money(cents, currency)) if rows else []
    known = {"customer_id": customer_id, "attributes": rows[0] if rows else None}
    lines = [f"Customer {customer_id}", *said]
    if not ahead:
        return StepSummary("\n".join(lines), known | {"outlook": None})
    from promolift.steps.forecast_scene import set_scene

    outlook = {name: value for name, value in ahead[0].items() if name not in ("customer_id", "embedding")}
    found = why(job, set_scene(job), customer_id)
    lines += ["", *ahead[0]["sentences"].splitlines(), *reason_lines(found), *alike_lines(found)]
    return StepSummary("\n".join(lines), known | {"outlook": outlook} | found.model_dump(mode="json"))


def why(job: Job, scene: "Scene", customer_id: str) -> CustomerForecast:
    """The likeliest item that may be named, the visits that speak for and against it, and the customers most alike.

    By the same order of next baskets that was forecast: with the trees, where they have any weight.
    """
    from promolift.profile.encoder_data import Popularity
    from promolift.profile.encoder_forecast import LearnedEncoder, drivers, nearest
    from promolift.steps.forecast_scene import drawn, of_customer

    kept = job.store.load_files(MODEL)
    kept.pop("made_from", None)
    model = LearnedEncoder.from_files(kept)
    arrays, about = job.store.load_model(SHARED)
    shared = Popularity(about["opened"], arrays["log_WI"])
    everyone = job.profiled.kept_outlook.select(
        "customer_id", "visits", "next_1", "spend_cents", "leans_to", "sentences", "embedding"
    )
    everyone = everyone.sort("customer_id")
    row = everyone["customer_id"].to_list().index(customer_id)
    item = everyone["next_1"][row]
    state_ND = np.stack(everyone["embedding"].to_list()).astype(np.float32)
    moved: list[Visit] = []
    if item and everyone["visits"][row]:
        h, order = of_customer(job, scene, customer_id), Ordered.kept(job.store)
        if order is not None and order.weight:
            model = model.looking(order.trees, order.weight, drawn(job, scene), scene.day)
        found = drivers(model, h, shared, 0, scene.day, item).head(REASONS)
        days, baskets, effects = (found[name].to_list() for name in ("day", "items", "effect"))
        moved = [visit(job, scene, *each) for each in zip(days, baskets, effects, strict=True)]
    alike = []
    for other in nearest(state_ND, row, min(ALIKE, len(state_ND) - 1)):
        who = everyone.row(int(other), named=True)
        named = scene.voice.name(who["next_1"]) if who["next_1"] else None
        same = {name: who[name] for name in ("customer_id", "spend_cents", "leans_to")}
        alike.append(Alike(**same, next_1=named))
    return CustomerForecast(
        customer_id=customer_id,
        item=scene.voice.name(item) if item else None,
        sentences=tuple(everyone["sentences"][row].splitlines()),
        reasons=tuple(moved),
        alike=tuple(alike),
    )


def visit(job: Job, scene: "Scene", day: float, basket: list[str], effect: float) -> Visit:
    """One visit: its day, what may be named of its basket, and by what factor it moves the odds of the item."""
    names = sorted(filter(None, (scene.voice.name(item) for item in basket)))
    when = local_day(round(day * DAY_MS), job.config.shop.zone)
    return Visit(day=when.isoformat(), items=tuple(names), odds_factor=float(np.exp(effect)))


def reason_lines(found: CustomerForecast) -> list[str]:
    """The reasons as lines."""
    if not found.reasons:
        return []
    lines = [f"The visits that move the odds of {found.item} most (each left out in turn):"]
    for each in found.reasons:
        basket = ", ".join(each.items[:4]) + (" ..." if len(each.items) > 4 else "")
        lines.append(f"  {each.day}  odds x {each.odds_factor:.2f}  {basket}")
    return lines


def alike_lines(found: CustomerForecast) -> list[str]:
    """The customers alike as one line."""
    return ["Most like this customer: " + ", ".join(each.customer_id for each in found.alike) + "."]
