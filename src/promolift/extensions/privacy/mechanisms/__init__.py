"""The mechanisms: noise, the privacy budget, reconstruction and membership inference."""
