"""One verb per step of run.py, each with `--config` and `--json`, which prints to stdout.

Errors for people go to stderr on one line, exit code 2. A verb imports what it needs when it is called: `--help` and
most refusals are answered before any library of the models is loaded.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from promolift.errors import ConfigError, PromoError
from promolift.progress import Tell, showing

if TYPE_CHECKING:
    from promolift.config import Config
    from promolift.results.job import StepSummary
    from promolift.serve.settings import ServeSettings
    from promolift.store import Store

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


app = typer.Typer(
    cls=Verbs,
    help="Personalised promotions that pay: from raw logs to who gets which offer, in which words.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The shop's settings.")]
DemoConfig = Annotated[Path | None, typer.Option("--config", "-c", help="Settings in place of the demo's own.")]
LoopConfig = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with a [simulate] part.")]
TrialConfig = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with a [trial] part.")]
WorkPath = Annotated[Path, typer.Option("--work", help="Folder for tables between the steps.")]
OutPath = Annotated[Path, typer.Option("--out", "-o", help="Folder for the plan and the report.")]
LearnOut = Annotated[Path, typer.Option("--out", "-o", help="Folder of the verdict and the proposal.")]
ReportLanguage = Annotated[
    str | None, typer.Option("--language", help="Language of the report: zh or en; default: the shop's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON summary on stdout.")]
Again = Annotated[bool, typer.Option("--again", help="Do the step again even if nothing changed.")]
CONFIG, WORK, OUT = Path("promolift.toml"), Path(".promolift"), Path("promolift-report")


def work(config: "Config", folder: Path, steps: list[str], out: Path | None, again: bool = False) -> "StepSummary":
    """Run the named steps on a work folder and return the summary of the last one."""
    from promolift.shop import Shop

    with showing() as tell, Shop.of(config, folder, tell) as shop:
        return shop.step(*steps, out=out, again=again)


def tell_person(text: str) -> None:
    """Plain text on stderr."""
    print(text, file=sys.stderr)


def say(summary: "StepSummary", as_json: bool) -> None:
    """The summary's figures as JSON on stdout, or its text on stderr."""
    if as_json:
        print(summary.to_json())
    else:
        tell_person(summary.text)


def settings_of(path: Path) -> "Config":
    """promolift.toml as it is read by every verb of a shop."""
    from promolift.config import load_config

    return load_config(path)


def telling(config: "Config", language: str | None) -> "Config":
    """The settings with the language that was asked for the report."""
    from promolift.config import ReportSettings

    if language is None:
        return config
    report = ReportSettings.parse({**config.report.model_dump(), "language": language}, "--language")
    return config.model_copy(update={"report": report})


def every_step() -> list[str]:
    """The steps of the main job in order."""
    from promolift.run import STEPS

    return list(STEPS)


def _telling_step(name: str, text: str) -> None:
    """Add a verb that writes the report, alone or after all other steps."""

    def verb(
        config: ConfigPath = CONFIG,
        work_folder: WorkPath = WORK,
        out: OutPath = OUT,
        json_: AsJson = False,
        again: Again = False,
        language: ReportLanguage = None,
    ) -> None:
        steps = every_step() if name == "run" else [name]
        say(work(telling(settings_of(config), language), work_folder, steps, out, again), json_)

    app.command(name, help=text)(verb)


@app.command()
def init(
    events: Annotated[
        list[Path],
        typer.Option(help="What customers did: CSV, Parquet, JSON lines or Excel, any names; lines.csv+orders.csv."),
    ],
    products: Annotated[Path | None, typer.Option(help="The catalogue.")] = None,
    customers: Annotated[Path | None, typer.Option(help="What is known of customers.")] = None,
    promotions: Annotated[Path | None, typer.Option(help="Who was sent which past promotion.")] = None,
    config: ConfigPath = CONFIG,
    force: Annotated[bool, typer.Option(help="Overwrite an existing settings file.")] = False,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="A column's meaning, such as customer_id=Email or products.name=Title; repeatable."),
    ] = None,
    currency: Annotated[str | None, typer.Option(help="The shop's currency, such as EUR.")] = None,
    consent: Annotated[str | None, typer.Option(help="yes or no: may those be sent offers who were not asked?")] = None,
    json_: AsJson = False,
) -> None:
    """Look at raw files, guess what their columns mean, show it, and write a commented promolift.toml."""
    from promolift.setup.init import Answers
    from promolift.setup.init import init as write_settings

    answers = Answers.of(map_ or [], currency, consent)
    if sys.stdin.isatty() and sys.stderr.isatty() and not json_:
        answers = replace(answers, ask=lambda question, default: str(typer.prompt(question, default, err=True)))
    files = {"events": events[0], "products": products, "customers": customers, "promotions": promotions}
    named = {name: path for name, path in files.items() if path}
    say(write_settings(named, config, force, events[1:], answers), json_)


@app.command()
def migrate(config: ConfigPath = CONFIG, json_: AsJson = False) -> None:
    """Rewrite a promolift.toml of an earlier version under today's names; the old file is kept beside it."""
    from promolift.setup.migrate import migrate as rewrite

    say(rewrite(config), json_)


@app.command()
def health(config: ConfigPath = CONFIG, work_folder: WorkPath = WORK, json_: AsJson = False) -> None:
    """What came in, what was repaired or set aside, and what can and cannot be done with the data."""
    say(work(settings_of(config), work_folder, ["ingest", "health"], None), json_)


@app.command()
def ingest(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    out: OutPath = OUT,
    json_: AsJson = False,
    again: Again = False,
) -> None:
    """Read and clean the raw logs; set aside what breaks a rule, with its reason."""
    say(work(settings_of(config), work_folder, ["ingest"], out, again), json_)


_telling_step("report", "Write report.html, plan.parquet and plan.csv.")


@app.command("profile")
def profile_(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    customer: Annotated[str | None, typer.Option(help="Tell all that is known and expected of one.")] = None,
    out: OutPath = OUT,
    json_: AsJson = False,
    again: Again = False,
) -> None:
    """Describe every customer as of a moment; with encoder.depth, forecast what each will do next."""
    settings = settings_of(config)
    summary = work(settings, work_folder, ["profile"], out, again)
    if customer is not None:
        from promolift.run import Job
        from promolift.steps.customer_page import customer_page
        from promolift.store import Store

        with Store(work_folder) as store, showing() as tell:
            summary = customer_page(Job(settings, store, tell), customer)
    say(summary, json_)


@app.command()
def evaluate(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    log: Annotated[Path | None, typer.Option(help="Decisions with their rewards, to value policies on.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="logged, uniform, always:OFFER_ID or a file.")] = None,
    reward: Annotated[str, typer.Option(help="The log's column of rewards.")] = "reward",
    features: Annotated[list[str] | None, typer.Option(help="Columns of numbers known before a decision.")] = None,
    budget: Annotated[float | None, typer.Option(help="Money for all decisions; then the policy ends.")] = None,
    cost: Annotated[str, typer.Option(help="The log's column of what each decision cost.")] = "cost",
    none: Annotated[str, typer.Option(help="The offer that is no offer, once the money is gone.")] = "none",
    learn_: Annotated[bool, typer.Option("--learn", help="Learn the best policy, with a lower bound.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File of the learned policy (.parquet).")] = None,
    json_: AsJson = False,
) -> None:
    """Check the predictions and compare policies at equal spend; with --log, value other policies on past decisions,
    within a budget if given, or learn the best one."""
    known = [name for each in features or [] for name in each.split(",")]
    if log is None and (learn_ or budget is not None):
        raise ConfigError("promolift evaluate: --learn and --budget are for past decisions; name them with --log")
    if log is not None and learn_:
        from promolift.learning.log import learn_from_log

        say(learn_from_log(log, reward, known, out), json_)
        return
    if log is None:
        say(work(settings_of(config), work_folder, ["evaluate"], None), json_)
        return
    from promolift.learning.log import Budget, evaluate_log

    within = None if budget is None else Budget(budget, cost, none)
    say(evaluate_log(log, policy or [], reward, known, budget=within), json_)


effects = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(effects, name="effect")
TrialWork = Annotated[Path, typer.Option("--work", help="Folder of this trial.")]
TRIAL = Path(".promolift/trial")


@effects.callback()
def effect(
    context: typer.Context,
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    json_: AsJson = False,
    again: Again = False,
) -> None:
    """Read what a discount adds, and how likely a coupon is redeemed, from the past; or, by its verbs, from a trial."""
    if context.invoked_subcommand is None:
        say(work(settings_of(config), work_folder, ["effect"], None, again), json_)


@effects.command()
def fit(
    file: Annotated[Path, typer.Argument(help="The trial: CSV, TSV or Parquet, one row per customer.")],
    meaning: Annotated[
        list[str] | None,
        typer.Argument(help="What columns mean, such as treatment=letter control=none rates=visited planned=equal."),
    ] = None,
    config: TrialConfig = None,
    settings: Annotated[Path | None, typer.Option(help="The former name of --config.", hidden=True)] = None,
    work_folder: TrialWork = TRIAL,
    json_: AsJson = False,
) -> None:
    """Check a trial and estimate what each treatment adds, on average and for each customer."""
    from promolift.trials import report

    chosen = report.trial_settings(config or settings, meaning or [])
    say(on_trial(work_folder, lambda store, tell: report.fit(store, file, chosen, tell)), json_)


@effects.command("evaluate")
def evaluate_trial(config: TrialConfig = None, work_folder: TrialWork = TRIAL, json_: AsJson = False) -> None:
    """Judge the effects of a fitted trial on customers the models did not see."""
    from promolift.trials import report

    say(on_trial(work_folder, report.evaluate, config), json_)


@effects.command("explain")
def explain_trial(config: TrialConfig = None, work_folder: TrialWork = TRIAL, json_: AsJson = False) -> None:
    """Say in words what was found and by which rule."""
    from promolift.trials import report

    say(on_trial(work_folder, report.explain, config), json_)


@effects.command("report")
def report_trial(
    config: TrialConfig = None,
    work_folder: TrialWork = TRIAL,
    out: OutPath = Path("trial-report"),
    json_: AsJson = False,
) -> None:
    """Plan within the budget where an outcome is money; write trial.html, and plan.parquet and plan.csv if planned."""
    from promolift.trials import report

    say(on_trial(work_folder, lambda store, tell: report.report(store, out, tell), config), json_)


def on_trial(folder: Path, do: Callable[["Store", Tell], "StepSummary"], config: Path | None = None) -> "StepSummary":
    """Do something with the work folder of a trial, showing progress; `config` must be what it was fitted with."""
    from promolift.store import Store
    from promolift.trials.report import check_settings

    with Store(folder) as store, showing() as tell:
        if config is not None:
            check_settings(store, config)
        return do(store, tell)


@app.command()
def plan(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    budget: Annotated[int | None, typer.Option(help="Budget in minor units, instead of promolift.toml's.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="One more limit, such as 'return >= 2'.")] = None,
    out: OutPath = OUT,
    json_: AsJson = False,
) -> None:
    """List candidate offers, value them, and choose within the budget and limits."""
    from promolift.config import PlanSettings

    settings = settings_of(config)
    stated = settings.plan.model_dump() | ({} if budget is None else {"budget_cents": budget})
    stated["limits"] = (*settings.plan.limits, *(limit or ()))
    changed = settings.model_copy(update={"plan": PlanSettings.parse(stated, "promolift plan")})
    say(work(changed, work_folder, ["plan"], out), json_)


@app.command("message")
def message_(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    json_: AsJson = False,
    again: Again = False,
    writer: Annotated[str | None, typer.Option(help="template, local, remote or replay.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="zh or en, for a model; both if left out.")] = None,
) -> None:
    """Write the words of every planned offer in Chinese and English, and verify them."""
    from promolift.message import MessageSettings

    settings = settings_of(config)
    given = {"writer": writer, "languages": language or None}
    stated = settings.message.model_dump() | {key: value for key, value in given.items() if value}
    changed = settings.model_copy(update={"message": MessageSettings.parse(stated, "promolift message")})
    say(work(changed, work_folder, ["message"], None, again), json_)


_telling_step("run", "The main job: every step in order, skipping those whose inputs did not change.")


@app.command()
def demo(
    data: Annotated[str, typer.Option(help="groceries (inside the package), or hillstrom: see --path.")] = "groceries",
    path: Annotated[Path | None, typer.Option(help="The file of the hillstrom e-mail trial (hillstrom.csv).")] = None,
    config: DemoConfig = None,
    work_folder: WorkPath = Path(".promolift/demo"),
    out: OutPath = Path("demo-report"),
    json_: AsJson = False,
    again: Again = False,
    language: ReportLanguage = None,
    serve: Annotated[bool, typer.Option("--serve", help="Answer over HTTP afterwards, on port 8080.")] = False,
) -> None:
    """The main job on a year of real groceries: 2,469 households, 1.5 million purchases, 27 campaigns."""
    if data == "hillstrom" and config is None:
        from promolift.trials import report

        if (path := path or Path("hillstrom.csv")) and not path.exists():
            raise ConfigError(
                f"demo: no file {path}; get Kevin Hillstrom's e-mail campaign (64,000 rows, CSV; docs/trials.md) and "
                "name it by --path"
            )
        folder = work_folder.with_name("hillstrom")
        say(on_trial(folder, lambda store, tell: report.demo(store, path, out, tell)), json_)
    elif data == "groceries" and path is None:
        from promolift.run import demo_config

        settings = telling(settings_of(config) if config else demo_config(), language)
        say(work(settings, work_folder, every_step(), out, again), json_)
        if serve:
            from promolift.serve.main import serve_planned

            serve_planned(settings, work_folder, json_)
    else:
        why = "give `--data hillstrom` without --config, or neither --data nor --path for the groceries"
        raise ConfigError(f"demo: --data {data}; {why}")


@app.command()
def simulate(
    world: Annotated[str | None, typer.Option(help="market (default) or goods.")] = None,
    months: Annotated[int | None, typer.Option(help="Months of four weeks (4).")] = None,
    customers: Annotated[int | None, typer.Option(help="Customers of the made-up shop (1500).")] = None,
    seed: Annotated[int | None, typer.Option(help="Another number gives another shop (1).")] = None,
    margin: Annotated[float | None, typer.Option(help="Margin of the world market (0.3).")] = None,
    config: LoopConfig = None,
    out: OutPath = Path("simulated"),
    json_: AsJson = False,
) -> None:
    """Plan, answers, learn, approve, month by month in a made-up shop: what it truly earns beside a hand rule."""
    from promolift.closed_loop import run_simulation

    stated = {"world": world, "months": months, "customers": customers, "seed": seed, "margin": margin}
    with showing() as tell:
        summary = run_simulation(stated, out, tell, config)
    say(summary, json_)


@app.command("next")
def next_(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of what was learned.")] = Path("learn-report"),
    json_: AsJson = False,
) -> None:
    """Where this shop stands (data, testing, learning, paying, stopped), and the one command to give now."""
    from promolift.learning.proposal import stands

    say(stands(settings_of(config), work_folder, out), json_)


learning = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(learning, name="learn")
LEARNED = Path("learn-report")


@learning.callback()
def learn(
    context: typer.Context,
    decisions: Annotated[Path | None, typer.Option(help="Decision records; default: the work folder's.")] = None,
    events: Annotated[Path | None, typer.Option(help="Clean events since then; default: the work folder's.")] = None,
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    out: LearnOut = LEARNED,
    window_days: Annotated[float, typer.Option(help="Days after a decision in which its outcome counts.")] = 28,
    auto: Annotated[bool, typer.Option(help="Write release.json if the guardrails accept the proposal.")] = False,
    json_: AsJson = False,
) -> None:
    """What was decided and what happened: a verdict over the holdout, and a proposal for the next release."""
    if context.invoked_subcommand is not None:
        return
    from promolift.learning.run import LearnSettings, Request, run_learn

    settings = LearnSettings.parse({"window_days": window_days}, "promolift learn")
    shop = config if config == CONFIG else settings_of(config)  # the default one may be missing
    with showing() as tell:
        learned = run_learn(Request(decisions, events, work_folder, out, shop, settings, auto), tell)
    say(learned.summary, json_)


@learning.command("show")
def show_proposal(
    config: ConfigPath = CONFIG, work_folder: WorkPath = WORK, out: LearnOut = LEARNED, json_: AsJson = False
) -> None:
    """Say what the proposal changes, what it is expected to add, its guardrails, and what is approved now."""
    from promolift.learning import proposal

    say(proposal.show(proposal.Where(settings_of(config), work_folder, out)), json_)


@learning.command("approve")
def approve_proposal(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    out: LearnOut = LEARNED,
    yes: Annotated[bool, typer.Option("--yes", help="Approve it in spite of what speaks against it.")] = False,
    json_: AsJson = False,
) -> None:
    """Let the next plan start from the proposal; refused where it is for another plan or speaks against itself."""
    from promolift.learning import proposal

    say(proposal.approve(proposal.Where(settings_of(config), work_folder, out), yes), json_)


@learning.command("reject")
def reject_proposal(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    out: LearnOut = LEARNED,
    why: Annotated[str, typer.Option(help="The reason, kept with the proposal.")] = "",
    json_: AsJson = False,
) -> None:
    """Mark the proposal as rejected; the release in force stays as it is."""
    from promolift.learning import proposal

    say(proposal.reject(proposal.Where(settings_of(config), work_folder, out), why), json_)


words_ = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(words_, name="words")
CsvPath = Annotated[Path, typer.Argument(help="The file for a person: CSV with a column `approved`.")]
By = Annotated[str, typer.Option(help="Who says so; kept with every text.")]


@words_.callback()
def words() -> None:
    """The pool of texts that messages are made from: draft, judge, review, export, import."""


@words_.command("draft")
def words_draft(
    config: ConfigPath = CONFIG,
    several: Annotated[int, typer.Option(help="Drafts for each angle and language.", min=1, max=50)] = 6,
    angle: Annotated[list[str] | None, typer.Option(help="An angle; all if left out.")] = None,
    json_: AsJson = False,
) -> None:
    """Ask the configured model for drafts, lint them, and add them to the shop's pool."""
    from promolift.setup import words as verbs

    say(verbs.draft(settings_of(config), several, angle or []), json_)


@words_.command("judge")
def words_judge(config: ConfigPath = CONFIG, json_: AsJson = False) -> None:
    """Let the configured model read every drafted and edited text three times; one "no" blocks."""
    from promolift.setup import words as verbs

    say(verbs.judge_pool(settings_of(config)), json_)


@words_.command("review")
def words_review(
    config: ConfigPath = CONFIG,
    approve: Annotated[list[str] | None, typer.Option(help="Ids of texts that may be sent.")] = None,
    reject: Annotated[list[str] | None, typer.Option(help="Ids of texts that may not.")] = None,
    retire: Annotated[list[str] | None, typer.Option(help="Ids of texts to take out of use.")] = None,
    by: By = "",
    json_: AsJson = False,
) -> None:
    """Show what waits for a person, or say yes or no to texts by their ids."""
    from promolift.setup import words as verbs

    say(verbs.review(settings_of(config), verbs.Said(approve or [], reject or [], retire or [], by)), json_)


@words_.command("export")
def words_export(file: CsvPath, config: ConfigPath = CONFIG, json_: AsJson = False) -> None:
    """Write the pool as a CSV file for a person: say yes or no in `approved`, change words, add rows."""
    from promolift.setup import words as verbs

    say(verbs.export(settings_of(config), file), json_)


@words_.command("import")
def words_import(file: CsvPath, by: By, config: ConfigPath = CONFIG, json_: AsJson = False) -> None:
    """Read that file again: yes approves the exact words, changed words are linted and wait for the judge."""
    from promolift.setup import words as verbs

    say(verbs.import_(settings_of(config), file, by), json_)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A text of a person, or CSV with columns text and offer_id.")],
    offer: Annotated[str | None, typer.Option(help="Id of a planned offer that the text is about.")] = None,
    language: Annotated[str | None, typer.Option(help="zh or en; by its script if left out.")] = None,
    channel: Annotated[str, typer.Option(help="plain, sms_cn, email_en, push or wechat_store.")] = "plain",
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    json_: AsJson = False,
) -> None:
    """Read texts of people against a planned offer: what is untrue, and what code cannot read (asked of the judge)."""
    from promolift.setup import words as verbs
    from promolift.store import Store

    with Store(work_folder) as store:
        say(verbs.check(settings_of(config), store, file, verbs.TextCheck(offer, language, channel)), json_)


@app.command()
def serve(
    config: ConfigPath = CONFIG,
    work_folder: WorkPath = WORK,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8080,
    settings: Annotated[Path | None, typer.Option(help="The server's own settings, a TOML file.")] = None,
    json_: AsJson = False,
) -> None:
    """Answer over HTTP what the plan decides: events in, decisions out, money kept. See docs/serve.md."""
    from promolift.serve.main import run_server

    run_server(config, work_folder, settings, host, port, json_)


ledger = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ledger, name="ledger", help="Keep the server's ledger: backup, restore, verify, purge.")
ServeConfig = Annotated[Path | None, typer.Option("--config", "-c", help="The server's own settings, a TOML file.")]


def _served(settings: Path | None, work_folder: Path) -> "ServeSettings":
    from promolift.serve.main import read_settings

    return read_settings(settings, work_folder)


@ledger.command("backup")
def ledger_backup(
    to: Annotated[Path, typer.Argument(help="The folder to make.")],
    work_folder: WorkPath = WORK,
    config: ServeConfig = None,
    json_: AsJson = False,
) -> None:
    """Copy ledger, releases and secret key as of one moment into a new folder; a server may run meanwhile."""
    stated = _served(config, work_folder)
    from promolift.serve import upkeep

    say(upkeep.backup(stated, to), json_)


@ledger.command("restore")
def ledger_restore(
    source: Annotated[Path, typer.Argument(help="The folder of a backup.")],
    work_folder: WorkPath = WORK,
    config: ServeConfig = None,
    json_: AsJson = False,
) -> None:
    """Put a backup back where no ledger is; its hashes are checked first."""
    stated = _served(config, work_folder)
    from promolift.serve import upkeep

    say(upkeep.restore(stated, source), json_)


@ledger.command("verify")
def ledger_verify(work_folder: WorkPath = WORK, config: ServeConfig = None, json_: AsJson = False) -> None:
    """Check the database, the audit chain, the books of every limit and the releases; exit code 2 with a fault."""
    stated = _served(config, work_folder)
    from promolift.serve import upkeep

    found = upkeep.verify(stated)
    say(found, json_)
    if found.figures["faults"]:
        raise SystemExit(2)


@ledger.command("purge")
def ledger_purge(work_folder: WorkPath = WORK, config: ServeConfig = None, json_: AsJson = False) -> None:
    """Delete what is older than `[keep]` of the server's settings says; a server may run meanwhile."""
    stated = _served(config, work_folder)
    from promolift.serve import upkeep

    say(upkeep.purge(stated), json_)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit code 0; 2 for an error a person can repair, 130 if interrupted."""
    try:
        app(arguments)
    except PromoError as error:
        tell_person(f"error: {error}")
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
