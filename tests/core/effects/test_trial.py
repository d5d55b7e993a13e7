import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.effects.trial_arrays import MAX_LEVELS, finite_vector, fit_encoder, row_keys


def test_columns_come_as_they_are_and_missing_stays_missing() -> None:
    frame = pl.DataFrame({"n": [1, None, 3], "b": [True, False, None], "c": ["x", "y", None]})
    encoder = fit_encoder(frame)
    assert encoder.names == ["n", "b", "c = x", "c = y", "c = other"]
    x = encoder.encode(frame)
    np.testing.assert_array_equal(x[:, 0], [1, np.nan, 3])
    np.testing.assert_array_equal(x[:, 1], [1, 0, np.nan])
    np.testing.assert_array_equal(x[:2, 2:], [[1, 0, 0], [0, 1, 0]])
    assert np.isnan(x[2, 2:]).all()


def test_a_text_unseen_in_training_is_other_and_rare_ones_share_it() -> None:
    encoder = fit_encoder(pl.DataFrame({"c": ["x", "y"]}))
    assert encoder.encode(pl.DataFrame({"c": ["z"]})).tolist() == [[0, 0, 1]]
    many = fit_encoder(pl.DataFrame({"c": [f"v{i:02}" for i in range(30)]}))
    assert len(many.names) == MAX_LEVELS + 1


def test_the_order_of_columns_does_not_matter_but_their_kind_does() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    encoder = fit_encoder(frame)
    np.testing.assert_array_equal(encoder.encode(frame.select("b", "a")), encoder.encode(frame))
    with raises_code("column_type_wrong", "'a'", "String"):
        encoder.encode(pl.DataFrame({"a": ["one"], "b": [1.0]}))
    with raises_code("column_missing", "'b'"):
        encoder.encode(frame.select("a"))


def test_an_array_needs_two_dimensions_and_becomes_columns() -> None:
    assert fit_encoder(np.zeros((2, 3))).names == ["x0", "x1", "x2"]
    with raises_code("shape_invalid", "features", "1"):
        fit_encoder(np.zeros(3))


def test_keys_follow_rows_whatever_their_order_and_part_equal_rows() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [np.nan, 0.0]])
    keys = row_keys(x, 0)
    assert len(set(keys.tolist())) == 4
    order = [3, 2, 1, 0]
    assert set(row_keys(x[order], 0).tolist()) == set(keys.tolist())
    assert (row_keys(x, 1) != keys).all()
    big = row_keys(np.random.default_rng(0).normal(size=(20_000, 2)), 0)
    for shift in (0, 8, 40):  # the bits that folds and parts are cut from
        counts = np.bincount(((big >> np.uint64(shift)) % np.uint64(5)).astype(int))
        assert np.abs(counts - 4000).max() < 250


@pytest.mark.parametrize(
    ("values", "code", "facts"),
    [
        (["a"], "value_invalid", ()),
        ([[1.0]], "shape_invalid", ("2",)),
        ([1.0, np.inf], "value_not_finite", ("1 of 2", "at 1")),
    ],
)
def test_numbers_are_finite_or_refused(values: list[object], code: str, facts: tuple[str, ...]) -> None:
    with raises_code(code, "outcome", *facts):
        finite_vector(values, "outcome")
