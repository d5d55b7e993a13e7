"""A plan with a reason on each row in; the same rows with their messages out, the propensity of each text beside it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl
from pydantic import Field

from promolift.errors import InputError
from promolift.message.angles import Known
from promolift.message.channels import Pack, Sender
from promolift.message.choose import WordChoice
from promolift.message.fill import PLAIN, Way, write
from promolift.message.names import label
from promolift.settings import Settings
from promolift.terms import Language, Offer


class MessageSettings(Settings):
    """Where the words come from, and who approves them; see [messages.md](messages.md)."""

    writer: Literal["pool", "local", "remote"] = Field(
        default="pool",
        description="Who drafts and judges texts for `promolift words draft` and `promolift words judge`: nobody "
        "(`pool`: the texts at hand are all there are), or a model (`local` or `remote`, named under `llm`). No "
        "message ever waits for one.",
    )
    approve: Literal["person", "judged"] = Field(
        default="person",
        description="Which texts of the pool may be sent: those a person approved, or also those that a model judged. "
        "Where none may, a message states its offer alone.",
    )
    pool: str | None = Field(
        default=None,
        description="The shop's own pool of texts, a file that `promolift words draft` and `import` write, from the "
        "folder of the command. Left out: the texts that come with promolift, which no person has approved.",
        examples=["words.jsonl"],
    )
    languages: tuple[Language, ...] = Field(
        default=("zh", "en"), min_length=1, description="Languages in which texts are drafted.", examples=[["en"]]
    )
    packs: tuple[Pack, ...] = Field(
        default=(),
        description="Rule packs whose notices every message must carry: `ny_349a` (prices set by personal data, New "
        "York), `pipl_24` (how to refuse personal decisions, China), `eu_price_30d` (lowest price of the last 30 days, "
        "EU). Not legal advice.",
        examples=[["pipl_24"]],
    )
    sender: Sender = Sender()


_COLUMNS: dict[str, Any] = {"name": pl.String, "bought_name": pl.String, "angle": pl.String}


def write_all(
    plan: pl.DataFrame,
    offers: Mapping[str, Offer],
    choice: WordChoice,
    way: Way = PLAIN,
    languages: Sequence[Language] = ("zh", "en"),
) -> pl.DataFrame:
    """`plan` with, per language, `message_`, `title_`, `text_` (the pool text's id) and `text_prob_` columns more.

    `plan` needs customer_id and offer_id; it may have name, angle, bought_name (of what was just bought). Null where
    the row's offer is null or gives nothing. InputError for an offer_id without offer, and for offers that cannot be
    said truly, all of them named.
    """
    for column in ("customer_id", "offer_id"):
        if column not in plan.columns:
            raise InputError(f"plan: column {column!r} is missing; it has {plan.columns}")
    unknown = sorted(set(plan["offer_id"].drop_nulls().unique()) - set(offers))
    if unknown:
        raise InputError(
            f"plan.offer_id: {len(unknown)} ids have no offer, the first {unknown[:3]}; pass all offers of the plan"
        )
    rows = plan.with_columns(pl.lit(None, t).alias(n) for n, t in _COLUMNS.items() if n not in plan.columns)
    made: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for row in rows.select("customer_id", "offer_id", *_COLUMNS).iter_rows(named=True):
        said: dict[str, Any] = {}
        for language in languages:
            try:
                said |= _said(row, offers.get(row["offer_id"] or ""), language, choice, way)
            except InputError as error:
                failed.setdefault(row["offer_id"], str(error))
        made.append(said)
    if failed:
        raise InputError(f"{len(failed)} of {len(offers)} offers cannot be written; {next(iter(failed.values()))}")
    types = {f"{name}_{language}": type_ for language in languages for name, type_ in _SAID.items()}
    return plan.hstack(pl.DataFrame(made, types))


_SAID = {"message": pl.String, "title": pl.String, "text": pl.String, "text_prob": pl.Float64}


def _said(
    row: Mapping[str, Any], offer: Offer | None, language: Language, choice: WordChoice, way: Way
) -> dict[str, Any]:
    """What one row says in a language, by column; nothing where there is no offer."""
    if offer is None or offer.benefit.type == "none":
        return {}
    bought = (label(row["bought_name"], "product"),) if row["bought_name"] else ()
    known = Known(name=row["name"], bought=bought, angle=row["angle"] or "generic")
    picked = choice.pick(known.angle, offer.benefit.type, language, f"{row['customer_id']} {offer.id}", offer.covers)
    message = write(offer, known, language, picked.text.draft if picked.text else None, way)
    prob = picked.propensity if message.text_id else None
    values = (message.text, message.title, message.text_id, prob)
    return {f"{name}_{language}": value for name, value in zip(_SAID, values, strict=True)}
