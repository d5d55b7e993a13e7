"""Blocks that several pages share."""

import pytest

from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.formatting import MoneyFormat, use_locale
from promolift.foundation.pages.charts import headline


@pytest.mark.parametrize(("language", "large", "so_far"), [
    ("en", "Not shown yet", "So far −$69.92. Why."), ("zh", "尚未证实", "目前为−$69.92。Why."),
])  # fmt: skip
def test_what_chance_alone_could_bring_is_no_headline(language: str, large: str, so_far: str) -> None:
    found, cash = IntervalEstimate(-6992.0, -30_000.0, 19_000.0), MoneyFormat("USD")
    with use_locale(language):  # type: ignore[arg-type]
        made = headline("Added", found, "Why.", "simulated", cash, shown=False)
        assert (made.value, made.sentence) == (large, so_far)
        assert made.span is not None
        assert headline("Added", found, "Why.", "simulated", cash).value == "−$69.92"
