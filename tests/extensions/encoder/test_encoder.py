"""The encoder: blind to the future, indifferent to the company of a batch, deterministic, resumable, and it learns."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from encoder_shop import FIRST, SHELF, items, lines, shop, small, words
from error_checks import raises_code

from promolift.foundation.errors import SupportError
from promolift.foundation.executors.processes import LocalProcesses

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from promolift.extensions.encoder.distributed_training import map_over_workers
from promolift.extensions.encoder.network import training
from promolift.extensions.encoder.network.encoder import (
    Encoder,
    EncoderSettings,
    ModelSizes,
    TransformerBlock,
    build_batch,
    build_targets,
    history_points,
)
from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
from promolift.extensions.encoder.network.purchase_histories import (
    CUSTOMER_COUNTERS,
    ITEM_COUNTERS,
    RATE_FEATURES,
    build_histories,
    fit_ease,
    purchase_incidence,
    weekly_popularity,
)
from promolift.extensions.encoder.network.training import Epoch, Hooks, fit_encoder, part_gradient
from promolift.extensions.encoder.pipeline_step import training_digest
from promolift.extensions.encoder.training_data import with_vectors
from promolift.foundation.storage.table_writing import Scratch

END = FIRST + 168.0
FAST = EncoderSettings(
    depth=2, epochs=3, points=6, batch=16, keep=12, max_visits=32, horizon_days=28, learning_rate=5e-3
)


@cache
def trained() -> tuple[LearnedEncoder, tuple[Epoch, ...]]:
    seen: list[Epoch] = []
    return fit_encoder(shop(), END, FAST, Hooks(progress=seen.append)), tuple(seen)


SIZES = ModelSizes(24, 4, 0, 0, 1, len(ITEM_COUNTERS) + len(RATE_FEATURES), len(CUSTOMER_COUNTERS))


def blank(sizes: ModelSizes = SIZES) -> Encoder:
    """An untrained model whose weights are all at work."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Encoder(sizes, FAST)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return model.eval()


def states(model: Encoder, h, customers, days) -> np.ndarray:
    batch = build_batch(h, history_points(h, np.array(customers), np.array(days)), weekly_popularity(h, END), 12, 32)
    with torch.no_grad():
        table_ID = model.table()
        state_PD = model.states(batch, table_ID)
        return torch.cat([state_PD, model.logits(state_PD, table_ID, batch)], dim=1).numpy()


def test_later_visits_never_change_an_earlier_state():
    h, day = shop(6), FIRST + 80.0
    alone = states(blank(), h.until(day), [2, 4], [day, day])
    # asked together with later moments, the same sequences hold visits after `day`
    together = states(blank(), h, [2, 4, 2, 4], [day, day, END, END])
    prior = states(blank(), h, [2, 4], [day, day])
    assert together[:2] == pytest.approx(prior, abs=1e-5)
    assert alone[:, :32] == pytest.approx(prior[:, :32], abs=1e-5)
    assert np.abs(together[2:] - together[:2]).max() > 1e-2


def test_a_state_does_not_depend_on_who_else_is_in_the_batch():
    h = shop(8)
    whole = states(blank(), h, list(range(8)), [END] * 8)
    for c in (0, 5):
        assert states(blank(), h, [c], [END])[0] == pytest.approx(whole[c], abs=1e-4)


def test_a_state_knows_how_long_ago_the_last_visit_was():
    h = shop(3)
    soon, late = states(blank(), h, [1, 1], [END, END + 40])
    assert np.abs(soon - late)[:32].max() > 1e-2


def test_targets_are_the_next_visit_and_what_lies_beyond_the_window_is_unknown():
    h = shop(4)
    day = END - 40.0
    points = history_points(h, np.array([0, 0]), np.array([day, END - 1e-6]))
    batch = build_batch(h, points, weekly_popularity(h, END), 12, 32)
    target = build_targets(h, points, batch, END)
    visit = int(points.visit_P[0])
    assert target.item_Y[target.point_Y == 0].tolist() == h.items_of(visit).tolist()
    assert target.open_P.tolist() == [False, True]  # the second moment is the end: nobody can have come
    inside = (h.day_V >= day) & (h.day_V < day + 28) & (np.arange(len(h.day_V)) < h.start_C[1])
    assert float(target.spend_PK[0, 0]) == pytest.approx(float(h.spend_V[inside].sum()))
    assert int(target.orders_PK[0, 0]) == inside.sum()
    assert torch.isnan(target.spend_PK[0, 1:]).all()  # 56 and 84 days reach beyond what is known
    assert batch.personal_PG.shape == (2, len(CUSTOMER_COUNTERS))


def test_older_visits_count_less_by_the_time_that_has_passed():
    block = TransformerBlock(FAST)
    D = FAST.width
    with torch.no_grad():  # attention is led by time alone and hands on what it sees; the second layer is silent
        block.qkv.weight.copy_(torch.cat([torch.zeros(2 * D, D), torch.eye(D)]))
        block.out.weight.copy_(torch.eye(D))
        x = torch.eye(D)[None, :3] * 1.0
        days = torch.tensor([0.0, 30.0, 90.0])
        lag = torch.log1p((days[:, None] - days[None]).clamp(min=0))[None]
        seen = block.eval()(x, lag, torch.full((3, 3), -math.inf).triu(1)) - x
    first_head = seen[0, 2, :3] / block.norm_1(x)[0, range(3), range(3)]
    assert first_head[2] > first_head[1] > first_head[0] > 0
    # head 0 forgets as 1 / (1 + days)
    assert first_head.tolist() == pytest.approx(
        (np.array([1 / 91, 1 / 61, 1]) / (1 / 91 + 1 / 61 + 1)).tolist(), rel=1e-4
    )


def test_a_missing_attribute_is_neither_zero_nor_the_mean():
    table = pl.DataFrame({"customer_id": ["c000", "c001", "c002"], "age": [0.0, 40.0, 80.0]})
    h = build_histories(lines(6), items(), table)
    model = blank(replace(SIZES, attributes=1))
    model.get_buffer("attribute_mean").fill_(40.0)
    model.get_buffer("attribute_sd").fill_(30.0)

    def state(age: float) -> np.ndarray:
        told = replace(h, attribute_CA=np.full((6, 1), age, np.float32))
        return states(model, told, [0], [FIRST - 1.0])[0]  # before his first visit attributes are all there is

    missing, zero, mean = state(float("nan")), state(0.0), state(40.0)
    assert np.isnan(h.attribute_CA[3:]).all()
    assert np.isfinite(missing).all()
    assert np.abs(missing - mean).max() > 1e-2
    assert np.abs(missing - zero).max() > 1e-2
    told = replace(h, attribute_CA=np.full((6, 1), np.nan, np.float32))
    model.get_buffer("attribute_mean").fill_(70.0)  # a mean says nothing of an age that nobody knows
    assert states(model, told, [0], [FIRST - 1.0])[0] == pytest.approx(missing, abs=1e-5)


def test_what_happens_in_the_validation_window_changes_no_weight():
    one, h = FAST.model_copy(update={"epochs": 1}), shop()
    late_V = h.day_V >= END - FAST.horizon_days
    late_L = np.repeat(late_V, np.diff(h.line_V))
    turned = replace(
        h,
        item_L=np.where(late_L, (h.item_L + 7) % 24, h.item_L),
        spend_V=np.where(late_V, 9 * h.spend_V, h.spend_V),
        deal_V=np.where(late_V, 1 - h.deal_V, h.deal_V),
        day_V=np.where(late_V, h.day_V - 0.3 * (h.day_V - END + FAST.horizon_days), h.day_V),
    )
    base, other = fit_encoder(h, END, one), fit_encoder(turned, END, one)
    assert base.record[0]["valid_items"] != other.record[0]["valid_items"]
    assert base.to_files()["weights.safetensors"] == other.to_files()["weights.safetensors"]


def test_it_learns_habits_and_reports_every_epoch():
    model, seen = trained()
    assert [epoch.number for epoch in seen] == list(range(len(model.record)))
    assert seen[-1].train["items"] < seen[0].train["items"]
    assert max(epoch.valid_ndcg for epoch in seen) > 0.6  # popularity alone reaches about 0.25
    assert {"total", "items", "later", "money", "orders", "deal"} == set(seen[0].valid)


def test_the_same_seed_gives_the_same_model_and_another_does_not():
    model, _ = trained()
    torch.manual_seed(99)  # a stranger's random state must not matter
    again = fit_encoder(build_histories(lines().reverse(), items()), END, FAST)
    assert again.to_files() == model.to_files()
    other = fit_encoder(shop(), END, FAST.model_copy(update={"seed": 2, "epochs": 1}))
    assert other.to_files()["weights.safetensors"] != model.to_files()["weights.safetensors"]


def test_every_epoch_and_seed_draws_moments_of_its_own(monkeypatch):
    seen: list[int] = []
    draw = training.draw_points

    def spy(job, customers, seed):
        seen.append(seed)
        return draw(job, customers, seed)

    monkeypatch.setattr(training, "draw_points", spy)
    for seed in (1, 2):
        fit_encoder(shop(), END, FAST.model_copy(update={"epochs": 2, "batch": 90, "seed": seed}))
    assert len(seen) == 6  # once for the scales and once an epoch
    assert len(set(seen)) == 6


def test_a_resumed_training_ends_where_an_uninterrupted_one_does():
    model, _ = trained()
    states: list[bytes] = []
    fit_encoder(shop(), END, FAST, Hooks(checkpoint=states.append))
    resumed = fit_encoder(shop(), END, FAST, Hooks(resume=states[0]))
    assert resumed.to_files() == model.to_files()
    with raises_code("checkpoint_mismatch"):
        fit_encoder(shop(), END, FAST.model_copy(update={"depth": 1}), Hooks(resume=states[0]))


def test_saved_files_predict_the_same_without_the_training_code():
    model, _ = trained()
    h, shared = shop(), weekly_popularity(shop(), END)
    again = LearnedEncoder.from_files(model.to_files())
    for a, b in zip(
        model.forecast(h, shared, np.arange(9), END, 4), again.forecast(h, shared, np.arange(9), END, 9), strict=False
    ):
        assert a.logit_PI == pytest.approx(b.logit_PI[:4], abs=1e-4)
        break
    code = (
        "import sys, promolift.extensions.encoder.network.forecast; "
        "print('promolift.extensions.encoder.network.training' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_batches_stream_and_probabilities_are_probabilities():
    model, _ = trained()
    h = shop()
    parts = list(model.forecast(h, weekly_popularity(h, END), np.arange(90), END, 40))
    assert [len(part.state_PD) for part in parts] == [40, 40, 10]
    assert parts[0].later_PK.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    for part in parts:
        assert (part.spend_PK >= 0).all()
        assert (part.orders_PK >= 0).all()
        assert ((part.churn_P >= 0) & (part.churn_P <= 1)).all()


def damaged() -> dict[str, dict[str, bytes]]:
    """A model's files, each time broken in another way."""
    files = trained()[0].to_files()
    manifest, weights = json.loads(files["manifest.json"]), safetensors.load(files["weights.safetensors"])
    slim = {k: v[:-1].contiguous() if k == "tower.own.weight" else v for k, v in weights.items()}
    few = {k: v for k, v in weights.items() if k != "deal.bias"}

    def told(**changed: object) -> dict[str, bytes]:
        return files | {"manifest.json": json.dumps(manifest | changed).encode()}

    return {
        "no weights": {"manifest.json": files["manifest.json"]},
        "no manifest": {"weights.safetensors": files["weights.safetensors"]},
        "weights cut off": files | {"weights.safetensors": files["weights.safetensors"][:100]},
        "weights cut in the middle": files | {"weights.safetensors": files["weights.safetensors"][:-5]},
        "weights of no bytes": files | {"weights.safetensors": b""},
        "a tensor of another shape": files | {"weights.safetensors": safetensors.save(slim)},
        "a tensor missing": files | {"weights.safetensors": safetensors.save(few)},
        "manifest cut off": files | {"manifest.json": files["manifest.json"][:200]},
        "manifest not text": files | {"manifest.json": b"\xff\xfe\x00"},
        "manifest a list": files | {"manifest.json": b"[]"},
        "a size missing": told(sizes={k: v for k, v in manifest["sizes"].items() if k != "brands"}),
        "a size unknown": told(sizes=manifest["sizes"] | {"galaxies": 1}),
        "sizes a number": told(sizes=3),
        "items missing": told(items=manifest["items"][:-1]),
        "settings of another depth": told(settings=manifest["settings"] | {"depth": 3}),
    }


def test_damaged_files_are_refused_in_plain_words():
    for files in damaged().values():
        with raises_code("model_invalid", "encoder"):
            LearnedEncoder.from_files(files)


def test_settings_of_another_version_and_foreign_catalogues_are_refused():
    model, _ = trained()
    files = model.to_files()
    old = json.loads(files["manifest.json"])
    with raises_code("setting_unknown", "manifest.json", "'depht'", "'depth'"):
        LearnedEncoder.from_files(files | {"manifest.json": json.dumps(old | {"settings": {"depht": 2}}).encode()})
    with raises_code("result_outdated", "catalogue"):
        next(model.forecast(shop(extra=1), weekly_popularity(shop(extra=1), END), np.arange(2), END))


def test_too_little_history_is_an_error_and_a_wrong_key_names_the_nearest():
    with raises_code("too_few_rows", "28 days", "200"):
        fit_encoder(shop(4), END, FAST)
    with raises_code("setting_unknown", "promolift.toml", "'depht'", "'depth'"):
        EncoderSettings.parse({"depht": 2}, "promolift.toml")


def test_a_product_never_bought_and_a_customer_never_seen_get_finite_answers():
    h = build_histories(lines(), items(extra=2), customers=["zoe"])
    model = fit_encoder(h, END, FAST.model_copy(update={"epochs": 1}))
    said = next(model.forecast(h, weekly_popularity(h, END), np.array([90]), END))
    assert h.customers[90] == "zoe"
    assert np.isfinite(said.logit_PI).all()
    assert np.isfinite(said.spend_PK).all()
    vectors = model.model.table()
    assert float(vectors[-1].norm()) > 0
    assert not model.model.known_I[-2:].any()


def test_a_product_never_bought_stands_where_what_is_like_it_stands():
    model = fit_encoder(shop(extra=4, vectors=True), END, FAST.model_copy(update={"epochs": 1})).model
    assert not model.known_I[-4:].any()
    for table in (model.set_in, model.set_out, model.bias):
        assert table.weight[24:].numpy() == pytest.approx(table.weight[:4].numpy(), abs=0.02)
    assert float(model.sense.weight.abs().max()) > 1e-3  # and what is said of all is read
    assert float(model.sense_IV.std()) == pytest.approx(1, abs=0.01)


def test_a_catalogue_without_words_and_pictures_gives_the_same_model_to_the_bit():
    model, _ = trained()
    none = words().with_columns(pl.Series("vector", np.zeros((24, 8), np.float32), dtype=pl.Array(pl.Float32, 8)))
    for vectors in (none, words().clear()):
        h = build_histories(lines(), with_vectors(items(), vectors))
        assert training_digest(h, "") == training_digest(shop(), "") != training_digest(shop(vectors=True), "")
    files = fit_encoder(h, END, FAST).to_files()
    assert files == model.to_files()
    assert "directions" not in json.loads(files["manifest.json"])["sizes"]


def test_ease_finds_what_goes_together_and_never_uses_the_item_itself():
    pairs = [
        (f"c{k}", "1", 100.0 + k / 100, item, 1, False)
        for k in range(40)
        for item in (("bread", "milk") if k % 2 else ("soap",))
    ]
    bought_CI = purchase_incidence(build_histories(small(pairs), SHELF))
    ease = fit_ease(bought_CI, l2=1.0)
    assert np.diag(ease.weight_JJ).tolist() == [0, 0, 0]
    milk, bread, soap = (SHELF.row_by_item[name] for name in ("milk", "bread", "soap"))
    assert ease.weight_JJ[milk, bread] == pytest.approx(20 / 21, rel=1e-3)  # a ridge of 20 against 20 + 1
    assert abs(ease.weight_JJ[milk, soap]) < 1e-6
    left, right = ease.factors(3, 0)
    assert left @ right.T == pytest.approx(ease.weight_JJ, abs=1e-4)
    with raises_code("too_few_customers", "50", kind=SupportError):
        fit_ease(bought_CI, min_buyers=50)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_it_learns_as_it_does_on_a_cpu():
    one = FAST.model_copy(update={"epochs": 1, "drop": 0.0, "id_drop": 0.0})
    slow, fast = (fit_encoder(shop(), END, one.model_copy(update={"device": name})) for name in ("cpu", "cuda"))
    assert fast.record[0]["train_items"] == pytest.approx(slow.record[0]["train_items"], rel=1e-2)


def test_a_gpu_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with raises_code("gpu_missing", "'cuda'", "'cpu'"):
        fit_encoder(shop(), END, FAST.model_copy(update={"device": "cuda"}))


def dies_once(folder: Path, *asked: Any) -> Any:
    """What a part teaches; the worker that comes to the first one is killed."""
    if not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return part_gradient(*asked)


@pytest.mark.slow
@pytest.mark.parametrize("vectors", [pytest.param(False, marks=pytest.mark.slow), True])
def test_workers_learn_to_the_bit_what_one_process_does_though_one_is_killed(tmp_path, monkeypatch, vectors):
    h = shop(extra=2, vectors=vectors)
    model = fit_encoder(h, END, FAST)
    monkeypatch.setattr(training, "part_gradient", partial(dies_once, tmp_path))
    with LocalProcesses(2) as engine:
        found = fit_encoder(h, END, FAST, Hooks(map_parts=partial(map_over_workers, engine.map, Scratch(tmp_path))))
    assert (tmp_path / "killed").exists()
    assert found.record == model.record
    assert found.to_files() == model.to_files()
