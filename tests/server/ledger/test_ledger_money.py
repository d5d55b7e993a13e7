"""Money, codes and limits: never beyond a limit, whoever asks how often and in which order."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from ledger_helpers import (
    CODES,
    CUSTOMERS,
    KINDS,
    LIMITS,
    NOW,
    add,
    check_books,
    claim,
    confirm,
    do,
    issued,
    limit,
    open_ledger,
    reserve_all,
    rollback,
)  # fmt: skip
from sqlalchemy import Connection, select

from promolift.server.ledger.audit_log import first_break
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.limits import (
    SELECT_CODES,
    RedemptionClaim,
    RedemptionTransaction,
    RefusedClaim,
    add_stock,
    exhausted_offers,
    expire_reservations,
    period_key,
    reserve,
    set_limits,
    stock_left,
)
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import USAGE, LedgerError, Refused, execute_raw, json_list, transaction_cache

DAY = 86_400_000


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path, request.param) as opened:
        yield opened
        check_books(opened)


def usage(ledger: Ledger, limit_id: str) -> list[tuple[int, int]]:
    with ledger.read() as db:
        return [tuple(r) for r in db.execute(select(USAGE.c.held, USAGE.c.spent).where(USAGE.c.limit_id == limit_id))]


def refused(ledger: Ledger, function: object, *arguments: object) -> str:
    with pytest.raises(Refused) as stop:
        do(ledger, function, *arguments)
    return stop.value.code


def test_reserve_confirm_and_rollback_move_the_amount_by_hand_checked_steps(ledger: Ledger) -> None:
    add(ledger, LIMITS, limit("l1", 250))
    assert do(ledger, reserve, claim(1, 100))["status"] == "reserved"  # type: ignore[index]
    assert usage(ledger, "l1") == [(100, 0)]
    do(ledger, confirm, "rdm_1", 60, NOW)
    assert usage(ledger, "l1") == [(0, 60)]
    do(ledger, reserve, claim(2, 190))
    assert usage(ledger, "l1") == [(190, 60)]
    assert refused(ledger, reserve, claim(3, 1)) == "limit_reached"
    do(ledger, rollback, "rdm_2", NOW)
    do(ledger, rollback, "rdm_2", NOW)
    do(ledger, rollback, "rdm_1", NOW)
    assert usage(ledger, "l1") == [(0, 0)]


def test_repeated_calls_change_nothing_and_wrong_ones_are_refused_by_name(ledger: Ledger) -> None:
    add(ledger, LIMITS, limit("l1", 250))
    assert do(ledger, reserve, claim(1, 100)) == do(ledger, reserve, claim(1, 100))
    assert do(ledger, confirm, "rdm_1", None, NOW) == do(ledger, confirm, "rdm_1", 100, NOW)
    assert refused(ledger, confirm, "rdm_1", 99, NOW) == "already_confirmed"
    assert refused(ledger, confirm, "rdm_9", None, NOW) == "redemption_unknown"
    do(ledger, reserve, claim(2, 100))
    assert refused(ledger, confirm, "rdm_2", 101, NOW) == "amount_invalid"
    assert refused(ledger, confirm, "rdm_2", -1, NOW) == "amount_invalid"
    assert refused(ledger, reserve, claim(3, -1)) == "amount_invalid"
    do(ledger, rollback, "rdm_2", NOW)
    assert refused(ledger, confirm, "rdm_2", None, NOW) == "already_rolled_back"
    assert usage(ledger, "l1") == [(0, 100)]


def test_a_reservation_that_is_not_confirmed_in_time_frees_its_money(ledger: Ledger) -> None:
    add(ledger, LIMITS, limit("l1", 100))
    do(ledger, reserve, claim(1, 100, hold_ms=1000))
    assert refused(ledger, reserve, claim(2, 1, now_ms=NOW + 999)) == "limit_reached"
    do(ledger, reserve, claim(2, 100, now_ms=NOW + 1000))
    assert refused(ledger, confirm, "rdm_1", None, NOW + 1000) == "already_expired"
    assert do(ledger, expire_reservations, NOW + DAY) == 1
    assert usage(ledger, "l1") == [(0, 0)]


def test_limits_count_by_customer_person_offer_and_period(ledger: Ledger) -> None:
    add(
        ledger, LIMITS,
        limit("per-customer", 2, metric="redemptions", per="customer", period="day", zone="Asia/Shanghai"),
        limit("per-person", 3, metric="redemptions", per="natural_person"),
        limit("offer-o2", 0, offer_id="o2"),
    )  # fmt: skip
    people = [{"customer_id": c, "person_id": "p", "updated_ms": 0, "erased": 0} for c in ("u1", "u2")]
    add(ledger, CUSTOMERS, *people)
    assert refused(ledger, reserve, claim("o2", 1, offer_id="o2")) == "limit_reached"
    do(ledger, reserve, claim(1))
    do(ledger, reserve, claim(2))
    assert refused(ledger, reserve, claim(3)) == "limit_reached"  # twice today already
    do(ledger, reserve, claim(4, customer="u2"))
    assert refused(ledger, reserve, claim(5, customer="u2")) == "limit_reached"  # the same person, for the fourth time
    do(ledger, reserve, claim(6, customer="u3"))
    before_midnight = NOW - 60_000  # 2025-11-24 23:59 in Shanghai
    assert period_key("day", before_midnight, "Asia/Shanghai") != period_key("day", NOW, "Asia/Shanghai")
    do(ledger, reserve, claim(7, customer="u4", now_ms=before_midnight))
    assert len(usage(ledger, "per-customer")) == 4


def test_periods_are_named_in_the_zone_of_the_limit() -> None:
    assert [period_key(p, NOW, "UTC") for p in ("total", "day", "week", "month")] == [
        "", "2025-11-24", "2025-W48", "2025-11",
    ]  # fmt: skip
    assert period_key("day", NOW, "Asia/Shanghai") == "2025-11-25"
    assert period_key("week", 1_767_225_600_000, "UTC") == "2026-W01"  # 1 January 2026 is a Thursday


def test_a_code_is_used_once_by_its_owner_before_it_expires(ledger: Ledger) -> None:
    add(ledger, CODES, issued("AAA", expires_ms=NOW + 10))
    assert refused(ledger, reserve, claim(1, code="ZZZ")) == "code_unknown"
    assert refused(ledger, reserve, claim(1, code="AAA", offer_id="o2")) == "code_unknown"
    assert refused(ledger, reserve, claim(1, code="AAA", customer="u2")) == "code_of_another"
    assert refused(ledger, reserve, claim(1, code="AAA", now_ms=NOW + 10)) == "code_expired"
    do(ledger, reserve, claim(1, code="AAA"))
    assert refused(ledger, reserve, claim(2, code="AAA")) == "code_used"
    do(ledger, rollback, "rdm_1", NOW)
    do(ledger, reserve, claim(2, code="AAA"))
    do(ledger, confirm, "rdm_2", None, NOW)
    assert refused(ledger, reserve, claim(3, code="AAA")) == "code_used"


def test_a_code_of_the_stock_is_nobodys_until_it_is_given_out(ledger: Ledger) -> None:
    assert do(ledger, stock_left, "c1", "o1") is None
    assert do(ledger, add_stock, "c1", "o1", ["S1", "S2"]) == 2
    assert do(ledger, add_stock, "c1", "o1", ["S2"]) == 0
    assert do(ledger, stock_left, "c1", "o1") == 2
    assert refused(ledger, reserve, claim(1, customer="u9", code="S1")) == "code_not_issued"


def test_used_up_names_the_campaign_or_the_offer_without_room(ledger: Ledger) -> None:
    add(ledger, LIMITS, limit("all", 300), limit("o1", 100, offer_id="o1"), limit("mine", 0, per="customer"))
    assert do(ledger, exhausted_offers, "c1", NOW) == set()
    add(ledger, LIMITS, limit("zero", 0, offer_id="o2"))
    assert do(ledger, exhausted_offers, "c1", NOW) == {"o2"}


def test_what_one_transaction_has_read_is_read_anew_once_it_changes(ledger: Ledger) -> None:
    """A limit that is lowered, a step that is undone and a thing that is put count for what follows in the same one."""

    told: list[object] = []  # an assertion that fails in the writer's thread would end it

    def tried(db: Connection, number: int, cents: int = 100) -> None:
        try:
            told.append(reserve(db, claim(number, cents))["status"])
        except Refused as refusal:
            told.append(refusal.code)

    def steps(db: Connection, some: list[None]) -> list[None]:
        for number, amount in enumerate((250, 100, 400)):
            set_limits(db, "c1", [limit("money", amount)], NOW)
            tried(db, number)
        execute_raw(db, "savepoint step")
        set_limits(db, "c1", [], NOW)
        tried(db, 4, 900)
        execute_raw(db, "rollback to savepoint step")
        tried(db, 5, 900)
        for paused in (True, False):
            Campaign(paused=paused).save(db, "c1", NOW)
            told.append((Campaign.load(db, "c1").paused, Campaign.all(db)["c1"].paused))
        return some

    ledger.write(steps)
    assert told == ["reserved", "limit_reached", "reserved", "reserved", "limit_reached", (True, True), (False, False)]
    with ledger.read() as db:
        assert first_break(db) is None
    assert usage(ledger, "money") == [(200, 0)]


def test_steps_of_one_commit_count_each_other(ledger: Ledger) -> None:
    add(ledger, LIMITS, limit("money", 250), limit("twice", 2, metric="redemptions", per="customer"))
    add(ledger, CODES, issued("AAA"))
    told: list[str] = []

    def steps(db: Connection, some: list[None]) -> list[None]:
        with RedemptionTransaction(db, NOW) as books:
            books.look_up(["rdm_1", "rdm_2", "rdm_3"], ["AAA"], ["u1", "u2"])
            coded, other = {"code": "AAA"}, {"customer": "u2"}
            wishes = [(1, 100, coded), (2, 10, coded), (3, 151, {}), (4, 100, {}), (5, 1, {})]
            for number, cents, more in [*wishes, (6, 51, other), (7, 50, other)]:
                try:
                    told.append(str(books.reserve(claim(number, cents, **more))["status"]))  # type: ignore[arg-type]
                except Refused as refusal:
                    told.append(refusal.code)
            told.append(books.confirm("rdm_1", 40)["status"])
            told.append(books.reserve(claim(6, 51, "u2"))["status"])
            told.append(books.rollback("rdm_4")["status"])
        return some

    ledger.write(steps)
    refused_twice = ["limit_reached", "limit_reached"]
    assert told == ["reserved", "code_used", "limit_reached", "reserved", *refused_twice, "reserved", "confirmed",
                    "reserved", "rolled_back"]  # fmt: skip
    assert usage(ledger, "money") == [(101, 40)]


def test_two_processes_on_one_ledger_see_each_others_limits(tmp_path: Path) -> None:
    """What one has read does not outlive its transaction."""
    with open_ledger(tmp_path) as one, open_ledger(tmp_path) as other:
        do(one, set_limits, "c1", [limit("money", 100)], NOW)
        do(other, reserve, claim(1, 60))
        do(one, set_limits, "c1", [limit("money", 60)], NOW)
        with raises_code("limit_reached", "0", kind=Refused):
            do(other, reserve, claim(2, 40))
        do(one, set_limits, "c1", [limit("money", 100)], NOW)
        do(other, reserve, claim(3, 40))
        check_books(one)


def test_64_clients_at_once_never_pass_the_last_thousand_units(ledger: Ledger) -> None:
    add(ledger, LIMITS, limit("l1", 1000), limit("twice", 40, metric="redemptions", per="customer"))
    answers: list[str] = []

    def client(me: int) -> None:
        for number in range(12):
            try:
                ledger.write(reserve_all, claim(f"{me}_{number}", 3, f"u{me}"))
                answers.append("ok")
            except Refused as no:
                answers.append(no.code)

    threads = [threading.Thread(target=client, args=(me,)) for me in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answers) == {"ok": 333, "limit_reached": 64 * 12 - 333}
    assert usage(ledger, "l1") == [(999, 0)]


STEP = st.tuples(st.sampled_from(["reserve", "confirm", "rollback", "expire"]), st.integers(0, 9), st.integers(0, 60))


@pytest.mark.parametrize("kind", KINDS)
@cases(25)
@given(clients=st.lists(st.lists(STEP, max_size=12), min_size=2, max_size=4), cap=st.integers(0, 150))
def test_any_clients_in_any_order_leave_books_that_balance(
    clients: list[list[tuple[str, int, int]]], cap: int, kind: str
) -> None:
    with TemporaryDirectory() as folder, open_ledger(Path(folder), kind) as ledger:
        add(ledger, LIMITS, limit("money", cap), limit("uses", 2, metric="redemptions", per="customer"))
        add(ledger, CODES, *({"code": f"K{n}", "campaign_id": "c1", "offer_id": "o1", "status": "issued", "stocked": 0}
                             for n in range(4)))  # fmt: skip

        def client(steps: list[tuple[str, int, int]]) -> None:
            for kind, number, cents in steps:
                now = NOW + cents * 100
                try:
                    if kind == "reserve":
                        wish = claim(number, cents, f"u{number % 3}", code=f"K{number % 4}", now_ms=now, hold_ms=3000)
                        do(ledger, reserve, wish)
                    elif kind == "confirm":
                        do(ledger, confirm, f"rdm_{number}", cents, now)
                    else:
                        do(
                            ledger,
                            *((rollback, f"rdm_{number}", now) if kind == "rollback" else (expire_reservations, now)),
                        )
                except Refused:
                    pass

        threads = [threading.Thread(target=client, args=(steps,)) for steps in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check_books(ledger)


WISH = st.tuples(st.integers(0, 1), st.sampled_from(["o1", "o2"]), st.integers(0, 90), st.sampled_from([None, *"KLM"]))


@cases(60)
@given(
    groups=st.lists(st.lists(WISH, min_size=1, max_size=4), min_size=1, max_size=5),
    caps=st.tuples(*[st.integers(0, 250)] * 3),
)
def test_claims_that_belong_together_are_held_together_or_not_at_all(
    groups: list[list[tuple[int, str, int, str | None]]], caps: tuple[int, int, int]
) -> None:
    """What is held is what one claim after the other would get; a claim that is refused takes its group with it."""
    claims = [
        [
            claim(f"{at}_{n}", cents, f"u{who}", offer_id=offer, code=code)
            for n, (who, offer, cents, code) in enumerate(group)
            if code is None or code not in [each[3] for each in group[:n]]
        ]
        for at, group in enumerate(groups)
    ]
    with TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        add(ledger, LIMITS, limit("all", caps[0]), limit("one", caps[1], offer_id="o2"),
            limit("each", caps[2], per="customer"), limit("uses", 3, metric="redemptions", per="customer"))  # fmt: skip
        add(ledger, CODES, *(issued(code, customer_id=None, offer_id=f"o{1 + (code == 'M')}") for code in "KLM"))

        def one_by_one(db: Connection, some: list[None]) -> list[str]:
            """The id that is refused in each group, if any; a group with one of them is undone."""
            found = []
            for group in claims:
                no = ""
                execute_raw(db, "savepoint part")
                for each in group:
                    try:
                        reserve(db, each)
                    except Refused as refusal:
                        no = f"{each.redemption_id} {refusal.code}"
                        execute_raw(db, "rollback to savepoint part")
                        transaction_cache(db).clear()
                        break
                execute_raw(db, "release savepoint part")
                found.append(no)
            kept = sorted(tuple(row) for row in db.execute(select(USAGE)))
            raise Done(found, kept)

        def together(db: Connection, some: list[None]) -> list[tuple[list[str], list[object]]]:
            with RedemptionTransaction(db, NOW) as books:
                tried = [books.reserve_all(group) for group in claims]
            noes = [
                f"{no.claim.redemption_id} {no.refusal.code}" if isinstance(no, RefusedClaim) else "" for no in tried
            ]
            return [(noes, sorted(tuple(row) for row in db.execute(select(USAGE))))]

        with pytest.raises(Done) as done:
            ledger.write(one_by_one)
        assert ledger.write(together) == done.value.args
        check_books(ledger)


class Done(Exception):  # noqa: N818 - not an error: it undoes a transaction that was tried
    """What came of a transaction that is undone."""


def test_a_step_that_the_database_refuses_fails_alone(ledger: Ledger) -> None:
    def work(db: Connection, claims: list[RedemptionClaim]) -> list[object]:
        with RedemptionTransaction(db, NOW) as books:
            return [books.reserve(each) for each in claims]

    busy = threading.Event()
    ledger.submit(lambda db, some: [busy.wait() for _ in some])
    claims = [claim(1), claim(2, cents=2**63), claim(3)]
    futures = [ledger.submit(work, each) for each in claims]
    busy.set()  # now all three wait for the same commit
    assert isinstance(futures[1].exception(), LedgerError | OverflowError)
    assert [futures[at].result()["redemption_id"] for at in (0, 2)] == ["rdm_1", "rdm_3"]


def test_names_in_a_list_are_found_by_an_index_on_postgresql_too(ledger: Ledger) -> None:
    """Without statistics, as on a new table, it would read all codes of a commit, and all that a limit counts."""
    if ledger.sqlite:
        pytest.skip("SQLite has no other way")
    add(ledger, CODES, *(issued(f"C{n}") for n in range(20_000)))
    with ledger.read() as db:
        assert len(SELECT_CODES.rows(db, names=json_list(["C1", "C19999", "none"]))) == 2
        assert SELECT_CODES.rows(db, names=json_list([])) == []
        asked = "explain " + SELECT_CODES._ready["postgresql"].text
        plan = db.connection.dbapi_connection.execute(asked, [json_list(["C1", "C2"])]).fetchall()  # type: ignore[union-attr]
    assert "Seq Scan" not in str(plan), plan
