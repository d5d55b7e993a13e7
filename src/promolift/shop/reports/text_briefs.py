"""Make the briefs for drafts from what the shop knows: its voice, plays, calendar, offers, and earlier texts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, get_args
from zoneinfo import ZoneInfo

from promolift.core.customers.named_audiences import named_audiences
from promolift.core.messages.angles import ANGLES, Angle
from promolift.core.messages.channels import Channel
from promolift.core.messages.drafts import Brief, PlayBrief, RejectedText, draft_request
from promolift.core.messages.occasions import near_occasions
from promolift.core.messages.prompt_templates import WriterRequest
from promolift.core.messages.text_choice import TextCounts
from promolift.core.messages.text_pool import VOTES, PoolText, TextPool, draft_to_judge, judge_request
from promolift.core.messages.text_value import TextAnswer, TextValue
from promolift.core.messages.voice import VoiceCard
from promolift.core.offers.product_names import is_unfit, names_in
from promolift.core.offers.terms import BenefitType
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.language_model import RemoteSettings, Usage, estimate_usage, remote_settings
from promolift.foundation.localized_text import Language
from promolift.foundation.privacy.redaction import redact
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.configuration.plays import Play
from promolift.shop.reports.text_values import learn_pool, learned_folders, read_text_values
from promolift.shop.results.messages import Offers, read_tallies

# The angle that the texts of an audience have. Members of other audiences get texts by what is true of each of them.
AUDIENCE_ANGLES: dict[str, Angle] = {
    "left cart": "cart_left", "due": "replenish_due", "absent": "win_back", "long absent": "win_back",
    "not bought yet": "first_coupon",
}  # fmt: skip
GOODS_NAMED, TEXTS_QUOTED = 12, 3
LEAST_SHOWN = 200  # before a text counts as answered often or rarely


class DraftOptions(NamedTuple):
    """How many drafts of which angles and plays (all if empty), for which channel; `dry_run` prints prompts alone.

    `successors`: only drafts that learning asks for. `learned` is the folder of `promolift learn`.
    """

    several: int
    angles: Sequence[str] = ()
    plays: Sequence[str] = ()
    channel: str = "plain"
    dry_run: bool = False
    successors: bool = False
    learned: Path = Path("learn-report")


def usage_text(usage: Usage) -> str:
    """What requests cost, in a sentence."""
    return gettext(
        "Requests: {requests}. Tokens: {sent} sent, {received} received. Cost: {cost} cents.",
        requests=usage.requests, sent=f"{usage.tokens_in:,}", received=f"{usage.tokens_out:,}",
        cost=f"{usage.cost_cents:.2f}",
    )  # fmt: skip


def show_prompts(config: Config, briefs: Sequence[Brief], asked: DraftOptions) -> StepSummary:
    """Every prompt as it would be sent, and about what that would cost at most."""
    asks = [draft_request(brief, asked.several, config.plan.seed) for brief in briefs]
    shown = [
        f"--- {brief.angle} {brief.language}\n{ask.system.strip()}\n\n{ask.user.strip()}\n"
        for brief, ask in zip(briefs, asks, strict=True)
    ]
    if config.shop.home_country is None:
        shown.append(
            gettext("No occasion is in these prompts, since shop.country does not say which country it is.") + "\n"
        )
    priced = config.message.writer not in ("local", "replay")
    return prompts_summary(shown, asks, remote_settings(config.llm), priced)


def prompts_summary(
    shown: Sequence[str], asks: Sequence[WriterRequest], settings: RemoteSettings, priced: bool, times: int = 1
) -> StepSummary:
    """Return prompts as they would be sent, `shown` as people read them, and about what that would cost at most.

    Each is sent `times` times.
    """
    usage = estimate_usage([*asks] * times, settings)
    if not priced:
        usage = usage._replace(cost_cents=0.0)
    total = gettext(
        "Nothing was called. Requests: {requests}. Tokens: about {sent} to send, at most {received} to receive. "
        "Cost: at most {cost} cents; the cap is {cap} cents.",
        requests=usage.requests, sent=f"{usage.tokens_in:,}", received=f"{usage.tokens_out:,}",
        cost=f"{usage.cost_cents:.2f}", cap=f"{settings.cost_cap_cents:g}",
    )  # fmt: skip
    figures = usage._asdict() | {"prompts": [{"system": ask.system, "user": ask.user} for ask in asks]}
    return StepSummary("\n".join([*shown, total]), figures)


def judge_setting(config: Config) -> str:
    """Return the part of the settings that names the judge's endpoint."""
    return "llm.judge" if config.llm.judge else "llm.remote"


def show_judge_prompts(config: Config, texts: Sequence[PoolText]) -> StepSummary:
    """Each prompt as the judge would get it (once, of the votes), and what all would cost at most."""
    asks = [judge_request(draft_to_judge(t.draft, t.angle, t.language), config.plan.seed) for t in texts]
    shown = [
        f"--- {text.angle} {text.language} {text.text_id}\n{ask.system.strip()}\n\n{ask.user.strip()}\n"
        for text, ask in zip(texts, asks, strict=True)
    ]
    settings = config.llm.judge or remote_settings(config.llm)
    priced = config.llm.judge is not None or config.message.writer == "remote"
    return prompts_summary(shown, asks, settings, priced, VOTES)


class RankedTexts(NamedTuple):
    """The texts that customers answered most, and those that they answered least."""

    most: tuple[str, ...]
    least: tuple[str, ...]


def make_briefs(config: Config, pool: TextPool, work: Path, voice: VoiceCard, asked: DraftOptions) -> list[Brief]:
    """Return a brief for each angle (of each play, where plays are named) and language of the shop.

    `work` is the work folder of the last plan; a shop without one has briefs, too. Raises InputError for an angle, play
    or channel that does not exist.
    """
    plays = {play.id: play for play in config.plays}
    for what, names, known in (
        ("angle", asked.angles, ANGLES), ("play", asked.plays, tuple(plays)),
        ("channel", (asked.channel,), get_args(Channel)),
    ):  # fmt: skip
        if unknown := sorted(set(names) - set(known)):
            listed = ", ".join(known) or "none"
            raise InputError(
                "option_invalid",
                gettext_lazy(
                    "words draft: {what} {unknown}; known ones: {listed}",
                    what=what,
                    unknown=repr(unknown[0]),
                    listed=listed,
                ),
            )
    angles = [angle for angle in ANGLES if not asked.angles or angle in asked.angles]
    pairs: list[tuple[Angle, Play | None]] = [(angle, _play_of(angle, config.plays)) for angle in angles]
    if asked.plays:
        named = [plays[each] for each in dict.fromkeys(asked.plays)]
        pairs = [(AUDIENCE_ANGLES.get(play.audience, "generic"), play) for play in named]
        if asked.angles:
            pairs = [(angle, play) for play in named for angle in angles]
    today, tallies = datetime.now(ZoneInfo(config.shop.zone)).date(), read_tallies(work / "serve")
    near, found = near_occasions(config.shop.home_country, today), list[Brief]()
    values = read_text_values(*learned_folders(config, work, asked.learned))
    wanted = {(each.angle, each.language): each for each in learn_pool(config, pool, work).wanted}
    for language in config.shop.languages:
        goods = goods_of_shop(work, language)
        for angle, play in pairs:
            kind = wanted.get((angle, language))
            if asked.successors and kind is None:
                continue
            texts = [text for text in pool.texts if (text.angle, text.language) == (angle, language)]
            most, least = rank_texts(texts, tallies, values)
            dropped, winners = (kind.dropped, kind.winners) if kind else ((), ())
            found.append(Brief(
                angle, language, voice=voice, play=play_brief(angle, play, language),
                occasions=tuple(each.label.text_in(language) for each in near),
                channel=asked.channel, shop_goods=goods, benefits=benefits_of_shop(config),  # type: ignore[arg-type]
                earned=most, ignored=least, rejected=rejected_texts(texts),
                winners=tuple(text.words for text in winners[:TEXTS_QUOTED]),
                dropped=tuple(text.words for text in dropped[:TEXTS_QUOTED]),
                successor_of=tuple(text.text_id for text in dropped),
            ))  # fmt: skip
    return found


def _play_of(angle: Angle, plays: Sequence[Play]) -> Play | None:
    """The first play of the shop whose audience gives this angle."""
    return next((play for play in plays if AUDIENCE_ANGLES.get(play.audience) == angle), None)


def play_brief(angle: Angle, play: Play | None, language: Language) -> PlayBrief | None:
    """What a writer is told of the play: who its audience is in plain words, never its query, and its reason."""
    audience = play.audience if play else next((name for name, of in AUDIENCE_ANGLES.items() if of == angle), None)
    if audience is None:
        return None
    named = named_audiences().get(audience)
    with use_locale(language):
        words = named.words if named else play.id.replace("-", " ") if play else audience
    return PlayBrief(words, (play.reason_in(language) or "") if play else "")


def benefits_of_shop(config: Config) -> tuple[BenefitType, ...]:
    """The kinds of benefit that the menu and the plays have, a reminder apart."""
    kinds = dict.fromkeys(line.benefit.type for line in config.lines)
    return tuple(kind for kind in kinds if kind not in ("none", "reminder"))


def goods_of_shop(work: Path, language: Language) -> tuple[str, ...]:
    """Everyday names of what the last plan has offers on, categories before products; none before there is a plan."""
    if not work.is_dir():
        return ()
    with Store(work) as store:
        offers = Offers.load(store).offers if Offers.has(store) else ()
    labels = sorted({(offer.scope, offer.label.text_in(language)) for offer in offers if offer.label})
    fit = [name for _, name in labels if names_in(name, language) and not is_unfit(name)]
    return tuple(dict.fromkeys(fit))[:GOODS_NAMED]


def rank_texts(
    texts: Sequence[PoolText], tallies: Sequence[TextCounts], values: Mapping[str, TextValue]
) -> RankedTexts:
    """The texts that are known to earn and to lose against customers held out, then those that customers answered most
    and least, of those that were shown often enough; no text stands on both sides."""
    shown, taken = dict[str, int](), dict[str, int]()
    for each in tallies:
        shown[each.text_id] = shown.get(each.text_id, 0) + each.shown
        taken[each.text_id] = taken.get(each.text_id, 0) + each.taken
    proven = {each: _known_to(each, texts, values) for each in ("earns", "loses")}
    decided = {text for several in proven.values() for text in several}
    known = [text for text in texts if shown.get(text.text_id, 0) >= LEAST_SHOWN and text.words not in decided]
    ranked = sorted(known, key=lambda text: (-taken[text.text_id] / shown[text.text_id], text.text_id))
    half = min(len(ranked) // 2, TEXTS_QUOTED)
    words = [text.words for text in ranked]
    most, least = [*proven["earns"], *words[:half]], [*words[len(words) - half :], *proven["loses"]]
    return RankedTexts(tuple(most[:TEXTS_QUOTED]), tuple(least[-TEXTS_QUOTED:]))


def _known_to(answer: TextAnswer, texts: Sequence[PoolText], values: Mapping[str, TextValue]) -> list[str]:
    """Words of the texts of this answer, most earned first."""
    sure = [(values[text.text_id].value or 0.0, text.words) for text in texts
            if text.text_id in values and values[text.text_id].answer == answer]  # fmt: skip
    return [words for _, words in sorted(sure, reverse=True)]


def rejected_texts(texts: Sequence[PoolText]) -> tuple[RejectedText, ...]:
    """The last texts that were rejected, with the reason of the person, else of the judge; personal data taken out."""
    out = sorted((text for text in texts if text.state == "rejected"), key=lambda text: text.date, reverse=True)
    told = [RejectedText(text.words, text.rejected_because or text.note or text.why) for text in out]
    return tuple(RejectedText(text, redact(why)) for text, why in told if why)[:TEXTS_QUOTED]
