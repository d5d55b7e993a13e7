"""Cards of texts: filled for customers of the plan, decided on alone or together, undone; reasons and two eyes."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlencode

import pytest
from console_helpers import CONFIG, SAME, Person, Shop, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promolift.core.messages import PoolText
from promolift.core.messages.text_pool import TextPool
from promolift.foundation.storage.local_store import Store
from promolift.shop.pipeline.pool_file import load_pool, save_pool
from promolift.shop.results.messages import Messages

TYPED = st.text(
    st.sampled_from("ab {}|折\n5<'\"%[{deal}") | st.characters(max_codepoint=0x2FFFF, exclude_categories=["Cs"]),
    max_size=12,
) | st.sampled_from(["", "{deal}", "{product}", "{bought}", "{deal}: {product}?", "{nonsense}", "{", "{}"])


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A shop's own pool: the texts that come with promolift."""
    path = tmp_path / "words.jsonl"
    shutil.copyfile(str(files("promolift.shop.pipeline") / "demo_pool.jsonl"), path)
    return path


@pytest.fixture
def own(folder: Path, pool: Path) -> Iterator[Shop]:
    """A server whose shop has its own pool."""
    yield from serving(folder, pool)


@pytest.fixture
def strict(folder: Path, pool: Path) -> Iterator[Shop]:
    """The same where nobody approves their own words."""
    yield from serving(folder, pool, console={"two_eyes": True})


@pytest.fixture
def typist(own: Shop) -> Person:
    """Somebody who writes."""
    return own.person("editor")


def serving(folder: Path, pool: Path, **more: object) -> Iterator[Shop]:
    config = CONFIG.model_copy(update={"message": CONFIG.message.model_copy(update={"pool": str(pool)})})
    with opened(folder, config, **more) as found:
        yield found


def shown(page: dict) -> list[dict]:
    return [card for row in page["rows"] for card in row["cards"]]


def states(pool: Path) -> dict[str, str]:
    return {text.text_id: text.state for text in load_pool(pool).texts}


def named(cards: list[dict]) -> dict[str, str]:
    return {f"id:{card['text']['text_id']}": "1" for card in cards}


def test_a_card_shows_what_a_customer_of_the_plan_would_receive(own: Shop, folder: Path) -> None:
    with Store(folder) as store:
        rows = {row["customer_id"]: row for row in Messages.load(store).rows.iter_rows(named=True)}
    approver = own.person("approver")
    angles = approver.json("/words/review")["angles"]
    found = 0
    for angle in angles:
        page = approver.json(f"/words/review?angle={angle}")
        for row in page["rows"]:
            assert len({card["text"]["language"] for card in row["cards"]}) == len(row["cards"])
            if who := row["example"]["customer_id"]:
                assert (rows[who]["angle"], rows[who]["name"]) == (angle, row["example"]["name"])
                found += 1
            for card in row["cards"]:
                assert card["text"]["angle"] == angle
                assert card["message"], card["text"]["text_id"]
                assert "{" not in card["title"] + card["message"]
                words = re.split(r"\{\w+\}", card["text"]["hook"])
                assert all(part.lower() in card["message"].lower() for part in words)  # this text, not the fallback
    assert found


def test_names_of_customers_are_masked_for_viewers(own: Shop) -> None:
    seen = own.person("viewer").json("/words/review")
    assert "Ann" not in str(seen["rows"])
    assert "A***" in str(seen["rows"])
    assert "Ann" in str(own.person("editor").json("/words/review")["rows"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_check_answers_whatever_is_typed(typist: Person, pool: Path, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(load_pool(pool).texts[::25]))
    typed = data.draw(st.dictionaries(st.sampled_from(["title", "hook", "call"]), TYPED))
    said = typist.json(f"/words/{text.text_id}/check?{urlencode(typed)}")
    assert len(said["previews"]) == 4
    hook = typed.get("hook", "")
    for each in said["previews"]:  # a message of other words than those that are typed is never shown
        assert each["text"] == "" or hook.partition("{")[0].strip().lower() in each["text"].lower()
    typist.get(f"/words/{text.text_id}/check?{urlencode(typed)}")


def test_a_rejection_keeps_its_reason_in_the_language_of_the_text(own: Shop, pool: Path) -> None:
    approver = own.person("approver")
    for card in shown(approver.json("/words/review"))[:2]:
        text = card["text"]
        approver.post(f"/words/{text['text_id']}/judge", said="no", reason="pushy", why="so nicht")
        kept = next(each for each in load_pool(pool).texts if each.text_id == text["text_id"])
        assert kept.state == "rejected"
        assert kept.rejected_because.endswith("so nicht")
        assert bool(re.search(r"[\u4e00-\u9fff]", kept.rejected_because)) == (kept.language == "zh")
    other = shown(approver.json("/words/review"))[0]["text"]["text_id"]
    assert "[why_missing]" in approver.post(f"/words/{other}/judge", 422, said="no", reason="nonsense").text


def test_only_texts_that_were_shown_and_passed_are_approved_together(own: Shop, pool: Path) -> None:
    approver, before = own.person("approver"), load_pool(pool)
    page = approver.json("/words/review")
    cards, angle = shown(page), page["angle"]
    faulty = cards[0]["text"] | {"state": "judged", "hook": "only 3 left!"}
    unfit = PoolText(**faulty).model_copy(update={"text_id": PoolText(**faulty).draft.text_id})
    edited = cards[1]["text"]["text_id"]
    texts = [t.model_copy(update={"state": "edited"}) if t.text_id == edited else t for t in before.texts]
    save_pool(TextPool((*texts, unfit)), pool)
    elsewhere = next(t for t in before.texts if t.angle != angle and t.state == "judged")
    sent = named(cards) | {f"id:{unfit.text_id}": "1", f"id:{elsewhere.text_id}": "1", "id:nonsense": "1"}
    approver.post("/words/review/approve", angle=angle, since="1", **sent)
    approved = {text_id for text_id, state in states(pool).items() if state == "approved"}
    assert approved == {card["text"]["text_id"] for card in cards} - {edited}
    assert "[nothing_to_approve]" in approver.post("/words/review/approve", 422, angle=angle, **sent).text


def test_the_last_decision_is_undone_once_and_the_pool_is_as_before(own: Shop, pool: Path) -> None:
    approver = own.person("approver")
    page = approver.json("/words/review")
    cards, since = shown(page), str(page["since"])
    first, second = (card["text"]["text_id"] for card in cards[:2])
    approver.post(f"/words/{first}/judge", said="no", reason="voice", since=since)
    before = load_pool(pool).texts
    approver.post("/words/review/approve", angle=page["angle"], since=since, **named(cards[1:]))
    assert states(pool)[second] == "approved"
    assert approver.json(f"/words/review?since={since}")["undo"] == len(cards) - 1
    approver.post("/words/review/undo", since=since)
    assert load_pool(pool).texts == before
    assert "[nothing_to_undo]" in approver.post("/words/review/undo", 422, since=since).text
    own.person("admin").post("/words/review/undo", 422, since=since)  # nobody takes back what another decided
    approver.post(f"/words/{second}/judge", said="yes", since=since)
    own.person("admin").post(f"/words/{second}/judge", said="no", reason="voice")
    approver.post("/words/review/undo", 422, since=since)
    assert states(pool)[second] == "rejected"
    actions = [row["action"] for row in own.api("GET", "/v1/audit?limit=1000")["data"]]
    assert actions.count("text.approve_all") == actions.count("text.undo") == 1


def test_the_counter_says_how_many_were_read_in_this_sitting(own: Shop) -> None:
    approver = own.person("approver")
    page = approver.json("/words/review")
    since, cards = str(page["since"]), shown(page)
    number = sum(page["numbers"].values())
    assert f"0 of {number} " in page["progress"]
    approver.post(f"/words/{cards[0]['text']['text_id']}/judge", said="yes", since=since)
    approver.post(f"/words/{cards[1]['text']['text_id']}/judge", said="no", reason="unfit", since=since)
    assert f"2 of {number} " in approver.json(f"/words/review?since={since}")["progress"]
    approver.post("/words/review/undo", since=since)
    assert f"1 of {number} " in approver.json(f"/words/review?since={since}")["progress"]
    assert "0 of" in own.person("admin").json(f"/words/review?since={since}")["progress"]
    for nonsense in ("x", "-1", "9" * 30, ""):
        approver.json(f"/words/review?since={nonsense}&page={nonsense}")


def test_nobody_approves_their_own_words_where_two_are_asked_for(strict: Shop, pool: Path) -> None:
    approver = strict.person("approver")
    page = approver.json("/words/review")
    text = next(card["text"] for card in shown(page) if card["text"]["language"] == "en")
    words = {"title": text["title"], "hook": text["hook"], "call": "Have a look."}
    where = approver.post(f"/words/{text['text_id']}/edit", **words).headers["location"].removeprefix("/console")
    texts = [t.model_copy(update={"state": "judged", "votes": (True,)}) if where.endswith(t.text_id) else t
             for t in load_pool(pool).texts]  # fmt: skip
    save_pool(TextPool(tuple(texts)), pool)
    assert "[own_work]" in approver.post(f"{where}/judge", 422, said="yes").text
    assert 'data-key="a"' not in approver.get(f"{where}/card")
    ids = {f"id:{where.rpartition('/')[2]}": "1"}
    approver.post("/words/review/approve", 422, angle=page["angle"], **ids)
    strict.person("admin").post("/words/review/approve", angle=page["angle"], **ids)
    assert states(pool)[where.rpartition("/")[2]] == "approved"


def test_a_faulty_edit_keeps_what_was_typed_and_cannot_be_approved(own: Shop, pool: Path) -> None:
    approver = own.person("approver")
    text = next(card["text"] for card in shown(approver.json("/words/review")) if card["text"]["language"] == "en")
    typed = {"title": "{deal}: hurry", "hook": "only 3 left of these!", "call": ""}
    page = approver.post(f"/words/{text['text_id']}/edit", 422, **typed).text
    assert "only 3 left of these!" in page
    assert states(pool)[text["text_id"]] == "judged"
    broken = PoolText(**text | typed).model_copy(update={"state": "edited"})
    save_pool(TextPool((broken.model_copy(update={"text_id": broken.draft.text_id}),)), pool)
    assert "[text_faulty]" in approver.post(f"/words/{broken.draft.text_id}/judge", 422, said="yes").text


def test_words_that_the_pool_has_are_not_written_again(own: Shop, pool: Path) -> None:
    """An edit to the words of an approved text used to take its yes back."""
    approver = own.person("approver")
    one, two = [card["text"] for card in shown(approver.json("/words/review")) if card["text"]["language"] == "en"][:2]
    approver.post(f"/words/{one['text_id']}/judge", said="yes")
    words = {name: one[name] for name in ("title", "hook", "call")}
    assert "[text_exists]" in approver.post(f"/words/{two['text_id']}/edit", 422, **words).text
    assert states(pool)[one["text_id"]] == "approved"


def test_decisions_at_the_same_time_are_all_kept(own: Shop, pool: Path) -> None:
    approver = own.person("approver")
    ids = [card["text"]["text_id"] for card in shown(approver.json("/words/review"))]

    def approve(text_id: str) -> int:
        data = {"token": approver.token, "said": "yes"}
        return approver.client.post(f"/console/words/{text_id}/judge?format=json", data=data, headers=SAME).status_code

    with ThreadPoolExecutor(4) as threads:
        assert {*threads.map(approve, ids)} == {200}
    assert {states(pool)[each] for each in ids} == {"approved"}


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_who_may_not_approve_sees_the_cards_and_changes_nothing(own: Shop, pool: Path, role: str) -> None:
    person: Person = own.person(role)
    card = shown(person.json("/words/review"))[0]["text"]["text_id"]
    before = pool.read_bytes()
    for path in (f"/words/{card}/judge", "/words/review/approve", "/words/review/undo"):
        person.post(path, 403, said="yes", **{f"id:{card}": "1"})
    assert 'data-key="a"' not in person.get("/words/review")
    assert pool.read_bytes() == before
