"""The sentences of a draw, in the language of the shop: what goes to whom, its cost, its gain, what will be known."""

import pytest

from promolift.core.decisions import LineEffect
from promolift.core.experiments import audiences
from promolift.core.offers import MenuItem
from promolift.core.offers.terms import Benefit
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.localized_text import Language
from promolift.shop.results.line_tests import (
    LineTestGroup,
    LineTestNote,
    describe_line,
    group_name,
    line_test_sentences,
)

MENU = (
    MenuItem(id="win-back-10", benefit=Benefit(type="percent_off", percent=10)),
    MenuItem(id="tea-20", benefit=Benefit(type="percent_off", percent=20), scope="category", covers=("tea",)),
    MenuItem(id="spend-60-save-8", benefit=Benefit(type="amount_off", amount_cents=800), min_spend_cents=6000),
)
NAMES = (audiences.ACTIVE, *audiences.FIRST_AUDIENCES)


def test_every_audience_has_its_name_in_chinese() -> None:
    with use_locale("zh"):
        assert not [name for name in NAMES if group_name(name).isascii()]
        assert group_name("高频会员") == "高频会员"
    assert [group_name(name) for name in NAMES] == [*NAMES]


def effect(n_arm: int) -> LineEffect:
    return LineEffect(
        arm="win-back-10", group="absent", net_cents=60.0, net_se_cents=20.0, window_cents=9.0, window_se_cents=20.0,
        cost_cents=30.0, pays=0.9, state="test", prob=0.5, n_arm=n_arm, evidence="randomised",
    )  # fmt: skip


def noted(n_arm: int = 0, treated: int = 500, tests: int = 0, largest: int = 1000) -> LineTestNote:
    group = LineTestGroup(group="absent", arms=("win-back-10",), shares=(0.5,), counts=(treated,), treated=treated,
                          none=1000 - treated, detectable_cents=113.0)  # fmt: skip
    return LineTestNote(
        tested=(group,) if treated else (), targeted=0, largest=largest, cost_cents=15_000.0, ceiling_cents=31_000.0,
        gain_cents=30_000.0, gain_se_cents=10_000.0, budget_cents=40_000.0, window_days=28, horizon_days=84,
        effects=(effect(n_arm),), tests=tests,
    )  # fmt: skip


def figures(sentences: list[str], *parts: str) -> bool:
    text = " ".join(sentences)
    return all(part in text for part in parts)


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_a_draw_states_its_sizes_its_shares_its_cost_its_ceiling_and_what_it_will_show(locale: str) -> None:
    with use_locale(locale):
        first, later = line_test_sentences(noted(), "USD", MENU), line_test_sentences(noted(400, tests=1), "USD", MENU)
    for said in (first, later):
        assert figures(said, "1,000", "500", "10", "50", "$150.00", "$310.00", "$400.00", "$1.13", "28")
        assert figures(said, "promolift ingest", "promolift learn approve")
    assert not figures(first, "$300.00")  # before any draw nothing is known of the gain
    assert figures(later, "$300.00", "$104.00", "$496.00", "84")


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_a_draw_names_offers_in_words_and_not_by_their_ids(locale: Language) -> None:
    with use_locale(locale):
        for item in MENU:
            group = noted().tested[0].model_copy(update={"arms": (item.id,)})
            said = " ".join(line_test_sentences(noted().model_copy(update={"tested": (group,)}), "USD", MENU))
            assert item.id not in said
            assert describe_line(item, "USD") in said


def test_a_plan_that_sends_nothing_says_why_and_what_to_do() -> None:
    said = {name: line_test_sentences(note, "USD", MENU) for name, note in {
        "few": noted(treated=0, largest=9), "rest": noted(treated=0, tests=3), "none": noted(treated=0),
    }.items()}  # fmt: skip
    assert all(len(each) == 1 for each in said.values())
    assert figures(said["few"], " 9,")
    assert figures(said["rest"], " 3 ", "$400.00")
    assert len({*map(str, said.values())}) == 3


def test_a_note_of_an_earlier_version_is_read() -> None:
    old = noted().model_dump() | {
        "habit_flip": 0.1,
        "assumed_visits": 0.15,
        "visits_flip": None,
        "halves": 3,
        "shown_cents": 9.0,
    }
    (group,) = old["tested"]
    old["tested"] = [{key: value for key, value in group.items() if key not in ("shares", "counts")}
                     | {"needed": 3, "even": 4}]  # fmt: skip
    assert LineTestNote.of(old).tested[0].treated == 500


def test_a_plan_that_replaces_another_draw_of_its_day_says_so() -> None:
    said = line_test_sentences(noted().model_copy(update={"replaced": 321}), "USD", MENU)
    assert figures(said, "321")
    assert not figures(line_test_sentences(noted(), "USD", MENU), "321")
