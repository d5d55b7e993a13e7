"""Simulated shops with known true effects, to compare estimates with."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = ["SimulatedShop", "SimulationSettings", "expected_effects", "simulate", "tiny_shop"]

if TYPE_CHECKING:
    from promolift.extensions.simulation.worlds.simulated_shop import SimulatedShop, simulate, tiny_shop
    from promolift.extensions.simulation.worlds.true_effects import expected_effects
    from promolift.extensions.simulation.worlds.world import SimulationSettings
else:
    make_lazy(__name__)
