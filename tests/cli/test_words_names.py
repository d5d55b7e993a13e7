"""Everyday names: a draft once per language by the model, a person's yes, and then messages print them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_endpoint import FakeEndpoint, answer, serving
from message_helpers import an_offer, percent

from promolift.cli.application import main
from promolift.core.messages import AngleFacts, write_message
from promolift.core.messages.everyday_names import fits_as_name
from promolift.core.offers.product_names import readable_name
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import load_config
from promolift.shop.configuration.goods_names import load_names, shop_names
from promolift.shop.results.messages import Offers

pytest.importorskip("openai")
TOML = """
[shop]
name = "Shop"
languages = ["zh", "en"]
[data]
source = "complete-journey"
[message]
writer = "remote"
"""
SAID = {"tea": "茶叶", "Brewing": "8折茶具", "乌龙茶": "oolong tea", "冲煮": ""}  # one is a claim, one is not known


def named(request: dict) -> dict:
    """The names of what the prompt lists, as SAID has them."""
    asked = request["messages"][1]["content"]
    rows = [{"key": key, "name": name} for key, name in SAID.items() if f"- {key}\n" in asked]
    return answer(json.dumps({"names": rows}), tokens=30)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEndpoint]:
    """A folder with a plan of four categories, two with a name in each language."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.delenv("PROMOLIFT_LLM_URL", raising=False)
    offers = [
        an_offer(percent(20), (key, readable_name(key))).model_copy(update={"id": f"off_{n}"})
        for n, key in enumerate(SAID)
    ]
    with serving(named) as (fake, url):
        (tmp_path / "promolift.toml").write_text(
            f'{TOML}[llm.remote]\nbase_url = "{url}"\nretries = 0\nconcurrency = 1\n', encoding="utf-8"
        )
        with Store(tmp_path / ".promolift") as store:
            Offers(offers=tuple(offers)).keep(store)
        yield fake


def told(capsys: pytest.CaptureFixture[str], *command: str) -> dict:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["words", "names", *command, "--json"])
    assert stop.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_a_name_is_drafted_once_per_language_and_printed_after_a_yes(
    shop: FakeEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys)["nameless"] == {"zh": ["tea", "Brewing"], "en": ["乌龙茶", "冲煮"]}
    prompts = told(capsys, "--dry-run")["prompts"]
    assert len(prompts) == 2
    assert shop.requests == []
    found = told(capsys, "--draft")
    assert [(each["key"], each["name"], each["language"]) for each in found["waiting"]] == [
        ("tea", "茶叶", "zh"), ("乌龙茶", "oolong tea", "en"),
    ]  # fmt: skip
    assert len(shop.requests) == 2
    told(capsys, "--draft")  # a claim and what the model did not know are asked for again, the others are not
    assert "- tea\n" not in shop.requests[2]["messages"][1]["content"]
    config = load_config(Path("promolift.toml"))
    assert shop_names(config.message) == {}  # nothing is printed before a person's yes
    found = told(capsys, "--approve", "tea", "--reject", "乌龙茶", "--by", "Ann")
    assert found["nameless"] == {"zh": ["Brewing"], "en": ["乌龙茶", "冲煮"]}
    assert [(each.state, each.by) for each in load_names(config.message)] == [("approved", "Ann"), ("rejected", "Ann")]
    offer = an_offer(percent(20), ("tea", readable_name("tea", "category", shop_names(config.message))))
    assert write_message(offer, AngleFacts(), "zh").text.startswith("茶叶现在打8折。")
    assert write_message(offer, AngleFacts(), "en").text.startswith("Tea is 20% off.")


@pytest.mark.parametrize(
    ("command", "code"),
    [(("--approve-all",), "option_missing"), (("--approve", "nothing", "--by", "Ann"), "name_unknown")],
)
def test_a_decision_names_its_person_and_a_draft(
    shop: FakeEndpoint, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], code: str
) -> None:
    told(capsys, "--draft")
    with pytest.raises(SystemExit):
        main(["words", "names", *command])
    assert f"[{code}]" in capsys.readouterr().err
    assert told(capsys, "--approve-all", "--by", "Ann")["waiting"] == []


def test_an_endpoint_that_fails_leaves_the_neutral_form(shop: FakeEndpoint, capsys: pytest.CaptureFixture[str]) -> None:
    shop.script[:] = [answer("no names")]
    with pytest.raises(SystemExit):
        main(["words", "names", "--draft"])
    said = capsys.readouterr()
    assert "答复不是所要的 JSON" in said.out + said.err
    assert told(capsys)["waiting"] == []


@pytest.mark.parametrize(
    ("name", "language", "fit"),
    [
        ("茶叶", "zh", True), ("tea", "zh", False), ("tea", "en", True), ("茶叶", "en", False), ("Nike", "zh", True),
        ("8折茶", "zh", False), ("best tea", "en", False), ("", "zh", False), ("避孕套", "zh", False),
        ("很长很长很长很长很长很长的名字", "zh", False), ("<b>tea</b>", "en", False),
    ],
)  # fmt: skip
def test_which_names_fit(name: str, language: str, fit: bool) -> None:
    assert fits_as_name(name, language) is fit
