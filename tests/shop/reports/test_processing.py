"""Laws of the record of processing: it says what settings say, and asks for what they cannot."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from promolift.cli.application import app
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.pages.rendering import render_page
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.reports.data_subject_rights import RetentionDays
from promolift.shop.reports.processing_record import processing_page

EXAMPLE = Path(__file__).parents[3] / "examples" / "promolift.toml"


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(EXAMPLE)


def test_it_says_what_the_settings_say(config: Config) -> None:
    html = render_page(processing_page(config, RetentionDays(730, None)))
    for said in ("Tea House Ltd", "privacy@example.com", "age, consent, customer_id", "730 days", "no end is set"):
        assert said in html


def test_what_nobody_stated_is_asked_for(config: Config) -> None:
    bare = config.model_copy(update={"privacy": type(config.privacy)()})
    asked = [todo.what for todo in processing_page(bare, None).actions]
    assert any("privacy.controller" in each for each in asked)
    assert any("privacy.contact" in each for each in asked)
    assert "not known: give the server" in render_page(processing_page(bare, None))


def test_in_chinese_no_sentence_stays_english(config: Config) -> None:
    with use_locale("zh"):
        page = processing_page(config, None)
    leads = [page.head.sentence, page.eyebrow, *(chapter.lead + chapter.title for chapter in page.chapters)]
    assert not [each for each in leads if " the " in each or " of " in each]


def test_the_verb_reads_both_files(tmp_path: Path) -> None:
    server = tmp_path / "serve.toml"
    server.write_text("[keep]\nevents_days = 77\n", encoding="utf-8")
    out = tmp_path / "privacy.html"
    asked = ["privacy", "--config", str(EXAMPLE), "--settings", str(server), "--language", "en", "--out", str(out)]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert "77 days" in out.read_text(encoding="utf-8")
