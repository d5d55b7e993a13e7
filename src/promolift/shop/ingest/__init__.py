"""Room 1. Raw tables in any column names in, clean tables and an account of every row out."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "ASKED",
    "Cleaned",
    "HealthReport",
    "JudgedShard",
    "MappingGuess",
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
    "join_rows",
    "judged_events",
    "key_rows",
    "latest",
    "order_lines",
    "parted_events",
    "permitted",
    "price_rows",
    "rejected_rows",
    "rules_text",
    "shard_sums",
    "summarise",
]

if TYPE_CHECKING:
    from promolift.shop.ingest.cleaning.cleaning_rules import rules_text
    from promolift.shop.ingest.cleaning.data_health import HealthReport, health
    from promolift.shop.ingest.cleaning.data_summary import ShardSums, Summary, shard_sums, summarise
    from promolift.shop.ingest.cleaning.event_cleaning import (
        Cleaned,
        JudgedShard,
        clean_events,
        judged_events,
        key_rows,
        parted_events,
        price_rows,
        rejected_rows,
    )
    from promolift.shop.ingest.cleaning.row_counts import first_rows
    from promolift.shop.ingest.cleaning.table_cleaning import (
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
    from promolift.shop.ingest.cleaning.table_join import Tie, find_tie, join_rows, order_lines
    from promolift.shop.ingest.schema_matching.column_patterns import bulk, cost_of_line
    from promolift.shop.ingest.schema_matching.mapping_inference import MappingGuess, explained_mapping, guess_mapping
    from promolift.shop.ingest.schema_matching.role_matching import ASKED, RoleGuess

else:
    lazy(__name__)
