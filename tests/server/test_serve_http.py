"""The door: keys, rates, sizes, errors that name the field, retries that run once, logs that name nobody."""

import base64
import io
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from error_checks import raises_code
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded, released, serving
from sqlalchemy import select

from promolift.cli.application import main
from promolift.server.api.api_keys import required_scope
from promolift.server.api.client import Client, ServerRefusedError
from promolift.server.api.observability import JsonLines, tracing_options
from promolift.server.ledger.audit_log import list_records
from promolift.server.ledger.schema import REDEMPTIONS
from promolift.server.startup import read_settings
from promolift.shop.configuration.configuration import Config

POLICY = f"/v1/campaigns/{CAMPAIGN}"
LIMIT = {"limit_id": "l1", "metric": "discount_amount", "amount": 250}


def money(api: Api, *limits: dict[str, Any]) -> None:
    api("PUT", POLICY, {"limits": list(limits)})
    coded(api)


def test_every_path_but_health_and_the_document_needs_a_key(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method in operations:
            reply = api.client.request(method, path.replace("{", "").replace("}", ""))
            expected = 200 if path.startswith("/health") or path == "/promolift.js" else 401
            assert reply.status_code == expected, (method, path)
            if expected == 401:
                assert reply.json()["code"] == "key_missing"
                assert reply.headers["content-type"] == "application/problem+json"
    assert api.client.get("/nowhere").status_code == 401


def test_a_key_may_do_what_its_scope_says_and_nothing_more(api: Api) -> None:
    keys = {scope: api("POST", "/v1/keys", {"scope": scope, "name": "n"}, 201) for scope in ("write", "decide")}
    write, decide = Api(api.client, keys["write"]["key"]), Api(api.client, keys["decide"]["key"])
    event = {"userId": "u01", "event": "x", "messageId": "m"}
    assert write("POST", "/v1/track", event, 202)["accepted"] == 1
    assert write("POST", "/v1/decisions", {"customer_id": "u01"}, 403)["code"] == "scope_missing"
    assert decide("POST", "/v1/track", event, 202)["duplicates"] == 1
    assert decide.decide("u01")["decision_id"]
    for path in ("/v1/keys", "/v1/audit", POLICY, "/v1/exports/events.csv", "/metrics", "/v1/privacy/u01:export"):
        assert required_scope("POST", path) == "admin"
        assert decide("GET", path, status=403)
    api("DELETE", f"/v1/keys/{keys['decide']['key_id']}")
    assert decide("POST", "/v1/decisions", {"customer_id": "u01"}, 401)
    shown = json.dumps(api("GET", "/v1/keys"))
    assert "hash" not in shown
    with api.server.ledger.read() as db:
        assert keys["write"]["key"] not in json.dumps(list_records(db, "key"))


def test_a_key_revoked_by_another_process_on_the_same_ledger_is_soon_refused(
    shop: tuple[Path, Config], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promolift.server.api.server.TASK_EVERY_S", 0.02)
    with serving(folder, shop[1]) as one, serving(folder, shop[1]) as two:
        made = one("POST", "/v1/keys", {"scope": "decide", "name": "n"}, 201)
        theirs = Api(two.client, made["key"])
        end = monotonic() + 20
        while theirs("POST", "/v1/decisions", {"customer_id": "u01"}, None).get("status") == 401 and monotonic() < end:
            sleep(0.02)
        theirs("POST", "/v1/decisions", {"customer_id": "u01"})
        one("DELETE", f"/v1/keys/{made['key_id']}")
        while theirs("POST", "/v1/decisions", {"customer_id": "u01"}, None).get("status") != 401 and monotonic() < end:
            sleep(0.02)
        theirs("POST", "/v1/decisions", {"customer_id": "u01"}, 401)


def test_basic_authorization_is_read_as_the_segment_clients_send_it(api: Api) -> None:
    packed = base64.b64encode(f"{api.key}:".encode()).decode()
    headers = {"authorization": f"Basic {packed}"}
    event = {"userId": "u01", "event": "x", "messageId": "m"}
    assert api.client.post("/v1/track", json=event, headers=headers).status_code == 202
    for wrong in ("Basic ***", "Basic", "Bearer", "Digest x", packed):
        assert api.client.post("/v1/track", json=event, headers={"authorization": wrong}).status_code == 401


def test_wrong_fields_are_named_by_pointer(api: Api) -> None:
    stated = api("POST", "/v1/decisions", {"customer_id": "", "channel": "fax", "extra": 1}, 422)
    assert {each["pointer"] for each in stated["errors"]} == {"/customer_id", "/channel", "/extra"}
    deep = api("PUT", POLICY, {"policy": {"caps": [{"offers": -1, "days": 1}]}}, 422)
    assert deep["errors"][0]["pointer"] == "/policy/caps/0/offers"
    assert api("POST", "/v1/redemptions:reserve", claim(1, 1.5), 422)["errors"][0]["pointer"] == "/amount_cents"
    assert stated["request_id"].startswith("req_")


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"customer_id": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_400(api: Api, body: bytes) -> None:
    headers = {"authorization": f"Bearer {api.key}", "content-type": "application/json"}
    for path in ("/v1/decisions", "/v1/batch", "/v1/redemptions:reserve"):
        reply = api.client.post(path, content=body, headers=headers)
        assert reply.status_code in (400, 422), (path, reply.text)
        assert "Traceback" not in reply.text


def test_bodies_and_batches_have_bounds(shop: tuple[Path, Config], folder: Path) -> None:
    with serving(folder, shop[1], body_bytes=2000, batch_events=3) as api:
        assert api("POST", "/v1/batch", {"batch": ["x" * 3000]}, 413)["code"] == "body_too_large"
        assert api("POST", "/v1/batch", {"batch": [1] * 4}, 413)["code"] == "batch_too_large"
        headers = {"authorization": f"Bearer {api.key}"}
        chunks = api.client.post("/v1/batch", content=(b" " * 1000 for _ in range(5)), headers=headers)
        assert chunks.status_code == 413


def test_too_many_requests_are_told_when_to_come_again(shop: tuple[Path, Config], folder: Path) -> None:
    with serving(folder, shop[1], rate_per_second=0.01, burst=2) as api:
        for _ in range(2):
            api("GET", "/v1/campaigns")
        headers = {"authorization": f"Bearer {api.key}"}
        reply = api.client.get("/v1/campaigns", headers=headers)
        assert reply.status_code == 429
        assert 1 <= int(reply.headers["retry-after"]) <= 100


def test_what_nobody_foresaw_is_a_500_without_its_inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(*_: object) -> None:
        raise ZeroDivisionError("secret text of u01@example.com")

    monkeypatch.setattr("promolift.server.api.routes.admin.list_records", boom)
    stated = api("GET", "/v1/campaigns", status=500)
    assert stated["code"] == "internal"
    assert "secret" not in json.dumps(stated)
    assert "Zero" not in json.dumps(stated)


def test_a_code_is_accepted_as_people_type_it(api: Api, folder: Path) -> None:
    given = (api.decide(f"u{n:02d}") for n in range(60))
    made = next(each for each in given if each["offer_id"] != "none")
    use = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 100}
    wide = "".join(chr(ord(char) + 0xFEE0) for char in made["code"].lower())
    typed = (made["code"], made["code"].lower().replace("-", " "), made["code"].replace("-", ""), wide,
             wide.replace("\uff0d", "\u3000"), f"  {made['code']}\t")  # fmt: skip
    for code in typed:
        held = api("POST", "/v1/redemptions:reserve", use | {"code": code})
        assert held["code"] == made["code"]
        api("POST", "/v1/redemptions:rollback", {"redemption_id": held["redemption_id"]})
    wrong = made["code"][:-1] + ("2" if made["code"][-1] != "2" else "3")
    assert api("POST", "/v1/redemptions:reserve", use | {"code": wrong}, 404)["code"] == "code_unknown"
    assert api("POST", "/v1/redemptions:reserve", use | {"code": "\x00"}, 422)["errors"][0]["pointer"] == "/code"


def test_the_same_idempotency_key_runs_once_and_another_payload_is_refused(api: Api) -> None:
    money(api, LIMIT)
    wish = {k: v for k, v in claim(0).items() if k != "redemption_id"}
    other_code = wish | {"code": "C1"}
    first = api("POST", "/v1/redemptions:reserve", wish, idempotency_key="k1")
    assert api("POST", "/v1/redemptions:reserve", wish, idempotency_key="k1") == first
    other = api("POST", "/v1/redemptions:reserve", wish | {"amount_cents": 1}, 422, idempotency_key="k1")
    assert other["code"] == "idempotency_key_reused"
    second = api("POST", "/v1/redemptions:reserve", other_code, idempotency_key="k2")
    assert second["redemption_id"] != first["redemption_id"]
    full = wish | {"code": "C2"}
    refused = api("POST", "/v1/redemptions:reserve", full, 409, idempotency_key="k3")
    assert refused["code"] == "limit_reached"
    assert refused["reason"] == {"zh": "优惠额度已用完", "en": "The limit of this offer is reached"}
    api("POST", "/v1/redemptions:rollback", {"redemption_id": first["redemption_id"]}, idempotency_key="k4")
    again = api("POST", "/v1/redemptions:reserve", full, 409, idempotency_key="k3")  # a refusal is an answer, too
    assert again["code"] == "limit_reached"
    key = api("POST", "/v1/keys", {"scope": "admin", "name": "next"}, 201)["key"]
    renewed = Api(api.client, key)
    assert renewed("POST", "/v1/redemptions:reserve", wish, idempotency_key="k1") == first  # keys are replaced
    assert renewed("POST", "/v1/redemptions:reserve", full)["status"] == "reserved"
    with api.server.ledger.read() as db:
        assert len(db.execute(select(REDEMPTIONS.c.redemption_id)).all()) == 3


def test_a_decision_asked_for_again_with_its_key_is_the_same_decision(api: Api) -> None:
    asked = {"customer_id": "u01"}
    first = api("POST", "/v1/decisions", asked, idempotency_key="d1")
    assert api("POST", "/v1/decisions", asked, idempotency_key="d1") == first
    assert api("POST", "/v1/decisions", asked, idempotency_key="d2")["decision_id"] != first["decision_id"]
    assert api("POST", "/v1/decisions", {"customer_id": "u02"}, 422, idempotency_key="d1")


def test_a_request_that_still_runs_is_409(api: Api) -> None:
    coded(api)
    gate, running = threading.Event(), threading.Event()

    def slow(_: object, some: list[object]) -> list[object]:
        running.set()
        gate.wait(10)
        return some

    api.server.ledger.submit(slow)
    running.wait(10)
    replies: list[int] = []
    money_ = claim(1)

    def send() -> None:
        headers = {"authorization": f"Bearer {api.key}", "idempotency-key": "k"}
        replies.append(api.client.post("/v1/redemptions:reserve", json=money_, headers=headers).status_code)

    thread = threading.Thread(target=send)
    thread.start()
    while not api.server._running:
        pass
    assert api("POST", "/v1/redemptions:reserve", money_, 409, idempotency_key="k")["code"] == "running"
    gate.set()
    thread.join()
    assert replies == [200]


def test_money_goes_from_reserved_to_spent_or_back_over_http(api: Api) -> None:
    money(api, LIMIT)
    api("POST", "/v1/redemptions:reserve", claim(1))
    assert (
        api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_1", "amount_cents": 60})["status"] == "confirmed"
    )
    api("POST", "/v1/redemptions:reserve", claim(2))
    api("POST", "/v1/redemptions:rollback", {"redemption_id": "rdm_2"})
    assert {(limit["held"], limit["spent"]) for limit in api("GET", POLICY)["limits"]} == {(0, 60)}
    assert api("GET", "/v1/redemptions/rdm_2")["status"] == "rolled_back"
    assert api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_9"}, 404)["code"] == "redemption_unknown"
    assert api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_2"}, 409)["code"] == "already_rolled_back"
    assert api("POST", "/v1/redemptions:reserve", claim(1, customer_id="u02"), 409)
    assert api("GET", "/v1/audit:verify")["holds"]


def test_a_reservation_by_decision_must_be_for_what_was_decided(api: Api) -> None:
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    use = {"customer_id": made["customer_id"], "amount_cents": 1, "decision_id": made["decision_id"]}
    assert api("POST", "/v1/redemptions:reserve", use)["offer_id"] == made["offer_id"]
    assert api("POST", "/v1/redemptions:reserve", use | {"customer_id": "u59"}, 422)["code"] == "decision_of_another"
    assert api("POST", "/v1/redemptions:reserve", use | {"offer_id": "off_y"}, 422)
    assert api("POST", "/v1/redemptions:reserve", use | {"decision_id": "dec_0"}, 404)
    nothing = {"customer_id": "u01", "amount_cents": 1}
    assert api("POST", "/v1/redemptions:reserve", nothing, 422)["errors"][0]["pointer"] == "/decision_id"


def test_feedback_joins_its_decision_and_counts_once(api: Api) -> None:
    made = api.decide("u01")["decision_id"]
    stated = {"decision_id": made, "value_cents": 500, "message_id": "f1"}
    assert api("POST", "/v1/feedback", stated, 202)["accepted"] == 1
    assert api("POST", "/v1/feedback", stated, 202)["duplicates"] == 1
    assert api("POST", "/v1/feedback", stated | {"decision_id": "dec_0"}, 404)["code"] == "decision_unknown"


def test_logs_name_routes_and_keys_and_nobody(api: Api) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("promolift.server")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        who = "ann.lee@example.com"
        api.decide(who)  # what goes well here is counted, not logged
        api("POST", "/v1/decisions", {"customer_id": who, "channel": "fax"}, 422)
        api("POST", f"/v1/privacy/{who}:export")
        api("POST", "/v1/track", {"userId": who, "event": "x", "messageId": "m"}, 202)
        logger.error("call %s on +86 138 0000 0000", who)
    finally:
        logger.removeHandler(handler)
        logger.setLevel("NOTSET")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("route") for line in lines] == [
        "/v1/decisions", "/v1/privacy/{subject}:export", None,
    ]  # fmt: skip
    text = stream.getvalue()
    assert "example.com" not in text
    assert "0000 0000" not in text
    assert api.key not in text
    assert all(line["request_id"] for line in lines[:2])


def test_a_decision_that_fails_is_logged_with_its_place_and_without_the_customer(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("promolift.server.decisions.decisions.candidates", lambda *_: {}["ann-lee"])
    assert api.decide("ann-lee")["reason"] == "failure: KeyError"
    (record,) = [each for each in caplog.records if each.getMessage() == "decision failed"]
    line = JsonLines().format(record)
    assert "ann-lee" not in line
    assert "decisions.py" in line


def test_a_traceback_in_the_log_has_places_and_no_values() -> None:
    try:
        raise ValueError("ann@example.com")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})
    line = json.loads(JsonLines().format(record))
    assert line["error"] == "ValueError"
    assert "test_serve_http.py" in line["where"][0]
    assert "ann" not in json.dumps(line)


def test_metrics_and_health_tell_how_it_goes(api: Api) -> None:
    api.decide("u01")
    page = api("GET", "/metrics").text
    assert 'promolift_requests_total{route="/v1/decisions",status="200"} 1.0' in page
    assert "promolift_decisions_total" in page
    assert api.client.get("/health/ready").json()["status"] == "ready"
    api.server.ledger.close()
    until = monotonic() + 20
    while api.client.get("/health/ready").status_code == 200 and monotonic() < until:
        sleep(0.1)
    assert api.client.get("/health/ready").status_code == 503
    assert api.client.get("/health/live").status_code == 200
    assert api.decide("u01")["reason"].startswith("failure")
    assert api("POST", "/v1/track", {"userId": "u", "event": "x"}, 503)["code"] == "ledger_unavailable"


def test_otel_variables_without_the_package_are_told_and_change_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "promolift")
    monkeypatch.setattr("promolift.server.api.observability.find_spec", lambda _: None)
    assert tracing_options() == {}
    assert "nothing is traced" in caplog.text
    monkeypatch.setattr("promolift.server.api.observability.find_spec", lambda _: True)
    stated = tracing_options()["telemetry"]
    assert stated["auto_configure"] is True
    assert stated["logs"] is False  # a log record would hold an exception's words
    assert stated["exclude"]({"path": "/v1/privacy/ann@example.com:export"})
    assert not stated["exclude"]({"path": "/v1/decisions"})
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert tracing_options() == {}


SPANS = """
import json, os, sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient
from promolift.server.api.app import create
from promolift.server.settings import ServeSettings
spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
app = create(ServeSettings(work=Path(sys.argv[1])))
with TestClient(app) as client:
    headers = {"authorization": f"Bearer {app.server.first_key}"}
    client.post("/v1/decisions", json={"customer_id": "ann@example.com"}, headers=headers)
    client.post("/v1/track", json={"userId": "ann@example.com", "event": "x"}, headers=headers)
    client.post("/v1/privacy/ann@example.com:export", headers=headers)
    client.get("/v1/campaigns", headers=headers)
print(json.dumps([[span.name, str(dict(span.attributes or {}))] for span in spans.get_finished_spans()]))
"""


def test_with_opentelemetry_installed_requests_are_traced_and_name_nobody(tmp_path: Path) -> None:
    more = os.environ.get("PROMOLIFT_TEST_OTEL", "")
    path = os.pathsep.join(filter(None, [more, os.environ.get("PYTHONPATH", "")]))
    env = os.environ | {"PYTHONPATH": path, "OTEL_SERVICE_NAME": "promolift"}
    env |= {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
    if subprocess.run(
        [sys.executable, "-c", "import opentelemetry.sdk"], env=env, capture_output=True, check=False
    ).returncode:
        pytest.skip("needs opentelemetry-sdk; name the folder it is in in PROMOLIFT_TEST_OTEL")
    command = [sys.executable, "-c", SPANS, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    spans = json.loads(done.stdout.splitlines()[-1])
    names = " ".join(name for name, _ in spans)
    for route in ("/v1/decisions", "/v1/track", "/v1/campaigns"):
        assert route in names
    assert "ann" not in json.dumps(spans).replace("/channel", "")
    assert "privacy" not in names


def test_the_client_speaks_the_api_and_tries_again_with_the_same_key(api: Api) -> None:
    sent: list[httpx.Request] = []

    def forward(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if len(sent) == 1:
            raise httpx.ConnectError("lost")
        headers = {k: v for k, v in request.headers.items() if k != "host"}
        reply = api.client.request(request.method, request.url.path, content=request.content, headers=headers)
        return httpx.Response(reply.status_code, content=reply.content, headers={"content-type": "application/json"})

    with Client("http://shop", api.key, transport=httpx.MockTransport(forward)) as client:
        money(api, LIMIT)
        held = client.reserve("u01", 100, code="C1")
        assert sent[0].headers["idempotency-key"] == sent[1].headers["idempotency-key"]
        assert client.confirm(held["redemption_id"])["status"] == "confirmed"
        assert client.rollback(held["redemption_id"])["status"] == "rolled_back"
        made = client.decide("u01")
        assert client.feedback(made["decision_id"], 300)["accepted"] == 1
        assert client.explain(made["decision_id"])["decision_id"] == made["decision_id"]
        assert client.track([{"userId": "u01", "event": "x"}])["accepted"] == 1
        with raises_code("redemption_unknown", "404", kind=ServerRefusedError):
            client.confirm("rdm_none")


def test_the_servers_settings_name_the_wrong_key(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text("deadline_m = 5\n", encoding="utf-8")
    with raises_code("setting_unknown", str(path), "'deadline_m'", "'deadline_ms'"):
        read_settings(path, tmp_path)
    path.write_text("deadline_ms = 5\n", encoding="utf-8")
    with raises_code("setting_invalid", str(path), "deadline_ms = 5", "10"):
        read_settings(path, tmp_path)
    assert read_settings(None, tmp_path).ledger_url.startswith("sqlite:///")


def test_the_verb_serve_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--help"])
    assert stop.value.code == 0
    assert "over HTTP" in capsys.readouterr().out


def test_codes_limits_and_offers_are_listed_for_an_admin(api: Api) -> None:
    offers = api("GET", f"{POLICY}/offers")["data"]
    assert offers[0]["menu"]["benefit"]["type"] == "percent_off"
    added = api("POST", f"{POLICY}/codes", {"offer_id": offers[0]["offer_id"], "codes": ["A1", "A2", "A1"]})
    assert added == {"added": 2, "left": 2}
    twice = [LIMIT, LIMIT]
    assert api("PUT", POLICY, {"limits": twice}, 422)["code"] == "limit_id_taken"
    assert released(api)
    pages, cursor = [], 0
    while cursor is not None:
        page = api("GET", f"/v1/audit?limit=2&cursor={cursor}")
        pages, cursor = pages + page["data"], page["next"]
    assert [row["seq"] for row in pages] == list(range(1, len(pages) + 1))


ODD = [
    None,
    0,
    "",
    "x" * 300,
    [],
    {},
    [None],
    {"": None},
    {"customer_id": ["u01"]},
    {"batch": {"a": 1}},
    "\u0000",
    -1e308,
]


def test_no_odd_body_or_id_on_any_path_is_a_server_error(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.key}"}
    document = api.client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for odd in ODD if "requestBody" in operation else ODD[:2]:
                named = path.replace("{table}", "events").replace("{kind}", "csv")
                for name in (
                    "campaign_id",
                    "release_id",
                    "key_id",
                    "webhook_id",
                    "decision_id",
                    "redemption_id",
                    "subject",
                ):
                    named = named.replace("{" + name + "}", "%00é" if odd is None else "nothing")
                reply = api.client.request(method, named, json=odd, headers=headers)
                assert reply.status_code < 500, (method, named, odd, reply.text)
                if reply.is_error and "errorCode" not in reply.text:  # OFREP has errors of its own form
                    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "wrong", [{"planned_customers": 10**400}, {"least": 10**400}, {"name": "a\0"}, {"name": "a\n"}, {"name": "x" * 257},
              {"arms": {"": 1.0}}, {"arms": {"\0": 1.0}}],
    ids=str,
)  # fmt: skip
def test_a_design_that_no_formula_or_database_takes_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    design = {"name": "t", "arms": {"a": 1.0}, "planned_customers": 60, "primary": "value_cents"} | wrong
    release = api("GET", f"/v1/campaigns/{CAMPAIGN}")["release"]
    asked = {"design": design, "releases": dict.fromkeys(design["arms"], release)}
    assert api("PUT", f"/v1/campaigns/{CAMPAIGN}/experiment", asked, 422)["code"] == "invalid"
