"""A decision as the ledger keeps it in; its whole record out: open offers with gain, cost and chance, closed ones why.

What all decisions of a release share is kept once. The numbers of his candidates are rows of the release, whose id is a
hash of its files, and the terms are the release's but for what the campaign changed. A row holds what is its own: who,
when, at which price, what was closed by then, and what was decided. So it takes a tenth of the room, and its lists are
made, by the code that decides, when somebody asks for them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, select, update

from promolift import deliver
from promolift.errors import PromoError
from promolift.serve.release import LiveRelease
from promolift.store.ledger_schema import DECISIONS

LISTS = ("candidates", "ineligible")
OWN = frozenset({"price", "closed"})  # columns that the whole record tells in other words
NAMED = ("campaign_id", "policy_version", "price")  # terms that stand in columns of their own
Load = Callable[[str], LiveRelease]


def changed_terms(terms: deliver.Release, release: deliver.Release) -> str:
    """JSON of what is not as in the release's own terms, but for what has a column."""
    told, own = terms.model_dump(), release.model_dump()
    return json.dumps({name: value for name, value in told.items() if name not in NAMED and value != own[name]})


def closed_text(shut: Mapping[str, list[int]]) -> str | None:
    """What was closed since the release, as it is kept."""
    return to_json(shut).decode() if shut else None


def whole(rows: Iterable[Mapping[str, Any]], load: Load) -> Iterator[dict[str, Any]]:
    """Rows of `decisions` as whole records: `candidates` and `ineligible` as lists, `terms` as they were made by.

    Raises StepError or InputError if a release they refer to is gone or was changed.
    """
    for row in rows:
        record = {name: value for name, value in row.items() if name not in OWN}
        if row["candidates"] is None:
            release = load(row["release_id"])
            terms = _terms(row, release.terms)
            record |= lists(row, terms, release) | {"terms": terms}
        else:
            record |= {name: json.loads(row[name]) for name in LISTS} | {"terms": _kept_terms(row)}
        yield record


def told_row(record: dict[str, Any]) -> dict[str, Any]:
    """A whole record for a file: its terms, with what was learned before them, as JSON."""
    terms: deliver.Release | None = record["terms"]
    return record | {"terms": "{}" if terms is None else terms.model_dump_json()}


def told_terms(terms: deliver.Release | None) -> dict[str, Any]:
    """Terms as an answer shows them: without what was learned of each offer, which its release holds."""
    return {} if terms is None else terms.model_dump(mode="json", exclude={"recalibration"})


def _kept_terms(row: Mapping[str, Any]) -> deliver.Release | None:
    """The terms of a record that holds its own; None where its release was gone before they could be written out."""
    told = json.loads(row["terms"])
    return deliver.Release(**told) if isinstance(told, dict) and told else None


def _terms(row: Mapping[str, Any], base: deliver.Release) -> deliver.Release:
    return base.model_copy(update={name: row[name] for name in NAMED} | json.loads(row["terms"]))


def lists(row: Mapping[str, Any], terms: deliver.Release, release: LiveRelease) -> dict[str, list[dict[str, Any]]]:
    """`candidates` and `ineligible`, from the release's rows and what was closed by then."""
    who, reason = row["customer_id"], row["reason"]
    options = release.rows.options(*release.span(who))
    for why, places in json.loads(row["closed"] or "{}").items():
        for at in places:
            options[at] = deliver.Option(options[at].offer_id, 0.0, 0.0, why)
    refusal = reason.removeprefix("consent: ") if row["holdout"] is None else None
    (made,) = deliver.decide_options([who], [options], [refusal], terms, row["ts_ms"])
    return {"candidates": made.candidates, "ineligible": made.ineligible}


def spell_out(db: Connection, customer_id: str, load: Load) -> None:
    """Write what a customer's rows refer to into them, before his id goes: without it nothing leads there any more."""
    mine = select(DECISIONS).where(DECISIONS.c.customer_id == customer_id, DECISIONS.c.candidates.is_(None))
    for row in db.execute(mine).mappings().all():
        try:
            (record,) = whole([dict(row)], load)
            told = {name: to_json(record[name]).decode() for name in LISTS}
            told["terms"] = record["terms"].model_dump_json()
        except PromoError:  # the release is gone, and with it the lists; he must be forgotten all the same
            told = dict.fromkeys(LISTS, "[]")
        change = update(DECISIONS).where(DECISIONS.c.decision_id == row["decision_id"])
        db.execute(change.values(**told, closed=None))


def replay(record: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    """The decision made again from its whole record; `same` says whether it is equal, column by column."""
    plain = {name: record[name] for name in columns}
    plain["holdout"] = None if plain["holdout"] is None else bool(plain["holdout"])
    again = deliver.replay(plain, record["terms"])
    return {"same": again == plain, "again": again, "differs": sorted(n for n in plain if plain[n] != again[n])}
