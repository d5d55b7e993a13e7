"""Words and pictures of products: who buys products that nobody has bought yet, and what is seen of clothes.

    python benchmarks/extensions/senses.py [--fashion FOLDER] [--part cold|door|generator|fashion|time] [--quick]

JSON lines: figure, value, se, unit, peer, peer_value, lead, lead_se, n, data. `cold`: a twentieth of the Complete
Journey's products, drawn by hash, is left out of all that is learned up to week 42; those of them that somebody buys in
weeks 43 to 50 are ranked for each household that does, by the functions of the product (`customers.forecasts.new_products.purchase_paces` on
`profile.senses.text_vectors` of department, category and type). Recall@10 is over min(10, bought), a household's mean
over ten such draws (--quick: one); leads are paired by household, over its counts of orders with the product's
category, with its type, and with its type then its category; equal scores are ordered by hash.
`door`: the same products through `promolift profile`, whose catalogue names them and whose log ends with week 42: the
rate it tells of each household's three new products, beside what was bought in the next 28 days.
`generator`: the demo's shop as far as its effects; the offer generator with and without the same words of each category
learns from the coupons that half of the households accepted, and tells by 128 draws each those of the other half; the
mean over two seeds (--quick: one) and both halves, paired by household.
`fashion`: FOLDER holds products.parquet and images; the catalogue goes through `promolift ingest`, and category, kind,
colour and usage are told from the table `senses`, five-fold: by ridge as in `product_vectors.predict_labels`, by the five nearest. Then a
quarter of the categories and of the colours is hidden and the same door fills in what it is certain of.
`time`: CPU seconds of the door for 10,000 products with a picture each (the folder's pictures, turned and shifted so that
all differ).
"""

import argparse
import json
import tempfile
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

import promolift
from promolift import Shop
from promolift.core.customers.forecasts.new_products import purchase_paces, weights_on_known
from promolift.core.offers.proposals import grid_lines
from promolift.extensions.connectors.complete_journey import complete_journey_folder
from promolift.extensions.media import product_vectors
from promolift.foundation.hashing import hash_units
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import load_config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.pipeline.planning import offer_search
from promolift.shop.pipeline.planning.offer_targets import CandidateInputs
from promolift.shop.results.work_folder.run_context import Job, moments

CUT, HELD, MOST = 42, 0.05, 10
LOOKED_AT = {"category": "subCategory", "kind": "articleType", "colour": "baseColour", "usage": "usage"}


def say(figure, value, se=None, unit="", n=0, data="Complete Journey", **more):
    line = {"figure": figure, "value": value, "se": se, "unit": unit, "n": n, "data": data}
    line |= {"peer": None, "peer_value": None} | more
    print(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def mean_se(x):
    x = np.asarray(x, float)
    return float(x.mean()), float(x.std() / len(x) ** 0.5)


def journey(draw=0):
    folder = complete_journey_folder()
    levels = ("department", "product_category", "product_type")
    goods = pl.read_parquet(folder / "products.parquet").drop_nulls(levels[1:])
    goods = goods.with_columns(
        pl.col("product_id").cast(pl.String), name=pl.concat_str([pl.col(each) for each in levels], separator=" ")
    )
    held = pl.Series(hash_units(("held out", draw), goods["product_id"].to_list()) < HELD)
    log = pl.read_parquet(folder / "transactions.parquet").with_columns(pl.col("product_id").cast(pl.String))
    goods = goods.with_columns(held=held)
    return goods, log.join(goods, on="product_id").rename({"household_id": "customer_id"})


def ranked(bought, score, tie):
    """Recall@10 of one household; equal scores by hash."""
    order = np.lexsort((tie, -score))[:MOST]
    return bought[order].sum() / min(MOST, bought.sum())


def cold(quick):
    draws = [ranks(draw) for draw in range(1 if quick else 10)]
    mean = pl.concat(draws).group_by("customer_id").agg(pl.exclude("customer_id").mean()).sort("customer_id")
    value, se = mean_se(mean["ours"])
    for peer in mean.columns[2:]:
        lead = mean_se(mean["ours"] - mean[peer])
        say("recall@10 of buyers, products held out", value, se, n=mean.height, draws=len(draws), peer=peer,
            peer_value=mean_se(mean[peer])[0], lead=lead[0], lead_se=lead[1])  # fmt: skip


def ranks(draw):
    """Recall@10 of each household that buys a product held out in this draw: ours, then that of three counts."""
    goods, log = journey(draw)
    cut = CUT
    train = log.filter((pl.col("week") <= cut) & ~pl.col("held"))
    later = log.filter((pl.col("week") > cut) & (pl.col("week") <= cut + 8) & pl.col("held"))
    later = later.join(train, on="customer_id", how="semi").select("customer_id", "product_id").unique()
    start = time.process_time()
    vectors = goods.select("product_id", "held").with_columns(
        pl.Series(
            "vector", v := product_vectors.text_vectors(goods["name"].to_list()), dtype=pl.Array(pl.Float32, v.shape[1])
        )
    )
    new = vectors.filter(pl.col("product_id").is_in(later["product_id"].implode())).sort("product_id")
    known = vectors.join(train, on="product_id", how="semi").sort("product_id")
    orders = pl.col("basket_id").n_unique().cast(pl.Float64)
    times = train.group_by("customer_id", "product_id").agg(orders.alias("rate"))
    ours = purchase_paces(times, weights_on_known(known, new), MOST)
    if not draw:
        say("CPU of words and paces", time.process_time() - start, unit="CPU s", n=goods.height)
    names, at = new["product_id"].to_list(), {each: n for n, each in enumerate(new["product_id"])}
    label = new.join(goods, on="product_id", maintain_order="left")
    tie = hash_units("tie", names)
    counts = {
        level: train.group_by("customer_id", level).agg(orders.alias("n")).rename({level: "label"})
        for level in ("product_category", "product_type")
    }
    recall = {each: [] for each in ("ours", "category counts", "type counts", "type, then category")}
    mine = ours.partition_by("customer_id", as_dict=True)
    parts = {level: table.partition_by("customer_id", as_dict=True) for level, table in counts.items()}
    for (who,), wanted in later.sort("customer_id").group_by("customer_id", maintain_order=True):
        bought = np.zeros(len(names), bool)
        bought[[at[each] for each in wanted["product_id"]]] = True
        score = np.zeros(len(names))
        if (who,) in mine:
            score[[at[each] for each in mine[who,]["product_id"]]] = mine[who,]["pace"]
        by = {}
        for level in counts:
            here = parts[level][who,]
            found = dict(zip(here["label"], here["n"], strict=True))
            by[level] = np.array([found.get(each, 0.0) for each in label[level]])
        recall["ours"].append(ranked(bought, score, tie))
        recall["category counts"].append(ranked(bought, by["product_category"], tie))
        recall["type counts"].append(ranked(bought, by["product_type"], tie))
        recall["type, then category"].append(ranked(bought, by["product_type"] + 1e-3 * by["product_category"], tie))
    who = later["customer_id"].unique().sort()
    return pl.DataFrame({"customer_id": who, **recall})


def door(quick):
    """Nothing is held out here: the new products are those that few had bought by the end of week 42."""
    goods, log = journey()
    seen = log.filter(pl.col("week") <= CUT)
    if quick:
        seen = seen.filter(pl.Series(hash_units("some", seen["customer_id"].to_list()) < 0.3))
    end = seen["transaction_timestamp"].max()
    columns = ["customer_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
    with tempfile.TemporaryDirectory() as folder:
        catalogue = goods.select("product_id", "name", category="product_category", type="product_type")
        start = time.process_time()
        with Shop(seen.select(columns), products=catalogue, work=folder) as shop:
            shop.step("ingest", "profile")
            told = shop.store.frame("interests").filter(pl.col("views") == 0)
            told = told.filter(pl.col("asof_ms") == told["asof_ms"].max()) if told.height else told
        cpu = time.process_time() - start
    if told.is_empty():
        say("new products put forward: none, too few such were bought before", 0, n=0, CPU=cpu)
        return
    after = log.filter(
        (pl.col("transaction_timestamp") > end) & (pl.col("transaction_timestamp") <= end + pl.duration(days=28))
    )
    after = after.select(pl.col("customer_id").cast(pl.String), "product_id").unique().with_columns(came=pl.lit(1.0))
    rows = told.join(after, on=["customer_id", "product_id"], how="left").with_columns(pl.col("came").fill_null(0.0))
    say("predicted rate of new products told", *mean_se(rows["buy_rate"]), n=rows.height, CPU=cpu)
    by = rows.group_by("customer_id").agg(pl.col("came").sum(), pl.col("buy_rate").sum())
    say("bought of them in 28 days", *mean_se(rows["came"]), n=rows.height, households=by.height,
        ratio=float(rows["buy_rate"].sum() / max(rows["came"].sum(), 1)))  # fmt: skip


def generator(quick):
    """Households in two halves: the coupons that one accepted teach, those of the other are told, and the other way."""
    from promolift.extensions.generator import candidate_source
    from promolift.extensions.generator.offer_generator import build_market  # needs the extra `deep`

    demo = load_config(Path(promolift.__file__).parent / "shop" / "pipeline" / "demo.toml")
    config = demo.model_copy(update={"encoder": demo.encoder.model_copy(update={"depth": 0})})
    with tempfile.TemporaryDirectory() as folder:
        job = Job(config, Store(Path(folder)), lambda *_: None)
        run_steps(job, ["ingest", "profile", "effect"])
        at, asked, people = moments(job), config.offer, CandidateInputs(job, moments(job)).inputs()
        grid = offer_search.grid_rows(job, people, grid_lines(asked, config.menu, asked.scopes), config.rules)
        kinds = frozenset(item.benefit.type for item in config.menu)
        market = build_market(grid, people.profiles, asked.print.percents, kinds)
        accepted, goods = candidate_source.load_accepted_offers(job, at), job.clean.catalogue
    levels = [pl.col(each).fill_null("") for each in ("department", "category", "type")]
    v = product_vectors.text_vectors(goods.select(pl.concat_str(levels, separator=" ")).to_series().to_list())
    vectors = goods.select("product_id", pl.Series("vector", v, dtype=pl.Array(pl.Float32, v.shape[1])))
    placed = market.with_slot_vectors(candidate_source.slot_vectors(market, goods, vectors))
    first = pl.Series(hash_units("halves", accepted["customer_id"].to_list()) < 0.5)
    told = [
        [foretold(each, accepted.filter(half), accepted.filter(~half), seed) for each in (market, placed)]
        for half in (first, ~first)
        for seed in range(1 if quick else 2)
    ]
    seeds = len(told) // 2
    for at, figure in enumerate(
        ("log loss of the target accepted", "log loss of target and percent", "target among the five most drawn")
    ):
        without, with_ = (
            np.concatenate([np.mean([told[h * seeds + s][m][at] for s in range(seeds)], axis=0) for h in (0, 1)])
            for m in (0, 1)
        )
        lead = mean_se(with_ - without)
        say(f"generator, {figure}", *mean_se(with_), n=len(with_), seeds=seeds, peer="without vectors",
            peer_value=float(without.mean()), lead=lead[0], lead_se=lead[1])  # fmt: skip


def foretold(market, teach, asked, seed, times=128):
    """Of each household that accepted any of `asked`, a mean over what it accepted, by its share of the draws."""
    from promolift.extensions.generator.offer_generator import GeneratorSettings, fit_generator, read_accepted

    made = fit_generator(market, teach, GeneratorSettings(seed=seed))
    want = read_accepted(asked, market)
    who, row_A = np.unique(want.who_A, return_inverse=True)
    drawn = pl.concat([made.draw(market, who[start : start + 256], seed, times) for start in range(0, len(who), 256)])
    slot = {each: n for n, each in enumerate(market.slots)}
    percent = {each: n for n, each in enumerate(market.percents)}
    pair = list(drawn.select("scope", "target").iter_rows())
    slot_D, row_D = np.array([slot[each] for each in pair]), np.repeat(np.arange(len(who)), times)
    percent_D = np.array([percent.get(each, -1) for each in drawn["percent"]])
    count = np.zeros((len(who), len(slot), len(percent) + 1))
    np.add.at(count, (row_D, slot_D, percent_D), 1)
    slot_A = market.slot_NS[want.who_A, want.slot_A]
    by_slot, open_A = count.sum(axis=2), (market.slot_NS[who] >= 0).sum(axis=1)[row_A]
    whole = (by_slot[row_A, slot_A] + 0.5) / (times + 0.5 * open_A)
    cells = open_A * len(percent)
    exact = (count[row_A, slot_A, want.percent_A] + 0.05) / (times + 0.05 * cells)
    among = (by_slot[row_A] > by_slot[row_A, slot_A][:, None]).sum(axis=1) < 5
    each = np.bincount(row_A)
    return [np.bincount(row_A, value) / each for value in (-np.log(whole), -np.log(exact), among.astype(float))]


def through_ingest(goods, folder):
    """Table `senses`, the clean catalogue, what health says, and CPU seconds of `promolift ingest`."""
    events = pl.DataFrame({"customer_id": ["a", "b"], "product_id": goods["id"][:2], "time": ["2026-01-01", "2026-01-02"],
                           "amount": [1.0, 2.0]})  # fmt: skip
    path = folder / "products.parquet"
    goods.write_parquet(path)
    with tempfile.TemporaryDirectory() as work, Shop(events, products=path, work=work) as shop:
        start = time.process_time()
        notes = shop.health.notes
        return (
            shop.store.frame("senses").sort("product_id"),
            shop.store.frame("products"),
            notes,
            time.process_time() - start,
        )


def fashion(data, quick):
    table = pl.read_parquet(data / "products.parquet").sort("id")
    if quick:
        table = table.head(200)
    names = {"id": "product_id", "productDisplayName": "name", "img": "picture"}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "images").symlink_to((data / "images").resolve())
        bare = table.select("id", "productDisplayName", "img").rename(names | {"id": "id"})
        for said, part in (("words", bare.drop("picture")), ("pictures", bare.drop("name")), ("both", bare)):
            found, *_ = through_ingest(part, folder)
            tell_looks(table, np.stack(found["vector"].to_list()), said)
        hidden = pl.Series(hash_units("hidden", table["id"].to_list()) < 0.25)
        full = table.select("id", name="productDisplayName", picture="img", category="subCategory", colour="baseColour")
        asked = full.with_columns(
            pl.when(~hidden).then("category").alias("category"), pl.when(~hidden).then("colour").alias("colour")
        )
        found, goods, notes, _ = through_ingest(asked, folder)
        both = goods.join(full, left_on="product_id", right_on="id", suffix="_true").join(found, on="product_id")
        away = both.filter(pl.col("product_id").is_in(table.filter(hidden)["id"].implode()))
        filled = away.drop_nulls("category")
        say("categories filled in, of those hidden", filled.height / away.height, n=away.height, data="fashion",
            right=float((filled["category"] == filled["category_true"]).mean() or 0))  # fmt: skip
        for line in notes:
            say(line, None, data="fashion")


def tell_looks(table, vectors, said):
    for task, column in LOOKED_AT.items():
        often = table[column].value_counts().filter(pl.col("count") >= 8)[column]
        rows = np.flatnonzero(table[column].is_in(often.implode()).to_numpy())
        x, (classes, y) = vectors[rows], np.unique(table[column].to_numpy()[rows], return_inverse=True)
        folds, ridge = StratifiedKFold(5, shuffle=True, random_state=0), np.zeros(len(y), int)
        for learned, asked in folds.split(x, y):
            ridge[asked] = product_vectors.best_class(x[learned], y[learned], len(classes), x[asked]).at
        near = cross_val_predict(KNeighborsClassifier(5, weights="distance", metric="cosine"), x, y, cv=folds)
        value, se = mean_se(ridge == y)
        say(f"{task} ({len(classes)} classes) right, {said}", value, se, n=len(y), data="fashion", nearest=float((near == y).mean()),
            most_frequent=float(np.bincount(y).max() / len(y)))  # fmt: skip


def timed(data, quick):
    """10,000 products with a picture each."""
    image, chops = import_module("PIL.Image"), import_module("PIL.ImageChops")
    table, many = pl.read_parquet(data / "products.parquet").sort("id"), 1_000 if quick else 10_000
    with tempfile.TemporaryDirectory() as made:
        folder, rows = Path(made), []
        for n in range(many):
            row = table.row(n % table.height, named=True)
            turn = n // table.height
            picture = image.open(data / row["img"]).convert("RGB")
            picture = chops.offset(picture.rotate(3 * (turn % 5), fillcolor="white"), turn, turn)
            picture.save(folder / f"{n}.jpg", quality=90)
            rows.append({"id": str(n), "name": f"{row['productDisplayName']} {n}", "picture": f"{n}.jpg",
                         "category": row["subCategory"] if n % 10 else None})  # fmt: skip
        *_, cpu = through_ingest(pl.DataFrame(rows), folder)
    say("ingest of products with names and pictures", cpu, unit="CPU s", n=many, data="fashion")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--part", choices=("cold", "door", "generator", "fashion", "time"))
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    parts = {
        name: partial(each, args.quick) for name, each in (("cold", cold), ("door", door), ("generator", generator))
    }
    if args.fashion is not None and (args.fashion / "products.parquet").is_file():
        parts |= {
            "fashion": partial(fashion, args.fashion, args.quick),
            "time": partial(timed, args.fashion, args.quick),
        }
    for name, part in parts.items():
        if name == "generator" and args.quick and args.part is None:
            print(json.dumps({"skipped": "generator: the demo's shop takes over a minute; ask with --part generator"}))
        elif args.part in (None, name):
            part()


if __name__ == "__main__":
    main()
