"""The message step: words that fit each customer, from the pool that may be sent, with reason and propensity kept."""

import re
from collections.abc import Iterator

import polars as pl
import pytest
from message_helpers import an_offer
from planned_shop import planned_shop, shop_config

from promolift.core.experiments.audiences import NOT_BOUGHT
from promolift.core.messages import AngleFacts, TextChooser, write_message, write_messages
from promolift.core.messages.composition import AUDIENCE_REASONS
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Benefit
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.storage.local_store import Store
from promolift.shop.pipeline.pipeline import demo_config
from promolift.shop.pipeline.pool_file import load_pool
from promolift.shop.pipeline.steps import message
from promolift.shop.pipeline.steps.message import (
    PLAY_REASONS,
    add_reminder_reasons,
    name_most_bought,
)
from promolift.shop.reports.offer_reasons import reason_text
from promolift.shop.results.messages import PoolWords
from promolift.shop.results.work_folder.run_context import Job, moments
from promolift.shop.results.work_folder.work_tables import CleanTables

BILINGUAL = {"name": "Shop", "zone": "UTC", "languages": ("en", "zh")}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[pl.DataFrame, PoolWords]]:
    found = {}
    for approve in ("person", "judged"):
        folder = tmp_path_factory.mktemp(approve)
        planned_shop(folder, 1, shop_config(plan={"budget_cents": 9000}, message={"approve": approve}, shop=BILINGUAL))
        with Store(folder) as store:
            found[approve] = (store.frame("messages"), PoolWords.load(store))
    return found


def test_where_no_person_approved_a_text_offers_stand_alone(shops) -> None:
    rows, kept = shops["person"]
    assert rows["message_zh"].null_count() == 0
    assert rows["text_zh"].null_count() == rows.height
    assert len(kept.texts) == len(load_pool(None).texts)
    assert kept.sendable.texts == ()


def test_judged_texts_say_the_reason_that_the_plan_states(shops) -> None:
    rows, kept = shops["judged"]
    angle = {text.text_id: text.angle for text in kept.texts}
    for language in ("zh", "en"):
        said = rows.drop_nulls(f"text_{language}")
        assert said.height > 0
        assert said[f"text_{language}"].replace_strict(angle).to_list() == said["angle"].to_list()
        assert said[f"text_prob_{language}"].is_between(0, 1).all()
        assert said[f"title_{language}"].null_count() == 0
    said = {language: list(spoken(rows, language)) for language in ("en", "zh")}
    assert all(len(text) > 5 for text in said["en"])
    assert all(re.search(r"[\u4e00-\u9fff]", text) for text in said["zh"])


def test_of_those_held_out_only_the_text_is_kept_that_they_would_have_got(tmp_path) -> None:
    config = shop_config(
        plan={"budget_cents": 9000, "holdout_share": 0.4}, message={"approve": "judged"}, shop=BILINGUAL
    )
    planned_shop(tmp_path, 1, config)
    with Store(tmp_path) as store:
        sent, unsent, held = (
            store.frame("messages"),
            store.frame("withheld"),
            store.frame("decisions").filter("holdout"),
        )
    assert unsent.height > 5
    assert set(unsent["customer_id"]) <= set(held["customer_id"])
    assert set(unsent["offer_id"]) <= set(sent["offer_id"])
    assert unsent.columns == list(message.WITHHELD)
    assert unsent["text_en"].drop_nulls().len() > 0
    both = [
        each.drop_nulls("text_en").select("offer_id", "angle", "text_en", "text_prob_en") for each in (sent, unsent)
    ]
    shares = pl.concat(both).group_by("offer_id", "angle", "text_en").agg(pl.col("text_prob_en").n_unique())
    assert shares["text_prob_en"].max() == 1  # as likely for those held out as for those who get it


def spoken(rows: pl.DataFrame, language: str) -> Iterator[str]:
    """The reasons of the messages in a language."""
    with use_locale(language):
        yield from map(reason_text, rows["reason_facts"])


def test_the_same_customers_who_qualify_carry_a_reason(shops) -> None:
    rows, _ = shops["judged"]
    assert rows.filter((pl.col("angles").list.len() > 0) & (pl.col("angle") == "generic")).is_empty()


def test_an_offer_on_two_products_is_printed_with_both_names(tmp_path):
    """It used to be printed with their ids, where a catalogue has no categories."""
    with Store(tmp_path) as store:
        store.save(
            "products", pl.DataFrame({"product_id": ["p1", "p2", "p3"], "name": ["Green Tea", "Espresso", None]})
        )
        job = Job(demo_config(), store, lambda *_: None)
        names = job.clean.printed_names(pl.Series(["p2", "p1 ++ p2", "p1 ++ p3", "p3"]))
    assert names == {"p2": "Espresso", "p1 ++ p2": "Green Tea ++ Espresso", "p1 ++ p3": "Green Tea ++ p3"}
    assert readable_name(names["p1 ++ p2"], "product").en == "Green Tea and Espresso"


def test_a_reminder_names_what_its_customer_bought_unless_they_refused_personal_decisions(tmp_path, monkeypatch):
    config = shop_config(plan={"budget_cents": 9000})
    planned_shop(tmp_path, 1, config)
    letter = an_offer(Benefit(type="reminder"))
    with Store(tmp_path) as store:
        job = Job(config, store, lambda *_: None)
        names = dict(job.clean.catalogue.select("product_id", "name").iter_rows())
        bought = job.clean.events().filter("kind = 'purchase'").project("customer_id, product_id").pl()
        each = bought.group_by("customer_id").agg("product_id")
        own = {who: {names[product] for product in mine} for who, mine in each.iter_rows()}
        none = dict.fromkeys(("bought_name", *PLAY_REASONS.values()), pl.lit(None, pl.String))
        rows = pl.DataFrame({"customer_id": sorted(own), "offer_id": letter.id}).with_columns(**none)
        named = add_reminder_reasons(job, rows, {letter.id: letter})
        assert named["customer_id"].to_list() == sorted(own)
        assert all(row["bought_name"] in own[row["customer_id"]] for row in named.iter_rows(named=True))
        refused = rows.select("customer_id", personal=pl.lit(False))
        monkeypatch.setattr(CleanTables, "personal", property(lambda _: refused))
        assert add_reminder_reasons(job, rows, {letter.id: letter})["bought_name"].null_count() == rows.height


@pytest.mark.parametrize("audience", [*AUDIENCE_REASONS, "big spenders"])
@pytest.mark.parametrize("named", [True, False])
def test_a_reminder_says_a_product_the_shops_reason_or_one_of_its_audience(tmp_path, monkeypatch, audience, named):
    """Where a log names no products it used to say "You are welcome any time." and nothing else."""
    config = shop_config(plan={"budget_cents": 9000}, shop=BILINGUAL)
    planned_shop(tmp_path, 1, config)
    letter = an_offer(Benefit(type="reminder"))
    own = {
        "play_reason_en": ["The new season has begun.", None, None],
        "play_reason_zh": ["新一季开始了。", None, None],
    }
    with Store(tmp_path) as store:
        job = Job(config, store, lambda *_: None)
        who = [
            *job.clean.events().filter("kind = 'purchase'").pl()["customer_id"].unique().sort()[:2],
            "new",
        ]
        rows = pl.DataFrame({"customer_id": who, "offer_id": letter.id, "name": ["Ann", None, None], **own})
        rows = rows.with_columns(bought_name=pl.lit(None, pl.String), angle=pl.lit("generic"))
        drawn = pl.DataFrame({
            "customer_id": who, "campaign_id": config.plan.campaign, "ts_ms": moments(job).asof, "group": audience,
        })  # fmt: skip
        monkeypatch.setattr(message, "all_draws", lambda _: drawn)
        if not named:
            bare = job.clean.catalogue.with_columns(pl.lit(None, pl.String).alias("name"))
            monkeypatch.setattr(CleanTables, "catalogue", property(lambda _: bare))
        rows = add_reminder_reasons(job, rows, {letter.id: letter})
    said = write_messages(rows, {letter.id: letter}, TextChooser(()))
    bare = {write_message(letter, AngleFacts(name=name), "en").text for name in ("Ann", None)}
    assert not bare & {*said["message_en"]}
    first, second, third = rows.iter_rows(named=True)
    assert (first["play_reason_en"], first["bought_name"] is not None) == ("The new season has begun.", named)
    assert (second["play_reason_en"] is None) == named
    assert third["play_reason_zh"] == AUDIENCE_REASONS[audience if audience in AUDIENCE_REASONS else NOT_BOUGHT].zh
    if not named and audience in (NOT_BOUGHT, "big spenders"):  # who has an order is not told otherwise
        assert second["play_reason_en"] == AUDIENCE_REASONS["bought"].en


@pytest.mark.parametrize(
    ("product", "name", "category", "said"),
    [
        ("Espresso 250 g", None, None, "Espresso 250 g"), ("龙井茶", None, None, "龙井茶"),
        ("Kaffee", None, None, "Kaffee"),
        ("p9", "Green tea", "Tea", "Green tea"), ("ESP250", None, None, None), ("SKU-AB 12", None, None, None),
        ("4f3a9bce", None, "Tea", None), ("p9", "Condoms, 12 pieces", None, None), ("Condoms", None, None, None),
        ("p9", "Gift box", "FAMILY PLANNING", None), ("50% off milk", None, None, None),
    ],
)  # fmt: skip
def test_a_reminder_names_what_reads_as_a_name_and_is_no_private_matter(tmp_path, product, name, category, said):
    """A log may call its products by their names alone; the name of a private matter is one without any category."""
    text = dict.fromkeys(("product_id", "name", "category"), pl.String)
    goods = pl.DataFrame({"product_id": [product], "name": [name], "category": [category]}, text)
    bought = pl.DataFrame({"customer_id": ["u1", "u2"], "product_id": [product, "product 7"], "times": 3, "last_ms": 1})
    found = dict(name_most_bought(bought, goods).iter_rows())
    assert found.get("u1") == said
    assert "u2" not in found
