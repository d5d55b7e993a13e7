"""The menu in the browser: cards, drafts with the printed words, approval, versions, proposals; what is no offer."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_helpers import CONFIG, Person, Shop, opened

from promolift.shop.configuration.configuration import load_config

TEA = {"type": "amount_off", "id": "tea-5", "amount_cents": "5", "min_spend_cents": "40", "scope": "all"}


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose settings may be changed, and whose plan decides."""
    with opened(folder, CONFIG, True, tmp_path / "promolift.toml") as shop:
        yield shop


def drafted(person: Person, **other: str) -> str:
    person.get("/offers/edit")
    person.post("/offers/save", **TEA | other)
    return str(person.json("/offers")["drafts"][-1]["id"])


def lines(person: Person) -> list[str]:
    return [each["line"]["id"] for each in person.json("/offers")["cards"]]


def test_the_cards_are_the_menu_with_what_the_plan_gives(own: Shop) -> None:
    said = own.person("viewer").json("/offers")
    assert [each["line"]["id"] for each in said["cards"]] == [line.id for line in CONFIG.menu]
    assert any(each["given"] for each in said["cards"])
    assert all(each["live"] for each in said["cards"] if each["given"])
    assert not any(each["line"]["id"] in {line.id for line in CONFIG.menu} for each in said["proposed"])


def test_a_draft_is_on_the_menu_only_once_somebody_said_yes(own: Shop, tmp_path: Path) -> None:
    editor, approver = own.person("editor"), own.person("approver")
    name = drafted(editor, note="for spring")
    assert "tea-5" not in lines(editor)
    assert "An offer waits" not in approver.get("/")
    editor.post(f"/offers/drafts/{name}", said="ask")
    assert "An offer waits" in approver.get("/")
    editor.post(f"/offers/drafts/{name}", 403, said="yes")
    approver.post(f"/offers/drafts/{name}", said="yes")
    assert lines(editor)[-1] == "tea-5"
    menu = load_config(tmp_path / "promolift.toml").menu
    assert (menu[-1].benefit.amount_cents, menu[-1].min_spend_cents) == (500, 4000)
    assert [line.id for line in menu[:-1]] == [line.id for line in CONFIG.menu]
    assert own.server.config.menu == menu
    approver.post(f"/offers/drafts/{name}", 422, said="yes")
    assert own.api("GET", "/v1/menu")["lines"][-1]["id"] == "tea-5"


def test_a_line_is_retired_and_the_menu_of_a_version_comes_back(own: Shop, tmp_path: Path) -> None:
    approver, first = own.person("approver"), CONFIG.menu[0].id
    approver.post(f"/offers/drafts/{drafted(approver)}", said="yes")
    approver.post(f"/offers/lines/{first}/retire")
    assert first not in lines(approver)
    approver.post(f"/offers/lines/{first}/retire", 422)
    assert [each["number"] for each in approver.json("/offers")["versions"]] == [3, 2, 1]
    approver.post("/offers/versions/1")
    assert lines(approver) == [line.id for line in CONFIG.menu]
    assert load_config(tmp_path / "promolift.toml").menu == CONFIG.menu
    approver.post("/offers/versions/99", 422)


def test_with_two_pairs_of_eyes_nobody_approves_their_own_offer(folder: Path, tmp_path: Path) -> None:
    with opened(folder, CONFIG, True, tmp_path / "promolift.toml", console={"two_eyes": True}) as shop:
        approver = shop.person("approver")
        name = drafted(approver)
        assert "[own_work]" in approver.post(f"/offers/drafts/{name}", 422, said="yes").text
        admin = shop.person("admin")
        admin.post(f"/offers/drafts/{name}", said="yes")
        assert lines(admin)[-1] == "tea-5"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"min_spend_cents": "4"}, "min_spend_cents above the amount"),
        ({"amount_cents": "a lot"}, "amount_cents"),
        ({"id": "Tea 5"}, "id"),
        ({"type": "percent_off", "percent": "120"}, "percent"),
        ({"type": "none"}, "always on the menu"),
        ({"type": "nonsense"}, "type"),
        ({"valid_days": "0"}, "valid_days"),
        ({"supplier_share": "140"}, "supplier_share"),
    ],
)
def test_what_is_no_offer_is_refused_with_its_place(own: Shop, wrong: dict[str, str], why: str) -> None:
    editor = own.person("editor")
    assert why in editor.post("/offers/save", 422, **TEA | wrong).text.replace("&#39;", "'")
    assert why in editor.client.get("/console/offers/preview", params=TEA | wrong).text
    assert editor.json("/offers")["drafts"] == []


def test_a_segment_that_nobody_defined_stays_off_the_menu(own: Shop, tmp_path: Path) -> None:
    approver = own.person("approver")
    name = drafted(approver, segments="nobodies")
    assert "nobodies" in approver.post(f"/offers/drafts/{name}", 422, said="yes").text
    assert approver.json("/offers")["drafts"][0]["status"] == "draft"
    assert not (tmp_path / "console.toml").exists()


def test_the_preview_prints_both_languages_and_the_worst_case(own: Shop) -> None:
    editor = own.person("editor")
    said = editor.client.get("/console/offers/preview", params=TEA | {"supplier_share": "40", "format": "json"}).json()
    assert [each["words"] for each in said["printed"]] == ["$5 off from $40 up", "满40美元减5美元"]
    assert said["card"]["worst"] == "$3.00"
    open_ended = {"type": "percent_off", "id": "all-10", "percent": "10", "scope": "all", "format": "json"}
    assert editor.client.get("/console/offers/preview", params=open_ended).json()["card"]["worst"] == "no bound"
    assert editor.json("/offers")["drafts"] == []


def test_every_line_of_the_menu_reads_back_from_its_own_form(own: Shop) -> None:
    editor = own.person("editor")
    for line in CONFIG.menu:
        said = editor.json(f"/offers/edit?line={line.id}")
        editor.post("/offers/save", type=said["kind"], **said["values"])
        kept = editor.json("/offers")["drafts"]
        assert line.id in {each["line"]["id"] for each in kept}
        (same,) = [each["line"] for each in kept if each["line"]["id"] == line.id]
        assert type(line).model_validate(same) == line


def test_markup_in_a_gift_stays_text(own: Shop) -> None:
    evil = "<img src=x onerror=alert(1)>"
    gift = {
        "type": "gift",
        "id": "cup",
        "item_en": evil,
        "item_zh": evil,
        "product_id": evil,
        "benefit_cost_cents": "1",
    }
    editor = own.person("editor")
    editor.post("/offers/save", **gift)
    assert evil not in editor.get("/offers")
    assert evil not in editor.client.get("/console/offers/preview", params=gift).text
    admin = own.person("admin")
    admin.post(f"/offers/drafts/{admin.json('/offers')['drafts'][0]['id']}", said="yes")
    tomllib.loads((own.server.settings.work.parent / "console.toml").read_text(encoding="utf-8"))


def test_no_role_below_the_one_it_takes_changes_the_menu(own: Shop) -> None:
    viewer, editor, first = own.person("viewer"), own.person("editor"), CONFIG.menu[0].id
    name = drafted(editor)
    for path in ("/offers/save", f"/offers/drafts/{name}", f"/offers/lines/{first}/retire", "/offers/versions/1"):
        viewer.post(path, 403, **TEA, said="yes")
    for path in (f"/offers/lines/{first}/retire", "/offers/versions/1"):
        editor.post(path, 403)
    assert lines(viewer) == [line.id for line in CONFIG.menu]
