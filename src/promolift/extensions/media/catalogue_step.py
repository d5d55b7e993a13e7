"""Compute product vectors from the catalogue's texts and pictures, and fill in missing attributes (part of step 1).

The step stores two tables. `senses` has product_id, vector, colour in English, and whether the colour comes from the
catalogue or from the picture. `pictures` has the features of each picture by the hash of its file, so that no picture
is read twice. If a catalogue has no names, descriptions and pictures, neither table is stored and nothing changes.
"""

from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.core.customers.sensitive_topics import sensitive_products
from promolift.core.customers.vectors import Floats
from promolift.core.offers.colour_names import find_colour
from promolift.extensions.media import product_vectors
from promolift.extensions.media.pictures import picture_bytes, pillow_module, read_picture
from promolift.foundation.errors import InputError
from promolift.foundation.files.table_files import resolve_linked_file
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.results.work_folder.run_context import Job

UNREADABLE_SHOWN = 10  # unreadable pictures that are named one by one
PILLOW_MISSING = "the catalogue's pictures were not read: pip install 'promolift[image]'"


class PictureFeatures(NamedTuple):
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
    job.tell(
        "ingest",
        0.25,
        gettext_lazy("words and pictures of {height} products", height=f"{goods.height:,}"),
    )
    about = (*said, "brand", "department", "category", "type")
    texts = goods.select(pl.concat_str([pl.col(name).fill_null("") for name in about], separator=" "))
    words = texts.to_series().to_list() if said else [""] * goods.height
    seen = (
        load_picture_features(job, goods["picture"]) if shown else PictureFeatures(missing_pictures(goods.height), [])
    )
    vectors = product_vectors.join_vectors(product_vectors.text_vectors(words), seen.features_NP)
    if not vectors.any():
        return seen.lines
    pictured = np.where(np.isnan(seen.features_NP).any(axis=1, keepdims=True), 0, vectors)
    lines, whole = list(seen.lines), goods
    for level in ("category", "type"):
        if 0 < goods[level].null_count() < goods.height:
            placed = product_vectors.predict_labels(vectors, goods[level].to_list(), settings.certain)
            whole = whole.with_columns(pl.coalesce(level, pl.Series(placed.labels, dtype=pl.String)).alias(level))
            lines.append(describe_filled(level, goods[level].null_count(), placed))
    stated = [catalogue_colour(*row) for row in goods.select("colour", "name").iter_rows()]
    found = product_vectors.predict_labels(pictured, stated, settings.certain)
    colour = [own or other for own, other in zip(stated, found.labels, strict=True)]
    if shown and any(each is None for each in stated):
        lines.append(describe_filled("colour", sum(each is None for each in stated), found))
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


def describe_filled(what: str, missing: int, placed: product_vectors.LabelPredictions) -> str:
    """How many products without one were given one, and how sure that is."""
    given = sum(each is not None for each in placed.labels)
    if not given:
        return (
            f"products: none of {missing:,} without a {what} was given one: words and pictures of {placed.learned:,} "
            "others do not say it surely enough (senses.certain)"
        )
    return gettext_lazy(
        "products: {given} of {missing} without a {what} were given one by words and "
        "pictures, right in at least {at_least} of {learned} others whose {what} is known",
        given=f"{given:,}",
        missing=f"{missing:,}",
        what=what,
        at_least=f"{placed.at_least:.1%}",
        learned=f"{placed.learned:,}",
    )


def catalogue_colour(colour: str | None, name: str | None) -> str | None:
    """The colour that the catalogue states, in its column or in the name."""
    found = find_colour(colour or "") or find_colour(name or "")
    return found.en if found else None


def missing_pictures(products: int) -> Floats:
    """No pictures at all."""
    return np.full((products, product_vectors.PICTURE_WIDTH), np.nan, np.float32)


def load_picture_features(job: Job, pictures: pl.Series) -> PictureFeatures:
    """Figures of the pictures, from files read now or from an earlier run's."""
    if pillow_module() is None:
        return PictureFeatures(missing_pictures(len(pictures)), [PILLOW_MISSING])
    store, found = job.store, missing_pictures(len(pictures))
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
                raise InputError(
                    "url_unsupported", gettext_lazy("{name}: addresses are not fetched; name files", name=name)
                )
            path = resolve_linked_file(folder, name)
            content = picture_bytes(path)
            key = blake2b(content, digest_size=16, key=str(product_vectors.VECTOR_VERSION).encode()).hexdigest()
            if key not in kept:
                old = known.get(key)
                kept[key] = (
                    product_vectors.picture_features(read_picture(content, path, product_vectors.PICTURE_SIDE))
                    if old is None
                    else np.array(old, np.float32)
                )
            found[n] = kept[key]
        except InputError as error:
            bad.append(f"picture of a product not read: {error}")
    features = pl.Series("features", list(kept.values()), dtype=pl.Array(pl.Float32, product_vectors.PICTURE_WIDTH))
    store.save("pictures", pl.DataFrame({"key": list(kept)}, schema={"key": pl.String}).with_columns(features))
    more = (
        [f"and {len(bad) - UNREADABLE_SHOWN:,} more pictures that could not be read"]
        if len(bad) > UNREADABLE_SHOWN
        else []
    )
    return PictureFeatures(found, bad[:UNREADABLE_SHOWN] + more)
