"""Commands that run the pipeline of a shop, one step or all of them, and commands that write its results to files."""

from contextlib import ExitStack
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated

from promolift.cli.command_line import OptionalPath, OptionalStrings, load_settings, option, run_steps
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary
    from promolift.foundation.storage import local_store as stores
    from promolift.shop.configuration.configuration import Config
else:
    stores = LazyModule("promolift.foundation.storage.local_store")


def health(config: Path, work: Path, language: str | None) -> "StepSummary":
    """What came in, what was repaired or set aside, and what can and cannot be done with the data."""
    return run_steps(load_settings(config, language), work, ["ingest", "health"])


def ingest(config: Path, work: Path, out: Path, again: bool) -> "StepSummary":
    """Read and clean the raw logs; set aside what breaks a rule, with its reason."""
    return run_steps(load_settings(config), work, ["ingest"], out, again)


def report(config: Path, work: Path, out: Path, again: bool, language: str | None) -> "StepSummary":
    """Write report.html, plan.parquet and plan.csv."""
    return run_steps(load_settings(config, language), work, ["report"], out, again)


def history(config: Path, work: Path, language: str | None) -> "StepSummary":
    """What past promotions earned: coupons, discounts for everybody, campaigns and price cuts that the log shows."""
    settings = load_settings(config, language)
    run_steps(settings, work, ["ingest"])
    from promolift.foundation.i18n.formatting import use_locale
    from promolift.foundation.progress import StepSummary
    from promolift.shop.pipeline.promotion_log import keep_history
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, show_progress() as tell, use_locale(settings.report_language):
        found = keep_history(Job(settings, store, tell))
        return StepSummary(str(found), {"step": "history", **found.model_dump(mode="json")})


def plays(config: Path, work: Path, language: str | None) -> "StepSummary":
    """The plays of this shop: audiences, sizes now, benefits to try, worst-case cost, and whether each is in play."""
    settings = load_settings(config, language)
    run_steps(settings, work, ["ingest", "profile"])
    from promolift.foundation.i18n.formatting import use_locale
    from promolift.shop.pipeline.planning.play_table import play_summary
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, show_progress() as tell, use_locale(settings.report_language):
        return play_summary(Job(settings, store, tell))


def profile(
    config: Path, work: Path, out: Path, again: bool,
    customer: Annotated[str | None, option("Tell all that is known and expected of one.")] = None,
) -> "StepSummary":  # fmt: skip
    """Describe every customer as of a moment; with encoder.depth, forecast what each will do next."""
    settings = load_settings(config)
    summary = run_steps(settings, work, ["profile"], out, again)
    if customer is None:
        return summary
    from promolift.extensions.encoder.customer_page import customer_page
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, show_progress() as tell:
        return customer_page(Job(settings, store, tell), customer)


def evaluate(
    config: Path,
    work: Path,
    log: Annotated[OptionalPath, option("Decisions with their rewards, to value policies on.")] = None,
    policy: Annotated[OptionalStrings, option("logged, uniform, always:OFFER_ID or a file.")] = None,
    reward: Annotated[str, option("The log's column of rewards.")] = "reward",
    features: Annotated[OptionalStrings, option("Columns of numbers known before a decision.")] = None,
    budget: Annotated[float | None, option("Money for all decisions; then the policy ends.")] = None,
    cost: Annotated[str, option("The log's column of what each decision cost.")] = "cost",
    none: Annotated[str, option("The offer that is no offer, once the money is gone.")] = "none",
    learn_: Annotated[bool, option("Learn the best policy, with a lower bound.", "--learn")] = False,
    to: Annotated[OptionalPath, option("File of the learned policy (.parquet).", "--out", "-o")] = None,
) -> "StepSummary":
    """Check the predictions and compare policies at equal spend; with --log, value other policies on past decisions,
    within a budget if given, or learn the best one."""
    from promolift.shop.feedback import decision_log

    known = [name for each in features or [] for name in each.split(",")]
    if log is None:
        if learn_ or budget is not None:
            raise ConfigError(
                "option_missing",
                gettext_lazy("promolift evaluate: --learn and --budget are for past decisions; name them with --log"),
            )
        return run_steps(load_settings(config), work, ["evaluate"])
    if learn_:
        return decision_log.learn_from_log(log, reward, known, to)
    within = None if budget is None else decision_log.Budget(budget, cost, none)
    return decision_log.evaluate_log(log, policy or [], reward, known, budget=within)


def fairness(config: Path, work: Path, language: str | None) -> "StepSummary":
    """What groups of customers are given and paid at equal baskets, and whether who they are decides it."""
    settings = load_settings(config, language)
    run_steps(settings, work, ["plan"])
    from promolift.foundation.i18n.formatting import use_locale
    from promolift.foundation.progress import StepSummary
    from promolift.shop.pipeline.steps.evaluate import compare_groups
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, show_progress() as tell, use_locale(settings.report_language):
        found = compare_groups(Job(settings, store, tell))
        return StepSummary(str(found), {"step": "fairness", **found.model_dump(mode="json")})


def plan(
    config: Path, work: Path, out: Path, language: str | None,
    budget: Annotated[int | None, option("Budget in minor units, instead of promolift.toml's.")] = None,
    limit: Annotated[OptionalStrings, option("One more limit, such as 'return >= 2'.")] = None,
) -> "StepSummary":  # fmt: skip
    """List candidate offers, value them, and choose within the budget and limits."""
    from promolift.shop.configuration.configuration import PlanSettings

    settings = load_settings(config, language)
    stated = settings.plan.model_dump() | ({} if budget is None else {"budget_cents": budget})
    stated["limits"] = (*settings.plan.limits, *(limit or ()))
    changed = settings.model_copy(update={"plan": PlanSettings.parse(stated, "promolift plan")})
    return run_steps(changed, work, ["plan"], out)


def message(
    config: Path, work: Path, again: bool,
    writer: Annotated[str | None, option("pool, local, remote or replay.")] = None,
) -> "StepSummary":  # fmt: skip
    """Write the words of every planned offer in the languages of the shop, and verify them."""
    from promolift.core.messages.composition import MessageSettings

    settings = load_settings(config)
    stated = settings.message.model_dump() | ({"writer": writer} if writer else {})
    changed = settings.model_copy(update={"message": MessageSettings.parse(stated, "promolift message")})
    return run_steps(changed, work, ["message"], None, again)


def run(config: Path, work: Path, out: Path, again: bool, language: str | None) -> "StepSummary":
    """The main job: every step in order, skipping those whose inputs did not change."""
    from promolift.shop.configuration.extension_sections import read_project

    if (project := read_project(config)) is not None:
        with show_progress() as tell:
            return project.run(work, out, tell)
    return run_all_steps(load_settings(config, language), work, out, again)


def run_all_steps(config: "Config", work: Path, out: Path, again: bool) -> "StepSummary":
    """Run every step in order; return the summary of the last one."""
    from promolift.shop.pipeline.pipeline import STEPS

    return run_steps(config, work, [*STEPS], out, again)


def decide(
    config: Path, work: Path,
    file: Annotated[Path, option("File to write: .parquet or .csv.", "--out", "-o")],
    segment: Annotated[str | None, option("A segment of promolift.toml; left out: everybody.")] = None,
    beside: Annotated[
        list[Path] | None,
        option("Work folder of another campaign's plan; one decides for each customer. Repeatable.", "--beside"),
    ] = None,
) -> "StepSummary":  # fmt: skip
    """Decide for all customers of a segment at once by the plan, as the server decides for one, and write a file."""
    from promolift.shop.pipeline.planning.segment_decisions import write_decisions
    from promolift.shop.results.work_folder.run_context import Job

    settings = load_settings(config)
    with ExitStack() as opened, show_progress() as tell:
        store, *others = (opened.enter_context(stores.Store(each)) for each in (work, *(beside or ())))
        return write_decisions(Job(settings, store, tell), segment, time_ns() // 1_000_000, file, others)


def contacts(
    config: Path, work: Path, language: str | None,
    file: Annotated[Path, option("The CSV to write.", "--out", "-o")] = Path("contacts.csv"),
) -> "StepSummary":  # fmt: skip
    """Write who is planned an offer, with words and code, as a CSV that mail tools such as Mailchimp import."""
    from promolift.foundation.progress import StepSummary
    from promolift.foundation.storage.artifacts import remember_output
    from promolift.shop.pipeline.steps.report import plan_file
    from promolift.shop.reports.plan_rows import contact_rows
    from promolift.shop.results.work_folder.run_context import Job

    settings = load_settings(config, language)
    spoken = settings.report_language if language else settings.shop.language
    with stores.Store(work) as store, show_progress() as tell:
        rows = contact_rows(plan_file(Job(settings, store, tell)), spoken)
        rows.write_csv(file)
        remember_output(store.root, file)
    unknown = rows["Email Address"].null_count()
    said = gettext("{file}: {contacts} contacts", file=file, contacts=f"{rows.height:,}")
    if unknown:
        said = gettext(
            "{file}: {contacts} contacts; {unknown} are known by no e-mail address: add it by Customer ID",
            file=file, contacts=f"{rows.height:,}", unknown=f"{unknown:,}",
        )  # fmt: skip
    return StepSummary(said, {"step": "contacts", "contacts": rows.height})
