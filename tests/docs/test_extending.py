"""The extension that docs/extending.md builds: its module sends a message and adds a chapter, as the page says."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from small_story import small_story

from promolift.foundation import extension
from promolift.server.api.request_models import MailIn
from promolift.server.delivery.sender import OfferMessage, ServiceResponse, missing_variables, send_by_service
from promolift.shop.reports.chapters.summary import build_chapters, render

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
MODULE, ENTRY_POINT = re.findall(r"^```(?:python)?\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
MESSAGE = OfferMessage("+4917000000", "Tea", "20 % off tea", by="sms", decision_id="dec_1")


@pytest.fixture
def sms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's module, found by the entry point that the page shows."""
    (tmp_path / "promolift_sms.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    reference = tomllib.loads(ENTRY_POINT)["project"]["entry-points"]["promolift.extensions"]["sms"]
    mine = extension.load_reference(reference)
    both = (*extension.extensions(), mine)
    extension.check_conflicts(both)
    monkeypatch.setattr(extension, "extensions", lambda: both)
    yield import_module("promolift_sms")
    del sys.modules["promolift_sms"]


@pytest.mark.usefixtures("sms")
def test_the_sender_of_the_page_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_variables("sms") == ["SMS_URL", "SMS_KEY"]
    monkeypatch.setenv("SMS_URL", "https://sms.example.com/send")
    monkeypatch.setenv("SMS_KEY", "hush")
    assert missing_variables("sms") == []
    assert MailIn.model_validate({"decision_id": "dec_1", "by": "sms", "to": "+4917000000"}).by == "sms"
    posted: list[Any] = []

    def post(url: str, headers: Any, body: Any) -> ServiceResponse:
        posted.append((url, headers, body))
        return ServiceResponse(202 if len(posted) == 1 else 500, None)

    assert send_by_service(MESSAGE, post) is None
    body = {"to": "+4917000000", "text": "20 % off tea"}
    assert posted == [("https://sms.example.com/send", {"authorization": "Bearer hush"}, body)]
    assert send_by_service(MESSAGE, post) == "sms: status 500"


@pytest.mark.usefixtures("sms")
def test_the_chapter_of_the_page_stands_behind_the_messages() -> None:
    story = small_story()
    slugs = [chapter.slug for chapter in build_chapters(story)]
    assert slugs[slugs.index("messages") + 1] == "sms"
    assert "Sending them costs $1.75." in render(story)  # 25 customers at 7 cents
    assert "sms" not in [chapter.slug for chapter in build_chapters(small_story({"treated": 0}))]


def test_the_module_is_as_short_as_the_page_says() -> None:
    lines = [line for line in MODULE.splitlines() if line.strip()]
    assert len(lines) <= 30
