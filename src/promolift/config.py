"""promolift.toml in, one frozen Config tree out; and the commented file that `init` writes."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from promolift.allocate.settings import Limit, Risk
from promolift.currency import Currency
from promolift.data import CleanRules, Mapping
from promolift.effect import DiscountSettings, PanelSettings, ValueSettings
from promolift.errors import ConfigError
from promolift.llm import LlmSettings
from promolift.message import MessageSettings
from promolift.offer import DEFAULT_MENU, MenuItem, OfferProposalSettings, OfferRules
from promolift.privacy import ConsentSettings
from promolift.profile import OutlookSettings
from promolift.settings import Settings, Zone
from promolift.terms import Language

RawName = Literal["events", "customers", "products", "promotions"]
RAW: tuple[RawName, ...] = ("events", "customers", "products", "promotions")


class ShopSettings(Settings):
    """Who sends the offers. `zone` settles what a day is, `currency` is ISO 4217, `language` is the default one."""

    name: str = "My shop"
    currency: Currency = "USD"
    zone: Zone = "UTC"
    language: Language = "en"


class JoinedFile(Settings):
    """A further file whose row with the same key adds its columns to each row: the orders of order lines."""

    path: str = Field(min_length=1)
    on: str = Field(min_length=1, description="the column of the rows so far that names the row here")
    key: str = Field(min_length=1, description="the column here that says the same; of several rows the first counts")


class RawFile(Settings):
    """One raw file and how its columns become ours. A relative `path` starts at the folder of promolift.toml.

    `per` last is for customers or products that stand inside the events file: one row each, the last value said.
    `header` names the columns of a file that does not. What each file of `join` adds may be a key of the next one.
    """

    path: str = Field(min_length=1)
    header: tuple[str, ...] = Field(default=(), description="names of the columns, where the file has no line of them")
    join: tuple[JoinedFile, ...] = ()
    per: Literal["row", "last"] = "row"
    mapping: Mapping

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that is read."""
        return (self.path, *(each.path for each in self.join))

    def placed(self, folder: Path) -> "RawFile":
        """The same with paths that start at `folder`."""
        joined = tuple(each.model_copy(update={"path": str(folder / each.path)}) for each in self.join)
        return self.model_copy(update={"path": str(folder / self.path), "join": joined})


class DataSettings(Settings):
    """Where the raw logs are. `source` complete-journey reads the demo's data from its package instead of files.

    `more_events` are further logs of the same customers, such as clicks beside orders.
    """

    source: Literal["files", "complete-journey"] = "files"
    shards: int | None = Field(default=None, ge=1, le=4096)
    memory: str = Field(default="1GB", pattern=r"^\d+(\.\d+)?(MB|GB)$")
    threads: int = Field(default=2, ge=1)
    rules: CleanRules = CleanRules()
    events: RawFile | None = None
    more_events: tuple[RawFile, ...] = ()
    customers: RawFile | None = None
    products: RawFile | None = None
    promotions: RawFile | None = None

    @model_validator(mode="before")
    @classmethod
    def _each_mapping_knows_its_table(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = {name: _told(values[name], name) if name in RAW else values[name] for name in values}
        if isinstance(filled.get("more_events"), list):
            filled["more_events"] = [_told(part, "events") for part in filled["more_events"]]
        return filled

    @model_validator(mode="after")
    def _events_are_needed(self) -> "DataSettings":
        if self.source == "files" and self.events is None:
            raise ValueError(
                "events is missing: name the file of raw events, as `promolift init --events FILE` writes it"
            )
        return self

    @property
    def raw_files(self) -> tuple[RawFile, ...]:
        """All raw files that are named."""
        return tuple(file for name in RAW if (file := getattr(self, name)) is not None) + self.more_events


class PlanSettings(Settings):
    """The decision. `budget_cents` is what offers may be expected to cost the shop over `window_days`.

    Left out, it is `budget_share` of the revenue of the last `window_days`. `asof` is the local day before which all
    is known (left out: the day after the last event). `weakest_evidence`: offers whose effect is known less well are
    listed but not planned; auto takes the strongest level that any offer of the menu reaches. `category_share`: at
    most so much of the budget for the offers on one category. `limits` are further ones,
    such as "stock: count[target=tea] <= 500" or "return >= 2". `risk` says how the errors of gains enter the choice.
    `holdout_share` of the customers get nothing, so that
    what the plan earns can be measured. `trial` plans to learn, not to earn: customers and their offers are drawn by
    lot until the budget is spent, for a shop whose log cannot tell what an offer adds.
    """

    campaign: str = "cmp_1"
    asof: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    window_days: int = Field(default=28, ge=1, le=366)
    budget_cents: int | None = Field(default=None, ge=0)
    budget_share: float = Field(default=0.002, ge=0, le=1)
    weakest_evidence: Literal["auto", "randomised", "adjusted", "assumed"] = "auto"
    category_share: float = Field(default=1.0, gt=0, le=1)
    limits: tuple[str, ...] = ()
    risk: Risk = Risk(rule="none")
    holdout_share: float = Field(default=0.1, ge=0, lt=1)
    trial: bool = False
    seed: int = 0

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        if self.trial and self.limits:
            raise ValueError("a trial draws its offers by lot and cannot keep plan.limits; leave one of the two out")
        return self

    @field_validator("limits")
    @classmethod
    def _readable(cls, limits: tuple[str, ...]) -> tuple[str, ...]:
        for text in limits:
            try:
                Limit.read(text)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return limits


class Config(Settings):
    """All of promolift.toml."""

    shop: ShopSettings = ShopSettings()
    data: DataSettings
    encoder: OutlookSettings = OutlookSettings()
    panel: PanelSettings = PanelSettings()
    discount: DiscountSettings = DiscountSettings()
    value: ValueSettings = ValueSettings()
    rules: OfferRules = OfferRules()
    consent: ConsentSettings = ConsentSettings()
    menu: tuple[MenuItem, ...] = DEFAULT_MENU
    offer: OfferProposalSettings = OfferProposalSettings()
    plan: PlanSettings = PlanSettings()
    message: MessageSettings = MessageSettings()
    llm: LlmSettings = LlmSettings()

    @field_validator("menu")
    @classmethod
    def _unique(cls, menu: tuple[MenuItem, ...]) -> tuple[MenuItem, ...]:
        ids = [item.id for item in menu]
        twice = sorted({each for each in ids if ids.count(each) > 1})
        if twice:
            raise ValueError(f"two menu lines have the id {twice[0]!r}; ids must differ")
        return menu


def _told(part: Any, table: str) -> Any:
    """The settings of a raw file, in which the mapping knows what table it makes."""
    if isinstance(part, dict) and isinstance(part.get("mapping"), dict):
        return part | {"mapping": {"table": table} | part["mapping"]}
    return part


def load_config(path: Path) -> Config:
    """Read promolift.toml. Raises ConfigError naming the file, the key, its value and the rule."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `promolift init --events FILE` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error}); save it as UTF-8") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    config = Config.parse(values, str(path))
    found = {name: getattr(config.data, name) for name in RAW}
    placed: dict[str, Any] = {name: file.placed(path.parent) for name, file in found.items() if file}
    placed["more_events"] = tuple(file.placed(path.parent) for file in config.data.more_events)
    return config.model_copy(update={"data": config.data.model_copy(update=placed)})
