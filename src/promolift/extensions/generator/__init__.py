"""A generative model of offers. It loses to the menu at every budget (benchmarks/LOG.md); kept as a baseline."""
