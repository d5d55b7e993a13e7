"""What `promolift simulate` is told: the days, customers and budget of the closed loop, its draws and its drift."""

from pydantic import Field

from promolift.learn.release import Guardrails
from promolift.settings import Settings


class LoopSettings(Settings):
    """Each customer has his own weekday: a seventh decides every day, and his offer holds for a week.

    `budget_cents` per decision. For `explore_days` a share `explore_floor` of the offers is drawn evenly from all, none
    included, the rest as the history suggests; afterwards a share `floor` still is, and offers whose scores differ by
    less than `temperature` cents are nearly equally likely. From `drift_day` on
    everybody answers discounts `drift` times as strongly; `alarm` is the number of standard errors that is called a
    drift. None of both: nothing changes.
    """

    days: int = Field(default=60, ge=21, le=720)
    customers: int = Field(default=2000, ge=200, le=100_000)
    history_weeks: int = Field(default=52, ge=12, le=260)
    seed: int = 1
    depths: tuple[float, ...] = (0.1, 0.2, 0.3)
    budget_cents: float = Field(default=300.0, gt=0)
    explore_days: int = Field(default=14, ge=8)
    release_days: int = Field(default=7, ge=1)
    explore_floor: float = Field(default=0.5, gt=0, le=1)
    floor: float = Field(default=0.02, ge=0, lt=1)
    temperature: float = Field(default=5.0, ge=0)
    holdout_share: float = Field(default=0.1, ge=0.02, lt=0.5)
    drift_day: int | None = 36
    drift: float = Field(default=0.75, gt=0)
    alarm: float = Field(default=3.5, gt=1)
    guardrails: Guardrails = Guardrails(max_loss=100.0)
