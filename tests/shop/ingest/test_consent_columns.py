"""Consent fails closed: a column that could say who agreed is read, or named and asked about; never overruled."""

import re
from itertools import product
from pathlib import Path
from random import Random

import duckdb
import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.foundation.files.raw_table import RawTable
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.configuration import load_config
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.consent_answers import REFUSED_TEXTS, names_refusal
from promolift.shop.ingest.cleaning.table_cleaning import clean_customers, latest_values
from promolift.shop.ingest.schema_matching.consent_columns import (
    ConsentColumn,
    MappedTable,
    find_consent_columns,
    how_to_read,
)
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.shop import Shop

# Columns of exports in many languages that say who agreed to be sent offers, or who refused.
AGREED = (
    *("Opt-in", "opted_in", "emailOptIn", "SMS consent given", "Accepts Offers", "can_email", "ok_to_contact"),
    *(
        "GDPR_OK",
        "marketing_permission",
        "wants newsletter",
        "subscriber",
        "同意营销",
        "是否接受推广短信",
        "行銷同意",
        "会员授权",
    ),
    *("订阅状态", "Werbeerlaubnis", "Einwilligung E-Mail", "darf kontaktiert werden", "zustimmung_newsletter"),
    *("Accord publicité", "accepte_les_offres", "abonné newsletter", "Autoriza publicidad", "acepta_promociones"),
    *("suscrito", "Aceita receber e-mails", "autorizacao_lgpd", "consenso_marketing", "iscritto newsletter"),
    *("メルマガ希望", "メール配信", "DM許可", "案内メール受信", "수신 여부", "마케팅 허용", "согласен на рассылку"),
    *("подписка", "zgoda_rodo", "toestemming", "nieuwsbrief", "samtykke", "souhlas", "hozzájárulás", "izni"),
    *("ยินยอม", "đồng ý nhận tin", "persetujuan", "موافقة", "σύμφωνη συγκατάθεση"),
)
REFUSED = (
    *("Opt-out", "emailOptOut", "unsubscribed", "Do Not Contact", "do_not_email", "no_marketing", "suppressed"),
    *("abgemeldet", "Werbewiderspruch", "désabonné", "désinscrit", "baja_newsletter", "descadastrado", "disiscritto"),
    *("consent_revoked", "consent_refused", "newsletter_cancelled", "newsletter_stopped", "marketing_blocked"),
    *("blacklisted", "blacklisted_at", "mailing_stop", "Newsletter abbestellt", "Newsletter Ende", "Austragung"),
    *("Zgoda wycofana", "Согласие отозвано", "已撤回同意", "Consentement retiré", "Consentimiento revocado", "bounced"),
    *("退订", "拒收短信", "免打扰", "配信停止", "受信拒否", "수신거부", "отписан", "uitgeschreven", "sprzeciw"),
)
ANSWERS = (
    ("yes", "no"),
    ("是", "否"),
    ("1", "0"),
    ("J", "N"),
    ("oui", "non"),
    ("true", "false"),
    ("x", ""),
    ("A", "B"),
)


def write_shop(
    folder: Path, column: str, answers: tuple[str, str], ids: str = "{}", customers: int = 40
) -> dict[str, Path]:
    """Orders of `customers`, of whom every second one gave the first answer; `ids` writes the customers' file."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, rows = Random(3), []
    for order in range(customers * 3):
        day = f"2024-{1 + order % 6:02d}-{1 + draw.randrange(28):02d} {8 + draw.randrange(12):02d}:00:00"
        rows.append({"order_id": f"o{order}", "customer_id": str(1 + order % customers), "ordered_at": day,
                     "sku": f"s{draw.randrange(9)}", "price": f"{draw.randrange(300, 3000) / 100:.2f}"})  # fmt: skip
    pl.DataFrame(rows).write_csv(folder / "orders.csv")
    people = [
        {"customer_id": ids.format(n), "city": f"City {n}", column: answers[n % 2]} for n in range(1, customers + 1)
    ]
    pl.DataFrame(people).write_csv(folder / "customers.csv")
    return {"events": folder / "orders.csv", "customers": folder / "customers.csv"}


def consent_yes(files: dict[str, Path], *pairs: str) -> None:
    init(files, files["events"].with_name("promolift.toml"), True, (), SetupAnswers.of(pairs, "USD", "yes"))


def found_in(people: pl.DataFrame, columns: dict[str, str], everybody: bool = False) -> list[ConsentColumn]:
    """What could hold consent in a customers' file with this mapping."""
    with duckdb.connect() as connection:
        rows = RawTable(connection.from_arrow(people.with_row_index("_row", 1).to_arrow()), "customers.csv")
        mapping = Mapping.parse({"table": "customers", "columns": columns}, "customers")
        return find_consent_columns([MappedTable("customers", "customers.csv", rows, mapping)], (), everybody)


@pytest.mark.parametrize("seed", range(4))
def test_a_column_counts_by_its_name_in_any_language_or_by_its_two_values(seed: int) -> None:
    """The law over drawn names, answers and shares of blanks; ids, places and sums of money never count."""
    draw = Random(seed)
    for column, answers in draw.sample(list(product((*AGREED, *REFUSED, "zz", "列甲", "поле"), ANSWERS)), 15):
        rows = [{"id": f"c{n}", "city": f"City {n}", column: draw.choice([*answers, ""]), "spent": f"{n}.50"}
                for n in range(60)]  # fmt: skip
        found = found_in(pl.DataFrame(rows), {"customer_id": "id"})
        assert [each.column for each in found] == [column], (column, answers)
        assert found[0].by_name is (column not in ("zz", "列甲", "поле"))


def test_every_name_of_a_refusal_is_told_from_consent() -> None:
    assert [name for name in REFUSED if not names_refusal(name)] == []
    assert [name for name in (*AGREED, "consent_not_revoked", "未撤回同意") if names_refusal(name)] == []


def test_advice_leaves_open_what_yes_means_where_the_name_does() -> None:
    for column, open_ in (("zq_17", True), ("marketing", True), ("newsletter_stopped", False), ("opt_in", False)):
        found = found_in(pl.DataFrame({"id": ["a", "b"], column: ["yes", "no"]}), {"customer_id": "id"})
        assert ("which answer means yes" in how_to_read(found[0])) is open_, column
        assert ("'unsubscribed'" in how_to_read(found[0])) is open_
        assert ("a refusal" in how_to_read(found[0])) is (column == "newsletter_stopped")


@pytest.mark.parametrize("values", [("subscribed", "unsubscribed", "cleaned"), ("yes", "no", "maybe"), ("1", "0", "")])
def test_a_column_of_a_few_answers_counts_under_any_name(values: tuple[str, ...]) -> None:
    people = pl.DataFrame({"id": [f"c{n}" for n in range(9)], "zz": [values[n % len(values)] for n in range(9)]})
    assert [each.column for each in found_in(people, {"customer_id": "id"})] == ["zz"]


def test_beside_a_column_that_is_read_names_alone_count() -> None:
    people = pl.DataFrame({"id": ["a", "b"], "ok": ["y", "n"], "sex": ["m", "f"], "opt_out": ["1", "0"]})
    found = found_in(people, {"customer_id": "id", "consent": "ok"})
    assert [each.column for each in found] == ["opt_out"]


@pytest.mark.parametrize("column", ["同意营销推送", "Do Not Contact"])
def test_consent_yes_is_refused_where_a_column_may_say_who_agreed(column: str, tmp_path: Path) -> None:
    files = write_shop(tmp_path, column, ("yes", "no"), customers=12)
    with raises_code("consent_overruled", column):
        consent_yes(files)
    assert not (tmp_path / "promolift.toml").exists()


# Refusals in words that no list of promolift holds, what else shops note, and columns in which either stands.
UNLISTED = (
    *(
        "bitte nicht mehr anschreiben",
        "will nichts mehr von uns hören",
        "ne plus m'envoyer",
        "STOP",
        "Robinsonliste 12.3.",
    ),
    *("arrêtez de m'écrire", "que no le escriban más", "dejen de escribirme", "parem de mandar", "не присылать"),
    *(
        "no molestar",
        "别发短信",
        "不想收到消息",
        "送らないでください",
        "連絡不要",
        "보내지 마세요",
        "lütfen göndermeyin",
    ),
    *("ไม่ต้องส่ง", "לא לשלוח", "لا ترسلوا", "leave me alone", "nie wysyłać", "non mi scrivete più", "inga utskick"),
)
NOTED = ("Stammkunde", "zahlt immer bar", "cliente fiel", "老客户", "常連", "VIP", "gift wrap 2", "keys at neighbour")
FREE = ("Bemerkung", "observaciones", "備考", "备注", "Kundenstatus", "zz", "etiqueta", "labels", "状态", "ملاحظات")
# What else a file of customers holds: never a question.
ATTRIBUTES = {
    "Ciudad": ("Vigo", "San Sebastián", "La Coruña"), "Straße": ("Hauptstr. 1", "Am Markt 2", "Weg 3"),
    "职业": ("教师", "医生", "工人"), "tier": ("gold", "silver", "bronze"), "Nachname": ("Meier", "Kim", "Ng"),
    "company": ("Firma A", "C & Co", "B Ltd"), "pk": ("A-1", "B-2", "C-3"),
    "web": ("www.a.de", "https://b.fr/x", "c@d.es"),
    "favourite product": ("red wine", "tea", "beer"), "last order": ("2025-01-02", "2025-03-04", "2025-05-06"),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_where_somebody_answers_for_all_a_column_of_words_is_a_question(seed: int) -> None:
    """The law over drawn words, columns and shares of blanks: whatever the words are; other attributes are none."""
    draw = Random(seed)
    for refusal in draw.sample(UNLISTED, 8):
        column, noted = draw.choice(FREE), draw.sample(NOTED, draw.choice([0, 2, 5]))
        rows = [{"id": f"c{n}", **{name: values[n % 3] for name, values in ATTRIBUTES.items()},
                 column: refusal if n == 7 else draw.choice(["", *noted])} for n in range(40)]  # fmt: skip
        found = found_in(pl.DataFrame(rows), {"customer_id": "id"}, everybody=True)
        assert [each.column for each in found] == [column], (refusal, column)
        beside = found_in(
            pl.DataFrame(rows).with_columns(ok=pl.lit("yes")), {"customer_id": "id", "consent": "ok"}, True
        )
        assert [each.column for each in beside] == [column], (refusal, column)


# Refusals in words among other remarks, one of each kind that is known; and remarks that are none.
LISTED = (
    *("Bitte keine Werbung", "will nichts mehr hören", "nie wieder anrufen", "never write again", "stop mailing me"),
    *("arrêtez de m'écrire", "ne souhaite pas être sollicité", "ne pas envoyer", "no quiere correos", "no me escriban"),
    *("darse de baja", "parem de mandar", "não quer receber nada", "non mi scrivete più", "niet meer mailen"),
    *("inga utskick", "ei markkinointia", "nie wysyłać", "не присылать", "больше не писать", "lütfen göndermeyin"),
    *(
        "拒绝推广",
        "不要再发了",
        "勿发短信",
        "送らないでください",
        "メール不要",
        "보내지 마세요",
        "đừng gửi",
        "jangan kirim",
        "لا ترسلوا",
    ),
)
NO_REFUSAL = (
    "Stammkunde",
    "nicht vor 9 Uhr",
    "ne pas sonner",
    "planta baja",
    "不要香菜",
    "no me acuerdo",
    "not before noon",
)


@pytest.mark.parametrize("refusal", LISTED)
def test_a_refusal_among_remarks_counts_beside_a_column_that_is_read(refusal: str) -> None:
    for said, found in ((f"vip; {refusal}", ["Notas"]), (refusal.upper(), ["Notas"]), ("", [])):
        people = pl.DataFrame({"id": [f"c{n}" for n in range(9)], "ok": ["yes"] * 9, "Notas": [said, *NO_REFUSAL, ""]})
        assert [each.column for each in found_in(people, {"customer_id": "id", "consent": "ok"})] == found


@pytest.mark.parametrize(("column", "refusal"), [("備考", "送らないでください"), ("zz", "ne plus m'envoyer")])
def test_consent_yes_is_refused_while_a_column_of_words_is_unread(column: str, refusal: str, tmp_path: Path) -> None:
    files = write_shop(tmp_path, column, (refusal, ""))
    people = pl.read_csv(files["customers"], infer_schema=False)
    said = [refusal if n == 3 else ("", "regular", "pays cash", "likes tea")[n % 4] for n in range(people.height)]
    people.with_columns(pl.Series(column, said)).write_csv(files["customers"])
    with raises_code("consent_overruled", f"'{column}'", f"not_consent={column}"):
        consent_yes(files)
    consent_yes(files, f"not_consent={column}")
    config = tmp_path / "promolift.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("not_consent", "# not_consent"), encoding="utf-8")
    with Shop.open(config, tmp_path / "work") as shop, raises_code("consent_overruled", f"'{column}'"):
        shop.plan()


def test_remarks_of_orders_are_a_question_and_other_words_of_orders_are_none(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "city2", ("", ""))
    orders = pl.read_csv(files["events"])
    words = pl.Series("words", [f"{NOTED[n % 5]} {'ne plus écrire' if n == 9 else ''}" for n in range(orders.height)])
    orders.with_columns(words.alias("carrier")).write_csv(files["events"])
    consent_yes({"events": files["events"]})
    orders.with_columns(words.alias("Kundenbemerkung")).write_csv(files["events"])
    with raises_code("consent_overruled", "'Kundenbemerkung'"):
        consent_yes({"events": files["events"]})


@pytest.mark.slow
@pytest.mark.parametrize("column", [*AGREED, *REFUSED])
def test_consent_yes_is_refused_in_any_language(column: str, tmp_path: Path) -> None:
    files = write_shop(tmp_path, column, ("ja", "nein"), customers=12)
    with raises_code("consent_overruled", column):
        consent_yes(files)


@pytest.mark.parametrize("answers", [("J", "N"), ("x", "")])
def test_a_column_of_two_answers_under_an_unknown_name_is_a_question(answers: tuple[str, str], tmp_path: Path) -> None:
    files = write_shop(tmp_path, "zq_17", answers)
    with raises_code("consent_overruled", "'zq_17'", "not_consent=zq_17"):
        consent_yes(files)
    consent_yes(files, "not_consent=zq_17")
    config = load_config(tmp_path / "promolift.toml")
    assert config.consent.default
    assert config.consent.not_consent == ("zq_17",)


def test_a_column_of_many_values_or_of_none_is_no_question(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "zq_17", ("", ""))
    consent_yes(files)
    assert load_config(tmp_path / "promolift.toml").consent.default


def test_a_flag_of_customers_within_the_orders_is_a_question_and_a_flag_of_orders_is_none(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "city2", ("", ""))
    orders = pl.read_csv(files["events"]).with_columns(
        flag=pl.when(pl.col("customer_id") % 2 == 0).then(pl.lit("ja")).otherwise(pl.lit("nein"))
    )
    orders.write_csv(files["events"])
    with raises_code("consent_overruled", "'flag'"):
        consent_yes({"events": files["events"]})
    of_orders = pl.Series("flag", ["ja" if n % 7 < 3 else "nein" for n in range(orders.height)])
    orders.with_columns(of_orders).write_csv(files["events"])
    consent_yes({"events": files["events"]})


def test_init_never_advises_to_answer_for_everybody_where_a_column_may_hold_the_answers(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "同意营销推送", ("是", "否"))
    found = init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    for text in (found.text, (tmp_path / "promolift.toml").read_text(encoding="utf-8")):
        assert "--consent yes" not in text
        assert "say true" not in text
        assert "同意营销推送" in text


def test_run_stops_before_computing_and_names_the_column(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "zq_17", ("yes", "no"))
    init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    with Shop.open(tmp_path / "promolift.toml", tmp_path / "work") as shop:
        with raises_code("consent_unstated", "'zq_17'") as caught:
            shop.plan()
        assert "default = true" not in str(caught.value)
        with raises_code("consent_overruled", "'zq_17'"):
            shop.with_settings(consent={"default": True}).plan()
        assert not list((tmp_path / "work").glob("tables/*"))


@pytest.mark.parametrize("ids", ["C-{:03d}", "{:05d}"])
def test_ids_that_match_no_event_stop_the_run_with_samples_of_both_sides(ids: str, tmp_path: Path) -> None:
    files = write_shop(tmp_path, "newsletter", ("yes", "no"), ids)
    init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    with Shop.open(tmp_path / "promolift.toml", tmp_path / "work") as shop, raises_code(
        "customers_unmatched", ids.format(1), "'1'", "customers.csv", "orders.csv"
    ):  # fmt: skip
        shop.plan()


def test_a_few_ids_written_otherwise_stop_a_run_that_would_answer_for_them(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "newsletter", ("yes", "no"))
    people = pl.read_csv(files["customers"], infer_schema=False)
    other = pl.when(pl.col("customer_id") == "7").then(pl.lit("007")).otherwise("customer_id").alias("customer_id")
    people.with_columns(other).write_csv(files["customers"])
    init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    with Shop.open(tmp_path / "promolift.toml", tmp_path / "work") as shop, raises_code(
        "customers_unmatched", "'007'", "'7'"
    ):  # fmt: skip
        shop.with_settings(consent={"default": True}).plan()


@pytest.mark.parametrize(("column", "answers"), [("unsubscribed", ("yes", "no")), ("newsletter", ("no", ""))])
def test_a_column_in_which_nobody_agrees_is_a_missing_consent(
    column: str, answers: tuple[str, str], tmp_path: Path
) -> None:
    files = write_shop(tmp_path, column, answers, customers=8)
    init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    with Shop.open(tmp_path / "promolift.toml", tmp_path / "work") as shop, raises_code("consent_unstated", column):
        shop.plan()


def test_the_command_line_answers_with_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_shop(tmp_path, "opt_in", ("yes", "no"))
    named = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    with pytest.raises(SystemExit):
        main(["init", *named, "--consent", "yes", "--config", str(tmp_path / "p.toml")])
    assert capsys.readouterr().err.strip().endswith("[consent_overruled]")


def test_yes_in_a_column_of_refusals_is_a_no_and_any_no_counts() -> None:
    columns = {"customer_id": "id", "consent": ["newsletter", "unsubscribed"]}
    mapping = Mapping.parse({"table": "customers", "columns": columns}, "customers")
    rows = [("a", "yes", ""), ("b", "yes", "2024-01-05"), ("c", "yes", "no"), ("d", "", "yes"), ("e", "", "no"),
            ("f", "no", "no"), ("g", "?", "opted out"), ("h", "yes", "subscribed")]  # fmt: skip
    with duckdb.connect() as connection:
        frame = pl.DataFrame(rows, schema=["id", "newsletter", "unsubscribed"], orient="row").with_row_index("_row", 1)
        found = clean_customers(connection.from_arrow(frame.to_arrow()), mapping, CleanRules(now_ms=0)).accepted().pl()
    agreed = dict(found.sort("customer_id").select("customer_id", "consent").iter_rows())
    assert agreed == {"a": True, "b": False, "c": True, "d": False, "e": None, "f": False, "g": False, "h": True}


@pytest.mark.parametrize("answers", [("no", "yes"), ("yes", "no"), ("", "no"), ("no", "")])
def test_any_no_of_a_customer_counts_whatever_row_comes_last(answers: tuple[str, str]) -> None:
    mapping = Mapping.parse({"table": "customers", "columns": {"customer_id": "id", "consent": "news"}}, "customers")
    frame = pl.DataFrame({"id": ["a", "a", "b", "b"], "news": [*answers, "yes", "yes"]}).with_row_index("_row", 1)
    with duckdb.connect() as connection:
        raw = connection.from_arrow(frame.to_arrow())
        for rows in (raw, latest_values(raw, mapping)):
            found = clean_customers(rows, mapping, CleanRules(now_ms=0)).accepted().pl()
            assert dict(found.select("customer_id", "consent").iter_rows()) == {"a": False, "b": True}


@pytest.mark.parametrize(
    ("read", "other", "answers"),
    [("newsletter", "newsletter_revoked_at", ("2025-09-01", "")), ("Newsletter", "Newsletter Ende", ("1.9.2025", "")),
     ("gdpr_consent", "marketing", ("no", "yes")), ("email_opt_in", "gdpr_consent", ("no", "yes"))],
)  # fmt: skip
def test_a_second_column_of_answers_is_read_beside_the_first(
    read: str, other: str, answers: tuple[str, str], tmp_path: Path
) -> None:
    files = write_shop(tmp_path, other, answers, customers=12)
    pl.read_csv(files["customers"], infer_schema=False).with_columns(pl.lit("yes").alias(read)).write_csv(
        files["customers"]
    )
    init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    mapping = load_config(tmp_path / "promolift.toml").data.files["customers"].mapping
    assert mapping is not None
    together = {read} if other == "marketing" else {read, other}  # 'marketing' alone may not mean consent: the run asks
    assert {*mapping.sources("consent")} == together
    config = tmp_path / "promolift.toml"
    text = re.sub(r"(?m)^columns.consent = .*", f"columns.consent = '{read}'", config.read_text(encoding="utf-8"))
    config.write_text(text, encoding="utf-8")
    with Shop.open(config, tmp_path / "work") as shop, raises_code("consent_overruled", f"'{other}'"):
        shop.plan()


@pytest.mark.parametrize(
    "names", [("email_opt_in", "sms_opt_in"), ("Accepts SMS Marketing", "Accepts Email Marketing")]
)
def test_no_agreement_to_another_channel_is_no_refusal_and_an_unsubscription_there_is_one_of_all(
    names: tuple[str, str], tmp_path: Path
) -> None:
    mail, other = sorted(names, key=lambda name: "sms" in name.lower())
    files = write_shop(tmp_path, "zz", ("", ""), customers=4)
    said = {"customer_id": ["1", "2", "3", "4"], mail: ["yes", "no", "yes", "yes"], other: ["no", "no", "yes", ""]}
    pl.DataFrame(said).select("customer_id", *names).write_csv(files["customers"])
    assert read_from(files, tmp_path) == ([mail], {"1": True, "2": False, "3": True, "4": True})
    said[other] = ["unsubscribed", "no", "yes", ""]
    pl.DataFrame(said).select("customer_id", *names).write_csv(files["customers"])
    assert read_from(files, tmp_path) == (sorted(names), {"1": False, "2": False, "3": True, "4": True})


def read_from(files: dict[str, Path], folder: Path) -> tuple[list[str], dict[str, bool | None]]:
    """The columns of consent that `init` reads, and what customers are taken to have said."""
    (folder / "promolift.toml").unlink(missing_ok=True)
    init(files, folder / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    config = load_config(folder / "promolift.toml")
    mapping = config.data.files["customers"].mapping
    assert mapping is not None
    with Shop.open(folder / "promolift.toml", folder / "work") as shop:
        shop.step("ingest")
        agreed = dict(shop.store.frame("customers").select("customer_id", "consent").iter_rows())
    return sorted(mapping.sources("consent")), agreed


def test_beside_a_column_that_is_read_days_and_sources_of_consent_are_no_question() -> None:
    people = pl.DataFrame({"id": ["a"], "ok": ["y"], "consent_date": ["2025-01-01"], "opt_in_source": ["web"]})
    assert found_in(people, {"customer_id": "id", "consent": "ok"}) == []


@pytest.mark.parametrize(
    ("column", "refused"), [("blacklisted_at", "2025-09-01"), ("Austragung", "1.9.2025"), ("tags", "vip, no-marketing")]
)
def test_consent_yes_is_refused_where_days_or_tags_say_who_refused(column: str, refused: str, tmp_path: Path) -> None:
    files = write_shop(tmp_path, "zz", ("", ""), customers=30)
    people = pl.read_csv(files["customers"], infer_schema=False)
    said = [refused if n == 3 else f"vip, t{n}" if column == "tags" else "" for n in range(people.height)]
    people.with_columns(pl.Series(column, said)).write_csv(files["customers"])
    with raises_code("consent_overruled", f"'{column}'"):
        consent_yes(files)


def test_refusals_of_ids_that_the_log_lacks_stop_a_run_that_would_answer_for_them(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "unsubscribed", ("yes", "no"))
    people = pl.read_csv(files["customers"], infer_schema=False)
    other = pl.when(pl.col("unsubscribed") == "yes").then("gid://shop/Customer/" + pl.col("customer_id"))
    people.with_columns(other.otherwise("customer_id").alias("customer_id")).write_csv(files["customers"])
    init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    with Shop.open(tmp_path / "promolift.toml", tmp_path / "work") as shop, raises_code(
        "customers_unmatched", "gid://shop/Customer/2", "'1'"
    ):  # fmt: skip
        shop.with_settings(consent={"default": True}).plan()


# How another system writes the id of a customer: of a number, of an e-mail address, of a phone number.
WRITTEN = {
    "{}": (lambda n: f"{n:05d}", lambda n: f"C-{n}", lambda n: f"cust_0{n}"),
    "p{}@x.org": (lambda n: f"P{n}@X.org", lambda n: f"P{n}@x.ORG "),
    "0770090{:04d}": (lambda n: f"+44 770 090 {n:04d}", lambda n: f"0044770090{n:04d}", lambda n: f"44770090{n:04d}"),
    "K{:04d}": (lambda n: f"k-{n:04d}", lambda n: f"{n}", lambda n: f"CUST{n}"),
}  # fmt: skip
ALIEN = ("gone{}@y.org", "zz-{}-zz", "9{}9999")  # of customers who never bought


def shop_of_refusals(seed: int, folder: Path, alien: bool) -> Path:
    """The settings of a shop in which everybody of the events agreed, and a second list says that some refused: under
    another spelling of the id, or, where `alien`, customers who never bought.
    """
    draw = Random(seed)
    own = list(WRITTEN)[seed % len(WRITTEN)]
    write = draw.choice(WRITTEN[own])
    files = write_shop(folder, "newsletter", ("yes", "yes"), own)
    log = pl.read_csv(files["events"])
    ids = [own.format(n) for n in log["customer_id"]]
    log.with_columns(pl.Series("customer_id", ids)).write_csv(files["events"])
    people = pl.read_csv(files["customers"], infer_schema=False)
    few = draw.sample(range(1, 41), draw.choice([1, 2, 5]))
    refused = [draw.choice(ALIEN).format(n) if alien else write(n) for n in few]
    city, no = ["Town"] * len(few), ["no"] * len(few)
    people.vstack(pl.DataFrame({"customer_id": refused, "city": city, "newsletter": no})).write_csv(files["customers"])
    answers = SetupAnswers.of(["customer_id=customer_id", "customers.customer_id=customer_id"], "USD")
    init(files, folder / "promolift.toml", False, (), answers)
    return folder / "promolift.toml"


def check_refusals(seed: int, folder: Path) -> None:
    with Shop.open(shop_of_refusals(seed, folder / "a", False), folder / "a" / "work") as shop, raises_code(
        "customers_unmatched", "who refused"
    ):  # fmt: skip
        assert shop.health.read
    with Shop.open(shop_of_refusals(seed, folder / "b", True), folder / "b" / "work") as shop:
        assert not shop.config.consent.default
        assert any("customers who refused offers have no event" in each for each in shop.health.warnings)


@pytest.mark.parametrize("seed", range(2))
def test_a_refusal_under_another_spelling_of_an_id_is_a_question(seed: int, tmp_path: Path) -> None:
    check_refusals(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 60))
def test_many_refusals_under_another_spelling_of_an_id_are_a_question(seed: int, tmp_path: Path) -> None:
    check_refusals(seed, tmp_path)


@pytest.mark.slow
def test_nobody_without_an_event_and_nobody_who_refused_is_written_to(tmp_path: Path) -> None:
    files = write_shop(tmp_path, "newsletter", ("yes", "no"))
    people = pl.read_csv(files["customers"], infer_schema=False)
    more = people.with_columns(pl.format("new-{}-x", "customer_id").alias("customer_id"))
    people.vstack(more).write_csv(files["customers"])
    init(files, tmp_path / "promolift.toml", False, (), SetupAnswers(currency="USD"))
    with Shop.open(tmp_path / "promolift.toml", tmp_path / "work") as shop:
        decided = shop.plan().decisions
    assert {*decided["customer_id"]} == {str(n) for n in range(1, 41)}
    chosen = decided.filter(pl.col("offer_id") != "none")["customer_id"]
    assert not {*chosen} & {str(n) for n in range(1, 41, 2)}


@pytest.mark.parametrize("seed", range(4))
def test_a_refusal_in_a_column_that_is_read_as_something_else_is_asked_about(seed: int) -> None:
    """The law over drawn roles and words; 'no' alone may be Norwegian, and one who is called Stop Smith is a name."""
    draw = Random(seed)
    for role, refusal in draw.sample(
        list(product(("tier", "sex", "language", "occupation", "name"), REFUSED_TEXTS)), 12
    ):
        rows = [{"id": f"c{n}", role: draw.choice(["gold", "no", "Stop Smith", "en"])} for n in range(60)]
        columns = {"customer_id": "id", role: role}
        assert found_in(pl.DataFrame(rows), columns, everybody=True) == []
        rows[draw.randrange(60)][role] = refusal.upper()
        (found,) = found_in(pl.DataFrame(rows), columns, everybody=True)
        assert (found.column, found.values, found.refused) == (role, (refusal,), True)
        with_consent = [row | {"agreed": "yes"} for row in rows]
        read = found_in(pl.DataFrame(with_consent), columns | {"consent": "agreed"}, everybody=True)
        assert [each.column for each in read] == [role]
        assert found_in(pl.DataFrame(rows), columns) == []  # nobody answers for anybody: it is read as it was
