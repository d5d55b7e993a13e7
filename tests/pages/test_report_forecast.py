"""The chapter on what comes next: there only if an encoder was learned, readable without pictures, true to its data."""

from dataclasses import replace

import polars as pl
import pytest
from test_report_render import EVIL, Page

from promolift.pages import Story, render
from promolift.results.forecasts import MOST_DOTS, CustomerForecast, Forecasts, GoodsMap, PeopleMap, Visit
from small_story import small_story

PEOPLE = pl.select(k=pl.int_range(MOST_DOTS)).select(  # two islands: one spends twice what the other does
    customer_id=pl.col("k").cast(pl.String), x=3.0 * (pl.col("k") % 2) + pl.col("k") / MOST_DOTS,
    y=7 * pl.col("k") % 11 / 11, price_sensitivity=0.1 * pl.col("k"),
    spend_cents=1000.0 * (1 + pl.col("k") % 2) + 7919 * pl.col("k") % 997 / 997,
    leans_to=pl.when(pl.col("k") % 2 == 0).then(pl.lit("groceries")).otherwise(pl.lit("fruit")),
)  # fmt: skip
GOODS = pl.DataFrame({
    "name": ["milk", "soup", "beer"], "x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 2.0], "shelf": ["fruit", "groceries", None],
    "visits": [0, 100, 200],
})  # fmt: skip


def figures(page: Page) -> dict[str, dict[str, object]]:
    return page.data["figures"]  # type: ignore[return-value]


def ahead(story: Story, **parts: object) -> str:
    """The page of nothing but what comes next, some parts of it changed."""
    assert story.forecast
    return render(small_story(forecast=story.forecast.model_copy(update=parts)))


def test_every_part_may_be_missing(dollars: Story) -> None:
    assert 'id="forecast"' not in render(small_story())
    assert 'id="forecast"' in render(small_story(forecast=Forecasts()))
    for name in Forecasts.model_fields:
        bare = ahead(dollars, **{name: Forecasts.model_fields[name].default})
        assert 'id="forecast"' in bare
        assert ("One customer told" in bare) == (name != "told")
    assert PeopleMap.of(PEOPLE.clear()) is None
    assert GoodsMap.of(GOODS.clear()) is None


def test_the_maps_hold_every_customer_once_with_a_colour_and_few_dots(dollars: Story) -> None:
    page = Page(ahead(dollars, people=PeopleMap.of(PEOPLE), goods=GoodsMap.of(GOODS)))
    found = figures(page)
    points = found["map-spend"]["points"]
    assert len(points) == len({p[3] for p in points}) == MOST_DOTS  # type: ignore[arg-type,union-attr]
    more = PeopleMap.of(pl.concat([PEOPLE, PEOPLE.with_columns(pl.col("customer_id") + "x")]))
    assert more is not None
    assert more.customers == len(more.dots) == MOST_DOTS
    assert "agree with a customer to 0.8" in page.text or "agree with a customer to 0.9" in page.text
    assert "1 kind never bought so far: placed by shelf, brand and price." in page.text
    assert found["map-goods"]["groups"] == ["groceries", "fruit"]
    assert {p[2] for p in found["map-goods"]["points"]} == {0, 1, None}  # type: ignore[union-attr]


def test_the_reason_is_the_visit_that_adds_most_and_habit_where_none_does(dollars: Story) -> None:
    assert "without the visit of 2025-12-27 its odds would be 12\u00a0% lower" in ahead(dollars)
    visit = Visit(day="2017-10-02", items=("milk",), odds_factor=0.98)
    less = CustomerForecast(customer_id="a", item="milk", reasons=(visit,))
    assert "No single visit makes milk likelier" in ahead(dollars, told=less)


def test_the_kept_epoch_is_the_best_on_weeks_not_learned_from(dollars: Story) -> None:
    page = Page(ahead(dollars))
    assert "0.317 after one pass over the data, 0.352 after 2, which is kept." in page.text
    assert [len(line["points"]) for line in figures(page)["learning-loss"]["series"]] == [3, 3]  # type: ignore[union-attr]


def test_hostile_names_stay_text(dollars: Story) -> None:
    visit = Visit(day=EVIL, items=(EVIL,), odds_factor=2.0)
    page = Page(ahead(
        dollars,
        people=PeopleMap.of(PEOPLE.with_columns(leans_to=pl.lit(EVIL), customer_id=pl.col("customer_id") + EVIL)),
        goods=GoodsMap.of(GOODS.with_columns(name=pl.lit(EVIL), shelf=pl.lit(EVIL))),
        told=CustomerForecast(customer_id=EVIL, sentences=(EVIL,), item=EVIL, reasons=(visit,)),
    ))  # fmt: skip
    assert page.count("img") == 0
    assert page.count("script") == Page(render(replace(dollars))).count("script")


@pytest.mark.parametrize("name", ["spend_cents", "leans_to", "price_sensitivity"])
def test_an_unknown_colour_is_no_colour(dollars: Story, name: str) -> None:
    blank = PEOPLE.with_columns(pl.lit(None, PEOPLE.schema[name]).alias(name))
    page = Page(ahead(dollars, people=PeopleMap.of(blank)))
    assert ("map-leaning" in figures(page)) == (name != "leans_to")
