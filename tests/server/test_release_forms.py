"""A release is the plan's own files; one that another version made, or a plan that was never finished, is refused."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code

pytest.importorskip("fastapi")
from planned_shop import planned_shop, shop_config
from serve_helpers import CAMPAIGN, planned, released, serving, settings

from promolift.core.decisions.decision_rule import AUDIENCE_DRAW_REASON
from promolift.foundation.storage.local_store import Store
from promolift.server.decisions.live_release import load_release
from promolift.server.ledger.records import LearningTask
from promolift.server.tasks.learning_task import read_decisions
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.pipeline import fingerprint
from promolift.shop.pipeline.release import build_release, release_id_of
from promolift.shop.pipeline.steps import plan as step
from promolift.shop.results.plan import Plan, PlanTables
from promolift.shop.results.work_folder.active_release import load_approved_release, save_approved_release
from promolift.shop.results.work_folder.run_context import Job


def rewritten(root: Path, release_id: str, **changed: object) -> str:
    """The release with another manifest, under the id that belongs to it."""
    home = root / "serve" / "releases"
    values = json.loads((home / release_id / "manifest.json").read_text("utf-8")) | changed
    text = json.dumps(values, sort_keys=True)
    (home / release_id).rename(home / release_id_of(text))
    (home / release_id_of(text) / "manifest.json").write_text(text, "utf-8")
    return release_id_of(text)


def test_the_same_plan_gives_the_same_release_and_its_numbers_are_the_plans(folder: Path) -> None:
    with Store(folder) as store:
        release_id = build_release(store)
        assert build_release(store) == release_id
        plan = Plan.load(store)
        candidates = plan.candidates
    live = load_release(folder, release_id)
    assert live.terms == plan.note.terms
    for who in candidates["customer_id"].unique().sort().head(9):
        mine = candidates.filter((pl.col("customer_id") == who) & (pl.col("offer_id") != "none"))
        options = live.rows.options(live.span(who))
        wanted = mine.select("offer_id", "gain_cents", "cost_cents", "charge_cents").fill_null(0.0).rows()
        assert [(o.offer_id, o.gain_cents, o.cost_cents, o.charge_cents) for o in options] == wanted
        assert [o.closed is None for o in options] == mine["open"].to_list()


@pytest.mark.parametrize("changed", [{"form": 1}, {"terms": {}}, {"response": {}}], ids=["form", "terms", "more"])
def test_a_release_of_another_version_is_refused_with_the_remedy(folder: Path, changed: dict[str, object]) -> None:
    with Store(folder) as store:
        old = rewritten(folder, build_release(store), **changed)
    with raises_code("file_version_unsupported", old, "`promolift plan`", "POST /v1/releases"):
        load_release(folder, old)


def test_a_changed_file_is_noticed(folder: Path) -> None:
    with Store(folder) as store:
        release_id = build_release(store)
    path = folder / "serve" / "releases" / release_id / "candidates.parquet"
    pl.read_parquet(path).with_columns(pl.col("gain_cents") * 2).write_parquet(path)
    with raises_code("file_changed", str(path)):
        load_release(folder, release_id)


def test_a_newly_approved_release_makes_the_plan_anew_and_no_step_before_it() -> None:
    config = settings()
    assert fingerprint(config, "effect", "approved") == fingerprint(config, "effect")
    assert len({fingerprint(config, "plan", each) for each in ("", "one", "two")}) == 3


def test_an_approved_release_of_another_campaign_is_not_taken_over_and_old_factors_are_left_out(folder: Path) -> None:
    with Store(folder) as store:
        terms = Plan.load(store).note.terms
        save_approved_release(store, terms)
        assert load_approved_release(store, CAMPAIGN) == terms
        assert load_approved_release(store, "cmp_other") is None
        store.save_json("release", terms.model_dump(mode="json") | {"recalibration": {"ratio": 0.5}})
        assert load_approved_release(store, CAMPAIGN) == terms


def test_decisions_of_a_release_that_is_gone_stop_neither_exports_nor_what_a_customer_may_ask(
    shop: tuple[Path, Config], folder: Path
) -> None:
    with serving(folder, shop[1]) as api:
        release_id = released(api)
        made, key = api.decide("u01"), api.key
    shutil.rmtree(folder / "serve" / "releases" / release_id)
    with serving(folder, shop[1]) as api:
        api.key = key
        (row,) = pl.read_csv(api("GET", "/v1/exports/decisions.csv").content).to_dicts()
        assert (row["decision_id"], row["candidates"], row["terms"]) == (made["decision_id"], "[]", "{}")
        reply = api("POST", "/v1/privacy/u01:export")["tables"]["decisions"]
        assert [each["candidates"] for each in reply] == [[]]
        with api.server.ledger.read() as db, raises_code("terms_gone", "all 1 decisions"):
            read_decisions(db, LearningTask(ledger="", work=folder, campaign_id=CAMPAIGN))
        api("POST", "/v1/privacy/u01:erase")
        assert api("GET", "/v1/exports/decisions.csv").status_code == 200


def test_words_of_another_plan_are_not_released(folder: Path) -> None:
    with Store(folder) as store:
        plan = Plan.load(store)
        Plan.keep(store, plan.note, PlanTables([plan.candidates], plan.chosen, [plan.decisions], plan.frontier))
        with raises_code("step_missing", "`promolift message`"):
            build_release(store)


def test_in_a_test_no_offer_is_given_but_by_draws(tmp_path: Path) -> None:
    stated = {"test_share": 0.1, "budget_cents": 40_000, "min_evidence": "randomised", "risk": {"rule": "lower"}}
    config = shop_config(plan=stated)
    planned_shop(tmp_path, 2, config)
    with Store(tmp_path) as store:
        plan = Plan.load(store)
        opened = plan.candidates.filter(pl.col("open") & (pl.col("offer_id") != "none"))
        given = plan.decisions.filter(pl.col("offer_id") != "none")
        draws = store.frame("draws").explode("arms").unnest("arms", separator=":").drop_nulls("arms:arm")
    assert plan.note.terms.by_interval
    listed = opened.select("customer_id", pl.col("menu_id").alias("arm"), "prob")
    assert listed.sort("customer_id", "arm").equals(  # what may be drawn, and how likely; nothing else is open
        draws.select("customer_id", pl.col("arms:arm").alias("arm"), pl.col("arms:prob").alias("prob"))
        .join(plan.decisions.filter(pl.col("holdout").is_not_null()), on="customer_id", how="semi")
        .sort("customer_id", "arm")
    )
    assert (opened["charge_cents"] < opened["gain_cents"]).all()  # and whatever is believed of it, it is given
    assert set(given["reason"]) == {AUDIENCE_DRAW_REASON}
    assert plan.note.limits == ()
    assert [each.name for each in plan.note.assumptions] == ["message_effect"]  # it is expected to lose


def test_what_was_shown_to_pay_is_given_within_the_limits_and_nothing_is_drawn_beside_them(tmp_path: Path) -> None:
    """Limits may be stated once draws have told: draws cannot keep them, what is given can."""
    config = shop_config(plan={"test_share": 0.1, "budget_cents": 40_000, "min_evidence": "randomised"})
    planned_shop(tmp_path, 2, config)
    with Store(tmp_path) as store:
        terms = Plan.load(store).note.terms
        shown = [each.model_copy(update={"state": "give", "prob": 0.9, "net_cents": 500.0}) for each in terms.effects]
        save_approved_release(store, terms.model_copy(update={"effects": tuple(shown), "policy_version": "2"}))
        for limits, most in (((), None), (("count <= 5",), 5)):
            plain = {"test_share": 0.0, "limits": limits}
            again = config.model_copy(update={"plan": config.plan.model_copy(update=plain)})
            step.run(Job(again, store, lambda *_: None))
            plan = Plan.load(store)
            assert plan.note.treated == most if most else plan.note.treated > 5


def test_a_plan_that_was_interrupted_is_not_read(tmp_path: Path) -> None:
    planned(tmp_path)
    with Store(tmp_path) as store:
        plan = Plan.load(store)
        tables = PlanTables([plan.candidates], plan.chosen, [plan.decisions.drop("seed")], plan.frontier)
        broken = tables._replace(decisions="not a table")  # type: ignore[arg-type]
        with pytest.raises(AttributeError):
            Plan.keep(store, plan.note, broken)
        with raises_code("step_missing", "`promolift plan`"):
            build_release(store)
