"""Before the plan: the server's ledger in; what customers said to its API of consent and personal decisions kept as a
table of the work folder, so that the next plan knows it.
"""

import os
from pathlib import Path

import polars as pl

from promolift.foundation.errors import StepError
from promolift.foundation.hashing import sha256_of
from promolift.foundation.storage.local_store import Store
from promolift.shop.results.work_folder.run_context import Job

SCHEMA = {"customer_id": pl.String, "consent": pl.Int64, "personal": pl.Int64}


def hear(job: Job) -> None:
    """Read the ledger that PROMOLIFT_LEDGER names, else that of the work folder, where there is one. Erased customers
    are left out: nothing of them comes back here. StepError where it cannot be read.
    """
    file = job.store.root / "serve" / "ledger.db"
    url = os.environ.get("PROMOLIFT_LEDGER") or (f"sqlite:///{Path(file).absolute()}" if file.is_file() else "")
    if not url:
        return
    try:
        rows = _said(url)
    except ImportError:
        raise StepError(
            "extra_missing", "the server's ledger cannot be read without its extra; pip install 'promolift[serve]'"
        ) from None
    mark = sha256_of(rows.write_csv())
    if mark != heard_mark(job.store) and (rows.height or job.clean.heard is not None):
        job.store.save("heard", rows)
        job.store.save_json("heard", {"rows": mark})


def heard_mark(store: Store) -> str:
    """A text that changes with what was heard; empty where nothing was."""
    return str(store.load_json("heard")["rows"]) if store.has_json("heard") else ""


def _said(url: str) -> pl.DataFrame:
    from sqlalchemy import create_engine, inspect, select
    from sqlalchemy.exc import SQLAlchemyError

    from promolift.server.ledger.schema import CUSTOMERS

    who, consent, personal = (CUSTOMERS.c[name] for name in SCHEMA)
    engine = create_engine(url)
    try:
        with engine.connect() as db:
            found = inspect(db)
            if not found.has_table(CUSTOMERS.name):
                return pl.DataFrame(schema=SCHEMA)
            if "personal" not in {column["name"] for column in found.get_columns(CUSTOMERS.name)}:
                raise StepError(
                    "ledger_outdated",
                    "the server's ledger is of an earlier version; start `promolift serve` once, then plan",
                )
            wanted = select(who, consent, personal).where(
                CUSTOMERS.c.erased == 0, consent.is_not(None) | personal.is_not(None)
            )
            return pl.DataFrame(db.execute(wanted.order_by(who)).all(), schema=SCHEMA, orient="row")
    except SQLAlchemyError as error:
        raise StepError(
            "ledger_unavailable", f"the server's ledger cannot be read ({type(error).__name__}); see PROMOLIFT_LEDGER"
        ) from None
    finally:
        engine.dispose()
