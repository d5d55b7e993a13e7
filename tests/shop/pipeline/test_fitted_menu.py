"""The menu that `init` writes fits the shop: round sums of its currency at its own baskets, nothing on postage."""

import tomllib
from pathlib import Path

import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.customers.named_audiences import named_audiences
from promolift.foundation.i18n.catalogue import use_locale
from promolift.foundation.i18n.formatting import percent
from promolift.shop.configuration.configuration import Config
from promolift.shop.ingest.setup.audience_sizes import LEAST_BUDGET, MOST_BUDGET, SizedPlay, budget_share
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.ingest.setup.menu_proposal import (
    NOT_A_PRODUCT,
    BasketStatistics,
    fit_threshold,
    menu_toml,
    round_up,
)


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
    [(1.0, "USD", 2000, 200), (7.0, "CNY", 12000, 1500), (110.0, "JPY", 2000, 250), (90.0, "RUB", 160000, 20000)],
)
def test_thresholds_stand_at_the_shops_own_baskets(
    tmp_path: Path, scale: float, currency: str, threshold: int, amount: int
) -> None:
    """The middle order comes to 14 times `scale`: a round sum 1.2 to 1.5 times as high, and at most 15 % off it."""
    found = written(tmp_path, scale, currency)
    (spend,) = (item for item in found.menu if item.benefit.type == "amount_off")
    assert (spend.min_spend_cents, spend.benefit.amount_cents) == (threshold, amount)
    assert [(item.benefit.percent, item.untried) for item in found.menu if item.scope == "category"] == [
        (10, False), (20, False), (10, True),
    ]  # fmt: skip
    assert found.menu[0].benefit.type == "reminder"
    assert found.plan.test_share == 0.1


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
    fit = BasketStatistics(1000, (), 100)
    assert "name_zh" not in menu_toml(fit, "EUR", 0.3)
    assert "name_zh" in menu_toml(fit, "CNY", 0.3, languages=("en", "zh"))
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


@cases(200)
@given(st.integers(50, 10_000_000), st.sampled_from([0, 2, 3]), st.none() | st.floats(0.3, 3.0))
def test_a_threshold_is_a_round_sum_a_little_above_the_usual_basket(usual: int, digits: int, own: float | None) -> None:
    """Between 1.2 and 1.5 times as high, and where the shop's own is lower no later than that."""
    most = None if own is None else round(own * usual)
    found = fit_threshold(usual, digits, most)
    assert most is None or found <= most
    assert found <= 1.5 * usual
    assert found >= 1.2 * usual or (most is not None and found >= 0.9 * most)
    assert len(str(found).rstrip("0")) <= 2


def postage_log(folder: Path, free_from: float, sure: bool = True) -> Path:
    """Orders of 5 to 60 that pay postage below `free_from`; without `sure` it is charged by chance."""
    lines = ["order_id,customer_id,date,product_id,product_name,category,quantity,unit_price"]
    for order in range(300):
        goods, day = 5 + 55 * (order * 7 % 300) / 300, f"2026-0{1 + order % 6}-{1 + order % 28:02d}"
        lines.append(f"o{order},c{order % 90},{day},p1,Green tea,Tea,1,{goods:.2f}")
        if goods < free_from if sure else order % 2:
            lines.append(f"o{order},c{order % 90},{day},POST,Postage,Postage,1,4.00")
    (folder / "log.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "log.csv"


@pytest.mark.parametrize(("free_from", "sure", "wanted"), [(30.0, True, 2900), (25.0, True, 2400), (30.0, False, 5000)])
def test_free_delivery_begins_no_later_than_the_shops_own(
    tmp_path: Path, free_from: float, sure: bool, wanted: int
) -> None:
    """The middle order comes to 32.5 in goods; without a rule of the shop's own 1.2 to 1.5 times the middle order."""
    log = postage_log(tmp_path, free_from, sure)
    init({"events": log}, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="EUR"))
    found = Config.parse(tomllib.loads((tmp_path / "promolift.toml").read_text(encoding="utf-8")), "test")
    (free,) = (item for item in found.menu if item.benefit.type == "free_shipping")
    assert free.min_spend_cents == wanted
    assert (free_from * 100 >= free.min_spend_cents) or not sure


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_init_shows_the_plays_that_the_log_can_carry_with_size_and_cost(tmp_path: Path, locale: str) -> None:
    """Of 90 customers 75 have been away for long, and fewer than 16 of any other kind are not worth a test."""
    log = postage_log(tmp_path, 30.0)
    answers = SetupAnswers(currency="EUR", languages=("zh",) if locale == "zh" else ("en",))
    made = init({"events": log}, tmp_path / "promolift.toml", False, (), answers)
    plays = {each["name"]: each for each in made.figures["plays"]}
    assert {name: each["customers"] for name, each in plays.items()} == {"long absent": 75}
    for name, each in plays.items():
        audience = named_audiences()[name]
        with use_locale(locale):
            assert audience.words in made.text
        assert each["worst_cost_cents"] == 75 * 0.5 * 500  # half of them draw 5 off
    text = (tmp_path / "promolift.toml").read_text(encoding="utf-8")
    assert "promolift plays" in text
    share = Config.parse(tomllib.loads(text), "test").plan.budget_share
    with use_locale("zh" if locale == "zh" else "en"):
        assert percent(share) in made.text
    assert LEAST_BUDGET < share <= MOST_BUDGET


@given(worst=st.lists(st.integers(0, 10**7), max_size=4), others=st.integers(0, 10**7), recent=st.integers(0, 10**8))
def test_the_budget_that_is_proposed_is_what_the_plays_cost_within_bounds(
    worst: list[int], others: int, recent: int
) -> None:
    drawn = [each.name for each in named_audiences().values() if each.query is None]
    asked = next(each.name for each in named_audiences().values() if each.query is not None)
    plays = [SizedPlay(name, 100, cost) for name, cost in zip(drawn, worst, strict=False)]
    share = budget_share([*plays, SizedPlay(asked, 100, others)], recent)  # a play that nobody asked for yet
    assert LEAST_BUDGET <= share <= MOST_BUDGET
    wanted = sum(cost for _, cost in zip(drawn, worst, strict=False))
    if LEAST_BUDGET * recent <= wanted <= MOST_BUDGET * recent and recent:
        assert share == pytest.approx(wanted / recent, abs=0.0005)
    assert share == LEAST_BUDGET or wanted >= (LEAST_BUDGET - 0.0005) * recent


def test_no_percentage_passes_the_margin() -> None:
    text = menu_toml(BasketStatistics(1000, ()), "EUR", 0.15)
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
