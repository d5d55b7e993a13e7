"""One customer moves a step by the clip at most, the noise is as stated, and what is learned from is what was said."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_shop import shop

from promolift.extensions.encoder.network import training
from promolift.extensions.encoder.network.encoder import EncoderSettings
from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
from promolift.extensions.encoder.network.purchase_histories import weekly_popularity
from promolift.extensions.encoder.network.training import (
    CLIP_NORM,
    PrivateTraining,
    Training,
    clipped_gradient,
    fit_encoder,
    fit_private,
    private_step_count,
)

SETTINGS = EncoderSettings(depth=1, epochs=1)
REAL, MADE_UP, OTHER = (shop(60, seed=seed, extra=2, vectors=True) for seed in (3, 8, 9))
END = float(REAL.day_V.max()) + 1


def weights(model: LearnedEncoder) -> np.ndarray:
    return np.concatenate([each.numpy().ravel() for each in model.model.state_dict().values()])


def heads(model: LearnedEncoder) -> np.ndarray:
    named = model.model.state_dict().items()
    return np.concatenate([v.numpy().ravel() for name, v in named if name.startswith(training.PRIVATE_HEADS)])


def test_no_customer_s_gradient_is_longer_than_the_clip() -> None:
    model = fit_encoder(MADE_UP, END, SETTINGS).model.requires_grad_(True)
    job = Training(REAL, SETTINGS, weekly_popularity(MADE_UP, END), END - 56, END, torch.device("cpu"))
    some = [each for name, each in model.named_parameters() if name.startswith(training.PRIVATE_HEADS)]
    lengths = [float(clipped_gradient(model, some, job, c, 1).norm()) for c in range(60)]
    assert max(lengths) <= CLIP_NORM * (1 + 1e-5)
    assert min(lengths) > 0
    late = job.__class__(REAL, SETTINGS, job.shared, float(REAL.day_V.min()), END, job.device)  # nothing is known yet
    assert float(clipped_gradient(model, some, late, 0, 1).norm()) == 0


def test_with_much_noise_real_customers_leave_no_trace_but_noise() -> None:
    """Two shops of other customers, the same noise: the weights below the heads are those of the made-up ones."""
    how = PrivateTraining(3, 1.0, 60)
    first, second = (fit_private(h, MADE_UP, END, SETTINGS, how, rng=np.random.default_rng(1)) for h in (REAL, OTHER))
    plain = fit_encoder(MADE_UP, END, SETTINGS.model_copy(update={"epochs": training.PRETRAINING_FACTOR}))
    moved = weights(first) != weights(plain)
    assert 0 < moved.sum() <= len(heads(first))
    assert not np.array_equal(heads(first), heads(second))
    names = {n for n, v in first.model.state_dict().items() if not torch.equal(v, plain.model.state_dict()[n])}
    assert all(name.startswith(training.PRIVATE_HEADS) for name in names)
    assert len(first.record) == 1


def test_the_noise_is_added_to_the_sum_before_it_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, int]] = []

    class Watched(np.random.Generator):
        def normal(self, loc: float = 0.0, scale: float = 1.0, size: object = None) -> np.ndarray:
            seen.append((scale, size))  # type: ignore[arg-type]
            return np.zeros(size)  # type: ignore[call-overload]

    summed: list[torch.Tensor] = []
    plain = training.clipped_gradient
    monkeypatch.setattr(training, "clipped_gradient", lambda *rest: (summed.append(plain(*rest)), summed[-1])[1])
    fit_private(REAL, MADE_UP, END, SETTINGS, PrivateTraining(2, 3.5, 60), rng=Watched(np.random.PCG64(2)))
    assert [scale for scale, _ in seen] == [3.5 * CLIP_NORM] * 2
    assert seen[0][1] == len(summed[0])  # every weight that is fitted gets noise
    assert 1 <= len(summed) <= 24  # about 1/16 of 60 customers a step


def test_each_customer_is_taken_as_often_as_epochs_say() -> None:
    assert private_step_count(5) * training.SAMPLE_RATE == 5
