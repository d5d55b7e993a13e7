"""A hostile backup writes nowhere but where a server looks for it, and a damaged ledger is named, never served."""

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from error_checks import raises_code
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from serve_helpers import Api, claim, coded, serving
from sqlalchemy import select, update

from promolift.cli.application import main
from promolift.foundation.errors import PromoError
from promolift.foundation.hashing import sha256_of_file
from promolift.server.api.server import Server
from promolift.server.ledger.limits.redemption_transaction import expire_reservations
from promolift.server.ledger.schema import REDEMPTIONS
from promolift.server.settings import ServeSettings
from promolift.server.tasks import maintenance
from promolift.server.tasks.audited_state import find_unaudited

QUIET = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
PARTS = st.sampled_from(
    ["..", ".", "", "releases", "rel_1", "plan.parquet", "ledger.db", "secret.key", "C:", "c:\\x", "..\\..", "nul",
     "NUL.txt", "com1", "a:stream", "end.", "end ", "\\\\host\\share", "evil", "\x00", "~", "releases\\..\\..\\evil",
     "％2e％2e", "..;", "été"]
)  # fmt: skip
NAMES = st.builds(
    lambda start, parts: start + "/".join(parts),
    st.sampled_from(["", "/", "//", "\\", "releases/", "releases/../", "./"]),
    st.lists(PARTS | st.text(max_size=8), min_size=1, max_size=5),
)


def stated(work: Path) -> ServeSettings:
    return ServeSettings.parse({"work": work}, "test")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder whose ledger has some of everything, and lies in one file."""
    work = tmp_path_factory.mktemp("used") / "work"
    with serving(work) as api:
        coded(api, 0, 200)
        api("PUT", "/v1/campaigns/cmp_test", {"limits": [{"limit_id": "l", "metric": "redemptions", "amount": 9}]})
        for first in range(0, 2000, 500):
            events = [{"type": "track", "userId": f"u{n}", "event": f"e {n}"} for n in range(first, first + 500)]
            api("POST", "/v1/batch", {"batch": events}, 202)
    with closing(sqlite3.connect(work / "serve" / "ledger.db")) as db:
        db.execute("pragma journal_mode = delete")
    return work


@pytest.fixture(scope="module")
def copied(used: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it with one release."""
    to = tmp_path_factory.mktemp("copied") / "copy"
    (used / "serve" / "releases" / "rel_1").mkdir(parents=True, exist_ok=True)
    (used / "serve" / "releases" / "rel_1" / "plan.parquet").write_bytes(b"plan")
    maintenance.backup(stated(used), to)
    return to


def listing(copy: Path, **files: Path) -> None:
    """Let the manifest name these files too, with their true hashes."""
    path = copy / "manifest.json"
    note = json.loads(path.read_text("utf-8"))
    note["files"] |= {name: sha256_of_file(file) for name, file in files.items()}
    path.write_text(json.dumps(note), "utf-8")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command_line_puts_no_file_outside_its_folder(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(copied, tmp_path / "a" / "copy")
    (tmp_path / "a" / "planted").write_bytes(b"evil")
    listing(copy, **{"../planted": tmp_path / "a" / "planted"})
    with pytest.raises(SystemExit) as stop:
        main(["ledger", "restore", str(copy), "--work", str(tmp_path / "new")])
    assert stop.value.code == 2
    assert "[backup_invalid]" in capsys.readouterr().err
    assert [path.parent.name for path in tmp_path.rglob("planted")] == ["a"]
    assert not (tmp_path / "new" / "serve").exists()


@QUIET
@given(names=st.lists(NAMES, min_size=1, max_size=3), absolute=st.booleans())
def test_no_name_in_a_backup_leads_out_of_the_folder(
    copied: Path, tmp_path_factory: pytest.TempPathFactory, names: list[str], absolute: bool
) -> None:
    """Law: whatever a manifest names, all files that come to be lie in the work folder, by a backup's names."""
    root = tmp_path_factory.mktemp("drawn")
    copy, new = shutil.copytree(copied, root / "in" / "copy"), root / "out" / "deep" / "new"
    (root / "in" / "evil").write_bytes(b"evil")
    for name in (*names, str(root / "in" / "evil"))[: None if absolute else -1]:
        with suppress(OSError, ValueError):  # the file is there for whatever joins the name to the folder
            path = copy / name
            if root in path.resolve().parents and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"evil")
            listing(copy, **{name: path})
    before = files_of(root / "in")
    with suppress(PromoError):
        maintenance.restore(stated(new), copy)
    assert files_of(root / "in") == before
    allowed = {"secret.key", "serve/ledger.db", "serve/manifest.json"}
    for name in files_of(root / "out"):
        assert name.startswith("deep/new/"), name
        inside = name.removeprefix("deep/new/")
        assert inside in allowed or inside.startswith("serve/releases/"), name
        assert "\\" not in name, name
        assert ":" not in name, name


@pytest.mark.parametrize("link", ["releases/rel_1/plan.parquet", "releases/rel_1", "releases", "secret.key"])
def test_a_link_in_a_backup_is_not_followed(copied: Path, tmp_path: Path, link: str) -> None:
    copy = shutil.copytree(copied, tmp_path / "copy")
    (copy / link).rename(tmp_path / "elsewhere")
    (copy / link).symlink_to(tmp_path / "elsewhere")
    with raises_code("backup_invalid", link):
        maintenance.restore(stated(tmp_path / "new"), copy)
    assert not (tmp_path / "new" / "serve").exists()


@pytest.mark.parametrize("gone", ["ledger.db", "secret.key"])
def test_a_backup_without_its_ledger_or_key_is_none(copied: Path, tmp_path: Path, gone: str) -> None:
    copy = shutil.copytree(copied, tmp_path / "copy")
    note = json.loads((copy / "manifest.json").read_text("utf-8"))
    del note["files"][gone]
    (copy / "manifest.json").write_text(json.dumps(note), "utf-8")
    (copy / gone).unlink()
    with raises_code("backup_invalid", gone):
        maintenance.restore(stated(tmp_path / "new"), copy)


def test_a_folder_that_is_not_empty_is_left_as_it_is(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "new" / "serve" / "learn").mkdir(parents=True)
    with raises_code("file_exists", "serve"):
        maintenance.restore(stated(tmp_path / "new"), copied)
    assert not (tmp_path / "new" / "secret.key").exists()


def test_a_backup_is_not_put_where_a_link_leads(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "new/serve").symlink_to(tmp_path / "elsewhere")
    with raises_code("file_exists", "serve", "link"):
        maintenance.restore(stated(tmp_path / "new"), copied)
    assert not list((tmp_path / "elsewhere").iterdir())
    (tmp_path / "other/serve").mkdir(parents=True)
    (tmp_path / "other/serve/ledger.db").symlink_to(tmp_path / "nowhere")
    with raises_code("file_exists", "ledger.db"):
        maintenance.restore(stated(tmp_path / "other"), copied)


def changed(used: Path, to: Path, change: Callable[[bytearray], object]) -> Path:
    """The work folder with other bytes in its ledger."""
    (to / "serve").mkdir(parents=True)
    shutil.copy(used / "secret.key", to)
    content = bytearray((used / "serve" / "ledger.db").read_bytes())
    change(content)
    (to / "serve" / "ledger.db").write_bytes(content)
    return to


def found(work: Path) -> list[Any]:
    """The faults that `ledger verify` names; it raises nothing but an error for people."""
    try:
        return list(maintenance.verify(stated(work)).figures["faults"])  # type: ignore[call-overload]
    except PromoError as error:
        return [error.code]


def starts(work: Path) -> bool:
    """Whether a server starts and is ready; where it does not start, it says why by a code."""
    code, sound = "", False
    try:
        with closing(Server(stated(work))) as server:
            server.check_rows()
            sound = not server.row_faults
    except PromoError as error:
        code = error.code
    assert not code or code.startswith("ledger_"), code
    return sound


@pytest.mark.parametrize("cuts", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_a_ledger_that_was_cut_anywhere_is_unsound_and_is_not_served(used: Path, tmp_path: Path, cuts: int) -> None:
    """Law: of a ledger's first n bytes, for every n below its size, `verify` names a fault and no server starts."""
    size = (used / "serve" / "ledger.db").stat().st_size
    for n in sorted({0, 1, 99, 100, size - 1, size - 4096, *range(0, size, size // cuts | 1)}):
        work = changed(used, tmp_path / str(n), lambda content, n=n: content.__delitem__(slice(n, None)))  # type: ignore[misc]
        assert found(work), n
        assert not starts(work), n
        for verb in (partial(maintenance.backup, to=tmp_path / f"copy {n}"), maintenance.purge):
            with raises_code("ledger_damaged", "ledger.db"):
                verb(stated(work))
        shutil.rmtree(work)


@pytest.mark.parametrize("seed", range(8))
def test_a_ledger_with_thirty_torn_places_is_not_served(used: Path, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)

    def tear(content: bytearray) -> None:
        for _ in range(30):
            at = draw.randrange(100, len(content) - 512)
            content[at : at + 512] = draw.randbytes(512) if seed % 2 else bytes(512)

    work = changed(used, tmp_path / "work", tear)
    assert found(work)
    assert not starts(work)


@pytest.mark.parametrize("seed", range(4))
def test_thirty_places_torn_within_texts_are_not_ready(used: Path, tmp_path: Path, seed: int) -> None:
    """The database is sound then, since it keeps no checksums; what its rows say of each other is not."""
    draw = random.Random(seed)

    def tear(content: bytearray) -> None:
        places = [each.start() for each in re.finditer(rb'"action":"|,"at":1|"amount":|"code":"', bytes(content))]
        for at in draw.sample(places, min(30, len(places))):
            content[at + 2] ^= 1

    work = changed(used, tmp_path / "work", tear)
    assert not [each for each in found(work) if str(each).startswith("database")]
    assert found(work)
    assert not starts(work)


@pytest.mark.slow
@QUIET
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=6), start=st.booleans())
def test_flipped_bytes_never_end_in_a_traceback(
    used: Path, tmp_path_factory: pytest.TempPathFactory, places: list[tuple[float, int]], start: bool
) -> None:
    """Law: whichever bytes are flipped, `verify` says what it finds, and a server starts or says why not by a code."""

    def flip(content: bytearray) -> None:
        for share, mask in places:
            content[round(share * (len(content) - 1))] ^= mask

    work = changed(used, tmp_path_factory.mktemp("flipped") / "work", flip)
    unsound = found(work)
    if start and starts(work):
        assert unsound == []


def test_a_damaged_ledger_is_named_on_the_command_line(
    used: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = changed(used, tmp_path / "work", lambda content: content.__delitem__(slice(9000, None)))
    for verb in (["ledger", "verify", "--json"], ["serve"], ["ledger", "purge"]):
        with pytest.raises(SystemExit) as stop:
            main([*verb, "--work", str(work)])
        said = capsys.readouterr()
        assert stop.value.code == 2, verb
        assert "[ledger_damaged]" in said.err or json.loads(said.out)["faults"][0].startswith("database: "), verb


def test_a_record_that_was_changed_stops_a_server_by_its_code(used: Path, tmp_path: Path) -> None:
    drawn = (("campaign", '{"paused":"som'), ("campaign", '{"paused":"x"}'), ("key", "[]"), ("ledger", "3"))
    for number, (kind, body) in enumerate(drawn):
        work = changed(used, tmp_path / str(number), lambda _: None)
        with closing(sqlite3.connect(work / "serve" / "ledger.db")) as db:
            db.execute("update things set body = ? where kind = ?", (body, kind))
            db.commit()
        assert found(work) or kind == "key"
        assert not starts(work), (kind, body)


BY_HAND = [
    ("update redemptions set reserved_cents = reserved_cents - 1, final_cents = final_cents - 1", "redemption rdm_"),
    ("update redemptions set status = 'rolled_back'", "redemption rdm_"),
    ("update redemptions set offer_id = 'other'", "redemption rdm_"),
    ("delete from redemptions", "redemption rdm_"),
    ("insert into redemptions select 'other', campaign_id, offer_id, customer_id, order_id, code, decision_id, "
     "reserved_cents, final_cents, status, ts_ms, expires_ms, person from redemptions limit 1", "redemption other"),
    ("update limits set amount = amount + 1 where limit_id = 'mine'", "limits of cmp_test"),
    ("update limits set per = 'customer' where limit_id = 'all'", "limits of *"),
    ("delete from limits where limit_id = 'all'", "limits of *"),
    ("update things set body = replace(body, '\"paused\":false', '\"paused\":true') where kind = 'campaign'", "policy"),
    ("update things set body = replace(body, '400', '9400') where kind = 'promotion'", "promotion p"),
    ("delete from things where kind = 'promotion'", "promotion p"),
    ("update things set id = 'q' where kind = 'promotion'", "promotion q"),
]  # fmt: skip


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with redemptions in every state, limits of both kinds, a policy and promotions that came and went."""
    work = tmp_path_factory.mktemp("audited") / "work"
    terms = {"campaign_id": "cmp_test", "benefit": {"type": "amount_off", "amount_cents": 400}}
    with serving(work) as api:
        api("PUT", "/v1/campaigns/cmp_test", {"limits": [limit("mine")], "policy": {"explore": 0.02}})
        api("PUT", "/v1/limits", {"limits": [limit("all")]})
        api("PUT", "/v1/promotions/p", terms)
        api("PUT", "/v1/promotions/gone", terms)
        api("DELETE", "/v1/promotions/gone")
        coded(api, 0, 4)
        names = [api("POST", "/v1/redemptions:reserve", claim(n, 300))["redemption_id"] for n in range(4)]
        api("POST", "/v1/redemptions:confirm", {"redemption_id": names[0], "amount_cents": 250})
        api("POST", "/v1/redemptions:rollback", {"redemption_id": names[0], "amount_cents": 50})
        api("POST", "/v1/redemptions:rollback", {"redemption_id": names[1]})
        api("POST", "/v1/redemptions:confirm", {"redemption_id": names[2]})
        api("POST", "/v1/redemptions:rollback", {"redemption_id": names[2]})
        api("PATCH", "/v1/campaigns/cmp_test", {"limits": [limit("mine", 8)]})
    with closing(sqlite3.connect(work / "serve" / "ledger.db")) as db:
        db.execute("pragma journal_mode = delete")
    assert found(work) == []
    return work


def limit(name: str, amount: int = 9) -> dict[str, object]:
    return {"limit_id": name, "metric": "redemptions", "amount": amount}


@pytest.mark.parametrize(("by_hand", "named"), BY_HAND)
def test_money_and_rules_that_were_changed_by_hand_are_found(
    audited: Path, tmp_path: Path, by_hand: str, named: str
) -> None:
    work = changed(audited, tmp_path / "work", lambda _: None)
    with closing(sqlite3.connect(work / "serve" / "ledger.db")) as db:
        db.execute(by_hand)
        db.execute("delete from usage")
        db.commit()
    faults = found(work)
    assert any(named in str(each) for each in faults), faults
    assert by_hand != BY_HAND[0][0] or not starts(work)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "confirm", "return", "rollback", "expire", "limit", "shared", "policy",
                         "put", "delete", "anonymise"]),
        st.integers(0, 3), st.integers(10, 300),
    ),
    min_size=8,
    max_size=24,
)  # fmt: skip
MONEY_COLUMNS = ("campaign_id", "offer_id", "reserved_cents", "final_cents", "status")


def take(api: Api, step: str, number: int, cents: int) -> None:
    """One call of the people who run the shop, or of its till; it may be refused."""
    one, policy, path = {"redemption_id": f"rdm_{number}"}, "/v1/campaigns/cmp_test", f"/v1/promotions/p{number}"
    terms = {"campaign_id": "cmp_test", "benefit": {"type": "amount_off", "amount_cents": cents}}

    def seen(path: str) -> dict[str, str]:
        reply = api.client.get(path, headers={"authorization": f"Bearer {api.key}"})
        return {"if_match": reply.headers["etag"]} if reply.status_code == 200 else {}

    if step == "expire":
        api.server.ledger.write(lambda db, some: [expire_reservations(db, 2**50) for _ in some])
        return
    method, where, body = {
        "reserve": ("POST", "/v1/redemptions:reserve", claim(number, cents, customer_id=f"u{number}")),
        "confirm": ("POST", "/v1/redemptions:confirm", one),
        "return": ("POST", "/v1/redemptions:rollback", one | {"amount_cents": cents}),
        "rollback": ("POST", "/v1/redemptions:rollback", one),
        "limit": ("PATCH", policy, {"limits": [limit(f"l{number}", cents)]}),
        "shared": ("PUT", "/v1/limits", {"limits": [limit(f"s{number}", cents)]}),
        "policy": ("PATCH", policy, {"policy": {"explore": cents / 1000}, "paused": number == 1}),
        "put": ("PUT", path, terms),
        "delete": ("DELETE", path, None),
        "anonymise": ("POST", f"/v1/privacy/u{number}:anonymise", None),
    }[step]
    api(method, where, body, None, **(seen(where) if method in ("PUT", "DELETE") else {}))


@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(steps=STEPS, at=st.integers(0, 99), column=st.sampled_from(MONEY_COLUMNS))
def test_calls_leave_what_the_audit_log_says_and_a_row_changed_past_it_does_not(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], at: int, column: str
) -> None:
    """Law: after any calls in any order nothing differs; after one field of a redemption was changed, that does."""

    def unaudited(api: Api) -> list[str]:
        with api.server.ledger.read() as db:
            return list(find_unaudited(db))

    with serving(tmp_path_factory.mktemp("steps") / "work") as api:
        api("PUT", "/v1/campaigns/cmp_test", {})
        coded(api, 0, 4)
        for step in steps:
            take(api, *step)
            assert unaudited(api) == [], step
        with api.server.ledger.read() as db:
            names = [*db.execute(select(REDEMPTIONS.c.redemption_id)).scalars()]
        if names:
            name = names[at % len(names)]
            other: dict[str, object] = {column: 7 if column.endswith("cents") else "x"}
            change = update(REDEMPTIONS).where(REDEMPTIONS.c.redemption_id == name).values(other)
            api.server.ledger.write(lambda db, some: [db.execute(change) and None for _ in some])
            assert unaudited(api) == [f"redemption {name}"]
