"""The message step hands a writer to the message room, keeps the pool for review, and needs no model by default."""

from datetime import datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from promolift import message
from promolift.errors import InputError
from promolift.llm import LlmSettings, Recorder, Reply
from promolift.message import MessageSettings, Style, label
from promolift.results.job import Job
from promolift.run import demo_config
from promolift.steps.message import drafted
from promolift.store import Store
from promolift.terms import Benefit, Offer

ZH = '{"title":"今晚轻松一点","line":"下班回到家，热一份冷冻方便餐，晚饭就能上桌。"}'


def an_offer() -> Offer:
    return Offer(
        id="o", menu_id="m", benefit=Benefit(type="percent_off", percent=20), scope="category",
        covers="FRZN MEAT/MEAT DINNERS", label=label("FRZN MEAT/MEAT DINNERS"), currency="CNY",
        starts=datetime(2026, 6, 1, tzinfo=ZoneInfo("Asia/Shanghai")),
        expires=datetime(2026, 6, 30, 23, 59, 59, tzinfo=ZoneInfo("Asia/Shanghai")),
    )  # fmt: skip


def a_job(writer: str, review: str | None = None, **models: object):
    saved: dict[str, pl.DataFrame] = {}
    settings = MessageSettings(writer=writer, languages=("zh",), review=review)
    config = SimpleNamespace(message=settings, llm=LlmSettings.model_validate(models))
    return SimpleNamespace(config=config, store=SimpleNamespace(save=saved.__setitem__), tell=lambda *_: None), saved


PLAN = pl.DataFrame({"customer_id": [f"c{i}" for i in range(9)], "offer_id": ["o"] * 9})


def test_without_a_model_the_template_writes_and_nothing_is_asked():
    job, saved = a_job("template")
    assert drafted(job, PLAN, {"o": an_offer()}, Style()) is None
    assert saved == {}


def test_recorded_answers_fill_the_pool_and_what_was_never_asked_is_left_to_the_template(tmp_path):
    asked = []
    recorder = Recorder(lambda asks: asked.extend(asks) or [Reply(ZH, "m") for _ in asks])
    offers = {"o": an_offer()}
    needed = message.briefs(PLAN, offers, Style(), ("zh",))
    message.fill_pool(list(needed)[:1], recorder, message.reviewer(needed))
    recorder.save(tmp_path / "r.jsonl")
    job, saved = a_job("replay", records=str(tmp_path / "r.jsonl"))
    drafts = drafted(job, PLAN, offers, Style())
    assert list(drafts) == list(needed)[:1]
    pool = saved["message_pool"]
    assert pool["source"].to_list() == ["first"] + ["template"] * (len(needed) - 1)
    assert pool["model"][0] == "m"


def a_recorded_shop(tmp_path):
    """Offers, what is needed for them, and a file with a model's answer to everything."""
    recorder, offers = Recorder(lambda asks: [Reply(ZH, "m") for _ in asks]), {"o": an_offer()}
    needed = message.briefs(PLAN, offers, Style(), ("zh",))
    message.fill_pool(list(needed), recorder, message.reviewer(needed))
    recorder.save(tmp_path / "r.jsonl")
    return offers, needed, str(tmp_path / "r.jsonl"), tmp_path / "words.csv"


def say(review, verdicts: dict[str, str]) -> None:
    """A person writes `approved` behind angles."""
    rows = pl.read_csv(review, infer_schema=False)
    said = pl.col("angle").replace_strict(verdicts, default="", return_dtype=pl.String)
    rows.with_columns(said.alias("approved")).write_csv(review, include_bom=True)


def test_with_a_review_file_only_what_a_person_approved_is_delivered(tmp_path):
    offers, needed, records, review = a_recorded_shop(tmp_path)
    job, _ = a_job("replay", str(review), records=records)
    assert drafted(job, PLAN, offers, Style()) == {}  # nobody has read them yet
    rows = pl.read_csv(review, infer_schema=False)
    assert rows.height == len(needed) > 2
    assert set(rows["approved"]) == {""}
    yes, no = sorted(rows["angle"])[:2]
    say(review, {yes: "yes", no: "No"})
    job, saved = a_job("replay", str(review), records=records)
    used = drafted(job, PLAN, offers, Style())
    assert {brief.angle for brief in used} == {yes}
    pool = saved["message_pool"]
    assert dict(pool.select("angle", "approved").iter_rows())[no] is False
    assert pool["approved"].null_count() == len(needed) - 2
    before = review.read_bytes()
    drafted(job, PLAN, offers, Style())
    assert review.read_bytes() == before  # read again, nothing new to ask


def test_a_verdict_belongs_to_the_exact_words_and_outlives_other_runs(tmp_path):
    offers, needed, records, review = a_recorded_shop(tmp_path)
    job, _ = a_job("replay", str(review), records=records)
    drafted(job, PLAN, offers, Style())
    say(review, {brief.angle: "yes" for brief in needed})
    other = Recorder(lambda asks: [Reply(ZH.replace("今晚轻松", "晚上轻松"), "m") for _ in asks])
    message.fill_pool(list(needed), other, message.reviewer(needed))
    other.save(tmp_path / "other.jsonl")
    job, _ = a_job("replay", str(review), records=str(tmp_path / "other.jsonl"))
    assert drafted(job, PLAN, offers, Style()) == {}
    assert pl.read_csv(review, infer_schema=False).height == 2 * len(needed)
    job, _ = a_job("replay", str(review), records=records)
    assert len(drafted(job, PLAN, offers, Style())) == len(needed)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([("t", "maybe")], "line 2: approved = 'maybe'; write yes or no"),
        ([("t", "yes"), ("t", "no")], "line 3: t is approved in one line and rejected in another"),
    ],
)
def test_a_verdict_that_cannot_be_read_is_no_verdict(rows, error):
    with pytest.raises(InputError, match=error):
        message.with_verdicts(message.pool_frame([]), pl.DataFrame(rows, ["text_id", "approved"], orient="row"))


def test_a_review_file_without_its_columns_is_refused():
    with pytest.raises(InputError, match=r"columns \['approved'\] are missing"):
        message.with_verdicts(message.pool_frame([]), pl.DataFrame({"text_id": ["t"]}))


def test_an_offer_on_two_products_is_printed_with_both_names(tmp_path):
    """It used to be printed with their ids, where a catalogue has no categories."""
    with Store(tmp_path) as store:
        store.save(
            "products", pl.DataFrame({"product_id": ["p1", "p2", "p3"], "name": ["Green Tea", "Espresso", None]})
        )
        job = Job(demo_config(), store, lambda *_: None)
        names = job.clean.printed_names(pl.Series(["p2", "p1 ++ p2", "p1 ++ p3", "p3"]))
    assert names == {"p2": "Espresso", "p1 ++ p2": "Green Tea ++ Espresso", "p1 ++ p3": "Green Tea ++ p3"}
    assert label(names["p1 ++ p2"], "product").en == "Green Tea and Espresso"
