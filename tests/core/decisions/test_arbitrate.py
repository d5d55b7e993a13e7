"""Which of several campaigns decides: the rule by hand, in any order, and the same for all customers at once."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.decisions import Bid, arbitrate, arbitrate_batch


def bid(name: str, worth: float, priority: int = 0) -> Bid:
    return Bid(name, priority, "o" if worth > 0 else "none", worth)


@pytest.mark.parametrize(
    ("bids", "won", "why"),
    [
        ([bid("a", 5.0)], "a", "only one"),
        ([bid("a", 5.0), bid("b", 0.0, priority=9)], "a", "only one"),
        ([bid("a", 5.0), bid("b", 1.0, priority=1)], "b", "priority"),
        ([bid("a", 5.0, priority=1), bid("b", 7.0, priority=1), bid("c", 9.0)], "b", "value"),
        ([bid("b", 5.0), bid("a", 5.0)], "a", "name"),
        ([bid("b", 0.0), bid("a", 0.0), bid("c", 0.0, priority=1)], "c", "nothing pays"),
    ],
)
def test_an_offer_that_pays_goes_before_priority_and_that_before_worth(bids: list[Bid], won: str, why: str) -> None:
    for listed in (bids, bids[::-1]):
        found = arbitrate(listed)
        assert (listed[found.at].campaign_id, found.why) == (won, why)


campaigns = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True)
numbers = st.tuples(st.integers(-1, 1), st.sampled_from([0.0, 1.0, 2.0]))


@given(
    st.lists(campaigns.flatmap(lambda names: st.tuples(*(st.tuples(st.just(n), numbers) for n in names))), min_size=1)
)
def test_all_customers_at_once_are_arbitrated_as_each_alone(
    drawn: list[tuple[tuple[str, tuple[int, float]], ...]],
) -> None:
    mine = [[bid(name, worth, priority) for name, (priority, worth) in each] for each in drawn]
    rows = [(f"c{n:03d}", *each) for n, bids in enumerate(mine) for each in bids]
    found = arbitrate_batch(pl.DataFrame(rows, ["customer_id", *Bid._fields], orient="row")).sort("customer_id")
    one_by_one = [
        (f"c{n:03d}", bids[arbitrate(bids).at].campaign_id, arbitrate(bids).why) for n, bids in enumerate(mine)
    ]
    assert found.rows() == one_by_one
