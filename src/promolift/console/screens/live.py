"""What happens now: spend against limits, refusals by reason, the last decisions and events; pause and limits."""

from typing import Any

from fastapi import Response
from sqlalchemy import select

from promolift.console.screens.customers import known_release, said_offer
from promolift.console.visit import PageRoute, PageVisit, Redirect, Reply, SaidNote, Screen
from promolift.results.chinese import kept
from promolift.serve.routes import admin, lists
from promolift.serve.routes.summary import summary
from promolift.serve.things import Campaign
from promolift.store.ledger_schema import EVENTS, Refused
from promolift.words import Cash, count, pick

LATEST = 100


def live(visit: PageVisit) -> Reply:
    """The screen; `?part=now` is what is looked at again every few seconds."""
    now, campaign = summary(visit.call, visit.campaign_id), visit.campaign()
    only = visit.query.get("offer", "")
    made = lists.decisions(visit.call, campaign_id=visit.campaign_id, limit=LATEST)["data"]
    wanted = [row for row in made if not only or (row["offer_id"] == "none") == (only == "none")]
    rows = [
        {"ts_ms": row["ts_ms"], "customer_id": row["customer_id"], "reason": kept(row["reason"]),
         "offer": offer_of(visit, row), "none": row["offer_id"] == "none", "unanswered": bool(row["unanswered"])}
        for row in wanted
    ]  # fmt: skip
    with visit.read() as db:
        heard = select(EVENTS.c.ts_ms, EVENTS.c.name, EVENTS.c.customer_id).order_by(EVENTS.c.seq.desc()).limit(LATEST)
        events = [dict(row) for row in db.execute(heard).mappings()]
        limits = [] if Campaign.find(db, visit.campaign_id) is None else stated(visit)
    data = {
        "summary": now, "decisions": rows, "reasons": reasons(made), "events": events, "offer": only, "limits": limits,
        "paused": campaign.paused, "campaign_id": visit.campaign_id, "made": len(made),
        "shown": {each.limit_id: shown(visit, each.metric, each.used, each.amount) for each in now.limits},
    }  # fmt: skip
    part = visit.query.get("part") == "now"
    return Screen("live_now.html" if part else "live.html", pick("Live", "实时"), data, whole=not part)


def offer_of(visit: PageVisit, row: dict[str, Any]) -> str:
    """The offer of a decision in words; its id where its release is gone."""
    return said_offer(visit, row["release_id"], row["offer_id"]) if known_release(visit, row) else str(row["offer_id"])


def stated(visit: PageVisit) -> list[dict[str, Any]]:
    """The campaign's limits as the API tells them."""
    limits: list[dict[str, Any]] = admin.campaign(visit.call, visit.campaign_id, Response())["limits"]
    return limits


def reasons(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Why the last decisions gave nothing, the most frequent first."""
    found: dict[str, int] = {}
    for row in made:
        if row["offer_id"] == "none":
            found[kept(row["reason"])] = found.get(kept(row["reason"]), 0) + 1
    return [{"reason": why, "number": n} for why, n in sorted(found.items(), key=lambda pair: -pair[1])]


def shown(visit: PageVisit, metric: str, used: int, amount: int) -> str:
    """Of a limit, what is used."""
    say: Any = Cash(visit.shared.shop.currency) if metric == "discount_amount" else count
    return pick(f"{say(used)} of {say(amount)}", f"{say(used)} / {say(amount)}")


def pause(visit: PageVisit) -> Reply:
    """Every decision is "no offer" until it is resumed."""
    wanted = visit.form.get("paused") == "yes"
    admin.patch_campaign(visit.call, visit.campaign_id, {"paused": wanted})
    said = pick("Paused: every decision is “no offer” now.", "已暂停：所有决策都不发优惠。")
    if not wanted:
        said = pick("Resumed. Offers are given again.", "已恢复发放优惠。")
    return Redirect("/live", SaidNote(said))


def limit(visit: PageVisit) -> Reply:
    """Another amount for a limit."""
    named, typed = visit.params["limit_id"], visit.text("amount", 20)
    listed = stated(visit)
    if named not in [each["limit_id"] for each in listed] or not typed.isascii() or not typed.isdigit():
        raise Refused("limit_wrong", pick("Give a whole number, in cents for money.", "请输入整数，金额以最小单位计。"))
    names = ("limit_id", "metric", "amount", "period", "per")
    new = [
        {name: each[name] for name in names}
        | {"timezone": each["zone"], "offer_id": each["offer_id"] or None}
        | ({"amount": int(typed)} if each["limit_id"] == named else {})
        for each in listed
    ]  # fmt: skip
    admin.patch_campaign(visit.call, visit.campaign_id, {"limits": new})
    return Redirect("/live", SaidNote(pick(f"The limit {named} is changed.", f"限额{named}已更改。")))


DOORS = (
    PageRoute("GET", "/live", live),
    PageRoute("POST", "/live/pause", pause, "approver"),
    PageRoute("POST", "/live/limits/{limit_id}", limit, "approver"),
)
