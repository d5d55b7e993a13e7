"""The demo has something to see: simulated weeks that end now, which every page and every figure says are simulated."""

from pathlib import Path
from time import sleep

import pytest
from console_helpers import CONFIG, opened

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
