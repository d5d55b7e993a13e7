"""Texts compete: what more people take up is sent more often, also with other benefits, and losers are dropped."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.core.messages import PoolText, TextChooser, TextCounts
from promolift.core.messages.text_choice import LEAST_TEXTS, READ_ENOUGH, TextArms
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
