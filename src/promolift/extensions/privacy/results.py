"""The privacy ledger of a work folder: past releases, the remaining budget, and the function that releases more.

Everything that is learned from all customers under `privacy.epsilon` passes `release_total`. It writes the ledger
before it returns a number, so that every release is counted, and returns the same numbers if nothing changed.
"""

from contextlib import suppress
from time import time_ns
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.extensions.privacy.mechanisms.noise import add_noise
from promolift.extensions.privacy.mechanisms.privacy_budget import (
    BUDGET_SHARES,
    PrivacyBudget,
    Purpose,
    Spend,
    epsilon_of,
)
from promolift.extensions.privacy.mechanisms.synthetic_customers import ShopSums
from promolift.foundation.errors import ConfigError, StepError
from promolift.foundation.hashing import sha256_of
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.release_policy import BudgetUse, RecordedRelease
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.work_folder.run_context import Job

Real = NDArray[np.float64]
PURPOSES: dict[Purpose, str] = {
    "profiles": gettext_noop("profiles: what customers share"),
    "encoder": gettext_noop("the encoder's weights"),
    "price": gettext_noop("the price of the plan's budget"),
    "effect": gettext_noop("the effect of a plan"),
}
# What a run under the setting leaves out or gives to the shop alone.
NOT_PRIVATE = (
    gettext_noop("a customer's own profile, forecast and offer: made from their own rows, and theirs alone"),
    gettext_noop(
        "tables of the work folder, the report and the console: exact, for the shop's own people; do not publish them"
    ),
    gettext_noop("the catalogue, the first and the last day of the log: taken for the shop's own knowledge"),
    gettext_noop(
        "promolift.toml, with the thresholds and rules that `init` proposed from the files: the shop's own knowledge"
    ),
    gettext_noop("the verdict of `promolift learn` beside the private effect: exact, for the shop alone"),
)
LEFT_OUT = (
    gettext_noop("the discount response (stated prior instead) and who redeems coupons"),
    gettext_noop("views, carts and coupons of others (the made-up customers buy, and do nothing else)"),
    gettext_noop("trees of purchases and of next baskets (counts instead)"),
    gettext_noop("offers beyond the menu, tests, limits of the plan, and what draws taught"),
)


class PrivacyLedger(Note):
    """All that was released about the customers of this work folder."""

    NAME: ClassVar[str] = "privacy_ledger"
    spends: tuple[Spend, ...] = ()

    @classmethod
    def load_or_empty(cls, store: Store) -> "PrivacyLedger":
        """The ledger; empty where nothing was released yet."""
        return cls.load(store) if cls.has(store) else cls()


class Release(NamedTuple):
    """Noisy numbers, and the noise of each."""

    values: Real
    sd: float


def configured_budget(config: Config) -> PrivacyBudget | None:
    """The budget that the settings state; None where they state none."""
    privacy = config.privacy
    if privacy.epsilon is None:
        return None
    return PrivacyBudget(
        epsilon=privacy.epsilon, delta=privacy.delta, runs=privacy.runs, encoder=config.encoder.depth > 0
    )


def record_spends(job: Job, spends: list[Spend]) -> None:
    """Write releases into the ledger before they are made. BudgetError, and nothing written, if the budget would be
    passed.
    """
    budget, ledger = require_budget(job), PrivacyLedger.load_or_empty(job.store)
    budget.check(ledger.spends, spends)
    PrivacyLedger(spends=(*ledger.spends, *spends)).keep(job.store)


def require_budget(job: Job) -> PrivacyBudget:
    """Return the privacy budget. ConfigError if the settings state none."""
    budget = configured_budget(job.config)
    if budget is None:
        raise ConfigError(
            "setting_missing", gettext_lazy("privacy.epsilon is not stated, so nothing is released with noise")
        )
    return budget


def release_total(job: Job, purpose: Purpose, name: str, total_V: Real, clip: float, releases: int = 1) -> Release:
    """A total over customers, no part of which is longer than `clip`, as it may be known: kept from an earlier run if
    total and budget are the same, else with new noise, one of so many `releases` of the purpose in a run.
    """
    noise = require_budget(job).noise(purpose, releases)
    mark = sha256_of(repr((noise, clip, total_V.shape)).encode() + np.ascontiguousarray(total_V).tobytes())
    with suppress(StepError):  # none yet
        arrays, manifest = job.store.load_model(f"private_{name}")
        if manifest["mark"] == mark:
            return Release(arrays["values"], noise * clip)
    record_spends(job, [Spend(purpose=purpose, at_ms=time_ns() // 1_000_000, noise=noise)])
    values = add_noise(total_V, clip, noise)
    job.store.save_model(f"private_{name}", {"values": values}, {"mark": mark, "sd": noise * clip})
    return Release(values, noise * clip)


def load_release(store: Store, name: str) -> Release:
    """Load what `release_total` released in an earlier step."""
    arrays, manifest = store.load_model(f"private_{name}")
    return Release(arrays["values"], manifest["sd"])


def load_shop_sums(store: Store) -> ShopSums:
    """Load the sums of the whole shop that the profiles released."""
    return ShopSums(*load_release(store, "shop"), *load_release(store, "targets"))


def privacy_spent(config: Config, store: Store) -> BudgetUse | None:
    """How much of the budget is spent, by purpose in the order of the story; None where none is stated."""
    budget = configured_budget(config)
    if budget is None:
        return None
    spends = PrivacyLedger.load_or_empty(store).spends
    by: dict[str, float] = {
        p: epsilon_of([each for each in spends if each.purpose == p], budget.delta)
        for p in BUDGET_SHARES if any(each.purpose == p for each in spends)
    }  # fmt: skip
    spent = epsilon_of(spends, budget.delta)
    left = max(budget.epsilon - spent, 0.0)
    said = gettext(
        "differential privacy: epsilon {spent} of {epsilon} spent (delta {delta}) on {spends} releases, {left} left",
        spent=f"{spent:.2f}",
        epsilon=f"{budget.epsilon:g}",
        delta=f"{budget.delta:g}",
        spends=len(spends),
        left=f"{left:.2f}",
    )
    labels: dict[str, str] = {purpose: gettext(PURPOSES[purpose]) for purpose in BUDGET_SHARES}
    releases = tuple(RecordedRelease(each.purpose, each.at_ms, each.noise, each.steps) for each in spends)
    exact, left_out = (tuple(gettext(each) for each in some) for some in (NOT_PRIVATE, LEFT_OUT))
    return BudgetUse(by, labels, releases, spent, left, said, exact, left_out)
