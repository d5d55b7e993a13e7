"""A shop with privacy.epsilon: the story runs, the ledger is kept, no customer reaches the others."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from own_shop import write_shop
from polars.testing import assert_frame_equal

from promolift.core.experiments.experiment_design import HOLDOUT
from promolift.extensions.encoder.results import ForecastNote
from promolift.extensions.privacy.privacy_audit import AuditSize, audit
from promolift.extensions.privacy.private_release import private_effect
from promolift.extensions.privacy.results import PrivacyLedger, privacy_spent
from promolift.foundation.errors import BudgetError
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.pages.rendering import render_page
from promolift.shop.pipeline.shop import Shop
from promolift.shop.reports.chapters.summary import render
from promolift.shop.reports.processing_record import processing_page
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.effects import load_response
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job

STORY = ("ingest", "profile", "effect", "plan", "message", "evaluate", "report")
PRIVATE = {"epsilon": 8.0, "delta": 1e-5}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = write_shop(tmp_path_factory.mktemp("shop"))
    made = Shop(folder / "events.csv", products=folder / "products.csv", customers=folder / "customers.csv",
                promotions=folder / "promotions.csv", work=folder / "work")  # fmt: skip
    private = made.with_settings(privacy=PRIVATE, value={"margin_rate": 0.7}, discount={"prior_response": 2.5})
    private.step(*STORY, out=folder / "out")
    return private


def test_the_story_runs_on_what_was_released_and_the_ledger_knows_it(shop: Shop) -> None:
    purposes = [each.purpose for each in PrivacyLedger.load(shop.store).spends]
    assert purposes[:3] == ["profiles", "profiles", "price"]
    assert {*purposes[3:]} <= {"effect"}  # which a test of this file may have published before
    stands = privacy_spent(shop.config, shop.store)
    assert stands is not None
    assert 0 < stands.spent < 8
    found = load_response(shop.store)
    assert found.level == "assumed"
    assert "privacy.epsilon" in found.why
    note = Plan.load(shop.store).note
    assert note.cost_cents <= 1.5 * note.budget_cents
    assert (shop.store.root / "../out/report.html").exists()


def test_the_same_again_spends_nothing_and_new_data_are_refused(shop: Shop) -> None:
    before, plan = PrivacyLedger.load(shop.store), Plan.load(shop.store).note
    shop.step("profile", "effect", "plan", again=True)
    assert PrivacyLedger.load(shop.store) == before
    assert Plan.load(shop.store).note.price == plan.price
    other = shop.with_settings(plan={"asof": "2024-05-01"})
    with raises_code("privacy_budget_exceeded", "privacy", "profiles", kind=BudgetError):
        other.step("ingest", "profile")
    assert PrivacyLedger.load(shop.store) == before


def test_another_s_profile_is_made_from_the_made_up_log_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the passes over what customers share read is the table `stand_in`."""
    from promolift.shop.pipeline.steps import profile

    read = list[int]()
    first = profile.run_pass

    def seen(job: object, shard: int, *rest: object) -> object:
        read.append(shard)
        return first(job, shard, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(profile, "run_pass", seen)
    shop.step("profile", again=True)
    assert set(read) == {profile.SYNTHETIC_SHARD}
    names = set(shop.store.frame("stand_in")["customer_id"])
    assert not names & set(shop.store.frame("profiles")["customer_id"])


def test_what_has_no_private_form_is_refused(shop: Shop) -> None:
    for key, parts in {
        "plan.limits": {"plan": {"limits": ("count <= 5",)}},
        "[fairness] band": {"fairness": {"band": 0.2, "columns": ("a",)}},
    }.items():
        with raises_code("settings_conflict", "privacy.epsilon", key):
            shop.with_settings(**parts)


def test_the_effect_of_a_plan_may_be_published_with_its_noise(shop: Shop) -> None:
    """20,000 customers of whom a tenth is held out; the second call gives the same figure and spends nothing more."""
    rng = np.random.default_rng(3)
    held = rng.random(20_000) < 0.1
    value = rng.gamma(0.5, 4000, 20_000) * np.where(held, 1.0, 1.2)
    rows = pl.DataFrame({"arm": np.where(held, HOLDOUT, "plan"), "value": value})
    evidence = SimpleNamespace(customers=rows, release=SimpleNamespace(policy_id="plan", campaign_id="c"))
    job = Job(shop.config, shop.store, lambda *_: None)
    first, again = (private_effect(job, evidence) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    found = first.figures["private_effect"]
    assert isinstance(found, dict)
    cut = np.minimum(value, found["cap_cents"])
    assert abs(found["cents"] - (cut[~held].mean() - cut[held].mean())) < 4 * (found["high"] - found["low"])
    assert "noise included" in first.text
    assert [each.purpose for each in PrivacyLedger.load(shop.store).spends].count("effect") == 1
    assert privacy_spent(shop.config, shop.store).spent <= 8.001  # type: ignore[union-attr]


def test_the_record_of_processing_shows_the_ledger(shop: Shop) -> None:
    spent = privacy_spent(shop.config, shop.store)
    for language in ("en", "zh"):
        with use_locale(language):  # type: ignore[arg-type]
            html = render_page(processing_page(shop.config, None, spent))
        assert f"{spent.spent:.2f}" in html  # type: ignore[union-attr]
        assert ("Epsilon by purpose" in html) == (language == "en")


def test_a_shop_without_a_catalogue(tmp_path: Path) -> None:
    folder = write_shop(tmp_path, customers=60, weeks=30)
    with Shop(folder / "events.csv", work=folder / "work") as made:
        private = made.with_settings(privacy=PRIVATE, consent={"default": True})
        private.step("ingest", "profile", "effect", "plan")
        assert made.store.frame("affinities").filter("bought")["buy_prob"].is_finite().all()


@pytest.mark.slow
def test_an_encoder_s_steps_are_in_the_ledger_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("opacus")
    folder = write_shop(tmp_path, customers=130, weeks=40)
    with Shop(folder / "events.csv", products=folder / "products.csv", work=folder / "work") as made:
        private = made.with_settings(privacy=PRIVATE, encoder={"depth": 1, "epochs": 1})
        private.step("ingest", "profile")
        note = ForecastNote.load(private.store)
        assert note.missing is None
        spends = PrivacyLedger.load(private.store).spends
        assert [each.purpose for each in spends] == ["profiles", "profiles", "encoder"]
        assert spends[-1].steps == 16
        private.step("profile", again=True)
        assert PrivacyLedger.load(private.store).spends == spends
        assert private.store.frame("outlook").height == 130
        found = audit(Job(private.config, private.store, lambda *_: None), AuditSize(80, 2))
        assert set(found.figures["attacks"]) == {  # type: ignore[call-overload]
            "sums", "nearest", "encoder_loss", "encoder_lira",
        }  # fmt: skip
        assert PrivacyLedger.load(private.store).spends == spends  # an attack releases nothing


def test_without_opacus_the_reason_is_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from promolift.extensions.encoder import pipeline_step

    monkeypatch.setattr(pipeline_step, "find_spec", lambda name: None if name == "opacus" else name)
    with_one = shop.with_settings(encoder={"depth": 1})
    assert "promolift[privacy]" in (
        pipeline_step.unavailable_reason(Job(with_one.config, shop.store, lambda *_: None)) or ""
    )


@pytest.mark.slow
def test_who_knows_all_but_the_coins_learns_no_more_than_the_ledger_says(shop: Shop) -> None:
    found = audit(Job(shop.config, shop.store, lambda *_: None), AuditSize(240, 2))
    sums = found.figures["attacks"]["sums"]  # type: ignore[index]
    assert sums["n"] == 240
    assert sums["epsilon_low"] <= privacy_spent(shop.config, shop.store).spent  # type: ignore[union-attr]
    assert "noisy sums: members are known with AUC" in found.text
    nearest = found.figures["attacks"]["nearest"]  # type: ignore[index]
    assert nearest["epsilon_low"] <= privacy_spent(shop.config, shop.store).spent  # type: ignore[union-attr]
    assert nearest["n"] == 240


@pytest.mark.slow
def test_who_reads_messages_and_pages_learns_what_the_attack_says(shop: Shop, tmp_path: Path) -> None:
    """Without epsilon too; a page that left with small cells is named, and so is the difference to the one of now."""
    shop.step(*STORY, out=tmp_path)  # other tests, whatever their order, made some of it again
    plain = shop.with_settings(privacy={"epsilon": None, "least_cell": 10})
    job = Job(plain.config, plain.store, lambda *_: None)
    found = audit(job, AuditSize(240, 2)).figures
    assert found["attacks"] == {}
    assert found["messages"]["asked"] > 10  # type: ignore[index]
    best = found["plan_file"]["attributes"][0]  # type: ignore[index]
    assert best["low"] <= best["advantage"] <= best["high"]
    assert found["pages"]["rebuilt"] == []  # type: ignore[index]
    loose = plain.with_settings(privacy={"epsilon": None, "least_cell": 1})
    before = render(build_story(Job(loose.config, loose.store, lambda *_: None)))
    said = audit(job, AuditSize(240, 2), [before])
    assert any(each["way"] == "printed" for each in said.figures["pages"]["rebuilt"])  # type: ignore[index]
    assert "printed numbers give away fewer than 10 customers" in said.text


def test_an_attack_without_anything_to_attack(tmp_path: Path) -> None:
    folder = write_shop(tmp_path, customers=60, weeks=30)
    with Shop(folder / "events.csv", work=folder / "work") as made:
        made.step("ingest", "profile")
        with raises_code("nothing_to_audit"):
            audit(Job(made.config, made.store, lambda *_: None), AuditSize(240, 2))


@pytest.mark.slow
def test_whoever_is_absent_changes_nothing_of_the_others_but_through_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two shops that differ in one customer, with the same numbers out of every release: profiles, what is expected,
    candidates and decisions of all others are the same.
    """
    seen: dict[tuple[int, ...], np.ndarray] = {}

    def same(total: np.ndarray, clip: float, noise: float) -> np.ndarray:
        return seen.setdefault(total.shape, total + 1.0)

    monkeypatch.setattr("promolift.extensions.privacy.results.add_noise", same)
    folder, found = write_shop(tmp_path, customers=80, weeks=30), []
    events, who = pl.read_csv(folder / "events.csv", infer_schema=False), "C000007"
    for rows in (events, events.filter(pl.col("user_id") != who)):
        assert rows["user_id"].n_unique() == 80 - len(found)
        rows.write_csv(folder / "events.csv")
        with Shop(folder / "events.csv", products=folder / "products.csv", work=folder / f"work{len(found)}") as made:
            settings = {"privacy": PRIVATE, "value": {"margin_rate": 0.7}, "discount": {"prior_response": 2.5}}
            made.with_settings(**settings, consent={"default": True}).step("ingest", "profile", "effect", "plan")
            found.append([made.store.frame(name).filter(pl.col("customer_id") != who) for name in EACH])
    for first, second in zip(*found, strict=True):
        assert first.height > 70
        by = [column for column in KEYS if column in first.columns]
        assert_frame_equal(first.sort(by), second.sort(by), check_exact=True)


EACH = ("profiles", "affinities", "candidates", "decisions")
KEYS = ("customer_id", "asof_ms", "target", "offer_id")
