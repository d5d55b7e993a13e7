"""No archive of evidence names a customer: raw rows are masked, and what cannot be masked is refused."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from serve_helpers import CAMPAIGN, Api

from promolift.foundation.hashing import chain_hash, find_chain_break
from promolift.foundation.privacy.identifier_search import IdentifierSearch
from promolift.foundation.storage.local_store import Store
from promolift.server.settings import ServeSettings
from promolift.server.tasks import audit_archive
from promolift.server.tasks.archive_privacy import (
    KnownCustomers,
    find_audit_faults,
    find_names,
    mask_audit_row,
    mask_health,
)
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.ingest import BadRow, Counts, Health
from promolift.shop.results.work_folder.run_context import Job

WHO, MAIL, PHONE = "marker-00417", "marker.ada@erase.example", "+44 7911 123456"
IDS = st.one_of(
    st.from_regex(r"[A-Z]{1,3}[0-9]{4,8}", fullmatch=True), st.from_regex(r"[a-z]{2,6}-[0-9]{5}", fullmatch=True),
    st.from_regex(r"[0-9]{11,14}", fullmatch=True), st.from_regex(r"[a-z]{3,8}@[a-z]{3,8}\.example", fullmatch=True),
    st.from_regex(r"客户[0-9]{5}", fullmatch=True),
)  # fmt: skip


def plant(folder: Path) -> None:
    """A work folder whose rejected rows and health report name a customer in every way."""
    raw = json.dumps({"user": WHO, "email": MAIL.upper(), "tel": PHONE})
    with Store(folder) as store:
        counts = Counts("events", 2, 1, rejected={"bad time": 1}, first={"bad time": [BadRow(7, raw)]})
        said = {"warnings": (f"{WHO} has orders of every day",), "notes": (f"see {MAIL}",)}
        Health(tables=(counts,), summary={"longest": WHO}, abilities=(), **said).keep(store)
        rows = pl.DataFrame({"source": ["e.csv"], "row": [7], "reason": ["bad time"], "raw": [raw]})
        store.save("rejected", rows)
        people = store.frame("customers")
        store.save("customers", pl.concat([people, people.head(1).with_columns(customer_id=pl.lit(WHO))]))


def write(folder: Path, config: Config, to: Path, served: bool) -> Path:
    server = ServeSettings.parse({"work": folder}, "test") if served else None
    with Store(folder) as store:
        audit_archive.write_archive(Job(config, store, lambda *_: None), CAMPAIGN, server, to)
    return to


def test_rejected_rows_and_notes_of_people_are_masked(
    api: Api, shop: tuple[Path, Config], folder: Path, tmp_path: Path
) -> None:
    plant(folder)
    day = {"first": "2026-01-01", "last": "2026-01-01"}
    for text in (f"{WHO} complained", f"a stranger wrote from {MAIL}", "the heating was broken"):
        api("POST", "/v1/annotations", day | {"text": text}, 201)
    to = write(folder, shop[1], tmp_path / "evidence.zip", served=True)
    assert IdentifierSearch(WHO, frozenset({MAIL, "447911123456"})).search(to).findings == ()
    assert audit_archive.verify_archive(to).figures["sound"] is True
    files = audit_archive.read_archive(to).files
    assert json.loads(files["health.json"])["tables"][0]["first"] == {"bad time": [[7, "[masked]"]]}
    rows = [json.loads(line) for line in files["audit.jsonl"].decode().splitlines()]
    assert [row["masked"] for row in rows if "masked" in row] == [["new"], ["new"]]
    assert any("heating" in row["new"] for row in rows)


def test_a_customer_in_what_cannot_be_masked_is_refused_and_nothing_is_written(
    shop: tuple[Path, Config], folder: Path, tmp_path: Path
) -> None:
    plant(folder)
    with Store(folder) as store:
        note = store.load_json("plan")
        store.save_json("plan", note | {"explain": f"{note['explain']} Ask {MAIL}"})
    to = tmp_path / "evidence.zip"
    with raises_code("evidence_names_customers", "plan.json"):
        write(folder, shop[1], to, served=False)
    assert not to.exists()


def test_a_masked_row_keeps_the_chain_and_a_forged_one_breaks_it(
    api: Api, shop: tuple[Path, Config], folder: Path, tmp_path: Path
) -> None:
    plant(folder)
    api("POST", "/v1/annotations", {"first": "2026-01-01", "last": "2026-01-01", "text": f"{WHO} called"}, 201)
    to = write(folder, shop[1], tmp_path / "evidence.zip", served=True)
    found = audit_archive.read_archive(to)
    lines = found.files["audit.jsonl"].decode().splitlines()
    masked, first = json.loads(lines[-1]), json.loads(lines[0])
    assert masked["masked"] == ["new"]
    said = audit_archive.verify_archive(to)
    assert (said.figures["masked"], "1 of them masked" in said.text) == (1, True)
    plain = first | {"actor": "nobody", "masked": ["note"], "note": "[masked]"}  # a row that was plain, changed
    for forged in ([*lines[:-1], masked | {"new": '"another"'}], [plain, *lines[1:]]):
        text = "".join((row if isinstance(row, str) else json.dumps(row, sort_keys=True)) + "\n" for row in forged)
        files = {**found.files, "audit.jsonl": text.encode()}
        note = found.manifest.model_copy(update={"files": {n: audit_archive.sha256_of(c) for n, c in files.items()}})
        to.write_bytes(audit_archive.pack_archive(audit_archive.Archive(note, files)))
        with raises_code("evidence_invalid", "audit.jsonl"):
            audit_archive.verify_archive(to)


FORGERIES: tuple[dict[str, Any], ...] = (
    {"masked": ["action"], "action": "[masked]"}, {"masked": ["seen"], "seen": "[masked]"}, {"masked": True},
    {"masked": "new"}, {"masked": {"new": 1}}, {"masked": []}, {"masked": ["new"]}, {"masked": [["new"]]},
    {"masked": ["actor", "new"], "new": "[masked]", "actor": "[masked]"}, {"seen": "by nobody"},
    {"masked": ["new"], "new": "[masked]", "old": json.dumps({"text": f"see {MAIL}"})},
    {"masked": ["new"], "new": "[masked]", "subject": MAIL},
)  # fmt: skip


@given(at=st.integers(0, 4), forged=st.sampled_from(FORGERIES), change=st.booleans())
@cases(200)
def test_what_a_row_says_of_its_masks_is_looked_at(at: int, forged: dict[str, Any], change: bool) -> None:
    """Whatever a row states as masked, one that was changed elsewhere, or that names somebody, is found."""
    rows, before = list[dict[str, Any]](), ""
    for seq in range(1, 6):
        row = {"action": "limits.put", "actor": "key_1", "new": "{}", "old": "null", "seq": seq, "subject": "cmp"}
        row["ts_ms"] = 9
        rows.append(row | {"hash": chain_hash(before, row)})
        before = rows[-1]["hash"]
    assert not [*find_audit_faults(rows)]
    sound = [*rows[:at], rows[at] | {"masked": ["new"], "new": "[masked]"}, *rows[at + 1 :]]
    assert not [*find_audit_faults(sound)]
    assert find_chain_break(sound) is None
    rows[at] |= forged | ({"new": '"another"'} if change and "new" not in forged else {})
    assert [*find_audit_faults(rows)] == [fault for fault in find_audit_faults(rows) if f"row {at + 1} " in fault]
    assert [*find_audit_faults(rows)] or find_chain_break(rows) == at + 1


def files_with(text: str, place: str) -> dict[str, bytes]:
    """An archive's files with a text in one place."""
    said = text if place != "nowhere" else "nobody"
    frame = pl.DataFrame({"note": ["a", "b"], "options": [[{"offer": "x"}], [{"offer": "y"}]]})
    table = io.BytesIO()
    if place == "a column":
        frame = frame.with_columns(note=pl.Series(["a", f"see ({said})"]))
    if place == "a list":
        frame = frame.with_columns(options=pl.Series([[{"offer": "x"}], [{"offer": f"for {said}"}]]))
    frame.write_parquet(table)
    value: Any = {"a key": {"terms": ["x", said if place == "a text" else "y"]}}
    if place == "a key":
        value[said] = 1
    if place == "a line":
        value["more"] = f"first\n{said}"
    name = f"tests/{said}.json" if place == "a name" else "tests/x.json"
    return {"t.parquet": table.getvalue(), name: json.dumps(value, ensure_ascii=False).encode()}


PLACES = ("nowhere", "a column", "a list", "a text", "a key", "a line", "a name")


@given(ids=st.lists(IDS, min_size=1, max_size=5, unique=True), place=st.sampled_from(PLACES))
@cases(160)
def test_wherever_an_id_stands_it_is_found(ids: list[str], place: str) -> None:
    known = KnownCustomers.listed(ids)
    assert bool([*find_names(files_with(ids[0], place), known)]) == (place != "nowhere"), (ids, place)
    row = {"seq": 1, "subject": "x", "old": "null", "new": json.dumps({"text": f"call {ids[0]}"}), "hash": "h"}
    assert mask_audit_row(row, known)["masked"] == ["new"]
    note = {"tables": [], "notes": [f"rows of {ids[0]}, and more"]}
    assert not known.named_in(json.dumps(mask_health(note, known), ensure_ascii=False))


def test_a_short_id_counts_after_the_name_of_a_customer_alone() -> None:
    known = KnownCustomers.listed(["7", "tea"])
    assert not known.named_in('{"limit": 7, "target": "tea"}')
    assert known.named_in('{"customer_id": "7"}')
