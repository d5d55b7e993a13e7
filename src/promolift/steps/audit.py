"""A shop in, planned or not; how well an attacker would tell who its models learned from, in figures and words, out.

Members are drawn by a coin for each customer. An encoder is trained as the shop's own, once for the attack and again as
shadow models; the noisy sums are attacked by whoever knows everything but the coins. What is printed is exact and for
the shop alone.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.errors import SupportError
from promolift.hashing import hash_units
from promolift.learn.attack import Membership, lira, membership
from promolift.privacy.noise import noisy
from promolift.profile.stand_in import FIRST_CLIP, SECOND_CLIP, catalogue_targets, first_total, second_total, usual_line
from promolift.results.job import Job, StepSummary
from promolift.results.privacy import known_sums, privacy_spent, stated
from promolift.sql import fetch, literal
from promolift.steps import forecast
from promolift.steps.stand_in import span_of
from promolift.words import pick

if TYPE_CHECKING:
    from promolift.profile.encoder_data import Histories
    from promolift.profile.encoder_forecast import LearnedEncoder

Real = NDArray[np.float64]
NAMES = {
    "sums": ("noisy sums", "加噪声的求和"), "encoder_loss": ("encoder, by its loss", "编码器（按损失）"),
    "encoder_lira": ("encoder, by shadow models (LiRA)", "编码器（影子模型LiRA）"),
}  # fmt: skip


class AuditSize(NamedTuple):
    """How many customers are drawn from, and how many shadow models are trained."""

    customers: int = 400
    shadows: int = 7


def audit(job: Job, size: AuditSize) -> StepSummary:
    """Attack what the shop releases about its customers. SupportError where there is nothing to attack."""
    found: dict[str, Membership] = {}
    budget = job.config.privacy.epsilon
    delta = job.config.privacy.delta if budget is not None else 0.0
    if budget is not None:
        job.tell("audit", 0.0, "noisy sums")
        found["sums"] = attack_sums(job, size.customers, delta)
    if (why := forecast.unable(job)) is None:
        with forecast.few_threads(job):
            found |= attack_encoder(job, size, delta)
    if not found:
        raise SupportError(f"audit: nothing here is learned from customers that an attack is written for: {why}")
    spent = privacy_spent(job.config, job.store)
    lines = [said(name, each) for name, each in found.items()]
    if spent is not None:
        lines.append(spent.text)
    figures = {name: as_numbers(each) for name, each in found.items()}
    ledger = None if spent is None else spent.spent
    return StepSummary("\n".join(lines), {"step": "audit", "attacks": figures, "epsilon_of_the_ledger": ledger})


def said(name: str, each: Membership) -> str:
    """One attack in a sentence."""
    chance = (
        pick("as good as guessing", "与随机猜测无异")
        if each.holds_chance
        else pick("better than guessing", "优于随机猜测")
    )
    area, low, high = each.auc.value, each.auc.low, each.auc.high
    return pick(
        f"{NAMES[name][0]}: members are known with AUC {area:.3f} ({low:.3f} to {high:.3f}), advantage at 1 % false "
        f"positives {each.advantage:+.3f} ({each.low:+.3f} to {each.high:+.3f}): {chance}; epsilon is at least "
        f"{each.epsilon_low:.2f}",
        f"{NAMES[name][1]}：识别成员的AUC为{area:.3f}（{low:.3f}至{high:.3f}），误报率1%时的优势{each.advantage:+.3f}"
        f"（{each.low:+.3f}至{each.high:+.3f}）：{chance}；epsilon不低于{each.epsilon_low:.2f}",
    )  # fmt: skip


def as_numbers(each: Membership) -> dict[str, float]:
    """The same for `--json`."""
    return {
        "auc": each.auc.value, "auc_low": each.auc.low, "auc_high": each.auc.high, "advantage": each.advantage,
        "low": each.low, "high": each.high, "epsilon_low": each.epsilon_low, "n": each.auc.n,
    }  # fmt: skip


def attack_sums(job: Job, customers: int, delta: float) -> Membership:
    """Both releases with new noise and a coin for each of some customers: the attacker knows every customer's part, and
    scores them by how far the release leans towards it.
    """
    span, targets, products = span_of(job), catalogue_targets(job.clean.products), job.clean.products
    usual, noise = usual_line(known_sums(job.store).first), stated(job).noise("profiles", 2)
    events = job.clean.events()
    known = fetch(events.project("customer_id").distinct().order("hash(customer_id), customer_id").limit(customers))
    parts = []
    for who in known["customer_id"]:
        mine = events.filter(f"customer_id = {literal(who)}")
        second = second_total(mine, products, targets, span, usual)
        parts.append((first_total(mine, products, span), second.ravel()))
    member_M = np.random.default_rng().random(known.height) < 0.5
    score_M = np.zeros(known.height)
    for at, clip in enumerate((FIRST_CLIP, SECOND_CLIP)):
        rows_MV = np.stack([part[at] for part in parts])
        seen = noisy(rows_MV[member_M].sum(axis=0), clip, noise) - rows_MV.sum(axis=0) / 2
        score_M += rows_MV @ seen / (noise * clip) ** 2
    return membership(score_M, member_M, delta)


def attack_encoder(job: Job, size: AuditSize, delta: float) -> dict[str, Membership]:
    """The encoder as it would be learned from half of some customers: by its loss, and by what shadow models say."""
    from promolift.profile.encoder_data import popularity
    from promolift.profile.encoder_train import losses_of
    from promolift.steps.forecast_scene import drawn, made_up, set_scene

    scene = set_scene(job)
    whole = drawn(job, scene)
    visits, private = np.diff(whole.until(scene.day - forecast.WINDOW).start_C), job.config.privacy.epsilon is not None
    h = whole.of(np.flatnonzero(visits > 0)[: size.customers])
    common = made_up(job, scene) if private else None
    names, models = h.customers, size.shadows + 1
    in_SM = np.stack([hash_units(("audit", job.config.plan.seed, s), names) < 0.5 for s in range(models)])
    loss_SM = np.zeros(in_SM.shape)
    for s in range(models):
        job.tell("audit", s / models, "models that learn from half of the customers")
        mine = h.of(np.flatnonzero(in_SM[s]))
        model = trained(job, mine, common, scene.day)
        shared = popularity(common or mine, scene.day)
        loss_SM[s] = losses_of(model, h, shared, scene.day - forecast.WINDOW)
    return {
        "encoder_loss": membership(-loss_SM[0], in_SM[0], delta),
        "encoder_lira": membership(lira(loss_SM, in_SM, 0), in_SM[0], delta),
    }


def trained(job: Job, h: "Histories", made_up: "Histories | None", day: float) -> "LearnedEncoder":
    """An encoder learned as the shop's own, kept nowhere and in no ledger."""
    from promolift.profile.encoder_train import PrivateSteps, fit_encoder, fit_private

    settings = forecast.settings_of(job)
    if made_up is None:
        return fit_encoder(h, day, settings)
    steps, noise = forecast.private_steps(job)
    return fit_private(h, made_up, day, settings, PrivateSteps(steps, noise, float(len(h.customers))))
