"""The sentences of a test, in the language of the shop."""

from promolift.learn import ahead
from promolift.results.arms import group_name
from promolift.words import speaking


def test_every_group_of_a_test_has_its_name_in_chinese() -> None:
    names = [
        ahead.EVERYBODY,
        *(f"{recency}, {worth}" for recency in ahead.RECENCY for worth in ("high value", "low value")),
    ]
    with speaking("zh"):
        assert not [name for name in names if group_name(name).isascii()]
        assert group_name("active, high value") == "常来、价值较高"
        assert group_name("高频会员") == "高频会员"
    assert group_name("active, high value") == "active, high value"
