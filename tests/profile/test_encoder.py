"""The encoder: blind to the future, indifferent to the company of a batch, deterministic, resumable, and it learns."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from encoder_shop import FIRST, items, lines, shop

from promolift.errors import ConfigError, InputError, SupportError

torch = pytest.importorskip("torch")

from promolift.profile.counters import COUNTERS, PERSONAL, RATES  # noqa: E402
from promolift.profile.encoder import Encoder, EncoderSettings, Sizes, loss  # noqa: E402
from promolift.profile.encoder_batch import batch_of, draw_items, points_at, targets_of  # noqa: E402
from promolift.profile.encoder_data import histories, popularity  # noqa: E402
from promolift.profile.encoder_model import LearnedEncoder  # noqa: E402
from promolift.profile.encoder_train import Epoch, Hooks, fit_encoder  # noqa: E402

END = FIRST + 168.0
FAST = EncoderSettings(
    depth=2, epochs=3, points=6, batch=16, keep=12, max_visits=32, horizon_days=28, learning_rate=5e-3
)


@cache
def trained() -> tuple[LearnedEncoder, tuple[Epoch, ...]]:
    seen: list[Epoch] = []
    return fit_encoder(shop(), END, FAST, Hooks(progress=seen.append)), tuple(seen)


def blank(items_: int = 24, full: int = 20_000) -> Encoder:
    """An untrained model whose weights are all at work."""
    sizes = Sizes(items_, 4, 0, 0, 0, 1, len(COUNTERS) + len(RATES), len(PERSONAL))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Encoder(sizes, FAST.model_copy(update={"full_softmax": full}))
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return model.eval()


def states(model: Encoder, h, customers, days) -> np.ndarray:
    batch, _ = batch_of(h, points_at(h, np.array(customers), np.array(days)), popularity(h, END), 12, 32)
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


def test_drawing_every_item_gives_the_full_softmax():
    h = shop(12)
    points = points_at(h, np.arange(12), np.full(12, END - 40))
    shared = popularity(h, END)
    batch, counts = batch_of(h, points, shared, 12, 32)
    full = targets_of(h, points, counts, END, draw_items(shared, 24, np.random.default_rng(0)))
    some = targets_of(h, points, counts, END, draw_items(shared, 10, np.random.default_rng(0)))
    with torch.no_grad():
        exact = float(loss(blank(), batch, full)["items"])
        assert float(loss(blank(full=1), batch, full)["items"]) == pytest.approx(exact, rel=1e-5)
        # half of the items drawn, corrected for their chance: near, and on average over draws nearer
        drawn = [
            targets_of(h, points, counts, END, draw_items(shared, 10, np.random.default_rng(k))) for k in range(40)
        ]
        found = [float(loss(blank(full=1), batch, target)["items"]) for target in drawn]
    assert len(some.drawn_N) == 10
    assert np.mean(found) == pytest.approx(exact, rel=0.02)


def test_targets_are_the_next_visit_and_what_lies_beyond_the_window_is_unknown():
    h = shop(4)
    day = END - 40.0
    points = points_at(h, np.array([0, 0]), np.array([day, END - 1e-6]))
    batch, counts = batch_of(h, points, popularity(h, END), 12, 32)
    target = targets_of(h, points, counts, END, draw_items(popularity(h, END), 24, np.random.default_rng(0)))
    visit = int(points.visit_P[0])
    assert target.item_Y[target.point_Y == 0].tolist() == h.items_of(visit).tolist()
    assert target.open_P.tolist() == [False, True]  # the second moment is the end: nobody can have come
    inside = (h.day_V >= day) & (h.day_V < day + 28) & (np.arange(len(h.day_V)) < h.start_C[1])
    assert float(target.spend_PK[0, 0]) == pytest.approx(float(h.spend_V[inside].sum()))
    assert int(target.orders_PK[0, 0]) == inside.sum()
    assert torch.isnan(target.spend_PK[0, 1:]).all()  # 56 and 84 days reach beyond what is known
    assert batch.personal_PG.shape == (2, len(PERSONAL))


def test_it_learns_habits_and_reports_every_epoch():
    model, seen = trained()
    assert [epoch.number for epoch in seen] == list(range(len(model.record)))
    assert seen[-1].train["items"] < seen[0].train["items"]
    assert max(epoch.valid_ndcg for epoch in seen) > 0.6  # popularity alone reaches about 0.25
    assert {"total", "items", "later", "money", "orders", "deal"} == set(seen[0].valid)


def test_the_same_seed_gives_the_same_model_and_another_does_not():
    model, _ = trained()
    torch.manual_seed(99)  # a stranger's random state must not matter
    again = fit_encoder(histories(lines().reverse(), items()), END, FAST)
    assert again.to_files() == model.to_files()
    other = fit_encoder(shop(), END, FAST.model_copy(update={"seed": 2, "epochs": 1}))
    assert other.to_files()["weights.safetensors"] != model.to_files()["weights.safetensors"]


def test_a_resumed_training_ends_where_an_uninterrupted_one_does():
    model, _ = trained()
    states: list[bytes] = []
    fit_encoder(shop(), END, FAST, Hooks(checkpoint=states.append))
    resumed = fit_encoder(shop(), END, FAST, Hooks(resume=states[0]))
    assert resumed.to_files() == model.to_files()
    with pytest.raises(InputError, match="checkpoint does not fit"):
        fit_encoder(shop(), END, FAST.model_copy(update={"depth": 1}), Hooks(resume=states[0]))


def test_saved_files_predict_the_same_without_the_training_code():
    model, _ = trained()
    h, shared = shop(), popularity(shop(), END)
    again = LearnedEncoder.from_files(model.to_files())
    for a, b in zip(
        model.foresee(h, shared, np.arange(9), END, 4), again.foresee(h, shared, np.arange(9), END, 9), strict=False
    ):
        assert a.logit_PI == pytest.approx(b.logit_PI[:4], abs=1e-4)
        break
    code = "import sys, promolift.profile.encoder_model; print('promolift.profile.encoder_train' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_batches_stream_and_probabilities_are_probabilities():
    model, _ = trained()
    h = shop()
    parts = list(model.foresee(h, popularity(h, END), np.arange(90), END, 40))
    assert [len(part.state_PD) for part in parts] == [40, 40, 10]
    assert parts[0].later_PK.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    for part in parts:
        assert (part.spend_PK >= 0).all()
        assert (part.orders_PK >= 0).all()
        assert ((part.churn_P >= 0) & (part.churn_P <= 1)).all()


def test_damaged_files_and_foreign_catalogues_are_refused():
    model, _ = trained()
    files = model.to_files()
    with pytest.raises(InputError, match="missing or damaged"):
        LearnedEncoder.from_files({"manifest.json": files["manifest.json"]})
    with pytest.raises(InputError, match="missing or damaged"):
        LearnedEncoder.from_files(files | {"weights.safetensors": files["weights.safetensors"][:100]})
    with pytest.raises(InputError, match="catalogue is not the one"):
        next(model.foresee(shop(extra=1), popularity(shop(extra=1), END), np.arange(2), END))


def test_too_little_history_is_an_error_and_a_wrong_key_names_the_nearest():
    with pytest.raises(SupportError, match="at least 200 and 1 are needed"):
        fit_encoder(shop(4), END, FAST)
    with pytest.raises(ConfigError, match="did you mean 'depth'"):
        EncoderSettings.parse({"depht": 2}, "promolift.toml")


def test_a_product_never_bought_and_a_customer_never_seen_get_finite_answers():
    h = histories(lines(), items(extra=2), customers=["zoe"])
    model = fit_encoder(h, END, FAST.model_copy(update={"epochs": 1}))
    said = next(model.foresee(h, popularity(h, END), np.array([90]), END))
    assert h.customers[90] == "zoe"
    assert np.isfinite(said.logit_PI).all()
    assert np.isfinite(said.spend_PK).all()
    vectors = model.model.table()
    assert float(vectors[-1].norm()) > 0
    assert not model.model.known_I[-2:].any()


def test_mixed_precision_and_accumulation_change_little():
    few = FAST.model_copy(update={"epochs": 1})
    base = fit_encoder(shop(), END, few).record[0]
    mixed = fit_encoder(shop(), END, few.model_copy(update={"mixed": True})).record[0]
    halves = fit_encoder(shop(), END, few.model_copy(update={"batch": 8, "accumulate": 2})).record[0]
    assert mixed["train_items"] == pytest.approx(base["train_items"], rel=0.02)
    assert halves["train_items"] == pytest.approx(base["train_items"], rel=0.1)


WORKER = """
import os, sys, json
import torch
torch.set_num_threads(1)
from torch import distributed as dist
from test_encoder import FAST, END, shop, fit_encoder
dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=int(sys.argv[2]), world_size=2)
record = fit_encoder(shop(), END, FAST.model_copy(update={"epochs": 2})).record
if dist.get_rank() == 0:
    print(json.dumps([row["valid_items"] for row in record]))
dist.destroy_process_group()
"""


def test_two_processes_follow_the_loss_curve_of_one(tmp_path):
    here = Path(__file__).parent
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here), "GLOO_SOCKET_IFNAME": "lo"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WORKER, str(tmp_path / "meet"), str(rank)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    said = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said[0][1][-2000:]
    alone = [row["valid_items"] for row in trained()[0].record[:2]]
    # three epochs against two have another learning rate at the end: hence the tolerance
    assert np.array(eval(said[0][0])) == pytest.approx(np.array(alone), rel=0.05)
