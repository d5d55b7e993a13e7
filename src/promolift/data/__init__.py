"""Room 1. Raw tables in any column names in, clean tables and an account of every row out."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "ASKED",
    "INTENTS",
    "ROLES",
    "Ability",
    "CleanRules",
    "Cleaned",
    "Counts",
    "HealthReport",
    "JudgedShard",
    "Mapping",
    "MappingGuess",
    "RawTable",
    "RoleGuess",
    "ShardSums",
    "Summary",
    "Tie",
    "bulk",
    "clean_coupons",
    "clean_customers",
    "clean_events",
    "clean_exposures",
    "clean_products",
    "clean_redemptions",
    "clean_shelf",
    "clean_words",
    "cost_of_line",
    "explained_mapping",
    "find_tie",
    "first_rows",
    "guess_mapping",
    "health",
    "home_of",
    "join_rows",
    "judged_events",
    "key_rows",
    "language_of_text",
    "latest",
    "order_lines",
    "parted_events",
    "permitted",
    "price_rows",
    "read_intents",
    "rejected_rows",
    "rules_text",
    "shard_sums",
    "summarise",
]

if TYPE_CHECKING:
    from promolift.data.clean import (
        Cleaned,
        JudgedShard,
        clean_events,
        judged_events,
        key_rows,
        parted_events,
        price_rows,
        rejected_rows,
    )
    from promolift.data.clean_tables import (
        clean_coupons,
        clean_customers,
        clean_exposures,
        clean_products,
        clean_redemptions,
        clean_shelf,
        clean_words,
        latest,
        permitted,
    )
    from promolift.data.counts import Counts, first_rows
    from promolift.data.evidence import bulk, cost_of_line
    from promolift.data.find import ASKED, RoleGuess
    from promolift.data.guess import MappingGuess, explained_mapping, guess_mapping
    from promolift.data.health import Ability, HealthReport, health
    from promolift.data.intents import INTENTS, language_of_text, read_intents
    from promolift.data.join import Tie, find_tie, join_rows, order_lines
    from promolift.data.mapping import ROLES, Mapping, RawTable
    from promolift.data.names import home_of
    from promolift.data.rules import CleanRules, rules_text
    from promolift.data.summary import ShardSums, Summary, shard_sums, summarise
else:
    lazy(__name__)
