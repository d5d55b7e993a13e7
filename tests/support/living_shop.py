"""Settings of a simulated shop that lives through several campaigns."""

from pathlib import Path

from promolift.shop.configuration.configuration import Config


def config(folder: Path, *lines: dict[str, object], **plan: object) -> Config:
    """Settings of a shop with 10 % off on its menu, and more `lines`."""
    columns = {
        "customer_id": "customer_id", "time": "ts_ms", "order_id": "order_id", "product_id": "product_id",
        "quantity": "quantity", "amount": "paid_cents", "list_amount": "list_cents", "coupon_discount": "coupon_cents",
    }  # fmt: skip
    mapping = {"table": "events", "columns": columns, "money": "minor", "time_format": "epoch"}
    events = {"path": str(folder / "events.parquet"), "mapping": mapping | {"constants": {"kind": "purchase"}}}
    names = {name: name for name in ("product_id", "name", "category")}
    products = {"path": str(folder / "products.csv"), "mapping": {"table": "products", "columns": names}}
    menu = [{"id": "all-10", "benefit": {"type": "percent_off", "percent": 10}}, *lines]
    stated = {
        "data": {"events": events, "products": products}, "consent": {"default": True}, "menu": menu,
        "segment": [{"name": "often", "where": "orders_16w >= 6"}], "offer": {"proposals": "none"},
        "plan": {"budget_cents": 300_000, "test_share": 0.1} | plan,
    }  # fmt: skip
    return Config.parse(stated, "test")
