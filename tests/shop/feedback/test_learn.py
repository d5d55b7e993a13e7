"""`promolift learn` on a shop whose truth is known: the verdict holds it, and where nothing can be known it says so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code
from judged_shop import START, Case, case, judged, losing, two_weeks

from promolift.cli.application import main
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.feedback.next_release import acceptance_blockers
from promolift.shop.feedback.policy_verdict import JudgedEvidence


@pytest.fixture(scope="module")
def shop() -> Case:
    return case()


@pytest.fixture(scope="module")
def found(shop: Case) -> JudgedEvidence:
    return judged(shop)


def test_the_verdict_and_its_last_day_hold_the_truth(shop: Case, found: JudgedEvidence) -> None:
    verdict, last = found.verdict, found.looks[-1]
    assert verdict.lift is not None
    assert verdict.answer == "higher"
    assert abs(verdict.lift.lift - shop.truth) < 2.5 * verdict.lift.se
    assert shop.truth > 3 * verdict.lift.se  # or nothing would be tested
    assert last.total == pytest.approx(verdict.total)
    assert last.low == pytest.approx(verdict.total_low)
    assert 0 < found.looks[0].total < last.total


def test_margin_is_revenue_less_goods_and_a_refund_takes_both_back(shop: Case, found: JudgedEvidence) -> None:
    bought = shop.events.filter(ts_ms=shop.events["ts_ms"].max()).head(1)
    refund = bought.with_columns(kind=pl.lit("refund"), ts_ms=pl.col("ts_ms") + 1)
    less = judged(replace(shop, events=pl.concat([shop.events, refund])))
    cost = shop.products.filter(product_id=bought["product_id"][0])["cost_cents"][0]
    margin = bought["revenue_cents"][0] - bought["quantity"][0] * cost
    sums = [each.evidence.customers["value"].sum() for each in (found, less)]
    assert sums[0] - sums[1] == pytest.approx(margin)


def test_every_decision_and_event_is_accounted_for(shop: Case, found: JudgedEvidence) -> None:
    joined = found.evidence.joined
    assert sum(joined.outcome_counts.values()) == shop.events.height
    assert sum(joined.decision_counts.values()) == shop.decisions.height


def test_calibration_compares_each_quintile_with_its_own_holdout(found: JudgedEvidence) -> None:
    assert len(found.quintiles) == 5
    assert [f.predicted for f in found.quintiles] == sorted(f.predicted for f in found.quintiles)
    assert sum(f.inside for f in found.quintiles) >= 4
    assert found.quintiles[-1].realised > found.quintiles[0].realised


@pytest.mark.parametrize(("holdout", "explore"), [(0.1, 0.0), (0.25, 0.4), (0.5, 0.05)])
def test_holdout_and_exploration_are_read_from_the_probabilities(holdout: float, explore: float) -> None:
    each = judged(case(400, explore, holdout), least=2).evidence
    assert (each.release.holdout_share, each.release.explore) == (pytest.approx(holdout), pytest.approx(explore))
    assert each.salt_known


def test_a_holdout_by_an_unknown_salt_is_not_handed_on_by_a_machine() -> None:
    each = judged(case(400, holdout_salt="secret"), least=2)
    assert not each.evidence.salt_known
    assert "salt" in "".join(acceptance_blockers(each))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path]:
    """A losing policy's decisions and events as files, and a work folder that knows what goods cost."""
    shop, folder = losing(), tmp_path_factory.mktemp("learn")
    shop.decisions.write_parquet(folder / "decisions.parquet")
    shop.events.write_csv(folder / "events.csv")
    with Store(folder / "work") as store:
        store.save("products", shop.products)
    return shop, folder


def run(folder: Path, *more: str) -> Path:
    """The verb itself; returns its folder."""
    out = folder / "out"
    named = {"decisions": "decisions.parquet", "events": "events.csv", "work": "work", "out": "out"}
    options = [part for key, name in named.items() for part in (f"--{key}", str(folder / name))]
    with pytest.raises(SystemExit) as end:
        main(["learn", *options, "--window-days", "7", *more])
    assert end.value.code in (0, None), "the verb failed"
    return out


def test_a_losing_policy_is_called_so_and_without_draws_nothing_is_proposed(files: tuple[Case, Path]) -> None:
    shop, folder = files
    (folder / "out").mkdir()
    for name in ("release.json", "proposal.json"):
        (folder / "out" / name).touch()
    out = run(folder, "--auto")
    written = json.loads((out / "learn.json").read_text("utf-8"))
    assert written["answer"] == "lower"
    assert written["low"] < shop.truth < written["high"]
    assert shop.truth < 0
    assert written["proposal"] is None
    gone = ("release.json", "proposal.json")  # yesterday's answer must not pass for today's
    assert not any((out / name).exists() for name in gone)
    page = (out / "learn.html").read_text("utf-8")
    said = ("Did the offers earn", "What to do next", "Stop the offers", "keeps what every plan draws")
    assert all(each in page for each in said)


def test_tables_in_hand_teach_what_their_files_do(files: tuple[Case, Path], tmp_path: Path) -> None:
    shop, folder = files
    found = {}
    for name, decisions, events in (
        ("files", folder / "decisions.parquet", folder / "events.csv"), ("tables", shop.decisions, shop.events),
    ):  # fmt: skip
        asked = LearnSettings(window_days=7)
        request = Request(decisions, events, folder / "work", tmp_path / name, folder / "none.toml", asked)
        run_learn(request, lambda *_: None)
        found[name] = (tmp_path / name / "learn.json").read_text("utf-8")
        assert not [*(tmp_path / name).glob("*.parquet")]
    assert found["tables"] == found["files"]


def test_the_verb_reads_settings_and_answers_as_json(
    files: tuple[Case, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = files[1] / "promolift.toml"
    config.write_text('[data]\nsource = "complete-journey"\n[plan]\ncampaign = "spring"\n', encoding="utf-8")
    run(files[1], "--config", str(config), "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["proposal"] is None
    assert "text" not in printed
    with pytest.raises(SystemExit) as end:
        main(["learn", "--config", str(files[1] / "nowhere.toml")])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "[file_not_found]" in said
    assert "nowhere.toml" in said


@pytest.mark.parametrize(
    ("fault", "code", "facts"),
    [
        (lambda c: replace(c, decisions=c.decisions.with_columns(holdout=False)), "holdout_missing", []),
        (
            lambda c: replace(c, events=c.events.filter(pl.col("ts_ms") < START + 4 * DAY_MS)),
            "outcome_window_open",
            ["7 days", "3.0 days"],
        ),
        (lambda c: replace(c, decisions=c.decisions.head(60)), "too_few_customers", []),
        (lambda c: replace(c, events=c.events.with_columns(customer_id=pl.lit("x"))), "ids_unmatched", []),
        (lambda c: replace(c, decisions=c.decisions.with_columns(propensity=0.5)), "propensity_invalid", []),
        (lambda c: replace(c, events=c.events.drop("revenue_cents")), "column_missing", ["revenue_cents"]),
        (lambda c: replace(c, events=c.events.with_columns(ts_ms=pl.lit("noon"))), "value_invalid", ["'noon'"]),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused_with_the_remedy(shop: Case, fault: Any, code: str, facts: list[str]) -> None:
    with raises_code(code, *facts):
        judged(fault(shop))


def test_where_costs_are_unknown_revenue_is_judged_and_no_machine_accepts(shop: Case) -> None:
    each = judged(replace(shop, products=shop.products.head(3)))
    assert each.evidence.measure == "revenue"
    assert "only revenue" in "".join(acceptance_blockers(each))
    rated = judged(replace(shop, products=shop.products.head(0)), rate=0.4)
    assert (rated.evidence.measure, "stated margin rate" in rated.evidence.why) == ("margin", True)


def test_customers_lost_from_an_arm_take_every_answer_back(shop: Case) -> None:
    lost = shop.decisions.filter(~(pl.col("holdout") & (pl.int_range(pl.len()) % 3 == 0)))
    each = judged(replace(shop, decisions=lost))
    assert (each.verdict.answer, each.verdict.evidence) == ("cannot say", "assumed")
    assert acceptance_blockers(each)


def test_a_drift_of_the_effect_is_seen_between_two_weeks_of_decisions(shop: Case) -> None:
    two = two_weeks(shop, changed=False)
    calm = judged(two)
    assert [(d.kind, d.drifted) for d in calm.drifts] == [("predictions", False), ("effects", False)]
    early = judged(replace(two, events=two.events.filter(pl.col("ts_ms") < START + 8 * DAY_MS)))
    assert "of the plan" in early.verdict.rule
    assert early.verdict.n_arm < calm.verdict.n_arm
    assert early.looks[-1].low == pytest.approx(early.verdict.total_low)
    changed = judged(two_weeks(shop, changed=True))
    assert {d.kind: d.drifted for d in changed.drifts}["effects"]
    assert not acceptance_blockers(changed), (
        "what was drawn before a change counts less; a proposal is made all the same"
    )
