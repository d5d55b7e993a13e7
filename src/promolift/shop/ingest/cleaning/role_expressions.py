"""Write the SQL expression that reads each role of a mapping from a raw relation; null if the role has no column."""

from dataclasses import dataclass

from promolift.foundation.sql import quote_identifier, sql_literal
from promolift.shop.configuration.column_mapping import CONCATENATED_ROLES, Mapping
from promolift.shop.ingest.cleaning import sql_casts

Relation = sql_casts.Relation
HIDDEN_COLUMNS = ("_row", "_line", "_customer", "_key", "_price", "_text")  # columns the way in adds to a raw table


@dataclass(frozen=True)
class RoleExpressions:
    """Writes the expressions. Raw columns are read under the name '=<column>', so that they never hide ours."""

    mapping: Mapping
    types: dict[str, str]

    @classmethod
    def of(cls, raw: Relation, mapping: Mapping, where: str) -> "RoleExpressions":
        """The reader for a raw relation; raises InputError if the mapping names a column that is not there."""
        types = {name: sql_casts.type_family(dtype) for name, dtype in zip(raw.columns, raw.types, strict=True)}
        mapping.check_columns([name for name in types if name not in HIDDEN_COLUMNS], where)
        return cls(mapping, types)

    @property
    def raw_columns(self) -> list[str]:
        """The source's own columns."""
        return [name for name in self.types if name not in HIDDEN_COLUMNS]

    def renamed(self) -> str:
        """A select list that gives every raw column its safe name and keeps the hidden ones."""
        hidden = [name for name in HIDDEN_COLUMNS if name in self.types]
        return ", ".join(
            [*hidden, *(f"{quote_identifier(name)} as {quote_identifier('=' + name)}" for name in self.raw_columns)]
        )

    def raw_json(self) -> str:
        """The raw row as JSON text, without what customers said: that is kept nowhere."""
        said = self.mapping.sources("text") if self.mapping.has("text") else ()
        # JSON has no NaN and no infinity, so reals are written as text.
        values = {
            name: f"cast({quote_identifier('=' + name)} as varchar)" if self.types[name] == "real"
            else quote_identifier("=" + name)
            for name in self.raw_columns if name not in said
        }  # fmt: skip
        pairs = ", ".join(f"{quote_identifier(name)} := {value}" for name, value in values.items())
        return f"cast(to_json(struct_pack({pairs})) as varchar)"

    def text(self, role: str) -> str:
        """Trimmed text; several columns of a role in CONCATENATED_ROLES are joined by a space."""
        parts = [sql_casts.text("=" + name, self.types[name]) for name in self.mapping.sources(role)]
        if role in CONCATENATED_ROLES and len(parts) > 1:
            return f"nullif(concat_ws(' ', {', '.join(parts)}), '')"
        return parts[0] if parts else self._constant(role)

    def id(self, role: str) -> str:
        """An identifier as text: the first column that says one."""
        read = sql_casts.customer if role == "customer_id" else sql_casts.identifier
        parts = [read("=" + name, self.types[name]) for name in self.mapping.sources(role)]
        if len(parts) > 1:
            return f"coalesce({', '.join(parts)})"
        return parts[0] if parts else self._constant(role)

    def number(self, role: str) -> str:
        """A double. Several columns are added: the first must be there, a missing later one counts as nothing."""
        parts = [
            sql_casts.number("=" + name, self.types[name], self.mapping.decimal) for name in self.mapping.sources(role)
        ]
        if not parts:
            return f"try_cast({self._constant(role)} as double)"
        return " + ".join([parts[0], *(f"coalesce({part}, 0)" for part in parts[1:])])

    def time(self, role: str) -> str:
        """Milliseconds UTC."""
        names = self.mapping.sources(role)
        if not names:
            constant = self._constant(role)
            return f"epoch_ms(timezone({sql_literal(self.mapping.zone)}, try_cast({constant} as timestamp)))"
        if role == "time" and self.mapping.has("clock"):
            return self._with_clock(names)
        return self._moment(names, self.mapping.zone)

    def _moment(self, names: tuple[str, ...], zone: str) -> str:
        if len(names) == 3:
            return sql_casts.date_ms([sql_casts.identifier("=" + name, self.types[name]) for name in names], zone)
        mapping = self.mapping
        return sql_casts.time_ms("=" + names[0], self.types[names[0]], mapping.time_format, zone, mapping.time_origin)

    def written(self, role: str) -> str:
        """Whether anything stands in the role's first column."""
        names = self.mapping.sources(role)
        return f"({sql_casts.text('=' + names[0], self.types[names[0]])} is not null)" if names else "false"

    def _constant(self, role: str) -> str:
        return f"cast({sql_literal(self.mapping.constants.get(role))} as varchar)"

    def _with_clock(self, names: tuple[str, ...]) -> str:
        """Day from the time column, time of day from the clock column."""
        # The time of day is added before the zone is applied, so that days with a clock change come out right.
        return local_timestamp_sql(self._moment(names, "UTC"), self.since_midnight(), self.mapping.zone)

    def since_midnight(self) -> str:
        """Milliseconds that the clock column says: '14:32:07', 143207 or 1432; in an hour's, 14. Else 0."""
        clock = self.mapping.sources("clock")[0]
        value = sql_casts.text("=" + clock, self.types[clock])
        if "hour" in clock.lower():
            value = f"case when length({value}) <= 2 then lpad({value}, 2, '0') || '0000' else {value} end"
        digits = f"case when length({value}) <= 4 then lpad({value}, 4, '0') || '00' else lpad({value}, 6, '0') end"
        plain = f"substr({digits}, 1, 2) || ':' || substr({digits}, 3, 2) || ':' || substr({digits}, 5, 2)"
        hours = f"try_cast(case when contains({value}, ':') then {value} else {plain} end as time)"
        half = f"try_strptime(upper(replace({value}, '.', '')), ['%I:%M %p', '%I:%M:%S %p', '%I:%M%p', '%I:%M:%S%p'])"
        hours = f"coalesce(cast({half} as time), {hours})"  # 02:15 PM
        return f"coalesce(date_diff('millisecond', cast('00:00:00' as time), {hours}), 0)"


def local_timestamp_sql(day: str, since: str, zone: str) -> str:
    """SQL for milliseconds UTC, from those of a day as if it were UTC's and those since its midnight in the zone."""
    local = f"make_timestamp_ms(({day}) + {since})"
    return f"epoch_ms({local})" if zone == "UTC" else f"epoch_ms(timezone({sql_literal(zone)}, {local}))"
