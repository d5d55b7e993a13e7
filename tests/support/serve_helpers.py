"""A small planned shop that can be checked by hand, and a client of a server over it."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("fastapi")
from answer_types import check_answer
from sqlalchemy import insert
from starlette.testclient import TestClient

from promolift.core import effects
from promolift.core import offers as offer
from promolift.core.allocation import strategic_rules
from promolift.core.decisions import ReleaseTerms
from promolift.core.offers import MenuItem, OfferRules
from promolift.core.offers.terms import Benefit
from promolift.foundation.storage.local_store import Store
from promolift.server.api.app import create
from promolift.server.ledger.schema import CODES
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning.offer_candidates import OfferCandidates
from promolift.shop.pipeline.release import read_manifest, release_id_of
from promolift.shop.pipeline.steps import plan
from promolift.shop.results.messages import Offers
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job, moments

# python packages and node_modules of others, as `.ci/run` installs them
CLIENTS = Path(os.environ.get("PROMOLIFT_TEST_CLIENTS", Path(__file__).parents[2] / ".clients"))
CAMPAIGN = "cmp_test"
PEOPLE = [f"u{n:02d}" for n in range(60)]
TARGETS = ("tea", "coffee", "bread", "milk")
MENU = tuple(
    MenuItem(id=f"cut-{p}", benefit=Benefit(type="percent_off", percent=p), scope="category") for p in (10, 20, 30)
)


def settings(menu: tuple[MenuItem, ...] = MENU, **plan_settings: Any) -> Config:
    """promolift.toml of the shop."""
    shown: dict[str, Any] = {"campaign": CAMPAIGN, "budget_cents": 4000}
    shown |= {"holdout_share": 0.2, "asof": "2026-01-05", "test_share": 0.0} | plan_settings
    data = {"source": "complete-journey"}
    consent = {"default": True}
    return Config(data=data, menu=menu, plan=shown, consent=consent, shop={"name": "Shop", "zone": "UTC"})  # type: ignore[arg-type]


def planned(
    folder: Path, targets: tuple[str, ...] = TARGETS, menu: tuple[MenuItem, ...] = MENU, **plan_settings: Any
) -> Config:
    """A work folder with a finished plan, with offers on these targets."""
    config = settings(menu, **plan_settings)
    with Store(folder) as store:
        job = Job(config, store, lambda *_: None)
        store.save_json("span", {"first_ms": 1_700_000_000_000, "last_ms": 1_767_000_000_000})
        people = pl.DataFrame({"customer_id": PEOPLE})
        store.save("customers", people.with_columns(consent=pl.col("customer_id") != "u07", name=pl.lit("Ann")))
        products = {"product_id": [f"p-{t}" for t in TARGETS], "name": [f"Good {t}" for t in TARGETS]}
        catalogue = pl.DataFrame(products | {"category": list(TARGETS)})
        store.save("products", catalogue.with_columns(type=pl.lit(None, pl.String), cost_cents=pl.lit(100)))
        response = effects.assumed_response("made up", effects.DiscountSettings(prior_response=3.0))
        store.save_json("response", response.to_dict())
        on = _targets().filter(pl.col("target").is_in(targets))
        listed = offer.list_candidates(_profiles(), on, config.menu, OfferRules(), _resting())
        rows = strategic_rules.add_caution(effects.add_effects(listed, response, None, config.value), config.plan.risk)
        made = plan.decide(job, moments(job), OfferCandidates(plan.PartitionedFrame.of(rows), "assumed", config.menu))
        write_words(store, made)
    return config


def write_words(store: Store, made: Plan) -> None:
    """Words for a plan's offers."""
    chosen = made.chosen.select("customer_id", "offer_id")
    store.save("messages", chosen.with_columns(message_zh=pl.lit("计划"), message_en=pl.lit("planned")))
    Offers(offers=()).keep(store)


def _profiles() -> pl.DataFrame:
    numbers = range(len(PEOPLE))
    return pl.DataFrame(
        {
            "customer_id": PEOPLE,
            "price_sensitivity": [0.1 * (n % 7) for n in numbers],
            "orders_expected": [2.0 + n % 3 for n in numbers],
            "basket_mean_cents": [3000.0 + 100 * n for n in numbers],
            "basket_sd_cents": [900.0 for _ in numbers],
            "online": [True for _ in numbers],
        }
    )


def _targets() -> pl.DataFrame:
    rows = [
        (who, target, "category", "category", 500.0 + 37 * n + 211 * k, 50.0, 0.5, True, 0.5 + 0.1 * k)
        for n, who in enumerate(PEOPLE)
        for k, target in enumerate(TARGETS)
    ]
    names = ["customer_id", "target", "scope", "kind", "base_cents", "base_se_cents", "buy_prob", "bought"]
    return pl.DataFrame(rows, schema=[*names, "margin_rate"], orient="row")


def _resting() -> pl.DataFrame:
    return pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})


class Api:
    """Requests with a key, answers as JSON."""

    def __init__(self, client: TestClient, key: str) -> None:
        self.client, self.key = client, key

    def __call__(self, method: str, path: str, body: Any = None, status: int | None = 200, **headers: str) -> Any:
        """The answer's JSON; `status` is checked unless it is None. Headers by name, `_` for `-`."""
        sent = {"authorization": f"Bearer {self.key}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        reply = self.client.request(method, path, json=body, headers=sent)
        assert status is None or reply.status_code == status, (reply.status_code, reply.text)
        if not reply.headers.get("content-type", "").endswith("json"):
            return reply
        answer = json.loads(reply.text)
        if reply.status_code < 300:
            check_answer(self.client.app, method, path, reply.status_code, answer)
        return answer

    def decide(self, customer: str, **more: Any) -> Any:
        """A decision."""
        return self("POST", "/v1/decisions", {"customer_id": customer, "campaign_id": CAMPAIGN} | more)

    @property
    def server(self) -> Any:
        """The server behind it."""
        return self.client.app.server


def coded(api: Api, first: int = 0, last: int = 20, offer: str = "off_x", campaign: str = CAMPAIGN) -> None:
    """Codes C0, C1, ... of an offer, given to nobody in particular: each may be redeemed once."""
    row = {"campaign_id": campaign, "offer_id": offer, "status": "issued", "stocked": 0}
    rows = [row | {"code": f"C{n}"} for n in range(first, last)]
    api.server.ledger.write(lambda db, some: [db.execute(insert(CODES), rows) and None for _ in some])


def claim(number: int, cents: int = 100, **more: Any) -> dict[str, Any]:
    """A wish to redeem the code of this number."""
    wish = {"customer_id": "u01", "code": f"C{number}", "amount_cents": cents, "redemption_id": f"rdm_{number}"}
    return wish | more


@contextmanager
def serving(folder: Path, config: Config | None = None, **more: Any) -> Iterator[Api]:
    """A server over a work folder, as a client with its admin key."""
    app = create(ServeSettings.parse({"work": folder, "deadline_ms": 20_000} | more, "test"), config)
    with TestClient(app, raise_server_exceptions=True) as client:
        yield Api(client, app.server.first_key or "")


def released(api: Api) -> str:
    """Make and activate the release of the present plan."""
    release_id = api("POST", "/v1/releases", status=201)["release_id"]
    api("POST", f"/v1/releases/{release_id}:activate")
    return str(release_id)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def derived(work: Path, base: str, terms: ReleaseTerms) -> str:
    """A release with the files of another one under other terms; its id."""
    home = work / "serve" / "releases"
    text = read_manifest(home / base, base).model_copy(update={"terms": terms}).text()
    if not (home / release_id_of(text)).exists():
        shutil.copytree(home / base, home / release_id_of(text))
        (home / release_id_of(text) / "manifest.json").write_text(text, "utf-8")
    return release_id_of(text)


def needs(*programs: str) -> None:
    """Skip, naming what is missing."""
    if missing := [each for each in programs if not shutil.which(each)]:
        pytest.skip(f"needs {', '.join(missing)}")


def client_found(*packages: str) -> None:
    """Skip unless these were installed: folders of CLIENTS."""
    if missing := [each for each in packages if not (CLIENTS / each).exists()]:
        pytest.skip(f"needs {', '.join(missing)} in {CLIENTS}; .ci/run installs them, PROMOLIFT_TEST_CLIENTS names it")


def node(text: str, *given: str) -> Any:
    """What a script for node prints, as JSON; it may require the packages of CLIENTS."""
    needs("node")
    found = os.environ | {"NODE_PATH": str(CLIENTS / "node_modules")}
    done = subprocess.run(["node", "-e", text, "--", *given], capture_output=True, text=True, timeout=60, env=found)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
