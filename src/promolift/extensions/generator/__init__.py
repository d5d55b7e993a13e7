"""A generative model of offers. It loses to the menu at every budget (benchmarks/LOG.md); kept as a baseline."""

from promolift.foundation.extension import Extension

EXTENSION = Extension(
    "generator",
    candidates={"gan": "promolift.extensions.generator.candidate_source:generate_proposals"},
)
