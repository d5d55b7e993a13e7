"""Part of step 2: purchases in; a trained encoder, and what it expects of every customer and item, kept.

Customers are drawn by hash for the training and forecast shard by shard. Kept anew by every run: the tables `outlook`
and `outlook_items`, the note `outlook`, the model's files. None holds anybody who is not in the events or
the customers table, so whoever is erased there leaves them. torch is loaded here only where an encoder is asked for.
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
from promolift.core.customers.forecasts.model_weights import MemberNote, still_holds
from promolift.extensions.encoder.results import (
    BASKET,
    MODEL,
    SHARED,
    Checked,
    EpochFigures,
    FigureRange,
    ForecastNote,
    Ndcg,
    Ordered,
    Predicted,
)
from promolift.extensions.privacy.mechanisms.privacy_budget import Spend
from promolift.extensions.privacy.results import PrivacyLedger, known_sums, spend, stated
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95
from promolift.foundation.hashing import hash_units
from promolift.foundation.storage.local_store import TableDraft
from promolift.foundation.tables.schemas import OUTLOOK, OUTLOOK_ITEMS
from promolift.foundation.time.units import DAY_MS
from promolift.shop.results.predictions import Reliability
from promolift.shop.results.work_folder.run_context import Job, mapped, spread

if TYPE_CHECKING:
    from promolift.extensions.encoder.network.encoder import EncoderSettings
    from promolift.extensions.encoder.network.forecast import FittedForecast, LearnedEncoder, Lookback
    from promolift.extensions.encoder.network.purchase_histories import Histories, Popularity
    from promolift.extensions.encoder.training_data import Scene

TABLES = ("outlook", "outlook_items")
UNFINISHED = "encoder_unfinished"
WINDOW, LEAST, FEW = 56, 100, 3  # days of the window; customers needed before it; visits below which others speak
NARROW = 3  # depth up to which one thread is best
COMPARED = 5_000  # more items than this are not compared one by one
PRIVATE = "one customer's gradient at a time"
NO_TREES = Ordered("", MemberNote(weight=0.0, why="under privacy.epsilon nobody's baskets teach another's", n=0))
OWN, ALIKE, NONE = "own visits", "few visits: customers like this one", "no visit: what newcomers do"


class Models(NamedTuple):
    """The encoder, its calibration, and what is popular at each moment."""

    encoder: "LearnedEncoder"
    fitted: "FittedForecast"
    shared: "Popularity"


def run(job: Job) -> None:
    """Learn and forecast; where that cannot be, keep the reason, and nothing of an earlier run."""
    why = unable(job)
    if why is None:
        try:
            with few_threads(job):
                learn_and_forecast(job)
            return
        except SupportError as reason:
            why = str(reason)
    for name in TABLES:
        job.store.remove(name)
    for name in (MODEL, UNFINISHED, BASKET):
        job.store.remove_files(name)
    ForecastNote(missing=why).keep(job.store)


def unable(job: Job) -> str | None:
    """Why there can be no encoder here, None where there can."""
    depth = job.config.encoder.depth
    if depth == 0:
        return "encoder.depth is 0 in promolift.toml; 2 learns one"
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
def few_threads(job: Job) -> Iterator[None]:
    """One thread for a narrow network: sharing such small products costs more than it gains, most on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if job.config.encoder.depth <= NARROW else job.config.data.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def learn_and_forecast(job: Job) -> None:
    """The whole of it, on what is known at the plan's moment."""
    from promolift.extensions.encoder.network import forecast
    from promolift.extensions.encoder.network.purchase_histories import popularity
    from promolift.extensions.encoder.training_data import drawn, made_up, set_scene

    job.tell("encoder", 0.0, "purchases as visits")
    scene = set_scene(job)
    h = drawn(job, scene)
    start, private = scene.day - WINDOW, job.config.privacy.epsilon is not None
    common = made_up(job, scene) if private else h  # of whom all is learned but what has a ledger
    enough(common, start)
    shared = popularity(common, scene.day)
    model = learned_privately(job, h, common, scene.day) if private else learned(job, h, scene.day)
    job.tell("encoder", 0.75, "the order of next baskets")
    order = NO_TREES if private else ordered(job, h, start)
    job.tell("encoder", 0.8, "checked on the last 8 weeks")
    back = forecast.look_back(model, order.trees, h, shared, start)
    checked = check(job, h, model, back, order)
    if private:
        back = forecast.look_back(model, "", common, shared, start)
    fitted = forecast.calibrated(back, checked.basket.weight)
    model = model.looking(order.trees, checked.basket.weight, h, scene.day)
    job.tell("encoder", 0.9, "what every customer will do next")
    expected_I = forecast_all(job, scene, Models(model, fitted, shared))
    keep_items(job, scene, h, model, expected_I)
    job.store.save_model(SHARED, {"log_WI": shared.log_WI}, {"opened": shared.opened, "calibration": asdict(fitted)})
    ForecastNote(checked=checked).keep(job.store)
    job.tell("encoder", 1.0, "done")


def enough(h: "Histories", start: float) -> None:
    """SupportError where too few customers were there before the window: better said before than after training."""
    known = int((np.diff(h.until(start).start_C) > 0).sum())
    if known < LEAST:
        raise SupportError(
            "too_few_customers",
            f"encoder: {known} customers with a purchase earlier than {WINDOW} days before the plan; "
            f"{LEAST} are needed",
        )


def learned(job: Job, h: "Histories", day: float) -> "LearnedEncoder":
    """The encoder of these histories and settings: kept from an earlier run, or trained, going on from a checkpoint."""
    from promolift.extensions.encoder.distributed_training import by_workers
    from promolift.extensions.encoder.network.forecast import LearnedEncoder
    from promolift.extensions.encoder.network.training import Hooks, fit_encoder, here

    store, settings = job.store, settings_of(job)
    mark = digest(h, settings.model_dump_json() + repr(day)).encode()
    kept = store.load_files(MODEL)
    if kept.pop("made_from", None) == mark:
        job.tell("encoder", 0.8, "nothing changed")
        return LearnedEncoder.from_files(kept)
    part = store.load_files(UNFINISHED)
    resume = part.get("state") if part.get("made_from") == mark else None
    with store.scratch() as scratch:
        hooks = Hooks(
            progress=on_epoch(job),
            checkpoint=lambda state: store.save_files(UNFINISHED, {"made_from": mark, "state": state}),
            resume=resume,
            work=partial(by_workers, partial(spread, job, job.engine), scratch) if job.engine else here,
        )
        try:
            model = fit_encoder(h, day, settings, hooks)
        except InputError:  # a checkpoint of another version
            store.remove_files(UNFINISHED)
            if resume is None:
                raise
            model = fit_encoder(h, day, settings, replace(hooks, resume=None))
    store.save_files(MODEL, {**model.to_files(), "made_from": mark})
    store.remove_files(UNFINISHED)
    return model


def settings_of(job: Job) -> "EncoderSettings":
    """The encoder's settings as the shop states them."""
    from promolift.extensions.encoder.network.encoder import EncoderSettings

    names = ("depth", "epochs", "seed", "device", "memory_gb")
    return EncoderSettings(horizon_days=WINDOW, **{name: getattr(job.config.encoder, name) for name in names})


class StepNoise(NamedTuple):
    """How many steps a private training has, and the noise of each."""

    steps: int
    noise: float


def private_steps(job: Job) -> StepNoise:
    """What the budget allows."""
    from promolift.extensions.encoder.network.training import RATE, steps_of

    steps = steps_of(job.config.encoder.epochs)
    return StepNoise(steps, stated(job).step_noise(RATE, steps))


def learned_privately(job: Job, h: "Histories", made_up: "Histories", day: float) -> "LearnedEncoder":
    """The encoder whose every step on these customers is in the ledger: kept from an earlier run, or trained anew."""
    from promolift.extensions.encoder.network.forecast import LearnedEncoder
    from promolift.extensions.encoder.network.training import RATE, PrivateSteps, fit_private

    choice, store, budget, settings = job.config.encoder, job.store, stated(job), settings_of(job)
    about = known_sums(store).customers
    more = f"{settings.model_dump_json()}{day!r}{budget!r}{about!r}"
    mark = digest(h, digest(made_up, more)).encode()
    kept = store.load_files(MODEL)
    if kept.pop("made_from", None) == mark:
        job.tell("encoder", 0.8, "nothing changed")
        return LearnedEncoder.from_files(kept)
    job.tell("encoder", 0.1, PRIVATE)
    steps, noise = private_steps(job)
    spends = [Spend(purpose="encoder", at_ms=time_ns() // 1_000_000, noise=noise, rate=RATE, steps=steps)]
    budget.check(PrivacyLedger.kept(store).spends, spends)
    how = PrivateSteps(steps, noise, min(about, choice.customers))
    model = fit_private(h, made_up, day, settings, how, lambda share: job.tell("encoder", 0.1 + 0.6 * share, PRIVATE))
    spend(job, spends)  # before anybody can see it
    store.save_files(MODEL, {**model.to_files(), "made_from": mark})
    return model


def on_epoch(job: Job) -> Callable[[Any], None]:
    """A line of the progress display per epoch: loss and NDCG@10 in training and on the window, side by side."""
    epochs = job.config.encoder.epochs
    job.tell("encoder", 0.1, "training | last 8 weeks, never learned from")

    def show(epoch: Any) -> None:
        loss = f"loss {epoch.train['total']:.3f} | {epoch.valid['total']:.3f}"
        ndcg = f"NDCG@10 {epoch.train_ndcg:.3f} | {epoch.valid_ndcg:.3f}"
        job.tell(f"epoch {epoch.number + 1}", 1.0, f"{loss}  {ndcg}{'  best' if epoch.best else ''}")
        job.tell("encoder", 0.1 + 0.7 * (epoch.number + 1) / epochs, "training | last 8 weeks, never learned from")

    return show


def digest(h: "Histories", more: str) -> str:
    """A hash of all that training depends on."""
    parts = (h.start_C, h.day_V, h.spend_V, h.deal_V, h.channel_V, h.line_V, h.item_L, h.attribute_CA)
    seen = h.catalogue.vector_IV
    goods = (h.catalogue.category_I, h.catalogue.brand_I, h.catalogue.price_I, *(() if seen is None else (seen,)))
    found = sha256("\0".join((*h.customers, *h.catalogue.items, more)).encode())
    for array in (*parts, *goods):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def ordered(job: Job, h: "Histories", start: float) -> Ordered:
    """The trees that order next baskets beside the encoder, learned before the window.

    Kept from an earlier run where nothing changed. Where they did not pay, they are not learned again before the window
    has moved on or the log has grown.
    """
    from promolift.extensions.encoder.network.basket_ranker import fit_basket

    earlier, mark = Ordered.kept(job.store), job.store.load_files(MODEL)["made_from"]
    if earlier is not None:
        if still_holds(earlier.note, round(start * DAY_MS), WINDOW * DAY_MS, len(h.item_L)):
            return earlier._replace(trees="")
        if job.store.load_files(BASKET)["made_from"] == mark:
            return Ordered(earlier.trees, None) if earlier.trees else earlier
    try:
        return Ordered(fit_basket(h, start, job.config.encoder.seed), None)
    except SupportError as reason:
        judged = {"judged_ms": round(start * DAY_MS), "log_rows": len(h.item_L)}
        return Ordered("", MemberNote(weight=0.0, why=str(reason), n=0, **judged))


def check(job: Job, h: "Histories", model: "LearnedEncoder", back: "Lookback", order: Ordered) -> Checked:
    """How well the window was forecast, beside each customer's own habits; what the trees weigh, which is kept with
    them; the training's record.
    """
    from promolift.extensions.encoder.network.forecast import crossed, weighed

    names = [h.customers[c] for c in back.customer_A]
    found = crossed(back, hash_units("halves", names) < 0.5)
    basket = order.note or weighed(back, found, len(h.item_L))
    files = {"trees.txt": order.trees.encode(), "member.json": basket.model_dump_json().encode()}
    job.store.save_files(BASKET, files | {"made_from": job.store.load_files(MODEL)["made_from"]})
    bins = experiments.calibration(found.bought_R, found.prob_R, groups=found.customer_R.tolist()).bins
    return Checked(
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
        ndcg=Ndcg(**ranged(found.gain_N), habit=float(found.habit_N.mean()), n=len(found.gain_N)),
        basket=basket,
        lead=FigureRange(**ranged(found.gain_N - found.habit_N)),
        reliability=Reliability.of("an item in the next basket", bins) if bins else None,
        stays_away=Predicted(predicted=float(found.churn_A.mean()), observed=float(found.gone_A.mean())),
    )


def ranged(value_N: np.ndarray) -> dict[str, float]:
    """The mean of a figure per customer, with its 95 % interval."""
    mean, half = float(value_N.mean()), Z95 * float(value_N.std(ddof=1)) / len(value_N) ** 0.5
    return {"value": mean, "low": mean - half, "high": mean + half}


def forecast_all(job: Job, scene: "Scene", models: Models) -> np.ndarray:
    """Table `outlook`, shard by shard; returns in how many next baskets each item is expected."""
    expected_I = np.zeros(len(models.encoder.items))
    with job.store.sharded("outlook") as put:
        for expected in mapped(job, forecast_shard, job.clean.shards, scene, models, put):
            for each_I in expected:
                expected_I += each_I
    return expected_I


def forecast_shard(job: Job, shard: int, scene: "Scene", models: Models, put: TableDraft) -> list[np.ndarray]:
    """A shard of the table written; the expected next baskets of each item, by batch of customers."""
    from promolift.extensions.encoder.network.forecast import item_probs, item_vectors, log_share, standing, tell
    from promolift.extensions.encoder.training_data import leanings, of_shard

    model, fitted, shared = models
    vec_ID, h = item_vectors(model), of_shard(job, scene, shard)
    visits_C, parts, expected = np.diff(h.start_C), [empty(2 * vec_ID.shape[1])], []
    everyone = np.arange(len(h.customers))
    with few_threads(job):
        for said in model.forecast(h, shared, everyone, np.full(len(everyone), scene.day)):
            expected.append(item_probs(fitted, h, said).sum(axis=0))
            rows = tell(model, fitted, h, said, scene.voice).with_columns(
                pl.Series("visits", visits_C[said.points.customer_P], dtype=pl.Int64),
                pl.Series("leans_to", leanings(scene, np.exp(log_share(said.logit_PI)), shared), dtype=pl.String),
                pl.lit(round(scene.day * DAY_MS)).alias("asof_ms"),
            )
            parts.append(outlook_rows(rows, standing(said, shared, vec_ID)))
    put(shard, job.store.connection.from_arrow(pl.concat(parts).to_arrow()))
    return expected


def empty(width: int) -> pl.DataFrame:
    """Table OUTLOOK with its embedding and no rows."""
    return OUTLOOK.empty().with_columns(embedding=pl.lit(None, pl.Array(pl.Float32, width)))


def outlook_rows(rows: pl.DataFrame, embedding_PE: np.ndarray) -> pl.DataFrame:
    """A batch as table OUTLOOK; of whom too few visits are known, that is said first."""
    few, none = pl.col("visits") < FEW, pl.col("visits") == 0
    warned = pl.format("Too few visits ({}): what follows is known from customers like this one.", "visits")
    leans = pl.format("Leans to {} more than others do.", "leans_to")
    said = pl.concat_list(
        pl.when(few).then(warned).otherwise(pl.lit(None)), pl.col("sentences").list.join("\n"), leans
    ).list.drop_nulls()
    wide = rows.with_columns(
        *(
            pl.col(old).list.get(k, null_on_oob=True).alias(new.format(k + 1))
            for old, new in (("items", "next_{}"), ("item_probs", "next_{}_prob"))
            for k in range(3)
        ),
        pl.when(none).then(pl.lit(NONE)).when(few).then(pl.lit(ALIKE)).otherwise(pl.lit(OWN)).alias("basis"),
        said.list.join("\n").alias("sentences"),
    )
    table = OUTLOOK.conform(wide.select(name for name in wide.columns if name in OUTLOOK.schema))
    return table.with_columns(embedded(embedding_PE))


def embedded(rows_ND: np.ndarray) -> pl.Series:
    """Vectors as a column."""
    return pl.Series("embedding", rows_ND, dtype=pl.Array(pl.Float32, rows_ND.shape[1]))


def keep_items(job: Job, scene: "Scene", h: "Histories", model: "LearnedEncoder", expected_I: np.ndarray) -> None:
    """Table `outlook_items`: where each item stands, what is like it, in how many next baskets it is expected."""
    from promolift.extensions.encoder.network.forecast import item_vectors, nearest

    vec_ID = item_vectors(model)
    bought_I = np.bincount(h.item_L, minlength=len(model.items))
    seen = "" if scene.items.vector_IV is None else ", words, pictures"
    some = scene.goods.group_by("type").agg(
        pl.col("department", "shelf", "brand").drop_nulls().mode().min(), pl.col("price_cents").median()
    )
    compared = len(vec_ID) if len(vec_ID) <= COMPARED else 0
    near = [[model.items[i] for i in nearest(vec_ID, row, 3)] for row in range(compared)] or [[]] * len(vec_ID)
    rows = pl.DataFrame(
        {
            "item": model.items,
            "name": [scene.voice.name(item) for item in model.items],
            "visits": bought_I,
            "basis": np.where(bought_I > 0, "own purchases", f"never bought: category, brand{seen} and price"),
            "expected_baskets": expected_I,
            **{f"like_{k + 1}": [found[k] if len(found) > k else None for found in near] for k in range(3)},
        },
        schema_overrides={"name": pl.String, **{f"like_{k}": pl.String for k in (1, 2, 3)}},
    ).join(some, left_on="item", right_on="type", how="left", maintain_order="left")
    table = OUTLOOK_ITEMS.conform(rows.rename({"shelf": "category"}))
    job.store.save("outlook_items", table.with_columns(embedded(vec_ID)))
