"""What one use of an offer may take off has an end, whatever is expected of the customers who get it."""

import polars as pl
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.server.decisions.live_release import CAP_TIMES, _caps

SCHEMA = {
    "offer_id": pl.String, "eligible": pl.Boolean, "redeem_prob": pl.Float64, "supplier_share": pl.Float64,
    "subsidy_cents": pl.Float64, "depth": pl.Float64, "basket_mean_cents": pl.Float64, "amount_cents": pl.Int64,
}  # fmt: skip
PERCENT = st.tuples(st.just("quarter"), st.just(True), st.sampled_from([0.0, 0.2]), st.just(0.0), st.floats(0, 200),
                    st.just(0.25), st.one_of(st.none(), st.floats(500, 9000)), st.none())  # fmt: skip


@given(st.lists(PERCENT, min_size=1, max_size=12), st.integers(1_000, 10**7), st.booleans())
@cases(60)
def test_a_cap_follows_the_dearest_use_and_the_usual_order(
    rows: list[tuple[object, ...]], budget: int, expected: bool
) -> None:
    table = pl.DataFrame(rows, SCHEMA, orient="row").with_columns(redeem_prob=pl.col("redeem_prob") * expected)
    known = table.select(
        pl.coalesce(pl.when(pl.col("redeem_prob") > 0).then(pl.col("subsidy_cents") / 0.2),
                    0.25 * pl.col("basket_mean_cents"))
    ).to_series().drop_nulls()  # fmt: skip
    cap = _caps(table.lazy(), budget)["quarter"]
    assert 0 <= cap <= budget
    if known.len():  # also where nobody is expected to use it
        assert cap <= CAP_TIMES * float(known.max()) + 1  # type: ignore[arg-type]
    else:
        assert cap == budget


def test_an_amount_that_nobody_is_expected_to_use_is_its_own_price() -> None:
    row = ("five", True, 0.0, 0.0, 0.0, None, None, 500)
    assert _caps(pl.DataFrame([row], SCHEMA, orient="row").lazy(), 10**6) == {"five": 500 * CAP_TIMES}
