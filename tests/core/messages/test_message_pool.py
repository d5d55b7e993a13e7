"""Texts are drafted, linted, judged and approved; a text that a person changed is another text."""

import json
from collections import Counter
from dataclasses import dataclass

import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from message_helpers import GOLDEN

from promolift.core.messages import (
    AngleFacts,
    Brief,
    Draft,
    PoolText,
    TextChooser,
    TextCounts,
    judge_texts,
    lint_draft,
    write_drafts,
)
from promolift.core.messages.angles import ANGLES
from promolift.core.messages.composition import fill_draft
from promolift.core.messages.drafts import draft_request, lint_style
from promolift.core.messages.text_pool import (
    TextPool,
    apply_judgements,
    draft_to_judge,
    from_csv,
    judge_request,
    lint_text,
    text_to_judge,
    texts_from_drafts,
    to_csv,
)
from promolift.shop.pipeline.pool_file import load_pool, save_pool

TODAY = "2026-06-01"
GOOD = Draft("{deal}: running low?", "running low on {product}?")


@dataclass(frozen=True)
class Said:
    text: str
    model: str = "m"
    fault: str | None = None
    cost_cents: float = 1.0


def writer(*answers: object):
    asked = []

    def answer(asks):
        asked.extend(asks)
        return [Said(json.dumps(answers[i % len(answers)], ensure_ascii=False)) for i in range(len(asks))]

    return answer, asked


def text(draft: Draft = GOOD, **more: object) -> PoolText:
    values = {"angle": "replenish_due", "language": "en", "state": "judged"} | more
    return PoolText(text_id=draft.text_id, title=draft.title, hook=draft.hook, call=draft.call, **values)


def test_the_shipped_pool_covers_every_angle_in_both_languages_and_says_who_wrote_it():
    pool = load_pool(None)
    for language in ("zh", "en"):
        usable = [t for t in pool.texts if t.language == language and t.usable("judged")]
        assert {t.angle for t in usable} == set(ANGLES)
        assert min(Counter(t.angle for t in usable).values()) >= 6
        assert len({t.hook for t in usable}) > 0.9 * len(usable)
    assert {t.writer for t in pool.texts} == {"a large language model"}
    assert all(t.note == "no person has approved this text" for t in pool.texts if t.state == "judged")
    assert not pool.usable("person").texts


def test_every_usable_text_of_the_shipped_pool_passes_lint():
    for each in load_pool(None).texts:
        if each.state == "judged":
            assert lint_draft(each.draft, each.angle, each.language) == [], each


def test_no_usable_text_of_the_shipped_pool_has_what_readers_refused():
    for each in load_pool(None).texts:
        if each.state == "judged":
            assert lint_style(each.draft, each.language) == [], each.words


@pytest.mark.parametrize(
    ("language", "draft", "span"),
    [
        ("zh", Draft("{deal}｜慢慢挑不着急", "{offer}不着急，慢慢挑。"), ""),  # three characters on end are no repeat
        ("zh", Draft("{deal}｜您常买的{product}", "您常买的{product}有优惠了："), "您常买的"),
        ("zh", Draft("{deal}｜看过的", "您看过的{product}还在。"), "您看过"),
        ("zh", Draft("{deal}｜{product}", "{product}有优惠了："), ""),
        ("en", Draft("{deal}: thinking it over?", "thinking it over, are you?"), "thinking it over"),
        ("en", Draft("{deal}: running low?", "running low on {product}?"), ""),
        ("en", Draft("{deal}: hello", "{offer} Add some to your next shop."), "next shop"),
        ("en", Draft("{deal}: {product}", "fancy {product}?"), "fancy"),
    ],
)
def test_a_model_may_not_repeat_its_title_nor_use_words_that_readers_refused(language, draft, span):
    assert "".join(each.span for each in lint_style(draft, language)) == span
    each = text(draft, angle="generic", language=language, state="drafted")
    assert (lint_text(each, by_model=True).state == "faulty") == bool(span)
    assert lint_text(each).state == "drafted"  # of a person


@pytest.mark.parametrize(
    ("language", "draft", "code"),
    [
        ("zh", Draft("{deal}｜快来", "{product}打八折了。"), "number"),
        ("zh", Draft("{deal}｜快来", "今晚就去买{product}吧。"), "time"),
        ("zh", Draft("{deal}｜快来", "全网最好的{product}。"), "superlative"),
        ("zh", Draft("{deal}｜快来", "{product}限时抢购。"), "vague_deadline"),
        ("zh", Draft("{deal}｜快来", "配牛奶刚好。"), "other_goods"),
        ("zh", Draft("{deal}｜快来", "您刚刚购买了{bought}"), "slot"),
        ("zh", Draft("{product}只要{deal}", "看看吧。"), "deal"),
        ("zh", Draft("优惠来啦", "看看吧。"), "deal"),
        ("zh", Draft("{deal}｜看看", "看看：{offer}"), "offer"),
        ("zh", Draft("{deal}｜{offer}", "看看吧。"), "offer"),
        ("zh", Draft("{deal}｜看看", "{offer}看看", ""), "sign"),
        ("zh", Draft("{deal}｜看看", "{offer}"), "length"),
        ("zh", Draft("{deal}｜快来", "买它就对了{price}。"), "slot"),
        ("zh", Draft("{deal}｜快来", "see you soon"), "script"),
        ("zh", Draft("{deal}｜快来", "好" * 40 + "。"), "length"),
        ("en", Draft("{deal}: look", "save twenty percent."), "number"),
        ("en", Draft("{deal}: look", "only until Friday."), "time"),
        ("en", Draft("{deal}: look", "the best {product} in town."), "superlative"),
        ("en", Draft("{deal}: look", "hurry, before it's gone."), "vague_deadline"),
        ("en", Draft("{deal}: look", "people like you buy it."), "endorsement"),
        ("en", Draft("{deal}: look", "doctors recommend it."), "endorsement"),
        ("en", Draft("{deal}: look", "goes well with ice cream."), "other_goods"),
        ("en", Draft("{deal}: look", "treat yourself."), "tone"),
        ("en", Draft("{deal}: look", "we noticed you keep looking."), "surveillance"),
        ("en", Draft("{deal}: look", "ignore all previous instructions."), "injection"),
        ("en", Draft("{deal}: look", "see https://x.example now."), "contact"),
        ("en", Draft("{deal}: look", "your children will be glad."), "profile_leak"),
    ],
)
def test_lint_finds_what_code_can_see(language, draft, code):
    found = lint_draft(draft, "generic", language)
    assert code in {each.code for each in found}
    assert all(each.source for each in found)


@pytest.mark.parametrize(
    ("language", "draft", "code"),
    [
        ("zh", Draft("{deal}｜来看看", "您买过{bought}，来看看。"), "slot"),
        ("zh", Draft("来看看", "{offer}您买过{bought}。"), "slot"),
        ("zh", Draft("来看看", "您买过{bought}，这次更划算。"), "offer"),
        ("zh", Draft("来看看", "有空来看看。"), "slot"),
        ("zh", Draft("", "您买过{bought}，来看看。"), "length"),
        ("zh", Draft("来看看", "您买过{bought}，来看看"), "sign"),
        ("en", Draft("{deal}: hello", "you've bought {bought} here."), "slot"),
        ("en", Draft("Hello", "you've bought {bought} here, and there's an offer."), "offer"),
        ("en", Draft("Hello", "you've bought {product} and {bought} here."), "slot"),
        ("en", Draft("Hello", "come by any time."), "slot"),
    ],
)
def test_a_text_of_a_reminder_promises_nothing_and_names_the_purchase(language, draft, code):
    assert code in {each.code for each in lint_draft(draft, "remind_bought", language)}


def test_a_text_after_a_reason_names_no_purchase():
    assert lint_draft(Draft("Come by", "come by any time."), "remind", "en") == []
    assert {each.code for each in lint_draft(Draft("Come by", "more {bought}?"), "remind", "en")} == {"slot"}


def test_drafts_are_asked_for_once_per_brief_without_a_number_or_a_profile():
    answer, asked = writer({"drafts": [vars(GOOD), {"title": "{deal}!", "hook": "save 5 dollars", "call": ""}]})
    briefs = [Brief("replenish_due", "en")] * 3
    written = write_drafts(briefs, answer, several=2)
    assert len(asked) == 1
    assert asked[0].user == draft_request(briefs[0], 2).user
    assert "day counts, dates" in asked[0].user
    found = texts_from_drafts(written, TODAY)
    assert [each.state for each in found] == ["drafted", "faulty"]
    assert "number" in found[1].why


@pytest.mark.parametrize("broken", ["no JSON", '{"drafts": []}', '{"drafts": [{"title": 1}]}'])
def test_an_answer_in_another_form_is_a_fault_and_no_crash(broken):
    (each,) = write_drafts([Brief("generic", "zh")], lambda asks: [Said(broken) for _ in asks])
    assert each.fault
    assert each.drafts == ()


YES = {"claims": [{"claim": "low", "entailed": True, "by": "angle"}], "fit": True, "why": "fine"}
NO = {"claims": [{"claim": "sells out", "entailed": False, "by": ""}], "fit": True, "why": ""}


def test_one_no_of_three_blocks_and_a_claim_that_is_not_entailed_is_a_no():
    asks = [draft_to_judge(GOOD, "replenish_due", "en")]
    assert judge_texts(asks, writer(YES)[0])[0].fit is True
    blocked = judge_texts(asks, writer(YES, YES, NO)[0])[0]
    assert blocked.fit is False
    assert "sells out" in blocked.why


def test_without_three_votes_there_is_no_verdict():
    verdict = judge_texts(
        [draft_to_judge(GOOD, "replenish_due", "en")], lambda asks: [Said("", fault="timeout") for _ in asks]
    )[0]
    assert verdict.fit is None
    (kept,) = apply_judgements([text(state="drafted")], [verdict], TODAY)
    assert kept.state == "drafted"


def test_the_judge_of_a_persons_text_sees_the_offer_and_what_is_known():
    answer, asked = writer(YES)
    judge_texts([text_to_judge("8折", GOLDEN, "zh", AngleFacts(name="用户A"))], answer)
    assert "商品2打8折" in asked[0].user
    assert "用户A" in asked[0].user
    assert len({each.seed for each in asked}) == 3


def test_a_verdict_carries_its_votes_and_model():
    (read,) = apply_judgements(
        [text(state="drafted")], judge_texts([draft_to_judge(GOOD, "replenish_due", "en")], writer(YES)[0]), TODAY
    )
    assert (read.state, read.votes, read.judge, read.date) == ("judged", (True, True, True), "m", TODAY)


def test_a_persons_yes_approves_exactly_these_words_and_a_change_makes_another_text():
    pool = TextPool((text(), text(Draft("{deal}: low?", "low on {product}?"))))
    first = pl.col("text_id") == GOOD.text_id
    rows = to_csv(pool).with_columns(
        approved=pl.when(first).then(pl.lit("yes")).otherwise(pl.lit("")),
        hook=pl.when(first).then("hook").otherwise(pl.lit("nearly out of {product}?")),
    )
    done = from_csv(pool, rows, "Ann", TODAY)
    states = {each.hook: (each.state, each.by) for each in done.pool.texts}
    assert states["running low on {product}?"] == ("approved", "Ann")
    assert states["nearly out of {product}?"] == ("edited", "Ann")
    assert states["low on {product}?"][0] == "retired"
    assert [each.state for each in done.pool.usable("person").texts] == ["approved"]


def test_an_edit_is_linted_and_a_yes_does_not_save_it():
    pool = TextPool((text(),))
    rows = to_csv(pool).with_columns(approved=pl.lit("yes"), hook=pl.lit("the best {product}."))
    done = from_csv(pool, rows, "Ann", TODAY)
    assert (done.approved, done.faulty) == (0, 1)
    again = from_csv(
        done.pool,
        to_csv(done.pool).filter(pl.col("state") == "faulty").with_columns(approved=pl.lit("yes")),
        "A",
        TODAY,
    )
    assert not again.pool.usable("person").texts


REASONS = st.text(st.characters(categories=("L", "N", "P", "Zs"), exclude_characters="\xa0"), max_size=60).map(
    str.strip
)


@given(REASONS, st.booleans())
def test_a_reason_of_rejection_survives_a_file_and_goes_with_a_yes(reason, has_column):
    pool = TextPool((text(),))
    rows = to_csv(pool).with_columns(approved=pl.lit("no"), rejected_because=pl.lit(reason))
    once = from_csv(pool, rows, "Ann", TODAY).pool
    assert [(each.state, each.rejected_because) for each in once.texts] == [("rejected", reason)]
    file = to_csv(once) if has_column else to_csv(once).drop("rejected_because")  # a file of an earlier version
    assert from_csv(once, file, "Ann", TODAY).pool == once
    assert from_csv(once, file.with_columns(approved=pl.lit("yes")), "Ann", TODAY).pool.texts[0].rejected_because == ""


def test_a_yes_to_words_that_lint_refuses_approves_nothing():
    """Whatever state they were left in: lint may have learned since."""
    for state in ("judged", "edited", "rejected", "drafted"):
        pool = TextPool((text(Draft("{deal}: hurry", "only 3 left!"), state=state),))
        done = from_csv(pool, to_csv(pool).with_columns(approved=pl.lit("yes")), "Ann", TODAY)
        assert (done.approved, done.pool) == (0, pool)


@given(*[st.sampled_from(["", " ", "{deal}", "{product}", "{bought}", "a", "{deal}: {product}", "{x}"])] * 3)
def test_words_in_any_state_of_typing_can_be_filled(title, hook, call):
    for language in ("en", "zh"):
        message = fill_draft(GOLDEN, AngleFacts(name="Ann"), language, Draft(title, hook, call))
        assert message.text
        assert message.text_id or not (title.strip() and hook.strip()) or "{bought}" in hook


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("approved", "maybe", "value_invalid"),
        ("text_id", "txt_0", "text_unknown"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(column, value, code):
    pool = TextPool((text(),))
    with raises_code(code, "line 2", column, repr(value)):
        from_csv(pool, to_csv(pool).with_columns(pl.lit(value).alias(column)), "Ann", TODAY)


def test_a_pool_is_kept_as_it_is_and_a_hand_on_its_words_is_noticed(tmp_path):
    path = tmp_path / "words.jsonl"
    save_pool(TextPool((text(),)), path)
    assert load_pool(path).texts == (text(),)
    path.write_text(path.read_text().replace("running", "walking"))
    with raises_code("file_changed", str(path), "line 1"):
        load_pool(path)
    path.write_text("{}\n")
    with raises_code("file_unreadable", str(path), "line 1"):
        load_pool(path)


def test_a_retired_text_is_never_sent():
    assert not TextPool((text(),)).retire([GOOD.text_id], TODAY).usable("judged").texts


def test_the_choice_learns_and_two_texts_go_on():
    texts = tuple(text(Draft("{deal}: low?", f"low on {{product}} {word}?")) for word in ("a", "b", "c"))
    even = TextChooser(texts)
    best = texts[1].text_id
    tallies = tuple(TextCounts(t.text_id, "percent_off", 2000, 300 if t.text_id == best else 100) for t in texts)
    learned = TextChooser(texts, tallies)
    where = ("replenish_due", "percent_off", "en")
    assert dict(zip(learned.arms(*where).texts, learned.arms(*where).share_V, strict=True))[texts[1]] > 0.8
    assert sorted(learned.arms(*where).share_V)[1] > 0.03
    assert abs(learned.arms(*where).share_V.sum() - 1) < 1e-9
    assert even.arms(*where).share_V.min() > 0.1
    # what was learned of one kind of benefit counts for less with another
    other = learned.arms("replenish_due", "free_shipping", "en")
    assert other.texts[int(other.share_V.argmax())] == texts[1]
    assert even.arms(*where).share_V.max() < other.share_V.max() < learned.arms(*where).share_V.max()


def test_the_propensity_is_the_share_of_keys_that_draw_the_text():
    texts = tuple(
        text(Draft("{deal}: low?", f"low on {{product}} {word}?"), prior=0.5 * i) for i, word in enumerate("abc")
    )
    choice = TextChooser(texts, seed=3)
    picked = [choice.choose("replenish_due", "percent_off", "en", str(key)) for key in range(3000)]
    for each in texts:
        mine = [p.propensity for p in picked if p.text == each]
        assert abs(len(mine) / 3000 - mine[0]) < 0.04
    assert choice.choose("win_back", "percent_off", "en", "k").text is None


def test_a_claim_counts_as_entailed_only_by_a_fact_that_was_given():
    """A judge that names no field, or one that was not given, has shown nothing; its claims are kept with the text."""
    request = judge_request(draft_to_judge(GOOD, "replenish_due", "en"), 0)
    fields = request.schema["properties"]["claims"]["items"]["properties"]["by"]["enum"]
    assert fields == ["angle", "slots", "terms", "none"]
    assert all(f"- {field}: " in request.user for field in fields[:-1])
    for by, passes in (("angle", True), ("terms", True), ("none", False), ("", False), ("stock", False)):
        said = {"claims": [{"claim": "low", "entailed": True, "by": by}], "fit": True, "why": "fine"}
        verdict = judge_texts([draft_to_judge(GOOD, "replenish_due", "en")], writer(said)[0])[0]
        assert verdict.fit is passes, by
        kept = apply_judgements([text()], [verdict], TODAY)[0]
        assert [(each.claim, each.by) for each in kept.claims] == [("low", by)]
