"""Settings in; the closed loop on a simulated shop, day by day, and all it learnt and missed, out.

Cold start, randomised exploration, a learned policy released by proposal, a drift of the truth, recovery. Every number
is simulated. Legend: N customers of a day, K offers, A = K + 1 actions (the last is no offer).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.allocate import solve
from promolift.hashing import hash_units
from promolift.learn.explore import ExploreSettings, affordable, explore, pick
from promolift.learn.release import Proposal, must_roll_back, propose, summarise, value_of
from promolift.results.loop import Alarm, LoopSettings
from promolift.simulate import SimulatedShop, SimulationSettings, simulate
from promolift.simulate.truth import live_week, true_effects
from promolift.simulate.world import World
from promolift.steps.loop_model import Believed, Cohort, Seen, believe, relearn, shelf_of
from promolift.steps.loop_words import WordedDay, tell_day, wordings

Floats = NDArray[np.float64]
LAG, LEARN_DAYS, CHECK_DAYS = 7, 14, 3  # days until a week is known; learnt from; watched for drift
LEAST_DAYS = 3  # of a release, before it is judged


@dataclass(frozen=True)
class Day:
    """One day of decisions. `prob_NA` of those not held out; `reward_N` is the week's profit after discounts, known a
    week later, `base_N` and `gain_NK` what was believed on the day. `true_gain`, `best_gain`: sums over the day of what
    the decisions add in truth, and the most that any decisions at the same true spend could (the bound that the
    allocation proves).
    """

    day: int
    version: int
    cohort: Cohort
    held_N: NDArray[np.bool_]
    prob_NA: Floats
    action_N: NDArray[np.int64]
    reward_N: Floats
    base_N: Floats
    held_base_N: Floats
    gain_NK: Floats
    seen: Seen
    discount: float
    budget: float
    true_spend: float
    true_gain: float
    best_gain: float

    @property
    def logged_N(self) -> Floats:
        """The propensity of each action."""
        logged: Floats = self.prob_NA[np.arange(len(self.action_N)), self.action_N]
        return logged

    @property
    def model_NA(self) -> Floats:
        """The profit that was believed, for each action."""
        return np.hstack([self.base_N[:, None] + self.gain_NK, self.base_N[:, None]])


@dataclass(frozen=True)
class Release:
    """A proposal and its fate; `kind` is exploration, learned, alarm or rollback."""

    day: int
    version: int
    kind: str
    believed: Believed
    proposal: Proposal | None = None


@dataclass(frozen=True)
class Loop:
    """The whole run."""

    settings: LoopSettings
    days: tuple[Day, ...]
    releases: tuple[Release, ...]
    refused: tuple[Release, ...]
    alarms: tuple[Alarm, ...]
    wordings: tuple[str, ...]
    told: tuple[WordedDay, ...]


@dataclass
class _State:
    """What the loop carries from day to day."""

    shop: SimulatedShop
    believed: Believed
    learned: bool = False
    since: int = 0
    watch_until: int = -1
    days: list[Day] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    refused: list[Release] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    told: list[WordedDay] = field(default_factory=list)


def run_loop(settings: LoopSettings, tell: Callable[[float, str], None] = lambda share, note: None) -> Loop:
    """All days; `tell` hears how far it is. About 10 CPU seconds for 4,000 customers and 60 days."""
    tell(0.0, "a year of history")
    shop = simulate(SimulationSettings(customers=settings.customers, weeks=settings.history_weeks, seed=settings.seed))
    state = _State(shop, believe(shop))
    state.releases.append(Release(0, 0, "exploration", state.believed))
    names = wordings(shop.settings.categories, settings.depths)
    for day in range(settings.days):
        _learn(state, settings, day)
        state.days.append(_live(state, settings, day))
        offered = World(shop.settings, _offered(state.days[-1]))
        state.told.append(tell_day(state.told, names, offered, day, state.days[-1].cohort.week, settings.seed))
        tell((day + 1) / settings.days, f"day {day + 1}: release {state.releases[-1].version}")
    return Loop(
        settings, tuple(state.days), tuple(state.releases), tuple(state.refused), tuple(state.alarms), names,
        tuple(state.told),
    )  # fmt: skip


def _offered(day: Day) -> NDArray[np.int64]:
    """Who gets an offer."""
    offered: NDArray[np.int64] = day.cohort.number_N[~day.held_N][day.action_N < day.gain_NK.shape[1]]
    return offered


def _live(state: _State, settings: LoopSettings, day: int) -> Day:
    """Decide for the day's cohort, and let the week pass."""
    truth = state.shop.settings
    if settings.drift_day is not None and day >= settings.drift_day:
        truth = truth.model_copy(update={"elasticity": truth.elasticity * settings.drift})
    cohort = cohort_of(settings, day)
    world = World(truth, cohort.number_N)
    held = hash_units((settings.seed, "holdout"), world.customer_ids) < settings.holdout_share
    shelf = shelf_of(world, cohort.week)
    gain, cost, base = state.believed.offers(cohort, shelf, settings.depths)
    budget = _budget(state.days, settings, day) * int((~held).sum())
    floor = affordable(_floor(state, settings, day), gain[~held], cost[~held], budget)
    exploring = ExploreSettings(floor=floor, temperature=settings.temperature)
    found = explore(gain[~held], cost[~held], budget, exploring)
    action = pick(found.prob_NA, hash_units((settings.seed, "action", day), np.array(world.customer_ids)[~held]))
    taken = np.full(len(held), gain.shape[1])
    taken[~held] = action
    depth = np.array([*np.tile(settings.depths, truth.categories), 0.0])[taken]
    group = np.where(depth > 0, taken // len(settings.depths), -1)
    week = live_week(world, group, depth, cohort.week, settings.seed)
    true_gain, true_cost = true_effects(world, settings.depths, cohort.week)
    spend = float((found.prob_NA[:, :-1] * true_cost[~held]).sum())
    best = solve(true_gain[~held], true_cost[~held], spend).bound
    return Day(
        day, state.releases[-1].version, cohort, held, found.prob_NA, action, week.profit_N, base[~held], base[held],
        gain[~held],
        Seen(cohort, week.units_NP.astype(np.float64), week.depth_NP, depth, week.took_N),
        float(week.discount_N.sum()), budget, spend,
        float((found.prob_NA[:, :-1] * true_gain[~held]).sum()), float(best),
    )  # fmt: skip


def cohort_of(settings: LoopSettings, day: int) -> Cohort:
    """Whose weekday it is."""
    numbers = np.arange(1, settings.customers + 1)
    return Cohort(numbers[numbers % 7 == day % 7], settings.history_weeks + day // 7)


def _floor(state: _State, settings: LoopSettings, day: int) -> float:
    """How much is decided at random: much at first, a little later, three times that in the week after an alarm."""
    wanted = settings.floor if state.learned else settings.explore_floor
    return wanted * (3 if day < state.watch_until else 1)


def _budget(days: list[Day], settings: LoopSettings, day: int) -> float:
    """Per decision: the stated budget, and over the next week what the learned policy left of it or passed it by."""
    known = [d for d in days if d.day <= day - LAG and d.version > 0]
    if not known:
        return settings.budget_cents
    left = sum(d.budget - d.discount for d in known) / sum(len(d.action_N) for d in known)
    return float(np.clip(settings.budget_cents + left, 0.5 * settings.budget_cents, 1.5 * settings.budget_cents))


def _learn(state: _State, settings: LoopSettings, day: int) -> None:
    """Watch for drift and for a loss every day; propose a release when it is time."""
    known = [d for d in state.days if d.day <= day - LAG]
    if day < settings.explore_days or not known:
        return
    recent = [d for d in known if d.day > day - LAG - LEARN_DAYS and d.day >= state.since]
    alarm = _drift(state, settings, day, known) if state.learned else None
    if alarm:
        state.alarms.append(alarm)
        state.since, state.watch_until = known[-1].day - CHECK_DAYS + 1, day + 7
        recent = [d for d in known if d.day >= state.since]
        _propose(state, settings, day, "alarm", recent, known)
    elif state.learned and loses([d for d in known if d.version == state.releases[-1].version], settings):
        state.learned = False
        state.releases.append(Release(day, state.releases[-1].version + 1, "rollback", state.believed))
    elif (day - settings.explore_days) % settings.release_days == 0 and recent:
        _propose(state, settings, day, "learned", recent, known)


def _drift(state: _State, settings: LoopSettings, day: int, known: list[Day]) -> Alarm | None:
    """Whether the last known days answer discounts as the release believes: two-sided test on the scale."""
    window = [d.seen for d in known[-CHECK_DAYS:] if d.day >= state.since]
    if len(window) < CHECK_DAYS:
        return None
    fresh, old = relearn(state.believed, window), state.believed
    error = sqrt(fresh.scale_se**2 + old.scale_se**2)
    if error > 0 and abs(fresh.scale - old.scale) > settings.alarm * error:
        return Alarm(day, fresh.scale / max(old.scale, 1e-9), error / max(old.scale, 1e-9))
    return None


def loses(days: Sequence[Day], settings: LoopSettings) -> bool:
    """The rollback rule on the known days of the release in force; three days at least are looked at together."""
    if len(days) < LEAST_DAYS:
        return False
    gain, error = over_holdout(days)
    return must_roll_back(gain, error, len(days) / settings.release_days, settings.guardrails)


class OverHoldout(NamedTuple):
    """Gain per decision over the holdout, and its standard error."""

    gain: float
    se: float


def over_holdout(days: Sequence[Day]) -> OverHoldout:
    """Believed profit without an offer is taken off both sides (CUPED)."""
    treated = np.concatenate([d.reward_N[~d.held_N] - d.base_N for d in days])
    held = np.concatenate([d.reward_N[d.held_N] - d.held_base_N for d in days])
    error = sqrt(treated.var(ddof=1) / treated.size + held.var(ddof=1) / held.size)
    return OverHoldout(float(treated.mean() - held.mean()), error)


def _propose(state: _State, settings: LoopSettings, day: int, kind: str, days: list[Day], known: list[Day]) -> None:
    """Learn from the days, value the new policy on them beside the one in force, and release it if the rule says so."""
    fresh = relearn(state.believed, [d.seen for d in days])
    new, now, weight = [], [], []
    for d in days:
        data = (d.model_NA, d.action_N, d.reward_N[~d.held_N], d.logged_N)
        prob = _again(fresh, state, settings, d, settings.floor)
        old = _again(state.believed, state, settings, d, settings.floor if state.learned else settings.explore_floor)
        new.append(value_of(prob, *data) - d.base_N)
        now.append(value_of(old, *data) - d.base_N)
        weight.append(prob[np.arange(len(prob)), d.action_N] / d.logged_N)
    new_N, now_N, weight_N = (np.concatenate(part) for part in (new, now, weight))
    # Nobody held out ever sees a coupon, so that earlier days tell as much of them as the days learnt from.
    held_H = np.concatenate([d.reward_N[d.held_N] - d.held_base_N for d in known[-LEARN_DAYS:]])
    without = summarise(held_H, np.ones_like(held_H))
    value, lead = summarise(new_N, weight_N), summarise(new_N - now_N, weight_N)
    value = replace(value, value=value.value - without.value, se=sqrt(value.se**2 + without.se**2))
    proposal = propose(value, lead, _changes(state, settings, fresh), settings.guardrails, _yuan)
    release = Release(day, state.releases[-1].version + 1, kind, fresh, proposal)
    if proposal.accepted or kind == "alarm":
        state.believed, state.learned = fresh, True
        state.releases.append(release)
    else:
        state.refused.append(release)


def _yuan(cents: float) -> str:
    return f"¥{cents / 100:.2f}".replace("¥-", "−¥")


def _again(believed: Believed, state: _State, settings: LoopSettings, day: Day, floor: float) -> Floats:
    """What a policy would have done on a past day, at the stated budget."""
    mine = Cohort(day.cohort.number_N[~day.held_N], day.cohort.week)
    gain, cost, _ = believed.offers(mine, shelf_of(state.shop.world, mine.week), settings.depths)
    budget = settings.budget_cents * len(gain)
    exploring = ExploreSettings(floor=affordable(floor, gain, cost, budget), temperature=settings.temperature)
    return explore(gain, cost, budget, exploring).prob_NA


def _changes(state: _State, settings: LoopSettings, fresh: Believed) -> tuple[str, ...]:
    """What the release does otherwise, in words."""
    old = state.believed
    said = (
        []
        if state.learned
        else [f"fewer offers are decided at random: from {settings.explore_floor:.0%} to {settings.floor:.0%}"]
    )
    said.append(f"answers to discounts taken {fresh.scale / max(old.scale, 1e-9):.2f} times as strong as before")
    for depth in (0.1, 0.3):
        said.append(
            f"take-up of {depth:.0%} off: {float(old.take_prob(depth)):.0%} to {float(fresh.take_prob(depth)):.0%}"
        )
    return tuple(said)
