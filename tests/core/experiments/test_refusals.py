"""What messages lose by customers who refuse further ones: intervals hold it, and silence of a few proves nothing."""

import numpy as np
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments.arm_shares import (
    LEAST,
    REFUSAL_RATE,
    ArmOutcomes,
    arm_prior,
    option_value,
    refusal_rates,
    refuser_share,
    update_beliefs,
)

WORTH = 300.0  # cents


def drawn(rng: np.random.Generator, customers: int) -> ArmOutcomes:
    """Customers who drew a discount, a reminder or nothing."""
    arm = rng.choice([0, 1, -1], customers, p=[0.4, 0.3, 0.3])
    prob, none = np.tile([0.4, 0.3], (customers, 1)), np.full(customers, 0.3)
    return ArmOutcomes(arm, prob, none, np.arange(customers), rng.normal(size=customers), np.zeros(customers))


def after(seen: ArmOutcomes, refused_R: np.ndarray) -> np.ndarray:
    return refusal_rates(seen, refused_R.astype(np.float64)).rate_K


def test_intervals_hold_how_many_more_refuse_in_shops_of_any_size_and_rate() -> None:
    """Rates per message as published, about an exponential; others refuse by themselves, whatever they drew."""
    inside, repeats = 0, 300
    for seed in range(repeats):
        rng = np.random.default_rng([seed, 38])
        seen, own = drawn(rng, int(rng.choice([100, 400, 1600]))), rng.uniform(0, 0.01)
        added = rng.exponential(REFUSAL_RATE)
        refused = rng.random(len(seen.arm_R)) < own + added * (seen.arm_R >= 0)
        found = refusal_rates(seen, refused.astype(np.float64))
        inside += int((np.abs(found.rate_K - added) < 1.96 * found.sd_K).sum())
    assert 0.9 < inside / (2 * repeats) < 0.99


@cases(40)
@given(st.integers(0, 1000), st.integers(200, 2000), st.integers(1, 30))
def test_refusals_after_an_arm_count_more_and_less_where_as_many_come_after_nothing(
    seed: int, customers: int, more: int
) -> None:
    seen = drawn(np.random.default_rng(seed), customers)
    some = np.zeros(customers, np.bool_)
    before = after(seen, some)
    with_arm = some.copy()
    with_arm[np.flatnonzero(seen.arm_R == 0)[:more]] = True
    with_both = with_arm.copy()
    with_both[np.flatnonzero(seen.arm_R < 0)[:more]] = True
    assert after(seen, with_arm)[0] > before[0]
    assert after(seen, with_both)[0] < after(seen, with_arm)[0]


def test_a_few_customers_who_stay_leave_the_prior_and_many_do_not() -> None:
    few, many = (drawn(np.random.default_rng(1), size) for size in (6 * LEAST, 40_000))
    assert after(few, few.arm_R > 9) == pytest.approx([REFUSAL_RATE] * 2, rel=0.2)
    assert (after(many, many.arm_R > 9) < 0.2 * REFUSAL_RATE).all()


def test_customers_who_refuse_without_a_message_do_not_count_against_it() -> None:
    rng = np.random.default_rng(3)
    seen = drawn(rng, 40_000)
    # 10 of 1,000 more refuse after a message, which is drawn towards 2
    own, more = rng.random(40_000) < 0.02, rng.random(40_000) < 0.01 * (seen.arm_R >= 0)
    assert (np.abs(after(seen, own)) < 2 * REFUSAL_RATE).all()
    assert ((after(seen, own | more) > 0.004) & (after(seen, own | more) < 0.011)).all()


def test_what_refusals_lose_is_taken_off_with_its_doubt() -> None:
    seen = drawn(np.random.default_rng(2), 800)
    found = update_beliefs(arm_prior(np.array([50.0, 0.0]), 900.0), seen)
    rates = refusal_rates(seen, (seen.arm_R == 1).astype(np.float64))
    net = found.less(rates, WORTH)
    assert net.mean_K == pytest.approx(found.mean_K - WORTH * rates.rate_K)
    assert (net.sd_K > found.sd_K).all()
    assert net.drawn_K[1] == pytest.approx(found.drawn_K[1] - WORTH * rates.rate_K[1])


def test_who_refuses_is_worth_what_was_forecast_of_them() -> None:
    share, nobody = np.array([0.1, 0.1, 1.9, 1.9]), np.zeros(4)
    assert refuser_share(share, nobody) == 1.0
    assert refuser_share(share, np.array([1.0, 1.0, 0.0, 0.0])) < 0.5
    assert refuser_share(share, np.array([0.0, 0.0, 1.0, 1.0])) > 1.5


@cases(40)
@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(1, 400)), min_size=1, max_size=4))
def test_a_send_is_worth_at_least_its_best_arm_and_never_less_than_nothing(each: list[tuple[float, float]]) -> None:
    mean, sd = (np.array(part) for part in zip(*each, strict=True))
    worth = option_value(mean, np.diag(sd**2))
    assert worth >= max(mean.max(), 0.0) - 0.05 * sd.max()
    assert option_value(mean - 50.0, np.diag(sd**2)) <= worth
