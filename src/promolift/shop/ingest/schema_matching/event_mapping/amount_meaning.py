"""Solve how amounts are meant: currency, cents, scale, and the sign of discounts and spending.

In: a draft whose columns of money are known. Out: the draft with the settings by which its amounts are read, and those
of them that nothing in the file says (`assumed`).
"""

import re
from collections import Counter

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import COLUMN_SYNONYMS, MINOR_UNIT_SUFFIXES, currency_code, guess_region
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.currency_evidence import (
    country_currency,
    currencies_of_cells,
    may_be_cents,
    speaks_portuguese,
)
from promolift.shop.ingest.schema_matching.event_mapping.money_columns import numeric_columns
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MONEY, VIEWS, MappingDraft
from promolift.shop.ingest.schema_matching.role_matching.role_candidates import name_rank
from promolift.shop.ingest.schema_matching.role_matching.role_scores import LIKELY

MICROS = re.compile(r"(product|transaction|item|total)_?(revenue|price)$|micros$", re.IGNORECASE)


def settle_format(draft: MappingDraft, columns: list[str], values: list[str]) -> None:
    """Whether amounts have a decimal comma, and whether the names of all their columns say that they are cents."""
    if column_patterns.decimal_comma(values):
        draft.settings["decimal"] = ","
    if columns and all(name.lower().endswith(MINOR_UNIT_SUFFIXES) for name in columns):
        draft.settings["money"] = "minor"


def settle_currency(draft: MappingDraft, columns: list[str], values: list[str]) -> None:
    """Take the currency from a column, signs or codes, else from country or language; InputError for several."""
    found, unclear = column_patterns.guess_currency(columns, values)
    if draft.table == "events" and "currency" not in draft.columns:
        coded = next((name for name in draft.free if column_patterns.are_currencies(draft.values(name))), None)
        if coded:
            draft.take("currency", coded, LIKELY)
    if "currency" in draft.columns:
        name = str(draft.columns["currency"])
        codes = Counter(currency_code(value) for value in draft.values(name))
        found = next((code for code, _ in codes.most_common() if code in CURRENCY_DIGITS), found)
        several = [code for code, rows in codes.most_common() if rows >= 0.01 * codes.total()]
        if len(several) > 1 and not draft.currency:
            shares = " and ".join(f"{code} ({codes[code] / codes.total():.0%})" for code in several[:4])
            raise InputError(
                "currency_mixed",
                gettext_lazy(
                    "{table}: column {name} holds {shares}, whose amounts cannot be added: say which one to "
                    "plan for with --currency {several} (rows in others are set aside and counted), or convert "
                    "them",
                    table=draft.table,
                    name=repr(name),
                    shares=shares,
                    several=several[0],
                ),
            )
        if len(codes) > 1:
            draft.notes.append(
                gettext_lazy("{codes} currencies: only rows in the shop's own are taken", codes=len(codes))
            )
    elif draft.table == "events" and len(codes := currencies_of_cells(values)) > 1:
        _settle_signs_of_currencies(draft, columns, codes)
    if draft.currency or found:
        draft.settings["currency"] = draft.currency or found
    if draft.table == "events" and not (draft.currency or found) and draft.settings.get("constants") != VIEWS:
        home = guess_region(draft.sample.columns)
        country = country_currency(draft.sample)
        spoken = "BRL" if speaks_portuguese(draft.sample.columns) else None
        likely = draft.settings["currency"] = country or (home.currency if home else spoken) or "USD"
        if country:
            note = gettext_lazy(
                "no currency is named and nearly all rows are of one country: amounts are taken for {likely} (set "
                "currency, here and under [shop])",
                likely=likely,
            )
        elif home:
            note = gettext_lazy(
                "no currency is named and names are {language}: amounts are taken for {likely} (set currency, here and "
                "under [shop])",
                language=gettext_lazy(home.language_name),
                likely=likely,
            )
        else:
            note = gettext_lazy(
                "no currency is named: amounts are taken for {likely} (set currency, here and under [shop])",
                likely=likely,
            )
        if columns:
            draft.assumed["currency"] = likely
        draft.notes.append(gettext_lazy("NOT SURE: {note}", note=note) if columns else note)
    _doubt_units(draft, columns, values)
    if unclear and not draft.currency:
        draft.notes.append(
            gettext_lazy("the sign {unclear} is read as {found} (set currency)", unclear=unclear, found=found)
        )


def _settle_signs_of_currencies(draft: MappingDraft, columns: list[str], codes: Counter[str]) -> None:
    """Amounts whose cells carry signs of several currencies: those in another than the shop's are set aside."""
    several = [code for code, rows in codes.most_common() if rows >= 0.01 * codes.total()]
    name = next(name for name in columns if len(currencies_of_cells(draft.values(name))) > 1)
    shares = " and ".join(f"{code} ({codes[code] / codes.total():.0%})" for code in several[:4])
    if len(several) > 1 and not draft.currency:
        raise InputError(
            "currency_mixed",
            gettext_lazy(
                "{table}: column {name} holds {shares}, whose amounts cannot be added: say which one to "
                "plan for with --currency {several} (rows in others are set aside and counted), or convert "
                "them",
                table=draft.table,
                name=repr(name),
                shares=shares,
                several=several[0],
            ),
        )
    draft.columns["currency"] = name
    draft.notes.append(
        gettext_lazy(
            "{name} carries signs of {codes} currencies: only rows in the shop's own are taken",
            name=repr(name),
            codes=len(codes),
        )
    )


def _doubt_units(draft: MappingDraft, columns: list[str], values: list[str]) -> None:
    """Say that whole amounts may be cents."""
    unknown = columns and draft.table == "events" and not {"money", "scale"} & draft.settings.keys()
    if unknown and may_be_cents(values, str(draft.settings.get("currency", "USD"))):
        draft.assumed["money"] = "major"
        draft.notes.append(
            gettext_lazy(
                "NOT SURE: all amounts of {columns} are whole numbers such as {values}: read as "
                "{currency}, not as its cents (--map money=minor says that they are cents)",
                columns=repr(columns[0]),
                values=values[0],
                currency=draft.settings.get("currency"),
            )
        )


def settle_scale(draft: MappingDraft, columns: list[str], values: list[str]) -> None:
    """Read amounts in millionths, and such as were scaled down below 0.1, as whole units."""
    if columns and any(map(MICROS.search, columns)) and column_patterns.are_micros(values):
        draft.settings["scale"] = 1e-6
        draft.notes.append(
            gettext_lazy(
                "{columns} counts millionths, as Google Analytics 360 does: read times 0.000001",
                columns=repr(columns[0]),
            )
        )
        return
    scale = column_patterns.scale_of(values) if "money" not in draft.settings else 1
    if scale != 1 and columns:
        draft.settings["scale"] = scale
        draft.notes.append(
            gettext_lazy(
                "{columns}: most values are below 0.1, as where prices were scaled down: read times "
                "{scale}, so all money is in made-up units (set scale; 1 if they are real)",
                columns=columns[0],
                scale=scale,
            )
        )


def settle_signs(draft: MappingDraft) -> None:
    """Tell discounts that are negative or a share of the price, and spending that is negative."""
    if "shelf_discount" in draft.columns:
        name = str(draft.columns["shelf_discount"])
        kind = column_patterns.discount_kind(name, draft.values(name))
        if kind != "positive":
            draft.settings["discount"] = kind
        if kind == "rate":
            draft.notes.append(
                gettext_lazy("{name} is between 0 and 1: read as a share of the price (set discount)", name=repr(name))
            )
    paid = next((str(draft.columns[role]) for role in ("amount", "unit_price") if role in draft.columns), None)
    if paid and "quantity" not in draft.columns and column_patterns.mostly_negative(draft.values(paid)):
        draft.settings["spending"] = "negative"
        draft.notes.append(
            gettext_lazy(
                "most of {paid} is negative: negative amounts are read as spending (set spending)", paid=repr(paid)
            )
        )


def say_if_there_is_no_money(draft: MappingDraft) -> None:
    """Note that no column holds money, and which columns of numbers might."""
    if draft.settings.get("constants") != VIEWS and not any(role in draft.columns for role in MONEY):
        may = [repr(name) for name in numeric_columns(draft)[:4]]
        named = [
            name for name in draft.free if any(name_rank(name, COLUMN_SYNONYMS[each]) is not None for each in MONEY[:4])
        ]
        for name in (
            each for each in named if draft.values(each) and not column_patterns.looks_numeric(draft.values(each))
        ):
            draft.notes.append(
                gettext_lazy(
                    "NOT SURE: {name} is called as amounts are, but most of its values are no numbers", name=repr(name)
                )
            )
        if may:
            draft.notes.append(
                gettext_lazy(
                    "no price or amount column: the products' price is taken if they have one, else 0 stands for it; "
                    "if {columns} says what was paid: --map amount=COLUMN",
                    columns=" or ".join(may),
                )
            )
        else:
            draft.notes.append(
                gettext_noop(
                    "no price or amount column: the products' price is taken if they have one, else 0 stands for it"
                )
            )
