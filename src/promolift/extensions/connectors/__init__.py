"""Other companies' systems: warehouses, WooCommerce, Shopify, message services, feature flags."""
