"""The plan in one short table: which audience gets what, for how many customers, at what cost and with what gain."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from promolift.core import effects as effect
from promolift.core.customers.disclosure_control import small_cells
from promolift.core.customers.named_audiences import named_audiences
from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    in_brackets,
    join_list,
    low_to_high,
    truncate,
    upper_first,
)
from promolift.foundation.pages.blocks import TextTable
from promolift.shop.reports.offer_reasons import MOTIVES
from promolift.shop.results import effects
from promolift.shop.results.line_tests import all_draws, describe_line, group_name
from promolift.shop.results.messages import Messages
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job

AUDIENCES_SHOWN, LINES_SHOWN = 5, 1  # audiences of their own row; offers that a row names


class PlannedAudience(NamedTuple):
    """Customers of a plan who get an offer for the same reason: the `motive` that sets them apart, or the `group` that
    draws its offers; neither of the rest. `lines` are menu lines with their customers, the most given first; None where
    a number would tell of too few. `gain` is None where only the draws will tell it.
    """

    motive: str
    group: str
    lines: tuple[tuple[str, int | None], ...]
    treated: int
    cost_cents: float
    gain: IntervalEstimate | None


def planned_audiences(job: Job, plan: Plan) -> list[PlannedAudience]:
    """Return the audiences of a plan, the largest first. Those beyond AUDIENCES_SHOWN, and those with too few customers
    to be printed, are summed in a last one.
    """
    rows = plan.chosen.join(_reasons(job, plan), on="customer_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("motive", "group").fill_null(""))
    sizes = rows.group_by("group", "motive").len().sort(["len", "group", "motive"], descending=[True, False, False])
    few = small_cells(sizes["len"].to_list(), job.config.privacy.printed_cell)
    own = [not small and place < AUDIENCES_SHOWN for place, small in enumerate(few)]
    found = [
        _audience(job, plan, rows.filter(group=group, motive=motive), motive, group)
        for group, motive, _ in sizes.filter(pl.Series(own, dtype=pl.Boolean)).iter_rows()
    ]
    rest = rows.join(sizes.filter(~pl.Series(own, dtype=pl.Boolean)), on=["group", "motive"], how="semi")
    return [*found, _audience(job, plan, rest, "", "")] if rest.height else found


def _reasons(job: Job, plan: Plan) -> pl.DataFrame:
    """customer_id, motive and group; the motive is null of customers who draw, the group of those who do not."""
    said = Messages.load(job.store).rows if Messages.has(job.store) else pl.DataFrame()
    columns = {"customer_id": pl.String, "motive": pl.String}
    motives = said.select(*columns) if "motive" in said.columns else pl.DataFrame(schema=columns)
    drawn = pl.DataFrame(schema={"customer_id": pl.String, "group": pl.String})
    if plan.note.draws and (draws := all_draws(job.store)) is not None:
        mine = draws.filter(pl.col("campaign_id") == plan.note.terms.campaign_id)
        drawn = mine.filter(pl.col("ts_ms") == pl.col("ts_ms").max(), ~pl.col("aimed")).select(drawn.columns)
    both = plan.chosen.select("customer_id").join(drawn, on="customer_id", how="left")
    both = both.join(motives, on="customer_id", how="left")
    return both.with_columns(motive=pl.when(pl.col("group").is_null()).then("motive"))


def _audience(job: Job, plan: Plan, rows: pl.DataFrame, motive: str, group: str) -> PlannedAudience:
    lines = rows.group_by("menu_id").len().sort(["len", "menu_id"], descending=[True, False])
    few = any(small_cells(lines["len"].to_list(), job.config.privacy.printed_cell))
    known = tuple((line, None if few else number) for line, number in lines.iter_rows())
    return PlannedAudience(motive, group, known, rows.height, float(rows["cost_cents"].sum()), _gain(job, plan, rows))


def _gain(job: Job, plan: Plan, rows: pl.DataFrame) -> IntervalEstimate | None:
    """Return what these offers are expected to add, with its 95 % interval; None where they are drawn for the first
    time.
    """
    taught = plan.note.terms.effects
    read, learned = any(each.aimed and each.n_arm for each in taught), any(each.n_arm for each in taught)
    drawn = rows if read else rows.filter(pl.col("group") != "")
    if drawn.height and not learned:
        return None
    predicted = rows.clear() if read else rows.filter(pl.col("group") == "")
    response, beside = effects.load_response(job.store), plan.note.tests is not None
    return effect.gain_interval(predicted, drawn, response, beside_draws=beside, learned=True)


def audience_table(audiences: Sequence[PlannedAudience], plan: Plan) -> TextTable:
    """Return the table of the audiences, in the language that is spoken."""
    cash = MoneyFormat(plan.note.shop.currency)
    words = {item.id: describe_line(item, plan.note.shop.currency) for item in plan.note.menu}
    rows = [
        [_name(each), join_list(list(_offers(each, words))), count(each.treated), cash(each.cost_cents),
         _gain_text(each.gain, cash)]
        for each in audiences
    ]  # fmt: skip
    heads = [
        gettext("customers who …"),
        gettext("offer"),
        pgettext("recipients", "customers"),
        gettext("expected cost"),
        gettext("expected gain"),
    ]
    return TextTable(heads, rows, (0, 1))


def _name(audience: PlannedAudience) -> str:
    if audience.group:
        name = group_name(audience.group)
        if audience.group in named_audiences():
            return gettext("Are {name}: a test, drawn at random", name=name)
        return gettext("Belong to the play {name}: a test, drawn at random", name=name)
    if audience.motive in MOTIVES:
        return upper_first(gettext(MOTIVES[audience.motive]))
    return gettext("Get it for other reasons")


def _offers(audience: PlannedAudience, words: dict[str, str]) -> Iterator[str]:
    """The most frequent offers, with their customers where there are several."""
    shown, others = audience.lines[:LINES_SHOWN], audience.lines[LINES_SHOWN:]
    for line, number in shown:
        name = truncate(words.get(line, line), 60)
        yield name if len(audience.lines) == 1 or number is None else f"{name}{in_brackets(count(number))}"
    if others:
        numbers = [number for _, number in others if number is not None]
        yield gettext("others") + (in_brackets(count(sum(numbers))) if numbers else "")


def _gain_text(gain: IntervalEstimate | None, cash: MoneyFormat) -> str:
    if gain is None:
        return gettext("not known yet: the test tells")
    return f"{cash(gain.value, sign=True)}{in_brackets(low_to_high(gain.low, gain.high, cash))}"
