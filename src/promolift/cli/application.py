"""One verb per step of run.py, each with `--config` and `--json`, which prints to stdout.

Errors for people go to stderr on one line, exit code 2. A verb imports what it needs when it is called: `--help` and
most refusals are answered before any library of the models is loaded.
"""

import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from promolift.foundation.errors import ConfigError, InputError, PromoError
from promolift.foundation.i18n.formatting import Tongue, speaking
from promolift.foundation.lazy_imports import Later
from promolift.foundation.progress import Tell, showing
from promolift.foundation.version import __version__
from promolift.shop.ingest.setup.extension_setup import TradeAnswers

if TYPE_CHECKING:
    from promolift.extensions.agents import mcp_server as agents
    from promolift.extensions.finance import run as traded
    from promolift.extensions.finance import setup as trades
    from promolift.extensions.simulation import offline as closed_loop
    from promolift.extensions.simulation import online as served_loop
    from promolift.foundation.progress import StepSummary
    from promolift.foundation.storage import local_store as stores
    from promolift.foundation.storage.local_store import Store
    from promolift.server import startup as server_main
    from promolift.server.console import app as console
    from promolift.server.tasks import maintenance as upkeep
    from promolift.shop.configuration import configuration as shop_settings
    from promolift.shop.configuration import migration
    from promolift.shop.configuration.configuration import Config
    from promolift.shop.feedback import decision_log as logged
    from promolift.shop.feedback import learning as learned_run
    from promolift.shop.feedback import proposal
    from promolift.shop.ingest.setup import initialisation as setup
    from promolift.shop.ingest.setup import installation_check as installed
    from promolift.shop.pipeline import shop
    from promolift.shop.pipeline import text_pool as pool
    from promolift.trials import work_folder as trials
else:
    shop_settings, shop, stores = (
        Later("promolift.shop.configuration.configuration"),
        Later("promolift.shop.pipeline.shop"),
        Later("promolift.foundation.storage.local_store"),
    )
    setup, pool = Later("promolift.shop.ingest.setup.initialisation"), Later("promolift.shop.pipeline.text_pool")
    migration = Later("promolift.shop.configuration.migration")
    installed = Later("promolift.shop.ingest.setup.installation_check")
    logged, proposal, learned_run = (
        Later(f"promolift.shop.feedback.{name}") for name in ("decision_log", "proposal", "learning")
    )
    server_main, upkeep = Later("promolift.server.startup"), Later("promolift.server.tasks.maintenance")
    closed_loop, console = Later("promolift.extensions.simulation.offline"), Later("promolift.server.console.app")
    served_loop, agents = (
        Later("promolift.extensions.simulation.online"),
        Later("promolift.extensions.agents.mcp_server"),
    )
    trials, trades = Later("promolift.trials.work_folder"), Later("promolift.extensions.finance.setup")
    traded = Later("promolift.extensions.finance.run")

HAN = re.compile("[\u4e00-\u9fff]")
INTERRUPTED = "interrupted; finished steps are kept, run the same command again to go on"


class Verbs(TyperGroup):
    """The verbs. Ctrl-C ends each of them in one line and code 130, wherever it stands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that was asked for."""
        try:
            return super().invoke(ctx)
        except BaseException as error:
            if not _is_interruption(error):
                raise
            tell_person(INTERRUPTED)
            raise SystemExit(130) from None


def _is_interruption(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: inside a query DuckDB makes a RuntimeError of it, and cleaning up may fail then."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or str(error).lower().startswith(
            ("query interrupted", "interrupt error")
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def group(**more: Any) -> typer.Typer:
    """Some verbs."""
    return typer.Typer(rich_markup_mode=None, **more)


app = group(
    cls=Verbs,
    no_args_is_help=True, pretty_exceptions_enable=False,
)  # fmt: skip
effects, learning = group(invoke_without_command=True), group(invoke_without_command=True)
words, ledger = group(no_args_is_help=True), group(no_args_is_help=True)
app.add_typer(effects, name="effect")
app.add_typer(learning, name="learn")
app.add_typer(words, name="words", help="The pool of texts that messages are made from.")
app.add_typer(ledger, name="ledger", help="Keep the server's ledger: backup, restore, verify, purge.")


def option(text: str, *names: str, **more: Any) -> Any:
    """An option with its help."""
    return typer.Option(*names, help=text, **more)


def toml_with(part: str) -> Any:
    """The option of a settings file that is no shop's."""
    return option(part, "--config", "-c")


Given = Path | None
Several = list[str] | None
# What a parameter of this name is in every verb that takes it: how it is typed, and its default.
SHARED: dict[str, tuple[Any, Any]] = {
    "config": (Annotated[Path, option("The shop's settings.", "--config", "-c")], Path("promolift.toml")),
    "trial": (Annotated[Given, toml_with("TOML file with a [trial] part.")], None),
    "server": (Annotated[Given, toml_with("The server's own settings, a TOML file.")], None),
    "work": (Annotated[Path, option("Folder for tables between the steps.", "--work")], Path(".promolift")),
    "folder": (Annotated[Path, option("Folder of this trial.", "--work")], Path(".promolift/trial")),
    "out": (Annotated[Path, option("Folder for the plan and the report.", "--out", "-o")], Path("promolift-report")),
    "learned": (
        Annotated[Path, option("Folder of the verdict and the proposal.", "--out", "-o")],
        Path("learn-report"),
    ),
    "language": (Annotated[str | None, option("Language of the report: zh or en; default: the shop's.")], None),
    "again": (Annotated[bool, option("Do the step again even if nothing changed.", "--again")], False),
    "json_": (Annotated[bool, option("Print a JSON summary on stdout.", "--json")], False),
}
CONFIG = SHARED["config"][1]
Verb = Callable[..., "StepSummary | None"]


def verb(place: Callable[[Callable[..., None]], object]) -> Callable[[Verb], Verb]:
    """Add a verb at a place such as `app.command()`: it takes what is SHARED by name, and `--json`; what it returns is
    told."""

    def add(function: Verb) -> Verb:
        own = signature(function).parameters

        @wraps(function)
        def run(**given: Any) -> None:
            as_json = given["json_"] if "json_" in own else given.pop("json_")
            _SAID.set(said_in(given.get("language"), given.get("config")))
            summary = function(**given)
            if summary is not None:
                say(summary, as_json)

        found = {name: p.replace(kind=Parameter.KEYWORD_ONLY) for name, p in own.items()}
        found.setdefault("json_", Parameter("json_", Parameter.KEYWORD_ONLY))
        for name in found.keys() & SHARED.keys():
            found[name] = found[name].replace(annotation=SHARED[name][0], default=SHARED[name][1])
        run.__signature__ = Signature([*found.values()])  # type: ignore[attr-defined]
        run.__annotations__ = {name: p.annotation for name, p in found.items()}
        place(run)
        return function

    return add


_SAID: ContextVar[Tongue] = ContextVar("said", default="en")  # what the verb that runs is to speak


def said_in(stated: str | None, config: Path | None) -> Tongue:
    """The language that a verb speaks: as stated, else the report's of promolift.toml; English where there is none."""
    if stated is None and config is not None and config.is_file():
        try:
            return shop_settings.load_config(config).report_language
        except PromoError:
            return "en"  # the verb says itself what is wrong with the file
    return "zh" if stated == "zh" else "en"


def in_language(text: str) -> str:
    """What is said in English in the language of the verb, line by line; what is in it already stays."""
    if _SAID.get() == "en":
        return text
    from promolift.foundation.i18n.translation import line_in_chinese

    return "\n".join(line if HAN.search(line) else line_in_chinese(line) for line in text.split("\n"))


def run_steps(
    config: "Config", folder: Path, steps: list[str], out: Path | None = None, again: bool = False
) -> "StepSummary":
    """Run the named steps on a work folder, in the report's language; the summary of the last one."""
    with showing(in_language) as tell, shop.Shop.of(config, folder, tell) as mine, speaking(config.report_language):
        return mine.step(*steps, out=out, again=again)


def tell_person(text: str) -> None:
    """Plain text on stderr."""
    print(text, file=sys.stderr)


def say(summary: "StepSummary", as_json: bool) -> None:
    """The summary's figures as JSON on stdout, or its text on stderr."""
    if as_json:
        print(summary.to_json())
    else:
        tell_person(in_language(summary.text))


def settings_of(path: Path, language: str | None = None) -> "Config":
    """promolift.toml as it is read by every verb of a shop, with the language that was asked for."""
    return telling(shop_settings.load_config(path), language)


def telling(config: "Config", language: str | None) -> "Config":
    """The settings with the language that was asked for."""
    if language is None:
        return config
    report = shop_settings.ReportSettings.parse({**config.report.model_dump(), "language": language}, "--language")
    return config.model_copy(update={"report": report})


def _say_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def promolift(
    version: Annotated[bool, option("Say the version.", "--version", callback=_say_version, is_eager=True)] = False,
) -> None:
    """Personalised promotions that pay: from raw logs to who gets which offer, in which words."""


@verb(app.command())
def init(
    events: Annotated[
        list[Path], option("What customers did: CSV, Parquet, JSON lines or Excel, any names; lines.csv+orders.csv.")
    ],
    config: Path,
    json_: bool,
    products: Annotated[Given, option("The catalogue.")] = None,
    customers: Annotated[Given, option("What is known of customers.")] = None,
    promotions: Annotated[Given, option("Who was sent which past promotion.")] = None,
    words: Annotated[Given, option("What customers wrote or said: reviews, chats, answers, calls.")] = None,
    force: Annotated[bool, option("Overwrite an existing settings file.", "--force")] = False,
    map_: Annotated[
        Several, option("A column's meaning, such as customer_id=Email or products.name=Title; repeatable.", "--map")
    ] = None,
    currency: Annotated[str | None, option("The shop's currency, such as EUR.")] = None,
    consent: Annotated[str | None, option("yes or no: may those be sent offers who were not asked?")] = None,
    tongue: Annotated[str | None, option("The shop's: zh or en; by its columns if left out.", "--language")] = None,
    trade: Annotated[str, option("shop, retail, finance or ads: the settings' template.")] = "shop",
) -> "StepSummary":
    """Look at raw files, guess what their columns mean, show it, and write a commented promolift.toml."""
    if trade not in ("shop", "retail"):
        return trades.start(trade, events, config, force, TradeAnswers.of(map_ or [], currency, tongue))
    answers = replace(setup.Answers.of(map_ or [], currency, consent, tongue), stores=trade == "retail")
    if sys.stdin.isatty() and sys.stderr.isatty() and not json_:
        answers = replace(answers, ask=lambda question, default: str(typer.prompt(question, default, err=True)))
    files = {"events": events[0], "products": products, "customers": customers, "promotions": promotions,
             "words": words}  # fmt: skip
    named = {name: path for name, path in files.items() if path}
    return setup.init(named, config, force, events[1:], answers)


@verb(app.command())
def woocommerce(
    config: Path,
    url: Annotated[str, typer.Argument(help="The shop's address.")],
    file: Annotated[Path, option("The CSV to write.", "--out", "-o")] = Path("orders.csv"),
    since: Annotated[str | None, option("Only orders changed after this day.", "--since")] = None,
    by: Annotated[Literal["email", "id"], option("What names a customer.", "--customer")] = "email",
) -> "StepSummary":  # fmt: skip
    """Read a WooCommerce shop's orders by its REST API into a CSV for `promolift init`."""
    from promolift.extensions.connectors.woocommerce import pull_orders
    from promolift.foundation.progress import StepSummary

    orders, lines = pull_orders(url, file, since, by)
    following = "promolift run" if config.exists() else f"promolift init --events {file}"
    text = f"{file}: {orders:,} orders, {lines:,} lines. Next: `{following}`"
    return StepSummary(text, {"step": "woocommerce", "orders": orders, "lines": lines})


@verb(app.command())
def migrate(config: Path) -> "StepSummary":
    """Rewrite a promolift.toml of an earlier version under today's names; the old file is kept beside it."""
    return migration.migrate(config)


@verb(app.command())
def doctor(config: Path, json_: bool) -> None:
    """What is installed, what is missing and what it would take; exit code 2 where the core or what promolift.toml asks
    for is not there."""
    found = installed.examine(config)
    say(found, json_)
    if found.figures["faults"]:
        raise SystemExit(2)


@verb(app.command())
def health(config: Path, work: Path, language: str | None) -> "StepSummary":
    """What came in, what was repaired or set aside, and what can and cannot be done with the data."""
    return run_steps(settings_of(config, language), work, ["ingest", "health"])


@verb(app.command())
def ingest(config: Path, work: Path, out: Path, again: bool) -> "StepSummary":
    """Read and clean the raw logs; set aside what breaks a rule, with its reason."""
    return run_steps(settings_of(config), work, ["ingest"], out, again)


@verb(app.command())
def transcribe(config: Path, work: Path) -> "StepSummary":
    """Turn the recordings that the file of customers' words names into text, which the next ingest reads."""
    from promolift.extensions.media.transcription import transcribe as hear_all
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, showing(in_language) as tell:
        return hear_all(Job(settings_of(config), store, tell))


@verb(app.command())
def report(config: Path, work: Path, out: Path, again: bool, language: str | None) -> "StepSummary":
    """Write report.html, plan.parquet and plan.csv."""
    return run_steps(settings_of(config, language), work, ["report"], out, again)


@verb(app.command())
def profile(
    config: Path, work: Path, out: Path, again: bool,
    customer: Annotated[str | None, option("Tell all that is known and expected of one.")] = None,
) -> "StepSummary":  # fmt: skip
    """Describe every customer as of a moment; with encoder.depth, forecast what each will do next."""
    settings = settings_of(config)
    summary = run_steps(settings, work, ["profile"], out, again)
    if customer is None:
        return summary
    from promolift.extensions.encoder.customer_page import customer_page
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, showing(in_language) as tell:
        return customer_page(Job(settings, store, tell), customer)


@verb(app.command())
def evaluate(
    config: Path,
    work: Path,
    log: Annotated[Given, option("Decisions with their rewards, to value policies on.")] = None,
    policy: Annotated[Several, option("logged, uniform, always:OFFER_ID or a file.")] = None,
    reward: Annotated[str, option("The log's column of rewards.")] = "reward",
    features: Annotated[Several, option("Columns of numbers known before a decision.")] = None,
    budget: Annotated[float | None, option("Money for all decisions; then the policy ends.")] = None,
    cost: Annotated[str, option("The log's column of what each decision cost.")] = "cost",
    none: Annotated[str, option("The offer that is no offer, once the money is gone.")] = "none",
    learn_: Annotated[bool, option("Learn the best policy, with a lower bound.", "--learn")] = False,
    to: Annotated[Given, option("File of the learned policy (.parquet).", "--out", "-o")] = None,
) -> "StepSummary":
    """Check the predictions and compare policies at equal spend; with --log, value other policies on past decisions,
    within a budget if given, or learn the best one."""
    known = [name for each in features or [] for name in each.split(",")]
    if log is None:
        if learn_ or budget is not None:
            raise ConfigError(
                "option_missing",
                "promolift evaluate: --learn and --budget are for past decisions; name them with --log",
            )
        return run_steps(settings_of(config), work, ["evaluate"])
    if learn_:
        return logged.learn_from_log(log, reward, known, to)
    within = None if budget is None else logged.Budget(budget, cost, none)
    return logged.evaluate_log(log, policy or [], reward, known, budget=within)


@verb(app.command())
def fairness(config: Path, work: Path, language: str | None) -> "StepSummary":
    """What groups of customers are given and paid at equal baskets, and whether who they are decides it."""
    settings = settings_of(config, language)
    run_steps(settings, work, ["plan"])
    from promolift.foundation.progress import StepSummary
    from promolift.shop.pipeline.steps.evaluate import compare_groups
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, showing(in_language) as tell, speaking(settings.report_language):
        found = compare_groups(Job(settings, store, tell))
        return StepSummary(str(found), {"step": "fairness", **found.model_dump(mode="json")})


@verb(app.command())
def bundles(
    config: Path, work: Path, language: str | None,
    most: Annotated[int, option("Pairs of each kind.", "--most")] = 5,
) -> "StepSummary":  # fmt: skip
    """Products bought together, or alike to the eye, as menu lines to paste: one price for both."""
    settings = settings_of(config, language)
    run_steps(settings, work, ["ingest"])
    from promolift.extensions.media import bundles as step
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, showing(in_language) as tell, speaking(settings.report_language):
        return step.bundles(Job(settings, store, tell), most)


@verb(effects.callback())
def effect(context: typer.Context, config: Path, work: Path, again: bool) -> "StepSummary | None":
    """Read what a discount adds, and how likely a coupon is redeemed, from the past; or, by its verbs, from a trial."""
    if context.invoked_subcommand is not None:
        return None
    return run_steps(settings_of(config), work, ["effect"], None, again)


@verb(effects.command())
def fit(
    file: Annotated[Path, typer.Argument(help="The trial: CSV, TSV or Parquet, one row per customer.")],
    trial: Given,
    folder: Path,
    meaning: Annotated[
        Several,
        typer.Argument(help="What columns mean, such as treatment=letter control=none rates=visited planned=equal."),
    ] = None,
    settings: Annotated[Given, option("The former name of --config.", hidden=True)] = None,
) -> "StepSummary":
    """Check a trial and estimate what each treatment adds, on average and for each customer."""
    chosen = trials.trial_settings(trial or settings, meaning or [])
    return on_trial(folder, lambda store, tell: trials.fit(store, file, chosen, tell))


@verb(effects.command("evaluate"))
def evaluate_trial(trial: Given, folder: Path) -> "StepSummary":
    """Judge the effects of a fitted trial on customers the models did not see."""
    return on_trial(folder, trials.evaluate, trial)


@verb(effects.command("explain"))
def explain_trial(trial: Given, folder: Path) -> "StepSummary":
    """Say in words what was found and by which rule."""
    return on_trial(folder, trials.explain, trial)


@verb(effects.command("report"))
def report_trial(
    trial: Given, folder: Path,
    to: Annotated[Path, option("Folder for the plan and the report.", "--out", "-o")] = Path("trial-report"),
) -> "StepSummary":  # fmt: skip
    """Plan within the budget where an outcome is money; write trial.html, and plan.parquet and plan.csv if planned."""
    return on_trial(folder, lambda store, tell: trials.report(store, to, tell), trial)


def on_trial(folder: Path, do: Callable[["Store", Tell], "StepSummary"], config: Given = None) -> "StepSummary":
    """Do something with the work folder of a trial, showing progress; `config` must be what it was fitted with."""
    with stores.Store(folder) as store, showing(in_language) as tell:
        if config is not None:
            trials.check_settings(store, config)
        return do(store, tell)


@verb(app.command())
def plan(
    config: Path, work: Path, out: Path, language: str | None,
    budget: Annotated[int | None, option("Budget in minor units, instead of promolift.toml's.")] = None,
    limit: Annotated[Several, option("One more limit, such as 'return >= 2'.")] = None,
) -> "StepSummary":  # fmt: skip
    """List candidate offers, value them, and choose within the budget and limits."""
    settings = settings_of(config, language)
    stated = settings.plan.model_dump() | ({} if budget is None else {"budget_cents": budget})
    stated["limits"] = (*settings.plan.limits, *(limit or ()))
    changed = settings.model_copy(update={"plan": shop_settings.PlanSettings.parse(stated, "promolift plan")})
    return run_steps(changed, work, ["plan"], out)


@verb(app.command())
def message(
    config: Path, work: Path, again: bool,
    writer: Annotated[str | None, option("pool, local, remote or replay.")] = None,
    languages: Annotated[Several, option("zh or en, for a model; both if left out.", "--language")] = None,
) -> "StepSummary":  # fmt: skip
    """Write the words of every planned offer in Chinese and English, and verify them."""
    from promolift.core.messages.composition import MessageSettings

    settings = settings_of(config)
    given = {"writer": writer, "languages": languages or None}
    stated = settings.message.model_dump() | {key: value for key, value in given.items() if value}
    changed = settings.model_copy(update={"message": MessageSettings.parse(stated, "promolift message")})
    return run_steps(changed, work, ["message"], None, again)


@verb(app.command())
def run(config: Path, work: Path, out: Path, again: bool, language: str | None) -> "StepSummary":
    """The main job: every step in order, skipping those whose inputs did not change."""
    if (trade := trades.trade_of(config)) is not None:
        with showing(in_language) as tell:
            return traded.run_trade(trade, config, work, out, tell)
    return every_step(settings_of(config, language), work, out, again)


def every_step(config: "Config", work: Path, out: Path, again: bool) -> "StepSummary":
    """The main job."""
    from promolift.shop.pipeline.pipeline import STEPS

    return run_steps(config, work, [*STEPS], out, again)


@verb(app.command())
def demo(
    json_: bool,
    again: bool,
    language: str | None,
    data: Annotated[str, option("groceries (inside the package), or hillstrom: see --path.")] = "groceries",
    path: Annotated[Given, option("The file of the hillstrom e-mail trial (hillstrom.csv).")] = None,
    own: Annotated[Given, option("Settings in place of the demo's own.", "--config", "-c")] = None,
    at: Annotated[Path, option("Folder for tables between the steps.", "--work")] = Path(".promolift/demo"),
    to: Annotated[Path, option("Folder for the plan and the report.", "--out", "-o")] = Path("demo-report"),
    serve: Annotated[bool, option("Answer over HTTP afterwards, on port 8080.", "--serve")] = False,
) -> "StepSummary | None":
    """The main job on a year of real groceries: 2,469 households, 1.5 million purchases, 27 campaigns."""
    if data == "hillstrom" and own is None:
        if (path := path or Path("hillstrom.csv")) and not path.exists():
            raise ConfigError(
                "file_not_found",
                f"demo: no file {path}; get Kevin Hillstrom's e-mail campaign (64,000 rows, CSV; docs/trials.md) and "
                "name it by --path",
            )
        return on_trial(at.with_name("hillstrom"), lambda store, tell: trials.demo(store, path, to, tell))
    if data != "groceries" or path is not None:
        why = "give `--data hillstrom` without --config, or neither --data nor --path for the groceries"
        raise ConfigError("option_conflict", f"demo: --data {data}; {why}")
    from promolift.shop.pipeline.pipeline import demo_config

    settings = telling(settings_of(own) if own else demo_config(), language)
    summary = every_step(settings, at, to, again)
    if not serve:
        return summary
    say(summary, json_)

    def dress(made: Any) -> Any:
        with showing(in_language) as tell:
            return console.dressed(made, demo=True, file=own, play=tell)

    server_main.serve_planned(settings, at, json_, dress)
    return None


@verb(app.command())
def simulate(
    world: Annotated[str | None, option("market (default) or goods.")] = None,
    months: Annotated[int | None, option("Months of four weeks (4).")] = None,
    customers: Annotated[int | None, option("Customers of the made-up shop (1500).")] = None,
    seed: Annotated[int | None, option("Another number gives another shop (1).")] = None,
    margin: Annotated[float | None, option("Margin of the world market (0.3).")] = None,
    served: Annotated[bool, option("Decide, hear orders and learn through the server, as a live shop would.")] = False,
    drift: Annotated[int | None, option("Month after which customers answer otherwise.")] = None,
    loop: Annotated[Given, toml_with("TOML file with a [simulate] part.")] = None,
    to: Annotated[Path, option("Folder of the shop and its months.", "--out", "-o")] = Path("simulated"),
) -> "StepSummary":
    """Plan, answers, learn, approve, month by month in a made-up shop: what it truly earns beside a hand rule."""
    stated: dict[str, object] = {"world": world, "months": months, "customers": customers, "seed": seed}
    stated |= {"margin": margin, "drift": drift}
    path_in = served_loop.ServedPath if served else closed_loop.RealPath
    with showing(in_language) as tell:
        return closed_loop.run_simulation(stated, to, tell, loop, path_in)


@verb(app.command())
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

    settings = settings_of(config)
    with ExitStack() as opened, showing(in_language) as tell:
        store, *others = (opened.enter_context(stores.Store(each)) for each in (work, *(beside or ())))
        return write_decisions(Job(settings, store, tell), segment, time_ns() // 1_000_000, file, others)


@verb(app.command())
def export(
    config: Path, work: Path, learned: Path,
    tables: Annotated[Several, typer.Argument(help="plan, decisions, verdicts; left out: what there is.")] = None,
    shape: Annotated[
        Literal["growthbook", "eppo"] | None,
        option("Also who was in which arm, as this tool reads assignments.", "--exposures"),
    ] = None,
) -> "StepSummary":  # fmt: skip
    """Write plan, decisions and verdicts into the warehouse of [warehouse], in place of what was written before."""
    from promolift.extensions.connectors.warehouse_export import export as write
    from promolift.shop.results.work_folder.run_context import Job

    with stores.Store(work) as store, showing(in_language) as tell:
        return write(Job(settings_of(config), store, tell), tables or [], learned, shape)


@verb(app.command())
def contacts(
    config: Path, work: Path, language: str | None,
    file: Annotated[Path, option("The CSV to write.", "--out", "-o")] = Path("contacts.csv"),
) -> "StepSummary":  # fmt: skip
    """Write who is planned an offer, with words and code, as a CSV that mail tools such as Mailchimp import."""
    from promolift.foundation.progress import StepSummary
    from promolift.shop.pipeline.steps.report import plan_file
    from promolift.shop.reports.plan_rows import contact_rows
    from promolift.shop.results.work_folder.run_context import Job

    settings = settings_of(config, language)
    with stores.Store(work) as store, showing(in_language) as tell:
        rows = contact_rows(plan_file(Job(settings, store, tell)), settings.shop.language)
    rows.write_csv(file)
    unknown = rows["Email Address"].null_count()
    more = f"; {unknown:,} are known by no e-mail address: add it by Customer ID" if unknown else ""
    return StepSummary(f"{file}: {rows.height:,} contacts{more}", {"step": "contacts", "contacts": rows.height})


@verb(app.command())
def evidence(
    config: Path, work: Path,
    campaign: Annotated[str | None, typer.Argument(help="The campaign; left out: that of promolift.toml.")] = None,
    to: Annotated[Path, option("The archive to write.", "--out", "-o")] = Path("evidence.zip"),
    file: Annotated[Given, option("An archive to replay, anywhere.", "--verify")] = None,
    settings: Annotated[Given, option("The server's own settings, a TOML file.", "--settings")] = None,
    verdict: Annotated[Path, option("Folder of `promolift learn`.", "--learned")] = Path("learn-report"),
) -> "StepSummary":  # fmt: skip
    """Write all that speaks of a campaign into one archive, customers under pseudonyms; or replay one with --verify."""
    from promolift.server.tasks import audit_archive

    if file is not None:
        return audit_archive.verify(file)
    from promolift.shop.results.work_folder.run_context import Job

    shop_of = settings_of(config)
    with stores.Store(work) as store, showing(in_language) as tell:
        job = Job(shop_of, store, tell)
        server = server_main.read_settings(settings, work)
        return audit_archive.write(job, campaign or shop_of.plan.campaign, server, to, verdict)


@verb(app.command())
def erase(
    config: Path, work: Path,
    customer: Annotated[str | None, typer.Argument(help="The customer's id.")] = None,
    old: Annotated[bool, option("What is older than `privacy.*.keep_days` instead.", "--old")] = False,
) -> "StepSummary":  # fmt: skip
    """Delete a customer's rows from the work folder: log, profiles, plan, decisions, draws that were kept. With --old:
    rows of all customers that are older than [privacy] keeps them.
    """
    from promolift.foundation.progress import StepSummary

    if old == (customer is not None):
        raise InputError("option_conflict", "promolift erase: name a customer, or give --old: one of the two")
    with stores.Store(work) as store:
        if customer is None:
            from promolift.shop.pipeline.steps.ingest import purge
            from promolift.shop.results.work_folder.run_context import Job

            gone = purge(Job(settings_of(config), store, tell_person))
            said = ", ".join(f"{rows:,} of {name}" for name, rows in gone.items()) or "nothing is older than it is kept"
            more = ". Profiles and plan still rest on them: run `promolift run --again`" if gone else ""
            return StepSummary(f"erased: {said}{more}", {"step": "erase", "rows": gone})
        gone = store.forget(customer)
    rows, tables = f"{sum(gone.values()):,}", ", ".join(gone) or "no table knew them"
    text = (
        f"erased: {rows} rows ({tables}). Delete them from the shop's logs too: else the next ingest reads them again."
    )
    return StepSummary(text, {"step": "erase", "rows": gone})


@verb(app.command())
def privacy(
    config: Path,
    work: Path,
    language: str | None,
    settings: Annotated[Given, option("The server's own settings, a TOML file.", "--settings")] = None,
    to: Annotated[Path, option("The page to write.", "--out", "-o")] = Path("privacy.html"),
    attack: Annotated[bool, option("Attack models, messages and pages instead.", "--attack")] = False,
    left: Annotated[
        list[Path] | None, option("An attack: a page that left before, oldest first.", "--page", exists=True)
    ] = None,
    customers: Annotated[int, option("Customers that an attack draws from.", min=40)] = 400,
    shadows: Annotated[int, option("Shadow models of an attack.", min=2)] = 7,
) -> "StepSummary":
    """Write the record of processing and the impact assessment, for people to complete and sign; with the ledger of
    what was released under privacy.epsilon."""
    from promolift.extensions.privacy.results import privacy_spent
    from promolift.foundation.pages.rendering import render_page
    from promolift.foundation.progress import StepSummary
    from promolift.foundation.storage.location import exists
    from promolift.shop.reports.data_subject_rights import KeptDays
    from promolift.shop.reports.processing_record import processing_page

    shop_of, spent = settings_of(config, language), None
    if attack:
        from promolift.extensions.privacy.privacy_audit import AuditSize, audit
        from promolift.shop.results.work_folder.run_context import Job

        with stores.Store(work) as store, showing(in_language) as tell, speaking(shop_of.report_language):
            pages = [each.read_text(encoding="utf-8", errors="replace") for each in left or []]
            return audit(Job(shop_of, store, tell), AuditSize(customers, shadows), pages)
    keep = server_main.read_settings(settings, Path(".promolift")).keep if settings else None
    kept = KeptDays(keep.events_days, keep.decisions_days) if keep else None
    with speaking(shop_of.report_language):
        if exists(work):
            with stores.Store(work) as store:
                spent = privacy_spent(shop_of, store)
        page = processing_page(shop_of, kept, spent)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(render_page(page), encoding="utf-8")
    text = f"{to}: record of processing and impact assessment; {page.head.value} things are left for people to state"
    found = StepSummary(text, {"step": "privacy", "page": str(to), "left": int(page.head.value)})
    if spent is None:
        return found
    by = {"epsilon": spent.spent, "epsilon_left": spent.left, "epsilon_by_purpose": spent.purposes}
    return found.adding(spent.text, **by)


@verb(app.command("next"))
def next_(config: Path, work: Path, learned: Path) -> "StepSummary":
    """Where this shop stands (data, planned, testing, learning, paying, stopped), and the one command to give now."""
    settings = settings_of(config)
    with speaking(settings.report_language):
        return proposal.stands(settings, work, learned)


@verb(learning.callback())
def learn(
    context: typer.Context,
    config: Path,
    work: Path,
    learned: Path,
    decisions: Annotated[Given, option("Decision records; default: the work folder's.")] = None,
    events: Annotated[Given, option("Clean events since then; default: the work folder's.")] = None,
    window_days: Annotated[float, option("Days after a decision in which its outcome counts.")] = 28,
    auto: Annotated[bool, option("Write release.json if nothing speaks against the draws.", "--auto")] = False,
) -> "StepSummary | None":
    """What was decided and what happened: a verdict over the holdout, and a proposal for the next release."""
    if context.invoked_subcommand is not None:
        return None
    settings = learned_run.LearnSettings.parse({"window_days": window_days}, "promolift learn")
    own = config if config == CONFIG else settings_of(config)  # the default one may be missing
    asked = learned_run.Request(decisions, events, work, learned, own, settings, auto)
    with showing(in_language) as tell:
        return learned_run.run_learn(asked, tell).summary


def proposed(config: Path, work: Path, learned: Path) -> "proposal.Where":
    """Where the proposal of a shop is."""
    return proposal.Where(settings_of(config), work, learned)


@verb(learning.command("show"))
def show_proposal(config: Path, work: Path, learned: Path) -> "StepSummary":
    """Say what the proposal changes, what it is expected to add, what speaks against it, and what is approved now."""
    return proposal.show(proposed(config, work, learned))


@verb(learning.command("approve"))
def approve_proposal(
    config: Path, work: Path, learned: Path,
    yes: Annotated[bool, option("Approve it in spite of what speaks against it.", "--yes")] = False,
) -> "StepSummary":  # fmt: skip
    """Let the next plan start from the proposal; refused where it is for another plan or speaks against itself."""
    return proposal.approve(proposed(config, work, learned), yes)


@verb(learning.command("reject"))
def reject_proposal(
    config: Path, work: Path, learned: Path,
    why: Annotated[str, option("The reason, kept with the proposal.")] = "",
) -> "StepSummary":  # fmt: skip
    """Mark the proposal as rejected; the release in force stays as it is."""
    return proposal.reject(proposed(config, work, learned), why)


CsvPath = Annotated[Path, typer.Argument(help="The file for a person: CSV with a column `approved`.")]
By = Annotated[str, option("Who says so; kept with every text.")]


@verb(words.command("draft"))
def words_draft(
    config: Path,
    several: Annotated[int, option("Drafts for each angle and language.", min=1, max=50)] = 6,
    angle: Annotated[Several, option("An angle; all if left out.")] = None,
) -> "StepSummary":
    """Ask the configured model for drafts, lint them, and add them to the shop's pool."""
    return pool.draft(settings_of(config), several, angle or [])


@verb(words.command("judge"))
def words_judge(
    config: Path,
    tests: Annotated[
        Given, option("Randomised tests of texts (test_id, text, shown, clicked): a start for all.")
    ] = None,
) -> "StepSummary":
    """Let the configured model read every drafted and edited text three times; one "no" blocks."""
    return pool.judge_pool(settings_of(config), tests)


@verb(words.command("review"))
def words_review(
    config: Path,
    approve: Annotated[Several, option("Ids of texts that may be sent.")] = None,
    reject: Annotated[Several, option("Ids of texts that may not.")] = None,
    retire: Annotated[Several, option("Ids of texts to take out of use.")] = None,
    by: By = "",
) -> "StepSummary":
    """Show what waits for a person, or say yes or no to texts by their ids."""
    return pool.review(settings_of(config), pool.Said(approve or [], reject or [], retire or [], by))


@verb(words.command("export"))
def words_export(file: CsvPath, config: Path) -> "StepSummary":
    """Write the pool as a CSV file for a person: say yes or no in `approved`, change words, add rows."""
    return pool.export(settings_of(config), file)


@verb(words.command("import"))
def words_import(file: CsvPath, by: By, config: Path) -> "StepSummary":
    """Read that file again: yes approves the exact words, changed words are linted and wait for the judge."""
    return pool.import_(settings_of(config), file, by)


@verb(app.command())
def check(
    file: Annotated[Path, typer.Argument(help="A text of a person, or CSV with columns text and offer_id.")],
    config: Path,
    work: Path,
    offer: Annotated[str | None, option("Id of a planned offer that the text is about.")] = None,
    tongue: Annotated[str | None, option("zh or en; by its script if left out.", "--language")] = None,
    channel: Annotated[str, option("plain, sms_cn, email_en, push or wechat_store.")] = "plain",
) -> "StepSummary":
    """Read texts of people against a planned offer: what is untrue, and what code cannot read (asked of the judge)."""
    with stores.Store(work) as store:
        return pool.check(settings_of(config), store, file, pool.TextCheck(offer, tongue, channel))


@verb(app.command())
def serve(
    config: Path,
    work: Path,
    json_: bool,
    host: Annotated[str, option("Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("Port to listen on.", min=1, max=65535)] = 8080,
    settings: Annotated[Given, option("The server's own settings, a TOML file.")] = None,
    console_: Annotated[bool, option("Pages for people under /console.", "--console/--no-console")] = True,
) -> None:
    """Answer over HTTP what the plan decides: events in, decisions out, money kept; pages for people under /console.
    See docs/serve.md and docs/console.md."""
    dress = (lambda made: console.dressed(made, file=config)) if console_ else None
    server_main.run_server(config, work, settings, host, port, json_, dress)


@verb(app.command())
def mcp(
    config: Path, work: Path, learned: Path,
    port: Annotated[int | None, option("HTTP on this port of this machine, under /mcp; else stdio.", min=1)] = None,
) -> None:  # fmt: skip
    """Let an agent ask by the Model Context Protocol: what is planned, decided and learned; it writes drafts alone.
    See docs/agents.md."""
    agents.run_agents(agents.Desk(settings_of(config), work, learned, agents.live_server()), port)


@verb(ledger.command("backup"))
def ledger_backup(
    to: Annotated[Path, typer.Argument(help="The folder to make.")], work: Path, server: Given
) -> "StepSummary":
    """Copy ledger, releases and secret key as of one moment into a new folder; a server may run meanwhile."""
    return upkeep.backup(server_main.read_settings(server, work), to)


@verb(ledger.command("restore"))
def ledger_restore(
    source: Annotated[Path, typer.Argument(help="The folder of a backup.")], work: Path, server: Given
) -> "StepSummary":
    """Put a backup back where no ledger is; its hashes are checked first."""
    return upkeep.restore(server_main.read_settings(server, work), source)


@verb(ledger.command("verify"))
def ledger_verify(work: Path, server: Given, json_: bool) -> None:
    """Check the database, the audit chain, the books of every limit and the releases; exit code 2 with a fault."""
    found = upkeep.verify(server_main.read_settings(server, work))
    say(found, json_)
    if found.figures["faults"]:
        raise SystemExit(2)


@verb(ledger.command("purge"))
def ledger_purge(work: Path, server: Given) -> "StepSummary":
    """Delete what is older than `[keep]` of the server's settings says; a server may run meanwhile."""
    return upkeep.purge(server_main.read_settings(server, work))


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit code 0; 2 for an error a person can repair, 130 if interrupted (docs/command-line.md)."""
    try:
        app(arguments)
    except PromoError as error:
        tell_person(("error: " if _SAID.get() == "en" else "错误：") + in_language(str(error)) + f" [{error.code}]")
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
