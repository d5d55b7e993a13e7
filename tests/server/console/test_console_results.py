"""Results are what learning wrote; days that are left out count in neither group, and every page says them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from console_helpers import CONFIG, Shop, opened
from judged_shop import case, judged

from promolift.core.decisions.decision_rule import LineEffect
from promolift.foundation.time.clock import DAY_MS, HOUR_MS
from promolift.server.ledger.records import Annotation
from promolift.server.tasks.learning_task import exclude_days
from promolift.shop.feedback.policy_earnings import earned_numbers
from promolift.shop.feedback.policy_verdict import numbers_of

CAMPAIGN = CONFIG.plan.campaign
FAIR = "Fair <script>alert(1)</script>"


@pytest.fixture(scope="module")
def learned() -> dict[str, Any]:
    """What learning finds in a shop whose truth is known."""
    found = judged(case())
    return json.loads(json.dumps(numbers_of(found) | earned_numbers(found, "UTC")))  # type: ignore[no-any-return]


@pytest.fixture
def live(folder: Path) -> Iterator[Shop]:
    """A server whose plan decides."""
    with opened(folder, demo=True) as found:
        yield found


def keep(shop: Shop, learned: dict[str, Any]) -> None:
    """As a run of learning leaves it."""
    folder = shop.server.settings.work / "serve" / "learn" / CAMPAIGN
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "learn.json").write_text(json.dumps(learned), encoding="utf-8")


def test_before_anything_was_measured_the_page_says_so(live: Shop) -> None:
    viewer = live.person("viewer")
    assert "Nothing was measured yet" in viewer.get("/results")
    viewer.get("/results/export", 404)
    live.api("GET", f"/v1/campaigns/{CAMPAIGN}/results", status=404)


def test_a_test_that_is_too_small_says_so_alike_on_results_and_today(live: Shop, learned: dict[str, Any]) -> None:
    sizes = {"customers": {"policy": 1900, "holdout": 200}, "predicted_per_customer": 18.0}
    small = learned | sizes | {"answer": "not shown", "detectable_per_customer": 1800.0}
    keep(live, small)
    viewer = live.person("viewer")
    said = (
        "A test of this size shows a gain of $18.00 per customer in four of five cases; the plan expects $0.18. "
        "To see that much takes about 21,000,000 customers"  # 2,100 x 100 x 100
    )
    assert said in viewer.json("/results")["head"]["sentence"]
    assert said in viewer.json("/")["big"]["sentence"]
    keep(live, small | {"detectable_per_customer": 17.0})
    assert "takes about" not in viewer.json("/results")["head"]["sentence"] + viewer.json("/")["big"]["sentence"]
    keep(live, small | {"predicted_per_customer": -3.0})
    assert "takes about" not in viewer.json("/results")["head"]["sentence"]
    keep(live, small | {"answer": "higher"})
    assert "takes about" not in viewer.json("/results")["head"]["sentence"]


def test_the_page_shows_what_learning_found(live: Shop, learned: dict[str, Any]) -> None:
    keep(live, learned)
    viewer = live.person("viewer")
    page = viewer.json("/results")
    kinds = {each["id"]: each for each in page["blocks"] if each["kind"] == "figure"}
    assert {"months", "calibration", "segments", "lab"} <= kinds.keys()
    months = kinds["months"]["spec"]["rows"]
    assert [row["value"] for row in months] == [each["alone"]["value"] for each in learned["months"]]
    names = {each["name"] for each in learned["lab"] if each["value"] is None}
    gaps = len(names) + 2  # what each play earned, where none was drawn, and what business as usual would have
    assert sum(each["kind"] == "gap" for each in page["blocks"]) == gaps
    total = next(tile for tile in page["tiles"] if tile["label"] == "Earned")
    assert total["value"] == page["head"]["value"]
    assert live.api("GET", f"/v1/campaigns/{CAMPAIGN}/results") == learned
    text = viewer.get("/results/export?kind=csv")
    assert len(text.splitlines()) == 1 + len(learned["months"]) + len(learned["weeks"])
    assert json.loads(viewer.get("/results/export?kind=json")) == learned


def test_what_each_play_earned_stands_with_its_interval(live: Shop, learned: dict[str, Any]) -> None:
    effect = {"arm": "save-5", "group": "absent", "net_cents": 90.0, "net_se_cents": 50.0, "window_cents": 150.0,
              "window_se_cents": 50.0, "cost_cents": 20.0, "pays": 0.96, "state": "give",
              "evidence": "randomised"}  # fmt: skip
    drawn, read = (LineEffect.model_validate(effect | more) for more in ({"n_arm": 40, "n_none": 50}, {"arm": "other"}))
    effects = [each.model_dump(mode="json") for each in (drawn, read)]
    keep(live, learned | {"proposal": {"release": {"effects": effects}}})
    page = live.person("viewer").json("/results")
    (play,) = [each for each in page["blocks"] if each["title"] == "By play"]
    (row,) = play["data"]["grid"]["rows"]
    assert row[0] == "absent"
    assert row[2:] == ["40 / 50", "+$1.50 ($0.52 to $2.48)", "96\N{NO-BREAK SPACE}%"]


def test_an_older_file_of_learning_does_not_break_the_page(live: Shop, learned: dict[str, Any]) -> None:
    keep(live, {name: value for name, value in learned.items() if name not in ("months", "weeks", "drivers", "lab")})
    assert "Nothing was measured yet" in live.person("viewer").get("/results")


def test_a_note_is_text_and_days_left_out_are_said_on_every_page(live: Shop) -> None:
    editor, approver = live.person("editor"), live.person("approver")
    editor.post("/results/annotate", first="2026-03-03", text=FAIR)
    editor.post("/results/annotate", 403, first="2026-03-03", last="2026-03-05", text="Down", excluded="yes")
    approver.post("/results/annotate", first="2026-03-03", last="2026-03-05", text=FAIR, excluded="yes")
    approver.post("/results/annotate", 422, first="2026-03-05", last="2026-03-03", text="back in time")
    approver.post("/results/annotate", 422, first="soon", text="no day")
    approver.post("/results/annotate", 422, first="2026-03-05", text="")
    for path in ("/", "/results", "/tests", "/live", "/plan"):
        page = approver.get(path)
        assert "2026-03-03 – 2026-03-05: Fair &lt;script&gt;" in page, path
        assert "<script>alert" not in page, path
    kept = {each["excluded"]: each for each in live.api("GET", "/v1/annotations")["data"]}
    assert (kept[False]["by"], kept[True]["by"]) == ("person editor", "person approver")
    editor.post(f"/results/notes/{kept[True]['annotation_id']}/take-back", 403)
    approver.post(f"/results/notes/{kept[True]['annotation_id']}/take-back")
    assert "count in no result" not in approver.get("/")
    editor.post("/results/notes/none/take-back", 404)
    assert live.api("GET", "/v1/audit:verify")["holds"]


def test_the_days_that_are_left_out_are_those_of_the_shops_zone() -> None:
    down = Annotation.model_validate({"first": "2026-03-03", "last": "2026-03-03", "text": "x", "excluded": True})
    noted = down.model_copy(update={"excluded": False})
    start = 1_772_496_000_000 - 8 * HOUR_MS  # 3 March 2026 in Shanghai
    rows = pl.DataFrame({"ts_ms": [start - 1, start, start + DAY_MS - 1, start + DAY_MS]})
    assert exclude_days(rows, [down, noted], "Asia/Shanghai")["ts_ms"].to_list() == [start - 1, start + DAY_MS]
    assert exclude_days(rows, [noted], "Asia/Shanghai").height == 4


def test_changes_stand_on_the_timeline_with_who_made_them(live: Shop, learned: dict[str, Any]) -> None:
    keep(live, learned)
    approver = live.person("approver")
    approver.post("/live/pause", paused="yes")
    changes = approver.json("/results")["changes"]
    assert changes[0]["text"] == f"person approver: changed the campaign: {CAMPAIGN}"
    assert [each["place"] for each in changes] == list(range(len(changes), 0, -1))


def test_learning_is_started_from_the_page(live: Shop) -> None:
    editor = live.person("editor")
    editor.post("/results/learn")
    assert editor.json("/results?part=run")["run"]["status"] in ("running", "nothing proposed")
    live.person("viewer").post("/results/learn", 403)
