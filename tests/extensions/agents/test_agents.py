"""What an agent may ask, asked with the official client of the Model Context Protocol: stdio, HTTP and in memory."""

import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from error_checks import raises_code

pytest.importorskip("fastapi")
pytest.importorskip("mcp")
import anyio
import httpx
import mcp
import uvicorn
from console_helpers import CONFIG
from serve_helpers import Api, free_port, released, serving

from promolift.extensions.agents.mcp_server import McpTools, build_mcp_server, glossary, live_client
from promolift.foundation.storage.local_store import Store
from promolift.server.api.client import Client
from promolift.shop.pipeline import text_pool
from promolift.shop.pipeline.pool_file import load_pool
from promolift.shop.results.plan import Plan

Ask = Callable[[Any], Awaitable[Any]]
READS = {
    "data_health", "plan", "what_if", "curve", "explain_customer", "other_policies", "verdict", "next_step",
    "check_text",
}  # fmt: skip
LIVE = {"offer_now", "explain_decision", "test_verdict"}


@pytest.fixture
def desk(told: Path, tmp_path: Path) -> McpTools:
    """Of the drawn shop, with a pool of texts of its own."""
    message = CONFIG.message.model_copy(update={"pool": str(tmp_path / "words.jsonl"), "approve": "judged"})
    return McpTools(CONFIG.model_copy(update={"message": message}), told, tmp_path / "learned")


def asked(target: Any, ask: Ask) -> Any:
    """What comes of an asking client: of a server in memory, a program on stdio, or an address."""

    async def go() -> Any:
        async with mcp.Client(target) as client:
            return await ask(client)

    return anyio.run(go)


def tool(target: Any, name: str, **given: Any) -> Any:
    """A tool's answer; InputError's words where it is refused."""

    async def ask(client: Any) -> Any:
        found = await client.call_tool(name, given)
        text = found.content[0].text
        assert found.is_error or json.loads(text) == found.structured_content
        return text if found.is_error else found.structured_content

    return asked(target, ask)


def test_each_figure_is_that_of_the_plan(desk: McpTools) -> None:
    server = build_mcp_server(desk)
    with Store(desk.work) as store:
        plan = Plan.load(store)
        points, offers, decided = plan.frontier.height, plan.offers.to_dicts(), plan.decisions.row(3, named=True)
        half, value = plan.curve.what_if(plan.note.budget_cents / 2), plan.summary.value_cents
    given = tool(server, "plan")
    assert (given["value_cents"], given["evidence"], given["offers"]) == (value, plan.note.evidence, offers)
    assert len(tool(server, "curve")["points"]) == points
    assert half is not None
    found = tool(server, "what_if", budget_cents=round(plan.note.budget_cents / 2))
    assert found["gain_cents"] == pytest.approx(half.gain_cents)
    assert found["command"] == f"promolift plan --budget {round(plan.note.budget_cents / 2)}"
    assert "the curve knows no budget" in tool(server, "what_if", budget_cents=10**12)
    said = tool(server, "explain_customer", customer_id=decided["customer_id"])
    assert said["decision"]["offer_id"] == decided["offer_id"]
    assert said["decision"]["propensity"] == decided["propensity"]
    assert said["open"][0]["gain_cents"] == max(each["gain_cents"] for each in said["open"])
    assert any(" off " in each["offer"] for each in said["open"])
    assert not any(each["menu_id"] in each["offer"] for each in said["open"])  # a title, not the id of a menu line
    with Store(desk.work) as store:
        for who, offer_id in Plan.load(store).chosen.head(20).select("customer_id", "offer_id").iter_rows():
            listed = tool(server, "explain_customer", customer_id=who)["open"]
            assert offer_id in [each["offer_id"] for each in listed]  # though others would add more
    assert "candidates" not in said["decision"]
    assert all(each["why"] and each["offers"] > 0 for each in said["closed"])
    assert "no decision for a customer" in tool(server, "explain_customer", customer_id="' or true --")
    assert tool(server, "next_step")["next"].startswith("promolift")
    policies = tool(server, "other_policies")
    assert "plan" in {each["policy"] for each in policies["policies"]}


def test_what_was_learned_is_given_as_it_was_written_and_before_that_it_says_what_to_do(desk: McpTools) -> None:
    server = build_mcp_server(desk)
    assert "promolift learn" in tool(server, "verdict")
    desk.learned.mkdir()
    written = {"answer": "better", "rule": "always valid", "low": 1.0, "high": None}
    (desk.learned / "learn.json").write_text(json.dumps(written), "utf-8")
    assert {**written}.items() <= tool(server, "verdict").items()


def test_an_untrue_text_is_refused_and_a_true_one_is_not(desk: McpTools) -> None:
    server = build_mcp_server(desk)
    with Store(desk.work) as store:
        offer = next(each for each in text_pool.Offers.load(store).offers if each.benefit.type == "percent_off")
    percent = offer.benefit.percent
    lie = tool(server, "check_text", text="90% off everything, for ever!", offer_id=offer.id, language="en")
    assert lie["refused"] == 1
    assert f"{percent}" in tool(server, "check_text", text="x", offer_id="off_none")  # it names those that there are
    assert lie["texts"][0]["offer_id"] == offer.id


def test_what_an_agent_writes_is_a_draft_until_a_person_has_said_yes(desk: McpTools) -> None:
    server = build_mcp_server(desk)
    given = {"angle": "generic", "language": "en", "title": "A small thank you", "hook": "Here is something for you"}
    made = tool(server, "draft_text", **given)
    pool = load_pool(Path(desk.config.message.pool))
    (text,) = (each for each in pool.texts if each.text_id == made["text_id"])
    assert text.state in ("drafted", "faulty")
    assert text.writer == "an agent (MCP)"
    assert text not in pool.usable("judged").texts
    assert "has these words already" in tool(server, "draft_text", **given)
    faulty = tool(server, "draft_text", **{**given, "hook": "Everything is 90% off until Friday"})
    assert faulty["state"] == "faulty"


def test_tools_say_whether_they_only_read_and_those_of_a_server_come_with_one(desk: McpTools, api: Api) -> None:
    async def hints(client: Any) -> dict[str, bool]:
        listed = await client.list_tools()
        assert all(each.description for each in listed.tools)
        return {each.name: each.annotations.read_only_hint for each in listed.tools}

    assert asked(build_mcp_server(desk), hints) == dict.fromkeys(READS, True) | {"draft_text": False}
    live = McpTools(desk.config, desk.work, desk.learned, client_of(api))
    drafts = {"draft_text": False, "draft_release": False}
    assert asked(build_mcp_server(live), hints) == dict.fromkeys(READS | LIVE, True) | drafts


@pytest.fixture
def api(folder: Path) -> Iterator[Api]:
    """A server over a copy of the planned folder, its plan released."""
    with serving(folder, CONFIG) as opened:
        released(opened)
        yield opened


def client_of(api: Api) -> Client:
    """Of the server in this process."""

    def forward(request: httpx.Request) -> httpx.Response:
        headers = {k: v for k, v in request.headers.items() if k != "host"}
        reply = api.client.request(
            request.method, request.url.raw_path.decode(), content=request.content, headers=headers
        )
        return httpx.Response(
            reply.status_code, content=reply.content, headers={"content-type": reply.headers["content-type"]}
        )

    return Client("http://shop.test", api.key, transport=httpx.MockTransport(forward))


def test_of_a_live_server_an_agent_gets_what_would_be_decided_and_changes_nothing(desk: McpTools, api: Api) -> None:
    server = build_mcp_server(McpTools(desk.config, desk.work, desk.learned, client_of(api)))
    campaign = desk.config.plan.campaign
    with Store(desk.work) as store:
        customer = Plan.load(store).chosen["customer_id"][0]
    before = api("GET", "/v1/decisions?limit=10")
    told = tool(server, "offer_now", customer_id=customer, campaign_id=campaign)
    assert api("GET", "/v1/decisions?limit=10") == before
    made = api("POST", "/v1/decisions", {"customer_id": customer, "campaign_id": campaign})
    assert told["offer_id"] == made["offer_id"]
    why = tool(server, "explain_decision", decision_id=made["decision_id"])
    assert why["title"] in why["text"]
    assert " off " in why["title"]
    assert "no experiment" in tool(server, "test_verdict", campaign_id=campaign)
    held = api("GET", f"/v1/campaigns/{campaign}")["release"]
    draft = tool(server, "draft_release")
    assert "a person activates it" in draft["approve"]
    assert api("GET", f"/v1/campaigns/{campaign}")["release"] == held


def test_plan_report_glossary_and_prompts(desk: McpTools) -> None:
    async def ask(client: Any) -> tuple[dict[str, str], list[str], str]:
        uris = [str(each.uri) for each in (await client.list_resources()).resources]
        read = {uri: (await client.read_resource(uri)).contents[0].text for uri in uris}
        names = [each.name for each in (await client.list_prompts()).prompts]
        fell = await client.get_prompt("why_did_revenue_fall", {"since": "last Monday"})
        return read, names, fell.messages[0].content.text

    read, names, fell = asked(build_mcp_server(desk), ask)
    assert set(read) == {"promolift://plan", "promolift://report", "promolift://glossary"}
    assert "customers get an offer" in read["promolift://plan"]
    assert read["promolift://glossary"] == glossary()
    assert "{" not in read["promolift://report"][:2000], "text, not script"
    assert names == ["weekly_review", "why_did_revenue_fall"]
    assert "Revenue fell since last Monday." in fell
    for prompt in names:
        assert prompt in (Path(__file__).parents[3] / "docs/agents.md").read_text("utf-8")


def test_the_verb_answers_on_stdio_and_nothing_else_stands_there(told: Path, tmp_path: Path) -> None:
    from mcp import StdioServerParameters

    (tmp_path / "promolift.toml").write_text('[data]\nsource = "complete-journey"\n', "utf-8")
    call = ["-m", "promolift.cli", "mcp", "--config", str(tmp_path / "promolift.toml"), "--work", str(told)]
    target = StdioServerParameters(command=sys.executable, args=call, env={**os.environ}, cwd=tmp_path)
    assert tool(target, "curve")["points"]


def test_over_http_it_answers_this_machine_and_no_page_of_another(desk: McpTools) -> None:
    port = free_port()
    app = build_mcp_server(desk).streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            sleep(0.02)
        assert tool(f"http://127.0.0.1:{port}/mcp", "curve")["points"]
        foreign = {"host": "evil.example", "content-type": "application/json", "accept": "application/json"}
        assert httpx.post(f"http://127.0.0.1:{port}/mcp", json={}, headers=foreign).status_code in (403, 421)
    finally:
        server.should_exit = True
        thread.join()


def test_a_server_needs_its_key_and_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, desk: McpTools) -> None:
    assert live_client() is None
    monkeypatch.setenv("PROMOLIFT_URL", "http://127.0.0.1:1")
    with raises_code("setting_missing", "PROMOLIFT_KEY"):
        live_client()
    monkeypatch.setenv("PROMOLIFT_KEY", "k")
    assert live_client() is not None
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with raises_code("extra_missing", "mcp", "promolift[agents]"):
        build_mcp_server(desk)
