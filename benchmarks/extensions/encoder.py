"""The Complete Journey in; how well the next basket, new types and products are forecast, beside common ways, out.

    python benchmarks/extensions/encoder.py [--quick] [--part basket new product cold vectors] [--origin 42] [--scores FOLDER]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Items are types (category | type) of rows with a
type, or single products. Everything is known up to week `origin` (42: the test; tune on 34 or earlier); households with
a basket on both sides of it. Next basket: the items of the first basket of the 8 weeks after it that were sold before.
New types: those of the 8 weeks that the household never bought before. NDCG@10 against the best list of
min(10, number of targets). Leads are paired by household. All peers run here, on the same data: EASE, TIFU-KNN, and the
household's own shares of baskets. What runs is what `promolift profile` learns with `encoder.depth = 2`.
`vectors`: the encoder alone with and without the words of department, category and type, on draws of a quarter of the
households (--draws, by --level); a twentieth of the items is left out of all that is learned. Beside the next basket, whom
these items are for (as in senses.py, recall@10 among those that somebody buys in the 8 weeks), and the same of items first
sold then and of rare ones (1 to 4 buyers, new to the household); `paces` is today's way to candidates for new products.
--scores keeps every household's figures as Parquet; --quick takes a quarter of the households and fewer epochs.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from promolift.core.customers.vectors import nearest_neighbours
from promolift.extensions.connectors.complete_journey import complete_journey_folder
from promolift.extensions.encoder.network.basket_ranker import fit_basket_trees
from promolift.extensions.encoder.network.encoder import EncoderSettings
from promolift.extensions.encoder.network.forecast import choose_tree_weight, collect_backtest_window, cross_backtest
from promolift.extensions.encoder.network.learned_encoder import LearnedEncoder
from promolift.extensions.encoder.network.purchase_histories import (
    IDEAL_DCG,
    LIST_LENGTH,
    Catalogue,
    Histories,
    build_catalogue,
    build_histories,
    fit_ease,
    purchase_incidence,
    weekly_popularity,
)
from promolift.extensions.encoder.network.training import Epoch, Hooks, fit_encoder
from promolift.extensions.encoder.training_data import with_vectors
from promolift.extensions.media.product_vectors import text_vectors
from promolift.foundation.hashing import hash_units

DATA, OURS, WEEKS = "Complete Journey", "promolift", 8
CUT_MS, CUT_WEEK = 1_508_126_400_000, 42  # 2017-10-16 00:00 in the shop's zone
DAY_MS = 86_400_000


def end_of(week: int) -> float:
    """The end of a week in days since 1970."""
    return CUT_MS / DAY_MS + 7 * (week - CUT_WEEK)


def say(
    figure: str, value: float, unit: str, n: int, se: float | None = None, peer: tuple[str, float] | None = None
) -> None:
    name, peer_value = peer or (None, None)
    line = {"figure": figure, "value": round(value, 4), "se": None if se is None else round(se, 4), "unit": unit}
    line |= {"peer": name, "peer_value": None if peer_value is None else round(peer_value, 4), "n": n, "data": DATA}
    print(json.dumps(line), flush=True)


def load(level: str, origin: int, share: float, after: int = WEEKS) -> tuple[Histories, Catalogue]:
    """Histories up to some weeks after the origin; catalogue and prices from before it."""
    folder = complete_journey_folder()
    full = pl.concat_str(pl.col("product_category").fill_null(""), pl.lit(" | "), pl.col("product_type"))
    products = pl.read_parquet(folder / "products.parquet").filter(pl.col("product_type").is_not_null())
    products = products.with_columns(type=full).with_columns(
        item="type" if level == "type" else pl.col("product_id").cast(pl.String)
    )
    saved = pl.col("retail_disc") + pl.col("coupon_match_disc")
    rows = (
        pl.read_parquet(folder / "transactions.parquet")
        .filter(pl.col("week") <= origin + after)
        .join(products, on="product_id")
    )
    rows = rows.select(
        "week", "item", "quantity", "product_id",
        customer_id=pl.col("household_id").cast(pl.String), order_id=pl.col("basket_id").cast(pl.String),
        ts_ms=pl.col("transaction_timestamp").dt.timestamp("ms"), channel=pl.lit("store"),
        revenue_cents=(100 * pl.col("sales_value")).round().cast(pl.Int64), deal=saved + pl.col("coupon_disc") > 0,
        list_cents=100 * (pl.col("sales_value") + saved),
    )  # fmt: skip
    if share < 1:
        people = rows["customer_id"].unique().sort()
        rows = rows.filter(
            pl.col("customer_id").is_in(people.filter(pl.Series(hash_units("quick", people) < share)).implode())
        )
    known = rows.filter(pl.col("week") <= origin)
    price = (
        known.filter(pl.col("quantity") > 0)
        .group_by("item")
        .agg(price_cents=(pl.col("list_cents") / pl.col("quantity")).median())
    )
    above = "product_category" if level == "type" else "type"
    told = products.filter(pl.col("product_id").is_in(known["product_id"].unique().implode())).group_by("item").agg(
        category=pl.col(above).drop_nulls().mode().min(), brand=pl.col("department" if level == "type" else "brand").mode().min()
    )  # fmt: skip
    items = build_catalogue(told.join(price, on="item", how="left"))
    return build_histories(rows, items), items


class Race:
    """Who is asked, what was right, and every model's figures per household."""

    def __init__(self, h: Histories, day: float, new: bool, sold: bool = True) -> None:
        everyone = np.arange(len(h.customers))
        first = h.before(everyone, np.full(len(everyone), day))
        both = np.flatnonzero((first > h.start_C[:-1]) & (first < h.start_C[1:]))
        before = np.bincount(h.until(day).item_L, minlength=len(h.catalogue.items)) > 0
        old = purchase_incidence(h.until(day))
        truth = [
            h.items_of(first[c]) if not new else np.unique(h.item_L[h.line_V[first[c]] : h.line_V[h.start_C[c + 1]]])
            for c in both
        ]
        truth = [t[before[t]] if sold else t for t in truth]
        if new:
            truth = [np.setdiff1d(t, old[c].indices) for c, t in zip(both, truth, strict=True)]
        kept = [at for at, t in enumerate(truth) if len(t)]
        self.h, self.day, self.customers, self.truth = h, day, both[kept], [truth[at] for at in kept]
        self.size = np.array([len(t) for t in self.truth])
        self.figures: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, name: str, point: np.ndarray, item: np.ndarray, score: np.ndarray) -> None:
        """NDCG and recall of one model from scored candidates; ties go to the item that comes first."""
        order = np.lexsort((item, -score, point))
        point, item = point[order], item[order]
        rank = np.arange(len(point)) - np.searchsorted(point, point)
        top = rank < LIST_LENGTH
        key = point[top] * len(self.h.catalogue.items) + item[top]
        right = np.concatenate([at * len(self.h.catalogue.items) + t for at, t in enumerate(self.truth)])
        hit = np.isin(key, right)
        people = len(self.customers)
        gain = np.bincount(point[top], hit / np.log2(rank[top] + 2), minlength=people)
        found = np.bincount(point[top], hit, minlength=people)
        self.figures[name] = gain / IDEAL_DCG[np.minimum(self.size, LIST_LENGTH) - 1], found / self.size

    def add_table(self, name: str, score_PI: np.ndarray) -> None:
        """The same from a score of every item."""
        keep = min(2 * LIST_LENGTH, score_PI.shape[1] - 1)
        item = np.argpartition(-score_PI, keep, axis=1)[:, :keep]
        point = np.repeat(np.arange(len(item)), keep)
        self.add(name, point, item.ravel(), score_PI[point, item.ravel()])

    def tell(self, task: str, scores: Path | None) -> None:
        for at, figure in enumerate(("NDCG@10", "recall@10")):
            mine = self.figures[OURS][at]
            n = len(mine)
            say(f"{task}, {figure}", mine.mean(), "share", n, mine.std() / n**0.5)
            for name, both in self.figures.items():
                if name != OURS:
                    lead = mine - both[at]
                    say(
                        f"{task}, {figure}, lead", lead.mean(), "share", n, lead.std() / n**0.5, (name, both[at].mean())
                    )
        if scores is not None:
            scores.mkdir(parents=True, exist_ok=True)
            who = {"household": [self.h.customers[c] for c in self.customers]}
            each = {f"{name} {k}": v[at] for name, v in self.figures.items() for at, k in enumerate(("ndcg", "recall"))}
            pl.DataFrame(who | each).write_parquet(scores / f"{task.replace(' ', '_')}.parquet")


def tifu(h: Histories, race: Race) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """TIFU-KNN (Hu et al. 2020, SIGIR) with its paper's usual settings: groups of 7 visits, decays 0.9 and 0.7."""
    visits_C = np.diff(h.start_C)
    back_V = np.repeat(h.start_C[1:], visits_C) - 1 - np.arange(len(h.day_V))
    norm_C = np.maximum(np.minimum(visits_C, 7), 1) * np.maximum(-(-visits_C // 7), 1)
    worth_V = 0.9 ** (back_V % 7) * 0.7 ** (back_V // 7) / np.repeat(norm_C, visits_C)
    size_V, who_V = np.diff(h.line_V), np.repeat(np.arange(len(h.customers)), visits_C)
    at = np.repeat(who_V, size_V), h.item_L
    size = len(h.customers), len(h.catalogue.items)
    vector_CI = sparse.csr_matrix((np.repeat(worth_V, size_V).astype(np.float32), at), shape=size)
    square_C = np.asarray(vector_CI.multiply(vector_CI).sum(axis=1)).ravel()
    parts, near = [], min(300, size[0] - 1)
    for first in range(0, len(race.customers), 128):
        who = race.customers[first : first + 128]
        far = square_C - 2 * (vector_CI[who] @ vector_CI.T).toarray()
        far[np.arange(len(who)), who] = np.inf
        alike = np.argpartition(far, near - 1, axis=1)[:, :near]
        mean = sparse.csr_matrix(
            (np.full(alike.size, 1 / near), alike.ravel(), near * np.arange(len(who) + 1)), (len(who), size[0])
        )
        score = (0.7 * vector_CI[who] + 0.3 * (mean @ vector_CI)).toarray()
        best = np.argpartition(-score, 2 * LIST_LENGTH, axis=1)[:, : 2 * LIST_LENGTH]
        point = np.repeat(np.arange(len(who)), 2 * LIST_LENGTH)
        parts.append((first + point, best.ravel(), score[point, best.ravel()]))
    whole = [np.concatenate(part) for part in zip(*parts, strict=True)]
    return whole[0], whole[1], whole[2]


def shares(h: Histories, race: Race) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In how many of their baskets each item was; ties go to what all buy more often."""
    who_L = np.repeat(np.repeat(np.arange(len(h.customers)), np.diff(h.start_C)), np.diff(h.line_V))
    size = len(h.customers), len(h.catalogue.items)
    own = sparse.csr_matrix((np.ones(len(who_L)), (who_L, h.item_L)), shape=size)[race.customers].tocoo()
    popular = np.bincount(h.item_L, minlength=size[1])
    return own.row, own.col, own.data + 1e-6 * popular[own.col]


def scores_of(model: LearnedEncoder, h: Histories, end: float, customers: np.ndarray) -> np.ndarray:
    """The forecast's order of every item, as `promolift profile` keeps its first three in the table outlook."""
    days = np.full(len(customers), end)
    return np.concatenate([said.logit_PI for said in model.forecast(h, weekly_popularity(h, end), customers, days)])


def ordered(model: LearnedEncoder, h: Histories, end: float) -> LearnedEncoder:
    """The encoder with the trees beside it, learned before the last 8 weeks and weighed on them, as the product does."""
    started, start = time.process_time(), end - 7 * WEEKS
    trees = fit_basket_trees(h, start)
    back = collect_backtest_window(model, trees, h, weekly_popularity(h, end), start)
    halves = hash_units("halves", [h.customers[c] for c in back.customer_A]) < 0.5
    note = choose_tree_weight(back, cross_backtest(back, halves), len(h.item_L))
    say("trees of the next basket, training and weighing", time.process_time() - started, "CPU s", len(h.customers))
    say("weight of the trees, held-back weeks", note.weight, "share", note.n)
    return model.with_ranker(trees, note.weight, h, end)


def train(h: Histories, end: float, quick: bool) -> LearnedEncoder:
    started = time.process_time()

    def progress(epoch: Epoch) -> None:
        n = len(h.customers)
        for name in ("items", "later", "money", "deal"):
            say(
                f"encoder epoch {epoch.number}, loss of {name}, train",
                epoch.train[name],
                "",
                n,
                None,
                ("validation", epoch.valid[name]),
            )
        say(
            f"encoder epoch {epoch.number}, NDCG@10 before the window",
            epoch.train_ndcg,
            "share",
            n,
            None,
            ("validation", epoch.valid_ndcg),
        )

    settings = EncoderSettings(epochs=2) if quick else EncoderSettings()
    model = fit_encoder(h, end, settings, Hooks(progress=progress))
    say("encoder, training", time.process_time() - started, "CPU s", len(h.customers))
    return model


def shorten(h: Histories, day: float, visits: int, who_C: np.ndarray) -> Histories:
    """As if of some customers the last `visits` visits before the moment were all that is known."""
    h = h.until(day)
    last_V = np.repeat(h.start_C[1:], np.diff(h.start_C))
    kept_V = (last_V - np.arange(len(h.day_V)) <= visits) | ~np.repeat(who_C, np.diff(h.start_C))
    size_V = np.diff(h.line_V)
    kept_L = np.repeat(kept_V, size_V)
    names = ("day_V", "spend_V", "deal_V", "channel_V", "weight_V")
    return replace(
        h,
        start_C=np.r_[0, np.cumsum(kept_V)][h.start_C],
        line_V=np.r_[0, np.cumsum(size_V[kept_V])],
        **{name: getattr(h, name)[kept_V] for name in names},
        **{name: getattr(h, name)[kept_L] for name in ("item_L", "deal_L", "spend_L")},
    )


def cold(h: Histories, end: float, model: LearnedEncoder, folder: Path | None) -> None:
    """Households of whom 0, 1 or 2 visits are known, a fifth at a time among all others, against common ways."""
    fold_C, whole = (5 * hash_units("cold", h.customers)).astype(int), h.until(end)
    popular = np.bincount(whole.item_L, h_weights(whole)) / len(whole.item_L)
    for visits in (0, 1, 2):
        run = Race(h, end, False)
        ours, own = (np.tile(popular, (len(run.customers), 1)) for _ in range(2))
        for fold in range(5):
            past, at = shorten(h, end, visits, fold_C == fold), np.flatnonzero(fold_C[run.customers] == fold)
            ours[at] = scores_of(model, past, end, run.customers[at])
            own[at] += purchase_incidence(past)[run.customers[at]].toarray()
        run.add_table(OURS, ours)
        run.add_table("what all buy", np.tile(popular, (len(run.customers), 1)))
        run.add_table("what they bought, then what all buy", own)
        run.tell(f"next basket with {visits} visits known", folder)


class Drawn(NamedTuple):
    """Histories with and without words, when the log ends, and items asked about: held out, sold later first, rare."""

    bare: Histories
    rich: Histories
    end: float
    asked: dict[str, np.ndarray]


def drawn(level: str, origin: int, draw: int) -> Drawn:
    """A quarter of the households; a twentieth of the items left out up to the origin."""
    folder, end = complete_journey_folder(), end_of(origin)
    levels = ("department", "product_category", "product_type")
    goods = pl.read_parquet(folder / "products.parquet").drop_nulls(levels[1:])
    goods = goods.with_columns(
        pl.col("product_id").cast(pl.String), type=pl.concat_str("product_category", pl.lit(" | "), "product_type")
    ).with_columns(item="type" if level == "type" else "product_id")
    names = goods["item"].unique().sort().to_list()
    held = {name for name, u in zip(names, hash_units(("held out", draw), names), strict=True) if u < 0.05}
    saved = pl.col("retail_disc") + pl.col("coupon_match_disc")
    rows = pl.read_parquet(folder / "transactions.parquet").filter(pl.col("week") <= origin + WEEKS)
    rows = rows.with_columns(pl.col("product_id").cast(pl.String)).join(goods, on="product_id").select(
        "item", "quantity", customer_id=pl.col("household_id").cast(pl.String), order_id=pl.col("basket_id").cast(pl.String),
        ts_ms=pl.col("transaction_timestamp").dt.timestamp("ms"), channel=pl.lit("store"),
        revenue_cents=(100 * pl.col("sales_value")).round().cast(pl.Int64), deal=saved + pl.col("coupon_disc") > 0,
        list_cents=100 * (pl.col("sales_value") + saved),
    )  # fmt: skip
    people = rows["customer_id"].unique().sort().to_list()
    some = [name for name, u in zip(people, hash_units(("quick", draw), people), strict=True) if u < 0.25]
    late = pl.col("ts_ms") >= end * DAY_MS
    rows = rows.filter(pl.col("customer_id").is_in(some) & (late | ~pl.col("item").is_in(list(held))))
    price = rows.filter(~late & (pl.col("quantity") > 0)).group_by("item").agg(
        price_cents=(pl.col("list_cents") / pl.col("quantity")).median()
    )  # fmt: skip
    told = goods.filter(pl.col("item").is_in(rows["item"].unique().implode())).group_by("item").agg(
        category=pl.col("product_category" if level == "type" else "type").mode().min(),
        brand=pl.col("department" if level == "type" else "brand").drop_nulls().mode().min(),
    )  # fmt: skip
    bare = build_histories(rows, build_catalogue(told.join(price, on="item", how="left")))
    v = text_vectors(goods.select(pl.concat_str(levels, separator=" ")).to_series().to_list())
    said = goods.select("item", pl.Series("vector", v, dtype=pl.Array(pl.Float32, v.shape[1])))
    items = bare.catalogue.items
    bought_I = np.asarray(purchase_incidence(bare.until(end)).sum(axis=0)).ravel()
    out_I, later = np.isin(items, list(held)), np.isin(items, rows.filter(late)["item"].unique().to_list())
    asked = {
        "held out": np.flatnonzero(out_I & later),
        "first sold then": np.flatnonzero(~out_I & (bought_I == 0)),
        "rare": np.flatnonzero((bought_I > 0) & (bought_I < 5) & later),
    }
    return Drawn(bare, replace(bare, catalogue=with_vectors(bare.catalogue, said)), end, asked)


def vectors(level: str, origin: int, draws: int, folder: Path | None) -> None:
    """Figures of each draw, and of all of them by household."""
    parts = []
    for draw in range(1, draws + 1):
        d = drawn(level, origin, draw)
        run, new, found = Race(d.bare, d.end, False), Race(d.bare, d.end, True, sold=False), {}
        for name, h in (("without", d.bare), ("with", d.rich)):
            past, started = h.until(d.end), time.process_time()
            model = fit_encoder(past, d.end, EncoderSettings(seed=draw))
            say(
                f"draw {draw}, training {name} words, by {level}",
                time.process_time() - started,
                "CPU s",
                len(h.customers),
            )
            run.add_table(name, scores_of(model, past, d.end, run.customers))
            found[name] = scores_of(model, past, d.end, new.customers)
        figures = [("next basket, NDCG@10", run, {k: v[0] for k, v in run.figures.items()})]
        figures.append(("next basket, recall@10", run, {k: v[1] for k, v in run.figures.items()}))
        for name, at in d.asked.items():
            tried = found | {"paces": paces_of(d, at, new.customers)}
            right = [np.flatnonzero(np.isin(at, truth)) for truth in new.truth]
            tie = hash_units("tie", [d.bare.catalogue.items[i] for i in at])
            ranked = {k: recalls(right, s if k == "paces" else s[:, at], tie) for k, s in tried.items()}
            figures.append((f"recall@10 of buyers, {name}", new, ranked))
        for figure, race, values in figures:
            who = [race.h.customers[c] for c in race.customers]
            parts.append(pl.DataFrame({"figure": figure, "draw": draw, "household": who, **values}, strict=False))
    every = pl.concat(parts, how="diagonal").with_columns(pl.selectors.float().fill_nan(None))
    by = every.group_by("figure", "household", maintain_order=True).agg(pl.col("with", "without", "paces").mean())
    for (figure,), rows in by.group_by("figure", maintain_order=True):
        rows = rows.drop_nulls("with")
        mine, n = rows["with"].to_numpy(), rows.height
        for peer in ("without", "paces") if rows["paces"].count() else ("without",):
            lead = mine - rows[peer].to_numpy()
            say(f"{figure}, with words, {level}", mine.mean(), "share", n, mine.std() / n**0.5)
            say(
                f"{figure}, lead, {level}",
                lead.mean(),
                "share",
                n,
                lead.std() / n**0.5,
                (peer, float(rows[peer].mean())),
            )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        every.write_parquet(folder / f"vectors_{level}.parquet")


def paces_of(d: Drawn, at: np.ndarray, customers: np.ndarray) -> np.ndarray:
    """What the candidates for new products go by: customers x items asked about."""
    past, items, x = d.bare.until(d.end), d.bare.catalogue.items, d.rich.catalogue.vector_IV
    assert x is not None
    bought = purchase_incidence(past).tocsr()
    known = np.setdiff1d(np.flatnonzero(np.asarray(bought.sum(axis=0)).ravel()), at)
    who_L = np.repeat(np.repeat(np.arange(len(past.customers)), np.diff(past.start_C)), np.diff(past.line_V))
    size = len(past.customers), len(items)
    orders = sparse.csr_matrix((np.ones(len(who_L)), (who_L, past.item_L)), shape=size)[customers]
    return np.asarray((orders[:, known] @ nearest_neighbours(x[at], x[known])).toarray())


def recalls(right: list[np.ndarray], score_PI: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Recall@10 of each household, NaN of those that bought none; equal scores by hash."""
    found = np.full(len(right), np.nan)
    for row, mine in enumerate(right):
        if len(mine):
            found[row] = np.isin(np.lexsort((tie, -score_PI[row]))[:LIST_LENGTH], mine).sum() / min(
                LIST_LENGTH, len(mine)
            )
    return found


def h_weights(h: Histories) -> np.ndarray:
    """What each line is worth in a list."""
    return np.repeat(h.weight_V, np.diff(h.line_V))


def keep_model(model: LearnedEncoder, folder: Path | None) -> None:
    """The encoder beside the scores."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in model.to_files().items():
            (folder / name).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the households, 2 epochs")
    parser.add_argument(
        "--part",
        nargs="*",
        default=["basket", "new", "product", "cold"],
        choices=["basket", "new", "product", "cold", "vectors"],
    )
    parser.add_argument("--level", default="type", choices=["type", "product"], help="of the part vectors")
    parser.add_argument("--draws", type=int, default=4, help="of the part vectors")
    parser.add_argument("--origin", type=int, default=CUT_WEEK, help="last week known; tune on 34 or earlier")
    parser.add_argument("--scores", type=Path, help="folder for every household's figures")
    args = parser.parse_args()
    end = end_of(args.origin)
    parts = ["basket", "new"] if args.quick else args.part
    if set(parts) & {"basket", "new", "cold"}:
        h, _ = load("type", args.origin, 0.25 if args.quick else 1.0)
        past, model = h.until(end), train(h, end, args.quick)
        keep_model(model, args.scores)
        if "basket" in parts:
            next_basket(h, end, model).tell("next basket", args.scores)
        if "new" in parts:
            run, bought = Race(h, end, True), purchase_incidence(past)
            mine = bought[run.customers].toarray() > 0
            run.add_table(OURS, np.where(mine, -np.inf, scores_of(model, past, end, run.customers)))
            ease = fit_ease(bought, l2=EASE_L2, min_buyers=1)
            score = np.zeros(mine.shape, np.float32)
            score[:, ease.item_J] = bought[run.customers][:, ease.item_J].astype(np.float32) @ ease.weight_JJ
            run.add_table("EASE", np.where(mine, -np.inf, score))
            run.tell("new types", args.scores)
        if "cold" in parts:
            cold(h, end, model, args.scores)
    if "vectors" in parts:
        vectors(args.level, args.origin, args.draws, args.scores)
    if "product" in parts:
        h, _ = load("product", args.origin, 1.0)
        next_basket(h, end, train(h, end, args.quick)).tell("next basket by product", args.scores)


def next_basket(h: Histories, end: float, model: LearnedEncoder) -> Race:
    """The encoder with the trees, the encoder alone, and the common ways on the next basket."""
    run, past = Race(h, end, False), h.until(end)
    run.add_table(OURS, scores_of(ordered(model, past, end), past, end, run.customers))
    run.add_table("the encoder alone", scores_of(model, past, end, run.customers))
    run.add("TIFU-KNN", *tifu(past, run))
    run.add("own shares of baskets", *shares(past, run))
    return run


EASE_L2 = 1_500.0  # the best of 100 to 8,000 at origins 26, 30 and 34

if __name__ == "__main__":
    main()
