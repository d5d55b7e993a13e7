"""`promolift` as the version after this one would be: its ledger has a form of its own, with a column more, which each
decision writes.
"""

from sqlalchemy import Column, Connection, Text, text

from promolift.cli import app
from promolift.store import ledger_migrate
from promolift.store.ledger_schema import DECISIONS


def expand(db: Connection) -> None:
    """The step from the present form."""
    db.execute(text("alter table decisions add column basket text"))


if __name__ == "__main__":
    DECISIONS.append_column(Column("basket", Text))
    ledger_migrate.STEPS[ledger_migrate.VERSION] = ledger_migrate.StepUp(expand, ledger_migrate.VERSION)
    ledger_migrate.VERSION += 1
    app()
