"""The docs say what is there: verbs, files, links and generated pages."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_story import small_story

import promolift
from promolift.cli.application import app
from promolift.extensions.simulation.worlds.simulated_shop import simulate
from promolift.extensions.simulation.worlds.world import SimulationSettings
from promolift.shop.pipeline.pipeline import STEPS
from promolift.shop.reports.chapters.summary import build_chapters

ROOT = Path(__file__).parents[2]
HILLSTROM = ROOT.parent / "shared/data/hillstrom.csv"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]


def verbs() -> dict[str, str]:
    own = {
        c.name or c.callback.__name__: c.help or c.callback.__doc__ or "" for c in app.registered_commands if c.callback
    }
    groups = [(g.name, g.help, g.typer_instance) for g in app.registered_groups if g.typer_instance]
    for group, text, inside in groups:
        told = inside.registered_callback
        own[str(group)] = (told.callback.__doc__ if told and told.callback else text) or ""
        for c in inside.registered_commands:
            own[f"{group} {c.name or c.callback.__name__}"] = (c.callback.__doc__ if c.callback else "") or ""
    return own


def test_every_verb_has_help_and_stands_in_both_languages() -> None:
    for name, text in verbs().items():
        assert text, name
        for page in ("docs/command-line.md", "docs/zh/command-line.md"):
            assert f"promolift {name}" in (ROOT / page).read_text(encoding="utf-8"), f"{page}: promolift {name}"


def test_every_step_is_a_verb() -> None:
    assert set(STEPS) <= set(verbs())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_function_that_a_page_places_in_a_file_is_there(page: Path) -> None:
    for file, names in re.findall(r"`([\w/]+\.py): (\w+(?:, \w+)*)`", page.read_text(encoding="utf-8")):
        source = (ROOT / "src/promolift" / file).read_text(encoding="utf-8")
        missing = [name for name in names.split(", ") if not re.search(rf"^(def|class) {name}\b", source, flags=re.M)]
        assert missing == [], f"{page.name}: {file} has no {missing}"


def test_the_layers_of_the_architecture_are_those_that_are_enforced() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]["layers"]
    table = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("\n## Layers\n\n")[1].split("\n\n")[0]
    rows = [set(re.findall(r"\w+", row.split("|")[1])) for row in table.splitlines()[2:]]
    place = {name: number for number, row in enumerate(rows) for name in row}
    layers = [re.findall(r"\w+", layer) for layer in contract]
    assert [name for layer in layers for name in layer if name not in place] == []
    order = [max(place[name] for name in layer) for layer in layers]
    assert order == sorted(order)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_file_tree_of_the_architecture_is_the_tree() -> None:
    tree = (
        (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("src/promolift/\n", 1)[1].split("```", 1)[0]
    )
    named = set(re.findall(r"^  ([a-z_]+(?:\.py|/))", tree, flags=re.M))
    there = {p.name + "/" * p.is_dir() for p in (ROOT / "src/promolift").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert named == {name for name in there if not name.startswith("__")}


def test_every_chapter_of_the_report_is_explained_in_its_order() -> None:
    told = re.findall(r"\*\*(.+?)\*\*", (ROOT / "docs/report.md").read_text(encoding="utf-8"))
    chapters = build_chapters(small_story(missing={"forecast": "no torch"}))
    named = [each.title if each.title in told else each.name for each in chapters]
    assert [name for name in told if name in named] == named


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_two_readmes_have_the_same_sections_and_commands() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert english.count("\n## ") == chinese.count("\n## ")
    for block in re.findall(r"```sh\n(.*?)```", english, flags=re.S):
        assert block in chinese
    code = [[ast.dump(ast.parse(block)) for block in re.findall(r"```python\n(.*?)```", page, flags=re.S)]
            for page in (english, chinese)]  # fmt: skip
    assert code[0] == code[1] != []


def facts(page: Path) -> str:
    """A hash of what a translation must follow: headings, code, names in code and numbers; not of other words."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^#+ .*$|```.*?```|`[^`\n]+`|\d[\d.,]*\d|\d", text, flags=re.M | re.S)
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]


@pytest.mark.slow  # quick, but a change of English must not wait for its Chinese
@pytest.mark.parametrize("page", sorted((ROOT / "docs/zh").glob("*.md")), ids=lambda page: page.name)
def test_a_chinese_page_follows_its_english_one(page: Path) -> None:
    """Its last line holds `facts` of the English page that it was written from; two follow none."""
    english = ROOT / "docs" / page.name
    mark = re.search(r"\n<!-- docs/[\w-]+\.md ([0-9a-f]{12}) -->\n$", page.read_text(encoding="utf-8"))
    assert (mark is None) == (page.name in ("index.md", "configuration.md")), (
        f"{page.name}: its first line names its English page"
    )
    assert not mark or mark[1] == facts(english), (
        f"docs/{page.name} has changed: carry that over to docs/zh/{page.name}, whose last line is then "
        f"<!-- docs/{page.name} {facts(english)} -->"
    )


# The page that trains an encoder calls what tests/profile and tests/steps call on less.
RUN = [pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name == "encoder.md"))
       for page in sorted((ROOT / "docs").glob("*.md"))]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_python_in_the_docs_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # a shop keeps its results in the folder it is called from
    names: dict[str, object] = {"__name__": "__main__"}  # where dataclasses look their module up
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
        exec(code, names)
    told = capsys.readouterr().out
    if page.name == "library.md":
        for said in ("customers get an offer", "Evidence: adjusted", "rel_", "the policy adds", "off_milk"):
            assert said in told
        assert (tmp_path / "promolift-report/report.html").exists()


@pytest.mark.slow
def test_a_shop_a_trial_and_a_log_take_the_few_lines_that_the_library_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line as it stands there; a line that is an expression answers and shows itself."""
    monkeypatch.chdir(tmp_path)
    raw, rng, rows = simulate(SimulationSettings(customers=120, weeks=40, categories=5)), np.random.default_rng(2), 600
    raw.events.write_csv("E.csv")
    raw.products.write_csv("P.csv")
    raw.customers.write_csv("C.csv")
    letter = rng.random(rows) < 0.5
    visited = rng.random(rows) < 0.2 + 0.3 * letter
    df = pl.DataFrame({
        "member": [f"m{n:03d}" for n in range(rows)], "before": rng.poisson(3, rows),
        "letter": np.where(letter, "letter", "none"), "visited": visited,
        "spend": 8.0 * visited * rng.integers(1, 3, rows),
    })  # fmt: skip
    log = pl.DataFrame({
        "customer_id": df["member"], "offer_id": np.where(letter, "tea", "none"), "p": 0.5, "margin": df["spend"],
    })  # fmt: skip
    names: dict[str, object] = {"promolift": promolift, "df": df, "new": df.head(5), "log": log, "policy": "always:tea"}
    block = re.findall(r"```py\n(.*?)```", (ROOT / "docs/library.md").read_text(encoding="utf-8"), flags=re.S)
    shown = 0
    for line in ast.parse(block[0]).body:
        if isinstance(line, ast.Expr):
            found = eval(ast.unparse(line), names)
            assert str(found)
            shown += isinstance(found, str | Path | pl.DataFrame) or hasattr(found, "_repr_html_")
        else:
            exec(ast.unparse(line), names)
    assert shown == 12
    with promolift.Shop.open(".promolift/promolift.toml") as again:
        assert again.health.accepted
    names["shop"].close()  # type: ignore[attr-defined]
    assert Path("out/report.html").exists()
    assert Path("trial.html").exists()


def test_every_function_that_the_library_page_names_is_there() -> None:
    page = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    section = page.split("\n## The functions\n")[1].split("\n## ")[0]
    packages: dict[str, object] = {"promolift": promolift}
    exec(re.findall(r"```python\n(.*?)```", section, flags=re.S)[0], packages)
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    named = re.findall(r"`(\w+)\.(\w+)[`(]", table)
    assert len(named) > 20
    assert [f"{package}.{name}" for package, name in named if not hasattr(packages[package], name)] == []


BOOKS = [pytest.param(path, id=path.name, marks=[pytest.mark.slow] * (path.stem not in ("shop", "hillstrom")))
         for path in sorted((ROOT / "examples").glob("*.ipynb"))]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOKS)
def test_notebooks_print_what_they_show(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if path.stem == "hillstrom" and not HILLSTROM.exists():
        pytest.skip("needs hillstrom.csv in ../shared/data")
    names: dict[str, object] = {}
    cells = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMOLIFT_HILLSTROM", str(HILLSTROM))
        patch.setitem(sys.modules, "ipywidgets", None)  # as where it is not installed
        patch.chdir(tmp_path)
        for cell in cells:
            exec("".join(cell["source"]), names)
    shown = "".join(line for cell in cells for output in cell["outputs"] for line in output["text"])
    told = capsys.readouterr().out
    # the last digits of boosted trees differ between machines, the sentences do not
    said, wanted = ([re.sub(r"\d+", "#", line).split()[:2] for line in each.splitlines()] for each in (told, shown))
    assert said == wanted


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(path: Path) -> None:
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    if path.stem == "customer_a":
        assert "尊敬的用户A，您刚刚购买了商品1，现在购买商品2可以享受8折优惠！" in done.stdout


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Strict: a broken link, a page outside the menu's reach or a docstring that names nothing fails it."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    more = {"PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | more, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "UpliftEstimator" in (tmp_path / "reference-classes.html").read_text(encoding="utf-8")
    found = json.loads((tmp_path / "search/search_index.json").read_text(encoding="utf-8"))["docs"]
    assert any("\u200b" in page["text"] for page in found if page["location"].startswith("zh/"))
    assert "http://" not in "".join(re.findall(r'<script src="([^"]+)"', (tmp_path / "index.html").read_text("utf-8")))


def test_no_file_keeps_the_marks_of_a_merge() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    if files.returncode:
        pytest.skip("no git repository")
    marks = re.compile(r"^(<{7}|={7}|>{7})( |$)", flags=re.M)
    texts = [ROOT / name for name in files.stdout.splitlines() if (ROOT / name).suffix in {".md", ".py", ".toml"}]
    assert [str(path) for path in texts if marks.search(path.read_text(encoding="utf-8"))] == []
