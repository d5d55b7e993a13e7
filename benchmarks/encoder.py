"""The Complete Journey in; how well the next basket, new types and products are forecast, beside common ways, out.

    python benchmarks/encoder.py [--quick] [--part basket new product cold] [--origin 42] [--scores FOLDER]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Items are types (category | type) of rows with a
type, or single products. Everything is known up to week `origin` (42: the test; tune on 34 or earlier); households with
a basket on both sides of it. Next basket: the items of the first basket of the 8 weeks after it that were sold before.
New types: those of the 8 weeks that the household never bought before. NDCG@10 against the best list of
min(10, number of targets). Leads are paired by household. All peers run here, on the same data: EASE, TIFU-KNN, and the
household's own shares of baskets. What runs is what `promolift profile` learns with `encoder.depth = 2`.
--scores keeps every household's figures as Parquet; --quick takes a quarter of the households and fewer epochs.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from promolift.hashing import hash_units
from promolift.profile.basket import fit_basket
from promolift.profile.encoder import EncoderSettings
from promolift.profile.encoder_data import (
    IDEAL,
    TOP,
    Catalogue,
    Histories,
    catalogue,
    fit_ease,
    histories,
    incidence,
    popularity,
)
from promolift.profile.encoder_forecast import LearnedEncoder, crossed, look_back, weighed
from promolift.profile.encoder_train import Epoch, Hooks, fit_encoder
from promolift.sources.complete_journey import complete_journey_folder

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
    items = catalogue(told.join(price, on="item", how="left"))
    return histories(rows, items), items


class Race:
    """Who is asked, what was right, and every model's figures per household."""

    def __init__(self, h: Histories, day: float, new: bool) -> None:
        everyone = np.arange(len(h.customers))
        first = h.before(everyone, np.full(len(everyone), day))
        both = np.flatnonzero((first > h.start_C[:-1]) & (first < h.start_C[1:]))
        sold = np.bincount(h.until(day).item_L, minlength=len(h.catalogue.items)) > 0
        old = incidence(h.until(day))
        truth = [
            h.items_of(first[c]) if not new else np.unique(h.item_L[h.line_V[first[c]] : h.line_V[h.start_C[c + 1]]])
            for c in both
        ]
        truth = [t[sold[t]] for t in truth]
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
        top = rank < TOP
        key = point[top] * len(self.h.catalogue.items) + item[top]
        right = np.concatenate([at * len(self.h.catalogue.items) + t for at, t in enumerate(self.truth)])
        hit = np.isin(key, right)
        people = len(self.customers)
        gain = np.bincount(point[top], hit / np.log2(rank[top] + 2), minlength=people)
        found = np.bincount(point[top], hit, minlength=people)
        self.figures[name] = gain / IDEAL[np.minimum(self.size, TOP) - 1], found / self.size

    def add_table(self, name: str, score_PI: np.ndarray) -> None:
        """The same from a score of every item."""
        keep = min(2 * TOP, score_PI.shape[1] - 1)
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
        best = np.argpartition(-score, 2 * TOP, axis=1)[:, : 2 * TOP]
        point = np.repeat(np.arange(len(who)), 2 * TOP)
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
    return np.concatenate([said.logit_PI for said in model.forecast(h, popularity(h, end), customers, days)])


def ordered(model: LearnedEncoder, h: Histories, end: float) -> LearnedEncoder:
    """The encoder with the trees beside it, learned before the last 8 weeks and weighed on them, as the product does."""
    started, start = time.process_time(), end - 7 * WEEKS
    trees = fit_basket(h, start)
    back = look_back(model, trees, h, popularity(h, end), start)
    halves = hash_units("halves", [h.customers[c] for c in back.customer_A]) < 0.5
    note = weighed(back, crossed(back, halves), len(h.item_L))
    say("trees of the next basket, training and weighing", time.process_time() - started, "CPU s", len(h.customers))
    say("weight of the trees, held-back weeks", note.weight, "share", note.n)
    return model.looking(trees, note.weight, h, end)


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
            own[at] += incidence(past)[run.customers[at]].toarray()
        run.add_table(OURS, ours)
        run.add_table("what all buy", np.tile(popular, (len(run.customers), 1)))
        run.add_table("what they bought, then what all buy", own)
        run.tell(f"next basket with {visits} visits known", folder)


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
        "--part", nargs="*", default=["basket", "new", "product", "cold"], choices=["basket", "new", "product", "cold"]
    )
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
            run, bought = Race(h, end, True), incidence(past)
            mine = bought[run.customers].toarray() > 0
            run.add_table(OURS, np.where(mine, -np.inf, scores_of(model, past, end, run.customers)))
            ease = fit_ease(bought, l2=EASE_L2, min_buyers=1)
            score = np.zeros(mine.shape, np.float32)
            score[:, ease.kept_J] = bought[run.customers][:, ease.kept_J].astype(np.float32) @ ease.weight_JJ
            run.add_table("EASE", np.where(mine, -np.inf, score))
            run.tell("new types", args.scores)
        if "cold" in parts:
            cold(h, end, model, args.scores)
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
