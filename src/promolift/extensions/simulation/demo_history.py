"""Play weeks of simulated days through a demo's server, so that every console screen has data to show.

Households come as they came in the last weeks of the log; the release decides for them, and they use offers as the plan
expects. None of it happened: the ledger and every page say so, and measurements of it have the evidence `simulated`.

The weeks do not end with a gain that is shown, and no honest choice of ours would make them. The plan expects $0.18
per customer and window of 28 days (at a budget of $400 for 2,469 households). Spending varies so much that the 2,112
who are compared, 210 of them held out, show $23.54 or more (95 % always-valid interval, 80 % power), with 70 % of the
variance taken off by earlier spending. The standard error falls with the root of n p (1 - p): a holdout of a half
divides the $23.54 by 1.7, four times as many weeks by 2. A factor of 133 is missing, which takes 38 million households.
The pages say so.
"""

from collections.abc import Collection
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from promolift.core.experiments.experiment_design import Design
from promolift.foundation.i18n.catalogue import pgettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.money import currency_digits
from promolift.foundation.progress import Progress
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS, HOUR_MS
from promolift.server.api.routes import RouteContext, admin, experiments
from promolift.server.api.routes.campaign_summary import SimulatedPeriod
from promolift.server.api.server import Server
from promolift.server.budgets.redemptions import STEPS, ConfirmIn, ReserveIn, StepRequest
from promolift.server.decisions.decisions import DecisionRequest
from promolift.server.decisions.experiment_results import with_known_outcome
from promolift.server.decisions.release_period import begin_periods
from promolift.server.events import events
from promolift.server.ledger.records import Campaign, ExperimentIn, LearnRun
from promolift.server.settings import ServeSettings
from promolift.server.tasks.learning_schedule import store_proposal
from promolift.server.tasks.learning_task import run_task
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.ingest import Span
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.work_tables import CleanTables

BEFORE_DAYS, DAYS, TEST_DAYS = 28, 63, 28  # known before the first decision; played; of them with a test running
MESSAGE_PREFIX = "played_"  # of the events of a play
STEP_MS, WINDOW_MS = 6 * HOUR_MS, 28 * DAY_MS
UPTAKE_SHARE = (
    0.35  # of the customers with an offer use it in a window; what they add and cost is the plan's mean over all
)
ORDERS_SQL = """
select customer_id, order_id, min(ts_ms) + $ahead as ts_ms, sum(revenue_cents)::bigint as cents from events
where kind = 'purchase' and ts_ms > $since group by customer_id, order_id having cents > 0 order by 3, 2
"""


class DemoOrder(NamedTuple):
    """A basket of the log, at the moment at which it is played."""

    customer_id: str
    order_id: str
    ts_ms: int
    cents: int


class ExpectedUse(NamedTuple):
    """What the plan expects of a customer's offer in a window, in minor units."""

    offer_id: str
    gain_cents: float
    cost_cents: float


class OfferUse(NamedTuple):
    """What an offer makes an order larger by, and what it takes off."""

    more_cents: int
    off_cents: int


class DemoHistory:
    """The play of one campaign."""

    def __init__(self, server: Server, config: Config, release_id: str, excluded: Collection[str] = ()) -> None:
        """Read the log's last orders and the plan; `excluded` customers bring no orders."""
        self.server, self.config, self.rng, self.end_ms = server, config, Random(1), server.clock.now_ms()
        self.release_id, self.campaign_id = release_id, config.plan.campaign
        with Store(server.settings.work) as store:
            last_ms = Span.load(store).last_ms or 0
            since = last_ms - (BEFORE_DAYS + DAYS) * DAY_MS
            log = bind(ORDERS_SQL, ahead=self.end_ms - last_ms - 1, since=since)
            rows = fetch_frame(CleanTables(store).events().query("events", log))
            orders = (DemoOrder(*row) for row in rows.iter_rows())
            self.orders = [order for order in orders if order.customer_id not in excluded]
            chosen = Plan.load(store).chosen.select("customer_id", "offer_id", "gain_cents", "cost_cents")
        self.expected = {who: ExpectedUse(*rest) for who, *rest in chosen.iter_rows()}
        self.took_ms: dict[str, int] = {}

    def play(self, tell: Progress) -> None:
        """All days, a few hours at a time; then learn from them."""
        clock, at, begin_ms = self.server.clock, 0, self.end_ms - DAYS * DAY_MS
        moment = self.end_ms - (BEFORE_DAYS + DAYS) * DAY_MS
        try:
            while moment < self.end_ms:
                until = min(self.end_ms, moment + (HOUR_MS if moment >= self.end_ms - DAY_MS else STEP_MS))
                first = at
                while at < len(self.orders) and self.orders[at].ts_ms < until:
                    at += 1
                some = self.orders[first:at]
                self.server.clock.behind_ms += clock.now_ms() - moment
                if moment > begin_ms and (moment - begin_ms) % WINDOW_MS == 0:
                    self.renew_release()
                if moment == self.end_ms - TEST_DAYS * DAY_MS:
                    self.start_test()
                given = self.decide(some) if moment >= begin_ms else {}
                clock.behind_ms += clock.now_ms() - until + 1
                self.buy(some, given)
                tell(
                    pgettext_noop("step", "simulated days"),
                    at / len(self.orders),
                    f"{datetime.fromtimestamp(until / 1000, UTC):%d %B}",
                )
                moment = until
        finally:
            clock.behind_ms = 0
        tell("simulated days", 1.0, gettext_lazy("what was learned"))
        run = store_proposal(self.server, self.campaign_id, run_task(self.server.scheduler.task(self.campaign_id)))
        times = {"started_ms": self.end_ms, "ended_ms": self.end_ms}

        def note(db: Any, some: list[None]) -> list[None]:
            LearnRun(**run.model_dump() | times).save(db, self.campaign_id, self.end_ms)
            SimulatedPeriod(begun_ms=begin_ms, ended_ms=self.end_ms).save(db, self.campaign_id, self.end_ms)
            return some

        self.server.ledger.write(note)

    def renew_release(self) -> None:
        """Begin the release's days and budget anew, as a shop would that plans the same again."""

        def anew(db: Any, some: list[None]) -> list[None]:
            now_ms, state = self.server.clock.now_ms(), Campaign.load(db, self.campaign_id)
            fresh, release_of = state.model_copy(update={"periods": {}}), self.server.decider.ensure
            begin_periods(db, self.campaign_id, fresh, release_of, now_ms, now_ms).save(db, self.campaign_id, now_ms)
            return some

        self.server.ledger.write(anew)

    def start_test(self) -> None:
        """The offers against nothing, with the customers held out who are held out anyway."""
        terms = self.server.decider.ensure(self.release_id).terms
        design = Design(
            name="do_offers_pay", arms={"a": 1.0}, holdout_share=terms.holdout_share, holdout_salt=terms.holdout_salt,
            planned_customers=max(2, len({each.customer_id for each in self.orders})), primary="value_cents",
            evidence="simulated",
        )  # fmt: skip
        question = "Do the offers earn more than they cost?"
        test = ExperimentIn(design=with_known_outcome(design), releases={"a": self.release_id}, question=question)
        experiments.put_experiment(RouteContext(self.server, "demo"), self.campaign_id, test)

    def decide(self, some: list[DemoOrder]) -> dict[str, dict[str, Any]]:
        """The record of the decision for each customer who comes."""
        ledger, work = self.server.ledger, self.server.decider.work
        asked = {
            each.customer_id: ledger.submit(work, DecisionRequest(each.customer_id, self.campaign_id)) for each in some
        }
        return {who: made.record for who, future in asked.items() if (made := future.result()).record}

    def buy(self, some: list[DemoOrder], given: dict[str, dict[str, Any]]) -> None:
        """Their orders; who takes an offer buys more by it, pays less, and it is redeemed."""
        unit, heard = 10.0 ** currency_digits(self.config.shop.currency), list[dict[str, Any]]()
        holds = dict[str, Future[Any]]()
        for each in some:
            more, off = self.taken(each, given.get(each.customer_id))
            if off:
                decision = given[each.customer_id]["decision_id"]
                hold = ReserveIn(
                    customer_id=each.customer_id, amount_cents=off, decision_id=decision, order_id=each.order_id
                )
                holds[each.order_id] = self.settle("reserve", hold)
            said = {"order_id": each.order_id, "total": (each.cents + more) / unit, "discount": off / unit}
            heard.append({
                "type": "track", "event": "Order Completed", "userId": each.customer_id, "properties": said,
                "timestamp": datetime.fromtimestamp(each.ts_ms / 1000, UTC).isoformat(),
                "messageId": f"{MESSAGE_PREFIX}{each.order_id}",
            })  # fmt: skip
        kept = self.server.ledger.submit(
            events.store_events, events.parse_events(heard, None, self.server.clock.now_ms())
        )
        answered = [future.result().answer for future in holds.values()]
        paid = [self.settle("confirm", ConfirmIn(redemption_id=each.body["redemption_id"]))
                for each in answered if each.status == 200]  # fmt: skip
        for future in (kept, *paid):
            future.result()

    def settle(self, step: str, body: Any) -> "Future[Any]":
        """A step of a redemption."""
        return self.server.ledger.submit(self.server.redeemer.work, StepRequest(STEPS[step], body, "demo", None))

    def taken(self, order: DemoOrder, made: dict[str, Any] | None) -> OfferUse:
        """Nothing of both where no offer is taken."""
        who, known = order.customer_id, self.expected.get(order.customer_id)
        if made is None or known is None or made["offer_id"] != known.offer_id:
            return OfferUse(0, 0)
        if order.ts_ms - self.took_ms.get(who, -WINDOW_MS) < WINDOW_MS:
            return OfferUse(0, 0)
        self.took_ms[who] = order.ts_ms
        if self.rng.random() >= UPTAKE_SHARE:
            return OfferUse(0, 0)
        more = (known.gain_cents + known.cost_cents) / self.config.value.margin_rate / UPTAKE_SHARE
        return OfferUse(max(0, round(more)), max(0, round(known.cost_cents / UPTAKE_SHARE)))


def play_history(
    work: Path, config: Config, settings: ServeSettings, excluded: Collection[str], tell: Progress
) -> None:
    """Play the weeks before now in a work folder of its own, which has a plan and no ledger yet.

    `settings` are those of the server that the weeks are for; `excluded` customers are never seen.
    """
    own = settings.model_copy(update={"work": work, "ledger": None, "releases": None, "ledger_readers": None})
    server = Server(own, config)
    try:
        server.clock.behind_ms = DAYS * DAY_MS
        release_id = admin.release_first_plan(server)
        server.clock.behind_ms = 0
        assert release_id is not None
        DemoHistory(server, config, release_id, excluded).play(tell)
    finally:
        server.close()
