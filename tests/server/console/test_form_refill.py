"""A refused form comes back as it was sent, and nothing else of the page changes."""

from html import escape

import polars as pl
from console_crawler import PageReader
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.server.console.pages.form_refill import RefusedForm, refill
from promolift.server.console.screens.customers import natural_order

PAGE = """<!doctype html>
<main id="main"><details><summary>More</summary><p>a &amp; b &lt;c&gt; &#39;d&#39;</p>
<form method="post" action="/console/other"><input name="name" value="other"></form>
<form method="post" action="/console/save"><input type="hidden" name="which" value="1"><input name="name"></form>
<form method="post" action="/console/save"><input type="hidden" name="token" value="new"><input
type="hidden" name="which" value="2"><input name="name" value="old" required><input name="secret" type="password">
<textarea name="why">old &amp; stale</textarea><input type="checkbox" name="sure" value="yes" checked>
<select name="kind"><option value="">–</option><option value="b" selected>B</option><option>c</option></select>
<input type="radio" name="side" value="left" checked><input type="radio" name="side" value="right">
<button name="said" value="yes">Go</button></form></details><script>if (1 < 2 && '</p>') {}</script></main>"""
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(TEXT, TEXT, st.sampled_from(["", "b", "c"]), st.sampled_from(["left", "right"]), st.booleans(), TEXT)
@cases(60)
def test_what_was_typed_comes_back(name: str, why: str, kind: str, side: str, sure: bool, error: str) -> None:
    sent = {"token": "old", "which": "2", "name": name, "secret": "s3cret", "why": why, "kind": kind, "side": side}
    sent |= {"sure": "yes"} if sure else {}
    page = refill(PAGE, RefusedForm("/console/save", sent, error))
    other, first, again = PageReader("", page).forms
    values = {each.name: each.value for each in again.fields if each.kind != "radio"}
    assert (values["name"], values["why"], values["kind"]) == (name, why, kind)
    assert [each.value for each in again.fields if "checked" in each.attributes] == ["yes"] * sure + [side]
    assert (values["token"], values["secret"], "s3cret" in page) == ("new", "", False)
    assert [each.value for each in (*other.fields, *first.fields)] == ["other", "1", ""]
    assert f"<bdi>{escape(error)}</bdi>".replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    assert "<details open>" in page
    assert "<script>if (1 < 2 && '</p>') {}</script>" in page


def test_a_page_without_the_form_says_why_at_its_head() -> None:
    page = refill(PAGE, RefusedForm("/console/gone", {"name": "x"}, "It is gone", ("/plan", "To the plan")))
    assert '<main id="main"><p class="said bad" role="alert" id="refused"><bdi>It is gone</bdi> <a href' in page
    rest = page.replace(page[page.index('<p class="said bad"') : page.index("<details>")], "")
    assert rest == PAGE.replace("\ntype", "\ntype")


@given(st.lists(st.tuples(st.sampled_from(["u", "", "客户"]), st.integers(0, 10**9)), min_size=2, unique=True))
@cases(40)
def test_ids_sort_as_people_count(ids: list[tuple[str, int]]) -> None:
    frame = pl.DataFrame({"id": [f"{text}{number}" for text, number in ids]})
    assert frame.sort(*natural_order("id"))["id"].to_list() == [f"{text}{number}" for text, number in sorted(ids)]
