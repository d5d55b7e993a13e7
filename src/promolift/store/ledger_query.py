"""A statement in; the same, compiled once for each kind of database and ready to run thousands of times, out.

SQLAlchemy builds and reads a statement anew at every call, which takes ten times as long as SQLite needs to run it.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Executable, Text, bindparam
from sqlalchemy.ext.compiler import compiles

BLOCK = 100
PLAIN = (str, int, float)  # what a parameter may be fixed to


class Query:
    """A statement with named parameters (`bindparam`). Values go to the driver as they are: text, numbers, None."""

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None, then: str = "") -> None:
        """Nothing is compiled yet. An insert has all columns or those given; `then` is what follows its values."""
        self._statement, self._columns, self._then = statement, columns, then
        self._ready: dict[str, tuple[str, Sequence[str] | None, Mapping[str, Any]]] = {}

    def rows(self, db: Connection, **values: Any) -> Sequence[Sequence[Any]]:
        """Run it; its rows as tuples."""
        text, names, fixed = self._ready.get(db.dialect.name) or self._compile(db.dialect)
        if names is None:
            return db.exec_driver_sql(text, {**fixed, **values}).all()
        told = {**fixed, **values} if fixed else values
        driver: Any = db.connection.dbapi_connection
        return list(driver.execute(text, [told[name] for name in names]))

    def many(self, db: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run an insert for all rows; how many were new. SQLite takes BLOCK rows in one statement.

        Python's interpreter is given back once for each statement, and may have to be waited for afterwards.
        """
        text, names, fixed = self._ready.get(db.dialect.name) or self._compile(db.dialect)
        if not rows:
            return 0
        if names is None:
            told = [{**fixed, **row} for row in rows]
            return db.exec_driver_sql(text, told, execution_options={"preserve_rowcount": True}).rowcount
        driver: Any = db.connection.dbapi_connection
        given, new = [[row[name] for name in names] for row in rows], 0
        whole = len(given) // BLOCK * BLOCK
        for first in range(0, whole, BLOCK):
            one = f"({', '.join('?' * len(names))})"
            flat = list(chain.from_iterable(given[first : first + BLOCK]))
            new += driver.execute(text.replace(one, ", ".join([one] * BLOCK), 1), flat).rowcount
        return new + (driver.executemany(text, given[whole:]).rowcount if given[whole:] else 0)

    def _compile(self, dialect: Dialect) -> tuple[str, Sequence[str] | None, Mapping[str, Any]]:
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)  # type: ignore[attr-defined]
        fixed = {name: value for name, value in compiled.params.items() if type(value) in PLAIN}
        names = list(compiled.positiontup) if dialect.name == "sqlite" else None
        self._ready[dialect.name] = ready = str(compiled) + self._then, names, fixed
        return ready


class Members(ColumnElement[str]):
    """The texts in a JSON list, for `column.op("in")(Members("people"))`: one parameter, however many they are."""

    inherit_cache = True

    def __init__(self, name: str) -> None:
        """The list is given as JSON in the parameter `name`."""
        self.given = bindparam(name, type_=Text())


@compiles(Members, "sqlite")
def _in_sqlite(element: Members, compiler: Any, **options: Any) -> str:
    return f"(select value from json_each({compiler.process(element.given, **options)}))"


@compiles(Members)
def _in_postgresql(element: Members, compiler: Any, **options: Any) -> str:
    return f"(select jsonb_array_elements_text(cast({compiler.process(element.given, **options)} as jsonb)))"
