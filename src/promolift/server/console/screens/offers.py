"""The menu of offers: each line with its text and highest cost, drafts, approval, versions and proposals."""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from secrets import token_hex
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlalchemy import Connection

from promolift.core import messages
from promolift.core.messages.angles import AngleFacts
from promolift.core.offers.menu import MenuItem, make_offer
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import BENEFIT_OPTIONAL_FIELDS, BENEFIT_REQUIRED_FIELDS
from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.formatting import MoneyFormat, current_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.i18n.validation_text import broken_rule
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, LANGUAGES, LocalizedText
from promolift.foundation.money import currency_digits
from promolift.server.console.pages.context import PageVisit, Reply, Screen, cached_result, form, page, sentence
from promolift.server.console.screens.texts import load_text_pool
from promolift.server.ledger.records import MenuDraft, MenuVersion, menu_versions, stated_fields
from promolift.server.ledger.schema import Refused
from promolift.server.translations import translate_group, translate_key, translate_refusal
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job

EXAMPLE_TARGETS = {
    "category": LocalizedText(en="one category", zh="一个品类"),
    "product": LocalizedText(en="one product", zh="一件商品"),
    "pair": LocalizedText(en="two categories", zh="两个品类"),
}
OPEN_STATUSES = ("draft", "asked")
CUSTOMERS_TRIED = 40  # texts of the pool that are tried for a preview
LINE_FIELDS = ("id", "scope", "activation", "covers", "segments", "members", "online_only", "min_spend_cents",
           "send_cost_cents", "benefit_cost_cents", "valid_days", "supplier_share")  # fmt: skip
FIELD_KINDS = {name: kind for kind, names in (  # how a field is written in the form; a number where it is not here
    ("text", "id scope activation base product_id"), ("list", "covers segments"), ("flag", "members online_only"),
    ("money", "amount_cents price_cents max_discount_cents worth_cents min_spend_cents send_cost_cents"),
    ("money", "benefit_cost_cents"), ("share", "supplier_share"),
) for name in names.split()}  # fmt: skip


class PlannedLines(NamedTuple):
    """What the plan gives of each menu line, the lines it knows, and those of the release that decides."""

    by_line: dict[str, dict[str, Any]]
    menu: Sequence[MenuItem]
    live: frozenset[str]


NO_PLAN = PlannedLines({}, (), frozenset())


@page("/offers")
def offers(visit: PageVisit) -> Reply:
    """The screen."""
    config, plan = visit.shared.config, planned_lines(visit)
    with visit.read() as db:
        drafts = {name: each for name, each in MenuDraft.all(db).items() if each.status in OPEN_STATUSES}
        old = menu_versions(db)
    known = {line.id for line in config.menu}
    return Screen("offers/page.html", translate_key("nav", "/offers"), {
        "cards": [line_card(visit, line, plan) for line in config.menu],
        "proposed": [line_card(visit, line, plan) for line in plan.menu if line.id not in known],
        "drafts": [
            {"id": name, "card": line_card(visit, each.line, plan)} | each.to_json() for name, each in drafts.items()
        ],
        "versions": [{"number": number, **each.to_json()} for number, each in old.items()],
        "floor": config.rules.margin_floor, "least": config.offer.least_share, "release": visit.campaign().release,
        "types": translate_group("benefit"), "two_eyes": visit.two_eyes, "me": visit.visitor.name,
    })  # fmt: skip


@cached_result("tables/policies.parquet")
def load_planned_lines(job: Job) -> PlannedLines:
    """Load the lines of the work folder's plan; none where there is no plan."""
    if not PlanNote.has(job.store):
        return NO_PLAN
    plan = Plan.load(job.store)
    return PlannedLines({row["menu_id"]: row for row in plan.lines.to_dicts()}, plan.note.menu, frozenset())


def planned_lines(visit: PageVisit) -> PlannedLines:
    """The plan, and what decides now."""
    found, release = load_planned_lines(visit), visit.campaign().release
    return found._replace(live=frozenset(visit.server.decider.ensure(release).menu)) if release else found


def line_card(visit: PageVisit, line: MenuItem, plan: PlannedLines = NO_PLAN) -> dict[str, Any]:
    """A line of the menu in words: what one use costs at most, what the plan does with it."""
    currency, worst = visit.shared.shop.currency, line.worst_cents
    said = MoneyFormat(currency)(worst) if worst is not None else sentence("no_bound")
    if line.benefit.type == "free_shipping" and worst is None:
        said = sentence("its_delivery")
    words = messages.describe_menu_line(
        line.benefit, line.min_spend_cents, currency, current_locale(), describe_scope(line)
    )
    return {
        "line": line,
        "words": words,
        "worst": said,
        "given": plan.by_line.get(line.id),
        "live": line.id in plan.live,
        "pair": is_pair(line),
    }


def is_pair(line: MenuItem) -> bool:
    """Whether it is a proposed percentage on two categories at once, which no menu can state."""
    return line.id.startswith("pr-pair-")


def describe_scope(line: MenuItem) -> LocalizedText | None:
    """What it is on, for print."""
    if line.covers:
        return readable_name(CATEGORY_SEPARATOR.join(line.covers), "product" if line.scope == "product" else "category")
    return EXAMPLE_TARGETS.get("pair" if is_pair(line) else line.scope)


def example_texts(visit: PageVisit, line: MenuItem) -> list[dict[str, str]]:
    """As customers read it, in each language of the shop: in a few words, and a message of it."""
    shop, covers = (
        visit.shared.shop,
        CATEGORY_SEPARATOR.join(line.covers) or ("" if line.scope == "all" else line.scope),
    )
    now = datetime.fromtimestamp(visit.now_ms / 1000, ZoneInfo(shop.zone))
    offer = make_offer(line, covers, line.scope, describe_scope(line), now, shop.currency)
    texts = (
        load_text_pool(visit).usable("judged").texts
    )  # how it may read; what is sent needs the approval that is asked for
    found = []
    for language in shop.languages:
        written = ""
        for text in [each for each in texts if each.language == language and each.angle == "generic"][:CUSTOMERS_TRIED]:
            with suppress(PromoError):
                written = messages.write_message(offer, AngleFacts(), language, text.draft).text
                break
        found.append({"language": language, "words": messages.describe_offer(offer, language), "message": written})
    return found


@page("/offers/edit")
def edit(visit: PageVisit) -> Reply:
    """The form of a line: a new one, one that is there, or one that the plan proposed."""
    wanted, lines = visit.query.get("line", ""), {}
    if wanted:
        lines = {line.id: line for line in (*planned_lines(visit).menu, *visit.shared.config.menu)}
        if wanted not in lines:
            raise translate_refusal("line_unknown")
    line = lines.get(wanted)
    kind: Any = visit.query.get("type") or (line.benefit.type if line else "percent_off")
    if kind not in translate_group("benefit"):
        raise translate_refusal("type_unknown")
    fresh = {"valid_days": "28", "scope": "category" if kind == "percent_off" else "all"}
    values = form_values(visit, line) if line and line.benefit.type == kind else fresh
    values |= {name: each for name, each in visit.query.items() if name not in ("line", "type", "format")}
    data = {
        "kind": kind,
        "types": translate_group("benefit"),
        "line": wanted,
        "fields": (*BENEFIT_REQUIRED_FIELDS.get(kind, ()), *BENEFIT_OPTIONAL_FIELDS.get(kind, ())),
        "needs": BENEFIT_REQUIRED_FIELDS.get(kind, ()),
        "values": values,
        "segments": [each.name for each in visit.shared.config.segment],
    }
    if line and values.get("id") == line.id:
        data |= {"printed": example_texts(visit, line), "card": line_card(visit, line), "why": ""}
    return Screen("offers/edit.html", sentence("an_offer"), data)


def form_values(visit: PageVisit, line: MenuItem) -> dict[str, str]:
    """A line as its form has it: money in whole units of the currency, shares in percent, lists with commas."""
    digits, stated = currency_digits(visit.shared.shop.currency), stated_fields(line)
    found = {"valid_days": str(line.valid_days)}
    for name, value in ({**stated, **stated["benefit"]}).items():
        match FIELD_KINDS.get(name):
            case "money" if value is not None:
                found[name] = f"{value / 10**digits:.{digits}f}"
            case "share":
                found[name] = f"{100 * value:g}"
            case "list":
                found[name] = ", ".join(value)
            case _ if name == "item":
                found |= {f"item_{each}": text for each, text in value.items()}
            case _ if name not in ("benefit", "type"):
                found[name] = str(value)
    return found


def submitted_line(visit: PageVisit, said: Any) -> MenuItem:
    """Return the menu line that the form states. Raises Refused with the first problem."""
    kind: Any = said.get("type", "")
    unit = 10.0 ** currency_digits(visit.shared.shop.currency)
    given = {name: " ".join(str(value).split()) for name, value in said.items() if str(value).strip()}

    def read(name: str) -> Any:
        text, as_what = given[name], FIELD_KINDS.get(name, "number")
        match as_what:
            case "text":
                return text
            case "list":
                return [each.strip() for each in text.split(",")]
            case "flag":
                return text == "True"
        try:
            return float(text.replace(",", ".")) * {"money": unit, "share": 0.01}.get(as_what, 1.0)
        except ValueError:
            return text  # the settings say what is wrong with it

    needs = BENEFIT_REQUIRED_FIELDS.get(kind, ())
    benefit = {"type": kind} | {
        name: read(name) for name in (*needs, *BENEFIT_OPTIONAL_FIELDS.get(kind, ())) if name in given
    }
    if items := {each: given[f"item_{each}"] for each in LANGUAGES if f"item_{each}" in given}:
        benefit["item"] = dict.fromkeys(LANGUAGES, next(iter(items.values()))) | items
    terms = [given[name] for name in (*needs, "item_en", "covers", "min_spend_cents") if name in given]
    made = re.sub(r"[^a-z0-9]+", "-", " ".join([str(kind), *terms]).lower()).strip("-")[:60]
    line = {"benefit": benefit, "id": made} | {name: read(name) for name in LINE_FIELDS if name in given}
    try:
        return MenuItem.model_validate(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        rule = broken_rule(first)
        raise Refused(
            "line_wrong", gettext_lazy("{where}: {rule}", where=where, rule=rule) if where else rule
        ) from None


@page("/offers/preview", "editor")
def preview(visit: PageVisit) -> Reply:
    """While somebody types: the printed words, and what it costs at worst. Nothing is kept."""
    try:
        line = submitted_line(visit, visit.query)
        data: dict[str, Any] = {"printed": example_texts(visit, line), "card": line_card(visit, line), "why": ""}
    except PromoError as error:
        data = {"printed": [], "card": None, "why": render_message(error.message)}
    return Screen("offers/preview.html", "", data, whole=False)


@form("/offers/save", "editor", "/offers")
def save(visit: PageVisit) -> None:
    """Keep a line as a draft; the menu stays as it is until somebody says yes."""
    line, name = submitted_line(visit, visit.form), f"mdr_{token_hex(6)}"
    example_texts(visit, line)

    def do(db: Connection, now_ms: int) -> None:
        MenuDraft(line=line, status="draft", by=visit.visitor.name, note=visit.text("note", 200)).save(db, name, now_ms)
        visit.append_audit(db, now_ms, "menu.draft", line.id, None, stated_fields(line))

    visit.change(do)


@form("/offers/drafts/{draft}", "editor", "/offers")
def judge(visit: PageVisit) -> str:
    """Ask about a draft, say yes or no to it, or drop it."""
    name, said = visit.params["draft"], visit.form.get("said", "")
    status = {"ask": "asked", "yes": "approved", "no": "rejected", "drop": "rejected"}.get(said)
    if status is None:
        raise translate_refusal("say_yes_or_no")
    if said in ("yes", "no"):
        visit.require_role("approver")
    why = visit.text("why", 200)
    if said == "no" and not why:
        raise translate_refusal("why_missing")

    def do(db: Connection, now_ms: int) -> None:
        draft = MenuDraft.find(db, name)
        if draft is None or draft.status not in OPEN_STATUSES:
            raise translate_refusal("not_a_draft")
        if said == "drop" and draft.by != visit.visitor.name:
            visit.require_role("approver")
        if said == "yes":
            visit.require_other_person(draft.by)
            lines = {line.id: line for line in visit.shared.config.menu} | {draft.line.id: draft.line}
            replace_menu(visit, db, now_ms, tuple(lines.values()), draft.line.id)
        more = {"status": status, "decided_by": visit.visitor.name, "note": why or draft.note}
        draft.model_copy(update=more).save(db, name, now_ms)
        visit.append_audit(db, now_ms, f"menu.{status}", draft.line.id, {"by": draft.by}, {"why": why} if why else None)

    visit.change(do)
    return sentence(f"draft_{said}" if said in ("ask", "yes") else "draft_left")


def replace_menu(visit: PageVisit, db: Connection, now_ms: int, menu: tuple[MenuItem, ...], changed: str) -> None:
    """Another menu: into the settings, and as a version. The first keeps what was there before, too."""
    before, old = visit.shared.config.menu, menu_versions(db)
    if not old:
        MenuVersion(menu=before, by="promolift.toml", changed="", ts_ms=now_ms).save(db, "1", now_ms)
    visit.shared.change(lambda _: {"menu": [stated_fields(line) for line in menu]})
    number = max(old, default=1) + 1
    MenuVersion(menu=menu, by=visit.visitor.name, changed=changed, ts_ms=now_ms).save(db, str(number), now_ms)


@form("/offers/lines/{line}/retire", "approver", "/offers")
def retire(visit: PageVisit) -> None:
    """Take a line off the menu; releases that have it go on with it."""
    name = visit.params["line"]

    def do(db: Connection, now_ms: int) -> None:
        menu = visit.shared.config.menu
        left = tuple(line for line in menu if line.id != name)
        if len(left) == len(menu):
            raise translate_refusal("line_unknown")
        replace_menu(visit, db, now_ms, left, f"- {name}")
        visit.append_audit(db, now_ms, "menu.retire", name, None, None)

    visit.change(do)


@form("/offers/versions/{number}", "approver", "/offers")
def restore(visit: PageVisit) -> None:
    """The menu as it was in an earlier version, as a new one."""

    def do(db: Connection, now_ms: int) -> None:
        old = menu_versions(db).get(int(visit.params["number"]) if visit.params["number"].isdecimal() else -1)
        if old is None:
            raise translate_refusal("version_unknown")
        replace_menu(visit, db, now_ms, old.menu, f"= {visit.params['number']}")
        visit.append_audit(db, now_ms, "menu.restore", visit.params["number"], None, None)

    visit.change(do)
