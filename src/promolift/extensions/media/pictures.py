"""Read a picture file as a square of pixels on white; errors name the file.

Accepts JPEG, PNG, WebP, GIF, AVIF, BMP and TIFF, and no format that contains a program, such as EPS. CMYK and palettes
become RGB; an animation counts by its first frame.
"""

import io
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

PICTURE_FORMATS = frozenset({"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "TIFF", "WEBP"})
MAX_BYTES, MAX_PIXELS = 64 * 2**20, 64_000_000


def pillow_module() -> ModuleType | None:
    """Pillow's Image, or None where it is not installed."""
    try:
        return import_module("PIL.Image")
    except ImportError:
        return None


def picture_bytes(path: Path) -> bytes:
    """The file as it is. InputError, naming it, where it is missing, empty or too large for a product's picture."""
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise InputError("file_not_found", gettext_lazy("{path}: no such file", path=path))
        if size == 0:
            raise InputError("file_empty", gettext_lazy("{path}: the file is empty", path=path))
        if size > MAX_BYTES:
            raise InputError(
                "picture_too_large",
                gettext_lazy(
                    "{path}: {size} MiB, more than {max_bytes}; make it smaller",
                    path=path,
                    size=f"{size / 2**20:.0f}",
                    max_bytes=MAX_BYTES // 2**20,
                ),
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(
            "file_unreadable", gettext_lazy("{path}: cannot be read ({error})", path=path, error=error)
        ) from None


def read_picture(content: bytes, where: Path, side: int) -> NDArray[np.uint8]:
    """side x side x 3 pixels. InputError, naming the file `where`, where it is no whole picture or a huge one."""
    image = pillow_module()
    if image is None:
        raise InputError("extra_missing", gettext_lazy("pictures need Pillow: pip install 'promolift[image]'"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size that is refused just below, or of odd metadata
            image.init()
            picture = image.open(io.BytesIO(content), formats=sorted(PICTURE_FORMATS & {*image.OPEN}))
            wide, high = picture.size
            if wide * high > MAX_PIXELS:
                raise InputError(
                    "picture_too_large",
                    gettext_lazy(
                        "{where}: {wide} x {high} pixels are too many; make it smaller",
                        where=where,
                        wide=wide,
                        high=high,
                    ),
                )
            picture.draft("RGB", (2 * side, 2 * side))  # a large JPEG is read at a fraction of its size
            flat = picture.convert("RGBA")
            scale = side / max(flat.size)
            flat = flat.resize([max(1, round(length * scale)) for length in flat.size])
            square = image.new("RGBA", (side, side), (255, 255, 255, 255))
            square.alpha_composite(flat, ((side - flat.width) // 2, (side - flat.height) // 2))
            return np.asarray(square.convert("RGB"), np.uint8)
    except InputError:
        raise
    except Exception as error:  # decoders raise what they like on broken files
        raise InputError(
            "file_unreadable",
            gettext_lazy("{where}: no whole picture ({error})", where=where, error=str(error) or type(error).__name__),
        ) from None
