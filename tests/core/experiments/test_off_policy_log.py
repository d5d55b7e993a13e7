"""A decision log on disk and policies by name or file: read, joined, valued, refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.core.experiments.off_policy.estimators import off_policy_value
from promolift.shop.feedback import decision_log as step
from promolift.shop.feedback.decision_log import Log, evaluate_log

OFFERS = ("none", "off10", "off20")
PROPENSITY = np.array([0.5, 0.3, 0.2])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """3,000 decisions; off20 pays best. A third of the customers were decided on twice."""
    generator = np.random.default_rng(0)
    offer = generator.choice(3, size=3000, p=PROPENSITY)
    reward = (generator.random(3000) < np.array([0.1, 0.15, 0.3])[offer]).astype(float)
    options = json.dumps([{"offer": o, "gain_cents": 1.0, "prob": p} for o, p in zip(OFFERS, PROPENSITY, strict=True)])
    path = tmp_path / "decisions.parquet"
    pl.DataFrame(
        {
            "decision_id": [f"dec_{i}" for i in range(3000)],
            "customer_id": [f"c{i % 2000}" for i in range(3000)],
            "offer_id": [OFFERS[o] for o in offer],
            "propensity": PROPENSITY[offer],
            "candidates": [options] * 3000,
            "visits": generator.poisson(3, 3000),
            "reward": reward,
        }
    ).write_parquet(path)
    return path


def policy_file(folder: Path, **columns: object) -> str:
    pl.DataFrame(columns).write_parquet(folder / "policy.parquet")
    return str(folder / "policy.parquet")


def test_the_logged_policy_earns_what_was_logged(log: Path) -> None:
    found = evaluate_log(log, ["logged"])
    (policy,) = found.figures["policies"]
    assert policy["value"] == pytest.approx(found.figures["logged"], abs=1e-3)
    assert policy["effective_rows"] == pytest.approx(3000)


def test_a_file_by_decision_gives_what_the_arrays_give(log: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(log)
    prob = np.tile([0.2, 0.2, 0.6], (3000, 1))
    path = policy_file(
        tmp_path,
        decision_id=np.repeat(rows["decision_id"].to_numpy(), 3),
        offer_id=list(OFFERS) * 3000,
        prob=prob.ravel(),
    )
    (found,) = evaluate_log(log, [path]).figures["policies"]
    action = np.array([OFFERS.index(o) for o in rows["offer_id"]])
    arrays = off_policy_value(action, rows["reward"].to_numpy(), np.tile(PROPENSITY, (3000, 1)), prob)
    assert found["value"] == pytest.approx(arrays.value, abs=2e-3)
    assert found["low"] < 0.23 < found["high"]


def test_a_file_by_customer_holds_for_all_his_decisions(log: Path, tmp_path: Path) -> None:
    path = policy_file(
        tmp_path, customer_id=[f"c{i}" for i in range(2000)], offer_id=["off20"] * 2000, prob=[1.0] * 2000
    )
    found = {p["policy"]: p for p in evaluate_log(log, [path, "always:off20"]).figures["policies"]}
    assert found[path]["value"] == pytest.approx(found["always:off20"]["value"], abs=1e-9)


def test_several_policies_are_ranked_and_the_worst_is_called_beaten(log: Path) -> None:
    found = evaluate_log(log, ["always:none", "uniform", "always:off20"], features=["visits"])
    assert [p["policy"] for p in found.figures["policies"]] == ["always:off20", "uniform", "always:none"]
    assert found.figures["policies"][2]["beaten"]
    assert "all intervals at once" in found.text


def test_of_a_long_log_whole_customers_are_valued_and_it_is_said(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = evaluate_log(log, ["always:off20"]).figures["policies"]
    monkeypatch.setattr(step, "MAX_PROBABILITIES", 4500)  # of 9,000 probabilities
    found = evaluate_log(log, ["always:off20"])
    (part,) = found.figures["policies"]
    assert 1350 < found.figures["rows"] < 1650
    assert "3000 decisions are too many to hold: valued on 50.0% of the customers" in found.text
    assert part["low"] < whole["value"] < part["high"]
    rows = pl.read_parquet(log)
    rows.sample(fraction=1, shuffle=True, seed=1).write_parquet(log)  # the draw hangs on the customer alone
    again = evaluate_log(log, ["always:off20"])
    assert again.figures["rows"] == found.figures["rows"]
    twice = rows.filter(pl.col("customer_id").is_duplicated())["customer_id"].n_unique()
    assert twice == 1000


def test_an_offer_that_was_closed_to_some_is_refused_for_them(log: Path, tmp_path: Path) -> None:
    options = json.dumps(
        [{"offer": "none", "prob": 0.5}, {"offer": "off10", "prob": 0.5}, {"offer": "off20", "prob": 0}]
    )
    rows = pl.read_parquet(log).with_columns(
        pl.when(pl.col("offer_id") == "none").then(pl.lit(options)).otherwise("candidates").alias("candidates")
    )
    rows.write_parquet(tmp_path / "closed.parquet")
    with raises_code("no_overlap"):
        evaluate_log(tmp_path / "closed.parquet", ["always:off20"])
    assert evaluate_log(tmp_path / "closed.parquet", ["logged"]).figures["policies"]


def test_what_cannot_be_read_is_named(log: Path, tmp_path: Path) -> None:
    with raises_code("column_missing", "'margin'"):
        evaluate_log(log, ["uniform"], reward="margin")
    with raises_code("policy_unknown", "'best'"):
        evaluate_log(log, ["best"])
    with raises_code("file_not_found", "none.parquet"):
        evaluate_log(tmp_path / "none.parquet", ["uniform"])
    pl.read_parquet(log).with_columns(pl.lit(None).cast(pl.Float64).alias("reward")).write_parquet(
        tmp_path / "unsettled.parquet"
    )
    with raises_code("value_missing", "3000 of 3000", "reward"):
        evaluate_log(tmp_path / "unsettled.parquet", ["uniform"])


def test_a_policy_that_leaves_decisions_or_probability_open_is_named(log: Path, tmp_path: Path) -> None:
    with raises_code("policy_incomplete", "2999 of 3000"):
        evaluate_log(log, [policy_file(tmp_path, decision_id=["dec_1"], offer_id=["none"], prob=[1.0])])
    path = policy_file(
        tmp_path, customer_id=[f"c{i}" for i in range(2000)], offer_id=["off20"] * 2000, prob=[0.9] * 2000
    )
    with raises_code("probabilities_invalid", "3000 of 3000"):
        evaluate_log(log, [path])
    with raises_code("no_overlap"):
        evaluate_log(log, ["always:off50"])


def test_the_command_line_prints_the_value_and_tells_a_person_what_is_wrong(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["evaluate", "--log", str(log), "--policy", "always:off20", "--policy", "logged", "--json"])
    assert not done.value.code
    assert json.loads(capsys.readouterr().out)["policies"][0]["policy"] == "always:off20"
    with pytest.raises(SystemExit) as done:
        main(["evaluate", "--log", str(log)])
    assert done.value.code == 2


def test_a_log_with_other_names_and_no_customers_is_read_with_a_word(log: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(log).select(
        "reward", item_id=pl.col("offer_id").replace({"none": "0", "off10": "1", "off20": "2"}).cast(pl.Int64),
        propensity_score="propensity",
    )  # fmt: skip
    for name in ("public.parquet", "public.csv"):
        rows.write_parquet(tmp_path / name) if name.endswith("parquet") else rows.write_csv(tmp_path / name)
        found = evaluate_log(tmp_path / name, ["always:2"])
        (policy,) = found.figures["policies"]
        assert policy["low"] < 0.3 < policy["high"]
        assert found.figures["notes"][:2] == [
            "'item_id' is read as offer_id",
            "'propensity_score' is read as propensity",
        ]
        assert "note: no customer column" in found.text
    rows.drop("propensity_score").write_csv(tmp_path / "none.csv")
    with raises_code("column_missing", "'propensity'"):
        evaluate_log(tmp_path / "none.csv", ["always:2"])


def test_a_frame_an_array_and_a_function_say_the_same(log: Path) -> None:
    rows = pl.read_parquet(log)
    found = Log(rows, reward="reward", customer="customer_id")
    prob = np.tile([0.2, 0.2, 0.6], (3000, 1))
    long = pl.DataFrame(
        {
            "decision_id": np.repeat(rows["decision_id"].to_numpy(), 3),
            "offer_id": list(OFFERS) * 3000,
            "prob": prob.ravel(),
        }
    )
    by_frame, by_array, by_function = (found.value(each) for each in (long, prob, lambda frame: prob[: len(frame)]))
    assert by_frame.value == pytest.approx(by_array.value, abs=1e-12)
    assert by_function.value == by_array.value
    assert found.rank({"mine": long, "none": "always:none"}).order == ("mine", "none")
    assert not found.notes


def test_rows_may_stand_in_any_order_and_columns_have_any_name(log: Path) -> None:
    rows = pl.read_parquet(log).drop("candidates", "decision_id")
    plain = Log(rows).value("always:off20")
    named = rows.rename({"offer_id": "banner", "propensity": "drawn with", "reward": "margin", "customer_id": "who"})
    other = Log(named.reverse(), action="banner", propensity="drawn with", reward="margin", customer="who")
    assert other.value("always:off20").low == pytest.approx(plain.low, rel=0.05)
    with raises_code("column_missing", "'price'", "who, banner"):
        Log(named, action="price", propensity="drawn with", reward="margin")
    with raises_code("shapes_differ", "3000 x 3", "none, off10, off20"):
        Log(rows).value(np.ones((3, 3)))
