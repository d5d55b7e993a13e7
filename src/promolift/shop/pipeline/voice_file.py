"""Write and read voice.toml, the card beside promolift.toml that says how the shop speaks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from promolift.core.messages.drafts import voice_request
from promolift.core.messages.voice import (
    TEXTS_READ,
    VoiceCard,
    find_personal_data,
    read_voice_answer,
)
from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.language_model import LanguageModel, UsageMeter
from promolift.foundation.localized_text import Language
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import toml_value
from promolift.shop.configuration.configuration import read_toml
from promolift.shop.reports.text_briefs import usage_text

LEAST_TEXTS = 3
ABOUT = {
    "speaker": gettext_noop("who speaks"),
    "tone": gettext_noop("the tone, in three or four adjectives"),
    "address_en": gettext_noop("how English texts address a customer"),
    "address_zh": gettext_noop("how Chinese texts address a customer; may be empty"),
    "use": gettext_noop("words that are typical of the shop"),
    "avoid": gettext_noop("words that no text may hold; a draft with one of them is faulty"),
    "length": gettext_noop("short or medium"),
    "examples": gettext_noop("lines in the shop's voice, without names or other personal data"),
}
QUESTIONS = {  # by the option that answers them
    "speaker": gettext_noop("Who speaks in your messages? For example: the two of us behind the counter"),
    "tone": gettext_noop("What is the tone? Three adjectives, such as: warm, plain, a little dry"),
    "address": gettext_noop("How do you address customers: by the polite or the familiar word for you, by name, ..."),
    "use": gettext_noop("Which words are typical of your shop? Separate them by commas"),
    "avoid": gettext_noop("Which words would you never use? Separate them by commas"),
}  # fmt: skip


def voice_path(config: Path) -> Path:
    """Where the card of a shop lies: beside its settings."""
    return config.with_name("voice.toml")


def load_voice(config: Path) -> VoiceCard:
    """Return the card beside the settings file, an empty one where there is none. ConfigError for a card that is
    unfit, with the code of its fault."""
    path = voice_path(config)
    return VoiceCard.parse(read_toml(path), str(path)) if path.exists() else VoiceCard()


def check_writable(config: Path, force: bool) -> None:
    """Raise ConfigError `file_exists` for a card that `force` does not allow to replace."""
    if (path := voice_path(config)).exists() and not force:
        raise ConfigError("file_exists", gettext_lazy("{path} exists; edit it, or replace it with --force", path=path))


def card_from_answers(answers: Mapping[str, str | Sequence[str]]) -> VoiceCard:
    """Return the card of a person's answers, by the names of QUESTIONS. Words may be separated by commas."""
    parts = {name: _words(answers.get(name, ())) for name in ("use", "avoid", "address")}
    zh = [text for text in parts["address"] if text in ("您", "你")]
    values = {
        "speaker": str(answers.get("speaker", "")).strip(), "tone": str(answers.get("tone", "")).strip(),
        "address_zh": zh[0] if zh else "", "address_en": ", ".join(t for t in parts["address"] if t not in zh),
        "use": parts["use"], "avoid": parts["avoid"], "examples": answers.get("examples", ()),
    }  # fmt: skip
    return VoiceCard.parse(values, "words voice")


def _words(answer: str | Sequence[str]) -> list[str]:
    texts = [answer] if isinstance(answer, str) else answer
    plain = (text.replace("，", ",").replace("、", ",").split(",") for text in texts)
    return [word for words in plain for each in words if (word := each.strip())]


def ask_questions(ask: Callable[[str], str]) -> dict[str, str]:
    """Put the five questions to a person."""
    return {name: ask(gettext(question)) for name, question in QUESTIONS.items()}


def read_texts(file: Path) -> list[str]:
    """Return the first texts of a file: one per line, or of a CSV its column `text`, else its only one."""
    try:
        if file.suffix.lower() == ".csv":
            rows = pl.read_csv(file, infer_schema=False)
            name = "text" if "text" in rows.columns else rows.columns[0] if len(rows.columns) == 1 else None
            if name is None:
                raise InputError(
                    "column_missing",
                    gettext_lazy(
                        "{file}: needs a column `text`; it has {columns}", file=file, columns=", ".join(rows.columns)
                    ),
                )
            lines: list[str] = rows[name].drop_nulls().to_list()
        else:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        code = "file_not_found" if isinstance(error, FileNotFoundError) else "file_unreadable"
        raise InputError(
            code,
            gettext_lazy("{file}: cannot be read ({error}); give a text file or CSV in UTF-8", file=file, error=error),
        ) from None
    texts = list(dict.fromkeys(text for line in lines if (text := " ".join(line.split()))))
    return texts[:TEXTS_READ]


def voice_from_texts(file: Path, model: LanguageModel, language: Language, config: Path) -> StepSummary:
    """Let a model describe the voice of a shop's texts, and write the card. A text with personal data is not sent."""
    texts = read_texts(file)
    fit = [text[:500] for text in texts if not find_personal_data(text)]
    if len(fit) < LEAST_TEXTS:
        raise InputError(
            "too_few_texts",
            gettext_lazy(
                "{file}: {fit} texts without personal data, at least {least_texts} are needed; give more, "
                "or answer the five questions",
                file=file,
                fit=len(fit),
                least_texts=LEAST_TEXTS,
            ),
        )
    meter = UsageMeter(model)
    (reply,) = meter([voice_request(fit, language)])
    if meter.capped:
        message = gettext_lazy("words voice: the call could take more than {setting} allows", setting=meter.capped)
        raise ConfigError("cost_cap_reached", message)
    if reply.fault:
        raise InputError(
            "answer_missing",
            gettext_lazy(
                "words voice: {fault}; `promolift doctor` checks the endpoint, and five questions need none",
                fault=reply.fault,
            ),
        )
    summary = write_voice(read_voice_answer(reply.text, fit), config)
    lines = [summary.text, usage_text(meter.usage)]
    if left := len(texts) - len(fit):
        lines.append(gettext("Texts that hold personal data and were not sent: {left}.", left=left))
    return StepSummary("\n".join(lines), {**summary.figures, **meter.usage._asdict(), "left_out": left})


def write_voice(card: VoiceCard, config: Path) -> StepSummary:
    """Write the card, each part under a line that explains it."""
    path, values = voice_path(config), card.model_dump()
    head = "# " + gettext("How this shop speaks. Every brief for a draft holds this card; edit it as you like.")
    parts = [f"# {gettext(about)}\n{name} = {_toml(values[name])}" for name, about in ABOUT.items()]
    draft = path.with_name(f".{path.name}.part")
    draft.write_text("\n\n".join([head, *parts]) + "\n", encoding="utf-8")
    draft.replace(path)
    text = gettext("{path}: change what does not sound like you; `promolift words draft` uses it.", path=path)
    return StepSummary(text, {"voice": values, "path": str(path)})


def _toml(value: Any) -> str:
    return toml_value(list(value) if isinstance(value, tuple) else value)
