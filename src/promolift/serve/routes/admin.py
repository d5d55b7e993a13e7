"""Campaigns, limits, codes, releases, learning, experiments, keys, webhooks, audit log: admin keys only, audited."""

import asyncio
from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import Annotated, Any, Literal, NamedTuple

import polars as pl
from fastapi import APIRouter, Header, Query, Request, Response
from sqlalchemy import Connection, and_, func, select, update

from promolift.hashing import sha256_of
from promolift.learn.experiment import HOLDOUT, analyse
from promolift.learn.lift import Metric
from promolift.learn.sums import Cap, sums_by
from promolift.serve import outbox, release, switch
from promolift.serve.learning import KINDS, HeardEvent
from promolift.serve.learning import outcomes as bought
from promolift.serve.models import CampaignIn, CodesIn, ExperimentIn, KeyIn, Slug, WebhookIn
from promolift.serve.problems import wrong_field
from promolift.serve.routes.money import IdempotencyKey, actor, changed, server_of
from promolift.serve.seal import seal
from promolift.serve.security import make_key
from promolift.serve.server import audited
from promolift.serve.settings import Policy
from promolift.serve.things import Campaign, LearnRun, MadeRelease
from promolift.store import Store
from promolift.store.ledger_audit import Act, HttpAnswer, audit, canonical, drop, every, first_break, get, put
from promolift.store.ledger_money import add_stock, set_limits, stock_left
from promolift.store.ledger_schema import AUDIT, DECISIONS, EVENTS, LIMITS, OUTBOX, USAGE, Refused

router = APIRouter(tags=["admin"])
Cursor = Annotated[int, Query(ge=0, le=2**53)]
Page = Annotated[int, Query(ge=1, le=1000)]
IfMatch = Annotated[str | None, Header(max_length=100)]
MessageStatus = Literal["waiting", "sent", "failed"]


@router.get("/v1/campaigns")
def campaigns(request: Request) -> dict[str, Any]:
    """All campaigns: release, policy, experiment, and whether they are paused."""
    with server_of(request).ledger.read() as db:
        return {"data": [{"campaign_id": id_} | body for id_, body in every(db, Campaign.KIND).items()]}


@router.get("/v1/campaigns/{campaign_id}")
def campaign(request: Request, campaign_id: Slug, response: Response) -> dict[str, Any]:
    """A campaign with its limits, how far each is used, and its pace. `ETag` is the version of what can be changed."""
    with server_of(request).ledger.read() as db:
        Campaign.known(db, campaign_id)
        used = func.coalesce(func.sum(USAGE.c.held), 0), func.coalesce(func.sum(USAGE.c.spent), 0)
        same = and_(USAGE.c.limit_id == LIMITS.c.limit_id, USAGE.c.campaign_id == LIMITS.c.campaign_id)
        sums = select(LIMITS, used[0].label("held"), used[1].label("spent")).select_from(LIMITS.outerjoin(USAGE, same))
        rows = db.execute(sums.where(LIMITS.c.campaign_id == campaign_id).group_by(*LIMITS.c)).mappings()
        limits = [dict(row) | {"held": int(row["held"]), "spent": int(row["spent"])} for row in rows]
        response.headers["etag"] = _version(db, campaign_id)
        return _kept(db, campaign_id) | {"limits": limits, "pace": get(db, "pace", campaign_id)}


@router.put("/v1/campaigns/{campaign_id}")
def put_campaign(request: Request, campaign_id: Slug, body: CampaignIn, if_match: IfMatch = None) -> Response:
    """Make a campaign or replace it whole; what its limits have counted so far stays.

    Where that would drop a limit or reset the policy, the version that was read must come along (`If-Match`), else 428.
    """
    return _govern(request, campaign_id, lambda _: body, if_match)


@router.patch("/v1/campaigns/{campaign_id}")
def patch_campaign(request: Request, campaign_id: Slug, body: dict[str, Any], if_match: IfMatch = None) -> Response:
    """Change what is stated alone, as a JSON merge patch (RFC 7396): null removes, a list replaces the whole list."""
    return _govern(
        request, campaign_id, lambda now: CampaignIn.model_validate(_merged(now, body)), if_match, patch=True
    )


def _govern(
    request: Request,
    campaign_id: str,
    new_of: Callable[[dict[str, Any]], CampaignIn],
    if_match: str | None,
    patch: bool = False,
) -> Response:
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        found = Campaign.known(db, campaign_id) if patch else Campaign.find(db, campaign_id)
        old, old_limits = found or Campaign(), _limits(db, campaign_id)
        if if_match is not None and if_match not in ("*", _version(db, campaign_id)):
            raise Refused("version_changed", f"campaign {campaign_id} was changed; GET it again and repeat your change")
        stated = [_as_stated(limit) for limit in old_limits]
        body = new_of({"paused": old.paused, "policy": old.policy.model_dump(mode="json"), "limits": stated})
        dropped = {limit["limit_id"] for limit in old_limits} - {limit.limit_id for limit in body.limits}
        reset = "policy" not in body.model_fields_set and old.policy != Policy()
        if found and not patch and if_match is None and (dropped or reset):
            lost = f"the limits {sorted(dropped)}" if dropped else "the policy"
            raise Refused("version_needed", f"this would drop {lost}: PATCH what changes, or send the ETag as If-Match")
        new = old.governed(body.paused, body.policy).keep(db, campaign_id, now_ms)
        rows = [limit.model_dump(exclude={"timezone", "offer_id"}) | {"zone": limit.timezone, "offer_id":
                limit.offer_id or "", "campaign_id": campaign_id} for limit in body.limits]  # fmt: skip
        set_limits(db, campaign_id, rows, now_ms)
        before, after = old.to_json() | {"limits": old_limits}, new.to_json() | {"limits": _limits(db, campaign_id)}
        return audited(db, now_ms, Act(who, "campaign.put", campaign_id), before, after)

    reply = changed(request, do, None)
    with server_of(request).ledger.read() as db:
        reply.headers["etag"] = _version(db, campaign_id)
    return reply


def _version(db: Connection, campaign_id: str) -> str:
    """The ETag: of all that a PUT or PATCH changes, release and experiment included."""
    whole = {"campaign": get(db, Campaign.KIND, campaign_id), "limits": _limits(db, campaign_id)}
    return f'"{sha256_of(canonical(whole))[:32]}"'


def _as_stated(limit: dict[str, Any]) -> dict[str, Any]:
    """A limit as a request states it."""
    own = {name: limit[name] for name in ("limit_id", "metric", "amount", "period", "per")}
    return own | {"timezone": limit["zone"], "offer_id": limit["offer_id"] or None}


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


@router.post("/v1/campaigns/{campaign_id}/codes")
def codes(request: Request, campaign_id: Slug, body: CodesIn, idempotency_key: IdempotencyKey = None) -> Response:
    """Add the shop's own codes to an offer's stock; codes that are there already are left alone."""
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        Campaign.known(db, campaign_id)
        new = {"added": add_stock(db, campaign_id, body.offer_id, body.codes)}
        new["left"] = stock_left(db, campaign_id, body.offer_id) or 0
        return audited(db, now_ms, Act(who, "codes.add", f"{campaign_id}/{body.offer_id}"), None, new)

    return changed(request, do, idempotency_key, body)


@router.get("/v1/campaigns/{campaign_id}/offers")
def offers(request: Request, campaign_id: Slug) -> dict[str, Any]:
    """The offers of the campaign's release, with their menu line and what they cover."""
    server = server_of(request)
    with server.ledger.read() as db:
        release_id = Campaign.known(db, campaign_id).release
        if release_id is None:
            raise Refused("release_missing", f"campaign {campaign_id} has no release yet; activate one")
        live = server.decider.ensure(release_id)
    listed = [
        {"offer_id": offer, "menu": live.menu[menu].model_dump(mode="json"), "scope": scope, "covers": target or ""}
        for offer, (scope, target, menu, _) in sorted(live.labels.items())
    ]
    return {"release_id": live.release_id, "data": listed}


@router.post("/v1/releases", status_code=201)
def make_release(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Freeze the work folder's present plan as a release. The same plan gives the same id. Activate it to use it."""
    server, who = server_of(request), actor(request)
    with Store(server.settings.work) as store:
        release_id = release.build(store)
    terms = server.decider.ensure(release_id).terms

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        made = MadeRelease(release_id=release_id, campaign_id=terms.campaign_id, price=terms.price)
        made.keep(db, release_id, now_ms)
        return audited(db, now_ms, Act(who, "release.make", release_id), None, made.to_json(), 201)

    return changed(request, do, idempotency_key)


@router.get("/v1/releases")
def releases(request: Request) -> dict[str, Any]:
    """All releases made here."""
    with server_of(request).ledger.read() as db:
        return {"data": list(every(db, "release").values())}


@router.post("/v1/releases/{release_id}:activate")
def activate(request: Request, release_id: Slug, idempotency_key: IdempotencyKey = None) -> Response:
    """Decide from this release from now on. It is loaded first, so that no request waits or fails."""
    server, who = server_of(request), actor(request)
    campaign_id = server.decider.ensure(release_id).terms.campaign_id

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        switch.activate(db, now_ms, who, campaign_id, release_id)
        return HttpAnswer(200, _kept(db, campaign_id))

    reply = changed(request, do, idempotency_key)
    switch.remember(server, release_id)
    return reply


@router.post("/v1/campaigns/{campaign_id}:rollback")
def roll_back(request: Request, campaign_id: Slug, idempotency_key: IdempotencyKey = None) -> Response:
    """Go back to the release before the present one; calling it twice goes forth again."""
    server, who = server_of(request), actor(request)
    with server.ledger.read() as db:
        before = Campaign.known(db, campaign_id).previous
    if before:
        server.decider.ensure(before)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        switch.roll_back(db, now_ms, who, campaign_id)
        return HttpAnswer(200, _kept(db, campaign_id))

    reply = changed(request, do, idempotency_key)
    with server.ledger.read() as db:
        release_id = Campaign.known(db, campaign_id).release
    switch.remember(server, release_id or "")
    return reply


@router.put("/v1/campaigns/{campaign_id}/experiment")
def put_experiment(request: Request, campaign_id: Slug, body: ExperimentIn) -> Response:
    """Split the campaign's customers between releases, by hash. A changed design needs a new name."""
    server, who = server_of(request), actor(request)
    if unknown := sorted(set(body.releases) ^ (set(body.design.arms) - {HOLDOUT})):
        raise wrong_field("every arm needs a release", "/releases", f"arms and releases differ: {unknown}")
    for release_id in sorted(set(body.releases.values())):
        if server.decider.ensure(release_id).terms.campaign_id != campaign_id:
            raise wrong_field("wrong campaign", "/releases", f"{release_id} is of another campaign")

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        old, new = Campaign.known(db, campaign_id), body.model_dump(mode="json")
        running = old.experiment and old.experiment.design
        if running and running.name == body.design.name and running != body.design:
            raise Refused("design_fixed", "a running experiment's design is fixed; use a new name")
        old.testing(body).keep(db, campaign_id, now_ms)
        return audited(db, now_ms, Act(who, "experiment.put", campaign_id), _test(old), new)

    return changed(request, do, None)


@router.delete("/v1/campaigns/{campaign_id}/experiment")
def stop_experiment(request: Request, campaign_id: Slug) -> Response:
    """Stop the experiment: everybody is served from the campaign's release again. Its decisions stay."""
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        old = Campaign.known(db, campaign_id)
        old.testing(None).keep(db, campaign_id, now_ms)
        return audited(db, now_ms, Act(who, "experiment.stop", campaign_id), _test(old), None)

    return changed(request, do, None)


@router.get("/v1/campaigns/{campaign_id}/experiment")
def experiment(request: Request, campaign_id: Slug) -> dict[str, Any]:
    """Verdicts as of now on what customers were worth, each with its rule; `outcome` says where that is from.

    It is `value_cents` of the feedback and of events sent with a decide key; where there is none, the money of
    orders since the first decision, winsorised: anybody can read a web page's key and make up an order.
    """
    server = server_of(request)
    with server.ledger.read() as db:
        running = Campaign.known(db, campaign_id).experiment
        if not running:
            raise Refused("experiment_unknown", "this campaign has no experiment")
        design = running.design.model_copy(update={"primary": "value_cents"})
        currency = server.decider.ensure(next(iter(running.releases.values()))).shop.currency
        stated = outcomes(db, design.name, currency)
    sums = sums_by(stated.rows, ["value_cents"], caps=stated.caps)
    found = analyse(sums, [Metric(name="value_cents", value="value_cents")], design)
    data = [{k: v for k, v in row.items() if v is not None} for row in found.frame().to_dicts()]
    told = {"experiment_id": design.name, "sample_ratio": found.ratio.rule, "verdicts": data, "text": str(found)}
    return told | {"outcome": stated.source}


class Outcomes(NamedTuple):
    """customer_id, arm, value_cents: one row per customer of an experiment; where that is from, and what bounds it."""

    rows: pl.DataFrame
    source: str
    caps: dict[str, Cap]


def outcomes(db: Connection, experiment_id: str, currency: str) -> Outcomes:
    """What each customer of an experiment was worth; nothing heard is a value of 0."""
    mine = DECISIONS.c.experiment_id == experiment_id, DECISIONS.c.unanswered == 0
    first = func.min(DECISIONS.c.ts_ms)
    arms = select(DECISIONS.c.customer_id, DECISIONS.c.variant, first).where(*mine)
    arms = arms.group_by(DECISIONS.c.customer_id, DECISIONS.c.variant)
    who = _frame(db.execute(arms), customer_id=pl.String, arm=pl.String, since_ms=pl.Int64)
    said = select(DECISIONS.c.customer_id, EVENTS.c.value_cents)
    said = said.select_from(EVENTS.join(DECISIONS, EVENTS.c.decision_id == DECISIONS.c.decision_id))
    said = said.where(*mine, EVENTS.c.value_cents.is_not(None))
    value = _frame(db.execute(said), customer_id=pl.String, value_cents=pl.Float64)
    source, caps = "feedback", dict[str, Cap]()
    if value.is_empty():
        source, value = "orders", _orders(db, who, mine, currency)
        high = value["value_cents"].quantile(0.99) if value.height else None
        caps = {} if high is None else {"value_cents": Cap("99th percentile of all arms together", high=high)}
    sums = value.group_by("customer_id").agg(pl.col("value_cents").sum())
    rows = who.drop("since_ms").join(sums, on="customer_id", how="left")
    return Outcomes(rows.with_columns(pl.col("value_cents").fill_null(0.0)), source, caps)


def _orders(db: Connection, who: pl.DataFrame, mine: Any, currency: str) -> pl.DataFrame:
    """customer_id, value_cents: the money of each customer's orders since their first decision."""
    people = select(DECISIONS.c.customer_id).where(*mine)
    heard = select(*(EVENTS.c[name] for name in HeardEvent._fields))
    heard = heard.where(EVENTS.c.customer_id.in_(people), EVENTS.c.name.in_(KINDS))
    paid = bought((HeardEvent(*row) for row in db.execute(heard)), currency)
    since = paid.join(who, on="customer_id").filter(pl.col("ts_ms") >= pl.col("since_ms"))
    return since.group_by("customer_id").agg(pl.col("revenue_cents").sum().cast(pl.Float64).alias("value_cents"))


def _frame(rows: Iterable[Any], **schema: Any) -> pl.DataFrame:
    return pl.DataFrame([tuple(row) for row in rows], schema, orient="row")


@router.post("/v1/keys", status_code=201)
def post_key(request: Request, body: KeyIn, idempotency_key: IdempotencyKey = None) -> Response:
    """A new key. The answer shows it once; only its hash is kept."""
    server, who = server_of(request), actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        made = make_key(db, body.scope, body.name, now_ms, who)
        return HttpAnswer(201, {"key_id": made.key_id, "key": seal(server.secret, made.secret), "scope": body.scope})

    reply = changed(request, do, idempotency_key, body)
    server.reload_keys()
    return reply


@router.get("/v1/keys")
def keys(request: Request) -> dict[str, Any]:
    """All keys, without their secrets."""
    with server_of(request).ledger.read() as db:
        found = every(db, "key").items()
    return {"data": [{"key_id": id_} | {k: v for k, v in body.items() if k != "hash"} for id_, body in found]}


@router.delete("/v1/keys/{key_id}")
def revoke(request: Request, key_id: Slug) -> Response:
    """Revoke a key at once."""
    server, who = server_of(request), actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        old = get(db, "key", key_id)
        if old is None:
            raise Refused("key_unknown", f"no key {key_id}")
        put(db, "key", key_id, old | {"revoked": True}, now_ms)
        audit(db, now_ms, Act(who, "key.revoke", key_id), {"revoked": old["revoked"]}, {"revoked": True})
        return HttpAnswer(200, {"key_id": key_id, "revoked": True})

    reply = changed(request, do, None)
    server.reload_keys()
    return reply


@router.post("/v1/webhooks", status_code=201)
def post_webhook(request: Request, body: WebhookIn, idempotency_key: IdempotencyKey = None) -> Response:
    """Tell a URL what happens; the signing secret is shown once."""
    server, who = server_of(request), actor(request)
    if strange := sorted(set(body.events) - set(outbox.TYPES)):
        raise wrong_field("unknown event", "/events", f"{strange}; known: {', '.join(outbox.TYPES)}")
    outbox.check_target(body.url, server.settings.private_webhooks)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        secret = seal(server.secret, outbox.new_secret())
        hook = outbox.Hook(url=body.url, events=body.events, secret=secret)
        webhook_id = f"whk_{now_ms:x}{token_hex(6)}"
        hook.keep(db, webhook_id, now_ms)
        audit(db, now_ms, Act(who, "webhook.create", webhook_id), None, {"events": list(body.events)})
        return HttpAnswer(
            201, {"webhook_id": webhook_id, "secret": secret, "url": body.url, "events": list(body.events)}
        )

    return changed(request, do, idempotency_key, body)


@router.get("/v1/webhooks")
def webhooks(request: Request) -> dict[str, Any]:
    """All webhooks, with how many messages wait, arrived and failed."""
    with server_of(request).ledger.read() as db:
        counts = select(OUTBOX.c.target, OUTBOX.c.status, func.count()).group_by(OUTBOX.c.target, OUTBOX.c.status)
        states: dict[str, dict[str, int]] = {}
        for target, status, number in db.execute(counts):
            states.setdefault(target, {})[status] = number
        hooks = outbox.Hook.all(db).items()
    shown = [{"webhook_id": i, "url": b.url, "events": b.events, "messages": states.get(i, {})} for i, b in hooks]
    return {"data": shown}


@router.delete("/v1/webhooks/{webhook_id}")
def delete_webhook(request: Request, webhook_id: Slug) -> Response:
    """Tell this URL nothing more."""
    who = actor(request)

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        if drop(db, outbox.Hook.KIND, webhook_id) is None:
            raise Refused("webhook_unknown", f"no webhook {webhook_id}")
        audit(db, now_ms, Act(who, "webhook.delete", webhook_id))
        return HttpAnswer(200, {"webhook_id": webhook_id, "deleted": True})

    return changed(request, do, None)


@router.get("/v1/webhooks/{webhook_id}/messages")
def webhook_messages(
    request: Request, webhook_id: Slug, status: MessageStatus = "failed", cursor: Cursor = 0, limit: Page = 100
) -> dict[str, Any]:
    """Messages of a webhook, those given up at first; `next` is the cursor of the next page, null at the end."""
    columns = OUTBOX.c.delivery_id, OUTBOX.c.status, OUTBOX.c.attempts, OUTBOX.c.error, OUTBOX.c.ts_ms, OUTBOX.c.body
    mine = OUTBOX.c.channel == "webhook", OUTBOX.c.target == webhook_id, OUTBOX.c.status == status
    page = select(*columns).where(*mine).order_by(OUTBOX.c.delivery_id).limit(limit).offset(cursor)
    with server_of(request).ledger.read() as db:
        if outbox.Hook.find(db, webhook_id) is None:
            raise Refused("webhook_unknown", f"no webhook {webhook_id}")
        rows = db.execute(page).mappings().all()
    data = [{"message_id": row["delivery_id"]} | {k: v for k, v in row.items() if k != "delivery_id"} for row in rows]
    return {"data": data, "next": cursor + limit if len(data) == limit else None}


@router.post("/v1/webhooks/{webhook_id}:replay", status_code=202)
def replay_webhook(
    request: Request,
    webhook_id: Slug,
    since_ms: Cursor = 0,
    status: MessageStatus | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Send again what was made since a moment, with the same webhook-id; `status=failed`: what was given up alone."""

    def do(db: Connection, now_ms: int) -> HttpAnswer:
        if outbox.Hook.find(db, webhook_id) is None:
            raise Refused("webhook_unknown", f"no webhook {webhook_id}")
        mine = [OUTBOX.c.channel == "webhook", OUTBOX.c.target == webhook_id, OUTBOX.c.ts_ms >= since_ms]
        mine += [OUTBOX.c.status == status] if status else []
        again = db.execute(update(OUTBOX).where(*mine).values(status="waiting", attempts=0, next_ms=now_ms))
        return HttpAnswer(202, {"messages": again.rowcount})

    return changed(request, do, idempotency_key, {"since_ms": since_ms, "status": status})


@router.get("/v1/audit")
def audit_log(request: Request, cursor: Cursor = 0, limit: Page = 100) -> dict[str, Any]:
    """The audit log in order, a page at a time; `next` is the cursor of the next page, null at the end."""
    with server_of(request).ledger.read() as db:
        rows = db.execute(select(AUDIT).where(AUDIT.c.seq > cursor).order_by(AUDIT.c.seq).limit(limit)).mappings().all()
    return {"data": [dict(row) for row in rows], "next": rows[-1]["seq"] if len(rows) == limit else None}


@router.get("/v1/audit:verify")
def verify(request: Request) -> dict[str, Any]:
    """Whether the chain of hashes holds, the first row that breaks it, and its last hash to keep elsewhere."""
    with server_of(request).ledger.read() as db:
        broken = first_break(db)
        last = db.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    return {
        "holds": broken is None,
        "first_break": broken,
        "rows": last.seq if last else 0,
        "head": last.hash if last else "",
    }


def _kept(db: Connection, campaign_id: str) -> dict[str, object]:
    """A campaign as the ledger has it, which is how answers show it."""
    return {"campaign_id": campaign_id, **get(db, Campaign.KIND, campaign_id)}


def _test(campaign: Campaign) -> Any:
    """Its experiment, as the audit log has it."""
    return campaign.to_json().get("experiment")


def _limits(db: Connection, campaign_id: str) -> list[dict[str, Any]]:
    rows = db.execute(select(LIMITS).where(LIMITS.c.campaign_id == campaign_id).order_by(LIMITS.c.limit_id))
    return [dict(row) for row in rows.mappings()]


@router.post("/v1/campaigns/{campaign_id}:learn", status_code=202)
async def learn_now(request: Request, campaign_id: Slug, idempotency_key: IdempotencyKey = None) -> Response:
    """Start what `promolift learn` does, in a process of its own. While it runs, the answer is about that run."""
    server, asked_first = server_of(request), []

    def do(db: Connection, _: int) -> HttpAnswer:
        Campaign.known(db, campaign_id)
        asked_first.append(True)
        return HttpAnswer(202, {"campaign_id": campaign_id, "status": "running"})

    reply = await asyncio.to_thread(changed, request, do, idempotency_key)
    if asked_first:
        await server.scheduler.start(campaign_id)
    return reply


@router.get("/v1/campaigns/{campaign_id}/learning")
def learning(request: Request, campaign_id: Slug) -> dict[str, Any]:
    """The last run: when, what became of it, the release it proposes and why. `status` never where there was none."""
    server = server_of(request)
    with server.ledger.read() as db:
        Campaign.known(db, campaign_id)
        run = LearnRun.find(db, campaign_id) or LearnRun(status="never")
    return {"campaign_id": campaign_id} | run.to_json()
