"""Ask a language model what people call goods in a language, and keep what a person approved of it.

A catalogue's own names are often in another script ('tea' in a Chinese shop) or are codes. A draft of an everyday name
is asked for once per language and approved once by a person; until then messages take the neutral form.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from promolift.core.messages.prompt_templates import WriterRequest, fill_prompt, load_prompt, object_schema
from promolift.core.offers.product_names import NameKind, is_sensitive, names_in, readable_name
from promolift.foundation.localized_text import Language, LocalizedText
from promolift.foundation.settings import Settings

NameState = Literal["drafted", "approved", "rejected"]
LONGEST: dict[Language, int] = {"zh": 12, "en": 30}  # characters of an everyday name
MAX_NAMES = 80  # in one request; TOKENS_PER_NAME is what an answer needs for each
TOKENS_PER_NAME = 40


class EverydayName(Settings):
    """What a language calls a product or category. `key` is its name in the catalogue, `by` the person who decided."""

    key: str
    kind: NameKind
    language: Language
    name: str
    state: NameState = "drafted"
    writer: str = ""
    by: str = ""
    date: str = ""


class NamelessGoods(NamedTuple):
    """A product or category that a language has no name for."""

    key: str
    kind: NameKind


def fits_as_name(name: str, language: Language) -> bool:
    """Whether a message may call goods so: readable in the language, short, no claim, no private matter."""
    return (
        0 < len(name) <= LONGEST[language]
        and names_in(name, language)
        and not is_sensitive(name)
        and not is_sensitive(name, "product")
    )


def names_request(goods: Sequence[NamelessGoods], language: Language, seed: int = 0) -> WriterRequest:
    """Return the request for the everyday names of goods; no customer, price or sale is in it."""
    words, text = load_prompt(language), {"type": "string"}
    listed = "\n".join(f"- {each.key}" for each in goods)
    schema = object_schema(names={"type": "array", "items": object_schema(key=text, name=text)})
    user = fill_prompt(words["names_user"], goods=listed, longest=str(LONGEST[language]))
    return WriterRequest(words["names_system"], user, schema, seed, 100 + TOKENS_PER_NAME * len(goods))


def read_names(
    answer: str, goods: Sequence[NamelessGoods], language: Language, writer: str, date: str
) -> list[EverydayName] | None:
    """Return the drafts of an answer that may be printed; None for an answer that is not the JSON asked for."""
    try:
        rows: list[Any] = json.loads(answer)["names"]
        said = {str(row["key"]).strip(): " ".join(str(row["name"]).split()) for row in rows}
    except (KeyError, TypeError, ValueError):
        return None
    return [
        EverydayName(key=each.key, kind=each.kind, language=language, name=name, writer=writer, date=date)
        for each in goods
        if fits_as_name(name := said.get(each.key.strip(), ""), language)
    ]


def approved_names(records: Iterable[EverydayName], own: Mapping[str, LocalizedText]) -> dict[str, LocalizedText]:
    """Return the names that messages use: those of the settings, and those that a person approved; of a key that is
    approved in one language alone, the other keeps the catalogue's name."""
    found = dict[str, LocalizedText]()
    for each in records:
        if each.state == "approved" and each.key not in own:
            before = found.get(each.key) or readable_name(each.key, each.kind)
            found[each.key] = before.model_copy(update={each.language: each.name})
    return found | dict(own)
