"""The page is complete, safe, honest about what is missing, and small however large the plan."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from html.parser import HTMLParser
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_story import NOTE, card, read, small_story

from promolift.core.messages import describe_offer
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.pages.rendering import embed_json
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.reports.chapters.summary import render
from promolift.shop.reports.story import OpenQuestion, Story
from promolift.shop.results.customers import Customers
from promolift.shop.results.ingest import Ability, Counts, Health
from promolift.shop.results.plan_note import ChoiceBound
from promolift.shop.results.work_folder.run_context import Job, moments

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028{{7777*7}}'\"&<!--]]>\x00‮"


class Page(HTMLParser):
    """Collects what the tests ask for: tags, attributes, script and style texts, visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.words: list[str] = []
        self._open: tuple[str, dict[str, str | None]] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.raw.append((*self._open, data))
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict[str, object]:
        found = [text for tag, attrs, text in self.raw if attrs.get("type") == "application/json"]
        assert len(found) == 1
        return dict(json.loads(found[0]))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def ids(self) -> list[str]:
        return [str(attrs["id"]) for _, attrs in self.tags if "id" in attrs]


@pytest.fixture(scope="module")
def html(dollars: Story) -> str:
    return render(dollars)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_same_story_gives_the_same_page(dollars: Story, html: str) -> None:
    assert render(dollars) == html


def test_the_page_asks_the_network_for_nothing(html: str, page: Page) -> None:
    for tag, attrs in page.tags:
        assert tag not in ("img", "iframe", "link", "object", "embed", "base", "form")
        for name in ("src", "srcset", "action", "data", "poster", "background"):
            assert name not in attrs
        assert (attrs.get("href") or "#").startswith("#")
    styles = "".join(text for tag, _, text in page.raw if tag == "style")
    assert "@import" not in styles
    assert set(re.findall(r"url\((.{5})", styles)) == {"data:"}
    ours = "".join(text for tag, _, text in page.raw[:-4] + page.raw[-2:])
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "import("):
        assert word not in ours


def test_the_policy_allows_exactly_the_scripts_and_styles_of_the_page(page: Page) -> None:
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        texts = [text for name, attrs, text in page.raw if name == tag and "type" not in attrs]
        digests = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts]
        assert digests
        assert rules[rule] == digests
    # a style attribute or an event handler would be refused by that policy
    assert not [attrs for _, attrs in page.tags if "style" in attrs or any(name.startswith("on") for name in attrs)]


def evil(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with every third text made hostile."""
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit(EVIL)).otherwise(pl.col(c)).alias(c)
        for c in frame.columns
        if frame.schema[c] == pl.String
    )


def evil_story(story: Story) -> Story:
    """The story with a hostile text wherever one comes from outside."""
    assert story.policies is not None
    plan = story.plan.model_copy(
        update={
            "shop": ShopSettings(name=EVIL),
            "assumptions": NOTE.assumptions,
        }
    )
    health = Health(
        tables=(Counts(EVIL, 9, 8, rejected={EVIL: 1}),), summary={}, warnings=(), notes=(),
        abilities=(Ability(EVIL, "no", EVIL, EVIL),),
    )  # fmt: skip
    facts = {"row": {"customer_id": "a", "kind": "category", "target": EVIL, "scope": "category"}, "person": {},
             "currency": "USD", "bought": {}, "responsive": {}, "printed": {}}  # fmt: skip
    texts = {"reason_facts": json.dumps(facts), "message_zh": EVIL, "message_en": EVIL}
    who = replace(card(EVIL, **texts), who=EVIL, offer=EVIL, facts={EVIL: EVIL})
    return replace(
        story, plan=plan, why=(EVIL, EVIL), health=health, binding=EVIL, offers=evil(story.offers),
        policies=evil(story.policies), response=read(level="assumed", why=EVIL),
        cards=(who,), typical=(who,),
        unknowns=(OpenQuestion(EVIL), OpenQuestion(EVIL, EVIL, EVIL)),
    )  # fmt: skip


def test_hostile_texts_stay_texts(dollars: Story) -> None:
    page = Page(render(evil_story(dollars)))
    assert page.count("script") == 4
    assert page.count("img") == 0
    assert "54439" not in page.text  # no template is run on the data
    assert "alert(1)" in page.text
    assert "alert(1)" in json.dumps(page.data)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_first_part_is_short_and_every_chapter_opens_on_a_click(
    dollars: Story, language: Literal["en", "zh"]
) -> None:
    html = render(replace(dollars, language=language))
    first, rest = html.split('<div class="page">')
    words = re.findall(r"[\u4e00-\u9fff]|\w[\w'.,-]*", Page(first).text)
    assert len(words) <= 900 * (1.6 if language == "zh" else 1)  # characters of Chinese for a word
    chapters = rest.count('class="chapter"')
    assert chapters > 8
    assert rest.count('<details class="fold"><summary>') == chapters
    assert all(f'id="{link}"' in rest for link in re.findall(r'href="#([a-z]+)"', rest))


def test_a_lone_surrogate_can_still_be_written_to_a_file() -> None:
    assert render(small_story(binding="shop \ud800")).encode("utf-8")


# few characters, so that the dangerous ones come often
TEXTS = st.text('<>&\u2028\u2029\x00"\\a', max_size=8)


@given(st.lists(TEXTS | st.text() | st.floats() | st.none(), min_size=1))
def test_embedded_json_cannot_leave_its_element_and_says_the_same(value: object) -> None:
    text = embed_json({"x": value})
    assert not set("<>&\u2028\u2029") & set(text)

    def plain(v: object) -> object:
        if isinstance(v, list):
            return [plain(i) for i in v]
        if isinstance(v, float):
            return float(f"{v:.6g}") if v - v == 0 else None
        return v

    assert json.loads(text) == {"x": plain(value)}


def test_every_figure_has_its_finding_its_data_and_a_chart(page: Page) -> None:
    figures = page.data["figures"]
    assert isinstance(figures, dict)
    drawn = [attrs["data-figure"] for _, attrs in page.tags if "data-figure" in attrs]
    assert sorted(map(str, drawn)) == sorted(figures)
    assert page.count("figure") == page.count("figcaption") == len(figures)
    tables = [attrs for tag, attrs in page.tags if tag == "details" and attrs.get("class") != "fold"]
    assert len(tables) == len(figures)
    for _, attrs in page.tags:
        if "data-figure" in attrs:
            assert attrs["role"] == "img"
            assert attrs["aria-labelledby"] in page.ids()
    assert len(page.ids()) == len(set(page.ids()))


def test_every_effect_carries_its_evidence(html: str) -> None:
    for figure in ("curve", "placebos", "elasticities", "frontier", "policies", "mix"):
        block = html.split(f'id="figure-{figure}"')[1].split("</figure>")[0]
        assert re.search('class="badge (adjusted|assumed)"', block), figure


def test_a_story_of_the_plan_alone_says_what_it_does_not_know() -> None:
    html = render(small_story(missing={"policies": "nothing to compare"}))
    chapters = html.split('class="chapter"')[1:]
    assert sum("Not known:" in chapter for chapter in chapters) == 9
    assert "Not known: what other policies would earn. Because: nothing to compare" in Page(html).text
    assert Page(html).data["figures"] == {}


def test_not_a_number_is_never_printed() -> None:
    nan = float("nan")
    bound = ChoiceBound.model_construct(bounded_cents=nan, bound_cents=nan, missing_cents=nan, gap=nan)
    amounts = dict.fromkeys(("value_cents", "cost_cents", "low_cents", "promised_cents"), nan) | {"bound": bound}
    story = small_story({"worth": nan}, amounts, asof_ms=10**18)
    assert not re.search(r"\b(nan|NaN|None|inf|Infinity|null)\b", Page(render(story)).text)


def people(job: Job) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Profiles and affinities."""
    asof = moments(job).asof
    return job.profiled.profiles(asof), job.profiled.affinities(asof)


def test_the_order_of_rows_changes_nothing(dollars: Story, job_of: Callable[[str], Job]) -> None:
    profiles, tastes = people(job_of("dollars"))
    mixed = [rows.sample(fraction=1.0, shuffle=True, seed=3) for rows in (profiles, tastes)]
    one, other = (render(replace(dollars, customers=Customers.of(*rows))) for rows in ((profiles, tastes), mixed))
    assert one == other


def test_one_customer_is_enough(dollars: Story, job_of: Callable[[str], Job]) -> None:
    profiles, tastes = people(job_of("dollars"))
    one = render(replace(dollars, customers=Customers.of(profiles.head(1), tastes), typical=(), cards=()))
    assert "1 customer, each described" in one


def test_many_offers_make_a_page_below_four_megabytes(dollars: Story) -> None:
    many = pl.concat([dollars.offers] * 20_000)
    page = render(replace(dollars, offers=many))
    assert len(page.encode()) < 4_000_000
    assert "Only the most frequent are drawn." in page


def test_a_card_says_the_offer_as_it_is_and_ticks_nothing_that_nobody_read_in_the_text() -> None:
    """An amount off used to read "save" on the card, "5 off" in the list and 10折 in the ticks."""
    zone = ZoneInfo("Asia/Tokyo")
    save = Offer(
        id="x", menu_id="save", benefit=Benefit(type="amount_off", amount_cents=500), min_spend_cents=5000,
        starts=datetime(2026, 1, 5, tzinfo=zone), expires=datetime(2026, 2, 1, tzinfo=zone), currency="JPY",
    )  # fmt: skip
    shown = replace(card(message_en="¥500 off when you spend ¥5,000"), offer=describe_offer(save, "en"))
    html = render(small_story(cards=(shown,))).split('<article class="card person">')[1].split("</article>")[0]
    assert "¥500 off from ¥5,000 up" in html
    assert "¥500 off when you spend ¥5,000" in html
    assert "<svg" not in html.split('<p class="label">reads</p>')[1]


def test_the_vendored_script_keeps_its_licence_and_can_stand_in_a_page() -> None:
    from importlib.resources import files

    folder = files("promolift.foundation.pages").joinpath("vendor")
    script = folder.joinpath("echarts.report.min.js").read_text("utf-8")
    head, build = script.split("*/\n", 1)
    assert "Apache License, Version 2.0" in head
    assert sha256(build.encode()).hexdigest() in folder.joinpath("README.md").read_text("utf-8")
    assert "</script" not in script.lower()
    assert "<!--" not in script
    assert "Apache License" in folder.joinpath("echarts.LICENSE.txt").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE" in folder.joinpath("fonts.LICENSE.txt").read_text("utf-8")
