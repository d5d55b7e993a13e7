"""Ask on a terminal what the files do not say: at most three questions, the one whose answer matters most first."""

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

from promolift.foundation.files.column_names import currency_code
from promolift.foundation.files.workbook import WORKBOOK_SUFFIXES, list_sheets
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.configuration.configuration import RAW_NAMES
from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW
from promolift.shop.ingest.setup.guessed_tables import GuessedTable

MOST_QUESTIONS = 3
# What a wrong column spoils most comes first.
IMPORTANCE = ("customer_id", "time", "amount", "unit_price", "list_amount", "list_unit_price", "order_id", "product_id")
YES = ("y", "yes", "是")


class Questioner:
    """Asks a person, and counts how many questions are left."""

    def __init__(self, ask: Callable[[str, str], str], most: int = MOST_QUESTIONS) -> None:
        self.ask, self.left = ask, most

    def __call__(self, question: str, default: str) -> str:
        """The answer of a person, whether or not a question is left."""
        self.left -= 1
        return self.ask(question, default)

    def about_sheet(self, table: str, path: Path) -> Path:
        """The path with the sheet that a person names, where a workbook's sheets are different tables."""
        if path.suffix.lower() not in WORKBOOK_SUFFIXES or not path.is_file():
            return path
        sheets = list_sheets(path)
        if len({sheet.columns for sheet in sheets}) < 2:
            return path
        question = gettext(
            "{file} has different sheets: {sheets}. Which one holds the {table}? Enter, or a sheet",
            file=path.name,
            sheets="; ".join(map(str, sheets)),
            table=table,
        )
        while True:
            said = self(question, max(sheets, key=lambda sheet: sheet.rows).name).strip()
            if said in [sheet.name for sheet in sheets]:
                return path.with_name(f"{path.name}#{said}")

    def about_columns(self, parts: Sequence[GuessedTable], keep: int) -> dict[str, str]:
        """Another column for each role that is not sure, where a person names one; `keep` questions stay unused."""
        doubts = [
            (part, role)
            for part in parts
            for role, guess in part.roles.items()
            if guess.sure < CONFIRM_BELOW and part.name in RAW_NAMES
        ]
        doubts.sort(key=lambda doubt: IMPORTANCE.index(doubt[1]) if doubt[1] in IMPORTANCE else len(IMPORTANCE))
        said = {}
        for part, role in doubts:
            if self.left <= keep:
                break
            guess = part.roles[role]
            values = ", ".join(guess.samples)
            question = gettext(
                "{name}.{role}: is it {column} ({values})? Enter, or a column",
                name=part.name,
                role=role,
                column=f"{guess.column!r}",
                values=values,
            )
            answer = self(question, guess.column).strip()
            if answer != guess.column:
                said[f"{part.name}.{role}"] = answer
        return said

    def about_currency(self, likely: str, keep: int) -> str | None:
        """The currency that a person names, None where no question is left."""
        while self.left > keep:
            question = gettext("No column names a currency. Which one are the amounts in? Enter, or a code such as EUR")
            code = currency_code(self(question, likely))
            if code in CURRENCY_DIGITS:
                return code
        return None

    def about_cents(self, column: str, value: str, currency: str, keep: int) -> bool | None:
        """Whether whole amounts are cents, None where no question is left."""
        if self.left <= keep:
            return None
        question = gettext(
            "All amounts of {column} are whole. Is {value} a count of cents of {currency}? (yes/no)",
            column=f"{column!r}",
            value=value,
            currency=currency,
        )
        return self(question, "no").strip().lower() in YES

    def about_message_cost(self, currency: str) -> float | None:
        """What one message costs, asked until the answer is a number of at least 0; None where no question is left."""
        question = gettext(
            "What does one message to a customer cost you, in {currency}? 0 for e-mail that costs nothing",
            currency=currency,
        )
        if self.left <= 0:
            return None
        while True:
            try:
                cost = float(self(question, "0").strip().replace(",", ".") or 0)
            except ValueError:
                continue
            if cost >= 0 and isfinite(cost):
                return cost
