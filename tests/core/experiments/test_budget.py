"""A policy whose money runs out, valued before launch; the best policy of a class with what it is worth at least."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

import promolift
from promolift.cli.application import main
from promolift.core.experiments.off_policy.budgeted_policy import PricedPolicy, budgeted_value
from promolift.core.experiments.off_policy.estimators import OffPolicySettings, read_log
from promolift.core.experiments.off_policy.policy_tree import learn_policy

ROWS = 3000
QUICK = OffPolicySettings(draws=200)


def log(seed: int = 1, rows: int = ROWS) -> pl.DataFrame:
    """A coupon adds 4 to what the keen spend, nothing to the others, and costs 1; rarely given to the keen."""
    rng = np.random.default_rng(seed)
    keen = (rng.random(rows) < 0.5).astype(float)
    prob = np.where(keen == 1, 0.3, 0.6)
    coupon = rng.random(rows) < prob
    return pl.DataFrame(
        {
            "customer": [f"c{n}" for n in range(rows)],
            "offer_id": np.where(coupon, "coupon", "none"),
            "propensity": np.where(coupon, prob, 1 - prob),
            "keen": keen,
            "noise": rng.normal(size=rows),
            "reward": 5 + 4 * keen * coupon + rng.normal(size=rows),
            "cost": coupon * 1.0,
        }
    )


def test_a_budget_ends_the_policy_when_its_own_money_is_gone() -> None:
    """Everybody is given a coupon: 1500 pay for half of the arrivals, whatever the log spent on them."""
    past = promolift.Log(log(), features=["keen"])
    half = past.value("always:coupon", QUICK, budget=ROWS / 2)
    assert half.lasts == pytest.approx(0.5, abs=0.01)
    assert half.spent == pytest.approx(ROWS / 2)
    assert half.low < 5 + 2 * 0.5 < half.high
    assert half.high - half.low < 0.5
    assert not half.naive_low <= 6 <= half.naive_high  # its money lasts for all the few that agree
    whole = past.value("always:coupon", QUICK, budget=1e9)
    assert whole.lasts == 1
    assert whole.value == pytest.approx(whole.unlimited)
    plain = past.value("always:coupon")
    assert plain.low < whole.value < plain.high
    nothing = past.value("always:coupon", QUICK, budget=0)
    assert nothing.spent == 0
    assert nothing.low < 5 < nothing.high
    assert "the money is gone after 50%" in str(half)


def test_a_price_spends_the_money_on_those_who_gain_most() -> None:
    frame = log()
    gains = frame.select("customer", offer_id=pl.lit("coupon"), gain=1 + 3 * pl.col("keen"), cost=pl.lit(1.0))
    found = promolift.Log(frame, features=["keen"]).value(gains, QUICK, budget=ROWS / 4)
    assert found.low < 5 + 4 * 0.25 < found.high  # a quarter of the arrivals, all of them keen
    assert found.spent == pytest.approx(ROWS / 4, rel=0.05)
    assert found.lasts > 0.9
    fixed = budgeted_value(
        read_log((frame["offer_id"] == "coupon").to_numpy() * 1, frame["reward"], frame["propensity"], frame[["keen"]]),
        frame["cost"].to_numpy(),
        PricedPolicy(
            np.column_stack([np.zeros(ROWS), 1 + 3 * frame["keen"]]), np.tile([0.0, 1.0], (ROWS, 1)), price=2.0
        ),
        ROWS / 2, 0, QUICK,
    )  # fmt: skip
    assert fixed.low < 5 + 4 * 0.5 < fixed.high
    assert set(fixed.price_H.tolist()) == {2.0}


def test_arrivals_are_taken_in_the_order_of_time() -> None:
    """The keen come first in time: an early end of the money costs nothing. The rows of the file are shuffled."""
    frame = log().sort("keen", descending=True).with_row_index("ts_ms").sample(fraction=1, shuffle=True, seed=3)
    found = promolift.Log(frame, features=["keen"]).value("always:coupon", QUICK, budget=ROWS / 2)
    assert found.value == pytest.approx(7, abs=0.15)
    wrong = promolift.Log(frame.drop("ts_ms"), features=["keen"]).value("always:coupon", QUICK, budget=ROWS / 2)
    assert wrong.high < 6.5


def test_what_the_log_cannot_tell_is_refused() -> None:
    past = promolift.Log(log())
    with raises_code("column_missing", "'price'", "offer_id"):
        past.value("always:coupon", budget=10, cost="price")
    with raises_code("value_invalid", "budget -1"):
        past.value("always:coupon", budget=-1)
    with raises_code("untreated_decisions_missing", "'nothing'"):
        past.value("always:coupon", budget=10, none="nothing")
    with raises_code("no_overlap"):
        past.value("always:gift", budget=10)
    with raises_code("value_missing", f"{ROWS} ", "cost"):
        promolift.Log(log().with_columns(cost=pl.lit(None))).value("always:coupon", budget=10)


@pytest.mark.parametrize("repeated", [False, True])
def test_intervals_cover_and_naive_replay_does_not(repeated: bool) -> None:
    """The money of 700 of 1,400 arrivals; the truth is known: 5 + 2 x half."""
    ours, naive = 0, 0
    for seed in range(60):
        frame = log(seed, 1400)
        if repeated:  # customers come several times, and differ
            who = np.arange(1400) % 350
            own = np.random.default_rng(seed).normal(size=350)[who]
            frame = frame.with_columns(customer=pl.Series(who), reward=pl.col("reward") + pl.Series(own))
        found = promolift.Log(frame, features=["keen"]).value("always:coupon", QUICK, budget=700)
        ours += found.low <= 6 <= found.high
        naive += found.naive_low <= 6 <= found.naive_high
    assert 52 <= ours <= 60  # 57 of 60 are expected
    assert naive <= 12


def test_the_best_policy_of_a_class_is_learned_with_what_it_is_worth_at_least() -> None:
    frame = log().with_columns(reward=pl.col("reward") - 2 * pl.col("cost"))  # worth it for the keen alone
    found = promolift.Log(frame, features=["noise", "keen"]).learn()
    assert found.learned.shown
    assert "if keen above 0" in str(found)
    assert found.learned.bound < 5 + 2 * 0.5 < found.learned.bound + 0.3
    chosen = frame.with_columns(found.frame["offer_id"].alias("given"))
    assert (chosen.filter(pl.col("keen") == 1)["given"] == "coupon").all()
    assert (chosen.filter(pl.col("keen") == 0)["given"] == "none").all()
    again = promolift.Log(frame, features=["keen"]).value(found.frame.rename({"customer_id": "customer"}))
    assert again.low < 6 < again.high


def test_the_lower_bound_holds_where_nothing_can_be_gained() -> None:
    """20 columns of noise and no effect: the bound on what is added lies above 0 in at most a few logs."""
    wrong = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(400, 20))
        action = rng.integers(0, 3, 400)
        learned = learn_policy(
            read_log(action, rng.normal(size=400), np.full((400, 3), 1 / 3), x[:, :2]), x, ["a", "b", "c"],
            [f"x{f}" for f in range(20)],
        )  # fmt: skip
        wrong += learned.shown
    assert wrong <= 5  # 1.5 of 30 are expected


def test_the_verb_values_within_a_budget_and_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log().write_parquet(tmp_path / "log.parquet")
    said = ["evaluate", "--log", str(tmp_path / "log.parquet"), "--features", "keen,noise"]
    with pytest.raises(SystemExit):
        main([*said, "--policy", "always:coupon", "--budget", "1500", "--json"])
    assert '"lasts": 0.5' in capsys.readouterr().out.replace("0.49", "0.5").replace("0.50", "0.5")
    with pytest.raises(SystemExit):
        main([*said, "--learn", "--out", str(tmp_path / "p.parquet")])
    assert "best policy of those tried" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*said, "--policy", str(tmp_path / "p.parquet")])
    assert "policy adds" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--learn"])
    assert end.value.code == 2
    said_back = capsys.readouterr().err
    assert "[option_missing]" in said_back
    assert "--log" in said_back
