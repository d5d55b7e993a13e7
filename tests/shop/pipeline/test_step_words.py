"""Customers' own words: read into profiles, closing offers, and kept nowhere; recordings become text first."""

import json
import shutil
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code

from promolift.core import offers
from promolift.core.customers.text_intents import predict_intents
from promolift.extensions.media.transcription import transcribe
from promolift.foundation.language_model import Reply
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import TRANSCRIPTS
from promolift.shop.configuration.configuration import Config
from promolift.shop.ingest.cleaning import consent_answers
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.customer_texts import SYSTEM, classify_with_model, count_refusals
from promolift.shop.pipeline.pipeline import check_plan_inputs, run_steps
from promolift.shop.pipeline.planning.offer_targets import list_people
from promolift.shop.pipeline.steps.ingest import NO_CONSENT, purge
from promolift.shop.results.ingest import Health
from promolift.shop.results.work_folder.run_context import Job, moments
from promolift.shop.results.work_folder.work_tables import ALL_CUSTOMERS

SAID = {
    "u1": "My parcel zzq is two weeks late and nobody answers",
    "u2": "太贵了，别家便宜一半",
    "u3": "别再给我发短信了，退订",
    "u4": "I love it, thank you, will buy again",
    "u5": "Das Paket ist nicht da und ich bin böse",
    "u6": "The cup was broken when it arrived",
}


def shop(folder: Path, said: str, columns: dict[str, str], **parts: Any) -> Config:
    lines = ["who,at,sku,paid,receipt"]
    for number in range(1, 13):
        lines += [f"u{number},2026-0{month}-0{1 + number % 9} 10:00:00,p{number % 3},4.50,r{number}-{month}"
                  for month in range(1, 7)]  # fmt: skip
    (folder / "lines.csv").write_text("\n".join(lines))
    (folder / "words.csv").write_text(said, encoding="utf-8")
    events = {"customer_id": "who", "time": "at", "product_id": "sku", "amount": "paid", "order_id": "receipt"}
    files = {
        "events": {"path": str(folder / "lines.csv"), "mapping": {"columns": events}},
        "words": {"path": str(folder / "words.csv"), "mapping": {"columns": columns}},
    }
    plan = {"asof": "2026-06-10"} | parts.pop("plan", {})
    whole = {"data": {"shards": 3, **files}, "plan": plan, **parts}
    return Config.parse(whole, str(folder))


def written(folder: Path, **parts: Any) -> Config:
    rows = [f'{who},2026-06-09 12:00:00,"{text}",{"no" if who == "u6" else "yes"}' for who, text in SAID.items()]
    columns = {"customer_id": "who", "time": "at", "text": "review", "consent": "ok"}
    return shop(folder, "who,at,review,ok\n" + "\n".join(rows), columns, **parts)


def job_of(folder: Path, config: Config, *steps: str) -> Job:
    made = Job(config, Store(folder / "work"), lambda *_: None)
    run_steps(made, steps)
    return made


def test_words_are_read_where_their_customers_agreed_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    job = job_of(tmp_path, written(tmp_path), "ingest")
    kept = job.store.frame("words")
    assert dict(kept.select("customer_id", "intent").iter_rows()) == {
        "u1": "late", "u2": "too_expensive", "u3": "stop", "u4": "praise", "u5": None,
    }  # fmt: skip
    counts = next(each for each in Health.load(job.store).tables if each.table == "words")
    assert (counts.read, counts.accepted, counts.rejected) == (6, 5, {NO_CONSENT: 1})
    assert counts.counted == {"other language": 1}
    job.store.close()
    unasked = job_of(tmp_path, written(tmp_path, words={"unasked": True}), "ingest")
    assert unasked.store.frame("words").height == 5  # who said no is never read


@pytest.mark.slow
def test_no_message_nor_anything_else_that_is_kept_holds_the_words(tmp_path: Path) -> None:
    steps = ("ingest", "profile", "effect", "plan", "message")
    plan = {"min_evidence": "assumed", "holdout_share": 0.0, "budget_cents": 100_000}
    line = {"id": "five", "scope": "all", "benefit": {"type": "percent_off", "percent": 5}}
    pays = {"value": {"margin_rate": 0.9}, "discount": {"prior_response": 8.0}, "offer": {"proposals": "none"}}
    open_ = {"consent": {"default": True}, "rules": {"complaint_days": 0}, "menu": [line]}
    job = job_of(tmp_path, written(tmp_path, plan=plan, **open_, **pays), *steps)
    assert job.store.frame("messages").filter(pl.col("customer_id") == "u1").height
    for path in (tmp_path / "work").rglob("*"):
        assert not path.is_file() or b"zzq" not in path.read_bytes(), path


def test_words_of_rows_that_are_set_aside_are_kept_nowhere_either(tmp_path: Path) -> None:
    rows = ['u1,2026-06-09 12:00:00,"zzq late"'] * 2 + ['u2,soon,"zzq late"', 'u3,2026-06-09 12:00:00,"zzq" late,9']
    columns = {"customer_id": "who", "time": "at", "text": "review"}
    said = "who,at,review\n" + "\n".join(rows)
    job = job_of(tmp_path, shop(tmp_path, said, columns, words={"unasked": True}), "ingest")
    assert job.clean.rejected is not None
    aside = job.clean.rejected.pl().filter(pl.col("source").str.contains("words"))
    assert aside.height == 3
    assert not aside["raw"].str.contains("zzq").any()
    assert "zzq" not in str(Health.load(job.store))


def test_who_asks_for_no_more_messages_has_refused_and_is_named(tmp_path: Path) -> None:
    job = job_of(tmp_path, written(tmp_path, consent={"default": True}), "ingest")
    assert job.clean.people.filter(pl.col("consent").not_())["customer_id"].to_list() == ["u3"]
    assert any("1 of the customers" in note for note in Health.load(job.store).notes)


@pytest.mark.parametrize("unasked", [False, True])
@pytest.mark.parametrize("answers", [None, ("yes", ""), ("yes", "no"), ("yes", "yes")])
def test_no_refusal_stands_unread_in_a_text_while_somebody_answers_for_all(
    tmp_path: Path, answers: tuple[str, str] | None, unasked: bool
) -> None:
    """Texts are read of customers who agreed to that, and of those who were not asked only where the shop says so."""
    texts = {"u1": "late again", "u2": "please unsubscribe me"}
    columns = {"customer_id": "who", "time": "at", "text": "review"} | ({"consent": "ok"} if answers else {})
    rows = [
        f"{who},2026-06-09 12:00:00,{text}," + (answers[n] if answers else "")
        for n, (who, text) in enumerate(texts.items())
    ]
    said, open_ = "\n".join(["who,at,review,ok", *rows]), {"default": True, "not_consent": ["ok"]}
    config = shop(tmp_path, said, columns, consent=open_, words={"unasked": unasked})
    read = {None: unasked, "": unasked, "no": False, "yes": True}[answers and answers[1]]
    if not read:
        with raises_code("consent_overruled", "review"):
            job_of(tmp_path, config, "ingest", "profile", "effect", "plan")
        return
    job = job_of(tmp_path, config, "ingest")
    check_plan_inputs(job, ["plan"], again=False)
    assert job.clean.people.filter(pl.col("consent").not_())["customer_id"].to_list() == ["u2"]


@pytest.mark.parametrize("text", consent_answers.REFUSED_TEXTS)
def test_a_text_that_is_nothing_but_a_refusal_is_one(text: str) -> None:
    texts = [f" {text.upper()}! ", "I love it, thank you"]
    assert count_refusals(texts, predict_intents(texts))["stop_prob"].to_list()[0] == 1
    assert count_refusals(texts, predict_intents(texts)).row(1) == predict_intents(texts).row(1)


def test_profiles_count_texts_as_far_as_they_are_likely_with_their_error(tmp_path: Path) -> None:
    job = job_of(tmp_path, written(tmp_path), "ingest", "profile")
    at = moments(job).asof
    rows = {row["customer_id"]: row for row in job.profiled.profiles(at).iter_rows(named=True)}
    said = job.store.frame("words").filter(pl.col("customer_id") == "u1").row(0, named=True)
    assert rows["u1"]["complaints_16w"] == pytest.approx(said["complaint_prob"])
    p = said["complaint_prob"]
    assert rows["u1"]["complaints_16w_se"] == pytest.approx((p * (1 - p)) ** 0.5)
    assert rows["u1"]["complaint_recency_days"] == pytest.approx(0.5)
    assert rows["u2"]["too_expensive_16w"] > 0.5
    assert rows["u2"]["complaint_recency_days"] is None
    assert (rows["u5"]["words_16w"], rows["u9"]["words_16w"]) == (0, 0)
    before = job.profiled.profiles(moments(job).check)  # nothing that was said later
    assert before["words_16w"].to_list() == [0] * before.height


@pytest.mark.parametrize(("days", "closed"), [(1.0, ["u1"]), (0.25, []), (0.0, [])])
def test_no_offer_in_the_days_after_a_complaint(tmp_path: Path, days: float, closed: list[str]) -> None:
    job = job_of(tmp_path, written(tmp_path, rules={"complaint_days": days}), "ingest", "profile")
    at, menu = moments(job).asof, job.config.menu
    people = list_people(job, at, ALL_CUSTOMERS, pl.DataFrame)
    none = pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})
    targets = pl.DataFrame(
        {"customer_id": ["u1", "u2"], "target": ["p1", "p1"], "scope": ["category"] * 2, "kind": ["product"] * 2,
         "base_cents": [500.0] * 2, "base_se_cents": [50.0] * 2, "buy_prob": [0.5] * 2, "bought": [True] * 2,
         "margin_rate": [0.4] * 2}
    )  # fmt: skip
    rows = offers.list_candidates(people, targets, menu, job.config.rules, none)
    found = rows.filter(pl.col("why_not").str.starts_with("complained lately"))
    assert found["customer_id"].unique().to_list() == closed
    assert rows.filter((pl.col("menu_id") == "none") & ~pl.col("eligible")).is_empty()
    assert "complaint_recency_days" not in rows.columns


def test_erasure_and_retention_reach_what_was_read_and_heard(tmp_path: Path) -> None:
    job = job_of(tmp_path, written(tmp_path), "ingest")
    row = {"customer_id": "u1", "audio": "a.wav", "sha256": "x", "made_ms": 1, "text": "secret"}
    job.store.save("transcripts", TRANSCRIPTS.conform(pl.DataFrame([row])))
    old = Job(written(tmp_path, privacy={"words": {"keep_days": 1}}), job.store, lambda *_: None)
    assert job.store.forget("u1") | {"events": 0} == {"events": 0, "words": 1, "transcripts": 1}
    job.store.save("transcripts", TRANSCRIPTS.conform(pl.DataFrame([row])))
    assert purge(old)["transcripts"] == 1


def test_a_large_model_may_read_and_where_it_fails_our_own_reading_stays() -> None:
    asked: list[Any] = []

    def writer(asks: Sequence[Any]) -> list[Reply]:
        asked.extend(asks)
        good = json.dumps({"intent": "refund", "sure": 0.8})
        return [Reply(good, "big"), Reply("no json", "big"), Reply("", "big", "no answer within 30 s")]

    texts = ["Ich will mein Geld, mail me at a@b.example", "太贵了", "I love it"]
    found = classify_with_model(texts, writer, predict_intents(texts))
    assert found["intent"].to_list() == ["refund", "too_expensive", "praise"]
    assert found["complaint_prob"][0] == pytest.approx(0.8 + 3 * 0.2 / 8)
    assert asked[0].system == SYSTEM
    assert "a@b" not in asked[0].user


def test_init_finds_the_words_in_a_file_and_in_a_log(tmp_path: Path) -> None:
    written(tmp_path)
    rows = pl.read_csv(tmp_path / "words.csv").rename({"review": "Review text", "ok": "other"})
    rows.write_csv(tmp_path / "words.csv")
    files = {"events": tmp_path / "lines.csv", "words": tmp_path / "words.csv"}
    text = init(files, tmp_path / "promolift.toml", True, answers=SetupAnswers()).text
    assert "Review text" in text
    made = (tmp_path / "promolift.toml").read_text()
    assert "[data.words.mapping]" in made
    assert "unasked = false" in made
    said = pl.concat_str(pl.lit("nice soup number "), "receipt")
    log = pl.read_csv(tmp_path / "lines.csv").with_columns(comment=said)
    log.write_csv(tmp_path / "log.csv")
    init({"events": tmp_path / "log.csv"}, tmp_path / "promolift.toml", True)
    assert 'columns.text = "comment"' in (tmp_path / "promolift.toml").read_text()


class Ears:
    """A recogniser that hears one sentence."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, asks: Sequence[Any]) -> list[Reply]:
        self.asked += len(asks)
        return [Reply("en\tMy parcel is late", "ears") for _ in asks]


def test_recordings_become_text_once_and_then_words(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * 100)
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")
    (tmp_path / "c.wav").write_bytes(b"no sound at all")
    rows = [f"u{n},2026-06-09 12:00:00,{name}" for n, name in enumerate(("a.wav", "b.wav", "c.wav", "gone.wav"), 1)]
    columns = {"customer_id": "who", "time": "at", "audio": "call"}
    config = shop(tmp_path, "who,at,call\n" + "\n".join(rows), columns, words={"unasked": True})
    job = job_of(tmp_path, config, "ingest")
    counts = next(each for each in Health.load(job.store).tables if each.table == "words")
    assert counts.rejected == {"not transcribed": 4}
    ears = Ears()
    assert transcribe(job, ears).figures["recordings"] == 4
    assert ears.asked == 1  # the same bytes are heard once
    faults = dict(job.store.frame("transcripts").select("audio", "fault").iter_rows())
    assert faults["a.wav"] is None
    assert "cannot be decoded" in faults["c.wav"]
    assert faults["gone.wav"] == "there is no such file"
    run_steps(job, ["ingest"])
    assert job.store.frame("words")["intent"].to_list() == ["late", "late"]
    transcribe(job, ears)
    assert ears.asked == 1


def test_what_was_heard_goes_when_it_may_no_longer_be_read(tmp_path: Path) -> None:
    pytest.importorskip("av")
    for name, note in (("a.wav", 1), ("b.wav", 2)):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes([note, 90]) * 20_000)
    columns = {"customer_id": "who", "time": "at", "audio": "call", "consent": "ok"}
    row = "who,at,call,ok\nu1,2026-06-09 12:00:00,a.wav,{}\nu2,2026-06-09 12:00:00,b.wav,yes"
    config = shop(tmp_path, row.format("yes"), columns)
    job = job_of(tmp_path, config, "ingest")
    transcribe(job, Ears())
    run_steps(job, ["ingest"])
    assert job.store.frame("transcripts")["customer_id"].to_list() == ["u1", "u2"]
    (tmp_path / "words.csv").write_text(row.format("no"))
    run_steps(job, ["ingest"])
    assert job.store.frame("words")["customer_id"].to_list() == ["u2"]
    assert job.store.frame("transcripts")["customer_id"].to_list() == ["u2"]


def test_a_recording_outside_the_folder_and_a_name_too_long_are_faults(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"another's")
    inner = tmp_path / "in"
    inner.mkdir()
    names = ("../secret.wav", str(tmp_path / "secret.wav"), "x" * 300)
    rows = [f"u{n},2026-06-09 12:00:00,{name}" for n, name in enumerate(names, 1)]
    columns = {"customer_id": "who", "time": "at", "audio": "call"}
    job = job_of(inner, shop(inner, "who,at,call\n" + "\n".join(rows), columns, words={"unasked": True}), "ingest")
    transcribe(job, Ears())
    faults = dict(job.store.frame("transcripts").select("audio", "fault").iter_rows())
    assert all("it leads out of the folder" in faults[name] for name in names[:2])
    assert "too long" in faults[names[2]]


def test_a_model_that_is_sure_of_no_number_is_not_believed() -> None:
    own = predict_intents(["where is my parcel", "hello"])
    bad = ['{"intent": "late", "sure": NaN}', '{"intent": ["late"], "sure": 1}']
    assert classify_with_model(["a", "b"], lambda asks: [Reply(text, "m") for text in bad], own).equals(own)


def test_without_recordings_there_is_nothing_to_transcribe(tmp_path: Path) -> None:
    with raises_code("setting_missing", "columns.audio"):
        transcribe(Job(written(tmp_path), Store(tmp_path / "work"), lambda *_: None))
