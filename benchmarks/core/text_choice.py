"""Compare ways to choose among texts: how many readers take an offer up while the shop learns which texts work.

    python benchmarks/core/text_choice.py [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. All is simulated: texts go out with three kinds of
benefit for thirty rounds, 1 in 20 readers take the offer up on average, and the log odds of a text differ by its own
standard deviation and by one for each kind of benefit. The same readers meet `TextChooser` with all counts, with the
counts of the play alone, of the play and the benefit alone, without dropping any text, and texts drawn evenly. Leads are paired.

Worlds: `one play` has twelve texts. `eight plays` are four in each of two languages with six texts each and few readers,
the odds of a play differing, too. In `benefits unrelated` a text that works with one benefit says nothing of another; in `all alike` no
text is better; in `plays unlike` the texts of half of the plays differ much and of the others not at all: there pooling
could hurt.
"""

import argparse
import json
from collections.abc import Iterator
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

from promolift.core.messages import Angle, PoolText, TextChooser, TextCounts, text_choice
from promolift.core.offers.terms import BenefitType
from promolift.foundation.localized_text import Language

BENEFITS: tuple[BenefitType, ...] = ("percent_off", "amount_off", "free_shipping")
ANGLES: tuple[Angle, ...] = ("generic", "favourite", "win_back", "try_new")
LANGUAGES: tuple[Language, ...] = ("en", "zh")
ROUNDS, BASE = 30, -2.94
POOLED, PLAY, CELL, EVENLY = "all counts", "this play alone", "this play and benefit alone", "evenly"


class World(NamedTuple):
    """Texts of each play, readers of each play and benefit a round, and the standard deviations of log odds: of a
    text (by turns from play to play), of a text with a benefit, and of a play."""

    plays: int
    texts: int
    readers: int
    spreads: tuple[float, ...]
    with_benefit: float
    of_play: float = 0.0


WORLDS = {
    "one play": World(1, 12, 200, (0.3,), 0.15),
    "eight plays": World(8, 6, 40, (0.3,), 0.15, 0.5),
    "benefits unrelated": World(1, 12, 200, (0.0,), 0.4),
    "all alike": World(8, 6, 40, (0.0,), 0.0, 0.5),
    "plays unlike": World(8, 6, 40, (0.6, 0.0), 0.15, 0.5),
}


def taken_up(world: World, seed: int, way: str) -> float:
    """Takers in a thousand readers."""
    rng = np.random.default_rng(seed)
    plays = [(angle, language) for language in LANGUAGES for angle in ANGLES][: world.plays]
    spread_P = np.resize(world.spreads, world.plays)
    odds_PVB = BASE + world.of_play * rng.normal(size=(world.plays, 1, 1))
    odds_PVB = odds_PVB + spread_P[:, None, None] * rng.normal(size=(world.plays, world.texts, 1))
    odds_PVB = odds_PVB + world.with_benefit * rng.normal(size=(world.plays, world.texts, len(BENEFITS)))
    prob_PVB = 1 / (1 + np.exp(-odds_PVB))
    texts = [
        tuple(
            PoolText(text_id=f"t{p}-{v}", angle=angle, language=language, title="{deal}", hook=f"{v}", state="approved")
            for v in range(world.texts)
        )
        for p, (angle, language) in enumerate(plays)
    ]
    every = tuple(text for several in texts for text in several)
    shown, taken, luck = np.zeros((2, *prob_PVB.shape), int), 0, np.random.default_rng(seed + 10**6)
    for _ in range(ROUNDS):
        counts = [
            TextCounts(texts[p][v].text_id, BENEFITS[b], *shown[:, p, v, b].tolist())
            for p, v, b in zip(*np.nonzero(shown[0]), strict=True)
        ]
        pooled = TextChooser(every, tuple(counts), seed)
        for p, (angle, language) in enumerate(plays):
            mine = tuple(each for each in counts if each.text_id.startswith(f"t{p}-"))
            for b, benefit in enumerate(BENEFITS):
                some = tuple(each for each in mine if each.benefit == benefit)
                chooser = {PLAY: TextChooser(texts[p], mine, seed), CELL: TextChooser(texts[p], some, seed)}.get(
                    way, pooled
                )
                if way == EVENLY:
                    share_V = np.full(world.texts, 1 / world.texts)
                else:
                    share_V = chooser.arms(angle, benefit, language).share_V
                at = np.searchsorted(share_V.cumsum() / share_V.sum(), luck.random(world.readers) * (1 - 1e-9))
                yes = luck.random(world.readers) < prob_PVB[p, at, b]
                shown[0, p, :, b] += np.bincount(at, minlength=world.texts)
                shown[1, p, :, b] += np.bincount(at, yes, world.texts).astype(int)
                taken += int(yes.sum())
    return 1000 * taken / (world.readers * ROUNDS * len(BENEFITS) * world.plays)


def leads(name: str, world: World, shops: int) -> Iterator[dict[str, object]]:
    """The lead of pooled counts over each other way."""
    ways = [POOLED, CELL, EVENLY] if world.plays == 1 else [POOLED, PLAY, CELL, EVENLY]
    found = {way: np.array([taken_up(world, seed, way) for seed in range(shops)]) for way in ways}
    if name == "one play":
        with patch.object(text_choice, "READ_ENOUGH", 10**9):
            found["none dropped"] = np.array([taken_up(world, seed, POOLED) for seed in range(shops)])
    for way, peer in found.items():
        if way != POOLED:
            lead = found[POOLED] - peer
            yield {"figure": "takers in a thousand readers while learning, lead", "value": round(float(lead.mean()), 2),
                   "se": round(float(lead.std(ddof=1)) / shops**0.5, 2), "unit": "readers", "peer": way,
                   "peer_value": round(float(peer.mean()), 2), "n": shops, "data": f"simulated, {name}"}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="6 shops in place of 60")
    shops = 6 if parser.parse_args().quick else 60
    for name, world in WORLDS.items():
        for line in leads(name, world, shops):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
