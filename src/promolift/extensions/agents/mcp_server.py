"""A server for AI agents (Model Context Protocol) that answers from a shop's settings and work folder.

An agent reads what the shop's own pages show: data health, the plan and its curve, the reason for an offer, and what
was learned. An agent cannot create a discount; from a live server it only reads decisions that were made. What an agent
writes is a draft that a person must approve (`promolift words review`, or the console).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html.parser import HTMLParser
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import polars.selectors as cs

from promolift.core.decisions.decision_rule import NONE
from promolift.core.messages.angles import Angle
from promolift.core.messages.channels import Channel
from promolift.core.messages.drafts import Draft
from promolift.core.messages.offer_text import describe_offer
from promolift.foundation.errors import ConfigError, InputError, PromoError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import current_locale, use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy, load_messages
from promolift.foundation.localized_text import LANGUAGES, Language
from promolift.foundation.progress import StepSummary, no_progress
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import exists
from promolift.foundation.version import __version__
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback import proposal
from promolift.shop.pipeline import text_pool
from promolift.shop.pipeline.steps.message import printable_offers
from promolift.shop.reports.chapters.summary import render
from promolift.shop.reports.offer_reasons import reason_text
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.evaluation import Evaluation
from promolift.shop.results.ingest import Health
from promolift.shop.results.messages import Messages, Offers
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from promolift.server.api.client import Client

JsonObject = dict[str, Any]
URL_VARIABLE, KEY_VARIABLE = "PROMOLIFT_URL", "PROMOLIFT_KEY"
INSTRUCTIONS = (
    "What a shop's promotions are planned, decided and known to have earned. Money is in minor units (cents) of the "
    "shop's currency. Name the evidence level and the interval of a figure whenever you tell it. Never promise a "
    "customer anything that `offer_now` or `explain_customer` did not give."
)
WEEKLY_REVIEW_PROMPT = """Review this shop's promotions of the last week for whoever runs it, in at most one page.
1. next_step: where does the shop stand?
2. data_health: is what came in whole?
3. verdict: what did the promotions earn over the holdout, with its interval and evidence; is it beyond chance?
4. plan and other_policies: what is planned, and is it better than the best other policy?
5. what_if at half and at twice the budget.
Say first what to do, then why. An unknown is not a zero: say what is not known and what would tell."""
REVENUE_FELL_PROMPT = """\
Revenue fell{since}. Find out what promotions have to do with it, in this order; stop where it is explained.
1. data_health: is it the data (rows set aside, a shorter period, a missing file)?
2. verdict: did the promoted customers fall as much as the holdout? If so it was not the promotions.
3. Its drift: does the effect change?
4. plan: how many get an offer, is the budget spent, which limit holds it back?
5. other_policies: would another one have earned more?
Say which of these the figures show, and which they cannot show."""


@dataclass(frozen=True)
class McpTools:
    """The tools of the MCP server. `learned` is the folder of `promolift learn`, `live` a running server, if any.

    Each public method is a tool; the agent reads its docstring as the tool's description.
    """

    config: Config
    work: Path
    learned: Path
    live: "Client | None" = None

    def data_health(self) -> JsonObject:
        """What came in, what was repaired or set aside, and what can and cannot be done with the shop's data."""
        with self._open() as store:
            health = Health.load(store)
            return {"text": str(health), **health.model_dump(mode="json")}

    def plan(self) -> JsonObject:
        """The plan: budget, expected gain with interval and evidence, what must be believed, and each offer given."""
        with self._open() as store:
            made = Plan.load(store)
            return {"text": str(made), **made.figures(), "offers": made.offers.to_dicts()}

    def what_if(self, budget_cents: int) -> JsonObject:
        """What the best plan would earn at another budget, in minor units; nothing is changed. To plan with it a person
        runs the command in `command`."""
        with self._open() as store:
            curve = Plan.load(store).curve
        found = curve.what_if(float(budget_cents))
        if found is None:
            ends = curve.frame["budget_cents"].to_list()[-1:]
            raise InputError(
                "budget_out_of_range",
                gettext_lazy(
                    "what_if: the curve knows no budget of {budget_cents}; it ends at {ends}",
                    budget_cents=budget_cents,
                    ends=ends,
                ),
            )
        return {**found.model_dump(), "command": f"promolift plan --budget {budget_cents}"}

    def curve(self) -> JsonObject:
        """What the best plan earns with each budget: points of budget, gain, cost, price and customers treated."""
        with self._open() as store:
            return {"points": Plan.load(store).frontier.to_dicts()}

    def explain_customer(self, customer_id: str) -> JsonObject:
        """Why the plan decided so for a customer: the decision with its probability and reason, the words, the offers
        that were open (the best and the one decided for, in minor units; `charge_cents` is what an offer takes of the
        budget), and how many others were closed for which reason."""
        with self._open() as store:
            made = Plan.load(store)
            decided = made.decision_of(customer_id)
            if decided.is_empty():
                raise InputError(
                    "customer_unknown",
                    gettext_lazy(
                        "no decision for a customer {customer_id}; `promolift plan` decides for everybody",
                        customer_id=repr(customer_id),
                    ),
                )
            own = made.of(customer_id)
            best = own.filter("eligible").sort("gain_cents", descending=True, nulls_last=True).with_row_index("at")
            rows = best.filter((pl.col("at") < OPEN_OFFERS_SHOWN) | (pl.col("offer_id") == decided["offer_id"].item()))
            beyond = rows.filter(pl.col("offer_id") != NONE)
            offers = printable_offers(Job(self.config, store, no_progress), made, beyond) | Offers.load(store).by_id
            text = Messages.load(store).rows.filter(customer_id=customer_id) if Messages.has(store) else pl.DataFrame()
        titles = {offer_id: describe_offer(offer, current_locale()) for offer_id, offer in offers.items()}
        closed = (
            own.filter(~pl.col("eligible")).group_by(why="why_not").agg(offers=pl.len(), such_as=pl.col("target").min())
        )
        return {
            "decision": _plain(decided.select(cs.exclude(cs.list(), cs.struct())).to_dicts()[0]),
            "message": _message(text.to_dicts()[0]) if text.height else None,
            "open": [
                _plain(row) | {"offer": titles.get(row["offer_id"]) or gettext("no offer")}
                for row in rows.select(OFFER_COLUMNS).to_dicts()
            ],
            "closed": [_plain(row) for row in closed.sort("offers", "why", descending=[True, False]).to_dicts()],
        }

    def other_policies(self) -> JsonObject:
        """What other policies would have earned at equal spend, beside the plan; who leads, by how much, and whether
        that is beyond chance."""
        with self._open() as store:
            found = Evaluation.load(store)
            rows = [] if found.judged is None else found.judged.to_dicts()
            lead = found.lead.model_dump() | {"shown": found.lead.shown} if found.lead else None
            return {"policies": [_plain(row) for row in rows], "lead": lead, "missing": found.unchecked}

    def verdict(self) -> JsonObject:
        """What the promotions earned over the holdout, by the last `promolift learn`: answer, rule, interval,
        drift; and the proposal that waits for a person."""
        path = self.learned / "learn.json"
        if not path.is_file():
            raise InputError(
                "results_missing",
                gettext_lazy(
                    "nothing was learned yet: no {path}; `promolift learn` reads decisions and what came of them",
                    path=path,
                ),
            )
        said = proposal.show_proposal(proposal.ProposalLocation(self.config, self.work, self.learned))
        return {**load_messages(path.read_text(encoding="utf-8")), "text": said.text}

    def next_step(self) -> JsonObject:
        """Where the shop stands (data, planned, testing, learning, paying, stopped), and the command to give now."""
        return _summed(proposal.show_shop_status(self.config, self.work, self.learned))

    def check_text(
        self, text: str, offer_id: str, language: Language | None = None, channel: Channel = "plain"
    ) -> JsonObject:
        """Whether a text is true of a planned offer and keeps the rules of its channel: what is not, word by word."""
        with self._open() as store:
            asked = text_pool.TextCheck(offer_id, language, channel)
            return _summed(
                text_pool.check_texts(self.config, store, [text_pool.OfferText(text, offer_id)], asked, "check_text")
            )

    def draft_text(self, angle: Angle, language: Language, title: str, hook: str, call: str = "") -> JsonObject:
        """Put a text into the shop's pool as a draft. It is linted at once, and sent to nobody before a person approved
        it. Numbers, products and dates are slots such as {deal}, which code fills truly."""
        return _summed(text_pool.add_draft(self.config, angle, language, Draft(title, hook, call), "an agent (MCP)"))

    def offer_now(self, customer_id: str, campaign_id: str) -> JsonObject:
        """What a live server would decide for a customer now, with its words; nothing is kept or counted."""
        asked = {"customer_id": customer_id, "campaign_id": campaign_id}
        return dict(self._server.call("POST", "/v1/decisions:dry", asked))

    def explain_decision(self, decision_id: str) -> JsonObject:
        """Why a decision of the live server was made: what was open at which worth, what was closed and why."""
        return dict(self._server.explain(decision_id))

    def test_verdict(self, campaign_id: str) -> JsonObject:
        """The running test of a campaign: its verdicts as of now, each with its rule."""
        return dict(self._server.call("GET", f"/v1/campaigns/{campaign_id}/experiment"))

    def draft_release(self) -> JsonObject:
        """Freeze the plan with its words as a release of the live server. It decides nothing before a person activates
        it."""
        made = self._server.call("POST", "/v1/releases", headers={"idempotency-key": os.urandom(16).hex()})
        return {
            **made,
            "approve": "a person activates it, in the console under Plan or by POST /v1/releases/{id}:activate",
        }

    @property
    def _server(self) -> "Client":
        assert self.live is not None, "tools of a live server are offered only with one"
        return self.live

    def report(self) -> str:
        """The text of the report: everything the shop's page says."""
        with self._open() as store:
            return page_text(render(build_story(Job(self.config, store, no_progress))))

    def _open(self) -> Store:
        if not exists(self.work):
            raise InputError(
                "step_missing", gettext_lazy("{work}: no work folder; `promolift run` makes it", work=self.work)
            )
        return Store(self.work)


def _message(row: JsonObject) -> JsonObject:
    return {"reason": reason_text(row["reason_facts"])} | _plain(
        {name: row[name] for name in MESSAGE_COLUMNS if name in row}
    )


OPEN_OFFERS_SHOWN = 10  # open offers of a customer in an answer
OFFER_COLUMNS = ("offer_id", "menu_id", "target", "gain_cents", "cost_cents", "charge_cents", "redeem_prob", "evidence")
MESSAGE_COLUMNS = ("angle", *(f"{name}_{each}" for each in LANGUAGES for name in ("title", "message")))
SHOP_TOOLS = (
    McpTools.data_health, McpTools.plan, McpTools.what_if, McpTools.curve, McpTools.explain_customer,
    McpTools.other_policies, McpTools.verdict, McpTools.next_step, McpTools.check_text,
)  # fmt: skip
LIVE_TOOLS = (McpTools.offer_now, McpTools.explain_decision, McpTools.test_verdict)
DRAFT_TOOLS = (McpTools.draft_text, McpTools.draft_release)


def build_mcp_server(tools: McpTools) -> "MCPServer":
    """Return a server with the tools, resources and prompts of a shop, and those of a live server if there is one.

    Raises ConfigError where the extra `agents` is not installed.
    """
    try:
        from mcp.server import MCPServer
        from mcp_types import ToolAnnotations
    except ImportError:
        raise ConfigError(
            "extra_missing", gettext_lazy("mcp needs the package of this name; pip install 'promolift[agents]'")
        ) from None
    server = MCPServer("promolift", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR")
    reads = [*SHOP_TOOLS, *(LIVE_TOOLS if tools.live else ())]
    drafts = [each for each in DRAFT_TOOLS if tools.live or each is not McpTools.draft_release]
    for tool in (*reads, *drafts):
        hints = ToolAnnotations(read_only_hint=tool in reads, destructive_hint=False, open_world_hint=False)
        server.tool(annotations=hints)(_answering(tools, tool))
    server.resource("promolift://plan", mime_type="text/plain")(_answering(tools, McpTools.plan, "text"))
    server.resource("promolift://report", mime_type="text/plain")(_answering(tools, McpTools.report))
    server.resource("promolift://glossary", mime_type="text/markdown")(glossary)
    server.prompt(name="weekly_review", description="What the last week earned, and what to do next")(
        lambda: WEEKLY_REVIEW_PROMPT
    )
    server.prompt(description="Whether promotions have to do with it, step by step")(why_did_revenue_fall)
    return server


def glossary() -> str:
    """The words that plan, report and tools use, with their meaning."""
    return files("promolift").joinpath("extensions/agents/glossary.md").read_text(encoding="utf-8")


def why_did_revenue_fall(since: str = "") -> str:
    """`since`: a day or a week, in words."""
    return REVENUE_FELL_PROMPT.format(since=f" since {since}" if since else "")


def _answering(tools: McpTools, tool: Callable[..., Any], part: str = "") -> Callable[..., Any]:
    """A method as a function of an agent's arguments, in the shop's language; what a person could repair is told."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    def answer(**given: Any) -> Any:
        try:
            with use_locale(tools.config.report_language):
                found = tool(tools, **given)
        except PromoError as error:
            raise ToolError(str(error)) from None
        return found[part] if part else found

    own = signature(tool)
    kept = [each for name, each in own.parameters.items() if name != "self"]
    returns = str if part else own.return_annotation
    answer.__signature__ = own.replace(parameters=kept, return_annotation=returns)  # type: ignore[attr-defined]
    answer.__annotations__ = {name: each for name, each in tool.__annotations__.items() if name != "return"} | {
        "return": returns
    }
    return answer


def run_mcp_server(tools: McpTools, port: int | None = None) -> None:
    """Serve on stdin and stdout, or with a port over HTTP on this machine only, because nothing authenticates there."""
    server = build_mcp_server(tools)
    if port is None:
        server.run()
    else:
        server.run("streamable-http", host="127.0.0.1", port=port)


def live_client() -> "Client | None":
    """Return a client of the server at PROMOLIFT_URL with the key PROMOLIFT_KEY; None if no URL is set."""
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return None
    if not (key := os.environ.get(KEY_VARIABLE)):
        raise ConfigError(
            "setting_missing",
            gettext_lazy(
                "{url_variable} is set; set {key_variable}, too: a key of that server",
                url_variable=URL_VARIABLE,
                key_variable=KEY_VARIABLE,
            ),
        )
    from promolift.server.api.client import Client

    return Client(url, key)


def _summed(summary: StepSummary) -> JsonObject:
    return {"text": summary.text, **summary.figures}


def _plain(row: dict[str, Any]) -> JsonObject:
    """A table's row without what is missing in it."""
    return {name: value for name, value in row.items() if value is not None}


class _Texts(HTMLParser):
    """The texts of a page, those of scripts and styles left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("script", "style", "svg"):
            self._within = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._within:
            self._within = ""

    def handle_data(self, data: str) -> None:
        if not self._within and data.strip():
            self.found.append(" ".join(data.split()))


def page_text(page: str) -> str:
    """Return the text of an HTML page, a line per piece of text."""
    texts = _Texts()
    texts.feed(page)
    return "\n".join(texts.found)
