"""Compare ways to choose among texts: how many readers take an offer up while the shop learns which texts work.

    python benchmarks/core/text_choice.py [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. All is simulated. Twelve texts of one reason go out
with three kinds of benefit, 200 readers of each a round, for thirty rounds; 1 in 20 readers take the offer up on average, a
text's log odds differ with a standard deviation of 0.3, and by half of that again between kinds of benefit. The same
readers meet `TextChooser`, the same without counts of other kinds of benefit, and texts drawn evenly; leads are paired.
"""

import argparse
import json
from unittest.mock import patch

import numpy as np

from promolift.core.messages import PoolText, TextChooser, TextCounts, text_choice
from promolift.core.offers.terms import BenefitType

BENEFITS: tuple[BenefitType, ...] = ("percent_off", "amount_off", "free_shipping")
TEXTS, READERS, ROUNDS, SPREAD, BASE = 12, 200, 30, 0.3, -2.94


def taken_up(seed: int, way: str) -> float:
    """Takers in a thousand readers."""
    rng = np.random.default_rng(seed)
    odds_VB = BASE + SPREAD * (rng.normal(size=(TEXTS, 1)) + 0.5 * rng.normal(size=(TEXTS, len(BENEFITS))))
    prob_VB = 1 / (1 + np.exp(-odds_VB))
    texts = tuple(
        PoolText(text_id=f"t{n}", angle="generic", language="en", title="{deal}", hook=f"{n}", state="approved")
        for n in range(TEXTS)
    )
    shown, taken, luck = np.zeros((2, TEXTS, len(BENEFITS)), int), 0, np.random.default_rng(seed + 10**6)
    for _ in range(ROUNDS):
        counts = tuple(
            TextCounts(f"t{v}", benefit, *shown[:, v, b].tolist())
            for v in range(TEXTS) for b, benefit in enumerate(BENEFITS) if shown[0, v, b]
        )  # fmt: skip
        for b, benefit in enumerate(BENEFITS):
            mine = counts if way != "this benefit alone" else tuple(each for each in counts if each.benefit == benefit)
            arms = TextChooser(texts, mine, seed).arms("generic", benefit, "en")
            share_V = np.full(TEXTS, 1 / TEXTS) if way == "evenly" else arms.share_V / arms.share_V.sum()
            at = np.searchsorted(share_V.cumsum(), luck.random(READERS) * (1 - 1e-9))
            yes = luck.random(READERS) < prob_VB[at, b]
            shown[0, :, b] += np.bincount(at, minlength=TEXTS)
            shown[1, :, b] += np.bincount(at, yes, TEXTS).astype(int)
            taken += int(yes.sum())
    return 1000 * taken / (READERS * ROUNDS * len(BENEFITS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 shops in place of 60")
    shops = 10 if parser.parse_args().quick else 60
    found = {way: np.array([taken_up(seed, way) for seed in range(shops)])
             for way in ("all counts", "this benefit alone", "evenly")}  # fmt: skip
    with patch.object(text_choice, "READ_ENOUGH", 10**9):
        found["none dropped"] = np.array([taken_up(seed, "all counts") for seed in range(shops)])
    for way in ("this benefit alone", "none dropped", "evenly"):
        lead = found["all counts"] - found[way]
        line = {"figure": "takers in a thousand readers while learning, lead", "value": round(float(lead.mean()), 2),
                "se": round(float(lead.std(ddof=1)) / shops**0.5, 2), "unit": "readers", "peer": way,
                "peer_value": round(float(found[way].mean()), 2), "n": shops, "data": "simulated, 12 texts"}  # fmt: skip
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
