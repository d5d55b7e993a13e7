"""Twelve simulated shops that differ in mechanism; a seed draws each one's parameters from its ranges.

`draw_daily_shop(world, seed)` is a shop with a year of history and, in most worlds, some sales for everybody in it. The
planner is judged here and learns nothing from here: its priors come from published experiments.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from promolift.extensions.simulation.worlds.behaviours import (
    Accounts,
    Fatigue,
    Lapsing,
    Occasions,
    Pantry,
    ReferencePrice,
    Replenishment,
    Wardrobe,
)
from promolift.extensions.simulation.worlds.daily_shop import (
    Behaviour,
    DailyLuck,
    DailyShop,
    Sale,
    ShopTraits,
    draw_products,
)

WorldName = Literal[
    "pantry", "fashion", "replenishment", "fatigue", "reference price", "occasions", "accounts", "small shop",
    "messages repel", "nothing works", "effects reverse", "everything works",
]  # fmt: skip
WORLDS: tuple[WorldName, ...] = get_args(WorldName)
HISTORY_DAYS = 364
SMALL_SHOP_CUSTOMERS = 400
SALE_DEPTHS = (0.1, 0.15, 0.2, 0.3)  # of past sales
REVERSAL_DAYS = 56  # after the history

Draw = Callable[[float, float], float]


def draw_daily_shop(world: WorldName, seed: int, customers: int = 2000) -> DailyShop:
    """A shop of this kind after a year. `small shop` has 400 customers, whatever is asked."""
    rng = np.random.default_rng([WORLDS.index(world), seed])
    size = SMALL_SHOP_CUSTOMERS if world == "small shop" else customers
    behaviour = _behaviour(world, size, rng.uniform)
    names, price, per_category, margin = CATALOGUES[world]
    sales = tuple(
        Sale(int(rng.integers(30, HISTORY_DAYS - 40)), int(rng.integers(4, 11)), float(rng.choice(SALE_DEPTHS)))
        for _ in range(int(rng.integers(0, 4)))
    )
    traits = ShopTraits(world, seed, margin + float(rng.uniform(-0.05, 0.05)),
                        draw_products(rng, names, price, per_category), sales)  # fmt: skip
    shop = DailyShop(traits, behaviour, DailyLuck.of(WORLDS.index(world) * 100_003 + seed, behaviour.customers))
    shop.advance(HISTORY_DAYS)
    return shop


GROCERY = ("coffee", "dairy", "bread", "pasta", "fruit", "snacks", "cleaning")
CLOTHES = ("shirts", "trousers", "dresses", "shoes", "coats", "bags")
CARE = ("filters", "vitamins", "pet food", "contact lenses", "coffee beans")
GIFTS = ("flowers", "cards", "sweets", "candles", "toys")
OFFICE = ("paper", "toner", "packaging", "furniture", "tools")
CATALOGUES: dict[WorldName, tuple[tuple[str, ...], float, int, float]] = {  # categories, usual price, products, margin
    "pantry": (GROCERY, 450, 8, 0.28), "fashion": (CLOTHES, 4500, 12, 0.55), "replenishment": (CARE, 2800, 4, 0.45),
    "fatigue": (CLOTHES, 3500, 10, 0.5), "reference price": (CLOTHES, 3000, 10, 0.5),
    "occasions": (GIFTS, 2200, 8, 0.55), "accounts": (OFFICE, 3000, 10, 0.3), "small shop": (GIFTS, 1800, 6, 0.5),
    "messages repel": (CARE, 2500, 6, 0.45), "nothing works": (GROCERY, 600, 8, 0.3),
    "effects reverse": (CARE, 2500, 6, 0.45), "everything works": (CLOTHES, 3500, 10, 0.55),
}  # fmt: skip


def _behaviour(world: WorldName, n: int, draw: Draw) -> Behaviour:
    """The customers of a world. Ranges as argued in `behaviours`; where nothing was found they are wide."""
    if world == "pantry":
        return Pantry(n, 1.0, 0.0, draw(1800, 3200), 0.35, len(GROCERY), cycle_days=draw(9, 18), here=draw(0.4, 0.7),
                      price_here=draw(3, 7), stocks_up=draw(0.5, 2.5), eats_more=draw(0.05, 0.3),
                      message_here=draw(0.0, 0.25))  # fmt: skip
    if world == "fashion":
        return Wardrobe(n, draw(0.008, 0.016), 0.9, draw(6000, 11000), 0.5, len(CLOTHES), delivery_cents=450,
                        free_from_cents=draw(5000, 8000), returns=draw(0.26, 0.5), price=draw(2, 5),
                        pads=draw(0.3, 0.7), discount_returns=draw(0.1, 0.7), message=draw(0.05, 0.4))  # fmt: skip
    if world == "replenishment":
        return Replenishment(n, 1.0, 0.0, draw(2500, 4500), 0.4, len(CARE), cycle_days=draw(25, 50),
                             reminder=draw(0.8, 1.8), price_here=draw(0.5, 3), goes_elsewhere=draw(0.04, 0.12),
                             stays_elsewhere=draw(0.05, 0.2))  # fmt: skip
    if world == "reference price":
        return ReferencePrice(n, draw(0.015, 0.03), 0.9, draw(4000, 7000), 0.5, len(CLOTHES), gain_weight=draw(3, 6),
                              loss_weight=draw(6, 12), habituates=draw(0.2, 0.5), message=draw(0.0, 0.3))  # fmt: skip
    if world == "occasions":
        return Occasions(n, draw(0.001, 0.003), 0.8, draw(3000, 5000), 0.4, len(GIFTS), here=draw(0.2, 0.45),
                         reminder=draw(0.6, 1.5), price=draw(1, 3))  # fmt: skip
    if world == "accounts":
        return Accounts(n, draw(0.006, 0.012), 0.8, draw(4000, 9000), 0.0, len(OFFICE), small_price=draw(2, 6),
                        small_message=draw(0.1, 0.5), contract_share=draw(0.02, 0.06))  # fmt: skip
    made = (Fatigue if world == "fatigue" else Lapsing)(
        n, draw(0.015, 0.035), 0.8, draw(3000, 6000), 0.5, len(CATALOGUES[world][0]), lapse=draw(0.003, 0.007),
        comes_back=draw(0.0008, 0.002),
    )  # fmt: skip
    if world == "nothing works":
        return made
    made.message_active, made.message_absent = draw(-0.05, 0.1), draw(0.4, 1.2)
    made.discount_active, made.discount_absent = draw(0.5, 2.5), draw(4, 9)
    if isinstance(made, Fatigue):
        made.message_active, made.half_life, made.dulls = draw(0.1, 0.3), draw(14, 35), draw(0.4, 1.0)
        made.unsubscribes, made.annoyed_leave = draw(0.0006, 0.0025), draw(0.1, 0.4)
    if world == "messages repel":
        made.message_active, made.message_absent, made.message_repels = -0.1, -0.3, draw(0.03, 0.1)
    if world == "everything works":
        made.message_active, made.discount_active = draw(0.4, 0.7), draw(7, 10)
    if world == "effects reverse":
        made.flips_on = HISTORY_DAYS + REVERSAL_DAYS
    return made
