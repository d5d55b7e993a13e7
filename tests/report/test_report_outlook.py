"""The chapter on what comes next: there only if an encoder was learned, readable without pictures, true to its data."""

from dataclasses import replace

import polars as pl
import pytest
import report_demo as demo
from test_report_render import EVIL, Page

from promolift.report import Outlook, Story, Told, render
from promolift.report.chapters import outlook


def figures(page: Page) -> dict[str, dict[str, object]]:
    return page.data["figures"]  # type: ignore[return-value]


def test_without_an_encoder_there_is_no_chapter() -> None:
    assert 'id="outlook"' not in render(Story())
    assert 'id="outlook"' in render(demo.story())


def test_where_an_encoder_was_asked_for_in_vain_the_chapter_says_why() -> None:
    page = Page(render(Story(missing={"outlook": "torch is not installed"})))
    assert "No neural network was learned in this run." in page.text
    assert "torch is not installed" in page.text


def test_every_part_may_be_missing() -> None:
    assert 'id="outlook"' in render(Story(outlook=Outlook()))
    empty = {name: getattr(demo.outlook(), name).clear() for name in ("record", "scores", "bins", "people", "goods")}
    assert "One customer told" in Page(render(Story(outlook=replace(demo.outlook(), **empty)))).text


def test_the_maps_hold_every_customer_once_with_a_colour_and_few_dots() -> None:
    found = figures(Page(render(demo.story())))
    points = found["map-spend"]["points"]
    assert len(points) == len({p[3] for p in points}) == demo.CUSTOMERS  # type: ignore[arg-type,union-attr]
    many = demo.outlook().people
    assert many is not None
    more = pl.concat([many, many.with_columns(pl.col("customer_id") + "x")])
    drawn = figures(Page(render(Story(outlook=Outlook(people=more)))))["map-spend"]["points"]
    assert len(drawn) == outlook.DOTS  # type: ignore[arg-type]


def test_who_stands_together_is_said_in_words() -> None:
    page = Page(render(demo.story()))
    assert "agree with a customer to 0.8" in page.text  # two islands: one spends twice what the other does
    assert "1 kind never bought so far: placed by shelf, brand and price." in page.text
    assert figures(page)["map-goods"]["groups"] == ["fresh fruit", "groceries"]
    assert {p[2] for p in figures(page)["map-goods"]["points"]} == {0, 1, None}  # type: ignore[union-attr]


def test_the_reason_is_the_visit_that_adds_most_and_habit_where_none_does() -> None:
    page = Page(render(demo.story()))
    assert "without the visit of 2017-10-02 its odds would be 11 % lower" in page.text
    told = Told("a", item="milk", visits=[("2017-10-02", "milk", 0.98)])
    assert "No single visit makes milk likelier" in Page(render(Story(outlook=Outlook(told=told)))).text


def test_the_kept_epoch_is_the_best_on_weeks_not_learned_from() -> None:
    page = Page(render(demo.story()))
    assert "0.400 after one pass over the data, 0.410 after 2, which is kept." in page.text
    assert [len(line["points"]) for line in figures(page)["learning-loss"]["series"]] == [3, 3]  # type: ignore[union-attr]


def test_hostile_names_stay_text() -> None:
    ahead = demo.outlook()
    assert ahead.people is not None
    assert ahead.goods is not None
    evil = replace(
        ahead,
        people=ahead.people.with_columns(leans_to=pl.lit(EVIL), customer_id=pl.col("customer_id") + EVIL),
        goods=ahead.goods.with_columns(name=pl.lit(EVIL), group=pl.lit(EVIL)),
        told=Told(EVIL, [EVIL], EVIL, [(EVIL, EVIL, 2.0)], [(EVIL, EVIL, 1.0, EVIL)]),
    )
    page = Page(render(replace(demo.story(), outlook=evil)))
    assert page.count("img") == 0
    assert page.count("script") == Page(render(demo.story())).count("script")


@pytest.mark.parametrize("name", ["spend_cents", "leans_to", "price_sensitivity"])
def test_an_unknown_colour_is_no_colour(name: str) -> None:
    people = demo.outlook().people
    assert people is not None
    blank = people.with_columns(pl.lit(None, people.schema[name]).alias(name))
    page = Page(render(Story(outlook=Outlook(people=blank))))
    assert 'id="outlook"' in render(Story(outlook=Outlook(people=blank)))
    assert ("map-leaning" in figures(page)) == (name != "leans_to")
