"""A new shop through the browser: files are sent, read as `init` reads them, corrected, and used."""

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import httpx
import pytest
from console_helpers import SAME, Person, Shop, opened, page_form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS
from workbook_files import write_workbook

from promolift.cli.application import main
from promolift.foundation.errors import InputError
from promolift.foundation.files.table_files import check_unpacked_size
from promolift.foundation.settings import read_tsv
from promolift.server.console.multipart import BOUNDARY, FormTooLargeError, MultipartForm
from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init

COLUMNS = "order_id,email,date,sku,product_name,quantity,price"


@contextmanager
def new_shop(folder: Path) -> Iterator[Shop]:
    """A server that was started in an empty folder."""
    with opened(folder / "work", None, file=folder / "promolift.toml") as shop:
        yield shop


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Shop]:
    with new_shop(tmp_path) as shop:
        yield shop


def log(path: Path, header: str = COLUMNS, more: str = "") -> Path:
    """Orders of 17 customers, two lines each; `more` is what follows in each line."""
    rows = [header]
    for order in range(60):
        for line in range(2):
            item = (order + line) % 9
            day = f"2026-0{1 + order // 28}-{1 + order % 28:02d}"
            rows.append(f"{1000 + order},anna{order % 17}@x.org,{day},P{item},Espresso {item},{1 + line},{9 + item}.50"
                        + more)  # fmt: skip
    path.write_text("\n".join(rows) + "\n")
    return path


def sent(shop: Shop, *files: Path, name: str = "approver", table: str = "events") -> Person:
    person = shop.person(name)
    for file in files:
        assert person.send("/data/setup/upload", file, table=table) == {"go": "/console/data/setup"}
    return person


def looked(person: Person, form: dict[str, str], status: int = 200) -> dict[str, Any]:
    """What the page shows of other answers."""
    path, headers = "/console/data/setup/look?format=json", SAME
    reply = person.client.post(path, data={"token": person.token} | form, headers=headers)
    assert reply.status_code == status, reply.text[-2000:]
    found: dict[str, Any] = reply.json()
    return found


def flags(form: dict[str, str]) -> list[str]:
    """The same answers for a script."""
    said = [f"{key.removeprefix('columns.')}={column}" for key, column in form.items()
            if key.startswith("columns.") and column != form.get(f"guess.{key}", "")]  # fmt: skip
    said += ["money=minor" if form["money"] == "yes" else "money=major"] if form.get("money") else []
    found = [part for pair in said for part in ("--map", pair)]
    if form.get("currency", "") != form.get("guess.currency", ""):
        found += ["--currency", form["currency"]]
    return [*found, "--consent", form["consent"]] if form.get("consent") else found


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([name for name in LAYOUTS if not LAYOUTS[name].given]),
    consent=st.sampled_from(["yes", "no"]),
    language=st.sampled_from(["en", "zh"]),
)
def test_the_console_writes_the_file_that_init_writes(
    tmp_path_factory: pytest.TempPathFactory, name: str, consent: str, language: str
) -> None:
    """The law: by the same answers the settings are equal to the byte in any layout and reader's language."""
    layout, folder = LAYOUTS[name], tmp_path_factory.mktemp("shop")
    (folder / "files").mkdir()
    layout.write(folder / "files")
    with new_shop(folder) as shop:
        person = shop.person("approver")
        person.post("/language", language=language)
        names = sorted(layout.events.split("+"))
        for table, file in [*(("events", each) for each in names), *layout.others.items()]:
            person.send("/data/setup/upload", folder / "files" / file, table=table)
        answers = {f"columns.events.{role}": column for role, _, column in (a.partition("=") for a in layout.answers)}
        form = page_form(looked(person, answers)) | answers
        form |= {"consent": consent} if "consent" in form else {}
        place = folder / "uploads" / "setup"
        files = ["--events", "+".join(str(place / "events" / each) for each in names)]
        files += [part for table, file in layout.others.items() for part in (f"--{table}", str(place / table / file))]
        assert not (folder / "promolift.toml").exists()
        reply = person.post("/data/setup/use", **form)
        assert reply.headers["location"] == "/console/data/setup"
    with pytest.raises(SystemExit) as stop:
        main(["init", *files, "--config", str(folder / "cli.toml"), *flags(form)])
    assert not stop.value.code
    assert (folder / "promolift.toml").read_bytes() == (folder / "cli.toml").read_bytes()


def test_the_console_asks_what_a_terminal_asks_and_writes_the_same(empty: Shop, tmp_path: Path) -> None:
    person, asked = sent(empty, log(tmp_path / "log.csv")), list[str]()
    page = person.json("/data/setup")

    def ask(question: str, default: str) -> str:
        asked.append(question)
        return default

    file = tmp_path / "uploads" / "setup" / "events" / "log.csv"
    init({"events": file}, tmp_path / "terminal.toml", False, answers=SetupAnswers(ask=ask))
    questions = [each["text"] for each, _ in (*page["reading"]["questions"], *page["reading"]["closing"])]
    assert len(questions) == len(asked)
    assert all(said.startswith(text) for said, text in zip(asked, questions, strict=True))
    person.post("/data/setup/use", **page_form(page) | {"consent": "no", "message_cost": "0"})
    assert (tmp_path / "promolift.toml").read_bytes() == (tmp_path / "terminal.toml").read_bytes()


def test_the_page_shows_five_orders_and_writes_nothing(empty: Shop, tmp_path: Path) -> None:
    person = sent(empty, log(tmp_path / "log.csv"))
    page = person.json("/data/setup")
    assert len(page["reading"]["orders"]) == 5
    assert "1 x Espresso 0 at $9.50" in page["reading"]["orders"][0]
    changed = looked(person, page_form(page) | {"currency": "GBP"})
    assert "1 x Espresso 0 at £9.50" in changed["reading"]["orders"][0]
    wrong = page_form(changed) | {"columns.events.unit_price": "quantity"}
    assert "at £1.00" in looked(person, wrong)["reading"]["orders"][0]
    assert not (tmp_path / "promolift.toml").exists()


def test_a_correction_stays_until_it_is_taken_back(empty: Shop, tmp_path: Path) -> None:
    person = sent(empty, log(tmp_path / "log.csv"))
    form = page_form(person.json("/data/setup"))
    key = "columns.events.unit_price"
    for _ in range(2):
        form = page_form(looked(person, form | {key: "quantity"}))
        assert (form[key], form[f"guess.{key}"]) == ("quantity", "price")
    assert looked(person, form | {key: "price"})["reading"]["orders"] == person.json("/data/setup")["reading"]["orders"]


def test_consent_is_answered_by_a_person_and_never_assumed(empty: Shop, tmp_path: Path) -> None:
    editor = sent(empty, log(tmp_path / "log.csv"), name="editor")
    form = page_form(editor.json("/data/setup"))
    assert form["consent"] == ""
    page = editor.post("/data/setup/use", 422, **form).text
    assert "[consent_unanswered]" in page
    assert "[role_missing]" in editor.post("/data/setup/use", 422, **form | {"consent": "yes"}).text
    assert not (tmp_path / "promolift.toml").exists()
    editor.post("/data/setup/use", **form | {"consent": "no"})
    assert load_config(tmp_path / "promolift.toml").consent.default is False


def test_a_column_that_may_hold_answers_overrules_who_answers_for_all(empty: Shop, tmp_path: Path) -> None:
    person = sent(empty, log(tmp_path / "log.csv"))
    remarks = ["email,remark", *(f"anna{n}@x.org,{'call back' if n % 2 else 'sends gifts'}" for n in range(17))]
    (tmp_path / "people.csv").write_text("\n".join(remarks) + "\n")
    sent(empty, tmp_path / "people.csv", table="customers")
    form = page_form(person.json("/data/setup"))
    assert "consent" not in form  # while a column may hold the answers
    page = looked(person, form | {"consent": "yes"}, 422)
    assert page["fault"]["code"] == "consent_overruled"
    assert "consent_column.remark" in page_form(page)
    assert "[consent_overruled]" in person.post("/data/setup/use", 422, **form | {"consent": "yes"}).text
    settled = page_form(page) | {"consent_column.remark": "no"}
    other = looked(person, settled)
    assert (other["fault"], page_form(other)["consent"]) == (None, "")  # now somebody has to answer for all
    person.post("/data/setup/use", **page_form(other) | {"consent": "yes", "consent_column.remark": "no"})
    consent = load_config(tmp_path / "promolift.toml").consent
    assert (consent.default, consent.not_consent) == (True, ("remark",))


def test_an_unclear_customer_is_asked_for_by_a_choice(empty: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "woo"
    folder.mkdir()
    layout = LAYOUTS["WooCommerce"]
    layout.write(folder)
    person = sent(empty, folder / layout.events)
    page = person.json("/data/setup")
    assert page["fault"]["code"] == "customer_unclear"
    assert "Customer" in page["fault"]["customers"]
    shown = looked(person, {"columns.events.customer_id": "Customer"})
    assert (shown["fault"], len(shown["reading"]["orders"])) == (None, 5)
    assert page_form(shown)["columns.events.customer_id"] == "Customer"


def test_a_wrong_column_is_an_error_on_the_page_and_the_answers_stay(empty: Shop, tmp_path: Path) -> None:
    person = sent(empty, log(tmp_path / "log.csv"))
    form = page_form(person.json("/data/setup")) | {"message_cost": "0.5", "columns.events.customer_id": "nobody"}
    page = looked(person, form, 422)
    assert page["fault"]["code"] == "column_unknown"
    kept = page_form(page)
    assert (kept["columns.events.customer_id"], kept["message_cost"]) == ("nobody", "0.5")


def test_no_page_of_the_set_up_names_a_command(empty: Shop, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    for content in ("a,b\n", "a,b\n1,2\n", "<html><body>sign in</body></html>", "x\n1\n", COLUMNS + "\n"):
        bad.write_text(content)
        person = sent(empty, bad)
        page = person.get("/data/setup")
        assert person.json("/data/setup")["fault"], content
        assert not re.search(r"(?<![-!<])--\w|promolift init", page), content


def test_every_refusal_of_init_has_words_for_the_page() -> None:
    root = Path(__file__).parents[3] / "src" / "promolift"
    folders = ("shop/ingest/setup", "shop/ingest/schema_matching", "foundation/files")
    text = "".join(path.read_text("utf-8") for each in folders for path in (root / each).rglob("*.py"))
    codes = set(re.findall(r'(?:InputError|ConfigError|__init__)\(\s*(?:"([a-z_]+)"|error)', text)) - {""}
    known = {key for group, key, _ in read_tsv("server/translations.tsv") if group == "setup_fault"}
    unmet = {"file_is_folder", "path_outside_folder", "rows_rejected", "too_many_files", "trade_unknown",
             "column_count_differs", "column_role_unknown", "unpacked_too_large"}  # fmt: skip
    assert codes - known <= unmet


def test_sheets_of_a_workbook_are_chosen_by_a_click(empty: Shop, tmp_path: Path) -> None:
    lines = [line.split(",") for line in log(tmp_path / "log.csv").read_text().splitlines()]
    notes = [["remark", "by"], *[["made by hand", "Bo"]] * 200]
    path = write_workbook(tmp_path / "book.xlsx", {"Notes": notes, "Lines": lines})
    person = sent(empty, path)
    page = person.json("/data/setup")
    (sheet,) = page["sheets"]
    assert [choice["value"] for choice in sheet["choices"]] == ["Notes", "Lines"]
    shown = looked(person, {sheet["key"]: "Lines"})
    assert len(shown["reading"]["orders"]) == 5
    person.post("/data/setup/use", **page_form(shown) | {"consent": "no"})
    assert load_config(tmp_path / "promolift.toml").data.files["events"].path.endswith("book.xlsx#Lines")


def test_files_of_events_belong_together_or_are_apart(empty: Shop, tmp_path: Path) -> None:
    person = sent(empty, log(tmp_path / "a.csv"), log(tmp_path / "b.csv"))
    page = person.json("/data/setup")
    assert page["together"] is False
    assert [table["file"] for table in page["reading"]["tables"]][:2] == ["a.csv", "b.csv"]


def test_without_the_script_a_form_brings_several_files(empty: Shop, tmp_path: Path) -> None:
    person = empty.person("editor")
    files = [("file", (name, log(tmp_path / name).read_bytes())) for name in ("a.csv", "../b.csv")]
    (tmp_path / "a.csv").unlink()
    reply = person.client.post(
        "/console/data/setup/upload", data={"token": person.token, "table": "events"}, files=files, headers=SAME
    )
    assert reply.headers["location"] == "/console/data/setup"
    assert sorted(name for _, name in person.json("/data/setup")["files"]) == ["_b.csv", "a.csv"]
    assert not [*(tmp_path / "work").glob(".form-*")]
    bad = person.client.post("/console/data/setup/upload", data={"token": "x"}, files=files, headers=SAME)
    assert bad.status_code == 403
    person.post("/data/setup/remove", file="events/a.csv")
    assert len(person.json("/data/setup")["files"]) == 1
    person.post("/data/setup/remove", 422, file="events/../../../promolift.toml")


def test_a_viewer_sets_up_nothing_and_a_shop_is_set_up_once(empty: Shop, tmp_path: Path) -> None:
    viewer = empty.person("viewer")
    viewer.get("/data/setup", 403)
    viewer.send("/data/setup/upload", log(tmp_path / "log.csv"), status=403)
    person = sent(empty, tmp_path / "log.csv")
    form = page_form(person.json("/data/setup")) | {"consent": "no"}
    person.post("/data/setup/use", **form)
    before = (tmp_path / "promolift.toml").read_bytes()
    for door in ("use", "look", "remove", "upload"):
        person.post(f"/data/setup/{door}", 422, **form)
    assert (tmp_path / "promolift.toml").read_bytes() == before
    assert 'action="/console/data/run"' in person.get("/data/setup")


@pytest.mark.parametrize("kind", ["gz", "zip", "xlsx"])
def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"bomb.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(b"0" * 200_000))
    else:
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", b"0" * 120_000)
            archive.writestr("b.csv", b"0" * 80_000)
    check_unpacked_size(path, 200_000)
    with pytest.raises(InputError) as refused:
        check_unpacked_size(path, 199_999)
    assert refused.value.code == "unpacked_too_large"
    path.write_bytes(path.read_bytes()[:60])
    if kind == "gz":
        with pytest.raises(InputError) as broken:
            check_unpacked_size(path, 200_000)
        assert broken.value.code == "file_incomplete"


def test_a_zip_that_states_a_smaller_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 120_000)
    lie = path.read_bytes().replace((120_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(lie)
    with pytest.raises(InputError) as refused:
        check_unpacked_size(path, 1_000)
    assert refused.value.code == "file_incomplete"


def test_a_bomb_that_is_sent_is_not_kept(empty: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promolift.server.console.pages.context.UNPACKED_BYTES", 1000)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"0" * 5000))
    person = empty.person("editor")
    said = person.send("/data/setup/upload", tmp_path / "bomb.csv.gz", status=422)
    assert said["code"] == "unpacked_too_large"
    assert not [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(st.from_regex(r"[a-z.]{1,8}", fullmatch=True), st.text("ab\r\n-é", max_size=30), max_size=3),
    contents=st.lists(st.binary(max_size=200) | st.sampled_from([b"\r\n--", b"\r\n--x\r\n", b"--\r\n"]), max_size=3),
    size=st.integers(1, 70),
)
def test_a_form_is_read_the_same_in_pieces_of_any_size(
    tmp_path: Path, fields: dict[str, str], contents: list[bytes], size: int
) -> None:
    """The law: what httpx encodes is what is read, however the bytes arrive."""
    files = [("file", (f"f{place}.csv", content)) for place, content in enumerate([b"first", *contents])]
    request = httpx.Request("POST", "http://x", data=fields, files=files)
    body, boundary = request.read(), BOUNDARY.match(request.headers["content-type"])
    assert boundary
    form = MultipartForm(boundary[1], tmp_path, 1000, 10_000)
    for at in range(0, len(body), size):
        form.feed(body[at : at + size])
    form.end()
    form.close()
    assert form.fields == fields
    assert [each.name for each in form.files] == [name for _, (name, _) in files]
    assert [each.path.read_bytes() for each in form.files] == [content for _, (_, content) in files]


def test_a_form_above_its_limit_is_refused(tmp_path: Path) -> None:
    request = httpx.Request("POST", "http://x", data={"a": "b"}, files=[("file", ("f.csv", b"x" * 300))])
    boundary = BOUNDARY.match(request.headers["content-type"])
    assert boundary
    form = MultipartForm(boundary[1], tmp_path, 100, 200)
    with pytest.raises(FormTooLargeError):
        form.feed(request.read())
    form.close()


def test_a_form_that_breaks_off_is_refused(tmp_path: Path) -> None:
    request = httpx.Request("POST", "http://x", data={"a": "b"}, files=[("file", ("f.csv", b"x" * 300))])
    boundary = BOUNDARY.match(request.headers["content-type"])
    assert boundary
    form = MultipartForm(boundary[1], tmp_path, 1000, 1000)
    form.feed(request.read()[:-60])
    with pytest.raises(FormTooLargeError):
        form.end()
    form.close()
