"""Other companies' systems: warehouses, WooCommerce, Shopify, message services, feature flags."""

from promolift.foundation.extension import Extension, MessageSender

EXTENSION = Extension(
    "connectors",
    commands=("promolift.extensions.connectors.commands:add_commands",),
    sources={"complete-journey": "promolift.extensions.connectors.complete_journey:open_demo_source"},
    routes=(
        "promolift.extensions.connectors.feature_flags:router",
        "promolift.extensions.connectors.shopify_routes:router",
        "promolift.extensions.connectors.ucp:router",
    ),
    senders={
        "braze": MessageSender(
            "promolift.extensions.connectors.marketing_services:send_by_braze",
            ("PROMOLIFT_BRAZE_URL", "PROMOLIFT_BRAZE_KEY", "PROMOLIFT_BRAZE_CAMPAIGN"),
        ),
        "klaviyo": MessageSender(
            "promolift.extensions.connectors.marketing_services:send_by_klaviyo", ("PROMOLIFT_KLAVIYO_KEY",)
        ),
        "wechat": MessageSender(
            "promolift.extensions.connectors.wechat:send",
            ("PROMOLIFT_WECHAT_APPID", "PROMOLIFT_WECHAT_SECRET", "PROMOLIFT_WECHAT_TEMPLATE"),
        ),
    },
)
