"""Tools for developers: keys, webhooks and their messages, example requests from the OpenAPI document, event checks."""

import json
import shlex
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import select

from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.api.api_keys import required_scope
from promolift.server.api.request_models import HookEvent, KeyIn, WebhookIn
from promolift.server.api.routes import admin
from promolift.server.console.pages.context import PageVisit, Reply, Screen, form, page, sentence
from promolift.server.events import events as room
from promolift.server.ledger.schema import EVENTS, REJECTS, Refused
from promolift.server.translations import translate_group, translate_key, translate_refusal
from promolift.shop.configuration.model_status import endpoint_notes

MESSAGES_SHOWN, MAX_EXAMPLE_DEPTH = 20, 6  # rows of a list; levels of a body that an example fills
DEFAULT_OPERATION = "POST /v1/decisions"
EXAMPLE_VALUES = {"customer_id": "c-1", "order_id": "order-1", "campaign_id": "cmp_1"}


class Operation(NamedTuple):
    """A request that the API takes: what it does, which key it needs, its path's and query's names, and an example."""

    name: str
    text: str
    scope: str
    path_names: list[str]
    query_names: list[str]
    body: str


@page("/developer")
def developer(visit: PageVisit, **shown: str) -> Reply:
    """The screen; `shown` is a secret that is told once."""
    heard = select(EVENTS.c.received_ms, EVENTS.c.name, EVENTS.c.customer_id, EVENTS.c.body)
    refused = select(REJECTS.c.received_ms, REJECTS.c.code, REJECTS.c.detail, REJECTS.c.body)
    hooks = admin.webhooks(visit.call)["data"]
    return Screen("developer/page.html", translate_key("nav", "/developer"), {
        "keys": admin.keys(visit.call)["data"], "scopes": translate_group("scope"),
        "hooks": [each | {"sent": messages(visit, each["webhook_id"])} for each in hooks],
        "unsent": [row for how in ("failed", "expired") for row in unsent(visit, how)],
        "kinds": get_args(HookEvent), "taken": visit.rows(heard.order_by(EVENTS.c.seq.desc()).limit(MESSAGES_SHOWN)),
        "aside": visit.rows(refused.order_by(REJECTS.c.seq.desc()).limit(MESSAGES_SHOWN)),
        "endpoints": endpoint_notes(config) if (config := visit.server.config) else [],
        "operations": sorted(operations(visit)), "once": shown, **build_request(visit, visit.query),
    })  # fmt: skip


def messages(visit: PageVisit, webhook_id: str) -> list[dict[str, Any]]:
    """What was not delivered, what waits, and some of what arrived."""
    found: list[dict[str, Any]] = []
    for status in ("failed", "waiting", "sent"):
        found += admin.webhook_messages(visit.call, webhook_id, status, limit=MESSAGES_SHOWN)["data"]
    return found[:MESSAGES_SHOWN]


def unsent(visit: PageVisit, status: Literal["failed", "expired"]) -> list[dict[str, Any]]:
    """Messages to customers that were given up, or whose offer ended first."""
    found: list[dict[str, Any]] = admin.offer_messages(visit.call, status, limit=MESSAGES_SHOWN)["data"]
    return found


def operations(visit: PageVisit) -> dict[str, Any]:
    """All requests of the API by method and path."""
    paths = visit.shared.openapi().get("paths", {})
    return {
        f"{method.upper()} {path}": said for path, each in paths.items() for method, said in each.items()
        if method in ("get", "post", "put", "patch", "delete")
    }  # fmt: skip


def operation(visit: PageVisit, name: str) -> Operation:
    """One of them; the first that a shop needs where it is unknown."""
    known = operations(visit)
    name = name if name in known else DEFAULT_OPERATION
    said, (method, _, path) = known[name], name.partition(" ")
    document = visit.shared.openapi()
    schema = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    body = json.dumps(example(document, schema), ensure_ascii=False, indent=2) if schema else ""
    places = {
        where: [each["name"] for each in said.get("parameters", ()) if each["in"] == where]
        for where in ("path", "query")
    }
    text = str(said.get("description") or said.get("summary", ""))
    return Operation(name, text, required_scope(method, path) or "", places["path"], places["query"], body)


def example(document: dict[str, Any], schema: dict[str, Any], name: str = "", deep: int = MAX_EXAMPLE_DEPTH) -> Any:
    """A value that a schema takes: what is required of it, and no more."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return example(document, schema[several][0], name, deep)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object" if deep:
            known = schema.get("properties", {})
            return {
                key: example(document, known[key], key, deep - 1) for key in schema.get("required", ()) if key in known
            }
        case "array":
            return [example(document, schema.get("items", {}), name, deep - 1)] if deep else []
        case "integer" | "number":
            return schema.get("minimum") or 100
        case "boolean":
            return True
        case "string":
            return EXAMPLE_VALUES.get(name, name or "text")
    return {} if deep == MAX_EXAMPLE_DEPTH else None


def build_request(visit: PageVisit, said: Any) -> dict[str, Any]:
    """A request as somebody fills it in, as lines for a shell, Python and JavaScript."""
    chosen = operation(visit, said.get("operation", DEFAULT_OPERATION))
    method, _, path = chosen.name.partition(" ")
    values = {
        name: said.get(f"in.{name}", EXAMPLE_VALUES.get(name, "")) for name in (*chosen.path_names, *chosen.query_names)
    }
    for name in chosen.path_names:
        path = path.replace(f"{{{name}}}", values[name] or f"{{{name}}}")
    given = "&".join(f"{name}={values[name]}" for name in chosen.query_names if said.get(f"in.{name}"))
    path += f"?{given}" if given else ""
    text, why = said.get("body", chosen.body) if said.get("of") == chosen.name else chosen.body, ""
    try:
        body = json.loads(text) if text else None
    except ValueError as error:
        body, why = None, str(error)
    return {"chosen": chosen, "values": values, "text": text, "why": why, "snippets": snippets(method, path, body)}


def snippets(method: str, path: str, body: Any) -> dict[str, str]:
    """The same request in three languages; address and key are variables of the environment."""
    compact = json.dumps(body, ensure_ascii=False) if body is not None else ""
    curl = f'curl -X {method} "$PROMOLIFT_URL"{shlex.quote(path)} -H "Authorization: Bearer $PROMOLIFT_KEY"'
    if compact:
        curl += f" \\\n  -H 'content-type: application/json' -d {shlex.quote(compact)}"
    python = (
        "import os\nimport httpx\n\nreply = httpx.request(\n"
        f'    {method!r}, os.environ["PROMOLIFT_URL"] + {path!r},\n'
        '    headers={"Authorization": "Bearer " + os.environ["PROMOLIFT_KEY"]},\n'
        + (f"    json={body!r},\n" if compact else "")
        + ")\nreply.raise_for_status()\nprint(reply.json())"
    )
    said = f",\n  body: JSON.stringify({compact})" if compact else ""
    kind = ", 'content-type': 'application/json'" if compact else ""
    script = (
        f"const reply = await fetch(process.env.PROMOLIFT_URL + {json.dumps(path)}, {{\n  method: '{method}',\n"
        f"  headers: {{ Authorization: `Bearer ${{process.env.PROMOLIFT_KEY}}`{kind} }}{said}\n}});\n"
        "console.log(reply.status, await reply.json());"
    )
    return {"curl": curl, "Python": python, "JavaScript": script}


@page("/developer/request")
def build(visit: PageVisit) -> Reply:
    """While somebody fills it in: the snippets."""
    return Screen("developer/request.html", "", build_request(visit, visit.query), whole=False)


@form("/developer/events")
def try_events(visit: PageVisit) -> Reply:
    """What would become of events that somebody pasted, by the rule and with its place; nothing is kept."""
    try:
        said = json.loads(visit.form.get("events", ""))
    except ValueError as error:
        raise Refused("json_invalid", gettext_lazy("This is no JSON: {error}", error=error)) from None
    batch = said.get("batch", [said]) if isinstance(said, dict) else said
    if not isinstance(batch, list):
        raise translate_refusal("json_invalid")
    parsed = room.parse_events(batch, None, visit.now_ms)
    data = {"read": parsed.events, "rejected": parsed.rejected, "repaired": parsed.repaired}
    return Screen("developer/events.html", gettext("Events tried"), data)


@form("/developer/keys", "admin")
def new_key(visit: PageVisit) -> Reply:
    """A key, shown once."""
    made = admin.post_key(visit.call, KeyIn(scope=visit.form.get("scope", ""), name=visit.text("name", 64)))
    return developer(visit, key=json.loads(bytes(made.body))["key"])


@form("/developer/keys/{key}/revoke", "admin", "/developer")
def revoke_key(visit: PageVisit) -> None:
    """No more with this key, at once."""
    admin.revoke(visit.call, visit.params["key"])


@form("/developer/messages/{message}", "admin", "/developer")
def send_again(visit: PageVisit) -> str:
    """A message that was given up waits again."""
    admin.resend_message(visit.call, visit.params["message"])
    return sentence("message_again")


@form("/developer/webhooks", "admin")
def new_hook(visit: PageVisit) -> Reply:
    """A URL that hears what happens; what signs is shown once."""
    kinds = tuple(each for each in get_args(HookEvent) if f"on.{each}" in visit.form)
    made = admin.post_webhook(visit.call, WebhookIn(url=visit.text("url", 2000), events=kinds))
    return developer(visit, secret=json.loads(bytes(made.body))["secret"])


@form("/developer/webhooks/{hook}", "admin", "/developer")
def change_hook(visit: PageVisit) -> str:
    """Send a test or what was given up again, or tell this URL nothing more."""
    name, said = visit.params["hook"], visit.form.get("said", "")
    if said == "test":
        admin.try_webhook(visit.call, name)
    elif said == "replay":
        again = json.loads(bytes(admin.replay_webhook(visit.call, name, status="failed").body))["messages"]
        return sentence("hook_replay", number=again)
    elif said == "delete":
        admin.delete_webhook(visit.call, name)
    else:
        raise translate_refusal("said_nothing")
    return sentence(f"hook_{said}")
