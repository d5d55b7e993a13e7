"""Offers and recipients in, verified messages out: one at a time, or a plan with each distinct body written once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import polars as pl

from promolift.errors import InputError
from promolift.hashing import hash_id
from promolift.message.drafts import ANGLES, Brief, Draft
from promolift.message.names import SMUGGLED, Kind, is_sensitive, label
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
Drafts = Mapping[Brief, Draft]
_PARTS = ("offer_id", "_frame", "_key", "_kind", "_within")  # what a body depends on


def write(
    offer: Offer, recipient: Recipient, language: Language, style: Style = _PLAIN, drafts: Drafts | None = None
) -> Message:
    """A true message: `.sentence` greets and offers, `.text` adds the terms. Every text is verified before it leaves.

    A purchase that cannot be mentioned truly, and a name that cannot be written in a greeting, are left out. Raises
    InputError, naming offer, language, rules and words, where the offer itself cannot be said truly: no benefit, a
    private matter without `style.allow_sensitive`, a label with links, markup or invisible characters. `drafts` are
    free words by brief; one that would break a rule in this message is left out.
    """
    return _with_draft(offer, recipient, language, frame_of(offer, recipient.customer_id, style), style, drafts)


def _with_draft(
    offer: Offer, recipient: Recipient, language: Language, frame: int, style: Style, drafts: Drafts | None
) -> Message:
    plain = _write(offer, recipient, language, frame, style)
    draft = _draft(drafts, offer, frame, language)
    if draft is None:
        return plain
    full = replace(plain, title=draft.title, line=draft.line)
    return plain if _broken(full, offer, recipient, language, style) else full


def _draft(drafts: Drafts | None, offer: Offer, frame: int, language: Language) -> Draft | None:
    """The free words for this offer and phrasing, with the product's name in them."""
    brief = brief_of(offer, frame, language)
    found = drafts.get(brief) if drafts and brief else None
    return found.about(brief.label.in_(language), language) if found and brief else None


def brief_of(offer: Offer, frame: int, language: Language) -> Brief | None:
    """What a model is given of this offer; None where there is nothing to name or the name is not fit to be given."""
    if offer.label is None or offer.benefit.type == "none":
        return None
    if any(SMUGGLED.search(name) or is_sensitive(name) for name in (offer.label.zh, offer.label.en, offer.covers)):
        return None
    return Brief(offer.label, ANGLES[frame], offer.benefit.type, language)


def briefs(
    plan: pl.DataFrame, offers: Mapping[str, Offer], style: Style = _PLAIN, languages: Sequence[Language] = ("zh", "en")
) -> dict[Brief, Offer]:
    """The distinct briefs of a plan, each with an offer it is for: what has to be written for all its customers."""
    needed: dict[Brief, Offer] = {}
    for customer, offer_id in plan.select("customer_id", "offer_id").drop_nulls("offer_id").sort(pl.all()).iter_rows():
        offer = offers[offer_id]
        for language in languages:
            brief = brief_of(offer, frame_of(offer, str(customer), style), language)
            if brief:
                needed.setdefault(brief, offer)
    return needed


def reviewer(needed: Mapping[Brief, Offer], style: Style = _PLAIN) -> Callable[[Brief, Draft], list[str]]:
    """A review of drafts: what breaks a rule when the draft stands in the whole message of its brief's offer."""

    def review(brief: Brief, draft: Draft) -> list[str]:
        offer, language = needed[brief], brief.language
        message = _write(offer, Recipient(), language, ANGLES.index(brief.angle), style)
        filled = draft.about(brief.label.in_(language), language)
        full = replace(message, title=filled.title, line=filled.line)
        return [f"{rule.span}: {rule.reason}" for rule in _broken(full, offer, Recipient(), language, style)]

    return review


def phrasings(offer: Offer, recipient: Recipient, language: Language, style: Style = _PLAIN) -> dict[str, Message]:
    """Every wording of one offer by its angle, each verified as `write` does it."""
    return {angle: _write(offer, recipient, language, frame, style) for frame, angle in enumerate(ANGLES)}


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
        name=who.name if who.name and addressable(who.name) else None,
        bought=(bought,) if bought else (),
        sent=style.sent,
        allow_sensitive=style.allow_sensitive,
    )
    titled = f"{message.text}\n{message.title}" if message.title else message.text
    return broken_rules(titled, offer, language, context=context, strict=True)


def _tell(broken: Sequence[BrokenRule]) -> str:
    return "; ".join(f"{rule.code} {rule.span!r} ({rule.reason})" for rule in broken[:3])


def write_all(
    plan: pl.DataFrame,
    offers: Mapping[str, Offer],
    style: Style = _PLAIN,
    languages: Sequence[Language] = ("zh", "en"),
    drafts: Drafts | None = None,
) -> pl.DataFrame:
    """`plan` with one column `message_<language>` more per language; null where the row's offer gives nothing.

    With `drafts` a column `title_<language>` more, null where the template wrote alone.

    `plan` needs customer_id and offer_id; it may have name, and bought (a key as `label` takes it, or a product's name)
    with bought_kind (category or product; category if absent) and bought_category. A row whose offer_id is null or
    whose offer is `none` gets no message. The texts are those of `write`, row by row; each combination of offer,
    phrasing and purchase is written and verified once per language, the greeting is set before it. Raises InputError
    for an offer_id without offer and for offers that cannot be said truly, all of them named.
    """
    rows = _rows(plan, offers, style)
    for language in languages:
        bodies = _bodies(rows, offers, language, style, drafts)
        rows = rows.join(bodies, on=_PARTS, how="left", nulls_equal=True, maintain_order="left")
        texts = rows.select(_greeted(language) + pl.col("_body")).to_series().to_list()
        titles = rows.get_column("_title").to_list()
        for i in _delicate(rows):
            message = _one(rows.row(i, named=True), offers, language, style, drafts)
            texts[i], titles[i] = message.text, message.title or None
        said = {f"message_{language}": texts, f"title_{language}": titles}
        rows = rows.drop("_body", "_title").with_columns(pl.Series(k, v, dtype=pl.String) for k, v in said.items())
    names = ("message",) if drafts is None else ("message", "title")
    return plan.with_columns(rows.get_column(f"{name}_{language}") for language in languages for name in names)


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


def _one(
    row: dict[str, Any], offers: Mapping[str, Offer], language: Language, style: Style, drafts: Drafts | None
) -> Message:
    recipient = Recipient(name=row["_name"], bought=_bought(row["_key"], row["_kind"], row["_within"]))
    return _with_draft(offers[row["offer_id"]], recipient, language, row["_frame"], style, drafts)


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


def _bodies(
    rows: pl.DataFrame, offers: Mapping[str, Offer], language: Language, style: Style, drafts: Drafts | None
) -> pl.DataFrame:
    """One verified body with its terms, and its title, per distinct combination."""
    distinct = rows.select(_PARTS).filter(pl.col("offer_id").is_not_null()).unique(maintain_order=True)
    bodies: list[tuple[str, str | None]] = []
    failed: list[str] = []
    for offer_id, frame, key, kind, within in distinct.iter_rows():
        try:
            recipient = Recipient(bought=_bought(key, kind, within))
            message = _with_draft(offers[offer_id], recipient, language, frame, style, drafts)
            bodies.append((message.text.removeprefix(message.greeting), message.title or None))
        except InputError as error:
            failed.append(str(error))
    if failed:
        raise InputError(f"{len(failed)} of {distinct.height} texts cannot be written; {failed[0]}")
    said = pl.DataFrame(bodies, schema={"_body": pl.String, "_title": pl.String}, orient="row")
    return distinct.hstack(said)


def _bought(key: str | None, kind: str | None, within: str | None) -> Bought | None:
    if key is None or not key.strip():
        return None
    if kind is not None and kind not in get_args(Kind):
        raise InputError(f"plan.bought_kind: {kind!r}; known kinds: {', '.join(get_args(Kind))}")
    named: Kind = "category" if kind is None else kind  # type: ignore[assignment]
    return Bought(label=label(key, named), key=key, kind=named, category=within or "")


SAID = dict.fromkeys(("yes", "y", "true", "1", "是"), True) | dict.fromkeys(("no", "n", "false", "0", "否"), False)
TEXT = ("label_zh", "label_en", "angle", "benefit", "language", "title", "line")


def with_verdicts(pool: pl.DataFrame, read: pl.DataFrame | None) -> pl.DataFrame:
    """`pool` (see `pool_frame`) with text_id and approved: true, false, or null where nobody has said.

    A verdict belongs to the exact words: a text written anew has none.

    `read` is a review file as it came back: columns text_id and approved, as text. InputError where a text stands there
    twice with different verdicts, or a verdict is neither yes nor no.
    """
    ids = [hash_id("txt", *row) for row in pool.select(TEXT).iter_rows()]
    named = pool.with_columns(pl.Series("text_id", ids, dtype=pl.String))
    said = _said(read) if read is not None else {}
    verdict = pl.col("text_id").replace_strict(said, default=None, return_dtype=pl.Boolean) if said else pl.lit(None)
    return named.select("text_id", verdict.cast(pl.Boolean).alias("approved"), *pool.columns)


def to_review(pool: pl.DataFrame, read: pl.DataFrame | None) -> pl.DataFrame:
    """The texts for a person to read, those without a verdict first; verdicts on texts of other runs are kept."""
    mine = pool.filter(pl.col("line").is_not_null()).with_columns(
        pl.col("approved").replace_strict({True: "yes", False: "no"}, default="", return_dtype=pl.String)
    )
    rows = mine.select("text_id", "approved", *TEXT, "model")
    if read is not None:
        rows = pl.concat([rows, read.filter(~pl.col("text_id").is_in(rows["text_id"].implode()))], how="diagonal")
    return (
        rows.fill_null("").unique("text_id", keep="first").sort("approved", "label_en", "angle", "language", "text_id")
    )


def _said(read: pl.DataFrame) -> dict[str, bool]:
    if missing := {"text_id", "approved"} - set(read.columns):
        raise InputError(f"review file: columns {sorted(missing)} are missing; it has {read.columns}")
    said: dict[str, bool] = {}
    for number, (text_id, word) in enumerate(read.select("text_id", "approved").iter_rows(), 2):
        word = str(word or "").strip().lower()
        if not word:
            continue
        if word not in SAID:
            raise InputError(f"review file, line {number}: approved = {word!r}; write yes or no, or leave it empty")
        if said.setdefault(text_id, SAID[word]) != SAID[word]:
            raise InputError(f"review file, line {number}: {text_id} is approved in one line and rejected in another")
    return said
