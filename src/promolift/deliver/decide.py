"""Candidates, consent and a release in; one decision per customer out, with its probability and its reasons.

Legend: N customers, K slots (a customer's open offers in order of offer_id, `none` not among them). A customer needs
nobody else's rows, so one request, a shard and a whole batch give the same decisions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from promolift.allocate import choose
from promolift.errors import InputError
from promolift.hashing import hash_id, hash_unit
from promolift.settings import Settings
from promolift.tables import DECISIONS

NONE = "none"


class Release(Settings):
    """What is frozen when a policy goes live; a change of any field needs a new `policy_version`.

    `price`: gain in cents that one more cent of budget would add, found by the allocation. `holdout_share` of the
    customers get no offer, the same ones as long as `holdout_salt` stays. `explore`: with this probability a customer
    gets a uniform draw from his open offers and `none`, so that each has a known chance of at least explore / (K + 1).
    """

    campaign_id: str = Field(min_length=1)
    policy_id: str = Field(min_length=1)
    policy_version: str = Field(min_length=1)
    price: float = Field(ge=0)
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
    holdout_salt: str = "holdout"
    holdout_share: float = Field(default=0.0, ge=0, lt=1)
    explore: float = Field(default=0.0, ge=0, le=1)


class Option(NamedTuple):
    """One candidate row: `closed` is the reason why this customer cannot have it, None if it is open.

    `charge_cents` is what the plan's limits ask for it beyond the price of the budget, in cents of gain.
    """

    offer_id: str
    gain_cents: float
    cost_cents: float
    closed: str | None
    charge_cents: float = 0.0


@dataclass(frozen=True)
class Decision:
    """One row of the DECISIONS table."""

    decision_id: str
    ts_ms: int
    customer_id: str
    campaign_id: str
    policy_id: str
    policy_version: str
    offer_id: str
    propensity: float
    candidates: str
    ineligible: str
    seed: int
    holdout: bool | None
    reason: str


def decide(candidates: pl.DataFrame, consent: pl.DataFrame, release: Release, ts_ms: int) -> pl.DataFrame:
    """DECISIONS for every customer of `candidates`, in order of customer_id.

    `candidates`: customer_id, offer_id, gain_cents (expected gain with the discount paid), cost_cents, and where known
    `eligible`, `why_not` and `charge_cents`; `none` needs no row. `consent`: customer_id, may_send, reason, as
    privacy/consent.py makes it; a customer without a row there is not written to. Rules in this order: consent,
    holdout, eligibility, then the offer with the largest gain - charge - price * cost above 0, ties to the cheaper and
    then to the first offer_id. A missing gain or cost is unknown and closes the offer. Raises InputError for impossible
    numbers or double rows.
    """
    people, options = _read(candidates)
    barred = _barred(consent)
    allowed = [barred.get(who, "no consent on record") for who in people]
    return pl.DataFrame(
        [vars(d) for d in _decide(people, options, allowed, release, ts_ms)], schema=DECISIONS.schema, orient="row"
    )


def replay(decision: Mapping[str, Any], release: Release) -> dict[str, Any]:
    """The decision made again from what its record holds; equal to the record unless either was changed.

    Raises InputError if the record belongs to another campaign, policy or version than the release.
    """
    for name in ("campaign_id", "policy_id", "policy_version", "seed"):
        if decision[name] != getattr(release, name):
            told = f"{name} is {decision[name]!r}, the release has {getattr(release, name)!r}"
            raise InputError(f"decision {decision['decision_id']}: {told}; replay it with its own release")
    opened = [
        Option(row["offer"], row["gain_cents"], row["cost_cents"], None, row.get("charge_cents", 0.0))
        for row in json.loads(decision["candidates"])
    ]
    closed = [Option(row["offer"], 0.0, 0.0, row["reason"]) for row in json.loads(decision["ineligible"])]
    options = [option for option in opened if option.offer_id != NONE] + closed
    # Consent stands outside the record of offers; a missing holdout flag says that it was refused, and why in `reason`.
    refusal = decision["reason"].removeprefix("consent: ") if decision["holdout"] is None else None
    (again,) = _decide([decision["customer_id"]], [options], [refusal], release, int(decision["ts_ms"]))
    return asdict(again)


def in_holdout(customer_id: str, release: Release) -> bool:
    """Whether a customer is kept back; fixed by id and salt alone, the same in every campaign that shares the salt."""
    return hash_unit("holdout", release.holdout_salt, customer_id) < release.holdout_share


def _decide(
    people: Sequence[str],
    options: Sequence[Sequence[Option]],
    refusals: Sequence[str | None],
    release: Release,
    ts_ms: int,
) -> list[Decision]:
    """One decision per customer; a refusal closes all his offers."""
    opened = [
        [] if refusal else sorted(option for option in mine if option.closed is None)
        for mine, refusal in zip(options, refusals, strict=True)
    ]
    best = _best_slots(opened, release.price)
    return [
        _one(who, mine, (free, slot), refusal, (release, ts_ms))
        for who, mine, free, slot, refusal in zip(people, options, opened, best, refusals, strict=True)
    ]


def _best_slots(opened: Sequence[Sequence[Option]], price: float) -> NDArray[np.int32]:
    """The only place where a decision asks the allocation: slot of each customer's best open offer, -1 for none."""
    shape = (len(opened), max(map(len, opened), default=0))
    gain_NK, cost_NK = np.full(shape, np.nan), np.full(shape, np.nan)
    for row, mine in enumerate(opened):
        for slot, option in enumerate(mine):
            gain_NK[row, slot], cost_NK[row, slot] = option.gain_cents - option.charge_cents, option.cost_cents
    return choose(gain_NK, cost_NK, price)


def _one(
    who: str,
    options: Sequence[Option],
    found: tuple[Sequence[Option], int],
    refusal: str | None,
    context: tuple[Release, int],
) -> Decision:
    (opened, slot), (release, ts_ms) = found, context
    held = None if refusal else in_holdout(who, release)
    names = [*(option.offer_id for option in opened), NONE]
    policy = _policy(len(names), slot if slot >= 0 else len(opened), 0.0 if refusal else release.explore)
    prob = [(1 - release.holdout_share) * p for p in policy] if not refusal else policy
    prob[-1] = min(1.0, prob[-1] + (0.0 if refusal else release.holdout_share))
    at = len(opened) if held else _draw(policy, hash_unit(release.seed, release.campaign_id, "explore", who))
    key = (release.campaign_id, who, release.policy_id, release.policy_version, release.seed, ts_ms)
    return Decision(
        decision_id=hash_id("dec", *key),
        ts_ms=ts_ms,
        customer_id=who,
        campaign_id=release.campaign_id,
        policy_id=release.policy_id,
        policy_version=release.policy_version,
        offer_id=names[at],
        propensity=prob[at],
        candidates=_json(
            {"offer": o.offer_id, "gain_cents": o.gain_cents, "cost_cents": o.cost_cents, "prob": p}
            | ({"charge_cents": o.charge_cents} if o.charge_cents else {})
            for o, p in zip([*opened, Option(NONE, 0.0, 0.0, None)], prob, strict=True)
        ),
        ineligible=_json(
            {"offer": o.offer_id, "reason": o.closed or f"consent: {refusal}"}
            for o in sorted(options, key=_name)
            if refusal or o.closed
        ),
        seed=release.seed,
        holdout=held,
        reason=_reason(refusal, held, bool(opened), at == (slot if slot >= 0 else len(opened)), slot >= 0),
    )


def _policy(size: int, best: int, explore: float) -> list[float]:
    """Probabilities of `size` actions: explore spread evenly, the rest on the best."""
    prob = [explore / size] * size
    prob[best] = 1.0 - explore / size * (size - 1)
    return prob


def _draw(prob: Sequence[float], unit: float) -> int:
    """The action into whose part of [0, 1) the unit falls; what rounding leaves over goes to the likeliest."""
    for at, p in enumerate(prob):
        if unit < p:
            return at
        unit -= p
    return max(range(len(prob)), key=prob.__getitem__)


def _reason(refusal: str | None, held: bool | None, some_open: bool, is_best: bool, worth: bool) -> str:
    if refusal:
        return f"consent: {refusal}"
    if held:
        return "holdout: kept back to measure what offers earn"
    if not some_open:
        return "eligibility: no offer is open to this customer"
    if not is_best:
        return "exploration: drawn by hash to learn from it"
    return "largest gain at the price" if worth else "no offer gains more than its cost at the price"


def _read(candidates: pl.DataFrame) -> tuple[list[str], list[list[Option]]]:
    """Customers in order of id and their options; one Python pass, so that a request of one row stays cheap."""
    need = ("customer_id", "offer_id", "gain_cents", "cost_cents")
    if missing := [name for name in need if name not in candidates.columns]:
        raise InputError(f"candidates: columns {missing} are missing; it has {candidates.columns}")
    known = candidates.columns
    rows = sorted(
        candidates.select(
            pl.col("customer_id", "offer_id").cast(pl.String),
            pl.col("gain_cents", "cost_cents").cast(pl.Float64),
            pl.col("eligible").fill_null(False) if "eligible" in known else pl.lit(True).alias("eligible"),
            pl.col("why_not").cast(pl.String) if "why_not" in known else pl.lit(None, pl.String).alias("why_not"),
            (pl.col("charge_cents").cast(pl.Float64) if "charge_cents" in known else pl.lit(0.0))
            .fill_null(0.0)
            .alias("charge_cents"),
        ).iter_rows(),
        key=lambda row: (row[0] or "", row[1] or ""),
    )
    people, options = [], []
    for who, mine in groupby(rows, key=lambda row: row[0]):
        people.append(who)
        options.append([_option(row) for row in mine if row[1] != NONE])
        names = [option.offer_id for option in options[-1]]
        if not who or not all(names) or len(set(names)) < len(names):
            raise InputError(f"candidates: customer {who!r} has an offer twice or a missing id; offers {names[:5]}")
    return people, options


def _option(row: tuple[str, str, float | None, float | None, bool, str | None, float]) -> Option:
    who, offer, gain, cost, eligible, why, charge = row
    if not eligible or why:
        return Option(offer, 0.0, 0.0, why or "not eligible")
    if gain is None or cost is None:
        return Option(offer, 0.0, 0.0, "its gain or cost is not known")
    if not (np.isfinite(gain) and np.isfinite(cost) and cost >= 0):
        what = f"gain_cents {gain} and cost_cents {cost}; both must be finite, the cost at least 0"
        raise InputError(f"candidates: customer {who!r}, offer {offer!r}: {what}")
    return Option(offer, gain, cost, None, charge)


def _barred(consent: pl.DataFrame) -> dict[str, str | None]:
    """Customer to the reason why nothing may be sent; None where it may."""
    if consent["customer_id"].is_duplicated().any():
        raise InputError("consent: a customer_id stands twice; two answers are no answer")
    rows = consent.select("customer_id", "may_send", "reason").iter_rows()
    return {who: None if may else (why or "sending is not allowed") for who, may, why in rows}


def _name(option: Option) -> str:
    return option.offer_id


def _json(rows: Any) -> str:
    """Compact JSON; floats are written so that reading them gives the same bits."""
    return json.dumps(list(rows), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
