"""What a shop's till and app must know of an offer stands in the live answer: its terms, whole."""

from pathlib import Path

import pytest
from planned_shop import ASOF_MS, planned_shop, shop_config

from promolift.core.offers.terms import covered_targets
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.server.decisions.live_release import LiveRelease, load_release
from promolift.server.decisions.message_rendering import render_message
from promolift.server.decisions.release_period import last_moment_ms
from promolift.shop.pipeline.release import build_release


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> LiveRelease:
    folder: Path = tmp_path_factory.mktemp("shop")
    planned_shop(folder, 1, shop_config(plan={"budget_cents": 9000}))
    with Store(folder) as store:
        release_id = build_release(store)
    return load_release(folder, release_id)


def test_the_live_answer_says_how_an_offer_is_activated_and_how_two_are_joined(release: LiveRelease) -> None:
    reply = {name: render_message(release, "u000", name, ASOF_MS, "en")["offer"] for name in release.labels}
    kinds = {name: release.menu[offer["menu_id"]].activation for name, offer in reply.items()}
    assert {name: offer["activation"] for name, offer in reply.items()} == kinds
    assert set(kinds.values()) == {"automatic", "code"}
    pairs = {name for name, offer in reply.items() if len(covered_targets(offer["covers"])) > 1}
    assert pairs
    assert {name: offer["joined"] for name, offer in reply.items() if offer["joined"]} == dict.fromkeys(pairs, "each")


def test_a_planned_offer_days_later_and_one_of_a_later_period_have_the_same_terms(release: LiveRelease) -> None:
    end_ms = last_moment_ms(release, ASOF_MS)
    for who, offer_id, _ in release.messages:
        planned = render_message(release, who, offer_id, ASOF_MS, "en", ends_ms=end_ms)["offer"]
        fresh = render_message(release, who, offer_id, ASOF_MS + 3 * DAY_MS, "en", ends_ms=end_ms)["offer"]
        assert fresh == planned == release.offers[offer_id].model_dump(mode="json")
        moved = render_message(release, who, offer_id, ASOF_MS, "en", ends_ms=end_ms + 90 * DAY_MS)["offer"]
        assert moved["starts"] != planned["starts"]
        for name in ("activation", "joined", "benefit", "label", "covers", "min_spend_cents"):
            assert moved[name] == planned[name]
