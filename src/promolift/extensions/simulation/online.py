"""Run promolift month by month in a simulated shop through its own server.

The plan becomes a release, `POST /v1/decisions:batch` decides for every customer, and customers who read their message
may use the offer. Orders arrive as events and read messages as feedback; the server learns and a person approves. The
server is the real one, on a local port; only its clock is set to the shop's months.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import scipy

from promolift.extensions.simulation.offline import CommandLinePath, MonthMessages
from promolift.foundation.errors import PromoError, StepError
from promolift.foundation.hashing import hash_unit
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.time.clock import HOUR_MS

if TYPE_CHECKING:
    import polars as pl

    from promolift.extensions.simulation.worlds.simulated_worlds import SimulatedWorld
    from promolift.server.api.client import Client
    from promolift.server.api.server import Server

CAMPAIGN = "made-up"
BATCH_CUSTOMERS, BATCH_EVENTS = 10_000, 2_000  # customers, and events, of one request
USUAL_READ_SHARE, READ_LOG_ODDS_SD = 0.6, 0.8  # of readers with a usual text; s.d. between texts of its log odds
START_TIMEOUT_S, LEARN_TIMEOUT_S = 30.0, 900.0
T = TypeVar("T")


class ServerPath(CommandLinePath):
    """The product by its service. Use it in a `with`: it starts the server of `folder` with the first month."""

    words, more = True, '[message]\napprove = "judged"\n'

    def __init__(self, folder: Path, seed: int = 1) -> None:
        """`seed` draws which texts customers like."""
        super().__init__(folder, seed=seed)
        self.releases = list[str]()
        self._served: _Served | None = None
        self._open = ExitStack()
        self._heard_ms = 0  # orders before it are in the shop's own files

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self._open.close()
        self._served = None

    def decide(self, world: "SimulatedWorld", budget_cents: float) -> "pl.DataFrame":
        """What the server gave to those who read of it, and nothing else."""
        planned = super().decide(world, budget_cents)
        self._heard_ms = world.now_ms
        served = self._at_start(world)
        made = served.change("/v1/releases")["release_id"]
        served.change(f"/v1/releases/{made}:activate")
        self.releases.append(made)
        given = [answer for answer in self.request_decisions(world) if answer["offer_id"] != "none"]
        self._same(planned, given)
        read = self._read(served, given)
        return planned.filter(planned["customer_id"].is_in(read))

    def request_decisions(self, world: "SimulatedWorld") -> list[Any]:
        """The server's decisions for everybody, in the order of their ids."""
        served = self._at_start(world)
        return [
            answer
            for part in _parts(world.customer_ids, BATCH_CUSTOMERS)
            for answer in served.client.decide_all(part, campaign_id=CAMPAIGN, words=True)
        ]

    def roll_back(self) -> None:
        """Decide from the month before's release again."""
        if self._served is not None:
            self._served.change(f"/v1/campaigns/{CAMPAIGN}:rollback")

    def finish_month(self, world: "SimulatedWorld") -> None:
        """What was bought since the last month goes to the server, which learns from it; the proposal is approved."""
        import polars as pl

        from promolift.shop.configuration.configuration import load_config
        from promolift.shop.feedback.proposal import ProposalLocation, approve_proposal

        served, config = self._server(world.now_ms), self.folder / "promolift.toml"
        for part in _parts(_orders(world.events.filter(pl.col("ts_ms") >= self._heard_ms)), BATCH_EVENTS):
            served.client.track(part)
        served.change(f"/v1/campaigns/{CAMPAIGN}:learn")
        deadline = time.monotonic() + LEARN_TIMEOUT_S
        while (run := served.client.call("GET", f"/v1/campaigns/{CAMPAIGN}/learning"))["status"] == "running":
            if time.monotonic() > deadline:
                raise StepError(
                    "server_timed_out",
                    gettext_lazy(
                        "simulate: the server has been learning for {learn_timeout_s} seconds; see its log",
                        learn_timeout_s=f"{LEARN_TIMEOUT_S:.0f}",
                    ),
                )
            time.sleep(0.2)
        self.summaries.append(f"learn: {run['status']}: {run['why']}")
        if run["status"] == "proposed":
            work = self.folder / "work"
            approve_proposal(ProposalLocation(load_config(config), work, work / "serve" / "learn" / CAMPAIGN))

    def _learn(self, config: Path) -> None:
        """The server has learned already; the shop's files of the month come in."""
        from promolift.shop.pipeline.shop import Shop

        with Shop.open(config, work=self.folder / "work") as shop:
            shop.step("ingest")

    def _same(self, planned: "pl.DataFrame", given: list[Any]) -> None:
        """StepError unless what is served is what was planned."""
        chosen = dict(planned.select("customer_id", "offer_id").iter_rows())
        served = {answer["customer_id"]: answer["offer_id"] for answer in given}
        if chosen != served:
            other = sorted(who for who in chosen.keys() | served if chosen.get(who) != served.get(who))
            raise StepError(
                "decisions_differ",
                gettext_lazy(
                    "simulate: {other} customers were served otherwise than planned: {other_2}",
                    other=f"{len(other):,}",
                    other_2=other[:3],
                ),
            )

    def _read(self, served: "_Served", given: list[Any]) -> list[str]:
        """Who reads their message; the server hears of each, and counts its texts."""
        choice, release = served.server.texts.choice, served.server.decider.releases
        readers, sent, expected, alike = [], 0, 0.0, 0.0
        for answer in given:
            text, who = answer.get("text_id"), answer["customer_id"]
            prob = self.read_share(text)
            if text:
                kind = answer["offer"]["benefit"]["type"]
                live = choice(release[answer["release_id"]])
                arms = live.arms(answer["angle"], kind, answer["language"]).texts
                sent, expected = sent + 1, expected + prob
                alike += float(np.mean([self.read_share(each.text_id) for each in arms])) if arms else prob
            if hash_unit("reads", self.seed, self._heard_ms, who) < prob:
                readers.append(who)
                if text:
                    served.client.feedback(answer["decision_id"], 0, "Message Read")
        served.server.count_texts(0.0)
        if sent:
            self.messages.append(MonthMessages(sent, expected / sent, alike / sent))
        return readers

    def read_share(self, text_id: str | None) -> float:
        """The share of customers who read a text; those who get no text of the pool read as usual."""
        bell = 0.0 if text_id is None else float(scipy.special.ndtri(hash_unit("appeal", self.seed, text_id)))
        return float(scipy.special.expit(scipy.special.logit(USUAL_READ_SHARE) + READ_LOG_ODDS_SD * bell))

    def _at_start(self, world: "SimulatedWorld") -> "_Served":
        """The server an hour before the month, so that the window of a decision ends with it."""
        return self._server(world.now_ms - HOUR_MS)

    def _server(self, now_ms: int) -> "_Served":
        """The server, put back to this moment of the shop's."""
        if self._served is None:
            self._served = self._open.enter_context(_serving(self.folder))
        self._served.server.clock.behind_ms = time.time_ns() // 1_000_000 - now_ms
        return self._served


class _Served(NamedTuple):
    """A server that runs, and a client with its admin key."""

    server: "Server"
    client: "Client"

    def change(self, path: str) -> Any:
        """A change without a body."""
        return self.client.call("POST", path)


@contextmanager
def _serving(folder: Path) -> Iterator[_Served]:
    """The server of a folder on a free port, in a thread."""
    from promolift.server.api.app import HttpServer, create, uvicorn_config
    from promolift.server.api.client import Client
    from promolift.server.settings import ServeSettings
    from promolift.shop.configuration.configuration import load_config

    settings = ServeSettings(work=folder / "work", deadline_ms=60_000, rate_per_second=1e6, burst=10**6)
    app = create(settings, load_config(folder / "promolift.toml"))
    listener = HttpServer(uvicorn_config(app, "127.0.0.1", 0))
    thread = threading.Thread(target=listener.run, name="simulated-server")
    thread.start()
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listener.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        if not listener.started:
            raise PromoError(
                "server_not_started", gettext_lazy("simulate: the server did not start; see its log above")
            )
        port = listener.servers[0].sockets[0].getsockname()[1]
        with Client(f"http://127.0.0.1:{port}", app.server.first_key or "", timeout_s=600) as client:
            yield _Served(app.server, client)
    finally:
        listener.should_exit = True
        thread.join()


def _parts(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    listed = list(rows)
    for first in range(0, len(listed), size):
        yield listed[first : first + size]


def _orders(rows: "pl.DataFrame") -> Iterator[dict[str, Any]]:
    """Purchases as shops send them: an event per order, prices as listed, `discount` what was taken off them."""
    import polars as pl

    lines = rows.group_by("order_id", maintain_order=True).agg(
        pl.col("customer_id", "ts_ms").first(), pl.col("product_id", "quantity", "list_cents"),
        off=(pl.col("list_cents") - pl.col("paid_cents")).sum(),
    )  # fmt: skip
    for order_id, who, ts_ms, products, quantities, listed, off in lines.iter_rows():
        yield {
            "event": "Order Completed", "userId": who, "messageId": f"order {order_id}", "timestamp": _iso(ts_ms),
            "properties": {
                "order_id": order_id, "discount": off / 100,
                "products": [
                    {"product_id": product, "quantity": quantity, "price": cents / 100 / quantity}
                    for product, quantity, cents in zip(products, quantities, listed, strict=True)
                ],
            },
        }  # fmt: skip


def _iso(ts_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds")
