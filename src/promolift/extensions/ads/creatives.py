"""Learn from a file of creatives and clicks, evaluate policies on its later rows, and plan impressions.

A file of tests trains a ranker of creative texts, which orders creatives that were never shown. A file of impressions
with propensities gives off-policy values of policies that never ran, separately for each placement.
Legend: N rows, A creatives.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.core.effects.trial_arrays import Floats
from promolift.core.experiments.off_policy.estimators import OffPolicySettings, OffPolicyValue, estimate_value, read_log
from promolift.core.experiments.prediction_metrics import wilson_interval
from promolift.core.messages.text_ranker import TextRanker, click_z, fit_ranker
from promolift.extensions.ads.bandit import thompson_shares
from promolift.extensions.ads.creative_page import creative_page
from promolift.extensions.ads.results import Creative, CreativeCatalogue, CreativeResults, CreativeSettings
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95, SampleEstimate
from promolift.foundation.files.column_types import infer_types
from promolift.foundation.files.table_files import read_trial_file
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import count, use_locale
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy, render_message
from promolift.foundation.i18n.suggestion import suggest_nearest
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.progress import Progress, StepSummary, no_progress
from promolift.foundation.storage.local_store import Store
from promolift.shop.reports.plan_rows import _write

EVALUATION_SHARE = 0.2  # of the periods, or of the rows: they judge what the others taught
MIN_CLICKS = 100  # below which no difference between policies is claimed
MAX_AUDIENCES = 20
SHRINKAGE_IMPRESSIONS = 200.0  # impressions at the mean rate that each creative's own rate is shrunk by
MAX_EXPOSURES = 5  # of one creative to one viewer that are told apart; more are taken together
BOOTSTRAP_DRAWS = 1000


def run_ads(settings: CreativeSettings, config: Path, work: Path, out: Path, tell: Progress) -> StepSummary:
    """Run an advertising task from its settings file: creatives by placement and audience, or new ones in order.

    Writes creatives.csv, creatives.parquet and report.html, and in the work folder what a release is made of.
    """
    with use_locale(settings.language):
        found = run_creatives(settings, config.resolve().parent, tell)
        with Store(work) as store:
            found.catalogue.save_plan(store, serving_shares(found.plan, found.counts))
        _write(out, "creatives", found.plan, render_page(creative_page(found)))
        tell("plan", 1.0, gettext_lazy("done"))
        lines = [render_message(found.verdict)]
        for name, each in found.values.items():
            figures_of = {key: f"{getattr(each, key):.5f}" for key in ("value", "low", "high")}
            lines.append(
                "  " + gettext("{name}: {value} ({low} to {high}), n = {n}", name=render_message(name), n=count(each.n),
                               **figures_of)
            )  # fmt: skip
        planned = gettext(
            "{planned} of {budget}", planned=count(found.plan["impressions"].sum()), budget=count(settings.budget)
        )
        days, cap = settings.days, settings.cap
        lines.append(
            gettext(
                "planned impressions: {planned} in {days} days, at most {cap} of a creative a viewer and day",
                planned=planned,
                days=days,
                cap=cap,
            )
        )
        lines.append(gettext("Report: {out}", out=out / "report.html"))
        figures = {
            "step": "run", "trade": "ads", "layout": found.layout, "learned": found.training_rows,
            "judged": found.evaluation_rows, "verdict": found.verdict,
            "values": {name: asdict(each) for name, each in found.values.items()},
            "fatigue": found.fatigue.to_dicts(), "page": str(out / "report.html"),
        }  # fmt: skip
        return StepSummary("\n".join(lines), figures)


def run_creatives(settings: CreativeSettings, folder: Path, tell: Progress = no_progress) -> CreativeResults:
    """Learn from the earlier rows, value on the later ones, and plan. InputError for a file that does not fit,
    SupportError where too little was shown to learn from."""
    tell("learn", 0.0, gettext_lazy("reading the file"))
    rows = read_creatives(folder / settings.path, settings)
    if rows["clicks"].sum() < 1:
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy(
                "{path}: no click in any row (rows: {rows}); nothing can be learned from it",
                path=settings.path,
                rows=count(rows.height),
            ),
        )
    earlier, later = split_by_time(rows)
    if settings.shown:
        return _from_tests(settings, folder, earlier, later, tell)
    return _from_impressions(settings, folder, earlier, later, tell)


def read_creatives(path: Path, settings: CreativeSettings) -> pl.DataFrame:
    """Rows as creative, text, picture, shown, clicks, test, prob, placement, audience, customer, at; in order of at."""
    raw = read_trial_file(path)
    single = (settings.creative, settings.clicked, settings.text, settings.picture, settings.shown,
              settings.propensity, settings.placement, settings.customer, settings.period)  # fmt: skip
    for name in [*filter(None, single), *settings.test, *settings.audience]:
        if name not in raw.columns:
            text = gettext_lazy(
                "{path}: no column {name}{near}",
                path=path,
                name=repr(name),
                near=suggest_nearest(name, raw.columns),
            )
            raise InputError(
                "column_unknown", gettext_lazy("{text}; it has {columns}", text=text, columns=", ".join(raw.columns))
            )
    frame = infer_types(
        raw, (settings.creative, settings.text, settings.picture, *settings.test, settings.customer)
    ).frame
    for name in filter(None, (settings.clicked, settings.shown, settings.propensity)):
        if not (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean):
            raise InputError(
                "column_type_wrong",
                gettext_lazy(
                    "{path}: {name} holds text such as {to_list}",
                    path=path,
                    name=repr(name),
                    to_list=frame[name].drop_nulls()[:1].to_list(),
                ),
            )
    names = filter(None, (settings.creative, settings.placement, settings.customer, *settings.test, *settings.audience))
    floats = [name for name in dict.fromkeys(names) if frame[name].dtype.is_float()]
    whole = [name for name in floats if (frame[name].drop_nulls() % 1 == 0).all()]
    frame = frame.with_columns(pl.col(whole).cast(pl.Int64))  # the place 1 is asked for as "1", not as "1.0"

    def column(name: str | None, other: pl.Expr, kind: type[pl.DataType] = pl.String) -> pl.Expr:
        return pl.col(name).cast(kind) if name else other

    found = frame.select(
        column(settings.creative, pl.lit("")).fill_null("").alias("creative"),
        column(settings.text, column(settings.creative, pl.lit(""))).fill_null("").alias("text"),
        column(settings.picture, pl.lit(None)).alias("picture"),
        column(settings.shown, pl.lit(1.0), pl.Float64).fill_null(0.0).alias("shown"),
        column(settings.clicked, pl.lit(0.0), pl.Float64).fill_null(0.0).alias("clicks"),
        pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in settings.test] or [pl.lit("all")],
                      separator="|").alias("test"),
        column(settings.propensity, pl.lit(None), pl.Float64).alias("prob"),
        column(settings.placement, pl.lit("1")).fill_null("?").alias("placement"),
        pl.concat_str([pl.col(name).cast(pl.String).fill_null("?") for name in settings.audience] or [pl.lit("all")],
                      separator="|").alias("audience"),
        column(settings.customer, pl.lit(None)).alias("customer"),
        (pl.col(settings.period).rank("dense") if settings.period else pl.int_range(pl.len())).alias("at"),
    ).filter((pl.col("creative") != "") & (pl.col("shown") > 0))  # fmt: skip
    if (wrong := found.filter((pl.col("clicks") < 0) | (pl.col("clicks") > pl.col("shown")))).height:
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "{path}: rows with fewer than 0 clicks or more than impressions: {rows}",
                path=path,
                rows=count(wrong.height),
            ),
        )
    if settings.propensity and not found["prob"].is_between(0, 1, closed="right").fill_null(False).all():
        raise InputError(
            "propensity_invalid",
            gettext_lazy(
                "{path}: {propensity} needs a probability above 0 and up to 1 in every row",
                path=path,
                propensity=repr(settings.propensity),
            ),
        )
    if found.is_empty():
        raise InputError("too_few_rows", gettext_lazy("{path}: no row with a creative and an impression", path=path))
    return found.sort("at", maintain_order=True)


class TimeSplit(NamedTuple):
    """What is learned from, and what judges it."""

    earlier: pl.DataFrame
    later: pl.DataFrame


def split_by_time(rows: pl.DataFrame) -> TimeSplit:
    """By time; a test stands where its last row does, and a viewer is no matter of the split."""
    last = rows.with_columns(pl.col("at").max().over("test")) if rows["test"].n_unique() > 1 else rows
    cut = last["at"].unique().sort()
    border = cut[int((1 - EVALUATION_SHARE) * len(cut))]
    return TimeSplit(rows.filter(last["at"] < border), rows.filter(last["at"] >= border))


def _from_tests(
    settings: CreativeSettings, folder: Path, earlier: pl.DataFrame, later: pl.DataFrame, tell: Progress
) -> CreativeResults:
    tell("learn", 0.3, gettext_lazy("pairs of creatives"))
    ranker = fit_ranker(_arms(earlier))
    values = evaluate_ranker(ranker, _arms(later))
    whole = fit_ranker(_arms(pl.concat([earlier, later])))
    better = values["better of two, share right"]
    shares = {key: f"{getattr(better, key):.1%}" for key in ("value", "low", "high")}
    verdict = gettext_lazy(
        "the ranker picks the better of two creatives that differ in {value} ({low} to {high}) of {pairs} pairs of "
        "later "
        "tests",
        pairs=better.n,
        **shares,
    )
    if better.low <= 0.5:
        verdict = gettext_lazy(
            "{verdict}: no better than chance is excluded, so test new creatives evenly", verdict=verdict
        )
    new = later if settings.new is None else _new(folder / settings.new, settings)
    plan = plan_ranked_creatives(whole, new, settings, better.low > 0.5)
    known = _catalogue(settings, pl.concat([earlier, later]), plan["text"])
    notes = (gettext_lazy("learned from {pairs} pairs of earlier tests", pairs=f"{ranker.pairs:,}"),)
    return CreativeResults(
        settings, "tests", COUNTS_FRAME.clear(), known, earlier.height, later.height, plan, values, pl.DataFrame(),
        verdict, notes,
    )  # fmt: skip


def _arms(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("test", "text", maintain_order=True).agg(
        pl.col("shown").sum().cast(pl.Int64), pl.col("clicks").sum().cast(pl.Int64).alias("clicked")
    ).rename({"test": "test_id"})  # fmt: skip


def _new(path: Path, settings: CreativeSettings) -> pl.DataFrame:
    name = settings.text or settings.creative
    raw = pl.DataFrame({name: read_lines(path)}) if path.suffix == ".txt" else read_trial_file(path)
    if name not in raw.columns:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "{path}: no column {name}{suggest_nearest_name}, which holds the creatives' words",
                path=path,
                name=repr(name),
                suggest_nearest_name=suggest_nearest(name, raw.columns),
            ),
        )
    tests = [pl.col(each).cast(pl.String) for each in settings.test if each in raw.columns] or [pl.lit("all")]
    return raw.select(pl.concat_str(tests, separator="|").alias("test"), pl.col(name).fill_null("").alias("text"))


def read_lines(path: Path) -> list[str]:
    """A text file's lines that are not empty; InputError where there are none, or it is no text."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "file_unreadable",
            gettext_lazy(
                "{path}: cannot be read as text ({error}); save it as UTF-8, a creative a line", path=path, error=error
            ),
        ) from None
    if not any(lines):
        raise InputError("file_empty", gettext_lazy("{path}: no creatives; write one a line", path=path))
    return [line for line in lines if line]


def evaluate_ranker(ranker: TextRanker, arms: pl.DataFrame) -> dict[str, SampleEstimate]:
    """On tests the ranker did not see: how often it picks the better of two that differ at the 5 % level, and clicks
    per impression of its pick beside the mean of all and the longest; errors by test."""
    scored = arms.with_columns(pl.Series("score", ranker.scores(arms["text"].to_list())))
    pairs = scored.join(scored, on="test_id", suffix="_b").filter(pl.col("text") < pl.col("text_b"))
    z = click_z(*(pairs[c].to_numpy() for c in ("shown", "clicked", "shown_b", "clicked_b")))
    sure = np.abs(z) > Z95
    if not sure.any():
        raise SupportError(
            "no_significant_difference",
            gettext_lazy("later tests: no two creatives of one differ beyond chance, so nothing can be judged"),
        )
    right = ((pairs["score"] - pairs["score_b"]).to_numpy()[sure] > 0) == (z[sure] > 0)
    found = {
        "better of two, share right": _by_test(right * 1.0, np.ones(len(right)), pairs["test_id"].to_numpy()[sure])
    }
    rate = pl.col("clicked") / pl.col("shown")
    tests = scored.group_by("test_id").agg(
        rate.sort_by("score").last().alias("pick"), rate.mean().alias("mean"),
        rate.sort_by(pl.col("text").str.len_chars()).last().alias("longest"), pl.col("shown").sum(), pl.len(),
    ).filter(pl.col("len") > 1).sort("test_id")  # fmt: skip
    weight, by = tests["shown"].to_numpy().astype(np.float64), tests["test_id"].to_numpy()
    pick, mean, longest = (tests[name].to_numpy() for name in ("pick", "mean", "longest"))
    named = {"ranker's pick": pick, "shown evenly": mean, "longest": longest, "pick over evenly": pick - mean,
             "pick over longest": pick - longest}  # fmt: skip
    return found | {name: _by_test(value, weight, by) for name, value in named.items()}


def _by_test(value_N: Floats, weight_N: Floats, test_N: np.ndarray) -> SampleEstimate:
    """A weighted mean; its interval by tests drawn with replacement."""
    of_N = np.unique(test_N, return_inverse=True)[1]
    above, below = np.bincount(of_N, value_N * weight_N), np.bincount(of_N, weight_N)
    drawn = np.random.default_rng(0).integers(0, len(above), (BOOTSTRAP_DRAWS, len(above)))
    low, high = np.quantile(above[drawn].sum(axis=1) / below[drawn].sum(axis=1), [0.025, 0.975])
    return SampleEstimate(float(above.sum() / below.sum()), float(low), float(high), len(value_N))


def plan_ranked_creatives(
    ranker: TextRanker, new: pl.DataFrame, settings: CreativeSettings, sure: bool
) -> pl.DataFrame:
    """Each creative of each test with its score, share and impressions: the pick gets what is not drawn evenly."""
    texts = new.select("test", "text").unique(maintain_order=True)
    scored = texts.with_columns(pl.Series("score", ranker.scores(texts["text"].to_list())))
    first = pl.col("score").rank("ordinal", descending=True).over("test") == 1
    kept = settings.explore if sure else 1.0
    each = pl.lit(kept) / pl.len().over("test") + pl.when(first).then(1 - kept).otherwise(0.0)
    tests = scored["test"].n_unique()
    return _paced(scored.with_columns(share=each / tests), settings).sort("test", "score", descending=[False, True])


def _paced(plan: pl.DataFrame, settings: CreativeSettings) -> pl.DataFrame:
    """With impressions in all and a day (rounded down, so that the budget holds), and the cap."""
    return plan.with_columns(
        impressions=(settings.budget * pl.col("share")).floor().cast(pl.Int64),
        daily=(settings.budget * pl.col("share") / settings.days).floor().cast(pl.Int64),
        cap_a_day=pl.lit(settings.cap),
    )


def _from_impressions(
    settings: CreativeSettings, folder: Path, earlier: pl.DataFrame, later: pl.DataFrame, tell: Progress
) -> CreativeResults:
    if settings.propensity is None:
        raise InputError(
            "propensity_missing",
            gettext_lazy(
                "{path}: each row is an impression and no column says with which probability its creative "
                "was drawn: name it (propensity), or a test within which creatives were randomised, with "
                "`shown`",
                path=settings.path,
            ),
        )
    tell("learn", 0.3, gettext_lazy("clicks by placement and audience"))
    best = learned_policy(earlier)
    bandit, clicked = settings.policy == "bandit", earlier["clicks"].sum() > 0
    shares = {"next shares": bandit_policy(earlier, settings.explore)} if bandit and clicked else {}
    policies = {"best fixed creative": fixed_policy(earlier), **shares, "learned policy": best}
    tell("learn", 0.6, gettext_lazy("what later impressions say"))
    found = estimate_policy_values(later, policies)
    lead = found.values.get("learned policy over what ran")
    claims = lead is not None and found.clicks >= MIN_CLICKS and lead.low > 0
    why = gettext_lazy(
        "{clicks} clicks in {impressions} later impressions",
        clicks=f"{later['clicks'].sum():.0f}",
        impressions=f"{later.height:,}",
    )
    span = (
        ""
        if lead is None
        else gettext_lazy(
            "{lead} clicks per impression, {low} to {high}; ",
            lead=f"{lead.value:+.5f}",
            low=f"{lead.low:+.5f}",
            high=f"{lead.high:+.5f}",
        )
    )
    if claims:
        verdict = gettext_lazy("the learned policy beats what ran ({span}{why})", span=span, why=why)
    else:
        verdict = gettext_lazy(
            "nothing is claimed: {why} cannot tell the learned policy from what ran ({span}worth {clicks} clicks, "
            "{least} "
            "are needed); keep what runs, and draw a share evenly",
            why=why,
            span=span,
            clicks=f"{found.clicks:.0f}",
            least=MIN_CLICKS,
        )
    whole = pl.concat([earlier, later])
    if bandit:
        new = () if settings.new is None else _new(folder / settings.new, settings)["text"]
        best, claims = bandit_policy(whole, settings.explore, new), True
        verdict = describe_next_shares(found.values, why)
    plan = plan_impressions(whole, best if claims else None, settings)
    known = _catalogue(settings, whole, plan["creative"])
    return CreativeResults(
        settings, "impressions", count_impressions(whole), known, earlier.height, later.height, plan, found.values,
        click_rate_by_exposure(whole), verdict, tuple(found.notes),
    )  # fmt: skip


COUNTS_FRAME = pl.DataFrame(schema={
    "placement": pl.String, "audience": pl.String, "creative": pl.String, "shown": pl.Float64, "clicks": pl.Float64,
})  # fmt: skip


def count_impressions(rows: pl.DataFrame) -> pl.DataFrame:
    """COUNTS: impressions and clicks by placement, audience and creative."""
    return rows.group_by("placement", "audience", "creative").agg(pl.col("shown", "clicks").sum())


def _catalogue(settings: CreativeSettings, rows: pl.DataFrame, planned: pl.Series) -> CreativeCatalogue:
    """Each planned creative as it was last; a new one is its words. Of tests the text names the creative."""
    name = "creative" if settings.shown is None else "text"
    last = rows.group_by(pl.col(name).alias("name")).agg(pl.col("text", "picture").last()).rows()
    known = {each: Creative(text=text, picture=picture) for each, text, picture in last}
    every = planned.unique().sort()
    return CreativeCatalogue(
        settings=settings, creatives={each: known.get(each) or Creative(text=each) for each in every}
    )


def serving_shares(plan: pl.DataFrame, counts: pl.DataFrame) -> pl.DataFrame:
    """placement, audience, creative, share, shown, clicks: what is served and what the next shares go on from. A test
    is a placement of its own."""
    if "test" in plan.columns:
        plan = plan.select(placement="test", audience=pl.lit("all"), creative="text", share="share")
    by = ["placement", "audience", "creative"]
    both = plan.select(*by, "share").join(counts, on=by, how="full", coalesce=True)
    return both.with_columns(pl.col("share", "shown", "clicks").fill_null(0.0)).sort(by)


def describe_next_shares(values: dict[str, SampleEstimate], why: str) -> LazyMessage:
    """What the next shares would have earned beside what ran, where that can be said."""
    if (worth := values.get("next shares")) is None:
        return gettext_lazy(
            "the next shares follow what clicks say so far; what they earn cannot be said yet ({why})", why=why
        )
    lead = values["next shares over what ran"]
    return gettext_lazy(
        "shares learned from the earlier rows earn {value} clicks per impression on the later ones ({low} to {high}), "
        "{least} to {most} beside what ran ({why})",
        value=f"{worth.value:.5f}",
        low=f"{worth.low:.5f}",
        high=f"{worth.high:.5f}",
        least=f"{lead.low:+.5f}",
        most=f"{lead.high:+.5f}",
        why=why,
    )


def learned_policy(rows: pl.DataFrame) -> pl.DataFrame:
    """placement, audience, creative: the creative of the largest rate (weighted by propensity and shrunk to the
    placement's, so that few clicks do not choose) of each placement and audience."""
    return _largest(rows.filter(pl.col("audience").is_in(_many(rows))), ["placement", "audience"])


def _many(rows: pl.DataFrame) -> list[str]:
    """The audiences that are told apart: those seen most."""
    counts = rows.group_by("audience").agg(pl.col("shown").sum()).sort("shown", "audience", descending=[True, False])
    return counts["audience"].head(MAX_AUDIENCES).to_list()


def bandit_policy(rows: pl.DataFrame, explore: float, new: Iterable[str] = ()) -> pl.DataFrame:
    """placement, audience, creative, share: of each placement and audience, `explore` evenly over all creatives, those
    of `new` too, the rest by the probability that a creative is the best there. Counts of a placement and audience are
    taken as they are: within it, nothing but the period may have moved who got what."""
    by = ["placement", "audience"]
    known = rows.filter(pl.col("audience").is_in(_many(rows)))
    if not known["clicks"].sum():
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy("no click at the audiences that are seen most; nothing can be learned of them"),
        )
    names = sorted({*known["creative"], *new})
    cells = known.select(by).unique().sort(by)
    seen = known.group_by(*by, "creative").agg(pl.col("shown").sum().alias("n"), pl.col("clicks").sum())
    every = cells.join(pl.DataFrame({"creative": names}), how="cross").sort(*by, "creative")
    counts_CA = every.join(seen, on=[*by, "creative"], how="left", maintain_order="left").fill_null(0.0)
    shape = (cells.height, len(names))
    shares_CA = thompson_shares(counts_CA["n"].to_numpy().reshape(shape), counts_CA["clicks"].to_numpy().reshape(shape))
    share = pl.Series("share", (1 - explore) * shares_CA.ravel() + explore / len(names))
    return counts_CA.select(*by, "creative", share)


def fixed_policy(rows: pl.DataFrame) -> pl.DataFrame:
    """creative: the one of the largest rate over all placements and audiences."""
    return _largest(rows, [])


def _largest(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    weight = 1 / pl.col("prob")
    mean = rows.select((pl.col("clicks") * weight).sum() / weight.sum()).item()
    sums = rows.group_by(*by, "creative").agg(
        rate=(pl.col("clicks") * weight).sum() / weight.sum(), worth=weight.sum() ** 2 / (weight**2).sum()
    )
    worth = pl.col("worth")
    rates = sums.with_columns(
        rate=(pl.col("rate") * worth + SHRINKAGE_IMPRESSIONS * mean) / (worth + SHRINKAGE_IMPRESSIONS)
    )
    ordered = rates.sort([*by, "rate", "creative"], descending=[False] * len(by) + [True, False])
    best = ordered.group_by(by, maintain_order=True).first() if by else ordered.head(1)
    return best.select(*by, "creative")


(
    gettext_noop("what ran"),
    gettext_noop("best fixed creative"),
    gettext_noop("next shares"),
    gettext_noop("learned policy"),
)
gettext_noop("better of two, share right"), gettext_noop("ranker's pick"), gettext_noop("shown evenly")
gettext_noop("longest"), gettext_noop("pick over evenly"), gettext_noop("pick over longest")


class PolicyValues(NamedTuple):
    """Values by name; how many clicks, in effect, the learned policy's rests on; what could not be valued, and why."""

    values: dict[str, SampleEstimate]
    clicks: float
    notes: list[LazyMessage]


def estimate_policy_values(rows: pl.DataFrame, policies: dict[str, pl.DataFrame]) -> PolicyValues:
    """Clicks per impression of what ran and of each policy, together and at each placement, with its difference to what
    ran: by the estimators of `learn.off_policy`, each row with its own propensity, the placement among its features.
    What a policy says nothing of goes on as it ran. Errors by viewer where all are named."""
    ran = _measured(rows["clicks"].to_numpy())
    found, notes, clicks = {"what ran": ran}, list[LazyMessage](), 0.0
    places = rows["placement"].unique().sort().to_list()
    for name, policy in policies.items():
        for place in [None, *(places if len(places) > 1 else [])]:
            some = rows if place is None else rows.filter(pl.col("placement") == place)
            policy_name = LazyMessage.of(name, {})
            named = policy_name
            if place is not None:
                named = gettext_lazy("{policy}, placement {place}", policy=policy_name, place=place)
            try:
                value = _value(some, policy)
            except SupportError as error:
                notes.append(gettext_lazy("{policy}: not valued: {error}", policy=named, error=error.message))
                continue
            low, high, less, more = value.low, value.high, value.gain_low, value.gain_high
            if value.rewarded < 1:  # no click at all: as many rows as it is worth cannot exclude a rate of some
                low, high = wilson_interval(0.0, value.support.effective)
                less, more = low - ran.high, high - ran.low
            found[named] = SampleEstimate(value.value, low, high, some.height)
            if place is None:
                over = gettext_lazy("{policy} over what ran", policy=policy_name)
                found[over] = SampleEstimate(value.value - value.logged, less, more, some.height)
                clicks = value.rewarded
    return PolicyValues(found, clicks, notes)


def _value(rows: pl.DataFrame, policy: pl.DataFrame) -> OffPolicyValue:
    names = rows["creative"].unique().sort().to_list()
    place = {name: at for at, name in enumerate(names)}
    by: list[str] = [each for each in ("placement", "audience") if each in policy.columns]
    shares = policy if "share" in policy.columns else policy.with_columns(share=1.0)
    if not by:
        rows, shares, by = rows.with_columns(all=0), shares.with_columns(all=0), ["all"]
    action_N = rows["creative"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    cells = rows.select(by).unique(maintain_order=True).with_row_index("cell")
    cell_N = rows.join(cells, on=by, how="left", maintain_order="left")["cell"].to_numpy()
    given = cells.join(shares, on=by).filter(pl.col("creative").is_in(names))
    given_CA = np.zeros((cells.height, len(names)))
    given_CA[given["cell"], given["creative"].replace_strict(place, return_dtype=pl.Int64)] = given["share"]
    ran_A = np.bincount(action_N, minlength=len(names)) / len(action_N)
    policy_NA = (given_CA + (1 - given_CA.sum(axis=1, keepdims=True)) * ran_A)[cell_N]
    unit = None if rows["customer"].null_count() else rows["customer"].to_numpy()
    context_NF = rows.select("placement").to_dummies().to_numpy().astype(np.float64)
    log = read_log(action_N, rows["clicks"].to_numpy(), rows["prob"].to_numpy(), context_NF, unit)
    return estimate_value(log, policy_NA, OffPolicySettings())


def _measured(clicks_N: Floats) -> SampleEstimate:
    low, high = wilson_interval(float(clicks_N.sum()), len(clicks_N))
    return SampleEstimate(float(clicks_N.mean()), low, high, len(clicks_N))


def plan_impressions(rows: pl.DataFrame, best: pl.DataFrame | None, settings: CreativeSettings) -> pl.DataFrame:
    """Shares of creatives at each placement for each audience: what ran where nothing is claimed, else the learned
    creative; `explore` of it all drawn evenly. Impressions within the budget, a day, and the cap a viewer."""
    by = ["placement", "audience"]
    ran = rows.group_by(*by, "creative").agg(pl.col("shown").sum().alias("n")).with_columns(
        given=pl.col("n") / pl.col("n").sum().over(by), part=pl.col("n").sum().over(by) / rows["shown"].sum(),
        many=pl.len().over(by),
    )  # fmt: skip
    given = (1 - settings.explore) * pl.col("given") + settings.explore / pl.col("many")
    if best is not None and "share" in best.columns:
        parts = ran.select(*by, "part").unique()
        ran = pl.concat([
            best.select(*by, "creative", given="share").join(parts, on=by),
            ran.join(best, on=by, how="anti").select(*by, "creative", given.alias("given"), "part"),
        ])  # fmt: skip
        given = pl.col("given")
    elif best is not None:
        picked = ran.join(best.rename({"creative": "pick"}), on=by, how="left")
        is_pick = (pl.col("creative") == pl.col("pick")).cast(pl.Float64)
        ran = picked.with_columns(given=pl.coalesce(is_pick, "given"))
    plan = ran.select(*by, "creative", share=pl.col("part") * given)
    plan = plan.sort([*by, "share", "creative"], descending=[False, False, True, False])
    return _paced(plan, settings)


def click_rate_by_exposure(rows: pl.DataFrame) -> pl.DataFrame:
    """exposure, impressions, clicks, rate, low, high: clicks by how often a viewer had seen the creative before, where
    viewers are named. Who sees it often is no random viewer: read it as a description."""
    if rows["customer"].null_count():
        return pl.DataFrame()
    seen = rows.with_columns(
        exposure=pl.int_range(pl.len()).over("customer", "creative").clip(0, MAX_EXPOSURES - 1) + 1
    )
    counts = seen.group_by("exposure").agg(pl.len().alias("impressions"), pl.col("clicks").sum()).sort("exposure")
    spans = [(hits / n, *wilson_interval(hits, n)) for _, n, hits in counts.iter_rows()]
    return counts.with_columns(pl.DataFrame(spans, schema=["rate", "low", "high"], orient="row"))
