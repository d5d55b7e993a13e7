"""Infer a Mapping from column names and sample rows, in stages that each fill one draft.

In: a table's sample and what a person has settled. Out: its mapping, with how sure each role is and notes.

1. Propose (`role_matching/role_candidates`): the columns that may take a role, by name and by form of their values.
2. Score (`role_matching/role_scores`, for times `time_columns`): the order of the candidates, how sure the best one is.
3. Solve jointly: roles that say something of each other. `event_columns` tells customers, orders, products and kinds
   apart; `money_columns` which numbers multiply to which; `order_lines` what is said once per order; `amount_meaning`
   currency and units; `table_columns` the tables beside the events.
4. Explain (`role_matching/mapping_explanation`): notes, guesses with values for a person to check, and what is missing.
5. Ask (`setup/setup_questions`): at most three questions on what is not sure, the one that matters most first.
"""

from collections.abc import Collection
from collections.abc import Mapping as Dict
from typing import Literal

import polars as pl

from promolift.foundation.files.column_names import normalise_column_name
from promolift.shop.configuration.column_mapping import OPTIONAL_ROLES, REQUIRED_ROLES, Mapping, RawTable
from promolift.shop.ingest.schema_matching.event_mapping import (
    amount_meaning,
    event_columns,
    money_columns,
    order_lines,
    table_columns,
)
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MONEY, TIME_ROLES, MappingDraft
from promolift.shop.ingest.schema_matching.role_matching.mapping_explanation import (
    MappingGuess,
    check_required_roles,
    explain_records,
    explain_roles,
)
from promolift.shop.ingest.schema_matching.role_matching.role_scores import find
from promolift.shop.ingest.schema_matching.role_matching.time_columns import find_time, settle_zone


def guess_mapping(
    table: RawTable,
    sample: pl.DataFrame,
    *,
    zone: str = "UTC",
    currency: str | None = None,
    leave: Collection[str] = (),
    keys: Dict[str, str] | None = None,
    fixed: Dict[str, str] | None = None,
) -> Mapping:
    """How the columns of `sample` become ours. What is doubtful stands in the mapping's `notes`.

    `leave` names columns that are not to be used: those the events take, where customers or products are sought inside
    the events file; names that could mean either are then left alone. `keys` names the events' own column of a role: a
    column called the same is taken before any other, so that the tables meet. Raises InputError if a column that is
    needed cannot be found: it lists the columns and says what to do. `fixed` are roles that a person has settled.
    """
    return guess_mapping_with_reasons(table, sample, zone, currency, leave, keys or {}, fixed or {}).mapping


def guess_mapping_with_reasons(
    table: RawTable,
    sample: pl.DataFrame,
    zone: str,
    currency: str | None,
    leave: Collection[str],
    keys: Dict[str, str],
    fixed: Dict[str, str],
    money: Literal["major", "minor"] | None = None,
) -> MappingGuess:
    """As `guess_mapping`, with what speaks for it; `money` is the unit of amounts where a person has said it."""
    draft = MappingDraft(table, sample, zone, currency, leave, keys, fixed)
    if money:
        draft.settings["money"] = money
    _assign_by_name(draft)
    _solve_jointly(draft)
    explain_records(draft)
    check_required_roles(draft)
    values = {
        "table": table,
        "columns": draft.columns,
        "zone": draft.zone,
        "notes": tuple(draft.notes),
        **draft.settings,
    }
    return MappingGuess(Mapping.parse(values, table), explain_roles(draft), draft.assumed)


def _assign_by_name(draft: MappingDraft) -> None:
    """Propose and score: the time first, then each role in the order in which they may take a column."""
    find_time(draft)
    for role in (*REQUIRED_ROLES[draft.table], *OPTIONAL_ROLES[draft.table]):
        if role not in draft.columns and role not in ("clock", "sequence", TIME_ROLES.get(draft.table)):
            find(draft, role)


def _solve_jointly(draft: MappingDraft) -> None:
    if draft.table == "events":
        event_columns.settle_events(draft)
    elif draft.table == "customers":
        table_columns.settle_names(draft)
    elif draft.table == "products":
        table_columns.settle_category(draft)
    elif draft.table == "promotions":
        table_columns.settle_promotions(draft)
    _solve_money(draft)
    if draft.table == "events":
        event_columns.settle_coupon_code(draft)
        settle_zone(draft)
        event_columns.settle_views(draft)


def _solve_money(draft: MappingDraft) -> None:
    """First which columns are money, then how their amounts are meant, then what an order's lines share of them."""
    if normalise_column_name(str(draft.columns.get("amount", ""))) == "cost" and "unit_price" in draft.columns:
        draft.free.append(str(draft.columns.pop("amount")))  # beside a price it is what the shop paid
    money_columns.settle_count(draft)
    if draft.table == "events":
        money_columns.settle_converted(draft)
        money_columns.settle_unit_or_line(draft)
        money_columns.settle_recommended(draft)
        money_columns.settle_tags(draft)
    money_columns.settle_list_price(draft)
    columns = [str(draft.columns[role]) for role in MONEY if role in draft.columns]
    values = [value for name in columns for value in draft.values(name)]
    amount_meaning.settle_format(draft, columns, values)
    amount_meaning.settle_currency(draft, columns, values)
    amount_meaning.settle_scale(draft, columns, values)
    if draft.table == "events":
        order_lines.settle_repeats(draft)
        amount_meaning.settle_signs(draft)
        order_lines.settle_order_discount(draft)
        order_lines.settle_totals(draft)
        amount_meaning.say_if_there_is_no_money(draft)
