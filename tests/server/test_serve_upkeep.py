"""A ledger is backed up while a server runs, put back whole or not at all, checked, and freed of what is too old."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from error_checks import raises_code
from serve_helpers import PEOPLE, Api, claim, coded, released, serving
from sqlalchemy import func, select, update

from promolift.cli.application import main
from promolift.server.ledger.schema import DECISIONS, EVENTS, REDEMPTIONS, REJECTS, USAGE
from promolift.server.settings import ServeSettings
from promolift.server.tasks import maintenance
from promolift.shop.configuration.configuration import Config

LIMIT = {"limit_id": "l", "metric": "discount_amount", "amount": 900}


def stated(work: Path, **more: Any) -> ServeSettings:
    return ServeSettings.parse({"work": work} | more, "test")


def used(api: Api) -> None:
    """Some of everything."""
    coded(api)
    api("PATCH", "/v1/campaigns/cmp_test", {"limits": [LIMIT]})
    for who in PEOPLE[:5]:
        api.decide(who)
    api("POST", "/v1/redemptions:reserve", claim(1))
    api("POST", "/v1/batch", {"batch": [{"type": "track", "userId": "u01", "event": "x"}, 5]}, 202)


def count(api: Api, table: Any) -> int:
    with api.server.ledger.read() as db:
        return int(db.execute(select(func.count()).select_from(table)).scalar_one())


def test_a_backup_of_a_running_server_is_put_back_and_goes_on(
    api: Api, shop: tuple[Path, Config], tmp_path: Path
) -> None:
    used(api)
    settings = stated(api.server.settings.work)
    made = maintenance.backup(settings, tmp_path / "copy")
    assert made.figures["files"] > 3
    with raises_code("file_exists", str(tmp_path / "copy")):
        maintenance.backup(settings, tmp_path / "copy")
    with raises_code("file_exists", str(settings.work / "serve" / "ledger.db")):
        maintenance.restore(settings, tmp_path / "copy")
    new = stated(tmp_path / "new")
    maintenance.restore(new, tmp_path / "copy")
    assert maintenance.verify(new).figures == {"step": "ledger verify", "sound": True, "faults": [], "releases": 1}
    with serving(new.work, shop[1]) as again:
        again.key = api.key
        assert again("GET", "/v1/redemptions/rdm_1")["status"] == "reserved"
        again.decide("u09")


def test_a_backup_that_is_cut_or_changed_is_not_put_back(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = stated(api.server.settings.work)
    monkeypatch.setattr(maintenance, "_sync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        maintenance.backup(settings, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    monkeypatch.undo()
    maintenance.backup(settings, tmp_path / "copy")
    ledger = tmp_path / "copy" / "ledger.db"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:-1] + b"?")
    with raises_code("file_changed", str(ledger)):
        maintenance.restore(stated(tmp_path / "new"), tmp_path / "copy")
    ledger.write_bytes(whole)
    (tmp_path / "new" / "serve").mkdir(parents=True)
    monkeypatch.setattr(maintenance, "_sync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        maintenance.restore(stated(tmp_path / "new"), tmp_path / "copy")
    assert not list((tmp_path / "new" / "serve").iterdir())
    monkeypatch.undo()
    maintenance.restore(stated(tmp_path / "new"), tmp_path / "copy")


def test_what_is_not_sound_is_named(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    used(api)
    change = update(USAGE).values(held=7)
    api.server.ledger.write(lambda db, some: [db.execute(change) and None for _ in some])
    work = api.server.settings.work
    (release_id,) = api.server.decider.releases
    place = work / "serve" / "releases" / release_id
    place.rename(place.with_name("away"))
    with pytest.raises(SystemExit) as stop:
        main(["ledger", "verify", "--work", str(work), "--json"])
    assert stop.value.code == 2
    *limits, release = json.loads(capsys.readouterr().out)["faults"]
    assert any("'l'" in limit for limit in limits)
    assert release_id in release


def test_what_is_too_old_goes_and_what_is_needed_stays(api: Api, tmp_path: Path) -> None:
    used(api)
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    use = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 1}
    api("POST", "/v1/redemptions:reserve", use)
    work = api.server.settings.work
    tables = EVENTS, REJECTS, DECISIONS
    maintenance.purge(stated(work))
    assert all(count(api, table) for table in tables)
    unused = work / "serve" / "releases" / "rel_old"
    unused.mkdir()
    os.utime(unused, (1, 1))
    keep = {"events_days": 1e-9, "rejects_days": 1e-9, "decisions_days": 1e-9, "releases_days": 1.0}
    sleep(0.01)
    gone = maintenance.purge(stated(work, keep=keep)).figures["deleted"]
    assert (gone["events"], gone["rejects"], gone["releases"]) == (1, 1, 1)
    assert [count(api, table) for table in tables] == [0, 0, 1]  # the one that was redeemed
    assert not unused.exists()
    assert count(api, REDEMPTIONS) == 2
    assert maintenance.verify(stated(work)).figures["sound"]


def test_a_purge_that_is_killed_in_the_middle_leaves_a_sound_ledger(folder: Path, shop: tuple[Path, Config]) -> None:
    with serving(folder, shop[1]) as api:
        released(api)
        used(api)
    path = folder / "serve" / "ledger.db"
    rows = [(f"m{n}", "u", 1, 1, "x", "{}") for n in range(60_000)]
    columns = "message_id, customer_id, ts_ms, received_ms, name, body"
    with sqlite3.connect(path) as db:
        db.executemany(f"insert into events ({columns}) values (?, ?, ?, ?, ?, ?)", rows)
    db.close()
    settings = folder / "serve.toml"
    settings.write_text("[keep]\nevents_days = 30\n", encoding="ascii")
    command = [
        sys.executable,
        "-m",
        "promolift.cli.application",
        "ledger",
        "purge",
        "--work",
        str(folder),
        "-c",
        str(settings),
    ]
    left = 60_001
    with subprocess.Popen(command) as process:
        while left > 50_000 and process.poll() is None:
            with sqlite3.connect(path) as db:
                (left,) = db.execute("select count(*) from events").fetchone()
            db.close()
        process.send_signal(signal.SIGKILL)
    assert maintenance.verify(stated(folder)).figures["sound"]
    maintenance.purge(stated(folder, keep={"events_days": 30}))
    with sqlite3.connect(path) as db:
        assert db.execute("select count(*) from events").fetchone() == (1,)
    db.close()


def killed(folder: Path, size: float, *verb: object) -> bool:
    """Run a verb and kill it once so many bytes lie in the folder; whether it was still at work."""
    with subprocess.Popen([sys.executable, "-m", "promolift.cli", "ledger", *map(str, verb)]) as process:
        until = monotonic() + 120
        while process.poll() is None and monotonic() < until and written(folder) < size:
            sleep(0.0005)
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
    return alive


def written(folder: Path) -> int:
    """Bytes of all files below it, of which some may be about to be renamed; -1 without it."""
    total = 0 if folder.exists() else -1
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@pytest.mark.slow
def test_a_backup_or_a_restore_that_is_killed_leaves_a_whole_one_or_none(
    folder: Path, shop: tuple[Path, Config], tmp_path: Path
) -> None:
    with serving(folder, shop[1]) as api:
        released(api)
        used(api)
    path = folder / "serve" / "ledger.db"
    rows = [(f"m{n}", "u", 1, 1, "x", "{}" + " " * 400) for n in range(200_000)]
    columns = "message_id, customer_id, ts_ms, received_ms, name, body"
    with sqlite3.connect(path) as db:
        db.executemany(f"insert into events ({columns}) values (?, ?, ?, ?, ?, ?)", rows)
    db.close()

    def check_whole(work: Path) -> None:
        assert maintenance.verify(stated(work)).figures["sound"]
        with sqlite3.connect(work / "serve" / "ledger.db") as db:
            assert db.execute("select count(*) from events").fetchone() == (len(rows) + 1,)
        db.close()

    out, new, cut = tmp_path / "out", tmp_path / "new", {"backup": 0, "restore": 0}
    copy, size = out / "copy", path.stat().st_size
    for share in (0.0, 0.2, 0.7, 1.0):
        cut["backup"] += killed(out, share * size, "backup", copy, "--work", folder)
        if copy.exists():  # it was whole before the kill came
            maintenance.restore(stated(tmp_path / f"whole_{share}"), copy)
            check_whole(tmp_path / f"whole_{share}")
            shutil.rmtree(copy)
    maintenance.backup(stated(folder), copy)
    for share in (0.0, 0.2, 0.7, 1.0):
        cut["restore"] += killed(new, share * size, "restore", copy, "--work", new)
        if (new / "serve").exists():
            check_whole(new)
            shutil.rmtree(new)
    maintenance.restore(stated(new), copy)
    check_whole(new)
    assert min(cut.values()) > 2, cut
