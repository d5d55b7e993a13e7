"""Judge by evidence which column tells customers apart, and say when a person has to decide.

An id goes before an e-mail address, that before a phone number, that before a user name of letters alone; a name is
never taken without a question. The evidence is counted over the whole file: a column is in doubt where another one of
the customer's own contradicts it, as several names of one household do.
"""

import re
from collections.abc import Collection, Sequence
from collections.abc import Mapping as Dict
from itertools import combinations
from typing import Literal, NamedTuple

import polars as pl

from promolift.foundation.files.column_names import (
    COLUMN_SYNONYMS,
    FIRST_NAME_COLUMNS,
    LAST_NAME_COLUMNS,
    normalise_column_name,
)
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.schema_matching.column_patterns import are_codes, are_email_addresses, is_constant_per_key

PersonKind = Literal["id", "email", "phone", "login", "name"]
KINDS: tuple[PersonKind, ...] = ("id", "email", "phone", "login", "name")  # the better one first
DESCRIPTIONS: Dict[PersonKind, str] = {
    **{"id": gettext_noop("an id"), "email": gettext_noop("an e-mail address"), "login": gettext_noop("a user name")},
    **{"phone": gettext_noop("a phone number"), "name": gettext_noop("a name")},
}
# Headers that say number, code, card, account or login, so that a word in the column may be an id.
ID_HEADER = re.compile(
    r"id$|^id|(?<!no)no$|nr$|num|nbr|cod(e|igo)?|kod|key|card|karte?|tarjeta|carte|карт|acc(oun)?t|login|user|guid|hash"
    r"|ref|rut|dni|nif|cpf|cnpj|cif|household|^hh|visitor|cookie|device|session|编号|編號|编码|号|帳|账|卡|用户|番号|コード"
    r"|번호|코드|numero|número|usuario|konto"
)
PHONE_HEADER = re.compile(
    r"phone|mobile|msisdn|whatsapp|handy|^tel|telefon|teléfono|móvil|movil|celular|cellulare|手机|手機|电话|電話|телефон|전화|휴대"
)
PHONE = re.compile(r"\+?[\d\s()./-]{6,24}")
# Columns of others than the customer: staff, the seller, the recipient of a parcel.
NOT_THE_CUSTOMER = re.compile(
    r"seller|staff|agent|vendor|merchant|store|shop|cashier|clerk|manager|support|sales|supplier|driver|courier|ship"
    r"|deliver|recipient|billing|verkäufer|mitarbeiter|kassier|berater|filiale|liefer|rechnung|vendedor|cajero|tienda"
    r"|empleado|envío|envio|entrega|proveedor|卖家|店|客服|员工|收银|导购|销售|供应|收货|收件|配送|发票"
)
NAME_HEADERS = frozenset((*COLUMN_SYNONYMS["customers.name"], *FIRST_NAME_COLUMNS, *LAST_NAME_COLUMNS))
# Further headers of persons' names, as `normalise_column_name` writes them.
PERSON_HEADER = re.compile(
    r"(customer|client|buyer|shopper|guest|member|user|person|contact|holder|account|student|patient|passenger|payer"
    r"|order(er|edby)|subscriber|participant|owner|attendee|visitor|consumer|first|last|given|family|sur|fore|full"
    r"|middle|billto|kunden|kaufer|besteller|vor|nach|klant|voor|achter)(full|first|last)?na(me|am)|cardholder"
    r"|contactperson|besteller|ansprechpartner|inhaber|^nombres?$|nombre(y|cliente|completo)|apellido|titular|prenom"
    r"|^nom$|nom(client|complet|defamille)|^nome$|nome(cliente|completo)|cognome|sobrenome|nazwisko|^imi[eę]|jmeno"
    r"|prijmeni|(for|efter|etter)na(vn|mn)|etunimi|sukunimi|^имя|фамилия|фио|姓|联系人|聯絡人|名字|称呼|氏名|名前|이름|성명"
    r"|soyad|^isim$|hoten|^nama|ชอลกคา|^ชอ$|اسم"
)
AMBIGUOUS_NAMES = ("name", "名称", "nombre", "nom", "nome", "nama")  # also what products and orders are called
# Headers of several persons, and of what one person has several of.
GROUP_HEADER = re.compile(
    r"household|^hh(id|key|no)?$|famil|compan|organi[sz]ation|^org|employer|tenant|business|group|account|haushalt|firma"
    r"|gruppe|hogar|empresa|grupo|foyer|groupe|entreprise|societe|azienda|famiglia|家庭|户号|公司|企业|單位|单位|集团|世帯|会社"
    r"|가구|가족|семь|компани|организац"
)
DEVICE_HEADER = re.compile(r"visitor|device|cookie|session|guid|anonymous|distinct|pseudo|openid|unionid")
_LETTERS = r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3·]{1,5}(先生|女士|小姐|様|님)?"  # names of few letters
FULL_NAME = re.compile(rf"[^\W\d_][^\d@]*[\s,][^\d@]*[^\W\d_]\.?|{_LETTERS}")
WORD = re.compile(rf"[^\d_@]*[^\W\d_]{{3}}[^\d@]*|{_LETTERS}")
MAX_SHARED_IDS = 0.2  # of ids that stand beside several addresses: a household's id does, and a company's
MAX_SHARED_NAMES = 0.01  # of ids that stand beside several names: a person marries, or orders for another, seldom
MIN_CONFIRMED = 0.9  # of user names that stand beside an address, so that these say whether each is one person
MAX_IDS_EACH = 0.3  # of addresses that stand beside several ids: an id for every order does
MIN_SHARED_CUSTOMERS = 0.5  # of a log's customers that a file of customers has, by the key of both
MIN_PLACEHOLDER_SHARE, TIMES_THE_MEAN = 0.03, 15  # of a log's rows that one value has, and of the mean of all
MIN_NUMBERED = 0.9  # of ids that hold a digit: then one without is odd
MAX_PAIRS = 2000  # customers of several names that are looked at


def person_kind(name: str, values: Sequence[str]) -> PersonKind:
    """Return what a column of customers holds, by the format of its values, then by its header."""
    known = [value for value in values if not sql_casts.is_guest(value)]
    if known and are_email_addresses(known):
        return "email"
    header = normalise_column_name(name)
    if PHONE_HEADER.search(header) and _share(PHONE, known) > 0.8:
        return "phone"
    words = FULL_NAME if ID_HEADER.search(header) else WORD
    bare = [re.sub(r"\d+", "", value).strip() for value in known]  # 'Alex Doe 12'
    called = header in NAME_HEADERS and not ID_HEADER.search(header)
    numbered = not are_codes(known) and (called or _share(FULL_NAME, bare) > 0.5)
    if numbered or _share(words, known) > 0.5:
        return "name"
    return "login" if _share(WORD, known) > 0.5 and not _are_letter_codes(known) else "id"


def _are_letter_codes(values: Sequence[str]) -> bool:
    """Whether words are codes, all of one length: long ones, or capitals such as 'ALFKI'."""
    lengths = {len(value) for value in values}
    capitals = len({*values}) >= 10 and all(value.isascii() and value.isupper() for value in values)
    return len(lengths) == 1 and (max(lengths) >= 12 or capitals)


def _share(pattern: re.Pattern[str], values: Sequence[str]) -> float:
    return sum(bool(pattern.fullmatch(value)) for value in values) / max(len(values), 1)


def is_address(name: str, values: Sequence[str]) -> bool:
    """Whether a column of any header holds the customer's own e-mail addresses or phone numbers."""
    return (
        not NOT_THE_CUSTOMER.search(name.lower()) and bool(values) and person_kind(name, values) in ("email", "phone")
    )


class _Beside(NamedTuple):
    """What stands beside the ids in another column: how many of either, how many ids of several, how many of several
    ids."""

    ids: int
    others: int
    shared: int
    repeated: int


class IdentityEvidence:
    """The columns of a table that say who the customer is, and what they say of each other in all its rows."""

    def __init__(
        self, rows: sql_casts.Relation, sample: pl.DataFrame, taken: Collection[str], product: str = ""
    ) -> None:
        """`sample` is of the `rows`; columns that are `taken` for a product, an order or money say nothing of them."""
        self.rows, self.sample, self.product = rows, sample, product
        self.types = dict(zip(rows.columns, map(sql_casts.type_family, rows.types), strict=True))
        self.kinds: dict[str, PersonKind] = {}
        for name in sample.columns:
            if name not in taken and name in self.types and not sample.schema[name].is_nested():
                values = self._values(name)
                header = normalise_column_name(name)
                named = header in NAME_HEADERS or header in COLUMN_SYNONYMS["customer_id"] or is_address(name, values)
                kind = person_kind(name, values)
                person = kind == "name" and PERSON_HEADER.search(header)
                if values and not NOT_THE_CUSTOMER.search(name.lower()) and (named or person):
                    self.kinds[name] = kind

    def _values(self, name: str) -> list[str]:
        cells = self.sample[name].cast(pl.String, strict=False).drop_nulls().str.strip_chars()
        return [value for value in cells if value.lower() not in sql_casts.NULL_TEXTS]

    def kind(self, name: str) -> PersonKind:
        """Return what a column holds if it is taken for the customer's, whatever it is called."""
        return self.kinds.setdefault(name, person_kind(name, self._values(name)))

    def doubt(self, name: str, confirmed: bool = False) -> str:
        """Why a column may not tell customers apart, "" where nothing speaks against it; `confirmed`: another file says
        that each of its user names is one person.
        """
        kind = self.kind(name)
        if kind == "name":
            return gettext("{name} holds names, and persons share a name", name=f"{name!r}")
        if kind == "login" and not confirmed and not self.confirms(name):
            return gettext(
                "{name} holds words such as given names, and no address says that each is one person", name=f"{name!r}"
            )
        if kind in ("email", "phone") and (several := self._distinct(name) - self._distinct(name, kind)):
            return gettext(
                "{several} values of {name} are another spelling of one that is there, such as capitals",
                several=f"{several:,}",
                name=f"{name!r}",
            )
        if busiest := self._placeholder(name, kind):
            return gettext(
                "{busiest} has far more rows of {name} than any customer and may stand for customers "
                "whom the shop does not know: empty those cells if so",
                busiest=f"{busiest!r}",
                name=f"{name!r}",
            )
        header = normalise_column_name(name)
        group, numbered = bool(GROUP_HEADER.search(header)), kind in ("id", "login")
        last_names = [each for each in self.kinds if normalise_column_name(each) in LAST_NAME_COLUMNS]
        first = any(of == "name" and each not in last_names for each, of in self.kinds.items())
        for other, of in self.kinds.items():
            finer = of != "id" or (group and not DEVICE_HEADER.search(normalise_column_name(other)))
            if other == name or not finer or (first and other in last_names):
                continue  # a person who marries has another last name
            if not numbered and of != "name" and "name" in self.kinds.values():
                continue  # one person may have two phones: the names decide
            found = self._beside(name, other, of)
            # One person may be written in several ways, and have a new address, but seldom.
            most = MAX_SHARED_NAMES if of == "name" else MAX_SHARED_IDS if ID_HEADER.search(header) else 0
            if found.shared > (most * found.ids if numbered and not group else 0):
                return _many(found.shared, found.ids, name, other)
            if numbered and of == "email" and found.repeated > MAX_IDS_EACH * found.others:
                return _many(found.repeated, found.others, other, name)
        return ""

    def _placeholder(self, name: str, kind: PersonKind) -> str:
        """A value that may stand for unknown customers, "" where there is none: far more rows than others have, and no
        digit where ids have some.
        """
        each = self.rows.project(f"{self._cell(name)} as i").filter("i is not null").aggregate("i, count(*) as n", "i")
        most = each.aggregate("arg_max(i, n), max(n), sum(n), count(*), avg(regexp_matches(i, '\\d')::int)")
        busiest, rows, whole, ids, numbered = most.fetchall()[0]
        if not ids or rows < MIN_PLACEHOLDER_SHARE * whole or rows * ids < TIMES_THE_MEAN * whole:
            return ""
        odd = kind == "email" or (numbered > MIN_NUMBERED and not any(map(str.isdigit, busiest)))
        return str(busiest) if odd else ""

    def confirms(self, name: str) -> bool:
        """Whether addresses say that each value of a column is one person's."""
        for other, of in self.kinds.items():
            if of in ("email", "phone"):
                found = self._beside(name, other, of)
                if found.shared == 0 and found.ids >= MIN_CONFIRMED * self._distinct(name):
                    return True
        return False

    def shared_key(self, other: "IdentityEvidence") -> Dict[str, str]:
        """Return this table's column and the other's by which most customers of this one are found there, or nothing:
        an id before an e-mail address, that before a phone number.
        """
        for kind in KINDS[:-1]:
            pairs = [(own, its) for own, of in self.kinds.items() for its, its_of in other.kinds.items()
                     if of == its_of == kind]  # fmt: skip
            shares = {pair: self._share_found(*pair, other) for pair in pairs}
            if shares and max(shares.values()) >= MIN_SHARED_CUSTOMERS:
                own, its = max(shares, key=lambda pair: shares[pair])
                return {"own": own, "other": its}
        return {}

    def _share_found(self, own: str, its: str, other: "IdentityEvidence") -> float:
        mine = self.rows.project(f"{self._cell(own)} as i").filter("i is not null").distinct().set_alias("mine")
        theirs = other.rows.project(f"{other._cell(its)} as j").filter("j is not null").distinct().set_alias("theirs")
        found = mine.join(theirs, "i = j", how="left").aggregate("avg((j is not null)::int)").fetchall()[0][0]
        return float(found or 0)

    def question(self, table: str, name: str, doubt: str) -> str:
        """The question that a person has to answer: how many customers there are by each column that may say it."""
        listed = sorted({*self.kinds, name}, key=lambda each: (KINDS.index(self.kinds[each]), each != name))
        counts = [(each, f"{self._distinct(each):,}", self.kinds[each]) for each in listed]
        customers = gettext("; ").join(
            gettext("by {each} ({what}) there are {n}", each=f"{each!r}", what=what, n=n)
            for each, n, what in ((each, n, gettext(DESCRIPTIONS[kind])) for each, n, kind in counts)
        )
        return gettext(
            "{table}: which column says who the customer is? {doubt}. Customers: {customers}",
            table=table,
            doubt=doubt,
            customers=customers,
        )

    def _distinct(self, name: str, kind: PersonKind = "id") -> int:
        """How many customers a column tells; of addresses and phone numbers in one spelling."""
        return int(self.rows.aggregate(f"count(distinct {self._cell(name, kind)})").fetchall()[0][0])

    def _cell(self, name: str, kind: PersonKind = "id") -> str:
        """SQL for a cell in the one spelling of its kind: 'Müller, Anna' is 'anna muller'."""
        cell = sql_casts.customer(name, self.types[name])
        if kind == "email":
            return f"lower({cell})"
        if kind == "phone":
            return f"right(regexp_replace({cell}, '\\D', '', 'g'), 9)"
        if kind == "name":
            plain = f"replace(strip_accents(lower({cell})), 'ß', 'ss')"
            bare = f"regexp_replace({plain}, '[\\s,.·_()\"-]+', ' ', 'g')"
            return f"array_to_string(list_sort(string_split(trim({bare}), ' ')), ' ')"
        return cell

    def _beside(self, name: str, other: str, kind: PersonKind) -> _Beside:
        own = self._cell(other, kind)
        pairs = self.rows.project(f"{self._cell(name)} as i, {own} as o").filter("i is not null and o is not null")
        pairs = pairs.distinct()
        ids, others = pairs.aggregate("count(distinct i), count(distinct o)").fetchall()[0]
        repeated = pairs.aggregate("o, count(*) as n", "o").filter("n > 1").aggregate("count(*)").fetchall()[0][0]
        several = pairs.aggregate("i, list(o order by o) as os", "i").filter("len(os) > 1").order("i")
        if kind != "name":
            return _Beside(ids, others, several.aggregate("count(*)").fetchall()[0][0], repeated)
        names = [said for _, said in several.limit(MAX_PAIRS).fetchall()]
        if normalise_column_name(other) in AMBIGUOUS_NAMES and self._is_of_products(other, len(names) / max(ids, 1)):
            return _Beside(ids, others, 0, repeated)
        shared = sum(not all(_one_person(*pair) for pair in combinations(said[:20], 2)) for said in names)
        if len(names) == MAX_PAIRS:
            shared = round(shared * several.aggregate("count(*)").fetchall()[0][0] / MAX_PAIRS)
        return _Beside(ids, others, shared, repeated)

    def _is_of_products(self, name: str, changing: float) -> bool:
        """Whether a column 'Name' is the products': each has one, or it changes from row to row of most customers."""
        if self.product in self.sample.columns:
            return is_constant_per_key(self.sample, self.product, [name])
        return changing > 0.5


def shared_customer_columns(events: RawTable, customers: RawTable | None) -> dict[str, str]:
    """Return the customers' column of two files that have the same customers, nothing where they share no key."""
    if customers is None:
        return {}
    said, known = (IdentityEvidence(table.rows, table.sample(), ()) for table in (events, customers))
    key = said.shared_key(known)
    return {"events": key["own"], "customers": key["other"]} if key else {}


def customer_question(
    table: RawTable, sample: pl.DataFrame, mapping: Mapping, customers: RawTable | None = None
) -> str:
    """Return the question who the customer is, where a file's columns leave that in doubt, else ""; `customers` is the
    file of customers beside it.
    """
    sources = mapping.sources("customer_id")
    if not sources or sources[0] not in sample.columns or sources == mapping.sources("session_id"):
        return ""
    roles = [role for role in mapping.columns if role not in ("customer_id", "name")]
    taken = {source for role in roles for source in mapping.sources(role)} - {sources[0]}
    evidence = IdentityEvidence(table.rows, sample, taken, next(iter(mapping.sources("product_id")), ""))
    confirmed = False
    if customers is not None and evidence.kind(sources[0]) == "login":
        known = IdentityEvidence(customers.rows, customers.sample(), ())
        if sources[0] in known.types:
            known.kind(sources[0])
        key = evidence.shared_key(known)
        confirmed = bool(key) and key["own"] == sources[0] and known.confirms(key["other"])
    doubt = evidence.doubt(sources[0], confirmed)
    return evidence.question(table.source, sources[0], doubt) if doubt else ""


def _many(some: int, whole: int, one: str, other: str) -> str:
    return gettext(
        "{some} of {whole} values of {one} stand beside several {other}",
        some=f"{some:,}",
        whole=f"{whole:,}",
        one=f"{one!r}",
        other=f"{other!r}",
    )


def _one_person(one: str, other: str) -> bool:
    """Whether two names may be of one person: each word of the shorter one stands in the longer one, is an initial of
    a word there, or a spelling of it.
    """
    short, long = sorted((one.split(), other.split()), key=len)
    return all(any(_one_word(word, each) for each in long) for word in short)


def _one_word(one: str, other: str) -> bool:
    """Whether two words may be one: the same, an initial of the other, or one letter apart, but not in the last one,
    by which Paul differs from Paula.
    """
    short, long = sorted((one, other), key=len)
    if short == long or (len(short) == 1 and long.startswith(short)):
        return True
    same = next((at for at, letter in enumerate(short) if letter != long[at]), len(short))
    rest = len(short) > 3 and same < len(short) - 1
    return rest and long[same + 1 :] in (short[same:], short[same + 1 :])
