"""Define the error classes that a user can meet. Each message says where the error is, what is wrong and what to do.

PromoError
├── InputError     raw data that cannot be read or makes no sense; names file, row and column
├── ConfigError    promolift.toml or a settings object is wrong; names the key and the nearest known one
├── StepError      a step was asked for before the step it needs
├── SupportError   the data cannot answer the question (too few rows, no overlap): an unknown is not a zero
├── BudgetError    no plan can satisfy the budget or the limits
└── with the ledger and the server: LedgerError, Refused (server/ledger/schema.py), ApiError (server/api/problems.py),
    ServerRefusedError (server/api/client.py)
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy

DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large|os error (28|122|27)\b")


class PromoError(Exception):
    """Base of all errors meant for people: a stable `code` for programs and a sentence for a person.

    `error_codes.tsv` lists every code; docs/errors.md is made from it. The command line prints the sentence and the
    code on one line and exits with 2; the API answers the code in problem+json.
    """

    def __init__(self, code: str, message: LazyMessage) -> None:
        """`message` names the file, row or key, says what is wrong, and then what to do. It keeps its id and arguments
        (i18n/lazy_message.py), so that a page can show it in the reader's language.
        """
        super().__init__(code, message)
        self.code, self.message = code, message

    def __str__(self) -> str:
        return self.message


class InputError(PromoError):
    """Raw data that cannot be read or makes no sense."""


class ConfigError(PromoError):
    """promolift.toml or a settings object is wrong."""


class StepError(PromoError):
    """A step was requested before the step that it needs."""


class SupportError(PromoError):
    """The data cannot answer the question: too few rows, no overlap, no variation."""


class BudgetError(PromoError):
    """No plan can satisfy the budget or the limits."""


@contextmanager
def convert_disk_full_error(folder: Path | str) -> Iterator[None]:
    """Raise a full disk inside the block as StepError `disk_full`, whichever library reports it."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        if isinstance(error, PromoError) or not DISK_FULL.search(reason):
            raise
        raise StepError(
            "disk_full",
            gettext_lazy(
                "{folder}: the disk is full, or a file larger than it may be ({reason}); free some space; "
                "nothing is half written and finished steps are kept, so run the same command again to go "
                "on",
                folder=folder,
                reason=reason,
            ),
        ) from None


class SettingError(ValueError):
    """A broken rule of the settings with an error code of its own, which `Settings.parse` passes on."""

    def __init__(self, code: str, message: LazyMessage) -> None:
        """As in `PromoError`."""
        super().__init__(message)
        self.code, self.message = code, message
