"""Train the encoder and write its forecasts of customers and items (a part of step 2).

Training customers are sampled by hash; forecasts are written shard by shard. Every run rewrites the tables `outlook`
and `outlook_items`, the note `outlook` and the model's files. They hold only customers who are in the events or in the
customers table, so an erased customer also disappears from them. torch is imported only if an encoder is configured.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from promolift.core import experiments
from promolift.core.customers.forecasts.model_weights import ModelWeight, is_still_valid
from promolift.extensions.encoder.results import (
    BASKET_MODEL,
    ENCODER_MODEL,
    SHARED_MODEL,
    BasketTrees,
    EpochFigures,
    FigureRange,
    ForecastCheck,
    ForecastNote,
    Ndcg,
    PredictedShare,
)
from promolift.extensions.privacy.mechanisms.privacy_budget import Spend
from promolift.extensions.privacy.results import PrivacyLedger, load_shop_sums, record_spends, require_budget
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.catalogue import gettext_noop, pgettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.table_writing import TableDraft
from promolift.foundation.tables.schemas import OUTLOOK, OUTLOOK_ITEMS
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.predictions import Reliability
from promolift.shop.results.work_folder.run_context import Job, map_shards

if TYPE_CHECKING:
    from promolift.extensions.encoder.network.encoder import EncoderSettings
    from promolift.extensions.encoder.network.forecast import BacktestWindow, ForecastCalibration
    from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
    from promolift.extensions.encoder.network.purchase_histories import Histories, Popularity
    from promolift.extensions.encoder.training_data import ForecastContext

FORECAST_TABLES = ("outlook", "outlook_items")
CHECKPOINT_NAME = "encoder_unfinished"
VALIDATION_DAYS, MIN_CUSTOMERS, FEW_VISITS = (
    56,
    100,
    3,
)  # days of the window; customers needed before it; visits below which others speak
SINGLE_THREAD_DEPTH = 3  # depth up to which one thread is best
MAX_COMPARED_ITEMS = 5_000  # more items than this are not compared one by one
PRIVATE_TRAINING_NOTE = gettext_noop("one customer's gradient at a time")
NO_TREES = BasketTrees("", ModelWeight(weight=0.0, why="under privacy.epsilon nobody's baskets teach another's", n=0))
BASIS_OWN_VISITS, BASIS_SIMILAR_CUSTOMERS, BASIS_NO_VISITS = (
    "own visits",
    "few visits: customers like this one",
    "no visit: what newcomers do",
)


class ForecastModels(NamedTuple):
    """The encoder, its calibration, and what is popular at each moment."""

    encoder: "LearnedEncoder"
    fitted: "ForecastCalibration"
    shared: "Popularity"


def run(job: Job) -> None:
    """Learn and forecast; where that cannot be, keep the reason, and nothing of an earlier run."""
    why = unavailable_reason(job)
    if why is None:
        try:
            with limit_threads(job):
                learn_and_forecast(job)
            return
        except SupportError as reason:
            why = str(reason)
    for name in FORECAST_TABLES:
        job.store.remove(name)
    for name in (ENCODER_MODEL, CHECKPOINT_NAME, BASKET_MODEL):
        job.store.remove_files(name)
    ForecastNote(missing=why).keep(job.store)


def unavailable_reason(job: Job) -> str | None:
    """Why there can be no encoder here, None where there can."""
    depth = job.config.encoder.depth
    if depth == 0:
        return gettext_noop("encoder.depth is 0 in promolift.toml; 2 learns one")
    private = job.config.privacy.epsilon is not None
    if private and find_spec("opacus") is None:
        return (
            "an encoder under privacy.epsilon needs opacus, which counts what it tells of a customer; "
            "`pip install 'promolift[privacy]'` brings it"
        )
    lacking = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if lacking:
        return (
            f"an encoder (encoder.depth = {depth}) needs {' and '.join(lacking)}, not installed here; "
            "`pip install 'promolift[deep]'` or a plain `make demo` brings it; encoder.depth = 0 asks for none"
        )
    return None


@contextmanager
def limit_threads(job: Job) -> Iterator[None]:
    """One thread for a narrow network: sharing such small products costs more than it gains, most on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if job.config.encoder.depth <= SINGLE_THREAD_DEPTH else job.config.data.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def learn_and_forecast(job: Job) -> None:
    """The whole of it, on what is known at the plan's moment."""
    from promolift.extensions.encoder.network import forecast
    from promolift.extensions.encoder.network.purchase_histories import weekly_popularity
    from promolift.extensions.encoder.training_data import load_context, sampled_histories, synthetic_histories

    job.tell("encoder", 0.0, gettext_noop("purchases as visits"))
    scene = load_context(job)
    h = sampled_histories(job, scene)
    start, private = scene.day - VALIDATION_DAYS, job.config.privacy.epsilon is not None
    common = synthetic_histories(job, scene) if private else h  # of whom all is learned but what has a ledger
    require_customers(common, start)
    shared = weekly_popularity(common, scene.day)
    model = load_or_train_private(job, h, common, scene.day) if private else load_or_train(job, h, scene.day)
    job.tell("encoder", 0.75, gettext_noop("the order of next baskets"))
    order = NO_TREES if private else fit_basket_order(job, h, start)
    job.tell("encoder", 0.8, gettext_noop("checked on the last 8 weeks"))
    back = forecast.collect_backtest_window(model, order.trees, h, shared, start)
    checked = evaluate_forecast(job, h, model, back, order)
    if private:
        back = forecast.collect_backtest_window(model, "", common, shared, start)
    fitted = forecast.fit_calibration(back, checked.basket.weight)
    model = model.with_ranker(order.trees, checked.basket.weight, h, scene.day)
    job.tell("encoder", 0.9, gettext_noop("what every customer will do next"))
    expected_I = forecast_all(job, scene, ForecastModels(model, fitted, shared))
    save_item_forecasts(job, scene, h, model, expected_I)
    job.store.save_model(
        SHARED_MODEL, {"log_WI": shared.log_WI}, {"opened": shared.opened, "calibration": asdict(fitted)}
    )
    ForecastNote(checked=checked).keep(job.store)
    job.tell("encoder", 1.0, gettext_lazy("done"))


def require_customers(h: "Histories", start: float) -> None:
    """SupportError where too few customers were there before the window: better said before than after training."""
    known = int((np.diff(h.until(start).start_C) > 0).sum())
    if known < MIN_CUSTOMERS:
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "encoder: {known} customers with a purchase earlier than {validation_days} days before the "
                "plan; {min_customers} are needed",
                known=known,
                validation_days=VALIDATION_DAYS,
                min_customers=MIN_CUSTOMERS,
            ),
        )


def load_or_train(job: Job, h: "Histories", day: float) -> "LearnedEncoder":
    """The encoder of these histories and settings: kept from an earlier run, or trained, going on from a checkpoint."""
    from promolift.extensions.encoder.distributed_training import map_over_workers
    from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
    from promolift.extensions.encoder.network.training import Hooks, fit_encoder, map_in_process

    store, settings = job.store, encoder_settings(job)
    mark = training_digest(h, settings.model_dump_json() + repr(day)).encode()
    kept = store.load_files(ENCODER_MODEL)
    if kept.pop("made_from", None) == mark:
        job.tell(pgettext_noop("step", "encoder"), 0.8, gettext_lazy("nothing changed"))
        return LearnedEncoder.from_files(kept)
    part = store.load_files(CHECKPOINT_NAME)
    resume = part.get("state") if part.get("made_from") == mark else None
    with store.scratch() as scratch:
        hooks = Hooks(
            progress=epoch_reporter(job),
            checkpoint=lambda state: store.save_files(CHECKPOINT_NAME, {"made_from": mark, "state": state}),
            resume=resume,
            map_parts=partial(map_over_workers, partial(job.engine.map, store=job.store), scratch)
            if job.engine
            else map_in_process,
        )
        try:
            model = fit_encoder(h, day, settings, hooks)
        except InputError:  # a checkpoint of another version
            store.remove_files(CHECKPOINT_NAME)
            if resume is None:
                raise
            model = fit_encoder(h, day, settings, replace(hooks, resume=None))
    store.save_files(ENCODER_MODEL, {**model.to_files(), "made_from": mark})
    store.remove_files(CHECKPOINT_NAME)
    return model


def encoder_settings(job: Job) -> "EncoderSettings":
    """The encoder's settings as the shop states them."""
    from promolift.extensions.encoder.network.encoder import EncoderSettings

    names = ("depth", "epochs", "seed", "device", "memory_gb")
    return EncoderSettings(horizon_days=VALIDATION_DAYS, **{name: getattr(job.config.encoder, name) for name in names})


class StepNoise(NamedTuple):
    """How many steps a private training has, and the noise of each."""

    steps: int
    noise: float


def private_steps(job: Job) -> StepNoise:
    """What the budget allows."""
    from promolift.extensions.encoder.network.training import SAMPLE_RATE, private_step_count

    steps = private_step_count(job.config.encoder.epochs)
    return StepNoise(steps, require_budget(job).step_noise(SAMPLE_RATE, steps))


def load_or_train_private(job: Job, h: "Histories", made_up: "Histories", day: float) -> "LearnedEncoder":
    """The encoder whose every step on these customers is in the ledger: kept from an earlier run, or trained anew."""
    from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
    from promolift.extensions.encoder.network.training import SAMPLE_RATE, PrivateTraining, fit_private

    choice, store, budget, settings = job.config.encoder, job.store, require_budget(job), encoder_settings(job)
    about = load_shop_sums(store).customers
    more = f"{settings.model_dump_json()}{day!r}{budget!r}{about!r}"
    mark = training_digest(h, training_digest(made_up, more)).encode()
    kept = store.load_files(ENCODER_MODEL)
    if kept.pop("made_from", None) == mark:
        job.tell(pgettext_noop("step", "encoder"), 0.8, gettext_lazy("nothing changed"))
        return LearnedEncoder.from_files(kept)
    job.tell("encoder", 0.1, PRIVATE_TRAINING_NOTE)
    steps, noise = private_steps(job)
    spends = [Spend(purpose="encoder", at_ms=time_ns() // 1_000_000, noise=noise, rate=SAMPLE_RATE, steps=steps)]
    budget.check(PrivacyLedger.load_or_empty(store).spends, spends)
    how = PrivateTraining(steps, noise, min(about, choice.customers))
    model = fit_private(
        h, made_up, day, settings, how, lambda share: job.tell("encoder", 0.1 + 0.6 * share, PRIVATE_TRAINING_NOTE)
    )
    record_spends(job, spends)  # before anybody can see it
    store.save_files(ENCODER_MODEL, {**model.to_files(), "made_from": mark})
    return model


def epoch_reporter(job: Job) -> Callable[[Any], None]:
    """A line of the progress display per epoch: loss and NDCG@10 in training and on the window, side by side."""
    epochs = job.config.encoder.epochs
    job.tell("encoder", 0.1, gettext_lazy("training | last 8 weeks, never learned from"))

    def show(epoch: Any) -> None:
        loss = f"loss {epoch.train['total']:.3f} | {epoch.valid['total']:.3f}"
        ndcg = f"NDCG@10 {epoch.train_ndcg:.3f} | {epoch.valid_ndcg:.3f}"
        job.tell(
            gettext_lazy("epoch {number}", number=epoch.number + 1),
            1.0,
            f"{loss}  {ndcg}{'  best' if epoch.best else ''}",
        )
        job.tell(
            "encoder",
            0.1 + 0.7 * (epoch.number + 1) / epochs,
            gettext_lazy("training | last 8 weeks, never learned from"),
        )

    return show


def training_digest(h: "Histories", more: str) -> str:
    """A hash of all that training depends on."""
    parts = (h.start_C, h.day_V, h.spend_V, h.deal_V, h.channel_V, h.line_V, h.item_L, h.attribute_CA)
    seen = h.catalogue.vector_IV
    goods = (h.catalogue.category_I, h.catalogue.brand_I, h.catalogue.price_I, *(() if seen is None else (seen,)))
    found = sha256("\0".join((*h.customers, *h.catalogue.items, more)).encode())
    for array in (*parts, *goods):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def fit_basket_order(job: Job, h: "Histories", start: float) -> BasketTrees:
    """The trees that order next baskets beside the encoder, learned before the window.

    Kept from an earlier run where nothing changed. Where they did not pay, they are not learned again before the window
    has moved on or the log has grown.
    """
    from promolift.extensions.encoder.network.basket_ranker import fit_basket_trees

    earlier, mark = BasketTrees.load_or_none(job.store), job.store.load_files(ENCODER_MODEL)["made_from"]
    if earlier is not None:
        if is_still_valid(earlier.note, round(start * DAY_MS), VALIDATION_DAYS * DAY_MS, len(h.item_L)):
            return earlier._replace(trees="")
        if job.store.load_files(BASKET_MODEL)["made_from"] == mark:
            return BasketTrees(earlier.trees, None) if earlier.trees else earlier
    try:
        return BasketTrees(fit_basket_trees(h, start, job.config.encoder.seed), None)
    except SupportError as reason:
        judged = {"judged_ms": round(start * DAY_MS), "log_rows": len(h.item_L)}
        return BasketTrees("", ModelWeight(weight=0.0, why=str(reason), n=0, **judged))


def evaluate_forecast(
    job: Job, h: "Histories", model: "LearnedEncoder", back: "BacktestWindow", order: BasketTrees
) -> ForecastCheck:
    """How well the window was forecast, beside each customer's own habits; what the trees weigh, which is kept with
    them; the training's record.
    """
    from promolift.extensions.encoder.network.forecast import choose_tree_weight, cross_backtest

    names = [h.customers[c] for c in back.customer_A]
    found = cross_backtest(back, hash_units("halves", names) < 0.5)
    basket = order.note or choose_tree_weight(back, found, len(h.item_L))
    files = {"trees.txt": order.trees.encode(), "member.json": basket.model_dump_json().encode()}
    job.store.save_files(BASKET_MODEL, files | {"made_from": job.store.load_files(ENCODER_MODEL)["made_from"]})
    bins = experiments.calibration(found.bought_R, found.prob_R, groups=found.customer_R.tolist()).bins
    return ForecastCheck(
        epochs=tuple(
            EpochFigures(
                epoch=number,
                train_loss=row["train_total"],
                valid_loss=row["valid_total"],
                train_ndcg=row["train_ndcg"],
                valid_ndcg=row["valid_ndcg"],
            )
            for number, row in enumerate(model.record, start=1)
        ),
        ndcg=Ndcg(**mean_with_interval(found.gain_N), habit=float(found.habit_N.mean()), n=len(found.gain_N)),
        basket=basket,
        lead=FigureRange(**mean_with_interval(found.gain_N - found.habit_N)),
        reliability=Reliability.of(gettext_noop("an item in the next basket"), bins) if bins else None,
        stays_away=PredictedShare(predicted=float(found.churn_A.mean()), observed=float(found.gone_A.mean())),
    )


def mean_with_interval(value_N: np.ndarray) -> dict[str, float]:
    """The mean of a figure per customer, with its 95 % interval."""
    mean, half = float(value_N.mean()), Z95 * float(value_N.std(ddof=1)) / len(value_N) ** 0.5
    return {"value": mean, "low": mean - half, "high": mean + half}


def forecast_all(job: Job, scene: "ForecastContext", models: ForecastModels) -> np.ndarray:
    """Table `outlook`, shard by shard; returns in how many next baskets each item is expected."""
    expected_I = np.zeros(len(models.encoder.items))
    with job.store.sharded("outlook") as put:
        for expected in map_shards(job, forecast_shard, job.clean.shards, scene, models, put):
            for each_I in expected:
                expected_I += each_I
    return expected_I


def forecast_shard(
    job: Job, shard: int, scene: "ForecastContext", models: ForecastModels, put: TableDraft
) -> list[np.ndarray]:
    """A shard of the table written; the expected next baskets of each item, by batch of customers."""
    from promolift.extensions.encoder.network.forecast import forecast_rows, item_probs, item_vectors, position_vectors
    from promolift.extensions.encoder.network.learned_encoder import log_share
    from promolift.extensions.encoder.training_data import favourite_shelves, shard_histories

    model, fitted, shared = models
    vec_ID, h = item_vectors(model), shard_histories(job, scene, shard)
    visits_C, parts, expected = np.diff(h.start_C), [empty_forecast(2 * vec_ID.shape[1])], []
    everyone = np.arange(len(h.customers))
    with limit_threads(job):
        for said in model.forecast(h, shared, everyone, np.full(len(everyone), scene.day)):
            expected.append(item_probs(fitted, h, said).sum(axis=0))
            rows = forecast_rows(model, fitted, h, said, scene.sentence_format).with_columns(
                pl.Series("visits", visits_C[said.points.customer_P], dtype=pl.Int64),
                pl.Series(
                    "leans_to", favourite_shelves(scene, np.exp(log_share(said.logit_PI)), shared), dtype=pl.String
                ),
                pl.lit(round(scene.day * DAY_MS)).alias("asof_ms"),
            )
            parts.append(outlook_rows(rows, position_vectors(said, shared, vec_ID)))
    put(shard, job.store.connection.from_arrow(pl.concat(parts).to_arrow()))
    return expected


def empty_forecast(width: int) -> pl.DataFrame:
    """Table OUTLOOK with its embedding and no rows."""
    return OUTLOOK.empty().with_columns(embedding=pl.lit(None, pl.Array(pl.Float32, width)))


def _sentences(visits: int, said: list[str], leans_to: str | None) -> Iterator[str]:
    """Yield the sentences on a customer as `to_text` stores them."""
    if visits < FEW_VISITS:
        yield gettext_lazy(
            "Too few visits ({visits}): what follows is known from customers like this one.", visits=visits
        ).to_text()
    yield from said
    if leans_to is not None:
        yield gettext_lazy("Leans to {category} more than others do.", category=leans_to).to_text()


def outlook_rows(rows: pl.DataFrame, embedding_PE: np.ndarray) -> pl.DataFrame:
    """A batch as table OUTLOOK; of whom too few visits are known, that is said first."""
    few, none = pl.col("visits") < FEW_VISITS, pl.col("visits") == 0
    sentences = map(_sentences, *(rows[name].to_list() for name in ("visits", "sentences", "leans_to")))
    wide = rows.with_columns(
        *(
            pl.col(old).list.get(k, null_on_oob=True).alias(new.format(k + 1))
            for old, new in (("items", "next_{}"), ("item_probs", "next_{}_prob"))
            for k in range(3)
        ),
        pl.when(none)
        .then(pl.lit(BASIS_NO_VISITS))
        .when(few)
        .then(pl.lit(BASIS_SIMILAR_CUSTOMERS))
        .otherwise(pl.lit(BASIS_OWN_VISITS))
        .alias("basis"),
        pl.Series("sentences", ["\n".join(each) for each in sentences], pl.String),
    )
    table = OUTLOOK.conform(wide.select(name for name in wide.columns if name in OUTLOOK.schema))
    return table.with_columns(embedding_series(embedding_PE))


def embedding_series(rows_ND: np.ndarray) -> pl.Series:
    """Vectors as a column."""
    return pl.Series("embedding", rows_ND, dtype=pl.Array(pl.Float32, rows_ND.shape[1]))


def save_item_forecasts(
    job: Job, scene: "ForecastContext", h: "Histories", model: "LearnedEncoder", expected_I: np.ndarray
) -> None:
    """Table `outlook_items`: where each item stands, what is like it, in how many next baskets it is expected."""
    from promolift.extensions.encoder.network.forecast import item_vectors, nearest_customers

    vec_ID = item_vectors(model)
    bought_I = np.bincount(h.item_L, minlength=len(model.items))
    seen = "" if scene.items.vector_IV is None else ", words, pictures"
    some = scene.products.group_by("type").agg(
        pl.col("department", "shelf", "brand").drop_nulls().mode().min(), pl.col("price_cents").median()
    )
    compared = len(vec_ID) if len(vec_ID) <= MAX_COMPARED_ITEMS else 0
    near = [[model.items[i] for i in nearest_customers(vec_ID, row, 3)] for row in range(compared)] or [[]] * len(
        vec_ID
    )
    rows = pl.DataFrame(
        {
            "item": model.items,
            "name": [scene.sentence_format.name(item) for item in model.items],
            "visits": bought_I,
            "basis": np.where(bought_I > 0, "own purchases", f"never bought: category, brand{seen} and price"),
            "expected_baskets": expected_I,
            **{f"like_{k + 1}": [found[k] if len(found) > k else None for found in near] for k in range(3)},
        },
        schema_overrides={"name": pl.String, **{f"like_{k}": pl.String for k in (1, 2, 3)}},
    ).join(some, left_on="item", right_on="type", how="left", maintain_order="left")
    table = OUTLOOK_ITEMS.conform(rows.rename({"shelf": "category"}))
    job.store.save("outlook_items", table.with_columns(embedding_series(vec_ID)))
