"""A realistic story, made from hashes alone: the same on every machine. Its figures are invented."""

import math

import polars as pl

from promolift.data.counts import Counts
from promolift.data.health import Ability
from promolift.effect import DiscountResponse
from promolift.hashing import hash_unit
from promolift.learn.metrics import Bin
from promolift.pages import Chosen, Household, Shop, Story, Unknown
from promolift.results.customers import Customers, ShopWeek, Tastes
from promolift.results.effects import ResponseFigures, Targeting
from promolift.results.evaluation import Lead
from promolift.results.foreseen import Foreseen
from promolift.results.messages import Messages
from promolift.results.plan import Assumption, Point
from promolift.results.predictions import Predictions
from promolift.results.shop import Alike, Checked, Figure, Health, Ndcg, Predicted, Told, Visit

CUSTOMERS = 1200
CATEGORIES = (
    "Soft drinks",
    "Beef",
    "Milk and cream",
    "Cheese",
    "Frozen meals",
    "Salty snacks",
    "Bread and rolls",
    "Fresh fruit",
    "Yogurt",
    "Lunch meat",
    "Cereal",
    "Coffee",
    "Chicken",
    "Vegetables, fresh",
    "Ice cream",
    "Cookies",
    "Beer",
    "Laundry care",
    "Paper towels",
    "Soup",
)


def normal(*parts: object) -> float:
    """A standard normal number fixed by `parts` (Box and Muller)."""
    return math.sqrt(-2 * math.log(1 - hash_unit(*parts, 1))) * math.cos(2 * math.pi * hash_unit(*parts, 2))


def ids() -> list[str]:
    return [str(100 + 2 * i) for i in range(CUSTOMERS)]


def profiles() -> pl.DataFrame:
    rows = []
    for c in ids():
        rate = math.exp(0.75 * normal("rate", c) + math.log(7.5))  # days between orders
        orders = max(1, round(350 / rate))
        basket = math.exp(0.6 * normal("basket", c) + math.log(2700))
        slope = 0.9 + 0.35 * normal("slope", c)
        rows.append(
            {
                "customer_id": c,
                "recency_days": min(340.0, -rate * 0.8 * math.log(1 - hash_unit("recency", c)) + hash_unit("hour", c)),
                "orders_52w": orders,
                "revenue_52w_cents": round(orders * basket),
                "cadence_days": rate if orders > 1 else None,
                "basket_median_cents": basket,
                "discount_share": min(0.7, max(0.0, 0.16 + 0.07 * normal("deal", c))),
                "price_sensitivity": slope if hash_unit("known", c) < 0.93 else None,
                "price_sensitivity_se": 0.12 + 0.3 * hash_unit("se", c),
                "expected_cents": orders * basket * 28 / 365,
            }
        )
    return pl.DataFrame(rows)


def customers() -> Customers | None:
    """The profiles, counted; their expected spend stands beside them."""
    return Customers.of(profiles(), profiles(), [who.customer_id for who in households()])


def affinities() -> pl.DataFrame:
    rows = []
    for c in ids():
        weights = {t: hash_unit("taste", c, t) ** 4 / (i + 4) for i, t in enumerate(CATEGORIES)}
        total = sum(weights.values())
        rows += [
            {"customer_id": c, "target": t, "spend_share": w / total} for t, w in weights.items() if w / total > 0.004
        ]
    return pl.DataFrame(rows)


def hours() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "weekday": d,
                "hour": h,
                "orders": round(
                    900
                    * math.exp(-(((h - (17 if d < 5 else 14)) / 4.2) ** 2))
                    * (1.5 if d > 4 else 1)
                    * (0.85 + 0.3 * hash_unit("w", d, h))
                ),
            }
            for d in range(7)
            for h in range(6, 24)
        ]
    )


def curve() -> pl.DataFrame:
    rows = []
    for group, slope, wide in (
        ("everyone", 1.15, 0.05),
        ("least price-sensitive third", 0.78, 0.09),
        ("most price-sensitive third", 1.62, 0.09),
    ):
        for depth in (0.06, 0.15, 0.25, 0.35, 0.45):
            at = slope * depth + 0.02 * normal(group, depth)
            rows.append(
                (
                    group,
                    depth,
                    math.exp(at) - 1,
                    math.exp(at - wide) - 1,
                    math.exp(at + wide) - 1,
                    int(9000 * (1 - depth)),
                )
            )
    return pl.DataFrame(rows, schema=["group", "depth", "lift", "low", "high", "cells"], orient="row")


def targets() -> pl.DataFrame:
    rows = []
    for i, name in enumerate(CATEGORIES):
        at, se = 1.75 - 0.085 * i + 0.1 * normal("e", i), 0.08 + 0.16 * hash_unit("ese", i)
        rows.append((name, at, se, int(400 + 9000 * hash_unit("en", i))))
    return pl.DataFrame(rows, schema=["target", "response", "response_se", "cells"], orient="row")


def placebos() -> pl.DataFrame:
    return pl.DataFrame(
        [
            ("discount now", 1.15, 1.05, 1.25, "the response itself"),
            ("discount 3 to 6 weeks later", 0.04, -0.03, 0.11, "the future causes nothing"),
            ("another customer's discount, same category and week", -0.02, -0.09, 0.05, "it is not their products"),
        ],
        schema=["name", "value", "low", "high", "meaning"],
        orient="row",
    )


def overlap() -> pl.DataFrame:
    return pl.DataFrame(
        [
            ("share of the discount's variance left after the fixed effects", 0.31, None, None),
            ("customer-category pairs that saw both full price and 15 % or more", 0.64, None, None),
        ],
        schema={"name": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64},
        orient="row",
    )


def response() -> ResponseFigures:
    """A response that was read and adjusted."""
    read = DiscountResponse(
        "adjusted", "read from past discounts", 1.15, 0.05, 0.31, 0.04, -0.2, 0.05, cells=73_204, customers=1_200,
        targets=targets(), curve=curve(), placebo=placebos(), overlap=overlap(),
    )  # fmt: skip
    return ResponseFigures.of(read, {name: name for name in CATEGORIES})


def calibration() -> pl.DataFrame:
    rows = []
    for model, top, n in (("redemption of a coupon", 0.55, 205), ("purchase in the coming 4 weeks", 0.97, 240)):
        for i in range(10):
            p = 0.012 + top * (i / 9) ** (2 if top < 0.9 else 1)
            seen = min(0.99, max(0.004, p * (0.95 + 0.1 * hash_unit(model, i)) + 0.012 * normal(model, i)))
            half = 1.96 * math.sqrt(seen * (1 - seen) / n)
            rows.append((model, min(p, 0.99), seen, max(0.0, seen - half), min(1.0, seen + half), n))
    return pl.DataFrame(rows, schema=["model", "predicted", "observed", "low", "high", "n"], orient="row")


def recall() -> pl.DataFrame:
    rows = []
    for model, scale in (("profile model", 1.0), ("bought before, most often", 0.92), ("most popular", 0.6)):
        for k in (1, 3, 5, 10, 20):
            r = scale * 0.46 * (1 - math.exp(-k / 9))
            rows.append((model, k, r, r - 0.011, r + 0.011, 2222))
    return pl.DataFrame(rows, schema=["model", "k", "recall", "low", "high", "n"], orient="row")


def scores() -> pl.DataFrame:
    columns = ["model", "figure", "value", "low", "high", "n", "baseline", "baseline_value", "better"]
    return pl.DataFrame(
        [
            ("redemption of a coupon", "AUC", 0.851, 0.823, 0.876, 2050, "past redemption rate", 0.809, "higher"),
            ("redemption of a coupon", "log loss", 0.289, 0.262, 0.316, 2050, "past redemption rate", 0.403, "lower"),
            (
                "purchase in the coming 4 weeks",
                "AUC",
                0.893,
                0.886,
                0.9,
                24_000,
                "days since last order",
                0.851,
                "higher",
            ),
            (
                "spend of the next 8 weeks",
                "mean absolute error, $",
                107.4,
                102.3,
                112.5,
                2451,
                "mean of last 8 weeks",
                116.4,
                "lower",
            ),
            (
                "spend of the next 8 weeks",
                "rank correlation",
                0.831,
                0.817,
                0.845,
                2451,
                "LightGBM on 61 features",
                0.828,
                "higher",
            ),
        ],
        schema=columns,
        orient="row",
    )


def gain(budget: float) -> float:
    return 1_460_000 * (1 - math.exp(-budget / 340_000))


def frontier() -> pl.DataFrame:
    budgets = [40_000.0 * i for i in range(31)]
    return pl.DataFrame(
        {
            "budget_cents": budgets,
            "gain_cents": [gain(b) for b in budgets],
            "low_cents": [0.62 * gain(b) for b in budgets],
            "high_cents": [1.36 * gain(b) for b in budgets],
            "cost_cents": budgets,
            "price": [4.29 * math.exp(-b / 340_000) for b in budgets],
            "treated": [int(CUSTOMERS * (1 - math.exp(-b / 500_000))) for b in budgets],
        }
    )


def policies() -> pl.DataFrame:
    columns = ["policy", "profit_cents", "low_cents", "high_cents", "spend_cents", "treated", "evidence", "ours"]
    return pl.DataFrame(
        [
            ("this plan", 1_124_000.0, 697_000.0, 1_529_000.0, 500_000.0, 753, "adjusted", True),
            ("best customers first (RFM)", 640_000.0, 322_000.0, 958_000.0, 499_100.0, 512, "adjusted", False),
            ("everyone the same coupon", 512_000.0, 241_000.0, 783_000.0, 500_000.0, 1200, "adjusted", False),
            ("random customers", 388_000.0, 93_000.0, 683_000.0, 499_700.0, 640, "adjusted", False),
            ("send nothing", 0.0, 0.0, 0.0, 0.0, 0, "adjusted", False),
        ],
        schema=columns,
        orient="row",
    )


DEPTHS = (10, 15, 20, 30)


def plan() -> pl.DataFrame:
    rows = []
    for c in ids():
        if hash_unit("gets", c) > 0.63:
            rows.append((c, "none", None, None, None, 0.0, 0.0, "no offer is expected to pay"))
            continue
        place = int(hash_unit("what", c) ** 2.2 * 8)
        target, depth = CATEGORIES[place], DEPTHS[int(hash_unit("depth", c) ** 1.6 * 4)]
        zh = f"您常买的{ZH[place]}现在{fold(depth)}，10月29日前有效。谢谢您常来！"
        en = f"{target} is {depth}% off for you until October 29. Thank you for coming back."
        worth = math.exp(0.6 * normal("worth", c) + math.log(1300))
        rows.append(
            (
                c,
                f"{target}-{depth}",
                f"{depth} % off {target.lower()}",
                zh,
                en,
                worth,
                worth * 0.45,
                f"buys {target.lower()} often and answers prices",
            )
        )
    columns = ["customer_id", "offer_id", "offer", "message_zh", "message_en", "gain_cents", "cost_cents", "reason"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def messages() -> Messages:
    """The plan's rows that give something."""
    return Messages(plan().filter(pl.col("offer_id") != "none"))


def mix() -> pl.DataFrame:
    """The offers that are given, most given first."""
    rows = messages().rows
    sums = rows.group_by("offer_id").agg(
        pl.col("offer").first(), pl.len().alias("treated"), (pl.len() / rows.height).alias("share"),
        pl.col("gain_cents", "cost_cents").sum(),
    )  # fmt: skip
    return sums.sort(["treated", "offer_id"], descending=[True, False])


ZH = ("汽水饮料", "牛肉", "牛奶和奶油", "奶酪", "冷冻餐", "咸味零食", "面包", "新鲜水果")


def fold(percent: int) -> str:
    """Per cent off as Chinese shops print it: 20 is 8折, 15 is 8.5折."""
    return f"{(100 - percent) / 10:g}折"


def households() -> list[Household]:
    people = (
        (
            "Comes every three days with small baskets, mostly after work; buys cheese in two orders of three.",
            3,
            20,
        ),
        ("A weekend shopper with large baskets; has bought beef every month this year, rarely on discount.", 1, 10),
        ("Used to come weekly, last seen 24 days ago; soft drinks were in nearly every basket.", 0, 30),
        ("Shops late in the evening, frozen meals above all; answers prices more than most.", 4, 20),
        (
            "New since summer, few orders so far; yogurt and fruit stand out. Little else is known yet.",
            7,
            15,
        ),
    )
    out = []
    for i, (who, place, depth) in enumerate(people):
        target = CATEGORIES[place]
        worth = 2400.0 - 330 * i
        out.append(
            Household(
                customer_id=ids()[37 + 91 * i],
                who=who,
                facts=(
                    ("last order", f"{3 + 5 * i} days ago"),
                    ("orders in a year", str(120 - 24 * i)),
                    ("typical basket", f"${19.5 + 7 * i:.2f}"),
                ),
                offer=f"{depth} % off {target.lower()}",
                why=f"Expected to spend $6 on {target.lower()} anyway; the discount should add more than it costs.",
                gain_cents=worth,
                low_cents=worth * 0.3,
                high_cents=worth * 1.7,
                cost_cents=worth * 0.42,
                message_zh=f"您常买的{ZH[place]}现在{fold(depth)}，10月29日前有效。谢谢您常来！",
                message_en=f"{target} is {depth}% off for you until October 29. Thank you for coming back.",
                evidence="assumed" if i == 4 else "adjusted",
            )
        )
    return out


def foreseen() -> Foreseen:
    """Two islands of customers, as many products as categories, and three epochs."""
    epochs = [(5.6, 5.2, 0.39, 0.4), (5.2, 5.1, 0.4, 0.41), (5.1, 5.1, 0.41, 0.405)]
    names = ("train_total", "valid_total", "train_ndcg", "valid_ndcg")
    who = ids()
    checked = Checked(
        record=tuple(dict(zip(names, row, strict=True)) for row in epochs),
        ndcg=Ndcg(value=0.404, low=0.392, high=0.417, habit=0.386, n=1100),
        lead=Figure(value=0.018, low=0.01, high=0.026),
        bins=(Bin(0.1, 0.11, 0.09, 0.13, 900, 99), Bin(0.3, 0.29, 0.27, 0.31, 900, 261)),
        stays_away=Predicted(predicted=0.098, observed=0.1),
    )
    told = Told(
        customer_id=who[0], item="milk",
        sentences=("Buys milk every 9 days, due in 2.", "Leans to groceries more than others do."),
        reasons=(
            Visit(day="2017-10-02", items=("milk", "bread"), odds_factor=1.12),
            Visit(day="2017-10-09", items=("soup",), odds_factor=0.97),
        ),
        alike=(
            Alike(customer_id=who[2], next_1="soup", spend_cents=2035.0, leans_to="groceries"),
            Alike(customer_id=who[4], next_1=None, spend_cents=1000.0, leans_to=None),
        ),
    )  # fmt: skip
    return Foreseen.of(checked, told, mapped(), goods())


def mapped() -> pl.DataFrame:
    """Customers on two islands."""
    who = ids()
    return pl.DataFrame({
        "customer_id": who, "x": [3.0 * (k % 2) + hash_unit("x", c) for k, c in enumerate(who)],
        "y": [hash_unit("y", c) for c in who],
        "spend_cents": [1000.0 * (1 + k % 2) + hash_unit("s", c) for k, c in enumerate(who)],
        "leans_to": [("groceries", "fresh fruit")[k % 2] for k in range(len(who))],
        "price_sensitivity": [hash_unit("p", c) for c in who],
    })  # fmt: skip


def goods() -> pl.DataFrame:
    """Categories on two shelves and on none."""
    return pl.DataFrame({
        "name": list(CATEGORIES), "x": [hash_unit("gx", c) for c in CATEGORIES],
        "y": [hash_unit("gy", c) for c in CATEGORIES],
        "shelf": [("groceries", "fresh fruit", None)[k % 3] for k in range(len(CATEGORIES))],
        "visits": [100 * k for k in range(len(CATEGORIES))],
    })  # fmt: skip


def health() -> Health:
    """What became of seven tables, and what they can answer."""
    return Health(
        tables=(
            Counts(
                "events", 1_469_307, 1_466_012, 8_214,
                rejected={"price below zero": 3_127, "later than the moment of the export": 168},
                repaired={"quantity is in thousandths (fuel): set to missing": 8_214},
            ),
            Counts("products", 92_331, 92_331, 412, repaired={"a blank category": 412}),
            Counts("customers", 801, 801),
            Counts("exposures", 6_589, 6_589, 312, repaired={"campaign began before the data do": 312}),
            Counts("redemptions", 2_102, 2_099, 2_099, rejected={"no basket on that day": 3},
                   repaired={"local date turned into a moment of the shop's zone": 2_099}),
            Counts("coupons", 116_204, 111_332, rejected={"the same row twice": 4_872}),
            Counts("shelf", 20_940_529, 20_938_010, rejected={"product not in the catalogue": 2_519}),
        ),
        abilities=(
            Ability("profiles of customers", "yes", "51 weeks of receipts for 2,469 households"),
            Ability("response to discounts", "yes", "shelf discounts vary within product, store and week"),
            Ability("effect of targeted coupons", "no", "who was targeted was not decided by chance",
                    "send one campaign with a random tenth left out"),
            Ability("true margins", "partly", "no cost prices: a margin of 30 % is assumed",
                    "a column cost_price in the products file"),
            Ability("messages by name", "no", "the data have no names", "names in the customers file"),
        ),
        summary={}, warnings=(), notes=(),
    )  # fmt: skip


def story() -> Story:
    """The whole demo story."""
    return Story(
        shop=Shop(
            "Complete Journey grocer",
            "USD",
            "en",
            "America/New_York",
            1508126400000,
            28,
            365,
            500_000.0,
            "simulated for tests",
        ),
        interval_percent=95,
        health=health(),
        customers=customers(),
        tastes=Tastes.of(affinities()),
        week=ShopWeek.of(hours()),
        foreseen=foreseen(),
        response=response(),
        targeting=Targeting(campaigns=30, refusal="the targeted had spent three times as much before"),
        predictions=Predictions.of(scores(), calibration(), recall()),
        frontier=frontier(),
        chosen=Chosen(
            500_000.0,
            gain(500_000),
            0.62 * gain(500_000),
            1.36 * gain(500_000),
            499_871.0,
            4.29 * math.exp(-500 / 340),
            753,
            1200,
            gain(500_000) + 190.0,
            "adjusted",
            "margin after the discount is paid",
            "The budget acts as a price: each gets the offer whose gain, less 0.99 times its cost, is largest.",
            spent_share=0.9997,
            treated_share=0.6275,
            next_cents=100 * 4.29 * math.exp(-500 / 340),
            missing_cents=190.0,
            gap=190.0 / (gain(500_000) + 190.0),
            customers=1400,
            held_out=140,
            barred=60,
            offers=mix().height,
            half=Point(budget_cents=250_000, gain_cents=gain(250_000), share=gain(250_000) / gain(500_000)),
            twice=Point(budget_cents=1_000_000, gain_cents=gain(1_000_000), share=gain(1_000_000) / gain(500_000)),
            assumptions=(
                Assumption(
                    name="supplier_share",
                    value=0.85,
                    flips_at=0.69,
                    text="Suppliers pay 85 % of the discounts: at 69 % this plan as it stands would earn nothing.",
                ),
                Assumption(name="stretch_share", value=0.1, flips_at=None, text="10 % of orders are filled up."),
            ),
        ),
        policies=policies(),
        lead=Lead(
            rival="best customers first (RFM)",
            others=4,
            plan_cents=1_124_000.0,
            lead_cents=484_000.0,
            low_cents=None,
            high_cents=None,
            equal_spend=True,
            apart=False,
            evidence="adjusted",
        ),
        policies_note="The same response estimates judge all policies, so their errors move together.",
        mix=mix(),
        typical=messages().typical(6),
        written=messages().written,
        households=households(),
        unknowns=(
            Unknown(
                "Whether targeted coupons cause purchases",
                "Targeted households had spent three times more before; that cannot be adjusted away.",
                "Leave a random tenth without an offer in the next campaign and compare after four weeks.",
            ),
            Unknown(
                "What the shop pays for its products",
                "Margins are assumed at 30 % of the full price.",
                "Add cost prices to the products file.",
            ),
            Unknown("Purchases elsewhere", "A customer who buys less here may buy more at another shop.", None),
            "How customers react to several offers in a row: no campaign in this data tells.",
        ),
    )


if __name__ == "__main__":  # look at it: python tests/pages/report_demo.py > report.html
    from promolift.pages import render

    print(render(story()))
