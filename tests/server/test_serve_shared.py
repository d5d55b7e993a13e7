"""Servers on machines of their own: one makes a release, each other loads it from a folder or a bucket they share."""

import os
from pathlib import Path
from typing import Any

import pytest
from error_checks import raises_code
from s3_server import s3_server, s3_url  # noqa: F401 - fixtures
from serve_helpers import PEOPLE, released, serving

from promolift.foundation.storage.local_store import Store
from promolift.server.decisions.live_release import load_release
from promolift.server.decisions.release_storage import SharedReleases, load_shared_release
from promolift.server.settings import ServeSettings
from promolift.server.tasks.maintenance import purge, verify
from promolift.shop.configuration.configuration import Config

pytest.importorskip("obstore")


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where releases are shared."""
    return f"file://{tmp_path}/shared" if request.param == "folder" else request.getfixturevalue("s3_url")


def other_machine(tmp_path: Path, folder: Path) -> Path:
    """A work folder with nothing in it but the secret."""
    work = tmp_path / "other"
    work.mkdir()
    with Store(folder) as store:
        (work / "secret.key").write_text(store.secret(), encoding="ascii")
    return work


def test_a_server_without_the_release_decides_from_it(
    shop: tuple[Path, Config], folder: Path, tmp_path: Path, place: str
) -> None:
    work, url = other_machine(tmp_path, folder), f"sqlite:///{tmp_path / 'ledger.db'}"
    with (
        serving(folder, shop[1], ledger=url, releases=place) as api,
        serving(work, ledger=url, releases=place) as other,
    ):
        other.key = api.key
        name = released(api)
        other.server.decider.refresh_releases(other.server.releases_in_use())
        other.server.decider.ensure(name)
        wanted = {who: api.decide(who)["offer_id"] for who in PEOPLE}
        assert {who: other.decide(who)["offer_id"] for who in PEOPLE} == wanted
        assert len(set(wanted.values())) > 1
        assert "decision" in other("GET", "/v1/exports/decisions.csv").text
    assert {each.name for each in (work / "serve" / "releases").iterdir()} == {name}  # and no draft
    settings = ServeSettings.parse({"work": work, "ledger": url, "releases": place}, "test")
    assert verify(settings).figures["sound"]


def test_what_was_changed_or_cut_off_there_is_never_loaded(folder: Path, shop: Any, tmp_path: Path) -> None:
    place = tmp_path / "shared"
    with serving(folder, shop[1], releases=str(place)) as api:
        name = api("POST", "/v1/releases", status=201)["release_id"]
    there = place / name
    whole = {path.name: path.read_bytes() for path in there.iterdir()}
    assert whole == {path.name: path.read_bytes() for path in (folder / "serve" / "releases" / name).iterdir()}
    for file, wrong in (("candidates.parquet", b"PAR1"), ("manifest.json", whole["manifest.json"] + b" ")):
        (there / file).write_bytes(wrong)
        with raises_code("file_changed", name):
            load_shared_release(str(place), tmp_path / "other", name)
        (there / file).write_bytes(whole[file])
    (there / "products.parquet").unlink()
    with raises_code("bucket_missing", str(place)):
        load_shared_release(str(place), tmp_path / "other", name)
    (there / "manifest.json").unlink()  # as where sending was cut off: the manifest comes last
    with raises_code("release_unknown", name):
        load_shared_release(str(place), tmp_path / "other", name)
    assert not list((tmp_path / "other" / "serve" / "releases").iterdir())
    SharedReleases(str(place)).send(folder / "serve" / "releases" / name)
    assert load_shared_release(str(place), tmp_path / "other", name).release_id == name
    assert load_release(tmp_path / "other", name).release_id == name


def test_a_place_that_does_not_answer_lets_nothing_be_activated_and_stops_no_server(
    folder: Path, shop: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="ascii")
    with serving(folder, shop[1]) as api:
        name = released(api)
    with serving(folder, shop[1], releases=str(tmp_path / "file" / "shared")) as again:
        again.key = api.key
        assert again.decide("u01")["offer_id"]
        assert again("POST", f"/v1/releases/{name}:activate", status=None)["code"]
        assert again("GET", "/health/ready")["releases"] == [name]


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with raises_code("password_in_url") as refused:
        SharedReleases("s3://clerk:geheim@bucket/releases")
    assert "geheim" not in str(refused.value)


def test_the_secret_comes_from_the_file_that_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "given"
    secret.write_text(f"{'ab' * 32}\n", encoding="ascii")
    monkeypatch.setenv("PROMOLIFT_SECRET_FILE", str(secret))
    with Store(folder) as store:
        assert store.secret() == "ab" * 32
    secret.write_text("short", encoding="ascii")
    with Store(folder) as store, raises_code("secret_too_short", str(secret)):
        store.secret()
    secret.unlink()
    with Store(folder) as store, raises_code("file_unreadable", str(secret)):
        store.secret()


def test_old_releases_that_nobody_refers_to_go_there_too(folder: Path, shop: Any, tmp_path: Path) -> None:
    place, url = tmp_path / "shared", f"sqlite:///{tmp_path / 'ledger.db'}"
    with serving(folder, shop[1], releases=str(place), ledger=url) as api:
        name = released(api)
    (place / "rel_old").mkdir()
    for file in ("manifest.json", "candidates.parquet"):
        (place / "rel_old" / file).write_text("{}", encoding="ascii")
        os.utime(place / "rel_old" / file, (1, 1))
    more = {"work": folder, "ledger": url, "releases": str(place), "keep": {"releases_days": 1}}
    assert purge(ServeSettings.parse(more, "test")).figures["deleted"]["shared releases"] == 1
    assert [path.name for path in place.iterdir() if any(path.iterdir())] == [name]
