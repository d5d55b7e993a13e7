"""Which channel and hour an offer is sent at: known probabilities from which their worth can be learned."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.decisions import SendSlot, draw_send_slot, next_occurrence
from promolift.foundation.hashing import hash_unit

SLOTS = [SendSlot("email", 10), SendSlot("email", 18), SendSlot("push", 9), SendSlot("sms", 12)]
HOUR_MS = 3_600_000
MIDNIGHT = 1_767_571_200_000  # 5 January 2026, 00:00 UTC


@pytest.mark.parametrize("explore", [0.0, 0.3, 1.0])
def test_each_slot_is_drawn_as_often_as_its_logged_probability_says(explore: float) -> None:
    n, drawn, prob = 20_000, Counter[SendSlot](), {}
    for k in range(n):
        slot, prob[slot] = draw_send_slot(SLOTS, explore, 7, f"dec_{k}")
        drawn[slot] += 1
        assert draw_send_slot(SLOTS, explore, 7, f"dec_{k}").slot == slot  # a retry sends no second one elsewhere
    assert prob[SLOTS[0]] == pytest.approx(1 - explore * 3 / 4)
    assert sum(prob.values()) == pytest.approx(1.0)
    for slot, p in prob.items():
        assert drawn[slot] / n == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5 + 1e-12)


def test_what_a_slot_is_worth_can_be_learned_from_the_log_though_the_usual_one_is_sent_to_others() -> None:
    """The usual slot is push for those who answer anyway: the plain mean of the log is fooled, the weighted is not."""
    truth = {"email": 0.30, "push": 0.20}
    plain: dict[str, list[float]] = defaultdict(list)
    total, n = Counter[str](), 40_000
    for k in range(n):
        eager = hash_unit("eager", k) < 0.5
        slots = [SendSlot("push", 9), SendSlot("email", 10)] if eager else [SendSlot("email", 10), SendSlot("push", 9)]
        slot, prob = draw_send_slot(slots, 0.4, 1, f"dec_{k}")
        answered = float(hash_unit("answer", k) < truth[slot.channel] + (0.2 if eager else -0.1))
        plain[slot.channel].append(answered)
        total[slot.channel] += answered / prob
    for name, value in truth.items():
        assert total[name] / n == pytest.approx(value + 0.05, abs=0.015)  # + the mean of 0.2 and -0.1
    assert sum(plain["push"]) / len(plain["push"]) > sum(plain["email"]) / len(plain["email"])


@given(st.integers(0, 23), st.integers(0, 366 * 24 * 60), st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York"]))
def test_the_next_time_that_a_clock_shows_an_hour_is_within_a_day(hour: int, minutes: int, zone: str) -> None:
    now_ms = MIDNIGHT + minutes * 60_000
    found = next_occurrence(hour, now_ms, zone)
    assert now_ms <= found <= now_ms + 25 * HOUR_MS
    shown = datetime.fromtimestamp(found / 1000, ZoneInfo(zone))
    assert shown.hour == hour or shown.date() == datetime(2026, 3, 8).date()  # where clocks go forward it is not there
    assert found == now_ms or shown.minute == 0


def test_an_hour_that_runs_is_now() -> None:
    assert next_occurrence(8, MIDNIGHT + 61, "Asia/Shanghai") == MIDNIGHT + 61
    assert datetime.fromtimestamp(next_occurrence(7, MIDNIGHT, "Asia/Shanghai") / 1000, UTC).isoformat() == (
        "2026-01-05T23:00:00+00:00"
    )
