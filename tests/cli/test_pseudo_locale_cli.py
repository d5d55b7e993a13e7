"""What a command prints comes from the catalogue: run in a language that brackets every message, no word is outside.

Names of columns, files, offers, settings and codes stand without brackets, and so do the values of a shop.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from own_shop import write_shop
from pseudo_language import MESSAGE, WORD, pseudo_language, without_messages

from promolift.cli.application import main

COLUMN = re.compile(r"^  [a-z_]+ +(<-|=)  ?.*$", re.MULTILINE)  # a role, the column that has it, and its values
CODE = re.compile(r"\[[a-z_]+\]$", re.MULTILINE)  # of an error
FILE = re.compile(r"[\w./-]+\.(csv|html|parquet|toml|zip|jsonl)|\b(USD|UTC)\b")  # and what a currency and a zone are
ERROR = re.compile(r"^⟦error: (.*)⟧(?= \[)", re.MULTILINE | re.DOTALL)


def outside(text: str) -> list[str]:
    """Return the lines of an output that have words outside messages."""
    text = ERROR.sub(r"\1", text)  # its message stands in brackets of its own
    text = FILE.sub(" ", CODE.sub(" ", COLUMN.sub(" ", text)))
    return [line for line in without_messages(text).splitlines() if WORD.search(line)]


@pytest.fixture
def pseudo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show every message in brackets."""
    with pseudo_language(monkeypatch):
        yield


def check_commands(commands: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Run commands in turn; what each prints must be messages, and something must be printed."""
    found = dict[str, list[str]]()
    for command in commands:
        with pytest.raises(SystemExit) as end:
            main(command.split())
        printed = capsys.readouterr()
        assert end.value.code in (0, None, 2), (command, printed.err)
        assert MESSAGE.search(printed.out + printed.err), command
        if lines := outside(printed.out + printed.err):
            found[command] = lines
    assert not found, "\n".join(f"{command}: {line}" for command, lines in found.items() for line in lines)


def test_a_planted_word_is_found(pseudo: None) -> None:
    assert outside("⟦error: ⟦a message⟧⟧ [code_of_it]\n  amount  <- price  (1.00)\n") == []
    assert outside("⟦Report: x.html⟧ and more\n") == ["  and more"]
    assert outside("⟦error: a text⟧ [code_of_it]\n") == ["a text  "]


SHOP = (
    "init --events events.csv --products products.csv --customers customers.csv --promotions promotions.csv",
    "doctor", "migrate", "next", "ingest", "health", "profile", "plays", "effect", "plan", "message", "next", "report",
    "fairness", "decide -o decisions.csv", "contacts", "evidence", "evidence --verify evidence.zip", "privacy",
    "words list", "words export texts.csv", "words import texts.csv --by Ann", "learn", "learn show", "learn approve",
    "learn reject", "erase C000104", "erase --old", "ledger verify", "evaluate",
)  # fmt: skip
REFUSED = (
    "init --events events.csv", "ingest -c nowhere.toml", "plan -c empty.toml", "decide -o decisions.txt",
    "profile --customer nobody", "erase", "evaluate --learn", "words import nowhere.csv --by Ann",
    "effect fit nowhere.csv", "learn --decisions nowhere.parquet", "plan --budget -1", "plan --limit cheap",
    "words voice", "words judge", "contacts --work nowhere", "ledger restore nowhere", "demo --data nothing",
)  # fmt: skip


def test_the_commands_of_a_shop_print_messages_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pseudo: None
) -> None:
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path, customers=120, weeks=30)
    (tmp_path / "empty.toml").write_text("[plan", "utf-8")
    check_commands((*SHOP, *REFUSED), capsys)


TRIAL = (
    "effect fit trial.csv treatment=arm control=none rates=visited money=spent planned=equal",
    "effect evaluate", "effect explain", "effect report",
)  # fmt: skip


def test_the_commands_of_a_trial_print_messages_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pseudo: None
) -> None:
    monkeypatch.chdir(tmp_path)
    rng, customers = np.random.default_rng(0), 1200
    arm = rng.choice(["none", "mail", "letter"], customers)
    visited = rng.random(customers) < 0.2 + 0.1 * (arm != "none")
    pl.DataFrame({
        "customer": np.arange(customers), "arm": arm, "age": rng.integers(18, 80, customers),
        "visited": visited.astype(int), "spent": (visited * rng.gamma(2, 20, customers)).round(2),
    }).write_csv(tmp_path / "trial.csv")  # fmt: skip
    check_commands(TRIAL, capsys)


def test_the_values_of_logged_decisions_are_printed_as_messages_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pseudo: None
) -> None:
    monkeypatch.chdir(tmp_path)
    rng, decisions = np.random.default_rng(0), 2000
    offer = rng.choice(["1", "2"], decisions)
    pl.DataFrame({
        "decision_id": np.arange(decisions).astype(str), "customer_id": np.arange(decisions).astype(str), "ts": 1,
        "offer_id": offer, "propensity": 0.5, "reward": rng.gamma(2, 1, decisions) + (offer == "2"),
        "cost": 0.1, "x": rng.normal(size=decisions),
    }).write_parquet(tmp_path / "log.parquet")  # fmt: skip
    check_commands(
        ("evaluate --log log.parquet --policy logged --policy uniform --policy always:2",
         "evaluate --log log.parquet --policy always:2 --budget 50 --none 1",
         "evaluate --log log.parquet --learn --features x"), capsys,
    )  # fmt: skip
