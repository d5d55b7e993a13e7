"""A shop's files through the browser: sent in pieces, the meaning of their columns corrected, read and planned."""

import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from console_helpers import SAME, Person, Shop, opened, set_up

from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.setup.initialisation import init


@pytest.fixture
def files(own_files: Path) -> Path:
    """The files of a shop that nobody has seen before."""
    return own_files


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Shop]:
    """A server that was started in an empty folder."""
    with opened(tmp_path / "work", None, file=tmp_path / "promolift.toml") as shop:
        yield shop


def sent(shop: Shop, files: Path) -> Person:
    """An editor who set the shop up with the events alone."""
    editor = shop.person("editor")
    set_up(editor, files / "events.csv")
    return editor


def form(person: Person, **other: str) -> dict[str, str]:
    """The form of the events as the page has it, with other columns for some roles."""
    return {f"role.{line['role']}": line["column"] for line in person.json("/data/events")["lines"]} | {
        f"role.{role}": column for role, column in other.items()
    }


def test_before_there_is_anything_the_screen_says_what_to_send(empty: Shop) -> None:
    page = empty.person("editor").get("/data")
    assert "Nothing was read yet" in page
    assert 'href="/console/data/setup"' in page
    for path in ("/", "/plan", "/words", "/live"):  # what needs data says so, and nothing fails
        assert empty.person("viewer").client.get(f"/console{path}").status_code < 500


def test_a_file_is_sent_in_pieces_and_its_columns_are_guessed(empty: Shop, files: Path, tmp_path: Path) -> None:
    editor = sent(empty, files)
    assert editor.send("/data/upload", files / "events.csv", size=100_000, table="events") == {
        "go": "/console/data/events"
    }
    assert (tmp_path / "uploads" / "events.csv").read_bytes() == (files / "events.csv").read_bytes()
    lines = {line["role"]: line for line in editor.json("/data/events")["lines"]}
    assert (lines["customer_id"]["column"], lines["amount"]["column"]) == ("user_id", "sales_value")
    said = editor.json("/data/events")["said"]
    assert said["accepted"] > 0.9 * said["read"]
    assert "not wanted" not in editor.get("/data/events")
    audit = empty.api("GET", "/v1/audit?limit=1000")["data"]
    assert [row["actor"] for row in audit if row["action"] == "data.upload"] == ["person editor"] * 2


def test_a_query_is_shown_like_a_file_until_a_file_takes_its_place(files: Path, tmp_path: Path) -> None:
    own = tmp_path / "promolift.toml"
    init({"events": files / "events.csv"}, own, force=False)
    text = own.read_text(encoding="utf-8")
    path = next(line for line in text.splitlines() if line.startswith("path = "))
    own.write_text(text.replace(path, 'query = "select * from receipts"\nwatermark = "event_time"'), encoding="utf-8")
    with Store(tmp_path / "work") as store:
        store.save("pulled_events", pl.read_csv(files / "events.csv", infer_schema=False))
    with opened(tmp_path / "work", load_config(own), file=own) as shop:
        editor = shop.person("editor")
        assert "select * from receipts" in editor.get("/data")
        assert editor.json("/data/events")["said"]["accepted"] > 100
        editor.post("/data/events", **form(editor, shelf_discount=""))
        assert load_config(own).data.files["events"].query == "select * from receipts"
        editor.send("/data/upload", files / "events.csv", size=10**6, table="events")
    events = load_config(own).data.files["events"]
    assert (events.query, events.watermark, Path(events.path).name) == ("", "", "events.csv")


def test_another_column_is_tried_without_a_trace_and_kept_on_demand(empty: Shop, files: Path, tmp_path: Path) -> None:
    editor = sent(empty, files)
    before = (tmp_path / "promolift.toml").read_text()
    tried = editor.client.get("/console/data/events/try", params=form(editor, customer_id="sku"))
    assert tried.status_code == 200
    wrong = editor.client.get("/console/data/events/try", params=form(editor, customer_id=""))
    assert (wrong.status_code, "customer" in wrong.text) == (200, True)
    assert (tmp_path / "promolift.toml").read_text() == before
    editor.post("/data/events", **form(editor, shelf_discount=""))
    config = load_config(tmp_path / "promolift.toml")
    assert config.data.events is not None
    assert "shelf_discount" not in config.data.events.mapping.columns
    assert config.data.events.mapping.columns["amount"] == "sales_value"
    assert (tmp_path / "promolift.toml").read_text().endswith(before)  # what its owner wrote stands as it was
    assert "customer" in editor.post("/data/events", 422, **form(editor, customer_id="")).text


def test_currency_and_zone_are_the_shops_only_where_somebody_said_so(empty: Shop, files: Path, tmp_path: Path) -> None:
    editor, file = sent(empty, files), tmp_path / "promolift.toml"
    file.write_text(file.read_text().replace('zone = "UTC"', 'zone = "Asia/Tokyo"', 1))
    empty.server.config = load_config(file)
    editor.post("/data/events", currency="USD", zone="UTC", **form(editor, shelf_discount=""))
    assert load_config(file).shop.zone == "Asia/Tokyo"
    editor.post("/data/events", currency="EUR", zone="UTC", **form(editor))
    config = load_config(file)
    assert config.data.events is not None
    assert (config.shop.currency, config.shop.zone, config.data.events.mapping.currency) == ("EUR", "Asia/Tokyo", "EUR")
    assert "zone" in editor.post("/data/events", 422, currency="EUR", zone="Mars", **form(editor)).text


def test_a_newer_file_of_the_same_columns_keeps_what_a_person_said(empty: Shop, files: Path, tmp_path: Path) -> None:
    editor = sent(empty, files)
    editor.post("/data/events", **form(editor, shelf_discount=""))
    newer = tmp_path / "newer.csv"
    newer.write_bytes((files / "events.csv").read_bytes())
    editor.send("/data/upload", newer, size=10**6, table="events")
    events = load_config(tmp_path / "promolift.toml").data.events
    assert events is not None
    assert Path(events.path).name == "newer.csv"
    assert "shelf_discount" not in events.mapping.columns


def test_who_may_not_send_files_sends_none(empty: Shop, files: Path, tmp_path: Path) -> None:
    viewer = empty.person("viewer")
    viewer.send("/data/setup/upload", files / "events.csv", status=403, table="events")
    headers = {"content-type": "application/octet-stream", "x-token": viewer.token}
    large = b"x" * 200_000
    reply = empty.nobody().client.post("/console/data/setup/upload", content=large, headers=headers | SAME)
    assert reply.status_code == 413  # of a stranger no more is read than of a form
    editor = empty.person("editor")
    foreign = editor.client.post("/console/data/setup/upload?size=3", content=b"abc", headers=headers)
    assert foreign.status_code == 403
    assert not (tmp_path / "uploads").exists()


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/evil.csv", "..\\evil.csv", ".hidden.csv", "a/b.csv"])
def test_a_file_lands_in_its_folder_whatever_it_is_called(empty: Shop, files: Path, tmp_path: Path, name: str) -> None:
    editor = empty.person("editor")
    editor.send("/data/setup/upload", files / "events.csv", size=10**6, table="events", name=name)
    (found,) = (tmp_path / "uploads" / "setup" / "events").iterdir()
    assert found.name.lstrip("_.").endswith(".csv") and not found.name.startswith(".")  # noqa: PT018


def test_what_is_no_table_or_out_of_order_is_refused_and_nothing_lost(empty: Shop, files: Path, tmp_path: Path) -> None:
    editor = empty.person("editor")
    (tmp_path / "evil.exe").write_bytes(b"MZ")
    editor.send("/data/setup/upload", tmp_path / "evil.exe", status=422, table="events")
    headers = SAME | {"content-type": "application/octet-stream", "x-token": editor.token}
    late = {"name": "a.csv", "at": 500, "size": 900, "format": "json", "table": "events"}
    assert (
        editor.client.post("/console/data/setup/upload", params=late, content=b"x", headers=headers).status_code == 422
    )
    (tmp_path / "empty.csv").write_text("a,b\n")
    editor.send("/data/setup/upload", tmp_path / "empty.csv", table="events")
    assert editor.json("/data/setup")["fault"]["code"] == "table_empty"
    editor.post("/data/setup/use", 422)
    assert not (tmp_path / "promolift.toml").exists()
    editor.post("/data/setup/remove", file="events/empty.csv")
    sent(empty, files)  # and a good one is still taken


def test_the_name_of_a_column_is_text_and_never_markup(empty: Shop, files: Path, tmp_path: Path) -> None:
    rows = pl.read_csv(files / "events.csv").with_columns(
        pl.lit("<img src=x onerror=alert(1)>").alias("<script>x</script>")
    )
    rows.write_csv(tmp_path / "events.csv")
    editor = empty.person("editor")
    editor.send("/data/setup/upload", tmp_path / "events.csv", table="events")
    before = editor.get("/data/setup")
    set_up(editor)
    for page in (before, editor.get("/data/events")):
        assert "<script>x" not in page
        assert "&lt;script&gt;x" in page


@pytest.mark.slow
def test_from_an_empty_folder_to_a_plan_with_the_browser_alone(empty: Shop, files: Path) -> None:
    editor = sent(empty, files)
    for table in ("products", "customers"):
        editor.send("/data/upload", files / f"{table}.csv", size=10**6, table=table)
    editor.post("/data/run")
    for _ in range(600):
        if editor.json("/data")["job"]["status"] != "running":
            break
        time.sleep(0.5)
    page = editor.json("/data")
    assert (page["job"]["status"], page["job"]["note"]) == ("done", "")
    assert page["last_ms"]
    assert {row["capability"] for row in page["blocks"][-1]["data"]["rows"]} >= {"profiles", "proven effects"}
    assert editor.json("/plan")["head"]
