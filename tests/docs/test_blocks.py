"""Every block of the docs: commands run page by page as a newcomer would give them, settings and JSON are read.

A block that cannot run here says so in the line above it, `<!-- not run: why -->`; these are few, and they are counted.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fashion_shop
import numpy as np
import polars as pl
import pytest
from own_shop import write_shop
from reader import Reader, blocks
from trade_files import bank, logged

from promolift.core.messages.voice import VoiceCard
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config, merge_settings
from promolift.trials.analysis.settings import TrialSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(ROOT)): path for path in [ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("zh/*.md")]}
ALL = [block for path in PAGES.values() for block in blocks(path)]
PLANNED, SERVED = ("docs/own-data.md", "Most shops"), ("docs/serve.md", "## 3")
# What a page takes to be done: the blocks of another one, up to a heading.
BEFORE = {
    **dict.fromkeys((f"docs/{n}.md" for n in ("agents", "console", "trust", "storage", "zh/console")), PLANNED),
    **dict.fromkeys(("docs/plays.md", "docs/zh/plays.md"), PLANNED),
    "docs/cart.md": ("docs/serve.md", "## 2"), **dict.fromkeys(("docs/connect.md", "docs/zh/connect.md"), SERVED),
}  # fmt: skip
NOT_RUN = 9  # blocks; a tenth needs a better reason than the ninth


def shop_files(folder: Path) -> None:
    """A small shop's files under the names that pages give them; its lines, orders and accounts apart, too."""
    write_shop(folder, customers=120, weeks=30)
    for name, chinese in {"events": "交易", "products": "商品", "customers": "会员", "promotions": "活动"}.items():
        letter = "O" if name == "promotions" else name[0].upper()
        shutil.copy(folder / f"{name}.csv", folder / f"{letter}.csv")
        (folder / f"{name}.csv").rename(folder / f"{chinese}.csv")
    lines = pl.read_csv(folder / "E.csv", infer_schema=False)
    bought = lines.filter(pl.col("event_type") == "purchase").with_columns(account="a" + pl.col("user_id"))
    bought.select("order_number", "sku", "quantity", "sales_value", "discount").write_csv(folder / "order_items.csv")
    bought.select("order_number", "account", "event_time").unique().write_csv(folder / "orders.csv")
    bought.select("account", "user_id").unique().write_csv(folder / "accounts.csv")
    seen = lines.filter(pl.col("event_type") == "view")
    seen.select("user_id", "event_time", "sku").write_csv(folder / "clicks.csv")


def trial_file(folder: Path) -> None:
    rng = np.random.default_rng(5)
    letter, visits = rng.random(1500) < 0.5, rng.poisson(3, 1500)
    visited = rng.random(1500) < 0.2 + 0.1 * letter * (visits > 2)
    pl.DataFrame({
        "member": [f"m{n}" for n in range(1500)], "letter": np.where(letter, "letter", "none"), "visits_before": visits,
        "visited": visited.astype(int), "spend": visited * rng.gamma(4, 5, 1500).round(2),
    }).write_csv(folder / "trial.csv")  # fmt: skip


def logged_decisions(folder: Path) -> None:
    rng, ids = np.random.default_rng(3), [f"c{n}" for n in range(2000)]
    tea, age = rng.random(2000) < 0.5, rng.integers(18, 80, 2000)
    margin = rng.gamma(2.0, 5.0, 2000) + 3.0 * tea * (age < 40)
    given = pl.DataFrame({"customer_id": ids, "offer_id": np.where(tea, "tea", "none"), "propensity": 0.5})
    log = given.with_columns(margin=pl.Series(margin), cost=2.0 * pl.Series(tea), age=pl.Series(age),
                             orders=pl.Series(rng.poisson(4, 2000)))  # fmt: skip
    log.write_parquet(folder / "decisions.parquet")
    young = given.select("customer_id", offer_id=pl.Series(np.where(age < 40, "tea", "none")), prob=pl.lit(1.0))
    young.write_parquet(folder / "candidate.parquet")


def played_month(folder: Path) -> None:
    """A made-up shop with a plan that tests, its decisions, and the events of a month like the one before."""
    promolift = [Path(sys.executable).parent / "promolift", "simulate", "--months", "1", "--customers", "450"]
    subprocess.run([*promolift, "--out", folder], check=True, capture_output=True)
    (folder / "work").rename(folder / ".promolift")
    shutil.copy(folder / ".promolift/tables/decisions.parquet", folder)
    log = pl.read_parquet(folder / "events.parquet")
    month = 28 * 86_400_000
    late = log.filter(pl.col("ts_ms") > pl.col("ts_ms").max() - month).with_columns(pl.col("ts_ms") + month)
    log.vstack(late).write_parquet(folder / "events.parquet")
    orders = log.vstack(late).select("customer_id", "ts_ms", kind=pl.lit("purchase"), revenue_cents="paid_cents")
    orders.write_parquet(folder / "orders.parquet")


def trades_files(folder: Path) -> None:
    fashion_shop.write(folder)
    bank(folder).rename(folder / "applications.csv")
    logged(folder).rename(folder / "impressions.csv")
    (folder / "events.csv").rename(folder / "orders.csv")
    pl.read_csv(folder / "products.csv").write_parquet(folder / "products.parquet")


def reviews(folder: Path) -> None:
    """A shop's log, and what its customers wrote."""
    shop_files(folder)
    lines = pl.read_csv(folder / "E.csv", infer_schema=False)
    lines.write_csv(folder / "orders.csv")
    texts = ("Much too expensive for what order {} was", "Order {} arrived a week late, and I waited at home for it")
    said = pl.DataFrame({"review": [texts[n % 2].format(n) for n in range(60)]})
    wrote = lines.head(60).select(member="user_id", at="event_time", may_read=pl.lit("yes"))
    wrote.hstack(said).write_csv(folder / "reviews.csv")


def with_mail(folder: Path) -> None:
    """A server's settings with a mail server that never answers: what is sent waits."""
    shop_files(folder)
    mail = '[mail]\nhost = "localhost"\nport = 9\ntls = "none"\nsender = "Shop <offers@example.com>"\n'
    (folder / "serve.toml").write_text(mail, encoding="utf-8")


def lines_in_a_database(folder: Path) -> None:
    """The table of the page in DuckDB, and its settings for that."""
    shop_files(folder)
    with duckdb.connect(str(folder / "shop.duckdb")) as db:
        db.execute(f"""create table order_lines as select row_number() over () as id, user_id as member, sku,
            sales_value as paid, event_time as paid_at, event_time as changed_at
            from read_csv('{folder}/E.csv') where event_type = 'purchase'""")
    (text,) = [block.text for block in blocks(DOCS / "warehouse.md") if block.language == "toml"]
    (folder / "promolift.toml").write_text(text.replace('"postgresql"', '"duckdb"'), encoding="utf-8")


FILES: dict[str, Callable[[Path], None]] = {
    f"docs/{at}{name}.md": made
    for name, made in (
        ("trials", trial_file),
        ("off-policy", logged_decisions),
        ("learning", played_month),
        ("connect", with_mail),
    )
    for at in ("", "zh/")
} | {"docs/trades.md": trades_files, "docs/warehouse.md": lines_in_a_database, "docs/words-of-customers.md": reviews}


def commands(name: str) -> set[str]:
    """The lines of commands of a page, without what is said of them."""
    shell = (block.text for block in blocks(PAGES[name]) if block.language == "sh")
    return {line.partition(" #")[0].strip() for text in shell for line in text.splitlines()} - {""}


def says_more(name: str) -> bool:
    """Whether a page has commands, and a translation others than the page that it translates."""
    origin = name.replace("/zh/", "/")
    return bool(commands(name) - (commands(origin) if origin != name and origin in PAGES else set()))


@pytest.mark.parametrize("name", [*filter(says_more, PAGES)])
@pytest.mark.slow
def test_commands_of_a_page_run_in_their_order(name: str, tmp_path: Path) -> None:
    FILES.get(name, shop_files)(tmp_path)
    page, until = BEFORE.get(name, ("", ""))
    with Reader(tmp_path) as reader:
        for block in [*(blocks(PAGES[page], until) if page else []), *blocks(PAGES[name])]:
            if (block.language == "sh" and not block.why) or (block.language, block.page) == ("py", "serve.md"):
                reader.follow(block)


@pytest.mark.parametrize("name", [name for name in PAGES if name != "docs/configuration.md"])
def test_settings_of_a_page_are_read(name: str) -> None:
    """Block after block as a reader adds them to the file; that of each program by the program's own class."""
    shop: dict[str, Any] = {"data": {"source": "complete-journey"}}
    for block in blocks(PAGES[name]):
        values = tomllib.loads(block.text) if block.language == "toml" else {}
        if block.page == "serve.md":
            ServeSettings.parse(values, block.page)
        elif "trial" in values:
            TrialSettings.parse(values["trial"], block.page)
        elif "speaker" in values:
            VoiceCard.parse(values, block.page)
        else:
            shop = merge_settings(shop, values)
            Config.parse(shop, f"{name}:{block.line}")


def test_json_and_scripts_of_the_pages_can_be_read(tmp_path: Path) -> None:
    for block in ALL:
        if block.language == "json":
            json.loads(block.text if block.text.startswith("{") else f"{{{block.text}}}")
        if block.language in ("js", "html") and shutil.which("node"):
            inside = re.search(r"<script>(.*?)</script>", block.text, re.S)
            (tmp_path / "page.mjs").write_text(inside[1] if inside else block.text, "utf-8")
            subprocess.run(["node", "--check", tmp_path / "page.mjs"], check=True)


def test_blocks_that_are_not_run_are_few_and_say_why() -> None:
    marked = [block for block in ALL if block.why]
    assert len(marked) == NOT_RUN, [(block.page, block.line, block.why) for block in marked]
    assert all(len(block.why or "") > 20 and block.language == "sh" for block in marked)
    assert {b.language for b in ALL} <= {"sh", "python", "py", "toml", "json", "js", "ts", "html", "sql", ""}
    command = re.compile(r"^(promolift|pip|npm|make|curl|call) ", re.M)
    assert [(b.page, b.line) for b in ALL if not b.language and command.search(b.text)] == []
    assert [name for name, path in PAGES.items() if re.search(r"^    promolift ", path.read_text("utf-8"), re.M)] == []


@pytest.mark.parametrize("name", PAGES)
def test_extras_that_a_page_names_are_there(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {each for group in re.findall(r"promolift\[([\w,]+)\]", text) for each in group.split(",")}
    assert named <= set(extras)
