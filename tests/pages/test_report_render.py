"""The page is complete, safe, honest about what is missing, and small however large the plan."""

import json
import re
from base64 import b64encode
from dataclasses import fields, replace
from hashlib import sha256
from html.parser import HTMLParser

import polars as pl
import pytest
import report_demo as demo
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from drawn import cases
from promolift.contract import Table
from promolift.data.counts import Counts
from promolift.data.health import Ability
from promolift.effect import DiscountResponse
from promolift.pages import Chosen, Household, Shop, Story, Unknown, planned, render
from promolift.pages.render import embed
from promolift.results.customers import Customers, ShopWeek, Tastes
from promolift.results.effects import ResponseFigures, Targeting
from promolift.results.predictions import Predictions
from promolift.results.shop import Health

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028{{7*7}}'\"&<!--]]>\x00‮"


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


TABLES = {
    name.lower(): table
    for name, table in vars(planned).items()
    if isinstance(table, Table) and name.lower() in {f.name for f in fields(Story)}
}


@pytest.fixture(scope="module")
def html() -> str:
    return render(demo.story())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_frame_of_the_story_has_its_table() -> None:
    frames = {f.name for f in fields(Story) if "DataFrame" in str(f.type)}
    assert frames == set(TABLES)


def test_the_same_story_gives_the_same_page(html: str) -> None:
    assert render(demo.story()) == html


def test_the_order_of_rows_changes_nothing(html: str) -> None:
    people, tastes, hours = (
        rows.sample(fraction=1.0, shuffle=True, seed=3) for rows in (demo.profiles(), demo.affinities(), demo.hours())
    )
    letters = [who.customer_id for who in demo.households()]
    mixed = {
        "customers": Customers.of(people, people, letters),
        "tastes": Tastes.of(tastes),
        "week": ShopWeek.of(hours),
    }
    assert render(replace(demo.story(), **mixed)) == html


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


def evil_response() -> DiscountResponse:
    return DiscountResponse(
        "assumed", EVIL, 1.0, 0.1, targets=evil(demo.targets()), curve=evil(demo.curve()),
        placebo=evil(demo.placebos()), overlap=evil(demo.overlap()),
    )  # fmt: skip


def evil_story() -> Story:
    story = demo.story()
    frames = {name: evil(frame) for name in TABLES if (frame := getattr(story, name)) is not None}
    who = Household(EVIL, EVIL, ((EVIL, EVIL),), EVIL, EVIL, 1.0, 0.0, 2.0, 1.0, EVIL, EVIL)
    return replace(
        story,
        **frames,
        shop=Shop(EVIL, EVIL, EVIL, EVIL, 0, 28, 365, 1.0, EVIL),
        health=Health(
            tables=(Counts(EVIL, 9, 8, rejected={EVIL: 1}),), summary={}, warnings=(), notes=(),
            abilities=(Ability(EVIL, "no", EVIL, EVIL),),
        ),
        tastes=Tastes.of(demo.affinities().with_columns(target=pl.lit(EVIL))),
        response=ResponseFigures.of(evil_response(), {EVIL: EVIL}),
        targeting=Targeting(campaigns=1, refusal=EVIL),
        predictions=Predictions.of(*(evil(rows) for rows in (demo.scores(), demo.calibration(), demo.recall()))),
        chosen=replace(story.chosen or Chosen(), gain_means=EVIL, explanation=EVIL),
        policies_note=EVIL,
        households=(who,),
        unknowns=(EVIL, Unknown(EVIL, EVIL, EVIL)),
        missing=dict.fromkeys(TABLES, EVIL),
    )  # fmt: skip


def test_hostile_texts_stay_texts() -> None:
    page = Page(render(evil_story()))
    assert page.count("script") == 4
    assert page.count("img") == 0
    assert "49" not in page.text.split("Written by")[0].split()  # no template is run on the data
    assert "alert(1)" in page.text
    assert "alert(1)" in json.dumps(page.data)


def test_a_lone_surrogate_can_still_be_written_to_a_file() -> None:
    assert render(Story(shop=Shop("shop \ud800"))).encode("utf-8")


# few characters, so that the dangerous ones come often
TEXTS = st.text('<>&\u2028\u2029\x00"\\a', max_size=8)


@given(st.lists(TEXTS | st.text() | st.floats() | st.none(), min_size=1))
def test_embedded_json_cannot_leave_its_element_and_says_the_same(value: object) -> None:
    text = embed({"x": value})
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
    assert page.count("figure") == page.count("figcaption") == page.count("details") == len(figures)
    for _, attrs in page.tags:
        if "data-figure" in attrs:
            assert attrs["role"] == "img"
            assert attrs["aria-labelledby"] in page.ids()
    assert len(page.ids()) == len(set(page.ids()))


def test_every_effect_carries_its_evidence(html: str) -> None:
    for figure in ("curve", "placebos", "elasticities", "frontier", "policies", "mix"):
        block = html.split(f'id="figure-{figure}"')[1].split("</figure>")[0]
        assert 'class="badge adjusted"' in block, figure
    bare = render(replace(demo.story(), chosen=None))
    for figure in ("frontier", "mix"):
        block = bare.split(f'id="figure-{figure}"')[1].split("</figure>")[0]
        assert "evidence not stated" in block, figure


def test_an_empty_story_says_in_every_chapter_that_it_does_not_know() -> None:
    page = Page(render(Story()))
    assert page.count("section") >= 9
    chapters = render(Story()).split('class="chapter"')[1:]
    assert len(chapters) == 9
    for chapter in chapters:
        assert "Not known:" in chapter or "That does not mean" in chapter
    assert page.data["figures"] == {}


def test_the_reason_for_a_gap_is_told() -> None:
    page = Page(render(Story(missing={"response": "this shop gives no discounts"})))
    assert "Not known: how demand answers to a discount. Because: this shop gives no discounts" in page.text


def test_a_plan_without_messages_says_why() -> None:
    rows = pl.DataFrame({"customer_id": ["a"], "offer_id": ["x"]})
    page = Page(render(Story(typical=rows, missing={"messages": "no template in that language"})))
    assert "Not known: what customers would read. Because: no template in that language" in page.text


def hollow(table: Table, rows: int) -> pl.DataFrame:
    """`rows` rows in which every number is NaN, infinite or missing."""
    bad = [float("nan"), float("inf"), float("-inf"), None]
    data = {
        c.name: [None if c.dtype in (pl.String, pl.Boolean) else bad[i % 4] for i in range(rows)] for c in table.columns
    }
    real = {c.name: pl.Float64 if c.dtype.is_numeric() else c.dtype for c in table.columns}
    return pl.DataFrame(data, schema=real)


def test_not_a_number_is_never_printed() -> None:
    nan = float("nan")
    story = replace(
        Story(),
        **{name: hollow(table, 5) for name, table in TABLES.items()},
        shop=Shop(asof_ms=10**18, timezone="Mars/Olympus", window_days=None, budget_cents=nan),
        chosen=Chosen(nan, nan, nan, nan, nan, nan, None, None, nan, gap=nan, next_cents=nan, spent_share=nan),
        households=(Household("a", gain_cents=nan, low_cents=nan, high_cents=1.0),),
    )
    assert not re.search(r"\b(nan|NaN|None|inf|Infinity|null)\b", Page(render(story)).text)


def test_one_customer_is_enough() -> None:
    story = demo.story()
    assert story.typical is not None
    people = Customers.of(demo.profiles().head(1), demo.profiles())
    one = render(replace(story, customers=people, typical=story.typical.head(1), households=None))
    assert "1 customer, each described" in one


def test_many_offers_make_a_page_below_four_megabytes() -> None:
    n = 100_000
    mix = pl.DataFrame({
        "offer_id": "offer-" + pl.int_range(n, eager=True).cast(pl.String), "treated": [9] * n, "share": [1 / n] * n,
    })  # fmt: skip
    page = render(replace(demo.story(), mix=mix))
    assert len(page.encode()) < 4_000_000
    assert "Only the most frequent are drawn." in page


def test_many_customers_are_sampled_by_hash_and_that_is_said() -> None:
    many = pl.concat([demo.profiles().with_columns(pl.col("customer_id") + f"-{i}") for i in range(5)])
    page = Page(render(replace(demo.story(), customers=Customers.of(many, many))))
    figures = page.data["figures"]
    assert isinstance(figures, dict)
    assert len(figures["customers-map"]["points"]) == 2500
    assert "2,500 customers drawn of 6,000" in page.text


VALUES: dict[object, st.SearchStrategy[object]] = {
    pl.Float64: st.floats() | st.none() | st.sampled_from([0.0, 1.0, -1.0, 1e-12, 1e300]),
    pl.Int64: st.integers(-(2**62), 2**62) | st.none() | st.integers(-2, 30),
    pl.String: st.text(max_size=6) | st.none() | st.sampled_from(["a", "b", "none", "higher", "adjusted"]),
    pl.Boolean: st.booleans() | st.none(),
}


@st.composite
def frames(draw: st.DrawFn, table: Table) -> pl.DataFrame | None:
    """Any frame: columns may be absent or of another type, values anything."""
    rows = draw(st.integers(0, 4))
    columns = []
    for column in table.columns:
        dtype = draw(st.sampled_from([column.dtype] * 8 + [pl.Float64, pl.String, None]))
        if dtype is not None:
            values = draw(st.lists(VALUES[dtype], min_size=rows, max_size=rows))
            columns.append(pl.Series(column.name, values, dtype=dtype, strict=False))
    return pl.DataFrame(columns) if columns else None


@st.composite
def stories(draw: st.DrawFn) -> Story:
    money = st.floats() | st.none()
    few = draw(st.sets(st.sampled_from(sorted(TABLES)), max_size=4))
    chosen = draw(st.none() | st.builds(Chosen, *[money] * 6, st.none() | st.integers(-1, 9), st.none(), money))
    shop = st.builds(
        Shop, currency=st.sampled_from([None, "USD", "JPY", "KWD", "???"]), asof_ms=st.none() | st.integers()
    )
    return replace(Story(), **{n: draw(frames(TABLES[n])) for n in sorted(few)}, chosen=chosen, shop=draw(shop))


@cases(60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(stories())
def test_no_story_whatever_breaks_the_page(story: Story) -> None:
    assert isinstance(Page(render(story)).data["figures"], dict)


def test_the_vendored_script_keeps_its_licence_and_can_stand_in_a_page() -> None:
    from importlib.resources import files

    folder = files("promolift.pages").joinpath("vendor")
    script = folder.joinpath("echarts.report.min.js").read_text("utf-8")
    head, build = script.split("*/\n", 1)
    assert "Apache License, Version 2.0" in head
    assert sha256(build.encode()).hexdigest() in folder.joinpath("README.md").read_text("utf-8")
    assert "</script" not in script.lower()
    assert "<!--" not in script
    assert "Apache License" in folder.joinpath("echarts.LICENSE.txt").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE" in folder.joinpath("fonts.LICENSE.txt").read_text("utf-8")
