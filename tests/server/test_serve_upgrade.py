"""Two servers on one PostgreSQL are killed, drained and followed by the next version with a migration in between: every
request is answered, what was answered is so, and not a unit is spent too much.
"""

import os
import random
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest
from fleet import Client, Fleet, fleet
from ledger_helpers import POSTGRES, check_books, own_schema
from serve_helpers import CAMPAIGN, PEOPLE
from sqlalchemy import func, insert, select, text, update

from promolift.server.ledger.audit_log import get_record
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.limits import RELEASE_LIMIT_ID
from promolift.server.ledger.migrations import SCHEMA_VERSION, open_tables
from promolift.server.ledger.schema import CODES, DECISIONS, LIMITS, REDEMPTIONS, USAGE
from promolift.shop.configuration.configuration import Config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not POSTGRES, reason="PostgreSQL: set PROMOLIFT_TEST_POSTGRES (.ci/run does)"),
]
RUNS = int(os.environ.get("PROMOLIFT_KILLS", "2"))  # a long run takes 20
CLIENTS, UNITS, MOST = 12, 16_000, 7  # units for some seconds: a server starts meanwhile
CODES_EACH = 3_000


class Shoppers:
    """Clients that decide, reserve, confirm and cancel until not one unit is left; what they were told."""

    def __init__(self, servers: Fleet, seed: int) -> None:
        self.servers, self.seed = servers, seed
        self.told: dict[str, tuple[str, int]] = {}
        self.decided: set[str] = set()
        self.reasons, self.broken = Counter[str](), Counter[str]()
        self.hurry = threading.Event()
        self.threads = [threading.Thread(target=self._shop, args=(me,)) for me in range(CLIENTS)]

    def _shop(self, me: int) -> None:
        draw = random.Random(f"{self.seed} {me}")
        with closing(Client(sorted(self.servers.ports.values()), self.servers.key, self.broken)) as call:
            self._buy(me, call, draw)

    def _buy(self, me: int, call: Client, draw: random.Random) -> None:
        for number in range(CODES_EACH):
            name, cents, who = f"rdm_{me}_{number}", draw.randint(1, MOST), draw.choice(PEOPLE)
            if number % 3 == 0:
                made = call("/v1/decisions", {"customer_id": who}, f"d{name}")
                self.reasons[str(made["reason"]).partition(":")[0]] += 1
                self.decided.add(made["decision_id"])
            wish = {"redemption_id": name, "code": f"K{me}_{number}", "customer_id": who, "amount_cents": cents}
            held = call("/v1/redemptions:reserve", wish, f"r{name}")
            if held["status"] != "reserved":
                assert held["code"] == "limit_reached", held
                if cents == 1 and self.hurry.is_set():
                    return
                continue
            self.told[name] = "reserved", cents
            if draw.random() < 0.5:
                step = "confirm" if draw.random() < 0.6 else "rollback"
                done = call(f"/v1/redemptions:{step}", {"redemption_id": name}, f"c{name}")
                self.told[name] = str(done["status"]), cents
            if not self.hurry.is_set():
                sleep(0.02)


def prepared(servers: Fleet, url: str) -> None:
    """A campaign with a release, a limit, and codes."""
    limits = [{"limit_id": "all", "metric": "discount_amount", "amount": UNITS},
              {"limit_id": "each", "metric": "redemptions", "amount": 10**6, "per": "customer"}]  # fmt: skip
    with closing(Client(list(servers.ports.values())[:1], servers.key, Counter())) as call:
        name = call("/v1/releases", None, "make")["release_id"]
        call(f"/v1/releases/{name}:activate", None, "activate")
        assert call(f"/v1/campaigns/{CAMPAIGN}", {"limits": limits}, "limits", "PATCH")["limits"]
    sleep(4.0)  # what /health/ready says of releases is some seconds old
    servers.wait()
    row = {"campaign_id": CAMPAIGN, "offer_id": "off_x", "status": "issued", "stocked": 0}
    rows = [row | {"code": f"K{me}_{n}"} for me in range(CLIENTS) for n in range(CODES_EACH)]
    plenty = update(LIMITS).where(LIMITS.c.limit_id == RELEASE_LIMIT_ID).values(amount=10**12)  # `all` is to bind
    with Ledger(url, open_tables) as ledger:
        ledger.write(lambda db, some: [db.execute(insert(CODES), rows) and None for _ in some])
        ledger.write(lambda db, some: [db.execute(plenty) and None for _ in some])


def broken_by(port: int, seen: Shoppers) -> int:
    """Requests that a server did not answer; those of one that was killed are noticed by and by."""
    return sum(n for name, n in list(seen.broken.items()) if name.startswith(f"{port} "))


def checked(url: str, seen: Shoppers, newer: bool) -> None:
    """What was said is so, and the limit was spent to the last unit and no further."""
    with Ledger(url, open_tables) as ledger:
        check_books(ledger)
        with ledger.read() as db:
            kept = {r["redemption_id"]: r for r in db.execute(select(REDEMPTIONS)).mappings()}
            used = db.execute(select(USAGE).where(USAGE.c.limit_id == "all")).mappings().one()
            decided = set(db.execute(select(DECISIONS.c.decision_id)).scalars())
            asked = db.execute(text("select count(*) from answers where key is not null")).scalar_one()
            assert get_record(db, "ledger", "schema")["version"] == SCHEMA_VERSION + newer
            assert db.execute(select(func.count()).select_from(REDEMPTIONS)).scalar_one() <= asked
    for name, (status, cents) in seen.told.items():
        assert (kept[name]["status"], kept[name]["reserved_cents"]) == (status, cents)
    assert set(kept) == set(seen.told)  # nothing that nobody heard of: each retry got the answer of the first
    assert seen.decided <= decided
    assert UNITS - MOST < used["held"] + used["spent"] <= UNITS
    assert not {"failure", "timeout", "release"} & set(seen.reasons)


@pytest.mark.parametrize("run", range(RUNS))
def test_kills_and_a_rolling_upgrade_lose_no_request_and_no_unit(
    shop: tuple[Path, Config], tmp_path: Path, run: int
) -> None:
    url, draw = own_schema("test_fleet", anew=True), random.Random(run)
    with fleet(tmp_path, shop[0], url, drain_s=5.0) as servers:
        servers.start("a"), servers.start("b")
        prepared(servers, url)
        seen = Shoppers(servers, run)
        for thread in seen.threads:
            thread.start()
        sleep(draw.uniform(0.2, 1.0))
        servers.kill("a")
        servers.start("a", newer=True, port=servers.ports["a"])  # the ledger is brought up; b goes on as it was
        sleep(draw.uniform(0.1, 0.5))
        lost, before = broken_by(servers.ports["b"], seen), len(seen.told)
        servers.drain("b")
        assert broken_by(servers.ports["b"], seen) == lost, seen.broken  # who ends in order drops nobody
        assert len(seen.told) > before
        servers.start("b", newer=True, port=servers.ports["b"])
        sleep(draw.uniform(0.1, 0.5))
        servers.kill(draw.choice("ab"))
        seen.hurry.set()
        for thread in seen.threads:
            thread.join()
        checked(url, seen, newer=True)
