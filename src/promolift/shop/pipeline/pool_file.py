"""Read and write the file of a shop's pool of texts; the pool that comes with promolift."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from promolift.core.messages.composition import MessageSettings
from promolift.core.messages.text_pool import PoolText, TextPool
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import LANGUAGES, Language


def load_shop_pool(settings: MessageSettings) -> TextPool:
    """The shop's own pool; where it has none yet, the texts that come with promolift."""
    return load_pool(settings.pool_path if settings.pool_path.exists() else None)


def load_pool(path: Path | None) -> TextPool:
    """The pool of a file, JSON lines; the shipped one for None. InputError naming the line that is none of it."""
    if path is None:
        return shipped_pool()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        code = "file_not_found" if isinstance(error, FileNotFoundError) else "file_unreadable"
        message = gettext_lazy(
            "{path}: no pool of texts ({error}); `promolift words draft` writes one", path=path, error=error
        )
        raise InputError(code, message) from None
    return parse_pool(lines, str(path))


@cache
def shipped_pool() -> TextPool:
    """demo_pool.jsonl: written and reviewed by a large language model. No person has approved any text of it."""
    text = files("promolift.shop.pipeline").joinpath("demo_pool.jsonl").read_text(encoding="utf-8")
    return parse_pool(text.splitlines(), "demo_pool.jsonl")


def parse_pool(lines: Sequence[str], name: str) -> TextPool:
    """Return the pool of JSON lines; `name` says in errors where they stand."""
    texts = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text = PoolText.model_validate_json(line)
        except ValueError as error:
            raise InputError(
                "file_unreadable",
                gettext_lazy(
                    "{name}, line {number}: no text of a pool ({splitlines})",
                    name=name,
                    number=number,
                    splitlines=str(error).splitlines()[0],
                ),
            ) from None
        if text.text_id != text.draft.text_id:
            raise InputError(
                "file_changed",
                gettext_lazy(
                    "{name}, line {number}: the words were changed by hand; use `promolift words import`",
                    name=name,
                    number=number,
                ),
            )
        texts.append(text)
    return TextPool().merge(texts)


def save_pool(pool: TextPool, path: Path, languages: Sequence[Language] = LANGUAGES) -> None:
    """As JSON lines; under another name first, so that a run that is cut off leaves the old one. Texts of the file in
    other than these `languages` stay in it."""
    unread = [each for each in LANGUAGES if each not in languages]
    others = load_pool(path).in_languages(unread) if unread and path.exists() else TextPool()
    half = path.with_name(f".{path.name}.part")
    texts = (*others.texts, *pool.texts)
    half.write_text("".join(f"{text.model_dump_json()}\n" for text in texts), encoding="utf-8")
    half.replace(path)
