"""The ledger's tables as CSV or Parquet, a page at a time: for the next `promolift ingest`, or for a warehouse."""

import io
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json
from sqlalchemy import select

from promolift.serve import record
from promolift.serve.routes.money import server_of
from promolift.store.ledger_schema import DECISIONS, EVENTS, REDEMPTIONS, REJECTS
from promolift.tables import DECISIONS as CONTRACT

router = APIRouter(tags=["export"])
TABLES = {"events": EVENTS, "decisions": DECISIONS, "redemptions": REDEMPTIONS, "rejects": REJECTS}
ORDER = {"events": "seq", "decisions": "ts_ms", "redemptions": "ts_ms", "rejects": "seq"}
MOST = 200_000
TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
PURCHASE = "Order Completed"


@router.get("/v1/exports/{table}.{kind}", response_class=Response)
def export(
    request: Request,
    table: Literal["events", "decisions", "redemptions", "rejects", "purchases"],
    kind: Annotated[Literal["csv", "parquet"], Path()],
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    spreadsheet: bool = False,
) -> Response:
    """Rows after a moment (`ts_ms`) or number (`seq`) in order; header `x-next` is the `after` of the next page.

    Every id stands as it is. With `spreadsheet=true` a cell that a spreadsheet would take for a formula gets an
    apostrophe in front: for people, not for the next `promolift ingest`.

    `purchases` has a line per product of every completed order, in columns that `promolift ingest` understands.
    """
    name = "events" if table == "purchases" else table
    source, column = TABLES[name], TABLES[name].c[ORDER[name]]
    wanted = select(source).where(column > after).order_by(column).limit(limit)
    if table == "purchases":
        wanted = wanted.where(EVENTS.c.name == PURCHASE)
    with server_of(request).ledger.read() as db:
        rows = [tuple(row) for row in db.execute(wanted)]
        if rows and len(rows) == limit and column.name == "ts_ms":  # a page must not end within one millisecond
            place = list(source.c).index(column)
            last_ms = rows[-1][place]
            rest = db.execute(select(source).where(column == last_ms))
            rows = [row for row in rows if row[place] != last_ms] + [tuple(row) for row in rest]
        schema: dict[str, Any] = {c.name: pl.String if c.type.python_type is str else None for c in source.c}
        if table == "decisions":
            schema = {name: kind for name, kind in schema.items() if name not in record.OWN}
            schema |= {name: CONTRACT.schema[name] for name in record.LISTS}
            kept = (dict(zip(source.c.keys(), row, strict=True)) for row in rows)
            whole = record.whole(kept, server_of(request).decider.ensure)
            rows = [tuple(map(each.columns(each.terms_text).__getitem__, schema)) for each in whole]
    frame = pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)
    last = str(frame[column.name].max()) if frame.height >= limit else ""
    frame = purchases(frame) if table == "purchases" else frame
    return Response(_written(frame, kind, spreadsheet), headers={"x-next": last}, media_type=TYPES[kind])


def purchases(events: pl.DataFrame) -> pl.DataFrame:
    """One row per product of every completed order: customer_id, event_time, event_type, order_id, product_id, ..."""
    import json
    from datetime import UTC, datetime

    rows = []
    for event in events.iter_rows(named=True):
        properties = json.loads(event["body"]).get("properties") or {}
        lines = properties.get("products")
        for line in lines if isinstance(lines, list) else [properties]:
            line = line if isinstance(line, dict) else {}
            rows.append(
                {
                    "customer_id": event["customer_id"],
                    "event_time": datetime.fromtimestamp(event["ts_ms"] / 1000, UTC).isoformat(timespec="milliseconds"),
                    "event_type": "purchase",
                    "order_id": _text(properties.get("order_id")),
                    "product_id": _text(line.get("product_id") or line.get("sku")),
                    "category": _text(line.get("category")),
                    "quantity": _number(line.get("quantity", 1)),
                    "price": _number(line.get("price")),
                    "coupon": _text(properties.get("coupon") or line.get("coupon")),
                }
            )
    text = dict.fromkeys(("customer_id", "event_time", "event_type", "order_id", "product_id", "category"), pl.String)
    return pl.DataFrame(rows, schema=text | {"quantity": pl.Float64, "price": pl.Float64, "coupon": pl.String})


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _written(frame: pl.DataFrame, kind: str, spreadsheet: bool = False) -> bytes:
    buffer = io.BytesIO()
    if kind == "parquet":
        frame.write_parquet(buffer)
    else:
        lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
        texts = {name: [to_json(each).decode() for each in frame[name].to_list()] for name in lists}
        frame = frame.with_columns(pl.Series(name, each, dtype=pl.String) for name, each in texts.items())
        cells = [name for name, dtype in frame.schema.items() if dtype == pl.String and spreadsheet]
        frame.with_columns(_harmless(name) for name in cells).write_csv(buffer)
    return buffer.getvalue()


def _harmless(name: str) -> pl.Expr:
    """A cell that a spreadsheet would take for a formula gets an apostrophe in front."""
    cell = pl.col(name)
    return pl.when(cell.str.contains(r"^[=+\-@\t\r\n]")).then(pl.lit("'") + cell).otherwise(cell).alias(name)
