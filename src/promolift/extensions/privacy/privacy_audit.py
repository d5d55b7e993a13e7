"""Audit a shop's privacy by attack: what its models, messages and pages reveal about single customers.

Members are drawn by a coin for each customer. The encoder is trained as the shop trains it, once as the target of the
attack and again as shadow models. The attacker of the noisy sums knows everything except the coins; the attacker of the
synthetic customers looks for the nearest one. The printed figures are exact and for the shop only.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from numpy.typing import NDArray

from promolift.extensions.encoder import pipeline_step
from promolift.extensions.privacy.mechanisms.membership_inference import (
    AttributeInference,
    MembershipResult,
    clopper_pearson,
    infer_attributes,
    likelihood_ratios,
    nearest_similarity,
    score_membership,
)
from promolift.extensions.privacy.mechanisms.noise import add_noise
from promolift.extensions.privacy.mechanisms.reconstruction import ReconstructedCell, parse_page, reconstruct_pages
from promolift.extensions.privacy.mechanisms.synthetic_customers import (
    CUSTOMERS_SQL,
    FIRST_CLIP,
    SECOND_CLIP,
    LogSpan,
    ShopSums,
    catalogue_targets,
    first_release_sum,
    second_release_sum,
    synthetic_log,
    usual_line,
)
from promolift.extensions.privacy.results import load_shop_sums, privacy_spent, require_budget
from promolift.extensions.privacy.synthetic_step import log_span
from promolift.foundation import sql
from promolift.foundation.errors import StepError, SupportError
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import LANGUAGES
from promolift.foundation.progress import StepSummary
from promolift.foundation.sql import bind, fetch_frame, sql_literal
from promolift.shop.pipeline.steps.report import plan_file
from promolift.shop.reports.chapters.summary import render
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.work_folder.run_context import Job, moments

if TYPE_CHECKING:
    from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
    from promolift.extensions.encoder.network.purchase_histories import Histories

Real = NDArray[np.float64]
ATTACKED_CUSTOMERS = 5_000  # customers whose attributes are guessed
FINDINGS_SHOWN = 3  # of the attributes that are guessed best, and of the cells that can be worked out
MESSAGE_COLUMNS = (
    "status", "benefit", "percent", "amount", "price", "buy", "get", "points", "min_spend", "scope", "target",
    "channel", "valid_days", "angle", *(f"message_{each}" for each in LANGUAGES),
)  # fmt: skip
PLAN_COLUMNS = ("expected_gain_cents", "expected_cost_cents", "reason")
ATTACK_NAMES = {
    "sums": gettext_noop("noisy sums"),
    "nearest": gettext_noop("made-up customers, by the nearest one"),
    "encoder_loss": gettext_noop("encoder, by its loss"),
    "encoder_lira": gettext_noop("encoder, by shadow models (LiRA)"),
}  # fmt: skip


class AuditSize(NamedTuple):
    """How many customers are drawn from, and how many shadow models are trained."""

    customers: int = 400
    shadows: int = 7


class AttackFinding(NamedTuple):
    """What one attack found on what leaves the system, in a sentence and in figures."""

    text: str
    figures: dict[str, object]


def audit(job: Job, size: AuditSize, pages: Sequence[str] = ()) -> StepSummary:
    """Attack what the shop releases about its customers, and what leaves it with their messages; `pages` are HTML that
    left before, the oldest first. SupportError where there is nothing to attack.
    """
    found: dict[str, MembershipResult] = {}
    budget = job.config.privacy.epsilon
    delta = job.config.privacy.delta if budget is not None else 0.0
    if budget is not None:
        job.tell(pgettext_noop("step", "audit"), 0.0, gettext_lazy("noisy sums"))
        found["sums"] = attack_sums(job, size.customers, delta)
        found["nearest"] = attack_synthetic(job, size.customers, delta)
    if (why := pipeline_step.unavailable_reason(job)) is None:
        with pipeline_step.limit_threads(job):
            found |= attack_encoder(job, size, delta)
    leaves = attack_messages_and_pages(job, pages)
    if not found and not leaves:
        raise SupportError(
            "nothing_to_audit",
            gettext_lazy("audit: nothing here is learned from customers that an attack is written for: {why}", why=why),
        )
    spent = privacy_spent(job.config, job.store)
    lines = [describe_membership(name, each) for name, each in found.items()]
    if spent is not None:
        lines.append(spent.text)
    figures: dict[str, object] = {name: membership_figures(each) for name, each in found.items()}
    ledger = None if spent is None else spent.spent
    lines += [each.text for each in leaves.values()]
    more: dict[str, object] = {name: each.figures for name, each in leaves.items()}
    first = {"step": "audit", "attacks": figures, "epsilon_of_the_ledger": ledger}
    return StepSummary("\n".join(lines), first | more)


def attack_messages_and_pages(job: Job, pages: Sequence[str]) -> dict[str, AttackFinding]:
    """What can be guessed from messages and plan.csv, and worked out of pages; nothing where nothing is planned."""
    found = dict[str, AttackFinding]()
    job.tell("audit", 0.0, gettext_lazy("messages and pages"))
    with suppress(StepError):  # no messages yet
        secret, rows = load_secret_and_sent(job)
        columns = [name for name in secret.columns if name not in ("customer_id", "asof_ms")]
        sent = [name for name in MESSAGE_COLUMNS if name in rows.columns and rows[name].n_unique() > 1]
        filed = [*sent, *(name for name in PLAN_COLUMNS if name in rows.columns)]
        found["messages"] = describe_attributes(
            infer_attributes(secret, rows.select(sent), columns), gettext("messages")
        )
        found["plan_file"] = describe_attributes(infer_attributes(secret, rows.select(filed), columns), "plan.csv")
    with suppress(StepError):  # not evaluated yet
        pages = [*pages, render(build_story(job))]
    return found | ({"pages": describe_pages(pages, job.config.privacy.printed_cell)} if pages else {})


class SecretAndSent(NamedTuple):
    """Attributes of customers, and what leaves of each of the same, in the same order."""

    secret: pl.DataFrame
    sent: pl.DataFrame


def load_secret_and_sent(job: Job) -> SecretAndSent:
    """Stated and computed attributes of some customers, in an order that says nothing, and their rows of plan.csv; who
    has none there is told so.
    """
    profiles = job.profiled.profiles(moments(job).asof)
    people = job.clean.people
    stated_too = people.select("customer_id", *(name for name in people.columns if name not in profiles.columns))
    plain = [name for name, kind in profiles.schema.items() if kind.is_numeric() or kind == pl.String]
    secret = profiles.select(plain).join(stated_too, on="customer_id", how="left", maintain_order="left")
    secret = secret.sort(pl.Series(hash_units(("audit", 0), secret["customer_id"]))).head(ATTACKED_CUSTOMERS)
    rows = plan_file(job)
    sent = secret.select("customer_id").join(rows, on="customer_id", how="left", maintain_order="left")
    return SecretAndSent(secret, sent.with_columns(pl.col("status").fill_null("none")))


def describe_attributes(found: list[AttributeInference], name: str) -> AttackFinding:
    """The attributes that are guessed best, in a sentence."""
    known = [each for each in found if each.beats_chance]
    areas = [(each.attribute, each.membership.auc) for each in known[:FINDINGS_SHOWN]]
    listed = [f"{attribute} {auc.value:.2f} ({auc.low:.2f}–{auc.high:.2f})" for attribute, auc in areas]
    best = gettext("; ").join(listed)
    best = gettext(": AUC of {best}", best=best) if known else ""
    text = gettext(
        "{name}: {known} of {found} attributes are guessed better than from the population, "
        "all that was asked counted in{best}",
        name=name,
        known=len(known),
        found=len(found),
        best=best,
    )
    rows = [{"attribute": each.attribute, "share": each.share, **membership_figures(each.membership)} for each in found]
    for row in rows:
        row.pop("epsilon_low")  # an attribute is no coin
    return AttackFinding(text, {"asked": len(found), "shown": len(known), "attributes": rows})


def describe_pages(pages: Sequence[str], least: int) -> AttackFinding:
    """What can be worked out of pages, the oldest first, in a sentence."""
    found = reconstruct_pages(pages, least)
    cells = sum(len(parse_page(page).cells) for page in pages)
    sizes = clopper_pearson(len(found), max(cells, len(found), 1))
    listed = gettext("; ").join(_cell(each) for each in found[:FINDINGS_SHOWN])
    text = (
        gettext(
            "pages: {found} of {cells} printed numbers give away fewer than {least} customers "
            "({low} to {high}): {listed}",
            found=len(found),
            cells=cells,
            least=least,
            low=f"{sizes.low:.1%}",
            high=f"{sizes.high:.1%}",
            listed=listed,
        )
        if found
        else gettext(
            "pages: {found} of {cells} printed numbers give away fewer than {least} customers "
            "({low} to {high}){listed}",
            found=len(found),
            cells=cells,
            least=least,
            low=f"{sizes.low:.1%}",
            high=f"{sizes.high:.1%}",
            listed=listed,
        )
    )
    return AttackFinding(text, {"cells": cells, "rebuilt": [each._asdict() for each in found]})


def _cell(each: ReconstructedCell) -> str:
    ways = {"printed": gettext_noop("printed"), "left over": gettext_noop("what others leave over"),
            "difference": gettext_noop("difference of two pages")}  # fmt: skip
    return f"{each.where} = {each.customers} ({gettext(ways[each.way])})"


def attack_synthetic(job: Job, customers: int, delta: float) -> MembershipResult:
    """Made-up customers as they would be made of half of some customers: is one nearer to who is in than to others?"""
    span, targets, products = log_span(job), catalogue_targets(job.clean.products), job.clean.products
    noise = require_budget(job).noise("profiles", 2)
    events = job.clean.events().filter("kind = 'purchase'")
    who = fetch_frame(events.project("customer_id").distinct().order("hash(customer_id), customer_id").limit(customers))
    member_M = np.random.default_rng().random(who.height) < 0.5
    names = ", ".join(map(sql_literal, who["customer_id"].filter(pl.Series(member_M))))
    mine = events.filter(f"customer_id in ({names})")
    first = add_noise(first_release_sum(mine, products, span), FIRST_CLIP, noise)
    second = second_release_sum(mine, products, targets, span, usual_line(first))
    sums = ShopSums(first, noise * FIRST_CLIP, add_noise(second, SECOND_CLIP, noise), noise * SECOND_CLIP)
    made = synthetic_log(sums, targets, span, int(np.random.default_rng().integers(2**31)))
    if made.is_empty():  # all drowned in the noise: there is nobody to be near to
        return score_membership(np.zeros(who.height), member_M, delta)
    near = who.join(
        customer_traits(events, products, span), on="customer_id", how="left", maintain_order="left"
    ).fill_null(0.0)
    made_CF, customer_MF = (
        rows.drop("customer_id").to_numpy() for rows in (customer_traits(made, products, span), near)
    )
    return score_membership(nearest_similarity(made_CF, customer_MF), member_M, delta)


def customer_traits(events: Relation | pl.DataFrame, products: Relation, span: LogSpan) -> pl.DataFrame:
    """customer_id and the numbers that the first release counts customers by."""
    query = bind(CUSTOMERS_SQL, asof=span.asof_ms, since=span.asof_ms - span.window_ms)
    rows = fetch_frame(sql.run_select(query, products=products, events=events))
    length = max(span.asof_ms - span.first_ms, 1)
    return rows.select(
        "customer_id",
        *(((pl.col(name) - span.first_ms) / length).alias(name) for name in ("first_ms", "last_ms")),
        *(pl.col(name).cast(pl.Float64).fill_null(0.0).log1p() for name in ("orders", "choices", "targets", "spent")),
        *(pl.col(name).cast(pl.Float64).fill_null(0.0) for name in ("line", "deals", "depth")),
    )


def describe_membership(name: str, each: MembershipResult) -> str:
    """One attack in a sentence."""
    chance = gettext("as good as guessing") if each.holds_chance else gettext("better than guessing")
    area, low, high, rate = each.auc.value, each.auc.low, each.auc.high, f"{each.false_rate:.1%}".replace(".0%", "%")
    attack = gettext(ATTACK_NAMES[name])
    return gettext(
        "{attack}: members are known with AUC {area} ({low} to {high}), advantage at {rate} "
        "false positives {advantage} ({each_low} to {each_high}): {chance}; epsilon is at "
        "least {epsilon_low}",
        attack=attack,
        area=f"{area:.3f}",
        low=f"{low:.3f}",
        high=f"{high:.3f}",
        rate=rate,
        advantage=f"{each.advantage:+.3f}",
        each_low=f"{each.low:+.3f}",
        each_high=f"{each.high:+.3f}",
        chance=chance,
        epsilon_low=f"{each.epsilon_low:.2f}",
    )


def membership_figures(each: MembershipResult) -> dict[str, float]:
    """The same for `--json`."""
    return {
        "auc": each.auc.value, "auc_low": each.auc.low, "auc_high": each.auc.high, "advantage": each.advantage,
        "low": each.low, "high": each.high, "epsilon_low": each.epsilon_low,
        "false_rate": each.false_rate, "n": each.auc.n,
    }  # fmt: skip


def attack_sums(job: Job, customers: int, delta: float) -> MembershipResult:
    """Both releases with new noise and a coin for each of some customers: the attacker knows every customer's part, and
    scores them by how far the release leans towards it.
    """
    span, targets, products = log_span(job), catalogue_targets(job.clean.products), job.clean.products
    usual, noise = usual_line(load_shop_sums(job.store).first), require_budget(job).noise("profiles", 2)
    events = job.clean.events()
    known = fetch_frame(
        events.project("customer_id").distinct().order("hash(customer_id), customer_id").limit(customers)
    )
    parts = []
    for who in known["customer_id"]:
        mine = events.filter(f"customer_id = {sql_literal(who)}")
        second = second_release_sum(mine, products, targets, span, usual)
        parts.append((first_release_sum(mine, products, span), second.ravel()))
    member_M = np.random.default_rng().random(known.height) < 0.5
    score_M = np.zeros(known.height)
    for at, clip in enumerate((FIRST_CLIP, SECOND_CLIP)):
        rows_MV = np.stack([part[at] for part in parts])
        seen = add_noise(rows_MV[member_M].sum(axis=0), clip, noise) - rows_MV.sum(axis=0) / 2
        score_M += rows_MV @ seen / (noise * clip) ** 2
    return score_membership(score_M, member_M, delta)


def attack_encoder(job: Job, size: AuditSize, delta: float) -> dict[str, MembershipResult]:
    """The encoder as it would be learned from half of some customers: by its loss, and by what shadow models say."""
    from promolift.extensions.encoder.network.purchase_histories import weekly_popularity
    from promolift.extensions.encoder.network.training import customer_losses, fit_synthetic
    from promolift.extensions.encoder.training_data import load_context, sampled_histories, synthetic_histories

    scene = load_context(job)
    whole = sampled_histories(job, scene)
    visits, private = (
        np.diff(whole.until(scene.day - pipeline_step.VALIDATION_DAYS).start_C),
        job.config.privacy.epsilon is not None,
    )
    h = whole.of(np.flatnonzero(visits > 0)[: size.customers])
    common = synthetic_histories(job, scene) if private else None
    first = None if common is None else fit_synthetic(common, scene.day, pipeline_step.encoder_settings(job))
    names, models = h.customers, size.shadows + 1
    in_SM = np.stack([hash_units(("audit", job.config.plan.seed, s), names) < 0.5 for s in range(models)])
    loss_SM = np.zeros(in_SM.shape)
    for s in range(models):
        job.tell("audit", s / models, gettext_lazy("models that learn from half of the customers"))
        mine = h.of(np.flatnonzero(in_SM[s]))
        model = train_target_encoder(job, mine, common, scene.day, first)
        shared = weekly_popularity(common or mine, scene.day)
        loss_SM[s] = customer_losses(model, h, shared, scene.day - pipeline_step.VALIDATION_DAYS)
    return {
        "encoder_loss": score_membership(-loss_SM[0], in_SM[0], delta),
        "encoder_lira": score_membership(likelihood_ratios(loss_SM, in_SM, 0), in_SM[0], delta),
    }


def train_target_encoder(
    job: Job, h: "Histories", made_up: "Histories | None", day: float, first: "LearnedEncoder | None"
) -> "LearnedEncoder":
    """An encoder learned as the shop's own, kept nowhere and in no ledger; `first` is what the made-up ones taught."""
    from promolift.extensions.encoder.network.training import PrivateTraining, fit_encoder, fit_private

    settings = pipeline_step.encoder_settings(job)
    if made_up is None:
        return fit_encoder(h, day, settings)
    steps, noise = pipeline_step.private_steps(job)
    return fit_private(h, made_up, day, settings, PrivateTraining(steps, noise, float(len(h.customers))), first=first)
