"""What a run lacks is found before it computes anything: no step has begun when it is refused."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code

from promolift.extensions.media import transcription
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback import decision_log
from promolift.shop.pipeline import pipeline, preflight
from promolift.shop.pipeline.pipeline import STEPS
from promolift.shop.results.work_folder.run_context import Job

EVENTS = {"customer_id": "who", "time": "at", "order_id": "order", "product_id": "item", "amount": "paid"}


def write_orders(folder: Path) -> dict[str, Any]:
    rows = [{"who": f"u{n % 9}", "at": f"2024-0{1 + n % 6}-1{n % 9} 10:00:00", "order": f"o{n}", "item": "tea",
             "paid": "3.50"} for n in range(60)]  # fmt: skip
    pl.DataFrame(rows).write_csv(folder / "orders.csv")
    return {"path": str(folder / "orders.csv"), "mapping": {"columns": EVENTS}}


def words_file(folder: Path) -> dict[str, Any]:
    pl.DataFrame(
        {"who": ["u1"], "at": ["2024-05-01"], "text": ["lovely tea"], "call": ["a.wav"], "ok": ["yes"]}
    ).write_csv(folder / "words.csv")
    columns = {"customer_id": "who", "time": "at", "text": "text", "audio": "call", "consent": "ok"}
    return {"path": str(folder / "words.csv"), "mapping": {"columns": columns}}


LACKS: dict[str, tuple[dict[str, Any], str, str]] = {
    "consent": ({"consent": {}}, "consent_unstated", "who agreed"),
    "a file of products": (
        {"products": {"path": "gone.csv", "mapping": {"columns": {"product_id": "p"}}}}, "file_not_found", "gone.csv"
    ),
    "torch": ({"offer": {"proposals": "gan"}}, "extra_missing", "promolift[deep]"),
    "a model's key": ({"words": {"reader": "remote"}}, "api_key_missing", "NO_SUCH_KEY"),
    "a model's file": ({"words": {"reader": "local"}}, "file_not_found", "gone.gguf"),
    "records of a model": ({"words": {"reader": "replay"}, "llm": {"records": "gone.jsonl"}}, "file_not_found", "gone"),
    "a folder for the report": ({"out": "taken"}, "file_exists", "taken"),
}  # fmt: skip


@pytest.mark.parametrize("name", LACKS)
def test_what_a_run_lacks_is_found_before_any_step_begins(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated, code, fact = LACKS[name]
    monkeypatch.setattr(preflight, "find_spec", lambda package: None)
    for each in ("PROMOLIFT_LLM_GGUF", "NO_SUCH_KEY"):
        monkeypatch.delenv(each, raising=False)
    parts = dict(stated)
    data = {"events": write_orders(tmp_path)}
    if "words" in parts:
        data["words"] = words_file(tmp_path)
    if "products" in parts:
        data["products"] = parts.pop("products")
    (tmp_path / "taken").write_text("a file")
    out = tmp_path / parts.pop("out", "out")
    llm = {"remote": {"key_env": "NO_SUCH_KEY"}, "local": {"path": str(tmp_path / "gone.gguf")}}
    values = {"data": data, "consent": {"default": True}, "llm": llm | parts.pop("llm", {})} | parts
    begun: list[str] = []
    with Store(tmp_path / "work") as store, raises_code(code, fact):
        job = Job(Config.parse(values, "promolift.toml"), store, lambda step, *_: begun.append(step), out)
        pipeline.run_steps(job, STEPS)
    assert begun == []


def test_a_recogniser_that_is_missing_is_found_before_a_recording_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcription, "open_raw_source", lambda *_: pytest.fail("a file was read"))
    data = {"events": write_orders(tmp_path), "words": words_file(tmp_path)}
    config = Config.parse({"data": data, "speech": {"model": str(tmp_path / "none")}}, "promolift.toml")
    monkeypatch.setattr("promolift.extensions.media.speech.find_spec", lambda name: None)
    with Store(tmp_path / "work") as store:
        with raises_code("extra_missing", "promolift[speech]"):
            transcription.transcribe(Job(config, store, lambda *_: None))
        monkeypatch.setattr("promolift.extensions.media.speech.find_spec", lambda name: name)
        with raises_code("file_not_found", "none"):
            transcription.transcribe(Job(config, store, lambda *_: None))


def test_a_missing_policy_or_place_is_found_before_the_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_log, "_held", lambda *_: pytest.fail("the log was read"))
    with raises_code("file_not_found", "gone.parquet"):
        decision_log.evaluate_log(tmp_path / "log.csv", ["logged", str(tmp_path / "gone.parquet")])
    with raises_code("file_is_folder", str(tmp_path)):
        decision_log.learn_from_log(tmp_path / "log.csv", out=tmp_path)
