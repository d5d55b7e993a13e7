"""Rebuild the full record of a decision from its ledger row: eligible offers with figures, excluded ones with reasons.

What all decisions of a release share is stored once. The figures of the candidates are rows of the release, whose id is
a hash of its files, and the terms are those of the release except for what the campaign changed. A ledger row holds
only what is its own: customer, time, price, exclusions and decision. The lists are rebuilt on request by the code that
decides.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, bindparam, select, update

from promolift.core import decisions
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.decisions.live_release import LiveRelease
from promolift.server.ledger.schema import DECISIONS, Query, Refused

LIST_COLUMNS = ("candidates", "ineligible")
SELECT_COMPACT_ROWS = Query(
    select(DECISIONS)
    .where(DECISIONS.c.customer_id == bindparam("subject"), DECISIONS.c.candidates.is_(None))
    .limit(bindparam("most"))
)
COMPACT_COLUMNS = frozenset({"price", "closed"})  # columns that the whole record has in other words
TERM_COLUMNS = ("campaign_id", "policy_version", "price")  # terms that stand in columns of their own
ReleaseLoader = Callable[[str], LiveRelease]
Row = dict[str, Any]  # of `decisions`
OfferEntries = Sequence[Mapping[str, Any]]  # what a record says of each offer


class OfferLists(NamedTuple):
    """The eligible offers with gain, cost and probability, and the excluded ones with the reason."""

    candidates: OfferEntries
    ineligible: OfferEntries


@dataclass(frozen=True)
class DecisionRecord:
    """A whole record: its row, its lists, and the terms it was made by, None where they went with its release."""

    row: Mapping[str, Any]
    lists: OfferLists
    terms: decisions.ReleaseTerms | None

    @property
    def terms_text(self) -> str:
        """Its terms, with what was learned before them, as JSON."""
        return "{}" if self.terms is None else self.terms.model_dump_json()

    @property
    def terms_shown(self) -> dict[str, object]:
        """Its terms as an answer shows them: without what was learned of each line, which its release holds."""
        return {} if self.terms is None else self.terms.model_dump(mode="json", exclude={"effects"})

    def columns(self, terms: object) -> dict[str, object]:
        """Column by column, with `terms` as they are to be shown."""
        own = {name: value for name, value in self.row.items() if name not in COMPACT_COLUMNS}
        return own | self.lists._asdict() | {"terms": terms}


class ReplayResult(NamedTuple):
    """A decision made `again`: whether it is the `same`, and which columns differ."""

    same: bool
    again: Mapping[str, Any]
    differs: list[str]


def changed_terms(terms: decisions.ReleaseTerms, release: decisions.ReleaseTerms) -> str:
    """JSON of what is not as in the release's own terms, but for what has a column."""
    new, own = terms.model_dump(), release.model_dump()
    return json.dumps({name: value for name, value in new.items() if name not in TERM_COLUMNS and value != own[name]})


def expand_rows(rows: Iterable[Mapping[str, Any]], load: ReleaseLoader) -> Iterator[DecisionRecord]:
    """Rows of `decisions` as whole records.

    Where the release they refer to is gone, was changed or is of another form, lists and terms are gone with it: the
    lists are empty and `terms` is None, so that an export, a customer's own data and learning go on with the rest.
    """
    for row in rows:
        if row["candidates"] is None:
            try:
                release = load(row["release_id"])
            except PromoError:
                yield DecisionRecord(row, OfferLists([], []), None)
                continue
            terms = _terms(row, release.terms)
            yield DecisionRecord(row, rebuild_lists(row, terms, release), terms)
        else:
            yield DecisionRecord(row, OfferLists(*(json.loads(row[name]) for name in LIST_COLUMNS)), _kept_terms(row))


def _kept_terms(row: Mapping[str, Any]) -> decisions.ReleaseTerms | None:
    """The terms of a record that holds its own; None where its release was gone before they could be written out."""
    kept = json.loads(row["terms"])
    return decisions.ReleaseTerms(**kept) if isinstance(kept, dict) and "campaign_id" in kept else None


def _terms(row: Mapping[str, Any], base: decisions.ReleaseTerms) -> decisions.ReleaseTerms:
    return base.model_copy(update={name: row[name] for name in TERM_COLUMNS} | json.loads(row["terms"]))


def rebuild_lists(row: Mapping[str, Any], terms: decisions.ReleaseTerms, release: LiveRelease) -> OfferLists:
    """Rebuild the lists from the release's rows and the exclusions of that moment."""
    made = _decide_again(row, terms, release)
    return OfferLists(made.candidates, made.ineligible)


def withheld_offer(row: Mapping[str, Any], terms: decisions.ReleaseTerms, release: LiveRelease) -> str:
    """Return the offer that a customer who is held out would have got, as `decisions.withheld_offers` does; or none."""
    return _decide_again(row, terms.model_copy(update={"holdout_share": 0.0}), release).offer_id


def _decide_again(
    row: Mapping[str, Any], terms: decisions.ReleaseTerms, release: LiveRelease
) -> decisions.Decision:  # fmt: skip
    who, reason = row["customer_id"], row["reason"]
    cell = release.cell(terms.placement, terms.audience)
    options = release.rows.options(release.span(who if cell is None else cell.key))
    for why, places in json.loads(row["closed"] or "{}").items():
        for at in places:
            options[at] = decisions.Option(options[at].offer_id, 0.0, 0.0, why)
    refusal = reason.removeprefix("consent: ") if row["holdout"] is None else None
    return decisions.record_decision(who, options, refusal, terms, row["ts_ms"])


def expand_customer_rows(db: Connection, customer_id: str, load: ReleaseLoader, most: int | None = None) -> int:
    """Write what a customer's rows refer to into them, before the id goes: without it nothing leads there any more.

    Of `most` rows at a time; how many.
    """
    rows = SELECT_COMPACT_ROWS.dicts(db, subject=customer_id, most=2**31 - 1 if most is None else most)
    for made in expand_rows(rows, load):
        texts = {name: to_json(listed).decode() for name, listed in made.lists._asdict().items()}
        change = update(DECISIONS).where(DECISIONS.c.decision_id == made.row["decision_id"])
        db.execute(change.values(**texts, terms=made.terms_text, closed=None))
    return len(rows)


def replay(record: DecisionRecord, columns: Iterable[str]) -> ReplayResult:
    """Make the decision again from its full record and compare these columns. Refused if its terms are gone."""
    if record.terms is None:
        raise Refused("terms_gone", gettext_lazy("its release was gone before its terms could be written out"))
    whole = record.columns(None)
    plain = {name: whole[name] for name in columns}
    plain["holdout"] = None if plain["holdout"] is None else bool(plain["holdout"])
    again = decisions.replay_decision(plain, record.terms)
    return ReplayResult(again == plain, again, sorted(n for n in plain if plain[n] != again[n]))
