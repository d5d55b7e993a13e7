"""Vectors of words and pictures, what they fill in, and which known products a new one is made of."""

import numpy as np
import polars as pl

from promolift.core.customers.forecasts.new_products import purchase_paces, weights_on_known
from promolift.core.offers.colour_names import find_colour, with_colour
from promolift.extensions.media import product_vectors
from promolift.foundation.hashing import hash_units
from promolift.foundation.localized_text import LocalizedText

NAMES = [
    "fresh whole milk",
    "fresh skimmed milk",
    "winter tyre",
    "summer tyre",
    "新鲜全脂牛奶",
    "新鲜脱脂牛奶",
    "冬季轮胎",
    "",
]


def test_words_that_are_alike_are_near_in_either_language_and_order_changes_nothing():
    x = product_vectors.text_vectors(NAMES)
    near = x @ x.T
    assert near[0, 1] > near[0, 2]
    assert near[4, 5] > near[4, 6]
    assert not x[7].any()
    again = product_vectors.text_vectors(NAMES[::-1])[::-1]
    assert np.array_equal(x, again)


def test_pictures_that_are_missing_count_nothing_and_move_no_other():
    text = product_vectors.text_vectors(NAMES[:7])
    seen = (
        hash_units("pixels", [str(n) for n in range(7 * product_vectors.PICTURE_WIDTH)])
        .reshape(7, -1)
        .astype(np.float32)
    )
    seen[3] = np.nan
    both = product_vectors.join_vectors(text, seen)
    assert not both[3, text.shape[1] :].any()
    assert both[0, text.shape[1] :].any()
    assert np.array_equal(product_vectors.join_vectors(text, np.full_like(seen, np.nan)), text)


def placed(least: float, noise: float, strange: int = 0) -> tuple[product_vectors.LabelPredictions, list[str]]:
    """300 products of three classes, `strange` of a fourth that none with a label has; every other one unlabelled."""
    true = [("abc"[n % 3]) for n in range(300)] + ["z"] * strange
    base = {"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1), "z": (0.4, 0.4, 0.4)}
    draw = np.random.default_rng(1).normal(size=(len(true), 3)) * noise
    x = np.array([base[each] for each in true]) + draw
    labels = [each if n % 2 and each != "z" else None for n, each in enumerate(true)]
    return product_vectors.predict_labels(x.astype(np.float32), labels, least), true


def test_a_label_is_given_only_where_it_is_right_as_often_as_was_asked():
    found, true = placed(0.95, 0.3)
    told = [(label, each) for label, each in zip(found.labels, true, strict=True) if label]
    assert 20 < len(told) < 150
    assert np.mean([label == each for label, each in told]) >= 0.95
    assert found.at_least >= 0.95
    surer, _ = placed(0.9, 0.3)
    assert sum(each is not None for each in surer.labels) > len(told)


def test_nothing_is_said_where_vectors_tell_nothing_or_too_few_are_known():
    assert placed(0.95, 30.0)[0].labels == [None] * 300
    few = product_vectors.predict_labels(np.eye(3, dtype=np.float32), ["a", "b", None], 0.9)
    assert few.labels == [None] * 3
    rare = [("ab"[n % 2] if n % 4 else f"rare {n}") if n < 200 else None for n in range(240)]
    x = np.array([(1.0, 0.0) if each == "a" else (0.0, 1.0) for each in rare], np.float32)
    assert (
        product_vectors.predict_labels(x, rare, 0.9).labels == [None] * 240
    )  # a quarter is of classes that cannot be known


def test_a_colour_is_said_once_and_only_where_one_is_named():
    assert find_colour("Navy Blue tee") == LocalizedText(en="navy blue", zh="藏青色")
    assert find_colour("黑白条纹") is None
    assert find_colour("Blackberry jam") is None
    assert with_colour(LocalizedText(en="linen shirt", zh="亚麻衬衫"), "red") == LocalizedText(
        en="red linen shirt", zh="红色亚麻衬衫"
    )
    assert with_colour(LocalizedText(en="Redwing boots", zh="红色靴子"), "black").en == "Redwing boots"


def vectors(names: dict[str, tuple[float, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        {"product_id": list(names), "vector": pl.Series(list(names.values()), dtype=pl.Array(pl.Float32, 2))}
    )


def test_a_new_product_is_told_to_those_who_buy_its_like_and_never_to_those_who_had_it():
    known = vectors({"milk": (1, 0), "tyre": (0, 1)})
    goods = weights_on_known(known, vectors({"new milk": (1, 0.1), "new tyre": (0, 2), "nothing": (-1, -1)}))
    times = pl.DataFrame(
        {"customer_id": ["a", "a", "b", "c", "c"], "product_id": ["milk", "tyre", "tyre", "milk", "new milk"],
         "rate": [3.0, 1.0, 2.0, 1.0, 1.0]}
    )  # fmt: skip
    told = purchase_paces(times, goods, 1)
    assert dict(told.select("customer_id", "product_id").iter_rows()) == {"a": "new milk", "b": "new tyre"}
    assert told.filter(pl.col("customer_id") == "b")["pace"][0] == 2.0
    assert purchase_paces(times.clear(), goods, 3).is_empty()
