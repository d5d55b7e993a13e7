"""The encoder in the story: all are forecast, none who left, nothing private shown; a shop without it goes on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.core.customers.forecasts.model_weights import ModelWeight
from promolift.extensions.encoder import pipeline_step, training_data
from promolift.extensions.encoder.customer_page import explain_forecast
from promolift.extensions.encoder.network.purchase_histories import weekly_popularity
from promolift.extensions.encoder.results import BasketTrees, ForecastNote
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import OUTLOOK, OUTLOOK_ITEMS
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.pipeline import pipeline
from promolift.shop.pipeline.pipeline import forecast_summary
from promolift.shop.results.work_folder.run_context import Job

pytest.importorskip("torch")

from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder

TINY = {"depth": 1, "epochs": 2, "level": "type"}
EVENTS = {
    "customer_id": "user_id", "time": "event_time", "kind": "event_type", "product_id": "sku",
    "order_id": "order_number", "quantity": "quantity", "amount": "sales_value", "shelf_discount": "discount",
}  # fmt: skip


def config(folder: Path, shards: int = 2, plan: dict[str, object] | None = None, **encoder: object) -> Config:
    names = ("product_id", "name", "category", "type")
    products = {"columns": {n: n for n in names} | {"price": "price_cents"}, "money": "minor"}
    customers = {"columns": {"customer_id": "customer_id"}, "constants": {"consent": "yes"}}
    files = {"events": {"columns": EVENTS}, "products": products, "customers": customers}
    parts = {name: {"path": str(folder / f"{name}.csv"), "mapping": mapping} for name, mapping in files.items()}
    return Config.parse({"data": {"shards": shards, **parts}, "plan": plan or {}, "encoder": TINY | encoder}, "test")


def shop(own: Path, folder: Path, change: Callable[[dict[str, pl.DataFrame]], None] = lambda tables: None) -> Path:
    """The small shop's files with 90 customers, changed."""
    names = ("events", "products", "customers")
    tables = {name: pl.read_csv(own / f"{name}.csv", infer_schema=False) for name in names}
    kept = sorted(set(tables["events"]["user_id"]))[:160]
    tables["events"] = tables["events"].filter(pl.col("user_id").is_in(kept))
    tables["customers"] = tables["customers"].filter(pl.col("customer_id").is_in(kept))
    change(tables)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_csv(folder / f"{name}.csv")
    return folder


def example(job: Job) -> str:
    """A customer with a rhythm and many visits."""
    known = job.profiled.required_outlook.filter(pl.col("sentences").str.starts_with('{"message": "Buys '))
    return str(known.drop_nulls("next_1").sort("visits", "customer_id", descending=[True, False])["customer_id"][0])


def forecast_in(folder: Path, work: Path, settings: Config, tell: Callable[..., None] = lambda *_: None) -> Job:
    """A job whose events are cleaned and whose customers are forecast; its store stays open."""
    job = Job(settings, Store(work), tell)
    pipeline.run_steps(job, ["ingest"])
    pipeline_step.run(job)
    return job


def special(tables: dict[str, pl.DataFrame]) -> None:
    """A private category, a product nobody bought, somebody with one visit, and somebody with none."""
    goods, events = tables["products"], tables["events"]
    private = goods["category"].value_counts().sort(["count", "category"], descending=[True, False])["category"][0]
    goods = goods.with_columns(pl.col("category").replace({private: "ANALGESICS"}))
    new = goods.head(1).with_columns(product_id=pl.lit("brand-new"), type=pl.lit("never seen"), name=pl.lit("thing"))
    tables["products"] = pl.concat([goods, new])
    one = events.filter(pl.col("event_type") == "purchase").head(1)
    tables["events"] = pl.concat([events, one.with_columns(user_id=pl.lit("once"), order_number=pl.lit("o-once"))])
    more = tables["customers"].head(2).with_columns(customer_id=pl.Series(["once", "never"]))
    tables["customers"] = pl.concat([tables["customers"], more])


@pytest.fixture(scope="module")
def job(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("forecast")
    return forecast_in(shop(own_files, folder, special), folder / "work", config(folder))


def test_everybody_is_forecast_once_with_probabilities_that_are_probabilities(job: Job) -> None:
    rows = OUTLOOK.check(job.store.frame("outlook"))
    seen = job.store.table("events").project("customer_id").distinct().pl()["customer_id"]
    assert set(rows["customer_id"]) == {*seen, "never"}
    shown = rows.select("next_1_prob", "next_2_prob", "next_3_prob").to_numpy()
    assert (np.diff(shown, axis=1) <= 0).all()
    assert rows["orders"].is_finite().all()
    assert np.linalg.norm(np.stack(rows["embedding"].to_list()), axis=1) == pytest.approx(2**0.5, abs=1e-3)
    note = ForecastNote.load(job.store).checked
    assert note is not None
    assert len(note.epochs) == 2
    assert note.ndcg.low < note.ndcg.value < note.ndcg.high
    assert note.lead.value == pytest.approx(note.ndcg.value - note.ndcg.habit)
    assert f"{note.ndcg.value:.3f}" in forecast_summary(job, "all")["text"]


def test_of_whom_little_is_known_that_is_said_first(job: Job) -> None:
    rows = {row["customer_id"]: row for row in job.store.frame("outlook").iter_rows(named=True)}
    assert rows["once"]["basis"] == pipeline_step.BASIS_SIMILAR_CUSTOMERS
    assert rows["never"]["basis"] == pipeline_step.BASIS_NO_VISITS
    for who, visits in (("once", 1), ("never", 0)):
        first = LazyMessage.from_text(rows[who]["sentences"].splitlines()[0])
        assert first.startswith(f"Too few visits ({visits})")
        assert rows[who]["next_1"]
        assert rows[who]["spend_cents"] > 0
    known = [row for row in rows.values() if row["visits"] >= 3]
    assert all(row["basis"] == pipeline_step.BASIS_OWN_VISITS and "Too few" not in row["sentences"] for row in known)


def test_a_product_nobody_bought_has_its_place_and_says_why(job: Job) -> None:
    items = OUTLOOK_ITEMS.check(job.store.frame("outlook_items"))
    row = items.filter(pl.col("item").str.ends_with("never seen")).to_dicts()[0]
    assert row["visits"] == 0
    assert row["basis"].startswith("never bought")
    assert {row["like_1"], row["like_2"], row["like_3"]} <= {*items["item"]} - {row["item"]}
    kept = job.store.load_files("encoder")
    kept.pop("made_from")
    net = LearnedEncoder.from_files(kept).model
    tower = net.table().numpy()
    tower /= np.linalg.norm(tower, axis=1, keepdims=True)
    at, known = items["item"].to_list().index(row["item"]), net.get_buffer("known_I").numpy() > 0
    alike = np.argsort(np.where(known, -tower @ tower[at], np.inf))[:3]  # by shelf, brand and price: all that is known
    amid = np.stack(items["embedding"].to_list())[alike].mean(axis=0)
    assert row["embedding"] == pytest.approx(amid / np.linalg.norm(amid), abs=1e-4)
    assert items["expected_baskets"].sum() > 0


def test_a_private_matter_is_not_known_to_the_model_and_shown_nowhere(job: Job) -> None:
    items = job.store.frame("outlook_items")
    private = items.filter(pl.col("category") == "ANALGESICS")
    assert private.height > 0
    assert private["visits"].sum() == 0
    assert private["name"].null_count() == private.height
    shown = job.store.frame("outlook")
    for column in ("next_1", "next_2", "next_3", "leans_to"):
        assert not shown[column].is_in([*private["item"], "pain relief"]).any()
    note = explain_forecast(job, example(job))
    assert note.reasons
    texts = (" ".join(shown["sentences"]) + str(note)).lower()
    assert "pain relief" not in texts
    assert "analgesics" not in texts


def test_who_is_erased_leaves_tables_and_model(own_files: Path, tmp_path: Path, job: Job) -> None:
    who = example(job)
    gone = {who, explain_forecast(job, who).alike[0]}

    def erase(tables: dict[str, pl.DataFrame]) -> None:
        special(tables)
        tables["events"] = tables["events"].filter(~pl.col("user_id").is_in(gone))
        tables["customers"] = tables["customers"].filter(~pl.col("customer_id").is_in(gone))

    shutil.copytree(job.store.root, tmp_path / "work")
    left = forecast_in(shop(own_files, tmp_path, erase), tmp_path / "work", config(tmp_path))
    assert not gone & set(left.store.frame("outlook")["customer_id"])
    texts = [path.read_bytes() for path in sorted((tmp_path / "work" / "models").rglob("*")) if path.is_file()]
    texts.append((tmp_path / "work" / "notes" / "outlook.json").read_bytes())
    assert not any(f'"{who}"'.encode() in text for who in gone for text in texts)
    assert left.store.load_files("encoder")["made_from"] != job.store.load_files("encoder")["made_from"]


def test_shards_change_nothing_and_an_unchanged_shop_is_not_learned_again(tmp_path: Path, job: Job) -> None:
    folder, shown = Path(job.config.data.events.path).parent, []  # type: ignore[union-attr]
    shutil.copytree(job.store.root / "models", tmp_path / "work" / "models")
    other = forecast_in(folder, tmp_path / "work", config(folder, shards=3), lambda *row: shown.append(row))
    assert ("encoder", 0.8, "nothing changed") in shown
    assert len(other.store.shards("outlook")) == 3
    one, two = (each.store.frame("outlook").sort("customer_id") for each in (job, other))
    assert one["customer_id"].equals(two["customer_id"])
    for column in ("next_1_prob", "churn_prob", "deal_share"):
        assert one[column].to_numpy() == pytest.approx(two[column].to_numpy(), rel=0.02)


def test_a_stopped_training_goes_on_where_it_was(tmp_path: Path, job: Job) -> None:
    folder, shown = Path(job.config.data.events.path).parent, []  # type: ignore[union-attr]

    def stop(step: str, share: float, note: str = "") -> None:
        shown.append(step)
        if step == "epoch 2" and shown.count("epoch 2") == 1:
            raise KeyboardInterrupt

    with Store(tmp_path / "work") as store:
        stopped = Job(config(folder), store, stop)
        pipeline.run_steps(stopped, ["ingest"])
        with pytest.raises(KeyboardInterrupt):
            pipeline_step.run(stopped)
    left = Job(config(folder), Store(tmp_path / "work"), stop)
    assert set(left.store.load_files("encoder_unfinished")) == {"made_from", "state"}
    assert not left.store.load_files("encoder")
    pipeline_step.run(left)
    assert shown.count("epoch 1") == 1
    assert shown.count("epoch 2") == 2
    assert not left.store.load_files("encoder_unfinished")
    whole, resumed = (ForecastNote.load(each.store).checked.epochs for each in (job, left))  # type: ignore[union-attr]
    assert [row.valid_ndcg for row in resumed] == pytest.approx([row.valid_ndcg for row in whole], abs=1e-6)


def test_nothing_after_the_plans_moment_is_learned_from(own_files: Path, tmp_path: Path) -> None:
    from promolift.extensions.encoder.training_data import load_context, sampled_histories

    events = pl.read_csv(own_files / "events.csv", infer_schema=False)
    late = events["event_time"].max()
    day = str(late)[:10]

    def plain(tables: dict[str, pl.DataFrame]) -> None:
        tables["products"] = tables["products"].with_columns(
            price_cents=pl.lit(None, pl.String)
        )  # what was paid counts

    def cheat(tables: dict[str, pl.DataFrame]) -> None:
        plain(tables)
        future = pl.col("event_time") >= day
        tables["events"] = tables["events"].with_columns(
            sales_value=pl.when(future).then(pl.lit("999.99")).otherwise("sales_value"),
            sku=pl.when(future).then(pl.col("sku").first()).otherwise("sku"),
        )

    marks = []
    for name, change in (("plain", plain), ("cheat", cheat)):
        folder = shop(own_files, tmp_path / name, change)
        made = Job(config(folder, plan={"asof": day}), Store(folder / "work"), lambda *_: None)
        pipeline.run_steps(made, ["ingest"])
        marks.append(pipeline_step.training_digest(sampled_histories(made, load_context(made)), ""))
    assert marks[0] == marks[1]


def test_without_an_encoder_the_reason_is_kept_and_nothing_else(
    own_files: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(job.store.root, tmp_path / "work")
    folder = Path(job.config.data.events.path).parent  # type: ignore[union-attr]
    off = Job(config(folder, depth=0), Store(tmp_path / "work"), lambda *_: None)
    pipeline_step.run(off)
    assert ForecastNote.load(off.store) == ForecastNote(missing="encoder.depth is 0 in promolift.toml; 2 learns one")
    assert not any(off.store.has(name) for name in pipeline_step.FORECAST_TABLES)
    assert not off.store.load_files("encoder")
    assert "encoder.depth" in forecast_summary(off, "")["text"]
    monkeypatch.setattr(pipeline_step, "find_spec", lambda name: None)
    pipeline_step.run(Job(config(folder), off.store, lambda *_: None))
    assert "pip install 'promolift[deep]'" in str(ForecastNote.load(off.store).missing)
    monkeypatch.undo()

    def few(tables: dict[str, pl.DataFrame]) -> None:
        some = sorted(set(tables["events"]["user_id"]))[:30]
        tables["events"] = tables["events"].filter(pl.col("user_id").is_in(some))

    small = forecast_in(shop(own_files, tmp_path / "few", few), tmp_path / "few" / "work", config(tmp_path / "few"))
    assert "100 are needed" in LazyMessage.from_stored(small.store.load_json("outlook")["missing"])


def test_another_encoder_redoes_the_profiles_and_nothing_that_does_not_depend_on_it(job: Job) -> None:
    folder = Path(job.config.data.events.path).parent  # type: ignore[union-attr]
    marks = [
        {step: pipeline.fingerprint(config(folder, depth=depth), step) for step in pipeline.STEPS} for depth in (1, 2)
    ]
    assert {step for step in pipeline.STEPS if marks[0][step] != marks[1][step]} == {"profile"}


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


def test_a_customer_is_explained_at_the_command_line(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(job.config.data.events.path).parent  # type: ignore[union-attr]
    files = [
        part for name in ("events", "products", "customers") for part in (f"--{name}", str(folder / f"{name}.csv"))
    ]
    toml, work = tmp_path / "promolift.toml", tmp_path / "work"
    assert call("init", *files, "--config", str(toml)) == 0
    text = toml.read_text("utf-8")
    assert text.count("depth = 0 ") == 1
    toml.write_text(text.replace("depth = 0 ", 'depth = 1\nepochs = 1\nlevel = "type" '), "utf-8")
    assert load_config(toml).encoder.depth == 1
    places = ["--config", str(toml), "--work", str(work)]
    assert call("ingest", *places) == 0
    who = example(job)
    assert call("profile", *places, "--customer", who, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["attributes"]["orders_total"] > 0
    assert shown["outlook"]["next_1_prob"] > 0
    assert shown["reasons"]
    assert shown["alike"]
    assert who not in shown["alike"]
    assert call("profile", *places, "--customer", who) == 0
    text = capsys.readouterr().err
    for words in ("Has placed", "Likeliest in the next basket", "odds x", "Most like this customer"):
        assert words in text
    assert call("profile", *places, "--customer", "nobody") == 2
    said = capsys.readouterr().err
    assert "[customer_unknown]" in said
    assert "'nobody'" in said


def test_kept_files_of_another_version_are_named_not_crashed_on(tmp_path: Path, job: Job) -> None:
    shutil.copytree(job.store.root, tmp_path / "work")
    torn = Job(job.config, Store(tmp_path / "work"), lambda *_: None)
    torn.store.save_files("encoder", {"manifest.json": b"{}", "weights.safetensors": b""})
    with raises_code("model_invalid", "encoder"):
        explain_forecast(torn, "once")


def test_a_customer_is_explained_by_the_order_that_was_forecast(job: Job) -> None:
    from promolift.extensions.encoder.network.basket_ranker import fit_basket_trees
    from promolift.extensions.encoder.network.forecast import visit_contributions

    scene = training_data.load_context(job)
    h = training_data.sampled_histories(job, scene)
    start, kept = scene.day - pipeline_step.VALIDATION_DAYS, job.store.load_files(pipeline_step.BASKET_MODEL)
    shared, model = weekly_popularity(h, scene.day), pipeline_step.load_or_train(job, h, scene.day)
    trees = fit_basket_trees(h, start, 1)
    who = job.profiled.required_outlook.filter(pl.col("visits") > 3).sort("customer_id").row(0, named=True)
    said = {}
    for weight in (0.0, 0.5):
        order = BasketTrees(trees, ModelWeight(weight=weight, why="", n=100))
        files = {"trees.txt": trees.encode(), "member.json": order.note.model_dump_json().encode(), "made_from": b"x"}
        job.store.save_files(pipeline_step.BASKET_MODEL, files)
        said[weight] = [each.odds_factor for each in explain_forecast(job, who["customer_id"]).reasons]
    job.store.save_files(pipeline_step.BASKET_MODEL, kept)
    mixed = model.with_ranker(trees, 0.5, h, scene.day)
    alone = training_data.customer_history(job, scene, who["customer_id"])
    found = visit_contributions(mixed, alone, shared, 0, scene.day, who["next_1"])["effect"].head(5)
    assert said[0.5] == pytest.approx(np.exp(found).to_list(), rel=1e-5)
    assert said[0.5] != pytest.approx(said[0.0])


def test_trees_that_did_not_pay_are_learned_again_when_the_window_moves_or_the_log_grows(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promolift.extensions.encoder.network import basket_ranker
    from promolift.extensions.encoder.network import forecast as encoder_forecast

    scene = training_data.load_context(job)
    h = training_data.sampled_histories(job, scene)
    model, start = pipeline_step.load_or_train(job, h, scene.day), scene.day - pipeline_step.VALIDATION_DAYS
    asked: list[float] = []

    def none(_: object, day: float, seed: int) -> str:
        asked.append(day)
        raise SupportError("too_few_rows", "too few rows")

    def keep(log_rows: int = len(h.item_L)) -> ModelWeight:
        back = encoder_forecast.collect_backtest_window(model, "", h, weekly_popularity(h, scene.day), start)
        trees = pipeline_step.fit_basket_order(job, h, start)
        assert trees.note is not None
        note = trees.note.model_copy(update={"log_rows": log_rows})
        kept = pipeline_step.evaluate_forecast(job, h, model, back, trees._replace(note=note))
        job.store.save_files(
            pipeline_step.BASKET_MODEL,
            job.store.load_files(pipeline_step.BASKET_MODEL) | {"made_from": b"other purchases"},
        )
        return kept.basket

    monkeypatch.setattr(basket_ranker, "fit_basket_trees", none)
    job.store.remove_files(pipeline_step.BASKET_MODEL)
    first = keep()
    assert (first.weight, first.why) == (0, "too few rows")
    assert pipeline_step.fit_basket_order(job, h, start + pipeline_step.VALIDATION_DAYS - 1).note == first
    assert asked == [start]
    pipeline_step.fit_basket_order(job, h, start + pipeline_step.VALIDATION_DAYS)
    pipeline_step.fit_basket_order(job, h, start - 1)  # what a later window showed says nothing of this one
    assert asked[1:] == [start + pipeline_step.VALIDATION_DAYS, start - 1]
    keep(int(len(h.item_L) / 1.5))  # judged when there was two thirds of this log
    pipeline_step.fit_basket_order(job, h, start)
    assert asked[3:] == [start]
