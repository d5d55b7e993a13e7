"""Exposures: blind to what came later, nothing learned from open ones, and without any everything stays as it was."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from encoder_shop import FIRST, items, shop

from promolift.errors import InputError, SupportError
from promolift.profile.exposures import AskedExposures, Exposed, closed_in, expose, facts, offers
from promolift.sql import DAY_MS

torch = pytest.importorskip("torch")

from promolift.profile.counters import count  # noqa: E402
from promolift.profile.encoder import EncoderSettings  # noqa: E402
from promolift.profile.encoder_batch import batch_of, points_at  # noqa: E402
from promolift.profile.encoder_data import Histories, histories, popularity  # noqa: E402
from promolift.profile.encoder_forecast import drivers  # noqa: E402
from promolift.profile.encoder_model import LearnedEncoder  # noqa: E402
from promolift.profile.encoder_train import fit_encoder  # noqa: E402
from promolift.profile.redeem import calibrate_redemption, redemption_prob  # noqa: E402

END = FIRST + 168.0
FAST = EncoderSettings(depth=2, epochs=3, points=4, batch=16, keep=12, max_visits=32, horizon_days=56)
CAMPAIGNS = 14  # one every ten days, open for a week


def told(people: int = 90, seed: int = 5) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Offers, covers, exposures, uses: customers with an even number use coupons often, the others hardly ever."""
    rows, used = [], []
    for k in range(CAMPAIGNS):
        start = FIRST + 20 + 10 * k
        for c in range(people):
            rng = np.random.default_rng([seed, k, c])
            if rng.random() < 0.6:
                answers = rng.random() < (0.7 if c % 2 == 0 else 0.05)
                when = start + rng.uniform(0.5, 6.5) if answers else None
                rows.append((f"c{c:03d}", f"k{k:02d}", start, start + 7.0, when))
                if when is not None:
                    used.append((f"c{c:03d}", int(when * DAY_MS), 2))
    names = ["customer_id", "offer_id", "start_ms", "closed_ms", "used_ms"]
    shown = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        (pl.col("start_ms", "closed_ms", "used_ms") * DAY_MS).cast(pl.Int64)
    )
    table = pl.DataFrame(
        {
            "offer_id": [f"k{k:02d}" for k in range(CAMPAIGNS)],
            "depth": [None if k % 3 == 0 else 0.1 * (k % 3) for k in range(CAMPAIGNS)],
            "channel": ["mail" if k % 2 else "paper" for k in range(CAMPAIGNS)],
        }
    )
    covers = pl.DataFrame({"offer_id": ["k01", "k01", "k02"], "item": ["item 01", "item 02", "item 03"]})
    return table, covers, shown, pl.DataFrame(used, schema=["customer_id", "ts_ms", "lines"], orient="row")


def exposed(people: int = 90) -> Exposed:
    table, covers, shown, uses = told(people)
    h = shop(people)
    found = expose(h, offers(table, covers, h.catalogue), shown, uses)
    assert isinstance(found, Exposed)
    return found


@cache
def trained() -> LearnedEncoder:
    return fit_encoder(exposed(), END, FAST)


def everybody(h: Exposed, offer: int, day: float) -> AskedExposures:
    n = len(h.customers)
    return AskedExposures(np.arange(n), np.full(n, day), np.full(n, offer), np.full(n, np.nan, np.float32))


def test_without_exposures_training_and_weights_stay_what_they_were():
    h, one = shop(), FAST.model_copy(update={"epochs": 1})
    table, covers, shown, uses = told()
    none = expose(h, offers(table, covers, h.catalogue), shown.clear(), uses)
    assert type(none) is Histories
    plain = fit_encoder(none, END, one)
    assert plain.model.exposure is None
    assert plain.to_files() == fit_encoder(h, END, one).to_files()
    # the head comes last: all other weights start from the same draws
    torch.manual_seed(0)
    bare = {k: v.clone() for k, v in type(plain.model)(plain.sizes, one).state_dict().items()}
    torch.manual_seed(0)
    full = type(plain.model)(replace(plain.sizes, facts=8), one).state_dict()
    assert all(torch.equal(bare[name], full[name]) for name in bare)
    assert any(name.startswith("exposure.") for name in full)


def test_it_learns_who_redeems_and_the_calibrated_mean_is_right():
    h, model = exposed(), trained()
    shared, window = popularity(h, END), (END - 56, END)
    line = calibrate_redemption(model, h, shared, *window)
    asked = closed_in(h, np.arange(90), *window)
    chance = redemption_prob(model, line, h, shared, asked)
    assert ((chance > 0) & (chance < 1)).all()
    assert chance.mean() == pytest.approx(float(asked.redeemed_Q.mean()), abs=0.01)
    even = asked.customer_Q % 2 == 0
    assert chance[even].mean() > chance[~even].mean() + 0.3
    assert {"train_redeem", "valid_redeem"} <= set(model.record[0])


def test_what_happens_at_or_after_an_exposure_never_changes_its_chance():
    h, model, day = exposed(), trained(), FIRST + 90.0
    shared = popularity(h, END)
    asked = everybody(h, 3, day)
    whole = np.concatenate(list(model.redemption(h, shared, asked)))
    past = np.concatenate(list(model.redemption(h.until(day), shared, asked)))
    assert whole == pytest.approx(past, abs=1e-4)
    earlier = np.concatenate(list(model.redemption(h.until(day - 30), shared, asked)))
    assert np.abs(earlier - past).max() > 0.01
    # asked together with later moments, the sequences hold later marks
    later = everybody(h, 3, END)
    both = AskedExposures(*(np.concatenate([getattr(asked, k), getattr(later, k)]) for k in asked.__dict__))
    assert np.concatenate(list(model.redemption(h, shared, both, 500)))[:90] == pytest.approx(past, abs=1e-4)


def test_a_state_sees_marks_between_the_visits_in_order_of_time():
    h, model, day = exposed(12), trained(), FIRST + 100.0
    batch, _ = batch_of(h, points_at(h, np.arange(12), np.full(12, day)), popularity(h, END), 12, 32)
    assert batch.marks is not None
    assert (np.diff(batch.days_BT.numpy()[0][: int(batch.seen_P[0]) + 1]) >= 0).all()
    marks = h.exposures.marks_before(np.arange(12), np.full(12, day)) - h.exposures.mark_start_C[:-1]
    visits = h.before(np.arange(12), np.full(12, day)) - h.start_C[:-1]
    assert batch.seen_P.tolist() == (np.minimum(marks, 32) + visits).tolist()
    with torch.no_grad():
        table_ID = model.model.table()
        seen = model.model.states(batch, table_ID)
        # the same customers, the last exposure taken away
        cut = replace(h.exposures, mark_day_X=np.where(h.exposures.mark_day_X > day - 11, END, h.exposures.mark_day_X))
        other, _ = batch_of(
            replace(h, exposures=cut), points_at(h, np.arange(12), np.full(12, day)), popularity(h, END), 12, 32
        )
        assert float((model.model.states(other, table_ID) - seen).abs().max()) > 1e-3


def test_open_exposures_teach_nothing():
    h, one = exposed(), FAST.model_copy(update={"epochs": 1})
    e, until = h.exposures, END - 56
    still = (e.closed_E > until) & (e.day_E < until)
    assert still.any()
    assert not set(closed_in(h, np.arange(90), -np.inf, until).day_Q) & set(e.day_E[still])
    base = fit_encoder(h, END, one)
    # had those of the validation window answered otherwise after its start, no weight would be another
    turned = np.where(e.closed_E > until, np.where(np.isfinite(e.used_E), np.inf, e.closed_E - 0.1), e.used_E)
    other = fit_encoder(replace(h, exposures=replace(e, used_E=turned)), END, one)
    assert base.to_files()["weights.safetensors"] == other.to_files()["weights.safetensors"]


def test_facts_are_counted_by_hand():
    cat = items()
    bought = [("1", 10.0, "item 01"), ("1", 10.0, "item 05"), ("2", 20.0, "item 02"), ("3", 40.0, "item 01")]
    base = pl.DataFrame(bought, schema=["order_id", "day", "item"], orient="row").with_columns(customer_id=pl.lit("a"))
    h = histories(
        base.select("customer_id", "order_id", "item", ts_ms=(pl.col("day") * DAY_MS).cast(pl.Int64),
                    revenue_cents=pl.lit(100), deal=pl.lit(True), channel=pl.lit("store")), cat,
    )  # fmt: skip
    table, covers, _, _ = told()
    shown = pl.DataFrame({
        "customer_id": ["a"] * 3, "offer_id": ["k00", "k02", "k01"], "start_ms": [d * DAY_MS for d in (12, 22, 30)],
        "closed_ms": [d * DAY_MS for d in (18, 28, 37)], "used_ms": [15 * DAY_MS, 31 * DAY_MS, None],
    })  # fmt: skip
    uses = pl.DataFrame({"customer_id": ["a", "a"], "ts_ms": [15 * DAY_MS, 30 * DAY_MS], "lines": [9, 1]})
    full = expose(h, offers(table, covers, cat), shown, uses)
    asked = AskedExposures(
        np.zeros(3, np.int64), np.array([12.0, 30.0, 30.0]), np.array([0, 1, 2]), np.zeros(3, np.float32)
    )
    got = facts(full, asked, count(full, asked.customer_Q, full.before(asked.customer_Q, asked.day_Q), asked.day_Q, 12))
    assert got[0, :2].tolist() == [0, 0]  # shown before, answered before: nothing strictly before day 12
    assert np.isnan(got[0, 2])  # nothing shown: the share of answers is unknown, not 0
    assert got[0, 3] == 0
    assert np.isnan(got[0, 4:]).all()  # k00 covers nothing in particular
    assert got[1, :3].tolist() == [2, 1, 0.5]  # the redemption of day 31 is not known on day 30
    faded = 60 / np.log(2) * (1 - 0.5 ** (20 / 60))
    assert got[1, 3] == pytest.approx(5 * 0.5 ** (15 / 60) / faded * 7)  # nine lines count as five; day 30 not yet
    assert got[1, 7] == pytest.approx(2 / 12)  # both covered items bought, of two, shrunk by ten
    assert got[1, 6] == 1.0
    assert got[2, 7] == 0.0  # k02 covers item 03, which he never bought: a true zero
    share = np.r_[2.0 ** (-20 / 40), 2.0 ** (-10 / 40)] / np.array([1.6309297, 1.0])  # visit weights 1 / IDEAL[size]
    assert got[1, 4] == pytest.approx(share.sum() / (2.0 ** (-20 / 40) + 2.0 ** (-10 / 40)), rel=1e-5)


def test_row_order_and_strangers_play_no_part_and_doubles_are_refused():
    table, covers, shown, uses = told(20)
    h = shop(20)
    made = offers(table.reverse(), covers.reverse(), h.catalogue)
    extra = shown.head(1).with_columns(customer_id=pl.lit("stranger"))
    a = expose(h, made, pl.concat([extra, shown.reverse()]), uses.reverse())
    b = exposed(20)
    for name, value in b.exposures.__dict__.items():
        if name != "offers":
            assert np.array_equal(value, getattr(a.exposures, name)), name
    assert np.array_equal(made.depth_O, b.exposures.offers.depth_O, equal_nan=True)
    assert made.line_O.tolist() == b.exposures.offers.line_O.tolist()
    with pytest.raises(InputError, match="an offer stands twice"):
        offers(pl.concat([table, table]), covers, h.catalogue)
    with pytest.raises(InputError, match="lack the columns"):
        expose(h, made, shown.drop("closed_ms"), uses)


def test_some_customers_are_the_whole_for_them():
    h = exposed(20)
    some = h.exposures.of(np.array([3, 3, 11]))
    assert some.start_C.tolist() == [0, *np.cumsum(np.diff(h.exposures.start_C)[[3, 3, 11]]).tolist()]
    own = slice(h.exposures.mark_start_C[11], h.exposures.mark_start_C[12])
    assert some.mark_day_X[some.mark_start_C[2] :].tolist() == h.exposures.mark_day_X[own].tolist()


def test_reasons_leave_out_visits_but_no_exposure():
    h, model = exposed(), trained()
    shared, item = popularity(h, END), h.catalogue.items[0]
    told = drivers(model, h, shared, 3, END, item)
    assert told.height == min(40, h.start_C[4] - h.start_C[3])
    lone = replace(
        h.until(END), customers=("c003",), start_C=h.start_C[3:5], attribute_CA=h.attribute_CA[3:4],
        exposures=h.exposures.of(np.array([3])),
    )  # fmt: skip
    assert drivers(model, lone, shared, 0, END, item)["effect"].to_list() == pytest.approx(
        told["effect"].to_list(), abs=1e-4
    )
    with pytest.raises(AssertionError, match="other customers"):
        replace(h, start_C=h.start_C[3:5])


def test_saved_files_predict_redemption_the_same_and_others_refuse():
    h, model = exposed(), trained()
    shared, asked = popularity(h, END), everybody(exposed(), 1, END)
    again = LearnedEncoder.from_files(model.to_files())
    assert np.concatenate(list(again.redemption(h, shared, asked, 17))) == pytest.approx(
        np.concatenate(list(model.redemption(h, shared, asked))), abs=1e-4
    )
    plain = fit_encoder(shop(), END, FAST.model_copy(update={"epochs": 1}))
    with pytest.raises(InputError, match="trained without exposures"):
        next(plain.redemption(h, shared, asked))


def test_too_few_closed_exposures_are_not_calibrated_on():
    h, model = exposed(), trained()
    with pytest.raises(SupportError, match="of each outcome are needed"):
        calibrate_redemption(model, h, popularity(h, END), END, END + 56)
    few = (END - 25, END - 14)
    line = calibrate_redemption(model, h, popularity(h, END), *few)
    assert line.slope == 1.0
    asked = closed_in(h, np.arange(90), *few)
    found = redemption_prob(model, line, h, popularity(h, END), asked)
    assert found.mean() == pytest.approx(float(asked.redeemed_Q.mean()), abs=1e-6)


def test_the_number_of_threads_changes_no_weight():
    one, threads, found = FAST.model_copy(update={"epochs": 1}), torch.get_num_threads(), []
    for many in (1, 2):
        torch.set_num_threads(many)
        try:
            found.append(fit_encoder(exposed(), END, one).to_files()["weights.safetensors"])
        finally:
            torch.set_num_threads(threads)
    assert found[0] == found[1]
