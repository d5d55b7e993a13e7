"""A decision log with rewards and policies that never ran in; what each would have earned, or why that is unknown, out.

Legend: N decisions of a batch, A offers, P policies.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray
from pyarrow import array
from pyarrow.compute import index_in

from promolift.errors import InputError
from promolift.learn.off_policy import (
    DecisionLog,
    OffPolicySettings,
    OffPolicyValue,
    Ranking,
    rank_policies,
    read_log,
    read_policy,
    value_of,
)
from promolift.sources.files import open_file
from promolift.sql import ident, literal
from promolift.steps.job import StepSummary

Floats = NDArray[np.float64]
MOST_OFFERS = 500  # a dense table of chances is kept for a batch
CELLS = 2_000_000  # chances in one batch
HELD = 20_000_000  # chances (decisions x offers) that are held; of a longer log a share of the customers is valued
FILES = (".parquet", ".pq")
ALSO = {
    "offer_id": ("offer", "item_id", "action", "action_id", "arm", "arm_id", "treatment"),
    "propensity": ("propensity_score", "pscore", "action_prob", "action_probability", "prob", "probability"),
    "customer_id": ("customer", "user_id", "uid", "user", "visitor_id", "client_id"),
}  # names that other logs give these columns
LISTED = """from_json({}::json, '[{{"offer": "VARCHAR", "prob": "DOUBLE"}}]')"""
NAMED = "logged, uniform, always:OFFER_ID, or a Parquet file with decision_id or customer_id, offer_id, prob"


@dataclass(frozen=True)
class Request:
    """A log, the policies to value on it, the column of rewards, and columns known before each decision."""

    log: Path
    policies: tuple[str, ...]
    reward: str = "reward"
    features: tuple[str, ...] = ()


def evaluate_log(
    log_path: Path,
    policies: Sequence[str],
    reward: str = "reward",
    features: Sequence[str] = (),
    settings: OffPolicySettings = OffPolicySettings(),  # noqa: B008 - frozen
) -> StepSummary:
    """Value each policy on the log.

    The log has customer_id, offer_id, propensity (as the decisions table has) and the reward column; with `candidates`
    in it the chances of all open offers are known to the support check. A policy is `logged`, `uniform` (over the
    offers of the log), `always:OFFER_ID`, or a Parquet file. Raises InputError for what cannot be read, SupportError
    for what the log cannot tell.
    """
    request = Request(Path(log_path), tuple(policies), reward, tuple(features))
    if not request.policies:
        raise InputError(f"policy: none named; give {NAMED}")
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '1GB'; set TimeZone = 'UTC'; set enable_progress_bar = false")
        rows, offers, notes = _open(connection, request)
        share = min(1.0, HELD / max(rows * len(offers), 1))
        if share < 1:
            notes.append(
                f"{rows} decisions are too many to hold: valued on {share:.1%} of the customers, drawn by hash"
            )
        return _summary(request, _valued(_batches(connection, request, offers, share), request, settings), notes)


@dataclass(frozen=True)
class _Valued:
    """Each policy's value, the best first where they were ranked."""

    values: Mapping[str, OffPolicyValue]
    ranking: Ranking | None = None


def _valued(
    batches: Iterator[tuple[DecisionLog, dict[str, Floats]]], request: Request, settings: OffPolicySettings
) -> _Valued:
    logs, chances = zip(*batches, strict=True)
    log = _joined(logs)
    policies = {name: read_policy(log, np.vstack([part[name] for part in chances])) for name in request.policies}
    if len(policies) == 1:
        return _Valued({name: value_of(log, policy, settings) for name, policy in policies.items()})
    ranking = rank_policies(log, policies, settings)
    return _Valued({name: ranking.values[name] for name in ranking.order}, ranking)


def _open(connection: duckdb.DuckDBPyConnection, request: Request) -> tuple[int, list[str], list[str]]:
    """Make the views `log` and `policy` (policy, key, offer_id, prob), check them, list all offers, and what to say."""
    log, notes = _named(open_file(connection, request.log, request.log.parent).rows)
    _columns(log, request.log, ["customer_id", "offer_id", "propensity", request.reward, *request.features])
    log.create_view("log")
    key = "decision_id" if "decision_id" in log.columns else "customer_id"
    connection.execute("create temp table policy (policy varchar, key varchar, offer_id varchar, prob double)")
    for name in request.policies:
        _add_policy(connection, name, key)
    listed = "select offer_id from log union select offer_id from policy"
    if "logged" in request.policies and "candidates" in log.columns:
        listed += f" union select unnest({_options(log)}).offer from log"
    offers = connection.sql(f"{listed} order by 1").fetchall()
    if len(offers) > MOST_OFFERS:
        raise InputError(
            f"{request.log}: {len(offers)} offers; at most {MOST_OFFERS} can be told apart; evaluate groups of offers"
        )
    if offers and offers[-1][0] is None:
        raise InputError(f"{request.log}: decisions without an offer_id; write 'none' where nothing was offered")
    (rows,) = connection.sql("select count(*) from log").fetchall()[0]
    if not rows:
        raise InputError(f"{request.log}: no decisions")
    return int(rows), [offer for (offer,) in offers], notes


def _named(rows: duckdb.DuckDBPyRelation) -> tuple[duckdb.DuckDBPyRelation, list[str]]:
    """The rows with our names where other logs have theirs; without a customer every decision is one of its own."""
    more, notes = [], []
    for ours, theirs in ALSO.items():
        if ours in rows.columns:
            continue
        found = next((name for name in theirs if name in rows.columns), None)
        if found:
            more.append(f"{ident(found)}{'::varchar' if ours == 'offer_id' else ''} as {ours}")
            notes.append(f"{found!r} is read as {ours}")
        elif ours == "customer_id" and "decision_id" not in rows.columns:
            more.append("_row::varchar as customer_id")
            notes.append("no customer column: each decision counts as one of its own, so intervals may be narrow")
    return (rows.project(", ".join(["*", *more])) if more else rows), notes


def _columns(rows: duckdb.DuckDBPyRelation, path: Path, names: Sequence[str]) -> None:
    gone = [name for name in names if name not in rows.columns]
    if gone:
        raise InputError(f"{path}: no column {gone[0]!r}; it has {', '.join(rows.columns[1:])}")


def _add_policy(connection: duckdb.DuckDBPyConnection, name: str, key: str) -> None:
    """Rows of one policy. A key of '' stands for every decision."""
    if name == "logged":
        return
    if name == "uniform":
        query = "select $name, '', offer_id, 1.0 / count(*) over () from (select distinct offer_id from log)"
        connection.execute(f"insert into policy {query}", {"name": name})
    elif name.startswith("always:"):
        connection.execute("insert into policy values (?, '', ?, 1.0)", [name, name.removeprefix("always:")])
    elif name.endswith(FILES):
        rows = open_file(connection, Path(name), Path(name).parent).rows
        by = key if key in rows.columns else "customer_id"
        _columns(rows, Path(name), [by, "offer_id", "prob"])
        text = f"select {literal(name)}, l.key, p.offer_id, p.prob::double"
        keys = f"(select distinct {by}::varchar as by, {key}::varchar as key from log)"
        rows.create_view("given", replace=True)
        connection.execute(f"insert into policy {text} from given p join {keys} l on l.by = p.{by}::varchar")
    else:
        raise InputError(f"policy {name!r}: not known; give {NAMED}")


def _options(log: duckdb.DuckDBPyRelation) -> str:
    """The open offers of a decision as a list: a list in the decisions table, JSON in a CSV."""
    kind = str(log.types[log.columns.index("candidates")])
    return "candidates" if kind.startswith("STRUCT") else LISTED.format("candidates")


def _batches(
    connection: duckdb.DuckDBPyConnection, request: Request, offers: list[str], share: float
) -> Iterator[tuple[DecisionLog, dict[str, Floats]]]:
    """The log in an order fixed by its customers' hashes, a batch at a time, with every policy's chances.

    Below 1 only customers whose hash lies in the first `share` of all hashes are read.
    """
    log = connection.table("log")
    known = log.columns
    key = "decision_id" if "decision_id" in known else "customer_id"
    options = _options(log) if "candidates" in known else "null::struct(offer varchar)[]"
    features = "".join(f", {ident(name)}::double as {ident('x_' + name)}" for name in request.features)
    count = range(len(request.policies))
    lists = "".join(f", p{i}.offers as offers_{i}, p{i}.probs as probs_{i}" for i in count)
    joins = " ".join(
        f"left join listed p{i} on p{i}.policy = {literal(name)} and p{i}.key = "
        + (f"l.{key}::varchar" if name.endswith(FILES) else "''")
        for i, name in enumerate(request.policies)
    )
    connection.execute("create or replace temp table numbered (offer_id varchar, number integer)")
    connection.executemany("insert into numbered values (?, ?)", [[offer, at] for at, offer in enumerate(offers)])
    reader = connection.sql(
        f"""with listed as (
            select policy, key, list(number) as offers, list(prob) as probs
            from policy join numbered using (offer_id) group by policy, key
        )
        select l.customer_id::varchar as customer, n.number, l.propensity::double as prob,
            l.{ident(request.reward)}::double as reward, {options} as options {features} {lists}
        from log l join numbered n using (offer_id) {joins}
        where {share} >= 1 or md5_number_lower(l.customer_id::varchar) < {share} * 18446744073709551616.0
        order by md5_number_lower(l.customer_id::varchar), l.customer_id, l.{key}"""
    ).to_arrow_reader(max(1000, CELLS // len(offers)))
    for batch in reader:
        if batch.num_rows:
            yield _batch(batch, request, offers)


def _batch(batch: Any, request: Request, offers: list[str]) -> tuple[DecisionLog, dict[str, Floats]]:
    for name, column in ((request.reward, "reward"), ("propensity", "prob")):
        if gone := batch.column(column).null_count:
            raise InputError(
                f"{request.log}: {gone} of {batch.num_rows} decisions have no {name}; wait until outcomes are settled, "
                "or leave those decisions out (a missing reward is not a reward of 0)"
            )
    at, prob, reward = (batch.column(name).to_numpy() for name in ("number", "prob", "reward"))
    parts = [batch.column(f"x_{name}").to_numpy(zero_copy_only=False) for name in request.features]
    context = np.column_stack(parts) if parts else None
    customers = batch.column("customer").to_numpy(zero_copy_only=False)
    logging = _logged(batch.column("options"), offers)
    log = replace(read_log(at, reward, prob, context, customers), logging_NA=logging)
    chances = {}
    for i, name in enumerate(request.policies):
        if name != "logged":
            chances[name] = _dense(name, batch.column(f"offers_{i}"), batch.column(f"probs_{i}"), len(offers))
        elif logging is None:
            raise InputError(f"{request.log}: policy 'logged' needs the column `candidates` with every offer's prob")
        else:
            chances[name] = logging
    return log, chances


def _logged(options: Any, offers: list[str]) -> Floats | None:
    """The logged chance of every offer, from the decisions' open offers; None where a decision does not tell."""
    each = options.flatten()
    if options.null_count or not len(each):
        return None
    at = index_in(each.field("offer"), value_set=array(offers, type=each.field("offer").type))
    prob = each.field("prob").to_numpy(zero_copy_only=False)
    known = np.asarray(at.is_valid())
    row = np.repeat(np.arange(len(options)), np.diff(options.offsets.to_numpy()))
    found = np.zeros((len(options), len(offers)))
    found[row[known], at.drop_null().to_numpy()] = prob[known]
    return None if np.isnan(found).any() else found


def _dense(name: str, offers: Any, probs: Any, count: int) -> Floats:
    if offers.null_count:
        raise InputError(
            f"policy {name}: no row for {offers.null_count} of {len(offers)} decisions; say what it does for them"
        )
    found = np.zeros((len(offers), count))
    row = np.repeat(np.arange(len(offers)), np.diff(offers.offsets.to_numpy()))
    np.add.at(found, (row, offers.flatten().to_numpy()), probs.flatten().to_numpy(zero_copy_only=False))
    wrong = np.flatnonzero(~((found >= 0).all(axis=1) & (np.abs(found.sum(axis=1) - 1) < 1e-6)))
    if wrong.size:
        raise InputError(
            f"policy {name}: the chances of {wrong.size} of {len(found)} decisions do not sum to 1; name what it does "
            "with the rest (offer_id none for no offer)"
        )
    return found


def _joined(logs: Sequence[DecisionLog]) -> DecisionLog:
    """Batches as one log; a customer's rows are neighbours, so only the two parts of a cut customer stay apart."""
    first = np.cumsum([0, *(0 if log.unit_N is None else int(log.unit_N.max()) + 1 for log in logs)])
    units = [log.unit_N + start for log, start in zip(logs, first, strict=False) if log.unit_N is not None]
    logging = [log.logging_NA for log in logs if log.logging_NA is not None]
    return DecisionLog(
        np.concatenate([log.action_N for log in logs]),
        np.concatenate([log.reward_N for log in logs]),
        np.concatenate([log.prob_N for log in logs]),
        np.vstack([log.context_NF for log in logs]),
        np.vstack(logging) if len(logging) == len(logs) else None,
        np.concatenate(units),
    )


def _summary(request: Request, valued: _Valued, notes: list[str]) -> StepSummary:
    """The values in figures and words; `notes` say what was guessed about the log."""
    ranking, first = valued.ranking, next(iter(valued.values.values()))
    lines = [f"{request.log.name}: {first.support.rows} decisions, mean {request.reward} {first.logged:.5g}"]
    policies, order = [], []
    for name, value in valued.values.items():
        low, high = (ranking.intervals[name].low, ranking.intervals[name].high) if ranking else (value.low, value.high)
        figures = {
            "policy": name, "value": value.value, "low": low, "high": high,
            "estimator": value.chosen, "gain_low": value.gain_low, "gain_high": value.gain_high,
            "effective_rows": value.support.effective, "warning": value.warning,
        }  # fmt: skip
        told = ""
        if ranking and name in ranking.against:
            figures["beaten"] = name in ranking.beaten
            told = "  beaten" if name in ranking.beaten else "  cannot be told from the first"
        policies.append(figures)
        lines += ["", f"policy {name}", value.text()]
        order.append(f"  {name}: {value.value:.5g}, {low:.5g} to {high:.5g}{told}")
    if ranking:
        lines += ["", f"all intervals at once ({first.level:.0%}), best guess first:", *order]
    lines += [f"note: {each}" for each in notes]
    figures_of_all = {"rows": first.support.rows, "logged": first.logged, "policies": policies, "notes": notes}
    return StepSummary("\n".join(lines), figures_of_all)
