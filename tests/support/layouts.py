"""A log in the layouts that shops and public data sets come in, rows made up, each with its sums by plain DuckDB."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl

FIRST = datetime(2024, 1, 2, 9, 0)
CSV = "read_csv('{}', all_varchar = true, header = true, auto_detect = true)"


@dataclass(frozen=True)
class Layout:
    """How a folder is filled, what `init` is told, where roles must come from, and the sums of purchases.

    `sums` selects lines, revenue, list value, shelf and coupon discounts of all purchases in minor units, from the
    files of the folder `{0}`.
    """

    write: Callable[[Path], None]
    events: str
    roles: dict[str, object]
    sums: str
    others: dict[str, str] = field(default_factory=dict)
    inside: dict[str, dict[str, object]] = field(default_factory=dict)  # roles found in other tables
    given: Sequence[str] = ()  # what a person had to say
    answers: Sequence[str] = ()  # and answered with --map


@dataclass(frozen=True)
class Line:
    """One line of an order."""

    order: int
    first: bool
    who: int
    when: datetime
    item: int
    units: int
    cents: int  # of one unit, as paid
    listed: int  # of one unit, without a discount


def lines(orders: int = 160, seed: int = 7, customers: int = 25) -> Iterator[Line]:
    """Orders of some customers on 40 products, in the order of time, one in two and a half weeks from each."""
    draw, when = Random(seed), FIRST
    for order in range(1, orders + 1):
        when += timedelta(minutes=draw.randrange(200, 1900) * 25 // customers)
        who = draw.randrange(customers)
        for place in range(draw.choice([1, 1, 2, 3])):
            item = draw.randrange(13) + 13 * place  # an order has a product once
            listed = 199 + item * 137
            cents = listed if draw.random() < 0.6 else listed * draw.choice([70, 80, 90]) // 100
            yield Line(order, place == 0, who, when, item, draw.choice([1, 1, 2, 3]), cents, listed)


def money(cents: int) -> str:
    return f"{cents / 100:.2f}"


def table(path: Path, rows: Sequence[dict[str, object]], encoding: str = "utf-8", separator: str = ",") -> None:
    text = pl.DataFrame(rows, infer_schema_length=None).write_csv(separator=separator)
    path.write_bytes(text.encode(encoding))


# 1. UCI Online Retail: cancellations by 'C', lines without a customer, pounds in Latin-1


def online_retail(folder: Path) -> None:
    rows: list[dict[str, object]] = []
    for line in lines():
        gone = line.order % 19 == 0
        rows.append(
            {
                "InvoiceNo": f"{'C' if gone else ''}{536000 + line.order}",
                "StockCode": f"{22000 + line.item}{'B' if line.item % 3 == 0 else ''}",
                "Description": f"CAFÉ MUG, NO {line.item}",
                "Quantity": -line.units if gone else line.units,
                "InvoiceDate": f"{line.when.month}/{line.when.day}/{line.when.year} {line.when.hour}:{line.when:%M}",
                "UnitPrice": money(line.cents),
                "CustomerID": "" if line.who == 3 else f"{12346 + line.who}.0",
                "Country": "United Kingdom",
            }
        )
    table(folder / "OnlineRetail.csv", rows, "latin-1")


# 2. Ta-Feng: AMOUNT counts pieces, ASSET is what the line cost the shop, SALES_PRICE what was paid for the line


def ta_feng(folder: Path) -> None:
    table(
        folder / "ta_feng.csv",
        [
            {
                "TRANSACTION_DT": f"{line.when.month}/{line.when.day}/{line.when.year}",
                "CUSTOMER_ID": f"{1069 + line.who:08d}",
                "AGE_GROUP": ("25-29", "30-34", "35-39", ">65")[line.who % 4],
                "PIN_CODE": ("115", "221", "Others")[line.who % 3],
                "PRODUCT_SUBCLASS": 100100 + line.item // 4,
                "PRODUCT_ID": f"{4710000000000 + line.item}",
                "AMOUNT": line.units,
                "ASSET": line.units * line.cents * 7 // 10,
                "SALES_PRICE": line.units * line.cents,
            }
            for line in lines()
        ],
    )


# 3. Shopify's export of orders: what is of the whole order stands on its first line

SHOPIFY = """
Name, Email, Financial_Status, Paid_at, Fulfillment_Status, Fulfilled_at, Accepts_Marketing, Currency, Subtotal,
Shipping, Taxes, Total, Discount_Code, Discount_Amount, Shipping_Method, Created_at, Lineitem_quantity,
Lineitem_name, Lineitem_price, Lineitem_compare_at_price, Lineitem_sku, Lineitem_requires_shipping,
Lineitem_taxable, Lineitem_fulfillment_status, Billing_Name, Billing_Street, Billing_Address1, Billing_Address2,
Billing_Company, Billing_City, Billing_Zip, Billing_Province, Billing_Country, Billing_Phone, Shipping_Name,
Shipping_Street, Shipping_Address1, Shipping_Address2, Shipping_Company, Shipping_City, Shipping_Zip,
Shipping_Province, Shipping_Country, Shipping_Phone, Notes, Note_Attributes, Cancelled_at, Payment_Method,
Payment_Reference, Refunded_Amount, Vendor, Outstanding_Balance, Employee, Location, Device_ID, Id, Tags,
Risk_Level, Source, Lineitem_discount, Tax_1_Name, Tax_1_Value, Tax_2_Name, Tax_2_Value, Tax_3_Name, Tax_3_Value,
Tax_4_Name, Tax_4_Value, Tax_5_Name, Tax_5_Value, Phone, Receipt_Number, Duties, Billing_Province_Name,
Shipping_Province_Name, Payment_ID, Payment_Terms_Name, Next_Payment_Due_At, Payment_References
"""


def shopify(folder: Path) -> None:
    bought = list(lines())
    whole = {line.order: 0 for line in bought}
    for line in bought:
        whole[line.order] += line.units * line.cents
    rows = []
    for line in bought:
        row = dict.fromkeys((name.strip().replace("_", " ") for name in SHOPIFY.split(",")), "")
        stamp = f"{line.when:%Y-%m-%d %H:%M:%S} -0500"
        status = "refunded" if line.order % 11 == 0 else "voided" if line.order % 13 == 0 else "paid"
        discount = whole[line.order] // 10 if line.order % 5 == 0 else 0
        row |= {
            "Name": f"#{1000 + line.order}",
            "Email": f"kim{line.who}@example.org",
            "Created at": stamp,
            "Lineitem quantity": str(line.units),
            "Lineitem name": f"Linen shirt {line.item} - M",
            "Lineitem price": money(line.cents),
            "Lineitem compare at price": money(line.listed) if line.listed > line.cents else "",
            "Lineitem sku": f"LS-{line.item:03d}",
            "Lineitem requires shipping": "true",
            "Lineitem taxable": "true",
            "Lineitem fulfillment status": "fulfilled",
            "Lineitem discount": "0.00",
            "Vendor": "Northfold",
        }
        if line.first:
            row |= {
                "Financial Status": status,
                "Paid at": stamp,
                "Fulfillment Status": "fulfilled",
                "Accepts Marketing": "yes" if line.who % 2 else "no",
                "Currency": "USD",
                "Subtotal": money(whole[line.order] - discount),
                "Shipping": "4.90",
                "Taxes": "0.00",
                "Total": money(whole[line.order] - discount + 490),
                "Discount Code": "SPRING" if discount else "",
                "Discount Amount": money(discount),
                "Billing Name": f"Kim {line.who}",
                "Billing Country": "US",
                "Refunded Amount": money(whole[line.order] if status == "refunded" else 0),
                "Id": str(5_000_000_000 + line.order),
                "Source": "web",
                "Payment Method": "Shopify Payments",
            }
        rows.append(row)
    table(folder / "orders_export.csv", rows)


SHOPPERS = """
Customer ID, First Name, Last Name, Email, Accepts Email Marketing, Default Address Company, Default Address Address1,
Default Address Address2, Default Address City, Default Address Province Code, Default Address Country Code,
Default Address Zip, Default Address Phone, Phone, Accepts SMS Marketing, Total Spent, Total Orders, Note, Tax Exempt,
Tags
"""


def shopify_whole(folder: Path) -> None:
    """With its export of customers: their ids are no column of the orders, their addresses are."""
    shopify(folder)
    rows = []
    for who in range(25):
        row = dict.fromkeys((name.strip() for name in SHOPPERS.replace("\n", " ").split(",")), "")
        row |= {
            "Customer ID": f"'{7_000_000_000 + who}",
            "First Name": f"Kim{who}",
            "Last Name": f"Doe{who}",
            "Email": f"kim{who}@example.org",
            "Accepts Email Marketing": "yes" if who % 2 else "no",
            "Accepts SMS Marketing": "no",
            "Default Address Country Code": "US",
            "Total Spent": "12.00",
            "Total Orders": "3",
            "Tax Exempt": "no",
            "Tags": "vip" if who % 5 == 0 else "",
        }
        rows.append(row)
    table(folder / "customers_export.csv", rows)


# 4. WooCommerce's analytics: the basket in one cell, the order's money beside it


def woocommerce(folder: Path) -> None:
    orders: dict[int, list[Line]] = {}
    for line in lines():
        orders.setdefault(line.order, []).append(line)
    table(
        folder / "wc-orders.csv",
        [
            {
                "Date": f"{basket[0].when:%Y-%m-%d %H:%M:%S}",
                "Order #": order + 700,
                "Status": "cancelled" if order % 12 == 0 else "completed",
                "Customer": f"Alex Doe {basket[0].who}",
                "Customer type": "returning",
                "Product(s)": ", ".join(f"{line.units}× Soap, bar no {line.item}" for line in basket),
                "Items sold": sum(line.units for line in basket),
                "Coupon(s)": "",
                "N. Revenue": money(sum(line.units * line.cents for line in basket)),
            }
            for order, basket in orders.items()
        ],
    )


# 5. Google Analytics 4, exported from BigQuery


def ga4_events() -> Iterator[dict[str, object]]:
    seen = Random(3)
    orders: dict[int, list[Line]] = {}
    for line in lines():
        orders.setdefault(line.order, []).append(line)
    for order, basket in orders.items():
        for name in ("session_start", "view_item", "add_to_cart", "purchase"):
            if name != "purchase" and seen.random() < 0.4:
                continue
            bought = basket if name == "purchase" else basket[:1] if name != "session_start" else []
            total = sum(line.units * line.cents for line in basket) / 100 if name == "purchase" else None
            stamp = basket[0].when + timedelta(seconds=("session_start", "view_item", "add_to_cart").index(name) * 40
                                               if name != "purchase" else 300)  # fmt: skip
            yield {
                "event_date": f"{stamp:%Y%m%d}",
                "event_timestamp": round((stamp - datetime(1970, 1, 1)).total_seconds() * 1e6),
                "event_name": name,
                "event_params": [
                    {"key": "ga_session_id", "value": {"int_value": 90000 + order, "string_value": None}},
                    {"key": "engagement_time_msec", "value": {"int_value": 5000, "string_value": None}},
                ],
                "user_pseudo_id": f"{80000 + basket[0].who}.{1700000000 + basket[0].who}",
                "device": {"category": ("mobile", "desktop")[order % 2], "language": "en-us"},
                "geo": {"country": "Chile"},
                "traffic_source": {"medium": "organic", "source": "google"},
                "platform": "WEB",
                "ecommerce": {
                    "purchase_revenue": total,
                    "transaction_id": f"T{order}" if name == "purchase" else "(not set)",
                },
                "items": [
                    {
                        "item_id": f"SKU{line.item:04d}",
                        "item_name": f"Cap {line.item}",
                        "item_category": f"Apparel {line.item % 5}",
                        "price": line.cents / 100,
                        "quantity": line.units if name == "purchase" else None,
                        "item_revenue": line.units * line.cents / 100 if name == "purchase" else None,
                    }
                    for line in bought
                ],
            }


def ga4_json(folder: Path) -> None:
    (folder / "ga4.jsonl").write_text("".join(json.dumps(event) + "\n" for event in ga4_events()), encoding="utf-8")


def ga4_parquet(folder: Path) -> None:
    pl.DataFrame(list(ga4_events()), infer_schema_length=None).write_parquet(folder / "ga4.parquet")


# 6. O2O: coupons received and used, and purchases without one; no money


def o2o(folder: Path) -> None:
    rows = []
    for line in lines(400):
        coupon, used = line.order % 2 == 0, line.order % 4 != 0
        rows.append(
            {
                "User_id": 1400000 + line.who,
                "Merchant_id": 2600 + line.item % 9,
                "Coupon_id": 11000 + line.item if coupon else "null",
                "Discount_rate": ("150:20", "20:1", "0.9")[line.item % 3] if coupon else "null",
                "Distance": str(line.who % 11) if line.who else "null",
                "Date_received": f"{line.when - timedelta(days=2):%Y%m%d}" if coupon else "null",
                "Date": f"{line.when:%Y%m%d}" if used else "null",
            }
        )
    table(folder / "ccf_offline_stage1_train.csv", rows)


# 7. Olist: order items, orders, customers, products in files of their own


def olist(folder: Path) -> None:
    items, orders = [], {}
    place: dict[int, int] = {}
    for line in lines():
        for _ in range(line.units):
            place[line.order] = place.get(line.order, 0) + 1
            items.append(
                {
                    "order_id": f"{line.order:032x}",
                    "order_item_id": place[line.order],
                    "product_id": f"{line.item + 999:032x}",
                    "seller_id": f"{line.item % 7 + 5000:032x}",
                    "shipping_limit_date": f"{line.when + timedelta(days=5):%Y-%m-%d %H:%M:%S}",
                    "price": money(line.cents),
                    "freight_value": "8.72",
                }
            )
        orders[line.order] = {
            "order_id": f"{line.order:032x}",
            "customer_id": f"{line.order + 70000:032x}",
            "order_status": "canceled" if line.order % 17 == 0 else "delivered",
            "order_purchase_timestamp": f"{line.when:%Y-%m-%d %H:%M:%S}",
            "order_approved_at": f"{line.when + timedelta(hours=1):%Y-%m-%d %H:%M:%S}",
            "order_delivered_carrier_date": f"{line.when + timedelta(days=2):%Y-%m-%d %H:%M:%S}",
            "order_estimated_delivery_date": f"{line.when + timedelta(days=20):%Y-%m-%d} 00:00:00",
            "_who": line.who,
        }
    table(folder / "olist_order_items_dataset.csv", items)
    table(folder / "olist_orders_dataset.csv", [{k: v for k, v in o.items() if k != "_who"} for o in orders.values()])
    table(
        folder / "olist_customers_dataset.csv",
        [
            {
                "customer_id": order["customer_id"],
                "customer_unique_id": f"{order['_who'] + 31:032x}",
                "customer_zip_code_prefix": "01409",
                "customer_city": "sao paulo",
                "customer_state": "SP",
            }
            for order in orders.values()
        ],
    )
    table(
        folder / "olist_products_dataset.csv",
        [
            {
                "product_id": f"{item + 999:032x}",
                "product_category_name": f"casa_{item % 6}",
                "product_name_lenght": 40,
                "product_weight_g": 225,
            }
            for item in range(40)
        ],
    )


# 8. Instacart: orders numbered, each with the days since the one before; no money


def instacart(folder: Path) -> None:
    number: dict[int, int] = {}
    orders, items = {}, []
    last: dict[int, datetime] = {}
    for line in lines():
        if line.first:
            number[line.who] = number.get(line.who, 0) + 1
            gap = (line.when - last[line.who]).days if line.who in last else None
            last[line.who] = line.when
            orders[line.order] = {
                "order_id": line.order,
                "user_id": 1 + line.who,
                "eval_set": "prior",
                "order_number": number[line.who],
                "order_dow": line.when.isoweekday() % 7,
                "order_hour_of_day": f"{line.when:%H}",
                "days_since_prior_order": "" if gap is None else f"{gap:.1f}",
            }
        items.append(
            {"order_id": line.order, "product_id": 300 + line.item, "add_to_cart_order": 1, "reordered": line.item % 2}
        )
    table(folder / "orders.csv", list(orders.values()))
    table(folder / "order_products__prior.csv", items)
    table(
        folder / "products.csv",
        [
            {"product_id": 300 + i, "product_name": f"Oats {i}", "aisle_id": i % 9, "department_id": i % 3}
            for i in range(40)
        ],
    )


# 9. H&M: scaled prices, a row per piece


def fashion(folder: Path) -> None:
    table(
        folder / "transactions_train.csv",
        [
            {
                "t_dat": f"{line.when:%Y-%m-%d}",
                "customer_id": f"{line.who + 77:064x}",
                "article_id": f"0{663713000 + line.item}",
                "price": f"{line.cents / 100_000:.6f}",
                "sales_channel_id": 1 + line.order % 2,
            }
            for line in lines()
            for _ in range(line.units)
        ],
    )
    table(
        folder / "articles.csv",
        [
            {
                "article_id": f"0{663713000 + item}",
                "product_code": 663713 + item // 4,
                "prod_name": f"Strap top {item}",
                "product_type_name": ("Vest top", "Bra", "Socks")[item % 3],
                "product_group_name": ("Garment Upper body", "Underwear")[item % 2],
            }
            for item in range(40)
        ],
    )


# 10. A list price beside the price that was paid, and what a piece costs, in a European export


def list_and_paid(folder: Path) -> None:
    def comma(cents: int) -> str:
        return money(cents).replace(".", ",")

    table(
        folder / "verkauf.csv",
        [
            {
                "Bon": 40000 + line.order,
                "Kunde": f"K{line.who:04d}",
                "Datum": f"{line.when:%d.%m.%Y %H:%M}",
                "Artikelnummer": f"A{line.item:05d}",
                "Bezeichnung": f"Kaffee {line.item}",
                "Warengruppe": f"Getränke {line.item % 4}",
                "Menge": line.units,
                "Listenpreis": comma(line.listed),
                "Verkaufspreis": comma(line.cents),
                "Einkaufspreis": comma(line.listed // 2),
                "Währung": "EUR",
            }
            for line in lines()
        ],
        "cp1252",
        ";",
    )


# 11. CDNOW: no line of names, columns set apart by spaces


def cdnow(folder: Path) -> None:
    text = "".join(
        f" {line.who + 1:05d} {line.when:%Y%m%d} {line.units:2d} {line.units * line.cents / 100:7.2f}\n"
        for line in lines()
    )
    (folder / "CDNOW_master.txt").write_text(text, encoding="ascii")


# 12. A Chinese till: GBK, RMB, the price on the tag beside the sum paid


def chinese(folder: Path) -> None:
    table(
        folder / "销售明细.csv",
        [
            {
                "小票号": f"XS{202400000 + line.order}",
                "会员卡号": f"V{line.who:06d}",
                "交易时间": f"{line.when:%Y/%m/%d %H:%M:%S}",
                "商品编码": f"69{line.item:011d}",
                "商品名称": f"龙井茶{line.item}号",
                "品类": ("茶叶", "糕点", "水果")[line.item % 3],
                "数量": line.units,
                "吊牌价": money(line.listed),
                "实付金额": money(line.units * line.cents),
                "币种": "RMB",
                "门店": f"杭州{line.order % 3}店",
            }
            for line in lines()
        ],
        "gbk",
    )


def sums(table: str, revenue: str, listed: str = "", shelf: str = "0", coupon: str = "0", where: str = "true") -> str:
    """A statement over one file of text columns."""
    values = ", ".join(
        f"coalesce(sum(round({value})), 0)::bigint" for value in (revenue, listed or revenue, shelf, coupon)
    )
    return f"select count(*), {values} from {table} where {where}"


RETAIL = "100 * cast(UnitPrice as decimal(12,2)) * cast(Quantity as int)"
PRICE = '100 * cast("Lineitem price" as decimal(12,2)) * cast("Lineitem quantity" as int)'
TAG = '100 * cast("Lineitem compare at price" as decimal(12,2)) * cast("Lineitem quantity" as int)'
LATIN = "read_csv('{0}/{1}', all_varchar = true, header = true, auto_detect = true, encoding = '{2}')"
PAID_ORDERS = """(with orders as (
        select Name, max("Financial Status") as status, max(cast("Discount Amount" as decimal(12,2))) as off
        from read_csv('{0}/orders_export.csv', all_varchar = true, header = true) group by all)
    select lines.*, status, case when row_number() over (partition by Name) = 1 then off else 0 end as off
    from read_csv('{0}/orders_export.csv', all_varchar = true, header = true) lines join orders using (Name)
    where status not in ('refunded', 'voided'))"""
GA4 = """select sum(len(items))::bigint, sum(round(100 * ecommerce.purchase_revenue))::bigint as r, r, 0, 0
    from {1} where event_name = 'purchase'"""
EURO = "100 * cast(replace({}, ',', '.') as decimal(12,2)) * cast(Menge as int)"

LAYOUTS: dict[str, Layout] = {
    "UCI Online Retail": Layout(
        online_retail,
        "OnlineRetail.csv",
        {
            "customer_id": "CustomerID", "time": "InvoiceDate", "product_id": "StockCode", "order_id": "InvoiceNo",
            "quantity": "Quantity", "unit_price": "UnitPrice",
        },
        sums(LATIN.format("{0}", "OnlineRetail.csv", "latin-1"), RETAIL,
             where="CustomerID is not null and InvoiceNo not like 'C%'"),
        inside={"products": {"name": "Description"}},
    ),
    "Ta-Feng": Layout(
        ta_feng,
        "ta_feng.csv",
        {
            "customer_id": "CUSTOMER_ID", "time": "TRANSACTION_DT", "product_id": "PRODUCT_ID", "quantity": "AMOUNT",
            "amount": "SALES_PRICE",
        },
        sums(CSV.format("{0}/ta_feng.csv"), "100 * cast(SALES_PRICE as bigint)"),
        inside={"products": {"category": "PRODUCT_SUBCLASS", "cost": "ASSET"}, "customers": {"age": "AGE_GROUP"}},
    ),
    "Shopify orders": Layout(
        shopify,
        "orders_export.csv",
        {
            "customer_id": "Email", "time": "Created at", "product_id": "Lineitem sku", "order_id": "Name",
            "quantity": "Lineitem quantity", "unit_price": "Lineitem price", "status": "Financial Status",
            "list_unit_price": "Lineitem compare at price", "coupon_discount": "Discount Amount",
        },
        sums(PAID_ORDERS, f"{PRICE} - 100 * off", f"coalesce({TAG}, {PRICE})",
             f"coalesce({TAG} - {PRICE}, 0)", "100 * off"),
        inside={"products": {"name": "Lineitem name", "brand": "Vendor"},
                "customers": {"consent": "Accepts Marketing"}},
    ),
    "Shopify with customers": Layout(
        shopify_whole,
        "orders_export.csv",
        {"customer_id": "Email", "time": "Created at", "product_id": "Lineitem sku", "order_id": "Name"},
        sums(PAID_ORDERS, f"{PRICE} - 100 * off", f"coalesce({TAG}, {PRICE})",
             f"coalesce({TAG} - {PRICE}, 0)", "100 * off"),
        others={"customers": "customers_export.csv"},
        inside={"customers": {"customer_id": "Email", "consent": "Accepts Email Marketing"}},
    ),
    "WooCommerce": Layout(
        woocommerce,
        "wc-orders.csv",
        {
            "customer_id": "Customer", "time": "Date", "order_id": "Order #", "status": "Status",
            "amount": "N. Revenue", "product_id": "Product(s).product", "quantity": "Product(s).quantity",
        },
        """select (select count(*) from (select unnest(string_split("Product(s)", '×')[2:]) from {1} where
            Status = 'completed')), sum(round(100 * cast("N. Revenue" as decimal(12,2))))::bigint as r, r, 0, 0
            from {1} where Status = 'completed'""".replace("{1}", CSV.format("{0}/wc-orders.csv")),
        answers=("customer_id=Customer",),  # names: nothing else says who it was
    ),
    "GA4 as JSON lines": Layout(
        ga4_json,
        "ga4.jsonl",
        {
            "customer_id": "user_pseudo_id", "time": "event_timestamp", "kind": "event_name",
            "product_id": "items.item_id", "unit_price": "items.price", "quantity": "items.quantity",
            "order_id": "ecommerce.transaction_id", "session_id": "event_params.ga_session_id",
            "dwell": "event_params.engagement_time_msec",
        },
        GA4.replace("{1}", "read_json('{0}/ga4.jsonl')"),
        inside={"products": {"name": "items.item_name", "category": "items.item_category"}},
    ),
    "GA4 as Parquet": Layout(
        ga4_parquet,
        "ga4.parquet",
        {
            "customer_id": "user_pseudo_id", "kind": "event_name", "product_id": "items.item_id",
            "session_id": "event_params.ga_session_id", "dwell": "event_params.engagement_time_msec",
        },
        GA4.replace("{1}", "'{0}/ga4.parquet'"),
        inside={"products": {"name": "items.item_name"}},
    ),
    "O2O coupons": Layout(
        o2o,
        "ccf_offline_stage1_train.csv",
        {"customer_id": "User_id", "time": "Date", "store_id": "Merchant_id"},
        sums(CSV.format("{0}/ccf_offline_stage1_train.csv"), "0", where="Date <> 'null'"),
        inside={
            "promotions": {
                "campaign_id": "Coupon_id", "start": "Date_received", "redeemed_at": "Date", "kind": "Discount_rate",
            }
        },
    ),
    "Olist": Layout(
        olist,
        "olist_order_items_dataset.csv+olist_orders_dataset.csv+olist_customers_dataset.csv",
        {
            "customer_id": "customer_unique_id", "time": "order_purchase_timestamp", "product_id": "product_id",
            "order_id": "order_id", "unit_price": "price", "status": "order_status",
        },
        """select count(*), sum(round(100 * cast(price as decimal(12,2))))::bigint as r, r, 0, 0
            from read_csv('{0}/olist_order_items_dataset.csv', all_varchar = true) join
            read_csv('{0}/olist_orders_dataset.csv', all_varchar = true) using (order_id)
            where order_status <> 'canceled'""",
        {"products": "olist_products_dataset.csv"},
        {"products": {"category": "product_category_name"}},
    ),
    "Instacart": Layout(
        instacart,
        "order_products__prior.csv+orders.csv",
        {
            "customer_id": "user_id", "time": "days_since_prior_order", "sequence": "order_number",
            "product_id": "product_id", "order_id": "order_id",
        },
        "select count(*), 0, 0, 0, 0 from '{0}/order_products__prior.csv'",
        {"products": "products.csv"},
        {"products": {"name": "product_name", "category": "aisle_id", "department": "department_id"}},
    ),
    "H&M": Layout(
        fashion,
        "transactions_train.csv",
        {"customer_id": "customer_id", "time": "t_dat", "product_id": "article_id", "unit_price": "price"},
        sums(CSV.format("{0}/transactions_train.csv"), "100 * 1000 * cast(price as decimal(12,6))"),
        {"products": "articles.csv"},
        {"products": {"product_id": "article_id", "name": "prod_name", "category": "product_group_name"}},
    ),
    "list and paid price": Layout(
        list_and_paid,
        "verkauf.csv",
        {
            "customer_id": "Kunde", "time": "Datum", "product_id": "Artikelnummer", "order_id": "Bon",
            "quantity": "Menge", "unit_price": "Verkaufspreis", "list_unit_price": "Listenpreis",
            "currency": "Währung",
        },
        sums(LATIN.format("{0}", "verkauf.csv", "latin-1"), EURO.format("Verkaufspreis"), EURO.format("Listenpreis"),
             f"{EURO.format('Listenpreis')} - {EURO.format('Verkaufspreis')}"),
        inside={"products": {"name": "Bezeichnung", "category": "Warengruppe", "cost": "Einkaufspreis"}},
    ),
    "CDNOW without a header": Layout(
        cdnow,
        "CDNOW_master.txt",
        {"customer_id": "customer_id", "time": "date", "quantity": "quantity", "amount": "amount"},
        """select count(*), sum(round(100 * cast(w[4] as decimal(12,2))))::bigint as r, r, 0, 0 from (
            select string_split_regex(trim(line), '\\s+') as w from
            read_csv('{0}/CDNOW_master.txt', columns = {{'line': 'VARCHAR'}}, delim = '|', header = false))""",
        given=("customer_id,date,quantity,amount",),
    ),
    "Chinese till": Layout(
        chinese,
        "销售明细.csv",
        {
            "customer_id": "会员卡号", "time": "交易时间", "product_id": "商品编码", "order_id": "小票号",
            "quantity": "数量", "amount": "实付金额", "list_unit_price": "吊牌价", "currency": "币种",
            "store_id": "门店",
        },
        "",
        inside={"products": {"name": "商品名称", "category": "品类"}},
    ),
}  # fmt: skip
