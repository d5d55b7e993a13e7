"""Help and refusals are answered before the libraries of the models are loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import VERBS

# `import scipy` alone loads none of its parts (scipy.stats takes 0.6 s of a CPU, scipy 0.02)
SCIPY = ("scipy.stats", "scipy.special", "scipy.optimize", "scipy.sparse", "scipy.linalg")
MODELS = (*SCIPY, "sklearn", "pandas", "numba", "lightgbm", "torch")
TABLES = ("numpy", "scipy", "polars", "duckdb", "pyarrow", "fastapi", "sqlalchemy")

# Calls every command line of argv[1] in turn; prints as JSON its exit code, its text, what has been loaded so far.
CALLS = """
import contextlib, io, json, sys
from promolift.cli import main
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main(arguments)
            code = None
        except SystemExit as end:
            code = end.code or 0
    heavy = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    print(json.dumps([code, (out.getvalue() + err.getvalue()).strip(), heavy]))
"""


def call(lines: list[list[str]], heavy: tuple[str, ...], folder: Path) -> list[tuple[int, str, list[str]]]:
    """Exit code, text and heavy modules of each command line, all called in one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(lines), json.dumps(heavy)],
        cwd=folder, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_the_help_of_every_verb_loads_no_library_of_tables_or_models(tmp_path: Path) -> None:
    lines = [["--help"], *([*name.split(), "--help"] for name in VERBS)]
    for line, (code, text, heavy) in zip(lines, call(lines, TABLES + MODELS, tmp_path), strict=True):
        assert (line, code, heavy) == (line, 0, [])
        assert "--help" in text


SHOP = """
[data.events]
path = "{events}"
[data.events.mapping]
columns = {{customer_id = "user", product_id = "item", time = "time", amount = "price"}}
"""
REFUSALS = {
    "rnu": "No such command",
    "run": "promolift init",
    "run -c key.toml": "did you mean 'plan'",
    "run -c value.toml": "plan.budget_cents = -1",
    "run -c broken.toml": "not valid TOML",
    "health -c without.toml": "gone.csv",
    "ingest -c column.toml": "user",
    "profile -c shop.toml --customer u1": "promolift ingest",
    "plan -c shop.toml": "promolift ingest",
    "plan -c shop.toml --limit nonsense": "write it like",
    "report -c shop.toml": "promolift ingest",
    "evaluate --log gone.csv --policy logged": "gone.csv",
    "words draft -c shop.toml": "writer",
    "init --events gone.csv": "gone.csv",
    "init --events here.csv -c shop.toml": "--force",
    "effect fit here.csv treatment=letter": "control",
    "effect fit gone.csv treatment=letter control=no rates=bought": "gone.csv",
    "effect fit here.csv traetment=letter": "did you mean 'treatment'",
    "effect fit here.csv -c gone.toml": "no such file",
    "effect fit here.csv treatment=letter control=no rates=bought": "letter",
    "effect evaluate": "promolift effect fit",
    "effect explain": "promolift effect fit",
    "effect report": "promolift effect fit",
    "learn": "--decisions FILE",
    "learn --decisions gone.parquet": "gone.parquet",
    "learn approve -c shop.toml": "promolift learn",
    "learn reject -c shop.toml": "promolift learn",
    "serve --settings key.toml": "paln",
    "serve --settings gone.toml": "gone.toml",
    "simulate --months 0": "months",
    "simulate -c key.toml": "[simulate]",
    "demo --data fashion": "hillstrom",
    "demo --data hillstrom --path gone.csv": "gone.csv",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings of every kind of wrong."""
    files = {
        "key.toml": "[paln]\n", "value.toml": SHOP.format(events="here.csv") + "[plan]\nbudget_cents = -1\n",
        "without.toml": SHOP.format(events="gone.csv"), "broken.toml": "[data\n",
        "shop.toml": SHOP.format(events="here.csv"),
        "column.toml": SHOP.format(events="other.csv"), "other.csv": "a,b\n1,2\n",
        "here.csv": "user,item,time,price\nu1,i1,2024-03-01 10:00:00,3\nu2,i1,2024-03-02 10:00:00,3\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_refusal_loads_no_library_of_models(folder: Path) -> None:
    lines = [line.split() for line in REFUSALS]
    for line, told, (code, text, heavy) in zip(REFUSALS, REFUSALS.values(), call(lines, MODELS, folder), strict=True):
        assert (line, text, code, heavy) == (line, text, 2, [])
        assert told in text, line
        assert text.count("\n") == 0 or line == "rnu"
