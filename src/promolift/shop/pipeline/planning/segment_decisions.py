"""Decide for all customers of a segment at one moment, as the server decides for one customer."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from promolift.core import decisions
from promolift.core.customers.consent import may_send
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.frames import escape_formulas
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.artifacts import remember_output
from promolift.foundation.storage.local_store import Store
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job
from promolift.shop.results.work_folder.work_tables import CleanTables

LIST_COLUMNS = ("candidates", "ineligible", "considered")  # in Parquet alone
OFFER_COLUMNS = ("menu_id", "target", "gain_cents", "cost_cents")


class CampaignRows(NamedTuple):
    """What a campaign decides on: candidates, who may be written to, and its terms."""

    rows: pl.DataFrame
    consent: pl.DataFrame
    terms: ReleaseTerms


def decide_segment(job: Job, segment: str | None, ts_ms: int, beside: Sequence[Store] = ()) -> pl.DataFrame:
    """`decide_rows` for the customers of a segment, or for all, by the plan of the work folder. What a server has heard
    since the plan is not known here. With other campaigns' work folders `beside` it, one of them decides for each.
    """
    plan = Plan.load(job.store)
    rows = plan.candidates
    if segment is not None:
        known = [each.name for each in job.config.segment]
        if segment not in known:
            raise ConfigError(
                "segment_unknown",
                gettext_lazy(
                    "--segment {segment}: no [[segment]] has this name; there are {known}",
                    segment=segment,
                    known=", ".join(known) or "none",
                ),
            )
        rows = rows.filter(pl.col("segments").list.contains(segment))
    people = rows["customer_id"].unique()
    some = [campaign_rows(job.store, rows, plan)]
    for store in beside:
        other = Plan.load(store)
        some.append(campaign_rows(store, other.candidates.filter(pl.col("customer_id").is_in(people.implode())), other))
    return decide_campaigns(some, ts_ms) if beside else decide_rows(*some[0], ts_ms)


def campaign_rows(store: Store, rows: pl.DataFrame, plan: Plan) -> CampaignRows:
    """Some candidates of a plan, with what its customers allow."""
    return CampaignRows(
        rows,
        may_send(rows["customer_id"], CleanTables(store).current_customers(rows["customer_id"]), plan.note.consent),
        plan.note.terms,
    )


def decide_rows(rows: pl.DataFrame, consent: pl.DataFrame, terms: ReleaseTerms, ts_ms: int) -> pl.DataFrame:
    """Return DECISIONS, with menu_id, target, gain_cents and cost_cents of the chosen offer; each is what
    `decisions.decide` decides for that customer alone.
    """
    found = decisions.decide(rows, consent, terms, ts_ms)
    about = rows.select("customer_id", "offer_id", *OFFER_COLUMNS)
    return found.join(about, on=["customer_id", "offer_id"], how="left", maintain_order="left")


def decide_campaigns(some: Sequence[CampaignRows], ts_ms: int) -> pl.DataFrame:
    """`decide_rows` where several campaigns meet: for each customer by the one that `deliver.arbitrate` names.

    `considered` lists what each campaign had, `why` says why one of them decides. InputError if two have one name.
    """
    names = [each.terms.campaign_id for each in some]
    if len(set(names)) < len(names):
        raise InputError(
            "campaign_duplicate",
            gettext_lazy("--beside: campaigns {names}; each needs a plan.campaign of its own", names=", ".join(names)),
        )
    bids = pl.concat(decisions.OptionTable.of(each.rows, each.consent).bids(each.terms) for each in some)
    won = decisions.arbitrate_batch(bids)
    found = []
    for each in some:
        mine = won.filter(pl.col("won_by") == each.terms.campaign_id)["customer_id"].implode()
        rows = each.rows.filter(pl.col("customer_id").is_in(mine))
        found.append(decide_rows(rows, each.consent, each.terms, ts_ms))
    listed = bids.sort("customer_id", "campaign_id").group_by("customer_id", maintain_order=True)
    considered = listed.agg(pl.struct(decisions.Bid._fields).alias("considered"))
    return (
        pl.concat(found)
        .join(won.select("customer_id", "why"), on="customer_id")
        .join(considered, on="customer_id")
        .sort("customer_id")
    )


def write_decisions(job: Job, segment: str | None, ts_ms: int, file: Path, beside: Sequence[Store] = ()) -> StepSummary:
    """Write them as Parquet, or as CSV without the lists of candidates. InputError for another kind of file."""
    if file.suffix not in (".parquet", ".csv"):
        raise InputError(
            "file_type_unsupported", gettext_lazy("--out {file}: name a file that ends in .parquet or .csv", file=file)
        )
    found = decide_segment(job, segment, ts_ms, beside)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        escape_formulas(found.drop(LIST_COLUMNS, strict=False)).write_csv(file)
    else:
        found.write_parquet(file)
    remember_output(job.store.root, file)
    given = found.filter(pl.col("offer_id") != "none").height
    text = gettext(
        "{height} decisions, {given} with an offer: {file}", height=count(found.height), given=count(given), file=file
    )
    figures = {"step": "decide", "decisions": found.height, "with_offer": given, "file": str(file)}
    return StepSummary(text, figures)
