"""Differential privacy: noisy releases, a privacy budget, synthetic customers and audits by attack."""

from promolift.foundation.extension import Extension

EXTENSION = Extension(
    "privacy",
    release_policy="promolift.extensions.privacy.private_release:open_private_release",
)
