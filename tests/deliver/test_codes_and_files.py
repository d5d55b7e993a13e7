"""Laws of deliver/codes.py and deliver/files.py: codes nobody can guess or mistype, cells that run nothing."""

import io
import re
from itertools import combinations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.deliver.codes import ALPHABET, code, normalise, unique_codes
from promolift.deliver.files import EXPORT, export_rows, plan_rows, safe_cells
from promolift.errors import ConfigError, InputError

SECRET = "a secret of enough bytes"
SHAPE = re.compile("[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}")
text = st.text(max_size=6)


@given(text, text, text)
def test_a_code_has_the_printed_form_and_is_recognised(campaign, customer, offer):
    made = code(campaign, customer, offer, SECRET)
    assert SHAPE.fullmatch(made)
    assert not set(made) & set("0O1I")
    assert normalise(made) == made
    assert normalise(made.lower().replace("-", "  ")) == made


@given(text)
def test_a_code_typed_in_full_width_is_the_same_code(customer):
    made = code("c", customer, "o", SECRET)
    wide = "".join(chr(ord(char) + 0xFEE0) for char in made.lower())
    assert normalise(wide) == made
    assert normalise(wide.replace(chr(ord("-") + 0xFEE0), "\u3000")) == made


def test_codes_never_change_between_versions():
    # computed once with hmac and by logarithm tables of the field; printed coupons must stay valid
    assert code("cmp_1", "A1", "coffee-20", SECRET) == "CMLN-V6PR-BGDS"


@given(st.text(max_size=4), st.integers(0, 11), st.sampled_from(ALPHABET))
def test_every_single_wrong_symbol_is_noticed(customer, at, wrong):
    plain = code("c", customer, "o", SECRET).replace("-", "")
    typed = plain[:at] + wrong + plain[at + 1 :]
    assert (normalise(typed) is not None) == (typed == plain)


@given(st.text(max_size=4))
def test_every_swap_of_two_symbols_is_noticed(customer):
    plain = code("c", customer, "o", SECRET).replace("-", "")
    for a, b in combinations(range(12), 2):
        typed = list(plain)
        typed[a], typed[b] = typed[b], typed[a]
        assert (normalise("".join(typed)) is not None) == (plain[a] == plain[b])


@pytest.mark.parametrize("typed", ["", "AAAA", "A" * 13, "0000-0000-0000", "优惠券优惠券优惠券优惠券"])
def test_what_is_no_code_is_refused(typed):
    assert normalise(typed) is None


def test_secret_campaign_customer_offer_and_attempt_all_matter():
    made = {
        code("c", "a", "o", SECRET),
        code("d", "a", "o", SECRET),
        code("c", "b", "o", SECRET),
        code("c", "a", "p", SECRET),
        code("c", "a", "o", SECRET + "!"),
        code("c", "a", "o", SECRET, 1),
        code("ca", "", "o", SECRET),
        code("", "ca", "o", SECRET),
        code("c\x1fa", "b", "o", SECRET),
        code("c", "a\x1fb", "o", SECRET),
    }
    assert len(made) == 10
    with pytest.raises(ConfigError, match="at least 16"):
        code("c", "a", "o", "short")


def test_all_symbols_are_used_about_equally_at_every_place():
    codes = [code("c", str(i), "o", SECRET).replace("-", "") for i in range(3200)]
    for place in zip(*codes, strict=True):
        counts = [place.count(symbol) for symbol in ALPHABET]
        assert sum((n - 100) ** 2 / 100 for n in counts) < 75  # chi-square of 31 degrees; above 75 once in 40,000


def test_twenty_thousand_codes_do_not_collide():
    keys = [("c", str(i), "o") for i in range(20_000)]
    assert len(set(unique_codes(keys, SECRET).values())) == 20_000


def test_a_collision_gives_the_later_key_its_next_attempt_in_any_order():
    def narrow(campaign, customer, offer, secret, attempt):
        return f"{'same' if customer in 'ab' and attempt == 0 else customer}{attempt}"

    keys = [("c", "a", "o"), ("c", "b", "o"), ("c", "z", "o")]
    expected = {keys[0]: "same0", keys[1]: "b1", keys[2]: "z0"}
    assert unique_codes(keys, SECRET, narrow) == expected
    assert unique_codes(reversed(keys * 2), SECRET, narrow) == expected
    with pytest.raises(InputError, match="too small"):
        unique_codes(keys, SECRET, lambda *_: "one")


def plan(**change):
    row = {
        "customer_id": "A1",
        "offer_id": "coffee-20",
        "code": "K7QM-W3XP-9D2H",
        "message_zh": "咖啡8折",
        "message_en": "20 % off coffee",
        "gain_cents": -12.5,
        "cost_cents": 30.0,
        "reason": "likes coffee",
        "other": 1,
    }
    return pl.DataFrame([{**row, **change}])


def test_export_has_the_named_columns_the_best_first_and_nobody_without_an_offer():
    rows = pl.concat(
        [plan(), plan(customer_id="A2", gain_cents=5.0), plan(customer_id="A0", gain_cents=5.0), plan(offer_id="none")]
    )
    out = plan_rows(rows)
    assert out.columns == [name for name, _ in EXPORT.values()]
    assert out["customer_id"].to_list() == ["A0", "A2", "A1"]
    assert out["expected_gain_cents"].to_list() == [5.0, 5.0, -12.5]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r", "\n", "  =", "＝", "＠", "＋", "－"])
def test_no_text_cell_begins_like_a_formula(begin):
    for name, (new, kind) in EXPORT.items():
        if kind == pl.String:
            assert export_rows(plan(**{name: f"{begin}cmd()"}))[new][0] == f"'{begin}cmd()"
            assert plan_rows(plan(**{name: f"{begin}cmd()"}))[new][0] == f"{begin}cmd()"


@given(st.lists(st.none() | st.text(), min_size=1, max_size=5))
def test_safe_cells_changes_nothing_else_and_survives_a_csv(cells):
    safe = safe_cells(
        pl.DataFrame({"text": cells, "number": [-1.5] * len(cells)}, schema_overrides={"text": pl.String})
    )
    for before, after in zip(cells, safe["text"], strict=True):
        assert after == before or after == f"'{before}"
        assert after is None or not after.lstrip().startswith(("=", "+", "-", "@"))
    assert safe["number"].to_list() == [-1.5] * len(cells)
    assert safe.columns == ["text", "number"]


def test_a_negative_number_stays_a_number_in_the_csv():
    written = io.StringIO(export_rows(plan()).write_csv()).read().splitlines()[1]
    assert ",-12.5," in written


def test_a_missing_column_and_two_offers_are_named():
    with pytest.raises(InputError, match=r"\['code'\] are missing"):
        export_rows(plan().drop("code"))
    with pytest.raises(InputError, match="more than one offer"):
        export_rows(pl.concat([plan(), plan(offer_id="tea-10")]))
