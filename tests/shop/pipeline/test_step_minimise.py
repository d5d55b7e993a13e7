"""What a profile need not know is not kept: sensitive matters, rows older than [privacy] keeps them."""

from pathlib import Path
from time import time
from typing import Any

import polars as pl
from error_checks import raises_code
from typer.testing import CliRunner

from promolift.cli.application import app
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.pipeline.steps.ingest import EXPIRED, purge
from promolift.shop.results.ingest import Health
from promolift.shop.results.work_folder.run_context import Job

NOW_MS = round(time() * 1000)
PRODUCTS = "sku,title,group\np1,Green tea,Tea\np2,Nappies size 3,Drugstore\np3,止痛片,药品\np4,Baby spinach,Greens\n"
CUSTOMERS = "who,job,religion,kids_count,region,accepts\nu1,cook,none,2,north,yes\nu2,nurse,some,0,south,yes\n"


def shop(folder: Path, **privacy: Any) -> Config:
    def line(who: str, days: int, sku: str, kind: str = "purchase") -> str:
        return f"{who},{NOW_MS - days * DAY_MS},{sku},{kind},3.50,{who}-{days}"

    rows = [line("u1", d, f"p{1 + d % 4}") for d in range(1, 21)] + [
        line("u2", 400, "p3"),
        line("u2", 400, "p2", "view"),
    ]
    (folder / "lines.csv").write_text("who,at,sku,what,paid,receipt\n" + "\n".join(rows))
    (folder / "products.csv").write_text(PRODUCTS)
    (folder / "customers.csv").write_text(CUSTOMERS)
    (folder / "promotions.csv").write_text("who,name,from,to\nu1,a,2020-01-01,2020-02-01\nu1,b,2020-01-01,2099-02-01\n")
    columns = {
        "events": {"customer_id": "who", "time": "at", "order_id": "receipt", "product_id": "sku", "amount": "paid",
                   "kind": "what"},
        "products": {"product_id": "sku", "name": "title", "category": "group"},
        "customers": {"customer_id": "who", "occupation": "job", "tier": "religion", "consent": "accepts"},
        "promotions": {"customer_id": "who", "campaign_id": "name", "start": "from", "end": "to"},
    }  # fmt: skip
    files = {name: {"path": str(folder / f"{'lines' if name == 'events' else name}.csv"), "mapping": {"columns": of}}
             for name, of in columns.items()}  # fmt: skip
    files["events"]["mapping"]["time_format"] = "epoch"  # type: ignore[index]
    return Config.parse({"data": {"source": "files", "shards": 3, **files}, "privacy": privacy}, str(folder))


def ingested(folder: Path, **privacy: Any) -> Store:
    store = Store(folder / "work")
    run_steps(Job(shop(folder, **privacy), store, lambda *_: None), ["ingest"])
    return store


def bought(store: Store) -> dict[str, int]:
    return dict(store.events().aggregate("coalesce(product_id, '-'), count(*)").fetchall())


def test_sensitive_products_and_columns_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    with ingested(tmp_path) as store:
        assert bought(store) == {"p1": 5, "p2": 6, "p4": 5, "-": 6}
        assert store.events().aggregate("sum(revenue_cents)").fetchall() == [(350 * 21,)]  # the money stays
        people = store.frame("customers")
        assert {"kids_count"}.isdisjoint(people.columns)
        assert people["tier"].to_list() == [None, None]  # its source calls it religion
        assert people["occupation"].to_list() == ["cook", "nurse"]
        assert people["region"].to_list() == ["north", "south"]
        notes = Health.load(store).notes
        assert "6 purchases and views are kept without their product, as it tells of health" in "\n".join(notes)
        assert "customers: column kids_count is left out, as it tells of children" in "\n".join(notes)
        with use_locale("zh"):
            said = str(Health.load(store))
        assert "6条购买与浏览不记录商品，因其涉及健康" in said
        assert "is left out" not in said


def test_what_a_shop_allows_is_kept(tmp_path: Path) -> None:
    with ingested(tmp_path, sensitive_allowed=["health", "children"]) as store:
        assert "-" not in bought(store)
        assert store.frame("customers")["kids_count"].to_list() == ["2", "0"]
        assert store.frame("customers")["tier"].to_list() == [None, None]


def test_rows_older_than_they_may_be_kept_are_taken_nowhere(tmp_path: Path) -> None:
    keep = {name: {"keep_days": 100} for name in ("events", "customers", "promotions")}
    with ingested(tmp_path, **keep) as store:
        assert store.events().aggregate("count(*)").fetchall() == [(20,)]
        assert store.frame("customers")["customer_id"].to_list() == ["u1"]
        assert store.frame("exposures")["campaign_id"].to_list() == ["b"]
        assert store.table("rejected").aggregate("count(*)").fetchall() == [(0,)]
        events = Health.load(store).tables[0]
        assert events.rejected == {EXPIRED: 2}
        assert events.accepted + events.rejected_rows == events.read == 22
    with raises_code("rows_rejected", f"{EXPIRED} (22)"):
        ingested(tmp_path, events={"keep_days": 1})


def test_what_grew_older_is_erased_by_a_verb(tmp_path: Path) -> None:
    with ingested(tmp_path) as store:
        before = bought(store)
        job = Job(shop(tmp_path, events={"keep_days": 100}, rejected_days=1), store, lambda *_: None)
        assert purge(job) == {"events": 2}
        assert purge(job) == {}
        assert sum(bought(store).values()) == sum(before.values()) - 2
    (tmp_path / "promolift.toml").write_text(
        "[data]\nsource = 'complete-journey'\n[privacy.customers]\nkeep_days = 90\n"
    )
    asked = ["erase", "--old", "-c", str(tmp_path / "promolift.toml"), "--work", str(tmp_path / "work")]
    done = CliRunner().invoke(app, asked)
    assert "erased: 1 of customers" in done.output
    assert isinstance(CliRunner().invoke(app, [*asked, "u1"]).exception, InputError)


def test_settings_of_what_is_kept_make_the_ingest_run_again(tmp_path: Path) -> None:
    with ingested(tmp_path) as store:
        assert bought(store)["-"] == 6
    with ingested(tmp_path, sensitive_allowed=["health"]) as store:
        assert "-" not in bought(store)
        assert pl.Series(list(bought(store))).n_unique() == 4
