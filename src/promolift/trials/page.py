"""Build the page of a trial: the arms, average effects, who gains more, policies, and a plan."""

from functools import partial
from typing import Any

import polars as pl

from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    interval_name,
    join_sentences,
    level_name,
    low_to_high,
    number,
    percent,
    truncate,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import (
    Block,
    Chapter,
    Figure,
    KeyFigure,
    Page,
    Tone,
    note,
    table,
    unknown_note,
)
from promolift.foundation.pages.charts import (
    Axis,
    ForestRow,
    Line,
    calibration_chart,
    forest_plot,
    headline,
    line_chart,
    table_by_point,
    table_by_x,
    unknowns,
)
from promolift.trials.analysis.results import (
    TrialEvaluation,
    TrialResults,
    describe_features,
)
from promolift.trials.analysis.trial_story import TrialStory, as_sentence, why_unjudged
from promolift.trials.policy_chapters import plan_chapter, policies_chapter

LEVEL_MEANING = {
    gettext_noop("randomised"): gettext_noop("differences between arms are effects"),
    gettext_noop("assumed"): gettext_noop("randomised only if what differs between the arms was measured afterwards"),
    gettext_noop("adjusted"): gettext_noop(
        "not randomised: compared with customers alike in all that is recorded, which proves nothing"
    ),
}


def build_trial_page(found: TrialResults) -> Page:
    """Return the page of `promolift effect report`. What has not run yet is a gap that names the command."""
    trial = TrialStory(found)
    facts = {gettext("Customers"): count(trial.fit.customers), gettext("Arms"): count(len(trial.arms))}
    facts |= (
        {gettext("Outcomes watched"): gettext("{days} days", days=trial.settings.days)} if trial.settings.days else {}
    )
    return Page(
        name=trial.settings.name,
        eyebrow=gettext("The trial"),
        facts=facts | {gettext("Evidence"): level_name(trial.level)},
        head=_head(trial),
        key_figures=_key_figures(trial),
        chapters=[
            _arms(trial),
            _effects(trial),
            *_depth(trial),
            _whom(trial),
            policies_chapter(trial),
            plan_chapter(trial),
            _unknown(trial),
        ],
        currency=trial.settings.currency,
    )


def _head(trial: TrialStory) -> KeyFigure:
    if trial.results.plan:
        plan, cash = trial.results.plan.note, MoneyFormat(trial.settings.currency)
        text = gettext(
            "What the plan is expected to add beyond treating nobody, {basis}.",
            basis=trial.basis(trial.settings.deciding_outcome),
        )
        gain = IntervalEstimate(*(trial.cents(amount) for amount in (plan.gain, plan.low, plan.high)))
        return headline(gettext("Expected extra profit"), gain, text, trial.level, cash)
    first = trial.settings.outcomes[0]
    best = trial.effects(first)[0]
    text = gettext(
        "What {arm} adds to {outcome}, on average{paid}.", arm=best["arm"], outcome=first, paid=_paid(trial, best)
    )
    return KeyFigure(gettext("Average effect"), trial.added(first, best["effect"]), text, trial.level)


def _paid(trial: TrialStory, each: dict[str, Any]) -> str:
    """What is left of an effect on money once it is paid for; nothing where net is gross or cannot be told."""
    if each["net"] is None or trial.settings.gross(each["outcome"]):
        return ""
    span = low_to_high(each["net_low"], each["net_high"], trial.cash)
    return gettext(
        "; {basis}: {net} ({span})", basis=trial.basis(each["outcome"]), net=trial.cash(each["net"]), span=span
    )


def _key_figures(trial: TrialStory) -> list[KeyFigure]:
    figures = []
    for outcome in trial.settings.outcomes[:3]:
        best = trial.effects(outcome)[0]
        without = trial.amount(outcome, best["control_mean"])
        text = gettext(
            "{arm} adds this to {without} without it{paid}.", arm=best["arm"], without=without, paid=_paid(trial, best)
        )
        figures.append(KeyFigure(outcome, trial.added(outcome, best["effect"]), text, trial.level))
    if trial.results.plan:
        plan = trial.results.plan.note
        text = gettext(
            "{treated} of {customers} customers, {cost} of it spent.",
            treated=count(plan.treated),
            customers=count(plan.customers),
            cost=trial.cash(plan.cost),
        )
        figures.append(KeyFigure(gettext("Budget"), trial.cash(plan.budget), text))
    return figures


def _arms(trial: TrialStory) -> Chapter:
    fit = trial.fit
    given = zip(fit.arms, fit.counts, fit.shares, strict=True)
    tone: Tone = "good" if fit.level == "randomised" else "warn"
    blocks: list[Figure | Block] = [
        table(
            gettext("Who got what"),
            [gettext("arm"), gettext("customers"), gettext("share")],
            [[name, count(n), percent(of, 2)] for name, n, of in given],
            evidence=trial.level,
        ),
        note(
            gettext(
                "{level}: {reasons}.",
                level=level_name(fit.level),
                reasons=gettext("; ").join(map(render_message, fit.reasons)),
            ),
            tone,
        ),
    ]
    blocks += [note(as_sentence(doubt), "warn") for doubt in fit.doubts]
    sure = tuple(name for name in fit.features if name not in fit.unsure)
    blocks += [note(render_message(text)) for text in describe_features(sure, fit.unsure) if fit.unsure]
    if fit.checks:
        done = [
            [
                render_message(c.name),
                number(c.p),
                gettext("passed") if c.passed else pgettext("page", "failed"),
                render_message(c.meaning),
            ]
            for c in fit.checks
        ]
        blocks.append(
            table(
                gettext("Checks of the randomisation"),
                [gettext("check"), "p", "", gettext("what it found")],
                done,
                words=(2, 3),
            )
        )
    blocks.append(_balance(trial))
    if fit.hidden:
        rows = [[arm, number(strength)] for arm, strength in fit.hidden.items()]
        heads = [gettext("arm"), gettext("E-value (risk ratio with treatment and outcome)")]
        text = gettext("How strong an unrecorded cause must be to explain the first effect away; 1: nothing is needed.")
        blocks.append(table(gettext("Hidden causes"), heads, rows, text))
    if trial.results.fitted.placebos.height:
        rows = [
            [r["outcome"], r["arm"], number(r["effect"]), low_to_high(r["low"], r["high"], number), number(r["p"])]
            for r in trial.results.fitted.placebos.iter_rows(named=True)
        ]
        heads = [gettext("outcome that cannot have moved"), gettext("arm"), gettext("effect"), interval_name(), "p"]
        blocks.append(table(gettext("Placebos"), heads, rows, words=(1,)))
    lead = gettext(
        "Evidence level {level}: {meaning}.",
        level=level_name(fit.level),
        meaning=gettext(LEVEL_MEANING[fit.level]) if fit.level in LEVEL_MEANING else "",
    )
    return Chapter("arms", gettext("The arms"), gettext("Can the arms be compared?"), lead, blocks)


def _balance(trial: TrialStory) -> Figure:
    fit = trial.fit
    worst = trial.results.fitted.balance.sort(pl.col("after").abs(), descending=True).head(12)
    marks = [
        ForestRow(
            truncate(gettext("{feature}, {arm}", feature=r["feature"], arm=r["arm"]), 44),
            r["after"],
            cells=[number(r["before"])],
            tone="main" if abs(r["after"]) < fit.much_gap else "bad",
        )
        for r in worst.iter_rows(named=True)
    ]
    return forest_plot(
        "balance",
        gettext("Were the arms alike before?"),
        gettext(
            "The largest difference between an arm and control is {largest_gap} standard "
            "deviations; {much_gap} would be much.",
            largest_gap=number(fit.largest_gap),
            much_gap=number(fit.much_gap),
        ),
        Axis(gettext("difference from control, standard deviations"), "fixed"),
        (gettext("feature and arm"), gettext("after weighting"), gettext("before")),
        marks,
        number,
        n=count(fit.overlap_customers),
        wide=True,
    )


def _effects(trial: TrialStory) -> Chapter:
    blocks: list[Figure | Block] = [
        _average(trial, place, outcome) for place, outcome in enumerate(trial.settings.outcomes)
    ]
    blocks += [_pairs(trial)] if len(trial.arms) > 2 else []
    lead = gettext("Averages over all customers, doubly robust: what is known of customers only takes noise away.")
    return Chapter("effects", gettext("Effects"), gettext("What did each treatment add?"), lead, blocks)


def _pairs(trial: TrialStory) -> Block:
    """Every arm against every other, by the outcome that decides."""
    outcome = trial.settings.deciding_outcome
    more, rows = partial(trial.added, outcome), trial.results.fitted.pairs.filter(pl.col("outcome") == outcome)
    keys = ("effect", "low", "high") if outcome != trial.settings.money else ("net", "net_low", "net_high")
    cells = [
        [
            r["arm"],
            r["against"],
            more(r[keys[0]]),
            low_to_high(r[keys[1]], r[keys[2]], more),
            number(r["p_holm"]),
            (gettext("shown") if r["shown"] else gettext("not shown")),
        ]
        for r in rows.iter_rows(named=True)
    ]
    text = join_sentences(
        trial.basis_sentence(outcome),
        gettext("Intervals hold for all pairs at once; p by Holm, of {outcome} before cost.", outcome=outcome),
    )
    heads = [
        gettext("arm"),
        gettext("against"),
        gettext("ahead by"),
        interval_name(),
        gettext("p, all pairs"),
        gettext("better"),
    ]
    return table(
        gettext("Every pair of arms, by {outcome_label}", outcome_label=trial.outcome_label(outcome)),
        heads,
        cells,
        text,
        words=(1, 5),
        evidence=trial.level,
    )


def _average(trial: TrialStory, place: int, outcome: str) -> Figure:
    """Effects in the unit of the file; beside those on money what is left once they are paid for."""
    say, more = partial(trial.amount, outcome), partial(trial.added, outcome)
    found = trial.effects(outcome)
    best = found[0]
    paid = outcome == trial.settings.money and not trial.settings.gross(outcome)

    marks = [
        ForestRow(
            e["arm"], e["effect"], e["low"], e["high"],
            [say(e["control_mean"]),
            *([more(e["net"]), low_to_high(e["net_low"], e["net_high"], more)] if paid else []),
             number(e["p_holm"])],
        )
        for e in found
    ]  # fmt: skip
    return forest_plot(
        f"effect-{place}",
        outcome,
        gettext(
            "{arm} adds {added} to {without}{paid}.",
            arm=best["arm"],
            added=more(best["effect"]),
            without=say(best["control_mean"]),
            paid=_paid(trial, best),
        ),
        trial.axis(gettext("added to {outcome}, per customer", outcome=outcome), outcome),
        [
            gettext("arm"),
            gettext("adds"),
            gettext("without"),
            *([gettext("net"), interval_name()] if paid else []),
            gettext("p, all looked at"),
        ],
        marks,
        more,
        how=gettext(
            "Added to what customers spent; {basis}, it is worth what the table says.", basis=trial.basis(outcome)
        )
        if paid
        else "",
        n=count(trial.fit.overlap_customers),
        evidence=trial.level,
    )


def _depth(trial: TrialStory) -> list[Chapter]:
    """Gain along the depth, where treatments are depths."""
    dose, outcome = trial.results.fitted.dose, trial.settings.deciding_outcome
    if dose is None:
        return []
    tones = {
        gettext_noop("everybody"): "ink",
        gettext_noop("lowest third"): "blue",
        gettext_noop("middle third"): "grey",
        gettext_noop("highest third"): "orange",
    }
    columns = dose.select("depth", "gain", "low", "high", "customers")
    series = [Line(gettext(name), tone, columns.filter(dose["segment"] == name).rows()) for name, tone in tones.items()]
    more = partial(trial.added, outcome)
    top = dose.filter(pl.col("segment") == "everybody").sort("gain").row(-1, named=True)
    how = gettext("Thirds by the outcome that was expected of customers. Bands: 95 % of the mean gain.")
    figure = line_chart(
        "depth",
        gettext("Gain along the depth"),
        gettext(
            "Largest for everybody at {depth} off: {more} a customer.",
            depth=percent(top["depth"]),
            more=more(top["gain"]),
        ),
        Axis(gettext("discount"), "share"),
        trial.axis(
            gettext("added to {outcome_label}, per customer", outcome_label=trial.outcome_label(outcome)), outcome
        ),
        [line._replace(points=[(0.0, 0.0), *line.points]) for line in series],
        table_by_point(
            [gettext("customers"), gettext("discount"), gettext("adds"), gettext("number")],
            [line._replace(points=line.points[3::4]) for line in series],
            percent,
            more,
        ),
        how=join_sentences(trial.basis_sentence(outcome), how) if outcome == trial.settings.money else how,
        evidence=trial.level,
        wide=True,
        origin=True,
    )
    lead = gettext("Depths are pooled: 10 % and 30 % tell about 20 %.")
    return [Chapter("depth", gettext("Depth"), gettext("How deep should a discount go?"), lead, [figure])]


def _whom(trial: TrialStory) -> Chapter:
    """Curves, calibration and figures."""
    title = gettext("Who gains more?")
    lead = gettext("Predicted on one half of the customers by models of the other half, and turned round.")
    judged = trial.evaluation
    if judged is None:
        return Chapter(
            "whom",
            gettext("Whom"),
            title,
            lead,
            [unknown_note(gettext("how well customers are told apart"), why_unjudged(trial))],
        )
    first, fair = trial.settings.outcomes[0], not judged.qini.is_empty()
    blocks: list[Figure | Block] = [note(as_sentence(each), "warn") for each in judged.note.samples]
    if not fair:
        why = gettext("a Qini curve is fair only where everybody had the same propensity of each arm")
        blocks.append(unknown_note(gettext("a Qini curve"), why))
    draws = (_curve, _deciles) if fair else (_deciles,)
    blocks += [draw(trial, judged, first, arm) for arm in range(1, len(trial.arms)) for draw in draws]
    cells = [
        [
            trial.outcome_label(r["outcome"]),
            r["arm"],
            gettext(r["figure"]),
            gettext(r["by"]),
            number(r["value"]),
            low_to_high(r["low"], r["high"], number),
        ]
        for r in judged.qini.iter_rows(named=True)
    ]
    text = gettext(
        "Qini: area between curve and diagonal over that of the ideal order; Qini area: in the outcome's own unit."
    )
    heads = [
        gettext("outcome"),
        gettext("arm"),
        pgettext("page", "figure"),
        gettext("ranked by"),
        gettext("value"),
        interval_name(),
    ]
    if fair:
        blocks.append(
            table(gettext("Beside the simple rule"), heads, cells, text, words=(1, 2, 3), evidence=trial.level)
        )
    return Chapter("whom", gettext("Whom"), title, lead, blocks)


def _curve(trial: TrialStory, judged: TrialEvaluation, outcome: str, arm: int) -> Figure:
    mine = (pl.col("outcome") == outcome) & (pl.col("arm") == trial.arms[arm])
    ours, theirs = (judged.curves.filter(mine & (pl.col("by") == by)) for by in ("effect", "response"))
    last, more = ours.row(-1, named=True), partial(trial.added, outcome)
    best = Line(gettext("best effect first"), "blue", ours.select("share", "gain", "low", "high").rows())
    beside = Line(gettext("best customers first"), "orange", ours.select("share", "other").rows())
    finding = gettext("No order of these customers can be told from another.")
    found = judged.qini.filter(mine & (pl.col("by") == "effect"))
    if found.height:
        r = found.row(0, named=True)
        span = low_to_high(r["low"], r["high"], number)
        finding = gettext(
            "{figure} {value} ({span}); 0 is no better than at random.",
            figure=upper_first(gettext(r["figure"])),
            value=number(r["value"]),
            span=span,
        )
    return line_chart(
        f"curve-{arm}",
        gettext("{arms}: whom to treat first", arms=trial.arms[arm]),
        finding,
        Axis(gettext("share of customers treated"), "share"),
        trial.axis(
            gettext("added to {outcome_label}, per customer", outcome_label=trial.outcome_label(outcome)), outcome
        ),
        [
            best,
            beside._replace(points=theirs.select("share", "gain").rows()),
            Line(gettext("at random"), "ink", [(0.0, 0.0), (last["share"], last["gain"])]),
        ],
        table_by_x(
            gettext("treated"), [line._replace(points=line.points[::5]) for line in (best, beside)], percent, more
        ),
        how=join_sentences(
            gettext("Best customers first: by the outcome expected without any treatment."),
            trial.basis_sentence(outcome),
        ),
        evidence=trial.level,
        origin=True,
    )


def _deciles(trial: TrialStory, judged: TrialEvaluation, outcome: str, arm: int) -> Figure:
    rows = judged.deciles.filter((pl.col("outcome") == outcome) & (pl.col("arm") == trial.arms[arm]))
    finding = gettext(
        "{sum} of {height} predictions lie within what was realised.",
        sum=count(int(rows["inside"].sum())),
        height=count(rows.height),
    )
    return calibration_chart(
        f"deciles-{arm}",
        gettext("{arms}: predicted and realised", arms=trial.arms[arm]),
        finding,
        rows.select("predicted", "realised", "low", "high", "n").rows(),
        partial(trial.added, outcome),
        gettext("customers"),
        trial.axis(gettext("realised, added to {outcome_label}", outcome_label=trial.outcome_label(outcome)), outcome),
        how=trial.basis_sentence(outcome),
        evidence=trial.level,
    )


def _unknown(trial: TrialStory) -> Chapter:
    days = trial.settings.days
    watched = (
        gettext("What the treatments do after {days} days", days=days)
        if days
        else gettext("What the treatments do after the time the outcomes were watched")
    )
    rows = [
        (watched, gettext("Nobody looked longer."), gettext("Keep a holdout; look again.")),
        (
            gettext("What they do to others, or at another time"),
            gettext("Only these were randomised."),
            gettext("Randomise a small part of every campaign, so that the answer never grows old."),
        ),
    ]
    if trial.level != "randomised":
        what, todo = gettext("Whether the arms differ in what was not recorded"), gettext("Randomise the next one.")
        rows.insert(0, (what, gettext("They were not randomised."), todo))
    block = unknowns([dict(zip(("what", "why", "todo"), row, strict=True)) for row in rows])
    return Chapter(
        "unknown",
        gettext("Unknown"),
        gettext("What this does not tell"),
        gettext("So that nobody plans with it."),
        [block],
    )
