"""Every reader of bytes that others write, fed with broken ones: it reads them or refuses in words, and nothing else.

Some cases for each reader in the core; PROMOLIFT_FUZZ=20000 draws so many for each, by hand.
"""

import gzip
import json
import os
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promolift.core.customers.sensitive_topics import names_sensitive_topic
from promolift.core.messages.drafts import _read as read_drafts
from promolift.core.messages.text_pool import TextPool, from_csv, to_csv
from promolift.core.offers.coupon_codes import normalise_code
from promolift.extensions.privacy.mechanisms.reconstruction import reconstruct_pages
from promolift.foundation.errors import PromoError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.privacy.redaction import redact
from promolift.foundation.storage.local_store import Store
from promolift.server.settings import ServeSettings
from promolift.server.startup import read_settings
from promolift.server.tasks import audit_archive
from promolift.server.tasks.maintenance import restore
from promolift.shop.configuration.configuration import load_config
from promolift.shop.pipeline.pool_file import load_pool, shipped_pool

pytest.importorskip("fastapi")
CASES = int(os.environ.get("PROMOLIFT_FUZZ", "25"))
FUZZ = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
HOSTILE = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b"{", b"[", b"}", b"\\", b"\r", b"\n", b",", b"\t", b"-",
    b"1e999", b"NaN", b"Infinity", b"-9223372036854775809", b"99999999999999999999", b"null", b"\xd8\x00", b"\\ud800",
    b"../../etc/passwd", b"=1+1", b"<script>", b"[" * 300, b'{"a":' * 300, b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"%00",
    "茶".encode(),
]  # fmt: skip


def broken(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Something whole with a few places changed, cut off or doubled; or what was never whole."""

    def change(data: bytes, places: list[tuple[float, int, bytes]]) -> bytes:
        for at, kind, more in places:
            place = int(at * len(data))
            match kind:
                case 0:
                    data = data[:place] + more + data[place:]
                case 1:
                    data = data[:place] + more + data[place + len(more) :]
                case 2:
                    data = data[:place]
                case 3:
                    data = data[:place] + data[place : place + 40] + data[place:]
                case _:
                    data = data[:place] + data[place + 1 + len(more) :]
        return data

    more = st.sampled_from(HOSTILE) | st.binary(max_size=4)
    places = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 4), more), max_size=4)
    return st.builds(change, st.sampled_from(seeds), places) | st.binary(max_size=64)


def refuses(do: Callable[[], Any], *also: type[Exception]) -> None:
    """It does, or says in words why not."""
    said = "done"
    try:
        do()
    except (PromoError, *also) as error:
        said = str(error)
    assert said.strip(), "a refusal says why"


FORMS = "http://schemas.openxmlformats.org"
PACKAGE, SHEETS, OFFICE = (
    f"{FORMS}/package/2006",
    f"{FORMS}/spreadsheetml/2006/main",
    f"{FORMS}/officeDocument/2006/relationships",
)


def related(kind: str, target: str) -> str:
    """A file of a workbook that names another."""
    return (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/{kind}" '
        f'Target="{target}"/></Relationships>'
    )


def cell(at: str, text: str) -> str:
    return f'<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>'


WORKBOOK = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" '
    'ContentType="application/xml"/></Types>',
    "_rels/.rels": related("officeDocument", "xl/workbook.xml"),
    "xl/workbook.xml": f'<workbook xmlns="{SHEETS}" xmlns:r="{OFFICE}"><sheets><sheet name="S" sheetId="1" r:id="r1"/>'
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": related("worksheet", "worksheets/sheet1.xml"),
    "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEETS}"><sheetData><row r="1">{cell("A1", "who")}'
    f'{cell("B1", "paid")}</row><row r="2">{cell("A2", "a")}<c r="B2"><v>1.5</v></c></row></sheetData></worksheet>',
}


def frame(kind: str) -> bytes:
    rows, out = (
        pl.DataFrame({"who": ["a", "b", None], "at": ["2024-01-02", "x", ""], "paid": [1.5, None, -3.0]}),
        BytesIO(),
    )
    if kind == "parquet":
        rows.write_parquet(out)
    elif kind == "xlsx":
        with zipfile.ZipFile(out, "w") as book:
            for name, text in WORKBOOK.items():
                book.writestr(name, text)
    else:
        out.write(rows.write_csv().encode() if kind == "csv" else rows.write_ndjson().encode())
    return out.getvalue()


FILES = {
    ".csv": [frame("csv"), b"who;at\n1;2\n", "客户,金额\n甲,1\n".encode("gb18030")],
    ".jsonl": [frame("jsonl"), b'{"who": {"id": 1}, "items": [{"sku": "a"}]}\n'],
    ".json": [b'[{"who": "a", "lines": [{"x": 1}, {"x": null}]}]', b'{"data": [{"a": 1}]}'],
    ".parquet": [frame("parquet")],
    ".xlsx": [frame("xlsx")],
    ".csv.gz": [gzip.compress(frame("csv"), mtime=0)],
}


@pytest.mark.parametrize("end", FILES)
def test_files(end: str, tmp_path: Path) -> None:
    with Store(tmp_path / "work") as store:
        path = tmp_path / f"some{end}"
        path.write_bytes(FILES[end][0])

        def read() -> list[Any]:
            with store.staged(open_file(store.connection, path, tmp_path).rows) as kept:
                return kept.limit(50).fetchall()

        assert read(), "the whole one is read"

        @FUZZ
        @given(broken(*FILES[end]))
        def one(data: bytes) -> None:
            path.write_bytes(data)
            refuses(read)

        one()


def test_what_fuzzing_found_in_compressed_files(tmp_path: Path) -> None:
    whole, place = gzip.compress(frame("csv"), mtime=0), tmp_path / "some.csv.gz"
    place.write_bytes(whole[:10] + b"\xff\xfe" + whole[12:])  # no checksum is reached: inflating fails before
    with Store(tmp_path / "work") as store, raises_code("file_incomplete", "some.csv.gz"):
        open_file(store.connection, place, tmp_path)
    archived = tmp_path / "evidence.zip"
    archived.write_bytes(archive()[2:])  # its places begin before the file does
    with raises_code("file_unreadable", "evidence.zip"):
        audit_archive.read_archive(archived)


EXAMPLES = Path(__file__).parents[3] / "examples"


@FUZZ
@given(broken((EXAMPLES / "promolift.toml").read_bytes(), b"[data]\nsource = 'complete-journey'\n"))
def test_settings_of_a_shop(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(data)
    refuses(lambda: load_config(path))


@FUZZ
@given(broken(b"[keep]\nevents_days = 30\n[console]\ntwo_eyes = true\n[[door]]\n"))
def test_settings_of_a_server(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed_server.toml"
    path.write_bytes(data)
    refuses(lambda: read_settings(path, path.parent))


TEXTS = b"\n".join(text.model_dump_json().encode() for text in shipped_pool().texts[:3])


@FUZZ
@given(broken(TEXTS))
def test_pools_of_texts(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "pool.jsonl"
    path.write_bytes(data)
    refuses(lambda: load_pool(path))


@FUZZ
@given(st.data())
def test_what_people_said_of_texts(data: st.DataObject) -> None:
    rows = to_csv(TextPool(texts=shipped_pool().texts[:4]))
    cell = st.sampled_from(["yes", "no", "是", "{n}", "=1", "", None]) | st.text(max_size=8)
    for name in data.draw(st.lists(st.sampled_from(rows.columns), max_size=3)):
        rows = rows.with_columns(pl.Series(name, [data.draw(cell) for _ in range(rows.height)], pl.String))
    refuses(lambda: from_csv(TextPool(texts=shipped_pool().texts[:4]), rows, "somebody", "2026-01-01"))


@FUZZ
@given(broken(b'{"drafts": [{"title": "a", "hook": "b", "call": "c"}]}', b'```json\n{"drafts": []}\n```'))
def test_answers_of_a_language_model(data: bytes) -> None:
    read_drafts(data.decode("utf-8", "replace"))


def archive() -> bytes:
    files = {"audit.jsonl": b"", "plan.json": b'{"terms": {}}', "decisions.parquet": frame("parquet"),
             "candidates.parquet": frame("parquet"), "certificate.json": b'{"budget_cents": 1, "seed": 0}'}  # fmt: skip
    note = audit_archive.ArchiveNote(
        form=audit_archive.ARCHIVE_FORM, version="1", code="c", campaign="x", left_out=0, audit_rows=0, audit_head=None,
        work={}, files={name: audit_archive.sha256_of(content) for name, content in files.items()},
    )  # fmt: skip
    return audit_archive.pack_archive(audit_archive.Archive(note, files))


def squeezed() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(audit_archive.MANIFEST_FILE, b"0" * 50_000_000)
    return out.getvalue()


def test_an_archive_that_unpacks_to_much_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(squeezed())
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with raises_code("file_unreadable", "bomb.zip"):
        audit_archive.read_archive(path)


@FUZZ
@given(broken(archive(), squeezed()[:400]))
def test_archives_of_evidence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "evidence.zip"
    path.write_bytes(data)
    refuses(lambda: audit_archive.verify_archive(path))


PAGE = b'<h3>Age</h3><span class="n">n = 20 customers</span><table><tr><th>age<th>customers</tr><tr><td>9<td>3</table>'


@FUZZ
@given(broken(PAGE))
def test_pages_that_left(data: bytes) -> None:
    refuses(lambda: reconstruct_pages([data.decode("utf-8", "replace")] * 2, 10))


@FUZZ
@given(broken(b'{"form": 1, "code": "x", "made_ms": 1, "files": {"ledger.db": "00"}}', b'{"files": {"../../x": "00"}}'))
def test_manifests_of_backups(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    base = tmp_path_factory.getbasetemp()
    folder = base / "backup"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_bytes(data)
    (folder / "secret.key").write_text("k" * 32)
    refuses(lambda: restore(ServeSettings.parse({"work": base / "nowhere"}, "t"), folder))
    assert not (base / "nowhere").exists()


@FUZZ
@given(broken(b"K7QM-W3XP-9D2H", "13800138000 张三 a@b.c".encode()))
def test_texts_that_people_type(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    normalise_code(text)
    names_sensitive_topic(text)
    assert redact(redact(text)) == redact(text)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that decides nothing yet, with its console."""
    from starlette.testclient import TestClient

    from promolift.server.api.app import create
    from promolift.server.console.console_app import with_console

    app = create(ServeSettings.parse({"work": tmp_path_factory.mktemp("fuzz"), "deadline_ms": 20_000}, "test"), None)
    made = with_console(app)
    with TestClient(made.app, raise_server_exceptions=False) as found:
        found.headers["authorization"] = f"Bearer {app.server.first_key}"
        yield found


CART = {"customer_id": "c", "items": [{"product_id": "p", "quantity": 1, "price_cents": 100}],
        "lines": [{"line_id": "1", "product_id": "p", "quantity": 1, "price_cents": 100}]}  # fmt: skip
ORDER = {"type": "track", "event": "Order Completed", "userId": "c", "messageId": "m",
         "properties": {"order_id": "o", "products": [{"product_id": "p", "price": 1.5}]}}  # fmt: skip
BODIES: dict[str, Any] = {
    "/v1/decisions": {"customer_id": "c", "campaign_id": "cmp_1"},
    "/v1/decisions:dry": {"customer_id": "c"},
    "/v1/batch": {"batch": [ORDER]},
    "/v1/identify": {"userId": "c", "messageId": "m", "traits": {"age": "34", "consent": True}},
    "/v1/prices": CART,
    "/v1/carts:evaluate": CART,
    "/v1/redemptions:reserve": {"customer_id": "c", "code": "K7QM-W3XP-9D2H", "amount_cents": 5},
    "/v1/webhooks": {"url": "https://example.com/x", "events": ["release.activated"]},
    "/ofrep/v1/evaluate/flags": {"context": {"targetingKey": "c"}},
    "/console/sign-in": "name=a&password=b&token=%00",
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_bodies_of_requests(client: Any, path: str) -> None:
    said = BODIES[path]
    whole = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    kind = "application/x-www-form-urlencoded" if isinstance(said, str) else "application/json"

    @FUZZ
    @given(broken(whole))
    def one(data: bytes) -> None:
        reply = client.post(path, content=data, headers={"content-type": kind})
        assert reply.status_code < 500, (data, reply.text)

    one()


@FUZZ
@given(broken(urlsafe_b64encode(b'[1, "x"]'), b"1"))
def test_cursors(client: Any, data: bytes) -> None:
    for path in ("/v1/decisions", "/v1/audit", "/v1/redemptions"):
        reply = client.get(path, params={"cursor": data.decode("latin-1")})
        assert reply.status_code < 500, (data, reply.text)
