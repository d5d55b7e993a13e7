"""The ranker learns what readers click, not who wrote first; the bandit logs the probability it really used."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.errors import InputError, SupportError
from promolift.hashing import hash_int
from promolift.message.ranker import RankerSettings, choose_variant, fit_ranker, ranker_of

SMALL = RankerSettings(buckets=2**10)
NOUNS = ["lamp", "rug", "tea", "coffee", "bread", "milk", "soap", "towel", "chair", "table", "cup", "plate", "sofa"]


def arms(better: str = "Why {} matters", worse: str = "About {}", n: int = 120) -> pl.DataFrame:
    """Tests of two headlines each; one phrasing is clicked twice as often."""
    rows = []
    for i in range(n):
        noun = NOUNS[hash_int("noun", i) % len(NOUNS)]
        rows += [
            {"test_id": str(i), "text": better.format(noun), "shown": 3000, "clicked": 60 + i % 7},
            {"test_id": str(i), "text": worse.format(noun), "shown": 3000, "clicked": 30 + i % 5},
        ]
    return pl.DataFrame(rows)


def test_it_finds_the_better_phrasing_for_nouns_it_never_saw_in_either_language():
    assert fit_ranker(arms(), SMALL).better("Why pillows matters", "About pillows") > 0.55
    chinese = fit_ranker(arms("为什么选{}", "关于{}的介绍"), SMALL)
    assert chinese.better("为什么选枕头", "关于枕头的介绍") > 0.52


def test_no_text_is_better_than_itself_and_order_does_not_matter():
    ranker = fit_ranker(arms(), SMALL)
    assert ranker.better("a lamp", "a lamp") == 0.5
    assert ranker.better("Why tea", "About tea") + ranker.better("About tea", "Why tea") == pytest.approx(1)


def test_row_order_changes_nothing():
    table = arms()
    one, two = (fit_ranker(t, SMALL).scores(["Why tea", "About tea"]) for t in (table, table.reverse()))
    assert one.tolist() == two.tolist()


def test_arms_of_different_tests_are_never_compared():
    shifted = arms().with_columns(clicked=pl.col("clicked") * (1 + 5 * (pl.col("test_id").cast(pl.Int64) % 2)))
    assert fit_ranker(shifted, SMALL).pairs == 120


def test_too_few_pairs_are_no_ranker():
    with pytest.raises(SupportError, match="40 pairs"):
        fit_ranker(arms(n=40), SMALL)


def test_its_parts_give_the_same_scores_again():
    ranker = fit_ranker(arms(), SMALL)
    manifest, table = ranker.parts()
    assert ranker_of(manifest, table).scores(["Why tea?"]).tolist() == ranker.scores(["Why tea?"]).tolist()
    with pytest.raises(InputError, match="do not fit"):
        ranker_of(manifest, table.head(5))


TALLY = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda t: (sum(t), t[0])),
    min_size=1,
)


@settings(max_examples=30, deadline=None)
@given(TALLY, st.integers(0, 99))
def test_propensities_are_those_of_the_draw_never_zero_and_sum_to_one(tally, seed):
    chosen = [choose_variant(tally, f"c{i}", seed) for i in range(200)]
    shares = {c.variant: c.propensity for c in chosen}
    assert all(c.propensity == shares[c.variant] >= 0.05 / len(tally) for c in chosen)
    assert sum(shares.values()) <= 1 + 1e-9


def test_a_variant_is_chosen_as_often_as_its_propensity_says():
    tally = {"a": (100, 8), "b": (100, 12), "c": (100, 10)}
    chosen = [choose_variant(tally, f"c{i}") for i in range(3000)]
    for name in tally:
        said = next(c.propensity for c in chosen if c.variant == name)
        assert sum(c.variant == name for c in chosen) / 3000 == pytest.approx(said, abs=0.04)


def test_what_is_clicked_more_is_chosen_more_and_a_new_variant_is_still_tried():
    tally = {"old": (1000, 50), "good": (1000, 100), "new": (0, 0)}
    chosen = [choose_variant(tally, f"c{i}").variant for i in range(400)]
    assert chosen.count("old") < 40 < chosen.count("good")
    assert chosen.count("new") > 40


@pytest.mark.parametrize("tally", [{}, {"a": (1, 2)}, {"a": (5, -1)}])
def test_an_impossible_tally_is_refused(tally):
    with pytest.raises(InputError, match="0 <= clicked <= shown"):
        choose_variant(tally, "c")
