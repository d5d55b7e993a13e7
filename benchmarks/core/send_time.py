"""Send time and channel: what choosing them by learned hazards adds, in simulated shops whose hours are known.

    python benchmarks/core/send_time.py [--quick]

Each customer has hours of their own and a liking for a channel; a message is answered by its age and the hour. A log of
drawn slots is learned from; then the true probability that a message is answered within a day, by policy: the slot that
`deliver.hours` ranks first, the best single slot for everybody (the best in the log, and the best in truth), slots drawn
at random, and who knows the truth. Gains are paired by customer; intervals over shops and customers. Prints JSON lines.
"""

import argparse
import json
from typing import Any

import numpy as np
import polars as pl

from promolift.core.decisions.response_hours import MAX_WAIT_HOURS, WEEK_HOURS, _of_week, fit_response_hours

SLOTS = [(channel, hour) for channel in ("email", "push") for hour in range(8, 22)]
CHANNELS = ("email", "push")


def shop(seed: int, customers: int, alike: float) -> Any:
    """Probabilities of an answer by customer, slot and day type; and one draw of the hour of an answer."""
    rng = np.random.default_rng(seed)
    hour = np.arange(24)
    peaks = rng.choice([7.5, 12.5, 20.5], customers, p=[0.25, 0.25, 0.5]) + rng.normal(0, 1.2, customers)
    gap = np.minimum(np.abs(hour - peaks[:, None]) % 24, 24 - np.abs(hour - peaks[:, None]) % 24)
    own_UH = 0.25 + 2.2 * np.exp(-((gap / 2.2) ** 2))
    shared_H = own_UH.mean(axis=0)
    active_UH = alike * shared_H + (1 - alike) * own_UH
    liking = rng.lognormal(0, 0.5, customers)
    channel_UC = np.stack([1 / liking, liking], axis=1) * np.array([1.0, 0.8])
    base_CK = np.stack([0.03 * np.exp(-np.arange(MAX_WAIT_HOURS) / 8), 0.06 * np.exp(-np.arange(MAX_WAIT_HOURS) / 2)])
    level_U = rng.lognormal(0, 0.4, customers)

    def hazard(u: Any, c: int, week: int) -> Any:
        hours = (week + np.arange(MAX_WAIT_HOURS)) % WEEK_HOURS
        weekend = 1 + 0.3 * (_of_week(hours) >= 24)
        both = level_U[u, None] * channel_UC[u, c, None] * base_CK[c] * active_UH[u][:, hours % 24] * weekend
        return np.clip(both, 0, 0.9)

    return hazard


def log_of(hazard: Any, customers: int, sends: int, seed: int) -> pl.DataFrame:
    rng, parts = np.random.default_rng(seed + 1), []
    slots, days = rng.integers(0, len(SLOTS), customers * sends), rng.integers(0, 7, customers * sends)
    people = np.repeat(np.arange(customers), sends)
    for slot, (channel, hour) in enumerate(SLOTS):
        for day in range(7):
            mine = people[(slots == slot) & (days == day)]
            if len(mine):
                risk = hazard(mine, CHANNELS.index(channel), day * 24 + hour)
                hit = rng.random(risk.shape) < risk
                first = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
                parts.append(pl.DataFrame({"customer_id": mine.astype(str), "channel": [channel] * len(mine),
                                           "hour": [day * 24 + hour] * len(mine), "answered": first}))  # fmt: skip
    return pl.concat(parts).with_columns(pl.when(pl.col("answered") >= 0).then("answered"))


def compared(seed: int, customers: int, sends: int, alike: float) -> dict[str, Any]:
    hazard = shop(seed, customers, alike)
    log = log_of(hazard, customers, sends, seed)
    everybody, weekday = np.arange(customers), 24  # a Tuesday
    true_US = np.stack(
        [1 - np.prod(1 - hazard(everybody, CHANNELS.index(c), weekday + h), axis=1) for c, h in SLOTS], axis=1
    )
    found = fit_response_hours(log)
    assert found is not None
    guess_US = np.array([[found.probability(str(u), c, weekday + h) for c, h in SLOTS] for u in everybody])
    of_log = log.with_columns(pl.col("hour") % 24, hit=pl.col("answered").is_not_null())
    rates = of_log.group_by("channel", "hour").agg(pl.col("hit").mean()).sort("hit", descending=True)
    single = SLOTS.index(tuple(rates.row(0)[:2]))
    by = {
        "learned": true_US[everybody, guess_US.argmax(axis=1)], "best single slot in the log": true_US[:, single],
        "best single slot in truth": true_US[:, true_US.mean(axis=0).argmax()], "drawn": true_US.mean(axis=1),
        "who knows": true_US.max(axis=1),
    }  # fmt: skip
    return by | {"calibration": guess_US.mean() / true_US.mean()}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--quick", action="store_true")
    quick = asked.parse_args().quick
    shops, customers = (2, 400) if quick else (6, 800)
    for alike in (0.0, 0.7, 1.0):
        for sends in (4, 12, 40):
            made = [compared(seed, customers, sends, alike) for seed in range(shops)]
            mean = {
                name: float(np.mean([one[name].mean() for one in made])) for name in made[0] if name != "calibration"
            }
            gains = np.array([(one["learned"] - one["best single slot in truth"]).mean() for one in made])
            own = np.array([(one["learned"] - one["best single slot in truth"]).std() / customers**0.5 for one in made])
            se = float(np.sqrt(gains.var(ddof=1) / shops if shops > 2 else (own**2).mean() / shops))
            gain = float(gains.mean())
            best = "best single slot in truth"
            print(json.dumps({
                "figure": "lead over the best single slot", "value": round(gain, 4), "se": round(se, 4),
                "unit": "probability of an answer", "peer": best, "peer_value": round(mean[best], 4),
                "n": shops * customers, "data": f"simulated, liking alike {alike:g}, {sends} messages each",
                "low": round(gain - 2.57 * se, 4), "high": round(gain + 2.57 * se, 4),
                "relative": round(gain / mean[best], 3), "by_policy": {name: round(p, 4) for name, p in mean.items()},
                "forecast_over_true": round(float(np.mean([one["calibration"] for one in made])), 3),
            }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
