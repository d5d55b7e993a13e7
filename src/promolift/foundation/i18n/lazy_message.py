"""Carry a text from where it is made to where it is shown: its message id and its arguments, not one language.

`gettext_lazy` makes a `LazyMessage`. As a string it is its English text: logs, files and programs read it as any other
string. `render_message` shows it in the language that is in use. The notes of a work folder keep id and arguments.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import SerializationInfo

from promolift.foundation.i18n.catalogue import gettext, gettext_noop

STORED = {"messages": "with their arguments"}  # context of a dump that promolift itself reads again
FIELD = re.compile(r"\{(\w+)\}")
COMMA = gettext_noop("{first}, {then}")
AND = gettext_noop("{first} and {then}")
SEMICOLON = gettext_noop("{first}; {then}")
SENTENCES = gettext_noop("{first} {then}")
LINES = "{first}\n{then}"  # the same in every language
MESSAGE_KEYS = {"message", "arguments"}
STORED_START = '{"message": '


class LazyMessage(str):
    """A text for people, English as a string, with the id of its message and the arguments that fill it.

    An argument that is itself a `LazyMessage` is shown in the reader's language, any other stays as it is.
    """

    message_id: str
    arguments: Mapping[str, "str | LazyMessage"]

    @classmethod
    def of(cls, message_id: str, arguments: Mapping[str, object]) -> Self:
        """Return the message with this id, filled."""
        filled = {name: each if isinstance(each, LazyMessage) else str(each) for name, each in arguments.items()}
        found = cls(message_id.format(**filled) if filled else message_id)
        found.message_id, found.arguments = message_id, filled
        return found

    @classmethod
    def untranslated(cls, text: str) -> Self:
        """Return a text that stays as it is: the words of a library, or what is in the reader's language already."""
        return cls.of(text, {})

    @classmethod
    def from_stored(cls, value: object) -> Self:
        """Return the message that `to_stored` wrote. A text, such as earlier versions stored, is its own id."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.of(value, {})
        if not isinstance(value, Mapping) or not isinstance(value.get("message"), str):
            raise ValueError("a message is a text, or an object with `message` and `arguments`")
        stored: Mapping[str, object] = value.get("arguments") or {}
        return cls.of(
            value["message"],
            {name: cls.from_stored(each) if isinstance(each, Mapping) else each for name, each in stored.items()},
        )

    def with_text(self, old: str, new: str) -> Self:
        """Return the message with another text in the place of one in its arguments, such as a file's name."""
        if self.message_id == old:
            return type(self).of(new, {})
        return type(self).of(
            self.message_id,
            {
                name: each.with_text(old, new) if isinstance(each, LazyMessage) else each.replace(old, new)
                for name, each in self.arguments.items()
            },
        )

    def to_stored(self) -> "str | dict[str, Any]":
        """Return the form for JSON: the text where it has no arguments, else the id and the arguments."""
        return self._with_arguments() if self.arguments else self.message_id

    def to_text(self) -> str:
        """Return the stored form as one text, for a column of text that promolift alone reads."""
        return json.dumps(self._with_arguments(), ensure_ascii=False) if self.arguments else self.message_id

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the message that `to_text` wrote, or that is a finished text, such as earlier versions stored."""
        if text.startswith(STORED_START):
            return cls.from_stored(json.loads(text))
        return cls.of(text, {})

    def _with_arguments(self) -> dict[str, Any]:
        kept = {name: e._with_arguments() if isinstance(e, LazyMessage) else e for name, e in self.arguments.items()}
        return {"message": self.message_id, "arguments": kept}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text and stored messages. A dump writes English, and the stored form with the context `STORED`."""

        def dump(value: str, info: SerializationInfo) -> object:
            message = cls.from_stored(value)
            return message.to_stored() if info.context is STORED else str(message) if info.mode_is_json() else message

        return core_schema.no_info_plain_validator_function(
            cls.from_stored, serialization=core_schema.plain_serializer_function_ser_schema(dump, info_arg=True)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """For programs it is a string."""
        return {"type": "string"}


NOTHING = LazyMessage.untranslated("")


def gettext_lazy(message_id: str, /, **arguments: object) -> LazyMessage:
    """Return a message that is translated when it is shown. Numbers in its arguments are formatted by the caller."""
    return LazyMessage.of(message_id, arguments)


def ngettext_lazy(one: str, many: str, n: int, /, **arguments: object) -> LazyMessage:
    """Return a message with a count `n` that is translated when it is shown. Each form has its own translation."""
    return LazyMessage.of(one if n == 1 else many, arguments)


def message_of(text: str, *forms: str) -> LazyMessage:
    """Return the message that a stored English text was made from: one of `forms`, else the text as an id.

    The arguments of a form are found in the same way.
    """
    if isinstance(text, LazyMessage) and text.arguments:
        return text
    for form in forms:
        if found := _english(form).fullmatch(text):
            return LazyMessage.of(form, {name: message_of(each, *forms) for name, each in found.groupdict().items()})
    return LazyMessage.of(text, {})


@cache
def _english(message_id: str) -> re.Pattern[str]:
    """Return a pattern of the English of a message with arguments."""
    seen, pattern = set[str](), ""
    for place, part in enumerate(FIELD.split(message_id)):  # words and names of arguments by turns
        if place % 2 == 0:
            pattern += re.escape(part)
        else:
            pattern += f"(?P={part})" if part in seen else f"(?P<{part}>.+?)"
            seen.add(part)
    return re.compile(pattern, re.DOTALL)


def dump_messages(value: object) -> str:
    """Return a value as JSON whose messages keep their ids and arguments; `load_messages` reads it."""
    return json.dumps(_with_stored_messages(value), ensure_ascii=False, indent=1) + "\n"


def load_messages(text: str) -> Any:
    """Return the value that `dump_messages` wrote."""
    return json.loads(
        text, object_hook=lambda found: LazyMessage.from_stored(found) if {*found} == MESSAGE_KEYS else found
    )


def _with_stored_messages(value: object) -> object:
    if isinstance(value, LazyMessage):
        return value.to_stored()
    if isinstance(value, Mapping):
        return {name: _with_stored_messages(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_stored_messages(each) for each in value]
    return value


def list_messages(messages: Sequence[LazyMessage]) -> LazyMessage | None:
    """Return messages as one, with commas between them; None where there are none."""
    return join_messages(COMMA, *messages) if messages else None


def join_messages(link: str, *messages: LazyMessage) -> LazyMessage:
    """Return messages as one; `link` is a message with the places `first` and `then`."""
    return reduce(lambda first, then: LazyMessage.of(link, {"first": first, "then": then}), messages)


def render_message(text: str) -> str:
    """Return a message in the language that is in use. A plain string is looked up by itself, as an id."""
    if not text:
        return text
    if not isinstance(text, LazyMessage):
        return gettext(text)
    return gettext(text.message_id, **{name: _shown_argument(each) for name, each in text.arguments.items()})


def _shown_argument(argument: "str | LazyMessage") -> str:
    return render_message(argument) if isinstance(argument, LazyMessage) else argument
