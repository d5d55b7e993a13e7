"""The menu that `init` writes fits the shop: round sums of its currency at its own baskets, nothing on postage."""

import tomllib
from pathlib import Path

import pytest

from promolift.shop.configuration.configuration import Config
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.ingest.setup.menu_proposal import NOT_A_PRODUCT, BasketStatistics, menu_toml, round_up


def written(folder: Path, scale: float, currency: str, orders: int = 60, people: int = 13) -> Config:
    """promolift.toml of a log in which the middle order comes to about 12 times `scale`, in major units."""
    lines = ["order_id,customer_id,date,product_id,product_name,category,quantity,unit_price"]
    goods = [("p1", "Green tea", "Tea", 4.0), ("p2", "Cup", "Kitchen", 9.0), ("POST", "Postage", "Postage", 3.0)]
    for order in range(orders):
        for product, name, category, price in goods[order % 2 :]:
            day = f"2026-0{1 + order % 6}-{1 + order % 28:02d}"
            lines.append(f"o{order},c{order % people},{day},{product},{name},{category},1,{price * scale:.2f}")
    (folder / "log.csv").write_text("\n".join(lines), encoding="utf-8")
    init({"events": folder / "log.csv"}, folder / "promolift.toml", False, (), SetupAnswers(currency=currency))
    return Config.parse(tomllib.loads((folder / "promolift.toml").read_text(encoding="utf-8")), "test")


@pytest.mark.parametrize(
    ("scale", "currency", "threshold", "amount"),
    [(1.0, "USD", 2000, 200), (7.0, "CNY", 15000, 2000), (110.0, "JPY", 2000, 250), (90.0, "RUB", 200000, 25000)],
)
def test_thresholds_stand_at_the_shops_own_baskets(
    tmp_path: Path, scale: float, currency: str, threshold: int, amount: int
) -> None:
    """The 65th order of 100 comes to 16 times `scale`: a round sum a little above, and at most 15 % off it."""
    found = written(tmp_path, scale, currency)
    (spend,) = (item for item in found.menu if item.benefit.type == "amount_off")
    assert (spend.min_spend_cents, spend.benefit.amount_cents) == (threshold, amount)
    assert [(item.benefit.percent, item.untried) for item in found.menu if item.scope == "category"] == [
        (10, False), (20, False), (10, True),
    ]  # fmt: skip
    assert found.menu[0].benefit.type == "reminder"
    assert found.plan.trial == "auto"


def test_the_name_of_what_was_bought_is_no_customers_name(tmp_path: Path) -> None:
    found = written(tmp_path, 1.0, "USD").data
    assert found.products is not None
    assert found.products.mapping.sources("name") == ("product_name",)
    assert found.customers is None or not found.customers.mapping.has("name")


def test_customers_with_a_rhythm_are_won_back_where_there_are_enough(tmp_path: Path) -> None:
    for people, lines in ((29, []), (40, ["win-back-10"])):
        (tmp_path / str(people)).mkdir()
        found = written(tmp_path / str(people), 1.0, "USD", 240, people)
        assert [item.id for item in found.menu if item.segments == ("lapsing",)] == lines


def test_goods_without_categories_have_no_new_category() -> None:
    fit = BasketStatistics(1000, 1500, (), 100)
    assert "untried" not in menu_toml(fit, "EUR", 0.3)
    assert "untried = true" in menu_toml(fit, "EUR", 0.3, categories=True)
    assert "free_shipping" in menu_toml(fit, "EUR", 0.3)
    assert "free_shipping" not in menu_toml(fit, "EUR", 0.3, stores=True)
    assert "win-back" not in menu_toml(fit, "EUR", 0.15)


def test_what_is_no_goods_gets_no_offer(tmp_path: Path) -> None:
    assert set(written(tmp_path, 1.0, "USD").rules.excluded) == {"POST", "Postage"}


def test_with_too_few_orders_the_usual_menu_stays(tmp_path: Path) -> None:
    found = written(tmp_path, 1.0, "USD", orders=20)
    assert found.menu == Config.model_fields["menu"].default


@pytest.mark.parametrize(
    ("cents", "digits", "wanted"), [(4700, 2, 5000), (61_200, 0, 80_000), (1, 2, 100), (100, 2, 100)]
)
def test_round_sums(cents: int, digits: int, wanted: int) -> None:
    assert round_up(cents, digits) == wanted


def test_no_percentage_passes_the_margin() -> None:
    text = menu_toml(BasketStatistics(1000, 1500, ()), "EUR", 0.15)
    assert "percent = 10" in text
    assert "percent = 20" not in text


@pytest.mark.parametrize(
    "name", ["Fromage frais", "Porto Tawny", "Adjustable spanner", "Manual grinder", "塑身调整型内衣"]
)
def test_goods_that_sound_like_fees_stay_open(name: str) -> None:
    assert not NOT_A_PRODUCT.search(name)


@pytest.mark.parametrize(
    "name", ["POSTAGE", "Frais de port", "Manual", "Adjustment", "Gift card 50", "运费", "价格调整"]
)
def test_what_is_no_goods_is_known_by_its_words(name: str) -> None:
    assert NOT_A_PRODUCT.search(name)
