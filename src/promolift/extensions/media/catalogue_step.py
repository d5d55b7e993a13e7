"""Part of step 1: the clean catalogue and its pictures in; a vector a product, and what was left out filled in, out.

Kept: `senses` (product_id, vector, colour in English, and whether the catalogue or the picture says so) and `pictures`
(what was read of each, by the hash of its file, so that no picture is read twice). A catalogue without names,
descriptions and pictures keeps neither, and nothing else changes.
"""

from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.core.customers.sensitive_topics import sensitive_products
from promolift.core.customers.vectors import Floats
from promolift.core.offers.colour_names import colour_said
from promolift.extensions.media import product_vectors
from promolift.extensions.media.pictures import picture_bytes, read_picture, reader
from promolift.foundation.errors import InputError
from promolift.foundation.files.table_files import beside
from promolift.shop.results.work_folder.run_context import Job

SAID = 10  # unreadable pictures that are named one by one
NO_PILLOW = "the catalogue's pictures were not read: pip install 'promolift[image]'"


class SeenPictures(NamedTuple):
    """Figures of each product's picture, NaN where there is none, and a line for each that could not be read."""

    features_NP: Floats
    lines: list[str]


def run(job: Job) -> list[str]:
    """Keep the table `senses`, fill in categories, types and colours; what there is to say of it, in sentences."""
    store, settings, goods = job.store, job.config.senses, job.clean.catalogue
    job.clean.forget_senses(pictures=not settings.pictures)
    said = [name for name in ("name", "description") if settings.words and goods[name].null_count() < goods.height]
    shown = settings.pictures and goods["picture"].null_count() < goods.height
    if not said and not shown:
        return []
    job.tell("ingest", 0.25, f"words and pictures of {goods.height:,} products")
    about = (*said, "brand", "department", "category", "type")
    texts = goods.select(pl.concat_str([pl.col(name).fill_null("") for name in about], separator=" "))
    words = texts.to_series().to_list() if said else [""] * goods.height
    seen = look(job, goods["picture"]) if shown else SeenPictures(none_of(goods.height), [])
    vectors = product_vectors.joined(product_vectors.text_vectors(words), seen.features_NP)
    if not vectors.any():
        return seen.lines
    pictured = np.where(np.isnan(seen.features_NP).any(axis=1, keepdims=True), 0, vectors)
    lines, whole = list(seen.lines), goods
    for level in ("category", "type"):
        if 0 < goods[level].null_count() < goods.height:
            placed = product_vectors.place(vectors, goods[level].to_list(), settings.certain)
            whole = whole.with_columns(pl.coalesce(level, pl.Series(placed.labels, dtype=pl.String)).alias(level))
            lines.append(filled_in(level, goods[level].null_count(), placed))
    stated = [stated_colour(*row) for row in goods.select("colour", "name").iter_rows()]
    found = product_vectors.place(pictured, stated, settings.certain)
    colour = [own or other for own, other in zip(stated, found.labels, strict=True)]
    if shown and any(each is None for each in stated):
        lines.append(filled_in("colour", sum(each is None for each in stated), found))
    store.save("products", whole)
    by = [None if c is None else "catalogue" if own else "picture" for c, own in zip(colour, stated, strict=True)]
    private = sensitive_products(whole, job.config.privacy.sensitive_allowed)["product_id"]
    table = goods.select(
        "product_id",
        pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])),
        pl.Series("colour", colour, dtype=pl.String),
        pl.Series("colour_by", by, dtype=pl.String),
    )
    store.save("senses", table.filter(~pl.col("product_id").is_in(private.implode())))  # nobody is offered those
    return lines


def filled_in(what: str, missing: int, placed: product_vectors.Placed) -> str:
    """How many products without one were given one, and how sure that is."""
    given = sum(each is not None for each in placed.labels)
    if not given:
        return (
            f"products: none of {missing:,} without a {what} was given one: words and pictures of {placed.learned:,} "
            "others do not say it surely enough (senses.certain)"
        )
    return (
        f"products: {given:,} of {missing:,} without a {what} were given one by words and pictures, right in at least "
        f"{placed.at_least:.1%} of {placed.learned:,} others whose {what} is known"
    )


def stated_colour(colour: str | None, name: str | None) -> str | None:
    """The colour that the catalogue states, in its column or in the name."""
    found = colour_said(colour or "") or colour_said(name or "")
    return found.en if found else None


def none_of(products: int) -> Floats:
    """No pictures at all."""
    return np.full((products, product_vectors.PICTURE), np.nan, np.float32)


def look(job: Job, pictures: pl.Series) -> SeenPictures:
    """Figures of the pictures, from files read now or from an earlier run's."""
    if reader() is None:
        return SeenPictures(none_of(len(pictures)), [NO_PILLOW])
    store, found = job.store, none_of(len(pictures))
    file = job.config.data.products
    folder = Path(file.path).resolve().parent if file and file.path else Path.cwd()
    before = job.clean.pictures
    known = {} if before is None else dict(zip(before["key"], before["features"].to_list(), strict=True))
    kept: dict[str, Floats] = {}
    bad: list[str] = []
    for n, name in enumerate(pictures):
        if name is None:
            continue
        try:
            if "://" in name:
                raise InputError("url_unsupported", f"{name}: addresses are not fetched; name files")
            path = beside(folder, name)
            content = picture_bytes(path)
            key = blake2b(content, digest_size=16, key=str(product_vectors.VERSION).encode()).hexdigest()
            if key not in kept:
                old = known.get(key)
                kept[key] = (
                    product_vectors.picture_features(read_picture(content, path, product_vectors.SIDE))
                    if old is None
                    else np.array(old, np.float32)
                )
            found[n] = kept[key]
        except InputError as error:
            bad.append(f"picture of a product not read: {error}")
    features = pl.Series("features", list(kept.values()), dtype=pl.Array(pl.Float32, product_vectors.PICTURE))
    store.save("pictures", pl.DataFrame({"key": list(kept)}, schema={"key": pl.String}).with_columns(features))
    more = [f"and {len(bad) - SAID:,} more pictures that could not be read"] if len(bad) > SAID else []
    return SeenPictures(found, bad[:SAID] + more)
