"""Turn raw tables with any column names into clean tables, with an account of every row."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "CONFIRM_BELOW",
    "CleanedTable",
    "HealthReport",
    "JoinKey",
    "JudgedShard",
    "MappingGuess",
    "RoleGuess",
    "ShardSums",
    "Summary",
    "add_catalogue_price",
    "add_shard_keys",
    "bulk_quantity_limit",
    "clean_coupons",
    "clean_customers",
    "clean_events",
    "clean_exposures",
    "clean_products",
    "clean_redemptions",
    "clean_shard_events",
    "clean_shelf",
    "clean_words",
    "find_join_key",
    "first_rows",
    "guess_mapping",
    "guess_mapping_with_reasons",
    "health",
    "is_line_cost",
    "join_rows",
    "latest_values",
    "order_lines",
    "partition_events",
    "rejected_rows",
    "rows_with_consent",
    "rules_text",
    "shard_sums",
    "summarise",
]

if TYPE_CHECKING:
    from promolift.shop.ingest.cleaning.cleaning_rules import rules_text
    from promolift.shop.ingest.cleaning.data_health import HealthReport, health
    from promolift.shop.ingest.cleaning.data_summary import ShardSums, Summary, shard_sums, summarise
    from promolift.shop.ingest.cleaning.event_cleaning import (
        CleanedTable,
        JudgedShard,
        add_catalogue_price,
        add_shard_keys,
        clean_events,
        clean_shard_events,
        partition_events,
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
        latest_values,
        rows_with_consent,
    )
    from promolift.shop.ingest.cleaning.table_join import JoinKey, find_join_key, join_rows, order_lines
    from promolift.shop.ingest.schema_matching.column_patterns import bulk_quantity_limit, is_line_cost
    from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import (
        guess_mapping,
        guess_mapping_with_reasons,
    )
    from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import RoleGuess
    from promolift.shop.ingest.schema_matching.role_matching.mapping_explanation import MappingGuess
    from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW

else:
    make_lazy(__name__)
