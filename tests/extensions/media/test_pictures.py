"""Pictures as shops have them: whatever cannot be read is said with the file's name."""

import io
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.extensions.media.catalogue_step import load_picture_features
from promolift.extensions.media.pictures import MAX_PIXELS, picture_bytes, read_picture
from promolift.foundation.files.table_files import resolve_linked_file

Image = pytest.importorskip("PIL.Image")
WHERE = Path("shop/red.png")


def saved(picture, kind="PNG", **how) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


MODES = {"RGB": "PNG", "CMYK": "JPEG", "L": "PNG", "P": "GIF", "RGBA": "PNG", "I;16": "PNG", "1": "PNG"}


@pytest.mark.parametrize(("mode", "kind"), MODES.items())
def test_every_way_of_writing_colours_becomes_a_square_of_rgb(mode, kind):
    pixels = read_picture(saved(Image.new(mode, (30, 60)), kind), WHERE, 96)
    assert pixels.shape == (96, 96, 3)
    assert pixels.dtype == np.uint8
    assert (pixels[:, :20] == 255).all()  # the side that the narrow picture leaves is white


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pixels = read_picture(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), WHERE, 8)
    assert pixels[4, 4].tolist() == [255, 0, 0]


def test_what_is_transparent_is_white():
    assert (read_picture(saved(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), WHERE, 8) == 255).all()


def test_what_would_be_run_as_a_program_is_not_read():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("PIL.EpsImagePlugin.Ghostscript", ghostscript := Mock())
        with raises_code("file_unreadable", "shop/red.png"):
            read_picture(saved(Image.new("RGB", (30, 60)), "EPS"), WHERE, 96)
    ghostscript.assert_not_called()


def test_no_file_outside_the_folder_of_the_catalogue_is_read(tmp_path):
    (tmp_path / "goods").mkdir()
    for place in ("secret.png", "goods/own.png"):
        (tmp_path / place).write_bytes(saved(Image.new("RGB", (8, 8))))
    names = ["../secret.png", str(tmp_path / "secret.png"), "own.png", "../goods/own.png"]
    products = SimpleNamespace(path=str(tmp_path / "goods" / "goods.csv"))
    parts = {"store": Mock(), "clean": Mock(pictures=None), "config": Mock(**{"data.products": products})}
    seen = load_picture_features(SimpleNamespace(**parts), pl.Series(names))
    assert np.isnan(seen.features_NP).all(axis=1).tolist() == [True, True, False, False]
    for name, line in zip(names[:2], seen.lines, strict=True):
        assert name in line
        with raises_code("path_outside_folder", name, str(tmp_path / "goods")):
            resolve_linked_file(tmp_path / "goods", name)


def test_a_broken_a_huge_and_an_empty_file_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    whole = saved(Image.fromarray(noise), "JPEG")
    for content in (b"nothing", whole[: len(whole) // 3], whole[:20]):
        with raises_code("file_unreadable", "shop/red.png"):
            read_picture(content, WHERE, 96)
    side = int(MAX_PIXELS**0.5) + 1
    with raises_code("picture_too_large", "shop/red.png", "8001 x 8001"):
        read_picture(saved(Image.new("1", (side, side))), WHERE, 96)
    (tmp_path / "empty.png").touch()
    with raises_code("file_empty", "empty.png"):
        picture_bytes(tmp_path / "empty.png")
    with raises_code("file_not_found", "gone.png"):
        picture_bytes(tmp_path / "gone.png")
    with raises_code("file_not_found", str(tmp_path)):
        picture_bytes(tmp_path)
