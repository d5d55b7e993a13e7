"""Lists of items: the weights multiply as far as clicks depend on one another."""

import numpy as np
import pytest

from promolift.errors import InputError, SupportError
from promolift.learn.slate import Slates, slate_value

# Three lists of three; the values are obp's (sb-obp 0.5.10) on these numbers.
REWARD = [1, 0, 1, 0, 1, 0, 1, 1, 0]
PROB = [0.5, 0.4, 0.3, 0.2, 0.5, 0.25, 0.4, 0.3, 0.6]
POLICY = [0.3, 0.6, 0.2, 0.4, 0.5, 0.5, 0.1, 0.6, 0.3]


def repeated(times: int = 100) -> Slates:
    lists = np.repeat(np.arange(3 * times), 3)
    return Slates(lists, np.tile([0, 1, 2], 3 * times), *(np.tile(each, times) for each in (REWARD, PROB, POLICY)))


@pytest.mark.parametrize(
    ("clicks", "value"),
    [("joint", 1.9000000000000001), ("independent", 1.5055555555555555), ("cascade", 1.3166666666666667)],
)
def test_each_assumption_gives_what_obp_gives_on_the_same_input(clicks: str, value: float) -> None:
    assert slate_value(repeated(), clicks).value == pytest.approx(value, abs=1e-9)  # type: ignore[arg-type]


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows, order = repeated(), np.random.default_rng(0).permutation(900)
    turned = Slates(*(np.asarray(getattr(rows, name))[order] for name in rows.__dataclass_fields__))
    assert slate_value(turned, "cascade").value == pytest.approx(slate_value(rows, "cascade").value)


def test_with_one_place_all_assumptions_are_plain_ips() -> None:
    count = 200
    one = Slates(np.arange(count), np.zeros(count), np.ones(count), np.full(count, 0.5), np.full(count, 0.25))
    assert {slate_value(one, clicks).value for clicks in ("joint", "independent", "cascade")} == {0.5}


def test_the_same_policy_is_worth_what_was_logged_and_self_normalising_keeps_it_so() -> None:
    rows = repeated()
    same = Slates(rows.list_N, rows.place_N, rows.reward_N, rows.prob_N, rows.prob_N)
    for normalised in (False, True):
        value = slate_value(same, "cascade", self_normalised=normalised)
        assert value.value == pytest.approx(5 / 3)
        assert value.effective == pytest.approx(300)


def test_self_normalised_by_hand() -> None:
    """At each place sum of w r over sum of w: 0.6/2.85, (1.5 + ...) and so on, added over the places."""
    weight = (np.array(POLICY) / np.array(PROB)).reshape(3, 3)
    reward = np.array(REWARD).reshape(3, 3)
    by_hand = sum((weight[:, p] @ reward[:, p]) / weight[:, p].sum() for p in range(3))
    assert slate_value(repeated(), "independent", self_normalised=True).value == pytest.approx(by_hand)


def test_too_few_lists_are_refused_and_a_place_filled_twice_is_named() -> None:
    with pytest.raises(SupportError, match="assume less dependence"):
        slate_value(repeated(2), "joint")
    rows = repeated()
    with pytest.raises(InputError, match="twice"):
        slate_value(Slates(rows.list_N, np.zeros(900), rows.reward_N, rows.prob_N, rows.policy_N), "joint")
