"""Draft, judge, review and check the texts of the pool, for the commands `words` and `check`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import NamedTuple, get_args

import polars as pl

from promolift.core import messages
from promolift.core.messages import text_pool as pools
from promolift.core.messages.angles import AngleFacts
from promolift.core.messages.channels import Channel
from promolift.core.messages.drafts import OFFER_RULE, Draft
from promolift.core.messages.text_pool import Judgement, PoolText, TextPool, draft_to_judge, text_to_judge
from promolift.core.messages.voice import VoiceCard
from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.frames import escape_formulas
from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext
from promolift.foundation.i18n.formatting import MoneyFormat, in_brackets, join_sentences
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy, ngettext_lazy, render_message
from promolift.foundation.language_model import UsageMeter
from promolift.foundation.localized_text import Language
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.file_lock import exclusive_lock
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.configuration.goods_names import current_day
from promolift.shop.configuration.model_status import has_judge, load_judge, load_model
from promolift.shop.pipeline import text_review
from promolift.shop.pipeline.pool_file import load_shop_pool, save_pool
from promolift.shop.reports.text_briefs import (
    DraftOptions,
    judge_setting,
    make_briefs,
    show_judge_prompts,
    show_prompts,
    usage_text,
)
from promolift.shop.reports.text_values import (
    describe_wanted,
    how_to_write,
    learn_pool,
    learned_folders,
    read_text_values,
    text_list,
)
from promolift.shop.results.messages import Offers

PENDING_STATES = ("drafted", "edited")  # what a judge has not read
TEXTS_SHOWN = 10


class ReviewChoices(NamedTuple):
    """Ids that a person approves, rejects or retires, who it is, and why they reject."""

    approve: Sequence[str]
    reject: Sequence[str]
    retire: Sequence[str]
    by: str
    because: str = ""


class TextCheck(NamedTuple):
    """What a text is checked against: the offer's id, its language, its channel."""

    offer: str | None
    language: str | None
    channel: str


def draft_texts(config: Config, work: Path, voice: VoiceCard, asked: DraftOptions) -> StepSummary:
    """Ask the model for drafts of each brief, lint them, keep them. A dry run prints the prompts and calls nothing.

    Raises ConfigError `cost_cap_reached` if the cap forbade a call; the drafts that came back are kept.
    """
    briefs = make_briefs(config, _pool(config), work, voice, asked)
    if asked.successors and not briefs:
        return pool_summary(config, gettext("No draft is asked for: each text that learning dropped has a successor."))
    if asked.dry_run:
        return show_prompts(config, briefs, asked)
    model = UsageMeter(load_model(config))
    written = messages.write_drafts(briefs, model, asked.several, config.plan.seed)
    made, found = pools.texts_from_drafts(written, current_day()), list[PoolText]()

    def add(pool: TextPool) -> TextPool:
        known = {text.text_id for text in pool.texts}  # a draft takes back nobody's yes or no to the same words
        found.extend(text for text in made if text.text_id not in known)
        return pool.merge(found)

    pool = change_pool(config, add)
    if model.capped:
        kept = ngettext_lazy("{n} draft is kept", "{n} drafts are kept", len(found), n=len(found))
        raise _capped("words draft", "llm.remote", model, kept)
    failed = [
        "  "
        + gettext(
            "no answer for {angle} {language}: {fault}",
            angle=each.brief.angle,
            language=each.brief.language,
            fault=render_message(each.fault),
        )
        for each in written if each.fault
    ]  # fmt: skip
    faulty = [
        f"  {text.title} {text.hook}: {render_message(LazyMessage.from_text(text.why))}"
        for text in found
        if text.state == "faulty"
    ]
    head = gettext(
        "Drafts that wait for `promolift words judge`: {waiting}. Faulty drafts: {faulty}.",
        waiting=len(found) - len(faulty),
        faulty=len(faulty),
    )
    lines = [head, usage_text(model.usage), *failed[:TEXTS_SHOWN], *faulty[:TEXTS_SHOWN]]
    return _summary(config, pool, "\n".join(lines), **model.usage._asdict())


def _capped(command: str, where: str, model: UsageMeter, done: LazyMessage) -> ConfigError:
    message = gettext_lazy(
        "{command}: the next call could take more than {setting} allows; spent are {tokens} tokens for {cost} cents, "
        "{done}; raise the cap or ask for less",
        command=command,
        setting=f"{where}.{model.capped}",
        tokens=f"{model.usage.tokens_in + model.usage.tokens_out:,}",
        cost=f"{model.usage.cost_cents:.2f}",
        done=done,
    )
    return ConfigError("cost_cap_reached", message)


def add_draft(config: Config, angle: messages.Angle, language: Language, draft: Draft, writer: str) -> StepSummary:
    """Lint a text that `writer` made and keep it as a draft: it is sent when judge and person have said yes.

    InputError where the pool has these words already, so that nobody's yes is taken back.
    """
    if draft.text_id in {text.text_id for text in _pool(config).texts}:
        raise InputError(
            "text_exists",
            gettext_lazy("the pool has these words already; `promolift words review` shows where they stand"),
        )
    told = {"text_id": draft.text_id, "angle": angle, "language": language, "writer": writer, "date": current_day()}
    text = pools.lint_text(PoolText.model_validate(told | vars(draft)))
    pool = _keep(config, _pool(config).merge([text]))
    if text.state == "faulty":
        said = gettext(
            "{text_id}: faulty: {why}", text_id=text.text_id, why=render_message(LazyMessage.from_text(text.why))
        )
    else:
        said = gettext("{text_id}: a draft; `promolift words review` shows it to a person", text_id=text.text_id)
    return _summary(config, pool, said, text_id=text.text_id, state=text.state)


def judge_pool(config: Config, tests: Path | None = None, dry_run: bool = False) -> StepSummary:
    """Three votes on every text that waits for the judge; randomised `tests` of texts give all a prior.

    A dry run prints the prompts and calls nothing.
    """
    from promolift.core.messages.text_ranker import fit_ranker  # a refusal waits for no model

    pool = _pool(config)
    texts = [text for text in pool.texts if text.state in PENDING_STATES]
    asks = [draft_to_judge(text.draft, text.angle, text.language) for text in texts]
    verdicts, model = list[Judgement](), None
    if dry_run:
        return show_judge_prompts(config, texts)
    if asks or tests is None:
        model = UsageMeter(load_judge(config))
        verdicts = messages.judge_texts(asks, model, seed=config.plan.seed)
    read = pools.apply_judgements(texts, verdicts, current_day())
    passed, refused = (sum(verdict.fit is fit for verdict in verdicts) for fit in (True, False))
    ranker, spoken = None, ""
    if tests is not None:
        arms = _table(tests, ("test_id", "text", "shown", "clicked"))
        ranker, spoken = fit_ranker(arms), _language(" ".join(arms["text"].drop_nulls().head(50)), None)

    def change(pool: TextPool) -> TextPool:
        waiting = {text.text_id for text in pool.texts if text.state in PENDING_STATES}  # a person may have decided
        pool = pool.merge(text for text in read if text.text_id in waiting)
        alike = [text for text in pool.texts if text.language == spoken]
        if ranker is None:
            return pool
        return pool.merge(pools.apply_ranker_scores(alike, ranker.scores([t.draft.plain for t in alike]).tolist()))

    pool = change_pool(config, change)
    if model and model.capped:
        where = judge_setting(config)
        verdicts_kept = ngettext_lazy(
            "{n} verdict is kept", "{n} verdicts are kept", passed + refused, n=passed + refused
        )
        raise _capped("words judge", where, model, verdicts_kept)
    why = [
        f"  {text.title} {text.hook}: {render_message(LazyMessage.from_text(text.why))}"
        for text in read
        if text.state == "rejected"
    ][:TEXTS_SHOWN]
    lost = len(verdicts) - passed - refused
    head = gettext(
        "Texts that passed: {passed}. Rejected: {rejected}. Without a verdict: {lost}.",
        passed=passed,
        rejected=refused,
        lost=lost,
    )
    spent = [usage_text(model.usage)] if model else []
    return _summary(config, pool, "\n".join([head, *spent, *why]), **(model.usage._asdict() if model else {}))


def review_pool(config: Config, said: ReviewChoices) -> StepSummary:
    """Show what waits for a person, or keep what they say."""
    pool = _pool(config)
    ids = (*said.approve, *said.reject, *said.retire)
    if unknown := sorted(set(ids) - {text.text_id for text in pool.texts}):
        raise InputError(
            "text_unknown",
            gettext_lazy(
                "words review: no text {text_id} in the pool; `promolift words review` lists them",
                text_id=repr(unknown[0]),
            ),
        )
    if not ids:
        waiting = [text for text in pool.texts if text.waits]
        rows = [f"  {t.text_id} {t.angle} {t.language}: {t.title} / {t.hook} {t.call}".rstrip() for t in waiting]
        head = ngettext("{n} text waits for a person.", "{n} texts wait for a person.", len(rows), n=len(rows))
        lines = [head, *rows[:TEXTS_SHOWN]]
        if len(rows) > TEXTS_SHOWN:
            more = len(rows) - TEXTS_SHOWN
            lines.append("  " + gettext("and {more} more: `promolift words export FILE.csv`", more=more))
        return _summary(config, pool, "\n".join(lines))
    if not said.by:
        raise _who_missing("words review")

    def change(pool: TextPool) -> TextPool:
        pool = text_review.decide(pool, said.approve, True, said.by, current_day())
        pool = text_review.decide(pool, said.reject, False, said.by, current_day(), said.because)
        return pool.retire(said.retire, current_day())

    kept = change_pool(config, change)
    states = {text.text_id: text.state for text in kept.texts}
    approved = sum(states[each] == "approved" for each in said.approve)
    rejected = sum(states[each] == "rejected" for each in said.reject)
    return _summary(config, kept, review_counts(approved, rejected, len(said.retire)))


def review_counts(approved: int, rejected: int, retired: int) -> str:
    """Say what a person decided about texts, in the language in use."""
    return gettext(
        "Approved: {approved}. Rejected: {rejected}. Retired: {retired}.",
        approved=approved,
        rejected=rejected,
        retired=retired,
    )


def _who_missing(command: str) -> InputError:
    message = gettext_lazy("{command}: say who you are with --by NAME; it is kept with every text", command=command)
    return InputError("option_missing", message)


def list_pool(config: Config, work: Path, learned: Path) -> StepSummary:
    """List texts with what each earned, those that learning dropped, and the drafts that it asks for."""
    pool, found = _pool(config), list[str]()
    learning = learn_pool(config, pool, work)
    values = read_text_values(*learned_folders(config, work, learned))
    usable = pool.usable(config.message.approve).texts
    sent = [text for text in usable if text.text_id in values or text.restored_by]
    sent += [each.text for each in learning.dropped if each.text not in sent]
    lines = text_list(tuple(dict.fromkeys(sent)), values, learning, MoneyFormat(config.shop.currency))
    found += lines or [gettext("Nothing is known yet of any text: run promolift learn when messages were sent.")]
    found += [describe_wanted(each) for each in learning.wanted]
    if learning.wanted:
        found.append(how_to_write(config))
    figures = {
        "texts": [asdict(values[text.text_id]) | {"answer": values[text.text_id].answer, "words": text.words}
                  for text in usable if text.text_id in values],
        "dropped": [{"text_id": each.text.text_id, "benefit": each.benefit, "winner": each.winner.text_id}
                    for each in learning.dropped],
        "wanted": [{"angle": each.angle, "language": each.language, "successor_of": [t.text_id for t in each.dropped],
                    "winners": [t.text_id for t in each.winners]} for each in learning.wanted],
    }  # fmt: skip
    return _summary(config, pool, "\n".join(found), **figures)


def restore_texts(config: Config, work: Path, text_ids: Sequence[str], by: str) -> StepSummary:
    """Bring texts back that learning dropped: they go on being sent until a person retires or rejects them."""
    if not by.strip():
        raise _who_missing("words restore")

    def change(pool: TextPool) -> TextPool:
        return bring_back(config, pool, work, text_ids, by.strip())

    kept = change_pool(config, change)
    said = gettext("Brought back: {n}, by {who}. The next plan sends them again.", n=len(set(text_ids)), who=by.strip())
    return _summary(config, kept, said, restored=sorted(set(text_ids)))


def bring_back(config: Config, pool: TextPool, work: Path, text_ids: Sequence[str], by: str) -> TextPool:
    """Return the pool with these texts brought back. InputError for one that is unknown or that learning sends."""
    dropped = {each.text.text_id for each in learn_pool(config, pool, work).dropped}
    for each in text_ids:
        if each not in {text.text_id for text in pool.texts}:
            raise InputError("text_unknown", gettext_lazy("no text {text_id} in the pool", text_id=each))
        if each not in dropped:
            raise InputError("text_not_dropped", gettext_lazy("learning did not drop the text {text_id}", text_id=each))
    return pool.bring_back(set(text_ids), by, current_day())


def export_pool(config: Config, file: Path) -> StepSummary:
    """The pool as CSV."""
    pool = _pool(config)
    draft_ = file.with_name(f".{file.name}.part")
    escape_formulas(pools.to_csv(pool)).write_csv(draft_, include_bom=True)
    draft_.replace(file)
    said = gettext(
        "{texts} texts in {file}: write yes or no into `approved`, then `promolift words import {file} --by NAME`.",
        texts=len(pool.texts),
        file=file,
    )
    return _summary(config, pool, said)


def import_pool(config: Config, file: Path, by: str) -> StepSummary:
    """A person's CSV."""
    if not by.strip():
        raise _who_missing("words import")
    rows = _table(file, ("text_id",), typed=False)
    rows = rows.with_columns(pl.all().str.strip_prefix("'"))  # what `safe_cells` put before a formula
    done = list[pools.ImportResult]()

    def change(pool: TextPool) -> TextPool:
        done.append(pools.from_csv(pool, rows, by.strip(), current_day()))
        return done[0].pool

    kept, (found,) = change_pool(config, change), done
    text = gettext(
        "Approved: {approved}. Rejected: {rejected}. Faulty: {faulty}.",
        approved=found.approved,
        rejected=found.rejected,
        faulty=found.faulty,
    )
    if found.edited:
        edited = gettext(
            "With new words: {edited}. They wait for `promolift words judge`, or for a yes to these words.",
            edited=found.edited,
        )
        text = join_sentences(text, edited)
    return _summary(config, kept, text)


def check_file(config: Config, store: Store, file: Path, asked: TextCheck) -> StepSummary:
    """Read the texts of a file against planned offers, as `check_texts` does."""
    return check_texts(config, store, _texts(file, asked.offer), asked, str(file))


def check_texts(
    config: Config, store: Store, texts: Sequence["OfferText"], asked: TextCheck, where: str
) -> StepSummary:  # fmt: skip
    """Read texts against planned offers. Where a model is configured, it judges every text that breaks no rule, also
    one of which code has read all: none passes that the judge has not read. Else what code cannot read waits for a
    person.

    `where` they stand is for the errors.
    """
    if asked.channel not in get_args(Channel):
        raise InputError(
            "option_invalid",
            gettext_lazy(
                "check: channel {channel}; known ones: {known}",
                channel=repr(asked.channel),
                known=", ".join(get_args(Channel)),
            ),
        )
    offers = Offers.load(store).by_id
    lines, figures, bad, waits = [], [], 0, 0
    judge = (
        UsageMeter(load_judge(config)) if has_judge(config) else None
    )  # one for all texts, whose caps hold for the run
    for number, (text, offer_id) in enumerate(texts, 1):
        if offer_id not in offers:
            some = "".join(
                f"\n  {each} ({messages.describe_offer(offers[each], config.report_language)})"
                for each in sorted(offers)[:TEXTS_SHOWN]
            )
            place = {"where": where, "number": number, "offers": len(offers), "some": some}
            if offer_id:
                message = gettext_lazy(
                    "{where}, text {number}: no planned offer {offer_id}; --offer ID names one of {offers}, such "
                    "as{some}",
                    offer_id=repr(offer_id),
                    **place,
                )
                raise InputError("offer_unknown", message)
            message = gettext_lazy(
                "{where}, text {number}: which offer is it about? --offer ID names one of {offers}, such as{some}",
                **place,
            )
            raise InputError("option_missing", message)
        offer = offers[offer_id]
        language = _language(text, asked.language)
        rules = messages.find_broken_rules(text, offer, language, asked.channel, packs=config.message.packs)  # type: ignore[arg-type]
        broken = [rule for rule in rules if rule.code != "unread"]
        read = judge is not None and not broken
        task = text_to_judge(text, offer, language, AngleFacts())
        verdict = messages.judge_texts([task], judge)[0].fit if judge is not None and read else None
        unread = not broken and verdict is None and (read or bool(rules))  # by code and judge
        bad += bool(broken) or verdict is False
        lines.append(
            gettext(
                "text {number}, {offer}: {verdict}",
                number=number, offer=messages.describe_offer(offer, language), verdict=_verdict(rules, verdict, unread),
            )
        )  # fmt: skip
        lines += map(_line, rules)
        waits += unread
        figures.append({"text": text, "offer_id": offer_id, "judge": verdict, "rules": [vars(rule) for rule in rules]})
    refused = gettext("{refused} of {texts} texts are refused.", refused=bad, texts=len(figures))
    waiting = ngettext("{n} waits for a person.", "{n} wait for a person.", waits, n=waits) if waits else ""
    lines.append(join_sentences(refused, waiting))
    if judge is not None and judge.usage.requests:
        lines.append(usage_text(judge.usage))
    if judge is not None and judge.capped:
        setting = f"{judge_setting(config)}.{judge.capped}"
        lines.append(gettext("The judge did not read every text: {setting} allows no further call.", setting=setting))
    spent = {"usage": judge.usage._asdict(), "capped": judge.capped} if judge is not None else {}
    return StepSummary("\n".join(lines), spent | {"texts": figures, "refused": bad, "waiting": waits})


def _line(rule: messages.BrokenRule) -> str:
    """A rule in a line; its source where that is a law or a channel."""
    span = f" {rule.span!r}" if rule.span else ""
    source = in_brackets(render_message(rule.source)) if rule.source not in ("", OFFER_RULE) else ""
    return f"  {rule.code}{span}: {render_message(rule.reason)}{source}"


def _verdict(rules: Sequence[messages.BrokenRule], verdict: bool | None, unread: bool) -> str:
    if any(rule.code != "unread" for rule in rules) or verdict is False:
        return pgettext("text check", "refused")
    if unread:
        return gettext("not refused, but not all of it was read: a person must read it")
    return gettext("true, as far as code and judge read") if rules else pgettext("text check", "true")


class OfferText(NamedTuple):
    """A text and the id of the offer that it is about, None where nobody said."""

    text: str
    offer_id: str | None


def _texts(file: Path, offer: str | None) -> list[OfferText]:
    if file.suffix.lower() != ".csv":
        try:
            return [OfferText(file.read_text(encoding="utf-8").strip(), offer)]
        except (OSError, UnicodeDecodeError) as error:
            raise _unread(file, error) from None
    rows = _table(file, ("text",) if offer else ("text", "offer_id"), typed=False)
    ids = rows["offer_id"] if "offer_id" in rows.columns else pl.Series([offer] * rows.height)
    return [OfferText(text or "", id_) for text, id_ in zip(rows["text"], ids, strict=True)]


def _table(file: Path, needed: Sequence[str], typed: bool = True) -> pl.DataFrame:
    """A CSV or Parquet file. InputError naming the columns it lacks; all text where not `typed`."""
    try:
        parquet = file.suffix.lower() == ".parquet"
        rows = pl.read_parquet(file) if parquet else pl.read_csv(file, infer_schema=typed)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unread(file, error) from None
    if missing := [name for name in needed if name not in rows.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "{file}: needs the columns {missing}; it has {columns}",
                file=file,
                missing=", ".join(missing),
                columns=", ".join(rows.columns),
            ),
        )
    return rows


def _unread(file: Path, error: Exception) -> InputError:
    code = "file_not_found" if isinstance(error, FileNotFoundError) else "file_unreadable"
    return InputError(code, gettext_lazy("{file}: cannot be read ({error})", file=file, error=error))


def _language(text: str, said: str | None) -> Language:
    if said not in (None, "zh", "en"):
        raise InputError(
            "option_invalid", gettext_lazy("check: language {language}; write zh or en", language=repr(said))
        )
    return "zh" if said == "zh" or (said is None and any("\u4e00" <= c <= "\u9fff" for c in text)) else "en"


def count_waiting_texts(config: Config) -> int:
    """Count the texts that a person must read before they are sent; 0 where the judge's verdict is enough."""
    if config.message.approve != "person":
        return 0
    try:
        return sum(each.waits for each in _pool(config).texts)
    except InputError:
        return 0


def _pool(config: Config) -> TextPool:
    """The shop's pool in its languages."""
    return load_shop_pool(config.message).in_languages(config.shop.languages)


def _keep(config: Config, pool: TextPool) -> TextPool:
    save_pool(pool, config.message.pool_path, config.shop.languages)
    return pool


_CHANGING = Lock()


def change_pool(config: Config, change: Callable[[TextPool], TextPool]) -> TextPool:
    """Read the shop's pool in its languages, change it and save it; one change at a time, of this process and of
    others, so that none is lost.
    """
    with _CHANGING, exclusive_lock(config.message.pool_path):
        return _keep(config, change(_pool(config)))


def pool_summary(config: Config, text: str) -> StepSummary:
    """Return what was done, with the states of the pool as it stands."""
    return _summary(config, _pool(config), text)


def _summary(config: Config, pool: TextPool, text: str, **more: object) -> StepSummary:
    funnel = {state: number for state, number in pool.funnel().items() if number}
    usable = len(pool.usable(config.message.approve).texts)
    states = gettext(", ").join(
        gettext("{state}: {number}", state=pgettext("text state", state), number=number)
        for state, number in funnel.items()
    )
    said = gettext("Pool: {states}; {usable} may be sent.", states=states, usable=usable)
    if not usable and config.message.approve == "person":
        alone = gettext("Nobody has approved any: until then messages state their offer alone.")
        said = join_sentences(said, alone)
    return StepSummary(f"{text}\n{said}", {"funnel": funnel, "usable": usable, **more})
