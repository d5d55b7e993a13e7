"""Every row of plays.tsv says where it was read; rows of public data are what the data say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from promolift.foundation.settings import read_tsv

ROOT = Path(__file__).parents[3]
ROWS = read_tsv("core/experiments/plays.tsv")


def test_every_row_names_its_source_and_how_it_was_read() -> None:
    assert len(ROWS) > 5
    for row in ROWS:
        play, audience, outcome, effect, se, n, source, how = row
        assert all((play, audience, outcome, effect, source))
        assert how.split()[0] in ("computed", "abstract", "abstract:")
        if how.startswith("computed"):
            assert float(se) > 0
            assert int(n) > 0


def test_rows_of_public_data_are_what_the_benchmark_prints() -> None:
    data = ROOT.parent / "shared/data"
    if not (data / "hillstrom.csv").exists() or not (data / "starbucks_train.csv").exists():
        pytest.skip("needs hillstrom.csv and starbucks_train.csv in ../shared/data")
    script = ROOT / "benchmarks/trials/play_priors.py"
    files = ["--hillstrom", data / "hillstrom.csv", "--starbucks", data / "starbucks_train.csv"]
    done = subprocess.run([sys.executable, script, *files], capture_output=True, text=True, check=True)
    printed = {(row["value"], row["se"]) for row in map(json.loads, done.stdout.splitlines())}
    for *_, effect, se, _, _, how in ROWS:
        if how.startswith("computed"):
            near = [each for each in printed if abs(each[0] / float(effect) - 1) < 0.01]
            assert [each for each in near if abs(each[1] / float(se) - 1) < 0.02]
