"""What the server asks of the learning process, and what that answers: each a line of JSON between the two."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from promolift.config import Config
from promolift.deliver import ReleaseTerms
from promolift.settings import Settings
from promolift.steps.learn_data import LearnSettings

Interval = tuple[float, float]


class Task(Settings):
    """What to learn from, and where to write. `config` is that of promolift.toml, if there is one."""

    ledger: str
    work: Path
    campaign_id: str
    settings: LearnSettings = LearnSettings()
    config: Config | None = None

    @property
    def folder(self) -> Path:
        """Where the files of the last run stand: the page, the numbers, the proposal."""
        return self.work / "serve" / "learn" / self.campaign_id


class Learned(BaseModel):
    """A proposal without what only its file tells; or, with no `release`, `why` nothing can be told.

    `based_on` is the release whose candidates the proposed one would take over.
    """

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="constants")
    release: ReleaseTerms | None = None
    changes: tuple[str, ...] = ()
    why: str
    within_guardrails: bool = False
    expected_per_customer: float | None = None
    expected_interval: Interval | None = None
    lead_per_customer: float | None = None
    lead_interval: Interval | None = None
    effective_decisions: float | None = None
    rollback: str | None = None
    based_on: str | None = None

    def based(self, release_id: str) -> "Learned":
        """What is kept of it beside the release that it became."""
        values = self.model_dump(exclude={"release"}, exclude_unset=True)
        return Learned.model_validate(values | {"based_on": release_id})
