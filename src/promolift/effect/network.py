"""A trial with its offers' features in; a network that says what any offer, tried or new, adds for a customer, out.

Shapes: N customers, F features, Z standardised columns, K offers, D offer features, E offer identities, H hidden units,
M dose curves, T folds. Needs torch (extra `deep`); nothing else imports this file before it is used.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from promolift.effect.base import Base, Scale, fit_base, variance
from promolift.effect.parts import Arrays, from_parts, to_parts
from promolift.effect.trial import Floats, Ints, Trial
from promolift.errors import InputError, PromoError, SupportError
from promolift.hashing import hash_int
from promolift.settings import Settings

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError:
    raise PromoError("the effect network needs torch; run pip install 'promolift[deep]'") from None


Shape = Literal["free", "rising", "concave"]
Weights = tuple[NDArray[np.float32], ...]


class NetworkSettings(Settings):
    """`dose`: which column of the offers' features is the discount depth (None: offers differ in kind only).

    `shape`: what every customer's curve over the depth must be. `prior_sd`: expected size of the weights that make
    customers differ. `unknown`: share of training steps in which offers are known by their features alone, so that a
    new one can be scored. Training stops after `patience` epochs without a better held-out loss.
    """

    dose: int | None = Field(default=None, ge=0)
    shape: Shape = "free"
    hidden: int = Field(default=32, ge=4)
    epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=4, ge=1)
    batch: int = Field(default=1024, ge=32)
    rate: float = Field(default=1e-2, gt=0)
    prior_sd: float = Field(default=0.3, gt=0)
    unknown: float = Field(default=0.5, ge=0, le=1)
    folds: int = Field(default=3, ge=2, le=10)
    seed: int = 0


class Net(nn.Module):
    """gain_NK = sum over m of weight_NKM * dose_KM; the weights come from the customer and the offer, the curves not.

    Every curve starts at 0 and rises, so a gain rises with depth wherever its weights are not negative.
    """

    def __init__(self, columns: int, offer: int, curves: int, hidden: int, positive: bool) -> None:
        """`columns` and `offer`: widths of the inputs; `positive`: weights are never negative."""
        super().__init__()
        self.positive, self.curves = positive, curves
        self.customer = nn.Sequential(nn.Linear(columns, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.offer = nn.Sequential(nn.Linear(offer, hidden), nn.SiLU())
        self.common = nn.Linear(hidden, 2 * curves)  # the same for all customers
        self.own = nn.Linear(hidden, 2 * curves, bias=False)  # how this customer differs

    def forward(self, z_NZ: Tensor, ratio_N: Tensor, offer_KD: Tensor, dose_KM: Tensor) -> tuple[Tensor, Tensor]:
        """Gains N x K of this customer, and as if all customers were alike."""
        h_NH, q_KH = self.customer(z_NZ), self.offer(offer_KD)
        common_KM2 = self.common(q_KH).unflatten(-1, (self.curves, 2))
        own_NKM2 = self.own(h_NH[:, None, :] * q_KH[None, :, :]).unflatten(-1, (self.curves, 2))
        both = []
        for weight in (common_KM2 + own_NKM2, common_KM2.expand_as(own_NKM2)):
            if self.positive:
                weight = functional.softplus(weight)
            # one part is added, the other grows in proportion to what the customer buys anyway
            weight_NKM = weight[..., 0] + weight[..., 1] * ratio_N[:, None, None]
            both.append((weight_NKM * dose_KM).sum(dim=-1))
        return both[0], both[1]


@dataclass(frozen=True)
class Offers:
    """The tried offers, and how any offer becomes numbers: standardised features, and its identity if it was tried."""

    tried_KD: Floats
    mean_D: Floats
    sd_D: Floats
    dose: int | None
    shape: Shape

    @classmethod
    def of(cls, offers_KD: Floats, dose: int | None, shape: Shape) -> Self:
        """Learn the scales; depths must be positive."""
        if dose is not None and (dose >= offers_KD.shape[1] or (offers_KD[:, dose] <= 0).any()):
            raise InputError(f"offers: column {dose} is to hold depths above 0; there are {offers_KD.shape[1]} columns")
        sd_D = offers_KD.std(axis=0)
        return cls(offers_KD, offers_KD.mean(axis=0), np.where(sd_D > 0, sd_D, 1.0), dose, shape)

    def numbers(self, offers_KD: Floats, known: bool = True) -> tuple[Tensor, Tensor]:
        """A 1, features and identities K x (1 + D + E), and curves K x M: what the dose path is fed with."""
        same_KE = (offers_KD[:, None, :] == self.tried_KD[None, :, :]).all(axis=2) & known
        if not offers_KD.shape[1]:  # no features: offers are their identities, in order
            same_KE = np.eye(len(offers_KD), len(self.tried_KD), dtype=bool)
        z_KD = (offers_KD - self.mean_D) / self.sd_D
        curve_KM = np.ones((len(offers_KD), 1))
        if self.dose is not None:
            z_KD = np.delete(z_KD, self.dose, axis=1)  # the depth acts through the curves only
            same_KE = same_KE[:, :0]  # and so does the identity: else curves need not rise from offer to offer
            t_K = offers_KD[:, self.dose] / self.tried_KD[:, self.dose].max()
            bent = [-np.expm1(-9 * t_K) if self.shape == "concave" else t_K**2]
            curve_KM = np.stack([t_K, -np.expm1(-3 * t_K) / -np.expm1(-3), *bent], axis=1)
        return _tensor(np.hstack([np.ones((len(z_KD), 1)), z_KD, same_KE])), _tensor(curve_KM)


@dataclass(frozen=True)
class NetworkEffect:
    """One network per fold, averaged; `keep` is how much of the differences between customers held out of fold."""

    base: Base
    offers: Offers
    mean: float
    unit: float
    keep: float
    hidden: int
    weights: tuple[Weights, ...]

    def gain(self, x_NF: Floats, offers_KD: ArrayLike | None = None) -> Floats:
        """gain_NK over control of the tried offers, or of any `offers_KD` described by the same features."""
        asked_KD = self.offers.tried_KD if offers_KD is None else np.asarray(offers_KD, dtype=np.float64)
        if asked_KD.ndim != 2 or asked_KD.shape[1] != self.offers.tried_KD.shape[1]:
            raise InputError(f"offers: shape {asked_KD.shape}; give rows of {self.offers.tried_KD.shape[1]} features")
        if not asked_KD.shape[1] and len(asked_KD) > len(self.offers.tried_KD):
            raise SupportError("offers: trained without features, so a new offer cannot be scored; give offers_KD")
        base_N = self.base.predict(x_NF)
        z_NZ, ratio_N = _inputs(self.base, self.mean, x_NF, base_N)
        offer, dose = self.offers.numbers(asked_KD)
        total = np.zeros((len(x_NF), len(asked_KD)))
        for weights in self.weights:
            net = _net(self.offers, self.hidden, z_NZ.shape[1])
            _load(net, weights)
            with torch.no_grad():
                own, common = net(z_NZ, ratio_N, offer, dose)
            total += (common + self.keep * (own - common)).numpy().astype(np.float64)
        return np.asarray(total * self.unit / len(self.weights))

    def to_parts(self) -> tuple[Arrays, dict[str, Any]]:
        """Tensors for a safetensors file and a JSON manifest."""
        return to_parts(self)

    @classmethod
    def from_parts(cls, arrays: Arrays, manifest: dict[str, Any]) -> Self:
        """The inverse of `to_parts`, also after JSON."""
        model: Self = from_parts(arrays, manifest, (cls, Offers, Base, Scale))
        return model


def fit_network(
    trial: Trial, settings: NetworkSettings | None = None, offers_KD: ArrayLike | None = None
) -> NetworkEffect:
    """Train on the residual loss (Robinson 1988; Nie & Wager 2021) with a cross-fitted base m(x) = E[outcome | x]:

    (outcome - m(x) - sum over offers k of (1{arm = k} - prob_k) gain_k(x))^2 / noise(x).

    With known probabilities an error of m costs precision only. Each network stops by the fold it did not see; that
    fold also says how much of the differences it claims between customers is real (`keep`, James-Stein).
    """
    chosen = settings or NetworkSettings()
    tried_KD = np.zeros((trial.arms - 1, 0)) if offers_KD is None else np.asarray(offers_KD, dtype=np.float64)
    if tried_KD.ndim != 2 or len(tried_KD) != trial.arms - 1:
        raise InputError(
            f"offers: shape {tried_KD.shape}; give one row of features for each of {trial.arms - 1} offers"
        )
    offers = Offers.of(tried_KD, chosen.dose, chosen.shape)
    fold_N = (trial.key_N % np.uint64(chosen.folds)).astype(np.int64)
    base, base_N = fit_base(trial.x_NF, trial.outcome_N, fold_N, chosen.seed)
    left_N = trial.outcome_N - base_N
    noise_N = variance(base_N, trial.outcome_N, base.scale.columns(trial.x_NF), base.counts)
    mean, unit = float(base_N.mean()), _unit(left_N, trial)
    z_NZ, ratio_N = _inputs(base, mean, trial.x_NF, base_N)
    arm_NK = (trial.arm_N[:, None] == np.arange(1, trial.arms)).astype(np.float64) - trial.prob_NA[:, 1:]
    noise_N = noise_N * float((left_N**2 / noise_N).mean()) / unit**2
    data = _Data(z_NZ, ratio_N, _tensor(arm_NK), _tensor(left_N / unit), _tensor(1 / noise_N))
    weights, told = [], []
    for t in range(chosen.folds):
        net = _net(offers, chosen.hidden, z_NZ.shape[1])
        weights.append(_train(net, data, np.flatnonzero(fold_N != t), np.flatnonzero(fold_N == t), (offers, chosen, t)))
        told.append(_claims(net, data, np.flatnonzero(fold_N == t), offers))
    return NetworkEffect(base, offers, mean, unit, _keep(np.hstack(told)), chosen.hidden, tuple(weights))


@dataclass(frozen=True)
class _Data:
    z_NZ: Tensor
    ratio_N: Tensor
    arm_NK: Tensor  # centred
    left_N: Tensor
    weight_N: Tensor

    def loss(self, net: Net, at: Ints, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Half the mean squared residual in units of its noise: minus the log likelihood of a row."""
        own_NK, _ = net(self.z_NZ[at], self.ratio_N[at], *inputs)
        said_N = (self.arm_NK[at] * own_NK).sum(dim=1)
        half: Tensor = 0.5 * (self.weight_N[at] * (self.left_N[at] - said_N) ** 2).mean()
        return half


def _train(net: Net, data: _Data, seen: Ints, held: Ints, how: tuple[Offers, NetworkSettings, int]) -> Weights:
    """Adam with a Gaussian prior on what makes customers differ; the weights of the best held-out epoch."""
    offers, s, t = how
    rng = np.random.default_rng(hash_int("network", s.seed, t))
    _draw(net, rng)
    named, blind = offers.numbers(offers.tried_KD), offers.numbers(offers.tried_KD, known=False)
    optimiser = torch.optim.Adam(net.parameters(), lr=s.rate)
    best, kept, since = np.inf, _state(net), 0
    for _ in range(s.epochs):
        order = rng.permutation(seen)
        for start in range(0, len(order), s.batch):
            at = order[start : start + s.batch]
            size = sum((p**2).sum() for p in [*net.own.parameters(), *net.customer.parameters()])
            loss = data.loss(net, at, blind if rng.random() < s.unknown else named) + size / (
                2 * s.prior_sd**2 * len(seen)
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            now = float(data.loss(net, held, named))
        since += 1
        if now < best:
            best, kept, since = now, _state(net), 0
        if since >= s.patience:
            break
    _load(net, kept)
    return kept


def _claims(net: Net, data: _Data, held: Ints, offers: Offers) -> Floats:
    """Per held-out row: what its customer's difference from the common gain predicts, what was left, and the weight."""
    with torch.no_grad():
        own, common = net(data.z_NZ[held], data.ratio_N[held], *offers.numbers(offers.tried_KD))
    arm, left = data.arm_NK[held], data.left_N[held]
    rows = [(arm * (own - common)).sum(dim=1), left - (arm * common).sum(dim=1), data.weight_N[held]]
    return torch.stack(rows).numpy().astype(np.float64)


def _keep(claims_3N: Floats) -> float:
    """Slope of the outcome on the claimed difference, times 1 - 1/z^2 (James & Stein 1961), within [0, 1]."""
    said, left, weight = claims_3N
    information = float((weight * said**2).sum())
    if information <= 0:
        return 0.0
    slope = float((weight * said * left).sum()) / information
    se = float(np.sqrt(((weight * said * (left - slope * said)) ** 2).sum())) / information
    return float(np.clip(slope * max(0.0, 1 - (se / slope) ** 2), 0, 1)) if slope > 0 else 0.0


def _unit(left_N: Floats, trial: Trial) -> float:
    """Size of the mean gains, or of their error if that is larger: what the network's outputs are measured in."""
    weight_NA = (trial.arm_N[:, None] == np.arange(trial.arms)) / trial.prob_NA
    mean_A = (weight_NA * left_N[:, None]).sum(axis=0) / weight_NA.sum(axis=0)
    error = float(left_N.std()) * np.sqrt(2 * trial.arms / len(left_N))
    return max(float(np.abs(mean_A - mean_A[0]).max()), float(error), 1e-12)


def _net(offers: Offers, hidden: int, columns: int) -> Net:
    offer, dose = offers.numbers(offers.tried_KD)
    return Net(columns, offer.shape[1], dose.shape[1], hidden, offers.shape != "free")


def _load(net: Net, weights: Weights) -> None:
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(np.array(value)))


def _draw(net: Net, rng: np.random.Generator) -> None:
    """Weights from the file's own generator, not torch's global one: the same seed gives the same network."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            size = 0.0 if p.ndim == 1 or name.startswith("common") else 1 / np.sqrt(p.shape[1] + 1e-9)
            p.copy_(torch.from_numpy(rng.standard_normal(tuple(p.shape)) * size))
        net.own.weight.zero_()  # customers start alike
        if net.positive:
            net.common.bias.fill_(-3.0)  # softplus(-3) = 0.05: curves start near 0


def _inputs(base: Base, mean: float, x_NF: Floats, base_N: Floats) -> tuple[Tensor, Tensor]:
    """Columns with the logarithm of the base, and its ratio to the mean (0 where outcomes can be negative)."""
    ratio_N = base_N / mean if base.counts else np.zeros(len(x_NF))
    own_N = np.log(np.clip(ratio_N, 0.02, 50)) if base.counts else np.clip((base_N - mean) / (abs(mean) + 1e-9), -3, 3)
    return _tensor(np.column_stack([base.scale.columns(x_NF), own_N])), _tensor(ratio_N)


def _state(net: Net) -> Weights:
    return tuple(parameter.detach().numpy().copy() for parameter in net.parameters())


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
