"""Run promolift month by month in a simulated shop with the command-line functions, and report what it truly earned.

A month is ingest, plan, the customers' response, ingest, learn and approve: the functions that every shop runs. A hand
rule runs in a copy of the same shop with the same budget and the same random draws. Every number is simulated.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from pydantic import Field

from promolift.foundation.errors import ConfigError, SupportError
from promolift.foundation.i18n.catalogue import gettext, pgettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import Progress, no_progress
from promolift.foundation.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from promolift.extensions.simulation.worlds.simulated_worlds import SimulatedWorld, TrueEffect
    from promolift.foundation.progress import StepSummary

BUDGET_SHARE = 0.015  # of the revenue of the last four weeks
HAND_RULE_DAYS, HAND_RULE_DEPTH = (
    56,
    0.1,
)  # the hand rule: so much off everything for whoever has been away so many days
SETTINGS_TEMPLATE = """
[shop]
name = "Made up"
[data.events]
path = "events.parquet"
[data.events.mapping]
money = "minor"
time_format = "epoch"
constants = {{ kind = "purchase" }}
[data.events.mapping.columns]
customer_id = "customer_id"
time = "ts_ms"
order_id = "order_id"
product_id = "product_id"
quantity = "quantity"
amount = "paid_cents"
list_amount = "list_cents"
shelf_discount = "shelf_cents"
coupon_discount = "coupon_cents"
[data.products]
path = "products.csv"
[data.products.mapping.columns]
product_id = "product_id"
name = "name"
category = "category"
[value]
margin_rate = {margin:.4f}
[consent]
default = true
[offer]
proposals = "none"
[plan]
campaign = "made-up"
budget_cents = {budget}
test_share = {share}
[[menu]]
id = "reminder"
benefit = {{ type = "reminder" }}
[[menu]]
id = "everything-10"
benefit = {{ type = "percent_off", percent = 10 }}
[[menu]]
id = "favourite-10"
benefit = {{ type = "percent_off", percent = 10 }}
scope = "category"
[[menu]]
id = "favourite-20"
benefit = {{ type = "percent_off", percent = 20 }}
scope = "category"
"""
THRESHOLD_TEMPLATE = """
[[menu]]
id = "spend-save"
benefit = {{ type = "amount_off", amount_cents = {amount} }}
min_spend_cents = {least}
"""


class SimulationRunSettings(Settings):
    """`market` shares nothing with promolift's models (its margin is `margin`), `goods` is a shop of many products.

    `drift`: from the end of this month on customers
    answer otherwise: prices move them half as much, and letters by themselves keep them away.
    """

    world: Literal["market", "goods"] = "market"
    customers: int = Field(default=1500, ge=200, le=100_000)
    months: int = Field(default=4, ge=1, le=24)
    seed: int = 1
    drift: int | None = Field(default=None, ge=1, le=24)
    margin: float = Field(default=0.3, gt=0, lt=1)


class MonthMessages(NamedTuple):
    """A month's messages: how many were sent with a text of the pool, the share that is read by them, and the share
    that their angles' texts would have if all were chosen alike."""

    sent: int
    read: float
    alike: float


@dataclass
class CommandLinePath:
    """Run promolift by its documented commands in its own folder; `summaries` holds the texts of plans and learning."""

    folder: Path
    summaries: list[str] = field(default_factory=list)
    seed: int = 1
    messages: list[MonthMessages] = field(default_factory=list)
    words, more = False, ""  # whether a plan gets its words; what the settings say besides
    test_share: float = 0.1

    def __enter__(self) -> Self:
        """The path itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def decide(self, world: "SimulatedWorld", budget_cents: float) -> "pl.DataFrame":
        """Who gets what this month: the plan's chosen candidates, learned from what came before. The budget is that
        of the first month."""
        import polars as pl

        from promolift.shop.pipeline.shop import Shop

        world.events.write_parquet(self.folder / "events.parquet")
        world.products.write_csv(self.folder / "products.csv")
        config = self.folder / "promolift.toml"
        if config.is_file():
            self._learn(config)
        else:
            config.write_text(render_settings(world, budget_cents, self.test_share) + self.more, encoding="utf-8")
        with Shop.open(config, work=self.folder / "work") as shop:
            plan = shop.plan()
            self.summaries.append(str(plan))
            if self.words:
                shop.step("message")
            nothing_off = pl.col("benefit") == "reminder"  # as the worlds take it: an offer of a share of nothing
            return plan.chosen.with_columns(pl.when(nothing_off).then(0.0).otherwise("depth").alias("depth"))

    def finish_month(self, world: "SimulatedWorld") -> None:
        """A month is over. Nothing to do here: the next plan reads the shop's files."""

    def _learn(self, config: Path) -> None:
        from promolift.shop.configuration.configuration import load_config
        from promolift.shop.feedback.decision_outcomes import LearnSettings
        from promolift.shop.feedback.learning import Request, run_learn
        from promolift.shop.feedback.proposal import ProposalLocation, approve_proposal
        from promolift.shop.pipeline.shop import Shop

        work, learned = self.folder / "work", self.folder / "learned"
        with Shop.open(config, work=work) as shop:
            shop.step("ingest")
        try:
            run_learn(Request(None, None, work, learned, config, LearnSettings()), no_progress)
            approve_proposal(ProposalLocation(load_config(config), work, learned))
        except (SupportError, ConfigError) as error:  # nothing can be said yet, or the draws cannot be trusted
            self.summaries.append(f"learn: {error}")


def render_settings(world: "SimulatedWorld", budget_cents: float, test_share: float = 0.1) -> str:
    """promolift.toml of a made-up shop; an amount off at the scale of its baskets."""
    import polars as pl

    text = SETTINGS_TEMPLATE.format(margin=world.margin, budget=round(budget_cents), share=test_share)
    if not world.amounts:
        return text
    orders = world.events.group_by("customer_id", "order_id").agg(pl.col("list_cents").sum())["list_cents"]
    least = round(float(orders.quantile(0.75) or 0.0) / 500) * 500
    return text + THRESHOLD_TEMPLATE.format(amount=max(100, round(least / 1000) * 100), least=least)


def monthly_budget(world: "SimulatedWorld") -> float:
    """What a month's offers may cost."""
    import polars as pl

    from promolift.foundation.time.clock import DAY_MS

    recent = world.events.filter(pl.col("ts_ms") >= world.now_ms - 28 * DAY_MS)
    return BUDGET_SHARE * float(recent["paid_cents"].sum())


def hand_rule(world: "SimulatedWorld", budget_cents: float) -> "pl.DataFrame":
    """10 % off everything for whoever has been away 56 days, the nearest first, until the expected cost is spent."""
    import polars as pl

    from promolift.foundation.time.clock import DAY_MS

    age = (world.now_ms - pl.col("ts_ms")) / DAY_MS
    orders = world.events.group_by("customer_id", "order_id").agg(
        age.first().alias("age"), pl.col("paid_cents", "list_cents").sum()
    )
    people = orders.group_by("customer_id").agg(
        pl.col("age").min().alias("away"), pl.col("list_cents").mean().alias("basket"),
        (pl.col("paid_cents").filter(pl.col("age") < 112).sum() / 4).alias("month"),
    )  # fmt: skip
    cost = HAND_RULE_DEPTH * pl.max_horizontal("month", 0.03 * pl.col("basket"))
    away = (
        people.filter(pl.col("away") >= HAND_RULE_DAYS)
        .sort("away", "customer_id")
        .filter(cost.cum_sum() <= budget_cents)
    )
    return away.select(
        "customer_id", pl.lit(None, pl.String).alias("target"), pl.lit(HAND_RULE_DEPTH).alias("depth"),
        pl.lit(None, pl.Int64).alias("amount_cents"), pl.lit(None, pl.Int64).alias("min_spend_cents"),
    )  # fmt: skip


class MonthResult(NamedTuple):
    """A policy's month: customers with an offer, and what that truly adds and costs."""

    treated: int
    worth: "TrueEffect"


def run_simulation(
    given: Mapping[str, object], folder: Path, tell: Progress = no_progress, file: Path | None = None,
    path_in: Callable[[Path], CommandLinePath] = CommandLinePath,
) -> "StepSummary":  # fmt: skip
    """Run the simulated months in `folder` and return the table of what was earned.

    Values in `given` that are not None override the [simulate] section of the TOML `file`. `path_in` is CommandLinePath
    or ServerPath. Raises ConfigError for invalid settings or a folder in use.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    settings = SimulationRunSettings.parse(_part(file) | chosen, str(file or "promolift simulate"))
    if (folder / "promolift.toml").exists():
        raise ConfigError(
            "folder_not_empty",
            gettext_lazy("{folder}: a simulation was here already; name another folder with --out", folder=folder),
        )
    with path_in(folder) as path:
        path.seed = settings.seed
        return _summary(settings, simulate_both(settings, path, tell), path)


class PolicyMonths(NamedTuple):
    """The months of promolift and of the hand rule."""

    promolift: "list[MonthResult]"
    hand_rule: "list[MonthResult]"


def simulate_both(settings: SimulationRunSettings, path: CommandLinePath, tell: Progress) -> PolicyMonths:
    """Both policies, each in its own copy of the same shop."""
    from promolift.extensions.simulation.worlds.simulated_worlds import OFFER_COLUMNS, GoodsWorld, MarketWorld

    path.folder.mkdir(parents=True, exist_ok=True)

    def live(
        decide: "Callable[[SimulatedWorld, float], pl.DataFrame]", note: str, hear: "Callable[[SimulatedWorld], None]"
    ) -> list[MonthResult]:
        tell(pgettext_noop("step", "simulate"), 0.0, gettext_lazy("a year of history"))
        market = settings.world == "market"
        world: SimulatedWorld = (
            MarketWorld(settings.seed, settings.customers, settings.margin) if market
            else GoodsWorld(settings.seed, settings.customers)
        )  # fmt: skip
        months = []
        for month in range(settings.months):
            tell(
                "simulate",
                month / settings.months,
                gettext_lazy("{policy}, month {month}", policy=note, month=month + 1),
            )
            offers = decide(world, monthly_budget(world)).select(OFFER_COLUMNS)
            months.append(MonthResult(offers.height, world.advance_month(offers)))
            hear(world)
            if settings.drift == month + 1:
                world.drift()
        return months

    return PolicyMonths(
        live(path.decide, "promolift", path.finish_month), live(hand_rule, gettext_lazy("hand rule"), lambda _: None)
    )


def _part(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        return dict(tomllib.loads(file.read_text(encoding="utf-8"))["simulate"])
    except KeyError:
        raise ConfigError("setting_missing", gettext_lazy("{file}: no [simulate] part", file=file)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            "file_unreadable", gettext_lazy("{path}: not readable as TOML: {error}", path=file, error=error)
        ) from None


def _summary(settings: SimulationRunSettings, lived: PolicyMonths, path: CommandLinePath) -> "StepSummary":
    from promolift.foundation.progress import StepSummary

    lines = [
        gettext(
            "Simulated, world {world}, {customers} customers: true expected profit over no offers, in money; window: "
            "four "
            "weeks, horizon: with what follows them.",
            world=settings.world,
            customers=f"{settings.customers:,}",
        ),
        gettext("month  promolift: offers, cost, gain in the window, with the horizon; the same of the hand rule"),
    ]
    names = [*map(str, range(1, settings.months + 1)), gettext("all")]
    for name, *pair in zip(names, *([*months, _sum(months)] for months in lived), strict=True):
        cells = [
            f"{each.treated:>8,} " + " ".join(f"{cents / 100:>10,.2f}" for cents in (each.worth.cost, *each.worth[:2]))
            for each in pair
        ]
        lines.append(f"{name:>5} " + "   ".join(cells))
    if settings.drift is not None:
        lines.append(gettext("From month {month} on customers answer otherwise than before.", month=settings.drift + 1))
    for number, read in enumerate(path.messages, 1):
        lines.append(
            gettext(
                "Month {month}: {messages} messages, {read} of them are read; {alike} would be if all texts were "
                "chosen "
                "alike.",
                month=number, messages=f"{read.sent:,}", read=f"{read.read:.1%}", alike=f"{read.alike:.1%}",
            )
        )  # fmt: skip
    texts = [each._asdict() for each in path.messages]
    figures = {"simulated": True, "messages": texts, **settings.model_dump(), "said": path.summaries} | {
        name: [{"treated": each.treated, **each.worth._asdict()} for each in months]
        for name, months in lived._asdict().items()
    }
    return StepSummary("\n".join(lines), figures)


def _sum(months: list[MonthResult]) -> MonthResult:
    worth = [sum(each) for each in zip(*(month.worth for month in months), strict=True)]
    return MonthResult(sum(month.treated for month in months), type(months[0].worth)(*worth))
