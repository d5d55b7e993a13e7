"""Law: the number of persons is right, or a person is asked; no name becomes the customer without a question."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import duckdb
import pandas as pd
import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.foundation.files.table_files import open_file
from promolift.shop.configuration.configuration import load_config
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.sql_casts import GUEST_PATTERN, is_guest
from promolift.shop.ingest.schema_matching.customer_identity import IdentityEvidence, person_kind
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.shop import Shop

MOST_SEEDS = 60  # of shops and files that the slow tests draw

# Headers by language: time, product, what was paid; names, e-mail addresses, phone numbers, ids of customers.
HEADERS = {
    "en": (("Date", "SKU", "Total"), ("Customer", "Client", "Buyer", "Name", "Customer name"),
           ("E-mail", "email", "Contact"), ("phone", "Mobile no."), ("customer_id", "Member No", "user_id")),
    "zh": (("下单时间", "商品编号", "实付金额"), ("客户", "客户姓名", "买家昵称", "会员", "姓名"), ("邮箱", "电子邮件"),
           ("手机号", "联系电话"), ("客户编号", "会员卡号")),
    "de": (("Datum", "Artikelnummer", "Betrag"), ("Kunde", "Käufer", "Kundenname"), ("E-Mail", "Kunden-Mail"),
           ("Telefon", "Handynummer"), ("Kundennummer", "Kunden-ID")),
    "es": (("Fecha", "Código producto", "Importe"), ("Cliente", "Comprador", "Nombre cliente"), ("Correo", "E-mail"),
           ("Teléfono", "Móvil"), ("ID cliente", "Código cliente")),
}  # fmt: skip
FIRST = {"zh": "伟 娜 强 敏 静 丽 军 洋", "de": "Anna Jürgen Bernd Käthe Ulf Ida Max Eva",
         "es": "Ana José María Luis Inés Raúl Eva Hugo", "en": "Ann Bob Cy Dee Eve Flo Gus Hal"}  # fmt: skip
LAST = {"zh": "王 李 张 刘", "de": "Müller Groß Weiß Lang", "es": "García López Ruiz Peña", "en": "Smith Lee Fox Poe"}
GUESTS = ("guest", "0", "-1", "N/A", "anonymous", "游客", "Gast", "(Guest)", "")


class Person(NamedTuple):
    name: str
    email: str
    phone: str
    id: str


class Drawn(NamedTuple):
    """A file of orders, how many persons bought who are no guests, and whether families share an address, and some
    addresses are written in capitals.
    """

    rows: pl.DataFrame
    persons: int
    has: tuple[str, ...]
    families: bool
    capitals: bool


def drawn_shop(seed: int) -> Drawn:
    """Orders of a shop in one of four languages, with shared names, families who share an address, and guests."""
    draw = Random(seed)
    language = list(HEADERS)[seed % 4]
    basic, *own = HEADERS[language]
    headers = dict(zip(Person._fields, map(draw.choice, own), strict=True))
    has = ("name", *(field for field in ("email", "phone", "id") if draw.random() < 0.5))
    families, space = draw.random() < 0.4, "" if language == "zh" else " "
    pairs = [(first, last) for last in LAST[language].split() for first in FIRST[language].split()]
    names = [space.join(pair[::-1] if language == "zh" else pair) for pair in pairs]
    capitals = draw.random() < 0.3
    base, sign = draw.choice([1, 700_000]), draw.choice(["", "K"])
    people = [
        Person(draw.choice(names), f"p{n}@x{n % 3}.org", f"+49 170 55{n:05d}", f"{sign}{base + n}") for n in range(40)
    ]
    if families:
        for n in range(0, 12, 2):
            other = draw.choice([name for name in names if name != people[n].name])
            people[n + 1] = Person(other, people[n].email, people[n].phone, people[n + 1].id)
    orders = [*range(40), *(draw.randrange(40) for _ in range(80))]
    draw.shuffle(orders)
    rows = []
    for number, who in enumerate(orders):
        person = people[who]
        if capitals and draw.random() < 0.2:
            person = person._replace(email=person.email.upper())
        cells = {headers[field]: getattr(person, field) for field in has}
        if draw.random() < 0.15:
            cells = dict.fromkeys(cells, draw.choice(GUESTS))
        known = any(not is_guest(cell) and cell not in ("", "N/A") for cell in cells.values())
        when = f"2025-0{1 + number % 6}-{1 + number % 28:02d} 10:{number % 60:02d}:00"
        what = {basic[1]: f"A{number % 9}", basic[2]: f"{number % 7 + 3}.50"}
        rows.append({basic[0]: when, **cells, **what, "_who": who if known else None})
    frame = pl.DataFrame(rows)
    return Drawn(frame.drop("_who"), frame["_who"].drop_nulls().n_unique(), has, families, capitals)


def persons(config: Path) -> int:
    """How many customers the file holds as its settings read it."""
    events = load_config(config).data.events
    raw = open_file(duckdb.connect(), config.parent / events.path, config.parent / "tmp").rows
    clean = clean_events(raw, events.mapping, CleanRules())
    return int(clean.accepted().aggregate("count(distinct customer_id)").fetchall()[0][0])


def check(seed: int, folder: Path) -> str:
    """What came of a drawn shop, "asked" or "right": no persons merged, none split, and none asked in vain."""
    shop = drawn_shop(seed)
    folder.mkdir()
    shop.rows.write_csv(folder / "e.csv")
    spelt = shop.capitals and "email" in shop.has
    must_ask = "id" not in shop.has and (shop.families or spelt or len(shop.has) == 1)
    if must_ask:
        with raises_code("customer_unclear"):
            init({"events": folder / "e.csv"}, folder / "p.toml", False)
        assert not (folder / "p.toml").exists()
        return "asked"
    init({"events": folder / "e.csv"}, folder / "p.toml", False)
    assert persons(folder / "p.toml") == shop.persons, (seed, shop.has, load_config(folder / "p.toml").data.events)
    return "right"


def test_the_number_of_persons_is_right_or_a_person_is_asked(tmp_path: Path) -> None:
    assert {check(seed, tmp_path / str(seed)) for seed in range(5)} == {"asked", "right"}


@pytest.mark.slow
def test_the_number_of_persons_is_right_or_a_person_is_asked_in_many_shops(tmp_path: Path) -> None:
    assert {check(seed, tmp_path / str(seed)) for seed in range(5, MOST_SEEDS)} == {"asked", "right"}


def orders(who: Sequence[Sequence[str]], *headers: str) -> pl.DataFrame:
    """A row for each customer's cells, under these headers, with when, what and how much."""
    cells = {header: [each[place] for each in who] for place, header in enumerate(headers)}
    days = [f"2025-01-{1 + n % 28:02d}" for n in range(len(who))]
    return pl.DataFrame({"Date": days, **cells, "SKU": [f"A{n % 5}" for n in range(len(who))], "Total": 9.5})


# Headers of ids that several persons may share, and of what persons are called, in several languages.
GROUPS = ("household_id", "family_id", "account_id", "company_id", "group_id", "customer_id", "E-mail", "Phone",
          "家庭编号", "账户", "Haushalt-ID", "id_familia")  # fmt: skip
NAMED = (("Customer name",), ("first_name", "last_name"), ("Vorname", "Nachname"), ("Contact name",), ("Guest name",),
         ("Besteller",), ("联系人",), ("Nombre", "Apellidos"), ("Name",), ("Фамилия Имя",))  # fmt: skip


def spelling(name: str, draw: Random) -> str:
    """A name as the same person may write it."""
    first, last = name.split()
    return draw.choice([f"{last}, {first}", name.upper(), f"{first[0]}. {last}", f"{first} {last[0]}{last[2:]}",
                        f"Dr {name}", name])  # fmt: skip


def check_group(seed: int, folder: Path) -> str:
    """Whether a drawn file, whose ids are of one person each or here and there of several, was asked about: it must be
    where two persons share an id, however few do, and must not where one person is written in several ways.
    """
    draw = Random(seed)
    header, named, shared = draw.choice(GROUPS), draw.choice(NAMED), draw.choice([0.0, 0.0, 0.03, 0.2, 1.0])
    first = ["Anna", "Bernd", "Carla", "Dirk", "Emma", "Frank", "Gabi", "Hanna"]
    last = ["Walter", "Schmidt", "Weber", "Kocher"]
    persons = [(n, f"{draw.choice(first)} {draw.choice(last)}") for n in range(60)]
    several = round(60 * shared)
    for n in range(several):
        other = draw.choice([each for each in first if each != persons[n][1].split()[0]])
        persons.append((n, f"{other} {persons[n][1].split()[1]}"))
    rows = [*persons, *draw.choices(persons, k=100)]
    forms = {"E-mail": "p{}@x.org", "Phone": "0711 55{:05d}"}
    who = []
    for n, name in rows:
        said = spelling(name, draw) if len(named) == 1 else name
        who.append([forms.get(header, "7{:03d}").format(n), *(said.split() if len(named) > 1 else [said])])
    folder.mkdir()
    orders(who, header, *named).write_csv(folder / "e.csv")
    if several:
        with raises_code("customer_unclear"):
            init({"events": folder / "e.csv"}, folder / "p.toml", False)
        return "asked"
    init({"events": folder / "e.csv"}, folder / "p.toml", False)
    assert load_config(folder / "p.toml").data.events.mapping.columns["customer_id"] == header, (seed, named)
    return "taken"


def test_an_id_that_persons_share_is_a_question_and_spellings_of_one_name_are_none(tmp_path: Path) -> None:
    assert {check_group(seed, tmp_path / str(seed)) for seed in range(8)} == {"asked", "taken"}


@pytest.mark.slow
def test_an_id_that_persons_share_is_a_question_in_many_files(tmp_path: Path) -> None:
    assert {check_group(seed, tmp_path / str(seed)) for seed in range(8, MOST_SEEDS)} == {"asked", "taken"}


@pytest.mark.parametrize(
    ("group", "finer"), [("household_id", "card_no"), ("account_id", "card_no"), ("家庭", "会员卡号")]
)
def test_without_names_a_household_is_a_question_where_a_finer_id_is_there(
    group: str, finer: str, tmp_path: Path
) -> None:
    orders([(f"h{n % 30}", f"c{n % 60}") for n in range(120)], group, finer).write_csv(tmp_path / "e.csv")
    if finer.startswith("card"):  # a word that is a card's or a person's
        with raises_code("customer_unclear", f"'{group}'"):
            init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False)
        return
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False)
    assert load_config(tmp_path / "p.toml").data.events.mapping.columns["customer_id"] == finer


@pytest.mark.parametrize("header", ["user", "账号", "login", "customer_id"])
def test_short_names_are_no_ids_unless_addresses_say_so(header: str, tmp_path: Path) -> None:
    """Eight given names of sixty persons; then user names of letters, each with an address of its own."""
    files, names = {"events": tmp_path / "e.csv"}, ["anna", "bob", "carl", "eva", "frank", "gabi", "hugo", "ida"]
    orders([[names[n % 8]] for n in range(120)], header).write_csv(files["events"])
    with raises_code("customer_unclear", f"'{header}'"):
        init(files, tmp_path / "p.toml", False)
    logins = [f"{names[n % 8]}{'abcdefgh'[n // 8]}" for n in range(60)]
    orders([(logins[n % 60], f"m{n % 60}@x.org") for n in range(120)], header, "E-mail").write_csv(files["events"])
    init(files, tmp_path / "p.toml", False)
    assert persons(tmp_path / "p.toml") == 60
    orders([[logins[n % 60]] for n in range(120)], header).write_csv(files["events"])
    known = pl.DataFrame({header: logins, "E-mail": [f"m{n}@x.org" for n in range(60)]})
    known.write_csv(tmp_path / "c.csv")
    init(files | {"customers": tmp_path / "c.csv"}, tmp_path / "q.toml", False)
    assert load_config(tmp_path / "q.toml").data.events.mapping.columns["customer_id"] == header
    known.with_columns(pl.col("E-mail").replace("m7@x.org", "m8@x.org"), pl.lit("x").alias("z")).vstack(
        known.head(5).with_columns(pl.lit("other@x.org").alias("E-mail"), pl.lit("x").alias("z"))
    ).write_csv(tmp_path / "c.csv")
    with raises_code("customer_unclear"):
        init(files | {"customers": tmp_path / "c.csv"}, tmp_path / "q.toml", True)


SHARED = [(f"Ann {'ABCDEF'[n % 6]}lpha", f"p{n % 48}@x.org") for n in range(96)]


@pytest.mark.parametrize("header", ["Customer", "Buyer", "客户"])
def test_an_address_goes_before_a_name(header: str, tmp_path: Path) -> None:
    orders(SHARED, header, "E-mail").write_csv(tmp_path / "e.csv")
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False)
    assert load_config(tmp_path / "p.toml").data.events.mapping.columns["customer_id"] == "E-mail"
    assert persons(tmp_path / "p.toml") == 48


def test_a_name_alone_is_refused_until_it_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders(SHARED, "Client").write_csv(tmp_path / "e.csv")
    arguments = ["init", "--events", str(tmp_path / "e.csv"), "--config", str(tmp_path / "p.toml")]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "[customer_unclear]" in capsys.readouterr().err
    assert not (tmp_path / "p.toml").exists()
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--map", "customer_id=Client"])
    assert not stop.value.code


def test_a_terminal_asks_first_and_takes_no_empty_answer(tmp_path: Path) -> None:
    orders(SHARED, "Customer").write_csv(tmp_path / "e.csv")
    asked: list[str] = []

    def answer(question: str, default: str) -> str:
        asked.append(question)
        return "Customer" if len(asked) == 2 else default

    with raises_code("customer_unclear", "'Customer'"):
        init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False, answers=SetupAnswers(ask=answer))
    init({"events": tmp_path / "e.csv"}, tmp_path / "p.toml", False, answers=SetupAnswers(ask=answer))
    assert "'Customer'" in asked[1]
    assert load_config(tmp_path / "p.toml").data.events.mapping.columns["customer_id"] == "Customer"


@pytest.mark.parametrize("make", [pl.DataFrame, lambda frame: pd.DataFrame(frame.to_dict(as_series=False))])
def test_frames_are_asked_about_too_and_answered_in_python(make: Any, tmp_path: Path) -> None:
    frame = make(orders(SHARED, "Client"))
    with raises_code("customer_unclear", "'Client'"):
        Shop(frame, work=tmp_path / "w")
    with Shop(frame, columns={"customer_id": "Client"}, work=tmp_path / "w") as shop:
        assert shop.config.data.events.mapping.columns["customer_id"] == "Client"


def test_the_key_that_both_files_share_is_taken(tmp_path: Path) -> None:
    who = [(f"{n % 45 + 1}", f"p{n % 45}@x.org") for n in range(90)]
    orders(who, "customer_id", "email").write_csv(
        tmp_path / "e.csv"
    )  # the till's numbers, unknown to the members' file
    known = pl.DataFrame({"Member": [f"M-{n}" for n in range(45)], "E-mail": [f"p{n}@x.org" for n in range(45)],
                          "Age": [30 + n for n in range(45)]})  # fmt: skip
    known.write_csv(tmp_path / "c.csv")
    init({"events": tmp_path / "e.csv", "customers": tmp_path / "c.csv"}, tmp_path / "p.toml", False)
    data = load_config(tmp_path / "p.toml").data
    assert data.events.mapping.columns["customer_id"] == "email"
    assert data.customers is not None
    assert data.customers.mapping.columns["customer_id"] == "E-mail"


@pytest.mark.parametrize(
    ("who", "headers"),
    [
        ([(f"{n % 20 + 1}", f"p{n % 60}@x.org") for n in range(120)], ("customer_id", "email")),  # a household's
        ([(f"{n + 1}", f"p{n % 30}@x.org") for n in range(120)], ("customer_id", "email")),  # an order's
        ([(f"Ann {'ABCDEF'[n % 6]}lpha", f"p{n % 60}@x.org") for n in range(120)], ("customer_id",)),  # names
        ([("till@shop.de", f"Ann {'ABCDEF'[n % 6]}lpha") for n in range(60)] + SHARED, ("E-mail", "Customer")),
        ([(f"p{n % 40}@x.org", f"0170 1234{n % 60:03d}") for n in range(120)], ("E-mail", "Phone")),
    ],
)
def test_columns_that_contradict_each_other_are_in_doubt(who: Sequence[Sequence[str]], headers: Sequence[str]) -> None:
    frame = orders(who, *headers)
    evidence = IdentityEvidence(duckdb.connect().sql("select * from frame"), frame, ("Date", "SKU", "Total"))
    assert headers[0] in evidence.doubt(headers[0])


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        *[("Customer", ["Anna Müller", "Groß, Jan"], "name"), ("Customer", ["C1", "C2"], "id")],
        *[("user", ["anna", "bob"], "login"), ("user", ["Anna Lee", "Bob Fox"], "name")],
        *[("账号", ["anna", "bob", "eva7"], "login"), ("CustomerID", [f"BX{c}QR" for c in "ABCDEFGHIK"], "id")],
        *[("客户", ["王伟", "欧阳娜娜"], "name"), ("客户编号", ["王伟", "李娜"], "name")],
        *[("Customer", ["guest", "7"], "id"), ("Telefon", ["0170 123456"], "phone")],
        *[("Kunde", ["a@x.de", "gast"], "email"), ("Customer", ["Alex Doe 12", "Kim Roe 7"], "name")],
        *[("Buyer", ["6f1e0c3a-8d3b-4c4e-9a53-1f2e3d4c5b6a"], "id")],
    ],
)  # fmt: skip
def test_what_a_column_holds_is_told_by_its_values(name: str, values: list[str], kind: str) -> None:
    assert person_kind(name, values) == kind


@pytest.mark.parametrize("text", [*filter(None, GUESTS), "Walk-in customer", "00000000-0000-0000-0000-000000000000",
                                  "Público general", "散客", "0.0", "?", "guest@shop.de", "10", "100", "a-1", "guest12",
                                  "gustav", "Nadia", "1-0", "-10", "no registrado", "Não identificado", "フリー客",
                                  "门店散客", "nicht registriert", "Sans compte", "niet-geregistreerd", "без карты",
                                  "비로그인", "khách lẻ", "CPD", "ضيف"])  # fmt: skip
def test_a_guest_is_the_same_in_python_and_sql(text: str) -> None:
    found = duckdb.connect().execute("select regexp_full_match(lower(?), ?)", [text, GUEST_PATTERN]).fetchall()[0][0]
    known = not any(text == each for each in ("10", "100", "a-1", "guest12", "gustav", "Nadia", "1-0", "-10", "N/A"))
    assert is_guest(text) is found is known


@pytest.mark.parametrize("seed", range(6))
def test_a_placeholder_that_no_list_holds_is_a_question_and_a_busy_customer_is_none(seed: int) -> None:
    """Over drawn words, ids and shares: a word with far more rows than any id, and an address of many orders."""
    draw = Random(seed)
    written = draw.choice(["K{:05d}", "{:06d}", "c{}@x.org"])
    ids = [written.format(n) for n in range(draw.randrange(60, 200))]
    word = "kassa@winkel.example" if "@" in ids[0] else draw.choice(["Tresen", "ohne Angabe", "xx", "ลูกค้า", "店頭"])
    rows = [*ids * 3, *[word] * draw.randrange(len(ids), 3 * len(ids))]
    draw.shuffle(rows)
    frame = pl.DataFrame({"Kunde": rows, "SKU": [f"s{n % 7}" for n in range(len(rows))]})
    evidence = IdentityEvidence(duckdb.connect().sql("select * from frame"), frame, ("SKU",))
    assert repr(word) in evidence.doubt("Kunde")
    busy = frame.with_columns(pl.when(pl.col("Kunde") == word).then(pl.lit(ids[0])).otherwise("Kunde").alias("Kunde"))
    if "@" not in word:
        assert IdentityEvidence(duckdb.connect().sql("select * from busy"), busy, ("SKU",)).doubt("Kunde") == ""
