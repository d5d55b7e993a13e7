"""Estimate from a log of decisions and rewards what policies that never ran would have earned.

A policy that the log cannot support is refused with the reason.

Legend: N decisions, A actions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, overload

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.experiments.off_policy.budgeted_policy import BudgetedValue, PricedPolicy, budgeted_value
from promolift.core.experiments.off_policy.estimators import (
    DecisionLog,
    OffPolicySettings,
    OffPolicyValue,
    Ranking,
    estimate_value,
    rank_policies,
    read_log,
    read_policy,
)
from promolift.core.experiments.off_policy.policy_tree import LearnedTree, LearnerSettings, learn_policy
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.frames import as_frame
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import as_html
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy, render_message
from promolift.foundation.progress import StepSummary
from promolift.foundation.sql import quote_identifier

Floats = NDArray[np.float64]
PolicySpec = str | pl.DataFrame | NDArray[Any]
Policy = PolicySpec | Callable[[pl.DataFrame], PolicySpec]
MAX_ACTIONS = 500  # a dense table of probabilities is held
MAX_PROBABILITIES = (
    20_000_000  # probabilities (decisions x actions) that are held; of a longer file a share of customers is valued
)
PARQUET_SUFFIXES = (".parquet", ".pq")
COLUMN_ALIASES = {
    "offer_id": ("offer", "item_id", "action", "action_id", "arm", "arm_id", "treatment"),
    "propensity": ("propensity_score", "pscore", "action_prob", "action_probability", "prob", "probability"),
    "customer_id": ("customer", "user_id", "uid", "user", "visitor_id", "client_id"),
}  # names that other logs give these columns
TIME_COLUMNS = ("decided_ms", "ts_ms", "timestamp", "time", "ts")  # columns that order decisions
OPTION = pl.List(pl.Struct({"offer": pl.String, "prob": pl.Float64}))
POLICY_FORMS = "logged, uniform, always:OFFER_ID, or a Parquet file with decision_id or customer_id, offer_id, prob"
UNKNOWN_CUSTOMER = gettext_lazy(
    "no customer column: each decision counts as one of its own, so intervals may be narrow"
)


class Log:
    """Past decisions, to value on them policies that never ran.

    `decisions`: a frame (Polars, pandas, Arrow) or a file, with a row per decision. `action` names the column of what
    was given, `propensity` that of the probability with which it was drawn (in (0, 1]), `reward` what came of it,
    `customer` whose decision it was (one customer's decisions count as one), `features` numbers known before it, from
    which rewards are predicted. `time` orders the decisions, where a budget runs out. What is left out is looked for
    under the names that logs use; `notes` say what was found. A column `candidates` with the offer and prob of every
    open offer lets the support check see all of them.

    A policy is "logged" (needs `candidates`), "uniform" (over the log's actions), "always:ACTION", a frame with
    decision_id or the customer, the action and `prob`, an N x A array in the order of the rows and of `actions`, or a
    function that makes one of these from the frame. Raises InputError for what cannot be read.
    """

    def __init__(
        self,
        decisions: Any,
        *,
        action: str | None = None,
        propensity: str | None = None,
        reward: str = "reward",
        customer: str | None = None,
        features: Sequence[str] = (),
        time: str | None = None,
        name: str = "log",
    ) -> None:
        """Check the log; nothing is valued yet."""
        self.frame = as_frame(decisions, name)
        self.time = time or next((each for each in TIME_COLUMNS if each in self.frame.columns), None)
        if time is not None and time not in self.frame.columns:
            raise InputError(
                "column_unknown",
                gettext_lazy(
                    "{name}: no column {time}, which time names; it has {columns}",
                    name=name, time=repr(time), columns=", ".join(self.frame.columns),
                ),
            )  # fmt: skip
        self.name, self.reward, self.features, self.notes = name, reward, tuple(features), list[LazyMessage]()
        given = {"offer_id": action, "propensity": propensity, "customer_id": customer}
        rows = self._named(given)
        self.key = "decision_id" if "decision_id" in rows.columns else "customer_id"
        self._rows = rows.select(
            pl.col("offer_id").cast(pl.String),
            pl.col("propensity").cast(pl.Float64),
            pl.col(reward).cast(pl.Float64).alias("reward"),
            pl.col("customer_id").cast(pl.String),
            pl.col(self.key).cast(pl.String).alias("key"),
            *(pl.col(each).cast(pl.Float64).alias(f"x_{each}") for each in self.features),
            *([_options(rows)] if "candidates" in rows.columns else []),
            pl.int_range(pl.len()).alias("row"),
        )
        self._check()
        self.actions: tuple[str, ...] = tuple(self._rows["offer_id"].unique().sort())

    def __len__(self) -> int:
        """Decisions."""
        return self._rows.height

    def __str__(self) -> str:
        """How many decisions, which actions, and what was earned."""
        mean = float(self._rows["reward"].to_numpy().mean())
        head = gettext(
            "{name}: {decisions} decisions of {actions}; mean {reward} {mean}",
            name=self.name, decisions=f"{len(self):,}", reward=self.reward, mean=f"{mean:.5g}",
            actions=", ".join(self.actions[:8]) + " ..." * (len(self.actions) > 8),
        )  # fmt: skip
        return "\n".join([head, *map(render_message, self.notes)])

    @overload
    def value(self, policy: Policy, settings: OffPolicySettings = ...) -> OffPolicyValue: ...

    @overload
    def value(
        self, policy: Policy, settings: OffPolicySettings = ..., *, budget: float, cost: str = ..., none: str = ...
    ) -> BudgetedValue: ...

    def value(
        self,
        policy: Policy,
        settings: OffPolicySettings = OffPolicySettings(),  # noqa: B008 - frozen
        *,
        budget: float | None = None,
        cost: str = "cost",
        none: str = "none",
    ) -> OffPolicyValue | BudgetedValue:
        """What a policy would have earned per decision, with its interval.

        With a `budget` for all these decisions together the policy runs on the recorded arrivals, in their order, until
        its money is gone, and then gives the action `none`; `cost` names the column of what each logged decision cost.
        The policy may then also be a frame with `gain` and `cost` in place of `prob`: it takes the offer of the largest
        gain - price x cost, at a price that is set anew so that the money lasts. SupportError if it does what the log
        never did, or if the log is worth too few rows for it.
        """
        if budget is not None:
            return self._within(policy, settings, Budget(budget, cost, none))
        log, probs = self._read({"policy": policy})
        return estimate_value(log, read_policy(log, probs["policy"]), settings)

    def learn(
        self,
        features: Sequence[str] | None = None,
        settings: LearnerSettings = LearnerSettings(),  # noqa: B008 - frozen
    ) -> "LearnedFromLog":
        """The best policy of a class, by a log: always one action, or a tree of two questions about `features` (left
        out: those that rewards are predicted from), with what it is worth at least; see `learn_policy`.
        """
        names = tuple(self.features if features is None else features)
        self._needs(self.frame, *names)
        log, _ = self._read({})
        x_NF = self.frame.select(pl.col(name).cast(pl.Float64) for name in names).to_numpy() if names else None
        asked = np.zeros((len(self), 0)) if x_NF is None else x_NF
        learned = learn_policy(log, asked, self.actions, names, settings)
        rows = self._rows.select(pl.col("key").alias(self.key), pl.lit(1.0).alias("prob"))
        chosen = [self.actions[at] for at in learned.policy.choose(asked)]
        return LearnedFromLog(learned, rows.insert_column(1, pl.Series("offer_id", chosen)))

    def _within(self, policy: Policy, settings: OffPolicySettings, budget: "Budget") -> BudgetedValue:
        if budget.cost not in self.frame.columns:
            text = gettext_lazy("a budget needs what each decision cost: no column {cost}", cost=repr(budget.cost))
            raise InputError(
                "column_missing",
                gettext_lazy(
                    "{name}: {text}; it has {columns}", name=self.name, text=text, columns=", ".join(self.frame.columns)
                ),
            )
        given = policy(self.frame) if callable(policy) else policy
        gains = given if isinstance(given, pl.DataFrame) and "prob" not in given.columns else None
        made: dict[str, PolicySpec] = {} if gains is not None else {"policy": given}
        priced = None if gains is None else _long(gains, self.key, "gain", "cost")
        more = [budget.none, *(priced["offer_id"] if priced is not None else ())]
        log, probs = self._read(made, more)
        actions = self._all_actions(made, more)
        if budget.none not in self.actions:
            text = gettext_lazy(
                "no decision gave {none}, which is what follows once the money is gone", none=repr(budget.none)
            )
            raise SupportError(
                "untreated_decisions_missing",
                gettext_lazy("{name}: {text}; name the action that is no offer (none=...)", name=self.name, text=text),
            )
        cost_N = self.frame[budget.cost].cast(pl.Float64)
        if cost_N.null_count():
            raise InputError(
                "value_missing",
                gettext_lazy(
                    "{name}: {null_count} decisions have no {cost}; say 0 where nothing",
                    name=self.name, null_count=cost_N.null_count(), cost=budget.cost,
                ),
            )  # fmt: skip
        order = np.arange(len(self)) if self.time is None else self.frame[self.time].arg_sort().to_numpy()
        place, none = {action: at for at, action in enumerate(actions)}, actions.index(budget.none)
        if priced is not None:
            arrived: Floats | PricedPolicy = self._beliefs(priced, place, order)
        else:
            arrived = read_policy(log, probs["policy"])[order]
        return budgeted_value(log.part(order), cost_N.to_numpy()[order], arrived, budget.amount, none, settings)

    def _beliefs(self, long: pl.DataFrame, place: Mapping[str, int], order: NDArray[np.int64]) -> PricedPolicy:
        """Gain and cost that a policy with a price expects of every action of every decision; NaN where not open."""
        by = "key" if "key" in long.columns else "customer_id"
        cells = self._rows.select("row", by).join(long, on=by, how="inner")
        gain_NA, cost_NA = np.full((len(self), len(place)), np.nan), np.zeros((len(self), len(place)))
        at = (cells["row"].to_numpy(), cells["offer_id"].replace_strict(place, return_dtype=pl.Int64).to_numpy())
        gain_NA[at], cost_NA[at] = cells["gain"].to_numpy(), cells["cost"].to_numpy()
        return PricedPolicy(gain_NA[order], cost_NA[order])

    def rank(self, policies: Mapping[str, Policy], settings: OffPolicySettings = OffPolicySettings()) -> Ranking:  # noqa: B008
        """Two policies or more by value, with intervals that hold for all of them at once."""
        log, probs = self._read(policies)
        return rank_policies(log, {name: read_policy(log, each) for name, each in probs.items()}, settings)

    def _named(self, given: Mapping[str, str | None]) -> pl.DataFrame:
        """The frame with our names where the caller or other logs have theirs."""
        rows = self.frame
        for ours, theirs in given.items():
            self._needs(rows, *([theirs] if theirs is not None else []))
            found = theirs or next((each for each in (ours, *COLUMN_ALIASES[ours]) if each in rows.columns), None)
            if found is not None:
                rows = rows.with_columns(pl.col(found).alias(ours))
                if theirs is None and found != ours:
                    self.notes.append(gettext_lazy("{column} is read as {ours}", column=repr(found), ours=ours))
            elif ours == "customer_id":
                rows = rows.with_row_index("customer_id")
                if "decision_id" not in rows.columns:
                    self.notes.append(UNKNOWN_CUSTOMER)
        self._needs(rows, "offer_id", "propensity", self.reward, *self.features)
        return rows

    def _needs(self, rows: pl.DataFrame, *names: str) -> None:
        for each in names:
            if each not in rows.columns:
                raise InputError(
                    "column_missing",
                    gettext_lazy(
                        "{name}: no column {each}; it has {columns}",
                        name=self.name, each=repr(each), columns=", ".join(self.frame.columns),
                    ),
                )  # fmt: skip

    def _check(self) -> None:
        if self._rows.is_empty():
            raise InputError("too_few_rows", gettext_lazy("{name}: no decisions", name=self.name))
        if self._rows["offer_id"].null_count():
            raise InputError(
                "value_missing",
                gettext_lazy(
                    "{name}: decisions without an offer_id; write 'none' where nothing was offered", name=self.name
                ),
            )
        for name, column in ((self.reward, "reward"), ("propensity", "propensity")):
            if gone := self._rows[column].null_count():
                raise InputError(
                    "value_missing",
                    gettext_lazy(
                        "{name}: {gone} of {self} decisions have no {name_2}; wait until outcomes are settled, or "
                        "leave those decisions out (a missing reward is not a reward of 0)",
                        name=self.name, gone=gone, self=len(self), name_2=name,
                    ),
                )  # fmt: skip

    def _read(self, policies: Mapping[str, Policy], more: Sequence[str] = ()) -> "_Read":
        """The arrays of the log and of each policy, over all actions that any of them names, and `more`."""
        made = {name: each(self.frame) if callable(each) else each for name, each in policies.items()}
        actions = self._all_actions(made, more)
        place = {action: at for at, action in enumerate(actions)}
        rows = self._rows
        log = read_log(
            np.array([place[each] for each in rows["offer_id"]]),
            rows["reward"].to_numpy(),
            rows["propensity"].to_numpy(),
            rows.select(f"x_{each}" for each in self.features).to_numpy() if self.features else None,
            rows["customer_id"].to_numpy(),
        )
        log = replace(log, logging_NA=self._logged(place))
        return _Read(log, {name: self._probs(name, each, log, place) for name, each in made.items()})

    def _all_actions(self, policies: Mapping[str, PolicySpec], more: Sequence[str] = ()) -> list[str]:
        found = {*self.actions, *more}
        for each in policies.values():
            if isinstance(each, str) and each.startswith("always:"):
                found.add(each.removeprefix("always:"))
            elif isinstance(each, pl.DataFrame):
                found |= set(_long(each, self.key, "prob")["offer_id"])
            elif isinstance(each, str) and each == "logged" and "options" in self._rows.columns:
                found |= set(self._rows["options"].explode().struct.field("offer").drop_nulls())
        if len(found) > MAX_ACTIONS:
            text = gettext_lazy(
                "{found} offers; at most {max_actions} can be told apart", found=len(found), max_actions=MAX_ACTIONS
            )
            raise InputError(
                "too_many_offers", gettext_lazy("{name}: {text}; evaluate groups of offers", name=self.name, text=text)
            )
        return sorted(found)

    def _probs(self, name: str, policy: PolicySpec, log: DecisionLog, place: Mapping[str, int]) -> Floats:
        if isinstance(policy, np.ndarray):
            return self._from_array(name, policy, place)
        if isinstance(policy, pl.DataFrame):
            return self._from_frame(name, policy, place)
        found = np.zeros((len(self), len(place)))
        if policy == "logged":
            if log.logging_NA is None:
                raise InputError(
                    "column_missing",
                    gettext_lazy(
                        "{name}: policy 'logged' needs the column `candidates` with every offer's prob", name=self.name
                    ),
                )
            return log.logging_NA
        if policy == "uniform":
            found[:, [place[each] for each in self.actions]] = 1 / len(self.actions)
        elif policy.startswith("always:"):
            found[:, place[policy.removeprefix("always:")]] = 1.0
        else:
            raise InputError(
                "policy_unknown",
                gettext_lazy(
                    "policy {policy}: not known; give {policy_forms}", policy=repr(policy), policy_forms=POLICY_FORMS
                ),
            )
        return found

    def _from_array(self, name: str, policy: NDArray[Any], place: Mapping[str, int]) -> Floats:
        if policy.shape != (len(self), len(self.actions)):
            wanted = gettext_lazy(
                "{rows} x {columns}, a column for each of {actions}",
                rows=len(self),
                columns=len(self.actions),
                actions=", ".join(self.actions),
            )
            raise InputError(
                "shapes_differ",
                gettext_lazy(
                    "policy {name}: an array of shape {shape}; give {wanted}",
                    name=name, shape=policy.shape, wanted=wanted,
                ),
            )  # fmt: skip
        found = np.zeros((len(self), len(place)))
        found[:, [place[each] for each in self.actions]] = policy
        return found

    def _from_frame(self, name: str, policy: pl.DataFrame, place: Mapping[str, int]) -> Floats:
        long = _long(policy, self.key, "prob")
        by = "key" if "key" in long.columns else "customer_id"
        cells = self._rows.select("row", by).join(long, on=by, how="left")
        left = cells.filter(pl.col("offer_id").is_null())["row"].n_unique()
        if left:
            raise InputError(
                "policy_incomplete",
                gettext_lazy(
                    "policy {name}: no row for {left} of {self} decisions; say what it does for them",
                    name=name, left=left, self=len(self),
                ),
            )  # fmt: skip
        found = np.zeros((len(self), len(place)))
        column = cells["offer_id"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
        np.add.at(found, (cells["row"].to_numpy(), column), cells["prob"].to_numpy())
        wrong = np.flatnonzero(~((found >= 0).all(axis=1) & (np.abs(found.sum(axis=1) - 1) < 1e-6)))
        if wrong.size:
            raise InputError(
                "probabilities_invalid",
                gettext_lazy(
                    "policy {name}: the probabilities of {size} of {self} decisions do not sum to 1; name what "
                    "it does with the rest (offer_id none for no offer)",
                    name=name, size=wrong.size, self=len(self),
                ),
            )  # fmt: skip
        return found

    def _logged(self, place: Mapping[str, int]) -> Floats | None:
        """The propensity of every action, from the decisions' open offers; None where a decision does not tell."""
        if "options" not in self._rows.columns or self._rows["options"].null_count():
            return None
        cells = self._rows.select("row", "options").explode("options").unnest("options").drop_nulls("offer")
        cells = cells.filter(pl.col("offer").is_in(list(place)))
        found = np.zeros((len(self), len(place)))
        column = cells["offer"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
        found[cells["row"].to_numpy(), column] = cells["prob"].fill_null(float("nan")).to_numpy()
        return None if cells.is_empty() or np.isnan(found).any() else found


class Budget(NamedTuple):
    """Money for all decisions, the column of what each cost, and the action that is no offer."""

    amount: float
    cost: str
    none: str


class LearnedFromLog(NamedTuple):
    """A learned policy, and what it does for every decision of the log, as `value` and `--policy` take it."""

    learned: LearnedTree
    frame: pl.DataFrame

    def __str__(self) -> str:
        """The policy and what it is worth, for people."""
        return str(self.learned)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.frame)


class _Read(NamedTuple):
    """The log as arrays, and the probabilities N x A of each policy."""

    log: DecisionLog
    probs: dict[str, Floats]


def _options(rows: pl.DataFrame) -> pl.Expr:
    """The open offers of a decision as a list: a list in the decisions table, JSON in a CSV."""
    column = pl.col("candidates")
    if rows.schema["candidates"] == pl.String:
        return column.str.json_decode(OPTION).alias("options")
    return column.list.eval(
        pl.struct(
            pl.element().struct.field("offer").cast(pl.String), pl.element().struct.field("prob").cast(pl.Float64)
        )
    ).alias("options")


def _long(policy: pl.DataFrame, key: str, *amounts: str) -> pl.DataFrame:
    """key or customer_id, offer_id and amounts of a policy that is given as a frame."""
    names = {  # under our name or another log's
        ours: next((each for each in (ours, *COLUMN_ALIASES[ours]) if each in policy.columns), ours)
        for ours in ("offer_id", "customer_id")
    }
    by = key if key in policy.columns else names["customer_id"]
    for each in (by, names["offer_id"], *amounts):
        if each not in policy.columns:
            raise InputError(
                "column_missing",
                gettext_lazy(
                    "policy: no column {each}; it has {columns}", each=repr(each), columns=", ".join(policy.columns)
                ),
            )
    return policy.select(
        pl.col(by).cast(pl.String).alias("key" if by == key else "customer_id"),
        pl.col(names["offer_id"]).cast(pl.String).alias("offer_id"),
        *(pl.col(each).cast(pl.Float64) for each in amounts),
    )


def evaluate_log(
    path: Path,
    policies: Sequence[str],
    reward: str = "reward",
    features: Sequence[str] = (),
    settings: OffPolicySettings = OffPolicySettings(),  # noqa: B008 - frozen
    budget: "Budget | None" = None,
) -> StepSummary:
    """Value each policy (see `Log`; a Parquet file stands for a frame) on the log in a file, within a budget if given.

    Of a log too long to hold, a share of the customers, drawn by hash, is valued. Raises InputError for what cannot be
    read, SupportError for what the log cannot tell.
    """
    if not policies:
        raise InputError(
            "value_missing", gettext_lazy("policy: none named; give {policy_forms}", policy_forms=POLICY_FORMS)
        )
    with _connected() as connection, TemporaryDirectory() as copies:
        given = {name: _policy(connection, name, Path(copies)) for name in policies}  # first: the log may be long
        log, notes = _held(connection, path, Path(copies), reward, features)
        if budget is not None:
            if notes:
                raise InputError(
                    "log_too_long",
                    gettext_lazy(
                        "{path}: {note}; a budget is that of all of them: give a shorter period",
                        path=path, note=notes[0],
                    ),
                )  # fmt: skip
            return _within_summary(path.name, log, given, settings, budget)
        ranking = log.rank(given, settings) if len(policies) > 1 else None
        values = (
            {name: log.value(each, settings) for name, each in given.items()} if ranking is None else ranking.values
        )
    return _summary(path.name, log, values, ranking, [*log.notes, *notes])


def learn_from_log(
    path: Path, reward: str = "reward", features: Sequence[str] = (), out: Path | None = None
) -> StepSummary:
    """`promolift evaluate --log FILE --learn`: the best policy of a class, what it is worth at least, and its file."""
    if out is not None and out.is_dir():
        raise InputError(
            "file_is_folder", gettext_lazy("{out}: a folder; name a file for the learned policy with --out", out=out)
        )
    with _connected() as connection, TemporaryDirectory() as copies:
        log, notes = _held(connection, path, Path(copies), reward, features)
    found = log.learn()
    learned = found.learned
    head = gettext("{file}: {decisions} decisions, {reward}", file=path.name, decisions=len(log), reward=reward)
    lines = [head, str(learned), *map(_note, (*log.notes, *notes))]
    names = ("bound", "gain", "gain_bound", "level", "shown", "learned")
    figures = {"policy": learned.policy.lines(learned.actions, learned.names, ""), "value": learned.value.value}
    figures |= {"logged": learned.value.logged} | {name: getattr(learned, name) for name in names}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        found.frame.write_parquet(out)
        lines.append(gettext("Policy: {file}", file=out))
    return StepSummary("\n".join(lines), figures)


def _within_summary(
    name: str, log: Log, given: Mapping[str, PolicySpec], settings: OffPolicySettings, budget: "Budget"
) -> StepSummary:
    head = gettext(
        "{file}: {decisions} decisions, {reward} within a budget of {budget}",
        file=name, decisions=len(log), reward=log.reward, budget=f"{budget.amount:g}",
    )  # fmt: skip
    lines, valued = [head], []
    names = ("value", "low", "high", "spent", "lasts", "unlimited", "naive", "naive_low", "naive_high")
    for policy, each in given.items():
        found = log.value(each, settings, budget=budget.amount, cost=budget.cost, none=budget.none)
        lines += ["", gettext("policy {policy}", policy=policy), str(found)]
        valued.append({"policy": policy} | {figure: getattr(found, figure) for figure in names})
    order = gettext_lazy("arrivals in the order of the rows")
    if log.time:
        order = gettext_lazy("arrivals in the order of {column}", column=log.time)
    lines += map(_note, (order, *log.notes))
    return StepSummary("\n".join(lines), {"budget": budget.amount, "policies": valued, "notes": list(log.notes)})


def _note(text: LazyMessage) -> str:
    return gettext("note: {text}", text=render_message(text))


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '1GB'; set TimeZone = 'UTC'; set enable_progress_bar = false")
        yield connection


class _Held(NamedTuple):
    """The decisions that are valued, and what to say of their choice."""

    log: Log
    notes: list[LazyMessage]


def _held(
    connection: duckdb.DuckDBPyConnection, path: Path, copies: Path, reward: str, features: Sequence[str]
) -> _Held:
    """As many decisions as can be held, in an order fixed by their customers' hashes."""
    rows = open_file(connection, path, copies).rows
    theirs = next((each for each in ("customer_id", *COLUMN_ALIASES["customer_id"]) if each in rows.columns), "_row")
    offer = next((each for each in ("offer_id", *COLUMN_ALIASES["offer_id"]) if each in rows.columns), None)
    count, offers = (rows.aggregate(f"count(*), count(distinct {quote_identifier(offer)})" if offer else "count(*), 1")
                     .fetchall()[0])  # fmt: skip
    share = min(1.0, MAX_PROBABILITIES / max(count * offers, 1))
    place = f"md5_number_lower({quote_identifier(theirs)}::varchar)"
    then = [each for each in (theirs, "decision_id") if each in rows.columns]
    kept = rows if share == 1 else rows.filter(f"{place} < {share} * 18446744073709551616.0")
    ordered = kept.order(", ".join([place, *map(quote_identifier, then)]))
    note = gettext_lazy(
        "{decisions} decisions are too many to hold: valued on {share} of the customers, drawn by hash",
        decisions=count,
        share=f"{share:.1%}",
    )
    log = Log(ordered.project("* exclude (_row)").pl(), reward=reward, features=features, name=str(path))
    return _Held(log, [note] if share < 1 else [])


def _policy(connection: duckdb.DuckDBPyConnection, name: str, copies: Path) -> PolicySpec:
    if not name.endswith(PARQUET_SUFFIXES):
        return name
    rows: pl.DataFrame = open_file(connection, Path(name), copies).rows.project("* exclude (_row)").pl()
    return rows


def _summary(
    name: str, log: Log, values: Mapping[str, OffPolicyValue], ranking: Ranking | None, notes: Sequence[LazyMessage]
) -> StepSummary:
    """The values in figures and words, the best guess first; `notes` say what was guessed about the log."""
    order = ranking.order if ranking else tuple(values)
    first = values[order[0]]
    head = gettext(
        "{file}: {decisions} decisions, mean {reward} {mean}",
        file=name, decisions=first.support.rows, reward=log.reward, mean=f"{first.logged:.5g}",
    )  # fmt: skip
    lines = [head]
    policies = []
    for policy in order:
        value = values[policy]
        low, high = ranking.intervals[policy] if ranking else (value.low, value.high)
        figures = {
            "policy": policy, "value": value.value, "low": low, "high": high,
            "estimator": value.chosen, "gain_low": value.gain_low, "gain_high": value.gain_high,
            "effective_rows": value.support.effective, "warning": value.warning,
        }  # fmt: skip
        if ranking and policy in ranking.against:
            figures["beaten"] = policy in ranking.beaten
        policies.append(figures)
        lines += ["", gettext("policy {policy}", policy=policy), str(value)]
    if ranking:
        lines += ["", str(ranking)]
    lines += map(_note, notes)
    told_all = {"rows": first.support.rows, "logged": first.logged, "policies": policies, "notes": list(notes)}
    return StepSummary("\n".join(lines), told_all)
