"""Beside the rooms: a small shop whose truth is known, so that estimates can be compared with it."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = ["SimulatedShop", "SimulationSettings", "expected", "simulate", "tiny_shop"]

if TYPE_CHECKING:
    from promolift.simulate.shop import SimulatedShop, simulate, tiny_shop
    from promolift.simulate.truth import expected
    from promolift.simulate.world import SimulationSettings
else:
    lazy(__name__)
