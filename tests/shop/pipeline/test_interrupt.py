"""Ctrl-C in any verb, wherever it stands, also inside a query: one line, code 130, and the same command goes on."""

import os
import signal
import threading
from pathlib import Path

import duckdb
import pytest

from promolift.cli.application import main

GOOD = "user_id,event_time,event_type,product_id,price\nu1,2024-03-01 10:00:00,purchase,p1,9.99\n"
LONG = "select count(*) from range(1000000000) a, range(1000) b where hash(a.range, b.range) % 7 = 3"


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


def query(_: object, *__: object, **___: object) -> None:
    """Work that takes an hour, until it is interrupted from outside."""
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    duckdb.connect(config={"threads": 1}).execute(LONG).fetchall()


def pressed(_: object, *__: object, **___: object) -> None:
    """The same between two queries; what cleans up after it fails, too."""
    try:
        raise KeyboardInterrupt
    finally:
        raise RuntimeError("the connection is closed")


@pytest.mark.parametrize("work", [query, pressed])
@pytest.mark.parametrize(
    ("verb", "place"),
    [
        ("ingest", "promolift.shop.pipeline.steps.ingest.run"),
        ("init", "promolift.shop.ingest.setup.initialisation.guess_tables"),
    ],
)
def test_an_interruption_is_one_line_and_code_130(
    work: object,
    verb: str,
    place: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "e.csv").write_text(GOOD)
    config = ["--config", str(tmp_path / "promolift.toml")]
    assert call("init", "--events", str(tmp_path / "e.csv"), *config) == 0
    more = ["--events", str(tmp_path / "e.csv"), "--force"] if verb == "init" else ["--work", str(tmp_path / "w")]
    capsys.readouterr()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with monkeypatch.context() as patch:
            patch.setattr(place, work)
            assert call(verb, *config, *more) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if not line.startswith("ingest ")] == [
        "interrupted; finished steps are kept, run the same command again to go on"
    ]
    assert call(verb, *config, *more) == 0
