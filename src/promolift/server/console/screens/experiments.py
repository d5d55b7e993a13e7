"""Tests of releases: a question, its arms and how small a difference they would show; what the running one shows."""

from functools import partial
from secrets import token_hex
from typing import Any

from promolift.core.experiments.experiment_design import HOLDOUT, Design
from promolift.core.experiments.power import PastDays, power
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.formatting import Cash, days, pick
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Block, Figure
from promolift.foundation.pages.charts import answer_words
from promolift.server.api.routes import admin, experiments
from promolift.server.console.pages.context import PageVisit, Reply, Screen, form, missing, once, page, say
from promolift.server.console.pages.experiment_blocks import (
    arm_name,
    experiment_blocks,
    headline_words,
    outcome_name,
    power_words,
)
from promolift.server.console.screens.plan import manifest
from promolift.server.decisions.experiment_results import ExperimentResult, judged_by, many
from promolift.server.ledger.records import ExperimentIn, KeptTest, MadeRelease
from promolift.server.ledger.schema import Refused
from promolift.server.translations import refused, worded
from promolift.shop.results.work_folder.run_context import Job

ARMS, LEAST_DAYS = ("a", "b", "c"), 7


@page("/tests")
def tests(visit: PageVisit) -> Reply:
    """The running test with what it shows, drafts, and those of the past."""
    known = experiments.experiments(visit.call, visit.campaign_id).data
    now = next((each for each in known if runs(visit, each)), None)
    others = [each for each in known if each is not now]
    data = {"now": now, "drafts": [each for each in others if each.begun_ms is None], "two_eyes": visit.two_eyes,
            "past": [each for each in others if each.begun_ms is not None]}  # fmt: skip
    return shown(visit, "experiments/page.html", worded("nav", "/tests"), data, now)


@page("/tests/{name}")
def one(visit: PageVisit) -> Reply:
    """A test of the past; `?part=shown` is what any test shows, which takes longer where many decisions are read."""
    test, part = drafted(visit), visit.query.get("part") == "shown"
    if test.begun_ms is None:
        raise missing("test")
    return shown(
        visit, "experiments/shown.html" if part else "experiments/one.html", question(test), {"now": test}, test, part
    )


def runs(visit: PageVisit, test: KeptTest) -> bool:
    """Whether it is the one that splits customers, or is paused."""
    running = visit.campaign().experiment
    return running is not None and running.design.name == test.experiment.design.name and test.ended_ms is None


def shown(
    visit: PageVisit, template: str, title: str, data: dict[str, Any], test: KeptTest | None, part: bool = False
) -> Screen:
    """A page with what a test shows; where that is a long reading, the page comes first and asks for the part."""
    result: ExperimentResult | None = None
    blocks, cash, why = list[Figure | Block](), Cash(visit.shared.shop.currency), ""
    if test is not None:
        design = judged_by(test.experiment.design)
        with visit.read() as db:
            long = many(db, test)
        data |= {"reading": long and not part, "question": question(test), "outcome": outcome_name(design.primary),
                 "design": design, "runs": runs(visit, test)}  # fmt: skip
        if not data["reading"]:
            asked_for, name = visit.campaign_id, test.experiment.design.name
            read = partial(experiments.ended_experiment, visit.call, asked_for, name)
            try:
                result = visit.shared.lately(("result", name, test.ended_ms), read) if long else read()
                blocks = experiment_blocks(result.model_dump(), design.primary, test.begun_ms or 0, cash)
            except PromoError as error:
                why = str(error)
    head = result.verdicts[0] if result and result.verdicts else None
    data |= {
        "result": result, "why": kept(why), "blocks": blocks, "answer": answer_words(head["answer"]) if head else "",
        "headline": headline_words(head, cash) if head else "", "name": arm_name,
        "because": kept(head["why"]) if head else "", "rule": kept(head["rule"]) if head else "",
        "ratio": kept(result.sample_ratio) if result else "", "left": days(result.days_left) if result else "",
        "winner": result.winner if result else None,
    }  # fmt: skip
    return Screen(template, title, data | {"draws": True}, whole=not part)


def question(test: KeptTest) -> str:
    """What it asks; its name where nothing was written."""
    return test.experiment.question or test.experiment.design.name


def asked(visit: PageVisit, given: dict[str, str]) -> ExperimentIn:
    """The test that the form describes. Refused, or a ValidationError, where it describes none."""
    releases = {arm: given[arm] for arm in ARMS if given.get(arm)}
    if not releases:
        raise refused("arms_missing")
    held, control = given.get("holdout") or "0.1", given.get("control") or HOLDOUT
    if control == HOLDOUT and held == "0":
        raise refused("nothing_compared")
    values = {
        "name": given.get("name") or f"test_{token_hex(4)}", "primary": given.get("outcome", "value_cents"),
        "arms": dict.fromkeys(releases, 1 / len(releases)), "holdout_share": held, "control": control,
        "planned_customers": given.get("planned") or 2,
    }  # fmt: skip
    design = judged_by(Design.parse(values, pick("the test", "测试")))
    return ExperimentIn(design=design, releases=releases, question=given.get("question", "")[:300])


@page("/tests/new")
def new(visit: PageVisit) -> Reply:
    """The wizard; `?part=power` is what follows the choice of arms."""
    with visit.read() as db:
        made = [name for name, each in MadeRelease.all(db).items() if each.campaign_id == visit.campaign_id]
    releases = [name for name in sorted(made) if manifest(visit, name)]
    given = {"a": visit.campaign().release or ""} | dict(visit.query)
    data: dict[str, Any] = {"releases": releases, "given": given, "arms": ARMS, "lines": [], "why": ""}
    data |= {"live": visit.campaign().release, "outcome": outcome_name(given.get("outcome", "value_cents"))}
    try:
        data["lines"] = lines(visit, asked(visit, given).design)
    except (PromoError, ValueError) as error:
        data["why"] = str(error)
    part = visit.query.get("part") == "power"
    template = "experiments/power.html" if part else "experiments/new.html" if releases else "experiments/none.html"
    return Screen(template, pick("New test", "新测试"), data, whole=not part)


@once("notes/span.json")
def past(job: Job) -> tuple[PastDays, ...]:
    """The shop's last weeks."""
    return experiments.shop_past(job.store)


def lines(visit: PageVisit, design: Design) -> list[dict[str, Any]]:
    """How small a difference shows after so many days, by the shop's own past; nothing where there is no log."""
    if visit.server.config is None:
        return []
    cash = Cash(visit.shared.shop.currency)
    found = power(past(visit), design)
    return [{"found": each, "smallest": power_words(each, design.primary, cash)} for each in found]


@form("/tests/draft", "editor", "/tests")
def save(visit: PageVisit) -> None:
    """Keep it as a draft."""
    if not visit.text("question", 300):
        raise refused("question_missing")
    experiments.draft(visit.call, visit.campaign_id, asked(visit, dict(visit.form)))


def drafted(visit: PageVisit) -> KeptTest:
    """The test that the path names."""
    with visit.read() as db:
        found = KeptTest.find(db, KeptTest.named(visit.campaign_id, visit.params["name"]))
    if found is None:
        raise missing("test")
    return found


@form("/tests/{name}/start", "approver", "/tests")
def start(visit: PageVisit) -> None:
    """Split customers from the next decision on."""
    test = drafted(visit)
    if test.begun_ms is not None or visit.campaign().experiment:
        raise refused("test_running")
    if visit.two_eyes and test.by == visit.visitor.actor:
        raise refused("own_draft")
    experiments.put_experiment(visit.call, visit.campaign_id, test.experiment)


@form("/tests/pause", "approver", "/tests")
def pause(visit: PageVisit) -> str:
    """Serve everybody from the campaign's release, and go on later with the same arms."""
    running, wanted = visit.campaign().experiment, visit.form.get("paused") == "yes"
    if running is None:
        raise Refused("experiment_unknown", "this campaign has no experiment")
    experiments.put_experiment(visit.call, visit.campaign_id, running.model_copy(update={"paused": wanted}))
    return say("test_paused" if wanted else "test_resumed")


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
        raise refused("no_winner")
    admin.activate(visit.call, release)
    experiments.stop_experiment(visit.call, visit.campaign_id)
    return say("decides_now", name=release)
