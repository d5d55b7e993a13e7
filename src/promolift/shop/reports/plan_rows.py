"""Turn a plan into rows for files. This module writes no file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from promolift.core.offers.terms import Offer, covered_targets
from promolift.foundation.errors import InputError
from promolift.foundation.frames import escape_formulas
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, LANGUAGES, Language, LocalizedText
from promolift.foundation.money import currency_digits
from promolift.foundation.tables.schemas import PLAN_FILE

EVERYTHING = LocalizedText(zh="全场", en="everything")
TEXT_COLUMNS = ("customer_id", "offer_id", "code", "channel", "gain_cents", "cost_cents", "reason")
TERM_COLUMNS = {
    name: PLAN_FILE.schema[name]
    for name in ("offer_id", "benefit", "percent", "amount", "price", "buy", "get", "item_id", "item_quantity",
                 "points", "currency", "min_spend", "max_discount", "scope", "target",
                 "target_ids", "joined", "activation", "starts", "expires", "valid_days")
}  # fmt: skip
MONEY_COLUMNS = ("amount", "price", "min_spend", "max_discount")  # columns in major units


def plan_rows(
    messages: pl.DataFrame, decisions: pl.DataFrame, offers: Iterable[Offer], languages: Sequence[Language] = ("en",)
) -> pl.DataFrame:
    """PLAN_FILE: who gets an offer, the largest expected gain first, and who is held out; text as it is.

    `messages` has TEXT_COLUMNS and a message in each of `languages`, a row per customer with an offer; `decisions` are
    everybody's. Names stand in the first language, and messages in no other than these. For Parquet and other typed
    formats. Raises InputError if a column is missing, a customer stands twice, or the two do not agree.
    """
    spoken = [f"message_{language}" for language in languages]
    if missing := [name for name in (*TEXT_COLUMNS, *spoken) if name not in messages.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "plan: columns {missing} are missing; it has {columns}", missing=missing, columns=messages.columns
            ),
        )
    titled = [name for name in ("angle", *(f"title_{each}" for each in languages)) if name in messages.columns]
    words = messages.select(*TEXT_COLUMNS, *titled, *spoken).rename(
        {"gain_cents": "expected_gain_cents", "cost_cents": "expected_cost_cents"}
    )
    if words["customer_id"].is_duplicated().any():
        raise InputError("rows_duplicate", gettext_lazy("plan: a customer has more than one offer"))
    key = ["customer_id", "offer_id"]
    records = decisions.select(*key, "propensity", "decision_id", "holdout", pl.col("reason").alias("rule"))
    given = records.filter(pl.col("offer_id") != "none").drop("holdout", "rule")
    terms = pl.DataFrame([_terms(offer, languages[0]) for offer in offers], schema=TERM_COLUMNS)
    rows = words.join(given, on=key).join(terms, on="offer_id")
    if not len(rows) == len(given) == len(words):
        raise InputError(
            "result_outdated",
            gettext_lazy("plan: the messages are of another plan than the decisions; run `promolift message` again"),
        )
    held = records.filter(pl.col("holdout").fill_null(False)).drop("offer_id").rename({"rule": "reason"})
    parts = [
        PLAN_FILE.conform(part.with_columns(pl.lit(status).alias("status"))).drop(
            f"{name}_{each}" for name in ("title", "message") for each in LANGUAGES if each not in languages
        )
        for part, status in ((rows.with_columns(send_on="starts"), "offer"), (held, "holdout"))
    ]
    return pl.concat(parts).sort(
        ["status", "expected_gain_cents", "customer_id"], descending=[True, True, False], nulls_last=True
    )


def contact_rows(rows: pl.DataFrame, language: Language = "en") -> pl.DataFrame:
    """`plan_rows` as tools that send mail import contacts: who is planned an offer, under headings that Mailchimp and
    the like know, merge fields in capitals. An id that is no e-mail address leaves the first column empty.
    """
    who = pl.col("customer_id")
    mail = pl.when(who.str.contains(r"^[^@\s]+@[^@\s]+$")).then(who)
    offers = rows.filter(pl.col("status") == "offer")
    return escape_formulas(offers.select(
        mail.alias("Email Address"), who.alias("Customer ID"), pl.col("offer_id").alias("OFFER"),
        pl.col(f"message_{language}").alias("MESSAGE"), pl.col("code").alias("CODE"), pl.col("send_on").alias("SENDON"),
        pl.col("expires").alias("ENDS"), pl.lit("promolift").alias("Tags"),
    ))  # fmt: skip


def _terms(offer: Offer, language: Language) -> dict[str, Any]:
    benefit, unit = offer.benefit, 10 ** currency_digits(offer.currency)
    most, first, last = benefit.max_discount_cents, offer.starts.date(), offer.expires.date()
    return {
        "offer_id": offer.id,
        "benefit": benefit.type,
        "percent": benefit.percent or None,
        "amount": benefit.amount_cents / unit if benefit.amount_cents else None,
        "price": benefit.price_cents / unit if benefit.price_cents else None,
        "buy": benefit.buy or None,
        "get": benefit.get or None,
        "item_id": benefit.product_id,
        "item_quantity": benefit.quantity if benefit.product_id else None,
        "points": benefit.points or None,
        "currency": offer.currency,
        "min_spend": offer.min_spend_cents / unit,
        "max_discount": most / unit if most else None,
        "scope": offer.scope,
        "target": (offer.label or EVERYTHING).text_in(language),
        "target_ids": list(covered_targets(offer.covers)),
        "joined": offer.joined,
        "activation": offer.activation,
        "starts": first,
        "expires": last,
        "valid_days": (last - first).days + 1,
    }


def export_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """`plan_rows` for CSV: money with its currency's digits, lists as one text, and no text that runs as a formula.

    Such a text gets a ' in front (OWASP, CSV injection). Ids are texts too: one that begins so is changed, and must be
    joined through the typed format.
    """
    printed = [_printed(rows, name) for name in MONEY_COLUMNS]
    ids = pl.when(pl.col("target_ids").list.len() > 0).then(pl.col("target_ids").list.join(CATEGORY_SEPARATOR))
    return escape_formulas(rows.with_columns(*printed, ids.alias("target_ids")))


def _printed(rows: pl.DataFrame, name: str) -> pl.Series:
    cells = rows.select(name, "currency").iter_rows()
    texts = [None if value is None else f"{value:.{currency_digits(code)}f}" for value, code in cells]
    return pl.Series(name, texts, dtype=pl.String)


def _write(out: Path, name: str, plan: pl.DataFrame, page: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    plan.write_parquet(out / f"{name}.parquet")
    escape_formulas(plan).write_csv(out / f"{name}.csv", include_bom=True)
    (out / "report.html").write_text(page, encoding="utf-8")
