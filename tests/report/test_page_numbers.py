"""No number is made on the page: what the plan's chapters print is held by a typed result or an offer's own terms."""

import json
import re
from collections.abc import Iterable
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from told_shop import menu, told_shop

from promolift.message import offer_words
from promolift.report import chapters, render
from promolift.report.chapters.summary import facts
from promolift.report.words import count, date, money, number, per_unit, share, symbol, upper_first
from promolift.results.evaluation import Evaluation, headline
from promolift.results.messages import Messages
from promolift.results.person import Given, Person
from promolift.results.plan import INTERVAL_PERCENT, Plan
from promolift.results.shop import Health, Offers
from promolift.settings import Settings
from promolift.steps.job import Job, moments
from promolift.steps.story import tell_story
from promolift.store import Store

TOKEN = re.compile(r"(?<![\w.])[+−±]?(?:[A-Z]{0,3}[$¥€])?\d+(?:,\d{3})*(?:\.\d+)?(?:\s(?:%|M|bn)(?!\w)|%)?")
OURS = ("budget", "policies", "people", "messages")  # the chapters about the plan; the first screen is read, too
AMOUNTS = ("low", "high", "lead_low", "lead_high")  # minor units without the word in their name


class Held:
    """Every number that some typed results hold, as a page may print it, and every text, which is printed whole."""

    def __init__(self, currency: str, results: Iterable[Any]) -> None:
        self.currency = currency
        self.printed = {f"{symbol(currency)}1", share(INTERVAL_PERCENT / 100).replace("\N{NO-BREAK SPACE}", " ")}
        self.raw: set[float] = {0.0}
        self.texts: set[str] = set()
        for result in results:
            self.many("", result)

    def one(self, name: str, value: object) -> None:
        """A number in the forms that its name allows, a text as it is; one that is but a number is a number."""
        if isinstance(value, str) and re.search(r"\d", value):
            told = {clean(value), upper_first(clean(value))}
            (self.printed if TOKEN.fullmatch(value) else self.texts).update(told)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if name.endswith("_cents") or name in AMOUNTS:
            forms = [money(value, self.currency), *([per_unit(value, self.currency)] if name == "next_cents" else [])]
        elif isinstance(value, int):
            forms = [count(value)]
        else:
            forms = [share(value), count(value), number(value)]
            forms += [f"{value:{form}}" for form in (",.0f", ".0f", ".0%", ".2f")]  # of a customer's facts
        self.printed |= {bare(token) for text in forms for token in TOKEN.findall(clean(text))}
        self.raw.add(float(f"{value:.6g}"))

    def many(self, name: str, values: Any) -> None:
        """Everything inside a typed result or a table: fields, properties, cells."""
        if isinstance(values, Settings):
            derived = [n for n, v in vars(type(values)).items() if isinstance(v, property)]
            self.many("", dict(values) | {name: getattr(values, name) for name in derived})
        elif isinstance(values, pl.DataFrame):
            self.many("", values.to_dict(as_series=False))
        elif isinstance(values, dict):
            for key, value in values.items():
                self.many(key, value)
        elif isinstance(values, list | tuple):
            for each in values:
                self.many(name, each)
        else:
            self.one(name, values)

    def strays(self, text: str) -> list[str]:
        """Numbers in `text` that nobody holds."""
        for known in sorted(self.texts, key=len, reverse=True):
            text = text.replace(known, " ")
        return [token for token in TOKEN.findall(text) if bare(token) not in self.printed]


def gathered(job: Job) -> dict[str, Held]:
    """The typed results behind each of the plan's chapters, the offers as they are told, and the small print."""
    store, shop = job.store, job.config.shop
    plan, found, said = Plan.load(store), Evaluation.load(store), Messages.load(store)
    note, story = plan.note, tell_story(job)
    who = [each.customer_id for each in story.households or ()]
    people = store.frame("profiles").filter(pl.col("customer_id").is_in(who))
    ages = store.frame("customers")["age"].drop_nulls().to_list()
    offers = [offer_words(offer, "en") for offer in Offers.load(store).offers]
    top = note.model_copy(update={"menu": ()}), headline(note, found.luck)
    print_ = (
        shop.name,
        date(moments(job).asof, shop.zone),
        job.config.plan.window_days,
        [v for _, v in facts(story.shop)],
    )
    parts: dict[str, list[Any]] = {
        "first screen": [found.lead, Health.load(store), list(print_)],
        "budget": [found.luck, plan.frontier, plan.at(note.budget_cents / 2), plan.at(2.0 * note.budget_cents)],
        "policies": [found.judged, found.lead],
        "people": [
            offers, plan.offers(), plan.offers().height, ages, [Person.of(row) for row in people.to_dicts()],
            [Given.of(row) for row in said.rows.to_dicts() if row["customer_id"] in who],
        ],
        "messages": [offers, list(said.written), said.silent, said.typical(6).drop("reason")],
    }  # fmt: skip
    held = {name: Held(shop.currency, [*top, *some]) for name, some in parts.items()}
    return held | {f"figure {name}": held[part] for name, part in FIGURES.items()}


FIGURES = {"frontier": "budget", "policies": "policies", "mix": "people"}


def bare(token: str) -> str:
    """A number without its sign."""
    return token.lstrip("+−±")


def clean(text: str) -> str:
    """A text as a browser shows it: blanks are one blank."""
    return " ".join(text.split())


def visible(html: str) -> str:
    """The text of some HTML: no tags, no script, no numbering of chapters."""
    for element in ("script", "style", "svg", "nav"):
        html = re.sub(rf"<{element}\b.*?</{element}>", " ", html, flags=re.S)
    html = re.sub(r'<span class="ordinal".*?</span>', " ", html)
    return clean(unescape(re.sub(r"<[^>]+>", " ", html)))


def strays(page: str, held: dict[str, Held]) -> dict[str, list[Any]]:
    """Numbers of the plan's chapters that nobody holds, by where they stand."""
    parts = {"first screen": page[page.index('<header class="hero">') : page.index('<div class="page">')]}
    for name in OURS:
        parts[name] = page.split(f'<section id="{name}" class="chapter"')[1].split('<section id="')[0]
    found: dict[str, list[Any]] = {name: held[name].strays(visible(part)) for name, part in parts.items()}
    figures = json.loads(page.split('id="report-data">')[1].split("</script>")[0])["figures"]
    for name in FIGURES:
        (texts, numbers), known = drawn(figures[name]), held[f"figure {name}"]
        strange = [x for x in numbers if x not in known.raw]
        found[f"figure {name}"] = [*known.strays(clean(" \n ".join(texts))), *strange]
    return {name: some for name, some in found.items() if some}


def drawn(values: Any) -> tuple[list[str], list[float]]:
    """Texts and numbers of a chart."""
    if isinstance(values, str):
        return [values], []
    if isinstance(values, bool) or values is None:
        return [], []
    if isinstance(values, int | float):
        return [], [float(f"{values:.6g}")]
    parts = [drawn(each) for each in (values.values() if isinstance(values, dict) else values)]
    return [t for texts, _ in parts for t in texts], [n for _, numbers in parts for n in numbers]


SHOPS = {
    "dollars": {"plan": {"budget_cents": 9000}},
    "yen, all assumed": {
        "shop": {"name": "Shop", "currency": "JPY"},
        "plan": {"budget_cents": 20_000, "weakest_evidence": "assumed", "category_share": 0.5},
    },
}


@pytest.fixture(params=SHOPS, scope="module")
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterable[tuple[Job, dict[str, Held]]]:
    folder: Path = tmp_path_factory.mktemp("told")
    with Store(folder) as store:
        job = told_shop(store, 1, **SHOPS[request.param])
        yield job, gathered(job)


def test_every_number_about_the_plan_is_held_by_a_typed_result(told: tuple[Job, dict[str, Held]]) -> None:
    job, held = told
    assert strays(render(tell_story(job)), held) == {}


PLANTED = [
    (chapters.summary, "money", "first screen"), (chapters.summary, "count", "first screen"),
    (chapters.summary, "share", "first screen"), (chapters.budget, "money", "budget"),
    (chapters.budget, "share", "budget"), (chapters.budget, "number", "budget"),
    (chapters.policies, "money", "policies"),
    (chapters.people, "money", "people"), (chapters.people, "share", "people"), (chapters.people, "count", "people"),
    (chapters.messages, "count", "messages"),
]  # fmt: skip


@pytest.mark.parametrize(("chapter", "form", "where"), PLANTED, ids=lambda x: getattr(x, "__name__", x))
def test_a_chapter_that_adds_to_a_number_is_found(
    told: tuple[Job, dict[str, Held]], monkeypatch: pytest.MonkeyPatch, chapter: Any, form: str, where: str
) -> None:
    job, held = told
    plain = getattr(chapter, form)
    wrong = {"money": 101.0, "count": 1, "share": 0.3137, "number": 0.013}[form]
    monkeypatch.setattr(
        chapter, form, lambda x, *more, **named: plain(None if x is None else x + wrong, *more, **named)
    )
    assert where in strays(render(tell_story(job)), held)


def test_the_headline_is_the_one_number_on_the_whole_page(told: tuple[Job, dict[str, Held]]) -> None:
    """The same figure on the first screen, in the budget's chapter and beside the other policies."""
    job, _ = told
    found = Evaluation.load(job.store)
    assert found.luck is not None
    figure = money(headline(Plan.load(job.store).note, found.luck).gain_cents, job.config.shop.currency)
    page = render(tell_story(job))
    assert f'<p class="huge">+{figure}</p>' in page
    assert f"the plan is expected to add {figure}" in page
    assert f"This plan is expected to earn {figure}" in page


def test_the_first_screen_says_at_which_supplier_share_the_plan_would_flip(told: tuple[Job, dict[str, Held]]) -> None:
    job, _ = told
    note = Plan.load(job.store).note
    page = render(tell_story(job))
    screen = visible(page[: page.index('class="contents"')])
    assert note.assumptions
    places = [screen.index(clean(each.text)) for each in note.fragile_first]
    assert places == sorted(places)
    assert "supplier_share" in [each.name for each in note.assumptions]


def test_a_shop_where_nothing_is_open_is_told_too(tmp_path: Path) -> None:
    """The comparison of policies used to break on an empty table of open offers."""
    with Store(tmp_path) as store:
        job = told_shop(store, 1, rules={"min_buy_prob": 1.0}, menu=menu(0.5)[:4])
        page = visible(render(tell_story(job)))
        assert "policies" in Evaluation.load(store).unchecked
    assert "Nobody would get an offer." in page
    assert "no offer is open to anybody" in page
