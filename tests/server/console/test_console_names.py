"""Everyday names that a model drafted are approved, changed or rejected on the page of texts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from console_helpers import CONFIG, Shop, opened

from promolift.core.messages.everyday_names import EverydayName
from promolift.shop.configuration.goods_names import change_names, load_names, shop_names


@pytest.fixture
def shop(folder: Path, tmp_path: Path) -> Iterator[Shop]:
    """A server with three drafts."""
    message = CONFIG.message.model_copy(update={"pool": str(tmp_path / "words.jsonl")})
    drafts = [
        EverydayName(key="tea", kind="category", language="zh", name="茶"),
        EverydayName(key="Brewing", kind="category", language="zh", name="冲煮用品"),
        EverydayName(key="乌龙茶", kind="product", language="en", name="oolong tea"),
    ]
    change_names(message, lambda _: drafts)
    with opened(folder, CONFIG.model_copy(update={"message": message})) as found:
        yield found


def test_names_are_approved_changed_and_rejected(shop: Shop) -> None:
    approver, message = shop.person("approver"), shop.server.config.message
    page = approver.get("/words")
    assert all(name in page for name in ("tea", "冲煮用品", "oolong tea"))
    approver.post("/words/names/decide", key="tea", language="zh", name="茶叶", said="yes")
    approver.post("/words/names/decide", key="乌龙茶", language="en", name="oolong tea", said="no")
    states = {each.key: (each.state, each.name, bool(each.by)) for each in load_names(message)}
    assert states == {"tea": ("approved", "茶叶", True), "Brewing": ("drafted", "冲煮用品", False),
                      "乌龙茶": ("rejected", "oolong tea", True)}  # fmt: skip
    assert {key: name.zh for key, name in shop_names(message).items()} == {"tea": "茶叶"}
    assert "冲煮用品" in approver.get("/words")


@pytest.mark.parametrize("name", ["8折茶", "tea", "茶" * 13])
def test_a_name_that_messages_may_not_print_is_refused(shop: Shop, name: str) -> None:
    shop.person("approver").post("/words/names/decide", 422, key="tea", language="zh", name=name, said="yes")
    assert {each.state for each in load_names(shop.server.config.message)} == {"drafted"}


def test_only_an_approver_decides_and_only_on_a_draft(shop: Shop) -> None:
    shop.person("editor").post("/words/names/decide", 403, key="tea", language="zh", name="茶", said="yes")
    assert "/words/names/decide" not in shop.person("editor").get("/words")
    shop.person("approver").post("/words/names/decide", 422, key="milk", language="zh", name="牛奶", said="yes")
