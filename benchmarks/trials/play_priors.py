"""Public experiments of e-mail and offers, as rows of plays.tsv: what a play adds per customer, with its standard error.

    python benchmarks/trials/play_priors.py --hillstrom hillstrom.csv --starbucks starbucks_train.csv

Hillstrom (MineThatData, 2008): 64,000 customers who bought within 12 months, an e-mail or none at random, two weeks of
outcomes. Starbucks (take-home data set of Udacity): a promotion or none at random, one purchase or none. The data are not
part of this repository. Prints JSON lines: play, outcome, effect, se, n, base (the mean of those who got nothing).
"""

import argparse
import json
from pathlib import Path

import polars as pl


def emit(play: str, outcome: str, treated: pl.Series, control: pl.Series) -> None:
    """Print a difference of means (Welch)."""
    effect = treated.mean() - control.mean()  # type: ignore[operator]
    se = (treated.var() / len(treated) + control.var() / len(control)) ** 0.5  # type: ignore[operator]
    row = {"play": play, "outcome": outcome, "effect": round(effect, 5), "se": round(se, 5)}
    print(json.dumps(row | {"n": len(treated) + len(control), "base": round(control.mean(), 5)}))  # type: ignore[arg-type]


def main() -> None:
    """Print the rows of both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hillstrom", type=Path, required=True)
    parser.add_argument("--starbucks", type=Path, required=True)
    asked = parser.parse_args()
    mail = pl.read_csv(asked.hillstrom, infer_schema_length=None)
    parts = {
        "all": pl.lit(True),
        "1 to 6 months ago": pl.col("recency") <= 6,
        "7 to 12 months ago": pl.col("recency") > 6,
    }
    for name, part in parts.items():
        rows = mail.filter(part)
        none, sent = rows.filter(segment="No E-Mail"), rows.filter(pl.col("segment") != "No E-Mail")
        for outcome in ("visit", "conversion", "spend"):
            emit(f"e-mail without a discount, bought: {name}", outcome, sent[outcome], none[outcome])
    offers = pl.read_csv(asked.starbucks)
    emit("promotion", "purchase", *(offers.filter(Promotion=each)["purchase"] for each in ("Yes", "No")))


if __name__ == "__main__":
    main()
