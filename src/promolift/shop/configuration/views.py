"""The queries behind the views that an audience may ask, and behind carts that were left.

`$asof` is the moment of the plan, `mine` the customers that may be seen.
"""

from promolift.foundation.time.clock import DAY_MS

CART_DAYS = 14  # since a cart was left
LEFT_CARTS = """
select customer_id from events where kind in ('add_to_cart', 'purchase') and ts_ms < $asof group by customer_id
having max(ts_ms) filter (kind = 'add_to_cart') >= $since
    and max(ts_ms) filter (kind = 'add_to_cart') > coalesce(max(ts_ms) filter (kind = 'purchase'), 0)
"""
EVENTS_VIEW = """
select customer_id, -floor((ts_ms - $asof) / $day_ms)::bigint as days_ago, kind, product_id, order_id, channel,
    store_id, quantity, revenue_cents, list_cents, coupon_cents
from events semi join mine using (customer_id) where ts_ms < $asof order by all
"""
ORDERS_VIEW = """
select customer_id, coalesce(order_id, 'day ' || floor((ts_ms - $asof) / $day_ms)) as order_id,
    min(-floor((ts_ms - $asof) / $day_ms))::bigint as days_ago, sum(quantity)::double as units,
    count(distinct product_id) as products, sum(revenue_cents)::bigint as revenue_cents,
    sum(list_cents)::bigint as list_cents, sum(coupon_cents)::bigint as coupon_cents
from events semi join mine using (customer_id) where kind = 'purchase' and ts_ms < $asof group by 1, 2 order by all
"""


def left_since(asof_ms: int) -> int:
    """The moment since which a cart that was left counts."""
    return asof_ms - CART_DAYS * DAY_MS
