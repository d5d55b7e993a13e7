"""Read from a server's ledger what customers said about consent and opt-outs of personalisation."""

import os
from pathlib import Path

import polars as pl

from promolift.foundation.errors import StepError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.local_store import Store

SCHEMA = {"customer_id": pl.String, "consent": pl.Int64, "personal": pl.Int64}


def read_consent_updates(store: Store) -> pl.DataFrame | None:
    """Read consent updates from the ledger that PROMOLIFT_LEDGER names, else from that of the work folder, if any.

    Erased customers are left out. Raises StepError if the ledger cannot be read.
    """
    file = store.root / "serve" / "ledger.db"
    url = os.environ.get("PROMOLIFT_LEDGER") or (f"sqlite:///{Path(file).absolute()}" if file.is_file() else "")
    if not url:
        return None
    try:
        return read_ledger_consent(url)
    except ImportError:
        raise StepError(
            "extra_missing",
            gettext_lazy("the server's ledger cannot be read without its extra; pip install 'promolift[serve]'"),
        ) from None


def read_ledger_consent(url: str) -> pl.DataFrame:
    """Read who told the server of this ledger about consent, in SCHEMA."""
    from sqlalchemy import column, create_engine, inspect, select, table
    from sqlalchemy.exc import SQLAlchemyError

    customers = table("customers", *map(column, (*SCHEMA, "erased")))  # of server/ledger/schema.py
    who, consent, personal = (customers.c[name] for name in SCHEMA)
    engine = create_engine(url)
    try:
        with engine.connect() as db:
            found = inspect(db)
            if not found.has_table(customers.name):
                return pl.DataFrame(schema=SCHEMA)
            if "personal" not in {column["name"] for column in found.get_columns(customers.name)}:
                raise StepError(
                    "ledger_outdated",
                    gettext_lazy(
                        "the server's ledger is of an earlier version; start `promolift serve` once, then plan"
                    ),
                )
            wanted = select(who, consent, personal).where(
                customers.c.erased == 0, consent.is_not(None) | personal.is_not(None)
            )
            return pl.DataFrame(db.execute(wanted.order_by(who)).all(), schema=SCHEMA, orient="row")
    except SQLAlchemyError as error:
        raise StepError(
            "ledger_unavailable",
            gettext_lazy(
                "the server's ledger cannot be read ({name}); see PROMOLIFT_LEDGER", name=type(error).__name__
            ),
        ) from None
    finally:
        engine.dispose()
