"""The Python interface of a shop: data health, customers, plan, messages, report and release.

Notebooks, the command line and programs use this class. A step whose result still fits the settings and the files is
not run again.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from promolift.core.effects.offer_value.discount_response import DiscountResponse
from promolift.foundation.errors import ConfigError
from promolift.foundation.frames import as_frame
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import Progress, StepSummary, no_progress
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import url_of
from promolift.shop.configuration.configuration import RAW_NAMES, Config, PlanSettings, load_config
from promolift.shop.pipeline import pipeline
from promolift.shop.pipeline.promotion_log import keep_history
from promolift.shop.results import effects
from promolift.shop.results.evaluation import Evaluation
from promolift.shop.results.ingest import Health
from promolift.shop.results.messages import Messages
from promolift.shop.results.plan import Plan
from promolift.shop.results.promotion_history import PromotionHistory
from promolift.shop.results.work_folder.run_context import Job, moments

if TYPE_CHECKING:
    from promolift.shop.pipeline.planning.play_table import PlayRow

WORK = Path(".promolift")


class Shop:
    """One shop: what `promolift.toml` says, and the folder in which results are kept.

    Use it in a `with`, or `close()` it: while a result is being written nobody else may write to the same folder.
    `on_progress(step, share, note)` hears how far a step is.
    """

    def __init__(
        self,
        events: Any = None,
        *,
        products: Any = None,
        customers: Any = None,
        promotions: Any = None,
        words: Any = None,
        columns: Mapping[str, str] | None = None,
        work: str | Path = WORK,
        on_progress: Progress | None = None,
    ) -> None:
        """From raw files or data frames: what their columns mean is guessed, as `promolift init` does, and written to
        promolift.toml in the work folder, to be looked at; `guessed` says the same. `columns` states a role's column,
        as `--map` does: `{"customer_id": "E-mail", "products.name": "Title"}`. Raises InputError for what cannot be
        understood, and `customer_unclear` where a person has to say which column tells customers apart.
        """
        given = {"events": events, "products": products, "customers": customers, "promotions": promotions,
                 "words": words}  # fmt: skip
        if events is None:
            raise ConfigError(
                "value_missing",
                gettext_lazy("a shop needs its events: Shop(events='orders.csv'), or Shop.open('promolift.toml')"),
            )
        if url := url_of(work):
            raise ConfigError(
                "url_unsupported",
                gettext_lazy(
                    "{url}: settings made from files are written to a folder; then Shop.open(work={repr_url})",
                    url=url,
                    repr_url=repr(url),
                ),
            )
        folder = Path(work)
        files: dict[str, Path] = {
            name: _file(folder, name, given[name]) for name in RAW_NAMES if given[name] is not None
        }
        config = folder / "promolift.toml"
        from promolift.shop.ingest.setup.initialisation import SetupAnswers, init

        answers = SetupAnswers.of([f"{role}={column}" for role, column in (columns or {}).items()])
        self.guessed = init(files, config, force=True, answers=answers).text
        self._start(load_config(config), Store(folder), on_progress)

    @classmethod
    def open(
        cls, config: str | Path = "promolift.toml", work: str | Path = WORK, on_progress: Progress | None = None
    ) -> Self:
        """The shop of a settings file and its work folder. Raises ConfigError if the file says something impossible."""
        return cls.of(load_config(Path(config)), work, on_progress)

    @classmethod
    def of(cls, config: Config, work: str | Path = WORK, on_progress: Progress | None = None) -> Self:
        """The shop of settings that are there already."""
        shop = cls.__new__(cls)
        shop.guessed = ""
        data = config.data
        shop._start(config, Store(work, memory=data.memory, threads=data.threads), on_progress)
        return shop

    def _start(self, config: Config, store: Store, on_progress: Progress | None) -> None:
        self.config, self.store, self._tell = config, store, on_progress or no_progress

    def __enter__(self) -> Self:
        """The shop itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, whatever happened."""
        self.store.__exit__(kind, error, trace)

    def close(self) -> None:
        """Let go of the work folder."""
        self.store.close()

    def with_settings(self, **parts: Any) -> "Shop":
        """The same shop with other settings, by part of promolift.toml: `with_settings(value={"margin_rate": 0.4})`.

        A list, such as `menu`, takes the place of the one there is. Raises ConfigError naming the key that cannot be.
        """
        known, stated = type(self.config).model_fields, self.config.model_dump(exclude_unset=True)
        for part, values in parts.items():
            if part not in known:
                raise ConfigError(
                    "setting_unknown",
                    gettext_lazy(
                        "no part [{part}] in the settings; there are {known}", part=part, known=", ".join(known)
                    ),
                )
            before = stated.get(part, {})
            stated[part] = {**before, **values} if isinstance(before, dict) and isinstance(values, dict) else values
        return self._with(Config.parse(stated, "Shop.with_settings"))

    def _with(self, config: Config) -> "Shop":
        other = Shop.__new__(Shop)
        other.guessed = self.guessed
        other._start(config, self.store, self._tell)
        return other

    def step(self, *names: str, out: Path | None = None, again: bool = False) -> StepSummary:
        """Run the named steps (`pipeline.STEPS`) and say what the last one did; what is up to date is skipped."""
        try:
            return pipeline.run_steps(Job(self.config, self.store, self._tell, out), names, again)
        finally:
            self.store.unlock()

    def _up_to(self, name: str, out: Path | None = None) -> StepSummary:
        return self.step(*list(pipeline.STEPS)[: list(pipeline.STEPS).index(name) + 1], out=out)

    @property
    def health(self) -> Health:
        """What came in, what was repaired or set aside, and what this data can and cannot answer."""
        self._up_to("ingest")
        return Health.load(self.store)

    @property
    def history(self) -> PromotionHistory:
        """What past promotions earned, as far as the log can tell."""
        self._up_to("ingest")
        return keep_history(self._job)

    @property
    def plays(self) -> "list[PlayRow]":
        """The plays of this shop, with their sizes and why one is not in play."""
        from promolift.shop.pipeline.planning.play_table import list_plays

        self._up_to("profile")
        return list_plays(self._job)

    @property
    def customers(self) -> pl.DataFrame:
        """PROFILES: a row per customer, by what was known at the moment of the plan."""
        self._up_to("profile")
        job = self._job
        return job.profiled.profiles(moments(job).asof)

    @property
    def response(self) -> DiscountResponse:
        """What a discount adds to demand, with its evidence and its checks."""
        self._up_to("effect")
        return effects.load_response(self.store)

    def plan(self, budget_cents: int | None = None, **changes: Any) -> Plan:
        """Who gets which offer within the budget, in minor units; `changes` are further keys of [plan].

        The shop goes on with these settings, and so do the plan's own page and release.
        """
        stated = {**self.config.plan.model_dump(exclude_unset=True), **changes}
        if budget_cents is not None:
            stated["budget_cents"] = budget_cents
        self.config = self.config.model_copy(update={"plan": PlanSettings.parse(stated, "Shop.plan")})
        self._up_to("plan")
        return Plan(self.store, Plan.load(self.store).note, self._with(self.config))

    @property
    def messages(self) -> Messages:
        """The words of every planned offer, verified."""
        self._up_to("message")
        return Messages.load(self.store)

    def evaluate(self) -> Evaluation:
        """How good predictions were on the last weeks, and the plan beside other policies at equal spend."""
        self._up_to("evaluate")
        return Evaluation.load(self.store)

    def report(self, out: str | Path = "promolift-report") -> Path:
        """Write report.html, plan.csv and plan.parquet into a folder; the path of the page."""
        self._up_to("report", Path(out))
        return Path(out) / "report.html"

    def release(self) -> str:
        """Freeze the plan with its words as a release that `promolift serve` can activate; its id."""
        from promolift.shop.pipeline.release import build_release

        self._up_to("message")
        return build_release(self.store)

    @property
    def _job(self) -> Job:
        return Job(self.config, self.store, self._tell)


def _file(folder: Path, name: str, given: Any) -> Path:
    """The path of a raw file; a data frame is written into the work folder."""
    if isinstance(given, str | Path):
        return Path(given)
    path = folder / "raw" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    as_frame(given, name).write_parquet(path)
    return path
