"""What an auditor asks in the browser: consent, fair treatment, what is kept, whether the log holds, the archive."""

import zipfile
from io import BytesIO
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from console_helpers import Shop
from sqlalchemy import update

from promolift.core.experiments.group_gaps import GroupGap
from promolift.extensions.privacy.mechanisms.privacy_budget import Spend
from promolift.extensions.privacy.results import PrivacyLedger
from promolift.foundation.storage.local_store import Store
from promolift.server.ledger.schema import AUDIT
from promolift.shop.configuration.settings import PrivacySettings
from promolift.shop.results.fairness import FairnessNote


def finished(shop: Shop, kind: str) -> dict[str, Any]:
    """The job of a kind once it has ended."""
    for _ in range(1200):
        found = shop.app.console.jobs.last(kind)
        if found["status"] != "running":
            return dict(found)
        sleep(0.1)
    raise AssertionError(f"{kind} runs for two minutes")


def test_the_screen_stands_in_both_languages_without_a_comparison(shop: Shop, folder: Path) -> None:
    (folder / "notes" / "fairness.json").unlink()
    viewer = shop.person("viewer")
    page = viewer.get("/governance")
    for said in ("May be written to", "Not compared", "State who answers for the data", "work folder: ", "ny_349a"):
        assert said in page
    assert "takes the role editor" in page
    assert len(page) < 60_000
    said = viewer.json("/governance")
    known = sum(each["customers"] or 0 for each in said["reasons"])
    assert 0 < known <= 110
    viewer.post("/language", back="/governance", language="zh")
    zh = viewer.get("/governance")
    for text in ("治理", "可以联系", "尚未比较", "工作文件夹：", "变更日志是否完整？"):
        assert text in zh


@pytest.mark.parametrize("least", [1, 30])
def test_few_customers_are_not_counted_by_reason_where_pages_leave_the_shop(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(PrivacySettings, "printed_cell", least)
    numbers = [each["customers"] for each in shop.person("viewer").json("/governance")["reasons"]]
    assert (None in numbers) == (least > 1)
    assert all(n is None or n >= least for n in numbers)


def test_a_customer_who_says_no_to_the_server_may_not_be_written_to_on_this_screen_either(shop: Shop) -> None:
    viewer = shop.person("viewer")

    def able() -> int:
        return int(next(each["customers"] for each in viewer.json("/governance")["reasons"] if each["may"]))

    before = able()
    release = shop.api("POST", "/v1/releases", status=201)["release_id"]
    yes = [who for who, why in shop.server.decider.ensure(release).barred.items() if why is None]
    for who in yes[:3]:
        said = {"event": "Consent Updated", "userId": who, "properties": {"consent": False}, "messageId": f"no-{who}"}
        assert shop.api("POST", "/v1/track", said, status=None)["accepted"] == 1
    assert able() == before - 3


def test_what_a_comparison_found_stands_with_its_interval(shop: Shop, folder: Path) -> None:
    gap = GroupGap(group="sex=F", measure="offers", n=60, mean=0.1, others=50, others_mean=0.3, gap=-0.2, low=-0.3,
                   high=-0.1, p=0.001)  # fmt: skip
    with Store(folder) as store:
        FairnessNote(
            campaign="c", currency="USD", customers=110, columns=("sex",), gaps=(gap,), swaps=(), proxies=()
        ).keep(store)
    page = shop.person("viewer").get("/governance")
    assert "1 comparison at equal baskets; beyond chance 1 gap." in page
    assert "sex: F" in page
    assert "worse off" in page


def test_every_row_is_verified_and_a_changed_one_is_found(shop: Shop) -> None:
    viewer = shop.person("viewer")
    assert "not checked in the last hour" in viewer.get("/governance")
    viewer.post("/governance/verify")
    page = viewer.get("/governance")
    rows = viewer.json("/governance")["rows"]
    assert f"Verified up to row {rows}" in page
    assert "Last hash" in page

    def change(db: Any, some: list[None]) -> list[None]:
        db.execute(update(AUDIT).where(AUDIT.c.seq == 1).values(subject="somebody else"))
        return some

    shop.server.ledger.write(change)
    viewer.post("/governance/verify")
    assert "Row 1 does not follow" in viewer.get("/governance")


def test_a_privacy_budget_says_what_is_left(shop: Shop, folder: Path) -> None:
    viewer = shop.person("viewer")
    assert "Privacy budget" not in viewer.get("/governance")
    config = shop.server.config
    shop.server.config = config.model_copy(
        update={"privacy": config.privacy.model_copy(update={"epsilon": 3.0, "delta": 1e-6})}
    )
    with Store(folder) as store:
        PrivacyLedger(spends=(Spend(purpose="effect", at_ms=1, noise=20.0),)).keep(store)
    page = viewer.get("/governance")
    assert "Privacy budget" in page
    assert "of 3 spent" in page
    assert viewer.json("/governance")["spent"]["purposes"][0][0] == "the effect of a plan"


def test_the_record_is_a_page_to_sign(shop: Shop) -> None:
    reply = shop.person("viewer").client.get("/console/governance/record.html")
    assert reply.headers["content-disposition"].startswith("attachment")
    assert "Record of processing" in reply.text


def test_requests_of_customers_are_listed(shop: Shop) -> None:
    admin = shop.person("admin")
    admin.get("/customers/one?id=u001")
    admin.post("/customers/erase", id="u001", typed="u001")
    said = admin.json("/governance")
    assert [row["action"] for row in said["erasures"]] == ["privacy.erase"]
    assert "u001" not in {row["subject"] for row in said["erasures"]}
    assert said["tiles"][2]["value"] == "1"


@pytest.mark.slow
def test_an_admin_makes_the_archive_and_takes_it_along(shop: Shop) -> None:
    editor, admin = shop.person("editor"), shop.person("admin")
    editor.post("/governance/evidence", 403)
    admin.get("/governance/evidence.zip", 422)
    admin.get("/governance")
    admin.post("/governance/evidence")
    done = finished(shop, "evidence")
    assert done["status"] == "done", done["note"]
    reply = admin.client.get("/console/governance/evidence.zip")
    names = zipfile.ZipFile(BytesIO(reply.content)).namelist()
    assert {"manifest.json", "plan.json", "audit.jsonl"} <= set(names)
    assert done["result"]["mark"] in admin.get("/governance")
    assert editor.client.get("/console/governance/evidence.zip").status_code == 403
