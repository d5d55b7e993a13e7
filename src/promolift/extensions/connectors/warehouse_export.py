"""Write the plan, decisions and verdicts of a work folder into tables of the warehouse (`promolift export`).

An export replaces the rows of an earlier export with the same key, so exporting twice changes nothing.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from promolift.core.experiments.exposure_log import LOG_FORMATS, LogFormat, to_exposure_log
from promolift.extensions.connectors.warehouse import open_warehouse
from promolift.foundation.errors import ConfigError, InputError, StepError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy, load_messages
from promolift.foundation.progress import StepSummary
from promolift.shop.pipeline.steps.report import plan_file
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job

BATCH_ROWS = 100_000  # decisions that are sent at once
CUSTOMER_COUNTS = {"policy": "policy_customers", "holdout": "holdout_customers"}
VERDICT_SCHEMA = {
    "campaign_id": pl.String, "policy": pl.String, "policy_version": pl.String, "measure": pl.String,
    "window_days": pl.Float64, "until_ms": pl.Int64, "answer": pl.String, "why": pl.String, "rule": pl.String,
    "evidence": pl.String, "policy_customers": pl.Int64, "holdout_customers": pl.Int64,
    "gain_per_customer": pl.Float64, "low": pl.Float64, "high": pl.Float64, "gain_total": pl.Float64,
    "total_low": pl.Float64, "total_high": pl.Float64, "figures": pl.String,
}  # fmt: skip


class ExportRows(NamedTuple):
    """Rows for a table, and the key under which they replace what is there."""

    rows: Iterable[pl.DataFrame]
    key: dict[str, object]


def export_tables(job: Job, wanted: Sequence[str], learned: Path, shape: LogFormat | None = None) -> StepSummary:
    """Write the named tables, or those that there are; the rows of each. With a `shape` also `exposures`. ConfigError
    for a name that is none of them, StepError where one was not made yet.
    """
    for name in wanted:
        if name not in TABLES:
            raise ConfigError(
                "table_unknown",
                gettext_lazy(
                    "promolift export {name}: there is no such table; name {tables}",
                    name=name,
                    tables=", ".join(TABLES),
                ),
            )
    made: dict[str, ExportRows] = {}
    for name, table in TABLES.items():
        try:
            if name in wanted or not wanted:
                made[name] = table(job, learned)
        except StepError:
            if name in wanted:
                raise
    if shape:
        made["exposures"] = exposure_rows(job, shape)
    if not made:
        raise StepError(
            "step_missing",
            gettext_lazy("promolift export: neither plan nor verdict is there yet; run `promolift run` first"),
        )
    settings = job.config.warehouse
    with open_warehouse(settings, writes=True) as warehouse:
        counts = {name: warehouse.replace(name, map(lists_to_json, rows), key) for name, (rows, key) in made.items()}
    text = "\n".join(
        gettext("{table}: {rows} rows", table=settings.table_name(name), rows=f"{rows:,}")
        for name, rows in counts.items()
    )
    return StepSummary(text, {"step": "export", "rows": counts})


def lists_to_json(rows: pl.DataFrame) -> pl.DataFrame:
    """The same with lists as JSON text, which every warehouse holds."""
    lists = [name for name, kind in rows.schema.items() if isinstance(kind, pl.List)]
    texts = (pl.Series(name, [to_json(each) for each in rows[name].to_list()], pl.String) for name in lists)
    return rows.with_columns(texts)


def to_json(value: object) -> str | None:
    """A value as JSON; nothing stays nothing."""
    return None if value is None else json.dumps(value, ensure_ascii=False)


def plan_rows(job: Job, _: Path) -> ExportRows:
    """PLAN_FILE, with its campaign; a campaign has one plan."""
    campaign = Plan.load(job.store).note.terms.campaign_id
    return ExportRows(
        [plan_file(job).select(pl.lit(campaign).alias("campaign_id"), pl.all())], {"campaign_id": campaign}
    )


def decision_rows(job: Job, _: Path) -> ExportRows:
    """DECISIONS, of a campaign and a moment."""
    plan = Plan.load(job.store)
    moment = plan.decided("campaign_id", "ts_ms")[:1]
    if moment.is_empty():
        raise StepError(
            "plan_empty", gettext_lazy("the plan decided for nobody; run `promolift health` to see who is known")
        )
    return ExportRows(plan.records(BATCH_ROWS), moment.row(0, named=True))


def exposure_rows(job: Job, shape: LogFormat) -> ExportRows:
    """Who the plan gives offers to and who is its holdout, of a campaign and a moment."""
    found = Plan.load(job.store).decided("customer_id", "ts_ms", "campaign_id", "holdout")
    rows, names = to_exposure_log(found, shape), LOG_FORMATS[shape]
    if rows.is_empty():
        raise StepError("plan_empty", gettext_lazy("the plan drew nobody; run `promolift health` to see who is known"))
    return ExportRows([rows], rows.select(names["experiment"], names["ts_ms"]).row(0, named=True))


def verdict_rows(job: Job, learned: Path) -> ExportRows:
    """What `promolift learn` found of a policy, read up to a moment: a row; `figures` is all of learn.json."""
    path = learned / "learn.json"
    if not path.is_file():
        raise StepError(
            "step_missing",
            gettext_lazy(
                "{learned}: no verdict there yet; run `promolift learn` first, or name its folder by --out",
                learned=learned,
            ),
        )
    try:
        found: dict[str, Any] = load_messages(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(
            "file_unreadable", gettext_lazy("{path}: not readable as JSON; run `promolift learn` again", path=path)
        ) from None
    row = found | {CUSTOMER_COUNTS[name]: count for name, count in found["customers"].items()}
    row |= {"campaign_id": found["campaign"], "figures": json.dumps(found, ensure_ascii=False)}
    rows = pl.DataFrame({name: [row[name]] for name in VERDICT_SCHEMA}, VERDICT_SCHEMA, strict=False)
    return ExportRows([rows], {name: row[name] for name in ("campaign_id", "policy_version", "until_ms")})


TABLES: dict[str, Callable[[Job, Path], ExportRows]] = {
    "plan": plan_rows, "decisions": decision_rows, "verdicts": verdict_rows,
}  # fmt: skip
