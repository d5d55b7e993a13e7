"""Live monitoring: spend against limits, refusals by reason, the last decisions and events; pause and limits."""

import re
from collections import Counter
from contextlib import suppress
from typing import Any

from fastapi import Response
from sqlalchemy import select

from promolift.core.customers.reason_text import render_reason
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, date, days, interval, upper_first
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.money import currency_digits
from promolift.foundation.pages.blocks import Figure
from promolift.foundation.pages.charts import Axis, Line, line_chart, table_by_point, thin_rows
from promolift.server.api.routes import admin, lists
from promolift.server.api.routes.campaign_summary import spend, summary
from promolift.server.console.pages.context import PageVisit, Reply, Screen, chart_options, form, page, sentence
from promolift.server.console.pages.empty_page import empty_screen
from promolift.server.console.pages.release_offers import describe_release_offer, is_release_available
from promolift.server.ledger.limits import RELEASE_LIMIT_ID
from promolift.server.ledger.schema import EVENTS, Refused
from promolift.server.translations import translate_key, translate_refusal

DECIDE = "/v1/decisions"
DECISIONS_SHOWN = 100


@page("/live")
def live(visit: PageVisit) -> Reply:
    """The screen; `?part=now` is what is looked at again every few seconds."""
    now, campaign, part = summary(visit.call, visit.campaign_id), visit.campaign(), visit.query.get("part") == "now"
    only = visit.query.get("offer", "")
    made = lists.decisions(visit.call, campaign_id=visit.campaign_id, limit=DECISIONS_SHOWN)["data"]
    wanted = [row for row in made if not only or (row["offer_id"] == "none") == (only == "none")]
    rows = [
        {"ts_ms": row["ts_ms"], "customer_id": row["customer_id"], "reason": render_reason(row["reason"]),
         "offer": offer_of(visit, row), "none": row["offer_id"] == "none", "unanswered": bool(row["unanswered"])}
        for row in wanted
    ]  # fmt: skip
    heard = (
        select(EVENTS.c.ts_ms, EVENTS.c.name, EVENTS.c.customer_id).order_by(EVENTS.c.seq.desc()).limit(DECISIONS_SHOWN)
    )
    answered = visit.server.metrics.latency_buckets
    data = {
        "summary": now, "decisions": rows, "reasons": reasons(made), "events": visit.rows(heard), "offer": only,
        "paused": campaign.paused, "campaign_id": visit.campaign_id, "made": len(made),
        "price": made[0]["price"] if made else None, "half_s": answered(DECIDE, 0.5),
        "nearly_s": answered(DECIDE, 0.99),
    }  # fmt: skip
    if not (campaign.release or made or part):
        return empty_screen(visit, "/live", "/plan")
    if part:
        return Screen("monitoring/now.html", "", data, whole=False)
    stated: dict[str, Any] = {"limits": [], "stock": []}
    with suppress(Refused):  # one that was never made has neither
        stated = admin.campaign(visit.call, visit.campaign_id, Response())
    figure, release = spending(visit) if campaign.release else None, campaign.release or ""
    data |= {
        "limits": stated["limits"],
        "figure": figure,
        "previous": campaign.previous,
        "stock": [
            each | {"offer": describe_release_offer(visit, release, each["offer_id"])} for each in stated["stock"]
        ],
        "shown": {each.limit_id: format_limit(visit, each.metric, each.used, each.amount) for each in now.limits},
        "digits": currency_digits(visit.shared.shop.currency),
    }
    return Screen("monitoring/page.html", translate_key("nav", "/live"), data, chart_options([figure]))


def spending(visit: PageVisit) -> Figure:
    """What was spent beside the budget, and where it leads."""
    found, cash = spend(visit.call, visit.campaign_id), MoneyFormat(visit.shared.shop.currency)
    budget, long = cash(found.budget_cents), days(found.window_days)
    finding = sentence("nothing_redeemed", budget=budget)
    if found.starts_ms is not None:
        since = date(found.starts_ms, visit.shared.shop.zone)
        finding = sentence("spent_since", spent=cash(found.spent[-1].cents), since=since, budget=budget, days=long)
    if found.ahead:
        end = found.ahead[-1]
        finding += sentence("spend_leads", end=cash(end.cents), interval=interval(end.low_cents, end.high_cents, cash))
    elif found.why:
        finding += gettext(" {why}.", why=upper_first(render_message(found.why)))
    series = [Line(sentence("budget"), "grey", [(0, 0.0), (found.window_days, float(found.budget_cents))]),
              Line(sentence("spent"), "blue", [(each.day, each.cents) for each in found.spent])]  # fmt: skip
    if found.ahead:
        cone = [(each.day, each.cents, each.low_cents, each.high_cents) for each in thin_rows(found.ahead)]
        series.append(Line(sentence("leads_to"), "orange", cone))
    x, y = Axis(sentence("day"), "count"), Axis(sentence("money_spent"), "money")
    rows = [Line(each.name, each.tone, [[*p, None, None, None][:5] for p in each.points]) for each in series]
    grid = table_by_point([sentence("line"), x.name, y.name, "n"], rows, count, cash)
    return line_chart("spend", sentence("spend_plan"), finding, x, y, series, grid, how=sentence("cone_how"), wide=True)


def offer_of(visit: PageVisit, row: dict[str, Any]) -> str:
    """The offer of a decision in words; its id where its release is gone."""
    return (
        describe_release_offer(visit, row["release_id"], row["offer_id"])
        if is_release_available(visit, row)
        else str(row["offer_id"])
    )


def reasons(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Why the last decisions gave nothing, the most frequent first."""
    found = Counter(render_reason(row["reason"]) for row in made if row["offer_id"] == "none")
    return [{"reason": why, "number": n} for why, n in found.most_common()]


def format_limit(visit: PageVisit, metric: str, used: int, amount: int) -> str:
    """Format the used amount of a limit."""
    tell: Any = MoneyFormat(visit.shared.shop.currency) if metric == "discount_amount" else count
    return gettext("{used} of {amount}", used=tell(used), amount=tell(amount))


@form("/live/pause", "approver", "/live")
def pause(visit: PageVisit) -> str:
    """Every decision is "no offer" until it is resumed."""
    wanted = visit.form.get("paused") == "yes"
    admin.patch_campaign(visit.call, visit.campaign_id, {"paused": wanted})
    return sentence("paused_now" if wanted else "resumed_now")


@form("/live/limits/{limit_id}", "approver", "/live")
def limit(visit: PageVisit) -> str:
    """Another amount for a limit, in whole units of the currency for money."""
    named, seen = visit.params["limit_id"], Response()
    listed = admin.campaign(visit.call, visit.campaign_id, seen)["limits"]
    one = next((each for each in listed if each["limit_id"] == named), None)
    digits = currency_digits(visit.shared.shop.currency) if one and one["metric"] == "discount_amount" else 0
    typed = re.fullmatch(r"([0-9]{1,12})(?:[.,]([0-9]+))?", visit.text("amount", 20))
    if one is None or named == RELEASE_LIMIT_ID or typed is None or len(typed[2] or "") > digits:
        raise translate_refusal("limit_wrong")
    names = ("limit_id", "metric", "amount", "period", "per", "timezone")
    new = [
        {name: each[name] for name in names}
        | {"offer_id": each["offer_id"] or None}
        | ({"amount": int(typed[1] + (typed[2] or "").ljust(digits, "0"))} if each["limit_id"] == named else {})
        for each in listed
        if each["limit_id"] != RELEASE_LIMIT_ID
    ]  # fmt: skip
    admin.patch_campaign(visit.call, visit.campaign_id, {"limits": new}, seen.headers["etag"])
    return sentence("limit_changed", name=named)
