"""List the plays of a shop: audience, size now, benefits, reason, worst-case cost, and whether each is in play."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from promolift.core.customers.audience_query import query_audience, read_views
from promolift.core.customers.named_audiences import NamedAudience, named_audiences
from promolift.core.experiments.arm_shares import LEAST
from promolift.core.experiments.audiences import NOT_DUE
from promolift.core.messages.offer_text import describe_menu_line
from promolift.core.offers.menu import MenuItem
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, current_locale, money
from promolift.foundation.progress import StepSummary
from promolift.shop.configuration.play_costs import audience_lines, worst_cost_cents
from promolift.shop.configuration.plays import Play
from promolift.shop.pipeline.planning.play_audiences import current_audiences, load_views
from promolift.shop.results.line_tests import group_name
from promolift.shop.results.work_folder.plan_inputs import plan_spans
from promolift.shop.results.work_folder.run_context import Job, moments


class PlayRow(NamedTuple):
    """A play: its audience in plain words, how many may be written to now, what it tries, the reason that messages
    give, what a window costs at most in minor units, and why it is not in play, None where it is."""

    id: str
    audience: str
    customers: int
    benefits: tuple[str, ...]
    reason: str | None
    worst_cost_cents: int
    why_not: str | None


class _Facts(NamedTuple):
    """What the rows are made from; `baskets` has the mean order of each customer, in minor units."""

    job: Job
    members: pl.DataFrame
    baskets: pl.DataFrame


def list_plays(job: Job) -> list[PlayRow]:
    """The shop's own plays, then the audiences that every plan tests, then those that a play could name."""
    at, config = moments(job), job.config
    profiles = job.profiled.profiles(at.asof)
    members = current_audiences(job)
    facts = _Facts(job, members, profiles.select("customer_id", "basket_mean_cents"))
    groups = {play.group for play in config.plays}
    rows = [_own(facts, play) for play in config.plays]
    rows += [_built_in(facts, each) for each in named_audiences().values()
             if each.query is None and each.name not in groups]  # fmt: skip
    used = {play.audience for play in config.plays}
    asked = [each for each in named_audiences().values() if each.query and each.name not in used]
    views = load_views(job, at, members["customer_id"], {n for each in asked for n in read_views(each.query or "")})
    for each in asked:
        found = query_audience(each.query or "", views, each.name)
        rows.append(_proposed(facts, each, members.filter(pl.col("customer_id").is_in(found.implode()))))
    return rows


def _own(facts: _Facts, play: Play) -> PlayRow:
    config = facts.job.config
    mine = facts.members.filter(play=play.id)
    named = named_audiences().get(play.audience)
    lines = play.lines(config.menu, config.shop.currency)
    reason = play.reason_in(current_locale()) or play.reason or play.reason_zh
    why = named.empty_words if named and mine.is_empty() else _too_few(mine.height)
    words = named.words if named else " ".join(play.audience.split())
    return _row(facts, play.id, play.group, words, mine, lines, why, reason)


def _built_in(facts: _Facts, audience: NamedAudience) -> PlayRow:
    """An audience that every plan tests, with the lines of the menu that it begins with."""
    name, menu = audience.name, facts.job.config.menu
    mine = facts.members.filter(group=name)
    tried = audience_lines(name, menu)
    why = audience.empty_words if mine.is_empty() else _too_few(mine.height)
    if why is None and name == NOT_DUE:
        why = gettext("comes without an offer")
    if why is None and not tried:
        why = gettext("no line of the menu fits: add a reminder, or name benefits in [[plays]]")
    return _row(facts, name, name, audience.words, mine, tried, why, None)


def _proposed(facts: _Facts, audience: NamedAudience, mine: pl.DataFrame) -> PlayRow:
    """An audience that no play names yet."""
    config = facts.job.config
    play = Play(id="proposed", audience=audience.name)
    why = audience.empty_words if mine.is_empty() else _too_few(mine.height)
    if why is None:
        why = gettext('not asked for: add [[plays]] with audience = "{name}"', name=audience.name)
    lines = play.lines(config.menu, config.shop.currency)
    return _row(facts, audience.name, "proposed", audience.words, mine, lines, why, None)


def _too_few(customers: int) -> str | None:
    if customers >= 2 * LEAST:
        return None
    return gettext("fewer than {least} customers teach nothing", least=2 * LEAST)


def _row(
    facts: _Facts, name: str, group: str, words: str, mine: pl.DataFrame, lines: Sequence[MenuItem], why: str | None,
    reason: str | None,
) -> PlayRow:  # fmt: skip
    config = facts.job.config
    own = mine.join(facts.baskets, on="customer_id")["basket_mean_cents"].mean()
    basket = own if isinstance(own, float) else facts.baskets["basket_mean_cents"].mean()
    basket = basket if isinstance(basket, float) else 0.0
    cost = worst_cost_cents(group, lines, mine.height, basket, config.value.delivery_cost_cents)
    if why is None and not config.may_draw:
        why = gettext("nobody draws an offer with plan.test_share = 0, limits or privacy.epsilon")
    benefits = tuple(
        describe_menu_line(each.benefit, each.min_spend_cents, config.shop.currency, current_locale()) for each in lines
    )
    return PlayRow(name, words, mine.height, benefits, reason, round(cost), why)


def play_summary(job: Job) -> StepSummary:
    """The plays as text and figures."""
    rows, config = list_plays(job), job.config
    lines = [line for row in rows for line in _said(row, config.shop.currency)]
    days = count(plan_spans(job).window)
    head = gettext(
        "Plays of {name}, a window of {days} days. Costs are at most: everybody who draws an "
        "offer uses it once. The plan keeps to its budget whatever stands here.",
        name=config.shop.name,
        days=days,
    )
    figures = {"step": "plays", "currency": config.shop.currency, "plays": [row._asdict() for row in rows]}
    return StepSummary("\n".join([head, "", *lines]), figures)


def _said(row: PlayRow, currency: str) -> Iterator[str]:
    title = group_name(row.id)
    state = gettext("in play") if row.why_not is None else gettext("not in play")
    people = gettext("{customers} customers", customers=count(row.customers))
    most = money(row.worst_cost_cents, currency)
    yield gettext("{title}: {people}, at most {most}, {state}", title=title, people=people, most=most, state=state)
    yield "  " + row.audience
    if row.benefits:
        tries = gettext("; ").join(row.benefits)
        yield gettext("  tries: {tries}", tries=tries)
    if row.reason:
        yield gettext("  reason: {reason}", reason=row.reason)
    if row.why_not:
        yield gettext("  why not: {why_not}", why_not=row.why_not)
