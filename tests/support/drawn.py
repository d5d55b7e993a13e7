"""How many cases a property test draws: all of them under `make test-many`, otherwise a quarter."""

import os
from typing import Any

from hypothesis import settings

MANY = "PROMOLIFT_MANY" in os.environ


def cases(number: int, **more: Any) -> settings:
    """Hypothesis settings for `number` cases, or at least 3 and a quarter of them; no test has a deadline."""
    return settings(max_examples=number if MANY else max(number // 4, 3), deadline=None, **more)
