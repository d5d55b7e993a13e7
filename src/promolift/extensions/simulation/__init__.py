"""Simulated shops whose true effects are known, and months of campaigns in them."""
