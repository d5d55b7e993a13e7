"""One example of each request body that the OpenAPI document shows, by the name of its schema.

A viewer that puts the examples of single fields together shows what no offer can be, as most fields of a benefit belong
to some types alone. So each body has a whole example, and the server takes it.
"""

from collections.abc import Mapping
from typing import Any

_CUSTOMER = {"customer_id": "C-1042"}
_LIMIT = {"limit_id": "november", "metric": "discount_amount", "amount": 500_000, "period": "month"}
_ARMS = {"today": 0.5, "cheaper": 0.5}

REQUEST_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "AnnotationIn": {"first": "2026-11-11", "last": "2026-11-12", "text": "Double 11", "excluded": True},
    "BatchDecisionIn": {"customer_ids": ["C-1042", "C-1043"], "channel": "email", "words": True},
    "BatchIn": {
        "batch": [
            {"type": "track", "messageId": "m-1", "userId": "C-1042", "event": "Product Viewed",
             "properties": {"product_id": "P-2"}},
        ]
    },
    "BlockIn": {"codes": ["TEA20-7F3K"], "blocked": True},
    "CampaignIn": {"paused": False, "limits": [_LIMIT]},
    "CartIn": _CUSTOMER | {
        "currency": "EUR",
        "lines": [{"line_id": "1", "product_id": "P-2", "quantity": 2, "price_cents": 1290, "category": "tea"}],
        "shipping_cents": 490,
        "codes": ["TEA20-7F3K"],
        "hold": True,
        "order_id": "O-9001",
    },
    "CodesIn": {"offer_id": "tea-20", "codes": ["TEA20-7F3K", "TEA20-9QXD"]},
    "ConfirmIn": {"redemption_id": "rdm_1", "amount_cents": 258},
    "DecisionIn": _CUSTOMER | {"channel": "site", "placement": "home", "language": "en"},
    "EventIn": {
        "type": "track", "messageId": "m-1", "userId": "C-1042", "event": "Product Viewed",
        "properties": {"product_id": "P-2"},
    },
    "ExperimentIn": {
        "design": {"name": "tea-2026-11", "arms": _ARMS, "planned_customers": 20_000, "primary": "value_cents"},
        "releases": {"today": "rel_0123456789abcdef", "cheaper": "rel_fedcba9876543210"},
        "question": "Does a lower discount earn more?",
    },
    "FeedbackIn": {"decision_id": "dec_1", "name": "shown"},
    "FlagsIn": {"context": {"targetingKey": "C-1042", "language": "en", "channel": "site"}},
    "KeyIn": {"scope": "decide", "name": "checkout"},
    "MailIn": {
        "decision_id": "dec_1", "by": "email", "to": "ann@example.com",
        "unsubscribe_url": "https://shop.example.com/u/1042", "postal_address": "1 High Street, Springfield",
    },
    "PowerIn": {"arms": _ARMS, "holdout_share": 0.1, "primary": "value_cents"},
    "PricesIn": _CUSTOMER | {
        "items": [{"product_id": "P-2", "price_cents": 1290, "category": "tea"}], "language": "en",
    },
    "PromotionIn": {
        "campaign_id": "november", "holder": "everybody", "benefit": {"type": "percent_off", "percent": 20},
        "scope": "category", "covers": ["tea"], "min_spend_cents": 2000,
    },
    "ReserveIn": _CUSTOMER | {
        "amount_cents": 258, "code": "TEA20-7F3K", "order_id": "O-9001", "redemption_id": "rdm_1", "order_cents": 2580,
    },
    "RollbackIn": {"redemption_id": "rdm_1"},
    "SharedLimitsIn": {"limits": [_LIMIT]},
    "ValidateIn": _CUSTOMER | {"code": "TEA20-7F3K", "amount_cents": 258},
    "WebhookIn": {"url": "https://shop.example.com/hooks/promolift", "events": ["redemption.confirmed"]},
}  # fmt: skip
