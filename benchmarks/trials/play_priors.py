"""Public experiments of e-mail and offers, as rows of plays.tsv: what a play adds per customer, with its standard error.

    python benchmarks/trials/play_priors.py [--quick] [--hillstrom FILE] [--starbucks FILE]

Hillstrom (MineThatData, 2008): 64,000 customers who bought within 12 months, an e-mail or none at random, two weeks of
outcomes. Starbucks (take-home data set of Udacity): a promotion or none at random, one purchase or none. The data are not
part of this repository; a file that is not given is skipped with a line that says so. Prints JSON lines; `peer_value` is
the mean of those who got nothing.
"""

import argparse
import json
from pathlib import Path

import polars as pl


def emit(play: str, unit: str, data: str, treated: pl.Series, control: pl.Series) -> None:
    """Print a difference of means (Welch)."""
    effect = treated.mean() - control.mean()  # type: ignore[operator]
    se = (treated.var() / len(treated) + control.var() / len(control)) ** 0.5  # type: ignore[operator]
    row = {
        "figure": f"effect of {play}",
        "value": round(effect, 5),
        "se": round(se, 5),
        "unit": unit,
        "peer": "nothing sent",
    }
    count = len(treated) + len(control)
    print(json.dumps(row | {"peer_value": round(control.mean(), 5), "n": count, "data": data}))  # type: ignore[arg-type]


def print_hillstrom(path: Path) -> None:
    """An e-mail without a discount, by how long ago customers bought."""
    mail = pl.read_csv(path, infer_schema_length=None)
    parts = {
        "all": pl.lit(True),
        "1 to 6 months ago": pl.col("recency") <= 6,
        "7 to 12 months ago": pl.col("recency") > 6,
    }
    for name, part in parts.items():
        rows = mail.filter(part)
        none, sent = rows.filter(segment="No E-Mail"), rows.filter(pl.col("segment") != "No E-Mail")
        for outcome, unit in (("visit", "share"), ("conversion", "share"), ("spend", "USD")):
            emit(f"an e-mail on {outcome}, bought: {name}", unit, "Hillstrom", sent[outcome], none[outcome])


def main() -> None:
    """Print the rows of the files that are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hillstrom", type=Path, help="the e-mail campaign as CSV")
    parser.add_argument("--starbucks", type=Path, help="the training file as CSV")
    parser.add_argument("--quick", action="store_true", help="the same: it takes a second")
    given = parser.parse_args()
    if given.hillstrom:
        print_hillstrom(given.hillstrom)
    else:
        print(json.dumps({"skipped": "Hillstrom's campaign: give --hillstrom FILE"}))
    if given.starbucks:
        offers = pl.read_csv(given.starbucks)
        arms = (offers.filter(Promotion=each)["purchase"] for each in ("Yes", "No"))
        emit("a promotion on purchase", "share", "Starbucks", *arms)
    else:
        print(json.dumps({"skipped": "Starbucks' promotion: give --starbucks FILE"}))


if __name__ == "__main__":
    main()
