"""Infer which column of a file holds which role."""
