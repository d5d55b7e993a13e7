"""A plan in; rows ready to be written to a file out. Nothing is written here."""

import polars as pl

from promolift.errors import InputError

# Source column to export column and type.
EXPORT = {
    "customer_id": ("customer_id", pl.String),
    "offer_id": ("offer_id", pl.String),
    "code": ("code", pl.String),
    "message_zh": ("message_zh", pl.String),
    "message_en": ("message_en", pl.String),
    "gain_cents": ("expected_gain_cents", pl.Float64),
    "cost_cents": ("expected_cost_cents", pl.Float64),
    "reason": ("reason", pl.String),
}
# What spreadsheets take for the start of a formula, the full-width forms included, also behind blanks.
FORMULA = r"^[\s\x00-\x1f\x{feff}\x{200b}]*[=+\-@＝＋－＠]|^[\t\r\n]"


def plan_rows(plan: pl.DataFrame) -> pl.DataFrame:
    """One row per customer who gets an offer, the columns of EXPORT, the largest expected gain first; text as it is.

    For Parquet and other typed formats. Raises InputError if a column is missing or a customer stands twice.
    """
    if missing := [name for name in EXPORT if name not in plan.columns]:
        raise InputError(f"plan: columns {missing} are missing; it has {plan.columns}")
    rows = plan.filter(pl.col("offer_id") != "none")
    if rows["customer_id"].is_duplicated().any():
        raise InputError("plan: a customer has more than one offer")
    shaped = rows.select(pl.col(name).cast(kind).alias(new) for name, (new, kind) in EXPORT.items())
    return shaped.sort(["expected_gain_cents", "customer_id"], descending=[True, False], nulls_last=True)


def export_rows(plan: pl.DataFrame) -> pl.DataFrame:
    """`plan_rows` for CSV: a text that a spreadsheet would run as a formula gets a ' in front (OWASP, CSV injection).

    Ids are texts too: one that begins so is changed, and must be joined through the typed format.
    """
    return safe_cells(plan_rows(plan))


def safe_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Every text cell that begins like a formula gets a ' in front; numbers stay numbers."""
    text = pl.col(pl.String)
    return frame.with_columns(pl.when(text.str.contains(FORMULA)).then(pl.lit("'") + text).otherwise(text).name.keep())
