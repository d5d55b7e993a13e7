"""Tests of releases: design and power of a new test, results of the running one, past tests."""

from functools import partial
from secrets import token_hex
from typing import Any

from promolift.core.experiments.experiment_design import HOLDOUT, Design
from promolift.core.experiments.power import PastDays, power
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, date, days
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.pages.blocks import Block, Figure
from promolift.foundation.pages.charts import verdict_text
from promolift.server.api.routes import admin, experiments
from promolift.server.console.pages.context import (
    PageVisit,
    Reply,
    Screen,
    cached_result,
    form,
    missing_error,
    page,
    sentence,
)
from promolift.server.console.pages.experiment_blocks import (
    arm_name,
    describe_power,
    describe_verdict,
    experiment_blocks,
    outcome_name,
)
from promolift.server.console.screens.plan import manifest
from promolift.server.decisions.experiment_results import (
    ExperimentResult,
    NoCustomersError,
    find_missing_data,
    is_slow,
    with_known_outcome,
)
from promolift.server.delivery.alert_messages import describe_missing_data
from promolift.server.ledger.records import ExperimentIn, ReleaseRecord, StoredExperiment
from promolift.server.ledger.schema import Refused
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.results.work_folder.run_context import Job

ARMS, LEAST_DAYS = ("a", "b", "c"), 7


@page("/tests")
def tests(visit: PageVisit) -> Reply:
    """The running test with what it shows, drafts, and those of the past."""
    known = experiments.experiments(visit.call, visit.campaign_id).data
    now = next((each for each in known if is_running(visit, each)), None)
    others = [each for each in known if each is not now]
    data = {
        "now": now, "drawn": drawn_by_plan(visit), "two_eyes": visit.two_eyes,
        "drafts": [each for each in others if each.begun_ms is None],
        "past": [each for each in others if each.begun_ms is not None],
    }  # fmt: skip
    return experiment_screen(visit, "experiments/page.html", translate_key("nav", "/tests"), data, now)


def drawn_by_plan(visit: PageVisit) -> str:
    """Return who draws offers in the plan that decides, and until when; empty where nobody does."""
    campaign = visit.campaign()
    frozen = manifest(visit, campaign.release) if campaign.release else None
    end_ms = campaign.ends_ms(campaign.release) if campaign.release else None
    if frozen is None or end_ms is None or end_ms < visit.now_ms or not frozen.plan.draws:
        return ""
    note = frozen.plan
    number, end = note.treated if note.tests is None else note.tests.customers, date(end_ms, visit.shared.shop.zone)
    return ngettext(
        "The plan that decides is a test itself: until {end}, {customers} customer get an "
        "offer by a draw. The next plan reads what it showed.",
        "The plan that decides is a test itself: until {end}, {customers} customers get an "
        "offer by a draw. The next plan reads what it showed.",
        number,
        end=end,
        customers=count(number),
    )


@page("/tests/{name}")
def show_experiment(visit: PageVisit) -> Reply:
    """Show a past test; `?part=shown` is the result of any test, which takes longer where many decisions are read."""
    test, part = requested_draft(visit), visit.query.get("part") == "shown"
    if test.begun_ms is None:
        raise missing_error("test")
    return experiment_screen(
        visit, "experiments/shown.html" if part else "experiments/one.html", question(test), {"now": test}, test, part
    )


def is_running(visit: PageVisit, test: StoredExperiment) -> bool:
    """Return whether the test splits customers now, or is paused."""
    running = visit.campaign().experiment
    return running is not None and running.design.name == test.experiment.design.name and test.ended_ms is None


def experiment_screen(
    visit: PageVisit, template: str, title: str, data: dict[str, Any], test: StoredExperiment | None, part: bool = False
) -> Screen:
    """A page with what a test shows; where that is a long reading, the page comes first and asks for the part."""
    result: ExperimentResult | None = None
    blocks, cash, why = list[Figure | Block](), MoneyFormat(visit.shared.shop.currency), ""
    empty = False
    if test is not None:
        design = with_known_outcome(test.experiment.design)
        with visit.read() as db:
            long = is_slow(db, test)
        data |= {"reading": long and not part, "question": question(test), "outcome": outcome_name(design.primary),
                 "design": design, "runs": is_running(visit, test)}  # fmt: skip
        if not data["reading"]:
            asked_for, name = visit.campaign_id, test.experiment.design.name
            read = partial(experiments.ended_experiment, visit.call, asked_for, name)
            try:
                result = visit.shared.cached_for(("result", name, test.ended_ms), read) if long else read()
                blocks = experiment_blocks(result.model_dump(), design.primary, test.begun_ms or 0, cash)
            except PromoError as error:
                why = error.message
                empty = isinstance(error, NoCustomersError)
    missing = find_missing_data(result, test, visit.now_ms) if test and (result or empty) else None
    head = result.verdicts[0] if result and result.verdicts else None
    data |= {
        "result": result,
        "why": render_message(why),
        "blocks": blocks,
        "answer": verdict_text(head["answer"]) if head else "",
        "headline": describe_verdict(head, cash) if head else "",
        "name": arm_name,
        "because": render_message(head["why"]) if head else "",
        "rule": render_message(head["rule"]) if head else "",
        "ratio": render_message(result.sample_ratio) if result else "",
        "left": days(result.days_left) if result else "",
        "winner": result.winner if result else None,
        "missing": describe_missing_data(missing._asdict()) if missing else "",
    }
    return Screen(template, title, data | {"draws": True}, whole=not part)


def question(test: StoredExperiment) -> str:
    """What it asks; its name where nothing was written."""
    return test.experiment.question or test.experiment.design.name


def submitted_experiment(visit: PageVisit, given: dict[str, str]) -> ExperimentIn:
    """Return the test that the form describes. Raises Refused or ValidationError if it describes none."""
    releases = {arm: given[arm] for arm in ARMS if given.get(arm)}
    if not releases:
        raise translate_refusal("arms_missing")
    held, control = given.get("holdout") or "0.1", given.get("control") or HOLDOUT
    if control == HOLDOUT and held == "0":
        raise translate_refusal("nothing_compared")
    values = {
        "name": given.get("name") or f"test_{token_hex(4)}", "primary": given.get("outcome", "value_cents"),
        "arms": dict.fromkeys(releases, 1 / len(releases)), "holdout_share": held, "control": control,
        "planned_customers": given.get("planned") or 2,
    }  # fmt: skip
    design = with_known_outcome(Design.parse(values, gettext("the test")))
    return ExperimentIn(design=design, releases=releases, question=given.get("question", "")[:300])


@page("/tests/new")
def show_wizard(visit: PageVisit) -> Reply:
    """The wizard; `?part=power` is what follows the choice of arms."""
    with visit.read() as db:
        made = [name for name, each in ReleaseRecord.all(db).items() if each.campaign_id == visit.campaign_id]
    releases = [name for name in sorted(made) if manifest(visit, name)]
    given = {"a": visit.campaign().release or ""} | dict(visit.query)
    data: dict[str, Any] = {"releases": releases, "given": given, "arms": ARMS, "lines": [], "why": ""}
    data |= {"live": visit.campaign().release, "outcome": outcome_name(given.get("outcome", "value_cents"))}
    try:
        data["lines"] = power_lines(visit, submitted_experiment(visit, given).design)
    except (PromoError, ValueError) as error:
        data["why"] = str(error)
    part = visit.query.get("part") == "power"
    template = "experiments/power.html" if part else "experiments/new.html" if releases else "experiments/none.html"
    return Screen(template, gettext("New test"), data, whole=not part)


@cached_result("notes/span.json")
def load_past(job: Job) -> tuple[PastDays, ...]:
    """Load the last weeks of the shop."""
    return experiments.load_shop_history(job.store)


def power_lines(visit: PageVisit, design: Design) -> list[dict[str, Any]]:
    """How small a difference shows after so many days, by the shop's own past; nothing where there is no log."""
    if visit.server.config is None:
        return []
    cash = MoneyFormat(visit.shared.shop.currency)
    found = power(load_past(visit), design)
    return [{"found": each, "smallest": describe_power(each, design.primary, cash)} for each in found]


@form("/tests/draft", "editor", "/tests")
def save(visit: PageVisit) -> None:
    """Keep it as a draft."""
    if not visit.text("question", 300):
        raise translate_refusal("question_missing")
    experiments.save_draft(visit.call, visit.campaign_id, submitted_experiment(visit, dict(visit.form)))


def requested_draft(visit: PageVisit) -> StoredExperiment:
    """Return the draft test that the path names."""
    with visit.read() as db:
        found = StoredExperiment.find(db, StoredExperiment.record_id(visit.campaign_id, visit.params["name"]))
    if found is None:
        raise missing_error("test")
    return found


@form("/tests/{name}/start", "approver", "/tests")
def start(visit: PageVisit) -> None:
    """Split customers from the next decision on."""
    test = requested_draft(visit)
    if test.begun_ms is not None or visit.campaign().experiment:
        raise translate_refusal("test_running")
    if visit.two_eyes and test.by == visit.visitor.actor:
        raise translate_refusal("own_draft")
    experiments.put_experiment(visit.call, visit.campaign_id, test.experiment)


@form("/tests/pause", "approver", "/tests")
def pause(visit: PageVisit) -> str:
    """Serve everybody from the campaign's release, and go on later with the same arms."""
    running, wanted = visit.campaign().experiment, visit.form.get("paused") == "yes"
    if running is None:
        raise Refused("experiment_unknown", gettext_lazy("this campaign has no experiment"))
    experiments.put_experiment(visit.call, visit.campaign_id, running.model_copy(update={"paused": wanted}))
    return sentence("test_paused" if wanted else "test_resumed")


@form("/tests/stop", "approver", "/tests")
def stop(visit: PageVisit) -> None:
    """End it; its verdict stays."""
    experiments.stop_experiment(visit.call, visit.campaign_id)


@form("/tests/win", "approver", "/tests")
def win(visit: PageVisit) -> str:
    """Decide everybody from the winner's release, and end the test. Refused unless a winner is shown."""
    running = visit.campaign().experiment
    found = experiments.experiment(visit.call, visit.campaign_id)
    release = running.releases.get(found.winner or "") if running else None
    if release is None:
        raise translate_refusal("no_winner")
    admin.activate(visit.call, release)
    experiments.stop_experiment(visit.call, visit.campaign_id)
    return sentence("decides_now", name=release)
