"""The demo has something to see: simulated weeks that end now, which every page and every figure says are simulated."""

from pathlib import Path
from time import sleep
from typing import Any

import pytest
from console_helpers import CONFIG, Shop, opened, play_demo_history

from promolift.extensions.simulation import demo_play
from promolift.extensions.simulation.demo_play import start_demo_history
from promolift.foundation.time.clock import DAY_MS, wall_ms


@pytest.fixture
def played(folder: Path) -> Path:
    """A work folder whose demo was served once."""
    told: list[str] = []
    with opened(folder, demo=True, play=lambda step, *_: told.append(step)) as shop:
        assert abs(shop.server.clock.now_ms() - wall_ms()) < 1000  # the clock is right again
    assert set(told) == {"simulated days"}
    return folder


def test_the_weeks_before_now_are_played_once_and_said_to_be_simulated(played: Path) -> None:
    counted = set()
    for _ in range(2):  # serving the demo again plays nothing again
        with opened(played, demo=True, play=lambda *_: None) as shop:
            viewer = shop.person("viewer")
            live = viewer.json("/live")
            moments = [row["ts_ms"] for row in live["decisions"]]
            assert len(moments) > 20
            assert all(wall_ms() - 63 * DAY_MS <= each <= wall_ms() for each in moments)
            with shop.server.ledger.read() as db:
                decided = db.exec_driver_sql("select count(*), count(distinct customer_id) from decisions").one()
                orders = db.exec_driver_sql("select count(*), count(distinct message_id) from events").one()
            assert decided[0] >= decided[1] > 20
            assert orders[0] == orders[1] >= decided[0]
            for path in ("/", "/live", "/results", "/tests"):
                assert "are simulated" in viewer.get(path)
            assert viewer.json("/tests")["design"]["evidence"] == "simulated"
            assert viewer.json("/results")["run"]["status"] != "running"
            acts = {each["action"] for each in viewer.json("/")["changes"]}  # what people care for, not each redemption
            assert acts & {"release.activate", "experiment.put"}
            assert not acts & {"reserve", "confirm"}
            counted.add((decided[0], orders[0]))
    assert len(counted) == 1


def wait_until_played(shop: Shop) -> None:
    """Until the server says nothing of the play any more."""
    for _ in range(600):
        if "minute" not in str([*shop.server.notices.values()]):
            break
        sleep(0.1)
    assert shop.server.notices == {}


def counts(shop: Shop) -> tuple[int, ...]:
    """Rows of decisions, orders and redemptions; the audit chain and the rows agree with each other."""
    assert not shop.server.row_faults
    shop.server.check_rows()
    assert not shop.server.row_faults
    with shop.server.ledger.read() as db:
        tables = ("decisions", "events", "redemptions")
        return tuple(db.exec_driver_sql(f"select count(*) from {name}").scalar_one() for name in tables)


def test_a_play_that_is_cut_off_leaves_nothing_and_the_next_start_plays_again(folder: Path) -> None:
    def cut(_: str, share: float, *__: object) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), opened(folder, demo=True, play=cut):
        pass
    with opened(folder, demo=True) as shop:
        assert counts(shop) == (0, 0, 0)
        assert shop.person("viewer").json("/")["summary"]["release"]
    with opened(folder, demo=True, play=lambda *_: None) as shop:
        first = counts(shop)
        assert min(first) > 0
        assert "are simulated" in shop.person("viewer").get("/")
    assert not [*(folder / "tmp").glob("*/serve")]
    with opened(folder, demo=True, play=lambda *_: None) as shop:
        assert counts(shop) == first


def test_pages_are_there_while_the_weeks_are_played_and_a_killed_play_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[Any] = []
    begin = demo_play.subprocess.Popen

    def noted(*given: Any, **more: Any) -> Any:
        children.append(begin(*given, **more))
        return children[-1]

    monkeypatch.setattr(demo_play.subprocess, "Popen", noted)
    with opened(folder, demo=True, start=start_demo_history) as shop:
        viewer = shop.person("viewer")
        assert "nine simulated weeks" in viewer.get("/live")
        viewer.post("/language", language="zh")
        assert "九周" in viewer.get("/")
        viewer.post("/language", language="en")
        while not children:
            sleep(0.01)
        children[0].kill()
        while "minute" in viewer.get("/"):
            sleep(0.05)
        assert "could not be played" in viewer.get("/")
        assert counts(shop) == (0, 0, 0)
    with opened(folder, demo=True, start=start_demo_history) as shop:
        wait_until_played(shop)
        assert min(counts(shop)) > 0
        assert "are simulated" in shop.person("viewer").get("/")
        assert shop.person("viewer").json("/tests")["design"]["evidence"] == "simulated"


def test_what_people_do_while_the_weeks_are_played_stays(folder: Path) -> None:
    with opened(folder, demo=True, start=lambda _: None) as shop:
        with shop.server.ledger.read() as db:
            release_id = demo_play.Campaign.load(db, CONFIG.plan.campaign).release
        decided: list[str] = []
        erased: list[str] = []

        def meanwhile(step: str, share: float, *_: object) -> None:
            if share > 0.5 and not erased:
                erased.append("u002")
                asked = (shop.api.decide(f"u{at:03}", campaign_id=CONFIG.plan.campaign) for at in range(3, 9))
                decided.extend(answer["decision_id"] for answer in asked)
                admin = shop.person("admin")
                admin.post("/customers/erase", id="u002", typed="u002")
                admin.post("/live/pause", paused="yes")

        play_demo_history(shop.server, meanwhile)
        assert min(counts(shop)) > 0
        with shop.server.ledger.read() as db:
            campaign = demo_play.Campaign.load(db, CONFIG.plan.campaign)
            rows = db.exec_driver_sql("select decision_id from decisions").scalars().all()
            of_erased = db.exec_driver_sql("select count(*) from events where customer_id = 'u002'").scalar_one()
        assert campaign.paused
        assert campaign.experiment is None
        assert campaign.release == release_id
        assert decided
        assert {*decided} <= {*rows}
        assert of_erased == 0


def test_a_shop_of_its_own_files_is_never_played(folder: Path, own_files: Path, tmp_path: Path) -> None:
    files = CONFIG.data.model_copy(update={"source": "files"})
    with opened(folder, CONFIG.model_copy(update={"data": files}), demo=True, play=lambda *_: None) as shop:
        assert shop.person("viewer").json("/live")["decisions"] == []
        assert "are simulated" not in shop.person("viewer").get("/")


def test_learning_that_somebody_begins_ends_and_is_seen(played: Path) -> None:
    judged = {"settings": {"window_days": 1, "before_days": 1, "least": 5}}
    with opened(played, demo=True, learn=judged) as shop:
        editor = shop.person("editor")
        assert not editor.json("/results")["found"]
        editor.post("/results/learn")
        assert editor.json("/results?part=run")["run"]["status"] == "running"
        for _ in range(240):
            run = editor.json("/results?part=run")["run"]
            if run["status"] != "running":
                break
            sleep(0.5)
        assert run["status"] == "nothing proposed", run
        page = editor.json("/results")
        assert page["found"]
        assert "randomised" not in page["rule"]
        assert editor.json("/")["summary"]["earned"]["evidence"] == "simulated"
