"""Moments follow the wall clock while it can be believed; a jump dates nothing and moves no money."""

from pathlib import Path

from serve_helpers import Api, claim, coded, serving

from promolift.foundation.time.clock import Clock
from promolift.shop.configuration.configuration import Config

YEAR_MS = 365 * 86_400_000


class Hands:
    """A wall clock and a steady one, set by hand."""

    def __init__(self, now_ms: int) -> None:
        self.wall_ms, self.steady_ms = now_ms, 77

    def pass_ms(self, ms: int) -> None:
        self.wall_ms, self.steady_ms = self.wall_ms + ms, self.steady_ms + ms

    def clock(self, last_ms: int = 0) -> Clock:
        return Clock(5000, lambda: self.wall_ms, lambda: self.steady_ms, last_ms)


def test_moments_neither_jump_nor_go_back_and_follow_small_corrections() -> None:
    hands = Hands(1_000_000)
    clock = hands.clock()
    assert clock.next_ms() == 1_000_000
    assert [clock.next_ms(), clock.next_ms()] == [1_000_001, 1_000_002]
    hands.pass_ms(1000)
    hands.wall_ms -= 900  # a time server corrects it
    assert (clock.now_ms(), clock.skewed) == (1_000_100, False)
    hands.wall_ms += YEAR_MS
    hands.pass_ms(50)
    assert (clock.now_ms(), clock.skewed) == (1_000_150, True)
    hands.wall_ms -= YEAR_MS
    assert (clock.next_ms(), clock.skewed) == (1_000_150, False)
    hands.wall_ms -= YEAR_MS
    assert (clock.next_ms(), clock.skewed) == (1_000_151, True)


def test_a_ledger_dated_ahead_does_not_date_what_comes_after_a_restart() -> None:
    hands = Hands(1_000_000)
    assert hands.clock(last_ms=1_000_000 + YEAR_MS).next_ms() == 1_000_000
    assert hands.clock(last_ms=1_002_000).next_ms() == 1_002_001  # a little ahead: ids stay apart


def test_a_clock_that_jumps_a_year_dates_no_decision_and_no_money_moves(shop: tuple[Path, Config], api: Api) -> None:
    clock = api.server.clock
    real = clock._wall
    before = api.decide("u01")["ts_ms"]
    clock._wall = lambda: real() + YEAR_MS
    assert api.decide("u01")["ts_ms"] - before < 60_000
    assert api.client.get("/health/ready").json()["why"] == ["the clock jumped"]
    coded(api)
    assert api("POST", "/v1/redemptions:reserve", claim(1), 503)["code"] == "clock_skewed"
    clock._wall = real
    assert api.decide("u01")["ts_ms"] - before < 60_000
    assert api.client.get("/health/ready").status_code == 200
    with serving(api.server.settings.work, shop[1]) as again:
        assert again.server.clock.next_ms() - before < 60_000
