"""Decide a request from the live release, record the decision, render its message."""
