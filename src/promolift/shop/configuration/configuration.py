"""Load promolift.toml into one frozen Config tree, and write the commented file that `init` creates."""

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeVar, cast, get_args

from pydantic import Field, create_model, field_validator, model_validator

from promolift.core.allocation.settings import FairnessSettings, Limit, Risk, StrategicRule
from promolift.core.customers.segments import Segment
from promolift.core.customers.settings import ConsentSettings
from promolift.core.effects.settings import DiscountSettings, PanelSettings, ValueSettings
from promolift.core.messages.composition import MessageSettings
from promolift.core.offers.menu import DEFAULT_MENU, MenuItem
from promolift.core.offers.settings import OfferProposalSettings, OfferRules
from promolift.extensions.connectors.warehouse import WarehouseSettings
from promolift.extensions.encoder.settings import ForecastSettings
from promolift.extensions.media.settings import SensesSettings, SpeechSettings
from promolift.foundation.errors import ConfigError, SettingError
from promolift.foundation.executors.executor import ExecutorSettings
from promolift.foundation.extension import RegisteredName, load_reference, registered
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean
from promolift.foundation.language_model import LlmSettings
from promolift.foundation.localized_text import Language
from promolift.foundation.settings import Settings
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.extension_sections import project_sections
from promolift.shop.configuration.plays import Play
from promolift.shop.configuration.settings import CleanRules, PrivacySettings, WordsSettings
from promolift.shop.configuration.settings import ShopSettings as ShopSettings

Section = TypeVar("Section", bound=Settings)
RawName = Literal["events", "customers", "products", "promotions", "words"]
RAW_NAMES: tuple[RawName, ...] = get_args(RawName)


class JoinedFile(Settings):
    """A further file whose row with the same key adds its columns to each row: the orders of order lines.

    What one file adds may be the key of the next.
    """

    path: str = Field(
        min_length=1, description="The file. It starts at the folder of promolift.toml.", examples=["orders.csv"]
    )
    on: str = Field(
        min_length=1, description="Column of the rows so far that names a row of this file.", examples=["order_id"]
    )
    key: str = Field(
        min_length=1,
        description="Column of this file that says the same. Where several rows do, the first counts.",
        examples=["order_id"],
    )


class RawFile(Settings):
    """One raw file (CSV, Parquet, JSON or Excel), or a query to the warehouse, and how its columns become ours."""

    path: str = Field(
        default="", description="The file. It starts at the folder of promolift.toml.", examples=["lines.csv"]
    )
    query: str = Field(
        default="",
        description="In place of a file: a SELECT that [the warehouse](#warehouse) answers with the rows.",
        examples=["select member, sku, price, paid_at, changed_at from order_lines order by changed_at"],
    )
    watermark: str = Field(
        default="",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="Column of the query that grows with every new or changed row: a time, a day or a whole number. "
        "The next run asks only for rows from the last one on. Left out: each run reads all rows.",
        examples=["changed_at"],
    )
    reread_days: int = Field(
        default=1,
        ge=0,
        description="So many days before the last watermark are read again, for rows that were written late.",
    )
    key: tuple[str, ...] = Field(
        default=(),
        description="With a watermark: columns that name a row. A changed row takes the place of the one with its key.",
        examples=[["order_id", "line"]],
    )
    header: tuple[str, ...] = Field(
        default=(),
        description="Names of the columns, for a file without a line of names.",
        examples=[["user", "item", "time"]],
    )
    join: tuple[JoinedFile, ...] = ()
    per: Literal["row", "last"] = Field(
        default="row",
        description="What becomes one row of ours: each row of the file, or, for customers or products that stand "
        "inside the events file, the last value said of each.",
    )
    mapping: Mapping

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.path) == bool(self.query):
            raise ValueError(gettext_lazy("name a file by path, or give a query to the warehouse: one of the two"))
        if not self.watermark and self.key:
            raise ValueError(
                gettext_lazy("key says which rows of an earlier reading a new one replaces; it needs a watermark")
            )
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that is named."""
        return tuple(filter(None, (self.path, *(each.path for each in self.join))))

    def placed(self, folder: Path) -> "RawFile":
        """The same with paths that start at `folder`."""
        joined = tuple(each.model_copy(update={"path": str(folder / each.path)}) for each in self.join)
        path = str(folder / self.path) if self.path else ""
        return self.model_copy(update={"path": path, "join": joined})


class DataSettings(Settings):
    """Where the raw logs are, and what reading them may take."""

    source: Annotated[str, RegisteredName("sources", "files")] = Field(
        default="files",
        description="Where raw data come from: the files named below, or the demo's data out of its Python package.",
    )
    shards: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Into how many parts customers are split by hash, one of which is in memory at a time; results do "
        "not depend on it. Left out: by the size of the logs.",
        examples=[16],
    )
    memory: str = Field(
        default="1GB",
        pattern=r"^\d+(\.\d+)?(MB|GB)$",
        description="Memory that DuckDB may use for its own work; what needs more goes to the work folder's disk.",
        examples=["2.5GB"],
    )
    threads: int = Field(default=2, ge=1, description="Threads that DuckDB may use, and an encoder too large for one.")
    rules: CleanRules = CleanRules()
    events: RawFile | None = Field(
        default=None, description="What customers did: purchases above all. The one file that is needed."
    )
    more_events: tuple[RawFile, ...] = Field(
        default=(), description="Further logs of the same customers, such as clicks beside orders."
    )
    customers: RawFile | None = Field(default=None, description="What customers told the shop: name, age, consent.")
    products: RawFile | None = Field(default=None, description="The catalogue: name, category, price, cost.")
    promotions: RawFile | None = Field(
        default=None, description="Past campaigns: who was sent what when, and who redeemed it."
    )

    words: RawFile | None = Field(
        default=None, description="What customers wrote or said: reviews, chats, answers, recordings of calls."
    )

    @model_validator(mode="before")
    @classmethod
    def _each_mapping_knows_its_table(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = {name: _as_part(values[name], name) if name in RAW_NAMES else values[name] for name in values}
        if isinstance(filled.get("more_events"), list):
            filled["more_events"] = [_as_part(part, "events") for part in filled["more_events"]]
        return filled

    @model_validator(mode="after")
    def _events_are_needed(self) -> "DataSettings":
        if self.source == "files" and self.events is None:
            raise SettingError(
                "setting_missing",
                gettext_lazy(
                    "events is missing: name the file of raw events, as `promolift init --events FILE` writes it"
                ),
            )
        return self

    @property
    def files(self) -> dict[str, RawFile]:
        """All raw files and queries that are named: events, events2 and so on, customers, products and the others."""
        named: dict[str, RawFile | None] = {name: getattr(self, name) for name in RAW_NAMES}
        named |= {f"events{number}": file for number, file in enumerate(self.more_events, start=2)}
        return {name: file for name, file in named.items() if file is not None}


class PlanSettings(Settings):
    """The decision: for when, within which budget and limits, and how sure it must be."""

    RENAMED: ClassVar[dict[str, str]] = {"weakest_evidence": "min_evidence", "trial": "test_share"}
    NEW_VALUES: ClassVar[dict[str, dict[str, str]]] = {"trial": {"true": "0.1", "auto": "0.1", "false": "0.0"}}
    REMOVED: ClassVar[dict[str, str]] = {
        "groups": gettext_noop("tests draw within audiences that are read from the log")
    }

    campaign: str = Field(
        default="cmp_1",
        description="Name of the campaign. It stands in records and codes, and what was approved for one campaign "
        "counts for its plans alone.",
        examples=["spring-2026"],
    )
    asof: str | None = Field(
        default=None,
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="Local day of the plan: nothing from that day on is known to it. Left out: the day after the last "
        "event.",
        examples=["2026-03-01"],
    )
    window_days: int = Field(
        default=28,
        ge=1,
        le=366,
        description="Days that the plan looks ahead: what customers would buy without an offer, and what offers add, "
        "is meant for so long.",
    )
    budget_cents: int | None = Field(
        default=None,
        ge=0,
        description="What all offers together may be expected to cost the shop, in minor units. Left out: "
        "`budget_share` of revenue.",
        examples=[100_000],
    )
    budget_share: float = Field(
        default=0.002,
        ge=0,
        le=1,
        description="The budget as a share of the revenue of the last `window_days`, where `budget_cents` is left out.",
    )
    min_evidence: Literal["auto", "randomised", "adjusted", "assumed"] = Field(
        default="auto",
        description="Offers whose effect is known less well than this are listed, but not planned. `auto` takes the "
        "strongest level that any open offer reaches.",
    )
    category_share: float = Field(
        default=1.0, gt=0, le=1, description="The most of the budget that offers on one category may take together."
    )
    limits: tuple[str, ...] = Field(
        default=(),
        description="Further limits, each `name: measure[column=a|b] <= number`; name and brackets may be left out, "
        "`>=` asks for at least so much. Measures: `count` of offers, `cost` and `gain` in minor units, `count_share` "
        "and `cost_share` of all offers or cost, `return` (gain divided by cost, at least only). Columns are those of "
        "the [candidates](tables.md#candidates).",
        examples=[["stock: count[target=tea] <= 500", "cost_share[scope=category] <= 60%", "return >= 2"]],
    )
    risk: Risk = Risk()
    holdout_share: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of customers who get nothing, drawn by hash, so that what the plan earns can be measured.",
    )
    test_share: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Share of the budget that offers with a predicted gain leave to customers who draw theirs at "
        "random: those of an audience (absent, long absent, a cart left behind, due again) draw a discount, a reminder "
        "or nothing, and what adds more is drawn by more of them in the next plan. Where no gain is predicted they may "
        "draw for the whole budget. Nobody draws with 0, with `limits`, limits of fairness or `privacy.epsilon`.",
    )
    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Where several campaigns have an offer that pays for one customer, the higher priority goes "
        "first, then the offer that is worth more.",
        examples=[10],
    )
    sure: float = Field(
        default=0.8,
        gt=0.5,
        lt=1,
        description="Where offers are drawn, or draws were learned from: a menu line counts as shown to pay when it is "
        "worth more than nothing with at least this probability.",
    )
    seed: int = Field(default=0, description="Settles ties, draws and phrasings; another number draws others.")

    @field_validator("limits")
    @classmethod
    def _readable(cls, limits: tuple[str, ...]) -> tuple[str, ...]:
        for text in limits:
            try:
                Limit.read(text)
            except ConfigError as error:
                raise SettingError(error.code, error.message) from None
        return limits


class ReportSettings(Settings):
    """The report, report.html."""

    language: Language | None = Field(
        default=None,
        description="Language of the report, one of `shop.languages`. Left out: the first of them.",
        examples=["zh"],
    )


class Config(Settings):
    """All of promolift.toml."""

    include: tuple[str, ...] = Field(
        default=(),
        description="Further files in the folder of this one. What they say of a part, key by key, goes before what "
        "stands here, and a list such as `[[menu]]` takes the place of the whole list. The console writes "
        "`console.toml`, so that this file stays as its owner wrote it.",
        examples=[["console.toml"]],
    )
    shop: ShopSettings = ShopSettings()
    data: DataSettings
    warehouse: WarehouseSettings = WarehouseSettings()
    engine: ExecutorSettings = ExecutorSettings()
    senses: SensesSettings = SensesSettings()
    encoder: ForecastSettings = ForecastSettings()
    panel: PanelSettings = PanelSettings()
    discount: DiscountSettings = DiscountSettings()
    value: ValueSettings = ValueSettings()
    segment: tuple[Segment, ...] = ()
    rules: OfferRules = OfferRules()
    consent: ConsentSettings = ConsentSettings()
    privacy: PrivacySettings = PrivacySettings()
    menu: tuple[MenuItem, ...] = DEFAULT_MENU
    plays: tuple[Play, ...] = ()
    offer: OfferProposalSettings = OfferProposalSettings()
    plan: PlanSettings = PlanSettings()
    strategic: tuple[StrategicRule, ...] = ()
    fairness: FairnessSettings = FairnessSettings()
    message: MessageSettings = MessageSettings()
    llm: LlmSettings = LlmSettings()
    words: WordsSettings = WordsSettings()
    speech: SpeechSettings = SpeechSettings()
    report: ReportSettings = ReportSettings()

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Validate `values`, also the sections that extensions register. See `Settings.parse`."""
        sections = tuple(RegisteredSection(*each) for each in registered("settings").items())
        if cls is not Config or not sections:
            return super().parse(values, where)
        return cast(Self, _with_sections(sections).parse(values, where))

    def section(self, kind: type[Section]) -> Section:
        """Return the section of this settings class that an extension registered; its defaults where it is left out."""
        parts = (getattr(self, name) for name in type(self).model_fields)
        return next((part for part in parts if type(part) is kind), None) or kind()

    def __reduce__(self) -> Any:
        """Pickle by the registered sections: a class that is made at run time cannot be found by its name."""
        sections = tuple(
            RegisteredSection(name, each)
            for name, each in registered("settings").items()
            if name in type(self).model_fields
        )
        return _restore, (sections, self.__getstate__())

    @property
    def may_draw(self) -> bool:
        """Whether a plan may have customers draw their offers at random; see `plan.test_share`."""
        limited = self.plan.limits or self.fairness.limited
        return self.plan.test_share > 0 and not limited and self.privacy.epsilon is None

    @property
    def lines(self) -> tuple[MenuItem, ...]:
        """The menu, and the lines that plays state for their own customers."""
        own = (line for play in self.plays for line in play.lines(self.menu, self.shop.currency))
        return tuple({line.id: self._sent(line) for line in (*self.menu, *own)}.values())

    def _sent(self, line: MenuItem) -> MenuItem:
        """A line with what its message costs, as it states itself or as `value` does; then the line still states none,
        so that another `value` holds for it."""
        if "send_cost_cents" in line.model_fields_set:
            return line
        sent = line.model_copy()
        sent.__dict__["send_cost_cents"] = self.value.send_cost_cents
        return sent

    @property
    def report_language(self) -> Language:
        """The language of the report: as stated, else the shop's own."""
        return self.report.language or self.shop.language

    def with_report_language(self, language: str) -> Self:
        """Return the settings with another language of the report. Raises ConfigError where the shop has it not."""
        if fault := self._no_language(language):
            raise ConfigError("language_unavailable", fault)
        report = self.report.model_copy(update={"language": language})
        return self.model_copy(update={"report": report})

    def _no_language(self, language: str) -> LazyMessage | None:
        languages = self.shop.languages
        if language in languages:
            return None
        return gettext_lazy(
            "the report cannot be in {language}: shop.languages has {languages} alone",
            language=repr(language),
            languages=", ".join(languages),
        )

    @model_validator(mode="after")
    def _report_in_language_of_shop(self) -> Self:
        if fault := self._no_language(self.report_language):
            raise SettingError("language_unavailable", fault)
        return self

    @field_validator("menu")
    @classmethod
    def _unique(cls, menu: tuple[MenuItem, ...]) -> tuple[MenuItem, ...]:
        _all_differ([item.id for item in menu], "menu lines have the id")
        return menu

    @model_validator(mode="after")
    def _plays_can_be_made(self) -> Self:
        _all_differ([each.id for each in self.plays], "plays have the id")
        names = {each.name for each in self.segment}
        for play in self.plays:
            own = play.lines(self.menu, self.shop.currency)
            if play.id in names:
                raise ValueError(
                    gettext_lazy("the play {id} has the name of a segment; give it another id", id=repr(play.id))
                )
            if taken := {each.id for each in own if each.segments == (play.id,)} & {each.id for each in self.menu}:
                raise ValueError(
                    gettext_lazy(
                        "play {id}: the menu has a line {taken}; name it in benefits instead",
                        id=repr(play.id),
                        taken=repr(min(taken)),
                    )
                )
        if self.plays and self.privacy.epsilon is not None:
            raise SettingError(
                "settings_conflict",
                gettext_lazy(
                    "privacy.epsilon: [[plays]] would sort customers by exact figures of all customers; leave one out"
                ),
            )
        return self

    @field_validator("segment")
    @classmethod
    def _named_once(cls, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        _all_differ([each.name for each in segments], "segments have the name")
        return segments

    @field_validator("strategic")
    @classmethod
    def _each_rule_once(cls, rules: tuple[StrategicRule, ...]) -> tuple[StrategicRule, ...]:
        _all_differ([each.name for each in rules], "strategic rules have the name")
        return rules

    @model_validator(mode="after")
    def _strategic_lines_are_known(self) -> Self:
        known = [item.id for item in self.menu]
        for rule in self.strategic:
            for name in rule.menu:
                if name not in known:
                    hint = did_you_mean(name, known, gettext_lazy("there are {known}", known=", ".join(known)))
                    raise ValueError(
                        gettext_lazy(
                            "strategic rule {name} names no menu line with {line}; {hint}",
                            name=repr(rule.name),
                            line=repr(name),
                            hint=hint,
                        )
                    )
        return self

    @model_validator(mode="after")
    def _lines_know_what_a_message_costs(self) -> Self:
        self.__dict__["menu"] = tuple(map(self._sent, self.menu))
        return self

    @model_validator(mode="after")
    def _private_plans_have_one_price(self) -> Self:
        if self.privacy.epsilon is None:
            return self
        plan = self.plan
        asked = {
            "plan.limits": plan.limits,
            "plan.category_share": plan.category_share < 1,
            "[fairness] band or loyal_never_worse": self.fairness.limited, "[[strategic]]": self.strategic,
        }  # fmt: skip
        if names := [name for name, stated in asked.items() if stated]:
            raise SettingError(
                "settings_conflict",
                gettext_lazy(
                    "privacy.epsilon: {names} would set prices or draws by exact figures of all customers, for "
                    "which there is no private form; leave them out, or leave privacy.epsilon out",
                    names=", ".join(names),
                ),
            )
        return self

    @model_validator(mode="after")
    def _segments_are_known(self) -> Self:
        known = [each.name for each in self.segment]
        asked = [("rules.excluded_segments", self.rules.excluded_segments)]
        asked += [("fairness.excluded", self.fairness.excluded)]
        asked += [(f"menu line {item.id!r}", item.segments) for item in self.menu]
        asked += [(f"strategic rule {rule.name!r}", rule.segments) for rule in self.strategic]
        limits = [Limit.read(text) for text in self.plan.limits]
        asked += [(f"limit {limit.name!r}", tuple(map(str, limit.where.get("segments", ())))) for limit in limits]
        for where, names in asked:
            for name in names:
                if name not in known:
                    hint = did_you_mean(
                        name, known, gettext_lazy("there are {known}", known=", ".join(known) or "none")
                    )
                    raise ValueError(
                        gettext_lazy(
                            "{where} names the segment {name}, which no [[segment]] defines; {hint}",
                            where=where,
                            name=repr(name),
                            hint=hint,
                        )
                    )
        return self


class RegisteredSection(NamedTuple):
    """A section of promolift.toml that an extension registers: its name and the reference of its settings class."""

    name: str
    reference: str


@lru_cache
def _with_sections(sections: tuple[RegisteredSection, ...]) -> type[Config]:
    """Return the settings with the sections that extensions register, each under its name."""
    fields: dict[str, Any] = {}
    for name, reference in sections:
        if name in Config.model_fields:
            raise ConfigError(
                "extension_conflict",
                gettext_lazy(
                    "{reference}: the section [{name}] is promolift's own; give it another name",
                    reference=reference,
                    name=name,
                ),
            )
        kind = load_reference(reference)
        fields[name] = (kind, Field(default_factory=kind))
    return create_model("Config", __base__=Config, **fields)


def _restore(sections: tuple[RegisteredSection, ...], state: dict[Any, Any]) -> Config:
    kind = _with_sections(sections) if sections else Config
    config = kind.__new__(kind)
    config.__setstate__(state)
    return config


def _all_differ(names: Sequence[str], what: str) -> None:
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise ValueError(gettext_lazy("two {what} {twice}; they must differ", what=what, twice=repr(twice[0])))


def _as_part(part: Any, table: str) -> Any:
    """The settings of a raw file, in which the mapping knows what table it makes."""
    if isinstance(part, dict) and isinstance(part.get("mapping"), dict):
        return part | {"mapping": {"table": table} | part["mapping"]}
    return part


def read_toml(path: Path) -> dict[str, Any]:
    """What a file of settings says. ConfigError where there is none, or it is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            "file_not_found", gettext_lazy("{path}: no such file; `promolift init --events FILE` writes one", path=path)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "file_unreadable",
            gettext_lazy("{path}: cannot be read as text ({error}); save it as UTF-8", path=path, error=error),
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "file_unreadable", gettext_lazy("{path}: not valid TOML: {error}", path=path, error=error)
        ) from None


def merge_settings(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge settings with those of another file: sections key by key, lists as a whole."""
    whole = dict(values)
    for part, said in over.items():
        known = whole.get(part)
        whole[part] = {**known, **said} if isinstance(known, dict) and isinstance(said, dict) else said
    return whole


def load_config(path: Path) -> Config:
    """Read promolift.toml. Raises ConfigError naming the file, the key, its value and the rule."""
    values = read_toml(path)
    for name in values.get("include", ()):
        values = merge_settings(values, read_toml(path.parent / str(name)))
    if trade := next((each.name for each in project_sections() if each.name in values), None):
        raise ConfigError(
            "file_kind_mismatch",
            gettext_lazy(
                "{path}: [{trade}] is the file of a trade, which `promolift run` works on", path=path, trade=trade
            ),
        )
    config = Config.parse(values, str(path))
    found = {name: getattr(config.data, name) for name in RAW_NAMES}
    placed: dict[str, Any] = {name: file.placed(path.parent) for name, file in found.items() if file}
    placed["more_events"] = tuple(file.placed(path.parent) for file in config.data.more_events)
    return config.model_copy(update={"data": config.data.model_copy(update=placed)})
