"""A person is found in whatever file they stand, and nobody else is."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

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


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut A10427")
    found = IdentifierSearch("A10427").search(tmp_path)
    assert len(found.unread) == 2
    assert [each.place for each in found.findings] == [str(tmp_path / "cut.parquet")]
