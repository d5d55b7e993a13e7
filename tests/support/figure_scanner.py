"""A planned shop in; every figure with its meaning from each surface out, and the meanings of which surfaces differ.

A surface is what somebody reads: the command line, a page, an answer, a file. A figure is found by the catalogue's own
message around it, in the language of the surface, so that a message that is rewritten is missed aloud
(`unknown_messages`) and not in silence.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from console_helpers import opened
from serve_helpers import released

from promolift.extensions.agents.mcp_server import McpTools
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, interval_name, level_name, percent, use_locale
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.localized_text import Language
from promolift.foundation.storage.local_store import Store
from promolift.server.console.pages.context import sentence
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.pipeline import plan_summary
from promolift.shop.pipeline.steps.report import plan_file
from promolift.shop.reports.chapters.summary import ASSUMPTION_NAMES, render
from promolift.shop.reports.next_step import shop_status
from promolift.shop.reports.plan_rows import export_rows
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.work_folder.run_context import Job

MONEY = r"[+−-]?(?:[A-Z]{0,3}[$¥€£]|[A-Z]{3}\s?)?\d(?:[\d,.]*\d)?(?:\s?(?:M|bn|万|亿))?"
SHAPES = {
    "money": MONEY,
    "count": r"\d(?:[\d,]*\d)?",
    "percent": r"[<>−]*\s?\d[\d.,]*\s?%",
    "date": r"[^.:;，。：；]{4,40}?",
    "level": r"\w+",
    "whose": r"(?:This plan|(?:Without|The same plan) [\w, ]{4,40}|\W?[\u4e00-\u9fff，]{2,20}?)",
    "days": r"\d+\s?\w{0,4}",
}
KINDS = {
    "value": "money", "low": "money", "high": "money", "promised": "money", "cost": "money", "budget": "money",
    "bounded value": "money", "bound": "money", "missing": "money", "draws' cost": "money", "ceiling": "money",
    "draws' budget": "money", "detectable": "money", "next unit": "money",
    "customers": "count", "treated": "count", "held out": "count", "able": "count", "window": "count",
    "by prediction": "count", "barred": "count", "windows needed": "count", "gap": "percent",
    "first day": "date", "last day": "date",
    "evidence": "level", "margin": "percent", "suppliers": "percent",
    "send cost": "money", "send cost flips": "money", "compared value": "money",
}  # fmt: skip
PLURALS: tuple[tuple[str, str, dict[str, str]], ...] = (  # messages that count, in both numbers
    ("{treated} of {customers} customer would get an offer.", "{treated} of {customers} customers would get an offer.",
     {"treated": "treated", "customers": "customers"}),
    ("{customers} customer picked at random get none, so that the difference can be measured.",
     "{customers} customers picked at random get none, so that the difference can be measured.",
     {"customers": "held out"}),
    ("{customers} customer may not be written to.", "{customers} customers may not be written to.",
     {"customers": "barred"}),
    ("budget {budget}, expects {gain} for {customers} customer", "budget {budget}, expects {gain} for {customers} "
     "customers", {"budget": "budget", "gain": "value", "customers": "treated"}),
)  # fmt: skip
READINGS: tuple[tuple[str, dict[str, str]], ...] = (  # messages of the catalogue, and what their arguments mean
    ("{treated} of {customers} customers get an offer; {held} are held out. ",
     {"treated": "treated", "customers": "customers", "held": "held out"}),
    ("Expected to add {gain}{span} after its cost of {spent}, of a budget of {budget}. Evidence: {evidence}.",
     {"gain": "value", "span": "span", "spent": "cost", "budget": "budget", "evidence": "evidence"}),
    (" By the estimates that chose it: {promised}; the rest was luck.", {"promised": "promised"}),
    (" The estimates that chose the offers promise {promised}; checked on customers who had no part in the choice, "
     "part of that was luck, which is taken off here.", {"promised": "promised"}),
    (" The estimates that chose the offers promise {promised}; checked on customers who had no part in the choice, it "
     "is no less.", {"promised": "promised"}),
    ("By the estimates that choose, the offers given by prediction add {value}, and no choice within the budget and "
     "the limits can add more than {bound}: at most {missing} ({part}) is missing.",
     {"value": "bounded value", "bound": "bound", "missing": "missing", "part": "gap"}),
    ("By the estimates that choose, the plan adds {value}, and no choice within the budget and the limits can add more "
     "than {bound}: at most {missing} ({part}) is missing.",
     {"value": "bounded value", "bound": "bound", "missing": "missing", "part": "gap"}),
    (" The plan's value, {gain}, is another figure{why}.", {"gain": "value"}),
    ("In {span} days the holdout shows effects of at least {least} per customer with an offer (80 % power); expected "
     "are {each}", {"span": "window", "least": "detectable"}),
    (", which takes about {windows} such windows.", {"windows": "windows needed"}),
    ("{targeted} customers get what is predicted to add most for each.", {"targeted": "by prediction"}),
    ("The draws are expected to cost {cost}, and at most {most} but for one month in a thousand; their limit is "
     "{budget}.", {"cost": "draws' cost", "most": "ceiling", "budget": "draws' budget"}),
    ("It is expected to cost {cost}, and at most {most} but for one month in a thousand; the budget is {budget}.",
     {"cost": "cost", "most": "ceiling", "budget": "budget"}),
    ("{given} customers get an offer until {end}: send plan.csv; read in the new log when the days are over.",
     {"given": "treated", "end": "last day"}),
    ("A test with {number} customers runs until {end}: send plan.csv; read in the new log when it is over.",
     {"number": "treated", "end": "last day"}),
    ("What sending these offers is expected to add in {window}, beyond sending nothing, once their cost of {cost} is "
     "paid.{luck}", {"window": "days", "cost": "cost"}),
    ("Send one offer each to {treated} customers, of {able} who may get one", {"treated": "treated", "able": "able"}),
    ("Set aside {cost}", {"cost": "cost"}),
    ("So much the discounts and sending are expected to cost the shop, of a budget of {budget}.", {"budget": "budget"}),
    ("Send nothing to {held_out} customers, and compare", {"held_out": "held out"}),
    ("With a budget of {budget} the plan is expected to add {gain}{between}.",
     {"budget": "budget", "gain": "value", "between": "span"}),
    (" One more {unit} of budget adds {more}.", {"more": "next unit"}),
    ("{whose} is expected to earn {plan}, {more} {much} {than}. {worth}", {"whose": "whose", "plan": "compared value"}),
    ("A margin of {value} for every product, {source}: {at}.", {"value": "margin"}),
    ("Suppliers pay {value} of the discounts, as promolift.toml states: {at}.", {"value": "suppliers"}),
    ("A message costs {cost}, {source}: at {at} this plan would earn nothing.",
     {"cost": "send cost", "at": "send cost flips"}),
)  # fmt: skip
TEST_LABEL = "This plan is a test, expected to cost"
LABELS = {  # labels of key figures, what the figure beside them means, and the message below it
    "Expected extra profit": ("value", ""),
    "Customers with an offer": ("treated", "Of {customers} customers{rest}."),
    "Expected cost": ("cost", "Of a budget of {budget}{spent}."),
    TEST_LABEL: ("cost", ""),
}
BELOW = {"customers": "customers", "budget": "budget"}
ROWS = {  # the last row of a table below this title
    "How the figure comes about": ("expected extra profit", "value"),
}
FIELDS = {  # fields of answers and files, and what they mean
    "value_cents": "value", "low_cents": "low", "high_cents": "high", "promised_cents": "promised",
    "cost_cents": "cost", "ceiling_cents": "ceiling", "budget_cents": "budget", "customers": "customers",
    "treated": "treated", "held_out": "held out", "able": "able", "by_prediction": "by prediction",
    "detectable_cents": "detectable", "barred": "barred", "windows_needed": "windows needed", "evidence": "evidence",
    "bounded_cents": "bounded value", "bound_cents": "bound", "missing_cents": "missing", "gap": "gap",
}  # fmt: skip
NEAR = 900  # characters between a headline and its interval
SAMPLE = 3  # customers whose offer is followed through every surface


class ShownFigure(NamedTuple):
    """A figure as a surface prints it, without its sign of a gain."""

    surface: str
    meaning: str
    text: str


class Surface(NamedTuple):
    """What somebody reads: `text` of a page or command, `data` of an answer or file."""

    name: str
    language: Language
    text: str = ""
    data: Any = None


def clean(text: str) -> str:
    return " ".join(text.replace("\xa0", " ").split())


def visible(page: str) -> str:
    """The text of a page, without its scripts and its navigation."""
    for element in ("script", "style", "svg", "nav"):
        page = re.sub(rf"<{element}\b.*?</{element}>", " ", page, flags=re.S)
    return clean(unescape(re.sub(r"<[^>]+>", " ", page)))


def pattern(message: str, meanings: Mapping[str, str]) -> re.Pattern[str]:
    """A message of the catalogue, translated, as it is found in a text; arguments are groups by their name."""
    made, seen = "", set[str]()
    for part in re.split(r"(\{\w+\})", clean(message)):
        name = part[1:-1]
        if not re.fullmatch(r"\{\w+\}", part):
            made += r"\s*".join(map(re.escape, re.split(r"[\s`]+", part)))
        elif name in seen or name not in meanings:
            made += r".{0,200}?"
        else:
            seen.add(name)
            meaning = meanings[name]
            made += f"(?P<{name}>{SHAPES[KINDS[meaning]] if meaning in KINDS else SHAPES.get(meaning, '.{0,80}?')})"
    return re.compile(made)


def unknown_messages(known: Iterable[str]) -> list[str]:
    """Messages that the scanner reads and the catalogue does not hold."""
    ids = set(map(clean, known))
    below = [message for _, message in LABELS.values() if message]
    rows = [row for row, _ in ROWS.values()]
    asked = [*(message for message, _ in READINGS), *(one for one, *_ in PLURALS), *LABELS, *below, *rows]
    return [each for each in asked if clean(each) not in ids]


def bare(text: str) -> str:
    """A figure as all languages print it, without the sign of a gain."""
    return clean(text).removeprefix("+").replace(" %", "%")


def read_span(surface: str, text: str) -> Iterator[ShownFigure]:
    """The ends of an interval, printed behind a value."""
    ends = re.search(rf"({MONEY})(?: to |至|到|\s*~\s*)({MONEY})", clean(text).replace(gettext(" to "), " to "))
    if ends:
        yield ShownFigure(surface, "low", bare(ends[1]))
        yield ShownFigure(surface, "high", bare(ends[2]))


def read_text(surface: Surface) -> Iterator[ShownFigure]:
    """The figures of a text, in its language."""
    with use_locale(surface.language):
        messages = [(gettext(message), meanings) for message, meanings in READINGS]
        for message, meanings in [*messages, *((ngettext(one, many, 2), said) for one, many, said in PLURALS)]:
            for found in pattern(message, meanings).finditer(surface.text):
                for name, text in found.groupdict().items():
                    if meanings[name] == "span":
                        yield from read_span(surface.name, text)
                    elif meanings[name] == "whose":
                        continue
                    elif meanings[name] == "compared value":
                        alone = found["whose"] == gettext("This plan")
                        yield ShownFigure(surface.name, "value" if alone else f"value: {found['whose']}", bare(text))
                    elif meanings[name] == "days":
                        yield ShownFigure(surface.name, "window", re.sub(r"\D", "", text))
                    else:
                        yield ShownFigure(surface.name, meanings[name], bare(text))
        for label, (meaning, message) in LABELS.items():
            below = rf" {pattern(gettext(message), BELOW).pattern}" if message else ""
            figure = rf"{re.escape(gettext(label))} (?:\w+ )?(?P<figure>{SHAPES[KINDS[meaning]]}){below}"
            if gettext(TEST_LABEL) in surface.text and meaning == "value":
                continue  # a test's first figure is its cost
            if found := re.search(figure, surface.text):  # the first: below it customers have figures of their own
                yield ShownFigure(surface.name, meaning, bare(found["figure"]))
                for name in found.groupdict().keys() & BELOW.keys():
                    yield ShownFigure(surface.name, BELOW[name], found[name])
                named = surface.text[found.end() :].find(clean(interval_name()))
                if meaning == "value" and 0 <= named < NEAR:  # drawn beside the headline
                    yield from read_span(surface.name, surface.text[found.end() + named :][:60])
        facts = rf"{gettext('From')} ({SHAPES['date']}) {gettext('to')} ({SHAPES['date']})\s?[(（]"
        if found := re.search(facts, surface.text):
            yield ShownFigure(surface.name, "first day", found[1])
            yield ShownFigure(surface.name, "last day", found[2])
        for title, (row, meaning) in ROWS.items():
            near = rf"{re.escape(render_message(title))}.*?{re.escape(gettext(row))} ({SHAPES[KINDS[meaning]]})"
            for found in re.finditer(near, surface.text):
                yield ShownFigure(surface.name, meaning, bare(found[1]))
        yield from read_assumptions(surface)
        if surface.name.endswith("console /"):
            said = clean(sentence("plan_has", budget="{budget}", days="{days}"))
            for found in pattern(said, {"budget": "budget", "days": "days"}).finditer(surface.text):
                yield ShownFigure(surface.name, "budget", bare(found["budget"]))
                yield ShownFigure(surface.name, "window", re.sub(r"\D", "", found["days"]))
            tile = rf"{re.escape(sentence('plan_expects'))} (?:\w+ )?(?P<value>{MONEY}) "
            more = ngettext("{between}, for {customers} customer.", "{between}, for {customers} customers.", 2)
            shown = pattern(more, {"between": "span", "customers": "treated"})
            for found in re.finditer(tile + shown.pattern, surface.text):
                yield ShownFigure(surface.name, "value", bare(found["value"]))
                yield from read_span(surface.name, found["between"])
                yield ShownFigure(surface.name, "treated", found["customers"])


def read_assumptions(surface: Surface) -> Iterator[ShownFigure]:
    """What is taken for each assumption, and what would leave no profit, as a page shows them in a row."""
    shape = f"{MONEY}|{SHAPES['percent']}"
    for name, label in ASSUMPTION_NAMES.items():
        named = re.escape(gettext(label))
        row = rf"{named} ({shape}) {gettext('is taken')} ({shape}) {gettext('leaves no profit')}"
        for found in re.finditer(row, surface.text):
            yield ShownFigure(surface.name, f"assumed {name}", bare(found[1]))
            yield ShownFigure(surface.name, f"flip of {name}", bare(found[2]))


def read_data(surface: Surface, currency: str) -> Iterator[ShownFigure]:
    """The figures of an answer: fields of its plan's summary, and those of customers that it names."""
    cash, said = MoneyFormat(currency), surface.data

    def level(code: str) -> str:
        """A level as the text beside it says it."""
        with use_locale(surface.language if surface.text else "en"):
            return level_name(code)

    printers = {"money": cash, "count": count, "percent": percent, "level": level}
    for each in said.get("assumptions", ()):
        said_as = cash if each["unit"] == "money" else percent
        if each["flips_at"] is not None:
            yield ShownFigure(surface.name, f"assumed {each['name']}", bare(said_as(each["value"])))
            yield ShownFigure(surface.name, f"flip of {each['name']}", bare(said_as(each["flips_at"])))
    for name, value in said.items():
        if name.startswith("of "):
            yield ShownFigure(surface.name, name, str(value))
        elif value is not None and (meaning := FIELDS.get(name)):
            yield ShownFigure(surface.name, meaning, bare(printers[KINDS[meaning]](value)))


def read(surface: Surface, currency: str) -> list[ShownFigure]:
    with use_locale("en"):
        found = list(read_data(surface, currency)) if surface.data is not None else []
    return [*found, *read_text(surface)]


def contradictions(figures: Iterable[ShownFigure]) -> dict[str, dict[str, list[str]]]:
    """Meanings that two surfaces print differently: the texts, and who prints them."""
    told: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for each in figures:
        told[each.meaning][each.text].append(each.surface)
    return {meaning: dict(texts) for meaning, texts in told.items() if len(texts) > 1}


def scan(surfaces: Iterable[Surface], currency: str) -> dict[str, dict[str, list[str]]]:
    """The contradictions between surfaces; what is printed in words alone is compared within a language."""
    figures = list[ShownFigure]()
    for surface in surfaces:
        for each in read(surface, currency):
            worded = surface.text and KINDS.get(each.meaning) in ("date", "level")
            figures.append(each._replace(meaning=f"{each.meaning} ({surface.language})") if worded else each)
    return contradictions(figures)


def flat(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a plan's summary, those of its parts beside them."""
    parts = {name: value for part in ("bound", "learned") for name, value in (summary.get(part) or {}).items()}
    own = {name: value for name, value in summary.items() if not isinstance(value, dict | list)}
    return {**parts, **own, "assumptions": summary["assumptions"]}


def surfaces(config: Config, folder: Path) -> list[Surface]:
    """Every surface of a planned shop in a work folder: commands, page, file, tools of agents, console and API."""
    return [*folder_surfaces(config, folder), *live_surfaces(config, folder)]


def folder_surfaces(config: Config, folder: Path) -> list[Surface]:
    """What is read without a server."""
    found, language = list[Surface](), config.report_language
    with Store(folder) as store:
        job = Job(config, store, lambda *_: None)
        with use_locale(language):
            run = plan_summary(job, "report")
            found += [
                Surface("cli run", language, clean(run["text"]), flat(run)),
                Surface("cli next", language, clean(shop_status(config, store).text)),
            ]
        languages: tuple[Language, ...] = ("en", "zh")
        for each in languages:
            stated = config.model_copy(update={"report": config.report.model_copy(update={"language": each})})
            page = render(build_story(Job(stated, store, job.tell)))
            found.append(Surface(f"report {each}", each, visible(page)))
        rows = plan_file(job)
        text, as_text = export_rows(rows).write_csv().encode(), {"customer_id": pl.String}
        file = pl.read_csv(text, infer_schema_length=None, schema_overrides=as_text)
        assert file.height == rows.height
        given = file.filter(status="offer")
        sums = {"treated": given.height, "held_out": file.height - given.height,
                "cost_cents": float(given["expected_cost_cents"].cast(pl.Float64).sum())}  # fmt: skip
        some = given.sort("customer_id").head(SAMPLE)
        of_some = {}
        for row in some.iter_rows(named=True):
            of_some |= customer_figures(row["customer_id"], row["offer_id"], row["expected_gain_cents"],
                                        row["expected_cost_cents"], row["starts"], row["expires"])  # fmt: skip
        found.append(Surface("plan.csv", "en", data=sums | of_some))
    tools = McpTools(config, folder, folder / "learned")
    with use_locale(language):
        told = tools.plan()
        found.append(Surface("mcp plan", language, clean(told["text"]), flat(told)))
        for who in some["customer_id"]:
            own = tools.explain_customer(who)
            option = next(each for each in own["open"] if each["offer_id"] == own["decision"]["offer_id"])
            data = customer_figures(who, option["offer_id"], option["gain_cents"], option["cost_cents"])
            found.append(Surface(f"mcp customer {who}", "en", data=data))
    return found


def customer_figures(
    who: str, offer: str, gain: float | None, cost: float | None, first: object = None, last: object = None
) -> dict[str, object]:
    said = {"offer": offer, "gain": None if gain is None else f"{gain:.6g}",
            "cost": None if cost is None else f"{cost:.6g}", "first day": first, "last day": last}  # fmt: skip
    return {f"of {who}: {name}": str(value)[:60] for name, value in said.items() if value is not None}


def live_surfaces(config: Config, folder: Path) -> list[Surface]:
    """The console's pages in both languages, and answers of the API, once the plan is released."""
    campaign, found = config.plan.campaign, list[Surface]()
    with Store(folder) as store:
        some = plan_file(Job(config, store, lambda *_: None)).filter(status="offer").sort("customer_id").head(SAMPLE)
    with opened(folder, config) as shop:
        clock, starts = shop.server.clock, some["starts"].min() if some.height else None
        if starts is not None:
            clock.behind_ms, clock._last_ms = 0, 0
            asked_ms = int(datetime.fromisoformat(f"{starts}T12:00:00+00:00").timestamp() * 1000)
            clock.behind_ms = clock.now_ms() - asked_ms
        release_id = released(shop.api)
        languages: tuple[Language, ...] = ("en", "zh")
        for language in languages:
            person = shop.person()
            person.post("/language", language=language)
            for path in ("/", "/plan", "/offers", "/tests", "/live"):
                found.append(Surface(f"{language} console {path}", language, visible(person.get(path))))
        rows = shop.person().json("/plan")["releases"]
        mine = next(each for each in rows if each["release_id"] == release_id)
        found.append(Surface("console /plan releases", "en", data={
            "value_cents": mine["gain_cents"], "budget_cents": mine["budget_cents"], "cost_cents": mine["cost_cents"],
            "treated": mine["treated"], "evidence": mine["evidence"],
        }))  # fmt: skip
        manifest = folder / "serve" / "releases" / release_id / "manifest.json"
        found.append(Surface("manifest.json", "en", data=flat(json.loads(manifest.read_text("utf-8"))["summary"])))
        spend = shop.api("GET", f"/v1/campaigns/{campaign}/spend")
        found.append(Surface("api spend", "en", data={"budget_cents": spend["budget_cents"]}))
        for who in some["customer_id"]:
            made = shop.api("POST", "/v1/decisions", {"customer_id": who, "campaign_id": campaign})
            if made["offer_id"] != "none":
                first, last = (made["offer"][name][:10] for name in ("starts", "expires"))
                found.append(Surface(f"api {who}", "en", data=customer_figures(
                    who, made["offer_id"], None, None, first, last)))  # fmt: skip
    return found
