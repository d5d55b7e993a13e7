"""Compare the money of joined files before and after the join: a join may neither invent money nor lose most of it."""

from typing import NamedTuple

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import quote_identifier
from promolift.shop.configuration.column_mapping import SUMMED_ROLES, Mapping
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.setup.file_roles import EventFile

Relation = sql_casts.Relation
MIN_MATCHED_MONEY = 0.5  # share of the money that has to find a partner
ROUNDING = 1.001  # what a sum of many rows may be above another


class JoinedMoney(NamedTuple):
    """What rows with a partner come to, and all rows, in units of the currency."""

    matched: float
    whole: float


def compare_joined_money(log: EventFile, mapping: Mapping) -> list[JoinedMoney]:
    """Return for each file that is joined to a log how much of the money found a partner; nothing where no column says
    money.

    InputError `join_changes_money` where a sum of the joined file stands on several rows and is not shared out among
    them, or where less than half of the money found a partner.
    """
    if not log.tied or mapping.basket:
        return []
    roles = [role for role in ("amount", "unit_price", "list_amount", "list_unit_price") if mapping.has(role)]
    if not roles:
        return []
    column = mapping.sources(roles[0])[0]
    joined = log.table.rows
    places = [at for at, (path, *_) in enumerate(log.tied) if _own_name(column, path.stem, log, at)]
    owner = log.tied[places[0]] if places else None
    found = []
    for place, (path, tie, other) in enumerate(log.tied):
        summed = [name for role in SUMMED_ROLES for name in mapping.sources(role) if role not in mapping.shared]
        if tie.key in mapping.sources("order_id") or tie.on in mapping.sources("order_id"):
            summed += [name for role in roles if role not in mapping.shared for name in mapping.sources(role)]
        for name in dict.fromkeys(summed):
            own = _own_name(name, path.stem, log, place)
            if own and (after := _sum(joined, name, mapping)) > ROUNDING * (before := _sum(other.rows, own, mapping)):
                raise InputError(
                    "join_changes_money",
                    gettext_lazy(
                        "{name}: {own} comes to {before}, and to {after} once it stands on the rows of "
                        "{path_name}, since several of them have one {key}. Name the column of the rows' own money "
                        "with --map amount=COLUMN, or give --events the files apart",
                        name=path.name,
                        own=repr(own),
                        before=f"{before:,.2f}",
                        after=f"{after:,.2f}",
                        path_name=log.path.name,
                        key=repr(tie.key),
                    ),
                )
        own = _own_name(column, path.stem, log, place)
        if own:  # money of the joined file: what of it stands on some row
            whole = _sum(other.rows, own, mapping)
            part = _sum(_with_partner(other.rows, joined, tie.key, tie.on), own, mapping)
        elif owner:  # money of another joined file, which may stand on several rows: it counts once
            own = _own_name(column, owner.path.stem, log, places[0])
            some = _with_partner(joined, other.rows, tie.on, tie.key)
            whole = _sum(owner.table.rows, own, mapping)
            part = _sum(_with_partner(owner.table.rows, some, owner.tie.key, owner.tie.on), own, mapping)
        else:
            whole = _sum(joined, column, mapping)
            part = _sum(_with_partner(joined, other.rows, tie.on, tie.key), column, mapping)
        if part < MIN_MATCHED_MONEY * whole:
            raise InputError(
                "join_changes_money",
                gettext_lazy(
                    "{name}: by {on} = {key} only {part} of {whole} find a partner in {path_name}. Name the "
                    "columns that tie the files, such as {name}:order_id=id",
                    name=path.name,
                    on=tie.on,
                    key=tie.key,
                    part=f"{part:,.2f}",
                    whole=f"{whole:,.2f}",
                    path_name=log.path.name,
                ),
            )
        found.append(JoinedMoney(part, whole))
    return found


def _own_name(column: str, stem: str, log: EventFile, place: int) -> str:
    """What a column of the joined rows is called in the joined file, "" where it is of another file."""
    earlier = {name for table in (log.file, *(tied.table for tied in log.tied[:place])) for name in table.columns}
    own = column.removeprefix(f"{stem}.")
    tied = log.tied[place]
    return own if column not in earlier and own in tied.table.columns and own != tied.tie.key else ""


def _sum(rows: Relation, column: str, mapping: Mapping) -> float:
    kind = sql_casts.type_family(rows.types[rows.columns.index(column)])
    value = sql_casts.number(column, kind, mapping.decimal)
    return float(rows.aggregate(f"sum(abs({value}))").fetchall()[0][0] or 0) * mapping.scale


def _with_partner(rows: Relation, other: Relation, own: str, its: str) -> Relation:
    """The rows whose key stands in the other table."""

    def key(relation: Relation, name: str) -> str:
        return sql_casts.identifier(name, sql_casts.type_family(relation.types[relation.columns.index(name)]))

    known = other.project(f"{key(other, its)} as _its").filter("_its is not null").distinct().set_alias("known")
    keyed = rows.project(f"*, {key(rows, own)} as _own").set_alias("keyed")
    return keyed.join(known, "_own = _its").project(", ".join(map(quote_identifier, rows.columns)))
