"""Write down decisions as records, and repeat a record: the form in which the server stores and shows them."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from promolift.core.customers.reason_text import CONSENT
from promolift.core.decisions.decision_rule import NONE, OpenOffers, ReleaseTerms, choose_offers, offer_probabilities
from promolift.foundation.errors import InputError


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


BY_OFFER_ID = itemgetter(0)
NO_OFFER = Option(NONE, 0.0, 0.0, None)


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
    again = record_decision(decision["customer_id"], options, refusal, release, int(decision["ts_ms"]))
    names = dict.fromkeys(decision["candidates"][0])  # a table names the interval of every offer, missing or not
    return again._asdict() | {"candidates": [names | each for each in again.candidates]}


def record_decision(
    customer_id: str, options: Sequence[Option], refusal: str | None, release: ReleaseTerms, ts_ms: int
) -> Decision:
    """The decision on one customer's options, checked before, with the lists that a record shows."""
    opened = [] if refusal is not None else sorted((each for each in options if each.closed is None), key=BY_OFFER_ID)
    numbers = [(each.gain_cents - each.charge_cents, each.cost_cents, *each[-2:]) for each in opened]
    worth_K, cost_K, *draw_2K = np.array(numbers, np.float64).reshape(-1, 4).T
    offers = OpenOffers.of([customer_id], [refusal], [worth_K], [cost_K], [np.stack(draw_2K)])
    (choice,) = choose_offers(offers, release, ts_ms)
    found = offer_probabilities(offers, release, [choice.best])
    prob = [*found.prob_O.tolist(), *found.none_N.tolist()]
    return Decision(
        decision_id=choice.decision_id,
        ts_ms=ts_ms,
        customer_id=customer_id,
        campaign_id=release.campaign_id,
        policy_id=release.policy_id,
        policy_version=release.policy_version,
        offer_id=opened[choice.slot].offer_id if choice.slot >= 0 else NONE,
        propensity=choice.propensity,
        candidates=[_open(option, each, release) for option, each in zip([*opened, NO_OFFER], prob, strict=True)],
        ineligible=[
            {"offer": each.offer_id, "reason": each.closed or CONSENT.format(reason=refusal)}
            for each in sorted(options, key=BY_OFFER_ID)
            if each.closed is not None or refusal is not None
        ],
        seed=release.seed,
        holdout=choice.holdout,
        reason=choice.reason,
    )


def _open(option: Option, prob: float, release: ReleaseTerms) -> dict[str, Any]:
    offer_id, gain, cost, _, charge, start, share = option
    if release.draws == "shares":
        return {"offer": offer_id, "share": gain, "cost_cents": cost, "prob": prob}
    made = {"offer": offer_id, "gain_cents": gain, "cost_cents": cost, "charge_cents": charge, "prob": prob}
    return made | {"draw_start": start, "draw_share": share} if release.by_interval else made
