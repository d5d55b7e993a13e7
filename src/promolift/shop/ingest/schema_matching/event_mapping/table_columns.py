"""Solve what columns of customers, products and promotions mean together: names in two parts, levels, ends of offers.

In: a draft with the roles that names have settled. Out: the draft with the roles and settings that follow from several
columns at once.
"""

import re

from promolift.foundation.files.column_names import FIRST_NAME_COLUMNS, LAST_NAME_COLUMNS, normalise_column_name
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MappingDraft

VALID_DAYS = "30"


def settle_names(draft: MappingDraft) -> None:
    """Join a customer's first and last name where no column holds both."""
    if "name" not in draft.columns:
        first = next((name for name in draft.free if _last(name) in FIRST_NAME_COLUMNS), None)
        last = next((name for name in draft.free if _last(name) in LAST_NAME_COLUMNS), None)
        if first and last:
            draft.columns["name"] = (first, last)
        elif first:
            draft.columns["name"] = first


def settle_promotions(draft: MappingDraft) -> None:
    """Let a coupon name its campaign, and say how long offers hold where no column does."""
    if "campaign_id" not in draft.columns and "coupon_id" in draft.columns:
        draft.columns["campaign_id"] = draft.columns["coupon_id"]
    if "end" not in draft.columns and "valid_days" not in draft.columns:
        draft.settings["constants"] = {"valid_days": VALID_DAYS}
        draft.notes.append(
            gettext_lazy(
                "no end: offers are taken to hold for {valid_days} days (set constants.valid_days)",
                valid_days=VALID_DAYS,
            )
        )


def settle_category(draft: MappingDraft) -> None:
    """Find a level above the product, and what parts the levels of a path."""
    if "category" not in draft.columns and "product_id" in draft.columns:
        # 'PROD_CODE_10' beside 'PROD_CODE' is a level above it.
        levels = re.compile(re.escape(str(draft.columns["product_id"])) + r"[_ ]\d+")
        level = next((name for name in draft.free if levels.fullmatch(name)), None)
        if level:
            draft.columns["category"] = level
    if "category" in draft.columns and "type" not in draft.columns and "department" not in draft.columns:
        draft.settings["category_path"] = column_patterns.path_separator(draft.values(str(draft.columns["category"])))


def _last(name: str) -> str:
    """The last part of a nested record's name, as it is looked up."""
    return normalise_column_name(name.rpartition(".")[2])
