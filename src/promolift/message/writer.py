"""Offers and recipients in, verified messages out: one at a time, or a plan with each distinct body written once."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import polars as pl

from promolift.errors import InputError
from promolift.message.names import Kind, label
from promolift.message.reading.text import BrokenRule, Context
from promolift.message.templates import (
    Bought,
    Message,
    Recipient,
    Style,
    addressable,
    compose,
    frame_of,
    greeting,
    nameable,
)
from promolift.message.verify import broken_rules
from promolift.terms import Language, Offer

_PLAIN = Style()
_PARTS = ("offer_id", "_frame", "_key", "_kind", "_within")  # what a body depends on


def write(offer: Offer, recipient: Recipient, language: Language, style: Style = _PLAIN) -> Message:
    """A true message: `.sentence` greets and offers, `.text` adds the terms. Every text is verified before it leaves.

    A purchase that cannot be mentioned truly, and a name that cannot be written in a greeting, are left out. Raises
    InputError, naming offer, language, rules and words, where the offer itself cannot be said truly: no benefit, a
    private matter without `style.allow_sensitive`, a label with links, markup or invisible characters.
    """
    return _write(offer, recipient, language, frame_of(offer, recipient.customer_id, style), style)


def _write(offer: Offer, recipient: Recipient, language: Language, frame: int, style: Style) -> Message:
    if offer.benefit.type == "none":
        raise InputError(f"message: offer {offer.id!r} has no benefit; send nothing to customers who get 'none'")
    plainer = recipient.model_copy(update={"bought": None})
    anonymous = plainer.model_copy(update={"name": None})
    broken: list[BrokenRule] = []
    for who in (recipient, plainer, anonymous):
        message = compose(offer, who, language, frame, style)
        broken = _broken(message, offer, who, language, style)
        if not broken:
            return message
    raise InputError(
        f"message: offer {offer.id!r} cannot be said truly in {language!r}: {_tell(broken)}; change its label or terms"
    )


def _broken(message: Message, offer: Offer, who: Recipient, language: Language, style: Style) -> list[BrokenRule]:
    bought = nameable(who.bought, offer, style)
    context = Context(
        name=who.name,
        bought=(bought,) if bought else (),
        sent=style.sent,
        allow_sensitive=style.allow_sensitive,
    )
    return broken_rules(message.text, offer, language, context=context)


def _tell(broken: Sequence[BrokenRule]) -> str:
    return "; ".join(f"{rule.code} {rule.span!r} ({rule.reason})" for rule in broken[:3])


def write_all(
    plan: pl.DataFrame,
    offers: Mapping[str, Offer],
    style: Style = _PLAIN,
    languages: Sequence[Language] = ("zh", "en"),
) -> pl.DataFrame:
    """`plan` with one column `message_<language>` more per language; null where the row's offer gives nothing.

    `plan` needs customer_id and offer_id; it may have name, and bought (a key as `label` takes it, or a product's name)
    with bought_kind (category or product; category if absent) and bought_category. A row whose offer_id is null or
    whose offer is `none` gets no message. The texts are those of `write`, row by row; each combination of offer,
    phrasing and purchase is written and verified once per language, the greeting is set before it. Raises InputError
    for an offer_id without offer and for offers that cannot be said truly, all of them named.
    """
    rows = _rows(plan, offers, style)
    for language in languages:
        bodies = _bodies(rows, offers, language, style)
        rows = rows.join(bodies, on=_PARTS, how="left", nulls_equal=True, maintain_order="left")
        texts = rows.select(_greeted(language) + pl.col("_body")).to_series().to_list()
        for i in _delicate(rows):
            texts[i] = _one(rows.row(i, named=True), offers, language, style)
        rows = rows.drop("_body").with_columns(pl.Series(f"message_{language}", texts, dtype=pl.String))
    return plan.with_columns(rows.get_column(f"message_{language}") for language in languages)


def _greeted(language: Language) -> pl.Expr:
    before, after = greeting("\x00", language).split("\x00")
    named = pl.lit(before) + pl.col("_name") + pl.lit(after)
    return pl.when(pl.col("_name").is_null()).then(pl.lit(greeting(None, language))).otherwise(named)


def _delicate(rows: pl.DataFrame) -> list[int]:
    """Rows whose name is also a word of some body ('Lamb', 'May'): there greeting and body are verified together."""
    bodies = rows.get_column("_body").drop_nulls().unique().to_list()
    words = {word for body in bodies for word in re.findall(r"[a-z]+", body.lower())}
    words |= {body[i : i + n] for body in bodies for n in (2, 3, 4) for i in range(len(body) - n + 1)}
    names = rows.get_column("_name").drop_nulls().unique().to_list()
    both = [name for name in names if name in words or words.intersection(re.findall(r"[a-z]+", name.lower()))]
    where = pl.col("_name").is_in(both) & pl.col("_body").is_not_null()
    return rows.select(where.fill_null(False).arg_true()).to_series().to_list()


def _one(row: dict[str, Any], offers: Mapping[str, Offer], language: Language, style: Style) -> str:
    recipient = Recipient(name=row["_name"], bought=_bought(row["_key"], row["_kind"], row["_within"]))
    return _write(offers[row["offer_id"]], recipient, language, row["_frame"], style).text


def _rows(plan: pl.DataFrame, offers: Mapping[str, Offer], style: Style) -> pl.DataFrame:
    """The columns messages depend on, with the phrasing's number and a name fit for a greeting."""
    for column in ("customer_id", "offer_id"):
        if column not in plan.columns:
            raise InputError(f"plan: column {column!r} is missing; it has {plan.columns}")
    unknown = sorted(set(plan.get_column("offer_id").drop_nulls().unique()) - set(offers))
    if unknown:
        raise InputError(
            f"plan.offer_id: {len(unknown)} ids have no offer, the first {unknown[:3]}; pass all offers of the plan"
        )
    silent = [key for key, offer in offers.items() if offer.benefit.type == "none"]
    text = {name: _text(plan, name) for name in ("name", "bought", "bought_kind", "bought_category")}
    rows = plan.select(
        pl.col("customer_id").cast(pl.String),
        pl.when(pl.col("offer_id").is_in(silent)).then(None).otherwise(pl.col("offer_id")).alias("offer_id"),
        text["name"].alias("_name"),
        text["bought"].alias("_key"),
        text["bought_kind"].alias("_kind"),
        text["bought_category"].alias("_within"),
    )
    frames = [
        frame_of(offers[offer], customer or "", style) if offer is not None else None
        for customer, offer in rows.select("customer_id", "offer_id").iter_rows()
    ]
    names = rows.get_column("_name").drop_nulls().unique()
    good = names.filter(pl.Series([addressable(name) for name in names], dtype=pl.Boolean))
    fit = pl.when(pl.col("_name").is_in(good.implode())).then(pl.col("_name"))
    return rows.with_columns(pl.Series("_frame", frames, dtype=pl.Int64), fit.alias("_name"))


def _text(plan: pl.DataFrame, column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String) if column in plan.columns else pl.lit(None, dtype=pl.String)


def _bodies(rows: pl.DataFrame, offers: Mapping[str, Offer], language: Language, style: Style) -> pl.DataFrame:
    """One verified body with its terms per distinct combination."""
    distinct = rows.select(_PARTS).filter(pl.col("offer_id").is_not_null()).unique(maintain_order=True)
    bodies: list[str] = []
    failed: list[str] = []
    for offer_id, frame, key, kind, within in distinct.iter_rows():
        try:
            recipient = Recipient(bought=_bought(key, kind, within))
            message = _write(offers[offer_id], recipient, language, frame, style)
            bodies.append(message.text.removeprefix(message.greeting))
        except InputError as error:
            failed.append(str(error))
    if failed:
        raise InputError(f"{len(failed)} of {distinct.height} texts cannot be written; {failed[0]}")
    return distinct.with_columns(pl.Series("_body", bodies, dtype=pl.String))


def _bought(key: str | None, kind: str | None, within: str | None) -> Bought | None:
    if key is None or not key.strip():
        return None
    if kind is not None and kind not in get_args(Kind):
        raise InputError(f"plan.bought_kind: {kind!r}; known kinds: {', '.join(get_args(Kind))}")
    named: Kind = "category" if kind is None else kind  # type: ignore[assignment]
    return Bought(label=label(key, named), key=key, kind=named, category=within or "")
