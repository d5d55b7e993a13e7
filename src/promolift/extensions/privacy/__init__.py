"""Differential privacy: noisy releases, a privacy budget, synthetic customers and audits by attack."""
