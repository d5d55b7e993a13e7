"""The chapter on what comes next: there only if an encoder was learned, readable without pictures, true to its data."""

from dataclasses import replace

import polars as pl
import pytest
import report_demo as demo
from test_report_render import EVIL, Page

from promolift.pages import Story, render
from promolift.results.foreseen import MOST_DOTS, Foreseen, GoodsMap, PeopleMap
from promolift.results.shop import Told, Visit


def figures(page: Page) -> dict[str, dict[str, object]]:
    return page.data["figures"]  # type: ignore[return-value]


def test_without_an_encoder_there_is_no_chapter() -> None:
    assert 'id="outlook"' not in render(Story())
    assert 'id="outlook"' in render(demo.story())


def ahead(**parts: object) -> Story:
    return Story(foreseen=demo.foreseen().model_copy(update=parts))


def test_where_an_encoder_was_asked_for_in_vain_the_chapter_says_why() -> None:
    page = Page(render(Story(missing={"foreseen": "torch is not installed"})))
    assert "No neural network was learned in this run." in page.text
    assert "torch is not installed" in page.text


def test_every_part_may_be_missing() -> None:
    assert 'id="outlook"' in render(Story(foreseen=Foreseen()))
    for name in Foreseen.model_fields:
        bare = render(ahead(**{name: Foreseen.model_fields[name].default}))
        assert ("One customer told" in bare) == (name != "told")
    assert PeopleMap.of(demo.mapped().clear()) is None
    assert GoodsMap.of(demo.goods().clear()) is None


def test_the_maps_hold_every_customer_once_with_a_colour_and_few_dots() -> None:
    found = figures(Page(render(demo.story())))
    points = found["map-spend"]["points"]
    assert len(points) == len({p[3] for p in points}) == demo.CUSTOMERS  # type: ignore[arg-type,union-attr]
    many = demo.mapped()
    more = PeopleMap.of(pl.concat([many, many.with_columns(pl.col("customer_id") + "x")]))
    assert more is not None
    assert more.customers == len(more.dots) == MOST_DOTS


def test_who_stands_together_is_said_in_words() -> None:
    page = Page(render(demo.story()))
    assert "agree with a customer to 0.8" in page.text  # two islands: one spends twice what the other does
    assert "1 kind never bought so far: placed by shelf, brand and price." in page.text
    assert figures(page)["map-goods"]["groups"] == ["fresh fruit", "groceries"]
    assert {p[2] for p in figures(page)["map-goods"]["points"]} == {0, 1, None}  # type: ignore[union-attr]


def test_the_reason_is_the_visit_that_adds_most_and_habit_where_none_does() -> None:
    page = Page(render(demo.story()))
    assert "without the visit of 2017-10-02 its odds would be 11 % lower" in page.text
    less = Told(customer_id="a", item="milk", reasons=(Visit(day="2017-10-02", items=("milk",), odds_factor=0.98),))
    assert "No single visit makes milk likelier" in Page(render(ahead(told=less))).text


def test_the_kept_epoch_is_the_best_on_weeks_not_learned_from() -> None:
    page = Page(render(demo.story()))
    assert "0.400 after one pass over the data, 0.410 after 2, which is kept." in page.text
    assert [len(line["points"]) for line in figures(page)["learning-loss"]["series"]] == [3, 3]  # type: ignore[union-attr]


def test_hostile_names_stay_text() -> None:
    people = demo.mapped().with_columns(leans_to=pl.lit(EVIL), customer_id=pl.col("customer_id") + EVIL)
    evil = ahead(
        people=PeopleMap.of(people),
        goods=GoodsMap.of(demo.goods().with_columns(name=pl.lit(EVIL), shelf=pl.lit(EVIL))),
        told=Told(
            customer_id=EVIL, sentences=(EVIL,), item=EVIL, reasons=(Visit(day=EVIL, items=(EVIL,), odds_factor=2.0),)
        ),
    )
    page = Page(render(replace(demo.story(), foreseen=evil.foreseen)))
    assert page.count("img") == 0
    assert page.count("script") == Page(render(demo.story())).count("script")


@pytest.mark.parametrize("name", ["spend_cents", "leans_to", "price_sensitivity"])
def test_an_unknown_colour_is_no_colour(name: str) -> None:
    people = demo.mapped()
    blank = people.with_columns(pl.lit(None, people.schema[name]).alias(name))
    page = Page(render(ahead(people=PeopleMap.of(blank))))
    assert ("map-leaning" in figures(page)) == (name != "leans_to")
