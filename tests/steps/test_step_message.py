"""The message step hands a writer to the message room, keeps the pool for review, and needs no model by default."""

from datetime import datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import polars as pl

from promolift import message
from promolift.llm import LlmSettings, Recorder, Reply
from promolift.message import MessageSettings, Style, label
from promolift.steps.message import drafted
from promolift.terms import Benefit, Offer

ZH = '{"title":"今晚轻松一点","line":"下班回到家，热一份冷冻方便餐，晚饭就能上桌。"}'


def an_offer() -> Offer:
    return Offer(
        id="o", menu_id="m", benefit=Benefit(type="percent_off", percent=20), scope="category",
        covers="FRZN MEAT/MEAT DINNERS", label=label("FRZN MEAT/MEAT DINNERS"), currency="CNY",
        starts=datetime(2026, 6, 1, tzinfo=ZoneInfo("Asia/Shanghai")),
        expires=datetime(2026, 6, 30, 23, 59, 59, tzinfo=ZoneInfo("Asia/Shanghai")),
    )  # fmt: skip


def a_job(writer: str, **models: object):
    saved: dict[str, pl.DataFrame] = {}
    settings = MessageSettings(writer=writer, languages=("zh",))
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
