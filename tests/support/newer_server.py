"""`promolift` as the version after this one would be: its ledger has a form of its own, with a column more, which each
decision writes.
"""

from sqlalchemy import Column, Connection, Text, text

from promolift.cli.application import app
from promolift.server.ledger import migrations
from promolift.server.ledger.schema import DECISIONS


def expand(db: Connection) -> None:
    """The step from the present form."""
    db.execute(text("alter table decisions add column basket text"))


if __name__ == "__main__":
    DECISIONS.append_column(Column("basket", Text))
    migrations.MIGRATION_STEPS[migrations.SCHEMA_VERSION] = migrations.MigrationStep(expand, migrations.SCHEMA_VERSION)
    migrations.SCHEMA_VERSION += 1
    app()
