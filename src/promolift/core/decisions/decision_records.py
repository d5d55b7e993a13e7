"""Write down decisions as records, and repeat a record: the form in which the server stores and shows them."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from promolift.core.customers.reason_text import CONSENT
from promolift.core.decisions.decision_rule import NONE, OpenOffers, ReleaseTerms, choose_offers, offer_probabilities
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy


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
            both = gettext_lazy(
                "{name} is {decision}, the release has {release}",
                name=name,
                decision=repr(decision[name]),
                release=repr(getattr(release, name)),
            )
            raise InputError(
                "release_differs",
                gettext_lazy(
                    "decision {decision_id}: {both}; replay it with its own release",
                    decision_id=decision["decision_id"],
                    both=both,
                ),
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


def withheld_offers(decisions: pl.DataFrame, release: ReleaseTerms) -> pl.DataFrame:
    """Return customer_id, ts_ms and offer_id of what those held out would have got; of nothing there is no row.

    `decisions` are DECISIONS under the release. The holdout and all other draws are hashes of their own, so that the
    same draws without a holdout say what would have been given.
    """
    held = decisions.filter(pl.col("holdout")).sort("customer_id", "ts_ms")
    rows = held.select(pl.int_range(pl.len()).alias("who"), "candidates").explode("candidates").unnest("candidates")
    rows = rows.filter(pl.col("offer").is_not_null() & (pl.col("offer") != NONE)).sort("who", "offer")
    if rows.is_empty():
        return held.clear().select("customer_id", "ts_ms", "offer_id")
    sizes = np.bincount(rows["who"].to_numpy(), minlength=held.height).tolist()
    numbers = rows.select(pl.col("gain_cents", "cost_cents", "charge_cents", "draw_start", "draw_share").fill_null(0.0))
    gain_O, cost_O, charge_O, *draw_2O = numbers.to_numpy().T
    opened = OpenOffers(
        held["customer_id"].to_list(), [None] * held.height, sizes, gain_O - charge_O, cost_O, np.stack(draw_2O)
    )
    free = release.model_copy(update={"holdout_share": 0.0})
    choices = choose_offers(opened, free, 0)
    at = [opened.firsts[n] + each.slot if each.slot >= 0 else None for n, each in enumerate(choices)]
    offers = pl.Series("offer_id", [None if place is None else rows["offer"][place] for place in at], dtype=pl.String)
    return held.select("customer_id", "ts_ms", offers).drop_nulls("offer_id")
