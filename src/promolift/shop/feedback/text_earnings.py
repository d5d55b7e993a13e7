"""Find which text each customer got or, held out, would have got, and what a message with each text added."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from promolift.core.messages.text_pool import PoolText
from promolift.core.messages.text_value import estimate_text_values
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.terms import Offer
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CUSTOMERS
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import DISCOUNT_BENEFITS, Evidence
from promolift.shop.results.learned_policy import TextEarnings
from promolift.shop.results.messages import Messages, Offers
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.work_tables import CleanTables

# What is known of a message: whose, when it was decided, its text and with which probability, and what it was about.
MESSAGE_SCHEMA = {
    "customer_id": pl.String, "ts_ms": pl.Int64, "held": pl.Boolean, "text_id": pl.String, "propensity": pl.Float64,
    "angle": pl.String, "language": pl.String, "benefit": pl.String, "scope": pl.String, "covers": pl.String,
    "menu_id": pl.String,
}  # fmt: skip


def planned_messages(store: Store, config: Config) -> pl.DataFrame:
    """Return MESSAGE_SCHEMA of the last plan, each in the language of its customer; no rows where none is kept."""
    if not (Messages.has(store) and Offers.has(store) and store.has("withheld")):
        return pl.DataFrame(schema=MESSAGE_SCHEMA)
    offers = pl.DataFrame(map(_offer_columns, Offers.load(store).offers))
    names = ["customer_id", "offer_id", "angle"]
    spoken = [f"{name}_{each}" for name in ("text", "text_prob") for each in config.shop.languages]
    sent, withheld = Messages.load(store).rows, store.frame("withheld")
    if offers.is_empty() or any(name not in each.columns for each in (sent, withheld) for name in (*names, *spoken)):
        return pl.DataFrame(schema=MESSAGE_SCHEMA)
    both = [
        each.select(*names, *spoken).with_columns(held=pl.lit(held)) for each, held in ((sent, False), (withheld, True))
    ]
    languages = CUSTOMERS.conform(CleanTables(store).people).select("customer_id", "language")
    wanted = {tag: config.shop.nearest_language(tag) for tag in languages["language"].unique()}
    rows = pl.concat(both).join(languages, on="customer_id", how="left")
    rows = rows.with_columns(
        language=pl.col("language").replace_strict(wanted, default=config.shop.language, return_dtype=pl.String)
    )
    rows = rows.join(Plan.load(store).decided("customer_id", "ts_ms"), on="customer_id").join(offers, on="offer_id")
    mine = [
        rows.filter(language=each).with_columns(text_id=f"text_{each}", propensity=f"text_prob_{each}")
        for each in config.shop.languages
    ]
    return pl.concat(mine).select(*MESSAGE_SCHEMA).cast(MESSAGE_SCHEMA).drop_nulls("text_id")  # type: ignore[arg-type]


def _offer_columns(offer: Offer) -> dict[str, str]:
    return {"offer_id": offer.id, "benefit": offer.benefit.type, "scope": offer.scope, "covers": offer.covers,
            "menu_id": offer.menu_id}  # fmt: skip


def earned_by_text(
    evidence: Evidence, sent: pl.DataFrame, texts: Sequence[PoolText], menu: Sequence[MenuItem]
) -> tuple[TextEarnings, ...]:
    """Return what a message with each of the texts added; `sent` is MESSAGE_SCHEMA.

    Of the money of a customer the cost of the message is taken off and what a supplier pays of a discount comes back; a
    benefit that no receipt shows costs what was expected of it.
    """
    slots = evidence.slots
    given = slots.action_N < slots.prob_NA.shape[1] - 1
    at = (np.arange(len(slots)), np.where(given, slots.action_N, 0))
    gain, cost = (np.where(given, np.nan_to_num(each[at]), 0.0) for each in (slots.gain_NK, slots.cost_NK))
    known = pl.DataFrame({
        "customer_id": slots.customer_id, "ts_ms": slots.start_N, "held": slots.held_N, "value": slots.reward_N,
        "value_before": slots.before_N, "predicted": gain, "expected": cost, "given": given,
    })  # fmt: skip
    first = evidence.joined.windows.filter(window=0).select("customer_id", pl.col("coupon_cents").fill_null(0))
    lines = pl.DataFrame(
        [(item.id, item.supplier_share, item.send_cost_cents, item.benefit.type in DISCOUNT_BENEFITS) for item in menu],
        {"menu_id": pl.String, "part": pl.Float64, "send": pl.Float64, "seen": pl.Boolean}, orient="row",
    )  # fmt: skip
    pool = {text.text_id: text for text in texts}
    goods = {text.text_id: text.goods for text in texts}
    rows = (
        known.filter(pl.col("given") | pl.col("held"))
        .join(sent, on=["customer_id", "ts_ms", "held"])
        .join(first, on="customer_id", how="left").join(lines, on="menu_id", how="left")
    )  # fmt: skip
    seen = pl.col("send").fill_null(0.0) - pl.col("part").fill_null(0.0) * pl.col("coupon_cents").fill_null(0)
    cost_of = pl.when("held").then(0.0).when(pl.col("seen").fill_null(True)).then(seen).otherwise("expected")
    text = pl.when(~pl.col("held")).then(pl.col("text_id", "propensity"))
    rows = rows.with_columns(text, cost=cost_of, goods=pl.col("text_id").replace_strict(goods, default=""))
    return tuple(
        TextEarnings(each, pool[each.text_id].words) for each in estimate_text_values(rows) if each.text_id in pool
    )
