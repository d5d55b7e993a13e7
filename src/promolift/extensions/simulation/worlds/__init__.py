"""Beside the rooms: a small shop whose truth is known, so that estimates can be compared with it."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = ["SimulatedShop", "SimulationSettings", "expected", "simulate", "tiny_shop"]

if TYPE_CHECKING:
    from promolift.extensions.simulation.worlds.simulated_shop import SimulatedShop, simulate, tiny_shop
    from promolift.extensions.simulation.worlds.true_effects import expected
    from promolift.extensions.simulation.worlds.world import SimulationSettings
else:
    lazy(__name__)
