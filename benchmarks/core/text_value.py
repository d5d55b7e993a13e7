"""How often the interval of a text's value per message holds the truth, in simulated worlds.

    python benchmarks/core/text_value.py [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. In each world a share of customers is held out and two texts are
drawn by shares that differ between two kinds of offer; spending is skewed, and customers of one kind spend more. A message with
one text adds 300 cents, with the other nothing. The peer leaves the propensities out: it compares all readers of a text with all held out.
"""

import argparse
import json

import numpy as np
import polars as pl

from promolift.core.messages.text_value import estimate_text_values

GAINS = {"a": 300.0, "b": 0.0}
AIM = 0.95


def world(seed: int, customers: int = 3000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    dear, held = rng.random(customers) < 0.3, rng.random(customers) < 0.2
    share = np.where(dear, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))
    name = np.where(rng.random(customers) < share, "a", "b")
    before = rng.gamma(1.0, 2000, customers)
    value = 0.5 * before + rng.gamma(0.5, 3000, customers) + 4000 * dear
    value = value + np.where(held, 0.0, np.where(name == "a", GAINS["a"], GAINS["b"]))
    return pl.DataFrame({
        "angle": "generic", "language": "en", "benefit": "percent_off", "covers": "", "goods": "",
        "scope": np.where(dear, "product", "all"), "held": held, "value": value, "value_before": before,
        "text_id": name, "propensity": np.where(name == "a", share, 1 - share), "cost": 0.0, "predicted": 200.0,
    })  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 worlds in place of 3,000")
    worlds = 200 if parser.parse_args().quick else 3000
    inside: dict[str, list[bool]] = {name: [] for name in ("weighted", "unweighted")}
    for seed in range(worlds):
        rows = world(seed)
        for name, some in (("weighted", rows), ("unweighted", rows.with_columns(propensity=0.5))):
            for each in estimate_text_values(some):
                low, high = each.low, each.high
                inside[name].append(low is not None and high is not None and low <= GAINS[each.text_id] <= high)
    share, peer = (float(np.mean(inside[name])) for name in ("weighted", "unweighted"))
    n = len(inside["weighted"])
    line = {"figure": "95 % intervals of a text's value per message that hold the truth", "value": round(share, 4),
            "se": round((share * (1 - share) / n) ** 0.5, 4), "unit": "share", "peer": "without propensities",
            "peer_value": round(peer, 4), "aim": AIM, "n": n, "data": "simulated, 3,000 customers a world"}  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    main()
