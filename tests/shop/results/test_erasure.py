"""After `promolift erase` a customer is in no byte of the work folder, and what is left elsewhere is named."""

import gzip
import json
from base64 import b64encode
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from promolift.cli.application import main
from promolift.foundation.privacy.identifier_search import IdentifierSearch, TextCell
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.results.work_folder.customer_erasure import erase_customer, identify_customer, mask_customer
from promolift.shop.results.work_folder.run_context import Job

EVENTS = {"customer_id": "who", "time": "at", "order_id": "receipt", "product_id": "sku", "amount": "paid"}
PEOPLE = {"customer_id": "who", "name": "name", "consent": "consent"}
SOURCES = ("events.csv", "customers.csv", "promotions.csv", "products.csv")


def write_shop(folder: Path, ids: list[str], encoding: str = "latin-1") -> dict[str, str]:
    """A shop's files; every column of the first customer's rows that may hold free text has a marker of its own, in
    rows that are taken and in rows that are set aside. Returns the markers by file and column."""
    first, markers = ids[0], {}

    def mark(file: str, column: str) -> str:
        markers[f"{file} {column}"] = found = f"ada.{file[:3]}.{column}@erase.example"
        return found

    lines = ["who,at,receipt,sku,paid,note"]
    for number, who in enumerate(ids):
        lines += [f"{who},2024-03-{day:02} 10:00:00,r{number}-{day},tea,1.50,Grüße" for day in range(1, 9)]
    lines += [
        f"{first},2024-03-09 10:00:00,r-9,tea,1.50,{mark('events.csv', 'note')}",
        f"{first},no time,{mark('events.csv', 'receipt')},tea,1.50,set aside",
        f"{first},{mark('events.csv', 'at')},r-8,tea,1.50,",
        f'{first},2024-03-09 10:00:00,r-7,{mark("events.csv", "sku")},no money,"call +44 7911 123456"',
        f'{first},"broken line {mark("events.csv", "line")}',
    ]
    (folder / "events.csv").write_bytes("\n".join(lines).encode(encoding))
    people = ["who,name,consent,mail,phone"]
    people += [f"{who},N{n},yes,{who.lower()}@mail.example,+4479112000{n:02}" for n, who in enumerate(ids)]
    people += [f"{first},{mark('customers.csv', 'name')},yes,{mark('customers.csv', 'mail')},", f",{first},yes,,"]
    (folder / "customers.csv").write_text("\n".join(people), encoding="utf-16")
    promotions = ["who,campaign,start,end"]
    promotions += [f"{who},c1,2024-03-01,2024-03-05" for who in ids]
    promotions += [f"{first},{mark('promotions.csv', 'campaign')},never,2024-03-05"]
    (folder / "promotions.csv").write_text("\n".join(promotions), encoding="utf-8")
    (folder / "products.csv").write_text("sku,title\ntea,Tea\n", encoding="utf-8")
    return markers


def settings(folder: Path) -> dict[str, Any]:
    def file(name: str, columns: dict[str, str], **more: Any) -> dict[str, Any]:
        return {"path": str(folder / name), "mapping": {"columns": columns, **more}}

    return {
        "source": "files", "events": file("events.csv", EVENTS, constants={"kind": "purchase"}),
        "customers": file("customers.csv", PEOPLE),
        "promotions": file("promotions.csv", {"customer_id": "who", "campaign_id": "campaign", "start": "start",
                                              "end": "end"}),
        "products": file("products.csv", {"product_id": "sku", "name": "title"}),
    }  # fmt: skip


def ingest(folder: Path) -> Config:
    config = Config.parse({"data": settings(folder)}, str(folder))
    with Store(folder / "work") as store:
        run_steps(Job(config, store, lambda *_: None), ["ingest"])
    return config


def test_unique_markers_of_every_source_file_and_column_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ids = [f"marker-{number:05}" for number in range(20)]
    markers = write_shop(tmp_path, ids)
    ingest(tmp_path)
    who, work = ids[0], tmp_path / "work"
    everywhere = IdentifierSearch(who, frozenset({*markers.values(), "447911123456", f"{who}@mail.example"}))
    before = {each.place.partition(",")[0].removeprefix(f"{work}/").partition("/shard")[0]
              for each in everywhere.search(work).findings}  # fmt: skip
    assert {"tables/events", "tables/rejected", "tables/customers.parquet", "notes/health.json"} <= before
    assert not [*(work / "tmp").iterdir()]
    (work / "plan.toml").write_text("")
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "ledger.txt").write_text(f"paid by {markers['customers.csv mail']}")
    toml = ["[data]", 'source = "files"']
    for name, part in settings(tmp_path).items():
        if name != "source":
            toml += [f"[data.{name}]", f'path = "{Path(part["path"]).name}"', f"[data.{name}.mapping.columns]"]
            toml += [f'{role} = "{column}"' for role, column in part["mapping"]["columns"].items()]
    toml += ["[data.events.mapping.constants]", 'kind = "purchase"']
    (tmp_path / "promolift.toml").write_text("\n".join(toml))
    with pytest.raises(SystemExit) as ended:
        main(["erase", who, "--work", "work", "--also", "backup", "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert everywhere.search(work).findings == ()
    assert said["rows"]["rejected"] >= 5
    assert {Path(each["place"]).name for each in said["searched"]} == {"work", "backup", *SOURCES}
    left = {Path(each["place"]).name: each["remedy"] for each in said["left"]}
    assert left == {"events.csv": "source", "customers.csv": "source", "promotions.csv": "source",
                    "ledger.txt": "other"}  # fmt: skip
    with Store(work) as store:
        assert set(store.frame("customers")["customer_id"]) >= set(ids[1:])
        assert store.events().aggregate("count(distinct customer_id)").fetchall() == [(19,)]


@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in range(1, 12))])
def test_whatever_ids_look_like_one_goes_and_the_others_stay(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    drawn = Random(seed)
    form = ("A{:05}", "{}", "ann.{}@x.example")[seed % 3]
    ids = [form.format(number) for number in drawn.sample(range(10, 1000), drawn.randint(3, 6))]
    encoding = drawn.choice(["latin-1", "utf-8"])
    folder = tmp_path_factory.mktemp("drawn")
    write_shop(folder, ids, encoding)
    config = ingest(folder)
    with Store(folder / "work") as store:
        before = store.events().filter(f"customer_id <> '{ids[0]}'").order("all").fetchall()
        search = identify_customer(store, ids[0], config)
        assert "447911200000" in search.contacts
        assert not any(f"4479112000{number:02}" in search.contacts for number in range(1, len(ids)))
        erase_customer(store, search)
        assert store.events().order("all").fetchall() == before
        assert set(store.frame("customers")["customer_id"]) >= set(ids[1:])
    assert search.search(folder / "work").findings == ()


def test_an_address_that_others_have_too_is_not_the_customer_s(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.save("events", pl.DataFrame({
            "customer_id": ["A1001", "A1001", "B2002"],
            "note": ["from shop@x.example", "to ann@x.example", "from shop@x.example"],
        }))  # fmt: skip
        raw = [{"who": "", "mail": "ann@x.example"}, {"user_id": "B2002", "mail": "shop@x.example"}]
        store.save("rejected", pl.DataFrame({"raw": [json.dumps(each) for each in raw]}))
        search = identify_customer(store, "A1001", None)
        assert search.contacts == {"ann@x.example"}
        assert erase_customer(store, search) == {"events": 2, "rejected": 1}
        assert store.frame("events")["customer_id"].to_list() == ["B2002"]
        assert store.frame("rejected").height == 1


@pytest.mark.parametrize("customer_id", ["u0042", "42", "ada@mail.example", "+44 7911 123456"])
def test_many_texts_looked_at_together_name_the_same_customer_as_one_by_one(customer_id: str) -> None:
    rng, search = Random(customer_id), IdentifierSearch(customer_id, frozenset({"ada@mail.example", "447911123456"}))
    raw = f"customer_id: {customer_id} of the shop"
    named = [
        customer_id, raw, raw.upper(), quote(raw), json.dumps(raw), b64encode(raw.encode()).decode(),
        b64encode(gzip.compress(raw.encode())).decode(), raw.encode().hex(), f"xx{b64encode(raw.encode()).decode()}",
        "call +44 7911-123456", "Ada@Mail.example", quote("ada@mail.example"),
    ]  # fmt: skip
    other = [f"u{rng.randrange(10**5):05}" for _ in range(300)] + ["", "tea", "A" * 40, "\\", "%", "deadbeef" * 4]
    other += [b64encode(rng.randbytes(30)).decode() for _ in range(50)]
    keys = ("", "who", "customer_id", "note")
    cells = [TextCell(rng.choice(keys), text) for text in named * 3 + other]
    for some in (cells, cells[::-1], *(rng.sample(cells, 40) for _ in range(20))):
        one_by_one = {(key, text) for key, text in some if search.in_cell(key, text)}
        assert search.find_cells(some) == one_by_one
    assert len(search.find_cells(cells)) >= len(named)


def test_a_customer_is_masked_in_a_large_note_without_a_look_at_each_text(monkeypatch: pytest.MonkeyPatch) -> None:
    note = {"rows": [{"id": f"u{number:05}", "name": f"customer {number}"} for number in range(5000)]}
    looked, exact = list[Any](), IdentifierSearch.in_any_reading
    monkeypatch.setattr(IdentifierSearch, "in_any_reading", lambda self, data: looked.append(data) or exact(self, data))
    masked = mask_customer(note, IdentifierSearch("u04711"))
    assert [number for number, row in enumerate(masked["rows"]) if row != note["rows"][number]] == [4711]
    assert masked["rows"][4711] == {"id": "[erased]", "name": "customer 4711"}
    assert len(looked) < 10
