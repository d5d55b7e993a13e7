"""Describe how a shop speaks, as a card that a person edits and every brief for a writer holds.

A card comes from texts that the shop has published, read by a language model, or from a person's answers. It holds no
personal data: an example that names a person or holds an address, a phone or another number of one is refused.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from promolift.foundation.errors import InputError, SettingError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.foundation.privacy.redaction import PATTERNS
from promolift.foundation.settings import Settings

TEXTS_READ = 20
MOST_WORDS, MOST_EXAMPLES = 20, 4
_HAN = r"\u4e00-\u9fff"
_NOT_A_NAME = (
    "there|you|all|everyone|friends?|customers?|guests?|members?|neighbou?rs?|folks|team|again|shoppers?|readers?"
)
_GREETED = "各位|您|你|大家|家人|亲|顾客|客户|客人|会员|用户|朋友|老朋友|新朋友|同学|小伙伴|读者|邻居|街坊|粉丝"
_PERSONAL = (
    *PATTERNS,
    ("number", re.compile(r"\d{8,}")),
    ("name", re.compile(rf"\b(?i:dear|hi|hello|hey)\s+(?!(?i:{_NOT_A_NAME})\b)[A-Z][\w'’-]+")),
    ("name", re.compile(r"\b(?:Mr|Mrs|Ms|Miss|Dr)\.?\s+[A-Z][\w'’-]+")),
    ("name", re.compile(rf"(?:尊敬的|亲爱的)(?!{_GREETED})[{_HAN}]{{2,4}}(?=[，,：:！! ])")),
    ("name", re.compile(rf"(?:尊敬的|亲爱的|^|[，。！？\s])(?!各位|女士|先生)[{_HAN}]{{1,3}}(?:先生|女士|小姐)(?!们)")),
)


def find_personal_data(text: str) -> str | None:
    """Return the kind of the first personal data in a text (email, phone, card, name, ...); None if none is found.

    Names are found in greetings and after titles alone; a name inside a sentence is not found.
    """
    return next((kind for kind, pattern in _PERSONAL if pattern.search(text)), None)


class VoiceCard(Settings):
    """How the shop speaks. Every part may be left empty."""

    speaker: str = Field(default="", max_length=120, description="Who speaks.")
    tone: str = Field(default="", max_length=120, description="The tone, in a few adjectives.")
    address_en: str = Field(default="", max_length=60, description="How English texts address a customer.")
    address_zh: Literal["", "您", "你"] = Field(default="", description="How Chinese texts address a customer.")
    use: tuple[str, ...] = Field(default=(), max_length=MOST_WORDS, description="Words that are typical of the shop.")
    avoid: tuple[str, ...] = Field(
        default=(), max_length=MOST_WORDS, description="Words that no text may hold; a draft with one is faulty."
    )
    length: Literal["short", "medium"] = Field(
        default="medium", description="Whether drafts stay well below the limits."
    )
    examples: tuple[str, ...] = Field(
        default=(), max_length=MOST_EXAMPLES, description="Lines in the shop's voice, without personal data."
    )

    @model_validator(mode="after")
    def _fit_for_a_prompt(self) -> Self:
        for name in ("speaker", "tone", "address_en", "use", "avoid", "examples"):
            value = getattr(self, name)
            for text in (value,) if isinstance(value, str) else value:
                if kind := find_personal_data(text):
                    raise SettingError(
                        "personal_data_found",
                        gettext_lazy(
                            "{name}: {text} holds personal data ({kind}); take it out",
                            name=name,
                            text=repr(text[:40]),
                            kind=kind,
                        ),
                    )
                if not text.strip() and not isinstance(value, str):
                    raise ValueError(gettext_lazy("{name}: an entry is empty; delete it", name=name))
                if any(ord(sign) < 32 for sign in text) or len(text) > 200:
                    raise ValueError(
                        gettext_lazy(
                            "{name}: {text}: write one line of at most 200 characters", name=name, text=repr(text[:40])
                        )
                    )
        return self

    def address(self, language: Language) -> str:
        """Return how customers are addressed in a language; empty where the card does not say."""
        return self.address_zh if language == "zh" else self.address_en

    def texts_in(self, name: Literal["use", "avoid", "examples"], language: Language) -> tuple[str, ...]:
        """Return the words or lines of a part that are in a language."""
        texts: tuple[str, ...] = getattr(self, name)
        return tuple(text for text in texts if bool(re.search(f"[{_HAN}]", text)) == (language == "zh"))

    def unfit_word(self, text: str, language: Language) -> str | None:
        """Return the first word of a text that the card rules out: one to avoid, or the other form of 您 and 你."""
        for word in self.avoid:
            edges = r"\b" if word[:1].isascii() and word[-1:].isascii() else ""
            if re.search(f"{edges}{re.escape(word)}{edges}", text, re.IGNORECASE):
                return word
        other = {"您": "你", "你": "您"}.get(self.address_zh)
        return other if language == "zh" and other and other in text else None


def read_voice_answer(answer: str, texts: Sequence[str]) -> VoiceCard:
    """Return the card that a model describes. An example that is not copied from `texts`, or holds personal data, is
    left out. Raises InputError `answer_unreadable` if the answer is no card."""
    try:
        told = json.loads(answer)
        published = [" ".join(text.split()) for text in texts]
        copied = [" ".join(str(line).split()) for line in told.get("examples", ())]
        fit = [line for line in copied if line and any(line in text for text in published)]
        told["examples"] = [line for line in fit if not find_personal_data(line)][:2]
        for name in ("use", "avoid"):
            told[name] = [word for word in dict.fromkeys(str(each).strip() for each in told.get(name, ())) if word][:8]
        return VoiceCard.model_validate(told)
    except (ValueError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(
            "answer_unreadable",
            gettext_lazy(
                "the model described no voice ({splitlines}); run the command again, or answer the five questions",
                splitlines=str(error).splitlines()[0],
            ),
        ) from None
