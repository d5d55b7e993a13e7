"""A person is found in whatever file they stand, and nobody else is."""

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import quopri
import sqlite3
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from drawn import cases
from hypothesis import example, given
from hypothesis import strategies as st

from promolift.foundation.privacy import identifier_search
from promolift.foundation.privacy.identifier_search import IdentifierSearch, find_contacts, is_distinctive

IDS = st.one_of(
    st.from_regex(r"[A-Z]{1,3}[0-9]{4,8}", fullmatch=True), st.from_regex(r"[a-z]{2,6}[-_ ][0-9]{5}", fullmatch=True),
    st.from_regex(r"[0-9]{11,14}", fullmatch=True), st.from_regex(r"[a-z]{3,8}\+[a-z]{3,8}@x\.example", fullmatch=True),
    st.from_regex(r"客户[0-9]{5}", fullmatch=True), st.from_regex(r"[A-Z]'[0-9]{4}\"", fullmatch=True),
)  # fmt: skip


def sqlite(text: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("create table t (a integer primary key, b text) ")
        db.executemany("insert into t (b) values (?)", [("x",), (text,), ("y" * 5000 + " " + text,)])


def deleted(text: str, path: Path) -> None:
    sqlite(text, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("pragma secure_delete = off")
        db.execute("delete from t")


def in_zip(text: str, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/a.csv.gz", gzip.compress(f"who\n{text}\n".encode()))


def in_tar(text: str, path: Path) -> None:
    inner = io.BytesIO()
    pl.DataFrame({"a": [1], "b": [[{"who": text}]]}).write_parquet(inner)
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("b.parquet")
        entry.size = len(inner.getvalue())
        archive.addfile(entry, io.BytesIO(inner.getvalue()))


def array(text: str, path: Path) -> None:
    np.savez_compressed(path.with_suffix(".npz"), ids=np.array(["xx", text]))
    path.with_suffix(".npz").rename(path)


KINDS: dict[str, Callable[[str, Path], object]] = {
    "text": lambda text, path: path.write_text(f"first\nlog of ({text}) at noon\n", encoding="utf-8"),
    "utf-16": lambda text, path: path.write_text(f"first\nlog of ({text}) at noon\n", encoding="utf-16"),
    "gb18030": lambda text, path: path.write_bytes(f"first\nlog of ({text}) at noon\n".encode("gb18030")),
    "url": lambda text, path: path.write_text(f"GET /x?who={quote(text, safe='')}&n=1"),
    "json": lambda text, path: path.write_text(json.dumps({"raw": json.dumps({"x": f"\n{text}\t"})})),
    "gz": lambda text, path: path.write_bytes(gzip.compress(f"a,{text}\n".encode())),
    "bz2": lambda text, path: path.write_bytes(bz2.compress(f"a,{text}\n".encode())),
    "xz": lambda text, path: path.write_bytes(lzma.compress(f"a,{text}\n".encode())),
    "parquet": lambda text, path: pl.DataFrame({"n": [1, 2], "b": [None, f"to {text}"]}).write_parquet(path),
    "nested": lambda text, path: pl.DataFrame({"b": [[{"x": {"y": text}}]]}).write_parquet(path),
    "arrow": lambda text, path: pl.DataFrame({"b": [text]}).write_ipc(path),
    "long": lambda text, path: path.write_bytes(b"x" * ((8 << 20) - 5) + f" {text} ".encode() + b"y" * 100),
    "sqlite": sqlite, "free pages": deleted, "zip": in_zip, "tar": in_tar, "array": array,
}  # fmt: skip


def of_each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(letter)) for letter in text)


def of_bytes(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(byte) for byte in text.encode())


def wide(text: str) -> str:
    return "utf-16-le" if text.isascii() else "utf-8"


# As programs write a text into another text, where the text alone does not show.
ENCODINGS: dict[str, Callable[[str], str]] = {
    **{f"base64 {n}": lambda text, n=n: base64.b64encode(f"{'x' * n} {text} here".encode()).decode() for n in range(3)},
    "base64 alone": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(f"?>?>\xff {text}".encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(f"{'x' * 50} {text} {'y' * 50}".encode()).decode(),
    "base64 of JSON": lambda text: base64.b64encode(json.dumps({"who": text}).encode()).decode(),
    "base64 of gzip": lambda text: base64.b64encode(gzip.compress(f"who={text}".encode())).decode(),
    "base64 of UTF-16": lambda text: base64.b64encode(f"who={text}!".encode(wide(text))).decode(),
    "hexadecimal": lambda text: f"who={text}".encode().hex(),
    "quoted-printable": lambda text: quopri.encodestring(f"who = {text} é".encode(), quotetabs=True).decode(),
    "quoted bytes": of_bytes("={:02X}"), "soft breaks": lambda text: "=\r\n".join(text),
    "URL": of_bytes("%{:02x}"), "URL twice": of_bytes("%25{:02X}"), "URL in HTML": of_bytes("&#37;{:02X}"),
    "HTML": of_each("&#{};"), "HTML in hex": of_each("&#x{:X};"), "HTML in JSON": of_each("\\u0026#{};"),
    "names of HTML": lambda text: html.escape(text).replace("@", "&commat;").replace("1", "&#49;"),
    "JSON": of_each("\\u{:04x}"), "JSON in JSON": of_each("\\\\u{:04X}"), "bytes of a program": of_bytes("\\x{:02x}"),
    "octal": of_bytes("\\{:03o}"), "old JavaScript": of_each("%u{:04X}"),
}  # fmt: skip


def cell(made: Callable[[str], object]) -> Callable[[str, Path], None]:
    def write(text: str, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("create table t (a integer primary key, b)")
            db.executemany("insert into t (b) values (?)", [("x",), (made(text),)])

    return write


def parquet(made: Callable[[str], object], **more: Any) -> Callable[[str, Path], None]:
    rows = [0, 1] * 50
    more |= {"statistics": False}  # they are cut, so that one id may look like another
    return lambda text, path: pl.DataFrame({"b": [[None, made(text)][row] for row in rows]}).write_parquet(path, **more)


def pdf(text: str, path: Path) -> None:
    stream = zlib.compress(f"BT [({text[:3]})-20({text[3:]})] TJ ET".encode())
    path.write_bytes(b"%PDF-1.4\n<</Filter /FlateDecode>>\nstream\n" + stream + b"\nendstream\n%%EOF")


def before_a_zip(text: str, path: Path) -> None:
    in_zip(text, path)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


PLACES: dict[str, Callable[[str, Path], object]] = {
    "csv": lambda text, path: path.write_text(f"a,b\n1,{text},2\n", encoding="utf-8", newline=""),
    "utf-16": lambda text, path: path.write_text(f"a,b\n1,{text},2\n", encoding="utf-16-le", newline=""),
    "json": lambda text, path: path.write_text(json.dumps([{"a": 1, "b": f"to {text}"}])),
    "html": lambda text, path: path.write_text(f"<p>to {text}</p>", encoding="utf-8", newline=""),
    "gz": lambda text, path: path.write_bytes(gzip.compress(f"a\n{text}\n".encode())),
    "zstd": lambda text, path: path.write_bytes(pa.compress(f"a\n{text}\n".encode(), "zstd", asbytes=True)),
    "gz inside": lambda text, path: path.write_bytes(b"HEAD" + gzip.compress(f"a\n{text}\n".encode()) + b"tail"),
    "zip": in_zip, "zip with a start": before_a_zip, "sqlite": sqlite, "sqlite bytes": cell(str.encode),
    "sqlite gz": cell(lambda text: gzip.compress(f"a {text}".encode())),
    "parquet": parquet(str, compression="zstd"), "snappy": parquet(lambda text: f"a {text} b", compression="snappy"),
    "parquet bytes": parquet(lambda text: b"\0\1 " + text.encode() + b" \xff", compression="zstd"),
    "parquet gz": parquet(lambda text: gzip.compress(f"a {text}".encode()), compression="zstd"), "pdf": pdf,
}  # fmt: skip


@given(who=IDS, encoding=st.sampled_from(sorted(ENCODINGS)), kind=st.sampled_from(sorted(PLACES)))
@example(who="ada@x.example", encoding="HTML", kind="sqlite")
@example(who="客户00001", encoding="names of HTML", kind="utf-16")
@cases(150)
def test_an_identifier_is_found_in_every_encoding_and_kind_of_file(
    tmp_path_factory: pytest.TempPathFactory, who: str, encoding: str, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("encoded")
    PLACES[kind](ENCODINGS[encoding](who), folder / "file")
    found = IdentifierSearch(who).search(folder)
    assert found.findings, (who, encoding, kind)
    assert not found.unread or kind == "pdf"
    if encoding == "base64 in lines" or kind == "pdf":  # a line, or a part of a word, may end within another's id
        return
    PLACES[kind](ENCODINGS[encoding](f"{who}7" if who[-1].isalnum() else f"z{who}"), folder / "other")
    (folder / "file").unlink()
    assert not IdentifierSearch(who).search(folder).findings, (who, encoding, kind)


@given(before=st.integers(0, 300), encoding=st.sampled_from(sorted({*ENCODINGS}.difference(["base64 of gzip"]))))
@cases(60)
def test_where_a_piece_of_a_file_ends_hides_nothing(
    tmp_path_factory: pytest.TempPathFactory, before: int, encoding: str
) -> None:
    path = tmp_path_factory.mktemp("pieces") / "file"
    path.write_bytes(b"." * (512 - before) + b" " + ENCODINGS[encoding]("customer-00123").encode() + b" ." * 400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identifier_search, "CHUNK_BYTES", 512)
        patch.setattr(identifier_search, "OVERLAP_BYTES", 400)
        assert IdentifierSearch("customer-00123").search(path).findings, (before, encoding)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_a_row_in_which_the_customer_is_encoded_is_theirs(encoding: str) -> None:
    texts = [ENCODINGS[encoding](f"who is {who}") for who in ("A10427", "B20055", "A104271")]
    with duckdb.connect() as db:
        rows = db.from_arrow(pl.DataFrame({"n": [1, 2, 3], "note": texts}).to_arrow())
        tests = IdentifierSearch("A10427").rows(rows)
        assert rows.filter(" or ".join(tests.values())).project("n").fetchall() == [(1,)]


@given(who=IDS, kind=st.sampled_from(sorted(KINDS)))
@cases(100)
def test_an_identifier_is_found_in_every_kind_of_file(
    tmp_path_factory: pytest.TempPathFactory, who: str, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("kinds")
    KINDS[kind](who, folder / "file")
    found = IdentifierSearch(who).search(folder)
    assert found.findings, (who, kind)
    assert not found.unread
    other = f"{who}7" if who[-1].isalnum() else f"z{who}"
    if kind != "array":  # whose texts stand beside each other
        (folder / "file").unlink()
        KINDS[kind](other, folder / "file")
        assert not IdentifierSearch(who).search(folder).findings, (other, kind)


@pytest.mark.parametrize("written", ["+44 7911 123456", "07911 123456", "(07911) 123-456", "00447911123456"])
def test_a_phone_number_is_found_however_it_is_written(tmp_path: Path, written: str) -> None:
    (tmp_path / "a.txt").write_text(f"call {written} today")
    pl.DataFrame({"tel": [written, None]}).write_parquet(tmp_path / "b.parquet")
    search = IdentifierSearch("nobody-1", frozenset({"447911123456"}))
    assert len(search.search(tmp_path).findings) == 2
    assert find_contacts({"tel": written.strip()}) == {"".join(each for each in written if each.isdigit())}
    assert not search.in_text("order 99447911123457")


def test_an_e_mail_is_found_in_any_case_and_a_longer_one_is_not(tmp_path: Path) -> None:
    search = IdentifierSearch("nobody-1", frozenset({"ann@x.example"}))
    assert search.in_text("Ann@X.Example.")
    assert search.in_text("mailto%3Aann%40x.example")
    for other in ("joann@x.example", "ann@x.example.org", "ann@x.examples", "a.ann@x.example"):
        assert not search.in_text(other), other
    (tmp_path / "ann@x.example.csv").write_text("empty")
    assert [each.place for each in search.search(tmp_path).findings] == [f"{tmp_path / 'ann@x.example.csv'} (its name)"]


def test_a_short_id_counts_in_customer_columns_and_after_their_names_alone(tmp_path: Path) -> None:
    assert not any(map(is_distinctive, ("7", "1042", "Ann", "u07", "123456789")))
    assert all(map(is_distinctive, ("A1042", "1234567890", "a@b.c", "longer name")))
    pl.DataFrame({"user_id": [7, 8], "quantity": [1, 7]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"quantity": [7], "note": ["7 apples"]}).write_parquet(tmp_path / "b.parquet")
    pl.DataFrame({"Kundin": ["7", "8"], "n": [2, 7]}).write_csv(tmp_path / "c.csv")
    (tmp_path / "d.json").write_text(json.dumps({"raw": json.dumps({"userId": 7, "qty": 7}), "limit": 7}))
    (tmp_path / "e.log").write_text("GET /v1/carts?qty=7\nPOST /v1/privacy/7:erase\ncustomer_id=77\n")
    with closing(sqlite3.connect(tmp_path / "f.db")) as db, db:
        db.execute("create table t (customer_id text, n integer)")
        db.execute("insert into t values ('7', 7), ('8', 7)")
    found = IdentifierSearch("7", columns=frozenset({"Kundin"})).search(tmp_path).findings
    assert [(each.place.removeprefix(f"{tmp_path}/"), each.times) for each in found] == [
        ("a.parquet, column user_id", 1), ("c.csv", 1), ("d.json", 1), ("e.log", 1),
        ("f.db, table t, column customer_id", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("column", ["id", "cust_ref", "shopify_customer_id", "Kunden-Ref", "客户参考号"])
def test_a_column_that_may_hold_a_short_id_is_named(tmp_path: Path, column: str) -> None:
    pl.DataFrame({column: ["7", "8"], "quantity": [7, 7], "order_id": [7, 8]}).write_csv(tmp_path / "a.csv")
    pl.DataFrame({column: [7, 8], "quantity": [7, 7]}).write_parquet(tmp_path / "b.parquet")
    with closing(sqlite3.connect(tmp_path / "c.db")) as db, db:
        db.execute(f'create table t ("{column}" text, order_id text)')
        db.execute("insert into t values ('7', '7')")
    found = IdentifierSearch("7").search(tmp_path)
    assert not found.findings
    assert [each.partition(":")[0].removeprefix(f"{tmp_path}/") for each in found.unread] == [
        f"a.csv, column {column}", f"b.parquet, column {column}", f"c.db, table t, column {column}",
    ]  # fmt: skip
    assert not IdentifierSearch("9").search(tmp_path).unread


NOISE = np.random.default_rng(1).bytes(9000)


@pytest.mark.parametrize(
    "content", [b"7z\xbc\xaf\x27\x1c\0\4", b"Rar!\x1a\7\0", b"Obj\1avro", b"\x89PNG\r\n\x1a\n", NOISE, b"Salted__1234"]
)
def test_a_file_that_hides_what_it_says_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("inner", content)
    found = IdentifierSearch("A10427").search(tmp_path)
    assert [each.partition(":")[0] for each in found.unread] == [f"{tmp_path}/a", f"{tmp_path}/b.zip!inner"]


def test_damage_in_an_archive_hides_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("first", "x" * 99)
        archive.writestr("second", "of A10427")
        archive.comment = b"for A10427"
    torn = (tmp_path / "a.zip").read_bytes().replace(b"x" * 99, b"y" * 99)
    (tmp_path / "a.zip").write_bytes(torn)
    rows = "".join(f"row {n * n}\n" for n in range(9000))
    (tmp_path / "b.gz").write_bytes(gzip.compress(f"of A10427\n{rows}".encode())[:-300])
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("A10427.csv", "nothing")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    found = IdentifierSearch("A10427").search(tmp_path)
    assert [each.place.removeprefix(f"{tmp_path}/") for each in found.findings] == [
        "a.zip!second", "b.gz!b", "c.zip!A10427.csv (its name)"
    ]  # fmt: skip
    assert [each.partition(":")[0].removeprefix(f"{tmp_path}/") for each in found.unread] == [
        "link", "a.zip!first", "b.gz!b"
    ]  # fmt: skip


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut A10427")
    found = IdentifierSearch("A10427").search(tmp_path)
    assert len(found.unread) == 2
    assert [each.place for each in found.findings] == [str(tmp_path / "cut.parquet")]
