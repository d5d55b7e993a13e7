"""An endpoint that is set and cannot answer, or that nothing calls, is said by doctor."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_endpoint import answer, serving

from promolift.foundation.i18n.formatting import use_locale
from promolift.shop.configuration import model_status
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.ingest.setup.installation_check import check_installation

DEAD = "http://ann:secret@127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.delenv("PROMOLIFT_LLM_URL", raising=False)
    model_status._probe.cache_clear()
    yield
    model_status._probe.cache_clear()


def config(writer: str = "pool", **llm: object) -> Config:
    return Config.model_validate({"data": {"source": "complete-journey"}, "message": {"writer": writer}, "llm": llm})


def told(settings: Config) -> list[tuple[bool, bool, bool]]:
    """Of each note: whether it is a fault, says that nothing calls the endpoint, and says that it cannot be reached."""
    notes = model_status.endpoint_notes(settings)
    return [(note.fault, "nothing calls" in note.text, "cannot be reached" in note.text) for note in notes]


def test_an_endpoint_is_named_where_it_is_dead_or_idle_and_only_there() -> None:
    with serving(answer()) as (fake, url):
        assert told(config()) == []
        assert told(config("remote", remote={"base_url": url})) == []
        assert told(config("pool", remote={"base_url": url})) == [(False, True, False)]
        assert told(config("remote", remote={"base_url": url}, judge={"base_url": DEAD})) == [(True, False, True)]
    assert told(config("remote", remote={"base_url": DEAD})) == [(True, False, True)]
    assert told(config("pool", remote={"base_url": DEAD})) == [(False, False, True), (False, True, False)]
    assert fake.requests == []


def test_an_endpoint_is_asked_once_a_minute_and_its_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, dead = [], config("remote", remote={"base_url": DEAD})
    monkeypatch.setattr(model_status, "find_endpoint_fault", lambda settings: asked.append(settings) or "unreachable")
    monkeypatch.setattr(model_status, "monotonic", lambda: 90.0)
    texts = [note.text for _ in range(3) for note in model_status.endpoint_notes(dead)]
    assert len(asked) == 1
    assert "127.0.0.1:9" in texts[0]
    assert "secret" not in texts[0]
    with use_locale("zh"):
        assert model_status.endpoint_notes(dead)[0].text not in texts


def test_doctor_counts_a_dead_endpoint_that_is_called_as_a_fault(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    file = tmp_path / "promolift.toml"
    faults = []
    for writer in ("pool", "remote"):
        parts = ("[data]", 'source = "complete-journey"', "[message]", f'writer = "{writer}"')
        endpoint = ("[llm.remote]", f"base_url = {json.dumps(DEAD)}")
        file.write_text("\n".join([*parts, *endpoint]), encoding="utf-8")
        found = check_installation(file)
        assert load_config(file).message.writer == writer
        assert "127.0.0.1:9 cannot be reached" in found.text
        faults.append(found.figures["faults"])
    assert faults[1] == faults[0] + 1
