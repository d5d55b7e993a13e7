"""JSON records of the ledger's `things` table as models: campaigns, releases, tests, menu drafts, notes."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from sqlalchemy import Connection

from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.experiments.experiment_design import Design
from promolift.core.offers.cart_pricing import Promotion, PromotionTerms
from promolift.core.offers.menu import MenuItem
from promolift.foundation.i18n.lazy_message import STORED, LazyMessage, gettext_lazy
from promolift.foundation.settings import Settings
from promolift.server.ledger.audit_log import damaged_record, get_record, list_records, put_record
from promolift.server.ledger.field_types import PRINTABLE_PATTERN, Body, Slug, StrictBool
from promolift.server.ledger.policy import Policy
from promolift.server.ledger.schema import Refused, transaction_cache
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import LearnSettings


class ExperimentIn(Body):
    """A test of releases against each other: the design, and which release each arm is served from. `question` is what
    it is to answer; while it is `paused` everybody is served from the campaign's release.
    """

    design: Design
    releases: dict[str, Slug]
    question: Annotated[str, StringConstraints(max_length=300)] = ""
    paused: StrictBool = False

    @model_validator(mode="after")
    def _names_can_be_kept(self) -> Self:
        if any(
            len(name) > 256 or not re.fullmatch(PRINTABLE_PATTERN, name)
            for name in (self.design.name, *self.design.arms)
        ):
            raise ValueError(
                gettext_lazy("a test and its arms have names of 1 to 256 characters, without control characters")
            )
        return self


class LearningTask(Settings):
    """What to learn from, and where to write. `config` is that of promolift.toml, if there is one; `releases`: where
    they are shared; `events_since_ms`: from when on all events are still kept.
    """

    ledger: str
    work: Path
    campaign_id: str
    settings: LearnSettings = LearnSettings()
    config: Config | None = None
    releases: str | None = None
    events_since_ms: int = 0

    @property
    def folder(self) -> Path:
        """Where the files of the last run stand: the page, the numbers, the proposal."""
        return self.work / "serve" / "learn" / self.campaign_id


class LearningProposal(BaseModel):
    """A proposal without what only its file holds; or, with no `release`, `why` nothing could be learned."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    release: ReleaseTerms | None = None
    why: LazyMessage
    within_guardrails: bool = False
    made: str | None = None  # of creatives: the next release, which is frozen already


Model = TypeVar("Model", bound=BaseModel)


class StoredModel(BaseModel):
    """A JSON body of the ledger's `things` table. Unset fields are not written; unknown fields are preserved."""

    model_config = ConfigDict(frozen=True, extra="allow")
    KIND: ClassVar[str]

    @classmethod
    def find(cls, db: Connection, id_: str) -> Self | None:
        """Return the record with this id; None if there is none."""
        kept, name = transaction_cache(db), (cls, id_)
        if name not in kept:
            body = get_record(db, cls.KIND, id_)
            kept[name] = None if body is None else cls._read(id_, body)
        found: Self | None = kept[name]
        return found

    @classmethod
    def load(cls, db: Connection, id_: str) -> Self:
        """Return the record with this id; Refused if there is none."""
        found = cls.find(db, id_)
        if found is None:
            raise Refused(f"{cls.KIND}_unknown", gettext_lazy("no {kind} {id}", kind=cls.KIND, id=id_))
        return found

    @classmethod
    def all(cls, db: Connection) -> dict[str, Self]:
        """Return all records by id, in order of id."""
        kept, name = transaction_cache(db), (cls,)
        if name not in kept:
            kept[name] = {id_: cls._read(id_, body) for id_, body in list_records(db, cls.KIND).items()}
        found: dict[str, Self] = kept[name]
        return found

    @classmethod
    def _read(cls, id_: str, body: Any) -> Self:
        try:
            return cls.model_validate(body)
        except ValidationError:
            raise damaged_record(cls.KIND, id_) from None

    def save(self, db: Connection, id_: str, now_ms: int) -> Self:
        """Write the record, replacing the one with this id."""
        put_record(db, self.KIND, id_, self.model_dump(mode="json", exclude_unset=True, context=STORED), now_ms)
        return self

    def to_json(self) -> dict[str, object]:
        """As the API answers it; what is kept has the messages with their arguments, too."""
        return self.model_dump(mode="json", exclude_unset=True)


class ReleasePeriod(Settings):
    """When a campaign began to be served from a release, and the last moment at which it is; milliseconds UTC. `plan`
    is a hash of its plan, empty in ledgers of before."""

    starts_ms: int
    ends_ms: int
    plan: str = ""


class Campaign(StoredModel):
    """A campaign as it stands: the release it is served from and the one before, its policy and its experiment.

    A policy that changes gets the next version; 0 before it was given one. `periods` are those of all releases that it
    was ever served from: activating one again gives it no more days.
    """

    KIND = "campaign"
    experiment: ExperimentIn | None = None
    paused: bool = False
    periods: dict[str, ReleasePeriod] = {}
    policy: Policy = Policy()
    policy_version: int = 0
    previous: str | None = None
    release: str | None = None

    @property
    def releases(self) -> set[str]:
        """All that decisions may be made from."""
        tested = self.test.releases.values() if self.test else ()
        return {name for name in (self.release, *tested) if name}

    @property
    def test(self) -> ExperimentIn | None:
        """The experiment that splits customers now: none while it is paused."""
        return None if self.experiment is None or self.experiment.paused else self.experiment

    def ends_ms(self, release_id: str) -> int | None:
        """The last moment at which a release is served; None for one that was never activated here."""
        period = self.periods.get(release_id)
        return None if period is None else period.ends_ms

    def with_policy(self, paused: bool, policy: Policy) -> Self:
        """Return the campaign, paused or not, under this policy."""
        new = self.model_copy(update={"paused": paused, "policy": with_all_fields(policy)})
        changed = new.to_json()["policy"] != self.to_json().get("policy")
        return new.model_copy(update={"policy_version": self.policy_version + changed})

    def with_release(self, release: str) -> Self:
        """Return the campaign with another release; the present one becomes the previous one."""
        return self.model_copy(update={"release": release, "previous": self.release})

    def with_experiment(self, experiment: ExperimentIn | None) -> Self:
        """Return the campaign with this experiment, or none."""
        return self.model_copy(update={"experiment": experiment and with_all_fields(experiment)})


class StoredPromotion(StoredModel):
    """A stored promotion of the shop."""

    KIND = "promotion"
    campaign_id: str
    holder: Literal["everybody", "code"]
    terms: PromotionTerms

    def promotion(self, name: str) -> Promotion:
        """As the till needs it."""
        return Promotion.model_construct(id=name, **dict(self.terms))

    def runs(self, at: datetime) -> bool:
        """Whether it has begun and is not over."""
        starts, expires = self.terms.starts, self.terms.expires
        return (starts is None or starts <= at) and (expires is None or at <= expires)


class StoredCurrency(StoredModel):
    """The currency in which money of a campaign without a release was held first; of ALL_CAMPAIGNS: the shop's, as
    promolift.toml says it.
    """

    KIND = "currency"
    currency: str


class ReleaseRecord(StoredModel):
    """A release that was made here: a draft until a person asks for approval (asked) and somebody says yes
    (approved)."""

    KIND = "release"
    release_id: str
    campaign_id: str
    price: float
    status: str | None = None
    by: str | None = None
    approved_by: str | None = None
    note: str | None = None


class StoredExperiment(StoredModel):
    """A test of a campaign, kept after its end: its design, who drafted it, when it began and ended."""

    KIND = "test"
    campaign_id: str
    experiment: ExperimentIn
    by: str
    begun_ms: int | None = None
    ended_ms: int | None = None

    @staticmethod
    def record_id(campaign_id: str, name: str) -> str:
        """Return the id of a campaign's test."""
        return f"{campaign_id}/{name}"


class Annotation(StoredModel):
    """What somebody notes of some days of the shop; `excluded` days count in no result, in neither group."""

    KIND = "annotation"
    first: date
    last: date
    text: str
    excluded: bool = False
    by: str = ""


class LearnRun(StoredModel):
    """The last run of learning for a campaign: when, and what became of it."""

    KIND = "learn"
    ended_ms: int | None = None
    started_ms: int = 0
    status: str
    why: LazyMessage | None = None


def with_all_fields(model: Model) -> Model:
    """The same with every field said: it is kept whole, so that a later default does not change it."""
    return model.model_validate(model.model_dump())


class MenuDraft(StoredModel):
    """A line that somebody wants on the menu: a draft, until they ask for approval (asked) and somebody says yes
    (approved) or no (rejected).
    """

    KIND = "menu_draft"
    line: MenuItem
    status: str
    by: str
    decided_by: str = Field(default="", validation_alias=AliasChoices("decided_by", "said_by"))
    note: str = ""


class MenuVersion(StoredModel):
    """The whole menu as somebody approved it: when, and what was changed."""

    KIND = "menu_version"
    menu: tuple[MenuItem, ...]
    by: str
    changed: str
    ts_ms: int


def menu_versions(db: Connection) -> dict[int, MenuVersion]:
    """Return all menu versions, the latest first."""
    return dict(sorted(((int(name), each) for name, each in MenuVersion.all(db).items()), reverse=True))


def stated_fields(line: MenuItem) -> dict[str, Any]:
    """Return a line as promolift.toml states it: without fields at their default."""
    return line.model_dump(mode="json", exclude_defaults=True)
