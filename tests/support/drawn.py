"""How many cases a property test draws: all of them under `make test-slow`, a quarter in the core."""

import os
from typing import Any

from hypothesis import settings

MANY = "PROMOLIFT_MANY" in os.environ


def cases(number: int, **more: Any) -> settings:
    """Hypothesis settings for `number` cases, in the core for a quarter of them, at least 3; no test has a deadline."""
    return settings(max_examples=number if MANY else max(number // 4, 3), deadline=None, **more)
