"""Value candidates: the expected gain and cost of each offer, with standard error and evidence level."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.effects.offer_value.discount_response import WITHIN_WINDOW, DiscountResponse
from promolift.core.effects.settings import ValueSettings
from promolift.foundation.evidence import Z95, IntervalEstimate, Level
from promolift.foundation.hashing import hash_units

PART_COLUMNS = ("target", "base_cents", "base_se_cents", "buy_prob", "bought", "margin_rate", "send_cost_cents")
SUMMED_COLUMNS = ("gain_cents", "gain_se_cents", "cost_cents", "added_cents", "subsidy_cents")
RESPONSE_COLUMNS = ("depth", "base_cents", "margin_rate", "supplier_share", "reach", "response_now", "response_net")
REPLAY_COLUMNS = (
    "orders", "used", "off_cents", "covered_cents", "near", "near_cents", "use_cost_cents", "use_worth_cents", "lowers"
)  # fmt: skip
STRETCH_RATIO = 2.0  # just below a threshold means: missing it by at most this many times the reward
DRAW_COLUMNS = ("response_now", "response_net", "reach", "gain_cents")


class ResponseModel(Protocol):
    """What `add_effects` asks of a model of demand: `DiscountResponse`, or one of your own.

    At a discount of depth d a customer's demand is exp(response_now * d) times what it is without one.
    """

    @property
    def level(self) -> Level:
        """How well the response is known; it becomes the evidence of what was bought before."""

    @property
    def prior_response(self) -> float:
        """The response taken for offers with a threshold, which have no depth."""

    @property
    def prior_se(self) -> float: ...

    def respond(self, candidates: pl.DataFrame) -> pl.DataFrame:
        """The rows of CANDIDATES, all of them and in any order, with three more columns, or four.

        `response_now` is the response in the window, `response_net` the same less what is only bought earlier, and
        `response_se` the standard error of the first. `pulled_se` is that of the part that is only bought earlier; it
        may be left out.
        """


def add_effects(
    candidates: pl.DataFrame, response: ResponseModel, redeem: pl.DataFrame | None, settings: ValueSettings
) -> pl.DataFrame:
    """Add gain_cents, gain_se_cents, cost_cents, added_cents, subsidy_cents, redeem_prob, evidence to CANDIDATES.

    Percentages, for base value V, depth d, margin m, reach r and the part f of the benefit the shop pays:
    added = m V r (exp(net d) - 1), with demand pulled forward taken off; subsidy = f d V r exp(now d);
    cost = subsidy + the cost of telling; gain = added - cost, so gain is profit after the promotion's cost. r is 1
    where the price is lowered automatically, else P(redeem) / P(buys at that price). Thresholds: see `_threshold`.
    A reminder adds nothing that this model could know.
    Errors by the delta method. `redeem` has customer_id, target, redeem_prob from the redemption model. Ineligible
    rows keep null effects. An offer on two categories is worth what both are alone, see `_both`.
    """
    if "parts" not in candidates.columns:
        return _add_effects(candidates, response, redeem, settings)
    pair = pl.col("parts").is_not_null()
    two = candidates.filter(pair)
    each = _add_effects(
        explode_parts(candidates.with_columns(pair.alias("pair")), PART_COLUMNS), response, redeem, settings
    )
    both = _both(two, each.filter("pair"))
    return pl.concat([each.filter(~pl.col("pair")).drop("pair"), both], how="diagonal").sort("customer_id", "offer_id")


def explode_parts(rows: pl.DataFrame, names: tuple[str, ...] = (*PART_COLUMNS, *DRAW_COLUMNS)) -> pl.DataFrame:
    """Offers on two categories as a row for each of them, with what `parts` says of it; other rows as they are.

    `parts`: for an offer on two, a list of two structs with the columns PART, and once valued with DRAWN; else null.
    """
    if "parts" not in rows.columns:
        return rows
    two = pl.col("parts").is_not_null()
    each = rows.filter(two).explode("parts")
    fields = [pl.col("parts").struct.field(name) for name in names]
    return pl.concat([rows.filter(~two).drop("parts"), each.with_columns(fields).drop("parts")], how="diagonal")


def _both(two: pl.DataFrame, each: pl.DataFrame) -> pl.DataFrame:
    """Effects of offers on two categories: the sum of both, as the response takes categories to be bought for
    themselves. Errors are added, too, as if they always erred together. Telling costs once, with the first.
    """
    key, assumed = ["customer_id", "offer_id"], pl.col("evidence") == "assumed"
    summed = (
        each.sort(*key, "target")
        .group_by(key, maintain_order=True)
        .agg(
            *(
                pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).alias(name)
                for name in SUMMED_COLUMNS
            ),
            redeem_prob=1 - (1 - pl.col("redeem_prob")).product(),
            evidence=pl.when(~assumed.any()).then(pl.col("evidence").first()).otherwise(pl.lit("assumed")),
            parts=pl.struct(*PART_COLUMNS, *DRAW_COLUMNS),
        )
    )
    return two.drop([name for name in summed.columns if name in two.columns and name not in key]).join(summed, on=key)


def _add_effects(
    candidates: pl.DataFrame, response: ResponseModel, redeem: pl.DataFrame | None, settings: ValueSettings
) -> pl.DataFrame:
    """What `add_effects` promises, for offers on one thing."""
    orders = pl.col("orders_expected") * pl.col("basket_mean_cents")
    rows = response.respond(candidates).with_columns(
        pl.col("margin_rate").fill_null(settings.margin_rate),
        base_cents=pl.when(pl.col("scope") == "all").then(orders).otherwise(pl.col("base_cents")),
    )
    if redeem is None:
        rows = rows.with_columns(coupon_prob=pl.lit(None, pl.Float64))
    else:
        coupon = redeem.select("customer_id", "target", coupon_prob="redeem_prob")
        rows = rows.join(coupon, on=["customer_id", "target"], how="left")
    by_baskets = pl.col("orders").is_not_null() if "orders" in rows.columns else pl.lit(False)
    replayed, rows = rows.filter(by_baskets), rows.filter(~by_baskets)
    nothing, zero = (
        rows.filter(pl.col("menu_id") == "none"),
        dict.fromkeys((*SUMMED_COLUMNS, "redeem_prob"), pl.lit(0.0)),
    )
    letter, sending = rows.filter(pl.col("benefit") == "reminder"), pl.col("send_cost_cents")
    valued = pl.concat(
        [
            nothing.with_columns(**zero, evidence=pl.lit(None, pl.String)),
            letter.with_columns(**zero).with_columns(
                cost_cents=sending, gain_cents=-sending, evidence=pl.lit("assumed")
            ),
            _percent(rows.filter(pl.col("benefit") == "percent_off"), response, settings),
            _threshold(rows.filter(pl.col("benefit").is_in(["amount_off", "free_shipping"])), response, settings),
            _by_baskets(replayed, response, settings),
        ],
        how="diagonal",
    )
    valued = valued.drop(*REPLAY_COLUMNS, "pulled_se", strict=False)
    shown = pl.when(pl.col("eligible")).then(pl.col(*SUMMED_COLUMNS, "redeem_prob")).name.keep()
    return valued.with_columns(shown).sort("customer_id", "offer_id")


def _percent(rows: pl.DataFrame, response: ResponseModel, settings: ValueSettings) -> pl.DataFrame:
    d, base, m = pl.col("depth"), pl.col("base_cents"), pl.col("margin_rate")
    grow, net = (pl.col("response_now") * d).exp(), (pl.col("response_net") * d).exp()
    buys = 1 - (1 - pl.col("buy_prob").fill_null(0.0)) ** grow
    uses = pl.col("coupon_prob").fill_null(settings.coupon_reach * buys)
    automatic = pl.col("activation") == "automatic"
    reach = pl.when(automatic).then(1.0).otherwise(pl.min_horizontal(uses / buys, pl.lit(1.0)))
    measured = (pl.col("scope") == "category") & pl.col("bought").fill_null(False) & (response.level != "assumed")
    ratio = (pl.col("response_net") / pl.col("response_now")).fill_nan(1.0)
    pulled = (1 - ratio) / (1 - WITHIN_WINDOW * ratio)  # the part of the response that is only bought earlier
    moved = m * base * net * (1 - pulled) * pl.col("reach") - pl.col("subsidy_cents") * (1 - WITHIN_WINDOW * pulled)
    by_response = d * moved * pl.col("response_se")
    first = pl.col("response_now") / (1 - WITHIN_WINDOW * pulled)
    pulled_se = pl.col("pulled_se") if "pulled_se" in rows.columns else pl.lit(0.0)
    later = m * base * net * pl.col("reach") - WITHIN_WINDOW * pl.col("subsidy_cents")
    by_pulled = d * first * later * pulled_se
    by_base = (pl.col("added_cents") - pl.col("subsidy_cents")) * pl.col("base_se_cents").fill_null(0.0) / base
    by_model = automatic | pl.col("coupon_prob").is_not_null()
    return (
        rows.with_columns(reach.fill_nan(0.0).alias("reach"))
        .with_columns(
            added_cents=m * base * (net - 1) * pl.col("reach"),
            subsidy_cents=(1 - pl.col("supplier_share")) * d * base * grow * pl.col("reach"),
            redeem_prob=pl.when(automatic).then(buys).otherwise(pl.min_horizontal(uses, buys)),
            evidence=pl.when(measured & by_model).then(pl.lit(response.level)).otherwise(pl.lit("assumed")),
        )
        .with_columns(
            cost_cents=pl.col("subsidy_cents") + pl.col("send_cost_cents"),
            gain_cents=pl.col("added_cents") - pl.col("subsidy_cents") - pl.col("send_cost_cents"),
        )
        .with_columns(gain_se_cents=(by_response**2 + by_pulled**2 + by_base**2).sqrt().fill_nan(0.0))
    )


def _threshold(rows: pl.DataFrame, response: ResponseModel, settings: ValueSettings) -> pl.DataFrame:
    """Spend-and-save and free delivery: level `assumed`, since nothing in ordinary logs varies them.

    Orders are log-normal with the customer's mean and spread. An order counts if it reaches the threshold T by
    itself, or if it misses by at most STRETCH_RATIO * reward A and is topped up (share stretch_share). One use per
    customer; demand for that one order answers by exp(prior * A / T). The error spans the prior's and half of the
    stretch share.
    """
    prior, prior_se = response.prior_response, response.prior_se
    expected = _threshold_value(rows, prior, settings.stretch_share, settings)
    send = rows["send_cost_cents"].to_numpy()
    error = np.zeros(rows.height)
    for response_step, stretch_step in ((prior_se, 0.0), (0.0, settings.stretch_share / 2)):
        high = _threshold_value(rows, prior + response_step, settings.stretch_share + stretch_step, settings)
        low = _threshold_value(rows, prior - response_step, settings.stretch_share - stretch_step, settings)
        error += ((high.added_N - high.paid_N) - (low.added_N - low.paid_N)) ** 2 / 4
    found = {
        "added_cents": expected.added_N, "subsidy_cents": expected.paid_N, "cost_cents": expected.paid_N + send,
        "gain_cents": expected.added_N - expected.paid_N - send, "gain_se_cents": np.sqrt(error),
        "redeem_prob": expected.use_N,
    }  # fmt: skip
    return rows.with_columns(
        *(pl.Series(name, values_N) for name, values_N in found.items()), evidence=pl.lit("assumed")
    ).fill_nan(None)


class _ThresholdValue(NamedTuple):
    """Margin added, reward paid by the shop and probability of use, one each per row."""

    added_N: NDArray[np.float64]
    paid_N: NDArray[np.float64]
    use_N: NDArray[np.float64]


def _threshold_value(rows: pl.DataFrame, prior: float, share: float, settings: ValueSettings) -> _ThresholdValue:

    def column(name: str) -> NDArray[np.float64]:
        return rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()

    mean = np.maximum(column("basket_mean_cents"), 1.0)
    sd = np.maximum(np.nan_to_num(column("basket_sd_cents"), nan=0.0), 0.1 * mean)
    free = (rows["benefit"] == "free_shipping").to_numpy()
    reward = np.where(free, settings.delivery_cost_cents, column("amount_cents"))
    goal = np.maximum(column("min_spend_cents"), 1.0)
    spread = np.sqrt(np.log1p((sd / mean) ** 2))
    centre = np.log(mean) - spread**2 / 2
    reaches = scipy.stats.norm.sf((np.log(goal) - centre) / spread)
    almost = np.log(np.maximum(goal - STRETCH_RATIO * reward, 1.0))
    near = scipy.stats.norm.sf((almost - centre) / spread) - reaches
    per_order = reaches + share * near
    lift = np.exp(prior * reward / np.maximum(goal, mean))
    reach = np.where((rows["activation"] == "automatic").to_numpy(), 1.0, settings.coupon_reach)
    use = 1 - np.exp(-column("orders_expected") * lift * per_order)
    topped_up = np.divide(share * near, per_order, out=np.zeros_like(near), where=per_order > 0)
    more_orders = use * (lift - 1)  # one use lowers the price of one order, and demand answers for that one
    added = use * topped_up * STRETCH_RATIO * reward / 2 + more_orders * np.maximum(goal, mean)
    paid = (1 - column("supplier_share")) * reward * use * reach
    return _ThresholdValue(column("margin_rate") * added * reach, paid, use * reach)


def _by_baskets(rows: pl.DataFrame, response: ResponseModel, settings: ValueSettings) -> pl.DataFrame:
    """Lines whose use and cost are read from the customer's past orders, by the price of a cart: level `assumed`.

    `rows` have the columns REPLAYS: over how many orders, and per order whether the line held, what it took off, the
    goods it held for, whether little was missing, and what. `use_cost_cents` is what one use costs where that is no
    money off; below 0 it earns. Where little is missing (at most STRETCH_RATIO times what the line gives), the share
    stretch_share is topped up. What lowers prices does so in every order, and demand answers by the prior for the depth
    that it comes to; all else is given once, as in `_threshold`. The error spans the prior's, half of the stretch
    share, and the orders seen.
    """
    if rows.is_empty():
        return rows
    prior, prior_se, share = response.prior_response, response.prior_se, settings.stretch_share
    expected = _replay_value(rows, prior, share, settings)
    send = rows["send_cost_cents"].to_numpy()
    error = np.zeros(rows.height)
    for slope_step, stretch_step in ((prior_se, 0.0), (0.0, share / 2)):
        high = _replay_value(rows, prior + slope_step, share + stretch_step, settings)
        low = _replay_value(rows, prior - slope_step, share - stretch_step, settings)
        error += ((high.added_N - high.paid_N) - (low.added_N - low.paid_N)) ** 2 / 4
    error += (expected.added_N - expected.paid_N) ** 2 / (1 + rows["orders"].to_numpy() * rows["used"].to_numpy())
    found = {
        "added_cents": expected.added_N, "subsidy_cents": expected.paid_N, "cost_cents": expected.paid_N + send,
        "gain_cents": expected.added_N - expected.paid_N - send, "gain_se_cents": np.sqrt(error),
        "redeem_prob": np.clip(expected.use_N, 0.0, 1.0),
    }  # fmt: skip
    return rows.with_columns(
        *(pl.Series(name, values_N) for name, values_N in found.items()), evidence=pl.lit("assumed")
    ).fill_nan(None)


def _replay_value(rows: pl.DataFrame, prior: float, share: float, settings: ValueSettings) -> _ThresholdValue:

    def column(name: str) -> NDArray[np.float64]:
        return rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()

    orders, used, off, near = column("orders_expected"), column("used"), column("off_cents"), column("near")
    lowers, margin = rows["lowers"].to_numpy(), column("margin_rate")
    per_use = np.divide(off, used, out=np.zeros_like(off), where=used > 0)  # money off where it held
    stated = column("use_cost_cents")
    cost, earned = np.where(np.isnan(stated), per_use, np.maximum(stated, 0.0)), np.maximum(np.nan_to_num(-stated), 0.0)
    worth = np.where(lowers | (column("use_worth_cents") == 0), per_use, column("use_worth_cents"))
    goods = np.divide(column("covered_cents"), used, out=np.zeros_like(off), where=used > 0)
    lacking = np.divide(column("near_cents"), near, out=np.zeros_like(off), where=near > 0)
    stretched = share * near * (lacking <= np.where(lowers, np.maximum(goods, lacking), STRETCH_RATIO * worth))
    lift = np.exp(prior * np.divide(worth, goods, out=np.zeros_like(off), where=goods > 0))
    reach = np.where((rows["activation"] == "automatic").to_numpy(), 1.0, settings.coupon_reach)
    held = used + stretched
    times = np.where(lowers, orders * held * lift, 1 - np.exp(-orders * held * lift))  # uses in the window
    topped_up = np.divide(stretched, held, out=np.zeros_like(held), where=held > 0)
    added = times * topped_up * lacking + times * (1 - 1 / lift) * goods
    paid = (1 - column("supplier_share")) * cost * times
    return _ThresholdValue(
        (margin * added + earned * times) * reach, paid * reach, np.minimum(times, 1 - np.exp(-times)) * reach
    )


def _normal(seed: int, keys: Iterable[str]) -> NDArray[np.float64]:
    return np.asarray(scipy.stats.norm.ppf(np.clip(hash_units(seed, keys), 1e-12, 1)))


def simulate_totals(
    chosen: pl.DataFrame, response: DiscountResponse, draws: int = 400, seed: int = 0
) -> NDArray[np.float64]:
    """`draws` possible totals of gain_cents over `chosen` rows: what is uncertain together moves together.

    The common response, its slope in price sensitivity and the pull-forward are drawn once per draw, a target's own
    deviation once per draw and target, the customers' base values independently (normal, by their summed variance).
    """
    chosen = explode_parts(chosen)
    rows = chosen.filter(pl.col("benefit") == "percent_off")
    other = chosen.filter(pl.col("benefit") != "percent_off")
    fixed = float(other["gain_cents"].sum())
    if rows.is_empty():
        return np.full(draws, fixed)
    value = {name: rows[name].to_numpy() for name in RESPONSE_COLUMNS}
    z = rows.select(response.standardise(pl.col("price_sensitivity"))).to_series().to_numpy()
    common = _normal(seed, (f"b{i}" for i in range(4 * draws))).reshape(4, draws)
    names = rows["target"].fill_null("").unique().sort().to_list()
    at = rows["target"].fill_null("").replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    own_se = _own_se(response, names)
    noise = _normal(seed, (f"{t}#{i}" for i in range(draws) for t in names)).reshape(draws, -1)
    spread = (rows["gain_cents"] + rows["send_cost_cents"]) * rows["base_se_cents"].fill_null(0.0) / rows["base_cents"]
    base_sd = float(np.linalg.norm(np.nan_to_num(spread.to_numpy())))
    base_noise = _normal(seed, (f"base{i}" for i in range(draws))) * base_sd
    d, reached = value["depth"], value["base_cents"] * value["reach"]
    totals = np.empty(draws)
    first = (value["response_now"] - WITHIN_WINDOW * value["response_net"]) / (1 - WITHIN_WINDOW)  # of the first week
    for i in range(draws):
        shift = response.beta_se * common[0, i] + response.beta_z_se * common[1, i] * z + (own_se * noise[i])[at]
        shift += response.beta_zz_se * common[3, i] * z**2
        pulled, moved = response.pulled_share - response.pulled_se * common[2, i], first + shift
        net = np.exp(moved * (1 - pulled) * d)
        grow = np.exp(moved * (1 - WITHIN_WINDOW * pulled) * d)
        gain = value["margin_rate"] * reached * (net - 1) - (1 - value["supplier_share"]) * d * reached * grow
        totals[i] = gain.sum() + base_noise[i]
    return totals - float(rows["send_cost_cents"].sum()) + fixed


def gain_by_response_scale(chosen: pl.DataFrame) -> Callable[[float], float]:
    """The total gain of `chosen` rows if discounts moved demand `k` times as much as expected, as a function of k."""
    rows = explode_parts(chosen)
    percent = rows.filter(pl.col("benefit") == "percent_off")
    fixed = float(rows.filter(pl.col("benefit") != "percent_off")["gain_cents"].sum())
    d, base, margin, paid, reach, now, net = (percent[name].to_numpy() for name in RESPONSE_COLUMNS)
    send = float(percent["send_cost_cents"].sum())

    def gain(k: float) -> float:
        moved = margin * (np.exp(k * net * d) - 1) - (1 - paid) * d * np.exp(k * now * d)
        return float((base * reach * moved).sum()) - send + fixed

    return gain


def _own_se(response: DiscountResponse, names: list[str]) -> NDArray[np.float64]:
    """Per target, the error that is not shared with the other targets."""
    known: dict[str, float] = dict(response.targets.select("target", "response_se").iter_rows())
    return np.array([max(known.get(n, response.beta_se) ** 2 - response.beta_se**2, 0.0) ** 0.5 for n in names])


def gain_interval(
    predicted: pl.DataFrame, drawn: pl.DataFrame, response: DiscountResponse, *, beside_draws: bool, learned: bool
) -> IntervalEstimate:
    """Return the gain of `predicted` and `drawn` offers, in cents, with its 95 % interval.

    What is uncertain of predicted offers moves together, as `simulate_totals` has it; `beside_draws`: their gains are
    those that are believed, to which what is simulated is scaled. Of what draws taught (`learned`) all of one line err
    together. What is drawn for the first time adds nothing to the interval: nothing is known of it yet.
    """
    gain, middle = (float(rows["gain_cents"].sum()) for rows in (pl.concat([predicted, drawn]), predicted))
    low = high = middle
    if predicted.height:
        totals = simulate_totals(predicted, response)
        if beside_draws and totals.mean() > 0:
            totals = totals * middle / totals.mean()
        low, high = np.quantile(totals, [0.025, 0.975]).tolist()
    reach = 0.0
    if learned:
        alike = drawn.group_by("menu_id", "gain_se_cents").len().sort("menu_id", "gain_se_cents")
        reach = Z95 * float(np.linalg.norm((alike["gain_se_cents"].fill_null(0.0) * alike["len"]).to_numpy()))
    less, more = float(np.hypot(middle - low, reach)), float(np.hypot(high - middle, reach))
    return IntervalEstimate(gain, gain - less, gain + more)
