"""Decide who gets which offer under a release: the one rule of requests, plans, replays and archives.

`choose_offers` decides for any number of customers; a request is a batch of one. Legend: N customers, O open offers of
all of them, by customer and then in order of offer_id (`none` is not among them), K slots: the places of a customer's
open offers. An action is a slot, or the number of slots for none.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import accumulate, pairwise
from operator import add
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from promolift.core.allocation.algorithms.choice import choose
from promolift.core.customers.reason_text import CONSENT
from promolift.foundation.hashing import hash_int, hash_unit
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.settings import Settings

NONE = "none"
UNKNOWN_VALUE_REASON = gettext_noop("its gain or cost is not known")
HOLDOUT_REASON = gettext_noop("holdout: kept back to measure what offers earn")
NOTHING_OPEN_REASON = gettext_noop("eligibility: no offer is open to this customer")
EXPLORATION_REASON = gettext_noop("exploration: drawn by hash to learn from it")
LARGEST_GAIN_REASON = gettext_noop("of all offers that fit the budget, this one is expected to add most")
AUDIENCE_DRAW_REASON = gettext_noop("drawn by hash: by the probability that the plan gives each offer")
NOTHING_PAYS_REASON = gettext_noop("no offer is expected to add enough for what it costs")
AUDIENCE_SHARE_REASON = gettext_noop("shares: drawn anew by the plan's shares")
PLACEMENT_SHARE_REASON = gettext_noop("shares: drawn anew by the shares of the placement, whoever looks")
PACING_REASON = gettext_noop("pace: kept for those who come later")


class LineEffect(Settings):
    """What a menu line (`arm`) adds for a group of customers, per customer, and what is done with it.

    `net_cents` is over the horizon and `window_cents` over the window, both after the offer's cost, as believed after
    the draws. `pays` is the probability that it is worth more than none. `drawn_cents` is the same over the horizon by
    the draws alone: its 95 % interval is their own, where what is believed leans on what was assumed. `visits` is how
    many more purchase days the window had by the draws alone. `give`: to the whole group; `test`: drawn on `share` of
    it; `closed`. `lead`: who takes no part in the test of their group gets it. `aimed`: it was drawn, and is given,
    only among those of the group for whom the response model expected a gain; `gain_ratio` and `cost_ratio` are then
    what is believed now as a share of what was predicted, by which each customer's own prediction is moved. `refused`
    of `n_arm`, and `refused_none` of `n_none`, refused further messages; `refusal_cents` is what an arm loses by that,
    which `net_cents` and `drawn_cents` have taken off. `again_cents` is as `drawn_cents`, of those `n_again` alone who
    drew the arm after another message not long before: below it, messages wear out.
    """

    arm: str
    group: str
    net_cents: float
    net_se_cents: float = Field(ge=0)
    window_cents: float
    window_se_cents: float = Field(ge=0)
    cost_cents: float = Field(ge=0)
    cost_se_cents: float = Field(default=0.0, ge=0)
    pays: float = Field(ge=0, le=1)
    drawn_cents: float | None = None
    drawn_se_cents: float | None = None
    visits: float | None = None
    visits_se: float | None = None
    state: Literal["give", "test", "closed"]
    share: float = Field(default=0.0, ge=0, le=1)
    lead: bool = False
    prob: float | None = Field(default=None, ge=0, le=1)
    n_arm: int = 0
    n_none: int = 0
    refused: int = 0
    refused_none: int = 0
    refusal_cents: float = 0.0
    again_cents: float | None = None
    again_se_cents: float | None = None
    n_again: int = 0
    aimed: bool = False
    gain_ratio: float | None = None
    cost_ratio: float | None = Field(default=None, ge=0)
    evidence: Literal["randomised", "adjusted", "assumed"]


class ReleaseTerms(Settings):
    """What is frozen when a policy goes live; a change of any field needs a new `policy_version`.

    `price`: gain in cents that one more cent of budget would add, found by the allocation. `holdout_share` of the
    customers get no offer, the same ones as long as `holdout_salt` stays. `explore`: with this probability a customer
    gets a uniform draw from their open offers and `none`, so that each has a known propensity of at least
    explore / (K + 1); where `explore_where` says so, only those for whom nothing pays at the price draw.
    Where several campaigns meet, one of a higher `priority` goes first. `effects` are what draws have taught of each
    menu line by group; the plan's gains are these.

    `draws` "shares" is for creatives, whose gain is their share: each decision draws one of those that are open by it,
    or with the probability `price` none. They were asked for a `placement` and an `audience`; None for everybody there.
    With "audience" a hash of the customer and of `draw_ms`, the moment of the plan, falls on one of the intervals that
    the plan's arms have on [0, 1), each as long as its share, or beside all of them, which is none.
    """

    campaign_id: str = Field(min_length=1)
    policy_id: str = Field(min_length=1)
    policy_version: str = Field(min_length=1)
    price: float = Field(ge=0)
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
    holdout_salt: str = "holdout"
    holdout_share: float = Field(default=0.0, ge=0, lt=1)
    explore: float = Field(default=0.0, ge=0, le=1)
    explore_where: Literal["everywhere", "nothing pays"] = "everywhere"
    priority: int = 0
    effects: tuple[LineEffect, ...] = ()
    draws: Literal["best", "shares", "audience"] = "best"
    draw_ms: int | None = None
    placement: str | None = None
    audience: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_factors(cls, values: Any) -> Any:
        """Terms of earlier versions may hold factors on predicted gains, which draws have replaced."""
        return {k: v for k, v in values.items() if k != "recalibration"} if isinstance(values, dict) else values

    @property
    def by_interval(self) -> bool:
        """Whether options have intervals to draw by. Releases of before they were recorded left one offer open."""
        return self.draws == "audience" and self.draw_ms is not None

    @property
    def draw_key(self) -> tuple[str, ...]:
        """What is hashed with a customer's id to draw by the shares of audiences."""
        return ("audience", self.campaign_id, str(self.seed), str(self.draw_ms))

    def exploration_share(self, pays: bool) -> float:
        """The share drawn at random of a customer for whom an offer pays at the price, or none does."""
        return 0.0 if pays and self.explore_where == "nothing pays" else self.explore


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OpenOffers:
    """The offers that N customers may be given, checked; a customer with a refusal has none.

    `worth_O` is gain - charge in cents or, of creatives, their share. `draw_2O` has the starts and lengths of the
    intervals where offers are drawn by audience. A refusal is the reason why nothing may be sent to a customer.
    """

    customer_ids: Sequence[str]
    refusals: Sequence[str | None]
    sizes: Sequence[int]
    worth_O: Floats
    cost_O: Floats
    draw_2O: Floats | None = None

    @staticmethod
    def of(
        customer_ids: Sequence[str],
        refusals: Sequence[str | None],
        worth: Sequence[Floats],
        cost: Sequence[Floats],
        draws: Sequence[Floats] | None = None,
    ) -> "OpenOffers":
        """The offers of each of at least one customer, one below another."""
        joined = None if draws is None else np.concatenate(draws, axis=1)
        sizes = [len(each) for each in worth]
        return OpenOffers(customer_ids, refusals, sizes, np.concatenate(worth), np.concatenate(cost), joined)

    @cached_property
    def who_O(self) -> Ints:
        """The customer of each offer."""
        return np.arange(len(self.sizes)).repeat(self.sizes)

    @cached_property
    def firsts(self) -> list[int]:
        """Where each customer's offers begin, and one more."""
        return [0, *accumulate(self.sizes)]

    @cached_property
    def slot_O(self) -> Ints:
        """The place of each offer among its customer's."""
        slot: Ints = np.arange(len(self.who_O)) - np.array(self.firsts)[self.who_O]
        return slot

    def by_slot(self, value_O: NDArray[Any], missing: float | bool) -> NDArray[Any]:
        """The values N x K, `missing` where a customer has no offer in a slot."""
        shape = (len(self.sizes), max(self.sizes, default=0))
        if value_O.size == shape[0] * shape[1]:
            return value_O.reshape(shape)
        value_NK = np.full(shape, missing, value_O.dtype)
        value_NK[self.who_O, self.slot_O] = value_O
        return value_NK

    @cached_property
    def intervals(self) -> "DrawIntervals":
        """The starts and the lengths of the intervals of each customer's offers; without any they are empty."""
        start_O, length_O = np.zeros((2, len(self.worth_O))) if self.draw_2O is None else self.draw_2O
        return DrawIntervals(self.lists(start_O), self.lists(length_O))

    def lists(self, value_O: Floats) -> list[list[float]]:
        """The values of each customer's offers."""
        every = value_O.tolist()
        return [every[first:end] for first, end in pairwise(self.firsts)]


class DrawIntervals(NamedTuple):
    """Where the intervals of each customer's offers begin, and how long they are."""

    starts: list[list[float]]
    lengths: list[list[float]]


class RecordedDraws(NamedTuple):
    """What hashes of customers' ids decided, taken from a record whose ids are pseudonyms: who is held out, and which
    action was drawn, None where none was."""

    held: Sequence[bool]
    actions: Sequence[int | None]


class Choice(NamedTuple):
    """What a decision comes to. `slot` is the place of the offer among the open ones, -1 for none; `best` too: what
    pays most or, of offers that are drawn by shares or by audience, is drawn most often.
    """

    decision_id: str
    slot: int
    best: int
    propensity: float
    holdout: bool | None
    reason: str


def choose_offers(
    opened: OpenOffers, release: ReleaseTerms, ts_ms: int, recorded: RecordedDraws | None = None
) -> list[Choice]:
    """Decide for every customer: consent, holdout, eligibility, then the rule that the release `draws` by.

    Nothing of a customer's decision comes from another customer's rows, so that any batch gives the same to the bit.
    Draws are hashes of the customer's id unless they are `recorded`. One pass over the offers of all; then about 5 us
    for each customer, most of it for hashes.
    """
    bests = best_slots(opened, release)
    odds = _listed_odds(opened, release) if release.by_interval or release.draws == "shares" else None
    starts, lengths = opened.intervals if release.by_interval else DrawIntervals([], [])
    given, shown = best_reason(release), creative_reason(release)
    made = []
    for n, (who, refusal, size, best) in enumerate(
        zip(opened.customer_ids, opened.refusals, opened.sizes, bests, strict=True)
    ):
        id_ = decision_id(release, who, ts_ms)
        if refusal is not None:
            made.append(Choice(id_, -1, best, 1.0, None, CONSENT.format(reason=refusal)))
            continue
        held = in_holdout(who, release) if recorded is None else recorded.held[n]
        drawn = None if recorded is None else recorded.actions[n]
        likeliest = best if best >= 0 else size
        if held or not size:
            action, reason = size, HOLDOUT_REASON if held else NOTHING_OPEN_REASON
        elif release.by_interval:
            if recorded is None:
                drawn = _draw_by_interval(release, who, starts[n], lengths[n])
            action, reason = size if drawn is None else drawn, given
        elif odds is not None:
            action = _draw_by_share(release, id_, odds[n][:-1])
            reason = PACING_REASON if action == size else shown
        else:
            if recorded is None and release.exploration_share(best >= 0):
                drawn = _draw_evenly(release, who, size, likeliest)
            action = likeliest if drawn is None else drawn
            reason = EXPLORATION_REASON if action != likeliest else given if best >= 0 else NOTHING_PAYS_REASON
        if odds is not None:
            prob = odds[n][action]
        else:
            other, likely, none = _even_probabilities(release, size, best)
            prob = none if action == size else likely if action == best else other
        made.append(Choice(id_, action if action < size else -1, best, prob, held, reason))
    return made


def best_slots(opened: OpenOffers, release: ReleaseTerms) -> list[int]:
    """The slot that each customer would get before anything is drawn, -1 for none: the only place that asks the
    allocation. Of offers that are drawn by audience or by shares it is the likeliest."""
    if release.by_interval or release.draws == "shares":
        shares = opened.intervals.lengths if release.by_interval else opened.lists(opened.worth_O)
        return [mine.index(max(mine)) if mine else -1 for mine in shares]
    worth_NK, cost_NK = (opened.by_slot(each, np.nan) for each in (opened.worth_O, opened.cost_O))
    slots: list[int] = choose(worth_NK, cost_NK, release.price).tolist()
    return slots


class OfferProbabilities(NamedTuple):
    """The probability of every open offer, and of none for every customer."""

    prob_O: Floats
    none_N: Floats


def offer_probabilities(opened: OpenOffers, release: ReleaseTerms, bests: Sequence[int]) -> OfferProbabilities:
    """How likely each action was before anything was drawn; `bests` are the customers' best slots."""
    if release.by_interval or release.draws == "shares":
        odds = _listed_odds(opened, release)
        given = np.array([prob for mine in odds for prob in mine[:-1]], np.float64)
        return OfferProbabilities(given, np.array([mine[-1] for mine in odds], np.float64))
    each = [
        _even_probabilities(release, size, best) if refusal is None else _EvenProbabilities(0.0, 1.0, 1.0)
        for size, best, refusal in zip(opened.sizes, bests, opened.refusals, strict=True)
    ]
    (other_N, likely_N, none_N), who_O = np.array(each).reshape(-1, 3).T, opened.who_O
    best_O = opened.slot_O == np.array(bests, np.int64)[who_O]
    return OfferProbabilities(np.where(best_O, likely_N[who_O], other_N[who_O]), none_N)


def _listed_odds(opened: OpenOffers, release: ReleaseTerms) -> list[list[float]]:
    """The probability of each customer's actions where they are drawn by intervals or shares."""
    free, by_interval, found = 1 - release.holdout_share, release.by_interval, []
    for mine in opened.intervals.lengths if by_interval else opened.lists(opened.worth_O):
        if by_interval:
            prob = [free * share for share in mine]
            whole = reduce(add, prob, 0.0)  # in order: sum() adds otherwise from Python 3.12 on
        else:
            share_K = np.array(mine)
            given_K = (1 - release.explore) * share_K / share_K.sum() + release.explore / len(mine) if mine else share_K
            prob_K = given_K * free * (1 - min(release.price, 1.0))
            prob, whole = prob_K.tolist(), float(prob_K.sum())
        found.append([*prob, max(0.0, 1.0 - whole)])
    return found


class _EvenProbabilities(NamedTuple):
    other: float
    likely: float
    none: float


def _even_probabilities(release: ReleaseTerms, size: int, best: int) -> _EvenProbabilities:
    """The probability of an open offer that is not the best, of the best, and of none, to which the holdout falls."""
    each, free = release.exploration_share(best >= 0) / (size + 1), 1 - release.holdout_share
    other, likely = free * each, free * (1.0 - each * size)
    return _EvenProbabilities(other, likely, min(1.0, (other if best >= 0 else likely) + release.holdout_share))


def _draw_evenly(release: ReleaseTerms, who: str, size: int, best: int) -> int:
    """Which action a customer draws: `explore` is spread evenly over `size` offers and none, the rest on the best."""
    actions, unit = size + 1, hash_unit(release.seed, release.campaign_id, "explore", who)
    prob = [release.explore / actions] * actions
    prob[best] = 1.0 - release.explore / actions * size
    for at, p in enumerate(prob):
        if unit < p:
            return at
        unit -= p
    return max(range(actions), key=prob.__getitem__)  # what rounding leaves over goes to the likeliest


def _draw_by_share(release: ReleaseTerms, id_: str, probs: list[float]) -> int:
    """Drawn anew by each decision's id. Pace and creative are drawn apart: the one does not say which is the other."""
    if hash_unit(release.seed, "pace", id_) < release.price:
        return len(probs)
    sums, unit = [*accumulate(probs)], hash_unit(release.seed, "share", id_)
    return min(bisect_right([each / sums[-1] for each in sums], unit), len(probs) - 1)


def _draw_by_interval(release: ReleaseTerms, who: str, starts: list[float], lengths: list[float]) -> int:
    """The offer in whose interval a customer's number lies. A customer whose own offer is closed gets none: the
    intervals of the others stay where they are."""
    unit = hash_unit(release.draw_key, who)
    inside = (at for at, start in enumerate(starts) if start <= unit < start + lengths[at])
    return next(inside, len(starts))


def in_holdout(customer_id: str, release: ReleaseTerms) -> bool:
    """Return whether a customer is in the holdout; id and salt alone decide, in every campaign with this salt."""
    share = release.holdout_share
    return share > 0 and hash_unit("holdout", release.holdout_salt, customer_id) < share


def creative_reason(release: ReleaseTerms) -> str:
    """Why a creative was chosen: by the shares of its audience, or of everybody at the placement."""
    return AUDIENCE_SHARE_REASON if release.audience else PLACEMENT_SHARE_REASON


def best_reason(release: ReleaseTerms) -> str:
    """Why the best open offer is given."""
    return AUDIENCE_DRAW_REASON if release.draws == "audience" else LARGEST_GAIN_REASON


def decision_id(release: ReleaseTerms, who: str, ts_ms: int) -> str:
    """The moment first, so that ids rise with time: those of one moment lie together on disk."""
    key = (release.campaign_id, who, release.policy_id, release.policy_version, release.seed, ts_ms)
    return f"{first_decision_id(ts_ms)}{hash_int(*key):016x}"


def first_decision_id(ts_ms: int) -> str:
    """Where the ids of decisions of this moment, and of later ones, begin."""
    return f"dec_{min(ts_ms, 16**11 - 1):011x}"
