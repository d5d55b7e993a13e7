"""What is served, explained and told has the terms, dates and reason of the plan's file, as long as an offer runs."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from planned_shop import ASOF_MS, CAMPAIGN, menu, planned_shop, shop_config
from serve_helpers import Api, released, serving

from promolift.core.messages.angles import angle_holds
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS, HOUR_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.reports.plan_rows import plan_rows
from promolift.shop.results.messages import Messages, Offers
from promolift.shop.results.plan import Plan

SHOWN = ("starts", "expires")


def set_clock(api: Api, ts_ms: int) -> None:
    """The server's clock stands at a moment and goes on from there, back in time too."""
    clock = api.server.clock
    clock.behind_ms, clock._last_ms = 0, 0
    clock.behind_ms = clock.now_ms() - ts_ms


def printed_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The plan's file by customer: those with an offer."""
    with Store(folder) as store:
        plan, offers = Plan.load(store), Offers.load(store).offers
        rows = plan_rows(
            Messages.load(store).rows.with_columns(channel=pl.lit("site"), reason=pl.lit("")), plan.decisions, offers
        )
    return {row["customer_id"]: row for row in rows.filter(pl.col("status") == "offer").iter_rows(named=True)}


def ask(api: Api, who: str, language: str = "en") -> dict[str, Any]:
    found: dict[str, Any] = api(
        "POST", "/v1/decisions", {"customer_id": who, "campaign_id": CAMPAIGN, "language": language}
    )
    return found


def days_of(offer: dict[str, Any]) -> tuple[date, date]:
    first, last = (datetime.fromisoformat(offer[name]).date() for name in SHOWN)
    return first, last


def law_config(days: int) -> Config:
    lines = [line.model_copy(update={"valid_days": 7 + 7 * (at % 4)}) for at, line in enumerate(menu(0.9))]
    given = {"window_days": days, "min_evidence": "assumed", "budget_cents": 6000}
    return shop_config(plan=given, menu=tuple(lines), message={"approve": "judged"})


@pytest.mark.parametrize(("seed", "days"), [pytest.param(0, 28, marks=pytest.mark.slow), (1, 12)])
def test_dates_and_terms_are_those_of_the_plan_on_every_day_and_nothing_is_served_after_the_end(
    seed: int, days: int, tmp_path: Path
) -> None:
    config = planned_shop(tmp_path, seed, law_config(days))
    planned = printed_rows(tmp_path)
    assert len({row["expires"] for row in planned.values()}) > 1
    with serving(tmp_path, config) as api:
        set_clock(api, ASOF_MS + HOUR_MS)
        released(api)
        told = list[bool]()
        for day in (*range(days), days, days + 3):
            set_clock(api, ASOF_MS + day * DAY_MS + 9 * HOUR_MS)
            today = datetime.fromtimestamp(api.server.clock.now_ms() / 1000, UTC).date()
            for who, row in planned.items():
                made = ask(api, who)
                if today > row["expires"]:
                    assert made["offer_id"] == "none", (day, who, made["reason"])
                    continue
                assert made["offer_id"] == row["offer_id"], (day, who, made["reason"])
                assert days_of(made["offer"]) == (row["starts"], row["expires"])
                explained = api("GET", f"/v1/decisions/{made['decision_id']}:explain")
                assert explained["offer"] == made["offer"]
                assert explained["angle"] == made["angle"]
                told += [made["message"] == row["message_en"]] if 1 <= day <= 7 else []
        assert len(told) >= 7 * len(planned) / 2
        assert sum(told) >= 0.8 * len(told)


def test_a_plan_from_an_old_log_keeps_one_pair_of_dates_from_its_first_day_to_its_last(tmp_path: Path) -> None:
    """Activated when its days are over, it is served for as many days from then on; reasons hold as long as planned."""
    config = planned_shop(tmp_path, 1, law_config(28))
    planned = printed_rows(tmp_path)
    begun_ms = ASOF_MS + 400 * DAY_MS + 15 * HOUR_MS
    with serving(tmp_path, config) as api:
        set_clock(api, begun_ms)
        released(api)
        for day in (0, 1, 6, 13, 27, 28):
            set_clock(api, begun_ms + day * DAY_MS)
            for who, row in planned.items():
                made, length = ask(api, who), (row["expires"] - row["starts"]).days
                if day > length:
                    assert made["offer_id"] == "none"
                    continue
                first, last = days_of(made["offer"])
                assert (first - row["starts"]).days == 400
                assert (last - first).days == length
                assert day or made["angle"] == planned_angle(tmp_path, who)


def planned_angle(folder: Path, who: str) -> str:
    with Store(folder) as store:
        return str(Messages.load(store).rows.row(by_predicate=pl.col("customer_id") == who, named=True)["angle"])


def test_a_release_activated_late_ends_with_the_days_of_its_plan(tmp_path: Path) -> None:
    config = planned_shop(tmp_path, 0, law_config(28))
    planned = printed_rows(tmp_path)
    who = max(planned, key=lambda each: planned[each]["expires"])
    with serving(tmp_path, config) as api:
        set_clock(api, ASOF_MS + 20 * DAY_MS)
        released(api)
        assert days_of(ask(api, who)["offer"]) == (planned[who]["starts"], planned[who]["expires"])
        set_clock(api, ASOF_MS + 28 * DAY_MS + HOUR_MS)
        assert ask(api, who)["reason"].startswith("release_ended: ")


def test_a_purchase_ends_the_reasons_that_it_makes_untrue_and_the_record_still_says_what_was_told(
    tmp_path: Path,
) -> None:
    config = planned_shop(tmp_path, 0, law_config(28))
    planned = printed_rows(tmp_path)
    with serving(tmp_path, config) as api:
        set_clock(api, ASOF_MS + HOUR_MS)
        released(api)
        api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"rest_days": 0}})
        before = {who: ask(api, who) for who in planned}
        own = {who for who in sorted(planned)[::2] if planned[who]["target_ids"]}
        for who, row in planned.items():
            line = (
                {"product_id": "p-own", "category": row["target_ids"][0]} if who in own else {"product_id": "p-other"}
            )
            said = {"event": "Order Completed", "userId": who, "properties": {"products": [line]}}
            api("POST", "/v1/track", said | {"messageId": f"m-{who}"}, status=None)
        set_clock(api, ASOF_MS + 4 * HOUR_MS)
        ended = 0
        for who, made in before.items():
            after = ask(api, who)
            assert after["offer_id"] == made["offer_id"]
            ends = who in own and not angle_holds(made["angle"], None, 0, True, True)
            assert after["angle"] == ("generic" if ends else made["angle"])
            assert api("GET", f"/v1/decisions/{made['decision_id']}:explain")["angle"] == made["angle"]
            ended += ends
        assert ended >= 5
