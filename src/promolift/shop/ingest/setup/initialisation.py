"""Write a commented promolift.toml from raw files, with the guessed role of every column."""

import re
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.files.column_names import currency_code, guess_region
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import wall_ms
from promolift.shop.configuration import column_mapping
from promolift.shop.configuration.column_mapping import ROLES, Mapping
from promolift.shop.configuration.configuration import RAW_NAMES, Config, ShopSettings, merge_settings, read_toml
from promolift.shop.configuration.fragment import add_includes, list_includes
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.column_patterns import is_line_cost
from promolift.shop.ingest.schema_matching.consent_columns import ConsentColumn
from promolift.shop.ingest.schema_matching.customer_identity import customer_question, shared_customer_columns
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping_with_reasons
from promolift.shop.ingest.schema_matching.event_mapping.money_columns import RECOMMENDED
from promolift.shop.ingest.schema_matching.role_matching.mapping_explanation import MappingGuess
from promolift.shop.ingest.setup.audience_sizes import LEAST_BUDGET, budget_share, plays_text, sized_plays
from promolift.shop.ingest.setup.consent_setup import MOST_QUESTIONS as MOST_CONSENT_QUESTIONS
from promolift.shop.ingest.setup.consent_setup import settle_consent
from promolift.shop.ingest.setup.example_orders import SampleReading, examples_text, show_examples
from promolift.shop.ingest.setup.file_roles import event_kind_from_name, open_joined, open_logs
from promolift.shop.ingest.setup.guessed_tables import GuessedTable, guesses_text, has_consent, table_section
from promolift.shop.ingest.setup.join_money import compare_joined_money
from promolift.shop.ingest.setup.menu_proposal import FUTURE, BasketStatistics, basket_statistics, menu_toml
from promolift.shop.ingest.setup.settings_text import WORDS, ShopFacts, settings_head, usual_margin
from promolift.shop.ingest.setup.setup_questions import (
    COLUMN_KEY,
    CONSENT,
    CONSENT_COLUMN_KEY,
    CURRENCY,
    MESSAGE_COST,
    MONEY_UNIT,
    MOST_QUESTIONS,
    YES,
    Questioner,
    SetupQuestion,
    asks_consent,
    closing_questions,
    consent_column_question,
    file_questions,
)

EMBEDDED_TABLES: tuple[tuple[Literal["products", "customers"], str], ...] = (
    ("products", "product_id"),
    ("customers", "customer_id"),
)  # tables that may stand inside the events, and the column by which their rows differ
CHINESE_CURRENCIES = ("CNY", "HKD", "MOP", "TWD")
HAN = re.compile(r"[\u4e00-\u9fff]")
NAME_ROLES = ("name", "category", "product_id")  # where names of products stand, the best first


class UnclearCustomerError(InputError):
    """`customer_unclear`: a person has to say which column names the customer; `question` asks that."""

    def __init__(self, message: LazyMessage, question: str, columns: Sequence[str]) -> None:
        """`columns` are those of the file."""
        super().__init__("customer_unclear", message)
        self.question, self.columns = question, tuple(columns)


@dataclass(frozen=True)
class SetupAnswers:
    """What a person has settled: columns of roles (`customer_id` or `products.name`), currency, consent and language;
    `stores`: whether the shop sells in stores and delivers nothing (the trade `retail`); `not_consent`: columns that
    hold no consent, `consent_columns` columns that do; `message_cost`: what one message costs, in the shop's currency;
    `money`: whether amounts are cents.

    `ask(question, default)` hears an answer on a terminal; without it, what is not sure stands in the file.
    `show(text)` shows how the file is read before anything is asked. `reader` is the language of the person who sets
    the shop up, where it is known; the shop's own else.
    """

    columns: Dict[str, str] = field(default_factory=dict)
    currency: str | None = None
    consent: bool | None = None
    languages: tuple[Language, ...] = ()
    stores: bool = False
    not_consent: tuple[str, ...] = ()
    consent_columns: tuple[str, ...] = ()
    message_cost: float | None = None
    money: Literal["major", "minor"] | None = None
    reader: str = ""
    ask: Callable[[str, str], str] | None = field(default=None, repr=False)
    show: Callable[[str], None] | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, pairs: Sequence[str], currency: str | None = None, consent: str | None = None,
        languages: Sequence[str] | None = None,
    ) -> "SetupAnswers":  # fmt: skip
        """From the command line: `role=column` each; ConfigError for what is none, or no role of any table."""
        columns, not_consent = {}, list[str]()
        money: Literal["major", "minor"] | None = None
        for pair in pairs:
            role, equals, column = pair.partition("=")
            if role == "not_consent" and column:
                not_consent.append(column)
                continue
            if role == "money" and column in ("major", "minor"):
                money = "minor" if column == "minor" else "major"
                continue
            known = [table for table in ROLES if table in RAW_NAMES and role.rpartition(".")[2] in ROLES[table]]
            if not equals or not column or not known or role.rpartition(".")[0] not in ("", *known):
                roles = ", ".join(ROLES["events"])
                raise ConfigError(
                    "option_invalid",
                    gettext_lazy(
                        "--map {pair}: give role=column, the role one of {roles} or such as products.name",
                        pair=pair,
                        roles=roles,
                    ),
                )
            columns[role] = column
        if currency is not None and currency.upper() not in CURRENCY_DIGITS:
            raise ConfigError(
                "currency_unknown",
                gettext_lazy("--currency {currency}: no currency; give its code, such as EUR", currency=currency),
            )
        said = {"yes": True, "no": False, None: None}
        if consent not in said:
            raise ConfigError("option_invalid", gettext_lazy("--consent {consent}: say yes or no", consent=consent))
        spoken = ShopSettings.parse({"languages": languages}, "--language").languages if languages else ()
        return cls(
            columns, currency and currency.upper(), said[consent], spoken, not_consent=tuple(not_consent), money=money
        )

    def with_answer(self, key: str, said: str) -> "SetupAnswers":
        """Return these answers and that to the question with this key; ConfigError for what answers it not at all."""
        if key.startswith(COLUMN_KEY):
            return replace(self, columns={**self.columns, key.removeprefix(COLUMN_KEY): said})
        if key.startswith(CONSENT_COLUMN_KEY):
            name = key.removeprefix(CONSENT_COLUMN_KEY)
            if said in YES:
                return replace(self, consent_columns=(*self.consent_columns, name))
            return replace(self, not_consent=(*self.not_consent, name))
        if key == CURRENCY:
            code = currency_code(said)
            if code not in CURRENCY_DIGITS:
                raise ConfigError(
                    "currency_unknown", gettext_lazy("{said}: no currency; give its code, such as EUR", said=said)
                )
            return replace(self, currency=code)
        if key == MONEY_UNIT:
            return replace(self, money="minor" if said.lower() in YES else "major")
        if key == CONSENT:
            return replace(self, consent=said.lower() in YES)
        assert key == MESSAGE_COST
        try:
            cost = float(said.replace(",", ".") or 0)
        except ValueError:
            cost = -1.0
        if cost < 0 or not isfinite(cost):
            raise ConfigError("option_invalid", gettext_lazy("{said}: give a cost of at least 0", said=said))
        return replace(self, message_cost=cost)

    @property
    def language(self) -> str:
        """The language in which questions are asked: the reader's, else the shop's own; English while it is unknown."""
        return self.reader or (self.languages[0] if self.languages else "en")

    def answer_customer(self, question: str, columns: Sequence[str]) -> str:
        """The column that a person names for the customer; InputError where there is no terminal, or no such column."""
        said = self.ask(f"{question}\n{gettext('Column')}", "").strip() if self.ask else ""
        if said not in columns:
            how = gettext("Name it with --map customer_id=COLUMN, in Python with columns={'customer_id': COLUMN}")
            raise UnclearCustomerError(LazyMessage.untranslated(f"{question}. {how}"), question, columns)
        return said

    def of_table(self, table: str, columns: Sequence[str]) -> dict[str, str]:
        """The roles settled for a table: those that name it, and those without a table whose column it has."""
        found = {}
        for role, column in self.columns.items():
            of, _, bare = role.rpartition(".")
            if bare in ROLES[table] and (of == table or (not of and (table == "events" or column in columns))):
                found[bare] = column
        return found


class SetupReading(NamedTuple):
    """How files are read with some answers: the tables, the columns of the file of each, example orders, and what is
    still open. `fit` is what the shop's orders come to, `bulk` the most units of a row that are believed.
    """

    parts: list[GuessedTable]
    columns: Sequence[Sequence[str]]
    answers: SetupAnswers
    examples: SampleReading
    questions: list[SetupQuestion]
    unread: list[ConsentColumn]
    fit: BasketStatistics | None
    bulk: int | None

    @property
    def future_rows(self) -> int:
        """How many rows are dated after today."""
        return self.fit.future_rows if self.fit else self.examples.rejected.get(FUTURE, 0)


def init(
    files: dict[str, Path], config: Path, force: bool, more: Sequence[Path] = (), answers: SetupAnswers | None = None
) -> StepSummary:
    """Write `config` for the raw `files` (events, products, customers, promotions); what was found.

    `more` are further files of events; `open_logs` says what a path of events may hold. Nothing is written if a file
    cannot be understood or `config` is there already (unless `force`, which keeps what it includes).
    """
    if config.exists() and not force:
        raise ConfigError(
            "file_exists",
            gettext_lazy("{config}: already there; edit it, or write it anew with --force", config=config),
        )
    answers = answers or SetupAnswers()
    ask = Questioner(answers.ask) if answers.ask else None
    if ask:
        files = {name: ask.choose_sheet(name, path) for name, path in files.items()}
        more = [ask.choose_sheet("events", path) for path in more]
    reading = read_shop(files, more, replace(answers, ask=ask))
    return write_settings(reading, config)


def read_shop(files: dict[str, Path], more: Sequence[Path], answers: SetupAnswers) -> SetupReading:
    """Read the files with some answers; ask for more where `answers.ask` is a Questioner. Nothing is written."""
    ask = answers.ask if isinstance(answers.ask, Questioner) else None
    rules = CleanRules(now_ms=wall_ms())  # rows dated after today are set aside, as every run does
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        parts = guess_tables(store, files, more, answers)
        answers = replace(answers, languages=answers.languages or guess_shop_languages(parts))
        with use_locale(answers.language):
            examples = show_examples(parts, answers.show, rules)
            if ask and (settled := _ask_about(parts, answers, ask)) != answers:
                answers = settled
                parts = guess_tables(store, files, more, answers)
                examples = show_examples(parts, answers.show, rules)
            parts, answers, unread = settle_consent(
                store, parts, answers, lambda settled: guess_tables(store, files, more, settled)
            )
            for question in closing_questions(parts, answers, unread, ask.left) if ask else ():
                answers = ask.settle(question, answers) if ask else answers
        log = parts[0].log
        goods = next((part.mapping for part in parts if part.name == "products" and part.inside), None)
        fit = basket_statistics(log.table, parts[0].mapping, goods, rules) if log else None
        bulk = column_patterns.bulk_quantity_limit(log.table.sample(), parts[0].mapping) if log else None
        columns = [part.log.table.columns if part.log else () for part in parts]
        questions = [] if ask else list_questions(parts, answers, unread)
    return SetupReading(parts, columns, answers, examples, questions, unread, fit, bulk)


def list_questions(
    parts: Sequence[GuessedTable], answers: SetupAnswers, unread: Sequence[ConsentColumn]
) -> list[SetupQuestion]:
    """Return the questions that a terminal would ask: at most three, and those about columns that may hold consent."""
    found = [*islice(file_questions(parts), MOST_QUESTIONS - asks_consent(parts, answers))]
    closing = closing_questions(parts, answers, unread, MOST_QUESTIONS - len(found))
    return [*found, *map(consent_column_question, unread[:MOST_CONSENT_QUESTIONS]), *closing]


def write_settings(reading: SetupReading, config: Path) -> StepSummary:
    """Write promolift.toml as the files were read, whole or not at all; what was found."""
    parts, answers, unread, fit = reading.parts, reading.answers, reading.unread, reading.fit
    kept_files = list_includes(config)
    text = add_includes(kept_files, render_settings(parts, config, answers, fit, reading.bulk, unread))
    values = tomllib.loads(text)
    for name in kept_files:
        values = merge_settings(values, read_toml(config.with_name(name)))
    plays = sized_plays(fit.audiences if fit else (), Config.parse(values, str(config)))
    recent = fit.recent_cents if fit else 0
    share = budget_share(plays, recent)
    text = text.replace(f"\nbudget_share = {LEAST_BUDGET:<5g}", f"\nbudget_share = {share:<5g}")
    config.parent.mkdir(parents=True, exist_ok=True)
    draft = config.with_name(f".{config.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(config)
    figures: dict[str, object] = {"step": "init", "config": str(config), "plays": [play._asdict() for play in plays]}
    figures["tables"] = [part.to_json() for part in parts]
    figures["examples"] = list(reading.examples.orders)
    figures["future_rows"] = reading.future_rows
    with use_locale(answers.language):
        shown = [examples_text(reading.examples), late_rows_text(reading.future_rows)]
        guesses = guesses_text(parts, config, answers.consent, unread)
        plays_said = plays_text(plays, parts[0].mapping.currency, share, recent)
        return StepSummary("".join(f"{text}\n\n" for text in shown if text) + guesses + plays_said, figures)


def late_rows_text(rows: int) -> str:
    """Say how many rows are dated after today; "" where none are."""
    if not rows:
        return ""
    return ngettext(
        "{rows} row is dated after today. It is left out here, and of every run until its day.",
        "{rows} rows are dated after today. They are left out here, and of every run until their day.",
        rows,
        rows=f"{rows:,}",
    )


def _ask_about(parts: Sequence[GuessedTable], answers: SetupAnswers, ask: Questioner) -> SetupAnswers:
    """The answers with those of a person to what is not sure; one question is kept for consent if it will be asked."""
    keep, before = int(asks_consent(parts, answers)), answers
    for question in file_questions(parts):
        if ask.left <= keep:
            break
        answers = ask.settle(question, answers)
    if answers == before and not parts[0].assumed:
        return answers
    # The tables are guessed again, and nobody is asked twice.
    settled = {f"{part.name}.{role}": guess.column for part in parts for role, guess in part.roles.items()
               if guess.sure == 1 and part.name in RAW_NAMES and not part.inside}  # fmt: skip
    return replace(answers, columns={**before.columns, **settled, **answers.columns})


def guess_shop_language(events: Mapping) -> Language:
    """The language that the columns' names, or the currency, speak for."""
    home = guess_region([source for role in events.columns for source in events.sources(role)])
    return home.language if home else "zh" if events.currency in CHINESE_CURRENCIES else "en"


def guess_shop_languages(parts: Sequence[GuessedTable]) -> tuple[Language, ...]:
    """Return the shop's languages: its own, and Chinese where products have Chinese names. Then Chinese is the only one
    if nothing but English names of columns speaks for English. Names in Latin letters say nothing: brands have them.
    """
    own = guess_shop_language(parts[0].mapping)
    goods = [part.roles for part in parts if part.name in ("events", "products")]
    found = ([text for roles in goods if role in roles for text in roles[role].samples] for role in NAME_ROLES)
    named = next(filter(None, found), [])
    if own == "zh" or sum(bool(HAN.search(text)) for text in named) * 2 <= len(named):
        return (own,)
    return ("zh",) if "currency" in parts[0].assumed else ("en", "zh")


def guess_tables(
    store: Store, files: dict[str, Path], more: Sequence[Path] = (), answers: SetupAnswers | None = None
) -> list[GuessedTable]:
    """The mapping of each file; products, customers and coupons also from within the events, if they have no file."""
    answers = answers or SetupAnswers()
    logs = open_logs(store, [files["events"], *more])

    samples: dict[str, pl.DataFrame] = {}
    beside = {name: open_joined(store, files[name]) for name in RAW_NAMES[1:] if name in files}
    tables = {name: file.table for name, file in beside.items()}
    shared = shared_customer_columns(logs[0].table, tables.get("customers"))

    def guess(
        name: column_mapping.RawTable, table: RawTable, zone: str, currency: str | None, keys: Dict[str, str]
    ) -> MappingGuess:
        sample = table.sample()
        fixed = answers.of_table(name, sample.columns)
        if name in samples:  # a further log may lack a column that the first one has
            fixed = {role: column for role, column in fixed.items() if column in sample.columns}
        samples.setdefault(name, sample)
        if name in shared:
            keys = {**keys, "customer_id": shared[name]}
        found = guess_mapping_with_reasons(name, sample, zone, currency, (), keys, fixed, answers.money)
        known_language = answers.reader or answers.languages
        with use_locale(answers.language if known_language else guess_shop_language(found.mapping)):
            known = tables.get("customers") if name == "events" else None
            if question := "" if "customer_id" in fixed else customer_question(table, sample, found.mapping, known):
                fixed["customer_id"] = answers.answer_customer(question, sample.columns)
        if question:
            found = guess_mapping_with_reasons(name, sample, zone, currency, (), keys, fixed, answers.money)
        notes = (*table.notes, *found.mapping.notes)
        return found._replace(mapping=found.mapping.model_copy(update={"notes": notes}))

    found = {"events": guess("events", logs[0].table, "UTC", answers.currency, {})}
    unsure = any("constants.kind" in note for note in found["events"].mapping.notes)
    mappings = {"events": found["events"].mapping}
    if more or unsure:
        mappings["events"] = event_kind_from_name(logs[0].path, mappings["events"])
    for name in RAW_NAMES[1:]:
        if name not in files:
            continue
        events = mappings["events"]
        keys = {key: events.sources(key)[0] for _, key in EMBEDDED_TABLES if key in events.columns}
        found[name] = guess(name, tables[name], events.zone, events.currency, keys)
        mappings[name] = found[name].mapping
    if "products" in files:
        mappings |= match_product_ids(mappings["events"], mappings["products"], samples)
    events = mappings["events"]
    parts = [
        GuessedTable(
            "events", events, logs[0].path, logs[0], roles=found["events"].roles, assumed=found["events"].assumed
        )
    ]
    for log in logs[1:]:
        who = events.sources("customer_id")
        keys = {"customer_id": who[0]} if who and who != events.sources("session_id") else {}
        further = guess("events", log.table, events.zone, events.currency, keys)
        mapping = event_kind_from_name(log.path, further.mapping)
        parts.append(GuessedTable("more_events", mapping, log.path, log, roles=further.roles))
    parts += [
        GuessedTable(name, mappings[name], beside[name].path, beside[name], roles=found[name].roles)
        for name in RAW_NAMES[1:]
        if name in mappings
    ]
    taken = set[str]()  # what is said of products is not said of customers
    for name, key in EMBEDDED_TABLES:
        if name not in files and events.has(key):
            inside = guess_embedded_mapping(samples["events"], name, key, events, answers, taken)
            if inside is not None:
                parts.append(GuessedTable(name, inside.mapping, logs[0].path, logs[0], inside=True, roles=inside.roles))
                taken |= {source for role in inside.mapping.columns for source in inside.mapping.sources(role)}
    if "words" not in files:
        own = [GuessedTable("words", said.mapping, log.path, log, inside=True, roles=said.roles)
               for log in logs if (said := guess_text_mapping(log.table.sample(), events))]  # fmt: skip
        parts += own[:1]
    if "promotions" not in files and (sent := guess_coupon_mapping(samples["events"], events)):
        parts.append(GuessedTable("promotions", sent.mapping, logs[0].path, logs[0], inside=True, roles=sent.roles))
    return [
        replace(
            part,
            unread=_unread(part, parts),
            money=compare_joined_money(part.log, part.mapping) if part.log and part.is_log else (),
        )
        for part in parts
    ]


def _unread(part: GuessedTable, parts: Sequence[GuessedTable]) -> list[str]:
    if part.log is None or not part.is_log:
        return []
    of_file = [each.mapping for each in parts if each.path == part.path]
    used = {source for mapping in of_file for role in mapping.columns for source in mapping.sources(role)}
    return [name for name in part.log.table.columns if name not in {*used, part.mapping.basket}]


def guess_coupon_mapping(sample: pl.DataFrame, events: Mapping) -> MappingGuess | None:
    """What the events say of coupons that were sent and used, or None: then they name when each was received."""
    try:
        found = guess_mapping_with_reasons("promotions", sample, events.zone, events.currency, (), {}, {})
    except InputError:
        return None
    start = " ".join(found.mapping.sources("start"))
    sent = re.search(r"receiv|issue|sent|领|发放", start.lower()) and found.mapping.has("redeemed_at")
    return found if sent else None


def guess_text_mapping(sample: pl.DataFrame, events: Mapping) -> MappingGuess | None:
    """What a log says in customers' own words, or None: then no column of it holds any."""
    try:
        who = {role: events.sources(role)[0] for role in ("customer_id",) if events.sources(role)}
        return guess_mapping_with_reasons("words", sample, events.zone, events.currency, (), who, {})
    except (ConfigError, InputError):
        return None


def match_product_ids(events: Mapping, products: Mapping, samples: dict[str, pl.DataFrame]) -> dict[str, Mapping]:
    """Events and products, meeting in a column that both have; what keeps the catalogue from being of use is noted."""
    key, columns = products.sources("product_id")[0], samples["products"].columns
    taken = {source for role in events.columns if role != "product_id" for source in events.sources(role)}
    own = events.sources("product_id")
    if key not in own and not set(own) & set(columns) and key in set(samples["events"].columns) - taken:
        note = f"{key!r} is what both files have: it stands for the product" + (f", not {own[0]!r}" if own else "")
        columns_of = events.columns | {"product_id": key}
        events = events.model_copy(update={"columns": columns_of, "notes": (*events.notes, note)})
    said = []
    if not events.has("product_id"):
        said.append(
            "the events name no product, so the catalogue is of no use: give --events the file with one row per "
            "product bought, joined with who bought it and when"
        )
    if not set(products.columns) - {"product_id"}:
        rest = [name for name in columns if name != key]
        long = {"property", "attribute", "key", "feature"} & {name.lower() for name in rest}
        shape = "it has one row per property: write one row per product, with a column for each; " if long else ""
        said.append(f"{shape}nothing but ids is read, for {', '.join(rest[:8])} are no known names")
    return {"events": events, "products": products.model_copy(update={"notes": (*products.notes, *said)})}


def guess_embedded_mapping(
    sample: pl.DataFrame, name: Literal["products", "customers"], key: str, events: Mapping, answers: SetupAnswers,
    taken: set[str],
) -> MappingGuess | None:  # fmt: skip
    """What the events say of products or customers besides the key and what is `taken`, or None if they say nothing."""
    used = taken | {source for role in events.columns for source in events.sources(role)} - set(events.sources(key))
    used -= set(events.sources("unit_price"))  # the catalogue's price stands there, too
    if len(events.sources(key)) > 1:  # of baskets: what the rows themselves say is of what was looked at
        used |= {column for column in sample.columns if not events.of_basket(column)}
    fixed = {role: column for role, column in answers.of_table(name, sample.columns).items() if column not in used}
    try:
        found = guess_mapping_with_reasons(
            name, sample, events.zone, events.currency, used, {key: events.sources(key)[0]}, fixed, answers.money
        )
    except InputError:
        return None
    mapping = found.mapping
    mixed = not events.has("currency") and any(_is_mixed(sample, each) for each in sample.columns)
    recommended = RECOMMENDED.search("".join(mapping.sources("price")).lower())
    if mapping.has("price") and (mixed or recommended or events.has("list_unit_price")):
        # what was paid is not the catalogue's price, nor is a maker's price, nor one in several currencies
        mapping = _without(mapping, "price")
    if mapping.has("cost") and mapping.sources("cost") == events.sources("unit_price"):
        mapping = _without(mapping, "cost")
    if name == "products" and mapping.has("cost"):
        mapping = _costed(mapping, sample, events)
    return found._replace(mapping=mapping) if set(mapping.columns) - {key} else None


def _is_mixed(sample: pl.DataFrame, name: str) -> bool:
    """Whether a column names several currencies."""
    words = sample.get_column(name).drop_nulls().unique()
    return words.dtype == pl.String and 1 < len(words) < 20 and all(word in CURRENCY_DIGITS for word in words)


def _costed(products: Mapping, sample: pl.DataFrame, events: Mapping) -> Mapping:
    """A cost beside the events is of one piece, or of all pieces of a line: then it is divided by their number."""
    money = next((events.sources(role)[0] for role in ("amount", "unit_price") if events.has(role)), None)
    if money is None or not events.has("quantity"):
        return products
    named = (products.sources("cost")[0], events.sources("quantity")[0], money)
    if not is_line_cost(sample, *named, of_line=events.has("amount")):
        return products
    note = f"{named[0]!r} is what all pieces of a line cost: divided by {named[1]!r}"
    columns = products.columns | {"quantity": named[1]}
    return products.model_copy(update={"columns": columns, "notes": (*products.notes, note)})


def _without(mapping: Mapping, role: str) -> Mapping:
    return mapping.model_copy(update={"columns": {r: name for r, name in mapping.columns.items() if r != role}})


def render_settings(
    parts: Sequence[GuessedTable],
    config: Path,
    answers: SetupAnswers,
    fit: BasketStatistics | None = None,
    bulk: int | None = None,
    unread: Sequence[ConsentColumn] = (),
) -> str:
    """The text of promolift.toml. `fit` is what the shop's orders come to, for its menu; `bulk` the most units of a row
    that are believed, where it sells by the thousand; `unread` columns could hold consent.
    """
    events, consent = parts[0].mapping, answers.consent
    why = "customers of whom no yes is known are not written to"
    if consent:
        why = "whoever ran init answers for it: customers of whom no answer is known may be written to"
    elif unread and not has_consent(parts):
        names = ", ".join(repr(column.column) for column in unread[:MOST_CONSENT_QUESTIONS])
        why = f"NOBODY IS WRITTEN TO YET: {names} may say who agreed and is not read"
    elif consent is None and not has_consent(parts):
        why = "NO CONSENT COLUMN: nobody is written to. If all agreed, say true; you answer for it"
    languages = answers.languages or guess_shop_languages(parts)
    facts = ShopFacts(languages, events.currency, events.zone)
    shelf = fit.shelf_share if fit else 0.0
    head = settings_head(facts, consent, why, answers.not_consent, answers.message_cost, shelf)
    categories = any(part.name == "products" and part.mapping.has("category") for part in parts)
    menu = menu_toml(fit, events.currency, usual_margin(shelf), categories, answers.stores, languages) if fit else ""
    said = next((part.mapping for part in parts if part.name == "words"), None)
    ask = WORDS if said and not said.has("consent") else ""
    if bulk:
        head += (
            f"\n[data.rules]\nmax_quantity = {bulk}    # units of a row that are believed: thousands are usual here\n"
        )
    return head + "".join(table_section(part, config.resolve().parent) for part in parts) + ask + menu
