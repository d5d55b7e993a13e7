"""Tests of releases against each other: start, pause, stop, results, past tests and the power of a design."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from promolift.core.experiments.experiment_design import HOLDOUT, Design
from promolift.core.experiments.power import PastDays, past_days, power
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.server.admin_responses import answers
from promolift.server.api.problems import ApiError, FieldError
from promolift.server.api.routes import Route, RouteContext, ServerRoute, slow
from promolift.server.decisions.experiment_results import (
    ExperimentResult,
    analyse_experiment,
    is_slow,
    load_experiment_rows,
    read_experiment,
    spend_segments,
    with_known_outcome,
)
from promolift.server.decisions.release_period import begin_periods
from promolift.server.ledger.audit_log import HttpResponse
from promolift.server.ledger.field_types import Body, Slug
from promolift.server.ledger.records import Campaign, ExperimentIn, StoredExperiment
from promolift.server.ledger.schema import Refused
from promolift.shop.results.ingest import Span
from promolift.shop.results.work_folder.work_tables import CleanTables

router = APIRouter(route_class=ServerRoute, tags=["admin"])


@router.put("/v1/campaigns/{campaign_id}/experiment", **answers(ExperimentIn))
def put_experiment(asked: Route, campaign_id: Slug, body: ExperimentIn) -> Response:
    """Split the campaign's customers between releases, by hash, unless `paused`. A changed design needs a new name."""
    if unknown := sorted(set(body.releases) ^ (set(body.design.arms) - {HOLDOUT})):
        raise ApiError(
            422,
            "arms_differ",
            gettext_lazy("every arm needs a release"),
            FieldError("/releases", gettext_lazy("differ: {unknown}", unknown=unknown)),
        )
    for release_id in sorted(set(body.releases.values())):
        if asked.server.decider.ensure_everywhere(release_id).terms.campaign_id != campaign_id:
            wrong = FieldError("/releases", gettext_lazy("{release_id} is of another campaign", release_id=release_id))
            raise ApiError(422, "release_of_another", gettext_lazy("wrong campaign"), wrong)
    return _change(asked, campaign_id, body)


@router.delete("/v1/campaigns/{campaign_id}/experiment", **answers(ExperimentIn | None))
def stop_experiment(asked: Route, campaign_id: Slug) -> Response:
    """Stop the experiment: everybody is served from the campaign's release again. Its decisions stay."""
    return _change(asked, campaign_id, None)


def _change(asked: RouteContext, campaign_id: str, test: ExperimentIn | None) -> Response:
    """Let a campaign have this experiment, or none; what ran before has ended."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        old, new = Campaign.load(db, campaign_id), test and test.model_dump(mode="json")
        running = old.experiment
        if test and running and running.design.name == test.design.name and running.design != test.design:
            raise Refused("design_fixed", gettext_lazy("a running experiment's design is fixed; use a new name"))
        if running and (test is None or test.design.name != running.design.name):
            _keep(db, campaign_id, running, asked.who, now_ms, ended_ms=now_ms)
        if test:
            _keep(db, campaign_id, test, asked.who, now_ms)
        changed = old.with_experiment(test)
        begin_periods(db, campaign_id, changed, asked.server.decider.ensure, now_ms, now_ms).save(
            db, campaign_id, now_ms
        )
        action = "experiment.stop" if test is None else "experiment.pause" if test.paused else "experiment.put"
        asked.append_audit(db, now_ms, action, campaign_id, old.to_json().get("experiment"), new)
        return HttpResponse(200, new)

    return asked.change(do)


def _keep(
    db: Connection, campaign_id: str, test: ExperimentIn, who: str, now_ms: int, ended_ms: int | None = None
) -> None:
    """Note a test that runs or has ended; it began when it was noted first."""
    name = StoredExperiment.record_id(campaign_id, test.design.name)
    old = StoredExperiment.find(db, name) or StoredExperiment(campaign_id=campaign_id, experiment=test, by=who)
    begun = old.begun_ms if old.begun_ms is not None else now_ms
    old.model_copy(update={"experiment": test, "begun_ms": begun, "ended_ms": ended_ms}).save(db, name, now_ms)


@router.get("/v1/campaigns/{campaign_id}/experiment")
@slow
def experiment(asked: Route, campaign_id: Slug) -> ExperimentResult:
    """Verdicts as of now on what customers were worth, each with its rule; `outcome` says where that is from.

    It is `value_cents` of the feedback and of events sent with a decide key; where there is none, the money of
    orders since the first decision, winsorised: anybody can read a web page's key and make up an order. The share of
    customers who were worth anything (`bought`) stands beside it as a guardrail.
    """
    with asked.read() as db:
        running = Campaign.load(db, campaign_id).experiment
        if not running:
            raise Refused("experiment_unknown", gettext_lazy("this campaign has no experiment"))
        kept = StoredExperiment.find(db, StoredExperiment.record_id(campaign_id, running.design.name))
    return _result(asked, kept or StoredExperiment(campaign_id=campaign_id, experiment=running, by=""))


class ExperimentList(BaseModel):
    """Every test of a campaign, drafts and ended ones included, the latest first."""

    data: list[StoredExperiment]


@router.get("/v1/campaigns/{campaign_id}/experiments")
def experiments(asked: Route, campaign_id: Slug) -> ExperimentList:
    """Every test of the campaign: its design, who drafted it, when it began and ended."""
    with asked.read() as db:
        mine = [each for each in StoredExperiment.all(db).values() if each.campaign_id == campaign_id]
    latest = 2**60  # what has not begun stands first
    return ExperimentList(data=sorted(mine, key=lambda each: -(each.begun_ms or latest)))


@router.get("/v1/campaigns/{campaign_id}/experiments/{name}")
@slow
def ended_experiment(asked: Route, campaign_id: Slug, name: Slug) -> ExperimentResult:
    """The verdicts of one test; of one that has ended, as of its end."""
    with asked.read() as db:
        kept = StoredExperiment.find(db, StoredExperiment.record_id(campaign_id, name))
    if kept is None or kept.begun_ms is None:
        raise Refused("experiment_unknown", gettext_lazy("no test {name} has begun", name=name))
    return _result(asked, kept)


def _result(asked: RouteContext, tested: StoredExperiment) -> ExperimentResult:
    server, now_ms = asked.server, asked.server.clock.now_ms()
    currency = server.decider.ensure(next(iter(tested.experiment.releases.values()))).shop.currency
    with asked.read() as db:
        if not is_slow(db, tested):
            found = load_experiment_rows(db, tested.experiment.design.name, currency)
            return analyse_experiment(found, tested, now_ms, spend_segments(server.settings.work))
    said: ExperimentResult = server.run_in_reader(read_experiment, tested.model_dump_json(), currency, now_ms)
    return said


class PowerIn(Body):
    """A design to be looked at: shares of the arms, the holdout, and what is compared with what."""

    arms: Annotated[
        dict[Slug, float], Field(min_length=1, max_length=10, json_schema_extra={"additionalProperties": False})
    ]
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    control: Slug = HOLDOUT
    primary: Slug = "value_cents"

    @property
    def design(self) -> Design:
        """As a test would have it, but for its size."""
        values = {"name": "power", "planned_customers": 2} | self.model_dump()
        return with_known_outcome(Design.parse(values, "power"))


class PowerShown(BaseModel):
    """After so many days and customers: the smallest difference that shows in 4 of 5 cases, in minor units or as a
    share of customers (`bought`), and as a share of the mean; `enough`: every arm has customers for a verdict."""

    days: int
    customers: int
    smallest: float
    share: float | None
    enough: bool


class PowerAnswer(BaseModel):
    """By days of the shop's own past."""

    data: list[PowerShown]


@router.post("/v1/campaigns/{campaign_id}/experiment:power")
def experiment_power(asked: Route, campaign_id: Slug, body: PowerIn) -> PowerAnswer:
    """How small a difference a test of this design would show, by the last weeks of the shop's log. Changes nothing."""
    with asked.read() as db:
        Campaign.load(db, campaign_id)
    with Store(asked.server.settings.work) as store:
        found = power(load_shop_history(store), body.design)
    return PowerAnswer(data=[PowerShown(**each._asdict()) for each in found])


def load_shop_history(store: Store) -> tuple[PastDays, ...]:
    """Load the customers of the last weeks of a work folder's log; none where there is no log."""
    clean, span = CleanTables(store), Span.load(store) if Span.has(store) else None
    return past_days(clean.events(), span.last_ms) if clean.has_events and span and span.last_ms else ()


def save_draft(asked: RouteContext, campaign_id: str, test: ExperimentIn) -> Any:
    """Store a draft test that a user can start."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        name = StoredExperiment.record_id(campaign_id, test.design.name)
        if StoredExperiment.find(db, name) is not None:
            raise Refused("design_fixed", gettext_lazy("a test of this name is there already; use a new name"))
        StoredExperiment(campaign_id=campaign_id, experiment=test, by=asked.who).save(db, name, now_ms)
        asked.append_audit(db, now_ms, "experiment.draft", name, None, test.model_dump(mode="json"))
        return HttpResponse(201, {"name": test.design.name})

    return asked.change(do)
