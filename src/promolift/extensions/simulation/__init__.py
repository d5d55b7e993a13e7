"""Simulated shops whose true effects are known, and months of campaigns in them."""

from promolift.foundation.extension import Extension

EXTENSION = Extension(
    "simulation",
    commands=("promolift.extensions.simulation.commands:add_commands",),
    tasks={"demo": "promolift.extensions.simulation.demo_play:start_demo_history"},
)
