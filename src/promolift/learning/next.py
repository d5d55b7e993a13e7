"""A judged policy in; the next release out: recalibrated gains, a price for the same money, its value, and the rules.

Legend: N customers, K open offers, A = K + 1 actions, the last is no offer.
"""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift import deliver
from promolift.allocate import choose, solve
from promolift.deliver import ReleaseTerms
from promolift.errors import SupportError
from promolift.hashing import hash_units
from promolift.learn.off_policy import EstimatorParts, dr
from promolift.learn.release import Proposal, propose, summarise
from promolift.learn.support import require, unseen_mass, weigh
from promolift.learning.evidence import LearnSettings, Slots
from promolift.learning.judge import JudgedEvidence, planned_gain, slot_lift
from promolift.learning.proposal import Proposed, Status
from promolift.results.learned import Factor, MeasuredFactors, NextRelease
from promolift.tables import Z95

Floats = NDArray[np.float64]
GROUP = 20  # customers of an offer in each arm, below which nothing is said of it alone


def next_release(judged: JudgedEvidence, say: Callable[[float], str]) -> NextRelease:
    """The policy that follows from what was found, valued on customers it did not learn from.

    Never accepted without exploration in the log, with a broken sample ratio, an unknown holdout salt, or effects that
    drift. `say` puts an amount into words.
    """
    evidence = judged.evidence
    slots, settings, old = evidence.slots, evidence.settings, evidence.release
    everybody = np.ones(len(slots), dtype=bool)
    learned = recalibrate(slots, everybody, old.holdout_share, settings)
    share = old.explore or settings.explore
    policy = policy_of(slots, learned, old.holdout_share, share)
    changed = {"price": policy.price, "explore": policy.explored, "seed": old.seed + 1}
    release = old.model_copy(update={"policy_version": after(old.policy_version), **changed})
    changes = tuple(_changes(judged, learned, release))
    if not old.explore:
        why = (
            "no exploration was logged, so another policy cannot be valued from these decisions; "
            f"draw {settings.explore:.0%} at random, and the next verdict can"
        )
        return NextRelease(release, learned, changes, None, False, why)
    try:
        proposal = valued(judged, say)
    except SupportError as error:
        return NextRelease(release, learned, changes, None, False, str(error))
    against = hindrances(judged)
    why = "; ".join(against) or proposal.why
    return NextRelease(release, learned, changes, proposal, proposal.accepted and not against, why)


def recalibrate(
    slots: Slots, mask_N: NDArray[np.bool_], holdout_share: float, settings: LearnSettings
) -> MeasuredFactors:
    """Realised / predicted gain, shrunk: all offers towards 1 +/- `prior_sd`, each offer towards all of them.

    The spread between offers by DerSimonian, Laird 1986 (Controlled Clinical Trials 7); normal posterior. Without
    outcomes the ratio stays 1 and nothing is closed: an offer closes on evidence only.
    """
    predicted = planned_gain(slots, holdout_share)
    whole = _ratio(slots, mask_N, predicted, settings.least)
    mean, var = belief = _shrunk(whole, _Belief(1.0, settings.prior_sd**2))
    overall = _factor(belief, mask_N)
    seen, sizes, planned = {}, {}, planned_offer(slots, holdout_share)
    for number in np.unique(planned[planned >= 0]):
        mine = mask_N & (planned == number)
        if (found := _ratio(slots, mine, predicted, GROUP)) is not None:
            seen[slots.offers[number]], sizes[slots.offers[number]] = found, mine
    between = _between(list(seen.values()))
    prior = _Belief(mean, var + between)
    offers = {
        name: _factor(_shrunk(ratio, prior) if between > 0 else belief, sizes[name]) for name, ratio in seen.items()
    }
    closed = [name for name in slots.offers if offers.get(name, overall).low < 0]
    return MeasuredFactors(whole and whole.mean, whole and whole.var**0.5, overall, offers, tuple(closed))


def planned_offer(slots: Slots, holdout_share: float) -> NDArray[np.int64]:
    """The offer that the policy wanted for each customer before the draws; -1 where it wanted none."""
    rows, best = np.arange(len(slots)), slots.prob_NA[:, :-1].argmax(axis=1)
    wanted = slots.prob_NA[rows, best] > slots.prob_NA[:, -1] - holdout_share + 1e-9
    planned: NDArray[np.int64] = np.where(wanted, slots.offer_NK[rows, best], -1)
    return planned


class _Belief(NamedTuple):
    """Mean and variance of a normal distribution."""

    mean: float
    var: float


def _ratio(slots: Slots, mask_N: NDArray[np.bool_], predicted_N: Floats, least: int) -> _Belief | None:
    """Realised over predicted gain among the customers of a mask; None with too few of them, or no gain predicted."""
    expected = float(predicted_N[mask_N].mean()) if mask_N.any() else 0.0
    found = slot_lift(slots, mask_N, least)
    if found is None or not expected > 0:  # where exploring was expected to lose, an offer's own factor is not seen
        return None
    return _Belief(found.lift / expected, (found.se / expected) ** 2)


def _shrunk(seen: _Belief | None, prior: _Belief) -> _Belief:
    """The posterior."""
    if seen is None:
        return prior
    total = 1 / seen.var + 1 / prior.var
    return _Belief((seen.mean / seen.var + prior.mean / prior.var) / total, 1 / total)


def _between(seen: list[_Belief]) -> float:
    """Variance between offers beyond noise, 0 if noise explains all."""
    if len(seen) < 2:
        return 0.0
    value, weight = np.array([each.mean for each in seen]), np.array([1 / each.var for each in seen])
    q = float((weight * (value - np.average(value, weights=weight)) ** 2).sum())
    scale = float(weight.sum() - (weight**2).sum() / weight.sum())
    return max(0.0, (q - (len(seen) - 1)) / scale) if scale > 0 else 0.0


def _factor(belief: _Belief, mask_N: NDArray[np.bool_]) -> Factor:
    reach = Z95 * belief.var**0.5
    return Factor(belief.mean, belief.mean - reach, belief.mean + reach, int(mask_N.sum()))


class NextPolicy(NamedTuple):
    """Probabilities of every action (nobody held out), the price of the budget, and the share that is explored."""

    prob_NA: Floats
    price: float
    explored: float


def policy_of(slots: Slots, learned: MeasuredFactors, holdout_share: float, share: float) -> NextPolicy:
    """The policy for the money spent so far.

    As deliver/ decides: the largest gain - charge - price x cost above 0, and with the explored share an even draw. The
    price is the least that keeps to the expected cost of the logged policy; exploring takes half of it at most.
    """
    gain, cost = new_gain(slots, learned), np.nan_to_num(slots.cost_NK)
    budget = float((slots.prob_NA[:, :-1] * cost).sum()) / (1 - holdout_share)
    open_NK = ~np.isnan(gain)
    actions = open_NK.sum(axis=1) + 1
    even = float((np.where(open_NK, cost, 0.0).sum(axis=1) / actions).sum())
    floor = min(share, budget / (2 * even)) if even > 0 else share
    net = gain - np.nan_to_num(slots.charge_NK)
    rest = max(budget - floor * even, 0.0) / (1 - floor) if floor < 1 else 0.0
    # who is tied at the price takes the cheaper offer: so a bit more than it
    price = solve(net, cost, rest).price * (1 + 1e-9)
    slot = choose(net, np.where(open_NK, cost, np.nan), price)
    rows, none = np.arange(len(slots)), gain.shape[1]
    prob = np.hstack([open_NK, np.ones((len(slots), 1), bool)]) * (floor / actions)[:, None]
    prob[rows, np.where(slot >= 0, slot, none)] += 1 - floor
    return NextPolicy(prob, price, floor)


def new_gain(slots: Slots, learned: MeasuredFactors) -> Floats:
    """Recalibrated gains; closed offers have none."""
    closed = set(learned.closed)
    factor = np.array([np.nan if name in closed else learned.factor(name).ratio for name in slots.offers] + [np.nan])
    gain: Floats = slots.gain_NK * factor[slots.offer_NK]
    return gain


def valued(judged: JudgedEvidence, say: Callable[[float], str]) -> Proposal:
    """The proposal with its value over no offers and its lead over the policy in force, both doubly robust.

    The policy is the `crossed` one, so that luck is not counted as skill. SupportError where the logs cannot say.
    """
    evidence = judged.evidence
    slots, held, settings = evidence.slots, evidence.release.holdout_share, evidence.settings
    prob = crossed(slots, held, evidence.release.explore, settings)
    rows = np.arange(len(slots))
    weight = prob[rows, slots.action_N] / slots.logged_N
    support = weigh(weight, unseen_mass(slots.action_N, prob, slots.prob_NA))
    require(support, 0.0, settings.guardrails.min_effective)
    none = np.zeros_like(prob)
    none[:, -1] = 1.0
    now = slots.prob_NA.copy()
    now[:, -1] -= held
    now /= 1 - held
    new = doubly_robust(slots, prob)
    value, lead = (summarise(new - doubly_robust(slots, other), weight) for other in (none, now))
    return propose(value, lead, settings.guardrails, say)


def doubly_robust(slots: Slots, policy_NA: Floats) -> Floats:
    """What each customer is worth under a policy, from what was logged."""
    rows, model = np.arange(len(slots)), rewards(slots)
    given_N = policy_NA[rows, slots.action_N] / slots.logged_N
    fit_N, direct_N = model[rows, slots.action_N], (policy_NA * model).sum(axis=1)
    return dr(EstimatorParts(slots.reward_N, given_N, fit_N, direct_N))


def crossed(slots: Slots, holdout_share: float, share: float, settings: LearnSettings) -> Floats:
    """Probabilities of every action, each half of the customers decided by what outcomes of the other half taught."""
    half = hash_units("learn half", slots.customer_id) < 0.5
    prob = np.zeros_like(slots.prob_NA)
    for mine in (half, ~half):
        learned = recalibrate(slots, ~mine, holdout_share, settings)
        prob[mine] = policy_of(_only(slots, mine), learned, holdout_share, share).prob_NA
    return prob


def rewards(slots: Slots) -> Floats:
    """What each action is believed to be worth: the weeks before for the level, the logged prediction for the gain."""
    held = slots.held_N
    before = slots.before_N - slots.before_N[held].mean()
    square = float((before[held] ** 2).sum())
    slope = float((before[held] * slots.reward_N[held]).sum()) / square if square > 0 else 0.0
    base = slots.reward_N[held].mean() + slope * before
    model: Floats = base[:, None] + np.hstack([np.nan_to_num(slots.gain_NK), np.zeros((len(slots), 1))])
    return model


def _only(slots: Slots, mask_N: NDArray[np.bool_]) -> Slots:
    rest = {each.name: getattr(slots, each.name) for each in fields(slots) if each.name != "offers"}
    return Slots(slots.offers, **{name: values.filter(mask_N) if name == "customer_id" else values[mask_N]
                                  for name, values in rest.items()})  # fmt: skip


def after(version: str) -> str:
    """The version that follows; versions never change."""
    return str(int(version) + 1) if version.isdecimal() else f"{version}-next"


def _changes(judged: JudgedEvidence, learned: MeasuredFactors, release: ReleaseTerms) -> list[str]:
    old, whole = judged.evidence.release, learned.whole
    said = [f"predicted gains are multiplied by {whole.ratio:.2f} ({whole.low:.2f} to {whole.high:.2f})"]
    own = [name for name, factor in learned.offers.items() if abs(factor.ratio - whole.ratio) > 0.005]
    if own:
        said.append(f"{len(own)} offers have a factor of their own")
    if learned.closed:
        some = ", ".join(learned.closed[:5])
        said.append(f"{len(learned.closed)} of {len(judged.evidence.slots.offers)} offers are closed: {some}")
    if release.explore != old.explore:
        said.append(f"{release.explore:.1%} of the decisions are drawn at random, before {old.explore:.1%}")
    said.append(f"price of the budget {release.price:.3f}, for the same expected cost as before")
    said.append("exploration is drawn anew; the holdout stays the same")
    return said


def hindrances(judged: JudgedEvidence) -> list[str]:
    """Why a machine may not accept, whatever the value says."""
    found = []
    if not judged.main.ratio.ok:
        found.append("the sample ratio is broken, so no figure of these decisions can be trusted")
    if not judged.evidence.salt_known:
        found.append("the holdout was not drawn by the salt that is known, so the next one could not be the same")
    if judged.evidence.measure != "margin":
        found.append("only revenue was measured, and more revenue can be less profit")
    found += [f"{each.kind} have drifted: {each.action}" for each in judged.drifts
              if each.drifted and each.kind == "effects"]  # fmt: skip
    return found


def learned_release(found: NextRelease) -> ReleaseTerms:
    """The release with the recalibration it was priced with: on top of the one in force. None with effects of arms."""
    if found.release.effects:
        return found.release
    whole, before = found.recalibration.whole, found.release.recalibration or deliver.Recalibration()
    now = deliver.Recalibration(
        ratio=whole.ratio, low=whole.low, high=whole.high, closed=found.recalibration.closed,
        offers={name: factor.ratio for name, factor in found.recalibration.offers.items()},
    )  # fmt: skip
    return found.release.model_copy(update={"recalibration": before.then(now)})


def proposed(found: NextRelease, plan: str | None, status: Status) -> Proposed:
    """The proposal for the person who decides; `plan` is the mark of the plan that it was learned with."""
    proposal = found.proposal
    valued = {} if proposal is None else {
        "expected_per_customer": proposal.value.value, "expected_interval": proposal.value.interval,
        "lead_per_customer": proposal.lead.value, "lead_interval": proposal.lead.interval,
        "effective_decisions": proposal.value.effective,
    }  # fmt: skip
    values = {
        "release": learned_release(found).model_dump(mode="json"),  # every field said, so that the file says it
        "changes": found.changes,
        "within_guardrails": found.accepted,
        "why": found.why,
        "factors": {name: asdict(factor) for name, factor in found.recalibration.offers.items()},
        "plan": plan,
        "status": status,
    }
    return Proposed.parse(values | valued, "proposal")
