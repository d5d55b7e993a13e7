"""Admin routes: campaigns, limits, codes, releases, learning, keys, webhooks and the audit log.

All of them need an admin key, and every change is written to the audit log.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Literal

from fastapi import APIRouter, Response
from sqlalchemy import Connection, func, select, update

from promolift.extensions.ads import serving
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.server.admin_responses import (
    AuditPage,
    AuditVerified,
    CampaignGoverned,
    CampaignList,
    CampaignNamed,
    CampaignShown,
    CodesAdded,
    KeyList,
    KeyMade,
    KeyRevoked,
    LearningShown,
    LearningStarted,
    LimitList,
    MessagesTaken,
    MessageTaken,
    OfferList,
    OfferMessages,
    ReleaseList,
    ReleaseShown,
    WebhookDeleted,
    WebhookList,
    WebhookMade,
    WebhookMessages,
    answers,
)
from promolift.server.api.api_keys import create_key, load_keys
from promolift.server.api.problems import ApiError, FieldError
from promolift.server.api.request_models import CampaignIn, CodesIn, KeyIn, LimitIn, SharedLimitsIn, WebhookIn
from promolift.server.api.routes import (
    Cursor,
    IdempotentRoute,
    IfMatch,
    PageSize,
    Route,
    RouteContext,
    ServerRoute,
    check_version,
    names_version,
    slow,
    version_tag,
)
from promolift.server.api.server import KEY_USE_KIND, Server
from promolift.server.carts.carts import issue_promotion_codes
from promolift.server.delivery import outbox, target_address
from promolift.server.ledger.audit_log import (
    AuditAction,
    HttpResponse,
    delete_record,
    first_break,
    get_record,
    last_audit_link,
    list_records,
    put_record,
)
from promolift.server.ledger.field_types import Slug
from promolift.server.ledger.limits import (
    ALL_CAMPAIGNS,
    RELEASE_LIMIT_ID,
    add_stock,
    all_limits,
    code_stocks,
    current_usage,
    own_limits,
    set_limits,
    stock_left,
)
from promolift.server.ledger.outbox_rows import WebhookEndpoint
from promolift.server.ledger.policy import Policy
from promolift.server.ledger.records import Campaign, LearnRun, ReleaseRecord
from promolift.server.ledger.schema import AUDIT, IS_EMAIL, OUTBOX, Refused
from promolift.server.ledger.secrets import seal
from promolift.server.tasks import learning_schedule
from promolift.shop.pipeline.release import build_release

router = APIRouter(route_class=ServerRoute, tags=["admin"])
MessageStatus = Literal["waiting", "sent", "failed", "expired"]


def _listed(asked: RouteContext, kind: str, name: str, hidden: str = "") -> dict[str, Any]:
    """All things of a kind with their ids."""
    with asked.read() as db:
        found = list_records(db, kind).items()
    return {"data": [{name: id_} | {k: v for k, v in body.items() if k != hidden} for id_, body in found]}


@router.get("/v1/campaigns", **answers(CampaignList))
def campaigns(asked: Route) -> dict[str, Any]:
    """All campaigns: release, policy, experiment, and whether they are paused."""
    return _listed(asked, Campaign.KIND, "campaign_id")


@router.get("/v1/releases", **answers(ReleaseList))
def releases(asked: Route) -> dict[str, Any]:
    """All releases made here."""
    return _listed(asked, ReleaseRecord.KIND, "release_id")


@router.get("/v1/keys", **answers(KeyList))
def keys(asked: Route) -> dict[str, Any]:
    """All keys, without their secrets; `last_used_ms` to the minute, null for one that never came."""
    listed = _listed(asked, "key", "key_id", hidden="hash")
    with asked.read() as db:
        used = list_records(db, KEY_USE_KIND) | asked.server.used
    return {"data": [each | {"last_used_ms": used.get(each["key_id"])} for each in listed["data"]]}


@router.get("/v1/campaigns/{campaign_id:name}", **answers(CampaignShown))
def campaign(asked: Route, campaign_id: Slug, response: Response) -> dict[str, Any]:
    """A campaign, its limits as used in their present periods, its pace, the shop's own codes left of each offer.

    `ETag` is the version of what can be changed.
    """
    with asked.read() as db:
        Campaign.load(db, campaign_id)
        limits = _used_limits(db, campaign_id, asked.server.clock.now_ms())
        response.headers["etag"] = version_tag(_versioned(db, campaign_id))
        stock = [each._asdict() for each in code_stocks(db, campaign_id)]
        return _kept(db, campaign_id) | {"limits": limits, "pace": get_record(db, "pace", campaign_id), "stock": stock}


def _used_limits(db: Connection, campaign_id: str, now_ms: int) -> list[dict[str, Any]]:
    """The limits of a campaign or of all together, with what each holds and has spent in its present period."""
    return [
        _shown(each.limit) | {"held": each.held, "spent": each.spent} for each in current_usage(db, campaign_id, now_ms)
    ]


def _shown(limit: Mapping[str, Any]) -> dict[str, Any]:
    """A limit as it is answered: by the names that it is stated with."""
    shown = {"timezone" if name == "zone" else name: value for name, value in limit.items()}
    return {name: value for name, value in shown.items() if name != "since_ms" or value is not None}


def _limits(db: Connection, campaign_id: str) -> list[dict[str, Any]]:
    return [_shown(limit) for limit in all_limits(db, campaign_id)]


@router.get("/v1/limits", **answers(LimitList))
def shared_limits(asked: Route, response: Response) -> dict[str, Any]:
    """The limits that count over all campaigns together, and how far each is used. `ETag` is their version."""
    with asked.read() as db:
        response.headers["etag"] = version_tag(_limits(db, ALL_CAMPAIGNS))
        return {"data": _used_limits(db, ALL_CAMPAIGNS, asked.server.clock.now_ms())}


@router.put("/v1/limits", **answers(LimitList))
def put_shared_limits(asked: Route, body: SharedLimitsIn, if_match: IfMatch = None) -> Response:
    """Let these limits alone count over all campaigns together, beside those that each campaign has of its own.

    Where that would drop or change a limit, the version that was read must come along (`If-Match`), else 428.
    """

    def do(db: Connection, now_ms: int) -> HttpResponse:
        old, rows = _limits(db, ALL_CAMPAIGNS), [_limit_row(limit) for limit in body.limits]
        new = {limit["limit_id"]: _shown(limit) for limit in rows}
        lost = any(limit != {"campaign_id": ALL_CAMPAIGNS} | new.get(limit["limit_id"], {}) for limit in old)
        check_version(if_match, old, lost, "limits over all campaigns")
        set_limits(db, ALL_CAMPAIGNS, rows, now_ms)
        asked.append_audit(db, now_ms, "limits.put", ALL_CAMPAIGNS, old, _limits(db, ALL_CAMPAIGNS))
        return HttpResponse(200, {"data": _used_limits(db, ALL_CAMPAIGNS, now_ms)})

    reply = asked.change(do)
    with asked.read() as db:
        reply.headers["etag"] = version_tag(_limits(db, ALL_CAMPAIGNS))
    return reply


def _limit_row(limit: LimitIn) -> dict[str, Any]:
    return limit.model_dump(exclude={"timezone"}) | {"zone": limit.timezone, "offer_id": limit.offer_id or ""}


@router.put("/v1/campaigns/{campaign_id:name}", **answers(CampaignGoverned))
def put_campaign(asked: Route, campaign_id: Slug, body: CampaignIn, if_match: IfMatch = None) -> Response:
    """Make a campaign or replace it whole; what its limits have counted so far stays.

    Where that would drop a limit, change one that another key set or reset the policy, the version that was read must
    come along (`If-Match`), else 428.
    """
    return _govern(asked, campaign_id, lambda _: body, if_match)


@router.patch("/v1/campaigns/{campaign_id:name}", **answers(CampaignGoverned))
def patch_campaign(asked: Route, campaign_id: Slug, body: dict[str, Any], if_match: IfMatch = None) -> Response:
    """Change what is stated alone, as a JSON merge patch (RFC 7396): null removes, a list replaces the whole list.

    Where that would drop or change a limit that another key set, the version that was read must come along
    (`If-Match`), else 428.
    """
    return _govern(asked, campaign_id, lambda now: CampaignIn(**_merged(now, body)), if_match, patch=True)


def _govern(
    asked: RouteContext, campaign_id: str, new_of: Callable[[dict[str, Any]], CampaignIn], if_match: str | None,
    patch: bool = False,
) -> Response:  # fmt: skip
    def do(db: Connection, now_ms: int) -> HttpResponse:
        found = Campaign.load(db, campaign_id) if patch else Campaign.find(db, campaign_id)
        old, old_limits = found or Campaign(), [_shown(limit) for limit in own_limits(db, campaign_id)]
        stated = [
            {name: limit[name] for name in ("limit_id", "metric", "amount", "period", "per", "timezone")}
            | {"offer_id": limit["offer_id"] or None}
            for limit in old_limits
        ]
        body = new_of({"paused": old.paused, "policy": old.policy.model_dump(mode="json"), "limits": stated})
        check_version(if_match, _versioned(db, campaign_id) if found else None, False, f"campaign {campaign_id}")
        rows, present = [*map(_limit_row, body.limits)], all_limits(db, campaign_id)
        if found and not names_version(if_match):
            kept = {row["limit_id"]: _shown({"campaign_id": campaign_id} | row) for row in rows}
            changed = [limit["limit_id"] for limit in old_limits if limit != kept.get(limit["limit_id"])]
            owner = _set_by(db, campaign_id) if changed else {}
            lost = [name for name in changed if owner.get(name) != asked.who or not (patch or name in kept)]
            reset = not patch and "policy" not in body.model_fields_set and old.policy != Policy()
            if lost or reset:
                what = gettext_lazy("the limits {lost}", lost=lost) if lost else gettext_lazy("the policy")
                text = gettext_lazy(
                    "this would drop or change {what}: GET the campaign first and send its ETag as If-Match", what=what
                )
                raise Refused("version_needed", text)
        echoed = [limit for limit in present if limit["limit_id"] == RELEASE_LIMIT_ID]  # sent back as it was read
        set_limits(
            db, campaign_id, [row for row in rows if not any(row.items() <= one.items() for one in echoed)], now_ms
        )
        new = old.with_policy(body.paused, body.policy).save(db, campaign_id, now_ms)
        before = old.to_json() | {"limits": old_limits}
        after = new.to_json() | {"limits": _limits(db, campaign_id)}
        asked.append_audit(db, now_ms, "campaign.put", campaign_id, before, after)
        return HttpResponse(200, after)

    reply = asked.change(do)
    with asked.read() as db:
        reply.headers["etag"] = version_tag(_versioned(db, campaign_id))
    return reply


def _set_by(db: Connection, campaign_id: str) -> Mapping[str, str]:
    """Who last set each limit of a campaign, where the audit log says it."""
    mine = AUDIT.c.action == "campaign.put", AUDIT.c.subject == campaign_id
    owners, before = dict[str, str](), dict[str, Any]()
    for actor, text in db.execute(select(AUDIT.c.actor, AUDIT.c.new).where(*mine).order_by(AUDIT.c.seq)):
        after = {limit["limit_id"]: limit for limit in json.loads(text).get("limits", ())}
        owners |= {name: actor for name, limit in after.items() if limit != before.get(name)}
        before = after
    return owners


def _versioned(db: Connection, campaign_id: str) -> dict[str, Any]:
    """All that a PUT or PATCH changes, release and experiment included."""
    return {"campaign": get_record(db, Campaign.KIND, campaign_id), "limits": all_limits(db, campaign_id)}


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    merged |= {name: _merged(merged.get(name), value) for name, value in patch.items()}
    return {name: value for name, value in merged.items() if name not in patch or patch[name] is not None}


@router.post("/v1/campaigns/{campaign_id}/codes", **answers(CodesAdded))
def codes(asked: IdempotentRoute, campaign_id: Slug, body: CodesIn) -> Response:
    """Add the shop's own codes to an offer's stock; codes that are there already are left alone.

    Those of a promotion for who holds a code are valid at once, each for one use by whoever types it first.
    """

    def do(db: Connection, now_ms: int) -> HttpResponse:
        Campaign.load(db, campaign_id)
        new = {"added": add_stock(db, campaign_id, body.offer_id, body.codes)}
        issue_promotion_codes(db, body.offer_id)
        new["left"] = stock_left(db, campaign_id, body.offer_id) or 0
        asked.append_audit(db, now_ms, "codes.add", f"{campaign_id}/{body.offer_id}", new=new)
        return HttpResponse(200, new)

    return asked.change(do, body)


@router.get("/v1/campaigns/{campaign_id}/offers", **answers(OfferList))
def offers(asked: Route, campaign_id: Slug) -> dict[str, Any]:
    """The offers of the campaign's release, with their menu line and what they cover."""
    with asked.read() as db:
        release_id = Campaign.load(db, campaign_id).release
    if release_id is None:
        raise Refused(
            "release_missing",
            gettext_lazy("campaign {campaign_id} has no release yet; activate one", campaign_id=campaign_id),
        )
    live = asked.server.decider.ensure(release_id)
    listed = [
        {"offer_id": offer, "menu": live.menu[menu].model_dump(mode="json"), "scope": scope, "covers": target or ""}
        for offer, (scope, target, menu, _) in sorted(live.labels.items())
    ]
    return {"release_id": live.release_id, "data": listed}


@router.post("/v1/releases", status_code=201, **answers(ReleaseShown, 201))
@slow
def make_release(asked: IdempotentRoute) -> Response:
    """Freeze the work folder's present plan as a release. The same plan gives the same id. Activate it to use it."""
    with Store(asked.server.settings.work) as store:
        release_id = serving.build_release(store) or build_release(store)
    terms = asked.server.decider.ensure_everywhere(release_id).terms

    def do(db: Connection, now_ms: int) -> HttpResponse:
        made = ReleaseRecord.find(db, release_id)  # frozen before, perhaps as somebody's draft
        made = made or ReleaseRecord(release_id=release_id, campaign_id=terms.campaign_id, price=terms.price)
        new = made.save(db, release_id, now_ms).to_json()
        asked.append_audit(db, now_ms, "release.make", release_id, new=new)
        return HttpResponse(201, new)

    return asked.change(do)


@router.post("/v1/releases/{release_id}:activate", **answers(CampaignNamed))
def activate(asked: IdempotentRoute, release_id: Slug) -> Response:
    """Decide from this release from now on. It is loaded first, so that no request waits or fails."""
    return activate_release(asked, release_id)


def activate_release(
    asked: RouteContext, release_id: str, may: Callable[[Connection], None] = lambda _: None
) -> Response:
    """Activate a release unless `may`, which is called within the change, objects."""
    loaded = asked.server.decider.ensure_everywhere(release_id)
    campaign_id = loaded.terms.campaign_id

    def do(db: Connection, now_ms: int) -> HttpResponse:
        may(db)
        old = Campaign.find(db, campaign_id)
        if old and now_ms > (old.ends_ms(release_id) or now_ms):
            raise Refused(
                "release_ended",
                gettext_lazy(
                    "the days of {release_id} are over; plan anew and activate the new release", release_id=release_id
                ),
            )
        served = asked.server.decider.releases.get(old.release or "") if old else None
        if loaded.creatives and not (served and served.creatives):  # its first: later what is left empty stays so
            mine = old or Campaign()
            policy = serving.initial_policy(loaded.creatives, now_ms, mine.policy)
            new = mine.with_policy(mine.paused, policy).save(db, campaign_id, now_ms)
            asked.append_audit(db, now_ms, "campaign.put", campaign_id, old and old.to_json(), new.to_json())
        learning_schedule.switch_release(
            db, now_ms, AuditAction(asked.who, "release.activate", campaign_id), release_id, asked.server.decider.ensure
        )
        return HttpResponse(200, _kept(db, campaign_id))

    reply = asked.change(do)
    learning_schedule.remember_learning(asked.server, release_id)
    return reply


@router.post("/v1/campaigns/{campaign_id}:rollback", **answers(CampaignNamed))
def roll_back(asked: IdempotentRoute, campaign_id: Slug) -> Response:
    """Go back to the release before the present one; calling it twice goes forth again."""
    with asked.read() as db:
        before = Campaign.load(db, campaign_id).previous
    if before:
        asked.server.decider.ensure_everywhere(before)

    def do(db: Connection, now_ms: int) -> HttpResponse:
        learning_schedule.roll_back_release(db, now_ms, asked.who, campaign_id, asked.server.decider.ensure)
        return HttpResponse(200, _kept(db, campaign_id))

    reply = asked.change(do)
    with asked.read() as db:
        release_id = Campaign.load(db, campaign_id).release
    learning_schedule.remember_learning(asked.server, release_id or "")
    return reply


@router.post("/v1/keys", status_code=201, **answers(KeyMade, 201))
def post_key(asked: IdempotentRoute, body: KeyIn) -> Response:
    """A new key. The answer shows it once; only its hash is kept."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        made = create_key(db, body.scope, body.name, now_ms, asked.who)
        secret = seal(asked.server.secret, made.secret)
        return HttpResponse(201, {"key_id": made.key_id, "key": secret, "scope": body.scope})

    reply = asked.change(do, body)
    asked.server.reload_keys()
    return reply


@router.delete("/v1/keys/{key_id}", **answers(KeyRevoked))
def revoke(asked: Route, key_id: Slug) -> Response:
    """Revoke a key at once. The last admin key that is valid stays: make another one first."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        old = get_record(db, "key", key_id)
        if old is None:
            raise Refused("key_unknown", gettext_lazy("no key {key_id}", key_id=key_id))
        admins = {key.key_id for key in load_keys(db).values() if key.scope == "admin"}
        if admins == {key_id}:
            raise Refused(
                "last_admin_key",
                gettext_lazy("{key_id} is the last admin key; make another one, then revoke it", key_id=key_id),
            )
        put_record(db, "key", key_id, old | {"revoked": True}, now_ms)
        asked.append_audit(db, now_ms, "key.revoke", key_id, {"revoked": old["revoked"]}, {"revoked": True})
        return HttpResponse(200, {"key_id": key_id, "revoked": True})

    reply = asked.change(do)
    asked.server.reload_keys()
    return reply


@router.post("/v1/webhooks", status_code=201, **answers(WebhookMade, 201))
@slow
def post_webhook(asked: IdempotentRoute, body: WebhookIn) -> Response:
    """Tell a URL what happens; the signing secret is shown once."""
    try:
        target_address.safe_address(body.url, asked.server.settings.private_webhooks)
    except target_address.UnsafeTargetError as error:
        raise ApiError(422, "url_unsafe", error.why, FieldError("/url", error.why)) from None

    def do(db: Connection, now_ms: int) -> HttpResponse:
        secret, webhook_id = seal(asked.server.secret, outbox.new_secret()), f"whk_{now_ms:x}{token_hex(6)}"
        WebhookEndpoint(url=body.url, events=body.events, secret=secret).save(db, webhook_id, now_ms)
        said = {"events": list(body.events)}
        asked.append_audit(db, now_ms, "webhook.create", webhook_id, new=said)
        return HttpResponse(201, {"webhook_id": webhook_id, "secret": secret, "url": body.url} | said)

    return asked.change(do, body)


@router.get("/v1/webhooks", **answers(WebhookList))
@slow
def webhooks(asked: Route) -> dict[str, Any]:
    """All webhooks, with how many messages wait, arrived and failed."""
    with asked.read() as db:
        counts = select(OUTBOX.c.target, OUTBOX.c.status, func.count()).group_by(OUTBOX.c.target, OUTBOX.c.status)
        states: dict[str, dict[str, int]] = {}
        for target, status, number in db.execute(counts):
            states.setdefault(target, {})[status] = number
        hooks = WebhookEndpoint.all(db).items()
    shown = [{"webhook_id": i, "url": b.url, "events": b.events, "messages": states.get(i, {})} for i, b in hooks]
    return {"data": shown}


@router.delete("/v1/webhooks/{webhook_id:name}", **answers(WebhookDeleted))
@slow
def delete_webhook(asked: Route, webhook_id: Slug) -> Response:
    """Tell this URL nothing more."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        WebhookEndpoint.load(db, webhook_id)
        delete_record(db, WebhookEndpoint.KIND, webhook_id)
        asked.append_audit(db, now_ms, "webhook.delete", webhook_id)
        return HttpResponse(200, {"webhook_id": webhook_id, "deleted": True})

    return asked.change(do)


@router.get("/v1/webhooks/{webhook_id}/messages", **answers(WebhookMessages))
@slow
def webhook_messages(
    asked: Route, webhook_id: Slug, status: MessageStatus = "failed", cursor: Cursor = 0, limit: PageSize = 100
) -> dict[str, Any]:
    """Messages of a webhook, those given up at first; `next` is the cursor of the next page, null at the end."""
    names = ("status", "attempts", "error", "ts_ms", "body")
    columns = OUTBOX.c.delivery_id.label("message_id"), *(OUTBOX.c[name] for name in names)
    mine = OUTBOX.c.channel == "webhook", OUTBOX.c.target == webhook_id, OUTBOX.c.status == status
    page = select(*columns).where(*mine).order_by(OUTBOX.c.delivery_id).limit(limit).offset(cursor)
    with asked.read() as db:
        WebhookEndpoint.load(db, webhook_id)
        data = [dict(row) for row in db.execute(page).mappings()]
    return {"data": data, "next": cursor + limit if len(data) == limit else None}


@router.post("/v1/webhooks/{webhook_id}:test", status_code=202, **answers(MessageTaken, 202))
@slow
def try_webhook(asked: IdempotentRoute, webhook_id: Slug) -> Response:
    """Send a message of the type `test`, signed as all others."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        WebhookEndpoint.load(db, webhook_id)
        moment = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
        said = {"type": "test", "timestamp": moment, "data": {"webhook_id": webhook_id}}
        return HttpResponse(202, {"message_id": outbox.post_message(db, "webhook", webhook_id, said, now_ms)})

    return asked.change(do)


@router.post("/v1/webhooks/{webhook_id}:replay", status_code=202, **answers(MessagesTaken, 202))
@slow
def replay_webhook(
    asked: IdempotentRoute, webhook_id: Slug, since_ms: Cursor = 0, status: MessageStatus | None = None
) -> Response:
    """Send again what was made since a moment, with the same webhook-id; `status=failed`: what was given up alone.

    They wait again within a second or so, some at a time: `messages` is how many there are.
    """
    until_ms = asked.server.clock.now_ms()
    replay = outbox.WebhookReplay(webhook_id=webhook_id, since_ms=since_ms, until_ms=until_ms, status=status)
    with asked.read() as db:
        count = db.execute(select(func.count()).select_from(OUTBOX).where(*replay.conditions)).scalar_one()

    def do(db: Connection, now_ms: int) -> HttpResponse:
        WebhookEndpoint.load(db, webhook_id)
        replay.save(db, f"rsd_{token_hex(8)}", now_ms)
        return HttpResponse(202, {"messages": count})

    return asked.change(do, {"since_ms": since_ms, "status": status})


@router.get("/v1/messages", **answers(OfferMessages))
@slow
def offer_messages(
    asked: Route, status: MessageStatus = "failed", cursor: Cursor = 0, limit: PageSize = 100
) -> dict[str, Any]:
    """Messages to customers, those given up at first, without address and words: `again` says whether one can be sent
    again, which is so until its offer ends. `next` is the cursor of the next page, null at the end.
    """
    again = (OUTBOX.c.status == "failed") & (OUTBOX.c.body != "{}")
    columns = [OUTBOX.c[name] for name in ("status", "attempts", "error", "ts_ms")]
    names = OUTBOX.c.delivery_id.label("message_id"), OUTBOX.c.target.label("decision_id")
    page = select(*names, *columns, again.label("again")).where(IS_EMAIL, OUTBOX.c.status == status)
    with asked.read() as db:
        rows = db.execute(
            page.order_by(OUTBOX.c.ts_ms.desc(), OUTBOX.c.delivery_id).limit(limit).offset(cursor)
        ).mappings()
        data = [dict(row) | {"again": bool(row["again"])} for row in rows]
    return {"data": data, "next": cursor + limit if len(data) == limit else None}


@router.post("/v1/messages/{message_id}:resend", status_code=202, **answers(MessageTaken, 202))
@slow
def resend_message(asked: IdempotentRoute, message_id: Slug) -> Response:
    """Send a message that was given up again; consent, quiet hours and its offer's last moment count as before."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        mine = IS_EMAIL, OUTBOX.c.delivery_id == message_id
        row = db.execute(select(OUTBOX.c.status, OUTBOX.c.body).where(*mine)).first()
        if row is None:
            raise Refused("message_unknown", gettext_lazy("no message {message_id}", message_id=message_id))
        if row.status != "failed" or row.body == "{}":
            raise Refused(
                "message_over",
                gettext_lazy(
                    "{message_id} is {status}; its words are kept no longer: decide anew",
                    message_id=message_id, status=row.status,
                ),
            )  # fmt: skip
        db.execute(update(OUTBOX).where(*mine).values(status="waiting", attempts=0, next_ms=now_ms))
        asked.append_audit(db, now_ms, "message.resend", message_id)
        return HttpResponse(202, {"message_id": message_id, "status": "waiting"})

    return asked.change(do)


@router.get("/v1/audit", **answers(AuditPage))
def audit_log(asked: Route, cursor: Cursor = 0, limit: PageSize = 100) -> dict[str, Any]:
    """The audit log in order, a page at a time; `next` is the cursor of the next page, null at the end."""
    with asked.read() as db:
        rows = db.execute(select(AUDIT).where(AUDIT.c.seq > cursor).order_by(AUDIT.c.seq).limit(limit)).mappings().all()
    return {"data": [dict(row) for row in rows], "next": rows[-1]["seq"] if len(rows) == limit else None}


@router.get("/v1/audit:verify", **answers(AuditVerified))
@slow
def verify(asked: Route) -> dict[str, Any]:
    """Whether the chain of hashes holds, the first row that breaks it, and its last hash to keep elsewhere."""
    with asked.read() as db:
        broken, link = first_break(db), last_audit_link(db)
    return {"holds": broken is None, "first_break": broken} | link._asdict()


def _kept(db: Connection, campaign_id: str) -> dict[str, object]:
    """A campaign as the ledger has it, which is how answers show it."""
    return {"campaign_id": campaign_id, **get_record(db, Campaign.KIND, campaign_id)}


@router.post("/v1/campaigns/{campaign_id}:learn", status_code=202, **answers(LearningStarted, 202))
async def learn_now(asked: IdempotentRoute, campaign_id: Slug) -> Response:
    """Start what `promolift learn` does, in a process of its own. While it runs, the answer is about that run."""
    asked_first = []

    def do(db: Connection, _: int) -> HttpResponse:
        Campaign.load(db, campaign_id)
        asked_first.append(True)
        return HttpResponse(202, {"campaign_id": campaign_id, "status": "running"})

    reply = await asyncio.to_thread(asked.change, do)
    if asked_first:
        await asked.server.scheduler.start(campaign_id)
    return reply


@router.get("/v1/campaigns/{campaign_id}/learning", **answers(LearningShown))
def learning(asked: Route, campaign_id: Slug) -> dict[str, Any]:
    """The last run: when, what became of it, the release it proposes and why. `status` never where there was none."""
    with asked.read() as db:
        Campaign.load(db, campaign_id)
        run = LearnRun.find(db, campaign_id) or LearnRun(status="never")
    return {"campaign_id": campaign_id} | run.to_json()


def release_first_plan(server: Server) -> str | None:
    """Make a release of the plan in the work folder and activate it; return its id.

    None, and no release, if a campaign has an active release already.
    """
    call = RouteContext(server, "setup")
    with call.read() as db:
        if any(campaign.release for campaign in Campaign.all(db).values()):
            return None
    release_id: str = json.loads(bytes(make_release(call).body))["release_id"]
    activate(call, release_id)
    return release_id
