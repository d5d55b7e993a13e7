"""Segments of a shop that nobody has seen: who may get what by its rules, and what plan, page and limits say of it."""

from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.core import decisions
from promolift.core.customers.consent import may_send
from promolift.foundation.i18n.formatting import use_locale
from promolift.shop.pipeline.planning.segment_decisions import decide_segment, write_decisions
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import moments

SEGMENTS = [
    {"name": "frequent", "name_zh": "高频客户", "where": "top_weekday <= 3"},
    {"name": "staff", "where": "occupation = 'teacher' or value_decile = 10"},
    {"name": "nobody", "where": "orders_16w < 0"},
]
MENU = [
    {"id": "all-10", "benefit": {"type": "percent_off", "percent": 10}, "scope": "category"},
    {
        "id": "member-20", "benefit": {"type": "percent_off", "percent": 20}, "scope": "category",
        "segments": ["frequent"],
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    files = {name: own_files / f"{name}.csv" for name in ("events", "products", "customers", "promotions")}
    made = Shop(**files, work=tmp_path_factory.mktemp("work"))
    return made.with_settings(
        segment=SEGMENTS, menu=MENU, rules={"excluded_segments": ["staff"]}, value={"margin_rate": 0.5},
        offer={"proposals": "none"}, plan={"budget_cents": 20_000, "min_evidence": "assumed"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def plan(shop: Shop) -> Plan:
    return shop.plan()


def members(shop: Shop, rule: pl.Expr) -> set[str]:
    at = moments(shop._job).asof
    return set(shop._job.profiled.profiles(at).filter(rule)["customer_id"])


def test_a_menu_line_for_a_segment_is_open_to_its_customers_alone(shop: Shop, plan: Plan) -> None:
    often = members(shop, pl.col("top_weekday") <= 3)
    lines = plan.candidates.filter(pl.col("menu_id") == "member-20")
    assert 0 < len(often) < plan.note.customers
    assert set(lines.filter("eligible")["customer_id"]) <= often
    outside = lines.filter(~pl.col("customer_id").is_in(list(often)))
    assert outside.height
    assert set(outside["why_not"].drop_nulls()) <= {"only for frequent", "the shop gives no offers to this segment"}
    assert plan.chosen.height
    assert set(plan.chosen.filter(pl.col("menu_id") == "member-20")["customer_id"]) <= often


def test_customers_of_an_excluded_segment_get_nothing(plan: Plan) -> None:
    staff = plan.candidates.filter(pl.col("segments").list.contains("staff"))["customer_id"].unique()
    assert 0 < staff.len() < plan.note.customers
    assert plan.chosen.filter(pl.col("customer_id").is_in(staff.implode())).is_empty()


def test_a_limit_per_segment_is_kept(shop: Shop, plan: Plan) -> None:
    def given(some: Plan) -> int:
        return some.chosen.filter(pl.col("segments").list.contains("frequent")).height

    before = given(plan)
    assert before > 1
    limits = ["few: count[segments=frequent] <= 1", "count[segments=nobody] <= 1"]
    assert given(shop.plan(limits=limits)) == 1


def test_counts_stand_in_profile_plan_and_page_in_both_languages(shop: Shop, tmp_path: Path) -> None:
    often = len(members(shop, pl.col("top_weekday") <= 3))
    few = shop.with_settings(privacy={"least_cell": 10}).step("plan").figures["segments"][0]  # type: ignore[index]
    assert few["customers"] == often
    assert [few[name] for name in ("treated", "gain_cents", "cost_cents")] == [None] * 3, "fewer than 10 got one"
    shop = shop.with_settings(privacy={"least_cell": often + 1})
    assert "frequent too few to be printed" in shop.step("plan").text
    assert f"fewer than {often + 1}" in shop.report(tmp_path).read_text(encoding="utf-8")
    shop = shop.with_settings(privacy={"least_cell": 1})
    told = shop.step("profile")
    assert f"Segments: frequent {often}," in told.text
    assert [row["segment"] for row in told.figures["segments"]] == ["frequent", "staff", "nobody"]  # type: ignore[attr-defined]
    done = shop.step("plan")
    assert f"frequent {often} (" in done.text
    with use_locale("zh"):
        assert f"高频客户{often}位（" in shop.step("plan").text
    page = shop.report(tmp_path).read_text(encoding="utf-8")
    assert "Your segments" in page
    assert "nobody" in page


def test_strategic_rules_are_kept_and_their_cost_is_the_gain_without_them_less_that_with_them(shop: Shop) -> None:
    rules = [
        {"name": "members first", "rule": "pin", "menu": ["member-20"], "segments": ["frequent"]},
        {"name": "wide", "rule": "at_least", "menu": ["all-10"], "share": 0.95},
    ]
    free = shop.plan()
    plain = float(free.chosen["gain_cents"].sum())
    pinned = shop.with_settings(strategic=rules[:1], plan={"budget_cents": 20_000}).plan()
    (cost,) = pinned.note.strategic
    assert cost.cost_cents == pytest.approx(max(plain - pinned.note.gain_cents, 0.0), abs=0.02 * plain)
    mine = pinned.chosen.filter(pl.col("segments").list.contains("frequent"))
    assert set(mine["menu_id"]) == {"member-20"}
    assert cost.offers == mine.height
    assert 0.0 <= pinned.note.gap < 1.0
    assert pinned.note.bound_cents >= pinned.note.planned_cents - 1e-6
    assert f"Rule members first (pin): {mine.height} such offers" in str(pinned)
    assert pinned.note.worth == pinned.note.price
    assert abs(pinned.note.worth) <= pinned.note.gain_cents / pinned.note.cost_cents + 0.5  # a pin is worth no more
    at_own = pinned.curve.at(pinned.note.budget_cents)
    assert at_own is not None
    assert at_own.gain_cents == pytest.approx(pinned.note.planned_cents, rel=0.05)
    wide = shop.with_settings(strategic=rules[1:]).plan()
    share = wide.chosen.filter(pl.col("menu_id") == "all-10").height / wide.chosen.height
    assert share >= 0.95
    lost = max(plain - wide.note.gain_cents, 0.0)
    assert wide.note.strategic[0].cost_cents == pytest.approx(lost, abs=0.02 * plain)
    with use_locale("zh"):
        assert "规则wide（最低占比）" in str(wide)


def test_a_segment_is_decided_on_at_once_as_each_of_its_customers_alone(shop: Shop, tmp_path: Path) -> None:
    plan, at_ms = shop.plan(), moments(shop._job).asof + 5
    job = shop._job
    made = decide_segment(job, "frequent", at_ms)
    often = members(shop, pl.col("top_weekday") <= 3)
    assert set(made["customer_id"]) == often
    consent = may_send(plan.candidates["customer_id"], job.clean.people, plan.note.consent)
    for row in made.iter_rows(named=True):
        own = plan.candidates.filter(pl.col("customer_id") == row["customer_id"])
        (alone,) = decisions.decide(own, consent, plan.note.terms, at_ms).iter_rows(named=True)
        assert {name: row[name] for name in alone} == alone
    kept = plan.decisions.join(made, on=["customer_id", "offer_id", "propensity"], how="semi")
    assert kept.height == made.height  # at another moment the plan decides alike
    for name in ("some.parquet", "some.csv"):
        done = write_decisions(job, "frequent", at_ms, tmp_path / name)
        assert done.figures["decisions"] == made.height
    assert pl.read_parquet(tmp_path / "some.parquet").equals(made)
    assert pl.read_csv(tmp_path / "some.csv")["offer_id"].to_list() == made["offer_id"].to_list()
    assert decide_segment(job, None, at_ms).height == plan.note.customers
    work, file = shop.store.root, tmp_path / "new" / "all.parquet"
    with pytest.raises(SystemExit) as stop:
        main(["decide", "--config", str(work / "promolift.toml"), "--work", str(work), "--out", str(file)])
    assert not stop.value.code
    assert pl.read_parquet(file).height == plan.note.customers
    with raises_code("segment_unknown", "gold", "frequent"):
        decide_segment(job, "gold", at_ms)
    with raises_code("file_type_unsupported", "some.xlsx", ".parquet", ".csv"):
        write_decisions(job, None, at_ms, tmp_path / "some.xlsx")


def test_a_rule_that_refuses_most_customers_asks_before_it_plans(shop: Shop) -> None:
    most = [*SEGMENTS, {"name": "most", "where": "value_decile >= 3"}]
    barred = shop.with_settings(segment=most, rules={"excluded_segments": ["most"]})
    with raises_code("rule_refuses_most", "'most'", "rules.confirmed"):
        barred.plan()
    barred.with_settings(rules={"confirmed": ["most"]}).plan()
