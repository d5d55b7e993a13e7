"""The chapter on what comes next: there only if an encoder was learned, readable without pictures, true to its data."""

from dataclasses import replace

from small_story import small_story
from test_report_render import EVIL, Page

from promolift.shop.reports.chapters.summary import render
from promolift.shop.reports.story import Story


def test_there_is_a_chapter_only_where_an_encoder_was_asked_for(dollars: Story) -> None:
    assert 'id="forecast"' not in render(small_story())
    assert "not installed here" in render(small_story(missing={"forecast": "torch is not installed here"}))
    assert dollars.forecast is not None
    bare = Page(render(small_story(forecast=dollars.forecast.model_copy(update={"reliability": None}))))
    assert {*bare.data["figures"]} >= {"learning-ndcg", "learning-loss"}  # type: ignore[misc]
    assert "forecast-calibration" not in bare.data["figures"]  # type: ignore[operator]


def test_the_kept_epoch_is_the_best_on_weeks_not_learned_from(dollars: Story) -> None:
    page = Page(render(small_story(forecast=dollars.forecast)))
    assert "0.317 after one pass over the data, 0.352 after 2, which is kept." in page.text
    assert [len(line["points"]) for line in page.data["figures"]["learning-loss"]["series"]] == [3, 3]  # type: ignore[index,call-overload]


def test_hostile_names_stay_text(dollars: Story) -> None:
    assert dollars.forecast is not None
    evil = dollars.forecast.model_copy(update={"basket": dollars.forecast.basket.model_copy(update={"why": EVIL})})
    page = Page(render(replace(dollars, forecast=evil)))
    assert page.count("img") == 0
    assert page.count("script") == Page(render(dollars)).count("script")
