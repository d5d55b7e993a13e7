"""A trial in; how well its effects hold for customers that the models did not see, out.

Two halves by a hash of each customer's own values: each is predicted by models of the other. Legend: N customers,
K treatments, A arms (arm 0 is control).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.effect import calibrate, core
from promolift.effect.nuisance import fit_nuisance, rows_of
from promolift.effect.trial import Level, Trial, chunks, encoder_of, row_keys
from promolift.errors import SupportError
from promolift.learn import uplift
from promolift.steps.job import Tell

if TYPE_CHECKING:
    from promolift.steps.trial_read import TrialData

Floats = NDArray[np.float64]
POINTS = 41


@dataclass(frozen=True)
class Judged:
    """Tables qini, curves, deciles, policies; notes and text."""

    tables: dict[str, pl.DataFrame]
    notes: dict[str, Any]
    text: str


@dataclass(frozen=True)
class _Crossed:
    """Out-of-fold gains, recommended arms and expected outcomes by arm of one outcome.

    `learned`: rows that each half's models learned from, where not all.
    """

    gain_NK: Floats
    policy_N: NDArray[np.int64]
    mean_NA: Floats
    learned: int | None = None


def judge(data: "TrialData", names: tuple[str, ...], lot: tuple[Level, Floats], seed: int, tell: Tell) -> Judged:
    """Qini of the effects and of the outcome expected without treatment, calibration by tenths, values of policies.

    `lot` is the evidence level and every customer's chance of each arm, N x A. A Qini curve is fair only where chances
    are the same for everybody, so it is drawn for lots alone.
    """
    level, prob_NA = lot
    qini: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    policies: list[dict[str, Any]] = []
    learned: dict[str, int] = {}
    for done, name in enumerate(names):
        crossed = _cross(data, name, lot, seed, partial(_told, tell, name, (done, len(names))))
        if crossed.learned is not None:
            learned[name] = crossed.learned
        tell("evaluate", (done + 0.9) / len(names), f"{name} of customers unseen")
        score_NA = uplift.arm_scores(data.outcomes[name], data.arm_N, prob_NA, crossed.mean_NA)
        policies += _policies(data, name, score_NA, crossed)
        for arm in range(1, len(data.arms)):
            if level == "randomised" and (prob_NA == prob_NA[0]).all():
                qini += _ranked(data, (name, arm), crossed)
                curves += _curve(data, (name, arm), crossed)
            psi = score_NA[:, arm] - score_NA[:, 0]
            found = calibrate.effect_bins(crossed.gain_NK[:, arm - 1], psi)
            bins += [{"outcome": name, "arm": arm, **_fields(each)} for each in found]
    tables = {
        "qini": pl.DataFrame(qini, infer_schema_length=None),
        "curves": pl.DataFrame(curves, infer_schema_length=None),
        "deciles": pl.DataFrame(bins, infer_schema_length=None),
        "policies": pl.DataFrame(policies, infer_schema_length=None),
    }
    samples = sampled(learned, len(data.arm_N))
    notes = {"level": level, "qini": qini, "policies": policies, "learned": learned, "samples": samples}
    return Judged(tables, notes, "\n".join([_text(data, qini, policies), *(f"Note: {each}." for each in samples)]))


def sampled(learned: dict[str, int], customers: int) -> list[str]:
    """Which outcomes' models learned from a part of the customers only, in words."""
    return [
        f"the file is large, so the models of {name} learned from {rows:,} of about {customers // 2:,} customers of "
        "the other half, drawn by hash; every customer judges them"
        for name, rows in learned.items()
    ]


def _told(tell: Tell, name: str, turn: tuple[int, int], share: float) -> None:
    """Progress within one outcome, which is `turn` (which, of how many)."""
    tell("evaluate", (turn[0] + 0.85 * share) / turn[1], f"{name}, learning on one half at a time")


def _fields(each: calibrate.EffectBin) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__dataclass_fields__}


def _cross(
    data: "TrialData", name: str, lot: tuple[Level, Floats], seed: int, told: Callable[[float], object]
) -> _Crossed:
    encoder = encoder_of(data.features)
    x_NF = encoder.encode(data.features)
    outcome = data.outcomes[name]
    key_N = row_keys(np.column_stack([x_NF, data.arm_N, outcome]), seed)
    half_N = (key_N % np.uint64(2)).astype(np.int64)
    shape = (len(half_N), len(data.arms))
    learned: int | None = None
    gain, policy, mean = np.zeros((shape[0], shape[1] - 1)), np.zeros(shape[0], np.int64), np.zeros(shape)
    for half in (0, 1):
        seen, new = np.flatnonzero(half_N != half), np.flatnonzero(half_N == half)
        model = core.fit(
            data.features[seen], data.arm_N[seen], outcome[seen],
            propensity_NK=lot[1][seen, 1:], settings=core.EffectSettings(level=lot[0], seed=seed),
            told=partial(_half, told, half),
        )  # fmt: skip
        learned = model.learned
        gain[new] = model.predict(data.features[new]).gain_NK
        policy[new] = model.policy(data.features[new])
        trial = Trial(x_NF[seen], data.arm_N[seen], outcome[seen], lot[1][seen], key_N[seen], tuple(encoder.names))
        mean[new] = _means(fit_nuisance(_taught(trial)), x_NF[new], shape[1])
    return _Crossed(gain, policy, mean, learned)


def _taught(trial: Trial) -> Trial:
    """The trial, or the sample of it, by key, that models of a large one learn from."""
    most = core.learnable(trial)
    return trial if most == len(trial.arm_N) else rows_of(trial, np.argsort(trial.key_N)[:most])


def _half(told: Callable[[float], object], half: int, share: float) -> None:
    told((half + share) / 2)


def _means(nuisance: Any, x_MF: Floats, arms: int) -> Floats:
    found = np.concatenate([np.asarray(nuisance.response.mean(x_MF[part])) for part in chunks(len(x_MF))])
    return found if found.ndim == 2 else np.tile(found[:, None], (1, arms))


def _pair(data: "TrialData", arm: int) -> NDArray[np.int64]:
    return np.flatnonzero((data.arm_N == arm) | (data.arm_N == 0))


def _ranked(data: "TrialData", what: tuple[str, int], crossed: _Crossed) -> list[dict[str, Any]]:
    """Qini of the effect and of the response model on the arm and control; the area where outcomes are not 0 and 1."""
    name, arm = what
    rows = _pair(data, arm)
    y, t = data.outcomes[name][rows], (data.arm_N[rows] == arm).astype(np.float64)
    figure = uplift.qini if np.isin(y, (0.0, 1.0)).all() else uplift.qini_area
    try:
        ours = figure(y, crossed.gain_NK[rows, arm - 1], t)
        theirs = figure(y, crossed.mean_NA[rows, 0], t)
    except SupportError:
        return []
    lead = uplift.difference(ours, theirs)
    keys = {"outcome": name, "arm": arm, "figure": ours.figure, "n": ours.n}
    return [
        keys | {"by": by, "value": e.value, "low": e.low, "high": e.high}
        for by, e in (("effect", ours), ("expected outcome without treatment", theirs), ("lead of the effect", lead))
    ]


def _curve(data: "TrialData", what: tuple[str, int], crossed: _Crossed) -> list[dict[str, Any]]:
    name, arm = what
    rows = _pair(data, arm)
    y, t = data.outcomes[name][rows], (data.arm_N[rows] == arm).astype(np.float64)
    found = []
    for by, score in (("effect", crossed.gain_NK[rows, arm - 1]), ("response", crossed.mean_NA[rows, 0])):
        curve = uplift.qini_curve(y, score, t, POINTS)
        for x, gain, low, high in zip(curve.x_P, curve.gain_P, curve.low_P, curve.high_P, strict=True):
            found.append({"outcome": name, "arm": arm, "by": by, "share": x, "gain": gain, "low": low, "high": high})
    return found


def _policies(data: "TrialData", name: str, score_NA: Floats, crossed: _Crossed) -> list[dict[str, Any]]:
    """Each fixed arm and the recommended policy, doubly robust; `lead` over the best fixed arm, paired."""
    fixed = [uplift.policy_value(score_NA, np.full(len(score_NA), a), data.arms[a]) for a in range(len(data.arms))]
    best = max(fixed, key=lambda each: each.value)
    ours = uplift.policy_value(score_NA, crossed.policy_N, "recommended")
    rows = []
    for each in (*fixed, ours):
        lead = uplift.difference(each, best)
        rows.append(
            {
                "outcome": name, "policy": each.figure, "value": each.value, "low": each.low, "high": each.high,
                "lead": lead.value, "lead_low": lead.low, "lead_high": lead.high, "best_fixed": best.figure,
                "moved": float(np.mean(crossed.policy_N != data.arms.index(best.figure))) if each is ours else None,
                "n": each.n,
            }
        )  # fmt: skip
    return rows


def _text(data: "TrialData", qini: list[dict[str, Any]], policies: list[dict[str, Any]]) -> str:
    lines = ["Judged on customers the models did not see (two halves):"]
    for row in qini:
        told = f"{row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
        lines.append(f"  {row['outcome']}, {data.arms[row['arm']]}: {row['figure']} by {row['by']} {told}")
    for row in policies:
        told = f"{row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
        lines.append(f"  {row['outcome']} under {row['policy']}: {told}")
    return "\n".join(lines)
