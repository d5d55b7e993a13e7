"""Laws of the decision rule: the order of the rules, exact probabilities, replay, and shards that change nothing."""

import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.decisions import (
    Option,
    ReleaseTerms,
    decide,
    in_holdout,
    record_decision,
    replay_decision,
    withheld_offers,
)
from promolift.core.decisions.decision_rule import LARGEST_GAIN_REASON, NOTHING_PAYS_REASON
from promolift.foundation.errors import ConfigError
from promolift.foundation.hashing import hash_unit, hash_units
from promolift.foundation.tables.schemas import DECISIONS

TS = 1_700_000_000_000
SCHEMA = {
    "customer_id": pl.String,
    "offer_id": pl.String,
    "gain_cents": pl.Float64,
    "cost_cents": pl.Float64,
    "why_not": pl.String,
}


SCHEMA_OF_OPTION = ["offer_id", "gain_cents", "cost_cents", "why_not", "charge_cents"]


def release(**change):
    return ReleaseTerms(**{"campaign_id": "cmp", "policy_id": "pol", "policy_version": "1", "price": 1.0, **change})


def table(rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def consent(names, refused=()):
    rows = [(name, name not in refused, "the customer said no" if name in refused else None) for name in names]
    return pl.DataFrame(
        rows, schema={"customer_id": pl.String, "may_send": pl.Boolean, "reason": pl.String}, orient="row"
    )


def one(rows, rel=None, allowed=("a",)):
    return decide(table(rows), consent(allowed), rel or release(), TS).row(0, named=True)


def without_interval(option):
    """An option of a release whose offers have no interval to be drawn by, which a table names all the same."""
    assert option.get("draw_start") is option.get("draw_share") is None
    return {name: each for name, each in option.items() if not name.startswith("draw_")}


def market(n, seed=0, offers=4):
    key = [(f"c{i}", f"o{k}") for i in range(n) for k in range(offers)]
    u = hash_units((seed, "gain"), key), hash_units((seed, "cost"), key), hash_units((seed, "closed"), key)
    closed = ["resting" if x < 0.3 else None for x in u[2]]
    return table(
        [(c, o, 200 * g - 50, 90 * cost, why) for (c, o), g, cost, why in zip(key, u[0], u[1], closed, strict=True)]
    )


def test_the_best_offer_at_the_price_by_hand():
    rows = [("a", "x", 50.0, 10.0, None), ("a", "y", 70.0, 40.0, None), ("a", "none", 0.0, 0.0, None)]
    assert one(rows)["offer_id"] == "x"  # 50 - 10 beats 70 - 40
    assert one(rows, release(price=0.5))["offer_id"] == "y"  # 70 - 20 beats 50 - 5
    assert one(rows, release(price=5.0))["offer_id"] == "none"  # 50 - 50 is not above 0
    got = one(rows)
    assert got["reason"] == LARGEST_GAIN_REASON
    assert one(rows, release(price=5.0))["reason"] == NOTHING_PAYS_REASON
    assert got["decision_id"].startswith("dec_")
    assert [without_interval(each) for each in got["candidates"]] == [
        {"offer": "x", "gain_cents": 50.0, "cost_cents": 10.0, "charge_cents": 0.0, "prob": 1.0},
        {"offer": "y", "gain_cents": 70.0, "cost_cents": 40.0, "charge_cents": 0.0, "prob": 0.0},
        {"offer": "none", "gain_cents": 0.0, "cost_cents": 0.0, "charge_cents": 0.0, "prob": 0.0},
    ]


def test_ties_go_to_the_cheaper_and_then_to_the_first_name():
    assert one([("a", "x", 50.0, 20.0, None), ("a", "y", 40.0, 10.0, None)])["offer_id"] == "y"
    assert one([("a", "y", 40.0, 10.0, None), ("a", "x", 40.0, 10.0, None)])["offer_id"] == "x"


def test_consent_comes_before_everything():
    rows = [("a", "x", 50.0, 10.0, None), ("a", "y", 70.0, 40.0, "resting")]
    for rel in (release(), release(explore=1.0), release(holdout_share=0.999)):
        for allowed in (consent(["a"], ["a"]), consent(["b"])):
            got = decide(table(rows), allowed, rel, TS).row(0, named=True)
            assert (got["offer_id"], got["propensity"], got["holdout"]) == ("none", 1.0, None)
            assert got["reason"].startswith("consent: ")
            assert [row["offer"] for row in got["ineligible"]] == ["x", "y"]
            assert got["ineligible"][1]["reason"] == "resting"
            assert all(row["reason"] for row in got["ineligible"])


def test_closed_offers_are_never_given_and_say_why():
    rows = [("a", "x", 50.0, 10.0, "resting"), ("a", "y", 20.0, 1.0, None), ("a", "z", None, 1.0, None)]
    got = one(rows)
    assert got["offer_id"] == "y"
    assert got["ineligible"] == [
        {"offer": "x", "reason": "resting"},
        {"offer": "z", "reason": "its gain or cost is not known"},
    ]
    assert one(rows[:1])["reason"] == "eligibility: no offer is open to this customer"
    flagged = table(rows[1:2]).with_columns(eligible=pl.lit(False))
    assert decide(flagged, consent("a"), release(), TS)["offer_id"].to_list() == ["none"]


@given(st.integers(0, 2**32), st.integers(0, 30), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.4]))
@cases(40)
def test_any_split_and_row_order_give_the_same_decisions(seed, cut, explore, held):
    rows, allowed = market(30, seed), consent([f"c{i}" for i in range(30)], ["c3", "c4"])
    rel = release(explore=explore, holdout_share=held, seed=seed)
    whole = decide(rows, allowed, rel, TS)
    names = sorted(f"c{i}" for i in range(30))
    shards = [rows.filter(pl.col("customer_id").is_in(part)).reverse() for part in (names[:cut], names[cut:])]
    assert pl.concat(decide(s, allowed.reverse(), rel, TS) for s in shards).equals(whole)
    assert DECISIONS.check(whole).height == 30


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 0.999))
@cases(40)
def test_probabilities_sum_to_one_and_every_open_offer_keeps_its_floor(seed, explore, held):
    decided = decide(
        market(20, seed),
        consent([f"c{i}" for i in range(20)]),
        release(explore=explore, holdout_share=held, seed=seed),
        TS,
    )
    for row in DECISIONS.check(decided).iter_rows(named=True):
        prob = {c["offer"]: c["prob"] for c in row["candidates"]}
        assert sum(prob.values()) == pytest.approx(1.0, abs=1e-12)
        assert row["propensity"] == prob[row["offer_id"]]
        assert min(prob.values()) >= (1 - held) * explore / len(prob) - 1e-12
        assert prob["none"] >= held - 1e-12
        closed = {c["offer"] for c in row["ineligible"]}
        assert not closed & set(prob)
        assert len(closed | set(prob)) == 5


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.4]))
@cases(30)
def test_a_decision_can_be_replayed_bit_for_bit(seed, explore, held):
    rel = release(explore=explore, holdout_share=held, seed=seed, price=hash_unit(seed) * 2)
    allowed = consent([f"c{i}" for i in range(20)], ["c1", "c2"])
    for row in decide(market(20, seed), allowed, rel, TS).iter_rows(named=True):
        assert replay_decision(row, rel) == row


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.37, 1.0]), st.sampled_from([0.0, 0.4]))
@cases(30)
def test_one_customer_at_a_time_and_all_at_once_are_decided_alike(seed, explore, held):
    rel = release(explore=explore, holdout_share=held, seed=seed, price=hash_unit(seed) * 2)
    charge = hash_units((seed, "charge"), range(80)) * 40
    rows = market(20, seed).with_columns(charge_cents=pl.Series(charge))
    whole = decide(rows, consent([f"c{i}" for i in range(20)], ["c5"]), rel, TS)
    for row in whole.iter_rows(named=True):
        who, mine = row["customer_id"], rows.filter(pl.col("customer_id") == row["customer_id"])
        options = [Option(*each) for each in mine.select(SCHEMA_OF_OPTION).iter_rows()]
        refusal = "the customer said no" if who == "c5" else None
        alone = record_decision(who, options, refusal, rel, TS)
        row["candidates"] = [without_interval(each) for each in row["candidates"]]
        assert alone._asdict() == row


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.37, 1.0]))
@cases(30)
def test_what_was_withheld_is_what_the_same_draws_give_without_a_holdout(seed, explore):
    rel = release(explore=explore, holdout_share=0.4, seed=seed, price=hash_unit(seed) * 2)
    rows, allowed = market(40, seed), consent([f"c{i}" for i in range(40)], ["c5"])
    rows = rows.with_columns(charge_cents=pl.Series(hash_units((seed, "charge"), range(160)) * 40))
    made = decide(rows, allowed, rel, TS)
    free = decide(rows, allowed, rel.model_copy(update={"holdout_share": 0.0}), TS)
    held = made.filter(pl.col("holdout"))["customer_id"]
    wanted = free.filter(pl.col("customer_id").is_in(held.implode()), pl.col("offer_id") != "none")
    assert withheld_offers(made, rel).equals(wanted.select("customer_id", "ts_ms", "offer_id").sort("customer_id"))


def test_replay_notices_a_changed_record_or_release():
    rows = [("a", "x", 50.0, 10.0, None), ("a", "y", 70.0, 40.0, None)]
    row = one(rows)
    changed = [each | ({"gain_cents": 99.0} if each["gain_cents"] == 70.0 else {}) for each in row["candidates"]]
    assert replay_decision({**row, "candidates": changed}, release())["offer_id"] == "y"
    assert replay_decision(row, release(price=0.0))["offer_id"] != row["offer_id"]
    assert replay_decision({**row, "offer_id": "y"}, release()) != {**row, "offer_id": "y"}
    with raises_code("release_differs", "policy_version", "'1'", "'2'"):
        replay_decision(row, release(policy_version="2"))


def test_logged_propensities_are_the_real_frequencies():
    n, rel = 6000, release(explore=0.6, holdout_share=0.2, seed=5)
    rows = [(f"c{i}", offer, gain, 10.0, None) for i in range(n) for offer, gain in (("x", 50.0), ("y", 30.0))]
    decided = decide(table(rows), consent([f"c{i}" for i in range(n)]), rel, TS)
    share = dict(decided["offer_id"].value_counts(normalize=True).rows())
    expected = {"x": 0.8 * 0.6, "y": 0.8 * 0.2, "none": 0.8 * 0.2 + 0.2}
    for row in decided.head(50).iter_rows(named=True):
        assert row["propensity"] == pytest.approx(expected[row["offer_id"]])
    for offer, p in expected.items():
        assert share[offer] == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5)
    assert decided["holdout"].mean() == pytest.approx(0.2, abs=0.02)
    # exploring is drawn independently of who is held out: within the holdout everybody gets none
    assert set(decided.filter(pl.col("holdout"))["offer_id"]) == {"none"}
    drawn = decided.filter(~pl.col("holdout"))
    assert drawn.filter(pl.col("offer_id") == "y").height / drawn.height == pytest.approx(0.2, abs=0.025)
    assert set(drawn.filter(pl.col("offer_id") == "y")["reason"]) == {"exploration: drawn by hash to learn from it"}


def test_inverse_weighting_with_the_log_recovers_a_policy_s_value_where_the_plain_mean_is_fooled():
    n, rel = 6000, release(explore=0.5, holdout_share=0.3)
    rows = [(f"c{i}", o, g, 10.0, None) for i in range(n) for o, g in (("x", 60.0 if i % 3 else 12.0), ("y", 40.0))]
    decided = decide(table(rows), consent([f"c{i}" for i in range(n)]), rel, TS)
    # reward of y is 5 for every third customer, to whom y is given far more often, and 1 for the others
    third = decided["customer_id"].str.slice(1).cast(pl.Int64) % 3 == 0
    reward, is_y = pl.Series([5.0 if t else 1.0 for t in third]), decided["offer_id"] == "y"
    assert ((is_y * reward) / decided["propensity"]).mean() == pytest.approx(7 / 3, abs=0.25)
    assert reward.filter(is_y).mean() > 3


def test_the_holdout_stays_the_same_in_every_campaign_of_a_salt():
    names = [f"c{i}" for i in range(300)]
    first, second = release(holdout_share=0.3), release(holdout_share=0.3, campaign_id="other", seed=9, price=3.0)
    assert [in_holdout(n, first) for n in names] == [in_holdout(n, second) for n in names]
    salted = release(holdout_share=0.3, holdout_salt="2025")
    assert [in_holdout(n, first) for n in names] != [in_holdout(n, salted) for n in names]
    wider = release(holdout_share=0.5)
    assert all(in_holdout(n, wider) for n in names if in_holdout(n, first))


def test_ids_differ_by_customer_campaign_version_and_moment_and_a_retry_keeps_them():
    rows, allowed = market(50), consent([f"c{i}" for i in range(50)])
    runs = [
        decide(rows, allowed, release(), TS),
        decide(rows, allowed, release(policy_version="2"), TS),
        decide(rows, allowed, release(campaign_id="other"), TS),
        decide(rows, allowed, release(), TS + 1),
    ]
    assert pl.concat(runs)["decision_id"].n_unique() == 200
    assert decide(rows, allowed, release(), TS).equals(runs[0])


@pytest.mark.parametrize(
    ("rows", "code", "facts"),
    [
        ([("a", "x", float("nan"), 1.0, None)], "value_invalid", ("'a'", "'x'", "nan")),
        ([("a", "x", 1.0, -1.0, None)], "value_invalid", ("'a'", "'x'", "-1.0")),
        ([("a", "x", 1.0, 1.0, None)] * 2, "rows_duplicate", ("'a'", "['x', 'x']")),
        ([(None, "x", 1.0, 1.0, None)], "value_missing", ("customer None", "'x'")),
        ([("a", None, 1.0, 1.0, None)], "value_missing", ("'a'", "[None]")),
    ],
)
def test_impossible_candidates_are_named(rows, code, facts):
    with raises_code(code, *facts):
        one(rows)


def test_two_consents_are_no_consent_and_missing_columns_are_named():
    with raises_code("rows_duplicate", "consent", "customer_id"):
        decide(table([("a", "x", 1.0, 1.0, None)]), consent(["a", "a"]), release(), TS)
    with raises_code("column_missing", "['cost_cents']"):
        decide(table([]).drop("cost_cents"), consent([]), release(), TS)
    with raises_code("setting_unknown", "promolift.toml", "'explor'", "'explore'", kind=ConfigError):
        ReleaseTerms.parse({"explor": 0.1}, "promolift.toml")


def test_nobody_asked_for_and_a_customer_with_only_none():
    assert decide(table([]), consent([]), release(), TS).schema == DECISIONS.empty().schema
    assert one([("a", "none", 0.0, 0.0, None)])["offer_id"] == "none"
