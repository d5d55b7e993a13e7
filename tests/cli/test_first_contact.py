"""Help and refusals are answered before the libraries of the models are loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_verbs import VERBS

# `import scipy` alone loads none of its parts (scipy.stats takes 0.6 s of a CPU, scipy 0.02)
SCIPY = ("scipy.stats", "scipy.special", "scipy.optimize", "scipy.sparse", "scipy.linalg")
MODELS = (*SCIPY, "sklearn", "pandas", "numba", "lightgbm", "torch")
TABLES = ("numpy", "scipy", "polars", "duckdb", "pyarrow", "fastapi", "sqlalchemy")

# Calls every command line of argv[1] in turn; prints as JSON its exit code, its text, what has been loaded so far.
CALLS = """
import contextlib, io, json, sys
from promolift.cli.application import main
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
# What each command line is answered with: the error's code (the parser's own have none) and a fact that it names.
REFUSALS = {
    "rnu": ("", "'rnu'"),
    "run": ("file_not_found", "promolift init"),
    "run -c key.toml": ("setting_unknown", "'plan'"),
    "run -c value.toml": ("setting_invalid", "plan.budget_cents = -1"),
    "run -c broken.toml": ("file_unreadable", "line 1, column 6"),
    "health -c without.toml": ("file_not_found", "gone.csv"),
    "ingest -c column.toml": ("column_unknown", "'user'"),
    "profile -c shop.toml --customer u1": ("step_missing", "promolift ingest"),
    "plan -c shop.toml": ("step_missing", "promolift ingest"),
    "plan -c shop.toml --limit nonsense": ("limit_syntax_invalid", "'nonsense'"),
    "report -c shop.toml": ("step_missing", "promolift ingest"),
    "evaluate --log gone.csv --policy logged": ("file_not_found", "gone.csv"),
    "words draft -c shop.toml": ("llm_not_configured", "message.writer"),
    "init --events gone.csv": ("file_not_found", "gone.csv"),
    "init --events here.csv -c shop.toml": ("file_exists", "--force"),
    "effect fit here.csv treatment=letter": ("setting_missing", "control"),
    "effect fit gone.csv treatment=letter control=no rates=bought": ("file_not_found", "gone.csv"),
    "effect fit here.csv traetment=letter": ("setting_unknown", "'treatment'"),
    "effect fit here.csv -c gone.toml": ("file_not_found", "gone.toml"),
    "effect fit here.csv treatment=letter control=no rates=bought": ("column_unknown", "'letter'"),
    "effect evaluate": ("step_missing", "promolift effect fit"),
    "effect explain": ("step_missing", "promolift effect fit"),
    "effect report": ("step_missing", "promolift effect fit"),
    "learn": ("option_missing", "--decisions FILE"),
    "learn --decisions gone.parquet": ("file_not_found", "gone.parquet"),
    "learn approve -c shop.toml": ("proposal_missing", "promolift learn"),
    "learn reject -c shop.toml": ("proposal_missing", "promolift learn"),
    "serve --settings key.toml": ("setting_unknown", "paln"),
    "serve --settings gone.toml": ("file_not_found", "gone.toml"),
    "simulate --months 0": ("setting_invalid", "months"),
    "simulate -c key.toml": ("setting_missing", "[simulate]"),
    "demo --data fashion": ("option_conflict", "hillstrom"),
    "demo --data hillstrom --path gone.csv": ("file_not_found", "gone.csv"),
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
    for (line, (code, fact)), (end, text, heavy) in zip(REFUSALS.items(), call(lines, MODELS, folder), strict=True):
        assert (line, text, end, heavy) == (line, text, 2, [])
        assert text.endswith(f" [{code}]") or not code, line
        assert fact in text, line
        assert text.count("\n") == 0 or line == "rnu"
