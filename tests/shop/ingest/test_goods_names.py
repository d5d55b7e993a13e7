"""Goods whose names hold a word of charges are goods; charges are none."""

import pytest

from promolift.shop.ingest.setup.menu_proposal import NOT_A_PRODUCT, POSTAGE

GOODS = [
    *("Height Adjustment", "Desk Height Adjustment", "Adjustment Screw", "Shipping Labels", "Shipping Box 30x20"),
    *("Postage Stamps Book", "Gift Card Holder", "Freight Train Toy", "Delivery Bag for Bikes", "Versandtasche A4"),
    *("Manual Coffee Grinder", "Discount Mug"),
]
CHARGES = [
    *("Shipping", "DOTCOM POSTAGE", "Delivery fee", "Shipping & Handling", "Next Day Delivery", "Shipping (DHL)"),
    *("Postage to France", "Delivery 4.90 EUR", "Versandkosten", "Versand", "Frais de livraison", "Price adjustment"),
    *("Adjustment by john on 26/01/2010 16", "Manual", "Bank Charges", "Gift Card £50", "Gift voucher Christmas"),
    *("Freight - Express", "运费", "CARRIAGE"),
]


@pytest.mark.parametrize("name", GOODS)
def test_goods_are_goods(name: str):
    assert not NOT_A_PRODUCT.search(name.strip())
    assert not POSTAGE.search(name.strip())


@pytest.mark.parametrize("name", CHARGES)
def test_charges_are_no_goods(name: str):
    assert NOT_A_PRODUCT.search(name.strip())
