"""Beside the rooms: a small shop whose truth is known, so that estimates can be compared with it."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = ["Shop", "ShopSettings", "expected", "realise", "simulate", "tiny_shop"]

if TYPE_CHECKING:
    from promolift.simulate.shop import Shop, simulate, tiny_shop
    from promolift.simulate.truth import expected, realise
    from promolift.simulate.world import ShopSettings
else:
    lazy(__name__)
