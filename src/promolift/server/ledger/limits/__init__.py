"""Limits of campaigns on redemptions and money, and the transactions that hold, spend and return within them."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "ALL_CAMPAIGNS",
    "RELEASE_LIMIT_ID",
    "SELECT_CODE",
    "SELECT_CODES",
    "SELECT_REDEMPTION",
    "SELECT_REDEMPTIONS",
    "RedemptionClaim",
    "RedemptionTransaction",
    "RefusedClaim",
    "Row",
    "add_stock",
    "all_limits",
    "code_problem",
    "code_stocks",
    "current_usage",
    "exhausted_offers",
    "expire_reservations",
    "expired_reservations",
    "inconsistent_cells",
    "own_limits",
    "period_key",
    "recount_usage",
    "redemption_locks",
    "rename_customer",
    "reserve",
    "resolve_code",
    "set_limits",
    "set_release_limit",
    "stock_left",
]

if TYPE_CHECKING:
    from promolift.server.ledger.limits.code_stock import (
        add_stock,
        code_problem,
        code_stocks,
        stock_left,
    )
    from promolift.server.ledger.limits.limit_usage import (
        ALL_CAMPAIGNS,
        RELEASE_LIMIT_ID,
        Row,
        all_limits,
        current_usage,
        exhausted_offers,
        inconsistent_cells,
        own_limits,
        period_key,
        recount_usage,
        rename_customer,
        set_limits,
        set_release_limit,
    )
    from promolift.server.ledger.limits.redemption_transaction import (
        SELECT_CODE,
        SELECT_CODES,
        SELECT_REDEMPTION,
        SELECT_REDEMPTIONS,
        RedemptionClaim,
        RedemptionTransaction,
        RefusedClaim,
        expire_reservations,
        expired_reservations,
        redemption_locks,
        reserve,
        resolve_code,
    )
else:
    make_lazy(__name__)
