"""A planned work folder in; an immutable release out: candidates, models and terms that a server decides from.

    work/serve/releases/rel_<hash>/candidates.parquet   what may be offered to whom, with the inputs of the scores
                                   scores.parquet       gain, cost and charge of each by the model, as decided on
                                   customers.parquet    consent and age, name and language
                                   messages.parquet     the verified words of the plan
                                   frontier.parquet     gain by budget: the forecast of the pace
                                   manifest.json        model, terms, menu, and the hash of each file

The id is a hash of what is inside: the same plan gives the same release, and a changed file is noticed when loading.
"""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from promolift import __version__, deliver, effect
from promolift.config import Config
from promolift.errors import InputError, StepError
from promolift.offer import MenuItem
from promolift.privacy import ConsentSettings, may_send
from promolift.serve.rows import Rows
from promolift.sql import bind, fetch
from promolift.steps.propose import full_menu
from promolift.store import Store
from promolift.tables import CANDIDATES, CUSTOMERS, LEVEL, TARGET

TABLES = ("candidates", "scores", "customers", "messages", "frontier", "products")
SCORED = [c.name for c in CANDIDATES.columns]
DECIDED = ["customer_id", "offer_id", "target", "gain_cents", "cost_cents", "charge_cents", "eligible", "why_not"]
CUSTOMER = ["customer_id", "name", "age", "language", "consent"]
# product to the target its offers stand on, as the plan counts them
PRODUCT_TARGETS = f"""
with {LEVEL}
select e.product_id, {TARGET} as target, p.name, p.category from products e cross join level
join products p on p.product_id = e.product_id order by e.product_id
"""


@dataclass(frozen=True, eq=False)
class LiveRelease:
    """A release in memory. `spans` tells where a customer's rows stand in `candidates` and `rows` (the same as arrays),
    `opened` where his open ones stand there.

    The candidates were scored by the release's model when it was made: nothing a request brings changes a score, it
    only closes offers. `people`: name, age, language and consent by customer, `barred`: why nothing may be sent to him,
    by what was known at the release. `labels`: see `_labels`.
    """

    release_id: str
    terms: deliver.Release
    candidates: pl.DataFrame
    rows: Rows
    spans: dict[str, tuple[int, int]]
    opened: dict[str, tuple[int, int]]
    consent: ConsentSettings
    barred: dict[str, str | None]
    people: dict[str, tuple[str | None, str | None, str | None, bool | None]]
    products: dict[str, str]
    messages: dict[tuple[str, str], tuple[str, str]]
    offers: dict[str, dict[str, Any]]
    menu: dict[str, MenuItem]
    labels: dict[str, tuple[str | None, str | None, str, str | None]]
    frontier: pl.DataFrame
    shop: dict[str, Any]
    facts: dict[str, Any]


def build(store: Store, config: Config) -> str:
    """Freeze the work folder's plan as a release; its id. Raises StepError if there is no finished plan."""
    plan = store.load_json("allocation")
    frames = {
        "candidates": _candidates(store),
        "customers": _customers(store),
        "messages": store.frame("messages").select("customer_id", "offer_id", "message_zh", "message_en"),
        "frontier": store.frame("frontier"),
        "products": fetch(store.table("products").query("products", bind(PRODUCT_TARGETS))),
    }
    draft = store.root / "serve" / "releases" / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, frame in frames.items():
        frame.write_parquet(draft / f"{name}.parquet", compression="zstd")
    manifest = {
        "code": __version__,
        "terms": plan["release"] | {"explore": plan.get("explore", 0.0)},
        "response": store.load_json("response"),
        "offers": store.load_json("offers"),
        "shop": config.shop.model_dump(mode="json"),
        "values": config.value.model_dump(mode="json"),
        "consent": config.consent.model_dump(mode="json"),
        "menu": [item.model_dump(mode="json") for item in full_menu(config, store)],
        "facts": {
            name: plan[name] for name in ("budget_cents", "customers", "held_out", "barred", "price", "evidence")
        },
    }
    return freeze(draft, manifest)


def derive(work: Path, base: str, terms: deliver.Release) -> str:
    """A release with the candidates of another one, new terms, and scores by these; its id."""
    home = work / "serve" / "releases"
    manifest = json.loads((home / base / "manifest.json").read_text(encoding="utf-8"))
    draft = home / f"draft.{base}"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(home / base, draft)
    return freeze(draft, manifest | {"terms": terms.model_dump(mode="json")})


def freeze(draft: Path, manifest: dict[str, Any]) -> str:
    """Score a draft's candidates by its manifest and make it a release; its id.

    Decisions refer to these scores, so they are kept as they are, whatever later code would make of the model, and are
    on disk before the first decision is.
    """
    rows = pl.read_parquet(draft / "candidates.parquet").filter(pl.col("offer_id") != "none")
    scores = score(rows.sort("customer_id", "offer_id"), manifest)
    scores.write_parquet(draft / "scores.parquet", compression="zstd")
    files = {name: _sha(draft / f"{name}.parquet") for name in TABLES}
    text = json.dumps(manifest | {"files": files}, ensure_ascii=False, sort_keys=True, indent=1)
    (draft / "manifest.json").write_text(text, encoding="utf-8")
    for path in (*draft.iterdir(), draft):
        _to_disk(path)
    release_id = named(text)
    place = draft.parent / release_id
    if place.exists():
        shutil.rmtree(draft)
    else:
        draft.rename(place)
        _to_disk(draft.parent)
    return release_id


def load(root: Path, release_id: str) -> LiveRelease:
    """Read a release. Raises StepError if it is not there and InputError if a file is not what it was when built."""
    folder = root / "serve" / "releases" / release_id
    if not (folder / "manifest.json").is_file():
        raise StepError(f"no release {release_id!r} in {folder.parent}; make one with POST /v1/releases")
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    if named(text) != release_id:
        raise InputError(f"{folder}/manifest.json was changed after the release was made; make a new release")
    manifest = json.loads(text)
    for name, wanted in manifest["files"].items():
        if _sha(folder / f"{name}.parquet") != wanted:
            raise InputError(f"{folder}/{name}.parquet was changed after the release was made; make a new release")
    frames = {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    consent, scored = ConsentSettings(**manifest["consent"]), frames["scores"]
    allowed = may_send(frames["candidates"]["customer_id"], frames["customers"], consent)
    rows, spans = Rows.of(scored), _spans(scored)
    return LiveRelease(
        release_id=release_id,
        terms=deliver.Release(**manifest["terms"]),
        candidates=scored,
        rows=rows,
        spans=spans,
        opened={who: rows.open(*span) for who, span in spans.items()},
        consent=consent,
        barred=dict(allowed.select("customer_id", "reason").iter_rows()),
        people={row[0]: row[1:] for row in frames["customers"].select(CUSTOMER).iter_rows()},
        products=dict(frames["products"].drop_nulls("target").select("product_id", "target").iter_rows()),
        messages={(who, offer): (zh, en) for who, offer, zh, en in frames["messages"].iter_rows()},
        offers={each["id"]: each for each in manifest["offers"]},
        menu={item["id"]: MenuItem(**item) for item in manifest["menu"]},
        labels=_labels(frames["candidates"].sort("customer_id", "offer_id"), frames["products"]),
        frontier=frames["frontier"],
        shop=manifest["shop"],
        facts=manifest["facts"],
    )  # fmt: skip


def score(rows: pl.DataFrame, manifest: dict[str, Any]) -> pl.DataFrame:
    """What a decision reads of a candidate, with gain and cost by the release's model."""
    named = pl.col("coupon_prob").alias("redeem_prob")
    odds = rows.filter(pl.col("coupon_prob").is_not_null() & pl.col("target").is_not_null())
    odds = odds.select("customer_id", "target", named).unique(["customer_id", "target"], keep="first")
    response = effect.DiscountResponse.from_dict(manifest["response"])
    values = effect.ValueSettings(**manifest["values"])
    redeem = None if odds.is_empty() else odds
    scored = effect.add_effects(rows.drop("coupon_prob"), response, redeem, values)
    return deliver.recalibrated(scored, deliver.Release(**manifest["terms"]).recalibration).select(DECIDED)


def _candidates(store: Store) -> pl.DataFrame:
    """Candidates with the inputs of their scores and `charge_cents`: what limits and caution ask beyond the price."""
    rows = store.frame("candidates")
    decided = store.frame("decisions").select("customer_id", "candidates", "ineligible")
    told, shut = [], []
    for who, opened, closed in decided.iter_rows():
        told += [
            (who, row["offer"], row.get("charge_cents", 0.0)) for row in json.loads(opened) if row["offer"] != "none"
        ]
        shut += [(who, row["offer"], row["reason"]) for row in json.loads(closed)]
    key = {"customer_id": pl.String, "offer_id": pl.String}
    charges = pl.DataFrame(told, schema=key | {"told_cents": pl.Float64}, orient="row")
    reasons = pl.DataFrame(shut, schema=key | {"shut": pl.String}, orient="row")
    joined = rows.join(charges, on=[*key], how="left").join(reasons, on=[*key], how="left")
    rate = (pl.col("told_cents") / pl.col("cost_cents")).median().over("target")  # a limit's price, for who was barred
    usual = pl.when(pl.col("target").is_null()).then(0.0).otherwise(rate * pl.col("cost_cents"))
    caution = pl.col("naive_gain_cents") - pl.col("gain_cents") if "naive_gain_cents" in rows.columns else pl.lit(0.0)
    settled = pl.col("shut").is_not_null() & pl.col("eligible")
    return joined.with_columns(
        (pl.coalesce("told_cents", usual, pl.lit(0.0)).fill_nan(0.0) + caution.fill_null(0.0)).alias("charge_cents"),
        pl.when(settled).then(pl.col("shut")).otherwise(pl.col("why_not")).alias("why_not"),
        (pl.col("eligible") & ~settled).alias("eligible"),
    ).select(*SCORED, "charge_cents", "coupon_prob")


def _customers(store: Store) -> pl.DataFrame:
    if not store.has("customers"):
        return CUSTOMERS.empty().select(CUSTOMER)
    return CUSTOMERS.conform(store.frame("customers")).select(CUSTOMER).sort("customer_id")


def _spans(rows: pl.DataFrame) -> dict[str, tuple[int, int]]:
    runs = rows.with_row_index("at").group_by("customer_id").agg(pl.col("at").min(), pl.len())
    return {who: (at, at + size) for who, at, size in runs.iter_rows()}


def _labels(rows: pl.DataFrame, products: pl.DataFrame) -> dict[str, tuple[str | None, str | None, str, str | None]]:
    """Offer id to scope, target, menu line and the printed name of its product."""
    names = dict(products.drop_nulls("name").select("product_id", "name").iter_rows())
    offers = rows.filter(pl.col("offer_id") != "none").unique("offer_id", keep="first")
    found = {}
    for offer, scope, kind, target, menu in offers.select("offer_id", "scope", "kind", "target", "menu_id").iter_rows():
        covers = kind if scope == "category" else scope
        found[offer] = (covers, target, menu, names.get(target, target) if kind == "product" else target)
    return found


def named(manifest: str) -> str:
    """A release's id: a hash of its manifest, which holds the hashes of its files."""
    return f"rel_{hashlib.sha256(manifest.encode()).hexdigest()[:16]}"


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk; folders cannot be opened on Windows."""
    with suppress(PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
