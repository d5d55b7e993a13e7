"""Decide for a few customers from their options under a release, with probabilities and reasons.

Legend: N customers, K slots (a customer's open offers in order of offer_id, `none` not among them). A customer needs
nobody else's rows, so one request, a shard and a whole batch (batch.py) give the same decisions.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from promolift.core.allocation.algorithms.choice import choose
from promolift.foundation.errors import InputError
from promolift.foundation.hashing import hash_int, hash_unit
from promolift.foundation.settings import Settings

NONE = "none"
UNKNOWN_VALUE_REASON = "its gain or cost is not known"
HOLDOUT_REASON = "holdout: kept back to measure what offers earn"
NOTHING_OPEN_REASON = "eligibility: no offer is open to this customer"
EXPLORATION_REASON = "exploration: drawn by hash to learn from it"
LARGEST_GAIN_REASON = "largest gain at the price"
AUDIENCE_DRAW_REASON = "drawn by hash: by the probability that the plan gives each offer"
NOTHING_PAYS_REASON = "no offer gains more than its cost at the price"
AUDIENCE_SHARE_REASON = "shares: drawn anew by the plan's shares"
PLACEMENT_SHARE_REASON = "shares: drawn anew by the shares of the placement, whoever looks"
PACING_REASON = "pace: kept for those who come later"


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


class Option(NamedTuple):
    """One candidate row: `closed` is the reason why this customer cannot have it, None if it is open.

    `charge_cents` is what the plan's limits ask for it beyond the price of the budget, in cents of gain. Where offers
    are drawn by audience it is drawn by the numbers from `draw_start` on, `draw_share` of them.
    """

    offer_id: str
    gain_cents: float
    cost_cents: float
    closed: str | None
    charge_cents: float = 0.0
    draw_start: float = 0.0
    draw_share: float = 0.0


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = Sequence[float] | Floats
BY_OFFER_ID = itemgetter(0)
NO_OFFER = Option(NONE, 0.0, 0.0, None)


class Choice(NamedTuple):
    """What a decision comes to. `slot` is the place of the offer among the open ones, -1 for none; `best` too: what
    pays most or, of offers that are drawn by audience, is drawn most often.
    """

    decision_id: str
    ts_ms: int
    customer_id: str
    slot: int
    best: int
    propensity: float
    holdout: bool | None
    reason: str


class Decision(NamedTuple):
    """One row of the DECISIONS table."""

    decision_id: str
    ts_ms: int
    customer_id: str
    campaign_id: str
    policy_id: str
    policy_version: str
    offer_id: str
    propensity: float
    candidates: list[dict[str, Any]]
    ineligible: list[dict[str, Any]]
    seed: int
    holdout: bool | None
    reason: str


def replay_decision(decision: Mapping[str, Any], release: ReleaseTerms) -> dict[str, Any]:
    """Repeat a decision from its record (a row of DECISIONS); equal to the record unless either was changed.

    Raises InputError if the record belongs to another campaign, policy or version than the release.
    """
    for name in ("campaign_id", "policy_id", "policy_version", "seed"):
        if decision[name] != getattr(release, name):
            both = f"{name} is {decision[name]!r}, the release has {getattr(release, name)!r}"
            raise InputError(
                "release_differs", f"decision {decision['decision_id']}: {both}; replay it with its own release"
            )
    opened = [
        Option(
            row["offer"],
            row.get("share", row.get("gain_cents")),
            row["cost_cents"],
            None,
            row.get("charge_cents") or 0.0,
            row.get("draw_start") or 0.0,
            row.get("draw_share") or 0.0,
        )
        for row in decision["candidates"]
    ]
    closed = [Option(row["offer"], 0.0, 0.0, row["reason"]) for row in decision["ineligible"]]
    options = [option for option in opened if option.offer_id != NONE] + closed
    # Consent stands outside the record of offers; a missing holdout flag says that it was refused, and why in `reason`.
    refusal = decision["reason"].removeprefix("consent: ") if decision["holdout"] is None else None
    (again,) = decide_options([decision["customer_id"]], [options], [refusal], release, int(decision["ts_ms"]))
    names = dict.fromkeys(decision["candidates"][0])  # a table names the interval of every offer, missing or not
    return again._asdict() | {"candidates": [names | each for each in again.candidates]}


def in_holdout(customer_id: str, release: ReleaseTerms) -> bool:
    """Return whether a customer is in the holdout; id and salt alone decide, in every campaign with this salt."""
    share = release.holdout_share
    return share > 0 and hash_unit("holdout", release.holdout_salt, customer_id) < share


def decide_options(
    people: Sequence[str],
    options: Sequence[Sequence[Option]],
    refusals: Sequence[str | None],
    release: ReleaseTerms,
    ts_ms: int,
) -> list[Decision]:
    """One decision per customer, as `decide` makes it, from options whose numbers were checked before.

    A refusal is the reason why nothing may be sent to them: it closes all their offers.
    """
    opened = [
        [] if refusal else sorted([option for option in mine if option.closed is None], key=BY_OFFER_ID)
        for mine, refusal in zip(options, refusals, strict=True)
    ]
    worth = [[option.gain_cents - option.charge_cents for option in mine] for mine in opened]
    cost = [[option.cost_cents for option in mine] for mine in opened]
    draws = [_intervals(mine) for mine in opened] if release.by_interval else None
    found = choose_slots(people, worth, cost, refusals, release, ts_ms, draws)
    return [
        _one(verdict, mine, free, refusal, release)
        for verdict, mine, free, refusal in zip(found, options, opened, refusals, strict=True)
    ]


def choose_slots(
    people: Sequence[str],
    worth: Sequence[Numbers],
    cost: Sequence[Numbers],
    refusals: Sequence[str | None],
    release: ReleaseTerms,
    ts_ms: int,
    draws: Sequence[Floats] | None = None,
) -> list[Choice]:
    """Decide for each customer without building the lists of candidates that a record shows.

    `worth` (gain - charge) and `cost` are those of their open offers in order of offer_id, and `draws`, shape (2, K),
    the starts and lengths of their intervals where offers are drawn by audience. A live decision needs no more; its
    lists are made when somebody asks for them.
    """
    if draws is not None:
        asked = zip(people, draws, refusals, strict=True)
        return [_drawn_by_audience(who, mine, refusal, release, ts_ms) for who, mine, refusal in asked]
    if release.draws == "shares":
        each = zip(people, worth, refusals, strict=True)
        return [_drawn(who, mine, refusal, release, ts_ms) for who, mine, refusal in each]
    found = _best_slots(worth, cost, release.price).tolist()
    given = zip(people, map(len, worth), found, refusals, strict=True)
    return [_settle(who, size, slot, refusal, release, ts_ms) for who, size, slot, refusal in given]


def _best_slots(worth: Sequence[Numbers], cost: Sequence[Numbers], price: float) -> NDArray[np.int32]:
    """The only place where a decision asks the allocation: slot of each customer's best open offer, -1 for none."""
    shape = (len(worth), max(map(len, worth), default=0))
    gain_NK, cost_NK = np.full(shape, np.nan), np.full(shape, np.nan)
    for row, (mine, costs) in enumerate(zip(worth, cost, strict=True)):
        gain_NK[row, : len(mine)] = mine
        cost_NK[row, : len(mine)] = costs
    return choose(gain_NK, cost_NK, price)


def _settle(who: str, size: int, slot: int, refusal: str | None, release: ReleaseTerms, ts_ms: int) -> Choice:
    """`size` offers are open; the one in `slot` is the best, -1 for none."""
    held = None if refusal else in_holdout(who, release)
    best = slot if slot >= 0 else size
    explore, share = (0.0, 0.0) if refusal else (release.exploration_share(slot >= 0), release.holdout_share)
    at = size if held else best
    if explore and not held:
        at = draw_action(release, who, size, best)
    return Choice(
        decision_id=decision_id(release, who, ts_ms),
        ts_ms=ts_ms,
        customer_id=who,
        slot=at if at < size else -1,
        best=slot,
        propensity=_propensity(at, size, best, explore, share),
        holdout=held,
        reason=_reason(refusal, held, size > 0, at == best, slot >= 0, release),
    )


def share_propensities(share_K: Numbers, release: ReleaseTerms) -> Floats:
    """Return the probability of each open offer by the shares; the last is that of none."""
    share_K, size = np.asarray(share_K, np.float64), len(share_K)
    given_K = (1 - release.explore) * share_K / share_K.sum() + release.explore / size if size else share_K
    prob_K = given_K * (1 - release.holdout_share) * (1 - min(release.price, 1.0))
    return np.append(prob_K, max(0.0, 1.0 - float(prob_K.sum())))


def _drawn(who: str, share_K: Numbers, refusal: str | None, release: ReleaseTerms, ts_ms: int) -> Choice:
    """Drawn by shares. Pace and creative are drawn apart: the one does not say which is the other."""
    id_, size = decision_id(release, who, ts_ms), len(share_K)
    held = None if refusal else in_holdout(who, release)
    prob = share_propensities(share_K, release)
    later = hash_unit(release.seed, "pace", id_) < release.price
    shown = prob[:size].cumsum()
    at = -1
    if size and not held and not later:
        at = min(int(np.searchsorted(shown / shown[-1], hash_unit(release.seed, "share", id_), side="right")), size - 1)
    reason = PACING_REASON if size and not held else _reason(refusal, held, size > 0, True, False, release)
    found = Choice(id_, ts_ms, who, at, int(np.argmax(share_K)) if size else -1, float(prob[at]), held, reason)
    return found._replace(reason=creative_reason(release, found))


def _intervals(options: Sequence[Option]) -> Floats:
    """Starts and lengths, shape (2, K)."""
    return np.array([[each.draw_start for each in options], [each.draw_share for each in options]])


def interval_propensities(share_K: Numbers, holdout_share: float) -> Floats:
    """Return the probability of each open offer that is drawn by its interval; the last is that of none."""
    prob_K = (1 - holdout_share) * np.asarray(share_K, np.float64)
    return np.append(prob_K, max(0.0, 1.0 - sum(prob_K.tolist())))  # in order, as a whole batch is summed


def drawn_slot(unit: float, draw_2K: Floats) -> int:
    """The open offer in whose interval a customer's number lies, -1 for none. A customer whose own offer is closed gets
    none: the intervals of the others stay where they are."""
    start_K, share_K = draw_2K
    inside = (unit >= start_K) & (unit < start_K + share_K)
    return int(inside.argmax()) if inside.any() else -1


def _drawn_by_audience(who: str, draw_2K: Floats, refusal: str | None, release: ReleaseTerms, ts_ms: int) -> Choice:
    size = draw_2K.shape[1]
    held = None if refusal else in_holdout(who, release)
    at = -1 if refusal or held else drawn_slot(hash_unit(release.draw_key, who), draw_2K)
    prob = interval_propensities(draw_2K[1], 0.0 if refusal else release.holdout_share)
    reason = _reason(refusal, held, size > 0, True, True, release)
    most = int(draw_2K[1].argmax()) if size and not refusal else -1
    return Choice(decision_id(release, who, ts_ms), ts_ms, who, at, most, float(prob[at]), held, reason)


def creative_reason(release: ReleaseTerms, choice: Choice) -> str:
    """Why a creative was chosen: by the shares of its audience, or of everybody at the placement."""
    return choice.reason if choice.slot < 0 else AUDIENCE_SHARE_REASON if release.audience else PLACEMENT_SHARE_REASON


def _one(
    verdict: Choice, options: Sequence[Option], opened: Sequence[Option], refusal: str | None, release: ReleaseTerms
) -> Decision:
    size = len(opened)
    best = verdict.best if verdict.best >= 0 else size
    explore, share = (0.0, 0.0) if refusal else (release.exploration_share(verdict.best >= 0), release.holdout_share)
    prob: Numbers = [_propensity(at, size, best, explore, share) for at in range(size + 1)]
    if by_shares := release.draws == "shares":
        prob = share_propensities([option.gain_cents for option in opened], release).tolist()
    elif release.by_interval:
        prob = interval_propensities([option.draw_share for option in opened], share).tolist()
    closed = options if refusal else [option for option in options if option.closed]
    return Decision(
        decision_id=verdict.decision_id,
        ts_ms=verdict.ts_ms,
        customer_id=verdict.customer_id,
        campaign_id=release.campaign_id,
        policy_id=release.policy_id,
        policy_version=release.policy_version,
        offer_id=opened[verdict.slot].offer_id if verdict.slot >= 0 else NONE,
        propensity=verdict.propensity,
        candidates=[
            _open(*each, by_shares, release.by_interval) for each in zip([*opened, NO_OFFER], prob, strict=True)
        ],
        ineligible=[
            {"offer": o.offer_id, "reason": o.closed or f"consent: {refusal}"} for o in sorted(closed, key=BY_OFFER_ID)
        ],
        seed=release.seed,
        holdout=verdict.holdout,
        reason=verdict.reason,
    )


def _open(option: Option, prob: float, by_shares: bool, by_interval: bool) -> dict[str, Any]:
    offer_id, gain, cost, _, charge, start, share = option
    if by_shares:
        return {"offer": offer_id, "share": gain, "cost_cents": cost, "prob": prob}
    made = {"offer": offer_id, "gain_cents": gain, "cost_cents": cost, "charge_cents": charge, "prob": prob}
    return made | {"draw_start": start, "draw_share": share} if by_interval else made


def _propensity(at: int, size: int, best: int, explore: float, share: float) -> float:
    """Probability of an action; those from 0 to `size` are the open offers, the last is none.

    `best` is the one that pays most. The rest of the holdout's share falls to none.
    """
    each = explore / (size + 1)
    prob = (1 - share) * (1.0 - each * size if at == best else each)
    return min(1.0, prob + share) if at == size else prob


def action_propensity(at: Ints, size: Ints, best: Ints, explore: Floats, share: Floats) -> Floats:
    """`_propensity` of many actions at once, to the last bit."""
    each = explore / (size + 1)
    prob = (1 - share) * np.where(at == best, 1.0 - each * size, each)
    found: Floats = np.where(at == size, np.minimum(1.0, prob + share), prob)
    return found


def draw_action(release: ReleaseTerms, who: str, size: int, best: int) -> int:
    """Which action a customer draws: `explore` is spread evenly over `size` offers and none, the rest on the best."""
    actions, unit = size + 1, hash_unit(release.seed, release.campaign_id, "explore", who)
    prob = [release.explore / actions] * actions
    prob[best] = 1.0 - release.explore / actions * size
    for at, p in enumerate(prob):
        if unit < p:
            return at
        unit -= p
    return max(range(actions), key=prob.__getitem__)  # what rounding leaves over goes to the likeliest


def decision_id(release: ReleaseTerms, who: str, ts_ms: int) -> str:
    """The moment first, so that ids rise with time: those of one moment lie together on disk."""
    key = (release.campaign_id, who, release.policy_id, release.policy_version, release.seed, ts_ms)
    return f"{first_decision_id(ts_ms)}{hash_int(*key):016x}"


def first_decision_id(ts_ms: int) -> str:
    """Where the ids of decisions of this moment, and of later ones, begin."""
    return f"dec_{min(ts_ms, 16**11 - 1):011x}"


def _reason(
    refusal: str | None, held: bool | None, some_open: bool, is_best: bool, worth: bool, release: ReleaseTerms
) -> str:
    if refusal:
        return f"consent: {refusal}"
    if held:
        return HOLDOUT_REASON
    if not some_open:
        return NOTHING_OPEN_REASON
    if not is_best:
        return EXPLORATION_REASON
    return best_reason(release) if worth else NOTHING_PAYS_REASON


def best_reason(release: ReleaseTerms) -> str:
    """Why the best open offer is given."""
    return AUDIENCE_DRAW_REASON if release.draws == "audience" else LARGEST_GAIN_REASON
