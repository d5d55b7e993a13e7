"""Walk through the texts that wait for a person on a terminal, with the keys of the console's cards."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, NamedTuple

import polars as pl

from promolift.core import messages
from promolift.core.messages import text_pool as pools
from promolift.core.messages.composition import MessageDelivery
from promolift.core.messages.drafts import Draft
from promolift.core.messages.text_pool import PoolText, TextPool
from promolift.core.offers.terms import Offer
from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext
from promolift.foundation.i18n.formatting import current_locale, join_sentences
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.localized_text import LANGUAGE_NAMES
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline import text_review as review
from promolift.shop.pipeline.pool_file import load_shop_pool
from promolift.shop.pipeline.steps.message import wording_of
from promolift.shop.pipeline.text_pool import change_pool, review_counts
from promolift.shop.reports.chapters.recipients import angle_name
from promolift.shop.results.messages import Offers
from promolift.shop.results.work_folder.run_context import Job

MOVES = {"j": 1, "n": 1, "\x1b[B": 1, "\x1b[C": 1, "k": -1, "p": -1, "\x1b[A": -1, "\x1b[D": -1}  # and the arrows
QUIT = ("q", "\x1b", "\x04")


class Terminal(NamedTuple):
    """How the walk reads a key, asks for a line with a default, and prints a line."""

    key: Callable[[], str]
    ask: Callable[[str, str], str]
    say: Callable[[str], None]


class ReviewWalk:
    """A person `by` reads card after card; every decision is saved at once."""

    def __init__(self, config: Config, store: Store | None, by: str, terminal: Terminal) -> None:
        """Without a plan (`store` None or empty) texts are shown as they are written."""
        self.config, self.by, self.terminal = config, by, terminal
        self.way: MessageDelivery = wording_of(config).way
        self.offers: tuple[Offer, ...] = ()
        self.examples: Mapping[Any, review.ReviewExample] = {}
        if store is not None and Offers.has(store):
            self.offers = Offers.load(store).offers
            self.examples = review.find_examples(Job(config, store, lambda *_: None))
        waiting = review.waiting_by_angle(self.pool, self.examples)
        rows = [row for texts in waiting.values() for row in review.pair_texts(texts, config.shop.languages)]
        self.queue = [text.text_id for row in rows for text in row]
        self.read: set[str] = set()
        self.last: Mapping[str, Mapping[str, Any]] = {}  # what the last decision changed
        self.started = monotonic()

    @property
    def pool(self) -> TextPool:
        """The shop's pool as it stands, in its languages."""
        return load_shop_pool(self.config.message).in_languages(self.config.shop.languages)

    def run(self) -> str:
        """Read until the end of the queue or `q`; return what was done."""
        at = 0
        while at < len(self.queue) or self.last:
            if at == len(self.queue):
                self.terminal.say(
                    gettext("That was the last text. u takes the last decision back, any other key ends.")
                )
                if self.terminal.key().lower() != "u":
                    break
                at = self.undo()
                continue
            text = next((each for each in self.pool.texts if each.text_id == self.queue[at]), None)
            if text is None:
                at += 1
                continue
            self.show(text)
            key = self.terminal.key()
            if key.lower() in QUIT:
                break
            at = min(max(at + MOVES.get(key, self.act(key.lower(), text, at)), 0), len(self.queue))
        states = [text.state for text in self.pool.texts if text.text_id in self.read]
        approved, rejected = states.count("approved"), states.count("rejected")
        return review_counts(approved, rejected, 0)

    def show(self, text: PoolText) -> None:
        """Print the card of a text."""
        say, example = self.terminal.say, review.example_for(text, self.examples, self.offers)
        card = review.make_card(text, example, self.way)
        seconds = int(monotonic() - self.started)
        say("")
        say(review.progress_text(len(self.read), len(self.queue), seconds))
        state = pgettext("text state", text.state)
        say(f"[{angle_name(text.angle)} · {LANGUAGE_NAMES[text.language]} · {text.text_id} · {state}]")
        if example:
            say(f"({example.customer_id or '-'}: {messages.describe_offer(example.offer, current_locale())})")
        say(f"  {card.title or text.title}")
        say(f"  {card.message or f'{text.hook} {text.call}'.rstrip()}")
        if card.stand_in:
            say(f"  ({review.stand_in_text(card.stand_in)})")
        for each in card.findings:
            say(f"  ! {each.code} {each.span!r}: {render_message(each.why)}")
        if text.votes:
            say("  " + gettext("judge: {yes} of {all} votes say yes", yes=sum(text.votes), all=len(text.votes)))
        say(gettext("a approve, e edit, r reject, j next, k back, u undo, q quit"))

    def act(self, key: str, text: PoolText, at: int) -> int:
        """Do what a key says; return by how many places to move on."""
        if key == "a":
            return self.decide(text, True, "")
        if key == "r":
            return self.reject(text)
        if key == "e":
            self.edit(text, at)
        elif key == "u" and self.last:
            return self.undo() - at
        return 0

    def undo(self) -> int:
        """Take the last decision back; return the place of its text in the queue."""
        last, self.last = self.last, {}
        change_pool(self.config, lambda pool: review.restore(pool, last, self.by))
        self.read -= set(last)
        return self.queue.index(next(iter(last)))

    def decide(self, text: PoolText, said: bool, because: str) -> int:
        """Keep a yes or a no; a text that breaks a rule stays."""
        before = review.records(self.pool, [text.text_id])
        pool = change_pool(
            self.config, lambda pool: review.decide(pool, [text.text_id], said, self.by, review.current_day(), because)
        )
        if review.records(pool, [text.text_id]) == before:
            self.terminal.say(gettext("It breaks a rule: edit or reject it."))
            return 0
        self.read.add(text.text_id)
        self.last = before
        return 1

    def reject(self, text: PoolText) -> int:
        """Ask why, by a number or in words; nothing is changed without a reason."""
        for number, said in enumerate(review.REJECTION_REASONS.values(), 1):
            self.terminal.say(f"  {number} {gettext(said)}")
        answer = self.terminal.ask(gettext("Why? A number, or your own words; nothing to go back"), "").strip()
        choice = dict(enumerate(review.REJECTION_REASONS, 1)).get(int(answer) if answer.isdecimal() else 0, "")
        because = review.rejection_reason(choice, "" if choice else answer, text.language)
        return self.decide(text, False, because) if because else 0

    def edit(self, text: PoolText, at: int) -> None:
        """Ask for other words until they break no rule; the new text takes the old one's place in the queue."""
        typed = text.draft
        while True:
            title = self.terminal.ask(gettext("Title"), typed.title).strip()
            hook = self.terminal.ask(gettext("Hook"), typed.hook).strip()
            call = self.terminal.ask(gettext("Call to action, - for none"), typed.call).strip()
            typed = Draft(title, hook, "" if call == "-" else call)
            findings = messages.lint_draft(typed, text.angle, text.language)
            if typed == text.draft or not findings:
                break
            for each in findings:
                self.terminal.say(f"  ! {each.code} {each.span!r}: {render_message(each.why)}")
        if typed.text_id in {each.text_id for each in self.pool.texts}:
            self.terminal.say(gettext("The pool has these words already."))
            return
        row = review.edit_row(text, typed)
        change_pool(
            self.config, lambda pool: pools.from_csv(pool, pl.DataFrame([row]), self.by, review.current_day()).pool
        )
        self.queue[at] = typed.text_id
        self.last = {}


def read_texts(config: Config, store: Store | None, by: str, terminal: Terminal) -> str:
    """Walk through all texts that wait; return what was done, and how many are left."""
    walk = ReviewWalk(config, store, by, terminal)
    done = walk.run()
    left = sum(text.waits for text in walk.pool.texts)
    waiting = ngettext("{n} text waits for a person.", "{n} texts wait for a person.", left, n=left)
    return join_sentences(done, waiting)
