"""The archive of evidence: the same bytes twice, replayed elsewhere, and what was changed is named."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code
from own_shop import write_shop
from planned_shop import CAMPAIGN as PLANNED_CAMPAIGN
from planned_shop import planned_shop, shop_config
from serve_helpers import CAMPAIGN, PEOPLE, Api

from promolift.foundation.hashing import sha256_of
from promolift.foundation.storage.local_store import Store
from promolift.server.settings import ServeSettings
from promolift.server.tasks import audit_archive
from promolift.server.tasks.audit_archive import Archive
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.work_folder.run_context import Job

POLICY = f"/v1/campaigns/{CAMPAIGN}"


def write(folder: Path, config: Config, to: Path, served: bool = True) -> Path:
    server = ServeSettings.parse({"work": folder}, "test") if served else None
    with Store(folder) as store:
        audit_archive.write_archive(Job(config, store, lambda *_: None), CAMPAIGN, server, to)
    return to


@pytest.fixture
def archive(shop: tuple[Path, Config], folder: Path, tmp_path: Path) -> Path:
    """Of the plan alone."""
    return write(folder, shop[1], tmp_path / "there" / "evidence.zip", served=False)


def forged(archive: Path, name: str, content: bytes) -> Path:
    """The archive with another file and the hash that belongs to it, as somebody who knows the form would make it."""
    found = audit_archive.read_archive(archive)
    manifest = found.manifest.model_copy(update={"files": {**found.manifest.files, name: sha256_of(content)}})
    archive.write_bytes(audit_archive.pack_archive(Archive(manifest, {**found.files, name: content})))
    return archive


def table(archive: Path, name: str) -> pl.DataFrame:
    return audit_archive.read_frame(audit_archive.read_archive(archive), name)


def test_the_same_state_gives_the_same_bytes_and_they_are_replayed(
    shop: tuple[Path, Config], folder: Path, archive: Path, tmp_path: Path
) -> None:
    again = write(folder, shop[1], tmp_path / "again.zip", served=False)
    assert again.read_bytes() == archive.read_bytes()
    done = audit_archive.verify_archive(archive)
    assert done.figures["sound"] is True
    assert str(done.figures["mark"]) in done.text
    certificate = json.loads(audit_archive.read_archive(archive).files["certificate.json"])
    assert certificate["gain_cents"] <= certificate["bound_cents"] <= certificate["gain_cents"] * 1.05
    for name in ("candidates.parquet", "decisions.parquet"):
        assert not set(table(archive, name)["customer_id"]) & set(PEOPLE)
    assert (folder / "evidence.key").stat().st_mode & 0o077 == 0


def test_a_changed_byte_or_another_packing_is_refused(archive: Path) -> None:
    raw = archive.read_bytes()
    place = raw.index(b"{", raw.index(b"certificate.json"))
    archive.write_bytes(raw[:place] + b" " + raw[place + 1 :])
    with raises_code("file_unreadable", str(archive), "CRC-32", "certificate.json"):
        audit_archive.verify_archive(archive)
    archive.write_bytes(raw + b"x")
    with raises_code("file_changed", str(archive)):
        audit_archive.verify_archive(archive)
    archive.write_bytes(b"none")
    with raises_code("file_unreadable", str(archive), "BadZipFile"):
        audit_archive.verify_archive(archive)


def test_a_file_that_was_left_out_or_put_in_is_named(archive: Path) -> None:
    found = audit_archive.read_archive(archive)
    less = {name: content for name, content in found.files.items() if name != "plan.json"}
    more = {**less, "words.json": b"{}"}
    archive.write_bytes(audit_archive.pack_archive(Archive(found.manifest, more)))
    with raises_code("evidence_invalid", "plan.json", "words.json"):
        audit_archive.verify_archive(archive)


def test_a_decision_that_does_not_follow_is_named_though_all_hashes_fit(archive: Path) -> None:
    rows = table(archive, "decisions.parquet")
    at = int(rows.select((pl.col("holdout").eq(False) & (pl.col("offer_id") != "none")).arg_max()).item())
    other = rows.with_columns(offer_id=pl.when(pl.int_range(pl.len()) == at).then(pl.lit("none")).otherwise("offer_id"))
    forged(archive, "decisions.parquet", audit_archive.to_parquet(other))
    with raises_code("evidence_invalid", f"decisions.parquet: {rows['decision_id'][at]}: 'none'"):
        audit_archive.verify_archive(archive)
    likelier = rows.with_columns(propensity=pl.when(pl.int_range(pl.len()) == at).then(0.123).otherwise("propensity"))
    forged(archive, "decisions.parquet", audit_archive.to_parquet(likelier))
    with raises_code("evidence_invalid", rows["decision_id"][at], "propensity 0.123", " 0.8"):
        audit_archive.verify_archive(archive)


def test_the_archive_of_a_plan_that_was_drawn_says_how_likely_each_draw_was(tmp_path: Path) -> None:
    config = planned_shop(tmp_path, 1, shop_config(plan={"test_share": 0.1, "budget_cents": 40_000, "seed": 5}))
    to = tmp_path / "drawn.zip"
    with Store(tmp_path) as store:
        audit_archive.write_archive(Job(config, store, lambda *_: None), PLANNED_CAMPAIGN, None, to)
    assert audit_archive.verify_archive(to).figures["sound"] is True
    rows = table(to, "decisions.parquet")
    at = int(rows.select((pl.col("offer_id") != "none").arg_max()).item())
    right = f"by its terms {rows['propensity'][at]}"
    likelier = rows.with_columns(propensity=pl.when(pl.int_range(pl.len()) == at).then(0.9).otherwise("propensity"))
    forged(to, "decisions.parquet", audit_archive.to_parquet(likelier))
    with raises_code("evidence_invalid", rows["decision_id"][at], "propensity 0.9", right):
        audit_archive.verify_archive(to)


def test_a_certificate_or_a_gain_that_was_made_prettier_is_named(archive: Path) -> None:
    raw = archive.read_bytes()
    told = json.loads(audit_archive.read_archive(archive).files["certificate.json"])
    forged(
        archive, "certificate.json", audit_archive.to_json_bytes(told | {"bound_cents": told["bound_cents"] * 0.999})
    )
    with raises_code("evidence_invalid", "certificate.json: bound_cents"):
        audit_archive.verify_archive(archive)
    archive.write_bytes(raw)
    rows = table(archive, "candidates.parquet")
    better = rows.with_columns(gain_cents=pl.col("gain_cents") * 1.01)
    forged(archive, "candidates.parquet", audit_archive.to_parquet(better))
    with raises_code("evidence_invalid", "certificate.json: ", "gain_cents is"):
        audit_archive.verify_archive(archive)


def test_tests_are_judged_again_and_who_was_erased_is_not_in(
    api: Api, shop: tuple[Path, Config], folder: Path, tmp_path: Path
) -> None:
    release = api("GET", POLICY)["release"]
    design = {"name": "try", "arms": {"a": 0.5, "b": 0.5}, "control": "a", "primary": "value_cents",
              "planned_customers": 60}  # fmt: skip
    api("PUT", f"{POLICY}/experiment", {"design": design, "releases": {"a": release, "b": release}})
    for number, who in enumerate(PEOPLE):
        made = api.decide(who)
        said = {"customer_id": who, "decision_id": made["decision_id"], "value_cents": 100 + 7 * (number % 9)}
        api("POST", "/v1/feedback", {"events": [{"kind": "purchase", "message_id": f"m{number}", **said}]}, None)
    api("POST", f"/v1/privacy/{PEOPLE[3]}:erase", {})
    to = write(folder, shop[1], tmp_path / "served.zip")
    done = audit_archive.verify_archive(to)
    assert done.figures["tests"] == 1
    found = audit_archive.read_archive(to)
    assert found.manifest.left_out == 1
    assert found.manifest.audit_rows > 3
    served, name = table(to, "served.parquet"), next(n for n in found.files if n.startswith("tests/") and "json" in n)
    assert served["customer_id"].n_unique() == table(to, name.replace("json", "parquet")).height < len(PEOPLE)
    test = json.loads(found.files[name])
    assert test["registered_ms"] <= test["first_ms"]
    assert test["verdicts"]
    raw = to.read_bytes()
    test["verdicts"][0]["answer"] = "higher"
    forged(to, name, audit_archive.to_json_bytes(test))
    with raises_code("evidence_invalid", f"{name}: verdicts: [0].answer", "'higher'"):
        audit_archive.verify_archive(to)
    to.write_bytes(raw)
    late = json.loads(found.files[name]) | {"registered_ms": test["first_ms"] + 1}
    forged(to, name, audit_archive.to_json_bytes(late))
    with raises_code("evidence_invalid", f"{name}: ", "registered"):
        audit_archive.verify_archive(to)
    to.write_bytes(raw)
    lines = found.files["audit.jsonl"].decode().splitlines()
    lines[1] = lines[1].replace('"actor": "', '"actor": "x', 1)
    forged(to, "audit.jsonl", ("\n".join(lines) + "\n").encode())
    with raises_code("evidence_invalid", "audit.jsonl: row 2"):
        audit_archive.verify_archive(to)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Path]:
    """A shop that planned ten weeks before its log ends, and what it learned of that plan since."""
    folder = write_shop(tmp_path_factory.mktemp("learned"), customers=600, weeks=30)
    made = Shop(folder / "events.csv", products=folder / "products.csv", customers=folder / "customers.csv",
                work=folder / "work")  # fmt: skip
    last = pl.read_csv(folder / "events.csv", infer_schema=False)["event_time"].str.to_datetime().max()
    asof = f"{last - timedelta(weeks=10):%Y-%m-%d}"  # type: ignore[operator]
    shop = made.with_settings(plan={"asof": asof, "holdout_share": 0.4, "test_share": 0.0}, value={"margin_rate": 0.6},
                              discount={"prior_response": 2.0})  # fmt: skip
    shop.step("ingest", "profile", "effect", "plan")
    judged = Request(None, None, folder / "work", folder / "out", shop.config, LearnSettings(window_days=21))
    run_learn(judged, lambda *_: None)
    return shop, folder


def test_the_verdict_of_the_plan_is_in_the_archive_with_its_protocol_and_replayed(
    learned: tuple[Shop, Path], tmp_path: Path
) -> None:
    shop, folder = learned
    job, to = Job(shop.config, shop.store, lambda *_: None), tmp_path / "evidence.zip"
    audit_archive.write_archive(job, shop.config.plan.campaign, None, to, folder / "out")
    assert audit_archive.verify_archive(to).figures["tests"] == 1
    test, said = (
        json.loads(audit_archive.read_archive(to).files["verdict.json"]),
        json.loads((folder / "out/learn.json").read_text()),
    )
    assert test["window_days"] == 21
    assert test["design"]["holdout_share"] == 0.4
    assert test["registered_ms"] <= test["first_ms"]
    assert test["verdicts"][0]["answer"] == said["answer"]
    assert test["verdicts"][0]["lift"] == pytest.approx(said["gain_per_customer"])
    raw = to.read_bytes()
    test["verdicts"][0]["lift"] += 1
    forged(to, "verdict.json", audit_archive.to_json_bytes(test))
    with raises_code("evidence_invalid", "verdict.json: verdicts: [0].lift"):
        audit_archive.verify_archive(to)
    to.write_bytes(raw)
    rows = table(to, "verdict.parquet")
    other = rows.with_columns(arm=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("other")).otherwise("arm"))
    forged(to, "verdict.parquet", audit_archive.to_parquet(other.with_columns(arm=pl.col("arm").reverse())))
    with raises_code("evidence_invalid", "verdict.json: cus_"):
        audit_archive.verify_archive(to)


def test_a_verdict_that_is_not_of_this_plan_s_own_events_stays_out(learned: tuple[Shop, Path], tmp_path: Path) -> None:
    shop, folder = learned
    said = json.loads((folder / "out" / "learn.json").read_text())
    job, to = Job(shop.config, shop.store, lambda *_: None), tmp_path / "evidence.zip"
    for change in ({"policy_version": "another"}, {"gain_per_customer": said["gain_per_customer"] + 1}):
        (tmp_path / "learn.json").write_text(json.dumps(said | change))
        found = audit_archive.write_archive(job, shop.config.plan.campaign, None, to, tmp_path)
        assert "learn.json is not in it" in found.text
        assert "verdict.json" not in found.figures["files"]  # type: ignore[operator]
