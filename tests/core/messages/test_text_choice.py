"""Texts compete: what more people take up is sent more often, also with other benefits, and losers are dropped."""

from typing import get_args

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.core.messages import PoolText, TextChooser, TextCounts
from promolift.core.messages.text_choice import (
    LEAST_TEXTS,
    READ_ENOUGH,
    SUCCESSOR_STATES,
    TextArms,
    list_wanted_drafts,
)
from promolift.core.messages.text_pool import TextPool, TextState, from_csv, to_csv
from promolift.core.offers.terms import BenefitType

BENEFITS: tuple[BenefitType, ...] = ("percent_off", "amount_off", "free_shipping")


def texts(number: int) -> tuple[PoolText, ...]:
    return tuple(
        PoolText(text_id=f"t{n}", angle="generic", language="en", title="{deal}", hook=f"Hook {n}.", state="approved")
        for n in range(number)
    )


def arms(number: int, *counts: TextCounts, benefit: BenefitType = "percent_off") -> TextArms:
    return TextChooser(texts(number), counts).arms("generic", benefit, "en")


COUNTS = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(BENEFITS), st.integers(0, 3000), st.floats(0, 0.6)),
    max_size=20, unique_by=lambda row: row[:2],
)  # fmt: skip


@given(st.integers(1, 8), COUNTS, st.sampled_from(BENEFITS))
@settings(max_examples=60, deadline=None)
def test_shares_are_probabilities_and_every_text_is_drawn_by_its_own(
    number: int, rows: list[tuple[int, BenefitType, int, float]], benefit: BenefitType
) -> None:
    counts = [TextCounts(f"t{text}", kind, shown, round(shown * part)) for text, kind, shown, part in rows]
    found = arms(number, *counts, benefit=benefit)
    assert np.isclose(found.share_V.sum(), 1)
    assert (found.share_V > 0).sum() >= min(number, LEAST_TEXTS)
    read = {each.text_id for each in counts if each.benefit == benefit and each.shown >= READ_ENOUGH}
    assert all(share > 0 for text, share in zip(found.texts, found.share_V, strict=True) if text.text_id not in read)
    assert ((found.low_V <= found.taken_V) & (found.taken_V <= found.high_V)).all()
    chooser = TextChooser(texts(number), tuple(counts))
    share = {text.text_id: float(value) for text, value in zip(found.texts, found.share_V, strict=True)}
    for key in range(30):
        text, propensity = chooser.choose("generic", benefit, "en", str(key))
        assert text is not None
        assert propensity == share[text.text_id] > 0


def test_what_others_beat_after_enough_readers_is_no_longer_sent() -> None:
    good, bad = TextCounts("t0", "percent_off", 400, 60), TextCounts("t1", "percent_off", 400, 4)
    share = arms(4, good, bad).share_V
    assert share[1] == 0
    assert (share[[0, 2, 3]] > 0).all()
    assert arms(4, good, bad._replace(shown=READ_ENOUGH - 1, taken=2)).share_V[1] > 0


def test_what_is_taken_up_with_another_benefit_counts_for_less_than_with_this_one() -> None:
    lost = [TextCounts(f"t{n}", kind, 100, 5) for n in (1, 2, 3) for kind in ("percent_off", "amount_off")]  # type: ignore[arg-type]
    none = arms(4, *lost, TextCounts("t0", "percent_off", 100, 5), TextCounts("t0", "amount_off", 100, 5)).taken_V[0]
    other = arms(4, *lost, TextCounts("t0", "percent_off", 100, 5), TextCounts("t0", "amount_off", 100, 15)).taken_V[0]
    own = arms(4, *lost, TextCounts("t0", "percent_off", 100, 15), TextCounts("t0", "amount_off", 100, 5)).taken_V[0]
    assert none < other < own


def test_counts_of_one_benefit_alone_leave_the_others_where_they_were_on_average() -> None:
    """A text that does as well as the others there is no better here."""
    counts = [TextCounts(f"t{n}", "amount_off", 500, 50) for n in range(4)]
    assert np.allclose(arms(4, *counts).taken_V, arms(4).taken_V, rtol=0.02)


@given(st.integers(2, 8), COUNTS, st.sets(st.integers(0, 7)))
@settings(max_examples=60, deadline=None)
def test_a_text_that_a_person_brought_back_is_always_sent(
    number: int, rows: list[tuple[int, BenefitType, int, float]], back: set[int]
) -> None:
    counts = tuple(TextCounts(f"t{text}", kind, shown, round(shown * part)) for text, kind, shown, part in rows)
    before = TextChooser(texts(number), counts)
    pool = TextPool(texts(number)).bring_back({f"t{n}" for n in back}, "Ann", "2026-12-02")
    after = TextChooser(pool.texts, counts)
    lost = {(each.text.text_id, each.benefit) for each in after.dropped()}
    gone = {(each.text.text_id, each.benefit) for each in before.dropped()}
    assert lost == {each for each in gone if each[0] not in {f"t{n}" for n in back}}
    for benefit in BENEFITS:
        found = after.arms("generic", benefit, "en")
        assert np.isclose(found.share_V.sum(), 1)
        unsent = {text.text_id for text, share in zip(found.texts, found.share_V, strict=True) if share == 0}
        assert unsent == {text_id for text_id, kind in lost if kind == benefit}


@given(st.integers(2, 8), COUNTS, st.sets(st.integers(0, 7)), st.sampled_from(get_args(TextState)))
@settings(max_examples=60, deadline=None)
def test_a_draft_is_asked_for_until_each_dropped_text_has_a_successor_that_nobody_refused(
    number: int, rows: list[tuple[int, BenefitType, int, float]], followed: set[int], state: TextState
) -> None:
    counts = tuple(TextCounts(f"t{text}", kind, shown, round(shown * part)) for text, kind, shown, part in rows)
    dropped = TextChooser(texts(number), counts).dropped()
    new = texts(1)[0].model_copy(
        update={"text_id": "new", "state": state, "successor_of": tuple(f"t{n}" for n in followed)}
    )
    wanted = list_wanted_drafts(dropped, [*texts(number), new])
    answered = {f"t{n}" for n in followed} if state in SUCCESSOR_STATES else set()
    asked = {text.text_id for each in wanted for text in each.dropped}
    assert asked == {each.text.text_id for each in dropped} - answered
    for each in wanted:
        best = {one.winner.text_id for one in dropped if one.text in each.dropped}
        assert {text.text_id for text in each.winners} == best
        assert not best & {one.text.text_id for one in dropped if one.text in each.dropped and len(best) == 1}


def test_a_text_that_a_person_refuses_or_retires_is_no_longer_brought_back() -> None:
    pool = TextPool(texts(2)).bring_back({"t0", "t1"}, "Ann", "2026-12-02")
    assert all(text.restored_by == "Ann" for text in pool.texts)
    rows = to_csv(pool).filter(text_id="t0").with_columns(approved=pl.lit("no"))
    pool = from_csv(pool.retire(["t1"], "2026-12-03"), rows, "Ben", "2026-12-03").pool
    assert [text.restored_by for text in pool.texts] == ["", ""]
