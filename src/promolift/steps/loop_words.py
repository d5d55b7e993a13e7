"""Those who get an offer today and the clicks so far in; how each is worded, with its propensity, and who clicks out.

The wordings are texts of the pool with which every offer passes the gate. Which one a customer gets is drawn by
Thompson sampling from the clicks of earlier days; the propensity is logged, so that the log can be evaluated later.
A click changes nothing of what is bought here. Legend: M customers told, V wordings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from promolift.hashing import hash_units
from promolift.learn.explore import Tally, pick, variant_shares
from promolift.message import Known, label, load_pool, write
from promolift.offer import MenuItem, make_offer
from promolift.simulate.truth import click_rates, clicks
from promolift.simulate.world import GOODS, World
from promolift.terms import Benefit

Floats = NDArray[np.float64]
ZONE = ZoneInfo("Asia/Shanghai")
MOST = 4  # wordings that compete; more need more messages than the loop sends


@dataclass(frozen=True)
class WordedDay:
    """One day's messages: the wording's number, propensities, clicked or not. `true_V` is what a shop never knows."""

    day: int
    share_V: Floats
    variant_M: NDArray[np.int64]
    clicked_M: NDArray[np.bool_]
    true_V: Floats


def wordings(categories: int, depths: Sequence[float]) -> tuple[str, ...]:
    """The texts, by id, with which every offer of the menu can be said truly; InputError where one offer cannot."""
    starts = datetime(2024, 1, 1, tzinfo=ZONE)
    texts = [text for text in load_pool(None).texts if (text.language, text.angle) == ("zh", "generic")][:MOST]
    for key, *_ in GOODS[:categories]:
        for depth in depths:
            benefit = Benefit(type="percent_off", percent=round(100 * depth))
            item = MenuItem(id=f"off-{round(100 * depth)}", benefit=benefit, scope="category", valid_days=7)
            offer = make_offer(item, key, "category", label(key), starts + timedelta(days=1), "CNY")
            texts = [text for text in texts if write(offer, Known(), "zh", text.draft).text_id]
    return tuple(sorted(text.text_id for text in texts))


def tally(past: Sequence[WordedDay], names: Sequence[str]) -> dict[str, Tally]:
    """Shown and clicked of each wording."""
    shown, clicked = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for day in past:
        shown += np.bincount(day.variant_M, minlength=len(names))
        clicked += np.bincount(day.variant_M[day.clicked_M], minlength=len(names))
    return {name: Tally(int(s), int(c)) for name, s, c in zip(names, shown, clicked, strict=True)}


def tell_day(
    past: Sequence[WordedDay], names: tuple[str, ...], world: World, day: int, week: int, seed: int
) -> WordedDay:
    """Word the offers of the customers of `world` on a day of a week. A click is known the day after."""
    share_V = np.array(list(variant_shares(tally(past, names), seed).values()))
    unit_M = hash_units((seed, "wording", day), world.customer_ids)
    variant_M = pick(np.broadcast_to(share_V, (len(unit_M), len(names))), unit_M)
    true_V = click_rates(world, names)
    return WordedDay(day, share_V, variant_M, clicks(world, true_V[variant_M], week, seed), true_V)


def against(days: Sequence[WordedDay]) -> dict[str, float]:
    """Clicks expected in truth per message: as told, drawn evenly, and with the best wording for all from day one."""
    sent = sum(len(d.variant_M) for d in days)
    if not sent:
        return {"told": 0, "chosen": 0.0, "even": 0.0, "best": 0.0}
    return {
        "told": sent,
        "chosen": float(sum(d.true_V[d.variant_M].sum() for d in days) / sent),
        "even": float(sum(d.true_V.mean() * len(d.variant_M) for d in days) / sent),
        "best": float(sum(d.true_V.max() * len(d.variant_M) for d in days) / sent),
    }
