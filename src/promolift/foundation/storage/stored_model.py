"""A work folder in; a note that a step kept there out, typed and frozen.

A note is a small result kept as JSON. Whoever wants one asks its class: nobody else reads or writes that JSON.
"""

from typing import Any, ClassVar, Self

from pydantic import ConfigDict, ValidationError

from promolift.foundation.errors import StepError
from promolift.foundation.i18n.lazy_message import STORED, gettext_lazy
from promolift.foundation.i18n.validation_text import broken_rule
from promolift.foundation.settings import Settings
from promolift.foundation.storage.artifacts import PRODUCED_BY
from promolift.foundation.storage.local_store import Store


class Note(Settings):
    """A result kept in notes/<NAME>.json. `load` says which verb makes it where it is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)
    NAME: ClassVar[str]

    @classmethod
    def load(cls, store: Store) -> Self:
        """The note of this work folder. StepError, naming the verb, if it is missing or of another version."""
        return cls.of(store.load_json(cls.NAME))

    @classmethod
    def of(cls, values: Any) -> Self:
        """From JSON values. StepError, naming the verb, if another version of promolift wrote them."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            said = broken_rule(first)
            raise StepError(
                "result_outdated",
                (
                    gettext_lazy(
                        "the kept result {name} was written by another version ({key}: {said}); run `promolift "
                        "{produced_by}` again",
                        name=repr(cls.NAME),
                        key=key,
                        said=said,
                        produced_by=PRODUCED_BY[cls.NAME],
                    )
                    if key
                    else gettext_lazy(
                        "the kept result {name} was written by another version ({said}); run `promolift "
                        "{produced_by}` again",
                        name=repr(cls.NAME),
                        said=said,
                        produced_by=PRODUCED_BY[cls.NAME],
                    )
                ),
            ) from None

    @classmethod
    def has(cls, store: Store) -> bool:
        return store.has_json(cls.NAME)

    def keep(self, store: Store) -> Self:
        store.save_json(self.NAME, self.model_dump(mode="json", context=STORED))
        return self
