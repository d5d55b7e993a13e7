"""Beside the rooms: a small shop whose truth is known, so that estimates can be compared with it."""

from promolift.simulate.shop import Shop, simulate, tiny_shop
from promolift.simulate.truth import expected, realise
from promolift.simulate.world import ShopSettings

__all__ = ["Shop", "ShopSettings", "expected", "realise", "simulate", "tiny_shop"]
