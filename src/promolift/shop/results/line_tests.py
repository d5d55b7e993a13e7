"""Stored results of the line tests of a plan: what is given and drawn in each group, and sentences that describe it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import polars as pl
from pydantic import model_validator

from promolift.core.customers.named_audiences import named_audiences
from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.audiences import PREDICTED
from promolift.core.experiments.prediction_metrics import wilson_interval
from promolift.core.messages.offer_text import describe_menu_line
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.product_names import readable_name
from promolift.foundation.evidence import Z95, IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, current_locale, join_list, money, percent
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, LocalizedText
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note

TOO_FEW = 16  # customers of an audience below which nothing can be compared


class LineTestGroup(Settings):
    """An audience whose customers draw arms or nothing: the share of each arm and how many drew it, how many were sent
    anything and how many nothing, and the smallest effect that this window shows of the arm that fewest drew."""

    group: str
    arms: tuple[str, ...]
    shares: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    treated: int
    none: int
    detectable_cents: float

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, values: Any) -> Any:
        return _without(values, "needed", "even")


class LineTestNote(Note):
    """What this plan draws: `targeted` offers are given by predicted gains, `cost_cents` is what all that is sent is
    expected to cost, `ceiling_cents` what it costs at most but for one month in a thousand, `gain_cents` (with
    `gain_se_cents`) what it is believed to add after its cost, `largest` the largest audience, and `tests` how many
    windows of this campaign drew before this plan. `replaced` is for how many customers an earlier plan of the same day
    drew something else, which is kept no longer."""

    NAME: ClassVar[str] = "test"
    ALIASES: ClassVar[dict[str, str]] = {"given": "targeted"}
    tested: tuple[LineTestGroup, ...]
    targeted: int
    largest: int
    cost_cents: float
    ceiling_cents: float
    gain_cents: float = 0.0
    gain_se_cents: float = 0.0
    budget_cents: float
    window_days: int
    horizon_days: int
    effects: tuple[LineEffect, ...]
    tests: int = 0
    replaced: int = 0

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, values: Any) -> Any:
        return _without(values, "habit_flip", "assumed_visits", "visits_flip", "halves", "shown_cents")


def _without(values: Any, *keys: str) -> Any:
    return {key: value for key, value in values.items() if key not in keys} if isinstance(values, dict) else values


def all_draws(store: Store) -> pl.DataFrame | None:
    """Every window's draws of every campaign, a row per customer, oldest first; None before the first."""
    if not store.has("draws"):
        return None
    drawn = store.frame("draws")
    absent = {"aimed": pl.lit(False), "send_ms": pl.lit(None, pl.Int64)}  # of versions before
    drawn = drawn.with_columns(value.alias(name) for name, value in absent.items() if name not in drawn.columns)
    return drawn.with_columns(group=pl.when("aimed").then(pl.lit(PREDICTED)).otherwise("group"))  # as written now


def add_draws(store: Store, rows: pl.DataFrame, customer_ids: pl.Series) -> None:
    """Keep a plan's draws beside all earlier ones, in place of those of its own campaign and moment.

    `customer_ids` are those whom the log knows: who was erased from it vanishes from what was drawn before.
    """
    if (before := all_draws(store)) is not None:
        mine = rows.select("campaign_id", "ts_ms").unique()
        known = before.filter(pl.col("customer_id").is_in(customer_ids.implode()))
        rows = pl.concat([known.join(mine, on=["campaign_id", "ts_ms"], how="anti", maintain_order="left"), rows])
    store.save("draws", rows)


def purge_draws(store: Store, before_ms: int) -> int:
    """Delete the draws of moments before `before_ms`; how many rows there were."""
    if (drawn := all_draws(store)) is None:
        return 0
    stays = drawn.filter(pl.col("ts_ms") >= before_ms)
    if stays.height < drawn.height:
        store.save("draws", stays)
    return drawn.height - stays.height


def load_cells(store: Store) -> pl.DataFrame | None:
    """Load what the plan expects of each arm in each group, a row per cell; None if it drew none."""
    if not store.has("arms"):
        return None
    cells = store.frame("arms")
    cells = cells if "aimed" in cells.columns else cells.with_columns(aimed=pl.lit(False))
    aimed = cells.filter("aimed")
    if aimed.height and (aimed["group"] != PREDICTED).any():  # of a version before, by audience
        number, means = pl.col("customers"), pl.col("prior", "prior_se", "cost", "monthly")
        one = aimed.group_by("arm", maintain_order=True).agg((means * number).sum() / number.sum(), number.sum())
        one = one.with_columns(group=pl.lit(PREDICTED), aimed=pl.lit(True)).select(cells.columns)
        cells = pl.concat([cells.filter(~pl.col("aimed")), one])
    return cells if "monthly" in cells.columns else cells.with_columns(monthly="sd")  # of a version before


class RefusalsPerThousand(NamedTuple):
    """Of 1,000 customers who drew an arm, and who drew nothing in its place, how many refused further messages, with
    95 % intervals."""

    arm: IntervalEstimate
    none: IntervalEstimate


def refusals_per_thousand(effect: LineEffect) -> RefusalsPerThousand | None:
    """Return how many refused after an arm and without it; None where nobody drew one of both."""
    if not (effect.n_arm and effect.n_none):
        return None
    return RefusalsPerThousand(
        _per_thousand(effect.refused, effect.n_arm), _per_thousand(effect.refused_none, effect.n_none)
    )


def _per_thousand(count: int, n: int) -> IntervalEstimate:
    low, high = wilson_interval(count, n)
    return IntervalEstimate(1000 * count / n, 1000 * low, 1000 * high)


class TargetedRatios(NamedTuple):
    """Realised gain and cost of targeted lines as shares of what was predicted."""

    gain: float
    cost: float


def targeted_ratios(effects: Sequence[LineEffect]) -> TargetedRatios | None:
    """Return the ratios of all targeted lines together, weighted by customers drawn; None if none drew."""
    drew = [
        (each.n_arm, each.net_cents, each.gain_ratio, each.cost_cents, each.cost_ratio)
        for each in effects if each.n_arm > 0 and each.gain_ratio and each.cost_ratio
    ]  # fmt: skip
    if not drew:
        return None
    count_A, gain_A, gain_ratio_A, cost_A, cost_ratio_A = np.array(drew).T
    hoped, priced = count_A @ (gain_A / gain_ratio_A), count_A @ (cost_A / cost_ratio_A)
    return TargetedRatios(float(count_A @ gain_A / hoped), float(count_A @ cost_A / priced))


def describe_line(item: MenuItem, currency: str) -> str:
    """What a menu line gives, in words, on one category or product where it stands for many."""
    one = {
        "category": LocalizedText(zh="一个品类", en="one category"),
        "product": LocalizedText(zh="一件商品", en="one product"),
    }
    on = one.get(item.scope)
    if item.covers:
        on = readable_name(CATEGORY_SEPARATOR.join(item.covers), "product" if item.scope == "product" else "category")
    return describe_menu_line(item.benefit, item.min_spend_cents, currency, current_locale(), on)


def line_test_sentences(note: LineTestNote, currency: str, menu: Iterable[MenuItem]) -> list[str]:
    """What goes to whom, what it costs at most, what it is believed to add, what will be known when, and what then.
    `menu` has the lines that are drawn.
    """
    words = {item.id: describe_line(item, currency) for item in menu}
    if not (note.tested or note.targeted):
        return [_nothing(note, currency), *_replaced(note)]
    targeted, figures = _targeted(note) if note.targeted else [], [_cost(note, currency)]
    if note.tested:
        figures = [_cost(note, currency), _gain(note, currency), _known(note, currency)]
    return [*targeted, *(_audience(each, words) for each in note.tested), *_replaced(note), *figures, _then()]


def _replaced(note: LineTestNote) -> list[str]:
    if not note.replaced:
        return []
    number = count(note.replaced)
    return [
        gettext(
            "An earlier plan of this day drew something else for {number} customers; its draws "
            "are kept no longer. If that plan was sent, do not send this one: what came of it "
            "cannot be told then.",
            number=number,
        )
    ]


def _targeted(note: LineTestNote) -> list[str]:
    """Who gets what by predicted gains, and what has come of these."""
    if not (came := targeted_ratios(note.effects)):
        return [
            gettext("{targeted} customers get what is predicted to add most for each.", targeted=count(note.targeted))
        ]
    gain, cost = percent(came.gain), percent(came.cost)
    return [
        gettext(
            "{targeted} customers get what is predicted to add most for each. By the draws so "
            "far {gain} of the predicted gain comes about, and {cost} of the predicted cost: "
            "predictions are moved by that.",
            targeted=count(note.targeted),
            gain=gain,
            cost=cost,
        )
    ]


def _audience(group: LineTestGroup, words: Mapping[str, str]) -> str:
    """What goes to one audience."""
    name, all_ = group_name(group.group), count(group.treated + group.none)
    parts = [
        gettext("{n} get {arm} (drawn by {share})", n=count(n), arm=words.get(arm, arm), share=percent(share))
        for arm, n, share in zip(group.arms, group.counts, group.shares, strict=True)
    ]
    who = (
        gettext("who are {name}", name=name)
        if group.group in named_audiences()
        else gettext("of the play {name}", name=name)
    )
    return gettext(
        "Of {all} customers {who}, {parts}; {none} get nothing, and show what the others' offers add.",
        all=all_,
        who=who,
        parts=join_list(parts),
        none=count(group.none),
        name=name,
    )


def _cost(note: LineTestNote, currency: str) -> str:
    cost, most, budget = (money(each, currency) for each in (note.cost_cents, note.ceiling_cents, note.budget_cents))
    if note.targeted and note.tested and note.ceiling_cents <= 0:
        return gettext("The draws cost nothing: they are reminders.")
    if note.targeted and note.tested:
        return gettext(
            "The draws are expected to cost {cost}, and at most {most} but for one month in a "
            "thousand; their limit is {budget}.",
            cost=cost,
            most=most,
            budget=budget,
        )
    return gettext(
        "It is expected to cost {cost}, and at most {most} but for one month in a thousand; the budget is {budget}.",
        cost=cost,
        most=most,
        budget=budget,
    )


def _gain(note: LineTestNote, currency: str) -> str:
    if not any(each.n_arm and not each.aimed for each in note.effects):
        return gettext(
            "What the draws add is not known yet: these are the first. Until it is read, a "
            "reminder is taken to add nothing and a discount to lose half of its cost."
        )
    value, low, high = (money(note.gain_cents + side * Z95 * note.gain_se_cents, currency) for side in (0, -1, 1))
    return gettext(
        "By the draws so far what is drawn adds {value} after its cost over {horizon_days} "
        "days (95 % interval {low} to {high}).",
        value=value,
        horizon_days=note.horizon_days,
        low=low,
        high=high,
    )


def _known(note: LineTestNote, currency: str) -> str:
    parts = [
        gettext(
            "{detectable} ({group_name})",
            detectable=money(each.detectable_cents, currency),
            group_name=group_name(each.group),
        )
        for each in note.tested
    ]
    return gettext(
        "After {window_days} days this window shows effects per customer of at least {parts} "
        "with 80 % power; windows add up, so that four of them show half of that.",
        window_days=note.window_days,
        parts=join_list(parts),
    )


def _then() -> str:
    return gettext(
        "Then: run `promolift ingest` with the new log, `promolift learn` and `promolift "
        "learn approve`. What adds more is drawn by more customers, what hardly pays rests "
        "for two windows, and a tenth always gets nothing."
    )


def group_name(group: str) -> str:
    """An audience in the language that is spoken; a play by its id."""
    if group == PREDICTED:
        return gettext("predicted offers")
    named = named_audiences().get(group)
    return named.title if named else group


def _nothing(note: LineTestNote, currency: str) -> str:
    """Why nothing is sent."""
    if note.largest < TOO_FEW:
        most = count(note.largest)
        return gettext(
            "Too few customers to learn from: the largest audience has {most}, and {too_few} are "
            "the least. Next: wait for more customers, or ask more of them for their consent.",
            most=most,
            too_few=TOO_FEW,
        )
    budget = money(note.budget_cents, currency)
    if note.tests:
        return gettext(
            "Nothing is sent in this window: by {tests} windows of draws no offer is likely to "
            "pay within the budget of {budget}, and all of them rest. A few customers draw them "
            "again two windows later. Next: change the menu, or plan again after the next window.",
            tests=count(note.tests),
            budget=budget,
        )
    return gettext(
        "Nothing is sent: no line of the menu is open to those with whom a test would cost "
        "little, within the budget of {budget}. Next: put a reminder and a discount of about "
        "10 % on the menu, or raise the budget.",
        budget=budget,
    )
